/* Mutation of derivative rules: spoils one gx[k] of one rule at a time and expects the derivative
 * check to notice.
 *
 *     tapegrad-mutate [OP | rules]
 *
 * tries every mutant, or those of one op, and exits with 0 when all have died. `rules` prints
 * for each rule that a check reaches its address as a distance from main, for the script that
 * knows all rules by their symbols.
 *
 * The mutants of gx[k]: its sign turned; times 1.001; a term dropped (one of the two of a sum,
 * else all of it); the rule given x[k] and another operand of the same type, or x[k] and y, in each
 * other's place; detached, or made from detached operands, so that the derivative is right and its
 * own derivative is not. What is the same expression as before, or zero, is no mutant.
 *
 * They are tried on every smooth sample of every op: on the op itself (its first and second
 * derivative), on one number made of its gradient (second and third), on the same for
 * sin(op(x) / 4), whose gradient depends on everything, and on one number made of that number's
 * gradient (third and fourth); and, since some ops have rules of their own for f32, which the
 * check in f64 does not reach, by comparing three derivatives in f32 with those in f64. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <time.h>

#include "support.h"
#include "../graph/base.h"
#include "../graph/mutate.h"
#include "../graph/tape.h"
#include "../ops/samples.h"

enum { MOST_SITES = 1024, MOST_CHECKS = 4096 };

/* ---------------------------------------------------------------- mutants */

typedef enum mutation {
    SIGN,
    FACTOR,
    DROPPED,
    DROPPED_OTHER,
    SWAPPED,
    SWAPPED_Y,
    DETACHED,
    FROZEN,
    MUTATIONS
} mutation;
static const char *const mutation_name[] = {
    "sign",           "factor 1.001", "dropped term",     "dropped other term", "swapped operand",
    "swapped with y", "detached",     "operands detached"};

/* One gx[k] of one op. */
typedef struct site {
    const tg_op *op;
    int k;
    bool exists[MUTATIONS];
    bool used; /* anything depends on it in some check */
} site;

static site sites[MOST_SITES];
static int n_sites;
static struct {
    int site;
    mutation m;
} chosen = {-1, SIGN};

/* While checks run on the sound rules: which sites the check at hand reaches, and with which
 * mutations. */
static bool exploring;
static bool (*reached)[MUTATIONS];

static int site_of(const tg_op *op, int k)
{
    for (int s = 0; s < n_sites; s++)
        if (sites[s].op == op && sites[s].k == k) return s;
    if (n_sites == MOST_SITES) exit(2);
    sites[n_sites] = (site){.op = op, .k = k};
    return n_sites++;
}

static tg_tape *tape_of(const tg_tensor *x) { return tg_slot_of(x)->tape; }
static uint32_t node_number(const tg_tensor *x) { return tg_slot_of(x)->id; }
static const tg_node *node_of(const tg_tensor *x)
{
    return &tape_of(x)->recorded.node[node_number(x)];
}
static tg_tensor *operand_of(const tg_tensor *x, uint32_t k)
{
    return tg_handle(tape_of(x), tg_node_inputs(tape_of(x), node_of(x))[k]);
}

/* Whether two tensors are the same expression of what was recorded before node `first`. */
static bool same(const tg_tensor *a, const tg_tensor *b, uint32_t first)
{
    if (a == b) return true;
    const tg_tape *t = tape_of(a);
    const tg_node *u = node_of(a), *v = node_of(b);
    if (node_number(a) < first || node_number(b) < first || u->op != v->op || u->type != v->type ||
        u->n_in != v->n_in)
        return false;
    if (u->op == &tg_op_constant)
        return t->recorded.leaf[t->recorded.leaf_of[node_number(a)]].value ==
               t->recorded.leaf[t->recorded.leaf_of[node_number(b)]].value;
    const int n = tg_node_n_attrs(t, u);
    if (n != tg_node_n_attrs(t, v) ||
        (n && memcmp(tg_node_attrs(t, u), tg_node_attrs(t, v), (size_t)n * sizeof(int64_t)) != 0))
        return false;
    for (uint32_t k = 0; k < u->n_in; k++)
        if (!same(operand_of(a, k), operand_of(b, k), first)) return false;
    return u->n_in > 0;
}

