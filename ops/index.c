/* gather, index_select, embedding, scatter_add. Gradients of repeated indices add up in the order
 * of the source, whatever the threads: work is cut so that each destination belongs to one part. */
#include "folds.h"
#include <string.h>

#ifndef TG_SAMPLES

/* carried: index */
static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t at_least_one(int64_t a) { return a < 1 ? 1 : a; }

/* Some 32768 elements a part, at most 16 parts, each with one or more of `units`. */
static int64_t parts_of(int64_t elements, int64_t units)
{
    return at_least_one(lowest(lowest(elements / 32768, 16), units));
}

static void report(const tg_call *c, int64_t index, int64_t position, int axis, int64_t size)
{
    tg_call_fail(c, position, TG_EINDEX,
                 "index %lld at position %lld is outside axis %d of size %lld", (long long)index,
                 (long long)position, axis, (long long)size);
}

static inline bool in_range(const tg_call *c, int64_t index, int64_t position, int axis,
                            int64_t size)
{
    if (index >= 0 && index < size) return true;
    report(c, index, position, axis, size);
    return false;
}

/* Slices are often of one element or a few: then a call of memcpy costs several times what it
 * copies. Two moves of a fixed size, which may overlap, copy what is between it and its double. */
static inline void copy_slice(char *to, const char *from, int64_t bytes)
{
#define TWO(size) memcpy(to, from, size), memcpy(to + bytes - (size), from + bytes - (size), size)
    if (bytes > 64) memcpy(to, from, (size_t)bytes);
    else if (bytes >= 32) TWO(32);
    else if (bytes >= 16) TWO(16);
    else if (bytes >= 8) TWO(8);
    else if (bytes >= 4) TWO(4);
    else
        for (int64_t i = 0; i < bytes; i++) to[i] = from[i];
#undef TWO
}
/* carried so far */

/* An axis attribute as the shape rules see it, and the index's dtype. */
static bool index_fits(tg_rule *r, tg_type index)
{
    if (index.dtype != TG_I64)
        return tg_rule_fail(r, TG_EDTYPE, "an index is i64, not %s", tg_dtype_name(index.dtype));
    return true;
}

/* ---------------------------------------------------------------- gather and scatter_add
 *
 * Both walk the index in row-major order; `far` is the operand that is indexed along the axis (x of
 * gather, y of scatter_add), `near` the other. */

/* carried: index */
typedef struct walk {
    const tg_array *index, *near, *far;
    int axis, cut; /* the dimension along which parts are cut */
    int64_t parts;
    bool add;
} walk;

/* What one step does in one dimension of the walk: how far it leads in index, near and far, and in
 * the numbering of the index's elements, by which errors name them. */
typedef struct stride {
    int64_t count, index, near, far, position;
} stride;

/* A row of the walk: where it begins, and its steps. */
typedef struct index_row {
    const int64_t *index;
    void *near, *far;
    int64_t position;
    stride step;
} index_row;

/* The dimensions of a part, the innermost first; neighbours are one where a step of the outer is
 * as long as all steps of the inner. `at` is moved to the part's beginning. */
static int strides_of(const walk *w, int64_t part, stride *s, stride *at)
{
    int n = 0;
    int64_t position = 1;
    for (int d = w->index->shape.ndim - 1; d >= 0; d--) {
        const int64_t size = w->index->shape.dim[d];
        stride now = {size, w->index->stride[d], w->near->stride[d],
                      d == w->axis ? 0 : w->far->stride[d], position};
        position *= size;
        if (d == w->cut) {
            const int64_t first = size * part / w->parts;
            now.count = size * (part + 1) / w->parts - first;
            at->index += first * now.index;
            at->near += first * now.near;
            at->far += first * now.far;
            at->position += first * now.position;
        }
        if (now.count == 1) continue;
        const stride *in = n ? &s[n - 1] : NULL;
        if (in && now.index == in->count * in->index && now.near == in->count * in->near &&
            now.far == in->count * in->far && now.position == in->count * in->position)
            s[n - 1].count *= now.count;
        else s[n++] = now;
    }
    if (n == 0) s[n++] = (stride){.count = 1};
    return n;
}

