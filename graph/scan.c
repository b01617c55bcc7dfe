/* A loop as one op: a recorded body run n times with carried values, and the same backwards. */
#define TG_HERE where

#include "scan.h"

/* ---------------------------------------------------------------- parts of what is packed */

enum { OFFSET, NDIM, SIZES }; /* attributes of part */
enum { TOTAL = 1 };           /* of place, behind OFFSET */

static bool part_rule(tg_rule *r)
{
    r->y = (tg_type){r->x[0].dtype, tg_shape_of((int)r->attrs[NDIM], r->attrs + SIZES)};
    return true;
}

static bool part_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs;
    if (!tg_array_contiguous(x)) return false;
    y->data = (char *)x->data + (size_t)attrs[OFFSET] * tg_dtype_size(x->dtype);
    int64_t step = 1;
    for (int k = y->shape.ndim - 1; k >= 0; step *= y->shape.dim[k--]) y->stride[k] = step;
    return true;
}

static bool place_rule(tg_rule *r)
{
    r->y = (tg_type){r->x[0].dtype, tg_shape_of(1, &r->attrs[TOTAL])};
    return true;
}

static void place_kernel(const tg_call *c)
{
    const size_t size = tg_dtype_size(c->y->dtype), before = (size_t)c->attrs[OFFSET] * size,
                 bytes = (size_t)tg_shape_count(c->x[0].shape) * size,
                 all = (size_t)c->attrs[TOTAL] * size;
    char *y = c->y->data;
    if (all == 0) return;
    memset(y, 0, before);
    if (bytes) memcpy(y + before, c->x[0].data, bytes);
    memset(y + before + bytes, 0, all - before - bytes);
}

static void part_vjp(TG_VJP);
static void place_vjp(TG_VJP);
static const tg_op op_part = {.size = sizeof(tg_op),
                              .name = "part",
                              .n_in = 1,
                              .rule = part_rule,
                              .view = part_view,
                              .vjp = part_vjp};
static const tg_op op_place = {.size = sizeof(tg_op),
                               .name = "place",
                               .n_in = 1,
                               .rule = place_rule,
                               .kernel = place_kernel,
                               .vjp = place_vjp};

/* `count` elements of x from `offset` on, as this shape. */
tg_tensor *tg_scan_part(tg_tape *t, const char *where, tg_tensor *x, int64_t offset, tg_shape shape)
{
    int64_t attrs[SIZES + TG_MAX_DIMS] = {offset, shape.ndim};
    memcpy(attrs + SIZES, shape.dim, sizeof shape.dim);
    return tg_apply(t, &op_part, 1, &x, SIZES + shape.ndim, attrs);
}

/* x's elements from `offset` on among `total` zeros. */
tg_tensor *tg_scan_place(tg_tape *t, const char *where, tg_tensor *x, int64_t offset, int64_t total)
{
    return tg_apply(t, &op_place, 1, &x, 2, ((const int64_t[]){offset, total}));
}

static void part_vjp(TG_VJP)
{
    gx[0] =
        tg_base_reshape(t, where, tg_scan_place(t, where, gy, attrs[OFFSET], tg_tensor_count(x[0])),
                        tg_tensor_shape(x[0]));
}

static void place_vjp(TG_VJP)
{
    gx[0] = tg_scan_part(t, where, gy, attrs[OFFSET], tg_tensor_shape(x[0]));
}

/* All n values of a packed output, or a sum. */
tg_tensor *tg_scan_output(tg_tape *t, const char *where, const tg_scan_program *p, int64_t n,
                          tg_tensor *packed, int k)
{
    const tg_shape shape = type_of(p, p->output[k])->type.shape;
    return tg_scan_part(t, where, packed, offset_of(p, n, k),
                        k < stacked(p) ? with_steps(n, shape) : shape);
}

/* The values carried out of the last step. */
tg_tensor *tg_scan_last(tg_tape *t, const char *where, const tg_scan_program *p, int64_t n,
                        bool reverse, tg_tensor *packed, int k)
{
    return tg_scan_part(t, where, packed,
                        offset_of(p, n, k) + (reverse ? 0 : n - 1) * count_of(p, k),
                        type_of(p, p->output[k])->type.shape);
}

