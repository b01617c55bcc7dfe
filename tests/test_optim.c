/* Optimizers against the updates of PyTorch's documentation, written down here once more, one
 * scalar at a time. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/ops.h>
#include <tapegrad/optim.h>

#include "allocator.h"

/* Repeatable numbers in [-1, 1], unrelated to the library's generator. */
static double number(int k)
{
    const double x = sin(12.9898 * k + 4.1414) * 43758.5453;
    return 2 * (x - floor(x)) - 1;
}

/* ---------------------------------------------------------------- the reference */

/* One scalar parameter and what an optimizer remembers of it. */
typedef struct scalar {
    double p, buffer, exp_avg, exp_avg_sq, max_exp_avg_sq;
    int steps;
} scalar;

static double or_default(double x, double otherwise) { return x != 0 ? x : otherwise; }

static void reference_sgd(scalar *s, double g, const tg_sgd_options *o)
{
    if (o->weight_decay != 0) g = g + o->weight_decay * s->p;
    if (o->momentum != 0) {
        if (s->steps == 0) s->buffer = g;
        else s->buffer = o->momentum * s->buffer + (1 - o->dampening) * g;
        if (o->nesterov) g = g + o->momentum * s->buffer;
        else g = s->buffer;
    }
    s->p = s->p - or_default(o->learning_rate, 1e-3) * g;
    s->steps++;
}

static void reference_adam(scalar *s, double g, const tg_adam_options *o)
{
    const double lr = or_default(o->learning_rate, 1e-3), beta1 = or_default(o->beta1, 0.9),
                 beta2 = or_default(o->beta2, 0.999);
    s->steps++;
    if (o->decoupled) s->p = s->p * (1 - lr * o->weight_decay);
    else if (o->weight_decay != 0) g = g + o->weight_decay * s->p;
    s->exp_avg = beta1 * s->exp_avg + (1 - beta1) * g;
    s->exp_avg_sq = beta2 * s->exp_avg_sq + (1 - beta2) * g * g;
    const double bias_correction1 = 1 - pow(beta1, s->steps),
                 bias_correction2 = 1 - pow(beta2, s->steps);
    double square = s->exp_avg_sq;
    if (o->amsgrad) square = s->max_exp_avg_sq = fmax(s->max_exp_avg_sq, square);
    const double denominator = sqrt(square) / sqrt(bias_correction2) + or_default(o->eps, 1e-8);
    s->p = s->p - lr / bias_correction1 * (s->exp_avg / denominator);
}

/* ---------------------------------------------------------------- sets of parameters under test */

enum { N_PARAMS = 4, LONGEST = 20000, N_STEPS = 12 };
static const int lengths[N_PARAMS] = {1, 37, 1000,
                                      LONGEST}; /* vector remainders, and more than one piece */

/* In every third step parameter 1 has no gradient. */
static bool skipped(int step, int param) { return param == 1 && step % 3 == 1; }

static double gradient(int step, int param, int i)
{
    return number(1 + step * 7919 + param * 104729 + i) * (i % 5 ? 1 : 1e-3);
}

static tg_params *make_params(tg_dtype dtype, const tg_allocator *allocator)
{
    tg_params *ps = tg_params_new(
        &(tg_params_options){.size = sizeof(tg_params_options), .allocator = allocator, .seed = 5});
    for (int k = 0; k < N_PARAMS; k++) {
        char name[24];
        snprintf(name, sizeof name, "p%d", k);
        tg_param_new(ps, name, dtype, TG_SHAPE(lengths[k]), (tg_init){TG_NORMAL, 0, 1});
    }
    return ps;
}

static void hand_in(tg_params *ps, int step)
{
    static float f32[LONGEST];
    static double f64[LONGEST];
    for (int k = 0; k < tg_params_count(ps); k++) {
        tg_tensor *p = tg_params_get(ps, k);
        if (skipped(step, k)) continue;
        for (int i = 0; i < lengths[k]; i++) f32[i] = (float)(f64[i] = gradient(step, k, i));
        cr_assert_eq(tg_param_add_grad(p, tg_tensor_dtype(p) == TG_F32 ? (const void *)f32 : f64),
                     TG_OK);
    }
}

static double value(const tg_params *ps, int k, int i)
{
    const tg_tensor *p = tg_params_get(ps, k);
    return tg_tensor_dtype(p) == TG_F32 ? (double)((const float *)tg_param_data(p))[i]
                                        : ((const double *)tg_param_data(p))[i];
}

