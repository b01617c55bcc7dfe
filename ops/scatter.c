/* Parts of tensors taken, replaced and put together, by places, by indices and by ids. */
#include "elementwise.h"
#include "scatter.h"
#include <inttypes.h>
#include <math.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- parts along an axis */

static tg_tensor *part_of(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                          int64_t size, int64_t k)
{
    const int64_t n = tg_tensor_shape(x).dim[axis], parts = n == 0 ? 1 : n / size + (n % size != 0);
    if (k < 0 || k >= parts)
        return tg_fail_at(t, where, TG_EINDEX, "%s: there is no part %" PRId64 " of %" PRId64, name,
                          k, parts);
    return tg_slice(t, x, axis, k * size, n - k * size > size ? (k + 1) * size : n, 1);
}
tg_tensor *tg_split_at(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t size,
                       int64_t k)
{
    int found;
    if (!tg_has_axis(t, where, "split", x, axis, &found)) return NULL;
    if (size < 1) return tg_fail_at(t, where, TG_EVALUE, "split: a size of %" PRId64, size);
    return part_of(t, where, "split", x, found, size, k);
}
tg_tensor *tg_chunk_at(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t chunks,
                       int64_t k)
{
    int found;
    if (!tg_has_axis(t, where, "chunk", x, axis, &found)) return NULL;
    if (chunks < 1) return tg_fail_at(t, where, TG_EVALUE, "chunk: %" PRId64 " chunks", chunks);
    const int64_t n = tg_tensor_shape(x).dim[found], size = n / chunks + (n % chunks != 0);
    return part_of(t, where, "chunk", x, found, size ? size : 1, k);
}

/* ---------------------------------------------------------------- what comes to a place */

/* carried: sent */
/* A NaN beats every number. */
static bool beats(tg_dtype dtype, const void *values, int64_t a, int64_t b, tg_winner kind)
{
    const bool single = dtype == TG_F32;
    const double p = single ? (double)((const float *)values)[a] : ((const double *)values)[a],
                 q = single ? (double)((const float *)values)[b] : ((const double *)values)[b];
    return p != p ? q == q : kind == TG_GREATEST ? p > q : p < q;
}
/* carried so far */

/* attrs: the axis, the winner, the sizes of the result */
static bool sent_rule(tg_rule *r)
{
    r->y = (tg_type){TG_I64, {.ndim = r->n_attrs - 2}};
    for (int d = 0; d < r->y.shape.ndim; d++) r->y.shape.dim[d] = r->attrs[2 + d];
    return true;
}
/* carried: sent */
static void sent_kernel(const tg_call *c)
{
    const int axis = (int)c->attrs[0], dims = c->y->shape.ndim;
    const tg_winner kind = (tg_winner)c->attrs[1];
    const int64_t *index = c->x[0].data, *size = c->y->shape.dim, *sent = c->x[0].shape.dim,
                  n = tg_shape_count(c->y->shape), count = tg_shape_count(c->x[0].shape);
    int64_t *y = c->y->data, at[TG_MAX_DIMS] = {0}, step[TG_MAX_DIMS];
    for (int64_t i = 0; i < n; i++) y[i] = -1;
    step[dims - 1] = 1;
    for (int d = dims - 2; d >= 0; d--) step[d] = step[d + 1] * size[d + 1];
    for (int64_t i = 0; i < count; i++) {
        if (index[i] < 0 || index[i] >= size[axis]) {
            tg_call_fail(c, i, TG_EINDEX,
                         "index %" PRId64 " at position %" PRId64
                         " is outside axis %d of size %" PRId64,
                         index[i], i, axis, size[axis]);
            return;
        }
        int64_t to = 0;
        for (int d = 0; d < dims; d++) to += (d == axis ? index[i] : at[d]) * step[d];
        if (kind == TG_LAST || y[to] < 0 || beats(c->x[1].dtype, c->x[1].data, i, y[to], kind))
            y[to] = i;
        for (int d = dims - 1; d >= 0; d--) {
            if (++at[d] < sent[d]) break;
            at[d] = 0;
        }
    }
}
/* carried so far */

