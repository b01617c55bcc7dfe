/* L-BFGS, with a line search for the strong Wolfe conditions (Nocedal and Wright 2006, algorithms
 * 7.4, 3.5 and 3.6), in the order of PyTorch's. */
#include <math.h>
#include <string.h>

#include "optimizer.h"

/* A step and the change of the gradient along it. */
typedef struct pair {
    double *s, *y; /* one block */
    double curvature;
} pair;

struct tg_lbfgs {
    tg_allocator allocator;
    tg_error error;
    bool unusable;
    tg_lbfgs_options o;
    tg_mover mover;
    tg_params *params;
    int64_t n; /* elements of all that moves; 0: nothing so far */
    int64_t steps, calls;
    /* [n] each, of one block: position, direction, gradient; gradients of the line search */
    double *room, *x, *d, *g, *trial, *low, *high;
    pair *pairs; /* the newest first */
    double *weight;
    int64_t n_pairs;
    double scale; /* of the first guess of the inverse Hessian matrix */
    double loss;
};

enum { VECTORS = 6 };

static tg_status fail(tg_lbfgs *l, tg_status status, const char *what)
{
    return tg_error_set(&l->error, NULL, "lbfgs", status, "%s", what);
}

static const char *complete(tg_lbfgs_options *o)
{
    if (!(isfinite(o->learning_rate) && o->learning_rate >= 0))
        return "the learning rate is not finite and >= 0";
    if (o->iterations < 0 || o->calls < 0) return "iterations and calls must be >= 0";
    if (o->history < 0 || o->history > 1000000) return "the history must be 0 .. 1000000 long";
    if (!(o->gradient_tolerance >= 0) || !(o->change_tolerance >= 0))
        return "the tolerances must be >= 0";
    if (o->learning_rate == 0) o->learning_rate = 1;
    if (!o->iterations) o->iterations = 20;
    if (!o->calls) o->calls = o->iterations + o->iterations / 4;
    if (!o->history) o->history = 100;
    if (o->gradient_tolerance == 0) o->gradient_tolerance = 1e-7;
    if (o->change_tolerance == 0) o->change_tolerance = 1e-9;
    return NULL;
}

tg_lbfgs *tg_lbfgs_new_at(tg_params *ps, const char *where, const tg_lbfgs_options *options)
{
    const tg_allocator a = ps ? ps->allocator : tg_allocator_or_default(NULL);
    tg_lbfgs *l = tg_allocate(&a, sizeof *l);
    if (!l) return NULL;
    *l = (tg_lbfgs){.allocator = a, .params = ps, .loss = NAN};
    const bool sized = tg_options_read(&l->o, sizeof l->o, options);
    const char *fault = sized ? complete(&l->o) : TG_UNSIZED(tg_lbfgs_options);
    if (!ps) tg_error_set(&l->error, where, "lbfgs", TG_ENULL, "the parameters are NULL");
    else if (fault) tg_error_set(&l->error, where, "lbfgs", TG_EVALUE, "%s", fault);
    if (ps) tg_mover_enter(&l->mover, ps, "lbfgs");
    l->unusable = l->error.status != TG_OK;
    return l;
}

tg_lbfgs *(tg_lbfgs_new)(tg_params *ps, const tg_lbfgs_options *options)
{
    return tg_lbfgs_new_at(ps, NULL, options);
}

static void drop_pairs(tg_lbfgs *l)
{
    const size_t n = (size_t)l->n;
    for (int64_t k = 0; k < l->n_pairs; k++)
        tg_release(&l->allocator, l->pairs[k].s, 2 * n * sizeof(double));
    l->n_pairs = 0;
}

static void release_room(tg_lbfgs *l)
{
    const size_t n = (size_t)l->n, history = (size_t)l->o.history;
    drop_pairs(l);
    tg_release(&l->allocator, l->room, VECTORS * n * sizeof *l->room);
    tg_release(&l->allocator, l->pairs, history * sizeof *l->pairs);
    tg_release(&l->allocator, l->weight, history * sizeof *l->weight);
    l->room = l->weight = NULL;
    l->pairs = NULL;
    l->n = 0;
}

