/* A set of distinct texts, numbered in order of their first appearance. Private. */
#ifndef TG_TEXTS_H
#define TG_TEXTS_H

#include "../../graph/memory.h"

typedef struct tg_texts {
    const tg_allocator *allocator;
    char *pool; /* the texts, each with a 0 behind it */
    size_t pool_used, pool_capacity;
    size_t *start; /* where in the pool each text begins */
    size_t count, start_capacity;
    /* open addressing: 1 + a text's number, or 0; the number of slots is a power of two */
    int64_t *slot;
    size_t slots;
} tg_texts;

/* The number of a text of n bytes, which is added if it is new; -1: no memory. */
int64_t tg_texts_add(tg_texts *s, const char *text, size_t n);
int64_t tg_texts_find(const tg_texts *s, const char *text, size_t n); /* its number, or -1 */
const char *tg_texts_get(const tg_texts *s, int64_t number);
void tg_texts_free(tg_texts *s);

#endif
