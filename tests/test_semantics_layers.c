/* Edges of attention in its general form, of rotary positions, of losses over classes, of volumes
 * and windows, of paddings, and of a table with a padding row. */
#include "semantics.h"

Test(semantics_layers, a_query_without_keys_gives_zeros_with_a_bias_too)
{
    EACH_BUILD
    {
        tg_tensor *q = INPUT(TG_SHAPE(2, 1), 1, 2), *k = INPUT(TG_SHAPE(2, 1), 1, -1),
                  *v = INPUT(TG_SHAPE(2, 1), 3, 5), *y,
                  *bias = INPUT(TG_SHAPE(2, 2), -INFINITY, -INFINITY, 0, -INFINITY);
        EXPECT(y = tg_scaled_dot_product_attention(t, q, k, v, bias, false, 0, false), 0, 3);
        EXPECT(GRAD(y, v), 1, 0);
        EXPECT(GRAD(y, q), 0, 0);
        tg_tensor *zero = tg_zeros(t, dtype, TG_SHAPE(2, 2));
        EXPECT(tg_slice(t, tg_scaled_dot_product_attention(t, q, k, v, zero, true, 9, false), 0, 0,
                        1, 1),
               3);
        const double first = 1 / (1 + exp(-0.5)), second = 1 / (1 + exp(-1));
        EXPECT(tg_scaled_dot_product_attention(t, q, k, v, zero, false, 0.25, false), 5 - 2 * first,
               5 - 2 * second);
        EXPECT(tg_scaled_dot_product_attention(t, q, k, v, NULL, false, 0.25, false), 5 - 2 * first,
               5 - 2 * second);
    }
}

Test(semantics_layers, heads_must_be_groups)
{
    EACH_BUILD
    {
        tg_tensor *q = tg_ones(t, dtype, TG_SHAPE(3, 2, 1)),
                  *k = tg_ones(t, dtype, TG_SHAPE(2, 2, 1)),
                  *mask = tg_ones(t, TG_U8, TG_SHAPE(2, 1, 2));
        EXPECT_ERROR(tg_scaled_dot_product_attention(t, q, k, k, NULL, false, 0, true), TG_ESHAPE,
                     "the heads of q [3,2,1] are no groups for those of k [2,2,1]");
        tg_tensor *q4 = tg_ones(t, dtype, TG_SHAPE(4, 2, 1));
        EXPECT_SHAPE(tg_scaled_dot_product_attention(t, q4, k, k, NULL, false, 0, true),
                     TG_SHAPE(4, 2, 1));
        EXPECT_ERROR(tg_scaled_dot_product_attention(t, q4, k, k, mask, false, 0, true), TG_ESHAPE,
                     "a mask [2,1,2] for 4 heads");
        tg_tensor *heads =
            tg_less(t, tg_reshape(t, tg_arange(t, TG_I64, 0, 4, 1), TG_SHAPE(4, 1, 1)),
                    tg_constant(t, TG_I64, 3));
        tg_tensor *seen = tg_expand(t, heads, TG_SHAPE(4, 1, 2));
        EXPECT(tg_scaled_dot_product_attention(t, q4, k, k, seen, false, 0, true), 1, 1, 1, 1, 1, 1,
               0, 0);
        EXPECT_ERROR(tg_scaled_dot_product_attention(t, q, q, q, NULL, false, (double)NAN, false),
                     TG_EVALUE, "scaled_dot_product_attention: a scale of nan");
    }
}

