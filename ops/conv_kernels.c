/* Convolutions and their gradients, for many small images by conv_lanes.h, for others by matrix
 * products. Cuts follow from shapes and the build alone, and partial sums are added in their
 * order. */
#include "bytes.h"
#include "conv.h"
#include "gemm.h"
#include "lanes.h"
#include <string.h>
#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#endif

#define TG_SHARED /* static in an exported file */
/* carried: conv */
static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t highest(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t rounded(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* ---------------------------------------------------------------- runs */

/* Up to four positions of the target, columns->target_distance apart, that see the same taps of the
 * kernel, `taps` of them from number `tap` on; the first tap of the first position meets source
 * position `source`. */
typedef struct run {
    int64_t target, source, tap, taps;
    int pixels;
} run;

typedef struct runs {
    run *runs;
    int64_t n;
    int64_t tap_step, source_step;            /* from a tap to the next one */
    int64_t target_distance, source_distance; /* from a position of a run to the next one */
} runs;

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int64_t over(int64_t a, int64_t b)
{
    return a > 0 ? (a + b - 1) / b : 0;
} /* a / b rounded up, not below 0 */

/* What y's position t sees of x: x's position is t stride - padding + tap dilation. */
static run seen(const tg_conv_axis *a, int64_t t)
{
    const int64_t at = t * a->stride - a->padding, tap = over(-at, a->dilation),
                  end = lowest(a->kernel, over(a->size - at, a->dilation));
    if (end <= tap) return (run){.target = t, .pixels = 1};
    return (run){
        .target = t, .source = at + tap * a->dilation, .tap = tap, .taps = end - tap, .pixels = 1};
}

/* What of y saw x's position t: only every step-th tap can have. */
static run seen_by(const tg_conv_axis *a, int64_t step, int64_t t)
{
    int64_t tap = 0;
    while (tap < lowest(step, a->kernel) && (t + a->padding - tap * a->dilation) % a->stride) tap++;
    const int64_t at = (t + a->padding - tap * a->dilation) / a->stride,
                  apart = a->dilation * step / a->stride;
    const int64_t first = over(at - a->out + 1, apart),
                  end = tap < step ? lowest(over(a->kernel - tap, step), over(at + 1, apart)) : 0;
    if (end <= first) return (run){.target = t, .pixels = 1};
    return (run){.target = t,
                 .source = at - first * apart,
                 .tap = tap + first * step,
                 .taps = end - first,
                 .pixels = 1};
}

/* All positions of an axis in runs of `most` or one. */
static void find_runs(runs *all, const tg_conv_axis *a, bool transposed, int most)
{
    const int64_t step = a->stride / common_divisor(a->stride, a->dilation),
                  size = transposed ? a->size : a->out;
    const int64_t apart = transposed ? a->stride : 1, moves = transposed ? 1 : a->stride;
    all->n = 0;
    all->tap_step = transposed ? step : 1;
    all->source_step = transposed ? -(a->dilation * step / a->stride) : a->dilation;
    all->target_distance = apart;
    all->source_distance = moves;
    const int64_t phases = most == 1 ? 1 : apart; /* single positions stay in order */
    for (int64_t phase = 0; phase < lowest(phases, size); phase++)
        for (int64_t t = phase; t < size; t += phases) {
            all->runs[all->n++] = transposed ? seen_by(a, step, t) : seen(a, t);
            if (most == 1 || all->n < most) continue;
            run *first = &all->runs[all->n - most];
            bool alike = true;
            for (int q = 0; q < most; q++)
                alike &= first[q].pixels == 1 && first[q].target == first->target + q * apart &&
                         first[q].tap == first->tap && first[q].taps == first->taps &&
                         first[q].source == first->source + q * moves;
            if (!alike) continue;
            first->pixels = most;
            all->n -= most - 1;
        }
}

/* ---------------------------------------------------------------- one image in each lane */

/* target[r] = bias[r] + sum over source channels and taps of weight * source: the convolution, and
 * with source and target exchanged the gradient of x. */
typedef struct correlation {
    const tg_conv_plan *plan;
    const void *source, *weight, *bias;
    void *target;
    int64_t source_channels, target_channels; /* of one group */
    int64_t source_size[2], target_size[2];
    int64_t weight_source, weight_target, weight_group,
        kernel_width; /* elements from one channel, or group, to the next */
    runs rows, columns;
} correlation;

typedef struct weight_sum {
    const tg_conv_plan *plan;
    const void *x, *gy;
    int64_t taps;      /* of one output channel: its input channels times the kernel */
    int64_t padded[2]; /* x's sizes with the padding */
    int64_t *offset;   /* where in x, padded, each tap of the first pixel lies */
} weight_sum;

#define PASTE_BOTH(a, b) a##b
#define PASTE(a, b) PASTE_BOTH(a, b)

#define MADD(a, b, c) ((a) * (b) + (c))
#define TARGET TG_TARGET_BASE
#define WIDE 2
#define T float
#define LANES 4
#define NAME(function) function##_f32_base
#define SPLAT(a) ((vector){a, a, a, a})
#include "conv_lanes.h"
#undef T
#undef LANES
#undef NAME
#undef SPLAT
#define T double
#define LANES 2
#define NAME(function) function##_f64_base
#define SPLAT(a) ((vector){a, a})
#include "conv_lanes.h"
#undef T
#undef LANES
#undef NAME
#undef SPLAT
#undef TARGET
#undef MADD

/* carried so far */

#if defined(__GNUC__) && defined(__x86_64__)
#define TARGET TG_TARGET_AVX2
#define T float
#define LANES 8
#define NAME(function) function##_f32_avx2
#define SPLAT(a) _mm256_set1_ps(a)
#define MADD(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "conv_lanes.h"
#undef T
#undef LANES
#undef NAME
#undef SPLAT
#undef MADD
#if defined(TG_NO_AVX512)
#undef TARGET
#undef WIDE
#else
#define T double
#define LANES 4
#define NAME(function) function##_f64_avx2
#define SPLAT(a) _mm256_set1_pd(a)
#define MADD(a, b, c) _mm256_fmadd_pd(a, b, c)
#include "conv_lanes.h"
#undef T
#undef LANES
#undef NAME
#undef SPLAT
#undef MADD
#undef TARGET
#undef WIDE

#define TARGET TG_TARGET_AVX512
#define WIDE 4
#define T float
#define LANES 16
#define NAME(function) function##_f32_avx512
#define SPLAT(a) _mm512_set1_ps(a)
#define MADD(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "conv_lanes.h"
#undef T
#undef LANES
#undef NAME
#undef SPLAT
#undef MADD
#define T double
#define LANES 8
#define NAME(function) function##_f64_avx512
#define SPLAT(a) _mm512_set1_pd(a)
#define MADD(a, b, c) _mm512_fmadd_pd(a, b, c)
#include "conv_lanes.h"
#undef TARGET
#endif
#endif

/* carried: conv */
typedef void (*part_function)(const tg_call *c, void *user, int64_t part);
static const part_function correlate[][TG_BUILD_COUNT] = {
    [TG_F32] = TG_BUILDS(correlate_f32), [TG_F64] = TG_BUILDS_F64(correlate_f64)};
static const part_function weigh[][TG_BUILD_COUNT] = {
    [TG_F32] = TG_BUILDS(weigh_f32), [TG_F64] = TG_BUILDS_F64(weigh_f64)};

static int lanes_of(tg_dtype dtype, int build)
{
#if defined(TG_NO_AVX512)
    if (dtype == TG_F64) build = TG_BUILD_BASE;
#endif
#if defined(__GNUC__) && defined(__x86_64__)
    return (16 << build) / (int)tg_dtype_size(dtype);
#else
    (void)build;
    return 16 / (int)tg_dtype_size(dtype);
#endif
}

/* ---------------------------------------------------------------- plans */

static int64_t taps_of(const tg_conv_plan *p)
{
    return p->c / p->groups * p->axis[0].kernel * p->axis[1].kernel;
}
static int64_t pixels_of(const tg_conv_plan *p) { return p->axis[0].size * p->axis[1].size; }
static int64_t out_of(const tg_conv_plan *p) { return p->axis[0].out * p->axis[1].out; }

static tg_conv_plan plan_of(const tg_call *c, const tg_shape *x, const tg_shape *w,
                            const tg_shape *y)
{
    tg_conv_plan p = {.dtype = c->y->dtype,
                      .n = x->dim[0],
                      .c = x->dim[1],
                      .o = y->dim[1],
                      .groups = c->attrs[TG_CONV_GROUPS]};
    for (int d = 0; d < 2; d++)
        p.axis[d] = (tg_conv_axis){x->dim[2 + d],
                                   y->dim[2 + d],
                                   w->dim[2 + d],
                                   c->attrs[TG_CONV_STRIDE + d],
                                   c->attrs[TG_CONV_PADDING + d],
                                   c->attrs[TG_CONV_DILATION + d]};
    const int lanes = lanes_of(p.dtype, c->build);
    const double padded = ((double)p.axis[0].size + 2 * (double)p.axis[0].padding) *
                          ((double)p.axis[1].size + 2 * (double)p.axis[1].padding);
    if (4 * p.n >= 3 * lanes && padded * (double)p.c < 1e9) p.lanes = lanes;
    const int64_t units = p.lanes ? (p.n + lanes - 1) / lanes : p.n;
    p.each = highest(1, (units + 15) / 16);
    p.parts = (units + p.each - 1) / p.each;
    return p;
}

static void finish(tg_conv_plan *p, int64_t table, int64_t part_elements)
{
    p->table = rounded(table);
    p->part_bytes = rounded(tg_times(part_elements, (int64_t)tg_dtype_size(p->dtype)));
    p->scratch = tg_plus(p->table, tg_times(p->parts, p->part_bytes));
}

/* A part's scratch ends with what its products need, of a and n columns each. */
static void finish_products(tg_conv_plan *p, int64_t part_elements, const tg_matrix *a, int64_t n)
{
    const int64_t element = (int64_t)tg_dtype_size(p->dtype);
    finish(p, 0, part_elements);
    p->multiply = rounded(tg_gemm_scratch(a, n, element));
    p->part_bytes = tg_plus(p->part_bytes, p->multiply);
    p->scratch = tg_times(p->parts, p->part_bytes);
}

static int64_t strip_of(int64_t height, int64_t width, int64_t pixels)
{
    return highest(1, lowest(height, width ? pixels / width : 1));
}

/* By matrix products, as many rows of y at a time as leave the gathered pixels in the cache, and at
 * least 64 columns. */
static int64_t product_strip(const tg_conv_plan *p)
{
    const int64_t least = strip_of(p->axis[0].out, p->axis[1].out, 64),
                  taps = highest(1, taps_of(p));
    return highest(least, strip_of(p->axis[0].out, p->axis[1].out, (1 << 16) / taps));
}

static void prepare_correlation(tg_conv_plan *p, bool transposed)
{
    const int64_t height = transposed ? p->axis[0].size : p->axis[0].out,
                  width = transposed ? p->axis[1].size : p->axis[1].out;
    const int64_t source = transposed ? p->o * out_of(p) : p->c * pixels_of(p);
    if (p->lanes) {
        p->strip = strip_of(height, width, 48);
        finish(p, (height + width) * (int64_t)sizeof(run),
               tg_times(p->lanes, source + 8 * p->strip * width));
    } else {
        p->strip = product_strip(p);
        const int64_t columns = p->strip * p->axis[1].out, taps = taps_of(p), o = p->o / p->groups;
        finish_products(p, tg_times(taps, columns),
                        transposed ? &(tg_matrix){NULL, taps, o, 1, taps}
                                   : &(tg_matrix){NULL, o, taps, taps, 1},
                        columns);
    }
}

TG_SHARED void tg_conv_prepare(const tg_call *c, void *prepared)
{
    tg_conv_plan *p = prepared;
    *p = plan_of(c, &c->x[0].shape, &c->x[1].shape, &c->y->shape);
    prepare_correlation(p, false);
}

TG_SHARED void tg_conv_input_gradient_prepare(const tg_call *c, void *prepared)
{
    tg_conv_plan *p = prepared;
    *p = plan_of(c, &c->y->shape, &c->x[1].shape, &c->x[0].shape);
    prepare_correlation(p, true);
}

static void padded_sizes(const tg_conv_plan *p, int64_t size[2])
{
    for (int d = 0; d < 2; d++) size[d] = p->axis[d].size + 2 * p->axis[d].padding;
}

TG_SHARED void tg_conv_weight_gradient_prepare(const tg_call *c, void *prepared)
{
    tg_conv_plan *p = prepared;
    *p = plan_of(c, &c->x[0].shape, &c->y->shape, &c->x[1].shape);
    const int64_t weights = p->o * taps_of(p);
    if (p->lanes) {
        int64_t size[2];
        padded_sizes(p, size);
        p->strip = strip_of(p->axis[0].out, p->axis[1].out, 64);
        const int64_t padded = size[0] * size[1], plain = padded == pixels_of(p) ? 0 : pixels_of(p);
        p->sums = tg_times(
            p->lanes, tg_plus(p->c * (padded + plain), tg_times(p->o, p->strip * p->axis[1].out)));
        finish(p, taps_of(p) * (int64_t)sizeof(int64_t),
               tg_plus(p->sums, (weights + p->lanes - 1) / p->lanes * p->lanes * p->lanes));
    } else {
        p->strip = product_strip(p);
        const int64_t columns = p->strip * p->axis[1].out;
        p->sums = tg_plus(tg_times(taps_of(p), columns), weights / p->groups);
        finish_products(
            p, tg_plus(p->sums, weights),
            &(tg_matrix){NULL, p->o / p->groups, columns, p->axis[0].out * p->axis[1].out, 1},
            taps_of(p));
    }
}

TG_SHARED int64_t tg_conv_scratch(const tg_call *c)
{
    return ((const tg_conv_plan *)c->prepared)->scratch;
}

/* ---------------------------------------------------------------- by matrix products */

typedef struct products {
    const tg_conv_plan *plan;
    const char *x, *w, *gy, *bias;
    char *to;
} products;

/* Does each tap see x as it lies? */
static bool pointwise(const tg_conv_plan *p)
{
    for (int d = 0; d < 2; d++)
        if (p->axis[d].kernel != 1 || p->axis[d].stride != 1 || p->axis[d].padding != 0)
            return false;
    return true;
}

/* The range of y's columns at which tap k lies inside x. */
static void inside(const tg_conv_axis *a, int64_t k, int64_t *first, int64_t *end)
{
    const int64_t at = k * a->dilation - a->padding; /* of column 0 */
    *first = lowest(a->out, at < 0 ? (-at + a->stride - 1) / a->stride : 0);
    *end = a->size > at ? lowest(a->out, (a->size - at + a->stride - 1) / a->stride) : 0;
    if (*end < *first) *end = *first;
}

/* columns[tap][pixel] from one group of an image's channels, or, transposed, added back to them. */
#define GATHER(fn, T)                                                                              \
    static void fn(const tg_conv_plan *p, bool transposed, T *x, int64_t row, int64_t rows,        \
                   T *columns)                                                                     \
    {                                                                                              \
        const tg_conv_axis *h = &p->axis[0], *w = &p->axis[1];                                     \
        for (int64_t channel = 0; channel < p->c / p->groups; channel++, x += h->size * w->size)   \
            for (int64_t a = 0; a < h->kernel; a++)                                                \
                for (int64_t b = 0; b < w->kernel; b++) {                                          \
                    int64_t first, end;                                                            \
                    inside(w, b, &first, &end);                                                    \
                    for (int64_t i = row; i < row + rows; i++, columns += w->out) {                \
                        const int64_t at = i * h->stride - h->padding + a * h->dilation,           \
                                      step = w->stride;                                            \
                        const bool seen = at >= 0 && at < h->size && first < end;                  \
                        T *from =                                                                  \
                            x + (seen ? at * w->size + first * step - w->padding + b * w->dilation \
                                      : 0);                                                        \
                        if (transposed) {                                                          \
                            for (int64_t j = first; seen && j < end; j++)                          \
                                from[(j - first) * step] += columns[j];                            \
                            continue;                                                              \
                        }                                                                          \
                        const int64_t begin = seen ? first : w->out, stop = seen ? end : w->out;   \
                        for (int64_t j = 0; j < begin; j++) columns[j] = 0;                        \
                        if (step == 1)                                                             \
                            memcpy(columns + begin, from, (size_t)(stop - begin) * sizeof(T));     \
                        else                                                                       \
                            for (int64_t j = begin; j < stop; j++)                                 \
                                columns[j] = from[(j - begin) * step];                             \
                        for (int64_t j = stop; j < w->out; j++) columns[j] = 0;                    \
                    }                                                                              \
                }                                                                                  \
    }
GATHER(gather_f32, float)
GATHER(gather_f64, double)

static void gather(const tg_conv_plan *p, bool transposed, const void *x, int64_t row, int64_t rows,
                   void *columns)
{
    if (p->dtype == TG_F32) gather_f32(p, transposed, (float *)(uintptr_t)x, row, rows, columns);
    else gather_f64(p, transposed, (double *)(uintptr_t)x, row, rows, columns);
}

/* y[i][j] += x[i] or x[i * n + j] */
static void add_each(tg_dtype dtype, void *y, const void *x, int64_t m, int64_t n, int64_t row,
                     int64_t column)
{
    if (dtype == TG_F32)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                ((float *)y)[i * n + j] += ((const float *)x)[i * row + j * column];
    else
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++)
                ((double *)y)[i * n + j] += ((const double *)x)[i * row + j * column];
}

/* For each strip of each group of each of a part's images. */
typedef struct walk {
    int64_t image, group, row, rows, columns;
    char *scratch, *multiply; /* what products need */
    const char *x, *w, *y;    /* of this image and group, y of this strip */
    int64_t c, o, taps, out;
} walk;

static void walk_part(const tg_call *c, const products *u, int64_t part,
                      void (*visit)(const tg_call *, const products *, const walk *))
{
    const tg_conv_plan *p = u->plan;
    const int64_t element = (int64_t)tg_dtype_size(p->dtype);
    walk at = {.c = p->c / p->groups, .o = p->o / p->groups, .taps = taps_of(p), .out = out_of(p)};
    at.scratch = (char *)c->scratch + p->table + part * p->part_bytes;
    at.multiply = at.scratch + p->part_bytes - p->multiply;
    for (at.image = part * p->each; at.image < lowest(p->n, (part + 1) * p->each); at.image++)
        for (at.group = 0; at.group < p->groups; at.group++)
            for (at.row = 0; at.row < p->axis[0].out; at.row += p->strip) {
                at.rows = lowest(p->strip, p->axis[0].out - at.row);
                at.columns = at.rows * p->axis[1].out;
                at.x = u->x + (at.image * p->groups + at.group) * at.c * pixels_of(p) * element;
                at.w = u->w ? u->w + at.group * at.o * at.taps * element : NULL;
                at.y = u->gy + ((at.image * p->groups + at.group) * at.o * at.out +
                                at.row * p->axis[1].out) *
                                   element;
                visit(c, u, &at);
            }
}

static bool interleaved(const tg_matrix *a, const tg_matrix *b)
{
    return tg_gemm_interleaved(a->rows, b->columns, a->columns);
}

static tg_matrix columns_of(const products *u, const walk *at)
{
    const tg_conv_plan *p = u->plan;
    if (pointwise(p))
        return (tg_matrix){at->x + at->row * p->axis[1].out * (int64_t)tg_dtype_size(p->dtype),
                           at->taps, at->columns, at->out, 1};
    gather(p, false, at->x, at->row, at->rows, at->scratch);
    return (tg_matrix){at->scratch, at->taps, at->columns, at->columns, 1};
}

static void forward_strip(const tg_call *c, const products *u, const walk *at)
{
    const tg_conv_plan *p = u->plan;
    const tg_matrix w = {at->w, at->o, at->taps, at->taps, 1}, x = columns_of(u, at);
    tg_gemm(p->dtype, c->build, &w, &x, (void *)(uintptr_t)at->y, at->out, interleaved(&w, &x),
            at->multiply);
    if (u->bias && at->row + at->rows == p->axis[0].out) {
        const int64_t element = (int64_t)tg_dtype_size(p->dtype),
                      first = (at->image * p->groups + at->group) * at->o * at->out;
        add_each(p->dtype, u->to + first * element, u->bias + at->group * at->o * element, at->o,
                 at->out, 1, 0);
    }
}

static void input_strip(const tg_call *c, const products *u, const walk *at)
{
    const tg_conv_plan *p = u->plan;
    const tg_matrix w = {at->w, at->taps, at->o, 1, at->taps},
                    y = {at->y, at->o, at->columns, at->out, 1};
    if (at->row == 0)
        memset((void *)(uintptr_t)at->x, 0,
               (size_t)(at->c * pixels_of(p)) * tg_dtype_size(p->dtype));
    tg_gemm(p->dtype, c->build, &w, &y, at->scratch, at->columns, interleaved(&w, &y),
            at->multiply);
    gather(p, true, at->x, at->row, at->rows, at->scratch);
}

static void weight_strip(const tg_call *c, const products *u, const walk *at)
{
    const tg_conv_plan *p = u->plan;
    const int64_t element = (int64_t)tg_dtype_size(p->dtype), weights = at->o * at->taps;
    const tg_matrix y = {at->y, at->o, at->columns, at->out, 1}, x = columns_of(u, at);
    const tg_matrix turned = {x.data, x.columns, x.rows, x.column, x.row};
    char *product = at->scratch + (p->sums - weights) * element,
         *sum = at->scratch + (p->sums + at->group * weights) * element;
    const bool first = at->row == 0 && at->image % p->each == 0;
    tg_gemm(p->dtype, c->build, &y, &turned, first ? sum : product, at->taps,
            interleaved(&y, &turned), at->multiply);
    if (!first) add_each(p->dtype, sum, product, 1, weights, 0, 1);
}

static void forward_part(const tg_call *c, void *user, int64_t part)
{
    walk_part(c, user, part, forward_strip);
}
static void input_part(const tg_call *c, void *user, int64_t part)
{
    walk_part(c, user, part, input_strip);
}
static void weight_part(const tg_call *c, void *user, int64_t part)
{
    walk_part(c, user, part, weight_strip);
}

/* ---------------------------------------------------------------- the kernels */

static void run_parts(const tg_call *c, const tg_conv_plan *p, part_function part, void *user)
{
    const double work = (double)p->n * (double)p->o * (double)taps_of(p) * (double)out_of(p);
    if (work >= 1 << 18) tg_parallel(c, p->parts, part, user);
    else
        for (int64_t k = 0; k < p->parts; k++) part(c, user, k);
}

static void run_correlation(const tg_call *c, correlation *k, bool transposed)
{
    const tg_conv_plan *p = k->plan;
    const int64_t kernel = p->axis[0].kernel * p->axis[1].kernel, c_group = p->c / p->groups,
                  o_group = p->o / p->groups;
    const int64_t of_x = kernel, of_y = c_group * kernel;
    k->source_channels = transposed ? o_group : c_group;
    k->target_channels = transposed ? c_group : o_group;
    for (int d = 0; d < 2; d++) {
        k->source_size[d] = transposed ? p->axis[d].out : p->axis[d].size;
        k->target_size[d] = transposed ? p->axis[d].size : p->axis[d].out;
    }
    k->weight_source = transposed ? of_y : of_x;
    k->weight_target = transposed ? of_x : of_y;
    k->weight_group = o_group * of_y;
    k->kernel_width = p->axis[1].kernel;
    k->rows.runs = c->scratch;
    k->columns.runs = k->rows.runs + k->target_size[0];
    find_runs(&k->rows, &p->axis[0], transposed, 1);
    find_runs(&k->columns, &p->axis[1], transposed, 4);
    run_parts(c, p, correlate[p->dtype][c->build], k);
}

static void fill(const tg_call *c, const void *bias, int64_t pixels)
{
    const size_t element = tg_dtype_size(c->y->dtype);
    const int64_t channels = c->y->shape.dim[1], planes = c->y->shape.dim[0] * channels;
    memset(c->y->data, 0, (size_t)tg_shape_count(c->y->shape) * element);
    for (int64_t k = 0; bias && k < planes; k++)
        add_each(c->y->dtype, (char *)c->y->data + (size_t)(k * pixels) * element,
                 (const char *)bias + (size_t)(k % channels) * element, 1, pixels, 0, 0);
}

TG_SHARED void tg_conv_kernel(const tg_call *c)
{
    const tg_conv_plan *p = c->prepared;
    const void *bias = c->n_in > 2 ? c->x[2].data : NULL;
    if (tg_shape_count(c->y->shape) == 0) return;
    if (taps_of(p) == 0) fill(c, bias, out_of(p));
    else if (p->lanes) {
        correlation k = {.plan = p,
                         .source = c->x[0].data,
                         .weight = c->x[1].data,
                         .bias = bias,
                         .target = c->y->data};
        run_correlation(c, &k, false);
    } else {
        products u = {p, c->x[0].data, c->x[1].data, c->y->data, bias, c->y->data};
        run_parts(c, p, forward_part, &u);
    }
}

TG_SHARED void tg_conv_input_gradient_kernel(const tg_call *c)
{
    const tg_conv_plan *p = c->prepared;
    if (tg_shape_count(c->y->shape) == 0) return;
    if (p->o == 0) fill(c, NULL, 0);
    else if (p->lanes) {
        correlation k = {
            .plan = p, .source = c->x[0].data, .weight = c->x[1].data, .target = c->y->data};
        run_correlation(c, &k, true);
    } else {
        products u = {p, c->y->data, c->x[1].data, c->x[0].data, NULL, c->y->data};
        run_parts(c, p, input_part, &u);
    }
}

TG_SHARED void tg_conv_weight_gradient_kernel(const tg_call *c)
{
    const tg_conv_plan *p = c->prepared;
    const int64_t weights = p->o * taps_of(p), element = (int64_t)tg_dtype_size(p->dtype);
    if (weights == 0) return;
    if (p->n == 0) {
        memset(c->y->data, 0, (size_t)(weights * element));
        return;
    }
    if (p->lanes) {
        weight_sum k = {.plan = p,
                        .x = c->x[0].data,
                        .gy = c->x[1].data,
                        .taps = taps_of(p),
                        .offset = c->scratch};
        padded_sizes(p, k.padded);
        const int64_t padded = k.padded[0] * k.padded[1], height = p->axis[0].kernel,
                      width = p->axis[1].kernel;
        for (int64_t tap = 0; tap < k.taps; tap++)
            k.offset[tap] = tap / (height * width) * padded +
                            tap / width % height * p->axis[0].dilation * k.padded[1] +
                            tap % width * p->axis[1].dilation;
        run_parts(c, p, weigh[p->dtype][c->build], &k);
    } else {
        products u = {p, c->x[0].data, NULL, c->x[1].data, NULL, NULL};
        run_parts(c, p, weight_part, &u);
    }
    for (int64_t part = 0; part < p->parts; part++) {
        const char *from =
            (const char *)c->scratch + p->table + part * p->part_bytes + p->sums * element;
        if (part == 0) memcpy(c->y->data, from, (size_t)(weights * element));
        else add_each(p->dtype, c->y->data, from, 1, weights, 0, 1);
    }
}
/* carried so far */
