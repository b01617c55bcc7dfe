#include <math.h>

#include "optimizer.h"

enum { CHUNK = TG_NORM_CHUNK, LANES = 16 };

/* The sum of the squares of n <= CHUNK elements, each times factor, by lanes that are combined
 * pairwise. */
#define SQUARES(fn, TARGET, BUILD, T)                                   \
    TARGET static double fn(const void *data, int64_t n, double factor) \
    {                                                                   \
        const T *x = (const T *)data;                                   \
        double lane[LANES] = {0};                                       \
        int64_t i = 0;                                                  \
        for (; i + LANES <= n; i += LANES)                              \
            for (int l = 0; l < LANES; l++) {                           \
                const double v = (double)x[i + l] * factor;             \
                lane[l] += v * v;                                       \
            }                                                           \
        for (int l = 0; i + l < n; l++) {                               \
            const double v = (double)x[i + l] * factor;                 \
            lane[l] += v * v;                                           \
        }                                                               \
        for (int half = LANES / 2; half; half /= 2)                     \
            for (int l = 0; l < half; l++) lane[l] += lane[l + half];   \
        return lane[0];                                                 \
    }
TG_EACH_BUILD(SQUARES, squares_f32, float)
TG_EACH_BUILD(SQUARES, squares_f64, double)

#define SCALE(fn, TARGET, BUILD, T)                             \
    TARGET static void fn(void *data, int64_t n, double factor) \
    {                                                           \
        T *x = (T *)data;                                       \
        const T f = (T)factor;                                  \
        TG_INDEPENDENT                                          \
        for (int64_t i = 0; i < n; i++) x[i] *= f;              \
    }
TG_EACH_BUILD(SCALE, scale_f32, float)
TG_EACH_BUILD(SCALE, scale_f64, double)

/* Comparisons that are false for NaN leave it in. */
#define CLAMP(fn, TARGET, BUILD, T)                            \
    TARGET static void fn(void *data, int64_t n, double limit) \
    {                                                          \
        T *x = (T *)data;                                      \
        const T high = (T)limit;                               \
        TG_INDEPENDENT                                         \
        for (int64_t i = 0; i < n; i++) {                      \
            const T capped = x[i] > high ? high : x[i];        \
            x[i] = capped < -high ? -high : capped;            \
        }                                                      \
    }
TG_EACH_BUILD(CLAMP, clamp_f32, float)
TG_EACH_BUILD(CLAMP, clamp_f64, double)

static double (*const squares[TG_F64 + 1][TG_BUILD_COUNT])(const void *, int64_t, double) = {
    TG_BUILDS(squares_f32), TG_BUILDS(squares_f64)};
static void (*const scale[TG_F64 + 1][TG_BUILD_COUNT])(void *, int64_t, double) = {
    TG_BUILDS(scale_f32), TG_BUILDS(scale_f64)};
static void (*const clamp[TG_F64 + 1][TG_BUILD_COUNT])(void *, int64_t, double) = {
    TG_BUILDS(clamp_f32), TG_BUILDS(clamp_f64)};

/* Terms added as leaves of a binary tree, from the left: level[k] holds the sum of 2^k of them when
 * bit k of count is set. */
typedef struct pairwise {
    uint64_t count;
    double level[64];
} pairwise;

static void add(pairwise *sum, double term)
{
    int k = 0;
    for (uint64_t bits = sum->count++; bits & 1; bits >>= 1) term += sum->level[k++];
    sum->level[k] = term;
}

static double total(const pairwise *sum)
{
    double result = 0;
    int k = 0;
    for (uint64_t bits = sum->count; bits; bits >>= 1, k++)
        if (bits & 1) result += sum->level[k];
    return result;
}

