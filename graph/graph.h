/* tapegrad: tapes, tensors, parameters, gradients.
 *
 * Record, reverse, plan, run. An op call checks its operands and appends a node
 * to a tape; nothing is computed until a value is asked for (tg_backward,
 * tg_eval, tg_item, tg_data). Then the part of the tape that the value needs is
 * planned, or found in the plan cache, and run.
 *
 * Conventions that hold for every function here
 *   - Errors are sticky. The first error stays on the tape with a message that
 *     names the caller's source line; until it is cleared, ops on that tape
 *     return NULL and do nothing. An op given NULL on a healthy tape fails with
 *     TG_ENULL. Accessors of NULL give NaN, NULL or 0. Nothing here prints,
 *     aborts or exits.
 *   - The tape owns every tensor recorded on it; handles die at tg_tape_reset
 *     or tg_tape_free. Parameters belong to their tg_params.
 *   - One tape per thread. Several tapes may read the same parameters at once;
 *     changing a parameter, or two backward passes into the same tg_params,
 *     needs the caller's own ordering.
 *   - Sizes are int64_t, counted in elements unless a name says bytes. Arrays
 *     are row-major and contiguous.
 *   - Functions that record take the caller's source position as one text,
 *     "net.c:42", which is not copied: it must last as long as the recording,
 *     as a literal does; NULL is none. The macros of the same name pass it;
 *     define TG_NO_MACROS to get only the plain functions (their messages then
 *     carry no position). Other languages may pass any text ("model.py:12").
 *
 * Contents: status; dtypes and shapes; memory; objects; tape; tensors; values;
 * gradients; parameters; checking gradients; the same without source
 * positions, for other languages. */
#ifndef TG_GRAPH_H
#define TG_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TG_API __attribute__((visibility("default")))
#define TG_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define TG_API
#define TG_PRINTF(text, first)
#endif

/* Behind the fields of options, which initializers may leave out: C++ compilers
 * warn of that unless a field says its own value. */
#if defined(__cplusplus) && __cplusplus >= 201402L
#define TG_ZERO = {}
#else
#define TG_ZERO
#endif

#define TG_VERSION_MAJOR 0
#define TG_VERSION_MINOR 2
#define TG_VERSION_PATCH 0
#define TG_VERSION (TG_VERSION_MAJOR * 10000 + TG_VERSION_MINOR * 100 + TG_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that is linked, to be compared with TG_VERSION,
 * the version of the header. */
TG_API int tg_version(void);

/* ---------------------------------------------------------------- status */

#define TG_STATUS_MAP(M)                                                \
    M(TG_OK, "no error")                                                \
    M(TG_ENOMEM, "out of memory")                                       \
    M(TG_ENULL, "a NULL was given where an object is required")         \
    M(TG_ESHAPE, "shapes do not fit")                                   \
    M(TG_EDTYPE, "dtypes do not fit")                                   \
    M(TG_ETAPE, "a tensor of another tape, or of an earlier recording") \
    M(TG_EVALUE, "a value outside its range")                           \
    M(TG_EINDEX, "an index outside its range")                          \
    M(TG_ESTATE, "the call does not fit the object's state")            \
    M(TG_ESTALE, "a parameter changed before its reader was computed")  \
    M(TG_ENOGRAD, "no gradient")                                        \
    M(TG_ENONFINITE, "a NaN or an infinity appeared")                   \
    M(TG_EIO, "reading or writing failed")                              \
    M(TG_EFORMAT, "malformed data")                                     \
    M(TG_ECHECK, "a gradient check failed")

#define TG_STATUS_ENUM(name, text) name,
typedef enum tg_status { TG_STATUS_MAP(TG_STATUS_ENUM) TG_STATUS_COUNT } tg_status;
#undef TG_STATUS_ENUM

/* The name ("TG_ESHAPE") and the general meaning of a status; "?" for a number
 * that is none. Static strings. */
TG_API const char *tg_status_name(tg_status status);
TG_API const char *tg_status_text(tg_status status);

/* -------------------------------------------------------- dtypes and shapes */

/* f32 and f64 hold values, i64 indices, u8 masks (0 or 1). There is no silent
 * mixing: ops want equal dtypes, tg_cast converts. */
typedef enum tg_dtype { TG_F32, TG_F64, TG_I64, TG_U8, TG_DTYPE_COUNT } tg_dtype;

/* bytes of one element; 0 for a number that is no dtype */
TG_API size_t tg_dtype_size(tg_dtype dtype);
/* "f32", "f64", "i64", "u8"; "?" for a number that is no dtype */
TG_API const char *tg_dtype_name(tg_dtype dtype);

#define TG_MAX_DIMS 8

