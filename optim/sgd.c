#include "rule.h"

#include <string.h>

enum { RATE, DECAY, MOMENTUM, TAKE, NESTEROV };

/* In the first step v, still 0, becomes d whatever the dampening. */
static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_sgd_options *o = (const tg_sgd_options *)options;
    c[RATE] = learning_rate;
    c[DECAY] = o->weight_decay;
    c[MOMENTUM] = o->momentum;
    c[TAKE] = step == 1 ? 1 : 1 - o->dampening;
    c[NESTEROV] = o->nesterov;
}

#define PLAIN(fn, TARGET, BUILD, T)                             \
    TARGET static void fn(const tg_update *u)                   \
    {                                                           \
        const T rate = (T)u->c[RATE], decay = (T)u->c[DECAY];   \
        const T *g = (const T *)u->grad;                        \
        T *p = (T *)u->value;                                   \
        TG_INDEPENDENT                                          \
        for (int64_t i = 0; i < u->n; i++) {                    \
            const T d = decay > 0 ? g[i] + decay * p[i] : g[i]; \
            p[i] -= rate * d;                                   \
        }                                                       \
    }

#define WITH_MOMENTUM(fn, TARGET, BUILD, T)                                                 \
    TARGET static void fn(const tg_update *u)                                               \
    {                                                                                       \
        const T rate = (T)u->c[RATE], decay = (T)u->c[DECAY], momentum = (T)u->c[MOMENTUM]; \
        const T take = (T)u->c[TAKE];                                                       \
        const bool nesterov = u->c[NESTEROV] > 0;                                           \
        const T *g = (const T *)u->grad;                                                    \
        T *p = (T *)u->value, *v = (T *)u->slot[0];                                         \
        TG_INDEPENDENT                                                                      \
        for (int64_t i = 0; i < u->n; i++) {                                                \
            const T d = decay > 0 ? g[i] + decay * p[i] : g[i];                             \
            const T w = momentum * v[i] + take * d;                                         \
            v[i] = w;                                                                       \
            p[i] -= rate * (nesterov ? d + momentum * w : w);                               \
        }                                                                                   \
    }

TG_EACH_BUILD(PLAIN, plain_f32, float)
TG_EACH_BUILD(PLAIN, plain_f64, double)
TG_EACH_BUILD(WITH_MOMENTUM, momentum_f32, float)
TG_EACH_BUILD(WITH_MOMENTUM, momentum_f64, double)

static const char *check(const void *options)
{
    const tg_sgd_options *o = (const tg_sgd_options *)options;
    return o->nesterov && !(o->momentum > 0 && o->dampening <= 0)
               ? "nesterov wants a momentum and no dampening"
               : NULL;
}

static void variant(const void *options, tg_optim_rule *rule)
{
    const tg_update_fn heavy[][TG_BUILD_COUNT] = {TG_BUILDS(momentum_f32), TG_BUILDS(momentum_f64)};
    if (!(((const tg_sgd_options *)options)->momentum > 0)) return;
    rule->n_slots = 1;
    memcpy(rule->update[TG_F32], heavy[0], sizeof heavy[0]);
    memcpy(rule->update[TG_F64], heavy[1], sizeof heavy[1]);
}

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_sgd_options, 1e-3),
    TG_SETTING(tg_sgd_options, momentum, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_sgd_options, dampening, 0, TG_RANGE_TO_ONE),
    TG_SETTING(tg_sgd_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_sgd_options, nesterov, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_sgd_kind = {
    .info = {"sgd", "gradient descent, with momentum if wanted", TG_SETTINGS(settings)},
    .unsized = TG_UNSIZED(tg_sgd_options),
    .check = check,
    .rule = {.size = sizeof(tg_optim_rule),
             .name = "sgd",
             .options_size = sizeof(tg_sgd_options),
             .slot = {"momentum"},
             .prepare = prepare,
             .update = {[TG_F32] = TG_BUILDS(plain_f32), [TG_F64] = TG_BUILDS(plain_f64)}},
    .variant = variant};

TG_OPTIMIZER(sgd)
