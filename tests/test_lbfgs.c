/* L-BFGS against dense matrices, and averages of weights against their sums. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include <tapegrad/optim.h>

#include "support.h"
#include "allocator.h"

enum { N = 6, MOST_STEPS = 60 };

typedef struct task {
    tg_tensor *w;
    double (*loss)(const double *x, double *g);
    int calls;
    int fails_at; /* the call that gives NaN; 0: none */
} task;

/* Rosenbrock's valley in N dimensions: 0 at (1, ..., 1). */
static double valley(const double *x, double *g)
{
    double y = 0;
    memset(g, 0, N * sizeof *g);
    for (int i = 0; i + 1 < N; i++) {
        const double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
        y += a * a + 100 * b * b;
        g[i] += -2 * a - 400 * x[i] * b;
        g[i + 1] += 200 * b;
    }
    return y;
}

/* Convex, with curvatures from 1 to 36 that change along the way. */
static double bowl(const double *x, double *g)
{
    double y = 0;
    for (int i = 0; i < N; i++) {
        const double k = (i + 1) * (i + 1);
        y += k * log(cosh(x[i] - 1)) + 0.5 * x[i] * x[(i + 1) % N] * 0.1;
        g[i] = k * tanh(x[i] - 1) + 0.05 * (x[(i + 1) % N] + x[(i + N - 1) % N]);
    }
    return y;
}

static double closure(void *user)
{
    task *t = user;
    double g[N];
    if (++t->calls == t->fails_at) return NAN;
    const double y = t->loss(tg_param_data(t->w), g);
    cr_assert_eq(tg_param_add_grad(t->w, g), TG_OK);
    return y;
}

static tg_tensor *start(tg_params *ps)
{
    const double x[N] = {0.2, 1, 0.5, -0.3, 0.8, 2};
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(N), (tg_init){TG_ZEROS, 0, 0});
    cr_assert_eq(tg_param_write(w, x), TG_OK);
    return w;
}

/* The inverse Hessian matrix of BFGS from all pairs so far, oldest first:
 * H = (I - s y^T / s.y) H (I - y s^T / s.y) + s s^T / s.y */
static void dense_direction(int pairs, double (*s)[N], double (*y)[N], const double *g, double *d)
{
    double h[N][N] = {{0}}, scale = 1;
    if (pairs) {
        double sy = 0, yy = 0;
        for (int i = 0; i < N; i++) {
            sy += s[pairs - 1][i] * y[pairs - 1][i];
            yy += y[pairs - 1][i] * y[pairs - 1][i];
        }
        scale = sy / yy;
    }
    for (int i = 0; i < N; i++) h[i][i] = scale;
    for (int k = 0; k < pairs; k++) {
        double left[N][N], half[N][N] = {{0}}, next[N][N] = {{0}}, sy = 0;
        for (int i = 0; i < N; i++) sy += s[k][i] * y[k][i];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) left[i][j] = (i == j) - s[k][i] * y[k][j] / sy;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int m = 0; m < N; m++) half[i][j] += left[i][m] * h[m][j];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                for (int m = 0; m < N; m++) next[i][j] += half[i][m] * left[j][m];
                next[i][j] += s[k][i] * s[k][j] / sy;
            }
        memcpy(h, next, sizeof h);
    }
    for (int i = 0; i < N; i++) {
        d[i] = 0;
        for (int j = 0; j < N; j++) d[i] -= h[i][j] * g[j];
    }
}

static double dot(const double *a, const double *b)
{
    double y = 0;
    for (int i = 0; i < N; i++) y += a[i] * b[i];
    return y;
}

/* One iteration a step, so that each can be compared. */
static tg_lbfgs *single(tg_params *ps, bool fixed, double rate, int64_t history)
{
    return tg_lbfgs_new(ps, &(tg_lbfgs_options){.size = sizeof(tg_lbfgs_options),
                                                .iterations = 1,
                                                .calls = 100,
                                                .fixed_step = fixed,
                                                .learning_rate = rate,
                                                .history = history,
                                                .gradient_tolerance = 1e-300,
                                                .change_tolerance = 1e-300});
}

