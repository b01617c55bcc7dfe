/* cross_entropy and nll. For class indices a row's loss is sum_j q_j (L - x_j), L = ln sum_j e^x_j,
 * with q_j = (1 - s) w_t [j = t] + (s / c) w_j for label t, class weights w and smoothing s; q = 0
 * on an ignored row. The gradient in x_j is Q softmax(x)_j - q_j with Q = sum_j q_j. */
#include "loss.h"
#include "rows.h"

#ifndef TG_SAMPLES

/* carried: cross_entropy, on rows staircase */
enum { MOST = TG_FOLD_MOST, SHORT = 64 };

/* A matrix of logits and what goes with it; operands that an op lacks are NULL. */
typedef struct table {
    const tg_call *call;
    int64_t rows, classes, rows_of_part;
    const void *x;         /* [rows, classes] */
    const void *statistic; /* [rows, 2]: a row's maximum, and its sum of e^(x - maximum) */
    const int64_t *label;
    int64_t ignored;
    const void *weight; /* [classes], or NULL for ones */
    double smoothing;
    const void *gy;
    void *y;
    tg_fold_fn sum;
} table;

typedef void (*rows_fn)(const table *r, tg_staircase *stairs, int64_t first, int64_t end);

/* Whether the row counts: its label is a class, not the ignored index. */
static bool kept(const table *r, int64_t row)
{
    const int64_t label = r->label[row];
    if (label == r->ignored && r->ignored != TG_NO_INDEX) return false;
    if (label >= 0 && label < r->classes) return true;
    tg_call_fail(r->call, row, TG_EINDEX, "row %lld: label %lld is not in 0..%lld", (long long)row,
                 (long long)label, (long long)r->classes - 1);
    return false;
}

/* The sum of term(j) over a row's classes, in the order of tg_sum, term[] filled chunk by chunk. */
#define ROW_SUM(T, result, fill)                                     \
    do {                                                             \
        T part;                                                      \
        if (c > MOST) tg_staircase_start(stairs, r->sum, sizeof(T)); \
        for (int64_t from = 0; from < c; from += MOST) {             \
            const int64_t m = c - from < MOST ? c - from : MOST;     \
            fill;                                                    \
            r->sum(m, term, c > MOST ? &part : &result);             \
            if (c > MOST) tg_staircase_add(stairs, &part);           \
        }                                                            \
        if (c > MOST) tg_staircase_end(stairs, &result);             \
    } while (0)

TG_EACH_BUILD(TG_ROW_FOLDS, statistics_f32, float)
TG_EACH_BUILD_F64(TG_ROW_FOLDS, statistics_f64, double)

/* Short rows share one call of the vectorised e^x: as many as fit 1024 elements. Of a long row each
 * chunk is read once from afar: its terms are relative to the maximum so far, and when that rises,
 * the sum follows. The chunks' sums are added in double, which leaves f32 nothing to lose. While
 * all is -inf, the terms are relative to 0 and vanish; a row that ends so has the loss -inf -
 * -inf. */
#define STATISTICS(fn, TARGET, BUILD, T)                                                    \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end) \
    {                                                                                       \
        enum { build = BUILD };                                                             \
        const int64_t c = r->classes, group = c < SHORT ? MOST / c : 1;                     \
        T term[MOST];                                                                       \
        (void)stairs;                                                                       \
        for (int64_t row = first; row < end; row += group) {                                \
            const T *x = (const T *)r->x + row * c;                                         \
            T *y = (T *)r->y + 2 * row;                                                     \
            if (group == 1) {                                                               \
                T top = fn##_max(c < MOST ? c : MOST, x);                                   \
                double sum = (double)fn##_sum(c < MOST ? c : MOST, x, SHIFT(top));          \
                for (int64_t from = MOST; from < c; from += MOST) {                         \
                    const int64_t m = c - from < MOST ? c - from : MOST;                    \
                    const T peak = fn##_max(m, x + from);                                   \
                    if (peak > top) {                                                       \
                        sum *= exp((double)top - (double)peak);                             \
                        top = peak;                                                         \
                    }                                                                       \
                    sum += (double)fn##_sum(m, x + from, SHIFT(top));                       \
                }                                                                           \
                y[0] = top;                                                                 \
                y[1] = (T)sum;                                                              \
                continue;                                                                   \
            }                                                                               \
            const int64_t n = end - row < group ? end - row : group;                        \
            for (int64_t k = 0; k < n; k++) {                                               \
                const T top = y[2 * k] = fn##_max(c, x + k * c);                            \
                TG_EACH(j, 0, c, term[k * c + j] = x[k * c + j] - top)                      \
            }                                                                               \
            TG_EACH(j, 0, n *c, term[j] = EXP_BELOW(term[j]))                               \
            for (int64_t k = 0; k < n; k++) r->sum(c, term + k * c, &y[2 * k + 1]);         \
        }                                                                                   \
    }
