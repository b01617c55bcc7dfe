/* Data sets: filling, choosing rows, dividing. The readers are csv.c and idx.c. */
#include "dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/op.h>

#include "../../graph/params.h"
#include "shuffle.h"

static const char *const task_names[TG_TASK_COUNT] = {"auto", "binary", "multiclass", "regression"};

const char *tg_task_name(tg_task task)
{
    return (unsigned)task < TG_TASK_COUNT ? task_names[task] : "?";
}

tg_task tg_task_of(const char *name)
{
    for (int k = 0; name && k < TG_TASK_COUNT; k++)
        if (!strcmp(name, task_names[k])) return (tg_task)k;
    return TG_TASK_COUNT;
}

tg_dataset *tg_dataset_new(const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_dataset *d = tg_allocate(&a, sizeof *d);
    if (!d) return NULL;
    memset(d, 0, sizeof *d);
    d->allocator = a;
    tg_arena_init(&d->arena, &d->allocator);
    return d;
}

void tg_dataset_free(tg_dataset *d)
{
    if (!d) return;
    tg_release(&d->allocator, d->x, d->x_capacity * sizeof *d->x);
    tg_release(&d->allocator, d->number, d->number_capacity * sizeof *d->number);
    tg_release(&d->allocator, d->class_number, d->class_capacity * sizeof *d->class_number);
    tg_release(&d->allocator, d->exact, d->exact_capacity * sizeof *d->exact);
    tg_release(&d->allocator, d->exact_number, d->exact_number_capacity * sizeof *d->exact_number);
    tg_release(&d->allocator, d->hole, d->hole_capacity * sizeof *d->hole);
    tg_release(&d->allocator, d->note, d->note_capacity * sizeof *d->note);
    tg_arena_free(&d->arena);
    const tg_allocator a = d->allocator;
    tg_release(&a, d, sizeof *d);
}

tg_status tg_dataset_status(const tg_dataset *d) { return d ? d->error.status : TG_ENOMEM; }

const char *tg_dataset_message(const tg_dataset *d)
{
    return d ? d->error.message : "no memory for the data set";
}

tg_status tg_dataset_begin(tg_dataset *d)
{
    if (!d) return TG_ENOMEM;
    if (d->error.status != TG_OK) return d->error.status;
    if (d->filled)
        return tg_error_set(&d->error, NULL, "data set", TG_ESTATE, "it is filled already");
    d->filled = true;
    return TG_OK;
}

tg_status tg_dataset_no_memory(tg_dataset *d)
{
    return tg_error_set(&d->error, NULL, "data set", TG_ENOMEM,
                        "no memory for %lld rows of %lld features", (long long)d->rows,
                        (long long)d->schema.features);
}

tg_status tg_dataset_reserve(tg_dataset *d, int64_t rows)
{
    const size_t n = (size_t)rows, width = (size_t)d->schema.features;
    void *x = d->x, *number = d->number, *class_number = d->class_number;
    bool ok = !width || n <= (size_t)PTRDIFF_MAX / sizeof(float) / width;
    ok = ok && tg_grow(&d->allocator, &x, &d->x_capacity, n * width, sizeof *d->x);
    ok =
        ok && tg_grow(&d->allocator, &class_number, &d->class_capacity, n, sizeof *d->class_number);
    if (ok && d->schema.task == TG_TASK_REGRESSION)
        ok = tg_grow(&d->allocator, &number, &d->number_capacity, n, sizeof *d->number);
    d->x = x;
    d->number = number;
    d->class_number = class_number;
    return ok ? TG_OK : tg_dataset_no_memory(d);
}

static bool reserve_f64(tg_dataset *d, double **array, size_t *capacity, size_t n)
{
    void *y = *array;
    const bool ok = tg_grow(&d->allocator, &y, capacity, n ? n : 1, sizeof **array);
    *array = y;
    return ok;
}

bool tg_dataset_reserve_exact(tg_dataset *d)
{
    const size_t width = (size_t)d->schema.features, rows = (size_t)d->rows;
    return (!width || rows <= (size_t)PTRDIFF_MAX / sizeof(double) / width) &&
           reserve_f64(d, &d->exact, &d->exact_capacity, rows * width);
}

