/* tapegrad-demo: the net of many introductions (three inputs, a hidden layer of four, one output;
 * dropout; binary cross-entropy), made from parameters and ops by hand, and drawn step by step.
 * With a folder as argument it also leaves pictures there, if Graphviz and gnuplot are
 * installed. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tapegrad.h>

#include "program_allocator.h"

enum { ROWS = 8, INPUTS = 3, HIDDEN = 4, STEPS = 600, SAMPLES = 60 };

/* Is exactly one of the first two inputs on? The third one has nothing to do with it. No line
 * divides the ones from the zeros, so a hidden layer is needed. */
static const float inputs[ROWS][INPUTS] = {{0, 0, 0}, {0, 0, 1}, {0, 1, 0}, {0, 1, 1},
                                           {1, 0, 0}, {1, 0, 1}, {1, 1, 0}, {1, 1, 1}};
static const float targets[ROWS] = {0, 0, 1, 1, 1, 1, 0, 0};

typedef struct net {
    tg_tensor *w1, *b1, *w2, *b2;
} net;

/* Handles of one step's tensors. */
typedef struct step {
    tg_tensor *hidden, *kept, *logits, *p, *loss;
} step;

static step record(tg_tape *t, const net *m)
{
    step s;
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(ROWS, INPUTS), inputs);
    tg_tensor *y = tg_input(t, TG_F32, TG_SHAPE(ROWS, 1), targets);
    s.hidden = tg_sigmoid(t, tg_linear(t, x, m->w1, m->b1));
    s.kept = tg_dropout(t, s.hidden, 0.1);
    s.logits = tg_linear(t, s.kept, m->w2, m->b2);
    s.p = tg_sigmoid(t, s.logits);
    s.loss = tg_bce_with_logits(t, s.logits, y);
    return s;
}

/* ---------------------------------------------------------------- drawing with characters */

static void title(const char *text) { printf("\n%s\n", text); }

static void print_matrix(const char *name, const float *x, int rows, int columns, bool across)
{
    for (int i = 0; i < rows; i++) {
        printf("    %-14s", i ? "" : name);
        for (int k = 0; k < columns; k++)
            printf(" %8.4f", (double)(across ? x[k * rows + i] : x[i * columns + k]));
        putchar('\n');
    }
}

static void print_parameter(tg_tensor *p, const float *x)
{
    const tg_shape s = tg_tensor_shape(p);
    char name[512];
    snprintf(name, sizeof name, "%s %s", tg_param_name(p), tg_shape_text(s).text);
    print_matrix(name, x, s.ndim == 2 ? (int)s.dim[0] : 1, (int)s.dim[s.ndim - 1], false);
}

/* The losses so far as a curve; the axis ends at `top`. */
static void print_curve(const double *loss, int n, double top)
{
    enum { HEIGHT = 12 };
    for (int row = HEIGHT - 1; row >= 0; row--) {
        if (row % 4 == 3) printf("    %5.2f |", top * (row + 1) / HEIGHT);
        else printf("          |");
        for (int k = 0; k < n; k++) {
            const double height = loss[k] / top * HEIGHT;
            putchar(height >= row + 1     ? ' '
                    : height >= row + 0.5 ? '\''
                    : height >= row       ? '.'
                                          : ' ');
        }
        putchar('\n');
    }
    printf("     0.00 +");
    for (int k = 0; k < SAMPLES; k++) putchar('-');
    printf("  %d steps\n", n * STEPS / SAMPLES);
}

/* ---------------------------------------------------------------- one step, in full */

/* The loss with one number moved, in the same random step: what a derivative is. */
static double loss_at(tg_tape *t, const net *m, tg_tensor *p, float *value, int k, float x)
{
    const float before = value[k];
    value[k] = x;
    tg_param_write(p, value);
    tg_tape_set_step(t, 0);
    const double loss = tg_item(t, record(t, m).loss);
    tg_tape_reset(t);
    value[k] = before;
    tg_param_write(p, value);
    return loss;
}

