/* Losses at the edges: values and gradients, in f32 and f64, with every build of the kernels.
 * Numbers are worked out by hand, or with ln and exp of libm. */
#include "semantics.h"

#define INF INFINITY

/* ---------------------------------------------------------------- shapes and reductions */

Test(semantics_loss, prediction_and_target_must_have_equal_shapes)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(4), .1, .2, .3, .4), *y = INPUT(TG_SHAPE(4, 1), 0, 0, 1, 1);
        EXPECT_ERROR(tg_mse_loss(t, x, y, TG_REDUCE_MEAN), TG_ESHAPE,
                     "mse_loss: prediction [4] and target [4,1] differ");
        EXPECT_ERROR(tg_l1_loss(t, x, y, TG_REDUCE_MEAN), TG_ESHAPE,
                     "l1_loss: prediction [4] and target [4,1] differ");
        EXPECT_ERROR(tg_huber_loss(t, x, y, 1, TG_REDUCE_MEAN), TG_ESHAPE,
                     "huber_loss: prediction [4] and target [4,1] differ");
        EXPECT_ERROR(tg_bce_loss(t, x, y, TG_REDUCE_MEAN), TG_ESHAPE,
                     "bce_loss: prediction [4] and target [4,1] differ");
        EXPECT_ERROR(tg_bce_with_logits(t, x, y), TG_ESHAPE,
                     "bce_with_logits_loss: prediction [4] and target [4,1] differ");
        EXPECT_ERROR(tg_cross_entropy(t, y, x), TG_ESHAPE,
                     "cross_entropy_loss: prediction [4,1] and target [4] differ");
        tg_tensor *labels = INDEX(TG_SHAPE(1, 4), 0, 0, 0, 0),
                  *logits = INPUT(TG_SHAPE(4, 2), 0, 0, 0, 0, 0, 0, 0, 0);
        EXPECT_ERROR(tg_cross_entropy(t, logits, labels), TG_ESHAPE,
                     "cross_entropy_loss: prediction [4,2] wants a target [4], not [1,4]");
        EXPECT_ERROR(tg_nll_loss(t, logits, labels, NULL, TG_NO_INDEX, TG_REDUCE_SUM), TG_ESHAPE,
                     "nll_loss: prediction [4,2] wants a target [4], not [1,4]");
        EXPECT_ERROR(tg_bce_with_logits_loss(t, x, x, y, TG_REDUCE_MEAN), TG_ESHAPE,
                     "pos_weight [4,1] does not broadcast to [4]");
        tg_tensor *scalar = INPUT(TG_SCALAR, 1), *one = INPUT(TG_SHAPE(1), 1);
        EXPECT_ERROR(tg_mse_loss(t, scalar, one, TG_REDUCE_MEAN), TG_ESHAPE,
                     "prediction [] and target [1] differ");
    }
}

Test(semantics_loss, dtypes_are_never_mixed)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(1), &(float){.5f}),
                  *y = tg_input(t, TG_F64, TG_SHAPE(1), &(double){.5});
        tg_tensor *i = INDEX(TG_SHAPE(1), 0);
        EXPECT_ERROR(tg_mse_loss(t, x, y, TG_REDUCE_MEAN), TG_EDTYPE,
                     "prediction is f32 but target is f64");
        EXPECT_ERROR(tg_mse_loss(t, i, i, TG_REDUCE_MEAN), TG_EDTYPE, "i64");
        EXPECT_ERROR(tg_bce_with_logits_loss(t, x, x, y, TG_REDUCE_MEAN), TG_EDTYPE, "f64");
        EXPECT_ERROR(tg_cross_entropy_loss(t, tg_reshape(t, x, TG_SHAPE(1, 1)), i, y, TG_NO_INDEX,
                                           0, TG_REDUCE_SUM),
                     TG_EDTYPE, "class weights are f64 but the prediction is f32");
    }
}

