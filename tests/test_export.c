/* Exported C files: compiled by gcc and clang, strictly, and run against the library. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <unistd.h>

#include "folder.h"

#define F32(...) TG_F32, TG_SHAPE(__VA_ARGS__)

static void *compiled(const char *compiler, const char *function)
{
    char command[512];
    snprintf(command, sizeof command,
             "%s -std=c99 -O1 -Wall -Wextra -pedantic -Werror -fPIC -shared net.c -o ./%s.so -lm",
             compiler, compiler);
    cr_assert_eq(system(command), 0, "%s", command);
    snprintf(command, sizeof command, "./%s.so", compiler);
    void *library = dlopen(command, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(library, "%s", dlerror());
    void *symbol = dlsym(library, function);
    cr_assert_not_null(symbol);
    return symbol;
}

/* As many bytes as net.c asks for. */
static void *scratch_of(const char *function)
{
    char line[512], name[64];
    long bytes = -1;
    snprintf(name, sizeof name, "#define %s_SCRATCH ", function);
    FILE *in = fopen("net.c", "r");
    cr_assert_not_null(in);
    while (fgets(line, sizeof line, in))
        if (strncmp(line, name, strlen(name)) == 0) bytes = strtol(line + strlen(name), NULL, 10);
    fclose(in);
    cr_assert_gt(bytes, 0);
    void *scratch = malloc((size_t)bytes);
    cr_assert_not_null(scratch);
    return scratch;
}

static const char *const compilers[] = {"gcc", "clang"};
typedef int reductions(const float *x, const float *w, float *row, float *column, float *all,
                       float *greatest, float *gx, void *scratch);

static void fill(float *x, int n, float scale)
{
    for (int k = 0; k < n; k++) x[k] = scale * (float)((k * 7919) % 211 - 105) / 100;
}

/* Elementwise functions, reductions in long and short rows and in columns, views and comparisons,
 * with the gradient of it all; no product. */
Test(export, function_and_gradient_have_the_bits_of_the_base_kernels)
{
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    enum { ROWS = 150, COLUMNS = 70 };
    static float x[ROWS * COLUMNS], w[COLUMNS], row[ROWS], column[COLUMNS], all[1],
        greatest[COLUMNS], gx[ROWS * COLUMNS];
    fill(x, ROWS * COLUMNS, 2);
    fill(w, COLUMNS, 1);
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .isa = TG_ISA_BASE});
    tg_tensor *tx = tg_input(t, F32(ROWS, COLUMNS), x), *tw = tg_input(t, F32(COLUMNS), w);
    tg_tensor *h = tg_add(t, tg_tanh(t, tg_mul(t, tx, tw)), tg_exp(t, tg_neg(t, tg_square(t, tx))));
    tg_tensor *y[5] = {tg_sum(t, h, TG_AXES(1), false), tg_sum(t, h, TG_AXES(0), false),
                       tg_sum(t, tg_erf(t, h), TG_ALL_AXES, false),
                       tg_max(t, tg_transpose(t, h, 0, 1), TG_AXES(1), false)};
    tg_tensor *loss = y[2];
    for (int k = 0; k < 4; k++)
        loss =
            tg_add(t, loss,
                   tg_mean(t, tg_log1p(t, tg_square(t, tg_sigmoid(t, y[k]))), TG_ALL_AXES, false));
    cr_assert_eq(tg_grad(t, loss, NULL, 1, &tx, &y[4], false), TG_OK, "%s", tg_tape_message(t));
    const tg_export_value in[] = {{"x", tx}, {"w", tw}};
    const tg_export_value out[] = {
        {"row", y[0]}, {"column", y[1]}, {"all", y[2]}, {"greatest", y[3]}, {"gx", y[4]}};
    const tg_export_options options = {
        .size = sizeof options, .name = "step", .n_in = 2, .n_out = 5, .in = in, .out = out};
    cr_assert_eq(tg_export_c(t, "net.c", &options), TG_OK, "%s", tg_tape_message(t));
    void *scratch = scratch_of("step");
    for (int k = 0; k < 2; k++) {
        reductions *step;
        void *symbol = compiled(compilers[k], "step");
        memcpy(&step, &symbol, sizeof step);
        step(x, w, row, column, all, greatest, gx, scratch);
        const float *const got[5] = {row, column, all, greatest, gx};
        for (int i = 0; i < 5; i++)
            cr_expect_eq(
                memcmp(got[i], tg_data(t, y[i]), sizeof(float) * (size_t)tg_tensor_count(y[i])), 0,
                "%s: %s", compilers[k], out[i].name);
    }
    free(scratch);
    tg_tape_free(t);
    folder_free(&f);
}

