/* Every op in the registry, every sample: values against the sample's reference, derivatives
 * against differences, and the same bits however it is run. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "support.h"
#include "../ops/samples.h"

/* ---------------------------------------------------------------- the shape matrix */

/* Shapes of the operands of one case; a shape of ndim -1 ends a list. */
typedef struct shapes {
    tg_shape x[TG_SAMPLE_INPUTS];
} shapes;

#define S(...) TG_SHAPE(__VA_ARGS__)

static int shape_matrix(int n_in, shapes out[32])
{
    const tg_shape alike[] = {TG_SCALAR, S(0),    S(3, 0),    S(1),   S(17),
                              S(65),     S(1025), S(2, 3, 4), S(5, 7)};
    const tg_shape pairs[][2] = {{S(3, 5), S(5)},   {S(5), S(3, 5)},   {S(3, 1), S(1, 5)},
                                 {TG_SCALAR, S(7)}, {S(7), TG_SCALAR}, {S(2, 1, 3), S(4, 1)},
                                 {S(0), S(1)},      {S(1), S(3, 0)},   {S(1), S(65)},
                                 {S(2, 3), S(1)}};
    int n = 0;
    for (size_t k = 0; k < sizeof alike / sizeof alike[0]; k++, n++)
        for (int i = 0; i < n_in; i++) out[n].x[i] = alike[k];
    if (n_in < 2) return n;
    for (size_t k = 0; k < sizeof pairs / sizeof pairs[0]; k++, n++)
        for (int i = 0; i < n_in; i++) out[n].x[i] = pairs[k][(size_t)i % 2];
    if (n_in < 3) return n;
    const tg_shape triples[][3] = {
        {S(3, 1), S(5), TG_SCALAR}, {TG_SCALAR, S(4, 1), S(3)}, {S(2, 1, 1), S(3, 1), S(2)}};
    for (size_t k = 0; k < sizeof triples / sizeof triples[0]; k++, n++)
        for (int i = 0; i < n_in; i++) out[n].x[i] = triples[k][i % 3];
    return n;
}

/* How an operand's contents reach the op. */
typedef enum view { PLAIN, TRANSPOSED, SLICED, FLIPPED, VIEWS } view;
static const char *const view_name[] = {"plain", "transposed", "sliced", "flipped"};

static bool has_view(tg_shape s, view v)
{
    return v == PLAIN || s.ndim >= (v == TRANSPOSED ? 2 : 1);
}

/* Row-major contents of `shape` rearranged so that viewed() gives them back; stored gets the shape
 * to record. */
static void store(tg_shape shape, view v, const double *plain, tg_shape *stored, double *out)
{
    const int64_t count = tg_shape_count(shape), last = shape.ndim ? shape.dim[shape.ndim - 1] : 1;
    *stored = shape;
    if (v == TRANSPOSED) {
        const int64_t rows = shape.dim[shape.ndim - 2];
        stored->dim[shape.ndim - 2] = last;
        stored->dim[shape.ndim - 1] = rows;
        for (int64_t i = 0; i < count; i++) {
            const int64_t matrix = i / (rows * last), row = i / last % rows, column = i % last;
            out[matrix * rows * last + column * rows + row] = plain[i];
        }
    } else if (v == SLICED) {
        stored->dim[shape.ndim - 1] = 2 * last + 1;
        const int64_t rows = last ? count / last : tg_shape_count(*stored);
        for (int64_t i = 0; i < rows * (2 * last + 1); i++) out[i] = 0.5;
        for (int64_t i = 0; i < count; i++)
            out[i / last * (2 * last + 1) + 2 * (i % last) + 1] = plain[i];
    } else
        for (int64_t i = 0; i < count; i++) out[v == FLIPPED ? count - 1 - i : i] = plain[i];
}

