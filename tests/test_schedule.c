#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

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

Test(schedule, milestones_and_a_constant_change_at_their_steps)
{
    const int64_t milestones[] = {2, 5, 5, 9};
    const double expected[] = {1, 1, 0.5, 0.5, 0.5, 0.125, 0.125, 0.125, 0.125, 0.0625, 0.0625};
    for (int64_t step = 0; step <= 10; step++) {
        cr_assert_eq(tg_schedule_multistep(step, 4, milestones, 0.5), expected[step]);
        cr_assert_eq(tg_schedule_constant(step, 5, 0.25), step < 5 ? 0.25 : 1);
    }
    cr_assert_eq(tg_schedule_multistep(7, 0, NULL, 0.5), 1);
}

Test(schedule, polynomial_and_linear_end_at_their_total)
{
    for (int64_t step = 0; step <= 15; step++) {
        const double left = step < 10 ? 1 - (double)step / 10 : 0;
        cr_assert_float_eq(tg_schedule_polynomial(step, 10, 2), left * left, 1e-15);
        cr_assert_float_eq(tg_schedule_linear(step, 10, 0.25, 1), 1 - 0.75 * left, 1e-15);
    }
}

/* PyTorch computes each from the one before: chainable, without the closed form. */
Test(schedule, annealing_is_pytorchs_recursion_past_its_end)
{
    const double pi = acos(-1), floor = 0.1;
    double lr = 1;
    for (int64_t step = 1; step < 55; step++) {
        const double t = (double)step;
        if ((step - 1 - 20) % 40 == 0) lr += (1 - floor) * (1 - cos(pi / 20)) / 2;
        else lr = (1 + cos(pi * t / 20)) / (1 + cos(pi * (t - 1) / 20)) * (lr - floor) + floor;
        cr_assert_float_eq(tg_schedule_cosine_annealing(step, 20, floor), lr, 1e-9, "step %d",
                           (int)step);
    }
}

Test(schedule, restarts_begin_again_after_longer_and_longer)
{
    const int64_t begins[] = {0, 4, 12, 28, 60};
    for (int k = 0; k < 4; k++)
        for (int64_t step = begins[k]; step < begins[k + 1]; step++)
            cr_assert_float_eq(tg_schedule_cosine_restarts(step, 4, 2, 0.2),
                               tg_schedule_cosine(step - begins[k], 4 << k, 0.2), 1e-15);
    for (int64_t step = 0; step < 30; step++)
        cr_assert_eq(tg_schedule_cosine_restarts(step, 7, 1, 0),
                     tg_schedule_cosine(step % 7, 7, 0));
    cr_assert(tg_schedule_cosine_restarts(INT64_MAX, 1, 2, 0) <= 1);
}

/* The loop over phases of PyTorch's OneCycleLR. */
static double one_cycle(int64_t step, int64_t total, const tg_one_cycle_options *o)
{
    const double pi = acos(-1), rise = o->rise > 0 ? o->rise : 0.3,
                 start = o->start > 0 ? o->start : 1.0 / 25,
                 low = o->end > 0 ? o->end : start / 1e4;
    const double ends[] = {rise * (double)total - 1,
                           o->three_phases ? 2 * rise * (double)total - 2 : (double)total - 1,
                           (double)total - 1};
    const double from[] = {start, 1, start}, to[] = {1, o->three_phases ? start : low, low};
    double begin = 0;
    const int phases = o->three_phases ? 3 : 2;
    for (int k = 0; k < phases; k++) {
        if ((double)step <= ends[k] || k == phases - 1) {
            const double part = ((double)step - begin) / (ends[k] - begin);
            return o->straight ? from[k] + (to[k] - from[k]) * part
                               : to[k] + (from[k] - to[k]) / 2 * (1 + cos(pi * part));
        }
        begin = ends[k];
    }
    return NAN;
}

