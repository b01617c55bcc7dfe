/* Timing a function: what is reported, and what is refused; not how long anything takes. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <tapegrad/timing.h>

#include "allocator.h"

enum { ROWS = 4, COLUMNS = 8 };
static const float data[ROWS * COLUMNS] = {1, 2, 3};
static const int64_t indices[2] = {1, 0};

static int calls;

static tg_tensor *softmax(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    calls++;
    (void)n, (void)user;
    return tg_softmax(t, x[0], -1);
}
static tg_tensor *a_thousand(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    tg_tensor *y = x[0];
    for (int k = 0; k < 1000; k++) y = tg_softmax(t, y, -1);
    return y;
}
static tg_tensor *copied(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    return tg_scale(t, x[0], *(const double *)user);
}
static tg_tensor *wrong(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_matmul(t, x[0], x[0]);
}
static tg_tensor *nothing(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)t, (void)x, (void)n, (void)user;
    return NULL;
}
static tg_tensor *sum(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_sum_all(t, x[0]);
}
static tg_tensor *fails_late(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return tg_embedding(t, x[0], x[1]);
}

static tg_time_input matrix(void)
{
    return (tg_time_input){TG_F32, TG_SHAPE(ROWS, COLUMNS), data, false};
}
static tg_time_options quick(void)
{
    return (tg_time_options){.size = sizeof(tg_time_options), .rounds = 3, .round_seconds = 1e-6};
}
static bool measured(const tg_timing *t) { return t->seconds > 0 && t->low > 0; }

Test(timing, forward_and_both_beside_another_function)
{
    tg_time_input x = matrix();
    tg_time_options o = quick();
    double two = 2;
    o.against = copied;
    o.against_user = &two;
    o.limit_rounds = 1;
    tg_time_report r;
    calls = 0;
    cr_assert_eq(tg_time(softmax, 1, &x, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect_eq(calls, 2, "recorded once forward, once with gradients");
    cr_expect(measured(&r.forward) && measured(&r.both) && measured(&r.against_forward) &&
              measured(&r.against_both));
    cr_expect(r.forward.low <= r.forward.seconds);
    cr_expect(r.ratio_forward > 0 && r.ratio_both > 0);
    const double bytes = sizeof data;
    cr_expect_eq(r.against_forward.bytes, 2 * bytes + sizeof(float), "x, the factor, y: %g",
                 r.against_forward.bytes);
    cr_expect_eq(r.against_forward.flops, ROWS * COLUMNS);
    cr_expect(r.both.bytes > r.forward.bytes && r.forward.bytes >= 2 * bytes);
    cr_expect(r.forward.limit > 0 && isfinite(r.both.limit));
    cr_expect_str_empty(r.message);
}

/* A thousand times the work: which of the two is slower is no matter of luck. */
Test(timing, a_ratio_above_one_means_that_the_other_is_slower)
{
    tg_time_input x = matrix();
    tg_time_options o = quick();
    tg_time_report r;
    o.against = a_thousand;
    cr_assert_eq(tg_time(softmax, 1, &x, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect(r.ratio_forward > 10 && r.ratio_both > 10, "%g, %g", r.ratio_forward, r.ratio_both);
}

Test(timing, what_is_not_there_is_not_a_number)
{
    tg_time_input x = matrix(), i = {TG_I64, TG_SHAPE(2), indices, false};
    tg_time_options o = quick();
    tg_time_report r;
    o.forward_only = true;
    cr_assert_eq(tg_time(softmax, 1, &x, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect(measured(&r.forward) && isnan(r.both.seconds) && isnan(r.ratio_forward) &&
              isnan(r.forward.limit) && r.forward.bytes > 0);
    o = quick();
    cr_assert_eq(tg_time(sum, 1, &i, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect(measured(&r.forward) && isnan(r.both.seconds));
    x.constant = true;
    cr_assert_eq(tg_time(softmax, 1, &x, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect(measured(&r.forward) && isnan(r.both.seconds));
    o.threads = 2;
    x.constant = false;
    cr_assert_eq(tg_time(softmax, 1, &x, NULL, &o, &r), TG_OK, "%s", r.message);
    cr_expect(measured(&r.forward) && measured(&r.both));
    cr_expect_eq(tg_time(softmax, 1, &x, NULL, &o, NULL), TG_OK);
}

Test(timing, failures_are_told)
{
    tg_time_input x[2] = {matrix(), {TG_I64, TG_SHAPE(2), (const int64_t[]){1, 9}, false}};
    tg_time_options o = quick();
    tg_time_report r;
    cr_expect_eq(tg_time(wrong, 1, x, NULL, &o, &r), TG_ESHAPE);
    cr_expect(strstr(r.message, "test_timing.c") && strstr(r.message, "matmul"), "%s", r.message);
    cr_expect_eq(tg_time(fails_late, 2, x, NULL, &o, &r), TG_EINDEX);
    cr_expect(strstr(r.message, "9"), "%s", r.message);
    cr_expect_eq(tg_time(nothing, 1, x, NULL, &o, &r), TG_ENULL);
    cr_expect_eq(tg_time(NULL, 1, x, NULL, &o, &r), TG_ENULL);
    cr_expect_eq(tg_time(softmax, 1, NULL, NULL, &o, &r), TG_ENULL);
    cr_expect_eq(tg_time(softmax, -1, x, NULL, &o, &r), TG_ENULL);
    o.size = 0;
    cr_expect_eq(tg_time(softmax, 1, x, NULL, &o, &r), TG_EVALUE);
    cr_expect(strstr(r.message, "sizeof(tg_time_options)"), "%s", r.message);
    o = quick(), o.round_seconds = NAN;
    cr_expect_eq(tg_time(softmax, 1, x, NULL, &o, &r), TG_EVALUE);
    o = quick(), o.rounds = 1001;
    cr_expect_eq(tg_time(softmax, 1, x, NULL, &o, &r), TG_EVALUE);
    cr_expect(isnan(r.forward.seconds));
}

Test(timing, memory_may_end_at_any_request)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    const tg_time_input x = matrix();
    tg_time_options o = quick();
    tg_time_report r = {.status = TG_ENOMEM};
    o.allocator = &a;
    int failed = 0;
    for (; r.status == TG_ENOMEM && failed < 1000; failed++) {
        m.fail_at = m.requests + failed + 1;
        tg_time(softmax, 1, &x, NULL, &o, &r);
        cr_expect(r.status == TG_OK || *r.message);
        cr_assert(m.blocks == 0 && m.wrong == 0, "at request %d", failed);
    }
    cr_expect(r.status == TG_OK && failed > 10, "%s after %d", r.message, failed);
}
