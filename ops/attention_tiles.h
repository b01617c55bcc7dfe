/* Blocks of queries and tiles of keys: how they lie in memory, and the kernels that both directions
 * of attention are made of. Private. */
#ifndef TG_ATTENTION_TILES_H
#define TG_ATTENTION_TILES_H

#include <string.h>

#include "bytes.h"
#include "folds.h"
#include "math.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

/* carried: attention, on bytes */
enum { QUERIES = 64, KEYS = 64, ROWS = 8, LEAST_GROUPS = 8, MOST_GROUPS = 64 };

/* An operand [..., rows, columns] of any strides. */
typedef struct operand {
    int64_t row, column, step[TG_MAX_DIMS];
} operand;

/* Everything but where the data lies: prepared once. */
typedef struct problem {
    size_t element;
    int batch_dims;
    int64_t batch[TG_MAX_DIMS], batches;
    int64_t n, m, d, e; /* queries, keys, sizes of a key and of a value */
    int64_t queries, keys, key,
        value;      /* of a block, padded to whole vectors and rows of the product's kernel */
    int64_t blocks; /* of queries in a batch */
    int64_t groups, tiles_bytes, group_bytes; /* of work that share scratch memory */
    operand q, k, v, y, gy, mask;
    bool causal, masked;
    double scale;
} problem;

/* What a block works on: all row-major, padded with zeros. */
typedef struct block {
    void *q, *q_turned, *gy,
        *gy_turned;      /* [queries, key], [d, queries], [queries, value], [e, queries] */
    void *k, *v;         /* [keys, key], [keys, value] */
    void *score, *slope; /* [keys, queries] */
    void *sum;           /* [queries, value], or [queries, key] */
    void *tile;          /* [keys, key or value] */
    void *top, *shift, *total, *factor; /* [queries] */
    void *any;                          /* [queries]: 1 for those that see a key */
} block;

/* Queries and keys that meet: of the block, and of the tile. */
typedef struct meeting {
    int64_t query, queries, first, count;
    const uint8_t *mask;
} meeting;

static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t padded(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

static int64_t lanes_of(int build, size_t element)
{
    return (build == TG_BUILD_AVX512 ? 64 : build == TG_BUILD_AVX2 ? 32 : 16) / (int64_t)element;
}

static bool sees(const problem *p, const meeting *a, int64_t query, int64_t key)
{
    query += a->query;
    key += a->first;
    if (p->causal && key > query) return false;
    return !a->mask || a->mask[query * p->mask.row + key * p->mask.column];
}

/* The queries before this one, of the block, don't see the key of the tile. */
static int64_t blind(const problem *p, const meeting *a, int64_t key)
{
    return p->causal ? lowest(a->first + key - a->query, p->queries) : 0;
}

static operand operand_of(const tg_array *x)
{
    const int d = x->shape.ndim;
    operand o = {.row = x->stride[d - 2], .column = x->stride[d - 1]};
    for (int k = 0; k < d - 2; k++) o.step[k] = x->stride[k];
    return o;
}

static int64_t offset_of(const problem *p, const operand *o, int64_t batch)
{
    int64_t offset = 0;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        offset += batch % p->batch[d] * o->step[d];
        batch /= p->batch[d];
    }
    return offset;
}

/* Takes the next rows x columns elements of scratch memory. */
static void *take(const problem *p, char *memory, int64_t *at, int64_t rows, int64_t columns)
{
    void *start = memory ? memory + *at : NULL;
    *at = tg_plus(*at, padded(tg_times(tg_times(rows, columns), (int64_t)p->element), 64));
    return start;
}

static int64_t divide(const problem *p, bool gradient, char *memory, block *b)
{
    int64_t at = 0;
    const int64_t width = p->key > p->value ? p->key : p->value;
    *b = (block){0};
    b->q_turned = take(p, memory, &at, p->d, p->queries);
    b->k = take(p, memory, &at, p->keys, p->key);
    b->v = take(p, memory, &at, p->keys, p->value);
    b->score = take(p, memory, &at, p->keys, p->queries);
    b->sum = take(p, memory, &at, p->queries, width);
    b->top = take(p, memory, &at, p->queries, 1);
    b->shift = take(p, memory, &at, p->queries, 1);
    b->total = take(p, memory, &at, p->queries, 1);
    b->factor = take(p, memory, &at, p->queries, 1);
    b->any = take(p, memory, &at, p->queries, 1);
    if (!gradient) return at;
    b->q = take(p, memory, &at, p->queries, p->key);
    b->gy = take(p, memory, &at, p->queries, p->value);
    b->gy_turned = take(p, memory, &at, p->e, p->queries);
    b->slope = take(p, memory, &at, p->keys, p->queries);
    b->tile = take(p, memory, &at, p->keys, width);
    return at;
}

