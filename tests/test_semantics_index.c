/* Indexing at the edges: ranges, repeated indices, empty operands. */
#include "semantics.h"

Test(semantics_index, an_index_out_of_range_is_named_with_its_position_and_the_size)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6),
                  *bad = INDEX(TG_SHAPE(2, 2), 0, 2, 3, 0), *low = INDEX(TG_SHAPE(3), 0, -1, 7);
        tg_tensor *source = INPUT(TG_SHAPE(2, 2), 0, 0, 0, 0);
        EXPECT_ERROR(tg_gather(t, x, 1, bad), TG_EINDEX,
                     "gather: index 3 at position 2 is outside axis 1 of size 3");
        EXPECT_ERROR(tg_gather(t, x, 0, bad), TG_EINDEX,
                     "gather: index 2 at position 1 is outside axis 0 of size 2");
        EXPECT_ERROR(tg_scatter_add(t, x, 1, bad, source), TG_EINDEX,
                     "scatter_add: index 3 at position 2 is outside axis 1 of size 3");
        EXPECT_ERROR(tg_index_select(t, x, 0, low), TG_EINDEX,
                     "index_select: index -1 at position 1 is outside axis 0 of size 2");
        EXPECT_ERROR(tg_embedding(t, x, low), TG_EINDEX,
                     "embedding: index -1 at position 1 is outside axis 0 of size 2");
        tg_tensor *far = INDEX(TG_SHAPE(1), INT64_MIN),
                  *empty = tg_input(t, dtype, TG_SHAPE(0, 3), NULL), *zero = INDEX(TG_SHAPE(1), 0);
        EXPECT_ERROR(tg_index_select(t, x, 1, far), TG_EINDEX,
                     "index -9223372036854775808 at position 0");
        EXPECT_ERROR(tg_gather(t, tg_reshape(t, x, TG_SHAPE(6)), 0, far), TG_EINDEX,
                     "index -9223372036854775808 at position 0");
        EXPECT_ERROR(tg_index_select(t, empty, 0, zero), TG_EINDEX, "outside axis 0 of size 0");
    }
}

Test(semantics_index, the_first_bad_index_of_many_is_named_whatever_the_threads)
{
    enum { N = 200000 };
    int64_t *index = calloc(N, sizeof *index), *zeros = calloc(N, sizeof *zeros);
    index[199000] = 9;
    index[70001] = 8;
    for (int threads = 1; threads <= 3; threads++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t)) {
            tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(2), ((float[]){1, 2})),
                      *i = tg_input(t, TG_I64, TG_SHAPE(N), index);
            EXPECT_ERROR(tg_gather(t, x, 0, i), TG_EINDEX, "index 8 at position 70001");
            EXPECT_ERROR(tg_index_select(t, x, 0, i), TG_EINDEX, "index 8 at position 70001");
            EXPECT_ERROR(
                tg_scatter_add(t, x, 0, i,
                               tg_gather(t, x, 0, tg_input(t, TG_I64, TG_SHAPE(N), zeros))),
                TG_EINDEX, "index 8 at position 70001");
        }
    free(index);
    free(zeros);
}

Test(semantics_index, gradients_of_repeated_indices_add_up)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 2), 1, 2, 3, 4, 5, 6),
                  *some = INDEX(TG_SHAPE(4), 2, 0, 2, 2),
                  *scale = INPUT(TG_SHAPE(4, 1), 1, 2, 3, 4);
        tg_tensor *y = tg_mul(t, tg_index_select(t, x, 0, some), scale);
        EXPECT(y, 5, 6, 2, 4, 15, 18, 20, 24);
        EXPECT(GRAD(y, x), 2, 2, 0, 0, 8, 8);
        tg_tensor *rows = tg_mul(t, tg_embedding(t, x, tg_reshape(t, some, TG_SHAPE(2, 2))),
                                 tg_reshape(t, scale, TG_SHAPE(2, 2, 1)));
        EXPECT_SHAPE(rows, TG_SHAPE(2, 2, 2));
        EXPECT(GRAD(rows, x), 2, 2, 0, 0, 8, 8);
        tg_tensor *g = tg_gather(t, x, 1, INDEX(TG_SHAPE(2, 3), 1, 1, 0, 0, 0, 0));
        EXPECT(g, 2, 2, 1, 3, 3, 3);
        EXPECT(GRAD(g, x), 1, 2, 3, 0, 0, 0);
        tg_tensor *columns = tg_index_select(t, x, -1, INDEX(TG_SHAPE(3), 1, 1, 0));
        EXPECT(columns, 2, 2, 1, 4, 4, 3, 6, 6, 5);
        EXPECT(GRAD(columns, x), 1, 2, 1, 2, 1, 2);
    }
}

