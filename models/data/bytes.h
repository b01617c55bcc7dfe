/* Bytes of files as numbers. Private. */
#ifndef TG_BYTES_H
#define TG_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t tg_get_le64(const unsigned char *bytes)
{
    uint64_t n = 0;
    for (int k = 0; k < 8; k++) n |= (uint64_t)bytes[k] << (8 * k);
    return n;
}

static inline void tg_put_le64(unsigned char *bytes, uint64_t n)
{
    for (int k = 0; k < 8; k++) bytes[k] = (unsigned char)(n >> (8 * k));
}

static inline bool tg_is_little_endian(void)
{
    const uint16_t probe = 1;
    unsigned char first;
    memcpy(&first, &probe, 1);
    return first;
}

/* Turns n numbers of `size` bytes around: from the other byte order to this machine's, and back. */
static inline void tg_swap_bytes(void *data, size_t n, size_t size)
{
    unsigned char *at = data;
    for (size_t k = 0; k < n; k++, at += size)
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char kept = at[i];
            at[i] = at[size - 1 - i];
            at[size - 1 - i] = kept;
        }
}

/* A half: 1 sign, 5 exponent and 10 fraction bits; every one of them is an f32. */
static inline float tg_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 31, fraction = h & 0x3FF, bits = sign;
    if (exponent == 31) {
        bits = sign | 0x7F800000 | fraction << 13;
    } else if (exponent) {
        bits = sign | (exponent + 112) << 23 | fraction << 13;
    } else if (fraction) {
        for (exponent = 113; !(fraction & 0x400); exponent--) fraction <<= 1;
        bits = sign | exponent << 23 | (fraction & 0x3FF) << 13;
    }
    float y;
    memcpy(&y, &bits, sizeof y);
    return y;
}

#endif