Test(lbfgs, fixed_steps_are_those_of_dense_matrices)
{
    for (int history = 3; history <= 6; history += 3) {
        tg_params *ps = tg_params_new(NULL);
        task t = {.w = start(ps), .loss = bowl};
        tg_lbfgs *l = single(ps, true, 0.1, history);
        double x[N], g[N], s[MOST_STEPS][N], y[MOST_STEPS][N], d[N];
        memcpy(x, tg_param_data(t.w), sizeof x);
        bowl(x, g);
        for (int k = 0; k < 50; k++) {
            const int used = k < history ? k : history, first = k - used;
            dense_direction(used, s + first, y + first, g, d);
            double sum = 0, next[N];
            for (int i = 0; i < N; i++) sum += fabs(g[i]);
            const double rate = k ? 0.1 : 0.1 * fmin(1, 1 / sum);
            for (int i = 0; i < N; i++) x[i] += s[k][i] = rate * d[i];
            bowl(x, next);
            for (int i = 0; i < N; i++) y[k][i] = next[i] - g[i];
            memcpy(g, next, sizeof g);
            cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK, "%s", tg_lbfgs_message(l));
            for (int i = 0; i < N; i++)
                cr_assert_float_eq(((const double *)tg_param_data(t.w))[i], x[i], 1e-10,
                                   "history %d, step %d, element %d: %g apart", history, k, i,
                                   ((const double *)tg_param_data(t.w))[i] - x[i]);
        }
        tg_lbfgs_free(l);
        tg_params_free(ps);
    }
}

Test(lbfgs, each_line_search_ends_where_both_wolfe_conditions_hold)
{
    tg_params *ps = tg_params_new(NULL);
    task t = {.w = start(ps), .loss = valley};
    tg_lbfgs *l = single(ps, false, 1, 100);
    double x[N], g[N], s[MOST_STEPS][N], y[MOST_STEPS][N], d[N];
    memcpy(x, tg_param_data(t.w), sizeof x);
    double loss = valley(x, g);
    for (int k = 0; k < MOST_STEPS && loss > 1e-9; k++) {
        dense_direction(k, s, y, g, d);
        cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK, "%s", tg_lbfgs_message(l));
        const double *now = tg_param_data(t.w);
        double next[N];
        const double after = valley(now, next);
        for (int i = 0; i < N; i++) {
            s[k][i] = now[i] - x[i];
            y[k][i] = next[i] - g[i];
        }
        const double length = sqrt(dot(s[k], s[k]) / dot(d, d));
        for (int i = 0; i < N; i++)
            cr_assert_float_eq(s[k][i], length * d[i], 1e-6 * sqrt(dot(s[k], s[k])) + 1e-15,
                               "step %d leaves its direction", k);
        cr_assert_leq(after, loss + 1e-4 * length * dot(g, d) + 1e-15, "step %d: too long", k);
        cr_assert_leq(fabs(dot(next, d)), 0.9 * fabs(dot(g, d)) + 1e-15, "step %d: too steep", k);
        cr_assert_eq(tg_lbfgs_loss(l), after);
        memcpy(x, now, sizeof x);
        memcpy(g, next, sizeof g);
        loss = after;
    }
    cr_assert_lt(loss, 1e-9, "%g after %d calls", loss, t.calls);
    tg_lbfgs_free(l);
    tg_params_free(ps);
}

Test(lbfgs, a_few_steps_reach_the_minimum)
{
    tg_params *ps = tg_params_new(NULL);
    task t = {.w = start(ps), .loss = valley};
    tg_lbfgs *l = tg_lbfgs_new(ps, NULL);
    cr_assert(isnan(tg_lbfgs_loss(l)));
    for (int k = 0; k < 5; k++)
        cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK, "%s", tg_lbfgs_message(l));
    cr_assert_lt(tg_lbfgs_loss(l), 1e-10, "%g after %d calls", tg_lbfgs_loss(l), t.calls);
    for (int i = 0; i < N; i++)
        cr_assert_float_eq(((const double *)tg_param_data(t.w))[i], 1, 1e-4);
    cr_assert_lt(t.calls, 130);
    cr_assert_null(tg_param_grad(t.w), "gradients are used up");
    tg_lbfgs_free(l);
    tg_params_free(ps);
}

/* (w - 3)^2 of one f32. */
static double square(void *user)
{
    const float w = *(const float *)tg_param_data(user), slope = 2 * (w - 3);
    cr_assert_eq(tg_param_add_grad(user, &slope), TG_OK);
    return (double)((w - 3) * (w - 3));
}

