/* What stands around attention: its general form, and positions that turn queries and keys. */
#include "folds.h"
#include <math.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- scaled_dot_product_attention */

/* softmax(scores + bias) v with zeros for a query whose scores are all -inf. The scores are
 * formed. */
static tg_tensor *biased(tg_tape *t, const char *where, tg_tensor *q, tg_tensor *k, tg_tensor *v,
                         tg_tensor *bias, bool causal)
{
    tg_tensor *scores = tg_add(t, tg_matmul(t, q, tg_transpose(t, k, -2, -1)), bias);
    if (!scores) return NULL;
    tg_tensor *none = tg_constant_like(t, scores, -(double)INFINITY),
              *zero = tg_constant_like(t, scores, 0);
    const tg_shape s = tg_tensor_shape(scores);
    if (s.dim[s.ndim - 1] == 0) return tg_matmul(t, scores, v);
    if (causal) {
        const tg_shape matrix = TG_SHAPE(s.dim[s.ndim - 2], s.dim[s.ndim - 1]);
        scores = tg_where(t, tg_tril(t, tg_ones(t, TG_U8, matrix), 0), scores, none);
    }
    tg_tensor *sees = tg_not_equal(t, tg_max(t, tg_detach(t, scores), TG_AXES(-1), true), none);
    tg_tensor *p = tg_softmax(t, tg_where(t, sees, scores, zero), -1);
    return tg_matmul(t, tg_where(t, sees, p, zero), v);
}

/* x [..., heads, n, m] as [..., groups, heads / groups, n, m]; 1 head as one of one group. */
static tg_tensor *in_groups(tg_tape *t, const char *where, tg_tensor *x, int64_t groups)
{
    tg_shape s = tg_tensor_shape(x);
    if (s.ndim < 3) return x;
    const int at = s.ndim - 3;
    const int64_t each = s.dim[at] == 1 ? 1 : s.dim[at] / groups;
    for (int d = s.ndim; d > at + 1; d--) s.dim[d] = s.dim[d - 1];
    s.ndim++;
    s.dim[at] /= each;
    s.dim[at + 1] = each;
    return tg_reshape(t, x, s);
}

tg_tensor *tg_scaled_dot_product_attention_at(tg_tape *t, const char *where, tg_tensor *q,
                                              tg_tensor *k, tg_tensor *v, tg_tensor *mask,
                                              bool causal, double scale, bool grouped)
{
    const char *const name = "scaled_dot_product_attention";
    if (!tg_ready_float(t, where, name, q) || !tg_ready_float(t, where, name, k) ||
        !tg_ready_float(t, where, name, v) || (mask && !tg_ready(t, where, name, mask)))
        return NULL;
    const tg_shape of_q = tg_tensor_shape(q), of_k = tg_tensor_shape(k), of_v = tg_tensor_shape(v);
    if (of_q.ndim < 2 || of_k.ndim < 2 || of_v.ndim < 2)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: q %s, k %s and v %s are no matrices", name,
                          tg_shape_text(of_q).text, tg_shape_text(of_k).text,
                          tg_shape_text(of_v).text);
    const double width = (double)of_q.dim[of_q.ndim - 1], usual = width > 0 ? 1 / sqrt(width) : 1;
    if (!isfinite(scale)) return tg_fail_at(t, where, TG_EVALUE, "%s: a scale of %g", name, scale);
    if (scale == 0) scale = usual;
    tg_shape result = of_q;
    if (grouped) {
        const int at = of_q.ndim - 3;
        const int64_t heads = at < 0 ? 0 : of_q.dim[at],
                      groups = of_k.ndim == of_q.ndim && at >= 0 ? of_k.dim[at] : 0;
        if (groups < 1 || heads % groups || of_v.ndim != of_q.ndim || of_v.dim[at] != groups ||
            of_q.ndim == TG_MAX_DIMS)
            return tg_fail_at(t, where, TG_ESHAPE,
                              "%s: the heads of q %s are no groups for those of k %s and v %s",
                              name, tg_shape_text(of_q).text, tg_shape_text(of_k).text,
                              tg_shape_text(of_v).text);
        result.dim[result.ndim - 1] = of_v.dim[of_v.ndim - 1];
        q = in_groups(t, where, q, groups);
        k = tg_unsqueeze(t, k, -3);
        v = tg_unsqueeze(t, v, -3);
        if (mask && tg_tensor_shape(mask).ndim < TG_MAX_DIMS) {
            const tg_shape m = tg_tensor_shape(mask);
            if (m.ndim > 2 && m.dim[m.ndim - 3] != heads && m.dim[m.ndim - 3] != 1)
                return tg_fail_at(t, where, TG_ESHAPE, "%s: a mask %s for %lld heads", name,
                                  tg_shape_text(m).text, (long long)heads);
            mask = in_groups(t, where, mask, groups);
        }
    }
    const bool added = mask && tg_tensor_dtype(mask) != TG_U8;
    const double factor = added ? scale : scale / usual;
    if (factor != 1) q = tg_scale(t, q, factor);
    tg_tensor *y =
        added ? biased(t, where, q, k, v, mask, causal) : tg_attention(t, q, k, v, mask, causal);
    return grouped ? tg_reshape(t, y, result) : y;
}

