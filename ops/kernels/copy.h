/* Copies of matrices into row-major memory. Private. */
#ifndef TG_KERNEL_COPY_H
#define TG_KERNEL_COPY_H

#include "kernel.h"

/* y[i][j] = x[i * x_row + j * x_column], rows of y `columns` apart. Fast where columns are
 * contiguous (x_row is 1). */
typedef void tg_copy_fn(int64_t rows, int64_t columns, const void *x, int64_t x_row,
                        int64_t x_column, void *y);
TG_KERNELS(tg_copy_fn, tg_copy)

#endif
