#include "rule.h"

static const char *check(const void *options)
{
    const tg_rprop_options *o = options;
    if (!(o->shrink > 0)) return "shrink must be in (0, 1)";
    if (!(o->grow > 1)) return "grow must be finite and above 1";
    if (!(o->smallest > 0) || !(o->largest >= o->smallest))
        return "the steps must have a range: 0 < smallest <= largest";
    return NULL;
}

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_rprop_options *o = options;
    tg_prepare(c, learning_rate, 0, false);
    c[TG_OWN] = o->shrink;
    c[TG_OWN + 1] = o->grow;
    c[TG_OWN + 2] = o->smallest;
    c[TG_OWN + 3] = o->largest;
    c[TG_OWN + 4] = step == 1;
}

#define FIXED(T)                   \
    TG_COEFFICIENT(T, less, 0)     \
    TG_COEFFICIENT(T, grow, 1)     \
    TG_COEFFICIENT(T, smallest, 2) \
    TG_COEFFICIENT(T, largest, 3)  \
    TG_CONDITION(first, 4) TG_SLOT(T, before, 0) TG_SLOT(T, size, 1)
#define EACH(T)                                                                           \
    const T agreed = d * before[i], last = first ? rate : size[i],                        \
            wanted = agreed > 0   ? last * grow                                           \
                     : agreed < 0 ? last * less                                           \
                                  : last;                                                 \
    const T bounded = wanted < smallest ? smallest : wanted > largest ? largest : wanted; \
    const T now = agreed < 0 ? 0 : d;                                                     \
    before[i] = now;                                                                      \
    size[i] = bounded;                                                                    \
    p[i] = old - TG_SIGN(T, now) * bounded;
TG_UPDATES(FIXED, EACH)

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_rprop_options, 1e-2),
    TG_SETTING(tg_rprop_options, shrink, 0.5, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_rprop_options, grow, 1.2, TG_RANGE_POSITIVE),
    TG_SETTING(tg_rprop_options, smallest, 1e-6, TG_RANGE_POSITIVE),
    TG_SETTING(tg_rprop_options, largest, 50, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_rprop_kind = {TG_KIND("rprop", "signs alone, for whole batches",
                                             tg_rprop_options, settings, 2, "before", "size"),
                                     .check = check};

TG_OPTIMIZER(rprop)
