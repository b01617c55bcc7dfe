/* A training step cut into leaves, which ranks share out: ranks.h. */
#define TG_HERE NULL
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "../../graph/params.h"
#include "../../optim/rank.h"
#include "../data/shuffle.h"
#include "trainer.h"

/* Errors of a rank become those of all; what all know becomes m's. */
static tg_status agree(tg_trainer *r)
{
    tg_model *m = r->m;
    tg_ranks *ranks = r->sharing.ranks ? r->sharing.ranks : r->o.ranks;
    if (ranks && tg_ranks_share(ranks, m->error.status, m->error.message) != TG_OK)
        tg_error_set(&m->error, NULL, NULL, tg_ranks_status(ranks), "%s", tg_ranks_message(ranks));
    return m->error.status;
}

/* m takes over an error that all ranks know of. */
static tg_status take_over(tg_trainer *r)
{
    const tg_ranks *ranks = r->sharing.ranks;
    if (tg_ranks_status(ranks) != TG_OK)
        tg_error_set(&r->m->error, NULL, NULL, tg_ranks_status(ranks), "%s",
                     tg_ranks_message(ranks));
    return r->m->error.status;
}

static tg_status no_memory(tg_trainer *r)
{
    return tg_error_set(&r->m->error, NULL, "fit", TG_ENOMEM, "no memory");
}

/* ---------------------------------------------------------------- fingerprints */

static uint64_t settings_print(const tg_trainer *r)
{
    const tg_model *m = r->m;
    const tg_fit_options *o = &r->o;
    const uint64_t settings[] = {(uint64_t)o->epochs,
                                 (uint64_t)o->batch,
                                 (uint64_t)r->sharing.leaves,
                                 o->no_shuffle,
                                 o->validation != NULL,
                                 (uint64_t)o->patience,
                                 o->best,
                                 (uint64_t)(o->average * 0x1p40),
                                 (uint64_t)o->checkpoint_steps,
                                 o->checkpoint != NULL,
                                 m->seed,
                                 m->steps,
                                 m->rounds,
                                 (uint64_t)m->head,
                                 (uint64_t)m->dtype,
                                 (uint64_t)tg_version(),
                                 tg_optim_fingerprint(r->optimizer)};
    return XXH3_64bits(settings, sizeof settings);
}

static tg_status compare_parameters(tg_trainer *r)
{
    static const char *const names[] = {"parameters"};
    if (tg_ranks_count(r->sharing.ranks) == 1) return TG_OK;
    const uint64_t print = tg_params_fingerprint(r->m->params);
    tg_ranks_compare(r->sharing.ranks, 1, names, &print);
    return take_over(r);
}

static tg_status compare(tg_trainer *r)
{
    static const char *const names[] = {"settings", "training data", "validation data"};
    if (tg_ranks_count(r->sharing.ranks) == 1) return TG_OK;
    const uint64_t prints[] = {settings_print(r), tg_dataset_digest(r->data),
                               tg_dataset_digest(r->o.validation)};
    tg_ranks_compare(r->sharing.ranks, 3, names, prints);
    return take_over(r) == TG_OK ? compare_parameters(r) : r->m->error.status;
}

/* ---------------------------------------------------------------- begin and end */

tg_status tg_sharing_begin(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    tg_model *m = r->m;
    s->leaves = r->o.leaves ? r->o.leaves : m->leaves ? m->leaves : 1;
    if (!r->o.ranks && s->leaves == 1) return TG_OK;
    s->ranks = r->o.ranks;
    if (tg_ranks_count(s->ranks) > 1 && r->o.on_gradients)
        return tg_error_set(&m->error, NULL, "fit", TG_EVALUE,
                            "options.on_gradients is for one rank: several have slices");
    if (!s->ranks) {
        const tg_transport alone = {.size = sizeof alone, .ranks = 1};
        const tg_ranks_options options = {
            .size = sizeof options, .allocator = &m->allocator, .transport = &alone};
        s->ranks = s->own = tg_ranks_join(&options);
        if (!s->ranks) return no_memory(r);
    }
    if (tg_ranks_set_leaves(s->ranks, s->leaves) != TG_OK) return take_over(r);
    s->scores = tg_allocate(&m->allocator, (size_t)s->leaves * sizeof *s->scores);
    if (!s->scores) return no_memory(r);
    memset(s->scores, 0, (size_t)s->leaves * sizeof *s->scores);
    return TG_OK;
}

tg_status tg_sharing_start(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    tg_model *m = r->m;
    if (m->error.status == TG_OK && s->ranks) {
        /* Gradients of micro-batches, from a checkpoint or from before. */
        if (!tg_ranks_hold(s->ranks, m->params)) no_memory(r);
        if (s->leaves == 1) s->scores[0] = r->scores;
    }
    if (agree(r) != TG_OK) return m->error.status;
    m->leaves = s->leaves;
    return s->ranks ? compare(r) : TG_OK;
}

void tg_sharing_end(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    tg_model *m = r->m;
    if (m->error.status != TG_OK) agree(r);
    else if (s->ranks) tg_ranks_show_held(s->ranks, m->params);
    if (s->scores) tg_release(&m->allocator, s->scores, (size_t)s->leaves * sizeof *s->scores);
    if (s->own) tg_ranks_leave(s->own);
}

/* ---------------------------------------------------------------- a step */

/* One leaf's gradients; its loss is a sum, but for a batch that is one leaf: its mean has the bits
 * of a training without leaves. */
