/* matmul and linear. A product is cut for threads by rows or columns of y, or by its batches, never
 * along the inner dimension, which would change bits. */
#include "folds.h"
#include "gemm.h"
#include <string.h>

#ifndef TG_SAMPLES

/* One operand: its first matrix, and how the others follow along y's batch dimensions. */
typedef struct operand {
    tg_matrix matrix;
    int64_t step[TG_MAX_DIMS];
} operand;

/* Everything about a product but where its data lies: prepared once. */
typedef struct product {
    size_t element;
    int batch_dims;
    int64_t batch[TG_MAX_DIMS], batches;
    int64_t m, n, k;
    operand a, b;
    bool interleaved;
    /* parts for threads: of the batches, or of the one matrix */
    int64_t groups, row_cuts, column_cuts;
    int64_t scratch; /* bytes for each part */
} product;

static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }

static tg_gemm_fn *const kernels[][TG_BUILD_COUNT] = TG_KERNEL_TABLE(tg_gemm);

void tg_gemm(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
             int64_t ldc, bool interleaved, void *scratch)
{
    kernels[dtype][build](a, b, c, ldc, interleaved, scratch);
}

/* Strides of sizes 1 carry no meaning: they become what reads best. */
static operand operand_of(const tg_array *x, int y_dims)
{
    const int d = x->shape.ndim;
    operand o = {.matrix = {x->data, x->shape.dim[d - 2], x->shape.dim[d - 1], x->stride[d - 2],
                            x->stride[d - 1]}};
    tg_matrix *m = &o.matrix;
    if (m->columns == 1 && m->rows == 1) m->row = m->column = 1;
    else if (m->columns == 1) {
        if (m->row >= 1) m->column = 1;
    } else if (m->rows == 1) {
        if (m->column == 1) m->row = m->columns;
        else if (m->column > 1) m->row = 1;
    }
    for (int k = 0; k < d - 2; k++) {
        const bool repeated = x->shape.dim[k] == 1 || x->stride[k] == 0;
        o.step[y_dims - d + k] = repeated ? 0 : x->stride[k];
    }
    return o;
}

/* When all of a's matrices meet the same b and lie below each other, they are one tall matrix. */
static void fold_batch_into_rows(product *p)
{
    int64_t rows = p->m, row = p->a.matrix.row;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        if (p->batch[d] == 1) continue;
        if (p->b.step[d] != 0) return;
        if (rows == 1) row = p->a.step[d];
        else if (p->a.step[d] != row * rows) return;
        rows *= p->batch[d];
    }
    p->m = p->a.matrix.rows = rows;
    p->a.matrix.row = row;
    p->batches = 1;
    p->batch_dims = 0;
}

/* Parts begin at multiples of EDGE rows or columns. Each copies what it needs of the operands. */
enum { EDGE = 16 };

/* How many parts a product is cut into for threads. */
static int64_t parts_of(double multiplications)
{
    return multiplications >= 1e9   ? 16
           : multiplications >= 2e8 ? 8
           : multiplications >= 8e6 ? 4
           : multiplications >= 2e6 ? 2
                                    : 1;
}

static void cut(product *p)
{
    int64_t parts = parts_of((double)p->batches * (double)p->m * (double)p->n * (double)p->k);
    p->groups = p->row_cuts = p->column_cuts = 1;
    if (p->batches > 1) {
        p->groups = lowest(parts, p->batches);
        return;
    }
    while (parts > 1 && (p->m > p->n ? p->m : p->n) / parts < 64) parts /= 2;
    *(p->m > p->n ? &p->row_cuts : &p->column_cuts) = parts;
}

