/* The multilayer net from the inside. Private. */
#ifndef TG_MLP_H
#define TG_MLP_H

#include "../data/dataset.h"

typedef tg_tensor *(*tg_activation_fn)(tg_tape *t, const char *where, tg_tensor *x);

/* What is subtracted from features and target, and by what the rest is divided. */
typedef struct tg_scaling {
    bool known;         /* once training has seen data, or by no_standardize */
    double *mean, *std; /* [features]; NULL: features are left as they are */
    double target_mean, target_std;
} tg_scaling;

/* Rows gathered for one step. */
typedef struct tg_batch {
    int64_t capacity, features; /* of the buffers */
    float *x;                   /* [rows, features] standardised */
    float *number;              /* [rows] standardised, or 0 and 1 for BCE */
    int64_t *class_number;      /* [rows] */
} tg_batch;

struct tg_mlp {
    tg_allocator allocator;
    tg_error error;
    bool built;     /* false: making it failed, and the error can't be cleared */
    tg_arena arena; /* schema, sizes, layers, scaling */
    tg_schema schema;
    tg_head head;
    int n_hidden;
    int64_t *hidden;
    int64_t inputs, outputs;
    const char *activation; /* static */
    tg_activation_fn activate;
    double dropout;
    uint64_t seed;
    int threads;
    tg_params *params;
    tg_linear_layer *layer; /* [n_hidden + 1] */
    tg_scaling scaling;
    tg_tape *evaluator;     /* made when first needed, kept for its plans */
    tg_batch batch;         /* its buffers */
    uint64_t steps, rounds; /* trained so far: random numbers go on from there */
    tg_epoch *history;
    size_t epochs, history_capacity;
};

/* An mlp in error, or NULL without memory; the start of tg_mlp_new and tg_mlp_load. */
tg_mlp *tg_mlp_blank(const tg_allocator *allocator);

/* Builds a blank net: options are complete (inputs, outputs, head), the schema is copied. */
tg_status tg_mlp_build(tg_mlp *m, const tg_schema *schema, const tg_mlp_options *options);

/* Room for mean and std of all features. */
bool tg_scaling_reserve(tg_mlp *m);

/* Takes the scaling from training data, unless it is known already. */
tg_status tg_scaling_learn(tg_mlp *m, const tg_dataset *d);

/* Buffers for `rows` rows; false: no memory (m is then in error). */
bool tg_batch_reserve(tg_mlp *m, tg_batch *b, int64_t rows);
void tg_batch_free(const tg_mlp *m, tg_batch *b);

/* Gathers n rows of d: row[0..n), or first, first + 1, ... when row is NULL. Targets come along if
 * d has any. */
void tg_batch_gather(const tg_mlp *m, tg_batch *b, const tg_dataset *d, int64_t n,
                     const int64_t *row, int64_t first);

/* The gathered batch as inputs of a tape. */
tg_tensor *tg_batch_x(const tg_mlp *m, const tg_batch *b, tg_tape *t, int64_t n);
tg_tensor *tg_batch_target(const tg_mlp *m, const tg_batch *b, tg_tape *t, int64_t n);

/* ---------------------------------------------------------------- scores: metrics.c */

typedef struct tg_scores {
    int64_t rows, correct;
    double loss, residual;  /* sums */
    double mean, deviation; /* of the targets: running mean, sum of squared deviations from it */
    int64_t *confusion;     /* NULL: not wanted */
} tg_scores;

/* Adds a batch: its outputs [n, outputs], and its mean loss. */
void tg_scores_add(tg_scores *s, const tg_mlp *m, const tg_batch *b, int64_t n, const float *output,
                   double loss);
tg_metrics tg_scores_metrics(const tg_scores *s, const tg_mlp *m);

/* Whether the data set can be used with the net: TG_OK, or why not (in m's error). */
tg_status tg_mlp_accepts(tg_mlp *m, const tg_dataset *d, bool targets, const char *caller);

#endif
