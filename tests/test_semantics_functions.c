/* Edges of trigonometric and hyperbolic functions, of powers and logarithms to other bases, and of
 * activations that are composed. */
#include "semantics.h"

Test(semantics_functions, logarithms_and_powers_of_2_and_10_are_exact)
{
    EACH_BUILD
    {
        EXPECT(tg_exp2(t, INPUT(TG_SHAPE(4), 3, -5, 0, -INFINITY)), 8, 0.03125, 1, 0);
        EXPECT(tg_log2(t, INPUT(TG_SHAPE(5), 8, 0.03125, 1, 0, -1)), 3, -5, 0, -INFINITY, NAN);
        EXPECT(tg_log10(t, INPUT(TG_SHAPE(4), 1000, 10, 1e10, INFINITY)), 3, 1, 10, INFINITY);
        tg_tensor *y = tg_log10(t, INPUT(TG_SHAPE(1), 1000));
        cr_expect_eq(tg_item(t, y), 3);
        cr_expect_eq(tg_item(t, tg_log2(t, INPUT(TG_SHAPE(1), 0x1p-100))), -100);
        cr_expect_eq(tg_item(t, tg_exp2(t, INPUT(TG_SHAPE(1), 100))), 0x1p100);
    }
}

Test(semantics_functions, a_distance_neither_overflows_nor_vanishes_on_the_way)
{
    EACH_BUILD
    {
        const double unit = dtype == TG_F32 ? 1e30 : 1e300;
        tg_tensor *a = INPUT(TG_SHAPE(5), 3 * unit, 3 / unit, 0, -INFINITY, NAN),
                  *b = INPUT(TG_SHAPE(5), 4 * unit, 4 / unit, 0, NAN, 1);
        tg_tensor *y = tg_hypot(t, a, b);
        EXPECT(tg_div(t, y, INPUT(TG_SHAPE(5), unit, 1 / unit, 1, 1, 1)), 5, 5, 0, INFINITY, NAN);
        EXPECT(tg_slice(t, GRAD(y, a), 0, 0, 3, 1), 0.6, 0.6, 0);
        EXPECT(tg_slice(t, GRAD(tg_atan2(t, a, b), a), 0, 2, 3, 1), 0);
        tg_tensor *slope = GRAD(tg_atan2(t, a, b), a);
        EXPECT(tg_mul(t, tg_slice(t, slope, 0, 0, 1, 1), INPUT(TG_SHAPE(1), unit)), 0.16);
    }
}

Test(semantics_functions, angles_follow_the_signs_of_zeros)
{
    EACH_BUILD
    {
        const double pi = 3.14159265358979323846;
        EXPECT(tg_atan2(t, INPUT(TG_SHAPE(5), 0, -0.0, 1, 0, INFINITY),
                        INPUT(TG_SHAPE(5), -1, -1, 0, 1, INFINITY)),
               pi, -pi, pi / 2, 0, pi / 4);
        EXPECT(tg_asin(t, INPUT(TG_SHAPE(3), 1, -1, 1.5)), pi / 2, -pi / 2, NAN);
        EXPECT(tg_acos(t, INPUT(TG_SHAPE(3), 1, -1, -1.5)), 0, pi, NAN);
        EXPECT(tg_atan(t, INPUT(TG_SHAPE(2), INFINITY, -INFINITY)), pi / 2, -pi / 2);
        tg_tensor *end = INPUT(TG_SHAPE(2), 1, -1);
        EXPECT(GRAD(tg_asin(t, end), end), INFINITY, INFINITY);
        tg_tensor *far = INPUT(TG_SHAPE(1), 1e7);
        EXPECT(tg_tan(t, far), tan(1e7));
    }
}

