/* A step of microgpt by hand. In place of PyTorch, whose steps of this size are all overhead. */
#include "../../ops/math_f32.h"

#include "gpt.h"

#include "../../ops/kernels/transpose.h"

#include <string.h>

enum { ROWS = GPT_BATCH * GPT_BLOCK + 16, V = GPT_PADDED }; /* rows up to whole tiles */

/* Offsets into the numbers. */
typedef struct places {
    int wte, wpe, wqkv, wo, up, down, head, weights;
} places;

INLINE places places_of(const int d)
{
    places p = {0};
    p.wpe = GPT_VOCAB * d;
    p.wqkv = p.wpe + GPT_BLOCK * d;
    p.wo = p.wqkv + 3 * d * d;
    p.up = p.wo + d * d;
    p.down = p.up + 4 * d * d;
    p.head = p.down + 4 * d * d;
    p.weights = p.head + V * d;
    return p;
}

/* c [n, m] (= or +=) a [n, k] b [k, m], a of any strides; c has room for whole tiles of rows. */
INLINE void tile(const int R, const int C, int k, const float *a, int ar, int ak, const float *b,
                 int ldb, float *c, int ldc, const int add)
{
    vec s[8][2];
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int j = 0; j < C; j++) s[r][j] = add ? vec_load(c + r * ldc + j * LANES) : (vec){0};
    for (int i = 0; i < k; i++) {
        vec v[2];
        UNROLL
        for (int j = 0; j < C; j++) v[j] = vec_load(b + i * ldb + j * LANES);
        UNROLL
        for (int r = 0; r < R; r++) UNROLL
        for (int j = 0; j < C; j++) s[r][j] = vec_fma(vec_set(a[r * ar + i * ak]), v[j], s[r][j]);
    }
    UNROLL
    for (int r = 0; r < R; r++) UNROLL
    for (int j = 0; j < C; j++) vec_store(c + r * ldc + j * LANES, s[r][j]);
}
INLINE void product(int n, const int m, int k, const float *a, const int ar, const int ak,
                    const float *b, float *c, const int add)
{
    if (m % (2 * LANES) == 0)
        for (int j = 0; j < m; j += 2 * LANES)
            for (int i = 0; i < n; i += 4)
                tile(4, 2, k, a + i * ar, ar, ak, b + j, m, c + i * m + j, m, add);
    else
        for (int j = 0; j < m; j += LANES)
            for (int i = 0; i < n; i += 8)
                tile(8, 1, k, a + i * ar, ar, ak, b + j, m, c + i * m + j, m, add);
}

INLINE void turn_matrix(const float *x, const int rows, const int columns, float *y)
{
    turn(rows, columns, x, columns, y, rows);
}

INLINE float sum_of(vec v)
{
    float s = 0;
    for (int l = 0; l < LANES; l++) s += v[l];
    return s;
}

INLINE void norm(int n, const int d, const float *x, float *y, float *inverse)
{
    for (int i = 0; i < n; i++, x += d, y += d) {
        vec s = {0};
        for (int j = 0; j < d; j += LANES) s = vec_fma(vec_load(x + j), vec_load(x + j), s);
        inverse[i] = 1 / __builtin_sqrtf(sum_of(s) / (float)d + 1e-5f);
        for (int j = 0; j < d; j += LANES) vec_store(y + j, vec_load(x + j) * inverse[i]);
    }
}
/* gx (= or +=) inverse (gy - y mean(gy y)), y the normed row */
INLINE void norm_back(int n, const int d, const float *gy, const float *y, const float *inverse,
                      float *gx, const int add)
{
    for (int i = 0; i < n; i++, gy += d, y += d, gx += d) {
        vec s = {0};
        for (int j = 0; j < d; j += LANES) s = vec_fma(vec_load(gy + j), vec_load(y + j), s);
        const float mean = sum_of(s) / (float)d;
        for (int j = 0; j < d; j += LANES) {
            vec t = inverse[i] * (vec_load(gy + j) - mean * vec_load(y + j));
            if (add) t += vec_load(gx + j);
            vec_store(gx + j, t);
        }
    }
}

INLINE float exp_of(float x) { return exp_below_f32(x, BUILD); }

