/* Functions that are met now and then: inverses of the trigonometric ones, hyperbolic ones, other
 * bases. In f32 they are computed in f64 and rounded. A lean library makes them small rather than
 * fast. */
#include "elementwise.h"
#include <math.h>

/* ---------------------------------------------------------------- other bases */

UNARY(exp2, ("y = 2^x"), exp2_f64((double)x),
      gx[0] = tg_mul(t, gy, tg_scale(t, y, 0.6931471805599453)), (REAL(-3, 2)), exp2(x))
UNARY(log2, ("y = ln x / ln 2", .domain = "x > 0"), log2_f64((double)x),
      gx[0] = tg_scale(t, tg_div(t, gy, x[0]), 1.4426950408889634), (REAL(0.3, 4)), log2(x))
UNARY(log10, ("y = ln x / ln 10", .domain = "x > 0"), log10_f64((double)x),
      gx[0] = tg_scale(t, tg_div(t, gy, x[0]), 0.4342944819032518), (REAL(0.3, 4)), log10(x))

/* ---------------------------------------------------------------- angles */

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
       if (tg_wants(t, 0))
           gx[0] = tg_slope_over(t, where, tg_mul(t, gy, tg_slope_over(t, where, x[1], far)), far);
       if (tg_wants(t, 1))
           gx[1] = tg_neg(t, tg_slope_over(t, where,
                                           tg_mul(t, gy, tg_slope_over(t, where, x[0], far)), far)),
       (REAL(0.3, 2), REAL(-2, 2)), atan2(a, b))

/* ---------------------------------------------------------------- hyperbolic */

UNARY(sinh, ("y = (e^x - e^-x) / 2"), sinh_f64((double)x), gx[0] = tg_mul(t, gy, tg_cosh(t, x[0])),
      (REAL(-3, 3)), sinh(x))
UNARY(cosh, ("y = (e^x + e^-x) / 2"), cosh_f64((double)x), gx[0] = tg_mul(t, gy, tg_sinh(t, x[0])),
      (REAL(-3, 3)), cosh(x))
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

/* ---------------------------------------------------------------- erfc, xlogy */

UNARY(erfc, ("y = 1 - erf x"), erfc_f64((double)x),
      gx[0] = tg_mul(t, gy,
                     tg_scale(t, tg_exp(t, tg_neg(t, tg_square(t, x[0]))), -1.1283791670955126)),
      (REAL(-3, 3)), erfc(x))
/* gy ln b, of which nothing is left where there was nothing of it: a = 0 >= b */
INNER_3(xlogy_slope, b == 0 && c <= 0 ? 0 : a * LOG(c),
        gx[0] = tg_apply_3(t, where, &op_xlogy_slope, gy, x[1], x[2]);
        gx[1] = zeros_like(t, where, x[1]);
        gx[2] = tg_mul(t, gy, tg_slope_over(t, where, x[0], x[2])))
BINARY(xlogy, ("y = a ln b, 0 where a = 0", .domain = "b > 0", .kinks = "b = 0"),
       a == 0 && b == b ? 0 : a * LOG(b),
       gx[0] = tg_apply_3(t, where, &op_xlogy_slope, gy, x[0], x[1]);
       if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, tg_slope_over(t, where, x[0], x[1])),
       (REAL(-2, 2), REAL(0.3, 4)), a *log(b))
