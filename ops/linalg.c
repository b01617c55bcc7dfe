/* Dense linear algebra: factors, solutions, determinants of matrices [..., n, n]. Everything is
 * computed in double, with one matrix at a time in the scratch memory. */
#include <math.h>
#include <string.h>

#include "matrices.h"

#ifndef TG_SAMPLES

/* ---------------------------------------------------------------- matrices in double */

#define TG_SHARED /* static in an exported file */
/* carried: linalg, on matrices */
/* How many matrices of `elements` there are. */
static int64_t matrices(const tg_array *a, int64_t elements)
{
    return elements ? tg_shape_count(a->shape) / elements : 0;
}

static void swap(double *a, double *b, int64_t n, int64_t stride)
{
    for (int64_t i = 0; i < n; i++) {
        const double kept = a[i * stride];
        a[i * stride] = b[i * stride];
        b[i * stride] = kept;
    }
}

/* The place of the greatest element of the n x n matrix a in column k from row k on, or, with
 * columns too, in the block from (k, k) on. A NaN is found first. */
static int64_t pivot_place(const double *a, int64_t n, int64_t k, bool columns_too)
{
    int64_t best = k * n + k;
    for (int64_t i = k; i < n; i++)
        for (int64_t j = k; j < (columns_too ? n : k + 1); j++)
            if (!(fabs(a[i * n + j]) <= fabs(a[best]))) best = i * n + j;
    return best;
}

TG_SHARED double tg_matrix_factorise(double *a, int64_t n, double *row, double *column,
                                     int64_t *rank)
{
    double sign = 1;
    *rank = n;
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = pivot_place(a, n, k, column != NULL), i = at / n, j = at % n;
        row[k] = (double)i;
        if (column) column[k] = (double)j;
        if (i != k) swap(a + i * n, a + k * n, n, 1);
        if (j != k) swap(a + j, a + k, n, n);
        sign = (i != k) != (j != k) ? -sign : sign;
        const double pivot = a[k * n + k];
        if (pivot == 0) {
            *rank = k < *rank ? k : *rank;
            continue;
        }
        for (int64_t r = k + 1; r < n; r++) {
            const double factor = a[r * n + k] /= pivot;
            for (int64_t s = k + 1; s < n; s++) a[r * n + s] -= factor * a[k * n + s];
        }
    }
    return sign;
}

TG_SHARED void tg_matrix_substitute(const double *a, int64_t n, bool upper, bool ones, double *b,
                                    int64_t m)
{
    for (int64_t step = 0; step < n; step++) {
        const int64_t i = upper ? n - 1 - step : step, first = upper ? i + 1 : 0,
                      last = upper ? n : i;
        for (int64_t k = first; k < last; k++)
            for (int64_t j = 0; j < m; j++) b[i * m + j] -= a[i * n + k] * b[k * m + j];
        for (int64_t j = 0; j < m && !ones; j++) b[i * m + j] /= a[i * n + i];
    }
}

TG_SHARED void tg_matrix_solve(const double *a, int64_t n, const double *row, double *b, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        if ((int64_t)row[i] != i) swap(b + i * m, b + (int64_t)row[i] * m, m, 1);
    tg_matrix_substitute(a, n, false, true, b, m);
    tg_matrix_substitute(a, n, true, false, b, m);
}
/* carried so far */

static bool square_rule(tg_rule *r)
{
    const tg_shape s = r->x[0].shape;
    if (r->x[0].dtype != TG_F32 && r->x[0].dtype != TG_F64)
        return tg_rule_fail(r, TG_EDTYPE, "f32 or f64 wanted, not %s",
                            tg_dtype_name(r->x[0].dtype));
    if (s.ndim < 2 || s.dim[s.ndim - 1] != s.dim[s.ndim - 2])
        return tg_rule_fail(r, TG_ESHAPE, "square matrices [..., n, n] wanted, not %s",
                            tg_shape_text(s).text);
    r->y = r->x[0];
    return true;
}

