/* Values, first and second derivatives of ops against PyTorch's, in f64: over a thousand cases,
 * which reference.py has written down. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>
#include <zlib.h>

enum { OPERANDS = 6, ELEMENTS = 256, LINE = 16384 };

/* ---------------------------------------------------------------- the rows */

#define ARRAY(...) ((tg_tensor *[]){__VA_ARGS__})
#define INTEGERS(n, ...) tg_input(t, TG_I64, TG_SHAPE(n), ((const int64_t[]){__VA_ARGS__}))
#define INTEGER_ROWS(...) tg_input(t, TG_I64, TG_SHAPE(2, 2), ((const int64_t[]){__VA_ARGS__}))

static tg_tensor *upper_of(tg_tape *t, tg_tensor *x)
{
    tg_tensor *r = NULL;
    tg_qr(t, x, &r);
    return r;
}

/* y + y^3 - x, and the y for which it is 0, by Newton's steps. */
static tg_tensor *cubic(tg_tape *t, tg_tensor *y, tg_tensor *x)
{
    return tg_sub(t, tg_add(t, y, tg_mul(t, y, tg_square(t, y))), x);
}
static tg_tensor *cubic_root(tg_tape *t, tg_tensor *x)
{
    tg_tensor *y = tg_zeros_like(t, x);
    for (int k = 0; k < 40; k++) {
        tg_tensor *slope = tg_offset(t, tg_scale(t, tg_square(t, y), 3), 1);
        y = tg_sub(t, y, tg_div(t, cubic(t, y, x), slope));
    }
    return y;
}

static void square(const tg_call *c, const tg_array *y, void *user)
{
    const double *x = c->x[0].data;
    (void)user;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) ((double *)y->data)[i] = x[i] * x[i];
}
static const tg_external_fn squares = {.size = sizeof squares, .run = square};

typedef tg_tensor *(*recorder)(tg_tape *t, tg_tensor *a, tg_tensor *b, tg_tensor *c, tg_tensor *d,
                               tg_tensor *e, tg_tensor *f);

