/* tapegrad: nets that are ready to be trained.
 *
 * From a file of numbers to a model on disk:
 *
 *     tg_dataset *data = tg_dataset_new(NULL);
 *     tg_dataset_read_csv(data, "iris.csv", NULL);
 *     const int64_t hidden[] = {64, 32};
 *     tg_mlp *m = tg_mlp_new(data, &(tg_mlp_options){
 *         .size = sizeof(tg_mlp_options), .n_hidden = 2, .hidden = hidden});
 *     tg_fit(tg_mlp_model(m), data, &(tg_fit_options){
 *         .size = sizeof(tg_fit_options), .epochs = 100});
 *     tg_mlp_save(m, "iris.safetensors");
 *     if (tg_mlp_status(m) != TG_OK) puts(tg_mlp_message(m));
 *
 * Errors stick to the net, as they do to data sets (data.h).
 *
 * Contents: the multilayer net; its file; nets from text; the same without
 * source positions, for other languages. */
#ifndef TG_NETS_H
#define TG_NETS_H

#include <tapegrad/training.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------- the multilayer net */

typedef struct tg_mlp tg_mlp;

typedef struct tg_mlp_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    /* only without data: then both are required */
    int64_t inputs TG_ZERO, outputs TG_ZERO;
    /* how many hidden layers; 0: a linear model */
    int n_hidden TG_ZERO;
    const int64_t *hidden TG_ZERO; /* their sizes */
    /* after each hidden layer; NULL: "relu" */
    const char *activation TG_ZERO;
    /* probability after each activation */
    double dropout TG_ZERO;
    tg_head head TG_ZERO; /* without data: AUTO is refused */
    /* use features, and the target of a regression, as they are */
    bool no_standardize TG_ZERO;
    /* of the initial values, the dropout masks and the order of the rows */
    uint64_t seed TG_ZERO;
    /* of the tapes it uses; 0: 1. Never changes a result */
    int threads TG_ZERO;
} tg_mlp_options;

/* A net for the features and classes (or numbers) of data. Its parameters are
 * layer0.weight, layer0.bias, layer1.weight, ... It keeps no pointer to data.
 * data may be NULL: then inputs, outputs and head say what it is, and the net
 * has standard names. NULL only when memory is short. */
TG_API tg_mlp *tg_mlp_new(const tg_dataset *data, const tg_mlp_options *options);
TG_API void tg_mlp_free(tg_mlp *m); /* NULL allowed */
/* the sticky status; TG_ENOMEM for NULL */
TG_API tg_status tg_mlp_status(const tg_mlp *m);
TG_API const char *tg_mlp_message(const tg_mlp *m); /* "" without an error */
/* an error of tg_mlp_new or tg_mlp_load stays */
TG_API void tg_mlp_clear_error(tg_mlp *m);
/* The net as a model, owned by m, for tg_fit, tg_evaluate and tg_predict. It
 * shares m's error. NULL for NULL. */
TG_API tg_model *tg_mlp_model(tg_mlp *m);

/* owned by m; NULL for NULL or a net that could not be made */
TG_API tg_params *tg_mlp_params(const tg_mlp *m);
TG_API int64_t tg_mlp_inputs(const tg_mlp *m);
TG_API int64_t tg_mlp_outputs(const tg_mlp *m);
/* the number of hidden layers; their sizes, valid until m is freed */
TG_API int tg_mlp_hidden(const tg_mlp *m, const int64_t **sizes);
TG_API const char *tg_mlp_activation(const tg_mlp *m);
TG_API double tg_mlp_dropout(const tg_mlp *m);

/* Records the net on x [n, inputs] -> [n, outputs], the logits or,
 * standardised, the numbers; x is standardised already. And the head's mean
 * loss of such an output: target is f32 [n, 1] (BCE, MSE) or i64 [n]
 * (cross-entropy). For training loops of one's own. */
TG_API tg_tensor *tg_mlp_output_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *x);
TG_API tg_tensor *tg_mlp_loss_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *output,
                                 tg_tensor *target);

/* ----------------------------------------------------------------- its file */

/* Writes m to one safetensors file: an 8-byte little-endian length, a JSON
 * header of that length, then the parameters. Under __metadata__ the header
 * holds all else that a prediction needs (sizes, activation, task, names,
 * labels, standardisation) and a checksum (XXH3, 128 bits) over the whole file.
 * The file is written beside path, synced, then renamed: path holds the old
 * file or the new one, never half of one. A symbolic link is written through,
 * the mode of an existing file is kept, and what a killed writer left beside
 * path is removed. What is no regular file, such as /dev/stdout, is written
 * directly. */
TG_API tg_status tg_mlp_save(tg_mlp *m, const char *path);

/* Reads such a file. Anything that is not as tg_mlp_save writes it is
 * TG_EFORMAT with the reason: unknown or missing keys, equal names or labels, a
 * deviation that is no normal number, spaces and the spelling of numbers aside.
 * NULL only when memory is short: check tg_mlp_status. */
TG_API tg_mlp *tg_mlp_load(const char *path, const tg_allocator *allocator);

/* ----------------------------------------------------------- nets from text
 *
 *     tg_model *m = tg_net_new(data,
 *         "conv 16 3x3, relu, maxpool 2, flatten, linear", NULL);
 *     tg_fit(m, data, NULL);
 *     tg_model_save(m, "digits.safetensors");
 *     tg_model_free(m);
 *     m = tg_model_open("digits.safetensors", NULL); */

typedef struct tg_net_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    tg_head head TG_ZERO;   /* AUTO: the data's usual one; not CUSTOM */
    tg_dtype dtype TG_ZERO; /* TG_F32 or TG_F64 */
    /* use features, and the target of a regression, as they are */
    bool no_standardize TG_ZERO;
    /* of the initial values, the dropout masks and the order of the rows */
    uint64_t seed TG_ZERO;
    /* of the tapes it uses; 0: 1. Never changes a result */
    int threads TG_ZERO;
} tg_net_options;

/* A model of layers from text (tg_layers_parse) for the features and classes
 * (or numbers) of data, of which it keeps no pointer: free it with
 * tg_model_free. A linear layer without a size has as many outputs as the data
 * wants, and the last layer must give these. Its parameters are "0.weight" and
 * so on, by the layer's number. NULL only when memory is short; what else is
 * wrong is its error. */
TG_API tg_model *tg_net_new(const tg_dataset *data, const char *layers,
                            const tg_net_options *options);
/* The text; NULL for a model that isn't made from one. */
TG_API const char *tg_net_layers(const tg_model *m);

/* A model from its file: a net from text, or a multilayer net of any version
 * (tg_mlp_load). Free it with tg_model_free. NULL only when memory is short; a
 * file that is none, or damaged, or of a later version, is its error. */
TG_API tg_model *tg_model_open(const char *path, const tg_allocator *allocator);

/* ------------------- the same without source positions, for other languages */

TG_API tg_tensor *tg_mlp_output(tg_tape *t, const tg_mlp *m, tg_tensor *x);
TG_API tg_tensor *tg_mlp_loss(tg_tape *t, const tg_mlp *m, tg_tensor *output, tg_tensor *target);

#ifdef __cplusplus
}
#endif

#ifndef TG_NO_MACROS
#define tg_mlp_output(t, m, x) tg_mlp_output_at(t, TG_HERE, m, x)
#define tg_mlp_loss(t, m, output, target) tg_mlp_loss_at(t, TG_HERE, m, output, target)
#endif

#endif