Test(semantics_loss, the_mean_of_an_empty_batch_is_nan_and_its_sum_0)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(0), 0), *z = INPUT(TG_SHAPE(0, 3), 0),
                  *labels = tg_input(t, TG_I64, TG_SHAPE(0), NULL);
        EXPECT(tg_mse_loss(t, x, x, TG_REDUCE_MEAN), NAN);
        EXPECT(tg_l1_loss(t, x, x, TG_REDUCE_MEAN), NAN);
        EXPECT(tg_huber_loss(t, x, x, 1, TG_REDUCE_MEAN), NAN);
        EXPECT(tg_bce_loss(t, x, x, TG_REDUCE_MEAN), NAN);
        EXPECT(tg_bce_with_logits(t, x, x), NAN);
        EXPECT(tg_cross_entropy(t, z, labels), NAN);
        EXPECT(tg_cross_entropy(t, z, z), NAN);
        EXPECT(tg_nll_loss(t, z, labels, NULL, 1, TG_REDUCE_MEAN), NAN);
        EXPECT(tg_mse_loss(t, x, x, TG_REDUCE_SUM), 0);
        EXPECT(tg_cross_entropy_loss(t, z, labels, NULL, TG_NO_INDEX, 0, TG_REDUCE_SUM), 0);
        EXPECT_SHAPE(tg_cross_entropy_loss(t, z, labels, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE),
                     TG_SHAPE(0));
    }
}

Test(semantics_loss, an_unknown_reduction_is_an_error)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F64;
        tg_tensor *x = INPUT(TG_SHAPE(1, 1), 0.5), *label = INDEX(TG_SHAPE(1), 0);
        EXPECT_ERROR(tg_mse_loss(t, x, x, (tg_reduction)7), TG_EVALUE,
                     "mse_loss: 7 is no reduction");
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, label, NULL, TG_NO_INDEX, 0, (tg_reduction)7),
                     TG_EVALUE, "cross_entropy_loss: 7 is no reduction");
    }
}

/* ---------------------------------------------------------------- distances */

Test(semantics_loss, distances_and_their_gradients)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(5), 1, 2, -3, .5, 0),
                  *y = INPUT(TG_SHAPE(5), 0, 2, 1, .25, 2);
        tg_tensor *mse = tg_mse_loss(t, x, y, TG_REDUCE_NONE),
                  *l1 = tg_l1_loss(t, x, y, TG_REDUCE_NONE);
        EXPECT(mse, 1, 0, 16, .0625, 4);
        EXPECT(GRAD(mse, x), 2, 0, -8, .5, -4);
        EXPECT(GRAD(mse, y), -2, 0, 8, -.5, 4);
        EXPECT(tg_mse_loss(t, x, y, TG_REDUCE_MEAN), 21.0625 / 5);
        EXPECT(GRAD(tg_mse_loss(t, x, y, TG_REDUCE_MEAN), x), .4, 0, -1.6, .1, -.8);
        EXPECT(l1, 1, 0, 4, .25, 2);
        EXPECT(GRAD(l1, x), 1, 0, -1, 1, -1);
        EXPECT(GRAD(l1, y), -1, 0, 1, -1, 1);
        EXPECT(tg_l1_loss(t, x, y, TG_REDUCE_SUM), 7.25);
        tg_tensor *huber =
            tg_huber_loss(t, x, y, 1, TG_REDUCE_NONE); /* the first one stands on the border */
        EXPECT(huber, .5, 0, 3.5, .03125, 1.5);
        EXPECT(GRAD(tg_huber_loss(t, x, y, 1.5, TG_REDUCE_NONE), x), 1, 0, -1.5, .25, -1.5);
        EXPECT(GRAD(huber, x), 1, 0, -1, .25, -1);
        EXPECT(GRAD(huber, y), -1, 0, 1, -.25, 1);
        EXPECT(tg_huber_loss(t, x, y, INF, TG_REDUCE_NONE), .5, 0, 8, .03125, 2);
        EXPECT(GRAD(tg_huber_loss(t, x, y, INF, TG_REDUCE_NONE), x), 1, 0, -4, .25, -2);
    }
}

Test(semantics_loss, nan_is_never_hidden)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1), NAN), *y = INPUT(TG_SHAPE(1), 1),
                  *row = INPUT(TG_SHAPE(1, 3), 0, NAN, 0);
        EXPECT(tg_mse_loss(t, x, y, TG_REDUCE_NONE), NAN);
        EXPECT(tg_l1_loss(t, x, y, TG_REDUCE_NONE), NAN);
        EXPECT(tg_huber_loss(t, x, y, 1, TG_REDUCE_NONE), NAN);
        EXPECT(tg_bce_with_logits(t, x, y), NAN);
        EXPECT(tg_cross_entropy(t, row, INDEX(TG_SHAPE(1), 0)), NAN);
    }
}

Test(semantics_loss, hubers_delta_must_be_positive)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F32;
        tg_tensor *x = INPUT(TG_SHAPE(1), 1);
        EXPECT_ERROR(tg_huber_loss(t, x, x, 0, TG_REDUCE_MEAN), TG_EVALUE,
                     "delta = 0 is not positive");
        EXPECT_ERROR(tg_huber_loss(t, x, x, NAN, TG_REDUCE_MEAN), TG_EVALUE, "delta");
    }
}