Test(semantics_layers, far_positions_keep_their_angles)
{
    EACH_BUILD
    {
        const int64_t far = 1000003;
        tg_tensor *x = INPUT(TG_SHAPE(1, 2), 1, 0), *at = INDEX(TG_SHAPE(1), far);
        EXPECT(tg_rotary_embedding(t, x, at, 10000, false), cos((double)far), sin((double)far));
        EXPECT_ERROR(tg_rotary_embedding(t, tg_transpose(t, x, 0, 1), at, 10000, false), TG_ESHAPE,
                     "rotary_embedding: x [2,1] is not [..., n, d]");
        EXPECT_ERROR(tg_rotary_embedding(t, x, at, 0, false), TG_EVALUE, "a base of 0");
        EXPECT_ERROR(tg_rotary_embedding(t, x, INPUT(TG_SHAPE(1), 1), 10, false), TG_EDTYPE,
                     "positions are i64");
    }
}

Test(semantics_layers, labels_that_cannot_be_read_cost_inf_without_a_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_log(t, tg_full(t, dtype, 0.5, TG_SHAPE(2, 2, 2))),
                  *labels = INDEX(TG_SHAPE(2, 2), 1, 1, 1, 0), *times = INDEX(TG_SHAPE(2), 2, 2),
                  *lengths = INDEX(TG_SHAPE(2), 2, 1);
        tg_tensor *y = tg_ctc_loss(t, x, labels, times, lengths, 0, TG_REDUCE_NONE);
        EXPECT(y, INFINITY, -log(0.75));
        tg_tensor *slope = tg_select(t, GRAD(y, x), 1, 0);
        EXPECT(slope, 0, 0, 0, 0);
        tg_tensor *none = tg_slice(t, labels, 1, 0, 0, 1), *no = INDEX(TG_SHAPE(2), 0, 0);
        EXPECT(tg_ctc_loss(t, x, none, times, no, 0, TG_REDUCE_NONE), log(4), log(4));
        EXPECT_ERROR(tg_ctc_loss(t, x, labels, times, lengths, 2, TG_REDUCE_SUM), TG_EVALUE,
                     "ctc_loss: a blank of 2, but 2 classes");
        EXPECT_ERROR(tg_ctc_loss(t, x, labels, times, labels, 0, TG_REDUCE_SUM), TG_ESHAPE,
                     "ctc_loss: x [2,2,2], labels [2,2]");
        EXPECT_ERROR(tg_ctc_loss(t, x, INDEX(TG_SHAPE(2, 1), 1, 2), times, no, 0, TG_REDUCE_SUM),
                     TG_EINDEX, "index 2");
        EXPECT_ERROR(tg_ctc_loss(t, x, labels, times, INDEX(TG_SHAPE(2), 3, 1), 0, TG_REDUCE_SUM),
                     TG_EINDEX, "");
    }
}

Test(semantics_layers, focal_losses_are_stable_and_margins_leave_the_own_class_out)
{
    EACH_BUILD
    {
        tg_tensor *z = INPUT(TG_SHAPE(4), 1000, -1000, 1000, 0),
                  *of = INPUT(TG_SHAPE(4), 1, 1, 0, 1);
        EXPECT(tg_sigmoid_focal_loss(t, z, of, 0.25, 2, TG_REDUCE_NONE), 0, 250, 750,
               0.25 * 0.25 * log(2));
        EXPECT(tg_sigmoid_focal_loss(t, z, of, -1, 0, TG_REDUCE_NONE), 0, 1000, 1000, log(2));
        EXPECT_ERROR(tg_sigmoid_focal_loss(t, z, of, 2, 0, TG_REDUCE_NONE), TG_EVALUE,
                     "sigmoid_focal_loss: alpha = 2");
        EXPECT_ERROR(tg_sigmoid_focal_loss(t, z, of, 1, -1, TG_REDUCE_NONE), TG_EVALUE,
                     "gamma = -1");
        tg_tensor *x = INPUT(TG_SHAPE(1, 3), 1, 2, NAN), *y;
        y = tg_multi_margin_loss(t, tg_slice(t, x, 1, 0, 2, 1), INDEX(TG_SHAPE(1), 1), 1, false,
                                 TG_REDUCE_NONE);
        EXPECT(y, 0);
        EXPECT(GRAD(y, x), 0, 0, 0);
        EXPECT(tg_multi_margin_loss(t, x, INDEX(TG_SHAPE(1), 0), 1, false, TG_REDUCE_NONE), NAN);
        EXPECT_ERROR(tg_multi_margin_loss(t, x, INDEX(TG_SHAPE(2), 0, 1), 1, false, TG_REDUCE_SUM),
                     TG_ESHAPE, "multi_margin_loss: x [1,3]");
        EXPECT_ERROR(tg_multi_margin_loss(t, x, INDEX(TG_SHAPE(1), 3), 1, false, TG_REDUCE_SUM),
                     TG_EINDEX, "");
    }
}

