/* Policy gradients (Williams 1992): a net learns to balance a pole on a cart by pushing left or
 * right, from nothing but how long it stood.
 *     cc -O2 models/examples/policy_gradient.c $(pkg-config --cflags --libs tapegrad) -lm
 * ./a.out short: a fifth of the work. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

enum { STATE = 4, CARTS = 16, LONGEST = 200, ROOM = CARTS * LONGEST };

typedef struct net {
    tg_linear_layer in, out;
} net;

static tg_tensor *logits(tg_tape *t, const net *m, tg_tensor *x)
{
    return tg_linear_layer_apply(t, &m->out, tg_tanh(t, tg_linear_layer_apply(t, &m->in, x)));
}

/* Place, speed, angle and its speed after 0.02 s under a push of 10 N; Barto, Sutton and Anderson
 * 1983. False when the pole has fallen or the cart has left the track. */
static bool push(float s[STATE], bool right)
{
    const float force = right ? 10 : -10, sine = sinf(s[2]), cosine = cosf(s[2]);
    const float pull = (force + 0.05F * s[3] * s[3] * sine) / 1.1F;
    const float turn =
        (9.8F * sine - cosine * pull) / (0.5F * (4.0F / 3 - 0.1F * cosine * cosine / 1.1F));
    const float go = pull - 0.05F * turn * cosine / 1.1F;
    const float rate[STATE] = {s[1], go, s[3], turn};
    for (int k = 0; k < STATE; k++) s[k] += 0.02F * rate[k];
    return fabsf(s[0]) < 2.4F && fabsf(s[2]) < 0.21F;
}

typedef struct experience {
    int n;
    float state[ROOM][STATE], worth[ROOM]; /* how much longer it stood, normalised */
    int64_t action[ROOM];
} experience;

/* CARTS carts side by side, pushed as the net draws; returns the mean time that the poles stood. */
static double balance(tg_tape *t, const net *m, experience *e)
{
    static float now[CARTS][STATE];
    static int owner[ROOM], since[ROOM];
    int end[CARTS] = {0}, standing = CARTS;
    const float *start = tg_data(t, tg_rand(t, TG_F32, TG_SHAPE(CARTS, STATE)));
    for (int k = 0; start && k < CARTS * STATE; k++)
        now[k / STATE][k % STATE] = 0.1F * start[k] - 0.05F;
    tg_tape_reset(t);
    bool fallen[CARTS] = {false};
    e->n = 0;
    for (int time = 0; time < LONGEST && standing; time++) {
        tg_tensor *z = logits(t, m, tg_input(t, TG_F32, TG_SHAPE(CARTS, STATE), now));
        const int64_t *drawn = tg_data(t, tg_categorical(t, z, 1));
        for (int k = 0; drawn && k < CARTS; k++) {
            if (fallen[k]) continue;
            memcpy(e->state[e->n], now[k], sizeof now[k]);
            e->action[e->n] = drawn[k];
            owner[e->n] = k, since[e->n++] = time;
            fallen[k] = !push(now[k], drawn[k]);
            end[k] = time + 1;
            standing -= fallen[k];
        }
        tg_tape_reset(t);
    }
    double mean = 0, square = 0;
    for (int k = 0; k < e->n; k++) {
        e->worth[k] = (float)(1 - pow(0.98, end[owner[k]] - since[k]));
        mean += (double)e->worth[k] / e->n;
        square += (double)(e->worth[k] * e->worth[k]) / e->n;
    }
    const double deviation = sqrt(square - mean * mean) + 1e-6;
    for (int k = 0; k < e->n; k++) e->worth[k] = (float)(((double)e->worth[k] - mean) / deviation);
    return (double)e->n / CARTS;
}

int main(int n, char **word)
{
    const int rounds = n > 1 && !strcmp(word[1], "short") ? 20 : 100;
    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const net m = {tg_linear_layer_new(tg_scope_in(s, "in"), STATE, 32, true),
                   tg_linear_layer_new(tg_scope_in(s, "out"), 32, 2, true)};
    const tg_adam_options options = {.size = sizeof options, .learning_rate = 0.01};
    tg_optim *adam = tg_adam_new(ps, &options);
    tg_tape *t = tg_tape_new(NULL);
    static experience e;
    double stood = 0;
    for (int round = 0; round <= rounds; round++) {
        stood = balance(t, &m, &e);
        if (round % (rounds / 5) == 0)
            printf("round %3d: the poles stand for %.0f steps\n", round, stood);
        tg_tensor *z = logits(t, &m, tg_input_borrow(t, TG_F32, TG_SHAPE(e.n, STATE), e.state));
        tg_tensor *action = tg_input_borrow(t, TG_I64, TG_SHAPE(e.n), e.action);
        tg_tensor *surprise =
            tg_cross_entropy_loss(t, z, action, NULL, TG_NO_INDEX, 0, TG_REDUCE_NONE);
        tg_tensor *worth = tg_input_borrow(t, TG_F32, TG_SHAPE(e.n), e.worth);
        tg_backward(t, tg_mean_all(t, tg_mul(t, surprise, worth)));
        tg_optim_step(adam);
        tg_tape_reset(t);
    }
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_optim_free(adam), tg_params_free(ps);
    return stood > (rounds == 20 ? 30 : 150) ? 0 : 1;
}

/* It prints
 *     round   0: the poles stand for 19 steps
 *     round  20: the poles stand for 134 steps
 *     round  40: the poles stand for 194 steps
 *     round  60: the poles stand for 152 steps
 *     round  80: the poles stand for 193 steps
 *     round 100: the poles stand for 200 steps
 */
