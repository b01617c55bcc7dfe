/* Models as files: safetensors with all else that a model is in its __metadata__. Values there are
 * texts by the format's rules; lists and numbers are JSON within the text. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../data/bytes.h"
#include "../data/json.h"
#include "../data/whole_file.h"
#include "../training/metadata.h"
#include "mlp.h"

enum { LENGTH_BYTES = 8, DIGEST = 32, MOST_HEADER = 100 << 20, DATA_ALIGN = 64 };
static const char format_name[] = "tapegrad-mlp-1";
static const char checksum_key[] = "\"checksum\":\"";

/* safetensors is little-endian throughout; swapping is its own inverse. */
static void swap_on_big_endian(void *data, size_t words)
{
    if (!tg_is_little_endian()) tg_swap_bytes(data, words, sizeof(float));
}

/* The place of the 32 digits in a header: a quoted key can't occur inside a JSON text, where quotes
 * are escaped. NULL: there is none. */
static char *find_digest(char *header, size_t n)
{
    const size_t key = sizeof checksum_key - 1;
    for (size_t k = 0; k + key + DIGEST <= n; k++)
        if (!memcmp(header + k, checksum_key, key)) return header + k + key;
    return NULL;
}

/* The checksum of a whole file image whose own digits are set to 0. */
static void digest_of(const void *file, size_t n, char digits[DIGEST + 1])
{
    const XXH128_hash_t hash = XXH3_128bits(file, n);
    snprintf(digits, DIGEST + 1, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
             (uint64_t)hash.low64);
}

/* ---------------------------------------------------------------- saving: the header */

static json_t *metadata_object(const tg_mlp *m)
{
    json_t *y = json_object();
    const bool ok = y && tg_metadata_put_text(y, "format", format_name) &&
                    tg_metadata_put_text(y, "checksum", "00000000000000000000000000000000") &&
                    tg_metadata_put_text(y, "activation", m->activation) &&
                    tg_metadata_put_json(y, "hidden", tg_metadata_sizes(m->hidden, m->n_hidden)) &&
                    tg_metadata_put_json(y, "dropout", json_real(m->dropout)) &&
                    tg_metadata_put_model(y, &m->model);
    if (ok) return y;
    json_decref(y);
    return NULL;
}

/* The whole header; *data_bytes gets the size of what follows it. */
static json_t *header_object(const tg_mlp *m, size_t *data_bytes)
{
    json_t *header = json_object();
    bool ok = header && json_object_set_new(header, "__metadata__", metadata_object(m)) == 0;
    size_t at = 0;
    for (int k = 0; ok && k < tg_params_count(m->model.params); k++) {
        const tg_tensor *p = tg_params_get(m->model.params, k);
        const tg_shape shape = tg_tensor_shape(p);
        const size_t bytes = (size_t)tg_tensor_count(p) * sizeof(float);
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape",
                                  tg_metadata_sizes(shape.dim, shape.ndim), "data_offsets",
                                  (json_int_t)at, (json_int_t)(at + bytes));
        ok = json_object_set_new(header, tg_param_name(p), entry) == 0;
        at += bytes;
    }
    *data_bytes = at;
    if (ok) return header;
    json_decref(header);
    return NULL;
}

