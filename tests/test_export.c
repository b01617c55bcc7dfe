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
typedef void reductions(const float *x, const float *w, float *row, float *column, float *all,
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

/* Products, of whole numbers so that no order of summation rounds; a net's parameters are constants
 * of the file. */
Test(export, products_and_parameters)
{
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    float x[6] = {1, 2, 3, 4, 5, 6}, y[10], gx[6];
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", F32(5, 3), ((tg_init){.kind = TG_CONSTANT, .a = 3}));
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *tx = tg_input(t, F32(2, 3), x);
    tg_tensor *ty = tg_matmul(t, tx, tg_transpose(t, w, 0, 1)), *sum, *grad;
    sum = tg_sum(t, tg_square(t, ty), TG_ALL_AXES, false);
    cr_assert_eq(tg_grad(t, sum, NULL, 1, &tx, &grad, false), TG_OK, "%s", tg_tape_message(t));
    const tg_export_value in[] = {{"x", tx}}, out[] = {{"y", ty}, {"gx", grad}};
    const tg_export_options options = {
        .size = sizeof options, .name = "net", .n_in = 1, .n_out = 2, .in = in, .out = out};
    cr_assert_eq(tg_export_c(t, "net.c", &options), TG_OK, "%s", tg_tape_message(t));
    void *scratch = scratch_of("net");
    void (*net)(const float *, float *, float *, void *);
    void *symbol = compiled("gcc", "net");
    memcpy(&net, &symbol, sizeof net);
    net(x, y, gx, scratch);
    cr_expect_eq(memcmp(y, tg_data(t, ty), sizeof y), 0, "%g %g", (double)y[0], (double)y[9]);
    cr_expect_eq(memcmp(gx, tg_data(t, grad), sizeof gx), 0);
    free(scratch);
    tg_tape_free(t);
    tg_params_free(ps);
    folder_free(&f);
}

/* Nothing is written when something is wrong. */
Test(export, refusals)
{
    folder f = folder_new();
    const char *path = folder_file(&f, "net.c");
    const float data[2] = {1, 2};
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, F32(2), data), *y = tg_exp(t, x);
    const int line = __LINE__ + 1;
    tg_tensor *sorted = tg_sort(t, x, 0, false);
    const struct {
        const char *name, *in, *out, *message;
        tg_tensor *y;
        tg_status status;
    } wrong[] = {{"7up", "x", "y", "\"7up\" is no free C identifier", y, TG_EVALUE},
                 {"net", "int", "y", "\"int\" is no free", y, TG_EVALUE},
                 {"net", "x", "x", "\"x\" is no free", y, TG_EVALUE},
                 {"net", "x", "net", "\"net\" is no free", y, TG_EVALUE},
                 {NULL, "x", "y", "no free C identifier", y, TG_EVALUE},
                 {"net", "x", "y", "can't be exported", sorted, TG_EVALUE},
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
        if (wrong[k].y == sorted)
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
