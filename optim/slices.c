/* Sums over ranks: every rank gets the sum of its slice, by the fixed tree, and slices come back to
 * all. A slice is a range of all parameters behind one another. */
#include <string.h>

#include "rank.h"

static bool power_of_two(int64_t n) { return (n & (n - 1)) == 0; }

/* Where halves are exchanged the first exchange decides the upper half: the bits are reversed. */
int tg_slice_of(const tg_ranks *r, int rank)
{
    if (!power_of_two(r->n)) return rank;
    int slice = 0;
    for (int bit = 1, high = r->n / 2; high; bit *= 2, high /= 2)
        if (rank & bit) slice |= high;
    return slice;
}

tg_part tg_slice_span(const tg_ranks *r, const tg_params *ps, size_t k, int lo, int hi)
{
    const size_t size = tg_dtype_size(ps->list[k]->dtype), begin = r->start[k],
                 end = r->start[k + 1];
    const size_t from = r->cut[lo] > begin ? r->cut[lo] : begin,
                 to = r->cut[hi] < end ? r->cut[hi] : end;
    if (from >= to) return (tg_part){0, 0};
    return (tg_part){(int64_t)((from - begin) / size), (int64_t)((to - from) / size)};
}

/* ---------------------------------------------------------------- parts, one behind the other */

typedef enum work { PACK, UNPACK, ADD } work;

/* Between the parts that are present and `flat`, which has the slices [lo, hi) of them; with part
 * NULL nothing moves. Returns the bytes. */
static size_t move(const tg_ranks *r, work w, void *const *part, int lo, int hi, char *flat)
{
    size_t at = 0;
    for (size_t k = 0; k < r->layout; k++) {
        if (!r->present[k]) continue;
        const tg_part s = tg_slice_span(r, r->ps, k, lo, hi);
        const tg_dtype dtype = r->ps->list[k]->dtype;
        const size_t bytes = (size_t)s.n * tg_dtype_size(dtype);
        if (part && bytes) {
            char *const mine = (char *)part[k] + (size_t)s.first * tg_dtype_size(dtype);
            if (w == PACK) memcpy(flat + at, mine, bytes);
            if (w == UNPACK) memcpy(mine, flat + at, bytes);
            if (w == ADD) tg_sum_into(dtype, mine, flat + at, s.n);
        }
        at += (bytes + sizeof(double) - 1) / sizeof(double) * sizeof(double);
    }
    return at;
}

static size_t bytes_of(const tg_ranks *r, int lo, int hi)
{
    return move(r, PACK, NULL, lo, hi, NULL);
}

/* ---------------------------------------------------------------- slice by slice */

static void note_merged(void *user, tg_node_sum *left, tg_node_sum *right)
{
    (void)user;
    left->there = left->there || right->there;
}

/* The nodes that a rank has at the end of its leaves. */
static int nodes_of(const tg_ranks *r, int rank, tg_node_sum *stack)
{
    const tg_part leaves = tg_ranks_leaves_of(r, rank);
    int depth = 0;
    for (int64_t k = leaves.first; k < leaves.first + leaves.n; k++) {
        stack[depth++] = (tg_node_sum){.index = k, .there = r->notes[k].print != 0};
        depth = tg_tree_settle(r->leaves, stack, depth, note_merged, NULL);
    }
    return depth;
}

static size_t there(const tg_node_sum *stack, int depth)
{
    size_t n = 0;
    for (int k = 0; k < depth; k++) n += stack[k].there;
    return n;
}

static void merge_packed(void *user, tg_node_sum *left, tg_node_sum *right)
{
    const tg_ranks *r = user;
    if (!right->there) return;
    if (!left->there) {
        left->there = true;
        left->packed = right->packed;
        return;
    }
    const int slice = tg_slice_of(r, r->rank);
    size_t at = 0;
    for (size_t k = 0; k < r->layout; k++) {
        if (!r->present[k]) continue;
        const tg_dtype dtype = r->ps->list[k]->dtype;
        const int64_t n = tg_slice_span(r, r->ps, k, slice, slice + 1).n;
        tg_sum_into(dtype, left->packed + at, right->packed + at, n);
        at += ((size_t)n * tg_dtype_size(dtype) + sizeof(double) - 1) / sizeof(double) *
              sizeof(double);
    }
}

/* Sends each rank its slice of my nodes and receives mine of all others' into r->in. */
static bool send_slices(tg_ranks *r)
{
    tg_node_sum nodes[TG_TREE_LEVELS + 1];
    const int slice = tg_slice_of(r, r->rank);
    const size_t bytes = bytes_of(r, slice, slice + 1);
    for (int d = 1; d < r->n; d++) {
        const int to = (r->rank + d) % r->n, from = (r->rank - d + r->n) % r->n;
        const int theirs = tg_slice_of(r, to);
        size_t out = 0, at = 0;
        for (int k = 0; k < r->depth; k++)
            if (r->stack[k].there)
                out += move(r, PACK, r->stack[k].part, theirs, theirs + 1, r->out.data + out);
        for (int s = 0; s < from; s++) at += there(nodes, nodes_of(r, s, nodes));
        const size_t in = there(nodes, nodes_of(r, from, nodes));
        if (!tg_travel(r, to, r->out.data, out, from, r->in.data + at * bytes, in * bytes))
            return false;
    }
    return true;
}

