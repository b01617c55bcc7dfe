/* What the reverse pass gives: gradients, what has none, and derivatives of other orders and
 * shapes. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "allocator.h"

#define expect_ok(t) cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t))

static const tg_init ones = {.kind = TG_ONES};

static tg_tensor *constant_param(tg_params *ps, const char *name, tg_shape shape, double value)
{
    return tg_param_new(ps, name, TG_F64, shape, ((tg_init){.kind = TG_CONSTANT, .a = value}));
}

static const double *gradient_of(const tg_tensor *p) { return tg_param_grad(p); }

Test(gradients, gradients_accumulate_until_they_are_used)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "p", TG_SCALAR, 3),
              *q = constant_param(ps, "q", TG_SCALAR, 5),
              *unused = constant_param(ps, "u", TG_SCALAR, 1);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *loss = tg_mul(t, tg_square(t, p), q);
    tg_backward(t, loss);
    cr_expect_eq(*gradient_of(p), 30);
    cr_expect_eq(*gradient_of(q), 9);
    cr_expect_null(tg_param_grad(unused), "absent, not zero");
    tg_backward(t, loss);
    cr_expect_eq(*gradient_of(p), 60, "a second pass over one recording adds");
    tg_backward(t, tg_neg(t, tg_scale(t, p, 4)));
    cr_expect_eq(*gradient_of(p), 56);
    cr_expect_eq(*gradient_of(q), 18);
    cr_expect_neq(tg_param_grad(p), tg_param_grad(q));
    tg_params_drop_grads(ps);
    cr_expect_null(tg_param_grad(p));
    tg_tape_reset(t);

    tg_backward(t, tg_sum(t, tg_sub(t, tg_mul(t, p, p), tg_sub(t, p, p)), TG_ALL_AXES, false));
    cr_expect_eq(*gradient_of(p), 6, "one tensor as both operands");
    const double own = 0.5;
    cr_expect_eq(tg_param_add_grad(p, &own), TG_OK);
    cr_expect_eq(*gradient_of(p), 6.5);
    tg_tape_reset(t);
    tg_param_set_trainable(p, false);
    cr_expect_null(tg_param_grad(p));
    tg_backward(t, tg_mul(t, p, q));
    cr_expect_null(tg_param_grad(p));
    cr_expect_eq(*gradient_of(q), 3);
    expect_ok(t);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(gradients, a_failed_backward_pass_drops_the_gradients_it_aimed_at)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SHAPE(2, 2), ones),
              *q = constant_param(ps, "q", TG_SCALAR, 1);
    tg_tape *t = tg_tape_new(NULL);
    const int64_t bad[] = {0, 2};
    tg_backward(t, tg_add(t, tg_sum(t, p, TG_ALL_AXES, false), q));
    cr_expect(tg_param_grad(p) && tg_param_grad(q));
    tg_backward(t, tg_sum(t, tg_index_select(t, p, 0, tg_input(t, TG_I64, TG_SHAPE(2), bad)),
                          TG_ALL_AXES, false));
    cr_expect_eq(tg_tape_status(t), TG_EINDEX);
    cr_expect_null(tg_param_grad(p));
    cr_expect_not_null(tg_param_grad(q), "not aimed at");
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(gradients, what_has_no_gradient_is_named)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SHAPE(3), ones), *g[2];
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_constant(t, TG_F64, 2), *one = tg_constant(t, TG_F64, 1), *both[] = {x, one},
              *y = tg_exp(t, x);

    tg_backward(t, tg_sum(t, tg_cast(t, tg_cast(t, p, TG_I64), TG_F64), TG_ALL_AXES, false));
    cr_expect_eq(tg_tape_status(t), TG_ENOGRAD);
    cr_expect(strstr(tg_tape_message(t), "test_gradients.c:") &&
                  strstr(tg_tape_message(t), ": cast: "),
              "%s", tg_tape_message(t));
    cr_expect_null(tg_param_grad(p));
    tg_tape_clear_error(t);

    cr_expect_eq(tg_grad(t, y, NULL, 2, both, g, true), TG_OK);
    cr_expect(g[0] && !g[1]);
    cr_expect_eq(tg_grad(t, y, NULL, 2, both, g, false), TG_ENOGRAD);
    cr_expect(!g[0] && !g[1]);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_grad(t, tg_mul(t, y, tg_detach(t, y)), NULL, 1, &x, g, false), TG_OK);
    cr_expect_float_eq(tg_item(t, g[0]), exp(4), 1e-13, "e^x as a constant, times its own slope");
    cr_expect_eq(tg_backward(t, tg_exp(t, tg_detach(t, tg_sum(t, p, TG_ALL_AXES, false)))),
                 TG_ENOGRAD, "no trainable parameter is reached");
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(gradients, derivatives_of_any_order)
{
    tg_tape *t = tg_tape_new(NULL);
    const double at = 1.3;
    tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &at),
              *y = tg_mul(t, tg_square(t, x), tg_square(t, x));
    const double want[] = {4 * at * at * at, 12 * at * at, 24 * at, 24};
    for (int k = 0; k < 4; k++) {
        cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &y, false), TG_OK, "%s", tg_tape_message(t));
        cr_expect_float_eq(tg_item(t, y), want[k], 1e-12, "order %d: %g", k + 1, tg_item(t, y));
    }
    tg_tensor *wave = tg_sin(t, x);
    for (int k = 0; k < 9; k++) tg_grad(t, wave, NULL, 1, &x, &wave, false);
    cr_expect_float_eq(tg_item(t, wave), cos(at), 1e-14);
    expect_ok(t);
    tg_tape_free(t);
}

Test(gradients, a_gradient_starts_from_one_element_or_a_seed)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SHAPE(1), ones), *g,
              *y = tg_expand(t, tg_scale(t, p, 3), TG_SHAPE(2));
    cr_expect_eq(tg_backward(t, tg_scale(t, p, 3)), TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(*gradient_of(p), 3);

    cr_expect_eq(tg_backward(t, y), TG_ESHAPE);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_grad(t, y, NULL, 1, &p, &g, false), TG_ESHAPE);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_grad(t, y, tg_constant(t, TG_F64, 1), 1, &p, &g, false), TG_ESHAPE);
    tg_tape_clear_error(t);
    tg_tensor *sum = tg_sum(t, y, TG_ALL_AXES, false);
    cr_expect_eq(
        tg_grad(t, sum, tg_input(t, TG_F64, TG_SHAPE(1), ((double[]){1})), 1, &p, &g, false),
        TG_ESHAPE, "a seed [1] for a result []");
    tg_tape_clear_error(t);

    cr_expect_eq(
        tg_grad(t, y, tg_input(t, TG_F64, TG_SHAPE(2), ((double[]){1, 10})), 1, &p, &g, false),
        TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(tg_item(t, g), 33);
    expect_ok(t);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(gradients, equal_inputs_stay_two_inputs)
{
    tg_tape *t = tg_tape_new(NULL);
    const double at = 3;
    tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &at), *same = tg_input(t, TG_F64, TG_SCALAR, &at),
              *both[] = {x, same}, *g[2];
    tg_grad(t, tg_mul(t, x, tg_square(t, same)), NULL, 2, both, g, false);
    cr_expect_eq(tg_item(t, g[0]), 9);
    cr_expect_eq(tg_item(t, g[1]), 18);
    expect_ok(t);
    tg_tape_free(t);
}

static tg_tensor *smooth(tg_tape *t, tg_tensor *x, tg_tensor *a)
{
    return tg_exp(t, tg_sin(t, tg_matmul(t, a, x)));
}

Test(gradients, jvp_and_hvp_agree_with_closed_forms_and_with_reverse_passes)
{
    tg_tape *t = tg_tape_new(NULL);
    const double xs[] = {0.3, -0.7, 1.2}, vs[] = {1, 2, -0.5}, as[] = {1, 0.5, -1, 0.2, 2, 0.7};
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), xs), *v = tg_input(t, TG_F64, TG_SHAPE(3), vs),
              *a = tg_input(t, TG_F64, TG_SHAPE(2, 3), as);

    tg_tensor *y = smooth(t, x, a), *j = tg_jvp(t, y, 1, &x, &v);
    const double *got = tg_data(t, j);
    expect_ok(t);
    for (int i = 0; i < 2; i++) {
        double z = 0, dz = 0;
        for (int k = 0; k < 3; k++) z += as[3 * i + k] * xs[k], dz += as[3 * i + k] * vs[k];
        cr_expect_float_eq(got[i], exp(sin(z)) * cos(z) * dz, 1e-13);
    }
    /* <u, J v> = <J^T u, v> */
    tg_tensor *u = tg_input(t, TG_F64, TG_SHAPE(2), vs), *g;
    tg_grad(t, y, u, 1, &x, &g, false);
    const double forward = tg_item(t, tg_sum(t, tg_mul(t, u, j), TG_ALL_AXES, false));
    cr_expect_float_eq(forward, tg_item(t, tg_sum(t, tg_mul(t, g, v), TG_ALL_AXES, false)), 1e-13);

    /* two tensors at once */
    tg_tensor *xv[] = {x, a}, *dir[] = {v, tg_square(t, a)};
    tg_tensor *sum = tg_add(t, tg_jvp(t, y, 1, xv, dir), tg_jvp(t, y, 1, xv + 1, dir + 1)),
              *together = tg_jvp(t, y, 2, xv, dir);
    cr_expect_float_eq(((const double *)tg_data(t, sum))[1],
                       ((const double *)tg_data(t, together))[1], 1e-13);

    /* sum x^3: the Hessian is diag(6 x) */
    tg_tensor *cubes = tg_sum(t, tg_mul(t, x, tg_square(t, x)), TG_ALL_AXES, false);
    const double *h = tg_data(t, tg_hvp(t, cubes, x, v));
    expect_ok(t);
    for (int k = 0; k < 3; k++) cr_expect_float_eq(h[k], 6 * xs[k] * vs[k], 1e-13);

    /* a quadratic form: (A + A^T) v */
    const double qs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    tg_tensor *q = tg_input(t, TG_F64, TG_SHAPE(3, 3), qs);
    h = tg_data(t, tg_hvp(t, tg_matmul(t, x, tg_matmul(t, q, x)), x, v));
    expect_ok(t);
    for (int k = 0; k < 3; k++) {
        double want = 0;
        for (int l = 0; l < 3; l++) want += (qs[3 * k + l] + qs[3 * l + k]) * vs[l];
        cr_expect_float_eq(h[k], want, 1e-12);
    }
    tg_tape_free(t);
}