static bool is_zero(const tg_tensor *x)
{
    const tg_node *v = node_of(x);
    while (v->op == &tg_op_expand || v->op == &tg_op_reshape) {
        x = operand_of(x, 0);
        v = node_of(x);
    }
    return v->op == &tg_op_constant &&
           tape_of(x)->recorded.leaf[tape_of(x)->recorded.leaf_of[node_number(x)]].value == 0;
}

/* More than any op of a sample takes. */
enum { MOST_OPERANDS = 64 };

/* gx[k] of the rule when x[k] and *other have changed places. NULL when the rule does not care. */
static tg_tensor *swapped(const tg_pulled *p, int k, tg_tensor *gx, int other)
{
    tg_tensor *x[MOST_OPERANDS], *g[MOST_OPERANDS] = {NULL}, *y = p->y;
    if (p->n_in > MOST_OPERANDS) return NULL;
    memcpy(x, p->x, (size_t)p->n_in * sizeof *x);
    tg_tensor **place = other < 0 ? &y : &x[other], *kept = x[k];
    if (kept == *place || node_of(kept)->type != node_of(*place)->type) return NULL;
    x[k] = *place;
    *place = kept;
    p->op->vjp(p->t, p->where, p->n_in, x, y, p->attrs, p->gy, g);
    return !g[k] || same(gx, g[k], p->first) ? NULL : g[k];
}

/* gx[k] of the rule when all that it sees but gy is detached. NULL when the rule does not care. */
static tg_tensor *frozen(const tg_pulled *p, int k, tg_tensor *gx)
{
    tg_tensor *x[MOST_OPERANDS], *g[MOST_OPERANDS] = {NULL};
    if (p->n_in > MOST_OPERANDS) return NULL;
    for (int i = 0; i < p->n_in; i++) x[i] = (tg_detach)(p->t, p->x[i]);
    p->op->vjp(p->t, p->where, p->n_in, x, (tg_detach)(p->t, p->y), p->attrs, p->gy, g);
    return !g[k] || same(gx, g[k], p->first) ? NULL : g[k];
}

/* NULL when there is no such mutant. */
static tg_tensor *mutated(const tg_pulled *p, int k, tg_tensor *gx, mutation m)
{
    tg_tape *t = p->t;
    const tg_node *v = node_of(gx);
    const bool sub = strcmp(v->op->name, "sub") == 0,
               sum = node_number(gx) >= p->first && (v->op == &tg_op_add || sub);
    if (is_zero(gx)) return NULL;
    switch (m) {
    case SIGN: return (tg_neg)(t, gx);
    case FACTOR: return (tg_scale)(t, gx, 1.001);
    case DROPPED:
    case DROPPED_OTHER:
        if (!sum)
            return m == DROPPED ? tg_base_expand(t, p->where, (tg_constant_like_at)(t, NULL, gx, 0),
                                                 tg_tensor_shape(gx))
                                : NULL;
        {
            tg_tensor *left = operand_of(gx, m == DROPPED ? 0 : 1);
            if (is_zero(operand_of(gx, m == DROPPED ? 1 : 0))) return NULL;
            if (sub && m == DROPPED_OTHER) left = (tg_neg)(t, left);
            return tg_base_expand(t, p->where, left, tg_tensor_shape(gx));
        }
    case SWAPPED:
        for (int other = 0; other < p->n_in; other++) {
            tg_tensor *g = other != k ? swapped(p, k, gx, other) : NULL;
            if (g) return g;
        }
        return NULL;
    case SWAPPED_Y: return swapped(p, k, gx, -1);
    case FROZEN: return frozen(p, k, gx);
    default: return (tg_detach)(t, gx);
    }
}

/* A mutant that can't even be recorded is none. */
static tg_tensor *healthy_mutant(const tg_pulled *p, int k, tg_tensor *gx, mutation m)
{
    tg_tensor *g = mutated(p, k, gx, m);
    if (!p->t->error.status) return g;
    tg_tape_clear_error(p->t);
    return NULL;
}

tg_tensor *tg_mutate(const tg_pulled *p, int k, tg_tensor *gx, bool used)
{
    if (!gx || p->t->error.status) return gx;
    const int s = site_of(p->op, k);
    if (exploring) {
        sites[s].used |= used;
        for (mutation m = SIGN; m < MUTATIONS && used; m++) {
            if (reached[s][m] || !healthy_mutant(p, k, gx, m)) continue;
            sites[s].exists[m] = reached[s][m] = true;
        }
        return gx;
    }
    tg_tensor *other = s == chosen.site && used ? healthy_mutant(p, k, gx, chosen.m) : NULL;
    return other ? other : gx;
}

