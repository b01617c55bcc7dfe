/* Tapes: recording, evaluating, differentiating, replaying, and how little memory and stack that
 * takes. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "allocator.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define expect_ok(t) cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t))

static tg_tensor *constant_param(tg_params *ps, const char *name, tg_shape shape, double value)
{
    return tg_param_new(ps, name, TG_F64, shape, ((tg_init){.kind = TG_CONSTANT, .a = value}));
}

static const double *gradient_of(const tg_tensor *p) { return tg_param_grad(p); }

/* ---------------------------------------------------------------- a small model */

typedef struct net {
    tg_params *ps;
    tg_tensor *w1, *b1, *w2, *b2;
} net;

static net make_net(const tg_allocator *allocator, uint64_t seed)
{
    const tg_params_options o = {.size = sizeof o, .allocator = allocator, .seed = seed};
    const tg_init normal = {.kind = TG_HE_NORMAL}, zeros = {.kind = TG_ZEROS};
    net m = {.ps = tg_params_new(&o)};
    m.w1 = tg_param_new(m.ps, "w1", TG_F32, TG_SHAPE(4, 3), normal);
    m.b1 = tg_param_new(m.ps, "b1", TG_F32, TG_SHAPE(4), zeros);
    m.w2 = tg_param_new(m.ps, "w2", TG_F32, TG_SHAPE(1, 4), normal);
    m.b2 = tg_param_new(m.ps, "b2", TG_F32, TG_SHAPE(1), zeros);
    return m;
}

static void fill(float *out, int n, unsigned seed)
{
    for (int i = 0; i < n; i++) out[i] = (float)sin(1.7 * i + seed);
}

static tg_tensor *net_loss(tg_tape *t, const net *m, tg_tensor *x, tg_tensor *y)
{
    tg_tensor *h = tg_dropout(t, tg_relu(t, tg_linear(t, x, m->w1, m->b1)), 0.25);
    return tg_bce_with_logits(t, tg_linear(t, h, m->w2, m->b2), y);
}

enum { ROWS = 10 };
static tg_tensor *record_step(tg_tape *t, const net *m, unsigned step, int rows)
{
    float x[3 * ROWS], y[ROWS];
    fill(x, 3 * rows, step);
    for (int i = 0; i < rows; i++) y[i] = x[3 * i] > 0;
    return net_loss(t, m, tg_input(t, TG_F32, TG_SHAPE(rows, 3), x),
                    tg_input(t, TG_F32, TG_SHAPE(rows, 1), y));
}

/* Plain gradient descent, so that these tests stand on graph and ops alone. */
static void descend(const net *m)
{
    for (int k = 0; k < tg_params_count(m->ps); k++) {
        tg_tensor *p = tg_params_get(m->ps, k);
        const float *value = tg_param_data(p), *g = tg_param_grad(p);
        float next[12];
        for (int64_t i = 0; g && i < tg_tensor_count(p); i++) next[i] = value[i] - 0.1f * g[i];
        if (g) tg_param_write(p, next);
    }
    tg_params_drop_grads(m->ps);
}

/* ---------------------------------------------------------------- long and deep graphs */

static void *on_a_small_stack(void *user)
{
    (void)user;
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "p", TG_SCALAR, 3),
              *q = constant_param(ps, "q", TG_SCALAR, 1);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *y = p;
    for (int i = 0; i < 1000000; i++) y = tg_neg(t, y);
    tg_backward(t, y);
    expect_ok(t);
    cr_expect_eq(tg_item(t, y), 3);
    cr_expect(tg_param_grad(p) && *gradient_of(p) == 1);
    cr_expect_null(tg_param_grad(q));

    tg_tape_reset(t);
    tg_params_drop_grads(ps);
    y = p;
    for (int i = 0; i < 60; i++) y = tg_add(t, y, y);
    tg_backward(t, y);
    expect_ok(t);
    cr_expect_eq(tg_item(t, y), 3 * 0x1p60);
    cr_expect(tg_param_grad(p) && *gradient_of(p) == 0x1p60);

    /* one parameter with as many terms of its gradient as there are ops */
    tg_tape_reset(t);
    tg_params_drop_grads(ps);
    y = tg_constant(t, TG_F64, 0);
    for (int i = 0; i < 100000; i++) y = tg_add(t, tg_scale(t, p, 0.1), y);
    tg_backward(t, y);
    expect_ok(t);
    cr_expect(tg_param_grad(p) && fabs(*gradient_of(p) - 1e4) < 1e-8, "%.17g",
              tg_param_grad(p) ? *gradient_of(p) : (double)NAN);
    tg_tape_free(t);
    tg_params_free(ps);
    return NULL;
}

