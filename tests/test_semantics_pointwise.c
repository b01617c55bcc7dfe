/* What the elementwise functions do at the edges: every row of the semantics, in f32 and f64, by
 * every build of the kernels. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tapegrad/ops.h>

#define INF INFINITY
#define LN2 0.69314718055994531

typedef tg_tensor *(*recorder)(tg_tape *t, tg_tensor *const *x);

/* Exact where it is expected to be 0 or not finite; otherwise a few roundings are allowed. */
static bool same(tg_dtype dtype, double is, double want)
{
    if (isnan(want)) return isnan(is);
    if (want == 0 || isinf(want)) return is == want;
    return fabs(is - want) <=
           fabs(want) * (dtype == TG_F32 ? 4 * (double)FLT_EPSILON : 4 * DBL_EPSILON);
}

static double at(tg_dtype dtype, const void *data, int i)
{
    if (!data) return 0x1.deadp99; /* nothing that is expected */
    return dtype == TG_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

enum { MOST = 24 };

static void column(tg_dtype dtype, void *data, int n, const double *row, int width, int k)
{
    for (int i = 0; i < n; i++)
        if (dtype == TG_F32) ((float *)data)[i] = (float)row[i * width + k];
        else ((double *)data)[i] = row[i * width + k];
}

static void expect_column(const char *what, const char *name, const tg_tape_options *o,
                          tg_dtype dtype, const void *data, int n, const double *row, int n_in,
                          int k)
{
    const int width = 2 * n_in + 1;
    for (int i = 0; i < n; i++)
        cr_expect(same(dtype, at(dtype, data, i), row[i * width + k]),
                  "%s, %s, build %d: %s at (%g, %g) is %.17g instead of %.17g", name,
                  tg_dtype_name(dtype), (int)o->isa, what, row[i * width],
                  n_in > 1 ? row[i * width + 1] : 0, at(dtype, data, i), row[i * width + k]);
}

/* Rows of the operands, the value, and the gradients for an upstream gradient of 1: taken with
 * tg_grad, and with tg_backward from parameters. */
static void check(const char *name, recorder f, int n_in, int n, const double *row)
{
    const int width = 2 * n_in + 1;
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
        for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
            const tg_tape_options o = {.size = sizeof o, .isa = isa};
            tg_tape *t = tg_tape_new(&o);
            tg_params *ps = tg_params_new(NULL);
            tg_tensor *x[2], *gx[2], *p[2];
            double data[MOST];
            for (int k = 0; k < n_in; k++) {
                column(dtype, data, n, row, width, k);
                x[k] = tg_input(t, dtype, TG_SHAPE(n), data);
                p[k] = tg_param_new(ps, k ? "b" : "a", dtype, TG_SHAPE(n),
                                    (tg_init){.kind = TG_ZEROS});
                cr_assert_eq(tg_param_write(p[k], data), TG_OK);
            }
            tg_tensor *y = f(t, x);
            expect_column("the value", name, &o, dtype, tg_data(t, y), n, row, n_in, n_in);
            double ones[MOST];
            for (int i = 0; i < n; i++)
                if (dtype == TG_F32) ((float *)ones)[i] = 1;
                else ones[i] = 1;
            tg_grad(t, y, tg_input(t, dtype, TG_SHAPE(n), ones), n_in, x, gx, false);
            for (int k = 0; k < n_in; k++)
                expect_column(k ? "the second gradient" : "the gradient", name, &o, dtype,
                              tg_data(t, gx[k]), n, row, n_in, n_in + 1 + k);
            cr_expect_eq(tg_backward(t, tg_sum(t, f(t, p), TG_ALL_AXES, false)), TG_OK);
            for (int k = 0; k < n_in; k++)
                expect_column(k ? "the second parameter's gradient" : "the parameter's gradient",
                              name, &o, dtype, tg_param_grad(p[k]), n, row, n_in, n_in + 1 + k);
            cr_expect_eq(tg_tape_status(t), TG_OK, "%s: %s", name, tg_tape_message(t));
            tg_tape_free(t);
            tg_params_free(ps);
        }
}

