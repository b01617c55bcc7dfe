/* The reverse pass: one walk backwards over what y depends on, asking each op for its
 * vector-Jacobian product. */
#define TG_HERE where

#include "base.h"
#include "mutate.h"
#include "tape.h"

#include <string.h>

/* ---------------------------------------------------------------- what is live */

static bool grow_live(tg_tape *t)
{
    size_t before = t->planning.live_capacity;
    if (!tg_grow(&t->allocator, (void **)&t->planning.live, &t->planning.live_capacity,
                 (size_t)t->recorded.n / 64 + 1, sizeof *t->planning.live))
        return false;
    memset(t->planning.live + before, 0,
           (t->planning.live_capacity - before) * sizeof *t->planning.live);
    return tg_grow(&t->allocator, (void **)&t->planning.stack, &t->planning.stack_capacity,
                   (size_t)t->recorded.n + 1, sizeof *t->planning.stack) &&
           tg_grow(&t->allocator, (void **)&t->planning.local, &t->planning.local_capacity,
                   (size_t)t->recorded.n + 1, sizeof *t->planning.local);
}

tg_status tg_mark_live(tg_tape *t, uint32_t n, const uint32_t *targets, bool stop, uint32_t floor,
                       uint32_t *low, uint32_t *high)
{
    if (!grow_live(t)) return tg_tape_fail(t, NULL, NULL, TG_ENOMEM, "no memory to walk the tape");
    size_t depth = 0;
    *low = UINT32_MAX;
    *high = 0;
    for (uint32_t k = 0; k < n; k++) {
        if (tg_is_live(t, targets[k])) continue;
        t->planning.live[targets[k] / 64] |= 1ull << targets[k] % 64;
        t->planning.stack[depth++] = targets[k];
        while (depth) {
            uint32_t v = t->planning.stack[--depth];
            *low = v < *low ? v : *low;
            *high = v > *high ? v : *high;
            if (stop && tg_node_slot(t, v)->value) continue;
            const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
            for (uint32_t i = 0; i < t->recorded.node[v].n_in; i++)
                if (in[i] >= floor && !tg_is_live(t, in[i])) {
                    t->planning.live[in[i] / 64] |= 1ull << in[i] % 64;
                    t->planning.stack[depth++] = in[i];
                }
        }
    }
    return TG_OK;
}

void tg_clear_live(tg_tape *t, uint32_t low, uint32_t high)
{
    if (low <= high)
        memset(t->planning.live + low / 64, 0,
               (high / 64 - low / 64 + 1) * sizeof *t->planning.live);
}

/* ---------------------------------------------------------------- the pass */

/* A term of some node's gradient, in a list per node. */
typedef struct term {
    tg_tensor *g;
    uint32_t next; /* 1 + index */
} term;

/* Is an x; depends on an x. */
enum { WANTED = 1, CARRIES = 2 };

typedef struct pass {
    tg_tape *t;
    const char *where;
    uint32_t low, high; /* nodes concerned */
    uint8_t *flags;     /* from low on, as for first */
    uint32_t *first;    /* 1 + index of a node's last term */
    term *terms;
    size_t n_terms, term_capacity;
    tg_tensor **sum; /* room for adding up one node's terms */
    size_t sum_capacity;
    bool partial; /* nothing goes on behind an x */
    uint32_t
        *cut; /* of a node that gradients reach by no path, from low on: 1 + the op in the way */
} pass;

static tg_status no_memory(pass *p)
{
    return tg_tape_fail(p->t, p->where, "grad", TG_ENOMEM, "no memory for the reverse pass");
}

static tg_status add_term(pass *p, uint32_t node, tg_tensor *g)
{
    if (!tg_grow(&p->t->allocator, (void **)&p->terms, &p->term_capacity, p->n_terms + 1,
                 sizeof *p->terms))
        return no_memory(p);
    p->terms[p->n_terms] = (term){g, p->first[node - p->low]};
    p->first[node - p->low] = (uint32_t)++p->n_terms;
    return TG_OK;
}