Test(semantics_layers, volumes_and_windows_must_have_something_in_them)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_ones(t, dtype, TG_SHAPE(1, 1, 2, 2, 2)),
                  *w = tg_ones(t, dtype, TG_SHAPE(1, 1, 2, 2, 2));
        EXPECT(tg_conv3d(t, x, w, NULL, (tg_conv3){0}), 8);
        EXPECT(tg_conv3d(t, x, w, INPUT(TG_SHAPE(1), 1), (tg_conv3){.padding = {1, 0, 0}}), 5, 9,
               5);
        EXPECT_ERROR(tg_conv3d(t, x, w, NULL, (tg_conv3){.dilation = {2, 1, 1}}), TG_ESHAPE,
                     "conv3d: x [1,1,2,2,2] is not");
        EXPECT_ERROR(tg_conv3d(t, x, w, NULL, (tg_conv3){.padding = {-1, 0, 0}}), TG_EVALUE,
                     "conv3d: strides");
        EXPECT_ERROR(tg_conv3d(t, x, tg_select(t, w, 0, 0), NULL, (tg_conv3){0}), TG_ESHAPE,
                     "conv3d");
        tg_tensor *image = INPUT(TG_SHAPE(1, 1, 2, 2), 5, 5, 5, NAN), *y;
        EXPECT(y = tg_adaptive_max_pool2d(t, tg_slice(t, image, 2, 0, 1, 1), 1, 1), 5);
        EXPECT(GRAD(y, image), 1, 0, 0, 0);
        EXPECT(tg_adaptive_max_pool2d(t, image, 1, 1), NAN);
        EXPECT_ERROR(tg_adaptive_max_pool2d(t, image, 0, 1), TG_ESHAPE, "a result of 0 x 1");
        EXPECT_ERROR(tg_adaptive_max_pool2d(t, x, 1, 1), TG_ESHAPE, "x is [n, c, h, w]");
    }
}

Test(semantics_layers, the_padding_row_gets_no_gradient)
{
    EACH_BUILD
    {
        tg_tensor *table = INPUT(TG_SHAPE(3, 1), 1, 2, 3), *i = INDEX(TG_SHAPE(4), 0, 2, 0, 1);
        tg_tensor *y = tg_embedding_padded(t, table, i, 0);
        EXPECT(y, 1, 3, 1, 2);
        EXPECT(GRAD(y, table), 0, 1, 1);
        EXPECT_ERROR(tg_embedding_padded(t, table, INDEX(TG_SHAPE(1), 3), 0), TG_EINDEX, "index 3");
    }
}

