/* Arithmetic and elementary functions, element by element. */
#include "elementwise.h"

/* ------------------------------------ + - * / : i64 wraps around, in unsigned arithmetic */

#define SUB_I64(fn, TARGET, BUILD, ...) \
    TG_SPAN_2(fn, TARGET, BUILD, int64_t, int64_t, (uint64_t)a - (uint64_t)b)
#define MUL_I64(fn, TARGET, BUILD, ...) \
    TG_SPAN_2(fn, TARGET, BUILD, int64_t, int64_t, ((uint64_t)a * (uint64_t)b))
#define NEG_I64(fn, TARGET, BUILD, ...) \
    TG_SPAN_1(fn, TARGET, BUILD, int64_t, int64_t, 0 - (uint64_t)x)

TG_EACH_BUILD(TG_SPAN_2, sub_f32, float, float, a - b)
TG_EACH_BUILD(TG_SPAN_2, sub_f64, double, double, a - b)
TG_EACH_BUILD(SUB_I64, sub_i64, )
TG_EACH_BUILD(TG_SPAN_2, mul_f32, float, float, (a * b))
TG_EACH_BUILD(TG_SPAN_2, mul_f64, double, double, (a * b))
TG_EACH_BUILD(MUL_I64, mul_i64, )
TG_EACH_BUILD(TG_SPAN_1, neg_f32, float, float, -x)
TG_EACH_BUILD(TG_SPAN_1, neg_f64, double, double, -x)
TG_EACH_BUILD(NEG_I64, neg_i64, )
TG_SPANS(span_sub, "a - b", TG_BUILDS(sub_f32), TG_BUILDS(sub_f64), TG_BUILDS(sub_i64))
TG_SPANS(span_mul, "a * b", TG_BUILDS(mul_f32), TG_BUILDS(mul_f64), TG_BUILDS(mul_i64))
TG_SPANS(span_neg, "-x", TG_BUILDS(neg_f32), TG_BUILDS(neg_f64), TG_BUILDS(neg_i64))

OP(2, sub, NULL, gx[0] = gy; gx[1] = tg_neg(t, gy))
OP(2, mul, NULL, if (tg_wants(t, 0)) gx[0] = tg_mul(t, gy, x[1]);
   if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, x[0]))
OP(1, neg, NULL, gx[0] = tg_neg(t, gy))

TG_DEFINE_2(add, tg_op_add)
KNOWN(add, "any, broadcast", -1, ("y = a + b"))
PUBLIC_2(sub, ("y = a - b"))
PUBLIC_2(mul, ("y = a b"))
PUBLIC_1(neg, ("y = -x"))
BINARY(div, ("y = a / b", .domain = "b != 0"), a / b, gx[0] = tg_div(t, gy, x[1]);
       if (tg_wants(t, 1)) gx[1] = tg_neg(t, tg_mul(t, gx[0], y)), (REAL(-2, 2), REAL(0.5, 2)),
       a / b)

