/* Normalisations. */
#define TG_HERE where
#include "layer.h"

static const tg_init ones = {TG_ONES, 0, 0}, zeros = {TG_ZEROS, 0, 0};

tg_batch_norm_layer tg_batch_norm_layer_new(tg_scope s, int64_t channels)
{
    const tg_shape shape = TG_SHAPE(channels);
    return (tg_batch_norm_layer){
        .weight = tg_scope_param(s, "weight", shape, ones),
        .bias = tg_scope_param(s, "bias", shape, zeros),
        .running_mean = tg_scope_buffer(s, "running_mean", shape, zeros),
        .running_var = tg_scope_buffer(s, "running_var", shape, ones),
        .momentum = 0.1,
        .eps = 1e-5,
    };
}

/* All axes but the channels'. */
static tg_axes other_axes(const tg_tensor *x)
{
    tg_axes y = {0, {0}};
    for (int k = 0; k < tg_tensor_shape(x).ndim; k++)
        if (k != 1) y.axis[y.n++] = k;
    return y;
}

static void move(tg_tape *t, const char *where, tg_tensor *buffer, tg_tensor *now, double momentum)
{
    tg_tensor *before = tg_scale(t, tg_buffer_get(t, buffer), 1 - momentum);
    tg_buffer_set(t, buffer, tg_add(t, before, tg_scale(t, now, momentum)));
}

TG_LAYER_APPLY(batch_norm)
{
    if (!layer) return TG_LAYER_IS_NULL;
    if (!tg_tape_training(t))
        return tg_batch_norm(t, x, layer->running_mean, layer->running_var, layer->weight,
                             layer->bias, layer->eps);
    tg_tensor *y = tg_batch_norm(t, x, NULL, NULL, layer->weight, layer->bias, layer->eps);
    if (!y) return NULL;
    tg_tensor *seen = tg_detach(t, x);
    const tg_axes axes = other_axes(x);
    move(t, where, layer->running_mean, tg_mean(t, seen, axes, false), layer->momentum);
    move(t, where, layer->running_var, tg_var(t, seen, axes, 1, false), layer->momentum);
    return y;
}

tg_layer_norm_layer tg_layer_norm_layer_new(tg_scope s, tg_shape shape)
{
    tg_tensor *weight = tg_scope_param(s, "weight", shape, ones);
    return (tg_layer_norm_layer){weight, tg_scope_param(s, "bias", shape, zeros), 1e-5};
}

TG_LAYER_APPLY(layer_norm)
{
    if (!layer) return TG_LAYER_IS_NULL;
    const int dims = tg_tensor_shape(layer->weight).ndim;
    return tg_layer_norm(t, x, dims, layer->weight, layer->bias, layer->eps);
}

tg_rms_norm_layer tg_rms_norm_layer_new(tg_scope s, tg_shape shape)
{
    return (tg_rms_norm_layer){tg_scope_param(s, "weight", shape, ones), 1e-6};
}

TG_LAYER_APPLY(rms_norm)
{
    if (!layer) return TG_LAYER_IS_NULL;
    return tg_rms_norm(t, x, tg_tensor_shape(layer->weight).ndim, layer->weight, layer->eps);
}

tg_group_norm_layer tg_group_norm_layer_new(tg_scope s, int64_t groups, int64_t channels)
{
    tg_tensor *weight = tg_scope_param(s, "weight", TG_SHAPE(channels), ones),
              *bias = tg_scope_param(s, "bias", TG_SHAPE(channels), zeros);
    return (tg_group_norm_layer){weight, bias, groups, 1e-5};
}

TG_LAYER_APPLY(group_norm)
{
    return layer ? tg_group_norm(t, x, layer->groups, layer->weight, layer->bias, layer->eps)
                 : TG_LAYER_IS_NULL;
}
