/* Decompositions of matrices [..., m, n]: QR, eigenvalues, singular values, and what is made of
 * them. Computed in double, one matrix at a time; an op's results are packed, a row for each
 * matrix, of which the public functions give views. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "elementwise.h"
#include "matrices.h"

#ifndef TG_SAMPLES

/* carried: decompose, on linalg */
typedef struct sizes {
    int64_t count, m, n, k; /* how many; rows, columns, the smaller of them */
} sizes;

static sizes sizes_of(tg_shape s)
{
    sizes z = {1, s.dim[s.ndim - 2], s.dim[s.ndim - 1], 0};
    for (int i = 0; i < s.ndim - 2; i++) z.count *= s.dim[i];
    z.k = z.m < z.n ? z.m : z.n;
    return z;
}
/* carried so far */

static bool matrix_rule(tg_rule *r, bool square)
{
    const tg_shape s = r->x[0].shape;
    if (r->x[0].dtype != TG_F32 && r->x[0].dtype != TG_F64)
        return tg_rule_fail(r, TG_EDTYPE, "f32 or f64 wanted, not %s",
                            tg_dtype_name(r->x[0].dtype));
    if (s.ndim < 2 || (square && s.dim[s.ndim - 1] != s.dim[s.ndim - 2]))
        return tg_rule_fail(r, TG_ESHAPE, "%s wanted, not %s",
                            square ? "square matrices [..., n, n]" : "matrices [..., m, n]",
                            tg_shape_text(s).text);
    r->y = r->x[0];
    return true;
}

static bool packed(tg_rule *r, int64_t numbers)
{
    r->y.shape.dim[r->y.shape.ndim - 1] = 0;
    r->y.shape.dim[--r->y.shape.ndim - 1] = numbers;
    return true;
}

static tg_tensor *transposed(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_transpose(t, x, -1, -2);
}

/* Numbers first .. of each row of what is packed as rows x columns; VECTOR rows: without rows. */
static tg_tensor *unpacked(tg_tape *t, const char *where, tg_tensor *x, int64_t first, int64_t rows,
                           int64_t columns)
{
    if (!x) return NULL;
    tg_shape s = tg_tensor_shape(x);
    const int64_t count = (rows < 0 ? 1 : rows) * columns;
    tg_tensor *part = tg_slice(t, x, -1, first, first + count, 1);
    s.dim[s.ndim - 1] = rows < 0 ? columns : rows;
    if (rows >= 0) s.dim[s.ndim++] = columns;
    return tg_reshape(t, part, s);
}
enum { VECTOR = -1 };

/* ---------------------------------------------------------------- QR */

/* a [m, n] becomes R, q [m, k] Q, by Householder's reflections, with LAPACK's signs; v [m, k] has
 * the reflections' vectors. */
/* carried: decompose */
static void factor_qr(sizes z, double *a, double *v, double *q)
{
    memset(v, 0, (size_t)(z.m * z.k) * sizeof *v);
    for (int64_t c = 0; c < z.k; c++) {
        double norm = 0, length = 0;
        for (int64_t i = c; i < z.m; i++) norm = hypot(norm, a[i * z.n + c]);
        if (norm == 0 || c == z.m - 1) continue; /* of one row there is nothing to reflect */
        for (int64_t i = c; i < z.m; i++) v[i * z.k + c] = a[i * z.n + c] / norm;
        v[c * z.k + c] += a[c * z.n + c] < 0 ? -1 : 1;
        for (int64_t i = c; i < z.m; i++) length += v[i * z.k + c] * v[i * z.k + c];
        for (int64_t i = c; i < z.m; i++) v[i * z.k + c] *= sqrt(2 / length);
        for (int64_t j = c; j < z.n; j++) {
            double dot = 0;
            for (int64_t i = c; i < z.m; i++) dot += v[i * z.k + c] * a[i * z.n + j];
            for (int64_t i = c; i < z.m; i++) a[i * z.n + j] -= dot * v[i * z.k + c];
        }
    }
    for (int64_t i = 0; i < z.m * z.k; i++) q[i] = i / z.k == i % z.k;
    for (int64_t c = z.k; c-- > 0;)
        for (int64_t j = 0; j < z.k; j++) {
            double dot = 0;
            for (int64_t i = c; i < z.m; i++) dot += v[i * z.k + c] * q[i * z.k + j];
            for (int64_t i = c; i < z.m; i++) q[i * z.k + j] -= dot * v[i * z.k + c];
        }
    for (int64_t i = 0; i < z.k; i++)
        for (int64_t j = 0; j < i && j < z.n; j++) a[i * z.n + j] = 0;
}
/* carried so far */

