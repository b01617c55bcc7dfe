/* Elementary functions in float, and rounding to integers. Private.
 *
 * No branches, only selections, so that compilers vectorise the loops around the functions. `build`
 * is a constant, 0 for processors without fused multiply-add; on all others the bits are the same,
 * in vectors and out of them. Every operation is an IEEE operation spelled out (compile with
 * -ffp-contract=off).
 *
 * Largest errors in units in the last place, over all of f32, denormal results included
 * (tests/test_math.c):
 *   exp 1.1, exp_below 1 above -3 and 4.5 in all, expm1 1.7, log 0.9, log1p 1.4, log1p_unit 1.4,
 *   tanh 1.5, erf 1.3, pow 0.55, sin and cos 0.51, normal_cdf 8 in the far left tail
 *
 * The polynomials are minimax fits (Remez exchange in 200-bit arithmetic, weighted for the relative
 * error of the function; coefficients rounded one by one from the lowest, the others fitted again
 * after each); the error of each fit stands beside it. */
#ifndef TG_MATH_F32_H
#define TG_MATH_F32_H

#include "math_bits.h"

#include <math.h>

/* a b + c, rounded once where the build can. */
TG_INLINE float fma_f32(float a, float b, float c, int build)
{
    return build > 0 ? __builtin_fmaf(a, b, c) : a * b + c;
}
TG_INLINE double fma_f64(double a, double b, double c, int build)
{
    return build > 0 ? __builtin_fma(a, b, c) : a * b + c;
}

/* ---------------------------------------------------------------- rounding */

/* SSE2 has no rounding instruction: there, 2^23 is added and taken away again. */
TG_INLINE float round_f32(float x, int build)
{
    if (build > 0) return __builtin_rintf(x);
    const float a = __builtin_fabsf(x);
    return a < 0x1p23f ? __builtin_copysignf((a + 0x1p23f) - 0x1p23f, x) : x;
}

TG_INLINE double round_f64(double x, int build)
{
    if (build > 0) return __builtin_rint(x);
    const double a = __builtin_fabs(x);
    return a < 0x1p52 ? __builtin_copysign((a + 0x1p52) - 0x1p52, x) : x;
}

TG_INLINE float floor_f32(float x, int build)
{
    if (build > 0) return __builtin_floorf(x);
    const float r = round_f32(x, build);
    return __builtin_copysignf(r > x ? r - 1 : r, x);
}

TG_INLINE double floor_f64(double x, int build)
{
    if (build > 0) return __builtin_floor(x);
    const double r = round_f64(x, build);
    return __builtin_copysign(r > x ? r - 1 : r, x);
}

/* ---------------------------------------------------------------- exp */

#define LOG2E_F32 0x1.715476p+0f
#define LN2_F32 0x1.62e43p-1f
#define LN2_HIGH_F32 0x1.62e4p-1f /* 15 bits, so that small multiples are exact */
#define LN2_LOW_F32 0x1.7f7d1cp-20f
#define EXP_BELOW_LEAST (-87.33f) /* ln 2^-126, rounded up */

/* q(r) for e^r - 1 = r + r^2 q(r), |r| <= 0.36, 2^-26 of e^r - 1 */
TG_INLINE float expm1_over_square(float r, int build)
{
    float q = 0x1.6d7472p-10f;
    q = fma_f32(q, r, 0x1.1230e2p-7f, build);
    q = fma_f32(q, r, 0x1.5554d8p-5f, build);
    q = fma_f32(q, r, 0x1.5554a4p-3f, build);
    return fma_f32(q, r, 0.5f, build);
}

TG_INLINE float expm1_near_0(float r, int build)
{
    return fma_f32(r * r, expm1_over_square(r, build), r, build);
}

/* x = n ln 2 + r; t carries n. */
TG_INLINE float reduce_exp(float x, float *t, int build)
{
    *t = fma_f32(x, LOG2E_F32, ROUNDER_F32, build);
    const float n = *t - ROUNDER_F32;
    return fma_f32(n, -LN2_LOW_F32, fma_f32(n, -LN2_HIGH_F32, x, build), build);
}

/* e^(x + low), |low| <= 0.1 being what was lost in rounding x. The power of two is multiplied in
 * halves: its exponent may be out of range while the result is not, and a denormal result is
 * rounded once. */
TG_INLINE float exp_sum_f32(float x, float low, int build)
{
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    float t;
    const float r = reduce_exp(x, &t, build) + low;
    const float p = expm1_near_0(r, build) + 1;
    const int32_t n = (int32_t)(bits_of_f32(t) - bits_of_f32(ROUNDER_F32)), half = n >> 1;
    return p * f32_of_bits((uint32_t)(half + 127) << 23) *
           f32_of_bits((uint32_t)(n - half + 127) << 23);
}

