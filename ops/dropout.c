/* dropout: element i falls when word i % 4 of Philox block i / 4 is below p 2^32. The mask is never
 * stored: forward and backward draw the same words. */
#include "folds.h"

#ifndef TG_SAMPLES

#if defined(__GNUC__) && defined(__x86_64__)
#include <immintrin.h>
#endif

/* carried: dropout, on philox */
/* Words are drawn for up to 64 blocks at once, and for up to 15 more to fill the last vectors. */
enum { BLOCKS = 64, FILLED = BLOCKS + 16 };

typedef struct draw {
    uint64_t key, step;
    uint32_t ordinal;
} draw;

static void words_base(const draw *d, uint64_t block, int64_t blocks, uint32_t *out)
{
    for (int64_t k = 0; k < blocks; k++)
        tg_philox(d->key, d->step, d->ordinal, block + (uint64_t)k, out + 4 * k);
}
/* carried so far */

/* tg_philox for consecutive blocks. A lane of 64 bits holds one 32-bit word of a counter in its
 * lower half; the upper half is rubbish at which neither the widening product nor an xor of lower
 * halves looks. Blocks are dealt to lanes so that unpacking leaves them in order. */
#define WORDS(fn, TARGET, LANES, PRODUCT, FIRST, SECOND, ...)                                      \
    TARGET static void fn(const draw *d, uint64_t block, int64_t blocks, uint32_t *out)            \
    {                                                                                              \
        typedef uint64_t vector __attribute__((vector_size(LANES * 8), aligned(8), may_alias));    \
        const vector lane = {__VA_ARGS__}, lower = (vector){0} + 0xffffffff,                       \
                     m0 = (vector){0} + 0xD2511F53, m1 = (vector){0} + 0xCD9E8D57;                 \
        for (int64_t k = 0; k < blocks; k += 2 * LANES, out += 8 * LANES, block += 2 * LANES) {    \
            vector c0[2], c1[2], c2[2], c3[2];                                                     \
            uint32_t k0 = (uint32_t)d->key, k1 = (uint32_t)(d->key >> 32);                         \
            for (int h = 0; h < 2; h++) {                                                          \
                c0[h] = lane + (block + (uint64_t)h * LANES);                                      \
                c1[h] = (vector){0} + d->ordinal;                                                  \
                c2[h] = (vector){0} + d->step;                                                     \
                c3[h] = (c0[h] >> 32 << 16) ^ (d->step >> 32);                                     \
            }                                                                                      \
            for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85)           \
                for (int h = 0; h < 2; h++) {                                                      \
                    const vector left = PRODUCT(c0[h], m0), right = PRODUCT(c2[h], m1);            \
                    c0[h] = (right >> 32) ^ c1[h] ^ (uint64_t)k0;                                  \
                    c1[h] = right;                                                                 \
                    c2[h] = (left >> 32) ^ c3[h] ^ (uint64_t)k1;                                   \
                    c3[h] = left;                                                                  \
                }                                                                                  \
            for (int h = 0; h < 2; h++) {                                                          \
                const vector a = (c0[h] & lower) | c1[h] << 32, b = (c2[h] & lower) | c3[h] << 32; \
                *(vector *)(out + 4 * LANES * h) = FIRST(a, b);                                    \
                *(vector *)(out + 4 * LANES * h + 2 * LANES) = SECOND(a, b);                       \
            }                                                                                      \
        }                                                                                          \
    }

#if defined(__GNUC__) && defined(__x86_64__)
#define PRODUCT_4(a, b) (vector) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#define PRODUCT_8(a, b) (vector) _mm512_mul_epu32((__m512i)(a), (__m512i)(b))
#define FIRST_4(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define SECOND_4(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define FIRST_8(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define SECOND_8(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
WORDS(words_avx2, TG_TARGET_AVX2, 4, PRODUCT_4, FIRST_4, SECOND_4, 0, 2, 1, 3)
TG_ON_AVX512(WORDS(words_avx512, TG_TARGET_AVX512, 8, PRODUCT_8, FIRST_8, SECOND_8, 0, 4, 1, 5, 2,
                   6, 3, 7))