/* ---------------------------------------------------------------- binary cross-entropy */

Test(semantics_loss, bce_clamps_its_logarithms_and_its_gradient)
{
    EACH_BUILD
    {
        tg_tensor *p = INPUT(TG_SHAPE(5), 0, 1, 0, 1, .25),
                  *target = INPUT(TG_SHAPE(5), 0, 1, 1, 0, .5);
        tg_tensor *y = tg_bce_loss(t, p, target, TG_REDUCE_NONE);
        EXPECT(y, 0, 0, 100, 100, -.5 * log(.25) - .5 * log(.75));
        EXPECT(GRAD(y, p), 0, 0, -1e12, 1e12, -.25 / (.25 * .75));
        EXPECT(GRAD(y, target), 100, -100, 100, -100, log(.75) - log(.25));
        EXPECT(tg_bce_loss(t, p, target, TG_REDUCE_MEAN),
               (200 - .5 * log(.25) - .5 * log(.75)) / 5);
    }
}

Test(semantics_loss, bce_refuses_what_is_no_probability_and_names_it)
{
    EACH_BUILD
    {
        tg_tensor *good = INPUT(TG_SHAPE(2, 2), .5, .5, .5, .5);
        EXPECT_ERROR(tg_bce_loss(t, INPUT(TG_SHAPE(2, 2), .5, .5, 1.5, -1), good, TG_REDUCE_MEAN),
                     TG_EVALUE, "bce_loss: element 2: probability 1.5 is outside [0, 1]");
        EXPECT_ERROR(tg_bce_loss(t, INPUT(TG_SHAPE(2, 2), .5, -.25, .5, .5), good, TG_REDUCE_NONE),
                     TG_EVALUE, "element 1: probability -0.25");
        EXPECT_ERROR(tg_bce_loss(t, INPUT(TG_SHAPE(2, 2), .5, .5, .5, NAN), good, TG_REDUCE_NONE),
                     TG_EVALUE, "element 3: probability nan");
        EXPECT_ERROR(tg_bce_loss(t, good, INPUT(TG_SHAPE(2, 2), 2, .5, .5, .5), TG_REDUCE_NONE),
                     TG_EVALUE, "element 0: target 2");
        EXPECT_ERROR(tg_bce_loss(t, good, INPUT(TG_SHAPE(2, 2), .5, NAN, .5, .5), TG_REDUCE_NONE),
                     TG_EVALUE, "element 1: target nan");
    }
}

Test(semantics_loss, bce_names_the_first_bad_element_of_many_blocks)
{
    enum { N = 5000 };
    for (int threads = 1; threads <= 3; threads++)
        for (tg_tape *t = semantics_tape(TG_ISA_AUTO, threads); t; t = semantics_end(t)) {
            double p[N];
            for (int i = 0; i < N; i++) p[i] = i == 2777 || i == 4999 ? 3 : .5;
            tg_tensor *x = semantics_input(t, TG_F32, TG_SHAPE(N), p);
            EXPECT_ERROR(
                tg_bce_loss(t, x, tg_input(t, TG_F32, TG_SHAPE(N), (float[N]){0}), TG_REDUCE_MEAN),
                TG_EVALUE, "element 2777: probability 3");
        }
}

Test(semantics_loss, bce_with_logits_is_stable_and_drops_terms_of_weight_0)
{
    EACH_BUILD
    {
        tg_tensor *z = INPUT(TG_SHAPE(8), INF, -INF, 1000, -1000, 1000, -1000, 0, 2),
                  *target = INPUT(TG_SHAPE(8), 1, 0, 1, 0, 0, 1, .5, .25);
        tg_tensor *y = tg_bce_with_logits_loss(t, z, target, NULL, TG_REDUCE_NONE);
        const double at_2 = .25 * log(1 + exp(-2)) + .75 * log(1 + exp(2));
        EXPECT(y, 0, 0, 0, 0, 1000, 1000, log(2), at_2);
        EXPECT(GRAD(y, z), 0, 0, 0, 0, 1, -1, 0, 1 / (1 + exp(-2)) - .25);
        EXPECT(GRAD(y, target), -INF, INF, -1000, 1000, -1000, 1000, 0, -2);
        tg_tensor *plain = INPUT(TG_SHAPE(2), 0, 2), *half = INPUT(TG_SHAPE(2), .5, .25);
        EXPECT(tg_bce_with_logits(t, plain, half), (log(2) + at_2) / 2);
    }
}

