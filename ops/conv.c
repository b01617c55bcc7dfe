/* conv2d. Its gradients are ops of their own, whose derivatives are each other and the convolution
 * again. */
#include "folds.h"
#include "conv.h"
#include <inttypes.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- ops */

static bool float_rule(tg_rule *r)
{
    const tg_dtype dtype = r->x[0].dtype;
    for (int k = 0; k < r->n_in; k++)
        if (r->x[k].dtype != dtype || (dtype != TG_F32 && dtype != TG_F64))
            return tg_rule_fail(r, TG_EDTYPE,
                                "operands are f32 or f64, all the same, not %s and %s",
                                tg_dtype_name(dtype), tg_dtype_name(r->x[k].dtype));
    return true;
}

static bool shaped(tg_rule *r, int64_t n, int64_t channels, int64_t height, int64_t width)
{
    r->y = (tg_type){r->x[0].dtype, TG_SHAPE(n, channels, height, width)};
    return true;
}

static bool conv_rule(tg_rule *r)
{
    const tg_shape x = r->x[0].shape, w = r->x[1].shape;
    const int64_t groups = r->attrs[TG_CONV_GROUPS];
    int64_t out[2];
    if (!float_rule(r)) return false;
    if (x.ndim == 3 && w.ndim == 4)
        return tg_rule_fail(r, TG_ESHAPE,
                            "x %s has no axis of images: tg_unsqueeze(t, x, 0) makes it one image",
                            tg_shape_text(x).text);
    if (x.ndim != 4 || w.ndim != 4 || x.dim[1] % groups || x.dim[1] / groups != w.dim[1] ||
        w.dim[0] % groups)
        return tg_rule_fail(r, TG_ESHAPE, "x %s does not fit w %s in %" PRId64 " groups",
                            tg_shape_text(x).text, tg_shape_text(w).text, groups);
    if (r->n_in == 3 && (r->x[2].shape.ndim != 1 || r->x[2].shape.dim[0] != w.dim[0]))
        return tg_rule_fail(r, TG_ESHAPE, "b %s does not fit w %s",
                            tg_shape_text(r->x[2].shape).text, tg_shape_text(w).text);
    for (int d = 0; d < 2; d++) {
        const int64_t size = x.dim[2 + d], kernel = w.dim[2 + d],
                      padding = r->attrs[TG_CONV_PADDING + d],
                      dilation = r->attrs[TG_CONV_DILATION + d];
        if (size > INT32_MAX || kernel > INT32_MAX || kernel < 1 ||
            dilation * (kernel - 1) + 1 > size + 2 * padding)
            return tg_rule_fail(r, TG_ESHAPE,
                                "the kernel of w %s does not fit into x %s with its padding",
                                tg_shape_text(w).text, tg_shape_text(x).text);
        out[d] =
            (size + 2 * padding - dilation * (kernel - 1) - 1) / r->attrs[TG_CONV_STRIDE + d] + 1;
    }
    return shaped(r, x.dim[0], w.dim[0], out[0], out[1]);
}

/* The gradients' operands come from a convolution, so they fit. */
static bool input_gradient_rule(tg_rule *r)
{
    const int64_t *size = r->attrs + TG_CONV_SIZES;
    return float_rule(r) &&
           shaped(r, r->x[0].shape.dim[0], r->x[1].shape.dim[1] * r->attrs[TG_CONV_GROUPS], size[0],
                  size[1]);
}

static bool weight_gradient_rule(tg_rule *r)
{
    const int64_t *size = r->attrs + TG_CONV_SIZES;
    return float_rule(r) &&
           shaped(r, r->x[1].shape.dim[1], r->x[0].shape.dim[1] / r->attrs[TG_CONV_GROUPS], size[0],
                  size[1]);
}

static void conv_vjp(TG_VJP);
static void input_gradient_vjp(TG_VJP);
static void weight_gradient_vjp(TG_VJP);

