/* Matrix products at the edges, and in the sizes, layouts and cuts where the kernel changes:
 * against sums in double, every one of whose terms is exact. */
#include "semantics.h"
#include <stdio.h>

Test(semantics_matmul, an_inner_size_of_0_gives_zeros)
{
    EACH_BUILD
    {
        tg_tensor *a = tg_input(t, dtype, TG_SHAPE(2, 0), NULL),
                  *b = tg_input(t, dtype, TG_SHAPE(0, 3), NULL), *y = tg_matmul(t, a, b);
        EXPECT(y, 0, 0, 0, 0, 0, 0);
        EXPECT_SHAPE(GRAD(y, a), TG_SHAPE(2, 0));
        tg_tensor *w = tg_input(t, dtype, TG_SHAPE(2, 0), NULL), *bias = INPUT(TG_SHAPE(2), 1, 2);
        EXPECT(tg_linear(t, a, w, bias), 1, 2, 1, 2);
        EXPECT(tg_matmul(t, tg_reshape(t, b, TG_SHAPE(0)), tg_reshape(t, a, TG_SHAPE(0))), 0);
    }
}

/* Of the sum of x x: each row's sum along the columns of x, and each column's along its rows. */
Test(semantics_matmul, one_matrix_as_both_operands_accumulates)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *y = tg_matmul(t, x, x);
        EXPECT(y, 7, 10, 15, 22);
        EXPECT(GRAD(y, x), 3 + 4, 7 + 4, 3 + 6, 7 + 6);
    }
}

Test(semantics_matmul, empty_results)
{
    EACH_BUILD
    {
        tg_tensor *a = tg_input(t, dtype, TG_SHAPE(0, 3), NULL),
                  *b = INPUT(TG_SHAPE(3, 2), 1, 2, 3, 4, 5, 6), *y = tg_matmul(t, a, b);
        EXPECT_SHAPE(y, TG_SHAPE(0, 2));
        cr_expect_not_null(tg_data(t, y));
        EXPECT(GRAD(y, b), 0, 0, 0, 0, 0, 0);
        tg_tensor *none = tg_matmul(t, tg_input(t, dtype, TG_SHAPE(0, 1, 3), NULL), b);
        EXPECT_SHAPE(none, TG_SHAPE(0, 1, 2));
        cr_expect_not_null(tg_data(t, none));
    }
}

Test(semantics_matmul, one_dimension_counts_as_a_row_or_a_column)
{
    EACH_BUILD
    {
        tg_tensor *v = INPUT(TG_SHAPE(2), 1, 2), *a = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4);
        tg_tensor *row = tg_matmul(t, v, a), *column = tg_matmul(t, a, v),
                  *dot = tg_matmul(t, v, v);
        EXPECT_SHAPE(row, TG_SHAPE(2));
        EXPECT(row, 7, 10);
        EXPECT(column, 5, 11);
        EXPECT_SHAPE(dot, TG_SCALAR);
        EXPECT(dot, 5);
        EXPECT(GRAD(dot, v), 2, 4); /* the same tensor twice */
        EXPECT(GRAD(row, a), 1, 1, 2, 2);
        EXPECT(GRAD(tg_matmul(t, a, a), a), 1 + 2 + 1 + 3, 3 + 4 + 1 + 3, 1 + 2 + 2 + 4,
               3 + 4 + 2 + 4);
    }
}

Test(semantics_matmul, nan_and_infinity_spread_along_their_row_and_column_only)
{
    EACH_BUILD
    {
        tg_tensor *a = INPUT(TG_SHAPE(3, 2), NAN, 1, 1, 1, 0, INFINITY),
                  *b = INPUT(TG_SHAPE(2, 3), 1, 2, 3, 4, 0, 6);
        EXPECT(tg_matmul(t, a, b), NAN, NAN, NAN, 5, 2, 9, INFINITY, NAN, INFINITY);
    }
}

