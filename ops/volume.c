/* Convolution and pooling of volumes, and the greatest of windows that share an image. */
#include "folds.h"
#include "conv.h"
#include <inttypes.h>
#include <math.h>

#ifndef TG_SAMPLES

/* The slices of x that a window's slices meet stand side by side as channels; what is left is a
 * convolution of images. */
tg_tensor *tg_conv3d_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w, tg_tensor *b,
                        tg_conv3 options)
{
    const char *const name = "conv3d";
    if (!tg_ready_float(t, where, name, x) || !tg_ready_float(t, where, name, w) ||
        (b && !tg_ready_float(t, where, name, b)))
        return NULL;
    if (options.same && !(x = tg_same_padded(t, where, name, x, w, 3, options.stride,
                                             options.dilation, options.padding)))
        return NULL;
    const tg_shape s = tg_tensor_shape(x), k = tg_tensor_shape(w);
    const int64_t stride = options.stride[0] ? options.stride[0] : 1, padding = options.padding[0],
                  dilation = options.dilation[0] ? options.dilation[0] : 1;
    for (int d = 0; d < 3; d++)
        if (options.stride[d] < 0 || options.padding[d] < 0 || options.dilation[d] < 0 ||
            options.stride[d] > INT32_MAX || options.padding[d] > INT32_MAX ||
            options.dilation[d] > INT32_MAX)
            return tg_fail_at(t, where, TG_EVALUE, "%s: strides, paddings and dilations are >= 0",
                              name);
    const bool volumes = s.ndim == 5 && k.ndim == 5 && k.dim[2] >= 1 && k.dim[2] <= INT32_MAX &&
                         s.dim[2] <= INT32_MAX;
    const int64_t window = volumes ? dilation * (k.dim[2] - 1) + 1 : 0;
    if (!volumes || s.dim[2] + 2 * padding < window)
        return tg_fail_at(t, where, TG_ESHAPE,
                          "%s: x %s is not [n, c, d, h, w], large enough for w %s", name,
                          tg_shape_text(s).text, tg_shape_text(k).text);
    const int64_t deep = (s.dim[2] + 2 * padding - window) / stride + 1, n = s.dim[0],
                  taps = k.dim[2];
    tg_tensor **slice = tg_base_memory(t, where, name, taps, sizeof *slice);
    if (!slice) return NULL;
    const tg_shape around = TG_SHAPE(0, 0, padding, 0, 0);
    x = tg_permute(t, padding ? tg_pad(t, x, around, around, 0) : x, TG_AXES(0, 2, 1, 3, 4));
    for (int64_t p = 0; p < taps; p++)
        slice[p] = tg_slice(t, x, 1, p * dilation, p * dilation + (deep - 1) * stride + 1, stride);
    x = tg_reshape(t, tg_stack(t, (int)taps, slice, 3),
                   TG_SHAPE(n * deep, s.dim[1] * taps, s.dim[3], s.dim[4]));
    w = tg_reshape(t, w, TG_SHAPE(k.dim[0], k.dim[1] * taps, k.dim[3], k.dim[4]));
    const tg_conv images = {.stride = {options.stride[1], options.stride[2]},
                            .padding = {options.padding[1], options.padding[2]},
                            .dilation = {options.dilation[1], options.dilation[2]},
                            .groups = options.groups};
    tg_tensor *y = tg_conv2d(t, x, w, b, images);
    if (!y) return NULL;
    const tg_shape plane = tg_tensor_shape(y);
    y = tg_reshape(t, y, TG_SHAPE(n, deep, plane.dim[1], plane.dim[2], plane.dim[3]));
    return tg_permute(t, y, TG_AXES(0, 2, 1, 3, 4));
}

/* ---------------------------------------------------------------- pooling
 *
 * Of the planes first, and then across them: the greatest of the greatest, which is also the first
 * of equals, and the mean of means. */

typedef tg_tensor *(*image_pool)(tg_tape *t, const char *where, tg_tensor *x, tg_pool options);

