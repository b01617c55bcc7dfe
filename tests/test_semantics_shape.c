/* Shapes, joining, padding and conversions at the edges: values and gradients, in all dtypes, with
 * every build of the kernels. */
#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "semantics.h"

/* 1, 2, 3, ... of any dtype. */
static tg_tensor *counting(tg_tape *t, tg_dtype dtype, tg_shape shape)
{
    const int64_t n = tg_shape_count(shape);
    char *data = calloc((size_t)n + 1, sizeof(double));
    for (int64_t i = 0; i < n; i++) switch (dtype) {
        case TG_F32: ((float *)(void *)data)[i] = (float)(i + 1); break;
        case TG_F64: ((double *)(void *)data)[i] = (double)(i + 1); break;
        case TG_I64: ((int64_t *)(void *)data)[i] = i + 1; break;
        default: ((uint8_t *)data)[i] = (uint8_t)(i + 1);
        }
    tg_tensor *x = tg_input(t, dtype, shape, data);
    free(data);
    return x;
}

/* Runs its block for every dtype. */
#define EACH_DTYPE                                         \
    for (tg_dtype dtype = TG_F32; dtype <= TG_U8; dtype++) \
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t))

/* ---------------------------------------------------------------- views */

Test(shapes, every_dtype_can_be_seen_and_joined)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(2, 3));
        EXPECT(tg_reshape(t, x, TG_SHAPE(3, 2)), 1, 2, 3, 4, 5, 6);
        EXPECT(tg_permute(t, x, TG_AXES(1, 0)), 1, 4, 2, 5, 3, 6);
        EXPECT(tg_transpose(t, x, 0, 1), 1, 4, 2, 5, 3, 6);
        EXPECT(tg_expand(t, x, TG_SHAPE(2, 2, 3)), 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6);
        EXPECT(tg_slice(t, x, 1, 0, 3, 2), 1, 3, 4, 6);
        EXPECT(tg_flip(t, x, TG_AXES(1)), 3, 2, 1, 6, 5, 4);
        EXPECT(tg_squeeze(t, tg_unsqueeze(t, x, 1), 1), 1, 2, 3, 4, 5, 6);
        EXPECT(tg_concat(t, 2, ((tg_tensor *[]){x, x}), 1), 1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6);
        EXPECT(tg_stack(t, 2, ((tg_tensor *[]){x, tg_flip(t, x, TG_AXES(1))}), 2), 1, 3, 2, 2, 3, 1,
               4, 6, 5, 5, 6, 4);
        EXPECT(tg_pad(t, x, TG_SHAPE(0, 1), TG_SHAPE(1, 0), 9), 9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9);
        EXPECT(tg_concat(t, 2,
                         ((tg_tensor *[]){tg_transpose(t, x, 0, 1),
                                          tg_flip(t, tg_transpose(t, x, 0, 1), TG_ALL_AXES)}),
                         0),
               1, 4, 2, 5, 3, 6, 6, 3, 5, 2, 4, 1);
    }
}

Test(shapes, one_size_of_a_reshape_may_be_left_open)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(2, 6));
        EXPECT_SHAPE(tg_reshape(t, x, TG_SHAPE(-1)), TG_SHAPE(12));
        EXPECT_SHAPE(tg_reshape(t, x, TG_SHAPE(3, -1, 2)), TG_SHAPE(3, 2, 2));
        EXPECT_SHAPE(tg_reshape(t, x, TG_SHAPE(-1, 12)), TG_SHAPE(1, 12));
        EXPECT_SHAPE(tg_reshape(t, counting(t, dtype, TG_SHAPE(0, 3)), TG_SHAPE(-1, 3)),
                     TG_SHAPE(0, 3));
        EXPECT_SHAPE(tg_reshape(t, counting(t, dtype, TG_SCALAR), TG_SHAPE(-1)), TG_SHAPE(1));
    }
}

