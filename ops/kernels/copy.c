#include "copy.h"
#include "simd.h"
#include "transpose.h"

void TG_KERNEL(tg_copy)(int64_t rows, int64_t columns, const void *x, int64_t x_row,
                        int64_t x_column, void *y)
{
    const T *from = x;
    T *to = y;
    if (x_row == 1) turn(columns, rows, from, x_column, to, columns);
    else
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                to[i * columns + j] = from[i * x_row + j * x_column];
}
