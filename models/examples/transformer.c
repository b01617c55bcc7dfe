/* A transformer like Llama (rotary positions, RMS norms, gated layers) learns to write sonnets.
 *     cc -O2 models/examples/transformer.c $(pkg-config --cflags --libs tapegrad)
 * ./a.out short: a thirtieth of the work. */
#include <stdio.h>
#include <string.h>
#include <tapegrad.h>

enum { BLOCKS = 2, WIDTH = 64, HEADS = 4, GATED = 128, SPAN = 64, BATCH = 16, LETTERS = 96 };
static char text[1 << 16];
static int64_t letter_of(int c) { return c == '\n' ? 0 : c >= ' ' && c < 127 ? c - ' ' + 1 : 1; }

typedef struct net {
    tg_tensor *table, *norm;
    struct block {
        tg_tensor *norm1, *norm2, *qkv, *out, *up, *down;
    } block[BLOCKS];
} net;

static net net_new(tg_params *ps)
{
    const tg_scope root = tg_scope_root(ps);
    const tg_init ones = {.kind = TG_ONES}, normal = {.kind = TG_NORMAL, .b = 0.1};
    net m = {tg_scope_param(root, "table", TG_SHAPE(LETTERS, WIDTH), normal),
             tg_scope_param(root, "norm", TG_SHAPE(WIDTH), ones),
             {{0}}};
    for (int k = 0; k < BLOCKS; k++) {
        const tg_scope s = tg_scope_at(root, "block", k);
        m.block[k] = (struct block){tg_scope_param(s, "norm1", TG_SHAPE(WIDTH), ones),
                                    tg_scope_param(s, "norm2", TG_SHAPE(WIDTH), ones),
                                    tg_scope_param(s, "qkv", TG_SHAPE(3 * WIDTH, WIDTH), normal),
                                    tg_scope_param(s, "out", TG_SHAPE(WIDTH, WIDTH), normal),
                                    tg_scope_param(s, "up", TG_SHAPE(2 * GATED, WIDTH), normal),
                                    tg_scope_param(s, "down", TG_SHAPE(WIDTH, GATED), normal)};
    }
    return m;
}

/* Letters [rows, n] -> logits of the next ones [rows n, LETTERS] */
static tg_tensor *logits(tg_tape *t, const net *m, tg_tensor *letters)
{
    const tg_shape s = tg_tensor_shape(letters);
    tg_tensor *place = tg_arange(t, TG_I64, 0, (double)s.dim[1], 1);
    tg_tensor *x = tg_embedding(t, m->table, letters);
    for (int k = 0; k < BLOCKS; k++) {
        const struct block *b = &m->block[k];
        tg_tensor *h = tg_linear(t, tg_rms_norm(t, x, 1, b->norm1, 1e-5), b->qkv, NULL);
        h = tg_reshape(t, h, TG_SHAPE(s.dim[0], s.dim[1], 3, HEADS, WIDTH / HEADS));
        h = tg_permute(t, h, TG_AXES(2, 0, 3, 1, 4)); /* q, k and v: [rows, heads, n, width] */
        tg_tensor *q = tg_rotary_embedding(t, tg_select(t, h, 0, 0), place, 10000, false);
        tg_tensor *key = tg_rotary_embedding(t, tg_select(t, h, 0, 1), place, 10000, false);
        h = tg_attention(t, q, key, tg_select(t, h, 0, 2), NULL, true);
        h = tg_reshape(t, tg_transpose(t, h, 1, 2), tg_tensor_shape(x));
        x = tg_add(t, x, tg_linear(t, h, b->out, NULL));
        h = tg_linear(t, tg_rms_norm(t, x, 1, b->norm2, 1e-5), b->up, NULL);
        x = tg_add(t, x, tg_linear(t, tg_swiglu(t, h, -1), b->down, NULL));
    }
    x = tg_reshape(t, tg_rms_norm(t, x, 1, m->norm, 1e-5), TG_SHAPE(-1, WIDTH));
    return tg_linear(t, x, m->table, NULL);
}

/* The mean loss of the next letter in BATCH places of the text, `at` and on, evenly apart */
static tg_tensor *loss(tg_tape *t, const net *m, int size, int at)
{
    int64_t letter[BATCH * SPAN], next[BATCH * SPAN];
    for (int k = 0; k < BATCH * SPAN; k++) {
        const char *now = text + (k / SPAN * (size / BATCH) + at + k % SPAN) % (size - 1);
        letter[k] = letter_of(now[0]);
        next[k] = letter_of(now[1]);
    }
    tg_tensor *z = logits(t, m, tg_input(t, TG_I64, TG_SHAPE(BATCH, SPAN), letter));
    return tg_cross_entropy(t, z, tg_input(t, TG_I64, TG_SHAPE(BATCH * SPAN), next));
}

int main(int n, char **word)
{
    const int steps = n > 1 && !strcmp(word[1], "short") ? 25 : 800;
    FILE *f = fopen("models/samples/sonnets.txt", "r");
    const int size = f ? (int)fread(text, 1, sizeof text, f) : 0;
    if (!f || fclose(f) || size < 2 * SPAN) return fputs("no text\n", stderr), 2;
    tg_params *ps = tg_params_new(NULL);
    const net m = net_new(ps);
    tg_optim *adam = tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options)});
    tg_tape *t = tg_tape_new(NULL);
    double mean = 0;
    for (int step = 1; step <= steps; step++) {
        tg_tensor *l = loss(t, &m, size, step * 37 % (size / BATCH));
        tg_backward(t, l);
        tg_optim_set_learning_rate(adam, 5e-3 * tg_schedule_warmup_linear(step, 20, steps + 1));
        tg_optim_step(adam);
        mean = step == 1 ? tg_item(t, l) : 0.9 * mean + 0.1 * tg_item(t, l);
        tg_tape_reset(t);
        if (step % (steps / 5) == 0) printf("step %4d: loss %.2f\n", step, mean);
    }
    int64_t said[SPAN] = {0};
    for (int k = 0; k < 250 && tg_tape_status(t) == TG_OK; k++) { /* it sees SPAN letters */
        tg_tensor *z = logits(t, &m, tg_input(t, TG_I64, TG_SHAPE(1, SPAN), said));
        z = tg_categorical(t, tg_scale(t, tg_select(t, z, 0, -1), 1 / 0.6), 0);
        const int64_t *drawn = tg_data(t, z);
        memmove(said, said + 1, sizeof said - sizeof said[0]);
        said[SPAN - 1] = drawn ? *drawn : 0;
        putchar(drawn && *drawn ? (int)*drawn - 1 + ' ' : '\n');
        tg_tape_reset(t);
    }
    printf("\n%s", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return mean < (steps == 25 ? 3.4 : 1.6) ? 0 : 1;
}
/* It prints
 *     step  160: loss 2.12
 *     step  320: loss 1.83
 *     step  480: loss 1.65
 *     step  640: loss 1.52
 *     step  800: loss 1.39
 *     O!Ast Where Inowed be Theary my patter whereine,
 *     Which dear the this thou here my strore,
 *     And thou that as with thou stain sweet shall will;
 *     That you should with worth steal thine in should thee,
 *     Then of thine and endsight, beauty's leavely see doth
 */
