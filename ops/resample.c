/* Other sizes of images: resampling and padding with what is there, all of them choices and
 * weighted sums of rows and columns. Places and weights are computed while recording. */
#include "folds.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- rows and columns */

/* The elements at[0..n) of an axis. */
static tg_tensor *take(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t n,
                       const int64_t *at)
{
    return tg_index_select(t, x, axis, tg_input_borrow(t, TG_I64, TG_SHAPE(n), at));
}

/* Whether x is [n, c, h, w] with something to make h x w of. */
static bool image_fits(tg_tape *t, const char *where, const char *name, const tg_tensor *x,
                       int64_t h, int64_t w)
{
    if (!tg_ready(t, where, name, x)) return false;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim != 4 || s.dim[2] < 1 || s.dim[3] < 1 || s.dim[2] > INT32_MAX || s.dim[3] > INT32_MAX)
        tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, h, w], not %s", name,
                   tg_shape_text(s).text);
    else if (h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX)
        tg_fail_at(t, where, TG_ESHAPE, "%s: a result of %" PRId64 " x %" PRId64 " elements", name,
                   h, w);
    return tg_tape_status(t) == TG_OK;
}

/* ---------------------------------------------------------------- nearest, bilinear */

tg_tensor *tg_upsample_nearest_at(tg_tape *t, const char *where, tg_tensor *x, int64_t h, int64_t w)
{
    const char *const name = "upsample_nearest";
    if (!image_fits(t, where, name, x, h, w)) return NULL;
    const int64_t size[] = {h, w};
    for (int d = 0; d < 2; d++) {
        const int64_t from = tg_tensor_shape(x).dim[2 + d];
        int64_t *at = tg_base_memory(t, where, name, size[d], sizeof *at);
        if (!at) return NULL;
        for (int64_t i = 0; i < size[d]; i++) at[i] = i * from / size[d];
        x = take(t, where, x, 2 + d, size[d], at);
    }
    return x;
}

/* Along one axis each element of the result is (1 - share) x[first] + share x[second]. */
static tg_tensor *interpolate(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                              int axis, int64_t n, bool align_corners)
{
    const int64_t from = tg_tensor_shape(x).dim[axis];
    double *share = tg_base_memory(t, where, name, n, sizeof *share);
    int64_t *first = tg_base_memory(t, where, name, n, sizeof *first),
            *second = tg_base_memory(t, where, name, n, sizeof *second);
    if (!share || !first || !second) return NULL;
    for (int64_t i = 0; i < n; i++) {
        const double centre = align_corners
                                  ? (n > 1 ? (double)(i * (from - 1)) / (double)(n - 1) : 0)
                                  : ((double)i + 0.5) * (double)from / (double)n - 0.5;
        const double place = centre > 0 ? centre : 0;
        first[i] = (int64_t)place < from - 1 ? (int64_t)place : from - 1;
        second[i] = first[i] < from - 1 ? first[i] + 1 : from - 1;
        share[i] = place - (double)first[i];
    }
    tg_tensor *weight =
        tg_cast(t, tg_input_borrow(t, TG_F64, TG_SHAPE(n), share), tg_dtype_on(t, x));
    if (axis == 2) weight = tg_unsqueeze(t, weight, 1);
    return tg_lerp(t, take(t, where, x, axis, n, first), take(t, where, x, axis, n, second),
                   weight);
}

tg_tensor *tg_upsample_bilinear_at(tg_tape *t, const char *where, tg_tensor *x, int64_t h,
                                   int64_t w, bool align_corners)
{
    const char *const name = "upsample_bilinear";
    if (!image_fits(t, where, name, x, h, w) || !tg_ready_float(t, where, name, x)) return NULL;
    x = interpolate(t, where, name, x, 2, h, align_corners);
    return x ? interpolate(t, where, name, x, 3, w, align_corners) : NULL;
}

/* ---------------------------------------------------------------- adaptive mean */

/* Means over windows that share the axis as evenly as can be: a product with a matrix that has the
 * weights of window i in row i. */
static tg_tensor *means(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                        int64_t n)
{
    const int64_t from = tg_tensor_shape(x).dim[axis];
    double *weight = tg_base_memory(t, where, name, n * from, sizeof *weight);
    if (!weight) return NULL;
    memset(weight, 0, (size_t)(n * from) * sizeof *weight);
    for (int64_t i = 0; i < n; i++) {
        const int64_t first = i * from / n, end = ((i + 1) * from + n - 1) / n;
        for (int64_t j = first; j < end; j++) weight[i * from + j] = 1 / (double)(end - first);
    }
    tg_tensor *m =
        tg_cast(t, tg_input_borrow(t, TG_F64, TG_SHAPE(n, from), weight), tg_dtype_on(t, x));
    return axis == 2 ? tg_matmul(t, m, x) : tg_matmul(t, x, tg_transpose(t, m, 0, 1));
}

