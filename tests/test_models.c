#define _XOPEN_SOURCE 700
#include "folder.h"

#include <math.h>

#include <tapegrad/models.h>

#include "allocator.h"
#include "samples.h"

#define MLP(...) (&(tg_mlp_options){.size = sizeof(tg_mlp_options), __VA_ARGS__})
#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})

static const int64_t usual_hidden[] = {64, 32};

/* Two classes of points that a line divides, one of them twice as frequent, beside a constant
 * column. */
static tg_dataset *points(const tg_allocator *a, int64_t rows)
{
    float x[3 * 100], y[100];
    for (int64_t i = 0; i < rows; i++) {
        const float u = (float)(i * 37 % 100) / 50 - 1, v = (float)(i * 61 % 97) / 48 - 1;
        x[3 * i] = 5 + 3 * u;
        x[3 * i + 1] = 0.1F;
        x[3 * i + 2] = 200 * v;
        y[i] = u + v > -0.3F;
    }
    tg_dataset *d = tg_dataset_new(a);
    tg_dataset_fill(d, TG_TASK_BINARY, rows, 3, x, y);
    return d;
}

static tg_dataset *numbers(int64_t rows)
{
    float x[2 * 100], y[100];
    for (int64_t i = 0; i < rows; i++) {
        x[2 * i] = (float)(i * 37 % 100);
        x[2 * i + 1] = (float)(i * 61 % 97);
        y[i] = 1000 + 3 * x[2 * i] - 2 * x[2 * i + 1] + 7 * sinf((float)i);
    }
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_fill(d, TG_TASK_REGRESSION, rows, 2, x, y), TG_OK);
    return d;
}

static void fit(tg_mlp *m, const tg_dataset *d, const tg_fit_options *o)
{
    cr_assert_eq(tg_fit(tg_mlp_model(m), d, o), TG_OK, "%s", tg_mlp_message(m));
}

/* ---------------------------------------------------------------- what nets reach on real data */

static double mean_score(const char *name, int seeds)
{
    tg_dataset *train, *test;
    read_sample(name, &train, &test);
    double sum = 0;
    for (int seed = 0; seed < seeds; seed++) {
        tg_metrics y;
        tg_mlp *m =
            tg_mlp_new(train, MLP(.n_hidden = 2, .hidden = usual_hidden, .seed = (uint64_t)seed));
        fit(m, train, FIT(.epochs = 100));
        cr_assert_eq(tg_evaluate(tg_mlp_model(m), test, &y, NULL), TG_OK, "%s", tg_mlp_message(m));
        sum += tg_dataset_task(train) == TG_TASK_REGRESSION ? y.r2 : y.accuracy;
        tg_mlp_free(m);
    }
    tg_dataset_free(train);
    tg_dataset_free(test);
    return sum / seeds;
}

static void within(double value, double low, double high)
{
    cr_assert(value >= low && value <= high, "%.4f is not in %.4f..%.4f", value, low, high);
}

/* Mean and two standard deviations of PyTorch 1.13.1's test scores under the same settings (5
 * seeds); none of its wine nets ever missed. */
Test(models, iris_reaches_what_pytorch_reaches, .timeout = 300)
{
    within(mean_score("iris", 5), .980 - 2 * .027, 1);
}
Test(models, wine_reaches_what_pytorch_reaches, .timeout = 300)
{
    within(mean_score("wine", 5), 1, 1);
}
Test(models, breast_cancer_reaches_what_pytorch_reaches, .timeout = 300)
{
    within(mean_score("breast_cancer", 5), .960 - 2 * .009, .960 + 2 * .009);
}

/* Many seeds of the loops that the nets above run once: minutes under AddressSanitizer, which they
 * show nothing new, so they are left to the other builds. */
#ifndef __SANITIZE_ADDRESS__
Test(models, digits_reach_what_pytorch_reaches, .timeout = 600)
{
    within(mean_score("digits", 5), .971 - 2 * .003, .971 + 2 * .003);
}

/* On diabetes seeds differ much: PyTorch's R2 over 60 seeds has mean .164 and standard deviation
 * .047, so a mean of 20 seeds lies within two standard deviations, 2 * .047 * sqrt(1 / 20 + 1 / 60)
 * = .024, of it. */
Test(models, diabetes_reaches_what_pytorch_reaches, .timeout = 300)
{
    within(mean_score("diabetes", 20), .164 - .024, .164 + .024);
}
#endif

/* ---------------------------------------------------------------- bits */

static void same_params(const tg_mlp *a, const tg_mlp *b, bool same)
{
    bool equal = true;
    for (int k = 0; k < tg_params_count(tg_mlp_params(a)); k++) {
        const tg_tensor *p = tg_params_get(tg_mlp_params(a), k),
                        *q = tg_params_get(tg_mlp_params(b), k);
        equal = equal && !memcmp(tg_param_data(p), tg_param_data(q),
                                 (size_t)tg_tensor_count(p) * sizeof(float));
    }
    cr_assert_eq(equal, same);
}

