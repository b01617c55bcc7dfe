/* Optimizers with a step size for each element, besides Adam. They are bound by memory, so one
 * build serves all processors. */
#include <math.h>

#include <tapegrad/optim.h>

#include "../graph/memory.h"

/* What all of them prepare first; the others' coefficients follow. */
enum { RATE, DECAY, FIRST };

#define ROOT_float(x) sqrtf(x)
#define ROOT_double(x) sqrt(x)
#define ABS_float(x) fabsf(x)
#define ABS_double(x) fabs(x)
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define SIGN(T, x) ((T)((x) > 0) - (T)((x) < 0))

/* Element by element, with the gradient d that holds the weight decay. */
#define UPDATE(fn, T, FIXED, EACH)                                          \
    static void fn(const tg_update *u)                                      \
    {                                                                       \
        const double *const c = u->c;                                       \
        const T rate = (T)c[RATE], decay = (T)c[DECAY], *const g = u->grad; \
        T *const p = u->value;                                              \
        FIXED                                                               \
        TG_INDEPENDENT                                                      \
        for (int64_t i = 0; i < u->n; i++) {                                \
            const T d = decay > 0 ? g[i] + decay * p[i] : g[i];             \
            EACH                                                            \
        }                                                                   \
    }
#define SLOT(T, name, k) T *const name = u->slot[k];
#define COEFFICIENT(T, name, k) const T name = (T)c[FIRST + (k)];

static bool in_range(double x) { return isfinite(x) && x >= 0; }
static double or_default(double x, double otherwise) { return x != 0 ? x : otherwise; }

static void begin(double *c, double learning_rate, double weight_decay)
{
    c[RATE] = learning_rate;
    c[DECAY] = weight_decay;
}

/* What is wrong with a rate of forgetting, and with the options that nearly all have. */
static const char *check_beta(double beta, const char *message)
{
    return in_range(beta) && beta < 1 ? NULL : message;
}
static const char *check_rest(double eps, double weight_decay)
{
    if (!in_range(eps)) return "eps must be finite and >= 0";
    return in_range(weight_decay) ? NULL : "the weight decay must be finite and >= 0";
}

