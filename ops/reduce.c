/* Reductions. */
#include <math.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- folds */

/* There is no greatest element of nothing. */
static bool extremum_rule(tg_rule *r)
{
    const tg_type x = r->x[0];
    r->y.dtype = x.dtype;
    for (int k = 0; k < x.shape.ndim; k++) {
        const bool reduced = r->attrs[0] <= k && k <= r->attrs[1];
        if (reduced && x.shape.dim[k] == 0)
            return tg_rule_fail(r, TG_ESHAPE, "nothing to choose from: axis %d of %s is empty", k,
                                tg_shape_text(x.shape).text);
        if (!reduced || r->attrs[2])
            r->y.shape.dim[r->y.shape.ndim++] = reduced ? 1 : x.shape.dim[k];
    }
    return true;
}

static unsigned range_set(const int64_t *attrs) { return (2u << attrs[1]) - (1u << attrs[0]); }

/* A reduction's result (or its gradient) with the reduced axes put back, so that it broadcasts
 * against x. */
static tg_tensor *put_back(tg_tape *t, const char *where, tg_tensor *y, const tg_tensor *x,
                           const int64_t *attrs)
{
    return attrs[2] ? y
                    : tg_base_reshape(t, where, y,
                                      tg_shape_reduced(tg_tensor_shape(x), range_set(attrs)));
}

static void extremum_vjp(TG_VJP)
{
    tg_tensor *ties = tg_detach(t, tg_equal(t, x[0], put_back(t, where, y, x[0], attrs)));
    tg_tensor *chosen =
        tg_where(t, ties, put_back(t, where, gy, x[0], attrs), tg_constant_like(t, gy, 0));
    tg_tensor *count = tg_cast(t, ties, tg_tensor_dtype(gy));
    gx[0] = tg_div(t, chosen, tg_fold_sum(t, where, count, range_set(attrs), true));
}

static const tg_op max = {.size = sizeof(tg_op),
                          .name = "max",
                          .n_in = 1,
                          .rule = extremum_rule,
                          .fold = &tg_max_folds,
                          .vjp = extremum_vjp};
static const tg_op min = {.size = sizeof(tg_op),
                          .name = "min",
                          .n_in = 1,
                          .rule = extremum_rule,
                          .fold = &tg_min_folds,
                          .vjp = extremum_vjp};

/* x with the axes of the set moved next to each other, at the place of the last one, and where they
 * begin and end then. */
static tg_tensor *gathered(tg_tape *t, const char *where, tg_tensor *x, unsigned set,
                           int64_t attrs[2])
{
    tg_axes order = {.n = 0};
    const int ndim = tg_tensor_shape(x).ndim;
    int first = 0, last = ndim - 1;
    while (!(set >> first & 1)) first++;
    while (!(set >> last & 1)) last--;
    for (int k = 0; k < last; k++)
        if (!(set >> k & 1)) order.axis[order.n++] = k;
    attrs[0] = order.n;
    attrs[1] = last;
    if (attrs[0] == first) return x;
    for (int k = 0; k <= last; k++)
        if (set >> k & 1) order.axis[order.n++] = k;
    for (int k = last + 1; k < ndim; k++) order.axis[order.n++] = k;
    return tg_permute(t, x, order);
}

static tg_tensor *fold(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x, unsigned set,
                       bool keepdim)
{
    if (!tg_ready(t, where, op->name, x)) return NULL;
    if (set == 0) return x;
    int64_t attrs[3];
    tg_tensor *g = gathered(t, where, x, set, attrs);
    attrs[2] = keepdim && g == x;
    tg_tensor *y = tg_apply(t, op, 1, &g, 3, attrs);
    return keepdim && g != x
               ? tg_base_reshape(t, where, y, tg_shape_reduced(tg_tensor_shape(x), set))
               : y;
}

tg_tensor *tg_fold_sum(tg_tape *t, const char *where, tg_tensor *x, unsigned set, bool keepdim)
{
    return fold(t, where, &tg_op_sum, x, set, keepdim);
}