static bool qr_rule(tg_rule *r)
{
    if (!matrix_rule(r, false)) return false;
    const sizes z = sizes_of(r->x[0].shape);
    return packed(r, z.m * z.k + z.k * z.n);
}

static int64_t qr_scratch(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    return (z.m * z.n + 2 * z.m * z.k) * (int64_t)sizeof(double);
}

/* carried: decompose */
static void qr_kernel(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    double *a = c->scratch, *v = a + z.m * z.n, *q = v + z.m * z.k;
    const int64_t row = z.m * z.k + z.k * z.n;
    for (int64_t i = 0; i < z.count; i++) {
        tg_matrix_load(&c->x[0], i * z.m * z.n, z.m * z.n, a);
        factor_qr(z, a, v, q);
        tg_matrix_store(c->y, i * row, z.m * z.k, q);
        tg_matrix_store(c->y, i * row + z.m * z.k, z.k * z.n, a);
    }
}
/* carried so far */

/* (gq + q copyltu(r gr^T - gq^T q)) r^-T, copyltu(m) being m's lower triangle mirrored; Liao et al.
 * 2019. */
static tg_tensor *pull_square_r(tg_tape *t, const char *where, tg_tensor *q, tg_tensor *r,
                                tg_tensor *gq, tg_tensor *gr)
{
    tg_tensor *m = tg_sub(t, tg_matmul(t, r, transposed(t, where, gr)),
                          tg_matmul(t, transposed(t, where, gq), q)),
              *mirrored = tg_add(t, tg_tril(t, m, 0), transposed(t, where, tg_tril(t, m, -1))),
              *all = tg_add(t, gq, tg_matmul(t, q, mirrored));
    return transposed(t, where, tg_solve_triangular(t, r, transposed(t, where, all), true));
}

static void qr_vjp(TG_VJP)
{
    const sizes z = sizes_of(tg_tensor_shape(x[0]));
    tg_tensor *q = unpacked(t, where, y, 0, z.m, z.k), *gq = unpacked(t, where, gy, 0, z.m, z.k),
              *r = unpacked(t, where, y, z.m * z.k, z.k, z.n),
              *gr = unpacked(t, where, gy, z.m * z.k, z.k, z.n);
    if (z.m >= z.n) {
        gx[0] = pull_square_r(t, where, q, r, gq, gr);
        return;
    }
    /* x = [a, b], r = [u, v]: q and u are those of a, and v = q^T b */
    tg_tensor *b = tg_slice(t, x[0], -1, z.m, TG_END, 1), *u = tg_slice(t, r, -1, 0, z.m, 1),
              *gu = tg_slice(t, gr, -1, 0, z.m, 1), *gv = tg_slice(t, gr, -1, z.m, TG_END, 1);
    gq = tg_add(t, gq, tg_matmul(t, b, transposed(t, where, gv)));
    tg_tensor *both[] = {pull_square_r(t, where, q, u, gq, gu), tg_matmul(t, q, gv)};
    gx[0] = tg_concat(t, 2, both, -1);
}

static const tg_op op_qr = {.size = sizeof(tg_op),
                            .name = "qr",
                            .n_in = 1,
                            .rule = qr_rule,
                            .kernel = qr_kernel,
                            .carried = TG_CARRIED("decompose qr_kernel"),
                            .scratch = qr_scratch,
                            .vjp = qr_vjp};

tg_tensor *tg_qr_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **r)
{
    if (r) *r = NULL;
    tg_tensor *all = tg_apply(t, &op_qr, 1, &x, 0, NULL);
    if (!all) return NULL;
    const sizes z = sizes_of(tg_tensor_shape(x));
    if (r) *r = unpacked(t, where, all, z.m * z.k, z.k, z.n);
    return unpacked(t, where, all, 0, z.m, z.k);
}

tg_tensor *tg_lstsq_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready_float(t, where, "lstsq", a) || !tg_ready_float(t, where, "lstsq", b)) return NULL;
    const tg_shape s = tg_tensor_shape(a), of_b = tg_tensor_shape(b);
    if (s.ndim < 2 || of_b.ndim < 1 ||
        of_b.dim[of_b.ndim == 1 ? 0 : of_b.ndim - 2] != s.dim[s.ndim - 2])
        return tg_fail_at(t, where, TG_ESHAPE, "lstsq: %s and %s are no system",
                          tg_shape_text(s).text, tg_shape_text(of_b).text);
    const bool tall = s.dim[s.ndim - 2] >= s.dim[s.ndim - 1];
    tg_tensor *r, *q = tg_qr_at(t, where, tall ? a : transposed(t, where, a), &r),
                  *column = of_b.ndim == 1 ? tg_unsqueeze(t, b, 1) : b;
    tg_tensor *y =
        tall ? tg_solve_triangular(t, r, tg_matmul(t, transposed(t, where, q), column), true)
             : tg_matmul(t, q, tg_solve_triangular(t, transposed(t, where, r), column, false));
    return of_b.ndim == 1 ? tg_squeeze(t, y, -1) : y;
}

