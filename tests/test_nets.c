/* Nets from text, and models as files. */
#define _XOPEN_SOURCE 700
#include "folder.h"
#include "samples.h"

#include <math.h>

#include <tapegrad/models.h>

#include "allocator.h"

#define NET(...) (&(tg_net_options){.size = sizeof(tg_net_options), __VA_ARGS__})
#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})

static const char *after_path(const tg_model *m)
{
    const char *found = strstr(tg_model_message(m), "/m: ");
    return found ? found + 4 : tg_model_message(m);
}

static void same_predictions(tg_model *a, tg_model *b, const tg_dataset *d)
{
    const size_t n = (size_t)(tg_dataset_rows(d) * tg_model_prediction_width(a));
    float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    cr_assert_eq(tg_predict(a, d, x), TG_OK, "%s", tg_model_message(a));
    cr_assert_eq(tg_predict(b, d, y), TG_OK, "%s", tg_model_message(b));
    cr_expect_arr_eq(x, y, n * sizeof *x);
    free(x), free(y);
}

Test(nets, from_text_are_trained_saved_and_loaded)
{
    static const struct {
        const char *data, *layers;
        tg_net_options o;
        int64_t epochs;
        double score;
    } cases[] = {
        {"iris", "linear 16, relu, linear", {.seed = 1}, 300, 0.9},
        {"breast_cancer",
         "linear 8, tanh, dropout 0.1, linear 2",
         {.head = TG_HEAD_CROSS_ENTROPY, .threads = 2},
         20,
         0.9},
        {"breast_cancer", "linear 1", {.head = TG_HEAD_AUTO, .dtype = TG_F64}, 20, 0.9},
        {"diabetes", "linear 8, gelu, linear", {.seed = 3}, 40, 0.3},
        {"digits",
         "conv 8 3, batchnorm, relu, maxpool 2, flatten, linear 10",
         {.seed = 1},
         16,
         0.92},
        {"digits", "reshape 8x8, lstm 16, last, linear", {.seed = 1}, 24, 0.9},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        folder f = folder_new();
        tg_dataset *train, *test;
        tg_metrics y, again;
        read_sample(cases[k].data, &train, &test);
        tg_net_options o = cases[k].o;
        o.size = sizeof o;
        tg_model *m = tg_net_new(train, cases[k].layers, &o);
        cr_assert_eq(tg_model_status(m), TG_OK, "%s", tg_model_message(m));
        cr_expect_str_eq(tg_net_layers(m), cases[k].layers);
        tg_fit(m, train, FIT(.epochs = cases[k].epochs));
        cr_assert_eq(tg_evaluate(m, test, &y, NULL), TG_OK, "%s", tg_model_message(m));
        cr_expect_gt(isnan(y.accuracy) ? y.r2 : y.accuracy, cases[k].score, "%s: %g",
                     cases[k].layers, isnan(y.accuracy) ? y.r2 : y.accuracy);
        cr_assert_eq(tg_model_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_model_message(m));
        tg_model *loaded = tg_model_open(f.file, NULL);
        cr_assert_eq(tg_model_status(loaded), TG_OK, "%s", tg_model_message(loaded));
        cr_expect_str_eq(tg_net_layers(loaded), cases[k].layers);
        cr_expect_eq(tg_model_head(loaded), tg_model_head(m));
        same_predictions(m, loaded, test);
        cr_assert_eq(tg_evaluate(loaded, test, &again, NULL), TG_OK);
        cr_expect_eq(y.loss, again.loss);
        /* Training goes on in both as if there had been no file: a new optimizer each. */
        tg_fit(m, train, FIT(.epochs = 1));
        tg_fit(loaded, train, FIT(.epochs = 1));
        same_predictions(m, loaded, test);
        tg_model_free(loaded);
        tg_model_free(m);
        tg_dataset_free(train);
        tg_dataset_free(test);
        folder_free(&f);
    }
}

