/* Reading CSV files. libcsv finds fields and rows; here they get their meaning. Rows go straight into the feature matrix. The target column is kept as distinct
 * texts until the end of the file, when it is known whether they are numbers or labels. */
#define _POSIX_C_SOURCE 200809L
#include <csv.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"
#include "texts.h"

enum { MOST_CLASSES = 10000, MOST_NUMBERS_AS_CLASSES = 20 };
enum { SKIPPED = -1, TARGET = -2 }; /* what a column is, unless it is a feature's number */

typedef struct reader {
    tg_dataset *d;
    const char *path;
    const tg_csv_options *options;
    const tg_schema *model; /* NULL: take the columns from the header */
    int64_t line, row_line; /* being read, and where its row began */
    bool header;            /* was read */
    int64_t columns, field; /* in the header; in the row so far */
    tg_texts names;         /* of the columns */
    int64_t *role;          /* of each column */
    size_t role_capacity;
    tg_texts targets;     /* distinct ones */
    int64_t *target_line; /* where each was seen first */
    size_t target_capacity;
} reader;

/* A text as far as it can be shown in a message. */
static tg_text shown(const char *text, size_t n)
{
    enum { LONGEST = 60 };
    tg_text y;
    size_t used = 0;
    for (; used < n && used < LONGEST; used++)
        y.text[used] = (unsigned char)text[used] < ' ' ? '?' : text[used];
    while (used < n && used && ((unsigned char)y.text[used - 1] & 0xC0) == 0x80) used--;
    if (used < n && used && (unsigned char)y.text[used - 1] >= 0xC0) used--;
    snprintf(y.text + used, sizeof y.text - used, "%s", used < n ? "..." : "");
    return y;
}

static bool fail_at(reader *r, int64_t line, const char *format, ...) TG_PRINTF(3, 4);
static bool fail_at(reader *r, int64_t line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&r->d->error, tg_position_of(r->path, line).text, NULL, TG_EFORMAT, format,
                  arguments);
    va_end(arguments);
    return false;
}

static bool valid_utf8(const char *text, size_t n)
{
    for (size_t k = 0; k < n;) {
        const unsigned char c = (unsigned char)text[k];
        const size_t more = c < 0x80                ? 0
                            : c >= 0xC2 && c < 0xE0 ? 1
                            : c >= 0xE0 && c < 0xF0 ? 2
                            : c >= 0xF0 && c < 0xF5 ? 3
                                                    : n;
        if (more >= n - k) return false;
        uint32_t code = more == 0 ? c : (uint32_t)c & (0x3FU >> more);
        for (size_t j = 1; j <= more; j++) {
            if (((unsigned char)text[k + j] & 0xC0) != 0x80) return false;
            code = code << 6 | ((uint32_t)(unsigned char)text[k + j] & 0x3F);
        }
        const bool too_long = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
        if (too_long || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
        k += more + 1;
    }
    return true;
}

/* Decimal numbers only: strtod alone would take "0x10" and "nan(1)" too. The reader has set the C locale. */
static bool is_number(const char *text, size_t n, double *y)
{
    char *end = NULL;
    if (n == 0 || strspn(text, "0123456789+-.eE") != n) return false;
    *y = strtod(text, &end);
    return end == text + n;
}

/* NaN and infinities deserve a message of their own. */
static bool is_nonfinite_name(const char *text)
{
    static const char *const names[] = {"nan", "inf", "infinity", "na", "n/a", "null"};
    text += *text == '-' || *text == '+';
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        size_t j = 0;
        while (names[k][j] && (text[j] | 0x20) == (names[k][j] | 0x20)) j++;
        if (!names[k][j] && !text[j]) return true;
    }
    return false;
}

static bool parse_number(reader *r, int64_t line, const char *column, const char *text, size_t n,
                         float *y)
{
    double value = 0;
    if (n == 0) return fail_at(r, line, "column '%s': empty", shown(column, strlen(column)).text);
    if (!is_number(text, n, &value)) {
        const char *what = is_nonfinite_name(text) ? "not a finite number" : "not a number";
        return fail_at(r, line, "column '%s': %s: '%s'", shown(column, strlen(column)).text, what,
                       shown(text, n).text);
    }
    *y = (float)value;
    if (!isfinite(*y))
        return fail_at(r, line, "column '%s': beyond the range of f32: '%s'",
                       shown(column, strlen(column)).text, shown(text, n).text);
    return true;
}

