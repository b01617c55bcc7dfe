/* Activation functions. */
#include "elementwise.h"
#include "folds.h"
#include <math.h>

/* ------------------------------------------------------------- sigmoid, softplus and their like */

/* 1 - 2 sigmoid(x) = -tanh(x/2) */
INNER_1(sigmoid_slope, SIGMOID_SLOPE(EXP(-ABS(x))),
        gx[0] = tg_neg(t, tg_mul(t, gy, tg_mul(t, y, tg_tanh(t, tg_scale(t, x[0], 0.5))))))
INNER_2(sigmoid_gradient, (1 - b) * b * a,
        gx[0] = tg_apply_2(t, where, &op_sigmoid_gradient, gy, x[1]);
        if (tg_wants(t, 1))
            gx[1] = tg_mul(t, tg_mul(t, gy, x[0]), tg_offset(t, tg_scale(t, x[1], -2), 1)))
/* sigmoid, but exact in the tails at the second order in f32, too: there nothing is saved by
 * deriving it from its result. */
INNER_1(softplus_slope, SIGMOID(x), gx[0] = tg_mul(t, gy, tg_sigmoid_slope(t, where, x[0])))

#ifndef TG_SAMPLES
tg_tensor *tg_sigmoid_slope(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply_1(t, where, &op_sigmoid_slope, x);
}
static tg_tensor *softplus_slope(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply_1(t, where, &op_softplus_slope, x);
}
#endif

/* In f64 from x: sigmoid(x) sigmoid(-x). In f32 from y, without another exponential: y (1 - y) is
 * off by up to 6e-8, however small it is. */
UNARY(sigmoid, ("y = 1 / (1 + e^-x)"), SIGMOID(x),
      gx[0] = tg_tensor_dtype(x[0]) == TG_F64 ? tg_mul(t, gy, tg_sigmoid_slope(t, where, x[0]))
                                              : tg_apply_2(t, where, &op_sigmoid_gradient, gy, y),
      (REAL(-5, 5)), 1 / (1 + exp(-x)))
UNARY(softplus, ("y = ln(1 + e^x)"), (x > 0 ? x : 0) + LOG1P_UNIT(EXP(-ABS(x))),
      gx[0] = tg_mul(t, gy, softplus_slope(t, where, x[0])), (REAL(-5, 5)), log(1 + exp(x)))
UNARY(logsigmoid, ("y = -ln(1 + e^-x)"), (x < 0 ? x : 0) - LOG1P_UNIT(EXP(-ABS(x))),
      gx[0] = tg_mul(t, gy, softplus_slope(t, where, tg_neg(t, x[0]))), (REAL(-5, 5)),
      -log(1 + exp(-x)))
INNER_1(softsign, x / (1 + ABS(x)),
        gx[0] = tg_div(t, gy, tg_square(t, tg_offset(t, tg_abs(t, x[0]), 1))))
PUBLIC_1(softsign, ("y = x / (1 + |x|)", .kinks = "x = 0, of the first derivative"))
CALL(softsign, tg_softsign(t, x[0]))
EXPECT_EACH(softsign, x < 0 ? x / (1 - x) : x / (1 + x))
SAMPLES(softsign, EACH(softsign, "below", 0, REAL(-4, -0.1)),
        EACH(softsign, "above", 0, REAL(0.1, 4)))
/* inf - inf is NaN */
BINARY(logaddexp, ("y = ln(e^a + e^b)"),
       (a > b ? a : b) + LOG1P_UNIT(EXP(a == b ? 0 : -ABS(a - b))),
       if (tg_wants(t, 0)) gx[0] = tg_mul(t, gy, softplus_slope(t, where, tg_sub(t, x[0], x[1])));
       if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, softplus_slope(t, where, tg_sub(t, x[1], x[0]))),
       (REAL(-3, 3), REAL(-3, 3)), log(exp(a) + exp(b)))

/* ------------------------------------------- relu and its like: gates that pass gy or not, by y */

/* An op of x, and the gate of gy and y that is its gradient; as a function of y the gate is made of
 * constant pieces. Samples below and above the kink, and all over. */
