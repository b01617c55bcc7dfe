/* Normalisations composed of other ops: by the root mean square of rows, and by the statistics of
 * channels, which stand on axis 1. */
#include "folds.h"
#include <math.h>

#ifndef TG_SAMPLES

static bool is_eps(tg_tape *t, const char *where, const char *name, double eps)
{
    if (eps >= 0) return true;
    tg_fail_at(t, where, TG_EVALUE, "%s: eps = %g is not a number >= 0", name, eps);
    return false;
}

/* Whether v, one of x's dtype and `shape` for the op, or NULL, is that. */
static bool fits(tg_tape *t, const char *where, const char *name, const tg_tensor *x,
                 const char *name_of_v, const tg_tensor *v, tg_shape shape)
{
    if (!v) return true;
    if (!tg_ready(t, where, name, v)) return false;
    if (!tg_shape_equal(tg_tensor_shape(v), shape))
        tg_fail_at(t, where, TG_ESHAPE, "%s: %s is %s, not %s", name, name_of_v,
                   tg_shape_text(tg_tensor_shape(v)).text, tg_shape_text(shape).text);
    else if (tg_dtype_on(t, v) != tg_dtype_on(t, x))
        tg_fail_at(t, where, TG_EDTYPE, "%s: %s is %s but x is %s", name, name_of_v,
                   tg_dtype_name(tg_dtype_on(t, v)), tg_dtype_name(tg_dtype_on(t, x)));
    return tg_tape_status(t) == TG_OK;
}

tg_tensor *tg_rms_norm_at(tg_tape *t, const char *where, tg_tensor *x, int dims, tg_tensor *w,
                          double eps)
{
    if (!tg_ready_float(t, where, "rms_norm", x) || !is_eps(t, where, "rms_norm", eps)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if (dims < 1 || dims > shape.ndim)
        return tg_fail_at(t, where, TG_ESHAPE, "rms_norm: %s has no last %d dimensions",
                          tg_shape_text(shape).text, dims);
    const tg_shape inner = tg_shape_of(dims, shape.dim + shape.ndim - dims);
    if (!fits(t, where, "rms_norm", x, "w", w, inner)) return NULL;
    int axis[TG_MAX_DIMS];
    for (int k = 0; k < dims; k++) axis[k] = k - dims;
    tg_tensor *square = tg_mean(t, tg_square(t, x), tg_axes_of(dims, axis), true);
    tg_tensor *y = tg_mul(t, x, tg_rsqrt(t, tg_offset(t, square, eps)));
    return w ? tg_mul(t, y, w) : y;
}

/* A vector of channels as it stands in x: [c] -> [c, 1, ...]. */
static tg_tensor *along_channels(tg_tape *t, const char *where, tg_tensor *v, int ndim)
{
    tg_shape shape = {.ndim = ndim - 1};
    for (int k = 0; k < shape.ndim; k++) shape.dim[k] = 1;
    shape.dim[0] = tg_tensor_shape(v).dim[0];
    return ndim > 2 ? tg_reshape(t, v, shape) : v;
}

/* y w + b by channel. */
static tg_tensor *affine(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *w, tg_tensor *b)
{
    const int ndim = tg_tensor_shape(y).ndim;
    if (w) y = tg_mul(t, y, along_channels(t, where, w, ndim));
    return b ? tg_add(t, y, along_channels(t, where, b, ndim)) : y;
}

/* Whether x is [n, c, ...] and w and b are [c]. */
static bool channels_fit(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                         tg_tensor *w, tg_tensor *b, double eps)
{
    if (!tg_ready_float(t, where, name, x) || !is_eps(t, where, name, eps)) return false;
    const tg_shape shape = tg_tensor_shape(x);
    if (shape.ndim < 2) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, ...], not %s", name,
                   tg_shape_text(shape).text);
        return false;
    }
    return fits(t, where, name, x, "w", w, TG_SHAPE(shape.dim[1])) &&
           fits(t, where, name, x, "b", b, TG_SHAPE(shape.dim[1]));
}

