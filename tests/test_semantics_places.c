/* Edges of tensors made of a shape, of replacing, scattering, finding and counting, and of what
 * runs along an axis. */
#include "semantics.h"

Test(semantics_places, steps_meet_their_ends)
{
    EACH_BUILD
    {
        EXPECT(tg_arange(t, dtype, 1, 2, 0.25), 1, 1.25, 1.5, 1.75);
        EXPECT(tg_arange(t, TG_I64, 3, -1, -2), 3, 1);
        EXPECT(tg_arange(t, TG_U8, 254, 256, 1), 254, 255);
        EXPECT_SHAPE(tg_arange(t, dtype, 1, 0, 1), TG_SHAPE(0));
        EXPECT_ERROR(tg_arange(t, dtype, 0, 1, 0), TG_EVALUE, "arange: from 0 to 1 by 0");
        EXPECT_ERROR(tg_arange(t, TG_I64, 0, 1, 0.5), TG_EVALUE, "is not for i64");
        EXPECT_ERROR(tg_arange(t, TG_U8, 0, 300, 1), TG_EVALUE, "arange: from 0 by 1 to 299");
        EXPECT_ERROR(tg_arange(t, dtype, 0, (double)INFINITY, 1), TG_EVALUE, "arange");
        EXPECT_ERROR(tg_arange(t, (tg_dtype)9, 0, 1, 1), TG_EDTYPE, "no such dtype: 9");
        tg_tensor *y = tg_linspace(t, dtype, 0.1, 0.7, 4);
        EXPECT(y, 0.1, 0.3, 0.5, 0.7);
        EXPECT(tg_sub(t, tg_slice(t, y, 0, 3, 4, 1), tg_constant(t, dtype, 0.7)), 0);
        EXPECT(tg_linspace(t, dtype, 5, 7, 1), 5);
        EXPECT_SHAPE(tg_linspace(t, dtype, 5, 7, 0), TG_SHAPE(0));
        EXPECT_ERROR(tg_linspace(t, dtype, 5, 7, -1), TG_ESHAPE, "linspace: -1 elements");
        EXPECT_ERROR(tg_linspace(t, dtype, NAN, 7, 2), TG_EVALUE, "linspace: from nan");
        EXPECT_ERROR(tg_zeros(t, dtype, TG_SHAPE(-1)), TG_ESHAPE, "zeros:");
        EXPECT_ERROR(tg_full(t, TG_U8, 0.5, TG_SHAPE(1)), TG_EVALUE, "");
        EXPECT(tg_eye(t, TG_I64, 2), 1, 0, 0, 1);
        EXPECT_SHAPE(tg_eye(t, dtype, 0), TG_SHAPE(0, 0));
        EXPECT_ERROR(tg_meshgrid(t, 1, &y, 1), TG_EVALUE, "meshgrid: axis 1 of 1");
    }
}

Test(semantics_places, parts_may_be_uneven_and_must_be_there)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), 1, 2, 3, 4, 5);
        EXPECT(tg_split(t, x, 0, 2, 2), 5);
        EXPECT(tg_split(t, x, 0, INT64_MAX, 0), 1, 2, 3, 4, 5);
        EXPECT_ERROR(tg_split(t, x, 0, 2, 3), TG_EINDEX, "split: there is no part 3 of 3");
        EXPECT_ERROR(tg_split(t, x, 0, 0, 0), TG_EVALUE, "split: a size of 0");
        EXPECT(tg_chunk(t, x, 0, 4, 2), 5);
        EXPECT_ERROR(tg_chunk(t, x, 0, 4, 3), TG_EINDEX, "chunk: there is no part 3 of 3");
        EXPECT_SHAPE(tg_chunk(t, tg_zeros(t, dtype, TG_SHAPE(0)), 0, 3, 0), TG_SHAPE(0));
    }
}