#define SHIFT(top) ((top) > -INFINITY ? (top) : 0)

#define LOSSES(fn, TARGET, BUILD, T)                                                             \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end)      \
    {                                                                                            \
        enum { build = BUILD };                                                                  \
        const int64_t c = r->classes;                                                            \
        const T *weight = (const T *)r->weight, s = (T)r->smoothing;                             \
        T term[MOST];                                                                            \
        for (int64_t row = first; row < end; row++) {                                            \
            const T *x = (const T *)r->x + row * c,                                              \
                    *statistic = (const T *)r->statistic + 2 * row;                              \
            T *y = (T *)r->y + row;                                                              \
            *y = 0;                                                                              \
            if (!kept(r, row)) continue;                                                         \
            const int64_t t = r->label[row];                                                     \
            const T top = statistic[0], log_sum = LOG(statistic[1]);                             \
            T loss = log_sum - (x[t] - top);                                                     \
            if (weight) loss *= weight[t];                                                       \
            if (s > 0) {                                                                         \
                T all;                                                                           \
                if (weight)                                                                      \
                    ROW_SUM(                                                                     \
                        T, all,                                                                  \
                        TG_EACH(j, 0, m,                                                         \
                                term[j] = weight[from + j] * (log_sum - (x[from + j] - top))));  \
                else ROW_SUM(T, all, TG_EACH(j, 0, m, term[j] = log_sum - (x[from + j] - top))); \
                loss = (1 - s) * loss + s / (T)c * all;                                          \
            }                                                                                    \
            *y = loss;                                                                           \
        }                                                                                        \
    }

/* gy (Q e^(x - maximum) / sum - q) */
#define GRADIENTS(fn, TARGET, BUILD, T)                                                      \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end)  \
    {                                                                                        \
        enum { build = BUILD };                                                              \
        const int64_t c = r->classes, group = c < SHORT ? MOST / c : 1;                      \
        const T *weight = (const T *)r->weight, s = (T)r->smoothing, *gy = (const T *)r->gy; \
        T term[MOST], mass = (T)c;                                                           \
        if (weight && s > 0) ROW_SUM(T, mass, TG_EACH(j, 0, m, term[j] = weight[from + j])); \
        for (int64_t row = first; row < end; row += group) {                                 \
            const T *x = (const T *)r->x + row * c,                                          \
                    *statistic = (const T *)r->statistic + 2 * row;                          \
            T *y = (T *)r->y + row * c;                                                      \
            const int64_t n = end - row < group ? end - row : group;                         \
            if (group > 1) {                                                                 \
                for (int64_t k = 0; k < n; k++) {                                            \
                    const T top = statistic[2 * k];                                          \
                    TG_EACH(j, k *c, (k + 1) * c, y[j] = x[j] - top)                         \
                }                                                                            \
                TG_EACH(j, 0, n *c, y[j] = EXP_BELOW(y[j]))                                  \
            }                                                                                \
            for (int64_t k = 0; k < n; k++) {                                                \
                T *z = y + k * c;                                                            \
                if (!kept(r, row + k)) {                                                     \
                    TG_EACH(j, 0, c, z[j] = 0)                                               \
                    continue;                                                                \
                }                                                                            \
                const int64_t t = r->label[row + k];                                         \
                const T g = gy[row + k], of_label = (weight ? weight[t] : 1) * (1 - s),      \
                        of_all = s / (T)c;                                                   \
                const T scale = g * (of_label + of_all * mass) / statistic[2 * k + 1];       \
                if (group > 1) TG_EACH(j, 0, c, z[j] *= scale)                               \
                else {                                                                       \
                    const T top = statistic[0];                                              \
                    TG_EACH(j, 0, c, z[j] = EXP_BELOW(x[j] - top) * scale)                   \
                }                                                                            \
                z[t] -= g * of_label;                                                        \
                if (s > 0 && weight) TG_EACH(j, 0, c, z[j] -= g * (of_all * weight[j]))      \
                else if (s > 0) TG_EACH(j, 0, c, z[j] -= g * of_all)                         \
            }                                                                                \
        }                                                                                    \
    }

/* Q of each row, for smoothing 0 the weight of its label. */
#define MASSES(fn, TARGET, BUILD, T)                                                         \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end)  \
    {                                                                                        \
        const int64_t c = r->classes;                                                        \
        const T *weight = (const T *)r->weight, s = (T)r->smoothing;                         \
        T *y = (T *)r->y, term[MOST], mass = (T)c;                                           \
        if (weight && s > 0) ROW_SUM(T, mass, TG_EACH(j, 0, m, term[j] = weight[from + j])); \
        for (int64_t row = first; row < end; row++)                                          \
            y[row] = kept(r, row)                                                            \
                         ? (weight ? weight[r->label[row]] : 1) * (1 - s) + s / (T)c * mass  \
                         : 0;                                                                \
    }

