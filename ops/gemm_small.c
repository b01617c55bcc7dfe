/* Small matrix products, and copies of transposed matrices, in every build. */
#include "gemm.h"
#include <string.h>

enum { DEPTH = 256 };

bool tg_gemm_is_small(int64_t m, int64_t n, int64_t k, const tg_matrix *b)
{
    if (m > 4096 || n > 4096 || k > 4096 || m * n * k > 4096) return false;
    if (n == 1) return k <= 16;
    return b->column == 1 ? m >= 4 || n * k <= 1024 : k <= DEPTH && (m >= 4 || n * k <= 64);
}

/* One panel of at most W columns of b times all rows of a. Rows of b are read W wide, but for the last row of a narrower panel, which could
 * reach over the end of b; likewise rows of c are written W wide, in order, where the excess falls on rows still to be written (`over`). */
#define ROWS_OF(sum)                                                 \
    for (; i < wide; i++, x += ai) *(vector *)(c + i * ldc) = sum;   \
    for (; i < m; i++, x += ai) {                                    \
        *(vector *)out = sum;                                        \
        for (int64_t j = 0; j < width; j++) c[i * ldc + j] = out[j]; \
    }
#define PANEL(fn, TARGET, T, W)                                                                                    \
    TARGET static void fn(const tg_matrix *a, const T *b, int64_t ld, int64_t width, T *c, int64_t ldc, bool over) \
    {                                                                                                              \
        typedef T vector __attribute__((vector_size(W * sizeof(T)), aligned(sizeof(T)), may_alias));               \
        const int64_t m = a->rows, k = a->columns, ai = a->row, ak = a->column;                                    \
        const int64_t direct = width == W ? k : k - 1;                                                             \
        const int64_t wide = width == W ? m : over && m * ldc >= W ? (m * ldc - W) / ldc + 1 : 0;                  \
        T tail[W] = {0}, out[W];                                                                                   \
        for (int64_t j = 0; j < width; j++) tail[j] = b[(k - 1) * ld + j];                                         \
        const vector last = *(const vector *)tail;                                                                 \
        const T *x = (const T *)a->data;                                                                           \
        int64_t i = 0;                                                                                             \
        if (k <= 4) {                                                                                              \
            const vector b0 = k > 1 ? *(const vector *)b : last, b1 = k > 2 ? *(const vector *)(b + ld) : last;    \
            const vector b2 = k > 3 ? *(const vector *)(b + 2 * ld) : last;                                        \
            switch (k) {                                                                                           \
            case 1: ROWS_OF(x[0] * b0) break;                                                                      \
            case 2: ROWS_OF(x[0] * b0 + x[ak] * b1) break;                                                         \
            case 3: ROWS_OF(x[0] * b0 + x[ak] * b1 + x[2 * ak] * b2) break;                                        \
            default: ROWS_OF((x[0] * b0 + x[ak] * b1) + (x[2 * ak] * b2 + x[3 * ak] * last)) break;                \
            }                                                                                                      \
            return;                                                                                                \
        }                                                                                                          \
        for (; i + 4 <= m; i += 4, x += 4 * ai) {                                                                  \
            const T *z = x, *w = b;                                                                                \
            vector y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};                                                         \
            for (int64_t p = 0; p < direct; p++, z += ak, w += ld) {                                               \
                const vector v = *(const vector *)w;                                                               \
                y0 += z[0] * v;                                                                                    \
                y1 += z[ai] * v;                                                                                   \
                y2 += z[2 * ai] * v;                                                                               \
                y3 += z[3 * ai] * v;                                                                               \
            }                                                                                                      \
            if (direct < k) {                                                                                      \
                y0 += z[0] * last;                                                                                 \
                y1 += z[ai] * last;                                                                                \
                y2 += z[2 * ai] * last;                                                                            \
                y3 += z[3 * ai] * last;                                                                            \
            }                                                                                                      \
            T *y = c + i * ldc;                                                                                    \
            if (i + 4 <= wide) {                                                                                   \
                *(vector *)y = y0;                                                                                 \
                *(vector *)(y + ldc) = y1;                                                                         \
                *(vector *)(y + 2 * ldc) = y2;                                                                     \
                *(vector *)(y + 3 * ldc) = y3;                                                                     \
            } else {                                                                                               \
                const vector rows[4] = {y0, y1, y2, y3};                                                           \
                for (int64_t r = 0; r < 4; r++) {                                                                  \
                    *(vector *)out = rows[r];                                                                      \
                    for (int64_t j = 0; j < width; j++) y[r * ldc + j] = out[j];                                   \
                }                                                                                                  \
            }                                                                                                      \
        }                                                                                                          \
        for (; i < m; i++, x += ai) {                                                                              \
            const T *z = x, *w = b;                                                                                \
            vector y0 = {0}, y1 = {0}, y2 = {0}, y3 = {0};                                                         \
            int64_t p = 0;                                                                                         \
            for (; p + 4 <= direct; p += 4, z += 4 * ak, w += 4 * ld) {                                            \
                y0 += z[0] * *(const vector *)w;                                                                   \
                y1 += z[ak] * *(const vector *)(w + ld);                                                           \
                y2 += z[2 * ak] * *(const vector *)(w + 2 * ld);                                                   \
                y3 += z[3 * ak] * *(const vector *)(w + 3 * ld);                                                   \
            }                                                                                                      \
            for (; p < direct; p++, z += ak, w += ld) y0 += z[0] * *(const vector *)w;                             \
            if (direct < k) y1 += z[0] * last;                                                                     \
            *(vector *)out = (y0 + y1) + (y2 + y3);                                                                \
            for (int64_t j = 0; j < width; j++) c[i * ldc + j] = out[j];                                           \
        }                                                                                                          \
    }

