/* Random numbers on the tape: each is a function of the tape's seed and stream, its step, the
 * ordinal of the draw in the recording, and the element's place. */
#include "folds.h"
#include <inttypes.h>
#include <math.h>

#ifdef TG_SAMPLES
#include "../graph/params.h"
#endif

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- uniform in (0, 1)
 *
 * Element i is made of two words of Philox block i / 2, of their upper 52 bits, or in f32 23: the
 * middle of one of as many parts, so that neither 0 nor 1 is drawn. */

/* carried: draw, on philox */
#define UNIFORM(fn, T, BITS)                                                                   \
    static void fn(const tg_span *s, void *result, const void *const *operand)                 \
    {                                                                                          \
        T *y = (T *)result;                                                                    \
        uint32_t word[4];                                                                      \
        (void)operand;                                                                         \
        for (int64_t i = 0; i < s->n; i++) {                                                   \
            const uint64_t at = (uint64_t)(s->first + i);                                      \
            if (i == 0 || at % 2 == 0)                                                         \
                tg_philox(s->key, s->step, (uint32_t)s->attrs[0], at / 2, word);               \
            const uint64_t bits = (uint64_t)word[at % 2 * 2 + 1] << 32 | word[at % 2 * 2];     \
            y[i] = ((T)(int64_t)(bits >> (64 - (BITS))) + (T)0.5) / (T)(INT64_C(1) << (BITS)); \
        }                                                                                      \
    }
UNIFORM(uniform_f32, float, 23)
UNIFORM(uniform_f64, double, 52)
TG_SPANS_WITH(draw_spans, NULL, TG_CARRIED("draw draw_spans"), TG_SAME_BUILDS(uniform_f32),
              TG_SAME_BUILDS(uniform_f64))
/* carried so far */

static const tg_op uniform = {
    .size = sizeof(tg_op), .name = "rand", .n_in = 1, .flags = TG_DRAWS, .span = &draw_spans};

/* Whether numbers of this dtype and shape can be drawn on a healthy tape. */
static bool can_draw(tg_tape *t, const char *where, const char *name, tg_dtype dtype,
                     tg_shape shape)
{
    if (tg_tape_status(t) != TG_OK) return false;
    if (dtype != TG_F32 && dtype != TG_F64)
        tg_fail_at(t, where, TG_EDTYPE, "%s: not defined for dtype %s", name, tg_dtype_name(dtype));
    else if (tg_shape_count(shape) < 0)
        tg_fail_at(t, where, TG_ESHAPE, "%s: %s", name, tg_shape_refusal(shape).text);
    else return true;
    return false;
}
static tg_tensor *drawn(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    const int64_t ordinal = tg_draw_ordinal(t);
    tg_tensor *x = tg_expand(t, tg_constant(t, dtype, 0), shape);
    return tg_apply(t, &uniform, 1, &x, 1, &ordinal);
}
tg_tensor *tg_rand_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    return can_draw(t, where, "rand", dtype, shape) ? drawn(t, where, dtype, shape) : NULL;
}

/* Box and Muller's: the distance and the angle of a point of the normal distribution in the
 * plane. */
static tg_tensor *normal(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    tg_tensor *far = tg_sqrt(t, tg_scale(t, tg_log(t, drawn(t, where, dtype, shape)), -2));
    return tg_mul(t, far, tg_cos(t, tg_scale(t, drawn(t, where, dtype, shape), 6.283185307179586)));
}
tg_tensor *tg_randn_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    return can_draw(t, where, "randn", dtype, shape) ? normal(t, where, dtype, shape) : NULL;
}

/* ---------------------------------------------------------------- with parameters */

tg_tensor *tg_normal_at(tg_tape *t, const char *where, tg_tensor *mean, tg_tensor *deviation)
{
    if (!tg_ready_float(t, where, "normal", mean) || !tg_ready_float(t, where, "normal", deviation))
        return NULL;
    const tg_shape a = tg_tensor_shape(mean), b = tg_tensor_shape(deviation),
                   shape = tg_shape_broadcast(a, b);
    if (shape.ndim < 0)
        return tg_fail_at(t, where, TG_ESHAPE, "normal: shapes do not fit: %s and %s",
                          tg_shape_text(a).text, tg_shape_text(b).text);
    return tg_add(t, mean, tg_mul(t, deviation, normal(t, where, tg_dtype_on(t, mean), shape)));
}
tg_tensor *tg_exponential_at(tg_tape *t, const char *where, tg_tensor *rate)
{
    if (!tg_ready_float(t, where, "exponential", rate)) return NULL;
    tg_tensor *u = drawn(t, where, tg_dtype_on(t, rate), tg_tensor_shape(rate));
    return tg_div(t, tg_neg(t, tg_log(t, u)), rate);
}
tg_tensor *tg_bernoulli_at(tg_tape *t, const char *where, tg_tensor *p)
{
    if (!tg_ready_float(t, where, "bernoulli", p)) return NULL;
    return tg_less(t, drawn(t, where, tg_dtype_on(t, p), tg_tensor_shape(p)), p);
}