static int64_t square_scratch(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]);
    return (2 * n * n + 2 * n) * (int64_t)sizeof(double);
}

/* ---------------------------------------------------------------- triangular systems */

/* x[0] [..., n, n] and x[1] [..., n, m] with equal leading sizes. */
static bool system_rule(tg_rule *r)
{
    if (!square_rule(r)) return false;
    const tg_shape a = r->x[0].shape, b = r->x[1].shape;
    bool fits = a.ndim == b.ndim;
    for (int k = 0; k < a.ndim - 1 && fits; k++) fits = a.dim[k] == b.dim[k];
    if (!fits)
        return tg_rule_fail(r, TG_ESHAPE, "%s and %s are no system", tg_shape_text(a).text,
                            tg_shape_text(b).text);
    if (r->x[0].dtype != r->x[1].dtype)
        return tg_rule_fail(r, TG_EDTYPE, "dtypes differ: %s and %s", tg_dtype_name(r->x[0].dtype),
                            tg_dtype_name(r->x[1].dtype));
    r->y = r->x[1];
    return true;
}

static int64_t system_scratch(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]), m = tg_matrix_size(&c->x[1]);
    return (n * n + n * m + n) * (int64_t)sizeof(double);
}

/* carried: linalg */
static void triangular_kernel(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]), m = tg_matrix_size(&c->x[1]);
    double *a = c->scratch, *b = a + n * n;
    for (int64_t k = 0; k < matrices(c->y, n * m); k++) {
        tg_matrix_load(&c->x[0], k * n * n, n * n, a);
        tg_matrix_load(&c->x[1], k * n * m, n * m, b);
        tg_matrix_substitute(a, n, c->attrs[0] != 0, false, b, m);
        tg_matrix_store(c->y, k * n * m, n * m, b);
    }
}
/* carried so far */

static tg_tensor *transposed(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_transpose(t, x, -1, -2);
}

static void triangular_vjp(TG_VJP);
static const tg_op solve_triangular = {.size = sizeof(tg_op),
                                       .name = "solve_triangular",
                                       .n_in = 2,
                                       .rule = system_rule,
                                       .kernel = triangular_kernel,
                                       .carried = TG_CARRIED("linalg triangular_kernel"),
                                       .scratch = system_scratch,
                                       .vjp = triangular_vjp};

static tg_tensor *triangular(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b, bool upper)
{
    tg_tensor *in[] = {a, b};
    return tg_apply(t, &solve_triangular, 2, in, 1, ((const int64_t[]){upper}));
}

/* gb = a^-T gy, ga = -gb y^T where a is read */
static void triangular_vjp(TG_VJP)
{
    gx[1] = triangular(t, where, transposed(t, where, x[0]), gy, !attrs[0]);
    tg_tensor *all = tg_neg(t, tg_matmul(t, gx[1], transposed(t, where, y)));
    gx[0] = attrs[0] ? tg_triu(t, all, 0) : tg_tril(t, all, 0);
}

/* ---------------------------------------------------------------- general systems */

/* carried: linalg */
static void solve_kernel(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]), m = tg_matrix_size(&c->x[1]);
    double *a = c->scratch, *b = a + n * n, *row = b + n * m;
    for (int64_t k = 0; k < matrices(c->y, n * m); k++) {
        int64_t rank;
        tg_matrix_load(&c->x[0], k * n * n, n * n, a);
        tg_matrix_load(&c->x[1], k * n * m, n * m, b);
        tg_matrix_factorise(a, n, row, NULL, &rank);
        if (rank < n) {
            tg_call_fail(c, k, TG_EVALUE, "matrix %lld is singular", (long long)k);
            return;
        }
        tg_matrix_solve(a, n, row, b, m);
        tg_matrix_store(c->y, k * n * m, n * m, b);
    }
}
/* carried so far */

static void solve_vjp(TG_VJP);
static const tg_op solve = {.size = sizeof(tg_op),
                            .name = "solve",
                            .n_in = 2,
                            .rule = system_rule,
                            .kernel = solve_kernel,
                            .carried = TG_CARRIED("linalg solve_kernel"),
                            .scratch = system_scratch,
                            .vjp = solve_vjp};

