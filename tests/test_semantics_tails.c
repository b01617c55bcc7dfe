/* SEMANTICS: first and second derivatives in the tails keep their relative accuracy while they are
 * normal numbers. In f32 those that are made from sigmoid's and tanh's results alone don't: their
 * entries say so, and they are not here. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <tapegrad.h>

static long double s(long double x) { return 1 / (1 + expl(-x)); }
static long double s1(long double x) { return s(x) * s(-x); }
static long double s2(long double x) { return -s1(x) * tanhl(x / 2); }
static long double minus_s(long double x) { return -s(-x); }
static long double of_minus(long double x) { return s(-x); }
static long double minus_s1(long double x) { return -s1(x); }
static long double tanh1(long double x) { return 1 / (coshl(x) * coshl(x)); }
static long double tanh2(long double x) { return -2 * tanhl(x) * tanh1(x); }
static long double silu1(long double x) { return s(x) + x * s1(x); }
static long double silu2(long double x) { return s1(x) * (2 - x * tanhl(x / 2)); }
static long double phi(long double x) { return expl(-x * x / 2) * 0.39894228040143267794L; }
static long double gelu1(long double x)
{
    return erfcl(-x * 0.70710678118654752440L) / 2 + x * phi(x);
}
static long double gelu2(long double x) { return (2 - x * x) * phi(x); }
static long double elu1(long double x) { return x < 0 ? 1.5L * expl(x) : 1; }
static long double elu2(long double x) { return x < 0 ? 1.5L * expl(x) : 0; }
static long double erf1(long double x) { return 1.12837916709551257390L * expl(-x * x); }
static long double erf2(long double x) { return -2 * x * erf1(x); }

static const long double a = 1.59576912160573071176L, b = 0.044715L * 1.59576912160573071176L;
static long double inner(long double x) { return x * (a + b * x * x); }
static long double gelu_tanh1(long double x)
{
    return s(inner(x)) + x * (a + 3 * b * x * x) * s1(inner(x));
}
static long double gelu_tanh2(long double x)
{
    const long double v1 = a + 3 * b * x * x;
    return s1(inner(x)) * (2 * v1 + x * (6 * b * x - tanhl(inner(x) / 2) * v1 * v1));
}

static tg_tensor *elu(tg_tape *t, tg_tensor *x) { return (tg_elu)(t, x, 1.5); }
static tg_tensor *loss(tg_tape *t, tg_tensor *x, double target)
{
    const double number[1] = {target};
    tg_tensor *y = tg_cast(t, tg_input(t, TG_F64, TG_SCALAR, number), tg_tensor_dtype(x));
    return tg_bce_with_logits_loss(t, x, tg_expand(t, y, tg_tensor_shape(x)), NULL, TG_REDUCE_SUM);
}
static tg_tensor *loss_of_1(tg_tape *t, tg_tensor *x) { return loss(t, x, 1); }
static tg_tensor *loss_of_0(tg_tape *t, tg_tensor *x) { return loss(t, x, 0); }

/* The last two: what is allowed in f32; 0: nothing is stated. */
static const struct {
    const char *name;
    tg_tensor *(*record)(tg_tape *t, tg_tensor *x);
    long double (*first)(long double x), (*second)(long double x);
    double first_f32, second_f32;
} all[] = {
    {"sigmoid", tg_sigmoid, s1, s2, 0, 0},
    {"tanh", tg_tanh, tanh1, tanh2, 0, 0},
    {"softplus", tg_softplus, s, s1, 1e-6, 1e-6},
    {"logsigmoid", tg_logsigmoid, of_minus, minus_s1, 1e-6, 1e-6},
    {"silu", tg_silu, silu1, silu2, 1e-6, 1e-6},
    {"gelu", tg_gelu, gelu1, gelu2, 2e-5, 2e-5},
    {"gelu_tanh", tg_gelu_tanh, gelu_tanh1, gelu_tanh2, 2e-5, 2e-5},
    {"elu", elu, elu1, elu2, 1e-6, 1e-6},
    {"erf", tg_erf, erf1, erf2, 2e-5, 2e-5},
    {"bce_with_logits of 1", loss_of_1, minus_s, s1, 1e-6, 1e-6},
    {"bce_with_logits of 0", loss_of_0, s, s1, 1e-6, 1e-6},
};

static void check(tg_tape *t, const char *name, int order, tg_tensor *is, int n, const double *x,
                  long double (*want)(long double), double least, double bound)
{
    for (int i = 0; i < n; i++) {
        const long double right = want((long double)x[i]);
        if (fabsl(right) < (long double)least || bound == 0) continue;
        const tg_dtype dtype = tg_tensor_dtype(is);
        const void *data = tg_data(t, is);
        cr_assert(data);
        const double got =
            dtype == TG_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
        cr_expect(fabsl((long double)got - right) <= (long double)bound * fabsl(right),
                  "%s, %s, derivative %d at %g: %.17g, right: %.17Lg", name,
                  dtype == TG_F32 ? "f32" : "f64", order, x[i], got, right);
    }
}

Test(semantics, derivatives_in_the_tails_keep_their_relative_accuracy)
{
    static const double x[] = {-745,  -700, -300, -88,   -80,  -36.7, -30, -20.25, -16.75, -13,
                               -10,   -7.5, -5,   -3.25, 3.25, 5,     7.5, 10,     13,     16.75,
                               20.25, 30,   36.7, 80,    88,   300,   700, 745};
    enum { N = sizeof x / sizeof *x };
    tg_tape *t = tg_tape_new(NULL);
    for (int k = 0; k < (int)(sizeof all / sizeof *all); k++)
        for (int narrow = 0; narrow < 2; narrow++) {
            float single[N];
            double exact[N];
            for (int i = 0; i < N; i++)
                single[i] = (float)x[i], exact[i] = narrow ? (double)single[i] : x[i];
            tg_tensor *at = narrow ? tg_input(t, TG_F32, TG_SHAPE(N), single)
                                   : tg_input(t, TG_F64, TG_SHAPE(N), x),
                      *first, *second;
            tg_grad(t, tg_sum(t, all[k].record(t, at), TG_ALL_AXES, false), NULL, 1, &at, &first,
                    false);
            tg_grad(t, tg_sum(t, first, TG_ALL_AXES, false), NULL, 1, &at, &second, false);
            const double least = narrow ? FLT_MIN : DBL_MIN;
            check(t, all[k].name, 1, first, N, exact, all[k].first, least,
                  narrow ? all[k].first_f32 : 1e-12);
            check(t, all[k].name, 2, second, N, exact, all[k].second, least,
                  narrow ? all[k].second_f32 : 1e-12);
            cr_assert_eq(tg_tape_status(t), TG_OK, "%s: %s", all[k].name, tg_tape_message(t));
            tg_tape_reset(t);
        }
    tg_tape_free(t);
}
