/* Max pooling. Which element of a window is its maximum is found again wherever it is asked for:
 * reading x once more costs less than writing indices. Besides the pooling there are two linear
 * functions of another operand under x's choice: pick takes the chosen element of each window,
 * spread puts a number into each chosen element. They are each other's transposes; x reaches them
 * detached, since the choice carries no gradient of its own. */
#include "folds.h"
#include "lanes.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#ifndef TG_SAMPLES

/* carried: pool, on lanes */
enum { KERNEL = 0, STRIDE = 2, PADDING = 4, DILATION = 6, CEIL = 8, ATTRS = 9 };

/* One axis: windows of `kernel` elements, `dilation` apart. */
typedef struct axis {
    int64_t size, out, kernel, stride, padding, dilation;
} axis;

typedef struct planes {
    axis axis[2];
} planes;

/* Does a later element v take the place of the greatest one so far? The first of equals stays, and
 * so does the first NaN. */
#define BEATS(v, top) (((v) > (top)) | (((v) != (v)) & ((top) == (top))))

/* The taps of a window that lie inside. */
static void inside(const axis *a, int64_t window, int64_t *at, int64_t *first, int64_t *end)
{
    *at = window * a->stride - a->padding;
    *first = *at < 0 ? (-*at + a->dilation - 1) / a->dilation : 0;
    *end = a->size > *at ? (a->size - *at + a->dilation - 1) / a->dilation : 0;
    if (*end > a->kernel) *end = a->kernel;
}

/* Runs VISIT for each window of a plane with `top`, its greatest element, and `index`, where that
 * is (-1: the window is all padding). */
#define EACH_WINDOW(T, x, VISIT)                                                           \
    for (int64_t i = 0, window = 0; i < p->axis[0].out; i++) {                             \
        int64_t row, first_row, end_row;                                                   \
        inside(&p->axis[0], i, &row, &first_row, &end_row);                                \
        for (int64_t j = 0; j < p->axis[1].out; j++, window++) {                           \
            int64_t column, first, end, index = -1;                                        \
            T top = (T)-INFINITY;                                                          \
            inside(&p->axis[1], j, &column, &first, &end);                                 \
            for (int64_t a = first_row; a < end_row; a++)                                  \
                for (int64_t b = first; b < end; b++) {                                    \
                    const int64_t at = (row + a * p->axis[0].dilation) * p->axis[1].size + \
                                       column + b * p->axis[1].dilation;                   \
                    if (index >= 0 && !BEATS(x[at], top)) continue;                        \
                    top = x[at];                                                           \
                    index = at;                                                            \
                }                                                                          \
            VISIT;                                                                         \
        }                                                                                  \
    }

#define WINDOWS(fn, T)                                                         \
    static void pool_##fn(const planes *p, const T *x, const T *other, T *y)   \
    {                                                                          \
        (void)other;                                                           \
        EACH_WINDOW(T, x, y[window] = top)                                     \
    }                                                                          \
    static void pick_##fn(const planes *p, const T *x, const T *other, T *y)   \
    {                                                                          \
        EACH_WINDOW(T, x, y[window] = index < 0 ? 0 : other[index])            \
    }                                                                          \
    static void spread_##fn(const planes *p, const T *x, const T *other, T *y) \
    {                                                                          \
        memset(y, 0, (size_t)(p->axis[0].size * p->axis[1].size) * sizeof(T)); \
        EACH_WINDOW(T, x, if (index >= 0) y[index] += other[window])           \
    }
WINDOWS(f32, float)
WINDOWS(f64, double)

/* ---------------------------------------------------------------- rows
 *
 * Windows side by side in vectors, one tap after the other, in the order in which EACH_WINDOW looks
 * at a window's elements. Where the greatest ones are is counted from their windows' beginnings. */

enum { STRIP = 256, LEAST_ROW = 8, MOST_STRIDE = 2 }; /* windows at once; what is worth it */

/* Of the windows `from` on, and up to `end`, those whose element at `column` of the first window's
 * beginning lies inside. */
static int64_t begins(const axis *c, int64_t column, int64_t from)
{
    return column + from * c->stride >= 0 ? from : (c->stride - 1 - column) / c->stride;
}
static int64_t ends(const axis *c, int64_t column, int64_t end)
{
    if (column + (end - 1) * c->stride < c->size) return end;
    return column < c->size ? (c->size - column + c->stride - 1) / c->stride : 0;
}