/* What strides can't express is copied; the contents are row-major in the operand's own order. */
Test(shapes, any_view_can_be_reshaped)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(2, 3));
        EXPECT(tg_reshape(t, tg_transpose(t, x, 0, 1), TG_SHAPE(2, 3)), 1, 4, 2, 5, 3, 6);
        EXPECT(tg_reshape(t, tg_flip(t, x, TG_ALL_AXES), TG_SHAPE(6)), 6, 5, 4, 3, 2, 1);
        EXPECT(tg_reshape(t, tg_slice(t, x, 1, 1, TG_END, 1), TG_SHAPE(4)), 2, 3, 5, 6);
        EXPECT(tg_reshape(t, tg_expand(t, tg_slice(t, x, 1, 0, 1, 1), TG_SHAPE(2, 2)), TG_SHAPE(4)),
               1, 1, 4, 4);
        EXPECT(tg_slice(t, tg_flip(t, tg_slice(t, x, 1, 0, TG_END, 2), TG_AXES(1)), 0, 1, 2, 1), 6,
               4);
    }
}

/* The k-th of 48 views of 24 numbers: permuted, perhaps flipped, sliced, expanded. */
static tg_tensor *some_view(tg_tape *t, int k)
{
    const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    tg_tensor *x =
        tg_permute(t, counting(t, TG_I64, TG_SHAPE(4, 3, 2)), tg_axes_of(3, orders[k % 6]));
    if (k / 6 % 2) x = tg_flip(t, x, k % 4 ? TG_ALL_AXES : TG_AXES(k % 3));
    if (k / 12 % 2) x = tg_slice(t, x, k % 3, 0, TG_END, 2);
    if (k / 24 % 2 == 0) return x;
    tg_shape wide = tg_tensor_shape(x = tg_unsqueeze(t, x, k % 4));
    wide.dim[k % 4] = 6;
    return tg_expand(t, x, wide);
}

/* Whether a reshape is a view or a copy, the row-major contents stay. */
Test(shapes, reshapes_of_views_of_views_keep_the_order)
{
    const tg_shape targets[] = {
        TG_SHAPE(-1),         TG_SHAPE(2, -1),       TG_SHAPE(-1, 2),
        TG_SHAPE(3, -1),      TG_SHAPE(-1, 3),       TG_SHAPE(1, -1, 4),
        TG_SHAPE(2, 2, -1),   TG_SHAPE(3, 1, 2, -1), TG_SHAPE(-1, 1, 2, 2, 1),
        TG_SHAPE(2, 3, -1),   TG_SHAPE(2, -1, 3),    TG_SHAPE(2, 2, 2, -1),
        TG_SHAPE(2, 2, -1, 3)};
    for (int k = 0; k < 48; k++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
            int64_t want[24 * 6];
            tg_tensor *plain = some_view(t, k);
            const int64_t count = tg_tensor_count(plain);
            const void *data = tg_data(t, plain);
            cr_assert(data && count <= 24 * 6);
            memcpy(want, data, (size_t)count * sizeof *want);
            for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
                int64_t known = 1;
                for (int d = 0; d < targets[i].ndim; d++)
                    known *= targets[i].dim[d] == -1 ? 1 : targets[i].dim[d];
                if (count % known) continue;
                /* a view of a value that is there already would be a view of contiguous memory */
                tg_tape_reset(t);
                data = tg_data(t, tg_reshape(t, some_view(t, k), targets[i]));
                cr_expect(data && memcmp(data, want, (size_t)count * sizeof *want) == 0,
                          "case %d, target %zu", k, i);
            }
        }
}

Test(shapes, the_gradient_of_a_view_is_the_view_back)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *gx,
                  *seed = INPUT(TG_SHAPE(3, 2), 1, 2, 3, 4, 5, 6);
        tg_grad(t, tg_transpose(t, x, 0, 1), seed, 1, &x, &gx, false);
        EXPECT(gx, 1, 3, 5, 2, 4, 6);
        tg_grad(t, tg_reshape(t, x, TG_SHAPE(3, 2)), seed, 1, &x, &gx, false);
        EXPECT(gx, 1, 2, 3, 4, 5, 6);
        tg_grad(t, tg_flip(t, x, TG_AXES(0)), INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), 1, &x, &gx,
                false);
        EXPECT(gx, 4, 5, 6, 1, 2, 3);
        tg_grad(t, tg_expand(t, x, TG_SHAPE(4, 2, 3)),
                tg_expand(t, INPUT(TG_SCALAR, 2), TG_SHAPE(4, 2, 3)), 1, &x, &gx, false);
        EXPECT(gx, 8, 8, 8, 8, 8, 8);
        tg_grad(t, tg_expand(t, tg_slice(t, x, 1, 2, 3, 1), TG_SHAPE(2, 2)),
                INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), 1, &x, &gx, false);
        EXPECT(gx, 0, 0, 3, 0, 0, 7);
        tg_grad(t, tg_slice(t, x, 1, 0, TG_END, 2), INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), 1, &x, &gx,
                false);
        EXPECT(gx, 1, 0, 2, 3, 0, 4);
    }
}

