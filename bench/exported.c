/* W12: what tg_export_c prints, compiled by cc -O3, beside the library and a loop written
 * by hand: a step of the seed net, and the prediction of one row by a 784-128-10 net. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct exported {
    char folder[64];
    void *library, *function, *scratch;
    long scratch_bytes, code_bytes;
} exported;

/* The number behind `before` in the first line of the output of a command, or of a file, that has
 * it. */
static long number_in(FILE *in, const char *before)
{
    char line[4096];
    long n = 0;
    while (in && fgets(line, sizeof line, in)) {
        const char *at = strstr(line, before);
        if (at && !n) n = strtol(at + strlen(before), NULL, 10);
    }
    return n;
}

static void export_compiled(exported *e, tg_tape *t, int n_in, const tg_export_value *in, int n_out,
                            const tg_export_value *out)
{
    char path[128], command[512];
    snprintf(e->folder, sizeof e->folder, "/tmp/tapegrad-bench-XXXXXX");
    die_unless(mkdtemp(e->folder) != NULL, "no folder for an exported file");
    snprintf(path, sizeof path, "%s/f.c", e->folder);
    tg_export_c(t, path,
                &(tg_export_options){.size = sizeof(tg_export_options),
                                     .name = "exported",
                                     .n_in = n_in,
                                     .n_out = n_out,
                                     .in = in,
                                     .out = out});
    tape_must_be_good(t);
    FILE *source = fopen(path, "r");
    e->scratch_bytes = number_in(source, "#define exported_SCRATCH ");
    if (source) fclose(source);
    snprintf(command, sizeof command,
             "cd %s && cc -std=c99 -O3 -fPIC -shared f.c -o f.so -lm && size -A f.so", e->folder);
    FILE *sizes = popen(command, "r");
    e->code_bytes = number_in(sizes, ".text");
    die_unless(sizes && pclose(sizes) == 0, "an exported file does not compile");
    snprintf(path, sizeof path, "%s/f.so", e->folder);
    e->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    e->function = e->library ? dlsym(e->library, "exported") : NULL;
    die_unless(e->function != NULL, "an exported file does not load");
    e->scratch = bench_memory(e->scratch_bytes + 64);
}

static void exported_close(exported *e)
{
    char path[128];
    static const char *const files[] = {"/f.c", "/f.so", ""};
    dlclose(e->library);
    free(e->scratch);
    for (int k = 0; k < COUNT(files); k++) {
        snprintf(path, sizeof path, "%s%s", e->folder, files[k]);
        remove(path);
    }
}

static void show(const char *name, timing value, const exported *e)
{
    char note[96] = "";
    if (e)
        snprintf(note, sizeof note, "%ld bytes of code, %ld of scratch", e->code_bytes,
                 e->scratch_bytes);
    figure_show(&(figure){.name = name, .threads = 1, .value = value, .unit = "us", .note = note});
}

/* ---------------------------------------------------------------- the seed net's step */

enum { MOST_ROWS = 100 };

typedef int step_fn(const float *x, const float *y, const float *w1, const float *b1,
                    const float *w2, const float *b2, float *w1_next, float *b1_next,
                    float *w2_next, float *b2_next, float *loss, void *scratch);
typedef struct seed {
    int rows;
    float x[MOST_ROWS * 3], y[MOST_ROWS], loss;
    seed_net net, by_hand;
    step_fn *step;
    exported e;
} seed;

static void step_exported(void *user)
{
    seed *s = user;
    seed_net *m = &s->net;
    s->step(s->x, s->y, m->w1[0], m->b1, m->w2, &m->b2, m->w1[0], m->b1, m->w2, &m->b2, &s->loss,
            s->e.scratch);
}
static void step_by_hand(void *user)
{
    seed *s = user;
    s->loss = reference_seed_step(&s->by_hand, s->rows, s->x, s->y);
}

static void export_step(seed *s, tg_tape *t)
{
    const tg_shape shape[6] = {TG_SHAPE(s->rows, 3), TG_SHAPE(s->rows, 1), TG_SHAPE(4, 3),
                               TG_SHAPE(4),          TG_SHAPE(1, 4),       TG_SHAPE(1)};
    float *const data[6] = {s->x, s->y, s->net.w1[0], s->net.b1, s->net.w2, &s->net.b2};
    static const char *const names[] = {"x",  "y",  "w1", "b1", "w2",  "b2",
                                        "v1", "c1", "v2", "c2", "loss"};
    tg_tensor *x[6], *g[4];
    tg_export_value in[6], out[5];
    for (int k = 0; k < 6; k++)
        in[k] = (tg_export_value){names[k], x[k] = tg_input(t, TG_F32, shape[k], data[k])};
    tg_tensor *h = tg_sigmoid(t, tg_linear(t, x[0], x[2], x[3]));
    tg_tensor *p = tg_sigmoid(t, tg_linear(t, h, x[4], x[5]));
    tg_tensor *loss = tg_bce_loss(t, p, x[1], TG_REDUCE_MEAN);
    tg_grad(t, loss, NULL, 4, x + 2, g, false);
    for (int k = 0; k < 4; k++)
        out[k] = (tg_export_value){names[6 + k], tg_sub(t, x[2 + k], tg_scale(t, g[k], 0.1))};
    out[4] = (tg_export_value){names[10], loss};
    export_compiled(&s->e, t, 6, in, 5, out);
    memcpy(&s->step, &s->e.function, sizeof s->step);
}

