/* What test_reference.c compares with PyTorch: its expression, the operands a, b, ..., and the same
 * on a tape. reference.py reads this file, draws the operands, and writes what PyTorch makes of
 * them into reference.txt.gz.
 *
 * Operands stand apart by blanks, sets of operands by semicolons; each set is a case. [2,3] is a
 * tensor of that shape in (-2, 2), 0:1[3] one in (0, 1), i0:4[3] one of integers from 0 to 4, m[3]
 * a mask, s[3] one of -1 and 1; with = before it, it is not differentiated. {0,-0,inf} is a vector
 * of these very numbers; a set that has one is compared in value and first derivative. Where
 * PyTorch has no such function, is inexact, or has another rule at an edge (ops/README.md), the
 * expression says the formula. */

#define SMOOTH1 "[5];[2,3];0.1:3[2,2,2];-30:30[4];[];"
#define SMOOTH2 "[5] [5];[2,3] [3];[2,1] [1,4];[] [3];0.1:3[2,2] 0.2:2[2,2];"
#define EDGES "{0,-0,inf,-inf,nan,1,-1,1e-9,-1e-9,60,-60,1e150,-1e150}"
#define SAFE_EDGES "{0,-0,1,-1,1e-9,-1e-9,60,-60}"
#define TWO_EDGES                           \
    "{0,0,1,-1,inf,-inf,nan,1,inf,2,-2,3} " \
    "{1,2,0.5,-1,1,1,1,nan,inf,-3,3,-inf}"
#define POSITIVE1 "0.1:4[5];0.01:0.5[2,3];1:9[2,2];0.5:1.5[];1e3:1e6[3];"
#define UNIT1 "-0.9:0.9[5];-0.5:0.5[2,3];0.1:0.95[2,2];-0.1:0.1[];"
#define PAIRS "[5] [5];[2,3] [3];{0,1,inf,nan,-0,-inf,2} {0,2,inf,1,0,inf,nan}"
#define MASKS "m[6] m[6];m[2,3] m[3]"
#define ALONG "[5];[2,3];[2,3,2];[1]"
#define TARGETS "[4] [4];[2,3] [2,3];-9:9[2,2,2] -9:9[2,2,2]"
#define SIGNS "[4] =s[4];[2,3] =s[2,3];-9:9[5] =s[5];-40:40[5] =s[5]"

/* arithmetic */
ROW("a + b", SMOOTH2 TWO_EDGES, tg_add(t, a, b))
ROW("a - b", SMOOTH2 TWO_EDGES, tg_sub(t, a, b))
ROW("a * b", SMOOTH2 TWO_EDGES, tg_mul(t, a, b))
ROW("a / b", SMOOTH2 TWO_EDGES, tg_div(t, a, b))
ROW("a + b", "i-5:5[4] i-5:5[4];i-5:5[2,3] i-5:5[3]", tg_add(t, a, b))
ROW("a - b", "i-5:5[4] i-5:5[4]", tg_sub(t, a, b))
ROW("a * b", "i-5:5[4] i-5:5[4]", tg_mul(t, a, b))
ROW("-a", SMOOTH1 EDGES, tg_neg(t, a))
ROW("torch.square(a)", SMOOTH1 EDGES, tg_square(t, a))
ROW("torch.reciprocal(a)", SMOOTH1 EDGES, tg_reciprocal(t, a))
ROW("a * 2.5", SMOOTH1 EDGES, tg_scale(t, a, 2.5))
ROW("a + 2.5", SMOOTH1 EDGES, tg_offset(t, a, 2.5))
ROW("torch.pow(a, b)", "0.1:3[5] [5];0.1:3[2,3] [3];0.5:2[] [3];", tg_pow(t, a, b))
ROW("torch.pow(a, b)", "{0,2,3,1,0.5} {2,0,-1,5,2.5};{-2,-3} ={3,2}", tg_pow(t, a, b))
ROW("torch.exp(a)", SMOOTH1 SAFE_EDGES ";{inf,-inf,nan,700,-700,-740}", tg_exp(t, a))
ROW("torch.expm1(a)", SMOOTH1 SAFE_EDGES ";{inf,-inf,nan,700,1e-300}", tg_expm1(t, a))
ROW("torch.exp2(a)", SMOOTH1 SAFE_EDGES ";{inf,-inf,nan,1023,-1000}", tg_exp2(t, a))
ROW("torch.log(a)", POSITIVE1 "{0,1,inf,nan,1e-300,1e300}", tg_log(t, a))
ROW("torch.log2(a)", POSITIVE1 "{0,1,inf,nan,1e-300,1e300}", tg_log2(t, a))
ROW("torch.log10(a)", POSITIVE1 "{0,1,inf,nan,1e-300,1e300}", tg_log10(t, a))
ROW("torch.log1p(a)", POSITIVE1 "{0,-0.5,inf,nan,1e-300,1e300}", tg_log1p(t, a))
ROW("torch.sqrt(a)", POSITIVE1 "{0,-1,inf,nan,1e-300,1e300}", tg_sqrt(t, a))
ROW("torch.rsqrt(a)", POSITIVE1 "{0,-1,inf,nan,1e-100,1e100}", tg_rsqrt(t, a))
ROW("torch.xlogy(a, b)", "[5] 0.1:4[5];[2,3] 0.5:9[3];{0,2,3} ={0,1,inf}", tg_xlogy(t, a, b))
ROW("torch.special.xlog1py(a, b)", "[5] -0.5:4[5];[2,3] 0.5:9[3];{0,2,3} ={-1,0,inf}",
    tg_xlog1py(t, a, b))
ROW("torch.hypot(a, b)", SMOOTH2 "{3,0,1,5} {4,1,0,12}", tg_hypot(t, a, b))
ROW("torch.lerp(a, b, c)", "[5] [5] [5];[2,3] [2,3] 0:1[2,3];[4] [4] {0,1,0.5,2}",
    tg_lerp(t, a, b, c))
ROW("torch.abs(a)", SMOOTH1 "{0,-0,inf,-inf,1,-1}", tg_abs(t, a))
ROW("torch.sign(a)", SMOOTH1 "{0,-0,inf,-inf,1,-1}", tg_sign(t, a))
ROW("torch.floor(a)", SMOOTH1 EDGES, tg_floor(t, a))
ROW("torch.ceil(a)", SMOOTH1 EDGES, tg_ceil(t, a))
ROW("torch.round(a)", SMOOTH1 EDGES ";{0.5,1.5,2.5,-0.5,-1.5}", tg_round(t, a))
ROW("torch.trunc(a)", SMOOTH1 EDGES, tg_trunc(t, a))
ROW("torch.frac(a)", SMOOTH1 SAFE_EDGES, tg_frac(t, a))
ROW("torch.fmod(a, b)", "[5] 0.3:2[5];-9:9[2,3] 0.3:2[3];{5,-5,5,-5,0} {3,3,-3,-3,2}",
    tg_fmod(t, a, b))
ROW("torch.remainder(a, b)", "[5] 0.3:2[5];-9:9[2,3] 0.3:2[3];{5,-5,5,-5,0} {3,3,-3,-3,2}",
    tg_remainder(t, a, b))
ROW("torch.copysign(a, b)", SMOOTH2 "{1,-1,2,0} {-1,0,-0,-3}", tg_copysign(t, a, b))
ROW("torch.addcmul(a, b, c, value=0.5)", "[5] [5] [5];[2,3] [3] [2,1]", tg_addcmul(t, a, b, c, 0.5))
ROW("torch.addcdiv(a, b, c, value=0.5)", "[5] [5] 0.2:2[5];[2,3] [3] 0.2:2[2,1]",
    tg_addcdiv(t, a, b, c, 0.5))
