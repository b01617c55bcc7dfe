/* Recurrent nets: layers and directions of cells, and their steps over time. */
#define TG_HERE where
#include <stdio.h>

#include "../../graph/base.h"
#include "layer.h"

static int gates_of(tg_cell_kind kind)
{
    return kind == TG_CELL_LSTM ? 4 : kind == TG_CELL_GRU ? 3 : 1;
}

/* A parameter with PyTorch's name: "weight_ih_l1_reverse". */
static tg_tensor *param(tg_scope s, const char *what, int layer, bool reverse, tg_shape shape,
                        tg_init init)
{
    char name[40];
    snprintf(name, sizeof name, "%s_l%d%s", what, layer, reverse ? "_reverse" : "");
    return tg_scope_param(s, name, shape, init);
}

tg_recurrent_layer tg_recurrent_layer_stack(tg_scope s, tg_cell_kind kind, int64_t in,
                                            int64_t hidden, int layers, bool bidirectional,
                                            bool bias)
{
    const tg_init init = {TG_LINEAR_DEFAULT, (double)hidden, 0};
    const int directions = bidirectional ? 2 : 1;
    const bool fits = layers >= 1 && layers <= TG_RECURRENT_CELLS / directions;
    /* What is no size stays none, whatever it is multiplied with. */
    const int64_t rows = fits && hidden > 0 && hidden <= INT32_MAX ? gates_of(kind) * hidden : -1;
    tg_recurrent_layer y = {
        .kind = kind, .layers = fits ? layers : 1, .bidirectional = bidirectional};
    for (int k = 0; k < y.layers * directions; k++) {
        tg_cell *cell = &y.cell[k];
        const int layer = k / directions;
        const bool reverse = k % directions > 0;
        const int64_t width = !layer ? in : rows < 0 ? -1 : hidden * directions;
        cell->w_x = param(s, "weight_ih", layer, reverse, TG_SHAPE(rows, width), init);
        cell->w_h = param(s, "weight_hh", layer, reverse, TG_SHAPE(rows, hidden), init);
        if (!bias) continue;
        cell->b_x = param(s, "bias_ih", layer, reverse, TG_SHAPE(rows), init);
        cell->b_h = param(s, "bias_hh", layer, reverse, TG_SHAPE(rows), init);
    }
    return y;
}

tg_recurrent_layer tg_recurrent_layer_new(tg_scope s, tg_cell_kind kind, int64_t in, int64_t hidden,
                                          bool bias)
{
    return tg_recurrent_layer_stack(s, kind, in, hidden, 1, false, bias);
}

tg_tensor *tg_recurrent_layer_step_at(tg_tape *t, const char *where,
                                      const tg_recurrent_layer *layer, tg_tensor *x,
                                      tg_tensor *state)
{
    if (!layer) return TG_LAYER_IS_NULL;
    const tg_cell cell = layer->cell[0];
    if (!cell.w_h) return tg_fail_at(t, where, TG_ENULL, "recurrent_layer: weight_hh is NULL");
    if (layer->layers > 1 || layer->bidirectional)
        return tg_fail_at(t, where, TG_EVALUE, "recurrent_layer: a step of several layers");
    if (!state) {
        const int64_t hidden = tg_tensor_shape(cell.w_h).dim[1];
        const tg_shape shape = tg_tensor_shape(x);
        if (!x || shape.ndim < 1)
            return tg_fail_at(t, where, x ? TG_ESHAPE : TG_ENULL, "recurrent_layer: x has no rows");
        state = tg_zeros(t, tg_dtype_on(t, cell.w_h),
                         TG_SHAPE(shape.dim[0], hidden * (layer->kind == TG_CELL_LSTM ? 2 : 1)));
    }
    return layer->kind == TG_CELL_LSTM  ? tg_lstm_cell(t, x, state, cell)
           : layer->kind == TG_CELL_GRU ? tg_gru_cell(t, x, state, cell)
                                        : tg_rnn_cell(t, x, state, cell);
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
    const tg_axes swapped = TG_AXES(1, 0, 2);
    const tg_recurrent options = {.cell = layer->cell,
                                  .layers = layer->layers,
                                  .bidirectional = layer->bidirectional,
                                  .dropout = layer->dropout};
    x = tg_permute(t, x, swapped);
    x = layer->kind == TG_CELL_LSTM  ? tg_lstm(t, x, NULL, options)
        : layer->kind == TG_CELL_GRU ? tg_gru(t, x, NULL, options)
                                     : tg_rnn(t, x, NULL, options);
    return tg_permute(t, x, swapped);
}