tg_tensor *tg_fold_max(tg_tape *t, const char *where, tg_tensor *x, unsigned set, bool keepdim)
{
    return fold(t, where, &max, x, set, keepdim);
}

tg_tensor *tg_sum_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready(t, where, "sum", x) ||
        !tg_axes_find(t, where, "sum", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    return fold(t, where, &tg_op_sum, tg_dtype_on(t, x) == TG_U8 ? tg_cast(t, x, TG_I64) : x, set,
                keepdim);
}

/* max and min; every dtype but u8 has an order and a dtype of its own to return it in. */
static tg_tensor *extremum(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x,
                           tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready(t, where, op->name, x) ||
        !tg_axes_find(t, where, op->name, tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    if (tg_dtype_on(t, x) == TG_U8)
        return tg_fail_at(t, where, TG_EDTYPE, "%s: not defined for u8", op->name);
    return fold(t, where, op, x, set, keepdim);
}

tg_tensor *tg_max_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    return extremum(t, where, &max, x, axes, keepdim);
}

tg_tensor *tg_min_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    return extremum(t, where, &min, x, axes, keepdim);
}

/* ---------------------------------------------------------------- composed of them */

/* y, in which the set's axes have size 1, without them. */
static tg_tensor *drop(tg_tape *t, const char *where, tg_tensor *y, unsigned set)
{
    const tg_shape shape = tg_tensor_shape(y);
    tg_shape rest = {.ndim = 0};
    for (int k = 0; k < shape.ndim; k++)
        if (!(set >> k & 1)) rest.dim[rest.ndim++] = shape.dim[k];
    return tg_base_reshape(t, where, y, rest);
}

/* How many elements of x fall into one of the result. */
static int64_t reduced_count(const tg_tensor *x, unsigned set)
{
    const tg_shape shape = tg_tensor_shape(x);
    int64_t n = 1;
    for (int k = 0; k < shape.ndim; k++)
        if (set >> k & 1) n *= shape.dim[k];
    return n;
}

/* Divided instead of scaled by 1/n, which rounds twice. */
static tg_tensor *average(tg_tape *t, const char *where, tg_tensor *x, unsigned set, bool keepdim)
{
    if (set == 0) return x;
    return tg_div(t, tg_fold_sum(t, where, x, set, keepdim),
                  tg_constant_like(t, x, (double)reduced_count(x, set)));
}

tg_tensor *tg_mean_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "mean", x) ||
        !tg_axes_find(t, where, "mean", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    return average(t, where, x, set, keepdim);
}

/* A tree of products, so that no gradient of any order divides by an element that may be 0. */
tg_tensor *tg_prod_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "prod", x) ||
        !tg_axes_find(t, where, "prod", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    if (set == 0) return x;
    if (reduced_count(x, set) == 0) return tg_offset(t, tg_fold_sum(t, where, x, set, keepdim), 1);

    int64_t attrs[3];
    tg_tensor *y = gathered(t, where, x, set, attrs);
    const tg_shape shape = tg_tensor_shape(y);
    const int axis = (int)attrs[0];
    tg_shape flat = {.ndim = 0}; /* the reduced axes made one */
    for (int k = 0; k < shape.ndim; k++)
        if (k <= axis || k > attrs[1])
            flat.dim[flat.ndim++] = k == axis ? reduced_count(x, set) : shape.dim[k];
    y = tg_base_reshape(t, where, y, flat);
    tg_tensor *odd = NULL; /* the product of the elements that had no partner */
    for (int64_t n = flat.dim[axis]; n > 1 && y; n /= 2) {
        if (n % 2) {
            tg_tensor *last = tg_slice(t, y, axis, n - 1, n, 1);
            odd = odd ? tg_mul(t, last, odd) : last;
        }
        y = tg_mul(t, tg_slice(t, y, axis, 0, n / 2, 1), tg_slice(t, y, axis, n / 2, n - n % 2, 1));
    }
    if (odd) y = tg_mul(t, y, odd);
    return keepdim ? tg_base_reshape(t, where, y, tg_shape_reduced(tg_tensor_shape(x), set))
                   : drop(t, where, y, 1u << axis);
}

