/* Where a NaN or an infinity came from: the tape's message, and tg_tape_blame. The first tests are
 * the situations of PyTorch's public issues 160016 (it is made in the forward pass, or is an
 * infinity that becomes a NaN elsewhere, and another line is named) and 143658 (no shapes and no
 * values). */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <tapegrad/ops.h>

typedef struct traced {
    tg_params *ps;
    tg_tape *t;
    tg_tensor *w;
} traced;

static traced traced_new(int n, const double *w)
{
    traced k = {.ps = tg_params_new(NULL)};
    k.t = tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .trace_nonfinite = true});
    k.w = tg_param_new(k.ps, "w", TG_F64, TG_SHAPE(n), ((tg_init){.kind = TG_ONES}));
    cr_assert_eq(tg_param_write(k.w, w), TG_OK);
    cr_expect_str_eq(tg_tape_blame(k.t), "");
    return k;
}

static void traced_free(traced *k)
{
    tg_tape_clear_error(k->t);
    cr_expect_str_eq(tg_tape_blame(k->t), "");
    tg_tape_free(k->t);
    tg_params_free(k->ps);
}

/* The parts stand in the text one after the other; "%d" is the line. */
static void expect_story(const traced *k, int line, int n, const char *const *part)
{
    const char *text = tg_tape_blame(k->t), *at = text;
    cr_expect_eq(tg_tape_status(k->t), TG_ENONFINITE, "%s", tg_tape_message(k->t));
    for (int i = 0; i < n && at; i++) {
        char wanted[256];
        char *mark;
        snprintf(wanted, sizeof wanted, "%s", part[i]);
        if ((mark = strstr(wanted, "LINE"))) {
            const size_t before = (size_t)(mark - wanted);
            snprintf(wanted, sizeof wanted, "%.*stest_blame.c:%d%s", (int)before, part[i], line,
                     part[i] + before + 4);
        }
        at = strstr(at, wanted);
        cr_expect(at != NULL, "no \"%s\" behind the others in:\n%s", wanted, text);
        at = at ? at + strlen(wanted) : at;
    }
}
#define STORY(k, line, ...)                                                                   \
    expect_story(k, line, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), \
                 (const char *const[]){__VA_ARGS__})

Test(blame, a_nan_of_the_forward_pass_is_not_laid_on_the_backward_pass)
{
    traced k = traced_new(3, (const double[]){4, -2, 1});
    tg_tape *t = k.t;
    const int line = __LINE__ + 1;
    tg_tensor *y = tg_log(t, tg_scale(t, k.w, 0.5));
    tg_tensor *z = tg_tanh(t, tg_square(t, y));
    cr_expect_eq(tg_backward(t, tg_sum(t, z, TG_ALL_AXES, false)), TG_ENONFINITE);
    STORY(&k, line, "LINE: log: element 1 of the result [3] is nan", "in the forward pass",
          "LINE: log: [3] in [-0.693147, 0.693147] besides NaN or infinity; element 1 is", "of\n",
          "LINE: scale: [3] in [-1, 2]; element 1 is -1\n", "goes back to\n",
          "LINE: scale: [3] in [-1, 2]; element 1 is -1\n",
          "parameter w: [3] in [-2, 4]; element 1 is -2\n");
    traced_free(&k);
}

Test(blame, an_infinity_is_found_where_it_is_made_not_where_it_becomes_a_nan)
{
    traced k = traced_new(2, (const double[]){800, 1});
    tg_tape *t = k.t;
    const int line = __LINE__ + 1;
    tg_tensor *e = tg_exp(t, k.w);
    tg_tensor *y = tg_div(t, e, tg_sum(t, e, TG_ALL_AXES, false)); /* inf / inf */
    tg_backward(t, tg_sum(t, y, TG_ALL_AXES, false));
    STORY(&k, line, "LINE: exp: element 0 of the result [2] is inf", "in the forward pass",
          "parameter w: [2] in [1, 800]; element 0 is 800");
    traced_free(&k);
}

Test(blame, a_gradient_is_named_with_its_op_and_its_line)
{
    traced k = traced_new(3, (const double[]){4, 0, 1});
    tg_tape *t = k.t;
    tg_tensor *x = tg_scale(t, k.w, 3);
    const int line = __LINE__ + 1;
    tg_tensor *y = tg_sqrt(t, x);
    tg_backward(t, tg_sum(t, tg_square(t, y), TG_ALL_AXES, false));
    STORY(&k, line, "LINE: gradient of sqrt: element 1 of the result [3] is",
          "in the backward pass", "LINE: gradient of sqrt", "goes back to\n",
          "LINE: sqrt: [3] in [0, 3.4641]; element 1 is 0", "scale: [3] in [0, 12]; element 1 is 0",
          "parameter w: [3] in [0, 4]; element 1 is 0");
    cr_expect_null(tg_param_grad(k.w));
    traced_free(&k);
}

