/* Along an axis in order: recurrences, running products, logarithms and extrema, and what is in the
 * middle. */
#include "lines.h"
#include "math.h"
#include <math.h>

#ifndef TG_SAMPLES

/* Whether x is f32 or f64 and has the axis, *k from the front. */
static bool has_axis(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                     int *k)
{
    return tg_ready_float(t, where, name, x) &&
           tg_axis_find(t, where, name, tg_tensor_shape(x).ndim, axis, k);
}

static tg_tensor *along(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a, tg_tensor *b,
                        int64_t axis)
{
    return tg_apply(t, op, b ? 2 : 1, ((tg_tensor *[]){a, b}), 1, &axis);
}

/* x moved by one place along the axis: without its last slice and with zeros before its first, or
 * the other way round. */
static tg_tensor *moved(tg_tape *t, const char *where, tg_tensor *x, int axis, bool up)
{
    tg_shape zeros = tg_tensor_shape(x);
    const int64_t n = zeros.dim[axis];
    zeros.dim[axis] = 1;
    tg_tensor *zero = tg_expand(t, tg_constant_like(t, x, 0), zeros),
              *rest = tg_slice(t, x, axis, up ? 0 : 1, up ? n - 1 : n, 1);
    return tg_concat(t, 2, ((tg_tensor *[]){up ? zero : rest, up ? rest : zero}), axis);
}

/* ---------------------------------------------------------------- linear_recurrence */

/* carried: running, on lines */
#define RECURRENCE(fn, T)                                                             \
    static void fn(const tg_call *c, void *user, int64_t part)                        \
    {                                                                                 \
        TG_LINES_PART                                                                 \
        const T *a = (const T *)c->x[0].data + at;                                    \
        const T *b = (const T *)c->x[1].data + at;                                    \
        T *y = (T *)c->y->data + at;                                                  \
        double state[TG_COLUMNS];                                                     \
        for (int64_t i = 0; i < l->n; i++)                                            \
            for (int64_t j = 0; j < width; j++) {                                     \
                const int64_t k = i * l->inner + j;                                   \
                state[j] = i ? (double)a[k] * state[j] + (double)b[k] : (double)b[k]; \
                y[k] = (T)state[j];                                                   \
            }                                                                         \
    }
RECURRENCE(recurrence_f32, float)
RECURRENCE(recurrence_f64, double)

static void recurrence_kernel(const tg_call *c)
{
    tg_lines_run(c, c->y->dtype == TG_F32 ? recurrence_f32 : recurrence_f64);
}
/* carried so far */

static bool recurrence_rule(tg_rule *r)
{
    r->y = r->x[0];
    if (r->x[1].dtype != r->y.dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->y.dtype),
                            tg_dtype_name(r->x[1].dtype));
    if (!tg_shape_equal(r->x[1].shape, r->y.shape))
        return tg_rule_fail(r, TG_ESHAPE, "shapes differ: %s and %s",
                            tg_shape_text(r->y.shape).text, tg_shape_text(r->x[1].shape).text);
    return true;
}

/* g[i] = gy[i] + a[i+1] g[i+1]: the recurrence from the other end. */
static tg_tensor *recurrence_back(tg_tape *t, const char *where, tg_tensor *next, tg_tensor *gy,
                                  int axis)
{
    const tg_axes turn = TG_AXES(axis);
    return tg_flip(t, tg_linear_recurrence(t, tg_flip(t, next, turn), tg_flip(t, gy, turn), axis),
                   turn);
}
static void recurrence_vjp(TG_VJP)
{
    const int axis = (int)attrs[0];
    if (tg_tensor_count(y) == 0) {
        gx[0] = gx[1] = gy;
        return;
    }
    gx[1] = recurrence_back(t, where, moved(t, where, x[0], axis, false), gy, axis);
    gx[0] = tg_mul(t, gx[1], moved(t, where, y, axis, true));
}
static const tg_op linear_recurrence = {.size = sizeof(tg_op),
                                        .name = "linear_recurrence",
                                        .n_in = 2,
                                        .rule = recurrence_rule,
                                        .kernel = recurrence_kernel,
                                        .carried = TG_CARRIED("running recurrence_kernel"),
                                        .vjp = recurrence_vjp};