/* ---------------------------------------------------------------- checks */

typedef enum level { ITSELF, GRADIENT, WAVE, NARROW, BEYOND, LEVELS } level;

typedef struct check {
    const tg_op_info *op; /* NULL: casts, which the check in f64 does not reach */
    const tg_sample *sample;
    level level;
    int n; /* inputs that are floats */
    tg_type type[TG_SAMPLE_INPUTS];
    double *data[TG_SAMPLE_INPUTS];
    double seconds;
    bool (*reached)[MUTATIONS];
} check;

static check checks[MOST_CHECKS];
static int n_checks;

/* Whether only a first derivative exists. */
static bool once(const tg_op_info *op, const tg_sample *s)
{
    return op->order == 1 || s->flags & TG_FIRST_ORDER;
}

static tg_tensor *numbers(tg_tape *t, tg_type type, const double *values)
{
    const int64_t n = tg_shape_count(type.shape);
    void *data = calloc((size_t)n + 1, sizeof(int64_t));
    if (!data) exit(2);
    for (int64_t i = 0; i < n; i++)
        if (type.dtype == TG_F64) ((double *)data)[i] = values[i];
        else if (type.dtype == TG_U8) ((uint8_t *)data)[i] = (uint8_t)values[i];
        else ((int64_t *)data)[i] = (int64_t)values[i];
    tg_tensor *x = (tg_input)(t, type.dtype, type.shape, data);
    free(data);
    return x;
}

static tg_tensor *call(tg_tape *t, const check *c, tg_tensor *const *floats)
{
    tg_tensor *x[TG_SAMPLE_INPUTS];
    for (int k = 0, taken = 0; k < c->sample->n_in; k++)
        x[k] =
            test_is_float(c->type[k].dtype) ? floats[taken++] : numbers(t, c->type[k], c->data[k]);
    return c->sample->record(t, x);
}

/* The mean of x + x^2 under weights that differ from each other, none of them small: its slope
 * depends on x everywhere. */
static tg_tensor *uneven_mean(tg_tape *t, tg_tensor *x, int salt)
{
    const int64_t n = tg_tensor_count(x);
    x = (tg_cast)(t, x, TG_F64);
    double *w = calloc((size_t)n + 1, sizeof *w);
    if (!w) exit(2);
    for (int64_t i = 0; i < n; i++) w[i] = (1 + 0.5 * sin((double)(i + 7 * salt))) / (double)n;
    tg_tensor *weights = (tg_input)(t, TG_F64, tg_tensor_shape(x), w);
    free(w);
    return (tg_sum)(t, (tg_mul)(t, (tg_add)(t, x, (tg_square)(t, x)), weights), TG_ALL_AXES, false);
}

/* One number made of the gradient of y, itself one number, in all inputs; y's own when there is no
 * gradient. */
static tg_tensor *slope(tg_tape *t, tg_tensor *y, tg_tensor *const *x, int n)
{
    tg_tensor *g[TG_SAMPLE_INPUTS] = {NULL}, *sum = NULL;
    (tg_grad)(t, y, NULL, n, x, g, true);
    for (int k = 0; k < n; k++) {
        if (!g[k]) continue;
        tg_tensor *term = uneven_mean(t, g[k], k + 1);
        sum = sum ? (tg_add)(t, sum, term) : term;
    }
    return sum ? sum : y;
}

static tg_tensor *function(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    const check *c = user;
    tg_tensor *y = call(t, c, x);
    if (c->level == ITSELF) return y;
    y = slope(t, uneven_mean(t, c->level == GRADIENT ? y : (tg_sin)(t, (tg_scale)(t, y, 0.25)), 0),
              x, n);
    return c->level == BEYOND ? slope(t, y, x, n) : y;
}

/* A number made of the values, then one made of its gradient, one made of that one's gradient, and
 * so on. */
