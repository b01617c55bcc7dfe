/* Batches of directions, per-sample gradients, and functions in plain C. */
#include "errors.h"
#include <math.h>

static double greatest_difference(tg_tape *t, tg_tensor *a, tg_tensor *b)
{
    cr_expect(tg_shape_equal(tg_tensor_shape(a), tg_tensor_shape(b)), "%s and %s",
              tg_shape_text(tg_tensor_shape(a)).text, tg_shape_text(tg_tensor_shape(b)).text);
    return tg_item(t, tg_max(t, tg_abs(t, tg_sub(t, a, b)), TG_ALL_AXES, false));
}

#define FAILS(status, text, call)                                              \
    do {                                                                       \
        tg_tape_clear_error(t);                                                \
        cr_expect_null(call);                                                  \
        cr_expect_fails(t, status, __LINE__, #call);                           \
        cr_expect(strstr(tg_tape_message(t), text), "%s", tg_tape_message(t)); \
        tg_tape_clear_error(t);                                                \
    } while (0)

Test(derivative_tools, directions_share_their_first_reverse_pass)
{
    enum { DIRECTIONS = 26 };
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(5)),
              *v = operand(t, TG_F64, TG_SHAPE(DIRECTIONS, 5)),
              *y = tg_sin(t, tg_mul(t, tg_exp(t, x), tg_flip(t, x, TG_AXES(0)))),
              *all = tg_jvp_batch(t, y, x, v);
    for (int k = 0; k < DIRECTIONS; k++) {
        tg_tensor *one = tg_select(t, v, 0, k);
        cr_expect_eq(greatest_difference(t, tg_jvp(t, y, 1, &x, &one), tg_select(t, all, 0, k)), 0);
    }
    tg_tensor *constant = tg_constant(t, TG_F64, 2), *none = operand(t, TG_F64, TG_SHAPE(0, 5));
    cr_expect_eq(tg_item(t, tg_sum(t, tg_jvp_batch(t, constant, x, v), TG_ALL_AXES, false)), 0);
    cr_expect(tg_shape_equal(tg_tensor_shape(tg_jvp_batch(t, y, x, none)), TG_SHAPE(0, 5)));
    cr_expect(tg_shape_equal(tg_tensor_shape(tg_vjp_batch(t, y, x, none)), TG_SHAPE(0, 5)));
    FAILS(TG_ESHAPE, "vjp_batch: [5] is no batch of [5]", tg_vjp_batch(t, y, x, x));
    FAILS(TG_ESHAPE, "jvp_batch: [5] is no batch of [5]", tg_jvp_batch(t, y, x, x));
    FAILS(TG_EDTYPE, "different dtypes", tg_jvp_batch(t, tg_cast(t, y, TG_F32), x, v));
    tg_tape_free(t);
}

/* A curve of many points by two numbers: columns take fewer nodes than rows. */
Test(derivative_tools, a_jacobian_is_had_by_columns_where_they_are_fewer)
{
    enum { POINTS = 200 };
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(2)), *at = operand(t, TG_F64, TG_SHAPE(POINTS)),
              *y = tg_exp(t, tg_mul(t, tg_select(t, x, 0, 0),
                                    tg_sin(t, tg_mul(t, at, tg_select(t, x, 0, 1))))),
              *j = tg_jacobian(t, y, x);
    tg_data(t, j);
    cr_expect_lt(tg_tape_plan_stats(t).nodes, POINTS, "%d", (int)tg_tape_plan_stats(t).nodes);
    const double *got = tg_data(t, j), *in = tg_data(t, x), *points = tg_data(t, at);
    for (int i = 0; i < POINTS; i++) {
        const double inner = sin(points[i] * in[1]), value = exp(in[0] * inner);
        cr_expect_float_eq(got[2 * i], value * inner, 1e-14);
        cr_expect_float_eq(got[2 * i + 1], value * in[0] * cos(points[i] * in[1]) * points[i],
                           1e-14);
    }
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- per sample */

typedef struct net {
    tg_tensor *w, *b;
} net;

