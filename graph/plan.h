/* What the planner makes of the live part of a recording, and the runner carries out. Private. */
#ifndef TG_PLAN_H
#define TG_PLAN_H

#include "shapes.h"
#include "tape.h"

/* The live part of a recording, renumbered from 0 in recording order. What decides about the plan
 * stands in one block of bytes, its key. */
typedef struct tg_graph {
    uint32_t n, n_targets;
    const tg_node *node; /* operands are local numbers; `more` and `attrs` are local too */
    const uint32_t *more;
    const int64_t *attrs;
    const uint32_t *targets; /* local numbers */
    const uint8_t *valued;   /* the node's value is there already */
    const uint32_t *id;      /* local number -> the tape's node; not part of the key */
    const void *key;
    size_t key_bytes;
} tg_graph;

static inline const uint32_t *tg_graph_inputs(const tg_graph *g, uint32_t v)
{
    return g->node[v].n_in > 3 ? &g->more[g->node[v].in[0]] : g->node[v].in;
}
static inline int tg_graph_n_attrs(const tg_graph *g, uint32_t v)
{
    return g->node[v].attrs ? (int)g->attrs[g->node[v].attrs] : 0;
}
static inline const int64_t *tg_graph_attrs(const tg_graph *g, uint32_t v)
{
    return g->node[v].attrs ? &g->attrs[g->node[v].attrs + 1] : NULL;
}

/* A place in memory: bytes from a base that is known only when the plan runs. Base 0 is the slab;
 * leaves and outputs follow. */
typedef struct tg_ref {
    uint32_t base;
    int64_t offset;
} tg_ref;

typedef struct tg_plan_leaf {
    uint32_t bound; /* index in the event's bound nodes; TG_LITERAL: a constant that a vjp made */
    tg_dtype dtype;
    uint64_t scalar; /* a constant's bits in its dtype */
} tg_plan_leaf;
#define TG_LITERAL UINT32_MAX

typedef struct tg_plan_output {
    bool gradient;
    uint32_t index; /* in the event's targets; of a gradient: in its bound nodes */
    tg_dtype dtype;
    int64_t count;
    size_t bytes;
} tg_plan_output;

/* An operand of a group that is not read in place: strided, or one element for all. */
typedef struct tg_load {
    tg_ref from;
    uint32_t reg;
    uint32_t size;                                 /* bytes of an element */
    int ndim;                                      /* 0: one element fills the register */
    int64_t dim[TG_MAX_DIMS], stride[TG_MAX_DIMS]; /* innermost first; strides in bytes */
} tg_load;

/* n elements like the one at `from`. */
void tg_load_fill(void *out, const char *from, uint32_t size, int64_t n);
/* Elements first .. first + n - 1, in row-major order, of strided memory that begins at `from`. */
void tg_load_gather(char *out, const char *from, const tg_load *load, int64_t first, int64_t n);

/* A register that points into memory, moving with the block. */
typedef struct tg_move {
    tg_ref at;
    uint32_t reg, size;
} tg_move;

enum { TG_SPAN_INPUTS = 4 };
typedef struct tg_instruction {
    tg_span_fn run;
    const int64_t *attrs;
    uint32_t y, x[TG_SPAN_INPUTS];
} tg_instruction;

typedef struct tg_fold_part {
    tg_fold_fn fold;
    tg_span_fn combine;
    uint32_t reg, size;
    tg_ref y, partial;
} tg_fold_part;

/* How a group walks over its elements, seen as [outer, reduced, inner]: in blocks of whole or part
 * rows, so that every fold sees the chunks that its shape prescribes. */
typedef enum tg_walk { TG_FLAT, TG_SHORT_ROWS, TG_LONG_ROWS, TG_COLUMNS } tg_walk;

enum {
    TG_CHUNK = 1024,
    TG_ROWS = 64
}; /* elements, and rows of a column sum, that are reduced in one go */

