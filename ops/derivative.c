/* Whole matrices of derivatives: one reverse pass for each row. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

/* The k-th unit vector in y's shape. */
static tg_tensor *unit_like(tg_tape *t, const char *where, tg_tensor *y, int64_t k)
{
    int64_t before = k, after = tg_tensor_count(y) - k - 1;
    tg_tensor *one = tg_unsqueeze(t, tg_constant_like(t, y, 1), 0);
    return tg_reshape(t, tg_pad(t, one, tg_shape_of(1, &before), tg_shape_of(1, &after), 0),
                      tg_tensor_shape(y));
}

/* [y's sizes, x's sizes] from the rows stacked so far: concatenated in a tree, so that no array of
 * all of them is needed. */
static tg_tensor *rows(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, int64_t from,
                       int64_t to)
{
    if (to - from == 1) {
        tg_tensor *g = NULL;
        if (tg_grad(t, y, unit_like(t, where, y, from), 1, &x, &g, true)) return NULL;
        return tg_unsqueeze(t, g ? g : tg_expand(t, tg_constant_like(t, x, 0), tg_tensor_shape(x)),
                            0);
    }
    int64_t middle = from + (to - from) / 2;
    tg_tensor *halves[] = {rows(t, where, y, x, from, middle), rows(t, where, y, x, middle, to)};
    return tg_concat(t, 2, halves, 0);
}

/* A row takes several nodes, whose numbers have 32 bits. */
static const int64_t MOST_ROWS = INT64_C(1) << 30;

static tg_tensor *jacobian(tg_tape *t, const char *where, const char *name, tg_tensor *y,
                           tg_tensor *x)
{
    if (!tg_ready(t, where, name, y) || !tg_ready(t, where, name, x)) return NULL;
    tg_shape shape = tg_tensor_shape(y), inner = tg_tensor_shape(x);
    if (shape.ndim < 0 || inner.ndim < 0 || shape.ndim + inner.ndim > TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %s by %s has more than 8 dimensions", name,
                          tg_shape_text(shape).text, tg_shape_text(inner).text);
    if (tg_dtype_on(t, x) != tg_dtype_on(t, y))
        return tg_fail_at(t, where, TG_EDTYPE, "%s: the result and x have different dtypes", name);
    memcpy(&shape.dim[shape.ndim], inner.dim, (size_t)inner.ndim * sizeof inner.dim[0]);
    shape.ndim += inner.ndim;
    const int64_t count = tg_tensor_count(y);
    if (tg_shape_count(shape) < 0 || count >= MOST_ROWS)
        return tg_fail_at(
            t, where, TG_ESHAPE,
            "%s: %" PRId64 " by %" PRId64
            " elements would need more memory, or passes over the graph, than there is",
            name, count, tg_tensor_count(x));
    if (count == 0) return tg_expand(t, tg_constant_like(t, x, 0), shape);
    return tg_reshape(t, rows(t, where, y, x, 0, count), shape);
}

tg_tensor *tg_jacobian_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x)
{
    return jacobian(t, where, "jacobian", y, x);
}

tg_tensor *tg_hessian_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x)
{
    tg_tensor *g = NULL;
    if (!tg_ready(t, where, "hessian", y) || !tg_ready(t, where, "hessian", x)) return NULL;
    if (tg_tensor_count(y) != 1)
        return tg_fail_at(t, where, TG_ESHAPE, "hessian: y %s has not one element",
                          tg_shape_text(tg_tensor_shape(y)).text);
    if (tg_grad(t, y, NULL, 1, &x, &g, true)) return NULL;
    if (!g) g = tg_expand(t, tg_constant_like(t, x, 0), tg_tensor_shape(x));
    return jacobian(t, where, "hessian", g, x);
}

tg_tensor *tg_checkpoint_at(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x)
{
    return tg_base_checkpoint(t, where, y, n, x);
}

KNOWN(checkpoint, "any", -1, ("y = x, computed again for its gradient"))
KNOWN(jacobian, "y of x -> [y's sizes, x's sizes]", -1, ("y[i,j] = dy[i] / dx[j]"))
KNOWN(hessian, "y of one element, x -> [x's sizes, x's sizes]", -1,
      ("y[i,j] = d^2 y / (dx[i] dx[j])"))

#else

static void jacobian_of_exp(const tg_array *x, tg_array *y)
{
    const double *in = x[0].data;
    double *out = y->data;
    const int64_t n = x[0].shape.dim[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) out[i * n + j] = i == j ? exp(in[i]) : 0;
}
CALL(of_exp, tg_jacobian(t, tg_exp(t, x[0]), x[0]))
EXPECT(of_exp, jacobian_of_exp(x, y))
SAMPLES(jacobian, SAMPLE(of_exp, "exp", 0, REALS(-1, 1, 3)))

/* The product of two elements has the off-diagonal ones as its Hessian. */
static void hessian_of_product(const tg_array *x, tg_array *y)
{
    const double *in = x[0].data;
    double *out = y->data;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) out[i * 3 + j] = i == j ? 0 : in[3 - i - j];
}
CALL(of_product, tg_hessian(t, tg_prod(t, x[0], TG_ALL_AXES, false), x[0]))
EXPECT(of_product, hessian_of_product(x, y))
SAMPLES(hessian, SAMPLE(of_product, "product of three", 0, REALS(0.5, 2, 3)))

CALL(of_part, tg_checkpoint(t, tg_mul(t, tg_sin(t, x[0]), tg_exp(t, tg_mul(t, x[0], x[1]))), 1, x))
EXPECT_EACH(of_part, sin(a) * exp(a * b))
SAMPLES(checkpoint, EACH(of_part, "from one operand", 0, REAL(-1, 1), REAL(-1, 1)))

#endif
