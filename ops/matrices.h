/* What kernels on matrices [..., n, m] share: everything is computed in double. Private. */
#ifndef TG_MATRICES_H
#define TG_MATRICES_H

#include "folds.h"

#ifndef TG_SAMPLES

/* carried: matrices */
/* columns */
static inline int64_t tg_matrix_size(const tg_array *a) { return a->shape.dim[a->shape.ndim - 1]; }

static inline void tg_matrix_load(const tg_array *a, int64_t first, int64_t count, double *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = a->dtype == TG_F32 ? (double)((const float *)a->data)[first + i]
                                   : ((const double *)a->data)[first + i];
}

static inline void tg_matrix_store(const tg_array *a, int64_t first, int64_t count,
                                   const double *from)
{
    for (int64_t i = 0; i < count; i++)
        if (a->dtype == TG_F32) ((float *)a->data)[first + i] = (float)from[i];
        else ((double *)a->data)[first + i] = from[i];
}

/* carried so far */

/* P a Q = L U in place, L with ones on its diagonal. row[k] and column[k] say with what k changed
 * places in step k; column is NULL for Q = 1. The sign of the permutations; *rank: the pivots
 * before the first that is 0. */
double tg_matrix_factorise(double *a, int64_t n, double *row, double *column, int64_t *rank);

/* b [n, m] becomes the solution of a triangular system, by its `upper` part or the lower one; ones:
 * with ones on its diagonal. */
void tg_matrix_substitute(const double *a, int64_t n, bool upper, bool ones, double *b, int64_t m);

/* b [n, m] becomes the solution of a b = b, from the factors of a. */
void tg_matrix_solve(const double *a, int64_t n, const double *row, double *b, int64_t m);

#endif
#endif
