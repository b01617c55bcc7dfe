/* Convolutions and pooling at the edges, and in the sizes where their kernels change: against sums
 * of exact terms. */
#include "semantics.h"
#include <stdio.h>

/* ---------------------------------------------------------------- conv2d */

Test(semantics_conv, the_kernel_is_not_flipped)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 3), 1, 2, 3, 4, 5, 6),
                  *w = INPUT(TG_SHAPE(1, 1, 1, 2), 10, 1), *b = INPUT(TG_SHAPE(1), 100);
        tg_tensor *y = tg_conv2d(t, x, w, b, (tg_conv){0});
        EXPECT_SHAPE(y, TG_SHAPE(1, 1, 2, 2));
        EXPECT(y, 112, 123, 145, 156);
        EXPECT(GRAD(y, x), 10, 11, 1, 10, 11, 1);
        EXPECT(GRAD(y, w), 1 + 2 + 4 + 5, 2 + 3 + 5 + 6);
        EXPECT(GRAD(y, b), 4);
        EXPECT(tg_conv2d(t, x, w, NULL,
                         (tg_conv){.stride = {1, 2}, .padding = {0, 1}, .dilation = {1, 2}}),
               2, 20, 5, 50);
    }
}

Test(semantics_conv, nothing_to_add_up)
{
    EACH_BUILD
    {
        tg_tensor *none = tg_input(t, dtype, TG_SHAPE(0, 1, 2, 2), NULL),
                  *w = INPUT(TG_SHAPE(1, 1, 1, 2), 1, 2), *b = INPUT(TG_SHAPE(1), 5);
        tg_tensor *y = tg_conv2d(t, none, w, b, (tg_conv){0});
        EXPECT_SHAPE(y, TG_SHAPE(0, 1, 2, 1));
        EXPECT(GRAD(y, w), 0, 0);
        EXPECT(GRAD(y, b), 0);
        tg_tensor *no_channel = tg_input(t, dtype, TG_SHAPE(1, 0, 1, 2), NULL),
                  *of_none = tg_input(t, dtype, TG_SHAPE(1, 0, 1, 1), NULL);
        EXPECT(tg_conv2d(t, no_channel, of_none, b, (tg_conv){0}), 5, 5);
        EXPECT(tg_conv2d(t, no_channel, of_none, NULL, (tg_conv){0}), 0, 0);
        EXPECT_SHAPE(GRAD(tg_conv2d(t, no_channel, of_none, b, (tg_conv){0}), of_none),
                     TG_SHAPE(1, 0, 1, 1));
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 1, 2), 1, 2),
                  *no_filter = tg_input(t, dtype, TG_SHAPE(0, 1, 1, 1), NULL);
        tg_tensor *nothing = tg_conv2d(t, x, no_filter, NULL, (tg_conv){0});
        EXPECT_SHAPE(nothing, TG_SHAPE(1, 0, 1, 2));
        EXPECT(GRAD(nothing, x), 0, 0);
    }
}