Test(semantics_loss, pos_weight_weighs_the_positive_term)
{
    EACH_BUILD
    {
        tg_tensor *z = INPUT(TG_SHAPE(3, 2), INF, -INF, 1000, -1000, 1, -1),
                  *target = INPUT(TG_SHAPE(3, 2), 1, 0, 1, 1, .5, .5);
        tg_tensor *w = INPUT(TG_SHAPE(2), 3, 2);
        tg_tensor *y = tg_bce_with_logits_loss(t, z, target, w, TG_REDUCE_NONE);
        const double low = log(1 + exp(-1)), high = log(1 + exp(1)), s = 1 / (1 + exp(-1));
        EXPECT(y, 0, 0, 0, 2000, .5 * 3 * low + .5 * high, .5 * 2 * high + .5 * low);
        EXPECT(GRAD(y, z), 0, 0, 0, -2, .5 * s - 1.5 * (1 - s), .5 * (1 - s) - s);
        tg_tensor *last = tg_slice(t, y, 0, 1, TG_END, 1);
        EXPECT(GRAD(last, w), .5 * low, 1000 + .5 * high);
        tg_tensor *none = INPUT(TG_SHAPE(2), 0, 0); /* a positive term that weighs nothing */
        EXPECT(tg_bce_with_logits_loss(t, INPUT(TG_SHAPE(2), -INF, -5), INPUT(TG_SHAPE(2), 1, 1),
                                       none, TG_REDUCE_NONE),
               0, 0);
    }
}

/* ---------------------------------------------------------------- cross-entropy */

static double log_sum(const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp(x[i]);
    return log(sum);
}

Test(semantics_loss, cross_entropy_shifts_by_the_maximum)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 2), 1000, 0, -1000, -2000, 0, -INF),
                  *labels = INDEX(TG_SHAPE(3), 1, 0, 0);
        tg_tensor *y = tg_cross_entropy_loss(t, x, labels, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE);
        EXPECT(y, 1000, 0, 0);
        EXPECT(GRAD(y, x), 1, -1, 0, 0, 0, 0);
        tg_tensor *lost = INPUT(TG_SHAPE(2, 2), -INF, -INF, 0, -INF),
                  *zero_one = INDEX(TG_SHAPE(2), 0, 1);
        EXPECT(tg_cross_entropy_loss(t, lost, zero_one, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE), NAN,
               INF);
    }
}

Test(semantics_loss, a_small_cross_entropy_keeps_its_digits)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 2), 5012, 5000),
                  *y = tg_cross_entropy(t, x, INDEX(TG_SHAPE(1), 0));
        const double expected = log1p(exp(-12)), is = tg_item(t, y);
        cr_expect(fabs(is - expected) < (dtype == TG_F32 ? 1.2e-7 : 4e-16),
                  "%.17g instead of %.17g", is, expected);
    }
}

Test(semantics_loss, ignored_rows_count_neither_in_the_sum_nor_in_the_mean)
{
    const double a[] = {1, 2, .5}, c[] = {-1, 0, 3};
    const double loss_a = log_sum(a, 3) - a[2], loss_c = log_sum(c, 3) - c[0];
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4, 3), 1, 2, .5, 9, NAN, 9, -1, 0, 3, INF, 1, 1),
                  *labels = INDEX(TG_SHAPE(4), 2, -100, 0, -100);
        EXPECT(tg_cross_entropy_loss(t, x, labels, NULL, -100, 0, TG_REDUCE_NONE), loss_a, 0,
               loss_c, 0);
        EXPECT(tg_cross_entropy_loss(t, x, labels, NULL, -100, 0, TG_REDUCE_SUM), loss_a + loss_c);
        tg_tensor *mean = tg_cross_entropy_loss(t, x, labels, NULL, -100, 0, TG_REDUCE_MEAN);
        EXPECT(mean, (loss_a + loss_c) / 2);
        double g[12] = {0};
        for (int j = 0; j < 3; j++) {
            g[j] = (exp(a[j] - log_sum(a, 3)) - (j == 2)) / 2;
            g[6 + j] = (exp(c[j] - log_sum(c, 3)) - (j == 0)) / 2;
        }
        semantics_expect(__LINE__, t, GRAD(mean, x), 12, g);
        tg_tensor *logs = INPUT(TG_SHAPE(3, 2), -.25, -1, NAN, NAN, -3, -.5),
                  *some = INDEX(TG_SHAPE(3), 0, 7, 1);
        tg_tensor *nll = tg_nll_loss(t, logs, some, NULL, 7, TG_REDUCE_MEAN);
        EXPECT(nll, .375);
        EXPECT(GRAD(nll, logs), -.5, 0, 0, 0, 0, -.5);
    }
}

