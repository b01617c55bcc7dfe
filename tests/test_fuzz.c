/* Random graphs, run in every way there is, which must all give the same bits: recorded on any
 * tape, printed, and cut down while they still show what is wrong. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "allocator.h"
#include "fuzz.h"

/* What a run shows: statuses, messages, values and gradients, one after another. */
typedef struct record {
    char *bytes;
    size_t n, capacity;
    int failures;
} record;

/* A recording in progress. */
typedef struct run {
    const graph *c;
    tg_params *ps;
    tg_tensor *const *param;
    void *const *data; /* of the leaves */
    tg_tape *t;
    tg_tensor *slot[MAX_SLOTS], *leaf[MAX_LEAVES], *loss;
    bool computed[MAX_SLOTS]; /* the slot holds the result of an op */
    record *record;
    bool print;
} run;

/* ---------------------------------------------------------------- records */

static void add_bytes(record *r, const void *bytes, size_t n)
{
    if (r->n + n > r->capacity) {
        r->capacity = 2 * (r->n + n);
        r->bytes = realloc(r->bytes, r->capacity);
    }
    if (n) memcpy(r->bytes + r->n, bytes, n);
    r->n += n;
}

/* Of a NaN it is recorded that it is one: which operand's sign a sum of two NaN takes is the
 * compiler's choice, in a vector and in its tail. */
static void add_numbers(record *r, const void *data, int64_t n, tg_dtype dtype)
{
    const size_t size = tg_dtype_size(dtype);
    for (int64_t i = 0; i < n; i++) {
        const char *from = (const char *)data + (size_t)i * size;
        const float f32 = NAN;
        const double f64 = NAN;
        if (dtype == TG_F32 && isnan(*(const float *)from)) add_bytes(r, &f32, size);
        else if (dtype == TG_F64 && isnan(*(const double *)from)) add_bytes(r, &f64, size);
        else add_bytes(r, from, size);
    }
}

