/* Attention over few queries and keys. Lanes are queries, so that a softmax is a few operations on
 * whole vectors, and scores never leave the nearest cache; for the gradients of keys and values the
 * scores are turned, and lanes are keys. ops/attention.c has the formulas. */
#include "../math_f32.h"
#include "../math_f64.h"

#include "attention.h"

#include "transpose.h"

#include <string.h>

/* A head whose operands' rows are dense. */
typedef struct head {
    int64_t n, m, d, e, blocks; /* of LANES queries */
    T scale;
    bool causal, limited; /* limited: causal or masked */
    const T *q, *k, *v, *gy;
    int64_t q_row, k_row, v_row, gy_row;
    T *score, *slope;               /* [blocks][m][LANES] */
    T *score_turned, *slope_turned; /* [blocks * LANES][m_padded] */
    int64_t m_padded;
    vec_int bad; /* -1 where something was not finite */
} head;

/* What a block of queries sees: keys up to their own number, or bit i of a lane for key i, in words
 * of the lane's size. */
enum { WORD = 8 * sizeof(T), WORDS = ATTENTION_MOST / WORD };
typedef struct sight {
    int64_t keys; /* none sees a key from this number on */
    bool masked;
    vec_int query, any, word[WORDS];
} sight;

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

INLINE T *take(T **room, int64_t count)
{
    T *start = *room;
    *room += (count + LANES - 1) / LANES * LANES;
    return start;
}

static const T *dense(const tg_rows *x, int64_t rows, int64_t columns, T **room, int64_t *row)
{
    const T *from = x->data;
    if (!from || x->column == 1 || columns == 1) {
        *row = x->row;
        return from;
    }
    T *to = take(room, rows * columns);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            to[i * columns + j] = from[i * x->row + j * x->column];
    *row = columns;
    return to;
}

static head open_head(const tg_head *h)
{
    T *room = h->scratch;
    head a = {.n = h->n, .m = h->m, .d = h->d, .e = h->e, .scale = (T)h->scale};
    a.causal = h->causal;
    a.limited = h->causal || h->mask;
    a.blocks = (h->n + LANES - 1) / LANES;
    a.m_padded = (h->m + LANES - 1) / LANES * LANES;
    a.q = dense(&h->q, h->n, h->d, &room, &a.q_row);
    a.k = dense(&h->k, h->m, h->d, &room, &a.k_row);
    a.v = dense(&h->v, h->m, h->e, &room, &a.v_row);
    a.gy = dense(&h->gy, h->n, h->e, &room, &a.gy_row);
    a.score = take(&room, a.blocks * LANES * a.m);
    a.slope = take(&room, a.blocks * LANES * a.m);
    a.score_turned = take(&room, a.blocks * LANES * a.m_padded);
    a.slope_turned = take(&room, a.blocks * LANES * a.m_padded);
    return a;
}

/* y[j][lane] = x[first + lane][j] times scale; lanes beyond the last row repeat it. */
INLINE void turn_rows(const T *x, int64_t row, int64_t first, int64_t rows, int64_t columns,
                      T scale, T *y)
{
    const T *from[LANES];
    for (int l = 0; l < LANES; l++) from[l] = x + least(first + l, rows - 1) * row;
    int64_t j = 0;
    for (; j + QUARTER <= columns; j += QUARTER) turn_columns(from, j, y + j * LANES, LANES);
    for (; j < columns; j++)
        for (int l = 0; l < LANES; l++) y[j * LANES + l] = from[l][j];
    for (j = 0; j < columns; j++) vec_store(y + j * LANES, vec_load(y + j * LANES) * scale);
}

/* x[lane][j] = y[j][lane] for the first `count` lanes; x dense */
INLINE void turn_back(const T *y, int64_t count, int64_t columns, T *x)
{
    int64_t j = 0;
    for (; j + QUARTER <= columns; j += QUARTER) {
        vec v[QUARTER];
        UNROLL
        for (int a = 0; a < QUARTER; a++) v[a] = vec_load(y + (j + a) * LANES);
        turn_in_quarters(v);
        UNROLL
        for (int a = 0; a < QUARTER; a++) {
            T lane[LANES];
            vec_store(lane, v[a]);
            UNROLL
            for (int l = 0; l < LANES; l += QUARTER)
                if (a + l < count)
                    *(quarter *)(x + (a + l) * columns + j) = *(const quarter *)(lane + l);
        }
    }
    for (; j < columns; j++)
        for (int64_t l = 0; l < count; l++) x[l * columns + j] = y[j * LANES + l];
}

/* Bit i for a mask's nonzero byte i. */
INLINE uint64_t bits_of_mask(const uint8_t *allowed, int64_t column, int64_t count)
{
    uint64_t bits = 0;
    int64_t i = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; column == 1 && i + 8 <= count;
         i += 8) { /* a byte's top bit, then all of them together */
        const uint64_t low = UINT64_C(0x7f7f7f7f7f7f7f7f);
        uint64_t x;
        memcpy(&x, allowed + i, sizeof x);
        x = ((((x & low) + low) | x) & ~low) >> 7;
        bits |= (x * UINT64_C(0x0102040810204080) >> 56) << i;
    }
