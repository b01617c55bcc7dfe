/* What the kernels that an exported file carries find there in place of graph.h and op.h: the same
 * names for as much as they use, on one thread, for the base build. Private. */
#ifndef TG_ALONE_H
#define TG_ALONE_H

/* carried: alone */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(bool) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 202311L)
typedef _Bool bool;
enum { false, true };
#endif

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-const-variable"
#define TG_MAYBE_UNUSED __attribute__((unused))
#define TG_ALWAYS_INLINE static inline __attribute__((always_inline, unused))
#else
#define TG_MAYBE_UNUSED
#define TG_ALWAYS_INLINE static inline
#endif
#if defined(__GNUC__) && !defined(__clang__)
#define TG_INDEPENDENT _Pragma("GCC ivdep")
#else
#define TG_INDEPENDENT
#endif

enum { TG_MAX_DIMS = 8, TG_BUILD_BASE = 0, TG_BUILD_AVX2, TG_BUILD_AVX512, TG_BUILD_COUNT = 1 };
#define TG_TARGET_BASE
#define TG_ON_AVX(...)
#define TG_ON_AVX512(...)
#define TG_EACH_BUILD(DEFINE, name, ...) \
    DEFINE(name##_base, TG_TARGET_BASE, TG_BUILD_BASE, __VA_ARGS__)
#define TG_EACH_BUILD_F64 TG_EACH_BUILD
#define TG_BUILDS(name) \
    {                   \
        name##_base     \
    }
#define TG_BUILDS_F64 TG_BUILDS
#define TG_SAME_BUILDS(name) \
    {                        \
        name                 \
    }
#define TG_EACH(i, first, last, ...)             \
    TG_INDEPENDENT                               \
    for (int64_t i = (first); i < (last); i++) { \
        __VA_ARGS__;                             \
    }

/* in messages, which nobody reads */
#ifndef PRId64
#define PRId64 "lld"
#endif
#ifndef DBL_EPSILON
#define DBL_EPSILON 0x1p-52
#define DBL_MIN 0x1p-1022
#endif
#define TG_NO_INDEX INT64_MIN

typedef enum tg_status { TG_OK, TG_EVALUE, TG_EINDEX } tg_status;
typedef enum tg_dtype { TG_F32, TG_F64, TG_I64, TG_U8 } tg_dtype;
typedef struct tg_shape {
    int ndim;
    int64_t dim[8];
} tg_shape;
typedef struct tg_array {
    void *data;
    tg_dtype dtype;
    tg_shape shape;
    int64_t stride[8];
} tg_array;
typedef struct tg_call {
    int n_in, n_attrs;
    const tg_array *x, *y;
    const int64_t *attrs;
    void *scratch;
    const void *prepared;
    int build, threads;
    uint64_t key, step;
    int *failed;
} tg_call;
typedef struct tg_span {
    int64_t n, first;
    const int64_t *attrs;
    uint64_t key, step;
    int *failed;
} tg_span;
typedef void (*tg_span_fn)(const tg_span *s, void *y, const void *const *x);
typedef void (*tg_fold_fn)(int64_t n, const void *x, void *y);

#define TG_SPAN_1(fn, TARGET, BUILD, R, A, ...)                                \
    static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                          \
        const A *x_ = (const A *)operand[0];                                   \
        R *y_ = (R *)result;                                                   \
        for (int64_t i = 0; i < s->n; i++) {                                   \
            const A x = x_[i];                                                 \
            y_[i] = (R)(__VA_ARGS__);                                          \
        }                                                                      \
    }
#define TG_SPAN_2(fn, TARGET, BUILD, R, A, ...)                                \
    static void fn(const tg_span *s, void *result, const void *const *operand) \
    {                                                                          \
        const A *a_ = (const A *)operand[0], *b_ = (const A *)operand[1];      \
        R *y_ = (R *)result;                                                   \
        for (int64_t i = 0; i < s->n; i++) {                                   \
            const A a = a_[i], b = b_[i];                                      \
            y_[i] = (R)(__VA_ARGS__);                                          \
        }                                                                      \
    }
#define TG_SPANS_WITH(name, text, carried, ...) \
    static const tg_span_fn name##_of[][TG_BUILD_COUNT] = {__VA_ARGS__};
#define TG_SPANS(name, text, ...) TG_SPANS_WITH(name, text, 0, __VA_ARGS__)
#define TG_FOLDS(scope, name, elementwise, ...) \
    static const tg_fold_fn name##_of[][TG_BUILD_COUNT] = {__VA_ARGS__};

static inline size_t tg_dtype_size(tg_dtype dtype)
{
    return dtype == TG_U8 ? 1 : dtype == TG_F32 ? 4 : 8;
}

static inline int64_t tg_shape_count(tg_shape shape)
{
    int64_t count = 1;
    for (int k = 0; k < shape.ndim; k++) count *= shape.dim[k];
    return count;
}

static inline bool tg_array_contiguous(const tg_array *a)
{
    int64_t step = 1;
    for (int k = a->shape.ndim - 1; k >= 0; k--) {
        if (a->shape.dim[k] != 1 && a->stride[k] != step) return false;
        step *= a->shape.dim[k];
    }
    return true;
}

static inline void tg_parallel(const tg_call *c, int64_t parts,
                               void (*part)(const tg_call *c, void *user, int64_t k), void *user)
{
    for (int64_t k = 0; k < parts; k++) part(c, user, k);
}

/* Bad data: the exported function returns 1. */
static inline void tg_call_fail(const tg_call *c, int64_t element, tg_status status,
                                const char *format, ...)
{
    (void)element, (void)status, (void)format;
    *c->failed = 1;
}
static inline void tg_span_fail(const tg_span *s, int64_t element, tg_status status,
                                const char *format, ...)
{
    (void)element, (void)status, (void)format;
    *s->failed = 1;
}

/* The folds of base.c and folds.c, where these are carried. */
#define TG_SHARED static
#define tg_sum_of(dtype, build) sum_fold_of[dtype][0]
#define tg_max_of(dtype, build) tg_max_folds_of[dtype][0]
/* carried so far */

#endif
