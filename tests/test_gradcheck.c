/* The gradient check must catch what it exists for: every op here but a few has a mistake planted
 * in its derivative. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <tapegrad/ops.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---------------------------------------------------------------- ops with and without mistakes */

static void copy_kernel(const tg_call *c)
{
    memcpy(c->y->data, c->x[0].data,
           (size_t)tg_shape_count(c->y->shape) * tg_dtype_size(c->y->dtype));
}

static bool same_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

TG_MAP_1(cube_span, x *x *x)
#define CUBE(op, ...)                                     \
    static void op##_vjp(TG_VJP) { gx[0] = __VA_ARGS__; } \
    static const tg_op op = {                             \
        .size = sizeof(tg_op), .name = #op, .n_in = 1, .span = &cube_span, .vjp = op##_vjp};

CUBE(cube, tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 3)))
CUBE(flipped, tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), -3)))
CUBE(doubled, tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 6)))
CUBE(slightly_off, tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 3.0001)))
CUBE(shifted, tg_offset(t, tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 3)), 0.01))
CUBE(not_linear, tg_mul(t, tg_square(t, gy), tg_scale(t, tg_square(t, x[0]), 3)))
CUBE(infinite, tg_mul(t, gy, tg_reciprocal(t, tg_scale(t, tg_square(t, x[0]), 0))))
CUBE(not_a_number, tg_mul(t, gy, tg_log(t, tg_neg(t, tg_square(t, x[0])))))
CUBE(seed_ignored, tg_scale(t, tg_square(t, x[0]), 3))
CUBE(second_missing, tg_mul(t, gy, tg_detach(t, tg_scale(t, tg_square(t, x[0]), 3))))
CUBE(seed_detached, tg_mul(t, tg_detach(t, gy), tg_scale(t, tg_square(t, x[0]), 3)))

/* Its derivative is right, and made of an op whose derivative is wrong. */
TG_MAP_1(triple_square_span, (T)3 * x * x)
static void triple_square_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_scale(t, x[0], 5)); }
static const tg_op triple_square = {.size = sizeof(tg_op),
                                    .name = "triple_square",
                                    .n_in = 1,
                                    .span = &triple_square_span,
                                    .vjp = triple_square_vjp};
CUBE(second_wrong, tg_mul(t, gy, tg_apply_1(t, where, &triple_square, x[0])))

/* Element 3 of a vector: 1 in all other places. */
static tg_tensor *one_off(tg_tape *t, tg_tensor *x, double factor)
{
    const int64_t n = tg_tensor_count(x);
    tg_tensor *one = tg_reshape(t, tg_constant(t, TG_F64, factor), TG_SHAPE(1));
    return tg_pad(t, one, TG_SHAPE(3), TG_SHAPE(n - 4), 1);
}
CUBE(one_element,
     tg_mul(t, one_off(t, x[0], 0.5), tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 3))))

