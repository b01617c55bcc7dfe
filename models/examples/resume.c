/* Saving a model of one's own with all that its training needs, and going on later as if nothing
 * had happened: to the last bit.
 *     cc -O2 models/examples/resume.c $(pkg-config --cflags --libs tapegrad) && ./a.out */
#include <stdio.h>
#include <string.h>

#include <tapegrad.h>

typedef struct training {
    tg_params *ps;
    tg_linear_layer in, out;
    tg_optim *adam;
    tg_tape *t;
} training;

static training training_new(uint64_t seed)
{
    training m = {
        tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = seed}),
        .t = tg_tape_new(NULL)};
    const tg_scope s = tg_scope_root(m.ps);
    m.in = tg_linear_layer_new(tg_scope_in(s, "in"), 2, 32, true);
    m.out = tg_linear_layer_new(tg_scope_in(s, "out"), 32, 1, true);
    m.adam = tg_adam_new(m.ps, &(tg_adam_options){.size = sizeof(tg_adam_options)});
    return m;
}

static void training_free(training *m)
{
    tg_tape_free(m->t), tg_optim_free(m->adam), tg_params_free(m->ps);
}

/* Steps on random data with dropout: both depend on the tape's step, which reset moves on. */
static double train(training *m, int steps)
{
    double loss = 0;
    for (int k = 0; k < steps; k++) {
        tg_tape *t = m->t;
        tg_tensor *x = tg_randn(t, TG_F32, TG_SHAPE(64, 2));
        tg_tensor *y = tg_prod(t, x, TG_AXES(1), true);
        tg_tensor *h = tg_dropout(t, tg_tanh(t, tg_linear_layer_apply(t, &m->in, x)), 0.05);
        tg_tensor *l = tg_mse_loss(t, tg_linear_layer_apply(t, &m->out, h), y, TG_REDUCE_MEAN);
        tg_backward(t, l);
        tg_optim_step(m->adam);
        loss = tg_item(t, l);
        tg_tape_reset(t);
    }
    return loss;
}

/* model.safetensors: the parameters, which other programs can read; training.npz: the optimizer's
 * state, "mean/in.weight" and so on, and the tape's step. */
static tg_status save(const training *m)
{
    tg_arrays *a = tg_arrays_new(NULL);
    for (int k = 0; k < tg_optim_state_count(m->adam); k++) {
        tg_optim_state s;
        char name[600];
        if (!tg_optim_state_get(m->adam, k, &s)) continue; /* it has not stepped yet */
        snprintf(name, sizeof name, "%s/%s", s.slot, s.param);
        tg_arrays_add(a, name, s.dtype, s.shape, s.data);
    }
    const int64_t step = (int64_t)tg_tape_step(m->t);
    tg_arrays_add(a, "tape", TG_I64, TG_SCALAR, &step);
    tg_status status = tg_arrays_write_npz(a, "training.npz");
    if (status != TG_OK) fprintf(stderr, "%s\n", tg_arrays_message(a));
    tg_arrays_free(a);
    return status ? status : tg_params_save(m->ps, "model.safetensors", NULL);
}

static tg_status load(training *m)
{
    tg_arrays *a = tg_arrays_new(NULL);
    tg_status status = tg_arrays_read(a, "training.npz");
    if (status != TG_OK) fprintf(stderr, "%s\n", tg_arrays_message(a));
    for (int64_t k = 0; k < tg_arrays_count(a); k++) {
        char name[600];
        snprintf(name, sizeof name, "%s", tg_arrays_name(a, k));
        char *slash = strchr(name, '/');
        if (!slash) {
            tg_tape_set_step(m->t, (uint64_t) * (const int64_t *)tg_arrays_data(a, k));
            continue;
        }
        *slash = 0;
        tg_optim_state_set(m->adam, &(tg_optim_state){slash + 1, name, tg_arrays_dtype(a, k),
                                                      tg_arrays_shape(a, k), tg_arrays_data(a, k)});
    }
    tg_arrays_free(a);
    return status ? status : tg_params_load(m->ps, "model.safetensors", NULL);
}

int main(void)
{
    training whole = training_new(1), first = training_new(1), second = training_new(2);
    const double at_once = train(&whole, 300);
    train(&first, 200);
    const bool saved = save(&first) == TG_OK, loaded = load(&second) == TG_OK;
    const double resumed = train(&second, 100);
    printf("300 steps at once: loss %.6f; saved after 200 and resumed: loss %.6f\n", at_once,
           resumed);
    const bool same = !memcmp(tg_param_data(whole.in.weight), tg_param_data(second.in.weight),
                              64 * sizeof(float));
    printf("the same weights: %s\n", same ? "yes" : "no");
    if (tg_params_status(second.ps)) fprintf(stderr, "%s\n", tg_params_message(second.ps));
    training_free(&second), training_free(&first), training_free(&whole);
    return saved && loaded && same && at_once == resumed ? 0 : 1;
}

/* It prints
 *     300 steps at once: loss 0.669787; saved after 200 and resumed: loss 0.669787
 *     the same weights: yes
 */
