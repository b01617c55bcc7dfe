/* Parts, folds and draws of data sets, and the user's own sources. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/models.h>

#include "support.h"
#include "allocator.h"

enum { ROWS = 103, CLASSES = 3 };

/* Row i: x = i; classes of about 70, 25 and 8 rows. */
static int64_t class_of(int64_t i) { return i % 13 == 0 ? 2 : i % 4 == 1 ? 1 : 0; }

static tg_dataset *make(tg_task task, const tg_allocator *a)
{
    float x[ROWS], y[ROWS];
    for (int i = 0; i < ROWS; i++) {
        x[i] = (float)i;
        y[i] = task == TG_TASK_REGRESSION ? (float)i / 2 : (float)class_of(i);
    }
    tg_dataset *d = tg_dataset_new(a);
    tg_dataset_fill(d, task, ROWS, 1, x, y);
    return d;
}

/* Adds a data set's rows to those seen, and to the counts of their classes. */
static void see(const tg_dataset *d, int *seen, int64_t *count)
{
    for (int64_t i = 0; i < tg_dataset_rows(d); i++) {
        const int row = (int)tg_dataset_x(d)[i];
        seen[row]++;
        if (tg_dataset_class_numbers(d)) {
            cr_assert_eq(tg_dataset_class_numbers(d)[i], class_of(row));
            count[class_of(row)]++;
        }
    }
}

static int64_t total_of(int64_t k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < ROWS; i++) n += class_of(i) == k;
    return n;
}

Test(sampling, parts_have_their_shares_of_every_class)
{
    const double fraction[] = {0.7, 0.2, 0.1};
    tg_dataset *d = make(TG_TASK_MULTICLASS, NULL), *part[3], *again[3], *other[3];
    cr_assert_eq(tg_dataset_split(d, 3, fraction, 7, part), TG_OK, "%s", tg_dataset_message(d));
    cr_assert_eq(tg_dataset_split(d, 3, fraction, 7, again), TG_OK);
    cr_assert_eq(tg_dataset_split(d, 3, fraction, 8, other), TG_OK);
    int seen[ROWS] = {0}, in_order = 0;
    for (int k = 0; k < 3; k++) {
        int64_t count[CLASSES] = {0};
        see(part[k], seen, count);
        cr_expect_leq(fabs((double)tg_dataset_rows(part[k]) - fraction[k] * ROWS), 1);
        for (int c = 0; c < CLASSES; c++)
            cr_expect_lt(fabs((double)count[c] - fraction[k] * (double)total_of(c)), 2,
                         "part %d, class %d: %d rows", k, c, (int)count[c]);
        cr_expect_arr_eq(tg_dataset_x(part[k]), tg_dataset_x(again[k]),
                         (size_t)tg_dataset_rows(part[k]) * sizeof(float));
    }
    for (int i = 0; i < ROWS; i++) cr_expect_eq(seen[i], 1);
    for (int i = 1; i < 20; i++)
        in_order += tg_dataset_x(part[0])[i] > tg_dataset_x(part[0])[i - 1];
    cr_expect(in_order > 2 && in_order < 17, "%d of 19 pairs rise", in_order);
    cr_expect(memcmp(tg_dataset_x(part[0]), tg_dataset_x(other[0]), 20 * sizeof(float)) != 0);
    for (int k = 0; k < 3; k++)
        tg_dataset_free(part[k]), tg_dataset_free(again[k]), tg_dataset_free(other[k]);
    tg_dataset_free(d);
}

Test(sampling, folds_hold_each_row_out_once)
{
    for (int way = 0; way < 2; way++) {
        tg_dataset *d = make(way ? TG_TASK_REGRESSION : TG_TASK_MULTICLASS, NULL);
        int held_out[ROWS] = {0};
        for (int fold = 0; fold < 5; fold++) {
            tg_dataset *train, *held;
            int all[ROWS] = {0};
            int64_t count[CLASSES] = {0}, rest[CLASSES] = {0};
            cr_assert_eq(tg_dataset_fold(d, 5, fold, 1, &train, &held), TG_OK);
            see(held, held_out, count);
            see(held, all, rest);
            see(train, all, rest);
            for (int i = 0; i < ROWS; i++) cr_expect_eq(all[i], 1);
            cr_expect(tg_dataset_rows(held) == 20 || tg_dataset_rows(held) == 21);
            for (int c = 0; !way && c < CLASSES; c++)
                cr_expect_lt(fabs((double)count[c] - (double)total_of(c) / 5), 2);
            tg_dataset_free(train);
            tg_dataset_free(held);
        }
        for (int i = 0; i < ROWS; i++) cr_expect_eq(held_out[i], 1);
        tg_dataset_free(d);
    }
}

