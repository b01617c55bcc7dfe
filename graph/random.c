/* Counter-based random numbers: each is a function of (key, step, ordinal, element) and of nothing
 * that happened before. */
#include <math.h>
#include <xxhash.h>

#include <tapegrad/op.h>

#include "params.h"

#define TG_SHARED /* static in an exported file */
/* carried: philox */
/* Philox 4x32-10 of "Parallel random numbers: as easy as 1, 2, 3" (Salmon, Moraes, Dror and Shaw,
 * 2011). */
TG_SHARED void tg_philox(uint64_t key, uint64_t step, uint32_t ordinal, uint64_t block,
                         uint32_t out[4])
{
    uint32_t c0 = (uint32_t)block, c1 = ordinal, c2 = (uint32_t)step,
             c3 = (uint32_t)(block >> 32) << 16 ^ (uint32_t)(step >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t left = UINT64_C(0xD2511F53) * c0, right = UINT64_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(right >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)right;
        c2 = (uint32_t)(left >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)left;
        k0 += 0x9E3779B9; /* the golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
/* carried so far */

uint64_t tg_random_key(uint64_t seed, uint64_t stream)
{
    const uint64_t both[2] = {seed, stream};
    return XXH3_64bits(both, sizeof both);
}

/* Elements 2 pair and 2 pair + 1 of a stream. The ordinal is one that no recording reaches, so that
 * the draws of a tape with the same seed and stream are others. */
static void draw_pair(uint64_t key, uint64_t pair, double u[2])
{
    uint32_t word[4];
    tg_philox(key, 0, UINT32_MAX, pair, word);
    for (int k = 0; k < 2; k++)
        u[k] = (double)(((uint64_t)word[2 * k + 1] << 32 | word[2 * k]) >> 11) * 0x1p-53;
}

void tg_random_uniform_from(uint64_t key, int64_t first, int64_t n, double *out)
{
    for (int64_t i = 0; i < n; i += 2) {
        double u[2];
        draw_pair(key, (uint64_t)(first + i) / 2, u);
        out[i] = u[0];
        if (i + 1 < n) out[i + 1] = u[1];
    }
}

void tg_random_normal_from(uint64_t key, int64_t first, int64_t n, double *out)
{
    const double two_pi = 6.283185307179586476925;
    for (int64_t i = 0; i < n; i += 2) {
        double u[2];
        draw_pair(key, (uint64_t)(first + i) / 2, u);
        const double radius = sqrt(-2 * log(1 - u[0])),
                     angle = two_pi * u[1]; /* 1 - u is never 0 */
        out[i] = radius * cos(angle);
        if (i + 1 < n) out[i + 1] = radius * sin(angle);
    }
}

void tg_random_uniform(uint64_t key, int64_t n, double *out)
{
    tg_random_uniform_from(key, 0, n, out);
}

void tg_random_normal(uint64_t key, int64_t n, double *out)
{
    tg_random_normal_from(key, 0, n, out);
}
