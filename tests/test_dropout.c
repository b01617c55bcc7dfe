/* dropout: rates, masks, and the identity of masks between passes, threads and builds. */
#include "semantics.h"
#include <tapegrad/op.h>

enum { N = 100003 };

static tg_tape *tape_of(uint64_t seed, uint64_t stream, int threads, bool node_by_node, tg_isa isa)
{
    const tg_tape_options o = {.size = sizeof o,
                               .seed = seed,
                               .stream = stream,
                               .threads = threads,
                               .node_by_node = node_by_node,
                               .isa = isa};
    return tg_tape_new(&o);
}

static tg_tensor *ones(tg_tape *t, tg_dtype dtype, int64_t n)
{
    return tg_expand(t, tg_constant(t, dtype, 1), TG_SHAPE(n));
}

/* Which of N ones survive, as bytes, by the call-th dropout of the recording at this step. */
static void mask_of(uint64_t seed, uint64_t stream, uint64_t step, int call, double p,
                    unsigned char *mask)
{
    tg_tape *t = tape_of(seed, stream, 1, false, TG_ISA_AUTO);
    tg_tape_set_step(t, step);
    tg_tensor *x = ones(t, TG_F32, N), *y = NULL;
    for (int k = 0; k <= call; k++) y = tg_dropout(t, x, p);
    const float *data = tg_data(t, y);
    cr_assert_not_null(data, "%s", tg_tape_message(t));
    for (int i = 0; i < N; i++) mask[i] = data[i] != 0;
    tg_tape_free(t);
}

static int64_t equal_count(const unsigned char *a, const unsigned char *b)
{
    int64_t n = 0;
    for (int i = 0; i < N; i++) n += a[i] == b[i];
    return n;
}

/* six standard deviations of a binomial distribution */
static bool within(int64_t count, double probability)
{
    return fabs((double)count - N * probability) <= 6 * sqrt(N * probability * (1 - probability));
}

Test(dropout, drops_with_probability_p_and_scales_the_rest)
{
    const double rates[] = {.001, .1, .25, .5, .9, .999};
    EACH_BUILD
    {
        for (size_t k = 0; k < sizeof rates / sizeof rates[0]; k++) {
            const double p = rates[k];
            tg_tensor *y = tg_dropout(t, ones(t, dtype, N), p);
            const void *data = tg_data(t, y);
            cr_assert_not_null(data, "%s", tg_tape_message(t));
            int64_t dropped = 0, by_place[4] = {0};
            for (int64_t i = 0; i < N; i++) {
                const double v = semantics_element(dtype, data, i), kept = 1 / (1 - p);
                if (v == 0) {
                    dropped++;
                    by_place[i % 4]++;
                } else
                    cr_assert(fabs(v - kept) <= kept * (dtype == TG_F32 ? 1e-4 : 1e-15),
                              "%.9g, not %.9g", v, kept); /* p itself is rounded to f32 */
            }
            cr_expect(within(dropped, p), "p = %g: %lld of %d dropped", p, (long long)dropped, N);
            for (int q = 0; q < 4; q++)
                cr_expect(fabs((double)by_place[q] - N * p / 4) <= 6 * sqrt(N * p / 4));
        }
    }
}

Test(dropout, neighbours_are_independent)
{
    unsigned char mask[N];
    mask_of(1, 0, 0, 0, .5, mask);
    for (int distance = 1; distance <= 1024; distance *= 2) {
        int64_t alike = 0;
        for (int i = 0; i + distance < N; i++) alike += mask[i] == mask[i + distance];
        cr_expect(fabs((double)alike - (N - distance) * .5) <= 6 * sqrt(N * .25),
                  "distance %d: %lld alike", distance, (long long)alike);
    }
}

Test(dropout, is_the_identity_for_p_0_and_in_evaluation)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), -0.0, INFINITY, NAN);
        cr_expect_eq(tg_dropout(t, x, 0), x);
        tg_tape_set_training(t, false);
        cr_expect_eq(tg_dropout(t, x, .5), x);
        cr_expect_eq(tg_dropout(t, x, 1), x);
        tg_tape_set_training(t, true);
        cr_expect_neq(tg_dropout(t, x, .5), x);
    }
}

