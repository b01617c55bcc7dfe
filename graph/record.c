/* Recording: appending nodes, or finding that they stand there already from the previous
 * recording. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base.h"
#include "tape.h"

/* ---------------------------------------------------------------- types */

static uint64_t type_hash(const tg_type *type)
{
    uint64_t h = (uint64_t)type->dtype * 31 + (uint64_t)type->shape.ndim;
    for (int k = 0; k < type->shape.ndim; k++)
        h = (h ^ (uint64_t)type->shape.dim[k]) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

static bool type_equal(const tg_type *a, const tg_type *b)
{
    return a->dtype == b->dtype && tg_shape_equal(a->shape, b->shape);
}

static bool rehash_types(tg_tape *t)
{
    size_t n = t->types.bucket_capacity ? 2 * t->types.bucket_capacity : 64;
    uint32_t *bucket = tg_allocate(&t->allocator, n * sizeof *bucket);
    if (!bucket) return false;
    memset(bucket, 0, n * sizeof *bucket);
    for (size_t k = 0; k < t->types.n; k++) {
        uint32_t *head = &bucket[type_hash(&t->types.entry[k].type) & (n - 1)];
        t->types.entry[k].next = *head;
        *head = (uint32_t)k + 1;
    }
    tg_release(&t->allocator, t->types.bucket, t->types.bucket_capacity * sizeof *bucket);
    t->types.bucket = bucket;
    t->types.bucket_capacity = n;
    return true;
}

static bool find_type(const tg_tape *t, const tg_type *type, uint32_t *index)
{
    if (!t->types.bucket_capacity) return false;
    for (uint32_t k = t->types.bucket[type_hash(type) & (t->types.bucket_capacity - 1)]; k;
         k = t->types.entry[k - 1].next)
        if (type_equal(&t->types.entry[k - 1].type, type)) {
            *index = k - 1;
            return true;
        }
    return false;
}

/* Equal types get equal numbers, and equal shapes equal shape numbers, for as long as the tape's
 * plans live. */
static bool intern_type(tg_tape *t, const tg_type *type, uint32_t *index)
{
    if (find_type(t, type, index)) return true;
    if (t->types.n >= t->types.bucket_capacity && !rehash_types(t)) return false;
    if (!tg_grow(&t->allocator, (void **)&t->types.entry, &t->types.entry_capacity, t->types.n + 1,
                 sizeof *t->types.entry))
        return false;
    uint32_t shape = (uint32_t)t->types.n;
    for (int d = 0; d < TG_DTYPE_COUNT; d++) {
        tg_type other = {(tg_dtype)d, type->shape};
        uint32_t k;
        if (find_type(t, &other, &k)) {
            shape = t->types.entry[k].shape;
            break;
        }
    }
    uint32_t *head = &t->types.bucket[type_hash(type) & (t->types.bucket_capacity - 1)];
    t->types.entry[t->types.n] = (tg_type_entry){
        .type = *type, .count = tg_shape_count(type->shape), .shape = shape, .next = *head};
    *index = (uint32_t)t->types.n++;
    *head = *index + 1;
    return true;
}

/* ---------------------------------------------------------------- errors */

tg_status tg_tape_fail(tg_tape *t, const char *where, const char *op, tg_status status,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_status stands = tg_error_setv(&t->error, where, op, status, format, arguments);
    va_end(arguments);
    return stands;
}

tg_tensor *tg_fail_at(tg_tape *t, const char *where, tg_status status, const char *format, ...)
{
    if (t) {
        va_list arguments;
        va_start(arguments, format);
        tg_error_setv(&t->error, where, NULL, status, format, arguments);
        va_end(arguments);
    }
    return NULL;
}

typedef struct recording {
    tg_tape *t;
    const char *where;
    const tg_op *op;
} recording;

bool tg_rule_fail(tg_rule *r, tg_status status, const char *format, ...)
{
    recording *at = r->record;
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&at->t->error, at->where, at->op->name, status, format, arguments);
    va_end(arguments);
    return false;
}

static tg_tensor *out_of_memory(const recording *at)
{
    tg_tape_fail(at->t, at->where, at->op->name, TG_ENOMEM, "no memory for another node");
    return NULL;
}

