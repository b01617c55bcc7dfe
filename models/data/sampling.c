/* Parts of data sets that keep the shares of classes, folds, draws by weight, and data sets from
 * the user's own sources. */
#include <math.h>
#include <string.h>

#include <tapegrad/op.h>

#include "../../graph/params.h"
#include "dataset.h"
#include "shuffle.h"

static tg_status fail(tg_dataset *d, tg_status status, const char *what)
{
    return tg_error_set(&d->error, NULL, "data set", status, "%s", what);
}

/* ---------------------------------------------------------------- parts */

/* Each row of each class in turn goes to the part that lacks most: so parts have their shares of
 * every class, and of the whole, to within a row. part and order are [rows]. */
static void deal(const tg_dataset *d, int n, const double *fraction, uint64_t seed, int *part,
                 int64_t *order, double *lack)
{
    const bool classes = d->has_target && d->schema.task != TG_TASK_REGRESSION;
    const int64_t groups = classes ? d->schema.classes : 1;
    tg_shuffle(tg_random_key(seed, TG_STREAM_SPLIT), 0, d->rows, order);
    for (int k = 0; k < n; k++) lack[k] = 0;
    for (int64_t group = 0; group < groups; group++)
        for (int64_t i = 0; i < d->rows; i++) {
            const int64_t row = order[i];
            if (classes && d->class_number[row] != group) continue;
            int most = 0;
            for (int k = 0; k < n; k++) {
                lack[k] += fraction[k];
                if (lack[k] > lack[most]) most = k;
            }
            lack[most] -= 1;
            part[row] = most;
        }
}

/* The rows of one part in their random order, or of all but it. */
static int64_t choose(const tg_dataset *d, const int *part, const int64_t *order, int which,
                      bool others, int64_t *row)
{
    int64_t n = 0;
    for (int64_t i = 0; i < d->rows; i++)
        if ((part[order[i]] == which) != others) row[n++] = order[i];
    return n;
}

/* Data sets of rows; `train`, the first, tells what takes the place of missing numbers. */
static tg_status gather(tg_dataset *d, int n, tg_dataset **y)
{
    tg_status status = TG_OK;
    for (int k = 0; k < n && status == TG_OK; k++)
        if (tg_dataset_status(y[k]) != TG_OK) status = tg_dataset_no_memory(d);
    for (int k = 1; k < n && status == TG_OK; k++)
        status = tg_dataset_fill_from(y[0], y[k], &d->error);
    for (int k = 0; k < n && status != TG_OK; k++) {
        tg_dataset_free(y[k]);
        y[k] = NULL;
    }
    return status;
}

typedef struct dealt {
    int *part;
    int64_t *order, *row;
    double *lack, *fraction;
    size_t rows, n;
} dealt;

static void give_back(const tg_dataset *d, const dealt *s)
{
    tg_release(&d->allocator, s->part, s->rows * sizeof *s->part);
    tg_release(&d->allocator, s->order, s->rows * sizeof *s->order);
    tg_release(&d->allocator, s->row, s->rows * sizeof *s->row);
    tg_release(&d->allocator, s->lack, s->n * sizeof *s->lack);
    tg_release(&d->allocator, s->fraction, s->n * sizeof *s->fraction);
}

static bool take(tg_dataset *d, dealt *s, int n)
{
    *s = (dealt){.rows = (size_t)d->rows, .n = (size_t)n};
    s->part = tg_allocate(&d->allocator, s->rows * sizeof *s->part);
    s->order = tg_allocate(&d->allocator, s->rows * sizeof *s->order);
    s->row = tg_allocate(&d->allocator, s->rows * sizeof *s->row);
    s->lack = tg_allocate(&d->allocator, s->n * sizeof *s->lack);
    s->fraction = tg_allocate(&d->allocator, s->n * sizeof *s->fraction);
    if (s->part && s->order && s->row && s->lack && s->fraction) return true;
    give_back(d, s);
    tg_dataset_no_memory(d);
    return false;
}

static bool usable(tg_dataset *d)
{
    if (!d || d->error.status != TG_OK) return false;
    return d->filled || (fail(d, TG_ESTATE, "an empty data set can't be divided"), false);
}