/* Lanes are queries. x is [rows, 3 d]: query, key, value; p keeps the softmax, [head, key, 16]. */
INLINE void attend(int n, const int d, const float *x, float *p, float *y)
{
    const int h = d / GPT_HEADS;
    const float scale = 1 / __builtin_sqrtf((float)h);
    float turned[64 * GPT_BLOCK], out[64 * GPT_BLOCK];
    turn(GPT_BLOCK, d, x, 3 * d, turned, GPT_BLOCK);
    for (int head = 0; head < GPT_HEADS; head++, p += GPT_BLOCK * GPT_BLOCK)
        for (int q = 0; q < n; q += LANES) {
            vec top = vec_set(-INFINITY), sum = {0}, o[16];
            vec_int lane;
            for (int l = 0; l < LANES; l++) lane[l] = q + l;
            const int keys = n < q + LANES ? n : q + LANES;
            for (int k = 0; k < keys; k++) {
                vec t = {0};
                for (int j = 0; j < h; j++)
                    t = vec_fma(vec_set(x[k * 3 * d + d + head * h + j]),
                                vec_load(turned + (head * h + j) * GPT_BLOCK + q), t);
                t = vec_select(lane >= k, t * scale, vec_set(-INFINITY));
                top = vec_select(t > top, t, top);
                vec_store(p + k * GPT_BLOCK + q, t);
            }
            for (int k = 0; k < keys; k++) {
                float *row = p + k * GPT_BLOCK + q;
                vec_store(row, vec_load(row) - top);
                for (int l = 0; l < LANES; l++) row[l] = exp_of(row[l]);
                sum += vec_load(row);
            }
            sum = 1 / sum;
            for (int j = 0; j < h; j++) o[j] = (vec){0};
            for (int k = 0; k < keys; k++) {
                float *row = p + k * GPT_BLOCK + q;
                const vec w = vec_load(row) * sum;
                vec_store(row, w);
                UNROLL
                for (int j = 0; j < h; j++)
                    o[j] = vec_fma(vec_set(x[k * 3 * d + 2 * d + head * h + j]), w, o[j]);
            }
            for (int k = keys; k < n; k++) vec_store(p + k * GPT_BLOCK + q, (vec){0});
            for (int j = 0; j < h; j++) vec_store(out + (head * h + j) * GPT_BLOCK + q, o[j]);
        }
    float rows[64 * GPT_BLOCK];
    turn(d, GPT_BLOCK, out, GPT_BLOCK, rows, d);
    memcpy(y, rows, (size_t)(n * d) * sizeof *y);
}

/* gx [rows, 3 d] from gy [rows, d] */
INLINE void attend_back(int n, const int d, const float *x, const float *p, const float *gy,
                        float *gx)
{
    const int h = d / GPT_HEADS;
    const float scale = 1 / __builtin_sqrtf((float)h);
    float turned[64 * GPT_BLOCK], out[3][64 * GPT_BLOCK], z[GPT_BLOCK * GPT_BLOCK],
        p_turned[GPT_BLOCK * GPT_BLOCK], z_turned[GPT_BLOCK * GPT_BLOCK], rows[64 * GPT_BLOCK];
    turn(GPT_BLOCK, d, gy, d, turned, GPT_BLOCK);
    for (int head = 0; head < GPT_HEADS; head++, p += GPT_BLOCK * GPT_BLOCK) {
        for (int q = 0; q < n; q += LANES) {
            vec level = {0}, g[16];
            for (int k = 0; k < n; k++) {
                vec t = {0};
                for (int j = 0; j < h; j++)
                    t = vec_fma(vec_set(x[k * 3 * d + 2 * d + head * h + j]),
                                vec_load(turned + (head * h + j) * GPT_BLOCK + q), t);
                vec_store(z + k * GPT_BLOCK + q, t);
                level = vec_fma(t, vec_load(p + k * GPT_BLOCK + q), level);
            }
            for (int j = 0; j < h; j++) g[j] = (vec){0};
            for (int k = 0; k < n; k++) {
                float *row = z + k * GPT_BLOCK + q;
                const vec t = vec_load(p + k * GPT_BLOCK + q) * (vec_load(row) - level) * scale;
                vec_store(row, t);
                UNROLL
                for (int j = 0; j < h; j++)
                    g[j] = vec_fma(vec_set(x[k * 3 * d + d + head * h + j]), t, g[j]);
            }
            for (int j = 0; j < h; j++) vec_store(out[0] + (head * h + j) * GPT_BLOCK + q, g[j]);
        }
        turn(GPT_BLOCK, GPT_BLOCK, p, GPT_BLOCK, p_turned, GPT_BLOCK);
        turn(GPT_BLOCK, GPT_BLOCK, z, GPT_BLOCK, z_turned, GPT_BLOCK);
        for (int k = 0; k < n; k += LANES) {
            vec of_k[16], of_v[16];
            for (int j = 0; j < h; j++) of_k[j] = of_v[j] = (vec){0};
            for (int q = k; q < n; q++) {
                const vec a = vec_load(z_turned + q * GPT_BLOCK + k),
                          b = vec_load(p_turned + q * GPT_BLOCK + k);
                UNROLL
                for (int j = 0; j < h; j++) {
                    of_k[j] = vec_fma(vec_set(x[q * 3 * d + head * h + j]), a, of_k[j]);
                    of_v[j] = vec_fma(vec_set(gy[q * d + head * h + j]), b, of_v[j]);
                }
            }
            for (int j = 0; j < h; j++) {
                vec_store(out[1] + (head * h + j) * GPT_BLOCK + k, of_k[j]);
                vec_store(out[2] + (head * h + j) * GPT_BLOCK + k, of_v[j]);
            }
        }
    }
    for (int part = 0; part < 3; part++) {
        turn(d, GPT_BLOCK, out[part], GPT_BLOCK, rows, d);
        for (int i = 0; i < n; i++)
            memcpy(gx + i * 3 * d + part * d, rows + i * d, (size_t)d * sizeof *gx);
    }
}