#define ROWS(width, name, record, n_in, ...)                                       \
    do {                                                                           \
        static const double rows[][width] = {__VA_ARGS__};                         \
        cr_assert(sizeof rows / sizeof *rows <= MOST);                             \
        check(name, record, n_in, (int)(sizeof rows / sizeof *rows), &rows[0][0]); \
    } while (0)
#define CHECK_1(op, ...) ROWS(3, #op, op##_of, 1, __VA_ARGS__) /* x, y, gradient */
#define CHECK_2(op, ...) ROWS(5, #op, op##_of, 2, __VA_ARGS__) /* a, b, y, gradients */
#define OF_1(op) \
    static tg_tensor *op##_of(tg_tape *t, tg_tensor *const *x) { return tg_##op(t, x[0]); }
#define OF_2(op) \
    static tg_tensor *op##_of(tg_tape *t, tg_tensor *const *x) { return tg_##op(t, x[0], x[1]); }

/* ---------------------------------------- points where a function is not smooth, or not defined */

OF_1(relu)
OF_1(relu6)
OF_1(hardtanh)
OF_1(abs)
static tg_tensor *leaky_relu_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_leaky_relu(t, x[0], 0.125);
}
static tg_tensor *elu_of(tg_tape *t, tg_tensor *const *x) { return tg_elu(t, x[0], 2); }

Test(semantics_pointwise, relu_and_its_like_have_gradient_0_at_their_kinks_and_keep_nan)
{
    CHECK_1(relu, {0, 0, 0}, {-0.0, 0, 0}, {NAN, NAN, 1}, {2, 2, 1}, {-2, 0, 0}, {INF, INF, 1},
            {-INF, 0, 0});
    CHECK_1(relu6, {0, 0, 0}, {6, 6, 0}, {3, 3, 1}, {7, 6, 0}, {-1, 0, 0}, {NAN, NAN, 1},
            {INF, 6, 0}, {-INF, 0, 0});
    CHECK_1(hardtanh, {-1, -1, 0}, {1, 1, 0}, {0.5, 0.5, 1}, {2, 1, 0}, {-2, -1, 0}, {NAN, NAN, 1},
            {INF, 1, 0});
    CHECK_1(leaky_relu, {0, 0, 0.125}, {-2, -0.25, 0.125}, {2, 2, 1}, {NAN, NAN, 0.125},
            {-INF, -INF, 0.125}, {INF, INF, 1});
    CHECK_1(elu, {0, 0, 2}, {1, 1, 1}, {-INF, -2, 0}, {INF, INF, 1}, {NAN, NAN, 1},
            {-1, -1.2642411176571153, 0.73575888234288467});
}

OF_1(sign)
OF_1(floor)
OF_1(ceil)
OF_1(round)
OF_1(trunc)

Test(semantics_pointwise, abs_sign_and_rounding_have_gradient_0_where_they_are_flat)
{
    CHECK_1(abs, {0, 0, 0}, {-0.0, 0, 0}, {-2, 2, -1}, {2, 2, 1}, {NAN, NAN, NAN}, {-INF, INF, -1});
    CHECK_1(sign, {0, 0, 0}, {-3, -1, 0}, {1e-30, 1, 0}, {NAN, NAN, 0}, {-INF, -1, 0});
    CHECK_1(floor, {0.5, 0, 0}, {-0.5, -1, 0}, {3, 3, 0}, {-3, -3, 0}, {-2.25, -3, 0},
            {0x1p70, 0x1p70, 0}, {8388607.5, 8388607, 0}, {NAN, NAN, 0}, {INF, INF, 0},
            {-0.0, 0, 0});
    CHECK_1(ceil, {0.5, 1, 0}, {-0.5, 0, 0}, {3, 3, 0}, {-3, -3, 0}, {2.25, 3, 0},
            {-0x1p70, -0x1p70, 0}, {8388607.5, 8388608, 0}, {NAN, NAN, 0}, {-INF, -INF, 0});
    CHECK_1(round, {0.5, 0, 0}, {1.5, 2, 0}, {2.5, 2, 0}, {-0.5, 0, 0}, {-1.5, -2, 0},
            {-2.5, -2, 0}, {0.49999997, 0, 0}, {8388607.5, 8388608, 0}, {0x1p70, 0x1p70, 0},
            {NAN, NAN, 0}, {INF, INF, 0});
    CHECK_1(trunc, {0.5, 0, 0}, {-0.5, 0, 0}, {-3, -3, 0}, {2.75, 2, 0}, {-2.75, -2, 0},
            {-0x1p70, -0x1p70, 0}, {-8388607.5, -8388607, 0}, {NAN, NAN, 0}, {-INF, -INF, 0});
}

