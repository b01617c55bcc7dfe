/* zlib computes the checksums and inflates. */
#include "inflate.h"

#include <zlib.h>

uint32_t tg_crc32(uint32_t crc, const void *data, size_t bytes)
{
    return (uint32_t)crc32_z(crc, data, bytes);
}

tg_status tg_inflate(const unsigned char *from, size_t n, unsigned char *to, size_t bytes)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)from,
                  .avail_in = (uInt)n,
                  .next_out = to,
                  .avail_out = (uInt)bytes};
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return TG_EFORMAT;
    const int status = inflate(&z, Z_FINISH);
    const bool ok = status == Z_STREAM_END && z.total_out == bytes && z.avail_in == 0;
    inflateEnd(&z);
    return ok ? TG_OK : TG_EFORMAT;
}
