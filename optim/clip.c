#include <math.h>

#include <tapegrad/optim.h>

#include "../graph/params.h"

enum { CHUNK = 1024, LANES = 16 };

/* The sum of the squares of n <= CHUNK elements, each times factor, by lanes that are combined
 * pairwise. */
#define SQUARES(fn, TARGET, BUILD, T)                                   \
    TARGET static double fn(const void *data, int64_t n, double factor) \
    {                                                                   \
        const T *x = (const T *)data;                                   \
        double lane[LANES] = {0};                                       \
        int64_t i = 0;                                                  \
        for (; i + LANES <= n; i += LANES)                              \
            for (int l = 0; l < LANES; l++) {                           \
                const double v = (double)x[i + l] * factor;             \
                lane[l] += v * v;                                       \
            }                                                           \
        for (int l = 0; i + l < n; l++) {                               \
            const double v = (double)x[i + l] * factor;                 \
            lane[l] += v * v;                                           \
        }                                                               \
        for (int half = LANES / 2; half; half /= 2)                     \
            for (int l = 0; l < half; l++) lane[l] += lane[l + half];   \
        return lane[0];                                                 \
    }
TG_EACH_BUILD(SQUARES, squares_f32, float)
TG_EACH_BUILD(SQUARES, squares_f64, double)

#define SCALE(fn, TARGET, BUILD, T)                             \
    TARGET static void fn(void *data, int64_t n, double factor) \
    {                                                           \
        T *x = (T *)data;                                       \
        const T f = (T)factor;                                  \
        TG_INDEPENDENT                                          \
        for (int64_t i = 0; i < n; i++) x[i] *= f;              \
    }
TG_EACH_BUILD(SCALE, scale_f32, float)
TG_EACH_BUILD(SCALE, scale_f64, double)

/* Comparisons that are false for NaN leave it in. */
#define CLAMP(fn, TARGET, BUILD, T)                            \
    TARGET static void fn(void *data, int64_t n, double limit) \
    {                                                          \
        T *x = (T *)data;                                      \
        const T high = (T)limit;                               \
        TG_INDEPENDENT                                         \
        for (int64_t i = 0; i < n; i++) {                      \
            const T capped = x[i] > high ? high : x[i];        \
            x[i] = capped < -high ? -high : capped;            \
        }                                                      \
    }
TG_EACH_BUILD(CLAMP, clamp_f32, float)
TG_EACH_BUILD(CLAMP, clamp_f64, double)

static double (*const squares[TG_F64 + 1][TG_BUILD_COUNT])(const void *, int64_t, double) = {
    TG_BUILDS(squares_f32), TG_BUILDS(squares_f64)};
static void (*const scale[TG_F64 + 1][TG_BUILD_COUNT])(void *, int64_t, double) = {
    TG_BUILDS(scale_f32), TG_BUILDS(scale_f64)};
static void (*const clamp[TG_F64 + 1][TG_BUILD_COUNT])(void *, int64_t, double) = {
    TG_BUILDS(clamp_f32), TG_BUILDS(clamp_f64)};

/* Terms added as leaves of a binary tree, from the left: level[k] holds the sum of 2^k of them when
 * bit k of count is set. */
typedef struct pairwise {
    uint64_t count;
    double level[64];
} pairwise;

static void add(pairwise *sum, double term)
{
    int k = 0;
    for (uint64_t bits = sum->count++; bits & 1; bits >>= 1) term += sum->level[k++];
    sum->level[k] = term;
}

static double total(const pairwise *sum)
{
    double result = 0;
    int k = 0;
    for (uint64_t bits = sum->count; bits; bits >>= 1, k++)
        if (bits & 1) result += sum->level[k];
    return result;
}

/* The sum of the squares of all gradients, each times factor. */
static double sum_of_squares(const tg_params *ps, int build, double factor)
{
    pairwise sum = {0, {0}};
    for (size_t k = 0; k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        const size_t size = tg_dtype_size(p->dtype);
        for (int64_t first = 0; p->has_grad && first < p->count; first += CHUNK) {
            const int64_t n = p->count - first < CHUNK ? p->count - first : CHUNK;
            const char *data = (const char *)p->grad + (size_t)first * size;
            add(&sum, squares[p->dtype][build](data, n, factor));
        }
    }
    return total(&sum);
}

static double greatest(const tg_params *ps)
{
    double top = 0;
    for (size_t k = 0; k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        for (int64_t i = 0; p->has_grad && i < p->count; i++)
            top = fmax(top, p->dtype == TG_F32 ? (double)fabsf(((const float *)p->grad)[i])
                                               : fabs(((const double *)p->grad)[i]));
    }
    return top;
}

/* Where squares overflow or vanish, the gradients are measured in the greatest element's power of
 * 2. */
static double norm(const tg_params *ps, int build)
{
    const double sum = sum_of_squares(ps, build, 1);
    if (isnan(sum) || (sum > 0x1p-900 && sum < INFINITY)) return sqrt(sum);
    const double top = greatest(ps);
    if (top == 0 || isinf(top)) return top;
    int exponent;
    frexp(top, &exponent);
    if (exponent < -1000) exponent = -1000;
    return ldexp(sqrt(sum_of_squares(ps, build, ldexp(1, -exponent))), exponent);
}

double tg_clip_grad_norm(tg_params *ps, double max)
{
    if (tg_params_status(ps) != TG_OK) return NAN;
    if (!(isfinite(max) && max >= 0)) {
        tg_error_set(&ps->error, NULL, "clip_grad_norm", TG_EVALUE,
                     "the largest norm %g is not finite and >= 0", max);
        return NAN;
    }
    const int build = tg_build_best();
    const double before = norm(ps, build), factor = max / (before + 1e-6);
    if (!isfinite(before) || factor >= 1) return before;
    for (size_t k = 0; k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        if (p->has_grad) scale[p->dtype][build](p->grad, p->count, factor);
    }
    return before;
}

tg_status tg_clip_grad_value(tg_params *ps, double limit)
{
    if (tg_params_status(ps) != TG_OK) return tg_params_status(ps);
    if (!(limit >= 0))
        return tg_error_set(&ps->error, NULL, "clip_grad_value", TG_EVALUE,
                            "the limit %g is not >= 0", limit);
    const int build = tg_build_best();
    for (size_t k = 0; k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        if (p->has_grad) clamp[p->dtype][build](p->grad, p->count, limit);
    }
    return TG_OK;
}
