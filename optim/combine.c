/* From the sums of my leaves to a mean gradient everywhere, or to a step in which each rank updates
 * its slice. */
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "optimizer.h"
#include "rank.h"

uint64_t tg_ranks_print_present(const tg_ranks *r)
{
    return XXH3_64bits(r->present, r->layout * sizeof *r->present) | 1;
}

/* ---------------------------------------------------------------- what all leaves say */

/* Everybody's notes, and what the leaves have something for. */
static bool exchange_notes(tg_ranks *r)
{
    const size_t each = (size_t)((r->leaves + r->n - 1) / r->n), bytes = each * sizeof(tg_note);
    tg_note *const all = (tg_note *)(void *)r->in.data;
    const tg_part mine = tg_ranks_my_leaves(r);
    memset(all, 0, bytes);
    if (mine.n) memcpy(all, r->notes + mine.first, (size_t)mine.n * sizeof *all);
    if (!tg_travel_all(r, all, bytes)) return false;
    int first = -1;
    for (int rank = r->n - 1; rank >= 0; rank--) {
        const tg_part s = tg_ranks_leaves_of(r, rank);
        const tg_note *const from = all + (size_t)((rank - r->rank + r->n) % r->n) * each;
        for (int64_t k = 0; k < s.n; k++) {
            r->notes[s.first + k] = from[k];
            if (from[k].print) first = rank;
        }
    }
    if (first < 0)
        return tg_error_set(&r->error, NULL, "ranks", TG_ESTATE, "no leaf was added"), false;
    uint64_t print = 0;
    bool idle = false;
    for (int rank = 0; rank < r->n; rank++) {
        bool works = false;
        const tg_part s = tg_ranks_leaves_of(r, rank);
        for (int64_t k = s.first; k < s.first + s.n; k++) {
            if (!r->notes[k].print) continue;
            works = true;
            if (print && r->notes[k].print != print)
                return tg_error_set(&r->error, NULL, "ranks", TG_ESTATE,
                                    "leaf %lld has gradients or buffers for other parameters than "
                                    "the leaves before it",
                                    (long long)k),
                       false;
            print = r->notes[k].print;
        }
        idle = idle || !works;
    }
    r->print = print;
    return !idle || tg_travel_from(r, first, r->present, r->layout * sizeof *r->present);
}

static void merge_notes(void *user, tg_node_sum *left, tg_node_sum *right)
{
    (void)user;
    if (right->there && left->there) {
        left->loss += right->loss;
        left->weight += right->weight;
    } else if (right->there) {
        left->loss = right->loss;
        left->weight = right->weight;
        left->there = true;
    }
}

/* Losses and weights, added by the same tree. */
static double total(const tg_ranks *r, double *weight)
{
    tg_node_sum stack[TG_TREE_LEVELS + 1];
    int depth = 0;
    for (int64_t k = 0; k < r->leaves; k++) {
        const tg_note *note = &r->notes[k];
        stack[depth++] = (tg_node_sum){
            .index = k, .there = note->print != 0, .loss = note->loss, .weight = note->weight};
        depth = tg_tree_settle(r->leaves, stack, depth, merge_notes, NULL);
    }
    *weight = stack[0].weight;
    return stack[0].loss;
}

/* ---------------------------------------------------------------- the mean */

static void divide(tg_dtype dtype, void *x, tg_part s, double by)
{
    float *f32 = x;
    double *f64 = x;
    const float narrow = (float)by;
    if (dtype == TG_F32)
        for (int64_t i = s.first; i < s.first + s.n; i++) f32[i] /= narrow;
    else
        for (int64_t i = s.first; i < s.first + s.n; i++) f64[i] /= by;
}

/* What is needed of all ranks before a sum can be made: the same leaves and parameters, and once,
 * when these are new, memory. */
static tg_status agree(tg_ranks *r, tg_params *ps, tg_place place, bool hold)
{
    if (r->error.status != TG_OK) return r->error.status;
    uint64_t print = 0;
    const size_t each = (size_t)((r->leaves + r->n - 1) / r->n);
    if (tg_ranks_begin(r, ps) == TG_OK) {
        const tg_part mine = tg_ranks_my_leaves(r);
        tg_ranks_skip_to(r, mine.first + mine.n);
        const uint64_t sizes[3] = {r->layout, r->start[r->layout], (uint64_t)r->leaves};
        print = XXH3_64bits(sizes, sizeof sizes);
        if (!tg_room_reserve(r, &r->in, (size_t)r->n * each * sizeof(tg_note)))
            tg_error_set(&r->own, NULL, "ranks", TG_ENOMEM, "no memory");
    }
    if (tg_ranks_call(r, place, print, TG_OK, NULL) != TG_OK || !exchange_notes(r))
        return r->error.status;
    uint64_t wanted = (print ^ r->print) + hold;
    for (int64_t k = 0; k < r->leaves; k++) wanted = wanted * 3 + (r->notes[k].print != 0);
    if (wanted == r->reserved) return TG_OK;
    const tg_status status = tg_slices_reserve(r, hold) ? TG_OK : TG_ENOMEM;
    r->reserved = wanted;
    return tg_ranks_call(r, TG_PLACE_READY, 0, status, "no memory for gradients of all ranks");
}