/* Both slices of x are x's: their gradients meet, and the overlap counts twice. */
Test(shapes, overlapping_slices_accumulate)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 1, 2, 3, 4);
        tg_tensor *y = tg_mul(t, tg_slice(t, x, 0, 0, 3, 1), tg_slice(t, x, 0, 1, 4, 1)),
                  *gx = semantics_grad(t, y, x);
        EXPECT(y, 2, 6, 12);
        EXPECT(gx, 2, 4, 6, 3);
        /* sum of (x[i] x[i+1])' = x1, x0 + x2, x1 + x3, x2; summed: 1, 2, 2, 1 */
        EXPECT(semantics_grad(t, gx, x), 1, 2, 2, 1);
    }
}

Test(shapes, slice_bounds_count_from_the_end_and_are_clipped)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(5)), *empty = counting(t, dtype, TG_SHAPE(0));
        EXPECT(tg_slice(t, x, 0, -2, TG_END, 1), 4, 5);
        EXPECT(tg_slice(t, x, -1, 1, -1, 1), 2, 3, 4);
        EXPECT(tg_slice(t, x, 0, -100, 2, 1), 1, 2);
        EXPECT(tg_slice(t, x, 0, INT64_MIN, INT64_MAX, INT64_MAX), 1);
        EXPECT(tg_slice(t, x, 0, 0, TG_END, 4), 1, 5);
        EXPECT(tg_slice(t, counting(t, dtype, TG_SHAPE(2, 3)), 0, 1, TG_END, INT64_MAX), 4, 5, 6);
        EXPECT(tg_slice(t, x, 0, 0, TG_END, 3), 1, 4);
        EXPECT_SHAPE(tg_slice(t, x, 0, 3, 3, 1), TG_SHAPE(0));
        EXPECT_SHAPE(tg_slice(t, x, 0, 4, 2, 1), TG_SHAPE(0));
        EXPECT_SHAPE(tg_slice(t, x, 0, TG_END, TG_END, 1), TG_SHAPE(0));
        EXPECT_SHAPE(tg_slice(t, x, 0, 0, INT64_MIN, 1), TG_SHAPE(0));
        EXPECT_SHAPE(tg_slice(t, empty, 0, -1, TG_END, 2), TG_SHAPE(0));
        cr_expect_not_null(tg_data(t, tg_slice(t, empty, 0, -1, TG_END, 2)));
    }
}

Test(shapes, size_0_is_a_size)
{
    EACH_DTYPE
    {
        tg_tensor *none = counting(t, dtype, TG_SHAPE(0, 3)),
                  *row = counting(t, dtype, TG_SHAPE(1, 3)), *one = counting(t, dtype, TG_SHAPE(1));
        EXPECT_SHAPE(tg_expand(t, row, TG_SHAPE(0, 3)), TG_SHAPE(0, 3));
        EXPECT_SHAPE(tg_expand(t, one, TG_SHAPE(2, 0)), TG_SHAPE(2, 0));
        EXPECT_SHAPE(tg_flip(t, none, TG_ALL_AXES), TG_SHAPE(0, 3));
        EXPECT_SHAPE(tg_permute(t, none, TG_AXES(1, 0)), TG_SHAPE(3, 0));
        EXPECT_SHAPE(tg_reshape(t, none, TG_SHAPE(7, 0, 2)), TG_SHAPE(7, 0, 2));
        EXPECT(tg_concat(t, 3, ((tg_tensor *[]){none, row, none}), 0), 1, 2, 3);
        EXPECT_SHAPE(tg_stack(t, 2, ((tg_tensor *[]){none, none}), -1), TG_SHAPE(0, 3, 2));
        EXPECT(tg_pad(t, none, TG_SHAPE(0, 0), TG_SHAPE(1, 0), 4), 4, 4, 4);
        cr_expect_not_null(tg_data(t, tg_flip(t, none, TG_ALL_AXES)));
    }
    EACH_BUILD
    {
        tg_tensor *row = INPUT(TG_SHAPE(1, 3), 1, 2, 3), *gx,
                  *empty = tg_expand(t, row, TG_SHAPE(0, 3));
        tg_grad(t, tg_sum(t, empty, TG_ALL_AXES, false), NULL, 1, &row, &gx, false);
        EXPECT(gx, 0, 0, 0);
    }
}

