/* tapegrad: jemalloc as an allocator, for programs that choose it.
 *
 *     const tg_allocator memory = tg_jemalloc();
 *     tg_tape *t = tg_tape_new(&(tg_tape_options){
 *         .size = sizeof(tg_tape_options), .allocator = &memory});
 *
 * No tapegrad library is linked with jemalloc, and <tapegrad.h> does not
 * include this header. The program that includes it links jemalloc itself,
 * beside tapegrad, by name:
 *
 *     cc net.c $(pkg-config --cflags --libs tapegrad jemalloc)
 *
 * or, with CMake's FindPkgConfig, pkg_check_modules(jemalloc REQUIRED
 * IMPORTED_TARGET jemalloc) and the target PkgConfig::jemalloc. What to know
 * before choosing it: where jemalloc is built as Debian builds it, it replaces
 * the malloc of the whole process, C++'s operator new included, and a shared
 * object that is linked with it can't be loaded by dlopen. So it is for
 * programs, not for libraries and plugins. */
#ifndef TG_JEMALLOC_H
#define TG_JEMALLOC_H

#include <jemalloc/jemalloc.h>
#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The flags for an alignment, a power of two. jemalloc's own macro for it wants
 * ffs, which strict C11 does not declare. */
static inline int tg_jemalloc_flags(size_t align)
{
    int log2 = 0;
    while ((size_t)1 << log2 < align) log2++;
    return MALLOCX_LG_ALIGN(log2);
}

static inline void *tg_jemalloc_allocate(void *user, size_t bytes, size_t align)
{
    (void)user;
    return mallocx(bytes, tg_jemalloc_flags(align));
}

static inline void tg_jemalloc_release(void *user, void *block, size_t bytes, size_t align)
{
    (void)user;
    sdallocx(block, bytes, tg_jemalloc_flags(align));
}

static inline tg_allocator tg_jemalloc(void)
{
    const tg_allocator a = {tg_jemalloc_allocate, tg_jemalloc_release, NULL};
    return a;
}

/* What jemalloc holds for the whole process now, in bytes; all 0 when it was
 * built without statistics. */
typedef struct tg_jemalloc_stats {
    size_t allocated; /* in blocks that are in use */
    size_t resident;  /* in memory that the system has given, caches included */
} tg_jemalloc_stats;

static inline tg_jemalloc_stats tg_jemalloc_stats_now(void)
{
    tg_jemalloc_stats s = {0, 0};
    uint64_t epoch = 1; /* writing it brings the figures up to date */
    size_t size = sizeof(size_t);
    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    if (mallctl("stats.allocated", &s.allocated, &size, NULL, 0) != 0) s.allocated = 0;
    size = sizeof(size_t);
    if (mallctl("stats.resident", &s.resident, &size, NULL, 0) != 0) s.resident = 0;
    return s;
}

#ifdef __cplusplus
}
#endif

#endif
