/* Functions of analysis and of statistics, remainders, and sums with products. A lean library makes
 * them small rather than fast. */
#include "elementwise.h"
#include "folds.h"
#include <math.h>

#ifndef TG_SAMPLES

/* Functions that are computed in double whatever the dtype, one element after the other, are
 * compiled once; f(x), f(a, b), f(order, x) for an op with its order as attribute. */
/* carried: special */
#define ONE_BY_ONE(name, f, T, ...)                                              \
    static void name(const tg_span *s, void *result, const void *const *operand) \
    {                                                                            \
        T *y = (T *)result;                                                      \
        for (int64_t i = 0; i < s->n; i++) y[i] = (T)f(__VA_ARGS__);             \
    }
#define IN_DOUBLE(name, f, ...)                                         \
    ONE_BY_ONE(name##_f32, f, float, OF_##__VA_ARGS__(float))           \
    ONE_BY_ONE(name##_f64, f, double, OF_##__VA_ARGS__(double))         \
    TG_SPANS_WITH(span_##name, NULL, TG_CARRIED("special span_" #name), \
                  TG_SAME_BUILDS(name##_f32), TG_SAME_BUILDS(name##_f64))
#define OF_X(T) (double)((const T *)operand[0])[i]
#define OF_A_B(T) (double)((const T *)operand[0])[i], (double)((const T *)operand[1])[i]
#define OF_ORDER_X(T) s->attrs[0], (double)((const T *)operand[0])[i]

static const double pi = 3.14159265358979323846;

/* sin of pi (x + turn / 2), exact where it is 0 or 1 */
static double sin_pi(double x, int turn)
{
    const double rest = fmod(x, 2), quarter = floor(2 * rest + 0.5);
    if (rest != rest) return rest;
    return sin_turned_f64(pi * (rest - quarter / 2), (int)quarter + turn);
}
/* carried so far */

static tg_tensor *of_order(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x,
                           int64_t order)
{
    return tg_apply(t, op, 1, &x, 1, &order);
}

/* ---------------------------------------------------------------- sinc
 *
 * The spherical Bessel function j_n(pi x), of which j_0 is sinc: their derivatives are made of each
 * other without a quotient, so that any order is exact at 0. */

/* carried: special */
static double wave(int64_t n, double x)
{
    const double z = pi * fabs(x), n_1 = (double)n;
    double y;
    if (z * z < 4 * n_1 + 6) {
        double term = 1;
        for (int64_t k = 1; k <= n; k++) term *= z / (double)(2 * k + 1);
        y = term;
        for (int k = 1; k < 40; k++) y += term *= -z * z / (2 * k * (2 * (n_1 + k) + 1));
    } else {
        double before = -sin_pi(fabs(x), 1) / z; /* -j_-1 */
        y = sin_pi(fabs(x), 0) / z;
        for (int64_t k = 0; k < n; k++) {
            const double next = (double)(2 * k + 1) / z * y + before;
            before = -y;
            y = next;
        }
    }
    return x < 0 && n % 2 != 0 ? -y : y;
}
IN_DOUBLE(sinc, wave, ORDER_X)
/* carried so far */

static void sinc_slope(TG_VJP, const tg_op *op, int64_t n)
{
    tg_tensor *slope = tg_scale(t, of_order(t, where, op, x[0], n + 1), -pi * (double)(n + 1));
    if (n > 0)
        slope = tg_add(t, slope, tg_scale(t, of_order(t, where, op, x[0], n - 1), pi * (double)n));
    gx[0] = tg_mul(t, gy, tg_scale(t, slope, 1 / (double)(2 * n + 1)));
}
OP(1, sinc, NULL, sinc_slope(TG_PULLED, &op_sinc, attrs[0]))

tg_tensor *tg_sinc_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return of_order(t, where, &op_sinc, x, 0);
}

/* ---------------------------------------------------------------- lgamma, digamma, polygamma */

/* carried: special */
static double power(double x, int64_t n)
{
    double y = 1;
    while (n-- > 0) y *= x;
    return y;
}

enum { ORDERS = 31 }; /* those of polygamma below 0 */

/* (d/dx)^n pi cot(pi x), a polynomial in the cotangent: the next one's is -(1 + c^2) times the
 * derivative of this one's. */
static double cot_derivative(int64_t n, double x)
{
    double a[ORDERS + 2] = {0, 1};
    if (n >= ORDERS) return (double)NAN;
    for (int64_t k = 1; k <= n; k++) {
        double next[ORDERS + 2] = {0};
        for (int64_t j = 1; j <= k; j++) {
            next[j - 1] -= (double)j * a[j];
            next[j + 1] -= (double)j * a[j];
        }
        for (int64_t j = 0; j <= k + 1; j++) a[j] = next[j];
    }
    const double c = sin_pi(x, 1) / sin_pi(x, 0);
    double y = 0;
    for (int64_t j = n + 1; j >= 0; j--) y = y * c + a[j];
    return y * power(pi, n + 1);
}

/* (-1)^(n+1) n! times the sum of 1 / (x + k)^(n+1): some terms, then Euler and Maclaurin's
 * formula. */
static double polygamma(int64_t n, double x)
{
    static const double bernoulli[] = {1.0 / 6,   -1.0 / 30,     1.0 / 42,
                                       -1.0 / 30, 5.0 / 66,      -691.0 / 2730.0,
                                       7.0 / 6,   -3617.0 / 510, 43867.0 / 798};
    const double sign = n % 2 ? 1 : -1;
    if (x <= 0 && x == floor(x)) {
        if (n == 0 && x == 0) return copysign((double)INFINITY, -x);
        return (double)(n % 2 && x > -(double)INFINITY ? INFINITY : NAN);
    }
    if (x < 0) return -sign * polygamma(n, 1 - x) - cot_derivative(n, x);
    if (x == (double)INFINITY) return n ? sign * 0 : x;
    double factorial = 1, sum = 0;
    for (int64_t k = 2; k <= n; k++) factorial *= (double)k;
    for (; x < 10 + (double)n; x++) sum += factorial / power(x, n + 1);
    const double scale = factorial / power(x, n + 1), z = 1 / (x * x);
    double rest = scale / 2, ratio = scale * (double)(n + 1) / (2 * x);
    for (int k = 1; k <= 9; k++) {
        const double m = (double)(2 * k + n);
        rest += bernoulli[k - 1] * ratio;
        ratio *= m * (m + 1) / ((2 * k + 1) * (2 * k + 2)) * z;
    }
    return sign * ((n ? scale * x / (double)n : -log_f64(x)) + (rest + sum));
}
IN_DOUBLE(lgamma, lgamma, X)
IN_DOUBLE(polygamma, polygamma, ORDER_X)
/* carried so far */

OP(1, polygamma, NULL, gx[0] = tg_mul(t, gy, of_order(t, where, &op_polygamma, x[0], attrs[0] + 1)))
OP(1, lgamma, NULL, gx[0] = tg_mul(t, gy, tg_digamma(t, x[0])))

tg_tensor *tg_digamma_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_ready_float(t, where, "digamma", x) ? of_order(t, where, &op_polygamma, x, 0) : NULL;
}
tg_tensor *tg_polygamma_at(tg_tape *t, const char *where, tg_tensor *x, int64_t n)
{
    if (!tg_ready_float(t, where, "polygamma", x)) return NULL;
    if (n < 0 || n >= ORDERS)
        return tg_fail_at(t, where, TG_EVALUE, "polygamma: an order of %lld, not 0 to %d",
                          (long long)n, ORDERS - 1);
    return of_order(t, where, &op_polygamma, x, n);
}

/* ---------------------------------------------------------------- erfinv
 *
 * Winitzki's approximation, off by 2e-3, made exact by Halley's method, whose steps cube the
 * error. */

/* carried: special */
static double erfinv(double x)
{
    const double a = fabs(x), w = log_f64((1 - a) * (1 + a)), b = 0.147,
                 half = 2 / (pi * b) + w / 2;
    if (!(a < 1)) return a == 1 ? x * (double)INFINITY : (double)NAN;
    double y = sqrt(-w / b / (sqrt(half * half - w / b) + half));
    if (a < 1e-8) y = a * 0.8862269254527580;
    for (int k = 0; k < 3; k++) {
        const double off = a < 0.5 ? erf_f64(y) - a : (1 - a) - erfc_f64(y),
                     step = off * 0.8862269254527580 * exp_f64(y * y);
        y -= step / (1 + y * step);
    }
    return copysign(y, x);
}
IN_DOUBLE(erfinv, erfinv, X)
/* carried so far */

OP(1, erfinv, NULL,
   gx[0] = tg_mul(t, gy, tg_scale(t, tg_exp(t, tg_square(t, y)), 0.8862269254527580)))

/* ---------------------------------------------------------------- remainders, signs
 *
 * a / b without its fraction is (a - y) / b but for roundings. */

/* carried: special */
IN_DOUBLE(fmod, fmod, A_B)
/* carried so far */

OP(2, fmod, NULL, gx[0] = gy;
   gx[1] = tg_neg(t, tg_mul(t, gy, tg_round(t, tg_div(t, tg_sub(t, x[0], y), x[1])))))

tg_tensor *tg_remainder_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready_float(t, where, "remainder", a) || !tg_ready_float(t, where, "remainder", b))
        return NULL;
    tg_tensor *y = tg_fmod(t, a, b);
    tg_tensor *apart =
        tg_less(t, tg_mul(t, tg_sign(t, y), tg_sign(t, b)), tg_constant_like(t, b, 0));
    return tg_where(t, apart, tg_add(t, y, b), y);
}
#endif

