/* Reductions and softmax at the edges: values and gradients, in f32 and f64, with every build of
 * the kernels. Expected numbers are worked out by hand or are the definition's, unless a test says
 * otherwise. */
#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "semantics.h"

#define INF INFINITY

/* ---------------------------------------------------------------- not smooth, or not defined */

/* Squares of these are 0 or infinite. */
Test(reduce, norms_of_very_small_and_very_large_elements)
{
    const double sizes[2][4] = {{1e-30, 1e30, 1e-44, 6e37}, {1e-300, 1e300, 5e-322, 2e307}};
    EACH_BUILD
    {
        for (int k = 0; k < 4; k++) {
            const double size = sizes[dtype == TG_F64][k];
            tg_tensor *x = INPUT(TG_SHAPE(2, 2), 3 * size, 4 * size, 3, -4);
            for (int p = 2; p < 4; p++) {
                tg_tensor *y = tg_norm(t, x, p, TG_AXES(1), false);
                tg_tensor *in_sizes = tg_div(t, y, INPUT(TG_SHAPE(2), size, 1));
                tg_tensor *g = GRAD(y, x);
                const void *ratio = tg_data(t, in_sizes), *slope = tg_data(t, g);
                cr_assert(ratio && slope, "%s", tg_tape_message(t));
                const double norm = pow(pow(3, p) + pow(4, p), 1.0 / p),
                             coarse = k == 2 ? .2 : 1e-6;
                cr_expect_float_eq(semantics_element(dtype, ratio, 0), norm, coarse * norm, "%g",
                                   size);
                cr_expect_float_eq(semantics_element(dtype, ratio, 1), norm, 2e-6 * norm, "%g",
                                   size);
                cr_expect_float_eq(semantics_element(dtype, slope, 0), pow(3 / norm, p - 1), coarse,
                                   "%g", size);
                cr_expect_float_eq(semantics_element(dtype, slope, 3), -pow(4 / norm, p - 1), 2e-6,
                                   "%g", size);
            }
        }
    }
}

Test(reduce, a_gradient_at_nan_is_nan)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2), NAN, 2), *zero = INPUT(TG_SHAPE(2), 0, 0);
        EXPECT(semantics_grad(t, tg_abs(t, x), x), NAN, 1);
        EXPECT(semantics_grad(t, tg_norm(t, x, 1, TG_ALL_AXES, false), x), NAN, 1);
        EXPECT(semantics_grad(t, tg_l1_loss(t, x, zero, TG_REDUCE_SUM), x), NAN, 1);
    }
}

Test(reduce, the_norm_of_zeros_has_gradient_0)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 0, 0, 3, -4), *y = tg_norm(t, x, 2, TG_AXES(1), false),
                  *gx = semantics_grad(t, y, x);
        EXPECT(y, 0, 5);
        EXPECT(gx, 0, 0, 0.6, -0.8);
        EXPECT(semantics_grad(t, tg_slice(t, gx, 0, 0, 1, 1), x), 0, 0, 0, 0);
        for (int k = 0; k < 3; k++) {
            const double p[] = {0.5, 1.5, 3};
            tg_tensor *other = tg_norm(t, x, p[k], TG_AXES(1), false);
            EXPECT(tg_slice(t, other, 0, 0, 1, 1), 0);
            EXPECT(tg_slice(t, semantics_grad(t, other, x), 0, 0, 1, 1), 0, 0);
        }
    }
}

Test(reduce, a_zero_among_others_adds_no_gradient_to_any_norm)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 0, 4, -9);
        EXPECT(tg_norm(t, x, 0.5, TG_ALL_AXES, false), 25);
        /* (sum |x|^p)^(1/p - 1) |x|^(p - 1) sign x = 5 / |x|^(1/2) sign x */
        EXPECT(semantics_grad(t, tg_norm(t, x, 0.5, TG_ALL_AXES, false), x), 0, 2.5, -5.0 / 3);
        EXPECT(semantics_grad(t, tg_norm(t, x, 1, TG_ALL_AXES, false), x), 0, 1, -1);
        EXPECT(semantics_grad(t, tg_norm(t, x, INF, TG_ALL_AXES, false), x), 0, 0, -1);
    }
}

Test(reduce, the_root_of_a_sum_of_squares_has_gradient_nan_at_0)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1), 0),
                  *y = tg_sqrt(t, tg_sum(t, tg_square(t, x), TG_ALL_AXES, false));
        EXPECT(y, 0);
        EXPECT(semantics_grad(t, y, x), NAN);
    }
}