/* y = x + row, with the row added to every row of x by a kernel of its own. */
static bool rows_rule(tg_rule *r)
{
    if (r->x[0].shape.ndim != 2 || r->x[1].shape.ndim != 1)
        return tg_rule_fail(r, TG_ESHAPE, "wants a matrix and a row");
    r->y = r->x[0];
    return true;
}
static void rows_kernel(const tg_call *c)
{
    const int64_t n = c->y->shape.dim[0], m = c->y->shape.dim[1];
    const double *x = c->x[0].data, *row = c->x[1].data;
    double *y = c->y->data;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) y[i * m + j] = x[i * m + j] + row[j];
}
#define ROWS(op, ...)                               \
    static void op##_vjp(TG_VJP)                    \
    {                                               \
        gx[0] = gy;                                 \
        gx[1] = __VA_ARGS__;                        \
    }                                               \
    static const tg_op op = {.size = sizeof(tg_op), \
                             .name = #op,           \
                             .n_in = 2,             \
                             .rule = rows_rule,     \
                             .kernel = rows_kernel, \
                             .vjp = op##_vjp};
ROWS(rows, tg_sum(t, gy, TG_AXES(0), false))
ROWS(rows_by_the_pass, gy)
ROWS(rows_averaged, tg_mean(t, gy, TG_AXES(0), false))
ROWS(rows_first, tg_reshape(t, tg_slice(t, gy, 0, 0, 1, 1), tg_tensor_shape(x[1])))
ROWS(rows_over_the_wrong_axis, tg_sum(t, tg_transpose(t, gy, 0, 1), TG_AXES(0), false))

/* y = a b for square matrices. */
static bool product_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}
static void product_kernel(const tg_call *c)
{
    const int64_t n = c->y->shape.dim[0];
    const double *a = c->x[0].data, *b = c->x[1].data;
    double *y = c->y->data;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            y[i * n + j] = 0;
            for (int64_t k = 0; k < n; k++) y[i * n + j] += a[i * n + k] * b[k * n + j];
        }
}
#define PRODUCT(op, ga, gb)                            \
    static void op##_vjp(TG_VJP)                       \
    {                                                  \
        gx[0] = ga;                                    \
        gx[1] = gb;                                    \
    }                                                  \
    static const tg_op op = {.size = sizeof(tg_op),    \
                             .name = #op,              \
                             .n_in = 2,                \
                             .rule = product_rule,     \
                             .kernel = product_kernel, \
                             .vjp = op##_vjp};
PRODUCT(product, tg_matmul(t, gy, tg_transpose(t, x[1], 0, 1)),
        tg_matmul(t, tg_transpose(t, x[0], 0, 1), gy))
PRODUCT(product_not_transposed, tg_matmul(t, gy, x[1]),
        tg_matmul(t, tg_transpose(t, x[0], 0, 1), gy))
PRODUCT(product_gradient_transposed, tg_matmul(t, gy, tg_transpose(t, x[1], 0, 1)),
        tg_transpose(t, tg_matmul(t, tg_transpose(t, x[0], 0, 1), gy), 0, 1))
PRODUCT(product_exchanged, tg_matmul(t, tg_transpose(t, x[0], 0, 1), gy),
        tg_matmul(t, gy, tg_transpose(t, x[1], 0, 1)))
PRODUCT(product_half_zero, tg_matmul(t, gy, tg_transpose(t, x[1], 0, 1)),
        tg_scale(t, tg_matmul(t, tg_transpose(t, x[0], 0, 1), gy), 0))

/* Its vjp says that it isn't differentiable in its second operand, which is wrong. */
static void product_half_missing_vjp(TG_VJP)
{
    gx[0] = tg_matmul(t, gy, tg_transpose(t, x[1], 0, 1));
}
static const tg_op product_half_missing = {.size = sizeof(tg_op),
                                           .name = "product_half_missing",
                                           .n_in = 2,
                                           .rule = product_rule,
                                           .kernel = product_kernel,
                                           .vjp = product_half_missing_vjp};

/* The identity, but only its vjp's shape is right: elements come back in the reverse order. */
static void reversed_vjp(TG_VJP) { gx[0] = tg_flip(t, gy, TG_ALL_AXES); }
static const tg_op reversed = {.size = sizeof(tg_op),
                               .name = "reversed",
                               .n_in = 1,
                               .rule = same_rule,
                               .kernel = copy_kernel,
                               .vjp = reversed_vjp};

/* ---------------------------------------------------------------- checking one op */

static tg_tensor *apply(tg_tape *t, tg_tensor *const *x, int n, void *op)
{
    return tg_apply(t, op, n, x, 0, NULL);
}

static const double five[] = {0.7, -1.3, 2.1, 1.1, -0.4};
static const double nine[] = {0.3, -1.2, 0.8, 1.7, -0.5, 0.9, -2.1, 0.4, 1.5},
                    nine_more[] = {1.1, 0.2, -0.7, 0.6, -1.4, 1.9, 0.5, -0.3, 0.8};

static tg_status check_op(const tg_op *op, const tg_gradcheck_options *options,
                          tg_gradcheck_report *r)
{
    tg_check_input vector[] = {{.shape = TG_SHAPE(5), .data = five}};
    tg_check_input pair[] = {{.shape = TG_SHAPE(3, 3), .data = nine},
                             {.shape = TG_SHAPE(3, 3), .data = nine_more}};
    if (op->rule == rows_rule) pair[1].shape = TG_SHAPE(3);
    return tg_gradcheck(apply, op->n_in, op->n_in == 1 ? vector : pair, NULL, (void *)(uintptr_t)op,
                        options, r);
}

Test(gradcheck, right_ops_of_a_users_own_file_pass)
{
    const tg_op *right[] = {&cube, &rows, &rows_by_the_pass, &product};
    for (int k = 0; k < COUNT(right); k++) {
        tg_gradcheck_report r;
        cr_expect_eq(check_op(right[k], NULL, &r), TG_OK, "%s", r.message);
        cr_expect_eq(r.status, TG_OK);
        cr_expect(r.worst <= 1 && r.compared > 0 && r.kinks == 0, "%s", r.message);
        cr_expect_str_eq(r.op, right[k]->name);
    }
}

Test(gradcheck, planted_mistakes_are_caught)
{
    const tg_op *wrong[] = {&flipped,
                            &doubled,
                            &slightly_off,
                            &shifted,
                            &not_linear,
                            &seed_ignored,
                            &one_element,
                            &rows_averaged,
                            &rows_first,
                            &rows_over_the_wrong_axis,
                            &reversed,
                            &infinite,
                            &not_a_number,
                            &product_not_transposed,
                            &product_gradient_transposed,
                            &product_exchanged,
                            &product_half_zero};
    for (int k = 0; k < COUNT(wrong); k++) {
        tg_gradcheck_report r;
        cr_expect_eq(check_op(wrong[k], NULL, &r), TG_ECHECK, "%s was not caught: %s",
                     wrong[k]->name, r.message);
        cr_expect_eq(r.order, 1, "%s", r.message);
        cr_expect(r.worst > 1 && r.error != 0, "%s", r.message);
        cr_expect(strstr(r.message, wrong[k]->name), "%s", r.message);
        /* a check without the second order catches them as well */
        const tg_gradcheck_options first = {.size = sizeof first, .first_order_only = true};
        cr_expect_eq(check_op(wrong[k], &first, NULL), TG_ECHECK, "%s", wrong[k]->name);
    }
}

Test(gradcheck, planted_mistakes_are_caught_by_random_directions)
{
    const tg_op *wrong[] = {&flipped,
                            &doubled,
                            &slightly_off,
                            &not_linear,
                            &seed_ignored,
                            &one_element,
                            &rows_averaged,
                            &rows_first,
                            &reversed,
                            &infinite,
                            &not_a_number,
                            &product_not_transposed,
                            &product_gradient_transposed,
                            &product_half_zero};
    const tg_gradcheck_options few = {.size = sizeof few, .full_jacobian = 1, .directions = 3};
    for (int k = 0; k < COUNT(wrong); k++) {
        tg_gradcheck_report r;
        cr_expect_eq(check_op(wrong[k], &few, &r), TG_ECHECK, "%s was not caught: %s",
                     wrong[k]->name, r.message);
        cr_expect_leq(r.compared + r.kinks, 3, "%s", r.message);
        cr_expect(r.input >= 0 && r.element >= 0 && r.output == -1, "%s", r.message);
        if (wrong[k] != &not_linear)
            cr_expect_not_null(strstr(r.fault, wrong[k]->name), "%s", r.message);
    }
    tg_gradcheck_report r;
    cr_expect_eq(check_op(&product, &few, &r), TG_OK, "%s", r.message);
    cr_expect_eq(r.compared, 6, "three directions in each order");
}

Test(gradcheck, a_wrong_second_derivative_is_caught)
{
    const tg_op *wrong[] = {&second_missing, &second_wrong, &seed_detached};
    const tg_gradcheck_options first = {.size = sizeof first, .first_order_only = true};
    for (int k = 0; k < COUNT(wrong); k++) {
        tg_gradcheck_report r;
        cr_expect_eq(check_op(wrong[k], &first, &r), TG_OK, "%s: %s", wrong[k]->name, r.message);
        cr_expect_eq(check_op(wrong[k], NULL, &r), TG_ECHECK, "%s was not caught: %s",
                     wrong[k]->name, r.message);
        cr_expect_eq(r.order, 2, "%s", r.message);
    }
}

Test(gradcheck, an_operand_without_a_gradient_is_no_silent_zero)
{
    tg_gradcheck_report r;
    cr_expect_eq(check_op(&product_half_missing, NULL, &r), TG_ENOGRAD, "%s", r.message);
    cr_expect(strstr(r.message, "product_half_missing"), "%s", r.message);
}

Test(gradcheck, the_report_points_at_the_worst_element)
{
    tg_gradcheck_report r;
    check_op(&one_element, NULL, &r);
    const double slope = 3 * five[3] * five[3];
    cr_expect_eq(r.status, TG_ECHECK);
    cr_expect_eq(r.order, 1);
    cr_expect_eq(r.input, 0);
    cr_expect_eq(r.element, 3);
    cr_expect_eq(r.output, 3);
    cr_expect_str_eq(r.op, "one_element");
    cr_expect_float_eq(r.analytic, slope / 2, 1e-12);
    cr_expect_float_eq(r.numeric, slope, 1e-8);
    cr_expect_float_eq(r.error, fabs(r.analytic - r.numeric), 1e-15);
    cr_expect_float_eq(r.worst, r.error / (1e-8 + 1e-6 * slope), 1e-2 * r.worst);
    /* 5 columns, each against 5 elements of the result and a random upstream gradient */
    cr_expect_eq(r.compared, 30);
    cr_expect_eq(r.kinks, 0);

    check_op(&product_half_zero, NULL, &r);
    cr_expect_eq(r.input, 1);
    cr_expect_eq(r.analytic, 0);

    check_op(&cube, NULL, &r);
    /* and in the second order 10 columns against 5 gradients and a random combination of them */
    cr_expect_eq(r.compared, 30 + 60);

    check_op(&second_wrong, NULL, &r);
    cr_expect_eq(r.input, 0);
    cr_expect_float_eq(r.numeric / r.analytic, 6.0 / 5, 1e-4, "%s", r.message);
}

Test(gradcheck, tolerances_and_step_are_the_callers)
{
    tg_gradcheck_report r;
    const tg_gradcheck_options loose = {.size = sizeof loose, .relative = 1e-3, .step = 1e-4};
    cr_expect_eq(check_op(&slightly_off, &loose, &r), TG_OK, "%s", r.message);
    cr_expect(r.worst > 0.02 && r.worst < 0.2, "3.0001 against 3 is 3e-5 of relative error: %s",
              r.message);
    const tg_gradcheck_options tight = {
        .size = sizeof tight, .relative = 1e-15, .absolute = 1e-300};
    cr_expect_eq(check_op(&doubled, &tight, &r), TG_ECHECK);
}

/* ---------------------------------------------------------------- functions of several ops */

static tg_tensor *dropped(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    tg_tensor *h = tg_dropout(t, tg_tanh(t, x[0]), 0.5);
    return tg_mul(t, h, tg_dropout(t, tg_square(t, h), 0.3));
}

Test(gradcheck, dropout_replays_its_mask)
{
    double x[64];
    for (int i = 0; i < 64; i++) x[i] = 0.05 * (i + 1);
    const tg_check_input input = {.shape = TG_SHAPE(4, 16), .data = x};
    for (uint64_t seed = 0; seed < 4; seed++) {
        const tg_gradcheck_options o = {.size = sizeof o, .seed = seed};
        tg_gradcheck_report r;
        cr_expect_eq(tg_gradcheck(dropped, 1, &input, NULL, NULL, &o, &r), TG_OK, "%s", r.message);
        cr_expect_eq(r.kinks, 0);
        cr_expect(r.compared > 64 * 64);
    }
}

static tg_tensor *absolute(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_abs(t, x[0]);
}
static tg_tensor *rectified(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_relu(t, x[0]);
}
static tg_tensor *stepped(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_floor(t, x[0]);
}
static tg_tensor *rooted(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_sqrt(t, x[0]);
}

Test(gradcheck, kinks_are_reported)
{
    tg_gradcheck_report r;
    const double at_the_corner[] = {0, -1, 2}, beside_it[] = {-1, 1e-3, 2},
                 just_beside_it[] = {4e-6, -5e-6, 2}, zeros[] = {0, 0, 0};
    const tg_function corners[] = {absolute, rectified};
    for (int k = 0; k < COUNT(corners); k++) {
        tg_check_input input = {.shape = TG_SHAPE(3), .data = at_the_corner};
        cr_expect_eq(tg_gradcheck(corners[k], 1, &input, NULL, NULL, NULL, &r), TG_OK, "%d: %s", k,
                     r.message);
        cr_expect_geq(r.kinks, 2, "%d: %s", k, r.message);
        input.data = beside_it;
        cr_expect_eq(tg_gradcheck(corners[k], 1, &input, NULL, NULL, NULL, &r), TG_OK, "%d: %s", k,
                     r.message);
        cr_expect_eq(r.kinks, 0, "%d: %s", k, r.message);
        input.data = just_beside_it;
        tg_gradcheck(corners[k], 1, &input, NULL, NULL, NULL, &r);
        cr_expect(r.worst <= 1, "%d: a corner within the step is no wrong gradient: %s", k,
                  r.message);
        cr_expect_geq(r.kinks, 2, "%d: %s", k, r.message);
        input.data = zeros;
        cr_expect_eq(tg_gradcheck(corners[k], 1, &input, NULL, NULL, NULL, &r), TG_ECHECK,
                     "all kinks: %s", r.message);
        cr_expect(strstr(r.message, "kink"), "%s", r.message);
    }
    const double whole[] = {1, 2, 3};
    const tg_check_input jump = {.shape = TG_SHAPE(3), .data = whole};
    cr_expect_eq(tg_gradcheck(stepped, 1, &jump, NULL, NULL, NULL, &r), TG_ECHECK, "%s", r.message);
    cr_expect_geq(r.kinks, 3);
    const tg_check_input edge = {.shape = TG_SHAPE(3), .data = zeros};
    cr_expect_eq(tg_gradcheck(rooted, 1, &edge, NULL, NULL, NULL, &r), TG_ECHECK, "%s", r.message);
}

/* A wrong gradient beside a few kinks is still found. */
static tg_tensor *wrong_and_cornered(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_add(t, tg_abs(t, x[0]), tg_apply_1(t, TG_HERE, &doubled, x[0]));
}

Test(gradcheck, kinks_hide_no_mistake)
{
    const double x[] = {0, 1, 2, -1};
    const tg_check_input input = {.shape = TG_SHAPE(4), .data = x};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(wrong_and_cornered, 1, &input, NULL, NULL, NULL, &r), TG_ECHECK);
    cr_expect(r.worst > 1 && r.kinks > 0, "%s", r.message);
}

