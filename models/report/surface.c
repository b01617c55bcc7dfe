/* The answers of a net over a plane through the data, and how much each feature matters. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recorder.h"

enum { GRID = 56, POINTS = 600, FEATURES = 40, ROWS = 500, ORDERS = 3, ITERATIONS = 60 };

/* ---------------------------------------------------------------- the plane */

/* The data scaled as the net sees it, and the two directions in which it spreads most. */
typedef struct plane {
    int64_t rows, features;
    double *mean, *deviation; /* [features] of the data at hand */
    double *axis[2];          /* [features], of length 1 */
    double *at[2];            /* [rows] coordinates */
    double share[2];          /* of the spread */
} plane;

static double scaled(const plane *p, const tg_dataset *d, int64_t row, int64_t k)
{
    return ((double)d->x[row * p->features + k] - p->mean[k]) / p->deviation[k];
}

static void project(const plane *p, const tg_dataset *d, const double *axis, double *at)
{
    for (int64_t i = 0; i < p->rows; i++) {
        at[i] = 0;
        for (int64_t k = 0; k < p->features; k++) at[i] += scaled(p, d, i, k) * axis[k];
    }
}

static double length_of(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += x[k] * x[k];
    return sqrt(sum);
}

/* The principal direction at right angles to those before, by power iteration. */
static void find_axis(const plane *p, const tg_dataset *d, int which)
{
    double *v = p->axis[which], *at = p->at[which];
    for (int64_t k = 0; k < p->features; k++) v[k] = 1 + 0.1 * (double)(k % 7) * (which ? -1 : 1);
    for (int turn = 0; turn < ITERATIONS; turn++) {
        if (which) {
            double along = 0;
            for (int64_t k = 0; k < p->features; k++) along += v[k] * p->axis[0][k];
            for (int64_t k = 0; k < p->features; k++) v[k] -= along * p->axis[0][k];
        }
        const double length = length_of(v, p->features);
        for (int64_t k = 0; k < p->features; k++)
            v[k] = length > 0 ? v[k] / length : (double)(k == which);
        project(p, d, v, at);
        if (turn + 1 == ITERATIONS) break;
        memset(v, 0, (size_t)p->features * sizeof *v);
        for (int64_t i = 0; i < p->rows; i++)
            for (int64_t k = 0; k < p->features; k++) v[k] += at[i] * scaled(p, d, i, k);
    }
}

static void find_plane(plane *p, const tg_dataset *d)
{
    double spread = 0;
    for (int64_t k = 0; k < p->features; k++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < p->rows; i++) sum += (double)d->x[i * p->features + k];
        p->mean[k] = sum / (double)p->rows;
        for (int64_t i = 0; i < p->rows; i++) {
            const double off = (double)d->x[i * p->features + k] - p->mean[k];
            squares += off * off;
        }
        const double deviation = sqrt(squares / (double)p->rows);
        p->deviation[k] = deviation > 0 && !d->schema.pixels ? deviation : 1;
        spread += squares / (p->deviation[k] * p->deviation[k]);
    }
    for (int which = 0; which < 2; which++) {
        if (p->features == 2) {
            for (int64_t k = 0; k < 2; k++) p->axis[which][k] = (double)(k == which);
            project(p, d, p->axis[which], p->at[which]);
        } else {
            find_axis(p, d, which);
        }
        const double along = length_of(p->at[which], p->rows);
        p->share[which] = spread > 0 ? along * along / spread : 0;
    }
}

/* The data's ends along an axis, with a little margin. */
static void ends(const plane *p, int which, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t i = 0; i < p->rows; i++) {
        *low = fmin(*low, p->at[which][i]);
        *high = fmax(*high, p->at[which][i]);
    }
    const double margin = *high > *low ? 0.06 * (*high - *low) : 1;
    *low -= margin;
    *high += margin;
}

static void set_feature(tg_dataset *d, int64_t row, int64_t k, double x)
{
    d->x[row * d->schema.features + k] = (float)x;
    if (d->exact) d->exact[row * d->schema.features + k] = (double)(float)x;
}

/* ---------------------------------------------------------------- its picture */

/* In units of the feature for two features, else of deviations along the axis. */
static double shown(const plane *p, int which, double at)
{
    return p->features == 2 ? p->mean[which] + at * p->deviation[which] : at;
}

static void put_points(tg_report *r, json_t *y, const plane *p, const tg_dataset *d)
{
    json_t *points = json_array();
    const int64_t n = p->rows < POINTS ? p->rows : POINTS;
    for (int64_t k = 0; k < n; k++) {
        const int64_t row = k * p->rows / n;
        json_t *one = json_array();
        for (int which = 0; which < 2; which++)
            json_array_append_new(one, tg_report_number(shown(p, which, p->at[which][row])));
        json_array_append_new(one, d->schema.classes ? json_integer(d->class_number[row])
                                                     : tg_report_number((double)d->number[row]));
        json_array_append_new(points, one);
    }
    tg_report_put(r, y, "points", points);
}

/* Of classes the most probable one and its probability, else the number. */
static void put_answers(tg_report *r, json_t *y, const float *answer, int64_t classes)
{
    json_t *class_of = json_array(), *value = json_array();
    for (int64_t i = 0; i < GRID * GRID; i++) {
        const float *p = answer + i * (classes ? classes : 1);
        int64_t best = 0;
        for (int64_t c = 1; c < classes; c++)
            if (p[c] > p[best]) best = c;
        if (classes) json_array_append_new(class_of, json_integer(best));
        json_array_append_new(value, tg_report_number((double)p[best]));
    }
    if (classes) tg_report_put(r, y, "class", class_of);
    else json_decref(class_of);
    tg_report_put(r, y, "value", value);
}

