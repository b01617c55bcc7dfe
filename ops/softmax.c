/* softmax and log_softmax: passes over contiguous rows; along another axis than the last, over
 * columns side by side. */
#include "folds.h"
#include "rows.h"

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- rows */

/* carried: softmax, on rows staircase */
enum { MOST = TG_FOLD_MOST };

typedef struct rows rows;
typedef void (*row_fn)(const rows *r, tg_staircase *stairs, const void *operand_a,
                       const void *operand_b, void *result);
typedef void (*column_fn)(const rows *r, int64_t width, const void *operand_a,
                          const void *operand_b, void *result);

struct rows {
    int64_t n, count, count_of_part; /* elements of a row; rows */
    size_t bytes;                    /* of a row */
    tg_dtype dtype;
    tg_fold_fn sum;
    row_fn row;
    const char *a, *b; /* the operands; one operand is both */
    char *y;
    column_fn column;
    int64_t inner, blocks; /* of columns: columns of a slice, and blocks of them */
};

static int64_t chunk(const rows *r, int64_t first)
{
    return r->n - first < MOST ? r->n - first : MOST;
}

/* The sum of a row is that of its chunks' sums, in the order of tg_sum: begin, a chunk's terms at a
 * time, end. */
static void begin_sum(const rows *r, tg_staircase *stairs)
{
    if (r->n > MOST) tg_staircase_start(stairs, r->sum, tg_dtype_size(r->dtype));
}

static void add_chunk(const rows *r, tg_staircase *stairs, int64_t m, const void *term, void *sum)
{
    r->sum(m, term, sum);
    if (r->n > MOST) tg_staircase_add(stairs, sum);
}

static void end_sum(const rows *r, tg_staircase *stairs, void *sum)
{
    if (r->n > MOST) tg_staircase_end(stairs, sum);
}

#define ROW_OPERANDS(T)                                \
    const T *a = (const T *)operand_a;                 \
    const T *b TG_MAYBE_UNUSED = (const T *)operand_b; \
    T *y = (T *)result, sum;                           \
    const int64_t n = r->n;                            \
    begin_sum(r, stairs);

#define ROW_MAX(T, fn)                                 \
    T top = fn##_max(chunk(r, 0), a);                  \
    for (int64_t i = MOST; i < n; i += MOST) {         \
        const T other = fn##_max(chunk(r, i), a + i);  \
        top = top > other || top != top ? top : other; \
    }

#define SOFTMAX(fn, TARGET, BUILD, T)                                                 \
    TARGET static void fn(const rows *r, tg_staircase *stairs, const void *operand_a, \
                          const void *operand_b, void *result)                        \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        ROW_OPERANDS(T)                                                               \
        ROW_MAX(T, fn)                                                                \
        for (int64_t first = 0; first < n; first += MOST) {                           \
            const int64_t m = chunk(r, first);                                        \
            TG_EACH(i, first, first + m, y[i] = EXP_BELOW(a[i] - top))                \
            add_chunk(r, stairs, m, y + first, &sum);                                 \
        }                                                                             \
        end_sum(r, stairs, &sum);                                                     \
        const T scale = 1 / sum;                                                      \
        TG_EACH(i, 0, n, y[i] *= scale)                                               \
    }

#define LOG_SOFTMAX(fn, TARGET, BUILD, T)                                             \
    TARGET static void fn(const rows *r, tg_staircase *stairs, const void *operand_a, \
                          const void *operand_b, void *result)                        \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        ROW_OPERANDS(T)                                                               \
        ROW_MAX(T, fn)                                                                \
        for (int64_t first = 0; first < n; first += MOST) {                           \
            sum = fn##_sum(chunk(r, first), a + first, top);                          \
            if (n > MOST) tg_staircase_add(stairs, &sum);                             \
        }                                                                             \
        end_sum(r, stairs, &sum);                                                     \
        const T log_sum = LOG(sum);                                                   \
        TG_EACH(i, 0, n, y[i] = (a[i] - top) - log_sum)                               \
    }

