/* What the optimizers' files share: a kind of optimizer says its settings once, in a table from
 * which defaults, ranges, messages and the command line follow. Private. */
#ifndef TG_RULE_H
#define TG_RULE_H

#include <math.h>

#include <tapegrad/optim.h>

#include "../graph/memory.h"

enum { TG_MOST_OPTIONS = 256 }; /* bytes of a kind's options */

typedef struct tg_optim_kind {
    tg_optim_info info; /* the learning rate is the first of its settings */
    const char *unsized;
    void (*preset)(void *options);             /* before defaults and ranges; may be NULL */
    const char *(*check)(const void *options); /* what no range says; may be NULL */
    /* A part for the parameters that don't fit; may be NULL. */
    tg_optim *(*rest)(tg_params *ps, const char *where, const void *options);
    tg_optim_rule rule;
    void (*variant)(const void *options, tg_optim_rule *rule); /* may be NULL */
} tg_optim_kind;

#define TG_SETTING(type, field, otherwise, range)       \
    {                                                   \
#field, offsetof(type, field), otherwise, range \
    }
#define TG_SETTING_RATE(type, otherwise)                                  \
    {                                                                     \
        "lr", offsetof(type, learning_rate), otherwise, TG_RANGE_POSITIVE \
    }
#define TG_SETTINGS(list) list, (int)(sizeof(list) / sizeof(list)[0])

/* The optimizer of one kind with these options, whose type is the kind's. */
tg_optim *tg_optim_of_kind(tg_params *ps, const char *where, const tg_optim_kind *kind,
                           const void *options);

/* optim.c: an optimizer, in error when there is a fault. */
tg_optim *tg_optim_make(tg_params *ps, const char *where, const tg_optim_rule *rule,
                        double learning_rate, const void *options, const char *fault);

/* The two public functions of a kind. */
#define TG_OPTIMIZER(name)                                                                 \
    _Static_assert(sizeof(tg_##name##_options) <= TG_MOST_OPTIONS, "read into that many"); \
    tg_optim *tg_##name##_new_at(tg_params *ps, const char *where,                         \
                                 const tg_##name##_options *options)                       \
    {                                                                                      \
        return tg_optim_of_kind(ps, where, &tg_##name##_kind, options);                    \
    }                                                                                      \
    tg_optim *(tg_##name##_new)(tg_params * ps, const tg_##name##_options *options)        \
    {                                                                                      \
        return tg_optim_of_kind(ps, NULL, &tg_##name##_kind, options);                     \
    }

/* A kind whose rule has the functions prepare, update_f32 and update_f64 of its file, and slots. */
#define TG_KIND(kind, about, type, settings, slots, ...)                       \
    .info = {kind, about, TG_SETTINGS(settings)}, .unsized = TG_UNSIZED(type), \
    .rule = {.size = sizeof(tg_optim_rule),                                    \
             .name = kind,                                                     \
             .options_size = sizeof(type),                                     \
             .n_slots = slots,                                                 \
             .slot = {__VA_ARGS__},                                            \
             .prepare = prepare,                                               \
             .update = {[TG_F32] = {update_f32}, [TG_F64] = {update_f64}}}

/* ---------------------------------------------------------------- updates
 *
 * One build serves all processors where an update is bound by memory. What every rule prepares
 * comes first; decay belongs to the gradient, shrink to the parameter (decoupled decay). */
enum { TG_RATE, TG_DECAY, TG_SHRINK, TG_OWN };

static inline void tg_prepare(double *c, double learning_rate, double weight_decay, bool decoupled)
{
    c[TG_RATE] = learning_rate;
    c[TG_DECAY] = decoupled ? 0 : weight_decay;
    c[TG_SHRINK] = decoupled ? 1 - learning_rate * weight_decay : 1;
}

#define TG_SQRT_float(x) sqrtf(x)
#define TG_SQRT_double(x) sqrt(x)
#define TG_ABS_float(x) fabsf(x)
#define TG_ABS_double(x) fabs(x)
#define TG_SIGN(T, x) ((T)((x) > 0) - (T)((x) < 0))

/* Element by element, with the gradient d that holds the weight decay. FIXED(T) names coefficients
 * and slots, EACH(T) moves p[i]. */
#define TG_UPDATE(fn, T, FIXED, EACH)                                                   \
    static void fn(const tg_update *u)                                                  \
    {                                                                                   \
        const double *const c = u->c;                                                   \
        const T rate = (T)c[TG_RATE], decay = (T)c[TG_DECAY], shrink = (T)c[TG_SHRINK]; \
        const T *const g = u->grad;                                                     \
        T *const p = u->value;                                                          \
        FIXED(T)                                                                        \
        TG_INDEPENDENT                                                                  \
        for (int64_t i = 0; i < u->n; i++) {                                            \
            const T d = decay > 0 ? g[i] + decay * p[i] : g[i], old = p[i] * shrink;    \
            EACH(T)                                                                     \
        }                                                                               \
    }
#define TG_UPDATES(FIXED, EACH)               \
    TG_UPDATE(update_f32, float, FIXED, EACH) \
    TG_UPDATE(update_f64, double, FIXED, EACH)
#define TG_SLOT(T, name, k) T *const name = u->slot[k];
#define TG_COEFFICIENT(T, name, k) const T name = (T)c[TG_OWN + (k)];
#define TG_CONDITION(name, k) const bool name = c[TG_OWN + (k)] > 0;

#endif