/* Each element of the larger side meets the weights of one output channel. */
static double work(const tg_array *y, const tg_array *w)
{
    const double weights = (double)tg_shape_count(w->shape);
    return w->shape.dim[0]
               ? 2.0 * (double)tg_shape_count(y->shape) * weights / (double)w->shape.dim[0]
               : 0;
}
static double conv_flops(const tg_call *c) { return work(c->y, &c->x[1]); }
static double input_gradient_flops(const tg_call *c) { return work(&c->x[0], &c->x[1]); }
static double weight_gradient_flops(const tg_call *c) { return work(&c->x[1], c->y); }

static const tg_op conv2d = {.size = sizeof(tg_op),
                             .name = "conv2d",
                             .n_in = -1,
                             .rule = conv_rule,
                             .kernel = tg_conv_kernel,
                             .carried = TG_CARRIED("conv tg_conv_kernel tg_conv_prepare"),
                             .scratch = tg_conv_scratch,
                             .prepared = sizeof(tg_conv_plan),
                             .prepare = tg_conv_prepare,
                             .vjp = conv_vjp,
                             .flops = conv_flops};

/* of gy and w */
static const tg_op conv_input_gradient = {
    .size = sizeof(tg_op),
    .name = "conv_input_gradient",
    .n_in = 2,
    .rule = input_gradient_rule,
    .kernel = tg_conv_input_gradient_kernel,
    .carried = TG_CARRIED("conv tg_conv_input_gradient_kernel tg_conv_input_gradient_prepare"),
    .scratch = tg_conv_scratch,
    .prepared = sizeof(tg_conv_plan),
    .prepare = tg_conv_input_gradient_prepare,
    .vjp = input_gradient_vjp,
    .flops = input_gradient_flops};

/* of x and gy */
static const tg_op conv_weight_gradient = {
    .size = sizeof(tg_op),
    .name = "conv_weight_gradient",
    .n_in = 2,
    .rule = weight_gradient_rule,
    .kernel = tg_conv_weight_gradient_kernel,
    .carried = TG_CARRIED("conv tg_conv_weight_gradient_kernel tg_conv_weight_gradient_prepare"),
    .scratch = tg_conv_scratch,
    .prepared = sizeof(tg_conv_plan),
    .prepare = tg_conv_weight_gradient_prepare,
    .vjp = weight_gradient_vjp,
    .flops = weight_gradient_flops};

static tg_tensor *convolve(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w,
                           const int64_t *attrs)
{
    return tg_apply(t, &conv2d, 2, ((tg_tensor *[]){x, w}), TG_CONV_ATTRS, attrs);
}

/* The gradient in one operand, of the shape of `like`, from the two others. */
static tg_tensor *gradient(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a,
                           tg_tensor *b, const tg_tensor *like, const int64_t *attrs)
{
    int64_t all[TG_CONV_GRADIENT_ATTRS];
    for (int k = 0; k < TG_CONV_ATTRS; k++) all[k] = attrs[k];
    for (int d = 0; d < 2; d++) all[TG_CONV_SIZES + d] = tg_tensor_shape(like).dim[2 + d];
    return tg_apply(t, op, 2, ((tg_tensor *[]){a, b}), TG_CONV_GRADIENT_ATTRS, all);
}

static void conv_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = gradient(t, where, &conv_input_gradient, gy, x[1], x[0], attrs);
    if (tg_wants(t, 1)) gx[1] = gradient(t, where, &conv_weight_gradient, x[0], gy, x[1], attrs);
    if (n_in > 2) gx[2] = tg_sum(t, gy, TG_AXES(0, 2, 3), false);
}

static void input_gradient_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = convolve(t, where, gy, x[1], attrs);
    if (tg_wants(t, 1)) gx[1] = gradient(t, where, &conv_weight_gradient, gy, x[0], x[1], attrs);
}

static void weight_gradient_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = gradient(t, where, &conv_input_gradient, x[1], gy, x[0], attrs);
    if (tg_wants(t, 1)) gx[1] = convolve(t, where, x[0], gy, attrs);
}