/* A row that has one index is a slice, if it lies without gaps on both sides. */
static bool is_slice(const index_row *r)
{
    return r->step.index == 0 && r->step.near == 1 && r->step.far == 1;
}

#define GATHER_ROW(T)                                                                         \
    for (int64_t j = 0; j < s.count; j++) {                                                   \
        const int64_t i = r->index[j * s.index];                                              \
        ((T *)r->near)[j * s.near] = in_range(c, i, r->position + j * s.position, axis, size) \
                                         ? ((const T *)r->far)[i * far_axis + j * s.far]      \
                                         : 0;                                                 \
    }

static void gather_row(const tg_call *c, const index_row *r, const tg_array *x, int axis)
{
    const int64_t size = x->shape.dim[axis], far_axis = x->stride[axis],
                  bytes = (int64_t)tg_dtype_size(x->dtype);
    const stride s = r->step;
    if (is_slice(r) && in_range(c, *r->index, r->position, axis, size))
        copy_slice(r->near, (const char *)r->far + *r->index * far_axis * bytes, s.count * bytes);
    else if (x->dtype == TG_F32) GATHER_ROW(float)
    else if (x->dtype == TG_F64) GATHER_ROW(double)
    else if (x->dtype == TG_I64) GATHER_ROW(int64_t)
    else GATHER_ROW(uint8_t)
}

#define SCATTER_ROW(T)                                                        \
    {                                                                         \
        const T *from = r->near;                                              \
        T *to = r->far;                                                       \
        if (is_slice(r) && in_range(c, *r->index, r->position, axis, size)) { \
            to += *r->index * far_axis;                                       \
            TG_EACH(j, 0, s.count, to[j] += from[j])                          \
            return;                                                           \
        }                                                                     \
        for (int64_t j = 0; j < s.count; j++) {                               \
            const int64_t i = r->index[j * s.index];                          \
            if (in_range(c, i, r->position + j * s.position, axis, size))     \
                to[i * far_axis + j * s.far] += from[j * s.near];             \
        }                                                                     \
    }

static void scatter_row(const tg_call *c, const index_row *r, const tg_array *y, int axis)
{
    const int64_t size = y->shape.dim[axis], far_axis = y->stride[axis];
    const stride s = r->step;
    if (y->dtype == TG_F32) SCATTER_ROW(float)
    else if (y->dtype == TG_F64) SCATTER_ROW(double)
    else SCATTER_ROW(int64_t)
}

static void walk_part(const tg_call *c, void *user, int64_t part)
{
    const walk *w = user;
    stride s[TG_MAX_DIMS] = {{0}}, at = {0};
    const int n = strides_of(w, part, s, &at);
    const int64_t bytes = (int64_t)tg_dtype_size(w->far->dtype);
    int64_t step[TG_MAX_DIMS] = {0};
    for (int d = 0; d < n; d++)
        if (s[d].count == 0) return;
    for (;;) {
        const index_row r = {(const int64_t *)w->index->data + at.index,
                             (char *)w->near->data + at.near * bytes,
                             (char *)w->far->data + at.far * bytes, at.position, s[0]};
        if (w->add) scatter_row(c, &r, w->far, w->axis);
        else gather_row(c, &r, w->far, w->axis);
        int d = 1;
        for (; d < n; d++) {
            const bool over = ++step[d] == s[d].count;
            const int64_t by = over ? 1 - s[d].count : 1;
            at.index += by * s[d].index;
            at.near += by * s[d].near;
            at.far += by * s[d].far;
            at.position += by * s[d].position;
            if (!over) break;
            step[d] = 0;
        }
        if (d == n) return;
    }
}

