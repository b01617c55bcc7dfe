/* Recording a body, once for all recordings that have the same. */
#define TG_HERE where

#include "scan.h"

/* ---------------------------------------------------------------- programs */

static void free_program(tg_scan_program *p)
{
    const tg_allocator a = p->root->allocator;
    tg_tape_free(p->tape);
    tg_release(&a, p, p->bytes);
}

static void free_programs(tg_tape *root)
{
    for (tg_scan_program *p = root->scans.program, *next; p; p = next) {
        next = p->next;
        free_program(p);
    }
    root->scans.program = NULL;
    root->scans.n = 0;
    tg_tape_free(root->scans.spare);
    root->scans.spare = NULL;
}

tg_tape *tg_scan_tape(tg_tape *t)
{
    const tg_tape_options o = {.size = sizeof o,
                               .allocator = &t->allocator,
                               .evaluation = !t->training,
                               .node_by_node = t->node_by_node,
                               .trace_nonfinite = t->trace_nonfinite};
    tg_tape *body = tg_tape_new(&o);
    if (!body) return NULL;
    body->build = t->build;
    body->forbid_f32 = t->forbid_f32;
    body->scans.root = t->scans.root ? t->scans.root : t;
    return body;
}

tg_scan_program *tg_scan_keep(const tg_scan_program *like, int n_wanted, const bool *wanted)
{
    const size_t n = (size_t)outputs(like), bytes = sizeof *like + n * sizeof *like->output +
                                                    (size_t)n_wanted * sizeof *wanted;
    tg_scan_program *p = tg_allocate(&like->root->allocator, bytes);
    if (!p) return NULL;
    *p = *like;
    p->bytes = bytes;
    p->output = memcpy(p + 1, like->output, n * sizeof *like->output);
    p->wanted = n_wanted ? memcpy(p->output + n, wanted, (size_t)n_wanted * sizeof *wanted) : NULL;
    p->next = p->root->scans.program;
    p->root->scans.program = p;
    p->root->scans.n++;
    p->root->scans.release = free_programs;
    return p;
}

/* Positions outlive the recording that the caller's texts are for. */
static bool keep_positions(tg_tape *t)
{
    for (uint32_t v = 0; v < t->recorded.n; v++) {
        const char **where = &tg_node_slot(t, v)->where[t->recorded.epoch % 2];
        if (!*where) continue;
        char *copy = tg_arena_take(&t->storage, strlen(*where) + 1);
        if (!copy) return false;
        *where = strcpy(copy, *where);
    }
    return true;
}

/* ---------------------------------------------------------------- recording a body */

static bool same_leaf(const tg_tape *a, const tg_tape *b, uint32_t v, uint32_t n_inputs)
{
    const tg_leaf *x = &a->recorded.leaf[a->recorded.leaf_of[v]],
                  *y = &b->recorded.leaf[b->recorded.leaf_of[v]];
    if (v < n_inputs) return true;
    return x->bytes == y->bytes && (x->data ? !memcmp(x->data, y->data, x->bytes)
                                            : !memcmp(&x->value, &y->value, sizeof x->value));
}

static bool same_node(const tg_tape *a, const tg_tape *b, uint32_t v, uint32_t n_inputs)
{
    const tg_node *x = &a->recorded.node[v], *y = &b->recorded.node[v];
    const tg_type *s = &tg_node_type(a, v)->type, *u = &tg_node_type(b, v)->type;
    const int n_attrs = tg_node_n_attrs(a, x);
    if (x->op != y->op || x->n_in != y->n_in || s->dtype != u->dtype ||
        !tg_shape_equal(s->shape, u->shape) || n_attrs != tg_node_n_attrs(b, y))
        return false;
    if (memcmp(tg_node_inputs(a, x), tg_node_inputs(b, y), x->n_in * sizeof(uint32_t)) != 0 ||
        (n_attrs &&
         memcmp(tg_node_attrs(a, x), tg_node_attrs(b, y), (size_t)n_attrs * sizeof(int64_t)) != 0))
        return false;
    return !tg_is_leaf(x->op) || same_leaf(a, b, v, n_inputs);
}

static bool same_program(const tg_scan_program *p, const tg_scan_program *q)
{
    if (p->source || p->nodes != q->nodes || p->n_carry != q->n_carry || p->n_x != q->n_x ||
        p->n_w != q->n_w || p->n_y != q->n_y ||
        memcmp(p->output, q->output, (size_t)outputs(p) * sizeof *p->output) != 0)
        return false;
    for (uint32_t v = 0; v < p->nodes; v++)
        if (!same_node(p->tape, q->tape, v, (uint32_t)inputs(p))) return false;
    return true;
}

