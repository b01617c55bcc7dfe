/* Learning to learn (MAML, Finn, Abbeel and Levine 2017): initial weights from which five steps on
 * ten points are enough to know a sine wave. The outer gradient goes through the five inner steps,
 * whose gradients are tensors like any other.
 *     cc -O2 models/examples/maml.c $(pkg-config --cflags --libs tapegrad) -lm
 * ./a.out short: a tenth of the work. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { TASKS = 16, POINTS = 10, WIDTH = 32, WEIGHTS = 6, INNER = 5 };
static const double inner_rate = 0.02;

/* TASKS nets side by side: x [TASKS, POINTS, 1], each weight with an axis of tasks in front */
static tg_tensor *net(tg_tape *t, tg_tensor *const *w, tg_tensor *x)
{
    tg_tensor *h = tg_tanh(t, tg_add(t, tg_matmul(t, x, w[0]), w[1]));
    h = tg_tanh(t, tg_add(t, tg_matmul(t, h, w[2]), w[3]));
    return tg_add(t, tg_matmul(t, h, w[4]), w[5]);
}

/* The mean squared error of each task, added up */
static tg_tensor *error(tg_tape *t, tg_tensor *const *w, tg_tensor *x, tg_tensor *y)
{
    return tg_scale(t, tg_mse_loss(t, net(t, w, x), y, TG_REDUCE_SUM), 1.0 / POINTS);
}

/* Waves of tasks of their own: amplitude .1 to 5, phase 0 to pi, at x in -5..5 */
typedef struct waves {
    tg_tensor *amplitude, *phase;
} waves;

static waves draw(tg_tape *t)
{
    tg_tensor *a = tg_rand(t, TG_F32, TG_SHAPE(TASKS, 1, 1));
    tg_tensor *p = tg_rand(t, TG_F32, TG_SHAPE(TASKS, 1, 1));
    return (waves){tg_offset(t, tg_scale(t, a, 4.9), 0.1), tg_scale(t, p, 3.14159265)};
}

static tg_tensor *points(tg_tape *t, const waves *w, tg_tensor **y)
{
    tg_tensor *x = tg_rand(t, TG_F32, TG_SHAPE(TASKS, POINTS, 1));
    x = tg_offset(t, tg_scale(t, x, 10), -5);
    *y = tg_mul(t, w->amplitude, tg_sin(t, tg_sub(t, x, w->phase)));
    return x;
}

/* The mean error at new points after `steps` inner steps on others */
static tg_tensor *after(tg_tape *t, tg_tensor *const *initial, int steps)
{
    const waves task = draw(t);
    tg_tensor *y, *x = points(t, &task, &y), *new_y, *new_x = points(t, &task, &new_y);
    tg_tensor *w[WEIGHTS], *g[WEIGHTS];
    for (int k = 0; k < WEIGHTS; k++) { /* each task starts from the same weights */
        const tg_shape s = tg_tensor_shape(initial[k]);
        w[k] = tg_expand(t, initial[k], TG_SHAPE(TASKS, s.dim[1], s.dim[2]));
    }
    for (int step = 0; step < steps; step++) {
        tg_grad(t, error(t, w, x, y), NULL, WEIGHTS, w, g, false);
        for (int k = 0; k < WEIGHTS; k++) w[k] = tg_sub(t, w[k], tg_scale(t, g[k], inner_rate));
    }
    return tg_scale(t, error(t, w, new_x, new_y), 1.0 / TASKS);
}

/* The same, over 20 draws of tasks */
static double score(tg_tape *t, tg_tensor *const *w, int steps)
{
    double sum = 0;
    for (int k = 0; k < 20; k++) {
        sum += tg_item(t, after(t, w, steps)) / 20;
        tg_tape_reset(t);
    }
    return sum;
}

int main(int n, char **word)
{
    const int rounds = n > 1 && !strcmp(word[1], "short") ? 300 : 3000;
    tg_params *ps = tg_params_new(NULL);
    const int64_t size[WEIGHTS][2] = {{1, WIDTH}, {1, WIDTH}, {WIDTH, WIDTH},
                                      {1, WIDTH}, {WIDTH, 1}, {1, 1}};
    tg_tensor *w[WEIGHTS];
    for (int k = 0; k < WEIGHTS; k++) {
        const tg_init init = {.kind = k % 2 ? TG_ZEROS : TG_NORMAL, .b = k ? 0.2 : 1};
        w[k] = tg_param_new(ps, (const char *[]){"w1", "b1", "w2", "b2", "w3", "b3"}[k], TG_F32,
                            TG_SHAPE(1, size[k][0], size[k][1]), init);
    }
    tg_optim *adam = tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options)});
    tg_tape *t = tg_tape_new(NULL);
    const double before = score(t, w, 0), then = score(t, w, INNER);
    printf("at random: error %.2f, after five steps %.2f\n", before, then);
    for (int round = 0; round < rounds; round++) {
        tg_backward(t, after(t, w, INNER));
        tg_clip_grad_norm(ps, 10);
        tg_optim_step(adam);
        tg_tape_reset(t);
    }
    const double start = score(t, w, 0), end = score(t, w, INNER);
    printf("learnt to learn: error %.2f, after five steps %.2f\n", start, end);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return end < (rounds == 300 ? 3 : 1) ? 0 : 1;
}

/* It prints
 *     at random: error 4.16, after five steps 4.52
 *     learnt to learn: error 3.41, after five steps 0.41
 */