tg_status tg_dataset_split(tg_dataset *d, int n, const double *fractions, uint64_t seed,
                           tg_dataset **parts)
{
    enum { MOST = 1000 };
    for (int k = 0; parts && k < n; k++) parts[k] = NULL;
    if (!usable(d)) return tg_dataset_status(d);
    if (!parts || !fractions) return fail(d, TG_ENULL, "fractions or parts are NULL");
    if (n < 2 || n > MOST) return fail(d, TG_EVALUE, "a data set is divided in 2 to 1000 parts");
    double sum = 0;
    for (int k = 0; k < n; k++) {
        if (!(fractions[k] > 0 && fractions[k] < 1))
            return tg_error_set(&d->error, NULL, "data set", TG_EVALUE,
                                "fraction %g is not between 0 and 1", fractions[k]);
        sum += fractions[k];
    }
    if (!(fabs(sum - 1) < 1e-6))
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE,
                            "the fractions add up to %g, not to 1", sum);
    dealt s;
    if (!take(d, &s, n)) return d->error.status;
    deal(d, n, fractions, seed, s.part, s.order, s.lack);
    tg_status status = TG_OK;
    for (int k = 0; k < n && status == TG_OK; k++) {
        const int64_t rows = choose(d, s.part, s.order, k, false, s.row);
        if (!rows)
            status = tg_error_set(&d->error, NULL, "data set", TG_ESHAPE,
                                  "%lld rows give part %d none", (long long)d->rows, k);
        else if (!(parts[k] = tg_dataset_select(d, rows, s.row))) status = tg_dataset_no_memory(d);
    }
    if (status == TG_OK) status = gather(d, n, parts);
    for (int k = 0; k < n && status != TG_OK; k++) {
        tg_dataset_free(parts[k]);
        parts[k] = NULL;
    }
    give_back(d, &s);
    return status;
}

tg_status tg_dataset_fold(tg_dataset *d, int folds, int fold, uint64_t seed, tg_dataset **train,
                          tg_dataset **held)
{
    if (train) *train = NULL;
    if (held) *held = NULL;
    if (!usable(d)) return tg_dataset_status(d);
    if (!train || !held) return fail(d, TG_ENULL, "no place for the parts");
    if (folds < 2 || folds > d->rows)
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE,
                            "%lld rows can't be divided in %d folds", (long long)d->rows, folds);
    if (fold < 0 || fold >= folds)
        return tg_error_set(&d->error, NULL, "data set", TG_EVALUE, "fold %d is not 0 .. %d", fold,
                            folds - 1);
    dealt s;
    if (!take(d, &s, folds)) return d->error.status;
    for (int k = 0; k < folds; k++) s.fraction[k] = 1 / (double)folds;
    deal(d, folds, s.fraction, seed, s.part, s.order, s.lack);
    tg_dataset *y[2];
    for (int k = 0; k < 2; k++) {
        const int64_t rows = choose(d, s.part, s.order, fold, k == 0, s.row);
        y[k] = tg_dataset_select(d, rows, s.row);
    }
    give_back(d, &s);
    const tg_status status = gather(d, 2, y);
    *train = y[0];
    *held = y[1];
    return status;
}

/* ---------------------------------------------------------------- draws */

static bool has_classes(const tg_dataset *d)
{
    return d->filled && d->has_target && d->schema.task != TG_TASK_REGRESSION;
}

tg_status tg_dataset_class_weights(tg_dataset *d, double *weights)
{
    if (tg_dataset_status(d) != TG_OK) return tg_dataset_status(d);
    if (!weights) return fail(d, TG_ENULL, "no place for the weights");
    if (!has_classes(d)) return fail(d, TG_ESTATE, "only classes have weights");
    for (int64_t k = 0; k < d->schema.classes; k++) weights[k] = 0;
    for (int64_t i = 0; i < d->rows; i++) weights[d->class_number[i]]++;
    for (int64_t k = 0; k < d->schema.classes; k++)
        if (weights[k] > 0) weights[k] = (double)d->rows / ((double)d->schema.classes * weights[k]);
    return TG_OK;
}

/* The first place of rising sums that is above x. */
static int64_t place(int64_t n, const double *sum, double x)
{
    int64_t low = 0, high = n - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sum[middle] > x) high = middle;
        else low = middle + 1;
    }
    return low;
}

