/* Timing a function: recorded once, replayed in rounds. */
#define _POSIX_C_SOURCE 200809L
#include <tapegrad/timing.h>

#include "profiler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static tg_status fail(tg_time_report *r, tg_status status, const char *message)
{
    r->status = status;
    snprintf(r->message, sizeof r->message, "time: %s", message);
    return status;
}

static void clear(tg_time_report *r)
{
    const tg_timing none = {NAN, NAN, NAN, NAN, NAN};
    *r = (tg_time_report){.forward = none,
                          .both = none,
                          .against_forward = none,
                          .against_both = none,
                          .ratio_forward = NAN,
                          .ratio_both = NAN};
}

#ifdef TG_LEAN

tg_status tg_time(tg_function f, int n, const tg_time_input *inputs, void *user,
                  const tg_time_options *options, tg_time_report *report)
{
    tg_time_report own;
    (void)f, (void)n, (void)inputs, (void)user, (void)options;
    if (!report) report = &own;
    clear(report);
    return fail(report, TG_ESTATE, "built without a clock");
}

#else

enum { MOST_ROUNDS = 1000 };

/* What is called again and again: one of the functions, with gradients or without. */
typedef struct run {
    tg_function f;
    void *user;
    bool both;
    tg_tape *t;
    void *ones; /* the gradient that arrives */
    size_t bytes_of_ones;
    int64_t repeat;
    double *seconds; /* a call, by round */
} run;

enum { FORWARD, BOTH, AGAINST_FORWARD, AGAINST_BOTH, RUNS };

typedef struct timing {
    tg_allocator allocator;
    tg_time_options options;
    int n;
    const tg_time_input *inputs;
    tg_time_report *report;
    tg_tensor **tensors; /* 4 n + 1: inputs, what is differentiated by, gradients, what is wanted */
    tg_limits limits;
    run run[RUNS];
} timing;

static double now(const timing *k)
{
    struct timespec time;
    clock_gettime(k->options.threads > 1 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bool good(const timing *k, const run *r)
{
    if (r->t && tg_tape_status(r->t) == TG_OK) return true;
    if (!r->t) fail(k->report, TG_ENOMEM, "no memory");
    else if (!k->report->status) {
        k->report->status = tg_tape_status(r->t);
        snprintf(k->report->message, sizeof k->report->message, "%s", tg_tape_message(r->t));
    }
    return false;
}

static bool make_ones(timing *k, run *r, tg_dtype dtype, int64_t count)
{
    r->bytes_of_ones = (size_t)(count > 0 ? count : 1) * tg_dtype_size(dtype);
    r->ones = tg_allocate(&k->allocator, r->bytes_of_ones);
    if (!r->ones) return false;
    for (int64_t i = 0; i < count; i++)
        if (dtype == TG_F32) ((float *)r->ones)[i] = 1;
        else ((double *)r->ones)[i] = 1;
    return true;
}

/* Records what the run computes and computes it; false: there is nothing, or it failed. */
static bool begin(timing *k, run *r)
{
    const int n = k->n;
    tg_tensor **x = k->tensors, **of = x + n, **gx = of + n, **wanted = gx + n;
    r->t = tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options),
                                          .allocator = &k->allocator,
                                          .threads = k->options.threads});
    if (!good(k, r)) return false;
    const char *const where = "tg_time";
    for (int i = 0; i < n; i++)
        x[i] = tg_input_borrow_at(r->t, where, k->inputs[i].dtype, k->inputs[i].shape,
                                  k->inputs[i].data);
    if (!good(k, r)) return false;
    tg_tensor *y = r->f(r->t, x, n, r->user);
    if (!good(k, r)) return false;
    if (!y) return fail(k->report, TG_ENULL, "the function returned NULL"), false;
    const tg_dtype dtype = tg_tensor_dtype(y);
    int n_of = 0, n_wanted = 0;
    wanted[n_wanted++] = y;
    for (int i = 0; i < n && r->both; i++)
        if (!k->inputs[i].constant && k->inputs[i].dtype <= TG_F64) of[n_of++] = x[i];
    if (r->both && (n_of == 0 || dtype > TG_F64)) return false;
    if (r->both) {
        if (!make_ones(k, r, dtype, tg_tensor_count(y)))
            return fail(k->report, TG_ENOMEM, "no memory"), false;
        tg_tensor *gy = tg_input_borrow_at(r->t, where, dtype, tg_tensor_shape(y), r->ones);
        tg_grad_at(r->t, where, y, gy, n_of, of, gx, true);
        for (int i = 0; i < n_of; i++)
            if (gx[i]) wanted[n_wanted++] = gx[i];
        if (tg_tape_status(r->t) == TG_OK && n_wanted == 1) return false;
    }
    tg_eval_at(r->t, where, n_wanted, wanted);
    return good(k, r);
}

static double call(const timing *k, const run *r, int64_t times)
{
    const double start = now(k);
    for (int64_t i = 0; i < times; i++) tg_replay_at(r->t, "tg_time");
    return now(k) - start;
}

/* How many calls fill a round. */
static void warm_up(const timing *k, run *r)
{
    const double wanted = k->options.round_seconds;
    for (r->repeat = 1; call(k, r, r->repeat) < wanted / 2; r->repeat *= 2)
        if (tg_tape_status(r->t) != TG_OK || r->repeat > INT64_C(1) << 40) return;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_size);
    return (x[(n - 1) / 2] + x[n / 2]) / 2;
}

