/* The elementary functions in double: their largest errors in units in the last place, against long
 * double; what they give at the edges; and that their bits are the same in every build, in vectors
 * and out of them. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "support.h"
#include "../ops/math.h"

TG_INLINE double cdf(double x)
{
    double bell;
    return normal_cdf_f64(x, &bell);
}

TG_INLINE double bell(double x)
{
    double y;
    (void)normal_cdf_f64(x, &y);
    return y;
}

#define KERNEL(name, ...)                                       \
    TG_EACH_BUILD(TG_SPAN_1, name, double, double, __VA_ARGS__) \
    static const tg_span_fn name[TG_BUILD_COUNT] = TG_BUILDS(name);

KERNEL(exp_kernel, EXP(x))
KERNEL(exp_below_kernel, EXP_BELOW(x))
KERNEL(expm1_kernel, EXPM1(x))
KERNEL(log_kernel, LOG(x))
KERNEL(log1p_kernel, LOG1P(x))
KERNEL(tanh_kernel, TANH(x))
KERNEL(sinh_kernel, sinh_f64(x))
KERNEL(cosh_kernel, cosh_f64(x))
KERNEL(exp2_kernel, exp2_f64(x))
KERNEL(log2_kernel, log2_f64(x))
KERNEL(log10_kernel, log10_f64(x))
KERNEL(asinh_kernel, asinh_f64(x))
KERNEL(acosh_kernel, acosh_f64(x))
KERNEL(atanh_kernel, atanh_f64(x))
KERNEL(asin_kernel, asin_f64(x))
KERNEL(acos_kernel, acos_f64(x))
KERNEL(sigmoid_kernel, SIGMOID(x))
KERNEL(erf_kernel, ERF(x))
KERNEL(erfc_kernel, erfc_f64(x))
KERNEL(cdf_kernel, cdf(x))
KERNEL(bell_kernel, bell(x))
KERNEL(sin_kernel, sin_turned_f64(x, 0))
KERNEL(cos_kernel, sin_turned_f64(x, 1))
KERNEL(tan_kernel, tan_f64(x))
KERNEL(atan_kernel, atan_f64(x))
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed" /* far arguments take one element at a time */
#endif
KERNEL(sin_far_kernel, sin_turned_far_f64(x, 0))
KERNEL(cos_far_kernel, sin_turned_far_f64(x, 1))
KERNEL(tan_far_kernel, tan_far_f64(x))
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
TG_EACH_BUILD(TG_SPAN_2, pow_kernel, double, double, POW(a, b))
TG_EACH_BUILD(TG_SPAN_2, atan2_kernel, double, double, atan2_f64(a, b))
static const tg_span_fn pow_kernel[TG_BUILD_COUNT] = TG_BUILDS(pow_kernel),
                        atan2_kernel[TG_BUILD_COUNT] = TG_BUILDS(atan2_kernel);

static long double sigmoid_reference(long double x) { return 1 / (1 + expl(-x)); }
static long double below_reference(long double x)
{
    return x < (long double)EXP_BELOW_LEAST_F64 ? 0 : expl(x);
}

/* x is a double, so both parts of half of its square are exact. */
static long double bell_reference(long double x)
{
    const long double top = (long double)(float)x, square = top * top / 2,
                      rest = (x - top) * (x + top) / 2;
    return fabsl(x) > 40 ? 0
                         : expl(-square) * (1 - rest + rest * rest / 2 - rest * rest * rest / 6);
}

/* erfc(u + d) = erfc(u) - 2 d e^(-u^2) / sqrt(pi), where u + d is -x / sqrt(2). */
static long double cdf_reference(long double x)
{
    const long double root = 0.707106781186547524400844362104849039L, u = -x * root;
    const long double d = fmal(-x, root, -u) - x * 0x1.65f626cdd52bp-66L;
    return (isfinite(x) && fabsl(x) < 50
                ? erfcl(u) - d * 1.12837916709551257390L * bell_reference(x)
                : erfcl(u)) /
           2;
}

/* One function, where it is used, and its largest error. */
typedef struct function {
    const char *name;
    const tg_span_fn *kernel;
    long double (*reference)(long double);
    double low, high;
    double ulp;
} function;

