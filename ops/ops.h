/* tapegrad: the ops. One entry an op: its documentation, its registration
 * together with its prototype, and the macro that passes the caller's line.
 * One list of them all, in one file, however long: what is in it can be looked
 * for in one place, and registry.c reads it again for what each op needs.
 *
 * Every op takes the tape first and returns a tensor that the tape owns; on any
 * error it returns NULL and leaves a message on the tape. Unless an entry says
 * otherwise, operands are f32 or f64 tensors of one dtype, broadcast against
 * each other by NumPy's rules; the result has their dtype; and the op can be
 * differentiated any number of times. Negative axes count from the end. An
 * axis, a dtype or a shape that doesn't fit is TG_ESHAPE, TG_EDTYPE or
 * TG_EVALUE for an attribute out of range.
 *
 * TG_OP(name, (parameters after the tape), (the same as arguments)) declares
 * the function tg_<name>, its form tg_<name>_at with the source position as
 * second argument, and its place in the list of what is known of each op; the
 * tests of an op without samples do not link.
 *
 * Contents: arithmetic; trigonometric and hyperbolic functions; activations;
 * comparing and choosing; masks; gradients other than the value's; tensors
 * made of a shape; reductions; shapes; products of matrices; images; indexing;
 * finding and counting; in order along an axis; linear algebra; matrices of
 * derivatives; dropout; random numbers; normalisation and attention;
 * recurrent nets; losses. */
#if !defined(TG_OPS_H) || defined(TG_OPS_AGAIN)
#ifndef TG_OPS_H
#define TG_OPS_H

#include <tapegrad/op.h>

/* What a loss makes of its elements. */
typedef enum tg_reduction { TG_REDUCE_MEAN, TG_REDUCE_SUM, TG_REDUCE_NONE } tg_reduction;

/* With what tg_pad_with continues an axis. */
typedef enum tg_pad_mode { TG_PAD_REFLECT, TG_PAD_REPLICATE, TG_PAD_CIRCULAR } tg_pad_mode;

/* How a convolution walks over [n, c, h, w]; first h's, then w's number; over
 * [n, c, l], the first number. A stride, dilation or number of groups of 0
 * means 1. */
typedef struct tg_conv {
    int64_t stride[2] TG_ZERO, padding[2] TG_ZERO, dilation[2] TG_ZERO, groups TG_ZERO;
    /* of transposed convolutions: rows and columns more at the end, less than
     * the stride */
    int64_t output_padding[2] TG_ZERO;
    /* instead of a padding, at stride 1: as much as makes y as large as x, an odd
     * number's last at the end; not of transposed convolutions */
    bool same TG_ZERO;
} tg_conv;

/* How it walks over [n, c, d, h, w]: numbers of d, h and w. */
typedef struct tg_conv3 {
    int64_t stride[3] TG_ZERO, padding[3] TG_ZERO, dilation[3] TG_ZERO, groups TG_ZERO;
    bool same TG_ZERO;
} tg_conv3;

/* The windows of a pooling, likewise; a stride of 0 means the kernel's size. */
typedef struct tg_pool {
    int64_t kernel[2] TG_ZERO, stride[2] TG_ZERO, padding[2] TG_ZERO, dilation[2] TG_ZERO;
    /* a last window that reaches beyond the end and its padding counts, too, if it
     * begins before the end; what is beyond is left out */
    bool ceil_mode TG_ZERO;
    /* of means: padding is left out, rather than counting as zeros */
    bool exclude_padding TG_ZERO;
} tg_pool;

/* The windows of a pooling of [n, c, d, h, w], likewise. */
typedef struct tg_pool3 {
    int64_t kernel[3] TG_ZERO, stride[3] TG_ZERO, padding[3] TG_ZERO, dilation[3] TG_ZERO;
    bool ceil_mode TG_ZERO, exclude_padding TG_ZERO;
} tg_pool3;

/* The parameters of a step of a recurrent net; biases may be NULL. */
typedef struct tg_cell {
    tg_tensor *w_x TG_ZERO, *w_h TG_ZERO, *b_x TG_ZERO, *b_h TG_ZERO;
} tg_cell;

/* A recurrent net over whole sequences. */
typedef struct tg_recurrent {
    /* layers of them, one behind the other, of both directions forwards first;
     * a layer's x is the one before it's result */
    const tg_cell *cell TG_ZERO;
    int layers TG_ZERO;         /* 0: 1 */
    bool bidirectional TG_ZERO; /* each layer backwards, too, beside it */
    double dropout TG_ZERO;     /* between layers */
    /* i64 [n]: how many times of each row there are, or NULL: what is beyond
     * gives zeros and leaves the state as it is */
    tg_tensor *lengths TG_ZERO;
    int64_t checkpoint TG_ZERO; /* as in tg_scan_body */
} tg_recurrent;

/* For tg_slice: no bound. For losses: no ignored index. */
#define TG_END INT64_MAX
#define TG_NO_INDEX INT64_MIN

