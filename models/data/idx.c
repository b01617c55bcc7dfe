/* Reading images and labels in the IDX format: two zero bytes, the type (8: bytes), the number of
 * dimensions, each size as a big-endian 32-bit number, the data. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dataset.h"

enum { MOST_PIXELS = 1 << 24 };

/* One IDX file of bytes. */
typedef struct idx {
    int64_t count, pixels; /* pixels is 1 for labels */
    unsigned char *data;
    size_t capacity;
} idx;

static bool fail(tg_dataset *d, const char *path, int64_t byte, const char *what)
{
    return tg_error_set(&d->error, NULL, path, TG_EFORMAT, "byte %lld: %s", (long long)byte, what),
           false;
}

/* Whether a file is called PART-KIND, with -idx or .idx as it is spelt, behind a prefix that ends
 * with a dash or none (EMNIST's), plain or .gz. */
static bool is_called(const char *name, const char *part, const char *kind)
{
    char plain[300];
    const size_t n = strlen(name), gz = n > 3 && !strcmp(name + n - 3, ".gz") ? 3 : 0,
                 expected = strlen(part) + 1 + strlen(kind);
    if (n >= sizeof plain || n - gz < expected) return false;
    memcpy(plain, name, n - gz);
    plain[n - gz] = 0;
    char *dot = strstr(plain, ".idx");
    if (dot) *dot = '-';
    const char *at = plain + n - gz - expected;
    return !strncmp(at, part, strlen(part)) && at[strlen(part)] == '-' &&
           !strcmp(at + strlen(part) + 1, kind) && (at == plain || at[-1] == '-');
}

/* The file of that kind: by its usual name, plain before .gz, or else the only one that is called
 * so. When there is none, path is the usual name. false: there are several. */
static bool find_path(tg_dataset *d, char *path, size_t room, const char *folder, const char *part,
                      const char *kind)
{
    struct stat info;
    const int usual = snprintf(path, room, "%s/%s-%s", folder, part, kind);
    if (stat(path, &info) == 0) return true;
    strcpy(path + usual, ".gz");
    if (stat(path, &info) == 0) return true;
    path[usual] = 0;
    int found = 0;
    DIR *list = opendir(folder);
    for (const struct dirent *entry; list && (entry = readdir(list));) {
        const size_t start = strlen(folder), n = strlen(entry->d_name);
        if (!is_called(entry->d_name, part, kind) || start + n + 2 > room) continue;
        path[start] = '/';
        memcpy(path + start + 1, entry->d_name, n + 1);
        found++;
    }
    if (list) closedir(list);
    if (found < 2) return true;
    return tg_error_set(&d->error, NULL, folder, TG_EFORMAT,
                        "several files are called %s-%s: each needs a folder of its own", part,
                        kind),
           false;
}

static bool read_header(tg_dataset *d, tg_source *s, idx *y, uint32_t dimensions)
{
    unsigned char bytes[16];
    char what[160];
    const int64_t need = 4 + 4 * (int64_t)dimensions,
                  got = tg_source_read(s, &d->error, bytes, (size_t)need);
    if (got < 0) return false;
    uint32_t word[4] = {0};
    for (int64_t k = 0; k < got / 4; k++)
        word[k] = (uint32_t)bytes[4 * k] << 24 | (uint32_t)bytes[4 * k + 1] << 16 |
                  (uint32_t)bytes[4 * k + 2] << 8 | bytes[4 * k + 3];
    if (got >= 4 && word[0] != (0x800 | dimensions)) {
        snprintf(what, sizeof what,
                 "the magic number is 0x%08x where 0x%08x (bytes in %u dimension%s) is expected",
                 word[0], 0x800 | dimensions, dimensions, dimensions == 1 ? "" : "s");
        return fail(d, s->path, 0, what);
    }
    if (got < need) {
        snprintf(what, sizeof what, "the file ends inside its header of %lld bytes",
                 (long long)need);
        return fail(d, s->path, got, what);
    }
    y->count = word[1];
    y->pixels = dimensions == 1                              ? 1
                : word[2] && word[3] > MOST_PIXELS / word[2] ? -1
                                                             : (int64_t)word[2] * word[3];
    if (y->count == 0) return fail(d, s->path, 4, "there are no items");
    if (y->pixels < 1 || y->pixels > MOST_PIXELS) {
        snprintf(what, sizeof what, "images of %u x %u pixels", word[2], word[3]);
        return fail(d, s->path, 8, what);
    }
    return true;
}