static tg_tensor *through_f32(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_cast(t, tg_square(t, tg_cast(t, x[0], TG_F32)), TG_F64);
}
static tg_tensor *with_f32_constant(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_add(t, x[0], tg_cast(t, tg_constant(t, TG_F32, 1), TG_F64));
}

Test(gradcheck, reaching_f32_is_an_error)
{
    const tg_check_input input = {.shape = TG_SHAPE(5), .data = five};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(through_f32, 1, &input, NULL, NULL, NULL, &r), TG_EDTYPE, "%s",
                 r.message);
    cr_expect(strstr(r.message, "test_gradcheck.c:"), "%s", r.message);
    cr_expect_eq(tg_gradcheck(with_f32_constant, 1, &input, NULL, NULL, NULL, &r), TG_EDTYPE, "%s",
                 r.message);
}

/* ---------------------------------------------------------------- whole models */

typedef struct net {
    tg_params *ps;
    tg_tensor *w1, *b1, *w2, *b2;
    double target[6];
    bool mistake;
} net;

static net make_net(tg_dtype dtype)
{
    const tg_params_options o = {.size = sizeof o, .seed = 3};
    net m = {.ps = tg_params_new(&o), .target = {1, 0, 0, 1, 1, 0}};
    m.w1 = tg_param_new(m.ps, "w1", dtype, TG_SHAPE(4, 3), ((tg_init){.kind = TG_XAVIER_NORMAL}));
    m.b1 = tg_param_new(m.ps, "b1", dtype, TG_SHAPE(4),
                        ((tg_init){.kind = TG_UNIFORM, .a = -1, .b = 1}));
    m.w2 = tg_param_new(m.ps, "w2", dtype, TG_SHAPE(1, 4), ((tg_init){.kind = TG_XAVIER_NORMAL}));
    m.b2 = tg_param_new(m.ps, "b2", dtype, TG_SHAPE(1), ((tg_init){.kind = TG_CONSTANT, .a = 0.1}));
    cr_assert_eq(tg_params_status(m.ps), TG_OK, "%s", tg_params_message(m.ps));
    return m;
}