ROW("torch.nan_to_num(a, 3.0, 4.0, -5.0)", SMOOTH1 EDGES, tg_nan_to_num(t, a, 3, 4, -5))

/* trigonometric, hyperbolic and other functions */
ROW("torch.sin(a)", SMOOTH1 SAFE_EDGES ";{inf,nan,1e5,1e15}", tg_sin(t, a))
ROW("torch.cos(a)", SMOOTH1 SAFE_EDGES ";{inf,nan,1e5,1e15}", tg_cos(t, a))
ROW("torch.tan(a)", "-1.5:1.5[5];[2,3];" SAFE_EDGES, tg_tan(t, a))
ROW("torch.asin(a)", UNIT1 "{0,1,-1,nan,2}", tg_asin(t, a))
ROW("torch.acos(a)", UNIT1 "{0,1,-1,nan,2}", tg_acos(t, a))
ROW("torch.atan(a)", SMOOTH1 EDGES, tg_atan(t, a))
ROW("torch.atan2(a, b)", SMOOTH2 "{0,1,-1,0} {1,0,0,-1}", tg_atan2(t, a, b))
ROW("torch.sinh(a)", SMOOTH1 SAFE_EDGES, tg_sinh(t, a))
ROW("torch.cosh(a)", SMOOTH1 SAFE_EDGES, tg_cosh(t, a))
ROW("torch.tanh(a)", "[5];[2,3];-5:5[4];[];{0,-0,inf,-inf,nan,1,-1,1e-9}", tg_tanh(t, a))
ROW("torch.asinh(a)", SMOOTH1 SAFE_EDGES, tg_asinh(t, a))
ROW("torch.acosh(a)", "1.1:4[5];2:9[2,3];{1,2,0.5,nan}", tg_acosh(t, a))
ROW("torch.atanh(a)", UNIT1 "{0,1,-1,nan,2}", tg_atanh(t, a))
ROW("torch.erf(a)", "[5];[2,3];-4:4[4];[];{0,inf,-inf,nan,1e-9}", tg_erf(t, a))
ROW("torch.erfc(a)", "[5];[2,3];-4:4[4];[];{0,inf,-inf,nan,1e-9}", tg_erfc(t, a))
ROW("torch.erfinv(a)", UNIT1 "{0,nan,2}", tg_erfinv(t, a))
ROW("torch.sinc(a)", "[5];[2,3];0.1:3[2,2,2];{0.5,0.25}", tg_sinc(t, a))
ROW("lgamma.apply(a)", POSITIVE1 "-0.9:-0.1[4];{0.5,1,2,3,100}", tg_lgamma(t, a))
ROW("digamma.apply(a)", POSITIVE1 "-0.9:-0.1[4];{0.5,1,2,3,100}", tg_digamma(t, a))
ROW("polygamma(1, a)", POSITIVE1 "{0.5,1,2,3,100}", tg_polygamma(t, a, 1))
ROW("polygamma(3, a)", "0.5:4[5];1:9[2,3];{0.5,1,2,3,100}", tg_polygamma(t, a, 3))

/* activations */
ROW("torch.sigmoid(a)", SMOOTH1 SAFE_EDGES ";{inf,-inf,nan}", tg_sigmoid(t, a))
ROW("torch.logaddexp(a, torch.zeros_like(a))", SMOOTH1 SAFE_EDGES, tg_softplus(t, a))
ROW("torch.logaddexp(3 * a, torch.zeros_like(a)) / 3", SMOOTH1 SAFE_EDGES,
    tg_softplus_beta(t, a, 3))
ROW("F.logsigmoid(a)", SMOOTH1 SAFE_EDGES, tg_logsigmoid(t, a))
ROW("F.softsign(a)", SMOOTH1 SAFE_EDGES, tg_softsign(t, a))
ROW("torch.logaddexp(a, b)", SMOOTH2 "{0,1000,-1000,3} {0,1000,-1000,900}", tg_logaddexp(t, a, b))
ROW("F.relu(a)", SMOOTH1 "{0,-0,inf,-inf,1,-1,1e-9}", tg_relu(t, a))
ROW("F.relu6(a)", SMOOTH1 "{0,-0,6,inf,-inf,7}", tg_relu6(t, a))
ROW("F.hardtanh(a)", SMOOTH1 "{0,1,-1,inf,-inf}", tg_hardtanh(t, a))
ROW("F.leaky_relu(a, 0.1)", SMOOTH1 "{0,-0,inf,-inf,1}", tg_leaky_relu(t, a, 0.1))
ROW("F.elu(a, 1.3)", SMOOTH1 "{0,-0,inf,-inf,1}", tg_elu(t, a, 1.3))
ROW("F.gelu(a)", "[5];[2,3];-4:4[4];[];{0,nan,1e-9}", tg_gelu(t, a))
ROW("F.gelu(a, approximate='tanh')", "[5];[2,3];-4:4[4];[];{0,nan,1e-9}", tg_gelu_tanh(t, a))
ROW("F.silu(a)", SMOOTH1 SAFE_EDGES, tg_silu(t, a))
ROW("a * torch.tanh(F.softplus(a, threshold=1e3))", SMOOTH1 SAFE_EDGES, tg_mish(t, a))
ROW("torch.clamp(a + 3, 0, 6) / 6", SMOOTH1 "{0,9,-9,inf,-inf}", tg_hardsigmoid(t, a))
ROW("F.hardswish(a)", SMOOTH1 "{0,9,-9}", tg_hardswish(t, a))
ROW("F.selu(a)", SMOOTH1 "{0,1,inf,-inf}", tg_selu(t, a))
ROW("torch.where(a > 0, a, 1.7 * torch.expm1(a / 1.7))", "[5];[2,3];-30:30[4];[];{1,-2}",
    tg_celu(t, a, 1.7))
ROW("torch.where(a > 0, a, b * a)", "[5] [];[2,3] [3];{1,-1,2} 0.1:0.3[3]", tg_prelu(t, a, b))
ROW("F.tanhshrink(a)", "[5];[2,3];-4:4[4];[]", tg_tanhshrink(t, a))
ROW("F.softshrink(a, 0.4)", SMOOTH1 "{0,0.4,-0.4,1}", tg_softshrink(t, a, 0.4))
ROW("F.hardshrink(a, 0.4)", SMOOTH1 "{0,0.4,-0.4,1}", tg_hardshrink(t, a, 0.4))
ROW("F.threshold(a, 0.3, 7.)", SMOOTH1 "{0,0.3,inf,-inf}", tg_threshold(t, a, 0.3, 7))
ROW("F.glu(a, 0)", "[4];[4,3];[2,3,2]", tg_glu(t, a, 0))
ROW("F.glu(a, -1)", "[4];[3,4]", tg_glu(t, a, -1))
ROW("F.silu(a.chunk(2, -1)[0]) * a.chunk(2, -1)[1]", "[4];[3,4];-9:9[2,2,2]", tg_swiglu(t, a, -1))

/* comparing and choosing */
ROW("torch.maximum(a, b)", SMOOTH2 "{1,2,0,inf} {1,3,-1,2}", tg_maximum(t, a, b))
ROW("torch.minimum(a, b)", SMOOTH2 "{1,2,0,inf} {1,3,-1,2}", tg_minimum(t, a, b))
ROW("torch.clamp(a, -0.5, 1)", SMOOTH1 "{-0.5,1,0,inf,-inf,nan}", tg_clamp(t, a, -0.5, 1))
ROW("a == b", PAIRS, tg_equal(t, a, b))
ROW("a != b", PAIRS, tg_not_equal(t, a, b))
ROW("a < b", PAIRS, tg_less(t, a, b))
ROW("a <= b", PAIRS, tg_less_equal(t, a, b))
ROW("a > b", PAIRS, tg_greater(t, a, b))
ROW("a >= b", PAIRS, tg_greater_equal(t, a, b))
ROW("torch.where(a, b, c)", "m[5] [5] [5];m[2,1] [3] [2,3];m[4] {inf,nan,1,2} {1,-inf,nan,3}",
    tg_where(t, a, b, c))
