/* Multi-head attention, and the block of a transformer. */
#define TG_HERE where
#include "layer.h"

tg_attention_layer tg_attention_layer_new(tg_scope s, int64_t width, int heads)
{
    tg_attention_layer y = {.heads = heads};
    /* A head that has no whole number of columns is no layer. */
    const int64_t fitting = heads > 0 && width % heads == 0 ? width : -1;
    y.q = tg_linear_layer_new(tg_scope_in(s, "q"), fitting, fitting, true);
    y.k = tg_linear_layer_new(tg_scope_in(s, "k"), fitting, fitting, true);
    y.v = tg_linear_layer_new(tg_scope_in(s, "v"), fitting, fitting, true);
    y.output = tg_linear_layer_new(tg_scope_in(s, "output"), fitting, fitting, true);
    return y;
}

/* [n, l, width] -> [n, heads, l, width / heads] */
static tg_tensor *split_heads(tg_tape *t, const char *where, tg_tensor *x, int heads)
{
    const tg_shape shape = tg_tensor_shape(x);
    if (!x) return NULL;
    if (shape.ndim != 3)
        return tg_fail_at(t, where, TG_ESHAPE, "attention_layer: %s is not [n, l, width]",
                          tg_shape_text(shape).text);
    return tg_permute(
        t, tg_reshape(t, x, TG_SHAPE(shape.dim[0], shape.dim[1], heads, shape.dim[2] / heads)),
        TG_AXES(0, 2, 1, 3));
}

tg_tensor *tg_attention_layer_apply_at(tg_tape *t, const char *where,
                                       const tg_attention_layer *layer, tg_tensor *x,
                                       tg_tensor *context, tg_tensor *mask, bool causal)
{
    if (!layer) return TG_LAYER_IS_NULL;
    tg_tensor *from = context ? context : x;
    tg_tensor *q = split_heads(t, where, tg_linear_layer_apply(t, &layer->q, x), layer->heads);
    tg_tensor *k = split_heads(t, where, tg_linear_layer_apply(t, &layer->k, from), layer->heads);
    tg_tensor *v = split_heads(t, where, tg_linear_layer_apply(t, &layer->v, from), layer->heads);
    tg_tensor *y = tg_permute(t, tg_attention(t, q, k, v, mask, causal), TG_AXES(0, 2, 1, 3));
    return y ? tg_linear_layer_apply(t, &layer->output, tg_reshape(t, y, tg_tensor_shape(x)))
             : NULL;
}

tg_tensor *(tg_attention_layer_apply)(tg_tape *t, const tg_attention_layer *layer, tg_tensor *x,
                                      tg_tensor *context, tg_tensor *mask, bool causal)
{
    return tg_attention_layer_apply_at(t, NULL, layer, x, context, mask, causal);
}

tg_transformer_block tg_transformer_block_new(tg_scope s, int64_t width, int heads, int64_t hidden)
{
    tg_transformer_block y = {.dropout = 0};
    y.norm1 = tg_layer_norm_layer_new(tg_scope_in(s, "norm1"), TG_SHAPE(width));
    y.attention = tg_attention_layer_new(tg_scope_in(s, "attention"), width, heads);
    y.norm2 = tg_layer_norm_layer_new(tg_scope_in(s, "norm2"), TG_SHAPE(width));
    y.up = tg_linear_layer_new(tg_scope_in(s, "up"), width, hidden, true);
    y.down = tg_linear_layer_new(tg_scope_in(s, "down"), hidden, width, true);
    return y;
}

tg_tensor *tg_transformer_block_apply_at(tg_tape *t, const char *where,
                                         const tg_transformer_block *block, tg_tensor *x,
                                         tg_tensor *mask, bool causal)
{
    if (!block) return tg_fail_at(t, where, TG_ENULL, "the block is NULL");
    tg_tensor *seen = tg_layer_norm_layer_apply(t, &block->norm1, x);
    seen = tg_attention_layer_apply(t, &block->attention, seen, NULL, mask, causal);
    x = tg_add(t, x, tg_dropout(t, seen, block->dropout));
    tg_tensor *y = tg_layer_norm_layer_apply(t, &block->norm2, x);
    y = tg_linear_layer_apply(t, &block->down, tg_gelu(t, tg_linear_layer_apply(t, &block->up, y)));
    return tg_add(t, x, tg_dropout(t, y, block->dropout));
}

tg_tensor *(tg_transformer_block_apply)(tg_tape *t, const tg_transformer_block *block, tg_tensor *x,
                                        tg_tensor *mask, bool causal)
{
    return tg_transformer_block_apply_at(t, NULL, block, x, mask, causal);
}