static tg_tensor *loss_of(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    const net *m = user;
    tg_tensor *h = tg_dropout(t, tg_tanh(t, tg_linear(t, x[0], m->w1, m->b1)), 0.25);
    tg_tensor *z = tg_linear(t, h, m->w2, m->b2);
    if (m->mistake) z = tg_apply_1(t, TG_HERE, &slightly_off, z);
    return tg_bce_with_logits(t, z, tg_input(t, TG_F64, TG_SHAPE(6, 1), m->target));
}

static const double table[18] = {0.2, -0.7, 1.1, 0.9,  0.4, -1.3, -0.6, 0.8,  0.1,
                                 1.4, -0.2, 0.5, -1.1, 0.3, 0.7,  0.6,  -0.9, -0.4};

Test(gradcheck, a_whole_model_with_its_parameters)
{
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
        net m = make_net(dtype);
        const tg_check_input input = {.shape = TG_SHAPE(6, 3), .data = table};
        tg_gradcheck_report r;
        cr_expect_eq(tg_gradcheck(loss_of, 1, &input, m.ps, &m, NULL, &r), TG_OK, "%s", r.message);
        /* one loss: a column for each of 18 inputs and 21 parameters, against the loss itself and
         * against its random multiple */
        const int64_t columns = 18 + 12 + 4 + 4 + 1;
        cr_expect_eq(r.compared + r.kinks, columns * 2 + (columns + 1) * (columns + 1), "%s",
                     r.message);
        cr_expect_eq(r.kinks, 0);
        m.mistake = true;
        cr_expect_eq(tg_gradcheck(loss_of, 1, &input, m.ps, &m, NULL, &r), TG_ECHECK, "%s",
                     r.message);
        tg_params_free(m.ps);
    }
}

