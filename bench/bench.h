/* The benchmarks: what their files share.
 *
 * A figure is one measured number. On one thread it is process CPU time, so that other programs on
 * the machine hardly matter; with more threads it is wall time. It is the median over rounds, each
 * of many calls; p10 is the tenth percentile, near the best that the machine gives. */
#ifndef TG_BENCH_H
#define TG_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <tapegrad.h>

#include "../graph/machine.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

typedef struct bench_options {
    bool quick;         /* one short round, to see that everything runs */
    int threads;        /* 0: 1 and, where a workload asks for it, 2 */
    const char *filter; /* part of an op's name */
    const char *json;
    const char *limits;
} bench_options;

extern bench_options bench;

/* ---------------------------------------------------------------- timing.c */

typedef struct timing {
    double median, p10; /* seconds a call */
} timing;

double bench_clock(int threads);

/* Times f(user), warm. */
timing bench_time(void (*f)(void *user), void *user, int threads);

/* The same for something that is only partly to be measured: f returns the seconds of one
 * sample. */
timing bench_samples(double (*f)(void *user), void *user);

timing timing_of(double *samples, int n); /* sorts them */
timing timing_scaled(timing t, double factor);

/* ---------------------------------------------------------------- figures.c */

typedef struct figure {
    const char *name; /* "w2.step"; a peer's figure "w2" or "w2.step" is its counterpart */
    int threads;      /* 0: no matter of threads, as memory */
    timing value;     /* seconds, or what unit says */
    const char *unit; /* "s", "ns", "us", "ms": printed in it; "MB" and others: value as it is */
    double target;    /* in that unit; 0: none */
    double times;     /* how much faster than the peer it is to be; 0: nothing said */
    double floor;     /* seconds that the machine's limits leave; 0: unknown */
    double rate;      /* with its unit, for the JSON file; 0: none */
    const char *rate_unit;
    const char *note; /* may be NULL */
} figure;

void figure_keep(const figure *f); /* for the JSON file */
void figure_show(const figure *f); /* also printed */
void figures_begin(void);
/* everything shown so far, and the limits if they were measured */
bool figures_write(const char *path);

/* ---------------------------------------------------------------- limits.c */

/* What the machine can do with 1 thread ([0]) and with 2 ([1]). */
typedef struct machine_limits {
    tg_limits threads[2];
} machine_limits;

const machine_limits *limits_get(void); /* from --limits FILE, or measured at the first call */
bool limits_measured(void);
void limits_show(void);

/* The least seconds for flops floating-point operations, and for moving bytes when all that is
 * touched makes `footprint` bytes. */
double limits_seconds(double flops, double bytes, double footprint, int threads);

/* --------------------------------------------------- reference.c: the same work written by hand */

typedef struct seed_net {
    float w1[4][3], b1[4], w2[4], b2;
} seed_net;

/* One step of the seed net (3-4-1, sigmoid, BCE, SGD .1) on n rows: with libm's functions one by
 * one, and in a form that compilers vectorise (which does not compute the loss). */
float reference_seed_step(seed_net *m, int n, const float *x, const float *y);
void reference_seed_step_vector(seed_net *m, int n, const float *x, const float *y);

/* mean(tanh(a x + b) sigmoid(x)) and its gradient gx, in one pass. */
float reference_tanh_sigmoid(int64_t n, const float *x, float a, float b, float *gx, int threads);

/* A chain of n one-element operations, x a, + b, x a, ...: an interpreter's loop forward, and
 * back. */
float reference_chain(int n, float x, float a, float b, bool backward);

/* ---------------------------------------------------------------- process.c */

typedef struct process_result {
    double wall; /* seconds from start to end */
    double cpu;  /* seconds of processor time */
    double
        /* largest resident memory that the system reports, bytes; includes what its starter held */
        rss;
    char text[256]; /* the beginning of its standard output */
    bool good;      /* it ran and returned 0 */
} process_result;

process_result process_run(char *const argv[]);
bool process_time(char *const argv[], int rounds, timing *wall_time, timing *cpu_time,
                  process_result *last);
const char *process_self(void); /* this program's file */
double process_peak(void);      /* this process's own largest resident memory, bytes */

/* ---------------------------------------------------------------- the workloads */

void die_unless(bool good, const char *what);
void tape_must_be_good(const tg_tape *t);
tg_tape *tape_with(int threads);
tg_params *params_new(void);

/* allocator.c is compiled for each of the two programs, with jemalloc and with the C library's
 * allocator. */
const tg_allocator *bench_allocator(void);
double bench_allocated(void); /* bytes in use, where the allocator tells: else 0 */

/* Uniform in [-1, 1), the same on every machine. */
void fill_uniform(int64_t n, float *x, uint64_t seed);
void *bench_memory(int64_t bytes); /* aligned to 4096, touched; never NULL. Freed with free */

/* Calls f for 1 and 2 threads, or for those that --threads says. */
void for_threads(void (*f)(int threads));

void bench_ops(void);
void bench_w1(void);
void bench_w2(void);
void bench_w3(void);
void bench_w12(void);
void bench_gpt2(void);
void bench_w3_process(void);
void bench_w4(void);
void bench_w5(void);
void bench_w6(void);
void bench_w7(void);
void bench_w8(void);
void bench_w9(void);
void bench_w11(void);
void bench_w9_process(void);
int bench_process(int argc, char **argv);
int bench_report(int argc, char **argv);

#endif
