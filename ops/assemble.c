/* Tensors put together from others, or taken from them, by other ops. */
#include "folds.h"
#include <inttypes.h>
#include <string.h>

#ifndef TG_SAMPLES

/* Whether x has its last two axes; a matrix, or a batch of them. */
static bool is_matrix(tg_tape *t, const char *where, const char *name, const tg_tensor *x)
{
    if (!tg_ready(t, where, name, x)) return false;
    if (tg_tensor_shape(x).ndim >= 2) return true;
    tg_fail_at(t, where, TG_ESHAPE, "%s: x is [..., n, m], not %s", name,
               tg_shape_text(tg_tensor_shape(x)).text);
    return false;
}

tg_tensor *tg_roll_at(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t shift)
{
    int k;
    if (!tg_ready(t, where, "roll", x) ||
        !tg_axis_find(t, where, "roll", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    const int64_t n = tg_tensor_shape(x).dim[k], first = n ? (n - shift % n) % n : 0;
    if (first == 0) return x;
    return tg_concat(
        t, 2, ((tg_tensor *[]){tg_slice(t, x, k, first, n, 1), tg_slice(t, x, k, 0, first, 1)}), k);
}

/* x with an axis of `times` before or behind axis k, then joined with it. */
static tg_tensor *repeated(tg_tape *t, const char *where, const char *name, tg_tensor *x, int k,
                           int64_t times, bool each)
{
    tg_shape joined = tg_tensor_shape(x);
    if (joined.ndim == TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %s has no dimension to spare", name,
                          tg_shape_text(joined).text);
    if (times < 0 || (joined.dim[k] && times > TG_MAX_COUNT / joined.dim[k]))
        return tg_fail_at(t, where, TG_EVALUE, "%s: %" PRId64 " times axis %d of %s", name, times,
                          k, tg_shape_text(joined).text);
    x = tg_unsqueeze(t, x, each ? k + 1 : k);
    tg_shape apart = tg_tensor_shape(x);
    apart.dim[each ? k + 1 : k] = times;
    joined.dim[k] *= times;
    return tg_reshape(t, tg_expand(t, x, apart), joined);
}

tg_tensor *tg_tile_at(tg_tape *t, const char *where, tg_tensor *x, tg_shape times)
{
    if (!tg_ready(t, where, "tile", x)) return NULL;
    const int ndim = tg_tensor_shape(x).ndim;
    if (tg_shape_count(times) < 0)
        return tg_fail_at(t, where, TG_EVALUE, "tile: the numbers are %s",
                          tg_shape_refusal(times).text);
    if (times.ndim != ndim)
        return tg_fail_at(t, where, TG_ESHAPE, "tile: %d numbers are needed for %s", ndim,
                          tg_shape_text(tg_tensor_shape(x)).text);
    for (int k = 0; k < ndim && x; k++)
        if (times.dim[k] != 1) x = repeated(t, where, "tile", x, k, times.dim[k], false);
    return x;
}

tg_tensor *tg_repeat_interleave_at(tg_tape *t, const char *where, tg_tensor *x, int axis,
                                   int64_t times)
{
    const char *const name = "repeat_interleave";
    int k;
    if (!tg_ready(t, where, name, x) ||
        !tg_axis_find(t, where, name, tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    return repeated(t, where, name, x, k, times, true);
}

tg_tensor *tg_select_at(tg_tape *t, const char *where, tg_tensor *x, int axis, int64_t index)
{
    int k;
    if (!tg_ready(t, where, "select", x) ||
        !tg_axis_find(t, where, "select", tg_tensor_shape(x).ndim, axis, &k))
        return NULL;
    const int64_t n = tg_tensor_shape(x).dim[k], at = index < 0 ? index + n : index;
    if (index < -n || index >= n)
        return tg_fail_at(t, where, TG_EINDEX,
                          "select: there is no element %" PRId64 " of axis %d of %s", index, axis,
                          tg_shape_text(tg_tensor_shape(x)).text);
    return tg_squeeze(t, tg_slice(t, x, k, at, at + 1, 1), k);
}

/* x's matrices where column - row is attrs[0] to attrs[1], else 0. An op and no mask: derivative
 * rules use it, and they can't make inputs. */
static bool band_rule(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

static int64_t clamped(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static void band_kernel(const tg_call *c)
{
    const tg_shape s = c->y->shape;
    const int64_t n = s.dim[s.ndim - 2], m = s.dim[s.ndim - 1];
    const int64_t rows = m ? tg_shape_count(s) / m : 0;
    const size_t size = tg_dtype_size(c->y->dtype);
    const char *x = c->x[0].data;
    char *y = c->y->data;
    for (int64_t row = 0; row < rows; row++) {
        const int64_t i = row % n, first = clamped(i + c->attrs[0], 0, m),
                      last = clamped(i + c->attrs[1] + 1, first, m);
        const size_t at = (size_t)(row * m) * size, before = (size_t)first * size,
                     kept = (size_t)(last - first) * size;
        memset(y + at, 0, before);
        memcpy(y + at + before, x + at + before, kept);
        memset(y + at + before + kept, 0, (size_t)(m - last) * size);
    }
}

static bool band_print(const tg_call *c, tg_source *s)
{
    const tg_shape shape = c->y->shape;
    const int64_t n = shape.dim[shape.ndim - 2], m = shape.dim[shape.ndim - 1];
    tg_source_print(s,
                    "    for (ptrdiff_t i = 0; i < %" PRId64 "; i++) {\n"
                    "        const ptrdiff_t off = i %% %" PRId64 " - i / %" PRId64 " %% %" PRId64
                    ";\n"
                    "        y[i] = off >= %" PRId64 " && off <= %" PRId64 " ? x0[i] : 0;\n"
                    "    }\n",
                    tg_shape_count(shape), m, m, n, c->attrs[0], c->attrs[1]);
    return true;
}

static void band_vjp(TG_VJP);
static const tg_op band = {.size = sizeof(tg_op),
                           .name = "band",
                           .n_in = 1,
                           .rule = band_rule,
                           .kernel = band_kernel,
                           .vjp = band_vjp,
                           .print = band_print};
static void band_vjp(TG_VJP) { gx[0] = tg_apply(t, &band, 1, &gy, 2, attrs); }

static tg_tensor *banded(tg_tape *t, const char *where, const char *name, tg_tensor *x, int64_t low,
                         int64_t high)
{
    if (!is_matrix(t, where, name, x)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    const int64_t n = s.dim[s.ndim - 2], m = s.dim[s.ndim - 1];
    const int64_t attrs[] = {clamped(low, -n, m), clamped(high, -n, m)};
    return tg_apply(t, &band, 1, &x, 2, attrs);
}

tg_tensor *tg_tril_at(tg_tape *t, const char *where, tg_tensor *x, int64_t diagonal)
{
    return banded(t, where, "tril", x, INT64_MIN, diagonal);
}
tg_tensor *tg_triu_at(tg_tape *t, const char *where, tg_tensor *x, int64_t diagonal)
{
    return banded(t, where, "triu", x, diagonal, INT64_MAX);
}

/* Every (m + 1)-th element of the rows laid end to end. */
tg_tensor *tg_diagonal_at(tg_tape *t, const char *where, tg_tensor *x, int64_t diagonal)
{
    if (!is_matrix(t, where, "diagonal", x)) return NULL;
    tg_shape s = tg_tensor_shape(x);
    const int64_t n = s.dim[s.ndim - 2], m = s.dim[s.ndim - 1];
    if (n && m > TG_MAX_COUNT / n)
        return tg_fail_at(t, where, TG_ESHAPE, "diagonal: the matrices of %s are beyond any memory",
                          tg_shape_text(s).text);
    int64_t first = 0, length = 0;
    if (diagonal > -n && diagonal < m) {
        first = diagonal < 0 ? -diagonal * m : diagonal;
        const int64_t rows = diagonal < 0 ? n + diagonal : n,
                      columns = diagonal > 0 ? m - diagonal : m;
        length = rows < columns ? rows : columns;
    }
    s.ndim--;
    s.dim[s.ndim - 1] = n * m;
    return tg_slice(t, tg_reshape(t, x, s), s.ndim - 1, first,
                    length ? first + (length - 1) * (m + 1) + 1 : first, m + 1);
}

tg_tensor *tg_diag_embed_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready(t, where, "diag_embed", x)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim < 1 || s.ndim == TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "diag_embed: %s has 1 to 7 dimensions",
                          tg_shape_text(s).text);
    tg_shape matrices = s;
    matrices.dim[matrices.ndim++] = s.dim[s.ndim - 1];
    return banded(t, where, "diag_embed", tg_expand(t, tg_unsqueeze(t, x, -2), matrices), 0, 0);
}

tg_tensor *tg_trace_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!is_matrix(t, where, "trace", x)) return NULL;
    return tg_sum(t, tg_diagonal(t, x, 0), TG_AXES(-1), false);
}

tg_tensor *tg_masked_fill_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *mask,
                             double value)
{
    if (!tg_ready(t, where, "masked_fill", x) || !tg_ready(t, where, "masked_fill", mask))
        return NULL;
    return tg_where(t, mask, tg_constant_like(t, x, value), x);
}

static bool are_vectors(tg_tape *t, const char *where, const char *name, const tg_tensor *a,
                        const tg_tensor *b, bool equal)
{
    if (!tg_ready(t, where, name, a) || !tg_ready(t, where, name, b)) return false;
    const tg_shape of_a = tg_tensor_shape(a), of_b = tg_tensor_shape(b);
    if (of_a.ndim == 1 && of_b.ndim == 1 && (!equal || of_a.dim[0] == of_b.dim[0])) return true;
    tg_fail_at(t, where, TG_ESHAPE, "%s: %s and %s are not two vectors%s", name,
               tg_shape_text(of_a).text, tg_shape_text(of_b).text, equal ? " of one length" : "");
    return false;
}

tg_tensor *tg_outer_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!are_vectors(t, where, "outer", a, b, false)) return NULL;
    return tg_mul(t, tg_unsqueeze(t, a, 1), b);
}
tg_tensor *tg_dot_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!are_vectors(t, where, "dot", a, b, true)) return NULL;
    return tg_sum(t, tg_mul(t, a, b), TG_ALL_AXES, false);
}

