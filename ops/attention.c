/* Scaled dot-product attention y = softmax(s q k^T) v, s = d^(-1/2), without a matrix of scores:
 * blocks of queries meet tiles of keys, and a row's maximum and sum follow the tiles (Dao et al.
 * 2022). Scores lie transposed, [keys, queries], so that every step of the softmax is an
 * elementwise one over queries. The gradient recomputes the tiles. With p the softmax, dp = gy v^T
 * and ds = p (dp - sum of gy y over the row): gq = s ds k, gk = s ds^T q, gv = p^T gy. */
#include <math.h>

#include "folds.h"

#ifndef TG_SAMPLES

#include "attention_tiles.h"
#include "kernels/attention.h"

/* carried: attention */
#define FORWARD(fn, TARGET, BUILD, T)                                                             \
    TARGET static void forward_##fn(const tg_call *c, const problem *p, const block *b,           \
                                    int64_t unit)                                                 \
    {                                                                                             \
        const int64_t batch = unit / p->blocks, query = unit % p->blocks * QUERIES,               \
                      queries = lowest(QUERIES, p->n - query);                                    \
        const T *q = (const T *)c->x[0].data + offset_of(p, &p->q, batch) + query * p->q.row;     \
        const T *k = (const T *)c->x[1].data + offset_of(p, &p->k, batch),                        \
                *v = (const T *)c->x[2].data + offset_of(p, &p->v, batch);                        \
        const uint8_t *mask =                                                                     \
            p->masked ? (const uint8_t *)c->x[3].data + offset_of(p, &p->mask, batch) : NULL;     \
        T *y = (T *)c->y->data + (batch * p->n + query) * p->e, *sum = (T *)b->sum,               \
          *factor = (T *)b->factor;                                                               \
        const T *total = (const T *)b->total, *any = (const T *)b->any;                           \
        const int64_t seen = seen_##fn(p, query, queries);                                        \
        turn_##fn(q, &p->q, queries, p->d, (T)p->scale, p->queries, (T *)b->q_turned);            \
        for (int64_t first = 0; first < seen; first += KEYS) {                                    \
            const meeting a = {query, queries, first, lowest(KEYS, p->m - first), mask};          \
            pack_##fn(k + first * p->k.row, &p->k, a.count, p->d, 1, p->keys, p->key, (T *)b->k); \
            pack_##fn(v + first * p->v.row, &p->v, a.count, p->e, 1, p->keys, p->value,           \
                      (T *)b->v);                                                                 \
            const bool cleaned = clean_##fn(p, (T *)b->v, a.count * p->value);                    \
            scores_##fn(p, b, &a);                                                                \
            follow_##fn(p, b, first == 0);                                                        \
            for (int64_t i = 0; first > 0 && i < p->queries; i++) {                               \
                T *row = sum + i * p->value;                                                      \
                TG_EACH(j, 0, p->value, row[j] *= factor[i])                                      \
            }                                                                                     \
            product_##fn(p->queries, p->value, a.count, (const T *)b->score, 1, p->queries,       \
                         (const T *)b->v, p->value, sum, p->value, first > 0);                    \
            if (cleaned)                                                                          \
                restore_##fn(p, &a, true, v + first * p->v.row, &p->v, p->e, 1,                   \
                             (const T *)b->score, sum, p->value);                                 \
        }                                                                                         \
        for (int64_t i = 0; i < queries; i++) {                                                   \
            const T *row = sum + i * p->value, inverse = any[i] > 0 ? 1 / total[i] : 0;           \
            T *to = y + i * p->e;                                                                 \
            TG_EACH(j, 0, p->e, to[j] = row[j] * inverse)                                         \
        }                                                                                         \
    }