Test(shapes, a_scalar_is_not_a_vector_of_one)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SCALAR);
        EXPECT_SHAPE(tg_reshape(t, x, TG_SHAPE(1)), TG_SHAPE(1));
        EXPECT_SHAPE(tg_unsqueeze(t, x, -1), TG_SHAPE(1));
        EXPECT_SHAPE(tg_squeeze(t, tg_unsqueeze(t, x, 0), -1), TG_SCALAR);
        EXPECT_SHAPE(tg_flip(t, x, TG_ALL_AXES), TG_SCALAR);
        EXPECT_SHAPE(tg_pad(t, x, TG_SCALAR, TG_SCALAR, 0), TG_SCALAR);
        EXPECT(tg_stack(t, 2, ((tg_tensor *[]){x, x}), 0), 1, 1);
    }
}

Test(shapes, eight_dimensions_work_and_a_ninth_is_refused)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(1, 2, 1, 2, 1, 2, 1, 2)),
                  *y = tg_permute(t, x, TG_AXES(7, 6, 5, 4, 3, 2, 1, 0));
        EXPECT(y, 1, 9, 5, 13, 3, 11, 7, 15, 2, 10, 6, 14, 4, 12, 8, 16);
        EXPECT(tg_concat(t, 2, ((tg_tensor *[]){y, tg_flip(t, y, TG_ALL_AXES)}), 1), 1, 9, 5, 13, 3,
               11, 7, 15, 16, 8, 12, 4, 14, 6, 10, 2, 2, 10, 6, 14, 4, 12, 8, 16, 15, 7, 11, 3, 13,
               5, 9, 1);
        EXPECT(tg_slice(t,
                        tg_pad(t, x, TG_SHAPE(0, 0, 0, 0, 0, 0, 0, 1),
                               TG_SHAPE(0, 0, 0, 0, 0, 0, 0, 1), 0),
                        7, 1, 2, 1),
               1, 3, 5, 7, 9, 11, 13, 15);
    }
}

/* ---------------------------------------------------------------- joining and padding */

Test(shapes, gradients_go_back_to_what_was_joined)
{
    EACH_BUILD
    {
        tg_tensor *x[] = {INPUT(TG_SHAPE(2, 1), 1, 2), INPUT(TG_SHAPE(2, 0), 0),
                          INPUT(TG_SHAPE(2, 2), 3, 4, 5, 6)},
                  *gx[3];
        tg_tensor *y = tg_concat(t, 3, x, -1);
        EXPECT(y, 1, 3, 4, 2, 5, 6);
        tg_grad(t, y, INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), 3, x, gx, false);
        EXPECT(gx[0], 1, 4);
        EXPECT(gx[2], 2, 3, 5, 6);
        EXPECT_SHAPE(gx[1], TG_SHAPE(2, 0));
        tg_tensor *s[] = {INPUT(TG_SHAPE(2), 1, 2), INPUT(TG_SHAPE(2), 3, 4)};
        tg_grad(t, tg_stack(t, 2, s, 1), INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), 2, s, gx, false);
        EXPECT(gx[0], 1, 3);
        EXPECT(gx[1], 2, 4);
    }
}

Test(shapes, one_tensor_joined_with_itself_accumulates)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2), 1, 2), *many[20], *gx;
        for (int k = 0; k < 20; k++) many[k] = x;
        tg_tensor *y = tg_concat(t, 20, many, 0), *z = tg_stack(t, 20, many, 0);
        cr_expect_eq(tg_tensor_count(y), 40);
        tg_grad(t, tg_sum(t, y, TG_ALL_AXES, false), NULL, 1, &x, &gx, false);
        EXPECT(gx, 20, 20);
        tg_grad(t, tg_sum(t, tg_square(t, z), TG_ALL_AXES, false), NULL, 1, &x, &gx, false);
        EXPECT(gx, 40, 80);
    }
}

Test(shapes, padding_is_no_part_of_the_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2), 1, 2), *gx;
        tg_tensor *y = tg_pad(t, x, TG_SHAPE(1), TG_SHAPE(2), -INFINITY);
        EXPECT(y, -INFINITY, 1, 2, -INFINITY, -INFINITY);
        tg_grad(t, y, INPUT(TG_SHAPE(5), NAN, 3, 4, INFINITY, 5), 1, &x, &gx, false);
        EXPECT(gx, 3, 4);
    }
}

