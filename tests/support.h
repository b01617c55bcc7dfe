/* What tests of several rooms share, and the tools beside them: random numbers, errors in units in
 * the last place, builds that this processor runs. */
#ifndef TG_TESTS_SUPPORT_H
#define TG_TESTS_SUPPORT_H

#include <math.h>
#include <stdlib.h>
#include <tapegrad/op.h>

/* Whether campaigns that take hours run: tests/run.sh sets the variable, to nothing otherwise. */
static inline bool test_is_long(void)
{
    const char *word = getenv("TG_LONG");
    return word && *word;
}

/* splitmix64 */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* In [0, 1). */
static inline double test_uniform(uint64_t *state)
{
    return (double)(test_random(state) >> 11) * 0x1p-53;
}

static inline bool test_is_float(tg_dtype dtype) { return dtype == TG_F32 || dtype == TG_F64; }

/* |is - want| in units in the last place of want, 0 for what is equal: infinity counts as the power
 * of two after the largest number. Everything is wrong by infinitely much where one is NaN and the
 * other isn't, or where the signs differ, of zeros too. */
static inline double test_ulps(tg_dtype dtype, double is, long double want)
{
    const int digits = dtype == TG_F32 ? 24 : 53, least = dtype == TG_F32 ? -125 : -1021;
    const long double top = dtype == TG_F32 ? 0x1p128L : 0x1p1024L;
    if (isnan(is) || isnan(want)) return isnan(is) && isnan(want) ? 0 : INFINITY;
    if (!signbit(is) != !signbit(want)) return INFINITY;
    const long double a = isinf(is) ? top : fabsl((long double)is),
                      b = fabsl(want) > top ? top : fabsl(want);
    int exponent;
    frexpl(b, &exponent);
    exponent = b == 0 || exponent < least ? least : exponent;
    return (double)ldexpl(fabsl(a - b), digits - exponent);
}

static inline bool test_runs(int build)
{
#if defined(__x86_64__)
    if (build == TG_BUILD_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi2");
    if (build == TG_BUILD_AVX512)
        return test_runs(TG_BUILD_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    return build == TG_BUILD_BASE;
}

/* An object (tg_optim, tg_dataset ...) has failed with a status and a message that has a part. */
#define test_expect_refused(kind, object, wanted, part)                            \
    do {                                                                           \
        cr_expect_eq(kind##_status(object), wanted, "%s", kind##_message(object)); \
        cr_expect(strstr(kind##_message(object), part), "'%s' instead of '%s'",    \
                  kind##_message(object), part);                                   \
    } while (0)

#endif