/* An input of a body: of x's type, or of a slice's. */
static tg_tensor *body_input(tg_tape *body, const char *where, const tg_tape *t, const tg_tensor *x,
                             bool slice)
{
    tg_shape shape = tg_tensor_shape(x);
    if (slice) {
        memmove(shape.dim, shape.dim + 1, (TG_MAX_DIMS - 1) * sizeof *shape.dim);
        shape.dim[--shape.ndim] = 0;
    }
    tg_tensor *input = tg_input_borrow_at(body, where, tg_dtype_on(t, x), shape, "");
    if (input) body->recorded.leaf[body->recorded.n_leaves - 1].data = NULL;
    return input;
}

static bool fits(tg_tape *t, const char *where, const char *what, int k, const tg_type *is,
                 tg_dtype dtype, const tg_shape *shape)
{
    if (is->dtype == dtype && (!shape || tg_shape_equal(is->shape, *shape))) return true;
    tg_tape_fail(t, where, "scan", is->dtype == dtype ? TG_ESHAPE : TG_EDTYPE,
                 "%s %d is %s %s, not %s%s%s", what, k, tg_dtype_name(is->dtype),
                 tg_shape_text(is->shape).text, tg_dtype_name(dtype), shape ? " " : "",
                 shape ? tg_shape_text(*shape).text : "");
    return false;
}

/* Takes down what a body made of its inputs; at[k] is the output that y[k] is: one that was there
 * already is not stacked twice. */
static bool note_outputs(tg_scan_program *p, const char *where, tg_tensor *const *out, int *at)
{
    const int n_y = p->n_y;
    p->n_y = 0;
    for (int k = 0; k < p->n_carry + n_y; k++) {
        uint32_t node;
        int same = 0;
        if (!tg_resolve(p->tape, where, "scan: a result of the body", out[k], &node)) return false;
        while (k >= p->n_carry && same < stacked(p) && p->output[same] != node) same++;
        if (k < p->n_carry) p->output[k] = node;
        else if ((at[k - p->n_carry] = same) == stacked(p)) p->output[p->n_carry + p->n_y++] = node;
    }
    return true;
}

/* Whether the tensors of a body are what a scan can do with; else t is in error. */
static bool check_body(tg_tape *t, const char *where, const tg_scan_program *p)
{
    const tg_tape *body = p->tape;
    for (size_t k = 0; k < body->recorded.n_leaves; k++)
        if (body->recorded.leaf[k].param) {
            tg_tape_fail(t, where, "scan", TG_EVALUE,
                         "the body reads parameter '%s' by itself: give it as one of w",
                         body->recorded.leaf[k].param->name);
            return false;
        }
    const tg_dtype dtype = dtype_of(p);
    if (!is_float(dtype)) {
        tg_tape_fail(t, where, "scan", TG_EDTYPE, "what is carried is f32 or f64, not %s",
                     tg_dtype_name(dtype));
        return false;
    }
    for (int k = 0; k < stacked(p); k++) {
        const bool carried = k < p->n_carry;
        if (!fits(t, where, carried ? "the next carry" : "y", carried ? k : k - p->n_carry,
                  &type_of(p, p->output[k])->type, dtype,
                  carried ? &type_of(p, (uint32_t)k)->type.shape : NULL))
            return false;
    }
    for (int k = p->n_carry; k < inputs(p); k++) {
        const tg_type *is = &type_of(p, (uint32_t)k)->type;
        const bool x = k < p->n_carry + p->n_x;
        if (is_float(is->dtype) &&
            !fits(t, where, x ? "a slice of x" : "w", x ? k - p->n_carry : k - p->n_carry - p->n_x,
                  is, dtype, NULL))
            return false;
    }
    return true;
}

static bool record_body(tg_tape *t, const char *where, const tg_scan_body *b, tg_scan_program *p,
                        tg_tensor *const *x, int *at)
{
    tg_tape *body = p->tape;
    const int n = inputs(p);
    tg_tensor **in = tg_base_memory(t, where, "scan", n + stacked(p), sizeof *in);
    if (!in) return false;
    tg_tensor **out = in + n;
    for (int k = 0; k < n; k++) {
        in[k] = body_input(body, where, t, x[k], k >= p->n_carry && k < p->n_carry + p->n_x);
        if (k < p->n_carry) out[k] = in[k];
    }
    for (int k = p->n_carry; k < stacked(p); k++) out[k] = NULL;
    body->deriving++; /* nothing has a value */
    if (!body->error.status)
        b->step(body, out, in + p->n_carry, in + p->n_carry + p->n_x, out + p->n_carry, b->user);
    body->deriving--;
    if (!body->error.status && note_outputs(p, where, out, at)) return check_body(t, where, p);
    if (!t->error.status) t->error = body->error;
    return false;
}