Test(gradients, jacobian_and_hessian_agree_with_closed_forms)
{
    tg_tape *t = tg_tape_new(NULL);
    const double xs[] = {0.3, -0.7, 1.2}, as[] = {1, 0.5, -1, 0.2, 2, 0.7};
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), xs),
              *a = tg_input(t, TG_F64, TG_SHAPE(2, 3), as);
    tg_tensor *j = tg_jacobian(t, smooth(t, x, a), x);
    expect_ok(t);
    cr_expect(tg_shape_equal(tg_tensor_shape(j), TG_SHAPE(2, 3)));
    const double *got = tg_data(t, j);
    for (int i = 0; i < 2; i++) {
        double z = 0;
        for (int k = 0; k < 3; k++) z += as[3 * i + k] * xs[k];
        for (int k = 0; k < 3; k++)
            cr_expect_float_eq(got[3 * i + k], exp(sin(z)) * cos(z) * as[3 * i + k], 1e-13);
    }
    /* of x1 x2 x3: the products of the others */
    tg_tensor *h = tg_hessian(t, tg_prod(t, x, TG_ALL_AXES, false), x);
    expect_ok(t);
    cr_expect(tg_shape_equal(tg_tensor_shape(h), TG_SHAPE(3, 3)));
    got = tg_data(t, h);
    for (int k = 0; k < 9; k++)
        cr_expect_float_eq(got[k], k / 3 == k % 3 ? 0 : xs[3 - k / 3 - k % 3], 1e-14);
    /* a column of the Hessian is a Hessian-vector product */
    const double unit[] = {0, 1, 0};
    tg_tensor *energy = tg_sum(t, smooth(t, x, a), TG_ALL_AXES, false);
    const double *column = tg_data(t, tg_hvp(t, energy, x, tg_input(t, TG_F64, TG_SHAPE(3), unit))),
                 *full = tg_data(t, tg_hessian(t, energy, x));
    for (int k = 0; k < 3; k++) cr_expect_float_eq(full[3 * k + 1], column[k], 1e-13);
    /* of shapes with several dimensions, and of what the result doesn't depend on */
    tg_tensor *m = tg_reshape(t, a, TG_SHAPE(3, 2));
    j = tg_jacobian(t, tg_transpose(t, m, 0, 1), m);
    cr_expect(tg_shape_equal(tg_tensor_shape(j), TG_SHAPE(2, 3, 3, 2)));
    got = tg_data(t, j);
    for (int k = 0; got && k < 36; k++)
        cr_expect_eq(got[k], k / 18 == k % 2 && k / 6 % 3 == k / 2 % 3);
    h = tg_hessian(t, tg_sum(t, tg_scale(t, x, 3), TG_ALL_AXES, false), x);
    expect_ok(t);
    for (int k = 0; h && k < 9; k++)
        cr_expect_eq(((const double *)tg_data(t, h))[k], 0, "a linear function bends nowhere");
    tg_tape_free(t);
}