/* -w_t x_t, and its transpose */
#define PICKS(fn, TARGET, BUILD, T)                                                             \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end)     \
    {                                                                                           \
        const T *weight = (const T *)r->weight, *x = (const T *)r->x;                           \
        (void)stairs;                                                                           \
        for (int64_t row = first; row < end; row++) {                                           \
            const int64_t t = kept(r, row) ? r->label[row] : -1;                                \
            ((T *)r->y)[row] = t < 0 ? 0 : -(weight ? weight[t] : 1) * x[row * r->classes + t]; \
        }                                                                                       \
    }
#define PLACES(fn, TARGET, BUILD, T)                                                              \
    TARGET static void fn(const table *r, tg_staircase *stairs, int64_t first, int64_t end)       \
    {                                                                                             \
        const int64_t c = r->classes;                                                             \
        const T *weight = (const T *)r->weight, *gy = (const T *)r->gy;                           \
        (void)stairs;                                                                             \
        for (int64_t row = first; row < end; row++) {                                             \
            T *y = (T *)r->y + row * c;                                                           \
            TG_EACH(j, 0, c, y[j] = 0)                                                            \
            if (kept(r, row)) y[r->label[row]] = -(weight ? weight[r->label[row]] : 1) * gy[row]; \
        }                                                                                         \
    }

