/* Activation functions. */
#include "elementwise.h"

/* ------------------------------------------------------------- sigmoid, softplus and their like */

TG_MAP_1(sigmoid_span, SIGMOID(x))
TG_MAP_1(sigmoid_slope_span, SIGMOID_SLOPE(EXP(-ABS(x))))
TG_MAP_2(sigmoid_gradient_span, (1 - b) * b * a)
TG_MAP_1(softplus_span, (x > 0 ? x : 0) + LOG1P_UNIT(EXP(-ABS(x))))
TG_MAP_1(logsigmoid_span, (x < 0 ? x : 0) - LOG1P_UNIT(EXP(-ABS(x))))
/* inf - inf is NaN */
TG_MAP_2(logaddexp_span, (a > b ? a : b) + LOG1P_UNIT(EXP(a == b ? 0 : -ABS(a - b))))

/* In f64 from x: sigmoid(x) sigmoid(-x). In f32 from y, without another exponential: y (1 - y) is
 * off by up to 6e-8, however small it is. */
static const tg_op sigmoid_gradient, sigmoid_slope;
static void sigmoid_vjp(TG_VJP)
{
    if (tg_tensor_dtype(x[0]) == TG_F64) gx[0] = tg_mul(t, gy, tg_sigmoid_slope(t, where, x[0]));
    else gx[0] = tg_apply_2(t, where, &sigmoid_gradient, gy, y);
}
/* 1 - 2 sigmoid(x) = -tanh(x/2) */
static void sigmoid_slope_vjp(TG_VJP)
{
    gx[0] = tg_neg(t, tg_mul(t, gy, tg_mul(t, y, tg_tanh(t, tg_scale(t, x[0], 0.5)))));
}
static void sigmoid_gradient_vjp(TG_VJP)
{
    gx[0] = tg_apply_2(t, where, &sigmoid_gradient, gy, x[1]);
    gx[1] = tg_mul(t, tg_mul(t, gy, x[0]), tg_offset(t, tg_scale(t, x[1], -2), 1));
}
static tg_tensor *softplus_slope_of(tg_tape *t, const char *where, tg_tensor *x);
static void softplus_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, softplus_slope_of(t, where, x[0])); }
static void logsigmoid_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, softplus_slope_of(t, where, tg_neg(t, x[0])));
}
static void logaddexp_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, softplus_slope_of(t, where, tg_sub(t, x[0], x[1])));
    gx[1] = tg_mul(t, gy, softplus_slope_of(t, where, tg_sub(t, x[1], x[0])));
}
static void softplus_slope_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_sigmoid_slope(t, where, x[0])); }

static const tg_op sigmoid = OP_1("sigmoid", sigmoid_span, sigmoid_vjp);
static const tg_op sigmoid_slope = OP_1("sigmoid_slope", sigmoid_slope_span, sigmoid_slope_vjp);
static const tg_op sigmoid_gradient =
    OP_2("sigmoid_gradient", sigmoid_gradient_span, sigmoid_gradient_vjp);
tg_tensor *tg_sigmoid_slope(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply_1(t, where, &sigmoid_slope, x);
}
/* sigmoid, but exact in the tails at the second order in f32, too: there nothing is saved by
 * deriving it from its result. */
static const tg_op softplus_slope = OP_1("softplus_slope", sigmoid_span, softplus_slope_vjp);
static tg_tensor *softplus_slope_of(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply_1(t, where, &softplus_slope, x);
}
static const tg_op softplus = OP_1("softplus", softplus_span, softplus_vjp);
static const tg_op logsigmoid = OP_1("logsigmoid", logsigmoid_span, logsigmoid_vjp);
static const tg_op logaddexp = OP_2("logaddexp", logaddexp_span, logaddexp_vjp);

TG_DEFINE_1(sigmoid, sigmoid)
TG_DEFINE_1(softplus, softplus)
TG_DEFINE_1(logsigmoid, logsigmoid)
TG_DEFINE_2(logaddexp, logaddexp)

INFO_1(sigmoid, "y = 1 / (1 + e^-x)", -5, 5, 1 / (1 + exp(-x)))
INFO_1(softplus, "y = ln(1 + e^x)", -5, 5, log(1 + exp(x)))
INFO_1(logsigmoid, "y = -ln(1 + e^-x)", -5, 5, -log(1 + exp(-x)))
INFO_2(logaddexp, "y = ln(e^a + e^b)", -3, 3, -3, 3, log(exp(a) + exp(b)))

