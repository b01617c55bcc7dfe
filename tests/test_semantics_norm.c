/* layer_norm at the edges, and against the formula composed of other ops. */
#include "semantics.h"

/* The same by mean, variance and elementwise ops; x [rows, n]. */
static tg_tensor *composed(tg_tape *t, tg_tensor *x, tg_tensor *w, tg_tensor *b, double eps)
{
    tg_tensor *away = tg_sub(t, x, tg_mean(t, x, TG_AXES(-1), true));
    tg_tensor *scale = tg_rsqrt(t, tg_offset(t, tg_var(t, x, TG_AXES(-1), 0, true), eps));
    return tg_add(t, tg_mul(t, tg_mul(t, away, scale), w), b);
}

Test(semantics_norm, variance_is_biased_and_eps_stands_inside_the_root)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 1, 2, 3, -2, 0, 2), *w = INPUT(TG_SHAPE(3), 1, 2, 3),
                  *b = INPUT(TG_SHAPE(3), 10, 20, 30);
        const double one = 1 / sqrt(2.0 / 3 + 0.5), two = 2 / sqrt(8.0 / 3 + 0.5);
        EXPECT(tg_layer_norm(t, x, 1, w, b, 0.5), 10 - one, 20, 30 + 3 * one, 10 - two, 20,
               30 + 3 * two);
        EXPECT(tg_layer_norm(t, x, 1, NULL, NULL, 0.5), -one, 0, one, -two, 0, two);
        EXPECT_SHAPE(tg_layer_norm(t, tg_reshape(t, x, TG_SHAPE(1, 2, 3)), 2, NULL, NULL, 0.5),
                     TG_SHAPE(1, 2, 3));
    }
}

Test(semantics_norm, a_constant_row_gives_b_and_no_gradient)
{
    EACH_BUILD
    {
        double row[1500];
        for (int i = 0; i < 1500; i++) row[i] = 0.1;
        tg_tensor *x = semantics_input(t, dtype, TG_SHAPE(1, 1500), row),
                  *y = tg_layer_norm(t, x, 1, NULL, NULL, 1e-5);
        for (int i = 0; i < 1500; i++) row[i] = 0;
        semantics_expect(__LINE__, t, y, 1500, row);
        tg_tensor *one = INPUT(TG_SHAPE(2, 1), 5, -7),
                  *z = tg_layer_norm(t, one, 1, NULL, INPUT(TG_SHAPE(1), 3), 1e-5);
        EXPECT(z, 3, 3);
        EXPECT(GRAD(tg_square(t, z), one), 0, 0);
        EXPECT(tg_layer_norm(t, one, 1, NULL, NULL, 0), NAN, NAN);
    }
}

Test(semantics_norm, nan_and_infinity_stay_in_their_row)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 2), NAN, 1, INFINITY, 1, -1, 1);
        EXPECT(tg_layer_norm(t, x, 1, NULL, NULL, 0), NAN, NAN, NAN, NAN, -1, 1);
    }
}

Test(semantics_norm, nothing_to_normalise)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_input(t, dtype, TG_SHAPE(0, 2), NULL), *w = INPUT(TG_SHAPE(2), 1, 2),
                  *b = INPUT(TG_SHAPE(2), 3, 4);
        tg_tensor *y = tg_layer_norm(t, x, 1, w, b, 1e-5);
        EXPECT_SHAPE(y, TG_SHAPE(0, 2));
        EXPECT(GRAD(y, w), 0, 0);
        EXPECT(GRAD(y, b), 0, 0);
        EXPECT_SHAPE(GRAD(y, x), TG_SHAPE(0, 2));
    }
}