/* What a call moves and computes, and the least time for it. */
static tg_status weigh(timing *k, const run *r, tg_timing *to)
{
    enum { TIMES = 3 };
    int64_t n;
    tg_profile *p = tg_profile_new(
        &(tg_profile_options){.size = sizeof(tg_profile_options), .allocator = &k->allocator});
    if (p) p->limits = k->limits;
    tg_profile_begin(p, r->t);
    call(k, r, TIMES);
    tg_profile_end(p, r->t);
    const tg_profile_row *row = tg_profile_rows(p, TG_PROFILE_STEPS, &n);
    double least = 0;
    to->bytes = to->flops = 0;
    for (int64_t i = 0; i < n; i++) {
        to->bytes += row[i].bytes / TIMES;
        to->flops += row[i].flops / TIMES;
        if (row[i].seconds > 0) least += row[i].limit * row[i].seconds / TIMES;
    }
    if (k->limits.threads) to->limit = least / to->seconds;
    const tg_status status = tg_profile_status(p);
    tg_profile_free(p);
    return status ? fail(k->report, TG_ENOMEM, "no memory to count what a call moves") : TG_OK;
}

static double *seconds_of(const timing *k, int which) { return k->run[which].seconds; }

static void compare(timing *k, int first, double *ratio)
{
    if (!k->run[first].repeat || !k->run[first + AGAINST_FORWARD].repeat) return;
    double own[MOST_ROUNDS];
    for (int i = 0; i < k->options.rounds; i++)
        own[i] = seconds_of(k, first + AGAINST_FORWARD)[i] / seconds_of(k, first)[i];
    *ratio = median(own, k->options.rounds);
}

static tg_status take_turns(timing *k)
{
    tg_time_report *report = k->report;
    tg_timing *const to[RUNS] = {&report->forward, &report->both, &report->against_forward,
                                 &report->against_both};
    for (int i = 0; i < RUNS; i++)
        if (k->run[i].f && begin(k, &k->run[i])) warm_up(k, &k->run[i]);
        else if (report->status) return report->status;
    for (int round = 0; round < k->options.rounds; round++)
        for (int i = 0; i < RUNS; i++) {
            run *r = &k->run[i];
            if (r->repeat) r->seconds[round] = call(k, r, r->repeat) / (double)r->repeat;
        }
    compare(k, FORWARD, &report->ratio_forward);
    compare(k, BOTH, &report->ratio_both);
    for (int i = 0; i < RUNS; i++) {
        const run *r = &k->run[i];
        if (!r->repeat) continue;
        if (!good(k, r)) return report->status;
        to[i]->seconds = median(r->seconds, k->options.rounds);
        to[i]->low = r->seconds[k->options.rounds / 10];
        if (weigh(k, r, to[i])) return report->status;
    }
    return TG_OK;
}

static void end(timing *k)
{
    for (int i = 0; i < RUNS; i++) {
        tg_tape_free(k->run[i].t);
        tg_release(&k->allocator, k->run[i].ones, k->run[i].bytes_of_ones);
    }
}

static tg_status measure(timing *k, tg_function f, void *user)
{
    const size_t tensors = (4 * (size_t)k->n + 1) * sizeof(tg_tensor *),
                 rounds = (size_t)k->options.rounds * sizeof(double);
    double *seconds = tg_allocate(&k->allocator, RUNS * rounds);
    k->tensors = tg_allocate(&k->allocator, tensors);
    tg_status status = TG_ENOMEM;
    if (!seconds || !k->tensors) fail(k->report, status, "no memory");
    else if (k->options.limit_rounds && tg_limits_measure(&k->allocator, k->options.threads,
                                                          k->options.limit_rounds, &k->limits))
        fail(k->report, status, "no memory, or no threads, to measure the machine's limits");
    else {
        for (int i = 0; i < RUNS; i++) {
            const bool against = i >= AGAINST_FORWARD;
            k->run[i] = (run){.f = against ? k->options.against : f,
                              .user = against ? k->options.against_user : user,
                              .both = i % 2 == BOTH,
                              .seconds = seconds + i * k->options.rounds};
            if (k->run[i].both && k->options.forward_only) k->run[i].f = NULL;
        }
        status = take_turns(k);
        end(k);
    }
    tg_release(&k->allocator, seconds, RUNS * rounds);
    tg_release(&k->allocator, k->tensors, tensors);
    return status;
}

tg_status tg_time(tg_function f, int n, const tg_time_input *inputs, void *user,
                  const tg_time_options *options, tg_time_report *report)
{
    tg_time_report own;
    timing k = {.n = n, .inputs = inputs, .report = report ? report : &own};
    tg_time_options *o = &k.options;
    clear(k.report);
    if (!tg_options_read(o, sizeof *o, options))
        return fail(k.report, TG_EVALUE, TG_UNSIZED(tg_time_options));
    if (!f || n < 0 || (n && !inputs))
        return fail(k.report, TG_ENULL, "a function and inputs are wanted");
    if (!(o->round_seconds >= 0 && o->round_seconds <= 1e4) || o->rounds < 0 ||
        o->rounds > MOST_ROUNDS || o->threads < 0 || o->limit_rounds < 0)
        return fail(k.report, TG_EVALUE, "an option is out of range");
    if (!o->threads) o->threads = 1;
    if (!o->rounds) o->rounds = 25;
    if (o->round_seconds == 0) o->round_seconds = 0.02;
    k.allocator = tg_allocator_or_default(o->allocator);
    return measure(&k, f, user);
}

#endif
