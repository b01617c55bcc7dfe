/* Layers described by text. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/layers.h>

#include "allocator.h"

/* What a text makes of rows of a shape: the result's shape and the parameters, or the error. */
Test(layer_text, describes_layers)
{
    static const struct {
        const char *text;
        tg_shape row, shape;
        int64_t numbers;  /* in all parameters */
        const char *last; /* parameter */
    } cases[] = {
        {"linear 5", {1, {3}}, {1, {5}}, 20, "0.bias"},
        {"linear 5 nobias", {1, {3}}, {1, {5}}, 15, "0.weight"},
        {"linear nobias", {1, {3}}, {1, {10}}, 30, "0.weight"},
        {"linear out=4,relu,linear", {1, {3}}, {1, {10}}, 16 + 50, "2.bias"},
        {" linear\t4 ,\n tanh , linear 2\n", {1, {3}}, {1, {2}}, 16 + 10, "2.bias"},
        {"conv 16 3x3, relu, maxpool 2, flatten, linear 10",
         {1, {784}},
         {1, {10}},
         160 + 16 * 13 * 13 * 10 + 10,
         "4.bias"},
        {"reshape 3x8x8, conv 4 3x5 padding=same stride=2x1 nobias, batchnorm, globalpool",
         {1, {192}},
         {1, {4}},
         180 + 16,
         "2.running_var"},
        {"conv 6 3 padding=1x0 dilation=2 groups=3",
         {3, {3, 9, 9}},
         {3, {6, 7, 5}},
         54 + 6,
         "0.bias"},
        {"conv 5 3 padding=same", {2, {2, 7}}, {2, {5, 7}}, 35, "0.bias"},
        {"conv_transpose 4 2x3 stride=2 padding=1 groups=2 nobias",
         {3, {2, 3, 4}},
         {3, {4, 4, 7}},
         24,
         "0.weight"},
        {"maxpool 3x2 stride=1 padding=1", {3, {2, 5, 5}}, {3, {2, 5, 6}}, 0, NULL},
        {"maxpool 2", {2, {3, 8}}, {2, {3, 4}}, 0, NULL},
        {"avgpool 2", {1, {36}}, {3, {1, 3, 3}}, 0, NULL},
        {"avgpool 2 stride=1", {2, {3, 8}}, {2, {3, 7}}, 0, NULL},
        {"layernorm, rmsnorm, dropout 0.5", {2, {4, 6}}, {2, {4, 6}}, 18, "1.weight"},
        {"groupnorm 2", {3, {4, 2, 2}}, {3, {4, 2, 2}}, 8, "0.bias"},
        {"reshape 5x2, lstm 4, last", {1, {10}}, {1, {4}}, 4 * (8 + 16 + 8), "1.bias_hh_l0"},
        {"gru 4 layers=2 bidirectional nobias dropout=0.1, mean",
         {2, {5, 2}},
         {1, {8}},
         3 * (2 * (8 + 16) + 2 * (32 + 16)),
         "0.weight_hh_l1_reverse"},
        {"rnn 3", {2, {5, 2}}, {2, {5, 3}}, 6 + 9 + 6, "0.bias_hh_l0"},
        {"attention 2", {2, {5, 4}}, {2, {5, 4}}, 4 * 20, "0.output.bias"},
        {"transformer 2 8 dropout=0.1", {2, {5, 4}}, {2, {5, 4}}, 16 + 80 + 40 + 36, "0.down.bias"},
        {"identity", {1, {3}}, {1, {3}}, 0, NULL},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        for (int wide = 0; wide < 2; wide++) {
            tg_params *ps = tg_params_new(NULL);
            tg_scope s = tg_scope_root(ps);
            s.dtype = wide ? TG_F64 : TG_F32;
            tg_layers *y = tg_layers_parse(s, cases[k].text, cases[k].row, 10);
            cr_assert_eq(tg_layers_status(y), TG_OK, "%s: %s", cases[k].text, tg_layers_message(y));
            cr_expect(tg_shape_equal(tg_layers_shape(y), cases[k].shape), "%s: %s", cases[k].text,
                      tg_shape_text(tg_layers_shape(y)).text);
            cr_expect_eq(tg_params_elements(ps), cases[k].numbers, "%s: %lld", cases[k].text,
                         (long long)tg_params_elements(ps));
            const int n = tg_params_count(ps);
            if (cases[k].last)
                cr_expect_str_eq(tg_param_name(tg_params_get(ps, n - 1)), cases[k].last);
            /* The result is what was said, for any number of rows. */
            tg_tape *t = tg_tape_new(NULL);
            tg_shape in = {.ndim = cases[k].row.ndim + 1, .dim = {3}};
            memcpy(in.dim + 1, cases[k].row.dim, sizeof(int64_t) * 7);
            tg_tensor *out = tg_layers_apply(t, y, tg_ones(t, s.dtype, in));
            cr_expect_not_null(tg_data(t, out), "%s: %s", cases[k].text, tg_tape_message(t));
            cr_expect_eq(tg_tensor_shape(out).dim[0], 3);
            cr_expect_eq(tg_tensor_shape(out).ndim, cases[k].shape.ndim + 1);
            tg_tape_free(t);
            tg_layers_free(y);
            tg_params_free(ps);
        }
    }
}

