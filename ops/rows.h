/* What passes over rows share: their maximum, and their sum of e^(x - maximum). Private. */
#ifndef TG_ROWS_H
#define TG_ROWS_H

#include <tapegrad/op.h>

#include "math.h"

/* carried: rows */
/* Defines, for one build, fn##_max, the maximum of n elements, and fn##_sum, the sum of e^(x - top)
 * for n elements none of which is above top.
 *
 * The maximum may be anything where there is a NaN, since the sum is NaN then. It has no order, so
 * that the last elements can be taken twice; the sum's order is that of tg_sum, where, no term
 * being -0, a lane without elements can hold 0. */
#define TG_ROW_FOLDS(fn, TARGET, BUILD, T)                                                     \
    TG_MAYBE_UNUSED TARGET static T fn##_max(int64_t n, const T *x)                            \
    {                                                                                          \
        enum {                                                                                 \
            GROUP = (BUILD == TG_BUILD_AVX512 ? 256                                            \
                     : BUILD == TG_BUILD_AVX2 ? 128                                            \
                                              : 64) /                                          \
                    sizeof(T)                                                                  \
        };                                                                                     \
        T lane[GROUP];                                                                         \
        for (int l = 0; l < GROUP; l++) lane[l] = -INFINITY;                                   \
        for (int64_t l = 0; l < n && n < GROUP; l++) lane[l] = x[l];                           \
        for (int64_t i = 0; i + GROUP <= n; i += GROUP)                                        \
            for (int l = 0; l < GROUP; l++) lane[l] = x[i + l] > lane[l] ? x[i + l] : lane[l]; \
        for (int l = 0; l < GROUP && n >= GROUP; l++)                                          \
            lane[l] = x[n - GROUP + l] > lane[l] ? x[n - GROUP + l] : lane[l];                 \
        for (int half = GROUP / 2; half > 0; half /= 2)                                        \
            for (int l = 0; l < half; l++)                                                     \
                lane[l] = lane[l + half] > lane[l] ? lane[l + half] : lane[l];                 \
        return lane[0];                                                                        \
    }                                                                                          \
    TG_MAYBE_UNUSED TARGET static T fn##_sum(int64_t n, const T *x, T top)                     \
    {                                                                                          \
        enum { build = BUILD };                                                                \
        T lane[64];                                                                            \
        for (int l = 0; l < 64; l++) lane[l] = 0;                                              \
        int64_t i = 0;                                                                         \
        for (; i + 64 <= n; i += 64)                                                           \
            for (int l = 0; l < 64; l++) lane[l] += EXP_BELOW(x[i + l] - top);                 \
        for (int64_t l = 0; l < n - i; l++) lane[l] += EXP_BELOW(x[i + l] - top);              \
        for (int half = 32; half > 0; half /= 2)                                               \
            for (int l = 0; l < half; l++) lane[l] += lane[l + half];                          \
        return lane[0];                                                                        \
    }
/* carried so far */

#endif