INNER_2(copysign, COPYSIGN(ABS(a), b),
        gx[0] = tg_mul(t, gy, tg_mul(t, tg_sign(t, y), tg_sign(t, x[0])));
        gx[1] = zeros_like(t, where, x[1]))

/* ---------------------------------------------------------------- composed */

#ifndef TG_SAMPLES
tg_tensor *tg_nan_to_num_at(tg_tape *t, const char *where, tg_tensor *x, double nan, double above,
                            double below)
{
    if (!tg_ready_float(t, where, "nan_to_num", x)) return NULL;
    const double endless = (double)INFINITY;
    tg_tensor *high = tg_constant_like(t, x, endless), *low = tg_constant_like(t, x, -endless),
              *y = tg_where(t, tg_not_equal(t, x, x), tg_constant_like(t, x, nan), x);
    y = tg_where(t, tg_equal(t, x, high), tg_constant_like(t, x, above), y);
    return tg_where(t, tg_equal(t, x, low), tg_constant_like(t, x, below), y);
}

/* What is not counted is not computed: where a is 0, a b without a logarithm counts as 0. */
tg_tensor *tg_xlog1py_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready_float(t, where, "xlog1py", a) || !tg_ready_float(t, where, "xlog1py", b))
        return NULL;
    tg_tensor *outside = tg_logical_or(t, tg_less_equal(t, b, tg_constant_like(t, b, -1)),
                                       tg_equal(t, b, tg_constant_like(t, b, (double)INFINITY)));
    tg_tensor *nothing = tg_logical_and(t, outside, tg_equal(t, a, tg_constant_like(t, a, 0)));
    return tg_mul(t, a, tg_log1p(t, tg_where(t, nothing, tg_constant_like(t, b, 0), b)));
}