/* The next gradient of n groups from place `*k` of group `*group` on; NULL: there is none. */
static const tg_param *next(size_t n, const tg_grads *g, size_t *group, size_t *k)
{
    for (; *group < n; ++*group, *k = 0)
        while (*k < g[*group].params->count) {
            const tg_param *p = g[*group].params->list[(*k)++];
            if (tg_grads_has(&g[*group], p)) return p;
        }
    return NULL;
}
#define EACH_GRAD(p, n, g)         \
    size_t group_ = 0, place_ = 0; \
    for (const tg_param *p; (p = next(n, g, &group_, &place_));)

static void *grad_from(const tg_param *p, int64_t first)
{
    return (char *)p->grad + (size_t)first * tg_dtype_size(p->dtype);
}

static double squares_from(const tg_param *p, int64_t first, int build, double factor)
{
    const int64_t left = p->count - first;
    return squares[p->dtype][build](grad_from(p, first), left < CHUNK ? left : CHUNK, factor);
}

/* Each rank has the squares of its chunks; they are added in the same order as on one. */
static double divided_sum(size_t n, const tg_grads *g, int build, double factor)
{
    const tg_division *d = TG_DIVISION_OF(g);
    pairwise sum = {0, {0}};
    size_t count = 0;
    EACH_GRAD(p, n, g)
    {
        const tg_part s = tg_division_span(d, p);
        for (int64_t first = 0; first < p->count; first += CHUNK)
            d->chunk[count++] = first >= s.first && first < s.first + s.n
                                    ? squares_from(p, first, build, factor)
                                    : 0;
    }
    if (!d->sum(d->user, d->chunk, count)) return NAN;
    for (size_t k = 0; k < count; k++) add(&sum, d->chunk[k]);
    return total(&sum);
}

/* The sum of the squares of all gradients, each times factor. */
static double sum_of_squares(size_t n, const tg_grads *g, int build, double factor)
{
    pairwise sum = {0, {0}};
    if (TG_DIVISION_OF(g)) return divided_sum(n, g, build, factor);
    EACH_GRAD(p, n, g)
    for (int64_t first = 0; first < p->count; first += CHUNK)
        add(&sum, squares_from(p, first, build, factor));
    return total(&sum);
}

static double element(const tg_param *p, int64_t i)
{
    return p->dtype == TG_F32 ? (double)((const float *)p->grad)[i] : ((const double *)p->grad)[i];
}

/* All ranks' numbers, of which mine is x. */
static const double *every(const tg_division *d, double x)
{
    for (int k = 0; k < d->ranks; k++) d->chunk[k] = k == d->rank ? x : 0;
    return d->sum(d->user, d->chunk, (size_t)d->ranks) ? d->chunk : NULL;
}

static double greatest(size_t n, const tg_grads *g)
{
    const tg_division *d = TG_DIVISION_OF(g);
    double top = 0;
    EACH_GRAD(p, n, g)
    {
        const tg_part s = tg_division_span(d, p);
        for (int64_t i = s.first; i < s.first + s.n; i++) top = fmax(top, fabs(element(p, i)));
    }
    const double *const all = d ? every(d, top) : NULL;
    for (int k = 0; all && k < d->ranks; k++) top = fmax(top, all[k]);
    return top;
}

static const tg_param *nonfinite_here(size_t n, const tg_grads *g, int64_t *place)
{
    *place = 0;
    EACH_GRAD(p, n, g)
    {
        const tg_part s = tg_division_span(TG_DIVISION_OF(g), p);
        ++*place;
        for (int64_t i = s.first; i < s.first + s.n; i++)
            if (!isfinite(element(p, i))) return p;
    }
    return NULL;
}

const tg_param *tg_grads_nonfinite(size_t n, const tg_grads *g)
{
    int64_t place, first = 0;
    const tg_param *found = nonfinite_here(n, g, &place);
    const tg_division *d = TG_DIVISION_OF(g);
    if (!d) return found;
    const double *const all = every(d, found ? (double)place : 0);
    for (int k = 0; all && k < d->ranks; k++)
        if (all[k] > 0 && (!first || (int64_t)all[k] < first)) first = (int64_t)all[k];
    EACH_GRAD(p, n, g)
    if (first && !--first) return p;
    return NULL;
}

