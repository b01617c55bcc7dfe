/* Products and sums over named axes. */
#include "folds.h"
#include <string.h>

#ifndef TG_SAMPLES

/* An axis of an operand has a label: that of its letter, or one of those for the axes of an
 * ellipsis, counted from its last. */
enum { LETTERS = 52, LABELS = LETTERS + TG_MAX_DIMS };

typedef struct term {
    tg_tensor *x;
    int n;
    int label[TG_MAX_DIMS];
} term;

static uint64_t bit(int label) { return UINT64_C(1) << label; }
static uint64_t labels_of(const term *a)
{
    uint64_t all = 0;
    for (int k = 0; k < a->n; k++) all |= bit(a->label[k]);
    return all;
}

/* a with its axes in another order: those of each set in turn, by their labels. */
static void arrange(tg_tape *t, const char *where, term *a, int n, const uint64_t *sets)
{
    tg_axes order = {.n = 0};
    int label[TG_MAX_DIMS];
    for (int s = 0; s < n; s++)
        for (int l = 0; l < LABELS; l++)
            for (int k = 0; k < a->n; k++)
                if (a->label[k] == l && (sets[s] & bit(l))) {
                    label[order.n] = l;
                    order.axis[order.n++] = k;
                }
    a->x = tg_permute(t, a->x, order);
    memcpy(a->label, label, (size_t)a->n * sizeof *label);
}

/* The axes that are not kept are summed over. */
static void sum_out(tg_tape *t, const char *where, term *a, uint64_t kept)
{
    tg_axes gone = {.n = 0};
    int n = 0;
    for (int k = 0; k < a->n; k++)
        if (kept & bit(a->label[k])) a->label[n++] = a->label[k];
        else gone.axis[gone.n++] = k;
    if (gone.n) a->x = tg_sum(t, a->x, gone, false);
    a->n = n;
}

static int64_t product(tg_shape s, int first, int n)
{
    int64_t count = 1;
    for (int k = first; k < first + n; k++) count *= s.dim[k];
    return count;
}
static int size_of(const term *a, uint64_t set)
{
    int n = 0;
    for (int k = 0; k < a->n; k++) n += (set & bit(a->label[k])) != 0;
    return n;
}

/* a times b, summed over what is not kept: an axis of both is a batch's or an inner one. */
static bool contract(tg_tape *t, const char *where, const char *name, term *a, term b,
                     uint64_t kept)
{
    const uint64_t both = labels_of(a) & labels_of(&b);
    sum_out(t, where, a, kept | both);
    sum_out(t, where, &b, kept | both);
    const uint64_t in_a = labels_of(a), in_b = labels_of(&b);
    const uint64_t batch = both & kept, inner = both & ~kept;
    arrange(t, where, a, 3, (const uint64_t[]){batch, in_a & ~both, inner});
    arrange(t, where, &b, 3, (const uint64_t[]){batch, inner, in_b & ~both});
    if (!a->x || !b.x) return false;
    const tg_shape of_a = tg_tensor_shape(a->x), of_b = tg_tensor_shape(b.x);
    const int n_batch = size_of(a, batch), n_inner = size_of(a, inner),
              free_a = a->n - n_batch - n_inner, free_b = b.n - n_batch - n_inner;
    tg_shape whole = {.ndim = n_batch + free_a + free_b};
    if (whole.ndim > TG_MAX_DIMS) {
        tg_fail_at(t, where, TG_ESHAPE, "%s: a product of %s and %s has more than 8 dimensions",
                   name, tg_shape_text(of_a).text, tg_shape_text(of_b).text);
        return false;
    }
    for (int k = 0; k < n_batch + free_a; k++) whole.dim[k] = of_a.dim[k];
    for (int k = 0; k < free_b; k++) {
        whole.dim[n_batch + free_a + k] = of_b.dim[b.n - free_b + k];
        a->label[n_batch + free_a + k] = b.label[b.n - free_b + k];
    }
    a->n = whole.ndim;
    const int64_t batches = product(of_a, 0, n_batch), rows = product(of_a, n_batch, free_a),
                  sums = product(of_a, n_batch + free_a, n_inner),
                  columns = product(of_b, b.n - free_b, free_b);
    tg_tensor *y;
    if (n_inner)
        y = n_batch ? tg_matmul(t, tg_reshape(t, a->x, TG_SHAPE(batches, rows, sums)),
                                tg_reshape(t, b.x, TG_SHAPE(batches, sums, columns)))
                    : tg_matmul(t, tg_reshape(t, a->x, TG_SHAPE(rows, sums)),
                                tg_reshape(t, b.x, TG_SHAPE(sums, columns)));
    else
        y = tg_mul(t, tg_reshape(t, a->x, TG_SHAPE(batches, rows, 1)),
                   tg_reshape(t, b.x, TG_SHAPE(batches, 1, columns)));
    a->x = tg_reshape(t, y, whole);
    return a->x != NULL;
}