Test(semantics_conv, errors_name_the_shapes)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        const double zero[64] = {0};
        tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(1, 4, 3, 4), zero),
                  *w = semantics_input(t, dtype, TG_SHAPE(2, 4, 2, 2), zero);
        tg_tensor *flat = INPUT(TG_SHAPE(2, 2), 0, 0, 0, 0), *three = INPUT(TG_SHAPE(3), 0, 0, 0);
        tg_tensor *tall = semantics_input(t, dtype, TG_SHAPE(1, 4, 4, 2), zero),
                  *empty = tg_input(t, dtype, TG_SHAPE(2, 4, 0, 2), NULL);
        tg_tensor *thirds = semantics_input(t, dtype, TG_SHAPE(3, 1, 2, 2), zero);
        tg_tensor *w64 = tg_input(t, TG_F64, TG_SHAPE(1, 4, 1, 1), zero),
                  *i = INDEX(TG_SHAPE(1, 1, 1, 1), 0);
        EXPECT_ERROR(tg_conv2d(t, flat, w, NULL, (tg_conv){0}), TG_ESHAPE,
                     "conv2d: x [2,2] does not fit w [2,4,2,2] in 1 groups");
        EXPECT_ERROR(tg_conv2d(t, x, flat, NULL, (tg_conv){0}), TG_ESHAPE,
                     "conv2d: x [1,4,3,4] does not fit w [2,2]");
        EXPECT_ERROR(tg_conv2d(t, x, w, NULL, (tg_conv){.groups = 2}), TG_ESHAPE,
                     "x [1,4,3,4] does not fit w [2,4,2,2] in 2 groups");
        EXPECT_ERROR(tg_conv2d(t, x, thirds, NULL, (tg_conv){.groups = 3}), TG_ESHAPE,
                     "x [1,4,3,4] does not fit w [3,1,2,2] in 3 groups");
        EXPECT_ERROR(tg_conv2d(t, x, thirds, NULL, (tg_conv){.groups = 4}), TG_ESHAPE,
                     "in 4 groups");
        EXPECT_ERROR(tg_conv2d(t, x, w, three, (tg_conv){0}), TG_ESHAPE,
                     "conv2d: b [3] does not fit w [2,4,2,2]");
        EXPECT_ERROR(tg_conv2d(t, x, tall, NULL, (tg_conv){0}), TG_ESHAPE,
                     "kernel of w [1,4,4,2] does not fit into x [1,4,3,4]");
        EXPECT_ERROR(tg_conv2d(t, x, w, NULL, (tg_conv){.dilation = {1, 4}}), TG_ESHAPE,
                     "does not fit into x");
        EXPECT_ERROR(tg_conv2d(t, x, empty, NULL, (tg_conv){0}), TG_ESHAPE,
                     "kernel of w [2,4,0,2]");
        EXPECT_ERROR(tg_conv2d(t, x, w64, NULL, (tg_conv){0}), TG_EDTYPE, "f32 and f64");
        EXPECT_ERROR(tg_conv2d(t, i, i, NULL, (tg_conv){0}), TG_EDTYPE, "i64");
        EXPECT_ERROR(tg_conv2d(t, x, w, NULL, (tg_conv){.stride = {-1, 1}}), TG_EVALUE, "not -1");
        EXPECT_ERROR(tg_conv2d(t, x, w, NULL, (tg_conv){.padding = {0, -2}}), TG_EVALUE, "not -2");
        EXPECT_ERROR(tg_conv2d(t, x, w, NULL, (tg_conv){.padding = {0, INT64_MAX}}), TG_EVALUE,
                     "conv2d: ");
        EXPECT_ERROR(tg_conv2d(t, NULL, w, NULL, (tg_conv){0}), TG_ENULL, "conv2d");
    }
}

typedef struct sizes {
    int64_t n, c, h, w, o, kh, kw;
    tg_conv how;
} sizes;

static int64_t out_size(int64_t size, int64_t kernel, const tg_conv *how, int d)
{
    return (size + 2 * how->padding[d] - how->dilation[d] * (kernel - 1) - 1) / how->stride[d] + 1;
}

