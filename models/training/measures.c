/* Measures of predictions. */
#include <math.h>
#include <string.h>

#include "model.h"

static float of(const tg_scored *s, int64_t row, int64_t k)
{
    return s->prediction[row * s->width + k];
}

static int64_t best(const tg_scored *s, int64_t row)
{
    int64_t y = 0;
    for (int64_t k = 1; k < s->width; k++)
        if (of(s, row, k) > of(s, row, y)) y = k;
    return y;
}

/* ---------------------------------------------------------------- classes */

static double top(const tg_scored *s, const tg_measure *self)
{
    int64_t right = 0;
    for (int64_t i = 0; i < s->rows; i++) {
        const int64_t actual = s->class_number[i];
        int64_t before = 0;
        for (int64_t k = 0; k < s->width; k++)
            before +=
                of(s, i, k) > of(s, i, actual) || (of(s, i, k) == of(s, i, actual) && k < actual);
        right += before < self->k;
    }
    return (double)right / (double)s->rows;
}

/* Of one class: rows of it, rows taken for it, and rows that are both. */
typedef struct counts {
    double actual, predicted, both;
} counts;

static counts count(const tg_scored *s, int64_t k)
{
    counts y = {0};
    for (int64_t i = 0; i < s->rows; i++) {
        const bool actual = s->class_number[i] == k, predicted = best(s, i) == k;
        y.actual += actual;
        y.predicted += predicted;
        y.both += actual && predicted;
    }
    return y;
}

static double share(double part, double of_all) { return of_all > 0 ? part / of_all : 0; }
static double recall_of(counts y) { return share(y.both, y.actual); }
static double precision_of(counts y) { return share(y.both, y.predicted); }
static double f1_of(counts y) { return share(2 * y.both, y.actual + y.predicted); }

/* Of class 1 of two, else the mean over all classes. */
static double of_classes(const tg_scored *s, double (*f)(counts))
{
    double sum = 0;
    if (s->classes == 2) return f(count(s, 1));
    for (int64_t k = 0; k < s->classes; k++) sum += f(count(s, k));
    return sum / (double)s->classes;
}

static double precision(const tg_scored *s, const tg_measure *self)
{
    (void)self;
    return of_classes(s, precision_of);
}

static double recall(const tg_scored *s, const tg_measure *self)
{
    (void)self;
    return of_classes(s, recall_of);
}

static double f1(const tg_scored *s, const tg_measure *self)
{
    (void)self;
    return of_classes(s, f1_of);
}

static double balanced_accuracy(const tg_scored *s, const tg_measure *self)
{
    double sum = 0, occurring = 0;
    (void)self;
    for (int64_t k = 0; k < s->classes; k++) {
        const counts y = count(s, k);
        sum += recall_of(y);
        occurring += y.actual > 0;
    }
    return sum / occurring;
}

/* How many of n sorted numbers are below x, and how many are equal to it, half. */
static double below(const double *sorted, int64_t n, double x)
{
    int64_t low = 0, high = n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sorted[middle] < x) low = middle + 1;
        else high = middle;
    }
    int64_t equal = low, end = n;
    while (equal < end) {
        const int64_t middle = equal + (end - equal) / 2;
        if (sorted[middle] <= x) equal = middle + 1;
        else end = middle;
    }
    return (double)low + (double)(equal - low) / 2;
}

/* NaN when the rows are all of the class, or none is. */
static double auc_of(const tg_scored *s, int64_t k, double *others)
{
    int64_t n = 0;
    double wins = 0;
    for (int64_t i = 0; i < s->rows; i++)
        if (s->class_number[i] != k) others[n++] = (double)of(s, i, k);
    if (n == 0 || n == s->rows) return NAN;
    tg_sort_numbers(others, n);
    for (int64_t i = 0; i < s->rows; i++)
        if (s->class_number[i] == k) wins += below(others, n, (double)of(s, i, k));
    return wins / (double)n / (double)(s->rows - n);
}

static double auc(const tg_scored *s, const tg_measure *self)
{
    const tg_allocator a = tg_allocator_or_default(NULL);
    double sum = 0, *others = tg_allocate(&a, (size_t)s->rows * sizeof *others);
    int64_t n = 0;
    (void)self;
    for (int64_t k = s->classes == 2; others && k < s->classes; k++) {
        const double y = auc_of(s, k, others);
        if (!isnan(y)) sum += y, n++;
    }
    const double y = others && n ? sum / (double)n : NAN;
    tg_release(&a, others, (size_t)s->rows * sizeof *others);
    return y;
}

static double log_loss(const tg_scored *s, const tg_measure *self)
{
    double sum = 0;
    (void)self;
    for (int64_t i = 0; i < s->rows; i++)
        sum -= log(fmax((double)of(s, i, s->class_number[i]), 0x1p-24));
    return sum / (double)s->rows;
}

static double calibration_error(const tg_scored *s, const tg_measure *self)
{
    enum { BINS = 15 };
    double sure[BINS] = {0}, right[BINS] = {0}, sum = 0;
    (void)self;
    for (int64_t i = 0; i < s->rows; i++) {
        const int64_t k = best(s, i);
        const double p = (double)of(s, i, k);
        const int bin = p >= 1 ? BINS - 1 : p > 0 ? (int)(p * BINS) : 0;
        sure[bin] += p;
        right[bin] += k == s->class_number[i];
    }
    for (int b = 0; b < BINS; b++) sum += fabs(right[b] - sure[b]);
    return sum / (double)s->rows;
}