#define GRADIENT(fn, TARGET, BUILD, T)                                                             \
    /* sum of gy y over each row of the block */                                                   \
    TARGET static void levels_##fn(const problem *p, const T *y, const T *gy, int64_t queries,     \
                                   T *level)                                                       \
    {                                                                                              \
        enum { LANES = 16 };                                                                       \
        for (int64_t i = 0; i < p->queries; i++) {                                                 \
            T lane[LANES] = {0};                                                                   \
            const T *a = y + i * p->y.row, *b = gy + i * p->value;                                 \
            int64_t j = 0;                                                                         \
            for (; i < queries && p->y.column == 1 && j + LANES <= p->e; j += LANES)               \
                for (int l = 0; l < LANES; l++) lane[l] += a[j + l] * b[j + l];                    \
            for (; i < queries && j < p->e; j++) lane[j % LANES] += a[j * p->y.column] * b[j];     \
            for (int half = LANES / 2; half > 0; half /= 2)                                        \
                for (int l = 0; l < half; l++) lane[l] += lane[l + half];                          \
            level[i] = lane[0];                                                                    \
        }                                                                                          \
    }                                                                                              \
    TARGET static void add_##fn(const T *tile, int64_t ld, int64_t rows, int64_t columns, T *y)    \
    {                                                                                              \
        for (int64_t i = 0; i < rows; i++)                                                         \
            TG_EACH(j, 0, columns, y[i * columns + j] += tile[i * ld + j])                         \
    }                                                                                              \
    TARGET static void gradient_##fn(const tg_call *c, const problem *p, const block *b,           \
                                     int64_t batch)                                                \
    {                                                                                              \
        enum { build = BUILD };                                                                    \
        const T *q = (const T *)c->x[0].data + offset_of(p, &p->q, batch),                         \
                *k = (const T *)c->x[1].data + offset_of(p, &p->k, batch);                         \
        const T *v = (const T *)c->x[2].data + offset_of(p, &p->v, batch),                         \
                *y = (const T *)c->x[3].data + offset_of(p, &p->y, batch);                         \
        const T *gy = (const T *)c->x[4].data + offset_of(p, &p->gy, batch);                       \
        const uint8_t *mask =                                                                      \
            p->masked ? (const uint8_t *)c->x[5].data + offset_of(p, &p->mask, batch) : NULL;      \
        T *gq = (T *)c->y->data + batch * p->n * p->d,                                             \
          *gk = (T *)c->y->data + (p->batches * p->n + batch * p->m) * p->d;                       \
        T *gv = (T *)c->y->data + p->batches * (p->n + p->m) * p->d + batch * p->m * p->e;         \
        T *score = (T *)b->score, *slope = (T *)b->slope, *level = (T *)b->factor,                 \
          *tile = (T *)b->tile, *sum = (T *)b->sum;                                                \
        T *top = (T *)b->top, *total = (T *)b->total;                                              \
        const int64_t width = p->queries;                                                          \
        TG_EACH(i, 0, p->m * p->d, gk[i] = 0)                                                      \
        TG_EACH(i, 0, p->m * p->e, gv[i] = 0)                                                      \
        for (int64_t query = 0; query < p->n; query += QUERIES) {                                  \
            const int64_t queries = lowest(QUERIES, p->n - query),                                 \
                          seen = seen_##fn(p, query, queries);                                     \
            turn_##fn(q + query * p->q.row, &p->q, queries, p->d, (T)p->scale, width,              \
                      (T *)b->q_turned);                                                           \
            turn_##fn(gy + query * p->gy.row, &p->gy, queries, p->e, 1, width, (T *)b->gy_turned); \
            pack_##fn(q + query * p->q.row, &p->q, queries, p->d, (T)p->scale, width, p->key,      \
                      (T *)b->q);                                                                  \
            pack_##fn(gy + query * p->gy.row, &p->gy, queries, p->e, 1, width, p->value,           \
                      (T *)b->gy);                                                                 \
            for (int64_t first = 0; first < seen; first += KEYS) {                                 \
                const meeting a = {query, queries, first, lowest(KEYS, p->m - first), mask};       \
                pack_##fn(k + first * p->k.row, &p->k, a.count, p->d, 1, p->keys, p->key,          \
                          (T *)b->k);                                                              \
                scores_##fn(p, b, &a);                                                             \
                follow_##fn(p, b, first == 0);                                                     \
            }                                                                                      \
            TG_EACH(i, 0, width, total[i] = 1 / total[i];                                          \
                    top[i] = top[i] == -INFINITY ? 0 : top[i])                                     \
            levels_##fn(p, y + query * p->y.row, (const T *)b->gy, queries, level);                \
            const bool clean_q = clean_##fn(p, (T *)b->q, queries * p->key),                       \
                       clean_gy = clean_##fn(p, (T *)b->gy, queries * p->value);                   \
            for (int64_t first = 0; first < seen; first += KEYS) {                                 \
                const meeting a = {query, queries, first, lowest(KEYS, p->m - first), mask};       \
                pack_##fn(v + first * p->v.row, &p->v, a.count, p->e, 1, p->keys, p->value,        \
                          (T *)b->v);                                                              \
                if (seen > KEYS) {                                                                 \
                    pack_##fn(k + first * p->k.row, &p->k, a.count, p->d, 1, p->keys, p->key,      \
                              (T *)b->k);                                                          \
                    scores_##fn(p, b, &a);                                                         \
                    exponentials_##fn(p, score, top);                                              \
                }                                                                                  \
                product_##fn(p->keys, width, p->e, (const T *)b->v, p->value, 1,                   \
                             (const T *)b->gy_turned, width, slope, width, false);                 \
                for (int64_t j = 0; j < p->keys; j++) {                                            \
                    T *s = score + j * width, *z = slope + j * width;                              \
                    TG_EACH(i, 0, width, s[i] *= total[i]; z[i] = s[i] * (z[i] - level[i]))        \
                }                                                                                  \
                select_##fn(p, &a, score, slope);                                                  \
                product_##fn(p->keys, p->value, queries, score, width, 1, (const T *)b->gy,        \
                             p->value, tile, p->value, false);                                     \
                if (clean_gy)                                                                      \
                    restore_##fn(p, &a, false, gy + query * p->gy.row, &p->gy, p->e, 1, score,     \
                                 tile, p->value);                                                  \
                add_##fn(tile, p->value, a.count, p->e, gv + first * p->e);                        \
                product_##fn(p->keys, p->key, queries, slope, width, 1, (const T *)b->q, p->key,   \
                             tile, p->key, false);                                                 \
                if (clean_q)                                                                       \
                    restore_##fn(p, &a, false, q + query * p->q.row, &p->q, p->d, (T)p->scale,     \
                                 slope, tile, p->key);                                             \
                add_##fn(tile, p->key, a.count, p->d, gk + first * p->d);                          \
                const bool clean_k = clean_##fn(p, (T *)b->k, a.count * p->key);                   \
                product_##fn(width, p->key, a.count, slope, 1, width, (const T *)b->k, p->key,     \
                             sum, p->key, first > 0);                                              \
                if (clean_k)                                                                       \
                    restore_##fn(p, &a, true, k + first * p->k.row, &p->k, p->d, 1, slope, sum,    \
                                 p->key);                                                          \
            }                                                                                      \
            for (int64_t i = 0; i < queries; i++) {                                                \
                T *to = gq + (query + i) * p->d;                                                   \
                TG_EACH(j, 0, p->d, to[j] = sum[i * p->key + j] * (T)p->scale)                     \
            }                                                                                      \
        }                                                                                          \
    }

