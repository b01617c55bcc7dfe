/* Layers against PyTorch 1.13.1's, in f64: parameters and inputs hold the same numbers there, and
 * two sums of each result are compared. */
#include "errors.h"

#include <math.h>

#include <tapegrad/layers.h>

/* ((37 i + 11 salt) mod 101 - 50) / 100 */
static void numbers(int64_t n, int salt, double *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = (double)((i * 37 + salt * 11) % 101 - 50) / 100;
}

static tg_tensor *input(tg_tape *t, tg_shape shape, int salt)
{
    double x[400];
    cr_assert_leq(tg_shape_count(shape), 400);
    numbers(tg_shape_count(shape), salt, x);
    return tg_input(t, TG_F64, shape, x);
}

/* Parameters get the numbers of salts 1, 2, ... in their order; buffers stay. */
static void fill(tg_params *ps)
{
    int salt = 0;
    double x[400];
    cr_assert_eq(tg_params_status(ps), TG_OK, "%s", tg_params_message(ps));
    for (int k = 0; k < tg_params_count(ps); k++) {
        tg_tensor *p = tg_params_get(ps, k);
        if (!tg_param_trainable(p)) continue;
        numbers(tg_tensor_count(p), ++salt, x);
        cr_assert_eq(tg_param_write(p, x), TG_OK);
    }
}

static void expect(const char *what, int64_t n, const double *y, double weighted, double squares)
{
    double a = 0, b = 0;
    cr_assert_not_null(y, "%s", what);
    for (int64_t i = 0; i < n; i++) {
        a += y[i] * (double)((i * 7) % 13 - 6) / 6;
        b += y[i] * y[i];
    }
    cr_expect_float_eq(a, weighted, 1e-12 * fmax(1, fabs(weighted)), "%s: %.15g", what, a);
    cr_expect_float_eq(b, squares, 1e-12 * squares, "%s: %.15g", what, b);
}

static void result(tg_tape *t, const char *what, tg_tensor *y, double weighted, double squares)
{
    const double *data = tg_data(t, y);
    cr_assert_eq(tg_tape_status(t), TG_OK, "%s: %s", what, tg_tape_message(t));
    expect(what, tg_tensor_count(y), data, weighted, squares);
}

/* Every layer of this library, small. */
typedef struct zoo {
    tg_params *ps;
    tg_linear_layer linear;
    tg_conv1d_layer conv1d;
    tg_conv2d_layer conv2d;
    tg_conv_transpose2d_layer conv_transpose2d;
    tg_embedding_layer embedding;
    tg_batch_norm_layer batch_norm;
    tg_layer_norm_layer layer_norm;
    tg_rms_norm_layer rms_norm;
    tg_group_norm_layer group_norm;
    tg_recurrent_layer rnn, lstm, gru;
    tg_attention_layer attention;
    tg_transformer_block block;
} zoo;

static const tg_conv one_by_two = {.stride = {2}, .padding = {1}, .groups = 2};
static const tg_conv grouped = {.stride = {2, 1}, .padding = {1, 0}, .groups = 2};

enum {
    LINEAR,
    CONV1D,
    CONV2D,
    CONV_TRANSPOSE2D,
    EMBEDDING,
    BATCH_NORM,
    LAYER_NORM,
    RMS_NORM,
    GROUP_NORM,
    RNN,
    LSTM,
    GRU,
    ATTENTION,
    BLOCK,
    LAYERS
};