Test(tape, a_million_ops_and_a_diamond_60_deep_need_little_stack, .timeout = 60)
{
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    cr_assert_eq(pthread_attr_setstacksize(&attr, 128 * 1024), 0);
    cr_assert_eq(pthread_create(&thread, &attr, on_a_small_stack, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
}

Test(tape, a_million_ops_are_freed_at_once, .timeout = 60)
{
    test_memory c = {0};
    const tg_allocator allocator = test_allocator(&c);
    const tg_tape_options o = {.size = sizeof o, .allocator = &allocator};
    tg_tape *t = tg_tape_new(&o);
    tg_tensor *y = tg_constant(t, TG_F32, 0);
    for (int i = 0; i < 1000000; i++) y = tg_offset(t, y, 1);
    cr_expect_eq(tg_item(t, y), 1e6);
    expect_ok(t);
    cr_expect_lt((long)c.blocks, 2000, "memory comes in blocks, not node by node");
    tg_tape_free(t);
    cr_expect_eq((long)c.blocks, 0);
    cr_expect_eq((long)c.bytes, 0, "what is released is what was allocated");
}

/* ---------------------------------------------------------------- steady loops */

Test(tape, a_loop_of_equal_steps_plans_once_and_allocates_nothing)
{
    for (int threads = 1; threads <= 2; threads++) {
        test_memory c = {0};
        const tg_allocator allocator = test_allocator(&c);
        const tg_tape_options o = {.size = sizeof o, .allocator = &allocator, .threads = threads};
        net m = make_net(&allocator, 1);
        tg_tape *t = tg_tape_new(&o);
        long after_two = 0;
        double first = 0, last = 0;
        for (int step = 0; step < 10000; step++) {
            tg_tensor *loss = record_step(t, &m, (unsigned)step % 7, ROWS);
            tg_backward(t, loss);
            last = tg_item(t, loss);
            if (step == 0) first = last;
            tg_tape_reset(t);
            descend(&m);
            if (step == 1) after_two = c.requests;
        }
        expect_ok(t);
        cr_expect_eq((long)c.requests, after_two, "%ld allocations after the second step",
                     (long)c.requests - after_two);
        cr_expect_eq(tg_tape_plan_stats(t).misses, 1);
        cr_expect_eq(tg_tape_plan_stats(t).hits, 9999);
        cr_expect_eq(tg_tape_plan_stats(t).plans, 1);
        cr_expect(last < 0.7 * first, "it learns: %g, then %g", first, last);
        tg_tape_free(t);
        tg_params_free(m.ps);
        cr_expect_eq((long)c.blocks, 0);
    }
}

Test(tape, plans_are_found_again_when_shapes_go_back_and_forth)
{
    test_memory c = {0};
    const tg_allocator allocator = test_allocator(&c);
    const tg_tape_options o = {.size = sizeof o, .allocator = &allocator};
    net m = make_net(&allocator, 1);
    tg_tape *t = tg_tape_new(&o);
    const int rows[] = {10, 3, 10, 7, 3, 10, 7, 7, 3, 10};
    long calls = 0;
    for (int round = 0; round < 10; round++) {
        for (int k = 0; k < COUNT(rows); k++) {
            tg_backward(t, record_step(t, &m, 1, rows[k]));
            tg_tape_reset(t);
        }
        if (round == 1) calls = c.requests;
    }
    expect_ok(t);
    cr_expect_eq(tg_tape_plan_stats(t).misses, 3);
    cr_expect_eq(tg_tape_plan_stats(t).hits, 97);
    cr_expect_eq((long)c.requests, calls);
    tg_tape_free(t);
    tg_params_free(m.ps);
}

/* Numbers that are data belong to no plan. */
Test(tape, slopes_rates_and_constants_share_a_plan)
{
    tg_tape *t = tg_tape_new(NULL);
    const float x[] = {-1, 2, 3};
    for (int k = 1; k <= 5; k++) {
        tg_tensor *y =
            tg_leaky_relu(t, tg_scale(t, tg_input(t, TG_F32, TG_SHAPE(3), x), k), 0.5 * k);
        const float *data = tg_data(t, tg_add(t, y, tg_constant(t, TG_F32, k)));
        cr_expect(data && data[0] == -0.5f * (float)(k * k) + (float)k && data[1] == 3 * (float)k);
        tg_tape_reset(t);
    }
    cr_expect_eq(tg_tape_plan_stats(t).misses, 1);
    tg_tape_free(t);
}

/* A plan must not be taken for another graph's: the same nodes with other wiring, attributes,
 * targets or trainable parameters. */
Test(tape, graphs_that_look_alike_have_plans_of_their_own)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "p", TG_SCALAR, 2),
              *q = constant_param(ps, "q", TG_SCALAR, 3);
    tg_tape *t = tg_tape_new(NULL);
    const double x[] = {1, 2, 3, 4, 5, 6};
    for (int round = 0; round < 3; round++) {
        tg_tensor *m = tg_input(t, TG_F64, TG_SHAPE(2, 3), x);
        cr_expect_eq(tg_item(t, tg_sub(t, p, q)), -1);
        tg_tape_reset(t);
        cr_expect_eq(tg_item(t, tg_sub(t, q, p)), 1);
        tg_tape_reset(t);
        cr_expect_eq(tg_item(t, tg_sub(t, q, q)), 0);
        tg_tape_reset(t);
        m = tg_input(t, TG_F64, TG_SHAPE(2, 3), x);
        cr_expect_eq(((const double *)tg_data(t, tg_sum(t, m, TG_AXES(0), true)))[0], 5);
        tg_tape_reset(t);
        m = tg_input(t, TG_F64, TG_SHAPE(2, 3), x);
        cr_expect_eq(((const double *)tg_data(t, tg_sum(t, m, TG_AXES(1), true)))[0], 6);
        tg_tape_reset(t);
        for (int which = 0; which < 3; which++) {
            tg_tensor *ask[] = {tg_neg(t, p), tg_exp(t, p), tg_mul(t, q, p)};
            const double want[] = {-2, exp(2), 6};
            cr_expect_float_eq(tg_item(t, ask[which]), want[which], 1e-14,
                               "one recording, another value asked for");
            tg_tape_reset(t);
        }
        for (int trainable = 0; trainable < 2; trainable++) {
            tg_param_set_trainable(q, trainable);
            tg_backward(t, tg_mul(t, p, q));
            cr_expect_eq(*gradient_of(p), 3);
            cr_expect_eq(tg_param_grad(q) != NULL, trainable);
            tg_params_drop_grads(ps);
            tg_tape_reset(t);
        }
        for (int training = 0; training < 2; training++) {
            tg_tape_set_training(t, training);
            m = tg_input(t, TG_F64, TG_SHAPE(2, 3), x);
            const double *d = tg_data(t, tg_dropout(t, m, 0.5));
            int equal = 0;
            for (int i = 0; i < 6; i++) equal += d[i] == x[i];
            cr_expect_eq(equal == 6, !training);
            tg_tape_reset(t);
        }
    }
    expect_ok(t);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- memory runs out */

static double small_training(const tg_allocator *allocator, tg_status *status)
{
    const tg_tape_options o = {.size = sizeof o, .allocator = allocator};
    net m = make_net(allocator, 1);
    tg_tape *t = tg_tape_new(&o);
    double last = 0;
    *status = tg_params_status(m.ps);
    for (int step = 0; step < 3 && *status == TG_OK; step++) {
        tg_tensor *loss = record_step(t, &m, (unsigned)step, step == 1 ? 5 : ROWS);
        tg_keep(t, loss);
        tg_backward(t, loss);
        last = tg_item(t, loss);
        /* adds to the gradients that are there, or takes them away */
        tg_backward(t, tg_scale(t, loss, 0.5));
        *status = tg_tape_status(t);
        if (*status != TG_OK)
            for (int k = 0; k < 4; k++)
                cr_expect_null(tg_param_grad(tg_params_get(m.ps, k)),
                               "a failed backward pass leaves no gradient");
        tg_tape_reset(t);
        if (*status == TG_OK) descend(&m);
    }
    tg_tape_free(t);
    tg_params_free(m.ps);
    return last;
}

Test(tape, running_out_of_memory_anywhere_is_a_clean_error)
{
    test_memory c = {0};
    const tg_allocator allocator = test_allocator(&c);
    tg_status status;
    const double want = small_training(&allocator, &status);
    cr_assert_eq(status, TG_OK);
    const long all = c.requests;
    cr_expect_gt(all, 10);
    for (int lasting = 0; lasting < 2; lasting++)
        for (long n = 1; n <= all; n++) {
            c = (test_memory){.fail_at = n, .fail_for = lasting ? 0 : 1};
            const double loss = small_training(&allocator, &status);
            cr_expect(status == TG_ENOMEM || (status == TG_OK && loss == want),
                      "allocation %ld of %ld: %s, loss %g", n, all, tg_status_name(status), loss);
            cr_expect_eq((long)c.blocks, 0, "allocation %ld of %ld: %ld blocks lost", n, all,
                         (long)c.blocks);
        }
}

Test(tape, a_tape_works_again_after_running_out_of_memory)
{
    test_memory c = {0};
    const tg_allocator allocator = test_allocator(&c);
    const tg_tape_options o = {.size = sizeof o, .allocator = &allocator};
    net m = make_net(NULL, 1);
    tg_tape *t = tg_tape_new(&o);
    tg_tape_set_step(t, 9);
    const double want = tg_item(t, record_step(t, &m, 0, ROWS));
    tg_tape_free(t);
    for (long n = 1;; n++) {
        c = (test_memory){0};
        t = tg_tape_new(&o);
        c.fail_at = c.requests + n;
        c.fail_for = 1;
        tg_backward(t, record_step(t, &m, 0, ROWS));
        if (tg_tape_status(t) == TG_OK) break;
        cr_expect_eq(tg_tape_status(t), TG_ENOMEM, "%s", tg_tape_message(t));
        tg_tape_clear_error(t);
        tg_tape_reset(t);
        tg_tape_set_step(t, 9);
        cr_expect_eq(tg_item(t, record_step(t, &m, 0, ROWS)), want,
                     "after allocation %ld failed: %s", n, tg_tape_message(t));
        tg_tape_free(t);
        cr_expect_eq((long)c.blocks, 0);
    }
    tg_tape_free(t);
    tg_params_free(m.ps);
}

/* ---------------------------------------------------------------- values */

Test(tape, parameters_that_changed_are_never_read_silently)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "weight", TG_SCALAR, 2);
    tg_tape *t = tg_tape_new(NULL);
    const double five = 5;
    tg_tensor *square = tg_square(t, p), *cube = tg_mul(t, square, p),
              *kept = tg_keep(t, tg_exp(t, square)), *later = tg_neg(t, cube);
    tg_eval(t, 1, &cube);
    cr_expect_eq(tg_item(t, square), 4, "not computed on its own before, but nothing has changed");
    tg_param_write(p, &five);
    cr_expect_eq(tg_item(t, cube), 8, "computed before");
    cr_expect_eq(tg_item(t, kept), exp(4), "kept");
    expect_ok(t);
    cr_expect_eq(tg_item(t, later), -8, "made of what is computed: %s", tg_tape_message(t));
    tg_tensor *fresh = tg_cos(t, tg_mul(t, p, p));
    cr_expect_float_eq(tg_item(t, fresh), cos(25), 1e-15, "recorded after the change: %s",
                       tg_tape_message(t));

    tg_tape_reset(t);
    tg_tensor *old = tg_log(t, p);
    tg_param_write(p, &five);
    cr_expect(isnan(tg_item(t, old)));
    cr_expect_eq(tg_tape_status(t), TG_ESTALE);
    cr_expect(strstr(tg_tape_message(t), "weight") && strstr(tg_tape_message(t), "tg_keep") &&
                  strstr(tg_tape_message(t), "test_tape.c:"),
              "%s", tg_tape_message(t));
    tg_tape_clear_error(t);
    tg_backward(t, old);
    cr_expect_eq(tg_tape_status(t), TG_ESTALE);
    cr_expect_null(tg_param_grad(p));
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, values_of_views_are_contiguous_copies)
{
    tg_tape *t = tg_tape_new(NULL);
    const int64_t x[] = {1, 2, 3, 4, 5, 6};
    tg_tensor *m = tg_input_borrow(t, TG_I64, TG_SHAPE(2, 3), x);
    const int64_t *turned = tg_data(t, tg_transpose(t, m, 0, 1)), want[] = {1, 4, 2, 5, 3, 6};
    cr_expect_arr_eq(turned, want, sizeof want);
    const int64_t *spread =
                      tg_data(t, tg_expand(t, tg_slice(t, m, 1, -1, TG_END, 1), TG_SHAPE(2, 2))),
                  wide[] = {3, 3, 6, 6};
    cr_expect_arr_eq(spread, wide, sizeof wide);
    cr_expect_arr_eq(turned, want, sizeof want, "valid until the reset");
    cr_expect_not_null(tg_data(t, tg_slice(t, m, 0, 5, TG_END, 1)), "empty, and yet no NULL");
    cr_expect_eq(tg_item(t, tg_sum(t, m, TG_ALL_AXES, false)), 21);
    expect_ok(t);
    tg_tape_free(t);
}