/* Products with one sum for each element and with eight, in f32; a net's parameters are constants
 * of the file. */
Test(export, products_and_parameters)
{
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    enum { INNER = 37, OUT = 5 };
    float x[4 * INNER], y[4 * OUT], one[OUT], gx[4 * INNER];
    fill(x, 4 * INNER, 1);
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", F32(OUT, INNER), ((tg_init){.kind = TG_NORMAL, .b = 1}));
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .isa = TG_ISA_BASE});
    tg_tensor *tx = tg_input(t, F32(4, INNER), x);
    tg_tensor *ty = tg_matmul(t, tx, tg_transpose(t, w, 0, 1)), *sum, *grad;
    tg_tensor *first = tg_matmul(t, tg_slice(t, tx, 0, 1, 2, 1), tg_transpose(t, w, 0, 1));
    sum = tg_sum(t, tg_square(t, ty), TG_ALL_AXES, false);
    cr_assert_eq(tg_grad(t, sum, NULL, 1, &tx, &grad, false), TG_OK, "%s", tg_tape_message(t));
    const tg_export_value in[] = {{"x", tx}}, out[] = {{"y", ty}, {"one", first}, {"gx", grad}};
    const tg_export_options options = {
        .size = sizeof options, .name = "net", .n_in = 1, .n_out = 3, .in = in, .out = out};
    cr_assert_eq(tg_export_c(t, "net.c", &options), TG_OK, "%s", tg_tape_message(t));
    void *scratch = scratch_of("net");
    int (*net)(const float *, float *, float *, float *, void *);
    void *symbol = compiled("gcc", "net");
    memcpy(&net, &symbol, sizeof net);
    cr_expect_eq(net(x, y, one, gx, scratch), 0);
    cr_expect_eq(memcmp(y, tg_data(t, ty), sizeof y), 0, "%g %g", (double)y[0], (double)y[9]);
    cr_expect_eq(memcmp(one, tg_data(t, first), sizeof one), 0);
    cr_expect_neq(memcmp(one, y + OUT, sizeof one), 0, "eight sums are other ones");
    cr_expect_eq(memcmp(gx, tg_data(t, grad), sizeof gx), 0);
    free(scratch);
    tg_tape_free(t);
    tg_params_free(ps);
    folder_free(&f);
}

/* Dropout draws the numbers of the step that the function is given; the same file tells of an index
 * that is out of range. */
Test(export, random_numbers_follow_the_step_and_bad_data_is_told)
{
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    enum { N = 300 };
    static float x[N], y[N], gx[N];
    int64_t index[N];
    fill(x, N, 1);
    for (int k = 0; k < N; k++) index[k] = (k * 7) % N;
    tg_tape *t = tg_tape_new(
        &(tg_tape_options){.size = sizeof(tg_tape_options), .isa = TG_ISA_BASE, .seed = 7});
    tg_tensor *tx = tg_input(t, F32(N), x), *ti = tg_input(t, TG_I64, TG_SHAPE(N), index);
    tg_tensor *ty = tg_dropout(t, tg_index_select(t, tx, 0, ti), 0.4), *gradient;
    tg_tensor *sum = tg_sum(t, tg_square(t, ty), TG_ALL_AXES, false);
    cr_assert_eq(tg_grad(t, sum, NULL, 1, &tx, &gradient, false), TG_OK, "%s", tg_tape_message(t));
    const tg_export_value in[] = {{"x", tx}, {"index", ti}}, out[] = {{"y", ty}, {"gx", gradient}};
    const tg_export_options options = {
        .size = sizeof options, .name = "net", .n_in = 2, .n_out = 2, .in = in, .out = out};
    cr_assert_eq(tg_export_c(t, "net.c", &options), TG_OK, "%s", tg_tape_message(t));
    void *scratch = scratch_of("net");
    int (*net)(const float *, const int64_t *, float *, float *, uint64_t, void *);
    void *symbol = compiled("gcc", "net");
    memcpy(&net, &symbol, sizeof net);
    tg_tape_set_step(t, 3);
    const float *wanted = tg_data(t, ty), *wanted_gx = tg_data(t, gradient);
    cr_expect_eq(net(x, index, y, gx, 3, scratch), 0);
    cr_expect_eq(memcmp(y, wanted, sizeof y), 0);
    cr_expect_eq(memcmp(gx, wanted_gx, sizeof gx), 0);
    cr_expect_eq(net(x, index, y, gx, 4, scratch), 0);
    cr_expect_neq(memcmp(y, wanted, sizeof y), 0);
    index[5] = N;
    cr_expect_eq(net(x, index, y, gx, 3, scratch), 1);
    free(scratch);
    tg_tape_free(t);
    folder_free(&f);
}

