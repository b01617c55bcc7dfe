/* The recording of a training: what tg_fit tells, step by step and epoch by epoch. */
#include <math.h>
#include <string.h>

#include "../../optim/optimizer.h"
#include "recorder.h"

static tg_status fail(tg_report *r, tg_status status, const char *what)
{
    return tg_error_set(&r->error, NULL, "report", status, "%s", what);
}

static const char *copy_text(tg_report *r, const char *text)
{
    if (!text) return NULL;
    const char *copy = tg_arena_text(&r->memory, text, strlen(text));
    if (!copy) fail(r, TG_ENOMEM, "no memory");
    return copy;
}

tg_report *tg_report_new(tg_model *m, const tg_report_options *options)
{
    tg_report_options o;
    const bool readable = tg_options_read(&o, sizeof o, options);
    const tg_allocator a = tg_allocator_or_default(readable ? o.allocator : NULL);
    tg_report *r = tg_allocate(&a, sizeof *r);
    if (!r) return NULL;
    *r = (tg_report){.allocator = a, .m = m, .every = 1};
    tg_arena_init(&r->memory, &r->allocator);
    if (!readable) fail(r, TG_EVALUE, TG_UNSIZED(tg_report_options));
    else if (!m) fail(r, TG_ENULL, "the model is NULL");
    else if (tg_model_status(m) != TG_OK) fail(r, tg_model_status(m), tg_model_message(m));
    if (r->error.status) return r;
    r->options = o;
    r->options.title = copy_text(r, o.title);
    r->options.data = copy_text(r, o.data);
    r->options.command = copy_text(r, o.command);
    r->options.held = copy_text(r, o.held ? o.held : "held out");
    r->options.settings = copy_text(r, o.settings);
    return r;
}

void tg_report_free(tg_report *r)
{
    if (!r) return;
    const tg_allocator a = r->allocator;
    tg_profile_free(r->own);
    tg_release(&a, r->before, (size_t)r->elements * sizeof *r->before);
    tg_release(&a, r->step, r->step_capacity * sizeof *r->step);
    tg_release(&a, r->snapshot, r->snapshot_capacity * sizeof *r->snapshot);
    tg_arena_free(&r->memory);
    tg_release(&a, r, sizeof *r);
}

tg_status tg_report_status(const tg_report *r) { return r ? r->error.status : TG_ENOMEM; }
const char *tg_report_message(const tg_report *r)
{
    return r ? r->error.message : "no memory for the report";
}

/* ---------------------------------------------------------------- numbers of parameters */

static double value_at(const tg_tensor *p, const void *data, int64_t i)
{
    return tg_real_at(tg_tensor_dtype(p), data, i);
}

static double squares(const tg_tensor *p, const void *data)
{
    double sum = 0;
    for (int64_t i = 0; data && i < tg_tensor_count(p); i++)
        sum += value_at(p, data, i) * value_at(p, data, i);
    return sum;
}

static tg_histogram histogram_of(const tg_tensor *p, const void *data)
{
    tg_histogram h = {.low = INFINITY, .high = -INFINITY};
    const int64_t n = data ? tg_tensor_count(p) : 0;
    for (int64_t i = 0; i < n; i++) {
        h.low = fmin(h.low, value_at(p, data, i));
        h.high = fmax(h.high, value_at(p, data, i));
    }
    const double width = (h.high - h.low) / TG_BINS;
    for (int64_t i = 0; i < n; i++) {
        const double at = width > 0 ? (value_at(p, data, i) - h.low) / width : 0;
        h.count[at < TG_BINS - 1 ? (int)at : TG_BINS - 1]++;
    }
    return h;
}

/* ---------------------------------------------------------------- epochs that are kept */

/* When there are many, every second one goes. */
static void make_room(tg_report *r)
{
    const size_t n = (size_t)r->n_params;
    if (r->n_snapshots < TG_SNAPSHOTS * n) return;
    size_t kept = 0;
    r->every *= 2;
    for (size_t k = 0; k < r->n_snapshots; k += n)
        if (r->snapshot[k].epoch % r->every == 0) {
            memmove(&r->snapshot[kept], &r->snapshot[k], n * sizeof *r->snapshot);
            kept += n;
        }
    r->n_snapshots = kept;
}

