/* Recurrent nets over whole sequences: layers and directions of scans, in PyTorch's order of gates
 * and parameters. */
#include <math.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

typedef struct net_kind {
    const char *name;
    int gates, states; /* states: h, or h and c */
} net_kind;
enum { RNN, LSTM, GRU };
static const net_kind kinds[] = {{"rnn", 1, 1}, {"lstm", 4, 2}, {"gru", 3, 1}};

/* What a step reads besides its slice of x: w_h and b_h, which may be absent. */
typedef struct step_of {
    const char *where;
    int kind;
    int64_t hidden;
    bool biased, masked;
} step_of;

static tg_tensor *gate(tg_tape *t, const char *where, tg_tensor *x, int64_t hidden, int k)
{
    return tg_slice(t, x, -1, k * hidden, (k + 1) * hidden, 1);
}

/* The next h, and for an LSTM the next c, from h's and x's parts of the gates. */
static void next_state(tg_tape *t, const step_of *s, tg_tensor *of_x, tg_tensor *of_h,
                       tg_tensor **state)
{
    const char *where = s->where;
    tg_tensor *g[4];
    if (s->kind == RNN) {
        state[0] = tg_tanh(t, tg_add(t, of_x, of_h));
        return;
    }
    for (int k = 0; k < kinds[s->kind].gates; k++) {
        tg_tensor *a = gate(t, where, of_x, s->hidden, k), *b = gate(t, where, of_h, s->hidden, k);
        if (s->kind == GRU && k == 2) g[k] = tg_tanh(t, tg_add(t, a, tg_mul(t, g[0], b)));
        else
            g[k] = s->kind == LSTM && k == 2 ? tg_tanh(t, tg_add(t, a, b))
                                             : tg_sigmoid(t, tg_add(t, a, b));
    }
    if (s->kind == GRU) {
        state[0] = tg_add(t, g[2], tg_mul(t, g[1], tg_sub(t, state[0], g[2])));
        return;
    }
    state[1] = tg_add(t, tg_mul(t, g[1], state[1]), tg_mul(t, g[0], g[2]));
    state[0] = tg_mul(t, g[3], tg_tanh(t, state[1]));
}

/* x: the products with w_x, and, masked, which rows are within their length; w: w_h, b_h. A row
 * that is over keeps its state and gives zeros. */
static void step(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                 tg_tensor **y, void *user)
{
    const step_of *s = user;
    const char *where = s->where;
    tg_tensor *next[2] = {carry[0], kinds[s->kind].states > 1 ? carry[1] : NULL};
    next_state(t, s, x[0], tg_linear(t, carry[0], w[0], s->biased ? w[1] : NULL), next);
    for (int k = 0; k < kinds[s->kind].states; k++)
        carry[k] = s->masked ? tg_where(t, x[1], next[k], carry[k]) : next[k];
    y[0] = s->masked ? tg_where(t, x[1], next[0], tg_zeros_like(t, next[0])) : carry[0];
}

/* ---------------------------------------------------------------- what is given */

static bool check_cell(tg_tape *t, const char *where, const net_kind *k, const tg_cell *c,
                       int number, int64_t in, int64_t *hidden)
{
    if (!tg_ready(t, where, k->name, c->w_x) || !tg_ready(t, where, k->name, c->w_h) ||
        (c->b_x && !tg_ready(t, where, k->name, c->b_x)) ||
        (c->b_h && !tg_ready(t, where, k->name, c->b_h)))
        return false;
    const tg_shape x = tg_tensor_shape(c->w_x), h = tg_tensor_shape(c->w_h);
    if (*hidden < 0 && h.ndim == 2) *hidden = h.dim[1];
    const tg_shape bias = tg_shape_of(1, &x.dim[0]);
    bool fits = x.ndim == 2 && h.ndim == 2 && x.dim[1] == in && h.dim[1] == *hidden &&
                x.dim[0] == k->gates * *hidden && h.dim[0] == x.dim[0];
    fits = fits && (!c->b_x || tg_shape_equal(tg_tensor_shape(c->b_x), bias)) &&
           (!c->b_h || tg_shape_equal(tg_tensor_shape(c->b_h), bias));
    if (!fits)
        tg_fail_at(t, where, TG_ESHAPE,
                   "%s: w_x %s and w_h %s of cell %d, or a bias, are not [%dh, %lld], [%dh, h] and "
                   "[%dh], h = %lld",
                   k->name, tg_shape_text(x).text, tg_shape_text(h).text, number, k->gates,
                   (long long)in, k->gates, k->gates, (long long)*hidden);
    return fits;
}

