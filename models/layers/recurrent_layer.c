/* Recurrent nets: a cell, and its steps over time. */
#define TG_HERE where
#include "../../graph/base.h"
#include "layer.h"

static int gates_of(tg_cell_kind kind)
{
    return kind == TG_CELL_LSTM ? 4 : kind == TG_CELL_GRU ? 3 : 1;
}

tg_recurrent_layer tg_recurrent_layer_new(tg_scope s, tg_cell_kind kind, int64_t in, int64_t hidden,
                                          bool bias)
{
    const tg_init init = {TG_LINEAR_DEFAULT, (double)hidden, 0};
    /* What is no size stays none, whatever it is multiplied with. */
    const int64_t rows = hidden > 0 && hidden <= INT32_MAX ? gates_of(kind) * hidden : -1;
    tg_recurrent_layer y = {.kind = kind};
    y.cell.w_x = tg_scope_param(s, "weight_ih", TG_SHAPE(rows, in), init);
    y.cell.w_h = tg_scope_param(s, "weight_hh", TG_SHAPE(rows, hidden), init);
    if (!bias) return y;
    y.cell.b_x = tg_scope_param(s, "bias_ih", TG_SHAPE(rows), init);
    y.cell.b_h = tg_scope_param(s, "bias_hh", TG_SHAPE(rows), init);
    return y;
}

static int64_t hidden_of(const tg_recurrent_layer *layer)
{
    return tg_tensor_shape(layer->cell.w_h).dim[1];
}

tg_tensor *tg_recurrent_layer_step_at(tg_tape *t, const char *where,
                                      const tg_recurrent_layer *layer, tg_tensor *x,
                                      tg_tensor *state)
{
    if (!layer) return TG_LAYER_IS_NULL;
    if (!layer->cell.w_h)
        return tg_fail_at(t, where, TG_ENULL, "recurrent_layer: weight_hh is NULL");
    if (!state) {
        const int64_t width = hidden_of(layer) * (layer->kind == TG_CELL_LSTM ? 2 : 1);
        const tg_shape shape = tg_tensor_shape(x);
        if (!x || shape.ndim < 1)
            return tg_fail_at(t, where, x ? TG_ESHAPE : TG_ENULL, "recurrent_layer: x has no rows");
        state = tg_zeros(t, tg_dtype_on(t, layer->cell.w_h), TG_SHAPE(shape.dim[0], width));
    }
    return layer->kind == TG_CELL_LSTM  ? tg_lstm_cell(t, x, state, layer->cell)
           : layer->kind == TG_CELL_GRU ? tg_gru_cell(t, x, state, layer->cell)
                                        : tg_rnn_cell(t, x, state, layer->cell);
}

tg_tensor *(tg_recurrent_layer_step)(tg_tape *t, const tg_recurrent_layer *layer, tg_tensor *x,
                                     tg_tensor *state)
{
    return tg_recurrent_layer_step_at(t, NULL, layer, x, state);
}

TG_LAYER_APPLY(recurrent)
{
    if (!layer) return TG_LAYER_IS_NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (shape.ndim != 3 || shape.dim[1] < 1)
        return tg_fail_at(t, where, x ? TG_ESHAPE : TG_ENULL,
                          "recurrent_layer: x %s is not [n, time, in] with a time of 1 or more",
                          tg_shape_text(shape).text);
    tg_tensor *state = NULL, **seen = tg_base_memory(t, where, "recurrent_layer", shape.dim[1],
                                                     sizeof(tg_tensor *));
    for (int64_t k = 0; seen && k < shape.dim[1]; k++) {
        state = tg_recurrent_layer_step(t, layer, tg_select(t, x, 1, k), state);
        if (!state) return NULL;
        seen[k] =
            layer->kind == TG_CELL_LSTM ? tg_slice(t, state, 1, 0, hidden_of(layer), 1) : state;
        seen[k] = tg_unsqueeze(t, seen[k], 1);
    }
    return seen ? tg_concat(t, (int)shape.dim[1], seen, 1) : NULL;
}
