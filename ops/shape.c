/* Shapes: views, joining and padding, conversions. */
#include <inttypes.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

/* ---------------------------------------------------------- reshape, expand, squeeze, unsqueeze */

/* Puts the size that the others leave in the place of a -1. */
static bool infer_size(tg_tape *t, const char *where, int64_t count, tg_shape *shape)
{
    int open = -1;
    tg_shape rest = *shape;
    for (int k = 0; k < shape->ndim && shape->ndim <= TG_MAX_DIMS; k++) {
        if (shape->dim[k] != -1) continue;
        if (open >= 0) {
            tg_fail_at(t, where, TG_ESHAPE, "reshape: two sizes are -1");
            return false;
        }
        open = k;
        rest.dim[k] = 1;
    }
    if (open < 0) return true;
    const int64_t known = tg_shape_count(rest);
    if (known <= 0 || count % known) {
        tg_fail_at(t, where, TG_ESHAPE,
                   "reshape: no size in the place of -1 makes %" PRId64 " elements", count);
        return false;
    }
    shape->dim[open] = count / known;
    return true;
}

tg_tensor *tg_reshape_at(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape)
{
    if (!tg_ready(t, where, "reshape", x) || !infer_size(t, where, tg_tensor_count(x), &shape))
        return NULL;
    if (tg_shape_count(shape) < 0)
        return tg_fail_at(t, where, TG_ESHAPE, "reshape: %s", tg_shape_refusal(shape).text);
    return tg_apply(t, &tg_op_reshape, 1, &x, shape.ndim, shape.dim);
}

tg_tensor *tg_expand_at(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape)
{
    if (!tg_ready(t, where, "expand", x)) return NULL;
    if (tg_shape_count(shape) < 0)
        return tg_fail_at(t, where, TG_ESHAPE, "expand: %s", tg_shape_refusal(shape).text);
    return tg_apply(t, &tg_op_expand, 1, &x, shape.ndim, shape.dim);
}

tg_tensor *tg_squeeze_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    int gone;
    if (!tg_ready(t, where, "squeeze", x)) return NULL;
    const tg_shape from = tg_tensor_shape(x);
    if (!tg_axis_find(t, where, "squeeze", from.ndim, axis, &gone)) return NULL;
    if (from.dim[gone] != 1)
        return tg_fail_at(t, where, TG_ESHAPE, "squeeze: axis %d of %s has not size 1", gone,
                          tg_shape_text(from).text);
    tg_shape shape = {.ndim = 0};
    for (int k = 0; k < from.ndim; k++)
        if (k != gone) shape.dim[shape.ndim++] = from.dim[k];
    return tg_apply(t, &tg_op_reshape, 1, &x, shape.ndim, shape.dim);
}

tg_tensor *tg_unsqueeze_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    int place;
    if (!tg_ready(t, where, "unsqueeze", x)) return NULL;
    const tg_shape from = tg_tensor_shape(x);
    if (!tg_axis_find(t, where, "unsqueeze", from.ndim + 1, axis, &place)) return NULL;
    if (from.ndim == TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "unsqueeze: %s has 8 dimensions already",
                          tg_shape_text(from).text);
    tg_shape shape = {.ndim = from.ndim + 1};
    for (int k = 0; k < shape.ndim; k++) shape.dim[k] = k == place ? 1 : from.dim[k - (k > place)];
    return tg_apply(t, &tg_op_reshape, 1, &x, shape.ndim, shape.dim);
}

/* ---------------------------------------------------------------- permute, transpose, flip */

static bool permute_rule(tg_rule *r)
{
    r->y = r->x[0];
    for (int k = 0; k < r->n_attrs; k++) r->y.shape.dim[k] = r->x[0].shape.dim[r->attrs[k]];
    return true;
}

static bool permute_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    y->data = x->data;
    for (int k = 0; k < n_attrs; k++) y->stride[k] = x->stride[attrs[k]];
    return true;
}

static void permute_vjp(TG_VJP)
{
    tg_axes back = {.n = tg_tensor_shape(y).ndim};
    for (int k = 0; k < back.n; k++) back.axis[attrs[k]] = k;
    gx[0] = tg_permute(t, gy, back);
}

static const tg_op permute = {.size = sizeof(tg_op),
                              .name = "permute",
                              .n_in = 1,
                              .rule = permute_rule,
                              .view = permute_view,
                              .vjp = permute_vjp};

