#define _XOPEN_SOURCE 700
#include "folder.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <xxhash.h>

#include <tapegrad/models.h>

#include "allocator.h"

/* ---------------------------------------------------------------- models and their files */

static tg_mlp *small_model(uint64_t seed)
{
    const float x[] = {1, 2, 3, 4, 5, 7}, y[] = {0, 1, 2};
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_MULTICLASS, 3, 2, x, y);
    tg_mlp *m = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                .n_hidden = 1,
                                                .hidden = (const int64_t[]){3},
                                                .activation = "tanh",
                                                .dropout = 0.1,
                                                .seed = seed});
    cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    tg_dataset_free(d);
    return m;
}

static unsigned char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    unsigned char *y = malloc(1 << 20);
    *bytes = fread(y, 1, 1 << 20, file);
    fclose(file);
    return y;
}

/* A saved small model as bytes. */
static unsigned char *saved(size_t *bytes)
{
    folder f = folder_new();
    tg_mlp *m = small_model(5);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_mlp_message(m));
    unsigned char *y = read_file(f.file, bytes);
    tg_mlp_free(m);
    folder_free(&f);
    return y;
}

/* Loading these bytes: the status, and the message behind the path. */
static tg_status load_status(folder *f, const void *bytes, size_t n, char message[600])
{
    tg_mlp *m = tg_mlp_load(folder_write(f, "model", bytes, n), NULL);
    const tg_status status = tg_mlp_status(m);
    const char *found = strstr(tg_mlp_message(m), "/model: ");
    snprintf(message, 600, "%s", found ? found + 8 : tg_mlp_message(m));
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_mlp_status(m), status); /* there is no model to go on with */
    tg_mlp_free(m);
    return status;
}

static size_t header_length(const unsigned char *file)
{
    size_t n = 0;
    for (int k = 7; k >= 0; k--) n = n << 8 | file[k];
    return n;
}

/* Replaces a text of the header by another one of any length, and renews length and checksum, so
 * that only the text can be what is wrong. */
static unsigned char *with(const unsigned char *file, size_t bytes, const char *from,
                           const char *to, size_t *changed)
{
    const size_t header = header_length(file), a = strlen(from), b = strlen(to);
    const char *at = NULL;
    for (size_t k = 8; k + a <= 8 + header && !at; k++)
        if (!memcmp(file + k, from, a)) at = (const char *)file + k;
    cr_assert_not_null(at, "the header holds no %s", from);
    const size_t before = (size_t)(at - (const char *)file);
    *changed = bytes - a + b;
    unsigned char *y = malloc(*changed + 1);
    memcpy(y, file, before);
    memcpy(y + before, to, b);
    memcpy(y + before + b, at + a, bytes - before - a);
    for (int k = 0; k < 8; k++) y[k] = (unsigned char)((header - a + b) >> (8 * k));
    static const char key[] = "\"checksum\":\"";
    for (size_t k = 8; k + 44 <= *changed; k++) {
        if (memcmp(y + k, key, 12) != 0) continue;
        char digits[33];
        memset(y + k + 12, '0', 32);
        const XXH128_hash_t hash = XXH3_128bits(y, *changed);
        snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
                 (uint64_t)hash.low64);
        memcpy(y + k + 12, digits, 32);
        break;
    }
    return y;
}

/* ---------------------------------------------------------------- there and back */