/* ---------------------------------------------------------------- gaps */

static tg_tensor *is_zero(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_equal(t, x, tg_constant_like(t, x, 0));
}

/* a / gap, and 0 where `none` of a is asked for and the gap is 0. */
static tg_tensor *over(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *gap, tg_tensor *none)
{
    tg_tensor *out = tg_logical_and(t, none, is_zero(t, where, gap));
    return tg_masked_fill(t, tg_div(t, a, tg_masked_fill(t, gap, out, 1)), out, 0);
}

/* The same between different rows and columns: on the diagonal 0. */
static tg_tensor *over_gaps(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *gap,
                            tg_tensor *none)
{
    const tg_shape s = tg_tensor_shape(gap);
    return over(t, where, a, gap, tg_logical_or(t, none, tg_eye(t, TG_U8, s.dim[s.ndim - 1])));
}

/* ---------------------------------------------------------------- Jacobi's rotations */

/* carried: decompose */
enum { SWEEPS = 60 };

/* The rotation that makes b of [[a, b], [b, c]] vanish, by the smaller angle. */
static void rotation(double a, double b, double c, double *cosine, double *sine)
{
    const double ratio = (c - a) / (2 * b),
                 tangent = (ratio < 0 ? -1 : 1) / (fabs(ratio) + hypot(ratio, 1));
    *cosine = 1 / hypot(tangent, 1);
    *sine = tangent * *cosine;
}

/* Columns p and q of n rows turned. */
static void turn(double *a, int64_t n, int64_t stride, int64_t p, int64_t q, double cosine,
                 double sine)
{
    for (int64_t i = 0; i < n; i++) {
        const double u = a[i * stride + p], v = a[i * stride + q];
        a[i * stride + p] = cosine * u - sine * v;
        a[i * stride + q] = sine * u + cosine * v;
    }
}

/* order[]: the places of n numbers in order. */
static void order_of(const double *x, int64_t n, bool descending, double *order)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i;
        for (; k > 0 &&
               (descending ? x[(int64_t)order[k - 1]] < x[i] : x[(int64_t)order[k - 1]] > x[i]);
             k--)
            order[k] = order[k - 1];
        order[k] = (double)i;
    }
}

/* ---------------------------------------------------------------- symmetric eigenvalues */

/* a becomes diagonal, v [n, n] its eigenvectors. */
static void diagonalise(double *a, double *v, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++) v[i] = i / n == i % n;
    bool turned = true;
    for (int sweep = 0; turned && sweep < SWEEPS; sweep++) {
        turned = false;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                const double off = a[p * n + q],
                             size = sqrt(fabs(a[p * n + p])) * sqrt(fabs(a[q * n + q]));
                double cosine, sine;
                if (isnan(off)) {
                    for (int64_t i = 0; i < n * n; i++) a[i] = v[i] = off;
                    return;
                }
                if (fabs(off) <= DBL_EPSILON / 4 * size || fabs(off) < DBL_MIN) continue;
                rotation(a[p * n + p], off, a[q * n + q], &cosine, &sine);
                turn(a, n, n, p, q, cosine, sine);
                for (int64_t j = 0; j < n; j++) {
                    const double u = a[p * n + j], w = a[q * n + j];
                    a[p * n + j] = cosine * u - sine * w;
                    a[q * n + j] = sine * u + cosine * w;
                }
                a[p * n + q] = a[q * n + p] = 0;
                turn(v, n, n, p, q, cosine, sine);
                turned = true;
            }
    }
}
/* carried so far */

static bool eigh_rule(tg_rule *r)
{
    if (!matrix_rule(r, true)) return false;
    const sizes z = sizes_of(r->x[0].shape);
    return packed(r, z.n + z.n * z.n);
}

static int64_t eigh_scratch(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]);
    return (3 * n * n + 2 * n) * (int64_t)sizeof(double);
}

