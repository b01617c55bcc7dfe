/* Losses that compare element by element: mse, l1, huber, and binary cross-entropy on probabilities
 * and on logits. */
#include "loss.h"
#include "elementwise.h"
#include <math.h>

#ifndef TG_SAMPLES

bool tg_loss_fits(tg_tape *t, const char *where, const char *name, tg_tensor *prediction,
                  tg_tensor *target)
{
    if (!tg_ready_float(t, TG_HERE, name, prediction) || !tg_ready(t, TG_HERE, name, target))
        return false;
    const tg_shape x = tg_tensor_shape(prediction), y = tg_tensor_shape(target);
    const tg_dtype a = tg_dtype_on(t, prediction), b = tg_dtype_on(t, target);
    if (!tg_shape_equal(x, y))
        tg_fail_at(t, TG_HERE, TG_ESHAPE, "%s: prediction %s and target %s differ", name,
                   tg_shape_text(x).text, tg_shape_text(y).text);
    else if (a != b)
        tg_fail_at(t, TG_HERE, TG_EDTYPE, "%s: prediction is %s but target is %s", name,
                   tg_dtype_name(a), tg_dtype_name(b));
    return tg_tape_status(t) == TG_OK;
}

tg_tensor *tg_loss_reduce(tg_tape *t, const char *where, const char *name, tg_tensor *y,
                          tg_reduction reduction)
{
    switch (reduction) {
    case TG_REDUCE_MEAN: return tg_mean(t, y, TG_ALL_AXES, false);
    case TG_REDUCE_SUM: return tg_sum(t, y, TG_ALL_AXES, false);
    case TG_REDUCE_NONE: return y;
    }
    return tg_fail_at(t, TG_HERE, TG_EVALUE, "%s: %d is no reduction", name, (int)reduction);
}

tg_tensor *tg_mse_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                          tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, "mse_loss", x, target)) return NULL;
    return tg_loss_reduce(t, TG_HERE, "mse_loss", tg_square(t, tg_sub(t, x, target)), reduction);
}

tg_tensor *tg_l1_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                         tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, "l1_loss", x, target)) return NULL;
    return tg_loss_reduce(t, TG_HERE, "l1_loss", tg_abs(t, tg_sub(t, x, target)), reduction);
}

/* ------------------------------------------------------- huber: a is the difference, b is delta */

TG_MAP_2(huber_span, ABS(a) <= b ? (T)0.5 * a * a : b * (ABS(a) - (T)0.5 * b))

static void huber_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, tg_maximum(t, tg_minimum(t, x[0], x[1]), tg_neg(t, x[1])));
}

static const tg_op huber = {
    .size = sizeof(tg_op), .name = "huber_loss", .n_in = 2, .span = &huber_span, .vjp = huber_vjp};

tg_tensor *tg_huber_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                            double delta, tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, "huber_loss", x, target)) return NULL;
    if (!(delta > 0))
        return tg_fail_at(t, TG_HERE, TG_EVALUE, "huber_loss: delta = %g is not positive", delta);
    tg_tensor *y =
        tg_apply_2(t, TG_HERE, &huber, tg_sub(t, x, target), tg_constant_like(t, x, delta));
    return tg_loss_reduce(t, TG_HERE, "huber_loss", y, reduction);
}

/* ---------------------------------------------------------------- counts */

tg_tensor *tg_poisson_nll_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                  tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, "poisson_nll_loss", x, target)) return NULL;
    tg_tensor *y = tg_sub(t, tg_exp(t, x), tg_mul(t, target, x));
    return tg_loss_reduce(t, TG_HERE, "poisson_nll_loss", y, reduction);
}

/* -------------------------------------------------------- binary cross-entropy on probabilities */

/* carried: loss */
#define AT_LEAST_MINUS_100(x) ((x) < -100 ? -100 : (x))
#define OUTSIDE(x) (!((x) >= 0 && (x) <= 1))

