/* What the machine can do: multiplications and additions a second, bytes a second by level of the
 * memory. */
#define _POSIX_C_SOURCE 200809L

#include "bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static machine_limits limits;
static bool known;

/* ---------------------------------------------------------------- arithmetic */

/* As many chains x = x a + b as hide the latency of one. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define CHAINS 12

typedef double (*arithmetic)(int64_t times); /* returns its number of operations */

#define START(k) V x##k = a * (T)k;
#define SUM(k) total += x##k;
#define ARITHMETIC(name, TARGET, type, BYTES, MULTIPLY_ADD)        \
    TARGET static double name(int64_t times)                       \
    {                                                              \
        typedef type T;                                            \
        typedef T V __attribute__((vector_size(BYTES)));           \
        const V a = (V){0} + (T)0.999, b = (V){0} + (T)0.001;      \
        EACH_CHAIN(START)                                          \
        for (int64_t i = 0; i < times; i++) {                      \
            STEPS(MULTIPLY_ADD)                                    \
        }                                                          \
        V total = {0};                                             \
        EACH_CHAIN(SUM)                                            \
        const volatile double used = (double)total[0];             \
        (void)used;                                                \
        return 2.0 * CHAINS * (BYTES / sizeof(T)) * (double)times; \
    }
#define ONE(k, M) x##k = (V)M(x##k, a, b);
#define STEPS(M) \
    ONE(0, M)    \
    ONE(1, M)    \
    ONE(2, M)    \
    ONE(3, M) ONE(4, M) ONE(5, M) ONE(6, M) ONE(7, M) ONE(8, M) ONE(9, M) ONE(10, M) ONE(11, M)
#define PLAIN(x, a, b) ((x) * (a) + (b))

ARITHMETIC(f32_base, TG_TARGET_BASE, float, 16, PLAIN)
ARITHMETIC(f64_base, TG_TARGET_BASE, double, 16, PLAIN)
#if defined(__x86_64__)
ARITHMETIC(f32_avx2, TG_TARGET_AVX2, float, 32, _mm256_fmadd_ps)
ARITHMETIC(f64_avx2, TG_TARGET_AVX2, double, 32, _mm256_fmadd_pd)
ARITHMETIC(f32_avx512, TG_TARGET_AVX512, float, 64, _mm512_fmadd_ps)
ARITHMETIC(f64_avx512, TG_TARGET_AVX512, double, 64, _mm512_fmadd_pd)
#endif

/* ----------------------------------------------------- memory: y = x + s z, 12 bytes an element */

#define TRIAD(name, TARGET, BUILD, ...)                                            \
    TARGET static void name(int64_t n, float *restrict y, const float *restrict x, \
                            const float *restrict z)                               \
    {                                                                              \
        TG_INDEPENDENT                                                             \
        for (int64_t i = 0; i < n; i++) y[i] = x[i] + 3 * z[i];                    \
    }
TG_EACH_BUILD(TRIAD, triad, )

typedef void (*triad)(int64_t n, float *y, const float *x, const float *z);

static const struct {
    const char *name;
    arithmetic f32, f64;
    triad triad;
} builds[] = {
    {"baseline", f32_base, f64_base, triad_base},
#if defined(__x86_64__)
    {"AVX2", f32_avx2, f64_avx2, triad_avx2},
    {"AVX-512", f32_avx512, f64_avx512, triad_avx512},
#endif
};

int machine_build(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return TG_BUILD_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return TG_BUILD_AVX2;
#endif
    return TG_BUILD_BASE;
}

/* ---------------------------------------------------------------- rounds */

/* Many short rounds, of which the best counts: a limit is what the machine can do, not what it does
 * while others use it. For the same reason several threads, which begin together, are each measured
 * in their own processor time, and their rates added. */
enum { ROUNDS = 60 };

static double thread_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double arithmetic_rate(arithmetic f, int threads)
{
    const int64_t times = bench.quick ? 20000 : 200000;
    double best = 0;
    for (int r = 0; r < (bench.quick ? 3 : ROUNDS); r++) {
        double rate = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate) if (threads > 1)
        {
            const double begin = thread_clock();
            const double operations = f(times);
            rate += operations / (thread_clock() - begin);
        }
        best = fmax(best, rate);
    }
    return best;
}

