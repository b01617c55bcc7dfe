/* Parameters in safetensors files. */
#define _XOPEN_SOURCE 700
#include "folder.h"

#include <math.h>

#include <tapegrad/models.h>

#define OPTIONS(...) \
    &(tg_params_file_options) { .size = sizeof(tg_params_file_options), __VA_ARGS__ }

static tg_params *parameters(double value)
{
    const tg_init init = {.kind = TG_CONSTANT, .a = value};
    tg_params *ps = tg_params_new(NULL);
    tg_param_new(ps, "w", TG_F32, TG_SHAPE(2, 3), init);
    tg_param_new(ps, "b", TG_F64, TG_SHAPE(3), init);
    return ps;
}

static double first(const tg_params *ps, const char *name)
{
    const tg_tensor *p = tg_params_find(ps, name);
    const void *data = tg_param_data(p);
    return tg_tensor_dtype(p) == TG_F64 ? *(const double *)data : (double)*(const float *)data;
}

/* A file of this header, and so many bytes of data. */
static const char *file_of(folder *f, const char *name, const char *header, const void *data,
                           size_t bytes)
{
    unsigned char file[4096] = {0};
    const size_t n = strlen(header);
    file[0] = (unsigned char)n, file[1] = (unsigned char)(n >> 8);
    memcpy(file + 8, header, n);
    if (data) memcpy(file + 8 + n, data, bytes);
    return folder_write(f, name, file, 8 + n + bytes);
}

Test(params_file, parameters_come_back_bit_by_bit)
{
    folder f = folder_new();
    tg_params *a = parameters(0.1), *b = parameters(7);
    cr_assert_eq(tg_params_save(a, folder_file(&f, "p"), NULL), TG_OK, "%s", tg_params_message(a));
    cr_assert_eq(tg_params_load(b, f.file, NULL), TG_OK, "%s", tg_params_message(b));
    cr_expect_eq(first(b, "w"), (double)0.1F);
    cr_expect_eq(first(b, "b"), 0.1);
    tg_params_free(a), tg_params_free(b);
    folder_free(&f);
}

static const char *under_net(const char *name, void *user)
{
    static char text[300];
    if (user && !strcmp(name, user)) return NULL;
    snprintf(text, sizeof text, "net.%s", name);
    return text;
}

Test(params_file, names_are_mapped_and_loading_is_strict_unless_asked_otherwise)
{
    folder f = folder_new();
    tg_params *a = parameters(1), *b = parameters(2);
    cr_assert_eq(tg_params_save(a, folder_file(&f, "p"), OPTIONS(.name = under_net)), TG_OK);
    cr_expect_eq(tg_params_load(b, f.file, NULL), TG_EFORMAT);
    cr_expect_not_null(strstr(tg_params_message(b), "there is no tensor 'w'"));
    cr_expect_eq(first(b, "w"), 2);
    tg_params_clear_error(b);
    cr_expect_eq(tg_params_load(b, f.file, OPTIONS(.partial = true)), TG_OK);
    cr_expect_eq(first(b, "w"), 2);
    cr_expect_eq(tg_params_load(b, f.file, OPTIONS(.name = under_net, .user = (void *)"b")),
                 TG_EFORMAT);
    cr_expect_not_null(strstr(tg_params_message(b), "1 tensors belong to no parameter"));
    tg_params_clear_error(b);
    cr_expect_eq(
        tg_params_load(b, f.file, OPTIONS(.name = under_net, .user = (void *)"b", .partial = true)),
        TG_OK);
    cr_expect_eq(first(b, "w"), 1);
    cr_expect_eq(first(b, "b"), 2);
    tg_params_free(a), tg_params_free(b);
    folder_free(&f);
}

static const char *no_text(const char *name, void *user)
{
    (void)name, (void)user;
    return "\xff\xfe";
}

Test(params_file, a_name_that_is_no_text_is_said_to_be_that)
{
    folder f = folder_new();
    tg_params *ps = tg_params_new(NULL);
    tg_param_new(ps, "w", TG_F32, TG_SHAPE(2), (tg_init){.kind = TG_ONES});
    cr_expect_eq(tg_params_save(ps, folder_file(&f, "p"), OPTIONS(.name = no_text)), TG_EVALUE);
    cr_expect(strstr(tg_params_message(ps), "the name given to parameter 'w' is not UTF-8"), "%s",
              tg_params_message(ps));
    tg_params_free(ps);
    folder_free(&f);
}

