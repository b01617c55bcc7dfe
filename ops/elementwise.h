/* What the elementwise families share. Private. */
#ifndef TG_ELEMENTWISE_H
#define TG_ELEMENTWISE_H

#include "family.h"

#include "../graph/base.h"
#include "math.h"

/* Zeros of x's shape: the derivative of what is piecewise constant. Not a missing gradient, so that
 * the path stays differentiable, and not 0 times something, which could be NaN. */
static inline tg_tensor *zeros_like(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_base_expand(t, where, tg_constant_like(t, x, 0), tg_tensor_shape(x));
}

/* A number that is an operand. None when x is missing: the op itself then says so, under its own
 * name. */
static inline tg_tensor *number_like(tg_tape *t, const char *where, const tg_tensor *x,
                                     double value)
{
    return x ? tg_constant_like(t, x, value) : NULL;
}

/* sigmoid(x) sigmoid(-x), the derivative of sigmoid and the second one of softplus, without
 * cancellation. */
tg_tensor *tg_sigmoid_slope(tg_tape *t, const char *where, tg_tensor *x);

#define OP_1(op_name, spans, rule_of_vjp)                                                     \
    {                                                                                         \
        .size = sizeof(tg_op), .name = op_name, .n_in = 1, .span = &spans, .vjp = rule_of_vjp \
    }
#define OP_2(op_name, spans, rule_of_vjp)                                                     \
    {                                                                                         \
        .size = sizeof(tg_op), .name = op_name, .n_in = 2, .span = &spans, .vjp = rule_of_vjp \
    }
#define OP_3(op_name, spans, rule_of_vjp)                                                     \
    {                                                                                         \
        .size = sizeof(tg_op), .name = op_name, .n_in = 3, .span = &spans, .vjp = rule_of_vjp \
    }

/* One operand of a sample: a dtype and where its values lie. */
#define IN(type_of_values, least, greatest)                               \
    {                                                                     \
        .type = {.dtype = type_of_values}, .low = least, .high = greatest \
    }
#define REAL(least, greatest) IN(TG_F64, least, greatest)

/* One sample, with its operands last. */
#define SAMPLE(text, flag, count, record_of, element_of, ...)                             \
    {                                                                                     \
        .label = text, .flags = TG_ANY_SHAPE | (flag), .n_in = count, .x = {__VA_ARGS__}, \
        .record = record_of, .element = element_of                                        \
    }

/* The function that records a sample, and its expected result from x, or from a and b. */
#define RECORD(name, call) \
    static tg_tensor *record_##name(tg_tape *t, tg_tensor *const *x) { return call; }
#define ELEMENT_1(name, ...)                            \
    static double element_##name(const double *operand) \
    {                                                   \
        const double x = operand[0];                    \
        return __VA_ARGS__;                             \
    }
#define ELEMENT_2(name, ...)                            \
    static double element_##name(const double *operand) \
    {                                                   \
        const double a = operand[0], b = operand[1];    \
        return __VA_ARGS__;                             \
    }

/* Samples and tg_info of an op tg_<name>(t, x) over an interval, and of one of two operands over
 * another each. */
#define INFO_1(name, formula_text, low, high, ...)                         \
    RECORD(name, (tg_##name)(t, x[0]))                                     \
    ELEMENT_1(name, __VA_ARGS__)                                           \
    static const tg_sample samples_##name[] = {                            \
        SAMPLE("", 0, 1, record_##name, element_##name, REAL(low, high))}; \
    TG_INFO(name, formula_text, "any", -1, samples_##name)
#define INFO_2(name, formula_text, low_a, high_a, low_b, high_b, ...)                             \
    RECORD(name, (tg_##name)(t, x[0], x[1]))                                                      \
    ELEMENT_2(name, __VA_ARGS__)                                                                  \
    static const tg_sample samples_##name[] = {SAMPLE("", 0, 2, record_##name, element_##name,    \
                                                      REAL(low_a, high_a), REAL(low_b, high_b))}; \
    TG_INFO(name, formula_text, "any, broadcast", -1, samples_##name)

#endif