static bool reduce_by_slices(tg_ranks *r)
{
    tg_node_sum stack[TG_TREE_LEVELS + 1], nodes[TG_TREE_LEVELS + 1];
    const int slice = tg_slice_of(r, r->rank);
    const size_t bytes = bytes_of(r, slice, slice + 1);
    int depth = 0;
    char *at = r->in.data;
    if (!send_slices(r)) return false;
    for (int s = 0; s < r->n; s++) {
        const int n = nodes_of(r, s, nodes);
        for (int k = 0; k < n; k++) {
            if (nodes[k].there) {
                if (s == r->rank) move(r, PACK, r->stack[k].part, slice, slice + 1, at);
                nodes[k].packed = at;
                at += bytes;
            }
            stack[depth++] = nodes[k];
            depth = tg_tree_settle(r->leaves, stack, depth, merge_packed, r);
        }
    }
    move(r, UNPACK, r->stack[0].part, slice, slice + 1, stack[0].packed);
    return true;
}

/* ---------------------------------------------------------------- by halves */

/* Whether each rank has one node, all on one level. */
static bool even(const tg_ranks *r)
{
    if (!power_of_two(r->n) || r->leaves % r->n != 0 || !power_of_two(r->leaves)) return false;
    for (int64_t k = 0; k < r->leaves; k++)
        if (!r->notes[k].print) return false;
    return true;
}

/* Recursive halving along the tree: first with the sibling, then with a cousin. */
static bool reduce_by_halves(tg_ranks *r)
{
    int lo = 0, hi = r->n;
    for (int d = 1; d < r->n; d *= 2) {
        const int middle = (lo + hi) / 2, partner = r->rank ^ d;
        const bool upper = (r->rank & d) != 0;
        const int keep_lo = upper ? middle : lo, keep_hi = upper ? hi : middle;
        const size_t out =
            move(r, PACK, r->stack[0].part, upper ? lo : middle, upper ? middle : hi, r->out.data);
        const size_t in = bytes_of(r, keep_lo, keep_hi);
        if (!tg_travel(r, partner, r->out.data, out, partner, r->in.data, in)) return false;
        move(r, ADD, r->stack[0].part, keep_lo, keep_hi, r->in.data);
        lo = keep_lo;
        hi = keep_hi;
    }
    return true;
}

/* ---------------------------------------------------------------- all of it */

bool tg_slices_reserve(tg_ranks *r, bool hold)
{
    tg_node_sum nodes[TG_TREE_LEVELS + 1];
    const int slice = tg_slice_of(r, r->rank);
    size_t count = 0, all = 0, chunks = 0;
    for (size_t k = 0; k < r->layout; k++) {
        tg_param *p = r->ps->list[k];
        chunks += ((size_t)p->count + 1023) / 1024;
        /* Values travel of what micro-batches before this one had gradients for, too. */
        if (r->present[k] || p->trainable) all += p->bytes + sizeof(double);
        if (!r->present[k]) continue;
        if (!tg_ranks_part(r, &r->stack[0], k)) return false;
        if (p->trainable && !tg_param_grad_buffer(p)) return false;
        if (!hold || r->held[k] || !p->trainable) continue;
        if (!(r->held[k] = tg_allocate(&r->of_parameters, p->bytes))) return false;
    }
    if (r->n == 1) return true;
    for (int s = 0; s < r->n; s++) count += there(nodes, nodes_of(r, s, nodes));
    const size_t mine = count * bytes_of(r, slice, slice + 1), sent = there(r->stack, r->depth);
    if (chunks < (size_t)r->n) chunks = (size_t)r->n;
    size_t in = all > mine ? all : mine;
    if (in < chunks * sizeof(double)) in = chunks * sizeof(double);
    return tg_room_reserve(r, &r->out, sent > 1 ? sent * all : all) &&
           tg_room_reserve(r, &r->in, in) && tg_room_reserve(r, &r->chunk, chunks * sizeof(double));
}

bool tg_slices_reduce(tg_ranks *r)
{
    if (r->n == 1) return true;
    return even(r) ? reduce_by_halves(r) : reduce_by_slices(r);
}

bool tg_slices_gather(tg_ranks *r, void *const *part)
{
    const bool doubling = power_of_two(r->n);
    int lo = tg_slice_of(r, r->rank), hi = lo + 1;
    if (r->n == 1) return true;
    if (doubling) {
        for (int d = r->n / 2, size = 1; d; d /= 2, size *= 2) {
            const int partner = r->rank ^ d, other = lo ^ size;
            const size_t out = move(r, PACK, part, lo, hi, r->out.data),
                         in = bytes_of(r, other, other + size);
            if (!tg_travel(r, partner, r->out.data, out, partner, r->in.data, in)) return false;
            move(r, UNPACK, part, other, other + size, r->in.data);
            if (other < lo) lo = other;
            hi = lo + 2 * size;
        }
        return true;
    }
    for (int d = 0; d + 1 < r->n; d++) {
        const int given = (r->rank - d + r->n) % r->n, got = (given - 1 + r->n) % r->n;
        const size_t out = move(r, PACK, part, given, given + 1, r->out.data),
                     in = bytes_of(r, got, got + 1);
        if (!tg_travel(r, (r->rank + 1) % r->n, r->out.data, out, (r->rank - 1 + r->n) % r->n,
                       r->in.data, in))
            return false;
        move(r, UNPACK, part, got, got + 1, r->in.data);
    }
    return true;
}