Test(models, the_same_seed_gives_the_same_bits_whatever_the_threads, .timeout = 120)
{
    tg_dataset *train, *test;
    read_sample("digits", &train, &test);
    tg_mlp *m[5];
    for (int k = 0; k < 5; k++) {
        m[k] = tg_mlp_new(train, MLP(.n_hidden = 2, .hidden = usual_hidden, .dropout = 0.2,
                                     .seed = k == 4 ? 8 : 7, .threads = k));
        fit(m[k], train, FIT(.epochs = 3, .validation = k == 3 ? test : NULL));
        same_params(m[0], m[k], k < 4);
    }
    float *y[2];
    for (int k = 0; k < 2; k++) {
        y[k] = malloc((size_t)tg_dataset_rows(test) * 10 * sizeof(float));
        cr_assert_eq(tg_predict(tg_mlp_model(m[2 * k + 1]), test, y[k]), TG_OK, "%s",
                     tg_mlp_message(m[2 * k + 1]));
    }
    cr_assert_arr_eq(y[0], y[1], (size_t)tg_dataset_rows(test) * 10 * sizeof(float));
    free(y[0]);
    free(y[1]);
    for (int k = 0; k < 5; k++) tg_mlp_free(m[k]);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

Test(models, training_in_two_parts_is_training_in_one)
{
    tg_dataset *d = points(NULL, 90);
    tg_mlp *m[2];
    for (int k = 0; k < 2; k++) {
        m[k] = tg_mlp_new(d, MLP(.n_hidden = 1, .hidden = usual_hidden, .dropout = 0.5, .seed = 3));
        tg_optim *o =
            tg_sgd_new(tg_mlp_params(m[k]), &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                              .learning_rate = 0.1,
                                                              .momentum = 0.9});
        fit(m[k], d, FIT(.optimizer = o, .epochs = k ? 2 : 5, .batch = 20));
        if (k) fit(m[k], d, FIT(.optimizer = o, .epochs = 3, .batch = 20));
        tg_optim_free(o);
    }
    same_params(m[0], m[1], true);
    int64_t n;
    const tg_epoch *a = tg_model_history(tg_mlp_model(m[0]), &n),
                   *b = tg_model_history(tg_mlp_model(m[1]), NULL);
    cr_assert_eq(n, 5);
    for (int k = 0; k < 5; k++) {
        cr_assert_eq(b[k].epoch, k + 1);
        cr_assert_eq(a[k].train.loss, b[k].train.loss);
    }
    for (int k = 0; k < 2; k++) tg_mlp_free(m[k]);
    tg_dataset_free(d);
}

Test(models, a_loaded_model_predicts_the_same_bits)
{
    static const char *const names[] = {"breast_cancer", "iris", "diabetes"};
    folder f = folder_new();
    for (int k = 0; k < 3; k++) {
        tg_dataset *train, *test;
        read_sample(names[k], &train, &test);
        tg_mlp *m = tg_mlp_new(train, MLP(.n_hidden = 2, .hidden = usual_hidden,
                                          .activation = "gelu", .dropout = 0.1, .seed = 1));
        fit(m, train, FIT(.epochs = 3));
        cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_mlp_message(m));
        tg_mlp *l = tg_mlp_load(f.file, NULL);
        cr_assert_eq(tg_mlp_status(l), TG_OK, "%s", tg_mlp_message(l));
        const size_t bytes =
            (size_t)(tg_dataset_rows(test) * tg_model_prediction_width(tg_mlp_model(m))) *
            sizeof(float);
        float *y = malloc(bytes), *z = malloc(bytes);
        cr_assert_eq(tg_predict(tg_mlp_model(m), test, y), TG_OK);
        cr_assert_eq(tg_predict(tg_mlp_model(l), test, z), TG_OK);
        cr_assert_arr_eq(y, z, bytes);
        tg_metrics a, b;
        tg_evaluate(tg_mlp_model(m), test, &a, NULL);
        tg_evaluate(tg_mlp_model(l), test, &b, NULL);
        cr_assert_eq(a.loss, b.loss);
        free(y);
        free(z);
        tg_mlp_free(m);
        tg_mlp_free(l);
        tg_dataset_free(train);
        tg_dataset_free(test);
    }
    folder_free(&f);
}

/* -------------------------------------------------- scores, computed again from the predictions */