static const tg_op sent_places = {.size = sizeof(tg_op),
                                  .name = "sent_places",
                                  .n_in = 2,
                                  .rule = sent_rule,
                                  .kernel = sent_kernel,
                                  .carried = TG_CARRIED("sent sent_kernel")};
tg_tensor *tg_sent_to(tg_tape *t, const char *where, tg_shape to, int axis, tg_tensor *index,
                      tg_tensor *source, tg_winner kind)
{
    int64_t attrs[2 + TG_MAX_DIMS] = {axis, kind};
    for (int d = 0; d < to.ndim; d++) attrs[2 + d] = to.dim[d];
    return tg_apply(t, &sent_places, 2, ((tg_tensor *[]){index, source}), 2 + to.ndim, attrs);
}

tg_tensor *tg_at_places(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *place,
                        tg_tensor *found)
{
    const tg_shape shape = tg_tensor_shape(place);
    tg_tensor *from = tg_where(t, found, place, tg_constant_like(t, place, 0));
    return tg_reshape(t, tg_index_select(t, tg_flat(t, where, x), 0, tg_flat(t, where, from)),
                      shape);
}

/* ---------------------------------------------------------------- scatter */

static bool scatter_fits(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                         tg_tensor *index, tg_tensor *source, int *k)
{
    if (!tg_has_axis(t, where, name, x, axis, k) || !tg_ready(t, where, name, index) ||
        !tg_ready(t, where, name, source))
        return false;
    const tg_shape to = tg_tensor_shape(x), from = tg_tensor_shape(index);
    const tg_dtype dtype = tg_dtype_on(t, x);
    bool fits = tg_shape_equal(from, tg_tensor_shape(source)) && from.ndim == to.ndim;
    for (int d = 0; fits && d < to.ndim; d++) fits = d == *k || from.dim[d] <= to.dim[d];
    if (tg_tensor_dtype(index) != TG_I64 || tg_dtype_on(t, source) != dtype)
        tg_fail_at(t, where, TG_EDTYPE, "%s: index %s (i64 is wanted) and source %s for %s", name,
                   tg_dtype_name(tg_tensor_dtype(index)), tg_dtype_name(tg_dtype_on(t, source)),
                   tg_dtype_name(dtype));
    else if (!fits)
        tg_fail_at(t, where, TG_ESHAPE, "%s: index %s and source %s do not fit %s along axis %d",
                   name, tg_shape_text(from).text, tg_shape_text(tg_tensor_shape(source)).text,
                   tg_shape_text(to).text, *k);
    else return true;
    return false;
}

static tg_tensor *scattered(tg_tape *t, const char *where, tg_tensor *x, int axis, tg_tensor *index,
                            tg_tensor *source)
{
    if (tg_tensor_count(source) == 0) return x;
    tg_tensor *place = tg_sent_to(t, where, tg_tensor_shape(x), axis, index, source, TG_LAST),
              *found = tg_greater_equal(t, place, tg_constant_like(t, place, 0));
    return tg_where(t, found, tg_at_places(t, where, source, place, found), x);
}
tg_tensor *tg_scatter_at(tg_tape *t, const char *where, tg_tensor *x, int axis, tg_tensor *index,
                         tg_tensor *source)
{
    int k;
    if (!scatter_fits(t, where, "scatter", x, axis, index, source, &k)) return NULL;
    return scattered(t, where, x, k, index, source);
}