static void seed_rows(int rows)
{
    char name[64];
    seed s = {.rows = rows};
    fill_uniform(3 * rows, s.x, 1);
    for (int i = 0; i < rows; i++) s.y[i] = s.x[3 * i] + s.x[3 * i + 1] + s.x[3 * i + 2] > 0;
    fill_uniform((int64_t)(sizeof s.net / sizeof(float)), s.net.w1[0], 2);
    s.by_hand = s.net;
    tg_tape *t = tape_with(1);
    export_step(&s, t);
    for (int k = 0; k < 10; k++) step_exported(&s), step_by_hand(&s);
    die_unless(fabs((double)s.net.w2[2] - (double)s.by_hand.w2[2]) < 1e-4,
               "the exported step learns something else");
    snprintf(name, sizeof name, "w12.n%d.exported", rows);
    show(name, bench_time(step_exported, &s, 1), &s.e);
    snprintf(name, sizeof name, "w12.n%d.by_hand", rows);
    show(name, bench_time(step_by_hand, &s, 1), NULL);
    tg_tape_free(t);
    exported_close(&s.e);
}

/* ---------------------------------------------------------------- one row's prediction */

enum { IN = 784, HIDDEN = 128, OUT = 10 };

typedef int predict_fn(const float *row, float *p, void *scratch);
typedef struct classifier {
    tg_tape *t;
    tg_tensor *x;
    float row[IN], w1[HIDDEN * IN], b1[HIDDEN], w2[OUT * HIDDEN], b2[OUT], out[OUT];
    predict_fn *predict;
    exported e;
} classifier;

static void predict_exported(void *user)
{
    classifier *c = user;
    c->predict(c->row, c->out, c->e.scratch);
}

static tg_tensor *record_prediction(classifier *c)
{
    tg_tape *t = c->t;
    c->x = tg_input(t, TG_F32, TG_SHAPE(1, IN), c->row);
    tg_tensor *w1 = tg_input_borrow(t, TG_F32, TG_SHAPE(HIDDEN, IN), c->w1),
              *b1 = tg_input_borrow(t, TG_F32, TG_SHAPE(HIDDEN), c->b1),
              *w2 = tg_input_borrow(t, TG_F32, TG_SHAPE(OUT, HIDDEN), c->w2),
              *b2 = tg_input_borrow(t, TG_F32, TG_SHAPE(OUT), c->b2);
    return tg_softmax(t, tg_linear(t, tg_relu(t, tg_linear(t, c->x, w1, b1)), w2, b2), 1);
}

static void predict_recorded(void *user)
{
    classifier *c = user;
    tg_data(c->t, record_prediction(c));
    tg_tape_reset(c->t);
}

static void predict_by_hand(void *user)
{
    classifier *c = user;
    float h[HIDDEN], sum = 0;
    for (int i = 0; i < HIDDEN; i++) {
        float z = c->b1[i];
        for (int j = 0; j < IN; j++) z += c->w1[i * IN + j] * c->row[j];
        h[i] = z > 0 ? z : 0;
    }
    for (int i = 0; i < OUT; i++) {
        float z = c->b2[i];
        for (int j = 0; j < HIDDEN; j++) z += c->w2[i * HIDDEN + j] * h[j];
        sum += c->out[i] = expf(z);
    }
    for (int i = 0; i < OUT; i++) c->out[i] /= sum;
}

static void prediction(void)
{
    classifier *c = bench_memory(sizeof *c);
    *c = (classifier){.t = tape_with(1)};
    fill_uniform(IN, c->row, 3);
    fill_uniform(HIDDEN * IN, c->w1, 4);
    fill_uniform(OUT * HIDDEN, c->w2, 5);
    for (int k = 0; k < HIDDEN * IN; k++) c->w1[k] /= 16;
    for (int k = 0; k < OUT * HIDDEN; k++) c->w2[k] /= 8;
    tg_tape *t = c->t;
    tg_tensor *y = record_prediction(c);
    const tg_export_value in = {"row", c->x}, out = {"p", y};
    export_compiled(&c->e, t, 1, &in, 1, &out);
    memcpy(&c->predict, &c->e.function, sizeof c->predict);
    const float *p = tg_data(t, y);
    predict_exported(c);
    die_unless(p && fabs((double)c->out[3] - (double)p[3]) < 1e-5, "it predicts something else");
    show("w12.row.exported", bench_time(predict_exported, c, 1), &c->e);
    tg_tape_reset(t);
    show("w12.row.recorded", bench_time(predict_recorded, c, 1), NULL);
    show("w12.row.by_hand", bench_time(predict_by_hand, c, 1), NULL);
    tape_must_be_good(t);
    tg_tape_free(t);
    exported_close(&c->e);
    free(c);
}

void bench_w12(void)
{
    seed_rows(100);
    seed_rows(4);
    prediction();
}
