#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/op.h>

Test(shape, statuses_have_names_and_texts)
{
    cr_assert_str_eq(tg_status_name(TG_OK), "TG_OK");
    cr_assert_str_eq(tg_status_name(TG_ESHAPE), "TG_ESHAPE");
    cr_assert_str_eq(tg_status_name(TG_ECHECK), "TG_ECHECK");
    cr_assert_str_eq(tg_status_text(TG_ENOMEM), "out of memory");
    for (int k = 0; k < TG_STATUS_COUNT; k++) {
        cr_assert(strncmp(tg_status_name((tg_status)k), k ? "TG_E" : "TG_OK", k ? 4 : 5) == 0);
        cr_assert(strlen(tg_status_text((tg_status)k)) > 5);
    }
    const int strange[] = {-1, TG_STATUS_COUNT, 100000};
    for (int k = 0; k < 3; k++) {
        cr_assert_str_eq(tg_status_name((tg_status)strange[k]), "?");
        cr_assert_str_eq(tg_status_text((tg_status)strange[k]), "?");
    }
}

Test(shape, the_version_is_that_of_the_header) { cr_assert_eq(tg_version(), TG_VERSION); }

Test(shape, dtypes_have_sizes_and_names)
{
    cr_assert_eq(tg_dtype_size(TG_F32), sizeof(float));
    cr_assert_eq(tg_dtype_size(TG_F64), sizeof(double));
    cr_assert_eq(tg_dtype_size(TG_I64), sizeof(int64_t));
    cr_assert_eq(tg_dtype_size(TG_U8), 1);
    cr_assert_str_eq(tg_dtype_name(TG_F32), "f32");
    cr_assert_str_eq(tg_dtype_name(TG_F64), "f64");
    cr_assert_str_eq(tg_dtype_name(TG_I64), "i64");
    cr_assert_str_eq(tg_dtype_name(TG_U8), "u8");
    cr_assert_eq(tg_dtype_size((tg_dtype)-1), 0);
    cr_assert_eq(tg_dtype_size(TG_DTYPE_COUNT), 0);
    cr_assert_str_eq(tg_dtype_name((tg_dtype)77), "?");
}

Test(shape, the_macro_counts_its_arguments)
{
    const tg_shape s = TG_SHAPE(64, 784);
    cr_assert_eq(s.ndim, 2);
    cr_assert_eq(s.dim[0], 64);
    cr_assert_eq(s.dim[1], 784);
    for (int d = 2; d < TG_MAX_DIMS; d++) cr_assert_eq(s.dim[d], 0);
    cr_assert_eq(TG_SHAPE(0).ndim, 1);
    cr_assert_eq(TG_SHAPE(1, 2, 3, 4, 5, 6, 7, 8).ndim, 8);
    cr_assert_eq(TG_SCALAR.ndim, 0);
}

Test(shape, counts_elements)
{
    cr_assert_eq(tg_shape_count(TG_SCALAR), 1);
    cr_assert_eq(tg_shape_count(TG_SHAPE(0)), 0);
    cr_assert_eq(tg_shape_count(TG_SHAPE(7)), 7);
    cr_assert_eq(tg_shape_count(TG_SHAPE(2, 3, 0, 5)), 0);
    cr_assert_eq(tg_shape_count(TG_SHAPE(1, 2, 3, 4, 5, 6, 7, 8)), 40320);
    cr_assert_eq(tg_shape_count(TG_SHAPE(INT64_C(1) << 28, INT64_C(1) << 28)), INT64_C(1) << 56);
    /* Shapes are plain structs: what a caller may have filled in by hand is checked again. */
    cr_assert_eq(tg_shape_count((tg_shape){.ndim = 9}), -1);
    cr_assert_eq(tg_shape_count((tg_shape){.ndim = -3}), -1);
    cr_assert_eq(tg_shape_count((tg_shape){.ndim = 2, .dim = {3, -1}}), -1);
}

Test(shape, impossible_requests_give_ndim_minus_one)
{
    const int64_t dim[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    cr_assert_eq(tg_shape_of(-1, dim).ndim, -1);
    cr_assert_eq(tg_shape_of(9, dim).ndim, -1);
    cr_assert_eq(tg_shape_of(8, dim).ndim, 8);
    cr_assert_eq(tg_shape_of(1, NULL).ndim, -1);
    cr_assert_eq(TG_SHAPE(3, -2).ndim, -1);
    cr_assert_eq(TG_SHAPE(-1, -1).ndim, -1);
    cr_assert_eq(TG_SHAPE(INT64_MAX).ndim, -1);
    cr_assert_eq(TG_SHAPE((INT64_C(1) << 57) - 1).ndim, 1, "2^60 - 8 bytes of f64");
    cr_assert_eq(TG_SHAPE(INT64_C(1) << 57).ndim, -1);
    cr_assert_eq(TG_SHAPE(INT64_C(1) << 31, INT64_C(1) << 31, 2).ndim, -1);
    cr_assert_eq(TG_SHAPE(INT64_C(1) << 32, INT64_C(1) << 32).ndim, -1, "2^64 must not wrap to 0");
    /* Strides would overflow, though nothing is stored. */
    cr_assert_eq(TG_SHAPE(0, INT64_C(1) << 40, INT64_C(1) << 40).ndim, -1);
    cr_assert_eq(TG_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40, 0).ndim, -1);
}

Test(shape, one_open_size_is_kept_and_has_no_count)
{
    cr_assert_eq(TG_SHAPE(3, -1).ndim, 2);
    cr_assert_eq(TG_SHAPE(3, -1).dim[1], -1);
    cr_assert_eq(tg_shape_count(TG_SHAPE(-1)), -1);
    cr_assert_eq(TG_SHAPE(INT64_C(1) << 56, -1, 2).ndim, -1);
}

