/* The tape from the inside: nodes, leaves, values, events, plans. Private to graph. */
#ifndef TG_TAPE_H
#define TG_TAPE_H

#include <stdatomic.h>

#include "params.h"
#include <tapegrad/op.h>

/* A recorded op call: 32 bytes and no pointer but the op's identity, so that a recording is
 * compared and hashed as an array. */
typedef struct tg_node {
    const tg_op *op;
    /* operands' nodes; beyond 3 operands in[0] is an offset into the recording's `more` */
    uint32_t in[3];
    uint32_t n_in;
    uint32_t type; /* index of the interned dtype and shape */
    /* offset of the attributes' count and values in the recording's `attrs`; 0 for none */
    uint32_t attrs;
} tg_node;

/* Nodes from `first` on, up to the next entry's, were recorded by the derivative of a node. */
typedef struct tg_derivation {
    uint32_t first, of; /* of: 1 + the node; 0: recorded by the user */
} tg_derivation;

typedef struct tg_leaf {
    uint32_t node;
    bool borrowed;
    size_t bytes;
    const void *data; /* of an input */
    double value;     /* of a constant */
    tg_param *param;
    uint64_t version; /* of the parameter, when it was recorded */
} tg_leaf;

/* The ops of leaves, and those that the reverse pass needs itself. */
extern const tg_op tg_op_input, tg_op_constant, tg_op_param, tg_op_frozen_param, tg_op_detach;
/* The first operand, for readers that wait until the second one, detached, is computed. */
extern const tg_op tg_op_fence;

static inline bool tg_is_leaf(const tg_op *op)
{
    return op == &tg_op_input || op == &tg_op_constant || op == &tg_op_param ||
           op == &tg_op_frozen_param;
}

typedef struct tg_type_entry {
    tg_type type;
    int64_t count;
    uint32_t shape; /* index of the first type with this shape: equal shapes have equal numbers */
    uint32_t next;  /* in its hash bucket, 1 + index */
} tg_type_entry;

typedef struct tg_value {
    uint32_t node;
    void *data;
} tg_value;

typedef enum tg_request { TG_EVALUATE, TG_BACKWARD } tg_request;

/* One evaluation of a recording. When the next recording is the same up to here and asks for the
 * same, the plan is at hand. */
typedef struct tg_event {
    tg_request request;
    uint32_t nodes;              /* recorded before it */
    uint32_t targets, n_targets; /* in event_ids: the nodes asked for */
    uint32_t bound, n_bound;     /* in event_ids: the nodes that the plan's leaves refer to */
    bool derived;                /* the loss was recorded by a derivative */
    bool failed;                 /* then nothing has a value by it */
    struct tg_plan *plan;
} tg_event;

typedef struct tg_param_use {
    const tg_param *param;
    uint64_t version, epoch;
    uint32_t node;
    bool trainable;
} tg_param_use;

/* An op that was compiled when tg_op was shorter, with zeros for what came later. Plans know it by
 * this copy, so it lives as long as the tape. */
typedef struct tg_widened {
    struct tg_widened *next;
    const tg_op *source;
    tg_op op; /* op.size is still the source's */
} tg_widened;

enum { TG_SLOTS = 4096 }; /* slots in one chunk */

/* What a buffer is to become: tg_buffer_set. */
typedef struct tg_assignment {
    tg_param *to;
    tg_tensor *x;
} tg_assignment;

/* The growing arrays of each part of a tape: type of an element, name, what it holds. Their fields,
 * and what goes back when the tape is freed, follow from these lists. */
#define TG_RECORDED_ARRAYS(X)                                          \
    X(tg_node, node)                                                   \
    X(uint32_t, leaf_of) /* a leaf's index in `leaf` */                \
    X(uint32_t, more)    /* operands of nodes that have more than 3 */ \
    X(int64_t, attrs)    /* attrs[0] is unused */                      \
    X(tg_leaf, leaf)                                                   \
    X(tg_derivation, derivation) /* ascending */                       \
    X(tg_param_use, use)         /* open addressing */
#define TG_HANDLE_ARRAYS(X) \
    X(tg_slot *, chunk)     \
    X(tg_slot *, retired) /* chunks that a careful tape does not use again */
#define TG_TYPE_ARRAYS(X)   \
    X(tg_type_entry, entry) \
    X(uint32_t, bucket)
#define TG_ASKED_ARRAYS(X)       \
    X(tg_value, value)           \
    X(uint32_t, keep)            \
    X(tg_assignment, assignment) \
    X(tg_event, event)           \
    X(uint32_t, event_ids)
#define TG_PLANNING_ARRAYS(X)                                         \
    X(uint64_t, live)  /* bitmap over nodes, all zero between uses */ \
    X(uint32_t, local) /* node -> its number in the live part */      \
    X(uint32_t, stack)

#define TG_ARRAY_FIELDS(type, name) \
    type *name;                     \
    size_t name##_capacity;

