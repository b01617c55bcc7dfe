/* tapegrad: optimizers, gradient clipping; learning-rate schedules are in
 * schedule.h.
 *
 *     tg_optim *o = tg_sgd_new(ps, &(tg_sgd_options){
 *         .size = sizeof(tg_sgd_options),
 *         .learning_rate = 0.1,
 *         .momentum = 0.9});
 *     for (int64_t step = 0; step < steps; step++) {
 *         ... record a loss ...
 *         tg_backward(t, loss);
 *         tg_clip_grad_norm(ps, 1);
 *         tg_optim_set_factor(o, tg_schedule_cosine(step, steps, 0));
 *         tg_optim_step(o);
 *         tg_tape_reset(t);
 *     }
 *     tg_optim_free(o);
 *
 * A step uses the gradients up: it moves every trainable parameter that has a
 * gradient, raises its version, and drops the gradient. Several tg_backward
 * before one step therefore add up, and nothing has to be zeroed. A parameter
 * without a gradient, or not trainable, is left alone, its weight decay and its
 * momentum included; so a step after a failed backward pass changes nothing.
 *
 * Errors stick to the optimizer as they do to a tape; an error of the parameter
 * set is taken over. Zero in an option means the default; where zero is a
 * meaningful choice too, a tiny number such as 1e-300 stands for it. Nothing
 * here prints, aborts or exits.
 *
 * Contents: the optimizers; optimizers by name; what all optimizers share;
 * groups; what happens to gradients first; state, for checkpoints; making your
 * own; L-BFGS; averages of weights; gradient clipping; the same without source
 * positions, for other languages. */
#ifndef TG_OPTIM_H
#define TG_OPTIM_H

#include <tapegrad/op.h>
#include <tapegrad/schedule.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An optimizer of one tg_params: a rule, its options, and what the rule
 * remembers of each parameter (its state); and parts, optimizers that step with
 * it. No parameter is moved by two. */
typedef struct tg_optim tg_optim;

/* ----------------------------------------------------------- the optimizers */

/* Stochastic gradient descent as PyTorch computes it. With parameter p,
 * gradient g and momentum buffer v, which starts as the first d:
 *     d = g + weight_decay p
 *     v = momentum v + (1 - dampening) d
 *     p = p - learning_rate v,
 *         with nesterov: p - learning_rate (d + momentum v),
 *         without momentum: p - learning_rate d
 * State: "momentum", when there is any. Ranges: all finite and >= 0, dampening
 * <= 1; nesterov wants a momentum and no dampening. */
typedef struct tg_sgd_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-3 */
    double momentum TG_ZERO;
    double dampening TG_ZERO;
    double weight_decay TG_ZERO;
    bool nesterov TG_ZERO;
} tg_sgd_options;

TG_API tg_optim *tg_sgd_new_at(tg_params *ps, const char *where, const tg_sgd_options *options);

/* Adam (Kingma and Ba 2015) as PyTorch computes it. In a parameter's k-th step,
 * with m and v starting at 0:
 *     d = g + weight_decay p;
 *         when decoupled: d = g, p = p - learning_rate weight_decay p
 *         (AdamW, Loshchilov and Hutter 2019)
 *     m = beta1 m + (1 - beta1) d
 *     v = beta2 v + (1 - beta2) d^2
 *     w = v;
 *         with amsgrad: the elementwise maximum of all v so far
 *         (Reddi, Kale and Kumar 2018)
 *     p = p - learning_rate / (1 - beta1^k) m
 *             / (sqrt(w) / sqrt(1 - beta2^k) + eps)
 * State: "mean", "square", and "largest" with amsgrad. Ranges: all finite and
 * >= 0, betas below 1. */
typedef struct tg_adam_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-3 */
    double beta1 TG_ZERO;         /* 0: 0.9 */
    double beta2 TG_ZERO;         /* 0: 0.999 */
    double eps TG_ZERO;           /* 0: 1e-8 */
    double weight_decay TG_ZERO;
    bool decoupled TG_ZERO;
    bool amsgrad TG_ZERO;
} tg_adam_options;

TG_API tg_optim *tg_adam_new_at(tg_params *ps, const char *where, const tg_adam_options *options);

