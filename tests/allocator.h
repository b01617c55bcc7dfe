/* An allocator for tests: counts what is taken and given back, checks that both agree, and fails at
 * the n-th request if told to. */
#ifndef TEST_ALLOCATOR_H
#define TEST_ALLOCATOR_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/graph.h>

typedef struct test_memory {
    atomic_llong requests; /* asked for so far, failed ones included */
    atomic_llong blocks;   /* out now */
    atomic_llong bytes;    /* out now */
    atomic_llong wrong;    /* blocks given back with other numbers than they were taken with */
    /* from the request with this number (from 1) on nothing is given; 0: never */
    long long fail_at;
    long long fail_for; /* so many requests long; 0: for good */
} test_memory;

static inline void *test_allocate(void *user, size_t bytes, size_t align)
{
    test_memory *m = (test_memory *)user;
    const long long request = atomic_fetch_add(&m->requests, 1) + 1;
    const size_t header = align > 64 ? align : 64;
    if (m->fail_at && request >= m->fail_at &&
        !(m->fail_for && request >= m->fail_at + m->fail_for))
        return NULL;
    if (!bytes || align & (align - 1)) atomic_fetch_add(&m->wrong, 1);
    char *block = (char *)aligned_alloc(header, (header + bytes + header - 1) / header * header);
    if (!block) return NULL;
    memcpy(block, &bytes, sizeof bytes);
    memcpy(block + sizeof bytes, &align, sizeof align);
    memset(block + header, 0xA5, bytes); /* so that reading what was never written shows */
    atomic_fetch_add(&m->blocks, 1);
    atomic_fetch_add(&m->bytes, (long long)bytes);
    return block + header;
}

static inline void test_release(void *user, void *data, size_t bytes, size_t align)
{
    test_memory *m = (test_memory *)user;
    const size_t header = align > 64 ? align : 64;
    char *block = (char *)data - header;
    if (memcmp(block, &bytes, sizeof bytes) != 0 ||
        memcmp(block + sizeof bytes, &align, sizeof align) != 0)
        atomic_fetch_add(&m->wrong, 1);
    atomic_fetch_add(&m->blocks, -1);
    atomic_fetch_add(&m->bytes, -(long long)bytes);
    free(block);
}

static inline tg_allocator test_allocator(test_memory *m)
{
    const tg_allocator a = {test_allocate, test_release, m};
    return a;
}

#endif
