/* Muon against its published iteration, written down once more with plain loops. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/optim.h>

enum { MOST = 40, STEPS = 50 };

typedef struct matrix {
    int rows, columns;
    double at[MOST][MOST];
} matrix;

static double number(int k)
{
    const double x = sin(12.9898 * k + 4.1414) * 43758.5453;
    return 2 * (x - floor(x)) - 1;
}

static matrix product(const matrix *a, const matrix *b)
{
    matrix y = {.rows = a->rows, .columns = b->columns};
    for (int i = 0; i < a->rows; i++)
        for (int j = 0; j < b->columns; j++)
            for (int k = 0; k < a->columns; k++) y.at[i][j] += a->at[i][k] * b->at[k][j];
    return y;
}

static matrix transpose(const matrix *a)
{
    matrix y = {.rows = a->columns, .columns = a->rows};
    for (int i = 0; i < y.rows; i++)
        for (int j = 0; j < y.columns; j++) y.at[i][j] = a->at[j][i];
    return y;
}

/* Y = a X + (b A + c A A) X, A = X X^T, whichever way X lies. */
static matrix orthogonal(matrix x, int iterations, double eps)
{
    double norm = 0;
    for (int i = 0; i < x.rows; i++)
        for (int j = 0; j < x.columns; j++) norm += x.at[i][j] * x.at[i][j];
    norm = fmax(sqrt(norm), eps);
    for (int i = 0; i < x.rows; i++)
        for (int j = 0; j < x.columns; j++) x.at[i][j] /= norm;
    for (int k = 0; k < iterations; k++) {
        const matrix t = transpose(&x), a = product(&x, &t), ax = product(&a, &x),
                     aax = product(&a, &ax);
        for (int i = 0; i < x.rows; i++)
            for (int j = 0; j < x.columns; j++)
                x.at[i][j] = 3.4445 * x.at[i][j] - 4.7750 * ax.at[i][j] + 2.0315 * aax.at[i][j];
    }
    return x;
}

static void follows(tg_dtype dtype, int rows, int columns, const tg_muon_options *given)
{
    static matrix p, buffer;
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", dtype, TG_SHAPE(rows, columns), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = tg_muon_new(ps, given);
    const double momentum = given->momentum > 0 ? given->momentum : 0.95,
                 rate = given->learning_rate > 0 ? given->learning_rate : 1e-3,
                 decay = given->weight_decay > 0 ? given->weight_decay : 0.1,
                 ratio = (double)rows / columns,
                 adjust =
                     given->match_adam ? 0.2 * sqrt(fmax(rows, columns)) : sqrt(fmax(1, ratio));
    p = buffer = (matrix){.rows = rows, .columns = columns};
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) p.at[i][j] = 1;
    for (int k = 1; k <= STEPS; k++) {
        double f64[MOST * MOST];
        float f32[MOST * MOST];
        matrix along = {.rows = rows, .columns = columns};
        for (int i = 0; i < rows * columns; i++) {
            const double g = number(k * 7919 + i);
            f32[i] = (float)(f64[i] = dtype == TG_F32 ? (double)(float)g : g);
            double *b = &buffer.at[i / columns][i % columns];
            *b = momentum * *b + (1 - momentum) * f64[i];
            along.at[i / columns][i % columns] =
                given->no_nesterov ? *b : (1 - momentum) * f64[i] + momentum * *b;
        }
        cr_assert_eq(tg_param_add_grad(w, dtype == TG_F32 ? (const void *)f32 : f64), TG_OK);
        cr_assert_eq(tg_optim_step(o), TG_OK, "%s", tg_optim_message(o));
        const matrix x =
            orthogonal(along, given->iterations > 0 ? (int)given->iterations : 5, 1e-7);
        for (int i = 0; i < rows * columns; i++) {
            double *q = &p.at[i / columns][i % columns];
            *q = *q * (1 - rate * decay) - rate * adjust * x.at[i / columns][i % columns];
            const double got = dtype == TG_F32 ? (double)((const float *)tg_param_data(w))[i]
                                               : ((const double *)tg_param_data(w))[i];
            cr_assert_float_eq(got, *q, dtype == TG_F32 ? 1e-4 : 1e-10,
                               "step %d, element %d is %.17g, not %.17g", k, i, got, *q);
        }
    }
    tg_optim_free(o);
    tg_params_free(ps);
}

Test(muon, follows_its_publication)
{
    const tg_muon_options usual = {.size = sizeof usual}, other = {.size = sizeof other,
                                                                   .learning_rate = 0.02,
                                                                   .momentum = 0.8,
                                                                   .weight_decay = 0.01,
                                                                   .iterations = 3,
                                                                   .no_nesterov = true,
                                                                   .match_adam = true};
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
        follows(dtype, 3, 5, &usual);
        follows(dtype, 19, 7, &usual);
        follows(dtype, 6, 37, &other);
        follows(dtype, 20, 5, &other);
        follows(dtype, 1, 1, &usual);
    }
}

Test(muon, what_is_no_matrix_is_moved_by_adamw)
{
    tg_params *ps = tg_params_new(NULL), *same = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(2, 2), (tg_init){TG_ONES, 0, 0}),
              *b = tg_param_new(ps, "b", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0}),
              *c = tg_param_new(same, "b", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_optim *o = tg_optim_parse(ps, "muon lr=0.1 rest_lr=0.02"),
             *adamw = tg_optim_parse(same, "adamw lr=0.02");
    tg_param_add_grad(w, (double[]){1, 2, 3, 4});
    tg_param_add_grad(b, (double[]){1, 2});
    tg_param_add_grad(c, (double[]){1, 2});
    cr_assert_eq(tg_optim_step(o), TG_OK, "%s", tg_optim_message(o));
    cr_assert_eq(tg_optim_step(adamw), TG_OK);
    cr_expect_eq(((const double *)tg_param_data(b))[1], ((const double *)tg_param_data(c))[1]);
    cr_expect_neq(((const double *)tg_param_data(w))[1], 1);
    tg_optim_take(o, b);
    cr_expect_eq(tg_optim_status(o), TG_ESTATE, "the part moves it");
    tg_optim_free(o);
    o = tg_muon_new(ps, NULL);
    cr_expect_eq(tg_optim_take(o, b), TG_ESHAPE);
    cr_expect(strstr(tg_optim_message(o), "muon: \"b\" f64 of shape [2] can't be moved"), "%s",
              tg_optim_message(o));
    tg_optim_free(o);
    tg_optim_free(adamw);
    tg_params_free(ps);
    tg_params_free(same);
}

Test(muon, options_out_of_range_are_refused)
{
    const tg_muon_options half = {.size = sizeof half, .iterations = 2.5},
                          wild = {.size = sizeof wild, .momentum = 1}, unsized = {.momentum = 0.5};
    const tg_muon_options *const wrong[] = {&half, &wild, &unsized};
    const char *const what[] = {"iterations must be a whole number", "momentum must be in [0, 1)",
                                "size"};
    for (int k = 0; k < 3; k++) {
        tg_params *ps = tg_params_new(NULL);
        tg_optim *o = tg_muon_new(ps, wrong[k]);
        cr_expect_eq(tg_optim_status(o), TG_EVALUE);
        cr_expect(strstr(tg_optim_message(o), what[k]) &&
                      strstr(tg_optim_message(o), "test_muon.c:"),
                  "%s", tg_optim_message(o));
        tg_optim_free(o);
        tg_params_free(ps);
    }
}
