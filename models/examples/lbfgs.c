/* L-BFGS, for smooth problems seen as a whole: Rosenbrock's valley, and logistic regression on 569
 * tumours, with a penalty.
 *     cc -O2 models/examples/lbfgs.c $(pkg-config --cflags --libs tapegrad) -lm && ./a.out */
#include <math.h>
#include <stdio.h>

#include <tapegrad.h>

typedef struct problem {
    tg_tape *t;
    tg_tensor *w;
    tg_tensor *(*record)(tg_tape *t, const struct problem *p);
    const tg_dataset *data;
    const float *x, *y;
    int calls; /* of loss */
} problem;

/* sum of 100 (b - a^2)^2 + (1 - a)^2 over neighbours a, b: 0 where all are 1 */
static tg_tensor *valley(tg_tape *t, const problem *p)
{
    tg_tensor *a = tg_slice(t, p->w, 0, 0, -1, 1), *b = tg_slice(t, p->w, 0, 1, TG_END, 1);
    tg_tensor *off = tg_scale(t, tg_square(t, tg_sub(t, b, tg_square(t, a))), 100);
    return tg_sum_all(t, tg_add(t, off, tg_square(t, tg_offset(t, a, -1))));
}

static tg_tensor *regression(tg_tape *t, const problem *p)
{
    const int64_t rows = tg_dataset_rows(p->data), features = tg_dataset_features(p->data);
    tg_tensor *x = tg_input_borrow(t, TG_F32, TG_SHAPE(rows, features), p->x);
    tg_tensor *y = tg_input_borrow(t, TG_F32, TG_SHAPE(rows, 1), p->y);
    tg_tensor *weights = tg_slice(t, p->w, 1, 0, features, 1),
              *bias = tg_slice(t, p->w, 1, features, TG_END, 1);
    tg_tensor *z = tg_add(t, tg_linear(t, x, weights, NULL), bias);
    tg_tensor *penalty = tg_scale(t, tg_sum_all(t, tg_square(t, weights)), 1e-3);
    return tg_add(t, tg_bce_with_logits(t, z, y), penalty);
}

/* What L-BFGS asks for, several times a step: the loss here, and its gradient */
static double loss(void *user)
{
    problem *p = user;
    tg_tensor *l = p->record(p->t, p);
    tg_backward(p->t, l);
    const double value = tg_item(p->t, l);
    tg_tape_reset(p->t);
    p->calls++;
    return value;
}

/* Steps until the loss no longer changes. */
static double minimise(problem *p, tg_params *ps)
{
    tg_lbfgs *l = tg_lbfgs_new(ps, NULL);
    double before = INFINITY, now = 0;
    for (int step = 1; step <= 50 && before - now > 1e-12; step++) {
        before = step == 1 ? INFINITY : now;
        tg_lbfgs_step(l, loss, p);
        now = tg_lbfgs_loss(l);
    }
    if (tg_lbfgs_status(l) != TG_OK) fprintf(stderr, "%s\n", tg_lbfgs_message(l));
    tg_lbfgs_free(l);
    return now;
}

int main(void)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_params *ps = tg_params_new(NULL);
    problem p = {.t = t, .record = valley};
    p.w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(100), (tg_init){TG_CONSTANT, -1, 0});
    const double floor = minimise(&p, ps);
    const double *w = tg_param_data(p.w);
    printf("Rosenbrock's valley, 100 numbers: %d calls, down to %.6f, w[0] %.6f, w[99] %.6f\n",
           p.calls, floor, w[0], w[99]);
    tg_params_free(ps);

    tg_dataset *data = tg_dataset_new(NULL);
    tg_dataset_read_csv(data, "models/samples/breast_cancer.csv", NULL);
    const int64_t rows = tg_dataset_rows(data), features = tg_dataset_features(data);
    static float x[600 * 30], y[600];
    if (tg_dataset_status(data) != TG_OK || rows > 600 || features > 30)
        return fprintf(stderr, "other data: %s\n", tg_dataset_message(data)), 1;
    tg_scaler *scaler = tg_scaler_new(TG_SCALING_STANDARD, features, NULL);
    tg_scaler_learn_dataset(scaler, data);
    tg_scaler_apply(scaler, rows, TG_F32, tg_dataset_x(data), TG_F32, x);
    for (int64_t k = 0; k < rows; k++) y[k] = (float)tg_dataset_class_numbers(data)[k];
    ps = tg_params_new(NULL);
    p = (problem){.t = t, .record = regression, .data = data, .x = x, .y = y};
    p.w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(1, features + 1), (tg_init){.kind = TG_ZEROS});
    const double fit = minimise(&p, ps);
    printf("569 tumours: %d calls, loss with penalty %.5f\n", p.calls, fit);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_scaler_free(scaler), tg_dataset_free(data), tg_params_free(ps), tg_tape_free(t);
    return floor < 1e-6 && fit < 0.1 ? 0 : 1;
}

/* It prints
 *     Rosenbrock's valley, 100 numbers: 575 calls, down to 0.000000, w[0] 1.000000, w[99] 1.000001
 *     569 tumours: 45 calls, loss with penalty 0.06808
 */