Test(dropout, with_p_1_is_0_whatever_x_and_so_is_its_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), 1, -2, INFINITY, -INFINITY, NAN),
                  *y = tg_dropout(t, x, 1);
        EXPECT(y, 0, 0, 0, 0, 0);
        EXPECT(GRAD(y, x), 0, 0, 0, 0, 0);
        EXPECT(GRAD(tg_square(t, y), x), 0, 0, 0, 0, 0);
    }
}

Test(dropout, selects_and_never_multiplies_by_0)
{
    EACH_BUILD
    {
        double v[64];
        for (int i = 0; i < 64; i++) v[i] = i % 2 ? NAN : INFINITY;
        tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(64), v), *y = tg_dropout(t, x, .5);
        const void *data = tg_data(t, y);
        int dropped = 0;
        for (int i = 0; i < 64; i++) {
            const double e = semantics_element(dtype, data, i);
            dropped += e == 0;
            cr_expect(e == 0 || (i % 2 ? isnan(e) : e > 0 && isinf(e)));
        }
        cr_expect(dropped > 8 && dropped < 56);
    }
}

Test(dropout, refuses_a_p_outside_0_to_1)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        tg_tensor *x = ones(t, TG_F32, 3);
        EXPECT_ERROR(tg_dropout(t, x, 1.5), TG_EVALUE, "dropout: p = 1.5 is outside [0, 1]");
        EXPECT_ERROR(tg_dropout(t, x, -0.1), TG_EVALUE, "p = -0.1");
        EXPECT_ERROR(tg_dropout(t, x, NAN), TG_EVALUE, "p = nan");
        EXPECT_ERROR(tg_dropout(t, INDEX(TG_SHAPE(1), 1), .5), TG_EDTYPE, "i64");
        tg_tape_set_training(t, false);
        EXPECT_ERROR(tg_dropout(t, x, 2), TG_EVALUE, "p = 2");
    }
}

/* The mask of p = 1/4, element by element from tg_philox, which test_random.c holds against the
 * published numbers. attrs[0] is the draw's ordinal. */
#define EXPECTED_MASK(T)                                                                           \
    static void expected_mask_##T(const tg_span *s, void *y, const void *const *x)                 \
    {                                                                                              \
        (void)x;                                                                                   \
        for (int64_t i = 0; i < s->n; i++) {                                                       \
            uint32_t word[4];                                                                      \
            tg_philox(s->key, s->step, (uint32_t)s->attrs[0], (uint64_t)(s->first + i) / 4, word); \
            ((T *)y)[i] = word[(s->first + i) % 4] >= UINT32_C(0x40000000);                        \
        }                                                                                          \
    }
EXPECTED_MASK(float)
EXPECTED_MASK(double)
TG_SPANS(expected_mask_spans, NULL, {expected_mask_float, expected_mask_float, expected_mask_float},
         {expected_mask_double, expected_mask_double, expected_mask_double})
static const tg_op expected_mask = {.size = sizeof(tg_op),
                                    .name = "expected_mask",
                                    .n_in = 1,
                                    .flags = TG_DRAWS,
                                    .span = &expected_mask_spans};

Test(dropout, element_i_falls_by_word_i_of_philox_in_every_build)
{
    enum { M = 3000 };
    const uint64_t steps[] = {0, 5, UINT64_C(0x123456789abcdef0)};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++)
        for (int threads = 1; threads <= 3; threads++)
            for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
                for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
                    for (tg_tape *t = tape_of(3, 4, threads, false, isa); t; t = semantics_end(t)) {
                        tg_tape_set_step(t, steps[s]);
                        tg_tensor *x = ones(t, dtype, M), *y = tg_dropout(t, x, .25),
                                  *later = tg_dropout(t, x, .25);
                        for (int64_t ordinal = 0; ordinal < 2; ordinal++) {
                            tg_tensor *mask = tg_apply(t, &expected_mask, 1, &x, 1, &ordinal);
                            const void *is = tg_data(t, ordinal ? later : y),
                                       *want = tg_data(t, mask);
                            cr_assert(is && want, "%s", tg_tape_message(t));
                            for (int64_t i = 0; i < M; i++)
                                cr_assert_eq(semantics_element(dtype, is, i) != 0,
                                             semantics_element(dtype, want, i) != 0, "element %lld",
                                             (long long)i);
                        }
                    }
}

