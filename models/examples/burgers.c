/* A physics-informed net (Raissi, Perdikaris and Karniadakis 2019) solves Burgers' equation
 *     u_t + u u_x = v u_xx,  u(0, x) = -sin(pi x),  u(t, -1) = u(t, 1) = 0,  v = 0.1 / pi
 * without data: its loss is how far it is from solving it, with first and second derivatives by
 * gradients of gradients. The exact solution (Cole and Hopf) says how good it is.
 *     cc -O2 models/examples/burgers.c $(pkg-config --cflags --libs tapegrad) -lm
 * ./a.out short: a tenth of the work. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { INSIDE = 512, EDGE = 64, LAYERS = 4, WIDTH = 24 };
static const double pi = 3.14159265358979, viscosity = 0.1 / 3.14159265358979;

/* [n, 1] times and places -> [n, 1]; u = -sin(pi x) + t (1 - x^2) net holds where u is given. */
static tg_tensor *solution(tg_tape *t, const tg_linear_layer *net, tg_tensor *time, tg_tensor *x)
{
    tg_tensor *h = tg_concat(t, 2, ((tg_tensor *[]){time, x}), 1);
    for (int k = 0; k < LAYERS; k++) {
        h = tg_linear_layer_apply(t, &net[k], h);
        if (k < LAYERS - 1) h = tg_tanh(t, h);
    }
    tg_tensor *inside = tg_offset(t, tg_neg(t, tg_square(t, x)), 1);
    return tg_sub(t, tg_mul(t, tg_mul(t, time, inside), h), tg_sin(t, tg_scale(t, x, pi)));
}

/* The mean square of what is left of the equation, at points drawn anew at each step */
static tg_tensor *residual(tg_tape *t, const tg_linear_layer *net)
{
    tg_tensor *time = tg_rand(t, TG_F32, TG_SHAPE(INSIDE, 1));
    tg_tensor *x = tg_offset(t, tg_scale(t, tg_rand(t, TG_F32, TG_SHAPE(INSIDE, 1)), 2), -1);
    tg_tensor *u = solution(t, net, time, x), *by[] = {time, x}, *first[2], *second;
    /* A row of u depends on its own inputs alone: the gradient of the sum is each row's. */
    tg_grad(t, tg_sum_all(t, u), NULL, 2, by, first, false);
    tg_grad(t, tg_sum_all(t, first[1]), NULL, 1, &x, &second, false);
    tg_tensor *left = tg_add(t, first[0], tg_mul(t, u, first[1]));
    return tg_mean_all(t, tg_square(t, tg_sub(t, left, tg_scale(t, second, viscosity))));
}

/* Cole's and Hopf's solution, by the trapezoidal rule over the heat kernel */
static double exact(double time, double x)
{
    double above = 0, below = 0;
    for (int k = -400; k <= 400; k++) {
        const double z = k * 0.02, y = x - z * sqrt(4 * viscosity * time);
        const double weight = exp(-cos(pi * y) / (2 * pi * viscosity) - z * z);
        above -= sin(pi * y) * weight;
        below += weight;
    }
    return above / below;
}

int main(int n, char **word)
{
    const int steps = n > 1 && !strcmp(word[1], "short") ? 300 : 3000;
    tg_params *ps = tg_params_new(NULL);
    tg_linear_layer net[LAYERS];
    for (int k = 0; k < LAYERS; k++)
        net[k] = tg_linear_layer_new(tg_scope_at(tg_scope_root(ps), "layer", k), k ? WIDTH : 2,
                                     k < LAYERS - 1 ? WIDTH : 1, true);
    const tg_adam_options options = {.size = sizeof options, .learning_rate = 5e-3};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 1; step <= steps; step++) {
        tg_tensor *loss = residual(t, net);
        tg_backward(t, loss);
        tg_optim_set_learning_rate(adam, 5e-3 * tg_schedule_cosine(step, steps, 0.01));
        tg_optim_step(adam);
        if (step % (steps / 5) == 0) printf("step %4d: residual %.1e\n", step, tg_item(t, loss));
        tg_tape_reset(t);
    }

    float time[EDGE], x[EDGE];
    for (int k = 0; k < EDGE; k++) {
        time[k] = 0.25F * (float)(1 + k / (EDGE / 4));
        x[k] = -0.9F + 1.8F * (float)(k % (EDGE / 4)) / (EDGE / 4 - 1);
    }
    const float *u = tg_data(t, solution(t, net, tg_input(t, TG_F32, TG_SHAPE(EDGE, 1), time),
                                         tg_input(t, TG_F32, TG_SHAPE(EDGE, 1), x)));
    double off = 0, all = 0;
    for (int k = 0; u && k < EDGE; k++) {
        const double wanted = exact((double)time[k], (double)x[k]);
        off += ((double)u[k] - wanted) * ((double)u[k] - wanted);
        all += wanted * wanted;
    }
    const double error = sqrt(off / all);
    printf("off by %.1e of the solution\n", error);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return error < (steps == 300 ? 0.5 : 0.03) ? 0 : 1;
}

/* It prints
 *     step  600: residual 8.3e-03
 *     step 1200: residual 3.4e-03
 *     step 1800: residual 1.8e-03
 *     step 2400: residual 1.6e-03
 *     step 3000: residual 1.7e-03
 *     off by 6.7e-03 of the solution
 */
