/* tapegrad: layers, which hold parameters and record themselves.
 *
 * Contents: layers; recurrent; attention; activations; layers from text; the
 * same without source positions, for other languages. */
#ifndef TG_LAYERS_H
#define TG_LAYERS_H

#include <tapegrad/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- layers */

/* Where parameters are made: names of theirs begin with the scope's prefix and a
 * dot, "encoder.block0.weight". By value; errors of names stick to params. */
typedef struct tg_scope {
    tg_params *params;
    tg_dtype dtype; /* of what is made in it: TG_F32 or TG_F64 */
    char prefix[256];
} tg_scope;

/* f32, without a prefix */
TG_API tg_scope tg_scope_root(tg_params *ps);
/* the scope "NAME" in a scope; and "NAME0", "NAME1", ... */
TG_API tg_scope tg_scope_in(tg_scope s, const char *name);
TG_API tg_scope tg_scope_at(tg_scope s, const char *name, int64_t number);

/* A parameter of the scope; and a buffer: one that isn't trained, and that is
 * saved with the others. NULL on an error, which sticks to the scope's
 * params. */
TG_API tg_tensor *tg_scope_param(tg_scope s, const char *name, tg_shape shape, tg_init init);
TG_API tg_tensor *tg_scope_buffer(tg_scope s, const char *name, tg_shape shape, tg_init init);

/* A layer is a struct, which names its parameters, with a function that makes
 * them in a scope, initialised as PyTorch does, and one that records the layer:
 *     tg_NAME_layer layer = tg_NAME_layer_new(scope, ...);
 *     y = tg_NAME_layer_apply(t, &layer, x);
 * A weight that no reader of x could use (a size below 1) is an error of the
 * scope's params. Fields that are no parameters may be changed. */
#define TG_LAYER(name)                                                                          \
    TG_API tg_tensor *tg_##name##_layer_apply_at(tg_tape *t, const char *where,                 \
                                                 const tg_##name##_layer *layer, tg_tensor *x); \
    TG_API tg_tensor *tg_##name##_layer_apply(tg_tape *t, const tg_##name##_layer *layer,       \
                                              tg_tensor *x);

/* y = x weight^T + bias. weight is [out, in], bias [out] or NULL; U(-r, r) with
 * r = 1 / sqrt(in). */
typedef struct tg_linear_layer {
    tg_tensor *weight, *bias;
} tg_linear_layer;
TG_API tg_linear_layer tg_linear_layer_new(tg_scope s, int64_t in, int64_t out, bool bias);
TG_LAYER(linear)

/* tg_conv1d: x [n, in, l]; weight [out, in / groups, width], bias [out] or
 * NULL; U(-r, r) with r = 1 / sqrt(in / groups * width). Of the options the
 * first of each pair counts. */
typedef struct tg_conv1d_layer {
    tg_tensor *weight, *bias;
    tg_conv options;
} tg_conv1d_layer;
TG_API tg_conv1d_layer tg_conv1d_layer_new(tg_scope s, int64_t in, int64_t out, int64_t width,
                                           bool bias, tg_conv options);
TG_LAYER(conv1d)

/* tg_conv2d: x [n, in, h, w]; weight [out, in / groups, height, width],
 * likewise */
typedef struct tg_conv2d_layer {
    tg_tensor *weight, *bias;
    tg_conv options;
} tg_conv2d_layer;
TG_API tg_conv2d_layer tg_conv2d_layer_new(tg_scope s, int64_t in, int64_t out, int64_t height,
                                           int64_t width, bool bias, tg_conv options);
TG_LAYER(conv2d)

/* tg_conv_transpose2d: x [n, in, h, w]; weight [in, out / groups, height,
 * width]; r = 1 / sqrt(out / groups * height * width) */
typedef struct tg_conv_transpose2d_layer {
    tg_tensor *weight, *bias;
    tg_conv options;
} tg_conv_transpose2d_layer;
TG_API tg_conv_transpose2d_layer tg_conv_transpose2d_layer_new(tg_scope s, int64_t in, int64_t out,
                                                               int64_t height, int64_t width,
                                                               bool bias, tg_conv options);
