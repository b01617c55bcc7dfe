/* The planner: equal nodes merged, elementwise chains and the reductions at their ends grouped into passes over memory, lifetimes, one slab.
 *
 * Order. Every node gets a level. Products and other kernels run at the start of a level, then the level's groups; a reduction's result is there
 * one level later. Within a level a group may read another's result only by broadcasting it to more elements or dimensions, so running
 * groups by size is an order without cycles. Elementwise nodes that are needed late sink to the level of their first consumer.
 */
#include "plan.h"

#include <string.h>

typedef enum kind { LEAF, SPAN, FOLD, VIEW, CALL, COPY } kind;

#define NONE UINT32_MAX

/* Where a value lies, for the consumers that read it from memory. */
typedef struct place {
    tg_ref at;
    bool placed;
} place;

typedef struct planned_step {
    uint32_t level, first, count; /* count: members, in planner.member from `members` on */
    uint32_t members;
    bool call, fold_only;
    uint32_t shape; /* number of the iteration shape */
} planned_step;

typedef struct planner {
    const tg_plan_request *request;
    tg_tape *t;
    const tg_graph *g;
    tg_plan *plan;
    uint32_t n;
    uint8_t *kind;
    uint32_t *rep;   /* the node that stands for this one after merging */
    uint32_t *root;  /* of a view: the node whose memory it reads, else itself */
    uint32_t *level;
    uint32_t *leaf;  /* number among the plan's leaves */
    uint32_t *parent; /* union-find over the members of groups */
    uint32_t *walk_of; /* of a component's parent: 1 + the fold that fixes how it walks */
    uint32_t *last_user;
    uint32_t *step;  /* in which a node is computed; NONE for leaves and views */
    uint32_t *last;  /* step in which its memory is read last */
    uint32_t *output; /* 1 + number of the output that is computed in place */
    uint32_t *reg, *reg_stamp, *uses;
    uint8_t *stored; /* it needs memory */
    uint8_t *kept;   /* it dies in the step at hand, but something else has taken over its memory */
    uint32_t *reader; /* of a value that dies in the step at hand: 1 + its last reader there; NONE when that is no reading in place */
    place *place;
    tg_array *array; /* strides and byte offset (in data, from a fixed origin) of views and copies */
    uint32_t *array_of; /* index in array, for views and copies */
    uint32_t n_arrays;
    planned_step *steps;
    uint32_t *order, *member, n_steps;
    uint32_t copies; /* outputs that need a copy of their own: steps beyond n_steps */
    bool failed;
} planner;

/* Where views count their offsets from: an address that nothing is read at. */
#define VIEW_ORIGIN ((char *)((uintptr_t)1 << 40))

static void *take(planner *p, size_t bytes)
{
    void *block = tg_arena_take(&p->t->planner, bytes);
    if (!block)
        p->failed = true;
    return block;
}

