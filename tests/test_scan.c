/* Loops as one op: the values and derivatives of the same steps recorded one by one. */
#include "allocator.h"
#include "semantics.h"

/* h' = tanh(w h + x), its square stacked */
static void step(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                 tg_tensor **y, void *user)
{
    (void)user;
    carry[0] = tg_tanh(t, tg_add(t, tg_matmul(t, w[0], carry[0]), x[0]));
    y[0] = tg_square(t, carry[0]);
    y[1] = carry[0];
}

typedef struct loop {
    tg_scan_body body;
    bool unrolled;
} loop;

/* The same with tg_scan or without: a sum over all that comes out. */
static tg_tensor *run(tg_tape *t, tg_tensor *const *in, int n_in, void *user)
{
    const loop *l = user;
    const int64_t n = tg_tensor_shape(in[1]).dim[0];
    tg_tensor *carry = in[0], *y[2], *total = NULL;
    (void)n_in;
    if (!l->unrolled) {
        tg_scan(t, &l->body, n, &carry, &in[1], &in[2], y);
        tg_tensor *weights =
            tg_unsqueeze(t, tg_arange(t, tg_tensor_dtype(in[0]), 1, (double)n + 1, 1), 1);
        total = tg_add(t, tg_sum_all(t, tg_mul(t, y[0], weights)),
                       tg_sum_all(t, tg_mul(t, y[1], tg_exp(t, y[1]))));
    } else {
        total = tg_constant_like(t, in[0], 0);
        for (int64_t k = 0; k < n; k++) {
            const int64_t i = l->body.reverse ? n - 1 - k : k;
            tg_tensor *x = tg_select(t, in[1], 0, i);
            step(t, &carry, &x, &in[2], y, NULL);
            total = tg_add(t, total, tg_sum_all(t, tg_scale(t, y[0], (double)i + 1)));
            total = tg_add(t, total, tg_sum_all(t, tg_mul(t, y[1], tg_exp(t, y[1]))));
        }
    }
    return tg_add(t, total, tg_sum_all(t, tg_sin(t, carry)));
}

static loop loop_of(bool reverse, int64_t checkpoint)
{
    return (loop){{.size = sizeof(tg_scan_body),
                   .step = step,
                   .n_carry = 1,
                   .n_x = 1,
                   .n_w = 1,
                   .n_y = 2,
                   .reverse = reverse,
                   .checkpoint = checkpoint},
                  false};
}

enum { STEPS = 7, WIDTH = 3 };

static void fill(double *at, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) at[i] = semantics_uniform(&seed);
}

static void expect_close(const double *a, const double *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        cr_expect(fabs(a[i] - b[i]) <= 1e-13 * (1 + fabs(b[i])), "%s %lld: %.17g, not %.17g", what,
                  (long long)i, a[i], b[i]);
}

/* Value, gradients and the gradients of the gradients' squares. */
static void derivatives(tg_tape *t, loop *l, const double *h, const double *x, const double *w,
                        double out[1 + 2 * (WIDTH + STEPS * WIDTH + WIDTH * WIDTH)])
{
    tg_tensor *in[3] = {tg_input(t, TG_F64, TG_SHAPE(WIDTH), h),
                        tg_input(t, TG_F64, TG_SHAPE(STEPS, WIDTH), x),
                        tg_input(t, TG_F64, TG_SHAPE(WIDTH, WIDTH), w)},
              *g[3], *gg[3];
    tg_tensor *y = run(t, in, 3, l), *squares = NULL;
    tg_grad(t, y, NULL, 3, in, g, false);
    for (int k = 0; k < 3; k++) {
        tg_tensor *s = tg_sum_all(t, tg_square(t, g[k]));
        squares = squares ? tg_add(t, squares, s) : s;
    }
    tg_grad(t, squares, NULL, 3, in, gg, false);
    *out++ = tg_item(t, y);
    for (int k = 0; k < 6; k++) {
        tg_tensor *of = k < 3 ? g[k] : gg[k - 3];
        const void *data = tg_data(t, of);
        cr_assert(data, "%s", tg_tape_message(t));
        memcpy(out, data, (size_t)tg_tensor_count(of) * sizeof *out);
        out += tg_tensor_count(of);
    }
    tg_tape_reset(t);
}

