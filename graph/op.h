/* tapegrad: how an op is made. For people who write ops; the built-in ones use
 * nothing else.
 *
 * An op is a const tg_op: a shape rule, one kind of kernel, and a vjp. It is
 * run with tg_apply and checked with tg_gradcheck, from any file, without
 * registration. A whole op:
 *
 *     TG_MAP_1(cube_span, x * x * x)
 *     static void cube_vjp(TG_VJP)
 *     {
 *         gx[0] = tg_mul(t, gy, tg_scale(t, tg_square(t, x[0]), 3));
 *     }
 *     static const tg_op cube = {.size = sizeof(tg_op), .name = "cube",
 *                                .n_in = 1, .span = &cube_span,
 *                                .vjp = cube_vjp};
 *     y = tg_apply(t, &cube, 1, &x, 0, NULL);
 *
 * An op has exactly one of these:
 *   span    elementwise: operands broadcast against each other (NumPy's rules)
 *           and the kernel sees contiguous blocks of equal length
 *   fold    a reduction over the adjacent axes attrs[0]..attrs[1] (inclusive),
 *           kept with size 1 when attrs[2] is 1, else dropped
 *   view    no kernel: the first operand's data seen with other sizes and
 *           strides; other operands are there for the vjp only
 *   kernel  anything else
 *
 * Attributes are int64_t and belong to the structure: they say which graph it
 * is. A number that is data (a slope, a rate) is an operand, a 0-dim constant,
 * so that plans don't depend on it and derivative rules can compute with it.
 *
 * Contents: shape rules; kernels; vjps; the op itself; functions in plain C,
 * for tg_external; samples: what an op is checked and measured with; kernels
 * from one expression. */
#ifndef TG_OP_H
#define TG_OP_H

#include <tapegrad/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tg_op tg_op;

typedef struct tg_type {
    tg_dtype dtype;
    tg_shape shape;
} tg_type;

/* Data with strides in elements; a stride may be 0 (broadcast) or negative. */
typedef struct tg_array {
    void *data;
    tg_dtype dtype;
    tg_shape shape;
    int64_t stride[TG_MAX_DIMS];
} tg_array;

/* row-major without gaps (sizes of 1 are ignored) */
TG_API bool tg_array_contiguous(const tg_array *a);

/* -------------------------------------------------------------- shape rules */

/* What a shape rule sees, and y, which it fills in. For an elementwise op y
 * holds the broadcast shape and the last operand's dtype beforehand. Without a
 * rule all operands must have one dtype, y's. */
typedef struct tg_rule {
    int n_in, n_attrs;
    const tg_type *x;
    const int64_t *attrs;
    tg_type y;
    void *record;
} tg_rule;

/* Fails the recording with "file:line: op: message"; returns false, for `return
 * tg_rule_fail(...)`. */
TG_API bool tg_rule_fail(tg_rule *r, tg_status status, const char *format, ...) TG_PRINTF(3, 4);

/* The shape of a against b under NumPy's broadcasting; ndim -1 when they don't
 * fit. */
TG_API tg_shape tg_shape_broadcast(tg_shape a, tg_shape b);

/* ---------------------------------------------------------------- kernels */

/* The builds of a kernel: portable, AVX2 with FMA, AVX-512 (F, BW, DQ, VL). The
 * tape picks the best that the processor has. A later version may know more of
 * them, each able to run those before it, and more dtypes: how many of either
 * an op was compiled with stands in its tables. */
enum { TG_BUILD_BASE, TG_BUILD_AVX2, TG_BUILD_AVX512, TG_BUILD_COUNT };

/* A block of an elementwise kernel's work: y[i] from x[k][i] for i < n. y may
 * be the same memory as an x[k], never shifted against it. */
typedef struct tg_span {
    int64_t n;
    int64_t first; /* index of the block's first element in y */
    const int64_t *attrs;
    uint64_t key;  /* of random ops: the tape's seed and stream ... */
    uint64_t step; /* ... and its step */
    struct tg_run *run;
} tg_span;

typedef void (*tg_span_fn)(const tg_span *s, void *y, const void *const *x);

/* One function for each dtype of the last operand and each build. A dtype
 * without functions is refused with TG_EDTYPE. TG_SPANS and TG_MAP_1 define
 * one. */
