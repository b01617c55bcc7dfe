/* The kinds of layers that text can name. A new one is an entry in the table at the end. */
#define TG_HERE where
#include "layer_text.h"

#include <math.h>
#include <string.h>

static void misfit(tg_layer_maker *m, const char *what)
{
    tg_error_set(m->error, NULL, NULL, TG_ESHAPE, "%s, not %s", what,
                 tg_shape_text(tg_tensor_shape(m->x)).text);
}

/* The number of an argument that was given, or another one. */
static int64_t number(const tg_step *s, int argument, int64_t otherwise)
{
    return s->given[argument] ? s->size[argument][0] : otherwise;
}

/* Both numbers of a size that may be given as one. */
static void pair(const tg_step *s, int argument, int64_t y[2])
{
    if (!s->given[argument]) return;
    y[0] = s->size[argument][0];
    y[1] = s->size[argument][s->given[argument] > 1];
}

/* Rows of numbers as square images of one channel. */
static tg_tensor *as_image(tg_tape *t, const char *where, tg_tensor *x)
{
    const tg_shape shape = tg_tensor_shape(x);
    if (shape.ndim != 2) return x;
    const int64_t side = (int64_t)lround(sqrt((double)shape.dim[1]));
    if (side * side != shape.dim[1])
        return tg_fail_at(t, where, TG_ESHAPE,
                          "it wants images, not rows of %lld numbers: 'reshape CxHxW' before it "
                          "makes them",
                          (long long)shape.dim[1]);
    return tg_reshape(t, x, TG_SHAPE(shape.dim[0], 1, side, side));
}

/* ---------------------------------------------------------------- linear */

static void make_linear(tg_layer_maker *m, tg_step *s)
{
    const tg_shape shape = tg_tensor_shape(m->x);
    const int64_t out = number(s, 0, m->outputs);
    if (out < 1)
        tg_error_set(m->error, NULL, NULL, TG_EVALUE, "how many numbers it gives is not said");
    else
        s->layer.linear =
            tg_linear_layer_new(m->scope, shape.dim[shape.ndim - 1], out, !s->given[1]);
}

static tg_tensor *apply_linear(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_linear_layer_apply(t, &s->layer.linear, x);
}

/* ---------------------------------------------------------------- convolutions and pools */

enum { CHANNELS, KERNEL, STRIDE, PADDING, DILATION, GROUPS, NOBIAS };

static bool conv_options(tg_layer_maker *m, const tg_step *s, const int64_t kernel[2], tg_conv *y)
{
    *y = (tg_conv){.dilation = {1, 1}, .groups = number(s, GROUPS, 1)};
    pair(s, STRIDE, y->stride);
    pair(s, DILATION, y->dilation);
    pair(s, PADDING, y->padding);
    for (int k = 0; k < 2; k++) {
        if (y->padding[k] != -1) continue;
        if (kernel[k] % 2 == 0)
            return tg_error_set(m->error, NULL, NULL, TG_EVALUE,
                                "padding=same wants odd kernels, not %lld", (long long)kernel[k]),
                   false;
        y->padding[k] = y->dilation[k] * (kernel[k] / 2);
    }
    return true;
}

static void make_conv(tg_layer_maker *m, tg_step *s)
{
    tg_conv options;
    int64_t kernel[2] = {0};
    pair(s, KERNEL, kernel);
    const tg_shape shape = tg_tensor_shape(as_image(m->tape, NULL, m->x));
    if (tg_tape_status(m->tape) != TG_OK || !conv_options(m, s, kernel, &options)) return;
    const int64_t in = shape.dim[1], out = s->size[CHANNELS][0];
    const bool bias = !s->given[NOBIAS];
    if (shape.ndim == 3)
        s->layer.conv1d = tg_conv1d_layer_new(m->scope, in, out, kernel[0], bias, options);
    else if (shape.ndim == 4)
        s->layer.conv2d =
            tg_conv2d_layer_new(m->scope, in, out, kernel[0], kernel[1], bias, options);
    else misfit(m, "it wants [n, channels, height, width] or [n, channels, length]");
}

static tg_tensor *apply_conv(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_tensor_shape(x).ndim == 3
               ? tg_conv1d_layer_apply(t, &s->layer.conv1d, x)
               : tg_conv2d_layer_apply(t, &s->layer.conv2d, as_image(t, where, x));
}

enum { T_CHANNELS, T_KERNEL, T_STRIDE, T_PADDING, T_GROUPS, T_NOBIAS };