/* The recording; beyond `n` and up to `old` the previous one, still in place to be compared
 * with. */
typedef struct tg_recorded {
    uint32_t n, old;
    size_t n_more, n_attrs, n_leaves, n_derivations, n_uses;
    int64_t draws;
    uint64_t epoch; /* the recording's number */
    TG_RECORDED_ARRAYS(TG_ARRAY_FIELDS)
} tg_recorded;

/* What users hold of a recording's nodes. */
typedef struct tg_handles {
    size_t n_chunks, n_retired;
    TG_HANDLE_ARRAYS(TG_ARRAY_FIELDS)
} tg_handles;

typedef struct tg_types {
    size_t n;
    TG_TYPE_ARRAYS(TG_ARRAY_FIELDS)
} tg_types;

/* What was asked of the recording, and what is known of its values. */
typedef struct tg_asked {
    size_t n_values, n_keeps, n_assignments, n_events, old_events;
    TG_ASKED_ARRAYS(TG_ARRAY_FIELDS)
} tg_asked;

typedef struct tg_planning {
    TG_PLANNING_ARRAYS(TG_ARRAY_FIELDS)
    tg_arena arena;
    struct tg_plan_cache *cache;
    tg_plan_stats stats;
} tg_planning;

typedef struct tg_running {
    void *slab, *registers;
    size_t slab_bytes, register_bytes;
    tg_workers *workers; /* NULL until a run is worth them */
} tg_running;

/* Bodies of scans, known to plans by their address, and a tape to record the next one on; of the
 * tape of a body, the user's tape that has them, which is NULL there. */
typedef struct tg_scans {
    struct tg_scan_program *program;
    size_t n;
    void (*release)(tg_tape *t);
    tg_tape *spare, *root;
} tg_scans;

/* Of a careful tape: the thread inside a call, how deep, and whether another met it there. */
typedef struct tg_careful {
    atomic_uintptr_t inside;
    int depth;
    atomic_bool met;
} tg_careful;

struct tg_tape {
    tg_allocator allocator;
    /* Runs an event in place of its plan, for a tape that is looked at; NULL: nobody looks. */
    tg_status (*observe)(tg_tape *t, const char *where, const tg_event *event, bool again);
    struct tg_profile *profile; /* that the tape's steps are measured for */
    const char *blame;          /* of a NaN that was traced: in storage; NULL: none */
    tg_error error, report;     /* report: of bad data, by the kernels of the run at hand */
    tg_careful careful;

    uint64_t seed, key, step;
    int threads, build;
    bool training, node_by_node, trace_nonfinite, forbid_f32;
    bool renewed; /* inputs, or the random step, are others than those of the values computed */
    bool reread;  /* a parameter was read again after it had changed */
    int deriving; /* how deep inside tg_reverse */
    const bool *carried; /* in a vjp: of which operands a gradient is wanted */
    const tg_params *substitute_from;
    tg_params *substitute_to;
    struct tg_widened *widened;
    tg_arena storage; /* copied inputs and values handed out */

    tg_types types;
    tg_recorded recorded;
    tg_handles handles;
    tg_asked asked;
    tg_planning planning;
    tg_running running;
    tg_scans scans;
};

/* ---------------------------------------------------------------- tape.c, record.c */

/* Another stream of random numbers than the option's, from the next evaluation on. */
void tg_tape_take_stream(tg_tape *t, uint64_t stream);

/* Fails the tape at a position, naming an op or NULL. */
tg_status tg_tape_fail(tg_tape *t, const char *where, const char *op, tg_status status,
                       const char *format, ...) TG_PRINTF(5, 6);

static inline tg_slot *tg_node_slot(const tg_tape *t, uint32_t node)
{
    return &t->handles.chunk[node / TG_SLOTS][node % TG_SLOTS];
}
static inline uint32_t tg_generation(const tg_tape *t)
{
    return t->recorded.epoch % TG_GENERATIONS;
}
static inline tg_tensor *tg_handle(const tg_tape *t, uint32_t node)
{
    return (tg_tensor *)(void *)tg_node_slot(t, node) + tg_generation(t);
}
static inline const char *tg_node_where(const tg_tape *t, uint32_t node)
{
    return tg_node_slot(t, node)->where[t->recorded.epoch % 2];
}
static inline const tg_type_entry *tg_node_type(const tg_tape *t, uint32_t node)
{
    return &t->types.entry[t->recorded.node[node].type];
}
static inline const uint32_t *tg_node_inputs(const tg_tape *t, const tg_node *v)
{
    return v->n_in > 3 ? &t->recorded.more[v->in[0]] : v->in;
}
static inline int tg_node_n_attrs(const tg_tape *t, const tg_node *v)
{
    return v->attrs ? (int)t->recorded.attrs[v->attrs] : 0;
}
static inline const int64_t *tg_node_attrs(const tg_tape *t, const tg_node *v)
{
    return v->attrs ? &t->recorded.attrs[v->attrs + 1] : NULL;
}