/* carried: decompose */
static void eigh_kernel(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    const int64_t n = z.n, row = n + n * n;
    double *a = c->scratch, *v = a + n * n, *out = v + n * n, *value = out + n * n,
           *order = value + n;
    for (int64_t k = 0; k < z.count; k++) {
        tg_matrix_load(&c->x[0], k * n * n, n * n, v);
        for (int64_t i = 0; i < n * n; i++) a[i] = (v[i] + v[i % n * n + i / n]) / 2;
        diagonalise(a, v, n);
        for (int64_t i = 0; i < n; i++) value[i] = a[i * n + i];
        order_of(value, n, false, order);
        for (int64_t i = 0; i < n * n; i++) out[i] = v[i / n * n + (int64_t)order[i % n]];
        for (int64_t i = 0; i < n; i++)
            tg_matrix_store(c->y, k * row + i, 1, &value[(int64_t)order[i]]);
        tg_matrix_store(c->y, k * row + n, n * n, out);
    }
}
/* carried so far */

/* v (diag gl + v^T gv / gaps) v^T, symmetric. */
static void eigh_vjp(TG_VJP)
{
    const int64_t n = sizes_of(tg_tensor_shape(x[0])).n;
    tg_tensor *l = unpacked(t, where, y, 0, VECTOR, n), *v = unpacked(t, where, y, n, n, n),
              *gl = unpacked(t, where, gy, 0, VECTOR, n), *gv = unpacked(t, where, gy, n, n, n),
              *gaps = tg_sub(t, tg_unsqueeze(t, l, -2), tg_unsqueeze(t, l, -1));
    tg_tensor *along = tg_matmul(t, transposed(t, where, v), gv),
              *inner = tg_add(t, tg_diag_embed(t, gl),
                              over_gaps(t, where, along, gaps, is_zero(t, where, along)));
    tg_tensor *all = tg_matmul(t, tg_matmul(t, v, inner), transposed(t, where, v));
    gx[0] = tg_scale(t, tg_add(t, all, transposed(t, where, all)), 0.5);
}

static const tg_op op_eigh = {.size = sizeof(tg_op),
                              .name = "eigh",
                              .n_in = 1,
                              .rule = eigh_rule,
                              .kernel = eigh_kernel,
                              .carried = TG_CARRIED("decompose eigh_kernel"),
                              .scratch = eigh_scratch,
                              .vjp = eigh_vjp};

tg_tensor *tg_eigh_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **vectors)
{
    if (vectors) *vectors = NULL;
    tg_tensor *all = tg_apply(t, &op_eigh, 1, &x, 0, NULL);
    if (!all) return NULL;
    const int64_t n = sizes_of(tg_tensor_shape(x)).n;
    if (vectors) *vectors = unpacked(t, where, all, n, n, n);
    return unpacked(t, where, all, 0, VECTOR, n);
}

/* ---------------------------------------------------------------- singular values */

/* carried: decompose */
static double dot(const double *a, int64_t n, int64_t stride, int64_t p, int64_t q)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i * stride + p] * a[i * stride + q];
    return sum;
}

/* The columns of w [m, n], m >= n, become orthogonal; v [n, n] has what was done to them. */
static void orthogonalise(double *w, double *v, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++) v[i] = i / n == i % n;
    bool turned = true;
    for (int sweep = 0; turned && sweep < SWEEPS; sweep++) {
        turned = false;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                const double a = dot(w, m, n, p, p), b = dot(w, m, n, p, q), c = dot(w, m, n, q, q);
                double cosine, sine;
                if (isnan(b)) {
                    for (int64_t i = 0; i < m * n; i++) w[i] = b;
                    for (int64_t i = 0; i < n * n; i++) v[i] = b;
                    return;
                }
                if (fabs(b) <= DBL_EPSILON * sqrt(a) * sqrt(c) || fabs(b) < DBL_MIN) continue;
                rotation(a, b, c, &cosine, &sine);
                turn(w, m, n, p, q, cosine, sine);
                turn(v, n, n, p, q, cosine, sine);
                turned = true;
            }
    }
}

/* Column `to` of u [m, n], whose first `to` columns are orthonormal, becomes one more. */
static void complete(double *u, int64_t m, int64_t n, int64_t to)
{
    double best = 0;
    for (int64_t unit = 0; unit < m && best < 0.5; unit++) {
        for (int64_t i = 0; i < m; i++) u[i * n + to] = i == unit;
        for (int twice = 0; twice < 2; twice++)
            for (int64_t c = 0; c < to; c++) {
                const double along = dot(u, m, n, c, to);
                for (int64_t i = 0; i < m; i++) u[i * n + to] -= along * u[i * n + c];
            }
        best = sqrt(dot(u, m, n, to, to));
    }
    for (int64_t i = 0; i < m; i++) u[i * n + to] /= best;
}
/* carried so far */

static bool svd_rule(tg_rule *r)
{
    if (!matrix_rule(r, false)) return false;
    const sizes z = sizes_of(r->x[0].shape);
    return packed(r, z.m * z.k + z.k + z.k * z.n);
}

