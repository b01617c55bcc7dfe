/* A function of the caller's in plain C, with a derivative that is one, too. */
#include <stdint.h>
#include <string.h>

#include "folds.h"

#ifndef TG_SAMPLES

/* Results of one dtype: one as it is, several packed one behind the other. attrs: the function,
 * what it is given of the caller's, the dtype, how many results, and for each the number of its
 * dimensions, ABSENT for none, and a shape's sizes. */
enum { FUNCTION, USER, DTYPE, RESULTS, SHAPES, SHAPE_ATTRS = 1 + TG_MAX_DIMS, ABSENT = -1 };

static int64_t attr_of(const void *pointer) { return (int64_t)(intptr_t)pointer; }
static const void *pointer_of(int64_t attr) { return (const void *)(intptr_t)attr; }

static bool shape_of(const int64_t *attrs, int64_t k, tg_shape *shape)
{
    const int64_t *at = attrs + SHAPES + k * SHAPE_ATTRS;
    if (at[0] != ABSENT) *shape = tg_shape_of((int)at[0], at + 1);
    return at[0] != ABSENT;
}

static bool external_rule(tg_rule *r)
{
    tg_shape shape;
    int64_t count = 0;
    r->y.dtype = (tg_dtype)r->attrs[DTYPE];
    for (int64_t k = 0; k < r->attrs[RESULTS]; k++)
        if (shape_of(r->attrs, k, &shape)) count += tg_shape_count(shape);
    if (r->attrs[RESULTS] == 1) r->y.shape = shape;
    else r->y.shape = tg_shape_of(1, &count);
    return true;
}

static int64_t external_scratch(const tg_call *c)
{
    return c->attrs[RESULTS] * (int64_t)sizeof(tg_array);
}

static void external_kernel(const tg_call *c)
{
    const tg_external_fn *f = pointer_of(c->attrs[FUNCTION]);
    const size_t size = tg_dtype_size(c->y->dtype);
    tg_array *y = c->scratch;
    char *at = c->y->data;
    memset(at, 0, (size_t)tg_shape_count(c->y->shape) * size);
    for (int64_t k = 0; k < c->attrs[RESULTS]; k++) {
        y[k] = (tg_array){.dtype = c->y->dtype};
        if (!shape_of(c->attrs, k, &y[k].shape)) continue;
        int64_t step = 1;
        for (int i = y[k].shape.ndim - 1; i >= 0; step *= y[k].shape.dim[i--])
            y[k].stride[i] = step;
        y[k].data = at;
        at += (size_t)tg_shape_count(y[k].shape) * size;
    }
    f->run(c, y, (void *)(uintptr_t)pointer_of(c->attrs[USER]));
}

static void external_vjp(TG_VJP);
static const tg_op external = {.size = sizeof(tg_op),
                               .name = "external",
                               .n_in = -1,
                               .rule = external_rule,
                               .kernel = external_kernel,
                               .scratch = external_scratch,
                               .vjp = external_vjp};

/* The results that are packed in y, or gradients of theirs; how many they are. */
static int unpack(tg_tape *t, const char *where, const int64_t *attrs, tg_tensor *y,
                  tg_tensor **part)
{
    tg_shape shape;
    int64_t at = 0;
    int n = 0;
    for (int64_t k = 0; k < attrs[RESULTS]; k++) {
        if (!shape_of(attrs, k, &shape)) continue;
        const int64_t end = at + tg_shape_count(shape);
        part[n++] = attrs[RESULTS] == 1 ? y : tg_reshape(t, tg_slice(t, y, 0, at, end, 1), shape);
        at = end;
    }
    return n;
}

static bool whole(tg_tape *t, const char *where, const tg_external_fn *f)
{
    if (f->size == sizeof *f && f->run) return true;
    tg_fail_at(t, where, TG_EVALUE,
               "external: the function's size field is not sizeof(tg_external_fn), or it has "
               "nothing to run");
    return false;
}

