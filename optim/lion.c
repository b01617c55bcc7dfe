#include "rule.h"

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_lion_options *o = options;
    (void)step;
    tg_prepare(c, learning_rate, o->weight_decay, true);
    c[TG_OWN] = o->beta1;
    c[TG_OWN + 1] = 1 - o->beta1;
    c[TG_OWN + 2] = o->beta2;
    c[TG_OWN + 3] = 1 - o->beta2;
}

#define FIXED(T)                \
    TG_COEFFICIENT(T, beta1, 0) \
    TG_COEFFICIENT(T, take1, 1) \
    TG_COEFFICIENT(T, beta2, 2) TG_COEFFICIENT(T, take2, 3) TG_SLOT(T, mean, 0)
#define EACH(T)                                  \
    const T along = beta1 * mean[i] + take1 * d; \
    mean[i] = beta2 * mean[i] + take2 * d;       \
    p[i] = old - rate * TG_SIGN(T, along);
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_lion_options, 1e-4),
    TG_SETTING(tg_lion_options, beta1, 0.9, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_lion_options, beta2, 0.99, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_lion_options, weight_decay, 0, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_lion_kind = {
    TG_KIND("lion", "the sign of a momentum", tg_lion_options, settings, 1, "mean")};

TG_OPTIMIZER(lion)
