/* What the targets of a CSV file mean: the task follows from all of them together. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csv_reader.h"

enum { MOST_CLASSES = 10000, FEW = 20, MOST_WITHOUT_GAPS = 1000, ENOUGH_ROWS = 10 };

static const char *text_of(const tg_csv_reader *r, size_t k)
{
    return tg_texts_get(&r->targets, (int64_t)k);
}

static bool number_of(tg_csv_reader *r, size_t k, double *y)
{
    const char *text = text_of(r, k);
    return tg_csv_reader_number(r, r->target[k].line, text, strlen(text), y);
}

/* ---------------------------------------------------------------- numbers to regress */

static bool numbers(tg_csv_reader *r)
{
    tg_dataset *d = r->d;
    const size_t bytes = r->targets.count * sizeof(double);
    double *value = tg_allocate(&d->allocator, bytes);
    bool ok = value, exact = true;
    if (!ok || tg_dataset_reserve(d, r->rows) != TG_OK) tg_csv_no_memory(r);
    ok = d->error.status == TG_OK;
    for (size_t k = 0; ok && k < r->targets.count; k++) {
        const char *text = text_of(r, k);
        ok = tg_csv_need_number(r, r->target[k].line, d->schema.target, text, strlen(text),
                                &value[k]);
        exact = exact && ok && (double)(float)value[k] == value[k];
    }
    if (ok && !exact && !tg_dataset_reserve_exact_numbers(d)) ok = tg_csv_no_memory(r);
    for (int64_t i = 0; ok && i < r->rows; i++) {
        const double y = value[d->class_number[i]];
        d->number[i] = (float)y;
        if (!exact) d->exact_number[i] = y;
    }
    tg_release(&d->allocator, value, bytes);
    return ok;
}

/* ---------------------------------------------------------------- classes */

/* Numbers that are equal name the same class: "1", "1.0" and "+1" are all "1". Beyond 2^53, where
 * different texts may be one double, the text itself is the name. */
static size_t class_text(tg_csv_reader *r, size_t k, char *y, size_t room)
{
    double value = 0;
    int n = 0;
    if (!number_of(r, k, &value) || !(fabs(value) < 0x1p53))
        n = snprintf(y, room, "%s", text_of(r, k));
    else
        n = fabs(value) < 1e15 && floor(value) == value
                ? snprintf(y, room, "%.0f", value == 0 ? 0.0 : value)
                : snprintf(y, room, "%.17g", value);
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
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
    return x == y ? by_text(a, b) : (x > y) - (x < y);
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

static bool no_class(tg_csv_reader *r, const char *text, int64_t line)
{
    const tg_schema *s = r->schema;
    return tg_csv_fail(r, line,
                       "column '%s': '%s' is none of the model's %lld classes '%s' ... '%s'",
                       tg_shown(s->target).text, tg_shown(text).text, (long long)s->classes,
                       tg_shown(s->label[0]).text, tg_shown(s->label[s->classes - 1]).text);
}

/* Numbers the classes of the distinct targets: class_of[k] for target k. The classes are the
 * model's, in its order, or those that are met. */
static bool number_classes(tg_csv_reader *r, tg_texts *classes, int64_t *class_of)
{
    enum { LONGEST_LABEL = 1024 };
    char text[LONGEST_LABEL];
    for (size_t k = 0; k < r->targets.count; k++) {
        const size_t n = class_text(r, k, text, sizeof text);
        if (r->d->error.status != TG_OK) return false;
        if (!n)
            return tg_csv_fail(r, r->target[k].line, "column '%s': a label of more than %d bytes",
                               r->d->schema.target, LONGEST_LABEL - 1);
        class_of[k] = r->schema ? tg_texts_find(classes, text, n) : tg_texts_add(classes, text, n);
        if (class_of[k] < 0)
            return r->schema ? no_class(r, text, r->target[k].line) : tg_csv_no_memory(r);
    }
    return true;
}

static bool order_classes(tg_csv_reader *r, const tg_texts *classes, bool all_numbers,
                          int64_t *class_of)
{
    tg_dataset *d = r->d;
    const size_t bytes = classes->count * sizeof(int64_t);
    int64_t *place = tg_allocate(&d->allocator, bytes);
    const bool ok = place && sort_labels(d, classes, all_numbers, place);
    for (size_t k = 0; ok && k < r->targets.count; k++) class_of[k] = place[class_of[k]];
    tg_release(&d->allocator, place, bytes);
    return ok || tg_csv_no_memory(r);
}

static bool check_classes(tg_csv_reader *r)
{
    tg_dataset *d = r->d;
    const char *target = d->schema.target;
    const int64_t n = d->schema.classes;
    if (n < 2)
        return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT,
                            "column '%s': there is one class only, '%s'", target,
                            d->schema.label[0]),
               false;
    if (d->schema.task == TG_TASK_AUTO)
        d->schema.task = n == 2 ? TG_TASK_BINARY : TG_TASK_MULTICLASS;
    if (d->schema.task != TG_TASK_BINARY || n == 2) return true;
    return tg_error_set(&d->error, NULL, r->path, TG_EFORMAT,
                        "column '%s': the task is binary, but there are %lld classes", target,
                        (long long)n),
           false;
}

