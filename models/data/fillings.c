/* What takes the place of missing numbers, computed again when rows are held out: those must not
 * tell the others anything. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dataset.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void tg_sort_numbers(double *y, int64_t n) { qsort(y, (size_t)n, sizeof *y, by_value); }

double tg_filling(tg_missing kind, const double *y, int64_t n)
{
    double sum = 0;
    if (kind == TG_MISSING_MEDIAN) return n % 2 ? y[n / 2] : y[n / 2 - 1] / 2 + y[n / 2] / 2;
    for (int64_t i = 0; i < n; i++) sum += y[i] / (double)n;
    return sum;
}

bool tg_dataset_add_hole(tg_dataset *d, int64_t element)
{
    void *list = d->hole;
    const bool ok = tg_grow(&d->allocator, &list, &d->hole_capacity, d->holes + 1, sizeof *d->hole);
    d->hole = list;
    if (ok) d->hole[d->holes++] = element;
    return ok;
}

bool tg_dataset_copy_holes(tg_dataset *y, const tg_dataset *d, int64_t n, const int64_t *row)
{
    const int64_t width = d->schema.features;
    y->filling = d->filling;
    for (int64_t i = 0; d->holes && i < n; i++) {
        const int64_t first = row[i] * width;
        size_t low = 0, high = d->holes;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (d->hole[middle] < first) low = middle + 1;
            else high = middle;
        }
        for (; low < d->holes && d->hole[low] < first + width; low++)
            if (!tg_dataset_add_hole(y, i * width + d->hole[low] - first)) return false;
    }
    return true;
}

/* ---------------------------------------------------------------- dividing */

static bool widen(tg_dataset *d)
{
    if (d->exact) return true;
    if (!tg_dataset_reserve_exact(d)) return false;
    for (int64_t k = 0; k < d->rows * d->schema.features; k++) d->exact[k] = (double)d->x[k];
    return true;
}

/* The same fillings for a part: in its schema and where its holes are. */
static bool use(tg_dataset *d, const double *fill)
{
    const int64_t width = d->schema.features;
    double *own = tg_arena_take(&d->arena, (size_t)width * sizeof *own);
    bool exact = true;
    if (!own) return false;
    memcpy(own, fill, (size_t)width * sizeof *own);
    d->schema.fill = own;
    for (size_t k = 0; exact && k < d->holes; k++)
        exact = (double)(float)fill[d->hole[k] % width] == fill[d->hole[k] % width];
    if (!exact && !widen(d)) return false;
    for (size_t k = 0; k < d->holes; k++) {
        d->x[d->hole[k]] = (float)fill[d->hole[k] % width];
        if (d->exact) d->exact[d->hole[k]] = fill[d->hole[k] % width];
    }
    return true;
}

/* fill[] gets what missing values of d become, from the others in d, whose holes are NaN. y has
 * room for a column. false: a column has none. */
static bool learn(const tg_dataset *d, double *fill, double *y, tg_error *e)
{
    const int64_t width = d->schema.features;
    const tg_schema *s = &d->schema;
    for (int64_t k = 0; k < width; k++) {
        int64_t n = 0;
        fill[k] = s->fill[k];
        if (isnan(fill[k]) || (s->level && s->level[k])) continue;
        for (int64_t i = 0; i < d->rows; i++) {
            const float x = d->x[i * width + k];
            if (!isnan(x)) y[n++] = d->exact ? d->exact[i * width + k] : (double)x;
        }
        if (!n) {
            tg_error_set(e, NULL, "data set", TG_EVALUE,
                         "column '%.60s': every value is missing in the rows to train on",
                         s->name[k]);
            return false;
        }
        tg_sort_numbers(y, n);
        fill[k] = tg_filling(d->filling, y, n);
    }
    return true;
}

tg_status tg_dataset_fill_from(tg_dataset *train, tg_dataset *other, tg_error *e)
{
    if (!train->filling || !train->schema.fill) return TG_OK;
    const size_t bytes = (size_t)train->schema.features * sizeof(double),
                 column_bytes = (size_t)train->rows * sizeof(double);
    double *fill = tg_allocate(&train->allocator, bytes),
           *column = tg_allocate(&train->allocator, column_bytes);
    for (size_t k = 0; k < train->holes; k++) train->x[train->hole[k]] = NAN;
    bool memory = fill && column;
    const bool ok = memory && learn(train, fill, column, e);
    if (ok) memory = use(train, fill) && use(other, fill);
    tg_release(&train->allocator, fill, bytes);
    tg_release(&train->allocator, column, column_bytes);
    if (!memory) return tg_error_set(e, NULL, "data set", TG_ENOMEM, "no memory for its parts");
    return ok ? TG_OK : e->status;
}