#define TAP(step)                                                                       \
    TG_INDEPENDENT                                                                      \
    for (int64_t j = low; j < high; j++) {                                              \
        const T v = x[at + j * (step)];                                                 \
        const bool takes = BEATS(v, top[j - from]) | (WHERE_TO && where[j - from] < 0); \
        top[j - from] = takes ? v : top[j - from];                                      \
        if (WHERE_TO) where[j - from] = takes ? here : where[j - from];                 \
    }
#define TOPS_OF_ROW(fn, TARGET, E, I, WHERE_WANTED)                                          \
    TARGET static void fn(const planes *p, const E *x, int64_t i, int64_t from, int64_t end, \
                          E *top, I *where)                                                  \
    {                                                                                        \
        typedef E T;                                                                         \
        enum { WHERE_TO = WHERE_WANTED };                                                    \
        const axis *r = &p->axis[0], *c = &p->axis[1];                                       \
        int64_t row, first, last;                                                            \
        inside(r, i, &row, &first, &last);                                                   \
        for (int64_t j = 0; j < end - from; j++) top[j] = (T)-INFINITY;                      \
        for (int64_t j = 0; WHERE_TO && j < end - from; j++) where[j] = -1;                  \
        for (int64_t a = first; a < last; a++)                                               \
            for (int64_t b = 0; b < c->kernel; b++) {                                        \
                const int64_t column = b * c->dilation - c->padding;                         \
                const int64_t low = begins(c, column, from), high = ends(c, column, end);    \
                const int64_t at = (row + a * r->dilation) * c->size + column;               \
                const I here = (I)(a * r->dilation * c->size + b * c->dilation);             \
                if (c->stride == 1) TAP(1)                                                   \
                else TAP(2)                                                                  \
            }                                                                                \
    }
