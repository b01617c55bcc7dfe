/* Exponentials, logarithms, powers, hyperbolic functions, the error function and the normal
 * distribution in double. Private.
 *
 * No branches, only selections, so that compilers vectorise the loops around the functions; only
 * additions, multiplications, divisions and operations on bits, each rounded as IEEE 754 has it and
 * none contracted (compile with -ffp-contract=off): a result has the same bits on every processor,
 * in vectors and out of them. tests/test_math.c measures the largest errors in units in the last
 * place:
 *   exp 0.8, exp_below 0.8, exp2 0.8, expm1 1.1, log 0.8, log2 0.6, log10 0.6, log1p 1.2, pow 0.9,
 *   tanh 1.8, sinh 1.6, cosh 1.3, asinh 1.8, acosh 2.2, atanh 1.9, erf 1, erfc 1.6, normal_cdf 1.9
 *
 * The polynomials are minimax fits with double coefficients, each in two or four interleaved sums,
 * which shortens the chain of operations; the error of a fit stands beside it. */
#ifndef TG_MATH_F64_H
#define TG_MATH_F64_H

#include "math_bits.h"

#include <math.h>

/* x where it is between low and high, else the nearer of them; NaN stays. */
TG_INLINE double between_f64(double x, double low, double high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* The upper 26 bits of a significand: products of two such numbers are exact. */
TG_INLINE double upper_f64(double x) { return f64_of_bits(bits_of_f64(x) & 0xfffffffff8000000u); }

/* a b - product, where product is a b rounded. */
TG_INLINE double product_rest_f64(double a, double b, double product)
{
    const double a1 = upper_f64(a), a2 = a - a1, b1 = upper_f64(b), b2 = b - b1;
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
}

/* ---------------------------------------------------------------- exp */

#define LOG2E_F64 0x1.71547652b82fep+0
#define LN2_HIGH_F64 0x1.62e42fefa38p-1 /* 42 bits: times an exponent it is exact */
#define LN2_LOW_F64 0x1.ef35793c7673p-45
#define EXP_BELOW_LEAST_F64 (-708.39) /* ln 2^-1022, rounded up */

/* x = n ln 2 + r + *rest; t carries n. */
TG_INLINE double reduce_exp_f64(double x, double low, double *t, double *rest)
{
    *t = x * LOG2E_F64 + ROUNDER_F64;
    const double n = *t - ROUNDER_F64;
    const double high = x - n * LN2_HIGH_F64, minus = n * LN2_LOW_F64 - low, r = high - minus;
    *rest = (high - r) - minus;
    return r;
}

/* e^(r + rest) - 1 - r */
TG_INLINE double exp_beyond_f64(double r, double rest)
{
    /* (e^r - 1 - r - r^2 / 2) / r^3 for |r| <= 0.3467, 2^-60 of e^r - 1 */
    const double r2 = r * r;
    const double q0 =
        (((0x1.af3f2405a8f96p-26 * r2 + 0x1.71de0a30df395p-19) * r2 + 0x1.a01a01a90510dp-13) * r2 +
         0x1.1111111110708p-7) *
            r2 +
        0x1.5555555555556p-3;
    const double q1 =
        (((0x1.1f7cb0d519c3bp-29 * r2 + 0x1.27e4d64395a0dp-22) * r2 + 0x1.a01a01a8a2b57p-16) * r2 +
         0x1.6c16c16c15f3bp-10) *
            r2 +
        0x1.5555555555556p-5;
    const double q = q0 + r * q1;
    return r2 * 0.5 + (r2 * (r * q) + (rest + rest * r));
}

/* 2^(n + more) p for t that carries n. The power of two is multiplied in halves: its exponent may
 * be out of range while the result is not, and a denormal result is rounded once. */
TG_INLINE double scale_exp_f64(double p, double t, int more)
{
    const uint64_t bias = 1023, n = bits_of_f64(t) + (uint64_t)(int64_t)more;
    const uint64_t half = bits_of_f64((t - ROUNDER_F64) * 0.5 + ROUNDER_F64);
    return p * f64_of_bits((half + bias) << 52) * f64_of_bits((n - half + bias) << 52);
}

/* e^(x + low), |low| <= 2^-20 being what was lost in rounding x. */
TG_INLINE double exp_sum_f64(double x, double low)
{
    double t, rest;
    const double r = reduce_exp_f64(between_f64(x, -746, 710), low, &t, &rest);
    return scale_exp_f64(1 + (r + exp_beyond_f64(r, rest)), t, 0);
}

TG_INLINE double exp_f64(double x) { return exp_sum_f64(x, 0); }

/* e^x for x <= 0 or NaN; 0 for what would be a denormal number, which would take several times as
 * long. */
TG_INLINE double exp_below_f64(double x)
{
    double t, rest;
    const double r = reduce_exp_f64(x, 0, &t, &rest), y = 1 + (r + exp_beyond_f64(r, rest));
    return x < EXP_BELOW_LEAST_F64 ? 0 : y * f64_of_bits((bits_of_f64(t) + 1023) << 52);
}

/* e^x - 1 as y + *rest */
TG_INLINE double expm1_pair_f64(double x, double *more)
{
    double t, rest;
    const double r = reduce_exp_f64(between_f64(x, -40, 710), 0, &t, &rest),
                 p = exp_beyond_f64(r, rest);
    const double half =
        f64_of_bits((bits_of_f64(t) + 1022) << 52); /* 2^(n-1): 2^1024 is out of range */
    const double top = half * r + (half - 0.5), lost = half * r - (top - (half - 0.5)),
                 low = half * p + lost, y = top + low;
    *more = 2 * ((top - y) + low);
    return 2 * y;
}

TG_INLINE double expm1_f64(double x)
{
    double more;
    const double y = expm1_pair_f64(x, &more);
    return fabs(x) < 0x1p-54 ? x : y;
}

/* ---------------------------------------------------------------- log */

#define SQRT_HALF_BITS_F64 0x3fe6a09e667f3bcdu

/* x = 2^e m with m in [sqrt(1/2), sqrt(2)), for finite x > 0 */
TG_INLINE double split_log_f64(double x, double *e)
{
    const int denormal = x < 0x1p-1022;
    const uint64_t i =
        bits_of_f64(denormal ? x * 0x1p54 : x) - SQRT_HALF_BITS_F64 + ((uint64_t)1024 << 52);
    *e = f64_of_bits((i >> 52) | 0x4330000000000000u) - (denormal ? 0x1p52 + 1078 : 0x1p52 + 1024);
    return f64_of_bits((i & 0xfffffffffffffu) + SQRT_HALF_BITS_F64);
}

/* e ln 2 + ln(1 + f) + low for f in [sqrt(1/2) - 1, sqrt(2) - 1]. With s = f / (2 + f) it is ln((1
 * + s) / (1 - s)) = 2 s + s z l(z), and 2 s = f - s f = f - f^2 / 2 + s f^2 / 2. */
TG_INLINE double join_log_f64(double f, double e)
{
    const double s = f / (2 + f), z = s * s, square = 0.5 * f * f;
    /* (ln((1 + s) / (1 - s)) / s - 2) / z for z = s^2 <= 0.02945, 2^-57 of the logarithm */
    const double z2 = z * z;
    const double l0 =
        ((0x1.2b5f5b2f9f871p-3 * z2 + 0x1.7462b925fa03ep-3) * z2 + 0x1.2492492dfb9b8p-2) * z2 +
        0x1.5555555555558p-1;
    const double l1 =
        (0x1.39fdcbbceb4c6p-3 * z2 + 0x1.c71c62d649d8cp-3) * z2 + 0x1.99999999952b9p-2;
    const double l = l0 + z * l1;
    return e * LN2_HIGH_F64 - ((square - (s * (square + z * l) + e * LN2_LOW_F64)) - f);
}

/* The values of a logarithm whose argument is u, where u is not a positive finite number. */
TG_INLINE double edge_log_f64(double y, double u)
{
    y = u < INFINITY ? y : u;
    y = u < 0 ? NAN : y;
    return u == 0 ? -INFINITY : y;
}

TG_INLINE double log_f64(double x)
{
    double e;
    const double m = split_log_f64(x, &e);
    return edge_log_f64(join_log_f64(m - 1, e), x);
}

/* 1 + x only chooses the power of two; the mantissa is made from x itself: x / 2^e + (1 / 2^e -
 * 1). */
TG_INLINE double log1p_f64(double x)
{
    const double u = 1 + x;
    double e;
    const double m = split_log_f64(u, &e);
    const double scale = f64_of_bits((1023 - bits_of_f64(e + ROUNDER_F64)) << 52);
    const double f = u > 0x1p54 ? m - 1 : x * scale + (scale - 1);
    const double y = edge_log_f64(join_log_f64(f, e), u);
    return fabs(x) < 0x1p-54 ? x : y;
}

/* ---------------------------------------------------------------- pow */

/* ln x as a sum whose error is 2^-64 of it, for finite x > 0. */
TG_INLINE double log_pair_f64(double x, double *low)
{
    double e;
    const double f = split_log_f64(x, &e) - 1;
    const double d = 2 + f, d_rest = f - (d - 2), s = f / d, sd = s * d;
    const double s_rest = ((f - sd) - product_rest_f64(s, d, sd) - s * d_rest) / d;
    const double z = s * s, z_rest = product_rest_f64(s, s, z) + 2 * (s * s_rest);
    /* (ln((1 + s) / (1 - s)) / s - 2 - 2 z / 3) / z^2 for z = s^2 <= 0.02945, 2^-69 of the
     * logarithm */
    const double z2 = z * z;
    const double l0 =
        ((0x1.e01971bc08f3ap-4 * z2 + 0x1.3b13a9cbb9294p-3) * z2 + 0x1.c71c71c74c77ap-3) * z2 +
        0x1.999999999999ap-2;
    const double l1 =
        ((0x1.daa559ed8cce9p-4 * z2 + 0x1.111551154f755p-3) * z2 + 0x1.745d173ce41bap-3) * z2 +
        0x1.24924924922fep-2;
    const double l = l0 + z * l1;
    /* 2 s + s (2 z / 3 + z^2 l) */
    const double third = 0x1.5555555555555p-1 * z;
    const double third_rest = product_rest_f64(0x1.5555555555555p-1, z, third) +
                              (0x1.5555555555555p-55 * z + 0x1.5555555555555p-1 * z_rest);
    const double more = z * z * l, inner = third + more,
                 inner_rest = ((third - inner) + more) + third_rest;
    const double cube = s * inner,
                 cube_rest = product_rest_f64(s, inner, cube) + (s * inner_rest + s_rest * inner);
    const double whole = e * LN2_HIGH_F64, twice = 2 * s;
    const double a = whole + twice, a_rest = e == 0 ? 0 : (whole - a) + twice;
    const double b = a + cube, b_rest = (a - b) + cube;
    const double rest = (b_rest + a_rest) + ((cube_rest + 2 * s_rest) + e * LN2_LOW_F64);
    const double y = b + rest;
    *low = (b - y) + rest;
    return y;
}

/* The nearest integer, halves to even. */
TG_INLINE double nearest_f64(double x)
{
    const double a = fabs(x);
    return a < 0x1p52 ? copysign((a + 0x1p52) - 0x1p52, x) : x;
}

/* e^(b ln |a|), and C's rules for the rest. */
TG_INLINE double pow_f64(double a, double b)
{
    const double size = fabs(a);
    double low;
    double l = log_pair_f64(size, &low);
    const int inside = size > 0 && size != 1 && size < INFINITY;
    l = size == 0 ? -INFINITY : l;
    l = size < INFINITY ? l : size;
    double p = b * l;
    p = size == 1 && b == b ? 0 : p; /* 1^inf */
    const double rest = product_rest_f64(b, l, p) + b * low;
    const double y = exp_sum_f64(p, inside && fabs(p) < 800 ? rest : 0);
    const int integer = nearest_f64(b) == b, odd = integer && nearest_f64(0.5 * b) != 0.5 * b;
    const double signed_y = odd ? copysign(y, a) : y;
    const double defined = a < 0 && !integer && a > -INFINITY ? NAN : signed_y;
    return b == 0 || a == 1 ? 1 : defined;
}

/* ---------------------------------------------------------------- exp2, log2, log10 */

/* Exact for integers. */
TG_INLINE double exp2_f64(double x)
{
    x = between_f64(x, -1100, 1100);
    const double ln2 = 0x1.62e42fefa39efp-1, p = x * ln2;
    return exp_sum_f64(p, product_rest_f64(x, ln2, p) + x * 0x1.abc9e3b39803fp-56);
}

/* factor + rest times ln x; exact where that is an integer. */
TG_INLINE double scaled_log_f64(double x, double factor, double rest)
{
    double low;
    const double l = log_pair_f64(x, &low), y = l * factor;
    const double lost = product_rest_f64(l, factor, y) + (low * factor + l * rest);
    return edge_log_f64(y + lost, x);
}
TG_INLINE double log2_f64(double x)
{
    return scaled_log_f64(x, 0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56);
}
TG_INLINE double log10_f64(double x)
{
    return scaled_log_f64(x, 0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57);
}

/* ---------------------------------------------------------------- tanh, sinh, cosh */

/* With E = e^(2|x|) - 1: E / (E + 2) where it is small, else 1 - 2 / (E + 2). The small quotient q
 * is put right by what the sums lost, times 1 / (E + 2) = (1 - q) / 2. */
TG_INLINE double tanh_f64(double x)
{
    const double a = fabs(x);
    double e_rest;
    const double e = expm1_pair_f64(a > 22 ? 44 : 2 * a, &e_rest), d = e + 2,
                 d_rest = (e - (d - 2)) + e_rest;
    const int near = a < 0.5;
    const double q = (near ? e : 2) / d;
    const double y = near ? q + (e_rest - q * d_rest) * (0.5 - 0.5 * q) : 1 - q;
    return copysign(a < 0x1p-28 ? a : y, x);
}

/* e^|x| / 2, which doesn't overflow before the results do. */
TG_INLINE double half_exp_f64(double x)
{
    double t, rest;
    const double r = reduce_exp_f64(between_f64(fabs(x), 0, 711), 0, &t, &rest);
    return scale_exp_f64(1 + (r + exp_beyond_f64(r, rest)), t, -1);
}

TG_INLINE double cosh_f64(double x)
{
    const double h = half_exp_f64(x);
    return h + 0.25 / h;
}

TG_INLINE double sinh_f64(double x)
{
    const double a = fabs(x), z = x * x, h = half_exp_f64(x);
    /* (sinh(x) / x - 1) / z for z = x^2 <= 1.01, 2^-59 */
    const double z2 = z * z;
    const double p0 =
        ((0x1.b28557a6172b2p-41 * z2 + 0x1.ae6453fbaf5b9p-26) * z2 + 0x1.a01a01a00c21ap-13) * z2 +
        0x1.5555555555555p-3;
    const double p1 =
        (0x1.6121d1687166p-33 * z2 + 0x1.71de3a5dec51ap-19) * z2 + 0x1.1111111111196p-7;
    const double p = p0 + z * p1;
    return copysign(a < 1 ? a + a * (z * p) : h - 0.25 / h, x);
}

/* ---------------------------------------------------------------- asinh, acosh, atanh */

/* ln(a + sqrt(a^2 + 1)) = ln(1 + a + a^2 / (1 + sqrt(a^2 + 1))); far out ln 2a */
TG_INLINE double asinh_f64(double x)
{
    const double a = fabs(x), b = a > 0x1p30 ? 1 : a, z = b * b;
    const double near = log1p_f64(b + z / (1 + __builtin_sqrt(1 + z)));
    const double y = a > 0x1p30 ? log_f64(a) + 0x1.62e42fefa39efp-1 : near;
    return copysign(y, x);
}

/* ln(1 + u + sqrt(2u + u^2)) for u = x - 1; far out ln 2x */
TG_INLINE double acosh_f64(double x)
{
    const double u = (x > 0x1p30 ? 2 : x) - 1, near = log1p_f64(u + __builtin_sqrt(2 * u + u * u));
    const double y = x > 0x1p30 ? log_f64(x) + 0x1.62e42fefa39efp-1 : near;
    return x < 1 ? NAN : y;
}

/* ln((1 + a) / (1 - a)) / 2 = ln(1 + 2a / (1 - a)) / 2 */
TG_INLINE double atanh_f64(double x)
{
    const double a = fabs(x), y = 0.5 * log1p_f64(2 * a / (1 - a));
    return copysign(a > 1 ? NAN : a < 0x1p-28 ? a : y, x);
}

/* ----------------------------------------------------------- erf, erfc, the normal distribution */

/* erf(a) for a <= 0.88 */
TG_INLINE double erf_near_f64(double a)
{
    const double z = a * a;
    /* erf(x) / x - 1 for z = x^2 <= 0.7745, 2^-56 */
    const double z2 = z * z;
    const double p0 =
        ((((0x1.ea87b66852c55p-27 * z2 + 0x1.b9d7e83ef831ep-20) * z2 + 0x1.f9a32d1b86944p-14) * z2 +
          0x1.565bcd1283677p-8) *
             z2 +
         0x1.ce2f21a0436e1p-4) *
            z2 +
        0x1.06eba8214db69p-3;
    const double p1 =
        ((((-0x1.ef35e97148bddp-31 * z2 - 0x1.5e73fd5dc9e95p-23) * z2 - 0x1.f4d21b52d1419p-17) *
              z2 -
          0x1.c02db47bdd641p-11) *
             z2 -
         0x1.b82ce312ade13p-6) *
            z2 -
        0x1.812746b0379fep-2;
    const double p = p0 + z * p1;
    return a + a * p;
}

/* e^(-(square + more)) g(a) / (1 + 2a) for square + more = (a + a_rest)^2, 0 <= a <= 27.7: that is
 * erfc(a + a_rest). The product and the quotient are put right by what their parts lost in
 * rounding. */
TG_INLINE double erfc_tail_f64(double a, double a_rest, double square, double more, double *bell)
{
    const double s = (a - 4) / (a + 4), middle = 0x1.3ba5916e9fd7fp+0;
    /* (1 + 2a) e^(a^2) erfc(a) less its middle for a = 4 (1 + s) / (1 - s) <= 27.7, 2^-56 */
    const double s2 = s * s, s4 = s2 * s2;
    const double g0 =
        ((((-0x1.0d7fd8cd8a67ep-27 * s4 + 0x1.43c7f331d2b9ap-22) * s4 + 0x1.3be0c3924eaf9p-13) *
              s4 -
          0x1.096238819bf88p-6) *
             s4 -
         0x1.9ddb23c3e8f15p-4) *
            s4 -
        0x1.ac48c862add22p-55;
    const double g1 =
        ((((-0x1.d03786841dcafp-27 * s4 - 0x1.bffd75b3eb4e6p-21) * s4 - 0x1.9969b4a3069dep-16) *
              s4 +
          0x1.49c6719943459p-8) *
             s4 +
         0x1.7fee004df81e2p-4) *
            s4 -
        0x1.1df1ad154a29bp-3;
    const double g2 =
        ((((-0x1.e161e733db5aep-30 * s4 + 0x1.0d4e57af22418p-24) * s4 - 0x1.78a60e8589891p-17) *
              s4 -
          0x1.8d4a9efd77b44p-11) *
             s4 -
         0x1.0fb06dfe5251ap-4) *
            s4 +
        0x1.f7f5df66fd7d3p-7;
    const double g3 =
        (((0x1.ed30a0e28daabp-24 * s4 + 0x1.7faf20c2fe7cdp-18) * s4 - 0x1.a1de87044cf24p-13) * s4 +
         0x1.3079edf9d4841p-5) *
            s4 +
        0x1.16ecefcfa5f79p-4;
    const double g = (g0 + s * g1) + s2 * (g2 + s * g3);
    const double whole = middle + g, whole_rest = (middle - whole) + g;
    double t, rest;
    const double r = reduce_exp_f64(between_f64(-square, -760, 0), -more, &t, &rest),
                 p = exp_beyond_f64(r, rest);
    const double e = 1 + (r + p), e_rest = ((1 - e) + r) + p;
    const double d = 1 + 2 * a, d_rest = (2 * a - (d - 1)) + 2 * a_rest;
    const double n = e * whole,
                 n_rest = product_rest_f64(e, whole, n) + (e_rest * whole + e * whole_rest),
                 q = n / d;
    *bell = scale_exp_f64(e, t, 0);
    return scale_exp_f64(q + (n_rest - q * d_rest) / d, t, 0);
}

TG_INLINE double erf_f64(double x)
{
    double bell;
    const double a = between_f64(fabs(x), 0, 6), far = 1 - erfc_tail_f64(a, 0, a * a, 0, &bell);
    return copysign(a < 0.84 ? erf_near_f64(a) : far, x);
}

/* The tails are as exact as the exponent, so the square is taken in two parts. */
TG_INLINE double erfc_f64(double x)
{
    double bell;
    const double a = between_f64(fabs(x), 0, 27.7), top = upper_f64(a);
    const double tail = erfc_tail_f64(a, 0, top * top, (a - top) * (a + top), &bell);
    const double far = x < 0 ? 2 - tail : tail;
    return a < 0.45 ? 1 - copysign(erf_near_f64(a), x) : far;
}

/* Phi(x) = erfc(-x / sqrt 2) / 2, and e^(-x^2/2). */
TG_INLINE double normal_cdf_f64(double x, double *bell)
{
    const double a = between_f64(fabs(x), 0, 39), top = upper_f64(a), b = a * 0x1.6a09e667f3bcdp-1;
    const double b_rest = product_rest_f64(a, 0x1.6a09e667f3bcdp-1, b);
    const double tail =
        erfc_tail_f64(b, b_rest, 0.5 * (top * top), 0.5 * ((a - top) * (a + top)), bell);
    const double far = x > 0 ? 1 - 0.5 * tail : 0.5 * tail;
    return b < 0.45 ? 0.5 + 0.5 * copysign(erf_near_f64(b), x) : far;
}

#endif