#define GATED(name, known, expression, gate_expression, operand_1, operand_2, ...)    \
    INNER_2(name##_gate, gate_expression,                                             \
            gx[0] = tg_apply_2(t, where, &op_##name##_gate, gy, x[1]);                \
            gx[1] = zeros_like(t, where, x[1]))                                       \
    INNER_1(name, expression, gx[0] = tg_apply_2(t, where, &op_##name##_gate, gy, y)) \
    PUBLIC_1(name, known)                                                             \
    CALL(name, tg_##name(t, x[0]))                                                    \
    EXPECT_EACH(name, __VA_ARGS__)                                                    \
    SAMPLES(name, EACH(name, "below", 0, TG_UNPACK operand_1),                        \
            EACH(name, "between", 0, TG_UNPACK operand_2),                            \
            EACH(name, "all", TG_NOT_SMOOTH, REAL(-8, 8)))

GATED(relu, ("y = max(x, 0)", .kinks = "x = 0"), x <= 0 ? 0 : x, b <= 0 ? 0 : a, (REAL(-2, -0.1)),
      (REAL(0.1, 2)), fmax(x, 0))
GATED(relu6, ("y = min(max(x, 0), 6)", .kinks = "x = 0, 6"),
      x <= 0   ? 0
      : x >= 6 ? 6
               : x,
      b <= 0 || b >= 6 ? 0 : a, (REAL(-2, -0.1)), (REAL(0.1, 5.9)), fmin(fmax(x, 0), 6))
GATED(hardtanh, ("y = min(max(x, -1), 1)", .kinks = "x = -1, 1"),
      x <= -1  ? -1
      : x >= 1 ? 1
               : x,
      b <= -1 || b >= 1 ? 0 : a, (REAL(-2, -1.1)), (REAL(-0.9, 0.9)), fmin(fmax(x, -1), 1))

/* ---------------------------------------------------------------- leaky_relu, elu
 *
 * Their number is an operand, a constant that nothing is differentiated by. */

INNER_3(leaky_relu_gate, b > 0 ? a : c * a,
        gx[0] = tg_apply_3(t, where, &op_leaky_relu_gate, gy, x[1], x[2]);
        gx[1] = zeros_like(t, where, x[1]))
INNER_2(leaky_relu, a > 0 ? a : b * a,
        gx[0] = tg_apply_3(t, where, &op_leaky_relu_gate, gy, x[0], x[1]))

INNER_2(elu_curve, a <= 0 ? b * EXP(a) : 0, gx[0] = tg_mul(t, gy, y))
INNER_2(elu_slope, a <= 0 ? b * EXP(a) : 1,
        gx[0] = tg_mul(t, gy, tg_apply_2(t, where, &op_elu_curve, x[0], x[1])))
INNER_2(elu, a <= 0 ? b * EXPM1(a) : a,
        gx[0] = tg_mul(t, gy, tg_apply_2(t, where, &op_elu_slope, x[0], x[1])))

#ifndef TG_SAMPLES
tg_tensor *tg_leaky_relu_at(tg_tape *t, const char *where, tg_tensor *x, double slope)
{
    return tg_apply_2(t, where, &op_leaky_relu, x, number_like(t, where, x, slope));
}
tg_tensor *tg_elu_at(tg_tape *t, const char *where, tg_tensor *x, double alpha)
{
    return tg_apply_2(t, where, &op_elu, x, number_like(t, where, x, alpha));
}
#endif

KNOWN(leaky_relu, "any", -1, ("y = x for x > 0, else slope x", .kinks = "x = 0"))
CALL(leaky_relu, tg_leaky_relu(t, x[0], 0.01))
EXPECT_EACH(leaky_relu, x < 0 ? 0.01 * x : x)
CALL(falling, tg_leaky_relu(t, x[0], -0.5))
EXPECT_EACH(falling, x < 0 ? -0.5 * x : x)
SAMPLES(leaky_relu, EACH(leaky_relu, "below", 0, REAL(-2, -0.1)),
        EACH(leaky_relu, "above", 0, REAL(0.1, 2)),
        EACH(falling, "below, falling", 0, REAL(-2, -0.1)),
        EACH(leaky_relu, "all", TG_NOT_SMOOTH, REAL(-2, 2)))

KNOWN(elu, "any", -1, ("y = x for x > 0, else alpha (e^x - 1)", .kinks = "x = 0 unless alpha = 1"))
CALL(elu, tg_elu(t, x[0], 1.5))
EXPECT_EACH(elu, x < 0 ? 1.5 * (exp(x) - 1) : x)
SAMPLES(elu, EACH(elu, "below", 0, REAL(-3, -0.1)), EACH(elu, "above", 0, REAL(0.1, 2)),
        EACH(elu, "all", TG_NOT_SMOOTH, REAL(-3, 3)))

/* ---------------------------------------------------------------- x times a distribution function
 *
 * Far from 0 the functions and their slopes are what they are at a bound: x is cut there, where a
 * product would be inf 0. */

#ifndef TG_SAMPLES
/* carried: activation */
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
/* carried so far */

/* With s1 = sigmoid'(v): (sigmoid(v) + x v' s1)' = s1 (2 v' + x (v'' - tanh(v/2) v'^2)). */
static tg_tensor *sigmoid_curve(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *v,
                                tg_tensor *v1, tg_tensor *v2)
{
    tg_tensor *s1 = tg_sigmoid_slope(t, where, v);
    tg_tensor *bend = tg_sub(t, v2, tg_mul(t, tg_tanh(t, tg_scale(t, v, 0.5)), tg_square(t, v1)));
    return tg_mul(t, s1, tg_add(t, tg_scale(t, v1, 2), tg_mul(t, x, bend)));
}
static void silu_slope_derivative(TG_VJP)
{
    gx[0] = tg_mul(t, gy,
                   sigmoid_curve(t, where, x[0], x[0], tg_constant_like(t, gy, 1),
                                 tg_constant_like(t, gy, 0)));
}
static void gelu_tanh_slope_derivative(TG_VJP)
{
    tg_tensor *x2 = tg_square(t, x[0]);
    tg_tensor *v = tg_mul(t, x[0], tg_offset(t, tg_scale(t, x2, GELU_B), GELU_A));
    tg_tensor *v1 = tg_offset(t, tg_scale(t, x2, 3 * GELU_B), GELU_A);
    gx[0] = tg_mul(t, gy, sigmoid_curve(t, where, x[0], v, v1, tg_scale(t, x[0], 6 * GELU_B)));
}
/* (Phi + x phi)' = (2 - x^2) phi with phi(x) = e^(-x^2/2) / sqrt(2 pi) */
static void gelu_slope_derivative(TG_VJP)
{
    tg_tensor *half = tg_scale(t, tg_square(t, x[0]), -0.5);
    tg_tensor *bell = tg_scale(t, tg_exp(t, half), 0.3989422804014327);
    gx[0] = tg_mul(t, gy, tg_mul(t, bell, tg_scale(t, tg_offset(t, half, 1), 2)));
}
#endif

/* An op and its slope, which has a rule of its own. They are exported with the text that they
 * call. */
#ifndef TG_SAMPLES
#undef TG_SPANS
#define TG_SPANS(name, text, ...) TG_SPANS_WITH(name, text, TG_CARRIED("activation"), __VA_ARGS__)
#endif
#define SLOPED(name, known, low, high, ...)                                                 \
    INNER_TEXT_1(name##_slope, "TG_BY_TYPE(x, " #name "_slope)(x, build)",                  \
                 TG_BY_TYPE(x, name##_slope)(x, build), name##_slope_derivative(TG_PULLED)) \
    INNER_TEXT_1(name, "TG_BY_TYPE(x, " #name ")(x, build)", TG_BY_TYPE(x, name)(x, build), \
                 gx[0] = tg_mul(t, gy, tg_apply_1(t, where, &op_##name##_slope, x[0])))     \
    PUBLIC_1(name, known)                                                                   \
    SAMPLED_1(name, (REAL(low, high)), __VA_ARGS__)

SLOPED(silu, ("y = x sigmoid(x)"), -5, 5, x / (1 + exp(-x)))
SLOPED(gelu, ("y = x/2 (1 + erf(x / sqrt 2))"), -4, 4, x / 2 * erfc(-x / sqrt(2)))
SLOPED(gelu_tanh, ("y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))"), -4, 4,
       x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))))

/* ---------------------------------------------------------------- composed
 *
 * What multiplies by x cuts it where the other factor is 0, so that there is no inf 0. */

#ifndef TG_SAMPLES
static bool is_width(tg_tape *t, const char *where, const char *name, double width)
{
    if (width >= 0) return true;
    tg_fail_at(t, where, TG_EVALUE, "%s: the width %g is not a number >= 0", name, width);
    return false;
}

tg_tensor *tg_mish_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "mish", x)) return NULL;
    return tg_mul(t, tg_clamp(t, x, -800, INFINITY), tg_tanh(t, tg_softplus(t, x)));
}
tg_tensor *tg_hardsigmoid_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "hardsigmoid", x)) return NULL;
    return tg_scale(t, tg_relu6(t, tg_offset(t, x, 3)), 1.0 / 6);
}
tg_tensor *tg_hardswish_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "hardswish", x)) return NULL;
    return tg_mul(t, tg_clamp(t, x, -3, INFINITY), tg_hardsigmoid(t, x));
}
tg_tensor *tg_selu_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "selu", x)) return NULL;
    return tg_scale(t, tg_elu(t, x, 1.6732632423543772), 1.0507009873554805);
}
tg_tensor *tg_celu_at(tg_tape *t, const char *where, tg_tensor *x, double alpha)
{
    if (!tg_ready_float(t, where, "celu", x)) return NULL;
    if (!(alpha < 0 || alpha > 0))
        return tg_fail_at(t, where, TG_EVALUE, "celu: alpha = %g is not a number other than 0",
                          alpha);
    tg_tensor *below =
        tg_scale(t, tg_expm1(t, tg_scale(t, tg_clamp(t, x, -INFINITY, 0), 1 / alpha)), alpha);
    return tg_add(t, tg_relu(t, x), below);
}
tg_tensor *tg_prelu_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *slope)
{
    if (!tg_ready_float(t, where, "prelu", x) || !tg_ready_float(t, where, "prelu", slope))
        return NULL;
    return tg_sub(t, tg_relu(t, x), tg_mul(t, slope, tg_relu(t, tg_neg(t, x))));
}
tg_tensor *tg_tanhshrink_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "tanhshrink", x)) return NULL;
    return tg_sub(t, x, tg_tanh(t, x));
}
tg_tensor *tg_softshrink_at(tg_tape *t, const char *where, tg_tensor *x, double width)
{
    if (!tg_ready_float(t, where, "softshrink", x) || !is_width(t, where, "softshrink", width))
        return NULL;
    return tg_sub(t, x, tg_clamp(t, x, -width, width));
}
tg_tensor *tg_hardshrink_at(tg_tape *t, const char *where, tg_tensor *x, double width)
{
    if (!tg_ready_float(t, where, "hardshrink", x) || !is_width(t, where, "hardshrink", width))
        return NULL;
    tg_tensor *inside = tg_less_equal(t, tg_abs(t, x), tg_constant_like(t, x, width));
    return tg_where(t, inside, tg_constant_like(t, x, 0), x);
}
tg_tensor *tg_threshold_at(tg_tape *t, const char *where, tg_tensor *x, double bound, double value)
{
    if (!tg_ready_float(t, where, "threshold", x)) return NULL;
    tg_tensor *below = tg_less_equal(t, x, tg_constant_like(t, x, bound));
    return tg_where(t, below, tg_constant_like(t, x, value), x);
}
static bool find_halves(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                        tg_tensor *half[2])
{
    int k;
    if (!tg_ready_float(t, where, name, x)) return false;
    const tg_shape shape = tg_tensor_shape(x);
    if (!tg_axis_find(t, where, name, shape.ndim, axis, &k)) return false;
    if (shape.dim[k] % 2) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: axis %d of %s has no halves", name, axis,
                   tg_shape_text(shape).text);
        return false;
    }
    const int64_t n = shape.dim[k] / 2;
    half[0] = tg_slice(t, x, k, 0, n, 1);
    half[1] = tg_slice(t, x, k, n, 2 * n, 1);
    return true;
}
tg_tensor *tg_glu_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    tg_tensor *half[2];
    if (!find_halves(t, where, "glu", x, axis, half)) return NULL;
    return tg_mul(t, half[0], tg_sigmoid(t, half[1]));
}
tg_tensor *tg_swiglu_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    tg_tensor *half[2];
    if (!find_halves(t, where, "swiglu", x, axis, half)) return NULL;
    return tg_mul(t, tg_silu(t, half[0]), half[1]);
}
tg_tensor *tg_softplus_beta_at(tg_tape *t, const char *where, tg_tensor *x, double beta)
{
    if (!tg_ready_float(t, where, "softplus_beta", x)) return NULL;
    if (!(beta > 0))
        return tg_fail_at(t, where, TG_EVALUE, "softplus_beta: beta = %g is not a number > 0",
                          beta);
    return tg_scale(t, tg_softplus(t, tg_scale(t, x, beta)), 1 / beta);
}
tg_tensor *tg_softmin_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    return tg_ready_float(t, where, "softmin", x) ? tg_softmax(t, tg_neg(t, x), axis) : NULL;
}
#endif