/* The value is chosen; the derivative is that of the mean of all that are equal to it. */
static tg_tensor *extremum(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                           tg_tensor *index, tg_tensor *source, bool most)
{
    int k;
    if (!tg_ready_float(t, where, name, x) ||
        !scatter_fits(t, where, name, x, axis, index, source, &k))
        return NULL;
    if (tg_tensor_count(source) == 0) return x;
    tg_tensor *place = tg_sent_to(t, where, tg_tensor_shape(x), k, index, source,
                                  most ? TG_GREATEST : TG_SMALLEST),
              *found = tg_greater_equal(t, place, tg_constant_like(t, place, 0)),
              *best = tg_at_places(t, where, source, place, found);
    tg_tensor *top = tg_where(t, found, most ? tg_maximum(t, x, best) : tg_minimum(t, x, best), x);
    top = tg_detach(t, top);
    tg_tensor *zero = tg_constant_like(t, x, 0), *one = tg_constant_like(t, x, 1),
              *in_x = tg_equal(t, x, top),
              *in_source = tg_equal(t, source, tg_gather(t, top, k, index));
    tg_tensor *count = tg_scatter_add(t, tg_where(t, in_x, one, zero), k, index,
                                      tg_where(t, in_source, one, zero)),
              *sum = tg_scatter_add(t, tg_where(t, in_x, x, zero), k, index,
                                    tg_where(t, in_source, source, zero));
    return tg_straight_through(t, top, tg_slope_over(t, where, sum, count));
}
tg_tensor *tg_scatter_amax_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                              tg_tensor *index, tg_tensor *source)
{
    return extremum(t, where, "scatter_amax", x, axis, index, source, true);
}
tg_tensor *tg_scatter_amin_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                              tg_tensor *index, tg_tensor *source)
{
    return extremum(t, where, "scatter_amin", x, axis, index, source, false);
}
tg_tensor *tg_scatter_mean_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                              tg_tensor *index, tg_tensor *source)
{
    int k;
    if (!tg_ready_float(t, where, "scatter_mean", x) ||
        !scatter_fits(t, where, "scatter_mean", x, axis, index, source, &k))
        return NULL;
    return tg_div(t, tg_scatter_add(t, x, k, index, source),
                  tg_scatter_add(t, tg_ones_like(t, x), k, index, tg_ones_like(t, source)));
}

/* ---------------------------------------------------------------- slices replaced */

/* The index of slices along the axis, for each element of source. Where slices have no elements,
 * nothing would look at it, and *x becomes what does. */
static tg_tensor *spread(tg_tape *t, const char *where, const char *name, tg_tensor **to, int axis,
                         tg_tensor *index, tg_tensor *source, int *k)
{
    tg_tensor *const x = *to;
    if (!tg_has_axis(t, where, name, x, axis, k) || !tg_ready(t, where, name, index) ||
        !tg_ready(t, where, name, source))
        return NULL;
    tg_shape own = tg_tensor_shape(x), wanted = own;
    for (int d = 0; d < own.ndim; d++) own.dim[d] = 1;
    own.dim[*k] = wanted.dim[*k] = tg_tensor_count(index);
    if (tg_tensor_shape(index).ndim != 1 || !tg_shape_equal(wanted, tg_tensor_shape(source)))
        return tg_fail_at(
            t, where, TG_ESHAPE, "%s: index %s and source %s do not fit %s along axis %d", name,
            tg_shape_text(tg_tensor_shape(index)).text, tg_shape_text(tg_tensor_shape(source)).text,
            tg_shape_text(tg_tensor_shape(x)).text, *k);
    if (tg_tensor_count(x) == 0)
        *to = tg_reshape(t, tg_index_select(t, x, *k, index), tg_tensor_shape(x));
    return tg_expand(t, tg_reshape(t, index, own), wanted);
}
tg_tensor *tg_index_add_at(tg_tape *t, const char *where, tg_tensor *x, int axis, tg_tensor *index,
                           tg_tensor *source)
{
    int k;
    index = spread(t, where, "index_add", &x, axis, index, source, &k);
    return index ? tg_scatter_add(t, x, k, index, source) : NULL;
}
tg_tensor *tg_index_copy_at(tg_tape *t, const char *where, tg_tensor *x, int axis, tg_tensor *index,
                            tg_tensor *source)
{
    int k;
    index = spread(t, where, "index_copy", &x, axis, index, source, &k);
    return index ? tg_scatter(t, x, k, index, source) : NULL;
}

