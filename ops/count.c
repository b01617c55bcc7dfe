/* What is found and counted: by masks, among equals, between edges. No shape depends on data: what
 * finds a number of things is told how many to give. */
#include <inttypes.h>
#include <math.h>

#include "scatter.h"

#ifndef TG_SAMPLES

static tg_tensor *is_set(tg_tape *t, const char *where, tg_tensor *mask)
{
    return tg_not_equal(t, mask, tg_constant_like(t, mask, 0));
}

/* ---------------------------------------------------------------- as many as are wanted */

tg_tensor *tg_count_nonzero_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready(t, where, "count_nonzero", x)) return NULL;
    return tg_sum(t, is_set(t, where, x), TG_ALL_AXES, false);
}

/* Places in the order of their ranks; what has none, or one beyond the size, shares one more. */
static tg_tensor *places_of(tg_tape *t, const char *where, const char *name, tg_tensor *mask,
                            int64_t size)
{
    if (size < 0 || size >= TG_MAX_COUNT)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %" PRId64 " elements", name, size);
    mask = is_set(t, where, tg_flat(t, where, mask));
    tg_tensor *rank = tg_cumsum(t, tg_cast(t, mask, TG_I64), 0),
              *last = tg_constant(t, TG_I64, (double)size);
    tg_tensor *taken = tg_logical_and(t, mask, tg_less_equal(t, rank, last)),
              *to = tg_where(t, taken, tg_sub(t, rank, tg_constant(t, TG_I64, 1)), last);
    return tg_slice(t, tg_sent_to(t, where, TG_SHAPE(size + 1), 0, to, to, TG_LAST), 0, 0, size, 1);
}
tg_tensor *tg_nonzero_at(tg_tape *t, const char *where, tg_tensor *x, int64_t size, int64_t fill)
{
    if (!tg_ready(t, where, "nonzero", x)) return NULL;
    tg_tensor *place = places_of(t, where, "nonzero", x, size);
    return place ? tg_where(t, tg_less(t, place, tg_constant(t, TG_I64, 0)),
                            tg_constant(t, TG_I64, (double)fill), place)
                 : NULL;
}
static tg_tensor *selected(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                           tg_tensor *mask, int64_t size, double fill)
{
    tg_tensor *place = places_of(t, where, name, mask, size), *rest = tg_constant_like(t, x, fill);
    if (!place) return NULL;
    if (tg_tensor_count(x) == 0) return tg_expand(t, rest, TG_SHAPE(size));
    tg_tensor *found = tg_greater_equal(t, place, tg_constant(t, TG_I64, 0));
    return tg_where(t, found, tg_at_places(t, where, x, place, found), rest);
}
tg_tensor *tg_masked_select_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *mask,
                               int64_t size, double fill)
{
    if (!tg_ready(t, where, "masked_select", x) || !tg_ready(t, where, "masked_select", mask))
        return NULL;
    mask = tg_expand(t, mask, tg_tensor_shape(x));
    return mask ? selected(t, where, "masked_select", x, mask, size, fill) : NULL;
}

/* x in order, and a mask of those that differ from the one before. */
static tg_tensor *distinct(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **sorted)
{
    const int64_t n = tg_tensor_count(x);
    x = tg_flat(t, where, x);
    *sorted = tg_gather(t, x, 0, tg_argsort(t, x, 0, false));
    tg_tensor *one = tg_constant(t, TG_U8, 1);
    if (n == 0) return tg_expand(t, one, TG_SHAPE(0));
    tg_tensor *differs =
        tg_not_equal(t, tg_slice(t, *sorted, 0, 1, n, 1), tg_slice(t, *sorted, 0, 0, n - 1, 1));
    return tg_concat(t, 2, ((tg_tensor *[]){tg_expand(t, one, TG_SHAPE(1)), differs}), 0);
}
tg_tensor *tg_unique_at(tg_tape *t, const char *where, tg_tensor *x, int64_t size, double fill)
{
    tg_tensor *sorted;
    if (!tg_ready(t, where, "unique", x)) return NULL;
    tg_tensor *mask = distinct(t, where, x, &sorted);
    return mask ? selected(t, where, "unique", sorted, mask, size, fill) : NULL;
}
tg_tensor *tg_count_unique_at(tg_tape *t, const char *where, tg_tensor *x)
{
    tg_tensor *sorted;
    if (!tg_ready(t, where, "count_unique", x)) return NULL;
    return tg_sum(t, distinct(t, where, x, &sorted), TG_ALL_AXES, false);
}

