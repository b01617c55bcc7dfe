/* Zip archives, as far as NPZ needs them: members stored or deflated, up to 4 GB. Private. */
#ifndef TG_ZIP_H
#define TG_ZIP_H

#include "../../graph/file.h"
#include "../../graph/memory.h"

enum { TG_ZIP_NAME = 1024 };
#define TG_ZIP_MOST UINT32_MAX

/* Called with each member's content; returning false (with an error set) ends the reading. */
typedef bool tg_zip_member_fn(void *user, const char *name, const unsigned char *bytes, size_t n,
                              const char *where);

/* Reads the members of an archive in memory, in the order of its directory. Sizes are checked
 * before memory is taken for them, checksums afterwards. false: e says why. */
bool tg_zip_read(const unsigned char *bytes, size_t n, const char *path, const tg_allocator *a,
                 tg_error *e, tg_zip_member_fn *member, void *user);

typedef void tg_put_fn(void *to, const void *data, size_t bytes);
typedef void tg_content_fn(const void *user, tg_put_fn *put, void *to);

typedef struct tg_zip_writer {
    tg_file *file;
    const tg_allocator *allocator;
    unsigned char *directory;
    size_t used, capacity;
    uint64_t at; /* bytes written so far */
    uint32_t crc, members;
    uint64_t member_bytes;
    bool no_memory, too_large;
} tg_zip_writer;

void tg_zip_begin(tg_zip_writer *z, tg_file *file, const tg_allocator *a);

/* Adds a member, stored. content is called twice and must put the same bytes: its checksum stands
 * in front of it. */
void tg_zip_add(tg_zip_writer *z, const char *name, tg_content_fn *content, const void *user);
bool tg_zip_finish(tg_zip_writer *z); /* writes the directory; false: no_memory or too_large */
void tg_zip_release(tg_zip_writer *z);

#endif