Test(semantics_loss, when_all_rows_are_ignored_the_mean_is_nan_the_sum_0_and_the_gradient_0)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4), *labels = INDEX(TG_SHAPE(2), 9, 9),
                  *w = INPUT(TG_SHAPE(2), 1, 2);
        for (int k = 0; k < 2; k++) {
            tg_tensor *mean =
                tg_cross_entropy_loss(t, x, labels, k ? w : NULL, 9, .1, TG_REDUCE_MEAN);
            tg_tensor *sum =
                tg_cross_entropy_loss(t, x, labels, k ? w : NULL, 9, .1, TG_REDUCE_SUM);
            EXPECT(mean, NAN);
            EXPECT(sum, 0);
            EXPECT(GRAD(mean, x), 0, 0, 0, 0);
            EXPECT(GRAD(sum, x), 0, 0, 0, 0);
        }
        tg_tensor *nll = tg_nll_loss(t, x, labels, NULL, 9, TG_REDUCE_MEAN);
        EXPECT(nll, NAN);
        EXPECT(GRAD(nll, x), 0, 0, 0, 0);
    }
}

/* The rows hold NaN, too: padding may. */
Test(semantics_loss, of_ignored_rows_every_derivative_is_0)
{
    EACH_BUILD
    {
        for (int k = 0; k < 4; k++) {
            tg_tensor *x =
                k % 2 ? INPUT(TG_SHAPE(2, 2), 1, 2, 3, NAN) : INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4);
            tg_tensor *labels = INDEX(TG_SHAPE(2), 9, 9), *w = INPUT(TG_SCALAR, 3);
            tg_tensor *loss = k < 2
                                  ? tg_cross_entropy_loss(t, x, labels, NULL, 9, .1, TG_REDUCE_MEAN)
                                  : tg_nll_loss(t, x, labels, NULL, 9, TG_REDUCE_MEAN);
            tg_tensor *g = GRAD(tg_mul(t, loss, w), x), *second = NULL, *mixed = NULL;
            tg_tensor *dot =
                tg_sum(t, tg_mul(t, g, INPUT(TG_SHAPE(2, 2), 1, 2, 3, 4)), TG_ALL_AXES, false);
            EXPECT(g, 0, 0, 0, 0);
            tg_grad(t, dot, NULL, 1, &x, &second, true);
            if (second) EXPECT(second, 0, 0, 0, 0);
            tg_grad(t, dot, NULL, 1, &w, &mixed, true);
            EXPECT(mixed, 0);
        }
        tg_tensor *x = INPUT(TG_SHAPE(2, 2), 1, 1, NAN, 4), *labels = INDEX(TG_SHAPE(2), 0, 9);
        tg_tensor *loss = tg_cross_entropy_loss(t, x, labels, NULL, 9, 0, TG_REDUCE_MEAN);
        EXPECT(GRAD(tg_square(t, GRAD(loss, x)), x), -.5, .5, 0, 0);
    }
}

/* d^2/dp dt = -1 / max(p (1 - p), 1e-12), whichever comes first. */
Test(semantics_loss, mixed_derivatives_of_bce_agree_and_are_finite)
{
    EACH_BUILD
    {
        tg_tensor *p = INPUT(TG_SHAPE(4), 0, 1, .5, .25),
                  *target = INPUT(TG_SHAPE(4), .5, .5, 1, 0);
        tg_tensor *loss = tg_bce_loss(t, p, target, TG_REDUCE_SUM);
        EXPECT(GRAD(GRAD(loss, p), target), -1e12, -1e12, -4, -16 / 3.);
        EXPECT(GRAD(GRAD(loss, target), p), -1e12, -1e12, -4, -16 / 3.);
        EXPECT(GRAD(loss, target), 100, -100, 0, log(3));
    }
}