Test(shapes, long_copies_are_cut_without_a_seam)
{
    enum { ROWS = 4096, WIDTH = 32 };
    EACH_DTYPE
    {
        tg_tape_set_threads(t, 3);
        tg_tensor *x = tg_expand(t, counting(t, dtype, TG_SHAPE(WIDTH)), TG_SHAPE(ROWS, WIDTH));
        tg_tensor *columns[] = {x, tg_flip(t, x, TG_AXES(1)), tg_slice(t, x, 1, 0, 1, 1)};
        tg_tensor *y = tg_concat(t, 3, columns, 1),
                  *p = tg_pad(t, y, TG_SHAPE(3, 2), TG_SHAPE(0, 1), 7);
        const void *joined = tg_data(t, y), *padded = tg_data(t, p);
        int wrong = 0;
        for (int64_t i = 0; joined && padded && i < (ROWS + 3) * (2 * WIDTH + 4); i++) {
            const int64_t row = i / (2 * WIDTH + 4) - 3, j = i % (2 * WIDTH + 4) - 2;
            const bool inside = row >= 0 && j >= 0 && j <= 2 * WIDTH;
            const double want = !inside ? 7
                                        : (double)(j < WIDTH       ? j + 1
                                                   : j < 2 * WIDTH ? 2 * WIDTH - j
                                                                   : 1);
            wrong += semantics_element(dtype, padded, i) != want;
            wrong += inside && semantics_element(dtype, joined, row * (2 * WIDTH + 1) + j) != want;
        }
        cr_expect(joined && padded && wrong == 0, "%d elements", wrong);
    }
}

/* ---------------------------------------------------------------- conversions */

Test(shapes, casts_go_towards_zero)
{
    EACH_BUILD
    {
        EXPECT(tg_cast(t, INPUT(TG_SHAPE(7), -2.9, -0.5, -0.0, 0.9, 1.5, 2.5, 1e9), TG_I64), -2, 0,
               0, 0, 1, 2, 1e9);
        EXPECT(tg_cast(t, INPUT(TG_SHAPE(5), -0.99, 0, 0.99, 254.5, 255.99), TG_U8), 0, 0, 0, 254,
               255);
        const int64_t *ends =
            tg_data(t, tg_cast(t, INPUT(TG_SHAPE(2), -0x1p63, 0x1.fffffep62), TG_I64));
        cr_expect(ends && ends[0] == INT64_MIN && ends[1] == INT64_MAX - 0x7fffffffff);
    }
}

Test(shapes, casts_between_floats_round_once_and_pass_gradients)
{
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
            tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(4),
                                    ((const double[]){0.1, 1e300, -INFINITY, NAN})),
                      *y = tg_cast(t, x, TG_F32), *gx;
            const float *single = tg_data(t, y);
            cr_expect(single && single[0] == 0.1f && single[1] == INFINITY &&
                      single[2] == -INFINITY && isnan(single[3]));
            tg_tensor *back =
                tg_cast(t, tg_square(t, tg_cast(t, tg_slice(t, x, 0, 0, 1, 1), TG_F32)), TG_F64);
            tg_grad(t, back, NULL, 1, &x, &gx, false);
            cr_expect_eq(tg_tensor_dtype(gx), TG_F64);
            EXPECT(gx, (double)(2 * 0.1f), 0, 0, 0);
            tg_tensor *f = tg_input(t, TG_F32, TG_SHAPE(2), ((const float[]){1, 3})), *gf;
            tg_grad(t, tg_sum(t, tg_square(t, tg_cast(t, f, TG_F64)), TG_ALL_AXES, false), NULL, 1,
                    &f, &gf, false);
            cr_expect_eq(tg_tensor_dtype(gf), TG_F32);
            EXPECT(gf, 2, 6);
        }
}

Test(shapes, a_cast_to_its_own_dtype_is_nothing)
{
    EACH_DTYPE
    {
        tg_tensor *x = counting(t, dtype, TG_SHAPE(2));
        cr_expect_eq(tg_cast(t, x, dtype), x);
    }
}