enum { ORDERS = 4 };
static bool slopes(const check *c, tg_dtype dtype, double out[ORDERS])
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x[TG_SAMPLE_INPUTS];
    int n = 0;
    for (int k = 0; k < c->sample->n_in; k++)
        if (test_is_float(c->type[k].dtype))
            x[n++] =
                (tg_cast)(t, numbers(t, (tg_type){TG_F64, c->type[k].shape}, c->data[k]), dtype);
    tg_tensor *y = uneven_mean(t, (tg_scale)(t, call(t, c, x), 0.5), 0);
    for (int k = 0; k < (once(c->op, c->sample) ? 2 : ORDERS); k++) {
        if (k) y = slope(t, y, x, n);
        out[k] = (tg_item)(t, y);
    }
    const bool ok = tg_tape_status(t) == TG_OK;
    tg_tape_free(t);
    return ok;
}

/* In f32 some ops have rules of their own: their slopes are those in f64, but for roundings. */
static bool narrow_holds(const check *c, char *why, size_t size)
{
    double single[ORDERS] = {0}, twice[ORDERS] = {0};
    if (!slopes(c, TG_F32, single) || !slopes(c, TG_F64, twice)) return false;
    for (int k = 0; k < ORDERS; k++)
        if (!(fabs(single[k] - twice[k]) <= 1e-5 * (0.01 + fabs(twice[k])))) {
            if (why)
                snprintf(why, size, "order %d: %.9g in f32, %.9g in f64", k, single[k], twice[k]);
            return false;
        }
    return true;
}

/* Three derivatives of the sum of sin(cast(x)), for x in one float dtype and its cast in the other.
 * */
static bool casts_hold(void)
{
    enum { N = 5 };
    const double at[N] = {-1.25, -0.5, 0.25, 1, 2.5};
    bool hold = true;
    for (tg_dtype from = TG_F32; from <= TG_F64; from++) {
        tg_tape *t = tg_tape_new(NULL);
        const float single[N] = {-1.25f, -0.5f, 0.25f, 1, 2.5f};
        tg_tensor *x = (tg_input)(t, from, TG_SHAPE(N), from == TG_F32 ? (const void *)single : at),
                  *y = (tg_sin)(t, (tg_cast)(t, x, from == TG_F32 ? TG_F64 : TG_F32));
        for (int order = 1; order <= 3; order++) {
            (tg_grad)(t, (tg_sum)(t, y, TG_ALL_AXES, false), NULL, 1, &x, &y, false);
            const double *data = (tg_data)(t, (tg_cast)(t, y, TG_F64));
            for (int i = 0; i < N; i++)
                hold &= data && fabs(data[i] - sin(at[i] + order * acos(0))) <= 1e-6;
        }
        tg_tape_free(t);
    }
    return hold;
}

static bool holds(check *c, char *why, size_t size)
{
    if (!c->op) return casts_hold();
    if (c->level == NARROW) return narrow_holds(c, why, size);
    tg_check_input in[TG_SAMPLE_INPUTS];
    int n = 0;
    for (int k = 0; k < c->sample->n_in; k++)
        if (test_is_float(c->type[k].dtype))
            in[n++] = (tg_check_input){.shape = c->type[k].shape, .data = c->data[k]};
    const tg_gradcheck_options o = {
        .size = sizeof o,
        .relative = 1e-5, /* mistakes are larger, and higher derivatives curve more */
        .full_jacobian = 1,
        .directions = 3,
        .first_order_only = once(c->op, c->sample)};
    tg_gradcheck_report r;
    const bool ok = tg_gradcheck(function, n, in, NULL, c, &o, &r) == TG_OK;
    if (why) snprintf(why, size, "%s", r.message);
    return ok;
}

/* With the numbers that test_ops.c draws for the k-th sample. */
static void add_check(const tg_samples *of, int number, level l, const tg_shape *shape)
{
    if (n_checks == MOST_CHECKS) exit(2);
    check *c = &checks[n_checks++];
    uint64_t state = (uint64_t)number;
    const tg_sample *s = of ? &of->sample[number] : NULL;
    *c = (check){.op = of ? of->op : NULL, .sample = s, .level = l};
    for (int k = 0; s && k < s->n_in; k++) {
        c->type[k] = s->x[k].type;
        if (shape) c->type[k].shape = shape[k];
        if (test_is_float(c->type[k].dtype)) c->type[k].dtype = TG_F64;
        const int64_t count = tg_shape_count(c->type[k].shape);
        c->data[k] = calloc((size_t)count + 1, sizeof(double));
        if (!c->data[k]) exit(2);
        const double low = s->x[k].low, high = s->x[k].high;
        for (int64_t i = 0; i < count; i++) {
            const double u = test_uniform(&state);
            c->data[k][i] = test_is_float(c->type[k].dtype)
                                ? (double)(float)(low + u * (high - low))
                                : floor(low + u * (high - low + 1));
        }
    }
}