/* ---------------------------------------------------------------- kernels */

#define MADD_TG_BUILD_BASE_float(a, b, c) ((a) * (b) + (c))
#define MADD_TG_BUILD_BASE_double(a, b, c) ((a) * (b) + (c))
#define MADD_TG_BUILD_AVX2_float(a, b, c) _mm256_fmadd_ps(a, b, c)
#define MADD_TG_BUILD_AVX2_double(a, b, c) _mm256_fmadd_pd(a, b, c)
#define MADD_TG_BUILD_AVX512_float(a, b, c) _mm512_fmadd_ps(a, b, c)
#define MADD_TG_BUILD_AVX512_double(a, b, c) _mm512_fmadd_pd(a, b, c)

/* c = a b, or c += a b: a is [m, k] with any strides, b and c have n columns in rows ldb and ldc
 * apart; m is a multiple of ROWS, n of a vector. */
#define PRODUCT(fn, TARGET, BUILD, T)                                                            \
    typedef T vector_##fn __attribute__((vector_size(BUILD == TG_BUILD_AVX512 ? 64               \
                                                     : BUILD == TG_BUILD_AVX2 ? 32               \
                                                                              : 16),             \
                                         aligned(sizeof(T)), may_alias));                        \
    TARGET TG_ALWAYS_INLINE void rows_##fn(const int R, const int P, int64_t k, const T *a,      \
                                           int64_t row, int64_t column, const T *b, int64_t ldb, \
                                           T *c, int64_t ldc, bool add)                          \
    {                                                                                            \
        enum { LANES = sizeof(vector_##fn) / sizeof(T) };                                        \
        vector_##fn sum[ROWS][2];                                                                \
        for (int r = 0; r < R; r++)                                                              \
            for (int s = 0; s < P; s++) {                                                        \
                sum[r][s] = (vector_##fn){0};                                                    \
                if (add) sum[r][s] = *(const vector_##fn *)(c + r * ldc + s * LANES);            \
            }                                                                                    \
        for (int64_t i = 0; i < k; i++, a += column, b += ldb) {                                 \
            vector_##fn v[2];                                                                    \
            for (int s = 0; s < P; s++) v[s] = *(const vector_##fn *)(b + s * LANES);            \
            for (int r = 0; r < R; r++) {                                                        \
                const vector_##fn factor = a[r * row] - (vector_##fn){0};                        \
                for (int s = 0; s < P; s++)                                                      \
                    sum[r][s] = MADD_##BUILD##_##T(factor, v[s], sum[r][s]);                     \
            }                                                                                    \
        }                                                                                        \
        for (int r = 0; r < R; r++)                                                              \
            for (int s = 0; s < P; s++) *(vector_##fn *)(c + r * ldc + s * LANES) = sum[r][s];   \
    }                                                                                            \
    TARGET static void product_##fn(int64_t m, int64_t n, int64_t k, const T *a, int64_t row,    \
                                    int64_t column, const T *b, int64_t ldb, T *c, int64_t ldc,  \
                                    bool add)                                                    \
    {                                                                                            \
        enum {                                                                                   \
            LANES = sizeof(vector_##fn) / sizeof(T),                                             \
            R = BUILD == TG_BUILD_AVX512 ? ROWS : ROWS / 2                                       \
        };                                                                                       \
        int64_t j = 0;                                                                           \
        for (; j + 2 * LANES <= n; j += 2 * LANES)                                               \
            for (int64_t i = 0; i < m; i += R)                                                   \
                rows_##fn(R, 2, k, a + i * row, row, column, b + j, ldb, c + i * ldc + j, ldc,   \
                          add);                                                                  \
        for (; j < n; j += LANES)                                                                \
            for (int64_t i = 0; i < m; i += R)                                                   \
                rows_##fn(R, 1, k, a + i * row, row, column, b + j, ldb, c + i * ldc + j, ldc,   \
                          add);                                                                  \
    }

/* Rows of an operand, times scale, to row-major memory `width` wide with `rows` rows in all; and
 * the same turned. */
#define PACK(fn, TARGET, BUILD, T)                                                             \
    TARGET static void pack_##fn(const T *x, const operand *o, int64_t count, int64_t columns, \
                                 T scale, int64_t rows, int64_t width, T *y)                   \
    {                                                                                          \
        for (int64_t i = 0; i < count; i++) {                                                  \
            const T *from = x + i * o->row;                                                    \
            T *to = y + i * width;                                                             \
            if (o->column == 1) TG_EACH(j, 0, columns, to[j] = from[j] * scale)                \
            else                                                                               \
                for (int64_t j = 0; j < columns; j++) to[j] = from[j * o->column] * scale;     \
            TG_EACH(j, columns, width, to[j] = 0)                                              \
        }                                                                                      \
        TG_EACH(i, count *width, rows *width, y[i] = 0)                                        \
    }                                                                                          \
    TARGET static void turn_##fn(const T *x, const operand *o, int64_t count, int64_t columns, \
                                 T scale, int64_t rows, T *y)                                  \
    {                                                                                          \
        for (int64_t j = 0; j < columns; j++) {                                                \
            for (int64_t i = 0; i < count; i++)                                                \
                y[j * rows + i] = x[i * o->row + j * o->column] * scale;                       \
            for (int64_t i = count; i < rows; i++) y[j * rows + i] = 0;                        \
        }                                                                                      \
    }

/* Scores of the tile's keys first .. first + count - 1 against the block's queries; -inf for what
 * is excluded.
 *
 * exponentials: One long loop of e^x: for the short ones over a row of queries the loop itself
 * costs as much. What is excluded, or so small that e^x is 0, is not computed: numbers near the
 * least that there are take a processor many times as long.
 *
 * follow: The scores become e^(score - top), with top the maximum so far; factor gets what earlier
 * sums are to be multiplied by.
 *
 * seen: How many keys a block of queries can see. */
#define SCORES(fn, TARGET, BUILD, T)                                                            \
    TARGET static void scores_##fn(const problem *p, const block *b, const meeting *a)          \
    {                                                                                           \
        T *score = (T *)b->score, *any = (T *)b->any;                                           \
        product_##fn(p->keys, p->queries, p->d, (const T *)b->k, p->key, 1,                     \
                     (const T *)b->q_turned, p->queries, score, p->queries, false);             \
        if (a->first == 0) TG_EACH(i, 0, p->queries, any[i] = !p->masked)                       \
        for (int64_t j = 0; j < a->count; j++) {                                                \
            T *s = score + j * p->queries;                                                      \
            const int64_t before = blind(p, a, j);                                              \
            for (int64_t i = 0; i < before; i++) s[i] = -INFINITY;                              \
            if (!a->mask) continue;                                                             \
            const uint8_t *allowed =                                                            \
                a->mask + a->query * p->mask.row + (a->first + j) * p->mask.column;             \
            for (int64_t i = before > 0 ? before : 0; i < a->queries; i++) {                    \
                s[i] = allowed[i * p->mask.row] ? s[i] : -INFINITY;                             \
                any[i] = allowed[i * p->mask.row] ? 1 : any[i];                                 \
            }                                                                                   \
        }                                                                                       \
        TG_EACH(i, a->count * p->queries, p->keys * p->queries, score[i] = -INFINITY)           \
    }                                                                                           \
    TARGET static void exponentials_##fn(const problem *p, T *score, const T *shift)            \
    {                                                                                           \
        enum { build = BUILD };                                                                 \
        const T least = sizeof(T) == sizeof(float) ? -104 : -746;                               \
        for (int64_t j = 0; j < p->keys; j++) {                                                 \
            T *s = score + j * p->queries;                                                      \
            TG_EACH(i, 0, p->queries, s[i] -= shift[i])                                         \
        }                                                                                       \
        const int64_t count = p->keys * p->queries;                                             \
        TG_EACH(i, 0, count, const T x = score[i] < least ? 0 : score[i];                       \
                score[i] = score[i] < least ? 0 : EXP(x))                                       \
    }                                                                                           \
    TARGET static void follow_##fn(const problem *p, const block *b, bool start)                \
    {                                                                                           \
        enum { build = BUILD };                                                                 \
        const int64_t width = p->queries;                                                       \
        T *score = (T *)b->score, *top = (T *)b->top, *total = (T *)b->total,                   \
          *factor = (T *)b->factor, *shift = (T *)b->shift;                                     \
        if (start) TG_EACH(i, 0, width, top[i] = -INFINITY; total[i] = 0)                       \
        TG_EACH(i, 0, width, factor[i] = top[i])                                                \
        for (int64_t j = 0; j < p->keys; j++) {                                                 \
            const T *s = score + j * width;                                                     \
            TG_EACH(i, 0, width, top[i] = s[i] > top[i] ? s[i] : top[i])                        \
        }                                                                                       \
        TG_EACH(i, 0, width, shift[i] = top[i] == -INFINITY ? 0 : top[i];                       \
                factor[i] = EXP(factor[i] - shift[i]); total[i] *= factor[i])                   \
        exponentials_##fn(p, score, shift);                                                     \
        for (int64_t j = 0; j < p->keys; j++) {                                                 \
            const T *s = score + j * width;                                                     \
            TG_EACH(i, 0, width, total[i] += s[i])                                              \
        }                                                                                       \
    }                                                                                           \
    TARGET TG_ALWAYS_INLINE int64_t seen_##fn(const problem *p, int64_t query, int64_t queries) \
    {                                                                                           \
        return p->causal ? lowest(p->m, query + queries) : p->m;                                \
    }

/* What is not seen is left out, since 0 times NaN or infinity is not 0: of a product's right
 * operand such elements are made 0, and what they contribute to those that do see them is added
 * afterwards. That is rare, and costs a look at each element otherwise.
 *
 * restore: Row i of x, of which `columns` were cleaned, belongs to key i of the tile, or to query i
 * of the block.
 *
 * select: The softmax and its derivative are 0 where nothing is seen, whatever they were computed
 * from. */
#define SELECTION(fn, TARGET, BUILD, T)                                                           \
    TARGET static bool clean_##fn(const problem *p, T *x, int64_t count)                          \
    {                                                                                             \
        int found = 0;                                                                            \
        if (!p->causal && !p->masked) return false;                                               \
        for (int64_t i = 0; i < count; i++) found |= !(x[i] - x[i] == 0);                         \
        if (found) TG_EACH(i, 0, count, x[i] = x[i] - x[i] == 0 ? x[i] : 0)                       \
        return found != 0;                                                                        \
    }                                                                                             \
    TARGET static void restore_##fn(const problem *p, const meeting *a, bool of_keys, const T *x, \
                                    const operand *o, int64_t columns, T scale, const T *weight,  \
                                    T *y, int64_t width)                                          \
    {                                                                                             \
        const int64_t rows = of_keys ? a->count : a->queries,                                     \
                      others = of_keys ? a->queries : a->count;                                   \
        for (int64_t i = 0; i < rows; i++)                                                        \
            for (int64_t c = 0; c < columns; c++) {                                               \
                const T value = x[i * o->row + c * o->column] * scale;                            \
                if (value - value == 0) continue;                                                 \
                for (int64_t j = 0; j < others; j++) {                                            \
                    const int64_t query = of_keys ? j : i, key = of_keys ? i : j;                 \
                    if (sees(p, a, query, key))                                                   \
                        y[j * width + c] += weight[key * p->queries + query] * value;             \
                }                                                                                 \
            }                                                                                     \
    }                                                                                             \
    TARGET static void select_##fn(const problem *p, const meeting *a, T *score, T *slope)        \
    {                                                                                             \
        for (int64_t j = 0; j < a->count; j++) {                                                  \
            T *s = score + j * p->queries, *z = slope + j * p->queries;                           \
            const int64_t before = blind(p, a, j);                                                \
            for (int64_t i = 0; i < before; i++) s[i] = z[i] = 0;                                 \
            for (int64_t i = 0; a->mask && i < a->queries; i++)                                   \
                if (!sees(p, a, i, j)) s[i] = z[i] = 0;                                           \
        }                                                                                         \
    }

/* carried so far */

#endif