Test(gradcheck, parameters_are_checked_in_copies)
{
    net m = make_net(TG_F32);
    float before[12];
    memcpy(before, tg_param_data(m.w1), sizeof before);
    const uint64_t version = tg_param_version(m.w1);
    const tg_check_input input = {.shape = TG_SHAPE(6, 3), .data = table, .constant = true};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(loss_of, 1, &input, m.ps, &m, NULL, &r), TG_OK, "%s", r.message);
    cr_expect_arr_eq(tg_param_data(m.w1), before, sizeof before);
    cr_expect_eq(tg_param_version(m.w1), version);
    cr_expect_eq(tg_tensor_dtype(m.w1), TG_F32);
    cr_expect_null(tg_param_grad(m.w1));
    cr_expect_eq(r.compared, 21 * 2 + 22 * 22, "a constant input is not checked: %s", r.message);
    tg_params_free(m.ps);
}

static tg_tensor *mistaken_parameter(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    const net *m = user;
    return tg_matmul(t, tg_matmul(t, x[0], tg_transpose(t, m->w1, 0, 1)),
                     tg_apply_1(t, TG_HERE, &doubled, m->b1));
}

Test(gradcheck, the_report_counts_parameters_after_inputs)
{
    net m = make_net(TG_F64);
    const tg_check_input input = {.shape = TG_SHAPE(6, 3), .data = table};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(mistaken_parameter, 1, &input, m.ps, &m, NULL, &r), TG_ECHECK);
    cr_expect_eq(r.input, 2, "b1 is the second parameter after one input: %s", r.message);
    tg_params_free(m.ps);
}