Test(tape, evaluating_piece_by_piece_changes_no_bit)
{
    float whole[3 * 12], pieces[3 * 12];
    for (int piecemeal = 0; piecemeal < 2; piecemeal++) {
        tg_tape *t = tg_tape_new(NULL);
        float x[12];
        fill(x, 12, 3);
        tg_tensor *a = tg_dropout(t, tg_tanh(t, tg_input(t, TG_F32, TG_SHAPE(3, 4), x)), 0.3);
        if (piecemeal) tg_data(t, a);
        tg_tensor *b = tg_softmax(t, tg_mul(t, a, tg_exp(t, a)), 1);
        if (piecemeal) tg_data(t, tg_exp(t, a));
        tg_tensor *c = tg_div(t, tg_sigmoid(t, b),
                              tg_offset(t, tg_sum(t, tg_square(t, a), TG_AXES(1), true), 1)),
                  *all[] = {a, b, c};
        if (piecemeal) tg_data(t, c);
        tg_eval(t, 3, all);
        for (int k = 0; k < 3; k++)
            memcpy((piecemeal ? pieces : whole) + 12 * k, tg_data(t, all[k]), 12 * sizeof(float));
        expect_ok(t);
        tg_tape_free(t);
    }
    cr_expect_arr_eq(whole, pieces, sizeof whole);
}

