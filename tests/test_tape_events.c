/* What holds after a failure, across recordings, through conditions, and between threads. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <tapegrad/ops.h>

/* ------------------------------------------------------------ after failures, across recordings */

/* The same recording, evaluated twice, of which the first evaluation fails or not. */
static void evaluate_twice(tg_tape *t, const double *table, int64_t row, bool fails, double want)
{
    const int64_t rows[] = {0, row};
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), table);
    tg_tensor *picked =
        tg_index_select(t, tg_square(t, x), 0, tg_input(t, TG_I64, TG_SHAPE(2), rows));
    tg_tensor *y = tg_sum(t, picked, TG_ALL_AXES, false), *z = tg_square(t, y);
    const double first = tg_item(t, y);
    cr_expect(fails ? isnan(first) : first == want);
    cr_expect_eq(tg_tape_status(t), fails ? TG_EINDEX : TG_OK);
    tg_tape_clear_error(t);
    const double second = tg_item(t, z);
    cr_expect(fails ? isnan(second) : second == want * want, "%g", second);
    tg_tape_clear_error(t);
    tg_tape_reset(t);
}

Test(tape, an_evaluation_that_ends_otherwise_than_before_leads_elsewhere)
{
    const double table[] = {1, 2, 3};
    for (int first = 0; first < 2; first++) {
        tg_tape *t = tg_tape_new(NULL);
        for (int k = 0; k < 4; k++) {
            const bool fails = (k + first) % 2;
            evaluate_twice(t, table, fails ? 7 : 2, fails, 10);
        }
        tg_tape_free(t);
    }
}

Test(tape, a_tensor_kept_over_resets_is_refused_and_named)
{
    const float data[4] = {1, 2, 3, 4};
    for (int careful = 0; careful < 2; careful++) {
        tg_tape *t = tg_tape_new(
            &(tg_tape_options){.size = sizeof(tg_tape_options), .node_by_node = careful});
        const int line = __LINE__ + 1;
        tg_tensor *kept = tg_input(t, TG_F32, TG_SHAPE(4), data);
        char here[64];
        snprintf(here, sizeof here, "test_tape_events.c:%d ", line);
        for (int age = 1; age <= (careful ? 200 : 31); age++) {
            tg_tape_reset(t);
            tg_tensor *x = tg_tanh(t, tg_input(t, TG_F32, TG_SHAPE(4), data));
            cr_expect_eq(tg_tensor_shape(kept).ndim, -1, "age %d", age);
            cr_expect_null(tg_add(t, x, kept));
            cr_expect_eq(tg_tape_status(t), TG_ETAPE, "age %d", age);
            cr_expect_eq(strstr(tg_tape_message(t), here) != NULL, age == 1, "%s",
                         tg_tape_message(t));
            tg_tape_clear_error(t);
            cr_expect_null(tg_data(t, kept));
            tg_tape_clear_error(t);
            cr_expect(isnan(tg_item(t, kept)));
            cr_expect_eq(tg_tape_status(t), TG_ETAPE, "%s", tg_tape_message(t));
            tg_tape_clear_error(t);
            cr_expect_eq(tg_input_set(t, kept, data), TG_ETAPE);
            cr_expect(strstr(tg_tape_message(t), "test_tape_events.c:"), "%s", tg_tape_message(t));
            tg_tape_clear_error(t);
            cr_expect_not_null(tg_data(t, x), "%s", tg_tape_message(t));
        }
        tg_tape_free(t);
    }
}

