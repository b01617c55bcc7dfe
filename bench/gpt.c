/* W11: microgpt, a GPT of one block that learns names in batches of 16: recorded afresh, with rows
 * cut to the longest name or several names in a row, beside a step written by hand. */
#include "bench.h"
#include "by_hand/gpt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = GPT_BATCH, BLOCK = GPT_BLOCK, HEADS = GPT_HEADS, VOCAB = GPT_VOCAB, END = 26 };
enum { NOTHING = -1 };

typedef struct gpt {
    tg_tensor *wte, *wpe, *wq, *wk, *wv, *wo, *up, *down, *head;
} gpt;

/* One side: the model, and where it stands. */
typedef struct side {
    tg_tape *t;
    tg_params *ps;
    tg_optim *adam;
    gpt m;
} side;

static void side_open(side *s, int64_t d)
{
    const tg_init init = {.kind = TG_NORMAL, .b = 0.08};
    tg_params *ps = params_new();
#define MATRIX(name, rows, columns) tg_param_new(ps, name, TG_F32, TG_SHAPE(rows, columns), init)
    s->m = (gpt){MATRIX("wte", VOCAB, d), MATRIX("wpe", BLOCK, d),  MATRIX("wq", d, d),
                 MATRIX("wk", d, d),      MATRIX("wv", d, d),       MATRIX("wo", d, d),
                 MATRIX("up", 4 * d, d),  MATRIX("down", d, 4 * d), MATRIX("head", VOCAB, d)};
    s->ps = ps;
    s->t = tape_with(1);
    s->adam = tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options),
                                                 .learning_rate = 0.01,
                                                 .beta1 = 0.85,
                                                 .beta2 = 0.99});
    die_unless(tg_params_status(ps) == TG_OK, tg_params_message(ps));
}

static void side_close(side *s)
{
    tape_must_be_good(s->t);
    die_unless(tg_optim_status(s->adam) == TG_OK, tg_optim_message(s->adam));
    tg_optim_free(s->adam);
    tg_tape_free(s->t);
    tg_params_free(s->ps);
}

/* ---------------------------------------------------------------- names */

/* Drawn letters: about 110 positions a batch, as with real names. */
static void draw_names(hand_names *names)
{
    static uint64_t bits = 42; /* Marsaglia's xorshift */
    *names = (hand_names){0};
    for (int r = 0; r < BATCH; r++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        const int letters =
            3 + (int)(bits % 5) + (int)(bits / 5 % 4) + (bits / 20 % 16 == 0 ? 3 : 0);
        names->start[r] = names->rows;
        names->length[r] = letters + 1;
        int last = END;
        for (int i = 0; i <= letters; i++) {
            const int k = names->rows++;
            names->token[k] = last;
            names->place[k] = i;
            bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
            names->next[k] = last = i < letters ? (int)(bits % 26) : END;
        }
    }
}

/* A batch as tensors want it. */
typedef struct batch {
    int64_t rows, columns;
    int64_t token[BATCH * BLOCK], next[BATCH * BLOCK], place[BATCH * BLOCK];
    uint8_t seen[BATCH * BLOCK * BLOCK];
} batch;

static void cut_to_longest(const hand_names *names, batch *b)
{
    b->rows = BATCH;
    b->columns = 0;
    for (int r = 0; r < BATCH; r++)
        b->columns = names->length[r] > b->columns ? names->length[r] : b->columns;
    for (int r = 0; r < BATCH; r++)
        for (int64_t i = 0; i < b->columns; i++) {
            const int64_t to = r * b->columns + i, from = names->start[r] + i;
            b->token[to] = i < names->length[r] ? names->token[from] : END;
            b->next[to] = i < names->length[r] ? names->next[from] : NOTHING;
        }
}