/* Fails the evaluation, not the recording: the message names this file and the element. */
static void expect_failure(int line, tg_tape *t, tg_tensor *y, tg_status status, const char *text)
{
    char here[64];
    snprintf(here, sizeof here, "test_semantics_shape.c:%d: ", line);
    cr_expect_not_null(y, "%s", tg_tape_message(t));
    cr_expect_null(tg_data(t, y));
    cr_expect_eq(tg_tape_status(t), status, "line %d: %s", line, tg_tape_message(t));
    cr_expect(strstr(tg_tape_message(t), here) && strstr(tg_tape_message(t), text), "line %d: %s",
              line, tg_tape_message(t));
    tg_tape_clear_error(t);
}
#define EXPECT_FAILURE(status, text, y) expect_failure(__LINE__, t, y, status, text)

Test(shapes, values_that_an_integer_can_not_hold_are_refused)
{
    EACH_BUILD
    {
        tg_tensor *unknown = INPUT(TG_SHAPE(3), 0, NAN, NAN);
        tg_tensor *bounds = INPUT(TG_SHAPE(3), 0, -0x1p63, 0x1p63);
        tg_tensor *below = INPUT(TG_SHAPE(1), -0x1.000002p63);
        EXPECT_FAILURE(TG_EVALUE, "element 1 ", tg_cast(t, unknown, TG_I64));
        EXPECT_FAILURE(TG_EVALUE, "element 2 ", tg_cast(t, bounds, TG_I64));
        EXPECT_FAILURE(TG_EVALUE, "-inf", tg_cast(t, INPUT(TG_SHAPE(1), -INFINITY), TG_I64));
        EXPECT_FAILURE(TG_EVALUE, "element 0 ", tg_cast(t, below, TG_I64));
        EXPECT_FAILURE(TG_EVALUE, "256", tg_cast(t, INPUT(TG_SHAPE(2), 255, 256), TG_U8));
        EXPECT_FAILURE(TG_EVALUE, "-1 ", tg_cast(t, INPUT(TG_SHAPE(2), 0, -1), TG_U8));
        EXPECT_FAILURE(TG_EVALUE, "nan", tg_cast(t, tg_abs(t, INPUT(TG_SHAPE(1), NAN)), TG_U8));
        tg_tensor *beyond = tg_input(t, TG_I64, TG_SHAPE(2), ((const int64_t[]){7, 300}));
        EXPECT_FAILURE(TG_EVALUE, "300", tg_cast(t, beyond, TG_U8));
        tg_tensor *long_row =
            tg_concat(t, 2,
                      ((tg_tensor *[]){tg_expand(t, INPUT(TG_SCALAR, 1), TG_SHAPE(5000)),
                                       INPUT(TG_SHAPE(1), 1e30)}),
                      0);
        EXPECT_FAILURE(TG_EVALUE, "element 5000 ", tg_cast(t, long_row, TG_I64));
        /* of several the first, however the row is cut into blocks */
        double values[5000] = {0};
        values[500] = values[1100] = values[2060] = values[4100] = INFINITY;
        tg_tensor *several = semantics_input(t, dtype, TG_SHAPE(5000), values);
        EXPECT_FAILURE(TG_EVALUE, "element 500 ", tg_cast(t, several, TG_I64));
    }
}

Test(shapes, one_hot_checks_its_labels)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        tg_tensor *x = tg_input(t, TG_I64, TG_SHAPE(2, 2), ((const int64_t[]){0, 2, 1, 0}));
        for (tg_dtype dtype = TG_F32; dtype <= TG_U8; dtype++) {
            tg_tensor *y = tg_one_hot(t, x, 3, dtype);
            cr_expect_eq(tg_tensor_dtype(y), dtype);
            EXPECT_SHAPE(y, TG_SHAPE(2, 2, 3));
            EXPECT(y, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0);
            const char *message = "label 2 at element 1 is not in 0..1";
            EXPECT_FAILURE(TG_EINDEX, message, tg_one_hot(t, x, 2, dtype));
        }
        tg_tensor *below = tg_input(t, TG_I64, TG_SHAPE(1), ((const int64_t[]){-1}));
        tg_tensor *least = tg_input(t, TG_I64, TG_SCALAR, ((const int64_t[]){INT64_MIN}));
        EXPECT_FAILURE(TG_EINDEX, "label -1 ", tg_one_hot(t, below, 2, TG_F32));
        EXPECT_FAILURE(TG_EINDEX, "element 0 ", tg_one_hot(t, least, 2, TG_F32));
        EXPECT(tg_one_hot(t, tg_slice(t, x, 0, 0, 1, 1), 3, TG_F64), 1, 0, 0, 0, 0, 1);
    }
}

