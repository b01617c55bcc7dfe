/* Random orders. */
#include "shuffle.h"

#include <tapegrad/op.h>

/* 64-bit words of one Philox stream, one after another. */
typedef struct words {
    uint64_t key, round, block;
    uint32_t word[4];
    int left;
} words;

static uint64_t next(words *w)
{
    if (!w->left) {
        tg_philox(w->key, w->round, 0, w->block++, w->word);
        w->left = 2;
    }
    w->left--;
    return (uint64_t)w->word[2 * w->left] << 32 | w->word[2 * w->left + 1];
}

/* Uniform in 0..n-1: the words that would favour small results are thrown away. */
static uint64_t below(words *w, uint64_t n)
{
    const uint64_t unfair = (UINT64_MAX % n + 1) % n;
    uint64_t draw = next(w);
    while (draw > UINT64_MAX - unfair) draw = next(w);
    return draw % n;
}

/* Fisher and Yates 1938 */
void tg_shuffle(uint64_t key, uint64_t round, int64_t n, int64_t *order)
{
    words w = {.key = key, .round = round};
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)below(&w, (uint64_t)i + 1), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