/* Adds a node's terms pairwise, so that many of them stay accurate, in the order in which they
 * came. */
static tg_tensor *gradient_of(pass *p, uint32_t node)
{
    tg_tape *t = p->t;
    size_t n = 0;
    for (uint32_t k = p->first[node - p->low]; k; k = p->terms[k - 1].next) n++;
    if (!tg_grow(&t->allocator, (void **)&p->sum, &p->sum_capacity, n, sizeof *p->sum)) {
        no_memory(p);
        return NULL;
    }
    size_t at = n;
    for (uint32_t k = p->first[node - p->low]; k; k = p->terms[k - 1].next)
        p->sum[--at] = p->terms[k - 1].g;
    for (; n > 1; n = (n + 1) / 2)
        for (size_t k = 0; k < n / 2 + n % 2; k++)
            p->sum[k] = 2 * k + 1 < n ? tg_apply_2(t, tg_node_where(t, node), &tg_op_add,
                                                   p->sum[2 * k], p->sum[2 * k + 1])
                                      : p->sum[2 * k];
    return p->sum[0];
}

static bool is_float(const tg_tape *t, uint32_t node)
{
    tg_dtype dtype = tg_node_type(t, node)->type.dtype;
    return dtype == TG_F32 || dtype == TG_F64;
}

/* A cut that the user recorded prevails: one that a derivative recorded is no error. */
static void set_cut(pass *p, uint32_t node, uint32_t cut)
{
    uint32_t *at = &p->cut[node - p->low];
    if (!*at || tg_derived_from(p->t, *at - 1)) *at = cut;
}

/* Below the lowest x nothing depends on one: the pass does not go there. */
static bool carries(const pass *p, uint32_t node)
{
    return node >= p->low && p->flags[node - p->low] & CARRIES;
}

/* Whether an op without a derivative takes no float from an x, as one_hot: it cuts as an index
 * does. */
static bool cut_at(pass *p, uint32_t node)
{
    const tg_tape *t = p->t;
    const uint32_t *in = tg_node_inputs(t, &t->recorded.node[node]),
                   n = t->recorded.node[node].n_in;
    for (uint32_t k = 0; k < n; k++)
        if (carries(p, in[k]) && is_float(t, in[k])) return false;
    for (uint32_t k = 0; k < n; k++)
        if (carries(p, in[k])) set_cut(p, in[k], node + 1);
    return true;
}

bool tg_wants(const tg_tape *t, int k) { return !t->carried || t->carried[k]; }

