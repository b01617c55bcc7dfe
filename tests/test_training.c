#define _XOPEN_SOURCE 700
#include "samples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/models.h>

#include "allocator.h"

#define MODEL(...) (&(tg_model_options){.size = sizeof(tg_model_options), __VA_ARGS__})
#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})

/* A net of one's own: two layers with dropout between. */
typedef struct net {
    tg_params *ps;
    tg_linear_layer layer[2];
    double dropout;
    int calls;
} net;

static net net_new(tg_dtype dtype, int64_t in, int64_t out, uint64_t seed)
{
    net y = {
        .ps = tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = seed})};
    tg_scope root = tg_scope_root(y.ps);
    root.dtype = dtype;
    y.layer[0] = tg_linear_layer_new(tg_scope_at(root, "layer", 0), in, 16, true);
    y.layer[1] = tg_linear_layer_new(tg_scope_at(root, "layer", 1), 16, out, true);
    return y;
}

static tg_tensor *output(tg_tape *t, void *user, const tg_batch *b)
{
    net *m = user;
    m->calls++;
    tg_tensor *h = tg_relu(t, tg_linear_layer_apply(t, &m->layer[0], b->x));
    return tg_linear_layer_apply(t, &m->layer[1], tg_dropout(t, h, m->dropout));
}

static const int64_t hidden[] = {16};

static void same_bits(const tg_params *a, const tg_params *b)
{
    cr_assert_eq(tg_params_count(a), tg_params_count(b));
    for (int k = 0; k < tg_params_count(a); k++) {
        const tg_tensor *p = tg_params_get(a, k), *q = tg_params_get(b, k);
        cr_assert_str_eq(tg_param_name(p), tg_param_name(q));
        cr_assert_arr_eq(tg_param_data(p), tg_param_data(q),
                         (size_t)tg_tensor_count(p) * tg_dtype_size(tg_tensor_dtype(p)));
    }
}

/* The multilayer net has no privileges: the same net by hand is trained to the same bits. */
Test(training, a_net_of_ones_own_trains_to_the_bits_of_the_mlp)
{
    static const struct {
        const char *name;
        int64_t in, out;
    } cases[] = {{"iris", 4, 3}, {"breast_cancer", 30, 1}, {"diabetes", 10, 1}};
    for (int k = 0; k < 3; k++) {
        tg_dataset *train, *test;
        read_sample(cases[k].name, &train, &test);
        net mine = net_new(TG_F32, cases[k].in, cases[k].out, 5);
        mine.dropout = 0.2;
        tg_model *m = tg_model_new(
            MODEL(.params = mine.ps, .net = &mine, .output = output, .seed = 5, .threads = 2));
        tg_mlp *mlp = tg_mlp_new(train, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                          .n_hidden = 1,
                                                          .hidden = hidden,
                                                          .dropout = 0.2,
                                                          .seed = 5});
        tg_fit(m, train, FIT(.epochs = 3, .validation = test));
        tg_fit(tg_mlp_model(mlp), train, FIT(.epochs = 3, .validation = test));
        cr_assert_eq(tg_model_status(m), TG_OK, "%s", tg_model_message(m));
        same_bits(mine.ps, tg_mlp_params(mlp));
        const tg_epoch *a = tg_model_history(m, NULL),
                       *b = tg_model_history(tg_mlp_model(mlp), NULL);
        cr_assert_eq(a[2].train.loss, b[2].train.loss);
        cr_assert_eq(a[2].validation.loss, b[2].validation.loss);
        const int64_t width = tg_model_prediction_width(m), n = tg_dataset_rows(test) * width;
        cr_assert_eq(width, tg_model_prediction_width(tg_mlp_model(mlp)));
        float *p = malloc((size_t)n * sizeof *p), *q = malloc((size_t)n * sizeof *q);
        cr_assert_eq(tg_predict(m, test, p), TG_OK);
        cr_assert_eq(tg_predict(tg_mlp_model(mlp), test, q), TG_OK);
        cr_assert_arr_eq(p, q, (size_t)n * sizeof *p);
        cr_assert_eq(tg_model_task(m), tg_dataset_task(train));
        free(p), free(q);
        tg_model_free(m);
        tg_mlp_free(mlp);
        tg_params_free(mine.ps);
        tg_dataset_free(train);
        tg_dataset_free(test);
    }
}

