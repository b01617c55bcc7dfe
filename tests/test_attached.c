/* Arrays beside features and targets, on their way into a model. */

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/models.h>

#include "allocator.h"

#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})

/* x of 12 rows, a second input [12, 3], lengths [12] and weights [12]. */
static tg_dataset *rows(const tg_allocator *a)
{
    float x[12][2], y[12], more[12][3], weight[12];
    int64_t length[12];
    uint8_t mask[12][2];
    for (int i = 0; i < 12; i++) {
        x[i][0] = (float)(i % 5), x[i][1] = (float)(i % 3);
        y[i] = (float)(i % 2);
        for (int k = 0; k < 3; k++) more[i][k] = (float)(10 * i + k) / 50;
        weight[i] = (float)(1 + i % 4);
        length[i] = i;
        mask[i][0] = i % 2 == 0, mask[i][1] = i % 3 == 0;
    }
    tg_dataset *d = tg_dataset_new(a);
    tg_dataset_fill(d, TG_TASK_BINARY, 12, 2, x[0], y);
    tg_dataset_attach(d, "more", TG_F32, TG_SHAPE(3), more);
    tg_dataset_attach(d, "weight", TG_F32, TG_SCALAR, weight);
    tg_dataset_attach(d, "length", TG_I64, TG_SCALAR, length);
    tg_dataset_attach(d, "mask", TG_U8, TG_SHAPE(2), mask);
    return d;
}

Test(attached, arrays_go_with_their_rows)
{
    tg_dataset *d = rows(NULL), *parts[2], *train, *held;
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    const int64_t row[] = {7, 7, 0};
    tg_dataset *few = tg_dataset_select(d, 3, row);
    const float *more = tg_dataset_attached(few, "more");
    const int64_t *length = tg_dataset_attached(few, "length");
    const uint8_t *mask = tg_dataset_attached(few, "mask");
    cr_expect_eq(more[5], 72.0f / 50);
    cr_expect(length[0] == 7 && length[1] == 7 && length[2] == 0);
    cr_expect(!mask[0] && !mask[1] && mask[4] && mask[5]);
    cr_expect_null(tg_dataset_attached(few, "less"));
    cr_expect_null(tg_dataset_attached(NULL, "more"));
    tg_dataset_free(few);
    /* However rows are divided or drawn, a row's arrays stay with it. */
    cr_assert_eq(tg_dataset_split(d, 2, (const double[]){0.5, 0.5}, 1, parts), TG_OK);
    cr_assert_eq(tg_dataset_fold(d, 3, 0, 1, &train, &held), TG_OK);
    tg_dataset *const all[] = {parts[0], parts[1], train, held,
                               tg_dataset_sample(d, 20, NULL, 1, 0)};
    for (int k = 0; k < 5; k++) {
        length = tg_dataset_attached(all[k], "length");
        cr_assert_not_null(length);
        for (int64_t i = 0; i < tg_dataset_rows(all[k]); i++) {
            cr_expect_eq(tg_dataset_x(all[k])[2 * i], (float)(length[i] % 5));
            cr_expect_eq(tg_dataset_x(all[k])[2 * i + 1], (float)(length[i] % 3));
        }
        tg_dataset_free(all[k]);
    }
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- in a model */

typedef struct net {
    tg_params *ps;
    tg_linear_layer first, second;
} net;

static tg_tensor *output(tg_tape *t, void *user, const tg_batch *b)
{
    const net *m = user;
    tg_tensor *more = tg_linear_layer_apply(t, &m->second, tg_batch_get(t, b, "more"));
    tg_tensor *mask = tg_batch_get(t, b, "mask"), *length = tg_batch_get(t, b, "length");
    more = tg_where(t, mask, more, tg_zeros_like(t, more));
    more = tg_add(t, more, tg_unsqueeze(t, tg_cast(t, length, tg_tensor_dtype(b->x)), 1));
    return tg_add(t, tg_linear_layer_apply(t, &m->first, b->x), tg_sum(t, more, TG_AXES(1), true));
}

static tg_tensor *weighted(tg_tape *t, void *user, tg_tensor *y, const tg_batch *b)
{
    (void)user;
    tg_tensor *w = tg_batch_get(t, b, "weight");
    tg_tensor *l = tg_square(t, tg_sub(t, tg_sigmoid(t, y), b->target));
    l = tg_mul(t, l, tg_unsqueeze(t, w, 1));
    return tg_div(t, tg_sum(t, l, TG_ALL_AXES, false), tg_sum(t, w, TG_ALL_AXES, false));
}

static tg_model *net_new(net *m, uint64_t seed)
{
    m->ps = tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = seed});
    const tg_scope s = tg_scope_root(m->ps);
    m->first = tg_linear_layer_new(tg_scope_in(s, "first"), 2, 1, true);
    m->second = tg_linear_layer_new(tg_scope_in(s, "second"), 3, 2, false);
    return tg_model_new(&(tg_model_options){.size = sizeof(tg_model_options),
                                            .params = m->ps,
                                            .net = m,
                                            .output = output,
                                            .loss = weighted,
                                            .no_standardize = true,
                                            .seed = 1});
}

