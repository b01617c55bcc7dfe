/* tapegrad: learning-rate schedules.
 *
 * Functions of the step, from 0, to be multiplied with a base learning rate:
 *
 *     tg_optim_set_factor(o, tg_schedule_cosine(step, steps, 0));
 *
 * They keep no state, so a run that is resumed needs nothing but its step; any
 * function of one's own does as well. The formulas are PyTorch's, whose
 * schedulers have the names in brackets; a "step" may be an epoch. NaN when an
 * argument is out of its range, which tg_optim_set_factor and
 * tg_optim_set_learning_rate refuse. All steps are >= 0. */
#ifndef TG_SCHEDULE_H
#define TG_SCHEDULE_H

#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* factor until `total`, then 1 (ConstantLR); factor, total >= 0 */
TG_API double tg_schedule_constant(int64_t step, int64_t total, double factor);

/* gamma^floor(step / every) (StepLR); every >= 1 */
TG_API double tg_schedule_step(int64_t step, int64_t every, double gamma);

/* gamma^(how many of n milestones are <= step) (MultiStepLR); milestones may be
 * NULL when n is 0 */
TG_API double tg_schedule_multistep(int64_t step, int n, const int64_t *milestones, double gamma);

/* gamma^step (ExponentialLR); gamma >= 0 in all of them */
TG_API double tg_schedule_exponential(int64_t step, double gamma);

/* (1 - min(step, total) / total)^power (PolynomialLR); total >= 1, power >= 0 */
TG_API double tg_schedule_polynomial(int64_t step, int64_t total, double power);

/* start + (end - start) min(step, total) / total (LinearLR): a warm-up for
 * start < end = 1; total >= 1, start and end >= 0 */
TG_API double tg_schedule_linear(int64_t step, int64_t total, double start, double end);

/* Up from 0 to 1 in `warmup` steps, then down to 0 at `total`: step / warmup,
 * (total - step) / (total - warmup), 0; 0 <= warmup < total. */
TG_API double tg_schedule_warmup_linear(int64_t step, int64_t warmup, int64_t total);

/* floor + (1 - floor) (1 + cos(pi step / total)) / 2, and floor from `total`
 * on; total >= 1, floor >= 0 (Loshchilov and Hutter 2017) */
TG_API double tg_schedule_cosine(int64_t step, int64_t total, double floor);

/* The same formula without end: behind `total` it rises again, as PyTorch's
 * does (CosineAnnealingLR). */
TG_API double tg_schedule_cosine_annealing(int64_t step, int64_t total, double floor);

/* tg_schedule_cosine over `first` steps, then over growth times as many, and so
 * on, each from 1 again (CosineAnnealingWarmRestarts); first, growth >= 1 */
TG_API double tg_schedule_cosine_restarts(int64_t step, int64_t first, int64_t growth,
                                          double floor);

/* One cycle of `total` steps (OneCycleLR; Smith and Topin 2018), relative to the
 * largest learning rate: from start up to 1 at the step rise total - 1, and
 * down to `end` at total - 1; in three phases first back down to start, at the
 * step 2 rise total - 2. Between them along half a cosine, or straight. Behind
 * its end it stays at `end`, where PyTorch refuses to go on; the momentum is
 * not cycled. NULL: the defaults. */
typedef struct tg_one_cycle_options {
    size_t size TG_ZERO;
    double rise TG_ZERO;  /* 0: 0.3; in (0, 1) */
    double start TG_ZERO; /* 0: 1 / 25 */
    double end TG_ZERO;   /* 0: start / 1e4 */
    bool straight TG_ZERO;
    bool three_phases TG_ZERO;
} tg_one_cycle_options;
TG_API double tg_schedule_one_cycle(int64_t step, int64_t total,
                                    const tg_one_cycle_options *options);

/* Up from `low` to 1 in `up` steps and down again in `down`, over and over
 * (CyclicLR; Smith 2017). What is above low shrinks by `halve` to a half with
 * each cycle ("triangular2"), and by gamma with each step ("exp_range"). */
