/* Zip archives (PKWARE's APPNOTE 6.3). */
#include "zip.h"

#include <string.h>

#include "inflate.h"

enum {
    LOCAL = 30,
    CENTRAL = 46,
    END = 22,
    MOST_COMMENT = 65535,
    STORED = 0,
    DEFLATED = 8,
    ENCRYPTED = 1
};
enum { LOCAL_SIGNATURE = 0x04034B50, CENTRAL_SIGNATURE = 0x02014B50, END_SIGNATURE = 0x06054B50 };

static uint32_t get16(const unsigned char *b) { return (uint32_t)b[0] | (uint32_t)b[1] << 8; }
static uint32_t get32(const unsigned char *b) { return get16(b) | get16(b + 2) << 16; }

/* ---------------------------------------------------------------- reading */

typedef struct reader {
    const unsigned char *bytes;
    size_t n;
    const char *path;
    const tg_allocator *allocator;
    tg_error *error;
} reader;

static bool bad(const reader *r, const char *what)
{
    tg_error_set(r->error, NULL, r->path, TG_EFORMAT, "not a proper zip archive: %s", what);
    return false;
}

/* The end record, which a comment may follow; NULL: there is none. */
static const unsigned char *find_end(const reader *r)
{
    for (size_t back = END; back <= r->n && back <= END + MOST_COMMENT; back++) {
        const unsigned char *at = r->bytes + r->n - back;
        if (get32(at) == END_SIGNATURE && get16(at + 20) == back - END) return at;
    }
    return NULL;
}

static bool inflate_all(const reader *r, size_t start, size_t n, unsigned char *to, size_t bytes)
{
    switch (tg_inflate(r->bytes + start, n, to, bytes)) {
    case TG_OK: return true;
    case TG_ESTATE:
        tg_error_set(r->error, NULL, r->path, TG_ESTATE,
                     "a member is compressed; built without zlib");
        return false;
    default: return bad(r, "a member does not inflate to its size");
    }
}

static bool read_member(const reader *r, const char *name, const unsigned char *record,
                        tg_zip_member_fn *member, void *user)
{
    enum { MOST_RATIO = 1032 }; /* of what deflate can do */
    const uint32_t method = get16(record + 10), crc = get32(record + 16),
                   offset = get32(record + 42);
    const size_t packed = get32(record + 20), bytes = get32(record + 24);
    if (get16(record + 8) & ENCRYPTED || (method != STORED && method != DEFLATED))
        return bad(r, "a member is encrypted, or neither stored nor deflated");
    if (r->n < LOCAL || offset > r->n - LOCAL || get32(r->bytes + offset) != LOCAL_SIGNATURE)
        return bad(r, "a member is not where the directory says");
    const size_t start =
        offset + (size_t)LOCAL + get16(r->bytes + offset + 26) + get16(r->bytes + offset + 28);
    if (start > r->n || packed > r->n - start) return bad(r, "a member is cut short");
    if (method == STORED ? packed != bytes : bytes / MOST_RATIO > packed)
        return bad(r, "the sizes of a member contradict each other");
    const unsigned char *content = r->bytes + start;
    unsigned char *unpacked = NULL;
    bool ok = true;
    if (method == DEFLATED) {
        content = unpacked = tg_allocate(r->allocator, bytes);
        if (!unpacked)
            return tg_error_set(r->error, NULL, r->path, TG_ENOMEM, "no memory for %zu bytes",
                                bytes),
                   false;
        ok = inflate_all(r, start, packed, unpacked, bytes);
    }
    if (ok && tg_crc32(0, content, bytes) != crc) ok = bad(r, "the checksum of a member is wrong");
    ok = ok && member(user, name, content, bytes, r->path);
    tg_release(r->allocator, unpacked, bytes);
    return ok;
}