/* The same by hand, in double. */
static double loss_by_hand(const net *m, const tg_dataset *d)
{
    double sum = 0, weights = 0;
    const float *u = tg_param_data(m->first.weight), *c = tg_param_data(m->first.bias),
                *v = tg_param_data(m->second.weight), *x = tg_dataset_x(d),
                *more = tg_dataset_attached(d, "more"), *w = tg_dataset_attached(d, "weight");
    const int64_t *length = tg_dataset_attached(d, "length"), *y = tg_dataset_class_numbers(d);
    const uint8_t *mask = tg_dataset_attached(d, "mask");
    for (int64_t i = 0; i < tg_dataset_rows(d); i++) {
        double z = (double)(u[0] * x[2 * i] + u[1] * x[2 * i + 1] + c[0]) + 2 * (double)length[i];
        for (int k = 0; k < 2; k++)
            for (int j = 0; j < 3 && mask[2 * i + k]; j++)
                z += (double)v[3 * k + j] * (double)more[3 * i + j];
        const double r = 1 / (1 + exp(-z)) - (double)y[i];
        sum += (double)w[i] * r * r;
        weights += (double)w[i];
    }
    return sum / weights;
}

Test(attached, a_model_gets_the_arrays_of_its_batches)
{
    tg_dataset *d = rows(NULL);
    net m;
    tg_model *model = net_new(&m, 3);
    tg_metrics y;
    cr_assert_eq(tg_evaluate(model, d, &y, NULL), TG_OK, "%s", tg_model_message(model));
    cr_expect_float_eq(y.loss, loss_by_hand(&m, d), 1e-6, "%.9g", y.loss);
    const double before = y.loss;
    /* Shuffled batches: what is trained is that loss. */
    tg_optim *o = tg_optim_parse(m.ps, "adam lr=0.02");
    tg_fit(model, d, FIT(.epochs = 60, .batch = 5, .optimizer = o));
    cr_assert_eq(tg_evaluate(model, d, &y, NULL), TG_OK, "%s", tg_model_message(model));
    cr_expect_lt(y.loss, before - 0.01);
    cr_expect_float_eq(y.loss, loss_by_hand(&m, d), 1e-6);
    tg_gradcheck_report r;
    tg_model_check(model, d, NULL, &r);
    cr_expect_eq(r.status, TG_OK, "%s", r.message);
    tg_optim_free(o);
    tg_model_free(model);
    tg_params_free(m.ps);

    /* All rows at once, in their order or shuffled, is the same step but for rounding: an array
     * that did not follow the order would show. */
    float bias[2];
    for (int k = 0; k < 2; k++) {
        model = net_new(&m, 3);
        tg_fit(model, d, FIT(.epochs = 1, .batch = 12, .no_shuffle = k));
        cr_assert_eq(tg_model_status(model), TG_OK, "%s", tg_model_message(model));
        cr_expect_float_eq(tg_model_history(model, NULL)[0].train.loss, before, 1e-6);
        bias[k] = *(const float *)tg_param_data(m.first.bias);
        tg_model_free(model);
        tg_params_free(m.ps);
    }
    cr_expect_float_eq((double)bias[0], (double)bias[1], 1e-6);
    tg_dataset_free(d);
}