static void add_text(run *r, const char *format, ...)
{
    char text[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    add_bytes(r->record, text, strlen(text) + 1);
    if (r->print) fprintf(stderr, "    %s\n", text);
}

/* A failure of an evaluation is part of the record; then the tape goes on. */
static bool succeeded(run *r, const char *what, int slot)
{
    if (tg_tape_status(r->t) == TG_OK) return true;
    add_text(r, "%s of %d: %s: %s", what, slot, tg_status_name(tg_tape_status(r->t)),
             tg_tape_message(r->t));
    r->record->failures++;
    tg_tape_clear_error(r->t);
    return false;
}

static void show_value(run *r, int slot, tg_tensor *x)
{
    const void *data = tg_data(r->t, x);
    if (!succeeded(r, "value", slot)) return;
    add_text(r, "value of %d, %s %s:", slot, tg_dtype_name(tg_tensor_dtype(x)),
             tg_shape_text(tg_tensor_shape(x)).text);
    add_numbers(r->record, data, tg_tensor_count(x), tg_tensor_dtype(x));
}

static void show(run *r)
{
    for (int k = 0; k < r->c->n_targets; k++)
        if (!r->c->plain || r->computed[r->c->target[k]])
            show_value(r, r->c->target[k], r->slot[r->c->target[k]]);
    if (r->loss) show_value(r, -1, r->loss);
    for (int k = 0; k < r->c->n_leaves; k++) {
        const void *g = tg_param_grad(r->param[k]);
        add_text(r, "gradient of %d %s", k, r->param[k] && g ? "is there" : "is not there");
        if (r->param[k] && g)
            add_numbers(r->record, g, tg_tensor_count(r->param[k]), r->c->leaf[k].dtype);
    }
}

/* ---------------------------------------------------------------- instructions */

static bool is_float(const tg_tensor *x)
{
    return tg_tensor_dtype(x) == TG_F32 || tg_tensor_dtype(x) == TG_F64;
}

static bool broadcasts(const tg_tensor *x, const tg_tensor *y)
{
    const tg_shape a = tg_tensor_shape(x), b = tg_tensor_shape(y);
    for (int k = 1; k <= a.ndim && k <= b.ndim; k++)
        if (a.dim[a.ndim - k] != b.dim[b.ndim - k] && a.dim[a.ndim - k] != 1 &&
            b.dim[b.ndim - k] != 1)
            return false;
    return true;
}

static bool multiplies(const tg_tensor *x, const tg_tensor *y)
{
    const tg_shape a = tg_tensor_shape(x), b = tg_tensor_shape(y);
    return a.ndim > 0 && b.ndim > 0 && a.dim[a.ndim - 1] == b.dim[b.ndim > 1 ? b.ndim - 2 : 0];
}

static bool same_shape(const tg_tensor *x, const tg_tensor *y)
{
    return tg_shape_equal(tg_tensor_shape(x), tg_tensor_shape(y));
}

/* The slot nearest below `from` (and around again from the last) whose tensor has the dtype and
 * goes with x; -1 if there is none. */
static int mate(const run *r, int last, int from, tg_dtype dtype, const tg_tensor *x,
                bool (*goes_with)(const tg_tensor *, const tg_tensor *))
{
    for (int k = 0; k <= last; k++) {
        const int slot = (from + last + 1 - k) % (last + 1);
        if (tg_tensor_dtype(r->slot[slot]) == dtype && (!goes_with || goes_with(x, r->slot[slot])))
            return slot;
    }
    return -1;
}

/* Takes digits off a number. */
static int digit(uint32_t *variant, int n)
{
    const int d = (int)(*variant % (uint32_t)n);
    *variant /= (uint32_t)n;
    return d;
}

typedef tg_tensor *(*unary)(tg_tape *t, const char *where, tg_tensor *x);
typedef tg_tensor *(*binary)(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b);
#define NAMED(op)         \
    {                     \
#op, tg_##op##_at \
    }

/* Functions whose values stay moderate come first, and more often: where everything is NaN, nothing
 * can be told apart. */
enum { TAME_UNARY = 22, TAME_BINARY = 6 };
static const struct {
    const char *name;
    unary f;
} unaries[] = {NAMED(sin),      NAMED(cos),        NAMED(tanh),   NAMED(erf),   NAMED(sigmoid),
               NAMED(softplus), NAMED(logsigmoid), NAMED(relu),   NAMED(relu6), NAMED(hardtanh),
               NAMED(gelu),     NAMED(gelu_tanh),  NAMED(silu),   NAMED(neg),   NAMED(abs),
               NAMED(sign),     NAMED(floor),      NAMED(ceil),   NAMED(round), NAMED(sin),
               NAMED(tanh),     NAMED(abs),        NAMED(square), NAMED(exp),   NAMED(expm1),
               NAMED(log),      NAMED(log1p),      NAMED(sqrt),   NAMED(rsqrt), NAMED(reciprocal)};
static const struct {
    const char *name;
    binary f;
} binaries[] = {NAMED(add),     NAMED(sub),       NAMED(mul), NAMED(maximum),
                NAMED(minimum), NAMED(logaddexp), NAMED(div), NAMED(pow)},
  comparisons[] = {NAMED(equal),      NAMED(not_equal), NAMED(less),
                   NAMED(less_equal), NAMED(greater),   NAMED(greater_equal)};

static tg_axes some_axes(const tg_tensor *x, uint32_t *v)
{
    tg_axes axes = {0};
    const int ndim = tg_tensor_shape(x).ndim;
    if (digit(v, 4) == 0) return TG_ALL_AXES;
    for (int k = 0; k < ndim; k++)
        if (digit(v, 2)) axes.axis[axes.n++] = digit(v, 2) ? k : k - ndim;
    return axes;
}

static tg_tensor *reduce(tg_tape *t, tg_tensor *x, uint32_t v, const char **name)
{
    static const char *const names[] = {"sum",  "mean", "max", "min",  "sum",      "mean",
                                        "prod", "var",  "std", "norm", "logsumexp"};
    const int which = digit(&v, COUNT(names));
    const bool keepdim = digit(&v, 2);
    const tg_axes axes = some_axes(x, &v);
    *name = names[which];
    switch (which) {
    case 0:
    case 4: return tg_sum(t, x, axes, keepdim);
    case 1:
    case 5: return tg_mean(t, x, axes, keepdim);
    case 2: return tg_max(t, x, axes, keepdim);
    case 3: return tg_min(t, x, axes, keepdim);
    case 6: return tg_prod(t, x, axes, keepdim);
    case 7: return tg_var(t, x, axes, digit(&v, 2), keepdim);
    case 8: return tg_std(t, x, axes, digit(&v, 2), keepdim);
    case 9: return tg_norm(t, x, 1 + digit(&v, 3), axes, keepdim);
    default: return tg_logsumexp(t, x, axes, keepdim);
    }
}

static tg_tensor *view(tg_tape *t, tg_tensor *x, uint32_t v, const char **name)
{
    static const char *const names[] = {"transpose", "transpose", "reshape", "reshape",
                                        "expand",    "slice",     "slice",   "flip",
                                        "squeeze",   "unsqueeze", "permute"};
    const int which = digit(&v, COUNT(names));
    tg_shape s = tg_tensor_shape(x);
    const int axis = s.ndim ? digit(&v, s.ndim) : 0;
    const int64_t size = s.ndim ? s.dim[axis] : 1;
    *name = names[which];
    switch (which) {
    case 0:
    case 1: return tg_transpose(t, x, axis, -1 - digit(&v, 2));
    case 2:
    case 3:
        if (digit(&v, 2))
            return tg_reshape(t, x, tg_shape_of(1, (const int64_t[]){tg_tensor_count(x)}));
        for (int k = 0; k < s.ndim / 2; k++) {
            const int64_t swap = s.dim[k];
            s.dim[k] = s.dim[s.ndim - 1 - k];
            s.dim[s.ndim - 1 - k] = swap;
        }
        return tg_reshape(t, x, s);
    case 4:
        for (int k = 0; k < s.ndim; k++)
            if (s.dim[k] == 1) s.dim[k] = 1 + digit(&v, 5);
        if (digit(&v, 2) && s.ndim < 4) {
            memmove(&s.dim[1], s.dim, (size_t)s.ndim * sizeof *s.dim);
            s.dim[0] = digit(&v, 4);
            s.ndim++;
        }
        return tg_expand(t, x, s);
    case 5:
    case 6:
        return tg_slice(t, x, axis, digit(&v, 3), digit(&v, 2) ? size - digit(&v, 3) : TG_END,
                        1 + digit(&v, 3));
    case 7: return tg_flip(t, x, some_axes(x, &v));
    case 8:
        for (int k = 0; k < s.ndim; k++)
            if (s.dim[k] == 1) return tg_squeeze(t, x, k);
        return NULL;
    case 9: return s.ndim < 5 ? tg_unsqueeze(t, x, digit(&v, s.ndim + 1)) : NULL;
    default: {
        tg_axes axes = {.n = s.ndim};
        for (int k = 0; k < s.ndim; k++) axes.axis[k] = (k + 1 + axis) % s.ndim;
        return tg_permute(t, x, axes);
    }
    }
}

static tg_tensor *indexed(tg_tape *t, tg_tensor *x, tg_tensor *index, tg_tensor *source, uint32_t v,
                          const char **name)
{
    static const char *const names[] = {"gather", "index_select", "embedding", "scatter_add",
                                        "one_hot"};
    const int which = digit(&v, COUNT(names)),
              axis = tg_tensor_shape(x).ndim ? digit(&v, tg_tensor_shape(x).ndim) : 0;
    *name = names[which];
    switch (which) {
    case 0: return tg_gather(t, x, axis, index);
    case 1: return tg_index_select(t, x, axis, tg_reshape(t, index, TG_SHAPE(-1)));
    case 2: return tg_embedding(t, x, index);
    case 3: return tg_scatter_add(t, x, axis, index, source);
    default: return tg_one_hot(t, index, 1 + digit(&v, 8), tg_tensor_dtype(x));
    }
}

static tg_tensor *loss_of(run *r, const int *slots, int n, bool reach)
{
    tg_tape *t = r->t;
    const tg_dtype dtype = r->c->leaf[0].dtype;
    tg_tensor *loss = tg_constant(t, dtype, 0);
    if (reach) loss = tg_mean(t, tg_square(t, r->leaf[0]), TG_ALL_AXES, false);
    for (int k = 0; k < n; k++) {
        tg_tensor *x = r->slot[slots[k]];
        if (is_float(x))
            loss = tg_add(t, loss, tg_cast(t, tg_sum(t, x, TG_ALL_AXES, false), dtype));
    }
    return loss;
}

/* What the instruction makes, or NULL when it does not fit. b and c become the slots it has read,
 * -1 if none; name says what it is. */
static tg_tensor *carry_out(run *r, const instruction *i, int last, int *b, int *c,
                            const char **name)
{
    tg_tape *t = r->t;
    uint32_t v = i->variant;
    tg_tensor *x = r->slot[i->a], *gx[2];
    const tg_dtype dtype = tg_tensor_dtype(x);
    *b = *c = -1;
    *name = kinds[i->kind].name;
    switch ((kind)i->kind) {
    case UNARY: {
        const int which = digit(&v, digit(&v, 4) ? TAME_UNARY : COUNT(unaries));
        *name = unaries[which].name;
        return unaries[which].f(t, TG_HERE, x);
    }
    case BINARY: {
        const int which = digit(&v, digit(&v, 4) ? TAME_BINARY : COUNT(binaries));
        *name = binaries[which].name;
        *b = mate(r, last, i->b, dtype, x, broadcasts);
        return binaries[which].f(t, TG_HERE, x, r->slot[*b]);
    }
    case NUMBER:
        switch (digit(&v, 5)) {
        case 0: return *name = "scale", tg_scale(t, x, 0.25 * (digit(&v, 9) - 4));
        case 1: return *name = "offset", tg_offset(t, x, 0.25 * (digit(&v, 9) - 4));
        case 2: return *name = "clamp", tg_clamp(t, x, -1, 0.5);
        case 3: return *name = "leaky_relu", tg_leaky_relu(t, x, 0.1);
        default: return *name = "elu", tg_elu(t, x, 0.5);
        }
    case COMPARE: {
        const int which = digit(&v, COUNT(comparisons));
        *name = comparisons[which].name;
        *b = mate(r, last, i->b, dtype, x, broadcasts);
        return comparisons[which].f(t, TG_HERE, x, r->slot[*b]);
    }
    case WHERE: {
        *b = mate(r, last, i->b, dtype, x, broadcasts);
        *c = mate(r, last, i->c, TG_U8, x, broadcasts);
        tg_tensor *condition = *c >= 0 && digit(&v, 2) ? r->slot[*c] : tg_less(t, x, r->slot[*b]);
        if (digit(&v, 4) == 0) return *name = "safe_where", tg_safe_where(t, condition, x, 0.5);
        return tg_where(t, condition, x, r->slot[*b]);
    }
    case REDUCE: return reduce(t, x, v, name);
    case ALONG: {
        const int axis = tg_tensor_shape(x).ndim ? digit(&v, tg_tensor_shape(x).ndim) : 0;
        if (digit(&v, 2)) return *name = "argmax", tg_argmax(t, x, axis, digit(&v, 2));
        return *name = "max_along", tg_max_along(t, x, axis, digit(&v, 2));
    }
    case SOFTMAX: {
        const int axis = tg_tensor_shape(x).ndim ? digit(&v, tg_tensor_shape(x).ndim) : 0;
        return digit(&v, 2) ? tg_softmax(t, x, axis)
                            : (*name = "log_softmax", tg_log_softmax(t, x, axis));
    }
    case VIEW: return view(t, x, v, name);
    case JOIN: {
        *b = mate(r, last, i->b, dtype, x, same_shape);
        tg_tensor *const parts[] = {x, r->slot[*b], x, r->slot[*b]};
        if (digit(&v, 3) == 0) return *name = "stack", tg_stack(t, 2 + digit(&v, 3), parts, 0);
        if (digit(&v, 3) == 0) {
            tg_shape before = tg_tensor_shape(x), after = before;
            for (int k = 0; k < before.ndim; k++)
                before.dim[k] = digit(&v, 2), after.dim[k] = digit(&v, 3);
            return *name = "pad", tg_pad(t, x, before, after, 0.5);
        }
        return *name = "concat", tg_concat(t, 2 + digit(&v, 3), parts, -1 + digit(&v, 2));
    }
    case CAST: {
        static const tg_dtype to[] = {TG_F32, TG_F64, TG_F32, TG_F64, TG_I64, TG_U8};
        return tg_cast(t, x, to[digit(&v, is_float(x) ? COUNT(to) : 4)]);
    }
    case MATMUL:
        if (digit(&v, 3) == 0) *name = "matmul of a transpose", x = tg_transpose(t, x, 0, -1);
        *b = x ? mate(r, last, i->b, dtype, x, multiplies) : -1;
        if (*b < 0) return NULL;
        x = tg_matmul(t, x, r->slot[*b]);
        *c = x && digit(&v, 2) ? mate(r, last, i->c, dtype, x, broadcasts) : -1;
        return *c >= 0 ? tg_relu(t, tg_add(t, x, r->slot[*c])) : x;
    case INDEX:
        *b = mate(r, last, i->b, TG_I64, x, NULL);
        *c = mate(r, last, i->c, dtype, x, NULL);
        return *b >= 0 ? indexed(t, x, r->slot[*b], r->slot[*c], v, name) : NULL;
    case NORMAL:
        *b = mate(r, last, i->b, dtype, x, same_shape);
        if (digit(&v, 2))
            return *name = "huber_loss",
                   tg_huber_loss(t, x, r->slot[*b], 0.5, (tg_reduction)digit(&v, 3));
        return *name = "mse_loss", tg_mse_loss(t, x, r->slot[*b], (tg_reduction)digit(&v, 3));
    case DROPOUT: return tg_dropout(t, x, 0.25 * (1 + digit(&v, 3)));
    case DETACH: return tg_detach(t, x);
    case GRAD: {
        *b = mate(r, last, i->b, dtype, x, NULL);
        *c = mate(r, i->a, i->c, TG_F32, x, NULL);
        if (*c < 0) *c = *b;
        tg_tensor *const wrt[] = {r->slot[*b], r->slot[*c]};
        if (!is_float(x) ||
            tg_grad(t, tg_sum(t, tg_mul(t, x, x), TG_ALL_AXES, false), NULL, 2, wrt, gx, true))
            return NULL;
        return gx[0] ? gx[0] : gx[1];
    }
    case KEEP: return tg_keep(t, x);
    case EVAL: {
        tg_tensor *const wanted[] = {x, r->slot[i->b], r->slot[i->c]};
        *b = i->b, *c = i->c;
        tg_eval(t, 1 + digit(&v, 3), wanted);
        succeeded(r, "eval", last + 1);
        return NULL;
    }
    case ITEM: {
        tg_tensor *sum = tg_sum(t, x, TG_ALL_AXES, false);
        const double value = tg_item(t, sum);
        if (succeeded(r, "item", last + 1)) add_bytes(r->record, &value, sizeof value);
        return sum;
    }
    default:
        tg_backward(t, loss_of(r, &i->a, 1, digit(&v, 4)));
        succeeded(r, "backward", last + 1);
        return NULL;
    }
}

static void print_slot(const run *r, int slot, const char *name, int a, int b, int c)
{
    const tg_tensor *x = r->slot[slot];
    char others[40] = "";
    int used = 0;
    if (b >= 0) used = snprintf(others, sizeof others, ", %d", b);
    if (c >= 0) snprintf(others + used, sizeof others - (size_t)used, ", %d", c);
    fprintf(stderr, "  %2d = %s(%d%s): %s %s\n", slot, name, a, others,
            tg_dtype_name(tg_tensor_dtype(x)), tg_shape_text(tg_tensor_shape(x)).text);
}

static void record_graph(run *r)
{
    const graph *c = r->c;
    tg_tape *t = r->t;
    static const char *const from[] = {"parameter", "frozen parameter", "input", "borrowed input"};
    for (int k = 0; k < c->n_leaves; k++) {
        const leaf_kind *l = &c->leaf[k];
        if (r->param[k]) r->leaf[k] = r->param[k];
        else if (l->from == BORROWED)
            r->leaf[k] = tg_input_borrow(t, l->dtype, shape_of(c, k), r->data[k]);
        else r->leaf[k] = tg_input(t, l->dtype, shape_of(c, k), r->data[k]);
        r->slot[k] = r->leaf[k];
        r->computed[k] = false;
        if (r->print)
            fprintf(stderr, "  %2d = %s: %s %s\n", k, from[l->from], tg_dtype_name(l->dtype),
                    tg_shape_text(shape_of(c, k)).text);
    }
    for (int k = 0; k < c->n; k++) {
        const instruction *i = &c->instruction[k];
        const int slot = c->n_leaves + k;
        const char *name = "";
        int b = -1, o = -1;
        tg_tensor *x = i->dropped ? NULL : carry_out(r, i, slot - 1, &b, &o, &name);
        tg_tape_clear_error(t); /* it did not fit */
        const bool fits = x && tg_tensor_count(x) <= c->limit;
        r->slot[slot] = fits ? x : r->slot[i->a];
        r->computed[slot] = fits ? x != r->slot[i->a] || r->computed[i->a] : r->computed[i->a];
        if (r->print && !i->dropped) print_slot(r, slot, fits ? name : "did not fit: ", i->a, b, o);
    }
    r->loss = loss_of(r, c->target, c->n_targets, c->reach);
    for (int k = 0; k < c->n_targets; k++)
        if (c->plain ? r->computed[c->target[k]] : k % 2 == 0) tg_keep(t, r->slot[c->target[k]]);
    if (r->print) {
        fprintf(stderr, "  loss: the sum of%s", c->reach ? " mean(square(0)) and" : "");
        for (int k = 0; k < c->n_targets; k++) fprintf(stderr, " %d", c->target[k]);
        fprintf(stderr, "; tg_backward%s\n", c->twice ? " twice" : "");
    }
    tg_backward(t, r->loss);
    if (!succeeded(r, "backward", -1)) r->loss = NULL;
    if (c->twice && !c->plain) {
        tg_backward(t, loss_of(r, c->target, 1, true));
        succeeded(r, "second backward", -1);
    }
}

/* ---------------------------------------------------------------- comparing ways of running */

/* What a check has to say when bits differ. */
typedef struct verdict {
    bool good;
    char text[400];
} verdict;

static void complain(verdict *v, const char *format, ...)
{
    va_list arguments;
    if (!v->good) return;
    v->good = false;
    va_start(arguments, format);
    vsnprintf(v->text, sizeof v->text, format, arguments);
    va_end(arguments);
}

static void compare(verdict *v, const char *way, const record *want, const record *is)
{
    size_t k = 0, text = 0;
    while (k < want->n && k < is->n && want->bytes[k] == is->bytes[k]) k++;
    if (k == want->n && k == is->n) return;
    /* the text before the difference says whose bytes these are */
    for (size_t i = 0; i + 6 < k; i++)
        if (!memcmp(want->bytes + i, "value ", 6) || !memcmp(want->bytes + i, "gradie", 6))
            text = i;
    complain(v, "%s: byte %zu of %zu (%zu) differs, after \"%s\"", way, k, want->n, is->n,
             want->n ? want->bytes + text : "");
}

/* Of a replay that failed, only the message can be compared: then values are those of the run
 * before. */
static void compare_replay(verdict *v, const char *way, const record *want, const record *is)
{
    record start = *want;
    if (want->failures && is->failures && is->n < start.n) start.n = is->n;
    compare(v, way, &start, is);
}

static tg_tape *tape_of(const tg_allocator *allocator, bool node_by_node)
{
    const tg_tape_options o = {
        .size = sizeof o, .allocator = allocator, .seed = 3, .node_by_node = node_by_node};
    return tg_tape_new(&o);
}

static void start_over(run *r)
{
    tg_tape_reset(r->t);
    tg_tape_set_step(r->t, 5);
    tg_params_drop_grads(r->ps);
    r->record->n = 0;
    r->record->failures = 0;
}

static void record_and_show(run *r, void *const *data)
{
    r->data = data;
    start_over(r);
    record_graph(r);
    show(r);
}

/* The same recording on other data. */
static void replay_and_show(run *r, void *const *data)
{
    tg_params_drop_grads(r->ps);
    tg_tape_set_step(r->t, 4);
    r->record->n = 0;
    r->record->failures = 0;
    for (int k = 0; k < r->c->n_leaves; k++)
        if (!r->param[k]) tg_input_set(r->t, r->leaf[k], data[k]);
    tg_replay(r->t);
    if (succeeded(r, "backward", -1)) show(r);
}

/* Node by node = planned = found in the cache = replayed, on every number of threads, for two sets
 * of data. */
static verdict check(const graph *c, bool print)
{
    verdict v = {.good = true};
    test_memory memory = {0};
    const tg_allocator allocator = test_allocator(&memory);
    record want[N_DATA] = {{0}}, is = {0};
    tg_tensor *param[MAX_LEAVES];
    void *data[N_DATA][MAX_LEAVES];
    tg_params *ps = params_of(c, &allocator, param);
    for (int k = 0; k < N_DATA; k++) fill(c, k, data[k]);
    run r = {.c = c, .ps = ps, .param = param, .t = tape_of(&allocator, true), .print = print};
    for (int k = 0; k < N_DATA; k++) {
        r.record = &want[k];
        record_and_show(&r, data[k]);
        r.print = false;
    }
    const bool healthy = !want[0].failures && !want[1].failures,
               replays = c->plain && !want[0].failures;
    tg_tape_free(r.t);
    r.t = tape_of(&allocator, false);
    r.record = &is;

    record_and_show(&r, data[0]);
    compare(&v, "planned", &want[0], &is);
    if (replays) {
        replay_and_show(&r, data[1]);
        compare_replay(&v, "replayed", &want[1], &is);
    }
    const uint64_t misses = tg_tape_plan_stats(r.t).misses;
    record_and_show(&r, data[1]);
    compare(&v, "recorded again", &want[1], &is);
    for (int k = 1; k <= 3; k++) {
        static const int threads[] = {0, 2, 3, 8};
        char way[40];
        snprintf(way, sizeof way, "with %d threads", threads[k]);
        tg_tape_set_threads(r.t, threads[k]);
        record_and_show(&r, data[(k + 1) % 2]);
        compare(&v, way, &want[(k + 1) % 2], &is);
    }
    if (replays) {
        replay_and_show(&r, data[1]);
        compare_replay(&v, "replayed with 8 threads", &want[1], &is);
    }
    if (healthy && tg_tape_plan_stats(r.t).misses != misses) complain(&v, "planned again");
    tg_tape_free(r.t);
    tg_params_free(ps);
    if (atomic_load(&memory.blocks) || atomic_load(&memory.wrong)) complain(&v, "memory was lost");
    for (int k = 0; k < N_DATA; k++) {
        for (int i = 0; i < c->n_leaves; i++) free(data[k][i]);
        free(want[k].bytes);
    }
    free(is.bytes);
    return v;
}

/* ---------------------------------------------------------------- cutting down */

/* Tries every way of making the graph smaller, over and over, as long as one of them leaves it
 * failing. */
static void shrink(graph *c)
{
    graph less = *c;
    for (bool better = true; better;) {
        better = false;
#define ATTEMPT(...)                     \
    do {                                 \
        less = *c;                       \
        __VA_ARGS__;                     \
        if (!check(&less, false).good) { \
            *c = less;                   \
            better = true;               \
        }                                \
    } while (0)
        for (int k = c->n - 1; k >= 0; k--)
            if (!c->instruction[k].dropped) ATTEMPT(less.instruction[k].dropped = true);
        for (int k = c->n_targets - 1; k >= 0 && c->n_targets > 1; k--)
            ATTEMPT(less.target[k] = less.target[--less.n_targets]);
        for (int k = 0; k < c->n_targets; k++)
            if (c->target[k] >= c->n_leaves && c->instruction[c->target[k] - c->n_leaves].dropped)
                ATTEMPT(less.target[k] = less.instruction[less.target[k] - less.n_leaves].a);
        for (int k = 0; k < c->n; k++) {
            const int a = c->instruction[k].a;
            if (!c->instruction[k].dropped && a >= c->n_leaves &&
                c->instruction[a - c->n_leaves].dropped)
                ATTEMPT(less.instruction[k].a = less.instruction[a - less.n_leaves].a);
        }
        for (int k = 0; k < 3; k++) {
            if (c->size[k] > 1) ATTEMPT(less.size[k] /= 2);
            if (c->size[k] > 1) ATTEMPT(less.size[k]--);
        }
        if (c->twice) ATTEMPT(less.twice = false);
        if (c->reach) ATTEMPT(less.reach = false);
        if (c->style == 0 || c->style == 2) ATTEMPT(less.style = 3);
#undef ATTEMPT
    }
}

static long long setting(const char *name, long long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atoll(text) : otherwise;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { PARTS = 4 }; /* that the test runner can run side by side */

ParameterizedTestParameters(fuzz, every_way_of_running_a_random_graph_gives_the_same_bits)
{
    static int parts[PARTS] = {0, 1, 2, 3};
    return cr_make_param_array(int, parts, PARTS);
}

/* TG_FUZZ_SEED: the first seed; TG_FUZZ_GRAPHS: how many; TG_FUZZ_PRINT: each seed before it is
 * tried, for graphs that end the process. */
ParameterizedTest(int *part, fuzz, every_way_of_running_a_random_graph_gives_the_same_bits,
                  .timeout = 600)
{
    const long long first = setting("TG_FUZZ_SEED", 1),
                    graphs = setting("TG_FUZZ_GRAPHS", SANITIZED ? 1000 : 10000);
    for (long long seed = first + *part; seed < first + graphs; seed += PARTS) {
        graph c;
        make(&c, (uint64_t)seed);
        if (setting("TG_FUZZ_PRINT", 0)) fprintf(stderr, "seed %lld\n", seed);
        if (check(&c, false).good) continue;
        shrink(&c);
        fprintf(stderr, "TG_FUZZ_SEED=%lld, cut down, sizes %lld, %lld, %lld:\n", seed,
                (long long)c.size[0], (long long)c.size[1], (long long)c.size[2]);
        const verdict v = check(&c, true);
        cr_assert(false, "TG_FUZZ_SEED=%lld: %s", seed, v.text);
    }
}
