/* The features of a CSV file: what was missing is filled, categories become one feature a level. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv_reader.h"

static const char *name_of(const tg_csv_reader *r, size_t column)
{
    return tg_texts_get(&r->names, (int64_t)column);
}

/* The column's values that are there, sorted. */
static int64_t sorted(const tg_csv_reader *r, int64_t slot, double *y)
{
    int64_t n = 0;
    for (int64_t i = 0; i < r->rows; i++)
        if (!isnan(r->value[i * r->width + slot])) y[n++] = r->value[i * r->width + slot];
    tg_sort_numbers(y, n);
    return n;
}

/* ---------------------------------------------------------------- missing values */

/* Whole numbers, all different: they name rows. */
static bool check_id(tg_csv_reader *r, size_t column, const double *y, int64_t n)
{
    bool id = n == r->rows && n > 1;
    for (int64_t i = 0; id && i < n; i++) id = floor(y[i]) == y[i] && (i == 0 || y[i] != y[i - 1]);
    return !id || tg_csv_fail(r, 1,
                              "column '%s' is an id: %lld different whole numbers in as many rows; "
                              "--skip leaves it out",
                              tg_shown(name_of(r, column)).text, (long long)n);
}

/* Looks at each column of numbers as a whole; with[] gets what its missing values become. */
static bool fill_columns(tg_csv_reader *r, double *with, double *y)
{
    const tg_missing missing = r->options->missing;
    int64_t filled = 0;
    for (size_t k = 0; k < r->columns; k++) {
        const tg_csv_column *c = &r->column[k];
        /* A missing level is none of them: all its features are 0. */
        with[k] = c->kind == TG_CSV_CATEGORY && c->fills ? 0 : NAN;
        if (c->kind != TG_CSV_NUMBER) continue;
        const int64_t n = sorted(r, c->slot, y);
        if (r->options->refuse_ids && !check_id(r, k, y, n)) return false;
        if (!c->fills) continue;
        if (!n && missing != TG_MISSING_VALUE)
            return tg_csv_fail(r, 1, "column '%s': every value is missing",
                               tg_shown(name_of(r, k)).text);
        with[k] = missing == TG_MISSING_VALUE ? r->options->fill : tg_filling(missing, y, n);
        filled += r->rows - n;
    }
    if (missing == TG_MISSING_MEAN || missing == TG_MISSING_MEDIAN) r->d->filling = missing;
    static const char *const what[] = {"", "", "the column's mean", "the column's median",
                                       "the value given"};
    return !filled ||
           tg_dataset_add_note(r->d, "%lld missing values are filled with %s", (long long)filled,
                               what[missing]) ||
           tg_csv_no_memory(r);
}

/* ---------------------------------------------------------------- the schema */

typedef struct level {
    const char *text;
    int64_t number; /* in order of appearance */
} level;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const level *)a)->text, ((const level *)b)->text);
}

static int64_t feature_count(const tg_csv_reader *r)
{
    int64_t n = 0;
    for (size_t k = 0; k < r->columns; k++) {
        const tg_csv_column *c = &r->column[k];
        n += c->kind == TG_CSV_NUMBER     ? 1
             : c->kind == TG_CSV_CATEGORY ? (int64_t)c->levels.count
                                          : 0;
    }
    return n;
}

/* One feature a level, in byte order, named COLUMN=LEVEL. number[] gets the level each stands
 * for. */
static bool add_levels(tg_csv_reader *r, const char *column, const tg_texts *levels, int64_t *at,
                       int64_t *number)
{
    tg_schema *s = &r->d->schema;
    tg_arena *arena = &r->d->arena;
    level *list = tg_allocate(&r->d->allocator, levels->count * sizeof *list);
    for (size_t k = 0; list && k < levels->count; k++)
        list[k] = (level){tg_texts_get(levels, (int64_t)k), (int64_t)k};
    if (list) qsort(list, levels->count, sizeof *list, by_text);
    bool ok = list;
    for (size_t k = 0; ok && k < levels->count; k++, (*at)++) {
        const size_t a = strlen(column), b = strlen(list[k].text);
        char *name = tg_arena_take(arena, a + b + 2);
        ok = name && (s->level[*at] = tg_arena_text(arena, list[k].text, b));
        if (!ok) break;
        memcpy(name, column, a);
        name[a] = '=';
        memcpy(name + a + 1, list[k].text, b + 1);
        s->name[*at] = name;
        s->column[*at] = column;
        number[*at] = list[k].number;
    }
    tg_release(&r->d->allocator, list, levels->count * sizeof *list);
    return ok;
}

static bool mention_missing(tg_csv_reader *r, const char *column, const tg_texts *levels)
{
    bool ok = true;
    for (size_t k = 0; ok && k < levels->count; k++) {
        const char *text = tg_texts_get(levels, (int64_t)k);
        if (tg_csv_is_missing(text, strlen(text)))
            ok = tg_csv_mention_missing(r, column, text, "a level of its own");
    }
    return ok;
}

