/* Every op's samples, and the gradients of them, in exported files: compiled strictly and run, they
 * give the bits of the base kernels. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <unistd.h>

#include "../ops/samples.h"
#include "folder.h"
#include "support.h"

/* What can't be exported, and why. */
static const struct {
    const char *op, *reason;
} refused[] = {{"rnn", "scan: can't be exported: it has no text in C"},
               {"lstm", "scan: can't be exported: it has no text in C"},
               {"gru", "scan: can't be exported: it has no text in C"},
               {"external", "external: can't be exported: it has no text in C"},
               {"implicit", "external: can't be exported: it has no text in C"}};

/* Files that all is printed into: the more, the longer it takes to compile, and the fewer, the more
 * parameters a function has. TG_LONG wants every sample in both dtypes, clang too, and optimised;
 * otherwise each op's first sample stands for all. */
/* What is exported as a lean library has it, which sums attention over few queries and keys in
 * another order. */
static const char *const apart[] = {"scaled_dot_product_attention", "attention"};

enum { GROUPS = 16, FEW_GROUPS = 1, MOST = 1500 };

static uint64_t state;

/* An operand of a sample; those of elementwise ops get shapes that broadcast. */
static tg_tensor *operand(tg_tape *t, const tg_sample *s, int k, tg_dtype dtype)
{
    tg_type type = s->x[k].type;
    const bool real = test_is_float(type.dtype);
    if (real) type.dtype = dtype;
    if (s->flags & TG_ANY_SHAPE) type.shape = k % 2 ? TG_SHAPE(70) : TG_SHAPE(3, 70);
    const int64_t n = tg_shape_count(type.shape);
    double *data = calloc((size_t)n + 1, sizeof *data);
    for (int64_t i = 0; i < n; i++) {
        const double low = s->x[k].low, high = s->x[k].high, u = test_uniform(&state),
                     v = real ? low + u * (high - low) : floor(low + u * (high - low + 1));
        switch (type.dtype) {
        case TG_F32: ((float *)(void *)data)[i] = (float)v; break;
        case TG_F64: data[i] = v; break;
        case TG_I64: ((int64_t *)(void *)data)[i] = (int64_t)v; break;
        default: ((uint8_t *)(void *)data)[i] = (uint8_t)v;
        }
    }
    tg_tensor *x = tg_input(t, type.dtype, type.shape, data);
    free(data);
    return x;
}

/* The result of a sample, the gradients of its operands and one second derivative; how many. */
static int record(tg_tape *t, const tg_samples *of, const tg_sample *s, tg_dtype dtype,
                  tg_tensor **out)
{
    tg_tensor *x[TG_SAMPLE_INPUTS], *by[TG_SAMPLE_INPUTS], *gx[TG_SAMPLE_INPUTS];
    int n = 0, floats = 0;
    for (int k = 0; k < s->n_in; k++) {
        x[k] = operand(t, s, k, dtype);
        if (test_is_float(tg_tensor_dtype(x[k]))) by[floats++] = x[k];
    }
    tg_tensor *y = out[n++] = s->record(t, x);
    cr_assert_not_null(y, "%s: %s", of->op->name, tg_tape_message(t));
    if (s->flags & TG_NOT_SMOOTH || of->op->order == 0 || floats == 0) return n;
    tg_tensor *seed = tg_tanh(t, tg_add(t, y, tg_constant(t, tg_tensor_dtype(y), 0.25)));
    cr_assert_eq(tg_grad(t, y, tg_detach(t, seed), floats, by, gx, true), TG_OK, "%s: %s",
                 of->op->name, tg_tape_message(t));
    for (int k = 0; k < floats; k++)
        if (gx[k]) out[n++] = gx[k];
    if (n == 1 || s->flags & TG_FIRST_ORDER || of->op->order == 1) return n;
    tg_tensor *g = tg_sum(t, tg_square(t, out[1]), TG_ALL_AXES, false), *ggx = NULL;
    if (tg_grad(t, g, NULL, 1, by, &ggx, true) == TG_OK && ggx) out[n++] = ggx;
    cr_assert_eq(tg_tape_status(t), TG_OK, "%s: %s", of->op->name, tg_tape_message(t));
    return n;
}

static tg_tape *new_tape(void)
{
    const tg_tape_options o = {.size = sizeof o, .isa = TG_ISA_BASE};
    return tg_tape_new(&o);
}

static tg_status export_to(tg_tape *t, const char *path, int n, tg_tensor **x)
{
    static char names[MOST][16];
    static tg_export_value out[MOST];
    for (int k = 0; k < n; k++) {
        snprintf(names[k], sizeof names[k], "y%d", k);
        out[k] = (tg_export_value){names[k], x[k]};
    }
    const tg_export_options o = {.size = sizeof o, .name = "samples", .n_out = n, .out = out};
    return tg_export_c(t, path, &o);
}

static const char *reason_of(const char *op)
{
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++)
        if (!strcmp(refused[k].op, op)) return refused[k].reason;
    return NULL;
}

/* Whether a sample can be exported, which must be as the list says. */
static bool exports(const tg_samples *of, const tg_sample *s, tg_dtype dtype)
{
    tg_tensor *out[16];
    tg_tape *t = new_tape();
    const int n = record(t, of, s, dtype, out);
    const tg_status status = export_to(t, "one.c", n, out);
    const char *reason = reason_of(of->op->name);
    cr_expect_eq(status == TG_OK, !reason, "%s, %s: %s", of->op->name, s->label ? s->label : "",
                 tg_tape_message(t));
    if (status && reason)
        cr_expect(strstr(tg_tape_message(t), reason), "%s: %s", of->op->name, tg_tape_message(t));
    tg_tape_free(t);
    return status == TG_OK;
}

