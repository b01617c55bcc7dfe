/* tapegrad: one training run on many processes, with the same bits for any
 * number of them.
 *
 * The rows of a batch are cut into leaves, a number of the run that has nothing
 * to do with how many processes there are. Each leaf is computed by itself: the
 * same kernels at the same shapes wherever that is. A fixed binary tree adds
 * gradients, losses and weights of the leaves, then the sum is divided once by
 * that of the weights. Processes, called ranks and numbered from 0, only share
 * the leaves out; one process that computes all of them defines the result.
 *
 *     tg_ranks *r = tg_ranks_join(NULL);
 *     tg_ranks_set_leaves(r, 8);
 *     tg_ranks_broadcast(r, ps);
 *     for (int64_t step = 0; step < steps; step++) {
 *         const tg_part mine = tg_ranks_my_leaves(r);
 *         for (int64_t k = mine.first; k < mine.first + mine.n; k++) {
 *             const tg_part rows = tg_ranks_leaf_rows(r, batch, k);
 *             if (!rows.n) continue;
 *             tg_tape_set_stream(t, (uint64_t)k);
 *             ... record the loss of these rows, summed over them ...
 *             tg_backward(t, loss);
 *             tg_ranks_add(r, ps, t, k, tg_item(t, loss), (double)rows.n);
 *             tg_tape_set_step(t, (uint64_t)step);
 *             tg_tape_reset(t);
 *         }
 *         tg_ranks_share(r, tg_tape_status(t), tg_tape_message(t));
 *         tg_ranks_step(r, o, &mean);
 *     }
 *     if (tg_ranks_status(r) != TG_OK) puts(tg_ranks_message(r));
 *     tg_ranks_leave(r);
 *
 * Started by `mpirun -n 4`, the program runs on four ranks; started by itself,
 * on one. What says "collective" below must be called by all ranks, in one
 * order; all else is a rank's own affair. A collective call first compares what the
 * ranks are about to do and whether one of them is in error: then it fails on
 * all, with one message that names the rank, and later ones fail at once,
 * without waiting for anybody. Errors are sticky, as a tape's. A lean library
 * has none of this.
 *
 * What depends on more than its own leaf's rows is the leaf's: batch
 * normalisation takes mean and variance over a leaf. Its running statistics
 * (buffers set on the tape, tg_buffer_set) become the mean over the leaves, by
 * weight. Every leaf that has rows must give gradients to the same parameters.
 *
 * Contents: joining; leaves; gradients; what else ranks share; how bytes
 * travel. */
#ifndef TG_RANKS_H
#define TG_RANKS_H

#include <tapegrad/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tg_ranks tg_ranks;
typedef struct tg_transport tg_transport;

/* ------------------------------------------------------------------ joining */

typedef struct tg_ranks_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    /* Of the caller's own; NULL: MPI if the environment says that mpirun has
     * started this process (OMPI_COMM_WORLD_SIZE, PMI_SIZE or PMIX_RANK is
     * set), else one rank. */
    const tg_transport *transport TG_ZERO;
} tg_ranks_options;

/* Collective. options may be NULL. MPI comes from a library beside this one,
 * libtapegrad-openmpi.so or libtapegrad-mpich.so, which is loaded now; TG_MPI
 * in the environment says which: "openmpi", "mpich", "none" or a path. TG_ESTATE
 * when there is none that fits, with what to install. NULL only when memory is
 * short. A process joins MPI once. */
TG_API tg_ranks *tg_ranks_join(const tg_ranks_options *options);
/* Collective, unless the ranks are in error; frees r. NULL allowed. */
TG_API void tg_ranks_leave(tg_ranks *r);
/* the sticky status; TG_ENOMEM for NULL */
TG_API tg_status tg_ranks_status(const tg_ranks *r);
/* "" without an error; "rank 2: ..." what another one met */
TG_API const char *tg_ranks_message(const tg_ranks *r);
TG_API int tg_ranks_rank(const tg_ranks *r);  /* from 0; 0 for NULL */
TG_API int tg_ranks_count(const tg_ranks *r); /* 1 for NULL */
/* ranks on this machine, this one included */
TG_API int tg_ranks_neighbours(const tg_ranks *r);
/* ends the whole job at once, as if this process had been killed: for errors
 * after which no collective call can be made */
TG_API void tg_ranks_abandon(tg_ranks *r, int exit_code);

/* ------------------------------------------------------------------- leaves */

typedef struct tg_part {
    int64_t first, n;
} tg_part;

/* From 1, which it is at first, to 1,048,576; not between tg_ranks_add and the
 * step. The same on all ranks. */
TG_API tg_status tg_ranks_set_leaves(tg_ranks *r, int64_t leaves);
TG_API int64_t tg_ranks_leaves(const tg_ranks *r); /* 1 for NULL */
/* This rank's: with n ranks and V leaves the k-th has leaves k V / n up to
 * (k + 1) V / n, rounded down. A rank may have none. */