Test(semantics_norm, errors_name_what_does_not_fit)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(2, 3), 0, 0, 0, 0, 0, 0), *w = INPUT(TG_SHAPE(2), 0, 0),
                  *i = INDEX(TG_SHAPE(1, 1), 0);
        tg_tensor *d = tg_input(t, TG_F64, TG_SHAPE(3), (double[3]){0});
        EXPECT_ERROR(tg_layer_norm(t, x, 1, w, NULL, 0), TG_ESHAPE,
                     "layer_norm: w is [2], not [3]");
        EXPECT_ERROR(tg_layer_norm(t, x, 2, NULL, w, 0), TG_ESHAPE,
                     "layer_norm: b is [2], not [2,3]");
        EXPECT_ERROR(tg_layer_norm(t, x, 1, NULL, d, 0), TG_EDTYPE,
                     "layer_norm: b is f64 but x is f32");
        EXPECT_ERROR(tg_layer_norm(t, x, 0, NULL, NULL, 0), TG_ESHAPE,
                     "layer_norm: [2,3] has no last 0 dimensions");
        EXPECT_ERROR(tg_layer_norm(t, x, 3, NULL, NULL, 0), TG_ESHAPE,
                     "layer_norm: [2,3] has no last 3 dimensions");
        EXPECT_ERROR(tg_layer_norm(t, x, 1, NULL, NULL, -1), TG_EVALUE, "layer_norm: eps = -1");
        EXPECT_ERROR(tg_layer_norm(t, x, 1, NULL, NULL, (double)NAN), TG_EVALUE,
                     "layer_norm: eps = ");
        EXPECT_ERROR(tg_layer_norm(t, i, 1, NULL, NULL, 0), TG_EDTYPE, "layer_norm");
    }
}

/* ---------------------------------------------------------------- sizes, accuracy, bits */

typedef struct results {
    tg_tensor *of[4]; /* y, gx, gw, gb */
} results;

static results derive(tg_tape *t, tg_tensor *y, tg_tensor *seed, tg_tensor *const *x)
{
    results r = {.of = {y}};
    tg_grad(t, y, seed, 3, x, r.of + 1, false);
    tg_eval(t, 4, r.of);
    return r;
}

static void record(tg_tape *t, tg_dtype dtype, int64_t rows, int64_t n, double offset,
                   tg_tensor **x, tg_tensor **seed)
{
    uint64_t state = 5;
    double *v = calloc((size_t)(rows * n), sizeof *v);
    const tg_shape shape[] = {TG_SHAPE(rows, n), TG_SHAPE(n), TG_SHAPE(n), TG_SHAPE(rows, n)};
    tg_tensor *made[4];
    for (int k = 0; k < 4; k++) {
        for (int64_t i = 0; i < tg_shape_count(shape[k]); i++)
            v[i] = (double)(float)(semantics_uniform(&state) + (k == 0 ? offset : 0));
        made[k] = semantics_input(t, dtype, shape[k], v);
    }
    free(v);
    for (int k = 0; k < 3; k++) x[k] = made[k];
    *seed = made[3];
}

/* Rows shorter than a vector, with odd ends, of more than one chunk; many rows, so that sums have
 * several parts. */
Test(semantics_norm, equals_the_composed_formula)
{
    const int64_t sizes[][2] = {{3, 2},    {5, 31},   {4, 32},   {7, 63},   {3, 1000},
                                {2, 1024}, {2, 1025}, {3, 2500}, {700, 65}, {40, 1500}};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        tg_tape *exact = semantics_tape(TG_ISA_AUTO, 1);
        tg_tensor *x[3], *seed;
        record(exact, TG_F64, sizes[k][0], sizes[k][1], 0, x, &seed);
        const results want = derive(exact, composed(exact, x[0], x[1], x[2], 1e-3), seed, x);
        EACH_BUILD
        {
            record(t, dtype, sizes[k][0], sizes[k][1], 0, x, &seed);
            const results is = derive(t, tg_layer_norm(t, x[0], 1, x[1], x[2], 1e-3), seed, x);
            for (int r = 0; r < 4; r++) {
                const void *data = tg_data(t, is.of[r]);
                const double *wanted = tg_data(exact, want.of[r]),
                             tolerance = dtype == TG_F32 ? 4e-6 : 1e-13;
                cr_assert(data && wanted, "%s", tg_tape_message(t));
                double worst = 0;
                for (int64_t i = 0; i < tg_tensor_count(is.of[r]); i++)
                    worst = fmax(worst, fabs(semantics_element(dtype, data, i) - wanted[i]) /
                                            (1 + fabs(wanted[i])));
                cr_expect(worst <= tolerance, "%lld rows of %lld, result %d, %s: off by %g",
                          (long long)sizes[k][0], (long long)sizes[k][1], r, tg_dtype_name(dtype),
                          worst);
            }
        }
        semantics_end(exact);
    }
}

