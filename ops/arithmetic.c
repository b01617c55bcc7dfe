/* Arithmetic and elementary functions, element by element. */
#include "elementwise.h"

/* ------------------------------------------- + - * / : i64 wraps around, in unsigned arithmetic */

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
TG_SPANS(sub_span, "a - b", TG_BUILDS(sub_f32), TG_BUILDS(sub_f64), TG_BUILDS(sub_i64))
TG_SPANS(mul_span, "a * b", TG_BUILDS(mul_f32), TG_BUILDS(mul_f64), TG_BUILDS(mul_i64))
TG_SPANS(neg_span, "-x", TG_BUILDS(neg_f32), TG_BUILDS(neg_f64), TG_BUILDS(neg_i64))
TG_MAP_2(div_span, a / b)

static void sub_vjp(TG_VJP)
{
    gx[0] = gy;
    gx[1] = tg_neg(t, gy);
}
static void mul_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, x[1]);
    gx[1] = tg_mul(t, gy, x[0]);
}
static void div_vjp(TG_VJP)
{
    gx[0] = tg_div(t, gy, x[1]);
    gx[1] = tg_neg(t, tg_mul(t, gx[0], y));
}
static void neg_vjp(TG_VJP) { gx[0] = tg_neg(t, gy); }

static const tg_op sub = OP_2("sub", sub_span, sub_vjp);
static const tg_op mul = OP_2("mul", mul_span, mul_vjp);
static const tg_op divide = OP_2("div", div_span, div_vjp);
static const tg_op neg = OP_1("neg", neg_span, neg_vjp);

TG_DEFINE_2(add, tg_op_add)
TG_DEFINE_2(sub, sub)
TG_DEFINE_2(mul, mul)
TG_DEFINE_2(div, divide)
TG_DEFINE_1(neg, neg)

