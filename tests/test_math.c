/* The vectorised functions under the elementwise kernels: their largest error in units in the last
 * place, against long double, over all of f32; what they give at the edges; and that an element's
 * bits don't depend on its place in a block. For every build that this machine runs. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"
#include "../ops/math.h"

TG_INLINE float cdf_f32(float x, int build)
{
    float bell;
    return normal_cdf_f32(x, &bell, build);
}

TG_INLINE float bell_f32(float x, int build)
{
    float bell;
    (void)normal_cdf_f32(x, &bell, build);
    return bell;
}

#define KERNEL(name, ...)                                     \
    TG_EACH_BUILD(TG_SPAN_1, name, float, float, __VA_ARGS__) \
    static const tg_span_fn name[TG_BUILD_COUNT] = TG_BUILDS(name);

KERNEL(exp_kernel, EXP(x))
KERNEL(exp_narrow_kernel, exp_narrow_f32(x, build))
KERNEL(exp_below_kernel, EXP_BELOW(x))
KERNEL(expm1_kernel, EXPM1(x))
KERNEL(log_kernel, LOG(x))
KERNEL(log1p_kernel, LOG1P(x))
KERNEL(log1p_unit_kernel, LOG1P_UNIT(x))
KERNEL(tanh_kernel, TANH(x))
KERNEL(sigmoid_kernel, SIGMOID(x))
KERNEL(erf_kernel, ERF(x))
KERNEL(cdf_kernel, cdf_f32(x, build))
KERNEL(bell_kernel, bell_f32(x, build))
KERNEL(sin_kernel, sin_turned_f32(x, 0, build))
KERNEL(cos_kernel, sin_turned_f32(x, 1, build))
KERNEL(sqrt_kernel, SQRT(x))
KERNEL(floor_kernel, FLOOR(x))
KERNEL(round_kernel, ROUND(x))
TG_EACH_BUILD(TG_SPAN_2, pow_kernel, float, float, POW(a, b))
static const tg_span_fn pow_kernel[TG_BUILD_COUNT] = TG_BUILDS(pow_kernel);

static long double sigmoid_reference(long double x) { return 1 / (1 + expl(-x)); }
static long double cdf_reference(long double x)
{
    return erfcl(-x * 0.707106781186547524400844362104849039L) / 2;
}
static long double below_reference(long double x)
{
    return x < (long double)EXP_BELOW_LEAST ? 0 : expl(x);
}
static long double bell_reference(long double x) { return expl(-x * x / 2); }

/* One function, where it is used, and its largest error: found by trying every 29th float, rounded
 * up. */
typedef struct function {
    const char *name;
    const tg_span_fn *kernel;
    long double (*reference)(long double);
    float low, high;
    double ulp;
} function;

static const function all[] = {
    {"exp", exp_kernel, expl, -INFINITY, INFINITY, 1.1},
    {"exp_narrow", exp_narrow_kernel, expl, -80, 80, 1.1},
    {"exp_below", exp_below_kernel, below_reference, -INFINITY, 0, 4.5},
    {"exp_below", exp_below_kernel, below_reference, -3, 0, 1},
    {"expm1", expm1_kernel, expm1l, -INFINITY, INFINITY, 1.7},
    {"log", log_kernel, logl, -INFINITY, INFINITY, 0.9},
    {"log1p", log1p_kernel, log1pl, -INFINITY, INFINITY, 1.4},
    {"log1p_unit", log1p_unit_kernel, log1pl, 0x1p-149f, 1, 1.4},
    {"tanh", tanh_kernel, tanhl, -INFINITY, INFINITY, 1.5},
    {"sigmoid", sigmoid_kernel, sigmoid_reference, -INFINITY, INFINITY, 2.5},
    {"erf", erf_kernel, erfl, -INFINITY, INFINITY, 1.3},
    {"normal_cdf", cdf_kernel, cdf_reference, -INFINITY, INFINITY, 8},
    {"bell", bell_kernel, bell_reference, -INFINITY, INFINITY, 1.7},
    {"sin", sin_kernel, sinl, -0x1.fffffep19f, 0x1.fffffep19f, 0.51},
    {"cos", cos_kernel, cosl, -0x1.fffffep19f, 0x1.fffffep19f, 0.51},
    {"sqrt", sqrt_kernel, sqrtl, -INFINITY, INFINITY, 0.5},
    {"floor", floor_kernel, floorl, -INFINITY, INFINITY, 0},
    {"round", round_kernel, nearbyintl, -INFINITY, INFINITY, 0},
};
enum { FUNCTIONS = sizeof all / sizeof *all };