Test(semantics_places, of_several_sources_the_last_stays_and_has_the_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 1, 2, 3), *s = INPUT(TG_SHAPE(3), 7, 8, 9),
                  *i = INDEX(TG_SHAPE(3), 0, 2, 0), *y;
        EXPECT(y = tg_scatter(t, x, 0, i, s), 9, 2, 8);
        EXPECT(GRAD(y, x), 0, 1, 0);
        EXPECT(GRAD(y, s), 0, 1, 1);
        EXPECT(y = tg_index_put(t, x, 1, &i, s, false), 9, 2, 8);
        EXPECT(tg_index_put(t, x, 1, &i, s, true), 17, 2, 11);
        EXPECT(tg_gather_nd(t, x, 1, &i), 1, 3, 1);
        tg_tensor *bad = INDEX(TG_SHAPE(3), 0, 3, 1);
        EXPECT_ERROR(tg_scatter(t, x, 0, bad, s), TG_EINDEX,
                     "index 3 at position 1 is outside axis 0 of size 3");
        EXPECT_ERROR(tg_index_put(t, x, 1, &bad, s, false), TG_EINDEX, "index 3");
        tg_tensor *pair[] = {INDEX(TG_SHAPE(1), 0), INDEX(TG_SHAPE(1), 3)},
                  *m = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
        EXPECT_ERROR(tg_gather_nd(t, m, 2, pair), TG_EINDEX, "index 3");
        EXPECT_ERROR(tg_gather_nd(t, x, 2, pair), TG_ESHAPE, "gather_nd: 2 indices for [3]");
        EXPECT_ERROR(tg_scatter(t, x, 0, i, m), TG_ESHAPE, "scatter: index [3] and source [2,3]");
        EXPECT_ERROR(tg_index_add(t, x, 0, i, m), TG_ESHAPE, "index_add: index [3]");
        EXPECT_ERROR(tg_slice_scatter(t, x, s, 0, 0, 2, 1), TG_ESHAPE, "the slice is [2]");
        EXPECT(tg_slice_scatter(t, x, tg_slice(t, s, 0, 0, 2, 1), 0, INT64_MIN, TG_END, 2), 7, 2,
               8);
        EXPECT(tg_select_scatter(t, x, tg_constant(t, dtype, 5), 0, -1), 1, 2, 5);
        EXPECT_ERROR(tg_select_scatter(t, x, tg_constant(t, dtype, 5), 0, 3), TG_EINDEX,
                     "select_scatter: there is no element 3");
    }
}

Test(semantics_places, extrema_that_are_sent_share_ties_and_keep_nan)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), 2, 1, 3), *s = INPUT(TG_SHAPE(5), 2, 2, 5, NAN, -1),
                  *i = INDEX(TG_SHAPE(5), 0, 0, 1, 2, 1), *y;
        EXPECT(y = tg_scatter_amax(t, x, 0, i, s), 2, 5, NAN);
        const double third = 1.0 / 3;
        EXPECT(GRAD(y, x), third, 0, 0);
        EXPECT(GRAD(y, s), third, third, 1, 0, 0);
        EXPECT(tg_scatter_amin(t, x, 0, i, s), 2, -1, NAN);
        EXPECT(tg_scatter_mean(t, x, 0, i, s), 2, 5.0 / 3, NAN);
        EXPECT(tg_segment_max(t, s, i, 4), 2, 5, NAN, -INFINITY);
        EXPECT(tg_segment_mean(t, tg_slice(t, s, 0, 0, 3, 1), tg_slice(t, i, 0, 0, 3, 1), 3), 2, 5,
               0);
        EXPECT_ERROR(tg_segment_sum(t, s, i, 2), TG_EINDEX, "index 2");
        EXPECT_ERROR(tg_segment_sum(t, s, tg_slice(t, i, 0, 0, 3, 1), 2), TG_ESHAPE,
                     "segment_sum: ids [3] for 2 segments of [5]");
    }
}

Test(semantics_places, what_is_found_is_cut_or_filled_up)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), 3, NAN, 1, 3, 0),
                  *mask = tg_greater(t, x, tg_constant(t, dtype, 0)), *y;
        EXPECT(tg_count_nonzero(t, x), 4);
        EXPECT(tg_nonzero(t, mask, 5, -1), 0, 2, 3, -1, -1);
        EXPECT(tg_nonzero(t, mask, 2, -1), 0, 2);
        EXPECT_SHAPE(tg_nonzero(t, mask, 0, -1), TG_SHAPE(0));
        EXPECT(y = tg_masked_select(t, x, mask, 4, 9), 3, 1, 3, 9);
        EXPECT(GRAD(y, x), 1, 0, 1, 1, 0);
        EXPECT(tg_masked_select(t, tg_slice(t, x, 0, 0, 0, 1), tg_slice(t, mask, 0, 0, 0, 1), 2, 9),
               9, 9);
        EXPECT(y = tg_unique(t, tg_slice(t, x, 0, 2, 5, 1), 4, -1), 0, 1, 3, -1);
        EXPECT(tg_unique(t, x, 5, -1), 0, 1, 3, NAN, -1);
        EXPECT(tg_count_unique(t, x), 4);
        EXPECT(tg_count_unique(t, tg_slice(t, x, 0, 0, 0, 1)), 0);
        EXPECT_ERROR(tg_nonzero(t, x, -1, 0), TG_ESHAPE, "nonzero: -1 elements");
        EXPECT_ERROR(tg_masked_select(t, x, tg_slice(t, mask, 0, 0, 3, 1), 2, 0), TG_ESHAPE, "[3]");
    }
}

