/* A part of the recording once more: with other tensors in the place of some, or in the backward
 * pass, so that its values need not be kept for it. */
#define TG_HERE where

#include "base.h"
#include "tape.h"

#include <string.h>

/* The nodes that a node y depends on and that depend on an x themselves, by their numbers from
 * `low` to y. */
typedef struct part {
    uint32_t low, y;
    uint32_t *copy; /* from low on: OUTSIDE, INSIDE, or the node that stands in its place */
} part;

static const uint32_t OUTSIDE = UINT32_MAX, INSIDE = UINT32_MAX - 1;

static uint32_t copy_of(const part *p, uint32_t v)
{
    return v >= p->low && v <= p->y ? p->copy[v - p->low] : OUTSIDE;
}

static tg_status no_memory(tg_tape *t, const char *where, const char *what)
{
    return tg_tape_fail(t, where, what, TG_ENOMEM, "no memory");
}

/* Those between x and y; a node among x stands for itself. */
static tg_status find_part(tg_tape *t, const char *where, const char *what, uint32_t y, uint32_t n,
                           const uint32_t *x, part *p)
{
    uint32_t low = y, live_low, live_high;
    for (uint32_t k = 0; k < n; k++) low = x[k] < low ? x[k] : low;
    const size_t span = (size_t)(y - low) + 1;
    *p = (part){low, y, tg_arena_take(&t->storage, span * sizeof *p->copy)};
    if (!p->copy) return no_memory(t, where, what);
    memset(p->copy, 0xff, span * sizeof *p->copy); /* OUTSIDE */
    if (tg_mark_live(t, 1, &y, false, low, &live_low, &live_high)) return t->error.status;
    for (uint32_t k = 0; k < n; k++)
        if (x[k] <= y) p->copy[x[k] - low] = x[k];
    for (uint32_t v = live_low; v <= y; v++) {
        const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
        for (uint32_t k = 0; k < t->recorded.node[v].n_in && tg_is_live(t, v); k++)
            if (copy_of(p, v) == OUTSIDE && copy_of(p, in[k]) != OUTSIDE) p->copy[v - low] = INSIDE;
    }
    tg_clear_live(t, live_low, live_high);
    return TG_OK;
}

/* Records node v again, on what stands in the places of its operands. */
static tg_tensor *record_again(tg_tape *t, const char *where, const part *p, uint32_t v)
{
    const tg_node node = t->recorded.node[v];
    const int n_attrs = tg_node_n_attrs(t, &node);
    tg_tensor **x = tg_arena_take(&t->storage, node.n_in * sizeof *x);
    int64_t *attrs = tg_arena_take(&t->storage, (size_t)n_attrs * sizeof *attrs);
    if (!x || !attrs) return no_memory(t, where, "substitute"), NULL;
    for (uint32_t k = 0; k < node.n_in; k++) {
        const uint32_t in = tg_node_inputs(t, &node)[k], copy = copy_of(p, in);
        x[k] = tg_handle(t, copy == OUTSIDE ? in : copy);
    }
    if (n_attrs) memcpy(attrs, tg_node_attrs(t, &node), (size_t)n_attrs * sizeof *attrs);
    return tg_apply_at(t, tg_node_where(t, v), node.op, (int)node.n_in, x, n_attrs, attrs);
}

static tg_tensor *substitute(tg_tape *t, const char *where, tg_tensor *y, int n,
                             tg_tensor *const *x, tg_tensor *const *with)
{
    const char *what = "substitute";
    if (t->error.status) return NULL;
    if (n < 0 || (n && (!x || !with)))
        return tg_tape_fail(t, where, what, n < 0 ? TG_EVALUE : TG_ENULL,
                            "nothing to replace, or nothing to replace it with"),
               NULL;
    uint32_t y_node, *from = tg_arena_take(&t->storage, 2 * (size_t)n * sizeof *from),
                     *to = from + n;
    if (!from) return no_memory(t, where, what), NULL;
    if (!tg_resolve(t, where, what, y, &y_node)) return NULL;
    for (int k = 0; k < n; k++) {
        if (!tg_resolve(t, where, what, x[k], &from[k]) ||
            !tg_resolve(t, where, what, with[k], &to[k]))
            return NULL;
        const tg_type a = tg_node_type(t, from[k])->type, b = tg_node_type(t, to[k])->type;
        if (t->recorded.node[from[k]].type != t->recorded.node[to[k]].type)
            return tg_tape_fail(t, where, what, a.dtype == b.dtype ? TG_ESHAPE : TG_EDTYPE,
                                "%s %s can't stand for %s %s", tg_dtype_name(b.dtype),
                                tg_shape_text(b.shape).text, tg_dtype_name(a.dtype),
                                tg_shape_text(a.shape).text),
                   NULL;
    }
    part p;
    if (find_part(t, where, what, y_node, (uint32_t)n, from, &p)) return NULL;
    for (int k = 0; k < n; k++)
        if (from[k] <= y_node) p.copy[from[k] - p.low] = to[k];
    for (uint32_t v = p.low; v <= y_node; v++) {
        if (copy_of(&p, v) != INSIDE) continue;
        const tg_tensor *copy = record_again(t, where, &p, v);
        if (!copy) return NULL;
        p.copy[v - p.low] = tg_slot_of(copy)->id;
    }
    const uint32_t copy = copy_of(&p, y_node);
    return tg_handle(t, copy == OUTSIDE ? y_node : copy);
}

tg_tensor *tg_substitute_at(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x,
                            tg_tensor *const *with)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, substitute(t, where, y, n, x, with));
}

