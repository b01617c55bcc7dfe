/* What the parts of `tapegrad train` share. */
#ifndef TRAINING_H
#define TRAINING_H

#include "../../graph/file.h"
#include "main.h"

/* A training, and what is shown of it. */
typedef struct display {
    const request *r;
    tg_model *m;
    bool terminal; /* a bar that is drawn over and over, instead of lines */
    bool regression;
    const char *held; /* what the held-out rows are called */
    int64_t epochs, batch, leaves;
    double began, drawn; /* when steps began, and when the bar was drawn last */
    int64_t steps;       /* taken since it began */
    int64_t written;     /* epochs in the history */
    tg_metrics trained, tested;
    double took; /* seconds */
    tg_optim *optimizer;
    tg_schedule *schedule; /* NULL: none */
    tg_file *history;      /* NULL: none is wanted */
} display;

double now_seconds(void);
double score(const display *d, const tg_metrics *m);

/* progress.c */
bool on_batch(const tg_progress *p, void *user);
bool on_epoch(const tg_epoch *e, void *user);

/* history.c: the epochs that are not in the file yet */
int open_history(const request *r, display *d, tg_file *file);
void write_history(display *d);
int close_history(const request *r, const display *d, int status);

/* checkpoints.c */
typedef struct checkpoint {
    char path[TG_FILE_PATH], settings[4096];
} checkpoint;
/* Makes the folder, and catches what would end the program. */
int open_checkpoint(const request *r, const display *d, checkpoint *c);
/* 0, or the signal that asked for the end */
int asked_to_stop(void);
/* Says how to go on; the exit status. */
int stopped(const request *r, const tg_model *m);

#endif
