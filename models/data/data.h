/* tapegrad: data sets and their readers, scaling, arrays and parameters as
 * files.
 *
 * Errors stick to the object a function is called on, as they do to a tape: the
 * first one stays with its message, later calls on the object do nothing and
 * return its status. A function that is given another object in error takes
 * that error over. So one check at the end is enough. Messages about data name
 * the place in the data: "iris.csv:17: column 'sepal': not a number: 'abc'".
 * Option structs begin with their size; zero in a field means the default.
 * Nothing here prints, aborts or exits. An object is used by one thread at a
 * time.
 *
 * Contents: data sets; scaling; arrays of NumPy; parameters of any program. */
#ifndef TG_DATA_H
#define TG_DATA_H

#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tg_dataset tg_dataset;
/* what columns and classes mean; a model has one */
typedef struct tg_schema tg_schema;

/* What is to be learnt: one of two classes, one of several, or a number. */
typedef enum tg_task {
    TG_TASK_AUTO,
    TG_TASK_BINARY,
    TG_TASK_MULTICLASS,
    TG_TASK_REGRESSION,
    TG_TASK_COUNT
} tg_task;

/* "auto", "binary", "multiclass", "regression", and back; "?" for a number that
 * is none, TG_TASK_COUNT for a name that is none. */
TG_API const char *tg_task_name(tg_task task);
TG_API tg_task tg_task_of(const char *name);

/* ---------------------------------------------------------------- data sets
 *
 * Rows of f32 features, each with a target: a class 0..classes-1 with a label,
 * or a number. A new data set is empty and is filled once, by one of the
 * functions below; filling it again is TG_ESTATE. */

/* NULL when memory is short; every call on a NULL data set reports TG_ENOMEM.
 * allocator may be NULL. */
TG_API tg_dataset *tg_dataset_new(const tg_allocator *allocator);
TG_API void tg_dataset_free(tg_dataset *d); /* NULL allowed */
/* the sticky status */
TG_API tg_status tg_dataset_status(const tg_dataset *d);
/* "" without an error */
TG_API const char *tg_dataset_message(const tg_dataset *d);

/* What happens where a value is missing: an empty field, "?", NA, N/A, NaN,
 * null or none. Where texts are wanted (labels, levels), only an empty field is
 * refused: NA is a text among others then, which tg_dataset_note mentions. */
typedef enum tg_missing {
    TG_MISSING_REFUSE, /* an error with line and column */
    TG_MISSING_SKIP,   /* the row is left out */
    /* The mean of the column's other values. Dividing the data computes it
     * again from the rows to train on, so that those held out tell them
     * nothing; a model keeps it for the data it predicts. */
    TG_MISSING_MEAN,
    TG_MISSING_MEDIAN, /* their median, likewise */
    TG_MISSING_VALUE   /* options.fill */
} tg_missing;

/* A column is named by its name or, where no column has that name, by its
 * number: 1 is the first one, -1 the last one. */
typedef struct tg_csv_options {
    size_t size TG_ZERO;
    const char *target TG_ZERO; /* the target's column; NULL: the last one */
    tg_task task TG_ZERO;       /* TG_TASK_AUTO: see tg_dataset_read_csv */
    /* Read the file for this model (tg_model_schema): its feature columns, found
     * by name in any order, and its target, task, labels, levels and fillings;
     * other columns are skipped, and the target may be missing. Overrides
     * target, task, skip, categorical and refuse_ids. */
    const tg_schema *schema TG_ZERO;
    /* 0: guessed among comma, semicolon, tab and pipe */
    char delimiter TG_ZERO;
    /* lines that begin with it are left out; 0: there are none */
    char comment TG_ZERO;
    /* Numbers have a decimal comma; without a comma as delimiter one is
     * understood anyway. */
    bool decimal_comma TG_ZERO;
    /* the first line is data: columns are named by their numbers */
    bool no_header TG_ZERO;
    /* the first line is a header, though its fields are numbers */
    bool header TG_ZERO;
    const char *const *skip TG_ZERO; /* columns to leave out */
    int n_skip TG_ZERO;
    /* Columns of texts: each different text becomes a feature COLUMN=TEXT that
     * is 0 or 1. */
    const char *const *categorical TG_ZERO;
    int n_categorical TG_ZERO;
    /* in features; a row without a target is left out or refused */
    tg_missing missing TG_ZERO;
    double fill TG_ZERO; /* for TG_MISSING_VALUE */
    /* refuse a feature whose values are whole numbers, all different */
    bool refuse_ids TG_ZERO;
    /* with a schema: do not look at the target, whatever it holds */
    bool no_target TG_ZERO;
} tg_csv_options;

