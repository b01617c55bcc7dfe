/* Conversions between dtypes. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- cast */

/* carried: cast */
#define CONVERT(fn, TARGET, BUILD, R, A) TG_SPAN_1(fn, TARGET, BUILD, R, A, x)

/* Towards zero, for values between low and high exclusively; the first other one fails. An infinity
 * or a NaN is never between. It is looked for before anything is written, which may be over x. */
#define CONVERT_IN_RANGE(fn, TARGET, BUILD, R, A, low, high, name)                                \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand)             \
    {                                                                                             \
        const A *x = (const A *)operand[0];                                                       \
        R *y = (R *)result;                                                                       \
        int bad = 0;                                                                              \
        for (int64_t i = 0; i < s->n; i++) bad |= !(x[i] > (low) && x[i] < (high));               \
        for (int64_t i = 0; bad && i < s->n; i++) {                                               \
            const A v = x[i];                                                                     \
            if (v > (low) && v < (high)) continue;                                                \
            tg_span_fail(s, s->first + i, TG_EVALUE,                                              \
                         "%.17g at element %" PRId64 " can't be represented in " name, (double)v, \
                         s->first + i);                                                           \
            break;                                                                                \
        }                                                                                         \
        for (int64_t i = 0; i < s->n; i++) {                                                      \
            const A v = x[i];                                                                     \
            y[i] = (R)(v > (low) && v < (high) ? v : 0);                                          \
        }                                                                                         \
    }

TG_EACH_BUILD(CONVERT, f64_to_f32, float, double)
TG_EACH_BUILD(CONVERT, i64_to_f32, float, int64_t)
TG_EACH_BUILD(CONVERT, u8_to_f32, float, uint8_t)
TG_EACH_BUILD(CONVERT, f32_to_f64, double, float)
TG_EACH_BUILD(CONVERT, i64_to_f64, double, int64_t)
TG_EACH_BUILD(CONVERT, u8_to_f64, double, uint8_t)
TG_EACH_BUILD(CONVERT, u8_to_i64, int64_t, uint8_t)
/* the greatest f32 and f64 below -2^63 are the bounds: -2^63 itself fits */
TG_EACH_BUILD(CONVERT_IN_RANGE, f32_to_i64, int64_t, float, -0x1.000002p63f, 0x1p63f, "i64")
TG_EACH_BUILD(CONVERT_IN_RANGE, f64_to_i64, int64_t, double, -0x1.0000000000001p63, 0x1p63, "i64")
TG_EACH_BUILD(CONVERT_IN_RANGE, f32_to_u8, uint8_t, float, -1.0f, 256.0f, "u8")
TG_EACH_BUILD(CONVERT_IN_RANGE, f64_to_u8, uint8_t, double, -1.0, 256.0, "u8")
TG_EACH_BUILD(CONVERT_IN_RANGE, i64_to_u8, uint8_t, int64_t, -1, 256, "u8")

TG_SPANS(to_f32_spans, "x", {0}, TG_BUILDS(f64_to_f32), TG_BUILDS(i64_to_f32), TG_BUILDS(u8_to_f32))
TG_SPANS(to_f64_spans, "x", TG_BUILDS(f32_to_f64), {0}, TG_BUILDS(i64_to_f64), TG_BUILDS(u8_to_f64))
TG_SPANS_WITH(to_i64_spans, NULL, TG_CARRIED("cast to_i64_spans"), TG_BUILDS(f32_to_i64),
              TG_BUILDS(f64_to_i64), {0}, TG_BUILDS(u8_to_i64))
TG_SPANS_WITH(to_u8_spans, NULL, TG_CARRIED("cast to_u8_spans"), TG_BUILDS(f32_to_u8),
              TG_BUILDS(f64_to_u8), TG_BUILDS(i64_to_u8))
/* carried so far */

#define TO_RULE(name, target)           \
    static bool name##_rule(tg_rule *r) \
    {                                   \
        r->y.dtype = target;            \
        return true;                    \
    }
TO_RULE(to_f32, TG_F32)
TO_RULE(to_f64, TG_F64)
TO_RULE(to_i64, TG_I64)
TO_RULE(to_u8, TG_U8)

static void vjp(TG_VJP)
{
    const tg_dtype from = tg_tensor_dtype(x[0]);
    if (from == TG_F32 || from == TG_F64) gx[0] = tg_cast(t, gy, from);
}

static const tg_op to[TG_DTYPE_COUNT] = {
    [TG_F32] = {.size = sizeof(tg_op),
                .name = "cast",
                .n_in = 1,
                .rule = to_f32_rule,
                .span = &to_f32_spans,
                .vjp = vjp},
    [TG_F64] = {.size = sizeof(tg_op),
                .name = "cast",
                .n_in = 1,
                .rule = to_f64_rule,
                .span = &to_f64_spans,
                .vjp = vjp},
    [TG_I64] = {.size = sizeof(tg_op),
                .name = "cast",
                .n_in = 1,
                .rule = to_i64_rule,
                .span = &to_i64_spans},
    [TG_U8] = {.size = sizeof(tg_op),
               .name = "cast",
               .n_in = 1,
               .rule = to_u8_rule,
               .span = &to_u8_spans},
};

tg_tensor *tg_cast_at(tg_tape *t, const char *where, tg_tensor *x, tg_dtype dtype)
{
    if (!tg_ready(t, where, "cast", x)) return NULL;
    if (tg_dtype_size(dtype) == 0)
        return tg_fail_at(t, where, TG_EDTYPE, "cast: no such dtype: %d", (int)dtype);
    return tg_dtype_on(t, x) == dtype ? x : tg_apply_1(t, where, &to[dtype], x);
}