static zoo zoo_new(int which, tg_dtype dtype)
{
    zoo z = {.ps = tg_params_new(NULL)};
    tg_scope s = tg_scope_in(tg_scope_root(z.ps), "net");
    s.dtype = dtype;
    if (which == LINEAR) z.linear = tg_linear_layer_new(s, 3, 2, true);
    if (which == CONV1D) z.conv1d = tg_conv1d_layer_new(s, 4, 6, 3, true, one_by_two);
    if (which == CONV2D) z.conv2d = tg_conv2d_layer_new(s, 4, 6, 3, 2, true, grouped);
    if (which == CONV_TRANSPOSE2D)
        z.conv_transpose2d = tg_conv_transpose2d_layer_new(s, 4, 6, 3, 2, true, grouped);
    if (which == EMBEDDING) z.embedding = tg_embedding_layer_new(s, 5, 3);
    if (which == BATCH_NORM) z.batch_norm = tg_batch_norm_layer_new(s, 3);
    if (which == LAYER_NORM) z.layer_norm = tg_layer_norm_layer_new(s, TG_SHAPE(3, 4));
    if (which == RMS_NORM) z.rms_norm = tg_rms_norm_layer_new(s, TG_SHAPE(6));
    if (which == GROUP_NORM) z.group_norm = tg_group_norm_layer_new(s, 2, 6);
    if (which == RNN) z.rnn = tg_recurrent_layer_new(s, TG_CELL_RNN, 3, 4, true);
    if (which == LSTM) z.lstm = tg_recurrent_layer_new(s, TG_CELL_LSTM, 3, 4, true);
    if (which == GRU) z.gru = tg_recurrent_layer_new(s, TG_CELL_GRU, 3, 4, true);
    if (which == ATTENTION) z.attention = tg_attention_layer_new(s, 8, 2);
    if (which == BLOCK) z.block = tg_transformer_block_new(s, 8, 2, 16);
    cr_assert_eq(tg_params_status(z.ps), TG_OK, "%s", tg_params_message(z.ps));
    return z;
}

static const int64_t words[] = {4, 0, 2, 2, 2, 1};

static tg_tensor *apply(tg_tape *t, const zoo *z, int which)
{
    switch (which) {
    case LINEAR: return tg_linear_layer_apply(t, &z->linear, input(t, TG_SHAPE(2, 3), 0));
    case CONV1D: return tg_conv1d_layer_apply(t, &z->conv1d, input(t, TG_SHAPE(2, 4, 7), 0));
    case CONV2D: return tg_conv2d_layer_apply(t, &z->conv2d, input(t, TG_SHAPE(2, 4, 5, 6), 0));
    case CONV_TRANSPOSE2D:
        return tg_conv_transpose2d_layer_apply(t, &z->conv_transpose2d,
                                               input(t, TG_SHAPE(2, 4, 3, 4), 0));
    case EMBEDDING:
        return tg_embedding_layer_apply(t, &z->embedding,
                                        tg_input(t, TG_I64, TG_SHAPE(2, 3), words));
    case BATCH_NORM:
        return tg_batch_norm_layer_apply(t, &z->batch_norm, input(t, TG_SHAPE(2, 3, 2, 4), 0));
    case LAYER_NORM:
        return tg_layer_norm_layer_apply(t, &z->layer_norm, input(t, TG_SHAPE(5, 3, 4), 0));
    case RMS_NORM: return tg_rms_norm_layer_apply(t, &z->rms_norm, input(t, TG_SHAPE(4, 6), 0));
    case GROUP_NORM:
        return tg_group_norm_layer_apply(t, &z->group_norm, input(t, TG_SHAPE(3, 6, 4), 0));
    case RNN: return tg_recurrent_layer_apply(t, &z->rnn, input(t, TG_SHAPE(2, 5, 3), 0));
    case LSTM: return tg_recurrent_layer_apply(t, &z->lstm, input(t, TG_SHAPE(2, 5, 3), 0));
    case GRU: return tg_recurrent_layer_apply(t, &z->gru, input(t, TG_SHAPE(2, 5, 3), 0));
    case ATTENTION:
        return tg_attention_layer_apply(t, &z->attention, input(t, TG_SHAPE(2, 5, 8), 0), NULL,
                                        NULL, false);
    default:
        return tg_transformer_block_apply(t, &z->block, input(t, TG_SHAPE(2, 5, 8), 0), NULL, true);
    }
}