/* ---------------------------------------------------------------- functions that don't fit */

static tg_tensor *gives_null(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)t, (void)x, (void)n, (void)user;
    return NULL;
}
static tg_tensor *fails(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_reshape(t, x[0], TG_SHAPE(4));
}
static tg_tensor *fails_when_run(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    const int64_t index = 7;
    return tg_index_select(t, x[0], 0, tg_input(t, TG_I64, TG_SHAPE(1), &index));
}
static tg_tensor *an_input(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)t, (void)n, (void)user;
    return x[0];
}
static tg_tensor *by_integer(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_mul(t, x[0], tg_cast(t, tg_cast(t, x[1], TG_I64), TG_F64));
}
static tg_tensor *an_integer(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_cast(t, x[0], TG_I64);
}
static tg_tensor *only_the_first(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_exp(t, x[0]);
}
static tg_tensor *not_finite(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_log(t, tg_scale(t, x[0], 0));
}
static tg_tensor *of_another_shape(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    return (*(int *)user)++ ? tg_sum(t, x[0], TG_ALL_AXES, false) : tg_square(t, x[0]);
}

Test(gradcheck, what_the_function_fails_with_is_the_status)
{
    const tg_check_input input[] = {{.shape = TG_SHAPE(5), .data = five},
                                    {.shape = TG_SHAPE(5), .data = five}};
    tg_gradcheck_report r;
    int calls = 0;
    cr_expect_eq(tg_gradcheck(gives_null, 1, input, NULL, NULL, NULL, &r), TG_ENULL, "%s",
                 r.message);
    cr_expect_eq(tg_gradcheck(fails, 1, input, NULL, NULL, NULL, &r), TG_ESHAPE, "%s", r.message);
    cr_expect(strstr(r.message, "test_gradcheck.c:") && strstr(r.message, "reshape"), "%s",
              r.message);
    cr_expect_eq(tg_gradcheck(fails_when_run, 1, input, NULL, NULL, NULL, &r), TG_EINDEX, "%s",
                 r.message);
    cr_expect_eq(tg_gradcheck(an_integer, 1, input, NULL, NULL, NULL, &r), TG_EDTYPE, "%s",
                 r.message);
    cr_expect_eq(tg_gradcheck(by_integer, 2, input, NULL, NULL, NULL, &r), TG_OK, "%s", r.message);
    cr_expect_eq(tg_gradcheck(not_finite, 1, input, NULL, NULL, NULL, &r), TG_ECHECK, "%s",
                 r.message);
    cr_expect_eq(tg_gradcheck(of_another_shape, 1, input, NULL, &calls, NULL, &r), TG_ESTATE, "%s",
                 r.message);
    cr_expect_eq(r.status, TG_ESTATE);
}

