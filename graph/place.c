/* Where values lie: lifetimes, one slab, and results that take over the memory of operands that end
 * with them. */
#include "planner.h"

/* ---------------------------------------------------------------- lifetimes */

/* The node that can compute target v straight into its output: v, or what v sees whole and in
 * order. NONE if there is none. */
uint32_t tg_plan_maker(const planner *p, uint32_t v)
{
    uint32_t r = p->node[v].root;
    tg_array a;
    array_of(p, v, &a);
    bool whole = (char *)a.data == VIEW_ORIGIN && tg_array_contiguous(&a) &&
                 bytes_of(p, v) == bytes_of(p, r);
    return computed(p, r) && p->node[r].kind != COPY && whole ? r : NONE;
}

/* Which values need memory, and until which step. */
void tg_plan_lifetimes(planner *p)
{
    const tg_graph *g = p->g;
    for (uint32_t v = 0; v < p->n; v++)
        p->node[v].stored = computed(p, v) && p->node[v].kind != SPAN;
    for (uint32_t v = 0; v < p->n; v++) {
        if (!computed(p, v)) continue;
        for (uint32_t k = 0; k < g->node[v].n_in; k++) {
            uint32_t u = input(p, v, k), r = p->node[u].root;
            if (in_group(p, v) && p->node[u].kind == SPAN && p->node[u].step == p->node[v].step &&
                u == r)
                continue;
            p->node[r].stored = true;
            p->node[r].last = p->node[v].step > p->node[r].last ? p->node[v].step : p->node[r].last;
        }
    }
    for (uint32_t k = 0; k < g->n_targets; k++) {
        uint32_t v = p->node[g->targets[k]].rep, m = tg_plan_maker(p, v);
        if (m != NONE && !p->node[m].output) {
            p->node[m].output = k + 1;
            p->node[m].stored = true;
        } else {
            p->copies++;
            p->node[p->node[v].root].stored = true;
            p->node[p->node[v].root].last = NONE;
        }
    }
}

/* Where the sum of many values' bytes would leave the int64_t, there is no memory for them. */
static const int64_t SLAB_MOST = INT64_MAX / 2;

/* The smallest hole that is large enough, else the end of the slab. */
int64_t tg_slab_take(slab *s, int64_t bytes)
{
    uint32_t best = NONE;
    bytes = round_up(bytes);
    for (uint32_t k = 0; k < s->n; k++)
        if (s->holes[k].bytes >= bytes &&
            (best == NONE || s->holes[k].bytes < s->holes[best].bytes))
            best = k;
    if (best == NONE) {
        int64_t offset = s->top;
        if (s->n && s->holes[s->n - 1].offset + s->holes[s->n - 1].bytes == s->top)
            offset = s->holes[--s->n].offset;
        if (bytes > SLAB_MOST - offset) s->p->failed = true;
        else s->top = offset + bytes;
        return offset;
    }
    hole *h = &s->holes[best];
    int64_t offset = h->offset;
    h->offset += bytes;
    h->bytes -= bytes;
    if (!h->bytes) memmove(h, h + 1, (--s->n - best) * sizeof *h);
    return offset;
}

void tg_slab_give(slab *s, int64_t offset, int64_t bytes)
{
    bytes = round_up(bytes);
    uint32_t low = 0, high = s->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->holes[middle].offset < offset) low = middle + 1;
        else high = middle;
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
            if (!more) return;
            memcpy(more, s->holes, s->n * sizeof *more);
            s->holes = more;
            s->capacity *= 2;
        }
        memmove(&s->holes[low + 1], &s->holes[low], (s->n++ - low) * sizeof *s->holes);
        s->holes[low] = (hole){offset, bytes};
    }
}

static void put(planner *p, uint32_t v, tg_ref at)
{
    p->node[v].at = at;
    p->node[v].placed = true;
}

void tg_plan_place_leaves(planner *p)
{
    const tg_plan_request *r = p->request;
    uint32_t n = 0;
    for (uint32_t v = 0; v < p->n; v++) n += p->node[v].rep == v && p->node[v].kind == LEAF;
    p->plan->leaves = keep(p, (n + 1) * sizeof *p->plan->leaves);
    if (p->failed) return;
    for (uint32_t v = 0; v < p->n; v++) {
        if (p->node[v].rep != v || p->node[v].kind != LEAF) continue;
        tg_plan_leaf *leaf = &p->plan->leaves[p->plan->n_leaves++];
        *leaf = (tg_plan_leaf){.bound = TG_LITERAL, .dtype = type_of(p, v)->type.dtype};
        put(p, v, (tg_ref){p->plan->n_leaves, 0});
        uint32_t low = 0, high = r->n_bound, id = p->g->id[v];
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (r->bound[middle] < id) low = middle + 1;
            else high = middle;
        }
        if (low < r->n_bound && r->bound[low] == id) leaf->bound = low;
        else tg_scalar_bits(leaf->dtype, constant_value(p, v), &leaf->scalar);
    }
}

/* ---------------------------------------------------------------- memory taken over */

/* Whether u's memory ends with step k, and is u's alone. */
static bool dies_in(const planner *p, uint32_t u, uint32_t k)
{
    return computed(p, u) && p->node[u].stored && !p->node[u].output && p->node[u].last == k &&
           p->node[u].step != k && p->node[u].kind != COPY;
}

/* A group's result can be computed into an operand's memory if the operand dies here and is read,
 * element by element, no later than the result is written. */
static void find_readers(planner *p, const planned_step *step, uint32_t k)
{
    for (uint32_t i = 0; i < step->count; i++) {
        uint32_t v = p->member[step->members + i];
        for (uint32_t x = 0; x < p->g->node[v].n_in; x++) {
            uint32_t u = input(p, v, x), r = p->node[u].root;
            if (!dies_in(p, r, k)) continue;
            bool in_place =
                u == r && p->node[v].kind == SPAN && type_of(p, u)->shape == type_of(p, v)->shape;
            p->node[r].reader = in_place && p->node[r].reader != NONE ? v + 1 : NONE;
        }
    }
}

/* The memory for group member v: that of an operand of its own, or of an earlier member, which
 * nobody needs afterwards. */
static bool take_over(planner *p, const planned_step *step, uint32_t k, uint32_t v)
{
    for (uint32_t i = 0; i < step->count && p->member[step->members + i] <= v; i++) {
        uint32_t w = p->member[step->members + i];
        for (uint32_t x = 0; x < p->g->node[w].n_in; x++) {
            uint32_t u = input(p, w, x);
            if (u == p->node[u].root && dies_in(p, u, k) && !p->node[u].kept &&
                p->node[u].reader != NONE && p->node[u].reader && p->node[u].reader - 1 <= v &&
                bytes_of(p, u) == bytes_of(p, v)) {
                p->node[u].kept = true;
                put(p, v, p->node[u].at);
                return true;
            }
        }
        if (i > 64) return false;
    }
    return false;
}

void tg_plan_place_results(planner *p, slab *s, const planned_step *step, uint32_t k)
{
    bool group = !step->call && !p->request->node_by_node;
    if (group) find_readers(p, step, k);
    for (uint32_t i = 0; i < step->count; i++) {
        uint32_t v = p->member[step->members + i];
        if (!p->node[v].stored) continue;
        if (p->node[v].output) put(p, v, (tg_ref){output_base(p, p->node[v].output - 1), 0});
        else if (!(group && p->node[v].kind == SPAN && take_over(p, step, k, v)))
            put(p, v, (tg_ref){0, tg_slab_take(s, (int64_t)bytes_of(p, v))});
    }
}