Test(tape, a_failed_replay_leaves_no_values_of_two_kinds_of_data)
{
    const double table[] = {1, 2, 3}, other[] = {4, 5, 6};
    const int64_t good[] = {0, 2}, bad[] = {0, 9};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), table),
              *k = tg_keep(t, tg_sum(t, x, TG_ALL_AXES, false));
    tg_tensor *rows = tg_input(t, TG_I64, TG_SHAPE(2), good);
    tg_tensor *loss = tg_mul(t, w, tg_sum(t, tg_index_select(t, x, 0, rows), TG_ALL_AXES, false));
    cr_assert_eq(tg_backward(t, loss), TG_OK);
    cr_expect_eq(tg_item(t, loss), 4);
    tg_input_set(t, x, other);
    tg_input_set(t, rows, bad);
    cr_expect_eq(tg_replay(t), TG_EINDEX);
    tg_tape_clear_error(t);
    tg_input_set(t, rows, good);
    cr_expect_eq(tg_replay(t), TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(tg_item(t, loss), 10);
    cr_expect_eq(tg_item(t, k), 15);
    tg_input_set(t, rows, bad);
    cr_expect_eq(tg_replay(t), TG_EINDEX);
    tg_tape_clear_error(t);
    cr_expect(isnan(tg_item(t, loss)));
    cr_expect_eq(tg_tape_status(t), TG_EINDEX);
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- through conditions */

static tg_tensor *leaky(tg_tape *t, tg_tensor *x)
{
    tg_tensor *above = tg_greater(t, x, tg_constant(t, TG_F64, 0));
    return tg_where(t, above, x, tg_scale(t, x, 0.1));
}

Test(tape, what_leads_through_a_condition_only_adds_nothing)
{
    const double v[3] = {-1, 0.5, 2}, ones[3] = {1, 1, 1};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), v), *u = tg_input(t, TG_F64, TG_SHAPE(3), ones);
    tg_tensor *other = tg_input(t, TG_F64, TG_SHAPE(3), v),
              *unused = tg_input(t, TG_F64, TG_SHAPE(3), v);
    tg_tensor *y = tg_sum(t, leaky(t, x), TG_ALL_AXES, false);
    const double *h = tg_data(t, tg_hvp(t, y, x, u));
    cr_assert_not_null(h, "%s", tg_tape_message(t));
    for (int k = 0; k < 3; k++) cr_expect_eq(h[k], 0);
    h = tg_data(t, tg_hessian(t, y, x));
    cr_assert_not_null(h, "%s", tg_tape_message(t));
    for (int k = 0; k < 9; k++) cr_expect_eq(h[k], 0);

    tg_tensor *mask = tg_cast(t, tg_greater(t, x, u), TG_F64);
    tg_tensor *z = tg_sum(t, tg_mul(t, mask, other), TG_ALL_AXES, false);
    tg_tensor *by[] = {x, other, unused}, *g[3];
    cr_assert_eq(tg_grad(t, z, NULL, 3, by, g, true), TG_OK, "%s", tg_tape_message(t));
    cr_expect_null(g[2], "not reached at all");
    tg_eval(t, 2, g);
    for (int k = 0; k < 3; k++) {
        cr_expect_eq(((const double *)tg_data(t, g[0]))[k], 0, "reached through the mask");
        cr_expect_eq(((const double *)tg_data(t, g[1]))[k], v[k] > 1);
    }
    cr_expect_eq(tg_grad(t, z, NULL, 2, by, g, false), TG_ENOGRAD);
    cr_expect(strstr(tg_tape_message(t), ": greater: "), "%s", tg_tape_message(t));
    tg_tape_clear_error(t);

    /* a gradient that a condition alone decides: zeros, since a derivative recorded it */
    cr_assert_eq(tg_grad(t, y, NULL, 1, &x, g, false), TG_OK);
    cr_assert_eq(tg_grad(t, g[0], u, 1, &x, &g[1], false), TG_OK, "%s", tg_tape_message(t));
    for (int k = 0; k < 3; k++) cr_expect_eq(((const double *)tg_data(t, g[1]))[k], 0);
    tg_tape_free(t);
}

static tg_tensor *own_relu(tg_tape *t, tg_tensor *x)
{
    tg_tensor *above = tg_greater(t, x, tg_constant(t, TG_F64, 0));
    return tg_where(t, above, x, tg_constant(t, TG_F64, 0));
}
static tg_tensor *library_relu(tg_tape *t, tg_tensor *x) { return tg_relu(t, x); }

/* A critic's gradient by its input, its length held near 1 (Gulrajani et al. 2017): the biases
 * reach the penalty through the conditions alone. */