/* The header as text, to be given to tg_json_free. */
static char *header_text(const tg_mlp *m, size_t *data_bytes)
{
    json_t *header = header_object(m, data_bytes);
    char *text = tg_json_text(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

/* ---------------------------------------------------------------- saving: the file */

static tg_status save_failed(tg_mlp *m, const char *path, tg_status status, const char *what)
{
    return tg_error_set(&m->model.error, NULL, path, status, "%s", what);
}

/* Lays the file out in memory: length, header with spaces behind it, data, checksum. */
static void lay_out(const tg_mlp *m, unsigned char *file, size_t bytes, const char *header,
                    size_t header_bytes)
{
    char *text = (char *)file + LENGTH_BYTES, digits[DIGEST + 1];
    tg_put_le64(file, header_bytes);
    memset(text, ' ', header_bytes);
    memcpy(text, header, strlen(header));
    unsigned char *data = file + LENGTH_BYTES + header_bytes;
    for (int k = 0; k < tg_params_count(m->model.params); k++) {
        const tg_tensor *p = tg_params_get(m->model.params, k);
        const size_t words = (size_t)tg_tensor_count(p);
        memcpy(data, tg_param_data(p), words * sizeof(float));
        swap_on_big_endian(data, words);
        data += words * sizeof(float);
    }
    digest_of(file, bytes, digits);
    memcpy(find_digest(text, header_bytes), digits, DIGEST);
}

tg_status tg_mlp_save(tg_mlp *m, const char *path)
{
    if (!m || m->model.error.status != TG_OK) return tg_mlp_status(m);
    if (!path) return save_failed(m, "save", TG_ENULL, "path is NULL");
    if (tg_params_count(m->model.params) != 2 * (m->n_hidden + 1))
        return save_failed(m, path, TG_ESTATE,
                           "the net's parameters have been joined by others, which a model's file "
                           "has no place for: tg_params_save has");
    size_t data_bytes = 0;
    char *header = header_text(m, &data_bytes);
    if (!header) return save_failed(m, path, TG_ENOMEM, "no memory to save the model");
    const size_t unpadded = LENGTH_BYTES + strlen(header),
                 start = (unpadded + DATA_ALIGN - 1) / DATA_ALIGN * DATA_ALIGN;
    unsigned char *file = tg_allocate(&m->model.allocator, start + data_bytes);
    if (!file) {
        save_failed(m, path, TG_ENOMEM, "no memory to save the model");
    } else if (start - LENGTH_BYTES > MOST_HEADER) {
        save_failed(m, path, TG_EVALUE, "names and labels are too long for a safetensors header");
    } else {
        lay_out(m, file, start + data_bytes, header, start - LENGTH_BYTES);
        tg_whole_file_write(path, file, start + data_bytes, &m->model.error);
    }
    tg_release(&m->model.allocator, file, start + data_bytes);
    tg_json_free(header);
    return m->model.error.status;
}

/* ---------------------------------------------------------------- loading */

typedef struct loader {
    tg_mlp *m;
    const char *path;
    unsigned char *file;
    size_t bytes;
    char *header;
    size_t header_bytes;
    const unsigned char *data;
    size_t data_bytes;
    json_t *json, *hidden;
    tg_metadata metadata; /* borrowed from json */
    int64_t *sizes;       /* of all layers: inputs, hidden ..., outputs; in m's arena */
    int layers;
} loader;

static bool bad(loader *l, const char *format, ...) TG_PRINTF(2, 3);
static bool bad(loader *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&l->m->model.error, NULL, l->path, TG_EFORMAT, format, arguments);
    va_end(arguments);
    return false;
}

static bool no_memory(loader *l) { return tg_metadata_no_memory(&l->metadata); }

/* Length and JSON. */
static bool read_header(loader *l)
{
    if (l->bytes < LENGTH_BYTES)
        return bad(
            l, "%zu bytes are no model: a safetensors file begins with 8 bytes of header length",
            l->bytes);
    const uint64_t length = tg_get_le64(l->file);
    if (length < 2 || length > MOST_HEADER)
        return bad(l, "not a model: its first 8 bytes are not the length of a safetensors header");
    if (length > l->bytes - LENGTH_BYTES)
        return bad(l, "cut short: %zu bytes, but the header alone takes %" PRIu64, l->bytes,
                   length + LENGTH_BYTES);
    l->header = (char *)l->file + LENGTH_BYTES;
    l->header_bytes = (size_t)length;
    l->data = l->file + LENGTH_BYTES + length;
    l->data_bytes = l->bytes - LENGTH_BYTES - (size_t)length;
    json_error_t e;
    l->json = tg_json_read(l->header, l->header_bytes, JSON_REJECT_DUPLICATES, &e);
    if (!l->json && tg_json_no_memory(&e)) return no_memory(l);
    if (!l->json)
        return bad(l, "not a model: the header is not JSON: %s at byte %d", e.text,
                   LENGTH_BYTES + e.position);
    l->metadata.json = json_object_get(l->json, "__metadata__");
    const char *format = json_string_value(json_object_get(l->metadata.json, "format"));
    if (!format)
        return bad(l, "not a tapegrad model: the header has no __metadata__ with a format");
    if (strcmp(format, format_name) != 0)
        return bad(l, "the format is '%.60s' where '%s' is expected", format, format_name);
    return true;
}

static bool read_sizes(loader *l, const tg_schema *s, tg_head head)
{
    l->hidden = tg_metadata_json(&l->metadata, "hidden");
    if (!l->hidden) return false;
    if (!json_is_array(l->hidden) || json_array_size(l->hidden) > 1000)
        return bad(l, "metadata 'hidden' is not a list of sizes");
    const int n = (int)json_array_size(l->hidden);
    l->layers = n + 1;
    l->sizes = tg_arena_take(&l->m->model.arena, ((size_t)n + 2) * sizeof *l->sizes);
    if (!l->sizes) return no_memory(l);
    l->sizes[0] = s->features;
    l->sizes[n + 1] = head == TG_HEAD_CROSS_ENTROPY ? s->classes : 1;
    for (int k = 0; k < n; k++) {
        const json_t *size = json_array_get(l->hidden, (size_t)k);
        if (!json_is_integer(size) || json_integer_value(size) < 1 ||
            json_integer_value(size) > INT32_MAX)
            return bad(l, "metadata 'hidden' holds a wrong size");
        l->sizes[k + 1] = json_integer_value(size);
    }
    return true;
}

/* The entry of a tensor must describe exactly the bytes that come next. */
static bool check_tensor(loader *l, const char *name, tg_shape shape, size_t *at)
{
    const json_t *entry = json_object_get(l->json, name);
    if (!entry) return bad(l, "there is no tensor '%s'", name);
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype || strcmp(dtype, "F32") != 0)
        return bad(l, "tensor '%s' has dtype '%.20s' where F32 is expected", name,
                   dtype ? dtype : "");
    const json_t *sizes = json_object_get(entry, "shape");
    bool same = json_is_array(sizes) && json_array_size(sizes) == (size_t)shape.ndim;
    for (int k = 0; same && k < shape.ndim; k++) {
        const json_t *size = json_array_get(sizes, (size_t)k);
        same = json_is_integer(size) && json_integer_value(size) == shape.dim[k];
    }
    if (!same)
        return bad(l, "tensor '%s' does not have the shape %s that the layers' sizes ask for", name,
                   tg_shape_text(shape).text);
    const int64_t count = tg_shape_count(shape);
    const json_t *offsets = json_object_get(entry, "data_offsets"),
                 *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return bad(l, "tensor '%s' has no data_offsets", name);
    if (count < 0 || (uint64_t)count > (l->data_bytes - *at) / sizeof(float))
        return bad(l, "cut short: the data ends before the end of tensor '%s'", name);
    const size_t end = *at + (size_t)count * sizeof(float);
    if (json_integer_value(from) != (json_int_t)*at || json_integer_value(to) != (json_int_t)end)
        return bad(l,
                   "tensor '%s' lies at %lld to %lld where %zu to %zu is expected: tensors must "
                   "not overlap or leave gaps",
                   name, (long long)json_integer_value(from), (long long)json_integer_value(to),
                   *at, end);
    *at = end;
    return true;
}