static void make_conv_transpose(tg_layer_maker *m, tg_step *s)
{
    int64_t kernel[2] = {0};
    tg_conv options = {.groups = number(s, T_GROUPS, 1)};
    const tg_shape shape = tg_tensor_shape(m->x);
    pair(s, T_KERNEL, kernel);
    pair(s, T_STRIDE, options.stride);
    pair(s, T_PADDING, options.padding);
    if (shape.ndim != 4) misfit(m, "it wants [n, channels, height, width]");
    else
        s->layer.conv_transpose2d =
            tg_conv_transpose2d_layer_new(m->scope, shape.dim[1], s->size[T_CHANNELS][0], kernel[0],
                                          kernel[1], !s->given[T_NOBIAS], options);
}

static tg_tensor *apply_conv_transpose(tg_tape *t, const char *where, const tg_step *s,
                                       tg_tensor *x)
{
    return tg_conv_transpose2d_layer_apply(t, &s->layer.conv_transpose2d, x);
}

static tg_pool pool_of(const tg_step *s)
{
    tg_pool y = {.dilation = {1, 1}};
    pair(s, 0, y.kernel);
    pair(s, 1, y.stride);
    pair(s, 2, y.padding);
    return y;
}

static tg_tensor *apply_maxpool(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_tensor_shape(x).ndim == 3 ? tg_max_pool1d(t, x, pool_of(s))
                                        : tg_max_pool2d(t, as_image(t, where, x), pool_of(s));
}

static tg_tensor *apply_avgpool(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_tensor_shape(x).ndim == 3 ? tg_avg_pool1d(t, x, pool_of(s))
                                        : tg_avg_pool2d(t, as_image(t, where, x), pool_of(s));
}

static tg_tensor *apply_globalpool(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    tg_axes axes = {0, {0}};
    (void)s;
    for (int k = 2; k < tg_tensor_shape(x).ndim; k++) axes.axis[axes.n++] = k;
    return axes.n ? tg_mean(t, x, axes, false) : x;
}

/* ---------------------------------------------------------------- shapes */

static tg_tensor *apply_flatten(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    const tg_shape shape = tg_tensor_shape(x);
    int64_t rest = 1;
    (void)s;
    for (int k = 1; k < shape.ndim; k++) rest *= shape.dim[k];
    return tg_reshape(t, x, TG_SHAPE(shape.dim[0], rest));
}

static tg_tensor *apply_reshape(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    tg_shape shape = {.ndim = 1 + s->given[0], .dim = {tg_tensor_shape(x).dim[0]}};
    for (int k = 0; k < s->given[0]; k++) shape.dim[1 + k] = s->size[0][k];
    return tg_reshape(t, x, shape);
}

/* ---------------------------------------------------------------- normalisation and dropout */

static int64_t last_size(const tg_layer_maker *m)
{
    const tg_shape shape = tg_tensor_shape(m->x);
    return shape.dim[shape.ndim - 1];
}

static void make_batchnorm(tg_layer_maker *m, tg_step *s)
{
    s->layer.batch_norm = tg_batch_norm_layer_new(m->scope, tg_tensor_shape(m->x).dim[1]);
}

static tg_tensor *apply_batchnorm(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_batch_norm_layer_apply(t, &s->layer.batch_norm, x);
}

static void make_layernorm(tg_layer_maker *m, tg_step *s)
{
    s->layer.layer_norm = tg_layer_norm_layer_new(m->scope, TG_SHAPE(last_size(m)));
}

static tg_tensor *apply_layernorm(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_layer_norm_layer_apply(t, &s->layer.layer_norm, x);
}

static void make_rmsnorm(tg_layer_maker *m, tg_step *s)
{
    s->layer.rms_norm = tg_rms_norm_layer_new(m->scope, TG_SHAPE(last_size(m)));
}

static tg_tensor *apply_rmsnorm(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_rms_norm_layer_apply(t, &s->layer.rms_norm, x);
}

static void make_groupnorm(tg_layer_maker *m, tg_step *s)
{
    s->layer.group_norm =
        tg_group_norm_layer_new(m->scope, s->size[0][0], tg_tensor_shape(m->x).dim[1]);
}

static tg_tensor *apply_groupnorm(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_group_norm_layer_apply(t, &s->layer.group_norm, x);
}

static tg_tensor *apply_dropout(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_dropout(t, x, s->share[0]);
}

/* ---------------------------------------------------------------- over time */

enum { HIDDEN, LAYERS, BETWEEN, BOTH_WAYS, PLAIN };

static void make_recurrent(tg_layer_maker *m, tg_step *s)
{
    const char *name = s->kind->name;
    const tg_cell_kind kind = !strcmp(name, "lstm")  ? TG_CELL_LSTM
                              : !strcmp(name, "gru") ? TG_CELL_GRU
                                                     : TG_CELL_RNN;
    const int64_t layers = number(s, LAYERS, 1), most = TG_RECURRENT_CELLS;
    if (tg_tensor_shape(m->x).ndim != 3) {
        misfit(m, "it wants [n, time, in] ('reshape TIMExIN' makes it)");
        return;
    }
    s->layer.recurrent = tg_recurrent_layer_stack(m->scope, kind, last_size(m), s->size[HIDDEN][0],
                                                  (int)(layers < most ? layers : most + 1),
                                                  s->given[BOTH_WAYS] > 0, !s->given[PLAIN]);
    s->layer.recurrent.dropout = s->share[BETWEEN];
}