/* Each destination of an addition belongs to one part, which adds to it in the order of the index:
 * so the number of parts, which cut that order's rows into shorter ones, may follow the threads. */
static void walk_all(const tg_call *c, walk *w)
{
    const int64_t count = tg_shape_count(w->index->shape);
    if (count == 0) return;
    w->cut = -1;
    for (int d = 0; d < w->index->shape.ndim; d++)
        if ((!w->add || d != w->axis) &&
            (w->cut < 0 || w->index->shape.dim[d] > w->index->shape.dim[w->cut]))
            w->cut = d;
    w->parts = w->cut < 0 ? 1 : parts_of(count, w->index->shape.dim[w->cut]);
    if (w->add) w->parts = lowest(w->parts, c->threads);
    if (w->cut < 0) w->cut = 0;
    tg_parallel(c, w->parts, walk_part, w);
}
/* carried so far */

/* The sizes of index fit those of x but along the axis. */
static bool walk_fits(tg_rule *r, tg_type x, tg_type index)
{
    const int64_t axis = r->attrs[0];
    if (!index_fits(r, index)) return false;
    bool fits = index.shape.ndim == x.shape.ndim && axis < x.shape.ndim;
    for (int d = 0; fits && d < x.shape.ndim; d++)
        fits = d == axis || index.shape.dim[d] <= x.shape.dim[d];
    if (!fits)
        return tg_rule_fail(r, TG_ESHAPE, "index %s does not fit %s along axis %d",
                            tg_shape_text(index.shape).text, tg_shape_text(x.shape).text,
                            (int)axis);
    return true;
}

static bool gather_rule(tg_rule *r)
{
    r->y = (tg_type){r->x[0].dtype, r->x[1].shape};
    return walk_fits(r, r->x[0], r->x[1]);
}

/* carried: index */
static void gather_kernel(const tg_call *c)
{
    walk w = {.index = &c->x[1], .near = c->y, .far = &c->x[0], .axis = (int)c->attrs[0]};
    walk_all(c, &w);
}
/* carried so far */

static void gather_vjp(TG_VJP)
{
    tg_tensor *zeros = tg_expand(t, tg_constant_like(t, gy, 0), tg_tensor_shape(x[0]));
    gx[0] = tg_scatter_add(t, zeros, (int)attrs[0], x[1], gy);
}

static const tg_op gather = {.size = sizeof(tg_op),
                             .name = "gather",
                             .n_in = 2,
                             .flags = TG_STRIDED,
                             .rule = gather_rule,
                             .kernel = gather_kernel,
                             .carried = TG_CARRIED("index gather_kernel"),
                             .vjp = gather_vjp};

tg_tensor *tg_gather_at(tg_tape *t, const char *where, tg_tensor *x, int axis, tg_tensor *index)
{
    int k;
    if (!tg_ready(t, where, "gather", x) || !tg_ready(t, where, "gather", index)) return NULL;
    if (!tg_axis_find(t, where, "gather", tg_tensor_shape(x).ndim, axis, &k)) return NULL;
    return tg_apply_at(t, where, &gather, 2, (tg_tensor *[]){x, index}, 1, (int64_t[]){k});
}

static bool scatter_rule(tg_rule *r)
{
    const tg_type x = r->x[0], index = r->x[1], source = r->x[2];
    if (x.dtype != source.dtype || x.dtype == TG_U8)
        return tg_rule_fail(r, TG_EDTYPE, "not defined for %s and %s", tg_dtype_name(x.dtype),
                            tg_dtype_name(source.dtype));
    if (!tg_shape_equal(index.shape, source.shape))
        return tg_rule_fail(r, TG_ESHAPE, "index %s and source %s differ",
                            tg_shape_text(index.shape).text, tg_shape_text(source.shape).text);
    r->y = x;
    return walk_fits(r, x, index);
}