void tg_lbfgs_free(tg_lbfgs *l)
{
    if (!l) return;
    const tg_allocator a = l->allocator;
    release_room(l);
    tg_mover_leave(&l->mover);
    tg_release(&a, l, sizeof *l);
}

tg_status tg_lbfgs_status(const tg_lbfgs *l) { return l ? l->error.status : TG_ENOMEM; }
const char *tg_lbfgs_message(const tg_lbfgs *l)
{
    return l ? l->error.message : "no optimizer: there was no memory for it";
}
void tg_lbfgs_clear_error(tg_lbfgs *l)
{
    if (l && !l->unusable) l->error = (tg_error){TG_OK, ""};
}
double tg_lbfgs_loss(const tg_lbfgs *l) { return l ? l->loss : NAN; }

/* ---------------------------------------------------------------- parameters as one vector */

static bool moves(const tg_lbfgs *l, const tg_param *p)
{
    return p->trainable && p->mover == &l->mover;
}

static double element(const void *data, tg_dtype dtype, int64_t i)
{
    return dtype == TG_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

/* Claims all that is trainable, and begins anew when that is not what it was. */
static tg_status claim(tg_lbfgs *l)
{
    int64_t n = 0;
    for (size_t k = 0; k < l->params->count; k++) {
        tg_param *p = l->params->list[k];
        if (p->trainable && !p->mover) p->mover = &l->mover;
        if (p->trainable && p->mover != &l->mover)
            return tg_error_set(&l->error, NULL, "lbfgs", TG_ESTATE,
                                "\"%s\" is moved by another optimizer (%s)", p->name,
                                p->mover->name);
        if (moves(l, p)) n += p->count;
    }
    if (n == l->n) return TG_OK;
    release_room(l);
    const size_t count = (size_t)n, history = (size_t)l->o.history;
    if (count <= (size_t)PTRDIFF_MAX / (VECTORS * sizeof(double)))
        l->room = tg_allocate(&l->allocator, VECTORS * count * sizeof *l->room);
    l->pairs = tg_allocate(&l->allocator, history * sizeof *l->pairs);
    l->weight = tg_allocate(&l->allocator, history * sizeof *l->weight);
    l->n = n;
    if (!l->room || !l->pairs || !l->weight) {
        release_room(l);
        return fail(l, TG_ENOMEM, "no memory for a step");
    }
    double **const vector[VECTORS] = {&l->x, &l->d, &l->g, &l->trial, &l->low, &l->high};
    for (int k = 0; k < VECTORS; k++) *vector[k] = l->room + (size_t)k * count;
    l->steps = 0;
    return TG_OK;
}

static void read_values(tg_lbfgs *l)
{
    double *x = l->x;
    for (size_t k = 0; k < l->params->count; k++) {
        const tg_param *p = l->params->list[k];
        for (int64_t i = 0; moves(l, p) && i < p->count; i++) *x++ = element(p->value, p->dtype, i);
    }
}

/* The parameters become x + t d. */
static void move(tg_lbfgs *l, double t)
{
    int64_t at = 0;
    for (size_t k = 0; k < l->params->count; k++) {
        tg_param *p = l->params->list[k];
        if (!moves(l, p)) continue;
        for (int64_t i = 0; i < p->count; i++, at++) {
            const double value = t > 0 ? l->x[at] + t * l->d[at] : l->x[at];
            if (p->dtype == TG_F32) ((float *)p->value)[i] = (float)value;
            else ((double *)p->value)[i] = value;
        }
        tg_param_changed(p);
    }
}

/* Asks for loss and gradient where the parameters are, and uses the gradients up. */
static bool ask(tg_lbfgs *l, tg_closure_fn *closure, void *user, double *loss, double *g)
{
    tg_params_drop_grads(l->params);
    l->calls++;
    *loss = closure(user);
    if (isnan(*loss)) {
        tg_params_drop_grads(l->params);
        return fail(l, TG_ENONFINITE, "the loss is NaN, or the closure has failed"), false;
    }
    for (size_t k = 0; k < l->params->count; k++) {
        const tg_param *p = l->params->list[k];
        for (int64_t i = 0; moves(l, p) && i < p->count; i++)
            *g++ = p->has_grad ? element(p->grad, p->dtype, i) : 0;
    }
    tg_params_drop_grads(l->params);
    return true;
}

static double dot(int64_t n, const double *a, const double *b)
{
    double y = 0;
    for (int64_t i = 0; i < n; i++) y += a[i] * b[i];
    return y;
}

static double largest(int64_t n, const double *a)
{
    double y = 0;
    for (int64_t i = 0; i < n; i++) y = fmax(y, fabs(a[i]));
    return y;
}

/* ---------------------------------------------------------------- the line search */

/* A place along the direction: loss, slope, gradient. */
typedef struct place {
    double t, loss, slope, *g;
} place;

typedef struct search {
    tg_lbfgs *l;
    tg_closure_fn *closure;
    void *user;
} search;

static bool visit(const search *s, double t, place *y)
{
    move(s->l, t);
    y->t = t;
    if (!ask(s->l, s->closure, s->user, &y->loss, y->g)) return false;
    y->slope = dot(s->l->n, y->g, s->l->d);
    return true;
}

static void exchange(place *a, place *b)
{
    const place kept = *a;
    *a = *b;
    *b = kept;
}

/* The minimum of the cubic through two places, within bounds; their middle where there is none. */
static double cubic(const place *a, const place *b, double low, double high)
{
    const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->t - b->t),
                 square = d1 * d1 - a->slope * b->slope;
    if (!(square >= 0) || isinf(square)) return (low + high) / 2;
    const double d2 = sqrt(square),
                 t = a->t <= b->t
                         ? b->t - (b->t - a->t) *
                                      ((b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2))
                         : a->t - (a->t - b->t) *
                                      ((a->slope + d2 - d1) / (a->slope - b->slope + 2 * d2));
    return isnan(t) ? (low + high) / 2 : fmin(fmax(t, low), high);
}