tg_tensor *tg_batch_norm_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *mean,
                            tg_tensor *variance, tg_tensor *w, tg_tensor *b, double eps)
{
    const char *const name = "batch_norm";
    if (!channels_fit(t, where, name, x, w, b, eps)) return NULL;
    const tg_shape shape = tg_tensor_shape(x), c = TG_SHAPE(shape.dim[1]);
    if (!mean != !variance)
        return tg_fail_at(t, where, TG_ENULL, "%s: the mean and the variance go together", name);
    if (!fits(t, where, name, x, "the mean", mean, c) ||
        !fits(t, where, name, x, "the variance", variance, c))
        return NULL;
    const int ndim = shape.ndim;
    if (!mean && tg_shape_count(shape) && tg_shape_count(shape) == shape.dim[1])
        return tg_fail_at(t, where, TG_ESHAPE, "%s: one value in each channel of x %s: no variance",
                          name, tg_shape_text(shape).text);
    int axis[TG_MAX_DIMS], axes = 0;
    for (int k = 0; k < ndim; k++)
        if (k != 1) axis[axes++] = k;
    tg_tensor *centred = tg_sub(t, x,
                                mean ? along_channels(t, where, mean, ndim)
                                     : tg_mean(t, x, tg_axes_of(axes, axis), true));
    tg_tensor *spread = variance ? along_channels(t, where, variance, ndim)
                                 : tg_mean(t, tg_square(t, centred), tg_axes_of(axes, axis), true);
    return affine(t, where, tg_mul(t, centred, tg_rsqrt(t, tg_offset(t, spread, eps))), w, b);
}

/* Each of n times `groups` rows by layer_norm. */
static tg_tensor *by_groups(tg_tape *t, const char *where, tg_tensor *x, int64_t groups,
                            tg_tensor *w, tg_tensor *b, double eps)
{
    const tg_shape shape = tg_tensor_shape(x);
    const int64_t rows = shape.dim[0] * groups, count = tg_shape_count(shape);
    tg_tensor *y = tg_reshape(t, x, TG_SHAPE(rows, rows ? count / rows : 0));
    y = tg_reshape(t, tg_layer_norm(t, y, 1, NULL, NULL, eps), shape);
    return affine(t, where, y, w, b);
}

tg_tensor *tg_group_norm_at(tg_tape *t, const char *where, tg_tensor *x, int64_t groups,
                            tg_tensor *w, tg_tensor *b, double eps)
{
    if (!channels_fit(t, where, "group_norm", x, w, b, eps)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    const int64_t c = shape.dim[1];
    if (groups < 1 || c % groups)
        return tg_fail_at(t, where, TG_ESHAPE, "group_norm: %lld groups do not divide x %s",
                          (long long)groups, tg_shape_text(shape).text);
    return by_groups(t, where, x, c ? groups : 0, w, b, eps);
}

tg_tensor *tg_instance_norm_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w,
                               tg_tensor *b, double eps)
{
    if (!channels_fit(t, where, "instance_norm", x, w, b, eps)) return NULL;
    return by_groups(t, where, x, tg_tensor_shape(x).dim[1], w, b, eps);
}

KNOWN(rms_norm, "[..., normalised sizes], w [normalised sizes] or NULL", -1,
      ("y = x / sqrt(mean x^2 + eps) w"))
KNOWN(batch_norm, "[n, c, ...], the others [c] or NULL", -1,
      ("y = (x - mean) / sqrt(variance + eps) w + b"))
KNOWN(group_norm, "[n, c, ...], w and b [c] or NULL", -1,
      ("y = (x - mean) / sqrt(variance + eps) w + b"))
KNOWN(instance_norm, "[n, c, ...], w and b [c] or NULL", -1,
      ("y = (x - mean) / sqrt(variance + eps) w + b"))

#else

/* x [n, c, inner]: statistics over what belongs to one `slot`: a channel for groups = 0, else a
 * group of one n. */
static void reference(const tg_array *x, int64_t groups, const double *given, const double *w,
                      const double *b, double eps, tg_array *y)
{
    const tg_shape s = x->shape;
    const double *in = x->data;
    const int64_t c = s.dim[1], count = tg_shape_count(s),
                  inner = count ? count / (s.dim[0] * c) : 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t channel = i / inner % c;
        double sum = 0, squares = 0, n = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t j = 0; j < count; j++) {
                const int64_t other = j / inner % c;
                const bool same = groups ? i / inner / c == j / inner / c &&
                                               channel / (c / groups) == other / (c / groups)
                                         : channel == other;
                if (!same) continue;
                if (pass == 0) sum += in[j], n++;
                else squares += pow(in[j] - sum / n, 2);
            }
        const double mean = given ? given[channel] : sum / n,
                     variance = given ? given[c + channel] : squares / n;
        const double z = (in[i] - mean) / sqrt(variance + eps);
        ((double *)y->data)[i] = z * (w ? w[channel] : 1) + (b ? b[channel] : 0);
    }
}