/* Samples of one that is smooth, and of one with pieces. */
#define COMPOSED(name, known, call, ...) \
    KNOWN(name, "any", -1, known)        \
    CALL(name, call)                     \
    EXPECT_EACH(name, __VA_ARGS__)
COMPOSED(mish, ("y = x tanh(softplus(x))"), tg_mish(t, x[0]), x *tanh(log(1 + exp(x))))
SAMPLES(mish, EACH(mish, "", 0, REAL(-5, 5)))
COMPOSED(hardsigmoid, ("y = relu6(x + 3) / 6", .kinks = "x = -3, 3"), tg_hardsigmoid(t, x[0]),
         fmin(fmax(x / 6 + 0.5, 0), 1))
SAMPLES(hardsigmoid, EACH(hardsigmoid, "between", 0, REAL(-2.9, 2.9)),
        EACH(hardsigmoid, "above", 0, REAL(3.1, 5)),
        EACH(hardsigmoid, "all", TG_NOT_SMOOTH, REAL(-5, 5)))
COMPOSED(hardswish, ("y = x relu6(x + 3) / 6", .kinks = "x = -3, 3"), tg_hardswish(t, x[0]),
         x *fmin(fmax(x / 6 + 0.5, 0), 1))
SAMPLES(hardswish, EACH(hardswish, "between", 0, REAL(-2.9, 2.9)),
        EACH(hardswish, "above", 0, REAL(3.1, 5)), EACH(hardswish, "below", 0, REAL(-5, -3.1)),
        EACH(hardswish, "all", TG_NOT_SMOOTH, REAL(-5, 5)))