/* A tape to record a body on: one that is left over, or a new one. */
static tg_tape *take_body(tg_tape *t)
{
    tg_tape *root = t->scans.root ? t->scans.root : t, *body = root->scans.spare;
    root->scans.spare = NULL;
    if (!body) return tg_scan_tape(t);
    tg_tape_clear_error(body);
    tg_tape_reset(body);
    tg_tape_set_training(body, t->training);
    return body;
}

static void leave_body(tg_tape *body)
{
    tg_tape_free(body->scans.root->scans.spare);
    body->scans.root->scans.spare = body;
    body->scans.root->scans.release = free_programs;
}

/* The body as a program that its tape's root knows; NULL, with t in error, when it fails. */
static const tg_scan_program *find_program(tg_tape *t, const char *where, const tg_scan_body *b,
                                           tg_tensor *const *x, int *at)
{
    tg_scan_program p = {.n_carry = b->n_carry, .n_x = b->n_x, .n_w = b->n_w, .n_y = b->n_y};
    const tg_scan_program *found = NULL;
    p.output = tg_base_memory(t, where, "scan", outputs(&p), sizeof *p.output);
    p.tape = p.output ? take_body(t) : NULL;
    if (!p.tape) return scan_no_memory(t, where), NULL;
    p.root = p.tape->scans.root;
    if (record_body(t, where, b, &p, x, at)) {
        note_nodes(&p);
        for (found = p.root->scans.program; found && !same_program(found, &p); found = found->next)
            continue;
        if (!found && keep_positions(p.tape) && (found = tg_scan_keep(&p, 0, NULL))) return found;
        if (!found) scan_no_memory(t, where);
    }
    leave_body(p.tape);
    return found;
}

/* ---------------------------------------------------------------- recording a scan */

static bool check_scan(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                       tg_tensor *const *carry, tg_tensor *const *x, tg_tensor *const *w,
                       tg_tensor **y)
{
    const char *wrong = NULL;
    if (!b || (b->n_carry && !carry) || (b->n_x && !x) || (b->n_w && !w) || (b->n_y && !y)) {
        tg_tape_fail(t, where, "scan", TG_ENULL, "the body, or an array of tensors, is NULL");
        return false;
    }
    if (b->size != sizeof *b || !b->step)
        wrong = "the body's size field is not sizeof(tg_scan_body), or it has no step";
    else if (b->n_carry < 0 || b->n_x < 0 || b->n_w < 0 || b->n_y < 0 || n < 0 || b->checkpoint < 0)
        wrong = "a negative number of steps or tensors";
    else if (b->n_carry < 1) wrong = "nothing is carried";
    if (wrong) tg_tape_fail(t, where, "scan", TG_EVALUE, "%s", wrong);
    for (int k = 0; !t->error.status && k < b->n_carry; k++)
        tg_belongs(t, where, "scan: carry", carry[k]);
    for (int k = 0; !t->error.status && k < b->n_w; k++) tg_belongs(t, where, "scan: w", w[k]);
    for (int k = 0; !t->error.status && k < b->n_x; k++) {
        if (!tg_belongs(t, where, "scan: x", x[k])) break;
        const tg_shape shape = tg_tensor_shape(x[k]);
        if (shape.ndim < 1 || shape.dim[0] != n)
            tg_tape_fail(t, where, "scan", TG_ESHAPE, "x %d is %s, for %lld steps", k,
                         tg_shape_text(shape).text, (long long)n);
    }
    return !t->error.status;
}

