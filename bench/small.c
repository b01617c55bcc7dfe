/* W1: the seed net, where the cost of a step is everything but arithmetic. W5: chains of
 * one-element ops. W9: a whole process with one W1 step. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- W1 */

enum { MOST_ROWS = 100 };

typedef struct seed {
    tg_tape *t;
    tg_params *ps;
    tg_optim *sgd;
    tg_linear_layer hidden, output;
    int rows;
    bool logits;
    float x[MOST_ROWS * 3], y[MOST_ROWS];
    seed_net by_hand;
} seed;

static void seed_open(seed *s, int rows)
{
    *s = (seed){.t = tape_with(1), .ps = params_new(), .rows = rows};
    s->hidden = tg_linear_layer_new(tg_scope_in(tg_scope_root(s->ps), "hidden"), 3, 4, true);
    s->output = tg_linear_layer_new(tg_scope_in(tg_scope_root(s->ps), "output"), 4, 1, true);
    s->sgd =
        tg_sgd_new(s->ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 0.1});
    fill_uniform(3 * rows, s->x, 1);
    for (int i = 0; i < rows; i++) s->y[i] = s->x[3 * i] + s->x[3 * i + 1] + s->x[3 * i + 2] > 0;
    fill_uniform((int64_t)(sizeof s->by_hand / sizeof(float)), s->by_hand.w1[0], 2);
}

static void seed_close(seed *s)
{
    tape_must_be_good(s->t);
    die_unless(tg_optim_status(s->sgd) == TG_OK, tg_optim_message(s->sgd));
    tg_optim_free(s->sgd);
    tg_tape_free(s->t);
    tg_params_free(s->ps);
}

static void seed_backward(seed *s)
{
    tg_tape *t = s->t;
    tg_tensor *x = tg_input_borrow(t, TG_F32, TG_SHAPE(s->rows, 3), s->x);
    tg_tensor *y = tg_input_borrow(t, TG_F32, TG_SHAPE(s->rows, 1), s->y);
    tg_tensor *h = tg_sigmoid(t, tg_linear(t, x, s->hidden.weight, s->hidden.bias));
    tg_tensor *z = tg_linear(t, h, s->output.weight, s->output.bias);
    tg_backward(t, s->logits ? tg_bce_with_logits(t, z, y)
                             : tg_bce_loss(t, tg_sigmoid(t, z), y, TG_REDUCE_MEAN));
}

static void seed_step(void *user)
{
    seed *s = user;
    seed_backward(s);
    tg_optim_step(s->sgd);
    tg_tape_reset(s->t);
}

static void seed_replay(void *user)
{
    seed *s = user;
    tg_replay(s->t);
    tg_optim_step(s->sgd);
}

static void seed_by_hand(void *user)
{
    seed *s = user;
    reference_seed_step(&s->by_hand, s->rows, s->x, s->y);
}

static void seed_by_hand_vector(void *user)
{
    seed *s = user;
    reference_seed_step_vector(&s->by_hand, s->rows, s->x, s->y);
}

static void w1_rows(int rows, double recorded, double replayed)
{
    char name[64];
    for (int logits = 0; logits < 2; logits++) {
        seed s;
        seed_open(&s, rows);
        s.logits = logits;
        const char *loss = logits ? "logits." : "";
        snprintf(name, sizeof name, "w1.n%d.%srecorded", rows, loss);
        figure_show(&(figure){.name = name,
                              .threads = 1,
                              .value = bench_time(seed_step, &s, 1),
                              .unit = "us",
                              .target = recorded});
        seed_backward(&s);
        tg_optim_step(s.sgd);
        snprintf(name, sizeof name, "w1.n%d.%sreplayed", rows, loss);
        figure_show(&(figure){.name = name,
                              .threads = 1,
                              .value = bench_time(seed_replay, &s, 1),
                              .unit = "us",
                              .target = replayed});
        if (!logits) {
            snprintf(name, sizeof name, "w1.n%d.by_hand", rows);
            figure_show(&(figure){.name = name,
                                  .threads = 1,
                                  .value = bench_time(seed_by_hand, &s, 1),
                                  .unit = "us",
                                  .note = "scalar, libm"});
            snprintf(name, sizeof name, "w1.n%d.by_hand_vector", rows);
            figure_show(&(figure){.name = name,
                                  .threads = 1,
                                  .value = bench_time(seed_by_hand_vector, &s, 1),
                                  .unit = "us",
                                  .note = "without loss"});
        }
        seed_close(&s);
    }
}

void bench_w1(void)
{
    w1_rows(100, 1.0, 0.65);
    w1_rows(4, 0.45, 0.25);
}

/* ---------------------------------------------------------------- W5 */

typedef struct chain {
    tg_tape *t;
    tg_params *ps;
    tg_tensor *x, *a, *b;
    int64_t n;
    int64_t growth; /* ops more at every call, so that no call finds its plan */
} chain;

static void chain_open(chain *c, int64_t n, int64_t growth)
{
    *c = (chain){.t = tape_with(1), .ps = params_new(), .n = n, .growth = growth};
    c->x = tg_param_new(c->ps, "x", TG_F32, TG_SHAPE(1), (tg_init){TG_CONSTANT, 0.5, 0});
    c->a = tg_param_new(c->ps, "a", TG_F32, TG_SHAPE(1), (tg_init){TG_CONSTANT, 1.0001, 0});
    c->b = tg_param_new(c->ps, "b", TG_F32, TG_SHAPE(1), (tg_init){TG_CONSTANT, 0.001, 0});
    die_unless(tg_params_status(c->ps) == TG_OK, tg_params_message(c->ps));
}

