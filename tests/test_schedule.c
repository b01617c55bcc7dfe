#include <criterion/criterion.h>
#include <math.h>

#include <tapegrad/optim.h>

Test(schedule, steps_fall_every_so_often)
{
    double expected = 1;
    for (int64_t step = 0; step < 100; step++) {
        if (step && step % 30 == 0) expected *= 0.1;
        cr_assert_float_eq(tg_schedule_step(step, 30, 0.1), expected, 1e-15);
    }
}

Test(schedule, the_exponential_falls_with_every_step)
{
    double expected = 1;
    for (int64_t step = 0; step < 50; step++, expected *= 0.9)
        cr_assert_float_eq(tg_schedule_exponential(step, 0.9), expected, 1e-14);
    cr_assert_eq(tg_schedule_exponential(0, 0), 1);
    cr_assert_eq(tg_schedule_exponential(3, 0), 0);
}

/* cos at multiples of pi / 6 is known in closed form. */
Test(schedule, the_cosine_falls_from_one_to_its_floor)
{
    const double cosines[] = {1, sqrt(3) / 2, 0.5, 0, -0.5, -sqrt(3) / 2, -1};
    for (int64_t k = 0; k <= 6; k++) {
        cr_assert_float_eq(tg_schedule_cosine(10 * k, 60, 0), (1 + cosines[k]) / 2, 1e-15);
        cr_assert_float_eq(tg_schedule_cosine(10 * k, 60, 0.2), 0.2 + 0.8 * (1 + cosines[k]) / 2,
                           1e-15);
    }
    cr_assert_eq(tg_schedule_cosine(1000, 60, 0.2), 0.2);
}

Test(schedule, the_warmup_rises_then_falls)
{
    const double expected[] = {0,     0.25, 0.5,   0.75, 1,     0.875, 0.75,
                               0.625, 0.5,  0.375, 0.25, 0.125, 0,     0};
    for (int64_t step = 0; step < 14; step++)
        cr_assert_float_eq(tg_schedule_warmup_linear(step, 4, 12), expected[step], 1e-15);
    cr_assert_eq(tg_schedule_warmup_linear(0, 0, 10), 1, "without a warmup it starts at 1");
}

Test(schedule, arguments_out_of_range_give_nan)
{
    cr_assert(isnan(tg_schedule_step(-1, 30, 0.1)));
    cr_assert(isnan(tg_schedule_step(0, 0, 0.1)));
    cr_assert(isnan(tg_schedule_step(0, 1, -0.1)));
    cr_assert(isnan(tg_schedule_step(0, 1, NAN)));
    cr_assert(isnan(tg_schedule_exponential(0, INFINITY)));
    cr_assert(isnan(tg_schedule_cosine(-1, 5, 0)));
    cr_assert(isnan(tg_schedule_cosine(0, 0, 0)));
    cr_assert(isnan(tg_schedule_cosine(0, 5, -1)));
    cr_assert(isnan(tg_schedule_warmup_linear(-1, 2, 5)));
    cr_assert(isnan(tg_schedule_warmup_linear(0, -1, 5)));
    cr_assert(isnan(tg_schedule_warmup_linear(0, 5, 5)));
}