/* In what follows d = g + weight_decay p, and a slot starts at 0. As PyTorch
 * computes them; ranges: all finite and >= 0, rates of forgetting below 1.
 *
 * RMSprop (Hinton 2012). State: "square", "mean" when centered, "momentum" when
 * there is any.
 *     v = alpha v + (1 - alpha) d^2;  w = v
 *     when centered: m = alpha m + (1 - alpha) d;  w = v - m^2
 *     s = d / (sqrt(w) + eps);  with momentum: s = b = momentum b + s
 *     p = p - learning_rate s */
typedef struct tg_rmsprop_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-2 */
    double alpha TG_ZERO;         /* 0: 0.99 */
    double eps TG_ZERO;           /* 0: 1e-8 */
    double momentum TG_ZERO;
    double weight_decay TG_ZERO;
    bool centered TG_ZERO;
} tg_rmsprop_options;
TG_API tg_optim *tg_rmsprop_new_at(tg_params *ps, const char *where,
                                   const tg_rmsprop_options *options);

/* Adagrad (Duchi, Hazan and Singer 2011). State: "sum". In a parameter's k-th
 * step, with s starting at initial_sum:
 *     s = s + d^2
 *     p = p - learning_rate / (1 + (k - 1) rate_decay) d / (sqrt(s) + eps) */
typedef struct tg_adagrad_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-2 */
    double rate_decay TG_ZERO;
    double eps TG_ZERO; /* 0: 1e-10 */
    double weight_decay TG_ZERO;
    double initial_sum TG_ZERO;
} tg_adagrad_options;
TG_API tg_optim *tg_adagrad_new_at(tg_params *ps, const char *where,
                                   const tg_adagrad_options *options);

/* Adadelta (Zeiler 2012). State: "square", "moved".
 *     v = rho v + (1 - rho) d^2
 *     s = sqrt(u + eps) / sqrt(v + eps) d
 *     u = rho u + (1 - rho) s^2
 *     p = p - learning_rate s */
typedef struct tg_adadelta_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1 */
    double rho TG_ZERO;           /* 0: 0.9 */
    double eps TG_ZERO;           /* 0: 1e-6 */
    double weight_decay TG_ZERO;
} tg_adadelta_options;
TG_API tg_optim *tg_adadelta_new_at(tg_params *ps, const char *where,
                                    const tg_adadelta_options *options);

/* Adamax (Kingma and Ba 2015). State: "mean", "largest". In the k-th step:
 *     m = beta1 m + (1 - beta1) d
 *     u = max(beta2 u, |d| + eps)
 *     p = p - learning_rate / (1 - beta1^k) m / u */
typedef struct tg_adamax_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 2e-3 */
    double beta1 TG_ZERO;         /* 0: 0.9 */
    double beta2 TG_ZERO;         /* 0: 0.999 */
    double eps TG_ZERO;           /* 0: 1e-8 */
    double weight_decay TG_ZERO;
} tg_adamax_options;
TG_API tg_optim *tg_adamax_new_at(tg_params *ps, const char *where,
                                  const tg_adamax_options *options);

/* RAdam (Liu et al. 2020). State: "mean", "square", as Adam's m and v. With
 * r = 2 / (1 - beta2) - 1 and r_k = r - 2 k beta2^k / (1 - beta2^k) the step is
 * Adam's without a denominator while r_k <= 5, and then, with eps beside
 * sqrt(v),
 *     learning_rate / (1 - beta1^k) m sqrt(1 - beta2^k) / (sqrt(v) + eps)
 *     sqrt((r_k - 4) (r_k - 2) r / ((r - 4) (r - 2) r_k))
 * The weight decay is Adam's, decoupled if wanted. */
typedef struct tg_radam_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-3 */
    double beta1 TG_ZERO;         /* 0: 0.9 */
    double beta2 TG_ZERO;         /* 0: 0.999 */
    double eps TG_ZERO;           /* 0: 1e-8 */
    double weight_decay TG_ZERO;
    bool decoupled TG_ZERO;
} tg_radam_options;
TG_API tg_optim *tg_radam_new_at(tg_params *ps, const char *where, const tg_radam_options *options);