static int64_t clipped(int64_t at, int64_t n)
{
    if (at < 0) at = at < -n ? 0 : at + n;
    return at > n ? n : at;
}
tg_tensor *tg_slice_scatter_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *source,
                               int axis, int64_t start, int64_t stop, int64_t step)
{
    const char *const name = "slice_scatter";
    int k;
    if (!tg_has_axis(t, where, name, x, axis, &k) || !tg_ready(t, where, name, source)) return NULL;
    tg_tensor *slice = tg_slice(t, x, k, start, stop, step);
    if (!slice) return NULL;
    if (!tg_shape_equal(tg_tensor_shape(slice), tg_tensor_shape(source)))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: the slice is %s, the source %s", name,
                          tg_shape_text(tg_tensor_shape(slice)).text,
                          tg_shape_text(tg_tensor_shape(source)).text);
    const int64_t n = tg_tensor_shape(x).dim[k], m = tg_tensor_shape(slice).dim[k],
                  first = clipped(start, n);
    if (m == 0) return x;
    if (step == 1)
        return tg_concat(t, 3,
                         ((tg_tensor *[]){tg_slice(t, x, k, 0, first, 1), source,
                                          tg_slice(t, x, k, first + m, n, 1)}),
                         k);
    tg_tensor *index =
        tg_arange(t, TG_I64, (double)first, (double)(first + m * step), (double)step);
    return tg_index_copy(t, x, k, index, source);
}
tg_tensor *tg_select_scatter_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *source,
                                int axis, int64_t index)
{
    const char *const name = "select_scatter";
    int k;
    if (!tg_has_axis(t, where, name, x, axis, &k) || !tg_ready(t, where, name, source)) return NULL;
    const int64_t n = tg_tensor_shape(x).dim[k], at = index < 0 ? index + n : index;
    if (index < -n || index >= n)
        return tg_fail_at(t, where, TG_EINDEX,
                          "%s: there is no element %" PRId64 " of axis %d of %s", name, index, axis,
                          tg_shape_text(tg_tensor_shape(x)).text);
    return tg_slice_scatter(t, x, tg_unsqueeze(t, source, k), k, at, at + 1, 1);
}

/* ---------------------------------------------------------------- an index for each axis */

/* index times a step, of an axis and its size: where it must be inside of it. */
/* carried: multiple */
enum { AXIS, SIZE, STEP };
/* carried so far */
static bool multiple_rule(tg_rule *r)
{
    r->y = r->x[0];
    if (r->y.dtype == TG_I64) return true;
    return tg_rule_fail(r, TG_EDTYPE, "an index is i64, not %s", tg_dtype_name(r->y.dtype));
}
/* carried: multiple */
static void multiple_kernel(const tg_call *c)
{
    const int64_t *index = c->x[0].data, size = c->attrs[SIZE];
    int64_t *y = c->y->data;
    for (int64_t i = 0; i < tg_shape_count(c->y->shape); i++) {
        const bool inside = index[i] >= 0 && index[i] < size;
        y[i] = inside ? index[i] * c->attrs[STEP] : 0;
        if (!inside)
            tg_call_fail(c, i, TG_EINDEX,
                         "index %" PRId64 " at position %" PRId64
                         " is outside axis %d of size %" PRId64,
                         index[i], i, (int)c->attrs[AXIS], size);
    }
}
/* carried so far */
static const tg_op in_gather = {.size = sizeof(tg_op),
                                .name = "gather_nd",
                                .n_in = 1,
                                .rule = multiple_rule,
                                .kernel = multiple_kernel,
                                .carried = TG_CARRIED("multiple multiple_kernel")},
                   in_put = {.size = sizeof(tg_op),
                             .name = "index_put",
                             .n_in = 1,
                             .rule = multiple_rule,
                             .kernel = multiple_kernel,
                             .carried = TG_CARRIED("multiple multiple_kernel")};

/* One index into the first n axes joined, from one for each; *x gets them joined, *index_shape the
 * shape of each index. */
