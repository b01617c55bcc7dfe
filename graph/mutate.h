/* Where the mutation tool (tests/mutate.c) spoils a derivative: nothing, unless TG_MUTATE is
 * defined. Private. */
#ifndef TG_MUTATE_H
#define TG_MUTATE_H

#include <tapegrad/op.h>

/* A call of op's vjp for node y that recorded the tape's nodes from `first` on. */
typedef struct tg_pulled {
    tg_tape *t;
    const char *where;
    const tg_op *op;
    uint32_t first;
    int n_in;
    tg_tensor *const *x;
    tg_tensor *y;
    const int64_t *attrs;
    tg_tensor *gy;
} tg_pulled;

#ifdef TG_MUTATE
/* What is to be used as gx[k] instead of gx; `used` says whether anything depends on it. */
tg_tensor *tg_mutate(const tg_pulled *p, int k, tg_tensor *gx, bool used);
#else
static inline tg_tensor *tg_mutate(const tg_pulled *p, int k, tg_tensor *gx, bool used)
{
    (void)p, (void)k, (void)used;
    return gx;
}
#endif

#endif