typedef struct tg_spans {
    size_t size TG_ZERO; /* sizeof(tg_spans) */
    int dtypes TG_ZERO, builds TG_ZERO;
    const tg_span_fn *of TG_ZERO; /* [dtypes][builds] */
    const char *text TG_ZERO;     /* the expression, in C; NULL: it has none */
    /* The library's own: the text that tg_export_c carries, see tg_op.carried:
     * what the expression calls, or, where there is none, the functions, whose
     * table is named behind it. NULL: nothing. */
    const char *carried TG_ZERO;
} tg_spans;

/* A reduction's kernels. fold reduces n contiguous elements, 0 <= n <= 1024, to
 * y[0] in this fixed order: 64 lanes, lane l taking elements l, l + 64, l +
 * 128, ..., then lanes l and l + 32 combined, l and l + 16, ... (fewer lanes
 * for n < 64: the smallest power of two >= n). combine is the elementwise form.
 * Longer reductions fold chunks of 1024, then the results, and so on. Where the
 * reduced axes are not the last ones, rows are combined: each 64 of them in
 * blocks of as many rows as 1024 elements hold, a block pairwise (the upper
 * half with the lower), the blocks one after the other; then the results of the
 * 64s pairwise. */
typedef void (*tg_fold_fn)(int64_t n, const void *x, void *y);
typedef struct tg_folds {
    size_t size TG_ZERO; /* sizeof(tg_folds) */
    int dtypes TG_ZERO, builds TG_ZERO;
    const tg_fold_fn *of TG_ZERO; /* [dtypes][builds] */
    const tg_spans *combine TG_ZERO;
} tg_folds;

/* A call of a `kernel`. Inputs are contiguous unless the op says TG_STRIDED; y
 * always is, never aliases an input, and is not cleared. */
typedef struct tg_call {
    int n_in, n_attrs;
    const tg_array *x;
    const tg_array *y;
    const int64_t *attrs;
    /* as many bytes as op->scratch asked for, aligned to 64 */
    void *scratch;
    const void *prepared; /* what op->prepare left, aligned to 64 */
    /* TG_BUILD_...; above those that a kernel knows, its last one serves */
    int build;
    int threads;
    uint64_t key, step;
    struct tg_run *run;
} tg_call;

/* Runs part(c, user, k) for k in 0..parts-1 on the tape's threads, in any
 * order; returns when all are done. Cut the work by shape, never by the number
 * of threads, so that results don't depend on it. */
TG_API void tg_parallel(const tg_call *c, int64_t parts,
                        void (*part)(const tg_call *c, void *user, int64_t k), void *user);

/* Reports that the data is bad ("label 12 is not in 0..9"). Of several reports
 * in one kernel that of the lowest element (an index in y, or in whichever
 * operand is being walked) stands. The evaluation then fails with status and
 * "file:line: op: message". */
TG_API void tg_call_fail(const tg_call *c, int64_t element, tg_status status, const char *format,
                         ...) TG_PRINTF(4, 5);
TG_API void tg_span_fail(const tg_span *s, int64_t element, tg_status status, const char *format,
                         ...) TG_PRINTF(4, 5);

/* Four words of Philox 4x32-10 for a counter of (block, ordinal, step) under a
 * key: the numbers of elements 4 block .. 4 block + 3. */
TG_API void tg_philox(uint64_t key, uint64_t step, uint32_t ordinal, uint64_t block,
                      uint32_t out[4]);

/* ---------------------------------------------------------------- vjps */

/* The parameters of a vjp: it records, on t, the product of gy (the gradient of
 * y) with the op's Jacobian, and stores in gx[k] the part that belongs to x[k].
 * It must be linear in gy, made of differentiable ops, and a function of the
 * recording's structure alone. gx[k] may have the shape that x[k] was broadcast
 * to: the reverse pass sums. A gx[k] left NULL means: not differentiable in
 * x[k]. It may differentiate what it recorded itself; one that evaluates,
 * or makes an input (as tg_arange does), is TG_ESTATE. */
