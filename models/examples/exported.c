/* A trained net as a C file that needs nothing but a compiler, for a microcontroller, say. The
 * first program trains a net and writes net.c; the second one has no library, and uses it.
 *     cc -O2 models/examples/exported.c $(pkg-config --cflags --libs tapegrad) && ./a.out
 *     cc -O2 -DUSE -I. models/examples/exported.c -lm && ./a.out */
#include <stdio.h>

static const float inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};

static void show(const float *p)
{
    for (int k = 0; k < 4; k++)
        printf("%g xor %g: %.3f\n", (double)inputs[k][0], (double)inputs[k][1], (double)p[k]);
}

#ifdef USE
#include "net.c" /* int xor_net(const float *x, float *p, void *scratch) */

int main(void)
{
    static double scratch[xor_net_SCRATCH / sizeof(double) + 1];
    float p[4];
    xor_net(inputs[0], p, scratch);
    puts("without the library:");
    show(p);
}

#else
#include <tapegrad.h>

typedef struct net {
    tg_linear_layer in, out;
} net;

static tg_tensor *logits(tg_tape *t, const net *m, tg_tensor *x)
{
    return tg_linear_layer_apply(t, &m->out, tg_tanh(t, tg_linear_layer_apply(t, &m->in, x)));
}

int main(void)
{
    const float wanted[4] = {0, 1, 1, 0};
    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const net m = {tg_linear_layer_new(tg_scope_in(s, "in"), 2, 8, true),
                   tg_linear_layer_new(tg_scope_in(s, "out"), 8, 1, true)};
    const tg_adam_options options = {.size = sizeof options, .learning_rate = 0.02};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    for (int step = 0; step < 500; step++) {
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(4, 2), inputs);
        tg_tensor *y = tg_input(t, TG_F32, TG_SHAPE(4, 1), wanted);
        tg_backward(t, tg_bce_with_logits(t, logits(t, &m, x), y));
        tg_optim_step(adam);
        tg_tape_reset(t);
    }

    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(4, 2), inputs);
    tg_tensor *p = tg_sigmoid(t, logits(t, &m, x));
    const float *values = tg_data(t, p);
    puts("with the library:");
    if (values) show(values);
    /* The parameters are no arguments, so they become constants of the file. */
    tg_export_c(t, "net.c",
                &(tg_export_options){.size = sizeof(tg_export_options),
                                     .name = "xor_net",
                                     .n_in = 1,
                                     .in = &(tg_export_value){"x", x},
                                     .n_out = 1,
                                     .out = &(tg_export_value){"p", p}});
    const bool failed = tg_tape_status(t) != TG_OK;
    if (failed) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return failed;
}
#endif

/* It prints
 *     with the library:
 *     0 xor 0: 0.001
 *     0 xor 1: 0.999
 *     1 xor 0: 1.000
 *     1 xor 1: 0.001
 *     without the library:
 *     0 xor 0: 0.001
 *     0 xor 1: 0.999
 *     1 xor 0: 1.000
 *     1 xor 1: 0.001
 */
