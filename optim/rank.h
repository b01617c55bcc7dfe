/* Ranks from the inside. Private. */
#ifndef TG_RANK_H
#define TG_RANK_H

#include <tapegrad/ranks.h>

#include "../graph/params.h"

/* What collective calls are told apart by. */
typedef enum tg_place {
    TG_PLACE_SHARE,
    TG_PLACE_COMBINE,
    TG_PLACE_STEP,
    TG_PLACE_READY, /* in an optimizer's step, before anything is changed */
    TG_PLACE_COLLECT,
    TG_PLACE_BROADCAST,
    TG_PLACE_COMPARE,
    TG_PLACE_GATHER,
    TG_PLACE_SUM,
    TG_PLACE_LEAVE,
    TG_PLACE_COUNT
} tg_place;

/* What everybody gets to know of a leaf; print 0: it has no rows. */
typedef struct tg_note {
    double loss, weight;
    uint64_t print; /* of which parameters it has something for */
} tg_note;

/* A node of the tree over the leaves: it holds those from index << level to (index + 1) << level,
 * or to the last. */
typedef struct tg_node_sum {
    int level;
    int64_t index;
    bool there; /* some leaf of it has rows */
    double loss, weight;
    void **part;  /* [parameters] arrays like the parameters; NULL: not needed so far */
    char *packed; /* while a slice is put together: that slice of all parts, one behind another */
} tg_node_sum;

enum { TG_TREE_LEVELS = 21, TG_MOST_LEAVES = 1 << 20, TG_RECORD = 16 /* bytes of a call */ };

/* A buffer that grows. */
typedef struct tg_room {
    char *data;
    size_t capacity;
} tg_room;

struct tg_ranks {
    tg_allocator allocator;
    tg_error error; /* that all ranks know of */
    tg_error own;   /* that they will know of at the next call */
    tg_transport transport;
    int rank, n;
    int64_t leaves;
    tg_ranks_stats stats;

    /* the step at hand, of the parameters ps; NULL: nothing has begun */
    tg_params *ps;
    int64_t next_leaf;
    size_t n_buffers;
    uint64_t print; /* of `present`; 0: no leaf so far */
    tg_note *notes; /* [leaves] */
    size_t notes_capacity;

    /* what is there for each parameter, in `memory`, until the parameters are others; start NULL:
     * nothing */
    tg_arena memory;
    size_t layout; /* how many parameters */
    tg_allocator of_parameters;
    bool *present; /* gets something in this step */
    size_t *start; /* [layout + 1] where it begins, in bytes, when all lie behind one another */
    size_t *cut;   /* [n + 1] where slices begin */
    tg_part *mine; /* the elements in my slice */
    void **value;  /* the parameters' values */
    void **held;   /* gradients that are accumulated over steps */
    bool *holds;   /* is there one? */
    tg_node_sum stack[TG_TREE_LEVELS + 1];
    int depth;
    uint64_t parts_bytes, reserved; /* reserved: for which step there is all memory */

    tg_room out, in, record, chunk;
};

/* ---------------------------------------------------------------- moving bytes: travel.c */

/* Every collective call begins with it: the status that stands on all ranks afterwards. `print`
 * must be the same on all. */
tg_status tg_ranks_call(tg_ranks *r, tg_place place, uint64_t print, tg_status status,
                        const char *message);

/* After the call. They return false, with r in error, when a transport fails. */
bool tg_travel(tg_ranks *r, int to, const void *out, size_t out_bytes, int from, void *in,
               size_t in_bytes);
/* `bytes` of every rank, in the order rank, rank + 1, ...; mine are there already */
bool tg_travel_all(tg_ranks *r, void *records, size_t bytes);
bool tg_travel_from(tg_ranks *r, int root, void *data, size_t bytes);
/* Each number is not 0 on at most one rank. */
bool tg_travel_sum(tg_ranks *r, double *x, size_t n);

/* Makes room for so many bytes; false: no memory, without an error. */
bool tg_room_reserve(tg_ranks *r, tg_room *room, size_t bytes);

/* ---------------------------------------------------------------- the tree: leaves.c */

/* Makes what is there for each parameter. false: no memory, without an error. */
bool tg_ranks_lay_out(tg_ranks *r, const tg_params *ps);
void tg_ranks_forget_layout(tg_ranks *r);
tg_part tg_ranks_leaves_of(const tg_ranks *r, int rank);
void *tg_ranks_part(tg_ranks *r, tg_node_sum *node, size_t k);
uint64_t tg_ranks_print_present(const tg_ranks *r); /* never 0 */

/* A step of ps begins, unless it has; an error is r's own. Leaves up to this one have no rows. */
tg_status tg_ranks_begin(tg_ranks *r, tg_params *ps);
void tg_ranks_skip_to(tg_ranks *r, int64_t leaf);

/* Puts the node on top of a stack into place: whenever it is a right child, it is merged with the
 * one below; without a right sibling it is its parent. Returns the depth. */
typedef void tg_merge_fn(void *user, tg_node_sum *left, tg_node_sum *right);
int tg_tree_settle(int64_t leaves, tg_node_sum *stack, int depth, tg_merge_fn *merge, void *user);

/* Gradients of micro-batches, which the next step adds to: from the parameters, false: no memory;
 * and whole back to them, collectively, without a call before. */
bool tg_ranks_hold(tg_ranks *r, tg_params *ps);
bool tg_ranks_show_held(tg_ranks *r, tg_params *ps);

/* tg_ranks_step that tells the mean loss when gradients are in the parameters, of my slice; the sum
 * of a number of each rank, on all of them. */
tg_status tg_ranks_step_with(tg_ranks *r, tg_optim *o, double *mean_loss,
                             void (*told)(void *user, double loss), void *user);
bool tg_ranks_sum(tg_ranks *r, double *x);

void tg_sum_into(tg_dtype dtype, void *x, const void *y, int64_t n);

/* ---------------------------------------------------------------- slices: slices.c */

/* The slice of a rank: its place in r->cut. */
int tg_slice_of(const tg_ranks *r, int rank);
/* Of parameter k the elements in slices [lo, hi). */
tg_part tg_slice_span(const tg_ranks *r, const tg_params *ps, size_t k, int lo, int hi);

/* The sum of all leaves in my slice of stack[0]; then all slices of some parts, everywhere. */
/* Memory for it, and for gradients that are held; false: none, without an error. */
bool tg_slices_reserve(tg_ranks *r, bool hold);
bool tg_slices_reduce(tg_ranks *r);
bool tg_slices_gather(tg_ranks *r, void *const *part);

#endif
