/* Layers from text: what stands between their words (layer_text.c) and their kinds (layer_kinds.c).
 * Private. */
#ifndef TG_LAYER_TEXT_H
#define TG_LAYER_TEXT_H

#include "../../graph/memory.h"
#include "activation_name.h"

typedef enum tg_layer_value {
    TG_LAYER_NONE,    /* no further arguments */
    TG_LAYER_COUNT,   /* a whole number, 1 or more */
    TG_LAYER_SIZE,    /* one to three of them: 3, 3x5 */
    TG_LAYER_PADDING, /* 0 and more, one or two; or "same", which is -1 */
    TG_LAYER_SHARE,   /* in 0 .. 1 */
    TG_LAYER_FLAG     /* its name alone */
} tg_layer_value;

typedef struct tg_layer_argument {
    const char *name;
    tg_layer_value value;
    bool placed;   /* given without its name, in its place */
    bool optional; /* of those that are placed */
} tg_layer_argument;

enum { TG_LAYER_ARGUMENTS = 8, TG_LAYER_SIZES = 3 };

typedef struct tg_step tg_step;

/* Where layers are made, one behind the other. */
typedef struct tg_layer_maker {
    tg_scope scope; /* of this one */
    tg_tape *tape;
    tg_tensor *x; /* what goes into it */
    int64_t outputs;
    tg_error *error;
} tg_layer_maker;

typedef struct tg_layer_kind {
    const char *name;
    tg_layer_argument argument[TG_LAYER_ARGUMENTS];
    /* Makes the parameters; an error is the maker's, the scope's or the tape's. May be NULL. */
    void (*make)(tg_layer_maker *m, tg_step *s);
    tg_tensor *(*apply)(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x);
} tg_layer_kind;

struct tg_step {
    const tg_layer_kind *kind;
    const tg_named_activation *activation; /* instead of a kind */
    /* by the kind's arguments: how many numbers were given, and which */
    int given[TG_LAYER_ARGUMENTS];
    int64_t size[TG_LAYER_ARGUMENTS][TG_LAYER_SIZES];
    double share[TG_LAYER_ARGUMENTS];
    union {
        tg_linear_layer linear;
        tg_conv1d_layer conv1d;
        tg_conv2d_layer conv2d;
        tg_conv_transpose2d_layer conv_transpose2d;
        tg_batch_norm_layer batch_norm;
        tg_layer_norm_layer layer_norm;
        tg_rms_norm_layer rms_norm;
        tg_group_norm_layer group_norm;
        tg_recurrent_layer recurrent;
        tg_attention_layer attention;
        tg_transformer_block transformer;
    } layer;
};

/* NULL: there is none of that name. */
const tg_layer_kind *tg_layer_kind_find(const char *name, size_t n);
/* The k-th one's name; NULL behind the last. */
const char *tg_layer_kind_name(int k);

#endif