/* NAdam (Dozat 2016). State: "mean", "square", as Adam's m and v. With
 * b_k = beta1 (1 - 0.96^(k momentum_decay) / 2) and B_k = b_1 ... b_k the
 * k-th step is
 *     p = p - learning_rate / (sqrt(v) / sqrt(1 - beta2^k) + eps)
 *             ((1 - b_k) / (1 - B_k) d + b_{k+1} / (1 - B_{k+1}) m)
 * The weight decay is Adam's, decoupled if wanted. */
typedef struct tg_nadam_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO;  /* 0: 2e-3 */
    double beta1 TG_ZERO;          /* 0: 0.9 */
    double beta2 TG_ZERO;          /* 0: 0.999 */
    double eps TG_ZERO;            /* 0: 1e-8 */
    double momentum_decay TG_ZERO; /* 0: 4e-3 */
    double weight_decay TG_ZERO;
    bool decoupled TG_ZERO;
} tg_nadam_options;
TG_API tg_optim *tg_nadam_new_at(tg_params *ps, const char *where, const tg_nadam_options *options);

/* Lion (Chen et al. 2023); the weight decay is decoupled. State: "mean".
 *     s = sign(beta1 m + (1 - beta1) g)
 *     m = beta2 m + (1 - beta2) g
 *     p = p - learning_rate (s + weight_decay p) */
typedef struct tg_lion_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-4 */
    double beta1 TG_ZERO;         /* 0: 0.9 */
    double beta2 TG_ZERO;         /* 0: 0.99 */
    double weight_decay TG_ZERO;
} tg_lion_options;
TG_API tg_optim *tg_lion_new_at(tg_params *ps, const char *where, const tg_lion_options *options);

/* Muon (Jordan et al. 2024), for matrices; the weight decay is decoupled. State:
 * "momentum".
 *     m = momentum m + (1 - momentum) g
 *     s = g + momentum (m - g);  with no_nesterov: s = m
 *     X = s / max(|s|, eps), lying on its longer side; `iterations` times:
 *     X = 3.4445 X + (2.0315 X X^T X X^T - 4.7750 X X^T) X
 *     p = p - learning_rate (sqrt(max(1, rows / columns)) X + weight_decay p);
 *         with match_adam 0.2 sqrt(max(rows, columns)) X
 * PyTorch rounds X to bfloat16; here it has the parameter's dtype. Parameters
 * that are no matrices are moved by a part of it (tg_optim_part), AdamW with
 * its defaults and rest_lr; PyTorch refuses them. Each matrix is one thread's
 * work, and takes 5 times its own memory. */
typedef struct tg_muon_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-3 */
    double momentum TG_ZERO;      /* 0: 0.95 */
    double weight_decay TG_ZERO;  /* 0: 0.1 */
    double eps TG_ZERO;           /* 0: 1e-7 */
    double iterations TG_ZERO;    /* 0: 5; whole, to 100 */
    double rest_lr TG_ZERO;       /* 0: 1e-3 */
    bool no_nesterov TG_ZERO;
    bool match_adam TG_ZERO;
} tg_muon_options;
TG_API tg_optim *tg_muon_new_at(tg_params *ps, const char *where, const tg_muon_options *options);

/* Rprop (Riedmiller and Braun 1993), for whole batches. State: "before",
 * "size". Each element has a step size of its own, the learning rate at first:
 * times `grow` where g has the sign of the step before, times `shrink` where it
 * has not, and then g counts as 0; within smallest .. largest.
 *     p = p - sign(g) size */
typedef struct tg_rprop_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1e-2 */
    double shrink TG_ZERO;        /* 0: 0.5; in (0, 1) */
    double grow TG_ZERO;          /* 0: 1.2; above 1 */
    double smallest TG_ZERO;      /* 0: 1e-6 */
    double largest TG_ZERO;       /* 0: 50 */
} tg_rprop_options;
TG_API tg_optim *tg_rprop_new_at(tg_params *ps, const char *where, const tg_rprop_options *options);

/* ---------------------------------------------------------- optimizers by name
 *
 * Every optimizer above, for programs that let their users choose. */