#define KERNELS(name, DEFINE)                              \
    TG_EACH_BUILD(DEFINE, name##_f32, float)               \
    TG_EACH_BUILD_F64(DEFINE, name##_f64, double)          \
    static const rows_fn name##_rows[][TG_BUILD_COUNT] = { \
        [TG_F32] = TG_BUILDS(name##_f32), [TG_F64] = TG_BUILDS_F64(name##_f64)};
KERNELS(statistics, STATISTICS)
KERNELS(losses, LOSSES)
KERNELS(gradients, GRADIENTS)
KERNELS(masses, MASSES)
KERNELS(picks, PICKS)
KERNELS(places, PLACES)

typedef struct job {
    table r;
    rows_fn run;
} job;

static void run_part(const tg_call *c, void *user, int64_t part)
{
    const job *j = user;
    const table *r = &j->r;
    tg_staircase stairs;
    (void)c;
    const int64_t first = part * r->rows_of_part,
                  end = first + r->rows_of_part < r->rows ? first + r->rows_of_part : r->rows;
    j->run(r, &stairs, first, end);
}

/* The operands of every kernel here: x [rows, classes] or NULL, label [rows] and weight, a 0-dim
 * one standing for ones. */
static void run(const tg_call *c, const rows_fn of[][TG_BUILD_COUNT], const tg_array *x,
                int64_t classes, const tg_array *label, const tg_array *weight,
                const tg_array *smoothing, const tg_array *statistic, const tg_array *gy)
{
    const tg_dtype dtype = c->y->dtype;
    job j = {.run = of[dtype][c->build]};
    table *r = &j.r;
    r->call = c;
    r->rows = c->y->shape.dim[0];
    r->classes = classes;
    r->x = x ? x->data : NULL;
    r->statistic = statistic ? statistic->data : NULL;
    r->label = label ? label->data : NULL;
    r->ignored = c->n_attrs > 0 ? c->attrs[0] : TG_NO_INDEX;
    r->weight = weight && weight->shape.ndim == 1 ? weight->data : NULL;
    if (smoothing)
        r->smoothing = dtype == TG_F32 ? (double)*(const float *)smoothing->data
                                       : *(const double *)smoothing->data;
    r->gy = gy ? gy->data : NULL;
    r->y = c->y->data;
    r->sum = tg_sum_of(dtype, c->build);
    r->rows_of_part = classes < 1 << 14 ? (1 << 14) / (classes > 0 ? classes : 1) : 1;
    if (r->rows > 0)
        tg_parallel(c, (r->rows + r->rows_of_part - 1) / r->rows_of_part, run_part, &j);
}

static void statistics_kernel(const tg_call *c)
{
    run(c, statistics_rows, c->x, c->x->shape.dim[1], NULL, NULL, NULL, NULL, NULL);
}
static void losses_kernel(const tg_call *c)
{
    run(c, losses_rows, c->x, c->x->shape.dim[1], c->x + 1, c->x + 2, c->x + 3, c->x + 4, NULL);
}
static void gradients_kernel(const tg_call *c)
{
    run(c, gradients_rows, c->x, c->x->shape.dim[1], c->x + 1, c->x + 2, c->x + 3, c->x + 4,
        c->x + 5);
}
static void masses_kernel(const tg_call *c)
{
    run(c, masses_rows, NULL, c->attrs[1], c->x, c->x + 1, c->x + 2, NULL, NULL);
}
static void picks_kernel(const tg_call *c)
{
    run(c, picks_rows, c->x, c->x->shape.dim[1], c->x + 1, c->x + 2, NULL, NULL, NULL);
}
static void places_kernel(const tg_call *c)
{
    run(c, places_rows, NULL, c->attrs[1], c->x + 1, c->x + 2, NULL, NULL, c->x);
}
/* carried so far */

/* --------------------------------- ops: private ones, on what the public functions have checked */

static bool rule_of(tg_rule *r, tg_dtype dtype, tg_shape shape)
{
    r->y = (tg_type){dtype, shape};
    return shape.ndim >= 0 || tg_rule_fail(r, TG_ESHAPE, "too many elements");
}

static bool statistics_rule(tg_rule *r)
{
    return rule_of(r, r->x[0].dtype, TG_SHAPE(r->x[0].shape.dim[0], 2));
}
static bool rows_rule(tg_rule *r)
{
    return rule_of(r, r->x[0].dtype, TG_SHAPE(r->x[0].shape.dim[0]));
}
static bool table_rule(tg_rule *r) { return rule_of(r, r->x[0].dtype, r->x[0].shape); }
static bool masses_rule(tg_rule *r) { return rule_of(r, r->x[1].dtype, r->x[0].shape); }
static bool places_rule(tg_rule *r)
{
    return rule_of(r, r->x[0].dtype, TG_SHAPE(r->x[0].shape.dim[0], r->attrs[1]));
}

static void losses_vjp(TG_VJP);
static void gradients_vjp(TG_VJP);
static void picks_vjp(TG_VJP);
static void places_vjp(TG_VJP);

#define OP(identifier, text, operands, rule_function, kernel_function, ...)                    \
    static const tg_op identifier = {.size = sizeof(tg_op),                                    \
                                     .name = text,                                             \
                                     .n_in = operands,                                         \
                                     .rule = rule_function,                                    \
                                     .kernel = kernel_function,                                \
                                     .carried = TG_CARRIED("cross_entropy " #kernel_function), \
                                     __VA_ARGS__};
OP(statistics, "cross_entropy_statistics", 1, statistics_rule, statistics_kernel, .vjp = NULL)
OP(losses, "cross_entropy_loss", 5, rows_rule, losses_kernel, .vjp = losses_vjp)
OP(gradients, "cross_entropy_grad", 6, table_rule, gradients_kernel, .vjp = gradients_vjp)
OP(cross_entropy_masses, "cross_entropy_loss", 3, masses_rule, masses_kernel, .vjp = NULL)
OP(nll_masses, "nll_loss", 3, masses_rule, masses_kernel, .vjp = NULL)
OP(picks, "nll_loss", 3, rows_rule, picks_kernel, .vjp = picks_vjp)
OP(places, "nll_grad", 3, places_rule, places_kernel, .vjp = places_vjp)

/* The statistics are a function of x; they reach the other ops detached, so that a row's derivative
 * is formed in one pass, by the ops that know the whole of it. */
static void losses_vjp(TG_VJP)
{
    gx[0] = tg_apply_at(t, TG_HERE, &gradients, 6,
                        (tg_tensor *[]){x[0], x[1], x[2], x[3], x[4], gy}, 1, attrs);
}

static tg_tensor *row_sums(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_sum(t, x, TG_AXES(-1), true);
}

/* of g_i (Q_i p_ij - q_ij), p = softmax(x) */
static void gradients_vjp(TG_VJP)
{
    tg_tensor *g = x[5], *ones = tg_expand(t, tg_constant_like(t, g, 1), tg_tensor_shape(g));
    tg_tensor *of_ones = tg_apply_at(t, TG_HERE, &gradients, 6,
                                     (tg_tensor *[]){x[0], x[1], x[2], x[3], x[4], ones}, 1, attrs);
    gx[5] = tg_squeeze(t, row_sums(t, TG_HERE, tg_mul(t, gy, of_ones)), -1);
    const int64_t with_classes[] = {attrs[0], tg_tensor_shape(x[0]).dim[1]};
    tg_tensor *mass = tg_apply_at(t, TG_HERE, &cross_entropy_masses, 3,
                                  (tg_tensor *[]){x[1], x[2], x[3]}, 2, with_classes);
    /* an ignored row, of mass 0, may hold anything */
    tg_tensor *kept = tg_unsqueeze(t, tg_not_equal(t, mass, tg_constant_like(t, mass, 0)), -1);
    tg_tensor *p = tg_softmax(t, tg_where(t, kept, x[0], tg_constant_like(t, x[0], 0)), -1),
              *centred = tg_sub(t, gy, row_sums(t, TG_HERE, tg_mul(t, gy, p)));
    gx[0] = tg_mul(t, tg_mul(t, p, centred), tg_unsqueeze(t, tg_mul(t, g, mass), -1));
}

static void picks_vjp(TG_VJP)
{
    const int64_t with_classes[] = {attrs[0], tg_tensor_shape(x[0]).dim[1]};
    gx[0] = tg_apply_at(t, TG_HERE, &places, 3, (tg_tensor *[]){gy, x[1], x[2]}, 2, with_classes);
}

static void places_vjp(TG_VJP)
{
    gx[0] = tg_apply_at(t, TG_HERE, &picks, 3, (tg_tensor *[]){gy, x[1], x[2]}, 1, attrs);
}

/* ---------------------------------------------------------------- public functions */

static int class_axis(tg_shape x) { return x.ndim > 1; }

static tg_shape without_classes(tg_shape x)
{
    int64_t dim[TG_MAX_DIMS];
    int n = 0;
    for (int d = 0; d < x.ndim; d++)
        if (d != class_axis(x)) dim[n++] = x.dim[d];
    return tg_shape_of(n, dim);
}

/* The class axis moved to the end, the others joined to one. */
static tg_tensor *as_table(tg_tape *t, const char *where, tg_tensor *x)
{
    const tg_shape shape = tg_tensor_shape(x);
    if (shape.ndim == 2) return x;
    const int64_t classes = shape.dim[class_axis(shape)],
                  rows = tg_shape_count(without_classes(shape));
    if (shape.ndim > 2) {
        tg_axes order = {.n = shape.ndim, .axis = {0}};
        for (int d = 1; d < shape.ndim - 1; d++) order.axis[d] = d + 1;
        order.axis[shape.ndim - 1] = 1;
        x = tg_permute(t, x, order);
    }
    return tg_reshape(t, x, TG_SHAPE(rows, classes));
}

/* Checks what both losses want, a target of class indices aside. */
static bool fits(tg_tape *t, const char *where, const char *name, tg_tensor *x, tg_tensor *target,
                 tg_tensor *weights)
{
    if (!tg_ready(t, TG_HERE, name, x) || !tg_ready(t, TG_HERE, name, target) ||
        (weights && !tg_ready(t, TG_HERE, name, weights)))
        return false;
    if (tg_dtype_on(t, x) == TG_I64 && tg_dtype_on(t, target) != TG_I64)
        tg_fail_at(t, TG_HERE, TG_EDTYPE,
                   "%s: the prediction %s is i64 and the target %s is %s: are they exchanged?",
                   name, tg_shape_text(tg_tensor_shape(x)).text,
                   tg_shape_text(tg_tensor_shape(target)).text,
                   tg_dtype_name(tg_dtype_on(t, target)));
    if (!tg_ready_float(t, TG_HERE, name, x)) return false;
    const tg_shape shape = tg_tensor_shape(x), w = tg_tensor_shape(weights);
    if (shape.ndim < 1 || shape.dim[class_axis(shape)] == 0)
        tg_fail_at(t, TG_HERE, TG_ESHAPE, "%s: %s has no classes", name, tg_shape_text(shape).text);
    else if (weights && (w.ndim != 1 || w.dim[0] != shape.dim[class_axis(shape)]))
        tg_fail_at(t, TG_HERE, TG_ESHAPE, "%s: class weights %s for %lld classes", name,
                   tg_shape_text(w).text, (long long)shape.dim[class_axis(shape)]);
    else if (weights && tg_dtype_on(t, weights) != tg_dtype_on(t, x))
        tg_fail_at(t, TG_HERE, TG_EDTYPE, "%s: class weights are %s but the prediction is %s", name,
                   tg_dtype_name(tg_dtype_on(t, weights)), tg_dtype_name(tg_dtype_on(t, x)));
    return tg_tape_status(t) == TG_OK;
}

static bool labels_fit(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                       tg_tensor *target)
{
    const tg_shape given = tg_tensor_shape(x), shape = tg_tensor_shape(target),
                   wanted = without_classes(given);
    const bool classes_last = given.ndim > 2 && shape.ndim == given.ndim - 1 &&
                              tg_shape_equal(shape, tg_shape_of(shape.ndim, given.dim));
    if (tg_dtype_on(t, target) != TG_I64)
        tg_fail_at(t, TG_HERE, TG_EDTYPE, "%s: a target of classes is i64, not %s", name,
                   tg_dtype_name(tg_dtype_on(t, target)));
    else if (!tg_shape_equal(wanted, shape) && classes_last)
        tg_fail_at(t, TG_HERE, TG_ESHAPE,
                   "%s: the classes of a prediction stand on axis 1, but a target %s goes with "
                   "classes on the last axis of %s: tg_transpose(t, x, 1, -1) for 3 dimensions, "
                   "else tg_permute",
                   name, tg_shape_text(shape).text, tg_shape_text(given).text);
    else if (!tg_shape_equal(wanted, shape))
        tg_fail_at(t, TG_HERE, TG_ESHAPE, "%s: prediction %s wants a target %s, not %s", name,
                   tg_shape_text(tg_tensor_shape(x)).text, tg_shape_text(wanted).text,
                   tg_shape_text(shape).text);
    return tg_tape_status(t) == TG_OK;
}

/* The reduction of row losses y [rows]; the mean divides by the weights of the kept rows. */
static tg_tensor *finish(tg_tape *t, const char *where, const tg_op *masses, tg_tensor *y,
                         tg_tensor *target, tg_tensor *labels, tg_tensor *weights, int64_t ignored,
                         int64_t classes, tg_reduction reduction)
{
    if (reduction == TG_REDUCE_NONE) return tg_reshape(t, y, tg_tensor_shape(target));
    if (reduction != TG_REDUCE_MEAN ||
        (ignored == TG_NO_INDEX && tg_tensor_shape(weights).ndim == 0))
        return tg_loss_reduce(t, TG_HERE, masses->name, y, reduction);
    tg_tensor *mass = tg_apply_at(t, TG_HERE, masses, 3,
                                  (tg_tensor *[]){labels, weights, tg_constant_like(t, weights, 0)},
                                  2, (int64_t[]){ignored, classes});
    /* Of no rows the mean is NaN, but nothing divides by 0 on the way to a derivative. */
    tg_tensor *sum = tg_sum(t, mass, TG_ALL_AXES, false);
    tg_tensor *some = tg_not_equal(t, sum, tg_constant_like(t, sum, 0));
    tg_tensor *mean = tg_div(t, tg_sum(t, y, TG_ALL_AXES, false), tg_safe_where(t, some, sum, 1));
    return tg_where(t, some, mean, tg_constant_like(t, mean, NAN));
}

static tg_tensor *of_classes(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                             tg_tensor *weights, int64_t ignored, double smoothing,
                             tg_reduction reduction)
{
    if (!labels_fit(t, TG_HERE, losses.name, x, target)) return NULL;
    tg_tensor *flat = as_table(t, TG_HERE, x),
              *labels = tg_reshape(t, target, TG_SHAPE(tg_tensor_count(target)));
    tg_tensor *statistic = tg_detach(t, tg_apply_1(t, TG_HERE, &statistics, flat)),
              *w = weights ? weights : tg_constant_like(t, x, 1);
    tg_tensor *operands[] = {flat, labels, w, tg_constant_like(t, x, smoothing), statistic};
    tg_tensor *y = tg_apply_at(t, TG_HERE, &losses, 5, operands, 1, &ignored);
    return finish(t, TG_HERE, &cross_entropy_masses, y, target, labels, w, ignored,
                  tg_tensor_shape(flat).dim[1], reduction);
}

static tg_tensor *of_probabilities(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                   tg_tensor *weights, double smoothing, tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, losses.name, x, target)) return NULL;
    const tg_shape shape = tg_tensor_shape(x);
    const int axis = class_axis(shape);
    tg_tensor *q =
        tg_offset(t, tg_scale(t, target, 1 - smoothing), smoothing / (double)shape.dim[axis]);
    if (weights) {
        tg_shape along = {.ndim = shape.ndim - axis, .dim = {shape.dim[axis]}};
        for (int d = 1; d < along.ndim; d++) along.dim[d] = 1;
        q = tg_mul(t, q, tg_reshape(t, weights, along));
    }
    tg_tensor *y =
        tg_neg(t, tg_sum(t, tg_mul(t, q, tg_log_softmax(t, x, axis)), TG_AXES(axis), false));
    return tg_loss_reduce(t, TG_HERE, losses.name, y, reduction);
}

tg_tensor *tg_cross_entropy_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                    tg_tensor *class_weights, int64_t ignore_index,
                                    double label_smoothing, tg_reduction reduction)
{
    if (!fits(t, TG_HERE, losses.name, x, target, class_weights)) return NULL;
    if (!(label_smoothing >= 0 && label_smoothing <= 1))
        return tg_fail_at(t, TG_HERE, TG_EVALUE, "%s: label_smoothing = %g is outside [0, 1]",
                          losses.name, label_smoothing);
    if (tg_dtype_on(t, target) == TG_I64)
        return of_classes(t, TG_HERE, x, target, class_weights, ignore_index, label_smoothing,
                          reduction);
    const tg_shape shape = tg_tensor_shape(x);
    if (tg_tensor_shape(target).ndim == shape.ndim - 1 && shape.dim[class_axis(shape)] > 1)
        return tg_fail_at(t, TG_HERE, TG_EDTYPE,
                          "%s: labels must be i64 class numbers, or probabilities of the logits' "
                          "shape %s, not %s %s",
                          losses.name, tg_shape_text(shape).text,
                          tg_dtype_name(tg_dtype_on(t, target)),
                          tg_shape_text(tg_tensor_shape(target)).text);
    if (ignore_index != TG_NO_INDEX)
        return tg_fail_at(t, TG_HERE, TG_EVALUE, "%s: probabilities have no ignored index",
                          losses.name);
    return of_probabilities(t, TG_HERE, x, target, class_weights, label_smoothing, reduction);
}

tg_tensor *tg_cross_entropy_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target)
{
    return tg_cross_entropy_loss(t, x, target, NULL, TG_NO_INDEX, 0, TG_REDUCE_MEAN);
}

