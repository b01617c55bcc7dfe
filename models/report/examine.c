/* What a net does on data: confusions with their worst examples, numbers beside the true ones,
 * calibration, the first layer's weights as images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recorder.h"

enum { LOOKED_AT = 2000, WORST = 4, ALL_WORST = 120, FILTERS = 64, RANGES = 10, SHOWN = 12 };

/* Rows that were looked at, and what the net says of them. */
typedef struct looked {
    tg_report *r;
    const tg_dataset *d;
    int64_t rows, width;
    float *y; /* [rows, width] */
} looked;

/* The side of square images, 0 when they are none. */
static int64_t side_of(const tg_schema *s)
{
    const int64_t side = (int64_t)(sqrt((double)s->features) + 0.5);
    return s->pixels && side * side == s->features ? side : 0;
}

/* ---------------------------------------------------------------- bytes in a text */

static json_t *base64(const unsigned char *bytes, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((n + 2) / 3 * 4 + 1), *to = text;
    for (size_t k = 0; text && k < n; k += 3) {
        const unsigned long word = (unsigned long)bytes[k] << 16 |
                                   (k + 1 < n ? (unsigned long)bytes[k + 1] << 8 : 0) |
                                   (k + 2 < n ? (unsigned long)bytes[k + 2] : 0);
        *to++ = digit[word >> 18 & 63];
        *to++ = digit[word >> 12 & 63];
        *to++ = k + 1 < n ? digit[word >> 6 & 63] : '=';
        *to++ = k + 2 < n ? digit[word & 63] : '=';
    }
    json_t *y = text ? json_stringn(text, (size_t)(to - text)) : NULL;
    free(text);
    return y;
}

/* Numbers from low to high as bytes. */
static json_t *picture(const float *x, int64_t n, double low, double high)
{
    unsigned char *bytes = malloc((size_t)n);
    for (int64_t k = 0; bytes && k < n; k++) {
        const double at = high > low ? ((double)x[k] - low) / (high - low) : 0;
        bytes[k] = (unsigned char)(255 * fmin(fmax(at, 0), 1) + 0.5);
    }
    json_t *y = bytes ? base64(bytes, (size_t)n) : NULL;
    free(bytes);
    return y;
}

/* ---------------------------------------------------------------- examples */

static json_t *example(const looked *k, int64_t row)
{
    const tg_schema *s = &k->d->schema;
    const float *x = k->d->x + row * s->features;
    json_t *y = json_object();
    tg_report_put(k->r, y, "row", json_integer(row + 1));
    if (side_of(s)) {
        tg_report_put(k->r, y, "image", picture(x, s->features, 0, 1));
        return y;
    }
    json_t *values = json_array();
    for (int64_t i = 0; i < s->features && i < SHOWN; i++)
        json_array_append_new(values, tg_report_number((double)x[i]));
    tg_report_put(k->r, y, "x", values);
    return y;
}

