/* The kernel of a reduction in the order that op.h documents. Private. */
#ifndef TG_FOLD_H
#define TG_FOLD_H

#include <tapegrad/op.h>

/* carried: fold */
/* TG_EACH_BUILD(TG_FOLD, name, T, identity, JOIN) defines a tg_fold_fn for each build; JOIN(a, b)
 * combines two elements.
 *
 * The lanes are walked in groups that fit the build's registers: lanes don't meet before the end,
 * so the grouping changes no result. A lane that gets no element (n < 64) is left out instead of
 * holding the identity, which would turn a sum of -0 into 0. */
#define TG_FOLD(fn, TARGET, BUILD, T, IDENTITY, JOIN)                                       \
    TARGET static void fn(int64_t n, const void *elements, void *result)                    \
    {                                                                                       \
        enum {                                                                              \
            GROUP = (BUILD == TG_BUILD_AVX512 ? 256                                         \
                     : BUILD == TG_BUILD_AVX2 ? 128                                         \
                                              : 64) /                                       \
                    sizeof(T)                                                               \
        };                                                                                  \
        const T *x = (const T *)elements;                                                   \
        T lane[64];                                                                         \
        if (n < 2) {                                                                        \
            *(T *)result = n == 1 ? x[0] : (T)(IDENTITY);                                   \
            return;                                                                         \
        }                                                                                   \
        if (n < 64) {                                                                       \
            int64_t half = 1;                                                               \
            while (2 * half < n) half *= 2;                                                 \
            for (int64_t l = 0; l < n - half; l++) lane[l] = JOIN(x[l], x[l + half]);       \
            for (int64_t l = n - half; l < half; l++) lane[l] = x[l];                       \
            while (half /= 2)                                                               \
                for (int64_t l = 0; l < half; l++) lane[l] = JOIN(lane[l], lane[l + half]); \
            *(T *)result = lane[0];                                                         \
            return;                                                                         \
        }                                                                                   \
        for (int64_t g = 0; g < 64; g += GROUP) {                                           \
            T in[GROUP];                                                                    \
            for (int l = 0; l < GROUP; l++) in[l] = x[g + l];                               \
            int64_t i = g + 64;                                                             \
            for (; i + GROUP <= n; i += 64)                                                 \
                for (int l = 0; l < GROUP; l++) in[l] = JOIN(in[l], x[i + l]);              \
            for (int64_t l = 0; l < n - i; l++) in[l] = JOIN(in[l], x[i + l]);              \
            for (int l = 0; l < GROUP; l++) lane[g + l] = in[l];                            \
        }                                                                                   \
        TG_FOLD_PAIRS(32, JOIN)                                                             \
        TG_FOLD_PAIRS(16, JOIN)                                                             \
        TG_FOLD_PAIRS(8, JOIN)                                                              \
        TG_FOLD_PAIRS(4, JOIN)                                                              \
        TG_FOLD_PAIRS(2, JOIN)                                                              \
        TG_FOLD_PAIRS(1, JOIN)                                                              \
        *(T *)result = lane[0];                                                             \
    }
#define TG_FOLD_PAIRS(half, JOIN) \
    for (int l = 0; l < (half); l++) lane[l] = JOIN(lane[l], lane[l + (half)]);

/* carried so far */

/* A tg_folds from the rows of its table, as TG_SPANS. */
#define TG_FOLDS(scope, name, elementwise, ...)                                             \
    static const tg_fold_fn name##_of[][TG_BUILD_COUNT] = {__VA_ARGS__};                    \
    scope const tg_folds name = {sizeof(tg_folds), TG_ROW_COUNT(name##_of), TG_BUILD_COUNT, \
                                 name##_of[0], &elementwise};

#endif
