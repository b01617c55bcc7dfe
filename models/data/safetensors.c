/* Reading safetensors files. */
#define _POSIX_C_SOURCE 200809L
#include "json.h"
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../graph/file.h"
#include "bytes.h"

enum { LENGTH_BYTES = 8, MOST_HEADER = 100000000, CHUNK = 1 << 14 };

static bool bad(const tg_safetensors *s, const char *format, ...) TG_PRINTF(2, 3);
static bool bad(const tg_safetensors *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(s->error, NULL, s->path, TG_EFORMAT, format, arguments);
    va_end(arguments);
    return false;
}

static bool no_memory(const tg_safetensors *s)
{
    tg_error_set(s->error, NULL, s->path, TG_ENOMEM, "no memory to read it");
    return false;
}

static bool read_at(const tg_safetensors *s, uint64_t at, void *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = pread(s->file, (char *)to + done, bytes - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return tg_error_set(s->error, NULL, s->path, TG_EIO, "can't read: %s",
                                tg_errno_text(errno).text),
                   false;
        if (got == 0)
            return tg_error_set(s->error, NULL, s->path, TG_EIO,
                                "it became shorter while it was read"),
                   false;
        done += (size_t)got;
    }
    return true;
}

/* ---------------------------------------------------------------- the header */

static int size_of(const char *dtype)
{
    static const struct {
        const char *name;
        int size;
    } types[] = {{"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1},
                 {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
                 {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8}};
    for (size_t k = 0; dtype && k < sizeof types / sizeof types[0]; k++)
        if (!strcmp(dtype, types[k].name)) return types[k].size;
    return 0;
}

/* The elements of a shape; false: it is none, or has more than 64 bits can count. */
static bool count_of(const json_t *shape, uint64_t *count)
{
    bool empty = false, fits = true;
    *count = 1;
    if (!json_is_array(shape)) return false;
    for (size_t k = 0; k < json_array_size(shape); k++) {
        const json_t *size = json_array_get(shape, k);
        if (!json_is_integer(size) || json_integer_value(size) < 0) return false;
        const uint64_t n = (uint64_t)json_integer_value(size);
        empty = empty || n == 0;
        fits = fits && (n == 0 || *count <= UINT64_MAX / n);
        if (n && fits) *count *= n;
    }
    if (empty) *count = 0;
    return empty || fits;
}

static bool check_entry(const tg_safetensors *s, tg_stored *y, const json_t *entry)
{
    const json_t *offsets = json_object_get(entry, "data_offsets"),
                 *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    y->dtype = json_string_value(json_object_get(entry, "dtype"));
    y->size = size_of(y->dtype);
    if (!json_is_object(entry))
        return bad(s, "tensor '%.60s' is not described by an object", y->name);
    if (!y->size)
        return bad(s, "tensor '%.60s' has the dtype '%.20s', which is none of safetensors'",
                   y->name, y->dtype ? y->dtype : "");
    if (!count_of(json_object_get(entry, "shape"), &y->count))
        return bad(s, "tensor '%.60s' has no proper shape", y->name);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to) ||
        json_integer_value(from) < 0 || json_integer_value(to) < json_integer_value(from))
        return bad(s, "tensor '%.60s' has no proper data_offsets", y->name);
    y->begin = (uint64_t)json_integer_value(from);
    y->end = (uint64_t)json_integer_value(to);
    if (y->end > s->bytes)
        return bad(s, "cut short: the data ends before the end of tensor '%.60s'", y->name);
    if (y->count > s->bytes || y->count * (uint64_t)y->size != y->end - y->begin)
        return bad(s, "tensor '%.60s' takes other bytes than its data_offsets say", y->name);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const tg_stored *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Side by side, from the first byte of the data to the last. */
static bool check_places(const tg_safetensors *s)
{
    uint64_t at = 0;
    for (size_t k = 0; k < s->count; k++) {
        if (s->list[k].begin != at)
            return bad(s,
                       "tensor '%.60s' begins at byte %llu of the data where %llu is expected: "
                       "tensors must not overlap or leave gaps",
                       s->list[k].name, (unsigned long long)s->list[k].begin,
                       (unsigned long long)at);
        at = s->list[k].end;
    }
    return at == s->bytes ||
           bad(s, "%llu bytes behind the last tensor", (unsigned long long)(s->bytes - at));
}

static bool check_metadata(const tg_safetensors *s, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return bad(s, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return bad(
        s, "the metadata '%.60s' is not a text", key);
    return true;
}

static bool check_header(tg_safetensors *s)
{
    const char *key;
    json_t *value, *metadata = json_object_get(s->json, "__metadata__");
    size_t n = 0;
    if (metadata && !check_metadata(s, metadata)) return false;
    s->count = json_object_size(s->json) - (metadata ? 1 : 0);
    s->list = tg_allocate(s->allocator, s->count * sizeof *s->list);
    if (!s->list) return no_memory(s);
    json_object_foreach(s->json, key, value)
    {
        if (value == metadata) continue;
        s->list[n].name = key;
        if (!check_entry(s, &s->list[n++], value)) return false;
    }
    qsort(s->list, s->count, sizeof *s->list, by_place);
    for (size_t k = 0; k < s->count; k++)
        if (tg_texts_add(&s->names, s->list[k].name, strlen(s->list[k].name)) < 0)
            return no_memory(s);
    return check_places(s);
}

static bool read_header(tg_safetensors *s)
{
    struct stat info;
    unsigned char length_bytes[LENGTH_BYTES];
    if (fstat(s->file, &info) != 0 || !S_ISREG(info.st_mode))
        return tg_error_set(s->error, NULL, s->path, TG_EIO, "not a regular file"), false;
    const uint64_t size = (uint64_t)info.st_size;
    if (size < LENGTH_BYTES)
        return bad(s, "not safetensors: %llu bytes are less than its header's length takes",
                   (unsigned long long)size);
    if (!read_at(s, 0, length_bytes, sizeof length_bytes)) return false;
    const uint64_t length = tg_get_le64(length_bytes);
    if (length < 2 || length > MOST_HEADER)
        return bad(s, "not safetensors: its first 8 bytes are not the length of a header, 2 to %d",
                   MOST_HEADER);
    if (length > size - LENGTH_BYTES)
        return bad(s, "cut short: %llu bytes, but the header alone takes %llu",
                   (unsigned long long)size, (unsigned long long)(length + LENGTH_BYTES));
    s->start = length + LENGTH_BYTES;
    s->bytes = size - s->start;
    char *text = tg_allocate(s->allocator, (size_t)length);
    json_error_t e;
    if (!text) return no_memory(s);
    bool ok = read_at(s, LENGTH_BYTES, text, (size_t)length);
    if (ok && text[0] != '{') ok = bad(s, "not safetensors: the header does not begin with '{'");
    if (ok && !(s->json = tg_json_read(text, (size_t)length, JSON_REJECT_DUPLICATES, &e)))
        ok = tg_json_no_memory(&e) ? no_memory(s)
                                   : bad(s, "the header is not JSON: %s at byte %d", e.text,
                                         LENGTH_BYTES + e.position);
    tg_release(s->allocator, text, (size_t)length);
    return ok && check_header(s);
}

bool tg_safetensors_open(tg_safetensors *s, const char *path, const tg_allocator *a, tg_error *e)
{
    *s = (tg_safetensors){.allocator = a,
                          .error = e,
                          .path = path,
                          .file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK),
                          .names = {.allocator = a}};
    if (s->file < 0)
        return tg_error_set(e, NULL, path, TG_EIO, "can't open: %s", tg_errno_text(errno).text),
               false;
    if (read_header(s)) return true;
    tg_safetensors_close(s);
    return false;
}

void tg_safetensors_close(tg_safetensors *s)
{
    tg_texts_free(&s->names);
    json_decref(s->json);
    tg_release(s->allocator, s->list, s->count * sizeof *s->list);
    if (s->file >= 0) close(s->file);
    *s = (tg_safetensors){.file = -1};
}

/* ---------------------------------------------------------------- tensors */

int64_t tg_safetensors_find(const tg_safetensors *s, const char *name)
{
    return tg_texts_find(&s->names, name, strlen(name));
}

bool tg_safetensors_bytes(tg_safetensors *s, uint64_t at, void *to, size_t bytes)
{
    return read_at(s, s->start + at, to, bytes);
}

const char *tg_safetensors_text(const tg_safetensors *s, const char *key)
{
    return json_string_value(json_object_get(json_object_get(s->json, "__metadata__"), key));
}

bool tg_safetensors_has_shape(const tg_safetensors *s, int64_t tensor, tg_shape shape)
{
    const json_t *sizes = json_object_get(json_object_get(s->json, s->list[tensor].name), "shape");
    bool same = json_array_size(sizes) == (size_t)shape.ndim;
    for (int k = 0; same && k < shape.ndim; k++)
        same = json_integer_value(json_array_get(sizes, (size_t)k)) == shape.dim[k];
    return same;
}

static void widen(const unsigned char *from, size_t n, bool half, float *to)
{
    for (size_t k = 0; k < n; k++) {
        const uint16_t h = (uint16_t)(from[2 * k] | from[2 * k + 1] << 8);
        const uint32_t bits = (uint32_t)h << 16;
        if (half) to[k] = tg_half(h);
        else memcpy(&to[k], &bits, sizeof bits);
    }
}

bool tg_safetensors_read(tg_safetensors *s, int64_t tensor, tg_dtype dtype, void *to)
{
    const tg_stored *y = &s->list[tensor];
    const bool half = !strcmp(y->dtype, "F16"), narrow = half || !strcmp(y->dtype, "BF16");
    const bool fits = dtype == TG_F64   ? !strcmp(y->dtype, "F64")
                      : dtype == TG_I64 ? !strcmp(y->dtype, "I64")
                                        : dtype == TG_F32 && (narrow || !strcmp(y->dtype, "F32"));
    if (!fits)
        return bad(s, "tensor '%.60s' is %s, which can't be read as %s", y->name, y->dtype,
                   tg_dtype_name(dtype));
    if (!narrow) {
        if (!read_at(s, s->start + y->begin, to, (size_t)(y->end - y->begin))) return false;
        if (!tg_is_little_endian()) tg_swap_bytes(to, (size_t)y->count, (size_t)y->size);
        return true;
    }
    unsigned char chunk[CHUNK];
    for (uint64_t done = 0; done < y->count;) {
        const size_t n = y->count - done < CHUNK / 2 ? (size_t)(y->count - done) : CHUNK / 2;
        if (!read_at(s, s->start + y->begin + 2 * done, chunk, 2 * n)) return false;
        widen(chunk, n, half, (float *)to + done);
        done += n;
    }
    return true;
}
