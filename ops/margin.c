/* Losses composed of other ops: of margins, of divergences and of similarities. */
#include "elementwise.h"
#include "loss.h"
#include <math.h>

#ifndef TG_SAMPLES

static bool is_least(tg_tape *t, const char *where, const char *name, const char *what,
                     double value, double least)
{
    if (value >= least) return true;
    tg_fail_at(t, where, TG_EVALUE, "%s: %s = %g is not a number >= %g", name, what, value, least);
    return false;
}

/* Huber's loss over its delta. */
tg_tensor *tg_smooth_l1_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                double beta, tg_reduction reduction)
{
    const char *const name = "smooth_l1_loss";
    if (!tg_loss_fits(t, where, name, x, target) ||
        !is_least(t, where, name, "beta", beta, 0x1p-1022))
        return NULL;
    return tg_scale(t, tg_huber_loss(t, x, target, beta, reduction), 1 / beta);
}

/* target (ln target - x) */
tg_tensor *tg_kl_div_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                             tg_reduction reduction)
{
    if (!tg_loss_fits(t, where, "kl_div_loss", x, target)) return NULL;
    tg_tensor *y = tg_sub(t, tg_xlogy(t, target, target), tg_mul(t, target, x));
    return tg_loss_reduce(t, where, "kl_div_loss", y, reduction);
}

tg_tensor *tg_soft_margin_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                  tg_reduction reduction)
{
    if (!tg_loss_fits(t, where, "soft_margin_loss", x, target)) return NULL;
    tg_tensor *y = tg_softplus(t, tg_neg(t, tg_mul(t, target, x)));
    return tg_loss_reduce(t, where, "soft_margin_loss", y, reduction);
}

tg_tensor *tg_hinge_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                            double margin, tg_reduction reduction)
{
    if (!tg_loss_fits(t, where, "hinge_loss", x, target)) return NULL;
    tg_tensor *y = tg_relu(t, tg_offset(t, tg_neg(t, tg_mul(t, target, x)), margin));
    return tg_loss_reduce(t, where, "hinge_loss", y, reduction);
}

tg_tensor *tg_squared_hinge_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                    double margin, tg_reduction reduction)
{
    if (!tg_loss_fits(t, where, "squared_hinge_loss", x, target)) return NULL;
    tg_tensor *y = tg_square(t, tg_hinge_loss(t, x, target, margin, TG_REDUCE_NONE));
    return tg_loss_reduce(t, where, "squared_hinge_loss", y, reduction);
}

/* What is alike where target is above 0, else how little apart the others are. */
static tg_tensor *alike_or_apart(tg_tape *t, const char *where, tg_tensor *target, tg_tensor *alike,
                                 tg_tensor *apart)
{
    return tg_where(t, tg_greater(t, target, tg_constant_like(t, target, 0)), alike,
                    tg_relu(t, apart));
}

tg_tensor *tg_hinge_embedding_loss_at(tg_tape *t, const char *where, tg_tensor *x,
                                      tg_tensor *target, double margin, tg_reduction reduction)
{
    if (!tg_loss_fits(t, where, "hinge_embedding_loss", x, target)) return NULL;
    tg_tensor *y = alike_or_apart(t, where, target, x, tg_offset(t, tg_neg(t, x), margin));
    return tg_loss_reduce(t, where, "hinge_embedding_loss", y, reduction);
}

tg_tensor *tg_cosine_embedding_loss_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                                       tg_tensor *target, double margin, tg_reduction reduction)
{
    const char *const name = "cosine_embedding_loss";
    if (!tg_loss_fits(t, where, name, a, b)) return NULL;
    if (tg_tensor_shape(a).ndim < 1)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: a scalar has no elements to compare", name);
    tg_tensor *c = tg_cosine_similarity(t, a, b, -1, 1e-8);
    if (!tg_loss_fits(t, where, name, c, target)) return NULL;
    tg_tensor *y =
        alike_or_apart(t, where, target, tg_offset(t, tg_neg(t, c), 1), tg_offset(t, c, -margin));
    return tg_loss_reduce(t, where, name, y, reduction);
}