tg_tensor *tg_linear_recurrence_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                                   int axis)
{
    const char *const name = "linear_recurrence";
    int k;
    if (!has_axis(t, where, name, a, axis, &k) || !tg_ready_float(t, where, name, b)) return NULL;
    return along(t, where, &linear_recurrence, a, b, k);
}

/* Each product is x times the one before; the first is x. */
tg_tensor *tg_cumprod_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    int k;
    if (!has_axis(t, where, "cumprod", x, axis, &k)) return NULL;
    tg_shape rest = tg_tensor_shape(x);
    if (rest.dim[k] == 0) return x;
    rest.dim[k]--;
    tg_tensor *start[] = {tg_slice(t, x, k, 0, 1, 1),
                          tg_expand(t, tg_constant_like(t, x, 0), rest)};
    return tg_linear_recurrence(t, x, tg_concat(t, 2, start, k), k);
}

/* ---------------------------------------------------------------- logcumsumexp
 *
 * The sum so far is kept relative to the greatest term so far. */

/* carried: running */
#define LOG_SUMS(fn, T)                                               \
    static void fn(const tg_call *c, void *user, int64_t part)        \
    {                                                                 \
        TG_LINES_PART                                                 \
        const T *x = (const T *)c->x[0].data + at;                    \
        T *y = (T *)c->y->data + at;                                  \
        for (int64_t j = 0; j < width; j++) {                         \
            double top = -(double)INFINITY, sum = 0;                  \
            for (int64_t k = j; k < l->n * l->inner; k += l->inner) { \
                const double v = (double)x[k];                        \
                if (v > top) {                                        \
                    sum = sum * exp_f64(top - v) + 1;                 \
                    top = v;                                          \
                } else if (v == top && isinf(v)) sum = v < 0 ? 0 : 1; \
                else sum += exp_f64(v - top);                         \
                y[k] = (T)(sum == 0 ? top : top + log_f64(sum));      \
            }                                                         \
        }                                                             \
    }
LOG_SUMS(log_sums_f32, float)
LOG_SUMS(log_sums_f64, double)

static void logcumsumexp_kernel(const tg_call *c)
{
    tg_lines_run(c, c->y->dtype == TG_F32 ? log_sums_f32 : log_sums_f64);
}
/* carried so far */

static bool same_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

/* e^(a - b), 0 where b is -inf; nothing passes through what is not taken. */
static tg_tensor *share(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    tg_tensor *nothing = tg_constant_like(t, b, -(double)INFINITY);
    return tg_exp(t, tg_where(t, tg_equal(t, b, nothing), nothing, tg_sub(t, a, b)));
}
/* The gradient of x[k] is the sum of gy[i] e^(x[k] - y[i]) from i = k on. */
static void logcumsumexp_vjp(TG_VJP)
{
    const int axis = (int)attrs[0];
    const int64_t n = tg_tensor_shape(y).dim[axis];
    if (tg_tensor_count(y) == 0) {
        gx[0] = gy;
        return;
    }
    tg_shape one = tg_tensor_shape(y);
    one.dim[axis] = 1;
    tg_tensor *next[] = {
        share(t, where, tg_slice(t, y, axis, 0, n - 1, 1), tg_slice(t, y, axis, 1, n, 1)),
        tg_expand(t, tg_constant_like(t, y, 0), one)};
    tg_tensor *sum = recurrence_back(t, where, tg_concat(t, 2, next, axis), gy, axis);
    gx[0] = tg_mul(t, share(t, where, x[0], y), sum);
}
static const tg_op logcumsumexp = {.size = sizeof(tg_op),
                                   .name = "logcumsumexp",
                                   .n_in = 1,
                                   .rule = same_rule,
                                   .kernel = logcumsumexp_kernel,
                                   .carried = TG_CARRIED("running logcumsumexp_kernel"),
                                   .vjp = logcumsumexp_vjp};
tg_tensor *tg_logcumsumexp_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    int k;
    return has_axis(t, where, "logcumsumexp", x, axis, &k)
               ? along(t, where, &logcumsumexp, x, NULL, k)
               : NULL;
}

