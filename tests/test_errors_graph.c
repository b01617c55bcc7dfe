/* The functions of graph.h and op.h, called wrongly. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <unistd.h>

#include "errors.h"

Test(errors_graph, tape_functions_take_null)
{
    double data = 1;
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &data), *g = x;
    tg_tape_free(NULL);
    tg_tape_reset(NULL);
    tg_tape_clear_error(NULL);
    tg_tape_set_training(NULL, true);
    tg_tape_set_step(NULL, 3);
    tg_tape_set_threads(NULL, 3);
    cr_expect_not(tg_tape_training(NULL));
    cr_expect_eq(tg_tape_step(NULL), 0);
    cr_expect_eq(tg_tape_status(NULL), TG_ENOMEM);
    cr_expect_not_null(tg_tape_message(NULL));
    cr_expect_eq(tg_tape_plan_stats(NULL).plans, 0);
    cr_expect_eq(tg_tensor_shape(NULL).ndim, -1);
    cr_expect_eq(tg_tensor_dtype(NULL), TG_F32);
    cr_expect_eq(tg_tensor_count(NULL), 0);
    cr_expect_null(tg_input(NULL, TG_F64, TG_SCALAR, &data));
    cr_expect_null(tg_input_borrow(NULL, TG_F64, TG_SCALAR, &data));
    cr_expect_null(tg_constant(NULL, TG_F64, 1));
    cr_expect_eq(tg_input_set(NULL, x, &data), TG_ENOMEM);
    cr_expect_null(tg_detach(NULL, x));
    cr_expect_null(tg_keep(NULL, x));
    cr_expect_eq(tg_eval(NULL, 1, &x), TG_ENOMEM);
    cr_expect(isnan(tg_item(NULL, x)));
    cr_expect_null(tg_data(NULL, x));
    cr_expect_eq(tg_backward(NULL, x), TG_ENOMEM);
    cr_expect_eq(tg_grad(NULL, x, NULL, 1, &x, &g, false), TG_ENOMEM);
    cr_expect_null(g, "gradients are NULL on an error");
    cr_expect_null(tg_jvp(NULL, x, 1, &x, &x));
    cr_expect_null(tg_hvp(NULL, x, x, x));
    cr_expect_null(tg_jacobian(NULL, x, x));
    cr_expect_null(tg_hessian(NULL, x, x));
    cr_expect_eq(tg_replay(NULL), TG_ENOMEM);
    cr_expect_eq(tg_write_dot(NULL, "x.dot", NULL), TG_ENOMEM);
    cr_expect_eq(tg_tape_status(t), TG_OK);
    tg_tape_free(t);
}

#define GRAPH_FAILS(wanted, expression)                          \
    do {                                                         \
        (void)(expression);                                      \
        cr_expect_fails(t, wanted, __LINE__, "%s", #expression); \
        tg_tape_clear_error(t);                                  \
    } while (0)

Test(errors_graph, tape_functions_check_what_they_are_given)
{
    double data[6] = {1, 2, 3, 4, 5, 6};
    tg_tape *t = tg_tape_new(NULL), *other = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(2, 3), data), *s = tg_sum(t, x, TG_ALL_AXES, false),
              *none = NULL, *g = x;
    tg_tensor *foreign = tg_input(other, TG_F64, TG_SHAPE(2, 3), data),
              *i = tg_sum(t, operand(t, TG_I64, TG_SHAPE(2)), TG_ALL_AXES, false);
    tg_tensor *single = tg_cast(t, x, TG_F32), *one = tg_constant(t, TG_F64, 1);

    GRAPH_FAILS(TG_EDTYPE, tg_input(t, (tg_dtype)4, TG_SHAPE(2), data));
    GRAPH_FAILS(TG_EDTYPE, tg_input(t, (tg_dtype)-1, TG_SHAPE(2), data));
    GRAPH_FAILS(TG_ESHAPE, tg_input(t, TG_F64, TG_SHAPE(-2), data));
    GRAPH_FAILS(TG_ESHAPE, tg_input(t, TG_F64, TG_SHAPE(INT64_MAX, 2), data));
    GRAPH_FAILS(TG_ENULL, tg_input(t, TG_F64, TG_SHAPE(2), NULL));
    GRAPH_FAILS(TG_ENULL, tg_input_borrow(t, TG_F64, TG_SHAPE(2), NULL));
    GRAPH_FAILS(TG_ESHAPE, tg_input_borrow(t, TG_F64, TG_SHAPE(-2), data));
    cr_expect_not_null(tg_input(t, TG_F64, TG_SHAPE(0), NULL));
    GRAPH_FAILS(TG_EDTYPE, tg_constant(t, (tg_dtype)9, 1));
    GRAPH_FAILS(TG_EVALUE, tg_constant(t, TG_I64, 0.5));
    GRAPH_FAILS(TG_EVALUE, tg_constant(t, TG_I64, 1e30));
    GRAPH_FAILS(TG_EVALUE, tg_constant(t, TG_U8, 256));
    GRAPH_FAILS(TG_EVALUE, tg_constant(t, TG_U8, (double)NAN));
    GRAPH_FAILS(TG_ENULL, tg_detach(t, NULL));
    GRAPH_FAILS(TG_ETAPE, tg_detach(t, foreign));
    GRAPH_FAILS(TG_ETAPE, tg_constant_like(t, foreign, 1));
    GRAPH_FAILS(TG_ENULL, tg_keep(t, NULL));
    GRAPH_FAILS(TG_ETAPE, tg_keep(t, foreign));
    GRAPH_FAILS(TG_ENULL, tg_eval(t, 1, NULL));
    GRAPH_FAILS(TG_ENULL, tg_eval(t, 1, &none));
    GRAPH_FAILS(TG_EVALUE, tg_eval(t, -1, &x));
    GRAPH_FAILS(TG_ETAPE, tg_eval(t, 1, &foreign));
    GRAPH_FAILS(TG_ENULL, tg_item(t, NULL));
    GRAPH_FAILS(TG_ESHAPE, tg_item(t, x));
    GRAPH_FAILS(TG_ETAPE, tg_item(t, tg_sum(other, foreign, TG_ALL_AXES, false)));
    GRAPH_FAILS(TG_ENULL, tg_data(t, NULL));
    GRAPH_FAILS(TG_ETAPE, tg_data(t, foreign));
    GRAPH_FAILS(TG_ENULL, tg_backward(t, NULL));
    GRAPH_FAILS(TG_ESHAPE, tg_backward(t, x));
    GRAPH_FAILS(TG_ENOGRAD, tg_backward(t, s));
    GRAPH_FAILS(TG_ENOGRAD, tg_backward(t, i));
    GRAPH_FAILS(TG_ETAPE, tg_backward(t, tg_sum(other, foreign, TG_ALL_AXES, false)));
    GRAPH_FAILS(TG_ENULL, tg_grad(t, NULL, NULL, 1, &x, &g, false));
    cr_expect_null(g);
    GRAPH_FAILS(TG_ENULL, tg_grad(t, s, NULL, 1, NULL, &g, false));
    GRAPH_FAILS(TG_ENULL, tg_grad(t, s, NULL, 1, &x, NULL, false));
    GRAPH_FAILS(TG_ENULL, tg_grad(t, s, NULL, 1, &none, &g, false));
    GRAPH_FAILS(TG_EVALUE, tg_grad(t, s, NULL, -1, &x, &g, false));
    GRAPH_FAILS(TG_ESHAPE, tg_grad(t, x, NULL, 1, &x, &g, false));
    GRAPH_FAILS(TG_ESHAPE, tg_grad(t, x, s, 1, &x, &g, false));
    GRAPH_FAILS(TG_EDTYPE, tg_grad(t, x, single, 1, &x, &g, false));
    GRAPH_FAILS(TG_ETAPE, tg_grad(t, s, NULL, 1, &foreign, &g, false));
    GRAPH_FAILS(TG_ETAPE, tg_grad(t, x, foreign, 1, &x, &g, false));
    GRAPH_FAILS(TG_ENOGRAD, tg_grad(t, s, NULL, 1, &one, &g, false));
    GRAPH_FAILS(TG_ENOGRAD, tg_grad(t, i, NULL, 1, &x, &g, false));
    GRAPH_FAILS(TG_ENULL, tg_jvp(t, NULL, 1, &x, &x));
    GRAPH_FAILS(TG_ENULL, tg_jvp(t, s, 1, NULL, &x));
    GRAPH_FAILS(TG_ENULL, tg_jvp(t, s, 1, &x, NULL));
    GRAPH_FAILS(TG_ENULL, tg_jvp(t, s, 1, &x, &none));
    GRAPH_FAILS(TG_ESHAPE, tg_jvp(t, s, 1, &x, &s));
    GRAPH_FAILS(TG_EDTYPE, tg_jvp(t, s, 1, &x, &single));
    GRAPH_FAILS(TG_ETAPE, tg_jvp(t, s, 1, &x, &foreign));
    GRAPH_FAILS(TG_ENULL, tg_hvp(t, NULL, x, x));
    GRAPH_FAILS(TG_ENULL, tg_hvp(t, s, NULL, x));
    GRAPH_FAILS(TG_ENULL, tg_hvp(t, s, x, NULL));
    GRAPH_FAILS(TG_ESHAPE, tg_hvp(t, x, x, x));
    GRAPH_FAILS(TG_ESHAPE, tg_hvp(t, s, x, s));
    GRAPH_FAILS(TG_EDTYPE, tg_hvp(t, s, x, single));
    GRAPH_FAILS(TG_ETAPE, tg_hvp(t, s, foreign, x));
    GRAPH_FAILS(TG_ENULL, tg_jacobian(t, NULL, x));
    GRAPH_FAILS(TG_ENULL, tg_jacobian(t, x, NULL));
    GRAPH_FAILS(TG_ETAPE, tg_jacobian(t, foreign, x));
    tg_tensor *five = tg_reshape(t, x, TG_SHAPE(2, 1, 1, 1, 3));
    GRAPH_FAILS(TG_ESHAPE, tg_jacobian(t, tg_square(t, five), five));
    GRAPH_FAILS(TG_ENULL, tg_hessian(t, NULL, x));
    GRAPH_FAILS(TG_ENULL, tg_hessian(t, s, NULL));
    GRAPH_FAILS(TG_ESHAPE, tg_hessian(t, x, x));
    GRAPH_FAILS(TG_ETAPE, tg_hessian(t, s, foreign));
    GRAPH_FAILS(TG_ESTATE, tg_replay(t));
    GRAPH_FAILS(TG_ENULL, tg_write_dot(t, NULL, NULL));
    GRAPH_FAILS(TG_EIO, tg_write_dot(t, "no/such/folder/x.dot", NULL));
    GRAPH_FAILS(TG_ETAPE, tg_write_dot(t, "x.dot", foreign));
    GRAPH_FAILS(TG_ENOGRAD, tg_write_dot(t, "x.dot", s));
    cr_expect_neq(access("x.dot", F_OK), 0);

    /* and without a position of the caller's */
    cr_expect_eq(tg_input_set(t, NULL, data), TG_ENULL);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_input_set(t, x, NULL), TG_ENULL);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_input_set(t, s, data), TG_EVALUE);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_input_set(t, foreign, data), TG_ETAPE);
    tg_tape_clear_error(t);
    tg_tape_set_threads(t, -1);
    cr_expect_eq(tg_tape_status(t), TG_EVALUE);
    tg_tape_clear_error(t);
    tg_tape_set_threads(t, 1025);
    cr_expect_eq(tg_tape_status(t), TG_EVALUE);
    tg_tape_clear_error(t);
    cr_expect_null((tg_reshape)(t, x, TG_SHAPE(5)));
    cr_expect_eq(strncmp(tg_tape_message(t), "reshape: ", 9), 0, "%s", tg_tape_message(t));

    cr_expect_eq(tg_tape_status(other), TG_OK);
    tg_tape_free(t);
    tg_tape_free(other);
}

