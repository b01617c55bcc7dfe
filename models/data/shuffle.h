/* Random orders. Private. */
#ifndef TG_SHUFFLE_H
#define TG_SHUFFLE_H

#include <stdint.h>

/* Streams of a seed's random numbers that models use; parameters and plain tapes count theirs from
 * 0. */
#define TG_STREAM_ORDER (UINT64_C(1) << 40)
#define TG_STREAM_SPLIT (UINT64_C(2) << 40)
#define TG_STREAM_DROPOUT (UINT64_C(3) << 40)
#define TG_STREAM_SAMPLE (UINT64_C(4) << 40)

/* A random order of 0..n-1, every one equally likely: the same for the same key and round. */
void tg_shuffle(uint64_t key, uint64_t round, int64_t n, int64_t *order);

#endif
