/* W4: a chain of elementwise ops on large arrays. W7: cross-entropy and layer norm over long rows.
 * W8: optimizer steps. */
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
    *e = (elementwise){.t = tape_with(threads), .ps = params_new(), .n = n, .threads = threads};
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
    tg_tensor *u =
        e->a ? tg_add(t, tg_mul(t, e->x, e->a), e->b) : tg_offset(t, tg_scale(t, e->x, 1.1), 0.2);
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
        const double floor = limits_seconds(0, 12.0 * (double)n, 8.0 * (double)n, threads),
                     target = sizes[k].target[threads > 1];
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
        elementwise e = {
            .n = n, .data = bench_memory(n * 4), .gx = bench_memory(n * 4), .threads = threads};
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
    tg_tensor *x, *w, *b; /* w and b NULL for cross-entropy */
    int64_t n, width, *target;
    float *gy;
} rows;

static void rows_open(rows *r, int64_t n, int64_t width, int threads)
{
    *r = (rows){.t = tape_with(threads), .ps = params_new(), .n = n, .width = width};
    r->x = tg_param_new(r->ps, "x", TG_F32, TG_SHAPE(n, width), (tg_init){TG_NORMAL, 0, 1});
}

static void rows_close(rows *r)
{
    tape_must_be_good(r->t);
    tg_tape_free(r->t);
    tg_params_free(r->ps);
    free(r->target);
    free(r->gy);
}

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
    tg_tensor *loss =
        tg_cross_entropy(r->t, r->x, tg_input_borrow(r->t, TG_I64, TG_SHAPE(r->n), r->target));
    tg_eval(r->t, 1, &loss);
    tg_tape_reset(r->t);
}

static tg_tensor *layer_norm(rows *r) { return tg_layer_norm(r->t, r->x, 1, r->w, r->b, 1e-5); }

static void layer_norm_both(void *user)
{
    rows *r = user;
    tg_tensor *const of[3] = {r->x, r->w, r->b};
    tg_tensor *wanted[4];
    wanted[3] = layer_norm(r);
    tg_grad(r->t, wanted[3], tg_input_borrow(r->t, TG_F32, TG_SHAPE(r->n, r->width), r->gy), 3, of,
            wanted, false);
    tg_eval(r->t, 4, wanted);
    tg_tape_reset(r->t);
}

static void layer_norm_forward(void *user)
{
    rows *r = user;
    tg_tensor *y = layer_norm(r);
    tg_eval(r->t, 1, &y);
    tg_tape_reset(r->t);
}

/* both and forward are to move so many bytes an element at least. */
static void show_rows(const char *op, const char *size, rows *r, int threads, void (*both)(void *),
                      double bytes_both, void (*forward)(void *), double bytes_forward,
                      double target)
{
    const double elements = (double)(r->n * r->width);
    char name[64];
    die_unless(tg_params_status(r->ps) == TG_OK, tg_params_message(r->ps));
    snprintf(name, sizeof name, "w7.%s.%s", op, size);
    figure_show(&(figure){
        .name = name,
        .threads = threads,
        .value = bench_time(both, r, threads),
        .unit = "ms",
        .target = threads == 1 ? target : 0,
        .floor = limits_seconds(0, bytes_both * elements, bytes_both * elements, threads)});
    snprintf(name, sizeof name, "w7.%s_forward.%s", op, size);
    figure_show(&(figure){
        .name = name,
        .threads = threads,
        .value = bench_time(forward, r, threads),
        .unit = "ms",
        .floor = limits_seconds(0, bytes_forward * elements, bytes_forward * elements, threads)});
    rows_close(r);
}

static void w7(int threads)
{
    static const struct {
        const char *name;
        int64_t n, width;
        double cross_entropy, layer_norm;
    } sizes[] = {{"1024x1024", 1024, 1024, 0.30, 0.42}, {"64x50257", 64, 50257, 1.2, 2.8}};
    for (int k = 0; k < COUNT(sizes); k++) {
        const int64_t n = sizes[k].n, width = sizes[k].width;
        rows r;
        rows_open(&r, n, width, threads);
        r.target = bench_memory(n * (int64_t)sizeof(int64_t));
        for (int64_t i = 0; i < n; i++) r.target[i] = i * 7919 % width;
        show_rows("cross_entropy", sizes[k].name, &r, threads, cross_entropy_step, 8,
                  cross_entropy_forward, 4, sizes[k].cross_entropy);

        rows_open(&r, n, width, threads);
        r.w = tg_param_new(r.ps, "w", TG_F32, TG_SHAPE(width), (tg_init){TG_ONES, 0, 0});
        r.b = tg_param_new(r.ps, "b", TG_F32, TG_SHAPE(width), (tg_init){TG_ZEROS, 0, 0});
        r.gy = bench_memory(n * width * (int64_t)sizeof(float));
        fill_uniform(n * width, r.gy, 14);
        show_rows("layer_norm", sizes[k].name, &r, threads, layer_norm_both, 16, layer_norm_forward,
                  8, sizes[k].layer_norm);
    }
}

void bench_w7(void) { for_threads(w7); }

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
    for (int k = 0; k < tg_params_count(u->ps); k++)
        tg_param_add_grad(tg_params_get(u->ps, k), u->grad);
    const double begin = bench_clock(u->threads);
    tg_optim_step(u->o);
    return bench_clock(u->threads) - begin;
}

static void show_update(const char *shape, int count, int64_t size, bool adam, double times)
{
    updates u = {.ps = params_new(), .grad = bench_memory(size * 4), .threads = 1};
    fill_uniform(size, u.grad, 9);
    for (int k = 0; k < count; k++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", k);
        tg_param_new(u.ps, name, TG_F32, TG_SHAPE(size), (tg_init){TG_NORMAL, 0, 1});
    }
    die_unless(tg_params_status(u.ps) == TG_OK, tg_params_message(u.ps));
    u.o = adam ? tg_adam_new(u.ps, NULL)
               : tg_sgd_new(u.ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                    .learning_rate = 1e-3,
                                                    .momentum = 0.9});
    const double bytes = (adam ? 28.0 : 20.0) * count * (double)size;
    char name[64];
    snprintf(name, sizeof name, "w8.%s.%s", adam ? "adam" : "sgd_momentum", shape);
    figure_show(
        &(figure){.name = name,
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
