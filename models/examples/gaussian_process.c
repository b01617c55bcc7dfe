/* A Gaussian process finds its length scale, amplitude and noise by the marginal likelihood, by
 * gradients through a Cholesky factor; then it predicts, with error bars.
 *     cc -O2 models/examples/gaussian_process.c $(pkg-config --cflags --libs tapegrad) -lm
 *     ./a.out */
#include <math.h>
#include <stdio.h>

#include <tapegrad.h>

enum { POINTS = 40, ASKED = 7, STEPS = 300 };

/* Logarithms of the length scale, of the amplitude and of the noise's deviation */
typedef struct process {
    tg_tensor *length, *amplitude, *noise;
} process;

/* amplitude^2 exp(-(a - b)^2 / (2 length^2)): a [n], b [m] -> [n, m] */
static tg_tensor *kernel(tg_tape *t, const process *p, tg_tensor *a, tg_tensor *b)
{
    tg_tensor *d = tg_sub(t, tg_unsqueeze(t, a, 1), tg_unsqueeze(t, b, 0));
    d = tg_square(t, tg_div(t, d, tg_exp(t, p->length)));
    return tg_exp(t, tg_add(t, tg_scale(t, d, -0.5), tg_scale(t, p->amplitude, 2)));
}

/* The Cholesky factor of the observations' covariance */
static tg_tensor *factor(tg_tape *t, const process *p, tg_tensor *x)
{
    tg_tensor *noise = tg_exp(t, tg_scale(t, p->noise, 2));
    tg_tensor *k = kernel(t, p, x, x);
    return tg_cholesky(t, tg_add(t, k, tg_mul(t, tg_eye(t, TG_F64, POINTS), noise)));
}

/* -ln p(y) = |L^-1 y|^2 / 2 + sum ln diag L + n ln(2 pi) / 2 */
static tg_tensor *loss(tg_tape *t, const process *p, tg_tensor *x, tg_tensor *y)
{
    tg_tensor *l = factor(t, p, x);
    tg_tensor *fit =
        tg_scale(t, tg_sum_all(t, tg_square(t, tg_solve_triangular(t, l, y, false))), 0.5);
    tg_tensor *volume = tg_sum_all(t, tg_log(t, tg_diagonal(t, l, 0)));
    return tg_offset(t, tg_add(t, fit, volume), 0.9189385332046727 * POINTS);
}

static double truth(double x) { return sin(x) + 0.3 * sin(3 * x); }

int main(void)
{
    tg_tape *t = tg_tape_new(NULL);
    const double *noise = tg_data(t, tg_randn(t, TG_F64, TG_SHAPE(POINTS)));
    double px[POINTS], py[POINTS], asked[ASKED];
    for (int i = 0; i < POINTS; i++) {
        px[i] = 6.0 * i / (POINTS - 1) + (i > POINTS / 2); /* a gap in the middle */
        py[i] = truth(px[i]) + 0.1 * (noise ? noise[i] : 0);
    }
    for (int k = 0; k < ASKED; k++) asked[k] = k * 1.5;
    tg_tape_reset(t);

    tg_params *ps = tg_params_new(NULL);
    const tg_init zero = {.kind = TG_ZEROS};
    const process p = {tg_param_new(ps, "length", TG_F64, TG_SCALAR, zero),
                       tg_param_new(ps, "amplitude", TG_F64, TG_SCALAR, zero),
                       tg_param_new(ps, "noise", TG_F64, TG_SCALAR, zero)};
    tg_optim *adam =
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 0.05});
    double likelihood = 0;
    for (int step = 0; step <= STEPS; step++) {
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(POINTS), px);
        tg_tensor *l = loss(t, &p, x, tg_input(t, TG_F64, TG_SHAPE(POINTS), py));
        tg_backward(t, l);
        tg_optim_step(adam);
        likelihood = -tg_item(t, l);
        tg_tape_reset(t);
        if (step % 100 == 0) printf("step %3d: log likelihood %7.3f\n", step, likelihood);
    }

    tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(POINTS), px);
    tg_tensor *y = tg_input(t, TG_F64, TG_SHAPE(POINTS), py);
    tg_tensor *at = tg_input(t, TG_F64, TG_SHAPE(ASKED), asked), *l = factor(t, &p, x);
    tg_tensor *across = tg_solve_triangular(t, l, kernel(t, &p, x, at), false);
    tg_tensor *mean = tg_matmul(t, tg_solve_triangular(t, l, y, false), across);
    tg_tensor *own = tg_diagonal(t, kernel(t, &p, at, at), 0);
    tg_tensor *known = tg_sum(t, tg_square(t, across), TG_AXES(0), false);
    tg_tensor *deviation = tg_sqrt(t, tg_sub(t, own, known));
    printf("length %.3f, amplitude %.3f, noise %.3f\n", tg_item(t, tg_exp(t, p.length)),
           tg_item(t, tg_exp(t, p.amplitude)), tg_item(t, tg_exp(t, p.noise)));
    const double *m = tg_data(t, mean), *d = tg_data(t, deviation);
    for (int k = 0; m && d && k < ASKED; k++)
        printf("f(%.1f) = %6.3f +- %.3f, really %6.3f\n", asked[k], m[k], 2 * d[k],
               truth(asked[k]));
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return likelihood > 10 ? 0 : 1;
}

/* It prints
 *     step   0: log likelihood -44.255
 *     step 100: log likelihood  13.985
 *     step 200: log likelihood  13.994
 *     step 300: log likelihood  13.994
 *     length 0.807, amplitude 0.758, noise 0.092
 *     f(0.0) =  0.060 +- 0.147, really  0.000
 *     f(1.5) =  0.707 +- 0.087, really  0.704
 *     f(3.0) =  0.283 +- 0.115, really  0.265
 *     f(4.5) = -0.705 +- 0.091, really -0.736
 *     f(6.0) = -0.584 +- 0.088, really -0.505
 *     f(7.5) =  0.678 +- 0.612, really  0.792
 *     f(9.0) =  0.003 +- 1.509, really  0.699
 */