/* ---------------------------------------------------------------- einsum */

static int letter(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    return c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1;
}

/* The labels of a term up to a comma, an arrow or the end; an ellipsis stands for `ellipsis` axes.
 * -1: not a term. */
static int read_labels(const char **at, int ellipsis, int label[LABELS], bool *dots)
{
    int n = 0;
    *dots = false;
    for (; **at && **at != ',' && **at != '-'; (*at)++) {
        if (**at == ' ') continue;
        if (n >= LABELS - TG_MAX_DIMS) return -1;
        if (strncmp(*at, "...", 3) == 0 && !*dots) {
            *dots = true;
            *at += 2;
            for (int k = ellipsis; k-- > 0;) label[n++] = LETTERS + k;
        } else if (letter(**at) >= 0) label[n++] = letter(**at);
        else return -1;
    }
    return n;
}

/* Axes with one label become their diagonal; an axis of size 1 that is longer elsewhere goes. */
static bool simplify(tg_tape *t, const char *where, term *a, const int64_t *size)
{
    for (int p = 0; p < a->n; p++) {
        int q = p + 1;
        while (q < a->n && a->label[q] != a->label[p]) q++;
        const tg_shape s = tg_tensor_shape(a->x);
        if (q == a->n) {
            if (s.dim[p] == size[a->label[p]]) continue;
            a->x = tg_squeeze(t, a->x, p);
            memmove(&a->label[p], &a->label[p + 1], (size_t)(a->n - p - 1) * sizeof *a->label);
        } else {
            tg_axes order = {.n = a->n};
            int label[TG_MAX_DIMS], n = 0;
            for (int k = 0; k < a->n; k++)
                if (k != p && k != q) {
                    label[n] = a->label[k];
                    order.axis[n++] = k;
                }
            order.axis[n] = p;
            order.axis[n + 1] = q;
            label[n] = a->label[p];
            a->x = tg_diagonal(t, tg_permute(t, a->x, order), 0);
            memcpy(a->label, label, (size_t)(n + 1) * sizeof *label);
        }
        if (!a->x) return false;
        a->n--;
        p = -1;
    }
    return true;
}