/* Where squares overflow or vanish, the gradients are measured in the greatest element's power of
 * 2. */
double tg_grads_norm(size_t n, const tg_grads *g)
{
    const int build = tg_build_best();
    const double sum = sum_of_squares(n, g, build, 1);
    if (isnan(sum) || (sum > 0x1p-900 && sum < INFINITY)) return sqrt(sum);
    const double top = greatest(n, g);
    if (top == 0 || isinf(top)) return top;
    int exponent;
    frexp(top, &exponent);
    if (exponent < -1000) exponent = -1000;
    return ldexp(sqrt(sum_of_squares(n, g, build, ldexp(1, -exponent))), exponent);
}

void tg_grads_scale(size_t n, const tg_grads *g, double factor)
{
    const int build = tg_build_best();
    EACH_GRAD(p, n, g)
    {
        const tg_part s = tg_division_span(TG_DIVISION_OF(g), p);
        scale[p->dtype][build](grad_from(p, s.first), s.n, factor);
    }
}

void tg_grads_clamp(size_t n, const tg_grads *g, double limit)
{
    const int build = tg_build_best();
    EACH_GRAD(p, n, g)
    {
        const tg_part s = tg_division_span(TG_DIVISION_OF(g), p);
        clamp[p->dtype][build](grad_from(p, s.first), s.n, limit);
    }
}

void tg_grads_drop(size_t n, const tg_grads *g)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < g[k].params->count; i++)
            if (tg_grads_has(&g[k], g[k].params->list[i])) g[k].params->list[i]->has_grad = false;
}

/* ---------------------------------------------------------------- sets of parameters */

static double clip_norm(size_t n, const tg_grads *g, double max)
{
    const double before = tg_grads_norm(n, g), factor = max / (before + 1e-6);
    if (isfinite(before) && factor < 1) tg_grads_scale(n, g, factor);
    return before;
}

double tg_clip_grad_norms(int n, tg_params *const *sets, double max)
{
    enum { FEW = 16 };
    tg_grads few[FEW], *g = few;
    if (n < 1 || !sets || tg_params_status(sets[0]) != TG_OK) return NAN;
    for (int k = 0; k < n; k++) {
        const tg_error *theirs = sets[k] ? &sets[k]->error : NULL;
        if (theirs && theirs->status == TG_OK) continue;
        tg_error_set(&sets[0]->error, NULL, theirs ? NULL : "clip_grad_norms",
                     theirs ? theirs->status : TG_ENULL, "%s",
                     theirs ? theirs->message : "a set of parameters is NULL");
        return NAN;
    }
    if (!(isfinite(max) && max >= 0)) {
        tg_error_set(&sets[0]->error, NULL, n == 1 ? "clip_grad_norm" : "clip_grad_norms",
                     TG_EVALUE, "the largest norm %g is not finite and >= 0", max);
        return NAN;
    }
    const size_t count = (size_t)n, bytes = count * sizeof *g;
    if (n > FEW && !(g = tg_allocate(&sets[0]->allocator, bytes))) {
        tg_error_set(&sets[0]->error, NULL, "clip_grad_norms", TG_ENOMEM, "no memory");
        return NAN;
    }
    for (size_t k = 0; k < count; k++) g[k] = (tg_grads){.params = sets[k]};
    const double before = clip_norm(count, g, max);
    if (g != few) tg_release(&sets[0]->allocator, g, bytes);
    return before;
}

double tg_clip_grad_norm(tg_params *ps, double max) { return tg_clip_grad_norms(1, &ps, max); }