/* Steps o and the reference N_STEPS times, with a learning rate that changes half way. */
static void follows(tg_params *ps, tg_optim *o, tg_sgd_options sgd, const tg_adam_options *adam,
                    double tolerance, const char *label)
{
    static scalar reference[N_PARAMS][LONGEST];
    tg_adam_options a = adam ? *adam : (tg_adam_options){0};
    cr_assert_eq(tg_optim_status(o), TG_OK, "%s", tg_optim_message(o));
    for (int k = 0; k < N_PARAMS; k++)
        for (int i = 0; i < lengths[k]; i++) reference[k][i] = (scalar){.p = value(ps, k, i)};
    for (int step = 0; step < N_STEPS; step++) {
        if (step == N_STEPS / 2) {
            sgd.learning_rate = a.learning_rate = tg_optim_learning_rate(o) / 3;
            cr_assert_eq(tg_optim_set_learning_rate(o, sgd.learning_rate), TG_OK);
        }
        hand_in(ps, step);
        uint64_t version[N_PARAMS];
        for (int k = 0; k < N_PARAMS; k++) version[k] = tg_param_version(tg_params_get(ps, k));
        cr_assert_eq(tg_optim_step(o), TG_OK, "%s: %s", label, tg_optim_message(o));
        for (int k = 0; k < N_PARAMS; k++) {
            const tg_tensor *p = tg_params_get(ps, k);
            cr_assert_eq(tg_param_version(p), version[k] + !skipped(step, k));
            cr_assert_null(tg_param_grad(p), "a step uses the gradients up");
            for (int i = 0; i < lengths[k]; i++) {
                scalar *s = &reference[k][i];
                const double g = tg_tensor_dtype(p) == TG_F32 ? (double)(float)gradient(step, k, i)
                                                              : gradient(step, k, i);
                if (!skipped(step, k)) adam ? reference_adam(s, g, &a) : reference_sgd(s, g, &sgd);
                const double error = fabs(value(ps, k, i) - s->p),
                             bound = tolerance * fmax(1, fabs(s->p));
                if (!(error <= bound))
                    cr_assert_fail("%s: step %d, p%d[%d] is %.17g, not %.17g", label, step, k, i,
                                   value(ps, k, i), s->p);
            }
        }
    }
}

/* In f32 each of the 12 steps rounds a few times: 12 * 4 * 2^-24 relative to values near 1, plus
 * what the rounded state carries on. */
static const double close_f64 = 1e-12, close_f32 = 1e-5;

static void each_way_sgd(tg_sgd_options options, const char *label)
{
    options.size = sizeof options;
    for (int f64 = 0; f64 < 2; f64++)
        for (int isa = TG_ISA_AUTO; isa <= TG_ISA_AVX512; isa++) {
            tg_params *ps = make_params(f64 ? TG_F64 : TG_F32, NULL);
            tg_optim *o = tg_sgd_new(ps, &options);
            cr_assert_eq(tg_optim_set_isa(o, (tg_isa)isa), TG_OK);
            follows(ps, o, options, NULL, f64 ? close_f64 : close_f32, label);
            tg_optim_free(o);
            tg_params_free(ps);
        }
}

static void each_way_adam(tg_adam_options options, const char *label)
{
    options.size = sizeof options;
    for (int f64 = 0; f64 < 2; f64++)
        for (int isa = TG_ISA_AUTO; isa <= TG_ISA_AVX512; isa++) {
            tg_params *ps = make_params(f64 ? TG_F64 : TG_F32, NULL);
            tg_optim *o = tg_adam_new(ps, &options);
            cr_assert_eq(tg_optim_set_isa(o, (tg_isa)isa), TG_OK);
            /* Where sqrt(square) is near eps the rounding of a gradient is magnified; learning_rate
             * / eps bounds it. */
            follows(ps, o, (tg_sgd_options){0}, &options, f64 ? close_f64 : 10 * close_f32, label);
            tg_optim_free(o);
            tg_params_free(ps);
        }
}

Test(optim, sgd_is_pytorchs)
{
    each_way_sgd((tg_sgd_options){0}, "defaults");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1}, "plain");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .weight_decay = 0.01}, "decay");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .momentum = 0.9}, "momentum");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01},
                 "momentum, decay");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.3},
                 "momentum, dampening");
    each_way_sgd(
        (tg_sgd_options){
            .learning_rate = 0.1, .momentum = 0.9, .dampening = 1, .weight_decay = 0.01},
        "momentum, full dampening");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .momentum = 0.8, .nesterov = true},
                 "nesterov");
    each_way_sgd(
        (tg_sgd_options){
            .learning_rate = 0.1, .momentum = 0.8, .nesterov = true, .weight_decay = 0.05},
        "nesterov, decay");
    each_way_sgd((tg_sgd_options){.learning_rate = 0.1, .dampening = 0.5},
                 "dampening without momentum has no effect");
}