TG_API tg_part tg_ranks_my_leaves(const tg_ranks *r);
/* The rows of a leaf in a batch of so many: k rows / V up to (k + 1) rows / V,
 * rounded down. There may be none. */
TG_API tg_part tg_ranks_leaf_rows(const tg_ranks *r, int64_t rows, int64_t leaf);
/* From its next evaluation on t draws random numbers from another stream than
 * its option's: one for each leaf, whoever computes it. */
TG_API void tg_tape_set_stream(tg_tape *t, uint64_t stream);

/* ---------------------------------------------------------------- gradients */

/* Takes the gradients of ps, which has none afterwards, and the buffers that t
 * sets (t may be NULL) as those of one of my leaves, in rising order. loss is
 * the sum over the leaf's rows that was differentiated, weight > 0 what the sum
 * of all losses is to be divided by: the rows, or the sum of their class
 * weights. */
TG_API tg_status tg_ranks_add(tg_ranks *r, tg_params *ps, tg_tape *t, int64_t leaf, double loss,
                              double weight);

/* Collective, between tg_ranks_add of all leaves and an optimizer's step: ps
 * gets the mean gradient, buffers their new values, *mean_loss (NULL allowed)
 * the mean loss; the same bits on all ranks. Sends twice the gradients' bytes
 * times (n - 1) / n. */
TG_API tg_status tg_ranks_combine(tg_ranks *r, tg_params *ps, double *mean_loss);

/* Collective: the same and a step of o, whose parameters they are, with less
 * memory: each rank has the mean gradient of a slice, updates that, and sends
 * the new values; what o remembers is a slice, too (ZeRO, Rajbhandari et al.
 * 2020, stage 1). Same bits. Gradients of parameters that o does not move are
 * dropped. tg_optim_set_accumulate counts such steps. */
TG_API tg_status tg_ranks_step(tg_ranks *r, tg_optim *o, double *mean_loss);

/* Collective: rank 0 gets all that o remembers, for a checkpoint
 * (tg_optim_state_get); it is divided again by the next step. Other ranks have
 * slices, which tg_optim_state_get does not give. */
TG_API tg_status tg_ranks_collect(tg_ranks *r, tg_optim *o);

/* ------------------------------------------------------ what else ranks share */

/* Collective: all parameters, buffers included, become those of rank 0. */
TG_API tg_status tg_ranks_broadcast(tg_ranks *r, tg_params *ps);

/* Collective: TG_OK when status is that on every rank; else the error of the
 * first that is not, with its message (NULL allowed). Where one rank alone may
 * fail, such as after reading a file. */
TG_API tg_status tg_ranks_share(tg_ranks *r, tg_status status, const char *message);

/* Collective: whether n numbers, fingerprints of the things that are named, are
 * the same on all ranks; else TG_ESTATE: "ranks 0 and 2 differ in the
 * settings". */
TG_API tg_status tg_ranks_compare(tg_ranks *r, int n, const char *const *name,
                                  const uint64_t *print);

/* The XXH3 of all parameters' names, shapes and values, for tg_ranks_compare. */
TG_API uint64_t tg_params_fingerprint(const tg_params *ps);
/* That of what an optimizer is and how it is set, its parts included; not of
 * what it remembers. */
TG_API uint64_t tg_optim_fingerprint(const tg_optim *o);

/* Collective: an array in n parts of whole bytes, part k being rank k's to give,
 * ending where end[k] says and beginning at the end of the one before; all ranks
 * get all of it. */
TG_API tg_status tg_ranks_gather(tg_ranks *r, void *data, const size_t *end);

typedef struct tg_ranks_stats {
    uint64_t steps;    /* tg_ranks_combine and tg_ranks_step */
    uint64_t messages; /* sent by this rank */
    uint64_t bytes;    /* sent by this rank */
    double seconds;    /* in transport: sending, receiving, waiting */
    /* that r itself takes now: gradients of leaves, messages */
    uint64_t memory;
} tg_ranks_stats;
TG_API tg_ranks_stats tg_ranks_statistics(const tg_ranks *r);

/* ---------------------------------------------------------- how bytes travel
 *
 * What a transport must do. MPI is one; tests have threads. */
struct tg_transport {
    size_t size TG_ZERO;      /* sizeof(tg_transport) */
    const char *name TG_ZERO; /* as in messages */
    int rank TG_ZERO, ranks TG_ZERO;
    int neighbours TG_ZERO; /* ranks on this machine; 0: all */
    void *user TG_ZERO;
    /* Sends out_bytes to rank `to` and receives in_bytes from rank `from`, at
     * the same time; -1: to or from nobody. Messages from one rank to another
     * arrive in the order in which they were sent. false: it failed. */
    bool (*exchange)(void *user, int to, const void *out, size_t out_bytes, int from, void *in,
                     size_t in_bytes) TG_ZERO;
    /* the last call; after an error of all ranks, too. May be NULL. */
    void (*leave)(void *user) TG_ZERO;
    /* ends all ranks. May be NULL. */
    void (*abandon)(void *user, int exit_code) TG_ZERO;
};

#ifdef __cplusplus
}
#endif

#endif