/* x with 0 instead of its zeros' surroundings: f(x) where x is not 0, and 0 with all its
 * derivatives where it is. */
static tg_tensor *power_or_0(tg_tape *t, const char *where, tg_tensor *x, double p)
{
    tg_tensor *zero = tg_constant_like(t, x, 0), *defined = tg_not_equal(t, x, zero),
              *safe = tg_safe_where(t, defined, x, 1);
    return tg_where(t, defined,
                    p == 0.5 ? tg_sqrt(t, safe) : tg_pow(t, safe, tg_constant_like(t, x, p)), zero);
}

/* Counted from the first element instead of 0: deviations of a constant row are then exactly 0,
 * where its mean would be rounded. */
static tg_tensor *variance(tg_tape *t, const char *where, tg_tensor *x, unsigned set,
                           int correction, bool keepdim)
{
    tg_tensor *first = tg_detach(t, x);
    for (int k = 0; k < tg_tensor_shape(x).ndim; k++)
        if (set >> k & 1) first = tg_slice(t, first, k, 0, 1, 1);
    tg_tensor *d = tg_sub(t, x, first);
    tg_tensor *squares = tg_square(t, tg_sub(t, d, average(t, where, d, set, true)));
    const double n = (double)reduced_count(x, set) - correction;
    return tg_div(t, tg_fold_sum(t, where, squares, set, keepdim),
                  tg_constant_like(t, x, n > 0 ? n : NAN));
}

tg_tensor *tg_var_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, int correction,
                     bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "var", x) ||
        !tg_axes_find(t, where, "var", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    return variance(t, where, x, set, correction, keepdim);
}

tg_tensor *tg_std_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, int correction,
                     bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "std", x) ||
        !tg_axes_find(t, where, "std", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    return power_or_0(t, where, variance(t, where, x, set, correction, keepdim), 0.5);
}

static tg_tensor *nothing_to_choose(tg_tape *t, const char *where, const char *name,
                                    const tg_tensor *x, unsigned set)
{
    const tg_shape shape = tg_tensor_shape(x);
    int axis = 0;
    while (!(set >> axis & 1) || shape.dim[axis]) axis++;
    return tg_fail_at(t, where, TG_ESHAPE, "%s: nothing to choose from: axis %d of %s is empty",
                      name, axis, tg_shape_text(shape).text);
}

/* What x is measured in so that powers of it neither overflow nor vanish. For p = 2 a power of 2,
 * so that no bit changes, and 1 unless it is needed; for others about the greatest element. Not so
 * small that a derivative divided by it could overflow. */
static tg_tensor *unit_of(tg_tape *t, const char *where, tg_tensor *x, double p, unsigned set)
{
    const bool single = tg_dtype_on(t, x) == TG_F32;
    tg_tensor *top = tg_fold_max(t, where, tg_abs(t, tg_detach(t, x)), set, true);
    if (p != 2) return tg_clamp(t, top, single ? 0x1p-100 : 0x1p-900, single ? 0x1p126 : 0x1p1022);
    const double far = single ? 0x1p50 : 0x1p400, unit = single ? 0x1p80 : 0x1p640;
    tg_tensor *one = tg_constant_like(t, x, 1);
    tg_tensor *large = tg_greater(t, top, tg_constant_like(t, x, far)),
              *small = tg_less(t, top, tg_constant_like(t, x, 1 / far));
    return tg_where(t, large, tg_constant_like(t, x, unit),
                    tg_where(t, small, tg_constant_like(t, x, 1 / unit), one));
}

tg_tensor *tg_norm_at(tg_tape *t, const char *where, tg_tensor *x, double p, tg_axes axes,
                      bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "norm", x) ||
        !tg_axes_find(t, where, "norm", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    if (!(p > 0)) return tg_fail_at(t, where, TG_EVALUE, "norm: p = %g is not above 0", p);
    if (p == 1) return tg_fold_sum(t, where, tg_abs(t, x), set, keepdim);
    const bool empty = reduced_count(x, set) == 0;
    if (isinf(p))
        return empty ? nothing_to_choose(t, where, "norm", x, set)
                     : tg_fold_max(t, where, tg_abs(t, x), set, keepdim);
    tg_tensor *unit = empty ? tg_constant_like(t, x, 1) : unit_of(t, where, x, p, set);
    tg_tensor *scaled = tg_div(t, x, unit);
    tg_tensor *terms = p == 2 ? tg_square(t, scaled) : power_or_0(t, where, tg_abs(t, scaled), p);
    tg_tensor *y =
        power_or_0(t, where, tg_fold_sum(t, where, terms, set, true), p == 2 ? 0.5 : 1 / p);
    y = tg_mul(t, y, unit);
    return keepdim ? y : drop(t, where, y, set);
}