/* Hands the gradient of one node on to its inputs. */
static tg_status pull_back(pass *p, uint32_t node, tg_tensor *gy)
{
    tg_tape *t = p->t;
    const tg_node v = t->recorded.node[node];
    const char *where = tg_node_where(t, node);
    if (!v.op->vjp && cut_at(p, node)) return TG_OK;
    if (!v.op->vjp)
        return tg_tape_fail(t, where, v.op->name, TG_ENOGRAD,
                            "the op is not differentiable and lies between a result and what it is "
                            "differentiated by");
    tg_tensor *few[16] = {0}, **x = few;
    bool few_carried[8], *carried = few_carried;
    const bool *const outer = t->carried;
    int64_t few_attrs[16], *attrs = few_attrs;
    int n_attrs = tg_node_n_attrs(t, &v);
    size_t bytes = v.n_in * (2 * sizeof *x + sizeof *carried);
    if (v.n_in > 8) {
        if (!(x = tg_allocate(&t->allocator, bytes))) return no_memory(p);
        memset(x, 0, bytes);
        carried = (bool *)(x + 2 * v.n_in);
    }
    if (n_attrs > 16 && !(attrs = tg_allocate(&t->allocator, (size_t)n_attrs * sizeof *attrs))) {
        tg_release(&t->allocator, x == few ? NULL : x, bytes);
        return no_memory(p);
    }
    /* The vjp appends to the tape, whose arrays may move: it gets copies. */
    if (n_attrs) memcpy(attrs, tg_node_attrs(t, &v), (size_t)n_attrs * sizeof *attrs);
    tg_tensor **gx = x + v.n_in;
    for (uint32_t k = 0; k < v.n_in; k++) {
        const uint32_t in = tg_node_inputs(t, &v)[k];
        x[k] = tg_handle(t, in);
        carried[k] = carries(p, in);
    }
    t->carried = carried;
    const tg_pulled pulled = {t,     where, v.op, t->recorded.n, (int)v.n_in, x, tg_handle(t, node),
                              attrs, gy};
    if (!tg_derive(t, node + 1)) no_memory(p);
    else v.op->vjp(t, where, (int)v.n_in, x, tg_handle(t, node), attrs, gy, gx);
    for (uint32_t k = 0; k < v.n_in && !t->error.status; k++) {
        uint32_t in = tg_slot_of(x[k])->id, g;
        gx[k] = tg_mutate(&pulled, (int)k, gx[k], carried[k]);
        if (!carried[k]) continue;
        if (!gx[k] && !is_float(t, in)) {
            set_cut(p, in, node + 1);
        } else if (!gx[k]) {
            tg_tape_fail(t, where, v.op->name, TG_ENOGRAD,
                         "the op is not differentiable in its operand %u", k);
        } else if (!tg_resolve(t, where, v.op->name, gx[k], &g)) {
            break;
        } else if (t->recorded.node[g].type == t->recorded.node[in].type) {
            add_term(p, in, tg_handle(t, g));
        } else {
            const tg_type want = tg_node_type(t, in)->type;
            if (tg_tensor_dtype(gx[k]) != want.dtype ||
                !tg_shape_equal(tg_shape_broadcast(want.shape, tg_tensor_shape(gx[k])),
                                tg_tensor_shape(gx[k])))
                tg_tape_fail(t, where, v.op->name, TG_ESHAPE,
                             "its vjp gave %s %s for an operand that is %s %s",
                             tg_dtype_name(tg_tensor_dtype(gx[k])),
                             tg_shape_text(tg_tensor_shape(gx[k])).text, tg_dtype_name(want.dtype),
                             tg_shape_text(want.shape).text);
            else add_term(p, in, tg_base_sum_to(t, where, gx[k], want.shape));
        }
    }
    t->carried = outer;
    tg_release(&t->allocator, attrs == few_attrs ? NULL : attrs, (size_t)n_attrs * sizeof *attrs);
    tg_release(&t->allocator, x == few ? NULL : x, bytes);
    return t->error.status;
}

/* Whether one of its operands depends on an x: of an x itself mostly none does, and its rule need
 * not be asked. */
static bool hands_on(const pass *p, uint32_t node)
{
    const uint32_t *in = tg_node_inputs(p->t, &p->t->recorded.node[node]);
    for (uint32_t k = 0; k < p->t->recorded.node[node].n_in; k++)
        if (carries(p, in[k])) return true;
    return false;
}

/* Flags the nodes between an x and a y. */
static bool flag_paths(pass *p, uint32_t n, const uint32_t *x)
{
    tg_tape *t = p->t;
    for (uint32_t k = 0; k < n; k++)
        if (x[k] >= p->low && x[k] <= p->high && tg_is_live(t, x[k]))
            p->flags[x[k] - p->low] |= WANTED | CARRIES;
    for (uint32_t v = p->low; v <= p->high; v++) {
        if (!tg_is_live(t, v) || t->recorded.node[v].op == &tg_op_detach) continue;
        const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
        for (uint32_t k = 0; k < t->recorded.node[v].n_in; k++)
            if (carries(p, in[k])) p->flags[v - p->low] |= CARRIES;
    }
    return true;
}

/* What gradients don't reach hands on the op in the way: a cut, or an op whose result is no
 * float, unless a derivative recorded the cut. */