/* Of a critic w2 relu(w1 x + b1) + b2: the mean of its squared gradient by x. */
static tg_tensor *penalty(tg_tape *t, tg_tensor *const *p, bool by_where)
{
    static const double xs[] = {0.5, -1.5, 2};
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), xs);
    tg_tensor *z = tg_add(t, tg_mul(t, p[0], x), p[1]), *zero = tg_constant(t, TG_F64, 0);
    tg_tensor *h = by_where ? tg_where(t, tg_greater(t, z, zero), z, zero) : tg_relu(t, z);
    tg_tensor *y = tg_sum(t, tg_add(t, tg_mul(t, p[2], h), p[3]), TG_ALL_AXES, false), *g = NULL;
    tg_grad(t, y, NULL, 1, &x, &g, false);
    return tg_mean(t, tg_square(t, g), TG_ALL_AXES, false);
}

Test(gradients, a_penalty_on_a_gradient_passes_conditions_that_the_gradient_recorded)
{
    double want[2][2];
    for (int by_where = 0; by_where < 2; by_where++) {
        tg_params *ps = tg_params_new(NULL);
        tg_tensor *p[] = {
            constant_param(ps, "w1", TG_SCALAR, 1.5), constant_param(ps, "b1", TG_SCALAR, 0.25),
            constant_param(ps, "w2", TG_SCALAR, -2), constant_param(ps, "b2", TG_SCALAR, 1)};
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *loss = penalty(t, p, by_where), *g[3] = {0};
        tg_grad(t, loss, NULL, 3, p, g, false);
        tg_backward(t, loss);
        expect_ok(t);
        for (int k = 0; k < 2; k++) {
            const double got = tg_item(t, g[2 * k]);
            if (!by_where) want[0][k] = got, want[1][k] = *gradient_of(p[2 * k]);
            cr_expect_neq(got, 0);
            cr_expect_float_eq(got, want[0][k], 1e-14);
            cr_expect_float_eq(*gradient_of(p[2 * k]), want[1][k], 1e-14);
        }
        cr_expect_eq(tg_item(t, g[1]), 0, "the bias only moves the condition");
        tg_tape_free(t);
        tg_params_free(ps);
    }
}