Test(lbfgs, moves_f32)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(1), (tg_init){TG_ZEROS, 0, 0});
    tg_lbfgs *l = tg_lbfgs_new(ps, NULL);
    cr_assert_eq(tg_lbfgs_step(l, square, w), TG_OK);
    cr_assert_float_eq(*(const float *)tg_param_data(w), 3, 1e-6);
    tg_lbfgs_free(l);
    tg_params_free(ps);
}

/* Infinite beyond 3, as an exponential that overflows. */
static double cliff(const double *x, double *g)
{
    double y = 0;
    for (int i = 0; i < N; i++) {
        y += x[i] < 3 ? -log(3 - x[i]) - 4 * x[i] : INFINITY;
        g[i] = x[i] < 3 ? 1 / (3 - x[i]) - 4 : NAN;
    }
    return y;
}

Test(lbfgs, infinite_losses_are_stepped_back_from)
{
    tg_params *ps = tg_params_new(NULL);
    task t = {.w = start(ps), .loss = cliff};
    tg_lbfgs *l = tg_lbfgs_new(
        ps, &(tg_lbfgs_options){.size = sizeof(tg_lbfgs_options), .learning_rate = 100});
    for (int k = 0; k < 10; k++)
        cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK, "%s", tg_lbfgs_message(l));
    for (int i = 0; i < N; i++)
        cr_assert_float_eq(((const double *)tg_param_data(t.w))[i], 2.75, 1e-5, "%g after %d calls",
                           ((const double *)tg_param_data(t.w))[i], t.calls);
    tg_lbfgs_free(l);
    tg_params_free(ps);
}

static void refused(tg_lbfgs *l, tg_status status, const char *what)
{
    test_expect_refused(tg_lbfgs, l, status, what);
    tg_lbfgs_clear_error(l);
}

Test(lbfgs, errors_leave_the_last_good_place)
{
    tg_params *ps = tg_params_new(NULL);
    task t = {.w = start(ps), .loss = valley};
    tg_lbfgs *l = single(ps, false, 1, 0);
    tg_lbfgs_step(l, NULL, NULL), refused(l, TG_ENULL, "closure is NULL");
    cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK);
    double x[N];
    memcpy(x, tg_param_data(t.w), sizeof x);
    t.fails_at = t.calls + 2;
    tg_lbfgs_step(l, closure, &t), refused(l, TG_ENONFINITE, "NaN, or the closure has failed");
    cr_expect_arr_eq(x, tg_param_data(t.w), sizeof x);
    tg_optim *o = tg_sgd_new(ps, NULL);
    tg_param_add_grad(t.w, x);
    cr_expect_eq(tg_optim_step(o), TG_ESTATE);
    cr_expect(strstr(tg_optim_message(o), "(lbfgs)"), "%s", tg_optim_message(o));
    tg_lbfgs_free(l);
    tg_optim_clear_error(o);
    cr_expect_eq(tg_optim_step(o), TG_OK);
    l = tg_lbfgs_new(ps, NULL);
    tg_lbfgs_step(l, closure, &t),
        refused(l, TG_ESTATE, "\"w\" is moved by another optimizer (sgd)");
    tg_lbfgs_free(l);
    tg_optim_free(o);
    tg_params_free(ps);
    cr_expect_eq(tg_lbfgs_status(NULL), TG_ENOMEM);
    cr_expect_eq(tg_lbfgs_step(NULL, closure, &t), TG_ENOMEM);
    cr_expect(strlen(tg_lbfgs_message(NULL)) > 0);
    cr_expect(isnan(tg_lbfgs_loss(NULL)));
    l = tg_lbfgs_new(NULL, NULL);
    refused(l, TG_ENULL, "test_lbfgs.c:");
    tg_lbfgs_free(l);
}

Test(lbfgs, goes_on_from_a_saved_state)
{
    double end[2][N], state[400];
    for (int way = 0; way < 2; way++) {
        tg_params *ps = tg_params_new(NULL);
        task t = {.w = start(ps), .loss = valley};
        tg_lbfgs *l = single(ps, false, 1, 7);
        cr_expect_eq(tg_lbfgs_state_count(l), 0);
        for (int k = 0; k < 10; k++) cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK);
        if (way == 1) {
            const int64_t count = tg_lbfgs_state_count(l);
            cr_assert_eq(count, 5 + 7 * (2 * N + 1));
            cr_assert_eq(tg_lbfgs_state_get(l, state), TG_OK);
            tg_lbfgs_free(l);
            l = single(ps, false, 1, 7);
            cr_assert_eq(tg_lbfgs_state_set(l, count, state), TG_OK, "%s", tg_lbfgs_message(l));
            cr_expect_eq(tg_lbfgs_loss(l), valley(tg_param_data(t.w), end[0]));
        }
        for (int k = 0; k < 3; k++) cr_assert_eq(tg_lbfgs_step(l, closure, &t), TG_OK);
        memcpy(end[way], tg_param_data(t.w), sizeof end[way]);
        if (way == 0) memcpy(state + 200, end[0], sizeof end[0]);
        tg_lbfgs_free(l);
        tg_params_free(ps);
    }
    cr_expect_arr_eq(state + 200, end[1], sizeof end[1]);
}