ROW("torch.where(a, b, torch.full_like(b, 1.5))", "m[5] [5];m[2,3] [2,3]",
    tg_safe_where(t, a, b, 1.5))
ROW("torch.isnan(a)", "[3];" EDGES, tg_isnan(t, a))
ROW("torch.isinf(a)", "[3];" EDGES, tg_isinf(t, a))
ROW("torch.isfinite(a)", "[3];" EDGES, tg_isfinite(t, a))
ROW("torch.logical_and(a, b)", MASKS ";{0,1,nan,-0} {1,2,1,1}", tg_logical_and(t, a, b))
ROW("torch.logical_or(a, b)", MASKS ";{0,1,nan,-0} {1,2,1,1}", tg_logical_or(t, a, b))
ROW("torch.logical_xor(a, b)", MASKS ";{0,1,nan,-0} {1,2,1,1}", tg_logical_xor(t, a, b))
ROW("torch.logical_not(a)", "m[6];{0,1,nan,-0}", tg_logical_not(t, a))
ROW("a & b", "i-9:9[6] i-9:9[6]", tg_bitwise_and(t, a, b))
ROW("a | b", "i-9:9[6] i-9:9[6]", tg_bitwise_or(t, a, b))
ROW("a ^ b", "i-9:9[6] i-9:9[6]", tg_bitwise_xor(t, a, b))
ROW("~a", "i-9:9[6]", tg_bitwise_not(t, a))
ROW("torch.round(a).detach() + (a - a.detach())", "[5];[2,3]",
    tg_straight_through(t, tg_round(t, a), a))
ROW("a.detach() + (-2 * a - (-2 * a).detach())", "[5]", tg_scale_gradient(t, a, -2))

/* made of a shape */
ROW("torch.full((2, 3), 2.5) + 0 * a", "[]",
    tg_add(t, tg_full(t, TG_F64, 2.5, TG_SHAPE(2, 3)), tg_scale(t, a, 0)))
ROW("torch.full_like(a, 3.)", "[2,3];[0]", tg_full_like(t, a, 3))
ROW("torch.zeros_like(a)", "[2,3];[0]", tg_zeros_like(t, a))
ROW("torch.ones_like(a)", "[2,3];[0]", tg_ones_like(t, a))
ROW("a @ torch.eye(3)", "[2,3]", tg_matmul(t, a, tg_eye(t, TG_F64, 3)))
ROW("a * torch.arange(0., 5, 2)", "[3];[2,3]", tg_mul(t, a, tg_arange(t, TG_F64, 0, 5, 2)))
ROW("a * torch.arange(3., 0, -0.75)", "[4]", tg_mul(t, a, tg_arange(t, TG_F64, 3, 0, -0.75)))
ROW("a * torch.linspace(-1, 2, 5)", "[5];[2,5]", tg_mul(t, a, tg_linspace(t, TG_F64, -1, 2, 5)))
ROW("torch.zeros(2) + a", "[2];[3,2]", tg_add(t, tg_zeros(t, TG_F64, TG_SHAPE(2)), a))
ROW("torch.ones(2) + a", "[2];[3,2]", tg_add(t, tg_ones(t, TG_F64, TG_SHAPE(2)), a))
ROW("torch.meshgrid(a, b, indexing='ij')[1]", "[2] [3]", tg_meshgrid(t, 2, ARRAY(a, b), 1))

/* reductions */
ROW("a.sum()", ALONG ";[0];{1,inf,2};{inf,-inf}", tg_sum_all(t, a))
ROW("a.mean()", ALONG ";{1,inf,2}", tg_mean_all(t, a))
ROW("a.sum(0)", ALONG ";[0,3]", tg_sum(t, a, TG_AXES(0), false))
ROW("a.sum((0, 2), keepdim=True)", "[2,3,2];[1,2,1]", tg_sum(t, a, TG_AXES(0, 2), true))
ROW("a.sum(-1)", "i-5:5[2,3]", tg_sum(t, a, TG_AXES(-1), false))
ROW("a.mean(-1, keepdim=True)", ALONG, tg_mean(t, a, TG_AXES(-1), true))
ROW("a.mean((0, 1))", "[2,3,2];[3,1,2]", tg_mean(t, a, TG_AXES(0, 1), false))
ROW("a.amax(-1)", ALONG ";{1,3,3,2};{inf,1,inf}", tg_max(t, a, TG_AXES(-1), false))
ROW("a.amax()", ALONG ";{1,3,3,2}", tg_max(t, a, TG_ALL_AXES, false))
ROW("a.amin(0, keepdim=True)", ALONG ";{1,3,1,2}", tg_min(t, a, TG_AXES(0), true))
ROW("a.prod(-1)", ALONG ";{2,0,3};{0,0,3};[2,0]", tg_prod(t, a, TG_AXES(-1), false))
ROW("a.prod(0, keepdim=True)", "[3,2];[2,2,2]", tg_prod(t, a, TG_AXES(0), true))
ROW("a.var(-1)", "[5];[2,3];[2,3,2];{3,3,3,4}", tg_var(t, a, TG_AXES(-1), 1, false))
ROW("a.var((0, 1), unbiased=False)", "[2,3];[2,3,2]", tg_var(t, a, TG_AXES(0, 1), 0, false))
ROW("a.std(-1)", "[5];[2,3];[2,3,2];{3,3,3,4}", tg_std(t, a, TG_AXES(-1), 1, false))
ROW("a.std(0, unbiased=False, keepdim=True)", "[5];[2,3]", tg_std(t, a, TG_AXES(0), 0, true))
ROW("torch.linalg.vector_norm(a, 2, -1)", ALONG ";{0,0,0};{3,4}",
    tg_norm(t, a, 2, TG_AXES(-1), false))
ROW("torch.linalg.vector_norm(a, 1, -1)", ALONG ";{0,1,-2}", tg_norm(t, a, 1, TG_AXES(-1), false))
ROW("torch.linalg.vector_norm(a, 3, 0)", "[5];[2,3];[2,3,2]", tg_norm(t, a, 3, TG_AXES(0), false))
ROW("torch.linalg.vector_norm(a, float('inf'), -1)", ALONG ";{2,-2,1}",
    tg_norm(t, a, (double)INFINITY, TG_AXES(-1), false))
ROW("torch.linalg.vector_norm(a, 2)", ALONG, tg_norm(t, a, 2, TG_ALL_AXES, false))
ROW("torch.logsumexp(a, -1)", ALONG ";-500:500[4];{1,-inf,2}",
    tg_logsumexp(t, a, TG_AXES(-1), false))
ROW("torch.logsumexp(a, (0, 1))", "[2,3];[2,3,2]", tg_logsumexp(t, a, TG_AXES(0, 1), false))
ROW("torch.argmax(a, -1)", ALONG ";{1,3,3};{1,nan,inf}", tg_argmax(t, a, -1, false))
ROW("torch.argmax(a, 0, keepdim=True)", ALONG, tg_argmax(t, a, 0, true))
ROW("torch.max(a, -1)[0]", ALONG ";{1,3,3}", tg_max_along(t, a, -1, false))
ROW("torch.argmin(a, -1)", ALONG ";{1,3,1};{1,nan,inf}", tg_argmin(t, a, -1, false))
ROW("torch.min(a, -1)[0]", ALONG ";{1,3,1}", tg_min_along(t, a, -1, false))
ROW("torch.softmax(a, -1)", ALONG ";-500:500[4];{1,-inf,2}", tg_softmax(t, a, -1))
ROW("torch.softmax(a, 0)", ALONG, tg_softmax(t, a, 0))
ROW("torch.log_softmax(a, -1)", ALONG ";-500:500[4]", tg_log_softmax(t, a, -1))
ROW("torch.log_softmax(a, 0)", ALONG, tg_log_softmax(t, a, 0))
ROW("F.softmin(a, -1)", ALONG ";-500:500[4]", tg_softmin(t, a, -1))

