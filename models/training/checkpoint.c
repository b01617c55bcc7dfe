/* Checkpoints of trainings: a safetensors file of tensors with these names,
 *     model/PARAMETER, best/PARAMETER, average/PARAMETER, gradient/PARAMETER (of steps that are
 *     accumulated), optimizer/SLOT/PARAMETER, rate/NUMBER (of an optimizer's parts), scaling/mean,
 *     scaling/std, history, leaves/scores (of an epoch on its way, where there are several leaves),
 *     training/NUMBER (all else that is a number),
 * and what is text in its metadata, sealed with a digest of each. */
#define TG_HERE NULL
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "../../graph/params.h"
#include "../../graph/text.h"
#include "../../optim/optimizer.h"
#include "../data/json.h"
#include "../data/safetensors.h"
#include "trainer.h"

static const char format_name[] = "tapegrad-training-1";

enum { METRICS = 5, COLUMNS = 3 + 2 * METRICS }; /* of the history */

/* ---------------------------------------------------------------- numbers */

typedef struct numbers {
    /* what must be as it was */
    int64_t data, validation, seed, batch, leaves, shuffled, best_kept, averaging, plateau_used;
    /* where the training is */
    int64_t epochs, epochs_before, steps, steps_before, rounds, at;
    int64_t rows, correct, best_epoch, worse, averaged, skipped, collected;
    int64_t plateau_begun, plateau_bad, plateau_cooling;
    double loss, residual, mean, deviation, best, factor, optimizer_factor, seconds;
    double plateau_best, plateau_reached, target_mean, target_std;
} numbers;

/* The first ones are those that must be as they were. */
enum { FIXED = 9 };
#define WHOLE(field)                                         \
    {                                                        \
        "training/" #field, TG_I64, offsetof(numbers, field) \
    }
#define REAL(field)                                          \
    {                                                        \
        "training/" #field, TG_F64, offsetof(numbers, field) \
    }
static const struct number {
    const char *name;
    tg_dtype dtype;
    size_t offset;
} table[] = {
    WHOLE(data),
    WHOLE(validation),
    WHOLE(seed),
    WHOLE(batch),
    WHOLE(leaves),
    WHOLE(shuffled),
    WHOLE(best_kept),
    WHOLE(averaging),
    WHOLE(plateau_used),
    WHOLE(epochs),
    WHOLE(epochs_before),
    WHOLE(steps),
    WHOLE(steps_before),
    WHOLE(rounds),
    WHOLE(at),
    WHOLE(rows),
    WHOLE(correct),
    WHOLE(best_epoch),
    WHOLE(worse),
    WHOLE(averaged),
    WHOLE(skipped),
    WHOLE(collected),
    WHOLE(plateau_begun),
    WHOLE(plateau_bad),
    WHOLE(plateau_cooling),
    REAL(loss),
    REAL(residual),
    REAL(mean),
    REAL(deviation),
    REAL(best),
    REAL(factor),
    REAL(optimizer_factor),
    REAL(seconds),
    REAL(plateau_best),
    REAL(plateau_reached),
    REAL(target_mean),
    REAL(target_std),
};
enum { NUMBERS = sizeof table / sizeof table[0] };

static uint64_t mix(uint64_t digest, const void *data, size_t bytes)
{
    return bytes ? XXH3_64bits_withSeed(data, bytes, digest) : digest;
}

uint64_t tg_dataset_digest(const tg_dataset *d)
{
    if (!d) return 0;
    const size_t n = (size_t)d->rows, features = (size_t)d->schema.features;
    uint64_t y = mix(n, d->x, n * features * sizeof *d->x);
    if (d->exact) y = mix(y, d->exact, n * features * sizeof *d->exact);
    const float *number = tg_dataset_numbers(d);
    const int64_t *class_number = tg_dataset_class_numbers(d);
    if (number) y = mix(y, number, n * sizeof *number);
    if (number && d->exact_number) y = mix(y, d->exact_number, n * sizeof *d->exact_number);
    if (class_number) y = mix(y, class_number, n * sizeof *class_number);
    for (size_t k = 0; k < features; k++) y = mix(y, d->schema.name[k], strlen(d->schema.name[k]));
    for (int64_t k = 0; k < d->schema.classes; k++)
        y = mix(y, d->schema.label[k], strlen(d->schema.label[k]));
    for (int k = 0; k < d->n_attached; k++)
        y = mix(y, d->attached[k].data, n * d->attached[k].bytes);
    return y;
}