/* -ln(-ln u) more: the greatest of them is each with the probability that softmax gives it. */
static tg_tensor *with_gumbel(tg_tape *t, const char *where, tg_tensor *logits)
{
    tg_tensor *u = drawn(t, where, tg_dtype_on(t, logits), tg_tensor_shape(logits));
    return tg_sub(t, logits, tg_log(t, tg_neg(t, tg_log(t, u))));
}
tg_tensor *tg_categorical_at(tg_tape *t, const char *where, tg_tensor *logits, int axis)
{
    if (!tg_ready_float(t, where, "categorical", logits)) return NULL;
    return tg_argmax(t, with_gumbel(t, where, logits), axis, false);
}
tg_tensor *tg_gumbel_softmax_at(tg_tape *t, const char *where, tg_tensor *logits,
                                double temperature, bool hard, int axis)
{
    const char *const name = "gumbel_softmax";
    int k;
    if (!tg_ready_float(t, where, name, logits) ||
        !tg_axis_find(t, where, name, tg_tensor_shape(logits).ndim, axis, &k))
        return NULL;
    if (!(temperature > 0))
        return tg_fail_at(t, where, TG_EVALUE, "%s: a temperature of %g, not above 0", name,
                          temperature);
    tg_tensor *z = with_gumbel(t, where, logits),
              *soft = tg_softmax(t, tg_scale(t, z, 1 / temperature), k);
    if (!hard || !soft) return soft;
    const int64_t classes = tg_tensor_shape(z).dim[k];
    tg_tensor *first = tg_argmax(t, z, k, false);
    tg_axes back = {.n = tg_tensor_shape(z).ndim};
    for (int d = 0; d < back.n; d++) back.axis[d] = d < k ? d : d == k ? back.n - 1 : d - 1;
    tg_tensor *ones = tg_permute(t, tg_one_hot(t, first, classes, tg_dtype_on(t, logits)), back);
    return tg_straight_through(t, ones, soft);
}

tg_tensor *tg_randperm_at(tg_tape *t, const char *where, int64_t n)
{
    if (!can_draw(t, where, "randperm", TG_F64, TG_SHAPE(n))) return NULL;
    return tg_argsort(t, drawn(t, where, TG_F64, TG_SHAPE(n)), 0, false);
}

KNOWN(rand, "-> shape", 0, ("y in (0, 1), uniform"))
KNOWN(randn, "-> shape", 0, ("y normal with mean 0 and deviation 1"))
KNOWN(normal, "any, broadcast", -1, ("y = mean + deviation z, z normal"))
KNOWN(exponential, "any", -1, ("y = -ln u / rate, u uniform in (0, 1)", .domain = "rate > 0"))
KNOWN(bernoulli, "any -> u8", 0, ("y = 1 with probability p, else 0"))
KNOWN(categorical, "[..., n, ...] -> i64 [..., ...]", 0,
      ("y = k with probability softmax(logits)[k]"))
KNOWN(gumbel_softmax, "any but []", -1,
      ("y = softmax((logits - ln(-ln u)) / temperature), or its greatest alone"))
KNOWN(randperm, "-> i64 [n]", 0, ("y = 0 to n - 1 in a random order"))

#else

/* The number that is drawn. */
static double number(int64_t i, uint32_t ordinal)
{
    uint32_t word[4];
    tg_philox(tg_random_key(0, 0), 0, ordinal, (uint64_t)i / 2, word);
    const uint32_t *w = word + i % 2 * 2;
    return ((double)w[1] * 0x1p32 + (double)w[0]) * 0x1p-64;
}
static double normal_number(int64_t i)
{
    return sqrt(-2 * log(number(i, 0))) * cos(2 * acos(-1) * number(i, 1));
}
/* Added to x where nothing else is an operand; from f64, of which a result in f32 is a rounding. */
#define DRAWN(id, call, ...)                                           \
    CALL(id, tg_add(t, x[0], tg_cast(t, call, tg_tensor_dtype(x[0])))) \
    EXPECT_ALIKE(id, x + (__VA_ARGS__))
