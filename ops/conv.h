/* What conv.c, which records convolutions, and conv_kernels.c, which computes them, share.
 * Private. */
#ifndef TG_CONV_H
#define TG_CONV_H

#include <tapegrad/op.h>

/* carried: conv, on bytes gemm lanes */
/* The attributes of all three ops: of each axis, rows first, its stride, padding and dilation; then
 * the groups; for a gradient also the two sizes of its result that its operands don't tell. */
enum {
    TG_CONV_STRIDE,
    TG_CONV_PADDING = 2,
    TG_CONV_DILATION = 4,
    TG_CONV_GROUPS = 6,
    TG_CONV_ATTRS,
    TG_CONV_SIZES = 7,
    TG_CONV_GRADIENT_ATTRS = 9
};

/* One axis of an image: out = (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1. */
typedef struct tg_conv_axis {
    int64_t size, out, kernel, stride, padding, dilation;
} tg_conv_axis;

/* x [n, c, size], w [o, c / groups, kernel] and y [n, o, out], of which one is to be computed from
 * the others. */
typedef struct tg_conv_plan {
    tg_dtype dtype;
    int64_t n, c, o, groups;
    tg_conv_axis axis[2];
    /* images that are worked on side by side, one in each lane of a vector; 0: by matrix
     * products */
    int lanes;
    int64_t strip; /* rows of y at a time */
    /* for threads: of the images; each takes the same number of images or lanes full of images, the
     * last one fewer */
    int64_t parts;
    int64_t each;
    int64_t table;      /* bytes of scratch before the parts' */
    int64_t part_bytes; /* of scratch for each part, at whose end are those for products */
    int64_t multiply;
    int64_t sums; /* elements of a part's scratch before its share of the weight gradient */
    int64_t scratch;
} tg_conv_plan;

/* carried so far */

void tg_conv_prepare(const tg_call *c, void *prepared);
void tg_conv_input_gradient_prepare(const tg_call *c, void *prepared);
void tg_conv_weight_gradient_prepare(const tg_call *c, void *prepared);
int64_t tg_conv_scratch(const tg_call *c);

/* x, [n, c] and `dims` axes, as a convolution with w finds it whose result is to have x's size: its
 * paddings are set, and where they are uneven one element is at the ends of x. NULL, with the tape
 * in error, for strides or other paddings. */
tg_tensor *tg_same_padded(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                          tg_tensor *w, int dims, const int64_t *stride, const int64_t *dilation,
                          int64_t *padding);
void tg_conv_kernel(const tg_call *c);
void tg_conv_input_gradient_kernel(const tg_call *c);
void tg_conv_weight_gradient_kernel(const tg_call *c);

#endif