static tg_tensor *floor_times_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_mul(t, tg_floor(t, x[0]), x[0]);
}
static tg_tensor *sign_grad_of(tg_tape *t, tg_tensor *const *x)
{
    tg_tensor *g = NULL;
    tg_grad(t, tg_sum(t, tg_sign(t, x[0]), TG_ALL_AXES, false), NULL, 1, x, &g, false);
    return tg_add(t, g, tg_square(t, x[0]));
}

Test(semantics_pointwise, the_path_through_a_rounding_stays_differentiable)
{
    CHECK_1(floor_times, {2.5, 5, 2}, {-0.5, 0.5, -1});
    CHECK_1(sign_grad, {3, 9, 6}, {0, 0, 0});
}

static tg_tensor *clamp_of(tg_tape *t, tg_tensor *const *x) { return tg_clamp(t, x[0], -1, 2); }
static tg_tensor *crossed_clamp_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_clamp(t, x[0], 2, -1);
}
static tg_tensor *nan_clamp_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_clamp(t, x[0], NAN, 2);
}
static tg_tensor *half_clamp_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_clamp(t, x[0], -INF, 2);
}

Test(semantics_pointwise, clamp_has_gradient_1_at_its_bounds)
{
    CHECK_1(clamp, {-1, -1, 1}, {2, 2, 1}, {0, 0, 1}, {-3, -1, 0}, {3, 2, 0}, {NAN, NAN, 0},
            {-INF, -1, 0}, {INF, 2, 0});
    CHECK_1(crossed_clamp, {-1, -1, 0}, {2, -1, 0}, {0, -1, 0}, {5, -1, 0}, {-5, -1, 0},
            {NAN, NAN, 0}, {INF, -1, 0});
    CHECK_1(nan_clamp, {1, NAN, 0}, {3, NAN, 0});
    CHECK_1(half_clamp, {-INF, -INF, 1}, {-1e30, -1e30, 1}, {2, 2, 1}, {3, 2, 0});
}

OF_1(sqrt)
OF_1(rsqrt)
OF_1(log)
OF_1(log1p)
OF_1(reciprocal)
OF_1(square)
OF_2(div)

Test(semantics_pointwise, roots_logarithms_and_quotients_at_0_and_below)
{
    CHECK_1(sqrt, {0, 0, INF}, {-1, NAN, NAN}, {4, 2, 0.25}, {INF, INF, 0});
    CHECK_1(rsqrt, {0, INF, -INF}, {-1, NAN, NAN}, {4, 0.5, -0.0625}, {INF, 0, 0});
    CHECK_1(log, {0, -INF, INF}, {-0.0, -INF, -INF}, {-1, NAN, -1}, {1, 0, 1}, {INF, INF, 0},
            {NAN, NAN, NAN});
    CHECK_1(log1p, {-1, -INF, INF}, {-2, NAN, -1}, {0, 0, 1}, {INF, INF, 0}, {1e-30, 1e-30, 1});
    CHECK_1(reciprocal, {0, INF, -INF}, {-0.0, -INF, -INF}, {2, 0.5, -0.25}, {-INF, 0, 0});
    CHECK_2(div, {1, 2, 0.5, 0.5, -0.25}, {1, 0, INF, INF, -INF}, {0, 0, NAN, INF, NAN},
            {-3, INF, 0, 0, 0});
}

OF_2(pow)
static tg_tensor *pow_0_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_pow(t, x[0], tg_constant_like(t, x[0], 0));
}