Test(scan, has_the_values_and_derivatives_of_its_steps)
{
    enum { ALL = 1 + 2 * (WIDTH + STEPS * WIDTH + WIDTH * WIDTH) };
    double h[WIDTH], x[STEPS * WIDTH], w[WIDTH * WIDTH], want[ALL], is[ALL];
    fill(h, WIDTH, 1), fill(x, STEPS * WIDTH, 2), fill(w, WIDTH * WIDTH, 3);
    for (int careful = 0; careful < 2; careful++)
        for (int reverse = 0; reverse < 2; reverse++)
            for (int64_t checkpoint = 0; checkpoint < 5; checkpoint += 2) {
                const tg_tape_options o = {.size = sizeof o, .node_by_node = careful == 1};
                tg_tape *t = tg_tape_new(&o);
                loop l = loop_of(reverse == 1, checkpoint), plain = l;
                plain.unrolled = true;
                derivatives(t, &plain, h, x, w, want);
                for (int again = 0; again < 3; again++) {
                    derivatives(t, &l, h, x, w, is);
                    expect_close(is, want, ALL, checkpoint ? "in segments" : "whole");
                }
                cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
                tg_tape_free(t);
            }
}

Test(scan, is_differentiated_rightly_to_second_order)
{
    double h[WIDTH], x[STEPS * WIDTH], w[WIDTH * WIDTH];
    fill(h, WIDTH, 1), fill(x, STEPS * WIDTH, 2), fill(w, WIDTH * WIDTH, 3);
    const tg_check_input in[3] = {{TG_SHAPE(WIDTH), h, false},
                                  {TG_SHAPE(STEPS, WIDTH), x, false},
                                  {TG_SHAPE(WIDTH, WIDTH), w, false}};
    loop l = loop_of(false, 3);
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(run, 3, in, NULL, &l, NULL, &r), TG_OK, "%s", r.message);
}

static void noisy(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                  tg_tensor **y, void *user)
{
    (void)x, (void)w, (void)user;
    y[0] = tg_dropout(t, carry[0], 0.5);
    y[1] = tg_rand(t, tg_tensor_dtype(carry[0]), TG_SHAPE(32));
}

Test(scan, draws_other_numbers_at_each_step_and_the_same_ones_backwards)
{
    const tg_scan_body b = {.size = sizeof b, .step = noisy, .n_carry = 1, .n_y = 2};
    double one[32], masks[4][96];
    tg_tensor *y[2], *g;
    for (int i = 0; i < 32; i++) one[i] = 1;
    tg_tape *t = tg_tape_new(NULL);
    for (int k = 0; k < 4; k++) {
        if (k) tg_tape_reset(t);
        if (k == 3) tg_tape_set_step(t, 2);
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(32), one), *carry = x;
        tg_scan(t, &b, 3, &carry, NULL, NULL, y);
        const double *mask = tg_data(t, y[0]);
        cr_assert(mask, "%s", tg_tape_message(t));
        memcpy(masks[k], mask, sizeof masks[k]);
        tg_grad(t, tg_sum_all(t, y[0]), NULL, 1, &x, &g, false);
        const double *gx = tg_data(t, g), *u = tg_data(t, y[1]);
        for (int i = 0; i < 32; i++) cr_expect_eq(gx[i], mask[i] + mask[32 + i] + mask[64 + i]);
        cr_expect(memcmp(u, u + 32, 32 * sizeof *u) != 0 &&
                  memcmp(mask, mask + 32, 32 * sizeof *u) != 0);
    }
    cr_expect(memcmp(masks[0], masks[1], sizeof masks[0]) != 0);
    cr_expect(memcmp(masks[2], masks[3], sizeof masks[0]) == 0);
    semantics_end(t);
}