bool tg_zip_read(const unsigned char *bytes, size_t n, const char *path, const tg_allocator *a,
                 tg_error *e, tg_zip_member_fn *member, void *user)
{
    const reader r = {bytes, n, path, a, e};
    const unsigned char *end = find_end(&r);
    if (!end) return bad(&r, "it has no end record");
    const uint32_t members = get16(end + 10), size = get32(end + 12), offset = get32(end + 16);
    const size_t limit = (size_t)(end - bytes);
    if (offset > limit || size > limit - offset)
        return bad(&r,
                   "its directory is not where its end says; archives beyond 4 GB can't be read");
    const unsigned char *at = bytes + offset, *stop = at + size;
    for (uint32_t k = 0; k < members; k++) {
        char name[TG_ZIP_NAME];
        if (stop - at < CENTRAL || get32(at) != CENTRAL_SIGNATURE)
            return bad(&r, "its directory is cut short");
        const size_t name_bytes = get16(at + 28),
                     record = CENTRAL + name_bytes + get16(at + 30) + get16(at + 32);
        if ((size_t)(stop - at) < record || name_bytes >= sizeof name)
            return bad(&r, "its directory is cut short, or has too long a name");
        memcpy(name, at + CENTRAL, name_bytes);
        name[name_bytes] = 0;
        if (strlen(name) != name_bytes) return bad(&r, "a name holds a zero");
        if (!read_member(&r, name, at, member, user)) return false;
        at += record;
    }
    return at == stop || bad(&r, "its directory is longer than its members");
}

/* ---------------------------------------------------------------- writing */

static void put16(unsigned char *b, uint32_t x)
{
    b[0] = (unsigned char)x, b[1] = (unsigned char)(x >> 8);
}
static void put32(unsigned char *b, uint32_t x) { put16(b, x), put16(b + 2, x >> 16); }

void tg_zip_begin(tg_zip_writer *z, tg_file *file, const tg_allocator *a)
{
    *z = (tg_zip_writer){.file = file, .allocator = a};
}

static void put(tg_zip_writer *z, const void *data, size_t bytes)
{
    tg_file_put(z->file, data, bytes);
    z->at += bytes;
}

static void measure(void *to, const void *data, size_t bytes)
{
    tg_zip_writer *z = to;
    z->crc = tg_crc32(z->crc, data, bytes);
    z->member_bytes += bytes;
}

static void put_content(void *to, const void *data, size_t bytes) { put(to, data, bytes); }

/* What the local and the central record have in common, 26 bytes from the version needed on. The
 * date is 1980-01-01, so that equal arrays give equal files. */
static void put_common(const tg_zip_writer *z, unsigned char *b, size_t name_bytes)
{
    memset(b, 0, 26);
    put16(b, 20);
    put16(b + 2, 1 << 11); /* names are UTF-8 */
    put16(b + 8, 1 << 5 | 1);
    put32(b + 10, z->crc);
    put32(b + 14, (uint32_t)z->member_bytes);
    put32(b + 18, (uint32_t)z->member_bytes);
    put16(b + 22, (uint32_t)name_bytes);
}

static void add_to_directory(tg_zip_writer *z, const char *name, uint64_t offset)
{
    const size_t n = strlen(name);
    void *directory = z->directory;
    if (!tg_grow(z->allocator, &directory, &z->capacity, z->used + CENTRAL + n, 1)) {
        z->no_memory = true;
        return;
    }
    z->directory = directory;
    unsigned char *at = z->directory + z->used;
    memset(at, 0, CENTRAL);
    put32(at, CENTRAL_SIGNATURE);
    put16(at + 4, 20);
    put_common(z, at + 6, n);
    put32(at + 42, (uint32_t)offset);
    memcpy(at + CENTRAL, name, n);
    z->used += CENTRAL + n;
}

void tg_zip_add(tg_zip_writer *z, const char *name, tg_content_fn *content, const void *user)
{
    unsigned char local[LOCAL];
    const uint64_t offset = z->at;
    z->crc = 0;
    z->member_bytes = 0;
    content(user, measure, z);
    put32(local, LOCAL_SIGNATURE);
    put_common(z, local + 4, strlen(name));
    put(z, local, sizeof local);
    put(z, name, strlen(name));
    content(user, put_content, z);
    add_to_directory(z, name, offset);
    z->members++;
    z->too_large = z->too_large || z->at > TG_ZIP_MOST || z->members > UINT16_MAX;
}

bool tg_zip_finish(tg_zip_writer *z)
{
    unsigned char end[END] = {0};
    const uint64_t offset = z->at;
    z->too_large = z->too_large || offset + z->used > TG_ZIP_MOST;
    if (z->no_memory || z->too_large) return false;
    put(z, z->directory, z->used);
    put32(end, END_SIGNATURE);
    put16(end + 8, z->members);
    put16(end + 10, z->members);
    put32(end + 12, (uint32_t)z->used);
    put32(end + 16, (uint32_t)offset);
    put(z, end, sizeof end);
    return true;
}

void tg_zip_release(tg_zip_writer *z) { tg_release(z->allocator, z->directory, z->capacity); }
