/* Threads that share the work of a caller: made when work first wants them, asleep when there is
 * none, joined when their last holder lets go of them. As a thread's stack does, their memory comes
 * from the C library: holders with other allocators may share them. Private. */
#ifndef TG_WORKERS_H
#define TG_WORKERS_H

#include <fenv.h>

#include "memory.h"

typedef struct tg_workers tg_workers;

/* A job: n turns, numbered from 0, in any order and on any threads. What runs it is called once on
 * each thread that takes part, with a number below `threads` that no other has (the caller has 0),
 * and asks for turns until there are none. */
typedef struct tg_job {
    void (*run)(const struct tg_job *job, int thread);
    const void *user;
    int64_t turns;
    int threads;
    int64_t nanoseconds;       /* that one thread would need, roughly */
    const fenv_t *environment; /* the caller's floating-point arithmetic: all compute in it */
    struct tg_share *share;    /* of the threads; set by tg_workers_run */
} tg_job;

/* The next turns, first .. end - 1, for a thread; false when all have been handed out. */
bool tg_job_next(const tg_job *job, int thread, int64_t *first, int64_t *end);

/* Runs a job on the caller's thread and on those of *w, which is made if it is NULL; returns when
 * all turns are done. A worker that is late is not waited for, one that sleeps is woken for jobs
 * that pay for it only, and a job that meets another one there is done by its caller alone: so is
 * everything that has no memory or no thread. */
void tg_workers_run(tg_workers **w, tg_job *job);

/* Lets *held hold w, which may be NULL, instead of what it held. */
void tg_workers_hold(tg_workers **held, tg_workers *w);

#endif
