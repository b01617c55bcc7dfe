/* Differentiating through a solver of one's own without recording its steps. Kepler's equation,
 * M = E - e sin E, is solved for E by Newton's method in plain C; the implicit function theorem
 * gives the derivative as ops, so it can be taken any number of times. With it the eccentricity
 * of an orbit is found from where a planet was seen.
 *     cc -O2 models/examples/implicit.c $(pkg-config --cflags --libs tapegrad) -lm && ./a.out */
#include <math.h>
#include <stdio.h>

#include <tapegrad.h>

/* E for each mean anomaly x[0] and the eccentricity x[1], of the same shape. */
static void kepler_kernel(const tg_call *c)
{
    const double *mean = c->x[0].data, *e = c->x[1].data;
    double *y = c->y->data;
    for (int64_t k = 0; k < tg_shape_count(c->y->shape); k++) {
        y[k] = mean[k];
        for (int step = 0; step < 50; step++) {
            const double off = y[k] - e[k] * sin(y[k]) - mean[k];
            y[k] -= off / (1 - e[k] * cos(y[k]));
            if (fabs(off) < 1e-15) break;
        }
    }
}

static bool kepler_rule(tg_rule *r)
{
    if (r->x[0].dtype != TG_F64 || r->x[1].dtype != TG_F64)
        return tg_rule_fail(r, TG_EDTYPE, "f64 wanted");
    if (!tg_shape_equal(r->x[0].shape, r->x[1].shape))
        return tg_rule_fail(r, TG_ESHAPE, "shapes differ");
    r->y = r->x[0];
    return true;
}

/* By the equation, not the solver: dE/dM = 1 / (1 - e cos E), dE/de = sin E / (1 - e cos E). */
static void kepler_vjp(TG_VJP)
{
    tg_tensor *slope = tg_sub(t, tg_constant_like(t, y, 1), tg_mul(t, x[1], tg_cos(t, y)));
    gx[0] = tg_div(t, gy, slope);
    gx[1] = tg_mul(t, gx[0], tg_sin(t, y));
}

static const tg_op kepler = {.size = sizeof(tg_op),
                             .name = "kepler",
                             .n_in = 2,
                             .rule = kepler_rule,
                             .kernel = kepler_kernel,
                             .vjp = kepler_vjp};

static tg_tensor *anomaly(tg_tape *t, tg_tensor *mean, tg_tensor *e)
{
    tg_tensor *in[] = {mean, tg_expand(t, e, tg_tensor_shape(mean))};
    return tg_apply(t, &kepler, 2, in, 0, NULL);
}

static tg_tensor *checked(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)n, (void)user;
    return anomaly(t, x[0], x[1]);
}

enum { SEEN = 12 };

int main(void)
{
    /* The check compares with differences of what the solver does, first and second order. */
    const double at[] = {0.3, 1.7, 4.0}, some = 0.6;
    const tg_check_input in[] = {{.shape = TG_SHAPE(3), .data = at}, {.data = &some}};
    tg_gradcheck_report r;
    tg_gradcheck(checked, 2, in, NULL, NULL, NULL, &r);
    printf("gradient check: %s\n", tg_status_name(r.status));

    /* Mars: distances from the sun in units of its mean one, at mean anomalies 0.3, 0.6, ... */
    double mean[SEEN], distance[SEEN];
    const double truth = 0.0934;
    for (int k = 0; k < SEEN; k++) {
        double angle = mean[k] = 0.3 * (k + 1);
        for (int step = 0; step < 50; step++) angle = mean[k] + truth * sin(angle);
        distance[k] = 1 - truth * cos(angle);
    }
    /* Newton's method for the eccentricity, with a second derivative through the solver. */
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *e = tg_param_new(ps, "e", TG_F64, TG_SCALAR, (tg_init){TG_CONSTANT, 0.5, 0});
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 0; step <= 3; step++) {
        tg_tensor *far = anomaly(t, tg_input(t, TG_F64, TG_SHAPE(SEEN), mean), e);
        far = tg_sub(t, tg_constant(t, TG_F64, 1), tg_mul(t, e, tg_cos(t, far)));
        tg_tensor *wanted = tg_input(t, TG_F64, TG_SHAPE(SEEN), distance);
        tg_tensor *loss = tg_mse_loss(t, far, wanted, TG_REDUCE_SUM), *slope;
        tg_grad(t, loss, NULL, 1, &e, &slope, false);
        tg_tensor *next = tg_sub(t, e, tg_div(t, slope, tg_abs(t, tg_hessian(t, loss, e))));
        const double moved = tg_item(t, next);
        printf("step %d: eccentricity %.6f, squared error %.4f\n", step, tg_item(t, e),
               tg_item(t, loss));
        tg_tape_reset(t);
        tg_param_write(e, &moved);
    }
    const double found = *(const double *)tg_param_data(e);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_params_free(ps);
    return fabs(found - truth) < 1e-6 && r.status == TG_OK ? 0 : 1;
}

/* It prints
 *     gradient check: TG_OK
 *     step 0: eccentricity 0.500000, squared error 1.1348
 *     step 1: eccentricity 0.108616, squared error 0.0015
 *     step 2: eccentricity 0.093433, squared error 0.0000
 *     step 3: eccentricity 0.093400, squared error 0.0000
 */