static tg_tensor *losses(tg_tape *t, const net *m, tg_tensor *x, tg_tensor *y)
{
    tg_tensor *out = tg_tanh(t, tg_linear(t, x, m->w, m->b));
    return tg_sum(t, tg_mse_loss(t, out, y, TG_REDUCE_NONE), TG_AXES(1), false);
}
static tg_tensor *loss(tg_tape *t, tg_tensor *const *batch, int n, void *user)
{
    cr_expect_eq(n, 2);
    return losses(t, user, batch[0], batch[1]);
}
static tg_tensor *many(tg_tape *t, tg_tensor *const *batch, int n, void *user)
{
    (void)n, (void)user, (void)t;
    return batch[0];
}

Test(derivative_tools, per_sample_gradients_are_the_rows_of_a_jacobian)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_init init = {.kind = TG_NORMAL, .b = 1};
    net m = {tg_param_new(ps, "w", TG_F64, TG_SHAPE(2, 3), init),
             tg_param_new(ps, "b", TG_F64, TG_SHAPE(2), init)};
    tg_tensor *unused = tg_param_new(ps, "u", TG_F64, TG_SHAPE(2), init), *x[] = {m.w, m.b, unused},
              *gx[3], *nothing[] = {NULL, NULL};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *batch[] = {operand(t, TG_F64, TG_SHAPE(5, 3)), operand(t, TG_F64, TG_SHAPE(5, 2))},
              *empty[] = {operand(t, TG_F64, TG_SHAPE(0, 3)), operand(t, TG_F64, TG_SHAPE(0, 2))},
              *uneven[] = {batch[0], operand(t, TG_F64, TG_SHAPE(4, 2))};
    cr_expect_eq(tg_per_sample_grad(t, loss, &m, 2, batch, 3, x, gx), TG_OK, "%s",
                 tg_tape_message(t));
    tg_tensor *all = losses(t, &m, batch[0], batch[1]);
    for (int k = 0; k < 2; k++)
        cr_expect_lt(greatest_difference(t, gx[k], tg_jacobian(t, all, x[k])), 1e-15);
    cr_expect_eq(tg_item(t, tg_sum(t, tg_abs(t, gx[2]), TG_ALL_AXES, false)), 0);
    cr_expect_eq(tg_per_sample_grad(t, loss, &m, 2, empty, 2, x, gx), TG_OK);
    cr_expect(tg_shape_equal(tg_tensor_shape(gx[0]), TG_SHAPE(0, 2, 3)));
#define REFUSED(status, ...)                                     \
    do {                                                         \
        cr_expect_eq(__VA_ARGS__, status);                       \
        cr_expect_fails(t, status, __LINE__, "per_sample_grad"); \
        cr_expect_null(gx[0]);                                   \
        tg_tape_clear_error(t);                                  \
    } while (0)
    REFUSED(TG_ESHAPE, tg_per_sample_grad(t, loss, &m, 2, uneven, 2, x, gx));
    REFUSED(TG_ENULL, tg_per_sample_grad(t, NULL, &m, 2, batch, 2, x, gx));
    REFUSED(TG_ENULL, tg_per_sample_grad(t, loss, &m, 2, nothing, 2, x, gx));
    REFUSED(TG_ENULL, tg_per_sample_grad(t, loss, &m, 0, batch, 2, x, gx));
    REFUSED(TG_ENULL, tg_per_sample_grad(t, loss, &m, 2, batch, 2, nothing, gx));
    REFUSED(TG_ESHAPE, tg_per_sample_grad(t, many, NULL, 2, batch, 1, x, gx));
    cr_expect_eq(tg_per_sample_grad(NULL, loss, &m, 2, batch, 1, x, gx), TG_ENOMEM);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- functions in plain C */