Test(optim, adam_is_pytorchs)
{
    each_way_adam((tg_adam_options){0}, "defaults");
    each_way_adam(
        (tg_adam_options){.learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-4},
        "own numbers");
    each_way_adam((tg_adam_options){.learning_rate = 0.02, .weight_decay = 0.1}, "decay");
    each_way_adam((tg_adam_options){.learning_rate = 0.02, .weight_decay = 0.1, .decoupled = true},
                  "decoupled decay");
    each_way_adam((tg_adam_options){.learning_rate = 0.02, .amsgrad = true, .beta2 = 0.7},
                  "amsgrad");
    each_way_adam(
        (tg_adam_options){
            .learning_rate = 0.02, .amsgrad = true, .beta2 = 0.7, .weight_decay = 0.1},
        "amsgrad, decay");
    each_way_adam(
        (tg_adam_options){
            .learning_rate = 0.02, .amsgrad = true, .weight_decay = 0.1, .decoupled = true},
        "amsgrad, decoupled decay");
    each_way_adam((tg_adam_options){.learning_rate = 0.02, .beta1 = 1e-300, .eps = 1e-4},
                  "no mean");
}

/* Two steps of PyTorch's defaults by hand: p = 1, gradients 0.5 and -0.25, lr 0.1. m = .05, .02; v
 * = .00025, .00031225. */
Test(optim, adam_by_hand)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SCALAR, (tg_init){TG_ONES, 0, 0});
    tg_optim *o =
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 0.1});
    tg_param_add_grad(p, (double[]){0.5});
    tg_optim_step(o);
    cr_assert_float_eq(*(const double *)tg_param_data(p), 1 - 0.1 * 0.5 / (0.5 + 1e-8), 1e-13);
    tg_param_add_grad(p, (double[]){-0.25});
    tg_optim_step(o);
    const double second = 0.1 * (0.02 / 0.19) / (sqrt(0.00031225 / 0.001999) + 1e-8);
    cr_assert_float_eq(*(const double *)tg_param_data(p), 1 - 0.1 * 0.5 / (0.5 + 1e-8) - second,
                       1e-13);
    tg_optim_free(o);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- what a step leaves alone */

static bool same_values(const tg_params *a, const tg_params *b)
{
    for (int k = 0; k < tg_params_count(a); k++) {
        const tg_tensor *p = tg_params_get(a, k);
        if (memcmp(tg_param_data(p), tg_param_data(tg_params_get(b, k)),
                   (size_t)tg_tensor_count(p) * tg_dtype_size(tg_tensor_dtype(p))) != 0)
            return false;
    }
    return true;
}

static tg_optim *decaying(tg_params *ps, int kind)
{
    if (kind == 0)
        return tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                .learning_rate = 0.1,
                                                .weight_decay = 0.1});
    if (kind == 1)
        return tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                .learning_rate = 0.1,
                                                .momentum = 0.9,
                                                .weight_decay = 0.1});
    return tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options),
                                              .weight_decay = 0.1,
                                              .decoupled = kind == 3,
                                              .amsgrad = kind == 4});
}
enum { KINDS = 5 };

Test(optim, threads_and_builds_change_no_bit)
{
    for (int kind = 0; kind < KINDS; kind++) {
        tg_params *ps[4];
        for (int way = 0; way < 4; way++) {
            ps[way] = make_params(TG_F32, NULL);
            /* Large enough that threads are used. */
            tg_tensor *large = tg_param_new(ps[way], "large", TG_F32, TG_SHAPE(400, 500),
                                            (tg_init){TG_NORMAL, 0, 1});
            tg_optim *o = decaying(ps[way], kind);
            tg_optim_set_threads(o, (int[]){1, 2, 3, 8}[way]);
            tg_optim_set_isa(o,
                             (tg_isa[]){TG_ISA_AUTO, TG_ISA_AUTO, TG_ISA_BASE, TG_ISA_AVX2}[way]);
            for (int step = 0; step < 3; step++) {
                tg_param_add_grad(large, tg_param_data(large));
                cr_assert_eq(tg_optim_step(o), TG_OK);
            }
            tg_optim_free(o);
        }
        for (int way = 1; way < 4; way++)
            cr_assert(same_values(ps[0], ps[way]), "kind %d, way %d", kind, way);
        for (int way = 0; way < 4; way++) tg_params_free(ps[way]);
    }
}