COMPOSED(selu, ("y = 1.0507... elu(x, 1.6732...)", .kinks = "x = 0"), tg_selu(t, x[0]),
         1.0507009873554804934193349852946 *
             (x > 0 ? x : 1.6732632423543772848170429916717 * (exp(x) - 1)))
SAMPLES(selu, EACH(selu, "below", 0, REAL(-3, -0.1)), EACH(selu, "above", 0, REAL(0.1, 2)),
        EACH(selu, "all", TG_NOT_SMOOTH, REAL(-3, 3)))
COMPOSED(celu,
         ("y = max(x, 0) + min(alpha (e^(x / alpha) - 1), 0)",
          .kinks = "x = 0, of the second derivative"),
         tg_celu(t, x[0], 1.5), x > 0 ? x : 1.5 * (exp(x / 1.5) - 1))
SAMPLES(celu, EACH(celu, "below", 0, REAL(-3, -0.1)), EACH(celu, "above", 0, REAL(0.1, 2)),
        EACH(celu, "all", TG_NOT_SMOOTH, REAL(-3, 3)))
KNOWN(prelu, "any, broadcast", -1, ("y = x for x > 0, else slope x", .kinks = "x = 0"))
CALL(prelu, tg_prelu(t, x[0], x[1]))
EXPECT_EACH(prelu, a > 0 ? a : b * a)
SAMPLES(prelu, EACH(prelu, "below", 0, REAL(-2, -0.1), REAL(-1, 1)),
        EACH(prelu, "above", 0, REAL(0.1, 2), REAL(-1, 1)),
        EACH(prelu, "all", TG_NOT_SMOOTH, REAL(-2, 2), REAL(-1, 1)))