Test(tape, kept_tensors_come_with_the_backward_pass)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "p", TG_SHAPE(3), 2);
    tg_tape *t = tg_tape_new(NULL);
    const double zeros[3] = {0};
    tg_tensor *square = tg_square(t, p), *aside = tg_keep(t, tg_scale(t, p, 10));
    cr_expect_eq(tg_keep(t, square), square);
    tg_backward(t, tg_sum(t, tg_exp(t, square), TG_ALL_AXES, false));
    tg_param_write(p, zeros);
    cr_expect_eq(((const double *)tg_data(t, square))[2], 4);
    cr_expect_eq(((const double *)tg_data(t, aside))[0], 20);
    cr_expect_float_eq(gradient_of(p)[1], 4 * exp(4), 1e-12 * exp(4));
    expect_ok(t);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- replay */

static void copy_grads(const net *m, float out[21])
{
    int at = 0;
    for (int k = 0; k < tg_params_count(m->ps); k++) {
        const tg_tensor *p = tg_params_get(m->ps, k);
        memcpy(out + at, tg_param_grad(p), (size_t)tg_tensor_count(p) * sizeof(float));
        at += (int)tg_tensor_count(p);
    }
}

Test(tape, replaying_equals_recording_again)
{
    enum { STEPS = 20 };
    static float want[STEPS][22];
    /* recorded, replayed, replayed with borrowed inputs, replayed node by node */
    for (int how = 0; how < 4; how++) {
        const tg_tape_options o = {.size = sizeof o, .seed = 5, .node_by_node = how == 3};
        net m = make_net(NULL, 2);
        tg_tape *t = tg_tape_new(&o);
        float x[3 * ROWS], y[ROWS];
        tg_tensor *in = NULL, *target = NULL, *loss = NULL;
        for (int step = 0; step < STEPS; step++) {
            float is[22];
            fill(x, 3 * ROWS, (unsigned)step);
            for (int i = 0; i < ROWS; i++) y[i] = x[3 * i] > 0;
            if (how == 0 || step == 0) {
                if (step) tg_tape_reset(t);
                in = how == 2 ? tg_input_borrow(t, TG_F32, TG_SHAPE(ROWS, 3), x)
                              : tg_input(t, TG_F32, TG_SHAPE(ROWS, 3), x);
                target = tg_input(t, TG_F32, TG_SHAPE(ROWS, 1), y);
                loss = net_loss(t, &m, in, target);
                tg_backward(t, loss);
            } else {
                tg_input_set(t, in, x);
                tg_input_set(t, target, y);
                cr_expect_eq(tg_replay(t), TG_OK);
            }
            is[21] = (float)tg_item(t, loss);
            copy_grads(&m, is);
            if (how == 0) memcpy(want[step], is, sizeof is);
            cr_expect_arr_eq(is, want[step], sizeof is, "way %d, step %d", how, step);
            descend(&m);
        }
        expect_ok(t);
        cr_expect_eq(tg_tape_step(t), STEPS - 1);
        tg_tape_free(t);
        tg_params_free(m.ps);
    }
    cr_expect(memcmp(want[0], want[7], sizeof want[0]) != 0);
}

