/* Several tapes on several threads: each takes a part of the batch and its gradients on a tape of
 * its own; they are added in the order of the parts: the number of threads changes no bit.
 *     cc -O2 -pthread models/examples/threads.c $(pkg-config --cflags --libs tapegrad)
 *     ./a.out */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { PARTS = 4, ROWS = 64, IN = 16, WIDTH = 64, TENSORS = 4, MOST = WIDTH * WIDTH, STEPS = 100 };

typedef struct part {
    tg_tape *tape;
    tg_tensor *const *w; /* shared by all, read by all */
    const float *x, *y;
    float grad[TENSORS][MOST];
    double loss;
    bool failed;
} part;

static void compute(part *p)
{
    tg_tape *t = p->tape;
    tg_tensor *x = tg_input_borrow(t, TG_F32, TG_SHAPE(ROWS, IN), p->x), *g[TENSORS];
    tg_tensor *h = tg_tanh(t, tg_linear(t, x, p->w[0], p->w[1]));
    tg_tensor *out = tg_linear(t, h, p->w[2], p->w[3]);
    tg_tensor *y = tg_input_borrow(t, TG_F32, TG_SHAPE(ROWS, 1), p->y);
    tg_tensor *loss = tg_mse_loss(t, out, y, TG_REDUCE_SUM), *all[TENSORS + 1] = {loss};
    tg_grad(t, loss, NULL, TENSORS, p->w, g, false); /* not tg_backward: parameters are shared */
    memcpy(all + 1, g, sizeof g);
    tg_eval(t, TENSORS + 1, all); /* in one go */
    p->loss = tg_item(t, loss);
    for (int k = 0; k < TENSORS; k++) {
        const float *from = tg_data(t, g[k]);
        if (from) memcpy(p->grad[k], from, (size_t)tg_tensor_count(g[k]) * sizeof *from);
    }
    p->failed = tg_tape_status(t) != TG_OK;
    tg_tape_reset(t);
}

typedef struct worker {
    part *parts;
    int first, step;
} worker;

static void *work(void *user)
{
    const worker *w = user;
    for (int k = w->first; k < PARTS; k += w->step) compute(&w->parts[k]);
    return NULL;
}

/* Trains with that many threads; returns the last loss, and a parameter's bits. */
static double train(int threads, const float *x, const float *y, uint32_t *bits)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_init init = {.kind = TG_LINEAR_DEFAULT, .a = IN};
    tg_tensor *w[TENSORS] = {tg_param_new(ps, "w1", TG_F32, TG_SHAPE(WIDTH, IN), init),
                             tg_param_new(ps, "b1", TG_F32, TG_SHAPE(WIDTH), init),
                             tg_param_new(ps, "w2", TG_F32, TG_SHAPE(1, WIDTH), init),
                             tg_param_new(ps, "b2", TG_F32, TG_SHAPE(1), init)};
    const tg_sgd_options options = {.size = sizeof options, .learning_rate = 2e-4, .momentum = 0.9};
    tg_optim *sgd = tg_sgd_new(ps, &options);
    static part parts[PARTS];
    for (int k = 0; k < PARTS; k++)
        parts[k] =
            (part){.tape = tg_tape_new(NULL), .w = w, .x = x + k * ROWS * IN, .y = y + k * ROWS};
    double loss = 0;
    for (int step = 0; step < STEPS; step++) {
        pthread_t thread[PARTS];
        worker at[PARTS];
        bool started[PARTS] = {false};
        for (int k = 0; k < threads; k++) {
            at[k] = (worker){parts, k, threads};
            started[k] = k > 0 && pthread_create(&thread[k], NULL, work, &at[k]) == 0;
        }
        for (int k = 0; k < threads; k++) /* this thread does what no other one does */
            if (!started[k]) work(&at[k]);
        for (int k = 0; k < threads; k++)
            if (started[k]) pthread_join(thread[k], NULL);
        loss = 0;
        for (int k = 0; k < PARTS; k++) {
            if (parts[k].failed) fprintf(stderr, "%s\n", tg_tape_message(parts[k].tape));
            for (int i = 0; i < TENSORS; i++) tg_param_add_grad(w[i], parts[k].grad[i]);
            loss += parts[k].loss / (PARTS * ROWS);
        }
        tg_optim_step(sgd);
    }
    memcpy(bits, tg_param_data(w[0]), sizeof *bits);
    for (int k = 0; k < PARTS; k++) tg_tape_free(parts[k].tape);
    tg_optim_free(sgd), tg_params_free(ps);
    return loss;
}

int main(void)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_randn(t, TG_F32, TG_SHAPE(PARTS * ROWS, IN));
    tg_tensor *y = tg_sin(t, tg_sum(t, tg_slice(t, x, 1, 0, 2, 1), TG_AXES(1), false));
    tg_eval(t, 2, ((tg_tensor *[]){x, y}));
    uint32_t bits[3] = {0};
    double loss[3] = {0};
    for (int k = 0; k < 3; k++) loss[k] = train(1 << k, tg_data(t, x), tg_data(t, y), &bits[k]);
    const bool same = bits[0] == bits[1] && bits[1] == bits[2] && loss[0] == loss[2];
    printf("loss %.4f with 1 thread, %.4f with 2, %.4f with 4\n", loss[0], loss[1], loss[2]);
    printf("the same bits: %s\n", same ? "yes" : "no");
    tg_tape_free(t);
    return same && loss[0] < 0.2 ? 0 : 1;
}

/* It prints
 *     loss 0.0097 with 1 thread, 0.0097 with 2, 0.0097 with 4
 *     the same bits: yes
 */
