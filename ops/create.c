/* Tensors made of nothing but a shape, or of another tensor's. */
#include "folds.h"
#include <inttypes.h>
#include <math.h>

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- of one value */

static tg_tensor *filled(tg_tape *t, const char *where, const char *name, tg_dtype dtype,
                         double value, tg_shape shape)
{
    if (tg_shape_count(shape) < 0)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %s", name, tg_shape_refusal(shape).text);
    return tg_expand(t, tg_constant(t, dtype, value), shape);
}
tg_tensor *tg_full_at(tg_tape *t, const char *where, tg_dtype dtype, double value, tg_shape shape)
{
    return filled(t, where, "full", dtype, value, shape);
}
tg_tensor *tg_zeros_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    return filled(t, where, "zeros", dtype, 0, shape);
}
tg_tensor *tg_ones_at(tg_tape *t, const char *where, tg_dtype dtype, tg_shape shape)
{
    return filled(t, where, "ones", dtype, 1, shape);
}

static tg_tensor *filled_like(tg_tape *t, const char *where, const char *name, tg_tensor *x,
                              double value)
{
    if (!tg_ready(t, where, name, x)) return NULL;
    return tg_expand(t, tg_constant_like(t, x, value), tg_tensor_shape(x));
}
tg_tensor *tg_full_like_at(tg_tape *t, const char *where, tg_tensor *x, double value)
{
    return filled_like(t, where, "full_like", x, value);
}
tg_tensor *tg_zeros_like_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return filled_like(t, where, "zeros_like", x, 0);
}
tg_tensor *tg_ones_like_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return filled_like(t, where, "ones_like", x, 1);
}

tg_tensor *tg_eye_at(tg_tape *t, const char *where, tg_dtype dtype, int64_t n)
{
    return tg_diag_embed(t, filled(t, where, "eye", dtype, 1, TG_SHAPE(n)));
}

/* ---------------------------------------------------------------- of equal steps */

/* first + i step, from the nearer end. */
static tg_tensor *steps(tg_tape *t, const char *where, const char *name, tg_dtype dtype, int64_t n,
                        double first, double step, double last)
{
    if (!(n >= 0 && n <= TG_MAX_COUNT))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: %" PRId64 " elements", name, n);
    const bool whole = dtype == TG_I64 || dtype == TG_U8;
    if (whole && n > 0 &&
        !(first == floor(first) && step == floor(step) &&
          (dtype == TG_I64 ? fabs(first) <= 0x1p53 && fabs(last) <= 0x1p53
                           : fmin(first, last) >= 0 && fmax(first, last) <= 255)))
        return tg_fail_at(t, where, TG_EVALUE, "%s: from %g by %g to %g is not for %s", name, first,
                          step, last, tg_dtype_name(dtype));
    void *data = tg_base_memory(t, where, name, n, tg_dtype_size(dtype));
    if (!data) return NULL;
    for (int64_t i = 0; i < n; i++) {
        const double v =
            whole || 2 * i < n ? first + step * (double)i : last - step * (double)(n - 1 - i);
        switch (dtype) {
        case TG_F32: ((float *)data)[i] = (float)v; break;
        case TG_F64: ((double *)data)[i] = v; break;
        case TG_I64: ((int64_t *)data)[i] = (int64_t)v; break;
        default: ((uint8_t *)data)[i] = (uint8_t)v;
        }
    }
    return tg_input_borrow(t, dtype, TG_SHAPE(n), data);
}

/* Whether the tape is healthy and the dtype one. */
static bool is_dtype(tg_tape *t, const char *where, const char *name, tg_dtype dtype)
{
    if (tg_tape_status(t) != TG_OK) return false;
    if (tg_dtype_size(dtype)) return true;
    tg_fail_at(t, where, TG_EDTYPE, "%s: no such dtype: %d", name, (int)dtype);
    return false;
}

tg_tensor *tg_arange_at(tg_tape *t, const char *where, tg_dtype dtype, double start, double stop,
                        double step)
{
    const double n = ceil((stop - start) / step);
    if (!is_dtype(t, where, "arange", dtype)) return NULL;
    if (!(n < 0x1p62 && isfinite(start) && isfinite(step)))
        return tg_fail_at(t, where, TG_EVALUE, "arange: from %g to %g by %g", start, stop, step);
    const int64_t count = n > 0 ? (int64_t)n : 0;
    return steps(t, where, "arange", dtype, count, start, step, start + step * (double)(count - 1));
}
tg_tensor *tg_linspace_at(tg_tape *t, const char *where, tg_dtype dtype, double first, double last,
                          int64_t n)
{
    if (!is_dtype(t, where, "linspace", dtype)) return NULL;
    if (!isfinite(last - first))
        return tg_fail_at(t, where, TG_EVALUE, "linspace: from %g to %g", first, last);
    return steps(t, where, "linspace", dtype, n, first,
                 n > 1 ? (last - first) / (double)(n - 1) : 0, n > 1 ? last : first);
}