/* gb = a^-T gy, ga = -gb y^T */
static void solve_vjp(TG_VJP)
{
    gx[1] = tg_apply_2(t, where, &solve, transposed(t, where, x[0]), gy);
    gx[0] = tg_neg(t, tg_matmul(t, gx[1], transposed(t, where, y)));
}

/* Expands the leading sizes of a [..., n, n] and b [..., n, m] to common ones; a vector b becomes a
 * column. */
static bool systems(tg_tape *t, const char *where, const char *name, tg_tensor **a, tg_tensor **b)
{
    if (!tg_ready_float(t, where, name, *a) || !tg_ready_float(t, where, name, *b)) return false;
    if (tg_tensor_shape(*b).ndim == 1) *b = tg_unsqueeze(t, *b, 1);
    tg_shape p = tg_tensor_shape(*a), q = tg_tensor_shape(*b);
    const tg_shape x = p, y = q;
    if (p.ndim >= 2 && q.ndim >= 2) {
        p.ndim -= 2;
        q.ndim -= 2;
        p = q = tg_shape_broadcast(p, q);
    }
    if (x.ndim < 2 || y.ndim < 2 || p.ndim < 0 || p.ndim + 2 > TG_MAX_DIMS) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: %s and %s are no system", name, tg_shape_text(x).text,
                   tg_shape_text(y).text);
        return false;
    }
    for (int k = 2; k > 0; k--) {
        p.dim[p.ndim++] = x.dim[x.ndim - k];
        q.dim[q.ndim++] = y.dim[y.ndim - k];
    }
    *a = tg_expand(t, *a, p);
    *b = tg_expand(t, *b, q);
    return *a && *b;
}

static tg_tensor *solved(tg_tape *t, const char *where, const char *name, tg_tensor *a,
                         tg_tensor *b, int upper)
{
    if (!t || tg_tape_status(t)) return NULL;
    tg_tensor *column = b;
    if (!systems(t, where, name, &a, &column)) return NULL;
    tg_tensor *y = upper < 0 ? tg_apply_2(t, where, &solve, a, column)
                             : triangular(t, where, a, column, upper == 1);
    return y && tg_tensor_shape(b).ndim == 1 ? tg_squeeze(t, y, -1) : y;
}

tg_tensor *tg_solve_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    return solved(t, where, "solve", a, b, -1);
}

tg_tensor *tg_solve_triangular_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                                  bool upper)
{
    return solved(t, where, "solve_triangular", a, b, upper);
}

tg_tensor *tg_cholesky_solve_at(tg_tape *t, const char *where, tg_tensor *b, tg_tensor *l)
{
    if (!tg_ready_float(t, where, "cholesky_solve", b) ||
        !tg_ready_float(t, where, "cholesky_solve", l))
        return NULL;
    tg_tensor *half = solved(t, where, "cholesky_solve", l, b, 0);
    return solved(t, where, "cholesky_solve", half ? transposed(t, where, l) : NULL, half, 1);
}

/* The unit matrices that x's matrices would be multiplied by. */
static tg_tensor *unit_matrices(tg_tape *t, const char *where, tg_tensor *x)
{
    const tg_shape s = tg_tensor_shape(x);
    return tg_expand(t, tg_eye(t, tg_dtype_on(t, x), s.dim[s.ndim - 1]), s);
}

static bool is_square(tg_tape *t, const char *where, const char *name, tg_tensor *x)
{
    if (!tg_ready_float(t, where, name, x)) return false;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim >= 2 && s.dim[s.ndim - 1] == s.dim[s.ndim - 2]) return true;
    tg_fail_at(t, where, TG_ESHAPE, "%s: square matrices [..., n, n] wanted, not %s", name,
               tg_shape_text(s).text);
    return false;
}