Test(semantics_places, edges_belong_to_one_side_and_nan_to_the_end)
{
    EACH_BUILD
    {
        tg_tensor *edges = INPUT(TG_SHAPE(4), 1, 2, 2, NAN),
                  *x = INPUT(TG_SHAPE(6), 0, 1, 2, 3, NAN, INFINITY);
        EXPECT(tg_searchsorted(t, edges, x, false), 0, 0, 1, 3, 3, 3);
        EXPECT(tg_searchsorted(t, edges, x, true), 0, 1, 3, 3, 4, 3);
        EXPECT(tg_bucketize(t, x, tg_slice(t, edges, 0, 0, 0, 1), true), 0, 0, 0, 0, 0, 0);
        EXPECT_ERROR(tg_searchsorted(t, INPUT(TG_SHAPE(1, 2), 1, 2), x, true), TG_ESHAPE,
                     "searchsorted: values [6] in [1,2]");
        EXPECT_ERROR(tg_bucketize(t, x, INPUT(TG_SHAPE(1, 2), 1, 2), true), TG_ESHAPE,
                     "bucketize: the edges are [1,2]");
        EXPECT(tg_histc(t, x, 3, 0, 3), 1, 1, 2);
        EXPECT_ERROR(tg_histc(t, x, 3, 1, 1), TG_EVALUE, "histc: 3 bins from 1 to 1");
        EXPECT(tg_bincount(t, INDEX(TG_SHAPE(3), 2, 0, 2), 4), 1, 0, 2, 0);
        EXPECT_ERROR(tg_bincount(t, INDEX(TG_SHAPE(1), 4), 4), TG_EINDEX, "index 4");
        EXPECT_ERROR(tg_bincount(t, x, 4), TG_EDTYPE, "bincount: ids of f");
    }
}

Test(semantics_places, running_products_with_zeros_have_exact_gradients)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 2, 0, 3, 0), *y;
        EXPECT(y = tg_cumprod(t, x, 0), 2, 0, 0, 0);
        EXPECT(GRAD(y, x), 1, 8, 0, 0);
        tg_tensor *a = INPUT(TG_SHAPE(3), NAN, 2, -1), *b = INPUT(TG_SHAPE(3), 1, 1, 1);
        EXPECT(y = tg_linear_recurrence(t, a, b, 0), 1, 3, -2);
        EXPECT(GRAD(y, a), 0, 0, 3);
        EXPECT(GRAD(y, b), 1, 0, 1);
        EXPECT_ERROR(tg_linear_recurrence(t, a, x, 0), TG_ESHAPE, "shapes differ: [3] and [4]");
    }
}

Test(semantics_places, running_logarithms_of_sums_neither_overflow_nor_vanish)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), -1000, -1000, 1000, 1000), *y;
        EXPECT(y = tg_logcumsumexp(t, x, 0), -1000, -1000 + log(2), 1000, 1000 + log(2));
        tg_tensor *apart = INPUT(TG_SHAPE(3), 0, 0, 800);
        EXPECT(GRAD(tg_logcumsumexp(t, apart, 0), apart), 1.5, 0.5, 1);
        tg_tensor *none = INPUT(TG_SHAPE(3), -INFINITY, -INFINITY, 1);
        EXPECT(y = tg_logcumsumexp(t, none, 0), -INFINITY, -INFINITY, 1);
        EXPECT(GRAD(y, none), 0, 0, 1);
        EXPECT(tg_logcumsumexp(t, INPUT(TG_SHAPE(3), 1, INFINITY, NAN), 0), 1, INFINITY, NAN);
    }
}

Test(semantics_places, running_extrema_keep_nan_and_the_last_of_equals)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), 1, 3, 3, NAN, 9), *y;
        EXPECT(y = tg_cummax(t, x, 0), 1, 3, 3, NAN, NAN);
        EXPECT(GRAD(tg_slice(t, y, 0, 0, 3, 1), x), 1, 1, 1, 0, 0);
        EXPECT(tg_cummin(t, x, -1), 1, 1, 1, NAN, NAN);
    }
}

Test(semantics_places, the_middle_is_the_lower_of_two_and_nan_wins)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 5, 1, 3, 2), *y;
        EXPECT(y = tg_median(t, x, 0, false), 2);
        EXPECT(GRAD(y, x), 0, 0, 0, 1);
        EXPECT(tg_median(t, INPUT(TG_SHAPE(3), 1, NAN, 2), 0, true), NAN);
        EXPECT(tg_kthvalue(t, INPUT(TG_SHAPE(3), 1, NAN, 2), 2, 0, true), 2);
        EXPECT_ERROR(tg_kthvalue(t, x, 5, 0, true), TG_EVALUE, "kthvalue: 5 of axis 0 of [4]");
        EXPECT_ERROR(tg_median(t, tg_slice(t, x, 0, 0, 0, 1), 0, true), TG_ESHAPE,
                     "median: axis 0 is empty");
    }
}