Test(layers, are_those_of_pytorch)
{
    static const struct {
        const char *what;
        double weighted, squares;
    } expected[LAYERS] = {
        [CONV1D] = {"conv1d", 0.773883333333333, 5.46846875},
        [CONV2D] = {"conv2d", -0.41225, 30.00323967},
        [CONV_TRANSPOSE2D] = {"conv_transpose2d", -0.8408, 48.35614835},
        [EMBEDDING] = {"embedding", -0.24, 1.6204},
        [BATCH_NORM] = {"batch_norm", -0.391163209091173, 9.16909696243583},
        [LAYER_NORM] = {"layer_norm", 0.176128138629538, 10.2509823401137},
        [RMS_NORM] = {"rms_norm", -1.28302406086128, 2.31089494384554},
        [GROUP_NORM] = {"group_norm", -0.128957611161149, 15.2263376799299},
        [RNN] = {"rnn", 2.43013326612323, 9.35759497668811},
        [LSTM] = {"lstm", 0.491650305897056, 0.942479724609959},
        [GRU] = {"gru", 0.459023357029192, 2.45719354631236},
        [ATTENTION] = {"attention", 2.36647167820625, 27.3702937956798},
        [BLOCK] = {"transformer_block", -1.15053156627801, 27.728575723354},
    };
    for (int k = CONV1D; k < LAYERS; k++) {
        zoo z = zoo_new(k, TG_F64);
        fill(z.ps);
        tg_tape *t = tg_tape_new(NULL);
        result(t, expected[k].what, apply(t, &z, k), expected[k].weighted, expected[k].squares);
        tg_tape_free(t);
        tg_params_free(z.ps);
    }
}

Test(layers, attention_looks_at_a_context_and_not_ahead)
{
    zoo z = zoo_new(ATTENTION, TG_F64);
    fill(z.ps);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = input(t, TG_SHAPE(2, 5, 8), 0), *c = input(t, TG_SHAPE(2, 3, 8), 9);
    result(t, "cross", tg_attention_layer_apply(t, &z.attention, x, c, NULL, false),
           1.88211034404459, 28.4549910717562);
    result(t, "causal", tg_attention_layer_apply(t, &z.attention, x, NULL, NULL, true),
           1.98979059599263, 27.9193165497488);
    tg_tape_free(t);
    tg_params_free(z.ps);
}

/* ---------------------------------------------------------------- running statistics */

Test(layers, batch_norm_keeps_running_statistics)
{
    zoo z = zoo_new(BATCH_NORM, TG_F64);
    tg_batch_norm_layer *layer = &z.batch_norm;
    fill(z.ps);
    cr_assert_eq(tg_params_count(z.ps), 4);
    cr_assert_not(tg_param_trainable(layer->running_mean));
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 0; step < 2; step++) {
        tg_tensor *y =
            tg_batch_norm_layer_apply(t, layer, input(t, TG_SHAPE(2, 3, 2, 4), 5 * step));
        cr_assert_eq(tg_backward(t, tg_mean_all(t, tg_square(t, y))), TG_OK, "%s",
                     tg_tape_message(t));
        if (step) result(t, "second batch", y, 0.619360415624816, 9.16907201516246);
        cr_assert_eq(tg_buffers_update(t), TG_OK, "%s", tg_tape_message(t));
        cr_assert_null(tg_param_grad(layer->running_mean));
        cr_assert_not_null(tg_param_grad(layer->weight));
        tg_tape_reset(t);
        cr_assert_eq(tg_buffers_update(t), TG_OK); /* nothing is left to be written */
    }
    expect("running_mean", 3, tg_param_data(layer->running_mean), 0.00110520833333333,
           2.3707578125e-05);
    expect("running_var", 3, tg_param_data(layer->running_var), -1.37881792291667,
           2.05302759669362);
    tg_tape_set_training(t, false);
    result(t, "evaluation", apply(t, &z, BATCH_NORM), 0.227082220514191, 5.12080097684638);
    tg_tape_free(t);
    tg_params_free(z.ps);
}

/* Two uses in one recording count as two batches. */
Test(layers, batch_norm_used_twice_counts_twice)
{
    double one[3], two[3];
    for (int apart = 0; apart < 2; apart++) {
        zoo z = zoo_new(BATCH_NORM, TG_F64);
        tg_tape *t = tg_tape_new(NULL);
        for (int k = 0; k < 2; k++) {
            tg_batch_norm_layer_apply(t, &z.batch_norm, input(t, TG_SHAPE(2, 3, 2, 4), 5 * k));
            if (apart || k) cr_assert_eq(tg_buffers_update(t), TG_OK, "%s", tg_tape_message(t));
            if (apart) tg_tape_reset(t);
        }
        memcpy(apart ? two : one, tg_param_data(z.batch_norm.running_var), sizeof one);
        tg_tape_free(t);
        tg_params_free(z.ps);
    }
    cr_assert_arr_eq(one, two, sizeof one);
    cr_assert_neq(one[0], 1);
}

