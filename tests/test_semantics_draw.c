/* Random numbers on the tape: where they lie, how they are distributed, that they come again. */
#include "semantics.h"

enum { MANY = 100000 };

static void moments(tg_tape *t, tg_tensor *x, double mean, double deviation, double allowed)
{
    const double m = tg_item(t, tg_mean_all(t, x)),
                 s = tg_item(t, tg_std(t, x, TG_ALL_AXES, 1, false));
    cr_expect(fabs(m - mean) <= allowed, "a mean of %g, not %g", m, mean);
    cr_expect(fabs(s - deviation) <= allowed, "a deviation of %g, not %g", s, deviation);
}

Test(semantics_draw, numbers_are_distributed_as_they_should)
{
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
        tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);
        tg_tensor *u = tg_rand(t, dtype, TG_SHAPE(MANY));
        moments(t, u, 0.5, sqrt(1.0 / 12), 0.005);
        cr_expect_gt(tg_item(t, tg_min(t, u, TG_ALL_AXES, false)), 0);
        cr_expect_lt(tg_item(t, tg_max(t, u, TG_ALL_AXES, false)), 1);
        moments(t, tg_randn(t, dtype, TG_SHAPE(MANY)), 0, 1, 0.02);
        tg_tensor *two = tg_full(t, dtype, 2, TG_SHAPE(MANY));
        moments(t, tg_exponential(t, two), 0.5, 0.5, 0.02);
        moments(t, tg_normal(t, two, tg_constant(t, dtype, 3)), 2, 3, 0.05);
        tg_tensor *p = tg_full(t, dtype, 0.3, TG_SHAPE(MANY));
        moments(t, tg_cast(t, tg_bernoulli(t, p), TG_F64), 0.3, sqrt(0.21), 0.01);
        tg_tensor *logits = tg_expand(t, tg_log(t, INPUT(TG_SHAPE(3), 1, 2, 5)), TG_SHAPE(MANY, 3));
        tg_tensor *counts = tg_bincount(t, tg_categorical(t, logits, 1), 3);
        const int64_t *n = tg_data(t, counts);
        for (int k = 0; n && k < 3; k++)
            cr_expect(fabs((double)n[k] / MANY - (k == 0   ? 0.125
                                                  : k == 1 ? 0.25
                                                           : 0.625)) < 0.01,
                      "class %d: %lld", k, (long long)n[k]);
        semantics_end(t);
    }
}

Test(semantics_draw, bernoulli_keeps_to_certainties)
{
    EACH_BUILD
    {
        EXPECT(tg_bernoulli(t, INPUT(TG_SHAPE(5), 0, 1, -1, 2, NAN)), 0, 1, 0, 1, 0);
        EXPECT(tg_normal(t, INPUT(TG_SHAPE(2), 1, 2), INPUT(TG_SHAPE(1), 0)), 1, 2);
    }
}

Test(semantics_draw, draws_of_one_recording_differ_and_another_step_draws_others)
{
    tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);
    double first = 0;
    for (int k = 0; k < 3; k++) {
        if (k == 2) tg_tape_set_step(t, 0);
        tg_tensor *a = tg_rand(t, TG_F64, TG_SHAPE(3)), *b = tg_rand(t, TG_F64, TG_SHAPE(3));
        const double *x = tg_data(t, a), *y = tg_data(t, b);
        cr_assert(x && y);
        cr_expect(x[0] != y[0] && x[0] != x[1] && x[1] != x[2]);
        if (k == 0) first = x[0];
        if (k == 1) cr_expect_neq(x[0], first);
        if (k == 2) cr_expect_eq(x[0], first);
        tg_tape_reset(t);
    }
    semantics_end(t);
}

Test(semantics_draw, a_permutation_has_everything_once)
{
    tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);
    tg_tensor *p = tg_randperm(t, 100);
    EXPECT(tg_count_unique(t, p), 100);
    EXPECT(tg_max(t, p, TG_ALL_AXES, false), 99);
    EXPECT(tg_min(t, p, TG_ALL_AXES, false), 0);
    cr_expect_neq(tg_item(t, tg_sum_all(t, tg_equal(t, p, tg_arange(t, TG_I64, 0, 100, 1)))), 100);
    EXPECT_SHAPE(tg_randperm(t, 0), TG_SHAPE(0));
    EXPECT_ERROR(tg_randperm(t, -1), TG_ESHAPE, "randperm:");
    EXPECT_ERROR(tg_rand(t, TG_I64, TG_SHAPE(2)), TG_EDTYPE, "rand: not defined for dtype i64");
    EXPECT_ERROR(tg_randn(t, TG_F32, TG_SHAPE(-2)), TG_ESHAPE, "randn:");
    semantics_end(t);
}

Test(semantics_draw, a_hard_choice_has_the_gradient_of_the_soft_one)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *w = INPUT(TG_SHAPE(3), 1, 3, 7);
        tg_tensor *gradient[2];
        for (int hard = 0; hard < 2; hard++) {
            tg_tape_reset(t);
            tg_tape_set_step(t, 0);
            x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
            w = INPUT(TG_SHAPE(3), 1, 3, 7);
            tg_tensor *y = tg_gumbel_softmax(t, x, 1, hard != 0, 1);
            EXPECT(tg_sum(t, y, TG_AXES(1), false), 1, 1);
            gradient[hard] = GRAD(tg_mul(t, y, w), x);
            static double soft[6];
            const int64_t n = tg_tensor_count(gradient[hard]);
            const void *data = tg_data(t, gradient[hard]);
            for (int64_t i = 0; data && i < n; i++) {
                const double is = semantics_element(dtype, data, i);
                if (hard) cr_expect_eq(is, soft[i]);
                else soft[i] = is;
            }
        }
        EXPECT_ERROR(tg_gumbel_softmax(t, x, 0, false, 1), TG_EVALUE,
                     "gumbel_softmax: a temperature of 0");
    }
}