/* In stack[0]: the mean of all leaves, of my slice. */
static tg_status average(tg_ranks *r, tg_params *ps, tg_place place, bool hold, double *mean_loss)
{
    double weight;
    if (agree(r, ps, place, hold) != TG_OK || !tg_slices_reduce(r)) return r->error.status;
    const double loss = total(r, &weight);
    for (size_t k = 0; weight != 1 && k < r->layout; k++)
        if (r->present[k]) divide(ps->list[k]->dtype, r->stack[0].part[k], r->mine[k], weight);
    if (mean_loss) *mean_loss = loss / weight;
    r->stats.steps++;
    return TG_OK;
}

/* The step is over, whether or not it came to an end. */
static void finish(tg_ranks *r)
{
    r->ps = NULL;
    r->depth = 0;
}

static void *part_at(void *const *part, size_t k, tg_dtype dtype, tg_part s)
{
    return (char *)part[k] + (size_t)s.first * tg_dtype_size(dtype);
}

/* The mean's elements `span` become the parameter's gradient. */
static void hand_back(tg_ranks *r, tg_param *p, tg_part span)
{
    const size_t k = p->slot.id;
    void **const part = r->stack[0].part;
    if (!p->trainable) return;
    if (r->holds[k] && span.n)
        tg_sum_into(p->dtype, part_at(part, k, p->dtype, span), part_at(r->held, k, p->dtype, span),
                    span.n);
    void *const grad = p->grad;
    p->grad = part[k];
    part[k] = grad;
    p->has_grad = true;
    r->holds[k] = false;
}

/* What was accumulated for a parameter that this step has nothing for. */
static void give_back(tg_ranks *r, tg_param *p)
{
    const size_t k = p->slot.id;
    if (!r->holds[k]) return;
    void *const grad = p->grad;
    p->grad = r->held[k];
    r->held[k] = grad;
    p->has_grad = true;
    r->holds[k] = false;
    r->present[k] = true;
}

tg_status tg_ranks_combine(tg_ranks *r, tg_params *ps, double *mean_loss)
{
    if (mean_loss) *mean_loss = NAN;
    if (!r) return TG_ENOMEM;
    if (average(r, ps, TG_PLACE_COMBINE, false, mean_loss) == TG_OK &&
        tg_slices_gather(r, r->stack[0].part))
        for (size_t k = 0; k < r->layout; k++) {
            tg_param *p = ps->list[k];
            if (!r->present[k]) continue;
            hand_back(r, p, (tg_part){0, p->count});
            if (p->trainable) continue;
            memcpy(p->value, r->stack[0].part[k], p->bytes);
            tg_param_changed(p);
        }
    finish(r);
    return r->error.status;
}

/* ---------------------------------------------------------------- a step of slices */

static bool ready(void *user, tg_status status, const char *message)
{
    return tg_ranks_call(user, TG_PLACE_READY, 1, status, message) == TG_OK;
}

static bool sum(void *user, double *x, size_t n)
{
    tg_ranks *r = user;
    return r->error.status == TG_OK && tg_travel_sum(r, x, n);
}

/* Whether all rules see elements one by one, and one set of parameters. */
static bool can_divide(const tg_optim *o)
{
    for (size_t k = 0; tg_optim_member(o, k); k++)
        if (tg_optim_member(o, k)->rule.whole || tg_optim_member(o, k)->params != o->params)
            return false;
    return true;
}

static void set_division(tg_optim *o, const tg_division *d)
{
    for (size_t k = 0; tg_optim_member(o, k); k++) tg_optim_member(o, k)->division = d;
}

static void put_by(tg_ranks *r, tg_param *p)
{
    const size_t k = p->slot.id;
    void *const grad = p->grad;
    p->grad = r->held[k];
    r->held[k] = grad;
    r->holds[k] = true;
    p->has_grad = false;
}

/* Gradients that the step did not use wait for the next one where micro-batches are accumulated,
 * else they are dropped. */