/* The attributes of conv2d; false, with the tape in error, when a number is out of range. */
static bool conv_attributes(tg_tape *t, const char *where, const char *name, tg_conv options,
                            int64_t *attrs)
{
    attrs[TG_CONV_GROUPS] = options.groups ? options.groups : 1;
    for (int d = 0; d < 2; d++) {
        attrs[TG_CONV_STRIDE + d] = options.stride[d] ? options.stride[d] : 1;
        attrs[TG_CONV_PADDING + d] = options.padding[d];
        attrs[TG_CONV_DILATION + d] = options.dilation[d] ? options.dilation[d] : 1;
    }
    for (int k = 0; k < TG_CONV_ATTRS; k++)
        if (attrs[k] < 0 || attrs[k] > INT32_MAX) {
            tg_fail_at(
                t, where, TG_EVALUE,
                "%s: stride, padding, dilation and groups are positive numbers, not %" PRId64, name,
                attrs[k]);
            return false;
        }
    return true;
}

static bool conv_ready(tg_tape *t, const char *where, const char *name, const tg_tensor *x,
                       const tg_tensor *w, const tg_tensor *b)
{
    return tg_ready(t, where, name, x) && tg_ready(t, where, name, w) &&
           (!b || tg_ready(t, where, name, b));
}

tg_tensor *tg_same_padded(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                          tg_tensor *w, int dims, const int64_t *stride, const int64_t *dilation,
                          int64_t *padding)
{
    const tg_shape kernel = tg_tensor_shape(w);
    tg_shape none = {dims + 2, {0}}, after = none;
    bool uneven = false;
    if (kernel.ndim != dims + 2 || tg_tensor_shape(x).ndim != dims + 2)
        return x; /* the convolution says so */
    for (int d = 0; d < dims; d++) {
        const int64_t taps = kernel.dim[2 + d] - 1, apart = dilation[d] ? dilation[d] : 1;
        if (stride[d] > 1 || padding[d])
            return tg_fail_at(t, where, TG_EVALUE,
                              "%s: a result of x's size wants stride 1 and no other padding", name);
        const bool odd_numbers = taps < 0 || taps > INT32_MAX || apart < 0 || apart > INT32_MAX;
        const int64_t reach = odd_numbers ? 0 : taps * apart;
        padding[d] = reach / 2;
        after.dim[2 + d] = reach % 2;
        uneven |= reach % 2;
    }
    return uneven ? tg_pad(t, x, none, after, 0) : x;
}

tg_tensor *tg_conv2d_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w, tg_tensor *b,
                        tg_conv options)
{
    int64_t attrs[TG_CONV_ATTRS];
    if (!conv_ready(t, where, "conv2d", x, w, b)) return NULL;
    if (options.same && !(x = tg_same_padded(t, where, "conv2d", x, w, 2, options.stride,
                                             options.dilation, options.padding)))
        return NULL;
    if (!conv_attributes(t, where, "conv2d", options, attrs)) return NULL;
    return tg_apply(t, &conv2d, b ? 3 : 2, ((tg_tensor *[]){x, w, b}), TG_CONV_ATTRS, attrs);
}