tg_tensor *tg_nll_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                          tg_tensor *class_weights, int64_t ignore_index, tg_reduction reduction)
{
    if (!fits(t, TG_HERE, picks.name, x, target, class_weights) ||
        !labels_fit(t, TG_HERE, picks.name, x, target))
        return NULL;
    tg_tensor *flat = as_table(t, TG_HERE, x),
              *labels = tg_reshape(t, target, TG_SHAPE(tg_tensor_count(target)));
    tg_tensor *w = class_weights ? class_weights : tg_constant_like(t, x, 1);
    tg_tensor *y =
        tg_apply_at(t, TG_HERE, &picks, 3, (tg_tensor *[]){flat, labels, w}, 1, &ignore_index);
    return finish(t, TG_HERE, &nll_masses, y, target, labels, w, ignore_index,
                  tg_tensor_shape(flat).dim[1], reduction);
}

KNOWN(cross_entropy, "[n, c, ...], classes [n, ...] or probabilities -> []", -1,
      ("mean of -ln softmax(x)[target]"))
KNOWN(cross_entropy_loss, "[n, c, ...], classes [n, ...] or probabilities -> [] or [n, ...]", -1,
      ("-sum over j of w_j q_j ln softmax(x)_j"))
KNOWN(nll_loss, "[n, c, ...], classes [n, ...] -> [] or [n, ...]", -1, ("-w[target] x[target]"))