/* ---------------------------------------------------------------- where it belongs, and counts */

static bool searchsorted_rule(tg_rule *r)
{
    const tg_shape edges = r->x[0].shape, values = r->x[1].shape;
    bool fits = edges.ndim == 1 || (edges.ndim > 1 && edges.ndim == values.ndim);
    for (int d = 0; fits && edges.ndim > 1 && d < edges.ndim - 1; d++)
        fits = edges.dim[d] == values.dim[d];
    if (!fits)
        return tg_rule_fail(r, TG_ESHAPE, "values %s in %s", tg_shape_text(values).text,
                            tg_shape_text(edges).text);
    if (r->x[0].dtype != r->x[1].dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->x[0].dtype),
                            tg_dtype_name(r->x[1].dtype));
    r->y = (tg_type){TG_I64, values};
    return true;
}

/* carried: search */
/* A NaN comes behind all that are no NaN. */
#define SEARCH(fn, T)                                                                       \
    static int64_t fn(const void *edges, int64_t n, const void *value, bool right)          \
    {                                                                                       \
        const T *e = (const T *)edges, v = *(const T *)value;                               \
        int64_t low = 0;                                                                    \
        for (int64_t high = n; low < high;) {                                               \
            const int64_t middle = low + (high - low) / 2;                                  \
            const bool behind = right ? e[middle] > v || (e[middle] != e[middle] && v == v) \
                                      : e[middle] >= v || e[middle] != e[middle];           \
            if (behind) high = middle;                                                      \
            else low = middle + 1;                                                          \
        }                                                                                   \
        return low;                                                                         \
    }
SEARCH(search_f32, float)
SEARCH(search_f64, double)
SEARCH(search_i64, int64_t)
SEARCH(search_u8, uint8_t)
static void searchsorted_kernel(const tg_call *c)
{
    static int64_t (*const search[])(const void *, int64_t, const void *,
                                     bool) = {search_f32, search_f64, search_i64, search_u8};
    const tg_shape edges = c->x[0].shape;
    const int64_t n = edges.dim[edges.ndim - 1], count = tg_shape_count(c->y->shape),
                  m = edges.ndim > 1 ? c->y->shape.dim[edges.ndim - 1] : count;
    const size_t size = tg_dtype_size(c->x[0].dtype);
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)c->y->data)[i] =
            search[c->x[0].dtype]((const char *)c->x[0].data + (size_t)(i / m * n) * size, n,
                                  (const char *)c->x[1].data + (size_t)i * size, c->attrs[0] != 0);
}
/* carried so far */

static const tg_op searchsorted = {.size = sizeof(tg_op),
                                   .name = "searchsorted",
                                   .n_in = 2,
                                   .rule = searchsorted_rule,
                                   .kernel = searchsorted_kernel,
                                   .carried = TG_CARRIED("search searchsorted_kernel")};
tg_tensor *tg_searchsorted_at(tg_tape *t, const char *where, tg_tensor *edges, tg_tensor *values,
                              bool right)
{
    return tg_apply(t, &searchsorted, 2, ((tg_tensor *[]){edges, values}), 1,
                    ((const int64_t[]){right}));
}
tg_tensor *tg_bucketize_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *edges,
                           bool right)
{
    if (!tg_ready(t, where, "bucketize", x) || !tg_ready(t, where, "bucketize", edges)) return NULL;
    if (tg_tensor_shape(edges).ndim != 1)
        return tg_fail_at(t, where, TG_ESHAPE, "bucketize: the edges are %s, no vector",
                          tg_shape_text(tg_tensor_shape(edges)).text);
    return tg_searchsorted(t, edges, x, right);
}