#define ALL(name, TARGET, BUILD, T)   \
    PRODUCT(name, TARGET, BUILD, T)   \
    PACK(name, TARGET, BUILD, T)      \
    SCORES(name, TARGET, BUILD, T)    \
    SELECTION(name, TARGET, BUILD, T) \
    FORWARD(name, TARGET, BUILD, T)   \
    GRADIENT(name, TARGET, BUILD, T)
TG_EACH_BUILD(ALL, tile_f32, float)
TG_EACH_BUILD_F64(ALL, tile_f64, double)

typedef void (*unit_fn)(const tg_call *c, const problem *p, const block *b, int64_t unit);
static const unit_fn forward_of[][TG_BUILD_COUNT] = {
    [TG_F32] = TG_BUILDS(forward_tile_f32), [TG_F64] = TG_BUILDS_F64(forward_tile_f64)};
static const unit_fn gradient_of[][TG_BUILD_COUNT] = {
    [TG_F32] = TG_BUILDS(gradient_tile_f32), [TG_F64] = TG_BUILDS_F64(gradient_tile_f64)};

/* carried so far */

/* ---------------------------------------------------------------- few queries and keys */

#if !defined(TG_LEAN)
static tg_attention_fn *const small_forward[][TG_BUILD_COUNT] =
    TG_KERNEL_TABLE(tg_attention_forward);
static tg_attention_fn *const small_gradient[][TG_BUILD_COUNT] =
    TG_KERNEL_TABLE(tg_attention_gradient);

/* Decided by the shape alone: strides depend on what is fused. */
static bool is_small(const problem *p)
{
    return p->n <= ATTENTION_MOST && p->m <= ATTENTION_MOST && p->d <= ATTENTION_WIDTH &&
           p->e <= ATTENTION_WIDTH && p->d > 0 && p->e > 0;
}

static tg_rows rows_of(const problem *p, const tg_array *x, const operand *o, int64_t batch)
{
    const int64_t at = offset_of(p, o, batch) * (int64_t)p->element;
    return (tg_rows){(const char *)x->data + at, o->row, o->column};
}