static tg_tensor *joined(tg_tape *t, const char *where, const tg_op *op, tg_tensor **x, int n,
                         tg_tensor *const *index, tg_shape *index_shape)
{
    const char *const name = op->name;
    if (!tg_ready(t, where, name, *x)) return NULL;
    const tg_shape s = tg_tensor_shape(*x);
    if (n < 1 || n > s.ndim || !index)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %d indices for %s", name, n,
                          tg_shape_text(s).text);
    tg_shape joined_shape = {.ndim = s.ndim - n + 1, .dim = {1}};
    for (int d = n; d < s.ndim; d++) joined_shape.dim[d - n + 1] = s.dim[d];
    tg_tensor *sum = NULL;
    for (int d = 0; d < n; d++)
        if (!tg_ready(t, where, name, index[d])) return NULL;
    *index_shape = tg_tensor_shape(index[0]);
    for (int d = n - 1; d >= 0; d--) {
        if (!tg_shape_equal(tg_tensor_shape(index[d]), *index_shape))
            return tg_fail_at(t, where, TG_ESHAPE, "%s: indices of shapes %s and %s", name,
                              tg_shape_text(*index_shape).text,
                              tg_shape_text(tg_tensor_shape(index[d])).text);
        tg_tensor *flat = tg_flat(t, where, index[d]),
                  *term = tg_apply(t, op, 1, &flat, 3,
                                   ((const int64_t[]){d, s.dim[d], joined_shape.dim[0]}));
        sum = sum ? tg_add(t, sum, term) : term;
        joined_shape.dim[0] *= s.dim[d];
    }
    *x = tg_reshape(t, *x, joined_shape);
    return sum;
}
/* The index's sizes, then those of x behind its first n. */
static tg_shape indexed_shape(tg_shape index, tg_shape x, int n)
{
    for (int d = n; d < x.ndim && index.ndim < TG_MAX_DIMS; d++) index.dim[index.ndim++] = x.dim[d];
    return index;
}
tg_tensor *tg_gather_nd_at(tg_tape *t, const char *where, tg_tensor *x, int n,
                           tg_tensor *const *index)
{
    const tg_shape s = tg_tensor_shape(x);
    tg_shape own;
    tg_tensor *at = joined(t, where, &in_gather, &x, n, index, &own);
    if (!at) return NULL;
    return tg_reshape(t, tg_index_select(t, x, 0, at), indexed_shape(own, s, n));
}
tg_tensor *tg_index_put_at(tg_tape *t, const char *where, tg_tensor *x, int n,
                           tg_tensor *const *index, tg_tensor *source, bool accumulate)
{
    const tg_shape s = tg_tensor_shape(x);
    tg_shape own, rows;
    tg_tensor *at = joined(t, where, &in_put, &x, n, index, &own);
    if (!at || !tg_ready(t, where, "index_put", source)) return NULL;
    const tg_shape wanted = indexed_shape(own, s, n);
    if (!tg_shape_equal(wanted, tg_tensor_shape(source)))
        return tg_fail_at(t, where, TG_ESHAPE, "index_put: the source is %s, not %s",
                          tg_shape_text(tg_tensor_shape(source)).text, tg_shape_text(wanted).text);
    rows = tg_tensor_shape(x);
    rows.dim[0] = tg_tensor_count(at);
    source = tg_reshape(t, source, rows);
    return tg_reshape(
        t, accumulate ? tg_index_add(t, x, 0, at, source) : tg_index_copy(t, x, 0, at, source), s);
}

/* ---------------------------------------------------------------- a row without a gradient */

tg_tensor *tg_embedding_padded_at(tg_tape *t, const char *where, tg_tensor *table, tg_tensor *index,
                                  int64_t padding)
{
    const char *const name = "embedding_padded";
    if (!tg_ready(t, where, name, table) || !tg_ready(t, where, name, index)) return NULL;
    if (tg_tensor_dtype(index) != TG_I64 || tg_tensor_shape(index).ndim == TG_MAX_DIMS)
        return tg_embedding(t, table, index); /* which says what is wrong */
    tg_tensor *rows = tg_embedding(t, table, index),
              *pad = tg_equal(t, index, tg_constant(t, TG_I64, (double)padding));
    return rows ? tg_where(t, tg_unsqueeze(t, pad, -1), tg_detach(t, rows), rows) : NULL;
}

/* ---------------------------------------------------------------- segments */

