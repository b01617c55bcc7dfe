/* What all optimizers share: errors, state, the step. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "optimizer.h"
#include "rule.h"

/* ---------------------------------------------------------------- life and errors */

static const char *rule_fault(const tg_optim_rule *rule)
{
    if (!rule->name || rule->n_slots < 0 || rule->n_slots > TG_OPTIM_SLOTS || rule->n_scratch < 0 ||
        rule->n_scratch > TG_OPTIM_SLOTS)
        return "the rule is malformed";
    for (int k = 0; k < rule->n_slots; k++)
        if (!rule->slot[k] || strcmp(rule->slot[k], "step") == 0)
            return "a slot of the rule has no name, or \"step\"";
    return NULL;
}

static void set_up(tg_optim *o, const char *where, const tg_optim_rule *rule, double learning_rate,
                   const void *options, const char *fault)
{
    const bool readable = rule && tg_options_read(&o->rule, sizeof o->rule, rule);
    const char *what = readable && o->rule.name ? o->rule.name : "optim_new";
    const char *const malformed = readable ? rule_fault(&o->rule) : NULL;
    const size_t bytes = o->rule.options_size;
    if (!o->params) tg_error_set(&o->error, where, what, TG_ENULL, "the parameters are NULL");
    else if (!rule || (bytes && !options))
        tg_error_set(&o->error, where, what, TG_ENULL, "the %s NULL",
                     rule ? "options are" : "rule is");
    else if (!readable || malformed)
        tg_error_set(&o->error, where, what, TG_EVALUE, "%s",
                     readable ? malformed
                              : "the rule's size is not set: .size = sizeof(tg_optim_rule)");
    else if (fault) tg_error_set(&o->error, where, what, TG_EVALUE, "%s", fault);
    else if (!(isfinite(learning_rate) && learning_rate >= 0))
        tg_error_set(&o->error, where, what, TG_EVALUE,
                     "the learning rate %g is not finite and >= 0", learning_rate);
    else if (o->rule.check && (fault = o->rule.check(options)))
        tg_error_set(&o->error, where, what, TG_EVALUE, "%s", fault);
    else if (bytes && !(o->options = tg_allocate(&o->allocator, bytes)))
        tg_error_set(&o->error, where, what, TG_ENOMEM, "no memory for the options");
    else if (bytes) memcpy(o->options, options, bytes);
    o->unusable = o->error.status != TG_OK;
}

tg_optim *tg_optim_make(tg_params *ps, const char *where, const tg_optim_rule *rule,
                        double learning_rate, const void *options, const char *fault)
{
    const tg_allocator allocator = ps ? ps->allocator : tg_allocator_or_default(NULL);
    tg_optim *o = tg_allocate(&allocator, sizeof *o);
    if (!o) return NULL;
    *o = (tg_optim){.allocator = allocator,
                    .params = ps,
                    .learning_rate = learning_rate,
                    .factor = 1,
                    .norm = NAN,
                    .accumulate = 1,
                    .threads = 1,
                    .build = tg_build_best()};
    set_up(o, where, rule, learning_rate, options, fault);
    if (ps) tg_mover_enter(&o->mover, ps, o->rule.name ? o->rule.name : "optim_new");
    return o;
}

tg_optim *tg_optim_new_at(tg_params *ps, const char *where, const tg_optim_rule *rule,
                          double learning_rate, const void *options)
{
    return tg_optim_make(ps, where, rule, learning_rate, options, NULL);
}

tg_optim *(tg_optim_new)(tg_params *ps, const tg_optim_rule *rule, double learning_rate,
                         const void *options)
{
    return tg_optim_new_at(ps, NULL, rule, learning_rate, options);
}

void tg_optim_free(tg_optim *o)
{
    if (!o) return;
    const tg_allocator a = o->allocator;
    for (size_t k = 0; k < o->n_parts; k++) tg_optim_free(o->parts[k]);
    tg_release(&a, o->parts, o->part_capacity * sizeof *o->parts);
    tg_release(&a, o->groups, o->group_capacity * sizeof *o->groups);
    tg_mover_leave(&o->mover);
    for (size_t k = 0; k < o->n_histories; k++)
        tg_release(&a, o->histories[k].slots, o->histories[k].bytes);
    tg_release(&a, o->histories, o->history_capacity * sizeof *o->histories);
    tg_release(&a, o->pieces, o->piece_capacity * sizeof *o->pieces);
    tg_release(&a, o->sets, o->set_capacity * sizeof *o->sets);
    tg_release(&a, o->options, o->rule.options_size);
    tg_release(&a, o, sizeof *o);
}