/* ---------------------------------------------------------------- the header */

static void header_field(reader *r, const char *text, size_t n)
{
    const int64_t column = r->columns++;
    if (n == 0) {
        fail_at(r, r->line, "column %lld has no name", (long long)column + 1);
    } else if (memchr(text, 0, n) || !valid_utf8(text, n)) {
        fail_at(r, r->line, "the name of column %lld is not UTF-8 text", (long long)column + 1);
    } else {
        const int64_t number = tg_texts_add(&r->names, text, n);
        if (number < 0) tg_dataset_no_memory(r->d);
        else if (number != column)
            fail_at(r, r->line, "columns %lld and %lld have the same name '%s'",
                    (long long)number + 1, (long long)column + 1, shown(text, n).text);
    }
}

/* The column of that name, or -1. */
static int64_t find_column(const reader *r, const char *name)
{
    for (int64_t k = 0; k < r->columns; k++)
        if (!strcmp(tg_texts_get(&r->names, k), name)) return k;
    return -1;
}

/* The features are the model's, wherever they are. */
static bool header_for_model(reader *r)
{
    const tg_schema *s = r->model;
    for (int64_t k = 0; k < r->columns; k++) r->role[k] = SKIPPED;
    for (int64_t k = 0; k < s->features; k++) {
        const int64_t column = find_column(r, s->name[k]);
        if (column < 0)
            return fail_at(r, r->line, "no column '%s', which the model needs",
                           shown(s->name[k], strlen(s->name[k])).text);
        r->role[column] = k;
    }
    const int64_t target = find_column(r, s->target);
    r->d->has_target = target >= 0;
    if (target >= 0 && r->role[target] == SKIPPED) r->role[target] = TARGET;
    if (!tg_schema_copy(&r->d->schema, &r->d->arena, s)) tg_dataset_no_memory(r->d);
    return r->d->error.status == TG_OK;
}

static bool header_as_it_is(reader *r)
{
    tg_schema *s = &r->d->schema;
    tg_arena *arena = &r->d->arena;
    if (r->columns < 2)
        return fail_at(r, r->line,
                       "one column only: at least one feature and the target are needed");
    const int64_t target = r->options->target ? find_column(r, r->options->target) : r->columns - 1;
    if (target < 0) {
        const char *last = tg_texts_get(&r->names, r->columns - 1),
                   *first = tg_texts_get(&r->names, 0);
        return fail_at(r, r->line, "no column '%s' among the %lld columns '%s' ... '%s'",
                       shown(r->options->target, strlen(r->options->target)).text,
                       (long long)r->columns, shown(first, strlen(first)).text,
                       shown(last, strlen(last)).text);
    }
    const char **name = tg_arena_take(arena, (size_t)(r->columns - 1) * sizeof *name);
    bool ok = name;
    int64_t features = 0;
    for (int64_t k = 0; ok && k < r->columns; k++) {
        const char *text = tg_texts_get(&r->names, k);
        char *copy = tg_arena_text(arena, text, strlen(text));
        ok = copy;
        r->role[k] = k == target ? TARGET : features;
        if (k == target) s->target = copy;
        else if (ok) name[features++] = copy;
    }
    s->name = name;
    s->features = features;
    s->task = TG_TASK_AUTO;
    r->d->has_target = true;
    if (!ok) tg_dataset_no_memory(r->d);
    return ok;
}

static void header_end(reader *r)
{
    double number;
    bool all_numbers = true;
    for (int64_t k = 0; k < r->columns && all_numbers; k++) {
        const char *name = tg_texts_get(&r->names, k);
        all_numbers = is_number(name, strlen(name), &number);
    }
    if (all_numbers) {
        fail_at(r, r->line,
                "a header line with column names is needed, but every field here is a number");
        return;
    }
    void *role = r->role;
    const bool ok =
        tg_grow(&r->d->allocator, &role, &r->role_capacity, (size_t)r->columns, sizeof *r->role);
    r->role = role;
    if (!ok) tg_dataset_no_memory(r->d);
    else if (r->model ? header_for_model(r) : header_as_it_is(r)) r->header = true;
}

/* ---------------------------------------------------------------- rows */