#define SAMPLED_WITH_I64(name, ...)                            \
    CALL(name, tg_##name(t, x[0], x[1]))                       \
    EXPECT_EACH(name, __VA_ARGS__)                             \
    SAMPLES(name, EACH(name, "", 0, REAL(-2, 2), REAL(-2, 2)), \
            EACH(name, "i64", TG_NOT_SMOOTH, INTEGER(-1000, 1000), INTEGER(-1000, 1000)))
SAMPLED_WITH_I64(add, a + b)
SAMPLED_WITH_I64(sub, a - b)
SAMPLED_WITH_I64(mul, (a * b))
CALL(neg, tg_neg(t, x[0]))
EXPECT_EACH(neg, -x)
SAMPLES(neg, EACH(neg, "", 0, REAL(-2, 2)), EACH(neg, "i64", TG_NOT_SMOOTH, INTEGER(-1000, 1000)))

/* -------------------------------------------------------- a number times x, x plus a number
 *
 * As mul and add, under their own names in messages. Nobody has a handle to the number, so there is
 * no gradient in it. */

TG_SPANS(span_scale, "a * b", TG_BUILDS(mul_f32), TG_BUILDS(mul_f64))
OP(2, scale, NULL, gx[0] = tg_apply_2(t, where, &op_scale, gy, x[1]))
INNER_2(offset, a + b, gx[0] = gy)

#ifndef TG_SAMPLES
tg_tensor *tg_scale_at(tg_tape *t, const char *where, tg_tensor *x, double factor)
{
    return tg_apply_2(t, where, &op_scale, x, number_like(t, where, x, factor));
}
tg_tensor *tg_offset_at(tg_tape *t, const char *where, tg_tensor *x, double term)
{
    return tg_apply_2(t, where, &op_offset, x, number_like(t, where, x, term));
}
#endif

KNOWN(scale, "any", -1, ("y = factor x"))
CALL(scale, tg_scale(t, x[0], -1.5))
EXPECT_EACH(scale, -1.5 * x)
SAMPLES(scale, EACH(scale, "-1.5", 0, REAL(-2, 2)))

KNOWN(offset, "any", -1, ("y = x + term"))
CALL(offset, tg_offset(t, x[0], 0.75))
EXPECT_EACH(offset, x + 0.75)
SAMPLES(offset, EACH(offset, "0.75", 0, REAL(-2, 2)))

/* ---------------------------------------------------------------- powers and roots */

UNARY(square, ("y = x^2"), (x * x), gx[0] = tg_mul(t, gy, tg_scale(t, x[0], 2)), (REAL(-2, 2)),
      (x * x))
UNARY(reciprocal, ("y = 1 / x", .domain = "x != 0"), 1 / x,
      gx[0] = tg_neg(t, tg_mul(t, gy, tg_square(t, y))), (REAL(0.5, 2)), 1 / x)
UNARY(sqrt, ("y = x^(1/2)", .domain = "x >= 0", .kinks = "x = 0"), SQRT(x),
      gx[0] = tg_div(t, gy, tg_scale(t, y, 2)), (REAL(0.3, 3)), sqrt(x))
UNARY(rsqrt, ("y = x^(-1/2)", .domain = "x > 0"), 1 / SQRT(x),
      gx[0] = tg_scale(t, tg_mul(t, gy, tg_mul(t, y, tg_square(t, y))), -0.5), (REAL(0.3, 3)),
      1 / sqrt(x))

/* a / b, and 0 where b is: the slopes of a length at the origin */
INNER_2(slope_over, b == 0 ? 0 : a / b, gx[0] = tg_slope_over(t, where, gy, x[1]);
        gx[1] = tg_neg(t, tg_mul(t, gy, tg_slope_over(t, where, y, x[1]))))
#ifndef TG_SAMPLES
tg_tensor *tg_slope_over(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    return tg_apply_2(t, where, &op_slope_over, a, b);
}
#endif
BINARY(hypot, ("y = (a^2 + b^2)^(1/2)", .kinks = "a = b = 0"), HYPOT(a, b),
       if (tg_wants(t, 0)) gx[0] = tg_mul(t, gy, tg_slope_over(t, where, x[0], y));
       if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, tg_slope_over(t, where, x[1], y)),
       (REAL(-2, 2), REAL(0.3, 2)), hypot(a, b))

/* ---------------------------------------------------------------- pow
 *
 * All derivatives of a^b are sums of terms c a^b (log a)^m, with other a, b and c. A term whose
 * coefficient is 0 is absent, whatever a^b would be (0^-1); and log a counts as 0 where a = 0 and b
 * >= 0, as PyTorch has it. */

/* carried: arithmetic */
#define LOG_TERM(fn, TARGET, BUILD, A)                                                   \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand)    \
    {                                                                                    \
        enum { build = BUILD };                                                          \
        const A *c = (const A *)operand[0], *a = (const A *)operand[1], *b = operand[2]; \
        A *y = (A *)result;                                                              \
        for (int64_t i = 0; i < s->n; i++) {                                             \
            const bool absent = c[i] == 0 || (a[i] == 0 && b[i] >= 0);                   \
            const A l = LOG(a[i]);                                                       \
            A product = c[i] * POW(a[i], b[i]);                                          \
            for (int64_t m = 0; m < s->attrs[0]; m++) product *= l;                      \
            y[i] = absent ? 0 : product;                                                 \
        }                                                                                \
    }