static bool check_all(tg_tape *t, const char *where, const net_kind *k, tg_tensor *x,
                      tg_tensor *const *state, const tg_recurrent *o, int64_t *hidden)
{
    if (!tg_ready(t, where, k->name, x)) return false;
    const tg_shape shape = tg_tensor_shape(x);
    const int layers = o->layers ? o->layers : 1, directions = o->bidirectional ? 2 : 1;
    if (shape.ndim != 3) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: x %s is not [time, n, in]", k->name,
                   tg_shape_text(shape).text);
        return false;
    }
    if (layers < 0 || !o->cell || o->checkpoint < 0 || !(o->dropout >= 0 && o->dropout <= 1)) {
        tg_fail_at(t, where, o->cell ? TG_EVALUE : TG_ENULL,
                   "%s: no cells, or layers, steps of a checkpoint or a rate out of range",
                   k->name);
        return false;
    }
    *hidden = -1;
    for (int c = 0; c < layers * directions; c++)
        if (!check_cell(t, where, k, &o->cell[c], c,
                        c < directions ? shape.dim[2] : directions * *hidden, hidden))
            return false;
    const tg_shape rows = tg_shape_of(1, &shape.dim[1]),
                   states = tg_shape_of(
                       3, (const int64_t[]){layers * directions, shape.dim[1], *hidden});
    if (o->lengths && !tg_ready(t, where, k->name, o->lengths)) return false;
    if (o->lengths && (tg_tensor_dtype(o->lengths) != TG_I64 ||
                       !tg_shape_equal(tg_tensor_shape(o->lengths), rows))) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: lengths %s %s are not i64 %s", k->name,
                   tg_dtype_name(tg_tensor_dtype(o->lengths)),
                   tg_shape_text(tg_tensor_shape(o->lengths)).text, tg_shape_text(rows).text);
        return false;
    }
    for (int s = 0; state && s < k->states; s++) {
        if (state[s] && !tg_ready(t, where, k->name, state[s])) return false;
        if (state[s] && !tg_shape_equal(tg_tensor_shape(state[s]), states)) {
            tg_fail_at(t, where, TG_ESHAPE, "%s: state %s is not %s", k->name,
                       tg_shape_text(tg_tensor_shape(state[s])).text, tg_shape_text(states).text);
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- layers */

/* One layer in one direction -> [time, n, hidden]; state[]: first, then last. */
static tg_tensor *run_cell(tg_tape *t, const char *where, int kind, tg_tensor *x,
                           const tg_cell *cell, tg_tensor *mask, bool reverse,
                           const tg_recurrent *o, int64_t hidden, tg_tensor **state)
{
    step_of s = {where, kind, hidden, cell->b_h != NULL, mask != NULL};
    const tg_scan_body b = {.size = sizeof b,
                            .step = step,
                            .user = &s,
                            .n_carry = kinds[kind].states,
                            .n_x = mask ? 2 : 1,
                            .n_w = cell->b_h ? 2 : 1,
                            .n_y = 1,
                            .reverse = reverse,
                            .checkpoint = o->checkpoint};
    tg_tensor *in[2] = {tg_linear(t, x, cell->w_x, cell->b_x), mask},
              *w[2] = {cell->w_h, cell->b_h}, *y = NULL;
    if (!in[0]) return NULL;
    tg_scan_at(t, where, &b, tg_tensor_shape(x).dim[0], state, in, w, &y);
    return y;
}

/* u8 [time, n, 1]: whether a time is within a row's length. */
static tg_tensor *mask_of(tg_tape *t, const char *where, tg_tensor *lengths, int64_t time)
{
    if (!lengths) return NULL;
    tg_tensor *at = tg_reshape(t, tg_arange(t, TG_I64, 0, (double)time, 1), TG_SHAPE(time, 1, 1));
    return tg_less(t, at, tg_unsqueeze(t, lengths, -1));
}

static tg_tensor *run_layers(tg_tape *t, const char *where, int which, tg_tensor *x,
                             tg_tensor **state, const tg_recurrent *o)
{
    const net_kind *k = &kinds[which];
    int64_t hidden;
    if (!t || tg_tape_status(t) || !check_all(t, where, k, x, state, o, &hidden)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    const int directions = o->bidirectional ? 2 : 1,
              cells = (o->layers ? o->layers : 1) * directions;
    tg_tensor **last = tg_base_memory(t, where, k->name, (int64_t)k->states * cells, sizeof *last),
              *mask = mask_of(t, where, o->lengths, shape.dim[0]), *way[2] = {NULL};
    if (!last) return NULL;
    for (int c = 0; c < cells; c++) {
        tg_tensor *own[2] = {NULL};
        for (int s = 0; s < k->states; s++)
            own[s] = state && state[s]
                         ? tg_select(t, state[s], 0, c)
                         : tg_zeros(t, tg_dtype_on(t, x), TG_SHAPE(shape.dim[1], hidden));
        way[c % directions] =
            run_cell(t, where, which, x, &o->cell[c], mask, c % directions > 0, o, hidden, own);
        for (int s = 0; s < k->states; s++) last[s * cells + c] = own[s];
        if (c % directions < directions - 1) continue;
        x = directions > 1 ? tg_concat(t, 2, way, -1) : way[0];
        if (c < cells - 1 && o->dropout > 0) x = tg_dropout(t, x, o->dropout);
    }
    for (int s = 0; state && s < k->states; s++) state[s] = tg_stack(t, cells, last + s * cells, 0);
    return x;
}

tg_tensor *tg_rnn_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **state,
                     tg_recurrent options)
{
    return run_layers(t, where, RNN, x, state, &options);
}
tg_tensor *tg_lstm_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **state,
                      tg_recurrent options)
{
    return run_layers(t, where, LSTM, x, state, &options);
}
tg_tensor *tg_gru_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **state,
                     tg_recurrent options)
{
    return run_layers(t, where, GRU, x, state, &options);
}