tg_tensor *tg_addcmul_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *a, tg_tensor *b,
                         double factor)
{
    return tg_add(t, x, tg_scale(t, tg_mul(t, a, b), factor));
}
tg_tensor *tg_addcdiv_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *a, tg_tensor *b,
                         double factor)
{
    return tg_add(t, x, tg_scale(t, tg_div(t, a, b), factor));
}
#endif

TG_DEFINE_1(lgamma, op_lgamma)
TG_DEFINE_1(erfinv, op_erfinv)
TG_DEFINE_2(fmod, op_fmod)
TG_DEFINE_2(copysign, op_copysign)

KNOWN(sinc, "any", -1, ("y = sin(pi x) / (pi x), 1 at 0"))
KNOWN(lgamma, "any", -1, ("y = ln |gamma(x)|", .kinks = "x = 0, -1, -2, ..."))
KNOWN(digamma, "any", -1, ("y = gamma'(x) / gamma(x)", .kinks = "x = 0, -1, -2, ..."))
KNOWN(polygamma, "any", -1,
      ("y = the n-th derivative of digamma at x", .kinks = "x = 0, -1, -2, ..."))
KNOWN(erfinv, "any", -1, ("y with erf y = x", .domain = "-1 <= x <= 1"))
KNOWN(fmod, "any, broadcast", -1,
      ("y = a - b trunc(a / b)", .domain = "b != 0", .kinks = "whole a / b but 0"))