static tg_status run_leaf(tg_trainer *r, int64_t leaf, int64_t first, int64_t n)
{
    tg_sharing *s = &r->sharing;
    tg_model *m = r->m;
    tg_tape *t = r->tape;
    const double weight = s->leaves == 1 ? 1 : (double)n;
    tg_tape_set_stream(t, TG_STREAM_DROPOUT + (uint64_t)leaf);
    tg_tape_set_step(t, m->steps);
    tg_rows_gather(m, &r->rows, r->data, n, r->order ? r->order + first : NULL, first);
    tg_tensor *loss, *output = tg_keep(t, tg_model_record_rows(m, t, &r->rows, n, &loss));
    if (s->leaves > 1) tg_backward(t, tg_scale(t, tg_keep(t, loss), weight));
    else tg_backward(t, loss);
    const double value = tg_item(t, loss);
    const void *y = tg_data(t, output);
    if (tg_tape_status(t) != TG_OK)
        return tg_error_set(&m->error, NULL, "fit", tg_tape_status(t), "%s", tg_tape_message(t));
    if (!isfinite(value)) return tg_loss_failed(m, value);
    tg_ranks_add(s->ranks, m->params, t, leaf, value * weight, weight);
    tg_scores_add(&s->scores[leaf], m, &r->rows, n, y, value);
    tg_tape_reset(t);
    return TG_OK;
}

static void on_gradients(void *user, double loss)
{
    tg_trainer *r = user;
    r->batch_loss = loss;
    tg_tell_progress(r, r->o.on_gradients);
}

tg_status tg_sharing_step(tg_trainer *r, int64_t n)
{
    tg_ranks *ranks = r->sharing.ranks;
    const tg_part mine = tg_ranks_my_leaves(ranks);
    double loss;
    for (int64_t leaf = mine.first; leaf < mine.first + mine.n; leaf++) {
        const tg_part rows = tg_ranks_leaf_rows(ranks, n, leaf);
        if (rows.n && run_leaf(r, leaf, r->at + rows.first, rows.n) != TG_OK)
            return r->m->error.status;
    }
    tg_set_factor(r);
    tg_ranks_step_with(ranks, r->optimizer, &loss, r->o.on_gradients ? on_gradients : NULL, r);
    if (take_over(r) != TG_OK) return r->m->error.status;
    if (!isfinite(loss)) return tg_loss_failed(r->m, loss);
    r->batch_loss = loss;
    r->scores.loss += loss * (double)n;
    r->scores.rows += n;
    return TG_OK;
}

/* ---------------------------------------------------------------- epochs and checkpoints */

bool tg_sharing_any(tg_trainer *r, bool yes)
{
    tg_ranks *ranks = r->sharing.ranks;
    double sum = yes;
    return tg_ranks_count(ranks) == 1
               ? yes
               : tg_ranks_sum(ranks, &sum) && take_over(r) == TG_OK && sum > 0;
}

/* All leaves' scores, everywhere. */
static tg_status gather_scores(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    const int n = tg_ranks_count(s->ranks);
    size_t few[64], *end = n <= 64 ? few : tg_allocate(&r->m->allocator, (size_t)n * sizeof *end);
    for (int k = 0; end && k < n; k++) {
        const tg_part leaves = tg_ranks_leaves_of(s->ranks, k);
        end[k] = (size_t)(leaves.first + leaves.n) * sizeof *s->scores;
    }
    if (!end) no_memory(r);
    if (agree(r) == TG_OK) tg_ranks_gather(s->ranks, s->scores, end);
    if (end != few && end) tg_release(&r->m->allocator, end, (size_t)n * sizeof *end);
    return take_over(r);
}

/* Chan, Golub and LeVeque 1979 */
static void merge(tg_scores *a, const tg_scores *b)
{
    const double n = (double)(a->rows + b->rows), apart = b->mean - a->mean;
    if (!b->rows) return;
    a->deviation += b->deviation + apart * apart * (double)a->rows * (double)b->rows / n;
    a->mean += apart * (double)b->rows / n;
    a->rows += b->rows;
    a->correct += b->correct;
    a->loss += b->loss;
    a->residual += b->residual;
}

tg_status tg_sharing_epoch(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    if (gather_scores(r) != TG_OK) return r->m->error.status;
    r->scores = s->scores[0];
    for (int64_t k = 1; k < s->leaves; k++) merge(&r->scores, &s->scores[k]);
    memset(s->scores, 0, (size_t)s->leaves * sizeof *s->scores);
    return TG_OK;
}

tg_status tg_sharing_write(tg_trainer *r)
{
    tg_sharing *s = &r->sharing;
    tg_model *m = r->m;
    const bool within = r->at > 0; /* an epoch; else its scores have been told */
    if (compare_parameters(r) != TG_OK || (within && gather_scores(r) != TG_OK))
        return m->error.status;
    if (within && s->leaves == 1) r->scores = s->scores[0];
    tg_ranks_collect(s->ranks, r->optimizer);
    tg_ranks_show_held(s->ranks, m->params);
    if (take_over(r) != TG_OK) return m->error.status;
    if (tg_ranks_rank(s->ranks) == 0) tg_training_write(r);
    r->saved = tg_seconds();
    r->unsaved = 0;
    if (!tg_ranks_hold(s->ranks, m->params)) no_memory(r);
    return agree(r);
}
