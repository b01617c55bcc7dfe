/* What the machine can do: multiplications and additions a second, bytes a second by level of the
 * memory. Threads are measured each in its own processor time, and their rates added. */
#define _POSIX_C_SOURCE 200809L

#include "machine.h"

#include <tapegrad/op.h>

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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

static const arithmetic arithmetic_of[][TG_BUILD_COUNT] = {
    [TG_F32] = TG_BUILDS(f32), [TG_F64] = TG_BUILDS(f64)};

/* ----------------------------------------------------- memory: y = x + s z, 12 bytes an element */

typedef void (*triad)(int64_t n, float *y, const float *x, const float *z);

#define TRIAD(name, TARGET, BUILD, ...)                                            \
    TARGET static void name(int64_t n, float *restrict y, const float *restrict x, \
                            const float *restrict z)                               \
    {                                                                              \
        TG_INDEPENDENT                                                             \
        for (int64_t i = 0; i < n; i++) y[i] = x[i] + 3 * z[i];                    \
    }
TG_EACH_BUILD(TRIAD, triad, )

static const triad triad_of[TG_BUILD_COUNT] = TG_BUILDS(triad);

double tg_footprint_bytes(int index) { return 16384.0 * (double)(1 << index); }

/* ---------------------------------------------------------------- rounds */

enum { MOST_THREADS = 256, MOST_ROUNDS = 64, ARRAYS_APART = 1088 };

/* One measurement, carried out by several threads. */
typedef struct task {
    int threads, rounds;
    arithmetic arithmetic; /* this, or the other */
    triad triad;
    int64_t n, repeat;
    float *memory;
    pthread_mutex_t gate; /* shut until all threads are there */
    pthread_barrier_t begin;
    struct part {
        struct task *task;
        pthread_t thread;
        double rate[MOST_ROUNDS];
    } part[MOST_THREADS];
} task;

static double thread_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* A thread has three arrays of its own, with a few lines between them, so that their elements don't
 * fall into the same places of a cache. */
static double once(const task *k, int64_t thread)
{
    if (k->arithmetic) return k->arithmetic(k->repeat);
    const int64_t apart = k->n + ARRAYS_APART;
    float *y = k->memory + thread * 3 * apart, *x = y + apart, *z = x + apart;
    for (int64_t i = 0; i < k->repeat; i++) k->triad(k->n, y, x, z);
    return 12.0 * (double)k->n * (double)k->repeat;
}

static void carry_out(struct part *own)
{
    const task *k = own->task;
    for (int r = 0; r < k->rounds; r++) {
        if (k->threads > 1) pthread_barrier_wait(&own->task->begin);
        const double begin = thread_clock(), work = once(k, own - k->part);
        own->rate[r] = work / fmax(thread_clock() - begin, 1e-9);
    }
}

static void *wait_and_carry_out(void *p)
{
    struct part *own = p;
    pthread_mutex_lock(&own->task->gate);
    pthread_mutex_unlock(&own->task->gate);
    carry_out(own);
    return NULL;
}

/* The rate of the best round; 0 when the system gives fewer threads. */
static double best_rate(task *k)
{
    const int wanted = k->threads;
    int begun = 1;
    if (pthread_mutex_init(&k->gate, NULL)) return 0;
    pthread_mutex_lock(&k->gate);
    for (int i = 0; i < wanted; i++) k->part[i].task = k;
    while (begun < wanted &&
           pthread_create(&k->part[begun].thread, NULL, wait_and_carry_out, &k->part[begun]) == 0)
        begun++;
    bool good = begun == wanted &&
                (wanted == 1 || pthread_barrier_init(&k->begin, NULL, (unsigned)wanted) == 0);
    const int rounds = k->rounds;
    if (!good) k->rounds = 0;
    pthread_mutex_unlock(&k->gate);
    carry_out(&k->part[0]);
    for (int i = 1; i < begun; i++) pthread_join(k->part[i].thread, NULL);
    if (good && wanted > 1) pthread_barrier_destroy(&k->begin);
    pthread_mutex_destroy(&k->gate);
    k->rounds = rounds;
    double best = 0;
    for (int r = 0; good && r < rounds; r++) {
        double sum = 0;
        for (int i = 0; i < wanted; i++) sum += k->part[i].rate[r];
        best = fmax(best, sum);
    }
    return best;
}

static double arithmetic_rate(task *k, arithmetic f)
{
    k->arithmetic = f;
    k->repeat = k->rounds > 3 ? 200000 : 20000;
    return best_rate(k);
}

static double triad_rate(task *k, triad f, double bytes)
{
    k->arithmetic = NULL;
    k->triad = f;
    k->n = (int64_t)(bytes / 12 / k->threads) & ~(int64_t)63;
    k->repeat = (int64_t)((k->rounds > 3 ? 5e7 : 2e6) / (12.0 * (double)(k->n + 1))) + 1;
    return best_rate(k);
}

tg_status tg_limits_measure(const tg_allocator *allocator, int threads, int rounds,
                            tg_limits *limits)
{
    *limits = (tg_limits){.threads = threads};
    if (threads < 1 || threads > MOST_THREADS || rounds < 1) return TG_EVALUE;
    const size_t bytes = (size_t)tg_footprint_bytes(TG_FOOTPRINTS - 1) +
                         (size_t)threads * 3 * ARRAYS_APART * sizeof(float);
    task *k = tg_allocate(allocator, sizeof *k);
    float *memory = k ? tg_allocate(allocator, bytes) : NULL;
    bool good = memory != NULL;
    if (good) {
        const int build = tg_build_best();
        memset(memory, 0, bytes);
        memset(k, 0, sizeof *k);
        k->threads = threads;
        k->rounds = rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS;
        k->memory = memory;
        limits->fma_f32 = arithmetic_rate(k, arithmetic_of[TG_F32][build]);
        limits->fma_f64 = arithmetic_rate(k, arithmetic_of[TG_F64][build]);
        good = limits->fma_f32 > 0 && limits->fma_f64 > 0;
        for (int i = 0; good && i < TG_FOOTPRINTS; i++) {
            limits->bandwidth[i] = triad_rate(k, triad_of[build], tg_footprint_bytes(i));
            good = limits->bandwidth[i] > 0;
        }
    }
    tg_release(allocator, memory, bytes);
    tg_release(allocator, k, sizeof *k);
    return good ? TG_OK : TG_ENOMEM;
}

double tg_limits_arithmetic(const tg_allocator *allocator, int build, tg_dtype dtype, int rounds)
{
    if (build < TG_BUILD_BASE || build > tg_build_best()) return 0;
    task *k = tg_allocate(allocator, sizeof *k);
    if (!k) return 0;
    memset(k, 0, sizeof *k);
    k->threads = 1;
    k->rounds = rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS;
    const double rate = arithmetic_rate(k, arithmetic_of[dtype == TG_F64][build]);
    tg_release(allocator, k, sizeof *k);
    return rate;
}

double tg_limits_seconds(const tg_limits *limits, double flops, double bytes, double footprint)
{
    double at = log2(fmax(footprint, 1) / tg_footprint_bytes(0));
    at = fmin(fmax(at, 0), TG_FOOTPRINTS - 1);
    const int low = (int)fmin(at, TG_FOOTPRINTS - 2);
    at -= low;
    const double bandwidth = limits->bandwidth[low] * (1 - at) + limits->bandwidth[low + 1] * at;
    return fmax(flops / limits->fma_f32, bytes / bandwidth);
}