static uint32_t state = 1;
static uint32_t next(void) { return state = state * 1664525u + 1013904223u, state ^ state >> 15; }

enum { SIZE = 1024 };

/* Every sign and exponent, denormals and specials included; of each the first, the last and PER
 * random mantissas. */
Test(math, errors_stay_below_the_stated_ones_over_all_of_f32)
{
    enum { PER = 400, EDGES = 4 };
    for (int k = 0; k < FUNCTIONS; k++) {
        const function *f = &all[k];
        for (int build = 0; build < TG_BUILD_COUNT; build++) {
            if (!test_runs(build)) continue;
            double worst = 0;
            float at = 0, gave = 0;
            for (uint32_t top = 0; top < 512; top++) {
                float x[SIZE], y[SIZE];
                int n = 0;
                for (uint32_t i = 0; i < PER; i++) {
                    const uint32_t edge[EDGES] = {0, 1, 0x7fffff, 0x400000};
                    const float v = f32_of_bits(top << 23 | (i < EDGES ? edge[i] : next() >> 9));
                    if (isnan(v) || (v >= f->low && v <= f->high)) x[n++] = v;
                }
                const tg_span span = {.n = n};
                f->kernel[build](&span, y, (const void *[]){x});
                for (int i = 0; i < n; i++) {
                    const double error = test_ulps(TG_F32, y[i], f->reference((long double)x[i]));
                    if (!(error > worst)) continue;
                    worst = error;
                    at = x[i];
                    gave = y[i];
                }
            }
            cr_expect(worst <= f->ulp, "%s, build %d: %.3g units at %a, which gives %a", f->name,
                      build, worst, (double)at, (double)gave);
        }
    }
}

/* The same where results are neither 0 nor 1 nor infinite, and around the joints of the pieces. */
Test(math, errors_stay_below_the_stated_ones_in_the_middle)
{
    enum { BLOCKS = 400 };
    const float joint[] = {0x1.1cp-1f,  0.92f,       0x1.a8279ap-2f, -0x1.2bec32p-2f, 0.70710677f,
                           1.41421354f, 0.34657359f, -0.34657359f,   1.03972077f,     3.95f,
                           10.0f,       14.5f,       89.0f,          -104.0f,         -18.0f,
                           0x1p-25f,    0x1p25f,     0.25f,          -87.33f};
    for (int k = 0; k < FUNCTIONS; k++) {
        const function *f = &all[k];
        for (int build = 0; build < TG_BUILD_COUNT; build++) {
            if (!test_runs(build)) continue;
            double worst = 0;
            float at = 0;
            for (int block = 0; block < BLOCKS; block++) {
                float x[SIZE], y[SIZE];
                int n = 0;
                for (int i = 0; i < SIZE; i++) {
                    const float u = (float)(next() >> 8) * 0x1p-23f - 1; /* -1 to 1 */
                    const float j = joint[next() % (sizeof joint / sizeof *joint)];
                    const float v = i % 4 == 0   ? u
                                    : i % 4 == 1 ? 16 * u
                                    : i % 4 == 2 ? 110 * u
                                                 : f32_of_bits(bits_of_f32(j) - 16 + next() % 32);
                    if (v >= f->low && v <= f->high) x[n++] = v;
                }
                const tg_span span = {.n = n};
                f->kernel[build](&span, y, (const void *[]){x});
                for (int i = 0; i < n; i++) {
                    const double error = test_ulps(TG_F32, y[i], f->reference((long double)x[i]));
                    if (!(error > worst)) continue;
                    worst = error;
                    at = x[i];
                }
            }
            cr_expect(worst <= f->ulp, "%s, build %d: %.3g units at %a", f->name, build, worst,
                      (double)at);
        }
    }
}

static double pow_error(int build, int n, const float *a, const float *b, int *at)
{
    float y[SIZE];
    const tg_span span = {.n = n};
    pow_kernel[build](&span, y, (const void *[]){a, b});
    double worst = 0;
    for (int i = 0; i < n; i++) {
        const double error = test_ulps(TG_F32, y[i], powl((long double)a[i], (long double)b[i]));
        if (!(error > worst)) continue;
        worst = error;
        *at = i;
    }
    return worst;
}