/* ---------------------------------------------------------------- one thread at a time */

bool tg_enter_careful(tg_tape *t)
{
    const uintptr_t me =
        (uintptr_t)&errno; /* each thread has one of its own: it names the thread */
    uintptr_t nobody = 0;
    if (atomic_load(&t->careful.inside) != me &&
        !atomic_compare_exchange_strong(&t->careful.inside, &nobody, me)) {
        atomic_store(&t->careful.met, true);
        return false;
    }
    t->careful.depth++;
    if (!atomic_load(&t->careful.met)) return true;
    tg_leave_careful(t);
    return false;
}

void tg_leave_careful(tg_tape *t)
{
    if (--t->careful.depth == 0) atomic_store(&t->careful.inside, 0);
}

/* ---------------------------------------------------------------- appending */

static bool grow_tape(tg_tape *t)
{
    const tg_allocator *a = &t->allocator;
    if (t->recorded.n >= UINT32_MAX - 1 ||
        !tg_grow(a, (void **)&t->recorded.node, &t->recorded.node_capacity,
                 (size_t)t->recorded.n + 1, sizeof *t->recorded.node) ||
        !tg_grow(a, (void **)&t->recorded.leaf_of, &t->recorded.leaf_of_capacity,
                 (size_t)t->recorded.n + 1, sizeof *t->recorded.leaf_of))
        return false;
    if (t->recorded.n / TG_SLOTS >= t->handles.n_chunks) {
        if (!tg_grow(a, (void **)&t->handles.chunk, &t->handles.chunk_capacity,
                     t->handles.n_chunks + 1, sizeof *t->handles.chunk))
            return false;
        tg_slot *chunk = tg_allocate(a, TG_SLOTS * sizeof *chunk);
        if (!chunk) return false;
        for (uint32_t k = 0; k < TG_SLOTS; k++)
            chunk[k] = (tg_slot){.tape = t, .id = (uint32_t)t->handles.n_chunks * TG_SLOTS + k};
        t->handles.chunk[t->handles.n_chunks++] = chunk;
    }
    return true;
}

static bool store_attrs(tg_tape *t, int n, const int64_t *attrs, uint32_t *offset)
{
    *offset = 0;
    if (n == 0) return true;
    size_t need = t->recorded.n_attrs + (size_t)n + 1;
    if (need > UINT32_MAX || !tg_grow(&t->allocator, (void **)&t->recorded.attrs,
                                      &t->recorded.attrs_capacity, need, sizeof *t->recorded.attrs))
        return false;
    *offset = (uint32_t)t->recorded.n_attrs;
    t->recorded.attrs[t->recorded.n_attrs] = n;
    memcpy(&t->recorded.attrs[t->recorded.n_attrs + 1], attrs, (size_t)n * sizeof *attrs);
    t->recorded.n_attrs = need;
    return true;
}

static bool store_inputs(tg_tape *t, tg_node *v, uint32_t n, const uint32_t *in)
{
    v->n_in = n;
    if (n <= 3) {
        for (uint32_t k = 0; k < n; k++) v->in[k] = in[k];
        return true;
    }
    if (t->recorded.n_more + n > UINT32_MAX ||
        !tg_grow(&t->allocator, (void **)&t->recorded.more, &t->recorded.more_capacity,
                 t->recorded.n_more + n, sizeof *t->recorded.more))
        return false;
    v->in[0] = (uint32_t)t->recorded.n_more;
    memcpy(&t->recorded.more[t->recorded.n_more], in, n * sizeof *in);
    t->recorded.n_more += n;
    return true;
}

/* Makes the node that stands at t->recorded.n part of the recording. */
static inline tg_tensor *take_node(tg_tape *t, const char *where)
{
    tg_node_slot(t, t->recorded.n)->where[t->recorded.epoch % 2] = where;
    return tg_handle(t, t->recorded.n++);
}

static tg_tensor *append_typed(const recording *at, uint32_t n_in, const uint32_t *in, int n_attrs,
                               const int64_t *attrs, uint32_t type)
{
    tg_tape *t = at->t;
    t->recorded.old = 0;
    tg_node v = {.op = at->op, .type = type};
    if (!grow_tape(t) || !store_attrs(t, n_attrs, attrs, &v.attrs) ||
        !store_inputs(t, &v, n_in, in))
        return out_of_memory(at);
    t->recorded.node[t->recorded.n] = v;
    return take_node(t, at->where);
}

