/* Edges of masks, of remainders and signs, of the functions of analysis, and of gradients that are
 * meant to be other than their value's. */
#include "semantics.h"

Test(semantics_special, masks_tell_nan_from_infinity)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), NAN, INFINITY, -INFINITY, 0, -1);
        EXPECT(tg_isnan(t, x), 1, 0, 0, 0, 0);
        EXPECT(tg_isinf(t, x), 0, 1, 1, 0, 0);
        EXPECT(tg_isfinite(t, x), 0, 0, 0, 1, 1);
        EXPECT_ERROR(tg_isnan(t, tg_isnan(t, x)), TG_EDTYPE, "isnan");
    }
}

Test(semantics_special, what_is_not_0_is_true)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), NAN, -0.0, 0, -3), *i = INDEX(TG_SHAPE(4), 2, 4, 0, 0);
        EXPECT(tg_logical_not(t, x), 0, 1, 1, 0);
        EXPECT(tg_logical_and(t, x, i), 1, 0, 0, 0);
        EXPECT(tg_logical_or(t, x, i), 1, 1, 0, 1);
        EXPECT(tg_logical_xor(t, x, i), 0, 1, 0, 1);
        EXPECT(tg_bitwise_and(t, i, INDEX(TG_SHAPE(1), 6)), 2, 4, 0, 0);
        EXPECT(tg_bitwise_not(t, INDEX(TG_SHAPE(2), 0, INT64_MAX)), -1, (double)INT64_MIN);
        EXPECT_ERROR(tg_bitwise_or(t, i, tg_isnan(t, x)), TG_EDTYPE, "bitwise_or");
        EXPECT_ERROR(tg_bitwise_not(t, x), TG_EDTYPE, "bitwise_not");
        EXPECT_ERROR(tg_logical_or(t, x, INDEX(TG_SHAPE(3), 1, 1, 1)), TG_ESHAPE, "[4] and [3]");
    }
}

Test(semantics_special, remainders_are_exact_and_have_the_sign_that_they_should)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(6), 7, -7, 7, -7, 1, 3),
                  *b = INPUT(TG_SHAPE(6), 3, 3, -3, -3, INFINITY, 0), *y;
        EXPECT(y = tg_fmod(t, a, b), 1, -1, 1, -1, 1, NAN);
        EXPECT(tg_slice(t, GRAD(y, b), 0, 0, 5, 1), -2, 2, 2, -2, -0.0);
        EXPECT(y = tg_remainder(t, a, b), 1, 2, -2, -1, 1, NAN);
        EXPECT(tg_slice(t, GRAD(y, b), 0, 0, 5, 1), -2, 3, 3, -2, -0.0);
        EXPECT(tg_fmod(t, INPUT(TG_SHAPE(1), 0x1p100), INPUT(TG_SHAPE(1), 3)), 1);
        EXPECT(tg_remainder(t, INPUT(TG_SHAPE(2), -1e-30, -6), INPUT(TG_SHAPE(1), 3)), 3, -0.0);
    }
}

Test(semantics_special, the_sign_of_a_zero_counts)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(4), 1, -2, 0, NAN), *b = INPUT(TG_SHAPE(4), -0.0, 0, -1, 1);
        tg_tensor *y = tg_copysign(t, a, b);
        EXPECT(y, -1, 2, -0.0, NAN);
        EXPECT(tg_reciprocal(t, tg_slice(t, y, 0, 2, 3, 1)), -INFINITY);
        EXPECT(tg_slice(t, GRAD(y, a), 0, 0, 3, 1), -1, -1, -0.0);
        EXPECT(GRAD(y, b), 0, 0, 0, 0);
    }
}

Test(semantics_special, what_is_no_number_becomes_one_without_a_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), NAN, INFINITY, -INFINITY, 2), *y;
        EXPECT(y = tg_nan_to_num(t, x, 5, 6, 7), 5, 6, 7, 2);
        EXPECT(GRAD(y, x), 0, 0, 0, 1);
        EXPECT(tg_nan_to_num(t, x, 0, INFINITY, -INFINITY), 0, INFINITY, -INFINITY, 2);
    }
}

Test(semantics_special, sinc_is_smooth_at_0_and_0_at_other_integers)
{
    EACH_BUILD
    {
        const double pi = 3.14159265358979323846;
        tg_tensor *x = INPUT(TG_SHAPE(4), 0, 1, -1e6, 1e-9), *y = tg_sinc(t, x);
        EXPECT(y, 1, 0, 0, 1);
        tg_tensor *slope = GRAD(y, x), *curve = GRAD(slope, x);
        EXPECT(tg_slice(t, slope, 0, 0, 3, 1), 0, -1, -1e-6);
        EXPECT(tg_slice(t, curve, 0, 0, 2, 1), -pi * pi / 3, 2);
        EXPECT(tg_slice(t, GRAD(curve, x), 0, 0, 1, 1), 0);
        EXPECT(tg_sinc(t, INPUT(TG_SHAPE(2), NAN, INFINITY)), NAN, NAN);
    }
}

