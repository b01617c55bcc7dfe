/* The ops that the reverse pass itself records: adding up gradients, and undoing a broadcast.
 * Private; the op families build on them. */
#ifndef TG_BASE_H
#define TG_BASE_H

#include "shapes.h"

extern const tg_op tg_op_add;     /* a + b */
extern const tg_op tg_op_sum;     /* over attrs[0]..attrs[1], kept if attrs[2] */
extern const tg_op tg_op_reshape; /* attrs: the new sizes */
extern const tg_op tg_op_expand;  /* attrs: the new sizes */

tg_tensor *tg_base_reshape(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);
tg_tensor *tg_base_expand(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);

/* Whether x can be an operand of op `what` on t: a parameter, or a tensor of this recording; else
 * the tape is in error. */
bool tg_belongs(tg_tape *t, const char *where, const char *what, const tg_tensor *x);

/* Sums x over the dimensions in which `shape` was broadcast to x's shape. */
tg_tensor *tg_base_sum_to(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape);

#endif