static tg_tensor *append(const recording *at, uint32_t n_in, const uint32_t *in, int n_attrs,
                         const int64_t *attrs, const tg_type *type)
{
    tg_tape *t = at->t;
    uint32_t index;
    if (t->forbid_f32 && type->dtype == TG_F32) {
        tg_tape_fail(t, at->where, at->op->name, TG_EDTYPE,
                     "f32 reached in a gradient check, which computes in f64");
        return NULL;
    }
    return intern_type(t, type, &index) ? append_typed(at, n_in, in, n_attrs, attrs, index)
                                        : out_of_memory(at);
}

/* ---------------------------------------------------------------- leaves */

static uint64_t pointer_hash(const void *p)
{
    uint64_t h = (uint64_t)(uintptr_t)p * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static tg_param_use *find_use(tg_param_use *use, size_t capacity, const tg_param *p, uint64_t epoch)
{
    size_t k = pointer_hash(p) & (capacity - 1);
    while (use[k].epoch == epoch && use[k].param != p) k = (k + 1) & (capacity - 1);
    return &use[k];
}

static bool grow_uses(tg_tape *t)
{
    size_t capacity = t->recorded.use_capacity ? 2 * t->recorded.use_capacity : 64;
    tg_param_use *use = tg_allocate(&t->allocator, capacity * sizeof *use);
    if (!use) return false;
    memset(use, 0, capacity * sizeof *use);
    for (size_t k = 0; k < t->recorded.use_capacity; k++)
        if (t->recorded.use[k].epoch == t->recorded.epoch)
            *find_use(use, capacity, t->recorded.use[k].param, t->recorded.epoch) =
                t->recorded.use[k];
    tg_release(&t->allocator, t->recorded.use, t->recorded.use_capacity * sizeof *use);
    t->recorded.use = use;
    t->recorded.use_capacity = capacity;
    return true;
}

static tg_leaf *append_leaf(const recording *at, const tg_type *type, tg_tensor **handle)
{
    tg_tape *t = at->t;
    uint32_t node = t->recorded.n;
    if (!tg_grow(&t->allocator, (void **)&t->recorded.leaf, &t->recorded.leaf_capacity,
                 t->recorded.n_leaves + 1, sizeof *t->recorded.leaf)) {
        out_of_memory(at);
        return NULL;
    }
    const tg_node *v = &t->recorded.node[node];
    if (node < t->recorded.old && v->op == at->op &&
        type_equal(&t->types.entry[v->type].type, type))
        *handle = take_node(t, at->where);
    else if (!(*handle = append(at, 0, NULL, 0, NULL, type))) return NULL;
    t->recorded.leaf_of[node] = (uint32_t)t->recorded.n_leaves;
    tg_leaf *leaf = &t->recorded.leaf[t->recorded.n_leaves++];
    *leaf = (tg_leaf){.node = node};
    return leaf;
}

/* The parameter that t reads for p. */
static tg_param *substituted(const tg_tape *t, tg_param *p)
{
    const bool other = t->substitute_from && p->owner == t->substitute_from &&
                       p->slot.id < t->substitute_to->count;
    return other ? t->substitute_to->list[p->slot.id] : p;
}

tg_dtype tg_dtype_on(const tg_tape *t, const tg_tensor *x)
{
    tg_param *p = tg_param_of(x);
    return p ? substituted(t, p)->dtype : tg_tensor_dtype(x);
}

bool tg_param_is_stale(const tg_tape *t, tg_param *p)
{
    p = substituted(t, p);
    if (t->reread || !t->recorded.use_capacity) return t->reread;
    const tg_param_use *use =
        find_use(t->recorded.use, t->recorded.use_capacity, p, t->recorded.epoch);
    return use->epoch == t->recorded.epoch &&
           (use->version != p->version || use->trainable != p->trainable);
}

static bool resolve_param(tg_tape *t, const char *where, tg_param *p, uint32_t *node)
{
    p = substituted(t, p);
    const recording at = {t, where, p->trainable ? &tg_op_param : &tg_op_frozen_param};
    if (2 * (t->recorded.n_uses + 1) > t->recorded.use_capacity && !grow_uses(t)) {
        out_of_memory(&at);
        return false;
    }
    tg_param_use *use = find_use(t->recorded.use, t->recorded.use_capacity, p, t->recorded.epoch);
    bool known = use->epoch == t->recorded.epoch;
    if (known && use->version == p->version && use->trainable == p->trainable) {
        *node = use->node;
        return true;
    }
    t->reread = t->reread || known;
    tg_type type = {p->dtype, p->shape};
    tg_tensor *handle;
    tg_leaf *leaf = append_leaf(&at, &type, &handle);
    if (!leaf) return false;
    leaf->param = p;
    leaf->version = p->version;
    t->recorded.n_uses += !known;
    *node = tg_slot_of(handle)->id;
    *use = (tg_param_use){p, p->version, t->recorded.epoch, *node, p->trainable};
    return true;
}

static bool fail_stale(tg_tape *t, const char *where, const char *what, const tg_tensor *x)
{
    const uint64_t before = t->recorded.epoch - 1;
    const tg_slot *slot = tg_slot_of(x);
    const bool previous = slot->id != UINT32_MAX && tg_generation_of(x) == before % TG_GENERATIONS;
    const char *place = previous ? slot->where[before % 2] : NULL;
    tg_tape_fail(t, where, what, TG_ETAPE,
                 "an operand%s%s belongs to %s of this tape: tg_tape_reset drops tensors, record "
                 "it again",
                 place ? " recorded at " : "", place ? place : "",
                 previous ? "the previous recording" : "an earlier recording");
    return false;
}

bool tg_belongs(tg_tape *t, const char *where, const char *what, const tg_tensor *x)
{
    if (x && (tg_is_current(t, x) || tg_param_of(x))) return true;
    if (x && tg_slot_of(x)->tape == t) return fail_stale(t, where, what, x);
    if (x) tg_tape_fail(t, where, what, TG_ETAPE, "an operand belongs to another tape");
    else tg_tape_fail(t, where, what, TG_ENULL, "an operand is NULL");
    return false;
}

bool tg_resolve(tg_tape *t, const char *where, const char *what, tg_tensor *x, uint32_t *node)
{
    if (x && tg_is_current(t, x)) {
        *node = tg_slot_of(x)->id;
        return true;
    }
    tg_param *p = tg_param_of(x);
    return p ? resolve_param(t, where, p, node) : tg_belongs(t, where, what, x);
}

static tg_tensor *record_input(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape,
                               const void *data, bool borrow)
{
    if (t->error.status) return NULL;
    /* A plan that is found again is run without the vjps, and they must leave no data behind. */
    if (t->deriving)
        return tg_tape_fail(t, where, "input", TG_ESTATE, "a vjp can't make an input"), NULL;
    const recording at = {t, where, &tg_op_input};
    const tg_type type = {dtype, shape};
    const tg_node *before = &t->recorded.node[t->recorded.n];
    bool same = t->recorded.n < t->recorded.old && before->op == &tg_op_input &&
                type_equal(&t->types.entry[before->type].type, &type);
    size_t size = tg_dtype_size(dtype);
    int64_t count = same ? t->types.entry[before->type].count : tg_shape_count(shape);
    if (size == 0)
        return tg_tape_fail(t, where, "input", TG_EDTYPE, "no such dtype: %d", (int)dtype), NULL;
    if (count < 0)
        return tg_tape_fail(t, where, "input", TG_ESHAPE, "%s", tg_shape_refusal(shape).text), NULL;
    if (!data && count > 0)
        return tg_tape_fail(t, where, "input", TG_ENULL, "the data is NULL"), NULL;
    tg_tensor *handle;
    tg_leaf *leaf = append_leaf(&at, &type, &handle);
    if (!leaf) return NULL;
    leaf->bytes = (size_t)count * size;
    leaf->borrowed = borrow;
    leaf->data = data;
    if (!borrow) {
        void *copy = tg_arena_take(&t->storage, leaf->bytes);
        if (!copy) return out_of_memory(&at);
        if (leaf->bytes) memcpy(copy, data, leaf->bytes);
        leaf->data = copy;
    }
    return handle;
}

tg_tensor *tg_input_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape,
                       const void *data)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, record_input(t, where, dtype, shape, data, false));
}

