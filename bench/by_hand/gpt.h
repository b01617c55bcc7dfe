/* A step of microgpt written by hand, every size but the names' lengths known to the compiler: what
 * W11 is measured against. gpt.c is compiled once for each instruction set. */
#ifndef TG_HAND_GPT_H
#define TG_HAND_GPT_H

#include "../../ops/kernels/kernel.h"

enum { GPT_BATCH = 16, GPT_BLOCK = 16, GPT_HEADS = 4, GPT_VOCAB = 27, GPT_PADDED = 32 };

/* 16 names, one after the other, only positions that count: position i of name r is row start[r] +
 * i. */
typedef struct hand_names {
    int rows, start[GPT_BATCH], length[GPT_BATCH];
    int token[GPT_BATCH * GPT_BLOCK], place[GPT_BATCH * GPT_BLOCK], next[GPT_BATCH * GPT_BLOCK];
} hand_names;

/* The weights, [in, out], one after the other, d the width: wte [27, d], wpe [16, d],
 * wqkv [d, 3 d], wo [d, d], up [d, 4 d], down [4 d, d], head [d, 32]; behind them their gradients
 * and moments. */
static inline int hand_gpt_weights(int d)
{
    return (GPT_VOCAB + GPT_BLOCK) * d + 12 * d * d + GPT_PADDED * d;
}
static inline int hand_gpt_floats(int d)
{
    const int rows = GPT_BATCH * GPT_BLOCK + 16; /* up to whole tiles */
    return 5 * hand_gpt_weights(d) + rows * (24 * d + GPT_PADDED + 3) +
           GPT_BATCH * GPT_HEADS * GPT_BLOCK * GPT_BLOCK;
}

/* Forward, backward and Adam (.85, .99) for width 16 or 64; returns the loss. m: hand_gpt_floats
 * numbers, weights first, else zeros before the first step, which is number 1. */
typedef float hand_gpt_fn(int d, float *m, const hand_names *names, int step, float rate);
hand_gpt_fn hand_gpt_f32_base, hand_gpt_f32_avx2, hand_gpt_f32_avx512;

#endif