Test(optim, a_parameter_without_a_gradient_does_not_move)
{
    for (int kind = 0; kind < KINDS; kind++) {
        tg_params *ps = make_params(TG_F64, NULL), *untouched = make_params(TG_F64, NULL);
        tg_optim *o = decaying(ps, kind);
        cr_assert_eq(tg_optim_step(o), TG_OK);
        cr_assert(same_values(ps, untouched), "no gradient at all: nothing decays");
        cr_assert_eq(tg_param_version(tg_params_get(ps, 0)), 1);
        hand_in(ps, 0);
        tg_param_set_trainable(tg_params_get(ps, 2), false);
        cr_assert_eq(tg_optim_step(o), TG_OK);
        for (int i = 0; i < lengths[2]; i++)
            cr_assert_eq(value(ps, 2, i), value(untouched, 2, i), "a frozen parameter stays");
        cr_assert_eq(tg_param_version(tg_params_get(ps, 2)), 1);
        cr_assert_neq(value(ps, 1, 5), value(untouched, 1, 5));
        tg_optim_free(o);
        tg_params_free(ps);
        tg_params_free(untouched);
    }
}

Test(optim, a_step_after_a_failed_backward_changes_nothing)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(3), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = tg_sgd_new(
        ps,
        &(tg_sgd_options){.size = sizeof(tg_sgd_options), .momentum = 0.9, .weight_decay = 0.1});
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(4), ((double[]){1, 2, 3, 4}));
    tg_tensor *loss = tg_sum(t, tg_mul(t, w, x), TG_ALL_AXES, false); /* [3] against [4] */
    cr_assert_neq(tg_backward(t, loss), TG_OK);
    cr_assert_eq(tg_optim_step(o), TG_OK);
    cr_assert_eq(tg_param_version(w), 1);
    for (int i = 0; i < 3; i++) cr_assert_eq(((const double *)tg_param_data(w))[i], 1);
    tg_tape_free(t);
    tg_optim_free(o);
    tg_params_free(ps);
}

