/* Small matrix products, and copies of transposed matrices, in every build. */
#include "gemm.h"
#include "kernels/copy.h"
#include <string.h>

enum { DEPTH = 256 };

bool tg_gemm_is_small(int64_t m, int64_t n, int64_t k, const tg_matrix *b)
{
    if (m > 4096 || n > 4096 || k > 4096 || m * n * k > 4096) return false;
    if (n == 1) return k <= 16;
    return b->column == 1 ? m >= 4 || n * k <= 1024 : k <= DEPTH && (m >= 4 || n * k <= 64);
}

/* One panel of at most W columns of b times all rows of a. Rows of b are read W wide, but for the
 * last row of a narrower panel, which could reach over the end of b; likewise rows of c are written
 * W wide, in order, where the excess falls on rows still to be written (`over`). */
#define ROWS_OF(sum)                                                 \
    for (; i < wide; i++, x += ai) *(vector *)(c + i * ldc) = sum;   \
    for (; i < m; i++, x += ai) {                                    \
        *(vector *)out = sum;                                        \
        for (int64_t j = 0; j < width; j++) c[i * ldc + j] = out[j]; \
    }
#define PANEL(fn, TARGET, T, W)                                                                   \
    TARGET static void fn(const tg_matrix *a, const T *b, int64_t ld, int64_t width, T *c,        \
                          int64_t ldc, bool over)                                                 \
    {                                                                                             \
        typedef T vector                                                                          \
            __attribute__((vector_size(W * sizeof(T)), aligned(sizeof(T)), may_alias));           \
        const int64_t m = a->rows, k = a->columns, ai = a->row, ak = a->column;                   \
        const int64_t direct = width == W ? k : k - 1;                                            \
        const int64_t wide = width == W ? m : over && m * ldc >= W ? (m * ldc - W) / ldc + 1 : 0; \
        T tail[W] = {0}, out[W];                                                                  \
        for (int64_t j = 0; j < width; j++) tail[j] = b[(k - 1) * ld + j];                        \
        const vector last = *(const vector *)tail;                                                \
        const T *x = (const T *)a->data;                                                          \
        int64_t i = 0;                                                                            \
        if (k <= 4) {                                                                             \
            const vector b0 = k > 1 ? *(const vector *)b : last,                                  \
                         b1 = k > 2 ? *(const vector *)(b + ld) : last;                           \
            const vector b2 = k > 3 ? *(const vector *)(b + 2 * ld) : last;                       \
            switch (k) {                                                                          \
            case 1: ROWS_OF(x[0] * b0) break;                                                     \
            case 2: ROWS_OF(x[0] * b0 + x[ak] * b1) break;                                        \
            case 3: ROWS_OF(x[0] * b0 + x[ak] * b1 + x[2 * ak] * b2) break;                       \
            default: ROWS_OF((x[0] * b0 + x[ak] * b1) + (x[2 * ak] * b2 + x[3 * ak] * last))      \
                break;                                                                            \
            }                                                                                     \
            return;                                                                               \
        }                                                                                         \
        for (; i + 4 <= m; i += 4, x += 4 * ai) {                                                 \
            const T *z = x, *w = b;                                                               \
            vector y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};                                        \
            for (int64_t p = 0; p < direct; p++, z += ak, w += ld) {                              \
                const vector v = *(const vector *)w;                                              \
                y0 += z[0] * v;                                                                   \
                y1 += z[ai] * v;                                                                  \
                y2 += z[2 * ai] * v;                                                              \
                y3 += z[3 * ai] * v;                                                              \
            }                                                                                     \
            if (direct < k) {                                                                     \
                y0 += z[0] * last;                                                                \
                y1 += z[ai] * last;                                                               \
                y2 += z[2 * ai] * last;                                                           \
                y3 += z[3 * ai] * last;                                                           \
            }                                                                                     \
            T *y = c + i * ldc;                                                                   \
            if (i + 4 <= wide) {                                                                  \
                *(vector *)y = y0;                                                                \
                *(vector *)(y + ldc) = y1;                                                        \
                *(vector *)(y + 2 * ldc) = y2;                                                    \
                *(vector *)(y + 3 * ldc) = y3;                                                    \
            } else {                                                                              \
                const vector rows[4] = {y0, y1, y2, y3};                                          \
                for (int64_t r = 0; r < 4; r++) {                                                 \
                    *(vector *)out = rows[r];                                                     \
                    for (int64_t j = 0; j < width; j++) y[r * ldc + j] = out[j];                  \
                }                                                                                 \
            }                                                                                     \
        }                                                                                         \
        for (; i < m; i++, x += ai) {                                                             \
            const T *z = x, *w = b;                                                               \
            vector y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};                                        \
            int64_t p = 0;                                                                        \
            for (; p + 4 <= direct; p += 4, z += 4 * ak, w += 4 * ld) {                           \
                y0 += z[0] * *(const vector *)w;                                                  \
                y1 += z[ak] * *(const vector *)(w + ld);                                          \
                y2 += z[2 * ak] * *(const vector *)(w + 2 * ld);                                  \
                y3 += z[3 * ak] * *(const vector *)(w + 3 * ld);                                  \
            }                                                                                     \
            for (; p < direct; p++, z += ak, w += ld) y0 += z[0] * *(const vector *)w;            \
            if (direct < k) y1 += z[0] * last;                                                    \
            *(vector *)out = (y0 + y1) + (y2 + y3);                                               \
            for (int64_t j = 0; j < width; j++) c[i * ldc + j] = out[j];                          \
        }                                                                                         \
    }