tg_tensor *tg_input_borrow_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape,
                              const void *data)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, record_input(t, where, dtype, shape, data, true));
}

static tg_tensor *record_constant(tg_tape *t, const char *where, tg_dtype dtype, double value)
{
    if (t->error.status) return NULL;
    if (tg_dtype_size(dtype) == 0)
        return tg_tape_fail(t, where, "constant", TG_EDTYPE, "no such dtype: %d", (int)dtype), NULL;
    if ((dtype == TG_I64 && !(value >= -0x1p63 && value < 0x1p63 && value == floor(value))) ||
        (dtype == TG_U8 && !(value >= 0 && value <= 255 && value == floor(value))))
        return tg_tape_fail(t, where, "constant", TG_EVALUE, "%g can't be represented in %s", value,
                            tg_dtype_name(dtype)),
               NULL;
    const recording at = {t, where, &tg_op_constant};
    const tg_type type = {dtype, {.ndim = 0}};
    tg_tensor *handle;
    tg_leaf *leaf = append_leaf(&at, &type, &handle);
    if (!leaf) return NULL;
    leaf->value = value;
    return handle;
}

tg_tensor *tg_constant_at(tg_tape *t, const char *where, tg_dtype dtype, double value)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, record_constant(t, where, dtype, value));
}