Test(shape, equality_ignores_unused_sizes)
{
    const tg_shape a = {.ndim = 2, .dim = {3, 4, 99}}, b = {.ndim = 2, .dim = {3, 4, 7}};
    cr_assert(tg_shape_equal(a, b));
    cr_assert(tg_shape_equal(TG_SCALAR, TG_SCALAR));
    cr_assert(!tg_shape_equal(TG_SCALAR, TG_SHAPE(1)));
    cr_assert(!tg_shape_equal(TG_SHAPE(3, 4), TG_SHAPE(4, 3)));
    cr_assert(!tg_shape_equal(TG_SHAPE(-1), TG_SHAPE(-1)), "an open shape equals nothing");
}

Test(shape, texts_are_readable_and_fit)
{
    cr_assert_str_eq(tg_shape_text(TG_SHAPE(64, 784)).text, "[64,784]");
    cr_assert_str_eq(tg_shape_text(TG_SCALAR).text, "[]");
    cr_assert_str_eq(tg_shape_text(TG_SHAPE(0)).text, "[0]");
    cr_assert_str_eq(tg_shape_text(TG_SHAPE(-4)).text, "[?]");
    cr_assert_str_eq(tg_shape_text((tg_shape){.ndim = 1000}).text, "[?]");
    cr_assert_str_eq(tg_shape_text(TG_SHAPE(INT64_C(1) << 56, 1, 1, 1, 1, 1, 1, 1)).text,
                     "[72057594037927936,1,1,1,1,1,1,1]");
}

Test(shape, axes_by_value)
{
    const tg_axes a = TG_AXES(0, -1);
    cr_assert_eq(a.n, 2);
    cr_assert_eq(a.axis[0], 0);
    cr_assert_eq(a.axis[1], -1);
    cr_assert_eq((TG_ALL_AXES).n, -1);
    cr_assert_eq(tg_axes_of(0, NULL).n, 0);
    cr_assert_eq(tg_axes_of(-2, NULL).n, -2);
    cr_assert_eq(tg_axes_of(-3, NULL).n, -2);
    cr_assert_eq(tg_axes_of(9, (int[9]){0}).n, -2);
    cr_assert_eq(tg_axes_of(2, NULL).n, -2);
}

static void broadcasts(tg_shape a, tg_shape b, tg_shape y)
{
    for (int turn = 0; turn < 2; turn++) {
        const tg_shape got = turn ? tg_shape_broadcast(b, a) : tg_shape_broadcast(a, b);
        if (y.ndim < 0)
            cr_assert_eq(got.ndim, -1, "%s against %s gave %s", tg_shape_text(a).text,
                         tg_shape_text(b).text, tg_shape_text(got).text);
        else
            cr_assert(tg_shape_equal(got, y), "%s against %s gave %s", tg_shape_text(a).text,
                      tg_shape_text(b).text, tg_shape_text(got).text);
    }
}

Test(shape, broadcasting_follows_numpy)
{
    const tg_shape none = {.ndim = -1};
    broadcasts(TG_SCALAR, TG_SCALAR, TG_SCALAR);
    broadcasts(TG_SCALAR, TG_SHAPE(2, 3), TG_SHAPE(2, 3));
    broadcasts(TG_SHAPE(3), TG_SHAPE(2, 3), TG_SHAPE(2, 3));
    broadcasts(TG_SHAPE(2, 1), TG_SHAPE(1, 3), TG_SHAPE(2, 3));
    broadcasts(TG_SHAPE(5, 1, 4), TG_SHAPE(3, 1), TG_SHAPE(5, 3, 4));
    broadcasts(TG_SHAPE(0), TG_SHAPE(1), TG_SHAPE(0));
    broadcasts(TG_SHAPE(0), TG_SHAPE(0), TG_SHAPE(0));
    broadcasts(TG_SHAPE(4, 0), TG_SHAPE(4, 1), TG_SHAPE(4, 0));
    broadcasts(TG_SHAPE(0), TG_SHAPE(2), none);
    broadcasts(TG_SHAPE(2), TG_SHAPE(3), none);
    broadcasts(TG_SHAPE(2, 3), TG_SHAPE(2), none);
    broadcasts(TG_SHAPE(-1), TG_SHAPE(2), none);
    broadcasts(TG_SHAPE(INT64_C(1) << 40, 1), TG_SHAPE(1, INT64_C(1) << 40), none);
}

Test(shape, contiguous_means_row_major_without_gaps)
{
    const tg_array row_major = {.shape = TG_SHAPE(2, 3, 4), .stride = {12, 4, 1}};
    const tg_array transposed = {.shape = TG_SHAPE(3, 2), .stride = {1, 3}};
    const tg_array gapped = {.shape = TG_SHAPE(3, 2), .stride = {4, 1}};
    const tg_array spread = {.shape = TG_SHAPE(3), .stride = {0}};
    const tg_array ones = {.shape = TG_SHAPE(1, 4, 1), .stride = {99, 1, -5}};
    const tg_array empty = {.shape = TG_SHAPE(3, 0), .stride = {7, 7}};
    const tg_array scalar = {.shape = TG_SCALAR};
    cr_assert(tg_array_contiguous(&row_major));
    cr_assert(!tg_array_contiguous(&transposed));
    cr_assert(!tg_array_contiguous(&gapped));
    cr_assert(!tg_array_contiguous(&spread));
    cr_assert(tg_array_contiguous(&ones));
    cr_assert(tg_array_contiguous(&empty));
    cr_assert(tg_array_contiguous(&scalar));
}
