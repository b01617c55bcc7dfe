/* Loss and scores, batch by batch. */
#define TG_HERE NULL
#include <math.h>
#include <string.h>

#include "../layers/mlp.h"

static int64_t predicted_class(const tg_mlp *m, const float *output)
{
    if (m->head == TG_HEAD_BCE) return output[0] > 0;
    int64_t best = 0;
    for (int64_t k = 1; k < m->outputs; k++)
        if (output[k] > output[best]) best = k;
    return best;
}

void tg_scores_add(tg_scores *s, const tg_mlp *m, const tg_batch *b, int64_t n, const float *output,
                   double loss)
{
    s->loss += loss * (double)n;
    for (int64_t i = 0; i < n; i++) {
        s->rows++;
        if (m->head == TG_HEAD_MSE) {
            /* Welford 1962 */
            const double y = (double)b->number[i], residual = y - (double)output[i],
                         before = y - s->mean;
            s->residual += residual * residual;
            s->mean += before / (double)s->rows;
            s->deviation += before * (y - s->mean);
        } else {
            const int64_t predicted = predicted_class(m, output + i * m->outputs),
                          actual = b->class_number[i];
            s->correct += predicted == actual;
            if (s->confusion) s->confusion[actual * m->schema.classes + predicted]++;
        }
    }
}

tg_metrics tg_scores_metrics(const tg_scores *s, const tg_mlp *m)
{
    const double n = (double)s->rows;
    tg_metrics y = {.rows = s->rows, .loss = s->loss / n, .accuracy = NAN, .r2 = NAN, .rmse = NAN};
    if (m->head != TG_HEAD_MSE) {
        y.accuracy = (double)s->correct / n;
    } else {
        y.rmse = sqrt(s->residual / n) * m->scaling.target_std;
        if (s->deviation > 0) y.r2 = 1 - s->residual / s->deviation;
    }
    return y;
}

/* ---------------------------------------------------------------- which data fits */

static tg_status differs(tg_mlp *m, const char *caller, const char *what, int64_t k,
                         const char *given, const char *expected)
{
    return tg_error_set(&m->error, NULL, caller, TG_EVALUE,
                        "%s %lld of the data is '%.60s' where the model has '%.60s'", what,
                        (long long)k, given, expected);
}

tg_status tg_mlp_accepts(tg_mlp *m, const tg_dataset *d, bool targets, const char *caller)
{
    if (!m) return TG_ENOMEM;
    if (m->error.status != TG_OK) return m->error.status;
    tg_error *e = &m->error;
    if (!d) return tg_error_set(e, NULL, caller, TG_ENULL, "the data set is NULL");
    if (d->error.status != TG_OK)
        return tg_error_set(e, NULL, NULL, d->error.status, "%s", d->error.message);
    if (!d->filled || d->rows == 0)
        return tg_error_set(e, NULL, caller, TG_ESTATE, "the data set has no rows");
    const tg_schema *s = &d->schema, *own = &m->schema;
    if (s->features != own->features)
        return tg_error_set(e, NULL, caller, TG_ESHAPE,
                            "the data has %lld features, the model %lld", (long long)s->features,
                            (long long)own->features);
    for (int64_t k = 0; k < s->features; k++)
        if (strcmp(s->name[k], own->name[k]) != 0)
            return differs(m, caller, "feature", k, s->name[k], own->name[k]);
    if (!targets) return TG_OK;
    if (!d->has_target)
        return tg_error_set(e, NULL, caller, TG_EFORMAT, "the data has no column '%.60s'",
                            own->target);
    if ((s->task == TG_TASK_REGRESSION) != (own->task == TG_TASK_REGRESSION))
        return tg_error_set(e, NULL, caller, TG_EVALUE, "the data's task is %s, the model's %s",
                            tg_task_name(s->task), tg_task_name(own->task));
    if (s->classes > own->classes)
        return tg_error_set(e, NULL, caller, TG_ESHAPE, "the data has %lld classes, the model %lld",
                            (long long)s->classes, (long long)own->classes);
    for (int64_t k = 0; k < s->classes; k++)
        if (strcmp(s->label[k], own->label[k]) != 0)
            return differs(m, caller, "class", k, s->label[k], own->label[k]);
    return TG_OK;
}

/* ---------------------------------------------------------------- evaluating and predicting */

enum { EVALUATION_BATCH = 256 };