/* a is the softmax, b the gradient of it: a (b - sum a b) */
#define SOFTMAX_GRAD(fn, TARGET, BUILD, T)                                            \
    TARGET static void fn(const rows *r, tg_staircase *stairs, const void *operand_a, \
                          const void *operand_b, void *result)                        \
    {                                                                                 \
        ROW_OPERANDS(T)                                                               \
        T term[MOST];                                                                 \
        for (int64_t first = 0; first < n; first += MOST) {                           \
            const int64_t m = chunk(r, first);                                        \
            TG_EACH(i, 0, m, term[i] = a[first + i] * b[first + i])                   \
            add_chunk(r, stairs, m, term, &sum);                                      \
        }                                                                             \
        end_sum(r, stairs, &sum);                                                     \
        TG_EACH(i, 0, n, y[i] = a[i] * (b[i] - sum))                                  \
    }

/* a is the log-softmax, b the gradient of it: b - e^a sum b */
#define LOG_SOFTMAX_GRAD(fn, TARGET, BUILD, T)                                        \
    TARGET static void fn(const rows *r, tg_staircase *stairs, const void *operand_a, \
                          const void *operand_b, void *result)                        \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        ROW_OPERANDS(T)                                                               \
        for (int64_t first = 0; first < n; first += MOST)                             \
            add_chunk(r, stairs, chunk(r, first), b + first, &sum);                   \
        end_sum(r, stairs, &sum);                                                     \
        TG_EACH(i, 0, n, y[i] = b[i] - EXP_BELOW(a[i]) * sum)                         \
    }

