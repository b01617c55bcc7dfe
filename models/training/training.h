/* tapegrad: training, scoring and using any model.
 *
 *     static tg_tensor *output(tg_tape *t, void *net, const tg_batch *b)
 *     {
 *         return logits(t, net, b->x);
 *     }
 *     tg_model *m = tg_model_new(&(tg_model_options){
 *         .size = sizeof(tg_model_options),
 *         .params = ps, .net = &net, .output = output});
 *     tg_fit(m, train, NULL);
 *     tg_evaluate(m, test, &metrics, NULL);
 *     if (tg_model_status(m) != TG_OK) puts(tg_model_message(m));
 *     tg_model_free(m);
 *
 * Errors stick to the model, as they do to data sets (data.h).
 *
 * Contents: a model; training; as C; measures; checking it. */
#ifndef TG_TRAINING_H
#define TG_TRAINING_H

#include <tapegrad/data.h>
#include <tapegrad/layers.h>
#include <tapegrad/optim.h>
#include <tapegrad/profile.h>
#include <tapegrad/ranks.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- a model */

/* What a trainer needs of a net. */
typedef struct tg_model tg_model;

/* What the output of a net means, and the loss that goes with it. */
typedef enum tg_head {
    /* the usual one of the task: BCE, cross-entropy, MSE */
    TG_HEAD_AUTO,
    TG_HEAD_BCE,           /* one output, a logit: binary cross-entropy */
    TG_HEAD_MSE,           /* one output, a number: mean squared error */
    TG_HEAD_CROSS_ENTROPY, /* a logit for each class: cross-entropy */
    /* what the model's own loss takes it for: nothing but the loss is scored,
     * and tg_predict gives the outputs as they are */
    TG_HEAD_CUSTOM,
    TG_HEAD_COUNT
} tg_head;

/* "auto", "bce", "mse", "cross_entropy", "custom", and back, like tg_task_name
 * and tg_task_of */
TG_API const char *tg_head_name(tg_head head);
TG_API tg_head tg_head_of(const char *name);

/* Rows of a data set on their way through a net, as inputs of the tape. */
typedef struct tg_batch {
    size_t size TG_ZERO;
    int64_t rows TG_ZERO;
    tg_tensor *x TG_ZERO; /* [rows, features], scaled */
    /* i64 [rows], class numbers (cross-entropy, custom heads of classes); or
     * [rows, 1] of x's dtype: 0 and 1 (BCE), or numbers, scaled. NULL while
     * predicting. */
    tg_tensor *target TG_ZERO;
    /* for tg_batch_get: the data set, and which rows of it these are (NULL:
     * first, first + 1, ...); they stay as they are until the tape's reset */
    const tg_dataset *data TG_ZERO;
    const int64_t *row TG_ZERO;
    int64_t first TG_ZERO;
} tg_batch;

/* What tg_dataset_attach calls so, of the rows of the batch: [rows, row ...]; f32
 * becomes x's dtype. For example a mean loss that weighs the rows:
 *     l = tg_cross_entropy_loss(t, output, b->target, NULL, TG_NO_INDEX, 0,
 *                               TG_REDUCE_NONE);
 *     w = tg_batch_get(t, b, "weight");
 *     return tg_div(t, tg_sum(t, tg_mul(t, l, w), TG_ALL_AXES, false),
 *                   tg_sum(t, w, TG_ALL_AXES, false));
 * TG_EVALUE when there is nothing of that name. */
TG_API tg_tensor *tg_batch_get(tg_tape *t, const tg_batch *batch, const char *name);

typedef struct tg_model_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    const char *name TG_ZERO; /* in messages and files; NULL: "model" */
    /* in files, compared by tg_model_load; NULL: "" */
    const char *version TG_ZERO;
    /* All that is trained, and the buffers (tg_param_set_trainable). They, and
     * net, must outlive the model. */
    tg_params *params TG_ZERO;
    void *net TG_ZERO; /* handed to the functions */
    /* Records the net's output: [rows, 1] for BCE and MSE, [rows, classes] for
     * cross-entropy. A tape in evaluation mode wants no dropout. */
    tg_tensor *(*output)(tg_tape *t, void *net, const tg_batch *batch)TG_ZERO;
    /* Records the mean loss of such an output, one element; NULL: the head's. */
    tg_tensor *(*loss)(tg_tape *t, void *net, tg_tensor *output, const tg_batch *batch)TG_ZERO;
    tg_head head TG_ZERO;
    /* numbers in a row of output, for TG_HEAD_CUSTOM alone */
    int64_t outputs TG_ZERO;
    /* of x: TG_F32 or TG_F64 */
    tg_dtype dtype TG_ZERO;
    /* use features, and the target of a regression, as they are */
    bool no_standardize TG_ZERO;
    uint64_t seed TG_ZERO; /* of dropout masks and the order of the rows */
    /* of the tapes it uses; 0: 1. Never changes a result */
    int threads TG_ZERO;
} tg_model_options;

