/* tapegrad: how long a function takes.
 *
 *     static tg_tensor *f(tg_tape *t, tg_tensor *const *x, int n, void *user)
 *     {
 *         return tg_softmax(t, x[0], -1);
 *     }
 *     ...
 *     tg_time_report r;
 *     tg_time(f, 1, &(tg_time_input){TG_F32, TG_SHAPE(64, 1000), data}, NULL, NULL, &r);
 *     printf("%g s forward, %g s with its gradient\n", r.forward.seconds, r.both.seconds);
 *
 * It is to speed what tg_gradcheck is to derivatives. The function is recorded
 * once and replayed, in rounds of which the median counts, so what is measured
 * is its computation, not the recording. On one thread it is processor time:
 * other programs hardly matter.
 *
 * Contents: timing a function. */
#ifndef TG_TIMING_H
#define TG_TIMING_H

#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ----------------------------------------------------- timing a function */

/* An input: its elements, row-major. */
typedef struct tg_time_input {
    tg_dtype dtype TG_ZERO;
    tg_shape shape TG_ZERO;
    const void *data TG_ZERO;
    bool constant TG_ZERO; /* no gradient of it; i64 and u8 have none anyway */
} tg_time_input;

typedef struct tg_time_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    int threads TG_ZERO;          /* 0: 1; on more wall time is measured */
    int rounds TG_ZERO;           /* 0: 25; 1000 at most */
    double round_seconds TG_ZERO; /* of each; 0: 0.02 */
    bool forward_only TG_ZERO;
    /* A second function of the same inputs. The two take turns, round by round,
     * so that what else the machine does meets both. */
    tg_function against TG_ZERO;
    void *against_user TG_ZERO;
    /* Measure what the machine can do, for tg_timing.limit: so many rounds, of
     * which the best counts. 60 rounds are good, and take some seconds; 3 give
     * a first impression; 0: don't. */
    int limit_rounds TG_ZERO;
} tg_time_options;

/* Of a call: the median of the rounds, and the tenth percentile, near the best
 * that the machine gives. NaN: not measured. */
typedef struct tg_timing {
    double seconds, low;
    /* Bytes to be moved and floating-point operations, each step of the plan by
     * itself, as tg_profile_row counts them; and the time that the machine's
     * limits leave for them, over `seconds`: at 1 it can't be done better. NaN
     * when the limits weren't measured. */
    double bytes, flops, limit;
} tg_timing;

typedef struct tg_time_report {
    tg_status status;
    /* The function, and together with the gradients of its inputs for a gradient
     * of ones that arrives. `both` is NaN when there are none. */
    tg_timing forward, both;
    tg_timing against_forward, against_both;
    /* How many times as long the second function takes: medians over the rounds */
    double ratio_forward, ratio_both;
    char message[512]; /* of a failure */
} tg_time_report;

/* Times f on the n inputs, whose data must stay unchanged meanwhile. f may use
 * parameters, whose gradients are not part of it. Fills *report and returns its
 * status: TG_OK, what a function's tape failed with, TG_ENOMEM, TG_ENULL (f or
 * the inputs) or TG_EVALUE (an option). A lean library has no clock:
 * TG_ESTATE. */
TG_API tg_status tg_time(tg_function f, int n, const tg_time_input *inputs, void *user,
                         const tg_time_options *options, tg_time_report *report);

#ifdef __cplusplus
}
#endif

#endif