static void find_checks(void)
{
    static const tg_shape alike[TG_SAMPLE_INPUTS] = {{1, {5}}, {1, {5}}, {1, {5}}, {1, {5}}},
                          broadcast[TG_SAMPLE_INPUTS] = {{2, {3, 1}}, {1, {2}}, {0, {0}}, {1, {1}}};
    int n;
    const tg_samples *const *list = tg_samples_list(&n);
    add_check(NULL, 0, ITSELF, NULL);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < list[i]->n; k++) {
            const tg_sample *s = &list[i]->sample[k];
            if (list[i]->op->order == 0 || s->flags & TG_NOT_SMOOTH) continue;
            for (level l = ITSELF; l < LEVELS; l++) {
                if (once(list[i]->op, s) && l != ITSELF && l != NARROW) continue;
                if (!(s->flags & TG_ANY_SHAPE)) {
                    add_check(list[i], k, l, NULL);
                    continue;
                }
                add_check(list[i], k, l, alike);
                if (s->n_in > 1) add_check(list[i], k, l, broadcast);
            }
        }
}

/* ---------------------------------------------------------------- the run */

static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

/* Every check on the sound rules: all hold, and it is known what each reaches. */
static bool explore(void)
{
    bool sound = true;
    exploring = true;
    for (int i = 0; i < n_checks; i++) {
        char why[512] = "";
        checks[i].reached = reached = calloc(MOST_SITES, sizeof *reached);
        if (!reached) exit(2);
        const double start = now();
        if (!holds(&checks[i], why, sizeof why)) {
            printf("fails unspoilt: %s (%s), level %d: %s\n",
                   checks[i].op ? checks[i].op->name : "cast",
                   checks[i].sample && checks[i].sample->label ? checks[i].sample->label : "",
                   (int)checks[i].level, why);
            sound = false;
        }
        checks[i].seconds = now() - start;
    }
    exploring = false;
    return sound;
}

static int by_level_and_cost(const void *a, const void *b)
{
    const check *x = a, *y = b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    return x->seconds < y->seconds ? -1 : x->seconds > y->seconds;
}

static bool dies(int s, mutation m)
{
    chosen.site = s;
    chosen.m = m;
    bool dead = false;
    for (int i = 0; i < n_checks && !dead; i++)
        dead = checks[i].reached[s][m] && !holds(&checks[i], NULL, 0);
    chosen.site = -1;
    return dead;
}

/* Mutants that change no derivative, and why. */
static const struct {
    const char *op;
    int k;
    mutation m;
} equivalent[] = {
    /* y is above 0, or between the bounds, exactly where x is */
    {"relu", 0, SWAPPED_Y},
    {"relu6", 0, SWAPPED_Y},
    {"hardtanh", 0, SWAPPED_Y},
    /* y is 0 where a is, unless b is NaN; and nothing of the slope is left where a is */
    {"xlogy", 0, SWAPPED_Y},
    {"xlogy_slope", 0, SWAPPED},
    /* of one type only where windows hold one element, which is then chosen whatever its value */
    {"max_pool2d", 0, SWAPPED_Y},
    {"max_pool_spread", 1, SWAPPED},
    /* every gradient passes through a clamp's two gates, so that their signs cancel */
    {"order_gate", 0, SIGN},
    /* w for b: the gradients of both are sums of gy over rows, times z or not, in which neither
     * stands */
    {"layer_norm", 1, SWAPPED},
    {"layer_norm", 2, SWAPPED},
    /* a for b in -2 a b */
    {"tanh_gradient", 1, SWAPPED},
    /* the product of both signs */
    {"copysign", 0, SWAPPED_Y},
    /* the operands only choose, or compare, or count: nothing passes back through that */
    {"abs", 0, FROZEN},
    {"copysign", 0, FROZEN},
    {"fmod", 1, FROZEN},
    {"relu", 0, FROZEN},
    {"relu_gate", 0, FROZEN},
    {"relu6", 0, FROZEN},
    {"relu6_gate", 0, FROZEN},
    {"hardtanh", 0, FROZEN},
    {"hardtanh_gate", 0, FROZEN},
    {"leaky_relu", 0, FROZEN},
    {"leaky_relu_gate", 0, FROZEN},
    {"maximum", 0, FROZEN},
    {"maximum", 1, FROZEN},
    {"greater_gate", 0, FROZEN},
    {"minimum", 0, FROZEN},
    {"minimum", 1, FROZEN},
    {"clamp", 0, FROZEN},
    {"order_gate", 0, FROZEN},
    {"where", 1, FROZEN},
    {"where", 2, FROZEN},
    {"safe_where", 1, FROZEN},
    {"max", 0, FROZEN},
    {"min", 0, FROZEN},
    {"max_pool2d", 0, FROZEN},
    {"max_pool_spread", 1, FROZEN},
    {"max_pool_pick", 1, FROZEN},
    {"gather", 0, FROZEN},
    {"scatter_add", 2, FROZEN},
    {"index_select", 0, FROZEN},
    {"index_add", 0, FROZEN},
    {"embedding", 0, FROZEN},
    {"nll_loss", 0, FROZEN},
    {"nll_grad", 0, FROZEN},
    /* the operand is a constant that nobody has a handle to */
    {"scale", 0, FROZEN},
    {"dropout", 0, FROZEN},
    /* a sum of gy over rows, taken from a kernel that also makes the other gradients */
    {"layer_norm", 2, FROZEN},
    /* v for y: the gradient of v is the softmax's transpose times gy, in which neither stands */
    {"attention", 2, SWAPPED_Y},
    /* its function in plain C has one derivative, in whose own nobody looks */
    {"external", 0, DETACHED},
    {"external", 0, FROZEN},
};

