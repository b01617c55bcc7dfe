/* Safetensors files: reading them by the published rules, whoever wrote them, and writing them.
 * Private. The only one that
 * knows the format's header but for the multilayer nets' own (nets/mlp_file.c). */
#ifndef TG_SAFETENSORS_H
#define TG_SAFETENSORS_H

#include "texts.h"

typedef struct tg_stored {
    const char *name; /* the header's */
    const char *dtype;
    int size;            /* bytes of an element */
    uint64_t begin, end; /* bytes of the data */
    uint64_t count;      /* of elements */
} tg_stored;

typedef struct tg_safetensors {
    const tg_allocator *allocator;
    tg_error *error;
    const char *path;
    int file; /* -1: closed */
    struct json_t *json;
    uint64_t start, bytes; /* of the data: where it begins, and how long it is */
    tg_stored *list;       /* by place in the file */
    size_t count;
    tg_texts names; /* a name's number is its place in the list */
} tg_safetensors;

/* Opens a file and checks its header: at most 100 MB; an object in UTF-8 without equal keys;
 * metadata of texts; for each tensor a known dtype, a shape and the bytes that these take; all of
 * them side by side from the first byte of the data to the last. Nothing is allocated for what the
 * file can't hold. false: e says why, and there is nothing to close. */
bool tg_safetensors_open(tg_safetensors *s, const char *path, const tg_allocator *a, tg_error *e);
void tg_safetensors_close(tg_safetensors *s);

/* The place of a name in the list, or -1. */
int64_t tg_safetensors_find(const tg_safetensors *s, const char *name);
bool tg_safetensors_has_shape(const tg_safetensors *s, int64_t tensor, tg_shape shape);

/* Reads a tensor of F32, F16 or BF16 as f32, of F64 as f64, of I64 as i64; to has room for it. */
bool tg_safetensors_read(tg_safetensors *s, int64_t tensor, tg_dtype dtype, void *to);

/* Bytes of the data, from byte `at` of it on. */
bool tg_safetensors_bytes(tg_safetensors *s, uint64_t at, void *to, size_t bytes);

/* A value of the metadata; NULL: there is none. */
const char *tg_safetensors_text(const tg_safetensors *s, const char *key);

/* ------------------------------------------------ writing them: safetensors_write.c */

/* A tensor in memory: f32, f64 or i64. */
typedef struct tg_written {
    const char *name; /* UTF-8 */
    tg_dtype dtype;
    tg_shape shape;
    const void *data;
} tg_written;

/* Replaces path (graph/file.h) by a file of n tensors, wide ones before narrow ones and otherwise
 * in their order, and metadata, which may be NULL and is taken over. false: e says why. */
bool tg_safetensors_write(const char *path, size_t n, const tg_written *list,
                          struct json_t *metadata, tg_error *e);

/* The same with "digests" in the metadata, XXH3 with 128 bits of each tensor's bytes in the file,
 * and "checksum", that of all other texts there. */
bool tg_safetensors_write_sealed(const char *path, size_t n, const tg_written *list,
                                 struct json_t *metadata, tg_error *e);

/* Whether a file is as it was written: reads all of it. */
bool tg_safetensors_check_seal(tg_safetensors *s);

#endif