/* ---------------------------------------------------------------- the op */

enum { ORDINAL, PROGRAM, STEPS, REVERSE, ATTRS };

static const tg_scan_program *program_of(const int64_t *attrs)
{
    return (const tg_scan_program *)(intptr_t)attrs[PROGRAM];
}

static bool scan_rule(tg_rule *r)
{
    const tg_scan_program *p = program_of(r->attrs);
    const int64_t total = offset_of(p, r->attrs[STEPS], outputs(p));
    r->y = (tg_type){dtype_of(p), tg_shape_of(1, &total)};
    return true;
}

/* Sums are added up in parts of so many steps, so that long ones stay accurate. */
enum { TOGETHER = 64 };

static int64_t sum_count(const tg_scan_program *p)
{
    int64_t count = 0;
    for (int k = stacked(p); k < outputs(p); k++) count += count_of(p, k);
    return count;
}

static int64_t scan_scratch(const tg_call *c)
{
    const tg_scan_program *p = program_of(c->attrs);
    return sum_count(p) * (int64_t)tg_dtype_size(c->y->dtype);
}

static void add_to(tg_dtype dtype, void *sum, const void *term, int64_t n)
{
    if (dtype == TG_F32)
        for (int64_t i = 0; i < n; i++) ((float *)sum)[i] += ((const float *)term)[i];
    else
        for (int64_t i = 0; i < n; i++) ((double *)sum)[i] += ((const double *)term)[i];
}

static void bind_input(const tg_scan_program *p, uint32_t node, const void *data)
{
    p->tape->recorded.leaf[p->tape->recorded.leaf_of[node]].data = data;
}

static const void *value_of(const tg_scan_program *p, uint32_t node)
{
    return p->tape->asked.value[tg_node_slot(p->tape, node)->value - 1].data;
}

static tg_status run_step(const tg_scan_program *p)
{
    tg_tape *t = p->tape;
    return t->asked.n_events
               ? tg_run_again(t, NULL)
               : tg_tape_evaluate(t, NULL, TG_EVALUATE, (uint32_t)outputs(p), p->output);
}

/* What the steps of one run share. */
typedef struct scan {
    const tg_call *c;
    const tg_scan_program *p;
    size_t size;
    char *y, *sums; /* sums: those of the last few steps */
} scan;

static char *stacked_at(const scan *s, int k, int64_t i)
{
    const int64_t at = offset_of(s->p, s->c->attrs[STEPS], k) + i * count_of(s->p, k);
    return s->y + (size_t)at * s->size;
}

static void bind_step(const scan *s, int64_t i, int64_t before)
{
    const tg_scan_program *p = s->p;
    for (int k = 0; k < p->n_carry; k++)
        bind_input(p, (uint32_t)k, before < 0 ? s->c->x[k].data : stacked_at(s, k, before));
    for (int k = p->n_carry; k < p->n_carry + p->n_x; k++)
        bind_input(p, (uint32_t)k,
                   (const char *)s->c->x[k].data + (size_t)i * bytes_of(p, (uint32_t)k));
}

static void store_step(const scan *s, int64_t i)
{
    const tg_scan_program *p = s->p;
    for (int k = 0; k < stacked(p); k++) {
        const size_t bytes = bytes_of(p, p->output[k]);
        if (bytes) memcpy(stacked_at(s, k, i), value_of(p, p->output[k]), bytes);
    }
    char *sum = s->sums;
    for (int k = stacked(p); k < outputs(p); sum += (size_t)count_of(p, k++) * s->size)
        add_to(s->c->y->dtype, sum, value_of(p, p->output[k]), count_of(p, k));
}