/* Multiples of 1/8 below 1: products and sums of some thousand of them are exact in both dtypes. */
static double *eighths(int64_t n, uint64_t *state)
{
    double *x = calloc((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = floor(8 * semantics_uniform(state)) / 8;
    return x;
}

/* By definition: y = x * w + b, gx and gw for the gradient gy. */
static void convolve(const sizes *s, const double *x, const double *w, const double *b,
                     const double *gy, double *y, double *gx, double *gw)
{
    const int64_t oh = out_size(s->h, s->kh, &s->how, 0), ow = out_size(s->w, s->kw, &s->how, 1),
                  c_group = s->c / s->how.groups;
    for (int64_t k = 0; k < s->n * s->o * oh * ow; k++) {
        const int64_t j = k % ow, i = k / ow % oh, o = k / (ow * oh) % s->o,
                      n = k / (ow * oh * s->o);
        y[k] = b[o];
        for (int64_t tap = 0; tap < c_group * s->kh * s->kw; tap++) {
            const int64_t q = tap % s->kw, p = tap / s->kw % s->kh,
                          c = o / (s->o / s->how.groups) * c_group + tap / (s->kw * s->kh);
            const int64_t row = i * s->how.stride[0] + p * s->how.dilation[0] - s->how.padding[0];
            const int64_t column =
                j * s->how.stride[1] + q * s->how.dilation[1] - s->how.padding[1];
            if (row < 0 || row >= s->h || column < 0 || column >= s->w) continue;
            const int64_t at = ((n * s->c + c) * s->h + row) * s->w + column,
                          of = o * c_group * s->kh * s->kw + tap;
            y[k] += x[at] * w[of];
            gx[at] += gy[k] * w[of];
            gw[of] += gy[k] * x[at];
        }
    }
}

static int64_t differences(tg_tape *t, tg_dtype dtype, tg_tensor *is, int64_t n, const double *want)
{
    const void *data = tg_data(t, is);
    cr_assert_not_null(data, "%s", tg_tape_message(t));
    cr_expect_eq(tg_tensor_count(is), n);
    int64_t wrong = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = semantics_element(dtype, data, i);
        wrong += !(v == want[i] || (isnan(v) && isnan(want[i])));
    }
    return wrong;
}

static void check(tg_tape *t, tg_dtype dtype, const sizes *s)
{
    uint64_t state = 5;
    const int64_t oh = out_size(s->h, s->kh, &s->how, 0), ow = out_size(s->w, s->kw, &s->how, 1),
                  c_group = s->c / s->how.groups;
    const int64_t nx = s->n * s->c * s->h * s->w, nw = s->o * c_group * s->kh * s->kw,
                  ny = s->n * s->o * oh * ow;
    double *x = eighths(nx, &state), *w = eighths(nw, &state), *b = eighths(s->o, &state),
           *gy = eighths(ny, &state);
    double *y = calloc((size_t)ny, sizeof *y), *gx = calloc((size_t)nx, sizeof *gx),
           *gw = calloc((size_t)nw, sizeof *gw);
    convolve(s, x, w, b, gy, y, gx, gw);
    tg_tensor *of[3] = {semantics_input(t, dtype, TG_SHAPE(s->n, s->c, s->h, s->w), x),
                        semantics_input(t, dtype, TG_SHAPE(s->o, c_group, s->kh, s->kw), w),
                        semantics_input(t, dtype, TG_SHAPE(s->o), b)};
    tg_tensor *is = tg_conv2d(t, of[0], of[1], of[2], s->how), *g[2] = {NULL, NULL};
    tg_grad(t, is, semantics_input(t, dtype, TG_SHAPE(s->n, s->o, oh, ow), gy), 2, of, g, false);
    const int64_t wrong[3] = {differences(t, dtype, is, ny, y), differences(t, dtype, g[0], nx, gx),
                              differences(t, dtype, g[1], nw, gw)};
    cr_expect(wrong[0] + wrong[1] + wrong[2] == 0,
              "%s, x [%lld,%lld,%lld,%lld], w [%lld,%lld,%lld,%lld], stride %lld %lld, padding "
              "%lld %lld, dilation %lld %lld: %lld, %lld, %lld wrong",
              tg_dtype_name(dtype), (long long)s->n, (long long)s->c, (long long)s->h,
              (long long)s->w, (long long)s->o, (long long)c_group, (long long)s->kh,
              (long long)s->kw, (long long)s->how.stride[0], (long long)s->how.stride[1],
              (long long)s->how.padding[0], (long long)s->how.padding[1],
              (long long)s->how.dilation[0], (long long)s->how.dilation[1], (long long)wrong[0],
              (long long)wrong[1], (long long)wrong[2]);
    double *all[] = {x, w, b, gy, y, gx, gw};
    for (int k = 0; k < 7; k++) free(all[k]);
}

static int64_t draw(uint64_t *state, int64_t low, int64_t high)
{
    return low + (int64_t)((semantics_uniform(state) + 1) / 2 * (double)(high - low + 1));
}

Test(semantics_conv, every_size_has_exact_sums)
{
    EACH_BUILD
    {
        uint64_t state = 17;
        for (int k = 0; k < 150; k++) {
            const int64_t groups = draw(&state, 0, 2) ? 1 : draw(&state, 2, 3),
                          images[] = {1, 2, 3, 7, 12, 16, 17, 35};
            sizes s = {.n = images[draw(&state, 0, 7)],
                       .c = groups * draw(&state, 1, 5),
                       .o = groups * draw(&state, 1, 11),
                       .kh = draw(&state, 1, 4),
                       .kw = draw(&state, 1, 5),
                       .how = {.stride = {1, 1}, .dilation = {1, 1}, .groups = groups}};
            for (int d = 0; d < 2 && k % 3; d++) {
                s.how.stride[d] = draw(&state, 1, 4);
                s.how.padding[d] = draw(&state, 0, 3);
                s.how.dilation[d] = draw(&state, 1, 3);
            }
            s.h = draw(&state, 1, 8) + s.how.dilation[0] * (s.kh - 1);
            s.w = draw(&state, 1, 21) + s.how.dilation[1] * (s.kw - 1);
            check(t, dtype, &s);
            tg_tape_reset(t);
        }
    }
}

Test(semantics_conv, sizes_that_are_cut_into_parts_and_strips)
{
    const sizes all[] = {{64, 1, 28, 28, 8, 5, 5, {{1, 1}, {0, 0}, {1, 1}, 1, {0, 0}, false}},
                         {64, 8, 12, 12, 16, 5, 5, {{1, 1}, {0, 0}, {1, 1}, 1, {0, 0}, false}},
                         {2, 3, 90, 95, 4, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1, {0, 0}, false}},
                         {2, 40, 21, 20, 33, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 1, {0, 0}, false}},
                         {1, 70, 30, 31, 20, 1, 1, {{1, 1}, {0, 0}, {1, 1}, 1, {0, 0}, false}},
                         {130, 2, 5, 5, 3, 3, 3, {{2, 2}, {1, 1}, {1, 1}, 1, {0, 0}, false}},
                         {40, 34, 7, 6, 36, 3, 3, {{1, 1}, {1, 1}, {1, 1}, 2, {0, 0}, false}}};
    for (int threads = 1; threads <= 3; threads += 2)
        for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
            for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t))
                for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) check(t, dtype, &all[k]);
}

