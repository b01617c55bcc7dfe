#define _XOPEN_SOURCE 700
/* A lean library (TG_LEAN): what is left out is there and says why it does nothing; the rest
 * trains. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/models.h>
#include <tapegrad/profile.h>

#include "folder.h"

static tg_dataset *line(void)
{
    const float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    float y[8];
    for (int k = 0; k < 8; k++) y[k] = 3 * x[k] + 1;
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_REGRESSION, 8, 1, x, y);
    return d;
}

Test(lean, what_is_left_out_fails_and_says_why)
{
    tg_dataset *csv = tg_dataset_new(NULL), *d = line();
    cr_expect_eq(tg_dataset_read_csv(csv, "some.csv", NULL), TG_ESTATE);
    cr_expect_str_eq(tg_dataset_message(csv), "some.csv: built without libcsv");
    tg_mlp *m = tg_mlp_new(d, NULL), *loaded = tg_mlp_load("some.safetensors", NULL);
    cr_expect_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    cr_expect_eq(tg_mlp_save(m, "some.safetensors"), TG_ESTATE);
    cr_expect_str_eq(tg_mlp_message(m), "some.safetensors: built without jansson");
    cr_expect_eq(tg_mlp_status(loaded), TG_ESTATE);
    cr_expect_str_eq(tg_mlp_message(loaded), "some.safetensors: built without jansson");
    for (int load = 0; load < 2; load++) {
        tg_params *ps = tg_params_new(NULL);
        const char *path = "some.safetensors";
        cr_expect_eq(load ? tg_params_load(ps, path, NULL) : tg_params_save(ps, path, NULL),
                     TG_ESTATE);
        cr_expect_str_eq(tg_params_message(ps), "some.safetensors: built without jansson");
        tg_params_free(ps);
    }
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_eq(tg_export_c(t, "net.c", NULL), TG_ESTATE);
    cr_expect_not_null(strstr(tg_tape_message(t), "built without export"), "%s",
                       tg_tape_message(t));
    tg_dataset *other_rows = line();
    cr_expect_eq(tg_dataset_attach(other_rows, "w", TG_F32, TG_SCALAR, ""), TG_ESTATE);
    cr_expect_str_eq(tg_dataset_message(other_rows), "w: built without attached arrays");
    tg_dataset_free(other_rows);
    tg_layers *layers = tg_layers_parse(tg_scope_root(NULL), "relu", TG_SHAPE(3), 0);
    cr_expect_eq(tg_layers_status(layers), TG_ESTATE);
    cr_expect_str_eq(tg_layers_message(layers), "built without layers");
    tg_layers_free(layers);
    tg_model *net = tg_net_new(d, "linear", NULL);
    cr_expect_eq(tg_model_status(net), TG_ESTATE);
    tg_model_free(net);
    tg_mlp *other = tg_mlp_new(d, NULL);
    tg_fit(tg_mlp_model(other), d,
           &(tg_fit_options){.size = sizeof(tg_fit_options), .checkpoint = "some.safetensors"});
    cr_expect_str_eq(tg_mlp_message(other), "some.safetensors: built without jansson");
    tg_mlp_free(other);
    tg_profile *p = tg_profile_new(NULL);
    cr_expect_eq(tg_profile_begin(p, t), TG_ESTATE);
    cr_expect_not_null(strstr(tg_profile_message(p), "built without profiles"));
    tg_profile_free(p);
    tg_tape_free(t);
    tg_mlp_free(loaded);
    tg_mlp_free(m);
    tg_dataset_free(csv);
    tg_dataset_free(d);
}

Test(lean, a_net_trains_on_arrays)
{
    tg_dataset *d = line();
    tg_mlp *m = tg_mlp_new(d, NULL);
    tg_optim *adam =
        tg_adam_new(tg_mlp_params(m),
                    &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 0.05});
    tg_fit(tg_mlp_model(m), d,
           &(tg_fit_options){.size = sizeof(tg_fit_options), .optimizer = adam, .epochs = 300});
    float y[8] = {0};
    tg_predict(tg_mlp_model(m), d, y);
    cr_expect_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    for (int k = 0; k < 8; k++)
        cr_expect_float_eq((double)y[k], 3 * k + 1, 0.5, "%g", (double)y[k]);
    tg_optim_free(adam);
    tg_mlp_free(m);
    tg_dataset_free(d);
}

Test(lean, plain_files_are_read_and_compressed_ones_refused)
{
    folder f = folder_new();
    for (int gzip = 0; gzip <= 1; gzip++) {
        const char *path =
            folder_text(&f, "split", gzip ? "\x1f\x8b\x08\n" : "0\n0\n1\n0\n0\n1\n0\n0\n");
        tg_dataset *d = line(), *train = NULL, *test = NULL;
        tg_dataset_split_file(d, path, &train, &test);
        if (gzip) {
            cr_expect_eq(tg_dataset_status(d), TG_ESTATE);
            cr_expect_not_null(strstr(tg_dataset_message(d), "built without zlib"), "%s",
                               tg_dataset_message(d));
        } else {
            cr_expect_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
            cr_expect_eq(tg_dataset_rows(test), 2);
        }
        tg_dataset_free(train);
        tg_dataset_free(test);
        tg_dataset_free(d);
    }
    folder_free(&f);
}