/* Reports the first bad element of a block that has one. */
#define BCE(fn, TARGET, BUILD, T)                                                               \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand)           \
    {                                                                                           \
        enum { build = BUILD };                                                                 \
        const T *p = (const T *)operand[0], *target = (const T *)operand[1];                    \
        T *y = (T *)result;                                                                     \
        const int64_t n = s->n;                                                                 \
        int bad = 0;                                                                            \
        for (int64_t i = 0; i < n; i++) bad |= OUTSIDE(p[i]) | OUTSIDE(target[i]);              \
        for (int64_t i = 0; bad && i < n; i++) {                                                \
            if (!OUTSIDE(p[i]) && !OUTSIDE(target[i])) continue;                                \
            const bool of_p = OUTSIDE(p[i]);                                                    \
            tg_span_fail(s, s->first + i, TG_EVALUE, "element %lld: %s %.9g is outside [0, 1]", \
                         (long long)(s->first + i), of_p ? "probability" : "target",            \
                         (double)(of_p ? p[i] : target[i]));                                    \
            bad = 0;                                                                            \
        }                                                                                       \
        TG_INDEPENDENT                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                       \
            const T q = p[i], w = target[i], yes = LOG(q), no = LOG1P(-q);                      \
            y[i] = (w - 1) * AT_LEAST_MINUS_100(no) - w * AT_LEAST_MINUS_100(yes);              \
        }                                                                                       \
    }
TG_EACH_BUILD(BCE, bce_f32, float)
TG_EACH_BUILD_F64(BCE, bce_f64, double)
TG_SPANS_WITH(bce_span, NULL, TG_CARRIED("loss bce_span"), TG_BUILDS(bce_f32),
              TG_BUILDS_F64(bce_f64))
/* carried so far */

/* ln(1 - p) - ln p, the derivative by the target; its own derivative is, as that of the other
 * gradient by the target, -1 / max(p (1 - p), 1e-12). */
/* What follows is exported with the text that its expressions call. */
#undef TG_SPANS
#define TG_SPANS(name, text, ...) TG_SPANS_WITH(name, text, TG_CARRIED("loss"), __VA_ARGS__)
TG_MAP_1(bce_odds_span, AT_LEAST_MINUS_100(LOG1P(-x)) - AT_LEAST_MINUS_100(LOG(x)))

static tg_tensor *bounded_variance(tg_tape *t, const char *where, tg_tensor *p)
{
    return tg_clamp(t, tg_mul(t, p, tg_offset(t, tg_neg(t, p), 1)), 1e-12, INFINITY);
}

static void bce_odds_vjp(TG_VJP)
{
    gx[0] = tg_neg(t, tg_div(t, gy, bounded_variance(t, TG_HERE, x[0])));
}
static const tg_op bce_odds = {.size = sizeof(tg_op),
                               .name = "bce_loss_odds",
                               .n_in = 1,
                               .span = &bce_odds_span,
                               .vjp = bce_odds_vjp};

static void bce_vjp(TG_VJP)
{
    tg_tensor *p = x[0], *target = x[1];
    gx[0] = tg_mul(t, gy, tg_div(t, tg_sub(t, p, target), bounded_variance(t, TG_HERE, p)));
    if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, tg_apply_1(t, TG_HERE, &bce_odds, p));
}

static const tg_op bce = {
    .size = sizeof(tg_op), .name = "bce_loss", .n_in = 2, .span = &bce_span, .vjp = bce_vjp};

tg_tensor *tg_bce_loss_at(tg_tape *t, const char *where, tg_tensor *p, tg_tensor *target,
                          tg_reduction reduction)
{
    if (!tg_loss_fits(t, TG_HERE, "bce_loss", p, target)) return NULL;
    return tg_loss_reduce(t, TG_HERE, "bce_loss", tg_apply_2(t, TG_HERE, &bce, p, target),
                          reduction);
}

/* ---------------------- binary cross-entropy on logits: a the logit, b the target, c its weight */

/* w t softplus(-z) + (1 - t) softplus(z), and w softplus(z): a term that weighs 0 is exactly 0
 * whatever z, by a choice after the product. */