Test(semantics_index, scatter_add_adds_to_a_copy)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *index = INDEX(TG_SHAPE(3, 1), 1, 0, 1),
                  *source = INPUT(TG_SHAPE(3, 1), 10, 20, 30);
        tg_tensor *y = tg_scatter_add(t, x, 0, index, source);
        EXPECT(y, 21, 2, 43, 4);
        EXPECT(x, 1, 2, 3, 4);
        EXPECT(GRAD(tg_square(t, y), x), 42, 4, 86, 8);
        EXPECT(GRAD(tg_square(t, y), source), 86, 42, 86);
        tg_tensor *turned =
            tg_scatter_add(t, tg_transpose(t, x, 0, 1), -1, INDEX(TG_SHAPE(1, 2), 0, 0),
                           INPUT(TG_SHAPE(1, 2), 5, 6));
        EXPECT(turned, 12, 3, 2, 4);
        tg_tensor *zeros = tg_expand(t, INPUT(TG_SCALAR, -0.0), TG_SHAPE(2)),
                  *minus =
                      tg_scatter_add(t, zeros, 0, INDEX(TG_SHAPE(1), 1), INPUT(TG_SHAPE(1), 1));
        const void *data = tg_data(t, minus);
        cr_expect(data && signbit(semantics_element(dtype, data, 0)), "a copy of -0 is -0");
    }
}

/* 1 + 2^-24 rounds back to 1 in f32; the other order would keep the small terms. */
Test(semantics_index, scatter_add_goes_through_the_source_in_row_major_order)
{
    for (int threads = 1; threads <= 3; threads++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t)) {
            const tg_dtype dtype = TG_F32;
            tg_tensor *zero = INPUT(TG_SHAPE(1), 0), *index = INDEX(TG_SHAPE(3), 0, 0, 0);
            EXPECT(tg_scatter_add(t, zero, 0, index, INPUT(TG_SHAPE(3), 0x1p-24, 0x1p-24, 1)),
                   1 + 0x1p-23);
            const float *late = tg_data(
                t, tg_scatter_add(t, zero, 0, index, INPUT(TG_SHAPE(3), 1, 0x1p-24, 0x1p-24)));
            cr_expect(late && *late == 1);
            const float *early = tg_data(
                t, tg_scatter_add(t, zero, 0, index, INPUT(TG_SHAPE(3), 0x1p-24, 0x1p-24, 1)));
            cr_expect(early && *early == 1 + 0x1p-23f);
        }
}

Test(semantics_index, large_gradients_have_the_same_bits_on_any_number_of_threads)
{
    enum { ROWS = 700, WIDTH = 60, N = 3000 };
    double *table = calloc(ROWS * WIDTH, sizeof *table),
           *slope = calloc((size_t)N * WIDTH, sizeof *slope);
    int64_t *index = calloc(N, sizeof *index), *wide = calloc((size_t)N * WIDTH, sizeof *wide);
    float *expected = calloc(ROWS * WIDTH, sizeof *expected);
    uint64_t state = 9;
    for (int i = 0; i < N; i++) /* five rows get hundreds of terms */
        index[i] = i % 3 ? i % 5 : (int64_t)(350 * (semantics_uniform(&state) + 1));
    for (int i = 0; i < N * WIDTH; i++) {
        slope[i] = (double)(float)semantics_uniform(&state);
        wide[i] = index[i / WIDTH];
        expected[index[i / WIDTH] * WIDTH + i % WIDTH] += (float)slope[i];
    }
    for (int threads = 1; threads <= 4; threads++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t)) {
            tg_tensor *x = semantics_input(t, TG_F32, TG_SHAPE(ROWS, WIDTH), table),
                      *w = semantics_input(t, TG_F32, TG_SHAPE(N, WIDTH), slope);
            tg_tensor *few = tg_input(t, TG_I64, TG_SHAPE(N), index),
                      *all = tg_input(t, TG_I64, TG_SHAPE(N, WIDTH), wide);
            tg_tensor *g[2] = {GRAD(tg_mul(t, tg_embedding(t, x, few), w), x),
                               GRAD(tg_mul(t, tg_gather(t, x, 0, all), w), x)};
            for (int k = 0; k < 2; k++) {
                const float *got = tg_data(t, g[k]);
                cr_assert_not_null(got, "%s", tg_tape_message(t));
                cr_expect(memcmp(got, expected, sizeof(float) * ROWS * WIDTH) == 0,
                          "way %d, %d threads", k, threads);
            }
        }
    free(table);
    free(slope);
    free(index);
    free(wide);
    free(expected);
}

/* Where element i of `walked`, in row-major order, lies in contiguous `shape` when its place along
 * the axis is `index`; -1: as it is. */
