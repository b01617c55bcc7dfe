/* Elementary functions for kernel expressions: EXP(x), LOG(x), ... work on float and double through
 * _Generic and use the constant `build` of the kernel they stand in. Private.
 *
 * The functions are our own C, neither libm's nor a library's; math_f32.h, math_f64.h and
 * math_trig.h state their errors. */
#ifndef TG_MATH_H
#define TG_MATH_H

#include <tapegrad/op.h>

#include "math_f32.h"
#include "math_trig.h"

/* Picks by x's type; an exported C99 file, whose expressions have one type, says which. */
#ifndef TG_PICK
#define TG_PICK(x, f32, f64) _Generic((x), float : f32, double : f64)
#endif
#define TG_BY_TYPE(x, name) TG_PICK(x, name##_f32, name##_f64)
#define TG_CALL_1(x, name) TG_PICK(x, name##_f32((float)(x), build), name##_f64((double)(x)))
#define ABS(x) TG_PICK(x, __builtin_fabsf, __builtin_fabs)(x)
#define SQRT(x) TG_PICK(x, __builtin_sqrtf, __builtin_sqrt)(x)
#define COPYSIGN(x, s) TG_PICK(x, __builtin_copysignf, __builtin_copysign)(x, s)
#define ROUND(x) TG_BY_TYPE(x, round)(x, build)
#define FLOOR(x) TG_BY_TYPE(x, floor)(x, build)
#define EXP(x) TG_CALL_1(x, exp)
#define EXP_BELOW(x) TG_CALL_1(x, exp_below) /* e^x for x <= 0 or NaN */
#define EXPM1(x) TG_CALL_1(x, expm1)
#define LOG(x) TG_CALL_1(x, log)
#define LOG1P(x) TG_CALL_1(x, log1p)
/* ln(1 + x) for 0 <= x <= 1 */
#define LOG1P_UNIT(x) TG_PICK(x, log1p_unit_f32((float)(x), build), log1p_f64((double)(x)))
#define TANH(x) TG_CALL_1(x, tanh)
#define ERF(x) TG_CALL_1(x, erf)
#define POW(a, b) \
    TG_PICK(a, pow_f32((float)(a), (float)(b), build), pow_f64((double)(a), (double)(b)))

/* sqrt(a^2 + b^2), which overflows only if the result does. */
TG_INLINE float hypot_f32(float a, float b)
{
    const int endless = __builtin_fabsf(a) == INFINITY || __builtin_fabsf(b) == INFINITY;
    const double x = (double)a, y = (double)b;
    return endless ? (float)INFINITY : (float)__builtin_sqrt(x * x + y * y);
}
TG_INLINE double hypot_f64(double a, double b)
{
    a = fabs(a);
    b = fabs(b);
    const double large = a > b ? a : b, small = a > b ? b : a, r = small / large;
    const double y = large * __builtin_sqrt(1 + r * r);
    return a == INFINITY || b == INFINITY ? INFINITY : large == 0 ? a + b : y;
}
#define HYPOT(a, b) TG_BY_TYPE(a, hypot)(a, b)

/* 1 / (1 + e^-x), from e^-|x| so that small results keep their precision. */
TG_INLINE float sigmoid_f32(float x, int build)
{
    const float e = exp_f32(-__builtin_fabsf(x), build);
    return (x >= 0 ? 1 : e) / (1 + e);
}

/* The quotient is put right by what its denominator lost; 1 / (1 + e) is the quotient or what is
 * missing to 1. */
TG_INLINE double sigmoid_f64(double x)
{
    const double e = exp_f64(-fabs(x)), d = 1 + e, d_rest = (1 - d) + e, q = (x >= 0 ? 1 : e) / d;
    return q - q * d_rest * (x >= 0 ? q : 1 - q);
}

#define SIGMOID(x) TG_CALL_1(x, sigmoid)

/* Their derivatives, which don't cancel: sigmoid(x) sigmoid(-x) and 1 / cosh^2 x, of e = e^-|x| and
 * of e = e^(-2|x|). */
#define SIGMOID_SLOPE(e) ((e) / ((1 + (e)) * (1 + (e))))
#define TANH_SLOPE(e) (4 * SIGMOID_SLOPE(e))

#endif
