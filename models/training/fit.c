/* The trainer. */
#define _POSIX_C_SOURCE 200809L
#define TG_HERE NULL
#include <math.h>
#include <time.h>

#include "../../graph/params.h"
#include "../data/shuffle.h"
#include "trainer.h"

double tg_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

tg_status tg_fit_fail(tg_model *m, tg_status status, const char *what)
{
    return tg_error_set(&m->error, NULL, "fit", status, "%s", what);
}

/* ---------------------------------------------------------------- options */

static tg_status check_options(tg_model *m, const tg_fit_options *o)
{
    if (o->schedule && tg_schedule_status(o->schedule) != TG_OK)
        return tg_fit_fail(m, tg_schedule_status(o->schedule), tg_schedule_message(o->schedule));
    if (o->watch && !o->validation)
        return tg_fit_fail(m, TG_EVALUE, "options.watch wants options.validation");
    if (o->epochs < 0 || o->epochs > INT32_MAX || o->batch < 0 || o->batch > INT32_MAX)
        return tg_fit_fail(m, TG_EVALUE, "options.epochs or batch is out of range");
    if (o->patience < 0 || !(o->better_by >= 0) || !(o->average >= 0 && o->average <= 1) ||
        o->average_from < 0 || o->checkpoint_steps < 0 || !(o->checkpoint_seconds >= 0))
        return tg_fit_fail(
            m, TG_EVALUE, "options.patience, better_by, average or checkpoint_... is out of range");
    if (!o->checkpoint && (o->resume || o->checkpoint_steps || o->checkpoint_seconds > 0))
        return tg_fit_fail(m, TG_ENULL, "options.checkpoint is NULL");
    return TG_OK;
}

static tg_status check(tg_model *m, const tg_dataset *data, const tg_fit_options *o)
{
    if (tg_model_accepts(m, data, true, "fit") != TG_OK) return m->error.status;
    if (o->validation && tg_model_accepts(m, o->validation, true, "fit: validation") != TG_OK)
        return m->error.status;
    if (o->optimizer && tg_optim_params(o->optimizer) != m->params)
        return tg_fit_fail(m, TG_EVALUE, "options.optimizer steps other parameters than the net's");
    return check_options(m, o);
}

/* ---------------------------------------------------------------- beginning and ending */

/* All memory is taken here, so that the loop itself takes none. false: there is none. */
static bool reserve(tg_trainer *r)
{
    tg_model *m = r->m;
    void *history = m->history;
    const tg_tape_options tape = {.size = sizeof tape,
                                  .allocator = &m->allocator,
                                  .seed = m->seed,
                                  .stream = TG_STREAM_DROPOUT,
                                  .threads = m->threads};
    bool ok = tg_grow(&m->allocator, &history, &m->history_capacity,
                      m->epochs + (size_t)r->o.epochs, sizeof *m->history);
    m->history = history;
    r->tape = tg_tape_new(&tape);
    r->optimizer = r->o.optimizer ? r->o.optimizer : (r->own = tg_adam_new(m->params, NULL));
    if (!r->o.no_shuffle)
        ok =
            (r->order = tg_allocate(&m->allocator, (size_t)r->data->rows * sizeof *r->order)) && ok;
    return ok && r->tape && r->optimizer;
}

static tg_status begin(tg_trainer *r)
{
    tg_model *m = r->m;
    if (!r->o.epochs) r->o.epochs = 10;
    if (!r->o.batch) r->o.batch = 32;
    if (r->o.batch > r->data->rows) r->o.batch = r->data->rows;
    r->epochs_before = (int64_t)m->epochs;
    r->steps_before = m->steps;
    if (tg_scaling_learn(m, r->data) != TG_OK ||
        !tg_rows_reserve(m, &r->rows, m->dtype, r->o.batch))
        return m->error.status;
    if (!reserve(r)) return tg_fit_fail(m, TG_ENOMEM, "no memory");
    if (r->own) tg_optim_set_threads(r->own, m->threads);
    if (tg_judge_begin(r) != TG_OK || tg_sharing_begin(r) != TG_OK ||
        (r->o.resume && tg_training_read(r) != TG_OK))
        return m->error.status;
    tg_tape_set_step(r->tape, m->steps);
    r->saved = tg_seconds();
    if (r->o.profile) tg_profile_begin(r->o.profile, r->tape);
    return TG_OK;
}

static void end(tg_trainer *r)
{
    tg_model *m = r->m;
    tg_judge_end(r);
    if (r->o.profile && r->tape && tg_profile_status(r->o.profile) == TG_OK)
        tg_profile_end(r->o.profile, r->tape);
    tg_tape_free(r->tape);
    tg_optim_free(r->own);
    tg_rows_free(m, &r->rows);
    if (r->order) tg_release(&m->allocator, r->order, (size_t)r->data->rows * sizeof *r->order);
}

/* ---------------------------------------------------------------- a step */

tg_status tg_loss_failed(tg_model *m, double loss)
{
    tg_params_drop_grads(m->params);
    return tg_error_set(&m->error, NULL, "fit", TG_ENONFINITE,
                        "the loss became %s in epoch %lld; a smaller learning rate may help",
                        isnan(loss) ? "NaN" : "infinite", (long long)m->epochs + 1);
}