Test(scan, of_no_steps_leaves_what_is_carried)
{
    EACH_BUILD
    {
        loop l = loop_of(false, 2);
        tg_tensor *h = INPUT(TG_SHAPE(1), 0.5), *carry = h, *x = tg_zeros(t, dtype, TG_SHAPE(0, 1)),
                  *w = tg_ones(t, dtype, TG_SHAPE(1, 1)), *y[2];
        tg_scan(t, &l.body, 0, &carry, &x, &w, y);
        cr_expect(carry == h);
        EXPECT_SHAPE(y[0], TG_SHAPE(0, 1));
        EXPECT(GRAD(tg_add(t, tg_sum_all(t, y[0]), tg_sum_all(t, h)), w), 0);
    }
}

Test(scan, records_the_same_body_once)
{
    loop l = loop_of(false, 0);
    float at[64] = {0};
    tg_tape *t = tg_tape_new(NULL);
    for (int k = 0; k < 5; k++) {
        tg_tensor *in[3] = {tg_input(t, TG_F32, TG_SHAPE(2), at),
                            tg_input(t, TG_F32, TG_SHAPE(16, 2), at),
                            tg_input(t, TG_F32, TG_SHAPE(2, 2), at)},
                  *g[3];
        tg_grad(t, run(t, in, 3, &l), NULL, 3, in, g, false);
        tg_eval(t, 3, g);
        tg_tape_reset(t);
    }
    cr_expect_eq(tg_tape_plan_stats(t).misses, 1);
    semantics_end(t);
}

static tg_tensor *alien;

static void wrong(tg_tape *t, tg_tensor **carry, tg_tensor *const *x, tg_tensor *const *w,
                  tg_tensor **y, void *user)
{
    (void)w;
    if (y) y[0] = carry[0];
    switch (*(int *)user) {
    case 0: carry[0] = tg_concat(t, 2, ((tg_tensor *[]){carry[0], carry[0]}), 0); break;
    case 1: carry[0] = tg_add(t, carry[0], alien); break;
    case 2: y[0] = NULL; break;
    case 3: y[0] = tg_argmax(t, carry[0], 0, false); break;
    case 4: tg_item(t, tg_sum_all(t, carry[0])); break;
    default: y[0] = tg_solve(t, tg_reshape(t, tg_mul(t, x[0], x[0]), TG_SHAPE(1, 1)), carry[0]);
    }
}

