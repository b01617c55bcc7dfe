/* What the machine can do, measured: the yardstick of benchmarks and profiles. Not in the lean
 * library. Private. */
#ifndef TG_MACHINE_H
#define TG_MACHINE_H

#include "memory.h"

/* Bandwidth is known for footprints of 16 KiB, 32 KiB, ... 256 MiB. */
enum { TG_FOOTPRINTS = 15 };

typedef struct tg_limits {
    int threads;
    double fma_f32, fma_f64;         /* floating-point operations a second */
    double bandwidth[TG_FOOTPRINTS]; /* bytes a second, of y = x + s z, by footprint */
} tg_limits;

double tg_footprint_bytes(int index);

/* Measures `threads` threads that begin together, in rounds of a millisecond or two (the largest
 * footprints take 20) of which the best counts: a limit is what the machine can do, not what it
 * does while others use it. Takes 260 MiB meanwhile. 60 rounds are good, 3 a first impression.
 * TG_ENOMEM: no memory, or no threads. */
tg_status tg_limits_measure(const tg_allocator *allocator, int threads, int rounds,
                            tg_limits *limits);

/* The least seconds for f32 operations, and for moving bytes when all that is touched makes
 * `footprint` bytes. */
double tg_limits_seconds(const tg_limits *limits, double flops, double bytes, double footprint);

/* Operations a second with the instructions of one build, TG_BUILD_..., on one thread; 0 when the
 * processor doesn't have them, or there is no memory. */
double tg_limits_arithmetic(const tg_allocator *allocator, int build, tg_dtype dtype, int rounds);

#endif