/* Reads a CSV file (RFC 4180: double quotes, LF or CRLF; a byte order mark and
 * blank lines are skipped; plain or gzip), a row at a time: what is kept is 8
 * bytes a value while reading, and afterwards 4, or 12 if a column holds
 * numbers that are not the same in f32. The first line holds the column names,
 * unique and not empty, but for an index in front, which is left out; lines may
 * end with a delimiter. A first line of numbers (the target aside) is refused:
 * `header` or `no_header` says which of the two it is. Features must be finite
 * numbers, in C notation whatever the locale.
 *
 * The task AUTO becomes regression when every target is a number and they are
 * not all whole, or there are more than 20 different ones, unless these run
 * from 0 or 1 without gaps, are 1,000 at most, and each stands in 10 rows or
 * more; else binary for two different targets, multiclass for more.
 * tg_dataset_note says what was taken, and why. Labels are numbered in numeric
 * order when all are numbers, else in byte order.
 *
 * TG_EIO when reading fails, TG_EFORMAT when the content is wrong. Messages and
 * notes name options as the command line does: --no-header is no_header. */
TG_API tg_status tg_dataset_read_csv(tg_dataset *d, const char *path,
                                     const tg_csv_options *options);

/* Reads PART-images-idx3-ubyte and PART-labels-idx1-ubyte from a folder, plain
 * or with .gz, PART being "train" or "t10k" (or "test"): the format of MNIST
 * (LeCun, Cortes, Burges 1998). ".idx" for "-idx" and a prefix such as
 * "emnist-letters-" are understood. One feature a pixel, divided by 255, named
 * "pixel0" and so on; labels "0", "1", ... up to the largest one. schema may be
 * NULL; given (tg_model_schema), sizes and labels must fit it, and there may be
 * no labels. Messages about the content name the byte. */
TG_API tg_status tg_dataset_read_idx(tg_dataset *d, const char *folder, const char *part,
                                     const tg_schema *schema);

/* Copies arrays: x [rows, features], and target [rows]: class numbers (whole
 * and not negative) or the numbers to regress. features is at least 1; task
 * must not be AUTO. Features are named "x0", "x1", ..., the target "y". */
TG_API tg_status tg_dataset_fill(tg_dataset *d, tg_task task, int64_t rows, int64_t features,
                                 const float *x, const float *target);

/* A new data set with the given rows of d in the given order, repetitions
 * allowed. Never NULL unless memory is short. */
TG_API tg_dataset *tg_dataset_select(const tg_dataset *d, int64_t n, const int64_t *row);

/* Attaches a copy of an array [rows, row ...], 16 at most: what else a model of
 * one's own needs of each row (a second input, a mask, a length, a weight), which
 * tg_batch_get finds in a batch. Selecting, dividing and sampling rows takes it
 * along. TG_EVALUE for a name that is taken. Not in a lean library. */
TG_API tg_status tg_dataset_attach(tg_dataset *d, const char *name, tg_dtype dtype, tg_shape row,
                                   const void *data);

/* Divides d in two new data sets by a file that holds one 0 (train) or 1 (test)
 * a line, one line a row. */
TG_API tg_status tg_dataset_split_file(tg_dataset *d, const char *path, tg_dataset **train,
                                       tg_dataset **test);

/* Divides d at random: round(fraction * rows) rows, at least one of each kind,
 * go to *test. 0 < fraction < 1. */
TG_API tg_status tg_dataset_split_random(tg_dataset *d, double fraction, uint64_t seed,
                                         tg_dataset **train, tg_dataset **test);

/* Divides d at random in n parts: training, validation, test and so on. Each has
 * its fraction of every class (stratified) and of all rows, to within a row each
 * class. The fractions, in (0, 1), add up to 1; TG_ESHAPE when a part would be
 * empty. The first part tells what takes the place of missing numbers. parts gets
 * n new data sets, or NULLs on an error. */
TG_API tg_status tg_dataset_split(tg_dataset *d, int n, const double *fractions, uint64_t seed,
                                  tg_dataset **parts);

/* Cross-validation: one of `folds` equal parts, stratified like those of
 * tg_dataset_split, is held out, and *train is all others. Over all folds, from 0,
 * with one seed each row is held out once. */
TG_API tg_status tg_dataset_fold(tg_dataset *d, int folds, int fold, uint64_t seed,
                                 tg_dataset **train, tg_dataset **held);