/* shapes */
ROW("a.reshape(3, -1)", "[6];[2,3];[3,1,2]", tg_reshape(t, a, TG_SHAPE(3, -1)))
ROW("a.permute(2, 0, 1)", "[2,3,4];[1,2,3]", tg_permute(t, a, TG_AXES(2, 0, 1)))
ROW("a.transpose(0, -1)", "[2,3];[2,3,4]", tg_transpose(t, a, 0, -1))
ROW("a.expand(2, 3, 4)", "[4];[3,1];[2,1,4];[]", tg_expand(t, a, TG_SHAPE(2, 3, 4)))
ROW("a[1:5:2]", "[7];[4,2];[2]", tg_slice(t, a, 0, 1, 5, 2))
ROW("a[..., -3:]", "[7];[2,4];[2]", tg_slice(t, a, -1, -3, TG_END, 1))
ROW("a.flip((0,))", "[5];[2,3]", tg_flip(t, a, TG_AXES(0)))
ROW("a.squeeze(1)", "[2,1];[3,1,2]", tg_squeeze(t, a, 1))
ROW("a.unsqueeze(-1)", "[2];[3,2];[]", tg_unsqueeze(t, a, -1))
ROW("torch.cat((a, b, a), 0)", "[2] [3];[1,2] [3,2];[0] [2]", tg_concat(t, 3, ARRAY(a, b, a), 0))
ROW("torch.stack((a, b), -1)", "[2] [2];[1,2] [1,2]", tg_stack(t, 2, ARRAY(a, b), -1))
ROW("F.pad(a, (1, 2, 0, 1), value=7.)", "[2,3];[1,1]",
    tg_pad(t, a, TG_SHAPE(0, 1), TG_SHAPE(1, 2), 7))
ROW("F.pad(a, (-1, 2, 1, -1), value=7.)", "[2,3];[3,1]",
    tg_pad(t, a, TG_SHAPE(1, -1), TG_SHAPE(-1, 2), 7))
ROW("F.pad(a, (2, -1), 'replicate')", "[2,3];[1,5]",
    tg_pad_with(t, a, TG_PAD_REPLICATE, TG_SHAPE(0, 2), TG_SHAPE(0, -1)))
ROW("F.pad(a, (2, 1), 'reflect')", "[2,3];[1,5]",
    tg_pad_with(t, a, TG_PAD_REFLECT, TG_SHAPE(0, 2), TG_SHAPE(0, 1)))
ROW("F.pad(a, (2, 1), 'replicate')", "[2,3];[1,5]",
    tg_pad_with(t, a, TG_PAD_REPLICATE, TG_SHAPE(0, 2), TG_SHAPE(0, 1)))
ROW("F.pad(a, (2, 1), 'circular')", "[1,2,3];[1,1,5]",
    tg_pad_with(t, a, TG_PAD_CIRCULAR, TG_SHAPE(0, 0, 2), TG_SHAPE(0, 0, 1)))
ROW("torch.roll(a, 2, -1)", ALONG, tg_roll(t, a, -1, 2))
ROW("a.tile(2, 3)", "[2,3];[1,1]", tg_tile(t, a, TG_SHAPE(2, 3)))
ROW("a.repeat_interleave(2, -1)", ALONG, tg_repeat_interleave(t, a, -1, 2))
ROW("a.select(-1, -1)", ALONG, tg_select(t, a, -1, -1))
ROW("a.split(2)[1]", "[5];[3,2]", tg_split(t, a, 0, 2, 1))
ROW("a.chunk(3)[1]", "[5];[3,2]", tg_chunk(t, a, 0, 3, 1))
ROW("torch.slice_scatter(a, b, 0, 1, 4, 2)", "[5] [2];[4,2] [2,2]",
    tg_slice_scatter(t, a, b, 0, 1, 4, 2))
ROW("torch.select_scatter(a, b, -1, 1)", "[5] [];[4,2] [4]", tg_select_scatter(t, a, b, -1, 1))
ROW("torch.tril(a, 1)", "[3,3];[2,4];[2,3,2]", tg_tril(t, a, 1))
ROW("torch.triu(a, -1)", "[3,3];[2,4];[4,2]", tg_triu(t, a, -1))
ROW("torch.diagonal(a, 1, -2, -1)", "[3,3];[2,4];[2,3,2]", tg_diagonal(t, a, 1))
ROW("torch.diag_embed(a)", "[3];[2,2]", tg_diag_embed(t, a))
ROW("a.masked_fill(b, 2.)", "[4] m[4];[2,3] m[3]", tg_masked_fill(t, a, b, 2))
ROW("a.to(torch.int64)", "-9:9[5];{0.9,-0.9,-1.5}", tg_cast(t, a, TG_I64))
ROW("a.to(torch.float64)", "i-9:9[5];m[3]", tg_cast(t, a, TG_F64))
ROW("F.one_hot(a, 4).double()", "i0:3[5];i0:3[2,2]", tg_one_hot(t, a, 4, TG_F64))

/* products */
ROW("a @ b", "[2,3] [3,4];[3] [3];[2,3] [3];[3] [3,2];[2,2,3] [3,2];[2,1,2,3] [3,3,2];[2,0] [0,3]",
    tg_matmul(t, a, b))
ROW("F.linear(a, b, c)", "[2,3] [4,3] [4];[3] [2,3] [2];[2,2,3] [1,3] [1]", tg_linear(t, a, b, c))
ROW("torch.outer(a, b)", "[2] [3]", tg_outer(t, a, b))
ROW("torch.dot(a, b)", "[4] [4];[0] [0]", tg_dot(t, a, b))
ROW("torch.diagonal(a, 0, -2, -1).sum(-1)", "[3,3];[2,2,3]", tg_trace(t, a))
ROW("torch.einsum('ij,jk->ki', a, b)", "[2,3] [3,2]", tg_einsum(t, "ij,jk->ki", 2, ARRAY(a, b)))
ROW("torch.einsum('bi,bi->b', a, b)", "[2,3] [2,3]", tg_einsum(t, "bi,bi->b", 2, ARRAY(a, b)))
ROW("torch.einsum('...ij,...jk->...ik', a, b)", "[2,2,3] [3,2];[2,3] [2,3,1]",
    tg_einsum(t, "...ij,...jk->...ik", 2, ARRAY(a, b)))
ROW("torch.einsum('ii->i', a)", "[3,3]", tg_einsum(t, "ii->i", 1, ARRAY(a)))
ROW("torch.einsum('a,b,ab', a, b, c)", "[2] [3] [2,3]", tg_einsum(t, "a,b,ab", 3, ARRAY(a, b, c)))
ROW("torch.tensordot(a, b, dims=([0, 1], [1, 0]))", "[2,3] [3,2];[2,3,2] [3,2,2]",
    tg_tensordot(t, a, b, TG_AXES(0, 1), TG_AXES(1, 0)))
ROW("torch.kron(a, b)", "[2,2] [2,3];[2] [3]", tg_kron(t, a, b))
ROW("torch.bmm(a, b)", "[2,2,3] [2,3,2]", tg_bmm(t, a, b))
ROW("torch.addmm(a, b, c, beta=0.5, alpha=2)", "[2,2] [2,3] [3,2];[2] [2,3] [3,2]",
    tg_addmm(t, a, b, c, 0.5, 2))