static void scan_kernel(const tg_call *c)
{
    const tg_scan_program *p = program_of(c->attrs);
    const int64_t n = c->attrs[STEPS];
    tg_tape *t = p->tape;
    scan s = {c, p, tg_dtype_size(c->y->dtype), c->y->data, c->scratch};
    const size_t sum_bytes = (size_t)sum_count(p) * s.size;
    char *total = s.y + (size_t)offset_of(p, n, stacked(p)) * s.size;
    if (sum_bytes) {
        memset(total, 0, sum_bytes);
        memset(s.sums, 0, sum_bytes);
    }
    t->threads = c->threads;
    t->key = c->key ^ ((uint64_t)c->attrs[ORDINAL] + 1) * 0x9E3779B97F4A7C15u;
    for (int k = p->n_carry + p->n_x; k < inputs(p); k++) bind_input(p, (uint32_t)k, c->x[k].data);
    int64_t before = -1;
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = c->attrs[REVERSE] ? n - 1 - k : k;
        t->step = c->step * (uint64_t)n + (uint64_t)i;
        bind_step(&s, i, before);
        if (run_step(p)) {
            tg_call_fail(c, k, t->error.status, "step %lld: %s", (long long)i, t->error.message);
            tg_tape_clear_error(t);
            return;
        }
        store_step(&s, i);
        before = i;
        if ((k + 1) % TOGETHER && k + 1 < n) continue;
        add_to(c->y->dtype, total, s.sums, sum_count(p));
        if (sum_bytes) memset(s.sums, 0, sum_bytes);
    }
}

static void scan_vjp(TG_VJP);
#define SCAN(name_of, more)                                \
    static const tg_op name_of = {.size = sizeof(tg_op),   \
                                  .name = "scan",          \
                                  .n_in = -1,              \
                                  .flags = more,           \
                                  .rule = scan_rule,       \
                                  .kernel = scan_kernel,   \
                                  .scratch = scan_scratch, \
                                  .vjp = scan_vjp};
SCAN(op_scan, 0)
SCAN(op_drawing_scan, TG_DRAWS)

tg_tensor *tg_scan_apply(tg_tape *t, const char *where, const tg_scan_program *p, int64_t ordinal,
                         int64_t n, bool reverse, tg_tensor *const *x)
{
    const int64_t attrs[ATTRS] = {ordinal, (int64_t)(intptr_t)p, n, reverse};
    return tg_apply(t, p->draws ? &op_drawing_scan : &op_scan, inputs(p), x, ATTRS, attrs);
}

/* ---------------------------------------------------------------- the derivative */

/* One step back. Carried: the gradients of what was carried. For each step: what was carried into
 * it, its x, the gradients of the values that it left behind and of what it stacked. For all: w,
 * and the gradients of the sums. It stacks the gradients of x and sums those of w, the wanted
 * ones. */
typedef struct backward {
    int carry, before, x, left, stack, w, sums, n; /* where these inputs begin */
} backward;

static backward backward_of(const tg_scan_program *p)
{
    backward b = {.before = p->n_carry};
    b.x = b.before + p->n_carry;
    b.left = b.x + p->n_x;
    b.stack = b.left + p->n_carry;
    b.w = b.stack + p->n_y;
    b.sums = b.w + p->n_w;
    b.n = b.sums + p->n_sums;
    return b;
}

static tg_tensor *input_like(tg_tape *t, const tg_scan_program *p, uint32_t node)
{
    const tg_type type = type_of(p, node)->type;
    const char *where = tg_node_where(p->tape, node);
    tg_tensor *x = tg_input_borrow_at(t, where, type.dtype, type.shape, "");
    if (x) t->recorded.leaf[t->recorded.n_leaves - 1].data = NULL;
    return x;
}

/* Records a node of p's body on t. */
static tg_tensor *copy_node(tg_tape *t, const tg_scan_program *p, uint32_t v,
                            tg_tensor *const *copy)
{
    const tg_tape *from = p->tape;
    const tg_node *node = &from->recorded.node[v];
    const char *where = tg_node_where(from, v);
    if (tg_is_leaf(node->op)) {
        const tg_leaf *leaf = &from->recorded.leaf[from->recorded.leaf_of[v]];
        const tg_type type = tg_node_type(from, v)->type;
        return node->op == &tg_op_constant
                   ? tg_constant_at(t, where, type.dtype, leaf->value)
                   : tg_input_at(t, where, type.dtype, type.shape, leaf->data ? leaf->data : "");
    }
    tg_tensor **x = tg_arena_take(&t->storage, node->n_in * sizeof *x);
    if (!x) return scan_no_memory(t, where), NULL;
    for (uint32_t k = 0; k < node->n_in; k++) x[k] = copy[tg_node_inputs(from, node)[k]];
    return tg_apply_at(t, where, node->op, (int)node->n_in, x, tg_node_n_attrs(from, node),
                       tg_node_attrs(from, node));
}