tg_tensor *tg_constant_like_at(tg_tape *t, const char *where, const tg_tensor *x, double value)
{
    if (!t || t->error.status) return NULL;
    if (!tg_belongs(t, where, "constant_like", x)) return NULL;
    return tg_constant_at(t, where, tg_dtype_on(t, x), value);
}

static tg_status set_input(tg_tape *t, const char *where, tg_tensor *x, const void *data)
{
    const char *what = "input_set";
    uint32_t node;
    if (t->error.status) return t->error.status;
    if (x && tg_param_of(x))
        return tg_tape_fail(t, where, what, TG_EVALUE, "parameter '%s' is not an input",
                            tg_param_of(x)->name);
    if (!tg_resolve(t, where, what, x, &node)) return t->error.status;
    if (t->recorded.node[node].op != &tg_op_input)
        return tg_tape_fail(t, where, what, TG_EVALUE, "the tensor is not an input");
    tg_leaf *leaf = &t->recorded.leaf[t->recorded.leaf_of[node]];
    if (!data && leaf->bytes) return tg_tape_fail(t, where, what, TG_ENULL, "the data is NULL");
    t->renewed = t->asked.n_events > 0;
    if (leaf->borrowed) leaf->data = data;
    else if (leaf->bytes) memmove((void *)(uintptr_t)leaf->data, data, leaf->bytes);
    return TG_OK;
}

tg_status tg_input_set_at(tg_tape *t, const char *where, tg_tensor *x, const void *data)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, set_input(t, where, x, data));
}

/* ---------------------------------------------------------------- op calls */

static bool check_elementwise(const recording *at, tg_rule *r)
{
    r->y = r->x[r->n_in - 1];
    for (int k = 0; k < r->n_in; k++) {
        tg_shape y = tg_shape_broadcast(r->y.shape, r->x[k].shape);
        if (y.ndim < 0)
            return tg_rule_fail(r, TG_ESHAPE,
                                tg_shape_too_large(y) ? "%s and %s broadcast to more than 2^57 "
                                                        "elements, beyond any memory"
                                                      : "shapes don't broadcast: %s and %s",
                                tg_shape_text(r->x[k].shape).text, tg_shape_text(r->y.shape).text);
        r->y.shape = y;
    }
    if (!tg_span_of(at->op->span, r->y.dtype, TG_BUILD_BASE))
        return tg_rule_fail(r, TG_EDTYPE, "not defined for %s", tg_dtype_name(r->y.dtype));
    if (at->op->rule) return at->op->rule(r);
    for (int k = 0; k < r->n_in; k++)
        if (r->x[k].dtype != r->y.dtype)
            return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s",
                                tg_dtype_name(r->x[k].dtype), tg_dtype_name(r->y.dtype));
    return true;
}