TG_LAYER(conv_transpose2d)

/* Rows of weight [rows, width] for i64 numbers of them; N(0, 1). */
typedef struct tg_embedding_layer {
    tg_tensor *weight;
} tg_embedding_layer;
TG_API tg_embedding_layer tg_embedding_layer_new(tg_scope s, int64_t rows, int64_t width);
TG_LAYER(embedding)

/* tg_batch_norm of x [n, channels, ...]. On a tape in training mode it takes the
 * batch's own statistics and sets the buffers (tg_buffer_set), for
 * tg_buffers_update, which tg_fit calls at each step:
 *     running_mean = (1 - momentum) running_mean + momentum mean
 *     running_var likewise, of the unbiased variance
 * In evaluation mode it takes the buffers. weight (1) and bias (0) are
 * [channels]; momentum 0.1, eps 1e-5. */
typedef struct tg_batch_norm_layer {
    tg_tensor *weight, *bias, *running_mean, *running_var;
    double momentum, eps;
} tg_batch_norm_layer;
TG_API tg_batch_norm_layer tg_batch_norm_layer_new(tg_scope s, int64_t channels);
TG_LAYER(batch_norm)

/* tg_layer_norm over the last dimensions, which have the sizes of shape: weight
 * (1) and bias (0) of that shape; eps 1e-5. */
typedef struct tg_layer_norm_layer {
    tg_tensor *weight, *bias;
    double eps;
} tg_layer_norm_layer;
TG_API tg_layer_norm_layer tg_layer_norm_layer_new(tg_scope s, tg_shape shape);
TG_LAYER(layer_norm)

/* tg_rms_norm, likewise: weight (1); eps 1e-6. */
typedef struct tg_rms_norm_layer {
    tg_tensor *weight;
    double eps;
} tg_rms_norm_layer;
TG_API tg_rms_norm_layer tg_rms_norm_layer_new(tg_scope s, tg_shape shape);
TG_LAYER(rms_norm)

/* tg_group_norm of x [n, channels, ...]: weight (1) and bias (0) are
 * [channels]; eps 1e-5. */
typedef struct tg_group_norm_layer {
    tg_tensor *weight, *bias;
    int64_t groups;
    double eps;
} tg_group_norm_layer;
TG_API tg_group_norm_layer tg_group_norm_layer_new(tg_scope s, int64_t groups, int64_t channels);
TG_LAYER(group_norm)

/* ---------------------------------------------------------------- recurrent */

typedef enum tg_cell_kind { TG_CELL_RNN, TG_CELL_LSTM, TG_CELL_GRU } tg_cell_kind;

enum { TG_RECURRENT_CELLS = 16 };

/* A recurrent net (tg_rnn, tg_lstm, tg_gru) of one layer, or of several with one
 * or two directions, 16 in all at most. Of each: weight_ih [gates hidden, in],
 * weight_hh [gates hidden, hidden], bias_ih and bias_hh [gates hidden] or NULL,
 * with 1, 4 or 3 gates, under PyTorch's names ("weight_ih_l0", with "_reverse");
 * U(-r, r) with r = 1 / sqrt(hidden). Applied to x [n, time, in] it gives the
 * last layer's hidden values [n, time, hidden], or [n, time, 2 hidden], from a
 * state of zeros on. dropout (0) is between layers. */
typedef struct tg_recurrent_layer {
    tg_cell cell[TG_RECURRENT_CELLS]; /* layer by layer, forwards first */
    tg_cell_kind kind;
    int layers;
    bool bidirectional;
    double dropout;
} tg_recurrent_layer;
TG_API tg_recurrent_layer tg_recurrent_layer_new(tg_scope s, tg_cell_kind kind, int64_t in,
                                                 int64_t hidden, bool bias);
TG_API tg_recurrent_layer tg_recurrent_layer_stack(tg_scope s, tg_cell_kind kind, int64_t in,
                                                   int64_t hidden, int layers, bool bidirectional,
                                                   bool bias);
TG_LAYER(recurrent)

/* One step of a single layer: x [n, in] -> the state after it, [n, hidden]; of
 * an LSTM [n, 2 hidden], the hidden values first. state NULL: zeros. */
