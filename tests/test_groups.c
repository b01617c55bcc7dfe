/* Optimizers with parts, clipping and accumulation in the step, and who moves what. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/optim.h>

#include "support.h"
#include "allocator.h"

static tg_tensor *param(tg_params *ps, const char *name)
{
    return tg_param_new(ps, name, TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
}

static double value(const tg_tensor *w) { return ((const double *)tg_param_data(w))[0]; }

static void hand_in(tg_tensor *w, double x, double y)
{
    cr_assert_eq(tg_param_add_grad(w, (double[]){x, y}), TG_OK);
}

static tg_optim *sgd(tg_params *ps, double rate)
{
    return tg_sgd_new(ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = rate});
}

static void step(tg_optim *o) { cr_assert_eq(tg_optim_step(o), TG_OK, "%s", tg_optim_message(o)); }

static void refused(tg_optim *o, tg_status status, const char *what)
{
    test_expect_refused(tg_optim, o, status, what);
    tg_optim_clear_error(o);
}

Test(groups, parts_have_settings_of_their_own)
{
    tg_params *ps = tg_params_new(NULL), *other = tg_params_new(NULL);
    tg_tensor *w = param(ps, "layer.weight"), *b = param(ps, "layer.bias"), *c = param(other, "c");
    tg_optim *o = sgd(ps, 0.1), *bias = sgd(ps, 0.01), *far = sgd(other, 1);
    cr_assert_eq(tg_optim_take_named(bias, "*.bias"), TG_OK);
    cr_assert_eq(tg_optim_add(o, bias), TG_OK);
    cr_assert_eq(tg_optim_add(o, far), TG_OK);
    cr_assert_eq(tg_optim_set_factor(o, 0.5), TG_OK);
    cr_assert_eq(tg_optim_set_factor(far, 0.5), TG_OK);
    cr_assert_eq(tg_optim_set_threads(o, 2), TG_OK);
    cr_assert_eq(tg_optim_set_isa(o, TG_ISA_BASE), TG_OK);
    hand_in(w, 1, 1), hand_in(b, 1, 1), hand_in(c, 1, 1);
    step(o);
    cr_expect_float_eq(value(w), 1 - 0.05, 1e-15);
    cr_expect_float_eq(value(b), 1 - 0.005, 1e-15);
    cr_expect_float_eq(value(c), 1 - 0.25, 1e-15);
    cr_expect_eq(tg_optim_parts(o), 2);
    cr_expect_eq(tg_optim_part(o, 1), far);
    cr_expect_null(tg_optim_part(o, 2));
    cr_expect_null(tg_param_grad(c), "used up");
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(other);
}

Test(groups, a_step_of_which_a_part_fails_changes_nothing)
{
    tg_params *ps = tg_params_new(NULL), *other = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w");
    tg_optim *o = sgd(ps, 0.1);
    tg_optim_add(o, sgd(other, 1));
    tg_param_new(other, "bad", TG_I64, TG_SHAPE(1), (tg_init){TG_ZEROS, 0, 0});
    hand_in(w, 1, 1);
    cr_expect_neq(tg_optim_step(o), TG_OK);
    cr_expect_eq(value(w), 1);
    cr_expect_not_null(tg_param_grad(w));
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(other);
}

/* Adam of which RMSprop has taken b. */
static tg_optim *adam_with_part(tg_params *ps, tg_tensor *b)
{
    tg_optim *o = tg_adam_new(ps, NULL), *part = tg_rmsprop_new(ps, NULL);
    cr_assert_eq(tg_optim_take(part, b), TG_OK);
    cr_assert_eq(tg_optim_add(o, part), TG_OK);
    return o;
}