static void rms(const tg_array *x, int64_t n, const double *w, tg_array *y)
{
    const double *in = x->data;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        double squares = 0;
        for (int64_t j = 0; j < n; j++) squares += in[i / n * n + j] * in[i / n * n + j];
        ((double *)y->data)[i] = in[i] / sqrt(squares / (double)n + 1e-2) * (w ? w[i % n] : 1);
    }
}

#define ROWS(...) REALS(-2, 2, __VA_ARGS__)
CALL_WITHOUT(rms_rows, 1 << 1, tg_rms_norm(t, x[0], 1, x[1], 1e-2))
EXPECT(rms_rows, rms(x, x->shape.dim[x->shape.ndim - 1], x[1].data, y))
CALL(rms_two, tg_rms_norm(t, x[0], 2, NULL, 1e-2))
EXPECT(rms_two, rms(x, x->shape.dim[1] * x->shape.dim[2], NULL, y))
SAMPLES(rms_norm, SAMPLE(rms_rows, "rows", 0, ROWS(3, 5), ROWS(5)),
        SAMPLE(rms_rows, "a vector", 0, ROWS(7), ROWS(7)),
        SAMPLE(rms_rows, "long rows", 0, ROWS(2, 70), ROWS(70)),
        SAMPLE(rms_two, "two dimensions, no w", 0, ROWS(3, 2, 4)),
        SAMPLE(rms_rows, "no rows", 0, ROWS(0, 3), ROWS(3)),
        SAMPLE(rms_rows, "empty rows", 0, ROWS(3, 0), ROWS(0)))

CALL_WITHOUT(training, 1 << 1 | 1 << 2, tg_batch_norm(t, x[0], NULL, NULL, x[1], x[2], 1e-2))
EXPECT(training, reference(x, 0, NULL, x[1].data, x[2].data, 1e-2, y))
CALL_WITHOUT(evaluation, 1 << 3, tg_batch_norm(t, x[0], x[1], x[2], x[3], NULL, 1e-2))
EXPECT(
    evaluation, double given[8]; const int64_t c = x[1].shape.dim[0];
    for (int64_t k = 0; k < c; k++) {
        given[k] = ((const double *)x[1].data)[k];
        given[c + k] = ((const double *)x[2].data)[k];
    } reference(x, 0, given, x[3].data, NULL, 1e-2, y))
SAMPLES(batch_norm, SAMPLE(training, "images", 0, ROWS(3, 2, 2, 3), ROWS(2), ROWS(2)),
        SAMPLE(training, "rows", 0, ROWS(6, 4), ROWS(4), ROWS(4)),
        SAMPLE(training, "nothing", 0, ROWS(0, 4), ROWS(4), ROWS(4)),
        SAMPLE(evaluation, "given statistics", 0, ROWS(3, 4, 2), ROWS(4), REALS(0.2, 2, 4),
               ROWS(4)))

CALL_WITHOUT(grouped, 1 << 1 | 1 << 2, tg_group_norm(t, x[0], 2, x[1], x[2], 1e-2))
EXPECT(grouped, reference(x, 2, NULL, x[1].data, x[2].data, 1e-2, y))
SAMPLES(group_norm, SAMPLE(grouped, "images", 0, ROWS(2, 4, 3, 2), ROWS(4), ROWS(4)),
        SAMPLE(grouped, "rows", 0, ROWS(3, 6), ROWS(6), ROWS(6)),
        SAMPLE(grouped, "nothing", 0, ROWS(0, 4, 2), ROWS(4), ROWS(4)))

CALL_WITHOUT(instances, 1 << 1 | 1 << 2, tg_instance_norm(t, x[0], x[1], x[2], 1e-2))
EXPECT(instances, reference(x, x->shape.dim[1], NULL, x[1].data, x[2].data, 1e-2, y))
SAMPLES(instance_norm, SAMPLE(instances, "images", 0, ROWS(2, 3, 3, 2), ROWS(3), ROWS(3)),
        SAMPLE(instances, "sequences", 0, ROWS(2, 2, 9), ROWS(2), ROWS(2)))

#endif
