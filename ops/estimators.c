/* Ops whose gradient is meant to be another than their value's. */
#include "elementwise.h"
#include "folds.h"

/* Nothing reaches the operand whose value is passed on, at no order. */
INNER_TEXT_2(straight_through, "a", ((void)b, a), gx[1] = gy)

#ifndef TG_SAMPLES
tg_tensor *tg_straight_through_at(tg_tape *t, const char *where, tg_tensor *forward,
                                  tg_tensor *backward)
{
    const char *const name = "straight_through";
    if (!tg_ready_float(t, where, name, forward) || !tg_ready_float(t, where, name, backward))
        return NULL;
    const tg_shape of_value = tg_tensor_shape(forward), of_slope = tg_tensor_shape(backward);
    if (!tg_shape_equal(of_value, of_slope))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: shapes differ: %s and %s", name,
                          tg_shape_text(of_value).text, tg_shape_text(of_slope).text);
    return tg_apply_2(t, where, &op_straight_through, tg_detach(t, forward), backward);
}
tg_tensor *tg_scale_gradient_at(tg_tape *t, const char *where, tg_tensor *x, double factor)
{
    if (!tg_ready_float(t, where, "scale_gradient", x)) return NULL;
    return tg_straight_through(t, x, tg_scale(t, x, factor));
}
#endif

KNOWN(straight_through, "any, twice", -1, ("y = forward, its derivatives those of backward"))
KNOWN(scale_gradient, "any", -1, ("y = x, its gradient times factor"))

/* Where both have the same slope, differences can tell. */
CALL(lifted, tg_straight_through(t, tg_offset(t, x[0], 1), x[0]))
EXPECT_ALIKE(lifted, x + 1)
CALL(rounded, tg_straight_through(t, tg_round(t, x[0]), x[1]))
EXPECT_ALIKE(rounded, nearbyint(a))
SAMPLES(straight_through, SAMPLE(lifted, "", 0, REALS(-2, 2, 3, 4)),
        SAMPLE(rounded, "round", TG_NOT_SMOOTH, REALS(-9, 9, 3, 4), REALS(-2, 2, 3, 4)))
CALL(in_shares, tg_add(t, tg_scale_gradient(t, x[0], -0.5), tg_scale_gradient(t, x[0], 2.5)))
EXPECT_ALIKE(in_shares, 2 * x)
SAMPLES(scale_gradient, SAMPLE(in_shares, "shares of one whole", 0, REALS(-2, 2, 3, 4)))
