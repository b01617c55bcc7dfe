/* Products of single matrices: which library or kernel multiplies them. Private to matmul.c. */
#ifndef TG_GEMM_H
#define TG_GEMM_H

#include <tapegrad/op.h>

/* Element (i, j) is data[i * row + j * column]. */
typedef struct tg_matrix {
    const void *data;
    int64_t rows, columns, row, column;
} tg_matrix;

/* c = a b, c row-major with rows ldc apart. Always on one thread, and its bits depend on shapes,
 * strides and `part` alone. Both matrices must pass tg_matrix_readable. part: other parts of the
 * node's work may run at the same time. */
void tg_gemm(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
             int64_t ldc, bool part);

/* Can the libraries read it in place: one of its strides is 1, the other reaches over a whole row
 * or column. */
bool tg_matrix_readable(const tg_matrix *m);

/* Is a row-major copy of a transposed b worth its while? For products of middling size the
 * libraries read a transposed b up to a third slower. */
bool tg_gemm_wants_copy(int64_t m, int64_t n, int64_t k, const tg_matrix *b);

/* Rows first .. first + rows - 1 of m to row-major memory at y, which stands for all of m. */
void tg_matrix_copy(tg_dtype dtype, int build, const tg_matrix *m, int64_t first, int64_t rows,
                    void *y);

/* gemm_small.c: products where calling a library costs more than the arithmetic; any shape and
 * strides are right, small ones are fast. */
bool tg_gemm_is_small(int64_t m, int64_t n, int64_t k, const tg_matrix *b);
void tg_gemm_small(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
                   int64_t ldc);

#endif