/* Softmax and cross-entropy of rows of 27 among 32; z becomes its own gradient. */
INLINE float lose(int n, const int *next, float *z)
{
    float loss = 0, e[V];
    const float share = 1 / (float)n;
    for (int i = 0; i < n; i++, z += V) {
        float top = z[0], sum = 0;
        for (int j = 1; j < GPT_VOCAB; j++) top = z[j] > top ? z[j] : top;
        for (int j = 0; j < V; j++) e[j] = exp_of(j < GPT_VOCAB ? z[j] - top : -INFINITY);
        vec s = {0};
        for (int j = 0; j < V; j += LANES) s += vec_load(e + j);
        sum = sum_of(s);
        loss += top + log_f32(sum, BUILD) - z[next[i]];
        for (int j = 0; j < V; j += LANES) vec_store(z + j, vec_load(e + j) * (share / sum));
        z[next[i]] -= share;
    }
    return loss * share;
}

INLINE void adam(int n, float *w, const float *g, float *m, float *v, int step, float rate)
{
    const float a = rate / (1 - __builtin_powf(0.85f, (float)step)),
                b = 1 / __builtin_sqrtf(1 - __builtin_powf(0.99f, (float)step));
    for (int i = 0; i < n; i++) {
        m[i] = 0.85f * m[i] + 0.15f * g[i];
        v[i] = 0.99f * v[i] + 0.01f * g[i] * g[i];
        w[i] -= a * m[i] / (__builtin_sqrtf(v[i]) * b + 1e-8f);
    }
}