static bool check_tensors(loader *l)
{
    size_t at = 0;
    for (int k = 0; k < l->layers; k++) {
        char name[40];
        snprintf(name, sizeof name, "layer%d.weight", k);
        if (!check_tensor(l, name, tg_shape_of(2, (const int64_t[]){l->sizes[k + 1], l->sizes[k]}),
                          &at))
            return false;
        snprintf(name, sizeof name, "layer%d.bias", k);
        if (!check_tensor(l, name, tg_shape_of(1, &l->sizes[k + 1]), &at)) return false;
    }
    if (json_object_size(l->json) != 2 * (size_t)l->layers + 1)
        return bad(l, "there are tensors that do not belong to the model");
    if (at != l->data_bytes) return bad(l, "%zu bytes behind the last tensor", l->data_bytes - at);
    return true;
}

static bool check_digest(loader *l)
{
    char digits[DIGEST + 1], written[DIGEST + 1] = "";
    char *place = find_digest(l->header, l->header_bytes);
    if (!place) return bad(l, "the metadata has no checksum");
    memcpy(written, place, DIGEST);
    memset(place, '0', DIGEST);
    digest_of(l->file, l->bytes, digits);
    return !strcmp(digits, written) || bad(l, "the checksum is wrong: the file is damaged");
}

static bool read_values(loader *l)
{
    const unsigned char *data = l->data;
    for (int k = 0; k < tg_params_count(l->m->model.params); k++) {
        tg_tensor *p = tg_params_get(l->m->model.params, k);
        const size_t words = (size_t)tg_tensor_count(p);
        /* The file image is ours to change, and its data is aligned as lay_out did it. */
        swap_on_big_endian((void *)(uintptr_t)data, words);
        if (tg_param_write(p, data) != TG_OK) return no_memory(l);
        data += words * sizeof(float);
    }
    return true;
}