#define ROW_KERNELS(name, DEFINE)                         \
    TG_EACH_BUILD(DEFINE, name##_row_f32, float)          \
    TG_EACH_BUILD_F64(DEFINE, name##_row_f64, double)     \
    static const row_fn name##_rows[][TG_BUILD_COUNT] = { \
        [TG_F32] = TG_BUILDS(name##_row_f32), [TG_F64] = TG_BUILDS_F64(name##_row_f64)};

TG_EACH_BUILD(TG_ROW_FOLDS, softmax_row_f32, float)
TG_EACH_BUILD_F64(TG_ROW_FOLDS, softmax_row_f64, double)
TG_EACH_BUILD(TG_ROW_FOLDS, log_softmax_row_f32, float)
TG_EACH_BUILD_F64(TG_ROW_FOLDS, log_softmax_row_f64, double)
ROW_KERNELS(softmax, SOFTMAX)
ROW_KERNELS(log_softmax, LOG_SOFTMAX)
ROW_KERNELS(softmax_grad, SOFTMAX_GRAD)
ROW_KERNELS(log_softmax_grad, LOG_SOFTMAX_GRAD)

static void run_part(const tg_call *c, void *user, int64_t part)
{
    (void)c;
    const rows *r = user;
    tg_staircase stairs;
    const int64_t first = part * r->count_of_part,
                  end = first + r->count_of_part < r->count ? first + r->count_of_part : r->count;
    for (int64_t k = first; k < end; k++) {
        const size_t at = (size_t)k * r->bytes;
        r->row(r, &stairs, r->a + at, r->b + at, r->y + at);
    }
}

/* ---------------------------------------------------------------- columns
 *
 * Those of a slice side by side, ABREAST at a time; a column's sum is that of its pieces of PIECE
 * elements, so that it stays accurate. */

enum { ABREAST = 128, PIECE = 64 };

#define COLUMN_OPERANDS(T)                             \
    const T *a = (const T *)operand_a;                 \
    const T *b TG_MAYBE_UNUSED = (const T *)operand_b; \
    T *y = (T *)result, sum[ABREAST];                  \
    const int64_t n = r->n, inner = r->inner;

#define COLUMN_MAX(T)                                  \
    T top[ABREAST];                                    \
    TG_EACH(j, 0, width, top[j] = a[j])                \
    for (int64_t i = 1; i < n; i++)                    \
    TG_EACH(j, 0, width, const T v = a[i * inner + j]; \
            top[j] = ((top[j] > v) | (top[j] != top[j])) ? top[j] : v)

/* term: of the element at k */
#define COLUMN_SUM(T, term)                                                         \
    T piece[ABREAST];                                                               \
    TG_EACH(j, 0, width, sum[j] = 0)                                                \
    for (int64_t first = 0; first < n; first += PIECE) {                            \
        const int64_t end = n - first < PIECE ? n : first + PIECE;                  \
        TG_EACH(j, 0, width, piece[j] = 0)                                          \
        for (int64_t i = first; i < end; i++)                                       \
            TG_EACH(j, 0, width, const int64_t k = i * inner + j; piece[j] += term) \
        TG_EACH(j, 0, width, sum[j] += piece[j])                                    \
    }

/* value: of the element at k */
#define COLUMN_VALUES(value)        \
    for (int64_t i = 0; i < n; i++) \
    TG_EACH(j, 0, width, const int64_t k = i * inner + j; y[k] = value)

#define COLUMN_FUNCTION(fn, TARGET, BUILD, T, ...)                             \
    TARGET static void fn(const rows *r, int64_t width, const void *operand_a, \
                          const void *operand_b, void *result)                 \
    {                                                                          \
        enum { build = BUILD };                                                \
        COLUMN_OPERANDS(T)                                                     \
        __VA_ARGS__                                                            \
    }
#define SOFTMAX_COLUMNS(fn, TARGET, BUILD, T)                                      \
    COLUMN_FUNCTION(fn, TARGET, BUILD, T,                                          \
                    COLUMN_MAX(T) COLUMN_SUM(T, (y[k] = EXP_BELOW(a[k] - top[j]))) \
                        TG_EACH(j, 0, width, sum[j] = 1 / sum[j]) COLUMN_VALUES(y[k] * sum[j]))
#define LOG_SOFTMAX_COLUMNS(fn, TARGET, BUILD, T)                         \
    COLUMN_FUNCTION(fn, TARGET, BUILD, T,                                 \
                    COLUMN_MAX(T) COLUMN_SUM(T, EXP_BELOW(a[k] - top[j])) \
                        TG_EACH(j, 0, width, sum[j] = LOG(sum[j]))        \
                            COLUMN_VALUES((a[k] - top[j]) - sum[j]))
#define SOFTMAX_GRAD_COLUMNS(fn, TARGET, BUILD, T) \
    COLUMN_FUNCTION(fn, TARGET, BUILD, T,          \
                    COLUMN_SUM(T, a[k] * b[k]) COLUMN_VALUES(a[k] * (b[k] - sum[j])))
#define LOG_SOFTMAX_GRAD_COLUMNS(fn, TARGET, BUILD, T) \
    COLUMN_FUNCTION(fn, TARGET, BUILD, T,              \
                    COLUMN_SUM(T, b[k]) COLUMN_VALUES(b[k] - EXP_BELOW(a[k]) * sum[j]))

/* In a lean library one build of f32, too. */
#define COLUMN_KERNELS(name, DEFINE)                            \
    TG_EACH_BUILD_F64(DEFINE, name##_column_f32, float)         \
    TG_EACH_BUILD_F64(DEFINE, name##_column_f64, double)        \
    static const column_fn name##_columns[][TG_BUILD_COUNT] = { \
        [TG_F32] = TG_BUILDS_F64(name##_column_f32), [TG_F64] = TG_BUILDS_F64(name##_column_f64)};
COLUMN_KERNELS(softmax, SOFTMAX_COLUMNS)
COLUMN_KERNELS(log_softmax, LOG_SOFTMAX_COLUMNS)
COLUMN_KERNELS(softmax_grad, SOFTMAX_GRAD_COLUMNS)
COLUMN_KERNELS(log_softmax_grad, LOG_SOFTMAX_GRAD_COLUMNS)

/* A part is some columns of a slice, or those of several slices. */
static void run_columns(const tg_call *c, void *user, int64_t part)
{
    (void)c;
    const rows *r = user;
    const int64_t size = (int64_t)tg_dtype_size(r->dtype), blocks = r->count,
                  end = (part + 1) * r->count_of_part;
    for (int64_t k = part * r->count_of_part; k < end && k < blocks; k++) {
        const int64_t first = k % r->blocks * ABREAST, left = r->inner - first;
        const int64_t at = (k / r->blocks * r->n * r->inner + first) * size;
        r->column(r, left < ABREAST ? left : ABREAST, r->a + at, r->b + at, r->y + at);
    }
}

static void run_rows(const tg_call *c, const row_fn of[][TG_BUILD_COUNT],
                     const column_fn columns[][TG_BUILD_COUNT])
{
    const tg_shape shape = c->y->shape;
    const tg_dtype dtype = c->y->dtype;
    const int64_t elements = tg_shape_count(shape), axis = c->attrs[0];
    if (elements == 0) return;
    rows r = {.n = shape.dim[axis],
              .dtype = dtype,
              .row = of[dtype][c->build],
              .column = columns[dtype][c->build],
              .inner = 1};
    for (int k = (int)axis + 1; k < shape.ndim; k++) r.inner *= shape.dim[k];
    r.blocks = (r.inner + ABREAST - 1) / ABREAST;
    r.count = elements / (r.n * r.inner) * r.blocks;
    const int64_t many = 1 << 14, length = r.n * (r.inner < ABREAST ? r.inner : ABREAST);
    r.count_of_part = length < many ? many / length : 1;
    r.bytes = (size_t)r.n * tg_dtype_size(dtype);
    r.sum = tg_sum_of(dtype, c->build);
    r.a = c->x[0].data;
    r.b = c->x[c->n_in - 1].data;
    r.y = c->y->data;
    tg_parallel(c, (r.count + r.count_of_part - 1) / r.count_of_part,
                r.inner == 1 ? run_part : run_columns, &r);
}

static void softmax_kernel(const tg_call *c) { run_rows(c, softmax_rows, softmax_columns); }
static void log_softmax_kernel(const tg_call *c)
{
    run_rows(c, log_softmax_rows, log_softmax_columns);
}
static void softmax_grad_kernel(const tg_call *c)
{
    run_rows(c, softmax_grad_rows, softmax_grad_columns);
}
static void log_softmax_grad_kernel(const tg_call *c)
{
    run_rows(c, log_softmax_grad_rows, log_softmax_grad_columns);
}
/* carried so far */

/* ---------------------------------------------------------------- ops */

static bool rule(tg_rule *r)
{
    r->y = r->x[0];
    if (r->y.dtype == TG_F32 || r->y.dtype == TG_F64) return true;
    return tg_rule_fail(r, TG_EDTYPE, "not defined for %s", tg_dtype_name(r->y.dtype));
}

static void softmax_vjp(TG_VJP);
static void softmax_grad_vjp(TG_VJP);
static void log_softmax_vjp(TG_VJP);
static void log_softmax_grad_vjp(TG_VJP);
static const tg_op softmax = {.size = sizeof(tg_op),
                              .name = "softmax",
                              .n_in = 1,
                              .rule = rule,
                              .kernel = softmax_kernel,
                              .carried = TG_CARRIED("softmax softmax_kernel"),
                              .vjp = softmax_vjp};
static const tg_op softmax_grad = {.size = sizeof(tg_op),
                                   .name = "softmax_grad",
                                   .n_in = 2,
                                   .rule = rule,
                                   .kernel = softmax_grad_kernel,
                                   .carried = TG_CARRIED("softmax softmax_grad_kernel"),
                                   .vjp = softmax_grad_vjp};
static const tg_op log_softmax = {.size = sizeof(tg_op),
                                  .name = "log_softmax",
                                  .n_in = 1,
                                  .rule = rule,
                                  .kernel = log_softmax_kernel,
                                  .carried = TG_CARRIED("softmax log_softmax_kernel"),
                                  .vjp = log_softmax_vjp};
static const tg_op log_softmax_grad = {.size = sizeof(tg_op),
                                       .name = "log_softmax_grad",
                                       .n_in = 2,
                                       .rule = rule,
                                       .kernel = log_softmax_grad_kernel,
                                       .carried = TG_CARRIED("softmax log_softmax_grad_kernel"),
                                       .vjp = log_softmax_grad_vjp};

static tg_tensor *row_sum(tg_tape *t, const char *where, tg_tensor *x, const int64_t *axis)
{
    return tg_sum(t, x, TG_AXES((int)*axis), true);
}
static tg_tensor *of_two(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a, tg_tensor *b,
                         const int64_t *axis)
{
    return tg_apply(t, op, 2, ((tg_tensor *[]){a, b}), 1, axis);
}

static void softmax_vjp(TG_VJP) { gx[0] = of_two(t, where, &softmax_grad, y, gy, attrs); }
static void log_softmax_vjp(TG_VJP) { gx[0] = of_two(t, where, &log_softmax_grad, y, gy, attrs); }

/* of s (g - sum s g), s = x[0] and g = x[1] */
static void softmax_grad_vjp(TG_VJP)
{
    tg_tensor *s = x[0], *g = x[1];
    if (tg_wants(t, 0))
        gx[0] = tg_sub(t, tg_mul(t, gy, tg_sub(t, g, row_sum(t, where, tg_mul(t, s, g), attrs))),
                       tg_mul(t, g, row_sum(t, where, tg_mul(t, gy, s), attrs)));
    if (tg_wants(t, 1)) gx[1] = of_two(t, where, &softmax_grad, s, gy, attrs);
}

/* of g - e^l sum g, l = x[0] and g = x[1] */
static void log_softmax_grad_vjp(TG_VJP)
{
    tg_tensor *weighted = tg_mul(t, gy, tg_exp(t, x[0]));
    gx[0] = tg_neg(t, tg_mul(t, weighted, row_sum(t, where, x[1], attrs)));
    gx[1] = tg_sub(t, gy, row_sum(t, where, weighted, attrs));
}

static tg_tensor *along(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x, int axis)
{
    int k;
    if (!tg_ready(t, where, op->name, x)) return NULL;
    if (!tg_axis_find(t, where, op->name, tg_tensor_shape(x).ndim, axis, &k)) return NULL;
    return tg_apply(t, op, 1, &x, 1, ((const int64_t[]){k}));
}

tg_tensor *tg_softmax_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    return along(t, where, &softmax, x, axis);
}
tg_tensor *tg_log_softmax_at(tg_tape *t, const char *where, tg_tensor *x, int axis)
{
    return along(t, where, &log_softmax, x, axis);
}

KNOWN(softmax, "any", -1, ("y = e^x / sum of e^x"))
KNOWN(log_softmax, "any", -1, ("y = x - ln(sum of e^x)"))

#else

/* By definition, along axis k of x. */
static void along_axis(const tg_array *x, tg_array *y, int k, bool logarithm)
{
    const double *from = x->data;
    double *to = y->data;
    const int64_t n = x->shape.dim[k];
    int64_t inner = 1;
    for (int d = k + 1; d < x->shape.ndim; d++) inner *= x->shape.dim[d];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        const int64_t row = i / (n * inner) * n * inner + i % inner;
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += exp(from[row + j * inner]);
        to[i] = logarithm ? from[i] - log(sum) : exp(from[i]) / sum;
    }
}

#define ROWS(...) REALS(-3, 3, __VA_ARGS__)
#define ALONG(name, logarithm)                                    \
    CALL(name##_first, tg_##name(t, x[0], 0))                     \
    EXPECT(name##_first, along_axis(x, y, 0, logarithm))          \
    CALL(name##_middle, tg_##name(t, x[0], 1))                    \
    EXPECT(name##_middle, along_axis(x, y, 1, logarithm))         \
    CALL(name##_last, tg_##name(t, x[0], -1))                     \
    EXPECT(name##_last, along_axis(x, y, 1, logarithm))           \
    SAMPLES(name, SAMPLE(name##_last, "rows", 0, ROWS(3, 5)),     \
            SAMPLE(name##_last, "long rows", 0, ROWS(2, 1030)),   \
            SAMPLE(name##_last, "rows of one", 0, ROWS(4, 1)),    \
            SAMPLE(name##_last, "no rows", 0, ROWS(0, 3)),        \
            SAMPLE(name##_last, "empty rows", 0, ROWS(3, 0)),     \
            SAMPLE(name##_first, "columns", 0, ROWS(65, 3)),      \
            SAMPLE(name##_first, "many columns", 0, ROWS(3, 33)), \
            SAMPLE(name##_first, "a vector", 0, ROWS(7)),         \
            SAMPLE(name##_middle, "the middle axis", 0, ROWS(2, 5, 3)))
ALONG(softmax, false)
ALONG(log_softmax, true)

#endif