#define INFO_WITH_I64(name, formula_text, ...)                                                  \
    RECORD(name, (tg_##name)(t, x[0], x[1]))                                                    \
    ELEMENT_2(name, __VA_ARGS__)                                                                \
    static const tg_sample samples_##name[] = {                                                 \
        SAMPLE("", 0, 2, record_##name, element_##name, REAL(-2, 2), REAL(-2, 2)),              \
        SAMPLE("i64", TG_NOT_SMOOTH, 2, record_##name, element_##name, IN(TG_I64, -1000, 1000), \
               IN(TG_I64, -1000, 1000))};                                                       \
    TG_INFO(name, formula_text, "any, broadcast", -1, samples_##name)

INFO_WITH_I64(add, "y = a + b", a + b)
INFO_WITH_I64(sub, "y = a - b", a - b)
INFO_WITH_I64(mul, "y = a b", (a * b))
INFO_2(div, "y = a / b", -2, 2, 0.5, 2, a / b)

RECORD(neg, (tg_neg)(t, x[0]))
ELEMENT_1(neg, -x)
static const tg_sample samples_neg[] = {
    SAMPLE("", 0, 1, record_neg, element_neg, REAL(-2, 2)),
    SAMPLE("i64", TG_NOT_SMOOTH, 1, record_neg, element_neg, IN(TG_I64, -1000, 1000))};
TG_INFO(neg, "y = -x", "any", -1, samples_neg)

/* -------------------------------------------------------- a number times x, x plus a number
 *
 * As mul and add, under their own names in messages. Nobody has a handle to the number, so there is
 * no gradient in it. */

TG_SPANS(scale_span, "a * b", TG_BUILDS(mul_f32), TG_BUILDS(mul_f64))
TG_MAP_2(offset_span, a + b)

static const tg_op scale, offset;
static void scale_vjp(TG_VJP) { gx[0] = tg_apply_2(t, where, &scale, gy, x[1]); }
static void offset_vjp(TG_VJP) { gx[0] = gy; }
static const tg_op scale = OP_2("scale", scale_span, scale_vjp);
static const tg_op offset = OP_2("offset", offset_span, offset_vjp);

tg_tensor *tg_scale_at(tg_tape *t, const char *where, tg_tensor *x, double factor)
{
    return tg_apply_2(t, where, &scale, x, number_like(t, where, x, factor));
}
tg_tensor *tg_offset_at(tg_tape *t, const char *where, tg_tensor *x, double term)
{
    return tg_apply_2(t, where, &offset, x, number_like(t, where, x, term));
}

RECORD(scale, (tg_scale)(t, x[0], -1.5))
ELEMENT_1(scale, -1.5 * x)
static const tg_sample samples_scale[] = {
    SAMPLE("-1.5", 0, 1, record_scale, element_scale, REAL(-2, 2))};
TG_INFO(scale, "y = factor x", "any", -1, samples_scale)
RECORD(offset, (tg_offset)(t, x[0], 0.75))
ELEMENT_1(offset, x + 0.75)
static const tg_sample samples_offset[] = {
    SAMPLE("0.75", 0, 1, record_offset, element_offset, REAL(-2, 2))};
TG_INFO(offset, "y = x + term", "any", -1, samples_offset)

/* ---------------------------------------------------------------- powers and roots */

TG_MAP_1(square_span, (x * x))
TG_MAP_1(reciprocal_span, 1 / x)
TG_MAP_1(sqrt_span, SQRT(x))
TG_MAP_1(rsqrt_span, 1 / SQRT(x))

static void square_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_scale(t, x[0], 2)); }
static void reciprocal_vjp(TG_VJP) { gx[0] = tg_neg(t, tg_mul(t, gy, tg_square(t, y))); }
static void sqrt_vjp(TG_VJP) { gx[0] = tg_div(t, gy, tg_scale(t, y, 2)); }
static void rsqrt_vjp(TG_VJP)
{
    gx[0] = tg_scale(t, tg_mul(t, gy, tg_mul(t, y, tg_square(t, y))), -0.5);
}

static const tg_op square = OP_1("square", square_span, square_vjp);
static const tg_op reciprocal = OP_1("reciprocal", reciprocal_span, reciprocal_vjp);
static const tg_op root = OP_1("sqrt", sqrt_span, sqrt_vjp);
static const tg_op rsqrt = OP_1("rsqrt", rsqrt_span, rsqrt_vjp);

TG_DEFINE_1(square, square)
TG_DEFINE_1(reciprocal, reciprocal)
TG_DEFINE_1(sqrt, root)
TG_DEFINE_1(rsqrt, rsqrt)

INFO_1(square, "y = x^2", -2, 2, (x * x))
INFO_1(reciprocal, "y = 1 / x", 0.5, 2, 1 / x)
INFO_1(sqrt, "y = x^(1/2)", 0.3, 3, sqrt(x))
INFO_1(rsqrt, "y = x^(-1/2)", 0.3, 3, 1 / sqrt(x))

/* ---------------------------------------------------------------- pow
 *
 * All derivatives of a^b are sums of terms c a^b (log a)^m, with other a, b and c. A term whose
 * coefficient is 0 is absent, whatever a^b would be (0^-1); and log a counts as 0 where a = 0 and b
 * >= 0, as PyTorch has it. */

TG_MAP_2(pow_span, POW(a, b))
TG_MAP_3(term_span, a == 0 ? 0 : a * POW(b, c))

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
TG_EACH_BUILD(LOG_TERM, log_term_f64, double)
TG_SPANS(log_term_span, NULL, TG_BUILDS(log_term_f32), TG_BUILDS(log_term_f64))

static const tg_op pow_term, pow_log_term;

/* c a^b (log a)^m */
static tg_tensor *power(tg_tape *t, const char *where, tg_tensor *c, tg_tensor *a, tg_tensor *b,
                        int64_t m)
{
    tg_tensor *x[] = {c, a, b};
    return tg_apply(t, m ? &pow_log_term : &pow_term, 3, x, m != 0, &m);
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
static void pow_term_vjp(TG_VJP) { term_derivatives(t, where, n_in, x, y, attrs, gy, gx, 0); }
static void pow_log_term_vjp(TG_VJP)
{
    term_derivatives(t, where, n_in, x, y, attrs, gy, gx, attrs[0]);
}
static void pow_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, power(t, where, x[1], x[0], tg_offset(t, x[1], -1), 0));
    gx[1] = tg_mul(t, gy, power(t, where, tg_constant_like(t, x[0], 1), x[0], x[1], 1));
}

static const tg_op pow_term = OP_3("pow_term", term_span, pow_term_vjp);
static const tg_op pow_log_term = OP_3("pow_log_term", log_term_span, pow_log_term_vjp);
static const tg_op to_the = OP_2("pow", pow_span, pow_vjp);
TG_DEFINE_2(pow, to_the)