Test(semantics_pointwise, pow_at_0_and_below)
{
    CHECK_2(pow, {0, 0, 1, 0, 0}, {0, 2, 0, 0, 0}, {0, 0.5, 0, INF, 0}, {-2, 3, -8, 12, NAN},
            {0, -1, INF, -INF, -INF}, {0, 1, 0, 1, 0}, {2, 0, 1, 0, LN2}, {-2, 0, 1, 0, NAN},
            {NAN, 0, 1, 0, NAN}, {INF, 0, 1, 0, INF}, {-2, 0.5, NAN, NAN, NAN},
            {2, 3, 8, 12, 8 * LN2}, {2, -1, 0.5, -0.25, 0.5 * LN2}, {-2, -2, 0.25, 0.25, NAN},
            {1, NAN, 1, NAN, 0}, {4, 0.5, 2, 0.25, 4 * LN2});
    CHECK_1(pow_0, {0, 1, 0}, {-3, 1, 0}, {NAN, 1, 0}, {INF, 1, 0}, {-INF, 1, 0}, {2, 1, 0});
}

/* ---------------------------------------------------------------- far from 0 */

OF_1(gelu)
OF_1(gelu_tanh)
OF_1(silu)

Test(semantics_pointwise, gelu_and_silu_end_at_minus_0_with_gradient_0)
{
    CHECK_1(gelu, {-INF, 0, 0}, {-1000, 0, 0}, {0, 0, 0.5},
            {1, 0.84134474606854294859, 1.0833154705876862984}, {1000, 1000, 1}, {INF, INF, 1},
            {NAN, NAN, NAN});
    CHECK_1(gelu_tanh, {-INF, 0, 0}, {-1000, 0, 0}, {0, 0, 0.5},
            {1, 0.84119199060827670478, 1.0829640838457825551}, {1000, 1000, 1}, {INF, INF, 1},
            {NAN, NAN, NAN});
    CHECK_1(silu, {-INF, 0, 0}, {-1000, 0, 0}, {0, 0, 0.5},
            {1, 0.73105857863000487925, 0.92767051187148673179}, {1000, 1000, 1}, {INF, INF, 1},
            {NAN, NAN, NAN});
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_constant(t, TG_F32, -INF), *x64 = tg_constant(t, TG_F64, -INF);
    cr_expect(signbit(tg_item(t, tg_gelu(t, x))) && signbit(tg_item(t, tg_gelu(t, x64))));
    cr_expect(signbit(tg_item(t, tg_gelu_tanh(t, x))) && signbit(tg_item(t, tg_gelu_tanh(t, x64))));
    cr_expect(signbit(tg_item(t, tg_silu(t, x))) && signbit(tg_item(t, tg_silu(t, x64))));
    tg_tape_free(t);
}

OF_1(softplus)
OF_1(logsigmoid)
OF_1(sigmoid)
OF_1(tanh)
OF_2(logaddexp)

Test(semantics_pointwise, softplus_and_its_like_neither_overflow_nor_have_a_threshold)
{
    CHECK_1(softplus, {1000, 1000, 1}, {-1000, 0, 0}, {INF, INF, 1}, {-INF, 0, 0}, {0, LN2, 0.5},
            {NAN, NAN, NAN}, {20.5, 20.500000001250152866, 0.99999999874984713518},
            {-30, 9.3576229688397368203e-14, 9.3576229688392989559e-14});
    CHECK_1(logsigmoid, {1000, 0, 0}, {-1000, -1000, 1}, {INF, 0, 0}, {-INF, -INF, 1},
            {0, -LN2, 0.5}, {NAN, NAN, NAN},
            {30, -9.3576229688397368203e-14, 9.3576229688392989559e-14});
    CHECK_1(sigmoid, {1000, 1, 0}, {-1000, 0, 0}, {INF, 1, 0}, {-INF, 0, 0}, {0, 0.5, 0.25},
            {NAN, NAN, NAN});
    CHECK_1(tanh, {1000, 1, 0}, {-1000, -1, 0}, {INF, 1, 0}, {-INF, -1, 0}, {0, 0, 1},
            {NAN, NAN, NAN});
    CHECK_2(logaddexp, {1000, 1000, 1000 + LN2, 0.5, 0.5}, {-1000, -1000, -1000 + LN2, 0.5, 0.5},
            {1000, 0, 1000, 1, 0}, {0, 1000, 1000, 0, 1}, {-INF, 3, 3, 0, 1},
            {INF, -INF, INF, 1, 0}, {INF, INF, INF, NAN, NAN}, {-INF, -INF, -INF, NAN, NAN},
            {NAN, 1, NAN, NAN, NAN});
}