/* ---------------------------------------------------------------- cummax, cummin */

/* carried: running */
/* The place of the extremum so far: the last of equals, the last NaN if any. */
#define PLACES(fn, T)                                                                         \
    static void fn(const tg_call *c, void *user, int64_t part)                                \
    {                                                                                         \
        TG_LINES_PART                                                                         \
        const T *x = (const T *)c->x[0].data + at;                                            \
        int64_t *y = (int64_t *)c->y->data + at;                                              \
        const T sign = c->attrs[1] ? -1 : 1;                                                  \
        for (int64_t j = 0; j < width; j++) {                                                 \
            int64_t place = 0;                                                                \
            for (int64_t i = 0; i < l->n; i++) {                                              \
                const T v = sign * x[i * l->inner + j], top = sign * x[place * l->inner + j]; \
                if (v != v || v >= top) place = i;                                            \
                y[i * l->inner + j] = place;                                                  \
            }                                                                                 \
        }                                                                                     \
    }
PLACES(places_f32, float)
PLACES(places_f64, double)
static void places_kernel(const tg_call *c)
{
    tg_lines_run(c, c->x[0].dtype == TG_F32 ? places_f32 : places_f64);
}
/* carried so far */

static bool places_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.dtype = TG_I64;
    return true;
}
static const tg_op places = {.size = sizeof(tg_op),
                             .name = "running_places",
                             .n_in = 1,
                             .rule = places_rule,
                             .kernel = places_kernel,
                             .carried = TG_CARRIED("running places_kernel")};

static tg_tensor *extrema(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                          bool least)
{
    int k;
    if (!has_axis(t, where, name, x, axis, &k)) return NULL;
    return tg_gather(t, x, k, tg_apply(t, &places, 1, &x, 2, ((const int64_t[]){k, least})));
}
tg_tensor *tg_cummax_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    return extrema(t, where, "cummax", x, axis, false);
}
tg_tensor *tg_cummin_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    return extrema(t, where, "cummin", x, axis, true);
}

/* ---------------------------------------------------------------- kthvalue, median */

static tg_tensor *in_order(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t place,
                           bool keepdim)
{
    tg_tensor *at = tg_slice(t, tg_argsort(t, x, axis, false), axis, place, place + 1, 1);
    tg_tensor *y = tg_gather(t, x, axis, at);
    return keepdim ? y : tg_squeeze(t, y, axis);
}
tg_tensor *tg_kthvalue_at(tg_tape *t, const char *where, tg_tensor *x, int64_t k, int axis,
                          bool keepdim)
{
    int found;
    if (!has_axis(t, where, "kthvalue", x, axis, &found)) return NULL;
    if (k < 1 || k > tg_tensor_shape(x).dim[found])
        return tg_fail_at(t, where, TG_EVALUE, "kthvalue: %lld of axis %d of %s", (long long)k,
                          axis, tg_shape_text(tg_tensor_shape(x)).text);
    return in_order(t, where, x, found, k - 1, keepdim);
}
tg_tensor *tg_median_at(tg_tape *t, const char *where, tg_tensor *x, int axis, bool keepdim)
{
    int k;
    if (!has_axis(t, where, "median", x, axis, &k)) return NULL;
    const int64_t n = tg_tensor_shape(x).dim[k];
    if (n == 0) return tg_fail_at(t, where, TG_ESHAPE, "median: axis %d is empty", axis);
    tg_tensor *lost = tg_sum(t, tg_isnan(t, x), TG_AXES(k), keepdim);
    return tg_where(t, tg_logical_not(t, lost), in_order(t, where, x, k, (n - 1) / 2, keepdim),
                    tg_constant_like(t, x, (double)NAN));
}

KNOWN(linear_recurrence, "any but [], twice", -1, ("y[i] = a[i] y[i-1] + b[i], y[0] = b[0]"))
KNOWN(cumprod, "any but []", -1, ("y[i] = x[0] ... x[i]"))
KNOWN(logcumsumexp, "any but []", -1, ("y[i] = ln(e^x[0] + ... + e^x[i])"))
KNOWN(cummax, "any but []", -1, ("y[i] = max(x[0], ..., x[i])", .kinks = "equal elements"))
KNOWN(cummin, "any but []", -1, ("y[i] = min(x[0], ..., x[i])", .kinks = "equal elements"))
KNOWN(kthvalue, "[..., n, ...] -> [..., 1, ...] or [..., ...]", -1,
      ("y = the k-th smallest of x", .kinks = "equal elements"))