/* loss = sum(w x): its gradient is x, so two backwards add up to 2 x. */
Test(optim, several_backwards_before_a_step_accumulate)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(3), (tg_init){TG_ONES, 0, 0});
    tg_optim *o =
        tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 0.5});
    tg_tape *t = tg_tape_new(NULL);
    for (int k = 0; k < 2; k++) {
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), ((double[]){1, 2, 3}));
        cr_assert_eq(tg_backward(t, tg_sum(t, tg_mul(t, w, x), TG_ALL_AXES, false)), TG_OK, "%s",
                     tg_tape_message(t));
        tg_tape_reset(t);
    }
    cr_assert_eq(tg_optim_step(o), TG_OK);
    for (int i = 0; i < 3; i++) cr_assert_eq(((const double *)tg_param_data(w))[i], 1 - (i + 1.));
    tg_tape_free(t);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(optim, parameters_may_come_later_and_dtypes_may_mix)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *a = tg_param_new(ps, "a", TG_F32, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = tg_sgd_new(
        ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 1, .momentum = 0.5});
    tg_param_add_grad(a, (float[]){1, 2});
    cr_assert_eq(tg_optim_step(o), TG_OK);
    tg_tensor *b = tg_param_new(ps, "b", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_tensor *empty = tg_param_new(ps, "empty", TG_F64, TG_SHAPE(0), (tg_init){TG_ONES, 0, 0});
    tg_param_add_grad(a, (float[]){1, 2});
    tg_param_add_grad(b, (double[]){1, 2});
    tg_param_add_grad(empty, NULL);
    cr_assert_eq(tg_optim_step(o), TG_OK);
    const float *va = tg_param_data(a);
    const double *vb = tg_param_data(b);
    cr_assert(va[0] == 1 - 1 - 1.5f && va[1] == 1 - 2 - 3, "its second step");
    cr_assert(vb[0] == 0 && vb[1] == -1, "its first");
    cr_assert_null(tg_param_grad(empty));
    tg_optim_free(o);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- state */

Test(optim, state_carries_over)
{
    static const int entries[KINDS] = {1, 2, 3, 3, 4}; /* slots and the step */
    for (int kind = 0; kind < KINDS; kind++) {
        tg_params *a = make_params(TG_F32, NULL), *b = make_params(TG_F32, NULL);
        tg_optim *from = decaying(a, kind), *to = decaying(b, kind);
        for (int step = 0; step < 3; step++) {
            hand_in(a, step);
            tg_optim_step(from);
        }
        for (int k = 0; k < N_PARAMS; k++)
            tg_param_write(tg_params_get(b, k), tg_param_data(tg_params_get(a, k)));
        int carried = 0;
        tg_optim_state s;
        for (int k = 0; k < tg_optim_state_count(from); k++)
            if (tg_optim_state_get(from, k, &s)) {
                cr_assert_eq(tg_optim_state_set(to, &s), TG_OK, "%s", tg_optim_message(to));
                carried++;
            }
        cr_assert_eq(carried, N_PARAMS * entries[kind]);
        for (int step = 3; step < 6; step++) {
            hand_in(a, step);
            hand_in(b, step);
            tg_optim_step(from);
            tg_optim_step(to);
            cr_assert(same_values(a, b), "kind %d, step %d", kind, step);
        }
        tg_optim_free(from);
        tg_optim_free(to);
        tg_params_free(a);
        tg_params_free(b);
    }
}

Test(optim, state_has_names_and_shapes)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(2, 3), (tg_init){TG_ONES, 0, 0});
    tg_param_new(ps, "unused", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o =
        tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .momentum = 0.9});
    tg_optim_state s;
    cr_assert(!tg_optim_state_get(o, 0, &s), "nothing before the first step");
    tg_param_add_grad(w, (double[]){1, 2, 3, 4, 5, 6});
    tg_optim_step(o);
    int found = 0;
    for (int k = -1; k <= tg_optim_state_count(o); k++) {
        if (!tg_optim_state_get(o, k, &s)) continue;
        found++;
        cr_assert_str_eq(s.param, "w");
        if (strcmp(s.slot, "step") == 0) {
            cr_assert(s.dtype == TG_I64 && s.shape.ndim == 0 && *(const int64_t *)s.data == 1);
        } else {
            cr_assert_str_eq(s.slot, "momentum");
            cr_assert(s.dtype == TG_F64 && tg_shape_equal(s.shape, TG_SHAPE(2, 3)));
            for (int i = 0; i < 6; i++) cr_assert_eq(((const double *)s.data)[i], i + 1);
        }
    }
    cr_assert_eq(found, 2);
    tg_optim_free(o);
    tg_params_free(ps);
}

static void state_refused(tg_optim_state s, tg_status status)
{
    tg_params *ps = tg_params_new(NULL);
    tg_param_new(ps, "w", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o =
        tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .momentum = 0.9});
    cr_assert_eq(tg_optim_state_set(o, &s), status, "%s", tg_optim_message(o));
    cr_assert_eq(tg_optim_status(o), status);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(optim, state_that_does_not_fit_is_refused)
{
    const double two[2] = {1, 2};
    const int64_t minus = -1, most = (int64_t)1 << 53, more = most + 1, last = INT64_MAX;
    state_refused((tg_optim_state){"w", "momentum", TG_F64, TG_SHAPE(2), two}, TG_OK);
    state_refused((tg_optim_state){"v", "momentum", TG_F64, TG_SHAPE(2), two}, TG_EVALUE);
    state_refused((tg_optim_state){"w", "mean", TG_F64, TG_SHAPE(2), two}, TG_EVALUE);
    state_refused((tg_optim_state){"w", "momentum", TG_F32, TG_SHAPE(2), two}, TG_EDTYPE);
    state_refused((tg_optim_state){"w", "momentum", TG_F64, TG_SHAPE(2, 1), two}, TG_ESHAPE);
    state_refused((tg_optim_state){"w", "momentum", TG_F64, TG_SHAPE(2), NULL}, TG_ENULL);
    state_refused((tg_optim_state){"w", "step", TG_F64, TG_SCALAR, two}, TG_EDTYPE);
    state_refused((tg_optim_state){"w", "step", TG_I64, TG_SCALAR, &minus}, TG_EVALUE);
    state_refused((tg_optim_state){"w", "step", TG_I64, TG_SCALAR, &most}, TG_OK);
    state_refused((tg_optim_state){"w", "step", TG_I64, TG_SCALAR, &more}, TG_EVALUE);
    state_refused((tg_optim_state){"w", "step", TG_I64, TG_SCALAR, &last}, TG_EVALUE);
    state_refused((tg_optim_state){NULL, "step", TG_I64, TG_SCALAR, &minus}, TG_ENULL);
}

/* ---------------------------------------------------------------- errors */