OF_1(exp)
OF_1(expm1)
OF_1(erf)
OF_1(sin)
OF_1(cos)

Test(semantics_pointwise, elementary_functions_at_infinity_and_far_out)
{
    CHECK_1(exp, {-INF, 0, 0}, {INF, INF, INF}, {0, 1, 1}, {NAN, NAN, NAN}, {-1000, 0, 0},
            {1000, INF, INF});
    CHECK_1(expm1, {-INF, -1, 0}, {INF, INF, INF}, {0, 0, 1}, {NAN, NAN, NAN}, {-1000, -1, 0},
            {0x1p-60, 0x1p-60, 1});
    CHECK_1(erf, {-INF, -1, 0}, {INF, 1, 0}, {0, 0, 1.1283791670955126}, {NAN, NAN, NAN},
            {1000, 1, 0});
    CHECK_1(sin, {0, 0, 1}, {INF, NAN, NAN}, {-INF, NAN, NAN}, {NAN, NAN, NAN},
            {1000000, -0.34999350217129295212, 0.93675212753314478694},
            {0x1p80, -0.85829543043502706274, 0.51315587699484804796},
            {-0x1p80, 0.85829543043502706274, 0.51315587699484804796});
    CHECK_1(cos, {0, 1, 0}, {INF, NAN, NAN},
            {1000000, 0.93675212753314478694, 0.34999350217129295212});
}

Test(semantics_pointwise, sin_is_the_same_beside_a_huge_argument)
{
    enum { N = 200 };
    float x[N];
    for (int i = 0; i < N; i++) x[i] = (float)(i * i) * 3.7f - 9000;
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
        const tg_tape_options o = {.size = sizeof o, .isa = isa};
        tg_tape *t = tg_tape_new(&o);
        x[77] = 3;
        tg_tensor *plain = tg_input(t, TG_F32, TG_SHAPE(N), x);
        x[77] = 1e30f;
        tg_tensor *beside = tg_input(t, TG_F32, TG_SHAPE(N), x);
        const float *sin_a = tg_data(t, tg_sin(t, plain)), *sin_b = tg_data(t, tg_sin(t, beside));
        const float *cos_a = tg_data(t, tg_cos(t, plain)), *cos_b = tg_data(t, tg_cos(t, beside));
        cr_assert(sin_a && sin_b && cos_a && cos_b, "%s", tg_tape_message(t));
        for (int i = 0; i < N; i++)
            if (i == 77)
                cr_expect(sin_b[i] == (float)sin((double)x[i]) &&
                          cos_b[i] == (float)cos((double)x[i]));
            else
                cr_expect(memcmp(&sin_a[i], &sin_b[i], 4) == 0 &&
                              memcmp(&cos_a[i], &cos_b[i], 4) == 0,
                          "build %d, sin and cos of %g", (int)isa, (double)x[i]);
        tg_tape_free(t);
    }
}

/* ---------------------------------------------------------------- ties, NaN and choices */

OF_2(maximum)
OF_2(minimum)

Test(semantics_pointwise, maximum_and_minimum_halve_a_tie_and_keep_nan)
{
    CHECK_2(maximum, {1, 2, 2, 0, 1}, {2, 1, 2, 1, 0}, {1, 1, 1, 0.5, 0.5}, {0, -0.0, 0, 0.5, 0.5},
            {NAN, 1, NAN, 1, 1}, {1, NAN, NAN, 1, 1}, {NAN, NAN, NAN, 1, 1}, {-INF, INF, INF, 0, 1},
            {INF, INF, INF, 0.5, 0.5});
    CHECK_2(minimum, {1, 2, 1, 1, 0}, {2, 1, 1, 0, 1}, {1, 1, 1, 0.5, 0.5}, {NAN, 1, NAN, 1, 1},
            {1, NAN, NAN, 1, 1}, {-INF, INF, -INF, 1, 0});
}