typedef enum tg_setting_range {
    TG_RANGE_POSITIVE,  /* finite and >= 0 */
    TG_RANGE_BELOW_ONE, /* in [0, 1) */
    TG_RANGE_TO_ONE,    /* in [0, 1] */
    TG_RANGE_FLAG       /* a bool: on or off */
} tg_setting_range;

/* "finite and >= 0" and so on; "?" for a number that is none */
TG_API const char *tg_setting_range_text(tg_setting_range range);

typedef struct tg_optim_setting {
    const char *name; /* the options' field; "lr" for learning_rate */
    size_t offset;    /* of the field */
    double otherwise; /* what it is when it isn't given */
    tg_setting_range range;
} tg_optim_setting;

typedef struct tg_optim_info {
    const char *name, *about;
    const tg_optim_setting *settings; /* lr first */
    int n_settings;
} tg_optim_info;

/* All optimizers; *n gets their number. */
TG_API const tg_optim_info *const *tg_optims_list(int *n);

/* An optimizer from text: its name and settings, spaces or commas between, such
 * as "adam lr=0.01 beta1=0.8 amsgrad". 0 means 0 here. "adamw" is Adam with a
 * decoupled weight decay of 0.01. TG_EVALUE names what is not understood. */
TG_API tg_optim *tg_optim_parse_at(tg_params *ps, const char *where, const char *text);

/* ------------------------------------------------- what all optimizers share
 *
 * Those that make one (tg_sgd_new, tg_optim_new and so on) return NULL only
 * when memory is short; an option out of range gives an optimizer in error.
 * options may be NULL. ps must outlive the optimizer's use; memory comes from
 * ps's allocator. */

TG_API void tg_optim_free(tg_optim *o); /* NULL allowed */
/* the sticky status; TG_ENOMEM for NULL */
TG_API tg_status tg_optim_status(const tg_optim *o);
/* "file:line: sgd: what"; "" without an error */
TG_API const char *tg_optim_message(const tg_optim *o);
/* an error of its creation stays: there is no optimizer to go on with */
TG_API void tg_optim_clear_error(tg_optim *o);

/* Takes a step and uses the gradients up. On an error no parameter has
 * changed. */
TG_API tg_status tg_optim_step(tg_optim *o);

/* Finite and >= 0; of o alone, not of its parts. The getter gives NaN for NULL.
 */
TG_API tg_status tg_optim_set_learning_rate(tg_optim *o, double learning_rate);
TG_API double tg_optim_learning_rate(const tg_optim *o);

/* The learning rates of o and its parts are multiplied by it, until it is set
 * anew: for schedules. 1 at first; finite and >= 0. */
TG_API tg_status tg_optim_set_factor(tg_optim *o, double factor);

/* Climbs instead of descending: every gradient of o changes its sign before the
 * rule sees it. */
TG_API tg_status tg_optim_set_maximize(tg_optim *o, bool maximize);
TG_API tg_params *tg_optim_params(const tg_optim *o); /* those that it steps */

/* How many threads share a step (1 at first, at most 1024), and which build of
 * the kernels runs. Neither changes a result. */
TG_API tg_status tg_optim_set_threads(tg_optim *o, int threads);
TG_API tg_status tg_optim_set_isa(tg_optim *o, tg_isa isa);

/* ------------------------------------------------------------------- groups
 *
 * Parameters with settings of their own, or with a rule of their own: an
 * optimizer moves every parameter of its set that no other one has taken by
 * name. Biases without weight decay:
 *
 *     tg_optim *o = tg_adam_new(ps, &decaying);
 *     tg_optim *biases = tg_adam_new(ps, &plain);
 *     tg_optim_take_named(biases, "*.bias");
 *     tg_optim_add(o, biases);
 *
 * Two optimizers that would move one parameter are TG_ESTATE, in the step of the
 * second or where it takes the parameter; freeing the first gives its parameters
 * free. */

/* o moves this parameter, and from now on nothing but what it has taken. */
TG_API tg_status tg_optim_take(tg_optim *o, tg_tensor *param);

/* The same for all that there are now with names like the pattern, in which *
 * is any text and ? any character. TG_EVALUE when there is none. */
