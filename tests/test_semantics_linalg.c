/* Edges of linear algebra: singular matrices, empty ones, large ones. */
#include "semantics.h"

Test(semantics_linalg, the_gradient_of_a_determinant_is_right_for_singular_matrices)
{
    EACH_BUILD
    {
        /* of rank 2, 1 and 0 */
        tg_tensor *x = INPUT(TG_SHAPE(3, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 2, 4, 6, 3, 6,
                             9, 0, 0, 0, 0, 0, 0, 0, 0, 0),
                  *y = tg_det(t, x);
        EXPECT(GRAD(y, x), -3, 6, -3, 6, -12, 6, -3, 6, -3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
               0, 0, 0, 0, 0);
        EXPECT(tg_slice(t, y, 0, 1, 3, 1), 0, 0);
        EXPECT(tg_det(t, INPUT(TG_SHAPE(2, 2), 0, 2, 3, 0)), -6);
        EXPECT_SHAPE(tg_det(t, tg_slice(t, x, 0, 0, 0, 1)), TG_SHAPE(0));
        EXPECT(tg_det(t, INPUT(TG_SHAPE(0, 0), 0)), 1);
        tg_tensor *g = GRAD(y, x);
        EXPECT_ERROR(GRAD(tg_square(t, g), x), TG_EVALUE, "is singular");
    }
}

Test(semantics_linalg, a_singular_matrix_is_named)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2, 2), 2, 0, 0, 1, 1, 2, 2, 4),
                  *b = INPUT(TG_SHAPE(2), 1, 1);
        EXPECT_ERROR(tg_inv(t, x), TG_EVALUE, "solve: matrix 1 is singular");
        EXPECT_ERROR(tg_solve(t, x, tg_unsqueeze(t, b, 1)), TG_EVALUE,
                     "solve: matrix 1 is singular");
        EXPECT(tg_slogdet(t, x), 1, log(2), 0, -INFINITY);
        EXPECT_ERROR(tg_solve(t, x, INPUT(TG_SHAPE(3), 1, 2, 3)), TG_ESHAPE, "solve: ");
        EXPECT_ERROR(tg_solve(t, b, b), TG_ESHAPE, "solve: [2] and [2,1] are no system");
        EXPECT_ERROR(tg_det(t, b), TG_ESHAPE, "square matrices [..., n, n] wanted, not [2]");
        EXPECT(tg_solve_triangular(t, INPUT(TG_SHAPE(2, 2), 1, 0, 5, 0), b, false), 1, -INFINITY);
        EXPECT(tg_inv(t, INPUT(TG_SHAPE(1, 1), NAN)), NAN);
        EXPECT(tg_slogdet(t, INPUT(TG_SHAPE(2, 2), -1e-30, 0, 0, 1e-30)), -1, 2 * log(1e-30));
    }
}

Test(semantics_linalg, what_is_not_positive_definite_is_named)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2, 2), 4, 2, 2, 5, 1, 2, 2, 1);
        EXPECT_ERROR(tg_cholesky(t, x), TG_EVALUE,
                     "cholesky: matrix 1 is not positive definite: pivot 1 is -3");
        EXPECT(tg_cholesky(t, tg_select(t, x, 0, 0)), 2, 0, 1, 2);
        EXPECT(tg_cholesky(t, INPUT(TG_SHAPE(2, 2), 4, 1, 3, 5)), 2, 0, 1, 2);
        tg_tensor *four = INPUT(TG_SHAPE(1, 1), 4);
        EXPECT(GRAD(tg_cholesky(t, four), four), 0.25);
    }
}

Test(semantics_linalg, large_systems_are_solved)
{
    enum { N = 64 };
    double a[N * N], b[N];
    uint64_t state = 3;
    for (int i = 0; i < N * N; i++) a[i] = semantics_uniform(&state);
    for (int i = 0; i < N; i++) b[i] = semantics_uniform(&state);
    for (int threads = 1; threads < 3; threads++) {
        tg_tape *t = semantics_tape(TG_ISA_AUTO, threads);
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(N, N), a),
                  *y = tg_input(t, TG_F64, TG_SHAPE(N), b),
                  *rest = tg_sub(t, tg_matmul(t, x, tg_solve(t, x, y)), y),
                  *definite = tg_matmul(t, x, tg_transpose(t, x, 0, 1)),
                  *l = tg_cholesky(t, definite),
                  *back = tg_sub(t, tg_matmul(t, l, tg_transpose(t, l, 0, 1)), definite),
                  *logs = tg_sub(t, tg_select(t, tg_slogdet(t, definite), 0, 1),
                                 tg_scale(t, tg_select(t, tg_slogdet(t, x), 0, 1), 2));
        cr_expect_lt(tg_item(t, tg_max(t, tg_abs(t, rest), TG_ALL_AXES, false)), 1e-12);
        cr_expect_lt(tg_item(t, tg_max(t, tg_abs(t, back), TG_ALL_AXES, false)), 1e-12);
        cr_expect_lt(fabs(tg_item(t, logs)), 1e-9);
        semantics_end(t);
    }
}

/* tg_backward plans what vjps recorded; tg_grad leaves it on the tape. Twice: by a new plan, and by
 * the one that is kept. */
Test(semantics_linalg, parameters_get_the_gradients_that_tg_grad_gives)
{
    double m[36], seen[36];
    for (int k = 0; k < 36; k++) m[k] = sin(k * k + 1.0) + (k % 7 ? 0 : 6);
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SHAPE(6, 6), (tg_init){.kind = TG_ZEROS});
    tg_tape *t = tg_tape_new(NULL);
    tg_param_write(p, m);
    for (int k = 0; k < 10; k++) {
        tg_tensor *x[] = {p, tg_input(t, TG_F64, TG_SHAPE(6, 6), m)}, *y[2] = {NULL, NULL}, *g;
        for (int i = 0; i < 2; i++) {
            tg_tensor *a = tg_matmul(t, x[i], tg_transpose(t, x[i], 0, 1)), *b = tg_square(t, x[i]);
            switch (k / 2) {
            case 0: y[i] = tg_cholesky(t, a); break;
            case 1: y[i] = tg_solve_triangular(t, x[i], b, k % 2); break;
            case 2: y[i] = tg_solve(t, x[i], b); break;
            case 3: y[i] = tg_slogdet(t, a); break;
            default: y[i] = tg_tril(t, tg_diag_embed(t, tg_diagonal(t, x[i], 0)), 0);
            }
            y[i] = tg_sum_all(t, tg_square(t, y[i]));
        }
        tg_backward(t, y[0]);
        memcpy(seen, tg_param_grad(p), sizeof seen);
        tg_params_drop_grads(ps);
        tg_grad(t, y[1], NULL, 1, &x[1], &g, false);
        const double *wanted = tg_data(t, g);
        cr_assert_not_null(wanted, "%s", tg_tape_message(t));
        for (int i = 0; i < 36; i++) cr_expect_eq(seen[i], wanted[i], "%d: %d", k, i);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}