static void check_classes(tg_head head, const char *name)
{
    tg_dataset *train, *test;
    read_sample(name, &train, &test);
    tg_mlp *m = tg_mlp_new(train, MLP(.n_hidden = 1, .hidden = usual_hidden, .head = head));
    fit(m, train, FIT(.epochs = 5));
    const int64_t rows = tg_dataset_rows(test), classes = tg_model_classes(tg_mlp_model(m)),
                  *actual = tg_dataset_class_numbers(test);
    cr_assert_eq(tg_model_prediction_width(tg_mlp_model(m)), classes);
    float *p = malloc((size_t)(rows * classes) * sizeof *p);
    int64_t confusion[9], expected[9] = {0};
    tg_metrics y;
    cr_assert_eq(tg_predict(tg_mlp_model(m), test, p), TG_OK, "%s", tg_mlp_message(m));
    cr_assert_eq(tg_evaluate(tg_mlp_model(m), test, &y, confusion), TG_OK, "%s", tg_mlp_message(m));
    double loss = 0;
    int64_t right = 0;
    for (int64_t i = 0; i < rows; i++) {
        int64_t best = 0;
        double sum = 0;
        for (int64_t k = 0; k < classes; k++) {
            sum += (double)p[i * classes + k];
            if (p[i * classes + k] > p[i * classes + best]) best = k;
        }
        cr_assert_float_eq(sum, 1, 1e-5);
        loss -= log((double)p[i * classes + actual[i]]);
        right += best == actual[i];
        expected[actual[i] * classes + best]++;
    }
    cr_assert_eq(y.rows, rows);
    cr_assert_float_eq(y.loss, loss / (double)rows, 1e-4); /* logarithms of f32 probabilities */
    cr_assert_eq(y.accuracy, (double)right / (double)rows);
    cr_assert_gt(y.accuracy, 0.6);
    cr_assert(isnan(y.r2));
    cr_assert_arr_eq(confusion, expected, (size_t)(classes * classes) * sizeof *expected);
    free(p);
    tg_mlp_free(m);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

Test(models, scores_of_classes_follow_from_the_predictions)
{
    check_classes(TG_HEAD_AUTO, "iris");
    check_classes(TG_HEAD_AUTO, "breast_cancer");
    check_classes(TG_HEAD_CROSS_ENTROPY, "breast_cancer");
}

Test(models, scores_of_numbers_follow_from_the_predictions)
{
    tg_dataset *d = numbers(70);
    tg_mlp *m = tg_mlp_new(d, MLP(.n_hidden = 1, .hidden = usual_hidden));
    fit(m, d, FIT(.epochs = 60, .batch = 10));
    float p[70];
    tg_metrics y;
    cr_assert_eq(tg_predict(tg_mlp_model(m), d, p), TG_OK);
    cr_assert_eq(tg_evaluate(tg_mlp_model(m), d, &y, NULL), TG_OK);
    double mean = 0, residual = 0, deviation = 0;
    const float *t = tg_dataset_numbers(d);
    for (int i = 0; i < 70; i++) mean += (double)t[i] / 70;
    for (int i = 0; i < 70; i++) {
        residual += pow((double)(t[i] - p[i]), 2);
        deviation += pow((double)t[i] - mean, 2);
    }
    cr_assert_float_eq(y.r2, 1 - residual / deviation, 1e-5);
    cr_assert_float_eq(y.rmse, sqrt(residual / 70), 1e-3 * y.rmse);
    /* the target is standardised by these very rows */
    cr_assert_float_eq(y.loss, residual / deviation, 1e-5);
    cr_assert_gt(y.r2, 0.95);
    cr_assert(isnan(y.accuracy));
    tg_mlp_free(m);
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- the net itself */

/* The linear model y = w x + b after zero epochs of anything: recorded by hand from the
 * parameters. */
Test(models, the_net_is_what_its_parameters_say)
{
    tg_mlp *m = tg_mlp_new(NULL, MLP(.inputs = 2, .outputs = 1, .n_hidden = 1,
                                     .hidden = (const int64_t[]){3}, .activation = "tanh",
                                     .head = TG_HEAD_MSE, .dropout = 0.5));
    cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    const tg_params *ps = tg_mlp_params(m);
    const float *w0 = tg_param_data(tg_params_find(ps, "layer0.weight")),
                *b0 = tg_param_data(tg_params_find(ps, "layer0.bias"));
    const float *w1 = tg_param_data(tg_params_find(ps, "layer1.weight")),
                *b1 = tg_param_data(tg_params_find(ps, "layer1.bias"));
    const float x[] = {0.5F, -2};
    double expected = (double)b1[0];
    for (int k = 0; k < 3; k++) {
        cr_assert_lt(fabsf(w0[2 * k]), 1 / sqrtf(2));
        cr_assert_lt(fabsf(w1[k]), 1 / sqrtf(3));
        expected += (double)w1[k] *
                    tanh((double)w0[2 * k] * 0.5 - 2 * (double)w0[2 * k + 1] + (double)b0[k]);
    }
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .evaluation = true});
    cr_assert_float_eq(tg_item(t, tg_mlp_output(t, m, tg_input(t, TG_F32, TG_SHAPE(1, 2), x))),
                       expected, 1e-6);
    tg_tape_free(t);
    tg_mlp_free(m);
}

