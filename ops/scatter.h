/* What scatters and selections share. Private. */
#ifndef TG_SCATTER_H
#define TG_SCATTER_H

#include "folds.h"

/* Who stays where several are sent to one place. */
/* carried: sent */
typedef enum tg_winner { TG_LAST, TG_GREATEST, TG_SMALLEST } tg_winner;
/* carried so far */

/* For each element of a tensor of shape `to` the place in source, row-major, of what the index
 * sends there along the axis: of several the last, or the first that is greatest or smallest; -1
 * where none is sent. */
tg_tensor *tg_sent_to(tg_tape *t, const char *where, tg_shape to, int axis, tg_tensor *index,
                      tg_tensor *source, tg_winner winner);

/* Of all elements of x those at the places that are found, >= 0; elsewhere its first. */
tg_tensor *tg_at_places(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *place,
                        tg_tensor *found);

#ifndef TG_SAMPLES
static inline bool tg_has_axis(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                               int axis, int *k)
{
    return tg_ready(t, where, name, x) &&
           tg_axis_find(t, where, name, tg_tensor_shape(x).ndim, axis, k);
}
static inline tg_tensor *tg_flat(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_reshape(t, x, TG_SHAPE(tg_tensor_count(x)));
}
#endif

/* Of samples: the operands' numbers, and those to be filled in. */
#define IN(k) ((const double *)x[k].data)
#define OUT ((double *)y->data)

/* Every element of y from its place i, its row and its column. */
#define EXPECT_ROWS(id, ...)                                                       \
    EXPECT(                                                                        \
        id, const int64_t m = y->shape.ndim ? y->shape.dim[y->shape.ndim - 1] : 1; \
        for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {                   \
            const int64_t row = i / m, column = i % m;                             \
            (void)row;                                                             \
            (void)column;                                                          \
            OUT[i] = __VA_ARGS__;                                                  \
        })

#endif