/* Each thread has its own third of `bytes` / threads for each of the three arrays. */
static double triad_rate(triad f, double bytes, int threads, float *memory)
{
    const int64_t n = (int64_t)(bytes / 12 / threads) & ~(int64_t)63;
    const double traffic = 12.0 * (double)n;
    const int64_t repeat = (int64_t)((bench.quick ? 2e6 : 5e7) / traffic) + 1;
    double best = 0;
    for (int r = 0; r < (bench.quick ? 3 : ROUNDS); r++) {
        double rate = 0;
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : rate) if (threads > 1)
        for (int k = 0; k < threads; k++) {
            /* A few lines between the arrays, so that their elements don't fall into the same
             * places of a cache. */
            float *y = memory + k * 3 * (n + 1088), *x = y + n + 1088, *z = x + n + 1088;
            const double begin = thread_clock();
            for (int64_t i = 0; i < repeat; i++) f(n, y, x, z);
            rate += traffic * (double)repeat / (thread_clock() - begin);
        }
        best = fmax(best, rate);
    }
    return best;
}

double footprint_bytes(int index) { return 16384.0 * (double)(1 << index); }

static void measure(void)
{
    const int build = machine_build();
    float *memory = bench_memory((int64_t)footprint_bytes(FOOTPRINTS - 1) + 65536);
    for (int k = 0; k < 2; k++) {
        limits.fma_f32[k] = arithmetic_rate(builds[build].f32, k + 1);
        limits.fma_f64[k] = arithmetic_rate(builds[build].f64, k + 1);
        for (int i = 0; i < FOOTPRINTS; i++)
            limits.bandwidth[k][i] =
                triad_rate(builds[build].triad, footprint_bytes(i), k + 1, memory);
    }
    free(memory);
}

static void read_from(const char *path)
{
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *all = json_object_get(root, "limits");
    die_unless(json_array_size(all) == 2,
               "--limits: not a file that `tapegrad-bench limits --json FILE` wrote");
    for (size_t k = 0; k < 2; k++) {
        const json_t *one = json_array_get(all, k), *curve = json_object_get(one, "triad");
        limits.fma_f32[k] = 1e9 * json_number_value(json_object_get(one, "fma_f32_gflops"));
        limits.fma_f64[k] = 1e9 * json_number_value(json_object_get(one, "fma_f64_gflops"));
        for (size_t i = 0; i < FOOTPRINTS; i++)
            limits.bandwidth[k][i] =
                1e9 * json_number_value(json_object_get(json_array_get(curve, i), "GB/s"));
    }
    json_decref(root);
}

const machine_limits *limits_get(void)
{
    if (!known) {
        if (bench.limits) read_from(bench.limits);
        else measure();
        known = true;
    }
    return &limits;
}

bool limits_measured(void) { return known; }

double limits_seconds(double flops, double bytes, double footprint, int threads)
{
    const machine_limits *m = limits_get();
    const int k = threads > 1;
    double at = fmin(fmax(log2(fmax(footprint, 1) / footprint_bytes(0)), 0), FOOTPRINTS - 1);
    const int low = (int)fmin(at, FOOTPRINTS - 2);
    at -= low;
    const double bandwidth = m->bandwidth[k][low] * (1 - at) + m->bandwidth[k][low + 1] * at;
    return fmax(flops / m->fma_f32[k], bytes / bandwidth);
}

void limits_show(void)
{
    const machine_limits *m = limits_get();
    for (int b = 0; b <= machine_build(); b++)
        printf("%-9s f32 %6.1f GFLOP/s, f64 %6.1f GFLOP/s, on 1 thread\n", builds[b].name,
               arithmetic_rate(builds[b].f32, 1) / 1e9, arithmetic_rate(builds[b].f64, 1) / 1e9);
    for (int k = 0; k < 2; k++)
        printf("%d thread%s  f32 %6.1f GFLOP/s, f64 %6.1f GFLOP/s\n", k + 1, k ? "s" : " ",
               m->fma_f32[k] / 1e9, m->fma_f64[k] / 1e9);
    printf("y = x + 3 z on  1 thread, 2 threads\n");
    for (int i = 0; i < FOOTPRINTS; i++)
        printf("%9.0f KiB  %8.1f  %8.1f  GB/s\n", footprint_bytes(i) / 1024,
               m->bandwidth[0][i] / 1e9, m->bandwidth[1][i] / 1e9);
}