Test(semantics_matmul, errors_name_the_shapes)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *a = INPUT(TG_SHAPE(2, 3), 0, 0, 0, 0, 0, 0), *v = INPUT(TG_SHAPE(2), 0, 0),
                  *s = INPUT(TG_SCALAR, 0);
        tg_tensor *batch = tg_input(t, TG_F32, TG_SHAPE(2, 3, 0), NULL),
                  *other = tg_input(t, TG_F32, TG_SHAPE(3, 0, 1), NULL);
        tg_tensor *d = tg_input(t, TG_F64, TG_SHAPE(3, 1), (double[3]){0}),
                  *i = INDEX(TG_SHAPE(1, 1), 0);
        EXPECT_ERROR(tg_matmul(t, a, a), TG_ESHAPE, "matmul: inner sizes differ: [2,3] x [2,3]");
        EXPECT_ERROR(tg_matmul(t, a, v), TG_ESHAPE, "matmul: inner sizes differ: [2,3] x [2]");
        EXPECT_ERROR(tg_matmul(t, s, a), TG_ESHAPE, "matmul: matrices wanted: [] x [2,3]");
        EXPECT_ERROR(tg_matmul(t, batch, other), TG_ESHAPE,
                     "matmul: leading sizes don't broadcast: [2,3,0] x [3,0,1]");
        EXPECT_ERROR(tg_matmul(t, a, d), TG_EDTYPE, "f32 and f64");
        EXPECT_ERROR(tg_matmul(t, i, i), TG_EDTYPE, "i64");
        EXPECT_ERROR(tg_linear(t, a, v, NULL), TG_ESHAPE, "linear: x [2,3] does not fit w [2]");
        EXPECT_ERROR(tg_linear(t, v, a, NULL), TG_ESHAPE, "linear: x [2] does not fit w [2,3]");
        EXPECT_ERROR(tg_linear(t, a, a, a), TG_ESHAPE, "linear: b [2,3] does not fit w [2,3]");
        EXPECT_ERROR(tg_linear(t, a, a, tg_input(t, TG_I64, TG_SHAPE(2), (const int64_t[]){1, 2})),
                     TG_EDTYPE, "linear: b is i64 but x is");
    }
}

/* ---------------------------------------------------------------- every layout in every size */

enum layout { PLAIN, TRANSPOSED, GAPS, FLIPPED, REPEATED, LAYOUTS };

/* A matrix of multiples of 1/64 below 1, whose products and sums are exact in both dtypes, recorded
 * so that it reaches the product in this layout. */
static tg_tensor *matrix(tg_tape *t, tg_dtype dtype, int64_t rows, int64_t columns,
                         enum layout layout, uint64_t *state, double *plain)
{
    const int64_t stored_columns = layout == GAPS ? 2 * columns + 1 : columns;
    double *stored = calloc((size_t)(rows * stored_columns) + 1, sizeof *stored);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++) {
            double v = floor(16 * semantics_uniform(state)) / 16;
            if (layout == REPEATED && i > 0) v = plain[j];
            plain[i * columns + j] = v;
            if (layout == PLAIN) stored[i * columns + j] = v;
            if (layout == TRANSPOSED) stored[j * rows + i] = v;
            if (layout == GAPS) stored[i * stored_columns + 2 * j + 1] = v;
            if (layout == FLIPPED) stored[(rows - 1 - i) * columns + columns - 1 - j] = v;
            if (layout == REPEATED) stored[j] = v;
        }
    const tg_shape shape = layout == TRANSPOSED ? TG_SHAPE(columns, rows)
                           : layout == REPEATED ? TG_SHAPE(1, columns)
                                                : TG_SHAPE(rows, stored_columns);
    tg_tensor *x = semantics_input(t, dtype, shape, stored);
    free(stored);
    switch (layout) {
    case TRANSPOSED: return tg_transpose(t, x, 0, 1);
    case GAPS: return tg_slice(t, x, 1, 1, TG_END, 2);
    case FLIPPED: return tg_flip(t, x, TG_ALL_AXES);
    case REPEATED: return tg_expand(t, x, TG_SHAPE(rows, columns));
    default: return x;
    }
}

static void multiply(tg_tape *t, tg_dtype dtype, int64_t m, int64_t n, int64_t k, enum layout of_a,
                     enum layout of_b)
{
    uint64_t state = 3;
    double *a = calloc((size_t)(m * k) + 1, sizeof *a), *b = calloc((size_t)(k * n) + 1, sizeof *b);
    tg_tensor *x = matrix(t, dtype, m, k, of_a, &state, a),
              *w = matrix(t, dtype, k, n, of_b, &state, b);
    const void *y = tg_data(t, tg_matmul(t, x, w));
    cr_assert_not_null(y, "%s", tg_tape_message(t));
    int64_t wrong = 0;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
            wrong += semantics_element(dtype, y, i * n + j) != sum;
        }
    cr_expect_eq(wrong, 0, "%s [%lld,%lld] x [%lld,%lld], layouts %d and %d: %lld wrong",
                 tg_dtype_name(dtype), (long long)m, (long long)k, (long long)k, (long long)n,
                 (int)of_a, (int)of_b, (long long)wrong);
    free(a);
    free(b);
}

