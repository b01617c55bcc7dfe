#include "rule.h"

/* The variance of the step size is known once so many steps count, `length` of them. */
static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_radam_options *o = options;
    const double k = (double)step, power = pow(o->beta2, k), longest = 2 / (1 - o->beta2) - 1,
                 length = longest - 2 * k * power / (1 - power);
    const double rectified = sqrt((length - 4) * (length - 2) * longest /
                                  ((longest - 4) * (longest - 2) * length) * (1 - power));
    tg_prepare(c, learning_rate, o->weight_decay, o->decoupled);
    c[TG_RATE] = learning_rate / (1 - pow(o->beta1, k)) * (length > 5 ? rectified : 1);
    c[TG_OWN] = o->beta1;
    c[TG_OWN + 1] = 1 - o->beta1;
    c[TG_OWN + 2] = o->beta2;
    c[TG_OWN + 3] = 1 - o->beta2;
    c[TG_OWN + 4] = o->eps;
    c[TG_OWN + 5] = length > 5;
}

#define FIXED(T)                \
    TG_COEFFICIENT(T, beta1, 0) \
    TG_COEFFICIENT(T, take1, 1) \
    TG_COEFFICIENT(T, beta2, 2) \
    TG_COEFFICIENT(T, take2, 3) \
    TG_COEFFICIENT(T, eps, 4)   \
    TG_CONDITION(adaptive, 5) TG_SLOT(T, mean, 0) TG_SLOT(T, square, 1)
#define EACH(T)                                                                     \
    const T m = beta1 * mean[i] + take1 * d, v = beta2 * square[i] + take2 * d * d; \
    mean[i] = m;                                                                    \
    square[i] = v;                                                                  \
    p[i] = old - rate * (adaptive ? m / (TG_SQRT_##T(v) + eps) : m);
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_radam_options, 1e-3),
    TG_SETTING(tg_radam_options, beta1, 0.9, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_radam_options, beta2, 0.999, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_radam_options, eps, 1e-8, TG_RANGE_POSITIVE),
    TG_SETTING(tg_radam_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_radam_options, decoupled, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_radam_kind = {TG_KIND("radam",
                                             "Adam that waits until the mean square can be trusted",
                                             tg_radam_options, settings, 2, "mean", "square")};

TG_OPTIMIZER(radam)