/* The tape in evaluation mode and the buffers for rows. */
static tg_status prepare(tg_mlp *m)
{
    if (!m->evaluator) {
        const tg_tape_options options = {.size = sizeof options,
                                         .allocator = &m->allocator,
                                         .threads = m->threads,
                                         .evaluation = true};
        m->evaluator = tg_tape_new(&options);
        if (!m->evaluator)
            return tg_error_set(&m->error, NULL, "mlp", TG_ENOMEM, "no memory for a tape");
    }
    return tg_batch_reserve(m, &m->batch, EVALUATION_BATCH) ? TG_OK : m->error.status;
}

/* Ends a use of the evaluator, taking its error over. */
static tg_status finish(tg_mlp *m, const char *caller)
{
    if (tg_tape_status(m->evaluator) != TG_OK)
        tg_error_set(&m->error, NULL, caller, tg_tape_status(m->evaluator), "%s",
                     tg_tape_message(m->evaluator));
    tg_tape_reset(m->evaluator);
    tg_tape_clear_error(m->evaluator);
    return m->error.status;
}

tg_status tg_evaluate(tg_mlp *m, const tg_dataset *d, tg_metrics *metrics, int64_t *confusion)
{
    if (metrics) *metrics = (tg_metrics){.loss = NAN, .accuracy = NAN, .r2 = NAN, .rmse = NAN};
    if (tg_mlp_accepts(m, d, true, "evaluate") != TG_OK) return tg_mlp_status(m);
    if (!metrics) return tg_error_set(&m->error, NULL, "evaluate", TG_ENULL, "metrics is NULL");
    if (prepare(m) != TG_OK) return m->error.status;
    tg_scores scores = {.confusion = m->schema.classes ? confusion : NULL};
    if (scores.confusion)
        memset(confusion, 0, (size_t)(m->schema.classes * m->schema.classes) * sizeof *confusion);
    tg_tape *t = m->evaluator;
    for (int64_t first = 0; first < d->rows && tg_tape_status(t) == TG_OK;
         first += EVALUATION_BATCH) {
        const int64_t n = d->rows - first < EVALUATION_BATCH ? d->rows - first : EVALUATION_BATCH;
        tg_batch_gather(m, &m->batch, d, n, NULL, first);
        tg_tensor *output = tg_mlp_output(t, m, tg_batch_x(m, &m->batch, t, n));
        tg_tensor *loss = tg_mlp_loss(t, m, output, tg_batch_target(m, &m->batch, t, n));
        tg_eval(t, 2, ((tg_tensor *const[]){output, loss}));
        const double value = tg_item(t, loss);
        const float *y = tg_data(t, output);
        if (y) tg_scores_add(&scores, m, &m->batch, n, y, value);
        tg_tape_reset(t);
    }
    if (finish(m, "evaluate") != TG_OK) return m->error.status;
    *metrics = tg_scores_metrics(&scores, m);
    return TG_OK;
}

/* Turns n rows of the net's results into predictions. */
static void predictions(const tg_mlp *m, int64_t n, const float *result, float *y)
{
    if (m->head == TG_HEAD_BCE) {
        for (int64_t i = 0; i < n; i++) {
            y[2 * i] = 1 - result[i];
            y[2 * i + 1] = result[i];
        }
    } else if (m->head == TG_HEAD_MSE) {
        for (int64_t i = 0; i < n; i++)
            y[i] = (float)((double)result[i] * m->scaling.target_std + m->scaling.target_mean);
    } else {
        memcpy(y, result, (size_t)(n * m->outputs) * sizeof *y);
    }
}

tg_status tg_predict(tg_mlp *m, const tg_dataset *d, float *y)
{
    if (tg_mlp_accepts(m, d, false, "predict") != TG_OK) return tg_mlp_status(m);
    if (!y) return tg_error_set(&m->error, NULL, "predict", TG_ENULL, "y is NULL");
    if (prepare(m) != TG_OK) return m->error.status;
    tg_tape *t = m->evaluator;
    for (int64_t first = 0; first < d->rows && tg_tape_status(t) == TG_OK;
         first += EVALUATION_BATCH) {
        const int64_t n = d->rows - first < EVALUATION_BATCH ? d->rows - first : EVALUATION_BATCH;
        tg_batch_gather(m, &m->batch, d, n, NULL, first);
        tg_tensor *result = tg_mlp_output(t, m, tg_batch_x(m, &m->batch, t, n));
        if (m->head == TG_HEAD_BCE) result = tg_sigmoid(t, result);
        if (m->head == TG_HEAD_CROSS_ENTROPY) result = tg_softmax(t, result, 1);
        const float *data = tg_data(t, result);
        if (data) predictions(m, n, data, y + first * tg_mlp_prediction_width(m));
        tg_tape_reset(t);
    }
    return finish(m, "predict");
}
