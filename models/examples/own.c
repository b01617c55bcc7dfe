/* What the library does not have: an op, a layer and an optimizer of one's own, in one net.
 *     cc -O2 models/examples/own.c $(pkg-config --cflags --libs tapegrad) -lm && ./a.out */
#include <math.h>
#include <stdio.h>

#include <tapegrad.h>

/* An op: squareplus (Barron 2021), y = (x + sqrt(x^2 + b)) / 2, with a learnt b. The value is an
 * expression in C, the derivatives are ops: dy/dx = y / r, dy/db = 1 / (4 r), r = 2 y - x. */
TG_MAP_2(squareplus_span, (a + (T)sqrt((double)(a * a + b))) / 2)

static void squareplus_vjp(TG_VJP)
{
    tg_tensor *per_root = tg_div(t, gy, tg_sub(t, tg_scale(t, y, 2), x[0]));
    gx[0] = tg_mul(t, per_root, y);
    gx[1] = tg_scale(t, per_root, 0.25);
}

static const tg_op squareplus = {.size = sizeof(tg_op),
                                 .name = "squareplus",
                                 .n_in = 2,
                                 .span = &squareplus_span,
                                 .vjp = squareplus_vjp};

/* A layer: parameters made in a scope, and a function that records. A gate chooses, element by
 * element, between the input and what is made of it (Srivastava, Greff and Schmidhuber 2015). */
typedef struct highway {
    tg_linear_layer made, gate;
    tg_tensor *b; /* of squareplus */
} highway;

static highway highway_new(tg_scope s, int64_t width)
{
    return (highway){tg_linear_layer_new(tg_scope_in(s, "made"), width, width, true),
                     tg_linear_layer_new(tg_scope_in(s, "gate"), width, width, true),
                     tg_scope_param(s, "b", TG_SHAPE(width), (tg_init){.kind = TG_ONES})};
}

static tg_tensor *highway_apply(tg_tape *t, const highway *m, tg_tensor *x)
{
    tg_tensor *in[] = {tg_linear_layer_apply(t, &m->made, x), m->b};
    tg_tensor *made = tg_apply(t, &squareplus, 2, in, 0, NULL);
    return tg_lerp(t, x, made, tg_sigmoid(t, tg_linear_layer_apply(t, &m->gate, x)));
}

/* An optimizer: steps of one size against the sign of the mean gradient. */
static void sign_prepare(const void *options, double learning_rate, int64_t step, double *c)
{
    (void)options, (void)step;
    c[0] = learning_rate;
}

static void sign_update(const tg_update *u)
{
    float *p = u->value, *mean = u->slot[0];
    const float *g = u->grad, rate = (float)u->c[0];
    for (int64_t i = 0; i < u->n; i++) {
        mean[i] = 0.9F * mean[i] + 0.1F * g[i];
        p[i] -= copysignf(rate, mean[i]);
    }
}

static const tg_optim_rule sign = {.size = sizeof(tg_optim_rule),
                                   .name = "sign",
                                   .n_slots = 1,
                                   .slot = {"mean"},
                                   .prepare = sign_prepare,
                                   .update = {[TG_F32] = {sign_update}}};

static tg_tensor *checked(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)user;
    return tg_apply(t, &squareplus, n, x, 0, NULL);
}

int main(void)
{
    const double x_at[] = {-2, -0.1, 0.3, 4}, b_at[] = {1, 0.2, 2, 0.5};
    tg_gradcheck_report r;
    tg_gradcheck(checked, 2,
                 (const tg_check_input[]){{.shape = TG_SHAPE(4), .data = x_at},
                                          {.shape = TG_SHAPE(4), .data = b_at}},
                 NULL, NULL, NULL, &r);
    printf("squareplus: %s\n", tg_status_name(r.status));
    tg_params *ps = tg_params_new(NULL);
    const tg_scope root = tg_scope_root(ps);
    const tg_linear_layer in = tg_linear_layer_new(tg_scope_in(root, "in"), 2, 16, true),
                          out = tg_linear_layer_new(tg_scope_in(root, "out"), 16, 1, true);
    const highway middle[2] = {highway_new(tg_scope_at(root, "highway", 0), 16),
                               highway_new(tg_scope_at(root, "highway", 1), 16)};
    tg_optim *o = tg_optim_new(ps, &sign, 3e-3, NULL);
    tg_tape *t = tg_tape_new(NULL);
    double loss = 0;
    for (int step = 0; step <= 600; step++) { /* is a point within a ring? */
        tg_tensor *x = tg_offset(t, tg_scale(t, tg_rand(t, TG_F32, TG_SHAPE(128, 2)), 2), -1);
        tg_tensor *far = tg_norm(t, x, 2, TG_AXES(1), true);
        tg_tensor *off = tg_abs(t, tg_offset(t, far, -0.6));
        tg_tensor *y = tg_cast(t, tg_less(t, off, tg_constant(t, TG_F32, 0.2)), TG_F32);
        tg_tensor *h = tg_linear_layer_apply(t, &in, x);
        for (int k = 0; k < 2; k++) h = highway_apply(t, &middle[k], h);
        tg_tensor *l = tg_bce_with_logits(t, tg_linear_layer_apply(t, &out, h), y);
        tg_backward(t, l);
        tg_optim_set_learning_rate(o, 3e-3 * tg_schedule_cosine(step, 600, 0.01));
        tg_optim_step(o);
        loss = step ? 0.95 * loss + 0.05 * tg_item(t, l) : tg_item(t, l);
        if (step % 200 == 0) printf("step %3d: loss %.3f\n", step, loss);
        tg_tape_reset(t);
    }
    printf("%s%s", tg_tape_message(t), tg_optim_message(o));
    tg_tape_free(t), tg_optim_free(o), tg_params_free(ps);
    return r.status == TG_OK && loss < 0.25 ? 0 : 1;
}

/* It prints
 *     squareplus: TG_OK
 *     step   0: loss 0.730
 *     step 200: loss 0.465
 *     step 400: loss 0.173
 *     step 600: loss 0.115
 */
