/* W6: a small convolutional net in training, and one block of a GPT, forward and backward. */
#include "bench.h"

#include <stdlib.h>

/* ---------------------------------- the convolutional net: 1x28x28, 8x12x12, 16x4x4, 10 classes */

enum {
    IMAGES = 64,
    SIDE = 28,
    CLASSES = 10,
    KERNEL = 5,
    FIRST = 8,
    SECOND = 16,
    FEATURES = SECOND * 4 * 4
};

typedef struct lenet {
    tg_tape *t;
    tg_params *ps;
    tg_optim *sgd;
    tg_tensor *w1, *b1, *w2, *b2;
    tg_linear_layer last;
    float *x;
    int64_t *y;
} lenet;

static void lenet_open(lenet *m, int threads)
{
    const tg_init first = {TG_LINEAR_DEFAULT, KERNEL * KERNEL, 0},
                  second = {TG_LINEAR_DEFAULT, FIRST * KERNEL * KERNEL, 0};
    *m = (lenet){.t = tape_with(threads), .ps = params_new()};
    m->w1 = tg_param_new(m->ps, "conv1.weight", TG_F32, TG_SHAPE(FIRST, 1, KERNEL, KERNEL), first);
    m->b1 = tg_param_new(m->ps, "conv1.bias", TG_F32, TG_SHAPE(FIRST), first);
    m->w2 = tg_param_new(m->ps, "conv2.weight", TG_F32, TG_SHAPE(SECOND, FIRST, KERNEL, KERNEL),
                         second);
    m->b2 = tg_param_new(m->ps, "conv2.bias", TG_F32, TG_SHAPE(SECOND), second);
    m->last =
        tg_linear_layer_new(tg_scope_in(tg_scope_root(m->ps), "last"), FEATURES, CLASSES, true);
    die_unless(tg_params_status(m->ps) == TG_OK, tg_params_message(m->ps));
    m->sgd = tg_sgd_new(
        m->ps,
        &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 0.01, .momentum = 0.9});
    tg_optim_set_threads(m->sgd, threads);
    m->x = bench_memory(IMAGES * SIDE * SIDE * (int64_t)sizeof *m->x);
    m->y = bench_memory(IMAGES * (int64_t)sizeof *m->y);
    fill_uniform(IMAGES * SIDE * SIDE, m->x, 11);
    for (int64_t i = 0; i < IMAGES * SIDE * SIDE; i++) m->x[i] = (m->x[i] + 1) / 2;
    for (int64_t i = 0; i < IMAGES; i++) m->y[i] = i * 7 % CLASSES;
}

static void lenet_close(lenet *m)
{
    tape_must_be_good(m->t);
    die_unless(tg_optim_status(m->sgd) == TG_OK, tg_optim_message(m->sgd));
    tg_optim_free(m->sgd);
    tg_tape_free(m->t);
    tg_params_free(m->ps);
    free(m->x);
    free(m->y);
}

static tg_tensor *stage(tg_tape *t, tg_tensor *x, tg_tensor *w, tg_tensor *b)
{
    return tg_max_pool2d(t, tg_relu(t, tg_conv2d(t, x, w, b, (tg_conv){0})),
                         (tg_pool){.kernel = {2, 2}});
}

static tg_tensor *lenet_logits(lenet *m)
{
    tg_tensor *x = tg_input_borrow(m->t, TG_F32, TG_SHAPE(IMAGES, 1, SIDE, SIDE), m->x);
    tg_tensor *h = stage(m->t, stage(m->t, x, m->w1, m->b1), m->w2, m->b2);
    return tg_linear(m->t, tg_reshape(m->t, h, TG_SHAPE(IMAGES, FEATURES)), m->last.weight,
                     m->last.bias);
}

static void lenet_step(void *user)
{
    lenet *m = user;
    tg_tensor *target = tg_input_borrow(m->t, TG_I64, TG_SHAPE(IMAGES), m->y);
    tg_backward(m->t, tg_cross_entropy(m->t, lenet_logits(m), target));
    tg_optim_step(m->sgd);
    tg_tape_reset(m->t);
}

