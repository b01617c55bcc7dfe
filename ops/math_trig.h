/* sin, cos, tan, atan and atan2 in double, made as the functions of math_f64.h are. Private.
 *
 * The forms without branches hold for |x| < TRIG_LIMIT; beyond, and for infinities and NaN, a
 * caller takes the _far ones, whose reduction knows 2/pi to 1280 bits: their error is the same for
 * every finite argument. Largest errors in units in the last place (tests/test_math.c):
 *   sin 0.9, cos 0.9, tan 1.5, atan 1.6, atan2 1.8, asin 2.2, acos 2.6 */
#ifndef TG_MATH_TRIG_H
#define TG_MATH_TRIG_H

#include "math_f64.h"

#define TRIG_LIMIT 0x1p20

/* x = k pi/2 + r + *rest; returns r, and k's lowest two bits in those of *quarter. pi/2 is taken in
 * pieces of 33 bits: times k they are exact. */
TG_INLINE double reduce_turn_f64(double x, double *rest, uint64_t *quarter)
{
    const double t = x * 0x1.45f306dc9c883p-1 + ROUNDER_F64, k = t - ROUNDER_F64;
    *quarter = bits_of_f64(t);
    const double a = x - k * 0x1.921fb544p+0, second = k * 0x1.0b4611a6p-34,
                 third = k * 0x1.3198a2ep-69;
    const double b = a - second, of_b = b - a, b_rest = (a - (b - of_b)) - (second + of_b);
    const double c = b - third, of_c = c - b, c_rest = (b - (c - of_c)) - (third + of_c);
    const double more = (b_rest + c_rest) - k * 0x1.b839a252049c1p-104;
    const double r = c + more;
    *rest = (c - r) + more;
    return r;
}

/* sin and cos of r + rest for |r| <= 0.786 as sums: of r, or of *whole, and of what is returned. */
TG_INLINE double sin_parts_f64(double r, double rest)
{
    const double z = r * r;
    /* (sin(r) / r - 1) / z for z = r^2 <= 0.6175, 2^-55 */
    const double z2 = z * z;
    const double s0 =
        (-0x1.ae601f55662d7p-26 * z2 - 0x1.a01a019ea010ap-13) * z2 - 0x1.5555555555555p-3;
    const double s1 =
        (0x1.5e10f0f11a163p-33 * z2 + 0x1.71de37b03c015p-19) * z2 + 0x1.1111111110c7fp-7;
    const double s = s0 + z * s1;
    return z * r * s + rest * (1 - 0.5 * z);
}

TG_INLINE double cos_parts_f64(double r, double rest, double *whole)
{
    const double z = r * r, half = 0.5 * z;
    /* (cos(r) - 1 + z / 2) / z^2, 2^-60 */
    const double z2 = z * z;
    const double c0 =
        (0x1.1eeb578692157p-29 * z2 + 0x1.a01a019f3823fp-16) * z2 + 0x1.5555555555555p-5;
    const double c1 =
        (-0x1.907340f518954p-37 * z2 - 0x1.27e4fa02af779p-22) * z2 - 0x1.6c16c16c168cap-10;
    const double c = c0 + z * c1;
    *whole = 1 - half;
    return ((1 - *whole) - half) + (z * z * c - r * rest);
}

/* sin of (r + rest + quarter pi/2) */
TG_INLINE double sin_of_parts_f64(double r, double rest, uint64_t quarter)
{
    double whole;
    const double of_sin = sin_parts_f64(r, rest), of_cos = cos_parts_f64(r, rest, &whole);
    const int odd = (quarter & 1) != 0;
    const double y = (odd ? whole : r) + (odd ? of_cos : of_sin);
    return f64_of_bits(bits_of_f64(y) ^ (quarter & 2) << 62);
}