Test(tape, a_gradient_penalty_trains_a_net_with_conditions_of_its_own)
{
    enum { N = 4, IN = 3, HIDDEN = 5 };
    double got[2][2][IN * HIDDEN];
    for (int own = 0; own < 2; own++)
        for (int all = 0; all < 2; all++) {
            tg_params *ps = tg_params_new(NULL);
            tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(HIDDEN, IN),
                                        (tg_init){.kind = TG_NORMAL, .b = 1}),
                      *b = tg_param_new(ps, "b", TG_F64, TG_SHAPE(HIDDEN),
                                        (tg_init){.kind = TG_NORMAL, .b = 1}),
                      *v = tg_param_new(ps, "v", TG_F64, TG_SHAPE(1, HIDDEN),
                                        (tg_init){.kind = TG_NORMAL, .b = 1});
            tg_tape *t = tg_tape_new(NULL);
            double data[N * IN];
            for (int k = 0; k < N * IN; k++) data[k] = 0.3 * (k % 7) - 0.8;
            tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(N, IN), data), *gx,
                      *h = (own ? own_relu : library_relu)(t, tg_linear(t, x, w, b)),
                      *y = tg_sum(t, tg_linear(t, h, v, NULL), TG_ALL_AXES, false);
            cr_assert_eq(tg_grad(t, y, NULL, 1, &x, &gx, false), TG_OK);
            tg_tensor *length = tg_norm(t, gx, 2, TG_AXES(1), false),
                      *penalty =
                          tg_mean(t, tg_square(t, tg_offset(t, length, -1)), TG_ALL_AXES, false);
            if (all) {
                cr_assert_eq(tg_backward(t, penalty), TG_OK, "%s", tg_tape_message(t));
                memcpy(got[own][all], tg_param_grad(w), sizeof got[own][all]);
            } else {
                tg_tensor *by[] = {w, b}, *g[2];
                cr_assert_eq(tg_grad(t, penalty, NULL, 2, by, g, false), TG_OK, "%s",
                             tg_tape_message(t));
                memcpy(got[own][all], tg_data(t, g[0]), sizeof got[own][all]);
                const double *zeros = tg_data(t, g[1]);
                for (int k = 0; k < HIDDEN; k++) cr_expect_eq(zeros[k], 0);
            }
            tg_tape_free(t);
            tg_params_free(ps);
        }
    bool any = false;
    for (int k = 0; k < IN * HIDDEN; k++) {
        any |= got[0][0][k] != 0;
        cr_expect_float_eq(got[1][0][k], got[0][0][k], 1e-14);
        cr_expect_float_eq(got[1][1][k], got[0][0][k], 1e-14);
        cr_expect_float_eq(got[0][1][k], got[0][0][k], 1e-14);
    }
    cr_expect(any);
}

Test(tape, a_broadcast_gradient_is_traced_within_its_memory)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(1000), (tg_init){.kind = TG_ONES});
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .trace_nonfinite = true});
    cr_expect_eq(tg_backward(t, tg_sum(t, w, TG_ALL_AXES, false)), TG_OK, "%s", tg_tape_message(t));
    tg_tape_reset(t);
    tg_backward(t, tg_sqrt(t, tg_sum(t, tg_scale(t, w, 0), TG_ALL_AXES, false)));
    cr_expect_eq(tg_tape_status(t), TG_ENONFINITE);
    cr_expect(strstr(tg_tape_message(t), "gradient of sqrt: element 0 of the result [] is inf"),
              "%s", tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- two threads in one tape */

/* Calls of every sort, made by another thread while the tape is inside an op's rule. */
typedef struct guest {
    tg_tape *t;
    tg_tensor *x, *y;
    int calls;
} guest;

static void *call_everything(void *user)
{
    guest *g = user;
    const double new_data = 2;
    tg_tensor *gx = NULL;
#define EXPECT_REFUSED(call)                                               \
    do {                                                                   \
        tg_tape_clear_error(g->t);                                         \
        call;                                                              \
        cr_expect_eq(tg_tape_status(g->t), TG_ESTATE, "accepted: " #call); \
        g->calls++;                                                        \
    } while (0)
    EXPECT_REFUSED(tg_exp(g->t, g->x));
    EXPECT_REFUSED(tg_constant(g->t, TG_F64, 1));
    EXPECT_REFUSED(tg_input(g->t, TG_F64, TG_SCALAR, &new_data));
    EXPECT_REFUSED(tg_input_borrow(g->t, TG_F64, TG_SCALAR, &new_data));
    EXPECT_REFUSED(tg_input_set(g->t, g->x, &new_data));
    EXPECT_REFUSED(tg_detach(g->t, g->x));
    EXPECT_REFUSED(tg_keep(g->t, g->x));
    EXPECT_REFUSED(tg_eval(g->t, 1, &g->y));
    EXPECT_REFUSED(tg_item(g->t, g->x));
    EXPECT_REFUSED(tg_data(g->t, g->x));
    EXPECT_REFUSED(tg_backward(g->t, g->y));
    EXPECT_REFUSED(tg_grad(g->t, g->y, NULL, 1, &g->x, &gx, false));
    EXPECT_REFUSED(tg_jvp(g->t, g->y, 1, &g->x, &g->x));
    EXPECT_REFUSED(tg_hvp(g->t, g->y, g->x, g->x));
    EXPECT_REFUSED(tg_hessian(g->t, g->y, g->x));
    EXPECT_REFUSED(tg_write_dot(g->t, "no/where/at.all", g->y));
    EXPECT_REFUSED(tg_replay(g->t));
    EXPECT_REFUSED(tg_tape_reset(g->t));
#undef EXPECT_REFUSED
    tg_tape_clear_error(g->t);
    return NULL;
}

static guest *visitor;

TG_MAP_1(guest_span, x)

static bool rule_with_a_guest(tg_rule *r)
{
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, call_everything, visitor), 0);
    pthread_join(other, NULL);
    r->y = r->x[0];
    return true;
}