#if defined(__GNUC__)
#define TG_MAYBE_UNUSED __attribute__((unused))
#else
#define TG_MAYBE_UNUSED
#endif
#define TG_VJP                                                                               \
    TG_MAYBE_UNUSED tg_tape *t, TG_MAYBE_UNUSED const char *where, TG_MAYBE_UNUSED int n_in, \
        TG_MAYBE_UNUSED tg_tensor *const *x, TG_MAYBE_UNUSED tg_tensor *y,                   \
        TG_MAYBE_UNUSED const int64_t *attrs, TG_MAYBE_UNUSED tg_tensor *gy,                 \
        TG_MAYBE_UNUSED tg_tensor **gx

/* ------------------------------------------------------------ the op itself */

enum {
    TG_STRIDED = 1, /* the kernel takes inputs with any strides */
    /* uses random numbers: attrs[0] is the ordinal of its draw, see
     * tg_draw_ordinal; never merged */
    TG_DRAWS = 2
};

/* Where an exported C file is printed, see tg_op.print. */
typedef struct tg_source tg_source;
TG_API void tg_source_print(tg_source *s, const char *format, ...) TG_PRINTF(2, 3);

struct tg_op {
    /* sizeof(tg_op); an op that was compiled when the struct was shorter runs,
     * without what came later */
    size_t size TG_ZERO;
    const char *name TG_ZERO; /* as in messages: "matmul" */
    int n_in TG_ZERO;         /* operands; -1: any number */
    unsigned flags TG_ZERO;
    bool (*rule)(tg_rule *r) TG_ZERO; /* required for view and kernel ops */
    const tg_spans *span TG_ZERO;
    const tg_folds *fold TG_ZERO;
    /* Fills y->data (by offsetting x->data) and y->stride for y->shape; false
     * when it can't be a view of this x (then x is copied to contiguous memory
     * first, for which it must succeed). */
    bool (*view)(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs) TG_ZERO;
    void (*kernel)(const tg_call *c) TG_ZERO;
    /* Bytes; data pointers are not set yet. NULL: none. */
    int64_t (*scratch)(const tg_call *c) TG_ZERO;
    /* What the kernel would otherwise work out anew at each call from shapes,
     * strides and attributes: written once, when the plan is made, to
     * `prepared` bytes that live as long as the plan. Data pointers are not set
     * yet. NULL: nothing. */
    size_t prepared TG_ZERO;
    void (*prepare)(const tg_call *c, void *prepared) TG_ZERO;
    void (*vjp)(TG_VJP) TG_ZERO; /* NULL: not differentiable */
    /* For tg_export_c: prints the body of a C99 function that does what the
     * kernel does for these shapes, strides and attributes. It reads const
     * pointers x0, x1, ... to the operands' first elements and writes through
     * y. NULL, or false before anything is printed: the op can't be exported.
     * Ops with a span are exported by its text. */
    bool (*print)(const tg_call *c, tg_source *s) TG_ZERO;
    /* For profiles: how many floating-point operations the kernel needs. NULL:
     * not counted. */
    double (*flops)(const tg_call *c) TG_ZERO;
    /* The library's own, where there is no print: the text that an exported
     * file carries, and the kernel in it and what prepares it, "norm
     * norm_kernel norm_prepare". NULL: the op can't be exported. */
    const char *carried TG_ZERO;
};

/* What a library that can't export does without. */
#ifdef TG_LEAN
#define TG_CARRIED(text) NULL
#else
#define TG_CARRIED(text) text
#endif

/* Records op on n_in operands with n_attrs attributes (copied). x may be an
 * array of the caller's stack. */
TG_API tg_tensor *tg_apply_at(tg_tape *t, const char *where, const tg_op *op, int n_in,
                              tg_tensor *const *x, int n_attrs, const int64_t *attrs);
TG_API tg_tensor *tg_apply(tg_tape *t, const tg_op *op, int n_in, tg_tensor *const *x, int n_attrs,
                           const int64_t *attrs);

/* The same for ops with 1, 2 or 3 operands and no attributes. */
TG_API tg_tensor *tg_apply_1(tg_tape *t, const char *where, const tg_op *op, tg_tensor *x);
TG_API tg_tensor *tg_apply_2(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a,
                             tg_tensor *b);
TG_API tg_tensor *tg_apply_3(tg_tape *t, const char *where, const tg_op *op, tg_tensor *a,
                             tg_tensor *b, tg_tensor *c);

