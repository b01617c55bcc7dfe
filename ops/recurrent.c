/* One step of recurrent nets, in PyTorch's order of gates and parameters, composed of products. */
#include "folds.h"
#include <math.h>

#ifndef TG_SAMPLES

/* Whether x [n, in], state [n, states hidden], w_x [gates hidden, in], w_h [gates hidden, hidden]
 * and the biases [gates hidden] fit; *hidden is their size. */
static bool cell_fits(tg_tape *t, const char *where, const char *name, const tg_tensor *x,
                      const tg_tensor *state, const tg_cell *cell, int states, int gates,
                      int64_t *hidden)
{
    const tg_tensor *operand[] = {x, state, cell->w_x, cell->w_h};
    for (int k = 0; k < 4; k++)
        if (!tg_ready(t, where, name, operand[k])) return false;
    const tg_shape of_x = tg_tensor_shape(x), of_state = tg_tensor_shape(state),
                   of_w = tg_tensor_shape(cell->w_x), of_u = tg_tensor_shape(cell->w_h);
    *hidden = of_u.ndim == 2 ? of_u.dim[1] : -1;
    if (of_x.ndim != 2 || of_state.ndim != 2 || of_w.ndim != 2 || of_u.ndim != 2 ||
        of_x.dim[0] != of_state.dim[0] || of_state.dim[1] != states * *hidden ||
        of_w.dim[0] != gates * *hidden || of_u.dim[0] != gates * *hidden ||
        of_w.dim[1] != of_x.dim[1]) {
        tg_fail_at(t, where, TG_ESHAPE,
                   "%s: x %s, state %s, w_x %s and w_h %s are not [n, in], [n, %s], [%dh, in] and "
                   "[%dh, h]",
                   name, tg_shape_text(of_x).text, tg_shape_text(of_state).text,
                   tg_shape_text(of_w).text, tg_shape_text(of_u).text, states > 1 ? "2h" : "h",
                   gates, gates);
        return false;
    }
    return true;
}

/* Part k of `parts` along the last axis. */
static tg_tensor *part(tg_tape *t, const char *where, tg_tensor *x, int64_t size, int k)
{
    return tg_slice(t, x, 1, k * size, (k + 1) * size, 1);
}

tg_tensor *tg_rnn_cell_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *h, tg_cell cell)
{
    int64_t hidden;
    if (!cell_fits(t, where, "rnn_cell", x, h, &cell, 1, 1, &hidden)) return NULL;
    return tg_tanh(
        t, tg_add(t, tg_linear(t, x, cell.w_x, cell.b_x), tg_linear(t, h, cell.w_h, cell.b_h)));
}

/* c' = f c + i g, h' = o tanh c' */
tg_tensor *tg_lstm_cell_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *state,
                           tg_cell cell)
{
    int64_t n;
    if (!cell_fits(t, where, "lstm_cell", x, state, &cell, 2, 4, &n)) return NULL;
    tg_tensor *h = part(t, where, state, n, 0), *c = part(t, where, state, n, 1);
    tg_tensor *gates =
        tg_add(t, tg_linear(t, x, cell.w_x, cell.b_x), tg_linear(t, h, cell.w_h, cell.b_h));
    tg_tensor *i = tg_sigmoid(t, part(t, where, gates, n, 0)),
              *f = tg_sigmoid(t, part(t, where, gates, n, 1)),
              *g = tg_tanh(t, part(t, where, gates, n, 2)),
              *o = tg_sigmoid(t, part(t, where, gates, n, 3));
    c = tg_add(t, tg_mul(t, f, c), tg_mul(t, i, g));
    return tg_concat(t, 2, ((tg_tensor *[]){tg_mul(t, o, tg_tanh(t, c)), c}), 1);
}