COMPOSED(tanhshrink, ("y = x - tanh x"), tg_tanhshrink(t, x[0]), x - tanh(x))
SAMPLES(tanhshrink, EACH(tanhshrink, "", 0, REAL(-3, 3)))
COMPOSED(softshrink, ("y = sign(x) max(|x| - width, 0)", .kinks = "x = -width, width"),
         tg_softshrink(t, x[0], 0.5), copysign(fmax(fabs(x) - 0.5, 0), x))
SAMPLES(softshrink, EACH(softshrink, "below", 0, REAL(-2, -0.6)),
        EACH(softshrink, "above", 0, REAL(0.6, 2)),
        EACH(softshrink, "all", TG_NOT_SMOOTH, REAL(-2, 2)))
COMPOSED(hardshrink, ("y = x where |x| > width, else 0", .kinks = "x = -width, width"),
         tg_hardshrink(t, x[0], 0.5), fabs(x) > 0.5 ? x : 0)
SAMPLES(hardshrink, EACH(hardshrink, "below", 0, REAL(-2, -0.6)),
        EACH(hardshrink, "between", 0, REAL(-0.4, 0.4)),
        EACH(hardshrink, "all", TG_NOT_SMOOTH, REAL(-2, 2)))
COMPOSED(threshold, ("y = x where x > bound, else value", .kinks = "x = bound"),
         tg_threshold(t, x[0], 0.5, -3), x > 0.5 ? x : -3)