tg_tensor *tg_gaussian_nll_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                   tg_tensor *variance, double least, tg_reduction reduction)
{
    const char *const name = "gaussian_nll_loss";
    if (!tg_loss_fits(t, where, name, x, target) || !tg_loss_fits(t, where, name, x, variance) ||
        !is_least(t, where, name, "the least variance", least, 0))
        return NULL;
    tg_tensor *v = tg_clamp(t, variance, least, INFINITY);
    tg_tensor *y = tg_add(t, tg_log(t, v), tg_div(t, tg_square(t, tg_sub(t, x, target)), v));
    return tg_loss_reduce(t, where, name, tg_scale(t, y, 0.5), reduction);
}

tg_tensor *tg_margin_ranking_loss_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                                     tg_tensor *target, double margin, tg_reduction reduction)
{
    const char *const name = "margin_ranking_loss";
    if (!tg_loss_fits(t, where, name, a, b) || !tg_loss_fits(t, where, name, a, target))
        return NULL;
    tg_tensor *y = tg_mul(t, target, tg_sub(t, b, a));
    return tg_loss_reduce(t, where, name, tg_relu(t, tg_offset(t, y, margin)), reduction);
}

tg_tensor *tg_cosine_similarity_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                                   int axis, double eps)
{
    const char *const name = "cosine_similarity";
    int k;
    if (!tg_loss_fits(t, where, name, a, b) ||
        !tg_axis_find(t, where, name, tg_tensor_shape(a).ndim, axis, &k) ||
        !is_least(t, where, name, "eps", eps, 0))
        return NULL;
    tg_tensor *of_a = tg_clamp(t, tg_norm(t, a, 2, TG_AXES(k), false), eps, INFINITY),
              *of_b = tg_clamp(t, tg_norm(t, b, 2, TG_AXES(k), false), eps, INFINITY);
    tg_tensor *dot = tg_sum(t, tg_mul(t, a, b), TG_AXES(k), false);
    return tg_div(t, tg_div(t, dot, of_a), of_b);
}

tg_tensor *tg_triplet_margin_loss_at(tg_tape *t, const char *where, tg_tensor *anchor,
                                     tg_tensor *same, tg_tensor *other, double margin,
                                     tg_reduction reduction)
{
    const char *const name = "triplet_margin_loss";
    if (!tg_loss_fits(t, where, name, anchor, same) || !tg_loss_fits(t, where, name, anchor, other))
        return NULL;
    if (tg_tensor_shape(anchor).ndim < 1)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: a scalar has no elements to compare", name);
    tg_tensor *near = tg_norm(t, tg_sub(t, anchor, same), 2, TG_AXES(-1), false),
              *far = tg_norm(t, tg_sub(t, anchor, other), 2, TG_AXES(-1), false);
    tg_tensor *y = tg_relu(t, tg_offset(t, tg_sub(t, near, far), margin));
    return tg_loss_reduce(t, where, name, y, reduction);
}

#define LOSS(name, known) KNOWN(name, "[...], target [...] -> [] or [...]", -1, known)
LOSS(smooth_l1_loss, ("d^2 / (2 beta) for |d| <= beta, else |d| - beta / 2, d = x - target",
                      .kinks = "|d| = beta, of the second derivative"))
LOSS(kl_div_loss, ("target (ln target - x)", .domain = "target >= 0"))
LOSS(soft_margin_loss, ("ln(1 + e^(-target x))"))
LOSS(hinge_loss, ("max(margin - target x, 0)", .kinks = "target x = margin"))
LOSS(squared_hinge_loss,
     ("max(margin - target x, 0)^2", .kinks = "target x = margin, of the second derivative"))
LOSS(hinge_embedding_loss, ("x for target > 0, else max(margin - x, 0)", .kinks = "x = margin"))
KNOWN(cosine_embedding_loss, "[..., n] twice, target [...] -> [] or [...]", -1,
      ("1 - c for target > 0, else max(c - margin, 0), c = cosine_similarity(a, b)",
       .kinks = "c = margin"))
LOSS(gaussian_nll_loss,
     ("(ln v + (x - target)^2 / v) / 2, v = max(variance, least)", .kinks = "variance = least"))