Test(semantics_functions, inverse_hyperbolic_functions_keep_their_slopes_far_out)
{
    EACH_BUILD
    {
        const double unit = dtype == TG_F32 ? 1e30 : 1e200;
        tg_tensor *x = INPUT(TG_SHAPE(2), unit, -unit), *far = INPUT(TG_SHAPE(1), unit);
        EXPECT(tg_asinh(t, x), log(2) + log(unit), -log(2) - log(unit));
        EXPECT(tg_mul(t, GRAD(tg_asinh(t, x), x), tg_abs(t, x)), 1, 1);
        EXPECT(tg_mul(t, GRAD(tg_acosh(t, far), far), far), 1);
        EXPECT(tg_acosh(t, INPUT(TG_SHAPE(2), 1, 0.5)), 0, NAN);
        EXPECT(tg_atanh(t, INPUT(TG_SHAPE(3), 1, -1, 2)), INFINITY, -INFINITY, NAN);
        EXPECT(tg_sinh(t, INPUT(TG_SHAPE(2), INFINITY, -0.0)), INFINITY, -0.0);
        EXPECT(tg_erfc(t, INPUT(TG_SHAPE(2), INFINITY, -INFINITY)), 0, 2);
        tg_tensor *tail = tg_erfc(t, INPUT(TG_SHAPE(1), 9));
        EXPECT(tg_scale(t, tail, 1e36), erfc(9) * 1e36);
    }
}

Test(semantics_functions, xlogy_is_0_where_nothing_is_counted)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(4), 0, 0, 2, 0), *b = INPUT(TG_SHAPE(4), 0, -1, 1, NAN);
        tg_tensor *y = tg_xlogy(t, a, b);
        EXPECT(y, 0, 0, 0, NAN);
        EXPECT(GRAD(y, a), 0, 0, 0, NAN);
        EXPECT(tg_slice(t, GRAD(y, b), 0, 0, 3, 1), 0, -0.0, 2);
    }
}

Test(semantics_functions, interpolation_meets_its_ends)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(2), 1e8, 0.1), *b = INPUT(TG_SHAPE(2), 1, 0.7);
        EXPECT(tg_sub(t, tg_lerp(t, a, b, INPUT(TG_SHAPE(1), 0)), a), 0, 0);
        EXPECT(tg_sub(t, tg_lerp(t, a, b, INPUT(TG_SHAPE(1), 1)), b), 0, 0);
    }
}

Test(semantics_functions, composed_activations_end_at_0_and_keep_nan)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), -INFINITY, INFINITY, NAN);
        EXPECT(tg_mish(t, x), -0.0, INFINITY, NAN);
        EXPECT(tg_hardswish(t, x), -0.0, INFINITY, NAN);
        EXPECT(tg_hardsigmoid(t, x), 0, 1, NAN);
        EXPECT(tg_celu(t, x, 2), -2, INFINITY, NAN);
        EXPECT(tg_softshrink(t, INPUT(TG_SHAPE(3), 1, -0.25, NAN), 0.5), 0.5, 0, NAN);
        EXPECT(tg_hardshrink(t, INPUT(TG_SHAPE(3), 0.5, -0.75, NAN), 0.5), 0, -0.75, NAN);
        EXPECT(tg_threshold(t, INPUT(TG_SHAPE(3), 0.5, 0.75, NAN), 0.5, 9), 9, 0.75, NAN);
        tg_tensor *zero = INPUT(TG_SHAPE(1), 0);
        EXPECT(GRAD(tg_celu(t, zero, 2), zero), 1);
        EXPECT_ERROR(tg_celu(t, zero, 0), TG_EVALUE, "celu: alpha = 0");
        EXPECT_ERROR(tg_softshrink(t, zero, -1), TG_EVALUE, "softshrink: the width -1");
        EXPECT_ERROR(tg_hardshrink(t, zero, (double)NAN), TG_EVALUE, "hardshrink: the width");
        EXPECT_ERROR(tg_glu(t, x, 0), TG_ESHAPE, "glu: axis 0 of [3] has no halves");
    }
}
