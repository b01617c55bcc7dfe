/* The ops that the reverse pass itself records. They are closed under differentiation: each one's
 * vjp is made of the others. */
#define TG_HERE where

#include "base.h"
#include "fold.h"
#include "tape.h"

#include <string.h>

/* ---------------------------------------------------------------- leaves and detach */

const tg_op tg_op_input = {.size = sizeof(tg_op), .name = "input"};
const tg_op tg_op_constant = {.size = sizeof(tg_op), .name = "constant"};
const tg_op tg_op_param = {.size = sizeof(tg_op), .name = "parameter"};
const tg_op tg_op_frozen_param = {.size = sizeof(tg_op), .name = "frozen parameter"};

bool tg_base_same_type(tg_rule *r)
{
    r->y = r->x[0];
    return true;
}

bool tg_base_same_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs, (void)attrs;
    y->data = x->data;
    memcpy(y->stride, x->stride, sizeof y->stride);
    return true;
}

const tg_op tg_op_detach = {.size = sizeof(tg_op),
                            .name = "detach",
                            .n_in = 1,
                            .rule = tg_base_same_type,
                            .view = tg_base_same_view};

tg_tensor *tg_detach_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply_1(t, where, &tg_op_detach, x);
}

static void fence_vjp(TG_VJP) { gx[0] = gy; }

const tg_op tg_op_fence = {.size = sizeof(tg_op),
                           .name = "fence",
                           .n_in = 2,
                           .rule = tg_base_same_type,
                           .view = tg_base_same_view,
                           .vjp = fence_vjp};

/* ---------------------------------------------------------------- add */

#define DEFINE_ADD_I64(fn, TARGET, BUILD, ...) \
    TG_SPAN_2(fn, TARGET, BUILD, int64_t, int64_t, (uint64_t)a + (uint64_t)b)
TG_EACH_BUILD(TG_SPAN_2, add_f32, float, float, a + b)
TG_EACH_BUILD(TG_SPAN_2, add_f64, double, double, a + b)
TG_EACH_BUILD(DEFINE_ADD_I64, add_i64, )
TG_SPANS(add_span, "a + b", TG_BUILDS(add_f32), TG_BUILDS(add_f64), TG_BUILDS(add_i64))

static void add_vjp(TG_VJP)
{
    gx[0] = gy;
    gx[1] = gy;
}

const tg_op tg_op_add = {
    .size = sizeof(tg_op), .name = "add", .n_in = 2, .span = &add_span, .vjp = add_vjp};

/* ---------------------------------------------------------------- sum */

/* carried: sum, on fold */
#define SUM(a, b) ((a) + (b))
#define WRAPPING_SUM(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))
TG_EACH_BUILD(TG_FOLD, sum_f32, float, 0, SUM)
TG_EACH_BUILD(TG_FOLD, sum_f64, double, 0, SUM)
TG_EACH_BUILD(TG_FOLD, sum_i64, int64_t, 0, WRAPPING_SUM)
TG_FOLDS(static, sum_fold, add_span, TG_BUILDS(sum_f32), TG_BUILDS(sum_f64), TG_BUILDS(sum_i64))
/* carried so far */

static bool sum_rule(tg_rule *r)
{
    int64_t from = r->attrs[0], to = r->attrs[1];
    const tg_shape x = r->x[0].shape;
    if (from < 0 || to < from || to >= x.ndim)
        return tg_rule_fail(r, TG_EVALUE, "no axes %lld to %lld in %s", (long long)from,
                            (long long)to, tg_shape_text(x).text);
    r->y.dtype = r->x[0].dtype;
    r->y.shape = (tg_shape){.ndim = 0};
    for (int k = 0; k < x.ndim; k++)
        if (k < from || k > to) r->y.shape.dim[r->y.shape.ndim++] = x.dim[k];
        else if (r->attrs[2]) r->y.shape.dim[r->y.shape.ndim++] = 1;
    return true;
}

static void sum_vjp(TG_VJP)
{
    tg_shape full = tg_tensor_shape(x[0]), kept = full;
    for (int64_t k = attrs[0]; k <= attrs[1]; k++) kept.dim[k] = 1;
    gx[0] = tg_base_expand(t, where, tg_base_reshape(t, where, gy, kept), full);
}

const tg_op tg_op_sum = {.size = sizeof(tg_op),
                         .name = "sum",
                         .n_in = 1,
                         .rule = sum_rule,
                         .fold = &sum_fold,
                         .vjp = sum_vjp};