Test(lbfgs, wrong_states_are_refused)
{
    tg_params *ps = tg_params_new(NULL);
    start(ps);
    tg_lbfgs *l = single(ps, false, 1, 7);
    double state[30] = {N, 3, 1, 1, 1};
    tg_lbfgs_state_get(l, state), refused(l, TG_ESTATE, "before a step");
    tg_lbfgs_state_set(l, 4, state), refused(l, TG_EVALUE, "none of such parameters");
    tg_lbfgs_state_set(l, 5, state), refused(l, TG_EVALUE, "none of such parameters");
    tg_lbfgs_state_set(l, 18, NULL), refused(l, TG_ENULL, "state is NULL");
    state[7] = NAN;
    tg_lbfgs_state_set(l, 18, state), refused(l, TG_EVALUE, "not finite");
    state[7] = 0;
    cr_expect_eq(tg_lbfgs_state_set(l, 18, state), TG_OK);
    tg_lbfgs_state_get(l, NULL), refused(l, TG_ENULL, "no place");
    const double wrong[][3] = {{N + 1, 3, 1}, {N, 0, 1}, {N, 3, 8}, {N, 3, 0.5}, {N, NAN, 1}};
    for (int k = 0; k < 5; k++) {
        memcpy(state, wrong[k], sizeof wrong[k]);
        tg_lbfgs_state_set(l, 18, state), refused(l, TG_EVALUE, "none of such parameters");
    }
    tg_lbfgs_free(l);
    tg_params_free(ps);
    cr_expect_eq(tg_lbfgs_state_count(NULL), 0);
    cr_expect_eq(tg_lbfgs_state_get(NULL, state), TG_ENOMEM);
    cr_expect_eq(tg_lbfgs_state_set(NULL, 18, state), TG_ENOMEM);
}

Test(lbfgs, options_out_of_range_are_refused)
{
    const tg_lbfgs_options size = {.history = 1},
                           rate = {.size = sizeof rate, .learning_rate = NAN},
                           many = {.size = sizeof many, .history = -1},
                           few = {.size = sizeof few, .iterations = -1},
                           loose = {.size = sizeof loose, .change_tolerance = -1};
    const tg_lbfgs_options *const wrong[] = {&size, &rate, &many, &few, &loose};
    const char *const what[] = {"size", "learning rate", "history", "iterations", "tolerances"};
    for (int k = 0; k < 5; k++) {
        tg_params *ps = tg_params_new(NULL);
        tg_lbfgs *l = tg_lbfgs_new(ps, wrong[k]);
        refused(l, TG_EVALUE, what[k]);
        cr_expect_eq(tg_lbfgs_status(l), TG_EVALUE, "it stays");
        tg_lbfgs_free(l);
        tg_params_free(ps);
    }
}

Test(lbfgs, short_memory_is_an_error)
{
    bool complete = false;
    for (long long fail_at = 1; !complete && fail_at < 100; fail_at++) {
        test_memory m = {0};
        const tg_allocator a = test_allocator(&m);
        tg_params *ps =
            tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .allocator = &a});
        task t = {.w = start(ps), .loss = valley};
        const double zeros[N] = {0};
        tg_param_add_grad(t.w, zeros); /* its room */
        m.fail_at = atomic_load(&m.requests) + fail_at;
        tg_lbfgs *l = tg_lbfgs_new(ps, NULL);
        complete = tg_lbfgs_step(l, closure, &t) == TG_OK;
        if (!complete) cr_expect_eq(tg_lbfgs_status(l), TG_ENOMEM);
        tg_lbfgs_free(l);
        tg_average *average = tg_average_new(ps, 0);
        tg_average_update(average);
        tg_average_free(average);
        tg_params_free(ps);
        cr_expect_eq(atomic_load(&m.blocks), 0);
        cr_expect_eq(atomic_load(&m.wrong), 0);
    }
    cr_expect(complete);
}