static tg_head head_of(const tg_call *c, const problem *p, bool gradient, int64_t group,
                       int64_t batch)
{
    tg_head h = {.n = p->n, .m = p->m, .d = p->d, .e = p->e};
    char *y = c->y->data;
    const int64_t of_q = p->n * p->d, of_k = p->m * p->d, of_v = p->m * p->e;
    h.scale = p->scale;
    h.causal = p->causal;
    h.q = rows_of(p, &c->x[0], &p->q, batch);
    h.k = rows_of(p, &c->x[1], &p->k, batch);
    h.v = rows_of(p, &c->x[2], &p->v, batch);
    if (gradient) h.gy = rows_of(p, &c->x[4], &p->gy, batch);
    if (p->masked)
        h.mask = (const uint8_t *)c->x[gradient ? 5 : 3].data + offset_of(p, &p->mask, batch);
    h.mask_row = p->mask.row;
    h.mask_column = p->mask.column;
    const int64_t element = (int64_t)p->element;
    h.y = y + batch * p->n * p->e * element;
    h.gq = y + batch * of_q * element;
    h.gk = y + (p->batches * of_q + batch * of_k) * element;
    h.gv = y + (p->batches * (of_q + of_k) + batch * of_v) * element;
    h.scratch = (char *)c->scratch + group * p->group_bytes + p->tiles_bytes;
    return h;
}

/* Whether the head is done. */
static bool small(const tg_call *c, const problem *p, bool gradient, int64_t group, int64_t batch)
{
    if (!is_small(p)) return false;
    const tg_head h = head_of(c, p, gradient, group, batch);
    return (gradient ? small_gradient : small_forward)[c->y->dtype][c->build](&h);
}
static int64_t small_scratch(const problem *p)
{
    return is_small(p)
               ? padded(tg_attention_scratch(p->n, p->m, p->d, p->e, (int64_t)p->element), 64)
               : 0;
}
#else
/* carried: attention */
static bool small(const tg_call *c, const problem *p, bool gradient, int64_t group, int64_t batch)
{
    return (void)c, (void)p, (void)gradient, (void)group, (void)batch, false;
}
static int64_t small_scratch(const problem *p) { return (void)p, 0; }
/* carried so far */
#endif

/* ---------------------------------------------------------------- running */

/* carried: attention */

static problem problem_of(const tg_call *c, bool gradient)
{
    const tg_shape q = c->x[0].shape, v = c->x[2].shape;
    const int dims = q.ndim;
    problem p = {.element = tg_dtype_size(c->y->dtype),
                 .batch_dims = dims - 2,
                 .batches = 1,
                 .causal = c->attrs[0] != 0};
    for (int d = 0; d < dims - 2; d++) {
        p.batch[d] = q.dim[d];
        p.batches *= q.dim[d];
    }
    p.n = q.dim[dims - 2];
    p.d = q.dim[dims - 1];
    p.m = v.dim[dims - 2];
    p.e = v.dim[dims - 1];
    p.scale = p.d > 0 ? 1 / sqrt((double)p.d) : 1;
    p.q = operand_of(&c->x[0]);
    p.k = operand_of(&c->x[1]);
    p.v = operand_of(&c->x[2]);
    if (gradient) {
        p.y = operand_of(&c->x[3]);
        p.gy = operand_of(&c->x[4]);
    }
    const int without_mask = gradient ? 5 : 3;
    p.masked = c->n_in > without_mask;
    if (p.masked) p.mask = operand_of(&c->x[without_mask]);
    const int64_t lanes = lanes_of(c->build, p.element), both = lanes > ROWS ? lanes : ROWS;
    p.queries = padded(lowest(p.n, QUERIES), both);
    p.keys = padded(lowest(p.m, KEYS), ROWS);
    p.key = padded(p.d, lanes);
    p.value = padded(p.e, lanes);
    p.blocks = (p.n + QUERIES - 1) / QUERIES;
    block b;
    p.tiles_bytes = divide(&p, gradient, NULL, &b);
    p.group_bytes = tg_plus(p.tiles_bytes, small_scratch(&p));
    const int64_t units = gradient ? p.batches : p.batches * p.blocks;
    const double work =
        (double)p.batches * (double)p.n * (double)p.m * (double)(p.d + p.e) / (1 << 24);
    p.groups = work < LEAST_GROUPS  ? LEAST_GROUPS
               : work > MOST_GROUPS ? MOST_GROUPS
                                    : (int64_t)work;
    p.groups = lowest(p.groups, units);
    return p;
}

static void prepare_forward(const tg_call *c, void *prepared)
{
    *(problem *)prepared = problem_of(c, false);
}
static void prepare_gradient(const tg_call *c, void *prepared)
{
    *(problem *)prepared = problem_of(c, true);
}
/* carried so far */

static int64_t scratch(const tg_call *c)
{
    const problem *p = c->prepared;
    return tg_times(p->groups, p->group_bytes);
}

/* carried: attention */
static void forward_group(const tg_call *c, void *user, int64_t group)
{
    const problem *p = user;
    const int64_t units = p->batches * p->blocks;
    block b;
    divide(p, false, (char *)c->scratch + group * p->group_bytes, &b);
    for (int64_t unit = units * group / p->groups; unit < units * (group + 1) / p->groups; unit++)
        if (!small(c, p, false, group, unit)) forward_of[c->y->dtype][c->build](c, p, &b, unit);
}

