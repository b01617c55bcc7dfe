/* CSV files row by row: what libcsv finds, with line numbers. Private. The only reader that uses
 * libcsv. */
#ifndef TG_CSV_ROWS_H
#define TG_CSV_ROWS_H

#include "dataset.h"

typedef struct tg_csv_field {
    size_t start, length; /* within the row's text */
    int64_t line;         /* on which it ends */
} tg_csv_field;

/* Valid until the next row. Each field has a 0 behind it. */
typedef struct tg_csv_row {
    int64_t line; /* of its first field */
    int64_t n;
    const tg_csv_field *field;
    const char *text;
} tg_csv_row;

static inline const char *tg_csv_text(const tg_csv_row *row, int64_t field)
{
    return row->text + row->field[field].start;
}

typedef struct tg_csv_format {
    char delimiter; /* 0: to be guessed; gets what was used */
    char comment;   /* lines that begin with it are left out; 0: none do */
    bool guessed;   /* is set when the delimiter was */
} tg_csv_format;

/* Called for each row; returning false (with an error set) ends the reading. */
typedef bool tg_csv_row_fn(void *user, const tg_csv_row *row);

/* Reads the whole file. A byte order mark is skipped, blank lines too. false: e says why. */
bool tg_csv_rows(const char *path, tg_csv_format *format, const tg_allocator *a, tg_error *e,
                 tg_csv_row_fn *on_row, void *user);

/* ", " and "; " and so on, for messages */
const char *tg_csv_delimiter_name(char delimiter);

#endif