DRAWN(rand, tg_rand(t, TG_F64, TG_SHAPE(3, 5)), number(i, 0))
DRAWN(rand_f32, tg_rand(t, TG_F32, TG_SHAPE(3, 5)),
      floor(number(i, 0) * 0x1p23) * 0x1p-23 + 0x1p-24)
SAMPLES(rand, SAMPLE(rand, "f64", 0, REALS(-1, 1, 3, 5)),
        SAMPLE(rand_f32, "f32", 0, REALS(0, 0, 3, 5)))
DRAWN(randn, tg_randn(t, TG_F64, TG_SHAPE(3, 5)), normal_number(i))
SAMPLES(randn, SAMPLE(randn, "", 0, REALS(-1, 1, 3, 5)))
CALL(normal, tg_normal(t, x[0], x[1]))
EXPECT_ALIKE(normal, a + b * normal_number(i))
CALL(fixed, tg_normal(t, x[0], tg_zeros_like(t, x[0])))
EXPECT_ALIKE(fixed, a)
SAMPLES(normal, SAMPLE(normal, "", 0, REALS(-1, 1, 2, 3), REALS(0.5, 2, 2, 3)),
        SAMPLE(fixed, "no deviation", 0, REALS(-1, 1, 2, 3)))
CALL(waiting, tg_exponential(t, x[0]))
EXPECT_ALIKE(waiting, -log(number(i, 0)) / x)
SAMPLES(exponential, SAMPLE(waiting, "", 0, REALS(0.5, 2, 2, 3)))
CALL(bernoulli, tg_bernoulli(t, x[0]))
EXPECT_ALIKE(bernoulli, number(i, 0) < x)
SAMPLES(bernoulli, SAMPLE(bernoulli, "", 0, REALS(0, 1, 4, 5)))
static double gumbel(const tg_array *x, int64_t i)
{
    return tg_sampled(x, i) - log(-log(number(i, 0)));
}
static bool is_greatest(const tg_array *x, int64_t i)
{
    const int64_t n = x->shape.dim[1];
    bool greatest = true;
    for (int64_t k = i / n * n; k < i / n * n + n; k++) greatest &= gumbel(x, k) <= gumbel(x, i);
    return greatest;
}
CALL(categorical, tg_categorical(t, x[0], -1))
EXPECT(categorical, for (int64_t i = 0; i < tg_shape_count(x->shape); i++) if (is_greatest(x, i))(
                        (double *)y->data)[i / x->shape.dim[1]] = (double)(i % x->shape.dim[1]))
SAMPLES(categorical, SAMPLE(categorical, "", 0, REALS(-2, 2, 5, 4)))
CALL(soft, tg_gumbel_softmax(t, x[0], 0.5, false, 1))
EXPECT(
    soft, const int64_t n = x->shape.dim[1];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        double sum = 0;
        for (int64_t k = i / n * n; k < i / n * n + n; k++)
            sum += exp(2 * (gumbel(x, k) - gumbel(x, i)));
        ((double *)y->data)[i] = 1 / sum;
    })
CALL(hard, tg_gumbel_softmax(t, x[0], 0.5, true, 0))
EXPECT(
    hard, const int64_t n = x->shape.dim[1];
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) {
        double most = -INFINITY;
        for (int64_t k = i % n; k < tg_shape_count(x->shape); k += n)
            most = fmax(most, gumbel(x, k));
        ((double *)y->data)[i] = gumbel(x, i) == most;
    })
SAMPLES(gumbel_softmax, SAMPLE(soft, "soft", 0, REALS(-2, 2, 2, 3)),
        SAMPLE(hard, "hard", TG_NOT_SMOOTH, REALS(-2, 2, 3, 4)))
/* Of the seven numbers drawn, the place of that which i others are below. */
static double place_of(int64_t i)
{
    for (int64_t k = 0; k < 7; k++) {
        int64_t below = 0;
        for (int64_t j = 0; j < 7; j++) below += number(j, 0) < number(k, 0);
        if (below == i) return (double)k;
    }
    return -1;
}
DRAWN(shuffled, tg_randperm(t, 7), place_of(i))
SAMPLES(randperm, SAMPLE(shuffled, "", 0, REALS(-1, 1, 7)))

#endif