tg_tensor *tg_einsum_at(tg_tape *t, const char *where, const char *equation, int n,
                        tg_tensor *const *x)
{
    const char *const name = "einsum";
    enum { MOST = 16 };
    term of[MOST];
    int64_t size[LABELS];
    int label[LABELS], times[LABELS] = {0}, widest = 0;
    bool dots;
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (!equation || n < 1 || n > MOST || !x)
        return tg_fail_at(t, where, TG_EVALUE, "%s: an equation and 1 to %d operands are wanted",
                          name, MOST);
    const char *at = equation;
    for (int k = 0; k < LABELS; k++) size[k] = 1;
    for (int i = 0; i < n; i++) {
        if (!tg_ready_float(t, where, name, x[i])) return NULL;
        const tg_shape s = tg_tensor_shape(x[i]);
        const char *here = at;
        int letters = read_labels(&here, 0, label, &dots);
        const int ellipsis = dots ? s.ndim - letters : 0;
        if (letters >= 0 && ellipsis >= 0) letters = read_labels(&at, ellipsis, label, &dots);
        if (letters < 0 || letters != s.ndim || (*at == ',') != (i < n - 1))
            return tg_fail_at(t, where, TG_ESHAPE, "%s: \"%s\" does not fit operand %d of %d, %s",
                              name, equation, i, n, tg_shape_text(s).text);
        at += i < n - 1;
        widest = ellipsis > widest ? ellipsis : widest;
        of[i] = (term){x[i], s.ndim, {0}};
        for (int k = 0; k < s.ndim; k++) {
            const int l = of[i].label[k] = label[k];
            times[l]++;
            if (s.dim[k] != 1 && size[l] != 1 && s.dim[k] != size[l])
                return tg_fail_at(t, where, TG_ESHAPE,
                                  "%s: an axis of \"%s\" has both %lld and %lld elements", name,
                                  equation, (long long)size[l], (long long)s.dim[k]);
            if (s.dim[k] != 1) size[l] = s.dim[k];
        }
    }
    /* without an arrow: the ellipsis, then what stands once, in order */
    int n_out = 0;
    if (*at) {
        n_out = -1;
        if (at[0] == '-' && at[1] == '>') {
            at += 2;
            n_out = read_labels(&at, widest, label, &dots);
        }
    } else {
        for (int k = widest; k-- > 0;) label[n_out++] = LETTERS + k;
        for (int k = 0; k < LETTERS; k++)
            if (times[k] == 1) label[n_out++] = k;
    }
    uint64_t out = 0;
    bool good = n_out >= 0 && n_out <= TG_MAX_DIMS && !*at;
    for (int k = 0; good && k < n_out; k++) {
        good = times[label[k]] > 0 && !(out & bit(label[k]));
        out |= bit(label[k]);
    }
    if (!good) return tg_fail_at(t, where, TG_EVALUE, "%s: \"%s\" has no result", name, equation);
    for (int i = 0; i < n; i++)
        if (!simplify(t, where, &of[i], size)) return NULL;
    for (int i = 1; i < n; i++) {
        uint64_t kept = out;
        for (int later = i + 1; later < n; later++) kept |= labels_of(&of[later]);
        if (!contract(t, where, name, &of[0], of[i], kept)) return NULL;
    }
    sum_out(t, where, &of[0], out);
    uint64_t order[TG_MAX_DIMS];
    for (int k = 0; k < n_out; k++) order[k] = bit(label[k]);
    arrange(t, where, &of[0], n_out, order);
    return of[0].x;
}

/* ---------------------------------------------------------------- its like */

/* Axes counted from the front, all of them in a list. */
static tg_axes listed(tg_axes axes, int ndim)
{
    const bool all = axes.n < 0;
    if (all) axes.n = ndim;
    for (int k = 0; k < axes.n; k++) axes.axis[k] = all ? k : (axes.axis[k] + ndim) % ndim;
    return axes;
}
tg_tensor *tg_tensordot_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b,
                           tg_axes axes_of_a, tg_axes axes_of_b)
{
    const char *const name = "tensordot";
    if (!tg_ready_float(t, where, name, a) || !tg_ready_float(t, where, name, b)) return NULL;
    const tg_shape of_a = tg_tensor_shape(a), of_b = tg_tensor_shape(b);
    term of[] = {{a, of_a.ndim, {0}}, {b, of_b.ndim, {0}}};
    unsigned set;
    if (!tg_axes_find(t, where, name, of_a.ndim, axes_of_a, &set) ||
        !tg_axes_find(t, where, name, of_b.ndim, axes_of_b, &set))
        return NULL;
    axes_of_a = listed(axes_of_a, of_a.ndim);
    axes_of_b = listed(axes_of_b, of_b.ndim);
    for (int k = 0; k < of_a.ndim; k++) of[0].label[k] = k;
    for (int k = 0; k < of_b.ndim; k++) of[1].label[k] = TG_MAX_DIMS + k;
    uint64_t kept = ~UINT64_C(0);
    bool fits = axes_of_a.n == axes_of_b.n;
    for (int i = 0; fits && i < axes_of_a.n; i++) {
        const int p = axes_of_a.axis[i], q = axes_of_b.axis[i];
        fits = of_a.dim[p] == of_b.dim[q];
        of[1].label[q] = p;
        kept &= ~bit(p);
    }
    if (!fits)
        return tg_fail_at(t, where, TG_ESHAPE, "%s: the axes of %s and %s do not fit", name,
                          tg_shape_text(of_a).text, tg_shape_text(of_b).text);
    return contract(t, where, name, &of[0], of[1], kept) ? of[0].x : NULL;
}

