/* What epochs are judged by: the best weights, averages, a plateau's factor. */
#define TG_HERE NULL
#include <math.h>
#include <string.h>

#include "../../graph/params.h"
#include "trainer.h"

static bool reserve_best(tg_trainer *r)
{
    const tg_params *ps = r->m->params;
    tg_watch *w = &r->watch;
    w->capacity = ps->count;
    w->weights = tg_allocate(&r->m->allocator, ps->count * sizeof *w->weights);
    for (; w->weights && w->n < ps->count; w->n++)
        if (!(w->weights[w->n] = tg_allocate(&r->m->allocator, ps->list[w->n]->bytes))) break;
    return w->weights && w->n == ps->count;
}

tg_status tg_judge_begin(tg_trainer *r)
{
    tg_model *m = r->m;
    if (r->o.average > 0) {
        r->average = tg_average_new(m->params, r->o.average < 1 ? r->o.average : 0);
        if (tg_average_status(r->average) != TG_OK)
            return tg_fit_fail(m, tg_average_status(r->average), tg_average_message(r->average));
    }
    r->factor = 1;
    r->watch.best = NAN;
    if ((r->o.patience || r->o.best) && !reserve_best(r))
        return tg_fit_fail(m, TG_ENOMEM, "no memory");
    return TG_OK;
}

void tg_judge_end(tg_trainer *r)
{
    tg_model *m = r->m;
    tg_watch *w = &r->watch;
    for (size_t k = 0; k < w->n; k++)
        tg_release(&m->allocator, w->weights[k], m->params->list[k]->bytes);
    if (w->weights) tg_release(&m->allocator, w->weights, w->capacity * sizeof *w->weights);
    tg_average_free(r->average);
}

tg_status tg_set_factor(tg_trainer *r)
{
    if (!r->o.schedule && !r->o.plateau) return TG_OK;
    const int64_t step = (int64_t)(r->m->steps - r->steps_before);
    const double factor = r->o.schedule ? tg_schedule_factor(r->o.schedule, step) : 1;
    return tg_optim_set_factor(r->optimizer, factor * r->factor);
}

static bool averages(const tg_trainer *r)
{
    const int64_t epoch = (int64_t)r->m->epochs - r->epochs_before + 1;
    return r->average && epoch >= r->o.average_from;
}

/* Exchanges weights and averages, once there are any. */
static tg_status swap(tg_trainer *r)
{
    if (!r->average || !tg_average_count(r->average)) return TG_OK;
    if (tg_average_swap(r->average) == TG_OK) return TG_OK;
    return tg_fit_fail(r->m, tg_average_status(r->average), tg_average_message(r->average));
}

tg_status tg_average_step(tg_trainer *r)
{
    if (!averages(r) || tg_average_update(r->average) == TG_OK) return TG_OK;
    return tg_fit_fail(r->m, tg_average_status(r->average), tg_average_message(r->average));
}

static void keep_best(tg_trainer *r)
{
    const tg_params *ps = r->m->params;
    for (size_t k = 0; k < r->watch.n; k++)
        if (ps->list[k]->bytes) memcpy(r->watch.weights[k], ps->list[k]->value, ps->list[k]->bytes);
}

static bool better(const tg_trainer *r, double value)
{
    const tg_watch *w = &r->watch;
    const bool less = !r->o.watch || r->o.watch->less_is_better;
    if (isnan(value)) return false;
    if (isnan(w->best)) return true;
    return less ? value < w->best - r->o.better_by : value > w->best + r->o.better_by;
}

static tg_status evaluate(tg_trainer *r, tg_epoch *e)
{
    tg_model *m = r->m;
    e->watched = e->train.loss;
    if (!r->o.validation) return TG_OK;
    if (tg_evaluate(m, r->o.validation, &e->validation, NULL) != TG_OK) return m->error.status;
    e->watched = e->validation.loss;
    return r->o.watch ? tg_score(m, r->o.validation, 1, r->o.watch, &e->watched) : TG_OK;
}

tg_status tg_judge(tg_trainer *r, tg_epoch *e)
{
    tg_model *m = r->m;
    tg_watch *w = &r->watch;
    if (swap(r) != TG_OK || evaluate(r, e) != TG_OK) return m->error.status;
    w->worse++;
    if (better(r, e->watched)) {
        w->best = e->watched;
        w->epoch = e->epoch;
        w->worse = 0;
        keep_best(r);
    }
    if (r->o.plateau) r->factor = tg_schedule_plateau(r->o.plateau, e->watched);
    return swap(r);
}

bool tg_is_patient(const tg_trainer *r) { return !r->o.patience || r->watch.worse < r->o.patience; }

tg_status tg_take_weights(tg_trainer *r)
{
    const tg_params *ps = r->m->params;
    if (!r->watch.weights || !r->watch.epoch) return swap(r);
    for (size_t k = 0; k < r->watch.n; k++) {
        tg_param *p = ps->list[k];
        if (p->bytes) memcpy(p->value, r->watch.weights[k], p->bytes);
        tg_param_changed(p);
    }
    return TG_OK;
}