/* A column: the plain sums. Rows of up to four numbers without gaps are what the compiler can
 * vectorise. */
#define COLUMN(fn, TARGET, T)                                                                \
    TARGET static void fn(const tg_matrix *a, const tg_matrix *b, int64_t j, T *restrict c,  \
                          int64_t ldc)                                                       \
    {                                                                                        \
        const int64_t m = a->rows, k = a->columns, ai = a->row, ak = a->column, bk = b->row; \
        const T *x = (const T *)a->data, *w = (const T *)b->data + j * b->column;            \
        if (k <= 4 && ldc == 1 && ak == 1 && ai == k) {                                      \
            const T b0 = w[0], b1 = k > 1 ? w[bk] : 0, b2 = k > 2 ? w[2 * bk] : 0,           \
                    b3 = k > 3 ? w[3 * bk] : 0;                                              \
            switch (k) {                                                                     \
            case 1:                                                                          \
                for (int64_t i = 0; i < m; i++) c[i] = x[i] * b0;                            \
                break;                                                                       \
            case 2:                                                                          \
                for (int64_t i = 0; i < m; i++) c[i] = x[2 * i] * b0 + x[2 * i + 1] * b1;    \
                break;                                                                       \
            case 3:                                                                          \
                for (int64_t i = 0; i < m; i++)                                              \
                    c[i] = x[3 * i] * b0 + x[3 * i + 1] * b1 + x[3 * i + 2] * b2;            \
                break;                                                                       \
            default:                                                                         \
                for (int64_t i = 0; i < m; i++)                                              \
                    c[i] = (x[4 * i] * b0 + x[4 * i + 1] * b1) +                             \
                           (x[4 * i + 2] * b2 + x[4 * i + 3] * b3);                          \
            }                                                                                \
            return;                                                                          \
        }                                                                                    \
        int64_t i = 0;                                                                       \
        for (; i + 4 <= m; i += 4, x += 4 * ai) {                                            \
            T y0 = 0, y1 = 0, y2 = 0, y3 = 0;                                                \
            for (int64_t p = 0; p < k; p++) {                                                \
                const T *z = x + p * ak, v = w[p * bk];                                      \
                y0 += z[0] * v;                                                              \
                y1 += z[ai] * v;                                                             \
                y2 += z[2 * ai] * v;                                                         \
                y3 += z[3 * ai] * v;                                                         \
            }                                                                                \
            c[i * ldc] = y0;                                                                 \
            c[(i + 1) * ldc] = y1;                                                           \
            c[(i + 2) * ldc] = y2;                                                           \
            c[(i + 3) * ldc] = y3;                                                           \
        }                                                                                    \
        for (; i < m; i++, x += ai) {                                                        \
            T y0 = 0;                                                                        \
            for (int64_t p = 0; p < k; p++) y0 += x[p * ak] * w[p * bk];                     \
            c[i * ldc] = y0;                                                                 \
        }                                                                                    \
    }