Test(reduce, the_infinity_norm_splits_ties)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 2, -2, 1), *y = tg_norm(t, x, INF, TG_ALL_AXES, false);
        EXPECT(y, 2);
        EXPECT(semantics_grad(t, y, x), 0.5, -0.5, 0);
    }
}

/* PyTorch's gradient is 0 at NaN. */
Test(reduce, the_1_norm_keeps_nan)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 2, NAN, -3), *y = tg_norm(t, x, 1, TG_ALL_AXES, false);
        EXPECT(y, NAN);
        EXPECT(semantics_grad(t, y, x), 1, NAN, -1);
    }
}

Test(reduce, a_product_with_zeros_has_exact_gradients)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 3), 2, 3, 4, 2, 0, 4, 0, 0, 4),
                  *y = tg_prod(t, x, TG_AXES(1), false), *gx = semantics_grad(t, y, x);
        EXPECT(y, 24, 0, 0);
        EXPECT(gx, 12, 8, 6, 0, 8, 0, 0, 0, 0);
        /* d/dx of the sum of the first derivatives: for a b c it is b + c, a + c, a + b */
        EXPECT(semantics_grad(t, gx, x), 7, 6, 5, 4, 6, 2, 4, 4, 0);
        EXPECT(tg_prod(t, INPUT(TG_SHAPE(2), INF, 0), TG_ALL_AXES, false), NAN);
    }
}

/* ---------------------------------------------------------------- ties and NaN */

Test(reduce, extrema_split_ties_evenly)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 4), 3, 1, 3, 3, -1, -1, 2, 0);
        EXPECT(tg_max(t, x, TG_AXES(1), true), 3, 2);
        EXPECT(semantics_grad(t, tg_max(t, x, TG_AXES(1), true), x), 1.0 / 3, 0, 1.0 / 3, 1.0 / 3,
               0, 0, 1, 0);
        EXPECT(tg_min(t, x, TG_AXES(1), false), 1, -1);
        EXPECT(semantics_grad(t, tg_min(t, x, TG_AXES(1), false), x), 0, 1, 0, 0, 0.5, 0.5, 0, 0);
        EXPECT(semantics_grad(t, tg_max(t, x, TG_ALL_AXES, false), x), 1.0 / 3, 0, 1.0 / 3, 1.0 / 3,
               0, 0, 0, 0);
        tg_tensor *columns = INPUT(TG_SHAPE(3, 2), 1, 5, 1, 5, 0, 4);
        EXPECT(semantics_grad(t, tg_max(t, columns, TG_AXES(0), false), columns), 0.5, 0.5, 0.5,
               0.5, 0, 0);
    }
}

Test(reduce, extrema_of_infinities)
{
    EACH_BUILD
    {
        EXPECT(tg_max(t, INPUT(TG_SHAPE(3), -INF, -INF, -INF), TG_ALL_AXES, false), -INF);
        EXPECT(tg_min(t, INPUT(TG_SHAPE(3), INF, 1, -INF), TG_ALL_AXES, false), -INF);
        tg_tensor *x = INPUT(TG_SHAPE(2), -INF, -INF);
        EXPECT(semantics_grad(t, tg_max(t, x, TG_ALL_AXES, false), x), 0.5, 0.5);
    }
}

Test(reduce, nan_wins_wherever_it_stands)
{
    EACH_BUILD
    {
        double values[1100];
        for (int at = 0; at < 1100; at += 37) {
            for (int i = 0; i < 1100; i++) values[i] = i;
            values[at] = NAN;
            tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(1100), values),
                      *rows = semantics_input(t, dtype, TG_SHAPE(1100, 1), values);
            EXPECT(tg_max(t, x, TG_ALL_AXES, false), NAN);
            EXPECT(tg_min(t, x, TG_ALL_AXES, false), NAN);
            EXPECT(tg_max(t, rows, TG_AXES(0), false), NAN);
            EXPECT(tg_argmax(t, x, 0, false), at);
            EXPECT(tg_max_along(t, x, 0, false), NAN);
        }
    }
}

/* amax's gradient in PyTorch: no element equals NaN, so that the ties number 0 and the gradient is
 * 0/0. */
Test(reduce, a_row_with_nan_has_gradient_nan)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, NAN, 1, 2);
        EXPECT(semantics_grad(t, tg_max(t, x, TG_AXES(1), false), x), NAN, NAN, 0, 1);
    }
}

