/* Attention at the edges, and against the formula composed of other ops. */
#include "semantics.h"

enum { NO_MASK, ROW_MASK, FULL_MASK };

/* What is asked: sizes, and how keys are excluded. */
typedef struct question {
    int64_t batch, n, m, d, e;
    int mask;
    bool causal;
} question;

static tg_tensor *random_input(tg_tape *t, tg_dtype dtype, tg_shape shape, uint64_t *state)
{
    const int64_t count = tg_shape_count(shape);
    double *v = calloc((size_t)count + 1, sizeof *v);
    for (int64_t i = 0; i < count; i++) v[i] = (double)(float)(3 * semantics_uniform(state));
    tg_tensor *x = semantics_input(t, dtype, shape, v);
    free(v);
    return x;
}

/* Key 0 is always seen, key j by no query, or by some of them. */
static uint8_t *mask_of(const question *a)
{
    const int64_t rows = a->mask == FULL_MASK ? a->n : 1;
    uint8_t *mask = calloc((size_t)(rows * a->m) + 1, 1);
    for (int64_t i = 0; i < rows * a->m; i++)
        mask[i] = i % a->m == 0 || (i * 7 + i / a->m) % 3 != 0;
    return mask;
}

static tg_tensor *composed(tg_tape *t, const question *a, tg_tensor *const *x)
{
    tg_tensor *score =
        tg_scale(t, tg_matmul(t, x[0], tg_transpose(t, x[1], -2, -1)), 1 / sqrt((double)a->d));
    uint8_t *seen = calloc((size_t)(a->n * a->m) + 1, 1), *mask = mask_of(a);
    for (int64_t i = 0; i < a->n * a->m; i++)
        seen[i] = (!a->causal || i % a->m <= i / a->m) &&
                  (a->mask == NO_MASK || mask[a->mask == FULL_MASK ? i : i % a->m]);
    score = tg_where(t, tg_input(t, TG_U8, TG_SHAPE(a->n, a->m), seen), score,
                     tg_constant_like(t, score, -INFINITY));
    free(seen);
    free(mask);
    return tg_matmul(t, tg_softmax(t, score, -1), x[2]);
}

static tg_tensor *fused(tg_tape *t, const question *a, tg_tensor *const *x)
{
    uint8_t *mask = mask_of(a);
    tg_tensor *seen =
        a->mask == NO_MASK
            ? NULL
            : tg_input(t, TG_U8, TG_SHAPE(a->mask == FULL_MASK ? a->n : 1, a->m), mask);
    free(mask);
    return tg_attention(t, x[0], x[1], x[2], seen, a->causal);
}

/* y and the gradients of q, k and v; heads: q, k and v are views whose rows lie far apart, as a net
 * makes them. */
static void answer(tg_tape *t, const question *a, tg_dtype dtype, bool heads,
                   tg_tensor *(*by)(tg_tape *, const question *, tg_tensor *const *),
                   tg_tensor **out)
{
    uint64_t state = 17;
    tg_tensor *leaf[3], *x[3];
    const int64_t rows[] = {a->n, a->m, a->m}, columns[] = {a->d, a->d, a->e};
    for (int k = 0; k < 3; k++) {
        leaf[k] = random_input(t, dtype, TG_SHAPE(rows[k], a->batch, columns[k]), &state);
        x[k] = tg_transpose(t, leaf[k], 0, 1);
        if (!heads)
            x[k] = tg_reshape(t, tg_add(t, x[k], tg_constant_like(t, x[k], 0)),
                              TG_SHAPE(a->batch, rows[k], columns[k]));
    }
    out[0] = by(t, a, x);
    tg_tensor *seed = random_input(t, dtype, TG_SHAPE(a->batch, a->n, a->e), &state);
    tg_grad(t, out[0], seed, 3, leaf, out + 1, false);
    tg_eval(t, 4, out);
}

static const question questions[] = {
    {2, 1, 1, 1, 1, NO_MASK, false},       {1, 1, 70, 8, 8, NO_MASK, false},
    {3, 5, 7, 3, 2, NO_MASK, false},       {2, 64, 64, 32, 32, NO_MASK, true},
    {2, 65, 63, 17, 33, NO_MASK, false},   {1, 130, 200, 9, 16, NO_MASK, true},
    {1, 200, 130, 16, 9, NO_MASK, true},   {2, 67, 140, 5, 40, ROW_MASK, false},
    {2, 140, 67, 40, 5, FULL_MASK, false}, {1, 90, 90, 7, 7, FULL_MASK, true},
    {64, 12, 12, 4, 4, NO_MASK, true},     {9, 16, 16, 4, 4, FULL_MASK, false},
    {2, 33, 17, 16, 12, NO_MASK, true},    {2, 9, 64, 32, 8, NO_MASK, true},
    {2, 64, 64, 5, 31, FULL_MASK, true},   {3, 40, 40, 32, 32, ROW_MASK, false},
    {2, 64, 64, 33, 32, NO_MASK, true},
};
enum { QUESTIONS = sizeof questions / sizeof questions[0] };

