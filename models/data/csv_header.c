/* The header of a CSV file: what each column is. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../graph/text.h"
#include "csv_reader.h"

static bool names_of_header(tg_csv_reader *r, const tg_csv_row *row)
{
    for (int64_t k = 0; k < row->n; k++) {
        const char *text = tg_csv_text(row, k);
        const size_t n = row->field[k].length;
        /* An index that was written without a name, and the end of lines that end with a delimiter.
         * A name of no column is made for each. */
        const bool index = n == 0 && k == 0 && row->n > 1, end = n == 0 && k > 0 && k == row->n - 1;
        if (n == 0 && !index && !end)
            return tg_csv_fail(r, row->line, "column %lld has no name", (long long)k + 1);
        if (memchr(text, 0, n) || !tg_utf8(text, n))
            return tg_csv_fail(r, row->line, "the name of column %lld is not UTF-8 text",
                               (long long)k + 1);
        const int64_t number = tg_texts_add(&r->names,
                                            n       ? text
                                            : index ? "\n"
                                                    : "\n\n",
                                            n       ? n
                                            : index ? 1
                                                    : 2);
        if (number < 0) return tg_csv_no_memory(r);
        if (number != k)
            return tg_csv_fail(r, row->line, "columns %lld and %lld have the same name '%s'",
                               (long long)number + 1, (long long)k + 1, tg_shown(text).text);
        r->column[k].nameless = end;
    }
    return true;
}

static bool names_by_number(tg_csv_reader *r, const tg_csv_row *row)
{
    for (int64_t k = 0; k < row->n; k++) {
        char name[32];
        const int n = snprintf(name, sizeof name, "%lld", (long long)k + 1);
        if (tg_texts_add(&r->names, name, (size_t)n) < 0) return tg_csv_no_memory(r);
        r->column[k].nameless = k > 0 && k == row->n - 1 && row->field[k].length == 0;
    }
    return true;
}

static bool is_index(const tg_csv_reader *r, int64_t column)
{
    return tg_texts_get(&r->names, column)[0] == '\n' && !r->column[column].nameless;
}

/* The column of that name, or else of that number, counted from 1, or from -1 at the end; -1: there
 * is none. */
static int64_t find_column(const tg_csv_reader *r, const char *name)
{
    const int64_t found = tg_texts_find(&r->names, name, strlen(name));
    if (found >= 0) return found;
    char *end = NULL;
    const long long number = strtoll(name, &end, 10), count = (long long)r->columns;
    if (end == name || *end) return -1;
    if (number >= 1 && number <= count) return number - 1;
    return number <= -1 && number >= -count ? count + number : -1;
}

static bool no_column(tg_csv_reader *r, int64_t line, const char *name)
{
    const char *first = tg_texts_get(&r->names, 0),
               *last = tg_texts_get(&r->names, (int64_t)r->columns - 1);
    return tg_csv_fail(r, line, "no column '%s' among the %zu columns '%s' ... '%s'",
                       tg_shown(name).text, r->columns, tg_shown(first).text, tg_shown(last).text);
}

/* Whether all fields but the target's are numbers: is that a header? */
static bool looks_like_data(const tg_csv_reader *r, const tg_csv_row *row, int64_t target)
{
    int64_t numbers = 0;
    double y;
    for (int64_t k = 0; k < row->n; k++) {
        const char *text = tg_csv_text(row, k);
        const size_t n = row->field[k].length;
        if (k == target || n == 0) continue;
        if (!tg_csv_number(text, n, '.', &y) &&
            (r->format.delimiter == ',' || !tg_csv_number(text, n, ',', &y)))
            return false;
        numbers++;
    }
    return numbers > 0;
}

static bool one_column(tg_csv_reader *r, const tg_csv_row *row)
{
    static const char others[] = ",;\t| :";
    const char *text = tg_csv_text(row, 0), *other = strpbrk(text, others);
    if (r->format.guessed)
        return tg_csv_fail(r, row->line,
                           "one column only: at least one feature and the target are needed, with "
                           "a comma, semicolon, tab or pipe between%s",
                           other ? "; --delimiter gives another one" : "");
    return tg_csv_fail(r, row->line, "one column only, since the delimiter is a %s%s%.1s%s",
                       tg_csv_delimiter_name(r->format.delimiter), other ? ", but there is '" : "",
                       other ? other : "", other ? "'" : "");
}

/* ---------------------------------------------------------------- columns from the file */

static bool listed(tg_csv_reader *r, int64_t line, const char *const *name, int n, tg_csv_kind kind)
{
    for (int k = 0; k < n; k++) {
        const int64_t column = name[k] ? find_column(r, name[k]) : -1;
        if (column < 0) return no_column(r, line, name[k] ? name[k] : "");
        if (column == r->target_column)
            return tg_csv_fail(r, line, "column '%s' is the target", tg_shown(name[k]).text);
        r->column[column].kind = kind;
    }
    return true;
}

/* The last column that can be one. */
static int64_t usual_target(const tg_csv_reader *r)
{
    int64_t k = (int64_t)r->columns - 1;
    while (k > 0 && (r->column[k].nameless || r->column[k].kind == TG_CSV_SKIPPED)) k--;
    return k;
}