tg_tensor *tg_logsumexp_at(tg_tape *t, const char *where, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, where, "logsumexp", x) ||
        !tg_axes_find(t, where, "logsumexp", tg_tensor_shape(x).ndim, axes, &set))
        return NULL;
    if (reduced_count(x, set) == 0)
        return tg_log(t, tg_fold_sum(t, where, tg_exp(t, x), set, keepdim));
    /* a shift by an infinite maximum would make NaN of it */
    tg_tensor *top = tg_fold_max(t, where, tg_detach(t, x), set, true);
    tg_tensor *infinite = tg_equal(t, tg_abs(t, top), tg_constant_like(t, x, INFINITY));
    tg_tensor *shift = tg_where(t, infinite, tg_constant_like(t, x, 0), top);
    tg_tensor *y = tg_add(
        t, tg_log(t, tg_fold_sum(t, where, tg_exp(t, tg_sub(t, x, shift)), set, true)), shift);
    return keepdim ? y : drop(t, where, y, set);
}

/* ---------------------------------------------------------------- argmax, max_along */

/* carried: argmax, on staircase extrema */
/* A later element wins only if it is greater, or the first NaN. */
#define BEATS(v, best) ((v) > (best) || ((v) != (v) && (best) == (best)))

/* Along a contiguous row the greatest of each chunk is found first, and its place, 64 elements at a
 * time, only in a chunk that has a new greatest; otherwise columns side by side are searched
 * together. */
#define ARGMAX(T, suffix, dtype_of)                                                                \
    static int64_t row_argmax_##suffix(int64_t n, const T *x, tg_fold_fn greatest)                 \
    {                                                                                              \
        int64_t at = 0;                                                                            \
        for (int64_t first = 0; first < n; first += TG_FOLD_MOST) {                                \
            const int64_t end = n - first < TG_FOLD_MOST ? n : first + TG_FOLD_MOST;               \
            T top;                                                                                 \
            greatest(end - first, x + first, &top);                                                \
            if (first && !BEATS(top, x[at])) continue;                                             \
            for (at = first; at + 64 <= end; at += 64) {                                           \
                int here = 0;                                                                      \
                for (int l = 0; l < 64; l++) here |= x[at + l] == top || x[at + l] != x[at + l];   \
                if (here) break;                                                                   \
            }                                                                                      \
            while (!(x[at] == top || x[at] != x[at])) at++;                                        \
        }                                                                                          \
        return at;                                                                                 \
    }                                                                                              \
    static void column_argmax_##suffix(int64_t n, int64_t inner, int64_t width, const T *x,        \
                                       int64_t *y)                                                 \
    {                                                                                              \
        T best[COLUMNS];                                                                           \
        for (int64_t j = 0; j < width; j++) {                                                      \
            best[j] = x[j];                                                                        \
            y[j] = 0;                                                                              \
        }                                                                                          \
        for (int64_t k = 1; k < n; k++)                                                            \
            for (int64_t j = 0; j < width; j++) {                                                  \
                const T v = x[k * inner + j];                                                      \
                const bool beats = BEATS(v, best[j]);                                              \
                best[j] = beats ? v : best[j];                                                     \
                y[j] = beats ? k : y[j];                                                           \
            }                                                                                      \
    }                                                                                              \
    static void part_argmax_##suffix(const tg_call *c, void *user, int64_t part)                   \
    {                                                                                              \
        const argmax_shape *s = user;                                                              \
        const T *x = c->x[0].data;                                                                 \
        int64_t *y = c->y->data;                                                                   \
        for (int64_t k = part * s->per_part; k < s->pieces && k < (part + 1) * s->per_part; k++) { \
            const int64_t block = k % s->blocks * COLUMNS, outer = k / s->blocks;                  \
            if (s->inner == 1)                                                                     \
                y[outer] =                                                                         \
                    row_argmax_##suffix(s->n, x + outer * s->n, tg_max_of(dtype_of, c->build));    \
            else                                                                                   \
                column_argmax_##suffix(                                                            \
                    s->n, s->inner, s->inner - block < COLUMNS ? s->inner - block : COLUMNS,       \
                    x + outer * s->n * s->inner + block, y + outer * s->inner + block);            \
        }                                                                                          \
    }