static bool too_long(const place *from, const place *now)
{
    return !(now->loss <= from->loss + 1e-4 * now->t * from->slope) || !isfinite(now->slope);
}
static bool flat_enough(const place *from, const place *now)
{
    return fabs(now->slope) <= -0.9 * from->slope;
}

/* Narrows the bracket low .. high until a place in it fulfils both conditions: low. */
static bool zoom(const search *s, const place *from, place *low, place *high, place *now, int calls)
{
    const double size = largest(s->l->n, s->l->d);
    bool stuck = false, found = false;
    if (low->loss > high->loss) exchange(low, high);
    for (; !found && calls > 0; calls--) {
        const double least = fmin(low->t, high->t), most = fmax(low->t, high->t);
        if ((most - least) * size < s->l->o.change_tolerance) break;
        const place *const first = low->t < high->t ? low : high, *const last =
                                                                      first == low ? high : low;
        double t = cubic(first, last, least, most);
        const double margin = 0.1 * (most - least);
        if (fmin(most - t, t - least) < margin) {
            if (stuck || t >= most || t <= least) {
                t = fabs(t - most) < fabs(t - least) ? most - margin : least + margin;
                stuck = false;
            } else stuck = true;
        } else stuck = false;
        if (!visit(s, t, now)) return false;
        if (too_long(from, now) || now->loss >= low->loss) {
            exchange(high, now);
            if (high->loss < low->loss) exchange(low, high);
            continue;
        }
        found = flat_enough(from, now);
        if (!found && now->slope * (high->t - low->t) >= 0) exchange(high, low);
        exchange(low, now);
    }
    return true;
}

