#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/op.h>

/* C11's aligned_alloc wants a whole number of alignments. */
static void *default_allocate(void *user, size_t bytes, size_t align)
{
    (void)user;
    return bytes > SIZE_MAX - align ? NULL
                                    : aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void default_release(void *user, void *block, size_t bytes, size_t align)
{
    (void)user, (void)bytes, (void)align;
    free(block);
}

tg_allocator tg_allocator_or_default(const tg_allocator *allocator)
{
    if (allocator && allocator->allocate && allocator->release) return *allocator;
    return (tg_allocator){default_allocate, default_release, NULL};
}

/* Allocators are promised requests of at least one byte. */
static size_t at_least_one(size_t bytes) { return bytes ? bytes : 1; }

void *tg_allocate(const tg_allocator *a, size_t bytes)
{
    return bytes > PTRDIFF_MAX ? NULL : a->allocate(a->user, at_least_one(bytes), TG_ALIGN);
}

void tg_release(const tg_allocator *a, void *block, size_t bytes)
{
    if (block) a->release(a->user, block, at_least_one(bytes), TG_ALIGN);
}

bool tg_grow_more(const tg_allocator *a, void **array, size_t *capacity, size_t need, size_t size)
{
    enum { SMALLEST = 8 };
    const size_t most = (size_t)PTRDIFF_MAX / size;
    if (need > most) return false;
    size_t grown = *capacity > most - *capacity / 2 ? most : *capacity + *capacity / 2;
    if (grown < need) grown = need;
    if (grown < SMALLEST && SMALLEST <= most) grown = SMALLEST;
    void *block = tg_allocate(a, grown * size);
    if (!block) return false;
    if (*array) memcpy(block, *array, *capacity * size);
    tg_release(a, *array, *capacity * size);
    *array = block;
    *capacity = grown;
    return true;
}

/* ---------------------------------------------------------------- arenas */

/* Padded to TG_ALIGN, so that the bytes behind it are aligned. */
typedef struct tg_arena_block {
    struct tg_arena_block *next;
    size_t bytes; /* behind the header */
} tg_arena_block;

enum { HEADER = TG_ALIGN, FIRST_BLOCK = 1 << 10 };
_Static_assert(sizeof(tg_arena_block) <= HEADER,
               "the header of an arena's block must fit its place");

void tg_arena_init(tg_arena *arena, const tg_allocator *a) { *arena = (tg_arena){.allocator = a}; }

/* Each block is at least twice the one before, so that there are few, whatever sequences of takes
 * the arena sees in its life. */
static tg_arena_block *append(tg_arena *arena, tg_arena_block *last, size_t need)
{
    size_t bytes = last ? last->bytes * 2 : FIRST_BLOCK;
    if (bytes < need) bytes = need;
    if (bytes > (size_t)PTRDIFF_MAX - HEADER) return NULL;
    tg_arena_block *block = tg_allocate(arena->allocator, HEADER + bytes);
    if (!block) return NULL;
    *block = (tg_arena_block){NULL, bytes};
    if (last) last->next = block;
    else arena->first = block;
    arena->bytes += HEADER + bytes;
    return block;
}

void *tg_arena_take(tg_arena *arena, size_t bytes)
{
    if (bytes > (size_t)PTRDIFF_MAX - TG_ALIGN) return NULL;
    const size_t need = (at_least_one(bytes) + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN;
    tg_arena_block *block = arena->current;
    size_t used = arena->used;
    if (!block || block->bytes - used < need) {
        tg_arena_block *last = block;
        for (block = block ? block->next : arena->first; block && block->bytes < need;
             block = block->next)
            last = block;
        if (!block) block = append(arena, last, need);
        if (!block) return NULL;
        used = 0;
    }
    arena->current = block;
    arena->used = used + need;
    return (char *)block + HEADER + used;
}

void tg_arena_rewind(tg_arena *arena)
{
    arena->current = NULL;
    arena->used = 0;
}

void tg_arena_free(tg_arena *arena)
{
    for (tg_arena_block *block = arena->first; block;) {
        tg_arena_block *next = block->next;
        tg_release(arena->allocator, block, HEADER + block->bytes);
        block = next;
    }
    arena->first = NULL;
    arena->bytes = 0;
    tg_arena_rewind(arena);
}

/* ---------------------------------------------------------------- errors and options */

/* Appends to the message as far as there is room. */
static void put(tg_error *e, const char *format, ...) TG_PRINTF(2, 3);
static void putv(tg_error *e, const char *format, va_list arguments)
{
    const size_t used = strlen(e->message);
    vsnprintf(e->message + used, sizeof e->message - used, format, arguments);
}

static void put(tg_error *e, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    putv(e, format, arguments);
    va_end(arguments);
}

/* The end of a long path is what tells files apart, and the message must keep its room. */
enum { LONGEST_POSITION = 208 };

static const char *end_of(const char *text, size_t most)
{
    const size_t length = strlen(text);
    return length > most ? text + length - most : text;
}

tg_position tg_position_of(const char *path, int64_t line)
{
    tg_position position;
    snprintf(position.text, sizeof position.text, "%s:%lld", end_of(path, LONGEST_POSITION),
             (long long)line);
    return position;
}

tg_status tg_error_setv(tg_error *e, const char *where, const char *what, tg_status status,
                        const char *format, va_list arguments)
{
    if (e->status != TG_OK || status == TG_OK) return e->status;
    e->status = status;
    e->message[0] = 0;
    if (where) {
        const char *end = end_of(where, LONGEST_POSITION);
        put(e, "%s%s: ", end > where ? "..." : "", end);
    }
    if (what) put(e, "%s: ", what);
    if (format) putv(e, format, arguments);
    return e->status;
}

tg_status tg_error_set(tg_error *e, const char *where, const char *what, tg_status status,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(e, where, what, status, format, arguments);
    va_end(arguments);
    return e->status;
}

bool tg_options_read(void *out, size_t size, const void *given)
{
    size_t given_size = 0;
    memset(out, 0, size);
    if (!given) return true;
    memcpy(&given_size, given, sizeof given_size);
    if (given_size < sizeof given_size) return false;
    memcpy(out, given, given_size < size ? given_size : size);
    return true;
}

int tg_build_best(void)
{
#if defined(__GNUC__) && defined(__x86_64__)
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#if !defined(TG_NO_AVX512)
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return TG_BUILD_AVX512;
#endif
    return avx2 ? TG_BUILD_AVX2 : TG_BUILD_BASE;
#else
    return TG_BUILD_BASE;
#endif
}