Test(errors_graph, options_out_of_range_make_a_tape_in_error)
{
    const tg_tape_options bad[] = {{.size = 0},
                                   {.size = sizeof bad[0], .threads = -1},
                                   {.size = sizeof bad[0], .threads = 1025},
                                   {.size = sizeof bad[0], .isa = (tg_isa)9},
                                   {.size = sizeof bad[0], .plan_cache_bytes = -1}};
    const char *says[] = {".size = sizeof(tg_tape_options)", "threads", "threads", "isa",
                          "plan_cache_bytes"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        tg_tape *t = tg_tape_new(&bad[k]);
        cr_expect_eq(tg_tape_status(t), TG_EVALUE, "%zu", k);
        cr_expect(strstr(tg_tape_message(t), says[k]), "%s", tg_tape_message(t));
        cr_expect_null(tg_constant(t, TG_F32, 1), "%zu", k);
        tg_tape_free(t);
    }
}

Test(errors_graph, a_tensor_of_an_earlier_recording_is_refused)
{
    double data[6] = {1, 2, 3, 4, 5, 6};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(6), data);
    for (int k = 0; k < 10; k++) x = tg_exp(t, x);
    tg_tape_reset(t);
    cr_expect_eq(tg_tensor_shape(x).ndim, -1);
    GRAPH_FAILS(TG_ETAPE, tg_exp(t, x));
    GRAPH_FAILS(TG_ETAPE, tg_constant_like(t, x, 1));
    GRAPH_FAILS(TG_ETAPE, tg_data(t, x));
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- shapes, names, parameters */