Test(semantics_conv, a_nan_stays_in_its_image)
{
    EACH_BUILD
    {
        enum { N = 19 };
        double x[N * 4], w[2] = {1, -1};
        for (int i = 0; i < N * 4; i++) x[i] = i == 4 * 5 + 2 ? (double)NAN : i % 7;
        tg_tensor *y =
            tg_conv2d(t, semantics_input(t, dtype, TG_SHAPE(N, 1, 1, 4), x),
                      semantics_input(t, dtype, TG_SHAPE(1, 1, 1, 2), w), NULL, (tg_conv){0});
        const void *data = tg_data(t, y);
        cr_assert_not_null(data);
        for (int i = 0; i < N * 3; i++)
            cr_expect_eq(isnan(semantics_element(dtype, data, i)), i == 5 * 3 + 1 || i == 5 * 3 + 2,
                         "%d", i);
    }
}

/* ---------------------------------------------------------------- max_pool2d */

#define HALVES             \
    (tg_pool)              \
    {                      \
        .kernel = { 2, 2 } \
    }

Test(semantics_conv, the_first_maximum_takes_the_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 10), 3, 3, 1, 2, 0, 5, 7, 7, -1, -1, 3, 3, 2, 2, 5,
                             5, 8, 7, -1, -1),
                  *y = tg_max_pool2d(t, x, HALVES);
        EXPECT_SHAPE(y, TG_SHAPE(1, 1, 1, 5));
        EXPECT(y, 3, 2, 5, 8, -1);
        EXPECT(GRAD(y, x), 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0);
        tg_tensor *wide = INPUT(TG_SHAPE(1, 1, 1, 4), 2, 5, 5, 1),
                  *top = tg_max_pool2d(t, wide, (tg_pool){.kernel = {1, 3}, .stride = {1, 1}});
        EXPECT(top, 5, 5);
        EXPECT(GRAD(top, wide), 0, 2, 0, 0);
    }
}

Test(semantics_conv, nan_wins_and_takes_the_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 10), 1, NAN, NAN, 9, 1, 9, 2, 1, 3, INFINITY, 9, 1,
                             9, 1, NAN, 1, 9, NAN, 1, 1);
        tg_tensor *y = tg_max_pool2d(t, x, HALVES);
        EXPECT(y, NAN, NAN, NAN, NAN, INFINITY);
        EXPECT(GRAD(y, x), 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0);
        tg_tensor *many = INPUT(TG_SHAPE(1, 1, 2, 8), NAN, NAN, 1, NAN, 1, 1, NAN, NAN, 1, 1, NAN,
                                NAN, NAN, NAN, NAN, NAN);
        EXPECT(GRAD(tg_max_pool2d(t, many, HALVES), many), 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0,
               0, 0);
        tg_tensor *all = tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 10}});
        EXPECT(all, NAN);
        EXPECT(GRAD(all, x), 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    }
}