static numbers numbers_of(const tg_trainer *r)
{
    const tg_model *m = r->m;
    numbers y = {.data = (int64_t)tg_dataset_digest(r->data),
                 .validation = (int64_t)tg_dataset_digest(r->o.validation),
                 .seed = (int64_t)m->seed,
                 .batch = r->o.batch,
                 .leaves = r->sharing.leaves,
                 .shuffled = r->order != NULL,
                 .best_kept = r->watch.weights != NULL,
                 .averaging = r->average != NULL,
                 .plateau_used = r->o.plateau != NULL,
                 .epochs = (int64_t)m->epochs,
                 .epochs_before = r->epochs_before,
                 .steps = (int64_t)m->steps,
                 .steps_before = (int64_t)r->steps_before,
                 .rounds = (int64_t)m->rounds,
                 .at = r->at};
    y.rows = r->scores.rows;
    y.correct = r->scores.correct;
    y.loss = r->scores.loss;
    y.residual = r->scores.residual;
    y.mean = r->scores.mean;
    y.deviation = r->scores.deviation;
    y.best = r->watch.best;
    y.best_epoch = r->watch.epoch;
    y.worse = r->watch.worse;
    y.averaged = tg_average_count(r->average);
    y.skipped = r->optimizer->skipped;
    y.collected = r->optimizer->collected;
    y.optimizer_factor = r->optimizer->factor;
    y.factor = r->factor;
    y.seconds = tg_seconds() - r->start;
    y.target_mean = m->scaling.target_mean;
    y.target_std = m->scaling.target_std;
    if (!r->o.plateau) return y;
    y.plateau_begun = r->o.plateau->begun;
    y.plateau_bad = r->o.plateau->bad;
    y.plateau_cooling = r->o.plateau->cooling;
    y.plateau_best = r->o.plateau->best;
    y.plateau_reached = r->o.plateau->reached;
    return y;
}

static void set_numbers(tg_trainer *r, const numbers *y)
{
    tg_model *m = r->m;
    m->steps = (uint64_t)y->steps;
    m->rounds = (uint64_t)y->rounds;
    m->scaling.target_mean = y->target_mean;
    m->scaling.target_std = y->target_std;
    r->epochs_before = y->epochs_before;
    r->steps_before = (uint64_t)y->steps_before;
    r->at = y->at;
    r->scores = (tg_scores){.rows = y->rows,
                            .correct = y->correct,
                            .loss = y->loss,
                            .residual = y->residual,
                            .mean = y->mean,
                            .deviation = y->deviation};
    r->watch.best = y->best;
    r->watch.epoch = y->best_epoch;
    r->watch.worse = y->worse;
    if (r->average) tg_average_set_count(r->average, y->averaged);
    r->optimizer->skipped = y->skipped;
    r->optimizer->collected = y->collected;
    tg_optim_set_factor(r->optimizer, y->optimizer_factor);
    r->factor = y->factor;
    r->start = tg_seconds() - y->seconds;
    if (!r->o.plateau) return;
    r->o.plateau->begun = y->plateau_begun != 0;
    r->o.plateau->bad = y->plateau_bad;
    r->o.plateau->cooling = y->plateau_cooling;
    r->o.plateau->best = y->plateau_best;
    r->o.plateau->reached = y->plateau_reached;
}

/* ---------------------------------------------------------------- history */

static void put_metrics(double *y, const tg_metrics *m)
{
    const double values[METRICS] = {(double)m->rows, m->loss, m->accuracy, m->r2, m->rmse};
    memcpy(y, values, sizeof values);
}

static tg_metrics get_metrics(const double *y)
{
    return (tg_metrics){
        .rows = (int64_t)y[0], .loss = y[1], .accuracy = y[2], .r2 = y[3], .rmse = y[4]};
}

static void put_epoch(double *y, const tg_epoch *e)
{
    y[0] = (double)e->epoch;
    y[1] = e->seconds;
    y[2] = e->watched;
    put_metrics(y + 3, &e->train);
    put_metrics(y + 3 + METRICS, &e->validation);
}

static tg_epoch get_epoch(const double *y)
{
    return (tg_epoch){.epoch = (int64_t)y[0],
                      .seconds = y[1],
                      .watched = y[2],
                      .train = get_metrics(y + 3),
                      .validation = get_metrics(y + 3 + METRICS)};
}

/* ---------------------------------------------------------------- writing */