typedef struct tg_group {
    uint32_t node; /* its first, in the graph */
    int64_t count, outer, reduced, inner;
    tg_walk walk;
    int64_t block;                 /* elements of a block (TG_FLAT, TG_LONG_ROWS), else rows */
    int64_t units;                 /* pieces that may run at once */
    uint32_t n_temps, n_registers; /* the first n_temps registers are buffers of temp_bytes */
    bool side_by_side;             /* for TG_SHORT_ROWS: the rows of a block are reduced together */
    uint32_t room; /* for these, and for TG_COLUMNS: a register in which rows are combined */
    size_t temp_bytes;
    uint32_t n_loads, n_moves, n_instructions, n_folds;
    tg_load *loads;
    tg_move *moves;
    tg_instruction *instructions;
    tg_fold_part *folds;
} tg_group;

typedef struct tg_operand {
    tg_ref at;
    bool gather; /* copied to contiguous scratch first */
    tg_ref scratch;
    tg_array source; /* the strides of what is copied */
} tg_operand;

typedef struct tg_plan_call {
    const tg_op *op;
    tg_call call;
    tg_array *x, y;
    tg_operand *operands;
    tg_ref y_at, scratch;
    uint32_t node;
} tg_plan_call;

typedef struct tg_step {
    tg_group *group; /* one of the two */
    tg_plan_call *call;
} tg_step;

/* Where a node's value lies, and what it was made of: kept by node-by-node plans, for messages. */
typedef struct tg_seen {
    tg_ref at;
    tg_array array;
} tg_seen;

typedef struct tg_seen_inputs {
    uint32_t n;
    uint32_t *first;
} tg_seen_inputs;

/* What the steps are made of, for profiles and pictures: a plan has these only when it was asked
 * for. Nodes are numbers in the graph. */
typedef struct tg_note {
    uint32_t n, n_in;
    const uint32_t *node; /* computed in the step; of a copy the node that is copied */
    const uint32_t *in;   /* whose memory the step reads, each once */
    bool copy;
} tg_note;

/* A value in the slab: from the step that computes it to the one that reads it last. */
typedef struct tg_life {
    uint32_t node, first, last;
    int64_t offset, bytes;
} tg_life;

typedef struct tg_notes {
    tg_note *step;
    tg_life *life;
    uint32_t n_lives, n_nodes;
    uint64_t
        *stamp; /* nanoseconds: [1 + k] when step k of the last run ended; [0] is the caller's */
} tg_notes;

typedef struct tg_plan {
    tg_arena memory;               /* holds everything, this struct too */
    struct tg_plan *next;          /* in its hash bucket */
    struct tg_plan *newer, *older; /* in order of use */
    uint64_t hash[2];
    uint64_t epoch; /* of the last recording that used it */
    const void *key;
    size_t key_bytes;
    uint32_t nodes;
    uint32_t n_leaves, n_outputs, n_steps;
    tg_plan_leaf *leaves;
    tg_plan_output *outputs;
    tg_step *steps;
    size_t slab_bytes, register_bytes;
    void **base;
    tg_seen *seen; /* one for each node of the graph */
    tg_seen_inputs *seen_inputs;
    tg_notes *notes; /* NULL: none were asked for */
} tg_plan;

/* How the planner is asked. */
typedef struct tg_plan_request {
    tg_tape *t;
    const tg_graph *graph;
    bool node_by_node, notes;
    uint32_t first_literal; /* constants from this tape node on were made by vjps */
    uint32_t n_bound;
    const uint32_t *bound;   /* the tape nodes that leaves may refer to, ascending */
    tg_plan_output *outputs; /* one for each of the graph's targets */
} tg_plan_request;

tg_plan *tg_plan_new(const tg_plan_request *request); /* NULL: no memory */
void tg_plan_free(tg_plan *plan);

/* Plans an event's request anew: ids gets the tape nodes of the graph's, valid until the next
 * planning. Of a backward pass they are left on the tape, for the caller to cut off. `again`: the
 * values that the event computed before count as not computed. NULL with the tape in error. */
typedef enum tg_plan_ways { TG_NODE_BY_NODE = 1, TG_WITH_NOTES = 2 } tg_plan_ways;
tg_plan *tg_plan_again(tg_tape *t, const char *where, const tg_event *event, bool again,
                       tg_plan_ways ways, const uint32_t **ids);

/* Carries a plan out. ids (NULL when unknown) maps the graph's nodes to the tape's, for messages:
 * without it a failure of the data only returns a status, to be explained by a run that has
 * them. */
tg_status tg_plan_run(tg_tape *t, const char *where, tg_plan *plan, const tg_event *event,
                      const uint32_t *ids);

#endif
