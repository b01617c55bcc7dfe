#include "rule.h"

#include <string.h>

enum { RATE, DECAY, SHRINK, BETA1, TAKE1, BETA2, TAKE2, EPS };
_Static_assert((int)EPS < (int)TG_OPTIM_COEFFICIENTS, "Adam's coefficients must fit");

/* The correction of the square is folded into rate and eps: rate m / (sqrt(w) / root + eps) = rate
 * root m / (sqrt(w) + eps root). */
static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adam_options *o = (const tg_adam_options *)options;
    const double correction = 1 - pow(o->beta1, (double)step),
                 root = sqrt(1 - pow(o->beta2, (double)step));
    c[RATE] = learning_rate / correction * root;
    c[DECAY] = o->decoupled ? 0 : o->weight_decay;
    c[SHRINK] = o->decoupled ? 1 - learning_rate * o->weight_decay : 1;
    c[BETA1] = o->beta1;
    c[TAKE1] = 1 - o->beta1;
    c[BETA2] = o->beta2;
    c[TAKE2] = 1 - o->beta2;
    c[EPS] = o->eps * root;
}

#define ADAM(fn, TARGET, BUILD, T, AMSGRAD)                                                   \
    TARGET static void fn(const tg_update *u)                                                 \
    {                                                                                         \
        const T rate = (T)u->c[RATE], decay = (T)u->c[DECAY], shrink = (T)u->c[SHRINK];       \
        const T beta1 = (T)u->c[BETA1], take1 = (T)u->c[TAKE1];                               \
        const T beta2 = (T)u->c[BETA2], take2 = (T)u->c[TAKE2], eps = (T)u->c[EPS];           \
        const T *g = (const T *)u->grad;                                                      \
        T *p = (T *)u->value, *m = (T *)u->slot[0], *v = (T *)u->slot[1];                     \
        T *largest = (T *)u->slot[2];                                                         \
        TG_INDEPENDENT                                                                        \
        for (int64_t i = 0; i < u->n; i++) {                                                  \
            const T d = decay > 0 ? g[i] + decay * p[i] : g[i];                               \
            const T mean = beta1 * m[i] + take1 * d, square = beta2 * v[i] + take2 * (d * d); \
            T w = square;                                                                     \
            m[i] = mean;                                                                      \
            v[i] = square;                                                                    \
            if (AMSGRAD) largest[i] = w = largest[i] > square ? largest[i] : square;          \
            p[i] = p[i] * shrink - rate * mean / (TG_SQRT_##T(w) + eps);                      \
        }                                                                                     \
    }
TG_EACH_BUILD(ADAM, adam_f32, float, false)
TG_EACH_BUILD(ADAM, adam_f64, double, false)
TG_EACH_BUILD(ADAM, amsgrad_f32, float, true)
TG_EACH_BUILD(ADAM, amsgrad_f64, double, true)

static void variant(const void *options, tg_optim_rule *rule)
{
    const tg_update_fn with[][TG_BUILD_COUNT] = {TG_BUILDS(amsgrad_f32), TG_BUILDS(amsgrad_f64)};
    if (!((const tg_adam_options *)options)->amsgrad) return;
    rule->n_slots = 3;
    memcpy(rule->update[TG_F32], with[0], sizeof with[0]);
    memcpy(rule->update[TG_F64], with[1], sizeof with[1]);
}

/* clang-format off */
#define BETAS \
    TG_SETTING_RATE(tg_adam_options, 1e-3), \
    TG_SETTING(tg_adam_options, beta1, 0.9, TG_RANGE_BELOW_ONE), \
    TG_SETTING(tg_adam_options, beta2, 0.999, TG_RANGE_BELOW_ONE), \
    TG_SETTING(tg_adam_options, eps, 1e-8, TG_RANGE_POSITIVE), \
    TG_SETTING(tg_adam_options, amsgrad, 0, TG_RANGE_FLAG)
#define RULE(kind) \
    {.size = sizeof(tg_optim_rule), \
     .name = kind, \
     .options_size = sizeof(tg_adam_options), \
     .n_slots = 2, \
     .slot = {"mean", "square", "largest"}, \
     .prepare = prepare, \
     .update = {[TG_F32] = TG_BUILDS(adam_f32), [TG_F64] = TG_BUILDS(adam_f64)}}
/* clang-format on */

static const tg_optim_setting settings[] = {
    BETAS, TG_SETTING(tg_adam_options, weight_decay, 0, TG_RANGE_POSITIVE),
    TG_SETTING(tg_adam_options, decoupled, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_adam_kind = {
    .info = {"adam", "running means of gradients and their squares", TG_SETTINGS(settings)},
    .unsized = TG_UNSIZED(tg_adam_options),
    .rule = RULE("adam"),
    .variant = variant};

TG_OPTIMIZER(adam)

static void decouple(void *options) { ((tg_adam_options *)options)->decoupled = true; }

static const tg_optim_setting decoupled[] = {
    BETAS, TG_SETTING(tg_adam_options, weight_decay, 1e-2, TG_RANGE_POSITIVE)};

const tg_optim_kind tg_adamw_kind = {
    .info = {"adamw", "Adam whose weight decay stays out of the means", TG_SETTINGS(decoupled)},
    .unsized = TG_UNSIZED(tg_adam_options),
    .preset = decouple,
    .rule = RULE("adamw"),
    .variant = variant};