Test(checkpoint, a_saved_model_comes_back_bit_by_bit)
{
    folder f = folder_new();
    tg_mlp *m = small_model(5);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_mlp_message(m));
    tg_mlp *y = tg_mlp_load(f.file, NULL);
    cr_assert_eq(tg_mlp_status(y), TG_OK, "%s", tg_mlp_message(y));
    const int64_t *hidden;
    cr_assert_eq(tg_mlp_hidden(y, &hidden), 1);
    cr_assert_eq(hidden[0], 3);
    cr_assert_eq(tg_model_task(tg_mlp_model(y)), TG_TASK_MULTICLASS);
    cr_assert_eq(tg_model_head(tg_mlp_model(y)), TG_HEAD_CROSS_ENTROPY);
    cr_assert_str_eq(tg_mlp_activation(y), "tanh");
    cr_assert_eq(tg_mlp_dropout(y), 0.1);
    cr_assert_eq(tg_mlp_inputs(y), 2);
    cr_assert_eq(tg_mlp_outputs(y), 3);
    cr_assert_str_eq(tg_model_feature_name(tg_mlp_model(y), 1), "x1");
    cr_assert_str_eq(tg_model_label(tg_mlp_model(y), 2), "2");
    cr_assert_str_eq(tg_model_target_name(tg_mlp_model(y)), "y");
    const tg_params *a = tg_mlp_params(m), *b = tg_mlp_params(y);
    cr_assert_eq(tg_params_count(b), 4);
    for (int k = 0; k < 4; k++) {
        const tg_tensor *p = tg_params_get(a, k), *q = tg_params_get(b, k);
        cr_assert_str_eq(tg_param_name(p), tg_param_name(q));
        cr_assert(tg_shape_equal(tg_tensor_shape(p), tg_tensor_shape(q)));
        cr_assert_arr_eq(tg_param_data(p), tg_param_data(q),
                         (size_t)tg_tensor_count(p) * sizeof(float));
    }
    tg_mlp_free(m);
    tg_mlp_free(y);
    folder_free(&f);
}

/* What the program of that version wrote and predicted. */
Test(checkpoint, files_of_version_0_1_still_load)
{
    static const struct {
        const char *file, *rows;
        int n;
        double want[9];
    } old[] = {
        {"tests/checkpoints/iris-0.1.safetensors",
         "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm\n"
         "5.1,3.5,1.4,0.2\n4.9,3,1.4,0.2\n4.7,3.2,1.3,0.2\n",
         9,
         {0.404569358, 0.209024191, 0.386406481, 0.354020745, 0.241203651, 0.40477559, 0.380895168,
          0.223323077, 0.395781755}},
        {"tests/checkpoints/diabetes-0.1.safetensors",
         "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n"
         "59,2,32.1,101,157,93.2,38,4,4.8598,87\n48,1,21.6,87,183,103.2,70,3,3.8918,69\n"
         "72,2,30.5,93,156,93.6,41,4,4.6728,85\n",
         3,
         {195.331406, 99.1986237, 176.80275}},
    };
    folder f = folder_new();
    for (size_t k = 0; k < sizeof old / sizeof *old; k++) {
        float y[9];
        tg_mlp *m = tg_mlp_load(old[k].file, NULL);
        cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
        tg_dataset *d = tg_dataset_new(NULL);
        tg_dataset_read_csv(d, folder_text(&f, "rows.csv", old[k].rows),
                            &(tg_csv_options){.size = sizeof(tg_csv_options),
                                              .schema = tg_model_schema(tg_mlp_model(m))});
        cr_assert_eq(tg_dataset_rows(d), 3, "%s", tg_dataset_message(d));
        cr_assert_eq(tg_model_prediction_width(tg_mlp_model(m)) * 3, old[k].n);
        cr_assert_eq(tg_predict(tg_mlp_model(m), d, y), TG_OK, "%s", tg_mlp_message(m));
        for (int i = 0; i < old[k].n; i++)
            cr_expect(fabs((double)y[i] - old[k].want[i]) <= 1e-6 * old[k].want[i],
                      "%s, number %d: %.9g instead of %.9g", old[k].file, i, (double)y[i],
                      old[k].want[i]);
        tg_dataset_free(d);
        tg_mlp_free(m);
    }
    folder_free(&f);
}

Test(checkpoint, saving_again_gives_the_same_file)
{
    folder f = folder_new();
    size_t n, again;
    unsigned char *first = saved(&n);
    tg_mlp *m = tg_mlp_load(folder_write(&f, "a", first, n), NULL);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "b")), TG_OK);
    unsigned char *second = read_file(f.file, &again);
    cr_assert_eq(n, again);
    cr_assert_arr_eq(first, second, n);
    free(first);
    free(second);
    tg_mlp_free(m);
    folder_free(&f);
}

