/* GPT-2 of 124 million parameters (Radford et al. 2019) with weights drawn at random: steps of
 * AdamW on 4 x 64 tokens. 12 blocks of width 768 with 12 heads, 50,257 tokens, the head's weight
 * the embedding's. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LAYERS = 12,
    WIDTH = 768,
    HEADS = 12,
    TOKENS = 50257,
    PLACES = 1024,
    BATCH = 4,
    LENGTH = 64
};
enum { STEPS = 5 };

typedef struct gpt2 {
    tg_tape *t;
    tg_optim *adamw;
    tg_embedding_layer token, place;
    tg_transformer_block block[LAYERS];
    tg_layer_norm_layer norm;
    int64_t x[BATCH * LENGTH], y[BATCH * LENGTH];
} gpt2;

static tg_tensor *loss_of(const gpt2 *m)
{
    tg_tape *t = m->t;
    tg_tensor *x = tg_input_borrow(t, TG_I64, TG_SHAPE(BATCH, LENGTH), m->x);
    tg_tensor *y = tg_input_borrow(t, TG_I64, TG_SHAPE(BATCH * LENGTH), m->y);
    x = tg_add(t, tg_embedding_layer_apply(t, &m->token, x),
               tg_slice(t, m->place.weight, 0, 0, LENGTH, 1));
    for (int k = 0; k < LAYERS; k++) x = tg_transformer_block_apply(t, &m->block[k], x, NULL, true);
    x = tg_reshape(t, tg_layer_norm_layer_apply(t, &m->norm, x), TG_SHAPE(BATCH * LENGTH, WIDTH));
    return tg_cross_entropy(t, tg_linear(t, x, m->token.weight, NULL), y);
}

static double step(gpt2 *m, int threads)
{
    const double start = bench_clock(threads);
    tg_backward(m->t, loss_of(m));
    tg_optim_step(m->adamw);
    tg_tape_reset(m->t);
    return bench_clock(threads) - start;
}

static void steps(int threads)
{
    static gpt2 m;
    tg_params *ps = params_new();
    const tg_scope root = tg_scope_root(ps);
    m.token = tg_embedding_layer_new(tg_scope_in(root, "wte"), TOKENS, WIDTH);
    m.place = tg_embedding_layer_new(tg_scope_in(root, "wpe"), PLACES, WIDTH);
    const tg_scope blocks = tg_scope_in(root, "h");
    for (int k = 0; k < LAYERS; k++)
        m.block[k] = tg_transformer_block_new(tg_scope_at(blocks, "", k), WIDTH, HEADS, 4 * WIDTH);
    m.norm = tg_layer_norm_layer_new(tg_scope_in(root, "ln_f"), TG_SHAPE(WIDTH));
    m.adamw = tg_optim_parse(ps, "adamw");
    m.t = tape_with(threads);
    die_unless(tg_params_status(ps) == TG_OK, tg_params_message(ps));
    for (int i = 0; i < BATCH * LENGTH; i++) {
        m.x[i] = (int64_t)i * 7919 % TOKENS;
        m.y[i] = (int64_t)(i + 1) * 7919 % TOKENS;
    }

    step(&m, threads);
    double sample[STEPS];
    const int n = bench.quick ? 1 : STEPS;
    for (int k = 0; k < n; k++) sample[k] = step(&m, threads);
    tape_must_be_good(m.t);
    die_unless(tg_optim_status(m.adamw) == TG_OK, tg_optim_message(m.adamw));

    const double elements = (double)tg_params_elements(ps);
    /* two flops a weight and token forward, four back; AdamW reads four numbers and writes three */
    const double flops = 6.0 * (elements - (double)PLACES * WIDTH) * BATCH * LENGTH;
    const double bytes = 7 * sizeof(float) * elements;
    char note[96];
    snprintf(note, sizeof note, "%.1f million parameters, %.0f GFLOP", elements / 1e6, flops / 1e9);
    figure_show(&(figure){.name = "gpt2.step",
                          .threads = threads,
                          .value = timing_of(sample, n),
                          .unit = "s",
                          .floor = limits_seconds(flops, bytes, bytes, threads),
                          .note = note});
    tg_optim_free(m.adamw);
    tg_tape_free(m.t);
    tg_params_free(ps);
}

void bench_gpt2(void)
{
    for_threads(steps);
    const double peak = process_peak() / 1e6;
    figure_show(&(figure){
        .name = "gpt2.memory", .value = {peak, peak}, .unit = "MB", .note = "largest resident"});
}
