#include "rule.h"

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_rmsprop_options *o = options;
    (void)step;
    tg_prepare(c, learning_rate, o->weight_decay, false);
    c[TG_OWN] = o->alpha;
    c[TG_OWN + 1] = 1 - o->alpha;
    c[TG_OWN + 2] = o->eps;
    c[TG_OWN + 3] = o->momentum;
    c[TG_OWN + 4] = o->centered;
}

#define FIXED(T)                   \
    TG_COEFFICIENT(T, alpha, 0)    \
    TG_COEFFICIENT(T, take, 1)     \
    TG_COEFFICIENT(T, eps, 2)      \
    TG_COEFFICIENT(T, momentum, 3) \
    TG_CONDITION(heavy, 3)         \
    TG_CONDITION(centered, 4)      \
    TG_SLOT(T, square, 0) TG_SLOT(T, mean, 1) TG_SLOT(T, velocity, centered ? 2 : 1)
#define EACH(T)                                                    \
    T variance = square[i] = alpha * square[i] + take * d * d;     \
    if (centered) {                                                \
        mean[i] = alpha * mean[i] + take * d;                      \
        variance -= mean[i] * mean[i];                             \
    }                                                              \
    T step = d / (TG_SQRT_##T(variance) + eps);                    \
    if (heavy) step = velocity[i] = momentum * velocity[i] + step; \
    p[i] = old - rate * step;
TG_UPDATES(FIXED, EACH)

static void variant(const void *options, tg_optim_rule *rule)
{
    const tg_rmsprop_options *o = options;
    rule->n_slots = 1 + o->centered + (o->momentum > 0);
    if (!o->centered) rule->slot[1] = rule->slot[2];
}

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_rmsprop_options, 1e-2),
    TG_SETTING(tg_rmsprop_options, alpha, 0.99, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_rmsprop_options, eps, 1e-8, TG_RANGE_POSITIVE),
    TG_SETTING(tg_rmsprop_options, momentum, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_rmsprop_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_rmsprop_options, centered, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_rmsprop_kind = {
    TG_KIND("rmsprop", "steps divided by the root of a running mean square", tg_rmsprop_options,
            settings, 3, "square", "mean", "momentum"),
    .variant = variant};

TG_OPTIMIZER(rmsprop)
