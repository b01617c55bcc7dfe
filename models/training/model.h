/* A model from the inside. Private. */
#ifndef TG_MODEL_H
#define TG_MODEL_H

#include <tapegrad/training.h>

#include "../data/dataset.h"

/* What is subtracted from features and target, and by what the rest is divided. */
typedef struct tg_scaling {
    bool known;         /* once training has seen data, or by no_standardize */
    double *mean, *std; /* [features]; NULL: features are left as they are */
    double target_mean, target_std;
} tg_scaling;

/* Rows gathered for one step; x and number are f32 or f64. */
typedef struct tg_rows {
    tg_dtype dtype;
    int64_t capacity, features; /* of the buffers */
    void *x;                    /* [rows, features] standardised */
    void *number;               /* [rows] standardised, or 0 and 1 for BCE */
    int64_t *class_number;      /* [rows] */
    /* the rows that were gathered last */
    const tg_dataset *data;
    const int64_t *row;
    int64_t first;
} tg_rows;

struct tg_model {
    tg_allocator allocator;
    tg_error error;
    bool built;          /* false: making it failed, and the error can't be cleared */
    tg_arena arena;      /* schema, scaling, and what an owner adds */
    const char *name;    /* in messages and files */
    const char *version; /* in files; may be NULL */
    const char *layers;  /* of a net from text; else NULL */
    /* Of nets that own their model, else NULL: frees both; writes a format of its own. */
    void (*free_net)(tg_model *m);
    tg_status (*save)(tg_model *m, const char *path);
    tg_schema schema; /* features is 0 until a data set has said what it is */
    tg_head head;
    int64_t custom_outputs;
    tg_dtype dtype;
    tg_params *params;
    void *net;
    tg_tensor *(*output)(tg_tape *t, void *net, const tg_batch *batch);
    tg_tensor *(*loss)(tg_tape *t, void *net, tg_tensor *output, const tg_batch *batch);
    uint64_t seed;
    int threads;
    tg_scaling scaling;
    tg_tape *evaluator;     /* made when first needed, kept for its plans */
    tg_rows rows;           /* its buffers */
    uint64_t steps, rounds; /* trained so far: random numbers go on from there */
    int64_t leaves;         /* of a batch, in the last training; 0: there was none */
    tg_epoch *history;
    size_t epochs, history_capacity;
};

/* A model in place, without functions and parameters yet. */
void tg_model_begin(tg_model *m, const char *name, const tg_allocator *allocator);
void tg_model_end(tg_model *m);

/* "NAME: what", in m's error. Returns the status that stands. */
tg_status tg_model_fail(tg_model *m, tg_status status, const char *format, ...) TG_PRINTF(3, 4);

/* Threads in range, or m is in error. */
bool tg_model_take_threads(tg_model *m, int threads);

/* The head for data: `head`, or the usual one for TG_HEAD_AUTO. m is in error when it does not
 * fit. */
tg_status tg_model_take_head(tg_model *m, const tg_schema *s, tg_head head);

/* numbers in a row of the net's output */
int64_t tg_model_outputs(const tg_model *m);

/* The head's mean loss of an output. */
tg_tensor *tg_head_loss(tg_tape *t, const char *where, tg_head head, tg_tensor *output,
                        tg_tensor *target);

/* tg_model_record of n gathered rows. */
tg_tensor *tg_model_record_rows(const tg_model *m, tg_tape *t, const tg_rows *b, int64_t n,
                                tg_tensor **loss);

/* The format of files of nets from text. */
extern const char tg_net_format[];

/* Whether the data set can be used with the model: TG_OK, or why not (in m's error). A model
 * without a schema takes the data's. */
tg_status tg_model_accepts(tg_model *m, const tg_dataset *d, bool targets, const char *caller);

/* ---------------------------------------------------------------- rows: batch.c */

/* Room for mean and std of all features. */
bool tg_scaling_reserve(tg_model *m);

/* Takes the scaling from training data, unless it is known already. */
tg_status tg_scaling_learn(tg_model *m, const tg_dataset *d);

/* Buffers for `rows` rows; false: no memory (m is then in error). */
bool tg_rows_reserve(tg_model *m, tg_rows *b, tg_dtype dtype, int64_t rows);
void tg_rows_free(const tg_model *m, tg_rows *b);

/* Gathers n rows of d: row[0..n), or first, first + 1, ... when row is NULL. Targets come along if
 * d has any. */
void tg_rows_gather(const tg_model *m, tg_rows *b, const tg_dataset *d, int64_t n,
                    const int64_t *row, int64_t first);

/* The gathered rows as inputs of a tape. */
tg_batch tg_rows_inputs(const tg_model *m, const tg_rows *b, tg_tape *t, int64_t n, bool target);

/* An element of an f32 or f64 array. */
static inline double tg_real_at(tg_dtype dtype, const void *x, int64_t k)
{
    return dtype == TG_F32 ? (double)((const float *)x)[k] : ((const double *)x)[k];
}

/* ---------------------------------------------------------------- scores: metrics.c */

typedef struct tg_scores {
    int64_t rows, correct;
    double loss, residual;  /* sums */
    double mean, deviation; /* of the targets: running mean, sum of squared deviations from it */
    int64_t *confusion;     /* NULL: not wanted */
} tg_scores;

/* Adds a batch: its outputs [n, outputs], and its mean loss. */
void tg_scores_add(tg_scores *s, const tg_model *m, const tg_rows *b, int64_t n, const void *output,
                   double loss);
tg_metrics tg_scores_metrics(const tg_scores *s, const tg_model *m);

#endif