tg_status tg_clip_grad_value(tg_params *ps, double limit)
{
    if (tg_params_status(ps) != TG_OK) return tg_params_status(ps);
    if (!(limit >= 0))
        return tg_error_set(&ps->error, NULL, "clip_grad_value", TG_EVALUE,
                            "the limit %g is not >= 0", limit);
    tg_grads_clamp(1, &(tg_grads){.params = ps}, limit);
    return TG_OK;
}

tg_status tg_scale_grads(tg_params *ps, double factor)
{
    if (tg_params_status(ps) != TG_OK) return tg_params_status(ps);
    if (!isfinite(factor))
        return tg_error_set(&ps->error, NULL, "scale_grads", TG_EVALUE,
                            "the factor %g is not finite", factor);
    tg_grads_scale(1, &(tg_grads){.params = ps}, factor);
    return TG_OK;
}

/* ---------------------------------------------------------------- before a step */

/* Whether gradients are looked at before a step. */
static void decide(tg_optim *o)
{
    const tg_clip_options *c = &o->clip;
    o->treats =
        o->accumulate > 1 || c->norm > 0 || c->value > 0 || c->nonfinite != TG_NONFINITE_KEEP;
}

tg_status tg_optim_set_clip(tg_optim *o, const tg_clip_options *options)
{
    tg_clip_options c;
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    const char *fault =
        !tg_options_read(&c, sizeof c, options)      ? TG_UNSIZED(tg_clip_options)
        : !(isfinite(c.norm) && c.norm >= 0)         ? "the largest norm is not finite and >= 0"
        : !(isfinite(c.value) && c.value >= 0)       ? "the largest value is not finite and >= 0"
        : (unsigned)c.nonfinite > TG_NONFINITE_ERROR ? "nonfinite is no such choice"
                                                     : NULL;
    if (fault) return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE, "%s", fault);
    o->clip = c;
    o->norm = NAN;
    decide(o);
    return TG_OK;
}

tg_status tg_optim_set_accumulate(tg_optim *o, int64_t steps)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if (steps < 1)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE,
                            "gradients of %lld steps can't be accumulated", (long long)steps);
    o->accumulate = steps;
    decide(o);
    return TG_OK;
}

double tg_optim_grad_norm(const tg_optim *o) { return o ? o->norm : NAN; }
int64_t tg_optim_skipped(const tg_optim *o) { return o ? o->skipped : 0; }

static tg_status nonfinite(tg_optim *o, size_t n, const tg_grads *g, bool *skip)
{
    if (o->clip.nonfinite == TG_NONFINITE_ERROR) {
        const tg_param *p = tg_grads_nonfinite(n, g);
        o->collected--;
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ENONFINITE,
                            p ? "the gradient of \"%s\" is not finite"
                              : "the norm of the gradients%.0s is not finite",
                            p ? p->name : "");
    }
    *skip = o->clip.nonfinite == TG_NONFINITE_SKIP;
    if (*skip) tg_grads_drop(n, g);
    o->skipped += *skip;
    return TG_OK;
}

tg_status tg_optim_treat(tg_optim *o, bool *skip)
{
    const size_t n = o->n_parts + 1;
    const tg_clip_options *c = &o->clip;
    tg_grads self, *g = o->n_parts ? o->groups : &self;
    o->norm = NAN;
    for (size_t k = 0; k < n; k++)
        g[k] =
            (tg_grads){tg_optim_member(o, k)->params, &tg_optim_member(o, k)->mover, o->division};
    if (o->accumulate > 1) tg_grads_scale(n, g, 1 / (double)o->accumulate);
    if (c->value > 0) tg_grads_clamp(n, g, c->value);
    if (c->norm > 0) o->norm = clip_norm(n, g, c->norm);
    else if (c->nonfinite != TG_NONFINITE_KEEP) o->norm = tg_grads_norm(n, g);
    return c->nonfinite == TG_NONFINITE_KEEP || isfinite(o->norm) ? TG_OK
                                                                  : nonfinite(o, n, g, skip);
}