static tg_tensor *viewed(tg_tape *t, tg_tensor *x, view v)
{
    if (v == TRANSPOSED) return tg_transpose(t, x, -2, -1);
    if (v == SLICED) return tg_slice(t, x, -1, 1, TG_END, 2);
    return v == FLIPPED ? tg_flip(t, x, TG_ALL_AXES) : x;
}

/* ---------------------------------------------------------------- one case */

typedef struct sampled {
    const tg_sample *sample;
    tg_type type[TG_SAMPLE_INPUTS];
    view view[TG_SAMPLE_INPUTS];
    double *plain[TG_SAMPLE_INPUTS],
        *stored[TG_SAMPLE_INPUTS]; /* contents, as numbers of the operand's dtype */
    tg_shape stored_shape[TG_SAMPLE_INPUTS];
    int by; /* the operand in which it is differentiated */
} sampled;

static uint64_t state;

/* The sample with its float operands in one dtype, of shapes of its own or of the matrix. */
static void draw(sampled *c, const tg_sample *s, tg_dtype dtype, const shapes *shape)
{
    *c = (sampled){.sample = s};
    for (int k = 0; k < s->n_in; k++) {
        c->type[k] = s->x[k].type;
        if (shape) c->type[k].shape = shape->x[k];
        if (test_is_float(c->type[k].dtype)) c->type[k].dtype = dtype;
        const int64_t count = tg_shape_count(c->type[k].shape);
        cr_assert(count >= 0);
        c->plain[k] = calloc((size_t)count + 1, sizeof(double));
        c->stored[k] = calloc((size_t)(3 * count + 64), sizeof(double));
        const double low = s->x[k].low, high = s->x[k].high;
        for (int64_t i = 0; i < count; i++) {
            const double u = test_uniform(&state);
            c->plain[k][i] = test_is_float(c->type[k].dtype) ? low + u * (high - low)
                                                             : floor(low + u * (high - low + 1));
            if (c->type[k].dtype == TG_F32) c->plain[k][i] = (float)c->plain[k][i];
        }
    }
}

static void present(sampled *c, int k, view v)
{
    c->view[k] = v;
    store(c->type[k].shape, v, c->plain[k], &c->stored_shape[k], c->stored[k]);
}

static void present_all(sampled *c, view v)
{
    for (int k = 0; k < c->sample->n_in; k++)
        present(c, k, has_view(c->type[k].shape, v) ? v : PLAIN);
}

static void release(sampled *c)
{
    for (int k = 0; k < c->sample->n_in; k++) {
        free(c->plain[k]);
        free(c->stored[k]);
    }
}

static tg_tensor *input(tg_tape *t, const sampled *c, int k)
{
    const int64_t count = tg_shape_count(c->stored_shape[k]);
    void *data = calloc((size_t)count + 1, sizeof(double));
    for (int64_t i = 0; i < count; i++) {
        const double v = c->stored[k][i];
        switch (c->type[k].dtype) {
        case TG_F32: ((float *)data)[i] = (float)v; break;
        case TG_F64: ((double *)data)[i] = v; break;
        case TG_I64: ((int64_t *)data)[i] = (int64_t)v; break;
        default: ((uint8_t *)data)[i] = (uint8_t)v;
        }
    }
    tg_tensor *x = tg_input(t, c->type[k].dtype, c->stored_shape[k], data);
    free(data);
    return x;
}

static double element_of(tg_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case TG_F32: return (double)((const float *)data)[i];
    case TG_F64: return ((const double *)data)[i];
    case TG_I64: return (double)((const int64_t *)data)[i];
    default: return (double)((const uint8_t *)data)[i];
    }
}

static const char *name_of(const tg_samples *of, const sampled *c)
{
    static char text[512];
    int n = snprintf(text, sizeof text, "%s (%s)", of->op->name,
                     c->sample->label ? c->sample->label : "");
    for (int k = 0; k < c->sample->n_in; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %s %s%s", view_name[c->view[k]],
                      tg_dtype_name(c->type[k].dtype), tg_shape_text(c->type[k].shape).text);
    return text;
}