Test(semantics_conv, padding_counts_as_minus_infinity_and_takes_no_gradient)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 2), -5, -6, -7, -8),
                  *y = tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 2}, .padding = {1, 1}});
        EXPECT_SHAPE(y, TG_SHAPE(1, 1, 2, 2));
        EXPECT(y, -5, -6, -7, -8);
        EXPECT(GRAD(y, x), 1, 1, 1, 1);
        tg_tensor *low = INPUT(TG_SHAPE(1, 1, 1, 2), -INFINITY, -INFINITY);
        tg_tensor *of_low =
            tg_max_pool2d(t, low, (tg_pool){.kernel = {1, 3}, .stride = {1, 1}, .padding = {0, 1}});
        EXPECT(of_low, -INFINITY, -INFINITY);
        EXPECT(GRAD(of_low, low), 2, 0);
        tg_tensor *four = INPUT(TG_SHAPE(1, 1, 2, 8), -INFINITY, -INFINITY, -INFINITY, 1, 1, 2, 1,
                                1, -INFINITY, -INFINITY, 0, 0, 0, 0, 1, 1);
        EXPECT(tg_max_pool2d(t, four, HALVES), -INFINITY, 1, 2, 1);
        EXPECT(GRAD(tg_max_pool2d(t, four, HALVES), four), 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0,
               0, 0);
        /* wide steps: both taps of the first window and of the second one fall beside the single
         * column */
        tg_tensor *one = INPUT(TG_SHAPE(1, 1, 1, 1), 4);
        tg_tensor *beside = tg_max_pool2d(
            t, one,
            (tg_pool){.kernel = {1, 2}, .stride = {1, 1}, .padding = {0, 1}, .dilation = {1, 2}});
        EXPECT(beside, -INFINITY);
        EXPECT(GRAD(beside, one), 0);
    }
}

/* Few different numbers, so that most windows have ties. */
Test(semantics_conv, pooling_of_every_width_by_halves)
{
    EACH_BUILD
    {
        uint64_t state = 23;
        for (int64_t w = 2; w < 70; w++) {
            enum { PLANES = 2, H = 5 };
            const int64_t out = w / 2;
            double x[PLANES * H * 70], y[PLANES * 2 * 35], gx[PLANES * H * 70] = {0},
                                                                           gy[PLANES * 2 * 35];
            for (int64_t i = 0; i < PLANES * H * w; i++)
                x[i] = floor(2 * semantics_uniform(&state));
            for (int64_t k = 0; k < PLANES * 2 * out; k++) {
                const int64_t first = k / (2 * out) * H * w + k / out % 2 * 2 * w + k % out * 2,
                              at[4] = {first, first + 1, first + w, first + w + 1};
                int best = 0;
                for (int q = 1; q < 4; q++)
                    if (x[at[q]] > x[at[best]]) best = q;
                y[k] = x[at[best]];
                gx[at[best]] = gy[k] = (double)(k + 1);
            }
            tg_tensor *in = semantics_input(t, dtype, TG_SHAPE(PLANES, 1, H, w), x),
                      *is = tg_max_pool2d(t, in, HALVES), *g = NULL, *g2 = NULL;
            tg_tensor *seed = semantics_input(t, dtype, TG_SHAPE(PLANES, 1, 2, out), gy);
            tg_grad(t, is, seed, 1, &in, &g, false);
            cr_expect_eq(differences(t, dtype, is, PLANES * 2 * out, y), 0, "width %lld",
                         (long long)w);
            cr_expect_eq(differences(t, dtype, g, PLANES * H * w, gx), 0, "gradient, width %lld",
                         (long long)w);
            tg_grad(t, g, in, 1, &seed, &g2, false); /* picks x at its maxima: y again */
            cr_expect_eq(differences(t, dtype, g2, PLANES * 2 * out, y), 0,
                         "gradient of the gradient, width %lld", (long long)w);
            tg_tape_reset(t);
        }
    }
}

/* By definition, of few different numbers: y, and the gradient for an upstream gradient of 1, 2, 3
 * ... */
static void pool_by_definition(const double *x, int64_t height, int64_t width, const tg_pool *o,
                               const tg_shape *out, double *y, double *gx)
{
    for (int64_t k = 0; k < out->dim[2] * out->dim[3]; k++) {
        int64_t best = -1;
        for (int64_t a = 0; a < o->kernel[0]; a++)
            for (int64_t b = 0; b < o->kernel[1]; b++) {
                const int64_t i = k / out->dim[3] * o->stride[0] - o->padding[0] +
                                  a * o->dilation[0],
                              j = k % out->dim[3] * o->stride[1] - o->padding[1] +
                                  b * o->dilation[1];
                if (i < 0 || i >= height || j < 0 || j >= width) continue;
                const int64_t at = i * width + j;
                if (best < 0 || x[at] > x[best] || (isnan(x[at]) && !isnan(x[best]))) best = at;
            }
        y[k] = best < 0 ? -INFINITY : x[best];
        if (best >= 0) gx[best] += (double)(k + 1);
    }
}

