/* Data sets from the inside. Private. */
#ifndef TG_DATASET_H
#define TG_DATASET_H

#include <tapegrad/models.h>

#include "../../graph/memory.h"

/* What columns and classes mean: shared by data sets and the models made from them. Texts live in
 * the owner's arena. */
struct tg_schema {
    tg_task task;
    bool pixels; /* features are image points in 0..1, which are not standardised */
    int64_t features, classes;
    const char **name; /* [features] */
    const char *target;
    const char **label; /* [classes] */
    /* How features follow from columns; NULL: each is the number in the column of its name. */
    const char **column; /* [features] */
    const char *
        *level; /* [features] the column's text for which the feature is 1; NULL: it is a number */
    /* [features] what a missing number becomes, NaN: it is refused; of a level any number allows a
     * missing text */
    const double *fill;
};

enum { TG_ATTACHED = 16 };

/* An array of one entry a row; all of it in the arena. */
typedef struct tg_attached {
    const char *name;
    tg_dtype dtype;
    tg_shape row;
    size_t bytes; /* of a row */
    void *data;
} tg_attached;

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
    double *exact, *exact_number; /* x and number, when they are not the same in f32; else NULL */
    size_t exact_capacity, exact_number_capacity;
    /* how holes were filled, where that is computed: TG_MISSING_MEAN, _MEDIAN; else 0 */
    tg_missing filling;
    int64_t *hole; /* which elements of x were missing, in rising order */
    size_t holes, hole_capacity;
    tg_attached attached[TG_ATTACHED];
    int n_attached;
    const char **note; /* what a reader decided; in the arena */
    size_t notes, note_capacity;
};

bool tg_schema_copy(tg_schema *to, tg_arena *arena, const tg_schema *from); /* false: no memory */

/* names "x0" ...: PREFIX and a number */
bool tg_schema_number_names(const char ***names, tg_arena *arena, const char *prefix, int64_t n);

/* A copy of n bytes with a 0 behind them; NULL: no memory. */
char *tg_arena_text(tg_arena *arena, const char *text, size_t n);

/* Whether a schema can be read for: that of a model in error has no target. e gets the reason. */
bool tg_schema_usable(const tg_schema *s, tg_error *e);
extern const tg_schema tg_schema_in_error;

/* Makes an empty d ready to be filled: the status that stands when it can't be. */
tg_status tg_dataset_begin(tg_dataset *d);

/* Makes room for `rows` rows. The status is TG_ENOMEM when there is none. */
tg_status tg_dataset_reserve(tg_dataset *d, int64_t rows);

tg_status tg_dataset_no_memory(tg_dataset *d);

/* Makes room for exact and exact_number of d's rows. false: no memory, without an error. */
bool tg_dataset_reserve_exact(tg_dataset *d);
bool tg_dataset_reserve_exact_numbers(tg_dataset *d);

/* Says something about how the data was read: tg_dataset_note. false: no memory, without an
 * error. */
bool tg_dataset_add_note(tg_dataset *d, const char *format, ...) TG_PRINTF(2, 3);

/* What is attached to these rows of d becomes y's. false: no memory. */
bool tg_dataset_copy_attached(tg_dataset *y, const tg_dataset *d, const int64_t *row);

/* ------------------------------------------ what takes the place of missing numbers: fillings.c */

void tg_sort_numbers(double *y, int64_t n);
/* mean or median of n sorted numbers, at least one */
double tg_filling(tg_missing kind, const double *y, int64_t n);
bool tg_dataset_add_hole(tg_dataset *d, int64_t element); /* false: no memory */

/* The holes of these rows of d, which become those of y. */
bool tg_dataset_copy_holes(tg_dataset *y, const tg_dataset *d, int64_t n, const int64_t *row);

/* Fills the holes of two parts of one data set with what follows from train alone. */
tg_status tg_dataset_fill_from(tg_dataset *train, tg_dataset *other, tg_error *e);

/* --------------------------------------------------------- reading files, plain or gzip: gzip.c */

typedef struct tg_source {
    void *file;
    const char *path;
} tg_source;

bool tg_source_open(tg_source *s, tg_error *e, const char *path);
/* fewer than asked for only at the end; -1: an error */
int64_t tg_source_read(tg_source *s, tg_error *e, void *to, size_t bytes);
void tg_source_close(tg_source *s);

/* How many bytes a UTF-8 byte order mark takes at the start of a text: 3 or 0. */
size_t tg_byte_order_mark(const char *text, size_t n);

#endif