enum { COLUMNS = 128 };

/* x as [outer, n, inner]; a piece is a row, or COLUMNS columns of one outer index. */
typedef struct argmax_shape {
    int64_t n, inner, blocks, pieces, per_part;
} argmax_shape;

ARGMAX(float, f32, TG_F32)
ARGMAX(double, f64, TG_F64)
/* carried so far */

static bool argmax_rule(tg_rule *r)
{
    const tg_type x = r->x[0];
    const int64_t axis = r->attrs[0];
    if (x.dtype != TG_F32 && x.dtype != TG_F64)
        return tg_rule_fail(r, TG_EDTYPE, "not defined for %s", tg_dtype_name(x.dtype));
    if (x.shape.dim[axis] == 0)
        return tg_rule_fail(r, TG_ESHAPE, "nothing to choose from: axis %d of %s is empty",
                            (int)axis, tg_shape_text(x.shape).text);
    r->y.dtype = TG_I64;
    for (int k = 0; k < x.shape.ndim; k++)
        if (k != axis || r->attrs[1])
            r->y.shape.dim[r->y.shape.ndim++] = k == axis ? 1 : x.shape.dim[k];
    return true;
}

/* carried: argmax */
static void argmax_kernel(const tg_call *c)
{
    const tg_shape shape = c->x[0].shape;
    argmax_shape s = {.n = shape.dim[c->attrs[0]], .inner = 1};
    const int64_t results = tg_shape_count(shape) / s.n, many = 1 << 15;
    if (results == 0) return;
    for (int k = (int)c->attrs[0] + 1; k < shape.ndim; k++) s.inner *= shape.dim[k];
    s.blocks = (s.inner + COLUMNS - 1) / COLUMNS;
    s.pieces = results / s.inner * s.blocks;
    const int64_t length = s.n * (s.inner < COLUMNS ? s.inner : COLUMNS);
    s.per_part = length < many ? many / length : 1;
    tg_parallel(c, (s.pieces + s.per_part - 1) / s.per_part,
                c->x[0].dtype == TG_F32 ? part_argmax_f32 : part_argmax_f64, &s);
}
/* carried so far */

static const tg_op argmax = {.size = sizeof(tg_op),
                             .name = "argmax",
                             .n_in = 1,
                             .rule = argmax_rule,
                             .kernel = argmax_kernel,
                             .carried = TG_CARRIED("argmax argmax_kernel")};

