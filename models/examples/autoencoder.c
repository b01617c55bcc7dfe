/* An autoencoder squeezes the 64 pixels of a digit through 8 numbers; a picture shows what comes
 * out again: digits.svg, originals above what was made of them.
 *     cc -O2 models/examples/autoencoder.c $(pkg-config --cflags --libs tapegrad)
 *     ./a.out
 * ./a.out short: a tenth of the work. */
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { PIXELS = 64, SIDE = 8, CODE = 8, SHOWN = 20, BATCH = 64 };

typedef struct net {
    tg_linear_layer layer[4];
} net;

/* [n, 64] -> [n, 64] logits of the pixels' brightness */
static tg_tensor *reconstruction(tg_tape *t, const net *m, tg_tensor *x)
{
    tg_tensor *h = tg_relu(t, tg_linear_layer_apply(t, &m->layer[0], x));
    tg_tensor *code = tg_linear_layer_apply(t, &m->layer[1], h);
    h = tg_relu(t, tg_linear_layer_apply(t, &m->layer[2], code));
    return tg_linear_layer_apply(t, &m->layer[3], h);
}

/* An image as squares of 5 units, at (column, row) of a grid of images */
static void draw(FILE *f, const float *pixel, int column, int row)
{
    for (int k = 0; k < PIXELS; k++)
        fprintf(f, "<rect x='%d' y='%d' width='5' height='5' fill-opacity='%.2f'/>\n",
                45 * column + 5 * (k % SIDE), 45 * row + 5 * (k / SIDE), (double)pixel[k]);
}

int main(int n, char **word)
{
    const int epochs = n > 1 && !strcmp(word[1], "short") ? 6 : 60;
    tg_dataset *data = tg_dataset_new(NULL);
    tg_dataset_read_csv(data, "models/samples/digits.csv", NULL);
    if (tg_dataset_status(data) != TG_OK) return fputs(tg_dataset_message(data), stderr), 1;
    const int64_t rows = tg_dataset_rows(data);
    const float *images = tg_dataset_x(data);

    tg_params *ps = tg_params_new(NULL);
    net m;
    const int64_t size[] = {PIXELS, 64, CODE, 64, PIXELS};
    for (int k = 0; k < 4; k++)
        m.layer[k] = tg_linear_layer_new(tg_scope_at(tg_scope_root(ps), "layer", k), size[k],
                                         size[k + 1], true);
    tg_optim *adam =
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 2e-3});
    tg_tape *t = tg_tape_new(NULL);
    double loss = 0;
    for (int epoch = 1; epoch <= epochs; epoch++) {
        loss = 0;
        int64_t steps = 0;
        for (int64_t first = 0; first + BATCH <= rows; first += BATCH, steps++) {
            tg_tensor *x =
                tg_input_borrow(t, TG_F32, TG_SHAPE(BATCH, PIXELS), images + first * PIXELS);
            x = tg_scale(t, x, 1.0 / 16); /* from 0..16 */
            tg_tensor *off = tg_sub(t, tg_sigmoid(t, reconstruction(t, &m, x)), x);
            tg_tensor *l = tg_mean_all(t, tg_square(t, off));
            tg_backward(t, l);
            tg_optim_step(adam);
            loss += tg_item(t, l);
            tg_tape_reset(t);
        }
        loss /= (double)steps;
        if (epoch % (epochs / 6) == 0)
            printf("epoch %d: mean squared error of a pixel %.4f\n", epoch, loss);
    }

    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(SHOWN, PIXELS), images);
    x = tg_scale(t, x, 1.0 / 16);
    tg_tensor *again = tg_sigmoid(t, reconstruction(t, &m, x));
    const float *in = tg_data(t, x), *out = tg_data(t, again);
    FILE *f = fopen("digits.svg", "w");
    if (f && in && out) {
        fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d 85'>\n", 45 * SHOWN);
        for (int k = 0; k < SHOWN; k++) {
            draw(f, in + k * PIXELS, k, 0);
            draw(f, out + k * PIXELS, k, 1);
        }
        fputs("</svg>\n", f);
        fclose(f);
    }
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps), tg_dataset_free(data);
    return loss < (epochs == 6 ? 0.05 : 0.02) ? 0 : 1;
}

/* It prints
 *     epoch 10: mean squared error of a pixel 0.0318
 *     epoch 20: mean squared error of a pixel 0.0212
 *     epoch 30: mean squared error of a pixel 0.0180
 *     epoch 40: mean squared error of a pixel 0.0164
 *     epoch 50: mean squared error of a pixel 0.0156
 *     epoch 60: mean squared error of a pixel 0.0147
 */