/* With every hidden value dropped, only the last bias is left. */
Test(models, dropout_works_in_training_mode_only)
{
    const float x[] = {0.5F, -2};
    tg_mlp *m =
        tg_mlp_new(NULL, MLP(.inputs = 2, .outputs = 1, .n_hidden = 1,
                             .hidden = (const int64_t[]){3}, .head = TG_HEAD_BCE, .dropout = 1));
    const float *bias = tg_param_data(tg_params_find(tg_mlp_params(m), "layer1.bias"));
    for (int evaluation = 0; evaluation < 2; evaluation++) {
        tg_tape *t = tg_tape_new(
            &(tg_tape_options){.size = sizeof(tg_tape_options), .evaluation = evaluation});
        const double y = tg_item(t, tg_mlp_output(t, m, tg_input(t, TG_F32, TG_SHAPE(1, 2), x)));
        cr_assert_eq(y == (double)bias[0], !evaluation);
        tg_tape_free(t);
    }
    tg_mlp_free(m);
}

static tg_tensor *loss_of(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n;
    tg_mlp *m = user;
    const int64_t classes[] = {2, 0, 1, 1};
    tg_tensor *target = tg_model_head(tg_mlp_model(m)) == TG_HEAD_CROSS_ENTROPY
                            ? tg_input(t, TG_I64, TG_SHAPE(4), classes)
                            : x[1];
    return tg_mlp_loss(t, m, tg_mlp_output(t, m, x[0]), target);
}

Test(models, gradients_of_whole_nets_are_right, .timeout = 120)
{
    const double x[] = {0.3, -0.7, 1.1, 0.2, -0.4, 0.9, -1.3, 0.6, 0.1, 0.8, -0.5, 0.4},
                 y[] = {1, 0, 0, 1};
    for (int head = TG_HEAD_BCE; head < TG_HEAD_CUSTOM; head++) {
        tg_mlp *m =
            tg_mlp_new(NULL, MLP(.inputs = 3, .outputs = head == TG_HEAD_CROSS_ENTROPY ? 3 : 1,
                                 .n_hidden = 2, .hidden = (const int64_t[]){4, 3},
                                 .activation = "silu", .dropout = 0.25, .head = (tg_head)head));
        const tg_check_input inputs[] = {{TG_SHAPE(4, 3), x, false}, {TG_SHAPE(4, 1), y, true}};
        tg_gradcheck_report report;
        tg_gradcheck(loss_of, 2, inputs, tg_mlp_params(m), m, NULL, &report);
        cr_assert_eq(report.status, TG_OK, "%s: %s", tg_head_name((tg_head)head), report.message);
        tg_mlp_free(m);
    }
}

Test(models, every_named_activation_trains)
{
    char names[300];
    strcpy(names, tg_activation_names());
    tg_dataset *d = points(NULL, 90);
    int count = 0;
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", "), count++) {
        tg_metrics y;
        tg_mlp *m = tg_mlp_new(d, MLP(.n_hidden = 1, .hidden = usual_hidden, .activation = name));
        fit(m, d, FIT(.epochs = 40, .batch = 10));
        tg_evaluate(tg_mlp_model(m), d, &y, NULL);
        cr_assert_gt(y.accuracy, 0.9, "%s: %.3f", name, y.accuracy);
        cr_assert_str_eq(tg_mlp_activation(m), name);
        tg_mlp_free(m);
    }
    cr_assert_eq(count, 12);
    tg_tape *t = tg_tape_new(NULL);
    cr_assert_null(tg_activation(t, "rely", tg_constant(t, TG_F32, 1)));
    cr_assert_eq(tg_tape_status(t), TG_EVALUE);
    cr_assert_not_null(
        strstr(tg_tape_message(t), "activation: 'rely' is none of relu, leaky_relu"));
    tg_tape_free(t);
    tg_dataset_free(d);
}

Test(models, layers_can_be_used_alone)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_scope head = tg_scope_in(tg_scope_root(ps), "head");
    const tg_linear_layer layer = tg_linear_layer_new(head, 3, 2, true);
    cr_assert_eq(tg_params_find(ps, "head.weight"), layer.weight);
    cr_assert_eq(tg_params_find(ps, "head.bias"), layer.bias);
    tg_param_write(layer.weight, (const float[]){1, 2, 3, 4, 5, 6});
    tg_param_write(layer.bias, (const float[]){10, 20});
    tg_tape *t = tg_tape_new(NULL);
    const float *y =
        tg_data(t, tg_linear_layer_apply(
                       t, &layer, tg_input(t, TG_F32, TG_SHAPE(1, 3), ((const float[]){1, 1, 2}))));
    cr_assert_eq(y[0], 19);
    cr_assert_eq(y[1], 41);
    tg_linear_layer_new(head, 3, 2, true);
    cr_assert_neq(tg_params_status(ps), TG_OK);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- the trainer */