/* The public functions of one: `defaults` completes o, `rule` is the one for o. */
#define OPTIMIZER(name, rate, defaults, rule)                                         \
    tg_optim *tg_##name##_new_at(tg_params *ps, const char *where,                    \
                                 const tg_##name##_options *options)                  \
    {                                                                                 \
        tg_##name##_options o;                                                        \
        if (tg_options_read(&o, sizeof o, options)) o.size = sizeof o;                \
        defaults;                                                                     \
        const tg_optim_rule r = rule;                                                 \
        return tg_optim_new_at(ps, where, &r, or_default(o.learning_rate, rate), &o); \
    }                                                                                 \
    tg_optim *(tg_##name##_new)(tg_params * ps, const tg_##name##_options *options)   \
    {                                                                                 \
        return tg_##name##_new_at(ps, NULL, options);                                 \
    }
#define RULE(name, slots, ...)                    \
    ((tg_optim_rule){sizeof(tg_optim_rule),       \
                     #name,                       \
                     sizeof(tg_##name##_options), \
                     slots,                       \
                     {__VA_ARGS__},               \
                     false,                       \
                     name##_check,                \
                     name##_prepare,              \
                     {[TG_F32] = {name##_f32}, [TG_F64] = {name##_f64}}})

/* ---------------------------------------------------------------- RMSprop */

static const char *rmsprop_check(const void *options)
{
    const tg_rmsprop_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_rmsprop_options);
    const char *wrong = check_beta(o->alpha, "alpha must be in [0, 1)");
    if (!wrong && !in_range(o->momentum)) wrong = "the momentum must be finite and >= 0";
    return wrong ? wrong : check_rest(o->eps, o->weight_decay);
}

static void rmsprop_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_rmsprop_options *o = options;
    (void)step;
    begin(c, learning_rate, o->weight_decay);
    c[FIRST] = o->alpha;
    c[FIRST + 1] = 1 - o->alpha;
    c[FIRST + 2] = o->eps;
    c[FIRST + 3] = o->momentum;
    c[FIRST + 4] = o->centered;
}

#define RMSPROP(T)                                                                            \
    COEFFICIENT(T, alpha, 0)                                                                  \
    COEFFICIENT(T, take, 1)                                                                   \
    COEFFICIENT(T, eps, 2)                                                                    \
    COEFFICIENT(T, momentum, 3) const bool centered = c[FIRST + 4] > 0, heavy = momentum > 0; \
    SLOT(T, square, 0) SLOT(T, mean, 1) SLOT(T, velocity, centered ? 2 : 1)
#define RMSPROP_EACH(T)                                            \
    T variance = square[i] = alpha * square[i] + take * d * d;     \
    if (centered) {                                                \
        mean[i] = alpha * mean[i] + take * d;                      \
        variance -= mean[i] * mean[i];                             \
    }                                                              \
    T step = d / (ROOT_##T(variance) + eps);                       \
    if (heavy) step = velocity[i] = momentum * velocity[i] + step; \
    p[i] -= rate * step;
UPDATE(rmsprop_f32, float, RMSPROP(float), RMSPROP_EACH(float))
UPDATE(rmsprop_f64, double, RMSPROP(double), RMSPROP_EACH(double))

OPTIMIZER(rmsprop, 1e-2, o.alpha = or_default(o.alpha, 0.99);
          o.eps = or_default(o.eps, 1e-8),
          RULE(rmsprop, 1 + o.centered + (o.momentum > 0), "square",
               o.centered ? "mean" : "momentum", "momentum"))

/* ---------------------------------------------------------------- Adagrad */

static const char *adagrad_check(const void *options)
{
    const tg_adagrad_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_adagrad_options);
    if (!in_range(o->rate_decay)) return "the decay of the rate must be finite and >= 0";
    return check_rest(o->eps, o->weight_decay);
}

static void adagrad_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adagrad_options *o = options;
    begin(c, learning_rate / (1 + (double)(step - 1) * o->rate_decay), o->weight_decay);
    c[FIRST] = o->eps;
}

#define ADAGRAD(T) COEFFICIENT(T, eps, 0) SLOT(T, sum, 0)
#define ADAGRAD_EACH(T)             \
    const T total = sum[i] + d * d; \
    sum[i] = total;                 \
    p[i] -= rate * d / (ROOT_##T(total) + eps);
UPDATE(adagrad_f32, float, ADAGRAD(float), ADAGRAD_EACH(float))
UPDATE(adagrad_f64, double, ADAGRAD(double), ADAGRAD_EACH(double))

OPTIMIZER(adagrad, 1e-2, o.eps = or_default(o.eps, 1e-10), RULE(adagrad, 1, "sum"))

/* ---------------------------------------------------------------- Adadelta */

static const char *adadelta_check(const void *options)
{
    const tg_adadelta_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_adadelta_options);
    const char *wrong = check_beta(o->rho, "rho must be in [0, 1)");
    return wrong ? wrong : check_rest(o->eps, o->weight_decay);
}

static void adadelta_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adadelta_options *o = options;
    (void)step;
    begin(c, learning_rate, o->weight_decay);
    c[FIRST] = o->rho;
    c[FIRST + 1] = 1 - o->rho;
    c[FIRST + 2] = o->eps;
}

#define ADADELTA(T)        \
    COEFFICIENT(T, rho, 0) \
    COEFFICIENT(T, take, 1) COEFFICIENT(T, eps, 2) SLOT(T, square, 0) SLOT(T, moved, 1)
#define ADADELTA_EACH(T)                                             \
    const T v = rho * square[i] + take * d * d;                      \
    const T step = ROOT_##T(moved[i] + eps) / ROOT_##T(v + eps) * d; \
    square[i] = v;                                                   \
    moved[i] = rho * moved[i] + take * step * step;                  \
    p[i] -= rate * step;
UPDATE(adadelta_f32, float, ADADELTA(float), ADADELTA_EACH(float))
UPDATE(adadelta_f64, double, ADADELTA(double), ADADELTA_EACH(double))

OPTIMIZER(adadelta, 1, o.rho = or_default(o.rho, 0.9);
          o.eps = or_default(o.eps, 1e-6), RULE(adadelta, 2, "square", "moved"))

/* ---------------------------------------------------------------- Adamax and RAdam */

static const char *adamax_check(const void *options)
{
    const tg_adamax_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_adamax_options);
    const char *wrong = check_beta(o->beta1, "beta1 must be in [0, 1)");
    if (!wrong) wrong = check_beta(o->beta2, "beta2 must be in [0, 1)");
    return wrong ? wrong : check_rest(o->eps, o->weight_decay);
}

static void adamax_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_adamax_options *o = options;
    begin(c, learning_rate / (1 - pow(o->beta1, (double)step)), o->weight_decay);
    c[FIRST] = o->beta1;
    c[FIRST + 1] = 1 - o->beta1;
    c[FIRST + 2] = o->beta2;
    c[FIRST + 3] = o->eps;
}