Test(scan, called_wrongly_says_so)
{
    static const struct {
        tg_status status;
        const char *text;
    } want[] = {{TG_ESHAPE, "scan: the next carry 0 is f64 [2], not f64 [1]"},
                {TG_ETAPE, "another tape"},
                {TG_ENULL, "a result of the body"},
                {TG_EDTYPE, "scan: y 0 is i64 [], not f64"},
                {TG_ESTATE, "evaluate"},
                {TG_EVALUE, "scan: step 1: "}};
    const double at[3] = {1, 0, 1};
    for (int k = 0; k < 6; k++) {
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *carry = tg_input(t, TG_F64, TG_SHAPE(1), at), *y = NULL,
                  *x = tg_input(t, TG_F64, TG_SHAPE(3), at);
        alien = carry;
        const tg_scan_body b = {
            .size = sizeof b, .step = wrong, .user = &k, .n_carry = 1, .n_x = 1, .n_y = 1};
        tg_scan(t, &b, 3, &carry, &x, NULL, &y);
        if (k == 5) tg_eval(t, 1, &y);
        cr_expect_eq(tg_tape_status(t), want[k].status, "%d: %s", k, tg_tape_message(t));
        cr_expect(strstr(tg_tape_message(t), want[k].text) != NULL, "%s", tg_tape_message(t));
        cr_expect(strstr(tg_tape_message(t), __FILE__) != NULL, "%s", tg_tape_message(t));
        tg_tape_clear_error(t);
        cr_expect_eq(tg_item(t, tg_sum_all(t, x)), 2);
        tg_tape_free(t);
    }
    tg_tape *t = tg_tape_new(NULL);
    int k = 0;
    tg_scan_body b = {.size = sizeof b, .step = wrong, .user = &k, .n_carry = 1, .n_x = 1};
    tg_tensor *carry = tg_input(t, TG_F64, TG_SHAPE(1), at),
              *x = tg_input(t, TG_F64, TG_SHAPE(3), at);
#define REFUSED(error, text, body, n, x)                                       \
    cr_expect_eq(tg_scan(t, body, n, &carry, x, NULL, NULL), error);           \
    cr_expect(strstr(tg_tape_message(t), text), "%s", tg_tape_message(t));     \
    cr_expect(strstr(tg_tape_message(t), __FILE__), "%s", tg_tape_message(t)); \
    tg_tape_clear_error(t);
    REFUSED(TG_ESHAPE, "x 0 is [3], for 4 steps", &b, 4, &x)
    REFUSED(TG_ENULL, "NULL", &b, 3, NULL)
    REFUSED(TG_ENULL, "NULL", NULL, 3, &x)
    REFUSED(TG_EVALUE, "negative", &b, -1, &x)
    b.n_carry = 0;
    REFUSED(TG_EVALUE, "nothing is carried", &b, 3, &x)
    b.size = 8;
    REFUSED(TG_EVALUE, "sizeof(tg_scan_body)", &b, 3, &x)
    cr_expect_eq((tg_scan)(NULL, &b, 3, &carry, &x, NULL, NULL), TG_ENOMEM);
    semantics_end(t);
}

Test(scan, of_a_parameter_wants_it_handed_in)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_init half = {.kind = TG_CONSTANT, .a = 0.5};
    alien = tg_param_new(ps, "w", TG_F64, TG_SHAPE(1), half);
    tg_tape *t = tg_tape_new(NULL);
    int k = 1;
    const tg_scan_body b = {.size = sizeof b, .step = wrong, .user = &k, .n_carry = 1};
    tg_tensor *carry = tg_zeros(t, TG_F64, TG_SHAPE(1));
    cr_expect_eq(tg_scan(t, &b, 3, &carry, NULL, NULL, NULL), TG_EVALUE);
    cr_expect(strstr(tg_tape_message(t), "parameter 'w'"), "%s", tg_tape_message(t));
    tg_tape_clear_error(t);
    semantics_end(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- recurrent nets */

Test(scan, lengths_hold_the_state_and_give_zeros)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 2, 1), 1, 2, 3, 4, 5, 6), *one = INPUT(TG_SHAPE(1, 1), 1),
                  *zero = INPUT(TG_SHAPE(1, 1), 0), *state[1] = {NULL}, *y;
        const tg_cell cells[2] = {{one, zero, NULL, NULL}, {one, one, NULL, NULL}};
        tg_recurrent o = {.cell = cells, .lengths = INDEX(TG_SHAPE(2), 2, 0)};
        EXPECT(y = tg_rnn(t, x, state, o), tanh(1.), 0, tanh(3.), 0, 0, 0);
        EXPECT(state[0], tanh(3.), 0);
        EXPECT(tg_select(t, GRAD(y, x), 1, 1), 0, 0, 0);
        o.bidirectional = true;
        state[0] = NULL;
        EXPECT(tg_select(t, tg_rnn(t, x, state, o), 2, 1), tanh(1 + tanh(3.)), 0, tanh(3.), 0, 0,
               0);
        EXPECT(state[0], tanh(3.), 0, tanh(1 + tanh(3.)), 0);
    }
}