Test(nets, texts_that_do_not_fit_the_data_are_refused)
{
    static const struct {
        const char *layers;
        tg_net_options o;
        tg_status status;
        const char *message;
    } cases[] = {
        {"linear 4",
         {0},
         TG_ESHAPE,
         "net: the layers end with rows of [4] where the loss cross_entropy wants 3 numbers: a "
         "last "
         "layer 'linear' gives them"},
        {"linear 4, relo",
         {0},
         TG_EVALUE,
         "layers: number 1, 'relo', at character 11: there is no layer 'relo'"},
        {"linear", {.head = TG_HEAD_BCE}, TG_EVALUE, "net: the loss bce does not fit"},
        {"linear", {.head = TG_HEAD_CUSTOM}, TG_EVALUE, "net: options.head"},
        {"linear", {.dtype = TG_I64}, TG_EDTYPE, "net: options.dtype"},
        {"linear", {.threads = -1}, TG_EVALUE, "net: -1 threads"},
        {NULL, {0}, TG_ENULL, "net: the text of the layers is NULL"},
    };
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_net_options o = cases[k].o;
        o.size = sizeof o;
        tg_model *m = tg_net_new(train, cases[k].layers, &o);
        cr_expect_eq(tg_model_status(m), cases[k].status, "case %zu", k);
        cr_expect_eq(strncmp(tg_model_message(m), cases[k].message, strlen(cases[k].message)), 0,
                     "case %zu: %s", k, tg_model_message(m));
        tg_model_clear_error(m); /* that of the making stays */
        cr_expect_neq(tg_fit(m, train, NULL), TG_OK);
        tg_model_free(m);
    }
    tg_model *m = tg_net_new(NULL, "linear", NULL);
    cr_expect_eq(tg_model_status(m), TG_ENULL);
    tg_model_free(m);
    m = tg_net_new(train, "linear", &(tg_net_options){.seed = 1});
    cr_expect_eq(tg_model_status(m), TG_EVALUE);
    tg_model_free(m);
    tg_dataset *empty = tg_dataset_new(NULL);
    m = tg_net_new(empty, "linear", NULL);
    cr_expect_eq(tg_model_status(m), TG_ESTATE);
    tg_model_free(m);
    cr_expect_null(tg_net_layers(NULL));
    tg_dataset_free(empty);
    tg_dataset_free(train);
    tg_dataset_free(test);
}

/* ---------------------------------------------------------------- models of a program's own */

typedef struct own {
    tg_params *ps;
    tg_linear_layer layer;
    tg_tensor *offset; /* a buffer */
} own;

static tg_tensor *output(tg_tape *t, void *user, const tg_batch *b)
{
    const own *m = user;
    tg_tensor *y = tg_linear_layer_apply(t, &m->layer, b->x);
    return tg_add(t, y, tg_buffer_get(t, m->offset));
}

static tg_model *own_new(own *m, const char *name, const char *version, int64_t in)
{
    m->ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(m->ps);
    m->layer = tg_linear_layer_new(tg_scope_in(s, "last"), in, 3, true);
    m->offset = tg_scope_buffer(s, "offset", TG_SHAPE(3), (tg_init){TG_CONSTANT, 0.5, 0});
    return tg_model_new(&(tg_model_options){.size = sizeof(tg_model_options),
                                            .name = name,
                                            .version = version,
                                            .params = m->ps,
                                            .net = m,
                                            .output = output});
}