Test(tape, a_careful_tape_refuses_every_call_of_another_thread, .timeout = 60)
{
    const tg_op op = {.size = sizeof op,
                      .name = "with_a_guest",
                      .n_in = 1,
                      .rule = rule_with_a_guest,
                      .span = &guest_span};
    const double one = 1;
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .node_by_node = true});
    guest g = {.t = t, .x = tg_input(t, TG_F64, TG_SCALAR, &one)};
    g.y = tg_exp(t, g.x);
    visitor = &g;
    tg_apply(t, &op, 1, &g.x, 0, NULL);
    cr_expect_eq(g.calls, 18);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    cr_expect_eq(tg_item(t, g.y), exp(1), "the recording is as it was");
    tg_tape_free(t);
}

static void *record_for_ever(void *tape)
{
    tg_tape *t = tape;
    for (int k = 0; k < 1000000 && tg_tape_status(t) == TG_OK; k++)
        tg_square(t, tg_constant(t, TG_F64, k));
    return NULL;
}

Test(tape, a_careful_tape_tells_when_it_is_shared, .timeout = 60)
{
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .node_by_node = true});
    pthread_t other;
    cr_assert_eq(pthread_create(&other, NULL, record_for_ever, t), 0);
    record_for_ever(t);
    pthread_join(other, NULL);
    cr_expect_eq(tg_tape_status(t), TG_ESTATE);
    cr_expect(strstr(tg_tape_message(t), "two threads"), "%s", tg_tape_message(t));
    cr_expect_null(tg_constant(t, TG_F64, 1));
    tg_tape_clear_error(t);
    cr_expect_eq(tg_item(t, tg_square(t, tg_constant(t, TG_F64, 3))), 9);
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- data that change in between */

Test(tape, what_was_read_before_a_parameter_changed_is_not_differentiated_by_it)
{
    tg_params *ps = tg_params_new(NULL);
    const double two = 2, three = 3;
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES}), *g = NULL;
    for (int how = 0; how < 7; how++) {
        tg_tape *t = tg_tape_new(NULL);
        tg_param_write(w, &two);
        tg_tensor *v = tg_constant(t, TG_F64, 1), *y = tg_mul(t, tg_square(t, w), w);
        if (how == 5) tg_param_set_trainable(w, false);
        else tg_param_write(w, &three);
        if (how == 6) y = tg_add(t, y, w);
        if (how == 0) cr_expect_null(tg_jacobian(t, y, w));
        else if (how == 1) cr_expect_null(tg_hessian(t, y, w));
        else if (how == 2) cr_expect_null(tg_hvp(t, y, w, v));
        else if (how == 3) cr_expect_null(tg_jvp(t, y, 1, &w, &v));
        else cr_expect_neq(tg_grad(t, y, NULL, 1, &w, &g, how == 4), TG_OK);
        cr_expect_eq(tg_tape_status(t), TG_ESTALE, "way %d: %s", how, tg_tape_message(t));
        cr_expect(strstr(tg_tape_message(t), "parameter 'w' was written, frozen or thawed"), "%s",
                  tg_tape_message(t));
        tg_param_set_trainable(w, true);
        tg_tape_clear_error(t);
        tg_tensor *anew = tg_square(t, w);
        cr_expect_eq(tg_grad(t, anew, NULL, 1, &w, &g, false), TG_OK, "%s", tg_tape_message(t));
        cr_expect_eq(tg_item(t, g), how == 5 ? 4 : 6);
        tg_tape_free(t);
    }
    tg_params_free(ps);
}