tg_tensor *tg_permute_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes)
{
    unsigned set;
    if (!tg_ready(t, where, "permute", x)) return NULL;
    const int ndim = tg_tensor_shape(x).ndim;
    if (!tg_axes_find(t, where, "permute", ndim, axes, &set)) return NULL;
    if (axes.n != ndim)
        return tg_fail_at(t, where, TG_ESHAPE, "permute: an order of %d axes is needed", ndim);
    int64_t attrs[TG_MAX_DIMS];
    for (int k = 0; k < ndim; k++) attrs[k] = axes.axis[k] < 0 ? axes.axis[k] + ndim : axes.axis[k];
    return tg_apply(t, &permute, 1, &x, ndim, attrs);
}

tg_tensor *tg_transpose_at(tg_tape *t, const char *where, tg_tensor *x, int axis_a, int axis_b)
{
    int a, b;
    if (!tg_ready(t, where, "transpose", x)) return NULL;
    const int ndim = tg_tensor_shape(x).ndim;
    if (!tg_axis_find(t, where, "transpose", ndim, axis_a, &a) ||
        !tg_axis_find(t, where, "transpose", ndim, axis_b, &b))
        return NULL;
    int64_t attrs[TG_MAX_DIMS];
    for (int k = 0; k < ndim; k++) attrs[k] = k == a ? b : k == b ? a : k;
    return tg_apply(t, &permute, 1, &x, ndim, attrs);
}

static bool same_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

static bool flip_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs;
    int64_t first = 0;
    for (int k = 0; k < x->shape.ndim; k++) {
        const bool flipped = (attrs[0] >> k & 1) && x->shape.dim[k] > 1;
        y->stride[k] = flipped ? -x->stride[k] : x->stride[k];
        if (flipped) first += (x->shape.dim[k] - 1) * x->stride[k];
    }
    y->data = (char *)x->data + first * (int64_t)tg_dtype_size(x->dtype);
    return true;
}

static void flip_vjp(TG_VJP);
static const tg_op flip = {.size = sizeof(tg_op),
                           .name = "flip",
                           .n_in = 1,
                           .rule = same_rule,
                           .view = flip_view,
                           .vjp = flip_vjp};
static void flip_vjp(TG_VJP) { gx[0] = tg_apply(t, &flip, 1, &gy, 1, attrs); }