static void pass_cut(pass *p, uint32_t node)
{
    const tg_tape *t = p->t;
    const uint32_t *in = tg_node_inputs(t, &t->recorded.node[node]);
    uint32_t cut = p->cut[node - p->low];
    if (!is_float(t, node) && !tg_derived_from(t, cut - 1)) cut = node + 1;
    for (uint32_t k = 0; k < t->recorded.node[node].n_in; k++)
        if (t->recorded.node[node].op != &tg_op_detach && carries(p, in[k])) set_cut(p, in[k], cut);
}

static tg_status walk_back(pass *p, uint32_t n, const uint32_t *x, tg_tensor **gx)
{
    tg_tape *t = p->t;
    for (uint32_t v = p->high + 1; v-- > p->low;) {
        uint8_t flags = p->flags[v - p->low];
        if (!(flags & CARRIES)) continue;
        if (!p->first[v - p->low]) {
            if (p->cut[v - p->low]) pass_cut(p, v);
            continue;
        }
        if (!tg_derive(t, v + 1)) return no_memory(p);
        tg_tensor *g = gradient_of(p, v);
        if (!g) return t->error.status;
        for (uint32_t k = 0; flags & WANTED && k < n; k++)
            if (x[k] == v) gx[k] = g;
        const bool passes = t->recorded.node[v].op != &tg_op_detach &&
                            (!(flags & WANTED) || (!p->partial && hands_on(p, v)));
        if (passes && pull_back(p, v, g)) return t->error.status;
    }
    return TG_OK;
}

tg_status tg_fail_cut(tg_tape *t, uint32_t cut)
{
    return tg_tape_fail(t, tg_node_where(t, cut - 1), tg_node_text(t, cut - 1).text, TG_ENOGRAD,
                        "the op has no derivative in what reaches it through a condition, an index "
                        "or a cast, and no other path leads to what is differentiated by");
}

static tg_status reverse(tg_tape *t, const char *where, uint32_t n_y, const uint32_t *y,
                         tg_tensor *const *seed, uint32_t n, const uint32_t *x, tg_tensor **gx,
                         uint32_t *cut, bool partial)
{
    pass p = {.t = t, .where = where, .partial = partial};
    const uint32_t of = tg_derived_from(t, t->recorded.n);
    for (uint32_t k = 0; k < n; k++) gx[k] = NULL;
    for (uint32_t k = 0; cut && k < n; k++) cut[k] = 0;
    uint32_t lowest = UINT32_MAX;
    for (uint32_t k = 0; k < n; k++) lowest = x[k] < lowest ? x[k] : lowest;
    tg_status status = tg_mark_live(t, n_y, y, false, lowest, &p.low, &p.high);
    if (status) return status;
    const size_t span = (size_t)p.high - p.low + 1, flag_bytes = span * sizeof *p.flags,
                 node_bytes = span * sizeof(uint32_t);
    p.flags = tg_allocate(&t->allocator, flag_bytes);
    p.first = tg_allocate(&t->allocator, node_bytes);
    p.cut = tg_allocate(&t->allocator, node_bytes);
    if (p.flags && p.first && p.cut) {
        memset(p.flags, 0, flag_bytes);
        memset(p.first, 0, node_bytes);
        memset(p.cut, 0, node_bytes);
        flag_paths(&p, n, x);
        tg_clear_live(t, p.low, p.high); /* for a vjp's own passes */
        for (uint32_t k = 0; k < n_y && !status; k++) status = add_term(&p, y[k], seed[k]);
        if (!status) status = walk_back(&p, n, x, gx);
        if (!tg_derive(t, of) && !status) status = no_memory(&p);
        for (uint32_t k = 0; cut && k < n; k++)
            if (!gx[k] && x[k] >= p.low && x[k] <= p.high) cut[k] = p.cut[x[k] - p.low];
    } else {
        tg_clear_live(t, p.low, p.high);
        status = no_memory(&p);
    }
    tg_release(&t->allocator, p.flags, flag_bytes);
    tg_release(&t->allocator, p.first, node_bytes);
    tg_release(&t->allocator, p.cut, node_bytes);
    tg_release(&t->allocator, p.terms, p.term_capacity * sizeof *p.terms);
    tg_release(&t->allocator, p.sum, p.sum_capacity * sizeof *p.sum);
    if (status)
        for (uint32_t k = 0; k < n; k++) gx[k] = NULL;
    return status;
}

