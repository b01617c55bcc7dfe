/* Allocation, growing arrays, arenas and sticky errors: what every object of the library is made
 * of. Private. */
#ifndef TG_MEMORY_H
#define TG_MEMORY_H

#include <stdarg.h>
#include <tapegrad/graph.h>

/* The caller's allocator, or the C library's aligned_alloc and free when it is NULL or has no
 * functions. */
tg_allocator tg_allocator_or_default(const tg_allocator *allocator);

enum { TG_ALIGN = 64 };
/* aligned to TG_ALIGN; never NULL for 0 bytes unless memory is short */
void *tg_allocate(const tg_allocator *a, size_t bytes);
void tg_release(const tg_allocator *a, void *block, size_t bytes); /* NULL allowed */

/* Makes *array hold at least `need` elements of `size` bytes, growing *capacity by half at least;
 * new elements are not cleared. false when memory is short: the array is then unchanged. */
bool tg_grow_more(const tg_allocator *a, void **array, size_t *capacity, size_t need, size_t size);
static inline bool tg_grow(const tg_allocator *a, void **array, size_t *capacity, size_t need,
                           size_t size)
{
    return need <= *capacity || tg_grow_more(a, array, capacity, need, size);
}

/* Bump allocation in blocks that stay when the arena is rewound, so that a repeated sequence of
 * takes allocates nothing and gives the same addresses. */
typedef struct tg_arena {
    const tg_allocator *allocator;
    struct tg_arena_block *first, *current;
    size_t used;  /* of the current block */
    size_t bytes; /* of all blocks */
} tg_arena;

void tg_arena_init(tg_arena *arena, const tg_allocator *a);
/* aligned to TG_ALIGN; NULL when memory is short */
void *tg_arena_take(tg_arena *arena, size_t bytes);
void tg_arena_rewind(tg_arena *arena);
void tg_arena_free(tg_arena *arena);

/* The first error wins. */
typedef struct tg_error {
    tg_status status;
    char message[512];
} tg_error;

/* The text "path:line", of a long path its end. */
typedef struct tg_position {
    char text[240];
} tg_position;
tg_position tg_position_of(const char *path, int64_t line);

/* Sets "where: what: message", leaving out the parts that are NULL; keeps an error that is there
 * already. Returns the status that stands afterwards. */
tg_status tg_error_set(tg_error *e, const char *where, const char *what, tg_status status,
                       const char *format, ...) TG_PRINTF(5, 6);
tg_status tg_error_setv(tg_error *e, const char *where, const char *what, tg_status status,
                        const char *format, va_list arguments);

/* Reads an option struct of an older or newer caller: copies min(given size, sizeof) bytes over a
 * zeroed *out; NULL leaves it zeroed. false when given->size was not set. */
bool tg_options_read(void *out, size_t size, const void *given);
#define TG_UNSIZED(type) "the options' size is not set: .size = sizeof(" #type ")"

/* The best TG_BUILD_... (tapegrad/op.h) that this processor has. */
int tg_build_best(void);

#endif