tg_tensor *tg_flip_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes)
{
    unsigned set;
    if (!tg_ready(t, where, "flip", x) ||
        !tg_axes_find(t, where, "flip", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    return tg_apply(t, &flip, 1, &x, 1, ((const int64_t[]){set}));
}

/* ---------------------------------------------------------------- copying between strides */

/* One strided copy: sizes and strides (in elements), and the bytes of an element. */
/* carried: shape */
typedef struct copy {
    int ndim;
    int64_t dim[TG_MAX_DIMS], from_stride[TG_MAX_DIMS], to_stride[TG_MAX_DIMS];
    int64_t rows, rows_of_part; /* a row is the last dimension */
    size_t size;
    const char *from;
    char *to;
} copy;

#define COPY_STRIDED(T)                                                                  \
    for (int64_t i = 0; i < n; i++)                                                      \
        ((T *)(void *)to)[i * to_step] = ((const T *)(const void *)from)[i * from_step]; \
    break;

static void copy_row(size_t size, int64_t n, const char *from, int64_t from_step, char *to,
                     int64_t to_step)
{
    if (from_step == 1 && to_step == 1) memcpy(to, from, (size_t)n * size);
    else switch (size) {
        case 1: COPY_STRIDED(uint8_t)
        case 4: COPY_STRIDED(uint32_t)
        default: COPY_STRIDED(uint64_t)
        }
}

static void copy_rows(const tg_call *call, void *user, int64_t part)
{
    (void)call;
    const copy *c = user;
    const int last = c->ndim - 1;
    const int64_t first = part * c->rows_of_part,
                  end = first + c->rows_of_part < c->rows ? first + c->rows_of_part : c->rows;
    int64_t at[TG_MAX_DIMS], rest = first, from = 0, to = 0;
    for (int k = last - 1; k >= 0; k--) {
        at[k] = rest % c->dim[k];
        rest /= c->dim[k];
        from += at[k] * c->from_stride[k];
        to += at[k] * c->to_stride[k];
    }
    const int64_t size = (int64_t)c->size;
    for (int64_t row = first; row < end; row++) {
        copy_row(c->size, c->dim[last], c->from + from * size, c->from_stride[last],
                 c->to + to * size, c->to_stride[last]);
        for (int k = last - 1; k >= 0; k--) {
            from += c->from_stride[k];
            to += c->to_stride[k];
            if (++at[k] < c->dim[k]) break;
            from -= at[k] * c->from_stride[k];
            to -= at[k] * c->to_stride[k];
            at[k] = 0;
        }
    }
}

/* Copies all of x to `to`, whose strides belong to x's axes. */
static void copy_strided(const tg_call *call, const tg_array *x, char *to, const int64_t *to_stride)
{
    copy c = {.size = tg_dtype_size(x->dtype), .from = x->data, .to = to};
    const int64_t count = tg_shape_count(x->shape);
    if (count == 0) return;
    for (int k = 0; k < x->shape.ndim; k++) {
        const int64_t n = x->shape.dim[k], from = x->stride[k], step = to_stride[k];
        if (n == 1) continue;
        /* adjacent axes that are one in both places make longer rows */
        if (c.ndim && c.from_stride[c.ndim - 1] == n * from && c.to_stride[c.ndim - 1] == n * step)
            c.dim[--c.ndim] *= n;
        else c.dim[c.ndim] = n;
        c.from_stride[c.ndim] = from;
        c.to_stride[c.ndim++] = step;
    }
    if (c.ndim == 0) {
        c.dim[0] = c.from_stride[0] = c.to_stride[0] = 1;
        c.ndim = 1;
    }
    const int64_t length = c.dim[c.ndim - 1], many = 1 << 15;
    c.rows = count / length;
    c.rows_of_part = length < many ? many / length : 1;
    tg_parallel(call, (c.rows + c.rows_of_part - 1) / c.rows_of_part, copy_rows, &c);
}
/* carried so far */

/* ------------------------------------------------------- slice, and its inverses: place and pad */

/* attrs: axis, start, step, count; step is 1 where count leaves it open */
enum { SLICE_AXIS, SLICE_START, SLICE_STEP, SLICE_COUNT, SLICE_ATTRS };

static bool slice_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.shape.dim[r->attrs[SLICE_AXIS]] = r->attrs[SLICE_COUNT];
    return true;
}

static bool slice_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs;
    const int64_t axis = attrs[SLICE_AXIS], first = attrs[SLICE_START] * x->stride[axis];
    memcpy(y->stride, x->stride, sizeof y->stride);
    y->stride[axis] *= attrs[SLICE_STEP];
    y->data = (char *)x->data + first * (int64_t)tg_dtype_size(x->dtype);
    return true;
}

/* place(x, fill): x's element i stands at start[k] + i step[k] along each axis k of y, fill
 * everywhere else; attrs: starts, steps, y's sizes. */
static bool place_rule(tg_rule *r)
{
    const int ndim = r->x[0].shape.ndim;
    if (r->x[1].dtype != r->x[0].dtype || r->x[1].shape.ndim)
        return tg_rule_fail(r, TG_EDTYPE, "the value is no scalar of the tensor's dtype");
    r->y = (tg_type){r->x[0].dtype, tg_shape_of(ndim, r->attrs + 2 * ndim)};
    return true;
}

/* carried: shape */
typedef struct filling {
    char *to;
    const void *value;
    size_t size;
    int64_t count;
} filling;

enum { FILL_PART = 1 << 16 };

static void fill_part(const tg_call *call, void *user, int64_t part)
{
    (void)call;
    const filling *f = user;
    const int64_t first = part * FILL_PART,
                  n = f->count - first < FILL_PART ? f->count - first : FILL_PART;
    char *to = f->to + first * (int64_t)f->size;
    copy_row(f->size, n, f->value, 0, to, 1);
}

static void place_kernel(const tg_call *c)
{
    const tg_array *x = &c->x[0], *y = c->y;
    const int ndim = y->shape.ndim;
    const size_t size = tg_dtype_size(y->dtype);
    filling f = {y->data, c->x[1].data, size, tg_shape_count(y->shape)};
    tg_parallel(c, (f.count + FILL_PART - 1) / FILL_PART, fill_part, &f);
    int64_t first = 0, stride[TG_MAX_DIMS] = {0}, step = 1;
    for (int k = ndim - 1; k >= 0; k--) {
        first += c->attrs[k] * step;
        stride[k] = c->attrs[ndim + k] * step;
        step *= y->shape.dim[k];
    }
    if (tg_shape_count(x->shape))
        copy_strided(c, x, (char *)y->data + first * (int64_t)size, stride);
}
/* carried so far */

