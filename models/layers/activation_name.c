/* Activations by name. */
#define TG_HERE where
#include "activation_name.h"

#include "../../graph/base.h"

#include <string.h>

#define RECORDER(name, ...) \
    static tg_tensor *name(tg_tape *t, const char *where, tg_tensor *x) { return __VA_ARGS__; }
RECORDER(leaky_relu, tg_leaky_relu(t, x, 0.01))
RECORDER(elu, tg_elu(t, x, 1))

static tg_tensor *identity(tg_tape *t, const char *where, tg_tensor *x)
{
    const bool fine = tg_tape_status(t) == TG_OK && tg_belongs(t, where, "activation", x);
    return fine ? x : NULL;
}

static const tg_named_activation activations[] = {
    {"relu", tg_relu_at},       {"leaky_relu", leaky_relu},     {"elu", elu},
    {"gelu", tg_gelu_at},       {"gelu_tanh", tg_gelu_tanh_at}, {"silu", tg_silu_at},
    {"sigmoid", tg_sigmoid_at}, {"tanh", tg_tanh_at},           {"softplus", tg_softplus_at},
    {"relu6", tg_relu6_at},     {"hardtanh", tg_hardtanh_at},   {"identity", identity},
};

const char *tg_activation_names(void)
{
    return "relu, leaky_relu, elu, gelu, gelu_tanh, silu, sigmoid, tanh, softplus, relu6, "
           "hardtanh, identity";
}

const tg_named_activation *tg_activation_find(const char *name)
{
    for (size_t k = 0; name && k < sizeof activations / sizeof activations[0]; k++)
        if (!strcmp(activations[k].name, name)) return &activations[k];
    return NULL;
}

tg_tensor *tg_activation_at(tg_tape *t, const char *where, const char *name, tg_tensor *x)
{
    const tg_named_activation *a = tg_activation_find(name);
    if (a) return a->record(t, where, x);
    return tg_fail_at(t, where, name ? TG_EVALUE : TG_ENULL, "activation: '%.60s' is none of %s",
                      name ? name : "NULL", tg_activation_names());
}

tg_tensor *(tg_activation)(tg_tape *t, const char *name, tg_tensor *x)
{
    return tg_activation_at(t, NULL, name, x);
}