/* Records the step back; fills in d's outputs. */
static void record_backward(tg_tape *t, const char *where, const tg_scan_program *p,
                            tg_scan_program *d, const bool *wanted)
{
    const backward b = backward_of(p);
    const int n = outputs(p), m = inputs(p);
    tg_tensor **in = tg_base_memory(t, where, "scan", b.n + (int)p->nodes + n + m, sizeof *in);
    uint32_t *y = tg_base_memory(t, where, "scan", n + 2 * m, sizeof *y);
    if (!in || !y) return;
    tg_tensor **copy = in + b.n, **seed = copy + p->nodes, **g = seed + n;
    uint32_t *by = y + n, *cut = by + m;
    uint32_t n_by = 0;
    for (int k = 0; k < b.n; k++)
        in[k] = input_like(t, p,
                           k < b.before  ? (uint32_t)k
                           : k < b.left  ? (uint32_t)(k - b.before)
                           : k < b.stack ? (uint32_t)(k - b.left)
                           : k < b.w     ? p->output[k - b.stack + p->n_carry]
                           : k < b.sums  ? (uint32_t)(k - b.w + p->n_carry + p->n_x)
                                         : p->output[k - b.sums + stacked(p)]);
    for (int k = 0; k < m; k++)
        copy[k] = in[k < p->n_carry + p->n_x ? b.before + k : b.w + k - p->n_carry - p->n_x];
    for (uint32_t v = (uint32_t)m; v < p->nodes && !t->error.status; v++)
        copy[v] = copy_node(t, p, v, copy);
    for (int k = 0; k < n && !t->error.status; k++) {
        tg_resolve(t, where, "scan", copy[p->output[k]], &y[k]);
        seed[k] = k < p->n_carry   ? tg_apply_2(t, where, &tg_op_add, in[k], in[b.left + k])
                  : k < stacked(p) ? in[b.stack + k - p->n_carry]
                                   : in[b.sums + k - stacked(p)];
    }
    for (int k = 0; k < m && !t->error.status; k++)
        if (k < p->n_carry || wanted[k]) tg_resolve(t, where, "scan", copy[k], &by[n_by++]);
    if (t->error.status || tg_reverse(t, where, (uint32_t)n, y, seed, n_by, by, g, cut)) return;
    for (uint32_t k = 0; k < n_by && !t->error.status; k++) {
        const tg_type type = tg_node_type(t, by[k])->type;
        if (!g[k]) g[k] = tg_base_expand(t, where, tg_constant(t, type.dtype, 0), type.shape);
        tg_resolve(t, where, "scan", g[k], &d->output[k]);
    }
}

/* Which of p's x and w a gradient is wanted of. */
static void choose(const tg_tape *t, const tg_scan_program *p, bool *wanted)
{
    for (int k = 0; k < inputs(p); k++)
        wanted[k] =
            k >= p->n_carry && t->carried[k] && is_float(type_of(p, (uint32_t)k)->type.dtype);
}