Test(reduce, the_first_greatest_along_an_axis_takes_the_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 4), 1, 3, 3, 0, 5, 5, 5, 5);
        EXPECT(tg_argmax(t, x, 1, false), 1, 0);
        EXPECT(tg_argmax(t, x, 0, true), 1, 1, 1, 1);
        EXPECT(tg_max_along(t, x, 1, false), 3, 5);
        EXPECT(semantics_grad(t, tg_max_along(t, x, 1, false), x), 0, 1, 0, 0, 1, 0, 0, 0);
        EXPECT_SHAPE(tg_max_along(t, x, -1, true), TG_SHAPE(2, 1));
        EXPECT_SHAPE(tg_argmax(t, x, -1, true), TG_SHAPE(2, 1));
    }
}

Test(reduce, argmax_takes_the_first_nan_and_the_first_infinity)
{
    EACH_BUILD
    {
        EXPECT(tg_argmax(t, INPUT(TG_SHAPE(2, 4), INF, NAN, 2, NAN, -INF, INF, INF, 0), 1, false),
               1, 1);
        EXPECT(tg_argmax(t, INPUT(TG_SHAPE(4, 2), INF, -INF, NAN, INF, 2, INF, NAN, 0), 0, false),
               1, 1);
        EXPECT(tg_argmax(t, INPUT(TG_SHAPE(2, 2), -INF, -INF, -INF, -INF), 1, false), 0, 0);
    }
}

/* ---------------------------------------------------------------- softmax, logsumexp */

Test(reduce, logsumexp_of_infinities)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4, 2), -INF, -INF, INF, 0, INF, -INF, -INF, 2);
        EXPECT(tg_logsumexp(t, x, TG_AXES(1), false), -INF, INF, INF, 2);
        EXPECT(tg_logsumexp(t, INPUT(TG_SHAPE(2), 0, NAN), TG_ALL_AXES, false), NAN);
        tg_tensor *one = INPUT(TG_SHAPE(2), -INF, 2);
        EXPECT(semantics_grad(t, tg_logsumexp(t, one, TG_ALL_AXES, false), one), 0, 1);
        EXPECT(tg_logsumexp(t, INPUT(TG_SHAPE(0), 0), TG_ALL_AXES, false), -INF);
    }
}

Test(reduce, softmax_of_infinities)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4, 2), -INF, -INF, INF, 0, NAN, 0, -INF, 2);
        EXPECT(tg_softmax(t, x, 1), NAN, NAN, NAN, NAN, NAN, NAN, 0, 1);
        EXPECT(tg_log_softmax(t, x, 1), NAN, NAN, NAN, NAN, NAN, NAN, -INF, 0);
        tg_tensor *one = INPUT(TG_SHAPE(2), -INF, 2), *seed = INPUT(TG_SHAPE(2), 3, 5), *gx;
        tg_grad(t, tg_softmax(t, one, 0), seed, 1, &one, &gx, false);
        EXPECT(gx, 0, 0);
        tg_grad(t, tg_log_softmax(t, one, 0), seed, 1, &one, &gx, false);
        EXPECT(gx, 3, -3);
    }
}

Test(reduce, softmax_is_shifted_by_the_maximum)
{
    EACH_BUILD
    {
        const double e = exp(-1), s = 1 / (1 + e);
        tg_tensor *high = INPUT(TG_SHAPE(2), 1000, 999), *low = INPUT(TG_SHAPE(2), -1000, -999);
        EXPECT(tg_softmax(t, high, 0), s, e * s);
        EXPECT(tg_softmax(t, low, 0), e * s, s);
        EXPECT(tg_log_softmax(t, high, 0), log(s), log(s) - 1);
        EXPECT(tg_logsumexp(t, high, TG_ALL_AXES, false), 1000 - log(s));
        EXPECT(tg_logsumexp(t, low, TG_ALL_AXES, true), -999 - log(s));
        EXPECT(semantics_grad(t, tg_logsumexp(t, high, TG_ALL_AXES, false), high), s, e * s);
        EXPECT(tg_log_softmax(t, INPUT(TG_SHAPE(2), 0, 3e4), 0), -3e4, 0);
    }
}

