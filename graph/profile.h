/* tapegrad: where the time of a program goes.
 *
 *     tg_profile *p = tg_profile_new(NULL);
 *     tg_profile_begin(p, t);
 *     ... record and evaluate on t ...
 *     tg_profile_end(p, t);
 *     tg_profile_write(p, TG_PROFILE_TABLE, "/dev/stdout");
 *     tg_profile_free(p);
 *
 * A plan's steps are measured: each is a product or another kernel, or a group
 * of elementwise ops and reductions that were fused into one pass over memory.
 * Backward ops are those that a derivative recorded. While nobody measures, a
 * tape runs the same instructions as without this header; while one does, a
 * step takes a look at the clock more, some 25 ns, which are part of its time.
 *
 * Contents: a profile; what it says. */
#ifndef TG_PROFILE_H
#define TG_PROFILE_H

#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------- a profile */

typedef struct tg_profile tg_profile;

typedef struct tg_profile_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    /* Evaluations that the trace shows step by step, the first ones; 0: 100.
     * All are counted in the rows. */
    int64_t traced TG_ZERO;
    /* Measure what the machine can do, for tg_profile_row.limit: so many rounds,
     * of which the best counts, on so many threads (0: 1). 60 rounds are good,
     * and take some seconds; 3 give a first impression; 0: don't. */
    int limit_rounds TG_ZERO, threads TG_ZERO;
} tg_profile_options;

/* Errors stick to the profile, which then measures nothing more; the tapes go
 * on. NULL only when memory is short. A lean library has no profiles: TG_ESTATE
 * sticks to each. */
TG_API tg_profile *tg_profile_new(const tg_profile_options *options);
/* after tg_profile_end, or the end of the tapes; NULL allowed */
TG_API void tg_profile_free(tg_profile *p);
TG_API tg_status tg_profile_status(const tg_profile *p); /* TG_ENOMEM for NULL */
TG_API const char *tg_profile_message(const tg_profile *p);

/* From here on, and up to tg_profile_end, all that is evaluated on t is
 * measured and added to p. Values and messages stay what they are. Several
 * tapes may be measured one after the other, not two at once. TG_ESTATE: t has
 * trace_nonfinite, or is being measured. A scan is one step, whatever its body
 * does. */
TG_API tg_status tg_profile_begin(tg_profile *p, tg_tape *t);
TG_API tg_status tg_profile_end(tg_profile *p, tg_tape *t);

/* --------------------------------------------------------- what it says */

typedef enum tg_profile_by {
    TG_PROFILE_STEPS, /* each step of each plan */
    TG_PROFILE_OPS,   /* what is done: "matmul"; of fused groups the ops in them */
    TG_PROFILE_LINES  /* the line that recorded it, forward and backward apart */
} tg_profile_by;

typedef struct tg_profile_row {
    /* an op, or those of a group: "add, relu"; of lines "net.c:42" or "" */
    const char *name;
    const char *where; /* of a step: the lines, each once */
    const char *shape; /* of a step: of its (first) result */
    /* The share of its ops that a derivative recorded: 0 forward, 1 backward; a
     * fused group may have some of both. Of a line 0 or 1. */
    double backward;
    bool fused; /* of a step: several ops in one pass */
    int64_t runs;
    /* All of these in all runs. A group's time, bytes and operations are shared
     * equally among its ops and lines. */
    double seconds;
    /* Each operand read once and each result written once. */
    double bytes;
    /* Floating-point operations: of an elementwise op those that its expression
     * shows, a function counting as one; of a reduction one an element; of
     * products 2 m n k; of other kernels 0, which means: not counted. */
    double flops;
    /* The time that the machine's limits allow for flops (f32 and f64 have
     * their own) and bytes (those of so small a footprint), over the time
     * taken: at 1 it can't be done better. NaN when the limits weren't
     * measured. */
    double limit;
} tg_profile_row;

/* The rows, those with the most time first; *n gets their number. Owned by p,
 * valid until it measures again, is asked again, or is freed. NULL on an
 * error. */
TG_API const tg_profile_row *tg_profile_rows(tg_profile *p, tg_profile_by by, int64_t *n);

/* seconds between begin and end, so far; evaluations; and the time in their
 * steps: what is left is recording, updates, and the program's own */
typedef struct tg_profile_total {
    double seconds, in_steps;
    int64_t evaluations;
} tg_profile_total;
TG_API tg_profile_total tg_profile_totals(const tg_profile *p);

typedef enum tg_profile_format {
    TG_PROFILE_TABLE, /* for people: 100 columns */
    /* {"seconds", "in_steps", "evaluations", "steps": [...], "ops": [...],
     * "lines": [...], "plans": [...]} with the fields of tg_profile_row; a plan
     * has its steps' times, what each reads, and the slab's lifetimes; "limits"
     * those of the machine, or null */
    TG_PROFILE_JSON,
    /* Chrome's trace events, which https://ui.perfetto.dev opens */
    TG_PROFILE_TRACE,
    TG_PROFILE_FORMAT_COUNT
} tg_profile_format;

/* Writes the file whole or not at all. */
TG_API tg_status tg_profile_write(tg_profile *p, tg_profile_format format, const char *path);

#ifdef __cplusplus
}
#endif

#endif