typedef struct writer {
    tg_trainer *r;
    tg_arena arena;
    tg_written *list;
    size_t n;
    bool ok; /* false: no memory */
} writer;

static tg_status no_memory(tg_trainer *r)
{
    return tg_error_set(&r->m->error, NULL, r->o.checkpoint, TG_ENOMEM,
                        "no memory for the checkpoint");
}

/* A tensor "FIRST/SECOND". */
static void put(writer *w, const char *first, const char *second, tg_dtype dtype, tg_shape shape,
                const void *data)
{
    const size_t length = strlen(first), bytes = length + strlen(second) + 2;
    char *name = tg_arena_take(&w->arena, bytes);
    w->ok = w->ok && name && (data || !tg_shape_count(shape));
    if (!w->ok) return;
    snprintf(name, bytes, *second ? "%s/%s" : "%s", first, second);
    w->list[w->n++] = (tg_written){name, dtype, shape, data};
}

static void put_params(writer *w)
{
    const tg_trainer *r = w->r;
    for (size_t k = 0; k < r->m->params->count; k++) {
        const tg_param *p = r->m->params->list[k];
        put(w, "model", p->name, p->dtype, p->shape, p->value);
        if (p->has_grad) put(w, "gradient", p->name, p->dtype, p->shape, p->grad);
        if (r->watch.epoch && k < r->watch.n)
            put(w, "best", p->name, p->dtype, p->shape, r->watch.weights[k]);
        const void *average =
            tg_average_data(r->average, tg_param_handle((tg_param *)(uintptr_t)p));
        if (average && tg_average_count(r->average))
            put(w, "average", p->name, p->dtype, p->shape, average);
    }
}

static void put_optimizer(writer *w)
{
    const tg_optim *o = w->r->optimizer;
    for (int k = 0; k < tg_optim_state_count(o); k++) {
        tg_optim_state s;
        char slot[100];
        if (!tg_optim_state_get(o, k, &s)) continue;
        snprintf(slot, sizeof slot, "optimizer/%.80s", s.slot);
        put(w, slot, s.param, s.dtype, s.shape, s.data);
    }
    for (size_t k = 0; tg_optim_member(o, k); k++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", k);
        put(w, "rate", number, TG_F64, TG_SCALAR, &tg_optim_member(o, k)->learning_rate);
    }
}

static void put_history(writer *w)
{
    const tg_model *m = w->r->m;
    double *rows = tg_arena_take(&w->arena, m->epochs * COLUMNS * sizeof *rows);
    for (size_t k = 0; rows && k < m->epochs; k++) put_epoch(rows + k * COLUMNS, &m->history[k]);
    put(w, "history", "", TG_F64, TG_SHAPE((int64_t)m->epochs, COLUMNS), rows);
}

enum { SCORES = 6 }; /* numbers of a leaf's */

static void put_scores(writer *w)
{
    const tg_sharing *s = &w->r->sharing;
    if (s->leaves == 1) return; /* they are the training's */
    double *y = tg_arena_take(&w->arena, (size_t)s->leaves * SCORES * sizeof *y);
    for (int64_t k = 0; y && k < s->leaves; k++) {
        const tg_scores *x = &s->scores[k];
        const double of[SCORES] = {(double)x->rows, (double)x->correct, x->loss, x->residual,
                                   x->mean,         x->deviation};
        memcpy(y + k * SCORES, of, sizeof of);
    }
    put(w, "leaves", "scores", TG_F64, TG_SHAPE(s->leaves, SCORES), y);
}

static size_t most_tensors(const tg_trainer *r)
{
    return NUMBERS + 4 + 4 * r->m->params->count + (size_t)tg_optim_state_count(r->optimizer) + 1 +
           r->optimizer->n_parts;
}

static json_t *texts(const tg_trainer *r)
{
    const char *settings = r->o.settings ? r->o.settings : "";
    if (!tg_utf8(r->m->name, strlen(r->m->name)) || !tg_utf8(settings, strlen(settings)))
        return tg_error_set(&r->m->error, NULL, r->o.checkpoint, TG_EVALUE,
                            "the model's name or options.settings is not UTF-8"),
               NULL;
    return json_pack("{s:s, s:s, s:s, s:s}", "format", format_name, "model", r->m->name, "layers",
                     r->m->layers ? r->m->layers : "", "settings", settings);
}