Test(tape, values_are_replayed_too_without_any_memory)
{
    test_memory m = {0};
    const tg_allocator counted = test_allocator(&m);
    net n = make_net(NULL, 2);
    for (int how = 0; how < 3; how++) {
        const tg_tape_options o = {
            .size = sizeof o, .seed = 5, .allocator = &counted, .node_by_node = how == 2};
        tg_tape *t = tg_tape_new(&o),
                *anew = tg_tape_new(&(tg_tape_options){.size = sizeof o, .seed = 5});
        float x[3 * ROWS], y[ROWS] = {0};
        fill(x, 3 * ROWS, 0);
        tg_tensor *in = how == 1 ? tg_input_borrow(t, TG_F32, TG_SHAPE(ROWS, 3), x)
                                 : tg_input(t, TG_F32, TG_SHAPE(ROWS, 3), x);
        tg_tensor *loss = net_loss(t, &n, in, tg_input(t, TG_F32, TG_SHAPE(ROWS, 1), y));
        tg_tensor *square = tg_square(t, in), *both[] = {loss, square};
        tg_eval(t, 2, both);
        long long requests = 0;
        for (unsigned step = 1; step < 20; step++) {
            fill(x, 3 * ROWS, step);
            if (step == 3) requests = m.requests;
            tg_input_set(t, in, x);
            cr_expect_eq(tg_replay(t), TG_OK, "%s", tg_tape_message(t));
            const float *squares = tg_data(t, square);
            for (int i = 0; i < 3 * ROWS; i++) cr_expect_eq(squares[i], x[i] * x[i]);
            const double is = tg_item(t, loss);
            if (step >= 3) cr_expect_eq(m.requests, requests);
            tg_tape_set_step(anew, tg_tape_step(t));
            tg_tensor *again = net_loss(anew, &n, tg_input(anew, TG_F32, TG_SHAPE(ROWS, 3), x),
                                        tg_input(anew, TG_F32, TG_SHAPE(ROWS, 1), y));
            cr_expect_eq(is, tg_item(anew, again));
            tg_tape_reset(anew);
            tg_param_write(n.b2, &(float){(float)step});
        }
        tg_tensor *more = tg_square(t, loss);
        cr_expect(tg_item(t, more) >= 0);
        cr_expect_eq(tg_replay(t), TG_ESTATE, "two evaluations");
        tg_tape_free(t);
        tg_tape_free(anew);
    }
    tg_params_free(n.ps);
    cr_expect_eq(m.blocks, 0);
}