/* Each sample with each shape of its matrix. */
typedef void (*visitor)(const tg_samples *of, const tg_sample *s, const shapes *shape);
static void each_case(const tg_samples *of, visitor visit)
{
    for (int i = 0; i < of->n; i++) {
        const tg_sample *s = &of->sample[i];
        state = (uint64_t)i;
        if (!(s->flags & TG_ANY_SHAPE)) {
            visit(of, s, NULL);
            continue;
        }
        shapes matrix[32];
        const int n = shape_matrix(s->n_in, matrix);
        for (int k = 0; k < n; k++) visit(of, s, &matrix[k]);
    }
}

/* Tests run op by op, so that a crash names its op and both processors are used. */
static int numbers[512];
#define EACH_OP(name)                                                                 \
    ParameterizedTestParameters(ops, name)                                            \
    {                                                                                 \
        int n;                                                                        \
        tg_samples_list(&n);                                                          \
        for (int i = 0; i < n; i++) numbers[i] = i;                                   \
        return (struct criterion_test_params){sizeof(int), numbers, (size_t)n, NULL}; \
    }                                                                                 \
    ParameterizedTest(int *number, ops, name)

static const tg_samples *op_of(const int *number)
{
    int n;
    return tg_samples_list(&n)[*number];
}

/* ---------------------------------------------------------------- values */

/* The expected values of a case, from what its operands hold, and the size of the largest operand
 * of each. */
static void expect(const sampled *c, tg_shape shape, double *out, double *size)
{
    const tg_sample *s = c->sample;
    const int64_t count = tg_shape_count(shape);
    if (!(s->flags & TG_ANY_SHAPE)) {
        tg_array x[TG_SAMPLE_INPUTS] = {0}, y = {.data = out, .dtype = TG_F64, .shape = shape};
        int64_t step = 1;
        for (int d = shape.ndim - 1; d >= 0; step *= shape.dim[d--]) y.stride[d] = step;
        for (int k = 0; k < s->n_in; k++) {
            x[k] = (tg_array){.data = c->plain[k], .dtype = TG_F64, .shape = c->type[k].shape};
            step = 1;
            for (int d = x[k].shape.ndim - 1; d >= 0; step *= x[k].shape.dim[d--])
                x[k].stride[d] = step;
        }
        s->whole(x, &y);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double x[TG_SAMPLE_INPUTS];
        for (int k = 0; k < s->n_in; k++) {
            const tg_shape from = c->type[k].shape;
            int64_t at = 0, step = 1, rest = i;
            for (int d = shape.ndim - 1; d >= 0; d--) {
                const int64_t here = rest % shape.dim[d];
                rest /= shape.dim[d];
                const int e = d - (shape.ndim - from.ndim);
                if (e < 0) continue;
                if (from.dim[e] > 1) at += here * step;
                step *= from.dim[e];
            }
            x[k] = c->plain[k][at];
            size[i] = fmax(size[i], fabs(x[k]));
        }
        out[i] = s->element(x);
    }
}

/* Elementwise functions are a few roundings deep, and a cancellation leaves the rounding of
 * something of the operands' size. Others add up to some hundred terms of size 1 or so: their error
 * is relative to that size. */
static double allowed(const sampled *c, tg_dtype dtype, double expected, double size)
{
    const bool single = dtype == TG_F32 || c->type[0].dtype == TG_F32;
    if (!(c->sample->flags & TG_ANY_SHAPE))
        return (single ? 16 * (double)FLT_EPSILON : 1e-12) * (fabs(expected) + 1);
    return single ? (double)FLT_EPSILON * (16 * fabs(expected) + size)
                  : 1e-12 * fabs(expected) + DBL_EPSILON * size;
}

static tg_isa isa;

