/* Reading CSV files: rows become values as they come, features and targets get their meaning when
 * all are there. */
#define _POSIX_C_SOURCE 200809L
#include <locale.h>
#include <math.h>
#include <string.h>

#include "../../graph/text.h"
#include "csv_reader.h"

bool tg_csv_fail(tg_csv_reader *r, int64_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&r->d->error, tg_position_of(r->path, line).text, NULL, TG_EFORMAT, format,
                  arguments);
    va_end(arguments);
    return false;
}

bool tg_csv_no_memory(tg_csv_reader *r)
{
    r->d->rows = r->rows;
    tg_dataset_no_memory(r->d);
    return false;
}

/* ---------------------------------------------------------------- numbers */

bool tg_csv_reader_number(tg_csv_reader *r, int64_t line, const char *text, size_t n, double *y)
{
    const bool point = tg_csv_number(text, n, '.', y),
               may_be_comma = r->options->decimal_comma || r->format.delimiter != ',';
    const bool comma = !point && may_be_comma && tg_csv_number(text, n, ',', y);
    if (point && memchr(text, '.', n) && !r->point_line) r->point_line = line;
    if (comma && !r->comma_line) r->comma_line = line;
    if (r->point_line && (r->comma_line || r->options->decimal_comma))
        return tg_csv_fail(r, line, "'%s': decimal points and decimal commas in one file%s",
                           tg_shown(text).text,
                           r->options->decimal_comma ? ": --decimal-comma was given" : "");
    return point || comma;
}

bool tg_csv_need_number(tg_csv_reader *r, int64_t line, const char *column, const char *text,
                        size_t n, double *y)
{
    const tg_text shown_name = tg_shown(column), shown_text = tg_shown(text);
    if (tg_csv_reader_number(r, line, text, n, y)) {
        if (isfinite((float)*y)) return true;
        return tg_csv_fail(r, line, "column '%s': beyond the range of f32: '%s'", shown_name.text,
                           shown_text.text);
    }
    if (r->d->error.status != TG_OK) return false;
    if (tg_csv_is_missing(text, n))
        return tg_csv_fail(r, line, "column '%s': %s%s%s: --missing says what to do",
                           shown_name.text, n ? "a missing value, '" : "empty", shown_text.text,
                           n ? "'" : "");
    if (tg_csv_is_infinite(text))
        return tg_csv_fail(r, line, "column '%s': not a finite number: '%s'", shown_name.text,
                           shown_text.text);
    if (tg_csv_is_date(text))
        return tg_csv_fail(r, line,
                           "column '%s': a date: '%s'; --skip leaves the column out, a count of "
                           "days or seconds could stay",
                           shown_name.text, shown_text.text);
    const bool word = r->rows == 0 && !strpbrk(text, "0123456789");
    return tg_csv_fail(r, line, "column '%s': not a number: '%s'%s", shown_name.text,
                       shown_text.text,
                       word ? "; --categorical makes each text of a column a feature" : "");
}

/* ---------------------------------------------------------------- rows */

bool tg_csv_mention_missing(tg_csv_reader *r, const char *column, const char *text,
                            const char *taken_for)
{
    return tg_dataset_add_note(r->d, "column '%s': '%s' is %s; --missing says otherwise",
                               tg_shown(column).text, tg_shown(text).text, taken_for) ||
           tg_csv_no_memory(r);
}

/* A category's level as a number. */
static bool category(tg_csv_reader *r, const tg_csv_row *row, int64_t field, double *y)
{
    enum { MOST_LEVELS = 1000 };
    tg_csv_column *c = &r->column[field];
    const char *text = tg_csv_text(row, field), *name = tg_texts_get(&r->names, field);
    const size_t n = row->field[field].length;
    const int64_t line = row->field[field].line;
    if (n == 0 && !r->schema)
        return tg_csv_fail(r, line, "column '%s': empty: --missing says what to do",
                           tg_shown(name).text);
    if (memchr(text, 0, n) || !tg_utf8(text, n))
        return tg_csv_fail(r, line, "column '%s': not UTF-8 text", tg_shown(name).text);
    const int64_t number =
        r->schema ? tg_texts_find(&c->levels, text, n) : tg_texts_add(&c->levels, text, n);
    if (number < 0 && r->schema)
        return tg_csv_fail(r, line, "column '%s': '%s' is none of the model's %zu levels",
                           tg_shown(name).text, tg_shown(text).text, c->levels.count);
    if (number < 0) return tg_csv_no_memory(r);
    if (number >= MOST_LEVELS)
        return tg_csv_fail(r, line, "column '%s': more than %d levels", tg_shown(name).text,
                           MOST_LEVELS);
    *y = (double)number;
    return true;
}