static void options_refused(tg_optim *o, int line, const char *fragment)
{
    char where[64];
    snprintf(where, sizeof where, "test_optim.c:%d: ", line);
    cr_assert_not_null(o);
    cr_assert_eq(tg_optim_status(o), TG_EVALUE, "%s", fragment);
    cr_assert_not_null(strstr(tg_optim_message(o), where), "%s", tg_optim_message(o));
    cr_assert_not_null(strstr(tg_optim_message(o), fragment), "%s", tg_optim_message(o));
    tg_optim_clear_error(o);
    cr_assert_eq(tg_optim_step(o), TG_EVALUE,
                 "an optimizer that never came to be can't be cleared");
    cr_assert_eq(tg_optim_state_count(o), 0);
    tg_optim_free(o);
}

#define SGD_REFUSED(fragment, ...)                                                                \
    options_refused(                                                                              \
        tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), __VA_ARGS__}), __LINE__, \
        fragment)
#define ADAM_REFUSED(fragment, ...)                                                        \
    options_refused(                                                                       \
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), __VA_ARGS__}), \
        __LINE__, fragment)

Test(optim, options_out_of_range_are_refused)
{
    tg_params *ps = make_params(TG_F32, NULL);
    SGD_REFUSED("learning rate", .learning_rate = -1);
    SGD_REFUSED("learning rate", .learning_rate = NAN);
    SGD_REFUSED("learning rate", .learning_rate = INFINITY);
    SGD_REFUSED("momentum", .momentum = -0.1);
    SGD_REFUSED("momentum", .momentum = NAN);
    SGD_REFUSED("dampening", .momentum = 0.9, .dampening = 1.5);
    SGD_REFUSED("weight_decay", .weight_decay = -1);
    SGD_REFUSED("nesterov", .nesterov = true);
    SGD_REFUSED("nesterov", .nesterov = true, .momentum = 0.9, .dampening = 0.1);
    ADAM_REFUSED("learning rate", .learning_rate = -1);
    ADAM_REFUSED("beta1", .beta1 = 1);
    ADAM_REFUSED("beta1", .beta1 = -0.5);
    ADAM_REFUSED("beta2", .beta2 = 1);
    ADAM_REFUSED("beta2", .beta2 = NAN);
    ADAM_REFUSED("eps", .eps = -1);
    ADAM_REFUSED("weight_decay", .weight_decay = INFINITY);
    options_refused(tg_sgd_new(ps, &(tg_sgd_options){.momentum = 0.9}), __LINE__, "size");
    options_refused(tg_adam_new(ps, &(tg_adam_options){.beta1 = 0.9}), __LINE__, "size");
    tg_params_free(ps);
}

Test(optim, settings_out_of_range_stick)
{
    tg_params *ps = make_params(TG_F32, NULL), *untouched = make_params(TG_F32, NULL);
    tg_optim *o = tg_sgd_new(ps, NULL);
    cr_assert_eq(tg_optim_learning_rate(o), 1e-3);
    cr_assert_eq(tg_optim_set_learning_rate(o, NAN), TG_EVALUE);
    cr_assert_eq(tg_optim_learning_rate(o), 1e-3);
    hand_in(ps, 0);
    cr_assert_eq(tg_optim_step(o), TG_EVALUE);
    cr_assert(same_values(ps, untouched));
    cr_assert_not_null(tg_param_grad(tg_params_get(ps, 0)),
                       "an erroneous step does not use gradients up");
    tg_optim_clear_error(o);
    cr_assert_eq(tg_optim_set_learning_rate(o, 0), TG_OK);
    cr_assert_eq(tg_optim_step(o), TG_OK);
    cr_assert(same_values(ps, untouched), "a learning rate of 0 is one");
    cr_assert_eq(tg_optim_set_threads(o, 0), TG_EVALUE);
    tg_optim_clear_error(o);
    cr_assert_eq(tg_optim_set_threads(o, 1025), TG_EVALUE);
    tg_optim_clear_error(o);
    cr_assert_eq(tg_optim_set_isa(o, (tg_isa)9), TG_EVALUE);
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(untouched);
}

Test(optim, an_error_of_the_parameters_is_taken_over)
{
    tg_params *ps = make_params(TG_F32, NULL), *untouched = make_params(TG_F32, NULL);
    tg_optim *o = tg_sgd_new(ps, NULL);
    hand_in(ps, 0);
    tg_param_new(ps, "p0", TG_F32, TG_SHAPE(1), (tg_init){TG_ONES, 0, 0});
    cr_assert_eq(tg_optim_step(o), TG_EVALUE);
    cr_assert_str_eq(tg_optim_message(o), tg_params_message(ps));
    cr_assert(same_values(ps, untouched));
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(untouched);
}

