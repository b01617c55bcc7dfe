/* Clocks, rounds, medians. */
#define _POSIX_C_SOURCE 200809L

#include "bench.h"

#include <stdlib.h>
#include <time.h>

double bench_clock(int threads)
{
    struct timespec now;
    clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

timing timing_of(double *samples, int n)
{
    qsort(samples, (size_t)n, sizeof *samples, by_size);
    return (timing){.median = (samples[(n - 1) / 2] + samples[n / 2]) / 2, .p10 = samples[n / 10]};
}

timing timing_scaled(timing t, double factor)
{
    return (timing){t.median * factor, t.p10 * factor};
}

enum { MOST_ROUNDS = 25 };

timing bench_time(void (*f)(void *user), void *user, int threads)
{
    const double warm_up = bench.quick ? 0.002 : 0.15, round_length = bench.quick ? 0.002 : 0.04;
    double begin = bench_clock(threads), spent = 0;
    int64_t calls = 0;
    while (calls < 2 || spent < warm_up) {
        f(user);
        calls++;
        spent = bench_clock(threads) - begin;
    }
    const double per_call = spent / (double)calls;
    const int64_t repeat = per_call < round_length ? (int64_t)(round_length / per_call) + 1 : 1;
    const int rounds = bench.quick ? 1 : per_call > 0.3 ? 5 : per_call > 0.1 ? 11 : MOST_ROUNDS;
    double samples[MOST_ROUNDS];
    for (int r = 0; r < rounds; r++) {
        begin = bench_clock(threads);
        for (int64_t k = 0; k < repeat; k++) f(user);
        samples[r] = (bench_clock(threads) - begin) / (double)repeat;
    }
    return timing_of(samples, rounds);
}

timing bench_samples(double (*f)(void *user), void *user)
{
    enum { MOST = 2000 };
    static double samples[MOST];
    double total = 0;
    int n = 0;
    f(user);
    f(user);
    while (n < MOST && (n < 3 || total < 1)) {
        total += samples[n++] = f(user);
        if (bench.quick) break;
    }
    return timing_of(samples, n);
}
