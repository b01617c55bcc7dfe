/* A recurrent net (LSTM) reads Shakespeare's sonnets letter by letter, and goes on in his manner.
 *     cc -O2 models/examples/lstm.c $(pkg-config --cflags --libs tapegrad)
 * ./a.out short: a thirtieth of the work. ./a.out FILE: another text. */
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { LENGTH = 40, BATCH = 32, LETTERS = 96, WIDTH = 96, LONGEST = 1 << 20 };

typedef struct net {
    tg_tensor *table; /* what a letter is to the net */
    tg_cell cell;
    tg_linear_layer out;
} net;

static net net_new(tg_params *ps)
{
    const tg_init init = {.kind = TG_LINEAR_DEFAULT, .a = WIDTH},
                  normal = {.kind = TG_NORMAL, .b = 1};
    return (net){tg_param_new(ps, "table", TG_F32, TG_SHAPE(LETTERS, 32), normal),
                 {tg_param_new(ps, "w_x", TG_F32, TG_SHAPE(4 * WIDTH, 32), init),
                  tg_param_new(ps, "w_h", TG_F32, TG_SHAPE(4 * WIDTH, WIDTH), init),
                  tg_param_new(ps, "b", TG_F32, TG_SHAPE(4 * WIDTH), init), NULL},
                 tg_linear_layer_new(tg_scope_in(tg_scope_root(ps), "out"), WIDTH, LETTERS, true)};
}

/* One letter for each row: logits of the next one; *state [rows, 2 WIDTH] moves on. */
static tg_tensor *read_letter(tg_tape *t, const net *m, tg_tensor *letter, tg_tensor **state)
{
    *state = tg_lstm_cell(t, tg_embedding(t, m->table, letter), *state, m->cell);
    return tg_linear_layer_apply(t, &m->out, tg_slice(t, *state, 1, 0, WIDTH, 1));
}

static int64_t letter_of(int c) { return c == '\n' ? 0 : c >= ' ' && c < 127 ? c - ' ' + 1 : 1; }

static char text[LONGEST];

/* The mean loss of LENGTH letters in BATCH places of the text, `at` and on, evenly apart */
static tg_tensor *loss(tg_tape *t, const net *m, int size, int at)
{
    int64_t letter[LENGTH + 1][BATCH];
    for (int i = 0; i <= LENGTH; i++)
        for (int k = 0; k < BATCH; k++)
            letter[i][k] = letter_of(text[(k * (size / BATCH) + at + i) % size]);
    tg_tensor *state = tg_zeros(t, TG_F32, TG_SHAPE(BATCH, 2 * WIDTH)), *z[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        z[i] = read_letter(t, m, tg_input(t, TG_I64, TG_SHAPE(BATCH), letter[i]), &state);
    tg_tensor *next = tg_input(t, TG_I64, TG_SHAPE(LENGTH * BATCH), letter[1]);
    return tg_cross_entropy(t, tg_concat(t, LENGTH, z, 0), next);
}

/* Draws letters, each told to the net again, at temperature 0.6; lines end at column 60. */
static void write(tg_tape *t, const net *m, int letters)
{
    float memory[2 * WIDTH] = {0};
    int64_t letter = letter_of('\n');
    for (int k = 0, column = 0; k < letters; k++) {
        tg_tensor *state = tg_input(t, TG_F32, TG_SHAPE(1, 2 * WIDTH), memory);
        tg_tensor *z = read_letter(t, m, tg_input(t, TG_I64, TG_SHAPE(1), &letter), &state);
        tg_tensor *drawn = tg_categorical(t, tg_scale(t, z, 1 / 0.6), 1);
        tg_eval(t, 2, ((tg_tensor *[]){drawn, state}));
        const int64_t *next = tg_data(t, drawn);
        if (!next) break;
        letter = *next;
        memcpy(memory, tg_data(t, state), sizeof memory);
        const bool end = letter == 0 || (letter == letter_of(' ') && column > 60);
        putchar(end ? '\n' : (int)letter - 1 + ' ');
        column = end ? 0 : column + 1;
        tg_tape_reset(t);
    }
    putchar('\n');
}

int main(int n, char **word)
{
    const bool brief = n > 1 && !strcmp(word[1], "short");
    const int steps = brief ? 50 : 1500;
    FILE *f = fopen(n > 1 && !brief ? word[1] : "models/samples/sonnets.txt", "r");
    const int size = f ? (int)fread(text, 1, LONGEST, f) : 0;
    if (size < LENGTH * BATCH) return fputs("no text\n", stderr), 2;
    fclose(f);
    tg_params *ps = tg_params_new(NULL);
    const net m = net_new(ps);
    const tg_adam_options options = {.size = sizeof options, .learning_rate = 5e-3};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    double mean = 0;
    for (int step = 1; step <= steps; step++) {
        tg_tensor *l = loss(t, &m, size, step * 17 % (size / BATCH));
        tg_backward(t, l);
        tg_clip_grad_norm(ps, 1);
        tg_optim_set_learning_rate(adam, 5e-3 * tg_schedule_cosine(step, steps, 0.05));
        tg_optim_step(adam);
        mean += tg_item(t, l) / (steps / 5);
        tg_tape_reset(t);
        if (step % (steps / 5)) continue;
        printf("step %4d: loss %.2f\n", step, mean);
        if (step < steps) mean = 0;
    }
    write(t, &m, 240);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return mean < (brief ? 3.2 : 1.6) ? 0 : 1;
}

/* It prints
 *     step  300: loss 2.23
 *     step  600: loss 1.79
 *     step  900: loss 1.65
 *     step 1200: loss 1.57
 *     step 1500: loss 1.53
 *     When that thou firse many what stand the surment in lends time?
 *     Yet a love's I and sweet,
 *     Sompered on the worth my mays what should when eaven hath thou
 *     shall to their glains,
 *     Who do all own the toirself, the of morine
 *     To thy self youth the
 */