/* ------------------------------------------- relu and its like: gates that pass gy or not, by y */

TG_MAP_1(relu_span, x <= 0 ? 0 : x)
TG_MAP_2(relu_gate_span, b <= 0 ? 0 : a)
TG_MAP_1(relu6_span, x <= 0 ? 0 : x >= 6 ? 6 : x)
TG_MAP_2(relu6_gate_span, b <= 0 || b >= 6 ? 0 : a)
TG_MAP_1(hardtanh_span, x <= -1 ? -1 : x >= 1 ? 1 : x)
TG_MAP_2(hardtanh_gate_span, b <= -1 || b >= 1 ? 0 : a)

/* An op of x, and the gate of gy and y that is its gradient; as a function of y the gate is made of
 * constant pieces. */
#define GATED(name)                                                                          \
    static const tg_op name##_gate;                                                          \
    static void name##_vjp(TG_VJP) { gx[0] = tg_apply_2(t, where, &name##_gate, gy, y); }    \
    static void name##_gate_vjp(TG_VJP)                                                      \
    {                                                                                        \
        gx[0] = tg_apply_2(t, where, &name##_gate, gy, x[1]);                                \
        gx[1] = zeros_like(t, where, x[1]);                                                  \
    }                                                                                        \
    static const tg_op name = OP_1(#name, name##_span, name##_vjp);                          \
    static const tg_op name##_gate = OP_2(#name "_gate", name##_gate_span, name##_gate_vjp); \
    TG_DEFINE_1(name, name)

GATED(relu)
GATED(relu6)
GATED(hardtanh)

#define INFO_KINKED(name, formula_text, low_1, high_1, low_2, high_2, ...)            \
    RECORD(name, (tg_##name)(t, x[0]))                                                \
    ELEMENT_1(name, __VA_ARGS__)                                                      \
    static const tg_sample samples_##name[] = {                                       \
        SAMPLE("below", 0, 1, record_##name, element_##name, REAL(low_1, high_1)),    \
        SAMPLE("between", 0, 1, record_##name, element_##name, REAL(low_2, high_2)),  \
        SAMPLE("all", TG_NOT_SMOOTH, 1, record_##name, element_##name, REAL(-8, 8))}; \
    TG_INFO(name, formula_text, "any", -1, samples_##name)

INFO_KINKED(relu, "y = max(x, 0)", -2, -0.1, 0.1, 2, fmax(x, 0))
INFO_KINKED(relu6, "y = min(max(x, 0), 6)", -2, -0.1, 0.1, 5.9, fmin(fmax(x, 0), 6))
INFO_KINKED(hardtanh, "y = min(max(x, -1), 1)", -2, -1.1, -0.9, 0.9, fmin(fmax(x, -1), 1))

/* ---------------------------------------------------------------- leaky_relu, elu
 *
 * Their number is an operand, a constant that nothing is differentiated by. */

TG_MAP_2(leaky_relu_span, a > 0 ? a : b * a)
TG_MAP_3(leaky_gate_span, b > 0 ? a : c * a)

static const tg_op leaky_gate;
static void leaky_relu_vjp(TG_VJP) { gx[0] = tg_apply_3(t, where, &leaky_gate, gy, x[0], x[1]); }
static void leaky_gate_vjp(TG_VJP)
{
    gx[0] = tg_apply_3(t, where, &leaky_gate, gy, x[1], x[2]);
    gx[1] = zeros_like(t, where, x[1]);
}
static const tg_op leaky_relu = OP_2("leaky_relu", leaky_relu_span, leaky_relu_vjp);
static const tg_op leaky_gate = OP_3("leaky_relu_gate", leaky_gate_span, leaky_gate_vjp);

TG_MAP_2(elu_span, a <= 0 ? b * EXPM1(a) : a)
TG_MAP_2(elu_slope_span, a <= 0 ? b * EXP(a) : 1)
TG_MAP_2(elu_curve_span, a <= 0 ? b * EXP(a) : 0) /* its own derivative */

static const tg_op elu_slope, elu_curve;
static void elu_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_apply_2(t, where, &elu_slope, x[0], x[1])); }
static void elu_slope_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, tg_apply_2(t, where, &elu_curve, x[0], x[1]));
}
static void elu_curve_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, y); }
static const tg_op elu = OP_2("elu", elu_span, elu_vjp);
static const tg_op elu_slope = OP_2("elu_slope", elu_slope_span, elu_slope_vjp);
static const tg_op elu_curve = OP_2("elu_curve", elu_curve_span, elu_curve_vjp);

tg_tensor *tg_leaky_relu_at(tg_tape *t, const char *where, tg_tensor *x, double slope)
{
    return tg_apply_2(t, where, &leaky_relu, x, number_like(t, where, x, slope));
}
tg_tensor *tg_elu_at(tg_tape *t, const char *where, tg_tensor *x, double alpha)
{
    return tg_apply_2(t, where, &elu, x, number_like(t, where, x, alpha));
}

RECORD(leaky_relu, (tg_leaky_relu)(t, x[0], 0.01))
RECORD(falling_relu, (tg_leaky_relu)(t, x[0], -0.5))
ELEMENT_1(leaky_relu, x < 0 ? 0.01 * x : x)
ELEMENT_1(falling_relu, x < 0 ? -0.5 * x : x)
static const tg_sample samples_leaky_relu[] = {
    SAMPLE("below", 0, 1, record_leaky_relu, element_leaky_relu, REAL(-2, -0.1)),
    SAMPLE("above", 0, 1, record_leaky_relu, element_leaky_relu, REAL(0.1, 2)),
    SAMPLE("below, falling", 0, 1, record_falling_relu, element_falling_relu, REAL(-2, -0.1)),
    SAMPLE("all", TG_NOT_SMOOTH, 1, record_leaky_relu, element_leaky_relu, REAL(-2, 2))};
TG_INFO(leaky_relu, "y = x for x > 0, else slope x", "any", -1, samples_leaky_relu)

RECORD(elu, (tg_elu)(t, x[0], 1.5))
ELEMENT_1(elu, x < 0 ? 1.5 * (exp(x) - 1) : x)
static const tg_sample samples_elu[] = {
    SAMPLE("below", 0, 1, record_elu, element_elu, REAL(-3, -0.1)),
    SAMPLE("above", 0, 1, record_elu, element_elu, REAL(0.1, 2)),
    SAMPLE("all", TG_NOT_SMOOTH, 1, record_elu, element_elu, REAL(-3, 3))};
TG_INFO(elu, "y = x for x > 0, else alpha (e^x - 1)", "any", -1, samples_elu)

/* ---------------------------------------------------------------- x times a distribution function
 *
 * Far from 0 the functions and their slopes are what they are at a bound: x is cut there, where a
 * product would be inf 0. */

#define CUT(x, bound) ((x) < -(bound) ? -(bound) : (x) > (bound) ? (bound) : (x))

/* x sigmoid(v) and its slope sigmoid(v) + x v' sigmoid(v) sigmoid(-v), for v(x) that has x's
 * sign. */
#define GATE_BY_SIGMOID(T, suffix)                                                           \
    TG_INLINE T sigmoid_slope_##suffix(T x, T v, T v1, int build)                            \
    {                                                                                        \
        const T e = EXP(-ABS(v)), r = 1 / (1 + e);                                           \
        return (v >= 0 ? 1 : e) * r + x * v1 * (e * r * r);                                  \
    }                                                                                        \
    TG_INLINE T silu_##suffix(T x, int build) { return (x < -800 ? -800 : x) * SIGMOID(x); } \
    TG_INLINE T silu_slope_##suffix(T x, int build)                                          \
    {                                                                                        \
        const T c = CUT(x, 800);                                                             \
        return sigmoid_slope_##suffix(c, c, 1, build);                                       \
    }                                                                                        \
    TG_INLINE T gelu_tanh_##suffix(T x, int build)                                           \
    {                                                                                        \
        const T c = CUT(x, 100), v = (T)GELU_A * c + (T)GELU_B * (c * c * c);                \
        return (x < -100 ? -100 : x) * SIGMOID(v);                                           \
    }                                                                                        \
    TG_INLINE T gelu_tanh_slope_##suffix(T x, int build)                                     \
    {                                                                                        \
        const T c = CUT(x, 100), v = (T)GELU_A * c + (T)GELU_B * (c * c * c);                \
        return sigmoid_slope_##suffix(c, v, (T)GELU_A + (T)(3 * GELU_B) * (c * c), build);   \
    }                                                                                        \
    TG_INLINE T gelu_##suffix(T x, int build)                                                \
    {                                                                                        \
        T bell;                                                                              \
        return (x < -40 ? -40 : x) * NORMAL_CDF_##suffix(x, &bell);                          \
    }                                                                                        \
    TG_INLINE T gelu_slope_##suffix(T x, int build)                                          \
    {                                                                                        \
        const T c = CUT(x, 40);                                                              \
        T bell;                                                                              \
        const T phi = NORMAL_CDF_##suffix(c, &bell);                                         \
        return phi + c * ((T)0.3989422804014327 * bell);                                     \
    }

/* tanh(u) = 2 sigmoid(2u) - 1: gelu_tanh is x sigmoid(A x + B x^3) */
#define GELU_A 1.5957691216057308 /* 2 sqrt(2/pi) */
#define GELU_B (0.044715 * GELU_A)

#define NORMAL_CDF_f32(x, bell) normal_cdf_f32(x, bell, build)
#define NORMAL_CDF_f64(x, bell) ((void)build, normal_cdf_f64(x, bell))

GATE_BY_SIGMOID(float, f32)
GATE_BY_SIGMOID(double, f64)

TG_MAP_1(silu_span, TG_BY_TYPE(x, silu)(x, build))
TG_MAP_1(silu_slope_span, TG_BY_TYPE(x, silu_slope)(x, build))
TG_MAP_1(gelu_tanh_span, TG_BY_TYPE(x, gelu_tanh)(x, build))
TG_MAP_1(gelu_tanh_slope_span, TG_BY_TYPE(x, gelu_tanh_slope)(x, build))
TG_MAP_1(gelu_span, TG_BY_TYPE(x, gelu)(x, build))
TG_MAP_1(gelu_slope_span, TG_BY_TYPE(x, gelu_slope)(x, build))

#define SLOPED(name)                                                                             \
    static const tg_op name##_slope;                                                             \
    static void name##_vjp(TG_VJP)                                                               \
    {                                                                                            \
        gx[0] = tg_mul(t, gy, tg_apply_1(t, where, &name##_slope, x[0]));                        \
    }                                                                                            \
    static const tg_op name = OP_1(#name, name##_span, name##_vjp);                              \
    static const tg_op name##_slope = OP_1(#name "_slope", name##_slope_span, name##_slope_vjp); \
    TG_DEFINE_1(name, name)

/* With s1 = sigmoid'(v): (sigmoid(v) + x v' s1)' = s1 (2 v' + x (v'' - tanh(v/2) v'^2)). */
static tg_tensor *sigmoid_curve(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *v,
                                tg_tensor *v1, tg_tensor *v2)
{
    tg_tensor *s1 = tg_sigmoid_slope(t, where, v);
    tg_tensor *bend = tg_sub(t, v2, tg_mul(t, tg_tanh(t, tg_scale(t, v, 0.5)), tg_square(t, v1)));
    return tg_mul(t, s1, tg_add(t, tg_scale(t, v1, 2), tg_mul(t, x, bend)));
}
static void silu_slope_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy,
                   sigmoid_curve(t, where, x[0], x[0], tg_constant_like(t, gy, 1),
                                 tg_constant_like(t, gy, 0)));
}
static void gelu_tanh_slope_vjp(TG_VJP)
{
    tg_tensor *x2 = tg_square(t, x[0]);
    tg_tensor *v = tg_mul(t, x[0], tg_offset(t, tg_scale(t, x2, GELU_B), GELU_A));
    tg_tensor *v1 = tg_offset(t, tg_scale(t, x2, 3 * GELU_B), GELU_A);
    gx[0] = tg_mul(t, gy, sigmoid_curve(t, where, x[0], v, v1, tg_scale(t, x[0], 6 * GELU_B)));
}
/* (Phi + x phi)' = (2 - x^2) phi with phi(x) = e^(-x^2/2) / sqrt(2 pi) */
static void gelu_slope_vjp(TG_VJP)
{
    tg_tensor *half = tg_scale(t, tg_square(t, x[0]), -0.5);
    tg_tensor *bell = tg_scale(t, tg_exp(t, half), 0.3989422804014327);
    gx[0] = tg_mul(t, gy, tg_mul(t, bell, tg_scale(t, tg_offset(t, half, 1), 2)));
}

SLOPED(silu)
SLOPED(gelu)
SLOPED(gelu_tanh)

INFO_1(silu, "y = x sigmoid(x)", -5, 5, x / (1 + exp(-x)))
INFO_1(gelu, "y = x/2 (1 + erf(x / sqrt 2))", -4, 4, x / 2 * erfc(-x / sqrt(2)))
INFO_1(gelu_tanh, "y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))", -4, 4,
       x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))))