/* Draws from the rows, each as likely as the weight of its class says. */
static bool draw(const tg_dataset *d, const double *weights, double *sum, uint64_t seed,
                 uint64_t round, int64_t n, int64_t *row)
{
    double total = 0;
    for (int64_t i = 0; i < d->rows; i++) sum[i] = total += weights[d->class_number[i]];
    if (!(total > 0 && isfinite(total))) return false;
    const uint64_t key = tg_random_key(seed, TG_STREAM_SAMPLE);
    for (int64_t k = 0; k < n; k++) {
        uint32_t word[4];
        tg_philox(key, round, 0, (uint64_t)k, word);
        const uint64_t bits = ((uint64_t)word[0] << 32 | word[1]) >> 11;
        row[k] = place(d->rows, sum, total * 0x1p-53 * (double)bits);
    }
    return true;
}

tg_dataset *tg_dataset_sample(tg_dataset *d, int64_t n, const double *weights, uint64_t seed,
                              uint64_t round)
{
    if (tg_dataset_status(d) != TG_OK) return NULL;
    if (!has_classes(d) || n < 1) {
        fail(d, n < 1 ? TG_EVALUE : TG_ESTATE,
             n < 1 ? "at least one row must be drawn" : "rows are drawn by their classes");
        return NULL;
    }
    for (int64_t k = 0; weights && k < d->schema.classes; k++)
        if (!(isfinite(weights[k]) && weights[k] >= 0)) {
            tg_error_set(&d->error, NULL, "data set", TG_EVALUE,
                         "the weight %g of class %lld is not finite and >= 0", weights[k],
                         (long long)k);
            return NULL;
        }
    const size_t rows = (size_t)d->rows, classes = (size_t)d->schema.classes, draws = (size_t)n;
    double *sum = tg_allocate(&d->allocator, rows * sizeof *sum),
           *balanced = tg_allocate(&d->allocator, classes * sizeof *balanced);
    int64_t *row = draws > (size_t)PTRDIFF_MAX / sizeof *row
                       ? NULL
                       : tg_allocate(&d->allocator, draws * sizeof *row);
    tg_dataset *y = NULL;
    if (!sum || !balanced || !row) {
        tg_dataset_no_memory(d);
    } else {
        tg_dataset_class_weights(d, balanced);
        if (draw(d, weights ? weights : balanced, sum, seed, round, n, row))
            y = tg_dataset_select(d, n, row);
        else fail(d, TG_EVALUE, "no row has a weight");
    }
    tg_release(&d->allocator, sum, rows * sizeof *sum);
    tg_release(&d->allocator, balanced, classes * sizeof *balanced);
    tg_release(&d->allocator, row, draws * sizeof *row);
    return y;
}

/* ---------------------------------------------------------------- the user's own sources */

tg_status tg_dataset_read_source(tg_dataset *d, tg_task task, const tg_row_source *source)
{
    if (tg_dataset_status(d) != TG_OK) return tg_dataset_status(d);
    if (!source || !source->length || !source->get)
        return fail(d, TG_ENULL, "the source, or a function of it, is NULL");
    const int64_t rows = source->length(source->user), features = source->features;
    if (rows < 1 || features < 1 || features > PTRDIFF_MAX / (int64_t)sizeof(float) / rows)
        return tg_error_set(&d->error, NULL, "data set", TG_ESHAPE, "%lld rows of %lld features",
                            (long long)rows, (long long)features);
    const size_t n = (size_t)rows, width = (size_t)features;
    float *x = tg_allocate(&d->allocator, n * width * sizeof *x),
          *target = tg_allocate(&d->allocator, n * sizeof *target);
    tg_status status = TG_OK;
    if (!x || !target)
        status = tg_error_set(&d->error, NULL, "data set", TG_ENOMEM,
                              "no memory for %lld rows of %lld features", (long long)rows,
                              (long long)features);
    for (int64_t i = 0; i < rows && status == TG_OK; i++)
        if (!source->get(i, x + i * features, target + i, source->user))
            status = tg_error_set(&d->error, NULL, "data set", TG_EIO, "the source has no row %lld",
                                  (long long)i);
    if (status == TG_OK) status = tg_dataset_fill(d, task, rows, features, x, target);
    tg_release(&d->allocator, x, n * width * sizeof *x);
    tg_release(&d->allocator, target, n * sizeof *target);
    return status;
}