TG_EACH_BUILD(LOG_TERM, log_term_f32, float)
TG_EACH_BUILD_F64(LOG_TERM, log_term_f64, double)
TG_SPANS_WITH(span_pow_log_term, NULL, TG_CARRIED("arithmetic span_pow_log_term"),
              TG_BUILDS(log_term_f32), TG_BUILDS_F64(log_term_f64))
/* carried so far */

#ifndef TG_SAMPLES
static const tg_op op_pow_term, op_pow_log_term;

/* c a^b (log a)^m */
static tg_tensor *power(tg_tape *t, const char *where, tg_tensor *c, tg_tensor *a, tg_tensor *b,
                        int64_t m)
{
    tg_tensor *x[] = {c, a, b};
    return tg_apply(t, m ? &op_pow_log_term : &op_pow_term, 3, x, m != 0, &m);
}

static void term_derivatives(TG_VJP, int64_t m)
{
    tg_tensor *c = x[0], *a = x[1], *b = x[2], *lower = tg_offset(t, b, -1);
    gx[0] = tg_mul(t, gy, power(t, where, tg_constant_like(t, a, 1), a, b, m));
    gx[1] = power(t, where, tg_mul(t, c, b), a, lower, m);
    if (m) gx[1] = tg_add(t, gx[1], tg_scale(t, power(t, where, c, a, lower, m - 1), (double)m));
    gx[1] = tg_mul(t, gy, gx[1]);
    gx[2] = tg_mul(t, gy, power(t, where, c, a, b, m + 1));
}
#endif

INNER_3(pow_term, a == 0 ? 0 : a * POW(b, c), term_derivatives(TG_PULLED, 0))
OP(3, pow_log_term, NULL, term_derivatives(TG_PULLED, attrs[0]))
INNER_2(pow, POW(a, b),
        if (tg_wants(t, 0))
            gx[0] = tg_mul(t, gy, power(t, where, x[1], x[0], tg_offset(t, x[1], -1), 0));
        if (tg_wants(t, 1))
            gx[1] = tg_mul(t, gy, power(t, where, tg_constant_like(t, x[0], 1), x[0], x[1], 1)))
PUBLIC_2(pow, ("y = a^b", .domain = "a > 0, or b a whole number", .kinks = "a = 0"))

CALL(pow, tg_pow(t, x[0], x[1]))
EXPECT_EACH(pow, pow(a, b))
CALL(cube, tg_pow(t, x[0], tg_constant_like(t, x[0], 3)))
EXPECT_EACH(cube, (x * x * x))
SAMPLES(pow, EACH(pow, "", 0, REAL(0.3, 2), REAL(-2, 2)),
        EACH(cube, "cube of any sign", 0, REAL(-2, 2)))

/* ---------------------------------------------------------------- exponentials and logarithms */

UNARY(exp, ("y = e^x"), EXP(x), gx[0] = tg_mul(t, gy, y), (REAL(-3, 2)), exp(x))
UNARY(expm1, ("y = e^x - 1"), EXPM1(x), gx[0] = tg_mul(t, gy, tg_offset(t, y, 1)), (REAL(-3, 2)),
      expm1(x))
UNARY(log, ("y = ln x", .domain = "x > 0"), LOG(x), gx[0] = tg_div(t, gy, x[0]), (REAL(0.3, 4)),
      log(x))
UNARY(log1p, ("y = ln(1 + x)", .domain = "x > -1"), LOG1P(x),
      gx[0] = tg_div(t, gy, tg_offset(t, x[0], 1)), (REAL(-0.6, 3)), log1p(x))

/* (1 - w) a + w b, from the nearer end, so that w = 0 and w = 1 give a and b */
INNER_3(lerp, c < (float)0.5 ? a + c * (b - a) : b - (b - a) * (1 - c),
        gx[0] = tg_sub(t, gy, tg_mul(t, gy, x[2]));
        gx[1] = tg_mul(t, gy, x[2]); gx[2] = tg_mul(t, gy, tg_sub(t, x[1], x[0])))