TG_API tg_tensor *tg_recurrent_layer_step_at(tg_tape *t, const char *where,
                                             const tg_recurrent_layer *layer, tg_tensor *x,
                                             tg_tensor *state);

/* ---------------------------------------------------------------- attention */

/* Multi-head attention (Vaswani et al. 2017): linear layers q, k, v and output,
 * with biases, [width, width] each; heads divides width. */
typedef struct tg_attention_layer {
    tg_linear_layer q, k, v, output;
    int heads;
} tg_attention_layer;
TG_API tg_attention_layer tg_attention_layer_new(tg_scope s, int64_t width, int heads);

/* x [n, l, width] looks at context [n, m, width] (NULL: at itself) -> [n, l,
 * width]. mask and causal as in tg_attention; mask u8 broadcast to [n, heads,
 * l, m], or NULL. */
TG_API tg_tensor *tg_attention_layer_apply_at(tg_tape *t, const char *where,
                                              const tg_attention_layer *layer, tg_tensor *x,
                                              tg_tensor *context, tg_tensor *mask, bool causal);

/* A block of a transformer that normalises first (Xiong et al. 2020):
 *     x = x + dropout(attention(norm1(x)))
 *     y = x + dropout(down(gelu(up(norm2(x)))))
 * with layer norms, and up to `hidden` numbers. dropout 0. */
typedef struct tg_transformer_block {
    tg_layer_norm_layer norm1, norm2;
    tg_attention_layer attention;
    tg_linear_layer up, down;
    double dropout;
} tg_transformer_block;
TG_API tg_transformer_block tg_transformer_block_new(tg_scope s, int64_t width, int heads,
                                                     int64_t hidden);

/* x [n, l, width] -> the same; mask and causal as there */
TG_API tg_tensor *tg_transformer_block_apply_at(tg_tape *t, const char *where,
                                                const tg_transformer_block *block, tg_tensor *x,
                                                tg_tensor *mask, bool causal);

/* ---------------------------------------------------------------- activations */

/* Applies an activation by its name: relu, leaky_relu (slope .01), elu (alpha
 * 1), gelu, gelu_tanh, silu, sigmoid, tanh, softplus, relu6, hardtanh or
 * identity. Another name is TG_EVALUE. */
TG_API tg_tensor *tg_activation_at(tg_tape *t, const char *where, const char *name, tg_tensor *x);

/* All names, separated by ", ". */
TG_API const char *tg_activation_names(void);

/* ---------------------------------------------------------------- layers from text
 *
 *     tg_layers *net = tg_layers_parse(scope,
 *         "conv 16 3x3, relu, maxpool 2, flatten, linear 10",
 *         TG_SHAPE(1, 28, 28), 10);
 *     y = tg_layers_apply(t, net, x);
 *
 * A layer is a name with its sizes and settings, spaces between; commas between
 * layers. Names of activations are layers, too; the others are
 *     linear OUT nobias       of the last dimension; without OUT: `outputs`
 *     conv CHANNELS KERNEL stride= padding= dilation= groups= nobias
 *                             of [n, c, h, w] or [n, c, l]; KERNEL and the
 *                             settings are 3 or 3x5; padding=same keeps the
 *                             size of odd kernels
 *     conv_transpose CHANNELS KERNEL stride= padding= groups= nobias
 *     maxpool KERNEL stride= padding=, and avgpool
 *     globalpool              mean over all of a channel: [n, c]
 *     flatten                 [n, everything]
 *     reshape SIZES           rows of another shape: reshape 3x32x32
 *     batchnorm, layernorm, rmsnorm (of the last dimension), groupnorm GROUPS
 *     dropout P
 *     rnn HIDDEN layers= dropout= bidirectional nobias, and lstm, gru
 *                             of [n, time, in]
 *     attention HEADS, transformer HEADS HIDDEN dropout=
 *                             of [n, time, width]
 *     last, mean              of all times: [n, width]
 * conv and pools take rows of a square number of features for images of one
 * channel. */
typedef struct tg_layers tg_layers;