/* From `from`, at t = 0, with the first guess t; *low gets where to go. */
static bool wolfe(const search *s, const place *from, double t, place *low, place *high, place *now)
{
    enum { CALLS = 25 };
    memcpy(low->g, from->g, (size_t)s->l->n * sizeof *low->g);
    low->t = 0;
    low->loss = from->loss;
    low->slope = from->slope;
    for (int k = 0; k < CALLS; k++) {
        if (!visit(s, t, now)) return false;
        const bool past = too_long(from, now) || (k > 1 && now->loss >= low->loss),
                   found = !past && flat_enough(from, now);
        if (!found && (past || now->slope >= 0)) {
            exchange(high, now);
            return zoom(s, from, low, high, now, CALLS - k);
        }
        t = cubic(low, now, now->t + 0.01 * (now->t - low->t), 10 * now->t);
        exchange(low, now);
        if (found) return true;
    }
    return true;
}

/* ---------------------------------------------------------------- the step */

/* d = -H g by the two loops over the pairs. */
static void direct(tg_lbfgs *l)
{
    const int64_t n = l->n;
    for (int64_t i = 0; i < n; i++) l->d[i] = -l->g[i];
    for (int64_t k = 0; k < l->n_pairs; k++) {
        const pair *p = &l->pairs[k];
        const double w = l->weight[k] = dot(n, p->s, l->d) / p->curvature;
        for (int64_t i = 0; i < n; i++) l->d[i] -= w * p->y[i];
    }
    for (int64_t i = 0; l->n_pairs && i < n; i++) l->d[i] *= l->scale;
    for (int64_t k = l->n_pairs - 1; k >= 0; k--) {
        const pair *p = &l->pairs[k];
        const double w = l->weight[k] - dot(n, p->y, l->d) / p->curvature;
        for (int64_t i = 0; i < n; i++) l->d[i] += w * p->s[i];
    }
}

/* Remembers the step t d and what it did to the gradient, which becomes `now`. */
static bool learn(tg_lbfgs *l, double t, const double *now)
{
    const int64_t n = l->n;
    pair p;
    if (l->n_pairs == l->o.history) {
        p = l->pairs[l->n_pairs - 1];
    } else {
        p.s = tg_allocate(&l->allocator, 2 * (size_t)n * sizeof(double));
        if (!p.s) return fail(l, TG_ENOMEM, "no memory for the history"), false;
        p.y = p.s + n;
    }
    double curvature = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        const double s = t * l->d[i], y = now[i] - l->g[i];
        curvature += s * y;
        square += y * y;
    }
    const bool full = l->n_pairs == l->o.history;
    if (curvature > 1e-10) {
        for (int64_t i = 0; i < n; i++) {
            p.s[i] = t * l->d[i];
            p.y[i] = now[i] - l->g[i];
        }
        p.curvature = curvature;
        memmove(l->pairs + 1, l->pairs, (size_t)(l->n_pairs - full) * sizeof *l->pairs);
        l->pairs[0] = p;
        l->n_pairs += !full;
        l->scale = curvature / square;
    } else if (!full) {
        tg_release(&l->allocator, p.s, 2 * (size_t)n * sizeof(double));
    }
    memcpy(l->g, now, (size_t)n * sizeof *now);
    return true;
}

/* One direction, followed. *done: there is nothing more to gain. */
static bool iterate(const search *s, bool *done)
{
    tg_lbfgs *l = s->l;
    direct(l);
    read_values(l);
    double sum = 0;
    for (int64_t i = 0; i < l->n; i++) sum += fabs(l->g[i]);
    const double t = l->steps++ ? l->o.learning_rate : fmin(1, 1 / sum) * l->o.learning_rate;
    const place from = {0, l->loss, dot(l->n, l->g, l->d), l->g};
    if (!(from.slope <= -l->o.change_tolerance)) return *done = true;
    place low = {.g = l->low}, high = {.g = l->high}, now = {.g = l->trial};
    if (l->o.fixed_step ? !visit(s, t, &low) : !wolfe(s, &from, t, &low, &high, &now)) {
        move(l, 0);
        return false;
    }
    move(l, low.t);
    const double change = fabs(low.loss - l->loss);
    l->loss = low.loss;
    if (!learn(l, low.t, low.g)) return false;
    *done = largest(l->n, l->g) <= l->o.gradient_tolerance ||
            largest(l->n, l->d) * low.t <= l->o.change_tolerance || change < l->o.change_tolerance;
    return true;
}

