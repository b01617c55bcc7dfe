/* A GPT of one block learns to write names and makes some up: Karpathy's microgpt, in its sizes.
 *     cc -O2 models/examples/microgpt.c $(pkg-config --cflags --libs tapegrad) && ./a.out
 * ./a.out FILE WIDTH STEPS learns other names, one a line; at another width; longer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad.h>

enum { BATCH = 16, BLOCK = 16, HEADS = 4, VOCAB = 27, END = 26, NAMES = 40000, NOTHING = -1 };
static char names[NAMES][BLOCK];

typedef struct gpt {
    tg_tensor *wte, *wpe, *wq, *wk, *wv, *wo, *up, *down, *head;
} gpt;

static gpt gpt_new(tg_params *ps, int64_t d)
{
    const tg_init init = {.kind = TG_NORMAL, .b = 0.08};
#define MATRIX(name, rows, columns) tg_param_new(ps, name, TG_F32, TG_SHAPE(rows, columns), init)
    return (gpt){MATRIX("wte", VOCAB, d), MATRIX("wpe", BLOCK, d),  MATRIX("wq", d, d),
                 MATRIX("wk", d, d),      MATRIX("wv", d, d),       MATRIX("wo", d, d),
                 MATRIX("up", 4 * d, d),  MATRIX("down", d, 4 * d), MATRIX("head", VOCAB, d)};
}

static tg_tensor *norm(tg_tape *t, tg_tensor *x) { return tg_rms_norm(t, x, 1, NULL, 1e-5); }

/* [rows, n, width] -> [rows, HEADS, n, width / HEADS] */
static tg_tensor *heads(tg_tape *t, tg_tensor *x, tg_tensor *w)
{
    const tg_shape s = tg_tensor_shape(x);
    x = tg_reshape(t, tg_linear(t, x, w, NULL), TG_SHAPE(s.dim[0], s.dim[1], HEADS, -1));
    return tg_transpose(t, x, 1, 2);
}

/* [rows, n] tokens at positions 0..n-1 -> [rows n, VOCAB] */
static tg_tensor *logits(tg_tape *t, const gpt *m, tg_tensor *tokens)
{
    tg_tensor *places = tg_slice(t, m->wpe, 0, 0, tg_tensor_shape(tokens).dim[1], 1);
    tg_tensor *x = norm(t, tg_add(t, tg_embedding(t, m->wte, tokens), places)), *n = norm(t, x);
    tg_tensor *a =
        tg_attention(t, heads(t, n, m->wq), heads(t, n, m->wk), heads(t, n, m->wv), NULL, true);
    a = tg_reshape(t, tg_transpose(t, a, 1, 2), tg_tensor_shape(x));
    x = tg_add(t, x, tg_linear(t, a, m->wo, NULL));
    a = tg_relu(t, tg_linear(t, norm(t, x), m->up, NULL));
    x = tg_add(t, x, tg_linear(t, a, m->down, NULL));
    return tg_reshape(t, tg_linear(t, x, m->head, NULL), TG_SHAPE(-1, VOCAB));
}

/* BATCH names, in rows of an END and a name; and what comes next. Returns the columns. */
static int fill(int64_t *read, int64_t *next, int n_names)
{
    static uint64_t bits = 42; /* Marsaglia's xorshift */
    const char *name[BATCH];
    int columns = 0;
    for (int r = 0; r < BATCH; r++) {
        bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
        name[r] = names[bits % (uint64_t)n_names];
        if ((int)strlen(name[r]) >= columns) columns = (int)strlen(name[r]) + 1;
    }
    for (int r = 0; r < BATCH; r++)
        for (int i = 0, length = (int)strlen(name[r]); i < columns; i++) {
            read[r * columns + i] = i == 0 || i > length ? END : name[r][i - 1] - 'a';
            next[r * columns + i] = i < length ? name[r][i] - 'a' : i == length ? END : NOTHING;
        }
    return columns;
}

static void write_name(tg_tape *t, const gpt *m)
{
    int64_t read[BLOCK] = {END};
    for (int n = 1; n < BLOCK && tg_tape_status(t) == TG_OK; n++) {
        tg_tensor *z = logits(t, m, tg_input(t, TG_I64, TG_SHAPE(1, n), read));
        z = tg_scale(t, tg_select(t, z, 0, n - 1), 2); /* temperature 1/2 */
        const int64_t *drawn = tg_data(t, tg_categorical(t, z, 0));
        read[n] = drawn ? *drawn : END;
        tg_tape_reset(t);
        if (read[n] == END) break;
        putchar('a' + (int)read[n]);
    }
    putchar(' ');
}

int main(int n, char **word)
{
    int n_names = 0, steps = n > 3 ? atoi(word[3]) : 1000, width = n > 2 ? atoi(word[2]) : 16;
    FILE *f = fopen(n > 1 ? word[1] : "models/samples/names.txt", "r");
    while (f && n_names < NAMES && fscanf(f, "%15[a-z]%*[^a-z]", names[n_names]) == 1) n_names++;
    if (!n_names) return fputs("no names\n", stderr), 2;
    fclose(f);
    tg_params *ps = tg_params_new(NULL);
    const gpt m = gpt_new(ps, width);
    const tg_adam_options options = {.size = sizeof options, .beta1 = 0.85, .beta2 = 0.99};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    int64_t read[BATCH * BLOCK], next[BATCH * BLOCK];
    double mean = 0;
    for (int step = 0; step < steps; step++) {
        const int k = fill(read, next, n_names);
        tg_tensor *z = logits(t, &m, tg_input(t, TG_I64, TG_SHAPE(BATCH, k), read));
        tg_tensor *y = tg_input(t, TG_I64, TG_SHAPE(BATCH * k), next);
        tg_tensor *loss = tg_cross_entropy_loss(t, z, y, NULL, NOTHING, 0, TG_REDUCE_MEAN);
        tg_backward(t, loss);
        tg_optim_set_learning_rate(adam, 0.01 * (1 - (double)step / steps));
        tg_optim_step(adam);
        mean += tg_item(t, loss) / 250;
        tg_tape_reset(t);
        if (step % 250 == 249) printf("step %4d: loss %.3f\n", step + 1, mean), mean = 0;
    }
    for (int k = 0; k < 10; k++) write_name(t, &m);
    printf("\n%s", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
}

/* It prints
 *     step  250: loss 2.281
 *     step  500: loss 2.120
 *     step  750: loss 2.060
 *     step 1000: loss 2.011
 *     alessa beristia dori marene brand dania caranna marissa angel chellia
 */
