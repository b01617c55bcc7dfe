/* A training on its way. Private. */
#ifndef TG_TRAINER_H
#define TG_TRAINER_H

#include "model.h"

/* The best epoch so far. */
typedef struct tg_watch {
    double best;
    int64_t epoch;  /* 0: none */
    int64_t worse;  /* epochs since */
    void **weights; /* [n] of the parameters; NULL: not kept */
    size_t n, capacity;
} tg_watch;

/* How a training is shared out; ranks NULL: it isn't, and a step is one tg_backward. */
typedef struct tg_sharing {
    tg_ranks *ranks;
    tg_ranks *own; /* made here, for one rank */
    int64_t leaves;
    tg_scores *scores; /* [leaves] of the epoch; those of other ranks are old */
} tg_sharing;

typedef struct tg_trainer {
    tg_model *m;
    const tg_dataset *data;
    tg_fit_options o;
    tg_optim *optimizer; /* the caller's or own */
    tg_optim *own;
    tg_tape *tape;
    tg_rows rows;
    int64_t *order; /* of the rows; NULL: as they are */
    tg_sharing sharing;
    tg_average *average;
    tg_watch watch;
    double factor; /* the plateau's */
    /* what the model had done when the training began */
    int64_t epochs_before;
    uint64_t steps_before;
    /* of the epoch on its way: how many rows are done, and their scores */
    int64_t at;
    tg_scores scores;
    double start;     /* the time when this call began, less what earlier ones took */
    double saved;     /* the time of the last checkpoint */
    uint64_t unsaved; /* steps and epochs since */
    double batch_loss;
    bool stopped; /* by a callback */
} tg_trainer;

double tg_seconds(void);
/* "fit: what", in m's error. Returns the status that stands. */
tg_status tg_fit_fail(tg_model *m, tg_status status, const char *what);

void tg_tell_progress(tg_trainer *r, bool (*to)(const tg_progress *progress, void *user));

/* The error of a loss that is not finite; gradients are dropped. */
tg_status tg_loss_failed(tg_model *m, double loss);

/* ------------------------------------------------- what epochs are judged by: stopping.c */

/* Room for averages and the best weights, and the first factor. */
tg_status tg_judge_begin(tg_trainer *r);
void tg_judge_end(tg_trainer *r);
tg_status tg_set_factor(tg_trainer *r);         /* before a step */
tg_status tg_average_step(tg_trainer *r);       /* behind it */
tg_status tg_judge(tg_trainer *r, tg_epoch *e); /* evaluates an epoch that is over */
bool tg_is_patient(const tg_trainer *r);        /* false: the training ends early */
/* The weights with which the training ends. */
tg_status tg_take_weights(tg_trainer *r);

/* ------------------------------------------------- checkpoint.c; in a lean library left_out.c */

tg_status tg_training_write(tg_trainer *r);
/* Without a file nothing happens. */
tg_status tg_training_read(tg_trainer *r);
/* Of rows, targets and names; 0 without data. Not in a lean library. */
uint64_t tg_dataset_digest(const tg_dataset *d);

/* ------------------------------------- steps cut into leaves, and ranks: sharing.c; left_out.c
 *
 * Collective but for the first. Errors of one rank become those of all. */

/* What is needed for it, if anything is shared. */
tg_status tg_sharing_begin(tg_trainer *r);
/* Once the training could begin: whether all ranks are about to do the same. */
tg_status tg_sharing_start(tg_trainer *r);
tg_status tg_sharing_step(tg_trainer *r, int64_t n);
tg_status tg_sharing_epoch(tg_trainer *r);    /* the epoch's scores, before they are judged */
tg_status tg_sharing_write(tg_trainer *r);    /* tg_training_write by rank 0 */
bool tg_sharing_any(tg_trainer *r, bool yes); /* whether any rank says so */
void tg_sharing_end(tg_trainer *r);

#endif