static bool build(loader *l, const tg_schema *schema, tg_head head)
{
    tg_mlp_options o = {.size = sizeof o,
                        .inputs = l->sizes[0],
                        .outputs = l->sizes[l->layers],
                        .n_hidden = l->layers - 1,
                        .hidden = l->sizes + 1,
                        .head = head,
                        .activation = tg_metadata_text(&l->metadata, "activation")};
    json_t *dropout = tg_metadata_json(&l->metadata, "dropout");
    const bool number = json_is_number(dropout);
    o.dropout = json_number_value(dropout);
    json_decref(dropout);
    if (!o.activation || !dropout) return false;
    if (!number) return bad(l, "metadata 'dropout' is not a number");
    uint64_t steps, rounds;
    if (!tg_metadata_number(&l->metadata, "seed", &o.seed) ||
        !tg_metadata_number(&l->metadata, "steps", &steps) ||
        !tg_metadata_number(&l->metadata, "rounds", &rounds))
        return false;
    if (tg_mlp_build(l->m, schema, &o) != TG_OK) {
        const tg_error reason = l->m->model.error;
        l->m->model.error = (tg_error){TG_OK, ""};
        tg_error_set(&l->m->model.error, NULL, l->path,
                     reason.status == TG_ENOMEM ? TG_ENOMEM : TG_EFORMAT, "%s", reason.message);
        return false;
    }
    l->m->model.steps = steps;
    l->m->model.rounds = rounds;
    return tg_metadata_scaling(&l->metadata, &l->m->model) && read_values(l);
}

/* ---------------------------------------------------------------- nothing else in the header */

/* Metadata keys whose texts are JSON themselves, and may be spelt in more than one way. */
static const char *const json_keys[] = {"hidden", "dropout", "features",
                                        "pixels", "labels",  "columns",
                                        "levels", "fill",    "standardization"};

/* The metadata with those texts replaced by what they say. NULL: no memory. */
static json_t *meaning(const json_t *metadata)
{
    json_t *y = json_copy((json_t *)(uintptr_t)metadata);
    if (y && json_object_size(y) < json_object_size(metadata)) { /* it copies what it can */
        json_decref(y);
        y = NULL;
    }
    for (size_t k = 0; y && k < sizeof json_keys / sizeof json_keys[0]; k++) {
        const char *text = json_string_value(json_object_get(metadata, json_keys[k]));
        if (!text ||
            json_object_set_new(y, json_keys[k], json_loads(text, JSON_DECODE_ANY, NULL)) == 0)
            continue;
        json_decref(y);
        y = NULL;
    }
    return y;
}

/* Names the first key of a that b lacks or has with another value. */
static const char *first_difference(json_t *a, json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach(a, key, value) if (!json_equal(value, json_object_get(b, key))) return key;
    return NULL;
}

/* A header that says what the model made from it would not say again has something in it that is
 * wrong, or that we don't know. */
static bool check_round_trip(loader *l)
{
    size_t bytes = 0;
    json_t *again = header_object(l->m, &bytes);
    json_t *read = meaning(l->metadata.json),
           *written = meaning(json_object_get(again, "__metadata__"));
    bool ok = again && read && written && json_object_del(read, "checksum") == 0 &&
              json_object_del(written, "checksum") == 0;
    if (!ok) {
        no_memory(l);
    } else {
        const char *unknown = first_difference(read, written), *tensor = NULL;
        json_object_del(again, "__metadata__");
        json_object_del(l->json, "__metadata__");
        l->metadata.json = NULL;
        tensor = first_difference(l->json, again);
        if (unknown)
            ok = bad(l, "metadata '%.60s' is not as a model of this version has it", unknown);
        else if (tensor)
            ok = bad(l, "the entry of tensor '%.60s' holds more than dtype, shape and data_offsets",
                     tensor);
    }
    json_decref(read);
    json_decref(written);
    json_decref(again);
    return ok;
}

static bool load(loader *l)
{
    tg_schema schema;
    tg_head head;
    return read_header(l) && tg_metadata_schema(&l->metadata, false, &schema, &head) &&
           read_sizes(l, &schema, head) && check_tensors(l) && check_digest(l) &&
           tg_metadata_unlike(&l->metadata, &l->m->model.allocator, &schema) &&
           build(l, &schema, head) && check_round_trip(l);
}

tg_mlp *tg_mlp_load(const char *path, const tg_allocator *allocator)
{
    tg_mlp *m = tg_mlp_blank(allocator);
    if (!m) return NULL;
    if (!path) {
        tg_error_set(&m->model.error, NULL, "load", TG_ENULL, "path is NULL");
        return m;
    }
    loader l = {.m = m, .path = path};
    l.metadata = (tg_metadata){.path = path, .error = &m->model.error, .arena = &m->model.arena};
    l.file = tg_whole_file_read(path, &m->model.allocator, &l.bytes, &m->model.error);
    if (l.file) {
        if (!load(&l)) m->model.built = false;
        tg_release(&m->model.allocator, l.file, l.bytes);
    }
    tg_metadata_free(&l.metadata);
    json_decref(l.hidden);
    json_decref(l.json);
    return m;
}
