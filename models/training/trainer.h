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

typedef struct tg_trainer {
    tg_model *m;
    const tg_dataset *data;
    tg_fit_options o;
    tg_optim *optimizer; /* the caller's or own */
    tg_optim *own;
    tg_tape *tape;
    tg_rows rows;
    int64_t *order; /* of the rows; NULL: as they are */
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

#endif