static bool make_schema(tg_csv_reader *r, const double *with, int64_t *slot, int64_t *number)
{
    tg_schema *s = &r->d->schema;
    tg_arena *arena = &r->d->arena;
    const size_t n = (size_t)s->features;
    int64_t at = 0;
    bool categories = false, filled = false, ok = true;
    double *fill = tg_arena_take(arena, n * sizeof *fill);
    s->name = tg_arena_take(arena, n * sizeof *s->name);
    s->column = tg_arena_take(arena, n * sizeof *s->column);
    s->level = tg_arena_take(arena, n * sizeof *s->level);
    if (!fill || !s->name || !s->column || !s->level) return tg_csv_no_memory(r);
    for (size_t k = 0; ok && k < r->columns; k++) {
        const tg_csv_column *c = &r->column[k];
        if (c->kind != TG_CSV_NUMBER && c->kind != TG_CSV_CATEGORY) continue;
        const char *column = tg_arena_text(arena, name_of(r, k), strlen(name_of(r, k)));
        const int64_t first = at;
        ok = column;
        if (ok && c->kind == TG_CSV_CATEGORY) {
            categories = true;
            ok = add_levels(r, column, &c->levels, &at, number) &&
                 mention_missing(r, column, &c->levels);
        } else if (ok) {
            s->name[at] = s->column[at] = column;
            s->level[at] = NULL;
            number[at++] = -1;
        }
        for (int64_t j = first; ok && j < at; j++) {
            slot[j] = c->slot;
            fill[j] = with[k];
        }
        filled = filled || !isnan(with[k]);
    }
    if (!ok) return tg_csv_no_memory(r);
    if (!categories) s->column = s->level = NULL;
    s->fill = filled ? fill : NULL;
    return true;
}

/* The schema is a model's: the slots are those that its features were given. */
static void use_schema(const tg_csv_reader *r, int64_t *slot, int64_t *number)
{
    const tg_schema *s = r->schema;
    for (int64_t k = 0; k < s->features; k++) {
        const char *name = s->column ? s->column[k] : s->name[k],
                   *text = s->level ? s->level[k] : NULL;
        const tg_csv_column *c = &r->column[tg_texts_find(&r->names, name, strlen(name))];
        slot[k] = c->slot;
        number[k] = text ? tg_texts_find(&c->levels, text, strlen(text)) : -1;
    }
}

/* ---------------------------------------------------------------- the numbers */

/* The number for a feature, NaN where it is missing; text numbers the level of a category, or is
 * -1. */
static double number_at(const tg_csv_reader *r, int64_t row, int64_t slot, int64_t text)
{
    const double value = r->value[row * r->width + slot];
    return text < 0 ? value : value == (double)text ? 1 : 0;
}

/* Features as f32 for whoever wants those, and as f64 when some of them are not the same in f32. */
static bool store(tg_csv_reader *r, const int64_t *slot, const int64_t *number)
{
    tg_dataset *d = r->d;
    const int64_t width = d->schema.features;
    const double *fill = d->schema.fill; /* not NULL where a number is missing */
    bool exact = true;
    d->rows = r->rows;
    if (tg_dataset_reserve(d, d->rows) != TG_OK) return false;
    for (int64_t i = 0; i < d->rows; i++) {
        for (int64_t k = 0; k < width; k++) {
            double value = number_at(r, i, slot[k], number[k]);
            if (isnan(value)) {
                value = fill[k];
                if (d->filling && !tg_dataset_add_hole(d, i * width + k))
                    return tg_csv_no_memory(r);
            }
            d->x[i * width + k] = (float)value;
            exact = exact && (double)(float)value == value;
        }
    }
    if (exact) return true;
    if (!tg_dataset_reserve_exact(d)) return tg_csv_no_memory(r);
    for (int64_t i = 0; i < d->rows; i++) {
        for (int64_t k = 0; k < width; k++) {
            const double value = number_at(r, i, slot[k], number[k]);
            d->exact[i * width + k] = isnan(value) ? fill[k] : value;
        }
    }
    return true;
}

bool tg_csv_features(tg_csv_reader *r)
{
    tg_dataset *d = r->d;
    if (!r->schema) d->schema.features = feature_count(r);
    const size_t features = (size_t)d->schema.features, rows = (size_t)r->rows;
    int64_t *slot = tg_allocate(&d->allocator, features * sizeof *slot),
            *number = tg_allocate(&d->allocator, features * sizeof *number);
    double *with = tg_allocate(&d->allocator, r->columns * sizeof *with), *column = NULL;
    bool ok = slot && number && with;
    if (ok && !r->schema) ok = (column = tg_allocate(&d->allocator, rows * sizeof *column));
    if (!ok) tg_csv_no_memory(r);
    if (ok && r->schema) use_schema(r, slot, number);
    else if (ok) ok = fill_columns(r, with, column) && make_schema(r, with, slot, number);
    ok = ok && store(r, slot, number);
    tg_release(&d->allocator, slot, features * sizeof *slot);
    tg_release(&d->allocator, number, features * sizeof *number);
    tg_release(&d->allocator, with, r->columns * sizeof *with);
    if (column) tg_release(&d->allocator, column, rows * sizeof *column);
    return ok;
}
