/* Named arrays, and their files: NPY and NPZ. */
#include <stdio.h>
#include <string.h>

#include <tapegrad/models.h>

#include "../../graph/file.h"
#include "../../graph/text.h"
#include "bytes.h"
#include "npy.h"
#include "texts.h"
#include "whole_file.h"
#include "zip.h"

typedef struct array {
    tg_dtype dtype;
    tg_shape shape;
    size_t bytes;
    void *data;
} array;

struct tg_arrays {
    tg_allocator allocator;
    tg_error error;
    tg_texts names; /* the number of a name is its array's */
    array *list;
    size_t count, capacity;
};

tg_arrays *tg_arrays_new(const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_arrays *s = tg_allocate(&a, sizeof *s);
    if (!s) return NULL;
    *s = (tg_arrays){.allocator = a};
    s->names.allocator = &s->allocator;
    return s;
}

void tg_arrays_free(tg_arrays *s)
{
    if (!s) return;
    for (size_t k = 0; k < s->count; k++)
        tg_release(&s->allocator, s->list[k].data, s->list[k].bytes);
    tg_release(&s->allocator, s->list, s->capacity * sizeof *s->list);
    tg_texts_free(&s->names);
    const tg_allocator a = s->allocator;
    tg_release(&a, s, sizeof *s);
}

tg_status tg_arrays_status(const tg_arrays *s) { return s ? s->error.status : TG_ENOMEM; }
const char *tg_arrays_message(const tg_arrays *s)
{
    return s ? s->error.message : "no memory for arrays";
}

static bool within(const tg_arrays *s, int64_t k)
{
    return s && s->error.status == TG_OK && k >= 0 && (uint64_t)k < s->count;
}

int64_t tg_arrays_count(const tg_arrays *s)
{
    return s && s->error.status == TG_OK ? (int64_t)s->count : 0;
}
int64_t tg_arrays_find(const tg_arrays *s, const char *name)
{
    const int64_t found =
        s && s->error.status == TG_OK && name ? tg_texts_find(&s->names, name, strlen(name)) : -1;
    return found;
}
const char *tg_arrays_name(const tg_arrays *s, int64_t k)
{
    return within(s, k) ? tg_texts_get(&s->names, k) : NULL;
}
tg_dtype tg_arrays_dtype(const tg_arrays *s, int64_t k)
{
    return within(s, k) ? s->list[k].dtype : TG_DTYPE_COUNT;
}
tg_shape tg_arrays_shape(const tg_arrays *s, int64_t k)
{
    return within(s, k) ? s->list[k].shape : (tg_shape){.ndim = -1};
}
const void *tg_arrays_data(const tg_arrays *s, int64_t k)
{
    return within(s, k) ? s->list[k].data : NULL;
}

static tg_status fail(tg_arrays *s, const char *where, tg_status status, const char *what)
{
    return tg_error_set(&s->error, NULL, where, status, "%s", what);
}

/* A new array without elements yet; NULL after an error. */
static array *add(tg_arrays *s, const char *where, const char *name, tg_dtype dtype, tg_shape shape)
{
    void *list = s->list;
    const size_t n = strlen(name);
    const int64_t count = tg_shape_count(shape);
    array y = {.dtype = dtype, .shape = shape};
    if (!tg_utf8(name, n) || tg_texts_find(&s->names, name, n) >= 0) {
        fail(s, where, TG_EFORMAT, "the name of an array is not UTF-8, or there twice");
        return NULL;
    }
    bool ok = (uint64_t)count <= PTRDIFF_MAX / tg_dtype_size(dtype);
    if (ok) y.bytes = (size_t)count * tg_dtype_size(dtype);
    ok = ok && tg_grow(&s->allocator, &list, &s->capacity, s->count + 1, sizeof *s->list);
    s->list = list;
    ok = ok && (y.data = tg_allocate(&s->allocator, y.bytes));
    if (ok && tg_texts_add(&s->names, name, n) < 0) {
        tg_release(&s->allocator, y.data, y.bytes);
        ok = false;
    }
    if (!ok) fail(s, where, TG_ENOMEM, "no memory for an array");
    else s->list[s->count++] = y;
    return ok ? &s->list[s->count - 1] : NULL;
}

tg_status tg_arrays_add(tg_arrays *s, const char *name, tg_dtype dtype, tg_shape shape,
                        const void *data)
{
    if (!s || s->error.status != TG_OK) return tg_arrays_status(s);
    if (!name || (!data && tg_shape_count(shape) > 0))
        return fail(s, "arrays", TG_ENULL, "name or data is NULL");
    if ((unsigned)dtype >= TG_DTYPE_COUNT) return fail(s, "arrays", TG_EDTYPE, "the type is none");
    if (shape.ndim < 0 || tg_shape_count(shape) < 0)
        return fail(s, "arrays", TG_ESHAPE, "the shape is none");
    const array *y = add(s, "arrays", name, dtype, shape);
    if (y && y->bytes) memcpy(y->data, data, y->bytes);
    return s->error.status;
}

/* ---------------------------------------------------------------- reading */

