/* Edges of ops along an axis in order, and of ops composed of others. */
#include "semantics.h"

/* Whether a stands before b, which may be at another place in the line. */
static bool stands_before(double a, double b, bool first, bool down)
{
    if (a == b || (isnan(a) && isnan(b))) return first;
    const bool less = isnan(b) || a < b;
    return less != down;
}

Test(semantics_composed, many_lines_are_sorted_whatever_the_threads)
{
    enum { OUTER = 9, N = 37, INNER = 5, ALL = OUTER * N * INNER };
    static double x[ALL], want[ALL], places[ALL];
    uint64_t state = 2;
    for (int i = 0; i < ALL; i++) {
        x[i] = floor(8 * semantics_uniform(&state)) / 4;
        if (x[i] == 1.75) x[i] = i % 2 ? NAN : -0.0;
    }
    for (int down = 0; down < 2; down++) {
        for (int i = 0; i < ALL; i++) {
            const int line = i / (N * INNER) * N * INNER + i % INNER;
            int rank = 0;
            for (int k = line; k < line + N * INNER; k += INNER)
                rank += k != i && stands_before(x[k], x[i], k < i, down);
            places[line + rank * INNER] = i / INNER % N;
            want[line + rank * INNER] = x[i];
        }
        for (int threads = 1; threads <= 3; threads++)
            for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t)) {
                const tg_dtype dtype = threads % 2 ? TG_F32 : TG_F64;
                tg_tensor *in = semantics_input(t, dtype, TG_SHAPE(OUTER, N, INNER), x);
                semantics_expect(__LINE__, t, tg_argsort(t, in, 1, down), ALL, places);
                semantics_expect(__LINE__, t, tg_sort(t, in, 1, down), ALL, want);
            }
    }
}

Test(semantics_composed, sorting_puts_nan_last_and_keeps_the_order_of_equals)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(7), 2, NAN, -1, 2, -0.0, INFINITY, 0);
        EXPECT(tg_argsort(t, x, 0, false), 2, 4, 6, 0, 3, 5, 1);
        EXPECT(tg_argsort(t, x, 0, true), 1, 5, 0, 3, 4, 6, 2);
        EXPECT(tg_sort(t, x, 0, false), -1, -0.0, 0, 2, 2, INFINITY, NAN);
        EXPECT(tg_topk(t, x, 2, 0, true), NAN, INFINITY);
        EXPECT(GRAD(tg_topk(t, x, 2, 0, false), x), 0, 0, 1, 0, 1, 0, 0);
        EXPECT_SHAPE(tg_topk(t, x, 0, 0, true), TG_SHAPE(0));
        EXPECT_ERROR(tg_topk(t, x, 8, 0, true), TG_ESHAPE, "topk: 8 elements of axis 0 of [7]");
        EXPECT_ERROR(tg_argsort(t, tg_constant(t, dtype, 1), 0, true), TG_ESHAPE,
                     "argsort: there is no axis 0");
    }
}

Test(semantics_composed, running_sums_wrap_or_are_added_in_double)
{
    EACH_BUILD
    {
        const int64_t near[] = {INT64_MAX, 1, 1};
        const int64_t *sum = tg_data(t, tg_cumsum(t, tg_input(t, TG_I64, TG_SHAPE(3), near), 0));
        cr_assert(sum && sum[1] == INT64_MIN && sum[2] == INT64_MIN + 1);
        const double unit = dtype == TG_F32 ? 0x1p24 : 0x1p52;
        EXPECT(tg_cumsum(t, INPUT(TG_SHAPE(4), unit, 1, 1, -unit), 0), unit, unit, unit + 2, 2);
    }
}

Test(semantics_composed, padding_counts_in_the_mean)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 2), 4, 8, 12, 16);
        EXPECT(tg_avg_pool2d(t, x, (tg_pool){.kernel = {2, 2}, .padding = {1, 1}}), 1, 2, 3, 4);
        EXPECT_ERROR(tg_avg_pool2d(t, x, (tg_pool){.kernel = {1, 1}, .padding = {1, 0}}), TG_EVALUE,
                     "avg_pool2d: padding 1 is more than half of kernel 1");
        EXPECT_ERROR(tg_max_pool1d(t, x, (tg_pool){.kernel = {1}}), TG_ESHAPE,
                     "max_pool1d: x is [n, c, l], not [1,1,2,2]");
    }
}