tg_tensor *tg_sum_all_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_sum(t, x, TG_ALL_AXES, false);
}
tg_tensor *tg_mean_all_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_mean(t, x, TG_ALL_AXES, false);
}

KNOWN(roll, "any but []", -1, ("y[i] = x[(i - shift) mod n]"))
KNOWN(tile, "any", -1, ("y = x repeated along each axis"))
KNOWN(repeat_interleave, "[..., n, ...] -> [..., n times, ...]", -1, ("y[i] = x[i / times]"))
KNOWN(select, "[..., n, ...] -> [..., ...]", -1, ("y = x[index]"))
KNOWN(tril, "[..., n, m]", -1, ("y = x where column - row <= diagonal, else 0"))
KNOWN(triu, "[..., n, m]", -1, ("y = x where column - row >= diagonal, else 0"))
KNOWN(diagonal, "[..., n, m] -> [..., l]", -1, ("y[i] = x[i, i + diagonal]"))
KNOWN(diag_embed, "[..., n] -> [..., n, n]", -1, ("y[i,i] = x[i], else 0"))
KNOWN(trace, "[..., n, m] -> [...]", -1, ("y = sum of x[i,i]"))
KNOWN(masked_fill, "any, broadcast", -1, ("y = value where mask, else x"))
KNOWN(outer, "[n], [m] -> [n, m]", -1, ("y[i,j] = a[i] b[j]"))
KNOWN(dot, "[n], [n] -> []", -1, ("y = sum of a[i] b[i]"))
KNOWN(sum_all, "any -> []", -1, ("y = sum of x"))
KNOWN(mean_all, "any -> []", -1, ("y = mean of x"))

