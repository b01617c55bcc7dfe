/* Reports: what is recorded, and what stands in the page. How it looks is test_page.sh's. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include <tapegrad.h>

#include "allocator.h"
#include "folder.h"

enum { ROWS = 60, FEATURES = 3, BATCH = 10 };

static tg_dataset *points(tg_task task)
{
    float x[ROWS * FEATURES], y[ROWS];
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < FEATURES; k++) x[i * FEATURES + k] = (float)((i * (7 + k)) % 19) / 19;
        /* the third feature has nothing to do with it */
        y[i] = task == TG_TASK_REGRESSION ? 2 * x[i * FEATURES] - x[i * FEATURES + 1]
                                          : (float)(x[i * FEATURES] > x[i * FEATURES + 1]);
    }
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_fill(d, task, ROWS, FEATURES, x, y), TG_OK);
    return d;
}

static tg_mlp *net(const tg_dataset *d, const tg_allocator *a)
{
    const int64_t hidden[] = {6};
    return tg_mlp_new(
        d, &(tg_mlp_options){
               .size = sizeof(tg_mlp_options), .allocator = a, .n_hidden = 1, .hidden = hidden});
}

/* The JSON within the page. */
static json_t *numbers_of(const char *path)
{
    static const char begin[] = "<script type=\"application/json\" id=\"data\">";
    static char text[1 << 20];
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = 0;
    fclose(in);
    char *from = strstr(text, begin), *to = from ? strstr(from, "</script>") : NULL;
    cr_assert(from && to);
    *to = 0;
    json_error_t error;
    json_t *y = json_loads(from + sizeof begin - 1, 0, &error);
    cr_assert_not_null(y, "%s", error.text);
    return y;
}

static double at(const json_t *root, const char *object, const char *name, size_t k)
{
    return json_number_value(
        json_array_get(json_object_get(json_object_get(root, object), name), k));
}

typedef struct calls {
    int gradients, batches, epochs, stop_at;
    double batch_loss;
    tg_params *ps;
} calls;

static bool on_gradients(const tg_progress *p, void *user)
{
    calls *c = user;
    cr_expect_not_null(tg_param_grad(tg_params_get(c->ps, 0)));
    cr_expect_eq(p->batch, c->batches % (ROWS / BATCH));
    c->gradients++;
    return true;
}
static bool on_batch(const tg_progress *p, void *user)
{
    calls *c = user;
    if (!c->batches) cr_expect_float_eq(p->batch_loss, p->loss, 1e-12);
    c->batch_loss = p->batch_loss;
    return ++c->batches != c->stop_at;
}
static bool on_epoch(const tg_epoch *e, void *user)
{
    calls *c = user;
    return (void)e, ++c->epochs, true;
}