tg_status tg_training_write(tg_trainer *r)
{
    const tg_scaling *s = &r->m->scaling;
    const tg_shape features = TG_SHAPE(r->m->schema.features);
    const numbers now = numbers_of(r);
    writer w = {.r = r, .ok = true};
    tg_arena_init(&w.arena, &r->m->allocator);
    w.list = tg_arena_take(&w.arena, most_tensors(r) * sizeof *w.list);
    if (w.list) {
        put_params(&w);
        put_optimizer(&w);
        put_history(&w);
        put_scores(&w);
        if (s->mean) put(&w, "scaling", "mean", TG_F64, features, s->mean);
        if (s->std) put(&w, "scaling", "std", TG_F64, features, s->std);
        for (int k = 0; k < NUMBERS; k++)
            put(&w, table[k].name, "", table[k].dtype, TG_SCALAR,
                (const char *)&now + table[k].offset);
    }
    if (!w.list || !w.ok) no_memory(r);
    else tg_safetensors_write_sealed(r->o.checkpoint, w.n, w.list, texts(r), &r->m->error);
    tg_arena_free(&w.arena);
    r->saved = tg_seconds();
    r->unsaved = 0;
    return r->m->error.status;
}

/* ---------------------------------------------------------------- reading */

typedef struct reader {
    tg_trainer *r;
    tg_safetensors s;
    void *buffer; /* room for the largest tensor */
    size_t params, best, averages;
} reader;

static bool bad(const reader *y, tg_status status, const char *format, ...) TG_PRINTF(3, 4);
static bool bad(const reader *y, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&y->r->m->error, NULL, y->r->o.checkpoint, status, format, arguments);
    va_end(arguments);
    return false;
}

static bool same_text(const reader *y, const char *key, const char *wanted)
{
    const char *text = tg_safetensors_text(&y->s, key);
    if (!text) return bad(y, TG_EFORMAT, "no checkpoint: its metadata has no '%s'", key);
    return !strcmp(text, wanted) || bad(y, TG_EVALUE,
                                        "the checkpoint is of another training: %s is '%.150s' "
                                        "there, and '%.150s' here",
                                        key, text, wanted);
}

static bool read_number(reader *y, int k, numbers *now)
{
    const int64_t at = tg_safetensors_find(&y->s, table[k].name);
    if (at < 0 || !tg_safetensors_has_shape(&y->s, at, TG_SCALAR))
        return bad(y, TG_EFORMAT, "there is no number '%s'", table[k].name);
    return tg_safetensors_read(&y->s, at, table[k].dtype, (char *)now + table[k].offset);
}

static bool read_numbers(reader *y, numbers *now)
{
    const numbers here = numbers_of(y->r);
    for (int k = 0; k < NUMBERS; k++) {
        int64_t a, b;
        if (!read_number(y, k, now)) return false;
        if (k >= FIXED) continue;
        memcpy(&a, (const char *)now + table[k].offset, sizeof a);
        memcpy(&b, (const char *)&here + table[k].offset, sizeof b);
        if (a != b)
            return bad(y, TG_EVALUE,
                       k < 2 ? "the checkpoint is of a training on other rows (%s)"
                             : "the checkpoint is of another training: %s is %lld there, and %lld "
                               "here",
                       table[k].name + strlen("training/"), (long long)a, (long long)b);
    }
    const bool sound = now->epochs >= now->epochs_before && now->epochs_before >= 0 &&
                       now->steps >= now->steps_before && now->steps_before >= 0 &&
                       now->rounds >= 0 && now->at >= 0 && now->at <= y->r->data->rows &&
                       now->averaged >= 0 && now->collected >= 0;
    return sound || bad(y, TG_EFORMAT, "its numbers contradict each other");
}

/* The parameter that the rest of a name means, whose tensor is in the buffer afterwards. */
static tg_param *read_for_param(reader *y, int64_t at, const char *name)
{
    tg_param *p = tg_param_of(tg_params_find(y->r->m->params, name));
    if (!p) return bad(y, TG_EVALUE, "the model has no parameter '%.60s'", name), NULL;
    if (!tg_safetensors_has_shape(&y->s, at, p->shape))
        return bad(y, TG_ESHAPE, "'%.60s' does not have the parameter's shape %s", name,
                   tg_shape_text(p->shape).text),
               NULL;
    return tg_safetensors_read(&y->s, at, p->dtype, y->buffer) ? p : NULL;
}

static void copy(void *to, const void *from, size_t bytes)
{
    if (bytes) memcpy(to, from, bytes);
}