/* The format, read by hand: what any other reader of safetensors sees. */
Test(checkpoint, the_file_is_safetensors)
{
    size_t n;
    unsigned char *file = saved(&n);
    const size_t header = header_length(file);
    cr_assert_eq((header + 8) % 8, 0);
    cr_assert_eq(file[8], '{');
    cr_assert_eq(n, 8 + header + 4 * (3 * 2 + 3 + 3 * 3 + 3));
    char *text = malloc(header + 1);
    memcpy(text, file + 8, header);
    text[header] = 0;
    cr_assert_not_null(strstr(
        text, "\"layer0.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}"));
    cr_assert_not_null(
        strstr(text, "\"layer0.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}"));
    cr_assert_not_null(strstr(
        text, "\"layer1.weight\":{\"dtype\":\"F32\",\"shape\":[3,3],\"data_offsets\":[36,72]}"));
    cr_assert_not_null(
        strstr(text, "\"layer1.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[72,84]}"));
    tg_mlp *m = small_model(5);
    cr_assert_arr_eq(file + 8 + header,
                     tg_param_data(tg_params_find(tg_mlp_params(m), "layer0.weight")), 24);
    cr_assert_arr_eq(file + 8 + header + 72,
                     tg_param_data(tg_params_find(tg_mlp_params(m), "layer1.bias")), 12);
    tg_mlp_free(m);
    free(text);
    free(file);
}

Test(checkpoint, names_and_labels_of_any_kind_survive)
{
    folder f = folder_new();
    static const char text[] = "\"\"\"checksum\"\":\"\"\",b\\,gr\xC3\xBC"
                               "n\n1,2,\"x\"\"\n\"\n3,4,\"checksum: , y\"\n";
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_read_csv(d, folder_text(&f, "d.csv", text), NULL);
    tg_mlp *m = tg_mlp_new(d, NULL);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK, "%s", tg_mlp_message(m));
    tg_mlp *y = tg_mlp_load(f.file, NULL);
    cr_assert_eq(tg_mlp_status(y), TG_OK, "%s", tg_mlp_message(y));
    cr_assert_str_eq(tg_model_feature_name(tg_mlp_model(y), 0), "\"checksum\":\"");
    cr_assert_str_eq(tg_model_feature_name(tg_mlp_model(y), 1), "b\\");
    cr_assert_str_eq(tg_model_target_name(tg_mlp_model(y)), "gr\xC3\xBC"
                                                            "n");
    cr_assert_str_eq(tg_model_label(tg_mlp_model(y), 0), "checksum: , y");
    cr_assert_str_eq(tg_model_label(tg_mlp_model(y), 1), "x\"\n");
    cr_assert_eq(tg_mlp_hidden(y, NULL), 0);
    tg_dataset_free(d);
    tg_mlp_free(m);
    tg_mlp_free(y);
    folder_free(&f);
}

/* ---------------------------------------------------------------- damage */

Test(checkpoint, every_truncated_length_is_refused)
{
    char message[600];
    size_t n;
    unsigned char *file = saved(&n);
    folder f = folder_new();
    const size_t header = header_length(file);
    for (size_t k = 0; k < n; k++) {
        cr_assert_eq(load_status(&f, file, k, message), TG_EFORMAT, "%zu: %s", k, message);
        const char *expected = k < 8 ? "bytes are no model"
                               : k < 8 + header
                                   ? "the header alone takes"
                                   : "cut short: the data ends before the end of tensor";
        cr_assert_not_null(strstr(message, expected), "%zu: %s", k, message);
    }
    free(file);
    folder_free(&f);
}