Test(semantics_matmul, every_layout_in_small_sizes)
{
    EACH_BUILD
    {
        for (int64_t m = 1; m <= 9; m++)
            for (int64_t n = 1; n <= 18; n++)
                for (int64_t k = 1; k <= 6; k++)
                    for (int pair = 0; pair < LAYOUTS * LAYOUTS; pair++)
                        if ((m * 7 + n * 3 + k + pair) % 5 == 0)
                            multiply(t, dtype, m, n, k, (enum layout)(pair / LAYOUTS),
                                     (enum layout)(pair % LAYOUTS));
        tg_tape_reset(t);
    }
}

Test(semantics_matmul, every_layout_in_sizes_where_kernels_change)
{
    const int64_t sizes[][3] = {{1, 1, 300},    {1, 300, 5},    {300, 1, 5},    {300, 1, 16},
                                {300, 1, 17},   {1, 40, 100},   {5, 20, 40},    {16, 16, 16},
                                {17, 16, 16},   {3, 7, 4096},   {4, 1024, 1},   {64, 10, 64},
                                {40, 40, 40},   {33, 65, 17},   {23, 31, 300},  {1, 700, 300},
                                {700, 1, 300},  {70, 130, 116}, {64, 128, 784}, {128, 784, 64},
                                {300, 20, 700}, {20, 600, 350}, {260, 260, 130}};
    EACH_BUILD
    {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
            for (int pair = 0; pair < LAYOUTS * LAYOUTS; pair++)
                if (s < 8 || pair / LAYOUTS < GAPS || pair % LAYOUTS == PLAIN ||
                    pair % LAYOUTS == FLIPPED) {
                    if (sizes[s][0] * sizes[s][1] * sizes[s][2] > 1000000 && (pair + (int)s) % 3)
                        continue;
                    multiply(t, dtype, sizes[s][0], sizes[s][1], sizes[s][2],
                             (enum layout)(pair / LAYOUTS), (enum layout)(pair % LAYOUTS));
                    tg_tape_reset(t);
                }
    }
}

/* ---------------------------------------------------------------- batches */

Test(semantics_matmul, batches_that_fold_into_rows_and_batches_that_do_not)
{
    EACH_BUILD
    {
        enum { B = 3, C = 2, M = 4, K = 5, N = 3 };
        uint64_t state = 11;
        double a[B * C * M * K], b[K * N];
        for (int i = 0; i < B * C * M * K; i++) a[i] = floor(16 * semantics_uniform(&state)) / 16;
        for (int i = 0; i < K * N; i++) b[i] = floor(16 * semantics_uniform(&state)) / 16;
        tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(B, C, M, K), a),
                  *w = semantics_input(t, dtype, TG_SHAPE(K, N), b);
        tg_tensor *sliced = tg_slice(t, x, 0, 0, TG_END, 2), *exchanged = tg_transpose(t, x, 0, 1),
                  *rows = tg_slice(t, x, 2, 1, 2, 1);
        tg_tensor *lifted =
            tg_expand(t, tg_reshape(t, w, TG_SHAPE(1, 1, K, N)), TG_SHAPE(B, 1, K, N));
        const void *y[] = {tg_data(t, tg_matmul(t, x, w)), tg_data(t, tg_matmul(t, sliced, w)),
                           tg_data(t, tg_matmul(t, exchanged, w)),
                           tg_data(t, tg_matmul(t, rows, w)), tg_data(t, tg_matmul(t, x, lifted))};
        for (int64_t p = 0; p < B * C * M; p++)
            for (int64_t j = 0; j < N; j++) {
                const int64_t i = p % M, e = p / M % C, d = p / M / C;
                double sum = 0;
                for (int64_t q = 0; q < K; q++) sum += a[p * K + q] * b[q * N + j];
                cr_expect_eq(semantics_element(dtype, y[0], p * N + j), sum);
                cr_expect_eq(semantics_element(dtype, y[4], p * N + j), sum);
                if (d % 2 == 0)
                    cr_expect_eq(semantics_element(dtype, y[1], ((d / 2 * C + e) * M + i) * N + j),
                                 sum);
                cr_expect_eq(semantics_element(dtype, y[2], ((e * B + d) * M + i) * N + j), sum);
                if (i == 1) cr_expect_eq(semantics_element(dtype, y[3], (d * C + e) * N + j), sum);
            }
    }
}