#endif
    for (; i < count; i++) bits |= (uint64_t)(allowed[i * column] != 0) << i;
    return bits;
}

static void look_at_mask(const tg_head *h, sight *s)
{
    s->any = (vec_int){0};
    for (int l = 0; l < LANES; l++) {
        const int64_t query = s->query[l];
        uint64_t bits = bits_of_mask(h->mask + query * h->mask_row, h->mask_column, h->m);
        if (h->causal) bits &= ~UINT64_C(0) >> (ATTENTION_MOST - 1 - query);
        for (int w = 0; w < WORDS; w++) s->word[w][l] = (lane_int)(bits >> (w * (WORD % 64)));
    }
    for (int w = 0; w < WORDS; w++) s->any |= s->word[w] != 0;
}

INLINE void look(const tg_head *h, int64_t first, sight *s)
{
    s->keys = h->causal ? least(least(h->m, h->n), first + LANES) : h->m;
    s->masked = h->mask != NULL;
    s->any = (vec_int){0} - 1;
    for (int l = 0; l < LANES; l++) s->query[l] = (lane_int)l;
    s->query += (lane_int)first;
    const vec_int last = (vec_int){0} + (lane_int)(h->n - 1), beyond = s->query > last;
    s->query = (beyond & last) | (~beyond & s->query);
    if (s->masked) look_at_mask(h, s);
}

/* -1 for the lanes that see key i. */
INLINE vec_int sees(const sight *s, int64_t i)
{
    if (!s->masked) return s->query >= (lane_int)i;
    return (s->word[i / WORD] << (lane_int)(WORD - 1 - i % WORD)) < 0;
}

/* y[i] = sum over j of x[i][j] turned[j], for rows i of x */
INLINE void times_rows(const T *x, int64_t row, int64_t rows, int64_t columns, const T *turned,
                       T *y)
{
    enum { ROWS = 4 };
    int64_t i = 0;
    for (; i + ROWS <= rows; i += ROWS, x += ROWS * row, y += ROWS * LANES) {
        vec sum[ROWS] = {{0}};
        for (int64_t j = 0; j < columns; j++) {
            const vec t = vec_load(turned + j * LANES);
            UNROLL
            for (int r = 0; r < ROWS; r++) sum[r] = vec_fma(vec_set(x[r * row + j]), t, sum[r]);
        }
        UNROLL
        for (int r = 0; r < ROWS; r++) vec_store(y + r * LANES, sum[r]);
    }
    for (; i < rows; i++, x += row, y += LANES) {
        vec sum = {0};
        for (int64_t j = 0; j < columns; j++)
            sum = vec_fma(vec_set(x[j]), vec_load(turned + j * LANES), sum);
        vec_store(y, sum);
    }
}

/* y[j] = sum over i of x[i][j] weight[i], for C columns j */
INLINE void weighted(const int C, const T *x, int64_t row, int64_t rows, const T *weight,
                     int64_t weight_row, T *y)
{
    vec sum[8] = {{0}};
    for (int64_t i = 0; i < rows; i++) {
        const vec w = vec_load(weight + i * weight_row);
        UNROLL
        for (int j = 0; j < C; j++) sum[j] = vec_fma(vec_set(x[i * row + j]), w, sum[j]);
    }
    UNROLL
    for (int j = 0; j < C; j++) vec_store(y + j * LANES, sum[j]);
}

INLINE void weighted_sums(const T *x, int64_t row, int64_t rows, int64_t columns, const T *weight,
                          int64_t weight_row, T *y)
{
    int64_t j = 0;
    for (; j + 8 <= columns; j += 8)
        weighted(8, x + j, row, rows, weight, weight_row, y + j * LANES);
    for (; j + 4 <= columns; j += 4)
        weighted(4, x + j, row, rows, weight, weight_row, y + j * LANES);
    for (; j < columns; j++) weighted(1, x + j, row, rows, weight, weight_row, y + j * LANES);
}

/* Marks what is not finite among columns of sums, and writes their first `count` lanes as rows. */
INLINE void hand_over(head *a, T *sums, int64_t count, int64_t columns, T *x)
{
    if (a->limited)
        for (int64_t j = 0; j < columns; j++) {
            const vec s = vec_load(sums + j * LANES);
            a->bad |= ~(s - s == 0);
        }
    turn_back(sums, count, columns, x);
}

