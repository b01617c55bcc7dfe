#define _POSIX_C_SOURCE 200809L
#include "workers.h"

#include <stdatomic.h>

/* What a thread has to do: turns from `at` on. When it has none left it takes those of others. */
struct tg_share {
    _Alignas(TG_ALIGN) _Atomic int64_t at;
    int64_t end;
};

enum { PIECES = 16 }; /* of a share: taken one after the other, by whoever comes */

bool tg_job_next(const tg_job *job, int thread, int64_t *first, int64_t *end)
{
    const int64_t piece = job->turns / job->threads / PIECES + 1;
    for (int k = 0; k < job->threads; k++) {
        struct tg_share *s = &job->share[(thread + k) % job->threads];
        if (atomic_load_explicit(&s->at, memory_order_relaxed) >= s->end) continue;
        *first = atomic_fetch_add_explicit(&s->at, piece, memory_order_relaxed);
        *end = *first + piece < s->end ? *first + piece : s->end;
        if (*first < s->end) return true;
    }
    return false;
}

static void run_alone(tg_job *job)
{
    struct tg_share all = {.end = job->turns};
    job->threads = 1;
    job->share = &all;
    job->run(job, 0);
}

#ifdef TG_LEAN

void tg_workers_run(tg_workers **w, tg_job *job)
{
    (void)w;
    run_alone(job);
}

void tg_workers_hold(tg_workers **held, tg_workers *w) { (void)held, (void)w; }

#else

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
    MOST = 1024,      /* threads, the caller's among them */
    SPINS = 1000,     /* looks for a job before a worker sleeps: some tens of microseconds */
    YIELD_EVERY = 32, /* looks, so that others who want the processor get it */
    WAKING_NS =
        20000, /* of work waits before sleepers are woken, which costs the caller 2 to 5 us */
};

/* The state of the job at hand, in one word: its number, whether threads may still join it, how
 * many it wants, how many workers have joined. */
#define JOINED UINT64_C(0xffff)
#define WANTED UINT64_C(0xffff0000)
#define OPEN (UINT64_C(1) << 32)
#define NUMBER (UINT64_C(1) << 33)

typedef struct worker {
    struct tg_workers *of;
    pthread_t thread;
    int number;
} worker;

struct tg_workers {
    tg_allocator allocator;
    atomic_int holders;
    atomic_flag busy;
    pid_t process; /* that the threads belong to */
    bool lost;     /* this is a child of it: a fork leaves threads behind */
    worker **worker;
    int n; /* workers */
    size_t capacity;
    struct tg_share *share;
    int n_shares;
    int64_t waiting_ns; /* of work that sleepers have not been woken for */

    _Alignas(TG_ALIGN) _Atomic uint64_t state;
    const tg_job *job;
    bool end;
    _Alignas(TG_ALIGN) atomic_int done; /* workers */
    atomic_int asleep;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static inline void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* ---------------------------------------------------------------- a worker */

static bool is_new(uint64_t state, uint64_t last) { return state & OPEN && state / NUMBER != last; }

/* The state once there is a job with another number than the last. */
static uint64_t next_job(tg_workers *w, uint64_t last)
{
    uint64_t state;
    for (int k = 1; k <= SPINS; k++) {
        state = atomic_load(&w->state);
        if (is_new(state, last)) return state;
        if (k % YIELD_EVERY) pause_a_little();
        else sched_yield();
    }
    pthread_mutex_lock(&w->mutex);
    atomic_fetch_add(&w->asleep, 1);
    while (!is_new(state = atomic_load(&w->state), last)) pthread_cond_wait(&w->wake, &w->mutex);
    atomic_fetch_sub(&w->asleep, 1);
    pthread_mutex_unlock(&w->mutex);
    return state;
}

static void *work(void *user)
{
    const worker *me = user;
    tg_workers *w = me->of;
    for (uint64_t last = 0;;) {
        uint64_t state = next_job(w, last);
        last = state / NUMBER;
        bool joined = false;
        while (!joined && state & OPEN && state / NUMBER == last &&
               (uint64_t)me->number < (state & WANTED) >> 16)
            joined = atomic_compare_exchange_weak(&w->state, &state, state + 1);
        if (!joined) continue;
        if (w->end) return NULL;
        fesetenv(w->job->environment);
        w->job->run(w->job, me->number);
        atomic_fetch_add_explicit(&w->done, 1, memory_order_release);
    }
}

/* ---------------------------------------------------------------- the caller */

static void share_out(struct tg_share *share, int64_t turns, int threads)
{
    for (int k = 0; k < threads; k++) {
        atomic_store_explicit(&share[k].at, turns * k / threads, memory_order_relaxed);
        share[k].end = turns * (k + 1) / threads;
    }
}

/* From here on workers may join. */
static void publish(tg_workers *w, const tg_job *job, int threads)
{
    const uint64_t number = atomic_load_explicit(&w->state, memory_order_relaxed) / NUMBER + 1;
    w->job = job;
    atomic_store_explicit(&w->done, 0, memory_order_relaxed);
    atomic_store(&w->state, number * NUMBER | OPEN | (uint64_t)threads << 16);
}

static void wake(tg_workers *w)
{
    pthread_mutex_lock(&w->mutex);
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->mutex);
}