KNOWN(remainder, "any, broadcast", -1,
      ("y = a - b floor(a / b)", .domain = "b != 0", .kinks = "whole a / b"))
KNOWN(copysign, "any, broadcast", -1, ("y = |a| with the sign of b", .kinks = "a = 0"))
KNOWN(nan_to_num, "any", -1, ("y = x, but numbers for NaN, inf and -inf"))
KNOWN(xlog1py, "any, broadcast", -1, ("y = a ln(1 + b), 0 where a = 0", .domain = "b > -1"))
KNOWN(addcmul, "any, broadcast", -1, ("y = x + factor a b"))
KNOWN(addcdiv, "any, broadcast", -1, ("y = x + factor a / b", .domain = "b != 0"))

CALL(sinc, tg_sinc(t, x[0]))
EXPECT_ALIKE(sinc, sin(acos(-1) * x) / (acos(-1) * x))
SAMPLES(sinc, SAMPLE(sinc, "near", 0, REALS(-0.6, 0.6, 3, 4)),
        SAMPLE(sinc, "far", 0, REALS(1, 4, 6)))
CALL(lgamma, tg_lgamma(t, x[0]))
EXPECT_ALIKE(lgamma, log(fabs(tgamma(x))))
SAMPLES(lgamma, SAMPLE(lgamma, "", 0, REALS(0.3, 6, 3, 4)),
        SAMPLE(lgamma, "below 0", 0, REALS(-1.8, -1.2, 5)))
#ifdef TG_SAMPLES
/* By the definition of its sum, and what of it is left by the midpoints of many slices. */
static double by_its_sum(double x, int n)
{
    double sum = 0;
    const int terms = 20000;
    for (int k = terms - 1; k >= 0; k--) sum += 1 / pow(x + k, n + 1) - (n ? 0 : 1.0 / (k + 1));
    const double end = x + terms - 0.5;
    if (n == 0) return -0.57721566490153286 - sum + log(end) - log(terms + 0.5);
    sum += 1 / (n * pow(end, n)) - (n + 1) / 24.0 / pow(end, n + 2);
    return (n % 2 ? 1 : -1) * tgamma(n + 1) * sum;
}
#endif
CALL(digamma, tg_digamma(t, x[0]))
EXPECT_ALIKE(digamma, by_its_sum(x, 0))
SAMPLES(digamma, SAMPLE(digamma, "", 0, REALS(0.3, 6, 3, 4)),
        SAMPLE(digamma, "below 0", 0, REALS(-1.8, -1.2, 5)))
CALL(trigamma, tg_polygamma(t, x[0], 1))
EXPECT_ALIKE(trigamma, by_its_sum(x, 1))
CALL(tetragamma, tg_polygamma(t, x[0], 2))
EXPECT_ALIKE(tetragamma, by_its_sum(x, 2))
SAMPLES(polygamma, SAMPLE(trigamma, "order 1", 0, REALS(0.5, 6, 3, 4)),
        SAMPLE(tetragamma, "order 2", 0, REALS(0.7, 14, 7)),
        SAMPLE(trigamma, "order 1 below 0", 0, REALS(-1.8, -1.2, 5)),
        SAMPLE(tetragamma, "order 2 below 0", 0, REALS(-1.8, -1.2, 5)))