/* The operands from here on are those of a scan that a second derivative made: what their gradients
 * are made of, a fifth one would tell. */
enum { SCAN_OPERANDS = 17 };

static bool is_equivalent(int s, mutation m)
{
    if (strcmp(sites[s].op->name, "scan") == 0 && sites[s].k >= SCAN_OPERANDS)
        return m == DETACHED || m == FROZEN;
    for (size_t i = 0; i < sizeof equivalent / sizeof *equivalent; i++)
        if (equivalent[i].k == sites[s].k && equivalent[i].m == m &&
            strcmp(equivalent[i].op, sites[s].op->name) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const char *only = argc > 1 ? argv[1] : NULL;
    find_checks();
    if (!explore()) return 1;
    if (only && strcmp(only, "rules") == 0) {
        for (int s = 0; s < n_sites; s++)
            if (sites[s].used)
                printf("%lld\n", (long long)((intptr_t)sites[s].op->vjp - (intptr_t)main));
        return 0;
    }
    qsort(checks, (size_t)n_checks, sizeof *checks, by_level_and_cost);
    int tried[MUTATIONS] = {0}, dead[MUTATIONS] = {0}, equal = 0, bad = 0;
    for (int i = 0; i < n_sites; i++) {
        if (only && strcmp(only, sites[i].op->name) != 0) continue;
        if (!sites[i].used) {
            printf("unused: gx[%d] of %s\n", sites[i].k, sites[i].op->name);
            bad++;
        }
        for (mutation m = SIGN; m < MUTATIONS; m++) {
            if (!sites[i].exists[m]) continue;
            const bool lives = is_equivalent(i, m), died = dies(i, m);
            equal += lives;
            tried[m] += !lives;
            dead[m] += died && !lives;
            if (died != lives) continue;
            bad++;
            printf("%s: gx[%d] of %s: %s\n", lives ? "dies, though equivalent" : "survives",
                   sites[i].k, sites[i].op->name, mutation_name[m]);
        }
    }
    int all_tried = 0, all_dead = 0;
    for (mutation m = SIGN; m < MUTATIONS; m++) {
        printf("%-20s %4d of %4d die\n", mutation_name[m], dead[m], tried[m]);
        all_tried += tried[m];
        all_dead += dead[m];
    }
    printf(
        "%d of %d mutants of %d gradients die, on %d checks, in %.0f s; %d change no derivative\n",
        all_dead, all_tried, n_sites, n_checks, now(), equal);
    for (int i = 0; i < n_checks; i++) {
        for (int k = 0; k < TG_SAMPLE_INPUTS; k++) free(checks[i].data[k]);
        free(checks[i].reached);
    }
    return bad > 0;
}
