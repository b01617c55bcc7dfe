/* The ops that the reverse pass itself records: adding up gradients, and undoing a broadcast.
 * Private; the op families build on them. */
#ifndef TG_BASE_H
#define TG_BASE_H

#include "shapes.h"

extern const tg_op tg_op_add;     /* a + b */
extern const tg_op tg_op_sum;     /* over attrs[0]..attrs[1], kept if attrs[2] */
extern const tg_op tg_op_reshape; /* attrs: the new sizes */
extern const tg_op tg_op_expand;  /* attrs: the new sizes */

/* The rule and the view of ops whose result is their first operand. */
bool tg_base_same_type(tg_rule *r);
bool tg_base_same_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs);

/* The function for a dtype and build, of those that the op was compiled with; NULL: none. */
static inline tg_span_fn tg_span_of(const tg_spans *s, tg_dtype dtype, int build)
{
    if ((int)dtype >= s->dtypes) return NULL;
    return s->of[(int)dtype * s->builds + (build < s->builds ? build : s->builds - 1)];
}
static inline tg_fold_fn tg_fold_of(const tg_folds *f, tg_dtype dtype, int build)
{
    if ((int)dtype >= f->dtypes) return NULL;
    return f->of[(int)dtype * f->builds + (build < f->builds ? build : f->builds - 1)];
}

tg_tensor *tg_base_reshape(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);
tg_tensor *tg_base_expand(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);

/* Whether x can be an operand of op `what` on t: a parameter, or a tensor of this recording; else
 * the tape is in error. */
bool tg_belongs(tg_tape *t, const char *where, const char *what, const tg_tensor *x);

/* A tensor's dtype as an operand on t, which reads f64 copies of parameters in a gradient check. */
tg_dtype tg_dtype_on(const tg_tape *t, const tg_tensor *x);

/* Memory until the recording is dropped, for data that an op's function makes itself and borrows.
 * NULL, with the tape in error, when it is short. */
void *tg_base_memory(tg_tape *t, const char *where, const char *what, int64_t n, size_t size);

/* Records op on `value` and on what a vjp needs to record the part of the tape between x and y
 * again: value, y and the n x, none of which gradients reach, then what else of floats the part
 * reads, which they do; `through`: they reach the x too, which then stand there first. attrs: n,
 * and attr. */
tg_tensor *tg_base_part(tg_tape *t, const char *where, const tg_op *op, tg_tensor *value,
                        tg_tensor *y, int n, tg_tensor *const *x, bool through, int64_t attr);

/* tg_checkpoint (ops.h) */
tg_tensor *tg_base_checkpoint(tg_tape *t, const char *where, tg_tensor *y, int n,
                              tg_tensor *const *x);

/* What a detached operand was before. */
tg_tensor *tg_base_source(const tg_tape *t, tg_tensor *x);

/* For a vjp: gx[first + k] from the gradient of <seed, y> by x[k], none of which goes through one
 * x[k] to another, or through `end`, which may be NULL; of those alone that the pass at hand
 * wants. */
void tg_base_partial(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *seed, int n,
                     tg_tensor *const *x, tg_tensor *end, int first, tg_tensor **gx);

/* Sums x over the dimensions in which `shape` was broadcast to x's shape. */
tg_tensor *tg_base_sum_to(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);

#endif