#define ADAMAX(T)            \
    COEFFICIENT(T, beta1, 0) \
    COEFFICIENT(T, take, 1)  \
    COEFFICIENT(T, beta2, 2) COEFFICIENT(T, eps, 3) SLOT(T, mean, 0) SLOT(T, largest, 1)
#define ADAMAX_EACH(T)                                                  \
    const T m = beta1 * mean[i] + take * d, faded = beta2 * largest[i], \
            w = LARGER(faded, ABS_##T(d) + eps);                        \
    mean[i] = m;                                                        \
    largest[i] = w;                                                     \
    p[i] -= rate * m / w;
UPDATE(adamax_f32, float, ADAMAX(float), ADAMAX_EACH(float))
UPDATE(adamax_f64, double, ADAMAX(double), ADAMAX_EACH(double))

OPTIMIZER(adamax, 2e-3, o.beta1 = or_default(o.beta1, 0.9); o.beta2 = or_default(o.beta2, 0.999);
          o.eps = or_default(o.eps, 1e-8), RULE(adamax, 2, "mean", "largest"))

static const char *radam_check(const void *options)
{
    const tg_radam_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_radam_options);
    const char *wrong = check_beta(o->beta1, "beta1 must be in [0, 1)");
    if (!wrong) wrong = check_beta(o->beta2, "beta2 must be in [0, 1)");
    return wrong ? wrong : check_rest(o->eps, o->weight_decay);
}

/* The variance of the step size is known once so many steps count, `length` of them. */
static void radam_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_radam_options *o = options;
    const double k = (double)step, power = pow(o->beta2, k), longest = 2 / (1 - o->beta2) - 1,
                 length = longest - 2 * k * power / (1 - power);
    const double rectified = sqrt((length - 4) * (length - 2) * longest /
                                  ((longest - 4) * (longest - 2) * length) * (1 - power));
    begin(c, learning_rate / (1 - pow(o->beta1, k)) * (length > 5 ? rectified : 1),
          o->weight_decay);
    c[FIRST] = o->beta1;
    c[FIRST + 1] = 1 - o->beta1;
    c[FIRST + 2] = o->beta2;
    c[FIRST + 3] = 1 - o->beta2;
    c[FIRST + 4] = o->eps;
    c[FIRST + 5] = length > 5;
}

#define RADAM(T)                                                                            \
    COEFFICIENT(T, beta1, 0)                                                                \
    COEFFICIENT(T, take1, 1)                                                                \
    COEFFICIENT(T, beta2, 2)                                                                \
    COEFFICIENT(T, take2, 3) COEFFICIENT(T, eps, 4) const bool adaptive = c[FIRST + 5] > 0; \
    SLOT(T, mean, 0) SLOT(T, square, 1)