/* A column: the plain sums. Rows of up to four numbers without gaps are what the compiler can vectorise. */
#define COLUMN(fn, TARGET, T)                                                                                                         \
    TARGET static void fn(const tg_matrix *a, const tg_matrix *b, int64_t j, T *restrict c, int64_t ldc)                              \
    {                                                                                                                                 \
        const int64_t m = a->rows, k = a->columns, ai = a->row, ak = a->column, bk = b->row;                                          \
        const T *x = (const T *)a->data, *w = (const T *)b->data + j * b->column;                                                     \
        if (k <= 4 && ldc == 1 && ak == 1 && ai == k) {                                                                               \
            const T b0 = w[0], b1 = k > 1 ? w[bk] : 0, b2 = k > 2 ? w[2 * bk] : 0, b3 = k > 3 ? w[3 * bk] : 0;                        \
            switch (k) {                                                                                                              \
            case 1:                                                                                                                   \
                for (int64_t i = 0; i < m; i++) c[i] = x[i] * b0;                                                                     \
                break;                                                                                                                \
            case 2:                                                                                                                   \
                for (int64_t i = 0; i < m; i++) c[i] = x[2 * i] * b0 + x[2 * i + 1] * b1;                                             \
                break;                                                                                                                \
            case 3:                                                                                                                   \
                for (int64_t i = 0; i < m; i++) c[i] = x[3 * i] * b0 + x[3 * i + 1] * b1 + x[3 * i + 2] * b2;                         \
                break;                                                                                                                \
            default:                                                                                                                  \
                for (int64_t i = 0; i < m; i++) c[i] = (x[4 * i] * b0 + x[4 * i + 1] * b1) + (x[4 * i + 2] * b2 + x[4 * i + 3] * b3); \
            }                                                                                                                         \
            return;                                                                                                                   \
        }                                                                                                                             \
        int64_t i = 0;                                                                                                                \
        for (; i + 4 <= m; i += 4, x += 4 * ai) {                                                                                     \
            T y0 = 0, y1 = 0, y2 = 0, y3 = 0;                                                                                         \
            for (int64_t p = 0; p < k; p++) {                                                                                         \
                const T *z = x + p * ak, v = w[p * bk];                                                                               \
                y0 += z[0] * v;                                                                                                       \
                y1 += z[ai] * v;                                                                                                      \
                y2 += z[2 * ai] * v;                                                                                                  \
                y3 += z[3 * ai] * v;                                                                                                  \
            }                                                                                                                         \
            c[i * ldc] = y0;                                                                                                          \
            c[(i + 1) * ldc] = y1;                                                                                                    \
            c[(i + 2) * ldc] = y2;                                                                                                    \
            c[(i + 3) * ldc] = y3;                                                                                                    \
        }                                                                                                                             \
        for (; i < m; i++, x += ai) {                                                                                                 \
            T y0 = 0;                                                                                                                 \
            for (int64_t p = 0; p < k; p++) y0 += x[p * ak] * w[p * bk];                                                              \
            c[i * ldc] = y0;                                                                                                          \
        }                                                                                                                             \
    }

