/* Parameters from the inside: what optimizers and the tape's runner may touch. Private. */
#ifndef TG_PARAMS_H
#define TG_PARAMS_H

#include "memory.h"
#include "workers.h"

/* A handle is the address of one byte of a slot: which byte says which recording it is of, so that
 * telling an old handle from a new one costs a comparison, and nothing a node. */
struct tg_tensor {
    unsigned char byte;
};

enum { TG_GENERATIONS = 32 }; /* bytes of a slot, recordings told apart */

/* A tape's slot stands for a node, a parameter's is the first member of its tg_param. */
typedef struct tg_slot {
    _Alignas(TG_GENERATIONS) tg_tape *tape; /* NULL: a parameter's */
    uint32_t id;                            /* the node; a parameter's index in its set */
    uint32_t value;       /* 1 + index of the tape's computed value, 0 while there is none */
    const char *where[2]; /* the node's position in recordings of even and of odd number */
} tg_slot;
_Static_assert(sizeof(tg_slot) == TG_GENERATIONS, "a slot has a byte for each generation");

static inline tg_slot *tg_slot_of(const tg_tensor *x)
{
    return (tg_slot *)((uintptr_t)x & ~(uintptr_t)(TG_GENERATIONS - 1));
}

static inline uint32_t tg_generation_of(const tg_tensor *x)
{
    return (uint32_t)((uintptr_t)x & (TG_GENERATIONS - 1));
}

/* What moves parameters of a set: an optimizer. Either may be freed first. */
typedef struct tg_mover {
    tg_params *params; /* NULL: none, or they are gone */
    struct tg_mover *next;
    const char *name;             /* in messages */
    bool choosy;                  /* moves what it has taken by name, not all that no other moves */
    const struct tg_mover *whole; /* that it is a part of; NULL: none */
} tg_mover;

typedef struct tg_param {
    tg_slot slot;
    tg_params *owner;
    char name[256];
    tg_dtype dtype;
    tg_shape shape;
    int64_t count;
    size_t bytes;
    void *value;
    void *grad; /* allocated with the parameter's first gradient; holds one only while has_grad */
    bool has_grad;
    bool trainable;
    uint64_t version;      /* from 1 */
    const tg_mover *mover; /* the only one that moves it; NULL: none so far */
} tg_param;

/* The parameter behind a handle, NULL when it is none. */
static inline tg_param *tg_param_of(const tg_tensor *p)
{
    return p && !tg_slot_of(p)->tape ? (tg_param *)(void *)tg_slot_of(p) : NULL;
}
static inline tg_tensor *tg_param_handle(tg_param *p) { return (tg_tensor *)(void *)&p->slot; }

struct tg_params {
    tg_allocator allocator;
    tg_error error;
    uint64_t seed;
    tg_param **list; /* stable addresses */
    size_t count, capacity;
    /* open addressing by the hash of the name: 1 + index, 0 while free; a power of two of them, at
     * most half taken */
    uint32_t *slots;
    size_t slot_count;
    tg_mover *movers;    /* of its parameters, a list */
    tg_workers *workers; /* that computed its gradients last: they are awake for the update */
};

/* p->grad, allocated now if need be (contents undefined, has_grad unchanged); NULL: no memory */
void *tg_param_grad_buffer(tg_param *p);
static inline void tg_param_changed(tg_param *p) { p->version++; }

void tg_mover_enter(tg_mover *m, tg_params *ps, const char *name);
void tg_mover_leave(tg_mover *m);

/* A set like `source` with every parameter converted to f64, for gradient checks; same names,
 * values, trainable flags. NULL: no memory. */
tg_params *tg_params_copy_f64(const tg_params *source, const tg_allocator *allocator);

/* buffers.c: the k-th buffer that a recording sets (tg_buffer_set), and its computed new value,
 * NULL with the tape in error; NULL: there are no more. */
tg_param *tg_buffer_pending(tg_tape *t, size_t k, const void **value);

/* random.c */
uint64_t tg_random_key(uint64_t seed, uint64_t stream);
void tg_random_uniform(uint64_t key, int64_t n, double *out); /* in [0, 1), 53 bits */
void tg_random_normal(uint64_t key, int64_t n, double *out);  /* Box and Muller 1958 */

/* The same, from element `first` (even) on. */
void tg_random_uniform_from(uint64_t key, int64_t first, int64_t n, double *out);
void tg_random_normal_from(uint64_t key, int64_t first, int64_t n, double *out);

#endif
