#include "rule.h"

#include "../graph/params.h"

enum { ITERATIONS = TG_OWN, MOMENTUM, NESTEROV, EPS, MATCH };

static void prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    const tg_muon_options *o = options;
    (void)step;
    tg_prepare(c, learning_rate, o->weight_decay, true);
    c[ITERATIONS] = o->iterations;
    c[MOMENTUM] = o->momentum;
    c[NESTEROV] = !o->no_nesterov;
    c[EPS] = o->eps;
    c[MATCH] = o->match_adam;
}

/* y[i][j] = a y[i][j] + b (rows i and j of x), for symmetric y [m, m] and x [m, n]; sums in lanes
 * that are combined pairwise. */
#define ROW_PRODUCTS(fn, TARGET, BUILD, T)                                                   \
    TARGET static void fn(int64_t m, int64_t n, T a, T b, const T *x, T *y)                  \
    {                                                                                        \
        enum { LANES = 16 };                                                                 \
        for (int64_t i = 0; i < m; i++)                                                      \
            for (int64_t j = 0; j <= i; j++) {                                               \
                const T *const u = x + i * n, *const v = x + j * n;                          \
                T lane[LANES] = {0};                                                         \
                int64_t k = 0;                                                               \
                for (; k + LANES <= n; k += LANES)                                           \
                    for (int l = 0; l < LANES; l++) lane[l] += u[k + l] * v[k + l];          \
                for (int l = 0; k + l < n; l++) lane[l] += u[k + l] * v[k + l];              \
                for (int half = LANES / 2; half; half /= 2)                                  \
                    for (int l = 0; l < half; l++) lane[l] += lane[l + half];                \
                y[i * m + j] = y[j * m + i] = (a != 0 ? a * y[i * m + j] : 0) + b * lane[0]; \
            }                                                                                \
    }

/* y = a x + h x, for x and y [m, n], h [m, m] */
#define APPLY(fn, TARGET, BUILD, T)                                                   \
    TARGET static void fn(int64_t m, int64_t n, T a, const T *h, const T *x, T *y)    \
    {                                                                                 \
        for (int64_t i = 0; i < m; i++) {                                             \
            T *const to = y + i * n;                                                  \
            for (int64_t j = 0; j < n; j++) to[j] = a * x[i * n + j];                 \
            int64_t k = 0;                                                            \
            for (; k + 4 <= m; k += 4) {                                              \
                const T *const w = h + i * m + k, *const row = x + k * n;             \
                TG_INDEPENDENT                                                        \
                for (int64_t j = 0; j < n; j++)                                       \
                    to[j] += (w[0] * row[j] + w[1] * row[n + j]) +                    \
                             (w[2] * row[2 * n + j] + w[3] * row[3 * n + j]);         \
            }                                                                         \
            for (; k < m; k++)                                                        \
                for (int64_t j = 0; j < n; j++) to[j] += h[i * m + k] * x[k * n + j]; \
        }                                                                             \
    }

TG_EACH_BUILD(ROW_PRODUCTS, products_f32, float)
TG_EACH_BUILD(ROW_PRODUCTS, products_f64, double)
TG_EACH_BUILD(APPLY, apply_f32, float)
TG_EACH_BUILD(APPLY, apply_f64, double)

/* The momentum's step becomes x [m, n], m <= n, of norm 1; five times
 * x = a x + (b s + c s s) x with s = x x^T brings its singular values near 1. */