/* In f64 the same model is another one by rounding alone. */
Test(training, a_net_may_compute_in_f64)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    tg_metrics y[2];
    float p[2][30 * 3];
    cr_assert_eq(tg_dataset_rows(test), 30);
    for (int wide = 0; wide < 2; wide++) {
        net mine = net_new(wide ? TG_F64 : TG_F32, 4, 3, 1);
        tg_model *m = tg_model_new(MODEL(.params = mine.ps, .net = &mine, .output = output,
                                         .dtype = wide ? TG_F64 : TG_F32));
        tg_fit(m, train, FIT(.epochs = 5));
        cr_assert_eq(tg_evaluate(m, test, &y[wide], NULL), TG_OK, "%s", tg_model_message(m));
        cr_assert_eq(tg_predict(m, test, p[wide]), TG_OK);
        tg_model_free(m);
        tg_params_free(mine.ps);
    }
    cr_assert_float_eq(y[0].loss, y[1].loss, 1e-4);
    cr_assert_neq(y[0].loss, y[1].loss);
    for (int k = 0; k < 90; k++) cr_assert_float_eq((double)p[0][k], (double)p[1][k], 1e-4);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

/* ---------------------------------------------------------------- images */

typedef struct images {
    tg_conv2d_layer conv;
    tg_batch_norm_layer norm;
    tg_linear_layer last;
} images;

static images images_new(tg_params *ps)
{
    const tg_scope root = tg_scope_root(ps);
    const tg_conv same = {.padding = {1, 1}};
    return (images){tg_conv2d_layer_new(tg_scope_in(root, "conv"), 1, 8, 3, 3, false, same),
                    tg_batch_norm_layer_new(tg_scope_in(root, "norm"), 8),
                    tg_linear_layer_new(tg_scope_in(root, "last"), 8 * 4 * 4, 10, true)};
}

static tg_tensor *classify(tg_tape *t, void *user, const tg_batch *b)
{
    const images *m = user;
    tg_tensor *x = tg_reshape(t, b->x, TG_SHAPE(b->rows, 1, 8, 8));
    x = tg_batch_norm_layer_apply(t, &m->norm, tg_conv2d_layer_apply(t, &m->conv, x));
    x = tg_max_pool2d(t, tg_relu(t, x), (tg_pool){.kernel = {2, 2}});
    return tg_linear_layer_apply(t, &m->last, tg_reshape(t, x, TG_SHAPE(b->rows, 8 * 4 * 4)));
}

Test(training, a_net_with_running_statistics_reads_digits)
{
    tg_dataset *train, *test;
    read_sample("digits", &train, &test);
    tg_params *ps[2];
    for (int k = 0; k < 2; k++) {
        ps[k] = tg_params_new(NULL);
        images mine = images_new(ps[k]);
        tg_model *m = tg_model_new(
            MODEL(.params = ps[k], .net = &mine, .output = classify, .threads = k + 1));
        tg_metrics y;
        tg_fit(m, train, FIT(.epochs = 8));
        cr_assert_eq(tg_evaluate(m, test, &y, NULL), TG_OK, "%s", tg_model_message(m));
        cr_assert_gt(y.accuracy, 0.94, "%g", y.accuracy);
        cr_assert_neq(((const float *)tg_param_data(mine.norm.running_mean))[0], 0);
        tg_model_free(m);
    }
    same_bits(ps[0], ps[1]);
    for (int k = 0; k < 2; k++) tg_params_free(ps[k]);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

/* ---------------------------------------------------------------- a loss of one's own */

static tg_tensor *weighted(tg_tape *t, void *user, tg_tensor *y, const tg_batch *b)
{
    (void)user;
    const float weights[] = {1, 2, 4};
    return tg_cross_entropy_loss(t, y, b->target, tg_input(t, TG_F32, TG_SHAPE(3), weights),
                                 TG_NO_INDEX, 0.1, TG_REDUCE_MEAN);
}

Test(training, a_loss_of_ones_own_is_the_one_that_is_trained)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    net mine = net_new(TG_F32, 4, 3, 1);
    tg_model *m =
        tg_model_new(MODEL(.params = mine.ps, .net = &mine, .output = output, .loss = weighted));
    tg_metrics before, after;
    cr_assert_eq(tg_evaluate(m, train, &before, NULL), TG_OK, "%s", tg_model_message(m));
    tg_fit(m, train, FIT(.epochs = 150));
    cr_assert_eq(tg_evaluate(m, train, &after, NULL), TG_OK, "%s", tg_model_message(m));
    cr_assert_lt(after.loss, before.loss);
    cr_assert_gt(after.accuracy, 0.9, "%g", after.accuracy);
    tg_model_free(m);

    /* The same as a head of its own: nothing but the loss, and logits for predictions. */
    m = tg_model_new(MODEL(.params = mine.ps, .net = &mine, .output = output, .loss = weighted,
                           .head = TG_HEAD_CUSTOM, .outputs = 3, .no_standardize = true));
    float y[30 * 3];
    cr_assert_eq(tg_evaluate(m, test, &after, NULL), TG_OK, "%s", tg_model_message(m));
    cr_assert(isnan(after.accuracy) && isfinite(after.loss));
    cr_assert_eq(tg_predict(m, test, y), TG_OK, "%s", tg_model_message(m));
    const tg_tensor *w = mine.layer[1].bias;
    cr_assert_not_null(w);
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .evaluation = true});
    const tg_batch b = {.size = sizeof b,
                        .rows = 30,
                        .x = tg_input(t, TG_F32, TG_SHAPE(30, 4), tg_dataset_x(test))};
    cr_assert_arr_eq(tg_data(t, output(t, &mine, &b)), y, sizeof y);
    tg_tape_free(t);
    tg_model_free(m);
    tg_params_free(mine.ps);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