static void same(const tg_call *c, const tg_array *y, void *user)
{
    (void)user;
    memcpy(y[0].data, c->x[0].data, (size_t)tg_shape_count(y[0].shape) * sizeof(double));
}
static void not_a_number(const tg_call *c, const tg_array *gx, void *user)
{
    (void)c, (void)user;
    ((double *)gx[0].data)[0] = NAN;
}

Test(blame, a_program_s_own_function_is_told_from_its_neighbours)
{
    static const tg_external_fn gradient = {.size = sizeof gradient, .run = not_a_number};
    static const tg_external_fn f = {.size = sizeof f, .run = same, .vjp = &gradient};
    traced k = traced_new(1, (const double[]){2});
    tg_tape *t = k.t;
    tg_tensor *before = tg_exp(t, k.w);
    const int line = __LINE__ + 1;
    tg_tensor *y = tg_external(t, &f, NULL, TG_F64, TG_SHAPE(1), 1, &before);
    tg_backward(t, tg_sum(t, tg_square(t, y), TG_ALL_AXES, false));
    STORY(&k, line, "LINE: gradient of external: element 0 of the result [1] is nan",
          "in the backward pass", "of\n", "[1] in [");
    traced_free(&k);
}

Test(blame, bad_data_is_its_own_reason)
{
    traced k = traced_new(2, (const double[]){1, 1});
    tg_tape *t = k.t;
    const int line = __LINE__ + 1;
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(2), ((const double[]){5, NAN}));
    tg_backward(t, tg_sum(t, tg_mul(t, k.w, x), TG_ALL_AXES, false));
    STORY(&k, line, "LINE: input: element 1 of the data [2] is nan", "in the forward pass",
          "LINE: input: [2] in [5, 5] besides NaN");
    cr_expect_null(strstr(tg_tape_blame(t), "goes back"), "%s", tg_tape_blame(t));
    tg_tape_reset(t);
    cr_expect_str_eq(tg_tape_blame(t), "");
    traced_free(&k);
}

Test(blame, of_several_operands_the_way_leads_through_the_one_that_is_zero)
{
    traced k = traced_new(2, (const double[]){1000, 3});
    tg_tape *t = k.t;
    tg_tensor *zero = tg_input(t, TG_F64, TG_SHAPE(2), ((const double[]){1, 0}));
    const int line = __LINE__ + 1;
    tg_data(t, tg_div(t, tg_square(t, k.w), tg_relu(t, zero)));
    STORY(&k, line, "LINE: div: element 1", "square: [2] in [9, 1e+06]; element 1 is 9",
          "relu: [2] in [0, 1]; element 1 is 0", "goes back to\n", "relu", "input");
    traced_free(&k);
}

Test(blame, a_long_way_is_cut)
{
    traced k = traced_new(1, (const double[]){0});
    tg_tape *t = k.t;
    tg_tensor *x = k.w;
    for (int i = 0; i < 5000; i++) x = tg_tanh(t, x);
    tg_data(t, tg_log(t, x));
    cr_expect(strstr(tg_tape_blame(t), "    ...\n"));
    cr_expect(strlen(tg_tape_blame(t)) < 4096);
    traced_free(&k);
}