Test(schedule, one_cycle_goes_up_and_far_down)
{
    const tg_one_cycle_options options[] = {
        {.size = sizeof(tg_one_cycle_options)},
        {.size = sizeof(tg_one_cycle_options), .straight = true, .rise = 0.4, .end = 0.01},
        {.size = sizeof(tg_one_cycle_options), .three_phases = true, .start = 0.1},
        {.size = sizeof(tg_one_cycle_options),
         .three_phases = true,
         .straight = true,
         .rise = 0.25}};
    for (int k = 0; k < 4; k++)
        for (int64_t step = 0; step < 40; step++)
            cr_assert_float_eq(tg_schedule_one_cycle(step, 40, &options[k]),
                               one_cycle(step, 40, &options[k]), 1e-14, "%d, step %d", k,
                               (int)step);
    cr_assert_float_eq(tg_schedule_one_cycle(100, 40, &options[1]), 0.01, 1e-15,
                       "it stays at its end");
    cr_assert_eq(tg_schedule_one_cycle(5, 40, NULL), tg_schedule_one_cycle(5, 40, &options[0]));
}

/* PyTorch's CyclicLR, with its names. */
static double cyclic(int64_t it, const tg_cyclic_options *o)
{
    const double up = (double)o->up, total_size = up + (double)(o->down ? o->down : o->up),
                 step_ratio = up / total_size, cycle = floor(1 + (double)it / total_size),
                 x = 1 + (double)it / total_size - cycle,
                 scale_factor = x <= step_ratio ? x / step_ratio : (x - 1) / (step_ratio - 1),
                 scale = (o->halve ? 1 / pow(2, cycle - 1) : 1) *
                         (o->gamma > 0 ? pow(o->gamma, (double)it) : 1);
    return o->low + (1 - o->low) * scale_factor * scale;
}

Test(schedule, cycles_are_triangles)
{
    const tg_cyclic_options options[] = {
        {.size = sizeof(tg_cyclic_options), .up = 5},
        {.size = sizeof(tg_cyclic_options), .up = 5, .down = 3, .low = 0.2, .halve = true},
        {.size = sizeof(tg_cyclic_options), .up = 2, .down = 9, .low = 0.5, .gamma = 0.97}};
    for (int k = 0; k < 3; k++)
        for (int64_t step = 0; step < 60; step++)
            cr_assert_float_eq(tg_schedule_cyclic(step, &options[k]), cyclic(step, &options[k]),
                               1e-14, "%d, step %d", k, (int)step);
    cr_assert_eq(tg_schedule_cyclic(2000, NULL), 1);
}

static double warm_up(int64_t step, void *calls)
{
    ++*(int *)calls;
    return tg_schedule_linear(step, 4, 0.5, 1);
}
static double own(int64_t step, void *user) { return (void)user, 1 / (1 + (double)step); }

Test(schedule, a_sequence_hands_on_its_steps)
{
    int calls = 0;
    const tg_schedule_part parts[] = {{0, warm_up, &calls}, {4, own, NULL}};
    const double expected[] = {0.5, 0.625, 0.75, 0.875, 1, 0.5, 1.0 / 3, 0.25};
    for (int64_t step = 0; step < 8; step++) {
        const double factor = tg_schedule_sequence(step, 2, parts);
        cr_assert_float_eq(factor, expected[step], 1e-15);
    }
    cr_assert_eq(calls, 4);
    const tg_schedule_part falling[] = {{0, warm_up, &calls}, {0, own, NULL}},
                           late[] = {{1, own, NULL}}, none[] = {{0, NULL, NULL}};
    cr_assert(isnan(tg_schedule_sequence(0, 2, falling)));
    cr_assert(isnan(tg_schedule_sequence(3, 1, late)));
    cr_assert(isnan(tg_schedule_sequence(0, 1, none)));
    cr_assert(isnan(tg_schedule_sequence(0, 0, parts)));
    cr_assert(isnan(tg_schedule_sequence(-1, 2, parts)));
}