static tg_tensor *counts(tg_tape *t, const char *where, tg_tensor *ids, tg_tensor *weights,
                         int64_t n)
{
    return tg_index_add(t, tg_zeros(t, TG_I64, TG_SHAPE(n)), 0, tg_flat(t, where, ids),
                        tg_flat(t, where, weights));
}
tg_tensor *tg_bincount_at(tg_tape *t, const char *where, tg_tensor *ids, int64_t n)
{
    if (!tg_ready(t, where, "bincount", ids)) return NULL;
    if (n < 0 || tg_tensor_dtype(ids) != TG_I64)
        return tg_fail_at(t, where, n < 0 ? TG_ESHAPE : TG_EDTYPE,
                          "bincount: ids of %s, %" PRId64 " bins",
                          tg_dtype_name(tg_tensor_dtype(ids)), n);
    return counts(t, where, ids, tg_ones_like(t, ids), n);
}
tg_tensor *tg_histc_at(tg_tape *t, const char *where, tg_tensor *x, int64_t bins, double low,
                       double high)
{
    if (!tg_ready_float(t, where, "histc", x)) return NULL;
    if (bins < 1 || !(low < high) || !isfinite(high - low))
        return tg_fail_at(t, where, TG_EVALUE, "histc: %" PRId64 " bins from %g to %g", bins, low,
                          high);
    tg_tensor *first = tg_constant_like(t, x, low),
              *inside = tg_logical_and(t, tg_greater_equal(t, x, first),
                                       tg_less_equal(t, x, tg_constant_like(t, x, high)));
    tg_tensor *bin =
        tg_scale(t, tg_sub(t, tg_where(t, inside, x, first), first), (double)bins / (high - low));
    bin = tg_cast(t, tg_clamp(t, bin, 0, (double)(bins - 1)), TG_I64);
    return counts(t, where, bin, tg_cast(t, inside, TG_I64), bins);
}

KNOWN(count_nonzero, "any -> i64 []", 0, ("y = how many of x are not 0"))
KNOWN(nonzero, "any -> i64 [size]", 0, ("y = the places where x is not 0, then fill"))
KNOWN(masked_select, "any, broadcast to it -> [size]", -1, ("y = x where mask, then fill"))
KNOWN(unique, "any -> [size]", -1,
      ("y = the different elements of x in order, then fill", .kinks = "equal elements"))
KNOWN(count_unique, "any -> i64 []", 0, ("y = how many of x are different"))
KNOWN(searchsorted, "[n] or [..., n], [..., m] -> i64 [..., m]", 0,
      ("y = how many edges are below a value, or not above it"))
KNOWN(bucketize, "any, [n] -> i64", 0, ("y = how many edges are below x, or not above it"))
KNOWN(bincount, "any -> i64 [n]", 0, ("y[k] = how many ids are k"))
KNOWN(histc, "any -> i64 [bins]", 0, ("y[k] = how many of x are in bin k"))

#else

#define WIDE(...) REALS(-2, 2, __VA_ARGS__)
/* What a mask picks, in order, then -7. */
static void picked(const tg_array *x, tg_array *y, const double *mask, bool places)
{
    int64_t n = 0;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++)
        if (mask[i] != 0 && n < y->shape.dim[0]) OUT[n++] = places ? (double)i : IN(0)[i];
    while (n < y->shape.dim[0]) OUT[n++] = -7;
}
CALL(set, tg_nonzero(t, x[0], 4, -7))
EXPECT(set, picked(x, y, IN(0), true))
CALL(all_set, tg_nonzero(t, x[0], 20, -7))
EXPECT(all_set, picked(x, y, IN(0), true))
SAMPLES(nonzero, SAMPLE(set, "some", 0, BYTES(0, 1, 3, 5)),
        SAMPLE(all_set, "all", 0, BYTES(0, 1, 3, 5)))