/* carried: index */
/* x to y, whatever its strides. */
static void copy_strided(const tg_array *x, const tg_array *y)
{
    const int64_t count = tg_shape_count(x->shape);
    const int dims = x->shape.ndim;
    const size_t bytes = tg_dtype_size(x->dtype);
    if (count == 0) return;
    if (tg_array_contiguous(x)) {
        memcpy(y->data, x->data, (size_t)count * bytes);
        return;
    }
    int64_t at[TG_MAX_DIMS] = {0}, offset = 0;
    char *to = y->data;
    for (int64_t i = 0; i < count; i++, to += bytes) {
        memcpy(to, (const char *)x->data + offset * (int64_t)bytes, bytes);
        for (int d = dims - 1; d >= 0; d--) {
            offset += x->stride[d];
            if (++at[d] < x->shape.dim[d]) break;
            offset -= at[d] * x->stride[d];
            at[d] = 0;
        }
    }
}

static void scatter_kernel(const tg_call *c)
{
    const tg_array *x = &c->x[0];
    bool zeros = true;
    for (int d = 0; d < x->shape.ndim; d++) zeros = zeros && x->stride[d] == 0;
    const size_t bytes = tg_dtype_size(x->dtype);
    if (zeros && tg_shape_count(x->shape) > 0) {
        const char *value = x->data;
        for (size_t k = 0; k < bytes; k++) zeros = zeros && value[k] == 0;
    }
    if (zeros) memset(c->y->data, 0, (size_t)tg_shape_count(x->shape) * bytes);
    else copy_strided(x, c->y);
    walk w = {
        .index = &c->x[1], .near = &c->x[2], .far = c->y, .axis = (int)c->attrs[0], .add = true};
    walk_all(c, &w);
}
/* carried so far */

static void scatter_vjp(TG_VJP)
{
    gx[0] = gy;
    gx[2] = tg_gather(t, gy, (int)attrs[0], x[1]);
}

static const tg_op scatter_add = {.size = sizeof(tg_op),
                                  .name = "scatter_add",
                                  .n_in = 3,
                                  .flags = TG_STRIDED,
                                  .rule = scatter_rule,
                                  .kernel = scatter_kernel,
                                  .carried = TG_CARRIED("index scatter_kernel"),
                                  .vjp = scatter_vjp};

tg_tensor *tg_scatter_add_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                             tg_tensor *index, tg_tensor *source)
{
    int k;
    if (!tg_ready(t, where, "scatter_add", x) || !tg_ready(t, where, "scatter_add", index))
        return NULL;
    if (!tg_ready(t, where, "scatter_add", source)) return NULL;
    if (!tg_axis_find(t, where, "scatter_add", tg_tensor_shape(x).ndim, axis, &k)) return NULL;
    return tg_apply_at(t, where, &scatter_add, 3, (tg_tensor *[]){x, index, source}, 1,
                       (int64_t[]){k});
}

/* ------------------------------- index_select: slices [outer, i, inner] of [outer, size, inner] */

/* carried: index */
typedef struct slices {
    int64_t outer, n, size, inner; /* n slices are chosen, of `size` */
    int64_t parts;
} slices;

static slices slices_of(const tg_array *few, const tg_array *all, int axis)
{
    slices s = {1, few->shape.dim[axis], all->shape.dim[axis], 1, 1};
    for (int d = 0; d < axis; d++) s.outer *= few->shape.dim[d];
    for (int d = axis + 1; d < few->shape.ndim; d++) s.inner *= few->shape.dim[d];
    return s;
}
/* carried so far */

static bool select_rule(tg_rule *r)
{
    const tg_type x = r->x[0], index = r->x[1];
    if (!index_fits(r, index)) return false;
    if (index.shape.ndim != 1)
        return tg_rule_fail(r, TG_ESHAPE, "an index of one dimension is wanted, not %s",
                            tg_shape_text(index.shape).text);
    r->y = x;
    r->y.shape.dim[r->attrs[0]] = index.shape.dim[0];
    return true;
}