/* The gradients of the epoch's last step, and the weights before it. */
static void begin_snapshot(tg_report *r, int64_t epoch)
{
    const size_t n = (size_t)r->n_params;
    make_room(r);
    if (epoch % r->every) return;
    void *list = r->snapshot;
    const bool room = tg_grow(&r->allocator, &list, &r->snapshot_capacity, r->n_snapshots + n,
                              sizeof *r->snapshot);
    r->snapshot = list;
    if (!room) {
        fail(r, TG_ENOMEM, "no memory");
        return;
    }
    const tg_params *ps = r->m->params;
    double *before = r->before;
    for (int k = 0; k < (int)n; k++) {
        const tg_tensor *p = tg_params_get(ps, k);
        r->snapshot[r->n_snapshots + (size_t)k] =
            (tg_snapshot){.epoch = epoch, .gradients = histogram_of(p, tg_param_grad(p))};
        for (int64_t i = 0; i < tg_tensor_count(p); i++)
            *before++ = value_at(p, tg_param_data(p), i);
    }
    r->n_snapshots += n;
}

static void end_snapshot(tg_report *r, int64_t epoch)
{
    const size_t n = (size_t)r->n_params;
    if (!r->n_snapshots || r->snapshot[r->n_snapshots - 1].epoch != epoch) return;
    const double *before = r->before;
    for (int k = 0; k < (int)n; k++) {
        const tg_tensor *p = tg_params_get(r->m->params, k);
        tg_snapshot *s = &r->snapshot[r->n_snapshots - n + (size_t)k];
        double moved = 0;
        for (int64_t i = 0; i < tg_tensor_count(p); i++, before++) {
            const double step = value_at(p, tg_param_data(p), i) - *before;
            moved += step * step;
        }
        s->weights = histogram_of(p, tg_param_data(p));
        s->ratio = sqrt(moved / squares(p, tg_param_data(p)));
    }
}

/* ---------------------------------------------------------------- what tg_fit tells */

static bool is_last(const tg_progress *p, int64_t done) { return done == p->batches; }
static int64_t epoch_of(const tg_report *r) { return (int64_t)r->m->epochs + 1; }

static bool on_gradients(const tg_progress *progress, void *user)
{
    tg_report *r = user;
    const tg_params *ps = r->m->params;
    void *list = r->step;
    if (r->error.status == TG_OK &&
        !tg_grow(&r->allocator, &list, &r->step_capacity, r->n_steps + 1, sizeof *r->step))
        fail(r, TG_ENOMEM, "no memory");
    if (r->error.status == TG_OK) {
        double sum = 0;
        for (int k = 0; k < (int)r->n_params; k++)
            sum += squares(tg_params_get(ps, k), tg_param_grad(tg_params_get(ps, k)));
        r->step = list;
        r->step[r->n_steps++] = (tg_recorded_step){.loss = progress->batch_loss, .norm = sqrt(sum)};
        if (is_last(progress, progress->batch + 1)) begin_snapshot(r, epoch_of(r));
    }
    return !r->inner.on_gradients || r->inner.on_gradients(progress, r->inner.user);
}

static bool on_batch(const tg_progress *progress, void *user)
{
    tg_report *r = user;
    if (r->error.status == TG_OK && r->n_steps) {
        r->step[r->n_steps - 1].rate =
            r->optimizer ? r->optimizer->learning_rate * r->optimizer->factor : (double)NAN;
        if (is_last(progress, progress->batch)) end_snapshot(r, epoch_of(r));
    }
    return !r->inner.on_batch || r->inner.on_batch(progress, r->inner.user);
}

static bool on_epoch(const tg_epoch *epoch, void *user)
{
    tg_report *r = user;
    return !r->inner.on_epoch || r->inner.on_epoch(epoch, r->inner.user);
}

tg_status tg_report_attach(tg_report *r, tg_fit_options *o)
{
    if (!r || r->error.status != TG_OK) return tg_report_status(r);
    if (!o) return fail(r, TG_ENULL, "the options are NULL");
    if (o->size < sizeof *o) return fail(r, TG_EVALUE, TG_UNSIZED(tg_fit_options));
    if (!r->before) {
        r->n_params = tg_params_count(r->m->params);
        r->elements = tg_params_elements(r->m->params);
        r->before = tg_allocate(&r->allocator, (size_t)r->elements * sizeof *r->before);
    }
    if (!o->profile && !r->own)
        r->own = tg_profile_new(&(tg_profile_options){.size = sizeof(tg_profile_options),
                                                      .allocator = &r->allocator,
                                                      .traced = 1,
                                                      .limit_rounds = r->options.limit_rounds,
                                                      .threads = r->options.threads});
    if (!r->before || (!o->profile && !r->own)) return fail(r, TG_ENOMEM, "no memory");
    r->profile = o->profile ? o->profile : r->own;
    r->optimizer = o->optimizer;
    r->inner = *o;
    o->on_gradients = on_gradients;
    o->on_batch = on_batch;
    o->on_epoch = on_epoch;
    o->profile = r->profile;
    o->user = r;
    return TG_OK;
}