Test(scan, recurrent_nets_called_wrongly_say_so)
{
    EACH_BUILD
    {
        tg_tensor *x = tg_zeros(t, dtype, TG_SHAPE(3, 2, 1)),
                  *w = tg_ones(t, dtype, TG_SHAPE(3, 1)),
                  *state[2] = {tg_zeros(t, dtype, TG_SHAPE(1, 2, 2)), NULL};
        const tg_cell cell[1] = {{w, w, NULL, NULL}}, no[1] = {{w, NULL, NULL, NULL}};
        EXPECT_ERROR(tg_gru(t, x, state, (tg_recurrent){.cell = cell}), TG_ESHAPE,
                     "gru: state [1,2,2] is not [1,2,1]");
        EXPECT_ERROR(tg_lstm(t, x, NULL, (tg_recurrent){.cell = cell}), TG_ESHAPE,
                     "are not [4h, 1], [4h, h] and [4h], h = 1");
        EXPECT_ERROR(tg_gru(t, x, NULL, (tg_recurrent){.cell = no}), TG_ENULL, "gru");
        EXPECT_ERROR(tg_gru(t, x, NULL, (tg_recurrent){.layers = 1}), TG_ENULL, "no cells");
        EXPECT_ERROR(tg_gru(t, x, NULL, (tg_recurrent){.cell = cell, .dropout = 2}), TG_EVALUE,
                     "out of range");
        EXPECT_ERROR(tg_gru(t, w, NULL, (tg_recurrent){.cell = cell}), TG_ESHAPE,
                     "x [3,1] is not [time, n, in]");
        EXPECT_ERROR(tg_gru(t, x, NULL, (tg_recurrent){.cell = cell, .lengths = w}), TG_ESHAPE,
                     "are not i64 [2]");
    }
}

/* ---------------------------------------------------------------- no memory */

/* Two orders of derivatives, by tg_grad and tg_backward. */
static tg_status all_of(test_memory *m)
{
    const tg_allocator a = test_allocator(m);
    double at[STEPS * WIDTH + WIDTH + WIDTH * WIDTH];
    fill(at, STEPS * WIDTH + WIDTH + WIDTH * WIDTH, 5);
    tg_tape *t = tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .allocator = &a});
    loop l = loop_of(false, 3);
    tg_tensor *in[3] = {tg_input(t, TG_F64, TG_SHAPE(WIDTH), at),
                        tg_input(t, TG_F64, TG_SHAPE(STEPS, WIDTH), at + WIDTH),
                        tg_input(t, TG_F64, TG_SHAPE(WIDTH, WIDTH), at + WIDTH + STEPS * WIDTH)};
    tg_tensor *y = run(t, in, 3, &l), *g[3] = {NULL}, *second[3] = {NULL};
    tg_grad(t, y, NULL, 3, in, g, false);
    tg_grad(t, tg_sum_all(t, tg_square(t, g[2])), NULL, 3, in, second, false);
    const double value = tg_item(t, tg_sum_all(t, second[2]));
    const tg_status status = tg_tape_status(t);
    cr_expect(status == TG_OK ? isfinite(value) : isnan(value));
    if (status) cr_expect_eq(status, TG_ENOMEM, "%s", tg_tape_message(t));
    tg_tape_free(t);
    return status;
}

Test(scan, short_memory_is_reported_and_nothing_leaks)
{
    test_memory m = {0};
    cr_assert_eq(all_of(&m), TG_OK);
    const long long requests = m.requests;
    cr_expect_gt(requests, 50);
    for (long long k = 1; k <= requests; k++) {
        m = (test_memory){.fail_at = k};
        cr_expect_neq(all_of(&m), TG_OK, "request %lld", k);
        cr_expect_eq(m.blocks, 0, "request %lld: %lld blocks left", k, (long long)m.blocks);
        cr_expect_eq(m.wrong, 0, "request %lld", k);
    }
}