/* carried: loss */
#define SOFTPLUS_SUMS(suffix, T)                                                                 \
    TG_INLINE T weighed_##suffix(T z, T w, int build)                                            \
    {                                                                                            \
        const T term = w * ((z > 0 ? z : 0) + LOG1P_UNIT(EXP(-ABS(z))));                         \
        return w == 0 ? 0 : term;                                                                \
    }                                                                                            \
    TG_INLINE T logits_##suffix(T z, T t, T w, int build)                                        \
    {                                                                                            \
        const T tail = LOG1P_UNIT(EXP(-ABS(z))), yes = w * t, no = 1 - t;                        \
        const T of_yes = yes * ((z < 0 ? -z : 0) + tail), of_no = no * ((z > 0 ? z : 0) + tail); \
        return (yes == 0 ? 0 : of_yes) + (no == 0 ? 0 : of_no);                                  \
    }
SOFTPLUS_SUMS(f32, float)
SOFTPLUS_SUMS(f64, double)

/* (1 - t) sigmoid(z) - t sigmoid(-z), the derivative: sigmoid(z) - t would cancel. */
#define LOGITS_SLOPE(suffix, T)                                           \
    TG_INLINE T logits_slope_##suffix(T z, T t, int build)                \
    {                                                                     \
        const T e = EXP(-ABS(z)), r = 1 / (1 + e), small = e * r;         \
        return (1 - t) * (z >= 0 ? r : small) - t * (z >= 0 ? small : r); \
    }
LOGITS_SLOPE(f32, float)
LOGITS_SLOPE(f64, double)
/* carried so far */

TG_MAP_2(logits_slope_span, TG_BY_TYPE(a, logits_slope)(a, b, build))
TG_MAP_2(logits_span, TG_BY_TYPE(a, logits)(a, b, 1, build))
TG_MAP_3(weighted_span, TG_BY_TYPE(a, logits)(a, b, c, build))

/* By itself, for derivatives in the weight. */
TG_MAP_2(weighed_span, TG_BY_TYPE(a, weighed)(a, b, build))

static void weighed_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = tg_mul(t, gy, tg_mul(t, x[1], tg_sigmoid(t, x[0])));
    if (tg_wants(t, 1)) gx[1] = tg_mul(t, gy, tg_softplus(t, x[0]));
}

static const tg_op weighed = {.size = sizeof(tg_op),
                              .name = "weighed_softplus",
                              .n_in = 2,
                              .span = &weighed_span,
                              .vjp = weighed_vjp};

static const tg_op logits_slope;
static void logits_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = tg_mul(t, gy, tg_apply_2(t, TG_HERE, &logits_slope, x[0], x[1]));
    if (tg_wants(t, 1)) gx[1] = tg_neg(t, tg_mul(t, gy, x[0]));
}

static void logits_slope_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, gy, tg_sigmoid_slope(t, TG_HERE, x[0]));
    if (tg_wants(t, 1)) gx[1] = tg_neg(t, gy);
}

static void weighted_vjp(TG_VJP)
{
    tg_tensor *z = x[0], *target = x[1], *w = x[2], *minus_z = tg_neg(t, z);
    tg_tensor *rest = tg_offset(t, tg_neg(t, target), 1);
    tg_tensor *slope = tg_sub(t, tg_mul(t, rest, tg_sigmoid(t, z)),
                              tg_mul(t, tg_mul(t, w, target), tg_sigmoid(t, minus_z)));
    gx[0] = tg_mul(t, gy, slope);
    if (tg_wants(t, 1))
        gx[1] = tg_mul(t, gy,
                       tg_sub(t, tg_apply_2(t, TG_HERE, &weighed, minus_z, w), tg_softplus(t, z)));
    if (tg_wants(t, 2)) gx[2] = tg_mul(t, gy, tg_apply_2(t, TG_HERE, &weighed, minus_z, target));
}

static const tg_op logits_slope = {.size = sizeof(tg_op),
                                   .name = "bce_with_logits_slope",
                                   .n_in = 2,
                                   .span = &logits_slope_span,
                                   .vjp = logits_slope_vjp};