Test(layers, buffers_are_set_with_what_fits_or_not_at_all)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const tg_init ones = {TG_ONES, 0, 0};
    tg_tensor *buffer = tg_scope_buffer(s, "b", TG_SHAPE(2), ones),
              *trained = tg_scope_param(s, "w", TG_SHAPE(2), ones);
    const float two[] = {3, 4};
    for (int k = 0; k < 6; k++) {
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(2), two), *scalar = tg_sum_all(t, x),
                  *wide = tg_cast(t, x, TG_F64);
        tg_tensor *const to[] = {trained, buffer, buffer, x, NULL, buffer}, *const value[] = {
                                                                                x, scalar, wide,
                                                                                x, x,      NULL};
        const int line = __LINE__ + 1;
        tg_buffer_set(t, to[k], value[k]);
        static const tg_status wanted[] = {TG_ESTATE, TG_ESHAPE, TG_EDTYPE,
                                           TG_EVALUE, TG_ENULL,  TG_ENULL};
        cr_expect_fails(t, wanted[k], line, "case %d", k);
        cr_expect_neq(tg_buffers_update(t), TG_OK);
        tg_tape_free(t);
    }
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_eq(tg_buffer_get(t, buffer), buffer);
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(2), two);
    tg_buffer_set(t, buffer, x);
    cr_expect_eq(tg_buffer_get(t, buffer), x);
    cr_expect_eq(((const float *)tg_param_data(buffer))[0], 1);
    tg_buffers_update(t);
    cr_expect_eq(((const float *)tg_param_data(buffer))[1], 4);
    cr_expect_eq(tg_buffer_set(NULL, buffer, x), TG_ENOMEM);
    cr_expect_eq(tg_buffers_update(NULL), TG_ENOMEM);
    cr_expect_eq(tg_buffer_get(NULL, buffer), buffer);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- derivatives */

typedef struct checked {
    const zoo *z;
    int which;
} checked;

static tg_tensor *layer_of(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)x, (void)n;
    const checked *c = user;
    tg_tensor *y = apply(t, c->z, c->which);
    return tg_sum_all(t, tg_mul(t, y, tg_sin(t, y)));
}

/* f32 parameters: the check copies them. */
Test(layers, derivatives_are_those_of_their_values)
{
    for (int k = 0; k < LAYERS; k++) {
        zoo z = zoo_new(k, TG_F32);
        checked c = {&z, k};
        tg_gradcheck_report r;
        const tg_gradcheck_options o = {.size = sizeof o, .full_jacobian = 1, .directions = 2};
        tg_gradcheck(layer_of, 0, NULL, z.ps, &c, &o, &r);
        cr_expect_eq(r.status, TG_OK, "layer %d: %s", k, r.message);
        cr_expect_gt(r.compared, 2, "layer %d", k);
        tg_params_free(z.ps);
    }
}

/* ---------------------------------------------------------------- names, sizes, mistakes */

Test(layers, scopes_name_their_parameters)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_scope encoder = tg_scope_in(tg_scope_root(ps), "encoder");
    tg_transformer_block_new(tg_scope_at(encoder, "block", 0), 4, 2, 8);
    cr_expect_not_null(tg_params_find(ps, "encoder.block0.attention.q.weight"));
    cr_expect_not_null(tg_params_find(ps, "encoder.block0.norm2.bias"));
    cr_expect_eq(tg_params_count(ps), 16);
    char much[200];
    memset(much, 'x', sizeof much);
    much[199] = 0;
    const tg_scope deep = tg_scope_in(tg_scope_in(tg_scope_root(ps), much), much);
    cr_expect_eq(tg_params_status(ps), TG_EVALUE);
    cr_expect_str_eq(tg_params_message(ps), "scope: a parameter's name has 255 bytes at most");
    cr_expect_null(tg_scope_param(deep, "w", TG_SCALAR, (tg_init){0}));
    tg_params_clear_error(ps);
    cr_expect_null(tg_scope_param(tg_scope_root(ps), NULL, TG_SCALAR, (tg_init){0}));
    cr_expect_eq(tg_params_status(ps), TG_ENULL);
    cr_expect_null(tg_scope_param(tg_scope_root(NULL), "w", TG_SCALAR, (tg_init){0}));
    tg_params_free(ps);
}