static void *take_zeroed(planner *p, size_t bytes)
{
    void *block = take(p, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

/* Memory that lives as long as the plan. */
static void *keep(planner *p, size_t bytes)
{
    void *block = tg_arena_take(&p->plan->memory, bytes);
    if (!block)
        p->failed = true;
    return block;
}

static void *keep_copy(planner *p, const void *from, size_t bytes)
{
    void *block = keep(p, bytes);
    return block && bytes ? memcpy(block, from, bytes) : block;
}

static const tg_type_entry *type_of(const planner *p, uint32_t v) { return &p->t->type[p->g->node[v].type]; }
static size_t bytes_of(const planner *p, uint32_t v) { return (size_t)type_of(p, v)->count * tg_dtype_size(type_of(p, v)->type.dtype); }
static uint32_t input(const planner *p, uint32_t v, uint32_t k) { return p->rep[tg_graph_inputs(p->g, v)[k]]; }
static bool in_group(const planner *p, uint32_t v) { return p->kind[v] == SPAN || p->kind[v] == FOLD || p->kind[v] == COPY; }

/* The node whose shape a group member iterates over. */
static uint32_t iterated(const planner *p, uint32_t v) { return p->kind[v] == SPAN ? v : input(p, v, 0); }
static const tg_type_entry *walked_type(const planner *p, uint32_t v) { return type_of(p, iterated(p, v)); }

/* ---------------------------------------------------------------- kinds, merging, views */

static void contiguous_array(const tg_type *type, tg_array *a)
{
    *a = (tg_array){.data = VIEW_ORIGIN, .dtype = type->dtype, .shape = type->shape};
    int64_t step = 1;
    for (int k = type->shape.ndim - 1; k >= 0; k--) {
        a->stride[k] = step;
        step *= type->shape.dim[k];
    }
}

static void array_of(const planner *p, uint32_t v, tg_array *a)
{
    if (p->kind[v] == VIEW || p->kind[v] == COPY)
        *a = p->array[p->array_of[v]];
    else
        contiguous_array(&type_of(p, v)->type, a);
}

static bool merges(const planner *p, uint32_t v)
{
    const tg_op *op = p->g->node[v].op;
    return !p->request->node_by_node && p->kind[v] != LEAF && !(op->flags & TG_DRAWS) && p->g->node[v].n_in <= 3;
}

static bool equal_nodes(const planner *p, uint32_t a, uint32_t b)
{
    const tg_node *x = &p->g->node[a], *y = &p->g->node[b];
    int n = tg_graph_n_attrs(p->g, a);
    if (x->op != y->op || x->type != y->type || x->n_in != y->n_in || n != tg_graph_n_attrs(p->g, b))
        return false;
    for (uint32_t k = 0; k < x->n_in; k++)
        if (input(p, a, k) != input(p, b, k))
            return false;
    return n == 0 || memcmp(tg_graph_attrs(p->g, a), tg_graph_attrs(p->g, b), (size_t)n * sizeof(int64_t)) == 0;
}

static uint64_t node_hash(const planner *p, uint32_t v)
{
    const tg_node *node = &p->g->node[v];
    uint64_t h = (uint64_t)(uintptr_t)node->op;
    for (uint32_t k = 0; k < node->n_in; k++)
        h = (h ^ input(p, v, k)) * 0x9E3779B97F4A7C15u;
    h = (h ^ node->type) * 0x9E3779B97F4A7C15u;
    for (int k = 0; k < tg_graph_n_attrs(p->g, v); k++)
        h = (h ^ (uint64_t)tg_graph_attrs(p->g, v)[k]) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 31;
}

/* A constant made by a vjp stands for all equal ones; those that the user recorded are data. */
static bool literal(const planner *p, uint32_t v) { return p->g->node[v].op == &tg_op_constant && p->g->id[v] >= p->request->first_literal; }
static double constant_value(const planner *p, uint32_t v) { return p->t->leaf[p->t->origin[p->g->id[v]].leaf].value; }

static bool equal_literals(const planner *p, uint32_t a, uint32_t b)
{
    double x = constant_value(p, a), y = constant_value(p, b);
    return p->g->node[a].type == p->g->node[b].type && memcmp(&x, &y, sizeof x) == 0;
}

/* Finds the node that stands for v among those before it. */
static uint32_t merge(planner *p, uint32_t *table, size_t mask, uint32_t v)
{
    bool constant = literal(p, v) && !p->request->node_by_node;
    if (!constant && !merges(p, v))
        return v;
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
        if (literal(p, other) == constant && (constant ? equal_literals(p, v, other) : equal_nodes(p, v, other)))
            return other;
    }
    table[k] = v + 1;
    return v;
}

/* A view that changes nothing is its operand. */
static bool is_same_view(const tg_array *x, const tg_array *y)
{
    if (x->data != y->data || !tg_shape_equal(x->shape, y->shape))
        return false;
    for (int k = 0; k < x->shape.ndim; k++)
        if (x->stride[k] != y->stride[k] && x->shape.dim[k] != 1)
            return false;
    return true;
}

/* Works out what a view reads; one that its operand's strides don't allow becomes a copy of the operand, seen through the view. */
static void look_through(planner *p, uint32_t v)
{
    const tg_node *node = &p->g->node[v];
    uint32_t u = input(p, v, 0);
    tg_array x, y = {.dtype = type_of(p, v)->type.dtype, .shape = type_of(p, v)->type.shape};
    array_of(p, u, &x);
    int n_attrs = tg_graph_n_attrs(p->g, v);
    const int64_t *attrs = tg_graph_attrs(p->g, v);
    p->array_of[v] = p->n_arrays++;
    if (node->op->view(&x, &y, n_attrs, attrs)) {
        p->root[v] = p->root[u];
        if (is_same_view(&x, &y))
            p->rep[v] = u;
    } else {
        contiguous_array(&type_of(p, u)->type, &x);
        if (!node->op->view(&x, &y, n_attrs, attrs))
            p->failed = true;
        p->kind[v] = COPY;
    }
    p->array[p->array_of[v]] = y;
}

static void classify(planner *p)
{
    const tg_graph *g = p->g;
    size_t size = 16;
    uint32_t n_views = 0;
    while (size < 2 * (size_t)p->n)
        size *= 2;
    for (uint32_t v = 0; v < p->n; v++)
        n_views += g->node[v].op->view != NULL;
    uint32_t *table = take_zeroed(p, size * sizeof *table);
    p->array = take(p, n_views * sizeof *p->array);
    if (p->failed)
        return;
    for (uint32_t v = 0; v < p->n && !p->failed; v++) {
        const tg_op *op = g->node[v].op;
        p->root[v] = p->rep[v] = v;
        p->kind[v] = (uint8_t)(g->valued[v] || tg_is_leaf(op) ? LEAF : op->span ? SPAN : op->fold ? FOLD : op->view ? VIEW : CALL);
        uint32_t same = merge(p, table, size - 1, v);
        if (same != v)
            p->rep[v] = p->rep[same];
        else if (p->kind[v] == VIEW)
            look_through(p, v);
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
    return p->kind[u] == SPAN && type_of(p, u)->shape == walked_type(p, v)->shape;
}

/* The earliest level at which v can run, given that it reads u. */
static uint32_t level_after(const planner *p, uint32_t v, uint32_t u)
{
    uint32_t r = p->root[u];
    switch ((kind)p->kind[r]) {
    case LEAF:
        return 0;
    case CALL:
        return p->level[r];
    case SPAN:
        if (in_group(p, v) && (reads_in_pass(p, v, u) || runs_after(walked_type(p, v), type_of(p, r))))
            return p->level[r];
        return p->level[r] + 1;
    default:
        return p->level[r] + 1;
    }
}

static bool computed(const planner *p, uint32_t v) { return p->rep[v] == v && p->kind[v] != LEAF && p->kind[v] != VIEW; }

static void find_levels(planner *p)
{
    for (uint32_t v = 0; v < p->n; v++) {
        p->level[v] = 0;
        if (!computed(p, v))
            continue;
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            uint32_t level = level_after(p, v, input(p, v, k));
            p->level[v] = level > p->level[v] ? level : p->level[v];
        }
    }
    /* Sinking, consumers first: `latest` is the level by which a node's first consumer wants it. */
    uint32_t *latest = p->last;
    for (uint32_t v = 0; v < p->n; v++)
        latest[v] = NONE;
    for (uint32_t v = p->n; v-- > 0;) {
        if (!computed(p, v))
            continue;
        if (p->kind[v] == SPAN && latest[v] != NONE && latest[v] > p->level[v])
            p->level[v] = latest[v];
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            uint32_t u = input(p, v, k), r = p->root[u];
            if (p->kind[r] != SPAN)
                continue;
            bool same = in_group(p, v) && (reads_in_pass(p, v, u) || runs_after(walked_type(p, v), type_of(p, r)));
            uint32_t level = same ? p->level[v] : p->level[v] - 1;
            latest[r] = level < latest[r] ? level : latest[r];
        }
    }
}