Test(optim, NULL_is_harmless)
{
    tg_optim_free(NULL);
    tg_optim_clear_error(NULL);
    cr_assert_eq(tg_optim_status(NULL), TG_ENOMEM);
    cr_assert(strlen(tg_optim_message(NULL)) > 0);
    cr_assert_eq(tg_optim_step(NULL), TG_ENOMEM);
    cr_assert_eq(tg_optim_set_learning_rate(NULL, 1), TG_ENOMEM);
    cr_assert_eq(tg_optim_set_threads(NULL, 1), TG_ENOMEM);
    cr_assert_eq(tg_optim_set_isa(NULL, TG_ISA_AUTO), TG_ENOMEM);
    cr_assert(isnan(tg_optim_learning_rate(NULL)));
    cr_assert_eq(tg_optim_state_count(NULL), 0);
    cr_assert(!tg_optim_state_get(NULL, 0, NULL));
    cr_assert_eq(tg_optim_state_set(NULL, NULL), TG_ENOMEM);
    tg_optim *o = tg_sgd_new(NULL, NULL);
    cr_assert_eq(tg_optim_status(o), TG_ENULL);
    cr_assert_eq(tg_optim_step(o), TG_ENULL);
    tg_optim_free(o);
    tg_params *ps = make_params(TG_F32, NULL);
    o = (tg_adam_new)(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .eps = -1});
    cr_assert_str_eq(tg_optim_message(o), "adam: eps must be finite and >= 0");
    tg_optim_free(o);
    o = tg_optim_new(ps, NULL, 1, NULL);
    cr_assert_eq(tg_optim_status(o), TG_ENULL);
    tg_optim_free(o);
    o = tg_sgd_new(ps, NULL);
    cr_assert_eq(tg_optim_state_set(o, NULL), TG_ENULL);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(optim, short_memory_at_any_point_changes_nothing)
{
    bool complete = false;
    for (long long fail_at = 1; !complete && fail_at < 200; fail_at++) {
        test_memory m = {0};
        const tg_allocator a = test_allocator(&m);
        tg_params *ps = make_params(TG_F32, &a), *untouched = make_params(TG_F32, NULL);
        hand_in(ps, 0);
        m.fail_at = atomic_load(&m.requests) + fail_at;
        tg_optim *o = tg_adam_new(ps, NULL);
        const tg_status made = tg_optim_status(o), status = tg_optim_step(o);
        complete = status == TG_OK;
        cr_assert_eq(same_values(ps, untouched), !complete);
        if (!complete) {
            cr_assert_eq(status, TG_ENOMEM);
            cr_assert_not_null(tg_param_grad(tg_params_get(ps, 0)));
            m.fail_at = 0;
            tg_optim_clear_error(o);
            cr_assert_eq(tg_optim_step(o), made == TG_OK ? TG_OK : TG_ENOMEM,
                         "memory is back: the step succeeds");
            cr_assert_eq(same_values(ps, untouched), made != TG_OK);
        }
        tg_optim_free(o);
        tg_params_free(ps);
        tg_params_free(untouched);
        cr_assert_eq(atomic_load(&m.blocks), 0);
        cr_assert_eq(atomic_load(&m.bytes), 0);
        cr_assert_eq(atomic_load(&m.wrong), 0);
    }
    cr_assert(complete);
}

Test(optim, steady_steps_allocate_nothing)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    tg_params *ps = make_params(TG_F32, &a);
    tg_optim *o = tg_adam_new(ps, NULL);
    long long before = 0;
    for (int step = 0; step < 9; step++) {
        hand_in(ps, step);
        tg_optim_step(o);
        if (step == 1) before = atomic_load(&m.requests);
    }
    cr_assert_eq(atomic_load(&m.requests), before);
    tg_optim_free(o);
    tg_params_free(ps);
    cr_assert_eq(atomic_load(&m.blocks), 0);
}

/* ---------------------------------------------------------------- a rule from outside */

typedef struct sign_options {
    size_t size;
    double momentum;
} sign_options;

static const char *sign_check(const void *options)
{
    return ((const sign_options *)options)->momentum < 0 ? "the momentum is negative" : NULL;
}

static void sign_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    c[0] = learning_rate / (double)step;
    c[1] = ((const sign_options *)options)->momentum;
}