/* linear algebra */
ROW("torch.linalg.cholesky(a @ a.mT + torch.eye(3))", "[3,3];[2,3,3]",
    tg_cholesky(t, tg_add(t, tg_matmul(t, a, tg_transpose(t, a, -2, -1)), tg_eye(t, TG_F64, 3))))
ROW("torch.linalg.solve_triangular(a, b, upper=False)", "0.5:2[3,3] [3,2];0.5:2[2,3,3] [2,3,1]",
    tg_solve_triangular(t, a, b, false))
ROW("torch.linalg.solve_triangular(a, b, upper=True)", "0.5:2[3,3] [3,2]",
    tg_solve_triangular(t, a, b, true))
ROW("torch.linalg.solve(a, b)", "[3,3] [3,2];[3,3] [3];[2,2,2] [2,2,1]", tg_solve(t, a, b))
ROW("torch.cholesky_solve(a, torch.tril(b))", "[3,2] 0.5:2[3,3]",
    tg_cholesky_solve(t, a, tg_tril(t, b, 0)))
ROW("torch.linalg.inv(a)", "[3,3];[2,2,2];[1,1]", tg_inv(t, a))
ROW("torch.linalg.det(a)", "[3,3];[2,2,2];[1,1]", tg_det(t, a))
ROW("torch.stack(torch.linalg.slogdet(a), -1)", "[3,3];[2,2,2];[1,1]", tg_slogdet(t, a))

ROW("torch.linalg.qr(a)[0]", "[3,2];[3,3];[2,4,2];[1,1]", tg_qr(t, a, NULL))
ROW("torch.linalg.qr(a)[1]", "[3,2];[3,3];[2,3];[2,2,4]", upper_of(t, a))
ROW("torch.linalg.eigvalsh(a + a.mT)", "[3,3];[2,2,2];[1,1];[4,4]",
    tg_eigh(t, tg_add(t, a, tg_transpose(t, a, -1, -2)), NULL))
ROW("torch.linalg.svdvals(a)", "[3,3];[2,3];[3,2];[2,2,3]", tg_svd(t, a, NULL, NULL))
ROW("torch.linalg.lstsq(a, b)[0]", "[3,2] [3,2];[3,3] [3,1];[4,2] [4,1]", tg_lstsq(t, a, b))
ROW("torch.linalg.pinv(a) @ b", "[2,3] [2,1];[2,4] [2,2]", tg_lstsq(t, a, b))
ROW("torch.linalg.matrix_exp(a)", "[3,3];[2,2,2];[1,1];-9:9[2,2]", tg_matrix_exp(t, a))

/* convolutions, pooling, resampling */
ROW("F.conv2d(a, b, c)", "[1,2,3,4] [2,2,2,2] [2];[2,1,3,3] [1,1,3,3] [1]",
    tg_conv2d(t, a, b, c, (tg_conv){.groups = 1}))
ROW("F.conv2d(a, b, None, (2, 1), (1, 2), (1, 2))", "[1,2,4,3] [2,2,2,3]",
    tg_conv2d(t, a, b, NULL, (tg_conv){.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}}))
ROW("F.conv2d(a, b, None, groups=2)", "[1,4,3,3] [2,2,2,2]",
    tg_conv2d(t, a, b, NULL, (tg_conv){.groups = 2}))
ROW("F.conv2d(a, b, c, padding='same', dilation=(1, 3))", "[1,2,4,5] [2,2,2,2] [2]",
    tg_conv2d(t, a, b, c, (tg_conv){.same = true, .dilation = {1, 3}}))
ROW("F.conv1d(a, b, None, padding='same')", "[1,2,5] [2,2,4]",
    tg_conv1d(t, a, b, NULL, (tg_conv){.same = true}))
ROW("F.conv3d(a, b, None, padding='same')", "[1,1,2,3,2] [1,1,2,3,2]",
    tg_conv3d(t, a, b, NULL, (tg_conv3){.same = true}))
ROW("F.conv1d(a, b, c, 2, 1)", "[1,2,5] [3,2,3] [3]",
    tg_conv1d(t, a, b, c, (tg_conv){.stride = {2}, .padding = {1}}))
ROW("F.conv3d(a, b, c)", "[1,1,2,3,3] [2,1,2,2,2] [2]",
    tg_conv3d(t, a, b, c, (tg_conv3){.groups = 1}))
ROW("F.conv3d(a, b, None, (1, 2, 1), (1, 0, 1))", "[1,2,2,3,2] [1,2,2,2,2]",
    tg_conv3d(t, a, b, NULL, (tg_conv3){.stride = {1, 2, 1}, .padding = {1, 0, 1}}))
ROW("F.conv_transpose2d(a, b, c, 2, 1, 1)", "[1,2,2,3] [2,2,3,2] [2]",
    tg_conv_transpose2d(t, a, b, c,
                        (tg_conv){.stride = {2, 2}, .padding = {1, 1}, .output_padding = {1, 1}}))
ROW("F.conv_transpose1d(a, b, None, 2)", "[1,2,3] [2,2,2]",
    tg_conv_transpose1d(t, a, b, NULL, (tg_conv){.stride = {2}}))
ROW("F.max_pool2d(a, 2)", "[1,2,4,5];[2,1,2,2]", tg_max_pool2d(t, a, (tg_pool){.kernel = {2, 2}}))
ROW("F.max_pool2d(a, (3, 2), (2, 1), (1, 0))", "[1,2,5,3]",
    tg_max_pool2d(t, a, (tg_pool){.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}}))
ROW("F.max_pool2d(a, 2, 1, 0, 2)", "[1,1,4,5]",
    tg_max_pool2d(t, a, (tg_pool){.kernel = {2, 2}, .stride = {1, 1}, .dilation = {2, 2}}))
ROW("F.avg_pool2d(a, 2)", "[1,2,4,5];[2,1,2,2]", tg_avg_pool2d(t, a, (tg_pool){.kernel = {2, 2}}))
ROW("F.avg_pool2d(a, (3, 2), (2, 1), (1, 1))", "[1,2,5,3]",
    tg_avg_pool2d(t, a, (tg_pool){.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}}))
ROW("F.max_pool2d(a, (3, 2), (2, 3), 1, ceil_mode=True)", "[1,2,6,9];[1,1,4,4]",
    tg_max_pool2d(
        t, a, (tg_pool){.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}, .ceil_mode = true}))
ROW("F.avg_pool2d(a, (3, 2), (2, 3), 1, ceil_mode=True)", "[1,2,6,9];[1,1,4,4]",
    tg_avg_pool2d(
        t, a, (tg_pool){.kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}, .ceil_mode = true}))
ROW("F.avg_pool2d(a, (3, 2), (2, 3), 1, ceil_mode=True, count_include_pad=False)",
    "[1,2,6,9];[1,1,4,4]",
    tg_avg_pool2d(t, a,
                  (tg_pool){.kernel = {3, 2},
                            .stride = {2, 3},
                            .padding = {1, 1},
                            .ceil_mode = true,
                            .exclude_padding = true}))
ROW("F.avg_pool1d(a, 3, 2, 1, True, False)", "[1,2,6];[1,1,7]",
    tg_avg_pool1d(t, a,
                  (tg_pool){.kernel = {3},
                            .stride = {2},
                            .padding = {1},
                            .ceil_mode = true,
                            .exclude_padding = true}))
ROW("F.max_pool3d(a, (2, 3, 2), (2, 2, 1), (1, 1, 0), ceil_mode=True)", "[1,1,4,4,3];[1,2,3,3,2]",
    tg_max_pool3d(t, a,
                  (tg_pool3){.kernel = {2, 3, 2},
                             .stride = {2, 2, 1},
                             .padding = {1, 1, 0},
                             .ceil_mode = true}))
