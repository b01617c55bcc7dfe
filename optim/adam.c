#include <math.h>

#include <tapegrad/optim.h>

#include "../graph/memory.h"

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
            p[i] = p[i] * shrink - rate * mean / (ROOT_##T(w) + eps);                         \
        }                                                                                     \
    }
#define ROOT_float(x) sqrtf(x)
#define ROOT_double(x) sqrt(x)

TG_EACH_BUILD(ADAM, adam_f32, float, false)
TG_EACH_BUILD(ADAM, adam_f64, double, false)
TG_EACH_BUILD(ADAM, amsgrad_f32, float, true)
TG_EACH_BUILD(ADAM, amsgrad_f64, double, true)

static bool in_range(double x) { return isfinite(x) && x >= 0; }

static const char *check(const void *options)
{
    const tg_adam_options *o = (const tg_adam_options *)options;
    if (!o->size) return TG_UNSIZED(tg_adam_options);
    if (!in_range(o->beta1) || o->beta1 >= 1) return "beta1 must be in [0, 1)";
    if (!in_range(o->beta2) || o->beta2 >= 1) return "beta2 must be in [0, 1)";
    if (!in_range(o->eps)) return "eps must be finite and >= 0";
    if (!in_range(o->weight_decay)) return "the weight decay must be finite and >= 0";
    return NULL;
}

static const tg_optim_rule adam = {
    .size = sizeof(tg_optim_rule),
    .name = "adam",
    .options_size = sizeof(tg_adam_options),
    .n_slots = 2,
    .slot = {"mean", "square"},
    .check = check,
    .prepare = prepare,
    .update = {[TG_F32] = TG_BUILDS(adam_f32), [TG_F64] = TG_BUILDS(adam_f64)}};

static const tg_optim_rule amsgrad = {
    .size = sizeof(tg_optim_rule),
    .name = "adam",
    .options_size = sizeof(tg_adam_options),
    .n_slots = 3,
    .slot = {"mean", "square", "largest"},
    .check = check,
    .prepare = prepare,
    .update = {[TG_F32] = TG_BUILDS(amsgrad_f32), [TG_F64] = TG_BUILDS(amsgrad_f64)}};

static double or_default(double x, double otherwise) { return x != 0 ? x : otherwise; }

tg_optim *tg_adam_new_at(tg_params *ps, const char *where, const tg_adam_options *options)
{
    tg_adam_options o;
    if (tg_options_read(&o, sizeof o, options)) o.size = sizeof o;
    o.beta1 = or_default(o.beta1, 0.9);
    o.beta2 = or_default(o.beta2, 0.999);
    o.eps = or_default(o.eps, 1e-8);
    return tg_optim_new_at(ps, where, o.amsgrad ? &amsgrad : &adam,
                           or_default(o.learning_rate, 1e-3), &o);
}

tg_optim *(tg_adam_new)(tg_params *ps, const tg_adam_options *options)
{
    return tg_adam_new_at(ps, NULL, options);
}
