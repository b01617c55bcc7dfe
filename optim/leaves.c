/* The fixed tree over the leaves of a batch: gradients wait as its nodes until their siblings are
 * there. A node's arrays change places with those of the parameters, so that handing a gradient in
 * copies nothing. */
#include <math.h>
#include <string.h>

#include "../graph/tape.h"
#include "rank.h"

/* ---------------------------------------------------------------- sums */

#define ADD(fn, TARGET, BUILD, T)                                \
    TARGET static void fn(void *to, const void *from, int64_t n) \
    {                                                            \
        T *x = (T *)to;                                          \
        const T *y = (const T *)from;                            \
        TG_INDEPENDENT                                           \
        for (int64_t i = 0; i < n; i++) x[i] += y[i];            \
    }
TG_EACH_BUILD(ADD, add_f32, float)
TG_EACH_BUILD(ADD, add_f64, double)

static void (*const add[TG_F64 + 1][TG_BUILD_COUNT])(void *, const void *, int64_t) = {
    TG_BUILDS(add_f32), TG_BUILDS(add_f64)};

void tg_sum_into(tg_dtype dtype, void *x, const void *y, int64_t n)
{
    add[dtype][tg_build_best()](x, y, n);
}

static void weigh(tg_dtype dtype, void *to, const void *from, int64_t n, double weight)
{
    float *f32 = to;
    double *f64 = to;
    if (dtype == TG_F32)
        for (int64_t i = 0; i < n; i++) f32[i] = ((const float *)from)[i] * (float)weight;
    else
        for (int64_t i = 0; i < n; i++) f64[i] = ((const double *)from)[i] * weight;
}

/* ---------------------------------------------------------------- which leaves, which rows */

/* part * k / of without overflow, for part < 2^63 and k <= of <= 2^20 */
static int64_t share(int64_t part, int64_t k, int64_t of)
{
    return part / of * k + part % of * k / of;
}

static tg_part span_of(int64_t part, int64_t k, int64_t of)
{
    const int64_t first = share(part, k, of);
    return (tg_part){first, share(part, k + 1, of) - first};
}

tg_part tg_ranks_leaves_of(const tg_ranks *r, int rank) { return span_of(r->leaves, rank, r->n); }

tg_part tg_ranks_my_leaves(const tg_ranks *r)
{
    return r ? tg_ranks_leaves_of(r, r->rank) : (tg_part){0, 1};
}

tg_part tg_ranks_leaf_rows(const tg_ranks *r, int64_t rows, int64_t leaf)
{
    const int64_t leaves = tg_ranks_leaves(r);
    if (rows < 0 || leaf < 0 || leaf >= leaves) return (tg_part){0, 0};
    return span_of(rows, leaf, leaves);
}

void tg_tape_set_stream(tg_tape *t, uint64_t stream)
{
    if (t) tg_tape_take_stream(t, stream);
}

int64_t tg_ranks_leaves(const tg_ranks *r) { return r ? r->leaves : 1; }

tg_status tg_ranks_set_leaves(tg_ranks *r, int64_t leaves)
{
    if (tg_ranks_status(r) != TG_OK) return tg_ranks_status(r);
    if (leaves < 1 || leaves > TG_MOST_LEAVES)
        return tg_error_set(&r->own, NULL, "ranks", TG_EVALUE, "%lld leaves are not in 1..%d",
                            (long long)leaves, TG_MOST_LEAVES);
    if (r->ps)
        return tg_error_set(&r->own, NULL, "ranks", TG_ESTATE,
                            "the leaves of a step are being added");
    r->leaves = leaves;
    return TG_OK;
}

/* ---------------------------------------------------------------- what is there for parameters */

static void release_parts(tg_ranks *r, void **part)
{
    for (size_t i = 0; part && i < r->layout; i++)
        tg_release(&r->of_parameters, part[i], r->start[i + 1] - r->start[i]);
}

void tg_ranks_forget_layout(tg_ranks *r)
{
    for (int k = 0; k <= TG_TREE_LEVELS; k++) {
        release_parts(r, r->stack[k].part);
        r->stack[k].part = NULL;
    }
    release_parts(r, r->held);
    tg_arena_rewind(&r->memory);
    r->held = NULL;
    r->start = NULL;
    r->layout = 0;
    r->stats.memory -= r->parts_bytes;
    r->parts_bytes = 0;
    r->reserved = 0;
}

static bool same_allocator(const tg_allocator *a, const tg_allocator *b)
{
    return a->allocate == b->allocate && a->release == b->release && a->user == b->user;
}

static bool laid_out(const tg_ranks *r, const tg_params *ps)
{
    if (!r->start || r->layout != ps->count || !same_allocator(&r->of_parameters, &ps->allocator))
        return false;
    for (size_t k = 0; k < ps->count; k++)
        if (r->start[k + 1] - r->start[k] != ps->list[k]->bytes) return false;
    return true;
}