TG_API tg_status tg_optim_take_named(tg_optim *o, const char *pattern);

/* A step of o is one of part too, of the same or of another tg_params: both or
 * neither happen. part belongs to o from now on (it is freed with it, at once
 * on an error of either), takes over its threads and instruction set, and its
 * errors; it keeps its learning rate. What is said of state below means o and
 * its parts. TG_ESTATE, which leaves part as it was, for one that is a part or
 * has parts. */
TG_API tg_status tg_optim_add(tg_optim *o, tg_optim *part);
TG_API int tg_optim_parts(const tg_optim *o); /* how many */
/* NULL out of range */
TG_API tg_optim *tg_optim_part(const tg_optim *o, int k);

/* -------------------------------------------- what happens to gradients first */

/* What becomes of a step whose gradients hold NaN or infinity. */
typedef enum tg_nonfinite {
    TG_NONFINITE_KEEP, /* it is taken, without clipping by the norm */
    TG_NONFINITE_SKIP, /* the gradients are dropped; tg_optim_skipped counts */
    TG_NONFINITE_ERROR /* TG_ENONFINITE, which names the parameter */
} tg_nonfinite;

typedef struct tg_clip_options {
    size_t size TG_ZERO;
    /* Scale by min(1, norm / (norm before + 1e-6)); 0: don't. The norm is that
     * of all gradients that o and its parts are about to use. */
    double norm TG_ZERO;
    /* before that, limit each element to [-value, value]; 0: don't */
    double value TG_ZERO;
    tg_nonfinite nonfinite TG_ZERO;
} tg_clip_options;

/* In each step from now on, before the rules see the gradients; NULL: nothing. */
TG_API tg_status tg_optim_set_clip(tg_optim *o, const tg_clip_options *options);

/* The norm of the last step's gradients before it was limited; NaN unless norm
 * or nonfinite is set. */
TG_API double tg_optim_grad_norm(const tg_optim *o);
/* how many steps were dropped */
TG_API int64_t tg_optim_skipped(const tg_optim *o);

/* Micro-batches: only each steps-th tg_optim_step moves, by the mean of the
 * gradients since the last move; those between return TG_OK and leave the
 * gradients to be added to. 1 at first. */
TG_API tg_status tg_optim_set_accumulate(tg_optim *o, int64_t steps);

/* --------------------------------------------------- state, for checkpoints */

/* One tensor of state: a slot of a parameter, of that parameter's dtype and
 * shape; or the slot "step", a 0-dim i64: how many steps the parameter has
 * taken. Pointers belong to the optimizer and are valid until its next step or
 * change. */
typedef struct tg_optim_state {
    const char *param;
    const char *slot;
    tg_dtype dtype;
    tg_shape shape;
    const void *data;
} tg_optim_state;

/* The entries are numbered from 0; tg_optim_state_get is false for those of
 * parameters that have taken no step, and out of range. */
TG_API int tg_optim_state_count(const tg_optim *o);
TG_API bool tg_optim_state_get(const tg_optim *o, int index, tg_optim_state *out);

/* Copies an entry into an optimizer of the same rule. After all entries of
 * another one were set, both take the same steps. TG_EVALUE for an unknown
 * parameter or slot, or a step outside 0 .. 2^53; TG_EDTYPE, TG_ESHAPE when it
 * does not fit the parameter. */
TG_API tg_status tg_optim_state_set(tg_optim *o, const tg_optim_state *state);

/* ------------------------------------------------------------ making your own
 *
 * A rule says how one parameter moves. A whole one, sign descent with momentum:
 *
 *     typedef struct sign_options {
 *         size_t size;
 *         double momentum;
 *     } sign_options;
 *     static void sign_prepare(const void *options, double learning_rate,
 *                              int64_t step, double *c)
 *     {
 *         c[0] = learning_rate;
 *         c[1] = ((const sign_options *)options)->momentum;
 *     }
 *     static void sign_f32(const tg_update *u)
 *     {
 *         float *p = u->value, *v = u->slot[0];
 *         const float *g = u->grad;
 *         const float rate = (float)u->c[0], momentum = (float)u->c[1];
 *         for (int64_t i = 0; i < u->n; i++) {
 *             v[i] = momentum * v[i] + g[i];
 *             p[i] -= copysignf(rate, v[i]);
 *         }
 *     }
 *     static const tg_optim_rule sign = {
 *         .size = sizeof(tg_optim_rule), .name = "sign",
 *         .options_size = sizeof(sign_options), .n_slots = 1,
 *         .slot = {"momentum"}, .prepare = sign_prepare,
 *         .update = {[TG_F32] = {sign_f32}}};
 *     const sign_options options = {sizeof(sign_options), 0.9};
 *     o = tg_optim_new(ps, &sign, 0.01, &options); */