/* y (g - sum of y g) along the axis that was asked for, each row and column for itself. */
Test(reduce, the_gradient_of_softmax_sums_over_its_axis_only)
{
    EACH_BUILD
    {
        const double g[] = {1, -2, 3, 0.5, 0, 1};
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 0, 1, 2, 2, 0, -1),
                  *seed = semantics_input(t, dtype, TG_SHAPE(2, 3), g), *gx;
        for (int axis = 0; axis < 2; axis++) {
            const double v[] = {0, 1, 2, 2, 0, -1};
            double want[6], want_log[6];
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 3; j++) {
                    const int n = axis ? 3 : 2, first = axis ? 3 * i : j, step = axis ? 1 : 3;
                    double sum = 0, dot = 0, total = 0;
                    for (int k = 0; k < n; k++) sum += exp(v[first + k * step]);
                    for (int k = 0; k < n; k++)
                        dot += exp(v[first + k * step]) / sum * g[first + k * step];
                    for (int k = 0; k < n; k++) total += g[first + k * step];
                    const double y = exp(v[3 * i + j]) / sum;
                    want[3 * i + j] = y * (g[3 * i + j] - dot);
                    want_log[3 * i + j] = g[3 * i + j] - y * total;
                }
            tg_grad(t, tg_softmax(t, x, axis), seed, 1, &x, &gx, false);
            semantics_expect(__LINE__, t, gx, 6, want);
            tg_grad(t, tg_log_softmax(t, x, axis - 2), seed, 1, &x, &gx, false);
            semantics_expect(__LINE__, t, gx, 6, want_log);
        }
    }
}

/* ---------------------------------------------------------------- shapes and types */

Test(reduce, reductions_of_nothing)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 0), 0);
        EXPECT(tg_sum(t, x, TG_AXES(1), false), 0, 0);
        EXPECT(tg_prod(t, x, TG_AXES(1), true), 1, 1);
        EXPECT(tg_mean(t, x, TG_AXES(1), false), NAN, NAN);
        EXPECT(tg_mean(t, x, TG_ALL_AXES, false), NAN);
        EXPECT(tg_var(t, x, TG_AXES(1), 1, false), NAN, NAN);
        EXPECT(tg_var(t, x, TG_AXES(1), 0, false), NAN, NAN);
        EXPECT(tg_std(t, x, TG_AXES(1), 1, false), NAN, NAN);
        EXPECT(tg_norm(t, x, 2, TG_AXES(1), false), 0, 0);
        EXPECT(tg_logsumexp(t, x, TG_AXES(1), false), -INF, -INF);
        EXPECT_SHAPE(tg_max(t, x, TG_AXES(0), false), TG_SHAPE(0));
        EXPECT_SHAPE(tg_argmax(t, x, 0, false), TG_SHAPE(0));
        EXPECT_SHAPE(tg_softmax(t, x, 1), TG_SHAPE(2, 0));
        EXPECT_SHAPE(semantics_grad(t, tg_sum(t, x, TG_AXES(1), false), x), TG_SHAPE(2, 0));
        EXPECT_SHAPE(semantics_grad(t, tg_prod(t, x, TG_AXES(1), false), x), TG_SHAPE(2, 0));
    }
}

Test(reduce, a_dropped_axis_gets_its_gradient_back_in_place)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), *gx;
        tg_tensor *seed = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
        for (int keepdim = 0; keepdim < 2; keepdim++) {
            tg_tensor *s = keepdim ? tg_reshape(t, seed, TG_SHAPE(2, 1, 3)) : seed;
            tg_grad(t, tg_sum(t, x, TG_AXES(1), keepdim), s, 1, &x, &gx, false);
            EXPECT(gx, 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
            tg_grad(t, tg_max(t, x, TG_AXES(1), keepdim), s, 1, &x, &gx, false);
            EXPECT(gx, 0, 0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6);
            tg_grad(t, tg_mean(t, x, TG_AXES(-2), keepdim), s, 1, &x, &gx, false);
            EXPECT(gx, 0.5, 1, 1.5, 0.5, 1, 1.5, 2, 2.5, 3, 2, 2.5, 3);
        }
        tg_tensor *apart = tg_sum(t, x, TG_AXES(2, 0), false),
                  *kept = tg_sum(t, x, TG_AXES(0, 2), true);
        EXPECT(apart, 30, 48);
        EXPECT_SHAPE(kept, TG_SHAPE(1, 2, 1));
        tg_grad(t, apart, INPUT(TG_SHAPE(2), 1, 2), 1, &x, &gx, false);
        EXPECT(gx, 1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2);
    }
}

Test(reduce, no_axes_are_no_reduction)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SCALAR, -3), *row = INPUT(TG_SHAPE(2), 1, 2);
        cr_expect_eq(tg_sum(t, x, TG_ALL_AXES, false), x);
        cr_expect_eq(tg_max(t, row, tg_axes_of(0, NULL), true), row);
        EXPECT(tg_mean(t, x, TG_ALL_AXES, true), -3);
        EXPECT(tg_prod(t, row, tg_axes_of(0, NULL), false), 1, 2);
        EXPECT(tg_norm(t, x, 2, TG_ALL_AXES, false), 3);
        EXPECT(semantics_grad(t, tg_norm(t, x, 2, TG_ALL_AXES, false), x), -1);
        EXPECT(tg_var(t, row, tg_axes_of(0, NULL), 0, false), 0, 0);
        EXPECT(tg_logsumexp(t, x, TG_ALL_AXES, false), -3);
        EXPECT(semantics_grad(t, tg_logsumexp(t, x, TG_ALL_AXES, false), x), 1);
    }
}