static bool target(tg_csv_reader *r, const tg_csv_row *row)
{
    tg_dataset *d = r->d;
    const int64_t field = r->target_column;
    const char *text = tg_csv_text(row, field), *column = d->schema.target;
    const size_t n = row->field[field].length, known = r->targets.count;
    const int64_t line = row->field[field].line;
    if (n == 0)
        return tg_csv_fail(r, line, "column '%s': empty: --missing skip leaves such rows out",
                           tg_shown(column).text);
    if (memchr(text, 0, n) || !tg_utf8(text, n))
        return tg_csv_fail(r, line, "column '%s': not UTF-8 text", tg_shown(column).text);
    const int64_t number = tg_texts_add(&r->targets, text, n);
    void *list = r->target, *class_number = d->class_number;
    bool ok = number >= 0 && tg_grow(&d->allocator, &list, &r->target_capacity, r->targets.count,
                                     sizeof *r->target);
    r->target = list;
    ok = ok && tg_grow(&d->allocator, &class_number, &d->class_capacity, (size_t)r->rows + 1,
                       sizeof *d->class_number);
    d->class_number = class_number;
    if (!ok) return tg_csv_no_memory(r);
    if (r->targets.count > known) r->target[number] = (struct tg_csv_target){.line = line};
    r->target[number].rows++;
    d->class_number[r->rows] = number;
    return true;
}

static bool is_label(const tg_schema *s, const char *text)
{
    for (int64_t k = 0; s && k < s->classes; k++)
        if (!strcmp(s->label[k], text)) return true;
    return false;
}

/* Whether the row is to be left out, for what it lacks. */
static bool lacks_something(const tg_csv_reader *r, const tg_csv_row *row)
{
    if (r->options->missing != TG_MISSING_SKIP) return false;
    for (size_t k = 0; k < r->columns; k++) {
        const tg_csv_kind kind = r->column[k].kind;
        const char *text = tg_csv_text(row, (int64_t)k);
        if (kind != TG_CSV_SKIPPED && tg_csv_is_missing(text, row->field[k].length) &&
            !(kind == TG_CSV_TARGET && is_label(r->schema, text)))
            return true;
    }
    return false;
}

static bool values(tg_csv_reader *r, const tg_csv_row *row)
{
    const size_t width = (size_t)r->width, rows = (size_t)r->rows + 1;
    void *value = r->value;
    bool ok = rows <= (size_t)PTRDIFF_MAX / sizeof(double) / (width ? width : 1);
    ok =
        ok && tg_grow(&r->d->allocator, &value, &r->value_capacity, rows * width, sizeof *r->value);
    r->value = value;
    if (!ok) return tg_csv_no_memory(r);
    for (size_t k = 0; k < r->columns; k++) {
        const tg_csv_column *c = &r->column[k];
        const char *text = tg_csv_text(row, (int64_t)k),
                   *name = tg_texts_get(&r->names, (int64_t)k);
        const size_t n = row->field[k].length;
        const int64_t line = row->field[k].line;
        double *y = c->slot >= 0 ? &r->value[(rows - 1) * width + (size_t)c->slot] : NULL;
        if (c->kind == TG_CSV_TARGET) ok = target(r, row);
        else if (c->nameless && n)
            ok = tg_csv_fail(r, line, "column %zu has no name, but here it holds '%s'", k + 1,
                             tg_shown(text).text);
        else if (c->kind == TG_CSV_SKIPPED) continue;
        else if (c->fills && tg_csv_is_missing(text, n)) *y = NAN;
        else if (c->kind == TG_CSV_CATEGORY) ok = category(r, row, (int64_t)k, y);
        else ok = tg_csv_need_number(r, line, name, text, n, y);
        if (!ok) return false;
    }
    r->rows++;
    return true;
}

