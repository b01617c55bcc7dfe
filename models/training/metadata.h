/* What a model is, but for its net, as texts in the metadata of a file. Lists and numbers are JSON
 * within the text. Private. */
#ifndef TG_METADATA_H
#define TG_METADATA_H

#include "../data/json.h"
#include "model.h"

/* ---------------------------------------------------------------- writing; false: no memory */

bool tg_metadata_put_text(json_t *y, const char *key, const char *text);
bool tg_metadata_put_number(json_t *y, const char *key, uint64_t number);
/* value as JSON text; it is taken over, and NULL is no memory */
bool tg_metadata_put_json(json_t *y, const char *key, json_t *value);
json_t *tg_metadata_sizes(const int64_t *size, int64_t n);

/* Task, loss, names, labels, scaling, fillings, and how far the training is. */
bool tg_metadata_put_model(json_t *y, const tg_model *m);

/* ---------------------------------------------------------------- reading */

enum { TG_METADATA_LISTS = 4 };

typedef struct tg_metadata {
    const json_t *json; /* the texts */
    const char *path;
    tg_error *error;
    tg_arena *arena; /* for the lists of a schema */
    json_t *list[TG_METADATA_LISTS];
    int lists;
} tg_metadata;

/* TG_EFORMAT, and TG_ENOMEM, in the error. Both return false. */
bool tg_metadata_bad(const tg_metadata *y, const char *format, ...) TG_PRINTF(2, 3);
bool tg_metadata_no_memory(const tg_metadata *y);

/* NULL or false after an error; JSON is the caller's to give up */
const char *tg_metadata_text(const tg_metadata *y, const char *key);
json_t *tg_metadata_json(const tg_metadata *y, const char *key);
bool tg_metadata_number(const tg_metadata *y, const char *key, uint64_t *number);

/* Task, names and head, which must agree; a head custom is one only where it may be. The texts are
 * valid until y is freed. */
bool tg_metadata_schema(tg_metadata *y, bool custom, tg_schema *s, tg_head *head);
/* Equal names or labels are an error. */
bool tg_metadata_unlike(const tg_metadata *y, const tg_allocator *a, const tg_schema *s);
/* The scaling of a model whose schema is known. */
bool tg_metadata_scaling(const tg_metadata *y, tg_model *m);
void tg_metadata_free(tg_metadata *y);

#endif