/* By hand, from the loop of PyTorch's ReduceLROnPlateau. */
Test(schedule, a_plateau_lowers_after_its_patience)
{
    tg_plateau p = {.factor = 0.5, .patience = 1, .threshold = 0.1, .cooldown = 2, .floor = 0.2};
    const struct {
        double metric, factor;
    } steps[] = {
        {10, 1},    {9.5, 1},    {9.2, 0.5},           /* two that aren't better by a tenth */
        {9.1, 0.5}, {9.1, 0.5},                        /* cooling */
        {9.1, 0.5}, {8, 0.5},                          /* better in time */
        {8, 0.5},   {NAN, 0.25},                       /* NaN is no better */
        {1, 0.25},  {1, 0.25},   {1, 0.25},  {1, 0.2}, /* to the floor */
        {1, 0.2},   {1, 0.2},    {1, 0.2},   {1, 0.2},
    };
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        const double factor = tg_schedule_plateau(&p, steps[k].metric);
        cr_assert_float_eq(factor, steps[k].factor, 1e-15, "call %zu gave %g", k, factor);
    }
    tg_plateau rising = {.larger = true, .absolute = true, .threshold = 0.1, .patience = -1};
    const double first = tg_schedule_plateau(&rising, 0.5),
                 higher = tg_schedule_plateau(&rising, 0.61),
                 almost = tg_schedule_plateau(&rising, 0.7);
    cr_assert_eq(first, 1);
    cr_assert_eq(higher, 1);
    cr_assert_eq(almost, 0.1);
    cr_assert(isnan(tg_schedule_plateau(NULL, 1)));
    cr_assert(isnan(tg_schedule_plateau(&(tg_plateau){.factor = 1}, 1)));
    cr_assert(isnan(tg_schedule_plateau(&(tg_plateau){.cooldown = -1}, 1)));
    cr_assert(isnan(tg_schedule_plateau(&(tg_plateau){.floor = NAN}, 1)));
    cr_assert(isnan(tg_schedule_plateau(&(tg_plateau){.threshold = -1}, 1)));
}

/* ---------------------------------------------------------------- from text */

static double read(const char *text, int64_t step)
{
    tg_schedule *s = tg_schedule_parse(text, 200, 20, NULL);
    cr_assert_eq(tg_schedule_status(s), TG_OK, "%s", tg_schedule_message(s));
    const double y = tg_schedule_factor(s, step);
    tg_schedule_free(s);
    return y;
}

Test(schedule, each_is_read_from_text)
{
    const int64_t at[] = {40, 150};
    for (int64_t step = 0; step < 200; step += 7) {
        cr_assert_eq(read("constant", step), 1);
        cr_assert_eq(read("constant factor=0.5", step), 0.5);
        cr_assert_eq(read("step every=1epoch", step), tg_schedule_step(step, 20, 0.1));
        cr_assert_eq(read("multistep at=2epochs:150, gamma=0.3", step),
                     tg_schedule_multistep(step, 2, at, 0.3));
        cr_assert_eq(read("exponential gamma=0.9", step), tg_schedule_exponential(step, 0.9));
        cr_assert_eq(read("polynomial power=2", step), tg_schedule_polynomial(step, 200, 2));
        cr_assert_eq(read("linear steps=50%", step), tg_schedule_linear(step, 100, 1.0 / 3, 1));
        cr_assert_eq(read("warmup up=10", step), tg_schedule_warmup_linear(step, 10, 200));
        cr_assert_eq(read("cosine floor=0.1", step), tg_schedule_cosine(step, 200, 0.1));
        cr_assert_eq(read("annealing steps=30", step), tg_schedule_cosine_annealing(step, 30, 0));
        cr_assert_eq(read("restarts first=1epoch growth=2", step),
                     tg_schedule_cosine_restarts(step, 20, 2, 0));
        cr_assert_float_eq(read("onecycle", step), tg_schedule_one_cycle(step, 200, NULL), 1e-15);
        const tg_one_cycle_options three = {
            .size = sizeof three, .straight = true, .three_phases = true};
        cr_assert_float_eq(read("onecycle straight three", step),
                           tg_schedule_one_cycle(step, 200, &three), 1e-15);
        const tg_cyclic_options halved = {
            .size = sizeof halved, .up = 8, .low = 0.2, .halve = true};
        cr_assert_eq(read("cyclic up=8 low=0.2 halve=1", step), tg_schedule_cyclic(step, &halved));
        cr_assert_eq(read("linear start=0.1 steps=10%; cosine", step),
                     step < 20 ? tg_schedule_linear(step, 20, 0.1, 1)
                               : tg_schedule_cosine(step - 20, 180, 0));
        cr_assert_eq(
            read("constant factor=0.1 for=30 ; linear for=10 ;exponential gamma=0.5", step),
            step < 30   ? 0.1
            : step < 40 ? tg_schedule_linear(step - 30, 10, 1.0 / 3, 1)
                        : tg_schedule_exponential(step - 40, 0.5));
    }
    int n;
    const tg_schedule_info *const *list = tg_schedules_list(&n);
    cr_assert_eq(n, 12);
    cr_assert_str_eq(list[0]->name, "constant");
    cr_assert_not_null(tg_schedules_list(NULL));
}