Test(semantics_attention, equals_the_composed_formula)
{
    for (int k = 0; k < QUESTIONS; k++) {
        const question *a = &questions[k];
        tg_tape *exact = semantics_tape(TG_ISA_AUTO, 1);
        tg_tensor *want[4], *is[4];
        answer(exact, a, TG_F64, true, composed, want);
        EACH_BUILD
        {
            answer(t, a, dtype, k % 2, fused, is);
            for (int r = 0; r < 4; r++) {
                const void *data = tg_data(t, is[r]);
                const double *wanted = tg_data(exact, want[r]),
                             tolerance = dtype == TG_F32 ? 1e-5 : 1e-13;
                cr_assert(data && wanted, "%s%s", tg_tape_message(t), tg_tape_message(exact));
                double worst = 0, size = 1;
                for (int64_t i = 0; i < tg_tensor_count(is[r]); i++)
                    size = fmax(size, fabs(wanted[i]));
                for (int64_t i = 0; i < tg_tensor_count(is[r]); i++) {
                    const double off = fabs(semantics_element(dtype, data, i) - wanted[i]);
                    worst = off <= worst ? worst : off;
                }
                cr_expect(worst <= tolerance * size, "question %d, result %d, %s: off by %g of %g",
                          k, r, tg_dtype_name(dtype), worst, size);
            }
        }
        semantics_end(exact);
    }
}

/* Scores far apart: what the first tile gave is forgotten when a later key wins by 1e4, and nothing
 * overflows. */
Test(semantics_attention, a_long_sequence_with_large_scores)
{
    EACH_BUILD
    {
        enum { M = 300 };
        double k[M], v[M];
        for (int j = 0; j < M; j++) {
            k[j] = j % 200 == 170 ? 1e4 : -1e4;
            v[j] = j;
        }
        tg_tensor *q = INPUT(TG_SHAPE(2, 1), 1, -1),
                  *keys = semantics_input(t, dtype, TG_SHAPE(M, 1), k);
        tg_tensor *values = semantics_input(t, dtype, TG_SHAPE(M, 1), v),
                  *y = tg_attention(t, q, keys, values, NULL, false);
        EXPECT(y, 170, (M * (M - 1) / 2 - 170) / (M - 1.0));
        double gv[M];
        for (int j = 0; j < M; j++) gv[j] = j == 170 ? 1 : 1 / (M - 1.0);
        semantics_expect(__LINE__, t, GRAD(y, values), M, gv);
    }
}

Test(semantics_attention, a_query_that_sees_nothing_gives_zeros_and_has_zero_gradients)
{
    EACH_BUILD
    {
        tg_tensor *q = INPUT(TG_SHAPE(2, 1), 1, 2), *k = INPUT(TG_SHAPE(3, 1), 0, 0, NAN),
                  *v = INPUT(TG_SHAPE(3, 2), 1, 2, 3, 4, INFINITY, 6);
        const uint8_t seen[] = {0, 0, 0, 1, 1, 0};
        tg_tensor *y = tg_attention(t, q, k, v, tg_input(t, TG_U8, TG_SHAPE(2, 3), seen), false);
        EXPECT(y, 0, 0, 2, 3);
        EXPECT(GRAD(y, v), .5, .5, .5, .5, 0, 0);
        EXPECT(GRAD(y, k), -2, 2, 0);
        EXPECT(GRAD(y, q), 0, 0);
        tg_tensor *again = GRAD(tg_square(t, GRAD(tg_square(t, y), k)), v);
        EXPECT(tg_slice(t, again, 0, 2, 3, 1), 0, 0);
    }
}