static void slice_vjp(TG_VJP);
static void place_vjp(TG_VJP);
static const tg_op slice = {.size = sizeof(tg_op),
                            .name = "slice",
                            .n_in = 1,
                            .rule = slice_rule,
                            .view = slice_view,
                            .vjp = slice_vjp};
static const tg_op place = {.size = sizeof(tg_op),
                            .name = "place",
                            .n_in = 2,
                            .flags = TG_STRIDED,
                            .rule = place_rule,
                            .kernel = place_kernel,
                            .carried = TG_CARRIED("shape place_kernel"),
                            .vjp = place_vjp};
static const tg_op pad = {.size = sizeof(tg_op),
                          .name = "pad",
                          .n_in = 2,
                          .flags = TG_STRIDED,
                          .rule = place_rule,
                          .kernel = place_kernel,
                          .carried = TG_CARRIED("shape place_kernel"),
                          .vjp = place_vjp};

static void slice_vjp(TG_VJP)
{
    const tg_shape shape = tg_tensor_shape(x[0]);
    const int ndim = shape.ndim;
    int64_t placing[3 * TG_MAX_DIMS];
    for (int k = 0; k < ndim; k++) {
        const bool sliced = k == attrs[SLICE_AXIS];
        placing[k] = sliced ? attrs[SLICE_START] : 0;
        placing[ndim + k] = sliced ? attrs[SLICE_STEP] : 1;
        placing[2 * ndim + k] = shape.dim[k];
    }
    gx[0] = tg_apply(t, &place, 2, ((tg_tensor *const[]){gy, tg_constant_like(t, gy, 0)}), 3 * ndim,
                     placing);
}

/* The value is a constant of the op's own: nothing is differentiated by it. */
static void place_vjp(TG_VJP)
{
    const tg_shape shape = tg_tensor_shape(x[0]);
    gx[0] = gy;
    for (int k = 0; k < shape.ndim; k++) {
        const int64_t cut[SLICE_ATTRS] = {k, attrs[k], attrs[shape.ndim + k], shape.dim[k]};
        if (attrs[2 * shape.ndim + k] != shape.dim[k])
            gx[0] = tg_apply(t, &slice, 1, &gx[0], SLICE_ATTRS, cut);
    }
}

/* A bound counted from the end when negative, clipped to 0..n. */
static int64_t clip(int64_t bound, int64_t n)
{
    if (bound < 0) bound += n;
    return bound < 0 ? 0 : bound > n ? n : bound;
}

tg_tensor *tg_slice_at(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t start,
                       int64_t stop, int64_t step)
{
    int k;
    if (!tg_ready(t, where, "slice", x)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if (!tg_axis_find(t, where, "slice", shape.ndim, axis, &k)) return NULL;
    if (step < 1)
        return tg_fail_at(t, where, TG_EVALUE, "slice: a step of %" PRId64 " is not above 0", step);
    const int64_t first = clip(start, shape.dim[k]), last = clip(stop, shape.dim[k]),
                  count = last > first ? (last - first - 1) / step + 1 : 0;
    return tg_apply(t, &slice, 1, &x, SLICE_ATTRS,
                    ((const int64_t[]){k, count ? first : 0, count > 1 ? step : 1, count}));
}

tg_tensor *tg_crop(tg_tape *t, const char *where, const char *name, tg_tensor *x, tg_shape *before,
                   tg_shape *after)
{
    const tg_shape shape = tg_tensor_shape(x);
    if (before->ndim != shape.ndim || after->ndim != shape.ndim)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %d sizes are needed before and after %s", name,
                          shape.ndim, tg_shape_text(shape).text);
    for (int k = 0; k < shape.ndim; k++) {
        const int64_t n = shape.dim[k], first = before->dim[k] < 0 ? before->dim[k] : 0,
                      last = after->dim[k] < 0 ? after->dim[k] : 0;
        if (first < -n || last < -n - first)
            return tg_fail_at(t, where, TG_ESHAPE,
                              "%s: axis %d of %s has not as many elements as are cut off, %" PRId64
                              " before and %" PRId64 " after",
                              name, k, tg_shape_text(shape).text, first, last);
        if (first || last) x = tg_slice(t, x, k, -first, n + last, 1);
        before->dim[k] -= first;
        after->dim[k] -= last;
    }
    return x;
}