/* Leaves the gradients of n rows in the parameters, and adds to the scores. */
static tg_status gradients(tg_trainer *r, int64_t n)
{
    tg_model *m = r->m;
    tg_tape *t = r->tape;
    tg_rows_gather(m, &r->rows, r->data, n, r->order ? r->order + r->at : NULL, r->at);
    tg_tensor *loss, *output = tg_keep(t, tg_model_record_rows(m, t, &r->rows, n, &loss));
    tg_backward(t, loss);
    const double value = tg_item(t, loss);
    const void *y = tg_data(t, output);
    if (tg_tape_status(t) != TG_OK) return tg_fit_fail(m, tg_tape_status(t), tg_tape_message(t));
    if (!isfinite(value)) return tg_loss_failed(m, value);
    tg_buffers_update(t);
    r->batch_loss = value;
    tg_scores_add(&r->scores, m, &r->rows, n, y, value);
    return TG_OK;
}

void tg_tell_progress(tg_trainer *r, bool (*to)(const tg_progress *progress, void *user))
{
    const int64_t rows = r->data->rows, size = r->o.batch;
    if (!to) return;
    const tg_progress progress = {.epoch = (int64_t)r->m->epochs - r->epochs_before + 1,
                                  .epochs = r->o.epochs,
                                  .batch = (r->at + size - 1) / size,
                                  .batches = (rows + size - 1) / size,
                                  .loss = r->scores.loss / (double)r->scores.rows,
                                  .batch_loss = r->batch_loss};
    if (!to(&progress, r->o.user)) r->stopped = true;
}

/* A step whose rows are one leaf, and nobody else's. */
static tg_status step_alone(tg_trainer *r, int64_t n)
{
    tg_model *m = r->m;
    if (gradients(r, n) != TG_OK) return m->error.status;
    tg_tell_progress(r, r->o.on_gradients);
    tg_set_factor(r);
    tg_optim_step(r->optimizer);
    if (tg_optim_status(r->optimizer) != TG_OK)
        return tg_fit_fail(m, tg_optim_status(r->optimizer), tg_optim_message(r->optimizer));
    tg_tape_reset(r->tape);
    return TG_OK;
}

static tg_status step(tg_trainer *r, int64_t n)
{
    tg_model *m = r->m;
    if ((r->sharing.ranks ? tg_sharing_step(r, n) : step_alone(r, n)) != TG_OK)
        return m->error.status;
    m->steps++;
    r->at += n;
    r->unsaved++;
    return tg_average_step(r);
}

/* ---------------------------------------------------------------- epochs */

static bool is_due(tg_trainer *r, bool epoch)
{
    const tg_fit_options *o = &r->o;
    if (!o->checkpoint || !r->unsaved) return false;
    if (o->checkpoint_steps && r->m->steps % (uint64_t)o->checkpoint_steps == 0) return true;
    if (o->checkpoint_seconds > 0)
        return tg_sharing_any(r, tg_seconds() - r->saved >= o->checkpoint_seconds);
    return epoch && !o->checkpoint_steps;
}

static tg_status save(tg_trainer *r)
{
    return r->sharing.ranks ? tg_sharing_write(r) : tg_training_write(r);
}

/* What is left of a pass over the rows. */
static tg_status epoch(tg_trainer *r)
{
    tg_model *m = r->m;
    const int64_t rows = r->data->rows, size = r->o.batch;
    if (!r->at) m->rounds++, r->scores = (tg_scores){0};
    if (r->order)
        tg_shuffle(tg_random_key(m->seed, TG_STREAM_ORDER), m->rounds - 1, rows, r->order);
    while (r->at < rows && !r->stopped) {
        if (step(r, rows - r->at < size ? rows - r->at : size) != TG_OK) return m->error.status;
        tg_tell_progress(r, r->o.on_batch);
        if (r->o.checkpoint && r->o.on_batch) r->stopped = tg_sharing_any(r, r->stopped);
        if (is_due(r, false) && save(r) != TG_OK) return m->error.status;
    }
    return TG_OK;
}

static tg_status end_epoch(tg_trainer *r)
{
    tg_model *m = r->m;
    if (r->sharing.ranks && tg_sharing_epoch(r) != TG_OK) return m->error.status;
    tg_epoch done = {.epoch = (int64_t)m->epochs + 1, .train = tg_scores_metrics(&r->scores, m)};
    if (tg_judge(r, &done) != TG_OK) return m->error.status;
    done.seconds = tg_seconds() - r->start;
    m->history[m->epochs++] = done;
    r->at = 0;
    r->unsaved++;
    if (r->o.on_epoch && !r->o.on_epoch(&done, r->o.user)) r->stopped = true;
    return is_due(r, true) ? save(r) : TG_OK;
}

static tg_status train(tg_trainer *r)
{
    tg_model *m = r->m;
    while ((int64_t)m->epochs - r->epochs_before < r->o.epochs && !r->stopped && tg_is_patient(r)) {
        if (epoch(r) != TG_OK) return m->error.status;
        if (r->at == r->data->rows && end_epoch(r) != TG_OK) return m->error.status;
    }
    if (r->o.checkpoint && r->unsaved && save(r) != TG_OK) return m->error.status;
    return tg_take_weights(r);
}

tg_status tg_fit(tg_model *m, const tg_dataset *data, const tg_fit_options *options)
{
    tg_trainer r = {.m = m, .data = data, .start = tg_seconds()};
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    if (!tg_options_read(&r.o, sizeof r.o, options))
        return tg_fit_fail(m, TG_EVALUE, TG_UNSIZED(tg_fit_options));
    if (check(m, data, &r.o) == TG_OK) begin(&r);
    if (tg_sharing_start(&r) == TG_OK) train(&r);
    tg_sharing_end(&r);
    end(&r);
    return m->error.status;
}