/* A constant of x's dtype. NULL, without a new error, for an x of NULL on a
 * tape in error. */
TG_API tg_tensor *tg_constant_like_at(tg_tape *t, const char *where, const tg_tensor *x,
                                      double value);

/* Fails the tape as a recording function does, for checks that an op's public
 * function makes itself; returns NULL. Does nothing when the tape is in error
 * already. */
TG_API tg_tensor *tg_fail_at(tg_tape *t, const char *where, tg_status status, const char *format,
                             ...) TG_PRINTF(4, 5);

/* In a vjp: whether the gradient of operand k, 0 to n_in - 1, is asked for. When
 * not, gx[k] may stay NULL, and nothing need be recorded for it. The answer
 * follows from what was recorded and which parameters are trainable, never from
 * data. */
TG_API bool tg_wants(const tg_tape *t, int k);

/* The ordinal of the next random op of this recording. A vjp does not call it:
 * it uses its own op's attrs[0] again. */
TG_API int64_t tg_draw_ordinal(tg_tape *t);

#ifndef TG_NO_MACROS
#define tg_apply(t, op, n_in, ...) tg_apply_at(t, TG_HERE, op, n_in, __VA_ARGS__)
#define tg_constant_like(t, x, value) tg_constant_like_at(t, TG_HERE, x, value)
#endif

/* ------------------------------------------- functions in plain C, for tg_external
 *
 * `run` computes the results y[0], y[1], ... from the operands c->x[0], ..., all
 * of them contiguous, y zeros beforehand; always the same from the same data.
 * `user` is what tg_external was given. tg_parallel and tg_call_fail serve it as
 * they do a kernel.
 *
 * `vjp` is another such function, or NULL where there is no derivative. Its
 * operands are this function's, then its results, then their gradients; its
 * results are the gradients of this function's operands (data is NULL for one
 * of another dtype than the result). It may have a vjp again, for second
 * derivatives, and for tg_jvp. Five lines:
 *
 *     static void f(const tg_call *c, const tg_array *y, void *user) { ... }
 *     static void f_grad(const tg_call *c, const tg_array *gx, void *user) { ... }
 *     static const tg_external_fn df = {.size = sizeof df, .run = f_grad};
 *     static const tg_external_fn fn = {.size = sizeof fn, .run = f, .vjp = &df};
 *     y = tg_external(t, &fn, NULL, TG_F64, TG_SHAPE(3), 1, &x); */
typedef struct tg_external_fn {
    size_t size TG_ZERO; /* sizeof(tg_external_fn) */
    void (*run)(const tg_call *c, const tg_array *y, void *user) TG_ZERO;
    const struct tg_external_fn *vjp TG_ZERO;
} tg_external_fn;

/* ------------------------- samples: what an op is checked and measured with */

enum {
    /* the op is elementwise: shapes of the sample are replaced by a whole
     * matrix of shapes */
    TG_ANY_SHAPE = 1,
    TG_NOT_SMOOTH = 2, /* no derivative is checked here: forward only */
    TG_FIRST_ORDER = 4 /* only the first derivative exists here */
};
enum { TG_SAMPLE_INPUTS = 6 }; /* operands of a sample, at most */

typedef struct tg_sample_input {
    tg_type type;
    /* values are uniform in [low, high]; integers in low..high inclusive */
    double low, high;
} tg_sample_input;

/* One way to call an op. */
typedef struct tg_sample {
    const char *label;
    unsigned flags;
    int n_in;
    tg_sample_input x[TG_SAMPLE_INPUTS];
    tg_tensor *(*record)(tg_tape *t, tg_tensor *const *x); /* calls the op */
    /* The expected result, computed independently in plain C: for TG_ANY_SHAPE
     * one element from one element of each operand ... */
    double (*element)(const double *x);
    /* ... otherwise all of y from all of x, everything contiguous, converted to
     * f64, and y's shape given. */
    void (*whole)(const tg_array *x, tg_array *y);
    /* the position that messages of `record` begin with; NULL: not known */
    const char *where;
    unsigned optional; /* bit k: x[k] may be NULL */
} tg_sample;

/* What is known of a public op: ops/ops.h declares one for each op, tg_ops_list
 * gives them all. */