Test(semantics_special, the_gamma_function_has_poles_and_reflects)
{
    EACH_BUILD
    {
        const double pi = 3.14159265358979323846, euler = 0.57721566490153286061;
        EXPECT(tg_lgamma(t, INPUT(TG_SHAPE(5), 1, 0.5, -0.5, 0, -3)), 0, log(pi) / 2,
               log(2 * sqrt(pi)), INFINITY, INFINITY);
        EXPECT(tg_digamma(t, INPUT(TG_SHAPE(7), 1, 0.5, -0.5, 0, -0.0, -3, INFINITY)), -euler,
               -euler - 2 * log(2), -euler - 2 * log(2) + 2, -INFINITY, INFINITY, NAN, INFINITY);
        EXPECT(tg_polygamma(t, INPUT(TG_SHAPE(4), 1, -0.5, 0, -INFINITY), 1), pi * pi / 6,
               pi * pi / 2 + 4, INFINITY, NAN);
        EXPECT(tg_polygamma(t, INPUT(TG_SHAPE(3), 1, 0, INFINITY), 2), -2.4041138063191885708, NAN,
               -0.0);
        EXPECT_ERROR(tg_polygamma(t, INPUT(TG_SHAPE(1), 1), 31), TG_EVALUE,
                     "polygamma: an order of 31");
        EXPECT_ERROR(tg_polygamma(t, INPUT(TG_SHAPE(1), 1), -1), TG_EVALUE, "an order of -1");
    }
}

Test(semantics_special, erfinv_is_accurate_from_0_to_its_ends)
{
    EACH_BUILD
    {
        EXPECT(tg_erfinv(t, INPUT(TG_SHAPE(5), 0, 1, -1, 1.5, NAN)), 0, INFINITY, -INFINITY, NAN,
               NAN);
        tg_tensor *small = tg_erfinv(t, INPUT(TG_SHAPE(2), 1e-30, 1e-8));
        EXPECT(tg_mul(t, small, INPUT(TG_SHAPE(2), 1e30, 1e8)), 0.88622692545275801,
               0.88622692545275801);
    }
    tg_tape *t = tg_tape_new(NULL);
    const tg_dtype dtype = TG_F64;
    for (double y = 0.05; y < 5.8; y += 0.05) {
        const double x = erf(y), slope = 1.1283791670955126 * exp(-y * y);
        const double is = tg_item(t, tg_erfinv(t, INPUT(TG_SHAPE(1), x)));
        cr_expect(fabs(is - y) <= 4e-16 * y + 0x1p-53 * x / slope, "%.17g instead of %.17g", is, y);
    }
    semantics_end(t);
}

Test(semantics_special, xlog1py_is_0_where_nothing_is_counted)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(5), 0, 0, 0, 2, 1), *y,
                  *b = INPUT(TG_SHAPE(5), -1, -2, NAN, 1e-20, -1);
        EXPECT(y = tg_xlog1py(t, a, b), 0, 0, NAN, 2e-20, -INFINITY);
        EXPECT(tg_slice(t, GRAD(y, a), 0, 0, 2, 1), 0, 0);
        EXPECT(tg_slice(t, GRAD(y, b), 0, 0, 2, 1), 0, 0);
    }
}

Test(semantics_special, gradients_go_another_way_than_values)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2), 1.2, -0.7);
        tg_tensor *y = tg_straight_through(t, tg_round(t, tg_square(t, x)), x);
        EXPECT(y, 1, 0);
        EXPECT(GRAD(y, x), 1, 1);
        EXPECT(tg_scale_gradient(t, x, -2), 1.2, -0.7);
        EXPECT(GRAD(tg_square(t, tg_scale_gradient(t, x, -1)), x), -2.4, 1.4);
        EXPECT_ERROR(tg_straight_through(t, x, tg_slice(t, x, 0, 0, 1, 1)), TG_ESHAPE,
                     "straight_through: shapes differ: [2] and [1]");
    }
}

Test(semantics_special, softplus_may_be_steeper_and_halves_must_be_even)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 0, 1000, -1000);
        EXPECT(tg_softplus_beta(t, x, 2), log(2) / 2, 1000, 0);
        EXPECT_ERROR(tg_softplus_beta(t, x, 0), TG_EVALUE, "softplus_beta: beta = 0");
        EXPECT_ERROR(tg_swiglu(t, x, 0), TG_ESHAPE, "swiglu: axis 0 of [3] has no halves");
        EXPECT(tg_softmin(t, x, 0), 0, 0, 1);
    }
}