/* Whether ids say for each slice of x along axis 0 which of n segments it belongs to. */
static bool are_ids(tg_tape *t, const char *where, const char *name, tg_tensor *x, tg_tensor *ids,
                    int64_t n, tg_shape *result)
{
    if (!tg_ready_float(t, where, name, x) || !tg_ready(t, where, name, ids)) return false;
    *result = tg_tensor_shape(x);
    if (result->ndim < 1 || !tg_shape_equal(tg_tensor_shape(ids), TG_SHAPE(result->dim[0])) ||
        n < 0) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: ids %s for %" PRId64 " segments of %s", name,
                   tg_shape_text(tg_tensor_shape(ids)).text, n, tg_shape_text(*result).text);
        return false;
    }
    result->dim[0] = n;
    return true;
}
static tg_tensor *segments_of(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *ids,
                              tg_shape result)
{
    return tg_index_add(t, tg_expand(t, tg_constant_like(t, x, 0), result), 0, ids, x);
}
tg_tensor *tg_segment_sum_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *ids, int64_t n)
{
    tg_shape result;
    return are_ids(t, where, "segment_sum", x, ids, n, &result)
               ? segments_of(t, where, x, ids, result)
               : NULL;
}
tg_tensor *tg_segment_mean_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *ids,
                              int64_t n)
{
    tg_shape result, own = {.ndim = 0};
    if (!are_ids(t, where, "segment_mean", x, ids, n, &result)) return NULL;
    tg_tensor *one = tg_constant_like(t, x, 1),
              *size =
                  segments_of(t, where, tg_expand(t, one, tg_tensor_shape(ids)), ids, TG_SHAPE(n));
    own = result;
    for (int d = 1; d < own.ndim; d++) own.dim[d] = 1;
    return tg_div(t, segments_of(t, where, x, ids, result),
                  tg_reshape(t, tg_maximum(t, size, one), own));
}
tg_tensor *tg_segment_max_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *ids, int64_t n)
{
    tg_shape result;
    int k;
    if (!are_ids(t, where, "segment_max", x, ids, n, &result)) return NULL;
    tg_tensor *none = tg_expand(t, tg_constant_like(t, x, -(double)INFINITY), result),
              *index = spread(t, where, "segment_max", &none, 0, ids, x, &k);
    return index ? tg_scatter_amax(t, none, 0, index, x) : NULL;
}

KNOWN(split, "[..., n, ...] -> [..., size, ...]", -1, ("y = part k of x, of `size` slices each"))
KNOWN(chunk, "[..., n, ...] -> [..., m, ...]", -1, ("y = part k of x in equal parts"))
KNOWN(scatter, "x, index, source alike but along the axis -> x's", -1,
      ("y = x, y[index[i,j],j] = source[i,j]"))
#define REDUCED(name, known) \
    KNOWN(name, "x, index, source alike but along the axis -> x's", -1, known)
REDUCED(scatter_amax, ("y[k,j] = max of x[k,j] and all source[i,j] with index[i,j] = k",
                       .kinks = "equal elements"))
REDUCED(scatter_amin, ("y[k,j] = min of x[k,j] and all source[i,j] with index[i,j] = k",
                       .kinks = "equal elements"))
REDUCED(scatter_mean, ("y[k,j] = mean of x[k,j] and all source[i,j] with index[i,j] = k"))
KNOWN(index_add, "[..., n, ...], [m], [..., m, ...] -> [..., n, ...]", -1,
      ("y = x, y[index[i]] += source[i]"))
KNOWN(index_copy, "[..., n, ...], [m], [..., m, ...] -> [..., n, ...]", -1,
      ("y = x, y[index[i]] = source[i]"))
KNOWN(slice_scatter, "[..., n, ...], [..., m, ...] -> [..., n, ...]", -1,
      ("y = x, y[start:stop:step] = source"))
KNOWN(select_scatter, "[..., n, ...], [..., ...] -> [..., n, ...]", -1,
      ("y = x, y[index] = source"))
KNOWN(gather_nd, "[n1, n2, ..., ...], indices [...] -> [..., ...]", -1,
      ("y[i] = x[index1[i], index2[i], ...]"))
KNOWN(index_put, "[n1, n2, ..., ...], indices [...], source [..., ...] -> x's", -1,
      ("y = x, y[index1[i], index2[i], ...] = source[i], or +="))