bool tg_dataset_reserve_exact_numbers(tg_dataset *d)
{
    return reserve_f64(d, &d->exact_number, &d->exact_number_capacity, (size_t)d->rows);
}

bool tg_dataset_add_note(tg_dataset *d, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    void *list = d->note;
    const char *copy = tg_arena_text(&d->arena, text, strlen(text));
    const bool ok =
        copy && tg_grow(&d->allocator, &list, &d->note_capacity, d->notes + 1, sizeof *d->note);
    d->note = list;
    if (ok) d->note[d->notes++] = copy;
    return ok;
}

/* ---------------------------------------------------------------- schemas */

const tg_schema tg_schema_in_error = {.target = NULL};

bool tg_schema_usable(const tg_schema *s, tg_error *e)
{
    return s->target ||
           (tg_error_set(e, NULL, "data set", TG_ESTATE, "the model to read for is in error"),
            false);
}

char *tg_arena_text(tg_arena *arena, const char *text, size_t n)
{
    char *copy = tg_arena_take(arena, n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

static bool copy_texts(const char ***to, tg_arena *arena, const char *const *from, int64_t n)
{
    const char **list = tg_arena_take(arena, (size_t)n * sizeof *list);
    if (!list) return false;
    for (int64_t k = 0; k < n; k++)
        if (from[k] && !(list[k] = tg_arena_text(arena, from[k], strlen(from[k])))) return false;
        else if (!from[k]) list[k] = NULL;
    *to = list;
    return true;
}

bool tg_schema_copy(tg_schema *to, tg_arena *arena, const tg_schema *from)
{
    *to = *from;
    to->target = tg_arena_text(arena, from->target, strlen(from->target));
    bool ok = to->target && copy_texts(&to->name, arena, from->name, from->features) &&
              copy_texts(&to->label, arena, from->label, from->classes);
    if (ok && from->column)
        ok = copy_texts(&to->column, arena, from->column, from->features) &&
             copy_texts(&to->level, arena, from->level, from->features);
    if (!ok || !from->fill) return ok;
    const size_t bytes = (size_t)from->features * sizeof *from->fill;
    double *fill = tg_arena_take(arena, bytes);
    if (fill) memcpy(fill, from->fill, bytes);
    to->fill = fill;
    return fill;
}

bool tg_schema_number_names(const char ***names, tg_arena *arena, const char *prefix, int64_t n)
{
    if (n < 0 || (size_t)n > (size_t)PTRDIFF_MAX / sizeof(char *)) return false;
    const char **list = tg_arena_take(arena, (size_t)n * sizeof *list);
    if (!list) return false;
    for (int64_t k = 0; k < n; k++) {
        char text[64];
        const int length = snprintf(text, sizeof text, "%s%lld", prefix, (long long)k);
        if (!(list[k] = tg_arena_text(arena, text, (size_t)length))) return false;
    }
    *names = list;
    return true;
}

/* ------------------------------------------------- filling from arrays and from other data sets */

static tg_status fill_schema(tg_dataset *d, tg_task task, int64_t features, int64_t classes)
{
    tg_schema *s = &d->schema;
    *s = (tg_schema){.task = task, .features = features, .classes = classes};
    s->target = tg_arena_text(&d->arena, "y", 1);
    if (!s->target || !tg_schema_number_names(&s->name, &d->arena, "x", features) ||
        !tg_schema_number_names(&s->label, &d->arena, "", classes))
        return tg_dataset_no_memory(d);
    return TG_OK;
}

tg_status tg_dataset_fill(tg_dataset *d, tg_task task, int64_t rows, int64_t features,
                          const float *x, const float *target)
{
    enum { MOST_CLASSES = 1 << 16 };
    if (tg_dataset_begin(d) != TG_OK) return tg_dataset_status(d);
    tg_error *e = &d->error;
    if (rows < 1 || features < 1 || features > INT64_MAX / rows)
        return tg_error_set(e, NULL, "data set", TG_ESHAPE, "%lld rows of %lld features",
                            (long long)rows, (long long)features);
    if (!x || !target)
        return tg_error_set(e, NULL, "data set", TG_ENULL, "%s is NULL", x ? "target" : "x");
    if (task <= TG_TASK_AUTO || task >= TG_TASK_COUNT)
        return tg_error_set(e, NULL, "data set", TG_EVALUE, "task %d is none", (int)task);
    for (int64_t k = 0; k < rows * features; k++)
        if (!isfinite(x[k]))
            return tg_error_set(e, NULL, "data set", TG_EVALUE,
                                "x of row %lld, feature %lld is not finite",
                                (long long)(k / features), (long long)(k % features));
    float highest = 1;
    for (int64_t i = 0; i < rows; i++) {
        const bool fits = task == TG_TASK_REGRESSION ? isfinite(target[i])
                                                     : target[i] >= 0 && target[i] < MOST_CLASSES &&
                                                           floorf(target[i]) == target[i];
        if (!fits || (task == TG_TASK_BINARY && target[i] > 1))
            return tg_error_set(e, NULL, "data set", TG_EVALUE,
                                "target %g of row %lld does not fit the task %s", (double)target[i],
                                (long long)i, tg_task_name(task));
        if (target[i] > highest) highest = target[i];
    }
    if (fill_schema(d, task, features, task == TG_TASK_REGRESSION ? 0 : (int64_t)highest + 1) !=
        TG_OK)
        return e->status;
    if (tg_dataset_reserve(d, rows) != TG_OK) return e->status;
    memcpy(d->x, x, (size_t)(rows * features) * sizeof *x);
    for (int64_t i = 0; i < rows; i++) {
        if (task == TG_TASK_REGRESSION) d->number[i] = target[i];
        else d->class_number[i] = (int64_t)target[i];
    }
    d->rows = rows;
    d->has_target = true;
    return TG_OK;
}

tg_dataset *tg_dataset_select(const tg_dataset *d, int64_t n, const int64_t *row)
{
    tg_dataset *y = tg_dataset_new(d ? &d->allocator : NULL);
    if (!y) return NULL;
    if (!d || d->error.status != TG_OK) {
        tg_error_set(&y->error, NULL, NULL, tg_dataset_status(d), "%s", tg_dataset_message(d));
        return y;
    }
    if (n < 0 || (n && !row)) {
        tg_error_set(&y->error, NULL, "data set", n < 0 ? TG_EVALUE : TG_ENULL,
                     n < 0 ? "a negative number of rows" : "row is NULL");
        return y;
    }
    if (!d->filled) {
        tg_error_set(&y->error, NULL, "data set", TG_ESTATE, "an empty data set has no rows");
        return y;
    }
    y->filled = true;
    if (!tg_schema_copy(&y->schema, &y->arena, &d->schema)) {
        tg_dataset_no_memory(y);
        return y;
    }
    if (tg_dataset_reserve(y, n) != TG_OK) return y;
    y->rows = n;
    if ((d->exact && !tg_dataset_reserve_exact(y)) ||
        (d->exact_number && !tg_dataset_reserve_exact_numbers(y))) {
        tg_dataset_no_memory(y);
        return y;
    }
    const size_t width = (size_t)d->schema.features;
    for (int64_t i = 0; i < n; i++) {
        if (row[i] < 0 || row[i] >= d->rows) {
            tg_error_set(&y->error, NULL, "data set", TG_EINDEX, "row %lld of %lld",
                         (long long)row[i], (long long)d->rows);
            return y;
        }
        memcpy(y->x + (size_t)i * width, d->x + (size_t)row[i] * width, width * sizeof *y->x);
        if (d->exact)
            memcpy(y->exact + (size_t)i * width, d->exact + (size_t)row[i] * width,
                   width * sizeof *y->exact);
        if (!d->has_target) continue;
        if (d->exact_number) y->exact_number[i] = d->exact_number[row[i]];
        if (d->schema.task == TG_TASK_REGRESSION) y->number[i] = d->number[row[i]];
        else y->class_number[i] = d->class_number[row[i]];
    }
    if (!tg_dataset_copy_holes(y, d, n, row) || !tg_dataset_copy_attached(y, d, row))
        tg_dataset_no_memory(y);
    y->has_target = d->has_target;
    return y;
}

/* Rows listed in row[0..first) and row[first..rows) become two data sets. */
static tg_status divide(tg_dataset *d, int64_t first, const int64_t *row, tg_dataset **a,
                        tg_dataset **b)
{
    *a = tg_dataset_select(d, first, row);
    *b = tg_dataset_select(d, d->rows - first, row + first);
    const bool selected = tg_dataset_status(*a) == TG_OK && tg_dataset_status(*b) == TG_OK;
    if (selected && tg_dataset_fill_from(*a, *b, &d->error) == TG_OK) return TG_OK;
    tg_dataset_free(*a);
    tg_dataset_free(*b);
    *a = *b = NULL;
    return selected ? d->error.status : tg_dataset_no_memory(d);
}

static tg_status divide_check(tg_dataset *d, tg_dataset **train, tg_dataset **test)
{
    if (train) *train = NULL;
    if (test) *test = NULL;
    if (!d) return TG_ENOMEM;
    if (d->error.status != TG_OK) return d->error.status;
    if (!train || !test)
        return tg_error_set(&d->error, NULL, "data set", TG_ENULL, "no place for the parts");
    if (!d->filled)
        return tg_error_set(&d->error, NULL, "data set", TG_ESTATE,
                            "an empty data set can't be divided");
    return TG_OK;
}

tg_status tg_dataset_split_random(tg_dataset *d, double fraction, uint64_t seed, tg_dataset **train,
                                  tg_dataset **test)
{
    if (divide_check(d, train, test) != TG_OK) return tg_dataset_status(d);
    if (!(fraction > 0 && fraction < 1))
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE,
                            "fraction %g is not between 0 and 1", fraction);
    if (d->rows < 2)
        return tg_error_set(&d->error, NULL, "data set", TG_ESHAPE, "%lld rows can't be divided",
                            (long long)d->rows);
    int64_t held = (int64_t)llround(fraction * (double)d->rows);
    held = held < 1 ? 1 : held > d->rows - 1 ? d->rows - 1 : held;
    const size_t bytes = (size_t)d->rows * sizeof(int64_t);
    int64_t *row = tg_allocate(&d->allocator, bytes);
    if (!row) return tg_dataset_no_memory(d);
    tg_shuffle(tg_random_key(seed, TG_STREAM_SPLIT), 0, d->rows, row);
    const tg_status status = divide(d, d->rows - held, row, train, test);
    tg_release(&d->allocator, row, bytes);
    return status;
}

/* ---------------------------------------------------------------- split files */

/* Reads one mark a line; row gets the rows marked 0, in order, from the front, and those marked 1
 * from the back, in reverse. */
typedef struct split_reader {
    int64_t line, zeros, ones;
    bool mark; /* the line has one */
} split_reader;

static bool split_byte(tg_dataset *d, const char *path, split_reader *r, int64_t *row,
                       unsigned char c)
{
    if (c == '\n') {
        if (!r->mark)
            return tg_error_set(&d->error, tg_position_of(path, r->line).text, NULL, TG_EFORMAT,
                                "an empty line where 0 or 1 is expected"),
                   false;
        r->mark = false;
        r->line++;
        return true;
    }
    if (c == '\r' || c == ' ') return true;
    if (r->mark || (c != '0' && c != '1'))
        return tg_error_set(&d->error, tg_position_of(path, r->line).text, NULL, TG_EFORMAT,
                            "not a single 0 or 1"),
               false;
    if (r->zeros + r->ones == d->rows)
        return tg_error_set(&d->error, tg_position_of(path, r->line).text, NULL, TG_EFORMAT,
                            "more lines than the %lld rows of the data", (long long)d->rows),
               false;
    if (c == '0') row[r->zeros++] = r->line - 1;
    else row[d->rows - 1 - r->ones++] = r->line - 1;
    r->mark = true;
    return true;
}

size_t tg_byte_order_mark(const char *text, size_t n)
{
    return n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
}

static bool split_rows(tg_dataset *d, tg_source *s, split_reader *r, int64_t *row)
{
    char chunk[4096];
    for (bool first = true;; first = false) {
        const int64_t got = tg_source_read(s, &d->error, chunk, sizeof chunk);
        if (got < 0) return false;
        for (int64_t k = first ? (int64_t)tg_byte_order_mark(chunk, (size_t)got) : 0; k < got; k++)
            if (!split_byte(d, s->path, r, row, (unsigned char)chunk[k])) return false;
        if (got < (int64_t)sizeof chunk) break;
    }
    if (r->zeros + r->ones < d->rows)
        return tg_error_set(&d->error, NULL, s->path, TG_EFORMAT,
                            "%lld lines for the %lld rows of the data",
                            (long long)(r->zeros + r->ones), (long long)d->rows),
               false;
    if (!r->zeros || !r->ones)
        return tg_error_set(&d->error, NULL, s->path, TG_EFORMAT, "every line is %d",
                            r->zeros ? 0 : 1),
               false;
    for (int64_t a = r->zeros, b = d->rows - 1; a < b; a++, b--) {
        const int64_t kept = row[a];
        row[a] = row[b];
        row[b] = kept;
    }
    return true;
}

tg_status tg_dataset_split_file(tg_dataset *d, const char *path, tg_dataset **train,
                                tg_dataset **test)
{
    if (divide_check(d, train, test) != TG_OK) return tg_dataset_status(d);
    if (!path) return tg_error_set(&d->error, NULL, "data set", TG_ENULL, "path is NULL");
    const size_t bytes = (size_t)d->rows * sizeof(int64_t);
    int64_t *row = tg_allocate(&d->allocator, bytes);
    if (!row) return tg_dataset_no_memory(d);
    tg_source source;
    split_reader reader = {.line = 1};
    bool ok = tg_source_open(&source, &d->error, path);
    if (ok) {
        ok = split_rows(d, &source, &reader, row);
        tg_source_close(&source);
    }
    const tg_status status = ok ? divide(d, reader.zeros, row, train, test) : d->error.status;
    tg_release(&d->allocator, row, bytes);
    return status;
}

/* ---------------------------------------------------------------- accessors */

static bool sound(const tg_dataset *d) { return d && d->error.status == TG_OK && d->filled; }

tg_task tg_dataset_task(const tg_dataset *d) { return sound(d) ? d->schema.task : TG_TASK_AUTO; }
int64_t tg_dataset_rows(const tg_dataset *d) { return sound(d) ? d->rows : 0; }
int64_t tg_dataset_features(const tg_dataset *d) { return sound(d) ? d->schema.features : 0; }
int64_t tg_dataset_classes(const tg_dataset *d) { return sound(d) ? d->schema.classes : 0; }
const char *tg_dataset_target_name(const tg_dataset *d)
{
    return sound(d) ? d->schema.target : NULL;
}
const float *tg_dataset_x(const tg_dataset *d) { return sound(d) ? d->x : NULL; }

const char *tg_dataset_feature_name(const tg_dataset *d, int64_t feature)
{
    return sound(d) && feature >= 0 && feature < d->schema.features ? d->schema.name[feature]
                                                                    : NULL;
}

const char *tg_dataset_label(const tg_dataset *d, int64_t class_number)
{
    return sound(d) && class_number >= 0 && class_number < d->schema.classes
               ? d->schema.label[class_number]
               : NULL;
}

int64_t tg_dataset_notes(const tg_dataset *d) { return sound(d) ? (int64_t)d->notes : 0; }

const char *tg_dataset_note(const tg_dataset *d, int64_t note)
{
    return note >= 0 && note < tg_dataset_notes(d) ? d->note[note] : NULL;
}

const float *tg_dataset_numbers(const tg_dataset *d)
{
    return sound(d) && d->has_target && d->schema.task == TG_TASK_REGRESSION ? d->number : NULL;
}

const int64_t *tg_dataset_class_numbers(const tg_dataset *d)
{
    return sound(d) && d->has_target && d->schema.task != TG_TASK_REGRESSION ? d->class_number
                                                                             : NULL;
}
