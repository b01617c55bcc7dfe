/* The state of reading a CSV file into a data set, shared by its columns, rows and targets.
 * Private. */
#ifndef TG_CSV_READER_H
#define TG_CSV_READER_H

#include "csv_rows.h"
#include "csv_value.h"
#include "texts.h"

typedef enum tg_csv_kind {
    TG_CSV_SKIPPED,
    TG_CSV_NUMBER,
    TG_CSV_CATEGORY,
    TG_CSV_TARGET
} tg_csv_kind;

typedef struct tg_csv_column {
    tg_csv_kind kind;
    bool nameless;   /* a trailing delimiter's: must be empty */
    bool fills;      /* what is missing here is filled */
    int64_t slot;    /* of numbers and categories: where in a row of values */
    tg_texts levels; /* of a category */
} tg_csv_column;

typedef struct tg_csv_reader {
    tg_dataset *d;
    const char *path;
    const tg_csv_options *options;
    const tg_schema *schema; /* of the model to read for; NULL: take the columns from the file */
    tg_csv_format format;
    tg_texts names; /* of the columns: the number of a name is its column's */
    tg_csv_column *column;
    size_t columns, column_capacity; /* 0 columns: the header was not read yet */
    int64_t target_column;           /* -1: there is none */
    int64_t width;                   /* slots of a row */
    double *value;         /* [rows, width]; of a category its level's number; NaN: missing */
    size_t value_capacity; /* in elements */
    int64_t rows, left_out;
    int64_t point_line,
        comma_line;   /* the first decimal point, and the first decimal comma; 0: none yet */
    tg_texts targets; /* distinct ones; class_number of the data set has their numbers */
    struct tg_csv_target {
        int64_t line, rows; /* where it was seen first, and how often in all */
    } * target;
    size_t target_capacity;
} tg_csv_reader;

bool tg_csv_fail(tg_csv_reader *r, int64_t line, const char *format, ...)
    TG_PRINTF(3, 4);                     /* returns false */
bool tg_csv_no_memory(tg_csv_reader *r); /* returns false */

/* Parses a number, in the file's notation. false without an error: it is none. */
bool tg_csv_reader_number(tg_csv_reader *r, int64_t line, const char *text, size_t n, double *y);

/* As that, but what is none, infinite or beyond f32 is an error that names the column. */
bool tg_csv_need_number(tg_csv_reader *r, int64_t line, const char *column, const char *text,
                        size_t n, double *y);
/* Notes that a text with the name of a missing value was taken for something else. */
bool tg_csv_mention_missing(tg_csv_reader *r, const char *column, const char *text,
                            const char *taken_for);

/* csv_header.c: gives the columns their kinds. The header itself, or the first row of a file
 * without one. */
bool tg_csv_header(tg_csv_reader *r, const tg_csv_row *row);

/* csv_features.c: turns the values into the data set's features, when all rows are read. */
bool tg_csv_features(tg_csv_reader *r);

/* csv_target.c: decides the task and gives every row its class or number; before the features. */
bool tg_csv_targets(tg_csv_reader *r);

#endif