/* First fit, longest names first, in rows of BLOCK; what a query sees is its own name. */
static void pack(const hand_names *names, batch *b)
{
    int64_t used[BATCH] = {0};
    b->rows = 0;
    b->columns = BLOCK;
    for (int64_t i = 0; i < BATCH * BLOCK; i++) {
        b->token[i] = END, b->next[i] = NOTHING, b->place[i] = i % BLOCK;
        memset(b->seen + i * BLOCK, 0, BLOCK);
        b->seen[i * BLOCK + i % BLOCK] = 1; /* what is left over sees itself */
    }
    for (int want = BLOCK; want > 0; want--)
        for (int r = 0; r < BATCH; r++) {
            if (names->length[r] != want) continue;
            int64_t row = 0;
            while (used[row] + want > BLOCK) row++;
            for (int64_t i = 0; i < want; i++) {
                const int64_t to = row * BLOCK + used[row] + i, from = names->start[r] + i;
                b->token[to] = names->token[from];
                b->next[to] = names->next[from];
                b->place[to] = i;
                memset(b->seen + to * BLOCK + used[row], 1, (size_t)i + 1);
            }
            used[row] += want;
            b->rows = row + 1 > b->rows ? row + 1 : b->rows;
        }
}

/* ---------------------------------------------------------------- the model */

static tg_tensor *norm(tg_tape *t, tg_tensor *x) { return tg_rms_norm(t, x, 1, NULL, 1e-5); }

static tg_tensor *heads(tg_tape *t, tg_tensor *x, tg_tensor *w)
{
    const tg_shape s = tg_tensor_shape(x);
    x = tg_reshape(t, tg_linear(t, x, w, NULL), TG_SHAPE(s.dim[0], s.dim[1], HEADS, -1));
    return tg_transpose(t, x, 1, 2);
}

static tg_tensor *loss_of(tg_tape *t, const gpt *m, const batch *b, bool packed)
{
    const int64_t n = b->rows * b->columns;
    tg_tensor *token = tg_input_borrow(t, TG_I64, TG_SHAPE(b->rows, b->columns), b->token);
    tg_tensor *next = tg_input_borrow(t, TG_I64, TG_SHAPE(n), b->next), *seen = NULL, *places;
    if (packed) {
        seen = tg_input_borrow(t, TG_U8, TG_SHAPE(b->rows, 1, BLOCK, BLOCK), b->seen);
        places = tg_embedding(t, m->wpe,
                              tg_input_borrow(t, TG_I64, TG_SHAPE(b->rows, b->columns), b->place));
    } else places = tg_slice(t, m->wpe, 0, 0, b->columns, 1);
    tg_tensor *x = norm(t, tg_add(t, tg_embedding(t, m->wte, token), places)), *k = norm(t, x);
    tg_tensor *a =
        tg_attention(t, heads(t, k, m->wq), heads(t, k, m->wk), heads(t, k, m->wv), seen, !packed);
    a = tg_reshape(t, tg_transpose(t, a, 1, 2), tg_tensor_shape(x));
    x = tg_add(t, x, tg_linear(t, a, m->wo, NULL));
    a = tg_relu(t, tg_linear(t, norm(t, x), m->up, NULL));
    x = tg_add(t, x, tg_linear(t, a, m->down, NULL));
    tg_tensor *z = tg_reshape(t, tg_linear(t, x, m->head, NULL), TG_SHAPE(n, VOCAB));
    return tg_cross_entropy_loss(t, z, next, NULL, NOTHING, 0, TG_REDUCE_MEAN);
}

static float step_of(side *s, const batch *b, bool packed)
{
    tg_tensor *loss = loss_of(s->t, &s->m, b, packed);
    tg_backward(s->t, loss);
    tg_optim_step(s->adam);
    const float value = (float)tg_item(s->t, loss);
    tg_tape_reset(s->t);
    return value;
}

/* ---------------------------------------------------------------- by hand */

static hand_gpt_fn *by_hand(void)
{
#if defined(__x86_64__)
    if (tg_build_best() == TG_BUILD_AVX512) return hand_gpt_f32_avx512;
    if (tg_build_best() == TG_BUILD_AVX2) return hand_gpt_f32_avx2;
#endif
    return hand_gpt_f32_base;
}

/* [out, in] to [in, out], rows `row` apart */
static void turn_weights(const tg_tensor *param, float *to, int64_t row)
{
    const tg_shape s = tg_tensor_shape(param);
    const float *x = tg_param_data(param);
    for (int64_t o = 0; o < s.dim[0]; o++)
        for (int64_t i = 0; i < s.dim[1]; i++) to[i * row + o] = x[o * s.dim[1] + i];
}