Test(reduce, one_element_is_not_a_scalar)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1), 4);
        EXPECT_SHAPE(tg_sum(t, x, TG_ALL_AXES, false), TG_SCALAR);
        EXPECT_SHAPE(tg_sum(t, x, TG_ALL_AXES, true), TG_SHAPE(1));
        tg_tensor *gx;
        tg_grad(t, tg_square(t, tg_sum(t, x, TG_AXES(0), true)), NULL, 1, &x, &gx, false);
        EXPECT(gx, 8);
    }
}

Test(reduce, variance_has_a_correction)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 1, 2, 4, 5);
        EXPECT(tg_var(t, x, TG_ALL_AXES, 1, false), 10.0 / 3);
        EXPECT(tg_var(t, x, TG_ALL_AXES, 0, false), 2.5);
        EXPECT(tg_var(t, x, TG_ALL_AXES, 4, false), NAN);
        EXPECT(tg_var(t, x, TG_ALL_AXES, 5, false), NAN);
        EXPECT(tg_std(t, x, TG_ALL_AXES, 0, true), sqrt(2.5));
        EXPECT(semantics_grad(t, tg_var(t, x, TG_ALL_AXES, 1, false), x), -4.0 / 3, -2.0 / 3,
               2.0 / 3, 4.0 / 3);
        tg_tensor *one = INPUT(TG_SHAPE(1), 2);
        EXPECT(tg_var(t, one, TG_ALL_AXES, 1, false), NAN);
        EXPECT(tg_std(t, one, TG_ALL_AXES, 1, false), NAN);
        EXPECT(tg_var(t, one, TG_ALL_AXES, 0, false), 0);
    }
}

/* 0.1 has no exact mean of three: without care its deviations are not 0, and the quotient of two
 * roundings would pass for a gradient. */
Test(reduce, the_deviation_of_a_constant_row_is_0_with_gradient_0)
{
    EACH_BUILD
    {
        const double values[] = {0.1, 1e30, -7.3, 1.0 / 3};
        for (int64_t n = 2; n < 1100; n += 1 + n / 2)
            for (int k = 0; k < 4; k++) {
                tg_tensor *x =
                    tg_offset(t, tg_expand(t, INPUT(TG_SCALAR, 0), TG_SHAPE(n)), values[k]);
                tg_tensor *y = tg_std(t, x, TG_ALL_AXES, 1, false);
                EXPECT(y, 0);
                EXPECT(tg_sum(t, tg_abs(t, semantics_grad(t, y, x)), TG_ALL_AXES, false), 0);
                EXPECT(tg_var(t, x, TG_ALL_AXES, 0, false), 0);
            }
    }
}

Test(reduce, variance_survives_a_large_offset)
{
    EACH_BUILD
    {
        const double shift = dtype == TG_F32 ? 4096 : 1e12;
        tg_tensor *x = INPUT(TG_SHAPE(4), shift + 1, shift + 2, shift + 3, shift + 6);
        EXPECT(tg_var(t, x, TG_ALL_AXES, 1, false), 14.0 / 3);
    }
}

Test(reduce, integers_are_summed_and_compared_without_a_gradient)
{
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
            int64_t many[1500];
            uint8_t ones[1500];
            for (int i = 0; i < 1500; i++) {
                many[i] = (INT64_C(1) << 52) + i;
                ones[i] = 1;
            }
            tg_tensor *x = tg_input(t, TG_I64, TG_SHAPE(1500), many);
            const int64_t *sum = tg_data(t, tg_sum(t, x, TG_ALL_AXES, false)),
                          *most = tg_data(t, tg_max(t, x, TG_ALL_AXES, false)),
                          *least = tg_data(t, tg_min(t, x, TG_AXES(0), true));
            cr_expect(sum && *sum == 1500 * (INT64_C(1) << 52) + 1499 * 750);
            cr_expect(most && *most == (INT64_C(1) << 52) + 1499);
            cr_expect(least && *least == INT64_C(1) << 52);
            tg_tensor *count =
                tg_sum(t, tg_input(t, TG_U8, TG_SHAPE(1500), ones), TG_ALL_AXES, false);
            cr_expect_eq(tg_tensor_dtype(count), TG_I64);
            EXPECT(count, 1500);
            const uint8_t scalar = 200;
            cr_expect_eq(tg_tensor_dtype(
                             tg_sum(t, tg_input(t, TG_U8, TG_SCALAR, &scalar), TG_ALL_AXES, false)),
                         TG_I64);
            cr_expect_eq(tg_tensor_dtype(tg_argmax(
                             t, tg_input(t, TG_F32, TG_SHAPE(1), ((const float[]){1})), 0, false)),
                         TG_I64);
        }
}

