/* Along an axis in order: running sums, and sorting. */
#include "lines.h"
#include <string.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- cumsum */

/* carried: cumsum, on lines */
/* In double, of i64 modulo 2^64. */
#define RUNNING(fn, T, SUM)                                                    \
    static void fn(const tg_call *c, void *user, int64_t part)                 \
    {                                                                          \
        TG_LINES_PART                                                          \
        const T *x = (const T *)c->x[0].data + at;                             \
        T *y = (T *)c->y->data + at;                                           \
        SUM sum[TG_COLUMNS] = {0};                                             \
        for (int64_t i = 0; i < l->n; i++)                                     \
            for (int64_t j = 0; j < width; j++)                                \
                y[i * l->inner + j] = (T)(sum[j] += (SUM)x[i * l->inner + j]); \
    }
RUNNING(running_f32, float, double)
RUNNING(running_f64, double, double)
RUNNING(running_i64, int64_t, uint64_t)

static void cumsum_kernel(const tg_call *c)
{
    tg_lines_run(c, c->y->dtype == TG_F32   ? running_f32
                    : c->y->dtype == TG_F64 ? running_f64
                                            : running_i64);
}
/* carried so far */

static bool cumsum_rule(tg_rule *r)
{
    r->y = r->x[0];
    return r->y.dtype != TG_U8 ||
           tg_rule_fail(r, TG_EDTYPE, "not defined for u8: tg_cast makes i64 of it");
}

static void cumsum_vjp(TG_VJP);
static const tg_op cumsum = {.size = sizeof(tg_op),
                             .name = "cumsum",
                             .n_in = 1,
                             .rule = cumsum_rule,
                             .kernel = cumsum_kernel,
                             .carried = TG_CARRIED("cumsum cumsum_kernel"),
                             .vjp = cumsum_vjp};

/* An element is in every sum from its own on. */
static void cumsum_vjp(TG_VJP)
{
    const tg_axes axis = TG_AXES((int)attrs[0]);
    gx[0] = tg_flip(t, tg_cumsum(t, tg_flip(t, gy, axis), (int)attrs[0]), axis);
}