tg_tensor *tg_pad_at(tg_tape *t, const char *where, tg_tensor *x, tg_shape before, tg_shape after,
                     double value)
{
    if (!tg_ready(t, where, "pad", x) || !(x = tg_crop(t, where, "pad", x, &before, &after)))
        return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    const int ndim = shape.ndim;
    int64_t attrs[3 * TG_MAX_DIMS];
    for (int k = 0; k < ndim; k++) {
        if (before.dim[k] > TG_MAX_COUNT || after.dim[k] > TG_MAX_COUNT)
            return tg_fail_at(
                t, where, TG_ESHAPE,
                "pad: the result would have 2^57 elements or more, beyond any memory");
        attrs[k] = before.dim[k];
        attrs[ndim + k] = 1;
        attrs[2 * ndim + k] = before.dim[k] + shape.dim[k] + after.dim[k];
    }
    return tg_apply(t, &pad, 2, ((tg_tensor *const[]){x, tg_constant_like(t, x, value)}), 3 * ndim,
                    attrs);
}

/* ---------------------------------------------------------------- concat, stack */

static bool one_dtype(tg_rule *r)
{
    for (int k = 1; k < r->n_in; k++)
        if (r->x[k].dtype != r->x[0].dtype)
            return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s",
                                tg_dtype_name(r->x[0].dtype), tg_dtype_name(r->x[k].dtype));
    return true;
}

static bool concat_rule(tg_rule *r)
{
    const int axis = (int)r->attrs[0];
    const tg_shape first = r->x[0].shape;
    int64_t along = 0;
    for (int k = 0; k < r->n_in; k++) {
        tg_shape shape = r->x[k].shape;
        if (shape.ndim == first.ndim) {
            along += shape.dim[axis];
            shape.dim[axis] = first.dim[axis];
        }
        if (!tg_shape_equal(shape, first))
            return tg_rule_fail(r, TG_ESHAPE,
                                "operand %d is %s, which does not fit %s along axis %d", k,
                                tg_shape_text(r->x[k].shape).text, tg_shape_text(first).text, axis);
        if (along > TG_MAX_COUNT)
            return tg_rule_fail(r, TG_ESHAPE,
                                "the result would have 2^57 elements or more, beyond any memory");
    }
    r->y = r->x[0];
    r->y.shape.dim[axis] = along;
    return one_dtype(r);
}

static bool stack_rule(tg_rule *r)
{
    const int axis = (int)r->attrs[0];
    for (int k = 1; k < r->n_in; k++)
        if (!tg_shape_equal(r->x[k].shape, r->x[0].shape))
            return tg_rule_fail(r, TG_ESHAPE, "operand %d is %s, the first one %s", k,
                                tg_shape_text(r->x[k].shape).text,
                                tg_shape_text(r->x[0].shape).text);
    r->y = (tg_type){r->x[0].dtype, {.ndim = r->x[0].shape.ndim + 1}};
    for (int k = 0; k < r->y.shape.ndim; k++)
        r->y.shape.dim[k] = k == axis ? r->n_in : r->x[0].shape.dim[k - (k > axis)];
    return one_dtype(r);
}

/* carried: shape */
/* Both: an operand goes to a range of y along the axis, which stack's operands don't have
 * themselves. */
static void join_kernel(const tg_call *c)
{
    const tg_array *y = c->y;
    const int axis = (int)c->attrs[0], ndim = y->shape.ndim;
    int64_t stride[TG_MAX_DIMS + 1], at = 0;
    for (int k = 0; k < c->n_in; k++) {
        const tg_array *x = &c->x[k];
        const bool stacked = x->shape.ndim < ndim;
        for (int d = 0; d < x->shape.ndim; d++) stride[d] = y->stride[d + (stacked && d >= axis)];
        if (tg_shape_count(x->shape))
            copy_strided(c, x,
                         (char *)y->data + at * y->stride[axis] * (int64_t)tg_dtype_size(y->dtype),
                         stride);
        at += stacked ? 1 : x->shape.dim[axis];
    }
}
/* carried so far */