#else

/* Element by element from one of x: place[] of y's element, in and out by shape. */
#define PLACED(id, ...)                                                                 \
    EXPECT(                                                                             \
        id, const double *in = x->data; const int64_t *d = x->shape.dim;                \
        const int64_t *e = y->shape.dim; const int n = y->shape.ndim; (void)d; (void)e; \
        for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {                        \
            const int64_t row = n > 1 ? i / e[n - 1] % e[n - 2] : 0,                    \
                          column = n ? i % e[n - 1] : 0;                                \
            (void)row;                                                                  \
            (void)column;                                                               \
            ((double *)y->data)[i] = __VA_ARGS__;                                       \
        })
#define WIDE(...) REALS(-2, 2, __VA_ARGS__)

CALL(turn, tg_roll(t, x[0], 1, 2))
PLACED(turn, in[row * d[1] + (column + 2 * d[1] - 2) % d[1]])
CALL(turn_back, tg_roll(t, x[0], -1, -1))
PLACED(turn_back, in[row * d[1] + (column + 1) % d[1]])
SAMPLES(roll, SAMPLE(turn, "on", 0, WIDE(3, 5)), SAMPLE(turn_back, "back", 0, WIDE(2, 4)),
        SAMPLE(turn, "nothing", 0, WIDE(3, 0)))
