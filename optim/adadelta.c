#include "rule.h"

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adadelta_options *o = options;
    (void)step;
    tg_prepare(c, learning_rate, o->weight_decay, false);
    c[TG_OWN] = o->rho;
    c[TG_OWN + 1] = 1 - o->rho;
    c[TG_OWN + 2] = o->eps;
}

#define FIXED(T)              \
    TG_COEFFICIENT(T, rho, 0) \
    TG_COEFFICIENT(T, take, 1) TG_COEFFICIENT(T, eps, 2) TG_SLOT(T, square, 0) TG_SLOT(T, moved, 1)
#define EACH(T)                                                            \
    const T v = rho * square[i] + take * d * d;                            \
    const T step = TG_SQRT_##T(moved[i] + eps) / TG_SQRT_##T(v + eps) * d; \
    square[i] = v;                                                         \
    moved[i] = rho * moved[i] + take * step * step;                        \
    p[i] = old - rate * step;
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_adadelta_options, 1),
    TG_SETTING(tg_adadelta_options, rho, 0.9, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_adadelta_options, eps, 1e-6, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adadelta_options, weight_decay, 0, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_adadelta_kind = {TG_KIND("adadelta", "steps in units of the steps before",
                                                tg_adadelta_options, settings, 2, "square",
                                                "moved")};

TG_OPTIMIZER(adadelta)
