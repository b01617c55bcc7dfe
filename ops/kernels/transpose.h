/* Matrices turned, in squares of LANES x LANES elements in registers. Private. */
#ifndef TG_TRANSPOSE_H
#define TG_TRANSPOSE_H

#include "simd.h"

/* Rows are read 16 bytes at a time: a vector holds those of rows a, a + QUARTER, a + 2 QUARTER and
 * so on. What is left to do stays within 16 bytes, where shuffles are cheap. */
enum { QUARTER = 16 / sizeof(T) };
typedef T quarter __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));

#define SHUFFLE __builtin_shufflevector
#define JOIN_2(a, b) SHUFFLE(a, b, 0, 1, 2, 3)
#define JOIN_4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7)
#define JOIN_8(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

INLINE vec quarters(const T *const *row, int a, int64_t at)
{
#define QUARTER_OF(k) (*(const quarter *)(row[a + (k)*QUARTER] + at))
#if LANES * (F64 + 1) == 4
    return QUARTER_OF(0);
#elif LANES * (F64 + 1) == 8
    return BY_DTYPE(JOIN_4, JOIN_2)(QUARTER_OF(0), QUARTER_OF(1));
#else
    return BY_DTYPE(JOIN_8, JOIN_4)(BY_DTYPE(JOIN_4, JOIN_2)(QUARTER_OF(0), QUARTER_OF(1)),
                                    BY_DTYPE(JOIN_4, JOIN_2)(QUARTER_OF(2), QUARTER_OF(3)));
#endif
}

/* ONE_LOW alternates the elements in the lower halves of each 16 bytes of a and b, TWO_LOW takes
 * pairs of elements. */
#if LANES == 2
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 2)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 1, 3)
#elif LANES == 4 && F64
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 4, 2, 6)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#elif LANES == 8 && F64
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#elif LANES == 4
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#define TWO_LOW(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define TWO_HIGH(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
#elif LANES == 8
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define TWO_LOW(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define TWO_HIGH(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define ONE_LOW(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define ONE_HIGH(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define TWO_LOW(a, b) SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define TWO_HIGH(a, b) SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#endif

/* In each 16 bytes, element r of v[c] for element c of v[r]. */
INLINE void turn_in_quarters(vec *v)
{
#if F64
    const vec low = ONE_LOW(v[0], v[1]), high = ONE_HIGH(v[0], v[1]);
    v[0] = low;
    v[1] = high;
#else
    const vec low01 = ONE_LOW(v[0], v[1]), high01 = ONE_HIGH(v[0], v[1]),
              low23 = ONE_LOW(v[2], v[3]), high23 = ONE_HIGH(v[2], v[3]);
    v[0] = TWO_LOW(low01, low23);
    v[1] = TWO_HIGH(low01, low23);
    v[2] = TWO_LOW(high01, high23);
    v[3] = TWO_HIGH(high01, high23);
#endif
}

/* y[j][i] = row[i][j] for LANES rows i and QUARTER columns j. */
INLINE void turn_columns(const T *const *row, int64_t at, T *y, int64_t y_row)
{
    vec v[QUARTER];
    UNROLL
    for (int a = 0; a < QUARTER; a++) v[a] = quarters(row, a, at);
    turn_in_quarters(v);
    UNROLL
    for (int a = 0; a < QUARTER; a++) vec_store(y + a * y_row, v[a]);
}

/* y[j][i] = row[i][j] for LANES rows i and columns j. */
INLINE void turn_square(const T *const *row, int64_t at, T *y, int64_t y_row)
{
    UNROLL
    for (int c = 0; c < LANES; c += QUARTER) turn_columns(row, at + c, y + c * y_row, y_row);
}

/* y[j][i] = x[i][j] for `rows` rows i and `columns` columns j. y has room for whole vectors, whose
 * other lanes get numbers of x's last row. */
static inline void turn(int64_t rows, int64_t columns, const T *x, int64_t x_row, T *y,
                        int64_t y_row)
{
    for (int64_t i = 0; i < rows; i += LANES) {
        const T *row[LANES];
        for (int r = 0; r < LANES; r++) row[r] = x + (i + r < rows ? i + r : rows - 1) * x_row;
        for (int64_t j = 0; columns >= LANES && j < columns; j += LANES) {
            /* The last square goes back over some columns of the one before. */
            const int64_t at = j + LANES <= columns ? j : columns - LANES;
            turn_square(row, at, y + at * y_row + i, y_row);
        }
        for (int64_t j = 0; columns < LANES && j < columns; j++)
            for (int r = 0; r < LANES; r++) y[j * y_row + i + r] = row[r][j];
    }
}

#endif