ROW("F.avg_pool3d(a, (2, 3, 2), (2, 2, 1), (1, 1, 0), ceil_mode=True)", "[1,1,4,4,3];[1,2,3,3,2]",
    tg_avg_pool3d(t, a,
                  (tg_pool3){.kernel = {2, 3, 2},
                             .stride = {2, 2, 1},
                             .padding = {1, 1, 0},
                             .ceil_mode = true}))
ROW("F.avg_pool3d(a, 2, 1, 1, count_include_pad=False)", "[1,1,2,3,2]",
    tg_avg_pool3d(t, a,
                  (tg_pool3){.kernel = {2, 2, 2},
                             .stride = {1, 1, 1},
                             .padding = {1, 1, 1},
                             .exclude_padding = true}))
ROW("F.max_pool1d(a, 3, 2, 1)", "[1,2,6]",
    tg_max_pool1d(t, a, (tg_pool){.kernel = {3}, .stride = {2}, .padding = {1}}))
ROW("F.avg_pool1d(a, 3, 2, 1)", "[1,2,6]",
    tg_avg_pool1d(t, a, (tg_pool){.kernel = {3}, .stride = {2}, .padding = {1}}))
ROW("F.adaptive_avg_pool2d(a, (2, 3))", "[1,2,5,4];[1,1,2,3]", tg_adaptive_avg_pool2d(t, a, 2, 3))
ROW("F.adaptive_max_pool2d(a, (2, 3))", "[1,2,5,4];[1,1,2,3]", tg_adaptive_max_pool2d(t, a, 2, 3))
ROW("F.interpolate(a, (4, 5))", "[1,2,2,3]", tg_upsample_nearest(t, a, 4, 5))
ROW("F.interpolate(a, (4, 5), mode='bilinear', align_corners=False)", "[1,2,2,3];[1,1,1,2]",
    tg_upsample_bilinear(t, a, 4, 5, false))
ROW("F.interpolate(a, (4, 5), mode='bilinear', align_corners=True)", "[1,2,2,3]",
    tg_upsample_bilinear(t, a, 4, 5, true))

/* indexing */
ROW("torch.gather(a, 0, b)", "[4] i0:3[6];[3,2] i0:2[2,2]", tg_gather(t, a, 0, b))
ROW("torch.gather(a, -1, b)", "[2,4] i0:3[2,3]", tg_gather(t, a, -1, b))
ROW("torch.index_select(a, 0, b)", "[4] i0:3[6];[3,2] i0:2[4]", tg_index_select(t, a, 0, b))
ROW("F.embedding(a, b)", "i0:3[5] [4,2];i0:3[2,2] [4,3]", tg_embedding(t, b, a))
ROW("F.embedding(a, b, padding_idx=1)", "i0:3[5] [4,2];i0:1[2,2] [4,3]",
    tg_embedding_padded(t, b, a, 1))
ROW("a.scatter_add(0, b, c)", "[4] i0:3[6] [6];[3,2] i0:2[2,2] [2,2]",
    tg_scatter_add(t, a, 0, b, c))
ROW("a.scatter(0, torch.tensor([2, 0]), b)", "[4] [2]", tg_scatter(t, a, 0, INTEGERS(2, 2, 0), b))
ROW("a.scatter_reduce(0, b, c, 'amax')", "[3] i0:2[6] [6]", tg_scatter_amax(t, a, 0, b, c))
ROW("a.scatter_reduce(0, b, c, 'amin')", "[3] i0:2[6] [6]", tg_scatter_amin(t, a, 0, b, c))
ROW("a.scatter_reduce(0, b, c, 'mean')", "[3] i0:2[6] [6];[2,2] i0:1[3,2] [3,2]",
    tg_scatter_mean(t, a, 0, b, c))
ROW("a.index_add(0, b, c)", "[4] i0:3[6] [6];[3,2] i0:2[4] [4,2]", tg_index_add(t, a, 0, b, c))
ROW("a.index_copy(0, torch.tensor([2, 0]), b)", "[4] [2];[3,2] [2,2]",
    tg_index_copy(t, a, 0, INTEGERS(2, 2, 0), b))
ROW("a[b, c]", "[3,2] i0:2[4] i0:1[4];[3,2,2] i0:2[2,2] i0:1[2,2]",
    tg_gather_nd(t, a, 2, ARRAY(b, c)))
ROW("a.index_put((b, c), d, accumulate=True)", "[3,2] i0:2[4] i0:1[4] [4]",
    tg_index_put(t, a, 2, ARRAY(b, c), d, true))
ROW("torch.zeros((3,) + a.shape[1:]).index_add(0, b, a)", "[6] i0:2[6];[4,2] i0:2[4]",
    tg_segment_sum(t, a, b, 3))
ROW("torch.zeros((3,) + a.shape[1:]).index_add(0, b, a) / "
    "torch.bincount(b, minlength=3).clamp(min=1).reshape(3, *[1] * (a.dim() - 1))",
    "[6] i0:2[6];[4,2] i0:2[4]", tg_segment_mean(t, a, b, 3))
ROW("torch.full((3,), -float('inf')).scatter_reduce(0, b, a, 'amax')", "[8] i0:2[8]",
    tg_segment_max(t, a, b, 3))

/* finding, counting, order */
ROW("torch.count_nonzero(a)", "i0:2[9];{0,-0,nan,1}", tg_count_nonzero(t, a))
ROW("torch.nonzero(a.flatten()).flatten()[:2]", "i1:2[2,3];{1,0,3}", tg_nonzero(t, a, 2, -1))
ROW("torch.masked_select(a, a > -5)", "[4];[2,3]",
    tg_masked_select(t, a, tg_greater(t, a, tg_constant(t, TG_F64, -5)), tg_tensor_count(a), 0))
ROW("torch.unique(a)[:2]", "i0:9[8];={3,1,3,2}", tg_unique(t, a, 2, 0))
ROW("torch.tensor(torch.unique(a).numel())", "i0:9[8];={3,1,3,2}", tg_count_unique(t, a))
ROW("torch.searchsorted(a, b)", "={1,2,2,3} =[4];={1,2,2,3} ={1,2,3,0,9}",
    tg_searchsorted(t, a, b, false))
ROW("torch.bucketize(b, a, right=True)", "={1,2,2,3} =[4];={1,2,2,3} ={1,2,3,0,9}",
    tg_bucketize(t, b, a, true))
ROW("torch.bincount(a, minlength=5)", "i0:4[9]", tg_bincount(t, a, 5))
ROW("torch.histc(a, 4, -1, 1).long()", "=-0.99:0.99[9];={-1,1,0,0.5,2,-2}",
    tg_histc(t, a, 4, -1, 1))
ROW("torch.cumsum(a, -1)", ALONG, tg_cumsum(t, a, -1))
ROW("torch.cumsum(a, 0)", "[3,2];i-3:3[5]", tg_cumsum(t, a, 0))
ROW("torch.argsort(a, -1)", ALONG, tg_argsort(t, a, -1, false))
ROW("torch.sort(a, dim=-1, stable=True)[1]", "i0:2[8]", tg_argsort(t, a, -1, false))
ROW("torch.sort(a, -1)[0]", ALONG, tg_sort(t, a, -1, false))
ROW("torch.sort(a, 0, descending=True)[0]", ALONG, tg_sort(t, a, 0, true))
ROW("torch.topk(a, 2, -1)[0]", "[5];[2,3]", tg_topk(t, a, 2, -1, true))
ROW("torch.topk(a, 2, 0, largest=False)[0]", "[5];[3,2]", tg_topk(t, a, 2, 0, false))
ROW("recurrence(a, b)", "[4] [4];[1] [1];[4,2] [4,2]", tg_linear_recurrence(t, a, b, 0))
ROW("torch.cumprod(a, -1)", ALONG ";{2,0,3};{0,1,0}", tg_cumprod(t, a, -1))
ROW("torch.logcumsumexp(a, -1)", ALONG, tg_logcumsumexp(t, a, -1))
ROW("torch.cummax(a, -1)[0]", ALONG ";{1,1,0,1}", tg_cummax(t, a, -1))
ROW("torch.cummin(a, -1)[0]", ALONG ";{1,1,0,1}", tg_cummin(t, a, -1))
ROW("torch.kthvalue(a, 2, -1)[0]", "[5];[2,3]", tg_kthvalue(t, a, 2, -1, false))
ROW("torch.median(a, -1)[0]", "[5];[2,4]", tg_median(t, a, -1, false))