#define MUON(fn, T, PRODUCTS, APPLY_TO)                                                           \
    static void fn(const tg_update *u)                                                            \
    {                                                                                             \
        static void (*const products[])(int64_t, int64_t, T, T, const T *, T *) = PRODUCTS;       \
        static void (*const apply[])(int64_t, int64_t, T, const T *, const T *, T *) = APPLY_TO;  \
        const int build = tg_build_best();                                                        \
        const double *const c = u->c;                                                             \
        const T momentum = (T)c[MOMENTUM], shrink = (T)c[TG_SHRINK];                              \
        const int64_t rows = u->shape->dim[0], columns = u->shape->dim[1];                        \
        const bool tall = rows > columns;                                                         \
        const int64_t m = tall ? columns : rows, n = tall ? rows : columns;                       \
        const T *const g = u->grad;                                                               \
        T *const p = u->value, *const v = u->slot[0];                                             \
        T *x = u->scratch, *y = x + u->n, *const s = y + u->n, *const h = s + u->n;               \
        double squares = 0;                                                                       \
        for (int64_t i = 0; i < u->n; i++) {                                                      \
            const T w = v[i] = v[i] + (1 - momentum) * (g[i] - v[i]);                             \
            const T along = c[NESTEROV] > 0 ? g[i] + momentum * (w - g[i]) : w;                   \
            squares += (double)along * (double)along;                                             \
            x[tall ? i % columns * rows + i / columns : i] = along;                               \
        }                                                                                         \
        const T norm = (T)fmax(sqrt(squares), c[EPS]);                                            \
        for (int64_t i = 0; i < u->n; i++) x[i] /= norm;                                          \
        for (int k = 0; k < (int)c[ITERATIONS]; k++) {                                            \
            products[build](m, n, 0, 1, x, s);                                                    \
            for (int64_t i = 0; i < m * m; i++) h[i] = s[i];                                      \
            products[build](m, m, (T)-4.7750, (T)2.0315, s, h);                                   \
            apply[build](m, n, (T)3.4445, h, x, y);                                               \
            T *const kept = x;                                                                    \
            x = y;                                                                                \
            y = kept;                                                                             \
        }                                                                                         \
        const double shape = (double)rows / (double)columns;                                      \
        const T rate = (T)(c[TG_RATE] *                                                           \
                           (c[MATCH] > 0 ? 0.2 * sqrt((double)n) : sqrt(shape > 1 ? shape : 1))); \
        for (int64_t i = 0; i < u->n; i++)                                                        \
            p[i] = p[i] * shrink - rate * x[tall ? i % columns * rows + i / columns : i];         \
    }
MUON(update_f32, float, TG_BUILDS(products_f32), TG_BUILDS(apply_f32))
MUON(update_f64, double, TG_BUILDS(products_f64), TG_BUILDS(apply_f64))

static bool fits(tg_dtype dtype, tg_shape shape)
{
    return (dtype == TG_F32 || dtype == TG_F64) && shape.ndim == 2;
}

static const char *check(const void *options)
{
    const double k = ((const tg_muon_options *)options)->iterations;
    return k >= 1 && k <= 100 && floor(k) == k ? NULL : "iterations must be a whole number to 100";
}

/* AdamW moves what is no matrix. */
static tg_optim *rest(tg_params *ps, const char *where, const void *options)
{
    const tg_adam_options o = {.size = sizeof o,
                               .learning_rate = ((const tg_muon_options *)options)->rest_lr,
                               .weight_decay = 0.01,
                               .decoupled = true};
    return tg_adam_new_at(ps, where, &o);
}

static const tg_optim_setting settings[] = {
    TG_SETTING_RATE(tg_muon_options, 1e-3),
    TG_SETTING(tg_muon_options, momentum, 0.95, TG_RANGE_BELOW_ONE),
    TG_SETTING(tg_muon_options, weight_decay, 0.1, TG_RANGE_POSITIVE),
    TG_SETTING(tg_muon_options, eps, 1e-7, TG_RANGE_POSITIVE),
    TG_SETTING(tg_muon_options, iterations, 5, TG_RANGE_POSITIVE),
    TG_SETTING(tg_muon_options, rest_lr, 1e-3, TG_RANGE_POSITIVE),
    TG_SETTING(tg_muon_options, no_nesterov, 0, TG_RANGE_FLAG),
    TG_SETTING(tg_muon_options, match_adam, 0, TG_RANGE_FLAG)};

const tg_optim_kind tg_muon_kind = {
    .info = {"muon", "momentum made orthogonal; AdamW for what is no matrix",
             TG_SETTINGS(settings)},
    .unsized = TG_UNSIZED(tg_muon_options),
    .check = check,
    .rest = rest,
    .rule = {.size = sizeof(tg_optim_rule),
             .name = "muon",
             .options_size = sizeof(tg_muon_options),
             .n_slots = 1,
             .slot = {"momentum"},
             .n_scratch = 4,
             .whole = true,
             .prepare = prepare,
             .fits = fits,
             .update = {[TG_F32] = {update_f32}, [TG_F64] = {update_f64}}}};

TG_OPTIMIZER(muon)
