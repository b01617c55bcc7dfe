/* Ranks that are threads of one process: what they send goes through queues. */
#ifndef TEST_RANKS_H
#define TEST_RANKS_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/ranks.h>

enum { MOST_RANKS = 8 };

typedef struct test_message {
    struct test_message *next;
    size_t bytes;
    char data[];
} test_message;

typedef struct test_world {
    int n;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    test_message *first[MOST_RANKS][MOST_RANKS], *last[MOST_RANKS][MOST_RANKS]; /* [from][to] */
    bool misfit; /* a message had another size than was expected */
} test_world;

typedef struct test_rank {
    test_world *world;
    tg_transport transport;
    void (*run)(struct test_rank *self);
    void *user;
    pthread_t thread;
} test_rank;

static inline bool test_exchange(void *user, int to, const void *out, size_t out_bytes, int from,
                                 void *in, size_t in_bytes)
{
    const test_rank *r = (const test_rank *)user;
    test_world *w = r->world;
    const int me = r->transport.rank;
    pthread_mutex_lock(&w->lock);
    if (to >= 0) {
        test_message *m = (test_message *)malloc(sizeof *m + out_bytes);
        *m = (test_message){NULL, out_bytes};
        if (out_bytes) memcpy(m->data, out, out_bytes);
        if (w->last[me][to]) w->last[me][to]->next = m;
        else w->first[me][to] = m;
        w->last[me][to] = m;
        pthread_cond_broadcast(&w->changed);
    }
    if (from >= 0) {
        while (!w->first[from][me]) pthread_cond_wait(&w->changed, &w->lock);
        test_message *m = w->first[from][me];
        w->first[from][me] = m->next;
        if (!m->next) w->last[from][me] = NULL;
        if (m->bytes != in_bytes) w->misfit = true;
        else memcpy(in, m->data, in_bytes);
        free(m);
    }
    pthread_mutex_unlock(&w->lock);
    return true;
}

static inline void *test_start(void *user)
{
    test_rank *r = (test_rank *)user;
    r->run(r);
    return NULL;
}

/* Runs `run` on n ranks, user[k] being rank k's. Messages that nobody took, or of another size, are
 * mistakes: false. */
static inline bool test_ranks(int n, void (*run)(test_rank *self), void *const *user)
{
    test_world w = {.n = n};
    test_rank rank[MOST_RANKS];
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    for (int k = 0; k < n; k++) {
        rank[k] = (test_rank){.world = &w, .run = run, .user = user[k]};
        rank[k].transport = (tg_transport){.size = sizeof(tg_transport),
                                           .name = "threads",
                                           .rank = k,
                                           .ranks = n,
                                           .user = &rank[k],
                                           .exchange = test_exchange};
        pthread_create(&rank[k].thread, NULL, test_start, &rank[k]);
    }
    for (int k = 0; k < n; k++) pthread_join(rank[k].thread, NULL);
    bool good = !w.misfit;
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++)
            for (test_message *m = w.first[a][b], *next; m; m = next) {
                next = m->next;
                free(m);
                good = false;
            }
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return good;
}

#endif