Test(semantics_composed, resampling_meets_corners_and_single_pixels)
{
    EACH_BUILD
    {
        tg_tensor *one = INPUT(TG_SHAPE(1, 1, 1, 1), 0.1),
                  *x = INPUT(TG_SHAPE(1, 1, 1, 3), 1, 2, 4);
        const double kept = dtype == TG_F32 ? (double)0.1f : 0.1;
        EXPECT(tg_sub(t, tg_upsample_bilinear(t, one, 1, 3, false), one), 0, 0, 0);
        cr_expect_eq(tg_item(t, tg_upsample_bilinear(t, one, 1, 1, true)), kept);
        EXPECT(tg_upsample_bilinear(t, x, 1, 5, true), 1, 1.5, 2, 3, 4);
        EXPECT(tg_upsample_nearest(t, x, 2, 2), 1, 2, 1, 2);
        EXPECT(tg_adaptive_avg_pool2d(t, x, 1, 2), 1.5, 3);
        EXPECT_ERROR(tg_upsample_nearest(t, x, 0, 2), TG_ESHAPE, "a result of 0 x 2 elements");
        EXPECT_ERROR(tg_upsample_nearest(t, tg_slice(t, x, 3, 0, 0, 1), 2, 2), TG_ESHAPE,
                     "x is [n, c, h, w], not [1,1,1,0]");
    }
}

Test(semantics_composed, an_axis_too_short_to_be_mirrored_is_named)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 1, 2, 3);
        EXPECT(tg_pad_with(t, x, TG_PAD_REFLECT, TG_SHAPE(2), TG_SHAPE(2)), 3, 2, 1, 2, 3, 2, 1);
        EXPECT(tg_pad_with(t, x, TG_PAD_CIRCULAR, TG_SHAPE(4), TG_SHAPE(0)), 3, 1, 2, 3, 1, 2, 3);
        EXPECT_ERROR(tg_pad_with(t, x, TG_PAD_REFLECT, TG_SHAPE(3), TG_SHAPE(0)), TG_ESHAPE,
                     "pad_with: axis 0 of [3] is too short to give 3 before and 0 after");
        EXPECT_ERROR(tg_pad_with(t, x, (tg_pad_mode)3, TG_SHAPE(1), TG_SHAPE(0)), TG_EVALUE,
                     "no such mode: 3");
        EXPECT_ERROR(tg_pad_with(t, x, TG_PAD_REPLICATE, TG_SHAPE(1), TG_SHAPE(1, 1)), TG_ESHAPE,
                     "1 sizes are needed before and after [3]");
    }
}

Test(semantics_composed, norms_of_nothing_are_empty_and_statistics_come_in_pairs)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *m = INPUT(TG_SHAPE(2), 1, 2),
                  *none = tg_slice(t, x, 1, 0, 0, 1);
        EXPECT_ERROR(tg_batch_norm(t, x, m, NULL, NULL, NULL, 0), TG_ENULL,
                     "batch_norm: the mean and the variance go together");
        EXPECT_ERROR(tg_batch_norm(t, x, none, m, NULL, NULL, 0), TG_ESHAPE, "the mean is [2,0]");
        EXPECT_ERROR(tg_group_norm(t, x, 3, NULL, NULL, 0), TG_ESHAPE,
                     "group_norm: 3 groups do not divide x [2,2]");
        EXPECT_SHAPE(tg_group_norm(t, none, INT64_MAX, NULL, NULL, 1), TG_SHAPE(2, 0));
        EXPECT_SHAPE(tg_instance_norm(t, none, NULL, NULL, 1), TG_SHAPE(2, 0));
        EXPECT_SHAPE(tg_batch_norm(t, none, NULL, NULL, NULL, NULL, 1), TG_SHAPE(2, 0));
        EXPECT(tg_rms_norm(t, INPUT(TG_SHAPE(1, 2), 3, 4), 1, NULL, 0), 3 / sqrt(12.5),
               4 / sqrt(12.5));
        EXPECT_ERROR(tg_rms_norm(t, x, 1, NULL, -1), TG_EVALUE, "rms_norm: eps = -1");
    }
}