Test(attached, what_is_not_there_is_an_error)
{
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[4] = {0, 1, 0, 1};
    tg_dataset *d = tg_dataset_new(NULL);
    cr_expect_eq(tg_dataset_attach(d, "a", TG_F32, TG_SCALAR, x), TG_ESTATE);
    tg_dataset_free(d);
    const struct {
        const char *name;
        tg_dtype dtype;
        tg_shape row;
        const void *data;
        tg_status status;
    } cases[] = {{NULL, TG_F32, TG_SCALAR, x, TG_ENULL},
                 {"b", TG_F32, TG_SCALAR, NULL, TG_ENULL},
                 {"b", TG_DTYPE_COUNT, TG_SCALAR, x, TG_EDTYPE},
                 {"b", TG_F32, {.ndim = -1}, x, TG_ESHAPE},
                 {"b", TG_F32, {.ndim = 1, .dim = {-1}}, x, TG_ESHAPE},
                 {"b", TG_F32, {.ndim = 1, .dim = {INT64_MAX / 2}}, x, TG_ESHAPE},
                 {"a", TG_F32, TG_SCALAR, x, TG_EVALUE}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        d = tg_dataset_new(NULL);
        tg_dataset_fill(d, TG_TASK_BINARY, 4, 2, x, y);
        cr_assert_eq(tg_dataset_attach(d, "a", TG_F32, TG_SHAPE(0), NULL), TG_OK);
        cr_expect_eq(
            tg_dataset_attach(d, cases[k].name, cases[k].dtype, cases[k].row, cases[k].data),
            cases[k].status, "case %zu: %s", k, tg_dataset_message(d));
        tg_dataset_free(d);
    }
    cr_expect_eq(tg_dataset_attach(NULL, "a", TG_F32, TG_SCALAR, x), TG_ENOMEM);
    d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_BINARY, 4, 2, x, y);
    for (int k = 0; k < 17; k++) {
        const char name[2] = {(char)('a' + k), 0};
        cr_expect_eq(tg_dataset_attach(d, name, TG_F32, TG_SCALAR, y), k < 16 ? TG_OK : TG_EVALUE);
    }
    tg_dataset_free(d);
    d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_BINARY, 4, 2, x, y);
    net m;
    tg_model *model = net_new(&m, 3);
    cr_expect_eq(tg_fit(model, d, NULL), TG_EVALUE);
    cr_expect_not_null(strstr(tg_model_message(model), "nothing named 'more' is attached"), "%s",
                       tg_model_message(model));
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_null(tg_batch_get(t, NULL, "more"));
    cr_expect_eq(tg_tape_status(t), TG_ENULL);
    tg_tape_free(t);
    tg_model_free(model);
    tg_params_free(m.ps);
    tg_dataset_free(d);
}

Test(attached, short_memory_is_reported_and_nothing_leaks)
{
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_dataset *d = rows(&a);
        const int64_t row[] = {1, 3};
        tg_dataset *few = tg_dataset_select(d, 2, row);
        done = tg_dataset_status(d) == TG_OK && tg_dataset_status(few) == TG_OK;
        const tg_status status = done ? TG_ENOMEM : tg_dataset_status(few);
        cr_expect_eq(status, TG_ENOMEM, "%lld: %s", at, tg_dataset_message(few));
        tg_dataset_free(few);
        tg_dataset_free(d);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_lt(at, 500);
    }
}