typedef struct watcher {
    int epochs, batches, stop_epoch, stop_batch;
    tg_progress last;
    tg_epoch epoch;
    test_memory *memory;
    long long settled; /* requests for memory after the second epoch */
} watcher;

static bool watch_epoch(const tg_epoch *e, void *user)
{
    watcher *w = user;
    w->epoch = *e;
    if (++w->epochs == 2 && w->memory) w->settled = w->memory->requests;
    return w->epochs != w->stop_epoch;
}

static bool watch_batch(const tg_progress *p, void *user)
{
    watcher *w = user;
    w->last = *p;
    return ++w->batches != w->stop_batch;
}

Test(models, callbacks_see_every_step_and_may_stop)
{
    tg_dataset *d = points(NULL, 90);
    static const struct {
        int stop_epoch, stop_batch, epochs, batches;
    } cases[] = {{0, 0, 4, 20}, {2, 0, 2, 10}, {0, 7, 1, 7}, {0, 10, 2, 10}};
    for (int k = 0; k < 4; k++) {
        watcher w = {.stop_epoch = cases[k].stop_epoch, .stop_batch = cases[k].stop_batch};
        int64_t n;
        tg_mlp *m = tg_mlp_new(d, NULL);
        fit(m, d,
            FIT(.epochs = 4, .batch = 20, .validation = d, .on_epoch = watch_epoch,
                .on_batch = watch_batch, .user = &w));
        cr_assert_eq(w.epochs, cases[k].epochs);
        cr_assert_eq(w.batches, cases[k].batches);
        cr_assert_eq(w.last.batches, 5); /* four of 20 rows, one of 10 */
        cr_assert_eq(w.last.epochs, 4);
        const tg_epoch *history = tg_model_history(tg_mlp_model(m), &n);
        cr_assert_eq(n, cases[k].epochs);
        cr_assert_eq(history[n - 1].epoch, n);
        cr_assert_eq(history[n - 1].train.rows, 90);
        if (k == 0) {
            tg_metrics y;
            tg_evaluate(tg_mlp_model(m), d, &y, NULL);
            cr_assert_eq(history[n - 1].validation.loss, y.loss);
            cr_assert_eq(history[n - 1].validation.accuracy, y.accuracy);
        }
        tg_mlp_free(m);
    }
    tg_dataset_free(d);
}

typedef struct first_losses {
    double of[6]; /* of each epoch's first batch */
} first_losses;

static bool keep_first_loss(const tg_progress *p, void *user)
{
    if (p->batch == 1) ((first_losses *)user)->of[p->epoch - 1] = p->loss;
    return true;
}

/* With steps too small to change anything, a batch's loss tells which rows it held. */
Test(models, every_epoch_takes_all_rows_in_an_order_of_its_own)
{
    tg_dataset *d = points(NULL, 90);
    for (int shuffled = 0; shuffled < 2; shuffled++) {
        tg_mlp *m = tg_mlp_new(d, NULL);
        tg_optim *o = tg_sgd_new(tg_mlp_params(m), &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                                     .learning_rate = 1e-300});
        first_losses first;
        fit(m, d,
            FIT(.optimizer = o, .epochs = 6, .batch = 7, .no_shuffle = !shuffled,
                .on_batch = keep_first_loss, .user = &first));
        const tg_epoch *history = tg_model_history(tg_mlp_model(m), NULL);
        for (int a = 0; a < 6; a++)
            for (int b = 0; b < a; b++) {
                cr_assert_eq(first.of[a] == first.of[b], !shuffled);
                cr_assert_float_eq(history[a].train.loss, history[b].train.loss, 1e-6);
            }
        tg_optim_free(o);
        tg_mlp_free(m);
    }
    tg_dataset_free(d);
}

/* A step of a linear model on all rows at once, without standardisation, by hand: the gradient of
 * the mean squared error. */