/* Around every call that records or evaluates: false when another thread is inside one of a careful
 * tape, which is then in error until that is cleared. Calls may be nested. */
bool tg_enter_careful(tg_tape *t);
void tg_leave_careful(tg_tape *t);
static inline bool tg_enter(tg_tape *t) { return !t->node_by_node || tg_enter_careful(t); }
static inline void tg_leave(tg_tape *t)
{
    if (t->node_by_node) tg_leave_careful(t);
}
/* The body of a public function: the result of `call`, alone in the tape; or what stands for it
 * when there is no tape, or another thread is inside. */
#define TG_ALONE(type, t, no_tape, not_alone, call) \
    do {                                            \
        if (!(t)) return no_tape;                   \
        if (!tg_enter(t)) return not_alone;         \
        type result_ = call;                        \
        tg_leave(t);                                \
        return result_;                             \
    } while (0)

/* Whether x is a tensor of t's current recording. */
static inline bool tg_is_current(const tg_tape *t, const tg_tensor *x)
{
    const tg_slot *slot = tg_slot_of(x);
    return slot->tape == t && tg_generation_of(x) == tg_generation(t) && slot->id < t->recorded.n;
}

/* 1 + the node whose derivative recorded a node; 0: the user did. */
uint32_t tg_derived_from(const tg_tape *t, uint32_t node);

/* From here on nodes are recorded by the derivative of node `of - 1`; of = 0: by the user. */
bool tg_derive(tg_tape *t, uint32_t of);

/* A node's op as messages name it: "matmul", or "gradient of matmul" for a derivative's. */
tg_text tg_node_text(const tg_tape *t, uint32_t node);

/* Whether parameter p is another, in value or trainability, than when the recording first read
 * it. */
bool tg_param_is_stale(const tg_tape *t, tg_param *p);

/* The node behind an operand, recording a parameter's leaf if need be. false, with the tape in
 * error, when it is none of this tape's. */
bool tg_resolve(tg_tape *t, const char *where, const char *what, tg_tensor *x, uint32_t *node);

/* A point to which the recording can be cut back, for nodes that only a plan or a drawing needs. */
typedef struct tg_mark {
    uint32_t n;
    size_t n_more, n_attrs, n_leaves, n_derivations;
    int64_t draws;
} tg_mark;
tg_mark tg_tape_mark(const tg_tape *t);
void tg_tape_cut(tg_tape *t, tg_mark mark);

/* For gradient checks: uses of parameters of `from` read those of `to`; any f32 tensor is
 * TG_EDTYPE. */
void tg_tape_substitute(tg_tape *t, const tg_params *from, tg_params *to);
void tg_tape_forbid_f32(tg_tape *t);

/* ---------------------------------------------------------------- reverse.c */

/* Records the gradients of sum_k <seed[k], y[k]> with respect to n nodes x. For one that no
 * gradient reaches gx[k] is NULL; then cut[k] (cut may be NULL) is 1 + the node of the op without a
 * derivative that lies between, or 0 if y does not depend on it. */
tg_status tg_reverse(tg_tape *t, const char *where, uint32_t n_y, const uint32_t *y,
                     tg_tensor *const *seed, uint32_t n, const uint32_t *x, tg_tensor **gx,
                     uint32_t *cut);

/* The error for an x[k] with cut[k]: names the op in the way. */
tg_status tg_fail_cut(tg_tape *t, uint32_t cut);

/* Marks in t->planning.live what n targets depend on, themselves included, down to node `floor`;
 * stops at nodes that have a value if `stop`. The range of node numbers marked is [*low, *high].
 * Without memory: TG_ENOMEM and nothing marked. */
tg_status tg_mark_live(tg_tape *t, uint32_t n, const uint32_t *targets, bool stop, uint32_t floor,
                       uint32_t *low, uint32_t *high);
static inline bool tg_is_live(const tg_tape *t, uint32_t node)
{
    return t->planning.live[node / 64] >> (node % 64) & 1;
}
void tg_clear_live(tg_tape *t, uint32_t low, uint32_t high);

/* ---------------------------------------------------------------- plan.c, run.c */

tg_status tg_tape_evaluate(tg_tape *t, const char *where, tg_request request, uint32_t n,
                           const uint32_t *targets);
tg_status tg_run_again(tg_tape *t, const char *where); /* the recording's only event, on new data */
/* Runs an event node by node, with everything at hand that a message about bad data needs. When it
 * runs `again`, the values that it computed the first time are to be computed anew, not to be
 * read. */
tg_status tg_run_carefully(tg_tape *t, const char *where, const tg_event *event, bool again);
void tg_plan_cache_clear(tg_tape *t);
void tg_plan_cache_free(tg_tape *t);
struct tg_plan_cache *tg_plan_cache_new(const tg_allocator *a, int64_t max_bytes);

#endif