#define ROWS(build, TARGET, BUILD, T, I)                                                  \
    TOPS_OF_ROW(tops_##build, TARGET, T, I, 0)                                            \
    TOPS_OF_ROW(spots_##build, TARGET, T, I, 1)                                           \
    static void pool_rows_##build(const planes *p, const T *x, const T *other, T *y)      \
    {                                                                                     \
        const int64_t out = p->axis[1].out;                                               \
        (void)other;                                                                      \
        for (int64_t i = 0; i < p->axis[0].out; i++)                                      \
            tops_##build(p, x, i, 0, out, y + i * out, NULL);                             \
    }                                                                                     \
    static void spread_rows_##build(const planes *p, const T *x, const T *other, T *y)    \
    {                                                                                     \
        const axis *r = &p->axis[0], *c = &p->axis[1];                                    \
        T top[STRIP];                                                                     \
        I where[STRIP];                                                                   \
        memset(y, 0, (size_t)(r->size * c->size) * sizeof(T));                            \
        for (int64_t i = 0; i < r->out; i++)                                              \
            for (int64_t from = 0; from < c->out; from += STRIP) {                        \
                const int64_t end = from + STRIP < c->out ? from + STRIP : c->out;        \
                const int64_t at = (i * r->stride - r->padding) * c->size - c->padding;   \
                spots_##build(p, x, i, from, end, top, where);                            \
                for (int64_t j = from; j < end; j++)                                      \
                    if (where[j - from] >= 0)                                             \
                        y[at + j * c->stride + where[j - from]] += other[i * c->out + j]; \
            }                                                                             \
    }
#define EACH_ROWS(fn, TARGET, BUILD, T, I) ROWS(fn, TARGET, BUILD, T, I)
TG_EACH_BUILD(EACH_ROWS, f32, float, int32_t)
TG_EACH_BUILD_F64(EACH_ROWS, f64, double, int64_t)

/* ---------------------------------------------------------------- halves */

/* N windows side by side, from rows a and b of x: their elements are a0 a1 above b0 b1. A NaN that
 * stays need not be told from one that comes, but for where the gradient goes. */
#define WHERE(mask, x, y) ((vector)(((mask) & (bits)(x)) | (~(mask) & (bits)(y))))
#define VECTORS(T, I, N)                                                                         \
    typedef T vector __attribute__((vector_size(N * sizeof(T)), aligned(sizeof(T)), may_alias)); \
    typedef I bits __attribute__((vector_size(N * sizeof(T)), aligned(sizeof(T))));              \
    const vector a_low = *(const vector *)a, a_high = *(const vector *)(a + N);                  \
    const vector b_low = *(const vector *)b, b_high = *(const vector *)(b + N);                  \
    const vector a0 = TG_EVEN_##N(a_low, a_high), a1 = TG_ODD_##N(a_low, a_high);                \
    const vector b0 = TG_EVEN_##N(b_low, b_high), b1 = TG_ODD_##N(b_low, b_high);
#define POOL_BLOCK(fn, TARGET, T, I, N)                                                     \
    TARGET TG_ALWAYS_INLINE void fn(const T *a, const T *b, const T *other, T *y, T *below) \
    {                                                                                       \
        VECTORS(T, I, N)                                                                    \
        const vector of_a = WHERE((a1 > a0) | (a1 != a1), a1, a0);                          \
        const vector of_b = WHERE((b1 > b0) | (b1 != b1), b1, b0);                          \
        *(vector *)y = WHERE((of_b > of_a) | (of_b != of_b), of_b, of_a);                   \
        (void)other, (void)below;                                                           \
    }
#define SPREAD_BLOCK(fn, TARGET, T, I, N)                                                       \
    TARGET TG_ALWAYS_INLINE void fn(const T *a, const T *b, const T *other, T *y, T *below)     \
    {                                                                                           \
        VECTORS(T, I, N)                                                                        \
        const bits is_a1 = BEATS(a1, a0), is_b1 = BEATS(b1, b0);                                \
        const vector of_a = WHERE(is_a1, a1, a0), of_b = WHERE(is_b1, b1, b0);                  \
        const bits is_b = BEATS(of_b, of_a), g = *(const bits *)other, of_y = g & ~is_b,        \
                   of_below = g & is_b;                                                         \
        const vector y0 = (vector)(of_y & ~is_a1), y1 = (vector)(of_y & is_a1);                 \
        const vector below0 = (vector)(of_below & ~is_b1), below1 = (vector)(of_below & is_b1); \
        *(vector *)y = TG_LOW_##N(y0, y1);                                                      \
        *(vector *)(y + N) = TG_HIGH_##N(y0, y1);                                               \
        *(vector *)below = TG_LOW_##N(below0, below1);                                          \
        *(vector *)(below + N) = TG_HIGH_##N(below0, below1);                                   \
    }

/* The last block of a row starts early enough to be full: what it does twice comes out alike. */
#define BLOCKS(fn, N, scale)                                                               \
    for (int64_t j = 0; j < out; j += N) {                                                 \
        const int64_t at = j < out - N ? j : out - N;                                      \
        fn##_##N(a + 2 * at, b + 2 * at, g + at, to + scale * at, to + scale * at + size); \
    }
#define HALVES(fn, TARGET, T, scale, WIDE, NARROW)                                           \
    TARGET static void fn(const planes *p, const T *x, const T *other, T *y)                 \
    {                                                                                        \
        const int64_t size = p->axis[1].size, out = p->axis[1].out, height = p->axis[0].out; \
        if (scale == 2 && (size != 2 * out || p->axis[0].size != 2 * height))                \
            memset(y, 0, (size_t)(p->axis[0].size * size) * sizeof(T));                      \
        for (int64_t i = 0; i < height; i++) {                                               \
            const T *a = x + 2 * i * size, *b = a + size, *g = other + i * out;              \
            T *to = y + (scale == 2 ? 2 * i * size : i * out);                               \
            if (out >= WIDE) BLOCKS(fn, WIDE, scale)                                         \
            else BLOCKS(fn, NARROW, scale)                                                   \
        }                                                                                    \
    }
#define TWO_SIZES(BLOCK, fn, TARGET, T, I, scale, WIDE, NARROW) \
    BLOCK(fn##_##WIDE, TARGET, T, I, WIDE)                      \
    BLOCK(fn##_##NARROW, TARGET, T, I, NARROW)                  \
    HALVES(fn, TARGET, T, scale, WIDE, NARROW)
#define ONE_SIZE(BLOCK, fn, TARGET, T, I, scale, N) \
    BLOCK(fn##_##N, TARGET, T, I, N)                \
    HALVES(fn, TARGET, T, scale, N, N)

enum { LEAST_F32 = 4, LEAST_F64 = 2 }; /* windows in a row for these */
ONE_SIZE(POOL_BLOCK, pool_halves_f32_base, TG_TARGET_BASE, float, int32_t, 1, 4)
ONE_SIZE(SPREAD_BLOCK, spread_halves_f32_base, TG_TARGET_BASE, float, int32_t, 2, 4)
/* carried so far */
TG_ON_AVX(TWO_SIZES(POOL_BLOCK, pool_halves_f32_avx2, TG_TARGET_AVX2, float, int32_t, 1, 8, 4))
TG_ON_AVX(TWO_SIZES(SPREAD_BLOCK, spread_halves_f32_avx2, TG_TARGET_AVX2, float, int32_t, 2, 8, 4))

/* A lean library takes halves in f64 for rows like others. */
#ifdef TG_NO_AVX512
#define HALVES_F64(name) \
    {                    \
        NULL             \
    }
#else
/* carried: pool */
#define HALVES_F64 TG_BUILDS
ONE_SIZE(POOL_BLOCK, pool_halves_f64_base, TG_TARGET_BASE, double, int64_t, 1, 2)
ONE_SIZE(SPREAD_BLOCK, spread_halves_f64_base, TG_TARGET_BASE, double, int64_t, 2, 2)
/* carried so far */
TG_ON_AVX(TWO_SIZES(POOL_BLOCK, pool_halves_f64_avx2, TG_TARGET_AVX2, double, int64_t, 1, 4, 2))
TG_ON_AVX(TWO_SIZES(SPREAD_BLOCK, spread_halves_f64_avx2, TG_TARGET_AVX2, double, int64_t, 2, 4, 2))
#endif

/* Rows are short: AVX-512 would not help. */
#define pool_halves_f32_avx512 pool_halves_f32_avx2
#define pool_halves_f64_avx512 pool_halves_f64_avx2
#define spread_halves_f32_avx512 spread_halves_f32_avx2
#define spread_halves_f64_avx512 spread_halves_f64_avx2

/* ---------------------------------------------------------------- kernels */

/* carried: pool */
typedef void (*f32_function)(const planes *p, const float *x, const float *other, float *y);
typedef void (*f64_function)(const planes *p, const double *x, const double *other, double *y);

/* For any windows, for rows of several, and for halves; the latter for each build, or NULL. */
typedef struct ways {
    f32_function f32, f32_rows[TG_BUILD_COUNT], f32_halves[TG_BUILD_COUNT];
    f64_function f64, f64_rows[TG_BUILD_COUNT], f64_halves[TG_BUILD_COUNT];
} ways;

typedef struct work {
    planes planes;
    int64_t n, n_of_part;
    f32_function f32;
    f64_function f64;
} work;

static int64_t plane(const tg_array *x) { return x->shape.dim[2] * x->shape.dim[3]; }

static void run_part(const tg_call *c, void *user, int64_t part)
{
    const work *w = user;
    const tg_array *x = &c->x[0], *other = &c->x[c->n_in - 1], *y = c->y;
    const int64_t end = (part + 1) * w->n_of_part < w->n ? (part + 1) * w->n_of_part : w->n;
    for (int64_t k = part * w->n_of_part; k < end; k++) {
        const int64_t at = k * plane(x), other_at = k * plane(other), y_at = k * plane(y);
        if (y->dtype == TG_F32)
            w->f32(&w->planes, (const float *)x->data + at, (const float *)other->data + other_at,
                   (float *)y->data + y_at);
        else
            w->f64(&w->planes, (const double *)x->data + at, (const double *)other->data + other_at,
                   (double *)y->data + y_at);
    }
}

/* Parts of at least 32768 elements. */
static void run(const tg_call *c, const tg_array *out, const ways *of)
{
    const tg_shape x = c->x[0].shape;
    work w = {.n = x.dim[0] * x.dim[1], .f32 = of->f32, .f64 = of->f64};
    bool halves = true;
    for (int d = 0; d < 2; d++) {
        const int64_t *a = c->attrs + d;
        w.planes.axis[d] = (axis){
            x.dim[2 + d], out->shape.dim[2 + d], a[KERNEL], a[STRIDE], a[PADDING], a[DILATION]};
        halves &= a[KERNEL] == 2 && a[STRIDE] == 2 && a[PADDING] == 0 && a[DILATION] == 1 &&
                  2 * out->shape.dim[2 + d] <= x.dim[2 + d];
    }
    const int64_t in_row = w.planes.axis[1].out;
    const bool rows = in_row >= LEAST_ROW && w.planes.axis[1].stride <= MOST_STRIDE &&
                      plane(&c->x[0]) <= INT32_MAX;
    if (rows && of->f32_rows[c->build]) w.f32 = of->f32_rows[c->build];
    if (rows && of->f64_rows[c->build]) w.f64 = of->f64_rows[c->build];
    if (halves && of->f32_halves[c->build] && in_row >= LEAST_F32) w.f32 = of->f32_halves[c->build];
    if (halves && of->f64_halves[c->build] && in_row >= LEAST_F64) w.f64 = of->f64_halves[c->build];
    w.n_of_part = plane(&c->x[0]) < 32768 ? 32768 / plane(&c->x[0]) : 1;
    tg_parallel(c, (w.n + w.n_of_part - 1) / w.n_of_part, run_part, &w);
}

static void pool_kernel(const tg_call *c)
{
    static const ways pool = {pool_f32, TG_BUILDS(pool_rows_f32),     TG_BUILDS(pool_halves_f32),
                              pool_f64, TG_BUILDS_F64(pool_rows_f64), HALVES_F64(pool_halves_f64)};
    run(c, c->y, &pool);
}

static void spread_kernel(const tg_call *c)
{
    static const ways spread = {
        spread_f32, TG_BUILDS(spread_rows_f32),     TG_BUILDS(spread_halves_f32),
        spread_f64, TG_BUILDS_F64(spread_rows_f64), HALVES_F64(spread_halves_f64)};
    run(c, &c->x[1], &spread);
}

static void pick_kernel(const tg_call *c)
{
    static const ways pick = {.f32 = pick_f32, .f64 = pick_f64};
    run(c, c->y, &pick);
}
/* carried so far */

/* ---------------------------------------------------------------- ops */

/* Of pool and pick; what spread and pick are given besides x came from a pooling of it, so it
 * fits. */
static bool rule(tg_rule *r)
{
    const tg_shape x = r->x[0].shape;
    r->y = r->x[0];
    if (r->y.dtype != TG_F32 && r->y.dtype != TG_F64)
        return tg_rule_fail(r, TG_EDTYPE, "not defined for %s", tg_dtype_name(r->y.dtype));
    if (x.ndim == 3)
        return tg_rule_fail(r, TG_ESHAPE,
                            "x %s has no axis of images: tg_unsqueeze(t, x, 0) makes it one image",
                            tg_shape_text(x).text);
    if (x.ndim != 4)
        return tg_rule_fail(r, TG_ESHAPE, "x is [n, c, h, w], not %s", tg_shape_text(x).text);
    for (int d = 0; d < 2; d++) {
        const int64_t size = x.dim[2 + d], *a = r->attrs + d,
                      reach = a[DILATION] * (a[KERNEL] - 1) + 1;
        if (2 * a[PADDING] > a[KERNEL])
            return tg_rule_fail(r, TG_EVALUE,
                                "padding %" PRId64 " is more than half of kernel %" PRId64,
                                a[PADDING], a[KERNEL]);
        if (size < 1 || size > INT64_MAX / 4 || reach > size + 2 * a[PADDING])
            return tg_rule_fail(r, TG_ESHAPE,
                                "a window of %" PRId64 " does not fit into x %s with its padding",
                                reach, tg_shape_text(x).text);
        int64_t out = (size + 2 * a[PADDING] - reach) / a[STRIDE] + 1;
        const bool rest = (size + 2 * a[PADDING] - reach) % a[STRIDE] > 0;
        if (r->attrs[CEIL] && rest && out * a[STRIDE] < size + a[PADDING]) out++;
        r->y.shape.dim[2 + d] = out;
    }
    return true;
}

static bool spread_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

static void pool_vjp(TG_VJP);
static void pick_vjp(TG_VJP);
static void spread_vjp(TG_VJP);

static const tg_op max_pool2d = {.size = sizeof(tg_op),
                                 .name = "max_pool2d",
                                 .n_in = 1,
                                 .rule = rule,
                                 .kernel = pool_kernel,
                                 .carried = TG_CARRIED("pool pool_kernel"),
                                 .vjp = pool_vjp};
static const tg_op max_pool_pick = {.size = sizeof(tg_op),
                                    .name = "max_pool_pick",
                                    .n_in = 2,
                                    .rule = rule,
                                    .kernel = pick_kernel,
                                    .carried = TG_CARRIED("pool pick_kernel"),
                                    .vjp = pick_vjp};
static const tg_op max_pool_spread = {.size = sizeof(tg_op),
                                      .name = "max_pool_spread",
                                      .n_in = 2,
                                      .rule = spread_rule,
                                      .kernel = spread_kernel,
                                      .carried = TG_CARRIED("pool spread_kernel"),
                                      .vjp = spread_vjp};

static tg_tensor *chosen(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x,
                         tg_tensor *other, const int64_t *attrs)
{
    return tg_apply(t, op, 2, ((tg_tensor *[]){tg_detach(t, x), other}), ATTRS, attrs);
}

static void pool_vjp(TG_VJP) { gx[0] = chosen(t, where, &max_pool_spread, x[0], gy, attrs); }
static void pick_vjp(TG_VJP) { gx[1] = chosen(t, where, &max_pool_spread, x[0], gy, attrs); }
static void spread_vjp(TG_VJP) { gx[1] = chosen(t, where, &max_pool_pick, x[0], gy, attrs); }

/* The attributes of a pooling; false, with the tape in error, when a number is out of range. */
static bool pool_attributes(tg_tape *t, const char *where, const char *name, tg_pool options,
                            int64_t *attrs)
{
    for (int d = 0; d < 2; d++) {
        attrs[KERNEL + d] = options.kernel[d];
        attrs[STRIDE + d] = options.stride[d] ? options.stride[d] : options.kernel[d];
        attrs[PADDING + d] = options.padding[d];
        attrs[DILATION + d] = options.dilation[d] ? options.dilation[d] : 1;
        if (options.kernel[d] < 1) {
            tg_fail_at(t, where, TG_EVALUE, "%s: kernel %" PRId64, name, options.kernel[d]);
            return false;
        }
    }
    attrs[CEIL] = options.ceil_mode;
    for (int k = 0; k < ATTRS; k++)
        if (attrs[k] < 0 || attrs[k] > INT32_MAX) {
            tg_fail_at(
                t, where, TG_EVALUE,
                "%s: kernel, stride, padding and dilation are positive numbers, not %" PRId64, name,
                attrs[k]);
            return false;
        }
    return true;
}

tg_tensor *tg_max_pool2d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool options)
{
    int64_t attrs[ATTRS];
    if (!tg_ready(t, where, "max_pool2d", x) ||
        !pool_attributes(t, where, "max_pool2d", options, attrs))
        return NULL;
    return tg_apply(t, &max_pool2d, 1, &x, ATTRS, attrs);
}

/* What the windows of x hold, each channel by itself: a convolution with ones. */
static tg_tensor *sums(tg_tape *t, const char *where, tg_tensor *x, const int64_t *attrs,
                       const int64_t *padding, const int64_t *beyond)
{
    const tg_shape none = {4, {0}}, after = {4, {0, 0, beyond[0], beyond[1]}};
    const int64_t c = tg_tensor_shape(x).dim[1], h = attrs[KERNEL], w = attrs[KERNEL + 1];
    tg_tensor *ones = tg_expand(t, tg_constant_like(t, x, 1), TG_SHAPE(c, c ? 1 : 0, h, w));
    tg_conv windows = {.groups = c};
    for (int d = 0; d < 2; d++) {
        windows.stride[d] = attrs[STRIDE + d];
        windows.padding[d] = padding[d];
        windows.dilation[d] = attrs[DILATION + d];
    }
    if (beyond[0] || beyond[1]) x = tg_pad(t, x, none, after, 0);
    return tg_conv2d(t, x, ones, NULL, windows);
}

/* What elements are there to be divided by: as many ones, summed likewise. */
tg_tensor *tg_avg_pool2d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool options)
{
    const char *const name = "avg_pool2d";
    int64_t attrs[ATTRS];
    if (!tg_ready_float(t, where, name, x) || !pool_attributes(t, where, name, options, attrs))
        return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if (shape.ndim != 4)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, h, w], not %s", name,
                          tg_shape_text(shape).text);
    for (int d = 0; d < 2; d++)
        if (2 * attrs[PADDING + d] > attrs[KERNEL + d])
            return tg_fail_at(t, where, TG_EVALUE,
                              "%s: padding %" PRId64 " is more than half of kernel %" PRId64, name,
                              attrs[PADDING + d], attrs[KERNEL + d]);
    int64_t beyond[2] = {0, 0}, none[2] = {0, 0}, size[2];
    bool all_full = true;
    for (int d = 0; d < 2; d++) {
        const int64_t *a = attrs + d, padding = a[PADDING],
                      reach = a[DILATION] * (a[KERNEL] - 1) + 1;
        size[d] = shape.dim[2 + d];
        if (size[d] < 1 || size[d] > INT64_MAX / 4 || reach > size[d] + 2 * padding) break;
        const int64_t rest = (size[d] + 2 * padding - reach) % a[STRIDE];
        const int64_t next = size[d] + 2 * padding - reach - rest + a[STRIDE];
        if (options.ceil_mode && rest && next < size[d] + padding) beyond[d] = a[STRIDE] - rest;
        if (!options.exclude_padding) size[d] += 2 * padding;
        all_full &= !beyond[d] && !(options.exclude_padding && padding);
    }
    tg_tensor *y = sums(t, where, x, attrs, attrs + PADDING, beyond);
    if (all_full) return tg_scale(t, y, 1 / ((double)attrs[KERNEL] * (double)attrs[KERNEL + 1]));
    if (!y) return NULL;
    tg_tensor *there = tg_expand(t, tg_constant_like(t, x, 1), TG_SHAPE(1, 1, size[0], size[1]));
    return tg_div(
        t, y,
        sums(t, where, there, attrs, options.exclude_padding ? attrs + PADDING : none, beyond));
}

/* A sequence as an image of one row, and the options for it. */
static tg_tensor *as_image(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                           tg_pool *options)
{
    if (!tg_ready(t, where, name, x)) return NULL;
    if (tg_tensor_shape(x).ndim != 3)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: x is [n, c, l], not %s", name,
                          tg_shape_text(tg_tensor_shape(x)).text);
    *options = (tg_pool){.kernel = {1, options->kernel[0]},
                         .stride = {1, options->stride[0]},
                         .padding = {0, options->padding[0]},
                         .dilation = {1, options->dilation[0]},
                         .ceil_mode = options->ceil_mode,
                         .exclude_padding = options->exclude_padding};
    return tg_unsqueeze(t, x, 2);
}