Test(checkpoint, more_bytes_than_the_model_has_are_refused)
{
    char message[600];
    size_t n;
    unsigned char *file = saved(&n);
    folder f = folder_new();
    file[n] = 0;
    cr_assert_eq(load_status(&f, file, n + 1, message), TG_EFORMAT);
    cr_assert_str_eq(message, "1 bytes behind the last tensor");
    free(file);
    folder_free(&f);
}

Test(checkpoint, every_flipped_bit_is_noticed, .timeout = 120)
{
    char message[600];
    size_t n;
    unsigned char *file = saved(&n);
    folder f = folder_new();
    for (size_t k = 0; k < 8 * n; k++) {
        file[k / 8] ^= (unsigned char)(1 << k % 8);
        cr_assert_eq(load_status(&f, file, n, message), TG_EFORMAT, "bit %zu of byte %zu: %s",
                     k % 8, k / 8, message);
        cr_assert_gt(strlen(message), 10);
        file[k / 8] ^= (unsigned char)(1 << k % 8);
    }
    cr_assert_eq(load_status(&f, file, n, message), TG_OK);
    free(file);
    folder_free(&f);
}

typedef struct change {
    const char *from, *to, *message; /* how the message begins */
} change;

Test(checkpoint, headers_that_contradict_themselves_are_refused)
{
    static const change changes[] = {
        {"\"dtype\":\"F32\",\"shape\":[3,2]", "\"dtype\":\"F16\",\"shape\":[3,2]",
         "tensor 'layer0.weight' has dtype 'F16' where F32 is expected"},
        {"\"shape\":[3,2]", "\"shape\":[2,3]",
         "tensor 'layer0.weight' does not have the shape [3,2]"},
        {"\"shape\":[3,2]", "\"shape\":[6]",
         "tensor 'layer0.weight' does not have the shape [3,2]"},
        {"\"shape\":[3,2]", "\"shape\":6", "tensor 'layer0.weight' does not have the shape [3,2]"},
        {"[24,36]", "[20,32]",
         "tensor 'layer0.bias' lies at 20 to 32 where 24 to 36 is expected: tensors must not "
         "overlap or leave gaps"},
        {"[24,36]", "[24,40]", "tensor 'layer0.bias' lies at 24 to 40 where 24 to 36 is expected"},
        {"[24,36]", "[-24,36]",
         "tensor 'layer0.bias' lies at -24 to 36 where 24 to 36 is expected"},
        {"[24,36]", "[24,36,48]", "tensor 'layer0.bias' has no data_offsets"},
        {"[24,36]", "[\"24\",36]", "tensor 'layer0.bias' has no data_offsets"},
        {"\"layer0.bias\"", "\"layer0.bios\"", "there is no tensor 'layer0.bias'"},
        {"\"layer1.bias\":", "\"more\":{},\"layer1.bias\":",
         "there are tensors that do not belong to the model"},
        {"\"layer1.bias\":", "\"layer1.weight\":",
         "not a model: the header is not JSON: duplicate object key"},
        {"\"[3]\"", "\"[4]\"", "tensor 'layer0.weight' does not have the shape [4,2]"},
        {"\"[3]\"", "\"[0]\"", "metadata 'hidden' holds a wrong size"},
        {"\"[3]\"", "\"[1e9]\"", "metadata 'hidden' holds a wrong size"},
        {"\"[3]\"", "\"3\"", "metadata 'hidden' is not a list of sizes"},
        {"\"[3]\"", "\"[3\"", "metadata 'hidden' is not JSON"},
        {"\"[3]\"", "3", "the metadata has no text 'hidden'"},
        {"tapegrad-mlp-1", "tapegrad-mlp-2",
         "the format is 'tapegrad-mlp-2' where 'tapegrad-mlp-1' is expected"},
        {"\"format\"", "\"farmat\"",
         "not a tapegrad model: the header has no __metadata__ with a format"},
        {"__metadata__", "__metadatum__",
         "not a tapegrad model: the header has no __metadata__ with a format"},
        {"multiclass", "binary",
         "task 'binary', loss 'cross_entropy' and 3 labels do not fit together"},
        {"cross_entropy", "mse", "task 'multiclass', loss 'mse' and 3 labels do not fit together"},
        {"tanh", "tanj", "mlp: activation 'tanj' is none of relu"},
        {"\"dropout\":\"0.1", "\"dropout\":\"7.1", "mlp: dropout 7.1"},
        {"\"dropout\":\"0.1", "\"dropout\":\"x", "metadata 'dropout' is not JSON"},
        {"\"seed\":\"5\"", "\"seed\":\"-5\"", "metadata 'seed' is not a number"},
        {"\"seed\":\"5\"", "\"seed\":\"99999999999999999999\"", "metadata 'seed' is not a number"},
        {"\"[\\\"x0\\\",\\\"x1\\\"]\"", "\"[\\\"x0\\\",1]\"",
         "metadata 'features' holds something that is no text"},
        {"\"[\\\"x0\\\",\\\"x1\\\"]\"", "\"[]\"", "the model has no features"},
        {"\"standardization\":\"null\"", "\"standardization\":\"{}\"",
         "the standardization has no target_mean and target_std"},
        {"\"standardization\":\"null\"",
         "\"standardization\":\"{\\\"target_mean\\\":0,\\\"target_std\\\":1,\\\"mean\\\":[1]}\"",
         "the standardization's 'mean' is not a list of 2 numbers"},
        {"\"standardization\":\"null\"",
         "\"standardization\":\"{\\\"target_mean\\\":0,\\\"target_std\\\":1,\\\"mean\\\":[1,2],"
         "\\\"std\\\":[1,0]}\"",
         "the standardization's 'std' holds a wrong number"},
        {"\"standardization\":\"null\"",
         "\"standardization\":\"{\\\"target_mean\\\":0,\\\"target_std\\\":1,\\\"mean\\\":[1,2],"
         "\\\"std\\\":[1,1e-310]}\"",
         "the standardization's 'std' holds a wrong number"},
        {"\"standardization\":\"null\"",
         "\"standardization\":\"{\\\"target_mean\\\":0,\\\"target_std\\\":5e-324,\\\"mean\\\":null,"
         "\\\"std\\\":null}\"",
         "the standardization has no target_mean and target_std"},
        {"\"standardization\":\"null\"",
         "\"standardization\":\"{\\\"target_mean\\\":0.0,\\\"target_std\\\":1.0,\\\"mean\\\":null,"
         "\\\"std\\\":null,\\\"max\\\":1}\"",
         "metadata 'standardization' is not as a model of this version has it"},
        {"[\\\"0\\\",\\\"1\\\"", "[\\\"0\\\",\\\"0\\\"", "labels 0 and 1 are both '0'"},
        {"[\\\"x0\\\",\\\"x1\\\"]", "[\\\"x1\\\",\\\"x1\\\"]", "features 0 and 1 are both 'x1'"},
        {"\"pixels\":\"false\"", "\"pixels\":\"0\"",
         "metadata 'pixels' is not as a model of this version has it"},
        {"\"pixels\":\"false\"", "\"pixels\":\"\\\"no\\\"\"",
         "metadata 'pixels' is not as a model of this version has it"},
        {"\"seed\":\"5\"", "\"seed\":\"05\"",
         "metadata 'seed' is not as a model of this version has it"},
        {"\"seed\":\"5\"", "\"seed\":\"5\",\"sead\":\"5\"",
         "metadata 'sead' is not as a model of this version has it"},
        {"\"seed\":\"5\"", "\"seed\":\"5\",\"sead\":{}",
         "metadata 'sead' is not as a model of this version has it"},
        {"\"dtype\":\"F32\",\"shape\":[3,2]",
         "\"dtype\":\"F32\",\"device\":\"cpu\",\"shape\":[3,2]",
         "the entry of tensor 'layer0.weight' holds more than dtype, shape and data_offsets"},
        {"\"checksum\"", "\"checksun\"", "the metadata has no checksum"},
        {"{\"__metadata__\"", "[\"__metadata__\"", "not a model: the header is not JSON"},
    };
    size_t n;
    unsigned char *file = saved(&n);
    folder f = folder_new();
    for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
        char message[600];
        size_t changed;
        unsigned char *y = with(file, n, changes[k].from, changes[k].to, &changed);
        cr_assert_eq(load_status(&f, y, changed, message), TG_EFORMAT, "%zu: %s", k, message);
        cr_assert_eq(strncmp(message, changes[k].message, strlen(changes[k].message)), 0,
                     "%zu: '%s' instead of '%s'", k, message, changes[k].message);
        free(y);
    }
    size_t changed; /* the method itself: a header that is changed to the same is fine */
    char message[600];
    unsigned char *y = with(file, n, "tanh", "tanh", &changed);
    cr_assert_eq(load_status(&f, y, changed, message), TG_OK, "%s", message);
    free(y);
    free(file);
    folder_free(&f);
}