Test(errors_graph, impossible_shapes_and_axes)
{
    const int64_t sizes[] = {2, -1}, large[] = {1ll << 31, 1ll << 31, 4},
                  nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int axes[9] = {0};
    cr_expect_eq(tg_shape_of(9, nine).ndim, -1);
    cr_expect_eq(tg_shape_of(-1, nine).ndim, -1);
    cr_expect_eq(tg_shape_of(2, NULL).ndim, -1);
    cr_expect_eq(tg_shape_of(3, large).ndim, -1);
    cr_expect_eq(tg_shape_count(tg_shape_of(9, nine)), -1);
    cr_expect_eq(tg_shape_count((tg_shape){.ndim = 9}), -1);
    cr_expect_eq(tg_shape_count(tg_shape_of(2, sizes)), -1);
    cr_expect_eq(tg_axes_of(9, axes).n, -2);
    cr_expect_eq(tg_axes_of(2, NULL).n, -2);
    cr_expect_eq(tg_axes_of(-3, axes).n, -2);
    cr_expect_str_eq(tg_status_name((tg_status)-1), "?");
    cr_expect_str_eq(tg_status_name(TG_STATUS_COUNT), "?");
    cr_expect_str_eq(tg_status_text((tg_status)99), "?");
    cr_expect_str_eq(tg_dtype_name((tg_dtype)-1), "?");
    cr_expect_eq(tg_dtype_size((tg_dtype)4), 0);
    cr_expect_not_null(tg_shape_text((tg_shape){.ndim = -1}).text);
    cr_expect_not_null(tg_shape_text((tg_shape){.ndim = 99}).text);
}