CALL(selected, tg_masked_select(t, x[0], x[1], 6, -7))
EXPECT(selected, picked(x, y, IN(1), false))
SAMPLES(masked_select, SAMPLE(selected, "", 0, WIDE(3, 4), BYTES(0, 1, 3, 4)),
        SAMPLE(selected, "nothing", 0, WIDE(3, 0), BYTES(0, 1, 3, 0)))
static int64_t distinct_of(const tg_array *x, double *to)
{
    int64_t found = 0;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        int64_t k = 0, above = 0;
        for (k = 0; k < i && IN(0)[k] != IN(0)[i]; k++) continue;
        if (k < i) continue;
        for (k = 0; k < found && to[k] < IN(0)[i]; k++) continue;
        for (above = found++; above > k; above--) to[above] = to[above - 1];
        to[k] = IN(0)[i];
    }
    return found;
}
static void unique_of(const tg_array *x, tg_array *y)
{
    double to[64];
    const int64_t n = distinct_of(x, to);
    for (int64_t i = 0; i < y->shape.dim[0]; i++) OUT[i] = i < n ? to[i] : -7;
}
CALL(unique, tg_unique(t, x[0], 14, -7))
EXPECT(unique, unique_of(x, y))
SAMPLES(unique, SAMPLE(unique, "floats", 0, WIDE(3, 4)),
        SAMPLE(unique, "i64", TG_NOT_SMOOTH, INTEGERS(-3, 3, 3, 4)))
CALL(kinds, tg_count_unique(t, x[0]))
EXPECT(kinds, double to[64]; OUT[0] = (double)distinct_of(x, to))
SAMPLES(count_unique, SAMPLE(kinds, "", 0, BYTES(0, 9, 3, 4)))
CALL(set_ones, tg_count_nonzero(t, x[0]))
EXPECT(set_ones, OUT[0] = 0;
       for (int64_t i = 0; i < tg_shape_count(x->shape); i++) OUT[0] += IN(0)[i] != 0)
SAMPLES(count_nonzero, SAMPLE(set_ones, "", 0, BYTES(0, 1, 3, 4)))

static double below(const double *edges, int64_t n, double v, bool right)
{
    double count = 0;
    for (int64_t k = 0; k < n; k++) count += right ? edges[k] <= v : edges[k] < v;
    return count;
}
CALL(places, tg_searchsorted(t, tg_cumsum(t, x[0], 1), x[1], false))
EXPECT(
    places, const int64_t n = x->shape.dim[1], m = y->shape.dim[1]; double edges[64];
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        edges[0] = IN(0)[i / m * n];
        for (int64_t k = 1; k < n; k++) edges[k] = edges[k - 1] + IN(0)[i / m * n + k];
        OUT[i] = below(edges, n, IN(1)[i], false);
    })
SAMPLES(searchsorted, SAMPLE(places, "", 0, REALS(0.1, 1, 3, 5), REALS(-0.5, 4, 3, 7)))
CALL(buckets, tg_bucketize(t, x[0], tg_arange(t, TG_I64, -1, 4, 2), true))
static const double edges_of_buckets[] = {-1, 1, 3};
EXPECT_ROWS(buckets, below(edges_of_buckets, 3, IN(0)[i], true))
SAMPLES(bucketize, SAMPLE(buckets, "", 0, INTEGERS(-3, 5, 4, 5)))
static double counted(const tg_array *x, double low, double high)
{
    double n = 0;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) n += IN(0)[i] >= low && IN(0)[i] <= high;
    return n;
}
CALL(ids, tg_bincount(t, x[0], 5))
EXPECT_ROWS(ids, counted(x, (double)i, (double)i))
SAMPLES(bincount, SAMPLE(ids, "", 0, INTEGERS(0, 4, 4, 5)))
#define BINS (double)i * 0.5 - 1
CALL(bins, tg_histc(t, x[0], 4, -1, 1))
EXPECT_ROWS(bins, counted(x, BINS, BINS + 0.5))
SAMPLES(histc, SAMPLE(bins, "", 0, WIDE(9, 5)))

#endif