/* What gives gy's sizes when it is convolved with w: the gradient of that convolution. */
tg_tensor *tg_conv_transpose2d_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w,
                                  tg_tensor *b, tg_conv options)
{
    const char *const name = "conv_transpose2d";
    int64_t attrs[TG_CONV_GRADIENT_ATTRS];
    if (!conv_ready(t, where, name, x, w, b) || !conv_attributes(t, where, name, options, attrs))
        return NULL;
    if (options.same)
        return tg_fail_at(t, where, TG_EVALUE, "%s: it has no padding that keeps x's size", name);
    const tg_shape of_x = tg_tensor_shape(x), of_w = tg_tensor_shape(w);
    const int64_t groups = attrs[TG_CONV_GROUPS];
    if (of_x.ndim != 4 || of_w.ndim != 4 || of_x.dim[1] != of_w.dim[0] || of_w.dim[0] % groups ||
        of_w.dim[1] > TG_MAX_COUNT / groups)
        return tg_fail_at(t, where, TG_ESHAPE,
                          "%s: x %s, of [n, c, h, w], does not fit w %s, of [c, o / groups, kh, "
                          "kw], in %" PRId64 " groups",
                          name, tg_shape_text(of_x).text, tg_shape_text(of_w).text, groups);
    const tg_shape of_b = tg_tensor_shape(b);
    if (b && (of_b.ndim != 1 || of_b.dim[0] != of_w.dim[1] * groups))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: b %s does not fit w %s in %" PRId64 " groups",
                          name, tg_shape_text(of_b).text, tg_shape_text(of_w).text, groups);
    if (tg_dtype_on(t, w) != tg_dtype_on(t, x) || (b && tg_dtype_on(t, b) != tg_dtype_on(t, x)))
        return tg_fail_at(t, where, TG_EDTYPE, "%s: x, w and b differ in their dtypes", name);
    for (int d = 0; d < 2; d++) {
        const int64_t stride = attrs[TG_CONV_STRIDE + d], more = options.output_padding[d],
                      size = of_x.dim[2 + d], kernel = of_w.dim[2 + d];
        if (more < 0 || more >= stride)
            return tg_fail_at(t, where, TG_EVALUE,
                              "%s: an output padding of %" PRId64
                              " is not below the stride %" PRId64,
                              name, more, stride);
        const bool small = size > 0 && size <= INT32_MAX && kernel > 0 && kernel <= INT32_MAX;
        const int64_t out = small ? (size - 1) * stride - 2 * attrs[TG_CONV_PADDING + d] +
                                        attrs[TG_CONV_DILATION + d] * (kernel - 1) + 1 + more
                                  : 0;
        if (out < 1 || out > INT32_MAX)
            return tg_fail_at(t, where, TG_ESHAPE,
                              "%s: x %s and w %s leave no image, or too large "
                              "a one",
                              name, tg_shape_text(of_x).text, tg_shape_text(of_w).text);
        attrs[TG_CONV_SIZES + d] = out;
    }
    tg_tensor *y = tg_apply(t, &conv_input_gradient, 2, ((tg_tensor *[]){x, w}),
                            TG_CONV_GRADIENT_ATTRS, attrs);
    return b ? tg_add(t, y, tg_reshape(t, b, TG_SHAPE(of_b.dim[0], 1, 1))) : y;
}

/* A sequence as images of one row, and the options for it. */
static bool as_images(tg_tape *t, const char *where, const char *name, tg_tensor **x, tg_tensor **w,
                      const tg_tensor *b, tg_conv *options)
{
    if (!conv_ready(t, where, name, *x, *w, b)) return false;
    const tg_shape of_x = tg_tensor_shape(*x), of_w = tg_tensor_shape(*w);
    if (of_x.ndim != 3 || of_w.ndim != 3) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: x %s and w %s have 3 dimensions each", name,
                   tg_shape_text(of_x).text, tg_shape_text(of_w).text);
        return false;
    }
    *options = (tg_conv){.stride = {1, options->stride[0]},
                         .padding = {0, options->padding[0]},
                         .dilation = {1, options->dilation[0]},
                         .groups = options->groups,
                         .output_padding = {0, options->output_padding[0]},
                         .same = options->same};
    *x = tg_unsqueeze(t, *x, 2);
    *w = tg_unsqueeze(t, *w, 2);
    return *w != NULL;
}

tg_tensor *tg_conv1d_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w, tg_tensor *b,
                        tg_conv options)
{
    if (!as_images(t, where, "conv1d", &x, &w, b, &options)) return NULL;
    return tg_squeeze(t, tg_conv2d(t, x, w, b, options), 2);
}

tg_tensor *tg_conv_transpose1d_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w,
                                  tg_tensor *b, tg_conv options)
{
    if (!as_images(t, where, "conv_transpose1d", &x, &w, b, &options)) return NULL;
    return tg_squeeze(t, tg_conv_transpose2d(t, x, w, b, options), 2);
}

KNOWN(conv_transpose2d, "[n, c, h, w] * [c, o, kh, kw] + [o] -> [n, o, h', w']", -1,
      ("y[n,o,i+p,j+q] = b[o] + sum over c, i, j of x[n,c,i,j] w[c,o,p,q]"))
