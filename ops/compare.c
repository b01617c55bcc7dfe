/* Comparing and choosing. */
#include "elementwise.h"

/* ---------------------------------------------------------------- maximum, minimum: NaN wins */

/* of gy, a and b: a's share where the greater is chosen */
INNER_3(greater_gate,
        b < c    ? 0
        : b == c ? a / 2
                 : a,
        gx[0] = tg_apply_3(t, where, &op_greater_gate, gy, x[1], x[2]);
        gx[1] = zeros_like(t, where, x[1]); gx[2] = zeros_like(t, where, x[2]))
INNER_2(maximum, a > b || a != a ? a : b,
        gx[0] = tg_apply_3(t, where, &op_greater_gate, gy, x[0], x[1]);
        gx[1] = tg_apply_3(t, where, &op_greater_gate, gy, x[1], x[0]))
INNER_2(minimum, a < b || a != a ? a : b,
        gx[0] = tg_apply_3(t, where, &op_greater_gate, gy, x[1], x[0]);
        gx[1] = tg_apply_3(t, where, &op_greater_gate, gy, x[0], x[1]))

#define CHOICE(name, known, ...)                                           \
    PUBLIC_2(name, known)                                                  \
    CALL(name, tg_##name(t, x[0], x[1]))                                   \
    EXPECT_EACH(name, __VA_ARGS__)                                         \
    SAMPLES(name, EACH(name, "first less", 0, REAL(-2, -0.1), REAL(0, 2)), \
            EACH(name, "first greater", 0, REAL(0.1, 2), REAL(-2, 0)),     \
            EACH(name, "either", TG_NOT_SMOOTH, REAL(-2, 2), REAL(-2, 2)))
CHOICE(maximum, ("y = max(a, b)", .kinks = "a = b"), fmax(a, b))
CHOICE(minimum, ("y = min(a, b)", .kinks = "a = b"), fmin(a, b))

/* ---------------------------------------------------------------- clamp */

/* of gy, a and b: gy where a <= b */
INNER_3(order_gate, b <= c ? a : 0, gx[0] = tg_apply_3(t, where, &op_order_gate, gy, x[1], x[2]);
        gx[1] = zeros_like(t, where, x[1]); gx[2] = zeros_like(t, where, x[2]))

/* A bound that is NaN gives NaN too. */
INNER_3(clamp,
        (a < b    ? b
         : b != b ? b
                  : a) > c
            ? c
        : c != c ? c
        : a < b  ? b
        : b != b ? b
                 : a,
        tg_tensor *above = tg_apply_3(t, where, &op_order_gate, gy, x[1], x[0]);
        gx[0] = tg_apply_3(t, where, &op_order_gate, above, x[0], x[2]))

#ifndef TG_SAMPLES
tg_tensor *tg_clamp_at(tg_tape *t, const char *where, tg_tensor *x, double low, double high)
{
    return tg_apply_3(t, where, &op_clamp, x, number_like(t, where, x, low),
                      number_like(t, where, x, high));
}
#endif

KNOWN(clamp, "any", -1, ("y = min(max(x, low), high)", .kinks = "x = low, high"))
CALL(clamp, tg_clamp(t, x[0], -0.5, 1))
EXPECT_EACH(clamp, fmin(fmax(x, -0.5), 1))
SAMPLES(clamp, EACH(clamp, "below", 0, REAL(-2, -0.6)), EACH(clamp, "between", 0, REAL(-0.4, 0.9)),
        EACH(clamp, "above", 0, REAL(1.1, 2)), EACH(clamp, "all", TG_NOT_SMOOTH, REAL(-2, 2)))

/* ---------------------------------------------------------------- comparisons */

#ifndef TG_SAMPLES
static bool comparison_rule(tg_rule *r)
{
    if (r->x[0].dtype != r->x[1].dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->x[0].dtype),
                            tg_dtype_name(r->x[1].dtype));
    r->y.dtype = TG_U8;
    return true;
}
#define COMPARE(name_of)                                        \
    static const tg_op op_##name_of = {.size = sizeof(tg_op),   \
                                       .name = #name_of,        \
                                       .n_in = 2,               \
                                       .rule = comparison_rule, \
                                       .span = &span_##name_of};
#else
#define COMPARE(name_of)
#endif