static void prepare(const tg_call *c, void *prepared)
{
    product *p = prepared;
    const tg_array *a = &c->x[0], *b = &c->x[1], *y = c->y;
    const int dims = y->shape.ndim;
    *p = (product){.element = tg_dtype_size(y->dtype), .batch_dims = dims - 2, .batches = 1};
    for (int d = 0; d < dims - 2; d++) {
        p->batch[d] = y->shape.dim[d];
        p->batches *= p->batch[d];
    }
    p->a = operand_of(a, dims);
    p->b = operand_of(b, dims);
    if (c->n_attrs)
        p->b.matrix = (tg_matrix){b->data, p->b.matrix.columns, p->b.matrix.rows,
                                  p->b.matrix.column, p->b.matrix.row};
    p->m = p->a.matrix.rows;
    p->n = p->b.matrix.columns;
    p->k = p->a.matrix.columns;
    if (p->m == 0 || p->n == 0 || p->batches == 0) {
        p->groups = 0;
        return;
    }
    if (p->batches > 1 && p->k > 0) fold_batch_into_rows(p);
    p->interleaved = tg_gemm_interleaved(p->m, p->n, p->k);
    cut(p);
    if (p->interleaved) return;
    tg_matrix part = p->a.matrix;
    part.rows = (p->m + p->row_cuts - 1) / p->row_cuts + EDGE;
    p->scratch = tg_gemm_scratch(&part, (p->n + p->column_cuts - 1) / p->column_cuts + EDGE,
                                 (int64_t)p->element);
}

static int64_t scratch(const tg_call *c)
{
    const product *p = c->prepared;
    return p->groups * p->row_cuts * p->column_cuts * p->scratch;
}

static int64_t offset_of(const product *p, const operand *o, int64_t batch)
{
    int64_t offset = 0;
    for (int d = p->batch_dims - 1; d >= 0; d--) {
        offset += batch % p->batch[d] * o->step[d];
        batch /= p->batch[d];
    }
    return offset;
}

static int64_t edge(int64_t size, int64_t part, int64_t parts)
{
    return parts == 1 ? size * part : lowest(size, (size + EDGE - 1) / EDGE * part / parts * EDGE);
}

static void multiply_part(const tg_call *c, void *user, int64_t part)
{
    const product *p = c->prepared;
    (void)user;
    const int64_t element = (int64_t)p->element;
    const int64_t tiles = p->row_cuts * p->column_cuts, group = part / tiles, tile = part % tiles;
    const int64_t r = tile / p->column_cuts, s = tile % p->column_cuts;
    const int64_t i = edge(p->m, r, p->row_cuts), i_end = edge(p->m, r + 1, p->row_cuts);
    const int64_t j = edge(p->n, s, p->column_cuts), j_end = edge(p->n, s + 1, p->column_cuts);
    if (i == i_end || j == j_end) return;
    for (int64_t batch = p->batches * group / p->groups;
         batch < p->batches * (group + 1) / p->groups; batch++) {
        tg_matrix a = p->a.matrix, b = p->b.matrix;
        a.data = (const char *)c->x[0].data + (offset_of(p, &p->a, batch) + i * a.row) * element;
        a.rows = i_end - i;
        b.data = (const char *)c->x[1].data + (offset_of(p, &p->b, batch) + j * b.column) * element;
        b.columns = j_end - j;
        tg_gemm(c->y->dtype, c->build, &a, &b,
                (char *)c->y->data + ((batch * p->m + i) * p->n + j) * element, p->n,
                p->interleaved, (char *)c->scratch + part * p->scratch);
    }
}

static void kernel(const tg_call *c)
{
    const product *p = c->prepared;
    if (p->groups == 0) return;
    if (p->k == 0) {
        memset(c->y->data, 0, (size_t)(p->batches * p->m * p->n) * p->element);
        return;
    }
    const int64_t parts = p->groups * p->row_cuts * p->column_cuts;
    if (parts == 1) multiply_part(c, NULL, 0);
    else tg_parallel(c, parts, multiply_part, NULL);
}

