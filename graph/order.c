/* What is computed: equal nodes merged, elementwise chains and the reductions at their ends grouped
 * into passes over memory.
 *
 * Every node gets a level. Products and other kernels run at the start of a level, then the level's
 * groups; a reduction's result is there one level later. Within a level a group may read another's
 * result only by broadcasting it to more elements or dimensions, so running groups by size is an
 * order without cycles. Elementwise nodes that are needed late sink to the level of their first
 * consumer. */
#include "planner.h"

/* ---------------------------------------------------------------- kinds, merging, views */

static bool merges(const planner *p, uint32_t v)
{
    const tg_op *op = p->g->node[v].op;
    return !p->request->node_by_node && p->node[v].kind != LEAF && !(op->flags & TG_DRAWS) &&
           p->g->node[v].n_in <= 3;
}

static bool equal_nodes(const planner *p, uint32_t a, uint32_t b)
{
    const tg_node *x = &p->g->node[a], *y = &p->g->node[b];
    int n = tg_graph_n_attrs(p->g, a);
    if (x->op != y->op || x->type != y->type || x->n_in != y->n_in ||
        n != tg_graph_n_attrs(p->g, b))
        return false;
    for (uint32_t k = 0; k < x->n_in; k++)
        if (input(p, a, k) != input(p, b, k)) return false;
    return n == 0 || memcmp(tg_graph_attrs(p->g, a), tg_graph_attrs(p->g, b),
                            (size_t)n * sizeof(int64_t)) == 0;
}

static uint64_t node_hash(const planner *p, uint32_t v)
{
    const tg_node *node = &p->g->node[v];
    uint64_t h = (uint64_t)(uintptr_t)node->op;
    for (uint32_t k = 0; k < node->n_in; k++) h = (h ^ input(p, v, k)) * 0x9E3779B97F4A7C15u;
    h = (h ^ node->type) * 0x9E3779B97F4A7C15u;
    for (int k = 0; k < tg_graph_n_attrs(p->g, v); k++)
        h = (h ^ (uint64_t)tg_graph_attrs(p->g, v)[k]) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 31;
}

/* A constant made by a vjp stands for all equal ones; those that the user recorded are data. */
static bool literal(const planner *p, uint32_t v)
{
    return p->g->node[v].op == &tg_op_constant && p->g->id[v] >= p->request->first_literal;
}

static bool equal_literals(const planner *p, uint32_t a, uint32_t b)
{
    double x = constant_value(p, a), y = constant_value(p, b);
    return p->g->node[a].type == p->g->node[b].type && memcmp(&x, &y, sizeof x) == 0;
}

/* Finds the node that stands for v among those before it. */
static uint32_t merge(planner *p, uint32_t *table, size_t mask, uint32_t v)
{
    bool constant = literal(p, v) && !p->request->node_by_node;
    if (!constant && !merges(p, v)) return v;
    uint64_t h = node_hash(p, v);
    if (constant) {
        double value = constant_value(p, v);
        uint64_t bits;
        memcpy(&bits, &value, sizeof bits);
        h = (h ^ bits) * 0x9E3779B97F4A7C15u;
        h ^= h >> 31;
    }
    size_t k = h & mask;
    for (; table[k]; k = (k + 1) & mask) {
        uint32_t other = table[k] - 1;
        if (literal(p, other) == constant &&
            (constant ? equal_literals(p, v, other) : equal_nodes(p, v, other)))
            return other;
    }
    table[k] = v + 1;
    return v;
}

/* A view that changes nothing is its operand. */
static bool is_same_view(const tg_array *x, const tg_array *y)
{
    if (x->data != y->data || !tg_shape_equal(x->shape, y->shape)) return false;
    for (int k = 0; k < x->shape.ndim; k++)
        if (x->stride[k] != y->stride[k] && x->shape.dim[k] != 1) return false;
    return true;
}

/* Works out what a view reads; one that its operand's strides don't allow becomes a copy of the
 * operand, seen through the view. */
static void look_through(planner *p, uint32_t v)
{
    const tg_node *node = &p->g->node[v];
    uint32_t u = input(p, v, 0);
    tg_array x, y = {.dtype = type_of(p, v)->type.dtype, .shape = type_of(p, v)->type.shape};
    array_of(p, u, &x);
    int n_attrs = tg_graph_n_attrs(p->g, v);
    const int64_t *attrs = tg_graph_attrs(p->g, v);
    p->node[v].array_of = p->n_arrays++;
    if (node->op->view(&x, &y, n_attrs, attrs)) {
        p->node[v].root = p->node[u].root;
        if (is_same_view(&x, &y) && node->op != &tg_op_fence) p->node[v].rep = u;
    } else {
        contiguous_array(&type_of(p, u)->type, &x);
        if (!node->op->view(&x, &y, n_attrs, attrs)) p->failed = true;
        p->node[v].kind = COPY;
    }
    p->array[p->node[v].array_of] = y;
}

