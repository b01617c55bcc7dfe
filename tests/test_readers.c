/* Readers that can't be hurt: mutants of valid files of each format are read or refused, quickly
 * and in little memory. In an ordinary run a few hundred of each; TG_LONG=1 in the environment
 * makes it 10,000. */
#define _XOPEN_SOURCE 700
#include "support.h"
#include "folder.h"

#include <jansson.h>
#include <time.h>
#include <zlib.h>

#include <tapegrad/models.h>

/* ---------------------------------------------------------------- mutants */

static uint64_t state;

static size_t below(size_t n) { return n ? (size_t)test_random(&state) % n : 0; }

enum { ROOM = 1 << 16 };

/* Changes the file a little, or a lot; returns its new size. */
static size_t mutate(unsigned char *file, size_t n)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       0x7F,
                                       0x80,
                                       0xFF,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0xFFFFFFFF,
                                       0x7FFFFFFFFFFFFFFF,
                                       0xFFFFFFFFFFFFFFFF};
    static const char *const texts[] = {"\"",      ",",  "\n",   "{",     "[",
                                        "]",       "}",  "-",    "1e999", "99999999999999999999",
                                        "\\u0000", "\0", "null", ":",     "0"};
    for (size_t k = 1 + below(4); k; k--) {
        const size_t at = below(n), length = below(n - at < 40 ? n - at + 1 : 40), to = below(n);
        const uint64_t number = numbers[below(10)];
        const char *text = texts[below(15)];
        switch (below(7)) {
        case 0:
            if (n) file[at] ^= (unsigned char)(1U << below(8));
            break;
        case 1:
            if (n) file[at] = (unsigned char)below(256);
            break;
        case 2: n = at; break;
        case 3: /* a piece is left out */
            memmove(file + at, file + at + length, n - at - length);
            n -= length;
            break;
        case 4: /* a piece comes twice */
            if (n + length > ROOM) break;
            memmove(file + at + length, file + at, n - at);
            n += length;
            break;
        case 5: /* a number, in either byte order */
            for (size_t j = 0, size = (size_t)1 << below(4), big = below(2); j < size && at + j < n;
                 j++)
                file[at + j] = (unsigned char)(number >> 8 * (big ? size - 1 - j : j));
            break;
        default: /* a text */
            for (size_t j = 0; text[j] && to + j < n; j++) file[to + j] = (unsigned char)text[j];
        }
    }
    return n;
}

/* ---------------------------------------------------------------- memory */

enum { HEAD = 64, MOST = 64 << 20 };
static size_t out, most;

static void *take(size_t bytes)
{
    if (bytes > MOST) {
        most = bytes;
        return NULL;
    }
    char *block = aligned_alloc(HEAD, HEAD + (bytes + HEAD - 1) / HEAD * HEAD);
    if (!block) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    out += bytes;
    if (out > most) most = out;
    return block + HEAD;
}

static void give(void *data)
{
    size_t bytes;
    if (!data) return;
    memcpy(&bytes, (char *)data - HEAD, sizeof bytes);
    out -= bytes;
    free((char *)data - HEAD);
}

static void *allocate(void *user, size_t bytes, size_t align)
{
    return (void)user, (void)align, take(bytes);
}
static void release(void *user, void *data, size_t bytes, size_t align)
{
    (void)user, (void)bytes, (void)align, give(data);
}
static const tg_allocator allocator = {allocate, release, NULL};

/* ---------------------------------------------------------------- the campaign */

typedef tg_status read_fn(const char *path);

static void campaign(const char *name, const char *file_name, const void *valid, size_t bytes,
                     read_fn *read)
{
    const int count = test_is_long() ? 10000 : 300;
    folder f = folder_new();
    unsigned char file[ROOM];
    char path[600];
    snprintf(path, sizeof path, "%s", folder_write(&f, file_name, valid, bytes));
    json_set_alloc_funcs(take, give);
    cr_assert_eq(read(path), TG_OK, "%s: the valid file is refused", name);
    int refused = 0;
    state = 1;
    for (int k = 0; k < count; k++) {
        memcpy(file, valid, bytes);
        const size_t n = mutate(file, bytes);
        folder_write(&f, file_name, file, n);
        most = out = 0;
        struct timespec a, b;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        const tg_status status = read(path);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        refused += status != TG_OK;
        cr_assert_neq(status, TG_ENOMEM, "%s, mutant %d: no memory", name, k);
        cr_assert_eq(out, 0, "%s, mutant %d leaks", name, k);
        cr_assert_leq(most, (size_t)MOST, "%s, mutant %d took %zu bytes", name, k, most);
        cr_assert_lt((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec), 1,
                     "%s, mutant %d is slow", name, k);
    }
    json_set_alloc_funcs(malloc, free);
    cr_expect_gt(refused, count / 10, "%s: only %d of %d mutants are refused", name, refused,
                 count);
    folder_free(&f);
}

static size_t load_bytes(const char *path, unsigned char *to)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    const size_t n = fread(to, 1, ROOM, file);
    fclose(file);
    return n;
}

/* ---------------------------------------------------------------- the formats */

static tg_status read_csv(const char *path)
{
    static const char *const kind[] = {"kind"};
    tg_dataset *d = tg_dataset_new(&allocator);
    tg_dataset_read_csv(d, path,
                        &(tg_csv_options){.size = sizeof(tg_csv_options),
                                          .comment = '#',
                                          .categorical = kind,
                                          .n_categorical = 1,
                                          .missing = TG_MISSING_MEAN});
    const tg_status status = tg_dataset_status(d);
    tg_dataset_free(d);
    return status;
}