Test(checkpoint, other_files_are_refused)
{
    char message[600];
    folder f = folder_new();
    static const char csv[] = "a,b\n1,x\n2,y\n", header_only[] = "\2\0\0\0\0\0\0\0{}",
                      huge[] = "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}";
    cr_assert_eq(load_status(&f, csv, sizeof csv - 1, message), TG_EFORMAT);
    cr_assert_str_eq(message,
                     "not a model: its first 8 bytes are not the length of a safetensors header");
    cr_assert_eq(load_status(&f, header_only, 10, message), TG_EFORMAT);
    cr_assert_str_eq(message, "not a tapegrad model: the header has no __metadata__ with a format");
    cr_assert_eq(load_status(&f, huge, 10, message), TG_EFORMAT);
    cr_assert_str_eq(message,
                     "not a model: its first 8 bytes are not the length of a safetensors header");
    tg_mlp *m = tg_mlp_load(folder_file(&f, "none"), NULL);
    cr_assert_eq(tg_mlp_status(m), TG_EIO);
    cr_assert_not_null(strstr(tg_mlp_message(m), "none: can't open: No such file or directory"));
    tg_mlp_free(m);
    m = tg_mlp_load(f.path, NULL);
    cr_assert_eq(tg_mlp_status(m), TG_EIO);
    cr_assert_not_null(strstr(tg_mlp_message(m), "not a regular file"));
    tg_mlp_free(m);
    folder_free(&f);
}