static void target_field(reader *r, const char *text, size_t n)
{
    const char *column = r->d->schema.target;
    if (n == 0) {
        fail_at(r, r->line, "column '%s': empty", shown(column, strlen(column)).text);
        return;
    }
    if (memchr(text, 0, n) || !valid_utf8(text, n)) {
        fail_at(r, r->line, "column '%s': not UTF-8 text", shown(column, strlen(column)).text);
        return;
    }
    const size_t known = r->targets.count;
    const int64_t number = tg_texts_add(&r->targets, text, n);
    void *lines = r->target_line;
    bool ok = number >= 0;
    ok = ok && tg_grow(&r->d->allocator, &lines, &r->target_capacity, r->targets.count,
                       sizeof *r->target_line);
    r->target_line = lines;
    if (!ok) {
        tg_dataset_no_memory(r->d);
        return;
    }
    if (r->targets.count > known) r->target_line[number] = r->line;
    r->d->class_number[r->d->rows] = number;
}

static void on_field(void *field, size_t n, void *user)
{
    reader *r = user;
    tg_dataset *d = r->d;
    if (d->error.status != TG_OK) return;
    const char *text = field ? field : "";
    if (!r->header) {
        header_field(r, text, n);
        return;
    }
    const int64_t column = r->field++;
    if (column == 0 && tg_dataset_reserve(d, d->rows + 1) != TG_OK) return;
    if (column >= r->columns || r->role[column] == SKIPPED) return;
    if (r->role[column] == TARGET) target_field(r, text, n);
    else
        parse_number(r, r->line, tg_texts_get(&r->names, column), text, n,
                     &d->x[d->rows * d->schema.features + r->role[column]]);
}

static void on_row(int terminator, void *user)
{
    (void)terminator;
    reader *r = user;
    if (r->d->error.status != TG_OK) return;
    if (!r->header) {
        header_end(r);
    } else {
        if (r->field != r->columns)
            fail_at(r, r->line, "%lld field%s where the header has %lld", (long long)r->field,
                    r->field == 1 ? "" : "s", (long long)r->columns);
        r->d->rows++;
    }
    r->field = 0;
    r->row_line = r->line + 1;
}

/* ---------------------------------------------------------------- what the targets mean */

/* Numbers that are equal name the same class: "1", "1.0" and "+1" are all "1". */
static size_t class_text(const char *text, char *y, size_t room)
{
    double value = 0;
    int n = 0;
    if (!is_number(text, strlen(text), &value) || !isfinite(value))
        n = snprintf(y, room, "%s", text);
    else
        n = fabs(value) < 1e15 && floor(value) == value
                ? snprintf(y, room, "%.0f", value == 0 ? 0.0 : value)
                : snprintf(y, room, "%.17g", value);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

static bool numbers(reader *r)
{
    tg_dataset *d = r->d;
    void *number = d->number;
    const bool room =
        tg_grow(&d->allocator, &number, &d->number_capacity, (size_t)d->rows, sizeof *d->number);
    d->number = number;
    if (!room) return tg_dataset_no_memory(d), false;
    const size_t bytes = r->targets.count * sizeof(float);
    float *value = tg_allocate(&d->allocator, bytes);
    if (!value) return tg_dataset_no_memory(d), false;
    bool ok = true;
    for (size_t k = 0; ok && k < r->targets.count; k++) {
        const char *text = tg_texts_get(&r->targets, (int64_t)k);
        ok = parse_number(r, r->target_line[k], d->schema.target, text, strlen(text), &value[k]);
    }
    for (int64_t i = 0; ok && i < d->rows; i++) d->number[i] = value[d->class_number[i]];
    tg_release(&d->allocator, value, bytes);
    return ok;
}

typedef struct class_label {
    const char *text;
    int64_t number; /* in order of appearance */
} class_label;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const class_label *)a)->text, ((const class_label *)b)->text);
}

static int by_number(const void *a, const void *b)
{
    const double x = strtod(((const class_label *)a)->text, NULL),
                 y = strtod(((const class_label *)b)->text, NULL);
    return (x > y) - (x < y);
}