static void gradient_group(const tg_call *c, void *user, int64_t group)
{
    const problem *p = user;
    block b;
    divide(p, true, (char *)c->scratch + group * p->group_bytes, &b);
    for (int64_t batch = p->batches * group / p->groups;
         batch < p->batches * (group + 1) / p->groups; batch++)
        if (!small(c, p, true, group, batch)) gradient_of[c->y->dtype][c->build](c, p, &b, batch);
}

static void run(const tg_call *c, void (*group)(const tg_call *c, void *user, int64_t k))
{
    problem p = *(const problem *)c->prepared;
    if (p.m == 0 || p.n == 0)
        memset(c->y->data, 0, (size_t)tg_shape_count(c->y->shape) * p.element);
    else if (p.groups > 0) tg_parallel(c, p.groups, group, &p);
}

static void forward_kernel(const tg_call *c) { run(c, forward_group); }
static void gradient_kernel(const tg_call *c) { run(c, gradient_group); }

static void allowed_kernel(const tg_call *c)
{
    const tg_shape shape = c->y->shape;
    const int64_t n = shape.dim[shape.ndim - 2], m = shape.dim[shape.ndim - 1],
                  count = tg_shape_count(shape);
    const uint8_t *x = c->x[0].data;
    uint8_t *y = c->y->data;
    for (int64_t i = 0; i < count; i++) y[i] = x[i] && (!c->attrs[0] || i % m <= i / m % n);
}
/* carried so far */

/* ----------------------------------- ops: private ones, on what the public function has checked */

static bool forward_rule(tg_rule *r)
{
    r->y = r->x[0];
    r->y.shape.dim[r->y.shape.ndim - 1] = r->x[2].shape.dim[r->y.shape.ndim - 1];
    return true;
}

static bool gradient_rule(tg_rule *r)
{
    int64_t count = 0;
    for (int k = 0; k < 3; k++) count += tg_shape_count(r->x[k].shape);
    r->y = (tg_type){r->x[0].dtype, TG_SHAPE(count)};
    return true;
}

static bool allowed_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

static void forward_vjp(TG_VJP);
static void gradient_vjp(TG_VJP);

/* Products of each query with each key, of d numbers, and with each value, of e: so many of the
 * one and the other. */
static double products(const tg_call *c, double of_d, double of_e)
{
    const tg_shape q = c->x[0].shape, k = c->x[1].shape, v = c->x[2].shape;
    const double queries = (double)tg_shape_count(q), d = (double)q.dim[q.ndim - 1],
                 e = (double)v.dim[v.ndim - 1];
    return d > 0 ? 2 * queries / d * (double)k.dim[k.ndim - 2] * (of_d * d + of_e * e) : 0;
}
static double forward_flops(const tg_call *c) { return products(c, 1, 1); }
static double gradient_flops(const tg_call *c) { return products(c, 3, 2); }

/* q, k, v, and, where there is one, the mask */
static const tg_op attention = {.size = sizeof(tg_op),
                                .name = "attention",
                                .n_in = -1,
                                .flags = TG_STRIDED,
                                .rule = forward_rule,
                                .kernel = forward_kernel,
                                .carried = TG_CARRIED("attention forward_kernel prepare_forward"),
                                .scratch = scratch,
                                .prepared = sizeof(problem),
                                .prepare = prepare_forward,
                                .vjp = forward_vjp,
                                .flops = forward_flops};
/* q, k, v, y, gy, and, where there is one, the mask. The gradients of q, k and v lie one after the
 * other, since they come from one pass. y is detached: it only saves work. */
static const tg_op attention_grad = {.size = sizeof(tg_op),
                                     .name = "attention_grad",
                                     .n_in = -1,
                                     .flags = TG_STRIDED,
                                     .rule = gradient_rule,
                                     .kernel = gradient_kernel,
                                     .carried =
                                         TG_CARRIED("attention gradient_kernel prepare_gradient"),
                                     .scratch = scratch,
                                     .prepared = sizeof(problem),
                                     .prepare = prepare_gradient,
                                     .vjp = gradient_vjp,
                                     .flops = gradient_flops};
/* A mask, and the causal one if attrs[0]. */
static const tg_op attention_allowed = {.size = sizeof(tg_op),
                                        .name = "attention_mask",
                                        .n_in = 1,
                                        .rule = allowed_rule,
                                        .kernel = allowed_kernel,
                                        .carried = TG_CARRIED("attention allowed_kernel"),
                                        .vjp = NULL};