Test(errors_graph, parameter_functions_check_what_they_are_given)
{
    const float data[6] = {0};
    const tg_init zeros = {.kind = TG_ZEROS};
    tg_params *ps = tg_params_new(NULL);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_constant(t, TG_F32, 1);
    char long_name[300];
    memset(long_name, 'a', sizeof long_name);
    long_name[299] = 0;

    tg_params_free(NULL);
    tg_params_clear_error(NULL);
    tg_params_drop_grads(NULL);
    cr_expect_eq(tg_params_status(NULL), TG_ENOMEM);
    cr_expect_not_null(tg_params_message(NULL));
    cr_expect_eq(tg_params_count(NULL), 0);
    cr_expect_eq(tg_params_elements(NULL), 0);
    cr_expect_null(tg_params_get(NULL, 0));
    cr_expect_null(tg_params_find(NULL, "w"));
    cr_expect_null(tg_params_find(ps, NULL));
    cr_expect_null(tg_params_get(ps, -1));
    cr_expect_null(tg_params_get(ps, 0));
    cr_expect_null(tg_param_new(NULL, "w", TG_F32, TG_SHAPE(2), zeros));

#define PARAM_FAILS(wanted, ...)                                                                   \
    do {                                                                                           \
        cr_expect_null(__VA_ARGS__, "%s", #__VA_ARGS__);                                           \
        cr_expect_eq(tg_params_status(ps), wanted, "%s: %s", #__VA_ARGS__, tg_params_message(ps)); \
        cr_expect(strstr(tg_params_message(ps), "test_errors_graph.c:"), "%s: %s", #__VA_ARGS__,   \
                  tg_params_message(ps));                                                          \
        tg_params_clear_error(ps);                                                                 \
    } while (0)
    PARAM_FAILS(TG_ENULL, tg_param_new(ps, NULL, TG_F32, TG_SHAPE(2), zeros));
    PARAM_FAILS(TG_EVALUE, tg_param_new(ps, "", TG_F32, TG_SHAPE(2), zeros));
    PARAM_FAILS(TG_EVALUE, tg_param_new(ps, long_name, TG_F32, TG_SHAPE(2), zeros));
    PARAM_FAILS(TG_EDTYPE, tg_param_new(ps, "w", TG_I64, TG_SHAPE(2), zeros));
    PARAM_FAILS(TG_EDTYPE, tg_param_new(ps, "w", (tg_dtype)8, TG_SHAPE(2), zeros));
    PARAM_FAILS(TG_ESHAPE, tg_param_new(ps, "w", TG_F32, TG_SHAPE(-2), zeros));
    PARAM_FAILS(TG_EVALUE, tg_param_new(ps, "w", TG_F32, TG_SHAPE(2, 2),
                                        ((tg_init){.kind = (tg_init_kind)99})));
    PARAM_FAILS(TG_ESHAPE,
                tg_param_new(ps, "w", TG_F32, TG_SHAPE(2), ((tg_init){.kind = TG_XAVIER_UNIFORM})));
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(2, 3), zeros);
    cr_expect_not_null(w, "%s", tg_params_message(ps));
    PARAM_FAILS(TG_EVALUE, tg_param_new(ps, "w", TG_F32, TG_SHAPE(2), zeros));

    const tg_tensor *not_parameters[] = {NULL, x};
    for (int k = 0; k < 2; k++) {
        tg_tensor *p = (tg_tensor *)(uintptr_t)not_parameters[k];
        cr_expect_null(tg_param_name(p));
        cr_expect_null(tg_param_data(p));
        cr_expect_null(tg_param_grad(p));
        cr_expect_eq(tg_param_version(p), 0);
        cr_expect_not(tg_param_trainable(p));
        cr_expect_neq(tg_param_set_trainable(p, true), TG_OK);
        cr_expect_neq(tg_param_write(p, data), TG_OK);
        cr_expect_neq(tg_param_add_grad(p, data), TG_OK);
    }
    cr_expect_eq(tg_param_write(w, NULL), TG_ENULL);
    cr_expect_eq(tg_param_add_grad(w, NULL), TG_ENULL);
    cr_expect_eq(tg_tape_status(t), TG_ETAPE, "%s", tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- op.h */

static bool any_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}
static bool impossible_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.shape.ndim = -1;
    return true;
}
static bool silent_rule(tg_rule *r)
{
    (void)r;
    return false;
}
static void no_kernel(const tg_call *c) { (void)c; }

Test(errors_graph, ops_that_are_put_together_wrongly_are_refused)
{
    tg_tape *t = tg_tape_new(NULL), *other = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(3)), *none = NULL,
              *foreign = operand(other, TG_F64, TG_SHAPE(3)), *many[] = {x, x, x, x, x};
    const tg_op good = {
        .size = sizeof(tg_op), .name = "good", .n_in = 1, .rule = any_rule, .kernel = no_kernel};
    const tg_op bad[] = {
        {.size = 0, .name = "bad", .n_in = 1, .rule = any_rule, .kernel = no_kernel},
        {.size = sizeof(tg_op), .name = "bad", .n_in = 1, .rule = any_rule},
        {.size = sizeof(tg_op), .name = "bad", .n_in = 1, .kernel = no_kernel},
        {.size = sizeof(tg_op), .name = "bad", .n_in = 2, .rule = any_rule, .kernel = no_kernel},
        {.size = sizeof(tg_op),
         .name = "bad",
         .n_in = 1,
         .rule = impossible_rule,
         .kernel = no_kernel},
        {.size = sizeof(tg_op), .name = "bad", .n_in = 1, .rule = silent_rule, .kernel = no_kernel},
        {.size = sizeof(tg_op),
         .name = "bad",
         .n_in = 1,
         .rule = any_rule,
         .kernel = no_kernel,
         .flags = TG_DRAWS}};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        cr_expect_null(tg_apply(t, &bad[k], 1, &x, 0, NULL), "%zu", k);
        cr_expect_neq(tg_tape_status(t), TG_OK, "%zu", k);
        cr_expect(strstr(tg_tape_message(t), "test_errors_graph.c:") &&
                      strstr(tg_tape_message(t), "bad"),
                  "%s", tg_tape_message(t));
        tg_tape_clear_error(t);
    }
    GRAPH_FAILS(TG_ENULL, tg_apply(t, NULL, 1, &x, 0, NULL));
    GRAPH_FAILS(TG_ENULL, tg_apply(t, &good, 1, NULL, 0, NULL));
    GRAPH_FAILS(TG_ENULL, tg_apply(t, &good, 1, &none, 0, NULL));
    GRAPH_FAILS(TG_ETAPE, tg_apply(t, &good, 1, &foreign, 0, NULL));
    GRAPH_FAILS(TG_EVALUE, tg_apply(t, &good, 5, many, 0, NULL));
    GRAPH_FAILS(TG_EVALUE, tg_apply(t, &good, -1, &x, 0, NULL));
    GRAPH_FAILS(TG_EVALUE, tg_apply(t, &good, 1, &x, -1, NULL));
    GRAPH_FAILS(TG_EVALUE, tg_apply(t, &good, 1, &x, 1, NULL));
    GRAPH_FAILS(TG_ENULL, tg_apply_1(t, TG_HERE, &good, NULL));
    GRAPH_FAILS(TG_ENULL, tg_apply_2(t, TG_HERE, &bad[3], x, NULL));
    cr_expect_null(tg_apply(NULL, &good, 1, &x, 0, NULL));
    cr_expect_null(tg_apply_1(NULL, TG_HERE, &good, x));
    GRAPH_FAILS(TG_ENULL, tg_constant_like(t, NULL, 1));
    cr_expect_null(tg_constant_like(NULL, x, 1));
    GRAPH_FAILS(TG_ECHECK, tg_fail_at(t, TG_HERE, TG_ECHECK, "text %d", 5));
    cr_expect_null(tg_fail_at(NULL, TG_HERE, TG_ECHECK, "text"));
    tg_tape_free(t);
    tg_tape_free(other);
}

/* A plan that is found again is run without the vjps: data of theirs would be missing. */
static void input_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_arange(t, TG_F64, 0, 3, 1)); }

Test(errors_graph, a_vjp_that_makes_an_input_is_refused)
{
    const tg_op op = {.size = sizeof(tg_op),
                      .name = "inputs",
                      .n_in = 1,
                      .rule = any_rule,
                      .kernel = no_kernel,
                      .vjp = input_vjp};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(3)), *g;
    tg_tensor *y = tg_sum_all(t, tg_apply(t, &op, 1, &x, 0, NULL));
    cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &g, false), TG_ESTATE);
    cr_expect(strstr(tg_tape_message(t), "a vjp can't make an input"), "%s", tg_tape_message(t));
    tg_tape_free(t);
}
