/* What layers are written with. Private. */
#ifndef TG_LAYER_H
#define TG_LAYER_H

#include <tapegrad/layers.h>

/* The head of tg_NAME_layer_apply_at, and its form without a source position. */
#define TG_LAYER_APPLY(name)                                                          \
    tg_tensor *(tg_##name##_layer_apply)(tg_tape * t, const tg_##name##_layer *layer, \
                                         tg_tensor *x)                                \
    {                                                                                 \
        return tg_##name##_layer_apply_at(t, NULL, layer, x);                         \
    }                                                                                 \
    tg_tensor *tg_##name##_layer_apply_at(tg_tape *t, const char *where,              \
                                          const tg_##name##_layer *layer, tg_tensor *x)

#define TG_LAYER_IS_NULL tg_fail_at(t, where, TG_ENULL, "the layer is NULL")

#endif