TG_INLINE float exp_f32(float x, int build) { return exp_sum_f32(x, 0, build); }

/* e^x for |x| <= 80 */
TG_INLINE float exp_narrow_f32(float x, int build)
{
    float t;
    const float p = expm1_near_0(reduce_exp(x, &t, build), build) + 1;
    return p * f32_of_bits((bits_of_f32(t) << 23) + bits_of_f32(1));
}

/* e^x for x <= 0 or NaN, where x is what is left of a number when its row's maximum is taken away;
 * 0 for what would be a denormal number, which would take several times as long. ln 2 in one piece
 * moves the result by |x| 2^-28 of it: a tenth of what rounding x may have moved it already. */
TG_INLINE float exp_below_f32(float x, int build)
{
    const float rounder = ROUNDER_F32 + 127; /* the exponent's bias comes along */
    const float t = fma_f32(x, LOG2E_F32, rounder, build), n = t - rounder;
    const float whole = fma_f32(n, -LN2_F32, x, build),
                split = fma_f32(n, -LN2_LOW_F32, fma_f32(n, -LN2_HIGH_F32, x, build), build);
    const float r = build > 0 ? whole : split;
    const float q = fma_f32(expm1_over_square(r, build), r, 1, build);
    const float y = fma_f32(q, r, 1, build) * f32_of_bits(bits_of_f32(t) << 23);
    return x < EXP_BELOW_LEAST ? 0 : y;
}

TG_INLINE float expm1_f32(float x, int build)
{
    float c = x > 89.0f ? 89.0f : x;
    c = c < -18.0f ? -18.0f : c;
    float t;
    const float q = expm1_near_0(reduce_exp(c, &t, build), build);
    const uint32_t n = bits_of_f32(t) - bits_of_f32(ROUNDER_F32);
    const float half = f32_of_bits((n + 126) << 23); /* 2^(n-1): 2^128 is out of range */
    const float y = 2 * fma_f32(half, q, half - 0.5f, build);
    return __builtin_fabsf(x) < 0x1p-25f ? x : y;
}

/* ---------------------------------------------------------------- log */

#define SQRT_HALF_BITS 0x3f3504f3u

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)), for finite x > 0 */
TG_INLINE float split_log(float x, int32_t *e)
{
    const int denormal = x < 0x1p-126f;
    const uint32_t i = bits_of_f32(denormal ? x * 0x1p23f : x) - SQRT_HALF_BITS;
    *e = ((int32_t)i >> 23) - (denormal ? 23 : 0);
    return f32_of_bits((i & 0x7fffffu) + SQRT_HALF_BITS);
}

/* e ln 2 + ln(1 + f) for f in [sqrt(1/2) - 1, sqrt(2) - 1]: f - f^2 / 2 + f^3 p(f), 2^-28.6 */
TG_INLINE float join_log(float f, float e, int build)
{
    float p = 0x1.5945fcp-5f;
    p = fma_f32(p, f, -0x1.a7059cp-4f, build);
    p = fma_f32(p, f, 0x1.f7d226p-4f, build);
    p = fma_f32(p, f, -0x1.03599ep-3f, build);
    p = fma_f32(p, f, 0x1.22c998p-3f, build);
    p = fma_f32(p, f, -0x1.550a7p-3f, build);
    p = fma_f32(p, f, 0x1.99a6bp-3f, build);
    p = fma_f32(p, f, -0x1.0000c8p-2f, build);
    p = fma_f32(p, f, 0x1.555546p-2f, build);
    const float f2 = f * f;
    const float r = fma_f32(-0.5f, f2, fma_f32(f * f2, p, e * LN2_LOW_F32, build), build);
    return fma_f32(e, LN2_HIGH_F32, f + r, build);
}

/* The values of a logarithm whose argument is u, where u is not a positive finite number. */
TG_INLINE float edge_log(float y, float u)
{
    y = u < INFINITY ? y : u;
    y = u < 0 ? NAN : y;
    return u == 0 ? -INFINITY : y;
}

TG_INLINE float log_f32(float x, int build)
{
    int32_t e;
    const float m = split_log(x, &e);
    return edge_log(join_log(m - 1, (float)e, build), x);
}

/* 1 + x only chooses the power of two; the mantissa is made from x itself: x / 2^e + (1 / 2^e -
 * 1). */
TG_INLINE float log1p_f32(float x, int build)
{
    const float u = 1 + x;
    int32_t e;
    const float m = split_log(u, &e);
    const float scale = f32_of_bits((uint32_t)(127 - e) << 23);
    const float f = u > 0x1p25f ? m - 1 : fma_f32(x, scale, scale - 1, build);
    const float y = edge_log(join_log(f, (float)e, build), u);
    return __builtin_fabsf(x) < 0x1p-25f ? x : y;
}

