/* Saliency (Simonyan, Vedaldi and Zisserman 2013; Smilkov et al. 2017): which pixels a net looks at
 * when it reads a digit. The gradient of the chosen logit by the pixels, times the pixels, as a
 * mean over noisy copies of the image.
 *     cc -O2 models/examples/saliency.c $(pkg-config --cflags --libs tapegrad) && ./a.out */
#include <stdio.h>

#include <tapegrad.h>

enum { PIXELS = 64, SIDE = 8, COPIES = 50, SHOWN = 3 };

int main(void)
{
    tg_dataset *all = tg_dataset_new(NULL), *train = NULL, *test = NULL;
    tg_dataset_read_csv(all, "models/samples/digits.csv", NULL);
    tg_dataset_split_file(all, "models/samples/digits.split", &train, &test);
    tg_mlp *net = tg_mlp_new(train, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                      .n_hidden = 1,
                                                      .hidden = (const int64_t[]){64},
                                                      .dropout = 0.1,
                                                      .no_standardize = true});
    const tg_fit_options options = {.size = sizeof options, .epochs = 20};
    tg_fit(tg_mlp_model(net), train, &options);
    tg_metrics score = {0};
    tg_evaluate(tg_mlp_model(net), test, &score, NULL);
    if (tg_mlp_status(net) != TG_OK) return fprintf(stderr, "%s\n", tg_mlp_message(net)), 1;
    printf("accuracy %.3f\n", score.accuracy);

    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .evaluation = true});
    double share = 0; /* of what speaks for the answer, on pixels that are dark or bright */
    for (int image = 0; image < SHOWN; image++) {
        const float *pixel = tg_dataset_x(test) + image * PIXELS;
        tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(1, PIXELS), pixel), *gradient;
        tg_tensor *noise = tg_scale(t, tg_randn(t, TG_F32, TG_SHAPE(COPIES, PIXELS)), 1.5);
        tg_tensor *copies = tg_add(t, x, noise);
        tg_tensor *answer = tg_argmax(t, tg_mlp_output(t, net, x), 1, false);
        tg_tensor *logits = tg_mlp_output(t, net, copies);
        tg_tensor *chosen = tg_index_select(t, logits, 1, answer);
        tg_grad(t, tg_sum_all(t, chosen), NULL, 1, &copies, &gradient, false);
        tg_tensor *mean = tg_mean(t, gradient, TG_AXES(0), true);
        tg_tensor *saliency = tg_relu(t, tg_mul(t, mean, x));
        saliency = tg_div(t, saliency, tg_max(t, saliency, TG_ALL_AXES, true));
        tg_eval(t, 2, ((tg_tensor *[]){answer, saliency}));
        const int64_t *digit = tg_data(t, answer);
        const float *s = tg_data(t, saliency);
        if (!digit || !s) break;
        printf("\nread as %d (is %d): the image, and what made it that\n", (int)*digit,
               (int)tg_dataset_class_numbers(test)[image]);
        for (int k = 0; k < SIDE; k++) {
            for (int i = 0; i < SIDE; i++) putchar(" .:oO#"[(int)(pixel[k * SIDE + i] * 5 / 16)]);
            printf("   |");
            for (int i = 0; i < SIDE; i++) putchar(" .:oO#"[(int)(s[k * SIDE + i] * 5)]);
            puts("|");
        }
        double ink = 0, sum = 0;
        for (int k = 0; k < PIXELS; k++) {
            sum += (double)s[k];
            if (pixel[k] >= 8) ink += (double)s[k];
        }
        share += ink / sum / SHOWN;
        tg_tape_reset(t);
    }
    printf("\n%.2f of it is on bright pixels\n", share);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_mlp_free(net);
    tg_dataset_free(test), tg_dataset_free(train), tg_dataset_free(all);
    return share > 0.6 ? 0 : 1;
}

/* It prints
 *     accuracy 0.969
 *
 *     read as 1 (is 1): the image, and what made it that
 *         ##     |     :  |
 *        .##     |    .   |
 *       .o#o     |   o#   |
 *      :###o     |  ...   |
 *        o#O     |        |
 *        :#o     |    .   |
 *        .##     |    .   |
 *         oO.    |     .  |
 *
 *     read as 4 (is 4): the image, and what made it that
 *         o      |        |
 *        .O      |        |
 *       .#::     |   #    |
 *       O: #.    |  .  o: |
 *      .#oo#     | :. .o  |
 *       .oO#     |   :O:  |
 *         .#     |        |
 *         o:     |        |
 *
 *     read as 8 (is 8): the image, and what made it that
 *       oo.      |        |
 *       oOOO     |  .  :  |
 *       :o O.    |  .  .  |
 *        OOO     |   #    |
 *       o##      |   O    |
 *       O :o     |  :  .  |
 *       O.Oo     |  o  .  |
 *       :O:      |    .   |
 *
 *     0.89 of it is on bright pixels
 */
