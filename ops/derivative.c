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

/* Where the seeds of several reverse passes are from: slices of `batch`, or without one the unit
 * vectors. */
typedef struct seeds {
    tg_tensor *y, *x, *batch;
} seeds;

/* The gradients by x of <seed, y>, stacked: concatenated in a tree, so that no array of all of them
 * is needed. */
static tg_tensor *stacked(tg_tape *t, const char *where, const seeds *s, int64_t from, int64_t to)
{
    if (to - from == 1) {
        tg_tensor *g = NULL, *x = s->x,
                  *seed = s->batch ? tg_reshape(t, tg_slice(t, s->batch, 0, from, to, 1),
                                                tg_tensor_shape(s->y))
                                   : unit_like(t, where, s->y, from);
        if (tg_grad(t, s->y, seed, 1, &x, &g, true)) return NULL;
        return tg_unsqueeze(t, g ? g : tg_expand(t, tg_constant_like(t, x, 0), tg_tensor_shape(x)),
                            0);
    }
    int64_t middle = from + (to - from) / 2;
    tg_tensor *halves[] = {stacked(t, where, s, from, middle), stacked(t, where, s, middle, to)};
    return tg_concat(t, 2, halves, 0);
}

/* A vjp is linear in its seed u: the gradients of <v, vjp(u)> by u are the Jacobian times v. So
 * directions share one reverse pass, and take one more each. NULL, on a healthy tape, when y does
 * not depend on x. */
static bool forward(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, seeds *s)
{
    tg_tensor *u = tg_expand(t, tg_constant_like(t, y, 0), tg_tensor_shape(y)), *g = NULL;
    if (tg_grad(t, y, u, 1, &x, &g, true)) return false;
    *s = (seeds){g, u, NULL};
    return true;
}

/* A pass takes several nodes, whose numbers have 32 bits. */
static const int64_t MOST_PASSES = INT64_C(1) << 30;

static tg_shape joined(tg_shape a, tg_shape b)
{
    for (int k = 0; k < b.ndim; k++) a.dim[a.ndim++] = b.dim[k];
    return a;
}

static bool comparable(tg_tape *t, const char *where, const char *name, tg_tensor *y, tg_tensor *x)
{
    if (!tg_ready_float(t, where, name, y) || !tg_ready_float(t, where, name, x)) return false;
    if (tg_dtype_on(t, x) == tg_dtype_on(t, y)) return true;
    tg_fail_at(t, where, TG_EDTYPE, "%s: the result and x have different dtypes", name);
    return false;
}

/* Columns cost a pass over the gradient each, which is about twice as long. Where an op between has
 * one derivative only, they can't be had. */
static tg_tensor *columns(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, tg_shape shape)
{
    const tg_shape rows = tg_tensor_shape(y), inner = tg_tensor_shape(x);
    int order[TG_MAX_DIMS];
    seeds s;
    if (2 * tg_tensor_count(x) >= tg_tensor_count(y) || !tg_tensor_count(x)) return NULL;
    if (!forward(t, where, y, x, &s)) return NULL;
    if (!s.y) return tg_expand(t, tg_constant_like(t, x, 0), shape);
    tg_tensor *all = stacked(t, where, &s, 0, tg_tensor_count(x));
    if (!all && tg_tape_status(t) == TG_ENOGRAD) tg_tape_clear_error(t);
    if (!all) return NULL;
    for (int k = 0; k < shape.ndim; k++) order[k] = k < rows.ndim ? k + inner.ndim : k - rows.ndim;
    return tg_permute(t, tg_reshape(t, all, joined(inner, rows)), tg_axes_of(shape.ndim, order));
}