#else

/* A reference that forms every q_j. */

enum { IGNORED = 2 };

/* The class weights of the samples: made here, since a loss of classes has no derivative in
 * them. */
static double weight_of(int64_t j) { return 0.5 + 0.25 * (double)(j % 7); }

static tg_tensor *weights_for(tg_tape *t, tg_tensor *x)
{
    double w[1100];
    const int64_t c = tg_tensor_shape(x).dim[1];
    for (int64_t j = 0; j < c; j++) w[j] = weight_of(j);
    return tg_cast(t, tg_input(t, TG_F64, TG_SHAPE(c), w), tg_dtype_on(t, x));
}

/* x [n, c, ...], labels [n, ...] or probabilities, weighted or not. logs: x are logarithms already.
 * Out: row losses, their sum, their mean. */
static void reference(const tg_array *x, const tg_array *target, bool w, bool ignoring, double s,
                      bool logs, tg_reduction reduction, tg_array *y)
{
    const int axis = x->shape.ndim > 1;
    const int64_t c = x->shape.dim[axis], rows = tg_shape_count(x->shape) / c;
    const bool labels = target->shape.ndim < x->shape.ndim;
    int64_t inner = 1;
    for (int d = axis + 1; d < x->shape.ndim; d++) inner *= x->shape.dim[d];
    double sum = 0, divisor = 0, *out = y->data;
    for (int64_t row = 0; row < rows; row++) {
        const double *z = (const double *)x->data + row / inner * inner * c + row % inner;
        const double *p =
            (const double *)target->data + (labels ? row : z - (const double *)x->data);
        double exponentials = 0, loss = 0;
        for (int64_t j = 0; j < c; j++) exponentials += exp(z[j * inner]);
        const double log_sum = logs ? 0 : log(exponentials);
        const bool counts = !(labels && ignoring && (int64_t)*p == IGNORED);
        for (int64_t j = 0; counts && j < c; j++) {
            const double q = labels ? (double)((int64_t)*p == j) : p[j * inner];
            loss +=
                (w ? weight_of(j) : 1) * ((1 - s) * q + s / (double)c) * (log_sum - z[j * inner]);
        }
        sum += loss;
        if (counts) divisor += labels && w ? weight_of((int64_t)*p) : 1;
        if (reduction == TG_REDUCE_NONE) out[row] = loss;
    }
    if (reduction == TG_REDUCE_SUM) out[0] = sum;
    if (reduction == TG_REDUCE_MEAN) out[0] = sum / divisor;
}