/* An element's index in C, its matrix being that of the batch's loops. */
static void print_index(tg_source *s, const tg_array *x, int y_dims, const char *row,
                        const char *column)
{
    const int d = x->shape.ndim;
    for (int k = 0; k < d - 2; k++)
        if (x->shape.dim[k] != 1)
            tg_source_print(s, "%lld * b%d + ", (long long)x->stride[k], y_dims - d + k);
    tg_source_print(s, "%lld * %s + %lld * %s", (long long)x->stride[d - 2], row,
                    (long long)x->stride[d - 1], column);
}

/* Sums in order over the inner dimension, a row of y at a time; or, where kernels/gemm.h has eight
 * sums for an element, element by element. */
static bool print(const tg_call *c, tg_source *s)
{
    const tg_array *a = &c->x[0], *b = &c->x[1], *y = c->y;
    const int dims = y->shape.ndim;
    const char *type = y->dtype == TG_F32 ? "float" : "double";
    const char *row = c->n_attrs ? "j" : "p", *column = c->n_attrs ? "p" : "j";
    const long long m = y->shape.dim[dims - 2], n = y->shape.dim[dims - 1],
                    depth = a->shape.dim[a->shape.ndim - 1];
    product p;
    prepare(c, &p);
    for (int k = 0; k < dims - 2; k++)
        tg_source_print(s, "    for (ptrdiff_t b%d = 0; b%d < %lld; b%d++)\n", k, k,
                        (long long)y->shape.dim[k], k);
    tg_source_print(s, "    for (ptrdiff_t i = 0; i < %lld; i++, y += %lld)", m, n);
    if (p.interleaved) {
        tg_source_print(s,
                        "\n        for (ptrdiff_t j = 0; j < %lld; j++) {\n"
                        "            %s s[8] = {0};\n"
                        "            for (ptrdiff_t p = 0; p < %lld; p++) s[p %% 8] += x0[",
                        n, type, depth);
        print_index(s, a, dims, "i", "p");
        tg_source_print(s, "] * x1[");
        print_index(s, b, dims, row, column);
        tg_source_print(s, "];\n            y[j] = ((s[0] + s[4]) + (s[2] + s[6])) + "
                           "((s[1] + s[5]) + (s[3] + s[7]));\n        }\n");
        return true;
    }
    tg_source_print(s, " {\n        for (ptrdiff_t j = 0; j < %lld; j++) y[j] = 0;\n", n);
    tg_source_print(s,
                    "        for (ptrdiff_t p = 0; p < %lld; p++) {\n            const %s a = x0[",
                    depth, type);
    print_index(s, a, dims, "i", "p");
    tg_source_print(s, "];\n            for (ptrdiff_t j = 0; j < %lld; j++) y[j] += a * x1[", n);
    print_index(s, b, dims, row, column);
    tg_source_print(s, "];\n        }\n    }\n");
    return true;
}

static bool rule(tg_rule *r)
{
    const tg_shape a = r->x[0].shape, b = r->x[1].shape;
    const tg_dtype dtype = r->x[0].dtype;
    if (dtype != r->x[1].dtype || (dtype != TG_F32 && dtype != TG_F64))
        return tg_rule_fail(r, TG_EDTYPE, "operands are f32 or f64, both the same, not %s and %s",
                            tg_dtype_name(dtype), tg_dtype_name(r->x[1].dtype));
    if (a.ndim < 2 || b.ndim < 2)
        return tg_rule_fail(r, TG_ESHAPE, "matrices wanted: %s x %s", tg_shape_text(a).text,
                            tg_shape_text(b).text);
    if (a.dim[a.ndim - 1] != b.dim[b.ndim - 2])
        return tg_rule_fail(r, TG_ESHAPE, "inner sizes differ: %s x %s", tg_shape_text(a).text,
                            tg_shape_text(b).text);
    const tg_shape batch =
        tg_shape_broadcast(tg_shape_of(a.ndim - 2, a.dim), tg_shape_of(b.ndim - 2, b.dim));
    if (tg_shape_too_large(batch))
        return tg_rule_fail(r, TG_ESHAPE, "%s x %s has 2^57 elements or more, beyond any memory",
                            tg_shape_text(a).text, tg_shape_text(b).text);
    if (batch.ndim < 0)
        return tg_rule_fail(r, TG_ESHAPE, "leading sizes don't broadcast: %s x %s",
                            tg_shape_text(a).text, tg_shape_text(b).text);
    int64_t dim[TG_MAX_DIMS];
    for (int d = 0; d < batch.ndim; d++) dim[d] = batch.dim[d];
    dim[batch.ndim] = a.dim[a.ndim - 2];
    dim[batch.ndim + 1] = b.dim[b.ndim - 1];
    r->y = (tg_type){dtype, tg_shape_of(batch.ndim + 2, dim)};
    return true;
}