Test(semantics_composed, diagonals_may_lie_anywhere)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
        EXPECT(tg_tril(t, x, INT64_MIN), 0, 0, 0, 0, 0, 0);
        EXPECT(tg_tril(t, x, INT64_MAX), 1, 2, 3, 4, 5, 6);
        EXPECT(tg_triu(t, x, INT64_MAX), 0, 0, 0, 0, 0, 0);
        EXPECT_SHAPE(tg_diagonal(t, x, INT64_MIN), TG_SHAPE(0));
        EXPECT_SHAPE(tg_diagonal(t, x, INT64_MAX), TG_SHAPE(0));
        EXPECT(tg_diagonal(t, x, 2), 3);
        EXPECT(tg_diagonal(t, x, -1), 4);
        EXPECT(tg_trace(t, x), 6);
        const int64_t much = INT64_C(1) << 40;
        EXPECT_ERROR(tg_diagonal(t, tg_input(t, dtype, TG_SHAPE(0, much, much), NULL), 0),
                     TG_ESHAPE, "beyond any memory");
        EXPECT_ERROR(tg_tril(t, tg_select(t, x, 0, 0), 0), TG_ESHAPE, "tril: x is [..., n, m]");
    }
}

Test(semantics_composed, rolling_and_tiling_take_any_number)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 1, 2, 3);
        EXPECT(tg_roll(t, x, 0, 3 * INT64_C(1000000000) + 1), 3, 1, 2);
        EXPECT(tg_roll(t, x, 0, -1), 2, 3, 1);
        EXPECT(tg_roll(t, x, -1, INT64_MIN), 3, 1, 2);
        EXPECT_SHAPE(tg_tile(t, x, TG_SHAPE(0)), TG_SHAPE(0));
        EXPECT_ERROR(tg_tile(t, x, TG_SHAPE(INT64_MAX)), TG_EVALUE,
                     "tile: the numbers are an impossible");
        EXPECT_ERROR(tg_repeat_interleave(t, x, 0, -1), TG_EVALUE, "repeat_interleave: -1 times");
        EXPECT_ERROR(tg_select(t, x, 0, 3), TG_EINDEX, "select: there is no element 3 of axis 0");
        EXPECT_ERROR(tg_select(t, x, 0, INT64_MIN), TG_EINDEX, "select: there is no element");
    }
}

Test(semantics_composed, transposed_convolutions_at_their_edges)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 1, 2), 1, 2), *w = INPUT(TG_SHAPE(1, 1, 1, 2), 10, 1),
                  *b = INPUT(TG_SHAPE(1), 5);
        EXPECT(tg_conv_transpose2d(t, x, w, b, (tg_conv){.stride = {1, 2}}), 15, 6, 25, 7);
        EXPECT_ERROR(tg_conv_transpose2d(t, x, w, NULL, (tg_conv){.output_padding = {1, 0}}),
                     TG_EVALUE, "an output padding of 1 is not below the stride 1");
        tg_tensor *no_x = tg_slice(t, x, 1, 0, 0, 1), *no_w = tg_slice(t, w, 0, 0, 0, 1);
        EXPECT(tg_conv_transpose2d(t, no_x, no_w, b, (tg_conv){.groups = 1}), 5, 5, 5);
        tg_tensor *wide = tg_input(t, dtype, TG_SHAPE(0, INT64_C(1) << 40, 1, 1), NULL);
        EXPECT_ERROR(tg_conv_transpose2d(t, no_x, wide, NULL, (tg_conv){.groups = INT32_MAX}),
                     TG_ESHAPE, "conv_transpose2d: x [1,0,1,2]");
        EXPECT_ERROR(tg_conv_transpose2d(t, x, w, NULL, (tg_conv){.padding = {1, 0}}), TG_ESHAPE,
                     "leave no image");
    }
}