KNOWN(rnn, "x [time, n, in] -> [time, n, directions h]", -1, ("rnn_cell at each time"))
KNOWN(lstm, "x [time, n, in] -> [time, n, directions h]", -1, ("lstm_cell at each time"))
KNOWN(gru, "x [time, n, in] -> [time, n, directions h]", -1, ("gru_cell at each time"))

#else

static double logistic(double x) { return 1 / (1 + exp(-x)); }

/* Row `row` of w times v. */
static double product(const tg_array *w, int64_t row, const double *v)
{
    const int64_t n = w->shape.dim[1];
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += ((const double *)w->data)[row * n + k] * v[k];
    return sum;
}

/* x [time, n, in], h [1, n, hidden], w_x, w_h, b_h: one layer, forwards; c begins as 0. */
static void sequence(const tg_array *x, tg_array *y, int gates)
{
    const int64_t time = x->shape.dim[0], n = x->shape.dim[1], in = x->shape.dim[2],
                  hidden = x[3].shape.dim[1];
    double c[16] = {0}, h[16], next[16];
    for (int64_t row = 0; row < n; row++) {
        memset(c, 0, sizeof c);
        memcpy(h, (const double *)x[1].data + row * hidden, (size_t)hidden * sizeof *h);
        for (int64_t t = 0; t < time; t++) {
            const double *v = (const double *)x->data + (t * n + row) * in;
            for (int64_t j = 0; j < hidden; j++) {
                double a[4], b[4];
                for (int g = 0; g < gates; g++) {
                    a[g] = product(&x[2], g * hidden + j, v);
                    b[g] = product(&x[3], g * hidden + j, h) +
                           ((const double *)x[4].data)[g * hidden + j];
                }
                if (gates == 1) next[j] = tanh(a[0] + b[0]);
                if (gates == 4) {
                    c[j] = logistic(a[1] + b[1]) * c[j] + logistic(a[0] + b[0]) * tanh(a[2] + b[2]);
                    next[j] = logistic(a[3] + b[3]) * tanh(c[j]);
                }
                if (gates == 3) {
                    const double z = logistic(a[1] + b[1]);
                    next[j] = (1 - z) * tanh(a[2] + logistic(a[0] + b[0]) * b[2]) + z * h[j];
                }
            }
            memcpy(h, next, sizeof h);
            memcpy((double *)y->data + (t * n + row) * hidden, h, (size_t)hidden * sizeof *h);
        }
    }
}

#define UNIT(...) REALS(-1, 1, __VA_ARGS__)
#define SEQUENCE(name, gates)                                                                   \
    CALL_WITHOUT(                                                                               \
        name, 1 << 1 | 1 << 4,                                                                  \
        tg_##name(t, x[0], ((tg_tensor *[]){x[1], NULL}),                                       \
                  (tg_recurrent){.cell = &(tg_cell){x[2], x[3], NULL, x[4]}, .checkpoint = 2})) \
    EXPECT(name, sequence(x, y, gates))                                                         \
    SAMPLES(name, SAMPLE(name, "", 0, UNIT(3, 2, 2), UNIT(1, 2, 2), UNIT((gates)*2, 2),         \
                         UNIT((gates)*2, 2), UNIT((gates)*2)))
SEQUENCE(rnn, 1)
SEQUENCE(lstm, 4)
SEQUENCE(gru, 3)

#endif
