/* What zip archives need of zlib. Private. */
#ifndef TG_INFLATE_H
#define TG_INFLATE_H

#include <tapegrad/graph.h>

/* The checksum of RFC 1952, going on from crc; 0 to begin with. */
uint32_t tg_crc32(uint32_t crc, const void *data, size_t bytes);

/* Raw deflate data of n bytes to exactly `bytes` bytes, both below 4 GB. TG_EFORMAT when it is none
 * or another size comes out, TG_ESTATE in a library without zlib. */
tg_status tg_inflate(const unsigned char *from, size_t n, unsigned char *to, size_t bytes);

#endif
