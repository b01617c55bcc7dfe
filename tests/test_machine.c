/* What the machine can do: measured, never timed here. */
#include "allocator.h"

#include <criterion/criterion.h>

#include "../graph/machine.h"

static bool good(double rate) { return rate > 1e6 && rate < 1e18; }

Test(limits, threads_are_measured_and_joined)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    for (int threads = 1; threads <= 2; threads++) {
        tg_limits l;
        cr_assert_eq(tg_limits_measure(&a, threads, 1, &l), TG_OK);
        cr_expect(l.threads == threads && good(l.fma_f32) && good(l.fma_f64));
        for (int i = 0; i < TG_FOOTPRINTS; i++) cr_expect(good(l.bandwidth[i]));
    }
    cr_expect(good(tg_limits_arithmetic(&a, 0, TG_F64, 1)));
    cr_expect_eq(m.blocks, 0);
}

Test(limits, the_slower_of_arithmetic_and_memory_decides)
{
    tg_limits l = {.threads = 1, .fma_f32 = 100};
    for (int i = 0; i < TG_FOOTPRINTS; i++) l.bandwidth[i] = 10 + i;
    cr_expect_eq(tg_limits_seconds(&l, 1000, 0, 0), 10);
    cr_expect_eq(tg_limits_seconds(&l, 0, 1000, 1), 100);
    cr_expect_eq(tg_limits_seconds(&l, 1000, 1100, 32768), 100);
    cr_expect_float_eq(tg_limits_seconds(&l, 0, 24 * 105, 16384 * 1.4142135623730951), 240, 1e-9);
    cr_expect_eq(tg_limits_seconds(&l, 0, 2400, 1e12), 100);
}

Test(limits, refused)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    tg_limits l;
    cr_expect_eq(tg_limits_measure(&a, 0, 1, &l), TG_EVALUE);
    cr_expect_eq(tg_limits_measure(&a, 1, 0, &l), TG_EVALUE);
    cr_expect_eq(tg_limits_arithmetic(&a, 99, TG_F32, 1), 0);
    for (int k = 1; k <= 2; k++) {
        m.fail_at = m.requests + k;
        cr_expect_eq(tg_limits_measure(&a, 1, 1, &l), TG_ENOMEM);
    }
    cr_expect_eq(m.blocks, 0);
}