/* Slices are about equal, and begin where a parameter does or a multiple of 1024 elements behind:
 * where the norm's sums do. */
static void cut_slices(tg_ranks *r, const tg_params *ps)
{
    const size_t all = r->start[ps->count];
    size_t k = 0;
    for (int s = 0; s <= r->n; s++) {
        const size_t wanted = (size_t)share((int64_t)all, s, r->n);
        while (k < ps->count && r->start[k + 1] <= wanted) k++;
        if (k == ps->count) {
            r->cut[s] = all;
            continue;
        }
        const size_t grid = 1024 * tg_dtype_size(ps->list[k]->dtype);
        r->cut[s] = r->start[k] + (wanted - r->start[k]) / grid * grid;
    }
}

bool tg_ranks_lay_out(tg_ranks *r, const tg_params *ps)
{
    if (laid_out(r, ps)) return true;
    tg_ranks_forget_layout(r);
    const size_t n = ps->count;
    size_t *start = tg_arena_take(&r->memory, (n + 1) * sizeof *start);
    void **held = tg_arena_take(&r->memory, n * sizeof *held);
    r->cut = tg_arena_take(&r->memory, ((size_t)r->n + 1) * sizeof *r->cut);
    r->holds = tg_arena_take(&r->memory, n * sizeof *r->holds);
    r->present = tg_arena_take(&r->memory, n * sizeof *r->present);
    r->value = tg_arena_take(&r->memory, n * sizeof *r->value);
    r->mine = tg_arena_take(&r->memory, n * sizeof *r->mine);
    if (!start || !held || !r->cut || !r->holds || !r->present || !r->value || !r->mine)
        return false;
    memset(held, 0, n * sizeof *held);
    memset(r->holds, 0, n * sizeof *r->holds);
    r->of_parameters = ps->allocator;
    r->layout = n;
    r->start = start;
    r->held = held;
    r->start[0] = 0;
    for (size_t k = 0; k < n; k++) {
        r->start[k + 1] = r->start[k] + ps->list[k]->bytes;
        r->value[k] = ps->list[k]->value;
    }
    cut_slices(r, ps);
    for (size_t k = 0; k < n; k++)
        r->mine[k] = tg_slice_span(r, ps, k, tg_slice_of(r, r->rank), tg_slice_of(r, r->rank) + 1);
    return true;
}

/* A part of a node for parameter k; NULL: no memory. */
void *tg_ranks_part(tg_ranks *r, tg_node_sum *node, size_t k)
{
    const size_t bytes = r->start[k + 1] - r->start[k];
    if (!node->part) {
        node->part = tg_arena_take(&r->memory, r->layout * sizeof *node->part);
        if (!node->part) return NULL;
        memset(node->part, 0, r->layout * sizeof *node->part);
    }
    if (!node->part[k] && (node->part[k] = tg_allocate(&r->of_parameters, bytes)) != NULL) {
        r->parts_bytes += bytes;
        r->stats.memory += bytes;
    }
    return node->part[k];
}

/* ---------------------------------------------------------------- the tree */

int tg_tree_settle(int64_t leaves, tg_node_sum *stack, int depth, tg_merge_fn *merge, void *user)
{
    for (;;) {
        tg_node_sum *top = &stack[depth - 1];
        const bool alone = (top->index + 1) << top->level >= leaves;
        if (top->index & 1) {
            if (depth < 2 || stack[depth - 2].level != top->level ||
                stack[depth - 2].index != top->index - 1)
                return depth;
            merge(user, top - 1, top);
            top--;
            depth--;
        } else if (!alone || !top->index) {
            return depth;
        }
        top->level++;
        top->index /= 2;
    }
}

static void merge(void *user, tg_node_sum *left, tg_node_sum *right)
{
    const tg_ranks *r = user;
    if (right->there && left->there) {
        for (size_t k = 0; k < r->layout; k++)
            if (r->present[k])
                tg_sum_into(r->ps->list[k]->dtype, left->part[k], right->part[k],
                            r->ps->list[k]->count);
    } else if (right->there) {
        void **const part = left->part;
        left->part = right->part;
        right->part = part;
        left->there = true;
    }
}

/* The leaf on top of the stack is complete. */
static void settle(tg_ranks *r)
{
    r->depth = tg_tree_settle(r->leaves, r->stack, r->depth, merge, r);
}

static tg_node_sum *push(tg_ranks *r, bool there)
{
    tg_node_sum *node = &r->stack[r->depth++];
    node->level = 0;
    node->index = r->next_leaf++;
    node->there = there;
    return node;
}