static bool check(const recording *at, tg_rule *r)
{
    if (at->op->span) return check_elementwise(at, r);
    if (at->op->fold && !tg_fold_of(at->op->fold, r->x[0].dtype, TG_BUILD_BASE))
        return tg_rule_fail(r, TG_EDTYPE, "not defined for %s", tg_dtype_name(r->x[0].dtype));
    if (!at->op->rule) return tg_rule_fail(r, TG_EVALUE, "the op has no shape rule");
    if (!at->op->rule(r)) return false;
    if (tg_shape_count(r->y.shape) < 0)
        return tg_rule_fail(r, TG_ESHAPE, "the result would have %s",
                            tg_shape_refusal(r->y.shape).text);
    return true;
}

/* Elementwise ops on operands of one type, the usual case, need no rule: the result is of that
 * type. */
static bool has_operands_type(const recording *at, uint32_t n_in, const uint32_t *in)
{
    const tg_tape *t = at->t;
    const uint32_t type = t->recorded.node[in[0]].type;
    for (uint32_t k = 1; k < n_in; k++)
        if (t->recorded.node[in[k]].type != type) return false;
    return at->op->span && !at->op->rule &&
           tg_span_of(at->op->span, t->types.entry[type].type.dtype, TG_BUILD_BASE);
}

static tg_tensor *record_new(const recording *at, uint32_t n_in, const uint32_t *in, int n_attrs,
                             const int64_t *attrs)
{
    tg_tape *t = at->t;
    if (has_operands_type(at, n_in, in))
        return append_typed(at, n_in, in, n_attrs, attrs, t->recorded.node[in[0]].type);
    tg_type few[4], *x = few;
    if (n_in > 4) {
        x = tg_arena_take(&t->storage, n_in * sizeof *x);
        if (!x) return out_of_memory(at);
    }
    for (uint32_t k = 0; k < n_in; k++) x[k] = tg_node_type(t, in[k])->type;
    tg_rule r = {.n_in = (int)n_in,
                 .n_attrs = n_attrs,
                 .x = x,
                 .attrs = attrs,
                 .record = (void *)(uintptr_t)at};
    if (!check(at, &r)) {
        tg_tape_fail(t, at->where, at->op->name, TG_ESHAPE, "operands refused");
        return NULL;
    }
    return append(at, n_in, in, n_attrs, attrs, &r.y);
}

/* Loops, because most nodes have one or two operands and few attributes: calling memcmp would cost
 * more than comparing. */
static bool same_inputs(const tg_tape *t, const tg_node *v, uint32_t n, const uint32_t *in)
{
    const uint32_t *before = tg_node_inputs(t, v);
    for (uint32_t k = 0; k < n; k++)
        if (before[k] != in[k]) return false;
    return true;
}

static bool same_attrs(const tg_tape *t, const tg_node *v, int n, const int64_t *attrs)
{
    if (tg_node_n_attrs(t, v) != n) return false;
    const int64_t *before = tg_node_attrs(t, v);
    for (int k = 0; k < n; k++)
        if (before[k] != attrs[k]) return false;
    return true;
}

/* Fails for an op that a user put together wrongly, so that nothing behind it has to ask again. */
static bool check_op(const recording *at, int n_in, tg_tensor *const *x, int n_attrs,
                     const int64_t *attrs)
{
    const tg_op *op = at->op;
    const char *wrong = NULL;
    if ((op->span != NULL) + (op->fold != NULL) + (op->view != NULL) + (op->kernel != NULL) != 1)
        wrong = "exactly one of span, fold, view and kernel must be given";
    else if (n_in < 1 || (op->n_in >= 0 && n_in != op->n_in) || (op->fold && n_in != 1) ||
             (op->span && n_in > 4))
        wrong = "wrong number of operands";
    else if (n_attrs < 0 || (n_attrs && !attrs) || (op->fold && n_attrs != 3) ||
             (op->flags & TG_DRAWS && n_attrs < 1))
        wrong = "wrong number of attributes";
    else if (!x) wrong = "the operands are NULL";
    if (wrong) tg_tape_fail(at->t, at->where, op->name, !x ? TG_ENULL : TG_EVALUE, "%s", wrong);
    return !wrong;
}