Test(semantics_conv, pooling_of_any_windows_in_wide_rows)
{
    enum { HEIGHT = 7, WIDEST = 600, TURNS = 150 };
    static double x[HEIGHT * WIDEST], y[HEIGHT * 2 * WIDEST], gx[HEIGHT * WIDEST],
        gy[HEIGHT * 2 * WIDEST];
    static const int64_t widths[] = {9, 17, 30, 64, WIDEST};
    uint64_t state = 5;
    for (int64_t k = 0; k < HEIGHT * 2 * WIDEST; k++) gy[k] = (double)(k + 1);
    for (int turn = 0; turn < TURNS; turn++) {
        const int64_t width = widths[turn % 5], kernel = 1 + turn / 5 % 4;
        const tg_pool o = {.kernel = {1 + turn % 3, kernel},
                           .stride = {1 + turn % 2, 1 + turn / 20 % 3},
                           .padding = {turn % 3 / 2, turn % 2 * kernel / 2},
                           .dilation = {1, 1 + turn / 7 % 2}};
        for (int64_t i = 0; i < HEIGHT * width; i++) {
            x[i] = floor(3 * semantics_uniform(&state));
            if (semantics_uniform(&state) > 0.97) x[i] = turn % 4 ? -INFINITY : NAN;
            gx[i] = 0;
        }
        for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
            for (tg_tape *t = semantics_tape(isa, 1); t; t = semantics_end(t)) {
                const tg_dtype dtype = turn / 2 % 2 ? TG_F32 : TG_F64;
                tg_tensor *in = semantics_input(t, dtype, TG_SHAPE(1, 1, HEIGHT, width), x),
                          *is = tg_max_pool2d(t, in, o), *g = NULL;
                const tg_shape out = tg_tensor_shape(is);
                tg_grad(t, is, semantics_input(t, dtype, out, gy), 1, &in, &g, false);
                if (isa == TG_ISA_BASE) pool_by_definition(x, HEIGHT, width, &o, &out, y, gx);
                cr_expect_eq(differences(t, dtype, is, tg_shape_count(out), y), 0, "turn %d", turn);
                cr_expect_eq(differences(t, dtype, g, HEIGHT * width, gx), 0, "gradient, turn %d",
                             turn);
            }
    }
}

Test(semantics_conv, pooling_nothing)
{
    EACH_BUILD
    {
        tg_tensor *none = tg_input(t, dtype, TG_SHAPE(0, 2, 4, 4), NULL),
                  *y = tg_max_pool2d(t, none, HALVES);
        EXPECT_SHAPE(y, TG_SHAPE(0, 2, 2, 2));
        EXPECT_SHAPE(GRAD(y, none), TG_SHAPE(0, 2, 4, 4));
        cr_expect_not_null(tg_data(t, y));
    }
}

Test(semantics_conv, errors_of_pooling)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(1, 1, 2, 3), 0, 0, 0, 0, 0, 0),
                  *flat = INPUT(TG_SHAPE(2), 0, 0), *i = INDEX(TG_SHAPE(1, 1, 1, 1), 0);
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){0}), TG_EVALUE, "max_pool2d: kernel 0");
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){.kernel = {2, -1}}), TG_EVALUE,
                     "max_pool2d: kernel -1");
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 2}, .stride = {-1, 1}}), TG_EVALUE,
                     "not -1");
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){.kernel = {3, 3}, .padding = {2, 0}}), TG_EVALUE,
                     "padding 2 is more than half of kernel 3");
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){.kernel = {3, 3}}), TG_ESHAPE,
                     "a window of 3 does not fit into x [1,1,2,3]");
        EXPECT_ERROR(tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 2}, .dilation = {2, 1}}),
                     TG_ESHAPE, "a window of 3");
        EXPECT_ERROR(tg_max_pool2d(t, tg_input(t, dtype, TG_SHAPE(1, 1, 0, 2), NULL),
                                   (tg_pool){.kernel = {2, 2}, .padding = {1, 1}}),
                     TG_ESHAPE, "[1,1,0,2]");
        EXPECT_ERROR(tg_max_pool2d(t, flat, HALVES), TG_ESHAPE,
                     "max_pool2d: x is [n, c, h, w], not [2]");
        EXPECT_ERROR(tg_max_pool2d(t, i, HALVES), TG_EDTYPE, "i64");
    }
}