tg_tensor *tg_adaptive_avg_pool2d_at(tg_tape *t, const char *where, tg_tensor *x, int64_t h,
                                     int64_t w)
{
    const char *const name = "adaptive_avg_pool2d";
    if (!image_fits(t, where, name, x, h, w) || !tg_ready_float(t, where, name, x)) return NULL;
    x = means(t, where, name, x, 2, h);
    return x ? means(t, where, name, x, 3, w) : NULL;
}

/* ---------------------------------------------------------------- padding with what is there */

/* The element that stands for place i of an axis of n, beyond its ends too. */
static int64_t reflected(int64_t i, int64_t n)
{
    const int64_t period = n > 1 ? 2 * (n - 1) : 1, k = ((i % period) + period) % period;
    return k < n ? k : period - k;
}
static int64_t replicated(int64_t i, int64_t n) { return i < 0 ? 0 : i < n ? i : n - 1; }
static int64_t circular(int64_t i, int64_t n) { return ((i % n) + n) % n; }

tg_tensor *tg_pad_with_at(tg_tape *t, const char *where, tg_tensor *x, tg_pad_mode mode,
                          tg_shape before, tg_shape after)
{
    static int64_t (*const place[])(int64_t i, int64_t n) = {reflected, replicated, circular};
    const char *const name = "pad_with";
    if (!tg_ready(t, where, name, x)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if ((unsigned)mode >= TG_COUNT(place))
        return tg_fail_at(t, where, TG_EVALUE, "%s: no such mode: %d", name, (int)mode);
    tg_shape cut_before = before, cut_after = after;
    for (int k = 0; k < TG_MAX_DIMS; k++) {
        if (before.dim[k] < 0) before.dim[k] = 0;
        else cut_before.dim[k] = 0;
        if (after.dim[k] < 0) after.dim[k] = 0;
        else cut_after.dim[k] = 0;
    }
    if (before.ndim != shape.ndim || after.ndim != shape.ndim)
        return tg_crop(t, where, name, x, &before, &after); /* says so */
    for (int k = 0; k < shape.ndim; k++) {
        const int64_t n = shape.dim[k], b = before.dim[k], a = after.dim[k];
        if (b > INT32_MAX || a > INT32_MAX)
            return tg_fail_at(t, where, TG_ESHAPE,
                              "%s: %" PRId64 " before and %" PRId64 " after axis %d", name, b, a,
                              k);
        if (a + b > 0 && (n < 1 || (mode == TG_PAD_REFLECT && (b >= n || a >= n))))
            return tg_fail_at(t, where, TG_ESHAPE,
                              "%s: axis %d of %s is too short to give %" PRId64
                              " before and %" PRId64 " after",
                              name, k, tg_shape_text(shape).text, b, a);
    }
    for (int k = 0; k < shape.ndim; k++) {
        const int64_t b = before.dim[k];
        const int64_t n = b + shape.dim[k] + after.dim[k];
        if (n == shape.dim[k]) continue;
        int64_t *at = tg_base_memory(t, where, name, n, sizeof *at);
        if (!at) return NULL;
        for (int64_t i = 0; i < n; i++) at[i] = place[mode](i - b, shape.dim[k]);
        x = take(t, where, x, k, n, at);
    }
    return x ? tg_crop(t, where, name, x, &cut_before, &cut_after) : NULL;
}

KNOWN(upsample_nearest, "[n, c, h, w] -> [n, c, h', w']", -1,
      ("y[i,j] = x[floor(i h / h'), floor(j w / w')]"))
KNOWN(upsample_bilinear, "[n, c, h, w] -> [n, c, h', w']", -1,
      ("y[i,j] = x between its neighbours at ((i + 1/2) h / h' - 1/2, ...)"))
KNOWN(adaptive_avg_pool2d, "[n, c, h, w] -> [n, c, h', w']", -1,
      ("y = the mean of x over rows floor(i h / h') to ceil((i + 1) h / h') - 1, ..."))
KNOWN(pad_with, "any", -1, ("y = x continued beyond its ends"))

#else

static double pixel(const tg_array *x, int64_t plane, int64_t i, int64_t j)
{
    const int64_t *d = x->shape.dim;
    return ((const double *)x->data)[(plane * d[2] + i) * d[3] + j];
}

static void nearest(const tg_array *x, tg_array *y)
{
    const int64_t *in = x->shape.dim, *out = y->shape.dim;
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++)
        ((double *)y->data)[k] =
            pixel(x, k / (out[2] * out[3]), k / out[3] % out[2] * in[2] / out[2],
                  k % out[3] * in[3] / out[3]);
}