typedef struct tg_op_info {
    size_t size; /* of the struct that the library was built with */
    const char *name;
    const char *formula; /* "y = max(x, 0)" */
    /* "any" or "[..., n, k] x [..., k, m] -> [..., n, m]" */
    const char *shapes;
    /* how often it can be differentiated: 0, 1, or -1 for any number of
     * times */
    int order;
    const char *domain; /* where it is defined: "x > 0"; NULL: everywhere */
    const char *kinks;  /* where it has no derivative: "x = 0"; NULL: nowhere */
} tg_op_info;

#ifdef __cplusplus
}
#endif

/* ------------------------------------------------ kernels from one expression
 *
 * TG_MAP_1(name, expression) defines `static const tg_spans name` for f32 and
 * f64, compiled for every build, with the expression as its text. The
 * expression computes one element: operands are x for one, a and b for two, a,
 * b and c for three; T is the dtype's C type (write constants as (T)0.5);
 * `build` is the constant TG_BUILD_... that is being compiled. TG_MAP_2 and
 * TG_MAP_3 likewise. */

#if defined(__GNUC__) && defined(__x86_64__)
#if defined(TG_NO_AVX512) && !defined(__clang__) /* lean: small, where no vectors are wide */
#define TG_TARGET_BASE __attribute__((optimize("Os", "no-tree-vectorize")))
#else
#define TG_TARGET_BASE
#endif
#define TG_TARGET_AVX2 __attribute__((target("avx2,fma,bmi,bmi2")))
#if defined(__clang__)
#define TG_TARGET_AVX512 \
    __attribute__((target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl")))
#else
#define TG_TARGET_AVX512 \
    __attribute__((      \
        target("avx2,fma,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define TG_ON_AVX(...) __VA_ARGS__
#if defined(TG_NO_AVX512) /* as in a lean library */
#define TG_ON_AVX512(...)
#define TG_BUILDS(name)                       \
    {                                         \
        name##_base, name##_avx2, name##_avx2 \
    }
#else
#define TG_ON_AVX512(...) __VA_ARGS__
#define TG_BUILDS(name)                         \
    {                                           \
        name##_base, name##_avx2, name##_avx512 \
    }
#endif
#else
#define TG_TARGET_BASE
#define TG_ON_AVX(...)
#define TG_ON_AVX512(...)
#define TG_BUILDS(name)                       \
    {                                         \
        name##_base, name##_base, name##_base \
    }
#endif

#if defined(__clang__)
#define TG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define TG_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TG_INDEPENDENT
#endif

/* Expands DEFINE(name_build, TARGET, BUILD, ...) once for each build. */
#define TG_EACH_BUILD(DEFINE, name, ...)                                       \
    DEFINE(name##_base, TG_TARGET_BASE, TG_BUILD_BASE, __VA_ARGS__)            \
    TG_ON_AVX(DEFINE(name##_avx2, TG_TARGET_AVX2, TG_BUILD_AVX2, __VA_ARGS__)) \
    TG_ON_AVX512(DEFINE(name##_avx512, TG_TARGET_AVX512, TG_BUILD_AVX512, __VA_ARGS__))

/* Of f64, a lean library has the base build alone: the others would be a tenth
 * of all its code. (exp takes 3 times as long as on AVX2, tanh 1.6 times; sums
 * and products of elements are bound by memory.) */
#if defined(TG_NO_AVX512)
#define TG_EACH_BUILD_F64(DEFINE, name, ...) \
    DEFINE(name##_base, TG_TARGET_BASE, TG_BUILD_BASE, __VA_ARGS__)
#define TG_BUILDS_F64(name)                   \
    {                                         \
        name##_base, name##_base, name##_base \
    }
#else
#define TG_EACH_BUILD_F64 TG_EACH_BUILD
#define TG_BUILDS_F64 TG_BUILDS
#endif

/* R is the result's C type. */
#define TG_SPAN_1(fn, TARGET, BUILD, R, A, ...)                                       \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        typedef A T TG_MAYBE_UNUSED;                                                  \
        const A *x_ = (const A *)operand[0];                                          \
        R *y_ = (R *)result;                                                          \
        const int64_t n_ = s->n;                                                      \
        TG_INDEPENDENT                                                                \
        for (int64_t i = 0; i < n_; i++) {                                            \
            const A x = x_[i];                                                        \
            y_[i] = (R)(__VA_ARGS__);                                                 \
        }                                                                             \
    }
#define TG_SPAN_2(fn, TARGET, BUILD, R, A, ...)                                       \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        typedef A T TG_MAYBE_UNUSED;                                                  \
        const A *a_ = (const A *)operand[0], *b_ = (const A *)operand[1];             \
        R *y_ = (R *)result;                                                          \
        const int64_t n_ = s->n;                                                      \
        TG_INDEPENDENT                                                                \
        for (int64_t i = 0; i < n_; i++) {                                            \
            const A a = a_[i], b = b_[i];                                             \
            y_[i] = (R)(__VA_ARGS__);                                                 \
        }                                                                             \
    }
/* C is the first operand's C type, which may differ from A, that of the
 * others. */
#define TG_SPAN_3(fn, TARGET, BUILD, R, C, A, ...)                                    \
    TARGET static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                                 \
        enum { build = BUILD };                                                       \
        typedef A T TG_MAYBE_UNUSED;                                                  \
        const C *a_ = (const C *)operand[0];                                          \
        const A *b_ = (const A *)operand[1], *c_ = (const A *)operand[2];             \
        R *y_ = (R *)result;                                                          \
        const int64_t n_ = s->n;                                                      \
        TG_INDEPENDENT                                                                \
        for (int64_t i = 0; i < n_; i++) {                                            \
            const C a = a_[i];                                                        \
            const A b = b_[i], c = c_[i];                                             \
            y_[i] = (R)(__VA_ARGS__);                                                 \
        }                                                                             \
    }

/* A tg_spans from the rows of its table, the first for TG_F32, the next for
 * TG_F64, and so on: TG_BUILDS(function), or {0} for none. */
#define TG_ROW_COUNT(table) ((int)(sizeof(table) / sizeof((table)[0])))
#define TG_SPANS(name, text, ...) TG_SPANS_WITH(name, text, NULL, __VA_ARGS__)
#define TG_SPANS_WITH(name, text, carried, ...)                                              \
    static const tg_span_fn name##_of[][TG_BUILD_COUNT] = {__VA_ARGS__};                     \
    static const tg_spans name = {sizeof(tg_spans), TG_ROW_COUNT(name##_of), TG_BUILD_COUNT, \
                                  name##_of[0],     TG_CARRIED(text),        carried};

#define TG_MAP_1(name, ...) TG_MAP_TEXT_1(name, #__VA_ARGS__, __VA_ARGS__)
#define TG_MAP_2(name, ...) TG_MAP_TEXT_2(name, #__VA_ARGS__, __VA_ARGS__)
#define TG_MAP_3(name, ...) TG_MAP_TEXT_3(name, #__VA_ARGS__, __VA_ARGS__)
#define TG_MAP_TEXT_1(name, text, ...)                                    \
    TG_EACH_BUILD(TG_SPAN_1, name##_f32, float, float, __VA_ARGS__)       \
    TG_EACH_BUILD_F64(TG_SPAN_1, name##_f64, double, double, __VA_ARGS__) \
    TG_SPANS(name, text, TG_BUILDS(name##_f32), TG_BUILDS_F64(name##_f64))
#define TG_MAP_TEXT_2(name, text, ...)                                    \
    TG_EACH_BUILD(TG_SPAN_2, name##_f32, float, float, __VA_ARGS__)       \
    TG_EACH_BUILD_F64(TG_SPAN_2, name##_f64, double, double, __VA_ARGS__) \
    TG_SPANS(name, text, TG_BUILDS(name##_f32), TG_BUILDS_F64(name##_f64))
#define TG_MAP_TEXT_3(name, text, ...)                                            \
    TG_EACH_BUILD(TG_SPAN_3, name##_f32, float, float, float, __VA_ARGS__)        \
    TG_EACH_BUILD_F64(TG_SPAN_3, name##_f64, double, double, double, __VA_ARGS__) \
    TG_SPANS(name, text, TG_BUILDS(name##_f32), TG_BUILDS_F64(name##_f64))

#endif