enum { TG_OPTIM_SLOTS = 4, TG_OPTIM_COEFFICIENTS = 12 };

/* A part of one parameter, n elements of each array. */
typedef struct tg_update {
    int64_t n;
    void *value; /* to be changed */
    const void *grad;
    /* to be changed; zeros before the parameter's first step */
    void *slot[TG_OPTIM_SLOTS];
    const double *c; /* what prepare wrote */
    const void *options;
    const tg_shape *shape; /* the parameter's */
    /* n_scratch arrays like value, one behind the other, with undefined contents;
     * for the rule's use */
    void *scratch;
} tg_update;

typedef void (*tg_update_fn)(const tg_update *u);

typedef struct tg_optim_rule {
    size_t size TG_ZERO;      /* sizeof(tg_optim_rule) */
    const char *name TG_ZERO; /* as in messages: "sgd" */
    /* bytes of options that the optimizer copies; 0: none */
    size_t options_size TG_ZERO;
    int n_slots TG_ZERO;
    /* their names: unique, not "step" */
    const char *slot[TG_OPTIM_SLOTS] TG_ZERO;
    /* update sees whole parameters, never parts: for rules that are not
     * elementwise. */
    bool whole TG_ZERO;
    /* NULL, or what is wrong with the options. May be NULL. */
    const char *(*check)(const void *options)TG_ZERO;
    /* The coefficients of a parameter's step-th step (from 1), written to
     * c[TG_OPTIM_COEFFICIENTS] in double; they may depend on nothing but the
     * arguments. May be NULL. */
    void (*prepare)(const void *options, double learning_rate, int64_t step, double *c) TG_ZERO;
    /* By dtype (TG_F32, TG_F64) and build; a missing build falls back to the
     * one before it, and a dtype without any is TG_EDTYPE. Parts may be updated
     * in any order, on several threads. */
    tg_update_fn update[TG_F64 + 1][TG_BUILD_COUNT] TG_ZERO;
    /* Which parameters it can move; others are left alone. NULL: all. */
    bool (*fits)(tg_dtype dtype, tg_shape shape) TG_ZERO;
    int n_scratch TG_ZERO; /* for whole rules; at most 4 */
} tg_optim_rule;

/* The rule and the options are copied; the strings that the rule points to must
 * stay. */
TG_API tg_optim *tg_optim_new_at(tg_params *ps, const char *where, const tg_optim_rule *rule,
                                 double learning_rate, const void *options);

/* ------------------------------------------------------------------ L-BFGS
 *
 * Limited-memory BFGS (Nocedal 1980) with PyTorch's settings, for whole batches:
 * it asks for loss and gradient several times a step, through a closure.
 *
 *     static double loss(void *user)
 *     {
 *         net *m = user;
 *         tg_tensor *y = record the loss on m->t;
 *         tg_backward(m->t, y);
 *         const double value = tg_item(m->t, y);  (NaN when the tape is in error)
 *         tg_tape_reset(m->t);
 *         return value;
 *     }
 *     tg_lbfgs *l = tg_lbfgs_new(ps, NULL);
 *     for (int k = 0; k < 100; k++) tg_lbfgs_step(l, loss, &m);
 *
 * An iteration goes t d: d = -H g, with H the inverse Hessian matrix as the last
 * `history` steps s and gradient differences y show it, beginning with
 * s.y / y.y (pairs with s.y <= 1e-10 are left out); t fulfils the strong Wolfe
 * conditions with c1 = 1e-4 and c2 = 0.9 (at most 25 places are tried), or is the
 * learning rate with fixed_step. In the first iteration the learning rate is
 * times min(1, 1 / sum |g|). It computes in f64 and moves all trainable
 * parameters, one without a gradient counting as flat; memory: (6 + 2 history)
 * f64 an element. */