static void show_step(tg_tape *t, tg_params *ps, const net *m)
{
    title("1. Recording. Nothing is computed yet; the shapes are known.");
    const step s = record(t, m);
    tg_keep(t, s.hidden);
    tg_keep(t, s.kept);
    tg_keep(t, s.p);
    tg_tensor *const chain[] = {s.hidden, s.kept, s.logits, s.loss};
    static const char *const names[] = {"sigmoid(x w1' + b1)", "dropout(that, 0.1)",
                                        "that w2' + b2", "loss"};
    for (int k = 0; k < 4; k++)
        printf("    %-22s %s\n", names[k], tg_shape_text(tg_tensor_shape(chain[k])).text);

    title("2. Running. A row is an example; the third table is what dropout left of the second.");
    tg_backward(t, s.loss);
    print_matrix("inputs", &inputs[0][0], ROWS, INPUTS, false);
    print_matrix("hidden", tg_data(t, s.hidden), ROWS, HIDDEN, false);
    print_matrix("kept", tg_data(t, s.kept), ROWS, HIDDEN, false);
    print_matrix("p (one each)", tg_data(t, s.p), 1, ROWS, true);
    print_matrix("wanted", targets, 1, ROWS, true);
    printf("    %-14s %8.4f\n", "loss", tg_item(t, s.loss));

    title("3. Gradients: how the loss changes with each number.");
    for (int k = 0; k < tg_params_count(ps); k++)
        print_parameter(tg_params_get(ps, k), tg_param_grad(tg_params_get(ps, k)));

    float value[HIDDEN];
    const double gradient = (double)((const float *)tg_param_grad(m->w2))[1];
    tg_tape_reset(t);
    tg_params_drop_grads(ps);
    memcpy(value, tg_param_data(m->w2), sizeof value);
    const double more = loss_at(t, m, m->w2, value, 1, value[1] + 0.01F),
                 less = loss_at(t, m, m->w2, value, 1, value[1] - 0.01F);
    printf("    Is that so? Moving the second number of w2 by +-0.01 changes the loss from %.5f to "
           "%.5f:\n"
           "    a slope of %.4f, and the gradient says %.4f.\n",
           less, more, (more - less) / 0.02, gradient);
}

/* ---------------------------------------------------------------- training and what came of it */

/* The mean losses of STEPS / SAMPLES steps each. */
static bool train(tg_tape *t, const net *m, tg_optim *o, double *loss)
{
    const bool terminal = isatty(STDOUT_FILENO);
    for (int k = 0; k < SAMPLES; k++) {
        double sum = 0;
        for (int j = 0; j < STEPS / SAMPLES; j++) {
            const step s = record(t, m);
            tg_backward(t, s.loss);
            tg_optim_step(o);
            sum += tg_item(t, s.loss);
            tg_tape_reset(t);
        }
        loss[k] = sum / (STEPS / SAMPLES);
        if (terminal || k + 1 == SAMPLES) {
            if (terminal && k) printf("\033[13A");
            print_curve(loss, k + 1, 0.9);
        }
        if (terminal) {
            fflush(stdout);
            nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
        }
    }
    return tg_tape_status(t) == TG_OK && tg_optim_status(o) == TG_OK;
}

/* The net's answers for n points, in evaluation mode. */
static bool ask(tg_tape *t, const net *m, const float (*x)[INPUTS], int n, float *p)
{
    tg_tape_set_training(t, false);
    tg_tensor *h =
        tg_sigmoid(t, tg_linear(t, tg_input(t, TG_F32, TG_SHAPE(n, INPUTS), x), m->w1, m->b1));
    const float *y = tg_data(t, tg_sigmoid(t, tg_linear(t, h, m->w2, m->b2)));
    if (y) memcpy(p, y, (size_t)n * sizeof *p);
    tg_tape_reset(t);
    tg_tape_set_training(t, true);
    return y;
}

static int show_answers(tg_tape *t, const net *m)
{
    float p[ROWS];
    int right = 0;
    if (!ask(t, m, inputs, ROWS, p)) return 0;
    for (int i = 0; i < ROWS; i++) {
        const bool good = (p[i] > 0.5F) == (targets[i] > 0.5F);
        right += good;
        printf("    %.0f %.0f %.0f   wanted %.0f   p = %.3f  %s\n", (double)inputs[i][0],
               (double)inputs[i][1], (double)inputs[i][2], (double)targets[i], (double)p[i],
               good ? "right" : "wrong");
    }
    return right;
}

enum { WIDTH = 49, HEIGHT = 21 };