static tg_tensor *turned(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_transpose(t, x, -2, -1);
}

static tg_tensor *flat(tg_tape *t, const char *where, tg_tensor *x)
{
    const tg_shape shape = tg_tensor_shape(x);
    int64_t rows = 1;
    if (shape.ndim == 2) return x;
    for (int d = 0; d < shape.ndim - 1; d++) rows *= shape.dim[d];
    return tg_reshape(t, x, TG_SHAPE(rows, shape.dim[shape.ndim - 1]));
}

/* Each element is a sum over the last size of the first operand. */
static double flops(const tg_call *c)
{
    const tg_shape x = c->x[0].shape;
    return 2.0 * (double)tg_shape_count(c->y->shape) * (double)x.dim[x.ndim - 1];
}

/* linear: b is read as [n, k]. Seeing it turned through a view would do for the values, but its
 * gradient would come out turned. */
static bool linear_rule(tg_rule *r)
{
    const tg_shape x = r->x[0].shape, w = r->x[1].shape;
    if (r->x[0].dtype != r->x[1].dtype || (r->x[0].dtype != TG_F32 && r->x[0].dtype != TG_F64))
        return tg_rule_fail(r, TG_EDTYPE, "operands are f32 or f64, both the same, not %s and %s",
                            tg_dtype_name(r->x[0].dtype), tg_dtype_name(r->x[1].dtype));
    r->y = r->x[0];
    r->y.shape.dim[x.ndim - 1] = w.dim[0];
    return true;
}

static void linear_vjp(TG_VJP)
{
    if (tg_wants(t, 0)) gx[0] = tg_matmul(t, gy, x[1]);
    if (tg_wants(t, 1))
        gx[1] = tg_matmul(t, turned(t, TG_HERE, flat(t, TG_HERE, gy)), flat(t, TG_HERE, x[0]));
}

static const tg_op linear = {.size = sizeof(tg_op),
                             .name = "linear",
                             .n_in = 2,
                             .flags = TG_STRIDED,
                             .rule = linear_rule,
                             .kernel = kernel,
                             .scratch = scratch,
                             .prepared = sizeof(product),
                             .prepare = prepare,
                             .vjp = linear_vjp,
                             .print = print,
                             .flops = flops};

/* A b without batch sums its gradient over a's batch: as one flat product rather than many that are
 * then added. */
static void vjp(TG_VJP)
{
    tg_tensor *a = x[0], *b = x[1], *g = gy;
    if (tg_wants(t, 0)) gx[0] = tg_matmul(t, gy, turned(t, TG_HERE, b));
    if (!tg_wants(t, 1)) return;
    if (tg_tensor_shape(b).ndim == 2 && tg_tensor_shape(a).ndim > 2) {
        a = flat(t, TG_HERE, a);
        g = flat(t, TG_HERE, gy);
    }
    gx[1] = tg_matmul(t, turned(t, TG_HERE, a), g);
}