Test(semantics_layers, windows_beyond_the_end_count_what_is_there)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 1, 5), 1, 2, 3, 4, 9), *y,
                  *cube = INPUT(TG_SHAPE(1, 1, 1, 1, 5), 1, 2, 3, 4, 9);
        tg_pool o = {.kernel = {1, 2}, .ceil_mode = true};
        EXPECT(y = tg_max_pool2d(t, x, o), 2, 4, 9);
        EXPECT(GRAD(y, x), 0, 1, 0, 1, 1);
        EXPECT(y = tg_avg_pool2d(t, x, o), 1.5, 3.5, 9);
        EXPECT(GRAD(y, x), 0.5, 0.5, 0.5, 0.5, 1);
        /* the padding at the end is a part of the window, what is behind it is not; a window that
         * would begin in it is none */
        o = (tg_pool){.kernel = {1, 3}, .stride = {1, 5}, .padding = {0, 1}, .ceil_mode = true};
        EXPECT(tg_avg_pool2d(t, x, o), 1, 4.5);
        o.exclude_padding = true;
        EXPECT(tg_avg_pool2d(t, x, o), 1.5, 9);
        o = (tg_pool){.kernel = {1, 2}, .stride = {1, 3}, .padding = {0, 1}, .ceil_mode = true};
        EXPECT(tg_avg_pool2d(t, x, o), 0.5, 3.5);
        EXPECT(tg_avg_pool3d(t, cube, (tg_pool3){.kernel = {1, 1, 2}, .ceil_mode = true}), 1.5, 3.5,
               9);
        EXPECT_ERROR(tg_max_pool3d(t, x, (tg_pool3){.kernel = {1, 1, 1}}), TG_ESHAPE,
                     "max_pool3d: x is [n, c, d, h, w], not [1,1,1,5]");
        EXPECT_ERROR(tg_avg_pool3d(t, cube, (tg_pool3){.kernel = {1, 1}}), TG_EVALUE, "kernel 0");
    }
}

Test(semantics_layers, a_convolution_of_the_same_size_pads_the_end_more)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 4), 1, 2, 3, 4), *w = INPUT(TG_SHAPE(1, 1, 2), 1, 10),
                  *image = INPUT(TG_SHAPE(1, 1, 2, 2), 1, 2, 3, 4);
        EXPECT(tg_conv1d(t, x, w, NULL, (tg_conv){.same = true}), 21, 32, 43, 4);
        EXPECT_ERROR(tg_conv1d(t, x, w, NULL, (tg_conv){.same = true, .stride = {2}}), TG_EVALUE,
                     "wants stride 1 and no other padding");
        EXPECT_ERROR(tg_conv2d(t, image, image, NULL, (tg_conv){.same = true, .padding = {0, 1}}),
                     TG_EVALUE, "conv2d: a result of x's size");
        EXPECT_ERROR(tg_conv2d(t, image, x, NULL, (tg_conv){.same = true}), TG_ESHAPE, "conv2d: x");
        EXPECT_ERROR(tg_conv_transpose2d(t, image, image, NULL, (tg_conv){.same = true}), TG_EVALUE,
                     "no padding that keeps x's size");
    }
}

Test(semantics_layers, negative_padding_cuts_off)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 1, 2, 3, 4), *y;
        EXPECT(y = tg_pad(t, x, (tg_shape){1, {-1}}, TG_SHAPE(2), 7), 2, 3, 4, 7, 7);
        EXPECT(GRAD(y, x), 0, 1, 1, 1);
        EXPECT_SHAPE(tg_pad(t, x, (tg_shape){1, {-3}}, (tg_shape){1, {-1}}, 0), TG_SHAPE(0));
        /* mirrored before it is cut */
        EXPECT(tg_pad_with(t, x, TG_PAD_REFLECT, TG_SHAPE(3), (tg_shape){1, {-2}}), 4, 3, 2, 1, 2);
        EXPECT_ERROR(tg_pad(t, x, (tg_shape){1, {-3}}, (tg_shape){1, {-2}}, 0), TG_ESHAPE,
                     "pad: axis 0 of [4] has not as many elements as are cut off, -3 before and -2 "
                     "after");
        EXPECT_ERROR(tg_pad(t, x, (tg_shape){1, {INT64_MIN}}, (tg_shape){1, {INT64_MIN}}, 0),
                     TG_ESHAPE, "pad");
        EXPECT_ERROR(tg_pad_with(t, x, TG_PAD_REPLICATE, TG_SHAPE(1), (tg_shape){1, {-6}}),
                     TG_ESHAPE, "pad_with: axis 0 of [5]");
    }
}
