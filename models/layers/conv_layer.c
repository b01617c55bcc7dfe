/* Convolutions. */
#define TG_HERE where
#include "layer.h"

static int64_t groups_of(tg_conv options) { return options.groups > 1 ? options.groups : 1; }

static tg_tensor *bias_of(tg_scope s, bool wanted, int64_t out, tg_init init)
{
    return wanted ? tg_scope_param(s, "bias", TG_SHAPE(out), init) : NULL;
}

tg_conv1d_layer tg_conv1d_layer_new(tg_scope s, int64_t in, int64_t out, int64_t width, bool bias,
                                    tg_conv options)
{
    const int64_t part = in / groups_of(options);
    const tg_init init = {TG_LINEAR_DEFAULT, (double)part * (double)width, 0};
    tg_tensor *weight = tg_scope_param(s, "weight", TG_SHAPE(out, part, width), init);
    return (tg_conv1d_layer){weight, bias_of(s, bias, out, init), options};
}

TG_LAYER_APPLY(conv1d)
{
    return layer ? tg_conv1d(t, x, layer->weight, layer->bias, layer->options) : TG_LAYER_IS_NULL;
}

tg_conv2d_layer tg_conv2d_layer_new(tg_scope s, int64_t in, int64_t out, int64_t height,
                                    int64_t width, bool bias, tg_conv options)
{
    const int64_t part = in / groups_of(options);
    const tg_init init = {TG_LINEAR_DEFAULT, (double)part * (double)height * (double)width, 0};
    tg_tensor *weight = tg_scope_param(s, "weight", TG_SHAPE(out, part, height, width), init);
    return (tg_conv2d_layer){weight, bias_of(s, bias, out, init), options};
}

TG_LAYER_APPLY(conv2d)
{
    return layer ? tg_conv2d(t, x, layer->weight, layer->bias, layer->options) : TG_LAYER_IS_NULL;
}

tg_conv_transpose2d_layer tg_conv_transpose2d_layer_new(tg_scope s, int64_t in, int64_t out,
                                                        int64_t height, int64_t width, bool bias,
                                                        tg_conv options)
{
    const int64_t part = out / groups_of(options);
    const tg_init init = {TG_LINEAR_DEFAULT, (double)part * (double)height * (double)width, 0};
    tg_tensor *weight = tg_scope_param(s, "weight", TG_SHAPE(in, part, height, width), init);
    return (tg_conv_transpose2d_layer){weight, bias_of(s, bias, out, init), options};
}

TG_LAYER_APPLY(conv_transpose2d)
{
    return layer ? tg_conv_transpose2d(t, x, layer->weight, layer->bias, layer->options)
                 : TG_LAYER_IS_NULL;
}