static int64_t svd_scratch(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    const int64_t most = z.m > z.n ? z.m : z.n;
    return (2 * most * z.k + 2 * z.k * z.k + 2 * z.k) * (int64_t)sizeof(double);
}

/* Of the matrix, or, when it is wide, of its transpose. */
/* carried: decompose */
static void svd_kernel(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    const bool wide = z.m < z.n;
    const int64_t m = wide ? z.n : z.m, n = z.k, row = z.m * z.k + z.k + z.k * z.n;
    double *w = c->scratch, *u = w + m * n, *v = u + m * n, *ordered = v + n * n,
           *s = ordered + n * n, *order = s + n;
    for (int64_t k = 0; k < z.count; k++) {
        tg_matrix_load(&c->x[0], k * m * n, m * n, u);
        for (int64_t i = 0; i < m * n; i++) w[i] = wide ? u[i % n * m + i / n] : u[i];
        orthogonalise(w, v, m, n);
        for (int64_t j = 0; j < n; j++) {
            s[j] = 0;
            for (int64_t i = 0; i < m; i++) s[j] = hypot(s[j], w[i * n + j]);
        }
        order_of(s, n, true, order);
        for (int64_t j = 0; j < n; j++) {
            const int64_t from = (int64_t)order[j];
            for (int64_t i = 0; i < m; i++) u[i * n + j] = w[i * n + from] / s[from];
            if (s[from] == 0) complete(u, m, n, j);
            for (int64_t i = 0; i < n; i++) ordered[i * n + j] = v[i * n + from];
            tg_matrix_store(c->y, k * row + z.m * z.k + j, 1, &s[from]);
        }
        double *left = wide ? ordered : u, *right = wide ? u : ordered;
        tg_matrix_store(c->y, k * row, z.m * z.k, left);
        for (int64_t i = 0; i < z.k * z.n; i++)
            tg_matrix_store(c->y, k * row + z.m * z.k + z.k + i, 1,
                            &right[i % z.n * z.k + i / z.n]);
    }
}
/* carried so far */

/* a - a^T */
static tg_tensor *skew(tg_tape *t, const char *where, tg_tensor *a)
{
    return tg_sub(t, a, transposed(t, where, a));
}

/* u (skew(u^T gu) / e s + s skew(v^T gv) / e + diag gs) v^T, e = s_j^2 - s_i^2, and what gu and gv
 * have beside u and v, over s. Wan and Zhang 2019. */
static void svd_vjp(TG_VJP)
{
    const sizes z = sizes_of(tg_tensor_shape(x[0]));
    const int64_t at = z.m * z.k;
    tg_tensor *u = unpacked(t, where, y, 0, z.m, z.k), *gu = unpacked(t, where, gy, 0, z.m, z.k),
              *s = unpacked(t, where, y, at, VECTOR, z.k),
              *gs = unpacked(t, where, gy, at, VECTOR, z.k),
              *vh = unpacked(t, where, y, at + z.k, z.k, z.n),
              *gvh = unpacked(t, where, gy, at + z.k, z.k, z.n);
    tg_tensor *square = tg_square(t, s), *row = tg_unsqueeze(t, s, -2),
              *column = tg_unsqueeze(t, s, -1),
              *e = tg_sub(t, tg_unsqueeze(t, square, -2), tg_unsqueeze(t, square, -1));
    tg_tensor *of_u = tg_matmul(t, transposed(t, where, u), gu),
              *of_v = tg_matmul(t, vh, transposed(t, where, gvh));
    tg_tensor *asked = tg_add(t, tg_abs(t, of_u), tg_abs(t, of_v)),
              *none = is_zero(t, where, tg_add(t, asked, transposed(t, where, asked)));
    tg_tensor *inner =
        tg_add(t, tg_diag_embed(t, gs),
               tg_add(t, tg_mul(t, over_gaps(t, where, skew(t, where, of_u), e, none), row),
                      tg_mul(t, over_gaps(t, where, skew(t, where, of_v), e, none), column)));
    tg_tensor *left = tg_matmul(t, u, inner), *all;
    if (z.m > z.k) {
        tg_tensor *beside = tg_sub(t, gu, tg_matmul(t, u, of_u));
        left = tg_add(t, left, over(t, where, beside, row, is_zero(t, where, beside)));
    }
    all = tg_matmul(t, left, vh);
    if (z.n > z.k) {
        tg_tensor *beside = tg_sub(t, gvh, tg_matmul(t, transposed(t, where, of_v), vh));
        all = tg_add(t, all,
                     tg_matmul(t, u, over(t, where, beside, column, is_zero(t, where, beside))));
    }
    gx[0] = all;
}