#define RADAM_EACH(T)                                                               \
    const T m = beta1 * mean[i] + take1 * d, v = beta2 * square[i] + take2 * d * d; \
    mean[i] = m;                                                                    \
    square[i] = v;                                                                  \
    p[i] -= rate * (adaptive ? m / (ROOT_##T(v) + eps) : m);
UPDATE(radam_f32, float, RADAM(float), RADAM_EACH(float))
UPDATE(radam_f64, double, RADAM(double), RADAM_EACH(double))

OPTIMIZER(radam, 1e-3, o.beta1 = or_default(o.beta1, 0.9); o.beta2 = or_default(o.beta2, 0.999);
          o.eps = or_default(o.eps, 1e-8), RULE(radam, 2, "mean", "square"))

/* ---------------------------------------------------------------- signs alone: Lion, Rprop */

static const char *lion_check(const void *options)
{
    const tg_lion_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_lion_options);
    const char *wrong = check_beta(o->beta1, "beta1 must be in [0, 1)");
    if (!wrong) wrong = check_beta(o->beta2, "beta2 must be in [0, 1)");
    return wrong ? wrong : check_rest(0, o->weight_decay);
}

static void lion_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_lion_options *o = options;
    (void)step;
    begin(c, learning_rate, 0);
    c[FIRST] = o->beta1;
    c[FIRST + 1] = 1 - o->beta1;
    c[FIRST + 2] = o->beta2;
    c[FIRST + 3] = 1 - o->beta2;
    c[FIRST + 4] = 1 - learning_rate * o->weight_decay;
}

#define LION(T)              \
    COEFFICIENT(T, beta1, 0) \
    COEFFICIENT(T, take1, 1) \
    COEFFICIENT(T, beta2, 2) COEFFICIENT(T, take2, 3) COEFFICIENT(T, shrink, 4) SLOT(T, mean, 0)
#define LION_EACH(T)                             \
    const T along = beta1 * mean[i] + take1 * d; \
    mean[i] = beta2 * mean[i] + take2 * d;       \
    p[i] = p[i] * shrink - rate * SIGN(T, along);
UPDATE(lion_f32, float, LION(float), LION_EACH(float))
UPDATE(lion_f64, double, LION(double), LION_EACH(double))

OPTIMIZER(lion, 1e-4, o.beta1 = or_default(o.beta1, 0.9);
          o.beta2 = or_default(o.beta2, 0.99), RULE(lion, 1, "mean"))

static const char *rprop_check(const void *options)
{
    const tg_rprop_options *o = options;
    if (!o->size) return TG_UNSIZED(tg_rprop_options);
    if (!(o->shrink > 0 && o->shrink < 1)) return "shrink must be in (0, 1)";
    if (!(o->grow > 1) || !isfinite(o->grow)) return "grow must be finite and above 1";
    if (!(o->smallest > 0) || !(o->largest >= o->smallest) || !isfinite(o->largest))
        return "the steps must have a range: 0 < smallest <= largest";
    return NULL;
}

static void rprop_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_rprop_options *o = options;
    begin(c, learning_rate, 0);
    c[FIRST] = o->shrink;
    c[FIRST + 1] = o->grow;
    c[FIRST + 2] = o->smallest;
    c[FIRST + 3] = o->largest;
    c[FIRST + 4] = step == 1;
}

#define RPROP(T)                                                                                \
    COEFFICIENT(T, shrink, 0)                                                                   \
    COEFFICIENT(T, grow, 1)                                                                     \
    COEFFICIENT(T, smallest, 2) COEFFICIENT(T, largest, 3) const bool first = c[FIRST + 4] > 0; \
    SLOT(T, before, 0) SLOT(T, size, 1)
#define RPROP_EACH(T)                                                                     \
    const T agreed = d * before[i], old = first ? rate : size[i],                         \
            wanted = agreed > 0   ? old * grow                                            \
                     : agreed < 0 ? old * shrink                                          \
                                  : old;                                                  \
    const T bounded = wanted < smallest ? smallest : wanted > largest ? largest : wanted; \
    const T now = agreed < 0 ? 0 : d;                                                     \
    before[i] = now;                                                                      \
    size[i] = bounded;                                                                    \
    p[i] -= SIGN(T, now) * bounded;
UPDATE(rprop_f32, float, RPROP(float), RPROP_EACH(float))
UPDATE(rprop_f64, double, RPROP(double), RPROP_EACH(double))

OPTIMIZER(rprop, 1e-2, o.shrink = or_default(o.shrink, 0.5); o.grow = or_default(o.grow, 1.2);
          o.smallest = or_default(o.smallest, 1e-6);
          o.largest = or_default(o.largest, 50), RULE(rprop, 2, "before", "size"))