static tg_tensor *jacobian(tg_tape *t, const char *where, const char *name, tg_tensor *y,
                           tg_tensor *x)
{
    if (!comparable(t, where, name, y, x)) return NULL;
    tg_shape shape = tg_tensor_shape(y), inner = tg_tensor_shape(x);
    if (shape.ndim + inner.ndim > TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %s by %s has more than 8 dimensions", name,
                          tg_shape_text(shape).text, tg_shape_text(inner).text);
    shape = joined(shape, inner);
    const int64_t count = tg_tensor_count(y);
    if (tg_shape_count(shape) < 0 || count >= MOST_PASSES)
        return tg_fail_at(t, where, TG_ESHAPE,
                          "%s: %s by %s is too large a shape, or takes too many passes over the "
                          "graph",
                          name, tg_shape_text(tg_tensor_shape(y)).text, tg_shape_text(inner).text);
    if (count == 0) return tg_expand(t, tg_constant_like(t, x, 0), shape);
    tg_tensor *by_columns = columns(t, where, y, x, shape);
    if (by_columns || tg_tape_status(t)) return by_columns;
    return tg_reshape(t, stacked(t, where, &(seeds){y, x, NULL}, 0, count), shape);
}

tg_tensor *tg_jacobian_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x)
{
    return jacobian(t, where, "jacobian", y, x);
}

/* Whether v is [k, the sizes of x] for some k, which is in *k. */
static bool is_batch(tg_tape *t, const char *where, const char *name, tg_tensor *v, tg_tensor *x,
                     int64_t *k)
{
    if (!comparable(t, where, name, v, x)) return false;
    const tg_shape batch = tg_tensor_shape(v), one = tg_tensor_shape(x);
    bool fits = batch.ndim == one.ndim + 1 && batch.dim[0] < MOST_PASSES;
    for (int i = 0; i < one.ndim && fits; i++) fits = batch.dim[i + 1] == one.dim[i];
    *k = batch.dim[0];
    if (!fits)
        tg_fail_at(t, where, TG_ESHAPE, "%s: %s is no batch of %s", name, tg_shape_text(batch).text,
                   tg_shape_text(one).text);
    return fits;
}

/* [k, the sizes of x] of nothing, or of zeros. */
static tg_tensor *nothing(tg_tape *t, const char *where, tg_tensor *x, int64_t k)
{
    return tg_expand(t, tg_constant_like(t, x, 0), joined(tg_shape_of(1, &k), tg_tensor_shape(x)));
}

tg_tensor *tg_vjp_batch_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, tg_tensor *u)
{
    int64_t k;
    if (!comparable(t, where, "vjp_batch", y, x) || !is_batch(t, where, "vjp_batch", u, y, &k))
        return NULL;
    return k ? stacked(t, where, &(seeds){y, x, u}, 0, k) : nothing(t, where, x, 0);
}

tg_tensor *tg_jvp_batch_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *x, tg_tensor *v)
{
    int64_t k;
    seeds s;
    if (!comparable(t, where, "jvp_batch", y, x) || !is_batch(t, where, "jvp_batch", v, x, &k) ||
        !forward(t, where, y, x, &s))
        return NULL;
    if (!k || !s.y) return nothing(t, where, y, k);
    s.batch = v;
    return stacked(t, where, &s, 0, k);
}

/* ---------------------------------------------------------------- per sample */

/* The samples' number, which all of the batch begin with; -1, with the tape in error, if not. */
static int64_t samples_of(tg_tape *t, const char *where, int n, tg_tensor *const *batch)
{
    int64_t samples = -1;
    for (int k = 0; k < n; k++) {
        if (!tg_ready(t, where, "per_sample_grad", batch[k])) return -1;
        const tg_shape shape = tg_tensor_shape(batch[k]);
        if (shape.ndim < 1 || (k && shape.dim[0] != samples)) {
            tg_fail_at(t, where, TG_ESHAPE,
                       "per_sample_grad: %s does not begin with the number of samples",
                       tg_shape_text(shape).text);
            return -1;
        }
        samples = shape.dim[0];
    }
    return samples;
}