/* How many workers took part, all of which have ended. */
static int close_job(tg_workers *w)
{
    const int joined = (int)(atomic_fetch_and(&w->state, ~OPEN) & JOINED);
    for (int k = 1; atomic_load_explicit(&w->done, memory_order_acquire) < joined; k++)
        if (k % YIELD_EVERY) pause_a_little();
        else sched_yield();
    return joined;
}

/* ---------------------------------------------------------------- life */

static tg_workers *workers_new(void)
{
    const tg_allocator a = tg_allocator_or_default(NULL);
    tg_workers *w = tg_allocate(&a, sizeof *w);
    if (!w) return NULL;
    memset(w, 0, sizeof *w);
    w->allocator = a;
    w->process = getpid();
    atomic_init(&w->holders, 1);
    atomic_init(&w->state, 0);
    atomic_init(&w->done, 0);
    atomic_init(&w->asleep, 0);
    atomic_flag_clear(&w->busy);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    return w;
}

/* In a child of the process that made the threads there are none to join. */
static void workers_free(tg_workers *w)
{
    const tg_allocator a = w->allocator;
    if (w->process == getpid()) {
        w->end = true;
        publish(w, NULL, MOST);
        wake(w);
        for (int k = 0; k < w->n; k++) pthread_join(w->worker[k]->thread, NULL);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->mutex);
    }
    for (int k = 0; k < w->n; k++) tg_release(&a, w->worker[k], sizeof *w->worker[k]);
    tg_release(&a, w->worker, w->capacity * sizeof *w->worker);
    tg_release(&a, w->share, (size_t)w->n_shares * sizeof *w->share);
    tg_release(&a, w, sizeof *w);
}

void tg_workers_hold(tg_workers **held, tg_workers *w)
{
    if (*held == w) return;
    if (w) atomic_fetch_add(&w->holders, 1);
    if (*held && atomic_fetch_sub(&(*held)->holders, 1) == 1) workers_free(*held);
    *held = w;
}

/* Signals of the process are for threads of its own. */
static bool start(worker *me)
{
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    const bool started = pthread_create(&me->thread, NULL, work, me) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Whether threads may be started, woken, and waited for. */
static bool is_ours(tg_workers *w)
{
    w->lost = w->lost || w->process != getpid();
    return !w->lost;
}

/* So many threads, as far as the system has them, and what they need. false: no memory. */
static bool grow(tg_workers *w, int threads)
{
    const tg_allocator *a = &w->allocator;
    if (threads > w->n_shares) {
        struct tg_share *share = tg_allocate(a, (size_t)threads * sizeof *share);
        if (!share) return false;
        for (int k = 0; k < threads; k++) atomic_init(&share[k].at, 0);
        tg_release(a, w->share, (size_t)w->n_shares * sizeof *share);
        w->share = share;
        w->n_shares = threads;
    }
    if (!tg_grow(a, (void **)&w->worker, &w->capacity, (size_t)threads, sizeof *w->worker))
        return false;
    while (w->n < threads - 1 && is_ours(w)) {
        worker *me = tg_allocate(a, sizeof *me);
        if (!me) break;
        me->of = w;
        me->number = w->n + 1;
        if (!start(me)) {
            tg_release(a, me, sizeof *me);
            break;
        }
        w->worker[w->n++] = me;
    }
    return true;
}

static void run_together(tg_workers *w, tg_job *job)
{
    job->share = w->share;
    share_out(w->share, job->turns, job->threads);
    publish(w, job, job->threads);
    if (atomic_load(&w->asleep)) {
        w->waiting_ns += job->nanoseconds;
        if (w->waiting_ns >= WAKING_NS && is_ours(w)) {
            w->waiting_ns = 0;
            wake(w);
        }
    }
    job->run(job, 0);
    if (close_job(w) == 0) is_ours(w);
}

/* Other holders of lost workers find that out as well. */
static bool make(tg_workers **w)
{
    if (*w && !(*w)->lost) return true;
    tg_workers_hold(w, NULL);
    *w = workers_new();
    return *w != NULL;
}

void tg_workers_run(tg_workers **w, tg_job *job)
{
    if (job->turns < job->threads) job->threads = (int)job->turns;
    if (job->threads <= 1 || !make(w) || atomic_flag_test_and_set(&(*w)->busy)) {
        run_alone(job);
        return;
    }
    if (grow(*w, job->threads)) run_together(*w, job);
    else run_alone(job);
    atomic_flag_clear(&(*w)->busy);
}

#endif