Test(semantics_loss, class_weights_and_label_smoothing)
{
    const double x0[] = {1, 2, .5}, x1[] = {0, -1, 1}, w[] = {2, .5, 1}, s = .3;
    double smooth[2] = {0}, plain[2];
    for (int j = 0; j < 3; j++) {
        smooth[0] += s / 3 * w[j] * (log_sum(x0, 3) - x0[j]);
        smooth[1] += s / 3 * w[j] * (log_sum(x1, 3) - x1[j]);
    }
    plain[0] = w[1] * (log_sum(x0, 3) - x0[1]);
    plain[1] = w[0] * (log_sum(x1, 3) - x1[0]);
    const double loss[2] = {(1 - s) * plain[0] + smooth[0], (1 - s) * plain[1] + smooth[1]};
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3, 3), 1, 2, .5, 7, 7, 7, 0, -1, 1),
                  *labels = INDEX(TG_SHAPE(3), 1, -1, 0);
        tg_tensor *weights = INPUT(TG_SHAPE(3), 2, .5, 1);
        EXPECT(tg_cross_entropy_loss(t, x, labels, weights, -1, 0, TG_REDUCE_NONE), plain[0], 0,
               plain[1]);
        EXPECT(tg_cross_entropy_loss(t, x, labels, weights, -1, 0, TG_REDUCE_MEAN),
               (plain[0] + plain[1]) / 2.5);
        EXPECT(tg_cross_entropy_loss(t, x, labels, weights, -1, s, TG_REDUCE_NONE), loss[0], 0,
               loss[1]);
        EXPECT(tg_cross_entropy_loss(t, x, labels, weights, -1, s, TG_REDUCE_SUM),
               loss[0] + loss[1]);
        EXPECT(tg_cross_entropy_loss(t, x, labels, weights, -1, s, TG_REDUCE_MEAN),
               (loss[0] + loss[1]) / 2.5);
        EXPECT(tg_nll_loss(t, x, labels, weights, -1, TG_REDUCE_NONE), -1, 0, 0);
        EXPECT(tg_nll_loss(t, x, labels, weights, -1, TG_REDUCE_MEAN), -1 / 2.5);
    }
}

Test(semantics_loss, probabilities_as_target)
{
    const double x0[] = {1, 2, .5};
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 3), 1, 2, .5), *p = INPUT(TG_SHAPE(1, 3), .2, .3, .5),
                  *one = INPUT(TG_SHAPE(1, 3), 0, 1, 0);
        const double l = log_sum(x0, 3);
        tg_tensor *y = tg_cross_entropy(t, x, p);
        EXPECT(y, .2 * (l - 1) + .3 * (l - 2) + .5 * (l - .5));
        EXPECT(GRAD(y, x), exp(1 - l) - .2, exp(2 - l) - .3, exp(.5 - l) - .5);
        EXPECT(GRAD(y, p), l - 1, l - 2, l - .5);
        EXPECT(tg_cross_entropy(t, x, one), l - 2);
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, p, NULL, 0, 0, TG_REDUCE_MEAN), TG_EVALUE,
                     "probabilities have no ignored index");
    }
}

Test(semantics_loss, classes_lie_along_axis_1)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(2, 2, 3), 0, 1, 2, 0, 0, 0, 3, 3, 3, 3, 4, 5),
                  *labels = INDEX(TG_SHAPE(2, 3), 0, 1, 0, 1, 1, 0);
        const double d[] = {log(2), log(1 + exp(1)),  log(1 + exp(-2)),
                            log(2), log(1 + exp(-1)), log(1 + exp(2))};
        tg_tensor *y = tg_cross_entropy_loss(t, x, labels, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE);
        EXPECT_SHAPE(y, TG_SHAPE(2, 3));
        semantics_expect(__LINE__, t, y, 6, d);
        tg_tensor *row = tg_cross_entropy_loss(t, INPUT(TG_SHAPE(2), 0, 1), INDEX(TG_SCALAR, 0),
                                               NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE);
        EXPECT_SHAPE(row, TG_SCALAR);
        EXPECT(row, log(1 + exp(1)));
    }
}

Test(semantics_loss, a_label_outside_the_classes_is_named_with_its_row)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4, 2), 0, 0, 0, 0, 0, 0, 0, 0),
                  *above = INDEX(TG_SHAPE(4), 0, 1, 0, 12),
                  *below = INDEX(TG_SHAPE(4), 0, -1, 5, 1);
        EXPECT_ERROR(tg_cross_entropy(t, x, above), TG_EINDEX,
                     "cross_entropy_loss: row 3: label 12 is not in 0..1");
        EXPECT_ERROR(tg_cross_entropy(t, x, below), TG_EINDEX,
                     "cross_entropy_loss: row 1: label -1 is not in 0..1");
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, below, NULL, -1, 0, TG_REDUCE_MEAN), TG_EINDEX,
                     "cross_entropy_loss: row 2: label 5 is not in 0..1");
        EXPECT_ERROR(tg_nll_loss(t, x, above, NULL, TG_NO_INDEX, TG_REDUCE_MEAN), TG_EINDEX,
                     "nll_loss: row 3: label 12 is not in 0..1");
        /* TG_NO_INDEX ignores nothing, not even itself */
        tg_tensor *least = INDEX(TG_SHAPE(4), INT64_MIN, 0, 0, 0);
        EXPECT_ERROR(tg_cross_entropy(t, x, least), TG_EINDEX, "row 0: label -9223372036854775808");
    }
}