static const tg_op logits = {.size = sizeof(tg_op),
                             .name = "bce_with_logits_loss",
                             .n_in = 2,
                             .span = &logits_span,
                             .vjp = logits_vjp};
static const tg_op weighted = {.size = sizeof(tg_op),
                               .name = "bce_with_logits_loss",
                               .n_in = 3,
                               .span = &weighted_span,
                               .vjp = weighted_vjp};

tg_tensor *tg_bce_with_logits_loss_at(tg_tape *t, const char *where, tg_tensor *z,
                                      tg_tensor *target, tg_tensor *pos_weight,
                                      tg_reduction reduction)
{
    static const char name[] = "bce_with_logits_loss";
    if (!tg_loss_fits(t, TG_HERE, name, z, target)) return NULL;
    if (pos_weight && !tg_ready(t, TG_HERE, name, pos_weight)) return NULL;
    const tg_shape shape = tg_tensor_shape(z), w = tg_tensor_shape(pos_weight);
    if (pos_weight && !tg_shape_equal(tg_shape_broadcast(shape, w), shape))
        return tg_fail_at(t, TG_HERE, TG_ESHAPE, "%s: pos_weight %s does not broadcast to %s", name,
                          tg_shape_text(w).text, tg_shape_text(shape).text);
    tg_tensor *y = pos_weight ? tg_apply_3(t, TG_HERE, &weighted, z, target, pos_weight)
                              : tg_apply_2(t, TG_HERE, &logits, z, target);
    return tg_loss_reduce(t, TG_HERE, name, y, reduction);
}

tg_tensor *tg_bce_with_logits_at(tg_tape *t, const char *where, tg_tensor *z, tg_tensor *target)
{
    return tg_bce_with_logits_loss(t, z, target, NULL, TG_REDUCE_MEAN);
}

KNOWN(mse_loss, "equal shapes -> [], or theirs", -1, ("(x - target)^2"))
KNOWN(l1_loss, "equal shapes -> [], or theirs", -1, ("|x - target|", .kinks = "x = target"))
KNOWN(huber_loss, "equal shapes -> [], or theirs", -1,
      ("d^2/2 for |d| <= delta, else delta (|d| - delta/2); d = x - target"))
KNOWN(poisson_nll_loss, "equal shapes -> [], or theirs", -1, ("e^x - target x"))
KNOWN(bce_loss, "equal shapes -> [], or theirs", -1,
      ("-(t ln p + (1 - t) ln(1 - p))", .domain = "0 <= p, t <= 1"))
KNOWN(bce_with_logits_loss, "equal shapes -> [], or theirs", -1,
      ("w t softplus(-z) + (1 - t) softplus(z)"))
KNOWN(bce_with_logits, "equal shapes -> []", -1, ("mean of t softplus(-z) + (1 - t) softplus(z)"))

#else

/* The sum or the elements of a loss, then its mean. */
static void sample_of(const tg_array *x, tg_array *y,
                      double (*loss)(double x, double target, double more), const double *more,
                      int64_t most)
{
    const int64_t n = tg_shape_count(x[0].shape);
    double sum = 0, *out = y->data;
    for (int64_t i = 0; i < n; i++) {
        const double one = loss(((const double *)x[0].data)[i], ((const double *)x[1].data)[i],
                                more ? more[i % most] : 0);
        sum += one;
        if (y->shape.ndim > 0) out[i] = one;
    }
    if (y->shape.ndim == 0) out[0] = sum;
}

static void mean_of(const tg_array *x, tg_array *y,
                    double (*loss)(double x, double target, double more))
{
    sample_of(x, y, loss, NULL, 1);
    ((double *)y->data)[0] /= (double)tg_shape_count(x[0].shape);
}