static void check_values(const tg_samples *of, sampled *c)
{
    const tg_tape_options o = {.size = sizeof o, .isa = isa, .evaluation = true};
    tg_tape *t = tg_tape_new(&o);
    tg_tensor *x[TG_SAMPLE_INPUTS];
    for (int k = 0; k < c->sample->n_in; k++) x[k] = viewed(t, input(t, c, k), c->view[k]);
    tg_tensor *y = c->sample->record(t, x);
    const void *data = tg_data(t, y);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s: %s", name_of(of, c), tg_tape_message(t));
    if (data) {
        const tg_shape shape = tg_tensor_shape(y);
        const int64_t count = tg_shape_count(shape);
        double *expected = calloc((size_t)count + 1, sizeof *expected),
               *size = calloc((size_t)count + 1, sizeof *size);
        expect(c, shape, expected, size);
        for (int64_t i = 0; i < count; i++) {
            const double is = element_of(tg_tensor_dtype(y), data, i),
                         error = fabs(is - expected[i]);
            if (isnan(is) && isnan(expected[i])) continue;
            if (is == expected[i] || error <= allowed(c, tg_tensor_dtype(y), expected[i], size[i]))
                continue;
            cr_expect(false, "%s, build %d, element %lld: %.17g instead of %.17g", name_of(of, c),
                      (int)isa, (long long)i, is, expected[i]);
            break;
        }
        free(expected);
        free(size);
    }
    tg_tape_free(t);
}

static void visit_values(const tg_samples *of, const tg_sample *s, const shapes *shape)
{
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
        sampled c;
        draw(&c, s, dtype, shape);
        for (isa = TG_ISA_BASE; isa <= TG_ISA_AVX512; isa++) {
            present_all(&c, PLAIN);
            check_values(of, &c);
        }
        isa = TG_ISA_AUTO;
        for (int k = 0; k < s->n_in; k++)
            for (view v = TRANSPOSED; v < VIEWS; v++) {
                if (!has_view(c.type[k].shape, v)) continue;
                present_all(&c, PLAIN);
                present(&c, k, v);
                check_values(of, &c);
            }
        release(&c);
    }
}

EACH_OP(values_equal_the_reference) { each_case(op_of(number), visit_values); }

/* ---------------------------------------------------------------- derivatives */

static tg_tensor *call_sample(tg_tape *t, tg_tensor *const *floats, int n, void *user)
{
    const sampled *c = user;
    tg_tensor *x[TG_SAMPLE_INPUTS];
    int taken = 0;
    (void)n;
    for (int k = 0; k < c->sample->n_in; k++)
        x[k] = viewed(t, test_is_float(c->type[k].dtype) ? floats[taken++] : input(t, c, k),
                      c->view[k]);
    return c->sample->record(t, x);
}

/* The gradient in one of the operands, to be differentiated itself: so rules that only the third
 * derivative uses are checked as well. */
static tg_tensor *call_gradient(tg_tape *t, tg_tensor *const *floats, int n, void *user)
{
    const sampled *c = user;
    tg_tensor *y = call_sample(t, floats, n, user), *x = floats[c->by], *gx = NULL;
    double seed[64];
    for (int i = 0; i < 64; i++) seed[i] = 1 + 0.5 * sin(i);
    if (tg_tensor_count(y) > 64) return x;
    tg_grad(t, y, tg_input(t, TG_F64, tg_tensor_shape(y), seed), 1, &x, &gx, true);
    return gx ? gx : x;
}

/* The largest error of an op's checks, at the element of each that is worst, relative to 1 or to
 * what is larger: largest_errors.h has what it was. It is mostly that of the differences. With
 * TG_ERRORS=FILE in the environment a line for each op is added to that file. */
