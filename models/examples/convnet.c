/* A convolutional net on images of digits, or of clothes, trained by tg_fit.
 *     cc -O2 models/examples/convnet.c $(pkg-config --cflags --libs tapegrad)
 *     ./a.out
 * ./a.out short: one epoch. ./a.out FOLDER: images in the format of MNIST, such as Debian's
 * /usr/share/datasets/fashion-mnist, where 10 epochs give an accuracy of 0.915. */
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

typedef struct convnet {
    int64_t side; /* of the square images */
    tg_tensor *w1, *b1, *w2, *b2;
    tg_linear_layer last;
} convnet;

static tg_tensor *output(tg_tape *t, void *net, const tg_batch *batch)
{
    const convnet *m = net;
    const tg_conv same = {.padding = {1, 1}};
    tg_tensor *x = tg_reshape(t, batch->x, TG_SHAPE(batch->rows, 1, m->side, m->side));
    x = tg_relu(t, tg_conv2d(t, x, m->w1, m->b1, same));
    x = tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 2}});
    x = tg_relu(t, tg_conv2d(t, x, m->w2, m->b2, same));
    x = tg_max_pool2d(t, x, (tg_pool){.kernel = {2, 2}});
    x = tg_dropout(t, tg_reshape(t, x, TG_SHAPE(batch->rows, -1)), 0.25);
    return tg_linear_layer_apply(t, &m->last, x);
}

static bool report(const tg_epoch *e, void *user)
{
    (void)user;
    printf("epoch %2d: loss %.3f, accuracy on the test images %.3f\n", (int)e->epoch, e->train.loss,
           e->validation.accuracy);
    return true;
}

int main(int n, char **word)
{
    const bool brief = n > 1 && !strcmp(word[1], "short"), folder = n > 1 && !brief;
    tg_dataset *all = tg_dataset_new(NULL), *train = NULL, *test = NULL;
    if (folder) {
        tg_dataset_read_idx(train = tg_dataset_new(NULL), word[1], "train", NULL);
        tg_dataset_read_idx(test = tg_dataset_new(NULL), word[1], "t10k", NULL);
    } else {
        tg_dataset_read_csv(all, "models/samples/digits.csv", NULL);
        tg_dataset_split_file(all, "models/samples/digits.split", &train, &test);
    }
    convnet m = {.side = folder ? 28 : 8};

    tg_params *ps = tg_params_new(NULL);
    const tg_init weight = {.kind = TG_HE_UNIFORM}, bias = {.kind = TG_ZEROS};
    const int64_t left = m.side / 4; /* after two poolings */
    m.w1 = tg_param_new(ps, "conv1.weight", TG_F32, TG_SHAPE(16, 1, 3, 3), weight);
    m.b1 = tg_param_new(ps, "conv1.bias", TG_F32, TG_SHAPE(16), bias);
    m.w2 = tg_param_new(ps, "conv2.weight", TG_F32, TG_SHAPE(32, 16, 3, 3), weight);
    m.b2 = tg_param_new(ps, "conv2.bias", TG_F32, TG_SHAPE(32), bias);
    m.last = tg_linear_layer_new(tg_scope_root(ps), 32 * left * left, 10, true);

    tg_model *model = tg_model_new(&(tg_model_options){
        .size = sizeof(tg_model_options), .params = ps, .net = &m, .output = output});
    tg_optim *adam = tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options)});
    tg_fit(model, train,
           &(tg_fit_options){.size = sizeof(tg_fit_options),
                             .optimizer = adam,
                             .epochs = brief ? 1 : 10,
                             .validation = test,
                             .on_epoch = report});
    tg_metrics score = {0};
    tg_evaluate(model, test, &score, NULL);
    printf("%.0f of %d test images are wrong\n", (double)score.rows * (1 - score.accuracy),
           (int)score.rows);
    if (tg_model_status(model) != TG_OK) fprintf(stderr, "%s\n", tg_model_message(model));

    tg_optim_free(adam), tg_model_free(model), tg_params_free(ps);
    tg_dataset_free(test), tg_dataset_free(train), tg_dataset_free(all);
    return score.accuracy > (brief ? 0.7 : 0.95) ? 0 : 1;
}

/* It prints
 *     epoch  1: loss 2.038, accuracy on the test images 0.769
 *     epoch  2: loss 1.136, accuracy on the test images 0.883
 *     epoch  3: loss 0.676, accuracy on the test images 0.911
 *     epoch  4: loss 0.454, accuracy on the test images 0.925
 *     epoch  5: loss 0.384, accuracy on the test images 0.936
 *     epoch  6: loss 0.276, accuracy on the test images 0.953
 *     epoch  7: loss 0.227, accuracy on the test images 0.956
 *     epoch  8: loss 0.205, accuracy on the test images 0.953
 *     epoch  9: loss 0.169, accuracy on the test images 0.964
 *     epoch 10: loss 0.147, accuracy on the test images 0.969
 *     11 of 360 test images are wrong
 */