tg_tensor *tg_max_pool1d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool options)
{
    tg_tensor *rows = as_image(t, where, "max_pool1d", x, &options);
    return rows ? tg_squeeze(t, tg_max_pool2d(t, rows, options), 2) : NULL;
}

tg_tensor *tg_avg_pool1d_at(tg_tape *t, const char *where, tg_tensor *x, tg_pool options)
{
    tg_tensor *rows = as_image(t, where, "avg_pool1d", x, &options);
    return rows ? tg_squeeze(t, tg_avg_pool2d(t, rows, options), 2) : NULL;
}

KNOWN(avg_pool2d, "[n, c, h, w] -> [n, c, h', w']", -1, ("y = the mean x of each window"))
KNOWN(max_pool1d, "[n, c, l] -> [n, c, l']", -1,
      ("y = the greatest x of each window", .kinks = "equal greatest elements"))
KNOWN(avg_pool1d, "[n, c, l] -> [n, c, l']", -1, ("y = the mean x of each window"))
KNOWN(max_pool2d, "[n, c, h, w] -> [n, c, h', w']", -1,
      ("y = the greatest x of each window", .kinks = "equal greatest elements"))

#else

/* By definition: the greatest, or the mean with zeros for padding. */
static void whole(const tg_array *x, tg_array *y, tg_pool options, bool greatest)
{
    const double *v = x->data;
    const int64_t *in = x->shape.dim, *out = y->shape.dim;
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        const int64_t p = k / (out[2] * out[3]), i = k / out[3] % out[2], j = k % out[3];
        double top = -INFINITY, sum = 0, there = 0, with_padding = 0;
        for (int64_t a = 0; a < options.kernel[0]; a++)
            for (int64_t b = 0; b < options.kernel[1]; b++) {
                const int64_t row =
                    i * (options.stride[0] ? options.stride[0] : options.kernel[0]) -
                    options.padding[0] + a * (options.dilation[0] ? options.dilation[0] : 1);
                const int64_t column =
                    j * (options.stride[1] ? options.stride[1] : options.kernel[1]) -
                    options.padding[1] + b * (options.dilation[1] ? options.dilation[1] : 1);
                with_padding +=
                    row < in[2] + options.padding[0] && column < in[3] + options.padding[1];
                if (row < 0 || row >= in[2] || column < 0 || column >= in[3]) continue;
                there++;
                top = fmax(top, v[(p * in[2] + row) * in[3] + column]);
                sum += v[(p * in[2] + row) * in[3] + column];
            }
        ((double *)y->data)[k] =
            greatest ? top : sum / (options.exclude_padding ? there : with_padding);
    }
}