static tg_tensor *positive(tg_tape *t, tg_tensor *x)
{
    return tg_greater(t, x, tg_constant_like(t, x, 0));
}
static tg_tensor *where_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_where(t, positive(t, tg_detach(t, x[0])), x[0], x[1]);
}
static tg_tensor *log_or_x_of(tg_tape *t, tg_tensor *const *x)
{
    return tg_where(t, positive(t, tg_detach(t, x[0])), tg_log(t, x[0]), x[0]);
}
static tg_tensor *safe_log_or_x_of(tg_tape *t, tg_tensor *const *x)
{
    tg_tensor *ok = positive(t, tg_detach(t, x[0]));
    return tg_where(t, ok, tg_log(t, tg_safe_where(t, ok, x[0], 1)), x[0]);
}

Test(semantics_pointwise, where_selects_and_safe_where_keeps_gradients_clean)
{
    CHECK_2(where, {1, 2, 1, 1, 0}, {-1, 2, 2, 0, 1}, {1, NAN, 1, 1, 0}, {1, INF, 1, 1, 0},
            {NAN, 2, 2, 0, 1}, {-INF, 2, 2, 0, 1});
    CHECK_1(log_or_x, {2, LN2, 0.5}, {0, 0, NAN}, {-1, -1, 1});
    CHECK_1(safe_log_or_x, {2, LN2, 0.5}, {0, 0, 1}, {-1, -1, 1}, {-INF, -INF, 1});
}

Test(semantics_pointwise, comparisons_give_0_or_1_and_nan_is_not_equal_to_anything)
{
    const double a[] = {1, 2, 2, NAN, NAN, -INF, -0.0}, b[] = {2, 1, 2, NAN, 1, INF, 0};
    const float a4[] = {1, 2, 2, NAN, NAN, -INF, -0.0f}, b4[] = {2, 1, 2, NAN, 1, INF, 0};
    const uint8_t want[6][7] = {{0, 0, 1, 0, 0, 0, 1}, {1, 1, 0, 1, 1, 1, 0},
                                {1, 0, 0, 0, 0, 1, 0}, {1, 0, 1, 0, 0, 1, 1},
                                {0, 1, 0, 0, 0, 0, 0}, {0, 1, 1, 0, 0, 0, 1}};
    const int64_t big[] = {(1ll << 53) + 1, INT64_MIN}, near[] = {1ll << 53, INT64_MAX};
    const uint8_t big_want[6][2] = {{0, 0}, {1, 1}, {0, 1}, {0, 1}, {1, 0}, {1, 0}};
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
        const tg_tape_options o = {.size = sizeof o, .isa = isa};
        tg_tape *t = tg_tape_new(&o);
        tg_tensor *pair[3][2] = {
            {tg_input(t, TG_F64, TG_SHAPE(7), a), tg_input(t, TG_F64, TG_SHAPE(7), b)},
            {tg_input(t, TG_F32, TG_SHAPE(7), a4), tg_input(t, TG_F32, TG_SHAPE(7), b4)},
            {tg_input(t, TG_I64, TG_SHAPE(2), big), tg_input(t, TG_I64, TG_SHAPE(2), near)}};
        for (int k = 0; k < 3; k++) {
            tg_tensor *const p = pair[k][0], *const q = pair[k][1];
            tg_tensor *y[] = {tg_equal(t, p, q),   tg_not_equal(t, p, q),
                              tg_less(t, p, q),    tg_less_equal(t, p, q),
                              tg_greater(t, p, q), tg_greater_equal(t, p, q)};
            for (int c = 0; c < 6; c++) {
                const void *data = tg_data(t, y[c]);
                cr_assert_not_null(data, "%s", tg_tape_message(t));
                cr_expect_eq(tg_tensor_dtype(y[c]), TG_U8);
                cr_expect(memcmp(data, k == 2 ? big_want[c] : want[c], k == 2 ? 2 : 7) == 0,
                          "comparison %d of operands %d, build %d", c, k, (int)isa);
            }
        }
        tg_tape_free(t);
    }
}