/* ---------------------------------------------------------------- refusals */

#define REFUSED(status, call)                                                                     \
    do {                                                                                          \
        tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);                                              \
        tg_tensor *x TG_MAYBE_UNUSED =                                                            \
            tg_input(t, TG_F64, TG_SHAPE(2, 3), ((const double[]){1, 2, 3, 4, 5, 6}));            \
        tg_tensor *empty TG_MAYBE_UNUSED = tg_input(t, TG_F64, TG_SHAPE(2, 0), NULL);             \
        tg_tensor *integers TG_MAYBE_UNUSED =                                                     \
            tg_input(t, TG_I64, TG_SHAPE(2), ((const int64_t[]){1, 2}));                          \
        tg_tensor *mask TG_MAYBE_UNUSED =                                                         \
            tg_input(t, TG_U8, TG_SHAPE(2), ((const uint8_t[]){1, 0}));                           \
        tg_tensor *scalar TG_MAYBE_UNUSED = tg_constant(t, TG_F64, 1);                            \
        cr_expect_null(call, #call);                                                              \
        char here[64];                                                                            \
        snprintf(here, sizeof here, "test_semantics_reduce.c:%d: ", __LINE__);                    \
        cr_expect_eq(tg_tape_status(t), status, "%s: %s", #call, tg_tape_message(t));             \
        cr_expect(strstr(tg_tape_message(t), here) != NULL, "%s: %s", #call, tg_tape_message(t)); \
        cr_expect_null(tg_sum(t, x, TG_ALL_AXES, false), "a tape in error must not go on");       \
        cr_expect_null(tg_sum(t, scalar, TG_ALL_AXES, false),                                     \
                       "not even where nothing is to be done");                                   \
        tg_tape_free(t);                                                                          \
    } while (0)

Test(reduce, an_empty_reduction_has_no_extremum)
{
    REFUSED(TG_ESHAPE, tg_max(t, empty, TG_AXES(1), false));
    REFUSED(TG_ESHAPE, tg_min(t, empty, TG_ALL_AXES, true));
    REFUSED(TG_ESHAPE, tg_argmax(t, empty, 1, false));
    REFUSED(TG_ESHAPE, tg_max_along(t, empty, -1, false));
    REFUSED(TG_ESHAPE, tg_norm(t, empty, INF, TG_AXES(1), false));
}

Test(reduce, integers_have_no_mean)
{
    REFUSED(TG_EDTYPE, tg_mean(t, integers, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_mean(t, mask, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_mean(t, integers, tg_axes_of(0, NULL), false));
    REFUSED(TG_EDTYPE, tg_prod(t, integers, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_var(t, integers, TG_ALL_AXES, 1, false));
    REFUSED(TG_EDTYPE, tg_std(t, integers, TG_ALL_AXES, 1, false));
    REFUSED(TG_EDTYPE, tg_norm(t, integers, 2, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_logsumexp(t, mask, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_max(t, mask, TG_ALL_AXES, false));
    REFUSED(TG_EDTYPE, tg_max(t, mask, tg_axes_of(0, NULL), false));
    REFUSED(TG_EDTYPE, tg_argmax(t, mask, 0, false));
    REFUSED(TG_EDTYPE, tg_max_along(t, integers, 0, false));
    REFUSED(TG_EDTYPE, tg_softmax(t, integers, 0));
    REFUSED(TG_EDTYPE, tg_log_softmax(t, mask, 0));
}

Test(reduce, axes_that_are_not_there)
{
    REFUSED(TG_ESHAPE, tg_sum(t, x, TG_AXES(2), false));
    REFUSED(TG_ESHAPE, tg_sum(t, x, TG_AXES(-3), false));
    REFUSED(TG_ESHAPE, tg_sum(t, x, TG_AXES(0, -2), false));
    REFUSED(TG_ESHAPE, tg_sum(t, x, TG_AXES(0, 1, 1), false));
    REFUSED(TG_ESHAPE, tg_sum(t, x, tg_axes_of(-2, NULL), false));
    REFUSED(TG_ESHAPE, tg_sum(t, x, ((tg_axes){.n = 12}), false));
    REFUSED(TG_ESHAPE, tg_sum(t, scalar, TG_AXES(0), false));
    REFUSED(TG_ESHAPE, tg_logsumexp(t, x, TG_AXES(INT_MIN), false));
    REFUSED(TG_ESHAPE, tg_argmax(t, x, 2, false));
    REFUSED(TG_ESHAPE, tg_max_along(t, scalar, 0, false));
    REFUSED(TG_ESHAPE, tg_softmax(t, x, 2));
    REFUSED(TG_ESHAPE, tg_softmax(t, scalar, 0));
    REFUSED(TG_ESHAPE, tg_log_softmax(t, x, INT_MAX));
}

Test(reduce, other_refusals)
{
    REFUSED(TG_EVALUE, tg_norm(t, x, 0, TG_ALL_AXES, false));
    REFUSED(TG_EVALUE, tg_norm(t, x, -1, TG_ALL_AXES, false));
    REFUSED(TG_EVALUE, tg_norm(t, x, NAN, TG_ALL_AXES, false));
    REFUSED(TG_EVALUE, tg_norm(t, x, -INF, TG_ALL_AXES, false));
    REFUSED(TG_ENULL, tg_sum(t, NULL, TG_ALL_AXES, false));
    REFUSED(TG_ENULL, tg_mean(t, NULL, TG_ALL_AXES, false));
    REFUSED(TG_ENULL, tg_max(t, NULL, TG_ALL_AXES, false));
    REFUSED(TG_ENULL, tg_argmax(t, NULL, 0, false));
    REFUSED(TG_ENULL, tg_max_along(t, NULL, 0, false));
    REFUSED(TG_ENULL, tg_softmax(t, NULL, 0));
    cr_expect_null(tg_sum(NULL, NULL, TG_ALL_AXES, false));
    cr_expect_null(tg_softmax(NULL, NULL, 0));
}

Test(reduce, argmax_is_no_way_to_differentiate)
{
    tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(2), ((const double[]){1, 2})), *gx;
    tg_tensor *y = tg_cast(t, tg_argmax(t, x, 0, false), TG_F64);
    cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &gx, false), TG_ENOGRAD, "%s", tg_tape_message(t));
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- accuracy and order */

Test(reduce, sums_of_many_small_numbers_stay_accurate)
{
    const int64_t n = 20000000;
    float *tenth = malloc((size_t)n * sizeof *tenth);
    cr_assert_not_null(tenth);
    for (int64_t i = 0; i < n; i++) tenth[i] = 0.1f;
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
            const double sum = tg_item(
                t, tg_sum(t, tg_input_borrow(t, TG_F32, TG_SHAPE(n), tenth), TG_ALL_AXES, false));
            cr_expect(fabs(sum / ((double)n * (double)0.1f) - 1) <= 1e-6, "%.9g", sum);
        }
    free(tenth);
}

/* The documented order: 64 lanes, halves combined; chunks of 1024, then their results. */
static float ordered_sum(int64_t n, const float *x)
{
    if (n > 1024) {
        float part[4096];
        int64_t parts = 0;
        for (int64_t first = 0; first < n; first += 1024)
            part[parts++] = ordered_sum(n - first < 1024 ? n - first : 1024, x + first);
        return ordered_sum(parts, part);
    }
    float lane[64];
    for (int l = 0; l < 64; l++) lane[l] = -0.0f; /* changes no sum */
    int width = 64;
    while (width / 2 >= n && width > 1) width /= 2;
    for (int64_t i = 0; i < n; i++) lane[i % 64] = i < 64 ? x[i] : lane[i % 64] + x[i];
    for (int half = width / 2; half; half /= 2)
        for (int l = 0; l < half; l++) lane[l] += lane[l + half];
    return lane[0];
}

Test(reduce, sums_add_in_the_documented_order)
{
    enum { LONGEST = 1024 * 1024 + 77 };
    const int64_t sizes[] = {0,  1,   2,   3,    5,    7,    31,   32,   33,    63,     64,
                             65, 127, 128, 1000, 1023, 1024, 1025, 2048, 66000, LONGEST};
    float *x = malloc(LONGEST * sizeof *x);
    uint32_t state = 1;
    for (int64_t i = 0; i < LONGEST; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++)
            for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
                const int64_t n = sizes[k];
                const float sum = (float)tg_item(t, tg_sum(t, tg_input(t, TG_F32, TG_SHAPE(n), x),
                                                           TG_ALL_AXES, false)),
                            want = ordered_sum(n, x);
                cr_expect_eq(sum, want, "%lld elements: %.9g instead of %.9g", (long long)n,
                             (double)sum, (double)want);
            }
    free(x);
}

Test(reduce, short_rows_add_in_the_documented_order_however_many_there_are)
{
    enum { WIDEST = 70, MOST = 1500 };
    static const int64_t rows[] = {1, 7, 8, 9, MOST};
    static float x[WIDEST * MOST], squares[WIDEST];
    uint32_t state = 1;
    for (int64_t i = 0; i < WIDEST * MOST; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(int32_t)state * 0x1p-31f;
    }
    for (int i = 0; i < WIDEST; i++) x[i] = -0.0f; /* a row of them adds up to -0 */
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (int64_t k = 0; k < 5 * WIDEST; k++)
            for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
                const int64_t n = rows[k % 5], width = k / 5 + 1;
                tg_tensor *in = tg_input_borrow(t, TG_F32, TG_SHAPE(n, width), x),
                          *both[2] = {tg_sum(t, in, TG_AXES(1), false),
                                      tg_sum(t, tg_square(t, in), TG_AXES(1), false)};
                tg_eval(t, 2, both);
                const float *sum = tg_data(t, both[0]), *power = tg_data(t, both[1]);
                int64_t wrong = sum && power ? 0 : n;
                for (int64_t row = 0; sum && power && row < n; row++) {
                    for (int64_t i = 0; i < width; i++)
                        squares[i] = x[row * width + i] * x[row * width + i];
                    const float want[2] = {ordered_sum(width, x + row * width),
                                           ordered_sum(width, squares)};
                    wrong += memcmp(&want[0], &sum[row], 4) != 0 || want[1] != power[row];
                }
                cr_expect_eq(wrong, 0, "%lld of %lld rows of %lld differ", (long long)wrong,
                             (long long)n, (long long)width);
            }
}

/* y (g - sum of y g), in one kernel and put together from other ops. */
Test(reduce, softmax_sums_in_the_order_of_sum)
{
    enum { LONGEST = 1024 * 1024 + 77 };
    const int64_t sizes[] = {5, 64, 1000, 1024, 1025, 5000, LONGEST};
    double *values = malloc(LONGEST * sizeof *values);
    for (int64_t i = 0; i < LONGEST; i++) values[i] = sin((double)i);
    EACH_BUILD
    {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(sizes[k]), values),
                      *g = tg_flip(t, x, TG_ALL_AXES), *gx;
            tg_tensor *y = tg_softmax(t, x, 0);
            tg_grad(t, y, g, 1, &x, &gx, false);
            tg_tensor *composed =
                tg_mul(t, y, tg_sub(t, g, tg_sum(t, tg_mul(t, y, g), TG_ALL_AXES, false)));
            const void *is = tg_data(t, gx), *want = tg_data(t, composed);
            cr_expect(is && want && memcmp(is, want, (size_t)sizes[k] * tg_dtype_size(dtype)) == 0,
                      "%lld elements", (long long)sizes[k]);
        }
    }
    free(values);
}