static tg_status scan_all(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                          tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                          tg_tensor **y)
{
    const int n_in = b->n_carry + b->n_x + b->n_w;
    tg_tensor **in = tg_base_memory(t, where, "scan", n_in, sizeof *in);
    int *at = tg_base_memory(t, where, "scan", b->n_y, sizeof *at);
    if (!in || !at) return t->error.status;
    for (int k = 0; k < n_in; k++)
        in[k] = k < b->n_carry            ? carry[k]
                : k < b->n_carry + b->n_x ? x[k - b->n_carry]
                                          : w[k - b->n_carry - b->n_x];
    const tg_scan_program *p = find_program(t, where, b, in, at);
    if (!p) return t->error.status;
    tg_tensor *packed =
        tg_scan_apply(t, where, p, p->draws ? tg_draw_ordinal(t) : 0, n, b->reverse, in);
    for (int k = 0; k < b->n_carry && n > 0; k++)
        carry[k] = tg_scan_last(t, where, p, n, b->reverse, packed, k);
    for (int k = 0; k < b->n_y; k++) y[k] = tg_scan_output(t, where, p, n, packed, at[k]);
    return t->error.status;
}

/* Some steps as one step of a longer scan, which keeps what is carried between them alone. */
typedef struct segment {
    const char *where;
    tg_scan_body body;
    int64_t steps;
} segment;

static void step_segment(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                         tg_tensor **y, void *user)
{
    const segment *s = user;
    scan_all(t, s->where, &s->body, s->steps, carry, x, w, y);
}

/* Rows first .. first + n - 1 of x, or, of segments, n times `steps` of them. */
static tg_tensor *rows_of(tg_tape *t, const char *where, tg_tensor *x, int64_t first, int64_t n,
                          int64_t steps)
{
    tg_shape shape = tg_tensor_shape(x);
    const int64_t row = shape.dim[0] ? tg_shape_count(shape) / shape.dim[0] : 0;
    shape.dim[0] = steps ? steps : n;
    return tg_scan_part(t, where, x, first * row, steps ? with_steps(n, shape) : shape);
}

/* The rows of a, then those of b. */
static tg_tensor *joined(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    const int64_t n = tg_tensor_count(a), total = n + tg_tensor_count(b);
    tg_shape shape = tg_tensor_shape(a);
    shape.dim[0] += tg_tensor_shape(b).dim[0];
    tg_tensor *all = tg_apply_2(t, where, &tg_op_add, tg_scan_place(t, where, a, 0, total),
                                tg_scan_place(t, where, b, n, total));
    return tg_scan_part(t, where, all, 0, shape);
}

static tg_status scan_in_segments(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                                  tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                                  tg_tensor **y)
{
    const int64_t steps = b->checkpoint, segments = n / steps, rest = n % steps,
                  first = segments * steps;
    segment s = {where, *b, steps};
    tg_scan_body of_segments = *b;
    of_segments.step = step_segment;
    of_segments.user = &s;
    tg_tensor **of_x = tg_base_memory(t, where, "scan", 2 * (b->n_x + b->n_y), sizeof *of_x),
              **rest_x = of_x + b->n_x, **rest_y = rest_x + b->n_x, **of_y = rest_y + b->n_y;
    if (!of_x) return t->error.status;
    for (int k = 0; k < b->n_x; k++) {
        of_x[k] = rows_of(t, where, x[k], 0, segments, steps);
        rest_x[k] = rest ? rows_of(t, where, x[k], first, rest, 0) : NULL;
    }
    if (rest && b->reverse) scan_all(t, where, b, rest, carry, rest_x, w, rest_y);
    if (!t->error.status) scan_all(t, where, &of_segments, segments, carry, of_x, w, of_y);
    if (rest && !b->reverse && !t->error.status)
        scan_all(t, where, b, rest, carry, rest_x, w, rest_y);
    for (int k = 0; k < b->n_y && !t->error.status; k++) {
        tg_shape shape = tg_tensor_shape(of_y[k]);
        memmove(shape.dim + 1, shape.dim + 2, (TG_MAX_DIMS - 2) * sizeof *shape.dim);
        shape.dim[0] = first;
        shape.dim[--shape.ndim] = 0;
        y[k] = tg_scan_part(t, where, of_y[k], 0, shape);
        if (rest) y[k] = joined(t, where, y[k], rest_y[k]);
    }
    return t->error.status;
}

static tg_status record_scan(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                             tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                             tg_tensor **y)
{
    if (t->error.status || !check_scan(t, where, b, n, carry, x, w, y)) return t->error.status;
    const bool whole = !b->checkpoint || b->checkpoint >= n;
    return (whole ? scan_all : scan_in_segments)(t, where, b, n, carry, x, w, y);
}

tg_status tg_scan_at(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                     tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w, tg_tensor **y)
{
    for (int k = 0; b && y && k < b->n_y; k++) y[k] = NULL;
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, record_scan(t, where, b, n, carry, x, w, y));
}