Test(semantics_matmul, the_gradient_of_a_shared_matrix_sums_over_the_batch)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2, 2), 1, 2, 3, 4, 5, 6, 7, 8),
                  *w = INPUT(TG_SHAPE(2, 1), 1, -1), *y = tg_matmul(t, x, w);
        EXPECT(GRAD(y, w), 16, 20);
        EXPECT(GRAD(y, x), 1, -1, 1, -1, 1, -1, 1, -1);
        tg_tensor *v = INPUT(TG_SHAPE(1, 2), 1, -1), *bias = INPUT(TG_SHAPE(1), 0);
        EXPECT(GRAD(tg_linear(t, x, v, bias), v), 16, 20);
        EXPECT(GRAD(tg_linear(t, x, v, bias), bias), 4);
        tg_tensor *one = INPUT(TG_SHAPE(1, 2, 2), 1, 0, 0, 1), *z = tg_matmul(t, one, x);
        EXPECT(GRAD(z, one), 14, 22, 14, 22);
    }
}

/* ---------------------------------------------------------------- bits */

typedef struct recipe {
    tg_shape a, b;
    bool turn_a, turn_b;
} recipe;

static void compute(const recipe *r, tg_dtype dtype, int threads, bool node_by_node, int64_t gap,
                    void *out)
{
    const tg_tape_options o = {.size = sizeof o, .threads = threads, .node_by_node = node_by_node};
    tg_tape *t = tg_tape_new(&o);
    uint64_t state = 23;
    tg_tensor *x[2];
    for (int k = 0; k < 2; k++) {
        const tg_shape shape = k ? r->b : r->a;
        const int64_t n = tg_shape_count(shape);
        double *v = calloc((size_t)n, sizeof *v);
        for (int64_t i = 0; i < n; i++) v[i] = semantics_uniform(&state);
        double *filler = calloc((size_t)gap, sizeof *filler); /* what follows lies elsewhere */
        tg_data(t, tg_input(t, TG_F64, TG_SHAPE(gap), filler));
        free(filler);
        x[k] = semantics_input(t, dtype, shape, v);
        if (k ? r->turn_b : r->turn_a) x[k] = tg_transpose(t, x[k], -2, -1);
        free(v);
    }
    tg_tensor *y = tg_matmul(t, x[0], x[1]);
    const void *data = tg_data(t, y);
    cr_assert_not_null(data, "%s", tg_tape_message(t));
    memcpy(out, data, (size_t)tg_tensor_count(y) * tg_dtype_size(dtype));
    tg_tape_free(t);
}

Test(semantics_matmul, bits_do_not_depend_on_threads_or_addresses)
{
    const recipe recipes[] = {
        {TG_SHAPE(64, 784), TG_SHAPE(128, 784), false, true},
        {TG_SHAPE(64, 128), TG_SHAPE(64, 784), true, false},
        {TG_SHAPE(257, 129), TG_SHAPE(129, 131), false, false},
        {TG_SHAPE(1, 700), TG_SHAPE(700, 900), false, false},
        {TG_SHAPE(5, 130, 90), TG_SHAPE(5, 90, 110), false, false},
        {TG_SHAPE(40, 30, 64), TG_SHAPE(40, 50, 64), false, true},
        {TG_SHAPE(2000, 40), TG_SHAPE(40, 40), false, false},
        {TG_SHAPE(30, 40, 64), TG_SHAPE(64, 96), false, false},
    };
    for (size_t k = 0; k < sizeof recipes / sizeof recipes[0]; k++)
        for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
            const size_t room = (size_t)1 << 20;
            char *first = calloc(room, 8), *other = calloc(room, 8);
            compute(&recipes[k], dtype, 1, false, 1, first);
            for (int threads = 1; threads <= 5; threads++) {
                compute(&recipes[k], dtype, threads, threads % 2, 13 * threads, other);
                cr_expect(memcmp(first, other, room * 8) == 0,
                          "recipe %zu, %s, %d threads: other bits", k, tg_dtype_name(dtype),
                          threads);
            }
            free(first);
            free(other);
        }
}