static void sign_f32(const tg_update *u)
{
    float *p = u->value, *v = u->slot[0];
    const float *g = u->grad, rate = (float)u->c[0], momentum = (float)u->c[1];
    for (int64_t i = 0; i < u->n; i++) {
        v[i] = momentum * v[i] + g[i];
        p[i] -= copysignf(rate, v[i]);
    }
}

/* Divides a gradient by its own norm: not elementwise. */
static void normalised_f32(const tg_update *u)
{
    float *p = u->value, squares = 0;
    const float *g = u->grad;
    for (int64_t i = 0; i < u->n; i++) squares += g[i] * g[i];
    for (int64_t i = 0; i < u->n; i++) p[i] -= g[i] / sqrtf(squares);
}

static const tg_optim_rule sign_rule = {.size = sizeof(tg_optim_rule),
                                        .name = "sign",
                                        .options_size = sizeof(sign_options),
                                        .n_slots = 1,
                                        .slot = {"momentum"},
                                        .check = sign_check,
                                        .prepare = sign_prepare,
                                        .update = {[TG_F32] = {sign_f32}}};
static const tg_optim_rule normalised = {.size = sizeof(tg_optim_rule),
                                         .name = "normalised",
                                         .whole = true,
                                         .update = {[TG_F32] = {normalised_f32}}};

Test(optim, a_rule_of_the_users_own)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F32, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = tg_optim_new(ps, &sign_rule, 0.5, &(sign_options){sizeof(sign_options), 0.5});
    const float *v = tg_param_data(p);
    tg_param_add_grad(p, (float[]){4, -4});
    cr_assert_eq(tg_optim_step(o), TG_OK, "%s", tg_optim_message(o));
    cr_assert(v[0] == 0.5f && v[1] == 1.5f);
    tg_param_add_grad(p, (float[]){-1, 3}); /* the momentum is 1, 1 */
    cr_assert_eq(tg_optim_step(o), TG_OK);
    cr_assert(v[0] == 0.25f && v[1] == 1.25f);
    tg_optim_free(o);
    o = tg_optim_new(ps, &sign_rule, 0.5, &(sign_options){sizeof(sign_options), -1});
    cr_assert_eq(tg_optim_status(o), TG_EVALUE);
    cr_assert_not_null(strstr(tg_optim_message(o), "sign: the momentum is negative"));
    tg_optim_free(o);
    o = tg_optim_new(ps, &sign_rule, 0.5, NULL);
    cr_assert_eq(tg_optim_status(o), TG_ENULL);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(optim, a_whole_rule_sees_whole_parameters)
{
    enum { N = 90000 }; /* more than any piece */
    static float ones[N];
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F32, TG_SHAPE(N), (tg_init){TG_ZEROS, 0, 0});
    tg_optim *o = tg_optim_new(ps, &normalised, 1, NULL);
    for (int i = 0; i < N; i++) ones[i] = 1;
    tg_param_add_grad(p, ones);
    cr_assert_eq(tg_optim_step(o), TG_OK);
    for (int i = 0; i < N; i++)
        cr_assert_float_eq(((const float *)tg_param_data(p))[i], -1. / 300, 1e-9);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(optim, a_rule_without_the_dtype_is_refused)
{
    tg_params *ps = make_params(TG_F64, NULL), *untouched = make_params(TG_F64, NULL);
    tg_optim *o = tg_optim_new(ps, &normalised, 1, NULL);
    hand_in(ps, 0);
    cr_assert_eq(tg_optim_step(o), TG_EDTYPE);
    cr_assert_not_null(strstr(tg_optim_message(o), "\"p0\" is f64"), "%s", tg_optim_message(o));
    cr_assert(same_values(ps, untouched));
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(untouched);
}

Test(optim, malformed_rules_are_refused)
{
    tg_params *ps = make_params(TG_F32, NULL);
    tg_optim_rule rule[4] = {sign_rule, sign_rule, sign_rule, sign_rule};
    rule[0].size = 0;
    rule[1].n_slots = TG_OPTIM_SLOTS + 1;
    rule[2].slot[0] = "step";
    rule[3].name = NULL;
    for (int k = 0; k < 4; k++) {
        tg_optim *o = tg_optim_new(ps, &rule[k], 0.5, &(sign_options){sizeof(sign_options), 0.5});
        cr_assert_eq(tg_optim_status(o), TG_EVALUE, "rule %d", k);
        cr_assert_eq(tg_optim_step(o), TG_EVALUE);
        tg_optim_free(o);
    }
    tg_params_free(ps);
}