/* A model of a net of one's own. The first data set that it is used with says
 * what columns and classes mean: later ones must fit. NULL only when memory is
 * short. Nets of this library have a model already (tg_mlp_model), which they
 * own. */
TG_API tg_model *tg_model_new(const tg_model_options *options);
TG_API void tg_model_free(tg_model *m); /* NULL allowed */
/* the sticky status; TG_ENOMEM for NULL */
TG_API tg_status tg_model_status(const tg_model *m);
TG_API const char *tg_model_message(const tg_model *m); /* "" without an error */
/* an error of its creation stays */
TG_API void tg_model_clear_error(tg_model *m);
/* out of range is TG_EVALUE */
TG_API void tg_model_set_threads(tg_model *m, int threads);
/* NULL for NULL or a model that could not be made */
TG_API tg_params *tg_model_params(const tg_model *m);

/* What its data looks like, for readers of data; of a model in error, or
 * without data so far, one that they refuse. Valid until m is freed. */
TG_API const tg_schema *tg_model_schema(const tg_model *m);
/* AUTO while nothing says what they are */
TG_API tg_task tg_model_task(const tg_model *m);
TG_API tg_head tg_model_head(const tg_model *m);
/* 0 for a regression */
TG_API int64_t tg_model_classes(const tg_model *m);
/* these three are NULL out of range */
TG_API const char *tg_model_label(const tg_model *m, int64_t class_number);
TG_API const char *tg_model_feature_name(const tg_model *m, int64_t feature);
TG_API const char *tg_model_target_name(const tg_model *m);

/* Records the output of a batch and, where loss is not NULL, its loss: for
 * training loops of one's own. NULL with the tape in error when the net doesn't
 * give what the head wants. */
TG_API tg_tensor *tg_model_record(tg_tape *t, const tg_model *m, const tg_batch *batch,
                                  tg_tensor **loss);

/* Writes m to one safetensors file: the parameters, buffers among them, under
 * their own names; under __metadata__ what else a prediction needs (name,
 * version, task, features, labels, scaling), and a digest (XXH3, 128 bits) of
 * each part. A tg_mlp's model is written as by tg_mlp_save. The file is replaced
 * as described there. TG_ESTATE before m has met data. */
TG_API tg_status tg_model_save(tg_model *m, const char *path);

/* Reads such a file into a model that was made with the same parameters, name
 * and version: TG_EFORMAT names what differs. A model that has met data must
 * have met such data. On an error no parameter has changed, unless reading
 * failed half-way. */
TG_API tg_status tg_model_load(tg_model *m, const char *path);

/* ---------------------------------------------------------------- training */

typedef struct tg_metrics {
    int64_t rows;
    /* mean over the rows; of a regression in units of the standardised
     * target */
    double loss;
    /* share of the rows whose class is right; NaN for a regression */
    double accuracy;
    double
        /* 1 - (sum of squared residuals) / (sum of squared deviations from the
         * rows' mean); NaN for classes and constant targets */
        r2;
    /* root of the mean squared residual, in the target's units; NaN for
     * classes */
    double rmse;
} tg_metrics;

typedef struct tg_epoch {
    int64_t epoch; /* from 1 */
    /* as the epoch went along: with dropout, under changing weights */
    tg_metrics train;
    /* after the epoch; rows is 0 without validation data */
    tg_metrics validation;
    double seconds; /* since tg_fit began, or the training that it resumed */
    /* what tg_fit_options.watch says of the validation rows; without it their
     * loss, and without them the training loss */
    double watched;
} tg_epoch;

typedef struct tg_progress {
    /* the epoch now running, from 1, and how many there will be */
    int64_t epoch, epochs;
    int64_t batch, batches; /* batches done in it, and how many it has */
    double loss;            /* mean over the epoch's rows so far */
    double batch_loss;      /* mean over the last batch's rows */
} tg_progress;

