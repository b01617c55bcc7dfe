/* An optimizer from the inside, and what its files share. Private. */
#ifndef TG_OPTIMIZER_H
#define TG_OPTIMIZER_H

#include <tapegrad/ranks.h>

#include "../graph/params.h"

/* What is remembered of a parameter; found by the parameter's index, which never changes. */
typedef struct tg_history {
    int64_t steps;
    void *slots;  /* all of them in one block, each aligned; NULL until the first step */
    size_t bytes; /* of the block */
    tg_part span; /* the parameter's elements that they are of: all, or those of a division */
} tg_history;

/* A step of which each of several ranks takes its part: the elements `mine` of every parameter,
 * which are multiples of TG_NORM_CHUNK from the parameter's begin, or end where it does. */
typedef struct tg_division {
    const tg_part *mine; /* [parameters] */
    int ranks, rank;
    double *chunk; /* room for a number for each chunk of all parameters, and for each rank */
    /* Nothing has changed yet: whether all ranks are as far; error says why not. */
    bool (*ready)(void *user, tg_status status, const char *message);
    /* x becomes its sum over the ranks, on all of them. */
    bool (*sum)(void *user, double *x, size_t n);
    const tg_error *error;
    void *user;
} tg_division;

enum { TG_NORM_CHUNK = 1024 };

/* A part of a parameter, updated by one call. */
typedef struct tg_piece {
    uint32_t param;
    uint32_t set; /* of coefficients */
    int64_t first, n;
} tg_piece;

typedef struct tg_coefficients {
    double c[TG_OPTIM_COEFFICIENTS];
} tg_coefficients;

/* The gradients of params that `mover` moves; NULL: all of them. */
typedef struct tg_grads {
    const tg_params *params;
    const tg_mover *mover;
    const tg_division *division; /* NULL: none */
} tg_grads;

struct tg_optim {
    tg_allocator allocator;
    tg_error error;
    bool unusable; /* the error is that of the creation */
    tg_params *params;
    tg_optim_rule rule;
    void *options;
    double learning_rate, factor;
    bool maximize;
    int threads, build;
    tg_mover mover;
    /* Optimizers that step with it and belong to it, themselves without parts. */
    tg_optim **parts;
    size_t n_parts, part_capacity;
    tg_grads *groups; /* room for itself and the parts, when there are any */
    size_t group_capacity;
    /* What happens to gradients before a step. */
    bool treats; /* does anything at all happen to them? */
    tg_clip_options clip;
    double norm;                            /* before clipping; NaN: not computed */
    int64_t skipped, accumulate, collected; /* steps */
    const tg_division *division;            /* of the step at hand; NULL: none */
    bool divided;                           /* its state is, since a step by tg_ranks_step */
    tg_history *histories;
    size_t n_histories, history_capacity;
    /* Rebuilt by each step, kept for their room. */
    tg_piece *pieces;
    size_t n_pieces, piece_capacity;
    tg_coefficients *sets;
    size_t n_sets, set_capacity;
};

/* The k-th of an optimizer and its parts: itself, the parts, NULL. */
static inline tg_optim *tg_optim_member(const tg_optim *o, size_t k)
{
    return k == 0 ? (tg_optim *)(uintptr_t)o : k <= o->n_parts ? o->parts[k - 1] : NULL;
}

/* Whether p is o's to move; takes it when it is free. */
bool tg_optim_owns(tg_optim *o, tg_param *p);

/* Whether p, not o's own, would be moved twice. */
bool tg_optim_rivals(const tg_optim *o, const tg_param *p);

/* Treats the gradients of a step as the settings want it; *skip: there is nothing to move. */
tg_status tg_optim_treat(tg_optim *o, bool *skip);

/* Places for the histories of all parameters, and for what the rule remembers of one. false: no
 * memory. */
bool tg_optim_cover(tg_optim *o);
bool tg_optim_remember(tg_optim *o, const tg_param *p);
/* Makes what is remembered that of other elements; zeros where it wasn't of them. */
bool tg_optim_resize(tg_optim *o, const tg_param *p, tg_part span);
/* where a slot's elements `span` begin */
void *tg_optim_slot(const tg_optim *o, const tg_param *p, int slot);

/* ---------------------------------------------------------------- gradients: clip.c */

static inline bool tg_grads_has(const tg_grads *g, const tg_param *p)
{
    return p->has_grad && (!g->mover || (p->mover == g->mover && p->trainable));
}

/* A lean library has one rank: what divides a step is left out of it. */
#ifdef TG_LEAN
#define TG_DIVISION_OF(x) ((const tg_division *)NULL)
#else
#define TG_DIVISION_OF(x) ((x)->division)
#endif

static inline tg_part tg_division_span(const tg_division *d, const tg_param *p)
{
    return d ? d->mine[p->slot.id] : (tg_part){0, p->count};
}

/* Over n groups at once: the norm, a factor, a limit for elements; all gradients away. */
double tg_grads_norm(size_t n, const tg_grads *g);
void tg_grads_scale(size_t n, const tg_grads *g, double factor);
void tg_grads_clamp(size_t n, const tg_grads *g, double limit);
void tg_grads_drop(size_t n, const tg_grads *g);

/* The first parameter whose gradient is not finite; NULL: there is none. */
const tg_param *tg_grads_nonfinite(size_t n, const tg_grads *g);

#endif