Test(sampling, classes_are_drawn_by_their_weights)
{
    enum { DRAWS = 30000 };
    tg_dataset *d = make(TG_TASK_MULTICLASS, NULL);
    double weight[CLASSES];
    cr_assert_eq(tg_dataset_class_weights(d, weight), TG_OK);
    for (int c = 0; c < CLASSES; c++)
        cr_expect_float_eq(weight[c], (double)ROWS / (3 * (double)total_of(c)), 1e-15);
    const double given[] = {0, 3 / (double)total_of(1), 1 / (double)total_of(2)};
    for (int way = 0; way < 2; way++) {
        tg_dataset *y = tg_dataset_sample(d, DRAWS, way ? given : NULL, 4, 0),
                   *next = tg_dataset_sample(d, DRAWS, way ? given : NULL, 4, 1);
        int seen[ROWS] = {0};
        int64_t count[CLASSES] = {0};
        const double share[2][CLASSES] = {{1 / 3.0, 1 / 3.0, 1 / 3.0}, {0, 0.75, 0.25}};
        see(y, seen, count);
        for (int c = 0; c < CLASSES; c++)
            cr_expect_float_eq((double)count[c] / DRAWS, share[way][c], 0.015, "class %d: %d", c,
                               (int)count[c]);
        for (int i = 0; i < ROWS; i++) cr_expect_eq(seen[i] > 0, share[way][class_of(i)] > 0);
        cr_expect(memcmp(tg_dataset_x(y), tg_dataset_x(next), 100 * sizeof(float)) != 0);
        tg_dataset_free(y);
        tg_dataset_free(next);
    }
    tg_dataset_free(d);
}

static int64_t length(void *user) { return *(int64_t *)user; }
static bool get(int64_t row, float *x, float *target, void *user)
{
    (void)user;
    x[0] = (float)row;
    x[1] = (float)(row * row);
    *target = (float)(row % 2);
    return row < 10;
}

static void refused(tg_dataset *d, tg_status status, const char *what)
{
    test_expect_refused(tg_dataset, d, status, what);
    tg_dataset_free(d);
}

Test(sampling, rows_come_from_a_source_of_ones_own)
{
    int64_t rows = 10;
    const tg_row_source source = {2, length, get, &rows}, none = {2, length, NULL, &rows},
                        flat = {0, length, get, &rows};
    tg_dataset *d = tg_dataset_new(NULL);
    cr_assert_eq(tg_dataset_read_source(d, TG_TASK_BINARY, &source), TG_OK);
    cr_expect_eq(tg_dataset_rows(d), 10);
    cr_expect_eq(tg_dataset_x(d)[7], 9);
    cr_expect_eq(tg_dataset_class_numbers(d)[3], 1);
    tg_dataset_read_source(d, TG_TASK_BINARY, &source), refused(d, TG_ESTATE, "filled already");
    rows = 11;
    d = tg_dataset_new(NULL);
    tg_dataset_read_source(d, TG_TASK_BINARY, &source), refused(d, TG_EIO, "no row 10");
    d = tg_dataset_new(NULL);
    tg_dataset_read_source(d, TG_TASK_BINARY, NULL), refused(d, TG_ENULL, "source");
    d = tg_dataset_new(NULL);
    tg_dataset_read_source(d, TG_TASK_BINARY, &none), refused(d, TG_ENULL, "source");
    d = tg_dataset_new(NULL);
    tg_dataset_read_source(d, TG_TASK_BINARY, &flat), refused(d, TG_ESHAPE, "11 rows of 0");
    rows = -1;
    d = tg_dataset_new(NULL);
    tg_dataset_read_source(d, TG_TASK_BINARY, &source), refused(d, TG_ESHAPE, "-1 rows");
    cr_expect_eq(tg_dataset_read_source(NULL, TG_TASK_BINARY, &source), TG_ENOMEM);
}