/* ---------------------------------------------------------------- writing */

Test(checkpoint, a_failed_save_leaves_the_old_file_and_no_other)
{
    folder f = folder_new();
    tg_mlp *m = small_model(1);
    char missing[600];
    snprintf(missing, sizeof missing, "%s/none/m", f.path);
    cr_assert_eq(tg_mlp_save(m, missing), TG_EIO);
    cr_assert_not_null(strstr(tg_mlp_message(m), "none/m: can't write: No such file or directory"));
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_mlp_save(m, f.path), TG_EIO); /* a folder */
    cr_assert_not_null(strstr(tg_mlp_message(m), "can't write: Is a directory"));
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_mlp_save(m, NULL), TG_ENULL);
    tg_mlp_clear_error(m);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK);
    cr_assert_eq(tg_mlp_save(m, f.file), TG_OK); /* over an older one */
    cr_assert_eq(remove(f.file), 0);
    cr_assert_eq(rmdir(f.path), 0); /* nothing else was left there */
    tg_mlp_free(m);
}

Test(checkpoint, a_disk_that_fills_up_leaves_the_old_file_and_no_other)
{
    folder f = folder_new();
    tg_mlp *m = small_model(1);
    struct rlimit before;
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {100, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    const tg_status status = tg_mlp_save(m, f.file);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    cr_assert_eq(status, TG_EIO);
    cr_assert_not_null(strstr(tg_mlp_message(m), "m: can't write: File too large"), "%s",
                       tg_mlp_message(m));
    tg_mlp *y = tg_mlp_load(f.file, NULL);
    cr_assert_eq(tg_mlp_status(y), TG_OK, "%s", tg_mlp_message(y));
    tg_mlp_free(y);
    tg_mlp_free(m);
    cr_assert_eq(remove(f.file), 0);
    cr_assert_eq(rmdir(f.path), 0); /* nothing else was left there */
}

static long json_asked, json_fail_at;

static void *json_allocate(size_t bytes)
{
    return ++json_asked == json_fail_at ? NULL : malloc(bytes);
}

Test(checkpoint, a_save_without_memory_for_json_leaves_the_old_file)
{
    folder f = folder_new();
    tg_mlp *m = small_model(1);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK);
    size_t before_bytes, after_bytes;
    unsigned char *before = read_file(f.file, &before_bytes);
    json_set_alloc_funcs(json_allocate, free);
    bool met = true;
    for (long at = 1; met; at++) {
        json_asked = 0, json_fail_at = at;
        const tg_status status = tg_mlp_save(m, f.file);
        met = json_asked >= at;
        json_fail_at = 0;
        tg_mlp_clear_error(m);
        unsigned char *after = read_file(f.file, &after_bytes);
        cr_expect(status == TG_OK || (met && status == TG_ENOMEM), "allocation %ld: %s", at,
                  tg_status_name(status));
        cr_expect(before_bytes == after_bytes && !memcmp(before, after, before_bytes),
                  "allocation %ld of jansson's spoils the file", at);
        free(after);
    }
    json_set_alloc_funcs(malloc, free);
    free(before);
    tg_mlp_free(m);
    folder_free(&f);
}

