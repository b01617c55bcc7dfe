/* A neural ordinary differential equation (Chen et al. 2018) learns the law of motion of a spiral
 * from where a point was: the net is the velocity, Runge and Kutta's method takes the steps, and
 * the gradient goes through all of them.
 *     cc -O2 models/examples/neural_ode.c $(pkg-config --cflags --libs tapegrad) -lm
 * ./a.out short: a quarter of the work. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { TIMES = 200, AHEAD = 10, BATCH = 32, WIDTH = 32 };
static const double h = 0.05; /* between times */

typedef struct net {
    tg_linear_layer in, out;
} net;

/* The velocity at x [n, 2]; cubes make spirals easy to learn. */
static tg_tensor *velocity(tg_tape *t, const net *m, tg_tensor *x)
{
    tg_tensor *cubes = tg_mul(t, tg_square(t, x), x);
    return tg_linear_layer_apply(t, &m->out, tg_tanh(t, tg_linear_layer_apply(t, &m->in, cubes)));
}

static tg_tensor *ahead(tg_tape *t, const net *m, tg_tensor *x)
{
    tg_tensor *k1 = velocity(t, m, x);
    tg_tensor *k2 = velocity(t, m, tg_add(t, x, tg_scale(t, k1, h / 2)));
    tg_tensor *k3 = velocity(t, m, tg_add(t, x, tg_scale(t, k2, h / 2)));
    tg_tensor *k4 = velocity(t, m, tg_add(t, x, tg_scale(t, k3, h)));
    tg_tensor *sum = tg_add(t, tg_add(t, k1, k4), tg_scale(t, tg_add(t, k2, k3), 2));
    return tg_add(t, x, tg_scale(t, sum, h / 6));
}

/* What really happens: x' = -0.1 x^3 + 2 y^3, y' = -2 x^3 - 0.1 y^3, in steps of 1 / 1000 */
static void move(double p[2])
{
    for (int k = 0; k < 50; k++) {
        const double x = p[0] * p[0] * p[0], y = p[1] * p[1] * p[1];
        p[0] += h / 50 * (-0.1 * x + 2 * y);
        p[1] += h / 50 * (-2 * x - 0.1 * y);
    }
}

int main(int n, char **word)
{
    const int steps = n > 1 && !strcmp(word[1], "short") ? 250 : 1000;
    static float path[TIMES + AHEAD][2];
    double p[2] = {2, 0};
    for (int k = 0; k < TIMES + AHEAD; k++, move(p))
        path[k][0] = (float)p[0], path[k][1] = (float)p[1];

    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const net m = {tg_linear_layer_new(tg_scope_in(s, "in"), 2, WIDTH, true),
                   tg_linear_layer_new(tg_scope_in(s, "out"), WIDTH, 2, true)};
    const tg_adam_options options = {.size = sizeof options, .learning_rate = 0.01};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 1; step <= steps; step++) {
        float at[BATCH][2], later[AHEAD][BATCH][2];
        for (int k = 0; k < BATCH; k++) {
            const int first = (step * 37 + k * 61) % TIMES;
            memcpy(at[k], path[first], sizeof at[k]);
            for (int i = 0; i < AHEAD; i++) memcpy(later[i][k], path[first + 1 + i], sizeof at[k]);
        }
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(BATCH, 2), at), *seen[AHEAD];
        for (int i = 0; i < AHEAD; i++) seen[i] = x = ahead(t, &m, x);
        tg_tensor *wanted = tg_input(t, TG_F32, TG_SHAPE(AHEAD, BATCH, 2), later);
        tg_tensor *loss = tg_l1_loss(t, tg_stack(t, AHEAD, seen, 0), wanted, TG_REDUCE_MEAN);
        tg_backward(t, loss);
        tg_optim_set_learning_rate(adam, 0.01 * tg_schedule_cosine(step, steps, 0.02));
        tg_optim_step(adam);
        if (step % (steps / 5) == 0)
            printf("step %4d: off by %.4f within %d times\n", step, tg_item(t, loss), AHEAD);
        tg_tape_reset(t);
    }

    /* The whole path from its beginning, of which the net is told the first point alone. */
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(1, 2), path[0]);
    double off = 0;
    for (int k = 0; k < TIMES; k++) {
        const float *now = tg_data(t, x);
        if (!now) break;
        const double d = hypot((double)(now[0] - path[k][0]), (double)(now[1] - path[k][1]));
        off += d / TIMES;
        if (k % 50 == 0)
            printf("time %4.1f: at (%5.2f, %5.2f), really (%5.2f, %5.2f)\n", k * h, (double)now[0],
                   (double)now[1], (double)path[k][0], (double)path[k][1]);
        x = ahead(t, &m, x);
    }
    printf("off by %.3f on the whole path\n", off);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return off < (steps == 250 ? 1.0 : 0.15) ? 0 : 1;
}

/* It prints
 *     step  200: off by 0.0315 within 10 times
 *     step  400: off by 0.0166 within 10 times
 *     step  600: off by 0.0139 within 10 times
 *     step  800: off by 0.0112 within 10 times
 *     step 1000: off by 0.0109 within 10 times
 *     time  0.0: at ( 2.00,  0.00), really ( 2.00,  0.00)
 *     time  2.5: at (-1.19,  0.62), really (-1.18,  0.62)
 *     time  5.0: at (-0.57, -0.91), really (-0.56, -0.91)
 *     time  7.5: at ( 0.50,  0.76), really ( 0.50,  0.76)
 *     off by 0.056 on the whole path
 */