Test(nets, a_model_of_ones_own_is_saved_and_loaded)
{
    folder f = folder_new();
    tg_dataset *train, *test, *wine, *wine_test;
    own a, b;
    read_sample("iris", &train, &test);
    read_sample("wine", &wine, &wine_test);
    tg_model *m = own_new(&a, "flowers", "2", 4);
    cr_expect_eq(tg_model_save(m, folder_file(&f, "m")), TG_ESTATE);
    cr_expect_not_null(strstr(tg_model_message(m), "has met no data"));
    tg_model_clear_error(m);
    tg_fit(m, train, FIT(.epochs = 3));
    const float offset[] = {0.25f, 0, 1};
    cr_assert_eq(tg_param_write(a.offset, offset), TG_OK);
    cr_assert_eq(tg_model_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_model_message(m));
    /* New, and with data of the same kind. */
    for (int met = 0; met < 2; met++) {
        tg_model *y = own_new(&b, "flowers", "2", 4);
        if (met) tg_fit(y, train, FIT(.epochs = 1));
        cr_assert_eq(tg_model_load(y, f.file), TG_OK, "%s", tg_model_message(y));
        same_predictions(m, y, test);
        cr_expect_str_eq(tg_model_label(y, 2), tg_model_label(m, 2));
        cr_expect_str_eq(tg_model_feature_name(y, 1), tg_model_feature_name(m, 1));
        tg_model_free(y);
        tg_params_free(b.ps);
    }
    static const struct {
        const char *name, *version;
        int64_t in;
        bool wine;
        const char *message;
    } cases[] = {
        {"flower", "2", 4, false, "its name is 'flowers' where the model's is 'flower'"},
        {"flowers", "3", 4, false, "its version is '2' where the model's is '3'"},
        {"flowers", NULL, 4, false, "its version is '2' where the model's is ''"},
        {"flowers", "2", 5, false, "tensor 'last.weight' is not f32 [3,5], as the parameter is"},
        {"flowers", "2", 13, true, "tensor 'last.weight' is not f32 [3,13], as the parameter is"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_model *y = own_new(&b, cases[k].name, cases[k].version, cases[k].in);
        if (cases[k].wine) tg_fit(y, wine, FIT(.epochs = 1));
        cr_expect_eq(tg_model_load(y, f.file), TG_EFORMAT);
        cr_expect_str_eq(after_path(y), cases[k].message);
        tg_model_free(y);
        tg_params_free(b.ps);
    }
    /* Others are opened as what they are, or not at all. */
    tg_model *y = tg_model_open(f.file, NULL);
    cr_expect_eq(tg_model_status(y), TG_EFORMAT);
    cr_expect_str_eq(after_path(y),
                     "the format is 'tapegrad-model-1' where 'tapegrad-mlp-1' is expected");
    tg_model_free(y);
    tg_mlp *mlp = tg_mlp_new(train, NULL);
    cr_assert_eq(tg_model_save(tg_mlp_model(mlp), folder_file(&f, "m")), TG_OK);
    y = own_new(&b, "flowers", "2", 4);
    cr_expect_eq(tg_model_load(y, f.file), TG_EFORMAT);
    cr_expect_str_eq(after_path(y),
                     "its format is 'tapegrad-mlp-1' where the model's is 'tapegrad-model-1'");
    tg_model_free(y);
    tg_params_free(b.ps);
    y = tg_model_open(f.file, NULL);
    cr_assert_eq(tg_model_status(y), TG_OK, "%s", tg_model_message(y));
    same_predictions(tg_mlp_model(mlp), y, test);
    tg_model_free(y); /* the multilayer net with it */
    tg_mlp_free(mlp);
    tg_model_free(m);
    tg_params_free(a.ps);
    tg_dataset_free(train), tg_dataset_free(test);
    tg_dataset_free(wine), tg_dataset_free(wine_test);
    folder_free(&f);
}

/* No byte of it may change. */
Test(nets, a_damaged_file_is_refused_wherever_the_damage_is, .timeout = 120)
{
    folder f = folder_new();
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    tg_model *m = tg_net_new(train, "linear 2, relu, linear", NULL);
    tg_fit(m, train, FIT(.epochs = 1));
    tg_model_save(m, folder_file(&f, "m"));
    static unsigned char bytes[1 << 16];
    FILE *file = fopen(f.file, "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t at = 0; at < n; at++) {
        const unsigned char kept = bytes[at];
        bytes[at] ^= (unsigned char)(1 << at % 8);
        tg_model *y = tg_model_open(folder_write(&f, "m", bytes, n), NULL);
        bytes[at] = kept;
        cr_expect(tg_model_status(y) == TG_EFORMAT, "byte %zu of %zu: %s", at, n,
                  tg_model_message(y));
        tg_model_free(y);
    }
    for (size_t k = 0; k < n; k += 13) {
        tg_model *y = tg_model_open(folder_write(&f, "m", bytes, k), NULL);
        cr_expect_eq(tg_model_status(y), TG_EFORMAT, "%zu bytes", k);
        tg_model_free(y);
    }
    tg_model_free(m);
    tg_dataset_free(train), tg_dataset_free(test);
    folder_free(&f);
}

Test(nets, short_memory_is_reported_and_nothing_leaks)
{
    folder f = folder_new();
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_model *m = tg_net_new(train, "linear 2, relu, linear", NET(.allocator = &a));
        tg_model *y = NULL;
        if (tg_model_save(m, folder_file(&f, "m")) == TG_OK) {
            y = tg_model_open(f.file, &a);
            done = tg_model_status(y) == TG_OK;
            if (!done) cr_expect_eq(tg_model_status(y), TG_ENOMEM, "%s", tg_model_message(y));
        } else {
            cr_expect_eq(tg_model_status(m), TG_ENOMEM, "%s", tg_model_message(m));
        }
        tg_model_free(y);
        tg_model_free(m);
        cr_assert_eq(memory.blocks, 0, "%lld", at);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 3000);
    }
    tg_dataset_free(train), tg_dataset_free(test);
    folder_free(&f);
}

/* ---------------------------------------------------------------- recording one's own steps */

Test(nets, a_batch_of_ones_own_is_recorded)
{
    tg_dataset *train, *test;
    read_sample("iris", &train, &test);
    tg_model *m = tg_net_new(train, "linear", NET(.no_standardize = true));
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .evaluation = true});
    const int64_t n = tg_dataset_rows(test);
    const tg_batch b = {.size = sizeof b,
                        .rows = n,
                        .x = tg_input(t, TG_F32, TG_SHAPE(n, 4), tg_dataset_x(test)),
                        .target = tg_input(t, TG_I64, TG_SHAPE(n), tg_dataset_class_numbers(test))};
    tg_tensor *loss;
    tg_metrics y;
    tg_evaluate(m, test, &y, NULL);
    cr_assert_not_null(tg_model_record(t, m, &b, &loss), "%s", tg_tape_message(t));
    cr_expect_float_eq(tg_item(t, loss), y.loss, 1e-6);
    const tg_batch unsized = {.rows = n, .x = b.x};
    cr_expect_null(tg_model_record(t, m, &unsized, NULL));
    cr_expect_eq(tg_tape_status(t), TG_EVALUE);
    tg_tape_clear_error(t);
    cr_expect_null(tg_model_record(t, NULL, &b, &loss));
    cr_expect_eq(tg_tape_status(t), TG_ENULL);
    cr_expect_null(loss);
    tg_tape_free(t);
    tg_model_free(m);
    tg_dataset_free(train), tg_dataset_free(test);
}