static double largest(const tg_tensor *p)
{
    double y = 0;
    const float *x = tg_param_data(p);
    for (int64_t k = 0; k < tg_tensor_count(p); k++) y = fmax(y, fabs((double)x[k]));
    return y;
}

/* The largest of n uniform numbers in (-r, r) is within 20% of r, but once in 1e9 for n = 100. */
static void within_radius(const tg_tensor *p, double fan)
{
    const double r = 1 / sqrt(fan);
    cr_expect(largest(p) <= r && (tg_tensor_count(p) < 90 || largest(p) > 0.8 * r), "%s: %g of %g",
              tg_param_name(p), largest(p), r);
}

Test(layers, begin_where_pytorch_begins)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const tg_linear_layer linear = tg_linear_layer_new(tg_scope_in(s, "linear"), 20, 10, false);
    const tg_conv2d_layer conv =
        tg_conv2d_layer_new(tg_scope_in(s, "conv"), 4, 6, 3, 5, true, (tg_conv){.groups = 2});
    const tg_recurrent_layer lstm =
        tg_recurrent_layer_new(tg_scope_in(s, "lstm"), TG_CELL_LSTM, 7, 9, true);
    cr_expect_null(linear.bias);
    within_radius(linear.weight, 20);
    within_radius(conv.weight, 2 * 3 * 5);
    within_radius(conv.bias, 2 * 3 * 5);
    within_radius(lstm.cell[0].w_x, 9);
    within_radius(lstm.cell[0].b_h, 9);
    tg_params_free(ps);
}

/* One layer over x [n, time, in] step by step, and backwards over the times in reverse. */
static tg_tensor *stepwise(tg_tape *t, tg_cell cell, tg_cell_kind kind, tg_tensor *x, bool reverse)
{
    enum { TIME = 4, HIDDEN = 3 };
    const tg_recurrent_layer one = {.cell = {cell}, .kind = kind, .layers = 1};
    tg_tensor *state = NULL, *seen[TIME];
    for (int k = 0; k < TIME; k++) {
        const int at = reverse ? TIME - 1 - k : k;
        state = tg_recurrent_layer_step(t, &one, tg_select(t, x, 1, at), state);
        seen[at] = tg_unsqueeze(t, tg_slice(t, state, 1, 0, HIDDEN, 1), 1);
    }
    return tg_concat(t, TIME, seen, 1);
}

Test(layers, recurrent_ones_stand_one_behind_the_other_and_run_both_ways)
{
    for (int k = 0; k < 6; k++) {
        const tg_cell_kind kind = (tg_cell_kind)(k / 2);
        const bool both = k % 2;
        tg_params *ps = tg_params_new(NULL);
        tg_scope s = tg_scope_root(ps);
        s.dtype = TG_F64;
        const tg_recurrent_layer y = tg_recurrent_layer_stack(s, kind, 2, 3, 3, both, k < 3);
        fill(ps);
        cr_assert_not_null(tg_params_find(ps, both ? "weight_ih_l2_reverse" : "weight_ih_l2"));
        cr_assert_eq(tg_params_find(ps, "bias_hh_l0") != NULL, k < 3);
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *x = input(t, TG_SHAPE(2, 4, 2), 0), *got = tg_recurrent_layer_apply(t, &y, x);
        for (int layer = 0; layer < 3; layer++) {
            const tg_cell *c = &y.cell[layer * (both ? 2 : 1)];
            tg_tensor *way[2] = {stepwise(t, c[0], kind, x, false), NULL};
            if (both) way[1] = stepwise(t, c[1], kind, x, true);
            x = both ? tg_concat(t, 2, way, 2) : way[0];
        }
        const double *a = tg_data(t, got), *b = tg_data(t, x);
        cr_assert_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
        cr_assert(tg_shape_equal(tg_tensor_shape(got), TG_SHAPE(2, 4, both ? 6 : 3)));
        for (int64_t i = 0; i < tg_tensor_count(got); i++)
            cr_expect_float_eq(a[i], b[i], 1e-14, "kind %d: %g, not %g", k, a[i], b[i]);
        tg_recurrent_layer_step(t, &y, tg_select(t, input(t, TG_SHAPE(2, 4, 2), 0), 1, 0), NULL);
        cr_expect_eq(tg_tape_status(t), TG_EVALUE, "a step of three layers");
        tg_tape_free(t);
        tg_params_free(ps);
    }
}