static void not_read(const char *text, const char *what)
{
    tg_schedule *s = tg_schedule_parse(text, 200, 20, NULL);
    cr_expect_eq(tg_schedule_status(s), TG_EVALUE, "%s", text);
    cr_expect(strstr(tg_schedule_message(s), what), "'%s' instead of '%s'", tg_schedule_message(s),
              what);
    cr_expect(isnan(tg_schedule_factor(s, 0)));
    tg_schedule_free(s);
}

Test(schedule, text_that_is_not_understood_is_refused)
{
    not_read(NULL, "'' is none of constant, step");
    not_read("cos", "'cos' is none of");
    not_read("step", "step needs every=");
    not_read("step every=0", "every must be a number of steps from 1");
    not_read("step every", "every of step needs a value");
    not_read("step every=10days", "every must be");
    not_read("exponential gamma=nan", "gamma must be a number from 0");
    not_read("exponential gamma=-1", "gamma must be a number from 0");
    not_read("cosine flor=1", "cosine has no setting 'flor'");
    not_read("cosine =1", "'=' without a setting");
    not_read("warmup up=200", "the settings of warmup don't fit");
    not_read("multistep at=1:2:3:4:5:6:7:8:9:10:11:12:13:14:15", "more than 14 numbers for at");
    not_read("exponential gamma=1; cosine", "exponential needs for=");
    not_read("cosine; cosine", "cosine needs steps= or for=");
    not_read("cosine steps=200; cosine", "nothing is left behind cosine");
    not_read("constant for=1;", "'' is none of");
    not_read("constant for=1;constant for=1;constant for=1;constant for=1;constant for=1;"
             "constant for=1;constant for=1;constant for=1;constant",
             "more than 8 schedules");
    tg_schedule *s = tg_schedule_parse("cosine", 0, 1, NULL);
    cr_expect_eq(tg_schedule_status(s), TG_EVALUE);
    tg_schedule_free(s);
    cr_expect_eq(tg_schedule_status(NULL), TG_ENOMEM);
    cr_expect(isnan(tg_schedule_factor(NULL, 0)));
    cr_expect(strlen(tg_schedule_message(NULL)) > 0);
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
    const int64_t one = 1;
    cr_assert(isnan(tg_schedule_constant(-1, 5, 1)));
    cr_assert(isnan(tg_schedule_constant(0, -5, 1)));
    cr_assert(isnan(tg_schedule_constant(0, 5, NAN)));
    cr_assert(isnan(tg_schedule_multistep(-1, 1, &one, 1)));
    cr_assert(isnan(tg_schedule_multistep(0, 1, NULL, 1)));
    cr_assert(isnan(tg_schedule_multistep(0, -1, &one, 1)));
    cr_assert(isnan(tg_schedule_polynomial(0, 0, 1)));
    cr_assert(isnan(tg_schedule_polynomial(0, 1, -1)));
    cr_assert(isnan(tg_schedule_linear(0, 0, 1, 1)));
    cr_assert(isnan(tg_schedule_linear(0, 1, -1, 1)));
    cr_assert(isnan(tg_schedule_cosine_annealing(0, 0, 0)));
    cr_assert(isnan(tg_schedule_cosine_restarts(0, 0, 1, 0)));
    cr_assert(isnan(tg_schedule_cosine_restarts(0, 1, 0, 0)));
    cr_assert(isnan(tg_schedule_one_cycle(0, 0, NULL)));
    cr_assert(isnan(tg_schedule_one_cycle(0, 5, &(tg_one_cycle_options){.rise = 0.5})));
    const tg_one_cycle_options steep = {.size = sizeof steep, .rise = 1};
    cr_assert(isnan(tg_schedule_one_cycle(0, 5, &steep)));
    const tg_cyclic_options high = {.size = sizeof high, .low = 2},
                            back = {.size = sizeof back, .up = -2},
                            wild = {.size = sizeof wild, .gamma = -2};
    cr_assert(isnan(tg_schedule_cyclic(0, &high)));
    cr_assert(isnan(tg_schedule_cyclic(0, &back)));
    cr_assert(isnan(tg_schedule_cyclic(0, &wild)));
    cr_assert(isnan(tg_schedule_cyclic(-1, NULL)));
}