static bool read_model(reader *y, int64_t at, const char *name)
{
    tg_param *p = read_for_param(y, at, name);
    if (!p) return false;
    copy(p->value, y->buffer, p->bytes);
    tg_param_changed(p);
    y->params++;
    return true;
}

static bool read_best(reader *y, int64_t at, const char *name)
{
    const tg_param *p = read_for_param(y, at, name);
    if (!p || p->slot.id >= y->r->watch.n) return p && bad(y, TG_EVALUE, "'%.60s' is new", name);
    copy(y->r->watch.weights[p->slot.id], y->buffer, p->bytes);
    y->best++;
    return true;
}

static bool read_average(reader *y, int64_t at, const char *name)
{
    tg_param *p = read_for_param(y, at, name);
    if (!p) return false;
    y->averages++;
    return tg_average_set(y->r->average, tg_param_handle(p), y->buffer) == TG_OK ||
           bad(y, TG_EVALUE, "%s", tg_average_message(y->r->average));
}

static bool read_gradient(reader *y, int64_t at, const char *name)
{
    tg_param *p = read_for_param(y, at, name);
    void *grad = p ? tg_param_grad_buffer(p) : NULL;
    if (!grad) return p && bad(y, TG_ENOMEM, "no memory");
    copy(grad, y->buffer, p->bytes);
    p->has_grad = true;
    return true;
}

static bool read_state(reader *y, int64_t at, const char *name)
{
    char slot[100];
    const char *slash = strchr(name, '/');
    tg_optim *o = y->r->optimizer;
    snprintf(slot, sizeof slot, "%.*s", slash ? (int)(slash - name) : 0, name);
    tg_optim_state state = {slash ? slash + 1 : "", slot, TG_I64, TG_SCALAR, y->buffer};
    if (strcmp(slot, "step") != 0) {
        const tg_param *p = read_for_param(y, at, state.param);
        if (!p) return false;
        state.dtype = p->dtype;
        state.shape = p->shape;
    } else if (!tg_safetensors_has_shape(&y->s, at, TG_SCALAR) ||
               !tg_safetensors_read(&y->s, at, TG_I64, y->buffer)) {
        return bad(y, TG_EFORMAT, "'%.60s' is no number", name);
    }
    return tg_optim_state_set(o, &state) == TG_OK ||
           bad(y, tg_optim_status(o), "the checkpoint is of another training: %s",
               tg_optim_message(o));
}

static bool read_rate(reader *y, int64_t at, const char *name)
{
    double rate;
    tg_optim *part = tg_optim_member(y->r->optimizer, (size_t)strtoull(name, NULL, 10));
    if (!part || !tg_safetensors_has_shape(&y->s, at, TG_SCALAR))
        return bad(y, TG_EVALUE,
                   "the checkpoint is of another training: its optimizer has more "
                   "parts");
    return tg_safetensors_read(&y->s, at, TG_F64, &rate) &&
           (tg_optim_set_learning_rate(part, rate) == TG_OK ||
            bad(y, TG_EFORMAT, "%s", tg_optim_message(part)));
}

static bool read_scaling(reader *y, int64_t at, const char *name)
{
    const tg_scaling *s = &y->r->m->scaling;
    double *to = !strcmp(name, "mean") ? s->mean : !strcmp(name, "std") ? s->std : NULL;
    if (!to || !tg_safetensors_has_shape(&y->s, at, TG_SHAPE(y->r->m->schema.features)))
        return bad(y, TG_EVALUE, "the checkpoint is of another training: it scales features");
    return tg_safetensors_read(&y->s, at, TG_F64, to);
}

static bool read_scores(reader *y, int64_t at, const char *name)
{
    const tg_sharing *s = &y->r->sharing;
    const double *x = y->buffer;
    if (strcmp(name, "scores") != 0 || !s->scores ||
        !tg_safetensors_has_shape(&y->s, at, TG_SHAPE(s->leaves, SCORES)))
        return bad(y, TG_EFORMAT, "its scores are not those of %lld leaves", (long long)s->leaves);
    if (!tg_safetensors_read(&y->s, at, TG_F64, y->buffer)) return false;
    for (int64_t k = 0; k < s->leaves; k++, x += SCORES)
        s->scores[k] = (tg_scores){.rows = (int64_t)x[0],
                                   .correct = (int64_t)x[1],
                                   .loss = x[2],
                                   .residual = x[3],
                                   .mean = x[4],
                                   .deviation = x[5]};
    return true;
}

