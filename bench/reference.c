/* The work of some workloads as a programmer would write it by hand, for one purpose only. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

/* ----------------------------------------------- e^x by a polynomial, in a form that vectorises */

#define INLINE static inline __attribute__((always_inline))

/* One rounding where the build has the instruction; `fused` is constant wherever this is used. */
INLINE float multiply_add(float a, float b, float c, bool fused)
{
    return fused ? __builtin_fmaf(a, b, c) : a * b + c;
}

/* e^x = 2^n e^r with |r| <= ln 2 / 2; the Taylor polynomial of degree 7 is within 2 ULP there.
 * Limited to finite results. */
INLINE float exponential(float x, bool fused)
{
    const float shift = 12582912; /* 1.5 2^23: adding it rounds to the nearest whole number */
    x = x < -87 ? -87 : x;
    x = x > 88 ? 88 : x;
    const float n = multiply_add(x, 1.44269504f, shift, fused) - shift;
    const float r =
        multiply_add(n, 2.12194440e-4f, multiply_add(n, -0.693359375f, x, fused), fused);
    float p = 1.0f / 5040;
    p = multiply_add(p, r, 1.0f / 720, fused);
    p = multiply_add(p, r, 1.0f / 120, fused);
    p = multiply_add(p, r, 1.0f / 24, fused);
    p = multiply_add(p, r, 1.0f / 6, fused);
    p = multiply_add(p, r, 0.5f, fused);
    p = multiply_add(p, r, 1, fused);
    p = multiply_add(p, r, 1, fused);
    const union {
        int32_t i;
        float f;
    } power = {.i = ((int32_t)n + 127) * (1 << 23)};
    return p * power.f;
}

INLINE float logistic(float x, bool fused) { return 1 / (1 + exponential(-x, fused)); }

#if defined(__x86_64__)
#define BUILDS(name)                            \
    {                                           \
        name##_base, name##_avx2, name##_avx512 \
    }
#else
#define BUILDS(name)                          \
    {                                         \
        name##_base, name##_base, name##_base \
    }
#endif

/* ---------------------------------------------------------------- W1 */

typedef struct seed_sums {
    float gw1[4][3], gb1[4], gw2[4], gb2, loss;
} seed_sums;

static void move(seed_net *m, const seed_sums *s, int n)
{
    const float rate = 0.1f / (float)n;
    for (int j = 0; j < 4; j++) {
        for (int k = 0; k < 3; k++) m->w1[j][k] -= rate * s->gw1[j][k];
        m->b1[j] -= rate * s->gb1[j];
        m->w2[j] -= rate * s->gw2[j];
    }
    m->b2 -= rate * s->gb2;
}

float reference_seed_step(seed_net *m, int n, const float *x, const float *y)
{
    seed_sums s = {0};
    for (int i = 0; i < n; i++) {
        float h[4], z = m->b2;
        for (int j = 0; j < 4; j++) {
            float u = m->b1[j];
            for (int k = 0; k < 3; k++) u += m->w1[j][k] * x[3 * i + k];
            h[j] = 1 / (1 + expf(-u));
            z += m->w2[j] * h[j];
        }
        const float p = 1 / (1 + expf(-z)), gz = p - y[i];
        s.loss -= y[i] * logf(p) + (1 - y[i]) * logf(1 - p);
        s.gb2 += gz;
        for (int j = 0; j < 4; j++) {
            const float gu = gz * m->w2[j] * h[j] * (1 - h[j]);
            s.gw2[j] += gz * h[j];
            s.gb1[j] += gu;
            for (int k = 0; k < 3; k++) s.gw1[j][k] += gu * x[3 * i + k];
        }
    }
    move(m, &s, n);
    return s.loss / (float)n;
}

/* Rows side by side in lanes. The loss is left out, as a training step does not need it. */
enum { LANES = 16, SUMS = 21 };
#define SEED_STEP(name, TARGET, BUILD, ...)                                                  \
    TARGET static void name(seed_net *m, int n, const float *x, const float *y)              \
    {                                                                                        \
        float g[SUMS][LANES] = {{0}};                                                        \
        for (int first = 0; first < n; first += LANES) {                                     \
            float in[3][LANES] = {{0}}, h[4][LANES], gz[LANES];                              \
            const int rows = n - first < LANES ? n - first : LANES;                          \
            for (int l = 0; l < rows; l++)                                                   \
                for (int k = 0; k < 3; k++) in[k][l] = x[3 * (first + l) + k];               \
            for (int l = 0; l < LANES; l++) gz[l] = m->b2;                                   \
            for (int j = 0; j < 4; j++)                                                      \
                for (int l = 0; l < LANES; l++) {                                            \
                    h[j][l] = logistic(m->b1[j] + m->w1[j][0] * in[0][l] +                   \
                                           m->w1[j][1] * in[1][l] + m->w1[j][2] * in[2][l],  \
                                       BUILD != TG_BUILD_BASE);                              \
                    gz[l] += m->w2[j] * h[j][l];                                             \
                }                                                                            \
            for (int l = 0; l < LANES; l++) gz[l] = logistic(gz[l], BUILD != TG_BUILD_BASE); \
            for (int l = 0; l < LANES; l++)                                                  \
                gz[l] = l < rows ? gz[l] - y[first + (l < rows ? l : 0)] : 0;                \
            for (int l = 0; l < LANES; l++) g[20][l] += gz[l];                               \
            for (int j = 0; j < 4; j++)                                                      \
                for (int l = 0; l < LANES; l++) {                                            \
                    const float gu = gz[l] * m->w2[j] * h[j][l] * (1 - h[j][l]);             \
                    g[16 + j][l] += gz[l] * h[j][l];                                         \
                    g[12 + j][l] += gu;                                                      \
                    for (int k = 0; k < 3; k++) g[3 * j + k][l] += gu * in[k][l];            \
                }                                                                            \
        }                                                                                    \
        seed_sums s = {0};                                                                   \
        for (int l = 0; l < LANES; l++) {                                                    \
            for (int j = 0; j < 4; j++) {                                                    \
                for (int k = 0; k < 3; k++) s.gw1[j][k] += g[3 * j + k][l];                  \
                s.gb1[j] += g[12 + j][l];                                                    \
                s.gw2[j] += g[16 + j][l];                                                    \
            }                                                                                \
            s.gb2 += g[20][l];                                                               \
        }                                                                                    \
        move(m, &s, n);                                                                      \
    }
