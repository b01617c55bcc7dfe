/* What tests of ops at their edges share: small inputs of either dtype, and comparing with expected
 * numbers. */
#ifndef TG_TESTS_SEMANTICS_H
#define TG_TESTS_SEMANTICS_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "support.h"

static inline tg_tape *semantics_tape(tg_isa isa, int threads)
{
    const tg_tape_options o = {.size = sizeof o, .isa = isa, .threads = threads, .seed = 7};
    return tg_tape_new(&o);
}

static inline tg_tape *semantics_end(tg_tape *t)
{
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_tape_free(t);
    return NULL;
}

/* Runs its block for both dtypes and all builds, each time on a tape t of its own, which must be
 * healthy at the end. */
#define EACH_BUILD                                                  \
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)         \
        for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) \
            for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t))

static inline tg_tensor *semantics_input(tg_tape *t, tg_dtype dtype, tg_shape shape,
                                         const double *values)
{
    const int64_t n = tg_shape_count(shape);
    float *single = calloc((size_t)n + 1, sizeof *single);
    for (int64_t i = 0; i < n; i++) single[i] = (float)values[i];
    tg_tensor *x = tg_input(t, dtype, shape, dtype == TG_F32 ? (const void *)single : values);
    free(single);
    return x;
}
#define INPUT(shape, ...) semantics_input(t, dtype, shape, (const double[]){__VA_ARGS__})
#define INDEX(shape, ...) tg_input(t, TG_I64, shape, ((const int64_t[]){__VA_ARGS__}))

static inline double semantics_element(tg_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case TG_F32: return (double)((const float *)data)[i];
    case TG_F64: return ((const double *)data)[i];
    case TG_I64: return (double)((const int64_t *)data)[i];
    default: return (double)((const uint8_t *)data)[i];
    }
}

/* Equal but for a few roundings; infinities and NaN exactly; a wanted 0 exactly, too. */
static inline void semantics_expect(int line, tg_tape *t, tg_tensor *x, int64_t n,
                                    const double *want)
{
    const void *data = tg_data(t, x);
    cr_expect(data != NULL, "line %d: %s", line, tg_tape_message(t));
    cr_expect_eq(tg_tensor_count(x), n, "line %d: %lld elements", line,
                 (long long)tg_tensor_count(x));
    const double tolerance = tg_tensor_dtype(x) == TG_F32 ? 1e-6 : 2e-15;
    for (int64_t i = 0; data && i < n && i < tg_tensor_count(x); i++) {
        const double is = semantics_element(tg_tensor_dtype(x), data, i);
        const bool fits = is == want[i] || (isnan(is) && isnan(want[i])) ||
                          (want[i] != 0 && isfinite(want[i]) &&
                           fabs(is - want[i]) <= tolerance * (1 + fabs(want[i])));
        cr_expect(fits, "line %d, %s, element %lld: %.17g instead of %.17g", line,
                  tg_dtype_name(tg_tensor_dtype(x)), (long long)i, is, want[i]);
    }
}
#define EXPECT(x, ...)                                                                  \
    semantics_expect(__LINE__, t, x,                                                    \
                     (int64_t)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double)), \
                     (const double[]){__VA_ARGS__})

/* The gradient of the sum of y. */
static inline tg_tensor *semantics_grad(tg_tape *t, tg_tensor *y, tg_tensor *x)
{
    tg_tensor *gx = NULL;
    tg_grad(t, tg_sum(t, y, TG_ALL_AXES, false), NULL, 1, &x, &gx, false);
    return gx;
}
#define GRAD(y, x) semantics_grad(t, y, x)

#define EXPECT_SHAPE(x, ...)                                                       \
    cr_expect(tg_shape_equal(tg_tensor_shape(x), __VA_ARGS__), "%s instead of %s", \
              tg_shape_text(tg_tensor_shape(x)).text, tg_shape_text(__VA_ARGS__).text)

/* Evaluating x fails with this status and a message with this text; the tape is healthy again
 * afterwards. */
#define EXPECT_ERROR(x, error, text)                                                              \
    do {                                                                                          \
        cr_expect_null(tg_data(t, x));                                                            \
        cr_expect_eq(tg_tape_status(t), error, "%s: %s", tg_status_name(tg_tape_status(t)),       \
                     tg_tape_message(t));                                                         \
        cr_expect(strstr(tg_tape_message(t), text) != NULL, "\"%s\" does not say \"%s\"",         \
                  tg_tape_message(t), text);                                                      \
        cr_expect(strstr(tg_tape_message(t), __FILE__) != NULL, "\"%s\" does not name this file", \
                  tg_tape_message(t));                                                            \
        tg_tape_clear_error(t);                                                                   \
    } while (0)

/* In [-1, 1). */
static inline double semantics_uniform(uint64_t *state) { return 2 * test_uniform(state) - 1; }

#endif