static const tg_op op_svd = {.size = sizeof(tg_op),
                             .name = "svd",
                             .n_in = 1,
                             .rule = svd_rule,
                             .kernel = svd_kernel,
                             .carried = TG_CARRIED("decompose svd_kernel"),
                             .scratch = svd_scratch,
                             .vjp = svd_vjp};

tg_tensor *tg_svd_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor **u, tg_tensor **vh)
{
    if (u) *u = NULL;
    if (vh) *vh = NULL;
    tg_tensor *all = tg_apply(t, &op_svd, 1, &x, 0, NULL);
    if (!all) return NULL;
    const sizes z = sizes_of(tg_tensor_shape(x));
    if (u) *u = unpacked(t, where, all, 0, z.m, z.k);
    if (vh) *vh = unpacked(t, where, all, z.m * z.k + z.k, z.k, z.n);
    return unpacked(t, where, all, z.m * z.k, VECTOR, z.k);
}

/* ---------------------------------------------------------------- the exponential */

static bool exp_rule(tg_rule *r) { return matrix_rule(r, true); }

static int64_t exp_scratch(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]);
    return (7 * n * n + n) * (int64_t)sizeof(double);
}

/* c = a b; c is none of them. */
/* carried: decompose */
static void multiply(int64_t n, const double *a, const double *b, double *c)
{
    memset(c, 0, (size_t)(n * n) * sizeof *c);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

/* a becomes e^a, with room for six more matrices and a row: the quotient of two polynomials of
 * degree 13, after halving, and squared as often; Higham 2005. */
static void exponentiate(double *a, int64_t n, double *room)
{
    static const double b[14] = {64764752532480000.,
                                 32382376266240000.,
                                 7771770303897600.,
                                 1187353796428800.,
                                 129060195264000.,
                                 10559470521600.,
                                 670442572800.,
                                 33522128640.,
                                 1323241920.,
                                 40840800.,
                                 960960.,
                                 16380.,
                                 182.,
                                 1.};
    const int64_t nn = n * n;
    double *a2 = room, *a4 = a2 + nn, *a6 = a4 + nn, *u = a6 + nn, *v = u + nn, *w = v + nn,
           *row = w + nn, norm = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += fabs(a[i * n + j]);
        norm = sum > norm || isnan(sum) ? sum : norm;
    }
    int halvings = 0;
    if (isfinite(norm)) frexp(norm / 5.371920351148152, &halvings);
    halvings = halvings > 0 ? halvings : 0;
    for (int64_t i = 0; i < nn; i++) a[i] = ldexp(a[i], -halvings);
    multiply(n, a, a, a2);
    multiply(n, a2, a2, a4);
    multiply(n, a2, a4, a6);
    for (int64_t i = 0; i < nn; i++) w[i] = b[13] * a6[i] + b[11] * a4[i] + b[9] * a2[i];
    multiply(n, a6, w, v);
    for (int64_t i = 0; i < nn; i++)
        v[i] += b[7] * a6[i] + b[5] * a4[i] + b[3] * a2[i] + (i / n == i % n ? b[1] : 0);
    multiply(n, a, v, u);
    for (int64_t i = 0; i < nn; i++) w[i] = b[12] * a6[i] + b[10] * a4[i] + b[8] * a2[i];
    multiply(n, a6, w, v);
    for (int64_t i = 0; i < nn; i++) {
        v[i] += b[6] * a6[i] + b[4] * a4[i] + b[2] * a2[i] + (i / n == i % n ? b[0] : 0);
        w[i] = v[i] - u[i];
        a[i] = v[i] + u[i];
    }
    int64_t rank;
    tg_matrix_factorise(w, n, row, NULL, &rank);
    tg_matrix_solve(w, n, row, a, n);
    for (; halvings > 0; halvings--) {
        multiply(n, a, a, w);
        memcpy(a, w, (size_t)nn * sizeof *a);
    }
}
/* carried so far */

/* carried: decompose */
static void exp_kernel(const tg_call *c)
{
    const sizes z = sizes_of(c->x[0].shape);
    double *a = c->scratch;
    for (int64_t k = 0; k < z.count; k++) {
        tg_matrix_load(&c->x[0], k * z.n * z.n, z.n * z.n, a);
        exponentiate(a, z.n, a + z.n * z.n);
        tg_matrix_store(c->y, k * z.n * z.n, z.n * z.n, a);
    }
}
/* carried so far */