/* The gradients of samples from..to-1, stacked: gx[k] for each x[k]. */
static bool sample_grads(tg_tape *t, const char *where, tg_function f, void *user, int n_batch,
                         tg_tensor *const *batch, int n, tg_tensor *const *x, int64_t from,
                         int64_t to, tg_tensor **gx)
{
    tg_tensor **upper = tg_base_memory(t, where, "per_sample_grad", n_batch + n, sizeof *upper);
    if (!upper) return false;
    if (to - from == 1) {
        for (int k = 0; k < n_batch; k++)
            if (!(upper[k] = tg_slice(t, batch[k], 0, from, to, 1))) return false;
        tg_tensor *loss = f(t, upper, n_batch, user);
        if (tg_tape_status(t) || tg_grad(t, loss, NULL, n, x, gx, true)) return false;
        for (int k = 0; k < n; k++)
            gx[k] = gx[k] ? tg_unsqueeze(t, gx[k], 0) : nothing(t, where, x[k], 1);
        return !tg_tape_status(t);
    }
    const int64_t middle = from + (to - from) / 2;
    if (!sample_grads(t, where, f, user, n_batch, batch, n, x, from, middle, gx) ||
        !sample_grads(t, where, f, user, n_batch, batch, n, x, middle, to, upper))
        return false;
    for (int k = 0; k < n; k++) gx[k] = tg_concat(t, 2, ((tg_tensor *[]){gx[k], upper[k]}), 0);
    return !tg_tape_status(t);
}

tg_status tg_per_sample_grad_at(tg_tape *t, const char *where, tg_function f, void *user,
                                int n_batch, tg_tensor *const *batch, int n, tg_tensor *const *x,
                                tg_tensor **gx)
{
    for (int k = 0; gx && k < n; k++) gx[k] = NULL;
    if (!t || tg_tape_status(t)) return tg_tape_status(t);
    const bool given = f && batch && x && gx && n_batch > 0 && n > 0;
    if (!given)
        tg_fail_at(
            t, where, TG_ENULL,
            "per_sample_grad: a function, its batch, and what to differentiate by are needed");
    for (int k = 0; given && k < n; k++) tg_ready_float(t, where, "per_sample_grad", x[k]);
    const int64_t samples = tg_tape_status(t) ? -1 : samples_of(t, where, n_batch, batch);
    if (samples == 0)
        for (int k = 0; k < n; k++) gx[k] = nothing(t, where, x[k], 0);
    else if (samples > 0) sample_grads(t, where, f, user, n_batch, batch, n, x, 0, samples, gx);
    for (int k = 0; tg_tape_status(t) && gx && k < n; k++) gx[k] = NULL;
    return tg_tape_status(t);
}

tg_status(tg_per_sample_grad)(tg_tape *t, tg_function f, void *user, int n_batch,
                              tg_tensor *const *batch, int n, tg_tensor *const *x, tg_tensor **gx)
{
    return tg_per_sample_grad_at(t, NULL, f, user, n_batch, batch, n, x, gx);
}

/* ---------------------------------------------------------------- second derivatives */

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

/* ---------------------------------------------------------------- implicit functions */

/* f's derivative by y, transposed, in each of the problems that y's first dimensions count:
 * [problems, m, m], in m passes, which all problems share. */
static tg_tensor *slopes(tg_tape *t, const char *where, tg_tensor *f, tg_tensor *y, int batch)
{
    const tg_shape shape = tg_tensor_shape(y);
    int64_t problems = 1, m = 1;
    tg_shape unit = {1, {0}}, all = {1, {0}};
    for (int k = 0; k < shape.ndim; k++) {
        *(k < batch ? &problems : &m) *= shape.dim[k];
        unit.dim[unit.ndim++] = k < batch ? 1 : shape.dim[k];
        all.dim[all.ndim++] = shape.dim[k];
    }
    unit.dim[0] = all.dim[0] = m;
    tg_tensor *units = tg_reshape(t, tg_eye(t, tg_dtype_on(t, y), m), unit),
              *rows = tg_vjp_batch(t, f, y, tg_expand(t, units, all));
    return tg_permute(t, tg_reshape(t, rows, TG_SHAPE(m, problems, m)), TG_AXES(1, 2, 0));
}

/* From df/dy dy + df/dx dx = 0: the gradient of <seed, f> by x, at this y, for the seed with
 * (df/dy)^T seed = -gy. */
