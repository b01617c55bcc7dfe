/* Shuffles of two vectors of 2, 4, 8 or 16 lanes: LOW and HIGH alternate the lanes of their lower
 * and higher halves, EVEN and ODD undo that. Private. */
#ifndef TG_LANES_H
#define TG_LANES_H

#include "family.h"

/* carried: lanes */
#define TG_LOW_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define TG_HIGH_2(a, b) __builtin_shufflevector(a, b, 1, 3)
#define TG_EVEN_2(a, b) TG_LOW_2(a, b)
#define TG_ODD_2(a, b) TG_HIGH_2(a, b)
#define TG_LOW_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define TG_HIGH_4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define TG_EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define TG_ODD_4(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7)
#define TG_LOW_8(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define TG_HIGH_8(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define TG_EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define TG_ODD_8(a, b) __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define TG_LOW_16(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define TG_HIGH_16(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

/* carried so far */

#endif