/* The upper right part of the exponential of [[x^T, gy], [0, x^T]]; Mathias 1996. */
static void exp_vjp(TG_VJP)
{
    const int64_t n = sizes_of(tg_tensor_shape(y)).n;
    tg_tensor *turned = transposed(t, where, x[0]), *zeros = zeros_like(t, where, turned);
    tg_tensor *above = tg_concat(t, 2, ((tg_tensor *[]){turned, gy}), -1),
              *below = tg_concat(t, 2, ((tg_tensor *[]){zeros, turned}), -1),
              *all = tg_matrix_exp(t, tg_concat(t, 2, ((tg_tensor *[]){above, below}), -2));
    gx[0] = tg_slice(t, tg_slice(t, all, -2, 0, n, 1), -1, n, TG_END, 1);
}

static const tg_op op_matrix_exp = {.size = sizeof(tg_op),
                                    .name = "matrix_exp",
                                    .n_in = 1,
                                    .rule = exp_rule,
                                    .kernel = exp_kernel,
                                    .carried = TG_CARRIED("decompose exp_kernel"),
                                    .scratch = exp_scratch,
                                    .vjp = exp_vjp};
TG_DEFINE_1(matrix_exp, op_matrix_exp)

KNOWN(qr, "[..., m, n] -> [..., m, k], [..., k, n]", -1, ("x = q r, k = min(m, n)"))
KNOWN(eigh, "[..., n, n] -> [..., n], [..., n, n]", -1, ("x v = v diag(y)"))
KNOWN(svd, "[..., m, n] -> [..., k], [..., m, k], [..., k, n]", -1,
      ("x = u diag(y) vh, k = min(m, n)"))
KNOWN(lstsq, "[..., m, n], [..., m, c] or [m] -> [..., n, c] or [n]", -1, ("least |a y - b|"))
KNOWN(matrix_exp, "[..., n, n]", -1, ("y = 1 + x + x x / 2 + ..."))

#else

static tg_tensor *left, *right;

/* c = a b of [n, k] and [k, m], either turned by its strides. */
static void times(const double *a, int64_t a_row, int64_t a_column, const double *b, int64_t b_row,
                  int64_t b_column, int64_t n, int64_t k, int64_t m, double *c)
{
    for (int64_t i = 0; i < n * m; i++) {
        c[i] = 0;
        for (int64_t p = 0; p < k; p++)
            c[i] += a[i / m * a_row + p * a_column] * b[p * b_row + i % m * b_column];
    }
}

/* Of the packed parts: left diag(middle^3) right. */
static tg_tensor *cubed(tg_tape *t, tg_tensor *middle)
{
    if (!middle) return NULL;
    tg_tensor *cube = tg_mul(t, middle, tg_square(t, middle));
    return tg_matmul(t, tg_mul(t, left, tg_unsqueeze(t, cube, -2)), right);
}

/* x x^T x for each matrix. */
static void cube(const tg_array *x, tg_array *y)
{
    const tg_shape s = x->shape;
    const int64_t m = s.dim[s.ndim - 2], n = s.dim[s.ndim - 1];
    for (int64_t k = 0; k < tg_shape_count(s) / (m * n); k++) {
        const double *a = (const double *)x->data + k * m * n;
        double square[16];
        times(a, n, 1, a, 1, n, m, n, m, square);
        times(square, m, 1, a, n, 1, m, m, n, (double *)y->data + k * m * n);
    }
}
CALL(singular, cubed(t, tg_svd(t, x[0], &left, &right)))
EXPECT(singular, cube(x, y))
SAMPLES(svd, SAMPLE(singular, "tall", 0, REALS(-1, 1, 2, 3, 2)),
        SAMPLE(singular, "wide", 0, REALS(-1, 1, 2, 3)),
        SAMPLE(singular, "square", 0, REALS(-1, 1, 3, 3)))

static tg_tensor *symmetric_cube(tg_tape *t, tg_tensor *values)
{
    right = values ? tg_transpose(t, left, -1, -2) : NULL;
    return cubed(t, values);
}
static void symmetric(const tg_array *x, tg_array *y)
{
    double a[18];
    tg_array half = *x;
    for (int i = 0; i < 18; i++)
        a[i] = (((const double *)x->data)[i] +
                ((const double *)x->data)[i / 9 * 9 + i % 3 * 3 + i % 9 / 3]) /
               2;
    half.data = a;
    cube(&half, y);
}
CALL(eigen, symmetric_cube(t, tg_eigh(t, x[0], &left)))
EXPECT(eigen, symmetric(x, y))
SAMPLES(eigh, SAMPLE(eigen, "batch", 0, REALS(-1, 1, 2, 3, 3)))

