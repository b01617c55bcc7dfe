/* What all optimizers share: errors, state, the step. */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "../graph/params.h"
#include "rule.h"

/* What is remembered of a parameter; found by the parameter's index, which never changes. */
typedef struct history {
    int64_t steps;
    void *slots;  /* all of them in one block, each aligned; NULL until the first step */
    size_t bytes; /* of the block */
} history;

/* A part of a parameter, updated by one call. */
typedef struct piece {
    uint32_t param;
    uint32_t set; /* of coefficients */
    int64_t first, n;
} piece;

typedef struct coefficients {
    double c[TG_OPTIM_COEFFICIENTS];
} coefficients;

struct tg_optim {
    tg_allocator allocator;
    tg_error error;
    bool unusable; /* the error is that of the creation */
    tg_params *params;
    tg_optim_rule rule;
    void *options;
    double learning_rate;
    int threads, build;
    history *histories;
    size_t n_histories, history_capacity;
    /* Rebuilt by each step, kept for their room. */
    piece *pieces;
    size_t n_pieces, piece_capacity;
    coefficients *sets;
    size_t n_sets, set_capacity;
};

/* ---------------------------------------------------------------- life and errors */

static const char *rule_fault(const tg_optim_rule *rule)
{
    if (!rule->name || rule->n_slots < 0 || rule->n_slots > TG_OPTIM_SLOTS)
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
                    .threads = 1,
                    .build = tg_build_best()};
    set_up(o, where, rule, learning_rate, options, fault);
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
    o->threads = threads;
    return TG_OK;
}

tg_status tg_optim_set_isa(tg_optim *o, tg_isa isa)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if ((int)isa < TG_ISA_AUTO || isa > TG_ISA_AVX512)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE, "unknown instruction set");
    const int best = tg_build_best(), wanted = (int)isa - (int)TG_ISA_BASE + TG_BUILD_BASE;
    o->build = isa == TG_ISA_AUTO || wanted > best ? best : wanted;
    return TG_OK;
}

/* ---------------------------------------------------------------- the step */