RECORD(pow, (tg_pow)(t, x[0], x[1]))
RECORD(pow_constant, (tg_pow)(t, x[0], (tg_constant_like_at)(t, NULL, x[0], 3)))
ELEMENT_2(pow, pow(a, b))
ELEMENT_1(cube, (x * x * x))
static const tg_sample samples_pow[] = {
    SAMPLE("", 0, 2, record_pow, element_pow, REAL(0.3, 2), REAL(-2, 2)),
    SAMPLE("cube of any sign", 0, 1, record_pow_constant, element_cube, REAL(-2, 2))};
TG_INFO(pow, "y = a^b", "any, broadcast", -1, samples_pow)

/* ---------------------------------------------------------------- exponentials and logarithms */

TG_MAP_1(exp_span, EXP(x))
TG_MAP_1(expm1_span, EXPM1(x))
TG_MAP_1(log_span, LOG(x))
TG_MAP_1(log1p_span, LOG1P(x))

static void exp_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, y); }
static void expm1_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_offset(t, y, 1)); }
static void log_vjp(TG_VJP) { gx[0] = tg_div(t, gy, x[0]); }
static void log1p_vjp(TG_VJP) { gx[0] = tg_div(t, gy, tg_offset(t, x[0], 1)); }

static const tg_op exponential = OP_1("exp", exp_span, exp_vjp);
static const tg_op exponential_m1 = OP_1("expm1", expm1_span, expm1_vjp);
static const tg_op logarithm = OP_1("log", log_span, log_vjp);
static const tg_op logarithm_1p = OP_1("log1p", log1p_span, log1p_vjp);

TG_DEFINE_1(exp, exponential)
TG_DEFINE_1(expm1, exponential_m1)
TG_DEFINE_1(log, logarithm)
TG_DEFINE_1(log1p, logarithm_1p)

INFO_1(exp, "y = e^x", -3, 2, exp(x))
INFO_1(expm1, "y = e^x - 1", -3, 2, expm1(x))
INFO_1(log, "y = ln x", 0.3, 4, log(x))
INFO_1(log1p, "y = ln(1 + x)", -0.6, 3, log1p(x))

/* --------------------------------- pieces: the derivatives of sign, floor, ceil and round are 0 */

TG_MAP_1(abs_span, ABS(x))
TG_MAP_1(sign_span, x > 0 ? 1 : x < 0 ? -1 : x)
TG_MAP_1(floor_span, FLOOR(x))
TG_MAP_1(ceil_span, -FLOOR(-x))
TG_MAP_1(round_span, ROUND(x))

static void abs_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_sign(t, x[0])); }
static void piecewise_vjp(TG_VJP) { gx[0] = zeros_like(t, where, x[0]); }

static const tg_op absolute = OP_1("abs", abs_span, abs_vjp);
static const tg_op sign = OP_1("sign", sign_span, piecewise_vjp);
static const tg_op round_down = OP_1("floor", floor_span, piecewise_vjp);
static const tg_op round_up = OP_1("ceil", ceil_span, piecewise_vjp);
static const tg_op round_to_even = OP_1("round", round_span, piecewise_vjp);

TG_DEFINE_1(abs, absolute)
TG_DEFINE_1(sign, sign)
TG_DEFINE_1(floor, round_down)
TG_DEFINE_1(ceil, round_up)
TG_DEFINE_1(round, round_to_even)