/* ---------------------------------------------------------------- derivatives */

/* An op of the user's own with a wrong derivative. */
TG_MAP_1(cube_span, x *x *x)
static void cube_vjp(TG_VJP) { gx[0] = tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 2.9)); }
static const tg_op cube = {
    .size = sizeof(tg_op), .name = "cube", .n_in = 1, .span = &cube_span, .vjp = cube_vjp};
/* Its derivative is right, but for the derivative's own. */
static void detached_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, tg_scale(t, tg_square(t, tg_detach(t, x[0])), 3));
}
static const tg_op detached = {.size = sizeof(tg_op),
                               .name = "detached_cube",
                               .n_in = 1,
                               .span = &cube_span,
                               .vjp = detached_vjp};

typedef struct suspect {
    net base;
    const tg_op *op;
    int line;
} suspect;

static tg_tensor *suspicious(tg_tape *t, void *user, const tg_batch *b)
{
    suspect *m = user;
    tg_tensor *h = tg_tanh(t, tg_linear_layer_apply(t, &m->base.layer[0], b->x));
    m->line = __LINE__ + 1;
    if (m->op) h = tg_apply(t, m->op, 1, &h, 0, NULL);
    return tg_linear_layer_apply(t, &m->base.layer[1], h);
}

Test(training, a_wrong_derivative_is_found_with_its_line)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    const tg_op *const ops[] = {NULL, &cube, &detached};
    for (int k = 0; k < 6; k++) {
        suspect mine = {.base = net_new(TG_F32, 4, 3, 1), .op = ops[k / 2]};
        tg_model *m =
            tg_model_new(MODEL(.params = mine.base.ps, .net = &mine, .output = suspicious));
        tg_gradcheck_report r;
        char fault[100];
        /* one by one, and in random directions */
        const tg_gradcheck_options o = {.size = sizeof o, .full_jacobian = k % 2 ? 1 : 0};
        const tg_status status = tg_model_check(m, train, &o, &r);
        cr_assert_eq(status, r.status);
        cr_assert_eq(status, mine.op ? TG_ECHECK : TG_OK, "%d: %s", k, r.message);
        cr_assert_eq(tg_model_status(m), TG_OK);
        if (mine.op) {
            /* the line of the op, or, of a derivative's derivative, its own */
            if (mine.op == &cube) snprintf(fault, sizeof fault, "test_training.c:%d: ", mine.line);
            else snprintf(fault, sizeof fault, "gradient of detached_cube");
            cr_assert_not_null(strstr(r.fault, fault), "%d: %s", k, r.message);
            cr_assert_not_null(strstr(r.fault, "cube"), "%d: %s", k, r.message);
            cr_assert_not_null(strstr(r.message, r.fault), "%d: %s", k, r.message);
            cr_assert_eq(r.order, mine.op == &cube ? 1 : 2);
            cr_assert(r.input >= 0 && r.input < 4, "%d: %s", k, r.message);
            cr_assert_not_null(
                strstr(r.message, tg_param_name(tg_params_get(mine.base.ps, r.input))), "%d: %s", k,
                r.message);
            cr_assert_gt(fabs(r.analytic - r.numeric), 1e-6, "%d: %s", k, r.message);
        } else {
            cr_assert_gt(r.compared, 0);
        }
        tg_model_free(m);
        tg_params_free(mine.base.ps);
    }
    tg_dataset_free(train);
    tg_dataset_free(test);
}