static const tg_scan_program *derivative(tg_tape *t, const char *where, const tg_scan_program *p)
{
    const int n = inputs(p);
    bool *wanted = tg_base_memory(t, where, "scan", n, sizeof *wanted);
    if (!wanted) return NULL;
    choose(t, p, wanted);
    for (const tg_scan_program *q = p->root->scans.program; q; q = q->next)
        if (q->source == p && memcmp(q->wanted, wanted, (size_t)n * sizeof *wanted) == 0) return q;
    const backward b = backward_of(p);
    tg_scan_program d = {.root = p->root,
                         .source = p,
                         .n_carry = p->n_carry,
                         .n_x = b.w - b.before,
                         .n_w = b.n - b.w};
    for (int k = p->n_carry; k < n; k++)
        *(k < p->n_carry + p->n_x ? &d.n_y : &d.n_sums) += wanted[k];
    d.output = tg_base_memory(t, where, "scan", outputs(&d) + 1, sizeof *d.output);
    d.tape = d.output ? tg_scan_tape(p->tape) : NULL;
    if (!d.tape) return scan_no_memory(t, where), NULL;
    record_backward(d.tape, where, p, &d, wanted);
    if (d.tape->error.status && !t->error.status) t->error = d.tape->error;
    note_nodes(&d);
    const tg_scan_program *made = t->error.status ? NULL : tg_scan_keep(&d, n, wanted);
    if (made) return made;
    tg_tape_free(d.tape);
    scan_no_memory(t, where);
    return NULL;
}

/* What was carried into each step: the first value, and all that were left behind but the last. */
static tg_tensor *carried_in(tg_tape *t, const char *where, const tg_scan_program *p, int64_t n,
                             bool reverse, tg_tensor *first, tg_tensor *packed, int k)
{
    const int64_t count = count_of(p, k), total = n * count, rest = total - count;
    const tg_shape shape = type_of(p, p->output[k])->type.shape;
    tg_tensor *others = tg_scan_part(t, where, packed, offset_of(p, n, k) + (reverse ? count : 0),
                                     tg_shape_of(1, &rest));
    tg_tensor *all =
        tg_apply_2(t, where, &tg_op_add, tg_scan_place(t, where, first, reverse ? rest : 0, total),
                   tg_scan_place(t, where, others, reverse ? 0 : count, total));
    return tg_scan_part(t, where, all, 0, with_steps(n, shape));
}

/* NULL for what is no float, as y is. */
static tg_tensor *zeros_for(tg_tape *t, const char *where, const tg_tensor *x, const tg_tensor *y)
{
    if (tg_tensor_dtype(x) != tg_tensor_dtype(y)) return NULL;
    return tg_base_expand(t, where, tg_constant_like(t, y, 0), tg_tensor_shape(x));
}

static void scan_vjp(TG_VJP)
{
    const tg_scan_program *p = program_of(attrs);
    const int64_t n = attrs[STEPS];
    for (int k = 0; n == 0 && k < n_in; k++) gx[k] = zeros_for(t, where, x[k], y);
    const tg_scan_program *d = n ? derivative(t, where, p) : NULL;
    const bool reverse = attrs[REVERSE] != 0;
    const backward b = backward_of(p);
    tg_tensor **in = d ? tg_base_memory(t, where, "scan", b.n, sizeof *in) : NULL;
    if (!in) return;
    for (int k = 0; k < p->n_carry; k++) {
        in[k] = zeros_for(t, where, x[k], y);
        in[b.before + k] = carried_in(t, where, p, n, reverse, x[k], y, k);
        in[b.left + k] = tg_scan_output(t, where, p, n, gy, k);
    }
    for (int k = 0; k < p->n_x; k++) in[b.x + k] = x[p->n_carry + k];
    for (int k = 0; k < p->n_y; k++)
        in[b.stack + k] = tg_scan_output(t, where, p, n, gy, p->n_carry + k);
    for (int k = 0; k < p->n_w; k++) in[b.w + k] = x[p->n_carry + p->n_x + k];
    for (int k = 0; k < p->n_sums; k++)
        in[b.sums + k] = tg_scan_output(t, where, p, n, gy, stacked(p) + k);
    tg_tensor *packed = tg_scan_apply(t, where, d, attrs[ORDINAL], n, !reverse, in);
    if (!packed) return;
    int next = 0;
    for (int k = 0; k < p->n_carry; k++, next++)
        gx[k] = tg_scan_last(t, where, d, n, !reverse, packed, k);
    for (int k = p->n_carry; k < inputs(p); k++)
        if (d->wanted[k]) gx[k] = tg_scan_output(t, where, d, n, packed, next++);
}