/* A shape by value: ndim sizes, 0 to 8 of them, each >= 0; no sizes means a
 * scalar of one element. Unused sizes are 0. */
typedef struct tg_shape {
    int ndim;
    int64_t dim[TG_MAX_DIMS];
} tg_shape;

/* A shape of ndim sizes. An impossible request (ndim outside 0..8, dim NULL
 * with ndim > 0, a negative size, or a product beyond 2^57 elements) gives a
 * shape with ndim = -1, which every function that takes a shape refuses with
 * TG_ESHAPE. One size may be -1, open: tg_reshape fills it in, and every other
 * function refuses such a shape too. */
TG_API tg_shape tg_shape_of(int ndim, const int64_t *dim);
/* number of elements; -1 for an impossible or open shape */
TG_API int64_t tg_shape_count(tg_shape shape);
TG_API bool tg_shape_equal(tg_shape a, tg_shape b);

/* The text of a shape, "[64,784]", by value so that it needs no buffer. */
typedef struct tg_text {
    char text[192];
} tg_text;
TG_API tg_text tg_shape_text(tg_shape shape);

/* Axes by value: n of them, negative ones counted from the end; n = -1 stands
 * for all axes. An impossible request gives n = -2. */
typedef struct tg_axes {
    int n;
    int axis[TG_MAX_DIMS];
} tg_axes;
TG_API tg_axes tg_axes_of(int n, const int *axis);

/* TG_SHAPE(n, 3) and TG_AXES(0, -1) count their arguments, 1 to 8 of them;
 * TG_SCALAR is the shape of a 0-dim tensor. */
#ifdef __cplusplus
} /* extern "C" */
template <typename... Sizes> inline tg_shape tg_shape_of_sizes(Sizes... sizes)
{
    const int64_t dim[] = {static_cast<int64_t>(sizes)...};
    return tg_shape_of(static_cast<int>(sizeof...(sizes)), dim);
}
template <typename... Axes> inline tg_axes tg_axes_of_list(Axes... axes)
{
    const int axis[] = {static_cast<int>(axes)...};
    return tg_axes_of(static_cast<int>(sizeof...(axes)), axis);
}
#define TG_SHAPE(...) tg_shape_of_sizes(__VA_ARGS__)
#define TG_AXES(...) tg_axes_of_list(__VA_ARGS__)
extern "C" {
#else
#define TG_SHAPE(...)                                                            \
    tg_shape_of((int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
                (const int64_t[]){__VA_ARGS__})
#define TG_AXES(...) \
    tg_axes_of((int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)), (const int[]){__VA_ARGS__})
#endif
#define TG_ALL_AXES tg_axes_of(-1, NULL)
#define TG_SCALAR tg_shape_of(0, NULL)

/* ---------------------------------------------------------------- memory */

/* Where a library object takes its memory from. allocate returns a block of
 * `bytes` (> 0) aligned to `align` (a power of two, at most 4096) or NULL;
 * release takes it back with the same numbers. Both must be safe to call from
 * several threads. Objects copy the struct; user must outlive them. A NULL
 * tg_allocator, or one with NULL functions, means the C library's aligned_alloc
 * and free. <tapegrad/jemalloc.h> has jemalloc as one, for programs that link
 * it. */
typedef struct tg_allocator {
    void *(*allocate)(void *user, size_t bytes, size_t align);
    void (*release)(void *user, void *block, size_t bytes, size_t align);
    void *user;
} tg_allocator;

/* ---------------------------------------------------------------- objects */

typedef struct tg_tape tg_tape;
typedef struct tg_tensor tg_tensor;
typedef struct tg_params tg_params;

/* ---------------------------------------------------------------- tape */

typedef enum tg_isa { TG_ISA_AUTO, TG_ISA_BASE, TG_ISA_AVX2, TG_ISA_AVX512 } tg_isa;

/* Zero in every field means the default. Set size = sizeof(tg_tape_options), as
 * every option struct here wants. */
typedef struct tg_tape_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    uint64_t seed TG_ZERO; /* of the tape's random numbers */
    /* tapes that run side by side with one seed take different streams */
    uint64_t stream TG_ZERO;
    /* 0 and 1: the caller's thread only; at most 1024. Never changes a result:
     * all compute in the caller's floating-point environment (rounding mode,
     * flush-to-zero). They are made when work first wants them, sleep while
     * there is none, and end when the tape, and the parameters whose updates
     * share them, are freed. A forked child makes its own. */
    int threads TG_ZERO;
    /* start in evaluation mode instead of training mode */
    bool evaluation TG_ZERO;
    /* Run each node by itself: the debug mode. Results are bitwise the same (of
     * a NaN: that it is one). Two threads in one tape at once are TG_ESTATE. */
    bool node_by_node TG_ZERO;
    /* Fail with TG_ENONFINITE at the first node that makes a NaN or an infinity,
     * or at the leaf that hands in a NaN; an infinity handed in, such as that of
     * a mask, is passed on (implies node_by_node). */
    bool trace_nonfinite TG_ZERO;
    /* Force a kernel build; falls back to the best that the processor has. */
    tg_isa isa TG_ZERO;
    /* Bound of the memory of plans kept for later; 0: 512 MiB. */
    int64_t plan_cache_bytes TG_ZERO;
} tg_tape_options;