/* ---------------------------------------------------------------- rotary_embedding */

tg_tensor *tg_rotary_embedding_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *position,
                                  double base, bool interleaved)
{
    const char *const name = "rotary_embedding";
    if (!tg_ready_float(t, where, name, x) || !tg_ready(t, where, name, position)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    const tg_shape of_position = tg_tensor_shape(position);
    if (s.ndim < 2 || s.dim[s.ndim - 1] % 2 || of_position.ndim != 1 ||
        of_position.dim[0] != s.dim[s.ndim - 2])
        return tg_fail_at(t, where, TG_ESHAPE,
                          "%s: x %s is not [..., n, d] with d even and positions [n], %s", name,
                          tg_shape_text(s).text, tg_shape_text(of_position).text);
    if (tg_tensor_dtype(position) != TG_I64)
        return tg_fail_at(t, where, TG_EDTYPE, "%s: positions are i64, not %s", name,
                          tg_dtype_name(tg_tensor_dtype(position)));
    if (!(base > 0) || isinf(base))
        return tg_fail_at(t, where, TG_EVALUE, "%s: a base of %g, not above 0", name, base);
    const int64_t d = s.dim[s.ndim - 1], half = d / 2;
    double *rate = tg_base_memory(t, where, name, half, sizeof *rate);
    if (!rate) return NULL;
    for (int64_t i = 0; i < half; i++) rate[i] = pow(base, -2 * (double)i / (double)d);
    /* in double: a position times a rate has more digits than an f32 */
    tg_tensor *angle =
        tg_outer(t, tg_cast(t, position, TG_F64), tg_input_borrow(t, TG_F64, TG_SHAPE(half), rate));
    const tg_dtype dtype = tg_dtype_on(t, x);
    tg_tensor *c = tg_cast(t, tg_cos(t, angle), dtype), *sine = tg_cast(t, tg_sin(t, angle), dtype);
    const int64_t step = interleaved ? 2 : 1;
    tg_tensor *a = tg_slice(t, x, -1, 0, interleaved ? d : half, step),
              *b = tg_slice(t, x, -1, interleaved ? 1 : half, d, step);
    tg_tensor *both[] = {tg_sub(t, tg_mul(t, a, c), tg_mul(t, b, sine)),
                         tg_add(t, tg_mul(t, b, c), tg_mul(t, a, sine))};
    if (!interleaved) return tg_concat(t, 2, both, -1);
    if (s.ndim < TG_MAX_DIMS) return tg_reshape(t, tg_stack(t, 2, both, -1), s);
    return tg_fail_at(t, where, TG_ESHAPE, "%s: %s has 8 dimensions already", name,
                      tg_shape_text(s).text);
}

KNOWN(scaled_dot_product_attention, "[..., n, d], [..., m, d], [..., m, e] -> [..., n, e]", -1,
      ("y = softmax(scale q k^T + mask) v"))
KNOWN(rotary_embedding, "[..., n, d], i64 [n] -> [..., n, d]", -1,
      ("pairs (a, b) of x turned by position base^(-2i/d)"))

#else

#define WIDE(...) REALS(-1, 1, __VA_ARGS__)
#define IN(k) ((const double *)x[k].data)

/* q [1, h, n, d] with k and v [1, h / g, m, d] and a bias or a mask [n, m]. */
static void attended(const tg_array *x, tg_array *y, double scale, bool causal, bool masked)
{
    const int64_t *of_q = x->shape.dim, *of_k = x[1].shape.dim;
    const int64_t heads = of_q[1], n = of_q[2], d = of_q[3], m = of_k[2], group = heads / of_k[1];
    for (int64_t r = 0; r < heads * n; r++) {
        const double *q = IN(0) + r * d, *k = IN(1) + r / n / group * m * d,
                     *v = IN(2) + r / n / group * m * d;
        double total = 0, *out = (double *)y->data + r * d;
        for (int64_t i = 0; i < d; i++) out[i] = 0;
        for (int64_t j = 0; j < (causal ? r % n + 1 : m); j++) {
            const double extra = x[3].data ? IN(3)[r % n * m + j] : 0;
            double score = masked ? 0 : extra;
            for (int64_t i = 0; i < d; i++) score += scale * q[i] * k[j * d + i];
            const double weight = masked && extra == 0 ? 0 : exp(score);
            total += weight;
            for (int64_t i = 0; i < d; i++) out[i] += weight * v[j * d + i];
        }
        for (int64_t i = 0; i < d && total > 0; i++) out[i] /= total;
    }
}
CALL(with_bias, tg_scaled_dot_product_attention(t, x[0], x[1], x[2], x[3], false, 0, false))
EXPECT(with_bias, attended(x, y, 0.5, false, false))
CALL(grouped, tg_scaled_dot_product_attention(t, x[0], x[1], x[2], x[3], true, 0.3, true))
EXPECT(grouped, attended(x, y, 0.3, true, false))
CALL_WITHOUT(with_mask, 8,
             tg_scaled_dot_product_attention(t, x[0], x[1], x[2], x[3], false, -1, true))
EXPECT(with_mask, attended(x, y, -1, false, true))
CALL(plain, tg_scaled_dot_product_attention(t, x[0], x[1], x[2], NULL, true, 0, false))
EXPECT(plain, attended(x, y, 0.5, true, false))
#define QKV(h, g, n) WIDE(1, h, n, 4), WIDE(1, g, n, 4), WIDE(1, g, n, 4)
SAMPLES(scaled_dot_product_attention,
        SAMPLE(with_mask, "groups and a mask", 0, QKV(2, 1, 2), BYTES(0, 1, 2, 2)),
        SAMPLE(with_bias, "a bias", 0, QKV(1, 1, 2), WIDE(2, 2)),
        SAMPLE(grouped, "groups and a bias", 0, QKV(2, 1, 2), WIDE(2, 2)),
        SAMPLE(plain, "causal", 0, QKV(1, 1, 2)))

static void turned(const tg_array *x, tg_array *y, bool interleaved)
{
    const int64_t n = x->shape.dim[1], d = x->shape.dim[2];
    for (int64_t r = 0; r < x->shape.dim[0] * n; r++)
        for (int64_t i = 0; i < d / 2; i++) {
            const double angle = IN(1)[r % n] * pow(100, -2 * (double)i / (double)d);
            const int64_t p = r * d + (interleaved ? 2 * i : i), q = p + (interleaved ? 1 : d / 2);
            ((double *)y->data)[p] = IN(0)[p] * cos(angle) - IN(0)[q] * sin(angle);
            ((double *)y->data)[q] = IN(0)[q] * cos(angle) + IN(0)[p] * sin(angle);
        }
}
CALL(halves, tg_rotary_embedding(t, x[0], x[1], 100, false))
EXPECT(halves, turned(x, y, false))
CALL(pairs, tg_rotary_embedding(t, x[0], x[1], 100, true))
EXPECT(pairs, turned(x, y, true))
SAMPLES(rotary_embedding, SAMPLE(halves, "halves", 0, WIDE(2, 3, 4), INTEGERS(0, 99, 3)),
        SAMPLE(pairs, "pairs", 0, WIDE(2, 3, 4), INTEGERS(0, 99, 3)))

#endif