tg_status tg_optim_status(const tg_optim *o) { return o ? o->error.status : TG_ENOMEM; }

const char *tg_optim_message(const tg_optim *o)
{
    return o ? o->error.message : "no optimizer: there was no memory for it";
}

void tg_optim_clear_error(tg_optim *o)
{
    if (o && !o->unusable) o->error = (tg_error){TG_OK, ""};
}

/* ---------------------------------------------------------------- settings */

tg_status tg_optim_set_learning_rate(tg_optim *o, double learning_rate)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if (!(isfinite(learning_rate) && learning_rate >= 0))
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE,
                            "the learning rate %g is not finite and >= 0", learning_rate);
    o->learning_rate = learning_rate;
    return TG_OK;
}

tg_params *tg_optim_params(const tg_optim *o) { return o ? o->params : NULL; }

double tg_optim_learning_rate(const tg_optim *o) { return o ? o->learning_rate : NAN; }

tg_status tg_optim_set_threads(tg_optim *o, int threads)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if (threads < 1 || threads > 1024)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE,
                            "%d threads are not 1 to 1024", threads);
    for (size_t k = 0; tg_optim_member(o, k); k++) tg_optim_member(o, k)->threads = threads;
    return TG_OK;
}

tg_status tg_optim_set_isa(tg_optim *o, tg_isa isa)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if ((int)isa < TG_ISA_AUTO || isa > TG_ISA_AVX512)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE, "unknown instruction set");
    const int best = tg_build_best(), wanted = (int)isa - (int)TG_ISA_BASE + TG_BUILD_BASE;
    for (size_t k = 0; tg_optim_member(o, k); k++)
        tg_optim_member(o, k)->build = isa == TG_ISA_AUTO || wanted > best ? best : wanted;
    return TG_OK;
}

/* ---------------------------------------------------------------- the step */

