/* tg_gemm as an exported file has it: the sums of kernels/gemm.h's base build, one element after
 * the other. Private. */
#ifndef TG_PLAIN_GEMM_H
#define TG_PLAIN_GEMM_H

/* carried: gemm */
#define PLAIN_GEMM(fn, T)                                                                      \
    static void fn(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc, bool eight)      \
    {                                                                                          \
        const T *x = (const T *)a->data, *w = (const T *)b->data;                              \
        for (int64_t i = 0; i < a->rows; i++) {                                                \
            T *y = c + i * ldc;                                                                \
            for (int64_t j = 0; eight && j < b->columns; j++) {                                \
                T s[8] = {0};                                                                  \
                for (int64_t p = 0; p < a->columns; p++)                                       \
                    s[p % 8] += x[i * a->row + p * a->column] * w[p * b->row + j * b->column]; \
                y[j] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));      \
            }                                                                                  \
            if (eight) continue;                                                               \
            for (int64_t j = 0; j < b->columns; j++) y[j] = 0;                                 \
            for (int64_t p = 0; p < a->columns; p++) {                                         \
                const T z = x[i * a->row + p * a->column];                                     \
                for (int64_t j = 0; j < b->columns; j++)                                       \
                    y[j] += z * w[p * b->row + j * b->column];                                 \
            }                                                                                  \
        }                                                                                      \
    }
PLAIN_GEMM(plain_gemm_f32, float)
PLAIN_GEMM(plain_gemm_f64, double)

static void tg_gemm(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
                    int64_t ldc, bool interleaved, void *scratch)
{
    (void)build, (void)scratch;
    if (dtype == TG_F32) plain_gemm_f32(a, b, (float *)c, ldc, interleaved);
    else plain_gemm_f64(a, b, (double *)c, ldc, interleaved);
}
/* carried so far */

#endif