/* Columns of b in panels as wide as the build's vectors; a b that is not row-major is packed, up to
 * 256 rows of it, else taken column by column. */
#define SMALL(fn, TARGET, BUILD, T)                                                            \
    PANEL(fn##_4, TARGET, T, 4)                                                                \
    PANEL(fn##_8, TARGET, T, 8)                                                                \
    PANEL(fn##_16, TARGET, T, 16)                                                              \
    COLUMN(fn##_column, TARGET, T)                                                             \
    TARGET static void fn(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)           \
    {                                                                                          \
        enum {                                                                                 \
            BYTES = BUILD == TG_BUILD_AVX512 ? 64                                              \
                    : BUILD == TG_BUILD_AVX2 ? 32                                              \
                                             : 16,                                             \
            MOST = BYTES / sizeof(T) < 4 ? 4 : BYTES / sizeof(T)                               \
        };                                                                                     \
        const int64_t m = a->rows, n = b->columns, k = a->columns;                             \
        const bool in_place = b->column == 1;                                                  \
        if (n == 1 && m > 1 && a->row == 1 && ldc == 1) {                                      \
            const tg_matrix row = {b->data, 1, k, 0, b->row},                                  \
                            rest = {a->data, k, m, a->column, 1};                              \
            fn(&row, &rest, c, m);                                                             \
            return;                                                                            \
        }                                                                                      \
        if (n == 1 || (!in_place && k > DEPTH)) {                                              \
            for (int64_t j = 0; j < n; j++) fn##_column(a, b, j, c + j, ldc);                  \
            return;                                                                            \
        }                                                                                      \
        T packed[DEPTH * 16];                                                                  \
        for (int64_t j = 0, width; j < n; j += width) {                                        \
            int64_t lanes = n - j <= 4 ? 4 : n - j <= 8 ? 8 : 16;                              \
            if (lanes > MOST) lanes = MOST;                                                    \
            width = n - j < lanes ? n - j : lanes;                                             \
            const T *w = (const T *)b->data + j * b->column;                                   \
            int64_t ld = b->row;                                                               \
            if (!in_place) {                                                                   \
                for (int64_t p = 0; p < k; p++)                                                \
                    for (int64_t q = 0; q < lanes; q++)                                        \
                        packed[p * lanes + q] = q < width ? w[p * b->row + q * b->column] : 0; \
                w = packed;                                                                    \
                ld = lanes;                                                                    \
            }                                                                                  \
            (lanes == 4   ? fn##_4                                                             \
             : lanes == 8 ? fn##_8                                                             \
                          : fn##_16)(a, w, ld, width, c + j, ldc, width == n && ldc == n);     \
        }                                                                                      \
    }
TG_EACH_BUILD(SMALL, small_f32, float)
TG_EACH_BUILD(SMALL, small_f64, double)

void tg_gemm_small(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
                   int64_t ldc)
{
    static void (*const f32[TG_BUILD_COUNT])(const tg_matrix *, const tg_matrix *, float *,
                                             int64_t) = TG_BUILDS(small_f32);
    static void (*const f64[TG_BUILD_COUNT])(const tg_matrix *, const tg_matrix *, double *,
                                             int64_t) = TG_BUILDS(small_f64);
    if (dtype == TG_F32) f32[build](a, b, c, ldc);
    else f64[build](a, b, c, ldc);
}

void tg_matrix_copy(tg_dtype dtype, int build, const tg_matrix *m, int64_t first, int64_t rows,
                    void *y)
{
    static tg_copy_fn *const copy[][TG_BUILD_COUNT] = TG_KERNEL_TABLE(tg_copy);
    const int64_t element = (int64_t)tg_dtype_size(dtype);
    copy[dtype][build](rows, m->columns, (const char *)m->data + first * m->row * element, m->row,
                       m->column, (char *)y + first * m->columns * element);
}
