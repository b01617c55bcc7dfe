/* What programs of users do with the installed library: a large product, a convolution, training on
 * threads. For C and C++, programs and plugins. */
#ifndef TEST_INSTALLED_WORK_H
#define TEST_INSTALLED_WORK_H

#include <tapegrad.h>

#include <stdio.h>
#include <stdlib.h>

/* Options, in C and in every C++: of structs whose fields have values of their own C++ wants no
 * memset. */
#ifdef __cplusplus
#define ALL_ZERO \
    {            \
    }
#else
#define ALL_ZERO \
    {            \
        0        \
    }
#endif

static inline float *installed_ones(int n)
{
    float *x = (float *)malloc((size_t)n * sizeof *x);
    for (int i = 0; x && i < n; i++) x[i] = 1;
    return x;
}

static inline int installed_sum_is(tg_tape *t, const char *what, tg_tensor *x, double right)
{
    const double sum = tg_item(t, tg_sum(t, x, TG_ALL_AXES, false));
    if (sum == right) return 1;
    fprintf(stderr, "%s: %g, right is %g; %s\n", what, sum, right, tg_tape_message(t));
    return 0;
}

/* Least squares with 128 x 128 parameters: large enough for threads to share the elementwise
 * work. */
static inline int installed_training(tg_tape *t, const tg_allocator *memory, const float *ones)
{
    enum { N = 128, ROWS = 512, STEPS = 3 };
    tg_params_options parameters = ALL_ZERO;
    parameters.size = sizeof parameters;
    parameters.allocator = memory;
    tg_params *ps = tg_params_new(&parameters);
    tg_init init = ALL_ZERO;
    init.kind = TG_LINEAR_DEFAULT;
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(N, N), init);
    tg_sgd_options options = ALL_ZERO;
    options.size = sizeof options;
    options.learning_rate = 0.01;
    tg_optim *sgd = tg_sgd_new(ps, &options);
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(ROWS, N), ones),
                  *y = tg_input(t, TG_F32, TG_SHAPE(ROWS, N), ones);
        tg_tensor *loss = tg_mse_loss(t, tg_tanh(t, tg_linear(t, x, w, NULL)), y, TG_REDUCE_MEAN);
        tg_backward(t, loss);
        tg_optim_step(sgd);
        last = tg_item(t, loss);
        if (step == 0) first = last;
        tg_tape_reset(t);
    }
    const int right = tg_tape_status(t) == TG_OK && tg_optim_status(sgd) == TG_OK && last < first;
    if (!right)
        fprintf(stderr, "training: loss %g, then %g; %s\n", first, last, tg_tape_message(t));
    tg_optim_free(sgd);
    tg_params_free(ps);
    return right;
}

/* 0 when all is right. memory may be NULL. */
static inline int installed_work(int threads, const tg_allocator *memory)
{
    enum { N = 512 };
    float *ones = installed_ones(N * N);
    tg_tape_options options = ALL_ZERO;
    options.size = sizeof options;
    options.allocator = memory;
    options.threads = threads;
    tg_tape *t = tg_tape_new(&options);
    tg_tensor *a = tg_input(t, TG_F32, TG_SHAPE(N, N), ones);
    int right = installed_sum_is(t, "a 512 x 512 product", tg_matmul(t, a, a), (double)N * N * N);
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(2, 3, 32, 32), ones),
              *w = tg_input(t, TG_F32, TG_SHAPE(4, 3, 3, 3), ones);
    tg_conv plain = ALL_ZERO;
    right = installed_sum_is(t, "a convolution", tg_conv2d(t, x, w, NULL, plain),
                             2. * 4 * 30 * 30 * 27) &&
            right;
    tg_tape_reset(t);
    right = installed_training(t, memory, ones) && right;
    tg_tape_free(t);
    free(ones);
    return !right;
}

#endif