static void put_aside(tg_ranks *r, tg_params *ps, const tg_optim *o)
{
    for (size_t k = 0; k < r->layout; k++) {
        tg_param *p = ps->list[k];
        if (!p->has_grad) continue;
        if (o->collected) put_by(r, p);
        else p->has_grad = false;
    }
}

bool tg_ranks_hold(tg_ranks *r, tg_params *ps)
{
    bool any = false;
    for (size_t k = 0; k < ps->count; k++) any = any || ps->list[k]->has_grad;
    if (!any) return true;
    if (!tg_ranks_lay_out(r, ps)) return false;
    for (size_t k = 0; k < r->layout; k++)
        if (ps->list[k]->has_grad) put_by(r, ps->list[k]);
    return true;
}

bool tg_ranks_show_held(tg_ranks *r, tg_params *ps)
{
    bool any = false;
    for (size_t k = 0; k < r->layout; k++) any = any || r->holds[k];
    if (!any) return true;
    memcpy(r->present, r->holds, r->layout * sizeof *r->present);
    r->ps = ps;
    const bool ok = !r->reserved || tg_slices_gather(r, r->held); /* else they are whole */
    r->ps = NULL;
    for (size_t k = 0; k < r->layout; k++) give_back(r, ps->list[k]);
    return ok;
}

static void write_buffers(tg_ranks *r, tg_params *ps)
{
    for (size_t k = 0; k < r->layout; k++) {
        tg_param *p = ps->list[k];
        const tg_part s = r->mine[k];
        if (!r->present[k] || p->trainable) continue;
        if (s.n)
            memcpy(part_at(r->value, k, p->dtype, s), part_at(r->stack[0].part, k, p->dtype, s),
                   (size_t)s.n * tg_dtype_size(p->dtype));
        tg_param_changed(p);
    }
}

static tg_status step(tg_ranks *r, tg_optim *o, tg_params *ps, const double *told_loss,
                      void (*told)(void *user, double loss), void *user)
{
    tg_division d = {.mine = r->mine,
                     .ranks = r->n,
                     .rank = r->rank,
                     .chunk = (double *)(void *)r->chunk.data,
                     .ready = ready,
                     .sum = sum,
                     .error = &r->error,
                     .user = r};
    const bool divided = r->n > 1;
    for (size_t k = 0; k < r->layout; k++)
        if (r->present[k])
            hand_back(r, ps->list[k], divided ? r->mine[k] : (tg_part){0, ps->list[k]->count});
        else give_back(r, ps->list[k]);
    if (told) told(user, *told_loss);
    if (divided) set_division(o, &d);
    tg_optim_step(o);
    set_division(o, NULL);
    if (tg_optim_status(o) == TG_OK) write_buffers(r, ps);
    put_aside(r, ps, o);
    if (tg_optim_status(o) != TG_OK && r->error.status == TG_OK)
        return tg_error_set(&r->error, NULL, NULL, tg_optim_status(o), "%s", tg_optim_message(o));
    o->divided = divided;
    if (r->error.status == TG_OK) tg_slices_gather(r, r->value);
    return r->error.status;
}

tg_status tg_ranks_step_with(tg_ranks *r, tg_optim *o, double *mean_loss,
                             void (*told)(void *user, double loss), void *user)
{
    double loss = NAN;
    if (mean_loss) *mean_loss = NAN;
    if (!r) return TG_ENOMEM;
    tg_params *const ps = tg_optim_params(o);
    if (tg_optim_status(o) != TG_OK)
        tg_error_set(&r->own, NULL, NULL, tg_optim_status(o), "%s", tg_optim_message(o));
    if (r->n > 1 && o && !can_divide(o)) {
        if (tg_ranks_combine(r, ps, &loss) == TG_OK && tg_optim_step(o) != TG_OK)
            tg_error_set(&r->error, NULL, NULL, tg_optim_status(o), "%s", tg_optim_message(o));
        if (r->layout && ps) put_aside(r, ps, o);
    } else {
        if (average(r, ps, TG_PLACE_STEP, o && o->accumulate > 1, &loss) == TG_OK)
            step(r, o, ps, &loss, told, user);
        finish(r);
    }
    if (mean_loss) *mean_loss = loss;
    return r->error.status;
}

tg_status tg_ranks_step(tg_ranks *r, tg_optim *o, double *mean_loss)
{
    return tg_ranks_step_with(r, o, mean_loss, NULL, NULL);
}

bool tg_ranks_sum(tg_ranks *r, double *x)
{
    return tg_ranks_call(r, TG_PLACE_SUM, 0, TG_OK, NULL) == TG_OK && tg_travel_sum(r, x, 1);
}