/* A new tape; options may be NULL. Free it with tg_tape_free (NULL allowed). A
 * tape whose options are wrong (a size not set, a number out of range) is in
 * error TG_EVALUE with a message that says which, and has the defaults. NULL
 * when memory is short; every call on a NULL tape reports TG_ENOMEM. */
TG_API tg_tape *tg_tape_new(const tg_tape_options *options);
TG_API void tg_tape_free(tg_tape *t);

/* Drops the recording: every tensor of the tape, and the values handed out.
 * Plans, their memory and a sticky error stay. The random step advances by one.
 * A tensor kept from before is TG_ETAPE for at least 31 recordings, for good
 * with node_by_node; accessors treat it as NULL. */
TG_API void tg_tape_reset(tg_tape *t);

/* the sticky status; TG_ENOMEM for NULL */
TG_API tg_status tg_tape_status(const tg_tape *t);
/* "file:line: op: what"; "" without an error; valid until the next call on t */
TG_API const char *tg_tape_message(const tg_tape *t);
TG_API void tg_tape_clear_error(tg_tape *t);
/* Of a tape that trace_nonfinite made fail with TG_ENONFINITE: some lines on
 * where the NaN or infinity came from. Which pass it was, what the op made of
 * what (shapes, ranges, the element), and from op to op, each with its line,
 * back to the parameter or input that is to blame; where an op has several
 * operands the way leads through the one that is not finite, else 0 there, else
 * the largest. "" otherwise, and in a lean library. Valid until the error is
 * cleared or the tape is reset. */
TG_API const char *tg_tape_blame(const tg_tape *t);

/* Training or evaluation: read by ops such as dropout when they are recorded. A
 * new tape trains. */
TG_API void tg_tape_set_training(tg_tape *t, bool training);
TG_API bool tg_tape_training(const tg_tape *t);

/* The step of the tape's counter-based random numbers (Philox 4x32-10, Salmon
 * et al. 2011): 0 on a new tape, plus one at each reset and replay. The same
 * seed, stream, step and recording draw the same numbers, whatever the
 * threads. */
TG_API void tg_tape_set_step(tg_tape *t, uint64_t step);
TG_API uint64_t tg_tape_step(const tg_tape *t);

/* as the option; a number out of range is TG_EVALUE */
TG_API void tg_tape_set_threads(tg_tape *t, int threads);

/* What planning did so far. */
typedef struct tg_plan_stats {
    uint64_t hits;   /* evaluations that found their plan */
    uint64_t misses; /* evaluations that had to plan */
    uint64_t plans;  /* plans in the cache now */
    /* of the last plan: nodes it computes after dropping and merging */
    uint64_t nodes;
    /* of the last plan: passes over memory (fused groups, products, ...) */
    uint64_t steps;
    uint64_t slab_bytes; /* of the last plan: memory for intermediate values */
} tg_plan_stats;
/* all zero for NULL */
TG_API tg_plan_stats tg_tape_plan_stats(const tg_tape *t);

/* ---------------------------------------------------------------- tensors */

/* Accessors: an impossible shape (ndim -1), TG_F32 and 0 for NULL. They need no
 * evaluation. */
TG_API tg_shape tg_tensor_shape(const tg_tensor *x);
TG_API tg_dtype tg_tensor_dtype(const tg_tensor *x);
TG_API int64_t tg_tensor_count(const tg_tensor *x);

/* A leaf with the caller's data: tg_shape_count(shape) elements, row-major.
 * tg_input copies them; tg_input_borrow does not: they must stay valid and
 * unchanged until the tape is reset. data may be NULL only for an empty
 * shape. */
TG_API tg_tensor *tg_input_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape,
                              const void *data);
TG_API tg_tensor *tg_input_borrow_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape,
                                     const void *data);

/* A 0-dim constant, rounded once to dtype (for i64 and u8 it must be exactly
 * representable: else TG_EVALUE). Its value is data: it is not part of the
 * structure by which plans are found. */
TG_API tg_tensor *tg_constant_at(tg_tape *t, const char *where, tg_dtype dtype, double value);

/* New data for an input of the current recording, to be used by tg_replay, or
 * by the next evaluation, which computes anew what had a value (until then
 * tg_item and tg_data of a result give the old one), in memory that stays taken
 * until the tape is reset; a borrowed input takes the pointer, a copied one the
 * contents. */