Test(dropout, masks_differ_between_steps_calls_streams_and_seeds)
{
    unsigned char first[N], other[N];
    mask_of(1, 0, 0, 0, .5, first);
    mask_of(1, 0, 0, 0, .5, other);
    cr_expect_eq(equal_count(first, other), N);
    mask_of(1, 0, 1, 0, .5, other);
    cr_expect(within(equal_count(first, other), .5), "step");
    mask_of(1, 0, UINT64_C(1) << 32, 0, .5, other);
    cr_expect(within(equal_count(first, other), .5), "high half of the step");
    mask_of(1, 0, 0, 1, .5, other);
    cr_expect(within(equal_count(first, other), .5), "call");
    mask_of(1, 1, 0, 0, .5, other);
    cr_expect(within(equal_count(first, other), .5), "stream");
    mask_of(2, 0, 0, 0, .5, other);
    cr_expect(within(equal_count(first, other), .5), "seed");
}

Test(dropout, a_reset_draws_anew_and_the_same_step_repeats)
{
    tg_tape *t = tape_of(1, 0, 1, false, TG_ISA_AUTO);
    float kept[3][64];
    for (int k = 0; k < 3; k++) {
        if (k == 2) tg_tape_set_step(t, 0);
        memcpy(kept[k], tg_data(t, tg_dropout(t, ones(t, TG_F32, 64), .5)), sizeof kept[k]);
        tg_tape_reset(t);
    }
    cr_expect(memcmp(kept[0], kept[1], sizeof kept[0]) != 0);
    cr_expect(memcmp(kept[0], kept[2], sizeof kept[0]) == 0);
    tg_tape_free(t);
}

Test(dropout, forward_backward_and_second_order_use_one_mask)
{
    EACH_BUILD
    {
        enum { M = 1500 };
        tg_tensor *x = ones(t, dtype, M), *y = tg_dropout(t, x, .3), *loss = tg_square(t, y),
                  *g = GRAD(loss, x), *h = GRAD(g, x);
        const void *of_y = tg_data(t, y), *of_g = tg_data(t, g), *of_h = tg_data(t, h);
        cr_assert(of_y && of_g && of_h, "%s", tg_tape_message(t));
        for (int64_t i = 0; i < M; i++) {
            const double v = semantics_element(dtype, of_y, i), twice = 2 * v * v,
                         tolerance = dtype == TG_F32 ? 1e-6 : 1e-14;
            cr_expect(fabs(semantics_element(dtype, of_g, i) - twice) <= tolerance * twice);
            cr_expect(fabs(semantics_element(dtype, of_h, i) - twice) <= tolerance * twice);
        }
    }
}

Test(dropout, bits_depend_on_neither_threads_nor_planning)
{
    float *first = NULL;
    for (int threads = 1; threads <= 3; threads++)
        for (int by_node = 0; by_node < 2; by_node++) {
            tg_tape *t = tape_of(9, 0, threads, by_node, TG_ISA_AUTO);
            tg_tensor *x = tg_exp(t, ones(t, TG_F32, N)),
                      *y = tg_dropout(t, tg_dropout(t, x, .2), .4), *g = GRAD(tg_square(t, y), x);
            const float *data = tg_data(t, g);
            cr_assert_not_null(data, "%s", tg_tape_message(t));
            if (first)
                cr_expect(memcmp(first, data, N * sizeof *first) == 0, "%d threads, %s", threads,
                          by_node ? "node by node" : "planned");
            else memcpy(first = calloc(N, sizeof *first), data, N * sizeof *first);
            tg_tape_free(t);
        }
    free(first);
}

Test(dropout, an_empty_tensor_stays_empty)
{
    EACH_BUILD
    {
        tg_tensor *y = tg_dropout(t, tg_input(t, dtype, TG_SHAPE(0), NULL), .5);
        cr_expect_not_null(tg_data(t, y));
        EXPECT_SHAPE(y, TG_SHAPE(0));
    }
}