static const tg_op matmul = {.size = sizeof(tg_op),
                             .name = "matmul",
                             .n_in = 2,
                             .flags = TG_STRIDED,
                             .rule = rule,
                             .kernel = kernel,
                             .scratch = scratch,
                             .prepared = sizeof(product),
                             .prepare = prepare,
                             .vjp = vjp,
                             .print = print,
                             .flops = flops};

tg_tensor *tg_matmul_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready(t, where, "matmul", a) || !tg_ready(t, where, "matmul", b)) return NULL;
    const tg_shape a_shape = tg_tensor_shape(a), b_shape = tg_tensor_shape(b);
    if (a_shape.ndim != 1 && b_shape.ndim != 1) return tg_apply_2(t, where, &matmul, a, b);
    if (a_shape.ndim > 0 && b_shape.ndim > 0 &&
        a_shape.dim[a_shape.ndim - 1] != b_shape.dim[b_shape.ndim == 1 ? 0 : b_shape.ndim - 2])
        return tg_fail_at(t, where, TG_ESHAPE, "matmul: inner sizes differ: %s x %s",
                          tg_shape_text(a_shape).text, tg_shape_text(b_shape).text);
    if (a_shape.ndim == 1) a = tg_unsqueeze(t, a, 0);
    if (b_shape.ndim == 1) b = tg_unsqueeze(t, b, 1);
    tg_tensor *y = tg_apply_2(t, where, &matmul, a, b);
    if (b_shape.ndim == 1) y = tg_squeeze(t, y, -1);
    return a_shape.ndim == 1 ? tg_squeeze(t, y, b_shape.ndim == 1 ? -1 : -2) : y;
}

tg_tensor *tg_linear_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *w, tg_tensor *b)
{
    if (!tg_ready(t, TG_HERE, "linear", x) || !tg_ready(t, TG_HERE, "linear", w) ||
        (b && !tg_ready(t, TG_HERE, "linear", b)))
        return NULL;
    const tg_shape x_shape = tg_tensor_shape(x), w_shape = tg_tensor_shape(w),
                   b_shape = tg_tensor_shape(b);
    if (x_shape.ndim < 1 || w_shape.ndim != 2 || x_shape.dim[x_shape.ndim - 1] != w_shape.dim[1])
        return tg_fail_at(t, where, TG_ESHAPE, "linear: x %s does not fit w %s",
                          tg_shape_text(x_shape).text, tg_shape_text(w_shape).text);
    if (b && (b_shape.ndim != 1 || b_shape.dim[0] != w_shape.dim[0]))
        return tg_fail_at(t, where, TG_ESHAPE, "linear: b %s does not fit w %s",
                          tg_shape_text(b_shape).text, tg_shape_text(w_shape).text);
    if (b && tg_dtype_on(t, b) != tg_dtype_on(t, x))
        return tg_fail_at(t, where, TG_EDTYPE, "linear: b is %s but x is %s",
                          tg_dtype_name(tg_dtype_on(t, b)), tg_dtype_name(tg_dtype_on(t, x)));
    if (x_shape.ndim == 1) x = tg_unsqueeze(t, x, 0);
    tg_tensor *y = tg_apply(t, &linear, 2, ((tg_tensor *[]){x, w}), 1, (const int64_t[]){1});
    if (x_shape.ndim == 1) y = tg_squeeze(t, y, 0);
    return b ? tg_add(t, y, b) : y;
}

KNOWN(matmul, "[..., n, k] x [..., k, m] -> [..., n, m]", -1,
      ("y[i,j] = sum over k of a[i,k] b[k,j]"))
KNOWN(linear, "[..., in] x [out, in] + [out] -> [..., out]", -1, ("y = x w^T + b"))

#else

#define UNIT(...) REALS(-1, 1, __VA_ARGS__)