tg_tensor *tg_cumsum_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    int k;
    if (!tg_ready(t, where, "cumsum", x) ||
        !tg_axis_find(t, where, "cumsum", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    return tg_apply(t, &cumsum, 1, &x, 1, ((const int64_t[]){k}));
}

/* ---------------------------------------------------------------- argsort */

/* carried: argsort, on lines */
/* An element's place in its line, under a number that orders as the element does. */
typedef struct key {
    uint64_t rank;
    int64_t place;
} key;

/* -0 and 0 are equal, and a NaN is greater than any number. */
static uint64_t rank_of_real(double v)
{
    uint64_t bits;
    if (v != v) return UINT64_MAX;
    if (v == 0) v = 0;
    memcpy(&bits, &v, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t rank_of_integer(int64_t v) { return (uint64_t)v ^ UINT64_C(1) << 63; }

#define RANKS(T, rank_of) \
    for (int64_t i = 0; i < n; i++) to[i] = (key){rank_of(((const T *)x)[i * stride]) ^ turn, i};

static void rank(key *to, const void *x, tg_dtype dtype, int64_t n, int64_t stride, bool down)
{
    const uint64_t turn = down ? UINT64_MAX : 0;
    if (dtype == TG_F32) RANKS(float, rank_of_real)
    else if (dtype == TG_F64) RANKS(double, rank_of_real)
    else if (dtype == TG_I64) RANKS(int64_t, rank_of_integer)
    else RANKS(uint8_t, rank_of_integer)
}

/* Merges sorted runs of 1, 2, 4, ... keys until there is one; stable. The result is in one of the
 * two arrays of n. */
static const key *merge_sort(int64_t n, key *from, key *to)
{
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t first = 0; first < n; first += 2 * run) {
            const int64_t middle = first + run < n ? first + run : n,
                          end = first + 2 * run < n ? first + 2 * run : n;
            const key *a = from + first, *b = from + middle;
            key *next = to + first;
            while (a < from + middle && b < from + end) {
                const key left = *a, other = *b; /* without a jump that nobody can predict */
                const int64_t right = other.rank < left.rank;
                next->rank = right ? other.rank : left.rank;
                next++->place = right ? other.place : left.place;
                a += 1 - right;
                b += right;
            }
            while (a < from + middle) *next++ = *a++;
            while (b < from + end) *next++ = *b++;
        }
        key *const other = from;
        from = to;
        to = other;
    }
    return from;
}

enum { SORTERS = 16 }; /* parts with room of their own, each of every 16th line */

static int64_t sorters_of(const tg_lines *l)
{
    return l->outer * l->inner < SORTERS ? l->outer * l->inner : SORTERS;
}

static int64_t argsort_scratch(const tg_call *c)
{
    const tg_lines l = tg_lines_of(c);
    return sorters_of(&l) * 2 * l.n * (int64_t)sizeof(key);
}

static void sort_lines(const tg_call *c, void *user, int64_t part)
{
    const tg_lines *l = user;
    key *room = (key *)c->scratch + part * 2 * l->n;
    for (int64_t k = part; k < l->outer * l->inner; k += SORTERS) {
        const int64_t at = k / l->inner * l->n * l->inner + k % l->inner;
        rank(room, (const char *)c->x[0].data + (size_t)at * tg_dtype_size(c->x[0].dtype),
             c->x[0].dtype, l->n, l->inner, c->attrs[1] != 0);
        const key *sorted = merge_sort(l->n, room, room + l->n);
        int64_t *y = (int64_t *)c->y->data + at;
        for (int64_t i = 0; i < l->n; i++) y[i * l->inner] = sorted[i].place;
    }
}

static void argsort_kernel(const tg_call *c)
{
    tg_lines l = tg_lines_of(c);
    if (l.n > 0) tg_parallel(c, sorters_of(&l), sort_lines, &l);
}
/* carried so far */

static bool argsort_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.dtype = TG_I64;
    return true;
}

static const tg_op argsort = {.size = sizeof(tg_op),
                              .name = "argsort",
                              .n_in = 1,
                              .rule = argsort_rule,
                              .kernel = argsort_kernel,
                              .carried = TG_CARRIED("argsort argsort_kernel"),
                              .scratch = argsort_scratch};