TG_API tg_status tg_input_set_at(tg_tape *t, const char *where, tg_tensor *x, const void *data);

/* The same values, with no gradient passing back. */
TG_API tg_tensor *tg_detach_at(tg_tape *t, const char *where, tg_tensor *x);

/* ---------------------------------------------------------------- values */

/* Marks x so that the next tg_backward or tg_eval also computes it and keeps
 * its value. Returns x. */
TG_API tg_tensor *tg_keep_at(tg_tape *t, const char *where, tg_tensor *x);

/* Computes n tensors, and all that are kept, in one go. */
TG_API tg_status tg_eval_at(tg_tape *t, const char *where, int n, tg_tensor *const *x);

/* The value of a one-element tensor, as double (NaN on an error). Computes it
 * when it has not been. */
TG_API double tg_item_at(tg_tape *t, const char *where, tg_tensor *x);

/* The values of x, contiguous and row-major in x's dtype, valid until the tape
 * is reset (a parameter's: until it is written); NULL on an error. An empty
 * tensor gives a non-NULL pointer that must not be read. Computes x when it has
 * not been. */
TG_API const void *tg_data_at(tg_tape *t, const char *where, tg_tensor *x);

/* ---------------------------------------------------------------- gradients */

/* Gradients of the one-element tensor `loss` with respect to every trainable
 * parameter it reaches; they are added to what the parameters hold since the
 * last optimizer step. Also computes the loss and every kept tensor. A
 * trainable parameter that the loss does not reach keeps no gradient. On
 * failure every gradient that the call aimed at is dropped. TG_ENOGRAD: an op
 * between loss and parameter has no derivative (the message names it), a
 * parameter is reached only through a condition, an index or a cast, or none is
 * reached at all. A loss that a derivative recorded gives zeros instead.
 * TG_ESTALE: a parameter was frozen or thawed after it was recorded, or written
 * before a value that was made of it was computed. */
TG_API tg_status tg_backward_at(tg_tape *t, const char *where, tg_tensor *loss);

/* gx[k] = d<seed, y>/dx[k] as ordinary tensors on the tape, of x[k]'s shape and
 * dtype, to be computed and differentiated like any other. seed has y's shape
 * and dtype; NULL means 1 and wants y to have one element. x may be any tensors
 * of the tape or parameters. An x that y depends on by no differentiable path
 * is TG_ENOGRAD, naming the op in the way, if the user recorded y and that op;
 * if a derivative recorded either, its gx is zeros. With allow_unused gx is
 * zeros where a path leads through a condition, an index or a cast, and NULL
 * where none leads. A parameter written, frozen or thawed since y read it is
 * TG_ESTALE. gx[] is all NULL on an error. */
TG_API tg_status tg_grad_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *seed, int n,
                            tg_tensor *const *x, tg_tensor **gx, bool allow_unused);

/* In tg_jvp and tg_hvp what depends on x by no differentiable path counts as
 * zeros. */

/* Forward mode: sum over k of (dy/dx[k]) v[k], of y's shape; v[k] has x[k]'s
 * shape and dtype. It is the vjp of the vjp. */
TG_API tg_tensor *tg_jvp_at(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x,
                            tg_tensor *const *v);

/* Hessian-vector product of a one-element y: d/dx <dy/dx, v>, of x's shape. */
TG_API tg_tensor *tg_hvp_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x,
                            tg_tensor *v);

/* y as it was recorded, but computed from with[k] where x[k] stood, which has the
 * same shape and dtype; what lies between is recorded again. y itself when it
 * depends on no x. Any tensors of the tape, and parameters. */
TG_API tg_tensor *tg_substitute_at(tg_tape *t, const char *where, tg_tensor *y, int n,
                                   tg_tensor *const *x, tg_tensor *const *with);

/* The body of a loop, recorded once however often it runs. */
typedef struct tg_scan_body {
    size_t size TG_ZERO; /* sizeof(tg_scan_body) */
    /* Records one step on t, a tape of the body's own, from these tensors and
     * constants alone: puts the next values into carry[], of the shapes and the
     * dtype that they have, and what is to be stacked into y[]. Nothing has a
     * value there. Random numbers differ from step to step. */
    void (*step)(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                 tg_tensor **y, void *user) TG_ZERO;
    void *user TG_ZERO; /* used while tg_scan records, not later */
    int n_carry TG_ZERO, n_x TG_ZERO, n_w TG_ZERO, n_y TG_ZERO;
    bool reverse TG_ZERO; /* from the last slice of x to the first */
    /* For gradients the carried values of every so many steps are kept, the
     * others computed again; 0: all are kept. Where it is about the root of n,
     * the memory is, too. */
    int64_t checkpoint TG_ZERO;
} tg_scan_body;

