/* A report from the inside. Private. */
#ifndef TG_RECORDER_H
#define TG_RECORDER_H

#include <tapegrad/report.h>

#include "../data/json.h"
#include "../training/model.h"

/* So many numbers of a kind as a page shows. */
enum { TG_BINS = 32, TG_SNAPSHOTS = 40, TG_THIN = 2000 };

/* One step of the training. */
typedef struct tg_recorded_step {
    double loss, norm, rate;
} tg_recorded_step;

typedef struct tg_histogram {
    double low, high;
    int32_t count[TG_BINS];
} tg_histogram;

/* A parameter at the end of an epoch. */
typedef struct tg_snapshot {
    int64_t epoch;
    double ratio; /* of the last update's norm to the weights' */
    tg_histogram weights, gradients;
} tg_snapshot;

struct tg_report {
    tg_allocator allocator;
    tg_error error;
    tg_model *m;
    tg_arena memory;
    tg_report_options options; /* its texts are copies */
    tg_fit_options inner;      /* the callbacks that were there */
    tg_optim *optimizer;
    tg_profile *profile, *own;
    double *before; /* one parameter after the other, ahead of the update; NULL: not taken */
    int64_t n_params, elements;
    tg_recorded_step *step;
    size_t n_steps, step_capacity;
    tg_snapshot *snapshot; /* n_params for each epoch that is kept */
    size_t n_snapshots, snapshot_capacity;
    int64_t every; /* epochs from one to the next */
};

/* A member of a JSON object; a NULL value, or one that can't be added, is an error of the
 * report's. */
void tg_report_put(tg_report *r, json_t *object, const char *name, json_t *value);
json_t *tg_report_number(double x); /* null for NaN and infinity */

/* examine.c: what the net does on data; members of the root. */
void tg_report_examine(tg_report *r, json_t *root, const tg_dataset *train, const tg_dataset *data);

/* surface.c: the answers over a plane, and which features matter. */
void tg_report_surface(tg_report *r, json_t *root, const tg_dataset *data);
void tg_report_importance(tg_report *r, json_t *root, const tg_dataset *data);

#endif