static size_t slot_bytes(const tg_param *p, tg_part span)
{
    const size_t bytes = (size_t)span.n * tg_dtype_size(p->dtype);
    return (bytes + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN;
}

void *tg_optim_slot(const tg_optim *o, const tg_param *p, int slot)
{
    const tg_history *h = &o->histories[p->slot.id];
    return (char *)h->slots + (size_t)slot * slot_bytes(p, h->span);
}

static tg_update_fn update_of(const tg_optim *o, tg_dtype dtype)
{
    tg_update_fn update = NULL;
    for (int build = o->build; build >= 0 && !update; build--)
        update = o->rule.update[dtype][build];
    return update;
}

bool tg_optim_cover(tg_optim *o)
{
    const size_t count = o->params->count;
    if (!tg_grow(&o->allocator, (void **)&o->histories, &o->history_capacity, count,
                 sizeof *o->histories))
        return false;
    while (o->n_histories < count) o->histories[o->n_histories++] = (tg_history){0};
    return true;
}

bool tg_optim_resize(tg_optim *o, const tg_param *p, tg_part span)
{
    tg_history *h = &o->histories[p->slot.id];
    const size_t each = slot_bytes(p, span), arrays = (size_t)(o->rule.n_slots + o->rule.n_scratch);
    const size_t size = tg_dtype_size(p->dtype);
    if (each > (size_t)PTRDIFF_MAX / (2 * TG_OPTIM_SLOTS)) return false;
    const tg_history old = *h;
    void *const slots = tg_allocate(&o->allocator, arrays * each);
    if (!slots) return false;
    memset(slots, 0, arrays * each);
    *h = (tg_history){old.steps, slots, arrays * each, span};
    const int64_t end = old.span.first + old.span.n, to = span.first + span.n;
    const int64_t first = old.span.first > span.first ? old.span.first : span.first;
    const int64_t n = (end < to ? end : to) - first;
    for (int s = 0; old.slots && n > 0 && s < o->rule.n_slots; s++)
        memcpy((char *)tg_optim_slot(o, p, s) + (size_t)(first - span.first) * size,
               (char *)old.slots + (size_t)s * slot_bytes(p, old.span) +
                   (size_t)(first - old.span.first) * size,
               (size_t)n * size);
    tg_release(&o->allocator, old.slots, old.bytes);
    return true;
}

bool tg_optim_remember(tg_optim *o, const tg_param *p)
{
    const tg_history *h = &o->histories[p->slot.id];
    const tg_part span = tg_division_span(TG_DIVISION_OF(o), p);
    if (!(o->rule.n_slots + o->rule.n_scratch)) return true;
    if (h->slots && h->span.first == span.first && h->span.n == span.n) return true;
    return tg_optim_resize(o, p, span);
}

static bool moves(const tg_optim *o, const tg_param *p)
{
    return tg_grads_has(&(tg_grads){.params = o->params, .mover = &o->mover}, p);
}

/* Cuts p into pieces: large enough to hide the call, small enough to share out. */
static bool cut(tg_optim *o, const tg_param *p, uint32_t set)
{
    enum { PIECE = 16384 };
    const tg_part span = tg_division_span(TG_DIVISION_OF(o), p);
    for (int64_t first = span.first; first < span.first + span.n;) {
        const int64_t left = span.first + span.n - first,
                      n = o->rule.whole || left < PIECE ? left : PIECE;
        if (!tg_grow(&o->allocator, (void **)&o->pieces, &o->piece_capacity, o->n_pieces + 1,
                     sizeof *o->pieces))
            return false;
        o->pieces[o->n_pieces++] = (tg_piece){p->slot.id, set, first, n};
        first += n;
    }
    return true;
}

/* Whether p moves in this step. What o would move is its own, and fits its rule: else an error. */
static bool admits(tg_optim *o, tg_param *p)
{
    if (!p->trainable) return false;
    if (p->mover != &o->mover && !tg_optim_owns(o, p)) {
        if (tg_optim_rivals(o, p))
            tg_error_set(&o->error, NULL, o->rule.name, TG_ESTATE,
                         "\"%s\" is moved by another optimizer (%s): free that first, or share "
                         "the parameters out with tg_optim_take",
                         p->name, p->mover->name);
        return false;
    }
    const tg_history *h = &o->histories[p->slot.id];
    if (p->has_grad && !TG_DIVISION_OF(o) && h->slots && h->span.n < p->count)
        tg_error_set(&o->error, NULL, o->rule.name, TG_ESTATE,
                     "the state of \"%s\" is divided among ranks: steps go on with tg_ranks_step",
                     p->name);
    if (p->has_grad && !update_of(o, p->dtype))
        tg_error_set(&o->error, NULL, o->rule.name, TG_EDTYPE,
                     "\"%s\" is %s, for which the rule has no update", p->name,
                     tg_dtype_name(p->dtype));
    return p->has_grad;
}

/* The pieces of a step and their coefficients, which neighbours share when they have taken equally
 * many steps. */
static tg_status plan_step(tg_optim *o, double factor)
{
    int64_t step = 0;
    o->n_pieces = o->n_sets = 0;
    bool room = tg_optim_cover(o);
    for (size_t k = 0; room && k < o->params->count; k++) {
        tg_param *p = o->params->list[k];
        if (!admits(o, p)) continue;
        if (step != o->histories[k].steps + 1) {
            step = o->histories[k].steps + 1;
            room = tg_grow(&o->allocator, (void **)&o->sets, &o->set_capacity, o->n_sets + 1,
                           sizeof *o->sets);
            if (!room) break;
            tg_coefficients *set = &o->sets[o->n_sets++];
            memset(set, 0, sizeof *set);
            if (o->rule.prepare)
                o->rule.prepare(o->options, o->learning_rate * factor, step, set->c);
        }
        room = tg_optim_remember(o, p) && cut(o, p, (uint32_t)o->n_sets - 1);
    }
    if (!room) tg_error_set(&o->error, NULL, o->rule.name, TG_ENOMEM, "no memory for a step");
    return o->error.status;
}

static void negate(tg_dtype dtype, void *data, int64_t n)
{
    float *f32 = data;
    double *f64 = data;
    if (dtype == TG_F32)
        for (int64_t i = 0; i < n; i++) f32[i] = -f32[i];
    else
        for (int64_t i = 0; i < n; i++) f64[i] = -f64[i];
}

static void run_piece(const tg_optim *o, const tg_piece *k)
{
    const tg_param *p = o->params->list[k->param];
    const size_t offset = (size_t)k->first * tg_dtype_size(p->dtype);
    const size_t behind =
        (size_t)(k->first - o->histories[k->param].span.first) * tg_dtype_size(p->dtype);
    tg_update u = {.n = k->n,
                   .value = (char *)p->value + offset,
                   .grad = (char *)p->grad + offset,
                   .c = o->sets[k->set].c,
                   .options = o->options,
                   .shape = &p->shape};
    if (o->rule.n_scratch) u.scratch = tg_optim_slot(o, p, o->rule.n_slots);
    for (int s = 0; s < o->rule.n_slots; s++) u.slot[s] = (char *)tg_optim_slot(o, p, s) + behind;
    if (o->maximize) negate(p->dtype, (char *)p->grad + offset, k->n);
    update_of(o, p->dtype)(&u);
}

static void run_pieces(const tg_optim *o, int64_t first, int64_t end)
{
    for (int64_t k = first; k < end; k++) run_piece(o, &o->pieces[k]);
}

static void run_job(const tg_job *job, int thread)
{
    for (int64_t first, end; tg_job_next(job, thread, &first, &end);)
        run_pieces(job->user, first, end);
}

static void run(const tg_optim *o)
{
    enum { WORTH_THREADS = 32768 }; /* elements, of about 0.2 ns each */
    int64_t elements = 0;
    for (size_t k = 0; k < o->n_pieces; k++) elements += o->pieces[k].n;
    if (o->threads > 1 && elements >= WORTH_THREADS) {
        fenv_t environment;
        fegetenv(&environment);
        tg_workers_run(&o->params->workers, &(tg_job){.run = run_job,
                                                      .user = o,
                                                      .turns = (int64_t)o->n_pieces,
                                                      .threads = o->threads,
                                                      .nanoseconds = elements / 5,
                                                      .environment = &environment});
    } else {
        run_pieces(o, 0, (int64_t)o->n_pieces);
    }
}

/* After a step: gradients are used up. */
static void finish(tg_optim *o)
{
    for (size_t k = 0; k < o->params->count; k++) {
        tg_param *p = o->params->list[k];
        if (!moves(o, p)) continue;
        o->histories[k].steps++;
        p->has_grad = false;
        tg_param_changed(p);
    }
}

static tg_status take_over(tg_optim *o, const tg_error *theirs)
{
    return theirs->status == TG_OK || theirs == &o->error
               ? theirs->status
               : tg_error_set(&o->error, NULL, NULL, theirs->status, "%s", theirs->message);
}

static tg_status plan_all(tg_optim *o)
{
    tg_optim *member;
    for (size_t k = 0; (member = tg_optim_member(o, k)) != NULL; k++) {
        if (take_over(o, &member->error) != TG_OK || take_over(o, &member->params->error) != TG_OK)
            return o->error.status;
        plan_step(member, member == o ? o->factor : o->factor * member->factor);
        if (take_over(o, &member->error) != TG_OK) return o->error.status;
    }
    return TG_OK;
}

tg_status tg_optim_step(tg_optim *o)
{
    tg_optim *member;
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if (o->mover.whole)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ESTATE,
                            "it is a part of another optimizer, whose step is its own");
    plan_all(o);
    const tg_division *d = TG_DIVISION_OF(o);
    if (d && !d->ready(d->user, o->error.status, o->error.message))
        return tg_error_set(&o->error, NULL, NULL, d->error->status, "%s", d->error->message);
    if (o->error.status != TG_OK) return o->error.status;
    bool skip = ++o->collected < o->accumulate;
    if (skip) return TG_OK;
    if (o->treats && tg_optim_treat(o, &skip) != TG_OK) return o->error.status;
    o->collected = 0;
    if (skip) return TG_OK;
    for (size_t k = 0; (member = tg_optim_member(o, k)) != NULL; k++) run(member);
    for (size_t k = 0; (member = tg_optim_member(o, k)) != NULL; k++) finish(member);
    return TG_OK;
}