/* A loop of n steps as one op, planned once whatever n is: step i reads
 * carry[], of which there is at least one, x[k][i], and w[]. carry[k] becomes
 * the value after the last step (n = 0: stays), y[k] is [n, what the body put
 * there]. Carried values, y and the floats among x and w have one dtype, f32 or
 * f64; x[k] has n slices along axis 0. All that the body reads is handed in:
 * parameters, too, as w. A step's own values need no memory; the gradient
 * computes them again. Any order of derivatives. y[] is all NULL on an error. */
TG_API tg_status tg_scan_at(tg_tape *t, const char *where, const tg_scan_body *b, int64_t n,
                            tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                            tg_tensor **y);

/* Runs the recording's tg_backward, tg_eval or tg_data again, on the data that
 * inputs have now, the parameters' current values and the next random step.
 * Nothing is recorded, no memory is taken; tg_item and tg_data read the values.
 * TG_ESTATE unless the recording was evaluated exactly once. */
TG_API tg_status tg_replay_at(tg_tape *t, const char *where);

/* A buffer is a parameter that is not trained, such as a running mean.
 * tg_buffer_set records that p is to become x, which has its shape and dtype; x
 * is kept (tg_keep). tg_buffer_get gives what p is to become on this recording,
 * or p. tg_buffers_update writes all that was set: after tg_backward, before
 * values that read the buffers are asked for again. Resetting the tape forgets
 * what was set. */
TG_API tg_status tg_buffer_set_at(tg_tape *t, const char *where, tg_tensor *p, tg_tensor *x);
TG_API tg_tensor *tg_buffer_get(tg_tape *t, tg_tensor *p);
TG_API tg_status tg_buffers_update_at(tg_tape *t, const char *where);

/* Writes the recording as Graphviz text to `path` (through a temporary file).
 * loss may be NULL; given, its backward pass is drawn too. */
TG_API tg_status tg_write_dot_at(tg_tape *t, const char *where, const char *path, tg_tensor *loss);

/* A tensor of an exported function and its name there, a C identifier. */
typedef struct tg_export_value {
    const char *name;
    tg_tensor *x;
} tg_export_value;

typedef struct tg_export_options {
    size_t size TG_ZERO;      /* sizeof(tg_export_options) */
    const char *name TG_ZERO; /* of the function */
    int n_in TG_ZERO, n_out TG_ZERO;
    const tg_export_value *in TG_ZERO;  /* inputs and parameters */
    const tg_export_value *out TG_ZERO; /* any tensors, gradients too */
    const char *after TG_ZERO;          /* C text to end the file with, or NULL */
} tg_export_options;

/* Prints what `out` depends on as one C99 file that includes only <math.h>,
 * <stddef.h>, <stdint.h> and <string.h>:
 *     int NAME(const float *in0, ..., float *out0, ..., void *scratch)
 * Arrays are contiguous and row-major. The inputs and parameters in `in` are
 * arguments; all others become constants of the file with their present values.
 * scratch has NAME_SCRATCH bytes, aligned as for a double. Outputs are written
 * last, so that one may lie where an argument does, as a parameter's next value
 * would, unless another is a view of that argument. The function allocates
 * nothing and keeps no state. It returns 0, or 1 when data are bad where an
 * evaluation would fail (an index out of range): outputs are then undefined.
 *
 * If the recording draws random numbers (dropout in training, tg_rand), there is
 * one more argument, `uint64_t tg_step` before scratch: with the tape's seed and
 * stream, which become constants, the numbers are those of that step.
 *
 * Results have the bits of the base kernels (tg_tape_options.isa), compiled by
 * gcc or clang; libm's are lgamma, fmod, hypot (in decompositions), log (in
 * slogdet) and exp (in cross_entropy of more than 1024 classes); attention is
 * the lean library's. It, convolutions and max-pooling want the vector types of
 * gcc and clang. Loops (tg_scan, and what is built on it: rnn, lstm, gru),
 * tg_external, ops of others without tg_op.print, and reductions over more than
 * 65536 elements in columns or 1048576 in a row, are TG_EVALUE, naming op and
 * line. A name that is no free C identifier: TG_EVALUE. TG_EIO when the file
 * can't be written; it is written whole or not at all. A lean library can't
 * export (TG_ESTATE). */
TG_API tg_status tg_export_c_at(tg_tape *t, const char *where, const char *path,
                                const tg_export_options *options);

/* --------------------------------------------------------------- parameters */