/* ------------------------------------------------------ derivatives of derivatives at the edges */

static tg_tensor *derivative(tg_tape *t, tg_tensor *y, tg_tensor *x)
{
    tg_tensor *g = NULL;
    tg_grad(t, tg_sum(t, y, TG_ALL_AXES, false), NULL, 1, &x, &g, false);
    return g;
}
/* What is differentiated here once more by check(). */
static tg_tensor *relu_square_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_square(t, tg_relu(t, x[0])), x[0]);
}
static tg_tensor *relu_slope_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_relu(t, x[0]), x[0]);
}
static tg_tensor *maximum_slope_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_maximum(t, x[0], x[1]), x[0]);
}
static tg_tensor *pow_in_base_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_pow(t, x[0], x[1]), x[0]);
}
static tg_tensor *pow_in_exponent_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_pow(t, x[0], x[1]), x[1]);
}
static tg_tensor *pow_twice_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, pow_in_base_of(t, x), x[0]);
}
static tg_tensor *gelu_slope_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_gelu(t, x[0]), x[0]);
}
static tg_tensor *silu_slope_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, tg_silu(t, x[0]), x[0]);
}
static tg_tensor *tanh_twice_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, derivative(t, tg_tanh(t, x[0]), x[0]), x[0]);
}
static tg_tensor *sigmoid_twice_of(tg_tape *t, tg_tensor *const *x)
{
    return derivative(t, derivative(t, tg_sigmoid(t, x[0]), x[0]), x[0]);
}

Test(semantics_pointwise, higher_derivatives_where_lower_ones_vanish)
{
    CHECK_1(relu_square, {2, 4, 2}, {-1, 0, 0}, {0, 0, 0});
    CHECK_1(relu_slope, {2, 1, 0}, {-1, 0, 0}, {0, 0, 0});
    CHECK_2(maximum_slope, {2, 1, 1, 0, 0}, {1, 1, 0.5, 0, 0}, {1, 2, 0, 0, 0});
    /* of b a^(b-1): b (b-1) a^(b-2) and a^(b-1) (1 + b ln a) */
    CHECK_2(pow_in_base, {0, 2, 0, 2, 0}, {2, 0, 0, 0, 0.5}, {2, 1, 1, 0, 1 + LN2}, {0, 3, 0, 0, 0},
            {2, 3, 12, 12, 4 + 12 * LN2});
    CHECK_2(pow_in_exponent, {2, 0, LN2, 0.5, LN2 * LN2},
            {2, 3, 8 * LN2, 4 + 12 * LN2, 8 * LN2 * LN2}, {0, 2, 0, 0, 0});
    /* of b (b-1) a^(b-2) */
    CHECK_2(pow_twice, {0, 3, 0, 6, 0}, {0, 2, 2, 0, 3}, {2, 2, 2, 0, 3 + 2 * LN2});
    CHECK_1(gelu_slope, {0, 0.5, 0.79788456080286535588});
    CHECK_1(silu_slope, {0, 0.5, 0.5});
    CHECK_1(tanh_twice, {0, 0, -2});
    CHECK_1(sigmoid_twice, {0, 0, -0.125});
}

static tg_tensor *x_times_x_of(tg_tape *t, tg_tensor *const *x) { return tg_mul(t, x[0], x[0]); }
static tg_tensor *x_minus_x_of(tg_tape *t, tg_tensor *const *x) { return tg_sub(t, x[0], x[0]); }
static tg_tensor *x_over_x_of(tg_tape *t, tg_tensor *const *x) { return tg_div(t, x[0], x[0]); }