static void lenet_forward(void *user)
{
    lenet *m = user;
    tg_tensor *logits = lenet_logits(m);
    tg_eval(m->t, 1, &logits);
    tg_tape_reset(m->t);
}

static void show_lenet(int threads)
{
    const double taps = KERNEL * KERNEL, first = FIRST * taps * 24 * 24,
                 second = SECOND * FIRST * taps * 8 * 8, last = FEATURES * CLASSES;
    const double forward = 2 * IMAGES * (first + second + last);
    lenet m;
    lenet_open(&m, threads);
    figure_show(
        &(figure){.name = "w6.lenet",
                  .threads = threads,
                  .value = bench_time(lenet_step, &m, threads),
                  .unit = "ms",
                  .target = threads == 1 ? 1.2 : 0.75,
                  .floor = limits_seconds(3 * forward - 2 * IMAGES * first, 0, 0, threads)});
    figure_show(&(figure){.name = "w6.lenet_forward",
                          .threads = threads,
                          .value = bench_time(lenet_forward, &m, threads),
                          .unit = "ms",
                          .floor = limits_seconds(forward, 0, 0, threads)});
    lenet_close(&m);
}

/* ------------------------------------- the block: x + attention(norm(x)), then x + mlp(norm(x)) */

enum { SEQUENCES = 8, TOKENS = 64, WIDTH = 128, HEADS = 4, BLOCK_PARAMS = 12 };

typedef struct block {
    tg_tape *t;
    tg_params *ps;
    tg_tensor *norm1[2], *norm2[2];
    tg_linear_layer qkv, project, up, down;
    float *x, *gy;
} block;

static void block_open(block *m, int threads)
{
    const int64_t elements = SEQUENCES * TOKENS * WIDTH;
    *m = (block){.t = tape_with(threads), .ps = params_new()};
    m->norm1[0] =
        tg_param_new(m->ps, "norm1.weight", TG_F32, TG_SHAPE(WIDTH), (tg_init){TG_ONES, 0, 0});
    m->norm1[1] =
        tg_param_new(m->ps, "norm1.bias", TG_F32, TG_SHAPE(WIDTH), (tg_init){TG_ZEROS, 0, 0});
    m->qkv = tg_linear_layer_new(tg_scope_in(tg_scope_root(m->ps), "qkv"), WIDTH, 3 * WIDTH, true);
    m->project =
        tg_linear_layer_new(tg_scope_in(tg_scope_root(m->ps), "project"), WIDTH, WIDTH, true);
    m->norm2[0] =
        tg_param_new(m->ps, "norm2.weight", TG_F32, TG_SHAPE(WIDTH), (tg_init){TG_ONES, 0, 0});
    m->norm2[1] =
        tg_param_new(m->ps, "norm2.bias", TG_F32, TG_SHAPE(WIDTH), (tg_init){TG_ZEROS, 0, 0});
    m->up = tg_linear_layer_new(tg_scope_in(tg_scope_root(m->ps), "up"), WIDTH, 4 * WIDTH, true);
    m->down =
        tg_linear_layer_new(tg_scope_in(tg_scope_root(m->ps), "down"), 4 * WIDTH, WIDTH, true);
    die_unless(tg_params_status(m->ps) == TG_OK, tg_params_message(m->ps));
    m->x = bench_memory(elements * (int64_t)sizeof *m->x);
    m->gy = bench_memory(elements * (int64_t)sizeof *m->gy);
    fill_uniform(elements, m->x, 12);
    fill_uniform(elements, m->gy, 13);
}

static void block_close(block *m)
{
    tape_must_be_good(m->t);
    tg_tape_free(m->t);
    tg_params_free(m->ps);
    free(m->x);
    free(m->gy);
}