/* A text is its layers one behind the other, made by hand. */
Test(layer_text, gives_the_bits_of_the_same_layers_by_hand)
{
    tg_params *ps[2] = {tg_params_new(NULL), tg_params_new(NULL)};
    tg_layers *y = tg_layers_parse(tg_scope_root(ps[0]),
                                   "conv 3 3 stride=2, gelu, flatten, linear 4, softplus",
                                   TG_SHAPE(1, 6, 6), 0);
    const tg_scope s = tg_scope_root(ps[1]);
    const tg_conv2d_layer conv =
        tg_conv2d_layer_new(tg_scope_in(s, "0"), 1, 3, 3, 3, true, (tg_conv){.stride = {2, 2}});
    const tg_linear_layer linear = tg_linear_layer_new(tg_scope_in(s, "3"), 12, 4, true);
    float x[2 * 36];
    for (int k = 0; k < 72; k++) x[k] = (float)(k * 37 % 101) / 50 - 1;
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *in = tg_input(t, TG_F32, TG_SHAPE(2, 1, 6, 6), x);
    const float *a = tg_data(t, tg_layers_apply(t, y, in));
    tg_tensor *h = tg_gelu(t, tg_conv2d_layer_apply(t, &conv, in));
    h = tg_linear_layer_apply(t, &linear, tg_reshape(t, h, TG_SHAPE(2, 12)));
    const float *b = tg_data(t, tg_softplus(t, h));
    cr_assert_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    cr_expect_arr_eq(a, b, 8 * sizeof(float));
    tg_tape_free(t);
    tg_layers_free(y);
    for (int k = 0; k < 2; k++) tg_params_free(ps[k]);
}