KNOWN(embedding_padded, "[rows, width], i64 [...] -> [..., width]", -1, ("y = table[index]"))
#define SEGMENT(name, known) KNOWN(name, "[m, ...], [m] -> [n, ...]", -1, known)
SEGMENT(segment_sum, ("y[k] = sum of x[i] with ids[i] = k"))
SEGMENT(segment_mean, ("y[k] = mean of x[i] with ids[i] = k"))
SEGMENT(segment_max, ("y[k] = max of x[i] with ids[i] = k", .kinks = "equal elements"))
#else

#define WIDE(...) REALS(-2, 2, __VA_ARGS__)

CALL(split, tg_split(t, x[0], -1, 2, 2))
EXPECT_ROWS(split, IN(0)[row * 5 + 4 + column])
SAMPLES(split, SAMPLE(split, "the rest", 0, WIDE(3, 5)))
CALL(chunk, tg_chunk(t, x[0], 1, 3, 1))
EXPECT_ROWS(chunk, IN(0)[row * 5 + 2 + column])
SAMPLES(chunk, SAMPLE(chunk, "", 0, WIDE(3, 5)))

/* y = x, then for each element of source: to and from are what it meets and brings. */
#define SENT(id, ...)                                                                   \
    EXPECT(                                                                             \
        id, const int64_t m = y->shape.dim[1], s = x[1].shape.dim[1]; double count[64]; \
        for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {                        \
            OUT[i] = IN(0)[i];                                                          \
            count[i] = 1;                                                               \
        } for (int64_t i = 0; i < tg_shape_count(x[1].shape); i++) {                    \
            const int64_t at = (int64_t)IN(1)[i] * m + i % s;                           \
            const double to = OUT[at], from = IN(2)[i], n = ++count[at];                \
            (void)to;                                                                   \
            (void)n;                                                                    \
            OUT[at] = __VA_ARGS__;                                                      \
        })
