/* Products of single matrices, for matmul.c and conv_kernels.c. Private. */
#ifndef TG_GEMM_H
#define TG_GEMM_H

#include <tapegrad/op.h>
#include "kernels/gemm.h"

/* carried: gemm, on matrix */
/* Whether a product's elements are eight sums each: it has so few that one sum each would not keep
 * the processor busy. Of the whole product, however it is cut. */
static inline bool tg_gemm_interleaved(int64_t m, int64_t n, int64_t k)
{
    return k >= 16 && (m <= 2 || n == 1);
}

/* carried so far */

/* As kernels/gemm.h says. */
void tg_gemm(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
             int64_t ldc, bool interleaved, void *scratch);

#endif