typedef struct tg_cyclic_options {
    size_t size TG_ZERO;
    double low TG_ZERO;   /* the smallest learning rate over the largest; in [0, 1] */
    int64_t up TG_ZERO;   /* 0: 2000 */
    int64_t down TG_ZERO; /* 0: like up */
    double gamma TG_ZERO; /* 0: 1 */
    bool halve TG_ZERO;
} tg_cyclic_options;
TG_API double tg_schedule_cyclic(int64_t step, const tg_cyclic_options *options);

/* A part of a sequence: from the step `from` on, factor(step - from, user). */
typedef struct tg_schedule_part {
    int64_t from;
    double (*factor)(int64_t step, void *user);
    void *user;
} tg_schedule_part;

/* One schedule after the other (SequentialLR): the last of n parts that begins
 * at or before step. The first begins at 0, and they rise. */
TG_API double tg_schedule_sequence(int64_t step, int n, const tg_schedule_part *parts);

/* ---------------------------------------------------------------- plateau
 *
 * The only one with a state: it watches a metric (ReduceLROnPlateau). A plain
 * struct, options first, that begins as zeros; saved with its bytes.
 *
 *     tg_plateau p = {.patience = 3};
 *     ... after each epoch:
 *     tg_optim_set_factor(o, tg_schedule_plateau(&p, validation_loss)); */
typedef struct tg_plateau {
    double factor TG_ZERO; /* 0: 0.1; in (0, 1) */
    /* how many calls in a row may bring nothing better; 0: 10, -1: none */
    int64_t patience TG_ZERO;
    /* better is below best (1 - threshold), or best - threshold if absolute;
     * when larger is better above best (1 + threshold), best + threshold. 0: 1e-4 */
    double threshold TG_ZERO;
    bool absolute TG_ZERO;
    bool larger TG_ZERO;      /* larger metrics are better */
    int64_t cooldown TG_ZERO; /* calls behind a reduction that don't count */
    double floor TG_ZERO;     /* the smallest result */
    /* the state */
    bool begun TG_ZERO;
    double best TG_ZERO, reached TG_ZERO;
    int64_t bad TG_ZERO, cooling TG_ZERO;
} tg_plateau;

/* 1 at first; times factor, but no lower than floor, when the metric has not
 * become better for more than `patience` calls. A NaN is nothing better. */
TG_API double tg_schedule_plateau(tg_plateau *p, double metric);

/* ---------------------------------------------------------- schedules by name
 *
 * Every schedule above but plateaus and sequences of functions, for programs
 * that let their users choose. */

typedef struct tg_schedule_setting {
    const char *name;
    /* what it is when it isn't given; of steps 0: all there are, NaN: must be
     * given */
    double otherwise;
    double low, high; /* its range */
    bool steps;       /* a number of steps */
    bool several;     /* several, colons between: 30:60:90 */
    bool flag;        /* its name alone turns it on */
} tg_schedule_setting;

enum { TG_SCHEDULE_VALUES = 16 };

typedef struct tg_schedule_info {
    const char *name, *about;
    const tg_schedule_setting *settings;
    int n_settings;
    /* values: the settings'; of several the last, their number before them */
    double (*factor)(int64_t step, const double *values);
} tg_schedule_info;

/* All of them; *n gets their number. */
TG_API const tg_schedule_info *const *tg_schedules_list(int *n);

typedef struct tg_schedule tg_schedule;

/* A schedule from text: a name and settings, spaces or commas between, such as
 * "step every=30 gamma=0.1". Several, semicolons between, follow each other; all
 * but the last say how long they take, by their steps or with for=: "linear
 * start=0.1 steps=5%; cosine". Steps are plain numbers, or 10epochs, or a share
 * of all steps: 5%. total >= 1, epoch (steps in one) >= 1. NULL only when memory
 * is short; TG_EVALUE names what is not understood. allocator may be NULL. */
TG_API tg_schedule *tg_schedule_parse(const char *text, int64_t total, int64_t epoch,
                                      const tg_allocator *allocator);
TG_API void tg_schedule_free(tg_schedule *s); /* NULL allowed */
/* TG_ENOMEM for NULL */
TG_API tg_status tg_schedule_status(const tg_schedule *s);
/* "" without an error */
TG_API const char *tg_schedule_message(const tg_schedule *s);
/* NaN for NULL, in error, and below 0 */
TG_API double tg_schedule_factor(const tg_schedule *s, int64_t step);

#ifdef __cplusplus
}
#endif

#endif