static double largest;
static void note_error(const tg_gradcheck_report *r)
{
    largest = fmax(largest, r->error / fmax(1, fabs(r->numeric)));
}
static void compare_error(const tg_op_info *op)
{
    static const struct listed {
        const char *name;
        double error;
    } list[] = {
#define CHECKED(name, error) {#name, error},
#include "largest_errors.h"
#undef CHECKED
    };
    const char *path = getenv("TG_ERRORS");
    FILE *f = path && op->order ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "CHECKED(%s, %.1e)\n", op->name, largest);
        fclose(f);
        return;
    }
    bool found = op->order == 0;
    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        if (strcmp(list[k].name, op->name) != 0) continue;
        found = true;
        cr_expect(largest <= 10 * list[k].error + 1e-10 && list[k].error <= 10 * largest + 1e-10,
                  "%s: the largest error is %g, largest_errors.h has %g", op->name, largest,
                  list[k].error);
    }
    cr_expect(found, "%s is not in largest_errors.h: %g", op->name, largest);
}

static void check_derivatives(const tg_samples *of, sampled *c)
{
    tg_check_input in[TG_SAMPLE_INPUTS];
    int n = 0;
    for (int k = 0; k < c->sample->n_in; k++)
        if (test_is_float(c->type[k].dtype))
            in[n++] = (tg_check_input){.shape = c->stored_shape[k], .data = c->stored[k]};
    /* beyond some 20 elements random combinations and directions say as much as every pair, in less
     * time */
    const tg_gradcheck_options o = {.size = sizeof o,
                                    .full_jacobian = 256,
                                    .directions = 3,
                                    .first_order_only =
                                        of->op->order == 1 || c->sample->flags & TG_FIRST_ORDER};
    tg_gradcheck_report r;
    cr_expect_eq(tg_gradcheck(call_sample, n, in, NULL, c, &o, &r), TG_OK, "%s: %s", name_of(of, c),
                 r.message);
    note_error(&r);
    cr_expect(n > 0, "%s has nothing to differentiate", name_of(of, c));
    int64_t count = 0;
    for (int k = 0; k < n; k++) count += tg_shape_count(in[k].shape);
    if (o.first_order_only || count > 24 || c->view[0] != PLAIN) return;
    for (c->by = 0; c->by < n; c->by++) {
        cr_expect_eq(tg_gradcheck(call_gradient, n, in, NULL, c, &o, &r), TG_OK,
                     "the gradient of %s: %s", name_of(of, c), r.message);
        note_error(&r);
    }
}

static void visit_derivatives(const tg_samples *of, const tg_sample *s, const shapes *shape)
{
    if (of->op->order == 0 || s->flags & TG_NOT_SMOOTH) return;
    sampled c;
    draw(&c, s, TG_F64, shape);
    for (view v = PLAIN; v < VIEWS; v++) {
        bool any = v == PLAIN;
        for (int k = 0; k < s->n_in; k++) any |= v != PLAIN && has_view(c.type[k].shape, v);
        if (!any) continue;
        present_all(&c, v);
        check_derivatives(of, &c);
    }
    release(&c);
}

EACH_OP(derivatives_equal_differences)
{
    largest = 0;
    each_case(op_of(number), visit_derivatives);
    compare_error(op_of(number)->op);
}

Test(ops, every_differentiable_op_has_a_derivative_checked)
{
    int n;
    const tg_samples *const *list = tg_samples_list(&n);
    cr_assert(n > 80);
    for (int i = 0; i < n; i++) {
        int checked = 0, second = 0;
        for (int k = 0; k < list[i]->n; k++) {
            const tg_sample *s = &list[i]->sample[k];
            cr_expect(s->record &&
                          (s->flags & TG_ANY_SHAPE ? s->element != NULL : s->whole != NULL),
                      "%s, sample %d: no reference", list[i]->op->name, k);
            cr_expect(s->n_in >= 0 && s->n_in <= TG_SAMPLE_INPUTS);
            if (s->flags & TG_NOT_SMOOTH) continue;
            checked++;
            second += !(s->flags & TG_FIRST_ORDER);
        }
        cr_expect(list[i]->n > 0, "%s has no sample", list[i]->op->name);
        cr_expect(list[i]->op->order == 0 || checked > 0,
                  "%s has no sample whose derivative is checked", list[i]->op->name);
        cr_expect(list[i]->op->order == 0 || list[i]->op->order == 1 || second > 0,
                  "%s: the second derivative is never checked", list[i]->op->name);
        cr_expect(list[i]->op->name && list[i]->op->formula && list[i]->op->shapes &&
                  *list[i]->op->formula && *list[i]->op->shapes);
    }
}