tg_tensor *tg_argsort_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool descending)
{
    int k;
    if (!tg_ready(t, where, "argsort", x) ||
        !tg_axis_find(t, where, "argsort", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    return tg_apply(t, &argsort, 1, &x, 2, ((const int64_t[]){k, descending}));
}

tg_tensor *tg_sort_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool descending)
{
    int k;
    if (!tg_ready_float(t, where, "sort", x) ||
        !tg_axis_find(t, where, "sort", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    return tg_gather(t, x, k, tg_argsort(t, x, k, descending));
}

tg_tensor *tg_topk_at(tg_tape *t, const char *where, tg_tensor *x, int64_t n, int axis,
                      bool largest)
{
    int k;
    if (!tg_ready_float(t, where, "topk", x) ||
        !tg_axis_find(t, where, "topk", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    if (n < 0 || n > tg_tensor_shape(x).dim[k])
        return tg_fail_at(t, where, TG_ESHAPE, "topk: %lld elements of axis %d of %s", (long long)n,
                          axis, tg_shape_text(tg_tensor_shape(x)).text);
    return tg_gather(t, x, k, tg_slice(t, tg_argsort(t, x, k, largest), k, 0, n, 1));
}

KNOWN(cumsum, "any but []", -1, ("y[i] = x[0] + ... + x[i]"))
KNOWN(argsort, "any but []", 0, ("the places of x[0] <= x[1] <= ..., as i64"))
KNOWN(sort, "any but []", -1, ("y = x in order", .kinks = "equal elements"))
KNOWN(topk, "[..., m, ...] -> [..., n, ...]", -1,
      ("y = the n greatest or smallest of x in order", .kinks = "equal elements"))

#else

/* How many elements of x's line stand before element i of it. */
static int64_t rank_of(const tg_array *x, int64_t i, bool down)
{
    const double *v = x->data;
    const int64_t n = x->shape.dim[1], inner = x->shape.ndim > 2 ? x->shape.dim[2] : 1,
                  line = i / (n * inner) * n * inner + i % inner;
    int64_t rank = 0;
    for (int64_t k = line; k < line + n * inner; k += inner)
        rank += (down ? v[k] > v[i] : v[k] < v[i]) || (v[k] == v[i] && k < i);
    return rank;
}

/* The first `most` of each line in order, or their places. */
static void ordered(const tg_array *x, tg_array *y, bool down, bool places)
{
    const int64_t n = x->shape.dim[1], inner = x->shape.ndim > 2 ? x->shape.dim[2] : 1,
                  most = y->shape.dim[1];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        const int64_t rank = rank_of(x, i, down), line = i / (n * inner) * most * inner + i % inner;
        if (rank < most)
            ((double *)y->data)[line + rank * inner] =
                places ? (double)(i / inner % n) : ((const double *)x->data)[i];
    }
}
static void sums(const tg_array *x, tg_array *y)
{
    const int64_t n = x->shape.dim[1], inner = x->shape.ndim > 2 ? x->shape.dim[2] : 1;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        double sum = 0;
        for (int64_t k = i; k >= i / (n * inner) * n * inner; k -= inner)
            sum += ((const double *)x->data)[k];
        ((double *)y->data)[i] = sum;
    }
}

#define WIDE(...) REALS(-9, 9, __VA_ARGS__)
CALL(running, tg_cumsum(t, x[0], 1))
EXPECT(running, sums(x, y))
SAMPLES(cumsum, SAMPLE(running, "rows", 0, WIDE(3, 7)), SAMPLE(running, "inside", 0, WIDE(2, 5, 3)),
        SAMPLE(running, "many columns", 0, WIDE(2, 3, 70)),
        SAMPLE(running, "i64", TG_NOT_SMOOTH, INTEGERS(-9, 9, 3, 5)),
        SAMPLE(running, "nothing", 0, WIDE(3, 0)))
CALL(up, tg_argsort(t, x[0], 1, false))
EXPECT(up, ordered(x, y, false, true))
CALL(down, tg_argsort(t, x[0], -1, true))
EXPECT(down, ordered(x, y, true, true))
SAMPLES(argsort, SAMPLE(up, "rows", 0, WIDE(3, 7)), SAMPLE(up, "inside", 0, WIDE(2, 33, 3)),
        SAMPLE(up, "ties", 0, INTEGERS(-2, 2, 3, 19)), SAMPLE(down, "down", 0, BYTES(0, 1, 3, 9)),
        SAMPLE(up, "nothing", 0, WIDE(3, 0)))
CALL(sorted, tg_sort(t, x[0], 1, false))
EXPECT(sorted, ordered(x, y, false, false))
CALL(fallen, tg_sort(t, x[0], -1, true))
EXPECT(fallen, ordered(x, y, true, false))
SAMPLES(sort, SAMPLE(sorted, "rows", 0, WIDE(3, 7)), SAMPLE(sorted, "inside", 0, WIDE(2, 5, 3)),
        SAMPLE(fallen, "down", 0, WIDE(2, 6)))
CALL(top, tg_topk(t, x[0], 3, 1, true))
EXPECT(top, ordered(x, y, true, false))
CALL(least, tg_topk(t, x[0], 2, 1, false))
EXPECT(least, ordered(x, y, false, false))
SAMPLES(topk, SAMPLE(top, "greatest", 0, WIDE(3, 7)), SAMPLE(least, "smallest", 0, WIDE(2, 5, 3)))

#endif