tg_tensor *tg_argmax_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool keepdim)
{
    int k;
    if (!tg_ready(t, where, "argmax", x) ||
        !tg_axis_find(t, where, "argmax", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    return tg_apply(t, &argmax, 1, &x, 2, ((const int64_t[]){k, keepdim}));
}

tg_tensor *tg_max_along_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool keepdim)
{
    int k;
    if (!tg_ready_float(t, where, "max_along", x) ||
        !tg_axis_find(t, where, "max_along", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    if (tg_tensor_shape(x).dim[k] == 0) return nothing_to_choose(t, where, "max_along", x, 1u << k);
    tg_tensor *y = tg_gather(t, x, k, tg_argmax(t, tg_detach(t, x), k, true));
    return keepdim ? y : drop(t, where, y, 1u << k);
}

#define REDUCED "x with the axes reduced"
KNOWN(sum, REDUCED, -1, ("y = sum of x"))
KNOWN(mean, REDUCED, -1, ("y = sum of x / n"))
KNOWN(max, REDUCED, -1, ("y = the greatest x", .kinks = "equal greatest elements"))
KNOWN(min, REDUCED, -1, ("y = the smallest x", .kinks = "equal smallest elements"))
KNOWN(prod, REDUCED, -1, ("y = product of x"))
KNOWN(var, REDUCED, -1, ("y = sum of (x - mean)^2 / (n - correction)"))
KNOWN(std, REDUCED, -1,
      ("y = sqrt(sum of (x - mean)^2 / (n - correction))", .kinks = "equal elements"))
KNOWN(norm, REDUCED, -1, ("y = (sum of |x|^p)^(1/p)", .kinks = "x = 0"))
KNOWN(logsumexp, REDUCED, -1, ("y = ln(sum of e^x)"))
/* NaN, too, stands first in either order. */
tg_tensor *tg_argmin_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool keepdim)
{
    if (!tg_ready_float(t, where, "argmin", x)) return NULL;
    return tg_argmax(t, tg_neg(t, x), axis, keepdim);
}
tg_tensor *tg_min_along_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool keepdim)
{
    if (!tg_ready_float(t, where, "min_along", x)) return NULL;
    return tg_neg(t, tg_max_along(t, tg_neg(t, x), axis, keepdim));
}

KNOWN(argmin, "x with the axis reduced -> i64", 0, ("y = the first index of the smallest x"))
KNOWN(min_along, "x with the axis reduced", -1,
      ("y = the smallest x", .kinks = "equal smallest elements"))
KNOWN(argmax, "x with the axis reduced -> i64", 0, ("y = the first index of the greatest x"))
KNOWN(max_along, "x with the axis reduced", -1,
      ("y = the greatest x, the first of equals", .kinks = "equal greatest elements"))

#else

enum { LONGEST = 2048 };

/* Collects what falls into each element of y, the set's axes being reduced, and reduces it by
 * definition. */
static void by_definition(const tg_array *x, tg_array *y, unsigned set,
                          double (*reduce)(int64_t n, const double *v))
{
    const double *from = x->data;
    double *to = y->data;
    for (int64_t o = 0; o < tg_shape_count(y->shape); o++) {
        double v[LONGEST];
        int64_t n = 0;
        for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
            int64_t rest = i, at = 0, step = 1;
            for (int k = x->shape.ndim - 1; k >= 0; k--) {
                if (!(set >> k & 1)) {
                    at += rest % x->shape.dim[k] * step;
                    step *= x->shape.dim[k];
                }
                rest /= x->shape.dim[k];
            }
            if (at == o && n < LONGEST) v[n++] = from[i];
        }
        to[o] = reduce(n, v);
    }
}

static double power_sum(int64_t n, const double *v, double p)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += pow(fabs(v[i]), p);
    return s;
}
static double plain_sum(int64_t n, const double *v)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += v[i];
    return s;
}
static double plain_mean(int64_t n, const double *v) { return plain_sum(n, v) / (double)n; }
static double plain_max(int64_t n, const double *v)
{
    double s = v[0];
    for (int64_t i = 1; i < n; i++) s = fmax(s, v[i]);
    return s;
}
static double plain_min(int64_t n, const double *v)
{
    double s = v[0];
    for (int64_t i = 1; i < n; i++) s = fmin(s, v[i]);
    return s;
}
static double plain_prod(int64_t n, const double *v)
{
    double s = 1;
    for (int64_t i = 0; i < n; i++) s *= v[i];
    return s;
}
static double deviations(int64_t n, const double *v)
{
    const double mean = plain_mean(n, v);
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (v[i] - mean) * (v[i] - mean);
    return s;
}
static double plain_var(int64_t n, const double *v)
{
    return n > 1 ? deviations(n, v) / (double)(n - 1) : NAN;
}
static double plain_var_biased(int64_t n, const double *v) { return deviations(n, v) / (double)n; }
static double plain_std(int64_t n, const double *v) { return sqrt(plain_var(n, v)); }
static double norm_1(int64_t n, const double *v) { return power_sum(n, v, 1); }
static double norm_2(int64_t n, const double *v) { return sqrt(power_sum(n, v, 2)); }
static double norm_3(int64_t n, const double *v) { return cbrt(power_sum(n, v, 3)); }
static double norm_half(int64_t n, const double *v)
{
    return power_sum(n, v, 0.5) * power_sum(n, v, 0.5);
}
static double norm_infinity(int64_t n, const double *v)
{
    return fmax(plain_max(n, v), -plain_min(n, v));
}
static double plain_logsumexp(int64_t n, const double *v)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += exp(v[i]);
    return log(s);
}
static double plain_argmax(int64_t n, const double *v)
{
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[at]) at = i;
    return (double)at;
}