static int64_t place(tg_shape walked, tg_shape shape, int64_t i, int axis, int64_t index)
{
    int64_t at[TG_MAX_DIMS], offset = 0;
    for (int d = walked.ndim - 1; d >= 0; i /= walked.dim[d--]) at[d] = i % walked.dim[d];
    for (int d = 0; d < walked.ndim; d++)
        offset = offset * shape.dim[d] + (d == axis && index >= 0 ? index : at[d]);
    return offset;
}

/* Whole numbers, so that no order of additions makes a difference. */
Test(semantics_index, gather_and_scatter_agree_with_loops_for_any_shape_and_strides)
{
    enum { MOST = 2 * 5 * 5 * 5 * 5 };
    static double far[MOST], near[MOST], want[2][MOST];
    static int64_t some[MOST], index[MOST];
    uint64_t state = 3;
    for (int turn = 0; turn < 400; turn++) {
        tg_shape shape = {.ndim = 1 + turn % 4}, walked = shape, stored;
        const int axis = turn / 4 % shape.ndim, fixed = turn / 16 % 5;
        for (int d = 0; d < shape.ndim; d++) {
            shape.dim[d] = (int64_t)(3 + 2.9 * semantics_uniform(&state));
            shape.dim[d] += shape.dim[d] == 0;
            walked.dim[d] = d == axis ? 6 - shape.dim[d] : 1 + turn % shape.dim[d];
        }
        stored = walked; /* what stays of the index when it is the same along dimension `fixed` */
        if (fixed < shape.ndim) stored.dim[fixed] = 1;
        const int64_t n = tg_shape_count(shape), m = tg_shape_count(walked);
        for (int64_t i = 0; i < tg_shape_count(stored); i++)
            some[i] = (int64_t)((semantics_uniform(&state) + 1) / 2 * (double)shape.dim[axis]);
        for (int64_t i = 0; i < n; i++) want[1][i] = far[i] = (double)(i % 17);
        for (int64_t i = 0; i < m; i++) {
            near[i] = (double)(i % 13);
            index[i] = some[place(walked, stored, i, fixed < shape.ndim ? fixed : axis,
                                  fixed < shape.ndim ? 0 : -1)];
            const int64_t to = place(walked, shape, i, axis, index[i]);
            want[0][i] = far[to];
            want[1][to] += near[i];
        }
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
            const tg_dtype dtype = turn % 2 ? TG_F32 : TG_F64;
            tg_tensor *x = semantics_input(t, dtype, shape, far),
                      *source = semantics_input(t, dtype, walked, near),
                      *at = tg_expand(t, tg_input(t, TG_I64, stored, some), walked);
            const int last = shape.ndim - 1;
            if (turn % 3 == 0) /* the same numbers, stored transposed */
                x = tg_transpose(t, tg_abs(t, tg_transpose(t, x, 0, last)), 0, last);
            semantics_expect(__LINE__, t, tg_gather(t, x, axis, at), m, want[0]);
            semantics_expect(__LINE__, t, tg_scatter_add(t, x, axis, at, source), n, want[1]);
        }
    }
}

Test(semantics_index, empty_operands)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4),
                  *none = tg_input(t, TG_I64, TG_SHAPE(0), NULL);
        tg_tensor *y = tg_index_select(t, x, 0, none);
        EXPECT_SHAPE(y, TG_SHAPE(0, 2));
        EXPECT(GRAD(y, x), 0, 0, 0, 0);
        tg_tensor *pairs = tg_input(t, TG_I64, TG_SHAPE(0, 2), NULL),
                  *g = tg_gather(t, x, 0, pairs);
        EXPECT_SHAPE(g, TG_SHAPE(0, 2));
        EXPECT(GRAD(g, x), 0, 0, 0, 0);
        EXPECT(tg_scatter_add(t, x, 0, pairs, tg_input(t, dtype, TG_SHAPE(0, 2), NULL)), 1, 2, 3,
               4);
        EXPECT_SHAPE(tg_embedding(t, x, INDEX(TG_SCALAR, 1)), TG_SHAPE(2));
        EXPECT(tg_embedding(t, x, INDEX(TG_SCALAR, 1)), 3, 4);
    }
}

Test(semantics_index, integers_can_be_chosen_too)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        tg_tensor *x = INDEX(TG_SHAPE(3), 10, 20, 30), *at = INDEX(TG_SHAPE(2), 2, 0),
                  *mask = tg_input(t, TG_U8, TG_SHAPE(3), ((const uint8_t[]){0, 1, 1}));
        EXPECT(tg_index_select(t, x, 0, at), 30, 10);
        EXPECT(tg_gather(t, mask, 0, at), 1, 0);
        EXPECT(tg_scatter_add(t, x, 0, at, INDEX(TG_SHAPE(2), 1, 2)), 12, 20, 31);
    }
}