/* y = sum x^power, with two derivatives; `user` is the power. */
static void power(const tg_call *c, const tg_array *y, void *user)
{
    const double *x = c->x[0].data;
    for (int64_t i = 0; i < tg_shape_count(c->x[0].shape); i++)
        *(double *)y->data += pow(x[i], *(const double *)user);
}
static void power_grad(const tg_call *c, const tg_array *gx, void *user)
{
    const double *x = c->x[0].data, gy = *(const double *)c->x[2].data, p = *(const double *)user;
    for (int64_t i = 0; i < tg_shape_count(c->x[0].shape); i++)
        ((double *)gx->data)[i] = gy * p * pow(x[i], p - 1);
}
/* from x, y, gy, gx and ggx those of x, y, gy */
static void power_second(const tg_call *c, const tg_array *g, void *user)
{
    const double *x = c->x[0].data, gy = *(const double *)c->x[2].data, p = *(const double *)user,
                 *ggx = c->x[4].data;
    cr_expect_eq(c->n_in, 5);
    for (int64_t i = 0; i < tg_shape_count(c->x[0].shape); i++) {
        ((double *)g[0].data)[i] = gy * p * (p - 1) * pow(x[i], p - 2) * ggx[i];
        *(double *)g[2].data += p * pow(x[i], p - 1) * ggx[i];
    }
}
static const tg_external_fn second = {.size = sizeof second, .run = power_second},
                            first = {.size = sizeof first, .run = power_grad, .vjp = &second},
                            powers = {.size = sizeof powers, .run = power, .vjp = &first};

static tg_tensor *record_power(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    return tg_external(t, &powers, user, TG_F64, TG_SCALAR, n, x);
}

Test(derivative_tools, a_function_in_plain_c_has_as_many_derivatives_as_it_gives)
{
    const double at[] = {0.5, 1, 2};
    double p = 3;
    tg_gradcheck_report r;
    tg_gradcheck(record_power, 1, &(tg_check_input){.shape = TG_SHAPE(3), .data = at}, NULL, &p,
                 NULL, &r);
    cr_expect_eq(r.status, TG_OK, "%s", r.message);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), at), *y = record_power(t, &x, 1, &p), *g;
    cr_expect_float_eq(tg_item(t, tg_jvp(t, y, 1, &x, &x)), 3 * 9.125, 1e-14);
    tg_hessian(t, y, x);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    g = tg_hvp(t, y, x, x);
    cr_expect_null(tg_hvp(t, tg_sum(t, g, TG_ALL_AXES, false), x, x));
    cr_expect_eq(tg_tape_status(t), TG_ENOGRAD, "%s", tg_tape_message(t));
    tg_tape_free(t);
}

/* Rows of a table by an index, which has no gradient, and bad indices reported. */
static void row(const tg_call *c, const tg_array *y, void *user)
{
    const int64_t k = *(const int64_t *)c->x[1].data;
    (void)user;
    if (k < 0 || k > 1) tg_call_fail(c, 0, TG_EINDEX, "there is no row %d", (int)k);
    else memcpy(y->data, (const float *)c->x[0].data + 2 * k, 2 * sizeof(float));
}
static void row_grad(const tg_call *c, const tg_array *gx, void *user)
{
    (void)user;
    cr_expect_null(gx[1].data);
    memcpy((float *)gx[0].data + 2 * *(const int64_t *)c->x[1].data, c->x[3].data,
           2 * sizeof(float));
}