typedef enum tg_init_kind {
    TG_ZEROS,
    TG_ONES,
    TG_CONSTANT, /* a */
    TG_UNIFORM,  /* in [a, b), a < b */
    /* mean a, standard deviation b > 0, in the parameter's dtype */
    TG_NORMAL,
    /* gain a (0: 1): U(-r, r), r = gain sqrt(6 / (fan_in + fan_out)); Glorot
     * and Bengio 2010 */
    TG_XAVIER_UNIFORM,
    TG_XAVIER_NORMAL, /* N(0, gain^2 2 / (fan_in + fan_out)) */
    /* gain a (0: sqrt 2): U(-r, r), r = gain sqrt(3 / fan_in); He et al.
     * 2015 */
    TG_HE_UNIFORM,
    TG_HE_NORMAL, /* N(0, gain^2 / fan_in) */
    /* PyTorch's for linear layers, weight and bias: U(-r, r), r = 1 /
     * sqrt(fan); a is the fan (0: fan_in) */
    TG_LINEAR_DEFAULT
} tg_init_kind;

/* fan_in is the product of all sizes but the first, fan_out of all but the
 * second (a weight is [out, in, ...]); both want two or more dimensions unless
 * a gives the fan. */
typedef struct tg_init {
    tg_init_kind kind TG_ZERO;
    double a TG_ZERO, b TG_ZERO;
} tg_init;

typedef struct tg_params_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    /* Of the initial values: each parameter draws from a stream of its own,
     * numbered in order of creation. */
    uint64_t seed TG_ZERO;
} tg_params_options;

/* A set of named parameters. Errors stick to the set as they do to a tape. Free
 * it after every tape that read it was reset or freed. */
TG_API tg_params *tg_params_new(const tg_params_options *options);
TG_API void tg_params_free(tg_params *ps);
/* TG_ENOMEM for NULL */
TG_API tg_status tg_params_status(const tg_params *ps);
/* "" without an error */
TG_API const char *tg_params_message(const tg_params *ps);
TG_API void tg_params_clear_error(tg_params *ps);

/* A new trainable parameter, f32 or f64, named uniquely within ps (1 to 255
 * bytes). Owned by ps. NULL on an error, which sticks to ps. */
TG_API tg_tensor *tg_param_new_at(tg_params *ps, const char *where, const char *name,
                                  tg_dtype dtype, tg_shape shape, tg_init init);

TG_API int tg_params_count(const tg_params *ps);
/* in order of creation; NULL out of range */
TG_API tg_tensor *tg_params_get(const tg_params *ps, int index);
/* NULL when there is none */
TG_API tg_tensor *tg_params_find(const tg_params *ps, const char *name);
/* summed over all parameters */
TG_API int64_t tg_params_elements(const tg_params *ps);

/* NULL when p is no parameter, as for the accessors that follow */
TG_API const char *tg_param_name(const tg_tensor *p);
/* the value; valid until ps is freed, changed by writes and optimizer steps */
TG_API const void *tg_param_data(const tg_tensor *p);
/* the accumulated gradient, of the parameter's shape and dtype; NULL while
 * absent */
TG_API const void *tg_param_grad(const tg_tensor *p);
/* raised by each change; 0 for NULL */
TG_API uint64_t tg_param_version(const tg_tensor *p);
TG_API bool tg_param_trainable(const tg_tensor *p);
/* turning it off drops the gradient */
TG_API tg_status tg_param_set_trainable(tg_tensor *p, bool trainable);

/* New values: as many elements as p has, copied. Raises the version. */
TG_API tg_status tg_param_write(tg_tensor *p, const void *data);

/* Discards all gradients. */
TG_API void tg_params_drop_grads(tg_params *ps);

/* Adds the caller's gradient (p's shape and dtype) to what p holds: the way for
 * workers that used tg_grad to hand in theirs. */
TG_API tg_status tg_param_add_grad(tg_tensor *p, const void *grad);

/* ------------------------------------------------------- checking gradients */

/* The function under test: records on t from n f64 tensors x and returns the
 * result, of any shape (NULL after an error). It may use the parameters of the
 * tg_params given to tg_gradcheck, and is called many times; it must record the
 * same thing each time. */
typedef tg_tensor *(*tg_function)(tg_tape *t, tg_tensor *const *x, int n, void *user);

/* One f64 input. */
typedef struct tg_check_input {
    tg_shape shape TG_ZERO;
    const double *data TG_ZERO;
    bool constant TG_ZERO; /* given to the function, not differentiated */
} tg_check_input;