typedef struct tg_lbfgs tg_lbfgs;

/* The loss where the parameters are, its gradients handed in; NaN: it failed. */
typedef double tg_closure_fn(void *user);

typedef struct tg_lbfgs_options {
    size_t size TG_ZERO;
    double learning_rate TG_ZERO; /* 0: 1; where the line search begins */
    int64_t iterations TG_ZERO;   /* of a step, at most; 0: 20 */
    int64_t calls TG_ZERO;        /* of the closure after which none begins; 0: 5/4 iterations */
    int64_t history TG_ZERO;      /* 0: 100 */
    /* A step ends when no element of the gradient is larger (0: 1e-7), and when
     * no parameter or not the loss changes by more (0: 1e-9). */
    double gradient_tolerance TG_ZERO;
    double change_tolerance TG_ZERO;
    bool fixed_step TG_ZERO; /* no line search */
} tg_lbfgs_options;

/* Errors as with optimizers: NULL only when memory is short. */
TG_API tg_lbfgs *tg_lbfgs_new_at(tg_params *ps, const char *where, const tg_lbfgs_options *options);
TG_API void tg_lbfgs_free(tg_lbfgs *l); /* NULL allowed */
TG_API tg_status tg_lbfgs_status(const tg_lbfgs *l);
TG_API const char *tg_lbfgs_message(const tg_lbfgs *l);
TG_API void tg_lbfgs_clear_error(tg_lbfgs *l);

/* At most `iterations` iterations. On an error of the closure (TG_ENONFINITE) the
 * parameters are where the last whole iteration left them. TG_ESTATE when another
 * optimizer moves one of them. */
TG_API tg_status tg_lbfgs_step(tg_lbfgs *l, tg_closure_fn *closure, void *user);
/* where the last step ended; NaN before the first */
TG_API double tg_lbfgs_loss(const tg_lbfgs *l);

/* For checkpoints: what is remembered between steps, as so many f64; 0 before the
 * first step, and in error. Setting it in a new one of the same options and
 * parameters, both take the same steps. TG_EVALUE for numbers that fit neither. */
TG_API int64_t tg_lbfgs_state_count(const tg_lbfgs *l);
TG_API tg_status tg_lbfgs_state_get(tg_lbfgs *l, double *out);
TG_API tg_status tg_lbfgs_state_set(tg_lbfgs *l, int64_t count, const double *state);

/* -------------------------------------------------------- averages of weights
 *
 * Beside the weights that are trained, their average over the steps: evaluated
 * in their place. After the first update it is the weights, then
 *     a = a + (p - a) / k  (stochastic weight averaging, Izmailov et al. 2018; k
 *                           counts updates)
 *     a = decay a + (1 - decay) p  (exponential moving average), with decay > 0
 *
 *     tg_average *a = tg_average_new(ps, 0.999);
 *     ... after each step: tg_average_update(a);
 *     tg_average_swap(a);  ... evaluate ...  tg_average_swap(a); */
typedef struct tg_average tg_average;

/* decay in [0, 1). Covers the parameters that ps has now, trainable or not; ps
 * must outlive it. NULL only when memory is short. */
TG_API tg_average *tg_average_new(tg_params *ps, double decay);
TG_API void tg_average_free(tg_average *a); /* NULL allowed */
TG_API tg_status tg_average_status(const tg_average *a);
TG_API const char *tg_average_message(const tg_average *a);
TG_API void tg_average_clear_error(tg_average *a);

/* Takes the weights in. TG_ESTATE while they are swapped. */
TG_API tg_status tg_average_update(tg_average *a);
/* Exchanges weights and averages; again: back. Before an update TG_ESTATE. */
TG_API tg_status tg_average_swap(tg_average *a);

/* For checkpoints: the average of a parameter, of its dtype and shape, valid
 * until a is freed (the weights while swapped), NULL for one that isn't covered;
 * how many updates it holds; and setting both. */