Test(gradients, one_hot_of_an_index_cuts_as_an_index_does)
{
    const double xs[] = {1, 3, 2};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), xs), *g = NULL;
    tg_tensor *hard = tg_one_hot(t, tg_argmax(t, x, 0, false), 3, TG_F64);
    tg_grad(t, tg_sum(t, tg_mul(t, hard, x), TG_ALL_AXES, false), NULL, 1, &x, &g, false);
    expect_ok(t);
    const double *got = tg_data(t, g);
    for (int k = 0; got && k < 3; k++) cr_expect_eq(got[k], k == 1);
    tg_grad(t, tg_sum(t, hard, TG_ALL_AXES, false), NULL, 1, &x, &g, false);
    cr_expect_eq(tg_tape_status(t), TG_ENOGRAD, "no other path");
    tg_tape_free(t);
}

/* The most bytes that one of its blocks had since this was last 0. */
static size_t largest;

static void *allocate(void *user, size_t bytes, size_t align)
{
    largest = bytes > largest ? bytes : largest;
    return test_allocate(user, bytes, align);
}

Test(gradients, a_gradient_by_a_late_tensor_does_not_go_back_to_the_beginning)
{
    test_memory m = {0};
    tg_allocator a = test_allocator(&m);
    a.allocate = allocate;
    tg_tape *t = tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .allocator = &a});
    tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &(double){2});
    for (int step = 0; step < 5000; step++) {
        tg_tensor *y = tg_sin(t, tg_square(t, x)), *g = NULL;
        largest = 0;
        tg_grad(t, y, NULL, 1, &x, &g, false);
        x = tg_sub(t, x, tg_scale(t, g, 0.01));
    }
    cr_expect_lt(largest, 1000, "%zu bytes for a pass over three nodes", largest);
    cr_expect_float_eq(tg_item(t, x), sqrt(1.5 * acos(-1)), 1e-12, "a minimum of sin(x^2)");
    expect_ok(t);
    tg_tape_free(t);
    cr_expect_eq(atomic_load(&m.blocks), 0);
}