tg_tensor *tg_base_sum_to(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape)
{
    tg_shape from = tg_tensor_shape(x);
    if (!x || tg_shape_equal(from, shape)) return x;
    int lead = from.ndim - shape.ndim;
    for (int k = from.ndim - 1; k >= 0; k--) {
        if (k >= lead && (shape.dim[k - lead] == from.dim[k] || shape.dim[k - lead] != 1)) continue;
        int last = k;
        while (k > 0 && (k - 1 < lead || (shape.dim[k - 1 - lead] == 1 && from.dim[k - 1] != 1)))
            k--;
        x = tg_apply(t, &tg_op_sum, 1, &x, 3, ((const int64_t[]){k, last, 1}));
    }
    return tg_base_reshape(t, where, x, shape);
}

/* ---------------------------------------------------------------- reshape and expand */

static bool shape_rule(tg_rule *r)
{
    r->y = (tg_type){r->x[0].dtype, tg_shape_of(r->n_attrs, r->attrs)};
    return true;
}

static bool reshape_rule(tg_rule *r)
{
    shape_rule(r);
    if (tg_shape_count(r->y.shape) != tg_shape_count(r->x[0].shape))
        return tg_rule_fail(r, TG_ESHAPE, "%s does not hold the elements of %s",
                            tg_shape_text(r->y.shape).text, tg_shape_text(r->x[0].shape).text);
    return true;
}

/* Walks both shapes from the inside: sizes of y are cut from runs of x's dimensions that lie in
 * memory as one. */
static bool reshape_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs, (void)attrs;
    const bool plain = tg_array_contiguous(x); /* as is every empty one */
    int64_t run = 1, step = 1; /* elements of the run that y has not used, and their distance */
    int d = x->shape.ndim - 1;
    y->data = x->data;
    for (int k = y->shape.ndim - 1; k >= 0; k--) {
        const int64_t size = y->shape.dim[k];
        if (!plain && size != 1 && run == 1) {
            while (x->shape.dim[d] == 1) d--;
            step = x->stride[d];
            for (run = x->shape.dim[d--];
                 d >= 0 && (x->shape.dim[d] == 1 || x->stride[d] == step * run); d--)
                run *= x->shape.dim[d];
        }
        if (!plain && run % size) return false;
        y->stride[k] = step;
        run /= plain ? 1 : size;
        step *= size;
    }
    return true;
}

static void reshape_vjp(TG_VJP) { gx[0] = tg_base_reshape(t, where, gy, tg_tensor_shape(x[0])); }

const tg_op tg_op_reshape = {.size = sizeof(tg_op),
                             .name = "reshape",
                             .n_in = 1,
                             .rule = reshape_rule,
                             .view = reshape_view,
                             .vjp = reshape_vjp};

tg_tensor *tg_base_reshape(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape)
{
    return !x || tg_shape_equal(tg_tensor_shape(x), shape)
               ? x
               : tg_apply(t, &tg_op_reshape, 1, &x, shape.ndim, shape.dim);
}

static bool expand_rule(tg_rule *r)
{
    shape_rule(r);
    if (!tg_shape_equal(tg_shape_broadcast(r->x[0].shape, r->y.shape), r->y.shape))
        return tg_rule_fail(r, TG_ESHAPE, "%s does not expand to %s",
                            tg_shape_text(r->x[0].shape).text, tg_shape_text(r->y.shape).text);
    return true;
}

static bool expand_view(const tg_array *x, tg_array *y, int n_attrs, const int64_t *attrs)
{
    (void)n_attrs, (void)attrs;
    y->data = x->data;
    int lead = y->shape.ndim - x->shape.ndim;
    for (int k = 0; k < y->shape.ndim; k++)
        y->stride[k] = k < lead || (x->shape.dim[k - lead] == 1 && y->shape.dim[k] != 1)
                           ? 0
                           : x->stride[k - lead];
    return true;
}

static void expand_vjp(TG_VJP) { gx[0] = gy; }

const tg_op tg_op_expand = {.size = sizeof(tg_op),
                            .name = "expand",
                            .n_in = 1,
                            .rule = expand_rule,
                            .view = expand_view,
                            .vjp = expand_vjp};

tg_tensor *tg_base_expand(tg_tape *t, const char *where, tg_tensor *x, tg_shape shape)
{
    return !x || tg_shape_equal(tg_tensor_shape(x), shape)
               ? x
               : tg_apply(t, &tg_op_expand, 1, &x, shape.ndim, shape.dim);
}