typedef struct tg_gradcheck_options {
    size_t size TG_ZERO;
    /* Tolerance |analytic - numeric| <= absolute + relative * max(|analytic|,
     * |numeric|) + rounding, the last being 8 DBL_EPSILON |f| / step; 0:
     * 1e-6. */
    double relative TG_ZERO;
    double absolute TG_ZERO; /* 0: 1e-8 */
    /* The step for x is step * max(1, |x|); 0: 6e-6, near the optimum eps^(1/3)
     * of central differences. */
    double step TG_ZERO;
    /* Largest number of Jacobian entries checked one by one; beyond, random
     * directions; 0: 4096. */
    int64_t full_jacobian TG_ZERO;
    int directions TG_ZERO;        /* how many random directions; 0: 8 */
    bool first_order_only TG_ZERO; /* skip the gradient of the gradient */
    uint64_t seed TG_ZERO;         /* of directions and upstream gradients */
    int threads TG_ZERO;           /* of the tape used; 0: 1 */
} tg_gradcheck_options;

typedef struct tg_gradcheck_report {
    /* TG_OK, TG_ECHECK, or what the function's tape failed with */
    tg_status status;
    int order; /* of the worst element: 1 or 2 */
    /* which input; parameters follow the inputs, in order of creation; -1: none
     * of them, see element */
    int input;
    /* which element of it, or, with input -1, of the second order's upstream
     * gradient; -1: a random direction over all */
    int64_t element;
    /* which element of the result (second order: of the gradients, one after
     * another); -1: a random upstream gradient */
    int64_t output;
    double analytic, numeric; /* at the worst element */
    double error;             /* |analytic - numeric| there */
    /* its error over its tolerance: the check passes when this is at most 1 */
    double worst;
    int64_t compared; /* how many pairs were compared */
    /* pairs left out because the numeric derivatives of two step sizes
     * disagree: the function is not smooth there */
    int64_t kinks;
    char op[64]; /* the op that made the result */
    /* After a failure: the op whose derivative is wrong, with the position
     * where it was recorded, "net.c:42: matmul"; "" when that can't be told
     * (more than 1000 nodes, say). */
    char fault[256];
    char message[512]; /* one sentence for a person */
} tg_gradcheck_report;

/* Compares analytic derivatives of f with central differences, in f64, first
 * and second order, at the given inputs. params may be NULL; given, all its
 * parameters are checked too, in copies converted to f64. Any f32 that f
 * reaches is TG_EDTYPE. Random ops replay the same numbers. A check in which
 * more than half the pairs (not counting those that are 0 on both sides) are
 * kinks fails. Fills *report (may be NULL) and returns its status. */
TG_API tg_status tg_gradcheck(tg_function f, int n, const tg_check_input *inputs, tg_params *params,
                              void *user, const tg_gradcheck_options *options,
                              tg_gradcheck_report *report);

/* A function of n numbers, in plain C. */
typedef double (*tg_scalar_function)(const double *x, int64_t n, void *user);

/* Compares a gradient that was computed by hand, df/dx[0..n) at x, with central
 * differences of f: no tape is needed. Tolerances, step and report as for
 * tg_gradcheck, all elements one by one. */
TG_API tg_status tg_check_numeric(tg_scalar_function f, int64_t n, const double *x,
                                  const double *gradient, void *user,
                                  const tg_gradcheck_options *options, tg_gradcheck_report *report);

/* ------------------- the same without source positions, for other languages */

/* clang-format off */
/* Result, name, parameters, and the arguments of the form with a position. */
#define TG_PLAIN_FORMS(X)                                                                      \
    X(tg_tensor *, input, (tg_tape *t, tg_dtype dtype, tg_shape shape, const void *data),      \
      (t, NULL, dtype, shape, data))                                                           \
    X(tg_tensor *, input_borrow, (tg_tape *t, tg_dtype dtype, tg_shape shape,                  \
      const void *data), (t, NULL, dtype, shape, data))                                        \
    X(tg_tensor *, constant, (tg_tape *t, tg_dtype dtype, double value), (t, NULL, dtype,      \
      value))                                                                                  \
    X(tg_status, input_set, (tg_tape *t, tg_tensor *x, const void *data), (t, NULL, x,         \
      data))                                                                                   \
    X(tg_tensor *, detach, (tg_tape *t, tg_tensor *x), (t, NULL, x))                           \
    X(tg_tensor *, keep, (tg_tape *t, tg_tensor *x), (t, NULL, x))                             \
    X(tg_status, eval, (tg_tape *t, int n, tg_tensor *const *x), (t, NULL, n, x))              \
    X(double, item, (tg_tape *t, tg_tensor *x), (t, NULL, x))                                  \
    X(const void *, data, (tg_tape *t, tg_tensor *x), (t, NULL, x))                            \
    X(tg_status, backward, (tg_tape *t, tg_tensor *loss), (t, NULL, loss))                     \
    X(tg_status, grad, (tg_tape *t, tg_tensor *y, tg_tensor *seed, int n,                      \
      tg_tensor *const *x, tg_tensor **gx, bool allow_unused), (t, NULL, y, seed, n, x, gx,    \
      allow_unused))                                                                           \
    X(tg_tensor *, jvp, (tg_tape *t, tg_tensor *y, int n, tg_tensor *const *x,                 \
      tg_tensor *const *v), (t, NULL, y, n, x, v))                                             \
    X(tg_tensor *, hvp, (tg_tape *t, tg_tensor *y, tg_tensor *x, tg_tensor *v), (t, NULL,      \
      y, x, v))                                                                                \
    X(tg_tensor *, substitute, (tg_tape *t, tg_tensor *y, int n, tg_tensor *const *x,          \
      tg_tensor *const *with), (t, NULL, y, n, x, with))                                       \
    X(tg_status, scan, (tg_tape *t, const tg_scan_body *b, int64_t n, tg_tensor **carry,       \
      tg_tensor *const *x, tg_tensor *const *w, tg_tensor **y), (t, NULL, b, n, carry, x,      \
      w, y))                                                                                   \
    X(tg_status, replay, (tg_tape *t), (t, NULL))                                              \
    X(tg_status, buffer_set, (tg_tape *t, tg_tensor *p, tg_tensor *x), (t, NULL, p, x))        \
    X(tg_status, buffers_update, (tg_tape *t), (t, NULL))                                      \
    X(tg_status, write_dot, (tg_tape *t, const char *path, tg_tensor *loss), (t, NULL,         \
      path, loss))                                                                             \
    X(tg_status, export_c, (tg_tape *t, const char *path,                                      \
      const tg_export_options *options), (t, NULL, path, options))                             \
    X(tg_tensor *, param_new, (tg_params *ps, const char *name, tg_dtype dtype,                \
      tg_shape shape, tg_init init), (ps, NULL, name, dtype, shape, init))
