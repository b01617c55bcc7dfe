/* Loss and scores, batch by batch. */
#define TG_HERE NULL
#include <math.h>
#include <string.h>

#include "model.h"

static int64_t predicted_class(const tg_model *m, const void *output, int64_t row)
{
    if (m->head == TG_HEAD_BCE) return tg_real_at(m->dtype, output, row) > 0;
    const int64_t first = row * m->schema.classes;
    int64_t best = 0;
    for (int64_t k = 1; k < m->schema.classes; k++)
        if (tg_real_at(m->dtype, output, first + k) > tg_real_at(m->dtype, output, first + best))
            best = k;
    return best;
}

void tg_scores_add(tg_scores *s, const tg_model *m, const tg_rows *b, int64_t n, const void *output,
                   double loss)
{
    s->loss += loss * (double)n;
    for (int64_t i = 0; i < n; i++) {
        s->rows++;
        if (m->head == TG_HEAD_MSE) {
            /* Welford 1962 */
            const double y = tg_real_at(b->dtype, b->number, i),
                         residual = y - tg_real_at(m->dtype, output, i), before = y - s->mean;
            s->residual += residual * residual;
            s->mean += before / (double)s->rows;
            s->deviation += before * (y - s->mean);
        } else if (m->head != TG_HEAD_CUSTOM) {
            const int64_t predicted = predicted_class(m, output, i), actual = b->class_number[i];
            s->correct += predicted == actual;
            if (s->confusion) s->confusion[actual * m->schema.classes + predicted]++;
        }
    }
}

tg_metrics tg_scores_metrics(const tg_scores *s, const tg_model *m)
{
    const double n = (double)s->rows;
    tg_metrics y = {.rows = s->rows, .loss = s->loss / n, .accuracy = NAN, .r2 = NAN, .rmse = NAN};
    if (m->head == TG_HEAD_CUSTOM) return y;
    if (m->head != TG_HEAD_MSE) {
        y.accuracy = (double)s->correct / n;
    } else {
        y.rmse = sqrt(s->residual / n) * m->scaling.target_std;
        if (s->deviation > 0) y.r2 = 1 - s->residual / s->deviation;
    }
    return y;
}

/* ---------------------------------------------------------------- evaluating and predicting */

enum { EVALUATION_BATCH = 256 };

/* The tape in evaluation mode and the buffers for rows. */
static tg_status prepare(tg_model *m)
{
    if (!m->evaluator) {
        const tg_tape_options options = {.size = sizeof options,
                                         .allocator = &m->allocator,
                                         .threads = m->threads,
                                         .evaluation = true};
        m->evaluator = tg_tape_new(&options);
        if (!m->evaluator) return tg_model_fail(m, TG_ENOMEM, "no memory for a tape");
    }
    return tg_rows_reserve(m, &m->rows, m->dtype, EVALUATION_BATCH) ? TG_OK : m->error.status;
}

/* Ends a use of the evaluator, taking its error over. */
static tg_status finish(tg_model *m, const char *caller)
{
    if (tg_tape_status(m->evaluator) != TG_OK)
        tg_error_set(&m->error, NULL, caller, tg_tape_status(m->evaluator), "%s",
                     tg_tape_message(m->evaluator));
    tg_tape_reset(m->evaluator);
    tg_tape_clear_error(m->evaluator);
    return m->error.status;
}

tg_status tg_evaluate(tg_model *m, const tg_dataset *d, tg_metrics *metrics, int64_t *confusion)
{
    if (metrics) *metrics = (tg_metrics){.loss = NAN, .accuracy = NAN, .r2 = NAN, .rmse = NAN};
    if (tg_model_accepts(m, d, true, "evaluate") != TG_OK) return tg_model_status(m);
    if (!metrics) return tg_error_set(&m->error, NULL, "evaluate", TG_ENULL, "metrics is NULL");
    if (prepare(m) != TG_OK) return m->error.status;
    tg_scores scores = {.confusion = m->schema.classes ? confusion : NULL};
    if (scores.confusion)
        memset(confusion, 0, (size_t)(m->schema.classes * m->schema.classes) * sizeof *confusion);
    tg_tape *t = m->evaluator;
    for (int64_t first = 0; first < d->rows && tg_tape_status(t) == TG_OK;
         first += EVALUATION_BATCH) {
        const int64_t n = d->rows - first < EVALUATION_BATCH ? d->rows - first : EVALUATION_BATCH;
        tg_rows_gather(m, &m->rows, d, n, NULL, first);
        tg_tensor *loss, *output = tg_model_record_rows(m, t, &m->rows, n, &loss);
        tg_eval(t, 2, ((tg_tensor *const[]){output, loss}));
        const double value = tg_item(t, loss);
        const void *y = tg_data(t, output);
        if (y) tg_scores_add(&scores, m, &m->rows, n, y, value);
        tg_tape_reset(t);
    }
    if (finish(m, "evaluate") != TG_OK) return m->error.status;
    *metrics = tg_scores_metrics(&scores, m);
    return TG_OK;
}

/* Turns n rows of the net's results into predictions. */
static void predictions(const tg_model *m, int64_t n, const void *result, float *y)
{
    const int64_t count = n * tg_model_outputs(m);
    for (int64_t i = 0; i < count; i++) {
        const double value = tg_real_at(m->dtype, result, i);
        if (m->head == TG_HEAD_BCE) {
            y[2 * i] = (float)(1 - value);
            y[2 * i + 1] = (float)value;
        } else if (m->head == TG_HEAD_MSE) {
            y[i] = (float)(value * m->scaling.target_std + m->scaling.target_mean);
        } else {
            y[i] = (float)value;
        }
    }
}

tg_status tg_predict(tg_model *m, const tg_dataset *d, float *y)
{
    if (tg_model_accepts(m, d, false, "predict") != TG_OK) return tg_model_status(m);
    if (!y) return tg_error_set(&m->error, NULL, "predict", TG_ENULL, "y is NULL");
    if (prepare(m) != TG_OK) return m->error.status;
    tg_tape *t = m->evaluator;
    for (int64_t first = 0; first < d->rows && tg_tape_status(t) == TG_OK;
         first += EVALUATION_BATCH) {
        const int64_t n = d->rows - first < EVALUATION_BATCH ? d->rows - first : EVALUATION_BATCH;
        tg_rows_gather(m, &m->rows, d, n, NULL, first);
        tg_tensor *result = tg_model_record_rows(m, t, &m->rows, n, NULL);
        if (m->head == TG_HEAD_BCE) result = tg_sigmoid(t, result);
        if (m->head == TG_HEAD_CROSS_ENTROPY) result = tg_softmax(t, result, 1);
        const void *data = tg_data(t, result);
        if (data) predictions(m, n, data, y + first * tg_model_prediction_width(m));
        tg_tape_reset(t);
    }
    return finish(m, "predict");
}