/* n = tanh(x part + r (h part)), h' = n + z (h - n) */
tg_tensor *tg_gru_cell_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *h, tg_cell cell)
{
    int64_t n;
    if (!cell_fits(t, where, "gru_cell", x, h, &cell, 1, 3, &n)) return NULL;
    tg_tensor *of_x = tg_linear(t, x, cell.w_x, cell.b_x),
              *of_h = tg_linear(t, h, cell.w_h, cell.b_h);
    tg_tensor *gate[2];
    for (int k = 0; k < 2; k++)
        gate[k] = tg_sigmoid(t, tg_add(t, part(t, where, of_x, n, k), part(t, where, of_h, n, k)));
    tg_tensor *fresh = tg_tanh(
        t, tg_add(t, part(t, where, of_x, n, 2), tg_mul(t, gate[0], part(t, where, of_h, n, 2))));
    return tg_add(t, fresh, tg_mul(t, gate[1], tg_sub(t, h, fresh)));
}

KNOWN(rnn_cell, "x [n, in], h [n, h] -> [n, h]", -1, ("y = tanh(w_x x + b_x + w_h h + b_h)"))
KNOWN(lstm_cell, "x [n, in], [n, 2h] -> [n, 2h]", -1,
      ("c' = s(f) c + s(i) tanh g, h' = s(o) tanh c'; i, f, g, o = w_x x + b_x + w_h h + b_h"))
KNOWN(gru_cell, "x [n, in], h [n, h] -> [n, h]", -1,
      ("y = (1 - s(z)) m + s(z) h, m = tanh(n_x + s(r) n_h); r, z, n = w_x x + b_x, w_h h + b_h"))

#else

/* Element j of w v + b for row v. */
static double affine(const tg_array *w, const tg_array *b, const double *v, int64_t j)
{
    const int64_t n = w->shape.dim[1];
    double sum = b ? ((const double *)b->data)[j] : 0;
    for (int64_t k = 0; k < n; k++) sum += ((const double *)w->data)[j * n + k] * v[k];
    return sum;
}
static double logistic(double x) { return 1 / (1 + exp(-x)); }

/* x, state, w_x, w_h, b_x, b_h */
static void step(const tg_array *x, tg_array *y, int gates)
{
    const int64_t rows = x->shape.dim[0], in = x->shape.dim[1], h = x[3].shape.dim[1],
                  width = x[1].shape.dim[1];
    for (int64_t i = 0; i < rows * h; i++) {
        const int64_t row = i / h, j = i % h;
        const double *v = (const double *)x->data + row * in,
                     *s = (const double *)x[1].data + row * width;
        double *to = (double *)y->data + row * width, of_x[4], of_h[4];
        for (int g = 0; g < gates; g++) {
            of_x[g] = affine(&x[2], &x[4], v, g * h + j);
            of_h[g] = affine(&x[3], &x[5], s, g * h + j);
        }
        if (gates == 1) to[j] = tanh(of_x[0] + of_h[0]);
        if (gates == 4) {
            to[h + j] = logistic(of_x[1] + of_h[1]) * s[h + j] +
                        logistic(of_x[0] + of_h[0]) * tanh(of_x[2] + of_h[2]);
            to[j] = logistic(of_x[3] + of_h[3]) * tanh(to[h + j]);
        }
        if (gates == 3) {
            const double z = logistic(of_x[1] + of_h[1]);
            to[j] = (1 - z) * tanh(of_x[2] + logistic(of_x[0] + of_h[0]) * of_h[2]) + z * s[j];
        }
    }
}

#define UNIT(...) REALS(-1, 1, __VA_ARGS__)
#define CELL(name, states, gates)                                                           \
    CALL_WITHOUT(name, 1 << 4 | 1 << 5,                                                     \
                 tg_##name(t, x[0], x[1], (tg_cell){x[2], x[3], x[4], x[5]}))               \
    EXPECT(name, step(x, y, gates))                                                         \
    SAMPLES(name,                                                                           \
            SAMPLE(name, "", 0, UNIT(3, 2), UNIT(3, (states)*3), UNIT((gates)*3, 2),        \
                   UNIT((gates)*3, 3), UNIT((gates)*3), UNIT((gates)*3)),                   \
            SAMPLE(name, "no rows", 0, UNIT(0, 2), UNIT(0, (states)*3), UNIT((gates)*3, 2), \
                   UNIT((gates)*3, 3), UNIT((gates)*3), UNIT((gates)*3)))
CELL(rnn_cell, 1, 1)
CELL(lstm_cell, 2, 4)
CELL(gru_cell, 1, 3)

#endif