Test(derivative_tools, a_function_in_plain_c_may_read_integers_and_refuse_data)
{
    static const tg_external_fn grad = {.size = sizeof grad, .run = row_grad},
                                rows = {.size = sizeof rows, .run = row, .vjp = &grad},
                                bare = {.size = sizeof bare, .run = row}, shapeless = {.run = row},
                                idle = {.size = sizeof idle};
    tg_tape *t = tg_tape_new(NULL);
    const float table[] = {1, 2, 3, 4};
    const int64_t one = 1, two = 2;
    tg_tensor *x[] = {tg_input(t, TG_F32, TG_SHAPE(2, 2), table),
                      tg_input(t, TG_I64, TG_SCALAR, &one)},
              *bad[] = {x[0], tg_input(t, TG_I64, TG_SCALAR, &two)},
              *y = tg_external(t, &rows, NULL, TG_F32, TG_SHAPE(2), 2, x), *g, *none = NULL;
    tg_grad(t, tg_sum(t, tg_square(t, y), TG_ALL_AXES, false), NULL, 1, x, &g, false);
    const float *gradient = tg_data(t, g);
    cr_expect(gradient && gradient[0] == 0 && gradient[1] == 0 && gradient[2] == 6 &&
              gradient[3] == 8);
#define ROW(f, dtype, n, x) tg_external(t, f, NULL, dtype, TG_SHAPE(2), n, x)
    FAILS(TG_EINDEX, "there is no row 2", tg_data(t, ROW(&rows, TG_F32, 2, bad)));
    FAILS(TG_EDTYPE, "operand 0 is f32 and the result f64", ROW(&rows, TG_F64, 2, x));
    FAILS(TG_ENULL, "external", ROW(NULL, TG_F32, 2, x));
    FAILS(TG_ENULL, "external", ROW(&rows, TG_F32, 1, &none));
    FAILS(TG_ENULL, "external", ROW(&rows, TG_F32, 1, NULL));
    FAILS(TG_EVALUE, "operands", ROW(&rows, TG_F32, 0, x));
    FAILS(TG_EVALUE, "size field", ROW(&shapeless, TG_F32, 2, x));
    FAILS(TG_EVALUE, "nothing to run", ROW(&idle, TG_F32, 2, x));
    FAILS(TG_EDTYPE, "not ?", ROW(&rows, (tg_dtype)9, 2, x));
    const tg_shape no = tg_shape_of(-1, NULL);
    FAILS(TG_ESHAPE, "shape", tg_external(t, &rows, NULL, TG_F32, no, 2, x));
    y = tg_external(t, &bare, NULL, TG_F32, TG_SHAPE(2), 2, x);
    cr_expect_eq(tg_grad(t, tg_sum(t, y, TG_ALL_AXES, false), NULL, 1, x, &g, false), TG_ENOGRAD);
    cr_expect(strstr(tg_tape_message(t), "external: the op is not differentiable in its operand 0"),
              "%s", tg_tape_message(t));
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- implicit functions */

/* The w that is least for |a w - b|^2 + penalty |w|^2: by a solver, and by the equation that its
 * gradient is 0. */
static tg_tensor *ridge(tg_tape *t, tg_tensor *a, tg_tensor *b, tg_tensor *penalty, bool solved)
{
    const int64_t m = tg_tensor_shape(a).dim[1];
    tg_tensor *turned = tg_transpose(t, a, 0, 1),
              *square =
                  tg_add(t, tg_matmul(t, turned, a), tg_mul(t, penalty, tg_eye(t, TG_F64, m))),
              *w = tg_solve(t, square, tg_matmul(t, turned, b)), *slope;
    if (solved) return w;
    w = tg_detach(t, w);
    tg_tensor *off = tg_sub(t, tg_matmul(t, a, w), b),
              *loss = tg_add(t, tg_sum_all(t, tg_square(t, off)),
                             tg_mul(t, penalty, tg_sum_all(t, tg_square(t, w))));
    tg_grad(t, loss, NULL, 1, &w, &slope, false);
    return tg_implicit(t, w, slope, 0);
}

/* Of 35 unknowns: their passes stand beside, not inside, one another. */
Test(derivative_tools, the_least_of_a_function_is_differentiated_by_its_equation)
{
    tg_tape *t = tg_tape_new(NULL);
    for (int64_t m = 1; m <= 35; m += 17) {
        tg_tensor *a = operand(t, TG_F64, TG_SHAPE(m + 3, m)),
                  *b = operand(t, TG_F64, TG_SHAPE(m + 3)), *penalty = tg_constant(t, TG_F64, 2),
                  *g[2], *h[2];
        for (int k = 0; k < 2; k++) {
            tg_tensor *cost = tg_sum_all(t, tg_sin(t, ridge(t, a, b, penalty, k == 0)));
            tg_grad(t, cost, NULL, 1, &penalty, &g[k], false);
            tg_grad(t, g[k], NULL, 1, &penalty, &h[k], false);
        }
        cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
        cr_expect_float_eq(tg_item(t, g[1]), tg_item(t, g[0]), 1e-12);
        cr_expect_float_eq(tg_item(t, h[1]), tg_item(t, h[0]), 1e-12);
        cr_expect_neq(tg_item(t, h[0]), 0);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
}

/* The value of a solver outside the tape, read from an input: Dottie's number, cos(c y) = y. */
Test(derivative_tools, a_fixed_point_has_derivatives_of_any_order)
{
    tg_tape *t = tg_tape_new(NULL);
    double y = 0;
    for (int k = 0; k < 200; k++) y = cos(y);
    tg_tensor *c = tg_constant(t, TG_F64, 1), *of = tg_input(t, TG_F64, TG_SCALAR, &y), *by[4];
    by[0] = tg_implicit(t, of, tg_sub(t, tg_cos(t, tg_mul(t, c, of)), of), 0);
    for (int k = 1; k < 4; k++) tg_grad(t, by[k - 1], NULL, 1, &c, &by[k], false);
    /* F(c, y) = cos(c y) - y, differentiated by hand */
    const double s = sin(y), slope = -y * s / (1 + s),
                 bend = -(cos(y) * (y + slope) * (y + slope) + 2 * s * slope) / (1 + s);
    cr_expect_float_eq(tg_item(t, by[0]), y, 0);
    cr_expect_float_eq(tg_item(t, by[1]), slope, 1e-14);
    cr_expect_float_eq(tg_item(t, by[2]), bend, 1e-14);
    cr_expect(isfinite(tg_item(t, by[3])));
    tg_tape_free(t);
}

Test(derivative_tools, what_is_no_equation_for_y_is_refused)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(3)), *y = operand(t, TG_F64, TG_SHAPE(3)),
              *f = tg_sub(t, tg_square(t, y), x), *g;
    FAILS(TG_ENULL, "implicit", tg_implicit(t, y, NULL, 0));
    FAILS(TG_ENULL, "implicit", tg_implicit(t, NULL, f, 0));
    FAILS(TG_ESHAPE, "f [] has not the shape of y [3]", tg_implicit(t, y, tg_sum_all(t, f), 0));
    FAILS(TG_EDTYPE, "different dtypes", tg_implicit(t, y, tg_cast(t, f, TG_F32), 0));
    FAILS(TG_ESHAPE, "2 dimensions that count problems", tg_implicit(t, y, f, 2));
    FAILS(TG_ESHAPE, "-1 dimensions", tg_implicit(t, y, f, -1));
    tg_tensor *wide = operand(t, TG_F64, TG_SHAPE(1, 1, 1, 1, 1, 1, 1, 1));
    FAILS(TG_ESHAPE, "none to spare", tg_implicit(t, wide, wide, 0));
    /* not an equation for y at all: df/dy is 0 */
    tg_tensor *of_x = tg_implicit(t, y, tg_square(t, x), 1);
    tg_grad(t, tg_sum_all(t, of_x), NULL, 1, &x, &g, true);
    cr_expect_null(g);
    tg_tensor *flat = tg_implicit(t, y, tg_add(t, x, tg_scale(t, y, 0)), 1);
    tg_grad(t, tg_sum_all(t, flat), NULL, 1, &x, &g, false);
    cr_expect_null(tg_data(t, g));
    cr_expect_eq(tg_tape_status(t), TG_EVALUE);
    cr_expect(strstr(tg_tape_message(t), "gradient of implicit: matrix 0 is singular"), "%s",
              tg_tape_message(t));
    tg_tape_clear_error(t);
    tg_tensor *none = operand(t, TG_F64, TG_SHAPE(0, 2));
    cr_expect(
        tg_shape_equal(tg_tensor_shape(tg_implicit(t, none, tg_neg(t, none), 1)), TG_SHAPE(0, 2)));
    tg_tape_free(t);
}