Test(blame, other_errors_and_other_tapes_have_none)
{
    tg_tape *t = tg_tape_new(NULL);
    cr_expect_null(tg_exp(t, NULL));
    cr_expect_str_eq(tg_tape_blame(t), "");
    cr_expect_str_eq(tg_tape_blame(NULL), "");
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- messages */

Test(blame, the_first_node_that_is_not_finite_is_named)
{
    const tg_tape_options o = {.size = sizeof o, .trace_nonfinite = true};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "p", TG_F64, TG_SHAPE(2), ((tg_init){.kind = TG_ZEROS}));
    tg_tape *t = tg_tape_new(&o);
    const double x[] = {4, -1};
    char position[64];

    tg_tensor *in = tg_input(t, TG_F64, TG_SHAPE(2), x);
    const int line = __LINE__ + 1;
    tg_tensor *bad = tg_log(t, tg_square(t, tg_sqrt(t, in)));
    cr_expect_null(tg_data(t, tg_exp(t, bad)));
    snprintf(position, sizeof position, "test_blame.c:%d: sqrt", line);
    cr_expect_eq(tg_tape_status(t), TG_ENONFINITE);
    cr_expect(strstr(tg_tape_message(t), position), "%s", tg_tape_message(t));
    cr_expect(strstr(tg_tape_message(t), "-1") && strstr(tg_tape_message(t), "4"),
              "the operand's range: %s", tg_tape_message(t));
    tg_tape_clear_error(t);
    tg_tape_reset(t);

    /* the value is fine, the gradient isn't */
    const int root = __LINE__ + 1;
    tg_tensor *y = tg_sqrt(t, p);
    tg_backward(t, tg_sum(t, y, TG_ALL_AXES, false));
    snprintf(position, sizeof position, "test_blame.c:%d: ", root);
    cr_expect_eq(tg_tape_status(t), TG_ENONFINITE);
    cr_expect(strstr(tg_tape_message(t), position), "the op whose gradient it is: %s",
              tg_tape_message(t));
    cr_expect_null(tg_param_grad(p));
    tg_tape_clear_error(t);
    tg_tape_reset(t);
    tg_backward(t, tg_sum(t, tg_exp(t, p), TG_ALL_AXES, false));
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
}

static void expect_traced(tg_tape *t, const char *message)
{
    cr_expect_eq(tg_tape_status(t), TG_ENONFINITE);
    cr_expect(strstr(tg_tape_message(t), message), "%s, not %s", tg_tape_message(t), message);
    tg_tape_clear_error(t);
    tg_tape_reset(t);
}

Test(blame, a_nan_that_was_handed_in_is_traced_to_its_leaf)
{
    const tg_tape_options o = {.size = sizeof o, .trace_nonfinite = true};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(3), ((tg_init){.kind = TG_ONES}));
    tg_tape *t = tg_tape_new(&o);
    const double x[] = {4, INFINITY, NAN};
    char message[96];

    const int line = __LINE__ + 1;
    tg_tensor *in = tg_input(t, TG_F64, TG_SHAPE(3), x);
    cr_expect_null(tg_data(t, tg_slice(t, in, 0, 1, 3, 1)));
    snprintf(message, sizeof message, "test_blame.c:%d: input: element 2 of the data [3] is nan",
             line);
    expect_traced(t, message);
    cr_expect_eq(tg_param_write(w, x), TG_OK);
    tg_data(t, tg_exp(t, w));
    expect_traced(t, "element 2 of parameter w [3] is nan");
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(blame, an_infinity_that_was_handed_in_is_passed_on_until_it_makes_a_nan)
{
    const tg_tape_options o = {.size = sizeof o, .trace_nonfinite = true};
    tg_tape *t = tg_tape_new(&o);
    tg_tensor *mask = tg_input(t, TG_F64, TG_SHAPE(2), (const double[]){0, -INFINITY});
    cr_expect_eq(tg_item(t, tg_logsumexp(t, mask, TG_ALL_AXES, false)), 0);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_data(t, tg_scale(t, mask, 0));
    expect_traced(t,
                  "scale: element 1 of the result [2] is nan; inputs: [2] in [0, 0] besides NaN");
    mask = tg_input(t, TG_F64, TG_SHAPE(1), (const double[]){-INFINITY});
    tg_data(t, tg_sub(t, mask, mask));
    expect_traced(t, "sub: element 0 of the result [1] is nan; inputs: [1] of NaN or infinity");

    /* attention hides keys by an infinity of its own */
    const double q[] = {1, 2, 3, 4, 5, 6};
    const uint8_t seen[] = {1, 0, 1, 1, 1, 0, 1, 0, 0};
    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3, 2), q), *gx = NULL, *ggx = NULL;
    tg_tensor *y = tg_attention(t, x, x, x, tg_input(t, TG_U8, TG_SHAPE(3, 3), seen), true);
    tg_grad(t, tg_sum(t, tg_square(t, y), TG_ALL_AXES, false), NULL, 1, &x, &gx, false);
    tg_grad(t, tg_sum(t, tg_square(t, gx), TG_ALL_AXES, false), NULL, 1, &x, &ggx, false);
    cr_expect(tg_data(t, ggx) != NULL, "%s", tg_tape_message(t));
    tg_tape_free(t);
}