static bool labels(tg_csv_reader *r, bool all_numbers)
{
    tg_dataset *d = r->d;
    if (r->targets.count > MOST_CLASSES)
        return tg_csv_fail(r, r->target[MOST_CLASSES].line,
                           "column '%s': more than %d different targets, too many for classes",
                           d->schema.target, MOST_CLASSES);
    tg_texts classes = {.allocator = &d->allocator};
    const size_t bytes = r->targets.count * sizeof(int64_t);
    int64_t *class_of = tg_allocate(&d->allocator, bytes);
    bool ok = class_of;
    for (int64_t k = 0; ok && r->schema && k < r->schema->classes; k++)
        ok = tg_texts_add(&classes, r->schema->label[k], strlen(r->schema->label[k])) >= 0;
    if (!ok) tg_csv_no_memory(r);
    ok = ok && number_classes(r, &classes, class_of) &&
         (r->schema || order_classes(r, &classes, all_numbers, class_of));
    for (int64_t i = 0; ok && i < r->rows; i++) d->class_number[i] = class_of[d->class_number[i]];
    tg_release(&d->allocator, class_of, bytes);
    tg_texts_free(&classes);
    return ok && (r->schema || check_classes(r));
}

/* ---------------------------------------------------------------- which of them */

/* What all the targets together are. */
typedef struct summary {
    bool numbers, whole; /* all of them, but for missing ones */
    int64_t missing;     /* the first distinct target that is a missing value's name; -1: none is */
    int64_t different;   /* of equal value counted once */
    double lowest, highest;
    int64_t rarest; /* rows of the value that is rarest */
} summary;

typedef struct counted {
    double value;
    int64_t rows;
} counted;

static int by_value(const void *a, const void *b)
{
    const double x = ((const counted *)a)->value, y = ((const counted *)b)->value;
    return (x > y) - (x < y);
}

static void count_values(summary *s, counted *list, size_t n)
{
    qsort(list, n, sizeof *list, by_value);
    s->lowest = list[0].value;
    s->highest = list[n - 1].value;
    s->rarest = INT64_MAX;
    for (size_t k = 0; k < n; k++) {
        if (k + 1 < n && list[k + 1].value == list[k].value) list[k + 1].rows += list[k].rows;
        else s->different++, s->rarest = list[k].rows < s->rarest ? list[k].rows : s->rarest;
    }
}