/* A mean of 1000 has an error of 3e-5 in f32, which a deviation of 0.6 divides into 1e-4: the
 * difference of two sums of squares would lose everything. */
Test(semantics_norm, a_large_mean_costs_no_more_than_its_own_rounding)
{
    tg_tensor *x[3], *seed;
    tg_tape *exact = semantics_tape(TG_ISA_AUTO, 1);
    record(exact, TG_F64, 3, 2500, 1000, x, &seed);
    const results want = derive(exact, composed(exact, x[0], x[1], x[2], 1e-5), seed, x);
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
        tg_tape *t = semantics_tape(isa, 1);
        record(t, TG_F32, 3, 2500, 1000, x, &seed);
        const results is = derive(t, tg_layer_norm(t, x[0], 1, x[1], x[2], 1e-5), seed, x);
        for (int r = 0; r < 4; r++) {
            const float *data = tg_data(t, is.of[r]);
            const double *wanted = tg_data(exact, want.of[r]);
            double worst = 0;
            for (int64_t i = 0; i < tg_tensor_count(is.of[r]); i++)
                worst = fmax(worst, fabs((double)data[i] - wanted[i]));
            cr_expect(worst <= 4e-4, "result %d: off by %g", r, worst);
        }
        semantics_end(t);
    }
    semantics_end(exact);
}

Test(semantics_norm, bits_do_not_depend_on_threads)
{
    for (tg_isa isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++)
        for (int k = 0; k < 2; k++) {
            const int64_t rows = k ? 2100 : 70, n = k ? 33 : 3000;
            tg_tensor *x[3], *seed;
            tg_tape *one = semantics_tape(isa, 1);
            record(one, TG_F32, rows, n, 0, x, &seed);
            const results want =
                derive(one, tg_layer_norm(one, x[0], 1, x[1], x[2], 1e-5), seed, x);
            for (int threads = 2; threads <= 3; threads++) {
                tg_tape *t = semantics_tape(isa, threads);
                record(t, TG_F32, rows, n, 0, x, &seed);
                const results is = derive(t, tg_layer_norm(t, x[0], 1, x[1], x[2], 1e-5), seed, x);
                for (int r = 0; r < 4; r++)
                    cr_expect(memcmp(tg_data(t, is.of[r]), tg_data(one, want.of[r]),
                                     (size_t)tg_tensor_count(is.of[r]) * sizeof(float)) == 0,
                              "result %d: other bits with %d threads", r, threads);
                semantics_end(t);
            }
            semantics_end(one);
        }
}

Test(semantics_norm, one_value_in_a_channel_has_no_variance)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 2, 1), 1, 2), *mean = INPUT(TG_SHAPE(2), 0, 1),
                  *variance = INPUT(TG_SHAPE(2), 1, 4);
        EXPECT_ERROR(tg_batch_norm(t, x, NULL, NULL, NULL, NULL, 0), TG_ESHAPE,
                     "batch_norm: one value in each channel of x [1,2,1]");
        EXPECT(tg_batch_norm(t, x, mean, variance, NULL, NULL, 0), 1, 0.5);
    }
}