tg_tensor *tg_kron_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready(t, where, "kron", a) || !tg_ready(t, where, "kron", b)) return NULL;
    const tg_shape of_a = tg_tensor_shape(a), of_b = tg_tensor_shape(b);
    const int n = of_a.ndim > of_b.ndim ? of_a.ndim : of_b.ndim;
    if (2 * n > TG_MAX_DIMS)
        return tg_fail_at(t, where, TG_ESHAPE, "kron: %s and %s have more than 4 dimensions",
                          tg_shape_text(of_a).text, tg_shape_text(of_b).text);
    tg_shape left = {.ndim = 2 * n}, right = left, whole = {.ndim = n};
    for (int k = 0; k < n; k++) {
        const int p = k - (n - of_a.ndim), q = k - (n - of_b.ndim);
        left.dim[2 * k] = p < 0 ? 1 : of_a.dim[p];
        right.dim[2 * k + 1] = q < 0 ? 1 : of_b.dim[q];
        left.dim[2 * k + 1] = right.dim[2 * k] = 1;
        if (left.dim[2 * k] && right.dim[2 * k + 1] > TG_MAX_COUNT / left.dim[2 * k])
            return tg_fail_at(t, where, TG_ESHAPE, "kron: a result beyond any memory");
        whole.dim[k] = left.dim[2 * k] * right.dim[2 * k + 1];
    }
    return tg_reshape(t, tg_mul(t, tg_reshape(t, a, left), tg_reshape(t, b, right)), whole);
}

tg_tensor *tg_bmm_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b)
{
    if (!tg_ready_float(t, where, "bmm", a) || !tg_ready_float(t, where, "bmm", b)) return NULL;
    const tg_shape of_a = tg_tensor_shape(a), of_b = tg_tensor_shape(b);
    if (of_a.ndim != 3 || of_b.ndim != 3 || of_a.dim[0] != of_b.dim[0])
        return tg_fail_at(t, where, TG_ESHAPE, "bmm: %s and %s are not two batches of matrices",
                          tg_shape_text(of_a).text, tg_shape_text(of_b).text);
    return tg_matmul(t, a, b);
}

tg_tensor *tg_addmm_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *a, tg_tensor *b,
                       double beta, double alpha)
{
    if (!tg_ready_float(t, where, "addmm", x)) return NULL;
    tg_tensor *y = tg_scale(t, tg_matmul(t, a, b), alpha);
    return beta == 0 ? y : tg_add(t, tg_scale(t, x, beta), y);
}

KNOWN(einsum, "by the equation", -1, ("y = the sum of products over letters not in the result"))
KNOWN(tensordot, "[..., n], [n, ...] by axes -> [..., ...]", -1,
      ("y = the sum of a b over the axes"))
KNOWN(kron, "[n, m], [p, q] -> [n p, m q]", -1, ("y[i p + k, j q + l] = a[i,j] b[k,l]"))
KNOWN(bmm, "[s, n, k], [s, k, m] -> [s, n, m]", -1, ("y[s] = a[s] b[s]"))
KNOWN(addmm, "[n, m] broadcast, [n, k], [k, m] -> [n, m]", -1, ("y = beta x + alpha a b"))

#else

#define WIDE(...) REALS(-2, 2, __VA_ARGS__)
#define IN(k) ((const double *)x[k].data)
#define OUT ((double *)y->data)
/* Every element of y from its place i, as a sum over n terms k. */
#define SUM_OF(id, n, ...)                                           \
    EXPECT(                                                          \
        id, for (int64_t i = 0; i < tg_shape_count(y->shape); i++) { \
            OUT[i] = 0;                                              \
            for (int64_t k = 0; k < n; k++) OUT[i] += __VA_ARGS__;   \
        })
