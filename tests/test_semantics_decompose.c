/* Decompositions at their edges: equal and missing eigenvalues, no matrices, bad shapes. */
#include "semantics.h"

Test(semantics_decompose, equal_eigenvalues_have_gradients_where_these_exist)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 3, 0, 0, 3), *v, *y = tg_eigh(t, x, &v);
        EXPECT(y, 3, 3);
        EXPECT(GRAD(tg_square(t, y), x), 6, 0, 0, 6);
        EXPECT(GRAD(tg_slice(t, v, 0, 0, 1, 1), x), NAN, NAN, NAN, NAN);
        tg_tensor *s, *u, *vh;
        EXPECT(s = tg_svd(t, x, &u, &vh), 3, 3);
        EXPECT(GRAD(tg_square(t, s), x), 6, 0, 0, 6);
        EXPECT(tg_eigh(t, INPUT(TG_SHAPE(2, 2), 0, 4, -4, 0), NULL), 0, 0);
        EXPECT(tg_eigh(t, INPUT(TG_SHAPE(2, 2), 2, NAN, 1, 2), NULL), NAN, NAN);
    }
}

Test(semantics_decompose, singular_values_of_0_have_vectors)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_zeros(t, dtype, TG_SHAPE(3, 2)), *u, *vh, *s = tg_svd(t, x, &u, &vh);
        EXPECT(s, 0, 0);
        EXPECT(tg_matmul(t, tg_transpose(t, u, 0, 1), u), 1, 0, 0, 1);
        EXPECT(vh, 1, 0, 0, 1);
        EXPECT(GRAD(s, x), 1, 0, 0, 1, 0, 0);
        tg_tensor *flat = INPUT(TG_SHAPE(1, 2), 0, -2);
        EXPECT(s = tg_svd(t, flat, &u, &vh), 2);
        EXPECT(GRAD(s, flat), 0, -1);
        EXPECT(tg_mul(t, u, vh), 0, -1);
    }
}

Test(semantics_decompose, dependent_columns_have_a_qr_and_no_least_squares)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 3, 6, 4, 8), *r, *q = tg_qr(t, x, &r);
        EXPECT(r, -5, -10, 0, 0);
        EXPECT(tg_slice(t, q, 1, 0, 1, 1), -0.6, -0.8);
        EXPECT(tg_qr(t, tg_zeros(t, dtype, TG_SHAPE(2, 1)), &r), 1, 0);
        EXPECT(tg_select(t,
                         tg_lstsq(t, tg_zeros(t, dtype, TG_SHAPE(2, 1)), INPUT(TG_SHAPE(2), 1, 2)),
                         0, 0),
               INFINITY);
    }
}

Test(semantics_decompose, exponentials_of_nilpotent_huge_and_no_matrices)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 0, 3, 0, 0);
        EXPECT(tg_matrix_exp(t, x), 1, 3, 0, 1);
        x = tg_zeros(t, dtype, TG_SHAPE(2, 2));
        EXPECT(GRAD(tg_matrix_exp(t, x), x), 1, 1, 1, 1);
        EXPECT(tg_matrix_exp(t, INPUT(TG_SHAPE(1, 1), 1000)), INFINITY);
        EXPECT(tg_matrix_exp(t, INPUT(TG_SHAPE(1, 1), NAN)), NAN);
        tg_tensor *none = tg_zeros(t, dtype, TG_SHAPE(0, 0)), *u, *vh;
        EXPECT_SHAPE(tg_matrix_exp(t, none), TG_SHAPE(0, 0));
        EXPECT_SHAPE(tg_eigh(t, none, &u), TG_SHAPE(0));
        EXPECT_SHAPE(tg_svd(t, tg_zeros(t, dtype, TG_SHAPE(3, 0)), &u, &vh), TG_SHAPE(0));
        EXPECT_SHAPE(u, TG_SHAPE(3, 0));
        EXPECT_SHAPE(tg_qr(t, tg_zeros(t, dtype, TG_SHAPE(2, 0, 3)), &u), TG_SHAPE(2, 0, 0));
        tg_eval(t, 1, &u);
    }
}

Test(semantics_decompose, what_is_no_matrix_is_refused)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_ones(t, dtype, TG_SHAPE(2, 3)), *v = tg_ones(t, dtype, TG_SHAPE(3));
        EXPECT_ERROR(tg_eigh(t, x, NULL), TG_ESHAPE, "eigh: square matrices [..., n, n] wanted");
        EXPECT_ERROR(tg_matrix_exp(t, x), TG_ESHAPE, "matrix_exp: square matrices");
        EXPECT_ERROR(tg_qr(t, v, NULL), TG_ESHAPE, "qr: matrices [..., m, n] wanted, not [3]");
        EXPECT_ERROR(tg_svd(t, tg_argmax(t, x, 0, true), NULL, NULL), TG_EDTYPE, "svd: f32 or f64");
        EXPECT_ERROR(tg_lstsq(t, x, v), TG_ESHAPE, "lstsq: [2,3] and [3] are no system");
    }
}