TG_EACH_BUILD(SEED_STEP, seed_step, )

void reference_seed_step_vector(seed_net *m, int n, const float *x, const float *y)
{
    static void (*const steps[])(seed_net *, int, const float *, const float *) = BUILDS(seed_step);
    steps[tg_build_best()](m, n, x, y);
}

/* ---------------------------------------------------------------- W4 */

#define TANH_SIGMOID(name, TARGET, BUILD, ...)                                                     \
    TARGET static float name(int64_t n, const float *x, float a, float b, float *gx, float scale)  \
    {                                                                                              \
        float lane[64] = {0};                                                                      \
        for (int64_t first = 0; first < n; first += 64) {                                          \
            const int64_t m = n - first < 64 ? n - first : 64;                                     \
            for (int64_t l = 0; l < m; l++) {                                                      \
                const float v = x[first + l];                                                      \
                const bool fused = BUILD != TG_BUILD_BASE;                                         \
                const float t = 1 - 2 * logistic(-2 * (a * v + b), fused), s = logistic(v, fused); \
                lane[l] += t * s;                                                                  \
                gx[first + l] = scale * s * (t * (1 - s) + a * (1 - t * t));                       \
            }                                                                                      \
        }                                                                                          \
        float sum = 0;                                                                             \
        for (int l = 0; l < 64; l++) sum += lane[l];                                               \
        return sum;                                                                                \
    }
TG_EACH_BUILD(TANH_SIGMOID, tanh_sigmoid, )

float reference_tanh_sigmoid(int64_t n, const float *x, float a, float b, float *gx, int threads)
{
    static float (*const passes[])(int64_t, const float *, float, float, float *, float) =
        BUILDS(tanh_sigmoid);
    const int64_t part = 16384;
    const int build = tg_build_best();
    double sum = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum) if (threads > 1)
    for (int64_t first = 0; first < n; first += part)
        sum += (double)passes[build](n - first < part ? n - first : part, x + first, a, b,
                                     gx + first, 1 / (float)n);
    return (float)(sum / (double)n);
}

/* ---------------------------------------------------------------- W5 */

typedef struct chain_node {
    int op, a, b;
} chain_node;

enum { CHAIN_LEAF, CHAIN_MUL, CHAIN_ADD };

float reference_chain(int n, float x, float a, float b, bool backward)
{
    static chain_node *node;
    static float *value, *grad;
    static int size;
    if (size < n + 3) {
        size = n + 3;
        node = realloc(node, (size_t)size * sizeof *node);
        value = realloc(value, (size_t)size * sizeof *value);
        grad = realloc(grad, (size_t)size * sizeof *grad);
        die_unless(node && value && grad, "out of memory");
        for (int i = 0; i < size; i++)
            node[i] = (chain_node){i < 3   ? CHAIN_LEAF
                                   : i % 2 ? CHAIN_MUL
                                           : CHAIN_ADD,
                                   i == 3 ? 0 : i - 1, i % 2 ? 1 : 2};
    }
    const int end = n + 3;
    value[0] = x;
    value[1] = a;
    value[2] = b;
    for (int i = 3; i < end; i++) {
        const chain_node *p = &node[i];
        switch (p->op) {
        case CHAIN_MUL: value[i] = value[p->a] * value[p->b]; break;
        case CHAIN_ADD: value[i] = value[p->a] + value[p->b]; break;
        default: break;
        }
    }
    if (!backward) return value[end - 1];
    for (int i = 0; i < end; i++) grad[i] = 0;
    grad[end - 1] = 1;
    for (int i = end - 1; i >= 3; i--) {
        const chain_node *p = &node[i];
        switch (p->op) {
        case CHAIN_MUL:
            grad[p->a] += grad[i] * value[p->b];
            grad[p->b] += grad[i] * value[p->a];
            break;
        case CHAIN_ADD:
            grad[p->a] += grad[i];
            grad[p->b] += grad[i];
            break;
        default: break;
        }
    }
    return grad[0] + grad[1] + grad[2];
}