Test(training, models_are_checked_as_they_are_trained)
{
    static const char *const names[] = {"iris", "breast_cancer", "diabetes"};
    for (int k = 0; k < 3; k++) {
        tg_dataset *train, *test;
        tg_gradcheck_report r;
        read_sample(names[k], &train, &test);
        tg_mlp *m = tg_mlp_new(train, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                        .n_hidden = 1,
                                                        .hidden = hidden,
                                                        .activation = "tanh",
                                                        .dropout = 0.3});
        tg_fit(tg_mlp_model(m), train, FIT(.epochs = 1));
        tg_model_check(tg_mlp_model(m), test, NULL, &r);
        cr_assert_eq(r.status, TG_OK, "%s: %s", names[k], r.message);
        cr_assert_gt(r.compared, 100);
        tg_mlp_free(m);
        tg_dataset_free(train);
        tg_dataset_free(test);
    }
}

Test(training, checks_that_can_not_be_made_say_why)
{
    tg_dataset *train, *test;
    tg_gradcheck_report r;
    read_sample("iris", &train, &test);
    net mine = net_new(TG_F32, 4, 3, 1);
    tg_model *m =
        tg_model_new(MODEL(.params = mine.ps, .net = &mine, .output = output, .loss = weighted));
    cr_assert_eq(tg_model_check(m, train, NULL, &r), TG_EDTYPE); /* its weights are f32 */
    cr_assert_not_null(strstr(r.message, "test_training.c:"), "%s", r.message);
    cr_assert_eq(tg_model_check(m, NULL, NULL, &r), TG_ENULL);
    cr_assert_eq(r.status, TG_ENULL);
    cr_assert_str_eq(tg_model_message(m), "check: the data set is NULL");
    cr_assert_eq(tg_model_check(NULL, train, NULL, NULL), TG_ENOMEM);
    tg_model_free(m);
    tg_params_free(mine.ps);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

/* ---------------------------------------------------------------- mistakes */

static tg_tensor *nothing(tg_tape *t, void *user, const tg_batch *b)
{
    (void)t, (void)user, (void)b;
    return NULL;
}

static tg_tensor *no_loss(tg_tape *t, void *user, tg_tensor *y, const tg_batch *b)
{
    (void)t, (void)user, (void)y, (void)b;
    return NULL;
}

static tg_tensor *typo(tg_tape *t, void *user, const tg_batch *b)
{
    net *m = user;
    return tg_matmul(t, b->x, m->layer[1].weight);
}

Test(training, mistakes_in_a_model_are_told)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    net mine = net_new(TG_F32, 4, 3, 1), narrow = net_new(TG_F32, 4, 2, 1),
        wide = net_new(TG_F64, 4, 3, 1);
    tg_params *bad = tg_params_new(NULL);
    tg_param_new(bad, NULL, TG_F32, TG_SCALAR, (tg_init){0});
    const struct {
        const tg_model_options *o;
        tg_status status;
        const char *message;
    } cases[] = {
        {MODEL(.output = output), TG_ENULL, "model: options.params is NULL"},
        {MODEL(.params = mine.ps, .name = "mine"), TG_ENULL, "mine: options.output is NULL"},
        {MODEL(.params = bad, .output = output), TG_ENULL, "test_training.c:"},
        {MODEL(.params = mine.ps, .output = output, .head = TG_HEAD_COUNT), TG_EVALUE,
         "model: options.head is wrong"},
        {MODEL(.params = mine.ps, .output = output, .head = TG_HEAD_CUSTOM), TG_ENULL,
         "model: the head custom wants a loss"},
        {MODEL(.params = mine.ps, .output = output, .loss = no_loss, .head = TG_HEAD_CUSTOM),
         TG_ESHAPE, "model: the head custom wants options.outputs"},
        {MODEL(.params = mine.ps, .output = output, .outputs = 3), TG_ESHAPE,
         "model: options.outputs is for the head custom alone"},
        {MODEL(.params = mine.ps, .output = output, .dtype = TG_I64), TG_EDTYPE,
         "model: options.dtype is neither f32 nor f64"},
        {MODEL(.params = mine.ps, .output = output, .threads = -1), TG_EVALUE,
         "model: -1 threads are not in 0..1024"},
        {&(tg_model_options){.size = 0}, TG_EVALUE, "model: the options' size is not set"},
        {MODEL(.params = mine.ps, .net = &mine, .output = output, .head = TG_HEAD_MSE), TG_EVALUE,
         "model: the loss mse does not fit the task multiclass of 3 classes"},
        {MODEL(.params = mine.ps, .net = &mine, .output = nothing), TG_ENULL,
         "fit: the model recorded no output"},
        {MODEL(.params = mine.ps, .net = &mine, .output = output, .loss = no_loss), TG_ENULL,
         "fit: the model recorded no loss"},
        {MODEL(.params = narrow.ps, .net = &narrow, .output = output), TG_ESHAPE,
         "fit: the output is f32 [32,2] where the loss cross_entropy wants f32 [32,3]"},
        {MODEL(.params = wide.ps, .net = &wide, .output = output), TG_EDTYPE, "test_training.c:"},
        {MODEL(.params = mine.ps, .net = &mine, .output = typo), TG_ESHAPE, "test_training.c:"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_model *m = tg_model_new(cases[k].o);
        cr_assert_eq(tg_fit(m, train, FIT(.epochs = 1)), cases[k].status, "%zu: %s", k,
                     tg_model_message(m));
        cr_assert_not_null(strstr(tg_model_message(m), cases[k].message), "%zu: %s", k,
                           tg_model_message(m));
        float y[90];
        cr_assert_eq(tg_predict(m, test, y), cases[k].status);
        tg_model_free(m);
    }
    tg_params_free(bad);
    tg_params_free(mine.ps);
    tg_params_free(narrow.ps);
    tg_params_free(wide.ps);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

Test(training, a_model_learns_its_schema_from_its_first_data)
{
    tg_dataset *iris, *iris_test, *wine, *wine_test;
    read_sample("iris", &iris, &iris_test);
    read_sample("wine", &wine, &wine_test);
    net mine = net_new(TG_F32, 4, 3, 1);
    tg_model *m = tg_model_new(MODEL(.params = mine.ps, .net = &mine, .output = output));
    cr_assert_eq(tg_model_task(m), TG_TASK_AUTO);
    cr_assert_null(tg_model_label(m, 0));
    cr_assert_eq(tg_fit(m, iris, FIT(.epochs = 1)), TG_OK, "%s", tg_model_message(m));
    cr_assert_str_eq(tg_model_label(m, 0), tg_dataset_label(iris, 0));
    cr_assert_str_eq(tg_model_feature_name(m, 1), tg_dataset_feature_name(iris, 1));
    cr_assert_str_eq(tg_model_target_name(m), tg_dataset_target_name(iris));
    cr_assert_eq(tg_model_classes(m), 3);
    cr_assert_eq(tg_model_head(m), TG_HEAD_CROSS_ENTROPY);
    tg_metrics y;
    cr_assert_eq(tg_evaluate(m, wine, &y, NULL), TG_ESHAPE);
    cr_assert_str_eq(tg_model_message(m), "evaluate: the data has 13 features, the model 4");
    tg_model_free(m);
    tg_params_free(mine.ps);
    tg_dataset_free(iris);
    tg_dataset_free(iris_test);
    tg_dataset_free(wine);
    tg_dataset_free(wine_test);
}

Test(training, null_is_answered_everywhere)
{
    cr_assert_eq(tg_model_status(NULL), TG_ENOMEM);
    cr_assert_not_null(tg_model_message(NULL));
    cr_assert_null(tg_model_params(NULL));
    cr_assert_eq(tg_model_prediction_width(NULL), 0);
    cr_assert_null(tg_model_history(NULL, NULL));
    cr_assert_not_null(tg_model_schema(NULL));
    cr_assert_null(tg_mlp_model(NULL));
    tg_model_clear_error(NULL);
    tg_model_set_threads(NULL, 2);
    tg_model_free(NULL);
}

Test(training, short_memory_is_reported_and_nothing_leaks)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    net mine = net_new(TG_F32, 4, 3, 1);
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_model *m = tg_model_new(MODEL(.allocator = &a, .name = "mine", .params = mine.ps,
                                         .net = &mine, .output = output));
        tg_metrics y;
        tg_fit(m, train, FIT(.epochs = 1, .batch = 120));
        tg_evaluate(m, test, &y, NULL);
        done = tg_model_status(m) == TG_OK;
        if (!done) cr_assert_eq(tg_model_status(m), TG_ENOMEM, "%lld: %s", at, tg_model_message(m));
        tg_model_free(m);
        cr_assert_eq(memory.blocks, 0, "request %lld", at);
        cr_assert_lt(at, 2000);
    }
    tg_params_free(mine.ps);
    tg_dataset_free(train);
    tg_dataset_free(test);
}