static bool summarise(tg_csv_reader *r, summary *s)
{
    const size_t count = r->targets.count, bytes = count * sizeof(counted);
    counted *list = tg_allocate(&r->d->allocator, bytes);
    if (!list) return tg_csv_no_memory(r);
    s->numbers = s->whole = true;
    size_t n = 0;
    for (size_t k = 0; k < count && s->numbers; k++) {
        double y = 0;
        s->numbers = number_of(r, k, &y);
        if (s->numbers) list[n++] = (counted){y, r->target[k].rows};
        else if (tg_csv_is_missing(text_of(r, k), strlen(text_of(r, k)))) {
            s->numbers = true;
            if (s->missing < 0) s->missing = (int64_t)k;
            continue;
        }
        s->whole = s->whole && s->numbers && floor(y) == y;
    }
    s->numbers = s->numbers && n;
    if (s->numbers) count_values(s, list, n);
    tg_release(&r->d->allocator, list, bytes);
    return r->d->error.status == TG_OK;
}

static bool without_gaps(const summary *s)
{
    return (s->lowest == 0 || s->lowest == 1) &&
           s->highest - s->lowest + 1 == (double)s->different &&
           s->different <= MOST_WITHOUT_GAPS && s->rarest >= ENOUGH_ROWS;
}

/* Says which target and task were taken, and why. */
static bool explain(tg_csv_reader *r, const summary *s)
{
    char why[160];
    const bool classes = r->d->schema.task != TG_TASK_REGRESSION,
               asked = r->options->task != TG_TASK_AUTO;
    const char *which = r->options->target ? "" : " (the last column; --target names another)";
    if (asked) snprintf(why, sizeof why, "as --task says");
    else if (!s->numbers)
        snprintf(why, sizeof why, "its values are texts, %lld different ones",
                 (long long)r->d->schema.classes);
    else if (!s->whole) snprintf(why, sizeof why, "its values are numbers, and not all whole");
    else if (classes && s->different > FEW)
        snprintf(why, sizeof why,
                 "its values are the whole numbers %.0f to %.0f, each in %d rows or more",
                 s->lowest, s->highest, ENOUGH_ROWS);
    else
        snprintf(why, sizeof why, "its values are whole numbers, %lld different ones",
                 (long long)s->different);
    return tg_dataset_add_note(r->d, "the target is '%s'%s; the task is %s: %s%s",
                               tg_shown(r->d->schema.target).text, which,
                               tg_task_name(r->d->schema.task), why,
                               asked ? "" : "; --task says otherwise") ||
           tg_csv_no_memory(r);
}

/* Among texts, NA may be a class like any other (North America), or not. */
static bool mention_missing(tg_csv_reader *r)
{
    const tg_schema *s = &r->d->schema;
    bool ok = true;
    for (int64_t k = 0; ok && s->task != TG_TASK_REGRESSION && k < s->classes; k++)
        if (tg_csv_is_missing(s->label[k], strlen(s->label[k])))
            ok = tg_csv_mention_missing(r, s->target, s->label[k], "a class");
    return ok;
}

bool tg_csv_targets(tg_csv_reader *r)
{
    summary s = {.missing = -1};
    tg_task *task = &r->d->schema.task;
    if (!r->schema) *task = r->options->task;
    if (!summarise(r, &s)) return false;
    if (s.missing >= 0 && s.numbers && (*task == TG_TASK_AUTO || *task == TG_TASK_REGRESSION)) {
        const char *text = text_of(r, (size_t)s.missing);
        return tg_csv_fail(r, r->target[s.missing].line,
                           "column '%s': a missing value, '%s', among numbers: --missing skip "
                           "leaves such rows out",
                           tg_shown(r->d->schema.target).text, tg_shown(text).text);
    }
    if (*task == TG_TASK_AUTO && s.numbers &&
        (!s.whole || (s.different > FEW && !without_gaps(&s))))
        *task = TG_TASK_REGRESSION;
    const bool ok =
        *task == TG_TASK_REGRESSION ? numbers(r) : labels(r, s.numbers && s.missing < 0);
    return ok && (r->schema || (explain(r, &s) && mention_missing(r)));
}