KNOWN(conv1d, "[n, c, l] * [o, c, k] + [o] -> [n, o, l']", -1,
      ("y[n,o,i] = b[o] + sum over c, p of x[n,c,i+p] w[o,c,p]"))
KNOWN(conv_transpose1d, "[n, c, l] * [c, o, k] + [o] -> [n, o, l']", -1,
      ("y[n,o,i+p] = b[o] + sum over c, i of x[n,c,i] w[c,o,p]"))
KNOWN(conv2d, "[n, c, h, w] * [o, c, kh, kw] + [o] -> [n, o, h', w']", -1,
      ("y[n,o,i,j] = b[o] + sum over c, p, q of x[n,c,i+p,j+q] w[o,c,p,q]"))

#else

/* By definition. */
static void whole(const tg_array *x, tg_array *y, bool bias, tg_conv options)
{
    const double *v = x[0].data, *w = x[1].data, *b = bias ? x[2].data : NULL;
    const int64_t *in = x[0].shape.dim, *kernel = x[1].shape.dim, *out = y->shape.dim;
    int64_t stride[2], dilation[2], i = 0;
    for (int d = 0; d < 2; d++) {
        stride[d] = options.stride[d] ? options.stride[d] : 1;
        dilation[d] = options.dilation[d] ? options.dilation[d] : 1;
    }
    const int64_t groups = options.groups ? options.groups : 1;
    for (int d = 0; d < 2 && options.same; d++)
        options.padding[d] = (kernel[2 + d] - 1) * dilation[d] / 2;
    for (int64_t n = 0; n < out[0]; n++)
        for (int64_t o = 0; o < out[1]; o++)
            for (int64_t r = 0; r < out[2]; r++)
                for (int64_t s = 0; s < out[3]; s++, i++) {
                    double sum = b ? b[o] : 0;
                    for (int64_t c = 0; c < kernel[1]; c++)
                        for (int64_t p = 0; p < kernel[2]; p++)
                            for (int64_t q = 0; q < kernel[3]; q++) {
                                const int64_t channel = o / (out[1] / groups) * kernel[1] + c;
                                const int64_t h =
                                    r * stride[0] + p * dilation[0] - options.padding[0];
                                const int64_t l =
                                    s * stride[1] + q * dilation[1] - options.padding[1];
                                if (h < 0 || h >= in[2] || l < 0 || l >= in[3]) continue;
                                sum += v[((n * in[1] + channel) * in[2] + h) * in[3] + l] *
                                       w[((o * kernel[1] + c) * kernel[2] + p) * kernel[3] + q];
                            }
                    ((double *)y->data)[i] = sum;
                }
}

