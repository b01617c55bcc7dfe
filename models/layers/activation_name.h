/* Activations by name. Private. */
#ifndef TG_ACTIVATION_NAME_H
#define TG_ACTIVATION_NAME_H

#include <tapegrad/layers.h>

typedef struct tg_named_activation {
    const char *name;
    tg_tensor *(*record)(tg_tape *t, const char *where, tg_tensor *x);
} tg_named_activation;

/* NULL: there is none of that name */
const tg_named_activation *tg_activation_find(const char *name);

#endif