/* A vjp may differentiate what it recorded; one that differentiates its own result never ends. */
enum { DEEPEST = 64 };

static tg_status enter_reverse(tg_tape *t, const char *where, uint32_t n_y, const uint32_t *y,
                               tg_tensor *const *seed, uint32_t n, const uint32_t *x,
                               tg_tensor **gx, uint32_t *cut, bool partial)
{
    if (t->deriving >= DEEPEST)
        return tg_tape_fail(t, where, NULL, TG_ESTATE,
                            "derivatives that ask for derivatives, %d deep", DEEPEST);
    t->deriving++;
    const tg_status status = reverse(t, where, n_y, y, seed, n, x, gx, cut, partial);
    t->deriving--;
    return status;
}

tg_status tg_reverse(tg_tape *t, const char *where, uint32_t n_y, const uint32_t *y,
                     tg_tensor *const *seed, uint32_t n, const uint32_t *x, tg_tensor **gx,
                     uint32_t *cut)
{
    return enter_reverse(t, where, n_y, y, seed, n, x, gx, cut, false);
}

/* ---------------------------------------------------------------- gradients as tensors */

/* A constant spread to x's shape, as part of y's derivative. */
static tg_tensor *filled_like(tg_tape *t, const char *where, uint32_t y, tg_tensor *x, double value)
{
    const uint32_t of = tg_derived_from(t, t->recorded.n);
    if (!tg_derive(t, y + 1)) return tg_fail_at(t, where, TG_ENOMEM, "no memory for a derivative");
    tg_tensor *filled = tg_base_expand(t, where, tg_constant_like(t, x, value), tg_tensor_shape(x));
    return tg_derive(t, of) ? filled
                            : tg_fail_at(t, where, TG_ENOMEM, "no memory for a derivative");
}

void tg_base_partial(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *seed, int n,
                     tg_tensor *const *x, tg_tensor *end, int first, tg_tensor **gx)
{
    const size_t most = (size_t)n + 1;
    uint32_t y_node, wanted = 0, *node = tg_arena_take(&t->storage, most * sizeof *node);
    tg_tensor **g = tg_arena_take(&t->storage, most * sizeof *g);
    if (!node || !g) {
        tg_tape_fail(t, where, "grad", TG_ENOMEM, "no memory");
        return;
    }
    if (!tg_resolve(t, where, "grad", y, &y_node) || !tg_belongs(t, where, "grad", seed)) return;
    for (int k = 0; k < n; k++)
        if (t->carried[first + k] && !tg_resolve(t, where, "grad", x[k], &node[wanted++])) return;
    if (end && !tg_resolve(t, where, "grad", end, &node[wanted])) return;
    if (enter_reverse(t, where, 1, &y_node, &seed, wanted + (end != NULL), node, g, NULL, true))
        return;
    wanted = 0;
    for (int k = 0; k < n; k++) {
        if (!t->carried[first + k]) continue;
        gx[first + k] = g[wanted];
        if (!g[wanted] && is_float(t, node[wanted]))
            gx[first + k] = filled_like(t, where, y_node, x[k], 0);
        wanted++;
    }
}