/* carried: index */
static void select_part(const tg_call *c, void *user, int64_t part)
{
    const slices *s = user;
    const int64_t *index = c->x[1].data, bytes = s->inner * (int64_t)tg_dtype_size(c->y->dtype),
                  end = s->outer * s->n * (part + 1) / s->parts;
    int64_t row = s->outer * s->n * part / s->parts, i = row % s->n;
    const char *x = (const char *)c->x[0].data + row / s->n * s->size * bytes;
    char *y = (char *)c->y->data + row * bytes;
    for (; row < end; row++, y += bytes) {
        if (in_range(c, index[i], i, (int)c->attrs[0], s->size))
            copy_slice(y, x + index[i] * bytes, bytes);
        else memset(y, 0, (size_t)bytes);
        if (++i < s->n) continue;
        i = 0;
        x += s->size * bytes;
    }
}

/* Where slices have no elements, nothing else looks at the index. */
static void check_index(const tg_call *c, const slices *s)
{
    const int64_t *index = c->x[1].data;
    for (int64_t i = 0; i < s->n; i++) in_range(c, index[i], i, (int)c->attrs[0], s->size);
}

static void select_kernel(const tg_call *c)
{
    slices s = slices_of(c->y, &c->x[0], (int)c->attrs[0]);
    if (tg_shape_count(c->y->shape) == 0) {
        check_index(c, &s);
        return;
    }
    s.parts = parts_of(s.outer * s.n * s.inner, s.outer * s.n);
    tg_parallel(c, s.parts, select_part, &s);
}
/* carried so far */

/* The transpose of index_select: gy's slices added up into `size` slices, attrs = {axis, size}. */
static bool index_add_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.shape.dim[r->attrs[0]] = r->attrs[1];
    return true;
}

/* carried: index */
/* A part owns a range of y's slices and looks through the whole index for them. */
#define ADD_SLICES(T)                                                        \
    {                                                                        \
        const T *from = (const T *)c->x[0].data + (o * s->n + i) * s->inner; \
        T *to = (T *)c->y->data + row * s->inner;                            \
        if (s->inner == 1) *to += *from;                                     \
        else TG_EACH(j, 0, s->inner, to[j] += from[j])                       \
    }

static void index_add_part(const tg_call *c, void *user, int64_t part)
{
    const slices *s = user;
    const int64_t *index = c->x[1].data, bytes = s->inner * (int64_t)tg_dtype_size(c->y->dtype),
                  total = s->outer * s->size;
    const int64_t first = total * part / s->parts, end = total * (part + 1) / s->parts;
    memset((char *)c->y->data + first * bytes, 0, (size_t)((end - first) * bytes));
    for (int64_t o = first / s->size; o * s->size < end; o++)
        for (int64_t i = 0; i < s->n; i++) {
            if (!in_range(c, index[i], i, (int)c->attrs[0], s->size)) continue;
            const int64_t row = o * s->size + index[i];
            if (row < first || row >= end) continue;
            if (c->y->dtype == TG_F32) ADD_SLICES(float)
            else ADD_SLICES(double)
        }
}

static void index_add_kernel(const tg_call *c)
{
    slices s = slices_of(&c->x[0], c->y, (int)c->attrs[0]);
    const int64_t count = tg_shape_count(c->y->shape);
    if (count == 0) {
        check_index(c, &s);
        return;
    }
    s.parts = lowest(parts_of(count + s.outer * s.n * s.inner, s.outer * s.size), c->threads);
    tg_parallel(c, s.parts, index_add_part, &s);
}
/* carried so far */

static void select_vjp(TG_VJP);
static void index_add_vjp(TG_VJP) { gx[0] = tg_index_select(t, gy, (int)attrs[0], x[1]); }