tg_tensor *tg_inv_at(tg_tape *t, const char *where, tg_tensor *x)
{
    if (!is_square(t, where, "inv", x)) return NULL;
    return tg_apply_2(t, where, &solve, x, unit_matrices(t, where, x));
}

/* ---------------------------------------------------------------- Cholesky */

/* carried: linalg */
static void cholesky_kernel(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]);
    double *a = c->scratch;
    for (int64_t k = 0; k < matrices(c->y, n * n); k++) {
        tg_matrix_load(&c->x[0], k * n * n, n * n, a);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j <= i; j++) {
                double sum = (a[i * n + j] + a[j * n + i]) / 2;
                for (int64_t p = 0; p < j; p++) sum -= a[i * n + p] * a[j * n + p];
                if (i == j && sum <= 0) {
                    tg_call_fail(c, k, TG_EVALUE,
                                 "matrix %lld is not positive definite: pivot %lld is %g",
                                 (long long)k, (long long)i, sum);
                    return;
                }
                a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
            }
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i + 1; j < n; j++) a[i * n + j] = 0;
        tg_matrix_store(c->y, k * n * n, n * n, a);
    }
}
/* carried so far */

/* ga = L^-T phi(L^T gy) L^-1, symmetric; phi: the lower triangle with half the diagonal. Murray
 * 2016. */
static void cholesky_vjp(TG_VJP)
{
    tg_tensor *up = transposed(t, where, y), *inner = tg_matmul(t, up, gy),
              *phi = tg_scale(t, tg_add(t, tg_tril(t, inner, 0), tg_tril(t, inner, -1)), 0.5),
              *left = triangular(t, where, up, phi, true),
              *both = triangular(t, where, up, transposed(t, where, left), true);
    gx[0] = tg_scale(t, tg_add(t, both, transposed(t, where, both)), 0.5);
}

static const tg_op cholesky = {.size = sizeof(tg_op),
                               .name = "cholesky",
                               .n_in = 1,
                               .rule = square_rule,
                               .kernel = cholesky_kernel,
                               .carried = TG_CARRIED("linalg cholesky_kernel"),
                               .scratch = square_scratch,
                               .vjp = cholesky_vjp};
TG_DEFINE_1(cholesky, cholesky)

/* ---------------------------------------------------------------- determinants */

/* carried: linalg */
static void cofactor_kernel(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]);
    double *a = c->scratch, *z = a + n * n, *row = z + n * n, *column = row + n;
    for (int64_t k = 0; k < matrices(c->y, n * n); k++) {
        int64_t rank;
        tg_matrix_load(&c->x[0], k * n * n, n * n, a);
        double scale = tg_matrix_factorise(a, n, row, column, &rank);
        const double last = a[n * n - 1];
        for (int64_t i = 0; i + 1 < n; i++) scale *= a[i * n + i];
        /* adj(a) = det(U) Q U^-1 L^-1 P, without a division by the last pivot: with U' and U'^-1
         * whose last pivot is 1, its other columns times that pivot */
        for (int64_t i = 0; i < n * n; i++) z[i] = i / n == i % n;
        for (int64_t i = 0; i < n; i++)
            if ((int64_t)row[i] != i) swap(z + i * n, z + (int64_t)row[i] * n, n, 1);
        tg_matrix_substitute(a, n, false, true, z, n);
        for (int64_t i = 0; i + 1 < n; i++)
            for (int64_t j = 0; j < n; j++) z[i * n + j] *= last;
        a[n * n - 1] = 1;
        tg_matrix_substitute(a, n, true, false, z, n);
        for (int64_t i = n; i-- > 0;)
            if ((int64_t)column[i] != i) swap(z + i * n, z + (int64_t)column[i] * n, n, 1);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) a[j * n + i] = rank < n - 1 ? 0 : scale * z[i * n + j];
        tg_matrix_store(c->y, k * n * n, n * n, a);
    }
}
/* carried so far */

static void cofactor_vjp(TG_VJP);
static const tg_op cofactor = {.size = sizeof(tg_op),
                               .name = "cofactor",
                               .n_in = 1,
                               .rule = square_rule,
                               .kernel = cofactor_kernel,
                               .carried = TG_CARRIED("linalg cofactor_kernel"),
                               .scratch = square_scratch,
                               .vjp = cofactor_vjp};