/* Weights [classes] that make all classes count the same: rows / (classes * rows
 * of the class), 0 for a class without rows. TG_ESTATE for a regression. */
TG_API tg_status tg_dataset_class_weights(tg_dataset *d, double *weights);

/* A new data set of n rows of d, drawn with repetition, each row as likely as
 * its class's weight says; NULL: those of tg_dataset_class_weights. Another round
 * draws others: one for each epoch. NULL on an error, which sticks to d. */
TG_API tg_dataset *tg_dataset_sample(tg_dataset *d, int64_t n, const double *weights, uint64_t seed,
                                     uint64_t round);

/* Rows of one's own: how many there are, and a function that writes one row's
 * features and its target, as tg_dataset_fill takes them; false: it can't be
 * read. */
typedef struct tg_row_source {
    int64_t features;
    int64_t (*length)(void *user);
    bool (*get)(int64_t row, float *x, float *target, void *user);
    void *user;
} tg_row_source;

/* Asks for every row once, in order, and keeps them. TG_EIO names the row that
 * can't be read. */
TG_API tg_status tg_dataset_read_source(tg_dataset *d, tg_task task, const tg_row_source *source);

/* Accessors: 0 or NULL for NULL, for a data set in error, and out of range.
 * Pointers stay valid until d is freed. */
TG_API tg_task tg_dataset_task(const tg_dataset *d);
TG_API int64_t tg_dataset_rows(const tg_dataset *d);
TG_API int64_t tg_dataset_features(const tg_dataset *d);
TG_API const char *tg_dataset_feature_name(const tg_dataset *d, int64_t feature);
TG_API const char *tg_dataset_target_name(const tg_dataset *d);
TG_API int64_t tg_dataset_classes(const tg_dataset *d); /* 0 for a regression */
/* What reading decided, a line for each thing, for people to see: the
 * delimiter, columns left out, target and task with the reasons. */
TG_API int64_t tg_dataset_notes(const tg_dataset *d);
TG_API const char *tg_dataset_note(const tg_dataset *d, int64_t note);
TG_API const char *tg_dataset_label(const tg_dataset *d, int64_t class_number);
TG_API const float *tg_dataset_x(const tg_dataset *d); /* [rows, features] */
/* [rows]; NULL unless it is a regression with targets */
TG_API const float *tg_dataset_numbers(const tg_dataset *d);
/* [rows]; NULL unless there are classes and targets */
TG_API const int64_t *tg_dataset_class_numbers(const tg_dataset *d);
/* [rows, row ...]; NULL: nothing of that name is attached */
TG_API const void *tg_dataset_attached(const tg_dataset *d, const char *name);

/* ---------------------------------------------------------------- scaling
 *
 * y = (x - shift) / divisor for each feature, in f64 and rounded once: for any
 * model. models scale by themselves. */

typedef enum tg_scaling_kind {
    TG_SCALING_STANDARD, /* to mean 0 and (population) standard deviation 1 */
    TG_SCALING_MIN_MAX   /* to the range 0 to 1 */
} tg_scaling_kind;

typedef struct tg_scaler tg_scaler;

/* NULL only when memory is short; what else is wrong sticks to it. */
TG_API tg_scaler *tg_scaler_new(tg_scaling_kind kind, int64_t features,
                                const tg_allocator *allocator);
TG_API void tg_scaler_free(tg_scaler *s); /* NULL allowed */
/* TG_ENOMEM for NULL */
TG_API tg_status tg_scaler_status(const tg_scaler *s);
/* "" without an error */
TG_API const char *tg_scaler_message(const tg_scaler *s);

/* Takes shift and divisor from [rows, features] finite numbers, f32 or f64, or
 * from a data set's features; anew at each call. The divisor of a constant
 * feature is 1. TG_EVALUE for a feature whose highest number less its lowest is
 * no finite f64. */
TG_API tg_status tg_scaler_learn(tg_scaler *s, int64_t rows, tg_dtype dtype, const void *x);
TG_API tg_status tg_scaler_learn_dataset(tg_scaler *s, const tg_dataset *d);

/* Gives back what was learnt before: divisors must be positive normal numbers.
 * The accessors are NULL until something was learnt or set. */
TG_API tg_status tg_scaler_set(tg_scaler *s, const double *shift, const double *divisor);
TG_API int64_t tg_scaler_features(const tg_scaler *s);
TG_API const double *tg_scaler_shift(const tg_scaler *s);
TG_API const double *tg_scaler_divisor(const tg_scaler *s);