#endif

/* carried: dropout */
/* With p = 1 every word is at most `last`; the infinite scale that goes with it is never used. */
#define DROP(fn, TARGET, BUILD, words, T)                                                  \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand)      \
    {                                                                                      \
        const T *x = (const T *)operand[0], *probability = (const T *)operand[1];          \
        T *y = (T *)result;                                                                \
        if (s->n == 0) return;                                                             \
        const double p = (double)probability[0];                                           \
        const T scale = (T)(1 / (1 - p));                                                  \
        const double fallen = p * 0x1p32 + 0.5;                                            \
        const uint32_t last = fallen < 2 ? 0 : (uint32_t)((uint64_t)fallen - 1);           \
        const draw d = {s->key, s->step, (uint32_t)s->attrs[0]};                           \
        const int64_t lead = s->first % 4;                                                 \
        uint32_t drawn[4 * FILLED];                                                        \
        for (int64_t i = 0, m; i < s->n; i += m) {                                         \
            const int64_t skip = i == 0 ? lead : 0, most = 4 * BLOCKS - skip;              \
            m = s->n - i < most ? s->n - i : most;                                         \
            words(&d, (uint64_t)(s->first + i) / 4, (skip + m + 3) / 4, drawn);            \
            const uint32_t *word = drawn + skip;                                           \
            const T *from = x + i;                                                         \
            T *to = y + i;                                                                 \
            TG_INDEPENDENT                                                                 \
            for (int64_t j = 0; j < m; j++) to[j] = word[j] <= last ? 0 : from[j] * scale; \
        }                                                                                  \
    }
#define DROP_BUILDS(fn, T)                                                   \
    DROP(fn##_base, TG_TARGET_BASE, TG_BUILD_BASE, words_base, T)            \
    TG_ON_AVX(DROP(fn##_avx2, TG_TARGET_AVX2, TG_BUILD_AVX2, words_avx2, T)) \
    TG_ON_AVX512(DROP(fn##_avx512, TG_TARGET_AVX512, TG_BUILD_AVX512, words_avx512, T))
DROP_BUILDS(drop_f32, float)
DROP_BUILDS(drop_f64, double)

TG_SPANS_WITH(spans, NULL, TG_CARRIED("dropout spans"), TG_BUILDS(drop_f32), TG_BUILDS(drop_f64))
/* carried so far */

static void vjp(TG_VJP);
static const tg_op dropout = {.size = sizeof(tg_op),
                              .name = "dropout",
                              .n_in = 2,
                              .flags = TG_DRAWS,
                              .span = &spans,
                              .vjp = vjp};

static void vjp(TG_VJP)
{
    gx[0] = tg_apply_at(t, TG_HERE, &dropout, 2, (tg_tensor *[]){gy, x[1]}, 1, attrs);
}

tg_tensor *tg_dropout_at(tg_tape *t, const char *where, tg_tensor *x, double p)
{
    if (!tg_ready_float(t, TG_HERE, "dropout", x)) return NULL;
    if (!(p >= 0 && p <= 1))
        return tg_fail_at(t, TG_HERE, TG_EVALUE, "dropout: p = %g is outside [0, 1]", p);
    if (p == 0 || !tg_tape_training(t)) return x;
    const int64_t ordinal = tg_draw_ordinal(t);
    return tg_apply_at(t, TG_HERE, &dropout, 2, (tg_tensor *[]){x, tg_constant_like(t, x, p)}, 1,
                       &ordinal);
}

KNOWN(dropout, "any", -1, ("y = 0 with probability p, else x / (1 - p)"))

#else

/* In evaluation mode, where values are checked. */
CALL(third, tg_dropout(t, x[0], 1.0 / 3))
CALL(all, tg_dropout(t, x[0], 1))
EXPECT_EACH(third, x)
EXPECT_EACH(all, x)
SAMPLES(dropout, EACH(third, "p = 1/3", 0, REAL(-2, 2)), EACH(all, "p = 1", 0, REAL(-2, 2)))

#endif