static tg_tensor *apply(block *m, const tg_linear_layer *layer, tg_tensor *x)
{
    return tg_linear(m->t, x, layer->weight, layer->bias);
}

/* The k-th of query, key and value, as [sequences, heads, tokens, width of a head]. */
static tg_tensor *part(tg_tape *t, tg_tensor *qkv, int64_t k)
{
    tg_tensor *x = tg_slice(t, qkv, 2, k * WIDTH, (k + 1) * WIDTH, 1);
    return tg_transpose(t, tg_reshape(t, x, TG_SHAPE(SEQUENCES, TOKENS, HEADS, WIDTH / HEADS)), 1,
                        2);
}

static tg_tensor *block_result(block *m, tg_tensor *x)
{
    tg_tape *t = m->t;
    tg_tensor *qkv = apply(m, &m->qkv, tg_layer_norm(t, x, 1, m->norm1[0], m->norm1[1], 1e-5));
    tg_tensor *seen =
        tg_attention(t, part(t, qkv, 0), part(t, qkv, 1), part(t, qkv, 2), NULL, true);
    tg_tensor *joined =
        tg_reshape(t, tg_transpose(t, seen, 1, 2), TG_SHAPE(SEQUENCES, TOKENS, WIDTH));
    x = tg_add(t, x, apply(m, &m->project, joined));
    tg_tensor *inner =
        tg_gelu_tanh(t, apply(m, &m->up, tg_layer_norm(t, x, 1, m->norm2[0], m->norm2[1], 1e-5)));
    return tg_add(t, x, apply(m, &m->down, inner));
}

static tg_tensor *block_input(block *m, const float *data)
{
    return tg_input_borrow(m->t, TG_F32, TG_SHAPE(SEQUENCES, TOKENS, WIDTH), data);
}

static void block_both(void *user)
{
    block *m = user;
    tg_tensor *of[BLOCK_PARAMS + 1], *wanted[BLOCK_PARAMS + 2];
    for (int k = 0; k < BLOCK_PARAMS; k++) of[k] = tg_params_get(m->ps, k);
    of[BLOCK_PARAMS] = block_input(m, m->x);
    wanted[BLOCK_PARAMS + 1] = block_result(m, of[BLOCK_PARAMS]);
    tg_grad(m->t, wanted[BLOCK_PARAMS + 1], block_input(m, m->gy), BLOCK_PARAMS + 1, of, wanted,
            false);
    tg_eval(m->t, BLOCK_PARAMS + 2, wanted);
    tg_tape_reset(m->t);
}

static void block_forward(void *user)
{
    block *m = user;
    tg_tensor *y = block_result(m, block_input(m, m->x));
    tg_eval(m->t, 1, &y);
    tg_tape_reset(m->t);
}

static void show_block(int threads)
{
    /* A token's 12 WIDTH^2 products in the linear layers; a pair of tokens meets twice, and only
     * half of the pairs are seen. */
    const double rows = SEQUENCES * TOKENS, pairs = SEQUENCES * TOKENS * (TOKENS + 1) / 2.0;
    const double forward = 2 * (rows * 12 * WIDTH * WIDTH + pairs * 2 * WIDTH);
    block m;
    block_open(&m, threads);
    figure_show(&(figure){.name = "w6.gpt_block",
                          .threads = threads,
                          .value = bench_time(block_both, &m, threads),
                          .unit = "ms",
                          .target = threads == 1 ? 3.8 : 2.2,
                          .floor = limits_seconds(3 * forward, 0, 0, threads)});
    figure_show(&(figure){.name = "w6.gpt_block_forward",
                          .threads = threads,
                          .value = bench_time(block_forward, &m, threads),
                          .unit = "ms",
                          .floor = limits_seconds(forward, 0, 0, threads)});
    block_close(&m);
}

static void w6(int threads)
{
    show_lenet(threads);
    show_block(threads);
}

void bench_w6(void) { for_threads(w6); }