static void classify(planner *p)
{
    const tg_graph *g = p->g;
    size_t size = 16;
    uint32_t n_views = 0;
    while (size < 2 * (size_t)p->n) size *= 2;
    for (uint32_t v = 0; v < p->n; v++) n_views += g->node[v].op->view != NULL;
    uint32_t *table = take_zeroed(p, size * sizeof *table);
    p->array = take(p, n_views * sizeof *p->array);
    if (p->failed) return;
    for (uint32_t v = 0; v < p->n && !p->failed; v++) {
        const tg_op *op = g->node[v].op;
        p->node[v].root = p->node[v].rep = v;
        p->node[v].kind = (uint8_t)(g->valued[v] || tg_is_leaf(op) ? LEAF
                                    : op->span                     ? SPAN
                                    : op->fold                     ? FOLD
                                    : op->view                     ? VIEW
                                                                   : CALL);
        uint32_t same = merge(p, table, size - 1, v);
        if (same != v) p->node[v].rep = p->node[same].rep;
        else if (p->node[v].kind == VIEW) look_through(p, v);
    }
}

/* ---------------------------------------------------------------- levels */

/* Whether a group over a's shape always runs after one over b's in the same level. */
static bool runs_after(const tg_type_entry *a, const tg_type_entry *b)
{
    return a->count != b->count ? a->count > b->count : a->type.shape.ndim > b->type.shape.ndim;
}

/* Whether group member v reads node u in the same pass, block by block. */
static bool reads_in_pass(const planner *p, uint32_t v, uint32_t u)
{
    return p->node[u].kind == SPAN && type_of(p, u)->shape == walked_type(p, v)->shape;
}

/* The level before which nothing reads a view, which is that of a fence behind it. */
static uint32_t fenced(const planner *p, uint32_t v)
{
    return p->node[v].kind == VIEW ? p->node[v].level : 0;
}

/* For a view: that of its operand; a fence adds the level after which its second one is there. */
static uint32_t fence_level(const planner *p, uint32_t v)
{
    uint32_t level = fenced(p, input(p, v, 0));
    if (p->g->node[v].op != &tg_op_fence) return level;
    const uint32_t w = input(p, v, 1), r = p->node[w].root,
                   after = p->node[r].kind == LEAF ? 0 : p->node[r].level + 1,
                   before = fenced(p, w);
    level = after > level ? after : level;
    return before > level ? before : level;
}

/* The earliest level at which v can run, given that it reads u's memory. */
static uint32_t level_after_root(const planner *p, uint32_t v, uint32_t u)
{
    uint32_t r = p->node[u].root;
    switch ((kind)p->node[r].kind) {
    case LEAF: return 0;
    case CALL: return p->node[r].level;
    case SPAN:
        if (in_group(p, v) &&
            (reads_in_pass(p, v, u) || runs_after(walked_type(p, v), type_of(p, r))))
            return p->node[r].level;
        return p->node[r].level + 1;
    default: return p->node[r].level + 1;
    }
}

static uint32_t level_after(const planner *p, uint32_t v, uint32_t u)
{
    const uint32_t level = level_after_root(p, v, u), least = fenced(p, u);
    return level > least ? level : least;
}

static void find_earliest_levels(planner *p)
{
    for (uint32_t v = 0; v < p->n; v++) {
        planned_node *node = &p->node[v];
        if (node->kind == VIEW && node->rep == v) node->level = fence_level(p, v);
        if (!computed(p, v)) continue;
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            const uint32_t level = level_after(p, v, input(p, v, k));
            if (level > node->level) node->level = level;
        }
    }
}

/* Elementwise nodes go to the level by which their first consumer wants them: consumers first. */
static void sink(planner *p)
{
    uint32_t *latest = take(p, (p->n + 1) * sizeof *latest);
    if (!latest) return;
    for (uint32_t v = 0; v < p->n; v++) latest[v] = NONE;
    for (uint32_t v = p->n; v-- > 0;) {
        planned_node *node = &p->node[v];
        if (!computed(p, v)) continue;
        if (node->kind == SPAN && latest[v] != NONE && latest[v] > node->level)
            node->level = latest[v];
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            const uint32_t u = input(p, v, k), r = p->node[u].root;
            if (p->node[r].kind != SPAN) continue;
            const bool same = in_group(p, v) && (reads_in_pass(p, v, u) ||
                                                 runs_after(walked_type(p, v), type_of(p, r)));
            const uint32_t level = same ? node->level : node->level - 1;
            if (level < latest[r]) latest[r] = level;
        }
    }
}

/* ---------------------------------------------------------------- groups */

static uint32_t find(const planner *p, uint32_t v)
{
    planned_node *node = p->node;
    while (node[v].parent != v) v = node[v].parent = node[node[v].parent].parent;
    return v;
}

/* The smaller number wins, so that a component is named by its first member. */
static void unite(const planner *p, uint32_t a, uint32_t b)
{
    a = find(p, a);
    b = find(p, b);
    if (a < b) p->node[b].parent = a;
    else p->node[a].parent = b;
}

static bool same_walk(walk_shape a, walk_shape b)
{
    return a.outer == b.outer && a.reduced == b.reduced && a.inner == b.inner;
}