Test(layer_text, mistakes_name_the_layer_and_the_place)
{
    static const struct {
        const char *text, *message;
        tg_shape row;
        tg_status status;
    } cases[] = {
        {"",
         "layers: number 0, '', at character 1: there is nothing between the commas",
         {1, {4}},
         TG_EVALUE},
        {"relu,",
         "layers: number 1, '', at character 6: there is nothing between the commas",
         {1, {4}},
         TG_EVALUE},
        {"relu, linaer 3",
         "layers: number 1, 'linaer 3', at character 7: there is no layer 'linaer', but linear, "
         "conv, ",
         {1, {4}},
         TG_EVALUE},
        {"linear 0",
         "layers: number 0, 'linear 0', at character 1: out: '0' is not a whole number",
         {1, {4}},
         TG_EVALUE},
        {"linear 2.5",
         "layers: number 0, 'linear 2.5', at character 1: out: '2.5' is not a whole",
         {1, {4}},
         TG_EVALUE},
        {"linear 99999999999",
         "layers: number 0, 'linear 99999999999', at character 1: out: '99999999999' is not",
         {1, {4}},
         TG_EVALUE},
        {"linear 3 4",
         "layers: number 0, 'linear 3 4', at character 1: '4' is nothing that linear "
         "takes",
         {1, {4}},
         TG_EVALUE},
        {"linear 3 out=4",
         "layers: number 0, 'linear 3 out=4', at character 1: out is given twice",
         {1, {4}},
         TG_EVALUE},
        {"linear nobias=1",
         "layers: number 0, 'linear nobias=1', at character 1: 'nobias=1' is nothing that linear",
         {1, {4}},
         TG_EVALUE},
        {"linear bias=1",
         "layers: number 0, 'linear bias=1', at character 1: 'bias=1' is nothing that linear",
         {1, {4}},
         TG_EVALUE},
        {"relu 3",
         "layers: number 0, 'relu 3', at character 1: '3' is nothing that relu takes",
         {1, {4}},
         TG_EVALUE},
        {"linear",
         "layers: number 0, 'linear', at character 1: how many numbers it gives is not "
         "said",
         {1, {4}},
         TG_EVALUE},
        {"conv 4",
         "layers: number 0, 'conv 4', at character 1: its kernel is missing: a size such "
         "as 3 or 3x5",
         {1, {4}},
         TG_EVALUE},
        {"conv 4 3x",
         "layers: number 0, 'conv 4 3x', at character 1: kernel: '3x' is not a size",
         {1, {4}},
         TG_EVALUE},
        {"conv 4 3 padding=-1",
         "layers: number 0, 'conv 4 3 padding=-1', at character 1: padding: '-1' is not a size",
         {1, {4}},
         TG_EVALUE},
        {"conv 4 2 padding=same",
         "layers: number 0, 'conv 4 2 padding=same', at character 1: padding=same wants odd",
         {1, {4}},
         TG_EVALUE},
        {"conv 4 3",
         "layers: number 0, 'conv 4 3', at character 1: it wants images, not rows of 5 "
         "numbers: 'reshape CxHxW' before it makes them",
         {1, {5}},
         TG_ESHAPE},
        {"conv 4 3", "layers: number 0, 'conv 4 3', at character 1: conv2d: ", {1, {4}}, TG_ESHAPE},
        {"relu, maxpool 2",
         "layers: number 1, 'maxpool 2', at character 7: max_pool2d: ",
         {4, {2, 2, 2, 2}},
         TG_ESHAPE},
        {"lstm 3",
         "layers: number 0, 'lstm 3', at character 1: it wants [n, time, in] ('reshape "
         "TIMExIN' makes it), not [2,4]",
         {1, {4}},
         TG_ESHAPE},
        {"lstm 3 layers=17",
         "layers: number 0, 'lstm 3 layers=17', at character 1: ",
         {2, {4, 2}},
         TG_ESHAPE},
        {"mean",
         "layers: number 0, 'mean', at character 1: it wants [n, time, width], not [2,4]",
         {1, {4}},
         TG_ESHAPE},
        {"attention 3",
         "layers: number 0, 'attention 3', at character 1: ",
         {2, {4, 4}},
         TG_ESHAPE},
        {"reshape 3x2",
         "layers: number 0, 'reshape 3x2', at character 1: reshape: ",
         {1, {4}},
         TG_ESHAPE},
        {"dropout 1.5",
         "layers: number 0, 'dropout 1.5', at character 1: p: '1.5' is not a number "
         "in 0..1",
         {1, {4}},
         TG_EVALUE},
        {"dropout nan",
         "layers: number 0, 'dropout nan', at character 1: p: 'nan' is not",
         {1, {4}},
         TG_EVALUE},
        {"relu", "layers: a row has 1 to 7 dimensions", {0, {0}}, TG_ESHAPE},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_params *ps = tg_params_new(NULL);
        tg_layers *y = tg_layers_parse(tg_scope_root(ps), cases[k].text, cases[k].row, 0);
        cr_expect_eq(tg_layers_status(y), cases[k].status, "'%s'", cases[k].text);
        cr_expect_eq(strncmp(tg_layers_message(y), cases[k].message, strlen(cases[k].message)), 0,
                     "'%s': %s", cases[k].text, tg_layers_message(y));
        tg_tape *t = tg_tape_new(NULL);
        cr_expect_null(tg_layers_apply(t, y, tg_ones(t, TG_F32, TG_SHAPE(2, 4))));
        cr_expect_eq(tg_tape_status(t), TG_ESTATE);
        tg_tape_free(t);
        tg_layers_free(y);
        tg_params_free(ps);
    }
}

Test(layer_text, null_is_answered)
{
    tg_params *ps = tg_params_new(NULL);
    tg_layers *y = tg_layers_parse(tg_scope_root(ps), NULL, TG_SHAPE(4), 0);
    cr_expect_eq(tg_layers_status(y), TG_ENULL);
    tg_layers_free(y);
    y = tg_layers_parse(tg_scope_root(NULL), "relu", TG_SHAPE(4), 0);
    cr_expect_eq(tg_layers_status(y), TG_ENULL);
    tg_layers_free(y);
    tg_layers_free(NULL);
    cr_expect_eq(tg_layers_status(NULL), TG_ENOMEM);
    cr_expect_str_neq(tg_layers_message(NULL), "");
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_null(tg_layers_apply(t, NULL, NULL));
    cr_expect_eq(tg_tape_status(t), TG_ENULL);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(layer_text, short_memory_is_reported_and_nothing_leaks)
{
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_params *ps =
            tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .allocator = &a});
        tg_layers *y = tg_layers_parse(
            tg_scope_root(ps), "reshape 5x2, lstm 4 layers=2, last, linear 3", TG_SHAPE(10), 0);
        const tg_status status = tg_layers_status(y);
        done = status == TG_OK;
        cr_expect(done || status == TG_ENOMEM || (!ps && status == TG_ENULL), "%lld: %s", at,
                  tg_layers_message(y));
        tg_layers_free(y);
        tg_params_free(ps);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 2000);
    }
}