static const function all[] = {
    {"exp", exp_kernel, expl, -INFINITY, INFINITY, 0.8},
    {"exp_below", exp_below_kernel, below_reference, -INFINITY, 0, 0.8},
    {"expm1", expm1_kernel, expm1l, -INFINITY, INFINITY, 1.1},
    {"log", log_kernel, logl, -INFINITY, INFINITY, 0.8},
    {"log1p", log1p_kernel, log1pl, -INFINITY, INFINITY, 1.2},
    {"tanh", tanh_kernel, tanhl, -INFINITY, INFINITY, 1.8},
    {"sinh", sinh_kernel, sinhl, -INFINITY, INFINITY, 1.6},
    {"cosh", cosh_kernel, coshl, -INFINITY, INFINITY, 1.3},
    {"sigmoid", sigmoid_kernel, sigmoid_reference, -INFINITY, INFINITY, 2},
    {"erf", erf_kernel, erfl, -INFINITY, INFINITY, 1},
    {"erfc", erfc_kernel, erfcl, -INFINITY, INFINITY, 1.6},
    {"normal_cdf", cdf_kernel, cdf_reference, -INFINITY, INFINITY, 1.9},
    {"bell", bell_kernel, bell_reference, -INFINITY, INFINITY, 1},
    {"sin", sin_kernel, sinl, -0x1.fffffp19, 0x1.fffffp19, 0.9},
    {"cos", cos_kernel, cosl, -0x1.fffffp19, 0x1.fffffp19, 0.9},
    {"tan", tan_kernel, tanl, -0x1.fffffp19, 0x1.fffffp19, 1.5},
    {"sin of any", sin_far_kernel, sinl, -INFINITY, INFINITY, 0.9},
    {"cos of any", cos_far_kernel, cosl, -INFINITY, INFINITY, 0.9},
    {"tan of any", tan_far_kernel, tanl, -INFINITY, INFINITY, 1.5},
    {"exp2", exp2_kernel, exp2l, -INFINITY, INFINITY, 0.8},
    {"log2", log2_kernel, log2l, -INFINITY, INFINITY, 0.6},
    {"log10", log10_kernel, log10l, -INFINITY, INFINITY, 0.6},
    {"asinh", asinh_kernel, asinhl, -INFINITY, INFINITY, 1.8},
    {"acosh", acosh_kernel, acoshl, -INFINITY, INFINITY, 2.2},
    {"atanh", atanh_kernel, atanhl, -INFINITY, INFINITY, 1.9},
    {"asin", asin_kernel, asinl, -INFINITY, INFINITY, 2.2},
    {"acos", acos_kernel, acosl, -INFINITY, INFINITY, 2.6},
    {"atan", atan_kernel, atanl, -INFINITY, INFINITY, 1.6},
};
enum { FUNCTIONS = sizeof all / sizeof *all, SIZE = 1024, BLOCKS = 300 };

static uint64_t state = 88172645463325252u;
static uint64_t next(void) { return test_random(&state); }
static double uniform(void) { return (double)(next() >> 11) * 0x1p-52 - 1; } /* -1 to 1 */

static const double edge[] = {
    0,
    1,
    2,
    3,
    0.5,
    1.5,
    INFINITY,
    NAN,
    DBL_MAX,
    DBL_MIN,
    0x1p-1074,
    0x1.fffffffffffffp-1023,
    0x1p-28,
    0x1p-54,
    0x1p52,
    0x1p53,
    0x1.fffffffffffffp52,
    0x1p1000,
    0x1p-1000,
    709.782712893384,   /* ln DBL_MAX ... */
    0x1.62e42fefa39fp9, /* ... and the next */
    710.4758600739439,
    745.1332191019411,
    745.1332191019412,
    708.3964185322641,
    0x1.6ac5b262ca1ffp849, /* nearer than any other to a multiple of pi/2 */
    0.34657359027997264,
    0.41421356237309503,
    0.70710678118654752,
    1.4142135623730951,
    0.45,
    0.84,
    22,
    26.543,
    38.48};
enum { EDGES = sizeof edge / sizeof *edge };

/* Every sign and exponent; where results are neither 0 nor 1 nor infinite; multiples of pi/2; edges
 * and their neighbours. */
static double argument(int i)
{
    switch (i % 8) {
    case 0: return f64_of_bits(next());
    case 1: return uniform();
    case 2: return 5 * uniform();
    case 3: return 40 * uniform();
    case 4: return 760 * uniform();
    case 5: return 1 + 0.1 * uniform();
    case 6: return nearbyint(1e5 * uniform()) * 0x1.921fb54442d18p+0;
    default: {
        const double x = f64_of_bits(bits_of_f64(edge[next() % EDGES]) + next() % 5 - 2);
        return next() % 2 ? x : -x;
    }
    }
}

static int arguments(const function *f, double *x)
{
    int n = 0;
    for (int i = 0; i < SIZE; i++) {
        const double v = argument(i);
        if (isnan(v) ? f->low == -INFINITY && f->high == INFINITY : v >= f->low && v <= f->high)
            x[n++] = v;
    }
    return n;
}

Test(math_f64, errors_stay_below_the_stated_ones)
{
    for (int k = 0; k < FUNCTIONS; k++) {
        const function *f = &all[k];
        double worst = 0, at = 0, gave = 0;
        for (int block = 0; block < BLOCKS; block++) {
            double x[SIZE], y[SIZE];
            int n = arguments(f, x);
            for (int i = 0; block == 0 && i < 2 * EDGES; i++) {
                const double v = i % 2 ? -edge[i / 2] : edge[i / 2];
                if (v >= f->low && v <= f->high) x[i] = v;
            }
            const tg_span span = {.n = n};
            f->kernel[TG_BUILD_BASE](&span, y, (const void *[]){x});
            for (int i = 0; i < n; i++) {
                const double error = test_ulps(TG_F64, y[i], f->reference((long double)x[i]));
                if (!(error > worst)) continue;
                worst = error;
                at = x[i];
                gave = y[i];
            }
        }
        cr_expect(worst <= f->ulp, "%s: %.3g units at %a, which gives %a", f->name, worst, at,
                  gave);
    }
}