/* The op in today's length; NULL, with the tape in error, when its size is impossible. */
static const tg_op *widen(tg_tape *t, const char *where, const tg_op *op)
{
    if (op->size < offsetof(tg_op, flags) || op->size > sizeof(tg_op)) {
        tg_tape_fail(t, where, op->name, TG_EVALUE, "the op's size field is not sizeof(tg_op)");
        return NULL;
    }
    for (const tg_widened *w = t->widened; w; w = w->next)
        if (op == &w->op || (w->source == op && memcmp(&w->op, op, op->size) == 0)) return &w->op;
    tg_widened *w = tg_allocate(&t->allocator, sizeof *w);
    if (!w) return tg_tape_fail(t, where, op->name, TG_ENOMEM, "no memory"), NULL;
    *w = (tg_widened){.next = t->widened, .source = op};
    memcpy(&w->op, op, op->size);
    t->widened = w;
    return &w->op;
}

/* Whether operand x is node v of this recording, for the usual case: a tensor of the tape, or a
 * parameter that has not changed since. */
static inline bool is_node(const tg_tape *t, const tg_tensor *x, uint32_t v)
{
    const tg_slot *slot = tg_slot_of(x);
    if (slot->tape == t) return slot->id == v && tg_generation_of(x) == tg_generation(t);
    if (slot->tape || t->substitute_from ||
        (t->recorded.node[v].op != &tg_op_param && t->recorded.node[v].op != &tg_op_frozen_param))
        return false;
    const tg_param *p = tg_param_of(x);
    const tg_leaf *leaf = &t->recorded.leaf[t->recorded.leaf_of[v]];
    return v < t->recorded.n && leaf->param == p && leaf->version == p->version &&
           p->trainable == (t->recorded.node[v].op == &tg_op_param);
}

/* Whether the same call was recorded at this place the last time. */
static inline bool is_repeated(const tg_tape *t, const tg_op *op, int n_in, tg_tensor *const *x,
                               int n_attrs, const int64_t *attrs)
{
    const tg_node *v = &t->recorded.node[t->recorded.n];
    if (t->recorded.n >= t->recorded.old || v->op != op || v->n_in != (uint32_t)n_in ||
        t->error.status)
        return false;
    const uint32_t *in = tg_node_inputs(t, v);
    for (int k = 0; k < n_in; k++)
        if (!x[k] || !is_node(t, x[k], in[k])) return false;
    return same_attrs(t, v, n_attrs, attrs);
}

static tg_tensor *repeat(tg_tape *t, const char *where)
{
    const tg_node *v = &t->recorded.node[t->recorded.n];
    if (v->attrs) t->recorded.n_attrs = v->attrs + 1 + (size_t)t->recorded.attrs[v->attrs];
    if (v->n_in > 3) t->recorded.n_more = v->in[0] + v->n_in;
    return take_node(t, where);
}

static tg_tensor *apply(tg_tape *t, const char *where, const tg_op *op, int n_in,
                        tg_tensor *const *x, int n_attrs, const int64_t *attrs)
{
    if (t->error.status) return NULL;
    if (!op) return tg_tape_fail(t, where, NULL, TG_ENULL, "the op is NULL"), NULL;
    if (op->size != sizeof(tg_op)) op = widen(t, where, op);
    if (!op) return NULL;
    const recording at = {t, where, op};
    if (!check_op(&at, n_in, x, n_attrs, attrs)) return NULL;
    uint32_t few[8], *in = few, n = (uint32_t)n_in;
    if (n > 8) {
        if (!tg_grow(&t->allocator, (void **)&t->planning.stack, &t->planning.stack_capacity, n,
                     sizeof *t->planning.stack))
            return out_of_memory(&at);
        in = t->planning.stack;
    }
    for (uint32_t k = 0; k < n; k++)
        if (!tg_resolve(t, where, op->name, x[k], &in[k])) return NULL;
    const tg_node *v = &t->recorded.node[t->recorded.n];
    if (t->recorded.n < t->recorded.old && v->op == op && v->n_in == n &&
        same_inputs(t, v, n, in) && same_attrs(t, v, n_attrs, attrs))
        return repeat(t, where);
    return record_new(&at, n, in, n_attrs, attrs);
}