/* A call whose result is the set's axes reduced. */
#define REDUCE(id, set, reduce, ...) \
    CALL(id, __VA_ARGS__)            \
    EXPECT(id, by_definition(x, y, set, reduce))

/* The ways in which axes are given; RECORD(axes, keepdim) records the reduction. */
#define WAYS(name, reduce, RECORD)                                      \
    REDUCE(name##_middle, 2, reduce, RECORD(TG_AXES(1), false))         \
    REDUCE(name##_apart, 5, reduce, RECORD(TG_AXES(-1, 0), true))       \
    REDUCE(name##_dropped, 13, reduce, RECORD(TG_AXES(0, 2, 3), false)) \
    REDUCE(name##_all, 15, reduce, RECORD(TG_ALL_AXES, false))          \
    REDUCE(name##_first, 1, reduce, RECORD(TG_AXES(0), true))           \
    REDUCE(name##_last, 2, reduce, RECORD(TG_AXES(-1), false))
#define IN_WAYS(name, low, high)                                                        \
    SAMPLE(name##_middle, "the middle axis", 0, REALS(low, high, 2, 3, 4)),             \
        SAMPLE(name##_apart, "axes apart, kept", 0, REALS(low, high, 3, 4, 5)),         \
        SAMPLE(name##_dropped, "axes apart, dropped", 0, REALS(low, high, 2, 3, 2, 3)), \
        SAMPLE(name##_all, "a matrix", 0, REALS(low, high, 5, 7)),                      \
        SAMPLE(name##_all, "beyond a chunk", 0, REALS(low, high, 1025)),                \
        SAMPLE(name##_first, "columns", 0, REALS(low, high, 65, 3)),                    \
        SAMPLE(name##_first, "no columns", 0, REALS(low, high, 3, 0)),                  \
        SAMPLE(name##_last, "long rows", 0, REALS(low, high, 2, 1030))
#define OF_SCALAR(name, flag, low, high) SAMPLE(name##_all, "a scalar", flag, REAL(low, high))
#define OF_NOTHING(name, flag) SAMPLE(name##_last, "empty rows", flag, REALS(0, 1, 3, 0))

#define SUM(axes, keepdim) tg_sum(t, x[0], axes, keepdim)
WAYS(sum, plain_sum, SUM)
SAMPLES(sum, IN_WAYS(sum, 0.5, 2), OF_SCALAR(sum, 0, 0.5, 2), OF_NOTHING(sum, 0))

#define MEAN(axes, keepdim) tg_mean(t, x[0], axes, keepdim)
WAYS(mean, plain_mean, MEAN)
SAMPLES(mean, IN_WAYS(mean, 0.5, 2), OF_SCALAR(mean, 0, 0.5, 2), OF_NOTHING(mean, TG_NOT_SMOOTH))

#define MAX(axes, keepdim) tg_max(t, x[0], axes, keepdim)
WAYS(max, plain_max, MAX)
SAMPLES(max, IN_WAYS(max, -2, 2), OF_SCALAR(max, 0, -2, 2))

#define MIN(axes, keepdim) tg_min(t, x[0], axes, keepdim)
WAYS(min, plain_min, MIN)
SAMPLES(min, IN_WAYS(min, -2, 2), OF_SCALAR(min, 0, -2, 2))

#define PROD(axes, keepdim) tg_prod(t, x[0], axes, keepdim)
WAYS(prod, plain_prod, PROD)
SAMPLES(prod, IN_WAYS(prod, 0.8, 1.2), OF_SCALAR(prod, 0, 0.5, 2), OF_NOTHING(prod, 0))

#define VAR(axes, keepdim) tg_var(t, x[0], axes, 1, keepdim)
#define BIASED(axes, keepdim) tg_var(t, x[0], axes, 0, keepdim)
WAYS(var, plain_var, VAR)
WAYS(biased, plain_var_biased, BIASED)
SAMPLES(var, IN_WAYS(var, -2, 2), OF_SCALAR(var, TG_NOT_SMOOTH, -2, 2),
        OF_NOTHING(var, TG_NOT_SMOOTH), IN_WAYS(biased, -2, 2), OF_SCALAR(biased, 0, -2, 2))

#define STD(axes, keepdim) tg_std(t, x[0], axes, 1, keepdim)
WAYS(std, plain_std, STD)
SAMPLES(std, IN_WAYS(std, -2, 2), OF_SCALAR(std, TG_NOT_SMOOTH, -2, 2))

#define NORM_2(axes, keepdim) tg_norm(t, x[0], 2, axes, keepdim)
WAYS(norm, norm_2, NORM_2)
REDUCE(norm_1, 2, norm_1, tg_norm(t, x[0], 1, TG_AXES(-1), false))
REDUCE(norm_3, 5, norm_3, tg_norm(t, x[0], 3, TG_AXES(0, 2), true))
REDUCE(norm_half, 2, norm_half, tg_norm(t, x[0], 0.5, TG_AXES(-1), false))
REDUCE(norm_infinity, 2, norm_infinity, tg_norm(t, x[0], INFINITY, TG_AXES(-1), false))
SAMPLES(norm, IN_WAYS(norm, 0.5, 2), OF_SCALAR(norm, 0, -2, -0.5), OF_NOTHING(norm, 0),
        SAMPLE(norm_1, "p = 1", 0, REALS(-2, -0.5, 4, 9)),
        SAMPLE(norm_3, "p = 3", 0, REALS(0.5, 2, 3, 2, 4)),
        SAMPLE(norm_half, "p = 1/2", 0, REALS(-2, -0.5, 3, 5)),
        SAMPLE(norm_infinity, "p = inf", 0, REALS(-2, -0.5, 4, 9)))

#define LOGSUMEXP(axes, keepdim) tg_logsumexp(t, x[0], axes, keepdim)
WAYS(logsumexp, plain_logsumexp, LOGSUMEXP)
SAMPLES(logsumexp, IN_WAYS(logsumexp, -3, 3), OF_SCALAR(logsumexp, 0, -3, 3),
        OF_NOTHING(logsumexp, TG_NOT_SMOOTH))

#define ALONG(name, reduce)                                                           \
    REDUCE(name##_middle, 2, reduce, tg_##name(t, x[0], 1, false))                    \
    REDUCE(name##_first, 1, reduce, tg_##name(t, x[0], 0, true))                      \
    REDUCE(name##_last, 2, reduce, tg_##name(t, x[0], -1, false))                     \
    REDUCE(name##_only, 1, reduce, tg_##name(t, x[0], -1, false))                     \
    SAMPLES(name, SAMPLE(name##_middle, "the middle axis", 0, REALS(-2, 2, 3, 4, 5)), \
            SAMPLE(name##_first, "many columns", 0, REALS(-2, 2, 3, 130)),            \
            SAMPLE(name##_first, "no columns", 0, REALS(-2, 2, 3, 0)),                \
            SAMPLE(name##_last, "long rows", 0, REALS(-2, 2, 2, 1030)),               \
            SAMPLE(name##_only, "one element", 0, REALS(-2, 2, 1)))
ALONG(argmax, plain_argmax)
static double plain_argmin(int64_t n, const double *v)
{
    int64_t at = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] < v[at]) at = i;
    return (double)at;
}
static double plain_min_along(int64_t n, const double *v) { return v[(int64_t)plain_argmin(n, v)]; }
ALONG(argmin, plain_argmin)
ALONG(min_along, plain_min_along)
ALONG(max_along, plain_max)

#endif