Test(report, records_each_step_and_calls_whom_it_replaced)
{
    folder f = folder_new();
    tg_dataset *d = points(TG_TASK_BINARY);
    tg_mlp *m = net(d, NULL);
    calls c = {.ps = tg_mlp_params(m)};
    tg_report *r =
        tg_report_new(tg_mlp_model(m), &(tg_report_options){.size = sizeof(tg_report_options),
                                                            .title = "</script><b>x",
                                                            .settings = "a: b\n"});
    tg_sgd_options sgd = {.size = sizeof sgd, .learning_rate = 0.25};
    tg_optim *optimizer = tg_sgd_new(tg_mlp_params(m), &sgd);
    tg_fit_options o = {.size = sizeof o,
                        .epochs = 4,
                        .batch = BATCH,
                        .validation = d,
                        .optimizer = optimizer,
                        .on_gradients = on_gradients,
                        .on_batch = on_batch,
                        .on_epoch = on_epoch,
                        .user = &c};
    cr_assert_eq(tg_report_attach(r, &o), TG_OK, "%s", tg_report_message(r));
    cr_assert_eq(tg_fit(tg_mlp_model(m), d, &o), TG_OK, "%s", tg_mlp_message(m));
    cr_expect_eq(c.gradients, 24);
    cr_expect_eq(c.batches, 24);
    cr_expect_eq(c.epochs, 4);
    cr_assert_eq(tg_report_write(r, d, d, folder_file(&f, "run.html")), TG_OK, "%s",
                 tg_report_message(r));
    json_t *root = numbers_of(f.file);
    cr_expect_str_eq(json_string_value(json_object_get(root, "title")), "</script><b>x");
    cr_expect_eq(json_integer_value(json_object_get(json_object_get(root, "steps"), "n")), 24);
    cr_expect_float_eq(at(root, "steps", "loss", 23), c.batch_loss, 1e-5);
    cr_expect_float_eq(at(root, "steps", "rate", 5), 0.25, 1e-9);
    cr_expect(at(root, "steps", "norm", 0) > 0);
    int64_t n;
    const tg_epoch *e = tg_model_history(tg_mlp_model(m), &n);
    cr_expect_float_eq(at(root, "epochs", "train_loss", 3), e[3].train.loss, 1e-5);
    cr_expect_float_eq(at(root, "epochs", "held_score", 3), e[3].validation.accuracy, 1e-5);
    /* plain descent: an update is the gradient's norm times the rate */
    const json_t *layers = json_object_get(root, "layers");
    double moved = 0;
    for (int k = 0; k < tg_params_count(c.ps); k++) {
        const tg_tensor *p = tg_params_get(c.ps, k);
        const json_t *layer = json_array_get(layers, (size_t)k);
        const json_t *ratio = json_object_get(layer, "ratio");
        double weights = 0;
        for (int64_t i = 0; i < tg_tensor_count(p); i++)
            weights += pow((double)((const float *)tg_param_data(p))[i], 2);
        cr_expect_eq(json_array_size(ratio), 4);
        moved += weights * pow(json_number_value(json_array_get(ratio, 3)), 2);
        /* every element stands in one bin */
        const json_t *bins = json_array_get(json_object_get(layer, "weights"), 3);
        json_int_t count = 0;
        for (size_t b = 2; b < json_array_size(bins); b++)
            count += json_integer_value(json_array_get(bins, b));
        cr_expect_eq(count, tg_tensor_count(p));
    }
    cr_expect_float_eq(sqrt(moved), 0.25 * at(root, "steps", "norm", 23), 1e-4);
    json_decref(root);
    tg_report_free(r);
    tg_optim_free(optimizer);
    tg_mlp_free(m);
    tg_dataset_free(d);
    folder_free(&f);
}