#ifndef TG_SAMPLES
tg_tensor *tg_lerp_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b, tg_tensor *w)
{
    return tg_apply_3(t, where, &op_lerp, a, b, w);
}
#endif
KNOWN(lerp, "any, broadcast", -1, ("y = a + w (b - a)"))
CALL(lerp, tg_lerp(t, x[0], x[1], x[2]))
EXPECT_EACH(lerp, (1 - c) * a + c * b)
SAMPLES(lerp, EACH(lerp, "", 0, REAL(-2, 2), REAL(-2, 2), REAL(-1, 2)))

/* --------------------------------- pieces: derivatives but those of abs and frac are 0 */

INNER_1(abs, ABS(x), gx[0] = tg_mul(t, gy, tg_sign(t, x[0])))
INNER_1(sign, x > 0 ? 1 : x < 0 ? -1 : x, gx[0] = zeros_like(t, where, x[0]))
INNER_1(floor, FLOOR(x), gx[0] = zeros_like(t, where, x[0]))
INNER_1(ceil, -FLOOR(-x), gx[0] = zeros_like(t, where, x[0]))
INNER_1(round, ROUND(x), gx[0] = zeros_like(t, where, x[0]))
INNER_1(trunc, x < 0 ? -FLOOR(-x) : FLOOR(x), gx[0] = zeros_like(t, where, x[0]))
INNER_1(frac, x < 0 ? x + FLOOR(-x) : x - FLOOR(x), gx[0] = gy)

/* One piece, another, and many of them. */
#define PIECES(name, known, operand_1, operand_2, operand_all, ...) \
    PUBLIC_1(name, known)                                           \
    CALL(name, tg_##name(t, x[0]))                                  \
    EXPECT_EACH(name, __VA_ARGS__)                                  \
    SAMPLES(name, EACH(name, "one piece", 0, TG_UNPACK operand_1),  \
            EACH(name, "another piece", 0, TG_UNPACK operand_2),    \
            EACH(name, "many pieces", TG_NOT_SMOOTH, TG_UNPACK operand_all))

PIECES(abs, ("y = |x|", .kinks = "x = 0"), (REAL(0.2, 2)), (REAL(-2, -0.2)), (REAL(-2, 2)),
       x < 0 ? -x : x)
PIECES(sign, ("y = -1, 0 or 1", .kinks = "x = 0"), (REAL(0.2, 2)), (REAL(-2, -0.2)), (REAL(-2, 2)),
       (x > 0) - (x < 0))
PIECES(floor, ("y = the largest integer <= x", .kinks = "integers"), (REAL(1.1, 1.9)),
       (REAL(-2.9, -2.1)), (REAL(-9, 9)), floor(x))
PIECES(ceil, ("y = the smallest integer >= x", .kinks = "integers"), (REAL(1.1, 1.9)),
       (REAL(-2.9, -2.1)), (REAL(-9, 9)), ceil(x))
PIECES(round, ("y = the nearest integer, halves to even", .kinks = "halves"), (REAL(1.6, 2.4)),
       (REAL(-3.4, -2.6)), (REAL(-9, 9)), nearbyint(x))
PIECES(trunc, ("y = the nearest integer towards 0", .kinks = "integers but 0"), (REAL(1.1, 1.9)),
       (REAL(-2.9, -2.1)), (REAL(-9, 9)), trunc(x))
PIECES(frac, ("y = x - trunc x", .kinks = "integers but 0"), (REAL(1.1, 1.9)), (REAL(-2.9, -2.1)),
       (REAL(-9, 9)), x - trunc(x))

/* -------------------- sin, cos, tan: large arguments send a block through it element by element */

/* carried: arithmetic */
#define CIRCULAR(fn, TARGET, BUILD, T, near_one, far_one, turn)                       \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        const T *x = (const T *)operand[0];                                           \
        T *y = (T *)result;                                                           \
        const int64_t n = s->n;                                                       \
        int far = 0;                                                                  \
        for (int64_t i = 0; i < n; i++) far |= !(ABS(x[i]) < (T)TRIG_LIMIT);          \
        if (!far) {                                                                   \
            TG_INDEPENDENT                                                            \
            for (int64_t i = 0; i < n; i++) y[i] = (T)near_one(x[i], turn);           \
            return;                                                                   \
        }                                                                             \
        for (int64_t i = 0; i < n; i++)                                               \
            if (ABS(x[i]) < (T)TRIG_LIMIT) y[i] = (T)near_one(x[i], turn);            \
            else y[i] = (T)far_one((double)x[i], turn);                               \
    }