#define COMPARISON(name, sign_text, ...)                                                  \
    TG_EACH_BUILD(TG_SPAN_2, name##_f32, uint8_t, float, __VA_ARGS__)                     \
    TG_EACH_BUILD_F64(TG_SPAN_2, name##_f64, uint8_t, double, __VA_ARGS__)                \
    TG_EACH_BUILD(TG_SPAN_2, name##_i64, uint8_t, int64_t, __VA_ARGS__)                   \
    TG_EACH_BUILD(TG_SPAN_2, name##_u8, uint8_t, uint8_t, __VA_ARGS__)                    \
    TG_SPANS(span_##name, #__VA_ARGS__, TG_BUILDS(name##_f32), TG_BUILDS_F64(name##_f64), \
             TG_BUILDS(name##_i64), TG_BUILDS(name##_u8))                                 \
    COMPARE(name)                                                                         \
    TG_DEFINE_2(name, op_##name)                                                          \
    KNOWN(name, "any, broadcast", 0, ("y = 1 where a " sign_text " b, else 0"))           \
    CALL(name, tg_##name(t, x[0], x[1]))                                                  \
    EXPECT_EACH(name, __VA_ARGS__)                                                        \
    SAMPLES(name, EACH(name, "", 0, REAL(-2, 2), REAL(-2, 2)),                            \
            EACH(name, "i64", 0, INTEGER(-2, 2), INTEGER(-2, 2)),                         \
            EACH(name, "u8", 0, BYTE(0, 1), BYTE(0, 1)))

COMPARISON(equal, "==", a == b)
COMPARISON(not_equal, "!=", a != b)
COMPARISON(less, "<", a < b)
COMPARISON(less_equal, "<=", a <= b)
COMPARISON(greater, ">", a > b)
COMPARISON(greater_equal, ">=", a >= b)

/* ---------------------------------------------------------------- where */

#ifndef TG_SAMPLES
static bool where_rule(tg_rule *r)
{
    if (r->x[0].dtype != TG_U8)
        return tg_rule_fail(r, TG_EDTYPE, "the condition is %s, not u8",
                            tg_dtype_name(r->x[0].dtype));
    if (r->x[1].dtype != r->x[2].dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->x[1].dtype),
                            tg_dtype_name(r->x[2].dtype));
    return true;
}
#endif

TG_EACH_BUILD(TG_SPAN_3, where_f32, float, uint8_t, float, a ? b : c)
TG_EACH_BUILD_F64(TG_SPAN_3, where_f64, double, uint8_t, double, a ? b : c)
TG_EACH_BUILD(TG_SPAN_3, where_i64, int64_t, uint8_t, int64_t, a ? b : c)
TG_EACH_BUILD(TG_SPAN_3, where_u8, uint8_t, uint8_t, uint8_t, a ? b : c)
TG_SPANS(span_where, "a ? b : c", TG_BUILDS(where_f32), TG_BUILDS_F64(where_f64),
         TG_BUILDS(where_i64), TG_BUILDS(where_u8))
TG_SPANS(span_safe_where, "a ? b : c", TG_BUILDS(where_f32), TG_BUILDS_F64(where_f64),
         TG_BUILDS(where_i64), TG_BUILDS(where_u8))

OP(3, where, where_rule, tg_tensor *zero = tg_constant_like(t, gy, 0);
   gx[1] = tg_where(t, x[0], gy, zero); gx[2] = tg_where(t, x[0], zero, gy))
/* The same with a constant in the place of b, whose gradient nobody can ask for. */
OP(3, safe_where, where_rule, gx[1] = tg_where(t, x[0], gy, tg_constant_like(t, gy, 0)))

#ifndef TG_SAMPLES
tg_tensor *tg_where_at(tg_tape *t, const char *where, tg_tensor *condition, tg_tensor *a,
                       tg_tensor *b)
{
    return tg_apply_3(t, where, &op_where, condition, a, b);
}
tg_tensor *tg_safe_where_at(tg_tape *t, const char *where, tg_tensor *condition, tg_tensor *x,
                            double substitute)
{
    return tg_apply_3(t, where, &op_safe_where, condition, x, number_like(t, where, x, substitute));
}
#endif

KNOWN(where, "any, broadcast", -1, ("y = a where condition, else b"))
CALL(where, tg_where(t, x[0], x[1], x[2]))
EXPECT_EACH(where, a != 0 ? b : c)
SAMPLES(where, EACH(where, "", 0, BYTE(0, 1), REAL(-2, 2), REAL(-2, 2)),
        EACH(where, "i64", TG_NOT_SMOOTH, BYTE(0, 1), INTEGER(-9, 9), INTEGER(-9, 9)),
        EACH(where, "u8", TG_NOT_SMOOTH, BYTE(0, 1), BYTE(0, 1), BYTE(0, 1)))

KNOWN(safe_where, "any, broadcast", -1, ("y = x where condition, else substitute"))
CALL(safe_where, tg_safe_where(t, x[0], x[1], 0.5))
EXPECT_EACH(safe_where, a != 0 ? b : 0.5)
SAMPLES(safe_where, EACH(safe_where, "", 0, BYTE(0, 1), REAL(-2, 2)))