Test(tape, reading_an_input_is_no_evaluation)
{
    const float before[] = {1, 2}, after[] = {3, 4};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(2), (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(2), before);
    cr_assert_not_null(tg_data(t, x));
    cr_expect_eq(((const float *)tg_data(t, x))[1], 2);
    tg_tensor *loss = tg_sum_all(t, tg_mul(t, x, w));
    tg_backward(t, loss);
    tg_input_set(t, x, after);
    cr_expect_eq(((const float *)tg_data(t, x))[1], 4);
    cr_expect_eq(tg_replay(t), TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(tg_item(t, loss), 7);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, a_recording_evaluated_piecemeal_is_not_replayed)
{
    net m = make_net(NULL, 2);
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_eq(tg_replay(t), TG_ESTATE, "nothing recorded");
    tg_tape_clear_error(t);
    tg_tensor *loss = record_step(t, &m, 0, ROWS);
    tg_item(t, tg_square(t, loss));
    tg_backward(t, loss);
    cr_expect_eq(tg_replay(t), TG_ESTATE);
    cr_expect(strstr(tg_tape_message(t), "test_tape.c:"), "%s", tg_tape_message(t));
    tg_tape_clear_error(t);
    tg_tape_reset(t);
    loss = record_step(t, &m, 0, ROWS);
    tg_backward(t, loss);
    tg_item(t, loss);
    cr_expect_eq(tg_replay(t), TG_OK, "reading the loss is no evaluation: %s", tg_tape_message(t));
    tg_backward(t, loss);
    cr_expect_eq(tg_replay(t), TG_ESTATE);
    tg_tape_free(t);
    tg_params_free(m.ps);
}

Test(tape, a_replay_reads_the_new_data_of_an_input_that_was_kept)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = constant_param(ps, "w", TG_SHAPE(2), 1);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_keep(t, tg_input(t, TG_F64, TG_SHAPE(2), (const double[]){1, 2}));
    tg_tensor *loss = tg_sum(t, tg_mul(t, x, w), TG_ALL_AXES, false);
    tg_backward(t, loss);
    cr_expect_eq(tg_item(t, loss), 3);
    tg_params_drop_grads(ps);
    tg_input_set(t, x, (const double[]){30, 40});
    cr_expect_eq(tg_replay(t), TG_OK);
    cr_expect_eq(tg_item(t, loss), 70);
    cr_expect_eq(((const double *)tg_data(t, x))[1], 40);
    cr_expect_eq(gradient_of(w)[0], 30);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, a_replay_that_meets_bad_data_fails_and_leaves_no_gradient)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *table = constant_param(ps, "table", TG_SHAPE(3, 2), 1);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *index = tg_input(t, TG_I64, TG_SHAPE(2), (const int64_t[]){0, 2});
    tg_backward(t, tg_sum(t, tg_embedding(t, table, index), TG_ALL_AXES, false));
    cr_expect_not_null(tg_param_grad(table));
    tg_input_set(t, index, (const int64_t[]){0, 9});
    cr_expect_eq(tg_replay(t), TG_EINDEX);
    cr_expect(strstr(tg_tape_message(t), "test_tape.c:"), "%s", tg_tape_message(t));
    cr_expect(strstr(tg_tape_message(t), "9"), "%s", tg_tape_message(t));
    cr_expect_null(tg_param_grad(table));
    tg_tape_free(t);
    tg_params_free(ps);
}