static void separate(tg_tape *t, const char *where, tg_tensor *flat, tg_tensor *const *x,
                     tg_tensor **part)
{
    int64_t at = 0;
    for (int k = 0; k < 3; k++) {
        const int64_t count = tg_tensor_count(x[k]);
        part[k] = tg_reshape(t, tg_slice(t, flat, 0, at, at + count, 1), tg_tensor_shape(x[k]));
        at += count;
    }
}

static void forward_vjp(TG_VJP)
{
    tg_tensor *operands[] = {x[0], x[1], x[2], tg_detach(t, y), gy, n_in > 3 ? x[3] : NULL};
    separate(t, TG_HERE, tg_apply_at(t, TG_HERE, &attention_grad, n_in + 2, operands, 1, attrs), x,
             gx);
}

static tg_tensor *turned(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_transpose(t, x, -2, -1);
}
static tg_tensor *times_turned(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    return tg_matmul(t, a, turned(t, TG_HERE, b));
}
static tg_tensor *turned_times(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    return tg_matmul(t, turned(t, TG_HERE, a), b);
}

/* a - sum of p a over the row, times p: the derivative of the softmax p */
static tg_tensor *through_softmax(tg_tape *t, const char *where, tg_tensor *p, tg_tensor *a)
{
    return tg_mul(t, p, tg_sub(t, a, tg_sum(t, tg_mul(t, p, a), TG_AXES(-1), true)));
}

/* The softmax of the scores, composed, and 0 where `allowed` is. Nothing reaches the derivatives
 * from there: a row without keys is the softmax of zeros. */
static tg_tensor *weights(tg_tape *t, const char *where, tg_tensor *q, tg_tensor *k,
                          tg_tensor *allowed, double scale)
{
    tg_tensor *score = tg_scale(t, times_turned(t, TG_HERE, q, k), scale);
    if (!allowed) return tg_softmax(t, score, -1);
    tg_tensor *zero = tg_constant_like(t, score, 0);
    tg_tensor *some =
        tg_greater(t, tg_sum(t, allowed, TG_AXES(-1), true), tg_constant(t, TG_I64, 0));
    tg_tensor *hidden = tg_where(t, some, tg_constant_like(t, score, -INFINITY), zero);
    return tg_where(t, allowed, tg_softmax(t, tg_where(t, allowed, score, hidden), -1), zero);
}

/* x [..., m, columns] with zeros for the keys that no query sees: only there 0 times an element
 * would do harm at every order. */
static tg_tensor *seen_rows(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *allowed)
{
    if (!allowed) return x;
    tg_tensor *some =
        tg_greater(t, tg_sum(t, allowed, TG_AXES(-2), true), tg_constant(t, TG_I64, 0));
    return tg_where(t, turned(t, TG_HERE, some), x, tg_constant_like(t, x, 0));
}

/* With a, b, c the gradients of gq, gk, gv and w = s (a k^T + q b^T), what is differentiated is
 * sum(w ds) + sum(p gy c^T), ds = p (dp - sum p dp): dp gets m = p (w - sum p w), p gets w (dp -
 * sum p dp) - dp sum p w + gy c^T. */
static void gradient_vjp(TG_VJP)
{
    tg_tensor *q = x[0], *g = x[4], *part[3], *allowed = NULL;
    separate(t, TG_HERE, gy, x, part);
    if (n_in > 5 || attrs[0]) {
        tg_shape scores = tg_tensor_shape(q);
        scores.dim[scores.ndim - 1] = tg_tensor_shape(x[1]).dim[scores.ndim - 2];
        tg_tensor *all = n_in > 5 ? x[5] : tg_expand(t, tg_constant(t, TG_U8, 1), scores);
        allowed = tg_apply_at(t, TG_HERE, &attention_allowed, 1, &all, 1, attrs);
    }
    tg_tensor *k = seen_rows(t, TG_HERE, x[1], allowed), *v = seen_rows(t, TG_HERE, x[2], allowed);
    tg_tensor *a = part[0], *b = part[1], *c = part[2];
    const int64_t d =
        tg_tensor_shape(q).ndim > 0 ? tg_tensor_shape(q).dim[tg_tensor_shape(q).ndim - 1] : 0;
    const double s = d > 0 ? 1 / sqrt((double)d) : 1;
    tg_tensor *p = weights(t, TG_HERE, q, k, allowed, s);
    tg_tensor *dp = times_turned(t, TG_HERE, g, v), *ds = through_softmax(t, TG_HERE, p, dp);
    tg_tensor *w =
        tg_scale(t, tg_add(t, times_turned(t, TG_HERE, a, k), times_turned(t, TG_HERE, q, b)), s);
    tg_tensor *level = tg_sum(t, tg_mul(t, p, dp), TG_AXES(-1), true),
              *of_w = tg_sum(t, tg_mul(t, p, w), TG_AXES(-1), true);
    tg_tensor *of_p = tg_sub(t, tg_mul(t, w, tg_sub(t, dp, level)), tg_mul(t, of_w, dp));
    of_p = through_softmax(t, TG_HERE, p, tg_add(t, of_p, times_turned(t, TG_HERE, g, c)));
    tg_tensor *m = tg_mul(t, p, tg_sub(t, w, of_w));
    gx[0] = tg_scale(t, tg_add(t, tg_matmul(t, of_p, k), tg_matmul(t, ds, b)), s);
    gx[1] = tg_scale(
        t, tg_add(t, turned_times(t, TG_HERE, of_p, q), turned_times(t, TG_HERE, ds, a)), s);
    gx[2] = turned_times(t, TG_HERE, m, g);
    gx[4] = tg_add(t, tg_matmul(t, m, v), tg_matmul(t, p, c));
}