LOSS(margin_ranking_loss, ("max(margin - target (a - b), 0)", .kinks = "at the margin"))
KNOWN(cosine_similarity, "[..., n, ...] twice -> [..., ...]", -1,
      ("a . b / (max(|a|, eps) max(|b|, eps))", .kinks = "|a| or |b| = eps"))
KNOWN(triplet_margin_loss, "[..., n] three times -> [] or [...]", -1,
      ("max(|anchor - same| - |anchor - other| + margin, 0)", .kinks = "at the margin"))

#else

typedef double (*element)(double a, double b, double c);

/* By element, and the mean of all. */
static void each(const tg_array *x, tg_array *y, int n, element loss)
{
    const double *a = x->data, *b = x[1].data, *c = n > 2 ? x[2].data : NULL;
    const int64_t count = tg_shape_count(x->shape);
    double sum = 0, *to = y->data;
    for (int64_t i = 0; i < count; i++) {
        const double v = loss(a[i], b[i], c ? c[i] : 0);
        sum += v;
        if (y->shape.ndim) to[i] = v;
    }
    if (!y->shape.ndim) to[0] = sum / (double)count;
}
static double smooth(double x, double y, double unused)
{
    const double d = fabs(x - y) + 0 * unused;
    return d <= 0.5 ? d * d : d - 0.25;
}
static double divergence(double x, double y, double unused)
{
    return y * (log(y) - x) + 0 * unused;
}
static double soft(double x, double y, double unused) { return log(1 + exp(-y * x)) + 0 * unused; }
static double hinge(double x, double y, double unused) { return fmax(2 - y * x, 0) + 0 * unused; }
static double gaussian(double x, double y, double v)
{
    return (log(v) + (x - y) * (x - y) / v) / 2;
}
static double ranking(double a, double b, double y) { return fmax(0.5 - y * (a - b), 0); }