/* [rows, features] numbers of one type to another; x and y may be the same
 * array of one type. Undoing gives x back up to rounding. */
TG_API tg_status tg_scaler_apply(tg_scaler *s, int64_t rows, tg_dtype from, const void *x,
                                 tg_dtype to, void *y);
TG_API tg_status tg_scaler_undo(tg_scaler *s, int64_t rows, tg_dtype from, const void *x,
                                tg_dtype to, void *y);

/* ------------------------------------------------------------ arrays of NumPy
 *
 * Named arrays in their order: f32, f64, i64 or u8, row-major. Errors stick to
 * the object. */

typedef struct tg_arrays tg_arrays;

/* NULL when memory is short */
TG_API tg_arrays *tg_arrays_new(const tg_allocator *allocator);
/* NULL allowed */
TG_API void tg_arrays_free(tg_arrays *s);
/* TG_ENOMEM for NULL */
TG_API tg_status tg_arrays_status(const tg_arrays *s);
/* "" without an error */
TG_API const char *tg_arrays_message(const tg_arrays *s);

/* Adds a copy of an array. The name must be UTF-8 and new. */
TG_API tg_status tg_arrays_add(tg_arrays *s, const char *name, tg_dtype dtype, tg_shape shape,
                               const void *data);

/* Adds what a file holds: the array of an NPY file (versions 1.0 to 3.0), named
 * "", or those of an NPZ archive (stored or deflated, up to 4 GB). Booleans and
 * unsigned bytes become u8, other integers i64, floats of 2 and 4 bytes f32, of
 * 8 f64; either byte order and either order of the axes. Records, objects,
 * dates, complex numbers and texts are refused, and so is u64 beyond i64:
 * TG_EFORMAT. The file is in memory while it is read. */
TG_API tg_status tg_arrays_read(tg_arrays *s, const char *path);

/* Writes one array as NPY 1.0, or all of them as an archive of stored members,
 * which NumPy reads; an array is NAME.npy there. The file is replaced as by
 * tg_mlp_save; TG_EVALUE for what a zip archive can't hold. */
TG_API tg_status tg_arrays_write_npy(tg_arrays *s, const char *path, int64_t k);
TG_API tg_status tg_arrays_write_npz(tg_arrays *s, const char *path);

/* Accessors: 0, -1 or NULL for an object in error and out of range. Pointers
 * stay valid until s is freed; the data is aligned to 64 bytes. */
TG_API int64_t tg_arrays_count(const tg_arrays *s);
/* -1: there is none */
TG_API int64_t tg_arrays_find(const tg_arrays *s, const char *name);
TG_API const char *tg_arrays_name(const tg_arrays *s, int64_t k);
/* TG_DTYPE_COUNT out of range */
TG_API tg_dtype tg_arrays_dtype(const tg_arrays *s, int64_t k);
/* ndim -1 out of range */
TG_API tg_shape tg_arrays_shape(const tg_arrays *s, int64_t k);
TG_API const void *tg_arrays_data(const tg_arrays *s, int64_t k);
/* -------------------------------------------------- parameters of any program
 *
 * Plain safetensors files, which PyTorch and others read and write. */

typedef struct tg_params_file_options {
    size_t size TG_ZERO;
    /* A parameter's name in the file, which must stay valid until it is called
     * again; NULL: leave the parameter out. Without a function names are the
     * same. Is called several times for each parameter. */
    const char *(*name)(const char *parameter, void *user)TG_ZERO;
    void *user TG_ZERO;
    /* Loading: what the file lacks keeps its value, and what belongs to no
     * parameter is left. */
    bool partial TG_ZERO;
} tg_params_file_options;

/* Writes all parameters to one file, f64 before f32; the file is replaced as by
 * tg_mlp_save. Errors stick to ps: TG_EIO, TG_ENOMEM, TG_EVALUE for names that
 * meet. */
TG_API tg_status tg_params_save(tg_params *ps, const char *path,
                                const tg_params_file_options *options);

/* Reads parameters: f32 ones from F32, F16 or BF16, f64 ones from F64. A path
 * that ends with ".json" is an index of sharded files beside it. Everything is
 * checked before the first parameter changes: the file by the format's rules,
 * names, shapes (TG_ESHAPE) and, unless partial is set, that file and ps have
 * the same tensors; TG_EFORMAT says what is wrong. Only a read that fails
 * half-way leaves some parameters new and others old. */
TG_API tg_status tg_params_load(tg_params *ps, const char *path,
                                const tg_params_file_options *options);

#ifdef __cplusplus
}
#endif

#endif