#define NAME_OF(line) row_##line
#define NAMED(line) NAME_OF(line)
#define ROW(expression, operands, ...)                                                          \
    static tg_tensor *NAMED(__LINE__)(tg_tape * t, tg_tensor * a, tg_tensor * b, tg_tensor * c, \
                                      tg_tensor * d, tg_tensor * e, tg_tensor * f)              \
    {                                                                                           \
        (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;                                   \
        return __VA_ARGS__;                                                                     \
    }
#define ALONE(...) ROW(NULL, NULL, __VA_ARGS__)
#include "reference_rows.h"
#undef ROW
#undef ALONE

static const struct row {
    const char *expression, *call;
    recorder record;
} rows[] =
    {
#define ROW(expression, operands, ...) {expression, #__VA_ARGS__, NAMED(__LINE__)},
#define ALONE(...)
#include "reference_rows.h"
#undef ALONE
},
  alone[] = {
#define ALONE(...) {NULL, #__VA_ARGS__, NAMED(__LINE__)},
#undef ROW
#define ROW(...)
#include "reference_rows.h"
#undef ROW
#undef ALONE
};
enum { ROWS = sizeof rows / sizeof rows[0] };

/* ---------------------------------------------------------------- the file */

typedef struct numbers {
    int n;
    double at[ELEMENTS];
} numbers;

typedef struct reference {
    gzFile file;
    char line[LINE]; /* the next one, without its newline; "" at the end */
} reference;

static void next_line(reference *r)
{
    if (!gzgets(r->file, r->line, LINE)) r->line[0] = 0;
    r->line[strcspn(r->line, "\n")] = 0;
}

static numbers numbers_of(const char *text)
{
    numbers v = {0};
    for (char *end; v.n < ELEMENTS; v.n++, text = end) {
        v.at[v.n] = strtod(text, &end);
        if (end == text) break;
    }
    return v;
}

/* "2,3 numbers", a scalar's shape being "-". */
static numbers shaped_numbers(const char *text, tg_shape *shape)
{
    *shape = (tg_shape){0};
    while (*text != ' ' && *text && *text != '-') {
        char *end;
        shape->dim[shape->ndim++] = strtol(text, &end, 10);
        text = end + (*end == ',');
    }
    return numbers_of(text + strcspn(text, " "));
}

static tg_tensor *operand(tg_tape *t, char kind, const char *text)
{
    tg_shape shape;
    const numbers v = shaped_numbers(text, &shape);
    int64_t integers[ELEMENTS];
    uint8_t bytes[ELEMENTS];
    for (int i = 0; i < v.n && kind == 'i'; i++) integers[i] = (int64_t)v.at[i];
    for (int i = 0; i < v.n && kind == 'm'; i++) bytes[i] = (uint8_t)v.at[i];
    if (kind == 'i') return tg_input(t, TG_I64, shape, integers);
    if (kind == 'm') return tg_input(t, TG_U8, shape, bytes);
    return tg_input(t, TG_F64, shape, v.at);
}

/* ---------------------------------------------------------------- comparing */

static double element(tg_dtype dtype, const void *data, int64_t i)
{
    if (dtype == TG_I64) return (double)((const int64_t *)data)[i];
    return dtype == TG_U8 ? ((const uint8_t *)data)[i] : ((const double *)data)[i];
}

/* NULL stands for zeros. The file has 12 digits. */
static void expect(tg_tape *t, const char *what, const char *expression, int number, tg_tensor *x,
                   const numbers *want)
{
    const void *data = x ? tg_data(t, x) : NULL;
    cr_assert(data || !x, "case %d of %s: %s", number, expression, tg_tape_message(t));
    cr_assert(!x || tg_tensor_count(x) == want->n, "case %d of %s, %s: %lld elements, not %d",
              number, expression, what, (long long)tg_tensor_count(x), want->n);
    double greatest = 1;
    for (int i = 0; i < want->n; i++)
        if (isfinite(want->at[i])) greatest = fmax(greatest, fabs(want->at[i]));
    for (int i = 0; i < want->n; i++) {
        const double is = x ? element(tg_tensor_dtype(x), data, i) : 0;
        const bool fits = is == want->at[i] || (isnan(is) && isnan(want->at[i])) ||
                          (isfinite(is) &&
                           fabs(is - want->at[i]) <= 2e-11 * fabs(want->at[i]) + 1e-13 * greatest);
        cr_expect(fits, "case %d of %s, %s, element %d: %.17g instead of %.17g", number, expression,
                  what, i, is, want->at[i]);
    }
}

static tg_tensor *weights(tg_tape *t, tg_tensor *of, bool first)
{
    double at[ELEMENTS];
    for (int i = 0; i < ELEMENTS; i++)
        at[i] = first ? ((7 * i + 3) % 11 - 5) / 4.0 + 0.125 : ((5 * i + 2) % 7 - 3) / 2.0 + 0.25;
    return tg_input(t, TG_F64, tg_tensor_shape(of), at);
}

/* The lines that begin with this letter, one for each x. */
static void expect_each(reference *r, tg_tape *t, const char *letter, const char *expression,
                        int number, int n, tg_tensor *const *x)
{
    for (int k = 0; k < n; k++, next_line(r)) {
        cr_assert(r->line[0] == letter[0], "%s: \"%s\" is no %s", expression, r->line, letter);
        const numbers want = numbers_of(r->line + 1);
        expect(t, letter[0] == 'g' ? "first derivative" : "second derivative", expression, number,
               x[k], &want);
    }
}

static void run_case(reference *r, tg_tape *t, const struct row *row, int number)
{
    const char *e = row->expression;
    tg_tensor *x[OPERANDS] = {NULL}, *by[OPERANDS] = {NULL}, *g[OPERANDS] = {NULL}, *h[OPERANDS],
              *total = NULL;
    int n = 0, n_by = 0;
    for (; n < OPERANDS && strchr("dcim", r->line[0]); next_line(r)) {
        x[n] = operand(t, r->line[0], r->line + 2);
        if (r->line[0] == 'd') by[n_by++] = x[n];
        n++;
    }
    tg_tensor *y = row->record(t, x[0], x[1], x[2], x[3], x[4], x[5]);
    cr_assert_not_null(y, "case %d of %s: %s", number, e, tg_tape_message(t));
    cr_assert(r->line[0] == 'y', "%s: \"%s\" is no value", e, r->line);
    tg_shape shape;
    const numbers value = shaped_numbers(r->line + 2, &shape);
    cr_expect(tg_shape_equal(shape, tg_tensor_shape(y)), "case %d of %s: %s instead of %s", number,
              e, tg_shape_text(tg_tensor_shape(y)).text, tg_shape_text(shape).text);
    expect(t, "value", e, number, y, &value);
    next_line(r);
    if (r->line[0] != 'g') return;
    tg_grad(t, y, weights(t, y, true), n_by, by, g, true);
    expect_each(r, t, "g", e, number, n_by, g);
    if (r->line[0] != 'h') return;
    for (int k = 0; k < n_by; k++) {
        tg_tensor *of = g[k] ? g[k] : tg_zeros_like(t, by[k]),
                  *term = tg_sum_all(t, tg_mul(t, weights(t, of, false), of));
        total = total ? tg_add(t, total, term) : term;
    }
    tg_grad(t, total, NULL, n_by, by, h, true);
    expect_each(r, t, "h", e, number, n_by, h);
}

Test(reference, values_and_two_derivatives_are_those_of_pytorch)
{
    reference r = {.file = gzopen("tests/reference.txt.gz", "rb")};
    cr_assert_not_null(r.file, "tests/reference.txt.gz is not there");
    tg_tape *t = tg_tape_new(NULL);
    int cases = 0;
    next_line(&r);
    for (int k = 0; k < ROWS; k++) {
        cr_assert(r.line[0] == '=' && strcmp(r.line + 2, rows[k].expression) == 0,
                  "\"%s\" where %s is next: run tests/reference.py", r.line, rows[k].expression);
        next_line(&r);
        for (int number = 1; r.line[0] && r.line[0] != '='; number++, cases++) {
            run_case(&r, t, &rows[k], number);
            cr_expect_eq(tg_tape_status(t), TG_OK, "case %d of %s: %s", number, rows[k].expression,
                         tg_tape_message(t));
            tg_tape_clear_error(t);
            tg_tape_reset(t);
        }
    }
    cr_expect(r.line[0] == 0, "\"%s\" is of no row: run tests/reference.py", r.line);
    cr_expect_gt(cases, 1000);
    tg_tape_free(t);
    gzclose(r.file);
}

static bool calls(const struct row *row, const char *name)
{
    char call[80];
    snprintf(call, sizeof call, "tg_%s(", name);
    return strstr(row->call, call) != NULL;
}

Test(reference, every_op_is_compared_or_has_an_example)
{
    int n;
    const tg_op_info *const *list = tg_ops_list(&n);
    for (int k = 0; k < n; k++) {
        bool found = false;
        for (int i = 0; i < ROWS && !found; i++) found = calls(&rows[i], list[k]->name);
        for (size_t i = 0; i < sizeof alone / sizeof alone[0] && !found; i++)
            found = calls(&alone[i], list[k]->name);
        cr_expect(found, "%s has no row in reference_rows.h", list[k]->name);
    }
}

Test(reference, examples_without_numbers_run)
{
    tg_tape *t = tg_tape_new(NULL);
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(3), ((const double[]){0.1, 0.5, 0.9}));
        cr_expect_not_null(tg_data(t, alone[i].record(t, x, x, x, x, x, x)), "%s: %s",
                           alone[i].call, tg_tape_message(t));
        tg_tape_reset(t);
    }
    tg_tape_free(t);
}
