/* A profile from the inside. Private. */
#ifndef TG_PROFILER_H
#define TG_PROFILER_H

#include <stdio.h>
#include <tapegrad/profile.h>

#include "machine.h"
#include "plan.h"

/* An op in a step. */
typedef struct tg_profiled_op {
    const char *name, *where; /* where: "" when it isn't known */
    bool backward;
} tg_profiled_op;

typedef struct tg_profiled_step {
    tg_profile_row row;
    uint32_t n, n_from;
    const tg_profiled_op *op;
    const uint32_t *from; /* the steps whose results it reads */
    const char *leaves;   /* the leaves that it reads: "x, layer0.weight" */
    const char *formula;  /* of the elementwise ops, "" for others */
} tg_profiled_step;

/* A value in the slab. */
typedef struct tg_profiled_life {
    const char *name;
    bool backward;
    uint32_t first, last;
    int64_t offset, bytes;
} tg_profiled_life;

typedef struct tg_profiled_plan {
    struct tg_profiled_plan *next;
    tg_plan *plan;
    tg_allocator allocator; /* of the plan's memory: it outlives the tape */
    uint64_t hash[2];
    bool backward;
    int64_t runs;
    uint32_t n_steps, n_lives;
    tg_profiled_step *step;
    tg_profiled_life *life;
} tg_profiled_plan;

/* A run that the trace shows: n_steps + 1 times. */
typedef struct tg_traced_run {
    struct tg_traced_run *next;
    const tg_profiled_plan *plan;
    const uint64_t *stamp;
} tg_traced_run;

struct tg_profile {
    tg_allocator allocator;
    tg_error error;
    tg_profile_options options;
    tg_limits limits; /* threads is 0: not measured */
    tg_arena memory;
    tg_tape *tape;         /* that is measured now */
    uint64_t began, first; /* when the tape's measuring, and the first one, began */
    uint64_t taken;        /* nanoseconds of measuring that ended */
    int64_t evaluations, traced;
    double in_steps;
    tg_profiled_plan *plans, *last_plan;
    tg_traced_run *runs, *last_run;
    tg_profile_row *rows; /* of the last question */
    size_t row_capacity;
};

tg_status tg_profile_fail(tg_profile *p, tg_status status, const char *what);
/* "" without memory, and the profile is in error */
const char *tg_profile_text(tg_profile *p, const char *text);

/* Prints what TG_PROFILE_JSON is. */
void tg_profile_put_json(FILE *out, tg_profile *p);

#endif