/* Copies the state of o into a new optimizer, which takes its place. */
static tg_optim *reborn(tg_params *ps, tg_tensor *b, tg_optim *o)
{
    enum { ENTRIES = 5 }; /* mean, square, step of w; square, step of b */
    tg_optim_state state[ENTRIES];
    double data[ENTRIES][2];
    int n = 0;
    for (int k = 0; k < tg_optim_state_count(o); k++) {
        if (!tg_optim_state_get(o, k, &state[n])) continue;
        memcpy(data[n], state[n].data, state[n].dtype == TG_I64 ? sizeof(int64_t) : sizeof data[n]);
        state[n].data = data[n];
        n++;
    }
    cr_assert_eq(n, ENTRIES);
    tg_optim_free(o);
    tg_optim *next = adam_with_part(ps, b);
    for (int k = 0; k < n; k++)
        cr_assert_eq(tg_optim_state_set(next, &state[k]), TG_OK, "%s", tg_optim_message(next));
    return next;
}

Test(groups, state_is_that_of_all_parts)
{
    double end[2][2];
    for (int way = 0; way < 2; way++) {
        tg_params *ps = tg_params_new(NULL);
        tg_tensor *w = param(ps, "w"), *b = param(ps, "b");
        tg_optim *o = adam_with_part(ps, b);
        hand_in(w, 1, -2), hand_in(b, 0.5, 0.25);
        step(o);
        if (way == 1) o = reborn(ps, b, o);
        hand_in(w, 3, 1), hand_in(b, -1, 2);
        step(o);
        end[way][0] = value(w);
        end[way][1] = value(b);
        const double zeros[2] = {0};
        const tg_optim_state none = {"b", "mean", TG_F64, TG_SHAPE(2), zeros},
                             small = {"b", "square", TG_F64, TG_SHAPE(1), zeros};
        tg_optim_state_set(o, &none), refused(o, TG_EVALUE, "no state \"mean\"");
        tg_optim_state_set(o, &small), refused(o, TG_ESHAPE, "state \"square\" of \"b\"");
        tg_optim_free(o);
        tg_params_free(ps);
    }
    cr_expect_eq(end[0][0], end[1][0]);
    cr_expect_eq(end[0][1], end[1][1]);
}

Test(groups, a_parameter_is_moved_by_one_optimizer)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *b = param(ps, "b");
    tg_optim *first = sgd(ps, 0.1), *second = tg_adam_new(ps, NULL);
    hand_in(w, 1, 1);
    step(first);
    hand_in(b, 1, 1);
    cr_expect_eq(tg_optim_step(second), TG_ESTATE);
    refused(second, TG_ESTATE, "adam: \"w\" is moved by another optimizer (sgd)");
    cr_expect_eq(value(b), 1);
    tg_optim_take(second, b);
    refused(second, TG_ESTATE, "\"b\" is moved by another optimizer already (sgd)");
    tg_optim_free(first);
    step(second);
    cr_expect_lt(value(b), 1, "free again");
    tg_params_free(ps);
    tg_optim_free(second); /* in any order */
}

Test(groups, what_is_frozen_may_be_another_ones)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *b = param(ps, "b");
    tg_optim *first = sgd(ps, 0.1), *second = sgd(ps, 0.5);
    tg_param_set_trainable(b, false);
    hand_in(w, 1, 1);
    step(first);
    tg_param_set_trainable(b, true);
    tg_param_set_trainable(w, false);
    hand_in(b, 1, 1);
    step(second);
    cr_expect_eq(value(b), 0.5);
    tg_optim_free(first);
    tg_optim_free(second);
    tg_params_free(ps);
}

Test(groups, patterns_choose_names)
{
    const struct {
        const char *pattern;
        int count;
    } cases[] = {{"*", 4},   {"a.*", 2}, {"*.w", 2},   {"?.w", 2}, {"a.w", 1},
                 {"*w*", 3}, {"a*b", 1}, {"*a*a*", 0}, {"a", 0},   {"", 0}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_params *ps = tg_params_new(NULL);
        const char *const names[] = {"a.w", "a.b", "b.w", "cwc"};
        tg_tensor *p[4];
        for (int i = 0; i < 4; i++) p[i] = param(ps, names[i]);
        tg_optim *o = sgd(ps, 1);
        const tg_status status = tg_optim_take_named(o, cases[k].pattern);
        cr_expect_eq(status, cases[k].count ? TG_OK : TG_EVALUE, "%s", cases[k].pattern);
        tg_optim_clear_error(o);
        for (int i = 0; i < 4; i++) hand_in(p[i], 1, 1);
        step(o);
        int moved = 0;
        for (int i = 0; i < 4; i++) moved += value(p[i]) == 0;
        cr_expect_eq(moved, cases[k].count ? cases[k].count : 4, "%s", cases[k].pattern);
        tg_optim_free(o);
        tg_params_free(ps);
    }
}

