/* What the reductions and the shape ops share: axes given by users, and the fold kernels.
 * Private. */
#ifndef TG_FOLDS_H
#define TG_FOLDS_H

#include "../graph/base.h"
#include "family.h"

/* The kernels of max and min, for f32, f64 and i64, with their elementwise forms; those of sum
 * belong to graph. */
extern const tg_folds tg_max_folds, tg_min_folds;
static inline tg_fold_fn tg_sum_of(tg_dtype dtype, int build)
{
    return tg_fold_of(tg_op_sum.fold, dtype, build);
}
static inline tg_fold_fn tg_max_of(tg_dtype dtype, int build)
{
    return tg_fold_of(&tg_max_folds, dtype, build);
}

/* carried: staircase, on sum */
enum { TG_FOLD_MOST = 1024 }; /* elements that one fold takes at most */

/* A reduction of any length, fed with the folds of its chunks in order: the order that op.h
 * documents, in constant memory. */
typedef struct tg_staircase {
    tg_fold_fn fold;
    size_t size; /* bytes of an element */
    int top;
    int64_t count[4];
    /* results waiting at each height; 1024^5 elements fit below an int64_t of bytes */
    double step[4][TG_FOLD_MOST];
} tg_staircase;
/* carried so far */

void tg_staircase_start(tg_staircase *s, tg_fold_fn fold, size_t size);
void tg_staircase_add(tg_staircase *s, const void *chunk);
void tg_staircase_end(tg_staircase *s, void *y);

/* Whether op `name` can go on: the tape is healthy and x belongs to it, else the tape is in error.
 * Every public function asks it of every operand whose type it looks at, or that it may return,
 * before anything else. */
bool tg_ready(tg_tape *t, const char *where, const char *name, const tg_tensor *x);

/* The same, and x is f32 or f64. */
bool tg_ready_float(tg_tape *t, const char *where, const char *name, const tg_tensor *x);

/* axis of `ndim`, counted from the end when negative, in *k; false, with the tape in error, when
 * there is none. */
bool tg_axis_find(tg_tape *t, const char *where, const char *name, int ndim, int axis, int *k);

/* A set of axes, bit k for axis k; false, with the tape in error, when one of them is out of range
 * or given twice. */
bool tg_axes_find(tg_tape *t, const char *where, const char *name, int ndim, tg_axes axes,
                  unsigned *set);

/* The shape with the axes of the set kept as size 1. */
tg_shape tg_shape_reduced(tg_shape shape, unsigned set);

/* x without as many elements at the ends of its axes as `before` and `after`, numbers for each
 * axis, are below 0, which then are 0; NULL, with the tape in error, when it has not so many. */
tg_tensor *tg_crop(tg_tape *t, const char *where, const char *name, tg_tensor *x, tg_shape *before,
                   tg_shape *after);

/* Sum, max or min over a set of axes; x itself when the set is empty. */
tg_tensor *tg_fold_sum(tg_tape *t, const char *where, tg_tensor *x, unsigned set, bool keepdim);
tg_tensor *tg_fold_max(tg_tape *t, const char *where, tg_tensor *x, unsigned set, bool keepdim);

#endif
