/* What the fields of CSV files say: numbers, missing values, dates. Private. The C locale must be
 * set. */
#ifndef TG_CSV_VALUE_H
#define TG_CSV_VALUE_H

#include "dataset.h"

/* A decimal number, with a decimal point or, if that is what decimal is, a comma: not "0x10", not
 * "nan". */
bool tg_csv_number(const char *text, size_t n, char decimal, double *y);

/* Nothing at all, "?", NA, N/A, NaN, null or none. */
bool tg_csv_is_missing(const char *text, size_t n);

/* inf and infinity, with a sign or without */
bool tg_csv_is_infinite(const char *text);

/* 2024-03-31, 31.03.2024, 3/31/24, with or without a time behind it */
bool tg_csv_is_date(const char *text);

/* A text as far as it can be shown in a message. */
tg_text tg_shown(const char *text);

#endif