/* Sorts the classes; place[number] gets the sorted position. */
static bool sort_labels(tg_dataset *d, const tg_texts *classes, bool all_numbers, int64_t *place)
{
    const size_t n = classes->count;
    class_label *list = tg_allocate(&d->allocator, n * sizeof *list);
    const char **label = tg_arena_take(&d->arena, n * sizeof *label);
    bool ok = list && label;
    for (size_t k = 0; ok && k < n; k++)
        list[k] = (class_label){tg_texts_get(classes, (int64_t)k), (int64_t)k};
    if (ok) qsort(list, n, sizeof *list, all_numbers ? by_number : by_text);
    for (size_t k = 0; ok && k < n; k++) {
        place[list[k].number] = (int64_t)k;
        ok = (label[k] = tg_arena_text(&d->arena, list[k].text, strlen(list[k].text)));
    }
    tg_release(&d->allocator, list, n * sizeof *list);
    d->schema.label = label;
    d->schema.classes = (int64_t)n;
    return ok;
}

/* The model's number of a label, or -1 after an error. */
static int64_t model_class(reader *r, const char *text, int64_t line)
{
    const tg_schema *s = r->model;
    for (int64_t k = 0; k < s->classes; k++)
        if (!strcmp(s->label[k], text)) return k;
    const char *first = s->label[0], *last = s->label[s->classes - 1];
    fail_at(r, line, "column '%s': '%s' is none of the model's %lld classes '%s' ... '%s'",
            shown(s->target, strlen(s->target)).text, shown(text, strlen(text)).text,
            (long long)s->classes, shown(first, strlen(first)).text,
            shown(last, strlen(last)).text);
    return -1;
}

/* Numbers the classes of the distinct targets: class_of[k] for target k. */
static bool number_classes(reader *r, tg_texts *classes, bool all_numbers, int64_t *class_of)
{
    enum { LONGEST_LABEL = 1024 };
    char text[LONGEST_LABEL];
    tg_dataset *d = r->d;
    for (size_t k = 0; k < r->targets.count; k++) {
        const size_t n = class_text(tg_texts_get(&r->targets, (int64_t)k), text, sizeof text);
        if (!n)
            return fail_at(r, r->target_line[k], "column '%s': a label of more than %d bytes",
                           d->schema.target, LONGEST_LABEL - 1);
        class_of[k] =
            r->model ? model_class(r, text, r->target_line[k]) : tg_texts_add(classes, text, n);
        if (class_of[k] < 0)
            return d->error.status != TG_OK ? false : (tg_dataset_no_memory(d), false);
    }
    if (r->model) return true;
    const size_t bytes = classes->count * sizeof(int64_t);
    int64_t *place = tg_allocate(&d->allocator, bytes);
    const bool ok = place && sort_labels(d, classes, all_numbers, place);
    for (size_t k = 0; ok && k < r->targets.count; k++) class_of[k] = place[class_of[k]];
    tg_release(&d->allocator, place, bytes);
    return ok ? true : (tg_dataset_no_memory(d), false);
}

static bool labels(reader *r, bool all_numbers)
{
    tg_dataset *d = r->d;
    const char *target = d->schema.target;
    if (r->targets.count > MOST_CLASSES)
        return fail_at(r, r->target_line[MOST_CLASSES],
                       "column '%s': more than %d different targets, too many for classes", target,
                       MOST_CLASSES);
    tg_texts classes = {.allocator = &d->allocator};
    const size_t bytes = r->targets.count * sizeof(int64_t);
    int64_t *class_of = tg_allocate(&d->allocator, bytes);
    bool ok = class_of ? number_classes(r, &classes, all_numbers, class_of)
                       : (tg_dataset_no_memory(d), false);
    for (int64_t i = 0; ok && i < d->rows; i++) d->class_number[i] = class_of[d->class_number[i]];
    tg_release(&d->allocator, class_of, bytes);
    tg_texts_free(&classes);
    if (!ok || r->model) return ok;
    const int64_t n = d->schema.classes;
    if (n < 2)
        return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT,
                            "column '%s': there is one class only, '%s'", target,
                            d->schema.label[0]),
               false;
    if (d->schema.task == TG_TASK_AUTO)
        d->schema.task = n == 2 ? TG_TASK_BINARY : TG_TASK_MULTICLASS;
    if (d->schema.task == TG_TASK_BINARY && n != 2)
        return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT,
                            "column '%s': the task is binary, but there are %lld classes", target,
                            (long long)n),
               false;
    return true;
}

