/* Products of matrices. Private. */
#ifndef TG_KERNEL_GEMM_H
#define TG_KERNEL_GEMM_H

#include <stdbool.h>
#include "kernel.h"

/* carried: matrix */
/* Element (i, j) is data[i * row + j * column]; any strides will do. */
typedef struct tg_matrix {
    const void *data;
    int64_t rows, columns, row, column;
} tg_matrix;
/* carried so far */

/* c = a b, c row-major with rows ldc apart; a has at least one column. An element is one sum over k
 * that begins with 0: sum = fma(a[i][p], b[p][j], sum) for p = 0, 1, 2 ... (in the base build the
 * product is rounded first). When `interleaved`, it is eight such sums, of p = 0, 8, 16 ..., of
 * 1, 9, 17 ... and so on, and then ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)): where few
 * elements are computed, one sum each leaves the processor waiting. So the bits of an element
 * depend on its row of a, its column of b, and `interleaved` alone. scratch has tg_gemm_scratch
 * bytes. */
typedef void tg_gemm_fn(const tg_matrix *a, const tg_matrix *b, void *c, int64_t ldc,
                        bool interleaved, void *scratch);
TG_KERNELS(tg_gemm_fn, tg_gemm)

/* carried: matrix */
/* Of b, GEMM_DEPTH rows of GEMM_PANELS panels of two vectors are copied at a time, for the second
 * level of cache; of a, when it is not read in place, GEMM_TALL rows. Panels lie GEMM_LINE bytes
 * further apart than they are long, so as not to meet in one place of the cache. */
enum { GEMM_DEPTH = 384, GEMM_PANELS = 8, GEMM_TALL = 516, GEMM_LINE = 64 };

/* Whether strips of a may be copied: rows are read in place, and so are columns unless they lie so
 * far apart that they meet in one place of the cache. */
static inline bool tg_gemm_copies(const tg_matrix *a, int64_t element)
{
    return a->column != 1 && (a->row != 1 || a->column * element % 1024 == 0);
}

/* Bytes enough for a times n columns and for every instruction set, whose panels have 128 bytes a
 * row or less. */
static inline int64_t tg_gemm_scratch(const tg_matrix *a, int64_t n, int64_t element)
{
    const int64_t k = a->columns, deep = k <= GEMM_DEPTH + GEMM_DEPTH / 2 ? k : GEMM_DEPTH,
                  panels = (n * element + 127) / 128,
                  tall = a->rows < GEMM_TALL ? a->rows : GEMM_TALL;
    return (panels < GEMM_PANELS ? panels : GEMM_PANELS) * (deep * 128 + 4 * GEMM_LINE) +
           (tg_gemm_copies(a, element) ? (tall + 14) * (deep * element + GEMM_LINE) : 0);
}

/* carried so far */

#endif