static void chain_close(chain *c)
{
    tape_must_be_good(c->t);
    tg_tape_free(c->t);
    tg_params_free(c->ps);
}

static tg_tensor *chain_record(chain *c)
{
    tg_tensor *y = c->x;
    for (int64_t i = 0; i < c->n; i += 2) y = tg_add(c->t, tg_mul(c->t, y, c->a), c->b);
    c->n += c->growth;
    return y;
}

static void chain_only_recorded(void *user)
{
    chain *c = user;
    chain_record(c);
    tg_tape_reset(c->t);
}

static void chain_forward(void *user)
{
    chain *c = user;
    tg_tensor *y = chain_record(c);
    tg_eval(c->t, 1, &y);
    tg_tape_reset(c->t);
}

static void chain_both(void *user)
{
    chain *c = user;
    tg_backward(c->t, chain_record(c));
    tg_params_drop_grads(c->ps);
    tg_tape_reset(c->t);
}

static void chain_replay(void *user)
{
    chain *c = user;
    tg_replay(c->t);
    tg_params_drop_grads(c->ps);
}

static void by_hand_forward(void *user)
{
    volatile float *y = user;
    *y = reference_chain(1000, 0.5f, 1.0001f, 0.001f, false);
}

static void by_hand_both(void *user)
{
    volatile float *y = user;
    *y = reference_chain(1000, 0.5f, 1.0001f, 0.001f, true);
}

static void show_an_op(const char *name, timing t, double ops, double target, const char *note)
{
    figure_show(&(figure){.name = name,
                          .threads = 1,
                          .value = timing_scaled(t, 1 / ops),
                          .unit = "ns",
                          .target = target,
                          .note = note});
}

/* What a call costs more when its structure is new, over the nodes of its plan. */
static void planning(void)
{
    chain new, old;
    chain_open(&new, 1000, 2);
    const timing with = bench_time(chain_both, &new, 1);
    const int64_t middle = (1000 + new.n) / 2;
    chain_open(&old, middle, 0);
    const timing without = bench_time(chain_both, &old, 1);
    const double nodes = (double)tg_tape_plan_stats(old.t).nodes;
    char note[96];
    snprintf(note, sizeof note, "chain of %lld, %.0f nodes planned, both passes", (long long)middle,
             nodes);
    show_an_op("w5.planning_a_node", (timing){with.median - without.median, with.p10 - without.p10},
               nodes, 60, note);
    chain_close(&new);
    chain_close(&old);
}

void bench_w5(void)
{
    chain c;
    chain_open(&c, 1000, 0);
    show_an_op("w5.recorded_only", bench_time(chain_only_recorded, &c, 1), 1000, 0,
               "no evaluation");
    show_an_op("w5.forward", bench_time(chain_forward, &c, 1), 1000, 8, "recorded afresh, an op");
    show_an_op("w5.both", bench_time(chain_both, &c, 1), 1000, 20,
               "forward and backward, recorded afresh, an op");
    tg_backward(c.t, chain_record(&c));
    show_an_op("w5.replayed", bench_time(chain_replay, &c, 1), 1000, 6,
               "forward and backward, an op");
    chain_close(&c);
    planning();

    const int64_t million = bench.quick ? 10000 : 1000000;
    chain_open(&c, million, 0);
    show_an_op("w5.million_forward", bench_time(chain_forward, &c, 1), (double)million, 0,
               "recorded afresh, an op");
    show_an_op("w5.million_both", bench_time(chain_both, &c, 1), (double)million, 35,
               "forward and backward, recorded afresh, an op");
    chain_close(&c);

    volatile float sink;
    show_an_op("w5.by_hand_forward", bench_time(by_hand_forward, (void *)&sink, 1), 1000, 0,
               "an interpreter's loop");
    show_an_op("w5.by_hand_both", bench_time(by_hand_both, (void *)&sink, 1), 1000, 0,
               "an interpreter's loop");
}

/* ---------------------------------------------------------------- W9 */

void bench_w9_process(void)
{
    seed s;
    seed_open(&s, 100);
    seed_step(&s);
    seed_close(&s);
    printf("%.0f\n", process_peak());
}

static process_result show_process(const char *name, char *const argv[], double target,
                                   const char *note)
{
    timing wall_time, cpu_time;
    process_result last;
    char text[64];
    die_unless(process_time(argv, bench.quick ? 1 : 101, &wall_time, &cpu_time, &last),
               "a process of W9 failed");
    snprintf(text, sizeof text, "%s.wall", name);
    figure_show(&(figure){.name = text,
                          .threads = 1,
                          .value = wall_time,
                          .unit = "ms",
                          .target = target,
                          .note = note});
    snprintf(text, sizeof text, "%s.cpu", name);
    figure_show(&(figure){.name = text, .threads = 1, .value = cpu_time, .unit = "ms"});
    return last;
}

static void show_memory(const char *name, double bytes, double target, const char *note)
{
    figure_show(&(figure){.name = name,
                          .value = {bytes / 1e6, bytes / 1e6},
                          .unit = "MB",
                          .target = target,
                          .note = note});
}

void bench_w9(void)
{
    double kib;
    char *const step[] = {(char *)process_self(), "w9-process", NULL}, *const nothing[] = {"true",
                                                                                           NULL};
    char *const status[] = {"grep", "VmHWM", "/proc/self/status", NULL};
    show_memory("w9.rss", atof(show_process("w9", step, 4, "from start to end").text), 6,
                "its largest resident memory");
    show_process("empty_process", nothing, 0, "`true`");
    const process_result r = process_run(status);
    if (r.good && sscanf(r.text, "VmHWM: %lf", &kib) == 1)
        show_memory("empty_process.rss", 1024 * kib, 0, "`grep`");
}