/* NaN and infinity in q, k, v and the gradient that arrives, where nobody meets them. */
Test(semantics_attention, what_a_query_does_not_see_is_left_out)
{
    EACH_BUILD
    {
        /* causal: query 0 sees key 0, query 1 keys 0 and 1; nobody sees key 2 */
        tg_tensor *q = INPUT(TG_SHAPE(2, 1), 1, NAN), *k = INPUT(TG_SHAPE(3, 1), 3, INFINITY, NAN),
                  *v = INPUT(TG_SHAPE(3, 1), 5, NAN, -INFINITY);
        tg_tensor *y = tg_attention(t, q, k, v, NULL, true);
        EXPECT(y, 5, NAN);
        tg_tensor *clean = INPUT(TG_SHAPE(2, 1), 1, 2), *values = INPUT(TG_SHAPE(3, 1), 5, 7, NAN);
        tg_tensor *seed = INPUT(TG_SHAPE(2, 1), 1, NAN), *x[] = {clean, k, values}, *g[3];
        const uint8_t seen[] = {1, 0, 0, 0, 1, 0};
        tg_tensor *mask = tg_input(t, TG_U8, TG_SHAPE(2, 3), seen);
        tg_grad(t, tg_attention(t, clean, k, values, mask, true), seed, 3, x, g, false);
        EXPECT(tg_slice(t, g[0], 0, 0, 1, 1), 0);
        EXPECT(tg_slice(t, g[1], 0, 0, 1, 1), 0);
        EXPECT(tg_slice(t, g[1], 0, 2, 3, 1), 0);
        EXPECT(g[2], 1, NAN, 0);
    }
}

/* Values and derivatives with padding equal those without it, of any order: here three, over
 * several tiles. */