/* From C = det(A) A^-T: <gy, C> A^-T - A^-T gy^T C, for matrices that have an inverse. */
static void cofactor_vjp(TG_VJP)
{
    tg_tensor *inner = tg_sum(t, tg_mul(t, gy, y), TG_AXES(-2, -1), true),
              *twice = tg_matmul(t, transposed(t, where, gy), y),
              *both = tg_sub(t, tg_mul(t, inner, unit_matrices(t, where, x[0])), twice);
    gx[0] = tg_apply_2(t, where, &solve, transposed(t, where, x[0]), both);
}

static bool det_rule(tg_rule *r)
{
    if (!square_rule(r)) return false;
    r->y.shape.ndim -= 2;
    r->y.shape.dim[r->y.shape.ndim] = r->y.shape.dim[r->y.shape.ndim + 1] = 0;
    if (r->n_attrs) r->y.shape.dim[r->y.shape.ndim++] = 2;
    return true;
}

/* The determinants; with an attribute their signs, and the logarithms of their sizes. */
/* carried: linalg */
static void det_kernel(const tg_call *c)
{
    const int64_t n = tg_matrix_size(&c->x[0]), of = c->n_attrs ? 2 : 1;
    double *a = c->scratch, *row = a + n * n;
    for (int64_t k = 0; k < tg_shape_count(c->y->shape) / of; k++) {
        int64_t rank;
        tg_matrix_load(&c->x[0], k * n * n, n * n, a);
        const double sign = tg_matrix_factorise(a, n, row, NULL, &rank);
        double pair[2] = {sign, 0};
        for (int64_t i = 0; i < n; i++) {
            const double pivot = a[i * n + i];
            pair[0] *= of == 1 || pivot == 0 || isnan(pivot) ? pivot : pivot < 0 ? -1 : 1;
            pair[1] += of == 1 ? 0 : log(fabs(pivot));
        }
        tg_matrix_store(c->y, k * of, of, pair);
    }
}
/* carried so far */

static tg_tensor *per_matrix(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_unsqueeze(t, tg_unsqueeze(t, x, -1), -1);
}

static void det_vjp(TG_VJP)
{
    gx[0] = tg_mul(t, per_matrix(t, where, gy), tg_apply_1(t, where, &cofactor, x[0]));
}

static const tg_op det = {.size = sizeof(tg_op),
                          .name = "det",
                          .n_in = 1,
                          .rule = det_rule,
                          .kernel = det_kernel,
                          .carried = TG_CARRIED("linalg det_kernel"),
                          .scratch = square_scratch,
                          .vjp = det_vjp};
TG_DEFINE_1(det, det)

static void slogdet_vjp(TG_VJP)
{
    tg_tensor *g = per_matrix(t, where, tg_select(t, gy, -1, 1));
    gx[0] = tg_mul(
        t, g,
        tg_apply_2(t, where, &solve, transposed(t, where, x[0]), unit_matrices(t, where, x[0])));
}

static const tg_op slogdet = {.size = sizeof(tg_op),
                              .name = "slogdet",
                              .n_in = 1,
                              .rule = det_rule,
                              .kernel = det_kernel,
                              .carried = TG_CARRIED("linalg det_kernel"),
                              .scratch = square_scratch,
                              .vjp = slogdet_vjp};

tg_tensor *tg_slogdet_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return tg_apply(t, &slogdet, 1, &x, 1, ((const int64_t[]){1}));
}