Test(tape, gradients_go_by_the_trainability_of_the_recording_or_nowhere)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *a = tg_param_new(ps, "a", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES}),
              *b = tg_param_new(ps, "b", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    for (int thaw = 0; thaw < 2; thaw++) {
        tg_param_set_trainable(b, !thaw);
        tg_tensor *y = tg_mul(t, a, b);
        tg_param_set_trainable(b, thaw);
        cr_expect_eq(tg_backward(t, y), TG_ESTALE);
        cr_expect(strstr(tg_tape_message(t), thaw ? "'b' was thawed" : "'b' was frozen"), "%s",
                  tg_tape_message(t));
        cr_expect_null(tg_param_grad(a));
        tg_tape_clear_error(t);
        cr_expect_eq(tg_item(t, y), 1, "the value is what it was");
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}

static void vjp_that_differentiates(TG_VJP)
{
    tg_tensor *g = NULL, *s = tg_square(t, x[0]);
    switch ((int)attrs[0]) {
    case 0: tg_grad(t, s, NULL, 1, x, &g, false); break;
    case 1: g = tg_hvp(t, s, x[0], x[0]); break;
    case 2:
        g = tg_jvp(t, tg_scale(t, s, 2), 1, x, x), g = tg_scale(t, tg_div(t, g, x[0]), 0.5);
        break;
    case 3: tg_backward(t, s); break;
    case 4: tg_item(t, s); break;
    case 5: tg_tape_reset(t); break;
    default: tg_grad(t, y, NULL, 1, x, &g, false);
    }
    gx[0] = tg_mul(t, gy, g);
}

TG_MAP_1(nested_span, x *x)
static const tg_op nested = {.size = sizeof nested,
                             .name = "nested",
                             .n_in = 1,
                             .span = &nested_span,
                             .vjp = vjp_that_differentiates};

Test(tape, a_vjp_may_differentiate_what_it_recorded)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SCALAR, (tg_init){.kind = TG_CONSTANT, .a = 3}),
              *g;
    tg_tape *t = tg_tape_new(NULL);
    for (int64_t what = 0; what < 3; what++) {
        tg_tensor *y = tg_mul(t, tg_apply(t, &nested, 1, &w, 1, &what), w);
        cr_expect_eq(tg_backward(t, y), TG_OK, "%d: %s", (int)what, tg_tape_message(t));
        cr_expect_eq(*(const double *)tg_param_grad(w), 27);
        tg_params_drop_grads(ps);
        for (int order = 0; order < 3; order++, y = g) tg_grad(t, y, NULL, 1, &w, &g, false);
        cr_expect_eq(tg_item(t, g), 6);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, a_vjp_that_evaluates_or_does_not_end_is_refused)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    for (int64_t what = 3; what < 7; what++) {
        tg_tensor *y = tg_apply(t, &nested, 1, &w, 1, &what);
        cr_expect_eq(tg_backward(t, y), TG_ESTATE, "%d: %s", (int)what, tg_tape_message(t));
        tg_tape_clear_error(t);
        cr_expect_eq(tg_item(t, tg_square(t, y)), 1);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, new_data_of_an_input_make_old_values_void)
{
    tg_params *ps = tg_params_new(NULL);
    const double one = 1, two = 2;
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SCALAR, (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    for (int round = 0; round < 3; round++) {
        tg_tensor *x = tg_input(t, TG_F64, TG_SCALAR, &one), *y = tg_exp(t, x),
                  *loss = tg_mul(t, w, tg_mul(t, y, x));
        cr_expect_float_eq(tg_item(t, y), exp(1), 1e-15);
        if (round != 1) tg_input_set(t, x, &two);
        const double want = round == 1 ? exp(1) : 2 * exp(2);
        cr_expect_float_eq(tg_item(t, loss), want, 1e-14);
        cr_expect_eq(tg_backward(t, loss), TG_OK, "%s", tg_tape_message(t));
        cr_expect_float_eq(*(const double *)tg_param_grad(w), want, 1e-14);
        tg_params_drop_grads(ps);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(tape, another_random_step_makes_old_values_void)
{
    enum { N = 40 };
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(N), (tg_init){.kind = TG_ONES});
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *y = tg_keep(t, tg_dropout(t, w, 0.5));
    tg_data(t, y);
    tg_tape_set_step(t, 77);
    cr_expect_eq(tg_backward(t, tg_sum(t, y, TG_ALL_AXES, false)), TG_OK);
    const double *value = tg_data(t, y), *slope = tg_param_grad(w);
    for (int i = 0; i < N; i++) cr_expect_eq(value[i], slope[i], "element %d", i);
    tg_tape_free(t);
    tg_params_free(ps);
}
