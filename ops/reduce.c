/* Reductions. */
#include <math.h>
#include <string.h>

#include "folds.h"
#include "../graph/base.h"

/* ---------------------------------------------------------------- folds */

/* There is no greatest element of nothing. */
static bool extremum_rule(tg_rule *r)
{
    const tg_type x = r->x[0];
    r->y.dtype = x.dtype;
    for (int k = 0; k < x.shape.ndim; k++) {
        const bool reduced = r->attrs[0] <= k && k <= r->attrs[1];
        if (reduced && x.shape.dim[k] == 0)
            return tg_rule_fail(r, TG_ESHAPE, "nothing to choose from: axis %d of %s is empty", k, tg_shape_text(x.shape).text);
        if (!reduced || r->attrs[2]) r->y.shape.dim[r->y.shape.ndim++] = reduced ? 1 : x.shape.dim[k];
    }
    return true;
}

static unsigned range_set(const int64_t *attrs) { return (2u << attrs[1]) - (1u << attrs[0]); }

/* A reduction's result (or its gradient) with the reduced axes put back, so that it broadcasts against x. */
static tg_tensor *put_back(tg_tape *t, const char *file, int line, tg_tensor *y, const tg_tensor *x, const int64_t *attrs)
{
    return attrs[2] ? y : tg_base_reshape(t, file, line, y, tg_shape_reduced(tg_tensor_shape(x), range_set(attrs)));
}

static void extremum_vjp(TG_VJP)
{
    tg_tensor *ties = tg_detach(t, tg_equal(t, x[0], put_back(t, file, line, y, x[0], attrs)));
    tg_tensor *chosen = tg_where(t, ties, put_back(t, file, line, gy, x[0], attrs), tg_constant_like(t, gy, 0));
    tg_tensor *count = tg_cast(t, ties, tg_tensor_dtype(gy));
    gx[0] = tg_div(t, chosen, tg_fold_sum(t, file, line, count, range_set(attrs), true));
}

static const tg_op max = {.size = sizeof(tg_op), .name = "max", .n_in = 1, .rule = extremum_rule, .fold = &tg_max_folds, .vjp = extremum_vjp};
static const tg_op min = {.size = sizeof(tg_op), .name = "min", .n_in = 1, .rule = extremum_rule, .fold = &tg_min_folds, .vjp = extremum_vjp};

/* x with the axes of the set moved next to each other, at the place of the last one, and where they begin and end then. */
static tg_tensor *gathered(tg_tape *t, const char *file, int line, tg_tensor *x, unsigned set, int64_t attrs[2])
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

static tg_tensor *fold(tg_tape *t, const char *file, int line, const tg_op *op, tg_tensor *x, unsigned set, bool keepdim)
{
    if (!tg_ready(t, file, line, op->name, x)) return NULL;
    if (set == 0) return x;
    int64_t attrs[3];
    tg_tensor *g = gathered(t, file, line, x, set, attrs);
    attrs[2] = keepdim && g == x;
    tg_tensor *y = tg_apply(t, op, 1, &g, 3, attrs);
    return keepdim && g != x ? tg_base_reshape(t, file, line, y, tg_shape_reduced(tg_tensor_shape(x), set)) : y;
}

tg_tensor *tg_fold_sum(tg_tape *t, const char *file, int line, tg_tensor *x, unsigned set, bool keepdim)
{
    return fold(t, file, line, &tg_op_sum, x, set, keepdim);
}

tg_tensor *tg_fold_max(tg_tape *t, const char *file, int line, tg_tensor *x, unsigned set, bool keepdim)
{
    return fold(t, file, line, &max, x, set, keepdim);
}

tg_tensor *tg_sum_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready(t, file, line, "sum", x) || !tg_axes_find(t, file, line, "sum", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    return fold(t, file, line, &tg_op_sum, tg_tensor_dtype(x) == TG_U8 ? tg_cast(t, x, TG_I64) : x, set, keepdim);
}

/* max and min; every dtype but u8 has an order and a dtype of its own to return it in. */
static tg_tensor *extremum(tg_tape *t, const char *file, int line, const tg_op *op, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready(t, file, line, op->name, x) || !tg_axes_find(t, file, line, op->name, tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    if (tg_tensor_dtype(x) == TG_U8) return tg_fail_at(t, file, line, TG_EDTYPE, "%s: not defined for u8", op->name);
    return fold(t, file, line, op, x, set, keepdim);
}

tg_tensor *tg_max_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    return extremum(t, file, line, &max, x, axes, keepdim);
}

tg_tensor *tg_min_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    return extremum(t, file, line, &min, x, axes, keepdim);
}

/* ---------------------------------------------------------------- composed of them */

/* y, in which the set's axes have size 1, without them. */
static tg_tensor *drop(tg_tape *t, const char *file, int line, tg_tensor *y, unsigned set)
{
    const tg_shape shape = tg_tensor_shape(y);
    tg_shape rest = {.ndim = 0};
    for (int k = 0; k < shape.ndim; k++)
        if (!(set >> k & 1)) rest.dim[rest.ndim++] = shape.dim[k];
    return tg_base_reshape(t, file, line, y, rest);
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
static tg_tensor *average(tg_tape *t, const char *file, int line, tg_tensor *x, unsigned set, bool keepdim)
{
    if (set == 0) return x;
    return tg_div(t, tg_fold_sum(t, file, line, x, set, keepdim), tg_constant_like(t, x, (double)reduced_count(x, set)));
}

tg_tensor *tg_mean_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "mean", x) || !tg_axes_find(t, file, line, "mean", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    return average(t, file, line, x, set, keepdim);
}

