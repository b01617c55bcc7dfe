/* What losses share. Private. */
#ifndef TG_LOSS_H
#define TG_LOSS_H

#include "folds.h"

/* Whether loss `name` can go on: prediction and target are f32 or f64, of one dtype and shape; else
 * the tape is in error. */
bool tg_loss_fits(tg_tape *t, const char *where, const char *name, tg_tensor *prediction,
                  tg_tensor *target);

/* The mean or sum of a loss's elements, or the elements. */
tg_tensor *tg_loss_reduce(tg_tape *t, const char *where, const char *name, tg_tensor *y,
                          tg_reduction reduction);

#endif