/* tan of (r + rest + quarter pi/2): a quotient of sums, put right by what their roundings lost. */
TG_INLINE double tan_of_parts_f64(double r, double rest, uint64_t quarter)
{
    double whole;
    const double of_sin = sin_parts_f64(r, rest), of_cos = cos_parts_f64(r, rest, &whole);
    const double s = r + of_sin, s_rest = (r - s) + of_sin, c = whole + of_cos,
                 c_rest = (whole - c) + of_cos;
    const int odd = (quarter & 1) != 0;
    const double a = odd ? -c : s, b = odd ? s : c, a_rest = odd ? -c_rest : s_rest,
                 b_rest = odd ? s_rest : c_rest;
    const double q = a / b;
    return q + (a_rest - q * b_rest) / b;
}

/* sin(x + turn pi/2) */
TG_INLINE double sin_turned_f64(double x, int turn)
{
    double rest;
    uint64_t quarter;
    const double r = reduce_turn_f64(x, &rest, &quarter),
                 y = sin_of_parts_f64(r, rest, quarter + (uint64_t)turn);
    return x == 0 && turn == 0 ? x : y;
}

TG_INLINE double tan_f64(double x)
{
    double rest;
    uint64_t quarter;
    const double r = reduce_turn_f64(x, &rest, &quarter), y = tan_of_parts_f64(r, rest, quarter);
    return fabs(x) < 0x1p-27 ? x : y;
}

/* reduce_turn_f64 for finite |x| >= TRIG_LIMIT. With x = m 2^e for an integer m, those words of
 * 2/pi are multiplied by m which give neither multiples of 4 nor less than 2^-160. */
static inline double reduce_far_f64(double x, double *rest, uint64_t *quarter)
{
    static const uint32_t two_over_pi[40] = {
        0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
        0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e,
        0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b,
        0xbdf9283b, 0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7,
        0x4f463f66, 0x9e5fea2d, 0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1,
        0x1f8d5d08, 0x56033046, 0xfc7b6bab, 0xf0cfbc20, 0x9af4361d};
    enum { TAKEN = 7 };
    const uint64_t bits = bits_of_f64(fabs(x)), m = (bits & 0xfffffffffffffu) | 0x10000000000000u;
    const int e = (int)(bits >> 52) - 1075, first = e > 2 ? (e - 2) / 32 : 0;
    uint32_t p[TAKEN + 4] = {0}; /* the product, lowest word first; its unit is 2^-fraction */
    for (int half = 0; half < 2; half++) {
        const uint64_t factor = half ? m >> 32 : m & 0xffffffffu;
        uint64_t carry = 0;
        for (int i = 0; i < TAKEN; i++) {
            carry += factor * two_over_pi[first + TAKEN - 1 - i] + p[half + i];
            p[half + i] = (uint32_t)carry;
            carry >>= 32;
        }
        p[half + TAKEN] = (uint32_t)carry;
    }
    const int fraction = 32 * (first + TAKEN) - e;
    uint64_t f[6]; /* 32 bits each, from the integer's down */
    for (int i = 0; i < 6; i++) {
        const int at = fraction - 32 * i, word = at / 32, shift = at % 32;
        f[i] = ((p[word] | (uint64_t)p[word + 1] << 32) >> shift) & 0xffffffffu;
    }
    const int above =
        (f[1] & 0x80000000u) != 0; /* above one half: the next quarter, less the rest to it */
    *quarter = f[0] + (above ? 1 : 0);
    for (int i = 1; above && i < 6; i++) f[i] ^= 0xffffffffu;
    const double a = (double)(f[1] << 21 | f[2] >> 11) * 0x1p-53,
                 b = (double)((f[2] & 0x7ff) << 32 | f[3]) * 0x1p-96;
    const double c = (double)(f[4] << 21 | f[5] >> 11) * 0x1p-149;
    const double high = a + b, low = ((a - high) + b) + c;
    const double y = high * 0x1.921fb54442d18p+0;
    const double y_rest = product_rest_f64(high, 0x1.921fb54442d18p+0, y) +
                          (high * 0x1.1a62633145c07p-54 + low * 0x1.921fb54442d18p+0);
    const double r = y + y_rest, r_rest = (y - r) + y_rest, sign = (x < 0) != above ? -1 : 1;
    *quarter = x < 0 ? 0 - *quarter : *quarter;
    *rest = sign * r_rest;
    return sign * r;
}

