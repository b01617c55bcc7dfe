#include <math.h>

#include <tapegrad/optim.h>

#include "../graph/memory.h"

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

static bool in_range(double x) { return isfinite(x) && x >= 0; }

static const char *check(const void *options)
{
    const tg_sgd_options *o = (const tg_sgd_options *)options;
    if (!o->size) return TG_UNSIZED(tg_sgd_options);
    if (!in_range(o->momentum)) return "the momentum must be finite and >= 0";
    if (!in_range(o->dampening) || o->dampening > 1) return "the dampening must be in 0..1";
    if (!in_range(o->weight_decay)) return "the weight decay must be finite and >= 0";
    if (o->nesterov && !(o->momentum > 0 && o->dampening <= 0))
        return "nesterov wants a momentum and no dampening";
    return NULL;
}

static const tg_optim_rule plain = {
    .size = sizeof(tg_optim_rule),
    .name = "sgd",
    .options_size = sizeof(tg_sgd_options),
    .check = check,
    .prepare = prepare,
    .update = {[TG_F32] = TG_BUILDS(plain_f32), [TG_F64] = TG_BUILDS(plain_f64)}};

static const tg_optim_rule with_momentum = {
    .size = sizeof(tg_optim_rule),
    .name = "sgd",
    .options_size = sizeof(tg_sgd_options),
    .n_slots = 1,
    .slot = {"momentum"},
    .check = check,
    .prepare = prepare,
    .update = {[TG_F32] = TG_BUILDS(momentum_f32), [TG_F64] = TG_BUILDS(momentum_f64)}};

tg_optim *tg_sgd_new_at(tg_params *ps, const char *where, const tg_sgd_options *options)
{
    tg_sgd_options o;
    if (tg_options_read(&o, sizeof o, options)) o.size = sizeof o;
    const double learning_rate = o.learning_rate != 0 ? o.learning_rate : 1e-3;
    return tg_optim_new_at(ps, where, o.momentum > 0 ? &with_momentum : &plain, learning_rate, &o);
}

tg_optim *(tg_sgd_new)(tg_params *ps, const tg_sgd_options *options)
{
    return tg_sgd_new_at(ps, NULL, options);
}