Test(semantics_attention, padding_reaches_no_derivative)
{
    enum { N = 70, M = 150, KEPT = 130 };
    for (int causal = 0; causal < 2; causal++) EACH_BUILD
        {
            if (dtype == TG_F32) continue;
            uint64_t state = 3;
            uint8_t seen[M];
            for (int j = 0; j < M; j++) seen[j] = j < KEPT;
            tg_tensor *q = random_input(t, dtype, TG_SHAPE(N, 2), &state);
            tg_tensor *k = random_input(t, dtype, TG_SHAPE(KEPT, 2), &state),
                      *v = random_input(t, dtype, TG_SHAPE(KEPT, 2), &state);
            double rubbish[2 * (M - KEPT)];
            for (int i = 0; i < 2 * (M - KEPT); i++)
                rubbish[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : 1e300;
            tg_tensor *pad = tg_input(t, dtype, TG_SHAPE(M - KEPT, 2), rubbish);
            tg_tensor *mask = tg_input(t, TG_U8, TG_SHAPE(M), seen);
            tg_tensor *result[2][3];
            for (int padded = 0; padded < 2; padded++) {
                tg_tensor *keys = padded ? tg_concat(t, 2, ((tg_tensor *[]){k, pad}), 0) : k;
                tg_tensor *values = padded ? tg_concat(t, 2, ((tg_tensor *[]){v, pad}), 0) : v;
                tg_tensor *y = tg_attention(t, q, keys, values, padded ? mask : NULL, causal);
                tg_tensor *first = GRAD(tg_square(t, y), keys);
                tg_tensor *second = GRAD(tg_square(t, first), q);
                result[padded][0] = y;
                result[padded][1] = second;
                result[padded][2] = tg_slice(t, GRAD(tg_square(t, second), values), 0, 0, KEPT, 1);
                if (padded) {
                    double zeros[2 * (M - KEPT)] = {0};
                    tg_tensor *rest = tg_slice(t, first, 0, KEPT, M, 1);
                    semantics_expect(__LINE__, t, rest, 2 * (M - KEPT), zeros);
                    rest = tg_slice(t, GRAD(tg_square(t, second), values), 0, KEPT, M, 1);
                    semantics_expect(__LINE__, t, rest, 2 * (M - KEPT), zeros);
                }
            }
            for (int r = 0; r < 3; r++) {
                const double *is = tg_data(t, result[1][r]), *want = tg_data(t, result[0][r]);
                cr_assert(is && want, "%s", tg_tape_message(t));
                double size = 1;
                for (int64_t i = 0; i < tg_tensor_count(result[0][r]); i++)
                    size = fmax(size, fabs(want[i]));
                for (int64_t i = 0; i < tg_tensor_count(result[0][r]); i++)
                    cr_expect(fabs(is[i] - want[i]) <= 1e-12 * size,
                              "causal %d, result %d, element %lld: %g instead of %g", causal, r,
                              (long long)i, is[i], want[i]);
            }
        }
}

Test(semantics_attention, the_first_tile_may_be_hidden)
{
    EACH_BUILD
    {
        enum { M = 130 };
        double k[M] = {0}, v[M];
        uint8_t seen[M];
        for (int j = 0; j < M; j++) {
            v[j] = j;
            seen[j] = j >= 128;
        }
        tg_tensor *q = INPUT(TG_SHAPE(1, 1), 1),
                  *keys = semantics_input(t, dtype, TG_SHAPE(M, 1), k);
        tg_tensor *values = semantics_input(t, dtype, TG_SHAPE(M, 1), v);
        EXPECT(tg_attention(t, q, keys, values, tg_input(t, TG_U8, TG_SHAPE(M), seen), false),
               128.5);
    }
}

Test(semantics_attention, sizes_of_zero)
{
    EACH_BUILD
    {
        tg_tensor *q = INPUT(TG_SHAPE(2, 1), 1, 2),
                  *none = tg_input(t, dtype, TG_SHAPE(0, 1), NULL),
                  *wide = tg_input(t, dtype, TG_SHAPE(0, 3), NULL);
        tg_tensor *y = tg_attention(t, q, none, wide, NULL, false);
        EXPECT(y, 0, 0, 0, 0, 0, 0);
        EXPECT(GRAD(y, q), 0, 0);
        EXPECT(GRAD(tg_attention(t, none, q, q, NULL, true), q), 0, 0);
        tg_tensor *batch = tg_input(t, dtype, TG_SHAPE(0, 2, 1), NULL);
        EXPECT_SHAPE(tg_attention(t, batch, q, q, NULL, false), TG_SHAPE(0, 2, 1));
        EXPECT(GRAD(tg_attention(t, batch, q, q, NULL, false), q), 0, 0);
        EXPECT_SHAPE(tg_attention(t, q, q, tg_input(t, dtype, TG_SHAPE(2, 0), NULL), NULL, false),
                     TG_SHAPE(2, 0));
    }
}

Test(semantics_attention, leading_sizes_broadcast_and_their_gradients_add_up)
{
    EACH_BUILD
    {
        tg_tensor *q = INPUT(TG_SHAPE(2, 1, 1), 1, 2), *k = INPUT(TG_SHAPE(2, 1), 0, 0),
                  *v = INPUT(TG_SHAPE(3, 1, 2, 1), 1, 3, 5, 7, 9, 11);
        tg_tensor *y = tg_attention(t, q, k, v, NULL, false);
        EXPECT_SHAPE(y, TG_SHAPE(3, 2, 1, 1));
        EXPECT(y, 2, 2, 6, 6, 10, 10);
        EXPECT(GRAD(y, v), 1, 1, 1, 1, 1, 1);
        /* per pair of batches, p (v - y) q = -+q / 2, three times q = 1 and 2 */
        EXPECT(GRAD(y, k), -4.5, 4.5);
    }
}

Test(semantics_attention, errors_name_the_shapes)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 0, 0, 0, 0, 0, 0),
                  *y = INPUT(TG_SHAPE(3, 2), 0, 0, 0, 0, 0, 0), *v = INPUT(TG_SHAPE(2), 0, 0);
        tg_tensor *d = tg_input(t, TG_F64, TG_SHAPE(2, 3), (double[6]){0}),
                  *mask = tg_input(t, TG_U8, TG_SHAPE(3), (uint8_t[3]){0});
        EXPECT_ERROR(tg_attention(t, x, y, y, NULL, false), TG_ESHAPE,
                     "attention: q [2,3], k [3,2] and v [3,2] are not");
        EXPECT_ERROR(tg_attention(t, x, x, y, NULL, false), TG_ESHAPE,
                     "attention: q [2,3], k [2,3] and v [3,2] are not");
        EXPECT_ERROR(tg_attention(t, v, x, x, NULL, false), TG_ESHAPE, "attention: q [2]");
        EXPECT_ERROR(tg_attention(t, x, d, x, NULL, false), TG_EDTYPE,
                     "attention: q, k and v are f32, f64 and f32");
        EXPECT_ERROR(tg_attention(t, x, x, x, x, false), TG_EDTYPE,
                     "attention: a mask is u8, not f32");
        EXPECT_ERROR(tg_attention(t, x, x, x, mask, false), TG_ESHAPE,
                     "attention: a mask [3] for scores [2,2]");
    }
}

/* Few queries and keys have a kernel of their own. A value that is not finite, seen by later
 * queries or by none, leaves the earlier ones what they were to the last bits but a few. */
