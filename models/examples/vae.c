/* A variational autoencoder (Kingma and Welling 2014) learns to make up digits: invented.svg has 40
 * that nobody wrote.
 *     cc -O2 models/examples/vae.c $(pkg-config --cflags --libs tapegrad)
 *     ./a.out
 * ./a.out short: a tenth of the work. */
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { PIXELS = 64, SIDE = 8, CODE = 6, INVENTED = 40, BATCH = 64 };

typedef struct vae {
    tg_linear_layer in, mean, log_variance, back, out;
} vae;

static tg_tensor *decode(tg_tape *t, const vae *m, tg_tensor *code)
{
    tg_tensor *h = tg_relu(t, tg_linear_layer_apply(t, &m->back, code));
    return tg_linear_layer_apply(t, &m->out, h);
}

/* The negative evidence lower bound of an image: what a code drawn for it fails to tell of its
 * pixels, and how far the codes are from standard normal ones. */
static tg_tensor *loss(tg_tape *t, const vae *m, tg_tensor *x)
{
    tg_tensor *h = tg_relu(t, tg_linear_layer_apply(t, &m->in, x));
    tg_tensor *mean = tg_linear_layer_apply(t, &m->mean, h);
    tg_tensor *log_variance = tg_linear_layer_apply(t, &m->log_variance, h);
    tg_tensor *variance = tg_exp(t, log_variance);
    tg_tensor *code = tg_normal(t, mean, tg_sqrt(t, variance)); /* differentiable in both */
    tg_tensor *pixels = tg_bce_with_logits_loss(t, decode(t, m, code), x, NULL, TG_REDUCE_SUM);
    tg_tensor *far = tg_add(t, tg_square(t, mean), tg_sub(t, variance, log_variance));
    tg_tensor *divergence = tg_scale(t, tg_sum_all(t, tg_offset(t, far, -1)), 0.5);
    return tg_scale(t, tg_add(t, pixels, divergence), 1.0 / BATCH);
}

static void draw(FILE *f, const float *pixel, int column, int row)
{
    for (int k = 0; k < PIXELS; k++)
        fprintf(f, "<rect x='%d' y='%d' width='5' height='5' fill-opacity='%.2f'/>\n",
                45 * column + 5 * (k % SIDE), 45 * row + 5 * (k / SIDE), (double)pixel[k]);
}

int main(int n, char **word)
{
    const int epochs = n > 1 && !strcmp(word[1], "short") ? 10 : 100;
    tg_dataset *data = tg_dataset_new(NULL);
    tg_dataset_read_csv(data, "models/samples/digits.csv", NULL);
    if (tg_dataset_status(data) != TG_OK) return fputs(tg_dataset_message(data), stderr), 1;
    const int64_t rows = tg_dataset_rows(data);
    const float *images = tg_dataset_x(data);

    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const vae m = {tg_linear_layer_new(tg_scope_in(s, "in"), PIXELS, 128, true),
                   tg_linear_layer_new(tg_scope_in(s, "mean"), 128, CODE, true),
                   tg_linear_layer_new(tg_scope_in(s, "log_variance"), 128, CODE, true),
                   tg_linear_layer_new(tg_scope_in(s, "back"), CODE, 128, true),
                   tg_linear_layer_new(tg_scope_in(s, "out"), 128, PIXELS, true)};
    tg_optim *adam =
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 2e-3});
    tg_tape *t = tg_tape_new(NULL);
    double bound = 0;
    for (int epoch = 1; epoch <= epochs; epoch++) {
        int64_t steps = 0;
        bound = 0;
        for (int64_t first = 0; first + BATCH <= rows; first += BATCH, steps++) {
            tg_tensor *x =
                tg_input_borrow(t, TG_F32, TG_SHAPE(BATCH, PIXELS), images + first * PIXELS);
            tg_tensor *l = loss(t, &m, tg_scale(t, x, 1.0 / 16));
            tg_backward(t, l);
            tg_optim_step(adam);
            bound += tg_item(t, l);
            tg_tape_reset(t);
        }
        bound /= (double)steps;
        if (epoch % (epochs / 5) == 0)
            printf("epoch %3d: bound %.2f nats an image\n", epoch, bound);
    }

    tg_tensor *code = tg_randn(t, TG_F32, TG_SHAPE(INVENTED, CODE));
    const float *pixel = tg_data(t, tg_sigmoid(t, decode(t, &m, code)));
    FILE *f = fopen("invented.svg", "w");
    if (f && pixel) {
        fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 900 85'>\n");
        for (int k = 0; k < INVENTED; k++) draw(f, pixel + k * PIXELS, k % 20, k / 20);
        fputs("</svg>\n", f);
        fclose(f);
    }
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps), tg_dataset_free(data);
    return bound < (epochs == 10 ? 32 : 28) ? 0 : 1;
}

/* It prints
 *     epoch  20: bound 24.95 nats an image
 *     epoch  40: bound 24.53 nats an image
 *     epoch  60: bound 24.31 nats an image
 *     epoch  80: bound 24.29 nats an image
 *     epoch 100: bound 24.16 nats an image
 */