#define INFO_PIECES(name, formula_text, least, greatest, low_1, high_1, low_2, high_2, ...) \
    RECORD(name, (tg_##name)(t, x[0]))                                                      \
    ELEMENT_1(name, __VA_ARGS__)                                                            \
    static const tg_sample samples_##name[] = {                                             \
        SAMPLE("one piece", 0, 1, record_##name, element_##name, REAL(low_1, high_1)),      \
        SAMPLE("another piece", 0, 1, record_##name, element_##name, REAL(low_2, high_2)),  \
        SAMPLE("many pieces", TG_NOT_SMOOTH, 1, record_##name, element_##name,              \
               REAL(least, greatest))};                                                     \
    TG_INFO(name, formula_text, "any", -1, samples_##name)

INFO_PIECES(abs, "y = |x|", -2, 2, 0.2, 2, -2, -0.2, x < 0 ? -x : x)
INFO_PIECES(sign, "y = -1, 0 or 1", -2, 2, 0.2, 2, -2, -0.2, (x > 0) - (x < 0))
INFO_PIECES(floor, "y = the largest integer <= x", -9, 9, 1.1, 1.9, -2.9, -2.1, floor(x))
INFO_PIECES(ceil, "y = the smallest integer >= x", -9, 9, 1.1, 1.9, -2.9, -2.1, ceil(x))
INFO_PIECES(round, "y = the nearest integer, halves to even", -9, 9, 1.6, 2.4, -3.4, -2.6,
            nearbyint(x))

/* ------------------------- sin, cos: large arguments send a block through it element by element */

#define SIN(fn, TARGET, BUILD, T, near_one, turn)                                     \
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
            for (int64_t i = 0; i < n; i++) y[i] = near_one(x[i], turn);              \
            return;                                                                   \
        }                                                                             \
        for (int64_t i = 0; i < n; i++)                                               \
            if (ABS(x[i]) < (T)TRIG_LIMIT) y[i] = near_one(x[i], turn);               \
            else y[i] = (T)sin_turned_far_f64((double)x[i], turn);                    \
    }
#define NEAR_F32(x, turn) sin_turned_f32(x, turn, build)
TG_EACH_BUILD(SIN, sin_f32, float, NEAR_F32, 0)
TG_EACH_BUILD(SIN, cos_f32, float, NEAR_F32, 1)
TG_EACH_BUILD(SIN, sin_f64, double, sin_turned_f64, 0)
TG_EACH_BUILD(SIN, cos_f64, double, sin_turned_f64, 1)
TG_SPANS(sin_span, NULL, TG_BUILDS(sin_f32), TG_BUILDS(sin_f64))
TG_SPANS(cos_span, NULL, TG_BUILDS(cos_f32), TG_BUILDS(cos_f64))

static void sin_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_cos(t, x[0])); }
static void cos_vjp(TG_VJP) { gx[0] = tg_neg(t, tg_mul(t, gy, tg_sin(t, x[0]))); }

static const tg_op sine = OP_1("sin", sin_span, sin_vjp);
static const tg_op cosine = OP_1("cos", cos_span, cos_vjp);
TG_DEFINE_1(sin, sine)
TG_DEFINE_1(cos, cosine)
INFO_1(sin, "y = sin x", -7, 7, sin(x))
INFO_1(cos, "y = cos x", -7, 7, cos(x))

/* ---------------------------------------------------------------- tanh, erf */

TG_MAP_1(tanh_span, TANH(x))
TG_MAP_1(tanh_slope_span, TANH_SLOPE(EXP(-2 * ABS(x))))
TG_MAP_2(tanh_gradient_span, (1 - b * b) * a)
TG_MAP_1(erf_span, ERF(x))

/* In f64 from x: 1 / cosh^2 x. In f32 from y, without another exponential: 1 - y^2 is off by up to
 * 1.2e-7, however small it is. */
static const tg_op tanh_gradient, tanh_slope;
static void tanh_vjp(TG_VJP)
{
    if (tg_tensor_dtype(x[0]) == TG_F64)
        gx[0] = tg_mul(t, gy, tg_apply_1(t, where, &tanh_slope, x[0]));
    else gx[0] = tg_apply_2(t, where, &tanh_gradient, gy, y);
}
static void tanh_slope_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, tg_scale(t, tg_mul(t, y, tg_tanh(t, x[0])), -2));
}
static void tanh_gradient_vjp(TG_VJP)
{
    gx[0] = tg_apply_2(t, where, &tanh_gradient, gy, x[1]);
    gx[1] = tg_scale(t, tg_mul(t, tg_mul(t, gy, x[0]), x[1]), -2);
}
static void erf_vjp(TG_VJP)
{
    gx[0] =
        tg_mul(t, gy, tg_scale(t, tg_exp(t, tg_neg(t, tg_square(t, x[0]))), 1.1283791670955126));
}

static const tg_op tangent = OP_1("tanh", tanh_span, tanh_vjp);
static const tg_op tanh_slope = OP_1("tanh_slope", tanh_slope_span, tanh_slope_vjp);
static const tg_op tanh_gradient = OP_2("tanh_gradient", tanh_gradient_span, tanh_gradient_vjp);
static const tg_op error = OP_1("erf", erf_span, erf_vjp);
TG_DEFINE_1(tanh, tangent)
TG_DEFINE_1(erf, error)
INFO_1(tanh, "y = (e^x - e^-x) / (e^x + e^-x)", -3, 3, tanh(x))
INFO_1(erf, "y = 2/sqrt(pi) integral from 0 to x of e^(-s^2) ds", -3, 3, erf(x))