static void put_plane(tg_report *r, json_t *root, const plane *p, const tg_dataset *d,
                      tg_dataset *grid, float *answer)
{
    double low[2], high[2];
    for (int which = 0; which < 2; which++) ends(p, which, &low[which], &high[which]);
    for (int64_t i = 0; i < GRID * GRID; i++) {
        const double a = low[0] + (high[0] - low[0]) * (0.5 + (double)(i % GRID)) / GRID,
                     b = low[1] + (high[1] - low[1]) * (0.5 + (double)(i / GRID)) / GRID;
        for (int64_t k = 0; k < p->features; k++)
            set_feature(grid, i, k,
                        p->mean[k] + p->deviation[k] * (a * p->axis[0][k] + b * p->axis[1][k]));
    }
    if (tg_predict(r->m, grid, answer) != TG_OK) {
        tg_error_set(&r->error, NULL, NULL, tg_model_status(r->m), "%s", tg_model_message(r->m));
        return;
    }
    json_t *y = json_object(), *box = json_array(), *names = json_array(), *share = json_array();
    for (int which = 0; which < 2; which++) {
        json_array_append_new(box, tg_report_number(shown(p, which, low[which])));
        json_array_append_new(box, tg_report_number(shown(p, which, high[which])));
        if (p->features == 2) json_array_append_new(names, json_string(d->schema.name[which]));
        json_array_append_new(share, tg_report_number(p->share[which]));
    }
    tg_report_put(r, y, "grid", json_integer(GRID));
    tg_report_put(r, y, "box", box);
    tg_report_put(r, y, "names", names);
    tg_report_put(r, y, "share", share);
    put_answers(r, y, answer, d->schema.classes);
    put_points(r, y, p, d);
    tg_report_put(r, root, "surface", y);
}

/* n copies of the first row */
static tg_dataset *copies(const tg_dataset *d, int64_t n)
{
    int64_t *row = calloc((size_t)n, sizeof *row);
    tg_dataset *y = row ? tg_dataset_select(d, n, row) : NULL;
    free(row);
    return y;
}

void tg_report_surface(tg_report *r, json_t *root, const tg_dataset *d)
{
    plane p = {.rows = d->rows, .features = d->schema.features};
    if (p.features < 2 || p.rows < 3) return;
    const size_t n = (size_t)p.features, rows = (size_t)p.rows;
    double *numbers = malloc((4 * n + 2 * rows) * sizeof *numbers);
    tg_dataset *grid = copies(d, GRID * GRID);
    float *answer =
        malloc((size_t)(GRID * GRID * tg_model_prediction_width(r->m)) * sizeof *answer);
    if (numbers && answer && tg_dataset_status(grid) == TG_OK) {
        p.mean = numbers;
        p.deviation = numbers + n;
        for (int which = 0; which < 2; which++) {
            p.axis[which] = numbers + (2 + (size_t)which) * n;
            p.at[which] = numbers + 4 * n + (size_t)which * rows;
        }
        find_plane(&p, d);
        put_plane(r, root, &p, d, grid, answer);
    } else {
        tg_error_set(&r->error, NULL, "report", TG_ENOMEM, "no memory");
    }
    free(numbers);
    free(answer);
    tg_dataset_free(grid);
}

/* ---------------------------------------------------------------- importance */

/* The loss with a column in another order, of which the key and the column say which. */
static double shuffled_loss(tg_report *r, tg_dataset *d, const float *column, int64_t k,
                            uint64_t order)
{
    tg_metrics y;
    uint32_t word[4];
    int64_t *place = malloc((size_t)d->rows * sizeof *place);
    if (!place) return NAN;
    for (int64_t i = 0; i < d->rows; i++) place[i] = i;
    for (int64_t i = d->rows - 1; i > 0; i--) {
        tg_philox(r->options.seed, order, (uint32_t)k, (uint64_t)i, word);
        const int64_t j = (int64_t)(((uint64_t)word[0] * (uint64_t)(i + 1)) >> 32), kept = place[i];
        place[i] = place[j];
        place[j] = kept;
    }
    for (int64_t i = 0; i < d->rows; i++) set_feature(d, i, k, (double)column[place[i]]);
    free(place);
    return tg_evaluate(r->m, d, &y, NULL) == TG_OK ? y.loss : (double)NAN;
}

void tg_report_importance(tg_report *r, json_t *root, const tg_dataset *all)
{
    const int64_t n = all->rows < ROWS ? all->rows : ROWS, features = all->schema.features;
    if (features > FEATURES) return;
    int64_t row[ROWS];
    float column[ROWS];
    tg_metrics y;
    for (int64_t k = 0; k < n; k++) row[k] = k * all->rows / n;
    tg_dataset *d = tg_dataset_select(all, n, row);
    json_t *list = json_array();
    if (tg_dataset_status(d) != TG_OK || tg_evaluate(r->m, d, &y, NULL) != TG_OK)
        tg_error_set(&r->error, NULL, "report", TG_ENOMEM, "no memory");
    for (int64_t k = 0; k < features && r->error.status == TG_OK; k++) {
        double rise = 0;
        for (int64_t i = 0; i < n; i++) column[i] = d->x[i * features + k];
        for (int order = 0; order < ORDERS; order++)
            rise += (shuffled_loss(r, d, column, k, (uint64_t)order) - y.loss) / ORDERS;
        for (int64_t i = 0; i < n; i++) set_feature(d, i, k, (double)column[i]);
        json_t *one = json_object();
        tg_report_put(r, one, "name", json_string(all->schema.name[k]));
        tg_report_put(r, one, "rise", tg_report_number(rise));
        json_array_append_new(list, one);
    }
    tg_report_put(r, root, "importance", list);
    tg_dataset_free(d);
}
