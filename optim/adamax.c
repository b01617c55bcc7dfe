#include "rule.h"

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adamax_options *o = options;
    tg_prepare(c, learning_rate / (1 - pow(o->beta1, (double)step)), o->weight_decay, false);
    c[TG_OWN] = o->beta1;
    c[TG_OWN + 1] = 1 - o->beta1;
    c[TG_OWN + 2] = o->beta2;
    c[TG_OWN + 3] = o->eps;
}

#define FIXED(T)                \
    TG_COEFFICIENT(T, beta1, 0) \
    TG_COEFFICIENT(T, take, 1)  \
    TG_COEFFICIENT(T, beta2, 2) \
    TG_COEFFICIENT(T, eps, 3) TG_SLOT(T, mean, 0) TG_SLOT(T, largest, 1)
#define EACH(T)                                                                                    \
    const T m = beta1 * mean[i] + take * d, faded = beta2 * largest[i], now = TG_ABS_##T(d) + eps, \
            w = faded > now ? faded : now;                                                         \
    mean[i] = m;                                                                                   \
    largest[i] = w;                                                                                \
    p[i] = old - rate * m / w;
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_adamax_options, 2e-3),
    TG_SETTING(tg_adamax_options, beta1, 0.9, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_adamax_options, beta2, 0.999, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_adamax_options, eps, 1e-8, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adamax_options, weight_decay, 0, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_adamax_kind = {
    TG_KIND("adamax", "Adam with the largest gradient in place of the mean square",
            tg_adamax_options, settings, 2, "mean", "largest")};

TG_OPTIMIZER(adamax)