static bool check_seed(tg_tape *t, const char *where, const char *what, tg_tensor *seed,
                       tg_tensor *y)
{
    if (tg_dtype_on(t, seed) == tg_dtype_on(t, y) &&
        tg_shape_equal(tg_tensor_shape(seed), tg_tensor_shape(y)))
        return true;
    tg_tape_fail(t, where, what, tg_dtype_on(t, seed) == tg_dtype_on(t, y) ? TG_ESHAPE : TG_EDTYPE,
                 "%s %s given where %s %s is needed", tg_dtype_name(tg_dtype_on(t, seed)),
                 tg_shape_text(tg_tensor_shape(seed)).text, tg_dtype_name(tg_dtype_on(t, y)),
                 tg_shape_text(tg_tensor_shape(y)).text);
    return false;
}

/* Whether y was computed from parameter x as it no longer is; then the tape fails. */
static bool is_stale(tg_tape *t, const char *where, uint32_t y, const tg_tensor *x)
{
    tg_param *const p = tg_param_of(x);
    uint32_t low, high;
    bool stale = false;
    if (!p || !tg_param_is_stale(t, p)) return false;
    if (tg_mark_live(t, 1, &y, false, 0, &low, &high)) return true;
    for (size_t k = 0; k < t->recorded.n_leaves; k++) {
        const tg_leaf *leaf = &t->recorded.leaf[k];
        const bool old =
            leaf->param == p && (leaf->version != p->version ||
                                 (t->recorded.node[leaf->node].op == &tg_op_param) != p->trainable);
        stale = stale || (old && tg_is_live(t, leaf->node));
    }
    tg_clear_live(t, low, high);
    if (stale)
        tg_tape_fail(t, where, "grad", TG_ESTALE,
                     "parameter '%s' was written, frozen or thawed after the recording read it: "
                     "record again what is to be differentiated by it",
                     p->name);
    return stale;
}

static tg_status grad(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *seed, int n,
                      tg_tensor *const *x, tg_tensor **gx, bool allow_unused)
{
    if (t->error.status) return t->error.status;
    if (n < 0 || (n && (!x || !gx)))
        return tg_tape_fail(t, where, "grad", n < 0 ? TG_EVALUE : TG_ENULL,
                            "nothing to differentiate by, or nowhere to put gradients");
    uint32_t y_node, few[32], *nodes = few;
    size_t bytes = 2 * (size_t)n * sizeof *nodes;
    if (!tg_resolve(t, where, "grad", y, &y_node)) return t->error.status;
    y = tg_handle(t, y_node);
    if (!seed && tg_tensor_count(y) != 1)
        return tg_tape_fail(t, where, "grad", TG_ESHAPE,
                            "a seed is needed for a result of shape %s",
                            tg_shape_text(tg_tensor_shape(y)).text);
    if (!is_float(t, y_node))
        return tg_tape_fail(t, where, "grad", TG_ENOGRAD, "%s carries no gradient",
                            tg_dtype_name(tg_tensor_dtype(y)));
    uint32_t seed_node;
    if (seed && (!tg_resolve(t, where, "grad", seed, &seed_node) ||
                 !check_seed(t, where, "grad: seed", seed, y)))
        return t->error.status;
    seed = seed ? tg_handle(t, seed_node) : filled_like(t, where, y_node, y, 1);
    if (n > 16 && !(nodes = tg_allocate(&t->allocator, bytes)))
        return tg_tape_fail(t, where, "grad", TG_ENOMEM, "no memory");
    uint32_t *cut = nodes + n;
    bool known = seed != NULL;
    for (int k = 0; k < n && known; k++)
        known = !is_stale(t, where, y_node, x[k]) && tg_resolve(t, where, "grad", x[k], &nodes[k]);
    if (known) tg_reverse(t, where, 1, &y_node, &seed, (uint32_t)n, nodes, gx, cut);
    for (int k = 0; k < n && !t->error.status; k++) {
        if (gx[k]) continue;
        const bool zero =
            allow_unused ? cut[k] != 0
                         : tg_derived_from(t, y_node) || (cut[k] && tg_derived_from(t, cut[k] - 1));
        if (zero && is_float(t, nodes[k]))
            gx[k] = filled_like(t, where, y_node, tg_handle(t, nodes[k]), 0);
        else if (!allow_unused && cut[k]) tg_fail_cut(t, cut[k]);
        else if (!allow_unused)
            tg_tape_fail(t, where, "grad", TG_ENOGRAD, "the result does not depend on tensor %d",
                         k);
    }
    for (int k = 0; k < n && t->error.status; k++) gx[k] = NULL;
    tg_release(&t->allocator, nodes == few ? NULL : nodes, bytes);
    return t->error.status;
}