Test(shapes, integers_are_no_way_for_a_gradient)
{
    tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(2), ((const double[]){1.5, 2.5})), *gx;
    tg_tensor *y = tg_sum(t, tg_cast(t, tg_cast(t, x, TG_I64), TG_F64), TG_ALL_AXES, false);
    cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &gx, false), TG_ENOGRAD, "%s", tg_tape_message(t));
    cr_expect_null(gx);
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- refusals */

#define REFUSED(status, call)                                                                     \
    do {                                                                                          \
        tg_tape *t = semantics_tape(TG_ISA_AUTO, 1);                                              \
        tg_tensor *x TG_MAYBE_UNUSED = counting(t, TG_F64, TG_SHAPE(2, 3)),                       \
                     *scalar TG_MAYBE_UNUSED = counting(t, TG_F64, TG_SCALAR);                    \
        tg_tensor *single TG_MAYBE_UNUSED = counting(t, TG_F32, TG_SHAPE(2, 3)),                  \
                          *integers TG_MAYBE_UNUSED = counting(t, TG_I64, TG_SHAPE(3));           \
        tg_tensor *full TG_MAYBE_UNUSED = counting(t, TG_I64, TG_SHAPE(1, 1, 1, 1, 1, 1, 1, 2));  \
        cr_expect_null(call, #call);                                                              \
        char here[64];                                                                            \
        snprintf(here, sizeof here, "test_semantics_shape.c:%d: ", __LINE__);                     \
        cr_expect_eq(tg_tape_status(t), status, "%s: %s", #call, tg_tape_message(t));             \
        cr_expect(strstr(tg_tape_message(t), here) != NULL, "%s: %s", #call, tg_tape_message(t)); \
        cr_expect_null(tg_cast(t, x, TG_F64), "a tape in error must not go on");                  \
        tg_tape_free(t);                                                                          \
    } while (0)
#define BOTH(a, b) ((tg_tensor *[]){a, b})

Test(shapes, impossible_shapes)
{
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(7)));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(-1, 4)));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(-1, -1)));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(-1, 0)));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(-2, -3)));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, ((tg_shape){9, {6}})));
    REFUSED(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(INT64_C(1) << 40, INT64_C(1) << 40)));
    REFUSED(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(3, 3)));
    REFUSED(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(3)));
    REFUSED(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(2, -1)));
    REFUSED(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(INT64_C(1) << 60, 2, 3)));
    REFUSED(TG_ESHAPE, tg_pad(t, x, TG_SHAPE(1), TG_SHAPE(1), 0));
    REFUSED(TG_ESHAPE, tg_pad(t, x, TG_SHAPE(-9, 0), TG_SHAPE(0, 0), 0));
    REFUSED(TG_ESHAPE, tg_pad(t, x, TG_SHAPE(0, 0), TG_SHAPE(0, 0, 0), 0));
    const tg_shape huge = TG_SHAPE(INT64_C(1) << 56, 0);
    REFUSED(TG_ESHAPE, tg_pad(t, x, huge, huge, 0));
    REFUSED(TG_ESHAPE, tg_pad(t, x, TG_SHAPE(INT64_C(1) << 54, 0), TG_SHAPE(0, 1 << 20), 0));
    REFUSED(TG_ESHAPE, tg_squeeze(t, x, 1));
    REFUSED(TG_ESHAPE, tg_unsqueeze(t, full, 0));
    REFUSED(TG_ESHAPE, tg_stack(t, 2, BOTH(full, full), 0));
    REFUSED(TG_ESHAPE, tg_one_hot(t, full, 2, TG_F32));
    REFUSED(TG_ESHAPE, tg_one_hot(t, integers, INT64_MAX, TG_F32));
    REFUSED(TG_ESHAPE, tg_concat(t, 2, BOTH(x, tg_transpose(t, x, 0, 1)), 0));
    REFUSED(TG_ESHAPE, tg_concat(t, 2, BOTH(x, tg_unsqueeze(t, x, 0)), 0));
    REFUSED(TG_ESHAPE, tg_concat(t, 2, BOTH(scalar, scalar), 0));
    REFUSED(TG_ESHAPE, tg_stack(t, 2, BOTH(x, scalar), 0));
}

