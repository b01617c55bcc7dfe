/* Edges of products over named axes. */
#include "semantics.h"

Test(semantics_einsum, equations_are_read_as_they_stand)
{
    EACH_BUILD
    {
        tg_tensor *m = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *v = INPUT(TG_SHAPE(2), 5, 7),
                  *one = INPUT(TG_SHAPE(1), 10), *mv[] = {m, v}, *mo[] = {m, one};
        EXPECT(tg_einsum(t, "ii", 1, &m), 5);
        EXPECT(tg_einsum(t, "ii->i", 1, &m), 1, 4);
        EXPECT(tg_einsum(t, "ij->", 1, &m), 10);
        EXPECT(tg_einsum(t, "bA", 1, &m), 1, 3, 2, 4);
        EXPECT(tg_einsum(t, "ij,j", 2, mv), 19, 43);
        EXPECT(tg_einsum(t, " i j , j -> j i ", 2, mv), 5, 15, 14, 28);
        EXPECT(tg_einsum(t, "ij,j->i", 2, mo), 30, 70);
        EXPECT(tg_einsum(t, "...->", 1, &m), 10);
        EXPECT(tg_einsum(t, "...j,...->...j", 2, mv), 5, 10, 21, 28);
        tg_tensor *none = tg_zeros(t, dtype, TG_SHAPE(2, 0)), *both[] = {m, none};
        EXPECT_SHAPE(tg_einsum(t, "ij,jk", 2, both), TG_SHAPE(2, 0));
        EXPECT(tg_einsum(t, "ij,jk->i", 2, both), 0, 0);
    }
}

Test(semantics_einsum, equations_that_do_not_fit_are_refused)
{
    EACH_BUILD
    {
        tg_tensor *m = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *v = INPUT(TG_SHAPE(3), 5, 7, 9),
                  *mv[] = {m, v};
        EXPECT_ERROR(tg_einsum(t, "ij,j", 2, mv), TG_ESHAPE,
                     "einsum: an axis of \"ij,j\" has both 2 and 3 elements");
        EXPECT_ERROR(tg_einsum(t, "i", 1, &m), TG_ESHAPE,
                     "einsum: \"i\" does not fit operand 0 of 1, [2,2]");
        EXPECT_ERROR(tg_einsum(t, "ijk...", 1, &m), TG_ESHAPE, "does not fit operand 0");
        EXPECT_ERROR(tg_einsum(t, "ij", 2, mv), TG_ESHAPE, "does not fit operand 0 of 2");
        EXPECT_ERROR(tg_einsum(t, "ij,k,l", 2, mv), TG_ESHAPE, "does not fit operand 1 of 2");
        EXPECT_ERROR(tg_einsum(t, "i1", 1, &m), TG_ESHAPE, "does not fit");
        EXPECT_ERROR(tg_einsum(t, "......", 1, &m), TG_ESHAPE, "does not fit");
        EXPECT_ERROR(tg_einsum(t, "ij->k", 1, &m), TG_EVALUE, "einsum: \"ij->k\" has no result");
        EXPECT_ERROR(tg_einsum(t, "ij->ii", 1, &m), TG_EVALUE, "has no result");
        EXPECT_ERROR(tg_einsum(t, "ij-", 1, &m), TG_EVALUE, "has no result");
        EXPECT_ERROR(tg_einsum(t, "ij->i,j", 1, &m), TG_EVALUE, "has no result");
        EXPECT_ERROR(tg_einsum(t, "ij", 0, &m), TG_EVALUE, "an equation and 1 to 16 operands");
        EXPECT_ERROR(tg_einsum(t, NULL, 1, &m), TG_EVALUE, "an equation");
        char wide[200];
        for (int i = 0; i < 199; i++) wide[i] = 'i';
        wide[199] = 0;
        EXPECT_ERROR(tg_einsum(t, wide, 1, &m), TG_ESHAPE, "does not fit");
        tg_tensor *a = tg_zeros(t, dtype, TG_SHAPE(1, 1, 1, 1, 1));
        EXPECT_ERROR(tg_tensordot(t, m, v, TG_AXES(0), TG_AXES(0)), TG_ESHAPE,
                     "tensordot: the axes of [2,2] and [3] do not fit");
        EXPECT_ERROR(tg_tensordot(t, m, m, TG_AXES(0, 1), TG_AXES(0)), TG_ESHAPE, "do not fit");
        EXPECT(tg_tensordot(t, m, m, TG_ALL_AXES, TG_AXES(1, 0)), 29);
        EXPECT(tg_kron(t, tg_slice(t, v, 0, 0, 2, 1), v), 25, 35, 45, 35, 49, 63);
        EXPECT_ERROR(tg_kron(t, a, v), TG_ESHAPE, "kron: [1,1,1,1,1] and [3]");
        EXPECT_ERROR(tg_bmm(t, m, m), TG_ESHAPE, "bmm: [2,2] and [2,2]");
        EXPECT(tg_addmm(t, tg_full(t, dtype, (double)NAN, TG_SHAPE(1)), m, m, 0, 2), 14, 20, 30,
               44);
    }
}
