/* The fold kernels, and the reading of axes. */
#include <math.h>
#include <string.h>

#include "folds.h"
#include "../graph/fold.h"

/* ---------------------------------------------------------------- kernels */

#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b)) /* NaN wins */
#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))
/* carried: extrema, on fold */
#define INTEGER_MAX(a, b) ((a) > (b) ? (a) : (b))
#define INTEGER_MIN(a, b) ((a) < (b) ? (a) : (b))

#define FOLDS(name, JOIN, INTEGER_JOIN, identity, integer_identity)                                \
    TG_EACH_BUILD(TG_FOLD, name##_fold_f32, float, identity, JOIN)                                 \
    TG_EACH_BUILD(TG_FOLD, name##_fold_f64, double, identity, JOIN)                                \
    TG_EACH_BUILD(TG_FOLD, name##_fold_i64, int64_t, integer_identity, INTEGER_JOIN)               \
    TG_EACH_BUILD(TG_SPAN_2, name##_span_f32, float, float, JOIN(a, b))                            \
    TG_EACH_BUILD(TG_SPAN_2, name##_span_f64, double, double, JOIN(a, b))                          \
    TG_EACH_BUILD(TG_SPAN_2, name##_span_i64, int64_t, int64_t, INTEGER_JOIN(a, b))                \
    TG_SPANS(name##_spans, #JOIN "(a, b)", TG_BUILDS(name##_span_f32), TG_BUILDS(name##_span_f64), \
             TG_BUILDS(name##_span_i64))                                                           \
    TG_FOLDS(, tg_##name##_folds, name##_spans, TG_BUILDS(name##_fold_f32),                        \
             TG_BUILDS(name##_fold_f64), TG_BUILDS(name##_fold_i64))

FOLDS(max, MAX, INTEGER_MAX, -INFINITY, INT64_MIN)
FOLDS(min, MIN, INTEGER_MIN, INFINITY, INT64_MAX)
/* carried so far */

/* ---------------------------------------------------------------- long rows */

#define TG_SHARED /* static in an exported file */
/* carried: staircase */
TG_SHARED void tg_staircase_start(tg_staircase *s, tg_fold_fn fold, size_t size)
{
    s->fold = fold;
    s->size = size;
    s->top = 0;
    s->count[0] = 0;
}

static void put_on_stair(tg_staircase *s, int k, const void *value)
{
    if (k > s->top) {
        s->top = k;
        s->count[k] = 0;
    }
    memcpy((char *)s->step[k] + (size_t)s->count[k]++ * s->size, value, s->size);
}

TG_SHARED void tg_staircase_add(tg_staircase *s, const void *chunk)
{
    double value;
    put_on_stair(s, 0, chunk);
    for (int k = 0; s->count[k] == TG_FOLD_MOST; k++) {
        s->fold(TG_FOLD_MOST, s->step[k], &value);
        s->count[k] = 0;
        put_on_stair(s, k + 1, &value);
    }
}

TG_SHARED void tg_staircase_end(tg_staircase *s, void *y)
{
    double value;
    for (int k = 0; k < s->top; k++)
        if (s->count[k]) {
            s->fold(s->count[k], s->step[k], &value);
            put_on_stair(s, k + 1, &value);
        }
    s->fold(s->count[s->top], s->step[s->top], y);
}
/* carried so far */

/* ---------------------------------------------------------------- operands and axes */

bool tg_ready(tg_tape *t, const char *where, const char *name, const tg_tensor *x)
{
    return tg_tape_status(t) == TG_OK && tg_belongs(t, where, name, x);
}

bool tg_ready_float(tg_tape *t, const char *where, const char *name, const tg_tensor *x)
{
    if (!tg_ready(t, where, name, x)) return false;
    const tg_dtype dtype = tg_dtype_on(t, x);
    if (dtype == TG_F32 || dtype == TG_F64) return true;
    tg_fail_at(t, where, TG_EDTYPE, "%s: not defined for %s: tg_cast makes f32 or f64 of it", name,
               tg_dtype_name(dtype));
    return false;
}

bool tg_axis_find(tg_tape *t, const char *where, const char *name, int ndim, int axis, int *k)
{
    *k = axis < 0 && axis >= -ndim ? axis + ndim : axis;
    if (axis >= -ndim && axis < ndim) return true;
    tg_fail_at(t, where, TG_ESHAPE, "%s: there is no axis %d in %d dimensions", name, axis, ndim);
    return false;
}

bool tg_axes_find(tg_tape *t, const char *where, const char *name, int ndim, tg_axes axes,
                  unsigned *set)
{
    *set = axes.n == -1 ? (1u << ndim) - 1 : 0;
    if (axes.n < -1 || axes.n > TG_MAX_DIMS) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: impossible axes", name);
        return false;
    }
    for (int k = 0; k < axes.n; k++) {
        int axis;
        if (!tg_axis_find(t, where, name, ndim, axes.axis[k], &axis)) return false;
        if (*set >> axis & 1) {
            tg_fail_at(t, where, TG_ESHAPE, "%s: axis %d is given twice", name, axis);
            return false;
        }
        *set |= 1u << axis;
    }
    return true;
}

tg_shape tg_shape_reduced(tg_shape shape, unsigned set)
{
    for (int k = 0; k < shape.ndim; k++)
        if (set >> k & 1) shape.dim[k] = 1;
    return shape;
}