Test(sampling, wrong_calls_are_refused)
{
    const double half[] = {0.5, 0.5}, more[] = {0.9, 0.9}, zero[] = {1, 0}, tiny[] = {0.999, 0.001},
                 negative[] = {1, -1, 1}, none[] = {0, 0, 0};
    tg_dataset *y[2], *d;
#define CLASSED (d = make(TG_TASK_MULTICLASS, NULL))
#define NUMBERS (d = make(TG_TASK_REGRESSION, NULL))
    tg_dataset_split(CLASSED, 1, half, 0, y), refused(d, TG_EVALUE, "2 to 1000 parts");
    tg_dataset_split(CLASSED, 2, more, 0, y), refused(d, TG_EVALUE, "add up to 1.8");
    tg_dataset_split(CLASSED, 2, zero, 0, y), refused(d, TG_EVALUE, "fraction 1 is not");
    tg_dataset_split(CLASSED, 2, tiny, 0, y), refused(d, TG_ESHAPE, "103 rows give part 1 none");
    cr_expect_null(y[0]);
    tg_dataset_split(CLASSED, 2, NULL, 0, y), refused(d, TG_ENULL, "NULL");
    tg_dataset_split(CLASSED, 2, half, 0, NULL), refused(d, TG_ENULL, "NULL");
    tg_dataset_split(d = tg_dataset_new(NULL), 2, half, 0, y), refused(d, TG_ESTATE, "empty");
    tg_dataset_fold(CLASSED, 1, 0, 0, &y[0], &y[1]), refused(d, TG_EVALUE, "in 1 folds");
    tg_dataset_fold(CLASSED, 104, 0, 0, &y[0], &y[1]), refused(d, TG_EVALUE, "in 104 folds");
    tg_dataset_fold(CLASSED, 5, 5, 0, &y[0], &y[1]), refused(d, TG_EVALUE, "fold 5 is not 0 .. 4");
    tg_dataset_fold(CLASSED, 5, 0, 0, NULL, &y[1]), refused(d, TG_ENULL, "no place");
    tg_dataset_class_weights(CLASSED, NULL), refused(d, TG_ENULL, "no place");
    tg_dataset_class_weights(NUMBERS, (double[3]){0}), refused(d, TG_ESTATE, "only classes");
    cr_expect_null(tg_dataset_sample(NUMBERS, 5, NULL, 0, 0));
    refused(d, TG_ESTATE, "by their classes");
    cr_expect_null(tg_dataset_sample(CLASSED, 0, NULL, 0, 0));
    refused(d, TG_EVALUE, "at least one row");
    cr_expect_null(tg_dataset_sample(CLASSED, 5, negative, 0, 0));
    refused(d, TG_EVALUE, "weight -1 of class 1");
    cr_expect_null(tg_dataset_sample(CLASSED, 5, none, 0, 0));
    refused(d, TG_EVALUE, "no row has a weight");
    cr_expect_null(tg_dataset_sample(NULL, 5, NULL, 0, 0));
    cr_expect_eq(tg_dataset_split(NULL, 2, half, 0, y), TG_ENOMEM);
    cr_expect_eq(tg_dataset_fold(NULL, 2, 0, 0, &y[0], &y[1]), TG_ENOMEM);
    cr_expect_eq(tg_dataset_class_weights(NULL, NULL), TG_ENOMEM);
}

Test(sampling, short_memory_is_an_error)
{
    bool complete = false;
    for (long long fail_at = 1; !complete && fail_at < 300; fail_at++) {
        test_memory m = {0};
        const tg_allocator a = test_allocator(&m);
        tg_dataset *d = make(TG_TASK_MULTICLASS, &a), *y[4] = {NULL};
        const double half[] = {0.5, 0.5};
        m.fail_at = atomic_load(&m.requests) + fail_at;
        tg_dataset_split(d, 2, half, 0, y);
        tg_dataset_fold(d, 3, 0, 0, &y[2], &y[3]);
        tg_dataset *drawn = tg_dataset_sample(d, 10, NULL, 0, 0);
        complete = tg_dataset_status(d) == TG_OK && tg_dataset_status(drawn) == TG_OK;
        if (!complete)
            cr_expect(tg_dataset_status(d) == TG_ENOMEM || tg_dataset_status(drawn) == TG_ENOMEM);
        tg_dataset_free(drawn);
        for (int k = 0; k < 4; k++) tg_dataset_free(y[k]);
        tg_dataset_free(d);
        cr_expect_eq(atomic_load(&m.blocks), 0);
        cr_expect_eq(atomic_load(&m.wrong), 0);
    }
    cr_expect(complete);
}
