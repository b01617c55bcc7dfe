/* Sizes of scratch memory, from sizes of tensors that each fit: sums and products of numbers >= 0
 * that stop at TG_BYTES_MOST instead of wrapping. For so much the planner finds no memory.
 * Private. */
#ifndef TG_BYTES_H
#define TG_BYTES_H

#include <stdint.h>

/* carried: bytes */
#define TG_BYTES_MOST (INT64_MAX / 4)

static inline int64_t tg_plus(int64_t a, int64_t b)
{
    return a > TG_BYTES_MOST - b ? TG_BYTES_MOST : a + b;
}
static inline int64_t tg_times(int64_t a, int64_t b)
{
    return a && b > TG_BYTES_MOST / a ? TG_BYTES_MOST : a * b;
}

/* carried so far */

#endif