Test(semantics_loss, attributes_out_of_range_are_errors)
{
    for (tg_tape *t = semantics_tape(TG_ISA_AUTO, 1); t; t = semantics_end(t)) {
        const tg_dtype dtype = TG_F64;
        tg_tensor *x = INPUT(TG_SHAPE(1, 2), 0, 1), *label = INDEX(TG_SHAPE(1), 0),
                  *w = INPUT(TG_SHAPE(3), 1, 1, 1);
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, label, NULL, TG_NO_INDEX, 1.5, TG_REDUCE_MEAN),
                     TG_EVALUE, "label_smoothing = 1.5");
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, label, NULL, TG_NO_INDEX, NAN, TG_REDUCE_MEAN),
                     TG_EVALUE, "label_smoothing");
        EXPECT_ERROR(tg_cross_entropy_loss(t, x, label, w, TG_NO_INDEX, 0, TG_REDUCE_MEAN),
                     TG_ESHAPE, "class weights [3] for 2 classes");
        EXPECT_ERROR(tg_cross_entropy(t, tg_input(t, dtype, TG_SHAPE(1, 0), NULL), label),
                     TG_ESHAPE, "[1,0] has no classes");
        EXPECT_ERROR(tg_cross_entropy(t, INPUT(TG_SCALAR, 1), label), TG_ESHAPE, "no classes");
        EXPECT_ERROR(tg_nll_loss(t, x, x, NULL, TG_NO_INDEX, TG_REDUCE_MEAN), TG_EDTYPE,
                     "classes is i64, not f64");
    }
}

/* Row after row against the definition in long double, over row lengths around every border of the
 * kernels; f32 sums of e^x are off by some ulp. */
Test(semantics_loss, rows_of_any_length)
{
    const int64_t lengths[] = {1,   2,   3,   15,   16,   17,   63,   64,   65,  341,
                               511, 512, 513, 1023, 1024, 1025, 2047, 2049, 5000};
    EACH_BUILD
    {
        uint64_t state = 5;
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            const int64_t c = lengths[k], rows = c < 100 ? 40 : 3;
            double *x = calloc((size_t)(rows * c), sizeof *x);
            int64_t *label = calloc((size_t)rows, sizeof *label);
            for (int64_t i = 0; i < rows * c; i++)
                x[i] = (double)(float)(6 * semantics_uniform(&state));
            for (int64_t i = 0; i < rows; i++)
                label[i] = (int64_t)((semantics_uniform(&state) + 1) / 2 * (double)c);
            tg_tensor *z = semantics_input(t, dtype, TG_SHAPE(rows, c), x),
                      *labels = tg_input(t, TG_I64, TG_SHAPE(rows), label);
            tg_tensor *y =
                          tg_cross_entropy_loss(t, z, labels, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE),
                      *gx = GRAD(y, z);
            const void *loss = tg_data(t, y), *slope = tg_data(t, gx);
            const double tolerance = dtype == TG_F32 ? 4e-6 : 1e-14;
            for (int64_t i = 0; loss && slope && i < rows; i++) {
                long double sum = 0;
                for (int64_t j = 0; j < c; j++) sum += expl((long double)x[i * c + j]);
                const double want = (double)(logl(sum) - (long double)x[i * c + label[i]]);
                const double is = semantics_element(dtype, loss, i);
                cr_expect(fabs(is - want) <= tolerance * (1 + want),
                          "[%lld]: %.17g instead of %.17g", (long long)c, is, want);
                for (int64_t j = 0; j < c; j++) {
                    const double p = (double)(expl((long double)x[i * c + j]) / sum) -
                                     (j == label[i]),
                                 g = semantics_element(dtype, slope, i * c + j);
                    cr_expect(fabs(g - p) <= tolerance,
                              "[%lld] element %lld: gradient %.17g instead of %.17g", (long long)c,
                              (long long)j, g, p);
                }
            }
            free(x);
            free(label);
        }
    }
}