/* A tree of products, so that no gradient of any order divides by an element that may be 0. */
tg_tensor *tg_prod_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "prod", x) || !tg_axes_find(t, file, line, "prod", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    if (set == 0) return x;
    if (reduced_count(x, set) == 0) return tg_offset(t, tg_fold_sum(t, file, line, x, set, keepdim), 1);

    int64_t attrs[3];
    tg_tensor *y = gathered(t, file, line, x, set, attrs);
    const tg_shape shape = tg_tensor_shape(y);
    const int axis = (int)attrs[0];
    tg_shape flat = {.ndim = 0}; /* the reduced axes made one */
    for (int k = 0; k < shape.ndim; k++)
        if (k <= axis || k > attrs[1]) flat.dim[flat.ndim++] = k == axis ? reduced_count(x, set) : shape.dim[k];
    y = tg_base_reshape(t, file, line, y, flat);
    tg_tensor *odd = NULL; /* the product of the elements that had no partner */
    for (int64_t n = flat.dim[axis]; n > 1 && y; n /= 2) {
        if (n % 2) {
            tg_tensor *last = tg_slice(t, y, axis, n - 1, n, 1);
            odd = odd ? tg_mul(t, last, odd) : last;
        }
        y = tg_mul(t, tg_slice(t, y, axis, 0, n / 2, 1), tg_slice(t, y, axis, n / 2, n - n % 2, 1));
    }
    if (odd) y = tg_mul(t, y, odd);
    return keepdim ? tg_base_reshape(t, file, line, y, tg_shape_reduced(tg_tensor_shape(x), set)) : drop(t, file, line, y, 1u << axis);
}

/* x with 0 instead of its zeros' surroundings: f(x) where x is not 0, and 0 with all its derivatives where it is. */
static tg_tensor *power_or_0(tg_tape *t, const char *file, int line, tg_tensor *x, double p)
{
    tg_tensor *zero = tg_constant_like(t, x, 0), *defined = tg_not_equal(t, x, zero), *safe = tg_safe_where(t, defined, x, 1);
    return tg_where(t, defined, p == 0.5 ? tg_sqrt(t, safe) : tg_pow(t, safe, tg_constant_like(t, x, p)), zero);
}

/* Counted from the first element instead of 0: deviations of a constant row are then exactly 0, where its mean would be rounded. */
static tg_tensor *variance(tg_tape *t, const char *file, int line, tg_tensor *x, unsigned set, int correction, bool keepdim)
{
    tg_tensor *first = tg_detach(t, x);
    for (int k = 0; k < tg_tensor_shape(x).ndim; k++)
        if (set >> k & 1) first = tg_slice(t, first, k, 0, 1, 1);
    tg_tensor *d = tg_sub(t, x, first);
    tg_tensor *squares = tg_square(t, tg_sub(t, d, average(t, file, line, d, set, true)));
    const double n = (double)reduced_count(x, set) - correction;
    return tg_div(t, tg_fold_sum(t, file, line, squares, set, keepdim), tg_constant_like(t, x, n > 0 ? n : NAN));
}

tg_tensor *tg_var_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, int correction, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "var", x) || !tg_axes_find(t, file, line, "var", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    return variance(t, file, line, x, set, correction, keepdim);
}

tg_tensor *tg_std_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, int correction, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "std", x) || !tg_axes_find(t, file, line, "std", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    return power_or_0(t, file, line, variance(t, file, line, x, set, correction, keepdim), 0.5);
}

tg_tensor *tg_norm_at(tg_tape *t, const char *file, int line, tg_tensor *x, double p, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "norm", x) || !tg_axes_find(t, file, line, "norm", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    if (!(p > 0)) return tg_fail_at(t, file, line, TG_EVALUE, "norm: p = %g is not above 0", p);
    if (isinf(p)) return tg_fold_max(t, file, line, tg_abs(t, x), set, keepdim);
    if (p == 1) return tg_fold_sum(t, file, line, tg_abs(t, x), set, keepdim);
    if (p == 2) return power_or_0(t, file, line, tg_fold_sum(t, file, line, tg_square(t, x), set, keepdim), 0.5);
    return power_or_0(t, file, line, tg_fold_sum(t, file, line, power_or_0(t, file, line, tg_abs(t, x), p), set, keepdim), 1 / p);
}

tg_tensor *tg_logsumexp_at(tg_tape *t, const char *file, int line, tg_tensor *x, tg_axes axes, bool keepdim)
{
    unsigned set;
    if (!tg_ready_float(t, file, line, "logsumexp", x) || !tg_axes_find(t, file, line, "logsumexp", tg_tensor_shape(x).ndim, axes, &set)) return NULL;
    if (reduced_count(x, set) == 0) return tg_log(t, tg_fold_sum(t, file, line, tg_exp(t, x), set, keepdim));
    /* a shift by an infinite maximum would make NaN of it */
    tg_tensor *top = tg_fold_max(t, file, line, tg_detach(t, x), set, true);
    tg_tensor *infinite = tg_equal(t, tg_abs(t, top), tg_constant_like(t, x, INFINITY));
    tg_tensor *shift = tg_where(t, infinite, tg_constant_like(t, x, 0), top);
    tg_tensor *y = tg_add(t, tg_log(t, tg_fold_sum(t, file, line, tg_exp(t, tg_sub(t, x, shift)), set, true)), shift);
    return keepdim ? y : drop(t, file, line, y, set);
}