/* ---------------------------------------------------------------- what a rule is asked for */

TG_MAP_2(product_span, a *b)
static void product_vjp(TG_VJP)
{
    int *asked = *(int **)(uintptr_t)attrs;
    for (int k = 0; k < 2; k++) {
        asked[k] += tg_wants(t, k);
        if (tg_wants(t, k)) gx[k] = tg_mul(t, gy, x[1 - k]);
    }
}
static const tg_op product = {
    .size = sizeof(tg_op), .name = "product", .n_in = 2, .span = &product_span, .vjp = product_vjp};

static tg_tensor *times(tg_tape *t, tg_tensor *a, tg_tensor *b, int *asked)
{
    int64_t attr;
    memcpy(&attr, &asked, sizeof asked);
    asked[0] = asked[1] = 0;
    return tg_apply(t, &product, 2, ((tg_tensor *[]){a, b}), 1, &attr);
}

Test(gradients, a_rule_is_asked_for_what_somebody_wants)
{
    const double three = 3;
    int asked[2];
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = constant_param(ps, "p", TG_SCALAR, 2),
              *q = constant_param(ps, "q", TG_SCALAR, 5);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &three), *g;

    tg_backward(t, times(t, x, p, asked));
    cr_expect(asked[0] == 0 && asked[1] == 1, "data has no gradient: %d %d", asked[0], asked[1]);
    cr_expect_eq(*gradient_of(p), 3);

    tg_tensor *y = times(t, x, p, asked);
    tg_grad(t, y, NULL, 1, &x, &g, false);
    cr_expect(asked[0] == 1 && asked[1] == 0, "but when it is asked for: %d %d", asked[0],
              asked[1]);
    cr_expect_eq(tg_item(t, g), 2);

    tg_param_set_trainable(p, false);
    tg_tape_reset(t);
    tg_backward(t, times(t, p, q, asked));
    cr_expect(asked[0] == 0 && asked[1] == 1, "frozen: %d %d", asked[0], asked[1]);
    cr_expect_eq(*gradient_of(q), 2);

    /* A rule that is asked inside another's. */
    tg_tape_reset(t);
    tg_tensor *once, *twice;
    y = times(t, q, times(t, q, tg_square(t, q), asked), asked);
    tg_grad(t, y, NULL, 1, &q, &once, false);
    tg_grad(t, once, NULL, 1, &q, &twice, false);
    cr_expect_eq(tg_item(t, twice), 12 * 25);
    expect_ok(t);
    cr_expect(tg_wants(t, 0), "outside a rule everything is");
    tg_tape_free(t);
    tg_params_free(ps);
}
