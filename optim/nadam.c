#include "rule.h"

/* A momentum that rises to beta1. */
static double momentum(const tg_nadam_options *o, double fade)
{
    return o->beta1 * (1 - 0.5 * fade);
}

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_nadam_options *o = options;
    const double ratio = pow(0.96, o->momentum_decay);
    double fade = 1, product = 1;
    /* Beyond 2^-60 no factor changes 1 - product any more. */
    for (int64_t k = 1; k <= step && product > 0x1p-60; k++) product *= momentum(o, fade *= ratio);
    fade = pow(ratio, (double)step);
    const double now = momentum(o, fade), next = momentum(o, fade * ratio),
                 root = sqrt(1 - pow(o->beta2, (double)step));
    tg_prepare(c, learning_rate, o->weight_decay, o->decoupled);
    c[TG_RATE] = learning_rate * root;
    c[TG_OWN] = o->beta1;
    c[TG_OWN + 1] = 1 - o->beta1;
    c[TG_OWN + 2] = o->beta2;
    c[TG_OWN + 3] = 1 - o->beta2;
    c[TG_OWN + 4] = o->eps * root;
    c[TG_OWN + 5] = (1 - now) / (1 - product);
    c[TG_OWN + 6] = next / (1 - product * next);
}

#define FIXED(T)                \
    TG_COEFFICIENT(T, beta1, 0) \
    TG_COEFFICIENT(T, take1, 1) \
    TG_COEFFICIENT(T, beta2, 2) \
    TG_COEFFICIENT(T, take2, 3) \
    TG_COEFFICIENT(T, eps, 4)   \
    TG_COEFFICIENT(T, fresh, 5) \
    TG_COEFFICIENT(T, ahead, 6) TG_SLOT(T, mean, 0) TG_SLOT(T, square, 1)
#define EACH(T)                                                                     \
    const T m = beta1 * mean[i] + take1 * d, v = beta2 * square[i] + take2 * d * d; \
    mean[i] = m;                                                                    \
    square[i] = v;                                                                  \
    p[i] = old - rate * (fresh * d + ahead * m) / (TG_SQRT_##T(v) + eps);
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_nadam_options, 2e-3),
    TG_SETTING(tg_nadam_options, beta1, 0.9, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_nadam_options, beta2, 0.999, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_nadam_options, eps, 1e-8, TG_RANGE_POSITIVE),
    TG_SETTING(tg_nadam_options, momentum_decay, 4e-3, TG_RANGE_POSITIVE),
    TG_SETTING(tg_nadam_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_nadam_options, decoupled, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_nadam_kind = {TG_KIND("nadam", "Adam with Nesterov's momentum",
                                             tg_nadam_options, settings, 2, "mean", "square")};

TG_OPTIMIZER(nadam)
