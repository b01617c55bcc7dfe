/* Writing safetensors files. */
#include "json.h"
#include "safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#include "../../graph/file.h"
#include "bytes.h"

enum { LENGTH_BYTES = 8, MOST_HEADER = 100000000, ALIGN = 8, DIGEST = 32, CHUNK = 1 << 12 };

static bool no_memory(tg_error *e, const char *path)
{
    tg_error_set(e, NULL, path, TG_ENOMEM, "no memory to save it");
    return false;
}

static const char *stored_dtype(tg_dtype dtype)
{
    return dtype == TG_F64 ? "F64" : dtype == TG_I64 ? "I64" : "F32";
}

static size_t bytes_of(const tg_written *y)
{
    return (size_t)tg_shape_count(y->shape) * tg_dtype_size(y->dtype);
}

/* Wide ones first, so that all data is aligned. */
static const size_t sizes[] = {8, 4};

static json_t *shape_list(tg_shape shape)
{
    json_t *list = json_array();
    for (int k = 0; list && k < shape.ndim; k++) {
        if (json_array_append_new(list, json_integer(shape.dim[k])) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

static bool describe(json_t *header, const tg_written *y, size_t *at, const char *path, tg_error *e)
{
    if (json_object_get(header, y->name) || !strcmp(y->name, "__metadata__"))
        return tg_error_set(e, NULL, path, TG_EVALUE,
                            "two parameters get one name, or __metadata__"),
               false;
    const size_t end = *at + bytes_of(y);
    json_t *entry =
        json_pack("{s:s, s:o, s:[I, I]}", "dtype", stored_dtype(y->dtype), "shape",
                  shape_list(y->shape), "data_offsets", (json_int_t)*at, (json_int_t)end);
    *at = end;
    return json_object_set_new(header, y->name, entry) == 0 || no_memory(e, path);
}

/* The header as text, to be given to tg_json_free; NULL after an error. */
static char *header_text(const char *path, size_t n, const tg_written *list, json_t *metadata,
                         tg_error *e)
{
    json_t *header = json_object();
    size_t at = 0;
    bool ok = header && (!metadata || json_object_set(header, "__metadata__", metadata) == 0);
    if (!ok) no_memory(e, path);
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t k = 0; ok && k < n; k++)
            if (tg_dtype_size(list[k].dtype) == sizes[pass])
                ok = describe(header, &list[k], &at, path, e);
    char *text = ok ? tg_json_text(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (ok && !text) no_memory(e, path);
    return text;
}

/* A tensor's bytes as they are in the file, piece by piece. */
static void each_piece(const tg_written *y, void (*take)(void *to, const void *data, size_t bytes),
                       void *to)
{
    unsigned char chunk[CHUNK];
    const size_t size = tg_dtype_size(y->dtype), bytes = bytes_of(y);
    if (tg_is_little_endian() && bytes) take(to, y->data, bytes);
    for (size_t at = 0; !tg_is_little_endian() && at < bytes; at += CHUNK) {
        const size_t n = bytes - at < CHUNK ? bytes - at : CHUNK;
        memcpy(chunk, (const char *)y->data + at, n);
        tg_swap_bytes(chunk, n / size, size);
        take(to, chunk, n);
    }
}

static void put(void *to, const void *data, size_t bytes) { tg_file_put(to, data, bytes); }

bool tg_safetensors_write(const char *path, size_t n, const tg_written *list, json_t *metadata,
                          tg_error *e)
{
    static const char spaces[ALIGN] = "        ";
    char *header = header_text(path, n, list, metadata, e);
    json_decref(metadata);
    if (!header) return false;
    const size_t used = strlen(header), padding = (ALIGN - used % ALIGN) % ALIGN;
    unsigned char length[LENGTH_BYTES];
    tg_put_le64(length, used + padding);
    tg_file f = {.error = 0};
    if (used + padding > MOST_HEADER) {
        tg_error_set(e, NULL, path, TG_EVALUE, "the names are too long for a safetensors header");
    } else if (tg_file_begin(&f, path)) {
        tg_file_put(&f, length, sizeof length);
        tg_file_put(&f, header, used);
        tg_file_put(&f, spaces, padding);
        for (size_t pass = 0; pass < 2; pass++)
            for (size_t k = 0; k < n; k++)
                if (tg_dtype_size(list[k].dtype) == sizes[pass]) each_piece(&list[k], put, &f);
        tg_file_finish(&f);
    }
    tg_json_free(header);
    if (f.error)
        tg_error_set(e, NULL, path, TG_EIO, "can't write: %s", tg_errno_text(f.error).text);
    return e->status == TG_OK;
}

/* ---------------------------------------------------------------- seals */

typedef struct digest {
    char digits[DIGEST + 1];
} digest;

static void add(void *to, const void *data, size_t bytes) { XXH3_128bits_update(to, data, bytes); }

static digest digest_end(const XXH3_state_t *state)
{
    digest y;
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    snprintf(y.digits, sizeof y.digits, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
    return y;
}

/* Of all texts of the metadata but the checksum itself, in the order of their keys. */
static bool checksum_of(const json_t *metadata, XXH3_state_t *state, digest *y)
{
    char *text = NULL;
    json_t *copy = json_copy((json_t *)(uintptr_t)metadata);
    if (copy && json_object_size(copy) == json_object_size(metadata)) {
        json_object_del(copy, "checksum");
        text = tg_json_text(copy, JSON_COMPACT | JSON_SORT_KEYS);
    }
    json_decref(copy);
    if (!text) return false;
    XXH3_128bits_reset(state);
    add(state, text, strlen(text));
    *y = digest_end(state);
    tg_json_free(text);
    return true;
}

static bool seal(size_t n, const tg_written *list, json_t *metadata)
{
    digest y;
    XXH3_state_t *state = XXH3_createState();
    json_t *digests = json_object();
    bool ok = state && metadata && digests;
    for (size_t k = 0; ok && k < n; k++) {
        XXH3_128bits_reset(state);
        each_piece(&list[k], add, state);
        ok = json_object_set_new(digests, list[k].name, json_string(digest_end(state).digits)) == 0;
    }
    char *text = ok ? tg_json_text(digests, JSON_COMPACT) : NULL;
    json_decref(digests);
    ok = text && json_object_set_new(metadata, "digests", json_string(text)) == 0 &&
         checksum_of(metadata, state, &y) &&
         json_object_set_new(metadata, "checksum", json_string(y.digits)) == 0;
    tg_json_free(text);
    XXH3_freeState(state);
    return ok;
}

bool tg_safetensors_write_sealed(const char *path, size_t n, const tg_written *list,
                                 json_t *metadata, tg_error *e)
{
    if (seal(n, list, metadata)) return tg_safetensors_write(path, n, list, metadata, e);
    json_decref(metadata);
    return no_memory(e, path);
}

static bool damaged(const tg_safetensors *s, const char *what)
{
    tg_error_set(s->error, NULL, s->path, TG_EFORMAT, "the %.90s is damaged: its digest is wrong",
                 what);
    return false;
}

/* Reads a tensor and compares its digest. */
static bool check_tensor(tg_safetensors *s, int64_t tensor, const json_t *digests,
                         XXH3_state_t *state)
{
    unsigned char chunk[CHUNK];
    const tg_stored *y = &s->list[tensor];
    const char *said = json_string_value(json_object_get(digests, y->name));
    XXH3_128bits_reset(state);
    for (uint64_t at = y->begin; at < y->end; at += CHUNK) {
        const size_t n = y->end - at < CHUNK ? (size_t)(y->end - at) : CHUNK;
        if (!tg_safetensors_bytes(s, at, chunk, n)) return false;
        add(state, chunk, n);
    }
    char what[120];
    snprintf(what, sizeof what, "tensor '%.60s'", y->name);
    return (said && !strcmp(said, digest_end(state).digits)) || damaged(s, what);
}

bool tg_safetensors_check_seal(tg_safetensors *s)
{
    digest y;
    json_error_t why;
    const json_t *metadata = json_object_get(s->json, "__metadata__");
    const char *said = tg_safetensors_text(s, "checksum"),
               *text = tg_safetensors_text(s, "digests");
    if (!said || !text) return damaged(s, "header");
    XXH3_state_t *state = XXH3_createState();
    if (!state || !checksum_of(metadata, state, &y)) {
        XXH3_freeState(state);
        return tg_error_set(s->error, NULL, s->path, TG_ENOMEM, "no memory to read it"), false;
    }
    json_t *digests = NULL;
    bool ok = !strcmp(said, y.digits) || damaged(s, "header");
    if (ok && !(digests = tg_json_read(text, strlen(text), JSON_REJECT_DUPLICATES, &why)))
        ok = tg_json_no_memory(&why) ? no_memory(s->error, s->path) : damaged(s, "header");
    if (ok && json_object_size(digests) != s->count) ok = damaged(s, "list of tensors");
    for (size_t k = 0; ok && k < s->count; k++) ok = check_tensor(s, (int64_t)k, digests, state);
    json_decref(digests);
    XXH3_freeState(state);
    return ok;
}