/* Wherever it stands: without the shift by it e^x overflows. */
Test(semantics_loss, the_maximum_of_a_row_may_stand_anywhere)
{
    const int64_t lengths[] = {5, 100, 600, 1024, 1025, 2048, 2060, 3100};
    EACH_BUILD
    {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            const int64_t c = lengths[k], places[] = {0, c / 2, c - 1, c > 1030 ? c - 1030 : 1};
            for (size_t p = 0; p < sizeof places / sizeof places[0]; p++) {
                double *x = calloc((size_t)c, sizeof *x);
                x[places[p]] = 5000;
                tg_tensor *z = semantics_input(t, dtype, TG_SHAPE(1, c), x),
                          *y = tg_cross_entropy(t, z, INDEX(TG_SHAPE(1), places[p]));
                EXPECT(y, 0);
                EXPECT(tg_max(t, tg_abs(t, GRAD(y, z)), TG_ALL_AXES, false), 0);
                free(x);
            }
        }
    }
}

/* ------------------------------------- higher orders: against each other, at a point worked out */

Test(semantics_loss, the_hessian_of_cross_entropy_is_that_of_log_sum_exp)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(1, 2), 0, 1),
                  *y = tg_cross_entropy(t, x, INDEX(TG_SHAPE(1), 0));
        tg_tensor *h = tg_hessian(t, y, x);
        const double p = 1 / (1 + exp(-1)), v = p * (1 - p);
        EXPECT(h, v, -v, -v, v);
        tg_tensor *third = NULL, *g = NULL,
                  *first = tg_slice(t, tg_reshape(t, h, TG_SHAPE(4)), 0, 0, 1, 1);
        tg_grad(t, first, NULL, 1, &x, &third, false);
        EXPECT(third, -v * (1 - 2 * p), v * (1 - 2 * p));
        tg_tensor *z = INPUT(TG_SHAPE(1), 1),
                  *b = tg_bce_with_logits(t, z, INPUT(TG_SHAPE(1), .25));
        EXPECT(tg_hessian(t, b, z), v);
        tg_tensor *q = INPUT(TG_SHAPE(1), .5), *one = INPUT(TG_SHAPE(1), 1),
                  *bce = tg_bce_loss(t, q, one, TG_REDUCE_MEAN);
        tg_grad(t, bce, NULL, 1, &q, &g, false);
        EXPECT(g, -2);
        EXPECT(tg_hessian(t, bce, q), 4);
    }
}

Test(semantics_loss, a_target_of_0_counts_nothing_in_a_divergence)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(3), -1, -INFINITY, -2), *p = INPUT(TG_SHAPE(3), 0, 0.5, 0),
                  *y;
        EXPECT(y = tg_kl_div_loss(t, x, p, TG_REDUCE_NONE), 0, INFINITY, 0);
        EXPECT(GRAD(y, x), 0, -0.5, 0);
    }
}

Test(semantics_loss, embeddings_are_alike_or_apart)
{
    EACH_BUILD
    {
        tg_tensor *x = INPUT(TG_SHAPE(4), 3, 0.5, 2, NAN),
                  *sign = INPUT(TG_SHAPE(4), 1, -1, -1, -1), *y,
                  *a = INPUT(TG_SHAPE(2, 2), 1, 0, 0, 0), *b = INPUT(TG_SHAPE(2, 2), 0, 2, 1, 1),
                  *rows = INPUT(TG_SHAPE(2), -1, 1);
        EXPECT(y = tg_hinge_embedding_loss(t, x, sign, 1, TG_REDUCE_NONE), 3, 0.5, 0, NAN);
        EXPECT(tg_slice(t, GRAD(y, x), 0, 0, 3, 1), 1, -1, 0);
        /* at right angles, and with a vector of zeros */
        EXPECT(y = tg_cosine_embedding_loss(t, a, b, rows, -0.5, TG_REDUCE_NONE), 0.5, 1);
        EXPECT(tg_slice(t, GRAD(y, b), 0, 1, 2, 1), 0, 0);
        EXPECT_ERROR(tg_cosine_embedding_loss(t, a, b, sign, 0, TG_REDUCE_MEAN), TG_ESHAPE,
                     "prediction [2] and target [4] differ");
        EXPECT_ERROR(tg_multilabel_soft_margin_loss(t, a, b, x, TG_REDUCE_MEAN), TG_ESHAPE,
                     "z [2,2] is not [..., c] with weights [c], [4]");
        EXPECT(y = tg_squared_hinge_loss(t, x, sign, 1, TG_REDUCE_NONE), 0, 2.25, 9, NAN);
    }
}