tg_status tg_grad_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *seed, int n,
                     tg_tensor *const *x, tg_tensor **gx, bool allow_unused)
{
    for (int k = 0; gx && k < n; k++) gx[k] = NULL;
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, grad(t, where, y, seed, n, x, gx, allow_unused));
}

/* The vjp is linear in its seed u: differentiating <vjp(u), v> by u gives the Jacobian times v,
 * whatever u is. */
static tg_tensor *jvp(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x,
                      tg_tensor *const *v)
{
    if (t->error.status) return NULL;
    if (!y || n < 1 || !x || !v)
        return tg_tape_fail(t, where, "jvp", TG_ENULL,
                            "a result, tensors and directions are needed"),
               NULL;
    uint32_t y_node, u_node;
    if (!tg_resolve(t, where, "jvp", y, &y_node)) return NULL;
    y = tg_handle(t, y_node);
    tg_tensor *u = filled_like(t, where, y_node, y, 0);
    size_t bytes = (size_t)n * (sizeof(tg_tensor *) + sizeof(tg_tensor *) + sizeof(uint32_t));
    tg_tensor **g = tg_allocate(&t->allocator, bytes), **seed = g + n, *result = NULL;
    if (!g) return tg_tape_fail(t, where, "jvp", TG_ENOMEM, "no memory"), NULL;
    uint32_t *node = (uint32_t *)(seed + n), used = 0;
    if (tg_resolve(t, where, "jvp", u, &u_node) && !tg_grad_at(t, where, y, u, n, x, g, true)) {
        for (int k = 0; k < n && !t->error.status; k++) {
            uint32_t direction;
            if (!tg_resolve(t, where, "jvp", v[k], &direction) ||
                !check_seed(t, where, "jvp: direction", v[k], x[k]))
                break;
            if (!g[k]) continue;
            node[used] = tg_slot_of(g[k])->id;
            seed[used++] = tg_handle(t, direction);
        }
        if (!t->error.status && used)
            tg_reverse(t, where, used, node, seed, 1, &u_node, &result, NULL);
        if (!t->error.status && !result) result = filled_like(t, where, y_node, y, 0);
    }
    tg_release(&t->allocator, g, bytes);
    return t->error.status ? NULL : result;
}

tg_tensor *tg_jvp_at(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x,
                     tg_tensor *const *v)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, jvp(t, where, y, n, x, v));
}

static tg_tensor *hvp(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, tg_tensor *v)
{
    uint32_t y_node, x_node, v_node;
    if (t->error.status) return NULL;
    if (!tg_resolve(t, where, "hvp", y, &y_node) || !tg_resolve(t, where, "hvp", x, &x_node) ||
        !tg_resolve(t, where, "hvp: direction", v, &v_node))
        return NULL;
    if (tg_node_type(t, y_node)->count != 1)
        return tg_tape_fail(t, where, "hvp", TG_ESHAPE,
                            "the function must have one element, its shape is %s",
                            tg_shape_text(tg_tensor_shape(tg_handle(t, y_node))).text),
               NULL;
    if (!check_seed(t, where, "hvp: direction", v, x)) return NULL;
    tg_tensor *g, *result = NULL;
    if (tg_grad_at(t, where, y, NULL, 1, &x, &g, true)) return NULL;
    if (g && tg_grad_at(t, where, g, v, 1, &x, &result, true)) return NULL;
    return result ? result : filled_like(t, where, y_node, x, 0);
}

tg_tensor *tg_hvp_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, tg_tensor *v)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, hvp(t, where, y, x, v));
}