#define WAY(id, ...)                                   \
    static const tg_pool options_##id = {__VA_ARGS__}; \
    CALL(id, tg_max_pool2d(t, x[0], options_##id))     \
    EXPECT(id, whole(x, y, options_##id, true))
WAY(halves, .kernel = {2, 2})
WAY(overlapping, .kernel = {3, 2}, .stride = {1, 1})
WAY(padded, .kernel = {3, 2}, .stride = {2, 2}, .padding = {1, 1})
WAY(dilated, .kernel = {2, 3}, .padding = {1, 1}, .dilation = {3, 2})
WAY(one, .kernel = {1, 1})
WAY(ceiling_halves, .kernel = {2, 2}, .ceil_mode = true)
WAY(ceiling, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}, .ceil_mode = true)
WAY(bare, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .exclude_padding = true)
WAY(bare_ceiling, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}, .ceil_mode = true,
    .exclude_padding = true)
SAMPLES(max_pool2d, SAMPLE(halves, "halves", 0, REALS(-3, 3, 2, 2, 4, 6)),
        SAMPLE(halves, "halves of odd sizes", 0, REALS(-3, 3, 1, 2, 5, 7)),
        SAMPLE(halves, "halves, 4 in a row", 0, REALS(-3, 3, 2, 1, 2, 8)),
        SAMPLE(halves, "halves, 5 in a row", 0, REALS(-3, 3, 1, 2, 2, 10)),
        SAMPLE(halves, "halves, 12 in a row", 0, REALS(-3, 3, 1, 1, 4, 24)),
        SAMPLE(halves, "halves, 19 in a row", 0, REALS(-3, 3, 1, 1, 2, 39)),
        SAMPLE(halves, "no images", 0, REALS(-3, 3, 0, 3, 4, 4)),
        SAMPLE(overlapping, "overlapping", 0, REALS(-3, 3, 1, 2, 5, 4)),
        SAMPLE(padded, "padding", 0, REALS(-3, 3, 2, 1, 5, 6)),
        SAMPLE(dilated, "dilation", 0, REALS(-3, 3, 1, 2, 5, 8)),
        SAMPLE(ceiling_halves, "halves, rounded up", 0, REALS(-3, 3, 1, 2, 5, 19)),
        SAMPLE(ceiling, "rounded up", 0, REALS(-3, 3, 1, 2, 6, 24)),
        SAMPLE(bare, "padding", 0, REALS(-3, 3, 1, 1, 4, 3)),
        SAMPLE(bare_ceiling, "rounded up, a few", 0, REALS(-3, 3, 1, 2, 4, 4)),
        SAMPLE(one, "windows of one", 0, REALS(-3, 3, 1, 2, 3, 2)))

#define MEAN_WAY(id)                                      \
    CALL(mean_##id, tg_avg_pool2d(t, x[0], options_##id)) \
    EXPECT(mean_##id, whole(x, y, options_##id, false))
MEAN_WAY(halves)
MEAN_WAY(overlapping)
MEAN_WAY(padded)
MEAN_WAY(dilated)
MEAN_WAY(ceiling_halves)
MEAN_WAY(ceiling)
MEAN_WAY(bare)
MEAN_WAY(bare_ceiling)
SAMPLES(avg_pool2d, SAMPLE(mean_halves, "halves", 0, REALS(-3, 3, 2, 2, 4, 6)),
        SAMPLE(mean_overlapping, "overlapping", 0, REALS(-3, 3, 1, 2, 5, 4)),
        SAMPLE(mean_padded, "padding", 0, REALS(-3, 3, 2, 1, 5, 6)),
        SAMPLE(mean_dilated, "dilation", 0, REALS(-3, 3, 1, 2, 5, 8)),
        SAMPLE(mean_ceiling_halves, "halves, rounded up", 0, REALS(-3, 3, 1, 2, 5, 3)),
        SAMPLE(mean_ceiling, "rounded up", 0, REALS(-3, 3, 1, 2, 4, 3)),
        SAMPLE(mean_bare, "without padding", 0, REALS(-3, 3, 1, 2, 4, 3)),
        SAMPLE(mean_bare_ceiling, "rounded up, without padding", 0, REALS(-3, 3, 1, 2, 4, 4)),
        SAMPLE(mean_halves, "no images", 0, REALS(-3, 3, 0, 3, 4, 4)),
        SAMPLE(mean_halves, "no channels", 0, REALS(-3, 3, 2, 0, 4, 4)))

/* Of sequences, as of images of one row. */
static void whole_row(const tg_array *x, tg_array *y, bool greatest)
{
    tg_array in = *x, out = *y;
    in.shape = TG_SHAPE(x->shape.dim[0], x->shape.dim[1], 1, x->shape.dim[2]);
    out.shape = TG_SHAPE(y->shape.dim[0], y->shape.dim[1], 1, y->shape.dim[2]);
    whole(&in, &out, (tg_pool){.kernel = {1, 3}, .stride = {1, 2}, .padding = {0, 1}}, greatest);
}
static const tg_pool threes = {.kernel = {3}, .stride = {2}, .padding = {1}};
CALL(row_max, tg_max_pool1d(t, x[0], threes))
EXPECT(row_max, whole_row(x, y, true))
SAMPLES(max_pool1d, SAMPLE(row_max, "", 0, REALS(-3, 3, 2, 3, 8)))
CALL(row_mean, tg_avg_pool1d(t, x[0], threes))
EXPECT(row_mean, whole_row(x, y, false))
SAMPLES(avg_pool1d, SAMPLE(row_mean, "", 0, REALS(-3, 3, 2, 3, 8)))

#endif