#define LOSS(w, ignored, s, reduction) \
    tg_cross_entropy_loss(t, x[0], x[1], w, ignored, s, reduction)
#define NLL(w, ignored, reduction) tg_nll_loss(t, x[0], x[1], w, ignored, reduction)
#define ROWS(...) REALS(-3, 3, __VA_ARGS__)
#define LOGARITHMS(...) REALS(-3, 0, __VA_ARGS__)
#define LABELS(most, ...) INTEGERS(0, most, __VA_ARGS__)
#define SHARES(...) REALS(0, 0.5, __VA_ARGS__)

CALL(plain, tg_cross_entropy(t, x[0], x[1]))
EXPECT(plain, reference(x, x + 1, false, false, 0, false, TG_REDUCE_MEAN, y))
SAMPLES(cross_entropy, SAMPLE(plain, "classes", 0, ROWS(9, 5), LABELS(4, 9)),
        SAMPLE(plain, "one row", 0, ROWS(5), INTEGER(0, 4)),
        SAMPLE(plain, "long rows", 0, ROWS(2, 1030), LABELS(1029, 2)),
        SAMPLE(plain, "pixels", 0, ROWS(2, 3, 2, 2), LABELS(2, 2, 2, 2)))

CALL(sum, LOSS(NULL, TG_NO_INDEX, 0, TG_REDUCE_SUM))
EXPECT(sum, reference(x, x + 1, false, false, 0, false, TG_REDUCE_SUM, y))
CALL(none, LOSS(NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE))
EXPECT(none, reference(x, x + 1, false, false, 0, false, TG_REDUCE_NONE, y))
CALL(ignoring, LOSS(NULL, IGNORED, 0.1, TG_REDUCE_MEAN))
EXPECT(ignoring, reference(x, x + 1, false, true, 0.1, false, TG_REDUCE_MEAN, y))
CALL(smooth, LOSS(NULL, TG_NO_INDEX, 0.3, TG_REDUCE_NONE))
EXPECT(smooth, reference(x, x + 1, false, false, 0.3, false, TG_REDUCE_NONE, y))
CALL(weights, LOSS(weights_for(t, x[0]), IGNORED, 0.2, TG_REDUCE_MEAN))
EXPECT(weights, reference(x, x + 1, true, true, 0.2, false, TG_REDUCE_MEAN, y))
CALL(mixed, LOSS(NULL, TG_NO_INDEX, 0.2, TG_REDUCE_MEAN))
EXPECT(mixed, reference(x, x + 1, false, false, 0.2, false, TG_REDUCE_MEAN, y))
CALL(mixed_weights, LOSS(weights_for(t, x[0]), TG_NO_INDEX, 0, TG_REDUCE_NONE))
EXPECT(mixed_weights, reference(x, x + 1, true, false, 0, false, TG_REDUCE_NONE, y))
SAMPLES(cross_entropy_loss, SAMPLE(sum, "sum", 0, ROWS(300, 10), LABELS(9, 300)),
        SAMPLE(none, "none", 0, ROWS(3, 4, 2), LABELS(3, 3, 2)),
        SAMPLE(ignoring, "ignore_index, smoothing", 0, ROWS(12, 4), LABELS(3, 12)),
        SAMPLE(smooth, "smoothing, long rows", 0, ROWS(2, 1500), LABELS(1499, 2)),
        SAMPLE(weights, "class weights", 0, ROWS(12, 4), LABELS(3, 12)),
        SAMPLE(weights, "class weights, long rows", 0, ROWS(2, 1100), LABELS(1099, 2)),
        SAMPLE(mixed, "probabilities", 0, ROWS(6, 4), SHARES(6, 4)),
        SAMPLE(mixed_weights, "probabilities, class weights", 0, ROWS(3, 4, 2), SHARES(3, 4, 2)))

CALL(nll, NLL(NULL, TG_NO_INDEX, TG_REDUCE_MEAN))
EXPECT(nll, reference(x, x + 1, false, false, 0, true, TG_REDUCE_MEAN, y))
CALL(nll_none, NLL(NULL, IGNORED, TG_REDUCE_NONE))
EXPECT(nll_none, reference(x, x + 1, false, true, 0, true, TG_REDUCE_NONE, y))
CALL(nll_weights, NLL(weights_for(t, x[0]), IGNORED, TG_REDUCE_MEAN))
EXPECT(nll_weights, reference(x, x + 1, true, true, 0, true, TG_REDUCE_MEAN, y))
SAMPLES(nll_loss, SAMPLE(nll, "mean", 0, LOGARITHMS(9, 5), LABELS(4, 9)),
        SAMPLE(nll_none, "none, ignore_index", 0, LOGARITHMS(3, 4, 2), LABELS(3, 3, 2)),
        SAMPLE(nll_weights, "class weights", 0, LOGARITHMS(12, 4), LABELS(3, 12)))

#endif