Test(models, one_step_on_one_batch_is_the_textbooks)
{
    const float x[] = {1, 2, 3, 5}, y[] = {2, 3, 5, 4};
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_REGRESSION, 4, 1, x, y);
    tg_mlp *m = tg_mlp_new(d, MLP(.no_standardize = true));
    const float *w = tg_param_data(tg_params_find(tg_mlp_params(m), "layer0.weight"));
    const float *b = tg_param_data(tg_params_find(tg_mlp_params(m), "layer0.bias"));
    double gw = 0, gb = 0;
    for (int i = 0; i < 4; i++) {
        const double r = (double)w[0] * (double)x[i] + (double)b[0] - (double)y[i];
        gw += 2 * r * (double)x[i] / 4;
        gb += 2 * r / 4;
    }
    const double w1 = (double)w[0] - 0.01 * gw, b1 = (double)b[0] - 0.01 * gb;
    tg_optim *o = tg_sgd_new(
        tg_mlp_params(m), &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 0.01});
    fit(m, d, FIT(.optimizer = o, .epochs = 1, .batch = 1000));
    cr_assert_float_eq((double)w[0], w1, 1e-6);
    cr_assert_float_eq((double)b[0], b1, 1e-6);
    tg_optim_free(o);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(models, standardisation_makes_units_irrelevant)
{
    float x[2][80], y[2][40], p[2][40];
    for (int i = 0; i < 40; i++) {
        x[0][2 * i] = (float)(i * 7 % 40);
        x[0][2 * i + 1] = (float)(i * 11 % 37);
        y[0][i] = x[0][2 * i] - x[0][2 * i + 1] * x[0][2 * i] / 8;
        x[1][2 * i] =
            1024 * x[0][2 * i]; /* powers of two: standardised, the numbers are the same bits */
        x[1][2 * i + 1] = x[0][2 * i + 1] / 4;
        y[1][i] = 64 * y[0][i];
    }
    for (int k = 0; k < 2; k++) {
        tg_dataset *d = tg_dataset_new(NULL);
        tg_dataset_fill(d, TG_TASK_REGRESSION, 40, 2, x[k], y[k]);
        tg_mlp *m = tg_mlp_new(d, MLP(.n_hidden = 1, .hidden = usual_hidden));
        fit(m, d, FIT(.epochs = 5));
        cr_assert_eq(tg_predict(tg_mlp_model(m), d, p[k]), TG_OK);
        tg_mlp_free(m);
        tg_dataset_free(d);
    }
    for (int i = 0; i < 40; i++) cr_assert_eq(p[1][i], 64 * p[0][i]);
}

Test(models, a_steady_training_loop_takes_no_memory)
{
    for (int threads = 1; threads <= 2; threads++) {
        test_memory memory = {0};
        const tg_allocator a = test_allocator(&memory);
        watcher w = {.memory = &memory};
        tg_dataset *d = points(&a, 90);
        tg_mlp *m = tg_mlp_new(d, MLP(.allocator = &a, .n_hidden = 2, .hidden = usual_hidden,
                                      .dropout = 0.1, .threads = threads));
        long long before_end = 0;
        fit(m, d,
            FIT(.epochs = 2, .batch = 20, .validation = d, .on_epoch = watch_epoch, .user = &w));
        w = (watcher){.memory = &memory, .stop_epoch = 50};
        fit(m, d,
            FIT(.epochs = 100, .batch = 20, .validation = d, .on_epoch = watch_epoch, .user = &w));
        before_end = memory.requests;
        cr_assert_eq(w.epochs, 50);
        cr_assert_eq(before_end, w.settled, "%lld requests in 48 epochs", before_end - w.settled);
        tg_mlp_free(m);
        tg_dataset_free(d);
        cr_assert_eq(memory.blocks, 0);
    }
}

Test(models, a_diverging_training_stops_with_the_reason)
{
    tg_dataset *d = numbers(50);
    tg_mlp *m = tg_mlp_new(d, MLP(.n_hidden = 1, .hidden = usual_hidden));
    tg_optim *o = tg_sgd_new(
        tg_mlp_params(m), &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 1e6});
    cr_assert_eq(tg_fit(tg_mlp_model(m), d, FIT(.optimizer = o, .epochs = 50)), TG_ENONFINITE);
    cr_assert_not_null(strstr(tg_mlp_message(m), "a smaller learning rate may help"), "%s",
                       tg_mlp_message(m));
    tg_optim_free(o);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- mistakes */