/* r, or q, with positive numbers on r's diagonal. */
static tg_tensor *positive(tg_tape *t, tg_tensor *q, bool want_q)
{
    if (!q) return NULL;
    tg_tensor *signs = tg_sign(t, tg_diagonal(t, right, 0));
    return want_q ? tg_mul(t, q, tg_unsqueeze(t, signs, -2))
                  : tg_mul(t, right, tg_unsqueeze(t, signs, -1));
}
/* By Gram and Schmidt: q, and r. */
static void orthonormal(const tg_array *x, tg_array *y, bool want_q)
{
    const int64_t m = x->shape.dim[x->shape.ndim - 2], n = x->shape.dim[x->shape.ndim - 1],
                  k = m < n ? m : n;
    const double *a = x->data;
    double q[9], r[9] = {0};
    for (int64_t j = 0; j < n; j++) {
        double column[3], length = 0;
        for (int64_t i = 0; i < m; i++) column[i] = a[i * n + j];
        for (int64_t c = 0; c < k && (c < j || j >= k); c++) {
            for (int64_t i = 0; i < m; i++) r[c * n + j] += q[i * k + c] * a[i * n + j];
            for (int64_t i = 0; i < m; i++) column[i] -= r[c * n + j] * q[i * k + c];
        }
        for (int64_t i = 0; i < m; i++) length += column[i] * column[i];
        if (j >= k) continue;
        r[j * n + j] = sqrt(length);
        for (int64_t i = 0; i < m; i++) q[i * k + j] = column[i] / r[j * n + j];
    }
    memcpy(y->data, want_q ? q : r, (size_t)tg_shape_count(y->shape) * sizeof(double));
}
CALL(q_of, positive(t, tg_qr(t, x[0], &right), true))
EXPECT(q_of, orthonormal(x, y, true))
CALL(r_of, positive(t, tg_qr(t, x[0], &right), false))
EXPECT(r_of, orthonormal(x, y, false))
SAMPLES(qr, SAMPLE(q_of, "q, tall", 0, REALS(-1, 1, 3, 2)),
        SAMPLE(r_of, "r, tall", 0, REALS(-1, 1, 3, 2)),
        SAMPLE(q_of, "q, wide", 0, REALS(-1, 1, 2, 3)),
        SAMPLE(r_of, "r, wide", 0, REALS(-1, 1, 2, 3)))

/* By the normal equations of two unknowns, or, for two equations, the shortest of the solutions. */
static void fitted(const tg_array *x, tg_array *y)
{
    const int64_t m = x->shape.dim[0], n = x->shape.dim[1];
    const bool tall = m >= n;
    const double *a = x->data, *b = x[1].data;
    double square[4], from[2], z[2];
    if (tall) {
        times(a, 1, n, a, n, 1, n, m, n, square);
        times(a, 1, n, b, 1, 1, n, m, 1, from);
    } else {
        times(a, n, 1, a, 1, n, m, n, m, square);
        memcpy(from, b, sizeof from);
    }
    const double det = square[0] * square[3] - square[1] * square[2];
    z[0] = (from[0] * square[3] - from[1] * square[1]) / det;
    z[1] = (square[0] * from[1] - square[2] * from[0]) / det;
    if (tall) memcpy(y->data, z, sizeof z);
    else times(a, 1, n, z, 1, 1, n, m, 1, y->data);
}
CALL(least, tg_lstsq(t, x[0], x[1]))
EXPECT(least, fitted(x, y))
SAMPLES(lstsq, SAMPLE(least, "tall", 0, REALS(0, 1, 3, 2), REALS(-1, 1, 3)),
        SAMPLE(least, "wide", 0, REALS(0, 1, 2, 3), REALS(-1, 1, 2)))

static void summed(const tg_array *x, tg_array *y)
{
    const int64_t n = x->shape.dim[x->shape.ndim - 1], nn = n * n;
    for (int64_t k = 0; k < tg_shape_count(x->shape) / nn; k++) {
        double term[9], next[9], *sum = (double *)y->data + k * nn;
        for (int64_t i = 0; i < nn; i++) sum[i] = term[i] = i / n == i % n;
        for (int p = 1; p < 40; p++) {
            times(term, n, 1, (const double *)x->data + k * nn, n, 1, n, n, n, next);
            for (int64_t i = 0; i < nn; i++) sum[i] += term[i] = next[i] / p;
        }
    }
}
CALL(exponential_of, tg_matrix_exp(t, x[0]))
EXPECT(exponential_of, summed(x, y))
SAMPLES(matrix_exp, SAMPLE(exponential_of, "batch", 0, REALS(-1, 1, 2, 3, 3)),
        SAMPLE(exponential_of, "large", 0, REALS(-3, 3, 2, 2)))

#endif
