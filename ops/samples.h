/* Samples: with what operands an op is checked and measured, and what it should give. Private.
 *
 * A family file stands twice in the build: for the library, where what follows is nothing, and with
 * TG_SAMPLES defined, where it is all that is left of the file, for the tests and benchmarks to
 * link. An op without samples does not link there.
 *
 *     CALL(rows, tg_flip(t, x[0], TG_AXES(1)))
 *     EXPECT(rows, ... statements that fill y, of the right shape, from x ...)
 *     SAMPLES(flip, SAMPLE(rows, "a matrix", 0, REALS(-1, 1, 3, 4)),
 *             SAMPLE(rows, "nothing", 0, REALS(-1, 1, 2, 0)))
 *
 * The expected result shares nothing with the kernel. Operands keep away from kinks, or the sample
 * says TG_NOT_SMOOTH. A rule that branches wants a sample on each side. */
#ifndef TG_SAMPLES_H
#define TG_SAMPLES_H

#include <tapegrad/ops.h>

typedef struct tg_samples {
    const tg_op_info *op;
    int n;
    const tg_sample *sample;
} tg_samples;

/* Those of every op, in the order of ops.h. */
const tg_samples *const *tg_samples_list(int *n);

#ifdef TG_SAMPLES

/* How samples with this id call the op, on x[0], x[1], ...; CALL_WITHOUT: operand k may be NULL
 * where bit k of `optional` is set. */
#define CALL(id, ...) CALL_WITHOUT(id, 0, __VA_ARGS__)
#define CALL_WITHOUT(id, optional, ...)                                                  \
    static tg_tensor *call_##id(tg_tape *t, tg_tensor *const *x) { return __VA_ARGS__; } \
    static const char where_##id[] = TG_HERE;                                            \
    enum { optional_##id = optional };

/* What they expect: statements that fill y from x, all of them contiguous and in f64. */
#define EXPECT(id, ...) \
    static void expect_##id(const tg_array *x, tg_array *y) { __VA_ARGS__; }

/* Of elementwise ops: an element from one of each operand, x or a, b and c. */
#define EXPECT_EACH(id, ...)                                                           \
    static double expect_##id(const double *operand)                                   \
    {                                                                                  \
        const double x TG_MAYBE_UNUSED = operand[0], a TG_MAYBE_UNUSED = x,            \
                       b TG_MAYBE_UNUSED = operand[1], c TG_MAYBE_UNUSED = operand[2]; \
        return __VA_ARGS__;                                                            \
    }

/* Likewise, for operands that all have y's shape, in samples of one shape. */
static inline double tg_sampled(const tg_array *x, int64_t i)
{
    return x->data ? ((const double *)x->data)[i] : 0;
}
#define EXPECT_ALIKE(id, ...)                                                          \
    static void expect_##id(const tg_array *x_, tg_array *y_)                          \
    {                                                                                  \
        for (int64_t i = 0; i < tg_shape_count(y_->shape); i++) {                      \
            const double x TG_MAYBE_UNUSED = tg_sampled(x_, i), a TG_MAYBE_UNUSED = x, \
                           b TG_MAYBE_UNUSED = tg_sampled(x_ + 1, i),                  \
                           c TG_MAYBE_UNUSED = tg_sampled(x_ + 2, i);                  \
            ((double *)y_->data)[i] = __VA_ARGS__;                                     \
        }                                                                              \
    }

/* An operand: where its values lie, then its sizes; of elementwise ops, and of scalars, none. */
#define REAL(least, greatest) OPERAND(TG_F64, least, greatest)
#define INTEGER(least, greatest) OPERAND(TG_I64, least, greatest)
#define BYTE(least, greatest) OPERAND(TG_U8, least, greatest)
#define REALS(least, greatest, ...) SIZED(TG_F64, least, greatest, __VA_ARGS__)
#define INTEGERS(least, greatest, ...) SIZED(TG_I64, least, greatest, __VA_ARGS__)
#define BYTES(least, greatest, ...) SIZED(TG_U8, least, greatest, __VA_ARGS__)
#define OPERAND(type_of_values, least, greatest)    \
    {                                               \
        {type_of_values, {0, {0}}}, least, greatest \
    }
#define SIZED(type_of_values, least, greatest, ...)                                            \
    {                                                                                          \
        {type_of_values, {sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__}}}, \
            least, greatest                                                                    \
    }

/* The sample `id` on some operands; EACH: on any shape. */
#define SAMPLE(id, text, flag, ...)                                \
    SAMPLE_WITH(id, text, flag, __VA_ARGS__), .whole = expect_##id \
    }
#define EACH(id, text, flag, ...)                                                     \
    SAMPLE_WITH(id, text, (flag) | TG_ANY_SHAPE, __VA_ARGS__), .element = expect_##id \
    }
#define SAMPLE_WITH(id, text, flag, ...)                                            \
    {                                                                               \
        .label = text, .flags = flag,                                               \
        .n_in = sizeof((tg_sample_input[]){__VA_ARGS__}) / sizeof(tg_sample_input), \
        .x = {__VA_ARGS__}, .record = call_##id, .where = where_##id, .optional = optional_##id

#define SAMPLES(name_of, ...)                                                                 \
    static const tg_sample samples_of_##name_of[] = {__VA_ARGS__};                            \
    extern const tg_op_info tg_info_##name_of;                                                \
    extern const tg_samples tg_samples_##name_of;                                             \
    const tg_samples tg_samples_##name_of = {&tg_info_##name_of,                              \
                                             sizeof samples_of_##name_of / sizeof(tg_sample), \
                                             samples_of_##name_of};

#else
#define CALL(...)
#define CALL_WITHOUT(...)
#define EXPECT(...)
#define EXPECT_EACH(...)
#define EXPECT_ALIKE(...)
#define SAMPLES(...)
#endif
#endif
