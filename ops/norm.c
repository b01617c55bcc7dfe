/* layer_norm. A row x becomes z w + b with z = (x - mean) r, r = (variance + eps)^(-1/2). With h =
 * gy w and P(h) = h - mean(h) - z mean(h z), the gradient of x is r P(h); those of w and b are the
 * sums of gy z and of gy over the rows. */
#include "folds.h"
#include "math.h"

#ifndef TG_SAMPLES

/* carried: norm */
enum {
    CHUNK = 1024, /* elements that stay in the first cache while they are walked twice */
    GROUP = 32,   /* lanes that a sum runs in */
    PART = 1 << 15,
    LEAST = 16,
    GREATEST = 128 /* elements of a part, and bounds of its rows */
};

/* The matrix, what is added to each row of it, and where the results go. NULL: w is 1, b is 0. */
typedef struct table {
    int64_t rows, n, rows_of_part, parts;
    const void *x, *w, *b, *gy;
    double eps;
    void *y;
    void *sums; /* [parts, 2, n]: each part's sums of gy z and of gy; NULL when nobody asks */
} table;

typedef void (*rows_fn)(const table *r, int64_t first, int64_t end);
typedef void (*join_fn)(const table *r, int64_t part);

/* The sum of GROUP lanes, pairwise. */
#define LANES_SUM(lane)                                \
    for (int half_ = GROUP / 2; half_ > 0; half_ /= 2) \
        for (int l_ = 0; l_ < half_; l_++) (lane)[l_] += (lane)[l_ + half_];

/* Mean and squared deviations of a row, and with h = g w the sums of h and of h (x - mean), in one
 * pass over memory: chunk by chunk about the chunk's own mean, corrected for its rounding, then
 * joined (Chan, Golub and LeVeque 1983). */
#define MOMENTS(fn, TARGET, BUILD, T)                                                           \
    TARGET TG_ALWAYS_INLINE void fn(const T *x, const T *g, const T *w, int64_t n, T *of_row)   \
    {                                                                                           \
        T mean = 0, squares = 0, sum = 0, mixed = 0;                                            \
        for (int64_t first = 0; first < n; first += CHUNK, x += CHUNK) {                        \
            const int64_t m = n - first < CHUNK ? n - first : CHUNK, whole = m / GROUP * GROUP; \
            T s[GROUP] = {0}, d[GROUP] = {0}, q[GROUP] = {0}, h[GROUP] = {0}, p[GROUP] = {0};   \
            for (int64_t i = 0; i < whole; i += GROUP)                                          \
                for (int l = 0; l < GROUP; l++) s[l] += x[i + l];                               \
            for (int64_t i = whole; i < m; i++) s[i - whole] += x[i];                           \
            LANES_SUM(s)                                                                        \
            T centre = s[0] / (T)m;                                                             \
            for (int64_t i = 0; i < whole; i += GROUP)                                          \
                for (int l = 0; l < GROUP; l++) {                                               \
                    const T away = x[i + l] - centre;                                           \
                    d[l] += away;                                                               \
                    q[l] += away * away;                                                        \
                    if (!g) continue;                                                           \
                    const T of_x = w ? g[i + l] * w[i + l] : g[i + l];                          \
                    h[l] += of_x;                                                               \
                    p[l] += of_x * away;                                                        \
                }                                                                               \
            for (int64_t i = whole; i < m; i++) {                                               \
                const int64_t l = i - whole;                                                    \
                const T away = x[i] - centre;                                                   \
                d[l] += away;                                                                   \
                q[l] += away * away;                                                            \
                if (!g) continue;                                                               \
                const T of_x = w ? g[i] * w[i] : g[i];                                          \
                h[l] += of_x;                                                                   \
                p[l] += of_x * away;                                                            \
            }                                                                                   \
            LANES_SUM(d)                                                                        \
            LANES_SUM(q)                                                                        \
            const T shift = d[0] / (T)m;                                                        \
            centre += shift;                                                                    \
            const T before = (T)first, total = (T)(first + m), apart = centre - mean,           \
                    joint = mean + apart * ((T)m / total);                                      \
            const T own = q[0] - shift * d[0];                                                  \
            squares += own < 0 ? 0 : own;                                                       \
            if (first > 0) squares += apart * apart * (before * ((T)m / total));                \
            if (g) {                                                                            \
                LANES_SUM(h)                                                                    \
                LANES_SUM(p)                                                                    \
                mixed += sum * (mean - joint) + (p[0] + h[0] * (centre - shift - joint));       \
                sum += h[0];                                                                    \
                g += CHUNK;                                                                     \
                if (w) w += CHUNK;                                                              \
            }                                                                                   \
            mean = joint;                                                                       \
        }                                                                                       \
        of_row[0] = mean;                                                                       \
        of_row[1] = squares / (T)n;                                                             \
        of_row[2] = sum / (T)n;                                                                 \
        of_row[3] = mixed / (T)n;                                                               \
    }