/* Only a kept value meets the bad data here, neither the loss nor a gradient. */
Test(tape, a_replay_finds_bad_data_in_what_is_kept)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = constant_param(ps, "w", TG_SHAPE(2), 1);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(2), (const double[]){1, 2});
    tg_keep(t, tg_cast(t, x, TG_I64));
    tg_backward(t, tg_sum(t, tg_mul(t, x, w), TG_ALL_AXES, false));
    cr_expect_not_null(tg_param_grad(w));
    tg_input_set(t, x, (const double[]){1, 1e300});
    cr_expect_eq(tg_replay(t), TG_EVALUE);
    cr_expect(strstr(tg_tape_message(t), "test_tape.c:"), "%s", tg_tape_message(t));
    cr_expect_null(tg_param_grad(w));
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, a_fused_cast_reports_what_integers_cannot_hold)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), (const double[]){1, 1e300, 2});
    cr_expect_null(
        tg_data(t, tg_add(t, tg_cast(t, tg_mul(t, x, x), TG_I64), tg_constant(t, TG_I64, 1))));
    cr_expect_eq(tg_tape_status(t), TG_EVALUE, "%s", tg_tape_message(t));
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- random numbers */

static uint64_t mask_of(const tg_tape_options *o, int step, bool metric, int index)
{
    tg_tape *t = tg_tape_new(o);
    float x[64];
    uint64_t mask = 0;
    for (int i = 0; i < 64; i++) x[i] = 1;
    tg_tape_set_step(t, (uint64_t)step);
    tg_tensor *in = tg_input(t, TG_F32, TG_SHAPE(64), x), *drop[2];
    drop[0] = tg_dropout(t, in, 0.5);
    if (metric) tg_item(t, tg_mean(t, tg_exp(t, drop[0]), TG_ALL_AXES, false));
    drop[1] = tg_dropout(t, tg_sin(t, in), 0.5);
    const float *data = tg_data(t, drop[index]);
    for (int i = 0; i < 64; i++) mask |= (uint64_t)(data[i] != 0) << i;
    expect_ok(t);
    tg_tape_free(t);
    return mask;
}