Test(gradcheck, simple_and_empty_functions_pass)
{
    tg_check_input input[] = {{.shape = TG_SHAPE(5), .data = five},
                              {.shape = TG_SHAPE(5), .data = five, .constant = true}};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(an_input, 1, input, NULL, NULL, NULL, &r), TG_OK, "%s", r.message);
    cr_expect_eq(tg_gradcheck(by_integer, 2, input, NULL, NULL, NULL, &r), TG_OK,
                 "the integer's source is a constant: %s", r.message);
    input[1].constant = false;
    cr_expect_eq(tg_gradcheck(only_the_first, 2, input, NULL, NULL, NULL, &r), TG_OK, "%s",
                 r.message);
    input[0].constant = input[1].constant = true;
    cr_expect_eq(tg_gradcheck(only_the_first, 2, input, NULL, NULL, NULL, &r), TG_OK,
                 "nothing to differentiate: %s", r.message);
    cr_expect_eq(r.compared, 0);
    const tg_check_input empty = {.shape = TG_SHAPE(0, 3)},
                         scalar = {.shape = TG_SCALAR, .data = five};
    cr_expect_eq(tg_gradcheck(only_the_first, 1, &empty, NULL, NULL, NULL, &r), TG_OK, "%s",
                 r.message);
    cr_expect_eq(tg_gradcheck(only_the_first, 1, &scalar, NULL, NULL, NULL, &r), TG_OK, "%s",
                 r.message);
}

/* What asks for its operands' dtype: of a parameter in f32, an f64 copy is differentiated. */
static tg_tensor *asks_for_dtypes(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    tg_params *ps = user;
    tg_tensor *w = tg_params_get(ps, 0), *b = tg_params_get(ps, 1), *v = tg_params_get(ps, 2);
    tg_tensor *y = tg_linear(t, tg_layer_norm(t, x[0], 1, w, b, 1e-5), v, w);
    y = tg_attention(t, tg_unsqueeze(t, y, 0), v, v, NULL, false);
    y = tg_add(t, tg_mse_loss(t, tg_mul(t, w, tg_constant_like(t, b, 2)), b, TG_REDUCE_SUM), y);
    tg_tensor *energy = tg_sum(t, tg_exp(t, w), TG_ALL_AXES, false);
    y = tg_add(t, y, tg_hvp(t, energy, w, b));
    return tg_add(t, y, tg_jvp(t, tg_square(t, w), 1, &w, &b));
}

Test(gradcheck, parameters_in_f32_have_the_dtype_of_their_copies)
{
    tg_params *ps = tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options)});
    const char *const names[] = {"w", "b", "v"};
    for (int k = 0; k < 3; k++)
        tg_param_new(ps, names[k], TG_F32, k < 2 ? TG_SHAPE(5) : TG_SHAPE(5, 5),
                     (tg_init){.kind = TG_UNIFORM, .a = 0.5, .b = 1.5});
    const tg_check_input input = {.shape = TG_SHAPE(5), .data = five};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(asks_for_dtypes, 1, &input, ps, ps, NULL, &r), TG_OK, "%s",
                 r.message);
    tg_params_free(ps);
}

Test(gradcheck, large_inputs_take_random_directions)
{
    enum { N = 20000 };
    static double x[N];
    for (int i = 0; i < N; i++) x[i] = sin(i) + 2;
    const tg_check_input input = {.shape = TG_SHAPE(N), .data = x};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(apply, 1, &input, NULL, (void *)(uintptr_t)&cube, NULL, &r), TG_OK,
                 "%s", r.message);
    cr_expect_eq(r.compared, 16);
    cr_expect_eq(tg_gradcheck(apply, 1, &input, NULL, (void *)(uintptr_t)&one_element, NULL, &r),
                 TG_ECHECK, "one of 20000 elements is off by half: %s", r.message);
}