typedef struct tg_fit_options {
    size_t size TG_ZERO;
    /* of tg_model_params(m); NULL: Adam with PyTorch's defaults */
    tg_optim *optimizer TG_ZERO;
    int64_t epochs TG_ZERO; /* 0: 10 */
    /* rows a step; 0: 32. The last batch of an epoch holds what is left */
    int64_t batch TG_ZERO;
    bool no_shuffle TG_ZERO; /* take the rows in their order */
    /* evaluated after each epoch; may be NULL */
    const tg_dataset *validation TG_ZERO;
    /* Called after each epoch and after each step; returning false ends the
     * training, which is no error. Either may be NULL. */
    bool (*on_epoch)(const tg_epoch *epoch, void *user) TG_ZERO;
    bool (*on_batch)(const tg_progress *progress, void *user) TG_ZERO;
    void *user TG_ZERO;
    /* The optimizer's factor (tg_optim_set_factor) in the k-th step of this
     * training, from 0; it must outlive the call. NULL: the factor is left as
     * it is. */
    const tg_schedule *schedule TG_ZERO;
    /* Told what is watched after each epoch; the factor is the schedule's times
     * its own. The caller's, and changed. */
    tg_plateau *plateau TG_ZERO;
    /* A measure of the validation rows, to be watched instead of their loss. */
    const struct tg_measure *watch TG_ZERO;
    /* After so many epochs in a row that brought nothing better the training
     * ends, and m gets the weights of the best epoch; 0: it doesn't. Better by
     * better_by or less is nothing better, and neither is NaN. */
    int64_t patience TG_ZERO;
    double better_by TG_ZERO;
    /* Whatever ends the training, m gets the weights of the best epoch. */
    bool best TG_ZERO;
    /* Averages of the weights and buffers (tg_average), over the steps from
     * epoch average_from on: with this decay in (0, 1), or 1: all alike. From
     * then on validation looks at them, and m gets them in the end. 0: none. */
    double average TG_ZERO;
    int64_t average_from TG_ZERO;

    /* Checkpoints: a file from which the training goes on, to the bits of one
     * that never stopped. Written after each epoch, or else every so many steps
     * or seconds; when a callback has ended the training, and at its end. Files
     * are replaced as by tg_mlp_save. Not in a lean library. */
    const char *checkpoint TG_ZERO;
    int64_t checkpoint_steps TG_ZERO;
    double checkpoint_seconds TG_ZERO;
    /* Goes on from the checkpoint, when there is one. Everything but epochs,
     * threads and callbacks must be as it was: a model with the same parameters,
     * rows (their digest is compared), batch, optimizer and settings. Weights,
     * history, learning rates and the optimizer's state are the checkpoint's;
     * epochs counts those before, too. TG_EFORMAT for a file that is damaged or
     * no checkpoint, TG_EVALUE for one of another training. */
    bool resume TG_ZERO;
    /* what else the training depends on, as text, to be compared; UTF-8 */
    const char *settings TG_ZERO;
    /* Called in each step when the gradients are in the parameters, before the
     * update; the batch at hand is not counted among those done. Like on_batch
     * otherwise. */
    bool (*on_gradients)(const tg_progress *progress, void *user) TG_ZERO;
    /* measures the steps on the tape of this call; an error of it stays there */
    tg_profile *profile TG_ZERO;
    /* Into how many leaves the rows of a batch are cut (ranks.h): a number that
     * changes results, as another order of adding does, and that is kept with m.
     * 0: as in m's last training, at first 1, which is no cutting at all: who
     * does not ask for leaves gets the bits of always. (`tapegrad train` takes
     * batch / 64, from 1 to 16.) Not in a lean library. */
    int64_t leaves TG_ZERO;
    /* Other processes to share the leaves with; NULL: none. Collective then, and
     * so is everything here, callbacks included: all ranks are to give the same
     * answers. They have the same m, data and options, which is checked, and all
     * get the same bits, those of one rank. */
    tg_ranks *ranks TG_ZERO;
} tg_fit_options;

/* Trains m. The first call takes mean and (population) standard deviation of
 * the training rows' features, which m remembers; a constant column gets
 * deviation 1; pixels are left as they are. The target of a regression
 * likewise. Rows are shuffled anew each epoch by the seed. The same seed gives
 * the same bits, whatever the threads; a second call goes on where the first
 * one ended (with the next epoch, and with the weights it left). A loss that is
 * not finite ends the training with TG_ENONFINITE. */
TG_API tg_status tg_fit(tg_model *m, const tg_dataset *train, const tg_fit_options *options);

/* The epochs of all calls of tg_fit; *n gets their number. Owned by m, valid
 * until the next tg_fit. */
TG_API const tg_epoch *tg_model_history(const tg_model *m, int64_t *n);

/* Loss and scores on data with targets, in evaluation mode. confusion may be
 * NULL; given, it has classes * classes elements, and confusion[classes *
 * actual + predicted] gets a count (nothing for a regression). */
TG_API tg_status tg_evaluate(tg_model *m, const tg_dataset *data, tg_metrics *metrics,
                             int64_t *confusion);

/* How many numbers tg_predict gives for a row: the classes, or 1 for a
 * regression. */
TG_API int64_t tg_model_prediction_width(const tg_model *m);

/* The probability of each class, or the number in the target's own units: y is
 * [rows, prediction width]. */
TG_API tg_status tg_predict(tg_model *m, const tg_dataset *data, float *y);
/* ------------------------------------------------------------------- as C */