/* And room for the epochs that are still to come. */
static bool read_history(reader *y, int64_t at, size_t epochs, int64_t before)
{
    const size_t all = (size_t)(before + y->r->o.epochs), most = epochs > all ? epochs : all;
    tg_model *m = y->r->m;
    void *history = m->history;
    if (at < 0 || !tg_safetensors_has_shape(&y->s, at, TG_SHAPE((int64_t)epochs, COLUMNS)))
        return bad(y, TG_EFORMAT, "there is no history of %zu epochs", epochs);
    if (!tg_grow(&m->allocator, &history, &m->history_capacity, most, sizeof *m->history))
        return bad(y, TG_ENOMEM, "no memory for the history");
    m->history = history;
    if (!tg_safetensors_read(&y->s, at, TG_F64, y->buffer)) return false;
    m->epochs = epochs;
    for (size_t k = 0; k < epochs; k++)
        m->history[k] = get_epoch((const double *)y->buffer + k * COLUMNS);
    return true;
}

static bool read_tensor(reader *y, int64_t at)
{
    static const struct {
        const char *prefix;
        bool (*read)(reader *y, int64_t at, const char *name);
    } kinds[] = {{"model/", read_model},       {"best/", read_best},    {"average/", read_average},
                 {"gradient/", read_gradient}, {"rate/", read_rate},    {"optimizer/", read_state},
                 {"scaling/", read_scaling},   {"leaves/", read_scores}};
    const char *name = y->s.list[at].name;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        const size_t n = strlen(kinds[k].prefix);
        if (!strncmp(name, kinds[k].prefix, n)) return kinds[k].read(y, at, name + n);
    }
    return true; /* the numbers and the history */
}

/* An optimizer that has taken no step. */
static void forget(tg_optim *o)
{
    for (size_t i = 0; tg_optim_member(o, i); i++) {
        const tg_optim *part = tg_optim_member(o, i);
        for (size_t k = 0; k < part->n_histories; k++) {
            tg_history *h = &part->histories[k];
            h->steps = 0;
            if (h->slots) memset(h->slots, 0, h->bytes);
        }
    }
}

static size_t largest(const reader *y)
{
    uint64_t most = 1;
    for (size_t k = 0; k < y->s.count; k++) {
        const uint64_t bytes = y->s.list[k].end - y->s.list[k].begin;
        most = bytes > most ? bytes : most;
    }
    return (size_t)most;
}

static bool read_all(reader *y)
{
    tg_trainer *r = y->r;
    numbers now;
    const size_t params = r->m->params->count;
    const char *format = tg_safetensors_text(&y->s, "format");
    if (!format || strcmp(format, format_name) != 0)
        return bad(y, TG_EFORMAT, "no checkpoint: its format is '%.60s', not '%s'",
                   format ? format : "", format_name);
    if (!tg_safetensors_check_seal(&y->s) || !same_text(y, "model", r->m->name) ||
        !same_text(y, "layers", r->m->layers ? r->m->layers : "") ||
        !same_text(y, "settings", r->o.settings ? r->o.settings : "") || !read_numbers(y, &now))
        return false;
    y->buffer = tg_allocate(&r->m->allocator, largest(y));
    if (!y->buffer) return bad(y, TG_ENOMEM, "no memory to read it");
    forget(r->optimizer);
    tg_params_drop_grads(r->m->params);
    for (size_t k = 0; k < y->s.count; k++)
        if (!read_tensor(y, (int64_t)k)) return false;
    if (y->params < params || (now.best_epoch && r->watch.weights && y->best < params) ||
        (now.averaged && y->averages < params))
        return bad(y, TG_EFORMAT, "it lacks parameters of the model");
    if (!read_history(y, tg_safetensors_find(&y->s, "history"), (size_t)now.epochs,
                      now.epochs_before))
        return false;
    set_numbers(r, &now);
    return true;
}

tg_status tg_training_read(tg_trainer *r)
{
    tg_error *e = &r->m->error;
    reader y = {.r = r};
    struct stat info;
    if (stat(r->o.checkpoint, &info) != 0 && errno == ENOENT) return TG_OK;
    if (!tg_safetensors_open(&y.s, r->o.checkpoint, &r->m->allocator, e)) return e->status;
    read_all(&y);
    if (y.buffer) tg_release(&r->m->allocator, y.buffer, largest(&y));
    tg_safetensors_close(&y.s);
    return e->status;
}