static void implicit_vjp(TG_VJP)
{
    const int batch = (int)attrs[1];
    tg_tensor *from = tg_base_source(t, x[2]),
              *f = tg_substitute(t, tg_base_source(t, x[1]), 1, &from, &y),
              *slope = slopes(t, where, f, y, batch);
    if (!slope) return;
    const tg_shape s = tg_tensor_shape(slope);
    tg_tensor *seed =
        tg_solve(t, slope, tg_reshape(t, tg_neg(t, gy), TG_SHAPE(s.dim[0], s.dim[1], 1)));
    seed = tg_reshape(t, seed, tg_tensor_shape(y));
    if (seed) tg_base_partial(t, where, f, seed, n_in - 3, x + 3, y, 3, gx);
}

static const tg_op implicit = {.size = sizeof(tg_op),
                               .name = "implicit",
                               .n_in = -1,
                               .rule = tg_base_same_type,
                               .view = tg_base_same_view,
                               .vjp = implicit_vjp};

tg_tensor *tg_implicit_at(tg_tape *t, const char *where, tg_tensor *y, tg_tensor *f, int batch)
{
    if (!comparable(t, where, "implicit", f, y)) return NULL;
    const tg_shape shape = tg_tensor_shape(y);
    if (!tg_shape_equal(tg_tensor_shape(f), shape))
        return tg_fail_at(t, where, TG_ESHAPE, "implicit: f %s has not the shape of y %s",
                          tg_shape_text(tg_tensor_shape(f)).text, tg_shape_text(shape).text);
    if (batch < 0 || batch > shape.ndim || shape.ndim == TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE,
                          "implicit: y %s with %d dimensions that count problems, or with none to "
                          "spare for a derivative",
                          tg_shape_text(shape).text, batch);
    return tg_base_part(t, where, &implicit, y, f, 1, &y, false, batch);
}

tg_tensor *tg_checkpoint_at(tg_tape *t, const char *where, tg_tensor *y, int n, tg_tensor *const *x)
{
    return tg_base_checkpoint(t, where, y, n, x);
}

KNOWN(implicit, "y [..., any], f alike -> y's", -1,
      ("the y with f(y, x) = 0; dy/dx = -(df/dy)^-1 df/dx", .domain = "df/dy has an inverse"))
KNOWN(checkpoint, "any", -1, ("y = x, computed again for its gradient"))
KNOWN(jacobian, "y of x -> [y's sizes, x's sizes]", -1, ("y[i,j] = dy[i] / dx[j]"))
KNOWN(vjp_batch, "y of x, [k, y's sizes] -> [k, x's sizes]", -1, ("g[i] = u[i] dy / dx"))
KNOWN(jvp_batch, "y of x, [k, x's sizes] -> [k, y's sizes]", -1, ("g[i] = (dy / dx) v[i]"))
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
/* Of a result that is longer than x: x[0] sin x[j], by columns. */
#define LONGER                                                                                   \
    tg_reshape(t, tg_mul(t, tg_unsqueeze(t, x[0], 1), tg_sin(t, tg_tile(t, x[0], TG_SHAPE(3)))), \
               TG_SHAPE(2, 6))