typedef struct tg_model_export_options {
    size_t size TG_ZERO;
    const char *name TG_ZERO; /* of the functions, a C identifier; NULL: "net" */
    /* where to write their declarations as well; NULL: nowhere */
    const char *header TG_ZERO;
    /* also a main, under #ifdef NAME_TEST: it predicts four stored rows, compares
     * them with the library's results to 1e-4, and returns 0 if all are right */
    bool test TG_ZERO;
} tg_model_export_options;

/* Writes a trained model as one C99 file that needs nothing but a compiler and
 * libm (tg_export_c says what holds for it):
 *     int NAME_predict(const float row[D], float out[K]);
 *     const char *NAME_label(int k);
 *     const char *const NAME_inputs[D];
 * predict takes a row of D features as they are in the data, standardises it,
 * and gives what tg_predict does: the probability of each of K classes, or one
 * number. Its scratch lies on the stack. It returns 0. label names class k, or
 * the number; inputs names the features. Below them is the function without a
 * stack: NAME(row, out, scratch).
 *
 * TG_ESTATE for a model that was never trained, TG_EVALUE for a name that is no
 * free C identifier or an op that can't be exported, TG_EIO when a file can't be
 * written; the file is written whole or not at all, the header after it. A lean
 * library: TG_ESTATE. */
TG_API tg_status tg_model_export_c(tg_model *m, const char *path,
                                   const tg_model_export_options *options);

/* ---------------------------------------------------------------- measures
 *
 * Functions of all predictions at once, in a table to which programs add their
 * own by handing over other entries. */

typedef struct tg_scored {
    size_t size; /* of the struct: which fields there are */
    int64_t rows;
    int64_t classes; /* 0 for a regression */
    int64_t width;   /* of prediction: the classes, or 1 */
    /* [rows, width]: probabilities, or numbers in the target's units */
    const float *prediction;
    const int64_t *class_number; /* [rows], or NULL */
    const float *number;         /* [rows], or NULL */
} tg_scored;

typedef struct tg_measure {
    size_t size TG_ZERO; /* sizeof(tg_measure) */
    const char *name TG_ZERO;
    double (*score)(const tg_scored *s, const struct tg_measure *self) TG_ZERO;
    bool classes TG_ZERO; /* for classes, else for numbers */
    bool less_is_better TG_ZERO;
    int64_t k TG_ZERO; /* for the function's own use */
} tg_measure;

/* Those of the library, a static table; *n gets their number.
 *     accuracy            share of the rows whose most probable class is right
 *     balanced_accuracy   mean over the classes that occur of their recall
 *     top_5               share of the rows whose class is among the k = 5 most
 *                         probable ones (ties: the smaller class number first)
 *     precision, recall   of class 1 of two, else the mean over all classes; a
 *                         share of no rows counts as 0
 *     f1                  2 precision recall / (precision + recall) of each
 *                         class, 0 for 0/0; of class 1 of two, else their mean
 *     auc                 the chance that a row of a class gets a higher
 *                         probability of it than a row of others, ties half;
 *                         of class 1 of two, else the mean over the classes
 *                         that have rows of both kinds
 *     log_loss            mean of -ln p(class), p at least 2^-24
 *     calibration_error   sum over 15 equal ranges of the highest probability
 *                         of the share of rows in it times |accuracy - mean
 *                         probability| (Guo et al. 2017)
 *     r2, mae, rmse       1 - residual / deviation; mean |residual|; root of
 *                         the mean square of the residuals
 * NaN where there is no such number (r2 of equal targets). */
TG_API const tg_measure *tg_measures(int *n);
/* one of them; NULL: there is none of that name */
TG_API const tg_measure *tg_measure_find(const char *name);

/* Predicts data, and puts the score of each of n measures into value[0..n). A
 * measure for classes on numbers, or the reverse, is TG_EVALUE. */
TG_API tg_status tg_score(tg_model *m, const tg_dataset *data, int n, const tg_measure *measure,
                          double *value);

/* ---------------------------------------------------------------- checking it
 *
 * Compares the derivatives of m's loss with central differences on four rows of
 * data, in f64 (parameters are copied), first and second order: for a program's
 * own tests, in three lines.
 *
 *     tg_gradcheck_report r;
 *     tg_model_check(m, data, NULL, &r);
 *     cr_assert_eq(r.status, TG_OK, "%s", r.message);
 *
 * The report names the parameter, the element, both numbers, and the op whose
 * derivative is wrong with its line. On a tape in training mode, dropout
 * replaying its mask. The functions of m must take their dtype from the batch
 * (tg_tensor_dtype(batch->x)): an f32 tensor is TG_EDTYPE in the report. Data
 * that does not fit is m's error. Options and report may be NULL. */
TG_API tg_status tg_model_check(tg_model *m, const tg_dataset *data,
                                const tg_gradcheck_options *options, tg_gradcheck_report *report);

#ifdef __cplusplus
}
#endif

#endif