tg_tensor *tg_meshgrid_at(tg_tape *t, const char *where, int n, tg_tensor *const *x, int k)
{
    tg_shape whole = {.ndim = n}, own = {.ndim = n};
    if (n < 1 || n > TG_MAX_DIMS || k < 0 || k >= n || !x)
        return tg_fail_at(t, where, TG_EVALUE, "meshgrid: axis %d of %d", k, n);
    for (int i = 0; i < n; i++) {
        if (!tg_ready(t, where, "meshgrid", x[i])) return NULL;
        if (tg_dtype_on(t, x[i]) != tg_dtype_on(t, x[0]))
            return tg_fail_at(t, where, TG_EDTYPE, "meshgrid: dtypes differ: %s and %s",
                              tg_dtype_name(tg_dtype_on(t, x[0])),
                              tg_dtype_name(tg_dtype_on(t, x[i])));
        if (tg_tensor_shape(x[i]).ndim != 1)
            return tg_fail_at(t, where, TG_ESHAPE, "meshgrid: %s is no vector",
                              tg_shape_text(tg_tensor_shape(x[i])).text);
        whole.dim[i] = tg_tensor_count(x[i]);
        own.dim[i] = i == k ? whole.dim[i] : 1;
    }
    return tg_expand(t, tg_reshape(t, x[k], own), whole);
}

KNOWN(zeros, "-> shape", 0, ("y = 0"))
KNOWN(ones, "-> shape", 0, ("y = 1"))
KNOWN(full, "-> shape", 0, ("y = value"))
KNOWN(zeros_like, "any", 0, ("y = 0"))
KNOWN(ones_like, "any", 0, ("y = 1"))
KNOWN(full_like, "any", 0, ("y = value"))
KNOWN(eye, "-> [n, n]", 0, ("y[i,i] = 1, else 0"))
KNOWN(arange, "-> [n]", 0, ("y[i] = start + i step, before stop"))
KNOWN(linspace, "-> [n]", 0, ("y[i] = first + i (last - first) / (n - 1)"))
KNOWN(meshgrid, "[n0], [n1], ... -> [n0, n1, ...]", -1, ("y[i0,i1,...] = x_k[i_k]"))

#else

/* What is made without an operand is added to one. */
#define MADE(name, call, ...)                                                                   \
    CALL(name, tg_add(t, x[0], tg_cast(t, call, tg_tensor_dtype(x[0]))))                        \
    EXPECT(name, for (int64_t i = 0; i < tg_shape_count(y->shape); i++)((double *)y->data)[i] = \
                     tg_sampled(x, i) + (__VA_ARGS__))
MADE(zeros, tg_zeros(t, TG_I64, TG_SHAPE(2, 3)), 0)
SAMPLES(zeros, SAMPLE(zeros, "", 0, REALS(-1, 1, 2, 3)))
MADE(ones, tg_ones(t, TG_U8, TG_SHAPE(2, 3)), 1)
SAMPLES(ones, SAMPLE(ones, "", 0, REALS(-1, 1, 2, 3)))
MADE(full, tg_full(t, TG_F32, -2.5, TG_SHAPE(2, 3)), -2.5)
SAMPLES(full, SAMPLE(full, "", 0, REALS(-1, 1, 2, 3)))
MADE(eye, tg_eye(t, TG_F64, 3), i % 4 == 0)
SAMPLES(eye, SAMPLE(eye, "", 0, REALS(-1, 1, 3, 3)))
MADE(arange, tg_arange(t, TG_F64, 2, 0.5, -0.25), 2 - 0.25 * (double)i)
MADE(whole, tg_arange(t, TG_I64, -1, 6, 2), -1 + 2 * (double)i)
SAMPLES(arange, SAMPLE(arange, "down", 0, REALS(-1, 1, 6)),
        SAMPLE(whole, "i64", 0, REALS(-1, 1, 4)))
MADE(linspace, tg_linspace(t, TG_F64, -1, 2, 7), -1 + 0.5 * (double)i)
SAMPLES(linspace, SAMPLE(linspace, "", 0, REALS(-1, 1, 7)))
CALL(zeros_like, tg_zeros_like(t, x[0]))
EXPECT_ALIKE(zeros_like, 0 * x)
SAMPLES(zeros_like, SAMPLE(zeros_like, "", 0, REALS(-1, 1, 2, 3)))
CALL(ones_like, tg_ones_like(t, x[0]))
EXPECT_ALIKE(ones_like, 1 + 0 * x)
SAMPLES(ones_like, SAMPLE(ones_like, "", 0, REALS(-1, 1, 2, 3)))
CALL(full_like, tg_full_like(t, x[0], 0.25))
EXPECT_ALIKE(full_like, 0.25 + 0 * x)
SAMPLES(full_like, SAMPLE(full_like, "", 0, REALS(-1, 1, 2, 3)))
CALL(mesh, tg_meshgrid(t, 3, x, 1))
EXPECT(mesh,
       for (int64_t i = 0; i < tg_shape_count(y->shape);
            i++)((double *)y->data)[i] = tg_sampled(x + 1, i / y->shape.dim[2] % y->shape.dim[1]))
SAMPLES(meshgrid, SAMPLE(mesh, "", 0, REALS(-1, 1, 2), REALS(-1, 1, 3), REALS(-1, 1, 4)))

#endif