/* derivatives */
ROW("jacobian(lambda x: torch.sin(x) * x.sum(), a)", "[3];[2,2]",
    tg_jacobian(t, tg_mul(t, tg_sin(t, a), tg_sum_all(t, a)), a))
ROW("hessian(lambda x: torch.sin(x).sum() * x.sum(), a)", "[3];[2,2]",
    tg_hessian(t, tg_mul(t, tg_sum_all(t, tg_sin(t, a)), tg_sum_all(t, a)), a))
ROW("torch.tensordot(b, jacobian(lambda x: torch.tanh(c @ x), a), 1)", "[3] [4,2] [2,3]",
    tg_vjp_batch(t, tg_tanh(t, tg_matmul(t, c, a)), a, b))
ROW("b @ jacobian(lambda x: torch.tanh(c @ x), a).mT", "[3] [4,3] [2,3]",
    tg_jvp_batch(t, tg_tanh(t, tg_matmul(t, c, a)), a, b))
ROW("torch.tanh(torch.sin(a))", "[4]", tg_checkpoint(t, tg_tanh(t, tg_sin(t, a)), 1, ARRAY(a)))
ROW("(torch.sqrt(a * a / 4 + 1 / 27) + a / 2) ** (1 / 3) - "
    "(torch.sqrt(a * a / 4 + 1 / 27) - a / 2) ** (1 / 3)",
    "-1:1[4];[2,3]", (b = cubic_root(t, a), tg_implicit(t, b, cubic(t, b, a), 1)))

/* normalisation */
ROW("F.layer_norm(a, a.shape[-1:], b, c)", "[4] [4] [4];[2,3] [3] [3];[2,2,3] [3] [3]",
    tg_layer_norm(t, a, 1, b, c, 1e-5))
ROW("F.layer_norm(a, a.shape[-2:])", "[2,3];[2,2,3]", tg_layer_norm(t, a, 2, NULL, NULL, 1e-5))
ROW("a / torch.sqrt((a * a).mean(-1, keepdim=True) + 0.01) * b", "[4] [4];[2,3] [3]",
    tg_rms_norm(t, a, 1, b, 0.01))
ROW("F.batch_norm(a, None, None, b, c, True)", "[4,2] [2] [2];[2,2,3] [2] [2];[2,3,1,2] [3] [3]",
    tg_batch_norm(t, a, NULL, NULL, b, c, 1e-5))
ROW("(a - b[:, None]) / torch.sqrt(c[:, None] + 1e-5)", "[2,2,3] [2] 0.5:2[2]",
    tg_batch_norm(t, a, b, c, NULL, NULL, 1e-5))
ROW("F.group_norm(a, 2, b, c)", "[2,4,2] [4] [4];[1,4] [4] [4]", tg_group_norm(t, a, 2, b, c, 1e-5))
ROW("F.instance_norm(a, weight=b, bias=c)", "[2,2,3] [2] [2];[1,2,2,2] [2] [2]",
    tg_instance_norm(t, a, b, c, 1e-5))

/* attention, recurrent nets */
ROW("attention(a, b, c)", "[2,3] [4,3] [4,2];[2,2,3] [2,4,3] [2,4,2]",
    tg_attention(t, a, b, c, NULL, false))
ROW("attention(a, b, c, causal=True)", "[3,2] [3,2] [3,2]", tg_attention(t, a, b, c, NULL, true))
ROW("attention(a, b, c, mask=d)", "[2,3] [3,3] [3,2] ={1,0,1}",
    tg_attention(t, a, b, c, tg_cast(t, d, TG_U8), false))
ROW("attention(a, b, c, bias=d, scale=0.3)", "[2,3] [4,3] [4,2] [2,4]",
    tg_scaled_dot_product_attention(t, a, b, c, d, false, 0.3, false))
ROW("rotary(a)", "[3,4];[2,3,2]",
    tg_rotary_embedding(t, a, tg_arange(t, TG_I64, 0, 3, 1), 100, false))
ROW("torch.rnn_tanh_cell(a, b, c, d, e, f)", "[2,3] [2,2] [2,3] [2,2] [2] [2]",
    tg_rnn_cell(t, a, b, (tg_cell){c, d, e, f}))
ROW("torch.cat(torch.lstm_cell(a, b.chunk(2, -1), c, d, e, f), -1)",
    "[2,3] [2,4] [8,3] [8,2] [8] [8];[1,1] [1,2] [4,1] [4,1] [4] [4]",
    tg_lstm_cell(t, a, b, (tg_cell){c, d, e, f}))
ROW("torch.gru_cell(a, b, c, d, e, f)", "[2,3] [2,2] [6,3] [6,2] [6] [6]",
    tg_gru_cell(t, a, b, (tg_cell){c, d, e, f}))

ROW("torch.rnn_tanh(a, b, [c, d, e, f], True, 1, 0., False, False, False)[0]",
    "[3,2,2] [1,2,3] [3,2] [3,3] [3] [3];[1,1,1] [1,1,1] [1,1] [1,1] [1] [1]",
    tg_rnn(t, a, ARRAY(b), (tg_recurrent){.cell = &(tg_cell){c, d, e, f}}))
ROW("torch.lstm(a, (b, c), [d, e], False, 1, 0., False, False, False)[0]",
    "[3,2,2] [1,2,2] [1,2,2] [8,2] [8,2];[5,1,1] [1,1,1] [1,1,1] [4,1] [4,1]",
    tg_lstm(t, a, (ARRAY(b, c)), (tg_recurrent){.cell = &(tg_cell){d, e, NULL, NULL}}))
ROW("torch.lstm(a, (b, b), [c, d, e, f], False, 1, 0., False, True, False)[0]",
    "[3,2,2] [2,2,1] [4,2] [4,1] [4,2] [4,1]",
    tg_lstm(t, a, (ARRAY(b, b)),
            (tg_recurrent){.cell = (tg_cell[]){{c, d, NULL, NULL}, {e, f, NULL, NULL}},
                           .bidirectional = true,
                           .checkpoint = 2}))
ROW("torch.gru(a, b, [c, d, e, f], True, 1, 0., False, False, False)[0]",
    "[3,2,2] [1,2,2] [6,2] [6,2] [6] [6]",
    tg_gru(t, a, ARRAY(b), (tg_recurrent){.cell = &(tg_cell){c, d, e, f}}))
ROW("torch.gru(a, b, [c, d, e, f], False, 2, 0., False, False, False)[0]",
    "[3,2,1] [2,2,2] [6,1] [6,2] [6,2] [6,2]",
    tg_gru(t, a, ARRAY(b),
           (tg_recurrent){.cell = (tg_cell[]){{c, d, NULL, NULL}, {e, f, NULL, NULL}},
                          .layers = 2}))
