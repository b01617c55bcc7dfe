/* W4: a chain of elementwise ops on large arrays. W7: cross-entropy over long rows. W8: optimizer steps. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

/* ---------------------------------------------------------------- W4 */

typedef struct elementwise {
    tg_tape *t;
    tg_params *ps;
    tg_tensor *x, *a, *b; /* a and b NULL: numbers */
    int64_t n;
    float *data, *gx; /* of the version by hand */
    int threads;
} elementwise;

static void elementwise_open(elementwise *e, int64_t n, bool learn_a_and_b, int threads)
{
    *e = (elementwise){.t = tape_with(threads), .ps = tg_params_new(NULL), .n = n, .threads = threads};
    e->x = tg_param_new(e->ps, "x", TG_F32, TG_SHAPE(n), (tg_init){TG_NORMAL, 0, 1});
    if (learn_a_and_b) {
        e->a = tg_param_new(e->ps, "a", TG_F32, TG_SHAPE(1), (tg_init){TG_CONSTANT, 1.1, 0});
        e->b = tg_param_new(e->ps, "b", TG_F32, TG_SHAPE(1), (tg_init){TG_CONSTANT, 0.2, 0});
    }
    die_unless(tg_params_status(e->ps) == TG_OK, tg_params_message(e->ps));
}

static void elementwise_close(elementwise *e)
{
    tape_must_be_good(e->t);
    tg_tape_free(e->t);
    tg_params_free(e->ps);
}

static void elementwise_step(void *user)
{
    elementwise *e = user;
    tg_tape *t = e->t;
    tg_tensor *u = e->a ? tg_add(t, tg_mul(t, e->x, e->a), e->b) : tg_offset(t, tg_scale(t, e->x, 1.1), 0.2);
    tg_backward(t, tg_mean(t, tg_mul(t, tg_tanh(t, u), tg_sigmoid(t, e->x)), TG_ALL_AXES, false));
    tg_params_drop_grads(e->ps);
    tg_tape_reset(t);
}

static void elementwise_by_hand(void *user)
{
    elementwise *e = user;
    reference_tanh_sigmoid(e->n, e->data, 1.1f, 0.2f, e->gx, e->threads);
}

static void w4(int threads)
{
    static const struct {
        const char *name;
        int64_t n;
        double target[2], times;
    } sizes[] = {{"w4.16m", 1 << 24, {17, 9}, 4.3}, {"w4.64k", 1 << 16, {60, 0}, 3.6}};
    for (int k = 0; k < COUNT(sizes); k++) {
        const int64_t n = bench.quick ? 4096 : sizes[k].n;
        const char *unit = k ? "us" : "ms";
        const double floor = limits_seconds(0, 12.0 * (double)n, 8.0 * (double)n, threads), target = sizes[k].target[threads > 1];
        char name[64];
        for (int learn = 0; learn < 2; learn++) {
            elementwise e;
            elementwise_open(&e, n, learn, threads);
            snprintf(name, sizeof name, "%s%s", sizes[k].name, learn ? ".learn_a_b" : "");
            figure_show(&(figure){.name = name,
                                  .threads = threads,
                                  .value = bench_time(elementwise_step, &e, threads),
                                  .unit = unit,
                                  .target = target,
                                  .times = threads == 1 ? sizes[k].times : 0,
                                  .floor = floor});
            elementwise_close(&e);
        }
        elementwise e = {.n = n, .data = bench_memory(n * 4), .gx = bench_memory(n * 4), .threads = threads};
        fill_uniform(n, e.data, 1);
        snprintf(name, sizeof name, "%s.by_hand", sizes[k].name);
        figure_show(&(figure){.name = name,
                              .threads = threads,
                              .value = bench_time(elementwise_by_hand, &e, threads),
                              .unit = unit,
                              .floor = floor,
                              .note = "one loop"});
        free(e.data);
        free(e.gx);
    }
}

void bench_w4(void) { for_threads(w4); }

/* ---------------------------------------------------------------- W7 */

typedef struct rows {
    tg_tape *t;
    tg_params *ps;
    tg_tensor *x;
    int64_t n, *target;
} rows;

static void cross_entropy_step(void *user)
{
    rows *r = user;
    tg_tensor *target = tg_input_borrow(r->t, TG_I64, TG_SHAPE(r->n), r->target);
    tg_backward(r->t, tg_cross_entropy(r->t, r->x, target));
    tg_params_drop_grads(r->ps);
    tg_tape_reset(r->t);
}