/* ---------------------------------------------------------------- groups */

static uint32_t find(uint32_t *parent, uint32_t v)
{
    while (parent[v] != v)
        v = parent[v] = parent[parent[v]];
    return v;
}

/* The smaller number wins, so that a component is named by its first member. */
static void unite(uint32_t *parent, uint32_t a, uint32_t b)
{
    a = find(parent, a);
    b = find(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

typedef struct walk_shape {
    int64_t outer, reduced, inner;
} walk_shape;

static walk_shape walk_of_fold(const planner *p, uint32_t v)
{
    const tg_shape x = walked_type(p, v)->type.shape;
    const int64_t *attrs = tg_graph_attrs(p->g, v);
    walk_shape w = {1, 1, 1};
    for (int k = 0; k < x.ndim; k++)
        *(k < attrs[0] ? &w.outer : k <= attrs[1] ? &w.reduced : &w.inner) *= x.dim[k];
    return w;
}

static bool same_walk(walk_shape a, walk_shape b) { return a.outer == b.outer && a.reduced == b.reduced && a.inner == b.inner; }

static bool same_pass(const planner *p, uint32_t a, uint32_t b)
{
    return p->level[a] == p->level[b] && walked_type(p, a)->shape == walked_type(p, b)->shape;
}

/* Joins a fold to the component of `other` if that walks the same way, or does not care. */
static bool join_fold(planner *p, uint32_t v, uint32_t other)
{
    uint32_t c = find(p->parent, other);
    if (p->walk_of[c] && !same_walk(walk_of_fold(p, p->walk_of[c] - 1), walk_of_fold(p, v)))
        return false;
    if (!p->walk_of[c])
        p->walk_of[c] = v + 1;
    p->parent[v] = c;
    return true;
}

static void find_groups(planner *p)
{
    for (uint32_t v = 0; v < p->n; v++) {
        p->parent[v] = v;
        p->last_user[v] = NONE;
        p->walk_of[v] = 0;
    }
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v) || p->kind[v] != SPAN)
            continue;
        for (uint32_t k = 0; k < p->g->node[v].n_in; k++) {
            uint32_t u = input(p, v, k);
            if (reads_in_pass(p, v, u) && p->level[u] == p->level[v])
                unite(p->parent, v, u);
            if (type_of(p, u)->shape != type_of(p, v)->shape)
                continue;
            if (p->last_user[u] != NONE && same_pass(p, v, p->last_user[u]))
                unite(p->parent, v, p->last_user[u]);
            p->last_user[u] = v;
        }
    }
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v) || p->kind[v] != FOLD)
            continue;
        uint32_t u = input(p, v, 0);
        bool joined = p->kind[u] == SPAN && p->level[u] == p->level[v] && join_fold(p, v, u);
        if (!joined && p->last_user[u] != NONE && same_pass(p, v, p->last_user[u]))
            joined = join_fold(p, v, p->last_user[u]);
        if (!joined)
            p->walk_of[v] = v + 1;
        if (p->kind[u] != SPAN)
            p->last_user[u] = v;
    }
}

/* ---------------------------------------------------------------- steps */

static bool step_before(const planner *p, const planned_step *a, const planned_step *b)
{
    if (a->level != b->level)
        return a->level < b->level;
    if (a->call != b->call)
        return a->call;
    if (!a->call && a->shape != b->shape) {
        const tg_type_entry *x = &p->t->type[a->shape], *y = &p->t->type[b->shape];
        if (runs_after(x, y) || runs_after(y, x))
            return runs_after(y, x);
        return a->shape < b->shape;
    }
    if (a->fold_only != b->fold_only)
        return b->fold_only;
    return a->first < b->first;
}

static void sort_steps(planner *p)
{
    uint32_t n = p->n_steps, *from = p->order, *to = take(p, n * sizeof *to);
    if (p->failed)
        return;
    for (uint32_t width = 1; width < n; width *= 2) {
        for (uint32_t low = 0; low < n; low += 2 * width) {
            uint32_t middle = low + width < n ? low + width : n, high = low + 2 * width < n ? low + 2 * width : n;
            for (uint32_t i = low, a = low, b = middle; i < high; i++)
                to[i] = a < middle && (b >= high || !step_before(p, &p->steps[from[b]], &p->steps[from[a]])) ? from[a++] : from[b++];
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
    if (p->failed)
        return;
    for (uint32_t v = 0; v < p->n; v++)
        p->step[v] = NONE;
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v))
            continue;
        bool call = !in_group(p, v);
        uint32_t first = call || p->request->node_by_node ? v : find(p->parent, v);
        if (p->step[first] == NONE) {
            p->step[first] = p->n_steps;
            p->order[p->n_steps] = p->n_steps;
            p->steps[p->n_steps++] = (planned_step){.level = p->request->node_by_node ? v : p->level[v],
                                                    .first = first,
                                                    .call = call,
                                                    .fold_only = p->kind[first] == FOLD,
                                                    .shape = call ? 0 : walked_type(p, v)->shape};
        }
        p->step[v] = p->step[first];
        p->steps[p->step[v]].count++;
    }
    sort_steps(p);
    if (p->failed)
        return;
    uint32_t *position = take(p, (p->n_steps + 1) * sizeof *position);
    if (p->failed)
        return;
    for (uint32_t k = 0; k < p->n_steps; k++) {
        planned_step *s = &p->steps[p->order[k]];
        position[p->order[k]] = k;
        s->members = n_members;
        n_members += s->count;
        s->count = 0;
    }
    for (uint32_t v = 0; v < p->n; v++)
        if (p->step[v] != NONE) {
            planned_step *s = &p->steps[p->step[v]];
            p->member[s->members + s->count++] = v;
            p->step[v] = position[p->step[v]];
        }
}

/* ---------------------------------------------------------------- memory */