/* ---------------------------------------------------------------- public function */

static tg_shape leading(tg_shape s) { return tg_shape_of(s.ndim - 2, s.dim); }

static tg_tensor *expanded(tg_tape *t, const char *where, tg_tensor *x, tg_shape batch,
                           int64_t rows, int64_t columns)
{
    tg_shape shape = {.ndim = batch.ndim + 2};
    for (int d = 0; d < batch.ndim; d++) shape.dim[d] = batch.dim[d];
    shape.dim[batch.ndim] = rows;
    shape.dim[batch.ndim + 1] = columns;
    return tg_shape_equal(tg_tensor_shape(x), shape) ? x : tg_expand(t, x, shape);
}

tg_tensor *tg_attention_at(tg_tape *t, const char *where, tg_tensor *q, tg_tensor *k, tg_tensor *v,
                           tg_tensor *mask, bool causal)
{
    if (!tg_ready_float(t, TG_HERE, "attention", q) ||
        !tg_ready_float(t, TG_HERE, "attention", k) || !tg_ready_float(t, TG_HERE, "attention", v))
        return NULL;
    const tg_shape of_q = tg_tensor_shape(q), of_k = tg_tensor_shape(k), of_v = tg_tensor_shape(v);
    const tg_dtype dtype = tg_dtype_on(t, q);
    if (tg_dtype_on(t, k) != dtype || tg_dtype_on(t, v) != dtype)
        return tg_fail_at(t, TG_HERE, TG_EDTYPE, "attention: q, k and v are %s, %s and %s",
                          tg_dtype_name(dtype), tg_dtype_name(tg_dtype_on(t, k)),
                          tg_dtype_name(tg_dtype_on(t, v)));
    const char *const wanted =
        "attention: q %s, k %s and v %s are not [..., n, d], [..., m, d] and [..., m, e]";
    if (of_q.ndim < 2 || of_k.ndim < 2 || of_v.ndim < 2 ||
        of_q.dim[of_q.ndim - 1] != of_k.dim[of_k.ndim - 1] ||
        of_k.dim[of_k.ndim - 2] != of_v.dim[of_v.ndim - 2])
        return tg_fail_at(t, TG_HERE, TG_ESHAPE, wanted, tg_shape_text(of_q).text,
                          tg_shape_text(of_k).text, tg_shape_text(of_v).text);
    const int64_t n = of_q.dim[of_q.ndim - 2], d = of_q.dim[of_q.ndim - 1],
                  m = of_v.dim[of_v.ndim - 2], e = of_v.dim[of_v.ndim - 1];
    tg_shape batch = tg_shape_broadcast(leading(of_q), leading(of_k));
    if (batch.ndim >= 0) batch = tg_shape_broadcast(batch, leading(of_v));
    if (batch.ndim < 0)
        return tg_fail_at(t, TG_HERE, TG_ESHAPE, wanted, tg_shape_text(of_q).text,
                          tg_shape_text(of_k).text, tg_shape_text(of_v).text);
    tg_tensor *operands[4] = {expanded(t, TG_HERE, q, batch, n, d),
                              expanded(t, TG_HERE, k, batch, m, d),
                              expanded(t, TG_HERE, v, batch, m, e)};
    if (mask && !tg_ready(t, TG_HERE, "attention", mask)) return NULL;
    if (mask) {
        tg_shape scores = {.ndim = batch.ndim + 2};
        for (int i = 0; i < batch.ndim; i++) scores.dim[i] = batch.dim[i];
        scores.dim[batch.ndim] = n;
        scores.dim[batch.ndim + 1] = m;
        if (tg_dtype_on(t, mask) != TG_U8)
            return tg_fail_at(t, TG_HERE, TG_EDTYPE, "attention: a mask is u8, not %s",
                              tg_dtype_name(tg_dtype_on(t, mask)));
        if (!tg_shape_equal(tg_shape_broadcast(tg_tensor_shape(mask), scores), scores))
            return tg_fail_at(t, TG_HERE, TG_ESHAPE, "attention: a mask %s for scores %s",
                              tg_shape_text(tg_tensor_shape(mask)).text,
                              tg_shape_text(scores).text);
        operands[3] = expanded(t, TG_HERE, mask, batch, n, m);
    }
    return tg_apply_at(t, TG_HERE, &attention, mask ? 4 : 3, operands, 1, (int64_t[]){causal});
}

