/* Parts of a recording recorded again: on other tensors, or in the backward pass. */
#include "errors.h"
#include <math.h>

enum { WIDTH = 64, ROWS = 256 };

static tg_tensor *param(tg_params *ps, const char *name, tg_shape shape)
{
    return tg_param_new(ps, name, TG_F64, shape, ((tg_init){.kind = TG_NORMAL, .b = 0.3}));
}

static double item_of_sum(tg_tape *t, tg_tensor *x)
{
    return tg_item(t, tg_sum(t, x, TG_ALL_AXES, false));
}

Test(substitute, what_lies_between_is_recorded_again_on_other_tensors)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = param(ps, "w", TG_SHAPE(3, 3)), *v = param(ps, "v", TG_SHAPE(3, 3));
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(2, 3)), *other = tg_exp(t, x),
              *beside = tg_sin(t, v),
              *y = tg_tanh(t, tg_matmul(t, tg_matmul(t, x, w), tg_mul(t, beside, w))),
              *moved = tg_substitute(t, y, 1, &w, &v),
              *want = tg_tanh(t, tg_matmul(t, tg_matmul(t, x, v), tg_mul(t, beside, v)));
    cr_expect_neq(tg_item(t, tg_max(t, tg_abs(t, tg_sub(t, y, want)), TG_ALL_AXES, false)), 0);
    cr_expect_eq(tg_item(t, tg_max(t, tg_abs(t, tg_sub(t, moved, want)), TG_ALL_AXES, false)), 0);

    tg_tensor *from[] = {x, w}, *to[] = {other, v}, *both = tg_substitute(t, y, 2, from, to), *g[2],
              *h[2], *of[] = {x, v};
    want = tg_tanh(t, tg_matmul(t, tg_matmul(t, other, v), tg_mul(t, beside, v)));
    cr_expect_eq(item_of_sum(t, both), item_of_sum(t, want));
    tg_grad(t, tg_sum(t, both, TG_ALL_AXES, false), NULL, 2, of, g, false);
    tg_grad(t, tg_sum(t, want, TG_ALL_AXES, false), NULL, 2, of, h, false);
    for (int k = 0; k < 2; k++) cr_expect_eq(item_of_sum(t, g[k]), item_of_sum(t, h[k]));

    cr_expect_eq(tg_substitute(t, beside, 1, &x, &other), beside, "it does not depend on x");
    cr_expect_eq(tg_substitute(t, x, 1, &x, &other), other);
    cr_expect_eq(tg_substitute(t, y, 0, NULL, NULL), y);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(substitute, wrong_calls_name_the_line)
{
    tg_tape *t = tg_tape_new(NULL), *strange = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(2)), *y = tg_exp(t, x), *none = NULL,
              *longer = operand(t, TG_F64, TG_SHAPE(3)), *f32 = operand(t, TG_F32, TG_SHAPE(2)),
              *whole = operand(t, TG_I64, TG_SHAPE(2)),
              *away = operand(strange, TG_F64, TG_SHAPE(2));
#define FAILS(status, call)                          \
    do {                                             \
        cr_expect_null(call);                        \
        cr_expect_fails(t, status, __LINE__, #call); \
        tg_tape_clear_error(t);                      \
    } while (0)
    FAILS(TG_ESHAPE, tg_substitute(t, y, 1, &x, &longer));
    FAILS(TG_EDTYPE, tg_substitute(t, y, 1, &x, &f32));
    FAILS(TG_ETAPE, tg_substitute(t, y, 1, &x, &away));
    FAILS(TG_ENULL, tg_substitute(t, y, 1, &none, &x));
    FAILS(TG_ENULL, tg_substitute(t, y, 1, NULL, &x));
    FAILS(TG_ENULL, tg_substitute(t, NULL, 1, &x, &x));
    FAILS(TG_EVALUE, tg_substitute(t, y, -1, &x, &x));
    FAILS(TG_ENULL, tg_checkpoint(t, NULL, 1, &x));
    FAILS(TG_ENULL, tg_checkpoint(t, y, 1, NULL));
    FAILS(TG_ENULL, tg_checkpoint(t, y, 1, &none));
    FAILS(TG_ETAPE, tg_checkpoint(t, y, 1, &away));
    FAILS(TG_ETAPE, tg_checkpoint(t, away, 1, &x));
    FAILS(TG_EVALUE, tg_checkpoint(t, y, 0, &x));
    tg_tensor *g = NULL, *inside = tg_exp(t, x);
    cr_expect_eq(tg_grad(t,
                         tg_sum(t, tg_checkpoint(t, tg_sin(t, inside), 1, &x), TG_ALL_AXES, false),
                         NULL, 1, &inside, &g, false),
                 TG_ENOGRAD);
    tg_tape_clear_error(t);
    FAILS(TG_EDTYPE, tg_checkpoint(t, whole, 1, &x));
    cr_expect_null(tg_checkpoint(NULL, y, 1, &x));
    cr_expect_null(tg_substitute(NULL, y, 1, &x, &x));
    tg_tape_free(t);
    tg_tape_free(strange);
}

/* Some layers with activations and dropout, each of which may be a checkpoint. */
static tg_tensor *layers(tg_tape *t, tg_params *ps, tg_tensor *x, int n, bool checkpoints)
{
    for (int k = 0; k < n; k++) {
        tg_tensor *w = tg_params_get(ps, k), *y = x;
        for (int i = 0; i < 6; i++) y = tg_sin(t, tg_matmul(t, y, w));
        y = tg_add(t, x, tg_dropout(t, y, 0.25));
        x = checkpoints ? tg_checkpoint(t, y, 1, &x) : y;
    }
    return tg_mean(t, tg_square(t, x), TG_ALL_AXES, false);
}