ROW("by_lengths(lambda x, h: torch.gru(x, h.contiguous(), [c, d, e, f], False, 1, 0., False, "
    "True, False)[0], a, b, (2, 4))",
    "[4,2,1] [2,2,2] [6,1] [6,2] [6,1] [6,2]",
    tg_gru(t, a, ARRAY(b),
           (tg_recurrent){.cell = (tg_cell[]){{c, d, NULL, NULL}, {e, f, NULL, NULL}},
                          .bidirectional = true,
                          .lengths = INTEGERS(2, 2, 4)}))

/* losses */
ROW("F.mse_loss(a, b)", TARGETS, tg_mse_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.mse_loss(a, b, reduction='none')", TARGETS, tg_mse_loss(t, a, b, TG_REDUCE_NONE))
ROW("F.l1_loss(a, b)", TARGETS, tg_l1_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.l1_loss(a, b, reduction='sum')", TARGETS, tg_l1_loss(t, a, b, TG_REDUCE_SUM))
ROW("F.huber_loss(a, b, delta=0.7)", TARGETS, tg_huber_loss(t, a, b, 0.7, TG_REDUCE_MEAN))
ROW("F.smooth_l1_loss(a, b, beta=0.7)", TARGETS, tg_smooth_l1_loss(t, a, b, 0.7, TG_REDUCE_MEAN))
ROW("F.kl_div(a, b, reduction='sum')", "-4:0[4] 0.1:1[4];-4:0[2,3] 0.1:1[2,3]",
    tg_kl_div_loss(t, a, b, TG_REDUCE_SUM))
ROW("F.kl_div(a, b, reduction='mean')", "-4:0[4] 0.1:1[4];{-1,-2} ={0,0.5}",
    tg_kl_div_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.softplus(-b * a, threshold=1e3).mean()", SIGNS, tg_soft_margin_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.relu(0.8 - b * a).mean()", SIGNS, tg_hinge_loss(t, a, b, 0.8, TG_REDUCE_MEAN))
ROW("(F.relu(0.8 - b * a) ** 2).sum()", SIGNS, tg_squared_hinge_loss(t, a, b, 0.8, TG_REDUCE_SUM))
ROW("F.hinge_embedding_loss(a, b, 0.7)", SIGNS,
    tg_hinge_embedding_loss(t, a, b, 0.7, TG_REDUCE_MEAN))
ROW("F.cosine_embedding_loss(a, b, c, 0.2)", "[4,3] [4,3] =s[4];[1,2] [1,2] =s[1]",
    tg_cosine_embedding_loss(t, a, b, c, 0.2, TG_REDUCE_MEAN))
ROW("F.multilabel_soft_margin_loss(a, b, c)", "[3,4] =0:1[3,4] =0.5:2[4]",
    tg_multilabel_soft_margin_loss(t, a, b, c, TG_REDUCE_MEAN))
ROW("F.multilabel_soft_margin_loss(a, b, reduction='none')", "[3,4] 0:1[3,4];-9:9[2,1] 0:1[2,1]",
    tg_multilabel_soft_margin_loss(t, a, b, NULL, TG_REDUCE_NONE))
ROW("F.gaussian_nll_loss(a, b, c, eps=0.05)", "[4] [4] 0.1:2[4];[2,3] [2,3] 0.1:2[2,3]",
    tg_gaussian_nll_loss(t, a, b, c, 0.05, TG_REDUCE_MEAN))
ROW("F.margin_ranking_loss(a, b, c, 0.3)", "[4] [4] =s[4];[2,3] [2,3] =s[2,3]",
    tg_margin_ranking_loss(t, a, b, c, 0.3, TG_REDUCE_MEAN))
ROW("F.triplet_margin_loss(a, b, c, 1.5, eps=0)", "[2,3] [2,3] [2,3];[3,2] [3,2] [3,2]",
    tg_triplet_margin_loss(t, a, b, c, 1.5, TG_REDUCE_MEAN))
ROW("F.cosine_similarity(a, b, -1)", "[4] [4];[2,3] [2,3]", tg_cosine_similarity(t, a, b, -1, 1e-8))
ROW("F.poisson_nll_loss(a, b)", "[4] =0:5[4];[2,3] =0:5[2,3]",
    tg_poisson_nll_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.binary_cross_entropy(a, b)", "0.1:0.9[4] =0:1[4];0.1:0.9[2,3] =0:1[2,3]",
    tg_bce_loss(t, a, b, TG_REDUCE_MEAN))
ROW("F.binary_cross_entropy_with_logits(a, b)", "[4] 0:1[4];[2,3] 0:1[2,3]",
    tg_bce_with_logits(t, a, b))
ROW("(c * b * F.softplus(-a) + (1 - b) * F.softplus(a)).sum()",
    "[4] 0:1[4] 0.5:2[4];[2,3] 0:1[2,3] 0.5:2[3]",
    tg_bce_with_logits_loss(t, a, b, c, TG_REDUCE_SUM))
ROW("F.cross_entropy(a, b)", "[3,4] i0:3[3];[4] i0:3[];[2,3,2] i0:2[2,2];-200:200[2,3] i0:2[2]",
    tg_cross_entropy(t, a, b))
ROW("F.cross_entropy(a, b, c, ignore_index=1, label_smoothing=0.2)",
    "[5,4] i0:3[5] =0.5:2[4];[2,3,2] i0:2[2,2] =0.5:2[3]",
    tg_cross_entropy_loss(t, a, b, c, 1, 0.2, TG_REDUCE_MEAN))
ROW("F.cross_entropy(a, b, label_smoothing=0.1, reduction='none')", "[3,4] =0:1[3,4]",
    tg_cross_entropy_loss(t, a, b, NULL, TG_NO_INDEX, 0.1, TG_REDUCE_NONE))
ROW("F.nll_loss(a, b, c, ignore_index=2)", "[5,4] i0:3[5] =0.5:2[4]",
    tg_nll_loss(t, a, b, c, 2, TG_REDUCE_MEAN))
ROW("F.nll_loss(a, b, reduction='sum')", "[5,4] i0:3[5];[2,3,2] i0:2[2,2]",
    tg_nll_loss(t, a, b, NULL, TG_NO_INDEX, TG_REDUCE_SUM))
ROW("focal(a, b, 0.25, 2)", "[4] =m[4];[2,3] =m[2,3]",
    tg_sigmoid_focal_loss(t, a, tg_cast(t, b, TG_F64), 0.25, 2, TG_REDUCE_MEAN))
ROW("F.multi_margin_loss(a, b, margin=0.8)", "[3,4] i0:3[3]",
    tg_multi_margin_loss(t, a, b, 0.8, false, TG_REDUCE_MEAN))
ROW("F.multi_margin_loss(a, b, 2, 0.8)", "[3,4] i0:3[3]",
    tg_multi_margin_loss(t, a, b, 0.8, true, TG_REDUCE_MEAN))
ROW("F.ctc_loss(a.log_softmax(-1), torch.tensor([[1, 2], [2, 2]]), (4, 3), (2, 2))", "[4,2,3]",
    tg_ctc_loss(t, tg_log_softmax(t, a, -1), INTEGER_ROWS(1, 2, 2, 2), INTEGERS(2, 4, 3),
                INTEGERS(2, 2, 2), 0, TG_REDUCE_MEAN))

/* what PyTorch has no numbers for */
ALONE(tg_external(t, &squares, NULL, TG_F64, TG_SHAPE(3), 1, &a))
ALONE(tg_dropout(t, a, 0.1))
ALONE(tg_rand(t, TG_F32, TG_SHAPE(2, 3)))
ALONE(tg_randn(t, TG_F32, TG_SHAPE(2, 3)))
ALONE(tg_normal(t, a, b))
ALONE(tg_exponential(t, a))
ALONE(tg_bernoulli(t, a))
ALONE(tg_categorical(t, a, -1))
ALONE(tg_gumbel_softmax(t, a, 0.5, true, -1))
ALONE(tg_randperm(t, 10))