CALL(chain, tg_einsum(t, "ij, jk ,kl->li", 3, x))
SUM_OF(chain, 12, IN(0)[i % 2 * 3 + k / 4] * IN(1)[k] * IN(2)[k % 4 * 5 + i / 2])
CALL(rows_dot, tg_einsum(t, "bi,bi->b", 2, x))
SUM_OF(rows_dot, 3, IN(0)[3 * i + k] * IN(1)[3 * i + k])
CALL(traces, tg_einsum(t, "...ii->...", 1, x))
SUM_OF(traces, 3, IN(0)[9 * i + 4 * k])
CALL(dotted, tg_einsum(t, "...ij,...jk", 2, x))
SUM_OF(dotted, 3, IN(0)[i / 8 * 6 + i / 4 % 2 * 3 + k] * IN(1)[4 * k + i % 4])
CALL(outer_of, tg_einsum(t, "b,a->ab", 2, x))
SUM_OF(outer_of, 1, IN(1)[i / 3 + k] * IN(0)[i % 3])
CALL(gone, tg_einsum(t, "ij,k->k", 2, x))
SUM_OF(gone, 6, IN(0)[k] * IN(1)[i])
CALL(implicit, tg_einsum(t, "ba", 1, x))
SUM_OF(implicit, 1, IN(0)[i % 2 * 3 + i / 2 + k])
CALL(crossing, tg_einsum(t, "aij,jai->a", 2, x))
SUM_OF(crossing, 6, IN(0)[6 * i + k] * IN(1)[k % 3 * 8 + i * 2 + k / 3])
SAMPLES(einsum, SAMPLE(crossing, "crossing", 0, WIDE(4, 2, 3), WIDE(3, 4, 2)),
        SAMPLE(chain, "a chain", 0, WIDE(2, 3), WIDE(3, 4), WIDE(4, 5)),
        SAMPLE(rows_dot, "a batch", 0, WIDE(2, 3), WIDE(2, 3)),
        SAMPLE(traces, "diagonals", 0, WIDE(2, 3, 3)),
        SAMPLE(dotted, "an ellipsis", 0, WIDE(3, 2, 3), WIDE(1, 3, 4)),
        SAMPLE(outer_of, "nothing summed", 0, WIDE(3), WIDE(2)),
        SAMPLE(gone, "summed alone", 0, WIDE(2, 3), WIDE(4)),
        SAMPLE(implicit, "no arrow", 0, WIDE(2, 3)))
CALL(crossed, tg_tensordot(t, x[0], x[1], TG_AXES(2, 0), TG_AXES(0, -1)))
SUM_OF(crossed, 8, IN(0)[k / 4 * 12 + i / 5 * 4 + k % 4] * IN(1)[k % 4 * 10 + i % 5 * 2 + k / 4])
CALL(apart, tg_tensordot(t, x[0], x[1], tg_axes_of(0, NULL), tg_axes_of(0, NULL)))
SUM_OF(apart, 1, IN(0)[i / 6 + k] * IN(1)[i % 6])
SAMPLES(tensordot, SAMPLE(crossed, "two axes", 0, WIDE(2, 3, 4), WIDE(4, 5, 2)),
        SAMPLE(apart, "none", 0, WIDE(3), WIDE(2, 3)))
CALL(kron, tg_kron(t, x[0], x[1]))
SUM_OF(kron, 1, IN(0)[i / 30 * 2 + i % 10 / 5 + k] * IN(1)[i / 10 % 3 * 5 + i % 5])
SAMPLES(kron, SAMPLE(kron, "", 0, WIDE(2, 2), WIDE(3, 5)))
CALL(bmm, tg_bmm(t, x[0], x[1]))
SUM_OF(bmm, 3, IN(0)[i / 4 * 3 + k] * IN(1)[i / 8 * 12 + 4 * k + i % 4])
SAMPLES(bmm, SAMPLE(bmm, "", 0, WIDE(2, 2, 3), WIDE(2, 3, 4)))
CALL(addmm, tg_addmm(t, x[0], x[1], x[2], -0.5, 2))
SUM_OF(addmm, 3, IN(1)[i / 4 * 3 + k] * IN(2)[4 * k + i % 4] * 2 - IN(0)[i % 4] / 6)
SAMPLES(addmm, SAMPLE(addmm, "", 0, WIDE(4), WIDE(2, 3), WIDE(3, 4)))

#endif