CALL(tiles, tg_tile(t, x[0], TG_SHAPE(2, 3)))
PLACED(tiles, in[row % d[0] * d[1] + column % d[1]])
SAMPLES(tile, SAMPLE(tiles, "", 0, WIDE(2, 3)), SAMPLE(tiles, "nothing", 0, WIDE(0, 3)))
CALL(thrice, tg_repeat_interleave(t, x[0], 1, 3))
PLACED(thrice, in[row * d[1] + column / 3])
SAMPLES(repeat_interleave, SAMPLE(thrice, "", 0, WIDE(2, 3)))
CALL(last, tg_select(t, x[0], 0, -1))
PLACED(last, in[(d[0] - 1) * d[1] + column])
SAMPLES(select, SAMPLE(last, "", 0, WIDE(3, 4)))
CALL(lower, tg_tril(t, x[0], -1))
PLACED(lower, column - row <= -1 ? in[i] : 0)
SAMPLES(tril, SAMPLE(lower, "", 0, WIDE(2, 4, 3)), SAMPLE(lower, "nothing", 0, WIDE(0, 3)))
CALL(upper, tg_triu(t, x[0], 1))
PLACED(upper, column - row >= 1 ? in[i] : 0)
SAMPLES(triu, SAMPLE(upper, "", 0, WIDE(2, 3, 4)))
CALL(main_one, tg_diagonal(t, x[0], 0))
PLACED(main_one, in[row * d[1] * d[2] + column * (d[2] + 1)])
CALL(below, tg_diagonal(t, x[0], -2))
PLACED(below, in[row * d[1] * d[2] + (column + 2) * d[2] + column])
CALL(outside, tg_diagonal(t, x[0], 9))
PLACED(outside, in[i])
SAMPLES(diagonal, SAMPLE(main_one, "wide", 0, WIDE(2, 3, 4)),
        SAMPLE(main_one, "high", 0, WIDE(2, 4, 2)), SAMPLE(below, "below", 0, WIDE(2, 4, 3)),
        SAMPLE(outside, "outside", 0, WIDE(2, 4, 3)))
CALL(embedded, tg_diag_embed(t, x[0]))
PLACED(embedded, row == column ? in[i / (e[1] * e[2]) * e[1] + row] : 0)
SAMPLES(diag_embed, SAMPLE(embedded, "", 0, WIDE(2, 3)))
CALL(traced, tg_trace(t, x[0]))
EXPECT(traced, double sum = 0; const int64_t *d = x->shape.dim;
       for (int64_t i = 0; i < d[0] && i < d[1]; i++) sum +=
       ((const double *)x->data)[i * (d[1] + 1)];
       *(double *)y->data = sum)
SAMPLES(trace, SAMPLE(traced, "", 0, WIDE(3, 4)))
CALL(filled, tg_masked_fill(t, x[0], x[1], -7))
EXPECT_EACH(filled, b != 0 ? -7 : a)
SAMPLES(masked_fill, EACH(filled, "", 0, REAL(-2, 2), BYTE(0, 1)))
CALL(outer, tg_outer(t, x[0], x[1]))
EXPECT(outer, const int64_t m = y->shape.dim[1];
       for (int64_t i = 0; i < tg_shape_count(y->shape);
            i++)((double *)y->data)[i] = ((const double *)x->data)[i / m] *
                                         ((const double *)x[1].data)[i % m])
SAMPLES(outer, SAMPLE(outer, "", 0, WIDE(3), WIDE(4)))
CALL(dot, tg_dot(t, x[0], x[1]))
EXPECT(dot, double sum = 0; for (int64_t i = 0; i < x->shape.dim[0]; i++) sum +=
                            ((const double *)x->data)[i] * ((const double *)x[1].data)[i];
       *(double *)y->data = sum)
SAMPLES(dot, SAMPLE(dot, "", 0, WIDE(5), WIDE(5)))
static double total(const tg_array *x)
{
    double sum = 0;
    for (int64_t i = 0; i < tg_shape_count(x->shape); i++) sum += ((const double *)x->data)[i];
    return sum;
}
CALL(whole, tg_sum_all(t, x[0]))
EXPECT(whole, *(double *)y->data = total(x))
SAMPLES(sum_all, SAMPLE(whole, "", 0, WIDE(3, 4)))
CALL(middle, tg_mean_all(t, x[0]))
EXPECT(middle, *(double *)y->data = total(x) / (double)tg_shape_count(x->shape))
SAMPLES(mean_all, SAMPLE(middle, "", 0, WIDE(3, 4)))

#endif