static void concat_vjp(TG_VJP)
{
    int64_t first = 0;
    for (int k = 0; k < n_in; k++) {
        const int64_t n = tg_tensor_shape(x[k]).dim[attrs[0]];
        gx[k] = tg_slice(t, gy, (int)attrs[0], first, first + n, 1);
        first += n;
    }
}

static void stack_vjp(TG_VJP)
{
    for (int k = 0; k < n_in; k++)
        gx[k] = tg_base_reshape(t, where, tg_slice(t, gy, (int)attrs[0], k, k + 1, 1),
                                tg_tensor_shape(x[k]));
}

static const tg_op concat = {.size = sizeof(tg_op),
                             .name = "concat",
                             .n_in = -1,
                             .flags = TG_STRIDED,
                             .rule = concat_rule,
                             .kernel = join_kernel,
                             .carried = TG_CARRIED("shape join_kernel"),
                             .vjp = concat_vjp};
static const tg_op stack = {.size = sizeof(tg_op),
                            .name = "stack",
                            .n_in = -1,
                            .flags = TG_STRIDED,
                            .rule = stack_rule,
                            .kernel = join_kernel,
                            .carried = TG_CARRIED("shape join_kernel"),
                            .vjp = stack_vjp};

static tg_tensor *join(tg_tape *t, const char *where, const tg_op *op, int more_dims, int n,
                       tg_tensor *const *x, int axis)
{
    int along;
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (n < 1) return tg_fail_at(t, where, TG_EVALUE, "%s: %d tensors to join", op->name, n);
    if (!tg_ready(t, where, op->name, x ? x[0] : NULL)) return NULL;
    const int ndim = tg_tensor_shape(x[0]).ndim + more_dims;
    if (!tg_axis_find(t, where, op->name, ndim, axis, &along)) return NULL;
    if (ndim > TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: the operands have 8 dimensions already",
                          op->name);
    return tg_apply(t, op, n, x, 1, ((const int64_t[]){along}));
}

tg_tensor *tg_concat_at(tg_tape *t, const char *where, int n, tg_tensor *const *x, int axis)
{
    return join(t, where, &concat, 0, n, x, axis);
}

tg_tensor *tg_stack_at(tg_tape *t, const char *where, int n, tg_tensor *const *x, int axis)
{
    return join(t, where, &stack, 1, n, x, axis);
}

KNOWN(reshape, "[...] -> as many elements", -1, ("y = x, its sizes others"))
KNOWN(permute, "axes reordered", -1, ("y[i, j, k] = x, its axes in another order"))
KNOWN(transpose, "two axes exchanged", -1, ("y[i, j] = x[j, i]"))
KNOWN(expand, "broadcast to the shape", -1, ("y = x, repeated"))
KNOWN(slice, "one axis shortened", -1, ("y[i] = x[start + i step]"))
KNOWN(flip, "any", -1, ("y[i] = x[n - 1 - i]"))
KNOWN(squeeze, "an axis of size 1 dropped", -1, ("y = x"))
KNOWN(unsqueeze, "an axis of size 1 inserted", -1, ("y = x"))
KNOWN(pad, "before + size + after along each axis", -1, ("y = x, the value around it"))
KNOWN(concat, "one axis added up", -1, ("y = x[0], x[1], ... along the axis"))
KNOWN(stack, "n of [...] -> a new axis of size n", -1, ("y[k] = x[k]"))

#else

/* Each element of y from where source(its index, its number) says it stands in x; from a value of 7
 * where that is negative. */
static void by_index(const tg_array *x, tg_array *y,
                     int64_t (*source)(const int64_t *at, int64_t i))
{
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        int64_t at[TG_MAX_DIMS], rest = i;
        for (int k = y->shape.ndim - 1; k >= 0; k--) {
            at[k] = rest % y->shape.dim[k];
            rest /= y->shape.dim[k];
        }
        const int64_t from = source(at, i);
        ((double *)y->data)[i] = from < 0 ? 7 : ((const double *)x->data)[from];
    }
}