Test(models, wrong_options_are_refused_with_a_reason)
{
    tg_dataset *d = points(NULL, 10);
    const int64_t zero[] = {0};
    const struct {
        const tg_mlp_options *o;
        bool data;
        tg_status status;
        const char *message;
    } cases[] = {
        {MLP(.activation = "rely"), true, TG_EVALUE, "mlp: activation 'rely' is none of relu"},
        {MLP(.dropout = 1.5), true, TG_EVALUE, "mlp: dropout 1.5 is not in 0..1"},
        {MLP(.dropout = NAN), true, TG_EVALUE, "mlp: dropout "},
        {MLP(.n_hidden = -1), true, TG_EVALUE, "mlp: -1 hidden layers"},
        {MLP(.n_hidden = 1), true, TG_ENULL, "mlp: hidden, the layers' sizes, is NULL"},
        {MLP(.n_hidden = 1, .hidden = zero), true, TG_ESHAPE, "mlp: hidden layer 0 of size 0"},
        {MLP(.threads = -1), true, TG_EVALUE, "mlp: -1 threads"},
        {MLP(.head = TG_HEAD_MSE), true, TG_EVALUE,
         "mlp: the loss mse does not fit the task binary of 2 classes"},
        {MLP(.head = TG_HEAD_COUNT), true, TG_EVALUE, "mlp: options.head is wrong"},
        {MLP(.inputs = 1, .outputs = 1), false, TG_EVALUE,
         "mlp: without data, options.head must say"},
        {MLP(.head = TG_HEAD_MSE), false, TG_ESHAPE,
         "mlp: without data, inputs and outputs must be given"},
        {MLP(.head = TG_HEAD_BCE, .inputs = 1, .outputs = 2), false, TG_ESHAPE,
         "mlp: 2 outputs do not fit the loss bce"},
        {&(tg_mlp_options){.size = 0}, true, TG_EVALUE,
         "mlp: the options' size is not set: .size = sizeof(tg_mlp_options)"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_mlp *m = tg_mlp_new(cases[k].data ? d : NULL, cases[k].o);
        cr_assert_eq(tg_mlp_status(m), cases[k].status, "%zu: %s", k, tg_mlp_message(m));
        cr_assert_eq(strncmp(tg_mlp_message(m), cases[k].message, strlen(cases[k].message)), 0,
                     "%zu: %s", k, tg_mlp_message(m));
        /* Such a net is of no use, but harmless. */
        tg_mlp_clear_error(m);
        tg_metrics y;
        float p[20];
        cr_assert_eq(tg_fit(tg_mlp_model(m), d, NULL), cases[k].status);
        cr_assert_eq(tg_evaluate(tg_mlp_model(m), d, &y, NULL), cases[k].status);
        cr_assert_eq(tg_predict(tg_mlp_model(m), d, p), cases[k].status);
        cr_assert_eq(tg_mlp_save(m, "/none"), cases[k].status);
        tg_dataset *for_model = tg_dataset_new(NULL);
        cr_assert_eq(
            tg_dataset_read_csv(for_model, "x",
                                &(tg_csv_options){.size = sizeof(tg_csv_options),
                                                  .schema = tg_model_schema(tg_mlp_model(m))}),
            TG_ESTATE);
        tg_dataset_free(for_model);
        tg_tape *t = tg_tape_new(NULL);
        cr_assert_null(tg_mlp_output(t, m, tg_input(t, TG_F32, TG_SHAPE(1, 3), p)));
        cr_assert_eq(tg_tape_status(t), TG_ESTATE);
        tg_tape_free(t);
        tg_mlp_free(m);
    }
    tg_dataset_free(d);
}

Test(models, data_that_does_not_fit_the_net_is_refused)
{
    tg_dataset *d = points(NULL, 20), *other = numbers(20), *empty = tg_dataset_new(NULL),
               *bad = tg_dataset_new(NULL);
    tg_dataset_read_csv(bad, "none", NULL);
    const float x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, y[] = {0, 1, 2};
    tg_dataset *more_classes = tg_dataset_new(NULL), *regression = tg_dataset_new(NULL);
    tg_dataset_fill(more_classes, TG_TASK_MULTICLASS, 3, 3, x, y);
    tg_dataset_fill(regression, TG_TASK_REGRESSION, 3, 3, x, y);
    const struct {
        const tg_dataset *d;
        tg_status status;
        const char *message;
    } cases[] = {
        {NULL, TG_ENULL, "fit: the data set is NULL"},
        {other, TG_ESHAPE, "fit: the data has 2 features, the model 3"},
        {empty, TG_ESTATE, "fit: the data set has no rows"},
        {bad, TG_EIO, "none: No such file or directory"},
        {more_classes, TG_ESHAPE, "fit: the data has 3 classes, the model 2"},
        {regression, TG_EVALUE, "fit: the data's task is regression, the model's binary"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_mlp *m = tg_mlp_new(d, NULL);
        cr_assert_eq(tg_fit(tg_mlp_model(m), cases[k].d, NULL), cases[k].status, "%zu", k);
        cr_assert_str_eq(tg_mlp_message(m), cases[k].message);
        cr_assert_eq(tg_fit(tg_mlp_model(m), d, NULL), cases[k].status); /* it sticks */
        tg_mlp_clear_error(m);
        fit(m, d, FIT(.epochs = 1));
        tg_mlp_free(m);
    }
    tg_mlp *m = tg_mlp_new(d, NULL);
    cr_assert_eq(tg_fit(tg_mlp_model(m), d, FIT(.epochs = -1)), TG_EVALUE);
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_fit(tg_mlp_model(m), d, FIT(.batch = -1)), TG_EVALUE);
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_predict(tg_mlp_model(m), d, NULL), TG_ENULL);
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_evaluate(tg_mlp_model(m), d, NULL, NULL), TG_ENULL);
    tg_mlp_clear_error(m);
    tg_model_set_threads(tg_mlp_model(m), 2000);
    cr_assert_eq(tg_mlp_status(m), TG_EVALUE);
    tg_mlp_free(m);
    tg_dataset_free(d);
    tg_dataset_free(other);
    tg_dataset_free(empty);
    tg_dataset_free(bad);
    tg_dataset_free(more_classes);
    tg_dataset_free(regression);
}