/* Makes them in the scope: parameters are "0.weight", ... by the layer's number,
 * as in PyTorch's Sequential. row is the shape of one row of x; outputs stands
 * for the size of a linear layer without one (0: that is an error). An error
 * names the layer and where in the text it is: TG_EVALUE for what isn't
 * understood, TG_ESHAPE for what doesn't fit. NULL only when memory is short.
 * The parameters stay the scope's, and outlive the layers. */
TG_API tg_layers *tg_layers_parse(tg_scope s, const char *text, tg_shape row, int64_t outputs);
TG_API void tg_layers_free(tg_layers *y); /* NULL allowed */
/* TG_ENOMEM for NULL */
TG_API tg_status tg_layers_status(const tg_layers *y);
/* "" without an error */
TG_API const char *tg_layers_message(const tg_layers *y);
/* the shape of one row of the result; of layers in error without dimensions */
TG_API tg_shape tg_layers_shape(const tg_layers *y);

/* x [n, row ...] -> [n, shape ...] */
TG_API tg_tensor *tg_layers_apply_at(tg_tape *t, const char *where, const tg_layers *y,
                                     tg_tensor *x);

/* ------------------- the same without source positions, for other languages */

TG_API tg_tensor *tg_recurrent_layer_step(tg_tape *t, const tg_recurrent_layer *layer, tg_tensor *x,
                                          tg_tensor *state);
TG_API tg_tensor *tg_attention_layer_apply(tg_tape *t, const tg_attention_layer *layer,
                                           tg_tensor *x, tg_tensor *context, tg_tensor *mask,
                                           bool causal);
TG_API tg_tensor *tg_transformer_block_apply(tg_tape *t, const tg_transformer_block *block,
                                             tg_tensor *x, tg_tensor *mask, bool causal);
TG_API tg_tensor *tg_activation(tg_tape *t, const char *name, tg_tensor *x);
TG_API tg_tensor *tg_layers_apply(tg_tape *t, const tg_layers *y, tg_tensor *x);

#ifdef __cplusplus
}
#endif

#ifndef TG_NO_MACROS
#define tg_linear_layer_apply(t, layer, x) tg_linear_layer_apply_at(t, TG_HERE, layer, x)
#define tg_conv1d_layer_apply(t, layer, x) tg_conv1d_layer_apply_at(t, TG_HERE, layer, x)
#define tg_conv2d_layer_apply(t, layer, x) tg_conv2d_layer_apply_at(t, TG_HERE, layer, x)
#define tg_conv_transpose2d_layer_apply(t, layer, x) \
    tg_conv_transpose2d_layer_apply_at(t, TG_HERE, layer, x)
#define tg_embedding_layer_apply(t, layer, x) tg_embedding_layer_apply_at(t, TG_HERE, layer, x)
#define tg_batch_norm_layer_apply(t, layer, x) tg_batch_norm_layer_apply_at(t, TG_HERE, layer, x)
#define tg_layer_norm_layer_apply(t, layer, x) tg_layer_norm_layer_apply_at(t, TG_HERE, layer, x)
#define tg_rms_norm_layer_apply(t, layer, x) tg_rms_norm_layer_apply_at(t, TG_HERE, layer, x)
#define tg_group_norm_layer_apply(t, layer, x) tg_group_norm_layer_apply_at(t, TG_HERE, layer, x)
#define tg_recurrent_layer_apply(t, layer, x) tg_recurrent_layer_apply_at(t, TG_HERE, layer, x)
#define tg_recurrent_layer_step(t, layer, x, state) \
    tg_recurrent_layer_step_at(t, TG_HERE, layer, x, state)
#define tg_attention_layer_apply(t, layer, x, context, mask, causal) \
    tg_attention_layer_apply_at(t, TG_HERE, layer, x, context, mask, causal)
#define tg_transformer_block_apply(t, block, x, mask, causal) \
    tg_transformer_block_apply_at(t, TG_HERE, block, x, mask, causal)
#define tg_layers_apply(t, y, x) tg_layers_apply_at(t, TG_HERE, y, x)
#define tg_activation(t, name, x) tg_activation_at(t, TG_HERE, name, x)
#endif

#endif