Test(gradcheck, bad_arguments_are_a_status)
{
    tg_check_input input = {.shape = TG_SHAPE(5), .data = five};
    const tg_op *op = &cube;
    void *user = (void *)(uintptr_t)op;
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(NULL, 1, &input, NULL, NULL, NULL, &r), TG_ENULL);
    cr_expect_eq(tg_gradcheck(apply, 1, NULL, NULL, user, NULL, &r), TG_ENULL);
    cr_expect_eq(tg_gradcheck(apply, -1, &input, NULL, user, NULL, NULL), TG_EVALUE);
    input.data = NULL;
    cr_expect_eq(tg_gradcheck(apply, 1, &input, NULL, user, NULL, NULL), TG_ENULL);
    input.data = five;
    input.shape = tg_shape_of(9, NULL);
    cr_expect_eq(tg_gradcheck(apply, 1, &input, NULL, user, NULL, &r), TG_ESHAPE);
    cr_expect_str_eq(r.message, "gradcheck: input 0: an impossible shape: 9 dimensions, of 0 to 8");
    input.shape = TG_SHAPE(5);
    const tg_gradcheck_options bad[] = {{.size = 0},
                                        {.size = sizeof bad[0], .relative = -1},
                                        {.size = sizeof bad[0], .absolute = (double)NAN},
                                        {.size = sizeof bad[0], .step = 2},
                                        {.size = sizeof bad[0], .directions = -1},
                                        {.size = sizeof bad[0], .full_jacobian = -1},
                                        {.size = sizeof bad[0], .threads = -1}};
    for (int k = 0; k < COUNT(bad); k++)
        cr_expect_eq(tg_gradcheck(apply, 1, &input, NULL, user, &bad[k], NULL), TG_EVALUE, "%d", k);
}

/* ---------------------------------------------------------------- gradients in plain C */

static double rosenbrock(const double *x, int64_t n, void *user)
{
    double y = 0;
    (void)user;
    for (int64_t i = 0; i + 1 < n; i++)
        y += 100 * pow(x[i + 1] - x[i] * x[i], 2) + pow(1 - x[i], 2);
    return y;
}

static double undefined(const double *x, int64_t n, void *user)
{
    (void)n, (void)user;
    return log(x[0]);
}

Test(gradcheck, a_gradient_by_hand_needs_no_tape)
{
    const double x[] = {0.3, -1.2, 2, 0.7};
    double g[4] = {0};
    tg_gradcheck_report r;
    for (int i = 0; i < 3; i++) {
        g[i] += -400 * x[i] * (x[i + 1] - x[i] * x[i]) - 2 * (1 - x[i]);
        g[i + 1] += 200 * (x[i + 1] - x[i] * x[i]);
    }
    cr_expect_eq(tg_check_numeric(rosenbrock, 4, x, g, NULL, NULL, &r), TG_OK, "%s", r.message);
    cr_expect_eq(r.compared, 4);
    g[2] *= 1.001;
    cr_expect_eq(tg_check_numeric(rosenbrock, 4, x, g, NULL, NULL, &r), TG_ECHECK);
    cr_expect_eq(r.element, 2, "%s", r.message);
    cr_expect_eq(r.analytic, g[2]);
    cr_expect_float_eq(r.numeric, g[2] / 1.001, 1e-3);
    cr_expect_eq(tg_check_numeric(NULL, 4, x, g, NULL, NULL, &r), TG_ENULL);
    cr_expect_eq(tg_check_numeric(rosenbrock, 4, NULL, g, NULL, NULL, &r), TG_ENULL);
    cr_expect_eq(tg_check_numeric(rosenbrock, -1, x, g, NULL, NULL, &r), TG_EVALUE);
    cr_expect_eq(tg_check_numeric(rosenbrock, 4, x, g, NULL, &(tg_gradcheck_options){0}, NULL),
                 TG_EVALUE);
    cr_expect_eq(tg_check_numeric(undefined, 1, x + 1, g, NULL, NULL, &r), TG_ECHECK);
    cr_expect_eq(tg_check_numeric(rosenbrock, 0, NULL, NULL, NULL, NULL, &r), TG_OK);
}