TG_API const void *tg_average_data(const tg_average *a, const tg_tensor *param);
TG_API int64_t tg_average_count(const tg_average *a);
TG_API tg_status tg_average_set(tg_average *a, const tg_tensor *param, const void *data);
/* >= 0 */
TG_API tg_status tg_average_set_count(tg_average *a, int64_t updates);

/* -------------------------------------------------------- gradient clipping */

/* Scales all gradients of ps by min(1, max / (norm + 1e-6)), as PyTorch does,
 * and returns the norm before: the root of the sum of all squared elements. A
 * norm that is NaN or infinite is returned and changes nothing;
 * tg_params_drop_grads then skips the step. The sum is taken in f64, in chunks
 * of 1024 elements combined pairwise. NaN on an error, which sticks to ps; max
 * must be finite and >= 0. */
TG_API double tg_clip_grad_norm(tg_params *ps, double max);

/* The same for n sets of parameters with one norm over all of them. Errors
 * stick to the first set. */
TG_API double tg_clip_grad_norms(int n, tg_params *const *sets, double max);

/* Limits every element of every gradient to [-limit, limit]; NaN stays. limit
 * must be >= 0. */
TG_API tg_status tg_clip_grad_value(tg_params *ps, double limit);

/* Multiplies all gradients by a finite factor: 1 / n gives the mean of n
 * backward passes. */
TG_API tg_status tg_scale_grads(tg_params *ps, double factor);

/* ------------------- the same without source positions, for other languages */

TG_API tg_optim *tg_sgd_new(tg_params *ps, const tg_sgd_options *options);
TG_API tg_optim *tg_adam_new(tg_params *ps, const tg_adam_options *options);
TG_API tg_optim *tg_rmsprop_new(tg_params *ps, const tg_rmsprop_options *options);
TG_API tg_optim *tg_adagrad_new(tg_params *ps, const tg_adagrad_options *options);
TG_API tg_optim *tg_adadelta_new(tg_params *ps, const tg_adadelta_options *options);
TG_API tg_optim *tg_adamax_new(tg_params *ps, const tg_adamax_options *options);
TG_API tg_optim *tg_radam_new(tg_params *ps, const tg_radam_options *options);
TG_API tg_optim *tg_muon_new(tg_params *ps, const tg_muon_options *options);
TG_API tg_optim *tg_nadam_new(tg_params *ps, const tg_nadam_options *options);
TG_API tg_optim *tg_optim_parse(tg_params *ps, const char *text);
TG_API tg_lbfgs *tg_lbfgs_new(tg_params *ps, const tg_lbfgs_options *options);
TG_API tg_optim *tg_lion_new(tg_params *ps, const tg_lion_options *options);
TG_API tg_optim *tg_rprop_new(tg_params *ps, const tg_rprop_options *options);
TG_API tg_optim *tg_optim_new(tg_params *ps, const tg_optim_rule *rule, double learning_rate,
                              const void *options);

#ifdef __cplusplus
}
#endif

/* The last argument may be a compound literal with commas in it. */
#ifndef TG_NO_MACROS
#define tg_sgd_new(ps, ...) tg_sgd_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_adam_new(ps, ...) tg_adam_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_rmsprop_new(ps, ...) tg_rmsprop_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_adagrad_new(ps, ...) tg_adagrad_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_adadelta_new(ps, ...) tg_adadelta_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_adamax_new(ps, ...) tg_adamax_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_radam_new(ps, ...) tg_radam_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_muon_new(ps, ...) tg_muon_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_nadam_new(ps, ...) tg_nadam_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_lbfgs_new(ps, ...) tg_lbfgs_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_optim_parse(ps, text) tg_optim_parse_at(ps, TG_HERE, text)
#define tg_lion_new(ps, ...) tg_lion_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_rprop_new(ps, ...) tg_rprop_new_at(ps, TG_HERE, __VA_ARGS__)
#define tg_optim_new(ps, rule, learning_rate, ...) \
    tg_optim_new_at(ps, TG_HERE, rule, learning_rate, __VA_ARGS__)
#endif

#endif