KNOWN(cholesky, "[..., n, n]", -1, ("x = y y^T, y lower triangular"))
KNOWN(solve_triangular, "[..., n, n], [..., n, m] or [n] -> [..., n, m] or [n]", -1, ("a y = b"))
KNOWN(solve, "[..., n, n], [..., n, m] or [n] -> [..., n, m] or [n]", -1, ("a y = b"))
KNOWN(cholesky_solve, "[..., n, m] or [n], [..., n, n] -> [..., n, m] or [n]", -1, ("l l^T y = b"))
KNOWN(inv, "[..., n, n]", -1, ("x y = 1"))
KNOWN(det, "[..., n, n] -> [...]", -1, ("y = the determinant of x"))
KNOWN(slogdet, "[..., n, n] -> [..., 2]", -1,
      ("y = the sign of the determinant of x, ln of its size"))

#else

/* The k-th matrix of x, with a number added to its diagonal. */
static void copy_matrix(const tg_array *x, int64_t k, double more, double *a)
{
    const int64_t n = x->shape.dim[x->shape.ndim - 1];
    for (int64_t i = 0; i < n * n; i++)
        a[i] = ((const double *)x->data)[k * n * n + i] + (i / n == i % n ? more : 0);
}

/* The determinant by expansion along the first row. */
static double expanded(const double *a, int n)
{
    double minor[16], sum = n == 0;
    for (int j = 0; j < n; j++) {
        for (int i = 0; i < (n - 1) * (n - 1); i++) {
            const int column = i % (n - 1);
            minor[i] = a[(i / (n - 1) + 1) * n + column + (column >= j)];
        }
        sum += (j % 2 ? -1 : 1) * a[j] * expanded(minor, n - 1);
    }
    return sum;
}

/* By Cramer's rule: a z = b for one column. */
static double cramer(const double *a, int n, const double *b, int64_t stride, int i)
{
    double other[16];
    for (int k = 0; k < n * n; k++) other[k] = k % n == i ? b[k / n * stride] : a[k];
    return expanded(other, n) / expanded(a, n);
}

static void systems_solved(const tg_array *x, tg_array *y, double more, int part)
{
    const tg_shape s = x[1].shape, of = x[0].shape;
    const int n = (int)of.dim[of.ndim - 1];
    const int64_t m = s.ndim == 1 ? 1 : s.dim[s.ndim - 1],
                  count = tg_shape_count(of) / ((int64_t)n * n);
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        double a[16];
        const int64_t matrix = k / (n * m);
        copy_matrix(&x[0], count == 1 ? 0 : matrix, more, a);
        for (int i = 0; i < n * n; i++)
            if ((part < 0 && i % n > i / n) || (part > 0 && i % n < i / n)) a[i] = 0;
        const double *b =
            (const double *)x[1].data + (tg_shape_count(s) == n * m ? 0 : matrix * n * m) + k % m;
        ((double *)y->data)[k] = cramer(a, n, b, m, (int)(k / m % n));
    }
}

#define MORE(a, n) tg_add(t, a, tg_scale(t, tg_eye(t, tg_tensor_dtype(a), n), 3))
#define BATCH REALS(-1, 1, 2, 3, 3)
CALL(system, tg_solve(t, MORE(x[0], 3), x[1]))
EXPECT(system, systems_solved(x, y, 3, 0))
SAMPLES(solve, SAMPLE(system, "batch", 0, BATCH, REALS(-1, 1, 2, 3, 2)),
        SAMPLE(system, "vector", 0, REALS(-1, 1, 3, 3), REALS(-1, 1, 3)),
        SAMPLE(system, "one matrix", 0, REALS(-1, 1, 3, 3), REALS(-1, 1, 2, 3, 1)))
CALL(lower, tg_solve_triangular(t, MORE(x[0], 3), x[1], false))
EXPECT(lower, systems_solved(x, y, 3, -1))
CALL(upper, tg_solve_triangular(t, MORE(x[0], 3), x[1], true))
EXPECT(upper, systems_solved(x, y, 3, 1))
SAMPLES(solve_triangular, SAMPLE(lower, "lower", 0, BATCH, REALS(-1, 1, 2, 3, 2)),
        SAMPLE(upper, "upper", 0, BATCH, REALS(-1, 1, 2, 3, 2)),
        SAMPLE(upper, "vector", 0, REALS(-1, 1, 3, 3), REALS(-1, 1, 3)))