/* The node that can compute target v straight into its output: v, or what v sees whole and in order. NONE if there is none. */
static uint32_t maker(const planner *p, uint32_t v)
{
    uint32_t r = p->root[v];
    tg_array a;
    array_of(p, v, &a);
    bool whole = (char *)a.data == VIEW_ORIGIN && tg_array_contiguous(&a) && bytes_of(p, v) == bytes_of(p, r);
    return computed(p, r) && p->kind[r] != COPY && whole ? r : NONE;
}

/* Which values need memory, and until which step. */
static void find_lifetimes(planner *p)
{
    const tg_graph *g = p->g;
    for (uint32_t v = 0; v < p->n; v++) {
        p->last[v] = 0;
        p->stored[v] = computed(p, v) && p->kind[v] != SPAN;
        p->output[v] = 0;
    }
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v))
            continue;
        for (uint32_t k = 0; k < g->node[v].n_in; k++) {
            uint32_t u = input(p, v, k), r = p->root[u];
            if (in_group(p, v) && p->kind[u] == SPAN && p->step[u] == p->step[v] && u == r)
                continue;
            p->stored[r] = true;
            p->last[r] = p->step[v] > p->last[r] ? p->step[v] : p->last[r];
        }
    }
    for (uint32_t k = 0; k < g->n_targets; k++) {
        uint32_t v = p->rep[g->targets[k]], m = maker(p, v);
        if (m != NONE && !p->output[m]) {
            p->output[m] = k + 1;
            p->stored[m] = true;
        } else {
            p->copies++;
            p->stored[p->root[v]] = true;
            p->last[p->root[v]] = NONE;
        }
    }
}

typedef struct hole {
    int64_t offset, bytes;
} hole;

typedef struct slab {
    planner *p;
    hole *holes; /* by offset */
    uint32_t n, capacity;
    int64_t top;
} slab;

static int64_t round_up(int64_t bytes) { return bytes > 0 ? (bytes + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN : TG_ALIGN; }

/* The smallest hole that is large enough, else the end of the slab. */
static int64_t slab_take(slab *s, int64_t bytes)
{
    uint32_t best = NONE;
    bytes = round_up(bytes);
    for (uint32_t k = 0; k < s->n; k++)
        if (s->holes[k].bytes >= bytes && (best == NONE || s->holes[k].bytes < s->holes[best].bytes))
            best = k;
    if (best == NONE) {
        int64_t offset = s->top;
        if (s->n && s->holes[s->n - 1].offset + s->holes[s->n - 1].bytes == s->top)
            offset = s->holes[--s->n].offset;
        s->top = offset + bytes;
        return offset;
    }
    hole *h = &s->holes[best];
    int64_t offset = h->offset;
    h->offset += bytes;
    h->bytes -= bytes;
    if (!h->bytes)
        memmove(h, h + 1, (--s->n - best) * sizeof *h);
    return offset;
}

static void slab_give(slab *s, int64_t offset, int64_t bytes)
{
    bytes = round_up(bytes);
    uint32_t low = 0, high = s->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->holes[middle].offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    bool before = low > 0 && s->holes[low - 1].offset + s->holes[low - 1].bytes == offset;
    bool after = low < s->n && offset + bytes == s->holes[low].offset;
    if (before && after) {
        s->holes[low - 1].bytes += bytes + s->holes[low].bytes;
        memmove(&s->holes[low], &s->holes[low + 1], (--s->n - low) * sizeof *s->holes);
    } else if (before) {
        s->holes[low - 1].bytes += bytes;
    } else if (after) {
        s->holes[low] = (hole){offset, bytes + s->holes[low].bytes};
    } else {
        if (s->n == s->capacity) {
            hole *more = take(s->p, 2 * (size_t)s->capacity * sizeof *more);
            if (!more)
                return;
            memcpy(more, s->holes, s->n * sizeof *more);
            s->holes = more;
            s->capacity *= 2;
        }
        memmove(&s->holes[low + 1], &s->holes[low], (s->n++ - low) * sizeof *s->holes);
        s->holes[low] = (hole){offset, bytes};
    }
}

static uint32_t output_base(const planner *p, uint32_t output) { return 1 + p->plan->n_leaves + output; }

static void place_leaves(planner *p)
{
    const tg_plan_request *r = p->request;
    uint32_t n = 0;
    for (uint32_t v = 0; v < p->n; v++)
        n += p->rep[v] == v && p->kind[v] == LEAF;
    p->plan->leaves = keep(p, (n + 1) * sizeof *p->plan->leaves);
    if (p->failed)
        return;
    for (uint32_t v = 0; v < p->n; v++) {
        if (p->rep[v] != v || p->kind[v] != LEAF)
            continue;
        tg_plan_leaf *leaf = &p->plan->leaves[p->plan->n_leaves++];
        *leaf = (tg_plan_leaf){.bound = TG_LITERAL, .dtype = type_of(p, v)->type.dtype};
        p->place[v] = (place){{p->plan->n_leaves, 0}, true};
        uint32_t low = 0, high = r->n_bound, id = p->g->id[v];
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (r->bound[middle] < id)
                low = middle + 1;
            else
                high = middle;
        }
        if (low < r->n_bound && r->bound[low] == id)
            leaf->bound = low;
        else
            tg_scalar_bits(leaf->dtype, constant_value(p, v), &leaf->scalar);
    }
}

/* Scratch that a step needs while it runs. */
static int64_t step_scratch(slab *s, int64_t bytes, hole *taken)
{
    *taken = (hole){slab_take(s, bytes), bytes};
    return taken->offset;
}

/* ---------------------------------------------------------------- emitting groups */

