/* Data sets from the inside. Private. */
#ifndef TG_DATASET_H
#define TG_DATASET_H

#include <tapegrad/models.h>

#include "../../graph/memory.h"

/* What columns and classes mean: shared by data sets and the models made from them. Texts live in the owner's arena. */
typedef struct tg_schema {
    tg_task task;
    bool pixels; /* features are image points in 0..1, which are not standardised */
    int64_t features, classes;
    const char **name; /* [features] */
    const char *target;
    const char **label; /* [classes] */
} tg_schema;

struct tg_dataset {
    tg_allocator allocator;
    tg_error error;
    tg_arena arena;
    tg_schema schema;
    bool filled, has_target;
    int64_t rows;
    float *x;                                           /* [rows, features] */
    float *number;                                      /* [rows], for a regression */
    int64_t *class_number;                              /* [rows], for classes */
    size_t x_capacity, number_capacity, class_capacity; /* in elements */
};

bool tg_schema_copy(tg_schema *to, tg_arena *arena, const tg_schema *from); /* false: no memory */

/* names "x0" ...: PREFIX and a number */
bool tg_schema_number_names(const char ***names, tg_arena *arena, const char *prefix, int64_t n);

/* A copy of n bytes with a 0 behind them; NULL: no memory. */
char *tg_arena_text(tg_arena *arena, const char *text, size_t n);

/* The model's schema and errors, for the readers; mlp.c */
const tg_schema *tg_mlp_schema(const tg_mlp *m);

/* Makes an empty d ready to be filled: the status that stands when it can't be. */
tg_status tg_dataset_begin(tg_dataset *d);

/* Makes room for `rows` rows. The status is TG_ENOMEM when there is none. */
tg_status tg_dataset_reserve(tg_dataset *d, int64_t rows);

tg_status tg_dataset_no_memory(tg_dataset *d);

/* ---------------------------------------------------------------- reading files, plain or gzip: file.c */

typedef struct tg_source {
    void *file;
    const char *path;
} tg_source;

bool tg_source_open(tg_source *s, tg_error *e, const char *path);
int64_t tg_source_read(tg_source *s, tg_error *e, void *to,
                       size_t bytes); /* fewer than asked for only at the end; -1: an error */
void tg_source_close(tg_source *s);

#endif