static size_t slot_bytes(const tg_param *p)
{
    return (p->bytes + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN;
}

static void *slot_of(const tg_optim *o, const tg_param *p, int slot)
{
    return (char *)o->histories[p->slot.id].slots + (size_t)slot * slot_bytes(p);
}

static tg_update_fn update_of(const tg_optim *o, tg_dtype dtype)
{
    tg_update_fn update = NULL;
    for (int build = o->build; build >= 0 && !update; build--)
        update = o->rule.update[dtype][build];
    return update;
}

/* A place for the histories of all parameters that there are by now. */
static bool cover_params(tg_optim *o)
{
    const size_t count = o->params->count;
    if (!tg_grow(&o->allocator, (void **)&o->histories, &o->history_capacity, count,
                 sizeof *o->histories))
        return false;
    while (o->n_histories < count) o->histories[o->n_histories++] = (history){0, NULL, 0};
    return true;
}

static bool remember(tg_optim *o, const tg_param *p)
{
    history *h = &o->histories[p->slot.id];
    if (h->slots || !o->rule.n_slots) return true;
    const size_t each = slot_bytes(p);
    if (each > (size_t)PTRDIFF_MAX / TG_OPTIM_SLOTS) return false;
    h->bytes = (size_t)o->rule.n_slots * each;
    h->slots = tg_allocate(&o->allocator, h->bytes);
    if (h->slots) memset(h->slots, 0, h->bytes);
    return h->slots != NULL;
}

static bool moves(const tg_param *p) { return p->has_grad && p->trainable; }

/* Cuts p into pieces: large enough to hide the call, small enough to share out. */
static bool cut(tg_optim *o, const tg_param *p, uint32_t set)
{
    enum { PIECE = 16384 };
    for (int64_t first = 0; first < p->count;) {
        const int64_t left = p->count - first, n = o->rule.whole || left < PIECE ? left : PIECE;
        if (!tg_grow(&o->allocator, (void **)&o->pieces, &o->piece_capacity, o->n_pieces + 1,
                     sizeof *o->pieces))
            return false;
        o->pieces[o->n_pieces++] = (piece){p->slot.id, set, first, n};
        first += n;
    }
    return true;
}

/* The pieces of a step and their coefficients, which neighbours share when they have taken equally
 * many steps. */
static tg_status plan_step(tg_optim *o)
{
    int64_t step = 0;
    o->n_pieces = o->n_sets = 0;
    bool room = cover_params(o);
    for (size_t k = 0; room && k < o->params->count; k++) {
        const tg_param *p = o->params->list[k];
        if (!moves(p)) continue;
        if (!update_of(o, p->dtype))
            return tg_error_set(&o->error, NULL, o->rule.name, TG_EDTYPE,
                                "\"%s\" is %s, for which the rule has no update", p->name,
                                tg_dtype_name(p->dtype));
        if (step != o->histories[k].steps + 1) {
            step = o->histories[k].steps + 1;
            room = tg_grow(&o->allocator, (void **)&o->sets, &o->set_capacity, o->n_sets + 1,
                           sizeof *o->sets);
            if (!room) break;
            coefficients *set = &o->sets[o->n_sets++];
            memset(set, 0, sizeof *set);
            if (o->rule.prepare) o->rule.prepare(o->options, o->learning_rate, step, set->c);
        }
        room = remember(o, p) && cut(o, p, (uint32_t)o->n_sets - 1);
    }
    return room ? TG_OK
                : tg_error_set(&o->error, NULL, o->rule.name, TG_ENOMEM, "no memory for a step");
}

static void run_piece(const tg_optim *o, const piece *k)
{
    const tg_param *p = o->params->list[k->param];
    const size_t offset = (size_t)k->first * tg_dtype_size(p->dtype);
    tg_update u = {.n = k->n,
                   .value = (char *)p->value + offset,
                   .grad = (char *)p->grad + offset,
                   .c = o->sets[k->set].c,
                   .options = o->options};
    for (int s = 0; s < o->rule.n_slots; s++) u.slot[s] = (char *)slot_of(o, p, s) + offset;
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

tg_status tg_optim_step(tg_optim *o)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    const tg_error *theirs = &o->params->error;
    if (theirs->status != TG_OK)
        return tg_error_set(&o->error, NULL, NULL, theirs->status, "%s", theirs->message);
    if (plan_step(o) != TG_OK) return o->error.status;
    run(o);
    for (size_t k = 0; k < o->params->count; k++) {
        tg_param *p = o->params->list[k];
        if (!moves(p)) continue;
        o->histories[k].steps++;
        p->has_grad = false;
        tg_param_changed(p);
    }
    return TG_OK;
}

/* ---------------------------------------------------------------- state */

static const char *const step_slot = "step";

/* Rules compute with the number of steps in double, exact up to here; from here no process counts
 * on to where int64_t ends. */
static const int64_t most_steps = (int64_t)1 << 53;

int tg_optim_state_count(const tg_optim *o)
{
    return o && !o->unusable ? (int)o->n_histories * (o->rule.n_slots + 1) : 0;
}

bool tg_optim_state_get(const tg_optim *o, int index, tg_optim_state *out)
{
    if (!out || index < 0 || index >= tg_optim_state_count(o)) return false;
    const int each = o->rule.n_slots + 1, slot = index % each;
    const tg_param *p = o->params->list[index / each];
    const history *h = &o->histories[index / each];
    if (!h->steps) return false;
    if (slot < o->rule.n_slots)
        *out =
            (tg_optim_state){p->name, o->rule.slot[slot], p->dtype, p->shape, slot_of(o, p, slot)};
    else *out = (tg_optim_state){p->name, step_slot, TG_I64, TG_SCALAR, &h->steps};
    return true;
}

static tg_status set_slot(tg_optim *o, const tg_param *p, int slot, const tg_optim_state *state)
{
    const bool is_step = slot == o->rule.n_slots;
    const tg_dtype dtype = is_step ? TG_I64 : p->dtype;
    const tg_shape shape = is_step ? TG_SCALAR : p->shape;
    const char *what = o->rule.name;
    int64_t steps = 0;
    if (state->dtype != dtype)
        return tg_error_set(&o->error, NULL, what, TG_EDTYPE,
                            "state \"%s\" of \"%s\" is %s, not %s", state->slot, p->name,
                            tg_dtype_name(dtype), tg_dtype_name(state->dtype));
    if (!tg_shape_equal(state->shape, shape))
        return tg_error_set(&o->error, NULL, what, TG_ESHAPE,
                            "state \"%s\" of \"%s\" has shape %s, not %s", state->slot, p->name,
                            tg_shape_text(shape).text, tg_shape_text(state->shape).text);
    if (!state->data && tg_shape_count(shape))
        return tg_error_set(&o->error, NULL, what, TG_ENULL,
                            "the data of state \"%s\" of \"%s\" is NULL", state->slot, p->name);
    if (is_step) memcpy(&steps, state->data, sizeof steps);
    if (steps < 0 || steps > most_steps)
        return tg_error_set(&o->error, NULL, what, TG_EVALUE,
                            "state \"step\" of \"%s\" is %lld, not in 0 .. 2^53", p->name,
                            (long long)steps);
    if (!cover_params(o) || !remember(o, p))
        return tg_error_set(&o->error, NULL, what, TG_ENOMEM, "no memory for the state of \"%s\"",
                            p->name);
    if (is_step) o->histories[p->slot.id].steps = steps;
    else if (p->count) memmove(slot_of(o, p, slot), state->data, p->bytes);
    return TG_OK;
}

tg_status tg_optim_state_set(tg_optim *o, const tg_optim_state *state)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    const char *what = o->rule.name;
    if (!state || !state->param || !state->slot)
        return tg_error_set(&o->error, NULL, what, TG_ENULL, "the state, or a name in it, is NULL");
    const tg_param *p = tg_param_of(tg_params_find(o->params, state->param));
    if (!p)
        return tg_error_set(&o->error, NULL, what, TG_EVALUE, "no parameter \"%s\" for a state",
                            state->param);
    for (int slot = 0; slot <= o->rule.n_slots; slot++)
        if (strcmp(state->slot, slot < o->rule.n_slots ? o->rule.slot[slot] : step_slot) == 0)
            return set_slot(o, p, slot, state);
    return tg_error_set(&o->error, NULL, what, TG_EVALUE, "no state \"%s\"", state->slot);
}
