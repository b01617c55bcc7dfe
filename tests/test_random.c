#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include <tapegrad/op.h>

#include "../graph/params.h"

static void philox_gives(uint64_t key, uint64_t step, uint32_t ordinal, uint64_t block,
                         const uint32_t expected[4])
{
    uint32_t got[4];
    tg_philox(key, step, ordinal, block, got);
    for (int k = 0; k < 4; k++)
        cr_assert_eq(got[k], expected[k], "word %d is %08x, not %08x", k, (unsigned)got[k],
                     (unsigned)expected[k]);
}

/* The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10). The
 * third's counter and key are digits of pi: its fourth counter word 03707344 is block's high half
 * 0370 above the step's high half 7344. */
Test(random, philox_gives_the_published_answers)
{
    philox_gives(0, 0, 0, 0, (const uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    philox_gives(UINT64_MAX, UINT64_C(0x0000ffffffffffff), UINT32_MAX, UINT64_C(0x0000ffffffffffff),
                 (const uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    philox_gives(UINT64_C(0x299f31d0a4093822), UINT64_C(0x0000734413198a2e), 0x85a308d3,
                 UINT64_C(0x00000370243f6a88),
                 (const uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

Test(random, every_part_of_the_counter_matters)
{
    const uint64_t high = UINT64_C(1) << 32;
    uint32_t base[4], other[6][4];
    tg_philox(7, 1, 2, 3, base);
    tg_philox(8, 1, 2, 3, other[0]);
    tg_philox(7 + high, 1, 2, 3, other[1]);
    tg_philox(7, 1 + high, 2, 3, other[2]);
    tg_philox(7, 2, 2, 3, other[3]);
    tg_philox(7, 1, 3, 3, other[4]);
    tg_philox(7, 1, 2, 3 + high, other[5]);
    for (int k = 0; k < 6; k++) {
        int same = 0;
        for (int w = 0; w < 4; w++) same += other[k][w] == base[w];
        cr_assert_eq(same, 0, "variation %d", k);
    }
}

Test(random, keys_differ_by_seed_and_stream)
{
    cr_assert_eq(tg_random_key(3, 4), tg_random_key(3, 4));
    cr_assert_neq(tg_random_key(3, 4), tg_random_key(4, 3));
    cr_assert_neq(tg_random_key(0, 0), tg_random_key(0, 1));
    cr_assert_neq(tg_random_key(0, 0), tg_random_key(1, 0));
}

enum { N = 200000 };

typedef struct moments {
    double mean, variance, skewness, kurtosis, lag; /* lag: correlation of neighbours */
} moments;

static moments moments_of(const double *x, int n)
{
    moments m = {0, 0, 0, 0, 0};
    for (int i = 0; i < n; i++) m.mean += x[i] / n;
    for (int i = 0; i < n; i++) {
        const double d = x[i] - m.mean;
        m.variance += d * d / n;
        m.skewness += d * d * d / n;
        m.kurtosis += d * d * d * d / n;
        if (i) m.lag += d * (x[i - 1] - m.mean) / n;
    }
    m.skewness /= pow(m.variance, 1.5);
    m.kurtosis /= m.variance * m.variance;
    m.lag /= m.variance;
    return m;
}

/* The bounds are five standard deviations of each estimator for N = 200000 samples: mean
 * sqrt(1/12/N) = 6.5e-4, variance sqrt(1/180/N) = 1.7e-4. */
Test(random, uniform_numbers_fill_the_unit_interval_evenly)
{
    double *u = malloc(N * sizeof *u);
    int bins[16] = {0};
    tg_random_uniform(tg_random_key(1, 2), N, u);
    for (int i = 0; i < N; i++) {
        cr_assert(u[i] >= 0 && u[i] < 1);
        bins[(int)(u[i] * 16)]++;
    }
    const moments m = moments_of(u, N);
    cr_assert_float_eq(m.mean, 0.5, 3.3e-3);
    cr_assert_float_eq(m.variance, 1. / 12, 8.4e-4);
    cr_assert_float_eq(m.lag, 0, 5 / sqrt(N));
    double chi = 0;
    for (int k = 0; k < 16; k++) chi += (bins[k] - N / 16.) * (bins[k] - N / 16.) / (N / 16.);
    cr_assert(chi < 44.3, "chi squared %g is beyond the 0.0001 quantile of 15 degrees of freedom",
              chi);
    free(u);
}

/* Five standard deviations: mean sqrt(1/N), variance sqrt(2/N), skewness sqrt(6/N), kurtosis
 * sqrt(24/N). */
Test(random, normal_numbers_have_the_moments_of_a_normal_distribution)
{
    double *z = malloc(N * sizeof *z);
    tg_random_normal(tg_random_key(5, 6), N, z);
    const moments m = moments_of(z, N);
    cr_assert_float_eq(m.mean, 0, 5 * sqrt(1. / N));
    cr_assert_float_eq(m.variance, 1, 5 * sqrt(2. / N));
    cr_assert_float_eq(m.skewness, 0, 5 * sqrt(6. / N));
    cr_assert_float_eq(m.kurtosis, 3, 5 * sqrt(24. / N));
    cr_assert_float_eq(m.lag, 0, 5 / sqrt(N));
    double beyond_two = 0;
    for (int i = 0; i < N; i++) beyond_two += fabs(z[i]) > 2;
    cr_assert_float_eq(beyond_two / N, 0.0455, 5 * sqrt(0.0455 / N));
    free(z);
}

Test(random, an_element_depends_on_its_index_alone)
{
    double whole[101], part[101];
    const uint64_t key = tg_random_key(9, 9);
    for (int normal = 0; normal < 2; normal++) {
        (normal ? tg_random_normal : tg_random_uniform)(key, 101, whole);
        for (int n = 0; n <= 101; n += 7) {
            (normal ? tg_random_normal : tg_random_uniform)(key, n, part);
            for (int i = 0; i < n; i++) cr_assert_eq(part[i], whole[i]);
        }
        for (int first = 0; first < 101; first += 6) {
            (normal ? tg_random_normal_from : tg_random_uniform_from)(key, first, 101 - first,
                                                                      part);
            for (int i = first; i < 101; i++) cr_assert_eq(part[i - first], whole[i]);
        }
    }
}

/* Recorded from the full build: every build draws the same numbers, wherever its hash function
 * comes from. */
Test(random, initial_values_are_the_recorded_ones)
{
    static const float uniform[4] = {-0x1.f9fb32p-1F, 0x1.029838p-1F, 0x1.2d8758p-3F,
                                     0x1.add0cp-1F},
                       normal[4] = {-0x1.311276p-7F, 0x1.4df054p-2F, 0x1.02a644p+0F,
                                    -0x1.4e63e8p-3F};
    tg_params *ps =
        tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = 42});
    tg_tensor *u =
        tg_param_new(ps, "u", TG_F32, TG_SHAPE(4), (tg_init){.kind = TG_UNIFORM, .a = -1, .b = 1});
    tg_tensor *n = tg_param_new(ps, "n", TG_F32, TG_SHAPE(4), (tg_init){.kind = TG_NORMAL, .b = 1});
    cr_assert_eq(tg_params_status(ps), TG_OK, "%s", tg_params_message(ps));
    for (int k = 0; k < 4; k++) {
        cr_expect_eq(((const float *)tg_param_data(u))[k], uniform[k]);
        cr_expect_eq(((const float *)tg_param_data(n))[k], normal[k]);
    }
    tg_params_free(ps);
}