static bool on_row(void *user, const tg_csv_row *row)
{
    tg_csv_reader *r = user;
    const bool first = !r->columns;
    if (first && !tg_csv_header(r, row)) return false;
    if (first && !r->options->no_header) return true;
    const int64_t wanted = (int64_t)r->columns;
    const bool ends_with_delimiter = row->n == wanted + 1 && row->field[wanted].length == 0;
    if (row->n != wanted && !ends_with_delimiter)
        return tg_csv_fail(r, row->line, "%lld field%s where the %s has %lld", (long long)row->n,
                           row->n == 1 ? "" : "s", r->options->no_header ? "first row" : "header",
                           (long long)wanted);
    if (lacks_something(r, row)) return r->left_out++, true;
    return values(r, row);
}

/* ---------------------------------------------------------------- the file */

static bool finish(tg_csv_reader *r)
{
    tg_error *e = &r->d->error;
    if (!r->columns)
        return tg_error_set(e, NULL, r->path, TG_EFORMAT,
                            "empty: a header line with column names is needed"),
               false;
    if (!r->rows && r->left_out)
        return tg_error_set(e, NULL, r->path, TG_EFORMAT, "a value is missing in every row"), false;
    if (!r->rows)
        return tg_error_set(e, NULL, r->path, TG_EFORMAT, "no rows behind the header"), false;
    r->d->rows = r->rows;
    if ((r->d->has_target && !tg_csv_targets(r)) || !tg_csv_features(r)) return false;
    if (r->left_out &&
        !tg_dataset_add_note(r->d, "%lld rows in which a value is missing are left out",
                             (long long)r->left_out))
        return tg_csv_no_memory(r);
    return !r->comma_line || tg_dataset_add_note(r->d, "numbers have decimal commas") ||
           tg_csv_no_memory(r);
}

static void release(tg_csv_reader *r)
{
    const tg_allocator *a = &r->d->allocator;
    for (size_t k = 0; k < r->columns; k++) tg_texts_free(&r->column[k].levels);
    tg_texts_free(&r->names);
    tg_texts_free(&r->targets);
    tg_release(a, r->column, r->column_capacity * sizeof *r->column);
    tg_release(a, r->value, r->value_capacity * sizeof *r->value);
    tg_release(a, r->target, r->target_capacity * sizeof *r->target);
}

/* The first option that is wrong. */
static const char *wrong(const tg_csv_options *o)
{
    if ((unsigned)o->task >= TG_TASK_COUNT) return "task";
    if ((unsigned)o->missing > TG_MISSING_VALUE) return "missing";
    if (o->missing == TG_MISSING_VALUE && !isfinite((float)o->fill)) return "fill";
    if (o->delimiter == '"' || o->delimiter == '\n' || o->delimiter == '\r' ||
        (o->comment && o->comment == o->delimiter))
        return "delimiter";
    if (o->n_skip < 0 || (o->n_skip && !o->skip)) return "skip";
    if (o->n_categorical < 0 || (o->n_categorical && !o->categorical)) return "categorical";
    return o->header && o->no_header ? "no_header" : NULL;
}

tg_status tg_dataset_read_csv(tg_dataset *d, const char *path, const tg_csv_options *given)
{
    tg_csv_options options;
    if (tg_dataset_begin(d) != TG_OK) return tg_dataset_status(d);
    if (!path) return tg_error_set(&d->error, NULL, "data set", TG_ENULL, "path is NULL");
    const bool readable = tg_options_read(&options, sizeof options, given);
    if (!readable)
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE, TG_UNSIZED(tg_csv_options));
    if (wrong(&options))
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE, "options.%s is wrong",
                            wrong(&options));
    if (options.schema && !tg_schema_usable(options.schema, &d->error)) return d->error.status;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return tg_dataset_no_memory(d);
    const locale_t before = uselocale(c);
    tg_csv_reader r = {.d = d,
                       .path = path,
                       .options = &options,
                       .schema = options.schema,
                       .format = {.delimiter = options.delimiter, .comment = options.comment},
                       .names = {.allocator = &d->allocator},
                       .targets = {.allocator = &d->allocator}};
    if (tg_csv_rows(path, &r.format, &d->allocator, &d->error, on_row, &r)) finish(&r);
    release(&r);
    uselocale(before);
    freelocale(c);
    return d->error.status;
}