/* e^(score - the highest) of a block of queries, and what their sum is to be multiplied by. */
INLINE vec softmax(const head *a, const sight *s, int64_t first, T *score)
{
    const vec none = vec_set((T)-INFINITY);
    T turned[ATTENTION_WIDTH * LANES];
    vec top = none, total = {0};
    turn_rows(a->q, a->q_row, first, a->n, a->d, a->scale, turned);
    times_rows(a->k, a->k_row, s->keys, a->d, turned, score);
    for (int64_t i = 0; i < s->keys; i++) {
        vec x = vec_load(score + i * LANES);
        if (a->limited) vec_store(score + i * LANES, x = vec_select(sees(s, i), x, none));
        top = vec_select(x > top, x, top);
    }
    top = vec_select(top == none, (vec){0}, top);
    for (int64_t i = 0; i < s->keys; i++)
        vec_store(score + i * LANES, vec_load(score + i * LANES) - top);
    const int64_t count = s->keys * LANES;
    for (int64_t i = 0; i < count; i++)
        score[i] = BY_DTYPE(exp_below_f32(score[i], BUILD), exp_below_f64(score[i]));
    for (int64_t i = 0; i < s->keys; i++) total += vec_load(score + i * LANES);
    return vec_select(s->any, 1 / total, (vec){0});
}

INLINE bool all_good(const head *a)
{
    lane_int found = 0;
    for (int l = 0; l < LANES; l++) found |= a->bad[l];
    return !found;
}

bool TG_KERNEL(tg_attention_forward)(const tg_head *h)
{
    head a = open_head(h);
    T sums[ATTENTION_WIDTH * LANES];
    for (int64_t block = 0; block < a.blocks; block++) {
        const int64_t first = block * LANES;
        sight s;
        look(h, first, &s);
        const vec share = softmax(&a, &s, first, a.score);
        weighted_sums(a.v, a.v_row, s.keys, a.e, a.score, LANES, sums);
        for (int64_t j = 0; j < a.e; j++)
            vec_store(sums + j * LANES, vec_load(sums + j * LANES) * share);
        hand_over(&a, sums, least(LANES, a.n - first), a.e, (T *)h->y + first * a.e);
    }
    return all_good(&a);
}

/* The softmax p of a block of queries, and its derivative s p (dp - sum of p dp), dp = gy v^T;
 * zeros for keys that are not seen. */
INLINE void slopes(const head *a, const sight *s, int64_t first, T *score, T *slope)
{
    T turned[ATTENTION_WIDTH * LANES];
    const vec share = softmax(a, s, first, score);
    turn_rows(a->gy, a->gy_row, first, a->n, a->e, 1, turned);
    times_rows(a->v, a->v_row, s->keys, a->e, turned, slope);
    vec level = {0};
    for (int64_t i = 0; i < s->keys; i++) {
        const vec p = vec_load(score + i * LANES) * share;
        vec x = vec_load(slope + i * LANES);
        if (a->limited) vec_store(slope + i * LANES, x = vec_select(sees(s, i), x, (vec){0}));
        vec_store(score + i * LANES, p);
        level = vec_fma(p, x, level);
    }
    for (int64_t i = 0; i < s->keys; i++) {
        const vec p = vec_load(score + i * LANES), x = vec_load(slope + i * LANES);
        vec_store(slope + i * LANES, p * (x - level) * a->scale);
    }
    const int64_t end = a->causal ? least(a->m, first + LANES) : a->m;
    for (int64_t i = s->keys; i < end; i++) {
        vec_store(score + i * LANES, (vec){0});
        vec_store(slope + i * LANES, (vec){0});
    }
}

bool TG_KERNEL(tg_attention_gradient)(const tg_head *h)
{
    head a = open_head(h);
    T sums[ATTENTION_WIDTH * LANES];
    for (int64_t block = 0; block < a.blocks; block++) {
        const int64_t first = block * LANES, at = block * a.m * LANES;
        sight s;
        look(h, first, &s);
        slopes(&a, &s, first, a.score + at, a.slope + at);
        weighted_sums(a.k, a.k_row, s.keys, a.d, a.slope + at, LANES, sums);
        hand_over(&a, sums, least(LANES, a.n - first), a.d, (T *)h->gq + first * a.d);
    }
    for (int64_t key = 0; key < a.m; key += LANES) {
        const int64_t from = a.causal ? key : 0; /* no query before sees one of these keys */
        for (int64_t block = from / LANES; block < a.blocks; block++) {
            const T *p[LANES], *z[LANES];
            for (int l = 0; l < LANES; l++) {
                const int64_t at = (block * a.m + least(key + l, a.m - 1)) * LANES;
                p[l] = a.score + at;
                z[l] = a.slope + at;
            }
            const int64_t to = block * LANES * a.m_padded + key;
            turn_square(p, 0, a.score_turned + to, a.m_padded);
            turn_square(z, 0, a.slope_turned + to, a.m_padded);
        }
        const int64_t count = least(LANES, a.m - key), queries = a.n > from ? a.n - from : 0;
        weighted_sums(a.q + from * a.q_row, a.q_row, queries, a.d,
                      a.slope_turned + from * a.m_padded + key, a.m_padded, sums);
        hand_over(&a, sums, count, a.d, (T *)h->gk + key * a.d);
        weighted_sums(a.gy + from * a.gy_row, a.gy_row, queries, a.e,
                      a.score_turned + from * a.m_padded + key, a.m_padded, sums);
        hand_over(&a, sums, count, a.e, (T *)h->gv + key * a.e);
    }
    return all_good(&a);
}