static bool columns_as_they_are(tg_csv_reader *r, const tg_csv_row *row)
{
    const tg_csv_options *o = r->options;
    for (size_t k = 0; k < r->columns; k++) {
        const bool index = !o->no_header && is_index(r, (int64_t)k);
        r->column[k].kind = index || r->column[k].nameless ? TG_CSV_SKIPPED : TG_CSV_NUMBER;
        if (index && !tg_dataset_add_note(r->d, "column 1 has no name: skipped, as an index"))
            return tg_csv_no_memory(r);
    }
    r->target_column = -1;
    if (!listed(r, row->line, o->skip, o->n_skip, TG_CSV_SKIPPED)) return false;
    r->target_column = o->target ? find_column(r, o->target) : usual_target(r);
    if (r->target_column < 0) return no_column(r, row->line, o->target);
    if (!listed(r, row->line, o->categorical, o->n_categorical, TG_CSV_CATEGORY)) return false;
    r->column[r->target_column].kind = TG_CSV_TARGET;
    for (size_t k = 0; k < r->columns; k++) {
        if (r->column[k].kind == TG_CSV_NUMBER || r->column[k].kind == TG_CSV_CATEGORY) {
            r->column[k].slot = r->width++;
            r->column[k].fills = o->missing != TG_MISSING_REFUSE && o->missing != TG_MISSING_SKIP;
        }
    }
    if (r->columns < 2) return one_column(r, row);
    if (!r->width) return tg_csv_fail(r, row->line, "no column is left for a feature");
    r->d->schema.task = TG_TASK_AUTO;
    r->d->schema.target = tg_arena_text(&r->d->arena, tg_texts_get(&r->names, r->target_column),
                                        strlen(tg_texts_get(&r->names, r->target_column)));
    r->d->has_target = true;
    return r->d->schema.target ? true : tg_csv_no_memory(r);
}

/* ---------------------------------------------------------------- columns for a model */

static bool columns_for_schema(tg_csv_reader *r, const tg_csv_row *row)
{
    const tg_schema *s = r->schema;
    for (int64_t k = 0; k < s->features; k++) {
        const char *name = s->column ? s->column[k] : s->name[k],
                   *level = s->level ? s->level[k] : NULL;
        const int64_t found = tg_texts_find(&r->names, name, strlen(name));
        if (found < 0 && !r->options->header && !r->options->no_header &&
            looks_like_data(r, row, -1))
            return tg_csv_fail(r, row->line,
                               "no column '%s', which the model needs: every field of this line is "
                               "a number; --no-header if it is data",
                               tg_shown(name).text);
        if (found < 0)
            return tg_csv_fail(r, row->line, "no column '%s', which the model needs",
                               tg_shown(name).text);
        tg_csv_column *c = &r->column[found];
        if (c->kind == TG_CSV_SKIPPED) c->slot = r->width++;
        c->kind = level ? TG_CSV_CATEGORY : TG_CSV_NUMBER;
        c->fills = s->fill && !isnan(s->fill[k]);
        if (level && tg_texts_add(&c->levels, level, strlen(level)) < 0) return tg_csv_no_memory(r);
    }
    r->target_column =
        r->options->no_target ? -1 : tg_texts_find(&r->names, s->target, strlen(s->target));
    if (r->target_column >= 0 && r->column[r->target_column].kind != TG_CSV_SKIPPED)
        r->target_column = -1;
    if (r->target_column >= 0) r->column[r->target_column].kind = TG_CSV_TARGET;
    r->d->has_target = r->target_column >= 0;
    return tg_schema_copy(&r->d->schema, &r->d->arena, s) ? true : tg_csv_no_memory(r);
}

bool tg_csv_header(tg_csv_reader *r, const tg_csv_row *row)
{
    const tg_csv_options *o = r->options;
    void *column = r->column;
    if (!tg_grow(&r->d->allocator, &column, &r->column_capacity, (size_t)row->n, sizeof *r->column))
        return tg_csv_no_memory(r);
    r->column = column;
    for (int64_t k = 0; k < row->n; k++)
        r->column[k] = (tg_csv_column){.slot = -1, .levels = {.allocator = &r->d->allocator}};
    r->columns = (size_t)row->n;
    if (o->no_header ? !names_by_number(r, row) : !names_of_header(r, row)) return false;
    if (r->schema ? !columns_for_schema(r, row) : !columns_as_they_are(r, row)) return false;
    if (!r->schema && !o->header && !o->no_header && looks_like_data(r, row, r->target_column))
        return tg_csv_fail(r, row->line,
                           "every field here but the target's is a number: --no-header if this "
                           "line is data, --header if it holds names");
    const char delimiter = r->format.delimiter;
    return !r->format.guessed || delimiter == ',' ||
           tg_dataset_add_note(r->d, "fields are separated by a %s; --delimiter says otherwise",
                               tg_csv_delimiter_name(delimiter)) ||
           tg_csv_no_memory(r);
}