Test(reduce, the_maximum_of_a_long_row_may_stand_anywhere)
{
    EACH_BUILD
    {
        double values[3000] = {0};
        for (int at = 0; at < 3000; at += 499) {
            values[at] = 1000;
            tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(3000), values);
            EXPECT(tg_slice(t, tg_softmax(t, x, 0), 0, at, at + 1, 1), 1);
            EXPECT(tg_slice(t, tg_log_softmax(t, x, 0), 0, at, at + 2, 1), 0, -1000);
            values[at] = 0;
        }
    }
}

/* Longer than one chunk of chunks: what softmax sums by itself is what tg_sum sums. */
Test(reduce, a_long_softmax_adds_up_to_1)
{
    enum { LONGEST = 1024 * 1024 + 77 };
    double *x = malloc(LONGEST * sizeof *x);
    for (int64_t i = 0; i < LONGEST; i++) x[i] = (double)(i % 100) / 20;
    EACH_BUILD
    {
        tg_tensor *y = tg_softmax(t, semantics_input(t, dtype, TG_SHAPE(LONGEST), x), 0),
                  *z = tg_log_softmax(t, semantics_input(t, dtype, TG_SHAPE(LONGEST), x), 0);
        EXPECT(tg_sum(t, y, TG_ALL_AXES, false), 1);
        long double sum = 0;
        for (int64_t i = 0; i < LONGEST; i++) sum += expl((long double)x[i]);
        const double low = (double)-logl(sum);
        EXPECT(tg_slice(t, z, 0, 0, 2, 1), low, low + 0.05);
    }
    free(x);
}