static double sum_of(tg_dtype dtype, const double *a, const double *b, int64_t step, int64_t k,
                     bool interleaved)
{
    double y[8] = {0};
    for (int64_t p = 0; p < k; p++) {
        double *s = &y[interleaved ? p % 8 : 0];
        *s = dtype == TG_F32 ? (double)fmaf((float)a[p], (float)b[p * step], (float)*s)
                             : fma(a[p], b[p * step], *s);
    }
#define PLUS(a, b) (dtype == TG_F32 ? (double)((float)(a) + (float)(b)) : (a) + (b))
    return interleaved ? PLUS(PLUS(PLUS(y[0], y[4]), PLUS(y[2], y[6])),
                              PLUS(PLUS(y[1], y[5]), PLUS(y[3], y[7])))
                       : y[0];
#undef PLUS
}

/* On AVX2 and AVX-512 an element is what its definition says, bit for bit; b transposed or not. */
Test(semantics_matmul, bits_follow_from_the_definition_on_every_processor_with_fma)
{
    static const int64_t sizes[][3] = {{100, 4, 3},  {4, 3, 100}, {7, 33, 5},     {64, 10, 128},
                                       {30, 50, 70}, {17, 1, 15}, {90, 300, 600}, {1, 50, 40},
                                       {2, 9, 200},  {70, 1, 33}, {3, 700, 1},    {1, 1, 1000}};
    double *v = calloc((size_t)1 << 20, sizeof *v);
    uint64_t state = 41;
    for (size_t i = 0; i < (size_t)1 << 20; i++) v[i] = (float)semantics_uniform(&state);
    for (size_t q = 0; q < sizeof sizes / sizeof sizes[0]; q++)
        for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
            for (int isa = TG_ISA_AVX2; isa <= TG_ISA_AVX512; isa++) {
                const tg_tape_options o = {.size = sizeof o, .isa = (tg_isa)isa};
                tg_tape *t = tg_tape_new(&o);
                const int64_t m = sizes[q][0], n = sizes[q][1], k = sizes[q][2];
                const bool interleaved = k >= 16 && (m <= 2 || n == 1);
                tg_tensor *a = semantics_input(t, dtype, TG_SHAPE(m, k), v),
                          *b = semantics_input(t, dtype, TG_SHAPE(k, n), v + m * k);
                const void *y = tg_data(t, tg_matmul(t, a, b));
                if (tg_tape_status(t) == TG_OK)
                    for (int64_t i = 0; i < m * n; i++)
                        cr_assert_eq(
                            semantics_element(dtype, y, i),
                            sum_of(dtype, v + i / n * k, v + m * k + i % n, n, k, interleaved),
                            "%d x %d x %d, element %d", (int)m, (int)n, (int)k, (int)i);
                tg_tape_free(t);
            }
    free(v);
}

/* Many small products side by side. */
Test(semantics_matmul, parts_do_not_disturb_each_other)
{
    enum { B = 512, M = 32 };
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 4); t; t = semantics_end(t)) {
            uint64_t state = 31;
            double *v = calloc((size_t)2 * B * M * M, sizeof *v);
            for (int i = 0; i < 2 * B * M * M; i++)
                v[i] = floor(16 * semantics_uniform(&state)) / 16;
            for (int repeat = 0; repeat < 100; repeat++, tg_tape_reset(t)) {
                tg_tensor *a = semantics_input(t, dtype, TG_SHAPE(B, M, M), v),
                          *b = semantics_input(t, dtype, TG_SHAPE(B, M, M), v + B * M * M);
                const void *y = tg_data(t, tg_matmul(t, a, b));
                cr_assert_not_null(y, "%s", tg_tape_message(t));
                for (int64_t i = repeat % 7; i < (int64_t)B * M * M; i += 7) {
                    double sum = 0;
                    for (int64_t p = 0; p < M; p++)
                        sum +=
                            v[i / M * M + p] * v[B * M * M + i / (M * M) * (M * M) + p * M + i % M];
                    cr_assert_eq(semantics_element(dtype, y, i), sum, "%s, repeat %d",
                                 tg_dtype_name(dtype), repeat);
                }
            }
            free(v);
        }
}
