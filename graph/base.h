/* The ops that the reverse pass itself records: adding up gradients, and undoing a broadcast.
 * Private; the op families build on them. */
#ifndef TG_BASE_H
#define TG_BASE_H

#include "shapes.h"

extern const tg_op tg_op_add;     /* a + b */
extern const tg_op tg_op_sum;     /* over attrs[0]..attrs[1], kept if attrs[2] */
extern const tg_op tg_op_reshape; /* attrs: the new sizes */
extern const tg_op tg_op_expand;  /* attrs: the new sizes */

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

/* Sums x over the dimensions in which `shape` was broadcast to x's shape. */
tg_tensor *tg_base_sum_to(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);

#endif