static void copy_weights(const gpt *m, int64_t d, float *w)
{
    memcpy(w, tg_param_data(m->wte), (size_t)(VOCAB * d) * sizeof *w);
    w += VOCAB * d;
    memcpy(w, tg_param_data(m->wpe), (size_t)(BLOCK * d) * sizeof *w);
    w += BLOCK * d;
    turn_weights(m->wq, w, 3 * d);
    turn_weights(m->wk, w + d, 3 * d);
    turn_weights(m->wv, w + 2 * d, 3 * d);
    w += 3 * d * d;
    turn_weights(m->wo, w, d);
    w += d * d;
    turn_weights(m->up, w, 4 * d);
    w += 4 * d * d;
    turn_weights(m->down, w, d);
    w += 4 * d * d;
    turn_weights(m->head, w, GPT_PADDED);
}

/* ---------------------------------------------------------------- turns */

enum { BY_HAND, CUT, PACKED, WAYS, BATCHES = 64, MOST_TURNS = 101 };

static void show(int width, const char *way, timing value, const char *note)
{
    char name[32];
    snprintf(name, sizeof name, "w11.%d.%s", width, way);
    figure_show(&(figure){.name = name, .threads = 1, .value = value, .unit = "us", .note = note});
}

static void gpt_at(int width)
{
    static hand_names names[BATCHES];
    static batch cut[BATCHES], packed[BATCHES];
    side s[WAYS];
    float *hand = bench_memory((int64_t)sizeof(float) * hand_gpt_floats(width));
    double seconds[WAYS][MOST_TURNS], ratio[WAYS][MOST_TURNS], rows = 0;
    const int turns = bench.quick ? 1 : MOST_TURNS, steps = bench.quick ? 2 : BATCHES;
    for (int k = 0; k < BATCHES; k++) {
        draw_names(&names[k]);
        cut_to_longest(&names[k], &cut[k]);
        pack(&names[k], &packed[k]);
        rows += (double)names[k].rows / BATCHES;
    }
    for (int way = CUT; way < WAYS; way++) side_open(&s[way], width);
    copy_weights(&s[CUT].m, width, hand);
    int step = 0;
    for (int turn = -1; turn < turns; turn++) /* the first warms up */
        for (int way = 0; way < WAYS; way++) {
            float loss = 0;
            const double begin = bench_clock(1);
            for (int k = 0; k < steps; k++)
                loss = way == BY_HAND
                           ? by_hand()(width, hand, &names[k], ++step, 0.01F)
                           : step_of(&s[way], way == CUT ? &cut[k] : &packed[k], way == PACKED);
            static float first;
            if (turn < 0 && way == BY_HAND) first = loss;
            die_unless(turn >= 0 || fabsf(loss - first) < 1e-3F * first,
                       "w11: not all ways come to the same loss");
            if (turn >= 0) seconds[way][turn] = (bench_clock(1) - begin) / steps;
        }
    char note[96];
    snprintf(note, sizeof note, "%.0f positions that count, vectors of %s", rows,
             tg_build_best() == TG_BUILD_AVX512 ? "AVX-512"
             : tg_build_best() == TG_BUILD_AVX2 ? "AVX2"
                                                : "16 bytes");
    for (int way = CUT; way < WAYS; way++) {
        for (int turn = 0; turn < turns; turn++)
            ratio[way][turn] = seconds[way][turn] / seconds[BY_HAND][turn];
    }
    show(width, "by_hand", timing_of(seconds[BY_HAND], turns), note);
    for (int way = CUT; way < WAYS; way++) {
        snprintf(note, sizeof note, "%.2f times as long as by hand, recorded afresh",
                 timing_of(ratio[way], turns).median);
        show(width, way == CUT ? "cut" : "packed", timing_of(seconds[way], turns), note);
        side_close(&s[way]);
    }
    free(hand);
}

void bench_w11(void)
{
    gpt_at(16);
    gpt_at(64);
}