tg_status tg_ranks_begin(tg_ranks *r, tg_params *ps)
{
    if (ps && r->ps == ps) return TG_OK;
    if (!ps) return tg_error_set(&r->own, NULL, "ranks", TG_ENULL, "the parameters are NULL");
    if (tg_params_status(ps) != TG_OK)
        return tg_error_set(&r->own, NULL, NULL, ps->error.status, "%s", ps->error.message);
    if (r->ps)
        return tg_error_set(&r->own, NULL, "ranks", TG_ESTATE,
                            "leaves of other parameters are being added");
    void *notes = r->notes;
    const bool ok = tg_ranks_lay_out(r, ps) && tg_grow(&r->allocator, &notes, &r->notes_capacity,
                                                       (size_t)r->leaves, sizeof *r->notes);
    r->notes = notes;
    if (!ok) return tg_error_set(&r->own, NULL, "ranks", TG_ENOMEM, "no memory");
    memset(r->notes, 0, (size_t)r->leaves * sizeof *r->notes);
    memset(r->present, 0, r->layout * sizeof *r->present);
    r->ps = ps;
    r->print = 0;
    r->depth = 0;
    r->next_leaf = tg_ranks_my_leaves(r).first;
    return TG_OK;
}

void tg_ranks_skip_to(tg_ranks *r, int64_t leaf)
{
    while (r->next_leaf < leaf) {
        push(r, false);
        settle(r);
    }
}

/* Whether this leaf has something for the same parameters as those before it. */
static bool same_parameters(tg_ranks *r, tg_tape *t)
{
    bool same = true;
    const void *value;
    const tg_param *to;
    const bool first = !r->print;
    for (size_t k = 0; k < r->layout; k++) {
        const bool has = r->ps->list[k]->has_grad;
        if (first) r->present[k] = has;
        else if (r->ps->list[k]->trainable) same = same && r->present[k] == has;
    }
    size_t buffers = 0;
    for (size_t k = 0; (to = tg_buffer_pending(t, k, &value)) != NULL; k++) {
        if (to->owner != r->ps || !value) return false;
        if (first) r->present[to->slot.id] = true;
        else same = same && r->present[to->slot.id];
        buffers++;
    }
    if (first) r->n_buffers = buffers;
    if (first) r->print = tg_ranks_print_present(r);
    return same && buffers == r->n_buffers;
}

/* Gradients change places with the node's arrays; new values of buffers are copied. */
static bool take(tg_ranks *r, tg_node_sum *node, tg_tape *t, double weight)
{
    for (size_t k = 0; k < r->layout; k++)
        if (r->present[k] && !tg_ranks_part(r, node, k)) return false;
    for (size_t k = 0; k < r->layout; k++) {
        tg_param *p = r->ps->list[k];
        if (!p->has_grad) continue;
        void *const grad = p->grad;
        p->grad = node->part[k];
        node->part[k] = grad;
        p->has_grad = false;
    }
    const void *value;
    const tg_param *to;
    for (size_t k = 0; (to = tg_buffer_pending(t, k, &value)) != NULL; k++)
        weigh(to->dtype, node->part[to->slot.id], value, to->count, weight);
    return true;
}

tg_status tg_ranks_add(tg_ranks *r, tg_params *ps, tg_tape *t, int64_t leaf, double loss,
                       double weight)
{
    if (tg_ranks_status(r) != TG_OK) return tg_ranks_status(r);
    if (tg_ranks_begin(r, ps) != TG_OK) return r->own.status;
    const tg_part mine = tg_ranks_my_leaves(r);
    if (t && tg_tape_status(t) != TG_OK)
        return tg_error_set(&r->own, NULL, NULL, tg_tape_status(t), "%s", tg_tape_message(t));
    if (leaf < r->next_leaf || leaf >= mine.first + mine.n)
        return tg_error_set(&r->own, NULL, "ranks", TG_EVALUE,
                            "leaf %lld is not in %lld..%lld: a rank adds its own, in rising order",
                            (long long)leaf, (long long)r->next_leaf,
                            (long long)(mine.first + mine.n - 1));
    if (!(weight > 0 && isfinite(weight)))
        return tg_error_set(&r->own, NULL, "ranks", TG_EVALUE,
                            "the weight %g is not finite and > 0", weight);
    tg_ranks_skip_to(r, leaf);
    if (!same_parameters(r, t))
        return tg_error_set(&r->own, NULL, "ranks", TG_ESTATE,
                            "leaf %lld has gradients or buffers for other parameters than the "
                            "leaves before it",
                            (long long)leaf);
    tg_node_sum *node = push(r, true);
    if (!take(r, node, t, weight)) {
        r->depth--;
        return tg_error_set(&r->own, NULL, "ranks", TG_ENOMEM, "no memory for a leaf's gradients");
    }
    r->notes[leaf] = (tg_note){loss, weight, r->print};
    settle(r);
    return TG_OK;
}