/* ---------------------------------------------------------------- the same bits */

typedef struct bits {
    size_t bytes;
    unsigned char *data;
} bits;

static void append(bits *b, tg_tape *t, tg_tensor *x)
{
    const size_t bytes = (size_t)tg_tensor_count(x) * tg_dtype_size(tg_tensor_dtype(x));
    const void *data = tg_data(t, x);
    b->data = realloc(b->data, b->bytes + bytes + 1);
    if (data && bytes) memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
}

/* Values, gradients, and a gradient of a gradient, evaluated together. */
static bits run(tg_tape *t, const tg_samples *of, const sampled *c)
{
    tg_tensor *leaf[TG_SAMPLE_INPUTS], *x[TG_SAMPLE_INPUTS] = {NULL}, *floats[TG_SAMPLE_INPUTS],
                                       *gx[TG_SAMPLE_INPUTS], *ask[2 * TG_SAMPLE_INPUTS + 1];
    int n = 0, asked = 0;
    bits b = {0};
    for (int k = 0; k < c->sample->n_in; k++) {
        leaf[k] = input(t, c, k);
        x[k] = viewed(t, leaf[k], c->view[k]);
        if (test_is_float(c->type[k].dtype)) floats[n++] = leaf[k];
    }
    tg_tensor *y = c->sample->record(t, x);
    ask[asked++] = y;
    if (of->op->order != 0 && n > 0 && test_is_float(tg_tensor_dtype(y))) {
        tg_tensor *seed = tg_sin(t, tg_offset(t, y, 1));
        tg_grad(t, y, seed, n, floats, gx, true);
        for (int k = 0; k < n; k++) {
            if (!gx[k]) continue;
            ask[asked++] = gx[k];
            tg_tensor *g2[TG_SAMPLE_INPUTS];
            if (of->op->order == 1 || c->sample->flags & TG_FIRST_ORDER) continue;
            tg_grad(t, gx[k], tg_cos(t, gx[k]), 1, &floats[k], g2, true);
            if (g2[0]) ask[asked++] = g2[0];
        }
    }
    tg_eval(t, asked, ask);
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s: %s", name_of(of, c), tg_tape_message(t));
    for (int k = 0; k < asked; k++) append(&b, t, ask[k]);
    return b;
}

static void check_bits(const tg_samples *of, const tg_sample *s, tg_dtype dtype,
                       const shapes *shape, view v)
{
    static const int threads[] = {1, 1, 2, 3, 8};
    const tg_tape_options one = {.size = sizeof one, .node_by_node = true};
    sampled c;
    draw(&c, s, dtype, shape);
    present_all(&c, v);
    tg_tape *t = tg_tape_new(&one);
    const bits want = run(t, of, &c);
    tg_tape_free(t);
    t = tg_tape_new(NULL);
    for (int k = 0; k < 5; k++) {
        tg_tape_set_threads(t, threads[k]);
        tg_tape_set_step(t, 0);
        const bits is = run(t, of, &c);
        cr_expect(is.bytes == want.bytes && memcmp(is.data, want.data, is.bytes) == 0,
                  "%s: other bits on run %d with %d threads", name_of(of, &c), k, threads[k]);
        free(is.data);
        tg_tape_reset(t);
    }
    cr_expect(tg_tape_plan_stats(t).hits >= 1, "%s: recorded again, planned again",
              name_of(of, &c));
    tg_tape_free(t);
    free(want.data);
    release(&c);
}