INLINE float take_step(const int d, float *w, const hand_names *names, int step, float rate)
{
    const places p = places_of(d);
    const int n = names->rows, f = 4 * d;
    float *g = w + p.weights, *m1 = g + p.weights, *m2 = m1 + p.weights, *wt = m2 + p.weights;
    float *at = wt + p.weights;
#define TAKE(name, count) \
    float *name = at;     \
    at += (count)
    TAKE(x0, ROWS * d);
    TAKE(x1, ROWS * d);
    TAKE(n1, ROWS * d);
    TAKE(qkv, ROWS * 3 * d);
    TAKE(att, ROWS * d);
    TAKE(x2, ROWS * d);
    TAKE(n2, ROWS * d);
    TAKE(hid, ROWS * f);
    TAKE(x3, ROWS * d);
    TAKE(dx, ROWS * d);
    TAKE(dn, ROWS * d);
    TAKE(dqkv, ROWS * 3 * d);
    TAKE(dhid, ROWS * f);
    TAKE(datt, ROWS * d);
    TAKE(z, ROWS * V);
    TAKE(inv0, ROWS);
    TAKE(inv1, ROWS);
    TAKE(inv2, ROWS);
    float *prob = at;
#undef TAKE
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j += LANES)
            vec_store(x0 + i * d + j, vec_load(w + p.wte + names->token[i] * d + j) +
                                          vec_load(w + p.wpe + names->place[i] * d + j));
    norm(n, d, x0, x1, inv0);
    norm(n, d, x1, n1, inv1);
    product(n, 3 * d, d, n1, d, 1, w + p.wqkv, qkv, 0);
    for (int r = 0; r < GPT_BATCH; r++)
        attend(names->length[r], d, qkv + names->start[r] * 3 * d,
               prob + r * GPT_HEADS * GPT_BLOCK * GPT_BLOCK, att + names->start[r] * d);
    memcpy(x2, x1, (size_t)(n * d) * sizeof *x2);
    product(n, d, d, att, d, 1, w + p.wo, x2, 1);
    norm(n, d, x2, n2, inv2);
    product(n, f, d, n2, d, 1, w + p.up, hid, 0);
    for (int i = 0; i < n * f; i++) hid[i] = hid[i] > 0 ? hid[i] : 0;
    memcpy(x3, x2, (size_t)(n * d) * sizeof *x3);
    product(n, d, f, hid, f, 1, w + p.down, x3, 1);
    product(n, V, d, x3, d, 1, w + p.head, z, 0);
    const float loss = lose(n, names->next, z);

    turn_matrix(w + p.wqkv, d, 3 * d, wt + p.wqkv);
    turn_matrix(w + p.wo, d, d, wt + p.wo);
    turn_matrix(w + p.up, d, f, wt + p.up);
    turn_matrix(w + p.down, f, d, wt + p.down);
    turn_matrix(w + p.head, d, V, wt + p.head);
    product(d, V, n, x3, 1, d, z, g + p.head, 0);
    product(n, d, V, z, V, 1, wt + p.head, dx, 0);
    product(f, d, n, hid, 1, f, dx, g + p.down, 0);
    product(n, f, d, dx, d, 1, wt + p.down, dhid, 0);
    for (int i = 0; i < n * f; i++) dhid[i] = hid[i] > 0 ? dhid[i] : 0;
    product(d, f, n, n2, 1, d, dhid, g + p.up, 0);
    product(n, d, f, dhid, f, 1, wt + p.up, dn, 0);
    norm_back(n, d, dn, n2, inv2, dx, 1);
    product(d, d, n, att, 1, d, dx, g + p.wo, 0);
    product(n, d, d, dx, d, 1, wt + p.wo, datt, 0);
    for (int r = 0; r < GPT_BATCH; r++)
        attend_back(names->length[r], d, qkv + names->start[r] * 3 * d,
                    prob + r * GPT_HEADS * GPT_BLOCK * GPT_BLOCK, datt + names->start[r] * d,
                    dqkv + names->start[r] * 3 * d);
    product(d, 3 * d, n, n1, 1, d, dqkv, g + p.wqkv, 0);
    product(n, d, 3 * d, dqkv, 3 * d, 1, wt + p.wqkv, dn, 0);
    norm_back(n, d, dn, n1, inv1, dx, 1);
    norm_back(n, d, dx, x1, inv0, dx, 0);
    memset(g, 0, (size_t)p.wqkv * sizeof *g);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d; j += LANES) {
            float *of_token = g + names->token[i] * d + j,
                  *of_place = g + p.wpe + names->place[i] * d + j;
            vec_store(of_token, vec_load(of_token) + vec_load(dx + i * d + j));
            vec_store(of_place, vec_load(of_place) + vec_load(dx + i * d + j));
        }
    adam(p.weights, w, g, m1, m2, step, rate);
    return loss;
}

static float step_16(float *m, const hand_names *names, int step, float rate)
{
    return take_step(16, m, names, step, rate);
}
static float step_64(float *m, const hand_names *names, int step, float rate)
{
    return take_step(64, m, names, step, rate);
}

float TG_KERNEL(hand_gpt)(int d, float *m, const hand_names *names, int step, float rate)
{
    return d == 16 ? step_16(m, names, step, rate) : step_64(m, names, step, rate);
}