Test(report, says_what_the_net_does)
{
    for (int numbers = 0; numbers < 2; numbers++) {
        folder f = folder_new();
        tg_dataset *d = points(numbers ? TG_TASK_REGRESSION : TG_TASK_BINARY);
        tg_mlp *m = net(d, NULL);
        tg_report *r = tg_report_new(tg_mlp_model(m), NULL);
        tg_fit_options o = {.size = sizeof o, .epochs = 150, .batch = BATCH};
        tg_report_attach(r, &o);
        tg_fit(tg_mlp_model(m), d, &o);
        cr_assert_eq(tg_report_write(r, d, NULL, folder_file(&f, "run.html")), TG_OK, "%s",
                     tg_report_message(r));
        json_t *root = numbers_of(f.file);
        float y[2 * ROWS];
        int64_t confusion[4];
        tg_metrics scores;
        tg_predict(tg_mlp_model(m), d, y);
        tg_evaluate(tg_mlp_model(m), d, &scores, confusion);
        if (numbers) {
            const json_t *pair = json_array_get(json_object_get(root, "predicted"), 7);
            cr_expect_float_eq(json_number_value(json_array_get(pair, 1)), (double)y[7], 1e-4);
        } else {
            const json_t *rows = json_object_get(root, "confusion");
            json_int_t calibrated = 0;
            for (size_t k = 0; k < 4; k++)
                cr_expect_eq(json_integer_value(json_array_get(json_array_get(rows, k / 2), k % 2)),
                             confusion[k]);
            for (size_t k = 0; k < json_array_size(json_object_get(root, "calibration")); k++)
                calibrated += json_integer_value(
                    json_array_get(json_array_get(json_object_get(root, "calibration"), k), 0));
            cr_expect_eq(calibrated, ROWS);
            cr_expect_eq((int64_t)json_array_size(json_object_get(root, "examples")),
                         (confusion[1] < 4 ? confusion[1] : 4) +
                             (confusion[2] < 4 ? confusion[2] : 4));
        }
        /* the idle feature matters least */
        const json_t *importance = json_object_get(root, "importance");
        double rise[FEATURES];
        for (size_t k = 0; k < FEATURES; k++)
            rise[k] = json_number_value(json_object_get(json_array_get(importance, k), "rise"));
        cr_expect(rise[2] < rise[0] && rise[2] < rise[1], "%g %g %g", rise[0], rise[1], rise[2]);
        const json_t *surface = json_object_get(root, "surface");
        const double grid = json_number_value(json_object_get(surface, "grid"));
        cr_expect_float_eq((double)json_array_size(json_object_get(surface, "value")), grid * grid,
                           0.1);
        cr_expect_eq(json_array_size(json_object_get(surface, "points")), ROWS);
        cr_expect(json_array_size(json_object_get(
                      json_object_get(json_object_get(root, "profile"), "plan"), "steps")) > 2);
        json_decref(root);
        tg_report_free(r);
        tg_mlp_free(m);
        tg_dataset_free(d);
        folder_free(&f);
    }
}

Test(report, wrong_uses_are_refused)
{
    tg_dataset *d = points(TG_TASK_BINARY);
    tg_mlp *m = net(d, NULL);
    tg_report *none = tg_report_new(NULL, NULL);
    cr_expect_eq(tg_report_status(none), TG_ENULL);
    cr_expect_eq(tg_report_write(none, d, d, "x.html"), TG_ENULL);
    tg_report *r = tg_report_new(tg_mlp_model(m), &(tg_report_options){.title = "x"});
    cr_expect_eq(tg_report_status(r), TG_EVALUE);
    tg_report_free(r);
    r = tg_report_new(tg_mlp_model(m), NULL);
    cr_expect_eq(tg_report_attach(r, NULL), TG_ENULL);
    tg_report_free(r);
    r = tg_report_new(tg_mlp_model(m), NULL);
    cr_expect_eq(tg_report_write(r, d, NULL, "/no/such/folder/x.html"), TG_EIO);
    cr_expect(strstr(tg_report_message(r), "/no/such/folder/x.html"));
    tg_report_free(r);
    cr_expect_eq(tg_report_status(NULL), TG_ENOMEM);
    tg_report_free(none);
    tg_report_free(NULL);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(report, without_memory_it_fails_and_the_training_goes_on)
{
    folder f = folder_new();
    tg_dataset *d = points(TG_TASK_BINARY);
    folder_file(&f, "run.html");
    for (long long request = 1; request < 40; request++) {
        test_memory memory = {.fail_at = request};
        const tg_allocator a = test_allocator(&memory);
        tg_mlp *m = net(d, NULL);
        tg_report *r = tg_report_new(
            tg_mlp_model(m),
            &(tg_report_options){.size = sizeof(tg_report_options), .allocator = &a, .title = "t"});
        tg_fit_options o = {.size = sizeof o, .epochs = 2, .batch = BATCH};
        tg_report_attach(r, &o);
        cr_expect_eq(tg_fit(tg_mlp_model(m), d, &o), TG_OK, "%s", tg_mlp_message(m));
        tg_report_write(r, d, NULL, f.file);
        tg_report_free(r);
        cr_expect_eq(memory.blocks, 0);
        cr_expect_eq(memory.wrong, 0);
        tg_mlp_free(m);
    }
    tg_dataset_free(d);
    folder_free(&f);
}
