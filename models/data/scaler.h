/* Numbers as data sets keep them, and what scaling is computed from. Private. */
#ifndef TG_SCALER_H
#define TG_SCALER_H

#include "dataset.h"

/* Numbers that are kept as f32, or as f64 where they are not the same in f32. */
typedef struct tg_numbers {
    const float *narrow;
    const double *wide; /* NULL: narrow has them */
} tg_numbers;

static inline double tg_number_at(tg_numbers x, int64_t k)
{
    return x.wide ? x.wide[k] : (double)x.narrow[k];
}

/* Mean and population standard deviation of n numbers, `stride` apart from `first` on; deviation 1
 * where they are constant but for rounding. */
void tg_moments(tg_numbers x, int64_t first, int64_t n, int64_t stride, double *mean,
                double *deviation);

#endif