Test(groups, wrong_calls_are_refused)
{
    tg_params *ps = tg_params_new(NULL), *other = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *c = param(other, "c");
    tg_optim *o = sgd(ps, 0.1), *part = sgd(other, 0.1), *third = sgd(ps, 0.1);
    tg_optim_take(o, NULL), refused(o, TG_ENULL, "no parameter");
    tg_optim_take(o, c), refused(o, TG_EVALUE, "\"c\" is of another set");
    tg_optim_take_named(o, NULL), refused(o, TG_ENULL, "pattern is NULL");
    tg_optim_take_named(o, "x*"), refused(o, TG_EVALUE, "no parameter's name is like \"x*\"");
    tg_optim_add(o, o), refused(o, TG_ESTATE, "of itself");
    tg_optim_set_factor(o, -1), refused(o, TG_EVALUE, "factor -1");
    tg_optim_set_factor(o, NAN), refused(o, TG_EVALUE, "factor");
    tg_optim_set_accumulate(o, 0), refused(o, TG_EVALUE, "gradients of 0 steps");
    tg_optim_set_clip(o, &(tg_clip_options){.norm = 1}), refused(o, TG_EVALUE, "size");
    const tg_clip_options norm = {.size = sizeof norm, .norm = -1},
                          value_ = {.size = sizeof value_, .value = NAN},
                          what = {.size = sizeof what, .nonfinite = (tg_nonfinite)7};
    tg_optim_set_clip(o, &norm), refused(o, TG_EVALUE, "largest norm");
    tg_optim_set_clip(o, &value_), refused(o, TG_EVALUE, "largest value");
    tg_optim_set_clip(o, &what), refused(o, TG_EVALUE, "no such choice");
    cr_assert_eq(tg_optim_add(o, part), TG_OK);
    tg_optim_step(part), refused(part, TG_ESTATE, "a part of another");
    tg_optim_add(third, part), refused(third, TG_ESTATE, "a part already");
    tg_optim_add(third, o), refused(third, TG_ESTATE, "has parts itself");
    tg_optim_add(part, third), refused(part, TG_ESTATE, "can't have parts");
    const tg_adam_options bad = {.size = sizeof bad, .beta1 = 2};
    cr_expect_eq(tg_optim_add(third, tg_adam_new(ps, &bad)), TG_EVALUE);
    refused(third, TG_EVALUE, "test_groups.c:");
    cr_expect_eq(tg_optim_add(NULL, sgd(ps, 1)), TG_ENOMEM);
    cr_expect_eq(tg_optim_add(third, NULL), TG_ENOMEM);
    cr_expect_eq(tg_optim_take(NULL, w), TG_ENOMEM);
    cr_expect_eq(tg_optim_take_named(NULL, "*"), TG_ENOMEM);
    cr_expect_eq(tg_optim_set_factor(NULL, 1), TG_ENOMEM);
    cr_expect_eq(tg_optim_set_maximize(NULL, true), TG_ENOMEM);
    cr_expect_eq(tg_optim_set_clip(NULL, NULL), TG_ENOMEM);
    cr_expect_eq(tg_optim_set_accumulate(NULL, 2), TG_ENOMEM);
    cr_expect_eq(tg_optim_parts(NULL), 0);
    cr_expect_eq(tg_optim_skipped(NULL), 0);
    cr_expect(isnan(tg_optim_grad_norm(NULL)));
    tg_optim_free(third);
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(other);
}