/* One step of a net with dropout and momentum: forward, backward, update. */
enum { STATE = 6, LOSS = STATE };
static void record_step(tg_tape *t, float *const state[STATE], tg_tensor *in[STATE + 2],
                        tg_tensor *out[STATE + 1])
{
    static const float x[12] = {0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0}, wanted[4] = {0, 1, 1, 0};
    const tg_shape shape[3] = {TG_SHAPE(8, 3), TG_SHAPE(8), TG_SHAPE(1, 8)};
    for (int k = 0; k < STATE; k++) in[k] = tg_input(t, TG_F32, shape[k % 3], state[k]);
    in[STATE] = tg_input(t, F32(4, 3), x);
    in[STATE + 1] = tg_input(t, F32(4, 1), wanted);
    tg_tensor *h = tg_dropout(t, tg_tanh(t, tg_linear(t, in[STATE], in[0], in[1])), 0.1), *g[3];
    out[LOSS] = tg_bce_with_logits(t, tg_linear(t, h, in[2], NULL), in[STATE + 1]);
    tg_grad(t, out[LOSS], NULL, 3, in, g, false);
    for (int k = 0; k < 3; k++) {
        out[k + 3] = tg_add(t, tg_scale(t, in[k + 3], 0.9), g[k]);
        out[k] = tg_sub(t, in[k], tg_scale(t, out[k + 3], 0.3));
    }
}

/* The exported step writes weights over weights, with the dropout of each step, and learns what the
 * library learns, to the bit. */
Test(export, a_training_step_learns_without_the_library)
{
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    static float ours[STATE][24], theirs[STATE][24];
    float *state[STATE], loss = 0;
    tg_tensor *in[STATE + 2], *y[STATE + 1];
    for (int k = 0; k < STATE; k++) {
        if (k < 3) fill(ours[k], 24, 1);
        memcpy(theirs[k], ours[k], sizeof ours[k]);
        state[k] = ours[k];
    }
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .isa = TG_ISA_BASE});
    record_step(t, state, in, y);
    static const char *const name[] = {"w",  "b",  "v",  "mw",  "mb",  "mv",  "x",   "wanted",
                                       "w1", "b1", "v1", "mw1", "mb1", "mv1", "loss"};
    tg_export_value from[STATE + 2], to[STATE + 1];
    for (int k = 0; k < STATE + 2; k++) from[k] = (tg_export_value){name[k], in[k]};
    for (int k = 0; k <= STATE; k++) to[k] = (tg_export_value){name[STATE + 2 + k], y[k]};
    const tg_export_options options = {.size = sizeof options,
                                       .name = "step",
                                       .n_in = STATE + 2,
                                       .n_out = STATE + 1,
                                       .in = from,
                                       .out = to,
                                       .after = "/* the end */\n"};
    cr_assert_eq(tg_export_c(t, "net.c", &options), TG_OK, "%s", tg_tape_message(t));
    void *scratch = scratch_of("step");
    int (*step)(const float *, const float *, const float *, const float *, const float *,
                const float *, const float *, const float *, float *, float *, float *, float *,
                float *, float *, float *, uint64_t, void *);
    void *symbol = compiled("gcc", "step");
    memcpy(&step, &symbol, sizeof step);
    static const float x[12] = {0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0}, wanted[4] = {0, 1, 1, 0};
    float first = 0;
    for (uint64_t k = 0; k < 300; k++) {
        cr_assert_eq(step(theirs[0], theirs[1], theirs[2], theirs[3], theirs[4], theirs[5], x,
                          wanted, theirs[0], theirs[1], theirs[2], theirs[3], theirs[4], theirs[5],
                          &loss, k, scratch),
                     0);
        if (k == 0) first = loss;
        tg_tape_reset(t);
        tg_tape_set_step(t, k);
        record_step(t, state, in, y);
        cr_assert_eq(tg_eval(t, STATE + 1, y), TG_OK, "%s", tg_tape_message(t));
        cr_assert_eq((float)tg_item(t, y[LOSS]), loss, "step %d", (int)k);
        for (int i = 0; i < STATE; i++)
            memcpy(ours[i], tg_data(t, y[i]), sizeof(float) * (size_t)tg_tensor_count(y[i]));
        cr_assert_eq(memcmp(ours, theirs, sizeof ours), 0, "step %d", (int)k);
    }
    cr_expect_lt(loss, first / 4, "from %g to %g", (double)first, (double)loss);
    free(scratch);
    tg_tape_free(t);
    folder_free(&f);
}