/* sin(x + turn pi/2) and tan x for any x, one by one. */
static inline double sin_turned_far_f64(double x, int turn)
{
    if (fabs(x) < TRIG_LIMIT) return sin_turned_f64(x, turn);
    if (!(fabs(x) < INFINITY)) return x - x;
    double rest;
    uint64_t quarter;
    const double r = reduce_far_f64(x, &rest, &quarter);
    return sin_of_parts_f64(r, rest, quarter + (uint64_t)turn);
}

static inline double tan_far_f64(double x)
{
    if (fabs(x) < TRIG_LIMIT) return tan_f64(x);
    if (!(fabs(x) < INFINITY)) return x - x;
    double rest;
    uint64_t quarter;
    const double r = reduce_far_f64(x, &rest, &quarter);
    return tan_of_parts_f64(r, rest, quarter);
}

/* ---------------------------------------------------------------- atan, atan2 */

/* The angle of (x, y), from the smaller coordinate over the larger, turned by pi/4 where that is
 * above tan pi/8. */
TG_INLINE double atan2_f64(double y, double x)
{
    const double ay = fabs(y), ax = fabs(x);
    const int steep = ay > ax, endless = ay == INFINITY && ax == INFINITY;
    double small = steep ? ax : ay, large = steep ? ay : ax;
    small = endless ? 1 : small;
    large = endless ? 1 : large;
    const double scale = large > 0x1p1000 ? 0x1p-4 : large < 0x1p-900 ? 0x1p60 : 1;
    small *= scale;
    large *= scale;
    const int turned = small > 0.41421356237309503 * large;
    const double over = turned ? small - large : small, under = turned ? large + small : large;
    const double t = large == 0 ? 0 : over / under, z = t * t;
    /* (atan(t) / t - 1) / z for z = t^2 <= 0.1716, 2^-57 */
    const double z2 = z * z;
    const double p0 =
        ((((-0x1.3b6fea68a0facp-6 * z2 - 0x1.a0cd519eca1e7p-5) * z2 - 0x1.10fb24631823bp-4) * z2 -
          0x1.745d0bd21e6eap-4) *
             z2 -
         0x1.249249243faa8p-3) *
            z2 -
        0x1.5555555555555p-2;
    const double p1 =
        (((0x1.41eda3f8489f5p-5 * z2 + 0x1.dff0fee7a7de5p-5) * z2 + 0x1.3b12709f90fd6p-4) * z2 +
         0x1.c71c718a1a80ep-4) *
            z2 +
        0x1.9999999999452p-3;
    const double p = p0 + z * p1;
    /* t + t z p, from a multiple of pi/4 up or down. */
    const int back = x < 0 || (x == 0 && bits_of_f64(x) >> 63 != 0);
    double base = turned ? 0x1.921fb54442d18p-1 : 0, base_rest = turned ? 0x1.1a62633145c07p-55 : 0;
    base = steep ? 0x1.921fb54442d18p+0 - base : base;
    base_rest = steep ? 0x1.1a62633145c07p-54 - base_rest : base_rest;
    base = back ? 0x1.921fb54442d18p+1 - base : base;
    base_rest = back ? 0x1.1a62633145c07p-53 - base_rest : base_rest;
    const double sign = steep != back ? -1 : 1;
    const double angle = base + sign * (t + (t * (z * p) + sign * base_rest));
    return x != x || y != y ? x + y : copysign(angle, y);
}

TG_INLINE double atan_f64(double x)
{
    const double y = atan2_f64(x, 1);
    return fabs(x) < 0x1p-27 ? x : y;
}

/* Of |x| > 1 the root is that of a negative number: NaN. */
TG_INLINE double asin_f64(double x)
{
    const double y = atan2_f64(x, __builtin_sqrt((1 - x) * (1 + x)));
    return fabs(x) < 0x1p-27 ? x : y;
}
TG_INLINE double acos_f64(double x) { return atan2_f64(__builtin_sqrt((1 - x) * (1 + x)), x); }

#endif