/* The sum over all of x of hats around the place. */
static void bilinear(const tg_array *x, tg_array *y, bool align)
{
    const int64_t *in = x->shape.dim, *out = y->shape.dim;
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        const int64_t at[2] = {k / out[3] % out[2], k % out[3]};
        double place[2], sum = 0;
        for (int d = 0; d < 2; d++) {
            const double last = (double)(in[2 + d] - 1);
            place[d] = align ? (double)at[d] * last / (double)(out[2 + d] - 1)
                             : ((double)at[d] + 0.5) / (double)out[2 + d] * (last + 1) - 0.5;
            place[d] = fmin(fmax(place[d], 0), last);
        }
        for (int64_t i = 0; i < in[2]; i++)
            for (int64_t j = 0; j < in[3]; j++)
                sum += pixel(x, k / (out[2] * out[3]), i, j) *
                       fmax(0, 1 - fabs(place[0] - (double)i)) *
                       fmax(0, 1 - fabs(place[1] - (double)j));
        ((double *)y->data)[k] = sum;
    }
}

static void adaptive(const tg_array *x, tg_array *y)
{
    const int64_t *in = x->shape.dim, *out = y->shape.dim;
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        const int64_t at[2] = {k / out[3] % out[2], k % out[3]};
        double sum = 0, n = 0;
        for (int64_t i = at[0] * in[2] / out[2]; i * out[2] < (at[0] + 1) * in[2]; i++)
            for (int64_t j = at[1] * in[3] / out[3]; j * out[3] < (at[1] + 1) * in[3]; j++) {
                sum += pixel(x, k / (out[2] * out[3]), i, j);
                n++;
            }
        ((double *)y->data)[k] = sum / n;
    }
}

/* Step by step from the other end. */
static void padded(const tg_array *x, tg_array *y, tg_pad_mode mode, int64_t above, int64_t left)
{
    const int64_t rows = x->shape.dim[0], columns = x->shape.dim[1], width = y->shape.dim[1];
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        int64_t at[2] = {k / width - above, k % width - left};
        const int64_t n[2] = {rows, columns};
        for (int d = 0; d < 2; d++)
            while (at[d] < 0 || at[d] >= n[d])
                if (mode == TG_PAD_REFLECT) at[d] = at[d] < 0 ? -at[d] : 2 * n[d] - 2 - at[d];
                else if (mode == TG_PAD_REPLICATE) at[d] += at[d] < 0 ? 1 : -1;
                else at[d] += at[d] < 0 ? n[d] : -n[d];
        ((double *)y->data)[k] = ((const double *)x->data)[at[0] * columns + at[1]];
    }
}

#define UNIT(...) REALS(-1, 1, __VA_ARGS__)
CALL(enlarged, tg_upsample_nearest(t, x[0], 6, 7))
EXPECT(enlarged, nearest(x, y))
SAMPLES(upsample_nearest, SAMPLE(enlarged, "larger", 0, UNIT(2, 2, 3, 4)),
        SAMPLE(enlarged, "smaller", 0, UNIT(1, 2, 8, 9)),
        SAMPLE(enlarged, "no images", 0, UNIT(0, 2, 3, 4)))

CALL(smooth, tg_upsample_bilinear(t, x[0], 6, 7, false))
EXPECT(smooth, bilinear(x, y, false))
CALL(aligned, tg_upsample_bilinear(t, x[0], 6, 7, true))
EXPECT(aligned, bilinear(x, y, true))
SAMPLES(upsample_bilinear, SAMPLE(smooth, "larger", 0, UNIT(2, 2, 3, 4)),
        SAMPLE(smooth, "smaller", 0, UNIT(1, 2, 8, 9)),
        SAMPLE(smooth, "one pixel", 0, UNIT(2, 1, 1, 1)),
        SAMPLE(aligned, "corners aligned", 0, UNIT(2, 2, 3, 4)))

CALL(means, tg_adaptive_avg_pool2d(t, x[0], 3, 2))
EXPECT(means, adaptive(x, y))
SAMPLES(adaptive_avg_pool2d, SAMPLE(means, "even", 0, UNIT(2, 2, 6, 4)),
        SAMPLE(means, "uneven", 0, UNIT(2, 2, 7, 5)), SAMPLE(means, "larger", 0, UNIT(1, 2, 2, 1)))

#define BEYOND(id, mode)                                                 \
    CALL(id, tg_pad_with(t, x[0], mode, TG_SHAPE(1, 2), TG_SHAPE(0, 3))) \
    EXPECT(id, padded(x, y, mode, 1, 2))
BEYOND(reflect, TG_PAD_REFLECT)
BEYOND(replicate, TG_PAD_REPLICATE)
BEYOND(wrap, TG_PAD_CIRCULAR)
SAMPLES(pad_with, SAMPLE(reflect, "reflect", 0, UNIT(2, 4)),
        SAMPLE(replicate, "replicate", 0, UNIT(2, 3)), SAMPLE(wrap, "circular", 0, UNIT(2, 2)))

#endif