Test(params_file, halves_are_widened)
{
    static const struct {
        uint16_t half, brain;
        float from_half, from_brain;
    } cases[] = {{0x3C00, 0x3F80, 1, 1},
                 {0xC000, 0xC000, -2, -2},
                 {0x0001, 0x0001, 5.9604644775390625e-8F, 0x1p-133F},
                 {0x03FF, 0x0080, 6.097555160522461e-5F, 0x1p-126F},
                 {0x0400, 0x8000, 6.103515625e-5F, -0.0F},
                 {0x7C00, 0x7F80, INFINITY, INFINITY},
                 {0x7BFF, 0x7F7F, 65504, 0x1.fep127F},
                 {0x8000, 0xFF80, -0.0F, -INFINITY}};
    enum { N = sizeof cases / sizeof cases[0] };
    folder f = folder_new();
    unsigned char data[4 * N];
    for (size_t k = 0; k < N; k++) {
        data[2 * k] = (unsigned char)cases[k].half,
                 data[2 * k + 1] = (unsigned char)(cases[k].half >> 8);
        data[2 * (N + k)] = (unsigned char)cases[k].brain,
                      data[2 * (N + k) + 1] = (unsigned char)(cases[k].brain >> 8);
    }
    file_of(&f, "p",
            "{\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[0,16]},\"b\":{\"dtype\":"
            "\"BF16\",\"shape\":[8],\"data_offsets\":[16,32]}}",
            data, sizeof data);
    tg_params *ps = tg_params_new(NULL);
    const tg_init zeros = {.kind = TG_ZEROS};
    tg_tensor *h = tg_param_new(ps, "h", TG_F32, TG_SHAPE(N), zeros),
              *b = tg_param_new(ps, "b", TG_F32, TG_SHAPE(N), zeros);
    cr_assert_eq(tg_params_load(ps, f.file, NULL), TG_OK, "%s", tg_params_message(ps));
    for (size_t k = 0; k < N; k++) {
        const float x = ((const float *)tg_param_data(h))[k],
                    y = ((const float *)tg_param_data(b))[k];
        cr_expect(!memcmp(&x, &cases[k].from_half, 4), "%zu: %g", k, (double)x);
        cr_expect(!memcmp(&y, &cases[k].from_brain, 4), "%zu: %g", k, (double)y);
    }
    tg_params_free(ps);
    folder_free(&f);
}

#define ENTRY(dtype, shape, offsets) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
#define W ENTRY("F32", "[2,3]", "[0,24]")
#define B ENTRY("F64", "[3]", "[24,48]")

