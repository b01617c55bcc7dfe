/* NPY: one array as NumPy writes it, in memory. Private. */
#ifndef TG_NPY_H
#define TG_NPY_H

#include <tapegrad/models.h>

#include "../../graph/memory.h"

/* The start of an NPY file, and where its data is. */
typedef struct tg_npy {
    char kind; /* 'b', 'i', 'u' or 'f' */
    size_t size;
    bool swapped, fortran; /* the other byte order; the first index moves fastest */
    tg_shape shape;
    int64_t count;
    tg_dtype dtype; /* what the elements become */
    const unsigned char *data;
} tg_npy;

enum { TG_NPY_HEADER = 512 };

/* Reads the header and checks that exactly its data follows. false: e says why, about `name`. */
bool tg_npy_parse(tg_npy *y, const unsigned char *bytes, size_t n, const char *name, tg_error *e);

/* The elements in row-major order, as dtype: to has room for them. false: one of them does not
 * fit. */
bool tg_npy_convert(const tg_npy *y, void *to, const char *name, tg_error *e);

/* The header of an array, version 1.0, little-endian and row-major. Returns its length, a multiple
 * of 64. */
size_t tg_npy_header(char text[TG_NPY_HEADER], tg_dtype dtype, tg_shape shape);

#endif