static const tg_op index_select = {.size = sizeof(tg_op),
                                   .name = "index_select",
                                   .n_in = 2,
                                   .rule = select_rule,
                                   .kernel = select_kernel,
                                   .carried = TG_CARRIED("index select_kernel"),
                                   .vjp = select_vjp};
static const tg_op embedding = {.size = sizeof(tg_op),
                                .name = "embedding",
                                .n_in = 2,
                                .rule = select_rule,
                                .kernel = select_kernel,
                                .carried = TG_CARRIED("index select_kernel"),
                                .vjp = select_vjp};
static const tg_op index_add = {.size = sizeof(tg_op),
                                .name = "index_add",
                                .n_in = 2,
                                .rule = index_add_rule,
                                .kernel = index_add_kernel,
                                .carried = TG_CARRIED("index index_add_kernel"),
                                .vjp = index_add_vjp};

static void select_vjp(TG_VJP)
{
    const int64_t axis = attrs[0], size = tg_tensor_shape(x[0]).dim[axis];
    gx[0] = tg_apply_at(t, TG_HERE, &index_add, 2, (tg_tensor *[]){gy, x[1]}, 2,
                        (int64_t[]){axis, size});
}

tg_tensor *tg_index_select_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                              tg_tensor *index)
{
    int k;
    if (!tg_ready(t, where, "index_select", x) || !tg_ready(t, where, "index_select", index))
        return NULL;
    if (!tg_axis_find(t, where, "index_select", tg_tensor_shape(x).ndim, axis, &k)) return NULL;
    return tg_apply_at(t, where, &index_select, 2, (tg_tensor *[]){x, index}, 1, (int64_t[]){k});
}

tg_tensor *tg_embedding_at(tg_tape *t, const char *where, tg_tensor *table, tg_tensor *index)
{
    if (!tg_ready(t, where, "embedding", table) || !tg_ready(t, where, "embedding", index))
        return NULL;
    const tg_shape rows = tg_tensor_shape(table);
    tg_shape shape = tg_tensor_shape(index);
    if (rows.ndim != 2 || shape.ndim == TG_MAX_DIMS)
        return tg_fail_at(
            t, where, TG_ESHAPE,
            "embedding: table %s is not [rows, width], or index %s has too many dimensions",
            tg_shape_text(rows).text, tg_shape_text(shape).text);
    tg_tensor *list = tg_reshape(t, index, TG_SHAPE(tg_tensor_count(index)));
    tg_tensor *y =
        tg_apply_at(t, where, &embedding, 2, (tg_tensor *[]){table, list}, 1, (int64_t[]){0});
    shape.dim[shape.ndim++] = rows.dim[1];
    return tg_reshape(t, y, shape);
}

KNOWN(gather, "x, index of as many dimensions -> index's", -1,
      ("y[i,j] = x[index[i,j],j] along the axis"))
KNOWN(scatter_add, "x, index, source of index's shape -> x's", -1,
      ("y = x; y[index[i,j],j] += source[i,j] along the axis"))
KNOWN(index_select, "x, index [n] -> x's with n along the axis", -1,
      ("y[i,j] = x[index[i],j] along the axis"))
KNOWN(embedding, "[rows, width], index -> [index's sizes, width]", -1,
      ("y[i,...] = table[index[i]]"))

#else

#define VALUES(...) REALS(-1, 1, __VA_ARGS__)

static int64_t offset_along(tg_shape shape, tg_shape walked, int64_t element, int axis,
                            int64_t index)
{
    int64_t at[TG_MAX_DIMS], offset = 0;
    for (int d = walked.ndim - 1; d >= 0; d--) {
        at[d] = element % walked.dim[d];
        element /= walked.dim[d];
    }
    for (int d = 0; d < shape.ndim; d++)
        offset = offset * shape.dim[d] + (d == axis ? index : at[d]);
    return offset;
}