static bool same_pass(const planner *p, uint32_t a, uint32_t b)
{
    return p->node[a].level == p->node[b].level &&
           walked_type(p, a)->shape == walked_type(p, b)->shape;
}

/* Joins a fold to the component of `other` if that walks the same way, or does not care. */
static bool join_fold(planner *p, uint32_t v, uint32_t other)
{
    uint32_t c = find(p, other);
    if (p->node[c].walk_of &&
        !same_walk(walk_of_fold(p, p->node[c].walk_of - 1), walk_of_fold(p, v)))
        return false;
    if (!p->node[c].walk_of) p->node[c].walk_of = v + 1;
    p->node[v].parent = c;
    return true;
}

static void find_groups(planner *p)
{
    for (uint32_t v = 0; v < p->n; v++) {
        p->node[v].parent = v;
        p->node[v].last_user = NONE;
    }
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v) || p->node[v].kind != SPAN) continue;
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            uint32_t u = input(p, v, k);
            if (reads_in_pass(p, v, u) && p->node[u].level == p->node[v].level) unite(p, v, u);
            if (type_of(p, u)->shape != type_of(p, v)->shape) continue;
            if (p->node[u].last_user != NONE && same_pass(p, v, p->node[u].last_user))
                unite(p, v, p->node[u].last_user);
            p->node[u].last_user = v;
        }
    }
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v) || p->node[v].kind != FOLD) continue;
        uint32_t u = input(p, v, 0);
        bool joined =
            p->node[u].kind == SPAN && p->node[u].level == p->node[v].level && join_fold(p, v, u);
        if (!joined && p->node[u].last_user != NONE && same_pass(p, v, p->node[u].last_user))
            joined = join_fold(p, v, p->node[u].last_user);
        if (!joined) p->node[v].walk_of = v + 1;
        if (p->node[u].kind != SPAN) p->node[u].last_user = v;
    }
}

/* ---------------------------------------------------------------- steps */

static bool step_before(const planner *p, const planned_step *a, const planned_step *b)
{
    if (a->level != b->level) return a->level < b->level;
    if (a->call != b->call) return a->call;
    if (!a->call && a->shape != b->shape) {
        const tg_type_entry *x = &p->t->types.entry[a->shape], *y = &p->t->types.entry[b->shape];
        if (runs_after(x, y) || runs_after(y, x)) return runs_after(y, x);
        return a->shape < b->shape;
    }
    if (a->fold_only != b->fold_only) return b->fold_only;
    return a->first < b->first;
}

static void sort_steps(planner *p)
{
    uint32_t n = p->n_steps, *from = p->order, *to = take(p, n * sizeof *to);
    if (p->failed) return;
    for (uint32_t width = 1; width < n; width *= 2) {
        for (uint32_t low = 0; low < n; low += 2 * width) {
            uint32_t middle = low + width < n ? low + width : n,
                     high = low + 2 * width < n ? low + 2 * width : n;
            for (uint32_t i = low, a = low, b = middle; i < high; i++)
                to[i] = a < middle && (b >= high ||
                                       !step_before(p, &p->steps[from[b]], &p->steps[from[a]]))
                            ? from[a++]
                            : from[b++];
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    p->order = from;
}

static void form_steps(planner *p)
{
    uint32_t n_members = 0;
    p->steps = take(p, (p->n + 1) * sizeof *p->steps);
    p->order = take(p, (p->n + 1) * sizeof *p->order);
    p->member = take(p, (p->n + 1) * sizeof *p->member);
    if (p->failed) return;
    for (uint32_t v = 0; v < p->n; v++) p->node[v].step = NONE;
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v)) continue;
        bool call = !in_group(p, v);
        uint32_t first = call || p->request->node_by_node ? v : find(p, v);
        if (p->node[first].step == NONE) {
            p->node[first].step = p->n_steps;
            p->order[p->n_steps] = p->n_steps;
            p->steps[p->n_steps++] =
                (planned_step){.level = p->request->node_by_node ? v : p->node[v].level,
                               .first = first,
                               .call = call,
                               .fold_only = p->node[first].kind == FOLD,
                               .shape = call ? 0 : walked_type(p, v)->shape};
        }
        p->node[v].step = p->node[first].step;
        p->steps[p->node[v].step].count++;
    }
    sort_steps(p);
    if (p->failed) return;
    uint32_t *position = take(p, (p->n_steps + 1) * sizeof *position);
    if (p->failed) return;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        planned_step *s = &p->steps[p->order[k]];
        position[p->order[k]] = k;
        s->members = n_members;
        n_members += s->count;
        s->count = 0;
    }
    for (uint32_t v = 0; v < p->n; v++)
        if (p->node[v].step != NONE) {
            planned_step *s = &p->steps[p->node[v].step];
            p->member[s->members + s->count++] = v;
            p->node[v].step = position[p->node[v].step];
        }
}

void tg_plan_order(planner *p)
{
    classify(p);
    if (p->failed) return;
    find_earliest_levels(p);
    sink(p);
    if (p->failed) return;
    find_groups(p);
    form_steps(p);
}