static double mse(double x, double target, double unused)
{
    (void)unused;
    return pow(x - target, 2);
}
static double l1(double x, double target, double unused)
{
    (void)unused;
    return x > target ? x - target : target - x;
}
static double huber_half(double x, double target, double unused)
{
    (void)unused;
    const double d = fabs(x - target);
    return d <= 0.5 ? d * d / 2 : 0.5 * d - 0.125;
}
static double poisson(double x, double target, double unused)
{
    (void)unused;
    return exp(x) - target * x;
}
static double bce(double p, double target, double unused)
{
    (void)unused;
    return -target * log(p) - (1 - target) * log(1 - p);
}
static double logits_weighted(double z, double target, double w)
{
    return w * target * log(1 + exp(-z)) + (1 - target) * log(1 + exp(z));
}
static double logits_plain(double z, double target, double unused)
{
    (void)unused;
    return logits_weighted(z, target, 1);
}

/* A loss with each reduction; recorded by RECORD(reduction). */
#define REDUCTIONS(name, RECORD, loss)                 \
    CALL(name##_mean, RECORD(TG_REDUCE_MEAN))          \
    EXPECT(name##_mean, mean_of(x, y, loss))           \
    CALL(name##_sum, RECORD(TG_REDUCE_SUM))            \
    EXPECT(name##_sum, sample_of(x, y, loss, NULL, 1)) \
    CALL(name##_none, RECORD(TG_REDUCE_NONE))          \
    EXPECT(name##_none, sample_of(x, y, loss, NULL, 1))
#define REDUCED(name, low, high, from, to)                                           \
    SAMPLE(name##_mean, "mean", 0, REALS(low, high, 7, 5), REALS(from, to, 7, 5)),   \
        SAMPLE(name##_sum, "sum", 0, REALS(low, high, 1030), REALS(from, to, 1030)), \
        SAMPLE(name##_none, "none", 0, REALS(low, high, 3, 4), REALS(from, to, 3, 4))

#define RECORD_MSE(reduction) tg_mse_loss(t, x[0], x[1], reduction)
REDUCTIONS(mse, RECORD_MSE, mse)
SAMPLES(mse_loss, REDUCED(mse, -2, 2, -2, 2))

#define RECORD_L1(reduction) tg_l1_loss(t, x[0], x[1], reduction)
REDUCTIONS(l1, RECORD_L1, l1)
SAMPLES(l1_loss, REDUCED(l1, 0.5, 2, -2, 0.4))

#define RECORD_HUBER(reduction) tg_huber_loss(t, x[0], x[1], 0.5, reduction)
REDUCTIONS(huber, RECORD_HUBER, huber_half)
SAMPLES(huber_loss, REDUCED(huber, -1, 1, -1, 1))

#define RECORD_POISSON(reduction) tg_poisson_nll_loss(t, x[0], x[1], reduction)
REDUCTIONS(poisson, RECORD_POISSON, poisson)
SAMPLES(poisson_nll_loss, REDUCED(poisson, -2, 2, 0, 4))

#define RECORD_BCE(reduction) tg_bce_loss(t, x[0], x[1], reduction)
REDUCTIONS(bce, RECORD_BCE, bce)
SAMPLES(bce_loss, REDUCED(bce, 0.1, 0.9, 0.1, 0.9))

#define RECORD_LOGITS(reduction) tg_bce_with_logits_loss(t, x[0], x[1], NULL, reduction)
REDUCTIONS(logits, RECORD_LOGITS, logits_plain)
CALL_WITHOUT(weighted, 1 << 2, tg_bce_with_logits_loss(t, x[0], x[1], x[2], TG_REDUCE_NONE))
EXPECT(weighted, sample_of(x, y, logits_weighted, x[2].data, x[2].shape.dim[0]))
SAMPLES(bce_with_logits_loss, REDUCED(logits, -4, 4, 0, 1),
        SAMPLE(weighted, "pos_weight", 0, REALS(-4, 4, 5, 3), REALS(0, 1, 5, 3), REALS(0.5, 3, 3)))

CALL(bce_with_logits, tg_bce_with_logits(t, x[0], x[1]))
EXPECT(bce_with_logits, mean_of(x, y, logits_plain))
SAMPLES(bce_with_logits, SAMPLE(bce_with_logits, "", 0, REALS(-4, 4, 9, 1), REALS(0, 1, 9, 1)))

#endif
