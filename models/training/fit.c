/* The trainer. */
#define _POSIX_C_SOURCE 200809L
#define TG_HERE NULL
#include <math.h>
#include <time.h>

#include "../../graph/params.h"
#include "../data/shuffle.h"
#include "model.h"

typedef struct trainer {
    tg_model *m;
    const tg_dataset *data;
    tg_fit_options o;
    tg_optim *optimizer; /* the caller's or own */
    tg_optim *own;
    tg_tape *tape;
    tg_rows rows;
    int64_t *order; /* of the rows; NULL: as they are */
    int64_t epochs_before;
    double start;
    bool stopped; /* by a callback */
} trainer;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static tg_status fail(tg_model *m, tg_status status, const char *what)
{
    return tg_error_set(&m->error, NULL, "fit", status, "%s", what);
}

static tg_status check(tg_model *m, const tg_dataset *data, const tg_fit_options *o)
{
    if (tg_model_accepts(m, data, true, "fit") != TG_OK) return m->error.status;
    if (o->validation && tg_model_accepts(m, o->validation, true, "fit: validation") != TG_OK)
        return m->error.status;
    if (o->epochs < 0 || o->epochs > INT32_MAX)
        return fail(m, TG_EVALUE, "options.epochs is out of range");
    if (o->batch < 0 || o->batch > INT32_MAX)
        return fail(m, TG_EVALUE, "options.batch is out of range");
    if (o->optimizer && tg_optim_params(o->optimizer) != m->params)
        return fail(m, TG_EVALUE, "options.optimizer steps other parameters than the net's");
    return TG_OK;
}

/* All memory is taken here, so that the loop itself takes none. */
static tg_status begin(trainer *r)
{
    tg_model *m = r->m;
    if (!r->o.epochs) r->o.epochs = 10;
    if (!r->o.batch) r->o.batch = 32;
    if (r->o.batch > r->data->rows) r->o.batch = r->data->rows;
    if (tg_scaling_learn(m, r->data) != TG_OK ||
        !tg_rows_reserve(m, &r->rows, m->dtype, r->o.batch))
        return m->error.status;
    const tg_tape_options tape = {.size = sizeof tape,
                                  .allocator = &m->allocator,
                                  .seed = m->seed,
                                  .stream = TG_STREAM_DROPOUT,
                                  .threads = m->threads};
    r->tape = tg_tape_new(&tape);
    tg_tape_set_step(r->tape, m->steps);
    r->optimizer = r->o.optimizer ? r->o.optimizer : (r->own = tg_adam_new(m->params, NULL));
    if (r->own) tg_optim_set_threads(r->own, m->threads);
    void *history = m->history;
    bool ok = tg_grow(&m->allocator, &history, &m->history_capacity,
                      m->epochs + (size_t)r->o.epochs, sizeof *m->history);
    m->history = history;
    if (ok && !r->o.no_shuffle)
        ok = (r->order = tg_allocate(&m->allocator, (size_t)r->data->rows * sizeof *r->order));
    return ok && r->tape && r->optimizer ? TG_OK : fail(m, TG_ENOMEM, "no memory");
}

static void end(trainer *r)
{
    tg_model *m = r->m;
    tg_tape_free(r->tape);
    tg_optim_free(r->own);
    tg_rows_free(m, &r->rows);
    if (r->order) tg_release(&m->allocator, r->order, (size_t)r->data->rows * sizeof *r->order);
}

/* One step on n rows. */
static tg_status step(trainer *r, int64_t first, int64_t n, tg_scores *scores)
{
    tg_model *m = r->m;
    tg_tape *t = r->tape;
    tg_rows_gather(m, &r->rows, r->data, n, r->order ? r->order + first : NULL, first);
    tg_tensor *loss, *output = tg_keep(t, tg_model_record(m, t, &r->rows, n, &loss));
    tg_backward(t, loss);
    const double value = tg_item(t, loss);
    const void *y = tg_data(t, output);
    if (tg_tape_status(t) != TG_OK) return fail(m, tg_tape_status(t), tg_tape_message(t));
    if (!isfinite(value)) {
        tg_params_drop_grads(m->params);
        return tg_error_set(&m->error, NULL, "fit", TG_ENONFINITE,
                            "the loss became %s in epoch %lld; a smaller learning rate may help",
                            isnan(value) ? "NaN" : "infinite", (long long)m->epochs + 1);
    }
    tg_buffers_update(t);
    tg_optim_step(r->optimizer);
    if (tg_optim_status(r->optimizer) != TG_OK)
        return fail(m, tg_optim_status(r->optimizer), tg_optim_message(r->optimizer));
    tg_scores_add(scores, m, &r->rows, n, y, value);
    tg_tape_reset(t);
    m->steps++;
    return TG_OK;
}

/* One pass over the rows. */
static tg_status epoch(trainer *r, tg_scores *scores)
{
    tg_model *m = r->m;
    const int64_t rows = r->data->rows, size = r->o.batch;
    if (r->order) tg_shuffle(tg_random_key(m->seed, TG_STREAM_ORDER), m->rounds, rows, r->order);
    m->rounds++;
    for (int64_t first = 0; first < rows && !r->stopped; first += size) {
        if (step(r, first, rows - first < size ? rows - first : size, scores) != TG_OK)
            return m->error.status;
        const tg_progress progress = {.epoch = (int64_t)m->epochs - r->epochs_before + 1,
                                      .epochs = r->o.epochs,
                                      .batch = first / size + 1,
                                      .batches = (rows + size - 1) / size,
                                      .loss = scores->loss / (double)scores->rows};
        r->stopped = r->o.on_batch && !r->o.on_batch(&progress, r->o.user);
    }
    return TG_OK;
}

static tg_status train(trainer *r)
{
    tg_model *m = r->m;
    for (int64_t k = 0; k < r->o.epochs && !r->stopped; k++) {
        tg_scores scores = {0};
        if (epoch(r, &scores) != TG_OK) return m->error.status;
        if (scores.rows < r->data->rows) break;
        tg_epoch done = {.epoch = (int64_t)m->epochs + 1, .train = tg_scores_metrics(&scores, m)};
        if (r->o.validation && tg_evaluate(m, r->o.validation, &done.validation, NULL) != TG_OK)
            return m->error.status;
        done.seconds = seconds() - r->start;
        m->history[m->epochs++] = done;
        if (r->o.on_epoch && !r->o.on_epoch(&done, r->o.user)) r->stopped = true;
    }
    return TG_OK;
}

tg_status tg_fit(tg_model *m, const tg_dataset *data, const tg_fit_options *options)
{
    trainer r = {.m = m, .data = data, .start = seconds()};
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    if (!tg_options_read(&r.o, sizeof r.o, options))
        return fail(m, TG_EVALUE, TG_UNSIZED(tg_fit_options));
    if (check(m, data, &r.o) != TG_OK) return m->error.status;
    r.epochs_before = (int64_t)m->epochs;
    if (begin(&r) == TG_OK) train(&r);
    end(&r);
    return m->error.status;
}
