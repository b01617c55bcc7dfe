/* W10: a training step against ranks.
 *     mpirun -n 2 build/release/tapegrad-bench-ranks [LEAVES [SECONDS]]
 *     build/release/tapegrad-bench-ranks model STEP_MS BYTES LATENCY_US GBIT_S
 * The first prints, for two nets, what a step takes, what each rank sends beside what an ideal ring
 * would, and the share of the time that goes into sending, receiving and waiting. The second says
 * what more ranks would do with such parts, on the assumptions that it prints. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tapegrad.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Of this process: on a machine with other work the better measure. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---------------------------------------------------------------- nets */

enum { PIXELS = 784, CLASSES = 10 };

typedef struct net {
    tg_linear_layer dense[3];
    tg_conv2d_layer conv[2];
} net;

typedef struct kind {
    const char *name;
    int64_t batch;
    void (*make)(net *m, tg_scope s);
    tg_tensor *(*output)(tg_tape *t, const net *m, tg_tensor *x, int64_t rows);
} kind;

static void make_dense(net *m, tg_scope s)
{
    const int64_t size[] = {PIXELS, 1024, 1024, CLASSES};
    for (int k = 0; k < 3; k++)
        m->dense[k] = tg_linear_layer_new(tg_scope_at(s, "layer", k), size[k], size[k + 1], true);
}

static tg_tensor *dense_output(tg_tape *t, const net *m, tg_tensor *x, int64_t rows)
{
    (void)rows;
    for (int k = 0; k < 2; k++) x = tg_relu(t, tg_linear_layer_apply(t, &m->dense[k], x));
    return tg_linear_layer_apply(t, &m->dense[2], x);
}

static void make_lenet(net *m, tg_scope s)
{
    m->conv[0] = tg_conv2d_layer_new(tg_scope_at(s, "conv", 0), 1, 6, 5, 5, true,
                                     (tg_conv){.padding = {2, 2}});
    m->conv[1] = tg_conv2d_layer_new(tg_scope_at(s, "conv", 1), 6, 16, 5, 5, true, (tg_conv){0});
    m->dense[0] = tg_linear_layer_new(tg_scope_at(s, "dense", 0), 400, 120, true);
    m->dense[1] = tg_linear_layer_new(tg_scope_at(s, "dense", 1), 120, 84, true);
    m->dense[2] = tg_linear_layer_new(tg_scope_at(s, "dense", 2), 84, CLASSES, true);
}

static tg_tensor *lenet_output(tg_tape *t, const net *m, tg_tensor *x, int64_t rows)
{
    const tg_pool pool = {.kernel = {2, 2}};
    x = tg_reshape(t, x, TG_SHAPE(rows, 1, 28, 28));
    for (int k = 0; k < 2; k++)
        x = tg_max_pool2d(t, tg_relu(t, tg_conv2d_layer_apply(t, &m->conv[k], x)), pool);
    return dense_output(t, m, tg_reshape(t, x, TG_SHAPE(rows, 400)), rows);
}

static const kind kinds[] = {{"784-1024-1024-10, batch 512", 512, make_dense, dense_output},
                             {"LeNet, batch 256", 256, make_lenet, lenet_output}};

/* ---------------------------------------------------------------- steps */

typedef struct run {
    const kind *k;
    net m;
    tg_ranks *ranks;
    tg_params *ps;
    tg_optim *o;
    tg_tape *t;
    const float *x;
    const int64_t *y;
} run;

static void step(run *r)
{
    const tg_part mine = tg_ranks_my_leaves(r->ranks);
    for (int64_t leaf = mine.first; leaf < mine.first + mine.n; leaf++) {
        const tg_part rows = tg_ranks_leaf_rows(r->ranks, r->k->batch, leaf);
        if (!rows.n) continue;
        tg_tensor *x =
            tg_input_borrow(r->t, TG_F32, TG_SHAPE(rows.n, PIXELS), r->x + rows.first * PIXELS);
        tg_tensor *y = tg_input_borrow(r->t, TG_I64, TG_SHAPE(rows.n), r->y + rows.first);
        tg_tensor *mean = tg_cross_entropy(r->t, r->k->output(r->t, &r->m, x, rows.n), y);
        tg_tensor *loss = tg_scale(r->t, mean, (double)rows.n);
        tg_backward(r->t, loss);
        tg_ranks_add(r->ranks, r->ps, r->t, leaf, tg_item(r->t, loss), (double)rows.n);
        tg_tape_reset(r->t);
    }
    tg_ranks_step(r->ranks, r->o, NULL);
}

/* Rank 0's watch decides when it is over. */
static bool go_on(tg_ranks *r, double until)
{
    char yes = seconds() < until;
    size_t end[1024];
    for (int k = 0; k < tg_ranks_count(r) && k < 1024; k++) end[k] = 1;
    return tg_ranks_gather(r, &yes, end) == TG_OK && yes;
}