/* --------------------------------------- one_hot: attrs are the number of classes and the dtype */

static bool one_hot_rule(tg_rule *r)
{
    if (r->x[0].dtype != TG_I64)
        return tg_rule_fail(r, TG_EDTYPE, "labels are i64, not %s", tg_dtype_name(r->x[0].dtype));
    if (r->x[0].shape.ndim == TG_MAX_DIMS)
        return tg_rule_fail(r, TG_ESHAPE, "%s has 8 dimensions already",
                            tg_shape_text(r->x[0].shape).text);
    r->y = (tg_type){(tg_dtype)r->attrs[1], r->x[0].shape};
    r->y.shape.dim[r->y.shape.ndim++] = r->attrs[0];
    return true;
}

/* carried: one_hot */
static void one_hot_kernel(const tg_call *c)
{
    const int64_t n = tg_shape_count(c->x[0].shape), classes = c->attrs[0], *label = c->x[0].data;
    const size_t size = tg_dtype_size(c->y->dtype);
    char *y = c->y->data;
    memset(y, 0, (size_t)(n * classes) * size);
    for (int64_t i = 0; i < n; i++) {
        if (label[i] < 0 || label[i] >= classes) {
            tg_call_fail(c, i, TG_EINDEX,
                         "label %" PRId64 " at element %" PRId64 " is not in 0..%" PRId64, label[i],
                         i, classes - 1);
            return;
        }
        const int64_t at = i * classes + label[i];
        switch (c->y->dtype) {
        case TG_F32: ((float *)(void *)y)[at] = 1; break;
        case TG_F64: ((double *)(void *)y)[at] = 1; break;
        case TG_I64: ((int64_t *)(void *)y)[at] = 1; break;
        default: y[at] = 1;
        }
    }
}
/* carried so far */

static const tg_op one_hot = {.size = sizeof(tg_op),
                              .name = "one_hot",
                              .n_in = 1,
                              .rule = one_hot_rule,
                              .kernel = one_hot_kernel,
                              .carried = TG_CARRIED("one_hot one_hot_kernel")};

tg_tensor *tg_one_hot_at(tg_tape *t, const char *where, tg_tensor *x, int64_t classes,
                         tg_dtype dtype)
{
    if (!tg_ready(t, where, "one_hot", x)) return NULL;
    if (classes < 1)
        return tg_fail_at(t, where, TG_EVALUE, "one_hot: %" PRId64 " classes", classes);
    if (tg_dtype_size(dtype) == 0)
        return tg_fail_at(t, where, TG_EDTYPE, "one_hot: no such dtype: %d", (int)dtype);
    return tg_apply(t, &one_hot, 1, &x, 2, ((const int64_t[]){classes, (int64_t)dtype}));
}

KNOWN(cast, "any", -1, ("y = x in another dtype, towards zero"))
KNOWN(one_hot, "i64 [...] -> [..., classes]", 0, ("y[..., j] = 1 where x[...] = j, else 0"))

#else

CALL(f32, tg_cast(t, x[0], TG_F32))
CALL(f64, tg_cast(t, x[0], TG_F64))
CALL(i64, tg_cast(t, x[0], TG_I64))
CALL(u8, tg_cast(t, x[0], TG_U8))
EXPECT_EACH(f32, x)
EXPECT_EACH(f64, x)
EXPECT_EACH(i64, x < 0 ? -floor(-x) : floor(x))
EXPECT_EACH(u8, x < 0 ? -floor(-x) : floor(x))
SAMPLES(cast, EACH(f64, "float to f64", 0, REAL(-2, 2)),
        EACH(f32, "float to f32", TG_NOT_SMOOTH, REAL(-2, 2)),
        EACH(i64, "float to i64", TG_NOT_SMOOTH, REAL(-9, 9)),
        EACH(u8, "float to u8", TG_NOT_SMOOTH, REAL(-0.9, 255.9)),
        EACH(f32, "i64 to f32", TG_NOT_SMOOTH, INTEGER(-99, 99)),
        EACH(f64, "i64 to f64", TG_NOT_SMOOTH, INTEGER(-99, 99)),
        EACH(u8, "i64 to u8", TG_NOT_SMOOTH, INTEGER(0, 255)),
        EACH(f32, "u8 to f32", TG_NOT_SMOOTH, BYTE(0, 255)),
        EACH(f64, "u8 to f64", TG_NOT_SMOOTH, BYTE(0, 255)),
        EACH(i64, "u8 to i64", TG_NOT_SMOOTH, BYTE(0, 255)))

static void ones_at(const tg_array *x, tg_array *y)
{
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        ((double *)y->data)[i] = ((const double *)x->data)[i / 5] == (double)(i % 5);
}
CALL(ones, tg_one_hot(t, x[0], 5, TG_F32))
CALL(integer_ones, tg_one_hot(t, x[0], 5, TG_I64))
EXPECT(ones, ones_at(x, y))
EXPECT(integer_ones, ones_at(x, y))
SAMPLES(one_hot, SAMPLE(ones, "a batch", 0, INTEGERS(0, 4, 9)),
        SAMPLE(integer_ones, "to i64", 0, INTEGERS(0, 4, 3, 2)),
        SAMPLE(ones, "a scalar", 0, INTEGER(0, 4)), SAMPLE(ones, "no labels", 0, INTEGERS(0, 4, 0)))

#endif