KNOWN(median, "[..., n, ...] -> [..., 1, ...] or [..., ...]", -1,
      ("y = the middle one of x in order, the lower of two", .kinks = "equal elements"))

#else

/* From what came before on each line, and x; the axis is 1. */
#define FROM_BEFORE(id, first, ...)                                                             \
    EXPECT(                                                                                     \
        id, const int64_t n = x->shape.dim[1], inner = x->shape.ndim > 2 ? x->shape.dim[2] : 1; \
        double *out = y->data; for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {         \
            const double a = tg_sampled(x, i), b = tg_sampled(x + 1, i);                        \
            (void)b;                                                                            \
            const bool starts = i / inner % n == 0;                                             \
            const double before = starts ? 0 : out[i - inner];                                  \
            out[i] = starts ? (first) : (__VA_ARGS__);                                          \
        })
#define WIDE(...) REALS(-2, 2, __VA_ARGS__)
CALL(recur, tg_linear_recurrence(t, x[0], x[1], 1))
FROM_BEFORE(recur, b, a *before + b)
SAMPLES(linear_recurrence, SAMPLE(recur, "rows", 0, WIDE(2, 5), WIDE(2, 5)),
        SAMPLE(recur, "inside", 0, WIDE(2, 3, 2), WIDE(2, 3, 2)),
        SAMPLE(recur, "many columns", 0, WIDE(1, 3, 70), WIDE(1, 3, 70)),
        SAMPLE(recur, "nothing", 0, WIDE(3, 0), WIDE(3, 0)))
CALL(products, tg_cumprod(t, x[0], -1))
FROM_BEFORE(products, a, a *before)
SAMPLES(cumprod, SAMPLE(products, "rows", 0, WIDE(3, 4)),
        SAMPLE(products, "nothing", 0, WIDE(3, 0)))
CALL(logs, tg_logcumsumexp(t, x[0], 1))
FROM_BEFORE(logs, a, log(exp(before) + exp(a)))
SAMPLES(logcumsumexp, SAMPLE(logs, "rows", 0, WIDE(2, 5)), SAMPLE(logs, "inside", 0, WIDE(2, 3, 2)),
        SAMPLE(logs, "nothing", 0, WIDE(3, 0)))
CALL(tops, tg_cummax(t, x[0], 1))
FROM_BEFORE(tops, a, fmax(a, before))
SAMPLES(cummax, SAMPLE(tops, "rows", 0, WIDE(3, 6)), SAMPLE(tops, "inside", 0, WIDE(2, 4, 2)))
CALL(lows, tg_cummin(t, x[0], 1))
FROM_BEFORE(lows, a, fmin(a, before))
SAMPLES(cummin, SAMPLE(lows, "rows", 0, WIDE(3, 6)))

/* The element of a row that as many others are below. */
static double ranked(const double *row, int64_t n, int64_t rank)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t below = 0;
        for (int64_t k = 0; k < n; k++) below += row[k] < row[i];
        if (below == rank) return row[i];
    }
    return 0;
}
#define RANKED(id, rank)                                                         \
    EXPECT(id, const int64_t n = x->shape.dim[1];                                \
           for (int64_t i = 0; i < x->shape.dim[0]; i++)((double *)y->data)[i] = \
               ranked((const double *)x->data + i * n, n, rank))
CALL(third, tg_kthvalue(t, x[0], 3, 1, false))
RANKED(third, 2)
SAMPLES(kthvalue, SAMPLE(third, "", 0, WIDE(3, 5)))
CALL(middle, tg_median(t, x[0], -1, true))
RANKED(middle, (n - 1) / 2)
SAMPLES(median, SAMPLE(middle, "odd", 0, WIDE(3, 5)), SAMPLE(middle, "even", 0, WIDE(3, 4)))

#endif
