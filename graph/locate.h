/* Which op of a recording has the wrong derivative. Private. */
#ifndef TG_LOCATE_H
#define TG_LOCATE_H

#include <tapegrad/graph.h>

enum { TG_LOCATE_TEXT = 256 };

/* The results of a recording, in f64, under weights: <weights, out[0], out[1], ...> is the number
 * whose gradient is wrong. Tolerances and step as in tg_gradcheck_options. */
typedef struct tg_locate {
    int n_out;
    tg_tensor *const *out;
    const double *weights;
    int n_active; /* by what it is differentiated: parameters, or tensors of the recording */
    tg_tensor *const *active;
    double relative, absolute, step;
    uint64_t seed;
} tg_locate;

/* "net.c:42: cube", or false when it can't be told: too many nodes, or a fault that no op has by
 * itself. Records on t. */
bool tg_locate_fault(tg_tape *t, const tg_locate *at, char text[TG_LOCATE_TEXT]);

#endif