#define SENDING(op, ...)                                                         \
    CALL(op, tg_##op(t, x[0], 0, x[1], x[2]))                                    \
    SENT(op, __VA_ARGS__)                                                        \
    SAMPLES(op, SAMPLE(op, "", 0, WIDE(3, 4), INTEGERS(0, 2, 5, 3), WIDE(5, 3)), \
            SAMPLE(op, "nothing", 0, WIDE(3, 4), INTEGERS(0, 2, 0, 3), WIDE(0, 3)))
SENDING(scatter, from)
SENDING(scatter_amax, fmax(to, from))
SENDING(scatter_amin, fmin(to, from))
SENDING(scatter_mean, to + (from - to) / n)

#define SLICES(op, ...)                                                           \
    CALL(op, tg_##op(t, x[0], 0, x[1], x[2]))                                     \
    EXPECT(                                                                       \
        op, const int64_t m = y->shape.dim[1];                                    \
        for (int64_t i = 0; i < tg_shape_count(y->shape); i++) OUT[i] = IN(0)[i]; \
        for (int64_t i = 0; i < tg_shape_count(x[2].shape); i++) {                \
            double *to = OUT + (int64_t)IN(1)[i / m] * m + i % m;                 \
            const double from = IN(2)[i];                                         \
            __VA_ARGS__;                                                          \
        })                                                                        \
    SAMPLES(op, SAMPLE(op, "", 0, WIDE(3, 2), INTEGERS(0, 2, 4), WIDE(4, 2)))
SLICES(index_add, *to += from)
SLICES(index_copy, *to = from)
CALL(odd_rows, tg_slice_scatter(t, x[0], x[1], 0, -4, TG_END, 2))
EXPECT_ROWS(odd_rows, row % 2 ? IN(1)[row / 2 * m + column] : IN(0)[i])
CALL(columns, tg_slice_scatter(t, x[0], x[1], 1, 1, 3, 1))
EXPECT_ROWS(columns, column == 1 || column == 2 ? IN(1)[row * 2 + column - 1] : IN(0)[i])
SAMPLES(slice_scatter, SAMPLE(odd_rows, "steps", 0, WIDE(5, 3), WIDE(2, 3)),
        SAMPLE(columns, "joined", 0, WIDE(3, 4), WIDE(3, 2)))
CALL(one_row, tg_select_scatter(t, x[0], x[1], 0, -1))
EXPECT_ROWS(one_row, row == 2 ? IN(1)[column] : IN(0)[i])
SAMPLES(select_scatter, SAMPLE(one_row, "", 0, WIDE(3, 4), WIDE(4)))
CALL(pairs, tg_gather_nd(t, x[0], 2, x + 1))
EXPECT_ROWS(pairs, IN(0)[((int64_t)IN(1)[row] * 3 + (int64_t)IN(2)[row]) * m + column])
SAMPLES(gather_nd, SAMPLE(pairs, "", 0, WIDE(2, 3, 2), INTEGERS(0, 1, 4), INTEGERS(0, 2, 4)))
#define PUT(id, accumulate, ...)                                                          \
    CALL(id, tg_index_put(t, x[0], 2, x + 1, x[3], accumulate))                           \
    EXPECT(                                                                               \
        id, for (int64_t i = 0; i < tg_shape_count(y->shape); i++) OUT[i] = IN(0)[i];     \
        for (int64_t i = 0; i < x[3].shape.dim[0]; i++) for (int64_t j = 0; j < 2; j++) { \
            double *to = OUT + ((int64_t)IN(1)[i] * 3 + (int64_t)IN(2)[i]) * 2 + j;       \
            __VA_ARGS__;                                                                  \
        })
PUT(put, false, *to = IN(3)[2 * i + j])
PUT(put_more, true, *to += IN(3)[2 * i + j])
#define PUT_SAMPLE(id, text) \
    SAMPLE(id, text, 0, WIDE(2, 3, 2), INTEGERS(0, 1, 4), INTEGERS(0, 2, 4), WIDE(4, 2))
SAMPLES(index_put, PUT_SAMPLE(put, "assigned"), PUT_SAMPLE(put_more, "added"))

CALL(padded, tg_embedding_padded(t, x[0], x[1], 9))
EXPECT_ROWS(padded, IN(0)[(int64_t)IN(1)[row] * m + column])
SAMPLES(embedding_padded, SAMPLE(padded, "", 0, WIDE(3, 2), INTEGERS(0, 2, 4)))

/* Over the slices of a segment. */
#define OVER(id, start, step, end)                \
    CALL(id, tg_##id(t, x[0], x[1], 4))           \
    EXPECT_ROWS(id, over_##id(x, row, column, m)) \
    SAMPLES(id, SAMPLE(id, "", 0, WIDE(6, 2), INTEGERS(0, 2, 6)))
#define SEGMENT_SUM(id, start, step, end)                                              \
    static double over_##id(const tg_array *x, int64_t row, int64_t column, int64_t m) \
    {                                                                                  \
        double sum = start, n = 0;                                                     \
        for (int64_t i = 0; i < x->shape.dim[0]; i++) {                                \
            const double v = IN(0)[i * m + column];                                    \
            if ((int64_t)IN(1)[i] != row) continue;                                    \
            sum = step;                                                                \
            n++;                                                                       \
        }                                                                              \
        (void)n;                                                                       \
        return end;                                                                    \
    }                                                                                  \
    OVER(id, start, step, end)
SEGMENT_SUM(segment_sum, 0, sum + v, sum)
SEGMENT_SUM(segment_mean, 0, sum + v, sum / fmax(n, 1))
CALL(segment_max, tg_relu(t, tg_segment_max(t, x[0], x[1], 4)))
static double over_max(const tg_array *x, int64_t row, int64_t column, int64_t m)
{
    double most = 0;
    for (int64_t i = 0; i < x->shape.dim[0]; i++)
        if ((int64_t)IN(1)[i] == row) most = fmax(most, IN(0)[i * m + column]);
    return most;
}
EXPECT_ROWS(segment_max, over_max(x, row, column, m))
SAMPLES(segment_max, SAMPLE(segment_max, "", 0, WIDE(6, 2), INTEGERS(0, 2, 6)))

#endif