static void measure(run *r, double lasting)
{
    enum { ROUND = 5, MOST = 1000 };
    double took[MOST], waited = 0, all = 0;
    int n = 0;
    for (int k = 0; k < ROUND; k++) step(r);
    const tg_ranks_stats before = tg_ranks_statistics(r->ranks);
    uint64_t bytes = 0;
    const double cpu = cpu_seconds();
    for (const double until = seconds() + lasting; n < MOST && go_on(r->ranks, until); n++) {
        const tg_ranks_stats from = tg_ranks_statistics(r->ranks);
        const double start = seconds();
        for (int k = 0; k < ROUND; k++) step(r);
        took[n] = (seconds() - start) / ROUND;
        all += took[n] * ROUND;
        const tg_ranks_stats to = tg_ranks_statistics(r->ranks);
        waited += to.seconds - from.seconds;
        bytes += to.bytes - from.bytes;
    }
    for (int a = 1; a < n; a++)
        for (int b = a; b && took[b] < took[b - 1]; b--) {
            const double x = took[b];
            took[b] = took[b - 1];
            took[b - 1] = x;
        }
    const int ranks = tg_ranks_count(r->ranks);
    const double ring = 2.0 * (ranks - 1) / ranks * 4 * (double)tg_params_elements(r->ps);
    if (tg_ranks_rank(r->ranks) || !n) return;
    printf("%-28s %2d ranks, %2lld leaves: %8.2f ms a step (median of %d rounds), %8.2f of CPU; "
           "%.3f MB sent a step (ring %.3f), %.0f%% in transport, %.1f MB held\n",
           r->k->name, ranks, (long long)tg_ranks_leaves(r->ranks), 1e3 * took[n / 2], n,
           1e3 * (cpu_seconds() - cpu) / (n * ROUND), (double)bytes / (n * ROUND) / 1e6, ring / 1e6,
           100 * waited / all, (double)before.memory / 1e6);
}

static int work(int64_t leaves, double lasting)
{
    tg_ranks *ranks = tg_ranks_join(NULL);
    float *x = malloc(512 * PIXELS * sizeof *x);
    int64_t *y = malloc(512 * sizeof *y);
    for (int64_t i = 0; x && i < 512 * PIXELS; i++) x[i] = (float)(i * 7919 % 1000) / 1000;
    for (int i = 0; y && i < 512; i++) y[i] = i * 31 % CLASSES;
    tg_ranks_set_leaves(ranks, leaves);
    tg_ranks_share(ranks, x && y ? TG_OK : TG_ENOMEM, "no memory for rows");
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && tg_ranks_status(ranks) == TG_OK; k++) {
        run r = {.k = &kinds[k], .ranks = ranks, .ps = tg_params_new(NULL), .x = x, .y = y};
        r.k->make(&r.m, tg_scope_root(r.ps));
        r.o = tg_adam_new(r.ps, NULL);
        r.t = tg_tape_new(NULL);
        measure(&r, lasting);
        tg_ranks_share(ranks, tg_tape_status(r.t), tg_tape_message(r.t));
        tg_tape_free(r.t);
        tg_optim_free(r.o);
        tg_params_free(r.ps);
    }
    const bool good = tg_ranks_status(ranks) == TG_OK;
    if (!good) fprintf(stderr, "%s\n", tg_ranks_message(ranks));
    tg_ranks_leave(ranks);
    free(x);
    free(y);
    return good ? 0 : 1;
}

/* ---------------------------------------------------------------- the model */

static int model(double step_ms, double bytes, double latency_us, double gbit)
{
    printf("Assumed: a step of one rank takes %g ms of work that ranks divide evenly; %g bytes of "
           "gradients;\na message takes %g us and its bytes at %g Gbit/s each way, whatever else "
           "is under way;\nnothing overlaps; a power of two of ranks, no more than leaves; four "
           "small rounds a step.\n",
           step_ms, bytes, latency_us, gbit);
    for (int n = 1; n <= 1024; n *= 2) {
        const double rounds = log2(n), sent = 2 * (double)(n - 1) / n * bytes;
        const double work_ms = step_ms / n, latency_ms = 6 * rounds * latency_us / 1e3,
                     moving_ms = sent * 8 / (gbit * 1e6), all = work_ms + latency_ms + moving_ms;
        if (n == 1 || n == 2 || n == 8 || n == 64 || n == 1024)
            printf("%4d ranks: %9.3f ms a step (work %.3f, latency %.3f, bytes %.3f), %.1f times "
                   "one\n",
                   n, all, work_ms, latency_ms, moving_ms, step_ms / all);
    }
    return 0;
}

int main(int n, char **word)
{
    if (n == 6 && !strcmp(word[1], "model"))
        return model(strtod(word[2], NULL), strtod(word[3], NULL), strtod(word[4], NULL),
                     strtod(word[5], NULL));
    return work(n > 1 ? strtoll(word[1], NULL, 10) : 8, n > 2 ? strtod(word[2], NULL) : 5);
}