/* Columns of b in panels as wide as the build's vectors; a b that is not row-major is packed, up to 256 rows of it, else taken column by column. */
#define SMALL(fn, TARGET, BUILD, T)                                                                                                              \
    PANEL(fn##_4, TARGET, T, 4)                                                                                                                  \
    PANEL(fn##_8, TARGET, T, 8)                                                                                                                  \
    PANEL(fn##_16, TARGET, T, 16)                                                                                                                \
    COLUMN(fn##_column, TARGET, T)                                                                                                               \
    TARGET static void fn(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)                                                             \
    {                                                                                                                                            \
        enum { BYTES = BUILD == TG_BUILD_AVX512 ? 64 : BUILD == TG_BUILD_AVX2 ? 32 : 16, MOST = BYTES / sizeof(T) < 4 ? 4 : BYTES / sizeof(T) }; \
        const int64_t m = a->rows, n = b->columns, k = a->columns;                                                                               \
        const bool in_place = b->column == 1;                                                                                                    \
        if (n == 1 && m > 1 && a->row == 1 && ldc == 1) {                                                                                        \
            const tg_matrix row = {b->data, 1, k, 0, b->row}, rest = {a->data, k, m, a->column, 1};                                              \
            fn(&row, &rest, c, m);                                                                                                               \
            return;                                                                                                                              \
        }                                                                                                                                        \
        if (n == 1 || (!in_place && k > DEPTH)) {                                                                                                \
            for (int64_t j = 0; j < n; j++) fn##_column(a, b, j, c + j, ldc);                                                                    \
            return;                                                                                                                              \
        }                                                                                                                                        \
        T packed[DEPTH * 16];                                                                                                                    \
        for (int64_t j = 0, width; j < n; j += width) {                                                                                          \
            int64_t lanes = n - j <= 4 ? 4 : n - j <= 8 ? 8 : 16;                                                                                \
            if (lanes > MOST) lanes = MOST;                                                                                                      \
            width = n - j < lanes ? n - j : lanes;                                                                                               \
            const T *w = (const T *)b->data + j * b->column;                                                                                     \
            int64_t ld = b->row;                                                                                                                 \
            if (!in_place) {                                                                                                                     \
                for (int64_t p = 0; p < k; p++)                                                                                                  \
                    for (int64_t q = 0; q < lanes; q++) packed[p * lanes + q] = q < width ? w[p * b->row + q * b->column] : 0;                   \
                w = packed;                                                                                                                      \
                ld = lanes;                                                                                                                      \
            }                                                                                                                                    \
            (lanes == 4 ? fn##_4 : lanes == 8 ? fn##_8 : fn##_16)(a, w, ld, width, c + j, ldc, width == n && ldc == n);                          \
        }                                                                                                                                        \
    }
TG_EACH_BUILD(SMALL, small_f32, float)
TG_EACH_BUILD(SMALL, small_f64, double)

void tg_gemm_small(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c, int64_t ldc)
{
    static void (*const f32[TG_BUILD_COUNT])(const tg_matrix *, const tg_matrix *, float *, int64_t) = TG_BUILDS(small_f32);
    static void (*const f64[TG_BUILD_COUNT])(const tg_matrix *, const tg_matrix *, double *, int64_t) = TG_BUILDS(small_f64);
    if (dtype == TG_F32) f32[build](a, b, c, ldc);
    else f64[build](a, b, c, ldc);
}

/* A square of a matrix that is stored by columns, ld apart, to one with rows n apart. */
#define MIX(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#define SQUARE_F32(fn, TARGET)                                                                                    \
    TARGET static inline void fn(const float *x, int64_t ld, float *y, int64_t n)                                 \
    {                                                                                                             \
        typedef float vector __attribute__((vector_size(32), aligned(4), may_alias));                             \
        vector pairs[8], fours[8];                                                                                \
        for (int q = 0; q < 4; q++) {                                                                             \
            const vector even = *(const vector *)(x + 2 * q * ld), odd = *(const vector *)(x + (2 * q + 1) * ld); \
            pairs[2 * q] = MIX(even, odd, 0, 8, 1, 9, 4, 12, 5, 13);                                              \
            pairs[2 * q + 1] = MIX(even, odd, 2, 10, 3, 11, 6, 14, 7, 15);                                        \
        }                                                                                                         \
        for (int q = 0; q < 4; q++) {                                                                             \
            const int low = q / 2 * 4 + q % 2;                                                                    \
            fours[2 * q] = MIX(pairs[low], pairs[low + 2], 0, 1, 8, 9, 4, 5, 12, 13);                             \
            fours[2 * q + 1] = MIX(pairs[low], pairs[low + 2], 2, 3, 10, 11, 6, 7, 14, 15);                       \
        }                                                                                                         \
        for (int q = 0; q < 4; q++) {                                                                             \
            *(vector *)(y + q * n) = MIX(fours[q], fours[q + 4], 0, 1, 2, 3, 8, 9, 10, 11);                       \
            *(vector *)(y + (q + 4) * n) = MIX(fours[q], fours[q + 4], 4, 5, 6, 7, 12, 13, 14, 15);               \
        }                                                                                                         \
    }
#define SQUARE_F64(fn, TARGET)                                                               \
    TARGET static inline void fn(const double *x, int64_t ld, double *y, int64_t n)          \
    {                                                                                        \
        typedef double vector __attribute__((vector_size(32), aligned(8), may_alias));       \
        const vector x0 = *(const vector *)x, x1 = *(const vector *)(x + ld);                \
        const vector x2 = *(const vector *)(x + 2 * ld), x3 = *(const vector *)(x + 3 * ld); \
        const vector even0 = MIX(x0, x1, 0, 4, 2, 6), odd0 = MIX(x0, x1, 1, 5, 3, 7);        \
        const vector even2 = MIX(x2, x3, 0, 4, 2, 6), odd2 = MIX(x2, x3, 1, 5, 3, 7);        \
        *(vector *)y = MIX(even0, even2, 0, 1, 4, 5);                                        \
        *(vector *)(y + n) = MIX(odd0, odd2, 0, 1, 4, 5);                                    \
        *(vector *)(y + 2 * n) = MIX(even0, even2, 2, 3, 6, 7);                              \
        *(vector *)(y + 3 * n) = MIX(odd0, odd2, 2, 3, 6, 7);                                \
    }

/* Two squares side by side use a whole cache line of each column. */
#define COPY(fn, TARGET, T, S)                                                                                             \
    TARGET static void fn(const tg_matrix *m, int64_t first, int64_t rows, T *y)                                           \
    {                                                                                                                      \
        const int64_t n = m->columns, ld = m->column, whole = m->row == 1 ? n / S * S : 0, end = first + rows;             \
        const T *x = (const T *)m->data;                                                                                   \
        for (int64_t i = first; i < end; i += 2 * S) {                                                                     \
            const int64_t stop = end - i < 2 * S ? end : i + 2 * S, squares = whole > 0 ? (stop - i) / S : 0;              \
            for (int64_t j = 0; j < whole; j += S)                                                                         \
                for (int64_t s = 0; s < squares; s++) fn##_square(x + i + s * S + j * ld, ld, y + (i + s * S) * n + j, n); \
            for (int64_t p = i; p < stop; p++)                                                                             \
                for (int64_t j = p < i + squares * S ? whole : 0; j < n; j++) y[p * n + j] = x[p * m->row + j * ld];       \
        }                                                                                                                  \
    }
#define COPY_F32(fn, TARGET, BUILD, T) SQUARE_F32(fn##_square, TARGET) COPY(fn, TARGET, T, 8)
#define COPY_F64(fn, TARGET, BUILD, T) SQUARE_F64(fn##_square, TARGET) COPY(fn, TARGET, T, 4)
TG_EACH_BUILD(COPY_F32, copy_f32, float)
TG_EACH_BUILD(COPY_F64, copy_f64, double)

void tg_matrix_copy(tg_dtype dtype, int build, const tg_matrix *m, int64_t first, int64_t rows, void *y)
{
    static void (*const f32[TG_BUILD_COUNT])(const tg_matrix *, int64_t, int64_t, float *) = TG_BUILDS(copy_f32);
    static void (*const f64[TG_BUILD_COUNT])(const tg_matrix *, int64_t, int64_t, double *) = TG_BUILDS(copy_f64);
    if (dtype == TG_F32) f32[build](m, first, rows, y);
    else f64[build](m, first, rows, y);
}