static tg_tensor *apply_recurrent(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_recurrent_layer_apply(t, &s->layer.recurrent, x);
}

static int heads_of(const tg_step *s)
{
    return (int)(s->size[0][0] <= INT32_MAX ? s->size[0][0] : 0);
}

static void make_attention(tg_layer_maker *m, tg_step *s)
{
    s->layer.attention = tg_attention_layer_new(m->scope, last_size(m), heads_of(s));
}

static tg_tensor *apply_attention(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_attention_layer_apply(t, &s->layer.attention, x, NULL, NULL, false);
}

static void make_transformer(tg_layer_maker *m, tg_step *s)
{
    s->layer.transformer =
        tg_transformer_block_new(m->scope, last_size(m), heads_of(s), s->size[1][0]);
    s->layer.transformer.dropout = s->share[2];
}

static tg_tensor *apply_transformer(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return tg_transformer_block_apply(t, &s->layer.transformer, x, NULL, false);
}

static void make_over_time(tg_layer_maker *m, tg_step *s)
{
    (void)s;
    if (tg_tensor_shape(m->x).ndim != 3) misfit(m, "it wants [n, time, width]");
}

static tg_tensor *apply_last(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    (void)s;
    return tg_select(t, x, 1, -1);
}

static tg_tensor *apply_mean(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    (void)s;
    return tg_mean(t, x, TG_AXES(1), false);
}

/* ---------------------------------------------------------------- the table */

#define PLACED(name, value)                 \
    {                                       \
        name, TG_LAYER_##value, true, false \
    }
#define SETTING(name, value)                 \
    {                                        \
        name, TG_LAYER_##value, false, false \
    }
#define FLAG(name) SETTING(name, FLAG)
#define POOL(name)                                                                              \
    {                                                                                           \
#name, {PLACED("kernel", SIZE), SETTING("stride", SIZE), SETTING("padding", PADDING) }, \
                NULL, apply_##name                                                              \
    }
#define RECURRENT(name)                                                                       \
    {                                                                                         \
#name, {PLACED("hidden", COUNT), SETTING("layers", COUNT), SETTING("dropout", SHARE), \
                FLAG("bidirectional"), FLAG("nobias") },                                      \
                make_recurrent, apply_recurrent                                               \
    }

static const tg_layer_kind kinds[] = {
    {"linear", {{"out", TG_LAYER_COUNT, true, true}, FLAG("nobias")}, make_linear, apply_linear},
    {"conv",
     {PLACED("channels", COUNT), PLACED("kernel", SIZE), SETTING("stride", SIZE),
      SETTING("padding", PADDING), SETTING("dilation", SIZE), SETTING("groups", COUNT),
      FLAG("nobias")},
     make_conv,
     apply_conv},
    {"conv_transpose",
     {PLACED("channels", COUNT), PLACED("kernel", SIZE), SETTING("stride", SIZE),
      SETTING("padding", PADDING), SETTING("groups", COUNT), FLAG("nobias")},
     make_conv_transpose,
     apply_conv_transpose},
    POOL(maxpool),
    POOL(avgpool),
    {"globalpool", {{0}}, NULL, apply_globalpool},
    {"flatten", {{0}}, NULL, apply_flatten},
    {"reshape", {PLACED("sizes", SIZE)}, NULL, apply_reshape},
    {"batchnorm", {{0}}, make_batchnorm, apply_batchnorm},
    {"layernorm", {{0}}, make_layernorm, apply_layernorm},
    {"rmsnorm", {{0}}, make_rmsnorm, apply_rmsnorm},
    {"groupnorm", {PLACED("groups", COUNT)}, make_groupnorm, apply_groupnorm},
    {"dropout", {PLACED("p", SHARE)}, NULL, apply_dropout},
    RECURRENT(rnn),
    RECURRENT(lstm),
    RECURRENT(gru),
    {"attention", {PLACED("heads", COUNT)}, make_attention, apply_attention},
    {"transformer",
     {PLACED("heads", COUNT), PLACED("hidden", COUNT), SETTING("dropout", SHARE)},
     make_transformer,
     apply_transformer},
    {"last", {{0}}, make_over_time, apply_last},
    {"mean", {{0}}, make_over_time, apply_mean},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const tg_layer_kind *tg_layer_kind_find(const char *name, size_t n)
{
    for (int k = 0; k < KINDS; k++)
        if (strlen(kinds[k].name) == n && !memcmp(kinds[k].name, name, n)) return &kinds[k];
    return NULL;
}

const char *tg_layer_kind_name(int k) { return k < KINDS ? kinds[k].name : NULL; }