/* Loop dimensions of a strided read, innermost first, those that run on joined. */
static void set_load(tg_load *load, const tg_array *a, tg_shape over)
{
    int lead = over.ndim - a->shape.ndim;
    load->size = (uint32_t)tg_dtype_size(a->dtype);
    load->ndim = 0;
    for (int k = over.ndim - 1; k >= 0; k--) {
        int64_t stride = k < lead || (a->shape.dim[k - lead] == 1 && over.dim[k] != 1) ? 0 : a->stride[k - lead] * load->size;
        if (over.dim[k] == 1)
            continue;
        int last = load->ndim - 1;
        if (last >= 0 && load->stride[last] * load->dim[last] == stride) {
            load->dim[last] *= over.dim[k];
            continue;
        }
        load->dim[load->ndim] = over.dim[k];
        load->stride[load->ndim++] = stride;
    }
    if (load->ndim == 1 && load->stride[0] == 0)
        load->ndim = 0;
}

static bool reads_in_place(const tg_load *load, int64_t count) { return count == 1 || (load->ndim == 1 && load->stride[0] == load->size); }

typedef struct registers {
    uint32_t *free;
    uint32_t n_free, n_temps;
    uint32_t n_pointers;
} registers;

/* Pointer registers are numbered from the top until the number of temps is known. */
#define POINTER 0x80000000u

static uint32_t take_temp(registers *r) { return r->n_free ? r->free[--r->n_free] : r->n_temps++; }

static tg_ref ref_of(const planner *p, uint32_t v)
{
    tg_array a;
    array_of(p, v, &a);
    tg_ref at = p->place[p->root[v]].at;
    at.offset += (char *)a.data - VIEW_ORIGIN;
    return at;
}

static void set_walk(planner *p, tg_group *group, uint32_t fold)
{
    group->outer = 1;
    group->reduced = group->count;
    group->inner = 1;
    group->walk = TG_FLAT;
    group->block = TG_CHUNK;
    if (fold) {
        walk_shape w = walk_of_fold(p, fold - 1);
        group->outer = w.outer;
        group->reduced = w.reduced;
        group->inner = w.inner;
        group->walk = w.inner > 1 ? TG_COLUMNS : w.reduced > TG_CHUNK ? TG_LONG_ROWS : TG_SHORT_ROWS;
        if (group->walk == TG_SHORT_ROWS)
            group->block = w.reduced ? TG_CHUNK / w.reduced : 1;
        else if (group->walk == TG_COLUMNS)
            group->block = w.inner < TG_CHUNK ? (TG_CHUNK / w.inner < TG_ROWS ? TG_CHUNK / w.inner : TG_ROWS) : 1;
    }
    int64_t rows = (group->reduced + TG_ROWS - 1) / TG_ROWS, strips = (group->inner + TG_CHUNK - 1) / TG_CHUNK;
    switch (group->walk) {
    case TG_FLAT:
        group->units = (group->count + group->block - 1) / group->block;
        break;
    case TG_SHORT_ROWS:
        group->units = (group->outer + group->block - 1) / group->block;
        break;
    case TG_LONG_ROWS:
        group->units = group->outer * ((group->reduced + TG_CHUNK - 1) / TG_CHUNK);
        break;
    case TG_COLUMNS:
        group->units = group->outer * rows * strips;
    }
}

/* Elements of scratch that a fold needs for its partial results. */
static int64_t partial_count(const tg_group *group)
{
    if (group->walk == TG_LONG_ROWS)
        return group->units;
    if (group->walk == TG_COLUMNS && group->reduced > TG_ROWS)
        return group->outer * ((group->reduced + TG_ROWS - 1) / TG_ROWS) * group->inner;
    return 0;
}

static void copy_1(const tg_span *s, void *y, const void *const *x) { memcpy(y, x[0], (size_t)s->n); }
static void copy_4(const tg_span *s, void *y, const void *const *x) { memcpy(y, x[0], (size_t)s->n * 4); }
static void copy_8(const tg_span *s, void *y, const void *const *x) { memcpy(y, x[0], (size_t)s->n * 8); }

static tg_span_fn copier(size_t size) { return size == 1 ? copy_1 : size == 4 ? copy_4 : copy_8; }

/* The register in which group member v reads node u, loading it if need be. */
static uint32_t operand_register(planner *p, tg_group *group, registers *r, uint32_t stamp, uint32_t v, uint32_t u)
{
    if (p->reg_stamp[u] == stamp)
        return p->reg[u];
    tg_load load = {.from = ref_of(p, u)};
    tg_array a;
    array_of(p, u, &a);
    set_load(&load, &a, walked_type(p, v)->type.shape);
    p->reg_stamp[u] = stamp;
    if (reads_in_place(&load, group->count)) {
        p->reg[u] = POINTER + r->n_pointers++;
        group->moves[group->n_moves++] = (tg_move){load.from, p->reg[u], load.size};
    } else {
        p->reg[u] = load.reg = r->n_temps++;
        group->loads[group->n_loads++] = load;
    }
    return p->reg[u];
}

/* Renumbers pointer registers behind the temps. */
static uint32_t settle(const registers *r, uint32_t reg) { return reg & POINTER ? reg - POINTER + r->n_temps : reg; }

static void settle_registers(tg_group *group, const registers *r)
{
    for (uint32_t k = 0; k < group->n_moves; k++)
        group->moves[k].reg = settle(r, group->moves[k].reg);
    for (uint32_t k = 0; k < group->n_instructions; k++) {
        tg_instruction *i = &group->instructions[k];
        i->y = settle(r, i->y);
        for (int x = 0; x < TG_SPAN_INPUTS; x++)
            i->x[x] = settle(r, i->x[x]);
    }
    for (uint32_t k = 0; k < group->n_folds; k++)
        group->folds[k].reg = settle(r, group->folds[k].reg);
    group->n_temps = r->n_temps;
    group->n_registers = r->n_temps + r->n_pointers;
}

static void size_registers(planner *p, tg_group *group, size_t element)
{
    int64_t n = group->walk == TG_FLAT || group->walk == TG_LONG_ROWS ? group->block
                : group->walk == TG_SHORT_ROWS                        ? group->block * group->reduced
                : group->inner < TG_CHUNK                             ? group->block * group->inner
                                                                      : TG_CHUNK;
    n = n < group->count ? n : group->count;
    group->temp_bytes = n <= 1 ? 8 : (size_t)round_up(n * (int64_t)element);
    size_t bytes = (size_t)round_up((int64_t)(group->n_registers * sizeof(void *))) + (size_t)round_up((int64_t)(group->n_temps * group->temp_bytes));
    p->plan->register_bytes = bytes > p->plan->register_bytes ? bytes : p->plan->register_bytes;
}

