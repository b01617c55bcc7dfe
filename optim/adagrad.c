#include "rule.h"

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adagrad_options *o = options;
    tg_prepare(c, learning_rate / (1 + (double)(step - 1) * o->rate_decay), o->weight_decay, false);
    c[TG_OWN] = o->eps;
    c[TG_OWN + 1] = step == 1 ? o->initial_sum : 0;
}

#define FIXED(T) TG_COEFFICIENT(T, eps, 0) TG_COEFFICIENT(T, initial, 1) TG_SLOT(T, sum, 0)
#define EACH(T)                               \
    const T total = sum[i] + initial + d * d; \
    sum[i] = total;                           \
    p[i] = old - rate * d / (TG_SQRT_##T(total) + eps);
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_adagrad_options, 1e-2),
    TG_SETTING(tg_adagrad_options, rate_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adagrad_options, eps, 1e-10, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adagrad_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adagrad_options, initial_sum, 0, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_adagrad_kind = {
    TG_KIND("adagrad", "steps divided by the root of the sum of squares so far", tg_adagrad_options,
            settings, 1, "sum")};

TG_OPTIMIZER(adagrad)