/* tg_backward plans what the vjps recorded without leaving it on the tape: parameters must get what
 * tg_grad gives, by a new plan and by the one that is kept. */
static void check_parameters(const tg_samples *of, const tg_sample *s, tg_dtype dtype,
                             const shapes *shape)
{
    if (of->op->order == 0 || s->flags & TG_NOT_SMOOTH) return;
    sampled c;
    draw(&c, s, dtype, shape);
    present_all(&c, PLAIN);
    tg_params *ps = tg_params_new(NULL);
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *p[TG_SAMPLE_INPUTS] = {NULL}, *x[TG_SAMPLE_INPUTS], *gx[TG_SAMPLE_INPUTS];
    static const char *const name[TG_SAMPLE_INPUTS] = {"0", "1", "2", "3", "4", "5"};
    for (int run = 0; run < 3; run++) { /* tg_grad, tg_backward, again */
        for (int k = 0; k < s->n_in; k++) {
            x[k] = input(t, &c, k);
            if (!test_is_float(c.type[k].dtype)) continue;
            const tg_init zeros = {.kind = TG_ZEROS};
            if (!p[k]) p[k] = tg_param_new(ps, name[k], dtype, c.stored_shape[k], zeros);
            if (run == 0) tg_param_write(p[k], tg_data(t, x[k]));
            x[k] = p[k];
        }
        tg_tape_set_step(t, 0);
        tg_tensor *y = s->record(t, x);
        if (!test_is_float(tg_tensor_dtype(y))) break;
        y = tg_sum_all(t, tg_mul(t, y, tg_detach(t, tg_cos(t, y))));
        if (run == 0) {
            for (int k = 0; k < s->n_in; k++) {
                if (!p[k]) continue;
                tg_grad(t, y, NULL, 1, &p[k], &gx[k], true);
                const void *data = gx[k] ? tg_data(t, gx[k]) : NULL;
                const size_t bytes = (size_t)tg_tensor_count(p[k]) * tg_dtype_size(dtype);
                if (data) memcpy(c.plain[k], data, bytes);
                else c.plain[k] = (free(c.plain[k]), NULL);
            }
        } else if (tg_backward(t, y) == TG_OK) {
            for (int k = 0; k < s->n_in; k++) {
                if (!p[k] || !tg_param_grad(p[k]) || !c.plain[k]) continue;
                const size_t bytes = (size_t)tg_tensor_count(p[k]) * tg_dtype_size(dtype);
                cr_expect(memcmp(tg_param_grad(p[k]), c.plain[k], bytes) == 0,
                          "%s: operand %d has another gradient as a parameter", name_of(of, &c), k);
            }
        }
        cr_expect(tg_tape_status(t) == TG_OK || tg_tape_status(t) == TG_ENOGRAD, "%s: %s",
                  name_of(of, &c), tg_tape_message(t));
        tg_params_drop_grads(ps);
        tg_tape_clear_error(t);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
    release(&c);
}

static void visit_bits(const tg_samples *of, const tg_sample *s, const shapes *shape)
{
    /* long enough to be cut into parts */
    const shapes large = {{S(37, 331), S(37, 331), S(37, 331), S(37, 331)}},
                 broad = {{S(37, 331), S(331), S(37, 1), TG_SCALAR}};
    for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++) {
        check_bits(of, s, dtype, shape, PLAIN);
        check_parameters(of, s, dtype, shape);
        check_bits(of, s, dtype, shape, TRANSPOSED);
        if (!shape || shape->x[0].ndim != 1 || shape->x[0].dim[0] != 1025) continue;
        check_bits(of, s, dtype, &large, SLICED);
        check_bits(of, s, dtype, &broad, FLIPPED);
    }
}

EACH_OP(bits_depend_on_neither_planning_nor_threads) { each_case(op_of(number), visit_bits); }