#define FORWARD(fn, TARGET, BUILD, T)                                                \
    MOMENTS(moments_##fn, TARGET, BUILD, T)                                          \
    TARGET static void fn(const table *r, int64_t first, int64_t end)                \
    {                                                                                \
        const int64_t n = r->n;                                                      \
        const T *w = (const T *)r->w, *b = (const T *)r->b, eps = (T)r->eps;         \
        for (int64_t row = first; row < end; row++) {                                \
            const T *x = (const T *)r->x + row * n;                                  \
            T *y = (T *)r->y + row * n, of_row[4];                                   \
            moments_##fn(x, NULL, NULL, n, of_row);                                  \
            const T mean = of_row[0], scale = 1 / SQRT(of_row[1] + eps);             \
            if (w && b) TG_EACH(i, 0, n, y[i] = (x[i] - mean) * scale * w[i] + b[i]) \
            else if (w) TG_EACH(i, 0, n, y[i] = (x[i] - mean) * scale * w[i])        \
            else if (b) TG_EACH(i, 0, n, y[i] = (x[i] - mean) * scale + b[i])        \
            else TG_EACH(i, 0, n, y[i] = (x[i] - mean) * scale)                      \
        }                                                                            \
    }

#define GRADIENT(fn, TARGET, BUILD, T)                                                             \
    MOMENTS(moments_##fn, TARGET, BUILD, T)                                                        \
    TARGET static void fn(const table *r, int64_t first, int64_t end)                              \
    {                                                                                              \
        const int64_t n = r->n;                                                                    \
        const T *w = (const T *)r->w, eps = (T)r->eps;                                             \
        T *of_w = r->sums ? (T *)r->sums + first / r->rows_of_part * 2 * n : NULL,                 \
          *of_b = of_w ? of_w + n : NULL;                                                          \
        if (of_w) TG_EACH(i, 0, 2 * n, of_w[i] = 0)                                                \
        for (int64_t row = first; row < end; row++) {                                              \
            const T *x = (const T *)r->x + row * n, *g = (const T *)r->gy + row * n;               \
            T *y = (T *)r->y + row * n, of_row[4];                                                 \
            if (w) moments_##fn(x, g, w, n, of_row);                                               \
            else moments_##fn(x, g, NULL, n, of_row);                                              \
            const T mean = of_row[0], scale = 1 / SQRT(of_row[1] + eps), level = of_row[2],        \
                    slope = of_row[3] * scale;                                                     \
            if (of_w && w) {                                                                       \
                TG_EACH(i, 0, n, const T z = (x[i] - mean) * scale, a = g[i];                      \
                        y[i] = ((a * w[i] - level) - z * slope) * scale; of_w[i] += a * z;         \
                        of_b[i] += a)                                                              \
            } else {                                                                               \
                TG_EACH(i, 0, n,                                                                   \
                        y[i] =                                                                     \
                            (((w ? g[i] * w[i] : g[i]) - level) - (x[i] - mean) * scale * slope) * \
                            scale)                                                                 \
                if (of_w)                                                                          \
                    TG_EACH(i, 0, n, of_w[i] += g[i] * ((x[i] - mean) * scale); of_b[i] += g[i])   \
            }                                                                                      \
        }                                                                                          \
    }

/* Adds the parts' sums pairwise, for CHUNK columns; the first part holds the result. */
#define JOIN(fn, TARGET, BUILD, T)                                    \
    TARGET static void fn(const table *r, int64_t part)               \
    {                                                                 \
        const int64_t n = 2 * r->n, first = part * CHUNK,             \
                      last = first + CHUNK < n ? first + CHUNK : n;   \
        T *sums = (T *)r->sums;                                       \
        for (int64_t step = 1; step < r->parts; step *= 2)            \
            for (int64_t k = 0; k + step < r->parts; k += 2 * step) { \
                T *to = sums + k * n;                                 \
                const T *from = sums + (k + step) * n;                \
                TG_EACH(i, first, last, to[i] += from[i])             \
            }                                                         \
        T *y = (T *)r->y + r->rows * r->n;                            \
        TG_EACH(i, first, last, y[i] = r->parts > 0 ? sums[i] : 0)    \
    }

#define KERNELS(type, name, DEFINE)                   \
    TG_EACH_BUILD(DEFINE, name##_f32, float)          \
    TG_EACH_BUILD_F64(DEFINE, name##_f64, double)     \
    static const type name##_of[][TG_BUILD_COUNT] = { \
        [TG_F32] = TG_BUILDS(name##_f32), [TG_F64] = TG_BUILDS_F64(name##_f64)};
KERNELS(rows_fn, forward, FORWARD)
KERNELS(rows_fn, gradient, GRADIENT)
KERNELS(join_fn, join, JOIN)

typedef struct job {
    table r;
    rows_fn rows;
    join_fn join;
} job;

static void run_part(const tg_call *c, void *user, int64_t part)
{
    (void)c;
    const job *j = user;
    const int64_t first = part * j->r.rows_of_part, end = first + j->r.rows_of_part;
    j->rows(&j->r, first, end < j->r.rows ? end : j->r.rows);
}

static void join_part(const tg_call *c, void *user, int64_t part)
{
    (void)c;
    const job *j = user;
    j->join(&j->r, part);
}

/* x [rows, n]; w and b are [n], or have no dimensions and mean nothing; eps is a number. */
static table table_of(const tg_call *c, const tg_array *w, const tg_array *eps)
{
    table r = {.rows = c->x[0].shape.dim[0],
               .n = c->x[0].shape.dim[1],
               .x = c->x[0].data,
               .y = c->y->data};
    const int64_t fitting = r.n > 0 ? PART / r.n : GREATEST;
    r.rows_of_part = fitting < LEAST ? LEAST : fitting < GREATEST ? fitting : GREATEST;
    r.parts = (r.rows + r.rows_of_part - 1) / r.rows_of_part;
    if (w->shape.ndim == 1) r.w = w->data;
    if (eps->data)
        r.eps =
            eps->dtype == TG_F32 ? (double)*(const float *)eps->data : *(const double *)eps->data;
    return r;
}

static void forward_kernel(const tg_call *c)
{
    job j = {.r = table_of(c, &c->x[1], &c->x[3]), .rows = forward_of[c->y->dtype][c->build]};
    if (c->x[2].shape.ndim == 1) j.r.b = c->x[2].data;
    if (j.r.n > 0 && j.r.parts > 0) tg_parallel(c, j.r.parts, run_part, &j);
}

static bool has_sums(const tg_call *c) { return c->attrs[0] != 0; }
/* carried so far */

static int64_t gradient_scratch(const tg_call *c)
{
    const table r = table_of(c, &c->x[1], &c->x[3]);
    return has_sums(c) ? r.parts * 2 * r.n * (int64_t)tg_dtype_size(c->y->dtype) : 0;
}

/* carried: norm */
static void gradient_kernel(const tg_call *c)
{
    job j = {.r = table_of(c, &c->x[1], &c->x[3]),
             .rows = gradient_of[c->y->dtype][c->build],
             .join = join_of[c->y->dtype][c->build]};
    if (j.r.n == 0) return;
    j.r.gy = c->x[2].data;
    if (has_sums(c)) j.r.sums = c->scratch;
    if (j.r.parts > 0) tg_parallel(c, j.r.parts, run_part, &j);
    if (has_sums(c)) tg_parallel(c, (2 * j.r.n + CHUNK - 1) / CHUNK, join_part, &j);
}
/* carried so far */

/* ----------------------------------- ops: private ones, on what the public function has checked */

static bool forward_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

/* attrs[0]: two more rows hold the gradients of w and b, found in the same pass over x and gy. */
static bool gradient_rule(tg_rule *r)
{
    r->y = (tg_type){r->x[0].dtype,
                     TG_SHAPE(r->x[0].shape.dim[0] + 2 * r->attrs[0], r->x[0].shape.dim[1])};
    return true;
}

static void forward_vjp(TG_VJP);
static void gradient_vjp(TG_VJP);
static const tg_op layer_norm = {.size = sizeof(tg_op),
                                 .name = "layer_norm",
                                 .n_in = 4,
                                 .rule = forward_rule,
                                 .kernel = forward_kernel,
                                 .carried = TG_CARRIED("norm forward_kernel"),
                                 .vjp = forward_vjp};
static const tg_op layer_norm_grad = {.size = sizeof(tg_op),
                                      .name = "layer_norm_grad",
                                      .n_in = 4,
                                      .rule = gradient_rule,
                                      .kernel = gradient_kernel,
                                      .carried = TG_CARRIED("norm gradient_kernel"),
                                      .scratch = gradient_scratch,
                                      .vjp = gradient_vjp};

static tg_tensor *rows_between(tg_tape *t, const char *where, tg_tensor *x, int64_t first,
                               int64_t end)
{
    return tg_slice(t, x, 0, first, end, 1);
}

/* x, w, b, eps */
static void forward_vjp(TG_VJP)
{
    const bool has_w = tg_tensor_shape(x[1]).ndim == 1, has_b = tg_tensor_shape(x[2]).ndim == 1;
    const int64_t rows = tg_tensor_shape(x[0]).dim[0];
    tg_tensor *all =
        tg_apply_at(t, TG_HERE, &layer_norm_grad, 4, (tg_tensor *[]){x[0], x[1], gy, x[3]}, 1,
                    (int64_t[]){has_w || has_b});
    gx[0] = has_w || has_b ? rows_between(t, TG_HERE, all, 0, rows) : all;
    if (has_w) gx[1] = tg_squeeze(t, rows_between(t, TG_HERE, all, rows, rows + 1), 0);
    if (has_b) gx[2] = tg_squeeze(t, rows_between(t, TG_HERE, all, rows + 1, rows + 2), 0);
}

static tg_tensor *row_mean(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_mean(t, x, TG_AXES(-1), true);
}
static tg_tensor *row_dot(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    return row_mean(t, TG_HERE, tg_mul(t, a, b));
}

/* P(a) of the head of this file, of_z being mean(a z). */
static tg_tensor *projected(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *z,
                            tg_tensor *of_z)
{
    return tg_sub(t, tg_sub(t, a, row_mean(t, TG_HERE, a)), tg_mul(t, z, of_z));
}

/* x, w, g, eps. With a the gradient of r P(h): h gets u = r P(a), and x, through r and z, -r (r z K
 * + mean(h z) u + mean(a z) r P(h)) with K = mean(a P(h)). A sum of v z over a row gives x r
 * P(v). */
static void gradient_vjp(TG_VJP)
{
    const bool has_sums = attrs[0] != 0, has_w = tg_tensor_shape(x[1]).ndim == 1;
    const int64_t rows = tg_tensor_shape(x[0]).dim[0];
    tg_tensor *g = x[2], *h = has_w ? tg_mul(t, g, x[1]) : g,
              *a = has_sums ? rows_between(t, TG_HERE, gy, 0, rows) : gy;
    tg_tensor *away = tg_sub(t, x[0], row_mean(t, TG_HERE, x[0]));
    tg_tensor *r = tg_rsqrt(t, tg_add(t, row_dot(t, TG_HERE, away, away), x[3])),
              *z = tg_mul(t, away, r);
    tg_tensor *az = row_dot(t, TG_HERE, a, z), *hz = row_dot(t, TG_HERE, h, z),
              *of_h = projected(t, TG_HERE, h, z, hz);
    tg_tensor *u = tg_mul(t, r, projected(t, TG_HERE, a, z, az)), *k = row_dot(t, TG_HERE, a, of_h);
    tg_tensor *inner =
        tg_add(t, tg_mul(t, hz, u), tg_mul(t, r, tg_add(t, tg_mul(t, z, k), tg_mul(t, az, of_h))));
    gx[0] = tg_neg(t, tg_mul(t, r, inner));
    gx[2] = has_w ? tg_mul(t, u, x[1]) : u;
    if (has_w) gx[1] = tg_mul(t, u, g);
    if (!has_sums) return;
    tg_tensor *of_w = rows_between(t, TG_HERE, gy, rows, rows + 1),
              *of_b = rows_between(t, TG_HERE, gy, rows + 1, rows + 2);
    tg_tensor *v = tg_mul(t, of_w, g);
    gx[0] = tg_add(t, gx[0], tg_mul(t, r, projected(t, TG_HERE, v, z, row_dot(t, TG_HERE, v, z))));
    gx[2] = tg_add(t, gx[2], tg_add(t, tg_mul(t, of_w, z), of_b));
}

/* ---------------------------------------------------------------- public function */

/* One of w and b: of x's last sizes and x's dtype. As a row, or, when there is none, the number
 * that changes nothing. */
static tg_tensor *as_row(tg_tape *t, const char *where, tg_tensor *x, tg_shape inner,
                         const char *name, tg_tensor *v, double nothing)
{
    if (!v) return tg_constant_like(t, x, nothing);
    if (!tg_shape_equal(tg_tensor_shape(v), inner))
        return tg_fail_at(t, TG_HERE, TG_ESHAPE, "layer_norm: %s is %s, not %s", name,
                          tg_shape_text(tg_tensor_shape(v)).text, tg_shape_text(inner).text);
    if (tg_dtype_on(t, v) != tg_dtype_on(t, x))
        return tg_fail_at(t, TG_HERE, TG_EDTYPE, "layer_norm: %s is %s but x is %s", name,
                          tg_dtype_name(tg_dtype_on(t, v)), tg_dtype_name(tg_dtype_on(t, x)));
    return inner.ndim == 1 ? v : tg_reshape(t, v, TG_SHAPE(tg_shape_count(inner)));
}

tg_tensor *tg_layer_norm_at(tg_tape *t, const char *where, tg_tensor *x, int dims, tg_tensor *w,
                            tg_tensor *b, double eps)
{
    if (!tg_ready_float(t, TG_HERE, "layer_norm", x) ||
        (w && !tg_ready(t, TG_HERE, "layer_norm", w)) ||
        (b && !tg_ready(t, TG_HERE, "layer_norm", b)))
        return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    if (dims < 1 || dims > shape.ndim)
        return tg_fail_at(t, TG_HERE, TG_ESHAPE, "layer_norm: %s has no last %d dimensions",
                          tg_shape_text(shape).text, dims);
    if (!(eps >= 0))
        return tg_fail_at(t, TG_HERE, TG_EVALUE, "layer_norm: eps = %g is not a number >= 0", eps);
    const int outer = shape.ndim - dims;
    const tg_shape inner = tg_shape_of(dims, shape.dim + outer);
    const int64_t rows = tg_shape_count(tg_shape_of(outer, shape.dim));
    tg_tensor *of_w = as_row(t, TG_HERE, x, inner, "w", w, 1),
              *of_b = as_row(t, TG_HERE, x, inner, "b", b, 0);
    const bool flat = dims == 1 && outer == 1;
    tg_tensor *as_rows = flat ? x : tg_reshape(t, x, TG_SHAPE(rows, tg_shape_count(inner)));
    tg_tensor *y =
        tg_apply(t, &layer_norm, 4,
                 ((tg_tensor *[]){as_rows, of_w, of_b, tg_constant_like(t, x, eps)}), 0, NULL);
    return flat ? y : tg_reshape(t, y, shape);
}

KNOWN(layer_norm, "[..., normalised sizes], w and b [normalised sizes] or NULL", -1,
      ("y = (x - mean) / sqrt(variance + eps) w + b"))

#else

static void reference(const tg_array *x, int dims, const tg_array *w, const tg_array *b, double eps,
                      tg_array *y)
{
    const double *from = x->data;
    double *to = y->data;
    int64_t n = 1;
    for (int d = x->shape.ndim - dims; d < x->shape.ndim; d++) n *= x->shape.dim[d];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        const double *row = from + i / n * n;
        double sum = 0, squares = 0;
        for (int64_t j = 0; j < n; j++) sum += row[j];
        for (int64_t j = 0; j < n; j++) squares += pow(row[j] - sum / (double)n, 2);
        to[i] = (from[i] - sum / (double)n) / sqrt(squares / (double)n + eps);
        if (w) to[i] *= ((const double *)w->data)[i % n];
        if (b) to[i] += ((const double *)b->data)[i % n];
    }
}

CALL_WITHOUT(full, 1 << 1 | 1 << 2, tg_layer_norm(t, x[0], 1, x[1], x[2], 1e-2))
EXPECT(full, reference(x, 1, x + 1, x + 2, 1e-2, y))
CALL(two, tg_layer_norm(t, x[0], 2, x[1], x[2], 1e-5))
EXPECT(two, reference(x, 2, x + 1, x + 2, 1e-5, y))
CALL(bare, tg_layer_norm(t, x[0], 1, NULL, NULL, 1e-2))
EXPECT(bare, reference(x, 1, NULL, NULL, 1e-2, y))
CALL(scaled, tg_layer_norm(t, x[0], 1, x[1], NULL, 1e-2))
EXPECT(scaled, reference(x, 1, x + 1, NULL, 1e-2, y))
CALL(shifted, tg_layer_norm(t, x[0], 1, NULL, x[1], 1e-2))
EXPECT(shifted, reference(x, 1, NULL, x + 1, 1e-2, y))

#define ROWS(...) REALS(-2, 2, __VA_ARGS__)
SAMPLES(layer_norm, SAMPLE(full, "rows", 0, ROWS(3, 4), ROWS(4), ROWS(4)),
        SAMPLE(full, "odd rows", 0, ROWS(5, 35), ROWS(35), ROWS(35)),
        SAMPLE(full, "long rows", 0, ROWS(2, 1101), ROWS(1101), ROWS(1101)),
        SAMPLE(full, "many rows", 0, ROWS(1100, 3), ROWS(3), ROWS(3)),
        SAMPLE(full, "rows of one", 0, ROWS(4, 1), ROWS(1), ROWS(1)),
        SAMPLE(full, "a vector", 0, ROWS(5), ROWS(5), ROWS(5)),
        SAMPLE(two, "two dimensions", 0, ROWS(2, 2, 3, 2), ROWS(3, 2), ROWS(3, 2)),
        SAMPLE(bare, "no w, no b", 0, ROWS(2, 2, 4)),
        SAMPLE(scaled, "no b", 0, ROWS(3, 5), ROWS(5)),
        SAMPLE(shifted, "no w", 0, ROWS(3, 5), ROWS(5)),
        SAMPLE(full, "no rows", 0, ROWS(0, 3), ROWS(3), ROWS(3)),
        SAMPLE(full, "empty rows", 0, ROWS(3, 0), ROWS(0), ROWS(0)))

#endif