static void nothing(const tg_call *c, const tg_array *y, void *user)
{
    (void)c, (void)y, (void)user;
}

/* Nothing is written when something is wrong. */
Test(export, refusals)
{
    folder f = folder_new();
    const char *path = folder_file(&f, "net.c");
    const float data[2] = {1, 2};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, F32(2), data), *y = tg_exp(t, x);
    const tg_external_fn fn = {.size = sizeof fn, .run = nothing};
    const int line = __LINE__ + 1;
    tg_tensor *refused = tg_external(t, &fn, NULL, TG_F32, TG_SHAPE(2), 1, &x);
    const struct {
        const char *name, *in, *out, *message;
        tg_tensor *y;
        tg_status status;
    } wrong[] = {{"7up", "x", "y", "\"7up\" is no free C identifier", y, TG_EVALUE},
                 {"net", "int", "y", "\"int\" is no free", y, TG_EVALUE},
                 {"net", "x", "x", "\"x\" is no free", y, TG_EVALUE},
                 {"net", "x", "net", "\"net\" is no free", y, TG_EVALUE},
                 {NULL, "x", "y", "no free C identifier", y, TG_EVALUE},
                 {"net", "x", "y", "can't be exported", refused, TG_EVALUE},
                 {"net", "x", "y", "", NULL, TG_ENULL}};
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        const tg_export_value in = {wrong[k].in, x}, out = {wrong[k].out, wrong[k].y};
        const tg_export_options options = {.size = sizeof options,
                                           .name = wrong[k].name,
                                           .n_in = 1,
                                           .n_out = 1,
                                           .in = &in,
                                           .out = &out};
        cr_expect_eq(tg_export_c(t, path, &options), wrong[k].status, "%zu: %s", k,
                     tg_tape_message(t));
        cr_expect(strstr(tg_tape_message(t), wrong[k].message), "%s", tg_tape_message(t));
        char position[64];
        snprintf(position, sizeof position, "test_export.c:%d: ", line);
        if (wrong[k].y == refused)
            cr_expect(strstr(tg_tape_message(t), position), "%s", tg_tape_message(t));
        tg_tape_clear_error(t);
    }
    const tg_export_value in = {"x", y}, out = {"y", y};
    tg_export_options options = {
        .size = sizeof options, .name = "net", .n_in = 1, .n_out = 1, .in = &in, .out = &out};
    cr_expect_eq(tg_export_c(t, path, &options), TG_EVALUE, "an input that is none");
    tg_tape_clear_error(t);
    options.n_in = 0;
    cr_expect_eq(tg_export_c(t, "no/such/folder/net.c", &options), TG_EIO);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_export_c(t, NULL, &options), TG_ENULL);
    tg_tape_clear_error(t);
    cr_expect_eq(tg_export_c(t, path, NULL), TG_ENULL);
    tg_tape_clear_error(t);
    options.n_out = 0;
    cr_expect_eq(tg_export_c(t, path, &options), TG_EVALUE);
    tg_tape_clear_error(t);
    options.size = 0;
    cr_expect_eq(tg_export_c(t, path, &options), TG_EVALUE);
    cr_expect_eq((tg_export_c)(NULL, path, &options), TG_ENOMEM);
    cr_expect_neq(access(path, F_OK), 0);
    tg_tape_free(t);
    folder_free(&f);
}