/* ln(1 + x) for 0 <= x <= 1 */
TG_INLINE float log1p_unit_f32(float x, int build)
{
    const int halve = x > 0x1.a8279ap-2f;
    return join_log(halve ? 0.5f * x - 0.5f : x, halve ? 1.0f : 0.0f, build);
}

/* ----------------------------------------------------------- tanh, erf, the normal distribution */

TG_INLINE float tanh_f32(float x, int build)
{
    const float a = __builtin_fabsf(x), z = x * x;
    float p = -0x1.984974p-8f; /* (tanh(x) - x) / x^3 for x^2 <= 0.31, 2^-29.6 */
    p = fma_f32(p, z, 0x1.58c428p-6f, build);
    p = fma_f32(p, z, -0x1.b91b54p-5f, build);
    p = fma_f32(p, z, 0x1.110ce2p-3f, build);
    p = fma_f32(p, z, -0x1.55554ap-2f, build);
    const float near = fma_f32(a * z, p, a, build);
    const float far = 1 - 2 / (exp_narrow_f32(a > 10.0f ? 20.0f : 2 * a, build) + 1);
    return __builtin_copysignf(a < 0x1.1cp-1f ? near : far, x);
}

TG_INLINE float erf_f32(float x, int build)
{
    const float a = __builtin_fabsf(x), z = x * x;
    float p = 0x1.4f1e94p-14f; /* erf(x) / x - 1 for |x| <= 0.92, 2^-30 */
    p = fma_f32(p, z, -0x1.a5fbb2p-11f, build);
    p = fma_f32(p, z, 0x1.544938p-8f, build);
    p = fma_f32(p, z, -0x1.b80112p-6f, build);
    p = fma_f32(p, z, 0x1.ce2d64p-4f, build);
    p = fma_f32(p, z, -0x1.81274p-2f, build);
    p = fma_f32(p, z, 0x1.06eba8p-3f, build);
    const float near = fma_f32(a, p, a, build);
    const float c = a > 3.95f ? 3.95f : a;
    float q = 0x1.9fb45ap-13f; /* ln(1 - erf(x)) for 0.9 <= x <= 3.95, to 2^-29 of erf(x) */
    q = fma_f32(q, c, -0x1.91cd74p-9f, build);
    q = fma_f32(q, c, 0x1.6d9cf6p-6f, build);
    q = fma_f32(q, c, -0x1.aa7326p-4f, build);
    q = fma_f32(q, c, -0x1.4621bap-1f, build);
    q = fma_f32(q, c, -0x1.20b752p+0f, build);
    q = fma_f32(q, c, -0x1.5d10fap-13f, build);
    const float far = 1 - exp_narrow_f32(q, build);
    return __builtin_copysignf(a < 0.92f ? near : far, x);
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2 without cancellation for negative x, and e^(-x^2/2). */
TG_INLINE float normal_cdf_f32(float x, float *bell, int build)
{
    float a = __builtin_fabsf(x);
    a = a > 40.0f ? 40.0f : a;
    /* The tail is as exact as the exponent: x^2 is taken in two parts. */
    const float top = f32_of_bits(bits_of_f32(a) & 0xfffff000u);
    *bell = exp_sum_f32(-0.5f * (top * top), -0.5f * ((a - top) * (a + top)), build);
    const float s = (a - 3) / (a + 3);
    float p = 0x1.bac5eap-15f; /* Phi(-a) e^(a^2/2) for a <= 14.5, 2^-25.4 */
    p = fma_f32(p, s, 0x1.e2eb1ap-14f, build);
    p = fma_f32(p, s, -0x1.62d45ep-12f, build);
    p = fma_f32(p, s, -0x1.01d962p-10f, build);
    p = fma_f32(p, s, 0x1.7ca256p-9f, build);
    p = fma_f32(p, s, 0x1.91dfecp-8f, build);
    p = fma_f32(p, s, -0x1.7a940cp-5f, build);
    p = fma_f32(p, s, 0x1.f8baccp-4f, build);
    p = fma_f32(p, s, -0x1.a6b66cp-3f, build);
    p = fma_f32(p, s, 0x1.f1b89cp-4f, build);
    const float tail = *bell * p;
    return x > 0 ? 1 - tail : tail;
}

/* ---------------------------------------------------------------- sin, cos
 *
 * In double, for |x| < TRIG_LIMIT; beyond, and for infinities and NaN, the caller takes
 * sin_turned_far_f64. */

/* sin(x + turn pi/2) */
TG_INLINE float sin_turned_f32(float x, int turn, int build)
{
    const double d = (double)x;
    const double t = fma_f64(d, 0x1.45f306dc9c883p-1, ROUNDER_F64, build);
    const double k = t - ROUNDER_F64;
    const double r =
        fma_f64(k, -0x1.0b4611a626331p-34, fma_f64(k, -0x1.921fb544p+0, d, build), build);
    const uint64_t quarter = bits_of_f64(t) + (uint64_t)turn;
    const double z = r * r;
    double s = 0x1.6cd721cf670bbp-19; /* (sin(r) / r - 1) / r^2, 2^-37 */
    s = fma_f64(s, z, -0x1.a00f989e2b4fdp-13, build);
    s = fma_f64(s, z, 0x1.111108901fcd8p-7, build);
    s = fma_f64(s, z, -0x1.5555554cb18cdp-3, build);
    double c = 0x1.9932579da241p-16; /* (cos(r) - 1) / r^2, 2^-34 */
    c = fma_f64(c, z, -0x1.6c0876e1ad809p-10, build);
    c = fma_f64(c, z, 0x1.55553dfda3713p-5, build);
    c = fma_f64(c, z, -0x1.ffffffd093454p-2, build);
    const double y = (quarter & 1) != 0 ? fma_f64(z, c, 1, build) : r * fma_f64(z, s, 1, build);
    return (float)f64_of_bits(bits_of_f64(y) ^ (quarter & 2) << 62);
}

/* ------------------------------------ pow: 2^(b log2 |a|) in double, and C's rules for the rest */

TG_INLINE double log2_in_f64(float x, int build)
{
    int32_t e;
    const double f = (double)split_log(x, &e) - 1;
    double p = 0x1.64c1988470d3ap-4; /* log2(1 + f) / f, 2^-35 */
    p = fma_f64(p, f, -0x1.340ee5b1d1738p-3, build);
    p = fma_f64(p, f, 0x1.274569855a78fp-3, build);
    p = fma_f64(p, f, -0x1.22152fc5eb21fp-3, build);
    p = fma_f64(p, f, 0x1.44e822bfa298ap-3, build);
    p = fma_f64(p, f, -0x1.7176c36221d66p-3, build);
    p = fma_f64(p, f, 0x1.a6455784884d9p-3, build);
    p = fma_f64(p, f, -0x1.ec71772c7eb8ep-3, build);
    p = fma_f64(p, f, 0x1.2776420402741p-2, build);
    p = fma_f64(p, f, -0x1.71547062a6abap-2, build);
    p = fma_f64(p, f, 0x1.ec709eb4c897fp-2, build);
    p = fma_f64(p, f, -0x1.7154765a94835p-1, build);
    p = fma_f64(p, f, 0x1.71547652a1e9dp+0, build);
    return fma_f64(p, f, (double)e, build);
}

TG_INLINE float exp2_to_f32(double x, int build)
{
    x = x > 200.0 ? 200.0 : x;
    x = x < -200.0 ? -200.0 : x;
    const double t = x + ROUNDER_F64;
    const double r = x - (t - ROUNDER_F64);
    double p = 0x1.06b11ae0e2bf4p-16; /* 2^r for |r| <= 1/2, 2^-31.5 */
    p = fma_f64(p, r, 0x1.448fabad1550cp-13, build);
    p = fma_f64(p, r, 0x1.5d8549f1bd673p-10, build);
    p = fma_f64(p, r, 0x1.3b29bb9c0e9b6p-7, build);
    p = fma_f64(p, r, 0x1.c6b0845589d6cp-5, build);
    p = fma_f64(p, r, 0x1.ebfbe0a68b95cp-3, build);
    p = fma_f64(p, r, 0x1.62e42ffc93cep-1, build);
    p = fma_f64(p, r, 0x1.ffffffffab95dp-1, build);
    return (float)(p * f64_of_bits((bits_of_f64(t) << 52) + bits_of_f64(1)));
}

TG_INLINE float pow_f32(float a, float b, int build)
{
    const float size = __builtin_fabsf(a);
    double l = log2_in_f64(size, build);
    l = size == 0 ? -INFINITY : l;
    l = size < INFINITY ? l : (double)size;
    double p = (double)b * l;
    p = size == 1 && b == b ? 0 : p; /* 1^inf */
    const float y = exp2_to_f32(p, build);
    const int integer = round_f32(b, build) == b,
              odd = integer && round_f32(0.5f * b, build) != 0.5f * b;
    const float signed_y = odd ? __builtin_copysignf(y, a) : y;
    const float defined = a < 0 && !integer && a > -INFINITY ? NAN : signed_y;
    return b == 0 || a == 1 ? 1 : defined;
}

#endif
