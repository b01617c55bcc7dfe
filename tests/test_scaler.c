/* Scaling of features. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#include <tapegrad/models.h>

#include "allocator.h"

Test(scaler, standardises_and_comes_back)
{
    /* f32 would lose the differences: the rounding comes last. */
    const double x[] = {1700000000, 1, 1700000001, 5, 1700000002, 1, 1700000003, 5};
    const float expected[] = {-1.34164079F, -1, -0.447213595F, 1, 0.447213595F, -1, 1.34164079F, 1};
    float y[8];
    double back[8];
    tg_scaler *s = tg_scaler_new(TG_SCALING_STANDARD, 2, NULL);
    cr_assert_null(tg_scaler_shift(s));
    cr_assert_eq(tg_scaler_learn(s, 4, TG_F64, x), TG_OK);
    cr_assert_eq(tg_scaler_apply(s, 4, TG_F64, x, TG_F32, y), TG_OK);
    cr_assert_eq(tg_scaler_undo(s, 4, TG_F32, y, TG_F64, back), TG_OK);
    for (int k = 0; k < 8; k++) {
        cr_expect_float_eq(y[k], expected[k], 1e-7);
        cr_expect_float_eq(back[k], x[k], 1e-6);
    }
    cr_expect_eq(tg_scaler_shift(s)[0], 1700000001.5);
    cr_expect_eq(tg_scaler_divisor(s)[1], 2);
    tg_scaler_free(s);
}

Test(scaler, takes_a_range_to_0_and_1)
{
    float x[] = {-2, 7, 0, 7, 6, 7};
    const float expected[] = {0, 0, 0.25F, 0, 1, 0};
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_REGRESSION, 3, 2, x, (const float[]){1, 2, 3});
    tg_scaler *s = tg_scaler_new(TG_SCALING_MIN_MAX, 2, NULL),
              *again = tg_scaler_new(TG_SCALING_MIN_MAX, 2, NULL);
    cr_assert_eq(tg_scaler_learn_dataset(s, d), TG_OK, "%s", tg_scaler_message(s));
    cr_assert_eq(tg_scaler_set(again, tg_scaler_shift(s), tg_scaler_divisor(s)), TG_OK);
    cr_assert_eq(tg_scaler_apply(again, 3, TG_F32, x, TG_F32, x), TG_OK);
    for (int k = 0; k < 6; k++) cr_expect_eq(x[k], expected[k]);
    tg_scaler_free(s), tg_scaler_free(again);
    tg_dataset_free(d);
}

Test(scaler, numbers_of_any_size_have_a_spread)
{
    const double sizes[] = {1e-300, 1e-200, 1, 1e200, 0.5 * DBL_MAX};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const double a = sizes[k], x[] = {-a, a, a, -a};
        double y[4];
        tg_scaler *s = tg_scaler_new(TG_SCALING_STANDARD, 1, NULL);
        cr_assert_eq(tg_scaler_learn(s, 4, TG_F64, x), TG_OK, "%s", tg_scaler_message(s));
        cr_expect_eq(tg_scaler_shift(s)[0], 0);
        cr_expect_eq(tg_scaler_divisor(s)[0], a, "%g", tg_scaler_divisor(s)[0]);
        cr_assert_eq(tg_scaler_apply(s, 4, TG_F64, x, TG_F64, y), TG_OK);
        cr_expect(y[0] == -1 && y[1] == 1, "%g %g", y[0], y[1]);
        tg_scaler_free(s);
    }
}

/* A call on a new scaler of 2 features that has learnt nothing. */
#define REFUSED(status, call)                                       \
    do {                                                            \
        tg_scaler *s = tg_scaler_new(TG_SCALING_STANDARD, 2, NULL); \
        cr_expect_eq(call, status, "%s", tg_scaler_message(s));     \
        cr_expect_eq(tg_scaler_status(s), status);                  \
        cr_expect_eq(tg_scaler_learn(s, 1, TG_F64, x), status);     \
        tg_scaler_free(s);                                          \
    } while (0)

Test(scaler, wrong_calls_are_refused)
{
    const double x[] = {1, NAN};
    double y[2];
    REFUSED(TG_ESHAPE, tg_scaler_learn(s, 0, TG_F64, x));
    REFUSED(TG_ESHAPE, tg_scaler_learn(s, INT64_MAX, TG_F64, x));
    REFUSED(TG_ENULL, tg_scaler_learn(s, 1, TG_F64, NULL));
    REFUSED(TG_EDTYPE, tg_scaler_learn(s, 1, TG_I64, x));
    REFUSED(TG_ENONFINITE, tg_scaler_learn(s, 1, TG_F64, x));
    const double wide[] = {1, -DBL_MAX, 1, DBL_MAX};
    REFUSED(TG_EVALUE, tg_scaler_learn(s, 2, TG_F64, wide));
    REFUSED(TG_ENOMEM, tg_scaler_learn_dataset(s, NULL));
    REFUSED(TG_ESTATE, tg_scaler_apply(s, 1, TG_F64, x, TG_F64, y));
    REFUSED(TG_ESTATE, tg_scaler_undo(s, 1, TG_F64, x, TG_F64, y));
    REFUSED(TG_EVALUE, tg_scaler_set(s, (const double[]){0, 0}, (const double[]){1, 0}));
    REFUSED(TG_EVALUE, tg_scaler_set(s, (const double[]){0, NAN}, (const double[]){1, 1}));
    REFUSED(TG_ENULL, tg_scaler_set(s, NULL, x));
    tg_scaler *none = tg_scaler_new(TG_SCALING_STANDARD, 0, NULL);
    cr_expect_eq(tg_scaler_status(none), TG_ESHAPE);
    tg_scaler_free(none);
    none = tg_scaler_new((tg_scaling_kind)7, 1, NULL);
    cr_expect_eq(tg_scaler_status(none), TG_EVALUE);
    tg_scaler_free(none);
    cr_expect_eq(tg_scaler_learn(NULL, 1, TG_F64, x), TG_ENOMEM);
}

Test(scaler, every_failing_allocation_is_reported_and_nothing_leaks)
{
    for (long long at = 1; at <= 4; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_scaler *s = tg_scaler_new(TG_SCALING_MIN_MAX, 3, &a);
        cr_expect_eq(tg_scaler_status(s), at < 4 ? TG_ENOMEM : TG_OK);
        tg_scaler_free(s);
        cr_expect_eq(memory.blocks, 0);
        cr_expect_eq(memory.wrong, 0);
    }
}
