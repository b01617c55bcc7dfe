/* The multilayer net from the inside. Private. */
#ifndef TG_MLP_H
#define TG_MLP_H

#include <tapegrad/nets.h>

#include "../training/model.h"

struct tg_mlp {
    tg_model model;
    int n_hidden;
    int64_t *hidden;
    const char *activation; /* static */
    double dropout;
    tg_linear_layer *layer; /* [n_hidden + 1] */
};

/* An mlp in error, or NULL without memory; the start of tg_mlp_new and tg_mlp_load. */
tg_mlp *tg_mlp_blank(const tg_allocator *allocator);

/* Builds a blank net: options are complete (inputs, outputs, head), the schema is copied. */
tg_status tg_mlp_build(tg_mlp *m, const tg_schema *schema, const tg_mlp_options *options);

#endif