/* Of what jansson says of a good file when memory is short, nothing is taken for the file's fault.
 * Each try is a process: jansson frees a text twice when there is no memory for its string. A
 * number that it cuts short is noticed, as another than the model would write. */
Test(checkpoint, a_load_without_memory_for_json_blames_no_file)
{
    enum { BLAMED = 42, LAST = 43 };
    folder f = folder_new();
    tg_mlp *m = small_model(1);
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK);
    json_set_alloc_funcs(json_allocate, free);
    int how = 0;
    for (long at = 1; how != LAST; at++) {
        const pid_t child = fork();
        if (child == 0) {
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
            json_asked = 0, json_fail_at = at;
            tg_mlp *read = tg_mlp_load(f.file, NULL);
            const tg_status status = tg_mlp_status(read);
            const bool cut = strstr(tg_mlp_message(read), "is not as a model of this version");
            _exit(json_asked < at                                 ? LAST
                  : status == TG_OK || status == TG_ENOMEM || cut ? 0
                                                                  : BLAMED);
        }
        int ended = 0;
        cr_assert(child > 0 && waitpid(child, &ended, 0) == child);
        how = WIFEXITED(ended) ? WEXITSTATUS(ended) : 0;
        cr_expect_neq(how, BLAMED, "allocation %ld", at);
    }
    json_set_alloc_funcs(malloc, free);
    tg_mlp_free(m);
    folder_free(&f);
}

Test(checkpoint, every_failing_allocation_is_reported_and_nothing_leaks)
{
    folder f = folder_new();
    size_t n;
    unsigned char *file = saved(&n);
    folder_write(&f, "m", file, n);
    bool done = false;
    for (long long at = 1; !done; at++) {
        test_memory memory = {.fail_at = at};
        const tg_allocator a = test_allocator(&memory);
        tg_mlp *m = tg_mlp_load(f.file, &a);
        done = m && tg_mlp_status(m) == TG_OK && tg_mlp_save(m, f.file) == TG_OK;
        if (!done) cr_assert_eq(tg_mlp_status(m), TG_ENOMEM, "%lld: %s", at, tg_mlp_message(m));
        tg_mlp_free(m);
        cr_assert_eq(memory.blocks, 0);
        cr_assert_eq(memory.wrong, 0);
        cr_assert_lt(at, 1000);
    }
    free(file);
    folder_free(&f);
}