/* Memory is taken as data arrives: a wrong header must not ask for more than the file can fill. */
static bool read_data(tg_dataset *d, tg_source *s, idx *y, int64_t header)
{
    enum { PIECE = 1 << 22 };
    const size_t need = (size_t)y->count * (size_t)y->pixels;
    size_t have = 0;
    while (have < need) {
        const size_t want = need - have < PIECE ? need - have : PIECE;
        void *data = y->data;
        const bool room = tg_grow(&d->allocator, &data, &y->capacity, have + want, 1);
        y->data = data;
        if (!room) return tg_dataset_no_memory(d), false;
        const int64_t got = tg_source_read(s, &d->error, y->data + have, want);
        if (got < 0) return false;
        have += (size_t)got;
        if ((size_t)got < want) {
            char what[160];
            snprintf(what, sizeof what,
                     "the file ends here; its header promises %lld items and %lld bytes",
                     (long long)y->count, (long long)(header + (int64_t)need));
            return fail(d, s->path, header + (int64_t)have, what);
        }
    }
    unsigned char extra;
    const int64_t more = tg_source_read(s, &d->error, &extra, 1);
    if (more > 0)
        return fail(d, s->path, header + (int64_t)need,
                    "the data should end here, but there is more");
    return more == 0;
}

static bool read_idx(tg_dataset *d, const char *path, uint32_t dimensions, idx *y)
{
    tg_source source;
    if (!tg_source_open(&source, &d->error, path)) return false;
    const bool ok = read_header(d, &source, y, dimensions) &&
                    read_data(d, &source, y, 4 + 4 * (int64_t)dimensions);
    tg_source_close(&source);
    return ok;
}

/* Names and classes, the model's or new ones. */
static bool make_schema(tg_dataset *d, const tg_schema *model, const char *image_path,
                        const char *label_path, const idx *images, const idx *labels)
{
    char what[160];
    int64_t highest = 0, where = 0;
    for (int64_t i = 0; i < labels->count; i++)
        if (labels->data[i] > highest) highest = labels->data[where = i];
    tg_schema *s = &d->schema;
    if (model) {
        if (images->pixels != model->features) {
            snprintf(what, sizeof what, "images of %lld pixels for a model with %lld inputs",
                     (long long)images->pixels, (long long)model->features);
            return fail(d, image_path, 8, what);
        }
        if (highest >= model->classes) {
            snprintf(what, sizeof what, "label %lld for a model with %lld classes",
                     (long long)highest, (long long)model->classes);
            return fail(d, label_path, 8 + where, what);
        }
        return tg_schema_copy(s, &d->arena, model) ? true : (tg_dataset_no_memory(d), false);
    }
    if (highest == 0) return fail(d, label_path, 8, "all labels are 0: there is one class only");
    *s = (tg_schema){.task = highest == 1 ? TG_TASK_BINARY : TG_TASK_MULTICLASS,
                     .pixels = true,
                     .features = images->pixels,
                     .classes = highest + 1};
    s->target = tg_arena_text(&d->arena, "label", 5);
    if (s->target && tg_schema_number_names(&s->name, &d->arena, "pixel", s->features) &&
        tg_schema_number_names(&s->label, &d->arena, "", s->classes))
        return true;
    return tg_dataset_no_memory(d), false;
}

static bool convert(tg_dataset *d, const idx *images, const idx *labels)
{
    if (tg_dataset_reserve(d, images->count) != TG_OK) return false;
    const int64_t n = images->count * images->pixels;
    for (int64_t k = 0; k < n; k++) d->x[k] = (float)images->data[k] / 255.0F;
    for (int64_t i = 0; i < labels->count; i++) {
        if (d->schema.task == TG_TASK_REGRESSION) d->number[i] = labels->data[i];
        else d->class_number[i] = labels->data[i];
    }
    d->rows = images->count;
    d->has_target = labels->count > 0;
    return true;
}

tg_status tg_dataset_read_idx(tg_dataset *d, const char *folder, const char *part,
                              const tg_schema *schema)
{
    char image_path[4096], label_path[4096];
    if (tg_dataset_begin(d) != TG_OK) return tg_dataset_status(d);
    tg_error *e = &d->error;
    if (!folder || !part)
        return tg_error_set(e, NULL, "data set", TG_ENULL, "%s is NULL",
                            folder ? "part" : "folder");
    if (schema && !tg_schema_usable(schema, e)) return e->status;
    if (strlen(folder) + strlen(part) > 4000)
        return tg_error_set(e, NULL, "data set", TG_EVALUE, "the folder's name is too long");
    idx images = {0}, labels = {0};
    struct stat info;
    bool ok = find_path(d, image_path, sizeof image_path, folder, part, "images-idx3-ubyte") &&
              find_path(d, label_path, sizeof label_path, folder, part, "labels-idx1-ubyte") &&
              read_idx(d, image_path, 3, &images);
    /* A model can say what images without labels show. */
    const bool alone = ok && schema && stat(label_path, &info) != 0;
    ok = ok && (alone || read_idx(d, label_path, 1, &labels));
    if (ok && !alone && images.count != labels.count) {
        ok = false;
        tg_error_set(e, NULL, label_path, TG_EFORMAT, "byte 4: %lld labels for %lld images",
                     (long long)labels.count, (long long)images.count);
    }
    ok = ok && make_schema(d, schema, image_path, label_path, &images, &labels);
    if (ok) convert(d, &images, &labels);
    tg_release(&d->allocator, images.data, images.capacity);
    tg_release(&d->allocator, labels.data, labels.capacity);
    return e->status;
}
