/* Loops whose body is recorded once: what the op and the recording of bodies share. Private. */
#ifndef TG_SCAN_H
#define TG_SCAN_H

#include "base.h"
#include "tape.h"

#include <string.h>

/* A recorded body. Its first nodes are its inputs: the carried values, a slice of each x, each w.
 * Its outputs are the next carried values, those that are stacked, and those that are summed over
 * all steps (which derivatives alone have). It lives as long as the tape at the bottom, `root`, so
 * that a node, and a plan, may know it by its address. */
typedef struct tg_scan_program {
    struct tg_scan_program *next; /* in the root's list */
    tg_tape *root, *tape;
    size_t bytes;
    int n_carry, n_x, n_w, n_y, n_sums;
    bool draws;
    uint32_t nodes;                       /* of the recording */
    uint32_t *output;                     /* nodes: the next carried values, stacked, summed */
    const struct tg_scan_program *source; /* whose derivative it is, ... */
    const bool *wanted;                   /* ... by which of that one's inputs */
} tg_scan_program;

static inline int inputs(const tg_scan_program *p) { return p->n_carry + p->n_x + p->n_w; }
static inline int stacked(const tg_scan_program *p) { return p->n_carry + p->n_y; }
static inline int outputs(const tg_scan_program *p) { return stacked(p) + p->n_sums; }

static inline const tg_type_entry *type_of(const tg_scan_program *p, uint32_t node)
{
    return tg_node_type(p->tape, node);
}
static inline int64_t count_of(const tg_scan_program *p, int output)
{
    return type_of(p, p->output[output])->count;
}
static inline size_t bytes_of(const tg_scan_program *p, uint32_t node)
{
    return (size_t)type_of(p, node)->count * tg_dtype_size(type_of(p, node)->type.dtype);
}
static inline tg_dtype dtype_of(const tg_scan_program *p)
{
    return type_of(p, p->output[0])->type.dtype;
}

/* The results of n steps are packed: the n values of each carried and each stacked one, then sums.
 * Where output k begins; k = outputs(p): the end. */
static inline int64_t offset_of(const tg_scan_program *p, int64_t n, int k)
{
    int64_t at = 0;
    for (int i = 0; i < k; i++) at += (i < stacked(p) ? n : 1) * count_of(p, i);
    return at;
}

static inline bool is_float(tg_dtype dtype) { return dtype == TG_F32 || dtype == TG_F64; }

static inline tg_shape with_steps(int64_t n, tg_shape shape)
{
    memmove(shape.dim + 1, shape.dim, (TG_MAX_DIMS - 1) * sizeof *shape.dim);
    shape.dim[0] = n;
    shape.ndim++;
    return shape;
}

/* Takes down what has been recorded. */
static inline void note_nodes(tg_scan_program *p)
{
    p->nodes = p->tape->recorded.n;
    for (uint32_t v = 0; v < p->nodes; v++)
        p->draws = p->draws || p->tape->recorded.node[v].op->flags & TG_DRAWS;
}

static inline void scan_no_memory(tg_tape *t, const char *where)
{
    tg_tape_fail(t, where, "scan", TG_ENOMEM, "no memory");
}

/* ---------------------------------------------------------------- scan.c */

/* `shape` from `offset` on in x's elements. */
tg_tensor *tg_scan_part(tg_tape *t, const char *where, tg_tensor *x, int64_t offset,
                        tg_shape shape);
/* x's elements from `offset` on among `total` zeros. */
tg_tensor *tg_scan_place(tg_tape *t, const char *where, tg_tensor *x, int64_t offset,
                         int64_t total);

/* Records n steps of a program on its inputs; the result is packed. */
tg_tensor *tg_scan_apply(tg_tape *t, const char *where, const tg_scan_program *p, int64_t ordinal,
                         int64_t n, bool reverse, tg_tensor *const *x);
/* All n values of a packed output, or a sum. */
tg_tensor *tg_scan_output(tg_tape *t, const char *where, const tg_scan_program *p, int64_t n,
                          tg_tensor *packed, int k);
/* The values carried out of the last step. */
tg_tensor *tg_scan_last(tg_tape *t, const char *where, const tg_scan_program *p, int64_t n,
                        bool reverse, tg_tensor *packed, int k);

/* ---------------------------------------------------------------- scan_body.c */

/* A tape for a body, that computes as t does. */
tg_tape *tg_scan_tape(tg_tape *t);
/* `like` for good, over the tape that it then owns, its outputs and `wanted` copied; NULL without
 * memory. */
tg_scan_program *tg_scan_keep(const tg_scan_program *like, int n_wanted, const bool *wanted);

#endif