static int64_t best_of(const float *p, int64_t classes)
{
    int64_t best = 0;
    for (int64_t c = 1; c < classes; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

typedef struct worst {
    int64_t row[WORST];
    float p[WORST]; /* of the predicted class, falling */
    int n;
} worst;

static void keep_worst(worst *w, int64_t row, float p)
{
    int at = w->n;
    while (at > 0 && w->p[at - 1] < p) at--;
    if (at == WORST) return;
    w->n += w->n < WORST;
    for (int k = w->n - 1; k > at; k--) w->row[k] = w->row[k - 1], w->p[k] = w->p[k - 1];
    w->row[at] = row;
    w->p[at] = p;
}

/* Of each cell off the diagonal the rows of which the net was surest. */
static void put_worst(const looked *k, json_t *root, const worst *cell, int64_t classes)
{
    json_t *list = json_array();
    for (int64_t a = 0; a < classes; a++)
        for (int64_t b = 0; b < classes; b++)
            for (int i = 0;
                 i < cell[a * classes + b].n && a != b && json_array_size(list) < ALL_WORST; i++) {
                json_t *one = example(k, cell[a * classes + b].row[i]);
                tg_report_put(k->r, one, "actual", json_integer(a));
                tg_report_put(k->r, one, "predicted", json_integer(b));
                tg_report_put(k->r, one, "p", tg_report_number((double)cell[a * classes + b].p[i]));
                json_array_append_new(list, one);
            }
    tg_report_put(k->r, root, "examples", list);
}

static void put_confusion(const looked *k, json_t *root)
{
    const int64_t classes = k->d->schema.classes;
    worst *cell = calloc((size_t)(classes * classes), sizeof *cell);
    int64_t *count = calloc((size_t)(classes * classes), sizeof *count);
    json_t *rows = json_array(), *labels = json_array();
    for (int64_t i = 0; cell && count && i < k->rows; i++) {
        const int64_t actual = k->d->class_number[i], said = best_of(k->y + i * classes, classes);
        count[actual * classes + said]++;
        keep_worst(&cell[actual * classes + said], i, k->y[i * classes + said]);
    }
    for (int64_t a = 0; cell && count && a < classes; a++) {
        json_t *row = json_array();
        for (int64_t b = 0; b < classes; b++)
            json_array_append_new(row, json_integer(count[a * classes + b]));
        json_array_append_new(rows, row);
        json_array_append_new(labels, json_string(k->d->schema.label[a]));
    }
    tg_report_put(k->r, root, "labels", labels);
    tg_report_put(k->r, root, "confusion", count && cell ? rows : NULL);
    if (cell && count) put_worst(k, root, cell, classes);
    else json_decref(rows);
    free(cell);
    free(count);
}

/* How often the net is right where it says so much: ten ranges of the highest probability. */
static void put_calibration(const looked *k, json_t *root)
{
    const int64_t classes = k->d->schema.classes;
    int64_t n[RANGES] = {0}, right[RANGES] = {0};
    double sum[RANGES] = {0};
    for (int64_t i = 0; i < k->rows; i++) {
        const int64_t said = best_of(k->y + i * classes, classes);
        const double p = (double)k->y[i * classes + said];
        const int range = p < 1 ? (int)(p * RANGES) : RANGES - 1;
        n[range]++;
        sum[range] += p;
        right[range] += k->d->class_number[i] == said;
    }
    json_t *list = json_array();
    for (int g = 0; g < RANGES; g++) {
        if (!n[g]) continue;
        json_t *one = json_array();
        json_array_append_new(one, json_integer(n[g]));
        json_array_append_new(one, tg_report_number(sum[g] / (double)n[g]));
        json_array_append_new(one, tg_report_number((double)right[g] / (double)n[g]));
        json_array_append_new(list, one);
    }
    tg_report_put(k->r, root, "calibration", list);
}

/* ---------------------------------------------------------------- numbers */

static void put_predicted(const looked *k, json_t *root)
{
    json_t *list = json_array();
    const int64_t n = k->rows < 1000 ? k->rows : 1000;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = i * k->rows / n;
        json_t *one = json_array();
        json_array_append_new(one, tg_report_number((double)k->d->number[row]));
        json_array_append_new(one, tg_report_number((double)k->y[row]));
        json_array_append_new(list, one);
    }
    tg_report_put(k->r, root, "predicted", list);
}

/* ---------------------------------------------------------------- the first layer */

/* The first parameter that has a weight for each pixel. */
static void put_filters(tg_report *r, json_t *root, const tg_schema *s)
{
    const int64_t side = side_of(s);
    const tg_tensor *w = NULL;
    for (int k = 0; k < tg_params_count(r->m->params) && !w; k++) {
        const tg_tensor *p = tg_params_get(r->m->params, k);
        const tg_shape shape = tg_tensor_shape(p);
        if (tg_tensor_dtype(p) == TG_F32 && shape.ndim == 2 && shape.dim[1] == s->features) w = p;
    }
    if (!side || !w) return;
    const int64_t n = tg_tensor_shape(w).dim[0];
    const float *x = tg_param_data(w);
    json_t *y = json_object(), *images = json_array(), *scales = json_array();
    for (int64_t k = 0; k < n && k < FILTERS; k++) {
        double most = 0;
        for (int64_t i = 0; i < s->features; i++)
            most = fmax(most, fabs((double)x[k * s->features + i]));
        json_array_append_new(images, picture(x + k * s->features, s->features, -most, most));
        json_array_append_new(scales, tg_report_number(most));
    }
    tg_report_put(r, y, "name", json_string(tg_param_name(w)));
    tg_report_put(r, y, "of", json_integer(n));
    tg_report_put(r, y, "images", images);
    tg_report_put(r, y, "scales", scales);
    tg_report_put(r, root, "filters", y);
}

/* ---------------------------------------------------------------- all of it */

/* At most n rows, evenly taken. */
static tg_dataset *some_rows(const tg_dataset *d, int64_t n)
{
    const int64_t rows = d->rows < n ? d->rows : n;
    int64_t *row = malloc((size_t)rows * sizeof *row);
    for (int64_t k = 0; row && k < rows; k++) row[k] = k * d->rows / rows;
    tg_dataset *y = row ? tg_dataset_select(d, rows, row) : NULL;
    free(row);
    return y;
}

void tg_report_examine(tg_report *r, json_t *root, const tg_dataset *train, const tg_dataset *data)
{
    const tg_schema *s = &train->schema;
    json_t *features = json_array();
    for (int64_t k = 0; k < s->features && k < SHOWN; k++)
        json_array_append_new(features, json_string(s->name[k]));
    tg_report_put(r, root, "features", features);
    if (side_of(s)) tg_report_put(r, root, "side", json_integer(side_of(s)));
    put_filters(r, root, s);
    if (r->m->head == TG_HEAD_CUSTOM) return;
    tg_dataset *some = some_rows(data, LOOKED_AT);
    looked k = {.r = r, .d = some, .width = tg_model_prediction_width(r->m)};
    k.rows = tg_dataset_rows(some);
    tg_report_put(r, root, "looked_at", json_integer(k.rows));
    if (k.rows) k.y = malloc((size_t)(k.rows * k.width) * sizeof *k.y);
    if (!k.y || tg_predict(r->m, some, k.y) != TG_OK) {
        tg_error_set(&r->error, NULL, "report", TG_ENOMEM, "no memory");
    } else if (s->classes) {
        put_confusion(&k, root);
        put_calibration(&k, root);
    } else {
        put_predicted(&k, root);
    }
    free(k.y);
    if (r->error.status == TG_OK) {
        tg_report_surface(r, root, some);
        tg_report_importance(r, root, some);
    }
    tg_dataset_free(some);
}
