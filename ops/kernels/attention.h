/* Attention over few queries and keys. Private. */
#ifndef TG_KERNEL_ATTENTION_H
#define TG_KERNEL_ATTENTION_H

#include <stdbool.h>
#include "kernel.h"

/* Queries or keys, and columns of either: with more, tiles of a product's kernel win. */
enum { ATTENTION_MOST = 64, ATTENTION_WIDTH = 32 };

/* Rows of an operand: element (i, j) is data[i * row + j * column]. */
typedef struct tg_rows {
    const void *data;
    int64_t row, column;
} tg_rows;

/* One head: n queries [n, d], m keys [m, d] with values [m, e]; n and m from 1 to ATTENTION_MOST, d
 * and e to ATTENTION_WIDTH. */
typedef struct tg_head {
    int64_t n, m, d, e;
    double scale;
    bool causal;
    tg_rows q, k, v, gy;
    const uint8_t *mask; /* of mask[i * row + j * column]; NULL: none */
    int64_t mask_row, mask_column;
    void *y;            /* [n, e]: what the forward pass makes */
    void *gq, *gk, *gv; /* [n, d], [m, d], [m, e]: and the gradient of it */
    void *scratch;      /* of tg_attention_scratch bytes, aligned to 64 */
} tg_head;

/* Writes y, or the gradients. Each element is a running sum of fused multiply-adds: a score over
 * columns, y and gq over keys, gk and gv over queries, from 0 up (in the base build products are
 * rounded first). So the bits depend on the head alone. false: something is not finite, and as 0
 * times it is not 0, what a query does not see may have reached it; never for a head whose queries
 * see all keys. */
typedef bool tg_attention_fn(const tg_head *h);
TG_KERNELS(tg_attention_fn, tg_attention_forward)
TG_KERNELS(tg_attention_fn, tg_attention_gradient)

/* Four operands as dense rows; scores, their derivatives, and both turned. */
static inline int64_t tg_attention_scratch(int64_t n, int64_t m, int64_t d, int64_t e,
                                           int64_t element)
{
    const int64_t lanes = 64 / element, rows = (n > m ? n : m) + lanes, width = d > e ? d : e;
    return (4 * rows * width + 4 * rows * rows) * element;
}

#endif