static bool read_npy(tg_arrays *s, const char *name, const unsigned char *bytes, size_t n,
                     const char *where)
{
    tg_npy y;
    if (!tg_npy_parse(&y, bytes, n, where, &s->error)) return false;
    const array *to = add(s, where, name, y.dtype, y.shape);
    return to && tg_npy_convert(&y, to->data, where, &s->error);
}

/* A member of an archive: "weights.npy" holds the array "weights". */
static bool read_member(void *user, const char *name, const unsigned char *bytes, size_t n,
                        const char *where)
{
    tg_arrays *s = user;
    char stem[TG_ZIP_NAME];
    const size_t length = strlen(name);
    if (length < 5 || strcmp(name + length - 4, ".npy") != 0)
        return tg_error_set(&s->error, NULL, where, TG_EFORMAT,
                            "the archive holds '%.60s', which is no array", name),
               false;
    memcpy(stem, name, length - 4);
    stem[length - 4] = 0;
    return read_npy(s, stem, bytes, n, where);
}

tg_status tg_arrays_read(tg_arrays *s, const char *path)
{
    size_t n = 0;
    if (!s || s->error.status != TG_OK) return tg_arrays_status(s);
    if (!path) return fail(s, "arrays", TG_ENULL, "path is NULL");
    unsigned char *bytes = tg_whole_file_read(path, &s->allocator, &n, &s->error);
    if (!bytes) return s->error.status;
    if (n >= 2 && bytes[0] == 'P' && bytes[1] == 'K')
        tg_zip_read(bytes, n, path, &s->allocator, &s->error, read_member, s);
    else read_npy(s, "", bytes, n, path);
    tg_release(&s->allocator, bytes, n);
    return s->error.status;
}

/* ---------------------------------------------------------------- writing */

/* The elements in the file's byte order, little-endian, a piece at a time. */
static void put_elements(const array *y, tg_put_fn *put, void *to)
{
    enum { CHUNK = 1 << 12 };
    unsigned char chunk[CHUNK];
    const size_t size = tg_dtype_size(y->dtype);
    if (tg_is_little_endian()) put(to, y->data, y->bytes);
    for (size_t at = 0; !tg_is_little_endian() && at < y->bytes; at += CHUNK) {
        const size_t n = y->bytes - at < CHUNK ? y->bytes - at : CHUNK;
        memcpy(chunk, (const char *)y->data + at, n);
        tg_swap_bytes(chunk, n / size, size);
        put(to, chunk, n);
    }
}

static void put_npy(const void *user, tg_put_fn *put, void *to)
{
    const array *y = user;
    char header[TG_NPY_HEADER];
    put(to, header, tg_npy_header(header, y->dtype, y->shape));
    put_elements(y, put, to);
}

static void put_to_file(void *file, const void *data, size_t bytes)
{
    tg_file_put(file, data, bytes);
}

static tg_status finish(tg_arrays *s, tg_file *f, const char *path)
{
    tg_file_finish(f);
    if (!f->error) return TG_OK;
    return tg_error_set(&s->error, NULL, path, TG_EIO, "can't write: %s",
                        tg_errno_text(f->error).text);
}

tg_status tg_arrays_write_npy(tg_arrays *s, const char *path, int64_t k)
{
    tg_file f;
    if (!s || s->error.status != TG_OK) return tg_arrays_status(s);
    if (!path) return fail(s, "arrays", TG_ENULL, "path is NULL");
    if (!within(s, k))
        return tg_error_set(&s->error, NULL, "arrays", TG_EINDEX, "array %lld of %zu", (long long)k,
                            s->count);
    if (tg_file_begin(&f, path)) put_npy(&s->list[k], put_to_file, &f);
    return finish(s, &f, path);
}

tg_status tg_arrays_write_npz(tg_arrays *s, const char *path)
{
    tg_file f;
    tg_zip_writer zip;
    if (!s || s->error.status != TG_OK) return tg_arrays_status(s);
    if (!path) return fail(s, "arrays", TG_ENULL, "path is NULL");
    if (!tg_file_begin(&f, path)) return finish(s, &f, path);
    bool ok = true;
    tg_zip_begin(&zip, &f, &s->allocator);
    for (size_t k = 0; ok && k < s->count; k++) {
        char name[TG_ZIP_NAME];
        const int n = snprintf(name, sizeof name, "%s.npy", tg_texts_get(&s->names, (int64_t)k));
        ok = n > 0 && (size_t)n < sizeof name && s->list[k].bytes < TG_ZIP_MOST - TG_NPY_HEADER;
        if (!ok)
            fail(s, path, TG_EVALUE,
                 "an array is too large for a zip archive, or its name is too long");
        else tg_zip_add(&zip, name, put_npy, &s->list[k]);
    }
    if (ok && !tg_zip_finish(&zip))
        ok = (fail(s, path, zip.too_large ? TG_EVALUE : TG_ENOMEM,
                   zip.too_large ? "too large for a zip archive" : "no memory"),
              false);
    tg_zip_release(&zip);
    if (ok) return finish(s, &f, path);
    tg_file_abandon(&f);
    return s->error.status;
}