KNOWN(attention, "[..., n, d], [..., m, d], [..., m, e], mask [..., n, m] or NULL -> [..., n, e]",
      -1, ("softmax(q k^T / sqrt(d)) v"))

#else

/* A reference that forms every score. */
static void reference(const tg_array *x, const tg_array *mask, bool causal, tg_array *y)
{
    const tg_shape q = x[0].shape, v = x[2].shape;
    const int last = q.ndim - 1;
    const int64_t n = q.dim[last - 1], d = q.dim[last], m = v.dim[last - 1], e = v.dim[last],
                  batches = tg_shape_count(tg_shape_of(last - 1, q.dim));
    double *to = y->data;
    for (int64_t row = 0; row < batches * n; row++) {
        const double *of_q = (const double *)x[0].data + row * d,
                     *keys = (const double *)x[1].data + row / n * m * d;
        const double *values = (const double *)x[2].data + row / n * m * e;
        double sum = 0;
        for (int64_t c = 0; c < e; c++) to[row * e + c] = 0;
        for (int64_t j = 0; j < m; j++) {
            double score = 0;
            for (int64_t c = 0; c < d; c++) score += of_q[c] * keys[j * d + c];
            if ((causal && j > row % n) ||
                (mask && ((const double *)mask->data)[row % n * m + j] == 0))
                continue;
            const double weight = exp(score / sqrt((double)d));
            sum += weight;
            for (int64_t c = 0; c < e; c++) to[row * e + c] += weight * values[j * e + c];
        }
        for (int64_t c = 0; c < e && sum > 0; c++) to[row * e + c] /= sum;
    }
}

CALL_WITHOUT(masked, 1 << 3, tg_attention(t, x[0], x[1], x[2], x[3], false))
CALL(plain, tg_attention(t, x[0], x[1], x[2], NULL, false))
CALL(causal, tg_attention(t, x[0], x[1], x[2], NULL, true))
EXPECT(masked, reference(x, x + 3, false, y))
EXPECT(plain, reference(x, NULL, false, y))
EXPECT(causal, reference(x, NULL, true, y))

#define ROWS(...) REALS(-2, 2, __VA_ARGS__)
SAMPLES(attention, SAMPLE(plain, "a matrix", 0, ROWS(3, 2), ROWS(2, 2), ROWS(2, 2)),
        SAMPLE(plain, "batches", 0, ROWS(2, 3, 5, 3), ROWS(2, 3, 4, 3), ROWS(2, 3, 4, 5)),
        SAMPLE(causal, "causal", 0, ROWS(2, 3, 2), ROWS(2, 3, 2), ROWS(2, 3, 1)),
        SAMPLE(causal, "causal, fewer queries than keys", 0, ROWS(2, 3), ROWS(5, 3), ROWS(5, 2)),
        SAMPLE(plain, "several tiles", 0, ROWS(67, 3), ROWS(131, 3), ROWS(131, 2)),
        SAMPLE(causal, "several tiles, causal", 0, ROWS(2, 130, 2), ROWS(2, 130, 2),
               ROWS(2, 130, 17)),
        SAMPLE(masked, "a mask", 0, ROWS(2, 3, 2), ROWS(2, 4, 2), ROWS(2, 4, 2), BYTES(0, 1, 3, 4)),
        SAMPLE(plain, "ones", 0, ROWS(1, 1), ROWS(1, 1), ROWS(1, 1)),
        SAMPLE(plain, "no batch", 0, ROWS(0, 2, 3), ROWS(0, 2, 3), ROWS(0, 2, 3)),
        SAMPLE(plain, "no queries", 0, ROWS(0, 3), ROWS(2, 3), ROWS(2, 3)),
        SAMPLE(plain, "no keys", 0, ROWS(2, 3), ROWS(0, 3), ROWS(0, 3)))

#endif