CALL(erfinv, tg_erfinv(t, tg_erf(t, x[0])))
EXPECT_ALIKE(erfinv, x)
CALL(erfinv_plain, tg_mul(t, tg_erfinv(t, x[0]), tg_erf(t, tg_erfinv(t, x[0]))))
#ifdef TG_SAMPLES
/* By halving. */
static double erfinv_of(double x)
{
    double low = -6, high = 6;
    for (int k = 0; k < 80; k++) {
        const double middle = (low + high) / 2;
        if (erf(middle) < x) low = middle;
        else high = middle;
    }
    return low;
}
#endif
EXPECT_ALIKE(erfinv_plain, x *erfinv_of(x))
SAMPLES(erfinv, SAMPLE(erfinv_plain, "", 0, REALS(-0.9, 0.9, 3, 4)),
        SAMPLE(erfinv, "of erf", TG_NOT_SMOOTH, REALS(-1.2, 1.2, 9)))
CALL(fmod, tg_fmod(t, x[0], x[1]))
EXPECT_ALIKE(fmod, fmod(a, b))
SAMPLES(fmod, SAMPLE(fmod, "", 0, REALS(4.2, 5.8, 3, 4), REALS(1.9, 2.05, 3, 4)),
        SAMPLE(fmod, "negative", 0, REALS(-5.8, -4.2, 5), REALS(1.9, 2.05, 5)),
        SAMPLE(fmod, "all", TG_NOT_SMOOTH, REALS(-9, 9, 40), REALS(-3, 3, 40)))
CALL(remainder, tg_remainder(t, x[0], x[1]))
EXPECT_ALIKE(remainder, a - b * floor(a / b))
SAMPLES(remainder, SAMPLE(remainder, "", 0, REALS(4.2, 5.6, 3, 4), REALS(1.9, 2.05, 3, 4)),
        SAMPLE(remainder, "apart", 0, REALS(-5.6, -4.2, 5), REALS(1.9, 2.05, 5)),
        SAMPLE(remainder, "all", TG_NOT_SMOOTH, REALS(-9, 9, 40), REALS(-3, -1, 40)))
CALL(copysign, tg_copysign(t, x[0], x[1]))
EXPECT_ALIKE(copysign, copysign(a, b))
SAMPLES(copysign, SAMPLE(copysign, "turned", 0, REALS(0.2, 2, 3, 4), REALS(-2, -0.1, 3, 4)),
        SAMPLE(copysign, "back", 0, REALS(-2, -0.2, 5), REALS(-2, -0.1, 5)),
        SAMPLE(copysign, "all", TG_NOT_SMOOTH, REALS(-2, 2, 40), REALS(-2, 2, 40)))
CALL(numbers, tg_nan_to_num(t, tg_log(t, tg_floor(t, x[0])), 7, 8, 9))
EXPECT_ALIKE(numbers, x < 0 ? 7 : x < 1 ? 9 : log(floor(x)))
CALL(as_it_was, tg_nan_to_num(t, x[0], 7, 8, 9))
EXPECT_ALIKE(as_it_was, x)
SAMPLES(nan_to_num, SAMPLE(numbers, "numbers", TG_NOT_SMOOTH, REALS(-2, 4, 40)),
        SAMPLE(as_it_was, "finite", 0, REALS(-2, 4, 7)))
CALL(xlog1py, tg_xlog1py(t, x[0], x[1]))
EXPECT_ALIKE(xlog1py, a *log1p(b))
SAMPLES(xlog1py, SAMPLE(xlog1py, "", 0, REALS(-2, 2, 3, 4), REALS(-0.7, 3, 3, 4)))
CALL(addcmul, tg_addcmul(t, x[0], x[1], x[2], -0.5))
EXPECT_ALIKE(addcmul, a - 0.5 * b * c)
SAMPLES(addcmul, SAMPLE(addcmul, "", 0, REALS(-2, 2, 3, 4), REALS(-2, 2, 3, 4), REALS(-2, 2, 3, 4)))
CALL(addcdiv, tg_addcdiv(t, x[0], x[1], x[2], -0.5))
EXPECT_ALIKE(addcdiv, a - 0.5 * b / c)
SAMPLES(addcdiv,
        SAMPLE(addcdiv, "", 0, REALS(-2, 2, 3, 4), REALS(-2, 2, 3, 4), REALS(0.5, 2, 3, 4)))