static bool is_apart(const char *op)
{
    for (size_t k = 0; k < sizeof apart / sizeof *apart; k++)
        if (!strcmp(apart[k], op)) return true;
    return false;
}

/* Within some roundings of the greatest element. */
static void check_near(const char *op, const void *got, const void *wanted, tg_dtype dtype,
                       int64_t n)
{
    const bool single = dtype == TG_F32;
    double most = 0, error = 0;
    for (int64_t i = 0; i < n; i++) {
        const double a = single ? (double)((const float *)got)[i] : ((const double *)got)[i],
                     b = single ? (double)((const float *)wanted)[i] : ((const double *)wanted)[i];
        most = fmax(most, fabs(b));
        error = fmax(error, isnan(a) == isnan(b) ? fabs(a - b) : INFINITY);
    }
    cr_expect_leq(error, most * (single ? 1e-5 : 1e-14), "%s: %g of %g", op, error, most);
}

static void check_bits(const char *op, const void *got, const void *wanted, tg_dtype dtype,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        bool same;
        if (dtype == TG_F32) {
            const float *a = got, *b = wanted;
            same = !memcmp(a + i, b + i, sizeof *a) || (isnan(a[i]) && isnan(b[i]));
        } else if (dtype == TG_U8) same = ((const uint8_t *)got)[i] == ((const uint8_t *)wanted)[i];
        else {
            const double *a = got, *b = wanted;
            same =
                !memcmp(a + i, b + i, sizeof *a) || (dtype == TG_F64 && isnan(a[i]) && isnan(b[i]));
        }
        cr_expect(same, "%s: element %lld of %lld", op, (long long)i, (long long)n);
        if (!same) return;
    }
}

static void run_compiled(tg_tape *t, const char *compiler, int n, tg_tensor **y,
                         const char *const *op)
{
    char command[512];
    snprintf(command, sizeof command,
             "%s -std=c99 %s -Wall -Wextra -pedantic -Werror -fPIC -shared use.c -o ./%s.so -lm",
             compiler, test_is_long() ? "-O2" : "-O0", compiler);
    cr_assert_eq(system(command), 0, "%s", command);
    snprintf(command, sizeof command, "./%s.so", compiler);
    void *library = dlopen(command, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(library, "%s", dlerror());
    void *symbol = dlsym(library, "use");
    int (*use)(void **out);
    memcpy(&use, &symbol, sizeof use);
    static void *out[MOST];
    for (int k = 0; k < n; k++) out[k] = calloc((size_t)tg_tensor_count(y[k]) + 1, 8);
    cr_expect_eq(use(out), 0, "%s: bad data", compiler);
    for (int k = 0; k < n; k++) {
        const void *wanted = tg_data(t, y[k]);
        cr_assert_not_null(wanted, "%s: %s", op[k], tg_tape_message(t));
        (is_apart(op[k]) ? check_near : check_bits)(op[k], out[k], wanted, tg_tensor_dtype(y[k]),
                                                    tg_tensor_count(y[k]));
        free(out[k]);
    }
    dlclose(library);
}

/* Whether the exported function is given the number of a step. */
static bool takes_step(void)
{
    static char line[1 << 16];
    bool takes = false;
    FILE *in = fopen("samples.c", "r");
    cr_assert_not_null(in);
    while (fgets(line, sizeof line, in))
        takes = takes || strstr(line, ", uint64_t tg_step, void *scratch);");
    fclose(in);
    return takes;
}

static void write_use(int n)
{
    const bool step = takes_step();
    FILE *f = fopen("use.c", "w");
    cr_assert_not_null(f);
    fprintf(f, "#include \"samples.c\"\nint use(void **out);\nint use(void **out)\n{\n"
               "    static double scratch[samples_SCRATCH / 8 + 1];\n    return samples(");
    for (int k = 0; k < n; k++) fprintf(f, "out[%d], ", k);
    fprintf(f, step ? "0, scratch);\n}\n" : "scratch);\n}\n");
    fclose(f);
}

static int numbers[GROUPS];
ParameterizedTestParameters(export_ops, samples_have_the_bits_of_the_base_kernels)
{
    const size_t n = test_is_long() ? GROUPS : FEW_GROUPS;
    for (int k = 0; k < GROUPS; k++) numbers[k] = k;
    return (struct criterion_test_params){sizeof(int), numbers, n, NULL};
}
ParameterizedTest(int *group, export_ops, samples_have_the_bits_of_the_base_kernels)
{
    static tg_tensor *y[MOST];
    static const char *op[MOST];
    folder f = folder_new();
    cr_assert_eq(chdir(f.path), 0);
    int n_ops, n = 0;
    const tg_samples *const *list = tg_samples_list(&n_ops);
    tg_tape *t = new_tape();
    for (int k = *group; k < n_ops; k += test_is_long() ? GROUPS : FEW_GROUPS)
        for (int i = 0; i < (test_is_long() ? list[k]->n : 1); i++)
            for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
                if (!test_is_long() && (k + (int)dtype) % 2) continue;
                const tg_sample *s = &list[k]->sample[i];
                state = (uint64_t)(i + 1);
                const bool doubtful = test_is_long() || reason_of(list[k]->op->name);
                if (doubtful && !exports(list[k], s, dtype)) continue;
                const int more = record(t, list[k], s, dtype, y + n);
                for (int m = 0; m < more; m++) op[n++] = list[k]->op->name;
                cr_assert_lt(n, MOST - 16);
            }
    cr_assert_eq(export_to(t, "samples.c", n, y), TG_OK, "%s", tg_tape_message(t));
    write_use(n);
    run_compiled(t, "gcc", n, y, op);
    if (test_is_long()) run_compiled(t, "clang", n, y, op);
    tg_tape_free(t);
    folder_free(&f);
}
