/* A tensor as lines along one axis. Private. */
#ifndef TG_LINES_H
#define TG_LINES_H

#include "folds.h"

/* carried: lines */
/* x as [outer, n, inner] around the axis attrs[0]. */
typedef struct tg_lines {
    int64_t outer, n, inner;
} tg_lines;

static inline tg_lines tg_lines_of(const tg_call *c)
{
    const tg_shape s = c->x[0].shape;
    tg_lines l = {1, s.dim[c->attrs[0]], 1};
    for (int k = 0; k < s.ndim; k++) {
        if (k < c->attrs[0]) l.outer *= s.dim[k];
        if (k > c->attrs[0]) l.inner *= s.dim[k];
    }
    return l;
}

enum { TG_COLUMNS = 64 }; /* worked on side by side */

/* Runs part(c, &lines, k) for each group of TG_COLUMNS lines, or fewer at the end. */
static inline void tg_lines_run(const tg_call *c,
                                void (*part)(const tg_call *c, void *user, int64_t k))
{
    tg_lines l = tg_lines_of(c);
    if (tg_shape_count(c->y->shape) == 0) return;
    tg_parallel(c, l.outer * ((l.inner + TG_COLUMNS - 1) / TG_COLUMNS), part, &l);
}

/* In a part: where its lines begin, and how many they are. */
#define TG_LINES_PART                                                                    \
    const tg_lines *l = user;                                                            \
    const int64_t blocks = (l->inner + TG_COLUMNS - 1) / TG_COLUMNS,                     \
                  first = part % blocks * TG_COLUMNS,                                    \
                  width = l->inner - first < TG_COLUMNS ? l->inner - first : TG_COLUMNS, \
                  at = part / blocks * l->n * l->inner + first;

/* carried so far */

#endif