/* ---------------------------------------------------------------- a part as an op's operands */

static bool is_float(const tg_tape *t, uint32_t node)
{
    const tg_dtype dtype = tg_node_type(t, node)->type.dtype;
    return dtype == TG_F32 || dtype == TG_F64;
}

tg_tensor *tg_base_source(const tg_tape *t, tg_tensor *x)
{
    return tg_handle(t, tg_node_inputs(t, &t->recorded.node[tg_slot_of(x)->id])[0]);
}

/* Adds to edge[] the floats outside that node v reads, each once: they are marked as being their
 * own copies. */
static uint32_t find_edges(const tg_tape *t, part *p, bool *seen, uint32_t v, uint32_t n,
                           tg_tensor **edge)
{
    const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
    for (uint32_t k = 0; k < t->recorded.node[v].n_in; k++) {
        if (copy_of(p, in[k]) != OUTSIDE || seen[in[k]] || !is_float(t, in[k])) continue;
        seen[in[k]] = true;
        edge[n++] = tg_handle(t, in[k]);
    }
    return n;
}

static tg_tensor *record_part(tg_tape *t, const char *where, const tg_op *op, tg_tensor *value,
                              tg_tensor *y, int n, tg_tensor *const *x, bool through, int64_t attr)
{
    uint32_t y_node, *node = tg_arena_take(&t->storage, (size_t)n * sizeof *node);
    if (!node) return no_memory(t, where, op->name), NULL;
    if (!tg_resolve(t, where, op->name, y, &y_node)) return NULL;
    for (int k = 0; k < n; k++)
        if (!tg_resolve(t, where, op->name, x[k], &node[k])) return NULL;
    part p;
    if (find_part(t, where, op->name, y_node, (uint32_t)n, node, &p)) return NULL;
    size_t most = 2 + 2 * (size_t)n;
    for (uint32_t v = p.low; v <= y_node; v++)
        if (copy_of(&p, v) == INSIDE) most += t->recorded.node[v].n_in;
    tg_tensor **in = tg_arena_take(&t->storage, most * sizeof *in);
    bool *seen = tg_arena_take(&t->storage, t->recorded.n);
    if (!in || !seen) return no_memory(t, where, op->name), NULL;
    memset(seen, 0, t->recorded.n);
    uint32_t n_in = 2 + (uint32_t)n;
    for (int k = 0; k < n && through; k++) in[n_in++] = tg_handle(t, node[k]);
    for (uint32_t v = p.low; v <= y_node; v++)
        if (copy_of(&p, v) == INSIDE) n_in = find_edges(t, &p, seen, v, n_in, in);
    in[0] = tg_detach(t, value);
    in[1] = tg_detach(t, y);
    for (int k = 0; k < n; k++) in[2 + k] = tg_detach(t, tg_handle(t, node[k]));
    return tg_apply(t, op, (int)n_in, in, 2, ((const int64_t[]){n, attr}));
}

tg_tensor *tg_base_part(tg_tape *t, const char *where, const tg_op *op, tg_tensor *value,
                        tg_tensor *y, int n, tg_tensor *const *x, bool through, int64_t attr)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, record_part(t, where, op, value, y, n, x, through, attr));
}

/* ---------------------------------------------------------------- checkpoint */

static void checkpoint_vjp(TG_VJP)
{
    const int n = (int)attrs[0], edges = n_in - 2 - n;
    tg_tensor **from = tg_arena_take(&t->storage, (size_t)(n + edges) * sizeof *from),
              **with = tg_arena_take(&t->storage, (size_t)(n + edges) * sizeof *with);
    if (!from || !with) {
        no_memory(t, where, "checkpoint");
        return;
    }
    tg_tensor *after = tg_detach(t, gy);
    for (int k = 0; k < n; k++) {
        from[k] = tg_base_source(t, x[2 + k]);
        with[k] = tg_apply_2(t, where, &tg_op_fence, from[k], after);
    }
    for (int k = n; k < edges; k++) with[k] = x[2 + n + k];
    tg_tensor *again = tg_substitute_at(t, where, tg_base_source(t, x[1]), n, from, with);
    tg_base_partial(t, where, again, gy, edges, with, NULL, 2 + n, gx);
}

static const tg_op checkpoint = {.size = sizeof(tg_op),
                                 .name = "checkpoint",
                                 .n_in = -1,
                                 .rule = tg_base_same_type,
                                 .view = tg_base_same_view,
                                 .vjp = checkpoint_vjp};

static tg_tensor *record_checkpoint(tg_tape *t, const char *where, tg_tensor *y, int n,
                                    tg_tensor *const *x)
{
    uint32_t y_node;
    if (t->error.status) return NULL;
    if (n < 1 || !x)
        return tg_tape_fail(t, where, "checkpoint", n < 1 ? TG_EVALUE : TG_ENULL,
                            "no tensors to compute again from"),
               NULL;
    if (!tg_resolve(t, where, "checkpoint", y, &y_node)) return NULL;
    if (!is_float(t, y_node))
        return tg_tape_fail(t, where, "checkpoint", TG_EDTYPE, "%s carries no gradient",
                            tg_dtype_name(tg_tensor_dtype(tg_handle(t, y_node)))),
               NULL;
    return record_part(t, where, &checkpoint, y, y, n, x, true, 0);
}

tg_tensor *tg_base_checkpoint(tg_tape *t, const char *where, tg_tensor *y, int n,
                              tg_tensor *const *x)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, record_checkpoint(t, where, y, n, x));
}