Test(layers, sizes_that_are_none_are_refused)
{
    for (int k = 0; k < 9; k++) {
        tg_params *ps = tg_params_new(NULL);
        const tg_scope s = tg_scope_root(ps);
        if (k == 0) tg_linear_layer_new(s, -1, 2, true);
        if (k == 1) tg_conv2d_layer_new(s, 2, -2, 3, 3, true, (tg_conv){0});
        if (k == 2) tg_recurrent_layer_new(s, TG_CELL_LSTM, 2, -3, true);
        if (k == 3) tg_attention_layer_new(s, 8, 3);
        if (k == 4) tg_attention_layer_new(s, 8, 0);
        if (k == 5) tg_embedding_layer_new(s, INT64_MAX, 3);
        if (k == 6) tg_recurrent_layer_stack(s, TG_CELL_GRU, 2, 3, 0, false, true);
        if (k == 7) tg_recurrent_layer_stack(s, TG_CELL_GRU, 2, 3, 9, true, true);
        if (k == 8) tg_recurrent_layer_stack(s, TG_CELL_GRU, 2, INT64_MAX / 2, 2, true, true);
        cr_expect_eq(tg_params_status(ps), TG_ESHAPE, "%d: %s", k, tg_params_message(ps));
        tg_params_free(ps);
    }
}

/* Calls in one line each, so that one number is the line of them all. */
#define CALLS(t, x)                                                                         \
    {                                                                                       \
        tg_linear_layer_apply(t, NULL, x), tg_conv1d_layer_apply(t, NULL, x),               \
            tg_conv2d_layer_apply(t, NULL, x), tg_conv_transpose2d_layer_apply(t, NULL, x), \
            tg_embedding_layer_apply(t, NULL, x), tg_batch_norm_layer_apply(t, NULL, x),    \
            tg_layer_norm_layer_apply(t, NULL, x), tg_rms_norm_layer_apply(t, NULL, x),     \
            tg_group_norm_layer_apply(t, NULL, x), tg_recurrent_layer_apply(t, NULL, x),    \
            tg_recurrent_layer_step(t, NULL, x, NULL),                                      \
            tg_attention_layer_apply(t, NULL, x, NULL, NULL, false),                        \
            tg_transformer_block_apply(t, NULL, x, NULL, false)                             \
    }

Test(layers, a_layer_that_is_null_is_an_error)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F32, TG_SHAPE(2, 3));
    tg_tensor *const y[] = CALLS(t, x);
    for (size_t k = 0; k < sizeof y / sizeof y[0]; k++) cr_expect_null(y[k]);
    cr_expect_eq(tg_tape_status(t), TG_ENULL);
    tg_tape_clear_error(t);
    const int line = __LINE__ + 1;
    tg_transformer_block_apply(t, NULL, x, NULL, false);
    cr_expect_fails(t, TG_ENULL, line, "a block");
    tg_tape_free(t);
}

Test(layers, shapes_that_do_not_fit_are_errors_with_the_users_line)
{
    zoo lstm = zoo_new(LSTM, TG_F32), attention = zoo_new(ATTENTION, TG_F32),
        batch = zoo_new(BATCH_NORM, TG_F32);
    for (int k = 0; k < 4; k++) {
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *flat = operand(t, TG_F32, TG_SHAPE(2, 8)),
                  *none = operand(t, TG_F32, TG_SHAPE(2, 0, 3));
        int line = 0;
        if (k == 0) line = __LINE__, tg_recurrent_layer_apply(t, &lstm.lstm, flat);
        if (k == 1) line = __LINE__, tg_recurrent_layer_apply(t, &lstm.lstm, none);
        if (k == 2)
            line = __LINE__, tg_attention_layer_apply(t, &attention.attention, flat, NULL, NULL, 0);
        if (k == 3) line = __LINE__, tg_batch_norm_layer_apply(t, &batch.batch_norm, flat);
        cr_expect_fails(t, TG_ESHAPE, line, "case %d", k);
        tg_tape_free(t);
    }
    tg_params_free(lstm.ps);
    tg_params_free(attention.ps);
    tg_params_free(batch.ps);
}