/* A way to call an op of one operand, `from` being an expression of at[] and i. */
#define WAY(id, from, ...)                                   \
    static int64_t source_##id(const int64_t *at, int64_t i) \
    {                                                        \
        (void)at, (void)i;                                   \
        return from;                                         \
    }                                                        \
    CALL(id, __VA_ARGS__)                                    \
    EXPECT(id, by_index(x, y, source_##id))
#define ROWS(...) REALS(-2, 2, __VA_ARGS__)

WAY(reshape_matrix, i, tg_reshape(t, x[0], TG_SHAPE(3, 4)))
WAY(reshape_open, i, tg_reshape(t, x[0], TG_SHAPE(2, -1, 1)))
WAY(reshape_scalar, i, tg_reshape(t, x[0], TG_SCALAR))
WAY(reshape_empty, i, tg_reshape(t, x[0], TG_SHAPE(0, 5)))
SAMPLES(reshape, SAMPLE(reshape_matrix, "a matrix", 0, ROWS(2, 6)),
        SAMPLE(reshape_open, "an open size", 0, ROWS(65, 2)),
        SAMPLE(reshape_scalar, "a scalar", 0, ROWS(1, 1)),
        SAMPLE(reshape_empty, "nothing", 0, ROWS(0)))

WAY(permute_three, at[1] * 12 + at[2] * 4 + at[0], tg_permute(t, x[0], TG_AXES(2, 0, -2)))
WAY(permute_scalar, 0, tg_permute(t, x[0], tg_axes_of(0, NULL)))
WAY(permute_same, i, tg_permute(t, x[0], TG_AXES(0, 1)))
SAMPLES(permute, SAMPLE(permute_three, "three axes", 0, ROWS(2, 3, 4)),
        SAMPLE(permute_three, "nothing", 0, ROWS(2, 0, 4)),
        SAMPLE(permute_scalar, "a scalar", 0, REAL(-2, 2)),
        SAMPLE(permute_same, "the order there is", 0, ROWS(65, 3)))

WAY(transpose_outer, at[2] * 12 + at[1] * 4 + at[0], tg_transpose(t, x[0], 0, -1))
WAY(transpose_same, i, tg_transpose(t, x[0], 0, 0))
SAMPLES(transpose, SAMPLE(transpose_outer, "first and last axis", 0, ROWS(2, 3, 4)),
        SAMPLE(transpose_same, "an axis with itself", 0, ROWS(65)))

WAY(expand_middle, at[1], tg_expand(t, x[0], TG_SHAPE(2, 3, 65)))
WAY(expand_scalar, 0, tg_expand(t, x[0], TG_SHAPE(5)))
WAY(expand_to_nothing, 0, tg_expand(t, x[0], TG_SHAPE(3, 0)))
SAMPLES(expand, SAMPLE(expand_middle, "before and behind", 0, ROWS(3, 1)),
        SAMPLE(expand_scalar, "a scalar", 0, REAL(-2, 2)),
        SAMPLE(expand_to_nothing, "to nothing", 0, ROWS(1)))

WAY(slice_steps, at[0] * 7 + 1 + 2 * at[1], tg_slice(t, x[0], 1, 1, 6, 2))
WAY(slice_from_end, 7 * (at[0] + 3) + at[1], tg_slice(t, x[0], 0, -2, TG_END, 1))
WAY(slice_clipped, i, tg_slice(t, x[0], -1, -100, 100, 1))
WAY(slice_nothing, 0, tg_slice(t, x[0], 0, 3, 3, 1))
WAY(slice_rows, at[0] * 10, tg_slice(t, x[0], 0, 0, TG_END, 10))
SAMPLES(slice, SAMPLE(slice_steps, "with a step", 0, ROWS(5, 7)),
        SAMPLE(slice_from_end, "from the end", 0, ROWS(5, 7)),
        SAMPLE(slice_clipped, "clipped", 0, ROWS(65)), SAMPLE(slice_nothing, "nothing", 0, ROWS(5)),
        SAMPLE(slice_rows, "a long step", 0, ROWS(1025)))

WAY(flip_rows, (2 - at[0]) * 4 + at[1], tg_flip(t, x[0], TG_AXES(0)))
WAY(flip_all, 129 - i, tg_flip(t, x[0], TG_ALL_AXES))
WAY(flip_scalar, 0, tg_flip(t, x[0], TG_ALL_AXES))
SAMPLES(flip, SAMPLE(flip_rows, "rows", 0, ROWS(3, 4)),
        SAMPLE(flip_all, "all axes", 0, ROWS(65, 2)),
        SAMPLE(flip_scalar, "a scalar", 0, REAL(-2, 2)),
        SAMPLE(flip_scalar, "nothing", 0, ROWS(0, 3)))

WAY(squeeze_middle, i, tg_squeeze(t, x[0], -2))
WAY(squeeze_only, 0, tg_squeeze(t, x[0], 0))
SAMPLES(squeeze, SAMPLE(squeeze_middle, "the middle axis", 0, ROWS(3, 1, 4)),
        SAMPLE(squeeze_only, "to a scalar", 0, ROWS(1)))

WAY(unsqueeze_first, i, tg_unsqueeze(t, x[0], 0))
WAY(unsqueeze_last, i, tg_unsqueeze(t, x[0], -1))
SAMPLES(unsqueeze, SAMPLE(unsqueeze_first, "in front", 0, ROWS(3, 4)),
        SAMPLE(unsqueeze_last, "at the end", 0, ROWS(3, 4)),
        SAMPLE(unsqueeze_last, "of a scalar", 0, REAL(-2, 2)))

WAY(pad_corner, at[0]<1 || at[1]> 2 ? -1 : (at[0] - 1) * 3 + at[1],
    tg_pad(t, x[0], TG_SHAPE(1, 0), TG_SHAPE(0, 2), 7))
WAY(pad_nothing, at[0]<3 || at[0]> 3 + 64 ? -1 : at[0] - 3,
    tg_pad(t, x[0], TG_SHAPE(3), TG_SHAPE(1), 7))
WAY(pad_empty, -1, tg_pad(t, x[0], TG_SHAPE(3), TG_SHAPE(1), 7))
WAY(pad_scalar, 0, tg_pad(t, x[0], TG_SCALAR, TG_SCALAR, 7))
SAMPLES(pad, SAMPLE(pad_corner, "a corner", 0, ROWS(2, 3)),
        SAMPLE(pad_nothing, "a vector", 0, ROWS(65)),
        SAMPLE(pad_empty, "around nothing", 0, ROWS(0)),
        SAMPLE(pad_scalar, "a scalar", 0, REAL(-2, 2)))

/* Operands of equal outer and inner sizes next to each other, step[k] elements of each at a
 * time. */
static void expect_joined(const tg_array *x, tg_array *y, int n, const int64_t *step)
{
    const int64_t count = tg_shape_count(y->shape);
    int64_t done[4] = {0}, i = 0;
    while (i < count)
        for (int k = 0; k < n; k++)
            for (int64_t j = 0; j < step[k]; j++)
                ((double *)y->data)[i++] = ((const double *)x[k].data)[done[k]++];
}

#define JOIN(id, n, axis, call, ...) \
    CALL(id, call(t, n, x, axis))    \
    EXPECT(id, expect_joined(x, y, n, (const int64_t[]){__VA_ARGS__}))

JOIN(concat_columns, 3, -1, tg_concat, 3, 1, 70)
JOIN(concat_rows, 4, 0, tg_concat, 195, 0, 6, 3)
JOIN(concat_one, 1, 1, tg_concat, 1)
JOIN(concat_nothing, 2, 0, tg_concat, 0, 0)
SAMPLES(concat, SAMPLE(concat_columns, "columns", 0, ROWS(2, 3), ROWS(2, 1), ROWS(2, 70)),
        SAMPLE(concat_rows, "rows, one operand empty", 0, ROWS(65, 3), ROWS(0, 3), ROWS(2, 3),
               ROWS(1, 3)),
        SAMPLE(concat_one, "one operand", 0, ROWS(3, 4)),
        SAMPLE(concat_nothing, "nothing", 0, ROWS(2, 0), ROWS(3, 0)))

JOIN(stack_first, 2, 0, tg_stack, 12, 12)
JOIN(stack_middle, 3, 1, tg_stack, 4, 4, 4)
JOIN(stack_last, 2, -1, tg_stack, 1, 1)
SAMPLES(stack, SAMPLE(stack_first, "in front", 0, ROWS(3, 4), ROWS(3, 4)),
        SAMPLE(stack_middle, "between", 0, ROWS(3, 4), ROWS(3, 4), ROWS(3, 4)),
        SAMPLE(stack_last, "at the end", 0, ROWS(65), ROWS(65)),
        SAMPLE(stack_last, "scalars", 0, REAL(-2, 2), REAL(-2, 2)),
        SAMPLE(stack_last, "nothing", 0, ROWS(3, 0), ROWS(3, 0)))

#endif