static tg_tensor *pool3d(tg_tape *t, const char *where, const char *name, tg_tensor *x, tg_pool3 o,
                         image_pool pool)
{
    if (!tg_ready_float(t, where, name, x)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim != 5)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, d, h, w], not %s", name,
                          tg_shape_text(s).text);
    const tg_pool planes = {.kernel = {o.kernel[1], o.kernel[2]},
                            .stride = {o.stride[1], o.stride[2]},
                            .padding = {o.padding[1], o.padding[2]},
                            .dilation = {o.dilation[1], o.dilation[2]},
                            .ceil_mode = o.ceil_mode,
                            .exclude_padding = o.exclude_padding},
                  across = {.kernel = {o.kernel[0], 1},
                            .stride = {o.stride[0]},
                            .padding = {o.padding[0]},
                            .dilation = {o.dilation[0]},
                            .ceil_mode = o.ceil_mode,
                            .exclude_padding = o.exclude_padding};
    x = pool(t, where,
             tg_reshape(t, x, TG_SHAPE(s.dim[0], s.dim[1] * s.dim[2], s.dim[3], s.dim[4])), planes);
    if (!x) return NULL;
    const int64_t h = tg_tensor_shape(x).dim[2], w = tg_tensor_shape(x).dim[3];
    x = pool(t, where, tg_reshape(t, x, TG_SHAPE(s.dim[0], s.dim[1], s.dim[2], h * w)), across);
    if (!x) return NULL;
    return tg_reshape(t, x, TG_SHAPE(s.dim[0], s.dim[1], tg_tensor_shape(x).dim[2], h, w));
}

tg_tensor *tg_max_pool3d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool3 options)
{
    return pool3d(t, where, "max_pool3d", x, options, tg_max_pool2d_at);
}

tg_tensor *tg_avg_pool3d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool3 options)
{
    return pool3d(t, where, "avg_pool3d", x, options, tg_avg_pool2d_at);
}

KNOWN(max_pool3d, "[n, c, d, h, w] -> [n, c, d', h', w']", -1,
      ("y = the greatest x of each window", .kinks = "equal greatest elements"))
KNOWN(avg_pool3d, "[n, c, d, h, w] -> [n, c, d', h', w']", -1, ("y = the mean x of each window"))

/* The greatest along an axis in each of n windows that share it as evenly as can be. */
static tg_tensor *greatest(tg_tape *t, const char *where, const char *name, tg_tensor *x, int axis,
                           int64_t n)
{
    const int64_t from = tg_tensor_shape(x).dim[axis];
    tg_tensor **top = tg_base_memory(t, where, name, n, sizeof *top);
    if (!top) return NULL;
    for (int64_t i = 0; i < n; i++)
        top[i] = tg_max_along(
            t, tg_slice(t, x, axis, i * from / n, ((i + 1) * from + n - 1) / n, 1), axis, true);
    return tg_concat(t, (int)n, top, axis);
}
tg_tensor *tg_adaptive_max_pool2d_at(tg_tape *t, const char *where, tg_tensor *x, int64_t h,
                                     int64_t w)
{
    const char *const name = "adaptive_max_pool2d";
    if (!tg_ready_float(t, where, name, x)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim != 4 || s.dim[2] < 1 || s.dim[3] < 1 || s.dim[2] > INT32_MAX || s.dim[3] > INT32_MAX)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, h, w], not %s", name,
                          tg_shape_text(s).text);
    if (h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: a result of %" PRId64 " x %" PRId64 " elements",
                          name, h, w);
    /* columns first: of equals the first row stays, and in it the first column */
    x = greatest(t, where, name, x, 3, w);
    return x ? greatest(t, where, name, x, 2, h) : NULL;
}

KNOWN(conv3d, "[n, c, d, h, w] * [o, c, kd, kh, kw] + [o] -> [n, o, d', h', w']", -1,
      ("y[n,o,i,j,k] = b[o] + sum over c, p, q, r of x[n,c,i+p,j+q,k+r] w[o,c,p,q,r]"))
KNOWN(adaptive_max_pool2d, "[n, c, h, w] -> [n, c, h', w']", -1,
      ("y = the greatest x of each of h' x w' windows", .kinks = "equal greatest elements"))

#else

#define WIDE(...) REALS(-1, 1, __VA_ARGS__)
#define IN(k) ((const double *)x[k].data)
#define OUT ((double *)y->data)
static void convolved(const tg_array *x, tg_array *y, bool bias, tg_conv3 o)
{
    const int64_t *in = x->shape.dim, *k = x[1].shape.dim, *out = y->shape.dim;
    int64_t at[5], stride[3], dilation[3];
    for (int d = 0; d < 3; d++) {
        stride[d] = o.stride[d] ? o.stride[d] : 1;
        dilation[d] = o.dilation[d] ? o.dilation[d] : 1;
    }
    const int64_t groups = o.groups ? o.groups : 1;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        int64_t rest = i;
        for (int d = 4; d >= 0; rest /= out[d--]) at[d] = rest % out[d];
        double sum = bias ? IN(2)[at[1]] : 0;
        for (int64_t tap = 0; tap < k[1] * k[2] * k[3] * k[4]; tap++) {
            const int64_t p[3] = {tap / (k[3] * k[4]) % k[2], tap / k[4] % k[3], tap % k[4]};
            int64_t from =
                at[0] * in[1] + at[1] / (out[1] / groups) * k[1] + tap / (k[2] * k[3] * k[4]);
            bool inside = true;
            for (int d = 0; d < 3; d++) {
                const int64_t place = at[2 + d] * stride[d] - o.padding[d] + p[d] * dilation[d];
                inside = inside && place >= 0 && place < in[2 + d];
                from = from * in[2 + d] + place;
            }
            if (inside) sum += IN(0)[from] * IN(1)[at[1] * k[1] * k[2] * k[3] * k[4] + tap];
        }
        OUT[i] = sum;
    }
}
CALL_WITHOUT(cubes, 4, tg_conv3d(t, x[0], x[1], x[2], (tg_conv3){.padding = {1, 0, 0}}))
EXPECT(cubes, convolved(x, y, true, (tg_conv3){.padding = {1, 0, 0}}))
#define FAR \
    (tg_conv3) { .stride = {2, 1, 1}, .dilation = {2, 1, 1}, .padding = {0, 0, 1}, .groups = 2 }