static bool is_temp_of(const planner *p, uint32_t u, uint32_t step) { return p->kind[u] == SPAN && p->step[u] == step && !p->stored[u]; }

/* Frees the temps that v reads last. Those with elements as wide as v's can become v's own; others would be overwritten while they are read. */
static void release_operands(planner *p, registers *r, uint32_t position, uint32_t v, size_t size, bool as_wide)
{
    for (uint32_t x = 0; x < p->g->node[v].n_in; x++) {
        uint32_t u = input(p, v, x);
        if (is_temp_of(p, u, position) && (tg_dtype_size(type_of(p, u)->type.dtype) == size) == as_wide && --p->uses[u] == 0)
            r->free[r->n_free++] = p->reg[u];
    }
}

static tg_group *emit_group(planner *p, uint32_t position, slab *s, hole *scratch, uint32_t *n_scratch)
{
    const planned_step *step = &p->steps[p->order[position]];
    const uint32_t *member = &p->member[step->members];
    const tg_graph *g = p->g;
    tg_group *group = keep(p, sizeof *group);
    uint32_t n_operands = 0, n_folds = 0;
    for (uint32_t k = 0; k < step->count; k++) {
        n_operands += g->node[member[k]].n_in;
        n_folds += p->kind[member[k]] == FOLD;
    }
    registers r = {.free = take(p, (step->count + 1) * sizeof *r.free)};
    if (p->failed)
        return NULL;
    *group = (tg_group){.node = member[0], .count = walked_type(p, member[0])->count};
    group->instructions = keep(p, (step->count + 1) * sizeof *group->instructions);
    group->loads = take(p, (n_operands + 1) * sizeof *group->loads);
    group->moves = take(p, (n_operands + step->count + 1) * sizeof *group->moves);
    group->folds = keep(p, (n_folds + 1) * sizeof *group->folds);
    if (p->failed)
        return NULL;
    set_walk(p, group, p->kind[member[0]] == COPY ? 0 : p->request->node_by_node ? (n_folds ? member[0] + 1 : 0) : p->walk_of[step->first]);
    uint32_t stamp = position + 1;
    size_t element = 1;
    for (uint32_t k = 0; k < step->count; k++)
        for (uint32_t i = 0; i < g->node[member[k]].n_in; i++) {
            uint32_t u = input(p, member[k], i);
            size_t size = tg_dtype_size(type_of(p, u)->type.dtype);
            element = size > element ? size : element;
            p->uses[u] += is_temp_of(p, u, position);
        }
    for (uint32_t k = 0; k < step->count; k++) {
        uint32_t v = member[k];
        const tg_node *node = &g->node[v];
        tg_dtype dtype = type_of(p, input(p, v, node->n_in - 1))->type.dtype;
        size_t size = tg_dtype_size(type_of(p, v)->type.dtype);
        element = size > element ? size : element;
        if (p->kind[v] == FOLD) {
            const tg_folds *folds = node->op->fold;
            tg_fold_part *part = &group->folds[group->n_folds++];
            *part = (tg_fold_part){.fold = folds->of[dtype][p->t->build],
                                   .combine = folds->combine->of[dtype][p->t->build],
                                   .reg = operand_register(p, group, &r, stamp, v, input(p, v, 0)),
                                   .size = (uint32_t)size,
                                   .y = p->place[v].at};
            int64_t partial = partial_count(group);
            if (partial)
                part->partial = (tg_ref){0, step_scratch(s, partial * (int64_t)size, &scratch[(*n_scratch)++])};
            continue;
        }
        tg_instruction *i = &group->instructions[group->n_instructions++];
        *i = (tg_instruction){.run = p->kind[v] == COPY ? copier(size) : node->op->span->of[dtype][p->t->build]};
        int n_attrs = tg_graph_n_attrs(g, v);
        if (n_attrs && p->kind[v] != COPY)
            i->attrs = keep_copy(p, tg_graph_attrs(g, v), (size_t)n_attrs * sizeof(int64_t));
        for (uint32_t x = 0; x < node->n_in; x++)
            i->x[x] = operand_register(p, group, &r, stamp, v, input(p, v, x));
        release_operands(p, &r, position, v, size, true);
        if (p->stored[v]) {
            i->y = POINTER + r.n_pointers++;
            group->moves[group->n_moves++] = (tg_move){p->place[v].at, i->y, (uint32_t)size};
        } else {
            i->y = take_temp(&r);
        }
        release_operands(p, &r, position, v, size, false);
        p->reg[v] = i->y;
        p->reg_stamp[v] = stamp;
    }
    if (group->walk == TG_COLUMNS)
        group->room = r.n_temps++;
    group->loads = keep_copy(p, group->loads, group->n_loads * sizeof *group->loads);
    group->moves = keep_copy(p, group->moves, group->n_moves * sizeof *group->moves);
    settle_registers(group, &r);
    size_registers(p, group, element);
    return group;
}

/* ---------------------------------------------------------------- emitting calls */