#define TG_UNPACK(...) __VA_ARGS__
#define TG_OP(name, parameters, arguments)                            \
    TG_API tg_tensor *(tg_##name)(tg_tape * t, TG_UNPACK parameters); \
    TG_API tg_tensor *(tg_##name##_at)(tg_tape * t, const char *where, TG_UNPACK parameters);

/* How the macro of an op calls it (an array or a struct written in place has
 * commas, and therefore stands in the macro's variable part): with the caller's
 * source position, or, under TG_NO_MACROS, as the plain function. */
#ifndef TG_NO_MACROS
#define TG_CALL(name, t, ...) tg_##name##_at(t, TG_HERE, __VA_ARGS__)
#else
#define TG_CALL(name, t, ...) (tg_##name)(t, __VA_ARGS__)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Every op below, in the order of this file. *n gets their number. Static
 * storage. */
TG_API const tg_op_info *const *tg_ops_list(int *n);

/* Per-sample gradients: gx[k] is [samples, x[k]'s sizes]. f records the loss,
 * one element, of one sample, from the slices batch[i][s:s+1], and is called for
 * each; no sample may depend on another. Zeros for an x[k] that a loss does not
 * depend on. gx[] is all NULL on an error. */
TG_API tg_status tg_per_sample_grad_at(tg_tape *t, const char *where, tg_function f, void *user,
                                       int n_batch, tg_tensor *const *batch, int n,
                                       tg_tensor *const *x, tg_tensor **gx);
TG_API tg_status(tg_per_sample_grad)(tg_tape *t, tg_function f, void *user, int n_batch,
                                     tg_tensor *const *batch, int n, tg_tensor *const *x,
                                     tg_tensor **gx);
#ifndef TG_NO_MACROS
#define tg_per_sample_grad(t, f, user, n_batch, ...) \
    tg_per_sample_grad_at(t, TG_HERE, f, user, n_batch, __VA_ARGS__)
#endif

#ifdef __cplusplus
}
#endif
#endif /* TG_OPS_H */

#ifdef __cplusplus
extern "C" {
#endif

/* The formatter takes the pointers in an entry for products. */
/* clang-format off */

/* ---------------- arithmetic */

/* y = a + b. Also i64. */
TG_OP(add, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_add(t, a, b) TG_CALL(add, t, a, b)
/* y = a - b. Also i64. */
TG_OP(sub, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_sub(t, a, b) TG_CALL(sub, t, a, b)
/* y = a b. Also i64. */
TG_OP(mul, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_mul(t, a, b) TG_CALL(mul, t, a, b)
/* y = a / b. */
TG_OP(div, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_div(t, a, b) TG_CALL(div, t, a, b)
/* y = -x. Also i64. */
TG_OP(neg, (tg_tensor *x), (x))
#define tg_neg(t, x) TG_CALL(neg, t, x)
/* y = x^2 */
TG_OP(square, (tg_tensor *x), (x))
#define tg_square(t, x) TG_CALL(square, t, x)
/* y = 1 / x */
TG_OP(reciprocal, (tg_tensor *x), (x))
#define tg_reciprocal(t, x) TG_CALL(reciprocal, t, x)
/* y = factor x; the factor is rounded to the dtype and is data, not
 * structure. */
TG_OP(scale, (tg_tensor *x, double factor), (x, factor))
#define tg_scale(t, x, factor) TG_CALL(scale, t, x, factor)
/* y = x + term, likewise. */
TG_OP(offset, (tg_tensor *x, double term), (x, term))
#define tg_offset(t, x, term) TG_CALL(offset, t, x, term)
/* y = a^b. At a = 0: 0^0 = 1; the gradient of a is 0 wherever b = 0. The
 * gradient of b is a^b log a, taken as 0 at a = 0, b >= 0, and NaN for a <
 * 0. */
TG_OP(pow, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_pow(t, a, b) TG_CALL(pow, t, a, b)
/* y = e^x */
TG_OP(exp, (tg_tensor *x), (x))
#define tg_exp(t, x) TG_CALL(exp, t, x)
/* y = e^x - 1, accurate near 0 */
TG_OP(expm1, (tg_tensor *x), (x))
#define tg_expm1(t, x) TG_CALL(expm1, t, x)
/* y = 2^x */
TG_OP(exp2, (tg_tensor *x), (x))
#define tg_exp2(t, x) TG_CALL(exp2, t, x)
/* y = ln x; log(0) = -inf, log of a negative number NaN */
TG_OP(log, (tg_tensor *x), (x))
#define tg_log(t, x) TG_CALL(log, t, x)
/* y = ln x / ln 2, exact at powers of 2 */
TG_OP(log2, (tg_tensor *x), (x))
#define tg_log2(t, x) TG_CALL(log2, t, x)
/* y = ln x / ln 10, exact at powers of 10 */
TG_OP(log10, (tg_tensor *x), (x))
#define tg_log10(t, x) TG_CALL(log10, t, x)
/* y = ln(1 + x), accurate near 0 */
TG_OP(log1p, (tg_tensor *x), (x))
#define tg_log1p(t, x) TG_CALL(log1p, t, x)
/* y = x^(1/2); gradient inf at 0 */
TG_OP(sqrt, (tg_tensor *x), (x))
#define tg_sqrt(t, x) TG_CALL(sqrt, t, x)
/* y = x^(-1/2) */
TG_OP(rsqrt, (tg_tensor *x), (x))
#define tg_rsqrt(t, x) TG_CALL(rsqrt, t, x)
/* y = a ln b, and 0 where a = 0 unless b is NaN */
TG_OP(xlogy, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_xlogy(t, a, b) TG_CALL(xlogy, t, a, b)
/* y = a ln(1 + b), accurate near b = 0, and 0 where a = 0 unless b is NaN */
TG_OP(xlog1py, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_xlog1py(t, a, b) TG_CALL(xlog1py, t, a, b)
/* y = (a^2 + b^2)^(1/2), without overflow on the way; gradients 0 at 0 */
TG_OP(hypot, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_hypot(t, a, b) TG_CALL(hypot, t, a, b)
/* y = a + w (b - a): a at w = 0, b at w = 1 */
TG_OP(lerp, (tg_tensor *a, tg_tensor *b, tg_tensor *w), (a, b, w))
#define tg_lerp(t, a, b, w) TG_CALL(lerp, t, a, b, w)
/* y = |x|; gradient 0 at 0 */
TG_OP(abs, (tg_tensor *x), (x))
#define tg_abs(t, x) TG_CALL(abs, t, x)
/* y = -1, 0 or 1; sign(NaN) = NaN. Gradient 0 everywhere. */
TG_OP(sign, (tg_tensor *x), (x))
#define tg_sign(t, x) TG_CALL(sign, t, x)
/* the largest integer <= x. Gradient 0 everywhere, as for ceil and round. */
TG_OP(floor, (tg_tensor *x), (x))
#define tg_floor(t, x) TG_CALL(floor, t, x)
/* the smallest integer >= x */
TG_OP(ceil, (tg_tensor *x), (x))
#define tg_ceil(t, x) TG_CALL(ceil, t, x)
/* the nearest integer, halves to even */
TG_OP(round, (tg_tensor *x), (x))
#define tg_round(t, x) TG_CALL(round, t, x)
/* y = the nearest integer towards zero; derivative 0. */
TG_OP(trunc, (tg_tensor *x), (x))
#define tg_trunc(t, x) TG_CALL(trunc, t, x)
/* y = x - trunc x, with the sign of x; derivative 1 */
TG_OP(frac, (tg_tensor *x), (x))
#define tg_frac(t, x) TG_CALL(frac, t, x)
/* y = a - b trunc(a / b), with the sign of a, exact; NaN for b = 0. The
 * gradient of b is -trunc(a / b). By the C library's fmod. */
TG_OP(fmod, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_fmod(t, a, b) TG_CALL(fmod, t, a, b)
/* y = a - b floor(a / b), with the sign of b */
TG_OP(remainder, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_remainder(t, a, b) TG_CALL(remainder, t, a, b)
/* y = |a| with the sign of b, also of a zero; gradient of a 0 at 0, of b 0 */
TG_OP(copysign, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_copysign(t, a, b) TG_CALL(copysign, t, a, b)
/* y = x + factor a b */
TG_OP(addcmul, (tg_tensor *x, tg_tensor *a, tg_tensor *b, double factor), (x, a, b, factor))
#define tg_addcmul(t, x, a, b, factor) TG_CALL(addcmul, t, x, a, b, factor)
/* y = x + factor a / b */
TG_OP(addcdiv, (tg_tensor *x, tg_tensor *a, tg_tensor *b, double factor), (x, a, b, factor))
#define tg_addcdiv(t, x, a, b, factor) TG_CALL(addcdiv, t, x, a, b, factor)
/* y = x, but `nan` for NaN, `above` for inf, `below` for -inf; gradient 0
 * there */
TG_OP(nan_to_num, (tg_tensor *x, double nan, double above, double below), (x, nan, above, below))
#define tg_nan_to_num(t, x, nan, above, below) TG_CALL(nan_to_num, t, x, nan, above, below)

/* ---------------- trigonometric and hyperbolic functions */

/* y = sin x, x in radians */
TG_OP(sin, (tg_tensor *x), (x))
#define tg_sin(t, x) TG_CALL(sin, t, x)
/* y = cos x, x in radians */
TG_OP(cos, (tg_tensor *x), (x))
#define tg_cos(t, x) TG_CALL(cos, t, x)
/* y = sin x / cos x, x in radians */
TG_OP(tan, (tg_tensor *x), (x))
#define tg_tan(t, x) TG_CALL(tan, t, x)
/* the y in [-pi/2, pi/2] with sin y = x; NaN for |x| > 1 */
TG_OP(asin, (tg_tensor *x), (x))
#define tg_asin(t, x) TG_CALL(asin, t, x)
/* the y in [0, pi] with cos y = x; NaN for |x| > 1 */
TG_OP(acos, (tg_tensor *x), (x))
#define tg_acos(t, x) TG_CALL(acos, t, x)
/* the y in (-pi/2, pi/2) with tan y = x */
TG_OP(atan, (tg_tensor *x), (x))
#define tg_atan(t, x) TG_CALL(atan, t, x)
/* the angle in [-pi, pi] of the point (b, a), by C's rules for zeros and
 * infinities; gradients 0 at the origin */
TG_OP(atan2, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_atan2(t, a, b) TG_CALL(atan2, t, a, b)
/* y = (e^x - e^-x) / 2 */
TG_OP(sinh, (tg_tensor *x), (x))
#define tg_sinh(t, x) TG_CALL(sinh, t, x)
/* y = (e^x + e^-x) / 2 */
TG_OP(cosh, (tg_tensor *x), (x))
#define tg_cosh(t, x) TG_CALL(cosh, t, x)
/* y = (e^x - e^-x) / (e^x + e^-x);
 * the f32 derivative is off by up to 1.2e-7 however small it is */
TG_OP(tanh, (tg_tensor *x), (x))
#define tg_tanh(t, x) TG_CALL(tanh, t, x)
/* the y with sinh y = x */
TG_OP(asinh, (tg_tensor *x), (x))
#define tg_asinh(t, x) TG_CALL(asinh, t, x)
/* the y >= 0 with cosh y = x; NaN for x < 1 */
TG_OP(acosh, (tg_tensor *x), (x))
#define tg_acosh(t, x) TG_CALL(acosh, t, x)
/* the y with tanh y = x; NaN for |x| > 1 */
TG_OP(atanh, (tg_tensor *x), (x))
#define tg_atanh(t, x) TG_CALL(atanh, t, x)
/* y = 2/sqrt(pi) integral from 0 to x of e^(-s^2) ds */
TG_OP(erf, (tg_tensor *x), (x))
#define tg_erf(t, x) TG_CALL(erf, t, x)
/* y = 1 - erf x, without cancellation */
TG_OP(erfc, (tg_tensor *x), (x))
#define tg_erfc(t, x) TG_CALL(erfc, t, x)
/* the y with erf y = x, to 2 units in the last place; NaN for |x| > 1 */
TG_OP(erfinv, (tg_tensor *x), (x))
#define tg_erfinv(t, x) TG_CALL(erfinv, t, x)
/* y = sin(pi x) / (pi x), 1 at x = 0 with gradient 0; 0 at other integers */
TG_OP(sinc, (tg_tensor *x), (x))
#define tg_sinc(t, x) TG_CALL(sinc, t, x)
/* y = ln |gamma(x)|, inf at 0, -1, ...; by the C library's lgamma */
TG_OP(lgamma, (tg_tensor *x), (x))
#define tg_lgamma(t, x) TG_CALL(lgamma, t, x)
/* y = gamma'(x) / gamma(x), the derivative of lgamma; off by some 1e-15 (1 +
 * |y|). At 0 -inf (of -0 inf), at -1, -2, ... NaN. */
TG_OP(digamma, (tg_tensor *x), (x))
#define tg_digamma(t, x) TG_CALL(digamma, t, x)
/* The n-th derivative of digamma, n from 0 to 30, else TG_EVALUE. At 0, -1, ...
 * inf for odd n, else NaN; derivatives of an order above 30 are NaN for x <
 * 0. */
TG_OP(polygamma, (tg_tensor *x, int64_t n), (x, n))
#define tg_polygamma(t, x, n) TG_CALL(polygamma, t, x, n)

/* ---------------- activations */

/* y = 1 / (1 + e^-x);
 * the f32 derivative is off by up to 6e-8 however small it is */
TG_OP(sigmoid, (tg_tensor *x), (x))
#define tg_sigmoid(t, x) TG_CALL(sigmoid, t, x)
/* y = ln(1 + e^x), without overflow and without a threshold */
TG_OP(softplus, (tg_tensor *x), (x))
#define tg_softplus(t, x) TG_CALL(softplus, t, x)
/* y = ln(1 + e^(beta x)) / beta; beta > 0, else TG_EVALUE */
TG_OP(softplus_beta, (tg_tensor *x, double beta), (x, beta))
#define tg_softplus_beta(t, x, beta) TG_CALL(softplus_beta, t, x, beta)
/* y = -ln(1 + e^-x) */
TG_OP(logsigmoid, (tg_tensor *x), (x))
#define tg_logsigmoid(t, x) TG_CALL(logsigmoid, t, x)
/* y = x / (1 + |x|); NaN at an infinity, as its formula is */
TG_OP(softsign, (tg_tensor *x), (x))
#define tg_softsign(t, x) TG_CALL(softsign, t, x)
/* y = ln(e^a + e^b), without overflow */
TG_OP(logaddexp, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_logaddexp(t, a, b) TG_CALL(logaddexp, t, a, b)
/* y = max(x, 0); relu(NaN) = NaN; gradient 0 at 0 */
TG_OP(relu, (tg_tensor *x), (x))
#define tg_relu(t, x) TG_CALL(relu, t, x)
/* y = min(max(x, 0), 6); gradient 0 at 0 and 6 */
TG_OP(relu6, (tg_tensor *x), (x))
#define tg_relu6(t, x) TG_CALL(relu6, t, x)
/* y = min(max(x, -1), 1); gradient 0 at -1 and 1 */
TG_OP(hardtanh, (tg_tensor *x), (x))
#define tg_hardtanh(t, x) TG_CALL(hardtanh, t, x)
/* y = x for x > 0, else slope x */
TG_OP(leaky_relu, (tg_tensor *x, double slope), (x, slope))
#define tg_leaky_relu(t, x, slope) TG_CALL(leaky_relu, t, x, slope)
/* y = x for x > 0, else alpha (e^x - 1) */
TG_OP(elu, (tg_tensor *x, double alpha), (x, alpha))
#define tg_elu(t, x, alpha) TG_CALL(elu, t, x, alpha)
/* y = x Phi(x) = x/2 (1 + erf(x / sqrt 2)); Hendrycks and Gimpel 2016 */
TG_OP(gelu, (tg_tensor *x), (x))
#define tg_gelu(t, x) TG_CALL(gelu, t, x)
/* y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), the same paper's
 * approximation */
TG_OP(gelu_tanh, (tg_tensor *x), (x))
#define tg_gelu_tanh(t, x) TG_CALL(gelu_tanh, t, x)
/* y = x sigmoid(x); silu(-inf) = -0 */
TG_OP(silu, (tg_tensor *x), (x))
#define tg_silu(t, x) TG_CALL(silu, t, x)

/* Composed of the above: */

/* y = x tanh(softplus(x)) */
TG_OP(mish, (tg_tensor *x), (x))
#define tg_mish(t, x) TG_CALL(mish, t, x)
/* y = relu6(x + 3) / 6 */
TG_OP(hardsigmoid, (tg_tensor *x), (x))
#define tg_hardsigmoid(t, x) TG_CALL(hardsigmoid, t, x)
/* y = x relu6(x + 3) / 6 */
TG_OP(hardswish, (tg_tensor *x), (x))
#define tg_hardswish(t, x) TG_CALL(hardswish, t, x)
/* y = 1.0507... elu(x, 1.6732...), which keeps mean 0 and variance 1;
 * Klambauer et al. 2017 */
TG_OP(selu, (tg_tensor *x), (x))
#define tg_selu(t, x) TG_CALL(selu, t, x)
/* y = max(x, 0) + min(alpha (e^(x / alpha) - 1), 0); alpha = 0 is
 * TG_EVALUE */
TG_OP(celu, (tg_tensor *x, double alpha), (x, alpha))
#define tg_celu(t, x, alpha) TG_CALL(celu, t, x, alpha)
/* y = x for x > 0, else slope x; slope broadcasts against x. */
TG_OP(prelu, (tg_tensor *x, tg_tensor *slope), (x, slope))
#define tg_prelu(t, x, slope) TG_CALL(prelu, t, x, slope)
/* y = x - tanh x */
TG_OP(tanhshrink, (tg_tensor *x), (x))
#define tg_tanhshrink(t, x) TG_CALL(tanhshrink, t, x)
/* y = x without up to `width` of its size; width >= 0, else TG_EVALUE */
TG_OP(softshrink, (tg_tensor *x, double width), (x, width))
#define tg_softshrink(t, x, width) TG_CALL(softshrink, t, x, width)
/* y = x where |x| > width, else 0; width >= 0, else TG_EVALUE */
TG_OP(hardshrink, (tg_tensor *x, double width), (x, width))
#define tg_hardshrink(t, x, width) TG_CALL(hardshrink, t, x, width)
/* y = x where x > bound, else value */
TG_OP(threshold, (tg_tensor *x, double bound, double value), (x, bound, value))
#define tg_threshold(t, x, bound, value) TG_CALL(threshold, t, x, bound, value)
/* y = a sigmoid(b), with a and b the halves of x along the axis, whose size
 * must be even. */
TG_OP(glu, (tg_tensor *x, int axis), (x, axis))
#define tg_glu(t, x, axis) TG_CALL(glu, t, x, axis)
/* y = a sigmoid(a) b, likewise: a gate of silu, as in Llama's layers; Shazeer
 * 2020 */
TG_OP(swiglu, (tg_tensor *x, int axis), (x, axis))
#define tg_swiglu(t, x, axis) TG_CALL(swiglu, t, x, axis)

/* ---------------- comparing and choosing */

/* y = the greater of a and b; NaN wins; a tie gives half the gradient to
 * each */
TG_OP(maximum, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_maximum(t, a, b) TG_CALL(maximum, t, a, b)
/* y = the smaller of a and b; NaN wins; a tie gives half the gradient to
 * each */
TG_OP(minimum, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_minimum(t, a, b) TG_CALL(minimum, t, a, b)
/* y = min(max(x, low), high); gradient 1 at the bounds; high where low > high;
 * clamp(NaN) = NaN with gradient 0 */
TG_OP(clamp, (tg_tensor *x, double low, double high), (x, low, high))
#define tg_clamp(t, x, low, high) TG_CALL(clamp, t, x, low, high)
/* y = 1 where a == b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(equal, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_equal(t, a, b) TG_CALL(equal, t, a, b)
/* y = 1 where a != b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(not_equal, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_not_equal(t, a, b) TG_CALL(not_equal, t, a, b)
/* y = 1 where a < b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(less, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_less(t, a, b) TG_CALL(less, t, a, b)
/* y = 1 where a <= b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(less_equal, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_less_equal(t, a, b) TG_CALL(less_equal, t, a, b)
/* y = 1 where a > b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(greater, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_greater(t, a, b) TG_CALL(greater, t, a, b)
/* y = 1 where a >= b, else 0; u8. Any one dtype. Not differentiable. */
TG_OP(greater_equal, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_greater_equal(t, a, b) TG_CALL(greater_equal, t, a, b)
/* y = a where condition (u8) is not 0, else b, selected and never multiplied:
 * the branch not taken gets gradient 0, though a NaN born inside its own chain
 * still spreads; see safe_where. */
TG_OP(where, (tg_tensor *condition, tg_tensor *a, tg_tensor *b), (condition, a, b))
#define tg_where(t, condition, a, b) TG_CALL(where, t, condition, a, b)
/* y = x where condition (u8) is not 0, else substitute: feed it to a function
 * that is not defined elsewhere, and choose with where afterwards. */
TG_OP(safe_where, (tg_tensor *condition, tg_tensor *x, double substitute),
      (condition, x, substitute))
#define tg_safe_where(t, condition, x, substitute) TG_CALL(safe_where, t, condition, x, substitute)

/* ---------------- masks
 *
 * u8, 1 where something is so, else 0; not differentiable. A mask as an operand
 * holds where it is not 0, NaN included. */

/* f32 and f64 */
TG_OP(isnan, (tg_tensor *x), (x))
#define tg_isnan(t, x) TG_CALL(isnan, t, x)
/* inf or -inf; f32 and f64 */
TG_OP(isinf, (tg_tensor *x), (x))
#define tg_isinf(t, x) TG_CALL(isinf, t, x)
/* neither of these; f32 and f64 */
TG_OP(isfinite, (tg_tensor *x), (x))
#define tg_isfinite(t, x) TG_CALL(isfinite, t, x)
/* Any dtypes */
TG_OP(logical_and, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_logical_and(t, a, b) TG_CALL(logical_and, t, a, b)
/* Any dtypes */
TG_OP(logical_or, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_logical_or(t, a, b) TG_CALL(logical_or, t, a, b)
/* Any dtypes */
TG_OP(logical_xor, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_logical_xor(t, a, b) TG_CALL(logical_xor, t, a, b)
/* Any dtype */
TG_OP(logical_not, (tg_tensor *x), (x))
#define tg_logical_not(t, x) TG_CALL(logical_not, t, x)
/* a & b, of i64 or u8 */
TG_OP(bitwise_and, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_bitwise_and(t, a, b) TG_CALL(bitwise_and, t, a, b)
/* a | b, likewise */
TG_OP(bitwise_or, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_bitwise_or(t, a, b) TG_CALL(bitwise_or, t, a, b)
/* a ^ b, likewise */
TG_OP(bitwise_xor, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_bitwise_xor(t, a, b) TG_CALL(bitwise_xor, t, a, b)
/* ~x, likewise */
TG_OP(bitwise_not, (tg_tensor *x), (x))
#define tg_bitwise_not(t, x) TG_CALL(bitwise_not, t, x)

/* ---------------- gradients other than the value's
 *
 * Meant so; tg_gradcheck, which compares with the value, calls them wrong.
 * tg_detach stops a gradient altogether. */

/* The value of `forward` with the derivatives of `backward`, of equal shapes:
 * tg_straight_through(t, tg_round(t, x), x) rounds and passes the gradient on.
 * Bengio et al. 2013. */
TG_OP(straight_through, (tg_tensor *forward, tg_tensor *backward), (forward, backward))
#define tg_straight_through(t, forward, backward) TG_CALL(straight_through, t, forward, backward)
/* x, its gradient multiplied by factor; -1 reverses it (Ganin and Lempitsky
 * 2015) */
TG_OP(scale_gradient, (tg_tensor *x, double factor), (x, factor))
#define tg_scale_gradient(t, x, factor) TG_CALL(scale_gradient, t, x, factor)

/* ---------------- tensors made of a shape
 *
 * Any dtype; not differentiable. */

/* y = value everywhere, representable as for tg_constant. No memory is
 * filled. */
TG_OP(full, (tg_dtype dtype, double value, tg_shape shape), (dtype, value, shape))
#define tg_full(t, dtype, value, ...) TG_CALL(full, t, dtype, value, __VA_ARGS__)
/* y = 0 */
TG_OP(zeros, (tg_dtype dtype, tg_shape shape), (dtype, shape))
#define tg_zeros(t, dtype, ...) TG_CALL(zeros, t, dtype, __VA_ARGS__)
/* y = 1 */
TG_OP(ones, (tg_dtype dtype, tg_shape shape), (dtype, shape))
#define tg_ones(t, dtype, ...) TG_CALL(ones, t, dtype, __VA_ARGS__)
/* y = value, of x's shape and dtype */
TG_OP(full_like, (tg_tensor *x, double value), (x, value))
#define tg_full_like(t, x, value) TG_CALL(full_like, t, x, value)
/* y = 0, likewise */
TG_OP(zeros_like, (tg_tensor *x), (x))
#define tg_zeros_like(t, x) TG_CALL(zeros_like, t, x)
/* y = 1, likewise */
TG_OP(ones_like, (tg_tensor *x), (x))
#define tg_ones_like(t, x) TG_CALL(ones_like, t, x)
/* The n x n matrix with ones on its diagonal, else 0 */
TG_OP(eye, (tg_dtype dtype, int64_t n), (dtype, n))
#define tg_eye(t, dtype, n) TG_CALL(eye, t, dtype, n)
/* start, start + step, ... before stop, in either direction; of i64 and u8 whole
 * numbers only. Computed in double while recording. */
TG_OP(arange, (tg_dtype dtype, double start, double stop, double step), (dtype, start, stop, step))
#define tg_arange(t, dtype, start, stop, step) TG_CALL(arange, t, dtype, start, stop, step)
/* n numbers at equal distances from first to last, both exact; likewise */
TG_OP(linspace, (tg_dtype dtype, double first, double last, int64_t n), (dtype, first, last, n))
#define tg_linspace(t, dtype, first, last, n) TG_CALL(linspace, t, dtype, first, last, n)
/* Of the n grids that n vectors x span, the k-th: y[i0, i1, ...] = x[k][ik]. A
 * view; differentiable. */
TG_OP(meshgrid, (int n, tg_tensor *const *x, int k), (n, x, k))
#define tg_meshgrid(t, n, x, k) TG_CALL(meshgrid, t, n, x, k)

/* ---------------- reductions
 *
 * Over the given axes (TG_AXES(0, -1), TG_ALL_AXES), which are kept with size 1
 * if keepdim, else dropped. Sums add chunks of 1024 elements in 64 lanes and
 * combine pairwise, so that long sums stay accurate. */

/* The sum. i64 and u8 give i64. The sum of nothing is 0. */
TG_OP(sum, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_sum(t, x, ...) TG_CALL(sum, t, x, __VA_ARGS__)
/* The mean; NaN of nothing. f32 and f64 only. */
TG_OP(mean, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_mean(t, x, ...) TG_CALL(mean, t, x, __VA_ARGS__)
/* The sum of all elements */
TG_OP(sum_all, (tg_tensor *x), (x))
#define tg_sum_all(t, x) TG_CALL(sum_all, t, x)
/* The mean of all elements */
TG_OP(mean_all, (tg_tensor *x), (x))
#define tg_mean_all(t, x) TG_CALL(mean_all, t, x)
/* The greatest element; NaN wins; ties share the gradient evenly. An empty
 * reduction is TG_ESHAPE. Also i64. */
TG_OP(max, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_max(t, x, ...) TG_CALL(max, t, x, __VA_ARGS__)
/* The smallest element, likewise. */
TG_OP(min, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_min(t, x, ...) TG_CALL(min, t, x, __VA_ARGS__)
/* The product; of nothing 1. Exact gradients with any number of zeros. */
TG_OP(prod, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_prod(t, x, ...) TG_CALL(prod, t, x, __VA_ARGS__)
/* sum((x - mean)^2) / (n - correction); correction 1 is the usual unbiased
 * estimate; NaN when n <= correction. */
TG_OP(var, (tg_tensor *x, tg_axes axes, int correction, bool keepdim),
      (x, axes, correction, keepdim))
#define tg_var(t, x, ...) TG_CALL(var, t, x, __VA_ARGS__)
/* sqrt(var); gradient 0 for a constant row. */
TG_OP(std, (tg_tensor *x, tg_axes axes, int correction, bool keepdim),
      (x, axes, correction, keepdim))
#define tg_std(t, x, ...) TG_CALL(std, t, x, __VA_ARGS__)
/* (sum |x|^p)^(1/p), p > 0 or INFINITY (the greatest |x|; of nothing
 * TG_ESHAPE). Scaled, so that powers neither overflow nor vanish. Gradient 0 at
 * the zero vector for p = 2; ties under INFINITY share evenly. */
TG_OP(norm, (tg_tensor *x, double p, tg_axes axes, bool keepdim), (x, p, axes, keepdim))
#define tg_norm(t, x, p, ...) TG_CALL(norm, t, x, p, __VA_ARGS__)
/* ln sum e^x, shifted by the maximum; -inf for a row of -inf */
TG_OP(logsumexp, (tg_tensor *x, tg_axes axes, bool keepdim), (x, axes, keepdim))
#define tg_logsumexp(t, x, ...) TG_CALL(logsumexp, t, x, __VA_ARGS__)
/* The index of the greatest element along one axis, i64; the first one on ties;
 * NaN wins. An empty axis is TG_ESHAPE. Not differentiable. */
TG_OP(argmax, (tg_tensor *x, int axis, bool keepdim), (x, axis, keepdim))
#define tg_argmax(t, x, axis, keepdim) TG_CALL(argmax, t, x, axis, keepdim)
/* The greatest element along one axis; the first one takes the whole
 * gradient. */
TG_OP(max_along, (tg_tensor *x, int axis, bool keepdim), (x, axis, keepdim))
#define tg_max_along(t, x, axis, keepdim) TG_CALL(max_along, t, x, axis, keepdim)
/* The index of the smallest element, as by argmax */
TG_OP(argmin, (tg_tensor *x, int axis, bool keepdim), (x, axis, keepdim))
#define tg_argmin(t, x, axis, keepdim) TG_CALL(argmin, t, x, axis, keepdim)
/* The smallest, as by max_along */
TG_OP(min_along, (tg_tensor *x, int axis, bool keepdim), (x, axis, keepdim))
#define tg_min_along(t, x, axis, keepdim) TG_CALL(min_along, t, x, axis, keepdim)
/* e^x / sum e^x along the axis, shifted by the maximum; NaN for a row of -inf.
 * In f32 an element whose e^(x - maximum) would be denormal is 0. */
TG_OP(softmax, (tg_tensor *x, int axis), (x, axis))
#define tg_softmax(t, x, axis) TG_CALL(softmax, t, x, axis)
/* x - logsumexp(x) along the axis */
TG_OP(log_softmax, (tg_tensor *x, int axis), (x, axis))
#define tg_log_softmax(t, x, axis) TG_CALL(log_softmax, t, x, axis)
/* softmax(-x) along the axis */
TG_OP(softmin, (tg_tensor *x, int axis), (x, axis))
#define tg_softmin(t, x, axis) TG_CALL(softmin, t, x, axis)

/* ---------------- shapes
 *
 * Of any dtype. Views move no data. */

/* The same elements in row-major order under another shape of as many elements;
 * one size may be -1. A view where strides allow. */
TG_OP(reshape, (tg_tensor *x, tg_shape shape), (x, shape))
#define tg_reshape(t, x, ...) TG_CALL(reshape, t, x, __VA_ARGS__)
/* Axis k of the result is axis axes[k] of x; every axis once. A view. */
TG_OP(permute, (tg_tensor *x, tg_axes axes), (x, axes))
#define tg_permute(t, x, ...) TG_CALL(permute, t, x, __VA_ARGS__)
/* Two axes exchanged. A view. */
TG_OP(transpose, (tg_tensor *x, int axis_a, int axis_b), (x, axis_a, axis_b))
#define tg_transpose(t, x, axis_a, axis_b) TG_CALL(transpose, t, x, axis_a, axis_b)
/* x repeated to the shape, by the rules of broadcasting. A view. */
TG_OP(expand, (tg_tensor *x, tg_shape shape), (x, shape))
#define tg_expand(t, x, ...) TG_CALL(expand, t, x, __VA_ARGS__)
/* Elements start, start + step, ... before stop along the axis. step > 0; start
 * and stop may be negative (counted from the end) and are clipped as in Python;
 * TG_END is the end. A view. */
TG_OP(slice, (tg_tensor *x, int axis, int64_t start, int64_t stop, int64_t step),
      (x, axis, start, stop, step))
#define tg_slice(t, x, axis, start, stop, step) TG_CALL(slice, t, x, axis, start, stop, step)
/* The order along the axes reversed. A view. */
TG_OP(flip, (tg_tensor *x, tg_axes axes), (x, axes))
#define tg_flip(t, x, ...) TG_CALL(flip, t, x, __VA_ARGS__)
/* An axis of size 1 dropped. A view. */
TG_OP(squeeze, (tg_tensor *x, int axis), (x, axis))
#define tg_squeeze(t, x, axis) TG_CALL(squeeze, t, x, axis)
/* An axis of size 1 inserted before `axis` (-1: at the end). A view. */
TG_OP(unsqueeze, (tg_tensor *x, int axis), (x, axis))
#define tg_unsqueeze(t, x, axis) TG_CALL(unsqueeze, t, x, axis)
/* n >= 1 tensors, one dtype, equal sizes but along the axis, joined along
 * it. */
TG_OP(concat, (int n, tg_tensor *const *x, int axis), (n, x, axis))
#define tg_concat(t, n, ...) TG_CALL(concat, t, n, __VA_ARGS__)
/* n >= 1 tensors of one shape joined along a new axis. */
TG_OP(stack, (int n, tg_tensor *const *x, int axis), (n, x, axis))
#define tg_stack(t, n, ...) TG_CALL(stack, t, n, __VA_ARGS__)
/* before.dim[k] and after.dim[k] elements of value around each axis k; both
 * have x's number of dimensions. Of a negative number so many are cut off;
 * (tg_shape){2, {0, -3}} has one, TG_SHAPE takes none. */
TG_OP(pad, (tg_tensor *x, tg_shape before, tg_shape after, double value), (x, before, after, value))
#define tg_pad(t, x, ...) TG_CALL(pad, t, x, __VA_ARGS__)
/* x continued by `before` and `after` elements along each axis with its own:
 * mirrored at the end elements (fewer than there are), the end elements again,
 * or from the other end; then, of a negative number, as in tg_pad, so many cut
 * off. Any dtype. */
TG_OP(pad_with, (tg_tensor *x, tg_pad_mode mode, tg_shape before, tg_shape after),
      (x, mode, before, after))
#define tg_pad_with(t, x, mode, ...) TG_CALL(pad_with, t, x, mode, __VA_ARGS__)

/* Composed of these, for any dtype: */

/* y[i] = x[(i - shift) mod n] along the axis */
TG_OP(roll, (tg_tensor *x, int axis, int64_t shift), (x, axis, shift))
#define tg_roll(t, x, axis, shift) TG_CALL(roll, t, x, axis, shift)
/* x repeated times.dim[k] times along axis k, as a whole */
TG_OP(tile, (tg_tensor *x, tg_shape times), (x, times))
#define tg_tile(t, x, ...) TG_CALL(tile, t, x, __VA_ARGS__)
/* Each element repeated along the axis: y[i] = x[i / times] */
TG_OP(repeat_interleave, (tg_tensor *x, int axis, int64_t times), (x, axis, times))
#define tg_repeat_interleave(t, x, axis, times) TG_CALL(repeat_interleave, t, x, axis, times)
/* The slice at one index, without the axis; negative from the end.
 * Outside: TG_EINDEX. */
TG_OP(select, (tg_tensor *x, int axis, int64_t index), (x, axis, index))
#define tg_select(t, x, axis, index) TG_CALL(select, t, x, axis, index)
/* Part k, from 0, of x cut along the axis into parts of `size` slices; the last
 * one may be smaller. Outside: TG_EINDEX. A view. */
TG_OP(split, (tg_tensor *x, int axis, int64_t size, int64_t k), (x, axis, size, k))
#define tg_split(t, x, axis, size, k) TG_CALL(split, t, x, axis, size, k)
/* Part k, from 0, of x cut into `chunks` parts of ceil(n / chunks) slices, the
 * last one smaller, or fewer parts where there are not enough. A view. */
TG_OP(chunk, (tg_tensor *x, int axis, int64_t chunks, int64_t k), (x, axis, chunks, k))
#define tg_chunk(t, x, axis, chunks, k) TG_CALL(chunk, t, x, axis, chunks, k)
/* x, but source in the place of tg_slice(t, x, axis, start, stop, step), whose
 * shape it has: an assignment to a slice */
TG_OP(slice_scatter, (tg_tensor *x, tg_tensor *source, int axis, int64_t start, int64_t stop,
                      int64_t step),
      (x, source, axis, start, stop, step))
#define tg_slice_scatter(t, x, source, axis, start, stop, step) \
    TG_CALL(slice_scatter, t, x, source, axis, start, stop, step)
/* x, but source in the place of tg_select(t, x, axis, index) */
TG_OP(select_scatter, (tg_tensor *x, tg_tensor *source, int axis, int64_t index),
      (x, source, axis, index))
#define tg_select_scatter(t, x, source, axis, index) \
    TG_CALL(select_scatter, t, x, source, axis, index)
/* The matrices in the last two axes, 0 where column - row > diagonal */
TG_OP(tril, (tg_tensor *x, int64_t diagonal), (x, diagonal))
#define tg_tril(t, x, diagonal) TG_CALL(tril, t, x, diagonal)
/* The same, 0 where column - row < diagonal */
TG_OP(triu, (tg_tensor *x, int64_t diagonal), (x, diagonal))
#define tg_triu(t, x, diagonal) TG_CALL(triu, t, x, diagonal)
/* y[i] = x[i, i + k] of the last two axes */
TG_OP(diagonal, (tg_tensor *x, int64_t k), (x, k))
#define tg_diagonal(t, x, k) TG_CALL(diagonal, t, x, k)
/* Matrices with the last axis on their diagonals, else 0 */
TG_OP(diag_embed, (tg_tensor *x), (x))
#define tg_diag_embed(t, x) TG_CALL(diag_embed, t, x)
/* x, but the value where the mask (u8) is not 0; broadcast */
TG_OP(masked_fill, (tg_tensor *x, tg_tensor *mask, double value), (x, mask, value))
#define tg_masked_fill(t, x, mask, value) TG_CALL(masked_fill, t, x, mask, value)
/* Converted to dtype: floats to integers towards zero (TG_EVALUE when out of
 * range or NaN), to u8 likewise. Differentiable between f32 and f64. */
TG_OP(cast, (tg_tensor *x, tg_dtype dtype), (x, dtype))
#define tg_cast(t, x, dtype) TG_CALL(cast, t, x, dtype)
/* x is i64 with values in 0..classes-1 (else TG_EINDEX at the evaluation); the
 * result has shape [x's sizes, classes]. Not differentiable. */
TG_OP(one_hot, (tg_tensor *x, int64_t classes, tg_dtype dtype), (x, classes, dtype))
#define tg_one_hot(t, x, classes, dtype) TG_CALL(one_hot, t, x, classes, dtype)

/* ---------------- products of matrices */

/* [..., n, k] x [..., k, m] -> [..., n, m]; leading sizes broadcast; a 1-dim a
 * or b counts as a row or a column and that size is dropped. k = 0 gives zeros.
 * Transposed views are read in place. */
TG_OP(matmul, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_matmul(t, a, b) TG_CALL(matmul, t, a, b)
/* y = x w^T + b: x [..., in], w [out, in], b [out] or NULL -> [..., out]. */
TG_OP(linear, (tg_tensor *x, tg_tensor *w, tg_tensor *b), (x, w, b))
#define tg_linear(t, x, w, b) TG_CALL(linear, t, x, w, b)
/* y[i,j] = a[i] b[j] of two vectors */
TG_OP(outer, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_outer(t, a, b) TG_CALL(outer, t, a, b)
/* The sum of a[i] b[i] of two vectors */
TG_OP(dot, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_dot(t, a, b) TG_CALL(dot, t, a, b)
/* The sum of the diagonal of the last two axes */
TG_OP(trace, (tg_tensor *x), (x))
#define tg_trace(t, x) TG_CALL(trace, t, x)
/* The sum of the products of n tensors over the axes whose letters are not
 * behind the arrow: "ij,jk->ik", "bi,bi->b", "ii->i", "...ij,...jk->...ik". An
 * ellipsis stands for the axes that have no letter, lined up at their ends; an
 * axis of size 1 is as long as its letter elsewhere; without an arrow the result
 * has the ellipsis's axes and the letters that stand once, in their order.
 * Multiplied from left to right, by matmul where axes are summed over. f32 and
 * f64. What does not fit is TG_ESHAPE or TG_EVALUE. */
TG_OP(einsum, (const char *equation, int n, tg_tensor *const *x), (equation, n, x))
#define tg_einsum(t, equation, n, ...) TG_CALL(einsum, t, equation, n, __VA_ARGS__)
/* The sum of a b over axes_of_a of a, each together with one of axes_of_b of
 * b; a's other axes, then b's */
TG_OP(tensordot, (tg_tensor *a, tg_tensor *b, tg_axes axes_of_a, tg_axes axes_of_b),
      (a, b, axes_of_a, axes_of_b))
#define tg_tensordot(t, a, b, ...) TG_CALL(tensordot, t, a, b, __VA_ARGS__)
/* The Kronecker product: a's matrix with b times each element in its place; up
 * to 4 dimensions, the fewer ones counted from the end. Also i64. */
TG_OP(kron, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_kron(t, a, b) TG_CALL(kron, t, a, b)
/* matmul of two batches [s, n, k] and [s, k, m] */
TG_OP(bmm, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_bmm(t, a, b) TG_CALL(bmm, t, a, b)
/* beta x + alpha a b, the product being matmul's; of beta = 0 nothing of x, not
 * even NaN */
TG_OP(addmm, (tg_tensor *x, tg_tensor *a, tg_tensor *b, double beta, double alpha),
      (x, a, b, beta, alpha))
#define tg_addmm(t, x, a, b, beta, alpha) TG_CALL(addmm, t, x, a, b, beta, alpha)

/* ---------------- images
 *
 * [n, c, h, w], f32 or f64. */

/* y[n,o,i,j] = b[o] + sum over c, p, q of x[n,c,i sh - ph + p dh,j sw - pw + q
 * dw] w[o,c,p,q], x being 0 outside: the convolution of x [n, c, h, w] with w
 * [o, c / groups, kh, kw], b [o] or NULL -> [n, o, h', w'], h' = (h + 2 ph - dh
 * (kh - 1) - 1) / sh + 1, at least 1. Of g groups each k-th part of the o
 * channels sees the k-th part of the c channels alone; g divides both.
 * (tg_conv){0} stands for the plain convolution. */
TG_OP(conv2d, (tg_tensor *x, tg_tensor *w, tg_tensor *b, tg_conv options), (x, w, b, options))
/* (tg_conv){.stride = {2, 2}} has commas */
#define tg_conv2d(t, x, w, b, ...) TG_CALL(conv2d, t, x, w, b, __VA_ARGS__)
/* conv2d of sequences, x [n, c, l] and w [o, c / groups, k], by the first of
 * the options' numbers. */
TG_OP(conv1d, (tg_tensor *x, tg_tensor *w, tg_tensor *b, tg_conv options), (x, w, b, options))
#define tg_conv1d(t, x, w, b, ...) TG_CALL(conv1d, t, x, w, b, __VA_ARGS__)
/* The transpose of conv2d, its gradient in x: each element of x [n, c, h, w]
 * spreads w [c, o / groups, kh, kw] over y, whose sizes are (h - 1) stride - 2
 * padding + dilation (kh - 1) + 1 + output padding. b [o] or NULL. */
TG_OP(conv_transpose2d, (tg_tensor *x, tg_tensor *w, tg_tensor *b, tg_conv options),
      (x, w, b, options))
#define tg_conv_transpose2d(t, x, w, b, ...) TG_CALL(conv_transpose2d, t, x, w, b, __VA_ARGS__)
/* The same of sequences. */
TG_OP(conv_transpose1d, (tg_tensor *x, tg_tensor *w, tg_tensor *b, tg_conv options),
      (x, w, b, options))
#define tg_conv_transpose1d(t, x, w, b, ...) TG_CALL(conv_transpose1d, t, x, w, b, __VA_ARGS__)
/* conv2d of volumes, x [n, c, d, h, w] and w [o, c / groups, kd, kh, kw] */
TG_OP(conv3d, (tg_tensor *x, tg_tensor *w, tg_tensor *b, tg_conv3 options), (x, w, b, options))
#define tg_conv3d(t, x, w, b, ...) TG_CALL(conv3d, t, x, w, b, __VA_ARGS__)
/* The greatest element of each window of x [n, c, h, w] -> [n, c, h', w'],
 * sizes as for conv2d; NaN wins; the first of equals (row by row) takes the
 * gradient. Padding, at most half the kernel, counts as -inf and takes none. */
TG_OP(max_pool2d, (tg_tensor *x, tg_pool options), (x, options))
#define tg_max_pool2d(t, x, ...) TG_CALL(max_pool2d, t, x, __VA_ARGS__)
/* The mean of each window; padding counts as zeros, unless options say
 * otherwise. */
TG_OP(avg_pool2d, (tg_tensor *x, tg_pool options), (x, options))
#define tg_avg_pool2d(t, x, ...) TG_CALL(avg_pool2d, t, x, __VA_ARGS__)
/* max_pool2d of sequences [n, c, l], by the first of the options' numbers */
TG_OP(max_pool1d, (tg_tensor *x, tg_pool options), (x, options))
#define tg_max_pool1d(t, x, ...) TG_CALL(max_pool1d, t, x, __VA_ARGS__)
/* avg_pool2d of sequences, likewise */
TG_OP(avg_pool1d, (tg_tensor *x, tg_pool options), (x, options))
#define tg_avg_pool1d(t, x, ...) TG_CALL(avg_pool1d, t, x, __VA_ARGS__)
/* max_pool2d of volumes [n, c, d, h, w] */
TG_OP(max_pool3d, (tg_tensor *x, tg_pool3 options), (x, options))
#define tg_max_pool3d(t, x, ...) TG_CALL(max_pool3d, t, x, __VA_ARGS__)
/* avg_pool2d of volumes */
TG_OP(avg_pool3d, (tg_tensor *x, tg_pool3 options), (x, options))
#define tg_avg_pool3d(t, x, ...) TG_CALL(avg_pool3d, t, x, __VA_ARGS__)
/* The mean of each of h x w windows that share the image as evenly as can be:
 * rows floor(i H / h) to ceil((i + 1) H / h) - 1, columns likewise. */
TG_OP(adaptive_avg_pool2d, (tg_tensor *x, int64_t h, int64_t w), (x, h, w))
#define tg_adaptive_avg_pool2d(t, x, h, w) TG_CALL(adaptive_avg_pool2d, t, x, h, w)
/* The greatest element of each of these windows; of equals the first, row by
 * row, takes the gradient. */
TG_OP(adaptive_max_pool2d, (tg_tensor *x, int64_t h, int64_t w), (x, h, w))
#define tg_adaptive_max_pool2d(t, x, h, w) TG_CALL(adaptive_max_pool2d, t, x, h, w)
/* x [n, c, H, W] at h x w places: y[i,j] = x[floor(i H / h), floor(j W / w)].
 * Any dtype. */
TG_OP(upsample_nearest, (tg_tensor *x, int64_t h, int64_t w), (x, h, w))
#define tg_upsample_nearest(t, x, h, w) TG_CALL(upsample_nearest, t, x, h, w)
/* The same between the four nearest elements, in proportion; elements are
 * squares whose centres are the places, or, with align_corners, points whose
 * corners fall together. */
TG_OP(upsample_bilinear, (tg_tensor *x, int64_t h, int64_t w, bool align_corners),
      (x, h, w, align_corners))
#define tg_upsample_bilinear(t, x, h, w, align_corners) \
    TG_CALL(upsample_bilinear, t, x, h, w, align_corners)

/* ---------------- indexing
 *
 * Indices are i64, in range (else TG_EINDEX at the evaluation, naming the
 * index); gradients of repeated indices add up in a fixed order. */

/* y[i,j] = x[index[i,j],j] along the axis (here 0). index has as many
 * dimensions as x, and sizes at most x's but along the axis. */
TG_OP(gather, (tg_tensor *x, int axis, tg_tensor *index), (x, axis, index))
#define tg_gather(t, x, axis, index) TG_CALL(gather, t, x, axis, index)
/* Slices index[0], index[1], ... of x along the axis; index is 1-dim. */
TG_OP(index_select, (tg_tensor *x, int axis, tg_tensor *index), (x, axis, index))
#define tg_index_select(t, x, axis, index) TG_CALL(index_select, t, x, axis, index)
/* Rows of table [rows, width] for an index of any shape -> [index's sizes,
 * width]. */
TG_OP(embedding, (tg_tensor *table, tg_tensor *index), (table, index))
#define tg_embedding(t, table, index) TG_CALL(embedding, t, table, index)
/* The same, but the row `padding` of the table gets no gradient. */
TG_OP(embedding_padded, (tg_tensor *table, tg_tensor *index, int64_t padding),
      (table, index, padding))
#define tg_embedding_padded(t, table, index, padding) \
    TG_CALL(embedding_padded, t, table, index, padding)
/* A copy of x with x[index[i,j],j] += source[i,j] along the axis (here 0), in
 * row-major order of source; index has source's shape. */
TG_OP(scatter_add, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_scatter_add(t, x, axis, index, source) TG_CALL(scatter_add, t, x, axis, index, source)
/* A copy of x with x[index[i,j],j] = source[i,j] along the axis (here 0), of
 * several sources for one place the last in row-major order, which alone has a
 * gradient. Any dtype. */
TG_OP(scatter, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_scatter(t, x, axis, index, source) TG_CALL(scatter, t, x, axis, index, source)
/* The greatest of x[k,j] and all source[i,j] that are sent there; ties share the
 * gradient evenly; NaN wins, and gives none. f32 and f64. */
TG_OP(scatter_amax, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_scatter_amax(t, x, axis, index, source) TG_CALL(scatter_amax, t, x, axis, index, source)
/* The smallest, likewise */
TG_OP(scatter_amin, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_scatter_amin(t, x, axis, index, source) TG_CALL(scatter_amin, t, x, axis, index, source)
/* Their mean, likewise */
TG_OP(scatter_mean, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_scatter_mean(t, x, axis, index, source) TG_CALL(scatter_mean, t, x, axis, index, source)
/* A copy of x with slice i of source added to slice index[i] along the axis */
TG_OP(index_add, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_index_add(t, x, axis, index, source) TG_CALL(index_add, t, x, axis, index, source)
/* The same, put into its place, as by scatter. Any dtype. */
TG_OP(index_copy, (tg_tensor *x, int axis, tg_tensor *index, tg_tensor *source),
      (x, axis, index, source))
#define tg_index_copy(t, x, axis, index, source) TG_CALL(index_copy, t, x, axis, index, source)
/* x[index[0][i], index[1][i], ...]: n indices of one shape for the first n axes
 * of x. Any dtype. */
TG_OP(gather_nd, (tg_tensor *x, int n, tg_tensor *const *index), (x, n, index))
#define tg_gather_nd(t, x, n, index) TG_CALL(gather_nd, t, x, n, index)
/* x with source, of gather_nd's shape, in these places: put there as by scatter,
 * or added if accumulate */
TG_OP(index_put, (tg_tensor *x, int n, tg_tensor *const *index, tg_tensor *source,
                  bool accumulate),
      (x, n, index, source, accumulate))
#define tg_index_put(t, x, n, index, source, accumulate) \
    TG_CALL(index_put, t, x, n, index, source, accumulate)
/* The sum of the slices x[i] with ids[i] = k for each k < n, in any order; 0 for
 * none. ids i64 [m], x [m, ...] -> [n, ...]. */
TG_OP(segment_sum, (tg_tensor *x, tg_tensor *ids, int64_t n), (x, ids, n))
#define tg_segment_sum(t, x, ids, n) TG_CALL(segment_sum, t, x, ids, n)
/* Their mean; 0 of none */
TG_OP(segment_mean, (tg_tensor *x, tg_tensor *ids, int64_t n), (x, ids, n))
#define tg_segment_mean(t, x, ids, n) TG_CALL(segment_mean, t, x, ids, n)
/* The greatest of them, as in scatter_amax; -inf of none */
TG_OP(segment_max, (tg_tensor *x, tg_tensor *ids, int64_t n), (x, ids, n))
#define tg_segment_max(t, x, ids, n) TG_CALL(segment_max, t, x, ids, n)

/* ---------------- finding and counting
 *
 * No shape depends on data: what finds a number of things gives `size` of them,
 * the rest being `fill`, or only the first; another op counts them. */

/* How many of x are not 0, i64. Any dtype. */
TG_OP(count_nonzero, (tg_tensor *x), (x))
#define tg_count_nonzero(t, x) TG_CALL(count_nonzero, t, x)
/* The places, row-major, of the elements that are not 0, i64 [size]. Any
 * dtype. */
TG_OP(nonzero, (tg_tensor *x, int64_t size, int64_t fill), (x, size, fill))
#define tg_nonzero(t, x, size, fill) TG_CALL(nonzero, t, x, size, fill)
/* The elements of x where the mask, broadcast to it, is not 0 -> [size]. Any
 * dtype. tg_count_nonzero of the mask counts them. */
TG_OP(masked_select, (tg_tensor *x, tg_tensor *mask, int64_t size, double fill),
      (x, mask, size, fill))
#define tg_masked_select(t, x, mask, size, fill) TG_CALL(masked_select, t, x, mask, size, fill)
/* The different elements of x in order -> [size]; of equal ones the first has
 * the gradient; no NaN equals another. Any dtype. */
TG_OP(unique, (tg_tensor *x, int64_t size, double fill), (x, size, fill))
#define tg_unique(t, x, size, fill) TG_CALL(unique, t, x, size, fill)
/* How many they are, i64 */
TG_OP(count_unique, (tg_tensor *x), (x))
#define tg_count_unique(t, x) TG_CALL(count_unique, t, x)
/* How many edges are below each value, or, if right, not above it: where it
 * belongs among them, i64. edges in order along the last axis, [n], or [..., n]
 * for values [..., m]; NaN is above all numbers. Any one dtype. */
TG_OP(searchsorted, (tg_tensor *edges, tg_tensor *values, bool right), (edges, values, right))
#define tg_searchsorted(t, edges, values, right) TG_CALL(searchsorted, t, edges, values, right)
/* searchsorted of x in a vector of edges */
TG_OP(bucketize, (tg_tensor *x, tg_tensor *edges, bool right), (x, edges, right))
#define tg_bucketize(t, x, edges, right) TG_CALL(bucketize, t, x, edges, right)
/* How often each k < n is among the ids (i64, else TG_EINDEX), i64 [n] */
TG_OP(bincount, (tg_tensor *ids, int64_t n), (ids, n))
#define tg_bincount(t, ids, n) TG_CALL(bincount, t, ids, n)
/* How many of x are in each of the bins that share low to high evenly, the last
 * with its upper end, i64; what is outside, and NaN, is not counted. */
TG_OP(histc, (tg_tensor *x, int64_t bins, double low, double high), (x, bins, low, high))
#define tg_histc(t, x, bins, low, high) TG_CALL(histc, t, x, bins, low, high)

/* ---------------- in order along an axis */

/* y[i] = x[0] + ... + x[i] along the axis, added in double. Also i64. */
TG_OP(cumsum, (tg_tensor *x, int axis), (x, axis))
#define tg_cumsum(t, x, axis) TG_CALL(cumsum, t, x, axis)
/* The places of the elements along the axis in order, i64; equal ones keep
 * theirs, a NaN counts as greater than any number. Any dtype; not
 * differentiable. */
TG_OP(argsort, (tg_tensor *x, int axis, bool descending), (x, axis, descending))
#define tg_argsort(t, x, axis, descending) TG_CALL(argsort, t, x, axis, descending)
/* x in that order */
TG_OP(sort, (tg_tensor *x, int axis, bool descending), (x, axis, descending))
#define tg_sort(t, x, axis, descending) TG_CALL(sort, t, x, axis, descending)
/* The n greatest, or smallest, along the axis, in order; their places are the
 * first n of argsort. */
TG_OP(topk, (tg_tensor *x, int64_t n, int axis, bool largest), (x, n, axis, largest))
#define tg_topk(t, x, n, axis, largest) TG_CALL(topk, t, x, n, axis, largest)
/* y[i] = a[i] y[i-1] + b[i] along the axis, y[0] = b[0] (a[0] counts for
 * nothing), a and b of one shape: running means, discounted sums, states of
 * linear systems. Added in double. */
TG_OP(linear_recurrence, (tg_tensor *a, tg_tensor *b, int axis), (a, b, axis))
#define tg_linear_recurrence(t, a, b, axis) TG_CALL(linear_recurrence, t, a, b, axis)
/* y[i] = x[0] ... x[i] along the axis. Exact gradients with any number of
 * zeros. */
TG_OP(cumprod, (tg_tensor *x, int axis), (x, axis))
#define tg_cumprod(t, x, axis) TG_CALL(cumprod, t, x, axis)
/* y[i] = ln(e^x[0] + ... + e^x[i]) along the axis, relative to the greatest so
 * far; the gradients are quotients of these sums, which neither overflow nor
 * vanish. */
TG_OP(logcumsumexp, (tg_tensor *x, int axis), (x, axis))
#define tg_logcumsumexp(t, x, axis) TG_CALL(logcumsumexp, t, x, axis)
/* The greatest so far along the axis; the last of equals has the gradient; from
 * a NaN on NaN. */
TG_OP(cummax, (tg_tensor *x, int axis), (x, axis))
#define tg_cummax(t, x, axis) TG_CALL(cummax, t, x, axis)
/* The smallest so far, likewise */
TG_OP(cummin, (tg_tensor *x, int axis), (x, axis))
#define tg_cummin(t, x, axis) TG_CALL(cummin, t, x, axis)
/* The k-th smallest along the axis, k from 1, a NaN greater than any number; of
 * equals the first has the gradient. */
TG_OP(kthvalue, (tg_tensor *x, int64_t k, int axis, bool keepdim), (x, k, axis, keepdim))
#define tg_kthvalue(t, x, k, axis, keepdim) TG_CALL(kthvalue, t, x, k, axis, keepdim)
/* The middle one in order along the axis, the lower of two; NaN if one is. An
 * empty axis is TG_ESHAPE. */
TG_OP(median, (tg_tensor *x, int axis, bool keepdim), (x, axis, keepdim))
#define tg_median(t, x, axis, keepdim) TG_CALL(median, t, x, axis, keepdim)

/* ---------------- linear algebra
 *
 * Matrices are the last two dimensions, of any size; what stands before counts
 * them. Computed in double, whatever the dtype; without an inverse: TG_EVALUE at
 * the evaluation, which says which matrix. Names and results as torch.linalg's. */

/* The lower triangular y with y y^T = x, which must be symmetric (its symmetric
 * part is read, and gets the gradient) and positive definite: else TG_EVALUE at
 * the evaluation. */
TG_OP(cholesky, (tg_tensor *x), (x))
#define tg_cholesky(t, x) TG_CALL(cholesky, t, x)
/* y with a y = b, where only the lower, or the upper, triangle of a [..., n, n]
 * is read; b [..., n, m], or [n]; leading sizes broadcast. A 0 on the diagonal
 * divides by 0. */
TG_OP(solve_triangular, (tg_tensor *a, tg_tensor *b, bool upper), (a, b, upper))
#define tg_solve_triangular(t, a, b, upper) TG_CALL(solve_triangular, t, a, b, upper)
/* y with a y = b, for any square a that has an inverse; LU with partial
 * pivoting; b [..., n, m], or [n]; leading sizes broadcast. */
TG_OP(solve, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_solve(t, a, b) TG_CALL(solve, t, a, b)
/* y with l l^T y = b, for the l of a tg_cholesky: two triangular systems */
TG_OP(cholesky_solve, (tg_tensor *b, tg_tensor *l), (b, l))
#define tg_cholesky_solve(t, b, l) TG_CALL(cholesky_solve, t, b, l)
/* The inverse: tg_solve for the unit matrix. To solve a system, tg_solve is
 * faster and more exact. */
TG_OP(inv, (tg_tensor *x), (x))
#define tg_inv(t, x) TG_CALL(inv, t, x)
/* The determinant, [...]. Its gradient, the cofactors, is right for singular
 * matrices too; a second derivative wants an inverse. */
TG_OP(det, (tg_tensor *x), (x))
#define tg_det(t, x) TG_CALL(det, t, x)
/* [..., 2]: the sign of the determinant (0 for a singular matrix), whose gradient
 * is 0, and ln of its size (-inf); neither overflows. A derivative wants an
 * inverse. */
TG_OP(slogdet, (tg_tensor *x), (x))
#define tg_slogdet(t, x) TG_CALL(slogdet, t, x)

/* q [..., m, k] with orthonormal columns, k = min(m, n), and *r [..., k, n], upper
 * triangular, with q r = x [..., m, n]; LAPACK's signs. r may be NULL. For m < n
 * and m >= n differentiable where the first k columns are independent. */
TG_OP(qr, (tg_tensor *x, tg_tensor **r), (x, r))
#define tg_qr(t, x, r) TG_CALL(qr, t, x, r)
/* The eigenvalues y [..., n] of symmetric matrices in ascending order, and their
 * vectors, the columns of *vectors [..., n, n], which may be NULL; of x the
 * symmetric part is read. By Jacobi's rotations: exact for small matrices, slow
 * above some hundred rows. Vectors of equal eigenvalues are not determined: where
 * they are used, gradients are inf or NaN; those of the values are right. */
TG_OP(eigh, (tg_tensor *x, tg_tensor **vectors), (x, vectors))
#define tg_eigh(t, x, vectors) TG_CALL(eigh, t, x, vectors)
/* The singular values y [..., k] in descending order, k = min(m, n), with *u
 * [..., m, k] and *vh [..., k, n], either of which may be NULL: x = u diag(y) vh.
 * By Jacobi's rotations; gradients as for tg_eigh, and those of u and vh inf or
 * NaN at a singular value of 0, too. */
TG_OP(svd, (tg_tensor *x, tg_tensor **u, tg_tensor **vh), (x, u, vh))
#define tg_svd(t, x, u, vh) TG_CALL(svd, t, x, u, vh)
/* The y for which |a y - b| is least, or, for fewer rows than columns, the
 * shortest y with a y = b; by tg_qr, so the rows, or columns, of a that are fewer
 * must be independent (else inf or NaN). b [..., m, c], or [m]. */
TG_OP(lstsq, (tg_tensor *a, tg_tensor *b), (a, b))
#define tg_lstsq(t, a, b) TG_CALL(lstsq, t, a, b)
/* 1 + x + x x / 2 + x x x / 6 + ..., of matrices; Higham 2005 */
TG_OP(matrix_exp, (tg_tensor *x), (x))
#define tg_matrix_exp(t, x) TG_CALL(matrix_exp, t, x)

/* ---------------- matrices of derivatives
 *
 * By one reverse pass for each row: meant for a small y; x may be any tensor of
 * the tape or a parameter. */

/* dy/dx of shape [y's sizes, x's sizes], at most 8 dimensions together. What y
 * does not depend on is 0. One reverse pass a row, or, when y has more than
 * twice as many elements as x, one and then one a column. */
TG_OP(jacobian, (tg_tensor *y, tg_tensor *x), (y, x))
#define tg_jacobian(t, y, x) TG_CALL(jacobian, t, y, x)
/* The second derivatives of a one-element y, of shape [x's sizes, x's
 * sizes]. */
TG_OP(hessian, (tg_tensor *y, tg_tensor *x), (y, x))
#define tg_hessian(t, y, x) TG_CALL(hessian, t, y, x)

/* k vjps at once: from u [k, y's sizes] the gradients of <u[i], y> by x, [k, x's
 * sizes]; k jvps at once: from v [k, x's sizes] the derivatives of y in these
 * directions, [k, y's sizes], for which the first of two reverse passes is
 * shared. */
TG_OP(vjp_batch, (tg_tensor *y, tg_tensor *x, tg_tensor *u), (y, x, u))
#define tg_vjp_batch(t, y, x, u) TG_CALL(vjp_batch, t, y, x, u)
TG_OP(jvp_batch, (tg_tensor *y, tg_tensor *x, tg_tensor *v), (y, x, v))
#define tg_jvp_batch(t, y, x, v) TG_CALL(jvp_batch, t, y, x, v)

/* y = f(x[0], x[1], ...), the caller's function in plain C (op.h), of this dtype
 * (f32 or f64) and shape; float operands have that dtype, too. Differentiable as
 * often as there is a vjp. f and user must live as long as the recording is
 * evaluated. */
TG_OP(external, (const tg_external_fn *f, void *user, tg_dtype dtype, tg_shape shape, int n,
                 tg_tensor *const *x),
      (f, user, dtype, shape, n, x))
#define tg_external(t, f, user, dtype, ...) TG_CALL(external, t, f, user, dtype, __VA_ARGS__)

/* y as a function of what f was recorded from beside it, given that f(y, ...) =
 * 0: the value is that of y, however that was found (by tg_external, by steps on
 * the tape, as an input from a solver outside), and the derivatives, of any
 * order, are those of the equation at y: dy/dx = -(df/dy)^-1 df/dx. A fixed point
 * of g is tg_implicit(t, y, tg_sub(t, g(y), y), 0), the least of a function h of
 * y is tg_implicit(t, y, dh/dy from tg_grad, 0). No gradient goes the way by which
 * y was found. f has y's shape and dtype, and is taken for 0, whatever it is.
 *
 * The first `batch` dimensions of y count problems that don't meet; what follows
 * is one of them, m elements, whose derivative takes m reverse passes over f and
 * a tg_solve of [m, m], TG_EVALUE where df/dy has no inverse: meant for some
 * hundred. y has at most 7 dimensions. */
TG_OP(implicit, (tg_tensor *y, tg_tensor *f, int batch), (y, f, batch))
#define tg_implicit(t, y, f, batch) TG_CALL(implicit, t, y, f, batch)

/* y, for whose gradient what lies between the n tensors x and y is computed
 * again from x, so that its values need no memory meanwhile: the result stands
 * for y in what follows. Its gradients reach x and what else is read on the way,
 * but nothing that lies between; they are the same bits, to any order; random
 * numbers are drawn as before. n >= 1. Chen et al. 2016. */
TG_OP(checkpoint, (tg_tensor *y, int n, tg_tensor *const *x), (y, n, x))
#define tg_checkpoint(t, y, n, ...) TG_CALL(checkpoint, t, y, n, __VA_ARGS__)

/* ---------------- dropout */

/* Each element is 0 with probability p, else x / (1 - p); the identity on a
 * tape in evaluation mode and for p = 0; p = 1 gives zeros; p outside [0, 1] is
 * TG_EVALUE. The mask is a function of seed, stream, step and element and is
 * never stored; backward passes and replays use the same one. */
TG_OP(dropout, (tg_tensor *x, double p), (x, p))
#define tg_dropout(t, x, p) TG_CALL(dropout, t, x, p)

/* ---------------- random numbers
 *
 * Functions of seed, stream and step of the tape, of the draw's ordinal in the
 * recording and of the element: backward passes, replays and gradient checks see
 * the same ones, on any number of threads; tg_tape_reset and tg_replay go on to
 * others. In training and in evaluation. dtype is TG_F32 or TG_F64. */

/* Uniform in (0, 1), without the ends: 23 bits in f32, 52 in f64 */
TG_OP(rand, (tg_dtype dtype, tg_shape shape), (dtype, shape))
#define tg_rand(t, dtype, ...) TG_CALL(rand, t, dtype, __VA_ARGS__)
/* Normal with mean 0 and deviation 1, up to 5.7 from 0 in f32 and 8.5 in f64;
 * Box and Muller 1958 */
TG_OP(randn, (tg_dtype dtype, tg_shape shape), (dtype, shape))
#define tg_randn(t, dtype, ...) TG_CALL(randn, t, dtype, __VA_ARGS__)
/* mean + deviation z with z of randn; broadcast, differentiable in both */
TG_OP(normal, (tg_tensor *mean, tg_tensor *deviation), (mean, deviation))
#define tg_normal(t, mean, deviation) TG_CALL(normal, t, mean, deviation)
/* -ln u / rate with u of rand: with the density rate e^(-rate y), y > 0;
 * differentiable */
TG_OP(exponential, (tg_tensor *rate), (rate))
#define tg_exponential(t, rate) TG_CALL(exponential, t, rate)
/* 1 with probability p, else 0; u8; p <= 0 (or NaN) never, p >= 1 always */
TG_OP(bernoulli, (tg_tensor *p), (p))
#define tg_bernoulli(t, p) TG_CALL(bernoulli, t, p)
/* A class along the axis with the probability that softmax of the logits gives
 * it, i64, without the axis; Gumbel's trick: the greatest of logits - ln(-ln
 * u) */
TG_OP(categorical, (tg_tensor *logits, int axis), (logits, axis))
#define tg_categorical(t, logits, axis) TG_CALL(categorical, t, logits, axis)
/* softmax((logits - ln(-ln u)) / temperature) along the axis; hard: the value is
 * 1 for the class that is greatest, else 0, with the derivatives of the soft
 * form. temperature > 0. Jang et al. and Maddison et al. 2017. */
TG_OP(gumbel_softmax, (tg_tensor *logits, double temperature, bool hard, int axis),
      (logits, temperature, hard, axis))
#define tg_gumbel_softmax(t, logits, temperature, hard, axis) \
    TG_CALL(gumbel_softmax, t, logits, temperature, hard, axis)
/* 0 to n - 1 in a random order, i64 [n] */
TG_OP(randperm, (int64_t n), (n))
#define tg_randperm(t, n) TG_CALL(randperm, t, n)

/* ---------------- normalisation and attention */

/* y = (x - mean) / sqrt(variance + eps) w + b, mean and biased variance over
 * the last `dims` dimensions of x; w and b have the sizes of those, and may be
 * NULL (1 and 0). dims >= 1, eps >= 0. */
TG_OP(layer_norm, (tg_tensor *x, int dims, tg_tensor *w, tg_tensor *b, double eps),
      (x, dims, w, b, eps))
#define tg_layer_norm(t, x, dims, w, b, eps) TG_CALL(layer_norm, t, x, dims, w, b, eps)

/* y = x / sqrt(mean x^2 + eps) w, the mean over the last `dims` dimensions,
 * whose sizes w has; w may be NULL (1). dims >= 1, eps >= 0. Zhang and Sennrich
 * 2019. */
TG_OP(rms_norm, (tg_tensor *x, int dims, tg_tensor *w, double eps), (x, dims, w, eps))
#define tg_rms_norm(t, x, dims, w, eps) TG_CALL(rms_norm, t, x, dims, w, eps)
/* y = (x - mean) / sqrt(variance + eps) w + b for each channel of x [n, c,
 * ...]; mean and variance [c] as given (for evaluation), or, both NULL, those
 * of x over all axes but 1, the variance biased (for training: tg_mean and
 * tg_var give them to running averages), of which there must be more than one
 * value in a channel, else TG_ESHAPE. w and b [c] may be NULL (1 and 0). eps >=
 * 0. Ioffe and Szegedy 2015. */
TG_OP(batch_norm, (tg_tensor *x, tg_tensor *mean, tg_tensor *variance, tg_tensor *w, tg_tensor *b,
                   double eps),
      (x, mean, variance, w, b, eps))
#define tg_batch_norm(t, x, mean, variance, w, b, eps) \
    TG_CALL(batch_norm, t, x, mean, variance, w, b, eps)
/* The same with mean and biased variance of each n over c / groups neighbouring
 * channels and all that follows them; groups must divide c. Wu and He 2018. */
TG_OP(group_norm, (tg_tensor *x, int64_t groups, tg_tensor *w, tg_tensor *b, double eps),
      (x, groups, w, b, eps))
#define tg_group_norm(t, x, groups, w, b, eps) TG_CALL(group_norm, t, x, groups, w, b, eps)
/* group_norm with one channel in a group */
TG_OP(instance_norm, (tg_tensor *x, tg_tensor *w, tg_tensor *b, double eps), (x, w, b, eps))
#define tg_instance_norm(t, x, w, b, eps) TG_CALL(instance_norm, t, x, w, b, eps)

/* y = softmax(q k^T / sqrt(d)) v: q [..., n, d], k [..., m, d], v [..., m, e]
 * -> [..., n, e]; leading sizes broadcast. mask is u8, broadcast to [..., n,
 * m], 0 for keys that a query does not see, or NULL; causal: query i sees keys
 * 0..i. What a query does not see is left out, not multiplied by 0: NaN and
 * infinity in such keys and values reach neither its row of y nor its gradients
 * (in second and higher derivatives: if no query sees them). A query that sees
 * no key gives zeros and has zero gradients. No scores are stored but by second
 * derivatives, which form all of them. */
TG_OP(attention, (tg_tensor *q, tg_tensor *k, tg_tensor *v, tg_tensor *mask, bool causal),
      (q, k, v, mask, causal))
#define tg_attention(t, q, k, v, mask, causal) TG_CALL(attention, t, q, k, v, mask, causal)

/* attention with a scale of one's own (0: 1 / sqrt(d)); with a mask of u8 as
 * there, or one of q's dtype that is added to the scaled scores, or NULL; and
 * grouped: q [..., heads, n, d] with k and v [..., groups, m, ...], each group
 * for heads / groups neighbouring heads, whose mask may have the heads, too.
 * With an added mask the scores are formed, and what is -inf gets no weight and
 * no gradient while its value is finite; a query that sees no key gives zeros. */
TG_OP(scaled_dot_product_attention, (tg_tensor *q, tg_tensor *k, tg_tensor *v, tg_tensor *mask,
                                     bool causal, double scale, bool grouped),
      (q, k, v, mask, causal, scale, grouped))
#define tg_scaled_dot_product_attention(t, q, k, v, mask, causal, scale, grouped) \
    TG_CALL(scaled_dot_product_attention, t, q, k, v, mask, causal, scale, grouped)
/* x [..., n, d] with the pair (a, b) number i of each row turned by the angle
 * position base^(-2i/d): (a cos - b sin, b cos + a sin). Pairs are elements i
 * and i + d/2, or, interleaved, 2i and 2i + 1. positions i64 [n]; d even; base >
 * 0, usually 10000. Angles are computed in f64. Su et al. 2021. */
TG_OP(rotary_embedding, (tg_tensor *x, tg_tensor *position, double base, bool interleaved),
      (x, position, base, interleaved))
#define tg_rotary_embedding(t, x, position, base, interleaved) \
    TG_CALL(rotary_embedding, t, x, position, base, interleaved)

/* ---------------- recurrent nets
 *
 * One step for each row of x [n, in]. Gates stand one below the other in w_x
 * [gates h, in] and w_h [gates h, h], in the order given; b_x and b_h [gates h]
 * may be NULL (0). */

/* h' = tanh(w_x x + b_x + w_h h + b_h), h [n, h] */
TG_OP(rnn_cell, (tg_tensor *x, tg_tensor *h, tg_cell cell), (x, h, cell))
#define tg_rnn_cell(t, x, h, ...) TG_CALL(rnn_cell, t, x, h, __VA_ARGS__)
/* c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'), gates i, f,
 * g, o; state [n, 2h] is h beside c, and so is the result. Hochreiter and
 * Schmidhuber 1997. */
TG_OP(lstm_cell, (tg_tensor *x, tg_tensor *state, tg_cell cell), (x, state, cell))
#define tg_lstm_cell(t, x, state, ...) TG_CALL(lstm_cell, t, x, state, __VA_ARGS__)
/* h' = (1 - sigmoid(z)) m + sigmoid(z) h, m = tanh(n_x + sigmoid(r) n_h), gates
 * r, z, n, the last one's two parts kept apart. Cho et al. 2014. */
TG_OP(gru_cell, (tg_tensor *x, tg_tensor *h, tg_cell cell), (x, h, cell))
#define tg_gru_cell(t, x, h, ...) TG_CALL(gru_cell, t, x, h, __VA_ARGS__)

/* These over whole sequences x [time, n, in] -> [time, n, h], or [time, n, 2h]
 * when bidirectional, by tg_scan: recorded and planned once however long they
 * are. *state, [layers directions, n, h], is the first state and becomes the
 * last (of an LSTM state[0] is h and state[1] c); NULL in its place, or state
 * itself NULL: zeros. Parameters as in PyTorch's modules of these names. */
TG_OP(rnn, (tg_tensor *x, tg_tensor **state, tg_recurrent options), (x, state, options))
#define tg_rnn(t, x, state, ...) TG_CALL(rnn, t, x, state, __VA_ARGS__)
TG_OP(lstm, (tg_tensor *x, tg_tensor **state, tg_recurrent options), (x, state, options))
#define tg_lstm(t, x, state, ...) TG_CALL(lstm, t, x, state, __VA_ARGS__)
TG_OP(gru, (tg_tensor *x, tg_tensor **state, tg_recurrent options), (x, state, options))
#define tg_gru(t, x, state, ...) TG_CALL(gru, t, x, state, __VA_ARGS__)

/* ---------------- losses
 *
 * Prediction and target have equal shapes, never broadcast. The mean of an
 * empty batch is NaN. Weights, as PyTorch has them in some of its losses, are
 * factors: tg_mean_all(t, tg_mul(t, weights, loss)) of a loss by element or row,
 * which TG_REDUCE_NONE gives. */

/* (x - target)^2 */
TG_OP(mse_loss, (tg_tensor *x, tg_tensor *target, tg_reduction reduction), (x, target, reduction))
#define tg_mse_loss(t, x, target, reduction) TG_CALL(mse_loss, t, x, target, reduction)
/* |x - target| */
TG_OP(l1_loss, (tg_tensor *x, tg_tensor *target, tg_reduction reduction), (x, target, reduction))
#define tg_l1_loss(t, x, target, reduction) TG_CALL(l1_loss, t, x, target, reduction)
/* d^2 / 2 for |d| <= delta, else delta (|d| - delta / 2), with d = x - target;
 * delta > 0; Huber 1964 */
TG_OP(huber_loss, (tg_tensor *x, tg_tensor *target, double delta, tg_reduction reduction),
      (x, target, delta, reduction))
#define tg_huber_loss(t, x, target, delta, reduction) \
    TG_CALL(huber_loss, t, x, target, delta, reduction)
/* d^2 / (2 beta) for |d| <= beta, else |d| - beta / 2, with d = x - target;
 * beta > 0 */
TG_OP(smooth_l1_loss, (tg_tensor *x, tg_tensor *target, double beta, tg_reduction reduction),
      (x, target, beta, reduction))
#define tg_smooth_l1_loss(t, x, target, beta, reduction) \
    TG_CALL(smooth_l1_loss, t, x, target, beta, reduction)
/* target (ln target - x), with x the logarithm of a probability and 0 ln 0 = 0;
 * summed and divided by the rows it is Kullback and Leibler's divergence */
TG_OP(kl_div_loss, (tg_tensor *x, tg_tensor *target, tg_reduction reduction),
      (x, target, reduction))
#define tg_kl_div_loss(t, x, target, reduction) TG_CALL(kl_div_loss, t, x, target, reduction)
/* ln(1 + e^(-target x)), targets -1 or 1, without overflow */
TG_OP(soft_margin_loss, (tg_tensor *x, tg_tensor *target, tg_reduction reduction),
      (x, target, reduction))
#define tg_soft_margin_loss(t, x, target, reduction) \
    TG_CALL(soft_margin_loss, t, x, target, reduction)
/* max(margin - target x, 0), targets -1 or 1; gradient 0 at the margin */
TG_OP(hinge_loss, (tg_tensor *x, tg_tensor *target, double margin, tg_reduction reduction),
      (x, target, margin, reduction))
#define tg_hinge_loss(t, x, target, margin, reduction) \
    TG_CALL(hinge_loss, t, x, target, margin, reduction)
/* max(margin - target x, 0)^2, targets -1 or 1 */
TG_OP(squared_hinge_loss, (tg_tensor *x, tg_tensor *target, double margin, tg_reduction reduction),
      (x, target, margin, reduction))
#define tg_squared_hinge_loss(t, x, target, margin, reduction) \
    TG_CALL(squared_hinge_loss, t, x, target, margin, reduction)
/* x, a distance, where target > 0, else max(margin - x, 0) */
TG_OP(hinge_embedding_loss, (tg_tensor *x, tg_tensor *target, double margin,
                             tg_reduction reduction),
      (x, target, margin, reduction))
#define tg_hinge_embedding_loss(t, x, target, margin, reduction) \
    TG_CALL(hinge_embedding_loss, t, x, target, margin, reduction)
/* (ln v + (x - target)^2 / v) / 2 with v = max(variance, least), whose gradient
 * is 0 below the least; least >= 0 */
TG_OP(gaussian_nll_loss, (tg_tensor *x, tg_tensor *target, tg_tensor *variance, double least,
                          tg_reduction reduction),
      (x, target, variance, least, reduction))
#define tg_gaussian_nll_loss(t, x, target, variance, least, reduction) \
    TG_CALL(gaussian_nll_loss, t, x, target, variance, least, reduction)
/* max(margin - target (a - b), 0): a is to be above b where target is 1, below
 * where it is -1 */
TG_OP(margin_ranking_loss, (tg_tensor *a, tg_tensor *b, tg_tensor *target, double margin,
                            tg_reduction reduction),
      (a, b, target, margin, reduction))
#define tg_margin_ranking_loss(t, a, b, target, margin, reduction) \
    TG_CALL(margin_ranking_loss, t, a, b, target, margin, reduction)
/* max(|anchor - same| - |anchor - other| + margin, 0), distances along the last
 * axis, whose gradient is 0 where they are */
TG_OP(triplet_margin_loss, (tg_tensor *anchor, tg_tensor *same, tg_tensor *other, double margin,
                            tg_reduction reduction),
      (anchor, same, other, margin, reduction))
#define tg_triplet_margin_loss(t, anchor, same, other, margin, reduction) \
    TG_CALL(triplet_margin_loss, t, anchor, same, other, margin, reduction)
/* The cosine of the angle between a and b along the axis, a . b / (max(|a|,
 * eps) max(|b|, eps)); eps >= 0. No loss, but most of one. */
TG_OP(cosine_similarity, (tg_tensor *a, tg_tensor *b, int axis, double eps), (a, b, axis, eps))
#define tg_cosine_similarity(t, a, b, axis, eps) TG_CALL(cosine_similarity, t, a, b, axis, eps)
/* 1 - c where target > 0, else max(c - margin, 0), with c the cosine_similarity of
 * a and b along the last axis (eps 1e-8); target has a's shape without it */
TG_OP(cosine_embedding_loss, (tg_tensor *a, tg_tensor *b, tg_tensor *target, double margin,
                              tg_reduction reduction),
      (a, b, target, margin, reduction))
#define tg_cosine_embedding_loss(t, a, b, target, margin, reduction) \
    TG_CALL(cosine_embedding_loss, t, a, b, target, margin, reduction)
/* e^x - target x, with x the logarithm of the expected count: the negative log
 * likelihood of a Poisson distribution but for ln(target!) */
TG_OP(poisson_nll_loss, (tg_tensor *x, tg_tensor *target, tg_reduction reduction),
      (x, target, reduction))
#define tg_poisson_nll_loss(t, x, target, reduction) \
    TG_CALL(poisson_nll_loss, t, x, target, reduction)
/* -(t ln p + (1 - t) ln(1 - p)) on probabilities, logarithms clamped at -100;
 * gradient (p - t) / max(p (1 - p), 1e-12). p or t outside [0, 1] or NaN is
 * TG_EVALUE at the evaluation. The derivative by p and t is -1 / max(p (1 - p),
 * 1e-12), in either order. */
TG_OP(bce_loss, (tg_tensor *p, tg_tensor *target, tg_reduction reduction), (p, target, reduction))
#define tg_bce_loss(t, p, target, reduction) TG_CALL(bce_loss, t, p, target, reduction)
/* w t softplus(-z) + (1 - t) softplus(z), a term of weight 0 being exactly 0;
 * pos_weight w broadcasts against z and may be NULL (1). */
TG_OP(bce_with_logits_loss, (tg_tensor *z, tg_tensor *target, tg_tensor *pos_weight,
                             tg_reduction reduction),
      (z, target, pos_weight, reduction))
#define tg_bce_with_logits_loss(t, z, target, pos_weight, reduction) \
    TG_CALL(bce_with_logits_loss, t, z, target, pos_weight, reduction)
/* bce_with_logits_loss with neither weights nor another reduction than the
 * mean */
TG_OP(bce_with_logits, (tg_tensor *z, tg_tensor *target), (z, target))
#define tg_bce_with_logits(t, z, target) TG_CALL(bce_with_logits, t, z, target)
/* -ln softmax(logits)[target], softmax along axis 1 (axis 0 of a 1-dim logits).
 * logits [n, c, ...]; target i64 [n, ...]: classes 0..c-1 (else TG_EINDEX
 * naming row and label) or ignore_index (TG_NO_INDEX: none), whose rows count
 * 0; the mean divides by the summed weights of the kept rows. Or target of
 * logits' shape and dtype: probabilities (no ignore_index). Where no row is
 * kept the mean is NaN and all derivatives are 0. class_weights [c] or NULL;
 * with class indices nothing is differentiated in them. label_smoothing s in
 * [0, 1] mixes the target with s / c. */
TG_OP(cross_entropy_loss, (tg_tensor *logits, tg_tensor *target, tg_tensor *class_weights,
                           int64_t ignore_index, double label_smoothing, tg_reduction reduction),
      (logits, target, class_weights, ignore_index, label_smoothing, reduction))
#define tg_cross_entropy_loss(t, logits, target, class_weights, ignore_index, label_smoothing, \
        reduction) \
    TG_CALL(cross_entropy_loss, t, logits, target, class_weights, ignore_index, \
            label_smoothing, reduction)
/* cross_entropy_loss with no weights, no ignored index, no smoothing, and the
 * mean */
TG_OP(cross_entropy, (tg_tensor *logits, tg_tensor *target), (logits, target))
#define tg_cross_entropy(t, logits, target) TG_CALL(cross_entropy, t, logits, target)
/* -log_probabilities[target]; as cross_entropy_loss for class indices */
TG_OP(nll_loss, (tg_tensor *log_probabilities, tg_tensor *target, tg_tensor *class_weights,
                 int64_t ignore_index, tg_reduction reduction),
      (log_probabilities, target, class_weights, ignore_index, reduction))
#define tg_nll_loss(t, log_probabilities, target, class_weights, ignore_index, reduction) \
    TG_CALL(nll_loss, t, log_probabilities, target, class_weights, ignore_index, reduction)

/* alpha_t (1 - p_t)^gamma (-ln p_t), p_t = p for target 1 and 1 - p for 0, p =
 * sigmoid(z), alpha_t likewise; targets between mix both. gamma >= 0; alpha <=
 * 1, none if below 0. Lin et al. 2017. */
TG_OP(sigmoid_focal_loss, (tg_tensor *z, tg_tensor *target, double alpha, double gamma,
                           tg_reduction reduction),
      (z, target, alpha, gamma, reduction))
#define tg_sigmoid_focal_loss(t, z, target, alpha, gamma, reduction) \
    TG_CALL(sigmoid_focal_loss, t, z, target, alpha, gamma, reduction)
/* The mean over the last axis of w bce_with_logits_loss, a yes or no for each
 * class; class_weights w [c] or NULL */
TG_OP(multilabel_soft_margin_loss, (tg_tensor *z, tg_tensor *target, tg_tensor *class_weights,
                                    tg_reduction reduction),
      (z, target, class_weights, reduction))
#define tg_multilabel_soft_margin_loss(t, z, target, class_weights, reduction) \
    TG_CALL(multilabel_soft_margin_loss, t, z, target, class_weights, reduction)
/* The sum of max(margin - x[target] + x[j], 0), or of its square, over the
 * classes j other than target, divided by their number c: x [n, c], target i64
 * [n] in 0..c-1, else TG_EINDEX */
TG_OP(multi_margin_loss, (tg_tensor *x, tg_tensor *target, double margin, bool squared,
                          tg_reduction reduction),
      (x, target, margin, squared, reduction))
#define tg_multi_margin_loss(t, x, target, margin, squared, reduction) \
    TG_CALL(multi_margin_loss, t, x, target, margin, squared, reduction)
/* -ln of the probability that the labels are read, at any times, with repeated
 * ones and blanks left out: x [t, n, c] the logarithms of the probabilities;
 * target i64 [n, s], of which a row's first lengths[n] count (the others must be
 * classes, too); times i64 [n], how many of t, at least 1. Labels that can't be
 * read in the time give inf with gradient 0. The mean is that of each loss over
 * its length. Differentiable any number of times. Graves et al. 2006. */
TG_OP(ctc_loss, (tg_tensor *x, tg_tensor *target, tg_tensor *times, tg_tensor *lengths,
                 int64_t blank, tg_reduction reduction),
      (x, target, times, lengths, blank, reduction))
#define tg_ctc_loss(t, x, target, times, lengths, blank, reduction) \
    TG_CALL(ctc_loss, t, x, target, times, lengths, blank, reduction)

/* clang-format on */

#ifdef __cplusplus
}
#endif

#undef TG_OP
#endif