/* Its results are the gradients of this one's float operands. */
static void external_vjp(TG_VJP)
{
    const tg_external_fn *f = ((const tg_external_fn *)pointer_of(attrs[FUNCTION]))->vjp;
    if (!f || !whole(t, where, f)) return;
    const int64_t n_attrs = SHAPES + (int64_t)n_in * SHAPE_ATTRS;
    tg_tensor **in = tg_base_memory(t, where, "external", n_in + 2 * attrs[RESULTS], sizeof *in),
              **part = tg_base_memory(t, where, "external", n_in, sizeof *part);
    int64_t *types = tg_base_memory(t, where, "external", n_attrs, sizeof *types);
    if (!in || !part || !types) return;
    memcpy(in, x, (size_t)n_in * sizeof *in);
    int n = n_in + unpack(t, where, attrs, y, in + n_in);
    n += unpack(t, where, attrs, gy, in + n);
    memcpy(types, attrs, SHAPES * sizeof *types);
    types[FUNCTION] = attr_of(f);
    types[RESULTS] = n_in;
    for (int k = 0; k < n_in; k++) {
        const tg_shape shape = tg_tensor_shape(x[k]);
        int64_t *at = types + SHAPES + k * SHAPE_ATTRS;
        at[0] = tg_tensor_dtype(x[k]) == tg_tensor_dtype(y) ? shape.ndim : ABSENT;
        memcpy(at + 1, shape.dim, sizeof shape.dim);
    }
    tg_tensor *packed = tg_apply(t, &external, n, in, (int)n_attrs, types);
    if (!packed) return;
    unpack(t, where, types, packed, part);
    for (int k = 0, next = 0; k < n_in; k++)
        if (types[SHAPES + k * SHAPE_ATTRS] != ABSENT) gx[k] = part[next++];
}

tg_tensor *tg_external_at(tg_tape *t, const char *where, const tg_external_fn *f, void *user,
                          tg_dtype dtype, tg_shape shape, int n, tg_tensor *const *x)
{
    if (!t || tg_tape_status(t)) return NULL;
    if (!f || n < 1 || !x)
        return tg_fail_at(t, where, f && x ? TG_EVALUE : TG_ENULL,
                          "external: a function and its operands are needed");
    if (!whole(t, where, f)) return NULL;
    for (int k = 0; k < n; k++)
        if (!tg_ready(t, where, "external", x[k])) return NULL;
    if (dtype != TG_F32 && dtype != TG_F64)
        return tg_fail_at(t, where, TG_EDTYPE, "external: the result is f32 or f64, not %s",
                          tg_dtype_name(dtype));
    if (tg_shape_count(shape) < 0)
        return tg_fail_at(t, where, TG_ESHAPE, "external: an impossible shape");
    for (int k = 0; k < n; k++)
        if (tg_dtype_on(t, x[k]) == (dtype == TG_F32 ? TG_F64 : TG_F32))
            return tg_fail_at(t, where, TG_EDTYPE,
                              "external: operand %d is %s and the result %s: tg_cast makes them "
                              "alike",
                              k, tg_dtype_name(tg_dtype_on(t, x[k])), tg_dtype_name(dtype));
    int64_t attrs[SHAPES + SHAPE_ATTRS] = {attr_of(f), attr_of(user), dtype, 1, shape.ndim};
    memcpy(attrs + SHAPES + 1, shape.dim, sizeof shape.dim);
    return tg_apply(t, &external, n, x, SHAPES + SHAPE_ATTRS, attrs);
}

KNOWN(external, "any", 1, ("y = f(x), the caller's"))

#else

/* x^2, and its gradient. */
static void square_of(const tg_call *c, const tg_array *y, void *user)
{
    const void *x = c->x[0].data;
    (void)user;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++)
        if (y->dtype == TG_F64)
            ((double *)y->data)[i] = ((const double *)x)[i] * ((const double *)x)[i];
        else ((float *)y->data)[i] = ((const float *)x)[i] * ((const float *)x)[i];
}
static void square_gradient(const tg_call *c, const tg_array *gx, void *user)
{
    const void *x = c->x[0].data, *gy = c->x[2].data;
    (void)user;
    for (int64_t i = 0; i < tg_shape_count(gx->shape); i++)
        if (gx->dtype == TG_F64)
            ((double *)gx->data)[i] = 2 * ((const double *)x)[i] * ((const double *)gy)[i];
        else ((float *)gx->data)[i] = 2 * ((const float *)x)[i] * ((const float *)gy)[i];
}
static const tg_external_fn square_vjp = {.size = sizeof square_vjp, .run = square_gradient},
                            square_fn = {
                                .size = sizeof square_fn, .run = square_of, .vjp = &square_vjp};

static void squares(const tg_array *x, tg_array *y)
{
    const double *in = x->data;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) ((double *)y->data)[i] = in[i] * in[i];
}
CALL(of_one, tg_external(t, &square_fn, NULL, tg_tensor_dtype(x[0]), tg_tensor_shape(x[0]), 1, x))
EXPECT(of_one, squares(x, y))
SAMPLES(external, SAMPLE(of_one, "squares", TG_FIRST_ORDER, REALS(-2, 2, 3, 4)))

#endif