Test(tape, random_numbers_are_a_function_of_seed_stream_step_and_call)
{
    const tg_tape_options o = {.size = sizeof o, .seed = 7}, seed = {.size = sizeof o, .seed = 8},
                          stream = {.size = sizeof o, .seed = 7, .stream = 1},
                          threads = {.size = sizeof o, .seed = 7, .threads = 3},
                          single = {.size = sizeof o, .seed = 7, .node_by_node = true};
    const uint64_t mask = mask_of(&o, 0, false, 0), second = mask_of(&o, 0, false, 1);
    cr_expect_neq(mask, second);
    cr_expect_eq(mask, mask_of(&o, 0, false, 0));
    cr_expect_eq(mask, mask_of(&threads, 0, false, 0));
    cr_expect_eq(mask, mask_of(&single, 0, false, 0));
    cr_expect_eq(second, mask_of(&o, 0, true, 1), "a metric in between changes no mask");
    cr_expect_neq(mask, mask_of(&o, 1, false, 0));
    cr_expect_neq(mask, mask_of(&seed, 0, false, 0));
    cr_expect_neq(mask, mask_of(&stream, 0, false, 0));
    int kept = 0;
    for (int step = 0; step < 100; step++)
        kept += __builtin_popcountll(mask_of(&o, step, false, 0));
    /* 6400 fair draws: 3200, give or take 5 standard deviations of 40 */
    cr_expect(abs(kept - 3200) < 200, "%d", kept);
}

/* ---------------------------------------------------------------- several tapes */

typedef struct worker {
    const net *m;
    float grad[12];
} worker;

static void *work(void *user)
{
    worker *w = user;
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 0; step < 50; step++) {
        tg_tensor *g, *p = w->m->w1;
        tg_grad(t, record_step(t, w->m, 4, ROWS), NULL, 1, &p, &g, false);
        const float *data = tg_data(t, g);
        if (step == 0 && data) memcpy(w->grad, data, sizeof w->grad);
        tg_tape_reset(t);
    }
    cr_expect_eq(tg_tape_status(t), TG_OK);
    tg_tape_free(t);
    return NULL;
}

Test(tape, tapes_on_several_threads_read_the_same_parameters)
{
    net m = make_net(NULL, 2);
    worker w[4];
    pthread_t thread[4];
    for (int k = 0; k < 4; k++) {
        w[k] = (worker){.m = &m};
        pthread_create(&thread[k], NULL, work, &w[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(thread[k], NULL);
        cr_expect_arr_eq(w[k].grad, w[0].grad, sizeof w[0].grad);
    }
    tg_params_free(m.ps);
}