Test(semantics_index, shapes_and_dtypes_that_do_not_fit)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *list = INDEX(TG_SHAPE(2), 0, 0),
                  *wide = INDEX(TG_SHAPE(1, 3), 0, 0, 0);
        EXPECT_ERROR(tg_gather(t, x, 0, list), TG_ESHAPE,
                     "gather: index [2] does not fit [2,2] along axis 0");
        EXPECT_ERROR(tg_gather(t, x, 0, wide), TG_ESHAPE,
                     "gather: index [1,3] does not fit [2,2] along axis 0");
        EXPECT_ERROR(tg_gather(t, x, 2, wide), TG_ESHAPE, "gather: there is no axis 2");
        EXPECT_ERROR(tg_gather(t, x, 0, x), TG_EDTYPE, "an index is i64, not f32");
        EXPECT_ERROR(tg_index_select(t, x, 0, wide), TG_ESHAPE, "[1,3]");
        EXPECT_ERROR(tg_index_select(t, x, -3, list), TG_ESHAPE,
                     "index_select: there is no axis -3");
        EXPECT_ERROR(tg_embedding(t, tg_reshape(t, x, TG_SHAPE(4)), list), TG_ESHAPE,
                     "embedding: table [4] is not [rows, width]");
        EXPECT_ERROR(tg_scatter_add(t, x, 0, wide, x), TG_ESHAPE,
                     "scatter_add: index [1,3] and source [2,2] differ");
        EXPECT_ERROR(tg_scatter_add(t, x, 0, list, list), TG_EDTYPE, "f32 and i64");
    }
}

Test(semantics_index, an_index_out_of_range_is_named_where_slices_are_empty)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_zeros(t, dtype, TG_SHAPE(3, 0)), *i = INDEX(TG_SHAPE(2), 0, 9);
        EXPECT_ERROR(tg_index_select(t, x, 0, i), TG_EINDEX, "index 9 at position 1");
        EXPECT_ERROR(tg_embedding(t, x, i), TG_EINDEX, "index 9 at position 1");
    }
}

/* Where slices have no elements nothing is moved, but an index is looked at all the same. */
Test(semantics_index, an_index_of_empty_slices_is_looked_at)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_zeros(t, dtype, TG_SHAPE(3, 0)), *of = tg_zeros(t, dtype, TG_SHAPE(2, 0)),
                  *good = INDEX(TG_SHAPE(2), 2, 0), *bad = INDEX(TG_SHAPE(2), 0, 3), *y, *g;
        const char *const says = "index 3 at position 1 is outside axis 0 of size 3";
        EXPECT_SHAPE(y = tg_index_add(t, x, 0, good, of), TG_SHAPE(3, 0));
        cr_expect_not_null(tg_data(t, y));
        EXPECT_ERROR(tg_index_add(t, x, 0, bad, of), TG_EINDEX, says);
        EXPECT_ERROR(tg_index_copy(t, x, 0, bad, of), TG_EINDEX, says);
        EXPECT_ERROR(tg_segment_sum(t, of, bad, 3), TG_EINDEX, says);
        EXPECT_ERROR(tg_segment_mean(t, of, bad, 3), TG_EINDEX, says);
        EXPECT_ERROR(tg_segment_max(t, of, bad, 3), TG_EINDEX, says);
        EXPECT_ERROR(tg_index_put(t, x, 1, &bad, of, true), TG_EINDEX, says);
        tg_grad(t, tg_index_select(t, x, 0, bad), of, 1, &x, &g, false);
        EXPECT_ERROR(g, TG_EINDEX, says);
    }
}

Test(semantics_index, an_index_for_each_axis_names_its_axis)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_zeros(t, dtype, TG_SHAPE(2, 3)), *row = INDEX(TG_SHAPE(2), 0, 1),
                  *column = INDEX(TG_SHAPE(2), 2, -1), *index[] = {row, column},
                  *floats[] = {x, column};
        EXPECT_ERROR(tg_gather_nd(t, x, 2, index), TG_EINDEX,
                     "gather_nd: index -1 at position 1 is outside axis 1 of size 3");
        EXPECT_ERROR(tg_index_put(t, x, 2, index, tg_zeros(t, dtype, TG_SHAPE(2)), false),
                     TG_EINDEX, "index_put: index -1 at position 1 is outside axis 1 of size 3");
        EXPECT_ERROR(tg_gather_nd(t, x, 1, floats), TG_EDTYPE, "gather_nd: an index is i64, not f");
    }
}
