/* Where the programs of this project take their memory from: jemalloc, unless they are built
 * without it. Private. */
#ifndef PROGRAM_ALLOCATOR_H
#define PROGRAM_ALLOCATOR_H

#include <tapegrad/graph.h>

#if TG_HAVE_JEMALLOC
#include <tapegrad/jemalloc.h>

static inline const tg_allocator *program_allocator(void)
{
    static const tg_allocator jemalloc = {tg_jemalloc_allocate, tg_jemalloc_release, NULL};
    return &jemalloc;
}

static inline double program_bytes_allocated(void)
{
    return (double)tg_jemalloc_stats_now().allocated;
}
#else
/* NULL: the library's default, the C library's. */
static inline const tg_allocator *program_allocator(void) { return NULL; }

/* The C library does not tell. */
static inline double program_bytes_allocated(void) { return 0; }
#endif

#endif