Test(semantics_attention, few_queries_meet_what_is_not_finite)
{
    enum { N = 12, D = 4, LATE = 9 };
    for (int masked = 0; masked < 2; masked++) EACH_BUILD
        {
            uint64_t state = 5;
            double x[3][N * D], seen_by[N * D];
            uint8_t mask[N * N];
            for (int k = 0; k < 3; k++)
                for (int i = 0; i < N * D; i++) x[k][i] = (float)semantics_uniform(&state);
            for (int i = 0; i < N * N; i++) mask[i] = i % N <= i / N && i % N != LATE;
            const void *given = NULL;
            for (int bad = 0; bad < 2; bad++) {
                if (bad)
                    for (int j = 0; j < D; j++) {
                        x[1][LATE * D + j] = j % 2 ? NAN : -INFINITY;
                        x[2][LATE * D + j] = INFINITY;
                    }
                tg_tensor *q = semantics_input(t, dtype, TG_SHAPE(N, D), x[0]),
                          *k = semantics_input(t, dtype, TG_SHAPE(N, D), x[1]),
                          *v = semantics_input(t, dtype, TG_SHAPE(N, D), x[2]);
                tg_tensor *seen = masked ? tg_input(t, TG_U8, TG_SHAPE(N, N), mask) : NULL;
                tg_tensor *y = tg_attention(t, q, k, v, seen, !masked);
                if (!masked) y = tg_slice(t, y, 0, 0, LATE, 1);
                tg_tensor *results[] = {y, GRAD(tg_square(t, y), q)};
                const int rows = masked ? N : LATE;
                for (int r = 0; r < 2; r++) {
                    given = tg_data(t, results[r]);
                    cr_assert(given, "%s", tg_tape_message(t));
                    for (int i = 0; i < rows * D; i++) {
                        const double is = semantics_element(dtype, given, i);
                        if (r == 0 && !bad) seen_by[i] = is;
                        if (r == 0)
                            cr_expect(fabs(is - seen_by[i]) <= (dtype == TG_F32 ? 1e-6 : 1e-15),
                                      "element %d: %g instead of %g", i, is, seen_by[i]);
                        cr_expect(isfinite(is), "result %d, element %d is %g", r, i, is);
                    }
                }
            }
        }
}

/* Wherever the operands' rows lie and whatever else is planned. */
Test(semantics_attention, few_queries_give_the_same_bits_on_all_vectors)
{
    const question some[] = {{5, 12, 12, 4, 4, NO_MASK, true},
                             {2, 19, 33, 6, 10, FULL_MASK, false},
                             {2, 64, 50, 32, 17, FULL_MASK, true},
                             {1, 7, 7, 8, 8, NO_MASK, false}};
    for (int k = 0; k < 4; k++)
        for (int isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
            tg_tape *a = semantics_tape((tg_isa)isa, 1), *b = semantics_tape((tg_isa)isa, 2);
            tg_tape *next = semantics_tape(isa == TG_ISA_AVX2 ? TG_ISA_AVX512 : (tg_isa)isa, 1);
            tg_tensor *want[4], *is[4];
            answer(a, &some[k], TG_F32, true, fused, want);
            for (int other = 0; other < 3; other++) {
                tg_tape *t = other == 1 ? b : next;
                answer(t, &some[k], TG_F32, other != 0, fused, is);
                for (int r = 0; r < 4; r++)
                    cr_expect(memcmp(tg_data(t, is[r]), tg_data(a, want[r]),
                                     (size_t)tg_tensor_count(is[r]) * sizeof(float)) == 0,
                              "question %d, result %d, other %d: other bits", k, r, other);
                tg_tape_reset(t);
            }
            semantics_end(a), semantics_end(b), semantics_end(next);
        }
}

Test(semantics_attention, bits_do_not_depend_on_threads)
{
    const question a = {7, 150, 130, 20, 24, FULL_MASK, true};
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
        tg_tape *one = semantics_tape(isa, 1);
        tg_tensor *want[4], *is[4];
        answer(one, &a, TG_F32, true, fused, want);
        for (int threads = 2; threads <= 3; threads++) {
            tg_tape *t = semantics_tape(isa, threads);
            answer(t, &a, TG_F32, true, fused, is);
            for (int r = 0; r < 4; r++)
                cr_expect(memcmp(tg_data(t, is[r]), tg_data(one, want[r]),
                                 (size_t)tg_tensor_count(is[r]) * sizeof(float)) == 0,
                          "result %d: other bits with %d threads", r, threads);
            semantics_end(t);
        }
        semantics_end(one);
    }
}
