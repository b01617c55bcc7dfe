/* Checksums in a lean library, which reads and writes archives without compression. */
#include "../data/inflate.h"

uint32_t tg_crc32(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *from = data;
    crc = ~crc;
    for (size_t k = 0; k < bytes; k++) {
        crc ^= from[k];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

tg_status tg_inflate(const unsigned char *from, size_t n, unsigned char *to, size_t bytes)
{
    (void)from, (void)n, (void)to, (void)bytes;
    return TG_ESTATE;
}