Test(params_file, what_the_rules_forbid_is_refused)
{
    static const struct {
        const char *header;
        size_t bytes;
        tg_status status;
        const char *message;
    } cases[] = {
        {"{\"w\":" W ",\"b\":" B "}", 48, TG_OK, ""},
        {"{\"__metadata__\":{\"by\":\"me\"},\"b\":" B ",\"w\":" W "}   ", 48, TG_OK, ""},
        {"{\"w\":" W ",\"w\":" B "}", 48, TG_EFORMAT, "duplicate object key"},
        {"{\"w\":" W ",\"b\":" B "}", 49, TG_EFORMAT, "1 bytes behind the last tensor"},
        {"{\"w\":" W ",\"b\":" B "}", 47, TG_EFORMAT,
         "cut short: the data ends before the end of tensor 'b'"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[3]", "[16,40]") "}", 40, TG_EFORMAT,
         "must not overlap or leave gaps"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[3]", "[32,56]") "}", 56, TG_EFORMAT,
         "must not overlap or leave gaps"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[4]", "[24,48]") "}", 48, TG_EFORMAT,
         "tensor 'b' takes other bytes than its data_offsets say"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[4294967296,4294967296,4]", "[24,48]") "}", 48,
         TG_EFORMAT, "tensor 'b' has no proper shape"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[-3]", "[24,48]") "}", 48, TG_EFORMAT,
         "tensor 'b' has no proper shape"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "3", "[24,48]") "}", 48, TG_EFORMAT,
         "tensor 'b' has no proper shape"},
        {"{\"w\":" W ",\"b\":" ENTRY("F64", "[3]", "[48,24]") "}", 48, TG_EFORMAT,
         "tensor 'b' has no proper data_offsets"},
        {"{\"w\":" W ",\"b\":" ENTRY("F80", "[3]", "[24,48]") "}", 48, TG_EFORMAT,
         "tensor 'b' has the dtype 'F80'"},
        {"{\"w\":" W ",\"b\":7}", 24, TG_EFORMAT, "tensor 'b' is not described by an object"},
        {"{\"__metadata__\":{\"by\":1},\"w\":" W ",\"b\":" B "}", 48, TG_EFORMAT,
         "the metadata 'by' is not a text"},
        {"{\"__metadata__\":[],\"w\":" W ",\"b\":" B "}", 48, TG_EFORMAT,
         "__metadata__ is not an object"},
        {" {\"w\":" W ",\"b\":" B "}", 48, TG_EFORMAT, "the header does not begin with '{'"},
        {"{\"\xFF\":" W ",\"b\":" B "}", 48, TG_EFORMAT, "the header is not JSON"},
        {"{\"w\":" W ",\"b\":" ENTRY("I64", "[3]", "[24,48]") "}", 48, TG_EFORMAT,
         "tensor 'b' is I64, which can't be read as f64"},
        {"{\"w\":" ENTRY("F32", "[3,2]", "[0,24]") ",\"b\":" B "}", 48, TG_ESHAPE,
         "tensor 'w' does not have the parameter's shape [2,3]"},
        {"{\"w\":" W "}", 24, TG_EFORMAT, "there is no tensor 'b'"},
        {"{\"w\":" W ",\"b\":" B ",\"c\":" ENTRY("U8", "[0]", "[48,48]") "}", 48, TG_EFORMAT,
         "1 tensors belong to no parameter"},
    };
    folder f = folder_new();
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_params *ps = parameters(1);
        const tg_status status =
            tg_params_load(ps, file_of(&f, "p", cases[k].header, NULL, cases[k].bytes), NULL);
        cr_expect_eq(status, cases[k].status, "%zu: %s", k, tg_params_message(ps));
        cr_expect_not_null(strstr(tg_params_message(ps), cases[k].message),
                           "%zu: '%s' instead of '%s'", k, tg_params_message(ps), cases[k].message);
        tg_params_free(ps);
    }
    tg_params *ps = parameters(1);
    unsigned char huge[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    cr_expect_eq(tg_params_load(ps, folder_write(&f, "huge", huge, sizeof huge), NULL), TG_EFORMAT);
    cr_expect_not_null(
        strstr(tg_params_message(ps), "its first 8 bytes are not the length of a header"));
    tg_params_free(ps);
    folder_free(&f);
}

Test(params_file, sharded_files_are_found_through_their_index)
{
    folder f = folder_new();
    float w[6];
    double b[3];
    for (int k = 0; k < 6; k++) w[k] = 5;
    for (int k = 0; k < 3; k++) b[k] = 6;
    file_of(&f, "1.safetensors", "{\"w\":" W "}", w, sizeof w);
    file_of(&f, "2.safetensors", "{\"b\":" ENTRY("F64", "[3]", "[0,24]") "}", b, sizeof b);
    static const struct {
        const char *index;
        tg_status status;
        const char *message;
    } cases[] = {
        {"{\"metadata\":{\"total_size\":48},\"weight_map\":{\"w\":\"1.safetensors\",\"b\":\"2."
         "safetensors\"}}",
         TG_OK, ""},
        {"{\"weight_map\":{\"w\":\"1.safetensors\",\"b\":\"1.safetensors\"}}", TG_EFORMAT,
         "1.safetensors: there is no tensor 'b'"},
        {"{\"weight_map\":{\"w\":\"1.safetensors\"}}", TG_EFORMAT, "there is no tensor 'b'"},
        {"{\"weight_map\":{\"w\":\"../1.safetensors\"}}", TG_EFORMAT,
         "a shard's name is no file name"},
        {"{\"weight_map\":{\"w\":\"3.safetensors\"}}", TG_EIO,
         "3.safetensors: can't open: No such file or directory"},
        {"{\"weight_map\":{\"w\":3}}", TG_EFORMAT, "not an index of safetensors files"},
        {"[]", TG_EFORMAT, "not an index of safetensors files"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_params *ps = parameters(1);
        const tg_status status = tg_params_load(
            ps, folder_text(&f, "model.safetensors.index.json", cases[k].index), NULL);
        cr_expect_eq(status, cases[k].status, "%zu: %s", k, tg_params_message(ps));
        cr_expect_not_null(strstr(tg_params_message(ps), cases[k].message),
                           "%zu: '%s' instead of '%s'", k, tg_params_message(ps), cases[k].message);
        cr_expect_eq(first(ps, "w"), status == TG_OK ? 5 : 1);
        cr_expect_eq(first(ps, "b"), status == TG_OK ? 6 : 1);
        tg_params_free(ps);
    }
    folder_free(&f);
}