static void gather_along(const tg_array *x, tg_array *y, int axis)
{
    const double *from = x[0].data, *index = x[1].data;
    double *to = y->data;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        to[i] = from[offset_along(x[0].shape, x[1].shape, i, axis, (int64_t)index[i])];
}

CALL(gather_0, tg_gather(t, x[0], 0, x[1]))
EXPECT(gather_0, gather_along(x, y, 0))
CALL(gather_1, tg_gather(t, x[0], -1, x[1]))
EXPECT(gather_1, gather_along(x, y, 1))
SAMPLES(gather, SAMPLE(gather_0, "rows", 0, VALUES(4, 3), INTEGERS(0, 3, 5, 3)),
        SAMPLE(gather_1, "columns, fewer rows", 0, VALUES(4, 3), INTEGERS(0, 2, 2, 5)),
        SAMPLE(gather_0, "three dimensions", 0, VALUES(4, 3, 2), INTEGERS(0, 3, 2, 3, 2)))

static void scatter_along(const tg_array *x, tg_array *y, int axis)
{
    const double *base = x[0].data, *index = x[1].data, *source = x[2].data;
    double *to = y->data;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) to[i] = base[i];
    for (int64_t i = 0; i < tg_shape_count(x[1].shape); i++)
        to[offset_along(y->shape, x[1].shape, i, axis, (int64_t)index[i])] += source[i];
}

CALL(scatter_0, tg_scatter_add(t, x[0], 0, x[1], x[2]))
EXPECT(scatter_0, scatter_along(x, y, 0))
CALL(scatter_1, tg_scatter_add(t, x[0], -1, x[1], x[2]))
EXPECT(scatter_1, scatter_along(x, y, 1))
SAMPLES(scatter_add, SAMPLE(scatter_0, "rows", 0, VALUES(4, 3), INTEGERS(0, 3, 6, 2), VALUES(6, 2)),
        SAMPLE(scatter_1, "columns", 0, VALUES(3, 4), INTEGERS(0, 3, 3, 5), VALUES(3, 5)),
        SAMPLE(scatter_0, "one dimension", 0, VALUES(5), INTEGERS(0, 4, 9), VALUES(9)))

/* index is a list: entry i % n of it belongs to element [o, i, j] of y. */
static void select_along(const tg_array *x, tg_array *y, int axis)
{
    const double *from = x[0].data, *index = x[1].data;
    double *to = y->data;
    int64_t inner = 1;
    for (int d = axis + 1; d < y->shape.ndim; d++) inner *= y->shape.dim[d];
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        to[i] = from[offset_along(x[0].shape, y->shape, i, axis,
                                  (int64_t)index[i / inner % y->shape.dim[axis]])];
}

CALL(select_0, tg_index_select(t, x[0], 0, x[1]))
EXPECT(select_0, select_along(x, y, 0))
CALL(select_1, tg_index_select(t, x[0], 1, x[1]))
EXPECT(select_1, select_along(x, y, 1))
SAMPLES(index_select, SAMPLE(select_0, "rows", 0, VALUES(4, 3), INTEGERS(0, 3, 7)),
        SAMPLE(select_1, "the middle of three", 0, VALUES(2, 4, 3), INTEGERS(0, 3, 5)),
        SAMPLE(select_0, "one dimension", 0, VALUES(6), INTEGERS(0, 5, 4)))

static void rows_of_table(const tg_array *x, tg_array *y)
{
    const double *table = x[0].data, *index = x[1].data;
    const int64_t width = x[0].shape.dim[1];
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        ((double *)y->data)[i] = table[(int64_t)index[i / width] * width + i % width];
}

CALL(embedding, tg_embedding(t, x[0], x[1]))
EXPECT(embedding, rows_of_table(x, y))
SAMPLES(embedding, SAMPLE(embedding, "a batch of sentences", 0, VALUES(5, 3), INTEGERS(0, 4, 2, 4)),
        SAMPLE(embedding, "one word", 0, VALUES(5, 3), INTEGER(0, 4)))

#endif