SAMPLES(threshold, EACH(threshold, "above", 0, REAL(0.6, 2)),
        EACH(threshold, "below", 0, REAL(-2, 0.4)),
        EACH(threshold, "all", TG_NOT_SMOOTH, REAL(-2, 2)))

KNOWN(glu, "[..., 2n, ...] -> [..., n, ...]", -1, ("y = a sigmoid(b), x = a beside b"))
KNOWN(swiglu, "[..., 2n, ...] -> [..., n, ...]", -1, ("y = silu(a) b, x = a beside b"))
#define HALVES(id, ...)                                                                    \
    EXPECT(                                                                                \
        id, const double *in = x->data; double *out = y->data;                             \
        const int64_t rows = x->shape.dim[0], n = x->shape.dim[1] / 2;                     \
        for (int64_t i = 0; i < rows * n; i++) {                                           \
            const double a = in[i / n * 2 * n + i % n], b = in[i / n * 2 * n + i % n + n]; \
            out[i] = __VA_ARGS__;                                                          \
        })
CALL(glu, tg_glu(t, x[0], 1))
HALVES(glu, a / (1 + exp(-b)))
SAMPLES(glu, SAMPLE(glu, "rows", 0, REALS(-2, 2, 3, 8)),
        SAMPLE(glu, "nothing", 0, REALS(-2, 2, 3, 0)))
CALL(swiglu, tg_swiglu(t, x[0], 1))
HALVES(swiglu, a *b / (1 + exp(-a)))
SAMPLES(swiglu, SAMPLE(swiglu, "rows", 0, REALS(-2, 2, 3, 8)))
KNOWN(softplus_beta, "any", -1, ("y = ln(1 + e^(beta x)) / beta"))
CALL(steep, tg_softplus_beta(t, x[0], 3))
EXPECT_ALIKE(steep, log(1 + exp(3 * x)) / 3)
SAMPLES(softplus_beta, SAMPLE(steep, "", 0, REALS(-2, 2, 3, 4)))
KNOWN(softmin, "any but []", -1, ("y = e^-x / sum e^-x"))
CALL(softmin, tg_softmin(t, x[0], 1))
EXPECT(
    softmin, const double *in = x->data; const int64_t n = x->shape.dim[1];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        double sum = 0;
        for (int64_t k = 0; k < n; k++) sum += exp(in[i] - in[i / n * n + k]);
        ((double *)y->data)[i] = 1 / sum;
    })
SAMPLES(softmin, SAMPLE(softmin, "", 0, REALS(-2, 2, 3, 4)))