static tg_plan_call *emit_call(planner *p, uint32_t position, slab *s, hole *scratch, uint32_t *n_scratch)
{
    uint32_t v = p->steps[p->order[position]].first;
    const tg_node *node = &p->g->node[v];
    tg_plan_call *c = keep(p, sizeof *c);
    if (!c)
        return NULL;
    *c = (tg_plan_call){.op = node->op, .node = v, .y_at = p->place[v].at};
    int n_attrs = tg_graph_n_attrs(p->g, v);
    const int64_t *attrs = keep_copy(p, tg_graph_attrs(p->g, v), (size_t)n_attrs * sizeof *attrs);
    c->x = keep(p, (node->n_in + 1) * sizeof *c->x);
    c->operands = keep(p, (node->n_in + 1) * sizeof *c->operands);
    if (p->failed)
        return NULL;
    for (uint32_t k = 0; k < node->n_in; k++) {
        uint32_t u = input(p, v, k);
        tg_operand *o = &c->operands[k];
        array_of(p, u, &c->x[k]);
        *o = (tg_operand){.at = ref_of(p, u)};
        c->x[k].data = NULL;
        if (!(node->op->flags & TG_STRIDED) && !tg_array_contiguous(&c->x[k])) {
            o->gather = true;
            o->source = c->x[k];
            o->scratch = (tg_ref){0, step_scratch(s, (int64_t)bytes_of(p, u), &scratch[(*n_scratch)++])};
            contiguous_array(&type_of(p, u)->type, &c->x[k]);
            c->x[k].data = NULL;
        }
    }
    contiguous_array(&type_of(p, v)->type, &c->y);
    c->y.data = NULL;
    c->call = (tg_call){.n_in = (int)node->n_in, .n_attrs = n_attrs, .x = c->x, .y = &c->y, .attrs = attrs, .build = p->t->build};
    if (node->op->prepare) {
        void *prepared = keep(p, node->op->prepared);
        if (!prepared)
            return NULL;
        node->op->prepare(&c->call, prepared);
        c->call.prepared = prepared;
    }
    int64_t bytes = node->op->scratch ? node->op->scratch(&c->call) : 0;
    if (bytes > 0)
        c->scratch = (tg_ref){0, step_scratch(s, bytes, &scratch[(*n_scratch)++])};
    return c;
}

/* An output that is a leaf, a view, or another output's value gets a copy of it. */
static tg_group *emit_copy(planner *p, uint32_t v, uint32_t output)
{
    tg_group *group = keep(p, sizeof *group);
    if (!group)
        return NULL;
    const tg_type_entry *type = type_of(p, v);
    size_t size = tg_dtype_size(type->type.dtype);
    *group = (tg_group){.node = v, .count = type->count};
    group->instructions = keep(p, sizeof *group->instructions);
    group->loads = keep(p, sizeof *group->loads);
    group->moves = keep(p, 2 * sizeof *group->moves);
    if (p->failed)
        return NULL;
    registers r = {0};
    set_walk(p, group, 0);
    tg_load load = {.from = ref_of(p, v)};
    tg_array a;
    array_of(p, v, &a);
    set_load(&load, &a, type->type.shape);
    uint32_t x;
    if (reads_in_place(&load, group->count)) {
        x = POINTER + r.n_pointers++;
        group->moves[group->n_moves++] = (tg_move){load.from, x, load.size};
    } else {
        x = load.reg = r.n_temps++;
        group->loads[group->n_loads++] = load;
    }
    uint32_t y = POINTER + r.n_pointers++;
    group->moves[group->n_moves++] = (tg_move){{output_base(p, output), 0}, y, (uint32_t)size};
    group->instructions[group->n_instructions++] = (tg_instruction){.run = copier(size), .y = y, .x = {x}};
    settle_registers(group, &r);
    size_registers(p, group, size);
    return group;
}

/* ---------------------------------------------------------------- memory taken over */

/* Whether u's memory ends with step k, and is u's alone. */
static bool dies_in(const planner *p, uint32_t u, uint32_t k)
{
    return computed(p, u) && p->stored[u] && !p->output[u] && p->last[u] == k && p->step[u] != k && p->kind[u] != COPY;
}

/* A group's result can be computed into an operand's memory if the operand dies here and is read, element by element, no later than the
 * result is written. */
static void find_readers(planner *p, const planned_step *step, uint32_t k)
{
    for (uint32_t i = 0; i < step->count; i++) {
        uint32_t v = p->member[step->members + i];
        for (uint32_t x = 0; x < p->g->node[v].n_in; x++) {
            uint32_t u = input(p, v, x), r = p->root[u];
            if (!dies_in(p, r, k))
                continue;
            bool in_place = u == r && p->kind[v] == SPAN && type_of(p, u)->shape == type_of(p, v)->shape;
            p->reader[r] = in_place && p->reader[r] != NONE ? v + 1 : NONE;
        }
    }
}

/* The memory for group member v: that of an operand of its own, or of an earlier member, which nobody needs afterwards. */
static bool take_over(planner *p, const planned_step *step, uint32_t k, uint32_t v)
{
    for (uint32_t i = 0; i < step->count && p->member[step->members + i] <= v; i++) {
        uint32_t w = p->member[step->members + i];
        for (uint32_t x = 0; x < p->g->node[w].n_in; x++) {
            uint32_t u = input(p, w, x);
            if (u == p->root[u] && dies_in(p, u, k) && !p->kept[u] && p->reader[u] != NONE && p->reader[u] && p->reader[u] - 1 <= v &&
                bytes_of(p, u) == bytes_of(p, v)) {
                p->kept[u] = true;
                p->place[v] = p->place[u];
                return true;
            }
        }
        if (i > 64)
            return false;
    }
    return false;
}

/* ---------------------------------------------------------------- all together */

static void place_results(planner *p, slab *s, const planned_step *step, uint32_t k)
{
    bool group = !step->call && !p->request->node_by_node;
    if (group)
        find_readers(p, step, k);
    for (uint32_t i = 0; i < step->count; i++) {
        uint32_t v = p->member[step->members + i];
        if (!p->stored[v])
            continue;
        if (p->output[v])
            p->place[v] = (place){{output_base(p, p->output[v] - 1), 0}, true};
        else if (!(group && p->kind[v] == SPAN && take_over(p, step, k, v)))
            p->place[v] = (place){{0, slab_take(s, (int64_t)bytes_of(p, v))}, true};
    }
}

