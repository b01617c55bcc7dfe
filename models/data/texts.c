/* A set of distinct texts. */
#include "texts.h"

#include <string.h>
#include <xxhash.h>

const char *tg_texts_get(const tg_texts *s, int64_t number) { return s->pool + s->start[number]; }

void tg_texts_free(tg_texts *s)
{
    tg_release(s->allocator, s->pool, s->pool_capacity);
    tg_release(s->allocator, s->start, s->start_capacity * sizeof *s->start);
    tg_release(s->allocator, s->slot, s->slots * sizeof *s->slot);
}

/* The slot where the text is, or where it belongs. */
static size_t find(const tg_texts *s, const char *text, size_t n)
{
    size_t at = (size_t)XXH3_64bits(text, n) & (s->slots - 1);
    for (; s->slot[at]; at = (at + 1) & (s->slots - 1)) {
        const char *there = tg_texts_get(s, s->slot[at] - 1);
        if (strlen(there) == n && !memcmp(there, text, n)) break;
    }
    return at;
}

/* Keeps at least half of the slots empty. */
static bool widen(tg_texts *s)
{
    const size_t slots = s->slots ? 2 * s->slots : 64;
    int64_t *slot = tg_allocate(s->allocator, slots * sizeof *slot);
    if (!slot) return false;
    memset(slot, 0, slots * sizeof *slot);
    tg_release(s->allocator, s->slot, s->slots * sizeof *s->slot);
    s->slot = slot;
    s->slots = slots;
    for (size_t k = 0; k < s->count; k++) {
        const char *text = tg_texts_get(s, (int64_t)k);
        s->slot[find(s, text, strlen(text))] = (int64_t)k + 1;
    }
    return true;
}

static bool append(tg_texts *s, const char *text, size_t n)
{
    void *pool = s->pool, *start = s->start;
    bool ok = tg_grow(s->allocator, &pool, &s->pool_capacity, s->pool_used + n + 1, 1);
    s->pool = pool;
    ok = ok && tg_grow(s->allocator, &start, &s->start_capacity, s->count + 1, sizeof *s->start);
    s->start = start;
    if (!ok) return false;
    if (n) memcpy(s->pool + s->pool_used, text, n);
    s->pool[s->pool_used + n] = 0;
    s->start[s->count++] = s->pool_used;
    s->pool_used += n + 1;
    return true;
}

int64_t tg_texts_find(const tg_texts *s, const char *text, size_t n)
{
    return s->slots ? s->slot[find(s, text, n)] - 1 : -1;
}

int64_t tg_texts_add(tg_texts *s, const char *text, size_t n)
{
    if (2 * (s->count + 1) > s->slots && !widen(s)) return -1;
    const size_t at = find(s, text, n);
    if (!s->slot[at]) {
        if (!append(s, text, n)) return -1;
        s->slot[at] = (int64_t)s->count;
    }
    return s->slot[at] - 1;
}