#define TWO(name, record, loss)               \
    CALL(name##_mean, record(TG_REDUCE_MEAN)) \
    EXPECT(name##_mean, each(x, y, 2, loss))  \
    CALL(name##_none, record(TG_REDUCE_NONE)) \
    EXPECT(name##_none, each(x, y, 2, loss))
#define BOTH(name, a, b, c, d)                                            \
    SAMPLE(name##_mean, "mean", 0, REALS(a, b, 5, 3), REALS(c, d, 5, 3)), \
        SAMPLE(name##_none, "none", 0, REALS(a, b, 2, 4), REALS(c, d, 2, 4))
#define RECORD_SMOOTH(reduction) tg_smooth_l1_loss(t, x[0], x[1], 0.5, reduction)
TWO(smooth, RECORD_SMOOTH, smooth)
SAMPLES(smooth_l1_loss, BOTH(smooth, 1, 2, -1, 0.4),
        SAMPLE(smooth_none, "near", 0, REALS(0, 0.2, 6), REALS(0, 0.2, 6)))
#define RECORD_KL(reduction) tg_kl_div_loss(t, x[0], x[1], reduction)
TWO(kl, RECORD_KL, divergence)
SAMPLES(kl_div_loss, BOTH(kl, -3, 0, 0.1, 0.9))
#define RECORD_SOFT(reduction) tg_soft_margin_loss(t, x[0], x[1], reduction)
TWO(soft, RECORD_SOFT, soft)
SAMPLES(soft_margin_loss, BOTH(soft, -2, 2, -1, 1))
#define RECORD_HINGE(reduction) tg_hinge_loss(t, x[0], x[1], 2, reduction)
TWO(hinge, RECORD_HINGE, hinge)
SAMPLES(hinge_loss, BOTH(hinge, -1, 1, -1, 1),
        SAMPLE(hinge_none, "beyond", 0, REALS(3, 4, 5), REALS(1, 2, 5)))
static double squared(double x, double y, double unused) { return pow(hinge(x, y, unused), 2); }
#define RECORD_SQUARED(reduction) tg_squared_hinge_loss(t, x[0], x[1], 2, reduction)
TWO(squared, RECORD_SQUARED, squared)
SAMPLES(squared_hinge_loss, BOTH(squared, -1, 1, -1, 1),
        SAMPLE(squared_none, "beyond", 0, REALS(3, 4, 5), REALS(1, 2, 5)))
static double apart(double x, double y, double unused)
{
    return (y > 0 ? x : fmax(0.5 - x, 0)) + 0 * unused;
}
#define RECORD_APART(reduction) tg_hinge_embedding_loss(t, x[0], x[1], 0.5, reduction)
TWO(apart, RECORD_APART, apart)
SAMPLES(hinge_embedding_loss, BOTH(apart, 0, 0.4, -1, 1),
        SAMPLE(apart_none, "beyond", 0, REALS(1, 2, 5), REALS(-1, 1, 5)))
CALL(gauss, tg_gaussian_nll_loss(t, x[0], x[1], x[2], 1e-6, TG_REDUCE_MEAN))
EXPECT(gauss, each(x, y, 3, gaussian))
SAMPLES(gaussian_nll_loss,
        SAMPLE(gauss, "", 0, REALS(-1, 1, 3, 4), REALS(-1, 1, 3, 4), REALS(0.3, 2, 3, 4)))
CALL(ranks, tg_margin_ranking_loss(t, x[0], x[1], x[2], 0.5, TG_REDUCE_NONE))
EXPECT(ranks, each(x, y, 3, ranking))
SAMPLES(margin_ranking_loss,
        SAMPLE(ranks, "", 0, REALS(-1, 0, 7), REALS(0.1, 1, 7), REALS(0.5, 1, 7)))

static double length(const double *a, const double *b, int64_t n, int64_t step)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += pow(a[i * step] - (b ? b[i * step] : 0), 2);
    return sqrt(sum);
}
CALL(cosine, tg_cosine_similarity(t, x[0], x[1], 1, 1e-8))
EXPECT(
    cosine, const int64_t *d = x->shape.dim; for (int64_t i = 0; i < d[0] * d[2]; i++) {
        const int64_t at = i / d[2] * d[1] * d[2] + i % d[2];
        const double *a = (const double *)x->data + at, *b = (const double *)x[1].data + at;
        double dot = 0;
        for (int64_t k = 0; k < d[1]; k++) dot += a[k * d[2]] * b[k * d[2]];
        ((double *)y->data)[i] = dot / (length(a, NULL, d[1], d[2]) * length(b, NULL, d[1], d[2]));
    })
SAMPLES(cosine_similarity, SAMPLE(cosine, "", 0, REALS(-2, 2, 2, 5, 3), REALS(-2, 2, 2, 5, 3)))
CALL(angles, tg_cosine_embedding_loss(t, x[0], x[1], x[2], -0.9, TG_REDUCE_NONE))
EXPECT(
    angles, const int64_t n = x->shape.dim[1]; for (int64_t i = 0; i < x->shape.dim[0]; i++) {
        const double *a = (const double *)x->data + i * n, *b = (const double *)x[1].data + i * n;
        double dot = 0;
        for (int64_t k = 0; k < n; k++) dot += a[k] * b[k];
        const double c = dot / (length(a, NULL, n, 1) * length(b, NULL, n, 1));
        ((double *)y->data)[i] = ((const double *)x[2].data)[i] > 0 ? 1 - c : fmax(c + 0.9, 0);
    })
SAMPLES(cosine_embedding_loss,
        SAMPLE(angles, "", 0, REALS(-2, 2, 5, 3), REALS(-2, 2, 5, 3), REALS(-1, 1, 5)))
CALL(triplets, tg_triplet_margin_loss(t, x[0], x[1], x[2], 9, TG_REDUCE_NONE))
EXPECT(
    triplets, const int64_t n = x->shape.dim[1]; for (int64_t i = 0; i < x->shape.dim[0]; i++) {
        const double *a = (const double *)x->data + i * n;
        ((double *)y->data)[i] = fmax(length(a, (const double *)x[1].data + i * n, n, 1) -
                                          length(a, (const double *)x[2].data + i * n, n, 1) + 9,
                                      0);
    })
SAMPLES(triplet_margin_loss,
        SAMPLE(triplets, "", 0, REALS(-2, 2, 3, 4), REALS(-2, 2, 3, 4), REALS(-2, 2, 3, 4)))

#endif
