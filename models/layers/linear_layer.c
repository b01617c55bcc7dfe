/* Linear layers, and embeddings, which are linear in one-hot rows. */
#define TG_HERE where
#include "layer.h"

tg_linear_layer tg_linear_layer_new(tg_scope s, int64_t in, int64_t out, bool bias)
{
    const tg_init init = {TG_LINEAR_DEFAULT, (double)in, 0};
    return (tg_linear_layer){
        .weight = tg_scope_param(s, "weight", TG_SHAPE(out, in), init),
        .bias = bias ? tg_scope_param(s, "bias", TG_SHAPE(out), init) : NULL,
    };
}

TG_LAYER_APPLY(linear)
{
    return layer ? tg_linear(t, x, layer->weight, layer->bias) : TG_LAYER_IS_NULL;
}

tg_embedding_layer tg_embedding_layer_new(tg_scope s, int64_t rows, int64_t width)
{
    const tg_init normal = {TG_NORMAL, 0, 1};
    return (tg_embedding_layer){tg_scope_param(s, "weight", TG_SHAPE(rows, width), normal)};
}

TG_LAYER_APPLY(embedding) { return layer ? tg_embedding(t, layer->weight, x) : TG_LAYER_IS_NULL; }