tg_status tg_lbfgs_step(tg_lbfgs *l, tg_closure_fn *closure, void *user)
{
    if (tg_lbfgs_status(l) != TG_OK) return tg_lbfgs_status(l);
    if (!closure) return fail(l, TG_ENULL, "the closure is NULL");
    const tg_error *theirs = &l->params->error;
    if (theirs->status != TG_OK)
        return tg_error_set(&l->error, NULL, NULL, theirs->status, "%s", theirs->message);
    if (claim(l) != TG_OK) return l->error.status;
    const search s = {l, closure, user};
    l->calls = 0;
    double *const g = l->trial;
    if (!ask(l, closure, user, &l->loss, g)) return l->error.status;
    memcpy(l->g, g, (size_t)l->n * sizeof *g);
    bool done = largest(l->n, l->g) <= l->o.gradient_tolerance;
    for (int64_t k = 0; k < l->o.iterations && !done && l->calls < l->o.calls; k++)
        if (!iterate(&s, &done)) return l->error.status;
    return TG_OK;
}

/* ---------------------------------------------------------------- state */

enum { ELEMENTS, STEPS, PAIRS, SCALE, LOSS, HEADER };

int64_t tg_lbfgs_state_count(const tg_lbfgs *l)
{
    return l && !l->unusable && l->steps ? HEADER + l->n_pairs * (2 * l->n + 1) : 0;
}

tg_status tg_lbfgs_state_get(tg_lbfgs *l, double *out)
{
    if (tg_lbfgs_status(l) != TG_OK) return tg_lbfgs_status(l);
    if (!tg_lbfgs_state_count(l)) return fail(l, TG_ESTATE, "there is no state before a step");
    if (!out) return fail(l, TG_ENULL, "no place for the state");
    out[ELEMENTS] = (double)l->n;
    out[STEPS] = (double)l->steps;
    out[PAIRS] = (double)l->n_pairs;
    out[SCALE] = l->scale;
    out[LOSS] = l->loss;
    out += HEADER;
    for (int64_t k = 0; k < l->n_pairs; k++) {
        *out++ = l->pairs[k].curvature;
        memcpy(out, l->pairs[k].s, 2 * (size_t)l->n * sizeof *out);
        out += 2 * l->n;
    }
    return TG_OK;
}

/* A whole number from 0 to most; -1 for any other. */
static int64_t whole(double x, double most)
{
    return x >= 0 && x <= most && floor(x) == x ? (int64_t)x : -1;
}

tg_status tg_lbfgs_state_set(tg_lbfgs *l, int64_t count, const double *state)
{
    if (tg_lbfgs_status(l) != TG_OK) return tg_lbfgs_status(l);
    if (!state) return fail(l, TG_ENULL, "the state is NULL");
    if (claim(l) != TG_OK) return l->error.status;
    const int64_t steps = count >= HEADER ? whole(state[STEPS], 0x1p53) : -1,
                  pairs = count >= HEADER ? whole(state[PAIRS], (double)l->o.history) : -1;
    if (steps < 1 || pairs < 0 || whole(state[ELEMENTS], 0x1p53) != l->n ||
        count != HEADER + pairs * (2 * l->n + 1))
        return fail(l, TG_EVALUE, "the state is none of such parameters and options");
    for (int64_t k = 0; k < count; k++)
        if (!isfinite(state[k])) return fail(l, TG_EVALUE, "the state is not finite");
    drop_pairs(l);
    l->steps = steps;
    l->scale = state[SCALE];
    l->loss = state[LOSS];
    const size_t bytes = 2 * (size_t)l->n * sizeof *state;
    for (state += HEADER; l->n_pairs < pairs; l->n_pairs++, state += 1 + 2 * l->n) {
        pair *p = &l->pairs[l->n_pairs];
        p->s = tg_allocate(&l->allocator, bytes);
        if (!p->s) return fail(l, TG_ENOMEM, "no memory for the history");
        p->y = p->s + l->n;
        p->curvature = state[0];
        memcpy(p->s, state + 1, bytes);
    }
    return TG_OK;
}