static const char csv[] =
    "# of plants\n,a,kind,\"b "
    "\"\"c\"\"\",y,\n0,1.5,red,3,u,\n1,?,blue,-2e3,v,\n2,2,red,NA,\"w\nw\",\n3,.5,green,7,u,\n";

Test(readers, mutants_of_csv_are_read_or_refused, .timeout = 600)
{
    campaign("csv", "x.csv", csv, sizeof csv - 1, read_csv);
}

static tg_status read_model(const char *path)
{
    tg_mlp *m = tg_mlp_load(path, &allocator);
    const tg_status status = tg_mlp_status(m);
    tg_mlp_free(m);
    return status;
}

Test(readers, mutants_of_models_are_read_or_refused, .timeout = 600)
{
    static const int64_t hidden[] = {3};
    folder f = folder_new();
    unsigned char file[ROOM];
    tg_mlp *m = tg_mlp_new(NULL, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                   .inputs = 2,
                                                   .outputs = 3,
                                                   .head = TG_HEAD_CROSS_ENTROPY,
                                                   .n_hidden = 1,
                                                   .hidden = hidden});
    cr_assert_eq(tg_mlp_save(m, folder_file(&f, "m")), TG_OK);
    campaign("model", "x.safetensors", file, load_bytes(f.file, file), read_model);
    tg_mlp_free(m);
    folder_free(&f);
}

static tg_params *parameters(const tg_allocator *a)
{
    tg_params *ps =
        tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .allocator = a});
    tg_param_new(ps, "a.weight", TG_F32, TG_SHAPE(3, 2), (tg_init){.kind = TG_ZEROS});
    tg_param_new(ps, "a.bias", TG_F64, TG_SHAPE(3), (tg_init){.kind = TG_ZEROS});
    tg_param_new(ps, "s", TG_F32, TG_SCALAR, (tg_init){.kind = TG_ZEROS});
    return ps;
}

static tg_status read_params(const char *path)
{
    tg_params *ps = parameters(&allocator);
    tg_params_load(ps, path, NULL);
    const tg_status status = tg_params_status(ps);
    tg_params_free(ps);
    return status;
}

Test(readers, mutants_of_parameters_are_read_or_refused, .timeout = 600)
{
    folder f = folder_new();
    unsigned char file[ROOM];
    tg_params *ps = parameters(NULL);
    cr_assert_eq(tg_params_save(ps, folder_file(&f, "p"), NULL), TG_OK, "%s",
                 tg_params_message(ps));
    campaign("parameters", "x.safetensors", file, load_bytes(f.file, file), read_params);
    tg_params_free(ps);
    folder_free(&f);
}

static tg_status read_arrays(const char *path)
{
    tg_arrays *s = tg_arrays_new(&allocator);
    tg_arrays_read(s, path);
    const tg_status status = tg_arrays_status(s);
    tg_arrays_free(s);
    return status;
}

Test(readers, mutants_of_arrays_are_read_or_refused, .timeout = 600)
{
    folder f = folder_new();
    unsigned char file[ROOM];
    tg_arrays *s = tg_arrays_new(NULL);
    tg_arrays_add(s, "a", TG_F32, TG_SHAPE(2, 3), (const float[]){1, 2, 3, 4, 5, 6});
    tg_arrays_add(s, "b", TG_I64, TG_SHAPE(2), (const int64_t[]){1, 2});
    cr_assert_eq(tg_arrays_write_npy(s, folder_file(&f, "x"), 0), TG_OK);
    campaign("npy", "x.npy", file, load_bytes(f.file, file), read_arrays);
    cr_assert_eq(tg_arrays_write_npz(s, f.file), TG_OK);
    campaign("npz", "x.npz", file, load_bytes(f.file, file), read_arrays);
    tg_arrays_free(s);
    folder_free(&f);
}

/* Images and labels in one file for the mutants: the folder gets both. */
enum { IMAGES = 16 + 3 * 4, LABELS = 8 + 3 };
static const unsigned char idx[IMAGES + LABELS] = {0,  0,  8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0,
                                                   0,  0,  2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
                                                   11, 12, 0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2};

static void put(const char *place, const char *name, const unsigned char *data, size_t n, bool gz)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s%s", place, name, gz ? ".gz" : "");
    gzFile file = gzopen(path, gz ? "wb" : "wbT");
    if (n) gzwrite(file, data, (unsigned)n);
    gzclose(file);
}

static tg_status read_images(const char *path)
{
    unsigned char file[ROOM];
    char place[600];
    const size_t n = load_bytes(path, file), images = n < IMAGES ? n : IMAGES;
    snprintf(place, sizeof place, "%s", path);
    *strrchr(place, '/') = 0;
    put(place, "train-images-idx3-ubyte", file, images, false);
    put(place, "train-labels-idx1-ubyte", file + images, n - images, true);
    tg_dataset *d = tg_dataset_new(&allocator);
    tg_dataset_read_idx(d, place, "train", NULL);
    const tg_status status = tg_dataset_status(d);
    tg_dataset_free(d);
    return status;
}

Test(readers, mutants_of_images_are_read_or_refused, .timeout = 600)
{
    campaign("images", "x.idx", idx, sizeof idx, read_images);
}