tg_tensor *tg_apply_at(tg_tape *t, const char *where, const tg_op *op, int n_in,
                       tg_tensor *const *x, int n_attrs, const int64_t *attrs)
{
    if (t && x && is_repeated(t, op, n_in, x, n_attrs, attrs)) return repeat(t, where);
    TG_ALONE(tg_tensor *, t, NULL, NULL, apply(t, where, op, n_in, x, n_attrs, attrs));
}

/* The node at this place of the last recording, if it is of this op and has no attributes; most
 * are of one operand or two, whose comparison is spelt out. */
static inline const tg_node *same_op(const tg_tape *t, const tg_op *op, uint32_t n_in)
{
    if (!t || t->recorded.n >= t->recorded.old) return NULL;
    const tg_node *v = &t->recorded.node[t->recorded.n];
    return v->op == op && v->n_in == n_in && !v->attrs && !t->error.status ? v : NULL;
}

tg_tensor *tg_apply_1(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x)
{
    const tg_node *v = same_op(t, op, 1);
    if (v && x && is_node(t, x, v->in[0])) return take_node(t, where);
    return tg_apply_at(t, where, op, 1, &x, 0, NULL);
}

tg_tensor *tg_apply_2(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a, tg_tensor *b)
{
    const tg_node *v = same_op(t, op, 2);
    if (v && a && b && is_node(t, a, v->in[0]) && is_node(t, b, v->in[1]))
        return take_node(t, where);
    return tg_apply_at(t, where, op, 2, ((tg_tensor *[]){a, b}), 0, NULL);
}

tg_tensor *tg_apply_3(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a, tg_tensor *b,
                      tg_tensor *c)
{
    return tg_apply_at(t, where, op, 3, ((tg_tensor *[]){a, b, c}), 0, NULL);
}

int64_t tg_draw_ordinal(tg_tape *t) { return t ? t->recorded.draws++ : 0; }

/* ---------------------------------------------------------------- derivatives' nodes */

uint32_t tg_derived_from(const tg_tape *t, uint32_t node)
{
    size_t low = 0, high = t->recorded.n_derivations;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (t->recorded.derivation[middle].first <= node) low = middle + 1;
        else high = middle;
    }
    return low ? t->recorded.derivation[low - 1].of : 0;
}

bool tg_derive(tg_tape *t, uint32_t of)
{
    tg_derivation *last =
        t->recorded.n_derivations ? &t->recorded.derivation[t->recorded.n_derivations - 1] : NULL;
    if (last && last->first == t->recorded.n) {
        last->of = of;
        return true;
    }
    if (!tg_grow(&t->allocator, (void **)&t->recorded.derivation, &t->recorded.derivation_capacity,
                 t->recorded.n_derivations + 1, sizeof *t->recorded.derivation))
        return false;
    t->recorded.derivation[t->recorded.n_derivations++] = (tg_derivation){t->recorded.n, of};
    return true;
}

tg_text tg_node_text(const tg_tape *t, uint32_t node)
{
    tg_text name;
    const char *of = "";
    for (uint32_t from; (from = tg_derived_from(t, node)) != 0; node = from - 1)
        of = "gradient of ";
    snprintf(name.text, sizeof name.text, "%s%s", of, t->recorded.node[node].op->name);
    return name;
}

/* ---------------------------------------------------------------- cutting back */

tg_mark tg_tape_mark(const tg_tape *t)
{
    return (tg_mark){t->recorded.n,        t->recorded.n_more,        t->recorded.n_attrs,
                     t->recorded.n_leaves, t->recorded.n_derivations, t->recorded.draws};
}

void tg_tape_cut(tg_tape *t, tg_mark mark)
{
    t->recorded.n = mark.n;
    t->recorded.n_more = mark.n_more;
    t->recorded.n_attrs = mark.n_attrs;
    t->recorded.n_leaves = mark.n_leaves;
    t->recorded.n_derivations = mark.n_derivations;
    if (t->recorded.n_derivations &&
        t->recorded.derivation[t->recorded.n_derivations - 1].first == t->recorded.n)
        t->recorded.derivation[t->recorded.n_derivations - 1].of = 0;
    t->recorded.draws = mark.draws;
    t->recorded.old = 0;
}