/* ---------------------------------------------------------------- numbers */

static double residual(const tg_scored *s, int64_t i)
{
    return (double)s->number[i] - (double)s->prediction[i];
}

static double mean_square(const tg_scored *s)
{
    double sum = 0;
    for (int64_t i = 0; i < s->rows; i++) sum += residual(s, i) * residual(s, i);
    return sum / (double)s->rows;
}

static double rmse(const tg_scored *s, const tg_measure *self)
{
    (void)self;
    return sqrt(mean_square(s));
}

static double mae(const tg_scored *s, const tg_measure *self)
{
    double sum = 0;
    (void)self;
    for (int64_t i = 0; i < s->rows; i++) sum += fabs(residual(s, i));
    return sum / (double)s->rows;
}

static double r2(const tg_scored *s, const tg_measure *self)
{
    double mean = 0, deviation = 0;
    (void)self;
    for (int64_t i = 0; i < s->rows; i++) mean += (double)s->number[i] / (double)s->rows;
    for (int64_t i = 0; i < s->rows; i++) {
        const double d = (double)s->number[i] - mean;
        deviation += d * d / (double)s->rows;
    }
    return deviation > 0 ? 1 - mean_square(s) / deviation : NAN;
}

/* ---------------------------------------------------------------- the table */

static const tg_measure measures[] = {
    {sizeof(tg_measure), "accuracy", top, true, false, 1},
    {sizeof(tg_measure), "balanced_accuracy", balanced_accuracy, true, false, 0},
    {sizeof(tg_measure), "top_5", top, true, false, 5},
    {sizeof(tg_measure), "precision", precision, true, false, 0},
    {sizeof(tg_measure), "recall", recall, true, false, 0},
    {sizeof(tg_measure), "f1", f1, true, false, 0},
    {sizeof(tg_measure), "auc", auc, true, false, 0},
    {sizeof(tg_measure), "log_loss", log_loss, true, true, 0},
    {sizeof(tg_measure), "calibration_error", calibration_error, true, true, 0},
    {sizeof(tg_measure), "r2", r2, false, false, 0},
    {sizeof(tg_measure), "mae", mae, false, true, 0},
    {sizeof(tg_measure), "rmse", rmse, false, true, 0},
};

const tg_measure *tg_measures(int *n)
{
    if (n) *n = (int)(sizeof measures / sizeof measures[0]);
    return measures;
}

const tg_measure *tg_measure_find(const char *name)
{
    for (size_t k = 0; name && k < sizeof measures / sizeof measures[0]; k++)
        if (!strcmp(measures[k].name, name)) return &measures[k];
    return NULL;
}

/* ---------------------------------------------------------------- scoring */

/* The one behind it in an array of a caller's, whose structs may be shorter or longer. */
static const tg_measure *next(const tg_measure *measure)
{
    return (const tg_measure *)(const void *)((const char *)measure + measure->size);
}

static tg_status check(tg_model *m, int n, const tg_measure *measure, const double *value)
{
    if (m->head == TG_HEAD_CUSTOM)
        return tg_error_set(&m->error, NULL, "score", TG_EVALUE,
                            "the outputs of a custom head are no predictions");
    if (n < 0 || (n && (!measure || !value)))
        return tg_error_set(&m->error, NULL, "score", n < 0 ? TG_EVALUE : TG_ENULL,
                            "measures or values are missing");
    for (int k = 0; k < n; k++, measure = next(measure)) {
        if (measure->size < sizeof(size_t))
            return tg_error_set(&m->error, NULL, "score", TG_EVALUE, TG_UNSIZED(tg_measure));
        if (!measure->score || measure->classes != (m->schema.classes > 0))
            return tg_error_set(&m->error, NULL, "score", measure->score ? TG_EVALUE : TG_ENULL,
                                "measure %d, '%.60s', is %s", k, measure->name ? measure->name : "",
                                !measure->score    ? "no function"
                                : measure->classes ? "for classes, not for numbers"
                                                   : "for numbers, not for classes");
    }
    return TG_OK;
}

tg_status tg_score(tg_model *m, const tg_dataset *d, int n, const tg_measure *measure,
                   double *value)
{
    if (tg_model_accepts(m, d, true, "score") != TG_OK || check(m, n, measure, value) != TG_OK)
        return tg_model_status(m);
    tg_scored s = {.size = sizeof s,
                   .rows = d->rows,
                   .classes = m->schema.classes,
                   .width = tg_model_prediction_width(m),
                   .class_number = tg_dataset_class_numbers(d),
                   .number = tg_dataset_numbers(d)};
    const size_t bytes = (size_t)(s.rows * s.width) * sizeof *s.prediction;
    float *prediction = tg_allocate(&m->allocator, bytes);
    if (!prediction) return tg_error_set(&m->error, NULL, "score", TG_ENOMEM, "no memory");
    s.prediction = prediction;
    if (tg_predict(m, d, prediction) == TG_OK)
        for (int k = 0; k < n; k++, measure = next(measure)) value[k] = measure->score(&s, measure);
    tg_release(&m->allocator, prediction, bytes);
    return m->error.status;
}
