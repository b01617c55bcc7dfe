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

#endif