CALL(far, tg_conv3d(t, x[0], x[1], NULL, FAR))
EXPECT(far, convolved(x, y, false, FAR))
SAMPLES(conv3d, SAMPLE(cubes, "padded", 0, WIDE(1, 2, 2, 2, 2), WIDE(2, 2, 2, 1, 2), WIDE(2)),
        SAMPLE(far, "far apart, in groups", 0, WIDE(1, 2, 5, 1, 2), WIDE(2, 1, 2, 1, 2)))

#define CEIL                                                                               \
    (tg_pool3)                                                                             \
    {                                                                                      \
        .kernel = {2, 3, 2}, .padding = {1, 1, 0}, .stride = {2, 2, 1}, .ceil_mode = true, \
        .exclude_padding = true                                                            \
    }
/* By definition, of elements that are there. */
static void pooled(const tg_array *x, tg_array *y, tg_pool3 o, bool greatest)
{
    const int64_t *in = x->shape.dim, *out = y->shape.dim;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        const int64_t plane = i / (out[2] * out[3] * out[4]),
                      at[3] = {i / (out[3] * out[4]) % out[2], i / out[4] % out[3], i % out[4]};
        double top = -INFINITY, sum = 0, n = 0;
        for (int64_t tap = 0; tap < o.kernel[0] * o.kernel[1] * o.kernel[2]; tap++) {
            const int64_t p[3] = {tap / (o.kernel[1] * o.kernel[2]),
                                  tap / o.kernel[2] % o.kernel[1], tap % o.kernel[2]};
            int64_t from = plane;
            bool inside = true;
            for (int d = 0; d < 3; d++) {
                const int64_t place = at[d] * o.stride[d] - o.padding[d] + p[d];
                inside = inside && place >= 0 && place < in[2 + d];
                from = from * in[2 + d] + place;
            }
            if (!inside) continue;
            top = fmax(top, IN(0)[from]);
            sum += IN(0)[from];
            n++;
        }
        OUT[i] = greatest ? top : sum / n;
    }
}
CALL(boxes, tg_max_pool3d(t, x[0], CEIL))
EXPECT(boxes, pooled(x, y, CEIL, true))
SAMPLES(max_pool3d, SAMPLE(boxes, "", 0, WIDE(1, 2, 4, 4, 3)))
CALL(box_means, tg_avg_pool3d(t, x[0], CEIL))
EXPECT(box_means, pooled(x, y, CEIL, false))
SAMPLES(avg_pool3d, SAMPLE(box_means, "", 0, WIDE(1, 2, 4, 4, 3)))

CALL(windows, tg_adaptive_max_pool2d(t, x[0], 2, 3))
EXPECT(
    windows, const int64_t *in = x->shape.dim; const int64_t *out = y->shape.dim;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        const int64_t plane = i / (out[2] * out[3]), r = i / out[3] % out[2], c = i % out[3];
        OUT[i] = -INFINITY;
        for (int64_t k = 0; k < in[2] * in[3]; k++) {
            const int64_t row = k / in[3], column = k % in[3];
            if (row < r * in[2] / out[2] || row * out[2] >= (r + 1) * in[2]) continue;
            if (column < c * in[3] / out[3] || column * out[3] >= (c + 1) * in[3]) continue;
            OUT[i] = fmax(OUT[i], IN(0)[plane * in[2] * in[3] + k]);
        }
    })
SAMPLES(adaptive_max_pool2d, SAMPLE(windows, "uneven", 0, REALS(-9, 9, 1, 2, 3, 4)),
        SAMPLE(windows, "even", 0, REALS(-9, 9, 1, 1, 4, 3)))

#endif
