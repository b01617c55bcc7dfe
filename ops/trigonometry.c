/* Trigonometric and hyperbolic functions and their inverses. In f32 those that have no kernel of
 * their own are computed in f64 and rounded. */
#include "elementwise.h"

/* -------------------- sin, cos, tan: large arguments send a block through it element by element */

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
TG_EACH_BUILD(CIRCULAR, sin_f64, double, sin_turned_f64, sin_turned_far_f64, 0)
TG_EACH_BUILD(CIRCULAR, cos_f64, double, sin_turned_f64, sin_turned_far_f64, 1)
TG_EACH_BUILD(CIRCULAR, tan_f64_of, double, TAN_NEAR, TAN_FAR, 0)
TG_SPANS(span_sin, NULL, TG_BUILDS(sin_f32), TG_BUILDS(sin_f64))
TG_SPANS(span_cos, NULL, TG_BUILDS(cos_f32), TG_BUILDS(cos_f64))
TG_SPANS(span_tan, NULL, TG_BUILDS(tan_f32), TG_BUILDS(tan_f64_of))

OP(1, sin, NULL, gx[0] = tg_mul(t, gy, tg_cos(t, x[0])))
OP(1, cos, NULL, gx[0] = tg_neg(t, tg_mul(t, gy, tg_sin(t, x[0]))))
OP(1, tan, NULL, gx[0] = tg_mul(t, gy, tg_offset(t, tg_square(t, y), 1)))
PUBLIC_1(sin, ("y = sin x"))
PUBLIC_1(cos, ("y = cos x"))
PUBLIC_1(tan, ("y = sin x / cos x"))
SAMPLED_1(sin, (REAL(-7, 7)), sin(x))
SAMPLED_1(cos, (REAL(-7, 7)), cos(x))
SAMPLED_1(tan, (REAL(-1.2, 1.2)), tan(x))

/* ---------------------------------------------------------------- their inverses */

#ifndef TG_SAMPLES
/* sqrt((1 - x)(1 + x)), without cancellation where |x| is near 1 */
static tg_tensor *other_side(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_sqrt(t, tg_mul(t, tg_offset(t, tg_neg(t, x), 1), tg_offset(t, x, 1)));
}
#endif
UNARY(asin, ("y with sin y = x", .domain = "-1 <= x <= 1", .kinks = "x = -1, 1"),
      asin_f64((double)x), gx[0] = tg_div(t, gy, other_side(t, where, x[0])), (REAL(-0.8, 0.8)),
      asin(x))
UNARY(acos, ("y with cos y = x", .domain = "-1 <= x <= 1", .kinks = "x = -1, 1"),
      acos_f64((double)x), gx[0] = tg_neg(t, tg_div(t, gy, other_side(t, where, x[0]))),
      (REAL(-0.8, 0.8)), acos(x))
UNARY(atan, ("y with tan y = x"), atan_f64((double)x),
      gx[0] = tg_div(t, gy, tg_offset(t, tg_square(t, x[0]), 1)), (REAL(-3, 3)), atan(x))

/* (b, -a) / (a^2 + b^2), taken by the distance twice, which neither overflows nor vanishes */
BINARY(atan2, ("y = the angle of the point (b, a)", .kinks = "b <= 0 with a = 0"),
       atan2_f64((double)a, (double)b), tg_tensor *far = tg_hypot(t, x[0], x[1]);
       gx[0] = tg_slope_over(t, where, tg_mul(t, gy, tg_slope_over(t, where, x[1], far)), far);
       gx[1] = tg_neg(t, tg_slope_over(t, where, tg_mul(t, gy, tg_slope_over(t, where, x[0], far)),
                                       far)),
       (REAL(0.3, 2), REAL(-2, 2)), atan2(a, b))

/* ---------------------------------------------------------------- hyperbolic */

UNARY(sinh, ("y = (e^x - e^-x) / 2"), sinh_f64((double)x), gx[0] = tg_mul(t, gy, tg_cosh(t, x[0])),
      (REAL(-3, 3)), sinh(x))
UNARY(cosh, ("y = (e^x + e^-x) / 2"), cosh_f64((double)x), gx[0] = tg_mul(t, gy, tg_sinh(t, x[0])),
      (REAL(-3, 3)), cosh(x))
INNER_1(tanh_slope, TANH_SLOPE(EXP(-2 * ABS(x))),
        gx[0] = tg_mul(t, gy, tg_scale(t, tg_mul(t, y, tg_tanh(t, x[0])), -2)))
INNER_2(tanh_gradient, (1 - b * b) * a, gx[0] = tg_apply_2(t, where, &op_tanh_gradient, gy, x[1]);
        gx[1] = tg_scale(t, tg_mul(t, tg_mul(t, gy, x[0]), x[1]), -2))
/* In f64 from x: 1 / cosh^2 x. In f32 from y, without another exponential: 1 - y^2 is off by up to
 * 1.2e-7, however small it is. */
UNARY(tanh, ("y = (e^x - e^-x) / (e^x + e^-x)"), TANH(x),
      gx[0] = tg_tensor_dtype(x[0]) == TG_F64
                  ? tg_mul(t, gy, tg_apply_1(t, where, &op_tanh_slope, x[0]))
                  : tg_apply_2(t, where, &op_tanh_gradient, gy, y),
      (REAL(-3, 3)), tanh(x))
UNARY(asinh, ("y with sinh y = x"), asinh_f64((double)x),
      gx[0] = tg_div(t, gy, tg_hypot(t, x[0], tg_constant_like(t, x[0], 1))), (REAL(-3, 3)),
      asinh(x))
UNARY(acosh, ("y >= 0 with cosh y = x", .domain = "x >= 1", .kinks = "x = 1"), acosh_f64((double)x),
      gx[0] = tg_div(t, tg_div(t, gy, tg_sqrt(t, tg_offset(t, x[0], -1))),
                     tg_sqrt(t, tg_offset(t, x[0], 1))),
      (REAL(1.3, 4)), acosh(x))
UNARY(atanh, ("y with tanh y = x", .domain = "-1 <= x <= 1"), atanh_f64((double)x),
      gx[0] = tg_div(t, gy, tg_mul(t, tg_offset(t, tg_neg(t, x[0]), 1), tg_offset(t, x[0], 1))),
      (REAL(-0.7, 0.7)), atanh(x))
