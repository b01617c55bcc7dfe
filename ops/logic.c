/* Masks: what kind of number an element is, and logic on masks and on the bits of integers. */
#include "elementwise.h"
#include "folds.h"
#include <math.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- kinds of numbers */

tg_tensor *tg_isnan_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_ready_float(t, where, "isnan", x) ? tg_not_equal(t, x, x) : NULL;
}
tg_tensor *tg_isinf_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "isinf", x)) return NULL;
    return tg_equal(t, tg_abs(t, x), tg_constant_like(t, x, (double)INFINITY));
}
tg_tensor *tg_isfinite_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready_float(t, where, "isfinite", x)) return NULL;
    return tg_less(t, tg_abs(t, x), tg_constant_like(t, x, (double)INFINITY));
}

/* ---------------------------------------------------------------- bits */

#define BITS(name_of, operands, ...)                                                \
    TG_EACH_BUILD(TG_SPAN_##operands, name_of##_i64, int64_t, int64_t, __VA_ARGS__) \
    TG_EACH_BUILD(TG_SPAN_##operands, name_of##_u8, uint8_t, uint8_t, __VA_ARGS__)  \
    TG_SPANS(span_##name_of, #__VA_ARGS__, {0}, {0}, TG_BUILDS(name_of##_i64),      \
             TG_BUILDS(name_of##_u8))                                               \
    static const tg_op op_##name_of = {                                             \
        .size = sizeof(tg_op), .name = #name_of, .n_in = operands, .span = &span_##name_of};
BITS(bitwise_and, 2, a &b)
BITS(bitwise_or, 2, a | b)
BITS(bitwise_xor, 2, a ^ b)
BITS(bitwise_not, 1, ~x)
TG_DEFINE_2(bitwise_and, op_bitwise_and)
TG_DEFINE_2(bitwise_or, op_bitwise_or)
TG_DEFINE_2(bitwise_xor, op_bitwise_xor)
TG_DEFINE_1(bitwise_not, op_bitwise_not)

/* ---------------------------------------------------------------- logic */

static tg_tensor *truth(tg_tape *t, const char *where, const char *name, tg_tensor *x)
{
    if (!tg_ready(t, where, name, x)) return NULL;
    return tg_not_equal(t, x, tg_constant_like(t, x, 0));
}

#define LOGIC(name)                                                                              \
    tg_tensor *tg_logical_##name##_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b) \
    {                                                                                            \
        return tg_bitwise_##name(t, truth(t, where, "logical_" #name, a),                        \
                                 truth(t, where, "logical_" #name, b));                          \
    }
LOGIC(and)
LOGIC(or)
LOGIC(xor)
tg_tensor *tg_logical_not_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!tg_ready(t, where, "logical_not", x)) return NULL;
    return tg_equal(t, x, tg_constant_like(t, x, 0));
}

#endif

KNOWN(isnan, "any -> u8", 0, ("y = 1 where x is NaN, else 0"))
KNOWN(isinf, "any -> u8", 0, ("y = 1 where x = inf or -inf, else 0"))
KNOWN(isfinite, "any -> u8", 0, ("y = 1 where |x| < inf, else 0"))
CALL(isnan, tg_isnan(t, tg_log(t, x[0])))
EXPECT_ALIKE(isnan, x < 0)
SAMPLES(isnan, SAMPLE(isnan, "", 0, REALS(-2, 2, 3, 4)))
CALL(isinf, tg_isinf(t, tg_reciprocal(t, tg_floor(t, x[0]))))
EXPECT_ALIKE(isinf, x >= 0 && x < 1)
SAMPLES(isinf, SAMPLE(isinf, "", 0, REALS(-2, 2, 3, 4)))
CALL(isfinite, tg_isfinite(t, tg_log(t, tg_floor(t, x[0]))))
EXPECT_ALIKE(isfinite, x >= 1)
SAMPLES(isfinite, SAMPLE(isfinite, "", 0, REALS(-2, 2.9, 3, 4)))

#define BITS_OF(name, formula, ...)                                                  \
    KNOWN(bitwise_##name, "i64 or u8, broadcast", 0, (formula))                      \
    CALL(bitwise_##name, tg_bitwise_##name(t, x[0], x[1]))                           \
    EXPECT_EACH(bitwise_##name, (double)(__VA_ARGS__))                               \
    SAMPLES(bitwise_##name,                                                          \
            EACH(bitwise_##name, "i64", 0, INTEGER(-1000, 1000), INTEGER(-9, 1000)), \
            EACH(bitwise_##name, "u8", 0, BYTE(0, 255), BYTE(0, 255)))
BITS_OF(and, "y = a & b, bit by bit", (int64_t)a &(int64_t)b)
BITS_OF(or, "y = a | b, bit by bit", (int64_t)a | (int64_t)b)
BITS_OF(xor, "y = a ^ b, bit by bit", (int64_t)a ^ (int64_t)b)
KNOWN(bitwise_not, "i64 or u8", 0, ("y = ~x, bit by bit"))
CALL(inverted, tg_bitwise_not(t, x[0]))
EXPECT_ALIKE(inverted, -1 - x)
CALL(inverted_bytes, tg_bitwise_not(t, x[0]))
EXPECT_ALIKE(inverted_bytes, 255 - x)
SAMPLES(bitwise_not, SAMPLE(inverted_bytes, "u8", 0, BYTES(0, 255, 7)),
        SAMPLE(inverted, "i64", 0, INTEGERS(-1000, 1000, 3, 4)))

#define LOGIC_OF(name, formula, ...)                                                  \
    KNOWN(logical_##name, "any, broadcast -> u8", 0, (formula))                       \
    CALL(logical_##name, tg_logical_##name(t, x[0], x[1]))                            \
    EXPECT_ALIKE(logical_##name, __VA_ARGS__)                                         \
    SAMPLES(logical_##name,                                                           \
            SAMPLE(logical_##name, "masks", 0, BYTES(0, 1, 3, 4), BYTES(0, 2, 3, 4)), \
            SAMPLE(logical_##name, "numbers", 0, INTEGERS(-1, 1, 9), BYTES(0, 1, 9)))
LOGIC_OF(and, "y = 1 where a and b are not 0, else 0", a != 0 && b != 0)
LOGIC_OF(or, "y = 1 where a or b is not 0, else 0", a != 0 || b != 0)
LOGIC_OF(xor, "y = 1 where one of a and b is not 0, else 0", (a != 0) != (b != 0))
KNOWN(logical_not, "any -> u8", 0, ("y = 1 where x = 0, else 0"))
CALL(denied, tg_logical_not(t, x[0]))
EXPECT_ALIKE(denied, x == 0)
SAMPLES(logical_not, SAMPLE(denied, "", 0, BYTES(0, 1, 3, 4)))