static tg_params *weights(int n)
{
    tg_params *ps = tg_params_new(NULL);
    for (int k = 0; k < n; k++)
        param(ps, (char[]){'w', (char)('a' + k), 0}, TG_SHAPE(WIDTH, WIDTH));
    return ps;
}

Test(substitute, gradients_are_the_same_bits_in_less_memory)
{
    enum { LAYERS = 8 };
    uint64_t bytes[2];
    double loss[2], gradient[2][WIDTH * WIDTH];
    for (int with = 0; with < 2; with++) {
        tg_params *ps = weights(LAYERS);
        tg_tape *t = tg_tape_new(NULL);
        tg_tensor *y = layers(t, ps, operand(t, TG_F64, TG_SHAPE(ROWS, WIDTH)), LAYERS, with);
        cr_expect_eq(tg_backward(t, y), TG_OK, "%s", tg_tape_message(t));
        bytes[with] = tg_tape_plan_stats(t).slab_bytes;
        loss[with] = tg_item(t, y);
        memcpy(gradient[with], tg_param_grad(tg_params_get(ps, 2)), sizeof gradient[with]);
        tg_tape_free(t);
        tg_params_free(ps);
    }
    cr_expect_eq(loss[0], loss[1]);
    cr_expect_arr_eq(gradient[0], gradient[1], sizeof gradient[0]);
    cr_expect_lt(2 * bytes[1], bytes[0], "%.1f of %.1f MB", (double)bytes[1] / 1e6,
                 (double)bytes[0] / 1e6);
}

/* What is read beside x, once through something that x was made of. */
static tg_tensor *entangled(tg_tape *t, tg_tensor *const *x, int n, void *checkpoints)
{
    (void)n;
    const bool with = *(const bool *)checkpoints;
    tg_tensor *a = tg_sin(t, x[0]), *b = tg_mul(t, a, x[1]), *c = tg_exp(t, tg_mul(t, b, a)),
              *d = tg_mul(t, c, tg_add(t, tg_cos(t, x[1]), a)), *ends[] = {b, b};
    tg_tensor *inner = with ? tg_checkpoint(t, c, 1, &b) : c;
    d = tg_mul(t, inner, tg_add(t, d, tg_mul(t, x[0], inner)));
    d = with ? tg_checkpoint(t, d, 2, ends) : d;
    d = tg_add(t, tg_mul(t, d, a), tg_square(t, inner));
    return with ? tg_checkpoint(t, d, 2, x) : d;
}

Test(substitute, what_is_read_beside_gets_its_gradient_once)
{
    const double at[] = {0.3, -0.7, 0.9, 0.4};
    const bool no = false, yes = true;
    const tg_check_input in[] = {{.shape = TG_SHAPE(2), .data = at},
                                 {.shape = TG_SHAPE(2), .data = at + 2}};
    tg_gradcheck_report r;
    tg_gradcheck(entangled, 2, in, NULL, (void *)(uintptr_t)&yes, NULL, &r);
    cr_expect_eq(r.status, TG_OK, "%s", r.message);

    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x[] = {tg_input(t, TG_F64, TG_SHAPE(2), at),
                      tg_input(t, TG_F64, TG_SHAPE(2), at + 2)},
              *y[] = {entangled(t, x, 2, (void *)(uintptr_t)&no),
                      entangled(t, x, 2, (void *)(uintptr_t)&yes)};
    for (int order = 0; order < 4; order++) {
        cr_expect_float_eq(item_of_sum(t, y[0]), item_of_sum(t, y[1]),
                           1e-13 * fabs(item_of_sum(t, y[0])), "order %d", order);
        for (int k = 0; k < 2; k++)
            tg_grad(t, tg_sum(t, y[k], TG_ALL_AXES, false), NULL, 1, &x[order % 2], &y[k], false);
    }
    tg_tensor *j[2];
    for (int k = 0; k < 2; k++)
        j[k] = tg_jvp(t, entangled(t, x, 2, (void *)(uintptr_t)(k ? &yes : &no)), 2, x, x);
    cr_expect_float_eq(item_of_sum(t, j[0]), item_of_sum(t, j[1]), 1e-14);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_tape_free(t);
}

Test(substitute, a_checkpoint_is_found_again_and_the_same_node_by_node)
{
    double want = 0;
    for (int careful = 0; careful < 2; careful++) {
        tg_params *ps = weights(2);
        tg_tape *t = tg_tape_new(
            &(tg_tape_options){.size = sizeof(tg_tape_options), .node_by_node = careful == 1});
        for (int step = 0; step < 3; step++) {
            tg_tape_set_step(t, 1);
            tg_tensor *y = layers(t, ps, operand(t, TG_F64, TG_SHAPE(4, WIDTH)), 2, true);
            cr_expect_eq(tg_backward(t, y), TG_OK, "%s", tg_tape_message(t));
            const double first = *(const double *)tg_param_grad(tg_params_get(ps, 0));
            if (!careful && !step) want = first;
            cr_expect_eq(first, want);
            tg_params_drop_grads(ps);
            if (!careful) cr_expect_eq(tg_tape_plan_stats(t).misses, 1, "found again");
            tg_tape_reset(t);
        }
        tg_tape_free(t);
        tg_params_free(ps);
    }
}