Test(groups, short_memory_is_an_error)
{
    bool complete = false;
    for (long long fail_at = 1; !complete && fail_at < 100; fail_at++) {
        test_memory m = {0};
        const tg_allocator a = test_allocator(&m);
        tg_params *ps =
            tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .allocator = &a});
        tg_tensor *w = param(ps, "w"), *b = param(ps, "b");
        hand_in(w, 1, 1), hand_in(b, 1, 1);
        m.fail_at = atomic_load(&m.requests) + fail_at;
        tg_optim *o = tg_adam_new(ps, NULL), *part = tg_rmsprop_new(ps, NULL);
        tg_optim_take(part, b);
        tg_optim_add(o, part);
        complete = tg_optim_step(o) == TG_OK;
        cr_expect_eq(value(w) < 1 && value(b) < 1, complete);
        if (!complete) cr_expect_eq(tg_optim_status(o), TG_ENOMEM);
        tg_optim_free(o);
        tg_params_free(ps);
        cr_expect_eq(atomic_load(&m.blocks), 0);
        cr_expect_eq(atomic_load(&m.wrong), 0);
    }
    cr_expect(complete);
}

Test(groups, maximizing_is_minimizing_the_opposite)
{
    for (int k = 0; k < 3; k++) {
        const char *const text[] = {"sgd momentum=0.9 weight_decay=0.1", "nadam weight_decay=0.1",
                                    "rprop"};
        tg_params *up = tg_params_new(NULL), *down = tg_params_new(NULL);
        tg_tensor *a = param(up, "w"), *b = param(down, "w");
        tg_optim *climb = tg_optim_parse(up, text[k]), *descend = tg_optim_parse(down, text[k]);
        cr_assert_eq(tg_optim_set_maximize(climb, true), TG_OK);
        for (int i = 0; i < 5; i++) {
            hand_in(a, 0.5 + i, -1), hand_in(b, -0.5 - i, 1);
            step(climb), step(descend);
            cr_expect_eq(value(a), value(b), "%s", text[k]);
        }
        cr_expect_gt(value(a), 1);
        tg_optim_free(climb), tg_optim_free(descend);
        tg_params_free(up), tg_params_free(down);
    }
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = sgd(ps, 0.5);
    tg_optim_set_maximize(o, true);
    tg_param_add_grad(w, (float[]){1, -1});
    step(o);
    cr_expect_eq(((const float *)tg_param_data(w))[0], 1.5F);
    tg_optim_free(o);
    tg_params_free(ps);
}

/* 3-4-12 over two sets: norm 13. */
Test(groups, one_norm_over_several_sets)
{
    tg_params *ps = tg_params_new(NULL), *other = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *c = param(other, "c");
    tg_params *const both[] = {ps, other};
    hand_in(w, 3, 4), hand_in(c, 12, 0);
    cr_expect_eq(tg_clip_grad_norms(2, both, 1e9), 13);
    cr_expect_eq(tg_clip_grad_norms(2, both, 6.5), 13);
    cr_expect_float_eq(((const double *)tg_param_grad(c))[0], 6, 1e-6);
    cr_expect_float_eq(((const double *)tg_param_grad(w))[1], 2, 1e-6);
    cr_expect_eq(tg_scale_grads(ps, 2), TG_OK);
    cr_expect_float_eq(((const double *)tg_param_grad(w))[1], 4, 1e-6);
    tg_params *const hole[] = {ps, NULL}, *many[20];
    for (int k = 0; k < 20; k++) many[k] = ps;
    cr_expect_float_eq(tg_clip_grad_norms(20, many, 1e9), sqrt(20 * 25), 1e-4);
    cr_expect(isnan(tg_clip_grad_norms(2, hole, 1)));
    cr_expect(strstr(tg_params_message(ps), "clip_grad_norms: a set of parameters is NULL"));
    tg_params_clear_error(ps);
    cr_expect(isnan(tg_clip_grad_norms(0, both, 1)));
    cr_expect(isnan(tg_clip_grad_norms(2, NULL, 1)));
    cr_expect(isnan(tg_clip_grad_norms(2, both, NAN)));
    cr_expect_eq(tg_scale_grads(other, INFINITY), TG_EVALUE);
    cr_expect_eq(tg_scale_grads(NULL, 1), TG_ENOMEM);
    tg_params_clear_error(ps);
    cr_expect(isnan(tg_clip_grad_norms(2, both, 1)), "the second is in error");
    cr_expect(strstr(tg_params_message(ps), "scale_grads"));
    tg_params_free(ps);
    tg_params_free(other);
}