#define SIN_NEAR_F32(x, turn) sin_turned_f32(x, turn, build)
#define TAN_NEAR(x, turn) tan_f64((double)(x))
#define TAN_FAR(x, turn) tan_far_f64(x)
TG_EACH_BUILD(CIRCULAR, sin_f32, float, SIN_NEAR_F32, sin_turned_far_f64, 0)
TG_EACH_BUILD(CIRCULAR, cos_f32, float, SIN_NEAR_F32, sin_turned_far_f64, 1)
TG_EACH_BUILD(CIRCULAR, tan_f32, float, TAN_NEAR, TAN_FAR, 0)
TG_EACH_BUILD_F64(CIRCULAR, sin_f64, double, sin_turned_f64, sin_turned_far_f64, 0)
TG_EACH_BUILD_F64(CIRCULAR, cos_f64, double, sin_turned_f64, sin_turned_far_f64, 1)
TG_EACH_BUILD_F64(CIRCULAR, tan_f64_of, double, TAN_NEAR, TAN_FAR, 0)
TG_SPANS_WITH(span_sin, NULL, TG_CARRIED("arithmetic span_sin"), TG_BUILDS(sin_f32),
              TG_BUILDS_F64(sin_f64))
TG_SPANS_WITH(span_cos, NULL, TG_CARRIED("arithmetic span_cos"), TG_BUILDS(cos_f32),
              TG_BUILDS_F64(cos_f64))
TG_SPANS_WITH(span_tan, NULL, TG_CARRIED("arithmetic span_tan"), TG_BUILDS(tan_f32),
              TG_BUILDS_F64(tan_f64_of))
/* carried so far */

OP(1, sin, NULL, gx[0] = tg_mul(t, gy, tg_cos(t, x[0])))
OP(1, cos, NULL, gx[0] = tg_neg(t, tg_mul(t, gy, tg_sin(t, x[0]))))
OP(1, tan, NULL, gx[0] = tg_mul(t, gy, tg_offset(t, tg_square(t, y), 1)))
PUBLIC_1(sin, ("y = sin x"))
PUBLIC_1(cos, ("y = cos x"))
PUBLIC_1(tan, ("y = sin x / cos x"))
SAMPLED_1(sin, (REAL(-7, 7)), sin(x))
SAMPLED_1(cos, (REAL(-7, 7)), cos(x))
SAMPLED_1(tan, (REAL(-1.2, 1.2)), tan(x))

/* ---------------------------------------------------------------- tanh, erf */

INNER_1(tanh_slope, TANH_SLOPE(EXP(-2 * ABS(x))),
        gx[0] = tg_mul(t, gy, tg_scale(t, tg_mul(t, y, tg_tanh(t, x[0])), -2)))
INNER_2(tanh_gradient, (1 - b * b) * a, gx[0] = tg_apply_2(t, where, &op_tanh_gradient, gy, x[1]);
        if (tg_wants(t, 1)) gx[1] = tg_scale(t, tg_mul(t, tg_mul(t, gy, x[0]), x[1]), -2))
/* In f64 from x: 1 / cosh^2 x. In f32 from y, without another exponential: 1 - y^2 is off by up to
 * 1.2e-7, however small it is. */
UNARY(tanh, ("y = (e^x - e^-x) / (e^x + e^-x)"), TANH(x),
      gx[0] = tg_tensor_dtype(x[0]) == TG_F64
                  ? tg_mul(t, gy, tg_apply_1(t, where, &op_tanh_slope, x[0]))
                  : tg_apply_2(t, where, &op_tanh_gradient, gy, y),
      (REAL(-3, 3)), tanh(x))
UNARY(erf, ("y = 2/sqrt(pi) integral from 0 to x of e^(-s^2) ds"), ERF(x),
      gx[0] = tg_mul(t, gy,
                     tg_scale(t, tg_exp(t, tg_neg(t, tg_square(t, x[0]))), 1.1283791670955126)),
      (REAL(-3, 3)), erf(x))