Test(shapes, axes_that_are_not_there)
{
    REFUSED(TG_ESHAPE, tg_permute(t, x, TG_AXES(0)));
    REFUSED(TG_ESHAPE, tg_permute(t, x, TG_AXES(0, 0)));
    REFUSED(TG_ESHAPE, tg_permute(t, x, TG_AXES(0, 2)));
    REFUSED(TG_ESHAPE, tg_permute(t, x, TG_AXES(0, 1, 2)));
    REFUSED(TG_ESHAPE, tg_permute(t, x, TG_ALL_AXES));
    REFUSED(TG_ESHAPE, tg_transpose(t, x, 0, 2));
    REFUSED(TG_ESHAPE, tg_transpose(t, scalar, 0, 0));
    REFUSED(TG_ESHAPE, tg_flip(t, x, TG_AXES(-3)));
    REFUSED(TG_ESHAPE, tg_flip(t, x, TG_AXES(1, -1)));
    REFUSED(TG_ESHAPE, tg_slice(t, x, 2, 0, 1, 1));
    REFUSED(TG_ESHAPE, tg_slice(t, scalar, 0, 0, 1, 1));
    REFUSED(TG_ESHAPE, tg_squeeze(t, scalar, 0));
    REFUSED(TG_ESHAPE, tg_unsqueeze(t, x, 3));
    REFUSED(TG_ESHAPE, tg_unsqueeze(t, x, -4));
    REFUSED(TG_ESHAPE, tg_concat(t, 1, &x, 2));
    REFUSED(TG_ESHAPE, tg_stack(t, 1, &x, 3));
}

Test(shapes, other_refusals)
{
    REFUSED(TG_EVALUE, tg_slice(t, x, 0, 0, 1, 0));
    REFUSED(TG_EVALUE, tg_slice(t, x, 0, 1, 0, -1));
    REFUSED(TG_EVALUE, tg_concat(t, 0, &x, 0));
    REFUSED(TG_EVALUE, tg_stack(t, -1, &x, 0));
    REFUSED(TG_EVALUE, tg_one_hot(t, integers, 0, TG_F32));
    REFUSED(TG_EVALUE, tg_pad(t, integers, TG_SHAPE(0), TG_SHAPE(1), 0.5));
    REFUSED(TG_EDTYPE, tg_concat(t, 2, BOTH(x, single), 0));
    REFUSED(TG_EDTYPE, tg_stack(t, 2, BOTH(x, single), 0));
    REFUSED(TG_EDTYPE, tg_one_hot(t, x, 3, TG_F32));
    REFUSED(TG_EDTYPE, tg_one_hot(t, integers, 3, (tg_dtype)9));
    REFUSED(TG_EDTYPE, tg_cast(t, x, (tg_dtype)-1));
    REFUSED(TG_EDTYPE, tg_cast(t, x, TG_DTYPE_COUNT));
    REFUSED(TG_ENULL, tg_reshape(t, NULL, TG_SHAPE(1)));
    REFUSED(TG_ENULL, tg_permute(t, NULL, TG_AXES(0)));
    REFUSED(TG_ENULL, tg_transpose(t, NULL, 0, 0));
    REFUSED(TG_ENULL, tg_expand(t, NULL, TG_SHAPE(1)));
    REFUSED(TG_ENULL, tg_slice(t, NULL, 0, 0, 1, 1));
    REFUSED(TG_ENULL, tg_flip(t, NULL, TG_ALL_AXES));
    REFUSED(TG_ENULL, tg_squeeze(t, NULL, 0));
    REFUSED(TG_ENULL, tg_unsqueeze(t, NULL, 0));
    REFUSED(TG_ENULL, tg_concat(t, 1, NULL, 0));
    REFUSED(TG_ENULL, tg_concat(t, 2, BOTH(x, NULL), 0));
    REFUSED(TG_ENULL, tg_concat(t, 2, BOTH(NULL, x), 0));
    REFUSED(TG_ENULL, tg_stack(t, 2, BOTH(x, NULL), 0));
    REFUSED(TG_ENULL, tg_pad(t, NULL, TG_SCALAR, TG_SCALAR, 0));
    REFUSED(TG_ENULL, tg_cast(t, NULL, TG_F32));
    REFUSED(TG_ENULL, tg_one_hot(t, NULL, 2, TG_F32));
    cr_expect_null(tg_concat(NULL, 0, NULL, 0));
    cr_expect_null(tg_reshape(NULL, NULL, TG_SCALAR));
}