Test(groups, a_step_clips_over_all_parts)
{
    tg_params *ps = tg_params_new(NULL), *other = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *c = param(other, "c");
    tg_optim *o = sgd(ps, 1);
    tg_optim_add(o, sgd(other, 1));
    const tg_clip_options clip = {.size = sizeof clip, .norm = 6.5, .value = 12};
    cr_assert_eq(tg_optim_set_clip(o, &clip), TG_OK);
    hand_in(w, 3, -4), hand_in(c, 100, 0);
    step(o);
    cr_expect_eq(tg_optim_grad_norm(o), 13);
    cr_expect_float_eq(value(w), 1 - 1.5, 1e-6);
    cr_expect_float_eq(value(c), 1 - 6, 1e-6);
    cr_assert_eq(tg_optim_set_clip(o, NULL), TG_OK);
    hand_in(w, 3, -4);
    step(o);
    cr_expect_float_eq(value(w), 1 - 4.5, 1e-6);
    cr_expect(isnan(tg_optim_grad_norm(o)));
    tg_optim_free(o);
    tg_params_free(ps);
    tg_params_free(other);
}

Test(groups, steps_that_are_not_finite_are_skipped_or_reported)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w"), *b = param(ps, "b");
    tg_optim *o = sgd(ps, 0.5);
    tg_clip_options clip = {.size = sizeof clip, .nonfinite = TG_NONFINITE_SKIP};
    tg_optim_set_clip(o, &clip);
    hand_in(w, 1, 1), hand_in(b, 1, NAN);
    step(o);
    cr_expect_eq(value(w), 1);
    cr_expect_eq(tg_optim_skipped(o), 1);
    cr_expect_null(tg_param_grad(w), "dropped");
    hand_in(w, 1, 1);
    step(o);
    cr_expect_eq(value(w), 0.5, "the next one is taken");
    clip.nonfinite = TG_NONFINITE_ERROR;
    tg_optim_set_clip(o, &clip);
    hand_in(w, 1, 1), hand_in(b, 1, -INFINITY);
    cr_expect_eq(tg_optim_step(o), TG_ENONFINITE);
    refused(o, TG_ENONFINITE, "the gradient of \"b\" is not finite");
    cr_expect_eq(value(w), 0.5);
    tg_params_drop_grads(ps);
    hand_in(b, 1e308, 1e308);
    hand_in(w, 1e308, 1e308);
    cr_expect_eq(tg_optim_step(o), TG_ENONFINITE);
    refused(o, TG_ENONFINITE, "the norm of the gradients is not finite");
    clip.nonfinite = TG_NONFINITE_KEEP;
    tg_optim_set_clip(o, &clip);
    tg_params_drop_grads(ps);
    hand_in(w, INFINITY, 1);
    step(o);
    cr_expect(isinf(value(w)));
    cr_expect_eq(tg_optim_skipped(o), 1);
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(groups, micro_batches_add_up_to_their_mean)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w");
    tg_optim *o = sgd(ps, 1);
    const tg_clip_options clip = {.size = sizeof clip, .value = 2};
    tg_optim_set_clip(o, &clip);
    cr_assert_eq(tg_optim_set_accumulate(o, 3), TG_OK);
    const double gradient[] = {1, 2, 6, 1, 1, 1}, expected[] = {1, 1, -1, -1, -1, -2};
    for (int k = 0; k < 6; k++) {
        hand_in(w, gradient[k], 0);
        step(o);
        cr_expect_float_eq(value(w), expected[k], 1e-15, "step %d: %g", k, value(w));
    }
    tg_optim_free(o);
    tg_params_free(ps);
}
