/* tapegrad: layers, which hold parameters and record themselves. */
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

/* y = x weight^T + bias. weight is [out, in], bias [out] or NULL */
typedef struct tg_linear_layer {
    tg_tensor *weight, *bias;
} tg_linear_layer;

/* Initialised as PyTorch does: U(-r, r) with r = 1 / sqrt(in). */
TG_API tg_linear_layer tg_linear_layer_new(tg_scope s, int64_t in, int64_t out, bool bias);
TG_API tg_tensor *tg_linear_layer_apply_at(tg_tape *t, const char *where,
                                           const tg_linear_layer *layer, tg_tensor *x);

/* Applies an activation by its name: relu, leaky_relu (slope .01), elu (alpha
 * 1), gelu, gelu_tanh, silu, sigmoid, tanh, softplus, relu6, hardtanh or
 * identity. Another name is TG_EVALUE. */
TG_API tg_tensor *tg_activation_at(tg_tape *t, const char *where, const char *name, tg_tensor *x);

/* All names, separated by ", ". */
TG_API const char *tg_activation_names(void);
/* ------------------- the same without source positions, for other languages */

TG_API tg_tensor *tg_linear_layer_apply(tg_tape *t, const tg_linear_layer *layer, tg_tensor *x);
TG_API tg_tensor *tg_activation(tg_tape *t, const char *name, tg_tensor *x);

#ifdef __cplusplus
}
#endif

#ifndef TG_NO_MACROS
#define tg_linear_layer_apply(t, layer, x) tg_linear_layer_apply_at(t, TG_HERE, layer, x)
#define tg_activation(t, name, x) tg_activation_at(t, TG_HERE, name, x)
#endif

#endif