static void inverted(const tg_array *x, tg_array *y, double more)
{
    const int n = (int)x->shape.dim[1];
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        double a[16], unit[4] = {0};
        copy_matrix(x, k / (n * n), more, a);
        unit[k % n] = 1;
        ((double *)y->data)[k] = cramer(a, n, unit, 1, (int)(k / n % n));
    }
}
CALL(inverse, tg_inv(t, MORE(x[0], 3)))
EXPECT(inverse, inverted(x, y, 3))
SAMPLES(inv, SAMPLE(inverse, "batch", 0, BATCH))

static void determined(const tg_array *x, tg_array *y, double more)
{
    const int n = (int)x->shape.dim[x->shape.ndim - 1], of = more != 0 ? 2 : 1;
    for (int64_t k = 0; k < tg_shape_count(y->shape) / of; k++) {
        double a[16];
        copy_matrix(x, k, more, a);
        const double value = expanded(a, n);
        if (of == 1) ((double *)y->data)[k] = value;
        else
            ((double *)y->data)[2 * k] = value < 0 ? -1 : 1,
                                    ((double *)y->data)[2 * k + 1] = log(fabs(value));
    }
}
CALL(determinant, tg_det(t, x[0]))
EXPECT(determinant, determined(x, y, 0))
SAMPLES(det, SAMPLE(determinant, "batch", 0, BATCH),
        SAMPLE(determinant, "four", 0, REALS(-2, 2, 4, 4)),
        SAMPLE(determinant, "one by one", 0, REALS(0.5, 2, 2, 1, 1)))
CALL(logarithm, tg_slogdet(t, MORE(x[0], 3)))
EXPECT(logarithm, determined(x, y, 3))
SAMPLES(slogdet, SAMPLE(logarithm, "batch", 0, BATCH))

/* x x^T + 1 is positive definite. */
#define DEFINITE                                                 \
    tg_add(t, tg_matmul(t, x[0], tg_transpose(t, x[0], -1, -2)), \
           tg_eye(t, tg_tensor_dtype(x[0]), 3))
static void definite(const tg_array *x, int64_t k, double *a)
{
    double b[9];
    copy_matrix(x, k, 0, b);
    for (int i = 0; i < 9; i++) {
        a[i] = i / 3 == i % 3;
        for (int j = 0; j < 3; j++) a[i] += b[i / 3 * 3 + j] * b[i % 3 * 3 + j];
    }
}
/* For three by three, written out. */
static void root(const tg_array *x, tg_array *y)
{
    for (int64_t k = 0; k < x->shape.dim[0]; k++) {
        double a[9], *l = (double *)y->data + 9 * k;
        definite(x, k, a);
        memset(l, 0, 9 * sizeof *l);
        l[0] = sqrt(a[0]), l[3] = a[3] / l[0], l[6] = a[6] / l[0];
        l[4] = sqrt(a[4] - l[3] * l[3]), l[7] = (a[7] - l[6] * l[3]) / l[4];
        l[8] = sqrt(a[8] - l[6] * l[6] - l[7] * l[7]);
    }
}
CALL(factor, tg_cholesky(t, DEFINITE))
EXPECT(factor, root(x, y))
SAMPLES(cholesky, SAMPLE(factor, "batch", 0, BATCH))
static void definite_solved(const tg_array *x, tg_array *y)
{
    for (int64_t k = 0; k < tg_shape_count(y->shape); k++) {
        double a[9];
        definite(x, k / 6, a);
        ((double *)y->data)[k] =
            cramer(a, 3, (const double *)x[1].data + k / 6 * 6 + k % 2, 2, (int)(k / 2 % 3));
    }
}
CALL(from_factor, tg_cholesky_solve(t, x[1], tg_cholesky(t, DEFINITE)))
EXPECT(from_factor, definite_solved(x, y))
SAMPLES(cholesky_solve, SAMPLE(from_factor, "batch", 0, BATCH, REALS(-1, 1, 2, 3, 2)))

#endif