/* Steps in order: memory for what each computes, its instructions, and back what is read for the last time. */
static void emit(planner *p)
{
    tg_plan *plan = p->plan;
    plan->n_steps = p->n_steps + p->copies;
    plan->steps = keep(p, (plan->n_steps + 1) * sizeof *plan->steps);
    uint32_t *dying = take(p, (p->n + 1) * sizeof *dying), *next = take(p, (p->n_steps + 1) * sizeof *next);
    slab s = {.p = p, .holes = take(p, 64 * sizeof(hole)), .capacity = 64};
    uint32_t most = 2;
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t i = 0; i < p->steps[k].count; i++) {
            uint32_t need = p->g->node[p->member[p->steps[k].members + i]].n_in + 2;
            if (p->steps[k].call)
                most = need > most ? need : most;
        }
    uint32_t n_folds = 0;
    for (uint32_t v = 0; v < p->n; v++)
        n_folds += p->kind[v] == FOLD;
    hole *scratch = take(p, (most + n_folds) * sizeof *scratch);
    if (p->failed)
        return;
    for (uint32_t k = 0; k < p->n_steps; k++)
        next[k] = NONE;
    for (uint32_t v = p->n; v-- > 0;)
        if (p->stored[v] && computed(p, v) && !p->output[v] && p->last[v] < p->n_steps) {
            uint32_t at = p->last[v] > p->step[v] ? p->last[v] : p->step[v];
            dying[v] = next[at];
            next[at] = v;
        }
    for (uint32_t k = 0; k < p->n_steps && !p->failed; k++) {
        const planned_step *step = &p->steps[p->order[k]];
        uint32_t n_scratch = 0;
        place_results(p, &s, step, k);
        plan->steps[k] = (tg_step){0};
        if (step->call)
            plan->steps[k].call = emit_call(p, k, &s, scratch, &n_scratch);
        else
            plan->steps[k].group = emit_group(p, k, &s, scratch, &n_scratch);
        if (p->request->node_by_node)
            continue;
        for (uint32_t i = 0; i < n_scratch; i++)
            slab_give(&s, scratch[i].offset, scratch[i].bytes);
        for (uint32_t v = next[k]; v != NONE; v = dying[v])
            if (!p->kept[v])
                slab_give(&s, p->place[v].at.offset, (int64_t)bytes_of(p, v));
    }
    uint32_t at = p->n_steps;
    for (uint32_t k = 0; k < p->g->n_targets && !p->failed; k++) {
        uint32_t v = p->rep[p->g->targets[k]], m = maker(p, v);
        if (m == NONE || p->output[m] != k + 1)
            plan->steps[at++] = (tg_step){.group = emit_copy(p, v, k)};
    }
    plan->slab_bytes = (size_t)s.top;
}

/* Node-by-node plans remember where everything lies. */
static void keep_seen(planner *p)
{
    tg_plan *plan = p->plan;
    plan->seen = keep(p, (p->n + 1) * sizeof *plan->seen);
    plan->seen_inputs = keep(p, (p->n + 1) * sizeof *plan->seen_inputs);
    for (uint32_t v = 0; v < p->n && !p->failed; v++) {
        uint32_t r = p->rep[v], n = p->g->node[v].n_in, *in = keep(p, (n + 1) * sizeof *in);
        for (uint32_t k = 0; in && k < n; k++)
            in[k] = input(p, v, k);
        plan->seen_inputs[v] = (tg_seen_inputs){n, in};
        if (p->place[p->root[r]].placed) {
            plan->seen[v].at = ref_of(p, r);
            array_of(p, r, &plan->seen[v].array);
        }
    }
}

static void allocate_tables(planner *p)
{
    size_t n = (size_t)p->n + 1;
    uint32_t **tables[] = {&p->rep, &p->root, &p->level, &p->parent, &p->walk_of, &p->last_user, &p->step, &p->last, &p->output, &p->reg, &p->array_of};
    for (size_t k = 0; k < sizeof tables / sizeof tables[0]; k++)
        *tables[k] = take(p, n * sizeof(uint32_t));
    p->kept = take_zeroed(p, n);
    p->reader = take_zeroed(p, n * sizeof(uint32_t));
    p->reg_stamp = take_zeroed(p, n * sizeof(uint32_t));
    p->uses = take_zeroed(p, n * sizeof(uint32_t));
    p->kind = take(p, n);
    p->stored = take(p, n);
    p->place = take_zeroed(p, n * sizeof *p->place);
}

tg_plan *tg_plan_new(const tg_plan_request *request)
{
    tg_tape *t = request->t;
    tg_arena memory;
    tg_arena_init(&memory, &t->allocator);
    tg_plan *plan = tg_arena_take(&memory, sizeof *plan);
    if (!plan) {
        tg_arena_free(&memory);
        return NULL;
    }
    *plan = (tg_plan){.memory = memory, .n_outputs = request->graph->n_targets};
    planner p = {.request = request, .t = t, .g = request->graph, .plan = plan, .n = request->graph->n};
    allocate_tables(&p);
    if (!p.failed)
        classify(&p);
    if (!p.failed) {
        find_levels(&p);
        find_groups(&p);
        form_steps(&p);
    }
    if (!p.failed) {
        find_lifetimes(&p);
        place_leaves(&p);
    }
    if (!p.failed)
        emit(&p);
    if (!p.failed && request->node_by_node)
        keep_seen(&p);
    plan->outputs = keep(&p, (plan->n_outputs + 1) * sizeof *plan->outputs);
    plan->base = keep(&p, (1 + (size_t)plan->n_leaves + plan->n_outputs) * sizeof *plan->base);
    if (p.failed) {
        tg_plan_free(plan);
        return NULL;
    }
    memcpy(plan->outputs, request->outputs, plan->n_outputs * sizeof *plan->outputs);
    for (uint32_t v = 0; v < p.n; v++)
        plan->nodes += computed(&p, v);
    return plan;
}

void tg_plan_free(tg_plan *plan)
{
    if (!plan)
        return;
    tg_arena memory = plan->memory;
    tg_arena_free(&memory);
}