/* clang-format on */
#define TG_PLAIN_FORM(result, name, parameters, arguments) TG_API result tg_##name parameters;
TG_PLAIN_FORMS(TG_PLAIN_FORM)
#undef TG_PLAIN_FORM

#ifdef __cplusplus
}
#endif

/* TG_HERE is the source position that recording macros pass. Functions that
 * compose ops for others redefine it to pass their caller's. */
#ifndef TG_HERE
#define TG_TEXT_OF(line) #line
#define TG_POSITION(file, line) file ":" TG_TEXT_OF(line)
#define TG_HERE TG_POSITION(__FILE__, __LINE__)
#endif

#ifndef TG_NO_MACROS
/* An array or a struct written in place has commas: what may be one is in the
 * variable part. */
#define tg_input(t, dtype, ...) tg_input_at(t, TG_HERE, dtype, __VA_ARGS__)
#define tg_input_borrow(t, dtype, ...) tg_input_borrow_at(t, TG_HERE, dtype, __VA_ARGS__)
#define tg_constant(t, dtype, value) tg_constant_at(t, TG_HERE, dtype, value)
#define tg_input_set(t, x, ...) tg_input_set_at(t, TG_HERE, x, __VA_ARGS__)
#define tg_detach(t, x) tg_detach_at(t, TG_HERE, x)
#define tg_keep(t, x) tg_keep_at(t, TG_HERE, x)
#define tg_eval(t, n, ...) tg_eval_at(t, TG_HERE, n, __VA_ARGS__)
#define tg_item(t, x) tg_item_at(t, TG_HERE, x)
#define tg_data(t, x) tg_data_at(t, TG_HERE, x)
#define tg_backward(t, loss) tg_backward_at(t, TG_HERE, loss)
#define tg_grad(t, y, seed, n, ...) tg_grad_at(t, TG_HERE, y, seed, n, __VA_ARGS__)
#define tg_jvp(t, y, n, ...) tg_jvp_at(t, TG_HERE, y, n, __VA_ARGS__)
#define tg_hvp(t, y, x, v) tg_hvp_at(t, TG_HERE, y, x, v)
#define tg_substitute(t, y, n, ...) tg_substitute_at(t, TG_HERE, y, n, __VA_ARGS__)
#define tg_scan(t, b, n, carry, x, ...) tg_scan_at(t, TG_HERE, b, n, carry, x, __VA_ARGS__)
#define tg_replay(t) tg_replay_at(t, TG_HERE)
#define tg_buffer_set(t, p, x) tg_buffer_set_at(t, TG_HERE, p, x)
#define tg_buffers_update(t) tg_buffers_update_at(t, TG_HERE)
#define tg_write_dot(t, path, loss) tg_write_dot_at(t, TG_HERE, path, loss)
#define tg_export_c(t, path, ...) tg_export_c_at(t, TG_HERE, path, __VA_ARGS__)
#define tg_param_new(ps, name, dtype, ...) tg_param_new_at(ps, TG_HERE, name, dtype, __VA_ARGS__)
#endif

#endif
