/* Comparing and choosing. */
#include "elementwise.h"

/* ---------------------------------------------------------------- maximum, minimum: NaN wins */

TG_MAP_2(maximum_span, a > b || a != a ? a : b)
TG_MAP_2(minimum_span, a < b || a != a ? a : b)
/* of gy, a and b: a's share where the greater is chosen */
TG_MAP_3(greater_gate_span, b < c ? 0 : b == c ? a / 2 : a)

static const tg_op greater_gate;
static tg_tensor *share(tg_tape *t, const char *where, tg_tensor *gy, tg_tensor *greater,
                        tg_tensor *less)
{
    return tg_apply_3(t, where, &greater_gate, gy, greater, less);
}
static void greater_gate_vjp(TG_VJP)
{
    gx[0] = share(t, where, gy, x[1], x[2]);
    gx[1] = zeros_like(t, where, x[1]);
    gx[2] = zeros_like(t, where, x[2]);
}
static void maximum_vjp(TG_VJP)
{
    gx[0] = share(t, where, gy, x[0], x[1]);
    gx[1] = share(t, where, gy, x[1], x[0]);
}
static void minimum_vjp(TG_VJP)
{
    gx[0] = share(t, where, gy, x[1], x[0]);
    gx[1] = share(t, where, gy, x[0], x[1]);
}

static const tg_op maximum = OP_2("maximum", maximum_span, maximum_vjp);
static const tg_op minimum = OP_2("minimum", minimum_span, minimum_vjp);
static const tg_op greater_gate = OP_3("greater_gate", greater_gate_span, greater_gate_vjp);
TG_DEFINE_2(maximum, maximum)
TG_DEFINE_2(minimum, minimum)