Test(models, null_is_answered_everywhere)
{
    tg_metrics y;
    float p[1];
    int64_t n = 7;
    cr_assert_eq(tg_mlp_status(NULL), TG_ENOMEM);
    cr_assert_eq(tg_fit(NULL, NULL, NULL), TG_ENOMEM);
    cr_assert_eq(tg_evaluate(NULL, NULL, &y, NULL), TG_ENOMEM);
    cr_assert_eq(tg_predict(NULL, NULL, p), TG_ENOMEM);
    cr_assert_eq(tg_mlp_save(NULL, "x"), TG_ENOMEM);
    cr_assert_null(tg_model_history(NULL, &n));
    cr_assert_eq(n, 0);
    cr_assert_null(tg_mlp_params(NULL));
    cr_assert_null(tg_model_label(NULL, 0));
    cr_assert_null(tg_mlp_activation(NULL));
    cr_assert_eq(tg_mlp_hidden(NULL, NULL), 0);
    tg_mlp_free(NULL);
    tg_mlp_clear_error(NULL);
    tg_mlp *m = tg_mlp_load(NULL, NULL);
    cr_assert_eq(tg_mlp_status(m), TG_ENULL);
    tg_mlp_free(m);
    tg_tape *t = tg_tape_new(NULL);
    cr_assert_null(tg_mlp_output(t, NULL, NULL));
    cr_assert_eq(tg_tape_status(t), TG_ENULL);
    tg_tape_free(t);
}

Test(models, every_failing_allocation_is_reported_and_nothing_leaks, .timeout = 300)
{
    tg_dataset *d = points(NULL, 30);
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        float p[60];
        tg_metrics y;
        tg_mlp *m = tg_mlp_new(
            d, MLP(.allocator = &a, .n_hidden = 1, .hidden = (const int64_t[]){4}, .dropout = 0.1));
        tg_fit(tg_mlp_model(m), d, FIT(.epochs = 2, .batch = 20, .validation = d));
        tg_evaluate(tg_mlp_model(m), d, &y, NULL);
        tg_predict(tg_mlp_model(m), d, p);
        done = tg_mlp_status(m) == TG_OK;
        if (!done)
            cr_assert_eq(tg_mlp_status(m), TG_ENOMEM, "request %lld: %s", at, tg_mlp_message(m));
        tg_mlp_free(m);
        cr_assert_eq(memory.blocks, 0, "request %lld", at);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 10000);
    }
    tg_dataset_free(d);
}

/* ---------------------------------------------------------------- what does not go together */

Test(models, an_optimizer_of_other_parameters_trains_no_net)
{
    tg_dataset *d = points(NULL, 20);
    tg_mlp *m = tg_mlp_new(d, NULL);
    tg_params *other = tg_params_new(NULL);
    tg_param_new(other, "w", TG_F32, TG_SHAPE(2), (tg_init){.kind = TG_ONES});
    tg_optim *o = tg_adam_new(other, NULL);
    cr_expect_eq(tg_fit(tg_mlp_model(m), d,
                        &(tg_fit_options){.size = sizeof(tg_fit_options), .optimizer = o}),
                 TG_EVALUE);
    cr_expect_str_eq(tg_mlp_message(m),
                     "fit: options.optimizer steps other parameters than the net's");
    cr_expect_eq(tg_optim_params(o), other);
    tg_optim_free(o);
    tg_params_free(other);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(models, a_net_with_parameters_of_others_is_not_saved_over_a_good_file)
{
    tg_dataset *d = points(NULL, 20);
    tg_mlp *m = tg_mlp_new(d, NULL);
    folder f = folder_new();
    const char *path = folder_file(&f, "joined");
    cr_assert_eq(tg_mlp_save(m, path), TG_OK, "%s", tg_mlp_message(m));
    tg_param_new(tg_mlp_params(m), "mine", TG_F32, TG_SHAPE(2), (tg_init){.kind = TG_ONES});
    cr_expect_eq(tg_mlp_save(m, path), TG_ESTATE);
    cr_expect(strstr(tg_mlp_message(m), "joined by others"), "%s", tg_mlp_message(m));
    tg_mlp *read = tg_mlp_load(path, NULL);
    cr_expect_eq(tg_mlp_status(read), TG_OK, "the file is the good one: %s", tg_mlp_message(read));
    folder_free(&f);
    tg_mlp_free(read);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(models, a_layer_without_a_name_is_an_error)
{
    tg_params *ps = tg_params_new(NULL);
    cr_expect_null(tg_linear_layer_new(tg_scope_in(tg_scope_root(ps), NULL), 2, 3, true).weight);
    cr_expect_eq(tg_params_status(ps), TG_ENULL, "%s", tg_params_message(ps));
    cr_expect_eq(tg_params_count(ps), 0);
    tg_params_free(ps);
}
