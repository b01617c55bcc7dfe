/* Reading safetensors files by the published rules, whoever wrote them. Private. The only file that
 * knows the format's header but for the models' own (nets/mlp_file.c). */
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

/* Reads a tensor of F32, F16 or BF16 as f32, of F64 as f64; to has room for it. */
bool tg_safetensors_read(tg_safetensors *s, int64_t tensor, tg_dtype dtype, void *to);

#endif