/* The answers over the plane of the first two inputs, the third being 1/2. */
static bool ask_plane(tg_tape *t, const net *m, float p[HEIGHT * WIDTH])
{
    static float x[HEIGHT * WIDTH][INPUTS];
    for (int i = 0; i < HEIGHT; i++)
        for (int k = 0; k < WIDTH; k++) {
            float *point = x[i * WIDTH + k];
            point[0] = -0.25F + 1.5F * (float)k / (WIDTH - 1);
            point[1] = 1.25F - 1.5F * (float)i / (HEIGHT - 1);
            point[2] = 0.5F;
        }
    return ask(t, m, (const float(*)[INPUTS])x, HEIGHT * WIDTH, p);
}

static void show_plane(const float p[HEIGHT * WIDTH])
{
    static const char shade[] = " .:-=+*#%@";
    for (int i = 0; i < HEIGHT; i++) {
        printf("    |");
        for (int k = 0; k < WIDTH; k++) {
            const bool corner = (i == 3 || i == 17) && (k == 8 || k == 40);
            const int level = (int)(p[i * WIDTH + k] * 10);
            putchar(corner ? (i == 3) != (k == 40) ? '1' : '0' : shade[level > 9 ? 9 : level]);
        }
        printf("|\n");
    }
}

/* ---------------------------------------------------------------- pictures */

static bool run(const char *command) { return system(command) == 0; }

/* The colours are viridis's: even steps of lightness, which colour-blind eyes tell apart, too. */
static bool plot(int right)
{
    char command[1600];
    snprintf(command, sizeof command,
             "gnuplot -e \"set terminal svg size 640,520 font 'sans-serif,14' background 'white'; "
             "set key off; set border 3; set tics nomirror; set grid ytics lc rgb '#dddddd'; "
             "set output 'loss.svg'; set title 'The loss, mean of %d steps each'; "
             "set xlabel 'step'; set ylabel 'loss'; set yrange [0:*]; "
             "plot 'loss.dat' with lines lw 2.5 lc rgb '#2f6f9f'; "
             "set output 'plane.svg'; unset grid; set title 'What it learnt: %d of %d right'; "
             "set xlabel 'first input'; set ylabel 'second input'; set cblabel 'p'; "
             "set size ratio -1; set xrange [-.266:1.266]; set yrange [-.288:1.288]; "
             "set cbrange [0:1]; set palette defined (0 '#440154', 1 '#472c7a', 2 '#3b518b', "
             "3 '#2c718e', 4 '#21908d', 5 '#27ad81', 6 '#5cc863', 7 '#aadc32', 8 '#fde725'); "
             "plot 'plane.dat' with image, 'rows.dat' with points pt 7 ps 1.9 lc rgb 'white', "
             "'rows.dat' with points pt 7 ps 1.4 palette\"",
             STEPS / SAMPLES, right, ROWS);
    return run("command -v gnuplot >/dev/null") && run(command);
}

/* The numbers of the pictures. */
static bool write_numbers(const double *loss, const float p[HEIGHT * WIDTH])
{
    FILE *curve = fopen("loss.dat", "w"), *plane = fopen("plane.dat", "w"),
         *rows = fopen("rows.dat", "w");
    for (int k = 0; curve && k < SAMPLES; k++)
        fprintf(curve, "%d %.6f\n", (k + 1) * STEPS / SAMPLES, loss[k]);
    for (int i = 0; plane && i < HEIGHT; i++)
        for (int k = 0; k < WIDTH; k++)
            fprintf(plane, "%.4f %.4f %.5f\n%s", -0.25 + 1.5 * k / (WIDTH - 1),
                    1.25 - 1.5 * i / (HEIGHT - 1), (double)p[i * WIDTH + k],
                    k + 1 == WIDTH ? "\n" : "");
    for (int i = 0; rows && i < ROWS; i++)
        fprintf(rows, "%g %g %g\n", (double)inputs[i][0], (double)inputs[i][1], (double)targets[i]);
    const bool written =
        curve && plane && rows && !ferror(curve) && !ferror(plane) && !ferror(rows);
    if (curve) fclose(curve);
    if (plane) fclose(plane);
    if (rows) fclose(rows);
    return written;
}

/* Writes the numbers and draws them with the programs that are there. The working directory is the
 * folder. */