#define INFO_CHOICE(name, formula_text, ...)                                                     \
    RECORD(name, (tg_##name)(t, x[0], x[1]))                                                     \
    ELEMENT_2(name, __VA_ARGS__)                                                                 \
    static const tg_sample samples_##name[] = {                                                  \
        SAMPLE("first less", 0, 2, record_##name, element_##name, REAL(-2, -0.1), REAL(0, 2)),   \
        SAMPLE("first greater", 0, 2, record_##name, element_##name, REAL(0.1, 2), REAL(-2, 0)), \
        SAMPLE("either", TG_NOT_SMOOTH, 2, record_##name, element_##name, REAL(-2, 2),           \
               REAL(-2, 2))};                                                                    \
    TG_INFO(name, formula_text, "any, broadcast", -1, samples_##name)
INFO_CHOICE(maximum, "y = max(a, b)", fmax(a, b))
INFO_CHOICE(minimum, "y = min(a, b)", fmin(a, b))

/* ---------------------------------------------------------------- clamp */

/* A bound that is NaN gives NaN too. */
#define RAISED (a < b ? b : b != b ? b : a)
TG_MAP_3(clamp_span, RAISED > c ? c : c != c ? c : RAISED)
TG_MAP_3(order_gate_span, b <= c ? a : 0)

static const tg_op order_gate; /* of gy, a and b: gy where a <= b */
static void order_gate_vjp(TG_VJP)
{
    gx[0] = tg_apply_3(t, where, &order_gate, gy, x[1], x[2]);
    gx[1] = zeros_like(t, where, x[1]);
    gx[2] = zeros_like(t, where, x[2]);
}
static void clamp_vjp(TG_VJP)
{
    tg_tensor *above = tg_apply_3(t, where, &order_gate, gy, x[1], x[0]);
    gx[0] = tg_apply_3(t, where, &order_gate, above, x[0], x[2]);
}
static const tg_op clamp = OP_3("clamp", clamp_span, clamp_vjp);
static const tg_op order_gate = OP_3("order_gate", order_gate_span, order_gate_vjp);

tg_tensor *tg_clamp_at(tg_tape *t, const char *where, tg_tensor *x, double low, double high)
{
    return tg_apply_3(t, where, &clamp, x, number_like(t, where, x, low),
                      number_like(t, where, x, high));
}

RECORD(clamp, (tg_clamp)(t, x[0], -0.5, 1))
ELEMENT_1(clamp, fmin(fmax(x, -0.5), 1))
static const tg_sample samples_clamp[] = {
    SAMPLE("below", 0, 1, record_clamp, element_clamp, REAL(-2, -0.6)),
    SAMPLE("between", 0, 1, record_clamp, element_clamp, REAL(-0.4, 0.9)),
    SAMPLE("above", 0, 1, record_clamp, element_clamp, REAL(1.1, 2)),
    SAMPLE("all", TG_NOT_SMOOTH, 1, record_clamp, element_clamp, REAL(-2, 2))};
TG_INFO(clamp, "y = min(max(x, low), high)", "any", -1, samples_clamp)

/* ---------------------------------------------------------------- comparisons */

static bool comparison_rule(tg_rule *r)
{
    if (r->x[0].dtype != r->x[1].dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->x[0].dtype),
                            tg_dtype_name(r->x[1].dtype));
    r->y.dtype = TG_U8;
    return true;
}

#define COMPARISON(op_name, sign_text, ...)                                                    \
    TG_EACH_BUILD(TG_SPAN_2, op_name##_f32, uint8_t, float, __VA_ARGS__)                       \
    TG_EACH_BUILD(TG_SPAN_2, op_name##_f64, uint8_t, double, __VA_ARGS__)                      \
    TG_EACH_BUILD(TG_SPAN_2, op_name##_i64, uint8_t, int64_t, __VA_ARGS__)                     \
    TG_EACH_BUILD(TG_SPAN_2, op_name##_u8, uint8_t, uint8_t, __VA_ARGS__)                      \
    TG_SPANS(op_name##_span, #__VA_ARGS__, TG_BUILDS(op_name##_f32), TG_BUILDS(op_name##_f64), \
             TG_BUILDS(op_name##_i64), TG_BUILDS(op_name##_u8))                                \
    static const tg_op op_name = {.size = sizeof(tg_op),                                       \
                                  .name = #op_name,                                            \
                                  .n_in = 2,                                                   \
                                  .rule = comparison_rule,                                     \
                                  .span = &op_name##_span};                                    \
    TG_DEFINE_2(op_name, op_name)                                                              \
    RECORD(op_name, (tg_##op_name)(t, x[0], x[1]))                                             \
    ELEMENT_2(op_name, __VA_ARGS__)                                                            \
    static const tg_sample samples_##op_name[] = {                                             \
        SAMPLE("", 0, 2, record_##op_name, element_##op_name, REAL(-2, 2), REAL(-2, 2)),       \
        SAMPLE("i64", 0, 2, record_##op_name, element_##op_name, IN(TG_I64, -2, 2),            \
               IN(TG_I64, -2, 2)),                                                             \
        SAMPLE("u8", 0, 2, record_##op_name, element_##op_name, IN(TG_U8, 0, 1),               \
               IN(TG_U8, 0, 1))};                                                              \
    TG_INFO(op_name, "y = 1 where a " sign_text " b, else 0", "any, broadcast", 0,             \
            samples_##op_name)

COMPARISON(equal, "==", a == b)
COMPARISON(not_equal, "!=", a != b)
COMPARISON(less, "<", a < b)
COMPARISON(less_equal, "<=", a <= b)
COMPARISON(greater, ">", a > b)
COMPARISON(greater_equal, ">=", a >= b)

/* ---------------------------------------------------------------- where */

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

TG_EACH_BUILD(TG_SPAN_3, where_f32, float, uint8_t, float, a ? b : c)
TG_EACH_BUILD(TG_SPAN_3, where_f64, double, uint8_t, double, a ? b : c)
TG_EACH_BUILD(TG_SPAN_3, where_i64, int64_t, uint8_t, int64_t, a ? b : c)
TG_EACH_BUILD(TG_SPAN_3, where_u8, uint8_t, uint8_t, uint8_t, a ? b : c)
TG_SPANS(where_span, "a ? b : c", TG_BUILDS(where_f32), TG_BUILDS(where_f64), TG_BUILDS(where_i64),
         TG_BUILDS(where_u8))

static void where_vjp(TG_VJP)
{
    tg_tensor *zero = tg_constant_like(t, gy, 0);
    gx[1] = tg_where(t, x[0], gy, zero);
    gx[2] = tg_where(t, x[0], zero, gy);
}
static const tg_op op_where = {.size = sizeof(tg_op),
                               .name = "where",
                               .n_in = 3,
                               .rule = where_rule,
                               .span = &where_span,
                               .vjp = where_vjp};

/* The same with a constant in the place of b, whose gradient nobody can ask for. */
static void safe_where_vjp(TG_VJP) { gx[1] = tg_where(t, x[0], gy, tg_constant_like(t, gy, 0)); }
static const tg_op safe_where = {.size = sizeof(tg_op),
                                 .name = "safe_where",
                                 .n_in = 3,
                                 .rule = where_rule,
                                 .span = &where_span,
                                 .vjp = safe_where_vjp};

tg_tensor *tg_where_at(tg_tape *t, const char *where, tg_tensor *condition, tg_tensor *a,
                       tg_tensor *b)
{
    return tg_apply_3(t, where, &op_where, condition, a, b);
}
tg_tensor *tg_safe_where_at(tg_tape *t, const char *where, tg_tensor *condition, tg_tensor *x,
                            double substitute)
{
    return tg_apply_3(t, where, &safe_where, condition, x, number_like(t, where, x, substitute));
}

RECORD(where, (tg_where)(t, x[0], x[1], x[2]))
static double element_where(const double *x) { return x[0] != 0 ? x[1] : x[2]; }
static const tg_sample samples_where[] = {
    SAMPLE("", 0, 3, record_where, element_where, IN(TG_U8, 0, 1), REAL(-2, 2), REAL(-2, 2)),
    SAMPLE("i64", TG_NOT_SMOOTH, 3, record_where, element_where, IN(TG_U8, 0, 1), IN(TG_I64, -9, 9),
           IN(TG_I64, -9, 9)),
    SAMPLE("u8", TG_NOT_SMOOTH, 3, record_where, element_where, IN(TG_U8, 0, 1), IN(TG_U8, 0, 1),
           IN(TG_U8, 0, 1))};
TG_INFO(where, "y = a where condition, else b", "any, broadcast", -1, samples_where)

RECORD(safe_where, (tg_safe_where)(t, x[0], x[1], 0.5))
static double element_safe_where(const double *x) { return x[0] != 0 ? x[1] : 0.5; }
static const tg_sample samples_safe_where[] = {
    SAMPLE("", 0, 2, record_safe_where, element_safe_where, IN(TG_U8, 0, 1), REAL(-2, 2))};
TG_INFO(safe_where, "y = x where condition, else substitute", "any, broadcast", -1,
        samples_safe_where)