/* With a bias, or without. */
#define WAY(id, ...)                                                       \
    static const tg_conv options_##id = {__VA_ARGS__};                     \
    CALL_WITHOUT(id, 1 << 2, tg_conv2d(t, x[0], x[1], x[2], options_##id)) \
    EXPECT(id, whole(x, y, true, options_##id))
#define BARE_WAY(id, ...)                                  \
    static const tg_conv options_##id = {__VA_ARGS__};     \
    CALL(id, tg_conv2d(t, x[0], x[1], NULL, options_##id)) \
    EXPECT(id, whole(x, y, false, options_##id))

WAY(plain, .groups = 0)
BARE_WAY(no_bias, .groups = 0)
WAY(padded, .padding = {1, 2})
WAY(strided, .stride = {2, 3}, .padding = {1, 0})
BARE_WAY(dilated, .dilation = {2, 3}, .padding = {2, 1})
WAY(grouped, .groups = 2)
WAY(all, .stride = {3, 2}, .padding = {2, 3}, .dilation = {2, 2}, .groups = 3)
WAY(same, .dilation = {1, 3}, .same = true)
BARE_WAY(depthwise, .padding = {1, 1}, .groups = 4)

#define UNIT(...) REALS(-1, 1, __VA_ARGS__)
SAMPLES(conv2d, SAMPLE(plain, "one image", 0, UNIT(1, 2, 4, 5), UNIT(3, 2, 2, 3), UNIT(3)),
        SAMPLE(plain, "a few images", 0, UNIT(5, 1, 5, 4), UNIT(2, 1, 3, 2), UNIT(2)),
        SAMPLE(plain, "many images", 0, UNIT(19, 1, 4, 9), UNIT(9, 1, 3, 3), UNIT(9)),
        SAMPLE(plain, "many channels", 0, UNIT(17, 5, 3, 7), UNIT(13, 5, 2, 3), UNIT(13)),
        SAMPLE(no_bias, "kernel of one", 0, UNIT(3, 4, 3, 3), UNIT(2, 4, 1, 1)),
        SAMPLE(no_bias, "kernel of one, many images", 0, UNIT(16, 3, 2, 2), UNIT(2, 3, 1, 1)),
        SAMPLE(plain, "kernel as large as the image", 0, UNIT(2, 2, 3, 4), UNIT(3, 2, 3, 4),
               UNIT(3)),
        SAMPLE(plain, "no images", 0, UNIT(0, 2, 4, 5), UNIT(3, 2, 2, 3), UNIT(3)),
        SAMPLE(plain, "no channels", 0, UNIT(2, 0, 4, 5), UNIT(3, 0, 2, 3), UNIT(3)),
        SAMPLE(padded, "padding", 0, UNIT(2, 2, 4, 3), UNIT(2, 2, 3, 4), UNIT(2)),
        SAMPLE(padded, "padding, many images", 0, UNIT(18, 2, 5, 6), UNIT(3, 2, 3, 4), UNIT(3)),
        SAMPLE(padded, "nothing but padding", 0, UNIT(3, 1, 0, 1), UNIT(1, 1, 2, 3), UNIT(1)),
        SAMPLE(strided, "stride", 0, UNIT(1, 2, 6, 8), UNIT(2, 2, 3, 2), UNIT(2)),
        SAMPLE(strided, "stride, many images", 0, UNIT(17, 2, 7, 14), UNIT(2, 2, 3, 2), UNIT(2)),
        SAMPLE(dilated, "dilation", 0, UNIT(2, 1, 5, 9), UNIT(2, 1, 3, 3)),
        SAMPLE(dilated, "dilation, many images", 0, UNIT(16, 1, 5, 9), UNIT(2, 1, 3, 3)),
        SAMPLE(grouped, "groups", 0, UNIT(2, 4, 3, 3), UNIT(6, 2, 2, 2), UNIT(6)),
        SAMPLE(grouped, "groups, many images", 0, UNIT(20, 4, 3, 3), UNIT(6, 2, 2, 2), UNIT(6)),
        SAMPLE(depthwise, "each channel by itself", 0, UNIT(2, 4, 3, 4), UNIT(4, 1, 3, 3)),
        SAMPLE(depthwise, "each channel by itself, many images", 0, UNIT(16, 4, 3, 6),
               UNIT(8, 1, 3, 3)),
        SAMPLE(same, "of x's size", 0, UNIT(2, 2, 4, 5), UNIT(2, 2, 2, 2), UNIT(2)),
        SAMPLE(all, "everything", 0, UNIT(2, 3, 7, 6), UNIT(6, 1, 3, 2), UNIT(6)),
        SAMPLE(all, "everything, many images", 0, UNIT(17, 6, 8, 11), UNIT(9, 2, 3, 3), UNIT(9)))

/* Each element of x spreads w over its place in y. */
static void spread(const tg_array *x, tg_array *y, const double *b, tg_conv options)
{
    const double *v = x[0].data, *w = x[1].data;
    const int64_t *in = x[0].shape.dim, *kernel = x[1].shape.dim, *out = y->shape.dim;
    double *to = y->data;
    int64_t stride[2], dilation[2];
    for (int d = 0; d < 2; d++) {
        stride[d] = options.stride[d] ? options.stride[d] : 1;
        dilation[d] = options.dilation[d] ? options.dilation[d] : 1;
    }
    const int64_t groups = options.groups ? options.groups : 1;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        to[i] = b ? b[i / (out[2] * out[3]) % out[1]] : 0;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        const int64_t n = i / (in[1] * in[2] * in[3]), c = i / (in[2] * in[3]) % in[1],
                      r = i / in[3] % in[2], s = i % in[3];
        for (int64_t k = 0; k < kernel[1] * kernel[2] * kernel[3]; k++) {
            const int64_t o = c / (in[1] / groups) * kernel[1] + k / (kernel[2] * kernel[3]),
                          h = r * stride[0] + k / kernel[3] % kernel[2] * dilation[0] -
                              options.padding[0],
                          l = s * stride[1] + k % kernel[3] * dilation[1] - options.padding[1];
            if (h < 0 || h >= out[2] || l < 0 || l >= out[3]) continue;
            to[((n * out[1] + o) * out[2] + h) * out[3] + l] +=
                v[i] * w[c * kernel[1] * kernel[2] * kernel[3] + k];
        }
    }
}

#define TRANSPOSED(id, ...)                                                          \
    static const tg_conv options_##id = {__VA_ARGS__};                               \
    CALL_WITHOUT(id, 1 << 2, tg_conv_transpose2d(t, x[0], x[1], x[2], options_##id)) \
    EXPECT(id, spread(x, y, x[2].data, options_##id))
TRANSPOSED(turned, .groups = 0)
TRANSPOSED(turned_strided, .stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2})
TRANSPOSED(turned_grouped, .groups = 2, .dilation = {2, 1})
SAMPLES(conv_transpose2d,
        SAMPLE(turned, "one image", 0, UNIT(1, 2, 3, 4), UNIT(2, 3, 2, 3), UNIT(3)),
        SAMPLE(turned, "no images", 0, UNIT(0, 2, 3, 4), UNIT(2, 3, 2, 3), UNIT(3)),
        SAMPLE(turned_strided, "stride", 0, UNIT(2, 2, 3, 4), UNIT(2, 1, 3, 2), UNIT(1)),
        SAMPLE(turned_strided, "stride, many images", 0, UNIT(17, 1, 2, 3), UNIT(1, 2, 3, 2),
               UNIT(2)),
        SAMPLE(turned_grouped, "groups", 0, UNIT(2, 4, 3, 2), UNIT(4, 2, 2, 2), UNIT(4)))

/* Of sequences, as of images of one row. */
static void with_rows(const tg_array *x, tg_array *y, tg_array *in, tg_array *out)
{
    for (int k = 0; k < 2; k++) {
        const int64_t *d = x[k].shape.dim;
        in[k] = x[k];
        in[k].shape = TG_SHAPE(d[0], d[1], 1, d[2]);
    }
    in[2] = x[2];
    *out = *y;
    out->shape = TG_SHAPE(y->shape.dim[0], y->shape.dim[1], 1, y->shape.dim[2]);
}
CALL_WITHOUT(sequence, 1 << 2,
             tg_conv1d(t, x[0], x[1], x[2],
                       (tg_conv){.stride = {2}, .padding = {1}, .dilation = {2}}))
EXPECT(sequence, tg_array in[3]; tg_array out; with_rows(x, y, in, &out);
       whole(in, &out, true, (tg_conv){.stride = {1, 2}, .padding = {0, 1}, .dilation = {1, 2}}))
SAMPLES(conv1d, SAMPLE(sequence, "", 0, UNIT(2, 3, 8), UNIT(4, 3, 3), UNIT(4)))
CALL_WITHOUT(sequence_turned, 1 << 2,
             tg_conv_transpose1d(t, x[0], x[1], x[2],
                                 (tg_conv){.stride = {2}, .padding = {1}, .output_padding = {1}}))
EXPECT(sequence_turned, tg_array in[3]; tg_array out; with_rows(x, y, in, &out);
       spread(in, &out, x[2].data, (tg_conv){.stride = {1, 2}, .padding = {0, 1}}))
SAMPLES(conv_transpose1d, SAMPLE(sequence_turned, "", 0, UNIT(2, 3, 5), UNIT(3, 2, 3), UNIT(2)))

#endif