/* Every build gives the base build's bits (of NaN, that it is one), for every place and length of a
 * block. */
Test(math_f64, bits_depend_neither_on_the_build_nor_on_the_place_in_a_block)
{
    enum { OFFSETS = 9, LENGTHS = 36 };
    for (int k = 0; k < FUNCTIONS + 2; k++) {
        const tg_span_fn *kernel = k < FUNCTIONS    ? all[k].kernel
                                   : k == FUNCTIONS ? pow_kernel
                                                    : atan2_kernel;
        const char *name = k < FUNCTIONS ? all[k].name : k == FUNCTIONS ? "pow" : "atan2";
        for (int block = 0; block < BLOCKS; block++) {
            double x[SIZE], b[SIZE], want[SIZE], is[SIZE];
            int n = k < FUNCTIONS ? arguments(&all[k], x) : SIZE;
            for (int i = 0; i < SIZE; i++) {
                if (k >= FUNCTIONS) x[i] = argument(i);
                b[i] = argument(i / 8 + i);
            }
            tg_span span = {.n = n};
            kernel[TG_BUILD_BASE](&span, want, (const void *[]){x, b});
            for (int build = TG_BUILD_BASE; build < TG_BUILD_COUNT; build++) {
                if (!test_runs(build)) continue;
                span.n = n;
                kernel[build](&span, is, (const void *[]){x, b});
                for (int i = 0; i < n; i++)
                    cr_assert(isnan(want[i]) ? isnan(is[i])
                                             : bits_of_f64(is[i]) == bits_of_f64(want[i]),
                              "%s, build %d: %a gives %a, and %a in the base", name, build, x[i],
                              is[i], want[i]);
                for (int from = 0; block == 0 && from < OFFSETS; from++)
                    for (int length = 1; length < LENGTHS; length++) {
                        span.n = length;
                        is[length] = 42;
                        kernel[build](&span, is, (const void *[]){x + from, b + from});
                        for (int i = 0; i < length; i++)
                            cr_assert(isnan(want[from + i])
                                          ? isnan(is[i])
                                          : bits_of_f64(is[i]) == bits_of_f64(want[from + i]),
                                      "%s, build %d: other bits for %d elements from %d on", name,
                                      build, length, from);
                        cr_assert_eq(is[length], 42, "%s writes beyond its end", name);
                    }
            }
        }
    }
}

static void two_operands(const char *name, const tg_span_fn *kernel,
                         long double (*reference)(long double, long double), int n, const double *a,
                         const double *b, double bound)
{
    double y[SIZE];
    const tg_span span = {.n = n};
    kernel[TG_BUILD_BASE](&span, y, (const void *[]){a, b});
    for (int i = 0; i < n; i++) {
        const double error =
            test_ulps(TG_F64, y[i], reference((long double)a[i], (long double)b[i]));
        cr_assert(error <= bound, "%s: %.3g units at %a, %a, which gives %a", name, error, a[i],
                  b[i], y[i]);
    }
}

Test(math_f64, pow_and_atan2_stay_below_their_errors_and_keep_the_rules_of_c)
{
    double a[SIZE], b[SIZE];
    for (int i = 0; i < 2 * EDGES; i++) {
        for (int j = 0; j < 2 * EDGES; j++) {
            a[j] = i % 2 ? -edge[i / 2] : edge[i / 2];
            b[j] = j % 2 ? -edge[j / 2] : edge[j / 2];
        }
        two_operands("pow", pow_kernel, powl, 2 * EDGES, a, b, 0.9);
        two_operands("atan2", atan2_kernel, atan2l, 2 * EDGES, a, b, 1.8);
    }
    for (int block = 0; block < BLOCKS; block++) {
        for (int i = 0; i < SIZE; i++) {
            const double u = uniform();
            a[i] = i % 3 == 0 ? f64_of_bits(next() >> 1) : i % 3 == 1 ? 1 + 0.05 * u : 8 + 8 * u;
            a[i] = a[i] < INFINITY ? a[i] : 1.5;
            b[i] = uniform() * 755 / (fabs(log(a[i])) + 1e-14);
            if (i % 5 == 0) b[i] = nearbyint(b[i]), a[i] = -a[i];
        }
        two_operands("pow", pow_kernel, powl, SIZE, a, b, 0.9);
        for (int i = 0; i < SIZE; i++) {
            a[i] = i % 3 == 0 ? f64_of_bits(next()) : uniform();
            b[i] = i % 2 == 0 ? a[i] * 4 * uniform() : argument(i);
        }
        two_operands("atan2", atan2_kernel, atan2l, SIZE, a, b, 1.8);
    }
}