static void product_of(const tg_array *x, tg_array *y)
{
    const double *a = x[0].data, *b = x[1].data;
    double *c = y->data;
    const int da = x[0].shape.ndim, db = x[1].shape.ndim;
    const bool row = da == 1, column = db == 1;
    const int64_t m = row ? 1 : x[0].shape.dim[da - 2], k = x[0].shape.dim[da - 1],
                  n = column ? 1 : x[1].shape.dim[db - 1];
    const int batch_dims = y->shape.ndim - !row - !column;
    int64_t batches = 1;
    for (int d = 0; d < batch_dims; d++) batches *= y->shape.dim[d];
    for (int64_t batch = 0; batch < batches; batch++) {
        int64_t at[2] = {0, 0};
        for (int side = 0; side < 2; side++) {
            const int dims = side == 0 ? da - 2 : db - 2;
            int64_t rest = batch, step = side == 0 ? m * k : k * n;
            for (int d = batch_dims - 1; d >= batch_dims - dims && d >= 0; d--) {
                const int64_t size = x[side].shape.dim[d - (batch_dims - dims)];
                if (size > 1) at[side] += rest % y->shape.dim[d] * step;
                step *= size;
                rest /= y->shape.dim[d];
            }
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t p = 0; p < k; p++) sum += a[at[0] + i * k + p] * b[at[1] + p * n + j];
                c[(batch * m + i) * n + j] = sum;
            }
    }
}

CALL(matmul, tg_matmul(t, x[0], x[1]))
EXPECT(matmul, product_of(x, y))
SAMPLES(matmul, SAMPLE(matmul, "matrices", 0, UNIT(3, 4), UNIT(4, 5)),
        SAMPLE(matmul, "tall", 0, UNIT(33, 4), UNIT(4, 3)),
        SAMPLE(matmul, "deep", 0, UNIT(3, 37), UNIT(37, 2)),
        SAMPLE(matmul, "beyond the small kernel", 0, UNIT(17, 19), UNIT(19, 18)),
        SAMPLE(matmul, "equal batches", 0, UNIT(2, 3, 4), UNIT(2, 4, 2)),
        SAMPLE(matmul, "batch of a only", 0, UNIT(2, 3, 2, 4), UNIT(4, 3)),
        SAMPLE(matmul, "batch of b only", 0, UNIT(2, 3), UNIT(3, 3, 2)),
        SAMPLE(matmul, "broadcast batches", 0, UNIT(2, 1, 2, 3), UNIT(1, 3, 3, 2)),
        SAMPLE(matmul, "row times matrix", 0, UNIT(4), UNIT(4, 3)),
        SAMPLE(matmul, "matrix times column", 0, UNIT(2, 3, 4), UNIT(4)),
        SAMPLE(matmul, "row times column", 0, UNIT(5), UNIT(5)))

static void affine(const tg_array *x, bool bias, tg_array *y)
{
    const double *v = x[0].data, *w = x[1].data, *b = bias ? x[2].data : NULL;
    double *out = y->data;
    const int64_t in = x[1].shape.dim[1], width = x[1].shape.dim[0],
                  rows = tg_shape_count(y->shape) / width;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++) {
            double sum = b ? b[j] : 0;
            for (int64_t p = 0; p < in; p++) sum += v[i * in + p] * w[j * in + p];
            out[i * width + j] = sum;
        }
}

CALL_WITHOUT(linear, 1 << 2, tg_linear(t, x[0], x[1], x[2]))
EXPECT(linear, affine(x, true, y))
CALL(no_bias, tg_linear(t, x[0], x[1], NULL))
EXPECT(no_bias, affine(x, false, y))
SAMPLES(linear, SAMPLE(linear, "rows", 0, UNIT(5, 3), UNIT(4, 3), UNIT(4)),
        SAMPLE(linear, "one vector", 0, UNIT(3), UNIT(4, 3), UNIT(4)),
        SAMPLE(linear, "more dimensions", 0, UNIT(2, 3, 4), UNIT(5, 4), UNIT(5)),
        SAMPLE(no_bias, "no bias", 0, UNIT(6, 7), UNIT(3, 7)))

#endif
