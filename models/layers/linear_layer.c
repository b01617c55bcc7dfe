/* y = x w^T + b */
#define TG_HERE where
#include <tapegrad/layers.h>

tg_linear_layer tg_linear_layer_new(tg_scope s, int64_t in, int64_t out, bool bias)
{
    const tg_init init = {TG_LINEAR_DEFAULT, (double)in, 0};
    return (tg_linear_layer){
        .weight = tg_scope_param(s, "weight", TG_SHAPE(out, in), init),
        .bias = bias ? tg_scope_param(s, "bias", TG_SHAPE(out), init) : NULL,
    };
}

tg_tensor *tg_linear_layer_apply_at(tg_tape *t, const char *where, const tg_linear_layer *layer,
                                    tg_tensor *x)
{
    return tg_linear(t, x, layer ? layer->weight : NULL, layer ? layer->bias : NULL);
}

tg_tensor *(tg_linear_layer_apply)(tg_tape *t, const tg_linear_layer *layer, tg_tensor *x)
{
    return tg_linear_layer_apply_at(t, NULL, layer, x);
}