Test(math, pow_is_within_a_unit_everywhere_and_keeps_the_rules_of_c)
{
    const float edge[] = {0,          1,           2,
                          3,          0.5f,        1.5f,
                          2.5f,       0x1p23f,     0x1.000002p23f,
                          0x1p24f,    0x1p25f,     FLT_MAX,
                          FLT_MIN,    1e-45f,      INFINITY,
                          8388607.5f, 0.99999994f, 1.0000001f,
                          4194303.5f, 127,         149};
    enum { EDGES = sizeof edge / sizeof *edge, BLOCKS = 400 };
    for (int build = 0; build < TG_BUILD_COUNT; build++) {
        if (!test_runs(build)) continue;
        float a[SIZE], b[SIZE];
        int at = 0;
        for (int i = 0; i < 2 * EDGES; i++) {
            int n = 0;
            for (int j = 0; j < 2 * EDGES; j++, n++) {
                a[n] = i % 2 ? -edge[i / 2] : edge[i / 2];
                b[n] = j % 2 ? -edge[j / 2] : edge[j / 2];
            }
            a[n] = NAN, b[n++] = edge[i / 2];
            a[n] = i % 2 ? -edge[i / 2] : edge[i / 2], b[n++] = NAN;
            const double error = pow_error(build, n, a, b, &at);
            cr_expect(error <= 0.55, "build %d: %.3g units at (%a)^(%a)", build, error,
                      (double)a[at], (double)b[at]);
        }
        for (int block = 0; block < BLOCKS; block++) {
            for (int i = 0; i < SIZE; i++) {
                const float u = (float)(next() >> 8) * 0x1p-23f - 1;
                a[i] = i % 3 == 0   ? f32_of_bits(next() >> 1)
                       : i % 3 == 1 ? 1 + 0.05f * u
                                    : 8 + 8 * u;
                a[i] = a[i] < INFINITY ? a[i] : 1.5f;
                b[i] = u * 105 / (fabsf(logf(a[i])) + 1e-7f);
                if (i % 5 == 0) b[i] = nearbyintf(b[i]), a[i] = -a[i];
            }
            const double error = pow_error(build, SIZE, a, b, &at);
            cr_expect(error <= 0.55, "build %d: %.3g units at (%a)^(%a)", build, error,
                      (double)a[at], (double)b[at]);
        }
    }
}

/* Vector bodies and scalar rests, at every alignment. */
Test(math, bits_do_not_depend_on_the_place_in_a_block)
{
    enum { OFFSETS = 33, LENGTHS = 70 };
    for (int build = 0; build < TG_BUILD_COUNT; build++) {
        if (!test_runs(build)) continue;
        float x[SIZE], b[SIZE], whole[SIZE], part[SIZE];
        for (int k = 0; k <= FUNCTIONS; k++) {
            const bool pow = k == FUNCTIONS;
            const tg_span_fn kernel = pow ? pow_kernel[build] : all[k].kernel[build];
            for (int i = 0; i < SIZE; i++) {
                const float u = (float)(next() >> 8) * 0x1p-23f - 1;
                x[i] = i % 3 == 0 ? f32_of_bits(next()) : i % 3 == 1 ? 2 * u : 50 * u;
                b[i] = 4 * u;
                if (!pow && !(x[i] >= all[k].low && x[i] <= all[k].high)) x[i] = 0.5f * u;
                if (i % 37 == 0) x[i] = NAN;
            }
            tg_span span = {.n = SIZE};
            kernel(&span, whole, (const void *[]){x, b});
            for (int from = 0; from < OFFSETS; from++)
                for (int n = 1; n < LENGTHS; n++) {
                    span.n = n;
                    part[n] = 42;
                    kernel(&span, part, (const void *[]){x + from, b + from});
                    cr_assert(memcmp(part, whole + from, (size_t)n * sizeof *part) == 0,
                              "%s, build %d: other bits for %d elements from %d on",
                              pow ? "pow" : all[k].name, build, n, from);
                    cr_assert_eq(part[n], 42, "%s writes beyond its end",
                                 pow ? "pow" : all[k].name);
                }
        }
    }
}