/* Decides the task and gives every row its class or number. */
static bool resolve_targets(reader *r)
{
    tg_dataset *d = r->d;
    if (!r->header)
        return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT,
                            "empty: a header line with column names is needed"),
               false;
    if (d->rows == 0)
        return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT, "no rows behind the header"),
               false;
    if (!d->has_target) return true;
    bool all_numbers = true, all_whole = true;
    for (size_t k = 0; k < r->targets.count && all_numbers; k++) {
        const char *text = tg_texts_get(&r->targets, (int64_t)k);
        double value = 0;
        all_numbers = is_number(text, strlen(text), &value);
        all_whole = all_whole && floor(value) == value;
    }
    tg_task *task = &d->schema.task;
    if (!r->model) *task = r->options->task;
    if (*task == TG_TASK_AUTO && all_numbers &&
        (!all_whole || r->targets.count > MOST_NUMBERS_AS_CLASSES))
        *task = TG_TASK_REGRESSION;
    return *task == TG_TASK_REGRESSION ? numbers(r) : labels(r, all_numbers);
}

/* ---------------------------------------------------------------- the file */

/* Hands the parser one line at a time, so that the line number is right in every message. */
static bool parse(reader *r, struct csv_parser *parser, const char *text, size_t n)
{
    while (n && r->d->error.status == TG_OK) {
        const char *end = memchr(text, '\n', n);
        const size_t length = end ? (size_t)(end - text) + 1 : n;
        if (csv_parse(parser, text, length, on_field, on_row, r) != length) {
            if (csv_error(parser) == CSV_EPARSE)
                return fail_at(r, r->line, "a quote in the wrong place");
            return tg_dataset_no_memory(r->d), false;
        }
        if (end) r->line++;
        text += length;
        n -= length;
    }
    return r->d->error.status == TG_OK;
}

static bool read_all(reader *r, struct csv_parser *parser, tg_source *s)
{
    char chunk[1 << 16];
    size_t skip = 0;
    for (bool first = true;; first = false, skip = 0) {
        const int64_t got = tg_source_read(s, &r->d->error, chunk, sizeof chunk);
        if (got < 0) return false;
        if (first && got >= 2 && (!memcmp(chunk, "\xFF\xFE", 2) || !memcmp(chunk, "\xFE\xFF", 2)))
            return fail_at(r, 1, "UTF-16 text: UTF-8 is needed");
        if (first && got >= 3 && !memcmp(chunk, "\xEF\xBB\xBF", 3)) skip = 3;
        if (!parse(r, parser, chunk + skip, (size_t)got - skip)) return false;
        if (got < (int64_t)sizeof chunk) break;
    }
    if (csv_fini(parser, on_field, on_row, r) != 0) {
        if (csv_error(parser) == CSV_EPARSE)
            return fail_at(r, r->row_line,
                           "a quote that is opened here, or later, is never closed");
        return tg_dataset_no_memory(r->d), false;
    }
    return r->d->error.status == TG_OK;
}

static void read_file(reader *r)
{
    struct csv_parser parser;
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
        tg_dataset_no_memory(r->d);
        return;
    }
    tg_source source;
    if (tg_source_open(&source, &r->d->error, r->path)) {
        if (read_all(r, &parser, &source)) resolve_targets(r);
        tg_source_close(&source);
    }
    csv_free(&parser);
}

tg_status tg_dataset_read_csv(tg_dataset *d, const char *path, const tg_csv_options *given)
{
    tg_csv_options options;
    if (tg_dataset_begin(d) != TG_OK) return tg_dataset_status(d);
    if (!path) return tg_error_set(&d->error, NULL, "data set", TG_ENULL, "path is NULL");
    if (!tg_options_read(&options, sizeof options, given) ||
        (unsigned)options.task >= TG_TASK_COUNT)
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE, "options.%s is wrong",
                            given->size ? "task" : "size");
    if (options.model && tg_mlp_status(options.model) != TG_OK)
        return tg_error_set(&d->error, NULL, NULL, tg_mlp_status(options.model), "%s",
                            tg_mlp_message(options.model));
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c) return tg_dataset_no_memory(d);
    const locale_t before = uselocale(c);
    reader r = {.d = d,
                .path = path,
                .options = &options,
                .model = options.model ? tg_mlp_schema(options.model) : NULL,
                .line = 1,
                .row_line = 1};
    r.names.allocator = r.targets.allocator = &d->allocator;
    read_file(&r);
    tg_texts_free(&r.names);
    tg_texts_free(&r.targets);
    tg_release(&d->allocator, r.role, r.role_capacity * sizeof *r.role);
    tg_release(&d->allocator, r.target_line, r.target_capacity * sizeof *r.target_line);
    uselocale(before);
    freelocale(c);
    return d->error.status;
}
