/* How large a tensor may be, and numbers of its dtype. Private. */
#ifndef TG_SHAPES_H
#define TG_SHAPES_H

#include <tapegrad/op.h>

/* Elements that a tensor may have. Their bytes, of any dtype, and the sum of a few such, fit in an
 * int64_t and in a size_t: what passes this bound need not be checked again where sizes become
 * bytes. No machine addresses as much. */
#define TG_MAX_COUNT ((int64_t)(PTRDIFF_MAX / 64))

/* Of a shape without a count: whether it, or the result of broadcasting that it stands for, has
 * only too many elements; and what is wrong with it, as a part of a message. */
bool tg_shape_too_large(tg_shape shape);
tg_text tg_shape_refusal(tg_shape shape);

/* value rounded to dtype, as the first bytes of *bits. */
void tg_scalar_bits(tg_dtype dtype, double value, uint64_t *bits);

#endif