/* ---------------------------------------------------------------- averages */

Test(average, is_the_mean_or_fades)
{
    for (int way = 0; way < 2; way++) {
        tg_params *ps = tg_params_new(NULL);
        tg_tensor *f32 = tg_param_new(ps, "a", TG_F32, TG_SHAPE(1), (tg_init){TG_ZEROS, 0, 0}),
                  *f64 = tg_param_new(ps, "b", TG_F64, TG_SHAPE(1), (tg_init){TG_ZEROS, 0, 0});
        tg_average *a = tg_average_new(ps, way ? 0.9 : 0);
        double expected = 0, sum = 0;
        for (int k = 0; k < 50; k++) {
            const double x = sin(3.0 * k);
            const float y = (float)x;
            tg_param_write(f32, &y);
            tg_param_write(f64, &x);
            cr_assert_eq(tg_average_update(a), TG_OK);
            sum += x;
            expected = !way ? sum / (k + 1) : k ? 0.9 * expected + 0.1 * x : x;
            cr_assert_float_eq(*(const double *)tg_average_data(a, f64), expected, 1e-14);
            cr_assert_float_eq(*(const float *)tg_average_data(a, f32), expected, 1e-6);
        }
        cr_assert_eq(tg_average_count(a), 50);
        cr_assert_eq(tg_average_swap(a), TG_OK);
        cr_assert_float_eq(*(const double *)tg_param_data(f64), expected, 1e-14);
        cr_assert_eq(*(const double *)tg_average_data(a, f64), sin(147.0));
        cr_assert_eq(tg_average_update(a), TG_ESTATE);
        tg_average_clear_error(a);
        cr_assert_eq(tg_average_swap(a), TG_OK);
        cr_assert_eq(*(const double *)tg_param_data(f64), sin(147.0));
        tg_average_free(a);
        tg_params_free(ps);
    }
}

Test(average, is_saved_and_set)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(2), (tg_init){TG_ONES, 0, 0});
    tg_average *a = tg_average_new(ps, 0);
    const double saved[2] = {3, 5};
    cr_assert_eq(tg_average_set(a, w, saved), TG_OK);
    cr_assert_eq(tg_average_set_count(a, 3), TG_OK);
    cr_assert_eq(tg_average_update(a), TG_OK);
    cr_assert_eq(((const double *)tg_average_data(a, w))[1], 4);
    tg_tensor *late = tg_param_new(ps, "late", TG_F64, TG_SHAPE(1), (tg_init){TG_ONES, 0, 0});
    cr_expect_null(tg_average_data(a, late));
    cr_expect_eq(tg_average_set(a, late, saved), TG_EVALUE);
    tg_average_clear_error(a);
    cr_expect_eq(tg_average_set(a, w, NULL), TG_ENULL);
    tg_average_clear_error(a);
    cr_expect_eq(tg_average_set_count(a, -1), TG_EVALUE);
    tg_average_free(a);
    tg_average *wrong[] = {tg_average_new(ps, 1), tg_average_new(ps, NAN), tg_average_new(NULL, 0),
                           tg_average_new(ps, 0.5)};
    cr_expect_eq(tg_average_swap(wrong[3]), TG_ESTATE);
    cr_expect(strstr(tg_average_message(wrong[3]), "no average before an update"));
    for (int k = 0; k < 3; k++) {
        tg_average_clear_error(wrong[k]);
        cr_expect_eq(tg_average_status(wrong[k]), k == 2 ? TG_ENULL : TG_EVALUE);
    }
    for (int k = 0; k < 4; k++) tg_average_free(wrong[k]);
    tg_params_free(ps);
    cr_expect_eq(tg_average_update(NULL), TG_ENOMEM);
    cr_expect_eq(tg_average_swap(NULL), TG_ENOMEM);
    cr_expect_eq(tg_average_set(NULL, NULL, saved), TG_ENOMEM);
    cr_expect_eq(tg_average_set_count(NULL, 1), TG_ENOMEM);
    cr_expect_eq(tg_average_count(NULL), 0);
    cr_expect_null(tg_average_data(NULL, NULL));
    cr_expect(strlen(tg_average_message(NULL)) > 0);
}