static int draw(tg_tape *t, const net *m, const double *loss, const float p[HEIGHT * WIDTH],
                int right)
{
    const bool written = write_numbers(loss, p);
    tg_write_dot(t, "step.dot", record(t, m).loss);
    if (!written || tg_tape_status(t) != TG_OK) {
        fprintf(stderr, "tapegrad-demo: can't write the pictures: %s\n", tg_tape_message(t));
        return 1;
    }
    if (run("command -v dot >/dev/null") && run("dot -Tsvg -o step.svg step.dot"))
        printf("    step.svg: the recorded step, forward and backward\n");
    else printf("    step.dot: the recorded step; Graphviz would draw it\n");
    if (plot(right)) printf("    loss.svg, plane.svg: the curve and the plane\n");
    else printf("    loss.dat, plane.dat: the curve and the plane; gnuplot would draw them\n");
    return 0;
}

/* ---------------------------------------------------------------- all of it */

static int demo(tg_params *ps, tg_tape *t, tg_optim *o, const net *m, bool pictures)
{
    double loss[SAMPLES];
    static float plane[HEIGHT * WIDTH];
    printf("A net learns whether exactly one of its first two inputs is on. (The third input is a "
           "distraction.)\n"
           "    3 inputs -> 4 hidden, sigmoid, dropout 0.1 -> 1 output; binary cross-entropy; %lld "
           "parameters\n",
           (long long)tg_params_elements(ps));
    show_step(t, ps, m);
    title("4. Training: Adam, all eight examples a step. The mean loss, in steps of ten:");
    const bool trained = train(t, m, o, loss);
    title("5. What it learnt (dropout is off now):");
    const int right = trained ? show_answers(t, m) : 0;
    title("6. Its answer everywhere: dark is 1, the corners are the examples.");
    if (trained && ask_plane(t, m, plane)) show_plane(plane);
    const tg_plan_stats stats = tg_tape_plan_stats(t);
    printf("\n    %llu evaluations so far, %llu of them with a new plan.\n",
           (unsigned long long)(stats.hits + stats.misses), (unsigned long long)stats.misses);
    if (pictures && trained) {
        title("7. Pictures");
        if (draw(t, m, loss, plane, right) != 0) return 1;
    }
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "tapegrad-demo: %s\n", tg_tape_message(t));
    if (tg_optim_status(o) != TG_OK) fprintf(stderr, "tapegrad-demo: %s\n", tg_optim_message(o));
    return right == ROWS ? 0 : 1;
}

int main(int n, char **word)
{
    if (n > 2 || (n == 2 && word[1][0] == '-')) {
        printf("usage: tapegrad-demo [FOLDER]\n\nTrains a tiny net and shows every step; with a "
               "folder, leaves pictures there.\n");
        return n == 2 && !strcmp(word[1], "--help") ? 0 : 2;
    }
    if (n == 2 && chdir(word[1]) != 0) {
        fprintf(stderr, "tapegrad-demo: %s: no such folder\n", word[1]);
        return 1;
    }
    tg_params *ps = tg_params_new(&(tg_params_options){
        .size = sizeof(tg_params_options), .allocator = program_allocator(), .seed = 1});
    tg_tape *t = tg_tape_new(&(tg_tape_options){
        .size = sizeof(tg_tape_options), .allocator = program_allocator(), .seed = 1});
    const tg_init from_inputs = {TG_LINEAR_DEFAULT, INPUTS, 0},
                  from_hidden = {TG_LINEAR_DEFAULT, HIDDEN, 0};
    net m;
    m.w1 = tg_param_new(ps, "w1", TG_F32, TG_SHAPE(HIDDEN, INPUTS), from_inputs);
    m.b1 = tg_param_new(ps, "b1", TG_F32, TG_SHAPE(HIDDEN), from_inputs);
    m.w2 = tg_param_new(ps, "w2", TG_F32, TG_SHAPE(1, HIDDEN), from_hidden);
    m.b2 = tg_param_new(ps, "b2", TG_F32, TG_SHAPE(1), from_hidden);
    tg_optim *o =
        tg_adam_new(ps, &(tg_adam_options){.size = sizeof(tg_adam_options), .learning_rate = 0.05});
    const int status = demo(ps, t, o, &m, n == 2);
    tg_optim_free(o);
    tg_tape_free(t);
    tg_params_free(ps);
    return status;
}