Test(semantics_pointwise, the_same_tensor_twice_accumulates)
{
    CHECK_1(x_times_x, {3, 9, 6}, {-1, 1, -2}, {0, 0, 0});
    CHECK_1(x_minus_x, {3, 0, 0}, {-1, 0, 0});
    CHECK_1(x_over_x, {2, 1, 0}, {0, NAN, NAN});
    CHECK_1(square, {3, 9, 6}, {-1, 1, -2}, {INF, INF, INF});
}

/* ---------------------------------------------------------------- dtypes */

Test(semantics_pointwise, integers_wrap_around)
{
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
        const tg_tape_options o = {.size = sizeof o, .isa = isa};
        tg_tape *t = tg_tape_new(&o);
        const int64_t a[] = {INT64_MAX, INT64_MIN, -7}, b[] = {1, 1, 3};
        tg_tensor *p = tg_input(t, TG_I64, TG_SHAPE(3), a),
                  *q = tg_input(t, TG_I64, TG_SHAPE(3), b);
        const int64_t want[4][3] = {{INT64_MIN, INT64_MIN + 1, -4},
                                    {INT64_MAX - 1, INT64_MAX, -10},
                                    {1, 0, 49},
                                    {-INT64_MAX, INT64_MIN, 7}};
        tg_tensor *y[] = {tg_add(t, p, q), tg_sub(t, p, q), tg_mul(t, p, p), tg_neg(t, p)};
        for (int k = 0; k < 4; k++) {
            const void *data = tg_data(t, y[k]);
            cr_assert_not_null(data, "%s", tg_tape_message(t));
            cr_expect(memcmp(data, want[k], sizeof want[k]) == 0, "row %d, build %d", k, (int)isa);
        }
        tg_tape_free(t);
    }
}

static void expect_refused(tg_tape *t, const tg_tensor *y, tg_status status, const char *part)
{
    cr_expect_null(y);
    cr_expect_eq(tg_tape_status(t), status, "%s: %s", part, tg_tape_message(t));
    cr_expect_not_null(strstr(tg_tape_message(t), part), "\"%s\" is not in \"%s\"", part,
                       tg_tape_message(t));
    tg_tape_clear_error(t);
}

Test(semantics_pointwise, dtypes_are_not_mixed_and_integers_are_not_divided)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *i = tg_constant(t, TG_I64, 6), *u = tg_constant(t, TG_U8, 1),
              *f = tg_constant(t, TG_F32, 2), *d = tg_constant(t, TG_F64, 2);
    expect_refused(t, tg_div(t, i, i), TG_EDTYPE, "div");
    expect_refused(t, tg_add(t, u, u), TG_EDTYPE, "add");
    expect_refused(t, tg_mul(t, f, d), TG_EDTYPE, "mul");
    expect_refused(t, tg_mul(t, f, i), TG_EDTYPE, "mul");
    expect_refused(t, tg_scale(t, i, 2), TG_EDTYPE, "scale");
    expect_refused(t, tg_offset(t, i, 2), TG_EDTYPE, "offset");
    expect_refused(t, tg_exp(t, i), TG_EDTYPE, "exp");
    expect_refused(t, tg_equal(t, f, d), TG_EDTYPE, "equal");
    expect_refused(t, tg_where(t, f, f, f), TG_EDTYPE, "where");
    expect_refused(t, tg_where(t, u, f, d), TG_EDTYPE, "where");
    expect_refused(t, tg_clamp(t, NULL, 0, 1), TG_ENULL, "clamp");
    expect_refused(t, tg_scale(t, NULL, 1), TG_ENULL, "scale");
    expect_refused(t, tg_safe_where(t, u, NULL, 1), TG_ENULL, "where");
    tg_tape_free(t);
}

Test(semantics_pointwise, nothing_differentiates_through_a_comparison)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_constant(t, TG_F32, 2), *g;
    tg_tensor *y = tg_cast(t, tg_less(t, x, tg_constant(t, TG_F32, 3)), TG_F32);
    cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &g, false), TG_ENOGRAD);
    cr_expect_not_null(strstr(tg_tape_message(t), ": less: "), "%s", tg_tape_message(t));
    tg_tape_free(t);
}