static double slope_of_longer(const double *x, int i, int j, int k)
{
    return (i == k ? sin(x[j % 2]) : 0) + (j % 2 == k ? x[i] * cos(x[k]) : 0);
}
static void jacobian_of_longer(const tg_array *x, tg_array *y)
{
    for (int k = 0; k < 24; k++)
        ((double *)y->data)[k] = slope_of_longer(x[0].data, k / 12, k / 2 % 6, k % 2);
}
CALL(of_longer, tg_jacobian(t, LONGER, x[0]))
EXPECT(of_longer, jacobian_of_longer(x, y))
static void directions_of_longer(const tg_array *x, tg_array *y)
{
    const double *v = x[1].data;
    for (int k = 0; k < 36; k++)
        ((double *)y->data)[k] =
            slope_of_longer(x[0].data, k / 6 % 2, k % 6, 0) * v[k / 12 * 2] +
            slope_of_longer(x[0].data, k / 6 % 2, k % 6, 1) * v[k / 12 * 2 + 1];
}
CALL(directions, tg_jvp_batch(t, LONGER, x[0], x[1]))
EXPECT(directions, directions_of_longer(x, y))
SAMPLES(jvp_batch, SAMPLE(directions, "three", 0, REALS(-1, 1, 2), REALS(-1, 1, 3, 2)))
static void seeds_of_longer(const tg_array *x, tg_array *y)
{
    const double *u = x[1].data;
    for (int k = 0; k < 6; k++) {
        double sum = 0;
        for (int i = 0; i < 12; i++)
            sum += u[k / 2 * 12 + i] * slope_of_longer(x[0].data, i / 6, i % 6, k % 2);
        ((double *)y->data)[k] = sum;
    }
}
CALL(several, tg_vjp_batch(t, LONGER, x[0], x[1]))
EXPECT(several, seeds_of_longer(x, y))
SAMPLES(vjp_batch, SAMPLE(several, "three", 0, REALS(-1, 1, 2), REALS(-1, 1, 3, 2, 6)))
CALL(of_exp, tg_jacobian(t, tg_exp(t, x[0]), x[0]))
EXPECT(of_exp, jacobian_of_exp(x, y))
SAMPLES(jacobian, SAMPLE(of_exp, "exp", 0, REALS(-1, 1, 3)),
        SAMPLE(of_longer, "by columns", 0, REALS(-1, 1, 2)))

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

/* y with w y + y^3 = x, by Newton's method, w being 1 where there is none: each element as a
 * problem of its own, or sums of the equations of a row as a system. */
static double root_of(double x, double w)
{
    double y = 0;
    for (int k = 0; k < 60; k++) y -= (w * y + y * y * y - x) / (w + 3 * y * y);
    return y;
}
static double number(const tg_array *x, int64_t i)
{
    if (x->dtype == TG_F64) return ((const double *)x->data)[i];
    return (double)((const float *)x->data)[i];
}
static void roots(const tg_call *c, const tg_array *y, void *user)
{
    (void)user;
    for (int64_t i = 0; i < tg_shape_count(y->shape); i++) {
        const double root = root_of(number(c->x, i), c->n_in > 1 ? number(c->x + 1, i) : 1);
        if (y->dtype == TG_F64) ((double *)y->data)[i] = root;
        else ((float *)y->data)[i] = (float)root;
    }
}
static tg_tensor *implicit_roots(tg_tape *t, const char *where, int n, tg_tensor *const *x)
{
    static const tg_external_fn solver = {.size = sizeof solver, .run = roots};
    tg_tensor *y = tg_external_at(t, where, &solver, NULL, tg_tensor_dtype(x[0]),
                                  tg_tensor_shape(x[0]), n, x),
              *cube = tg_mul_at(t, where, y, tg_square_at(t, where, y)),
              *f = n > 1 ? tg_mul_at(t, where, y, x[1]) : y;
    f = tg_sub_at(t, where, tg_add_at(t, where, f, cube), x[0]);
    if (n > 1) return tg_implicit_at(t, where, y, tg_cumsum_at(t, where, f, -1), 1);
    return tg_implicit_at(t, where, y, f, tg_tensor_shape(x[0]).ndim);
}
CALL(each_root, implicit_roots(t, TG_HERE, 1, x))
EXPECT_EACH(each_root, root_of(x, 1))
CALL(row_roots, implicit_roots(t, TG_HERE, 2, x))
EXPECT_ALIKE(row_roots, root_of(a, b))
SAMPLES(implicit, EACH(each_root, "each element by itself", 0, REAL(-2, 2)),
        SAMPLE(row_roots, "systems, in a batch", 0, REALS(-2, 2, 2, 3), REALS(0.5, 2, 2, 3)))

CALL(of_part, tg_checkpoint(t, tg_mul(t, tg_sin(t, x[0]), tg_exp(t, tg_mul(t, x[0], x[1]))), 1, x))
EXPECT_EACH(of_part, sin(a) * exp(a * b))
SAMPLES(checkpoint, EACH(of_part, "from one operand", 0, REAL(-1, 1), REAL(-1, 1)))

#endif
