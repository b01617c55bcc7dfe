/* What the elementwise families share: an op in one entry. Private. */
#ifndef TG_ELEMENTWISE_H
#define TG_ELEMENTWISE_H

#include "family.h"

#include "../graph/base.h"
#include "math.h"

/* A whole op: its name; what is known of it, in parentheses ("y = x^2", .domain or .kinks behind
 * it); its expression, as TG_MAP_1 has it; its derivative, statements that set gx[...]; the
 * operands of its sample, in parentheses; and what it should give there, in plain C. */
#define UNARY(name_of, known, expression, derivative, operands, ...) \
    INNER_TEXT_1(name_of, #expression, expression, derivative)       \
    PUBLIC_1(name_of, known)                                         \
    SAMPLED_1(name_of, operands, __VA_ARGS__)
#define BINARY(name_of, known, expression, derivative, operands, ...) \
    INNER_TEXT_2(name_of, #expression, expression, derivative)        \
    PUBLIC_2(name_of, known)                                          \
    SAMPLED_2(name_of, operands, __VA_ARGS__)

/* The pieces, for ops with more samples, other dtypes or functions of their own. INNER alone is an
 * op that only derivatives record. */
#define INNER_1(name_of, expression, ...) \
    INNER_TEXT_1(name_of, #expression, expression, __VA_ARGS__)
#define INNER_2(name_of, expression, ...) \
    INNER_TEXT_2(name_of, #expression, expression, __VA_ARGS__)
#define INNER_3(name_of, expression, ...) \
    INNER_TEXT_3(name_of, #expression, expression, __VA_ARGS__)
#define PUBLIC_1(name_of, known)       \
    TG_DEFINE_1(name_of, op_##name_of) \
    KNOWN(name_of, "any", -1, known)
#define PUBLIC_2(name_of, known)       \
    TG_DEFINE_2(name_of, op_##name_of) \
    KNOWN(name_of, "any, broadcast", -1, known)
#define SAMPLED_1(name_of, operands, ...) \
    CALL(name_of, tg_##name_of(t, x[0]))  \
    EXPECT_EACH(name_of, __VA_ARGS__)     \
    SAMPLES(name_of, EACH(name_of, "", 0, TG_UNPACK operands))
#define SAMPLED_2(name_of, operands, ...)      \
    CALL(name_of, tg_##name_of(t, x[0], x[1])) \
    EXPECT_EACH(name_of, __VA_ARGS__)          \
    SAMPLES(name_of, EACH(name_of, "", 0, TG_UNPACK operands))

#ifndef TG_SAMPLES

/* From an expression with its text apart, where it would be another macro's. */
#define INNER_TEXT_1(name_of, text, expression, ...) \
    TG_MAP_TEXT_1(span_##name_of, text, expression)  \
    OP(1, name_of, NULL, __VA_ARGS__)
#define INNER_TEXT_2(name_of, text, expression, ...) \
    TG_MAP_TEXT_2(span_##name_of, text, expression)  \
    OP(2, name_of, NULL, __VA_ARGS__)
#define INNER_TEXT_3(name_of, text, expression, ...) \
    TG_MAP_TEXT_3(span_##name_of, text, expression)  \
    OP(3, name_of, NULL, __VA_ARGS__)

/* An op over span_<name>, with a shape rule or NULL. */
#define OP(operands, name_of, shape_rule, ...)                  \
    static const tg_op op_##name_of;                            \
    static void vjp_##name_of(TG_VJP) { __VA_ARGS__; }          \
    static const tg_op op_##name_of = {.size = sizeof(tg_op),   \
                                       .name = #name_of,        \
                                       .n_in = operands,        \
                                       .rule = shape_rule,      \
                                       .span = &span_##name_of, \
                                       .vjp = vjp_##name_of};

/* All parameters of a vjp, for a function that takes them. */
#define TG_PULLED t, where, n_in, x, y, attrs, gy, gx

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

/* a / b, and 0 where b is. */
tg_tensor *tg_slope_over(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b);

/* sigmoid(x) sigmoid(-x), the derivative of sigmoid and the second one of softplus, without
 * cancellation. */
tg_tensor *tg_sigmoid_slope(tg_tape *t, const char *where, tg_tensor *x);

#else
#undef TG_EACH_BUILD
#define TG_EACH_BUILD(...)
#undef TG_SPANS
#define TG_SPANS(...)
#undef TG_SPANS_WITH
#define TG_SPANS_WITH(...)
#define OP(...)
#define INNER_TEXT_1(...)
#define INNER_TEXT_2(...)
#define INNER_TEXT_3(...)
#endif
#endif