static void cross_entropy_forward(void *user)
{
    rows *r = user;
    tg_tensor *loss = tg_cross_entropy(r->t, r->x, tg_input_borrow(r->t, TG_I64, TG_SHAPE(r->n), r->target));
    tg_eval(r->t, 1, &loss);
    tg_tape_reset(r->t);
}

static void show_cross_entropy(const char *name, int64_t n, int64_t width, double target)
{
    rows r = {.t = tape_with(1), .ps = tg_params_new(NULL), .n = n, .target = bench_memory(n * (int64_t)sizeof(int64_t))};
    r.x = tg_param_new(r.ps, "x", TG_F32, TG_SHAPE(n, width), (tg_init){TG_NORMAL, 0, 1});
    die_unless(tg_params_status(r.ps) == TG_OK, tg_params_message(r.ps));
    for (int64_t i = 0; i < n; i++) r.target[i] = i * 7919 % width;
    const double bytes = 4.0 * (double)(n * width);
    char text[64];
    snprintf(text, sizeof text, "w7.cross_entropy.%s", name);
    figure_show(&(figure){.name = text,
                          .threads = 1,
                          .value = bench_time(cross_entropy_step, &r, 1),
                          .unit = "ms",
                          .target = target,
                          .floor = limits_seconds(0, 2 * bytes, 2 * bytes, 1)});
    snprintf(text, sizeof text, "w7.cross_entropy_forward.%s", name);
    figure_show(&(figure){
        .name = text, .threads = 1, .value = bench_time(cross_entropy_forward, &r, 1), .unit = "ms", .floor = limits_seconds(0, bytes, bytes, 1)});
    tape_must_be_good(r.t);
    tg_tape_free(r.t);
    tg_params_free(r.ps);
    free(r.target);
}

void bench_w7(void)
{
    show_cross_entropy("1024x1024", 1024, 1024, 0.30);
    show_cross_entropy("64x50257", 64, 50257, 1.2);
}

/* ---------------------------------------------------------------- W8 */

typedef struct updates {
    tg_params *ps;
    tg_optim *o;
    float *grad;
    int threads;
} updates;

static double update(void *user)
{
    updates *u = user;
    for (int k = 0; k < tg_params_count(u->ps); k++) tg_param_add_grad(tg_params_get(u->ps, k), u->grad);
    const double begin = bench_clock(u->threads);
    tg_optim_step(u->o);
    return bench_clock(u->threads) - begin;
}

static void show_update(const char *shape, int count, int64_t size, bool adam, double times)
{
    updates u = {.ps = tg_params_new(NULL), .grad = bench_memory(size * 4), .threads = 1};
    fill_uniform(size, u.grad, 9);
    for (int k = 0; k < count; k++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", k);
        tg_param_new(u.ps, name, TG_F32, TG_SHAPE(size), (tg_init){TG_NORMAL, 0, 1});
    }
    die_unless(tg_params_status(u.ps) == TG_OK, tg_params_message(u.ps));
    u.o =
        adam ? tg_adam_new(u.ps, NULL) : tg_sgd_new(u.ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 1e-3, .momentum = 0.9});
    const double bytes = (adam ? 28.0 : 20.0) * count * (double)size;
    char name[64];
    snprintf(name, sizeof name, "w8.%s.%s", adam ? "adam" : "sgd_momentum", shape);
    figure_show(&(figure){.name = name,
                          .threads = 1,
                          .value = bench_samples(update, &u),
                          .unit = "ms",
                          .times = times,
                          .floor = limits_seconds(0, bytes, bytes * (adam ? 16.0 / 28 : 12.0 / 20), 1)});
    die_unless(tg_optim_status(u.o) == TG_OK, tg_optim_message(u.o));
    tg_optim_free(u.o);
    tg_params_free(u.ps);
    free(u.grad);
}

void bench_w8(void)
{
    const int64_t large = bench.quick ? 1000 : 500000;
    show_update("20x500k", 20, large, false, 1);
    show_update("20x500k", 20, large, true, 2.5);
    show_update("1000x1000", 1000, 1000, false, 15);
    show_update("1000x1000", 1000, 1000, true, 60);
}
