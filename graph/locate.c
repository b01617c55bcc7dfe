/* Where a recording's derivative goes wrong: the node nearest to the results whose gradient is not
 * what its value's change makes of them, and the op that reads it. */
#define TG_NO_MACROS
#include "locate.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base.h"
#include "params.h"
#include "tape.h"

enum { MOST_NODES = 1000, MOST_OUT = 64 };

typedef struct search {
    tg_tape *t;
    const tg_locate *at;
    double *direction; /* as long as the largest node */
} search;

/* sum_k <weights, out[k]>; *size gets the size of its terms. */
static double weigh(search *s, int n, tg_tensor *const *out, const double *w, double *size)
{
    double sum = 0;
    *size = 0;
    if (tg_eval_at(s->t, NULL, n, out) != TG_OK) return NAN;
    for (int k = 0; k < n; k++) {
        const double *y = tg_data_at(s->t, NULL, out[k]);
        const int64_t count = tg_tensor_count(out[k]);
        for (int64_t i = 0; y && i < count; i++) {
            sum += w[i] * y[i];
            *size += fabs(w[i] * y[i]);
        }
        w += count;
    }
    return sum;
}

/* The same with node u moved along the direction by h. */
static double moved(search *s, uint32_t u, double h, int n, tg_tensor *const *out, const double *w,
                    double *size)
{
    tg_tape *t = s->t;
    tg_tensor *x = tg_handle(t, u), *with, *y[MOST_OUT];
    const int64_t count = tg_tensor_count(x);
    const double *value = tg_data_at(t, NULL, x);
    double *near = tg_base_memory(t, NULL, "gradcheck", count, sizeof *near);
    if (!value || !near) return NAN;
    for (int64_t i = 0; i < count; i++) near[i] = value[i] + h * s->direction[i];
    with = tg_input_borrow_at(t, NULL, TG_F64, tg_tensor_shape(x), near);
    for (int k = 0; k < n; k++) y[k] = tg_substitute_at(t, NULL, out[k], 1, &x, &with);
    return weigh(s, n, y, w, size);
}

/* Whether <w, out> changes with node u as the gradient g (NULL: zeros) says. Where it is not smooth
 * nothing is held against it. */
static bool agrees(search *s, uint32_t u, const double *g, int n, tg_tensor *const *out,
                   const double *w)
{
    const tg_tensor *x = tg_handle(s->t, u);
    const int64_t count = tg_tensor_count(x);
    const double *value = tg_data_at(s->t, NULL, tg_handle(s->t, u));
    double slope = 0, length = 1, size;
    for (int64_t i = 0; value && i < count; i++) length = fmax(length, fabs(value[i]));
    tg_random_uniform(tg_random_key(s->at->seed, u), count, s->direction);
    for (int64_t i = 0; i < count; i++) {
        s->direction[i] = s->direction[i] < 0.5 ? s->direction[i] - 1 : s->direction[i];
        if (g) slope += g[i] * s->direction[i];
    }
    const double h = s->at->step * length;
    const double plus = moved(s, u, h, n, out, w, &size), minus = moved(s, u, -h, n, out, w, &size),
                 wide = (plus - minus) / (2 * h),
                 narrow = (moved(s, u, h / 2, n, out, w, &size) -
                           moved(s, u, -h / 2, n, out, w, &size)) /
                          h;
    const double tolerance = s->at->absolute + s->at->relative * fmax(fabs(slope), fabs(wide)) +
                             8 * DBL_EPSILON * size / h;
    return !(fabs(wide - narrow) <= tolerance) || fabs(slope - wide) <= tolerance;
}

static bool reads(const tg_tape *t, uint32_t v, uint32_t u)
{
    const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
    for (uint32_t k = 0; k < t->recorded.node[v].n_in; k++)
        if (in[k] == u) return true;
    return false;
}

/* Values of gradients of <seed, y>, one array for each of n nodes, NULL for zeros. */
static bool gradients(search *s, int n_y, tg_tensor *const *y, const double *w, uint32_t n,
                      const uint32_t *node, const double **g)
{
    tg_tape *t = s->t;
    tg_tensor **x = tg_base_memory(t, NULL, "gradcheck", n, sizeof(tg_tensor *)),
              **gx = tg_base_memory(t, NULL, "gradcheck", n, sizeof(tg_tensor *));
    if (!x || !gx) return false;
    for (uint32_t k = 0; k < n; k++) x[k] = tg_handle(t, node[k]), g[k] = NULL;
    for (int j = 0; j < n_y; j++) {
        tg_tensor *seed = tg_input_at(t, NULL, TG_F64, tg_tensor_shape(y[j]), w);
        w += tg_tensor_count(y[j]);
        if (tg_grad_at(t, NULL, y[j], seed, (int)n, x, gx, true) != TG_OK) return false;
        for (uint32_t k = 0; k < n; k++) {
            const double *more = gx[k] ? tg_data_at(t, NULL, gx[k]) : NULL;
            const int64_t count = tg_tensor_count(x[k]);
            if (!more) continue;
            double *sum = tg_base_memory(t, NULL, "gradcheck", count, sizeof *sum);
            if (!sum) return false;
            for (int64_t i = 0; i < count; i++) sum[i] = more[i] + (g[k] ? g[k][i] : 0);
            g[k] = sum;
        }
    }
    return tg_tape_status(t) == TG_OK;
}

/* The op among the readers of node u that does not pass on what it should; n: no one of them alone
 * is at fault. */
static uint32_t guilty_reader(search *s, uint32_t n, uint32_t u, const double *const *gradient_of)
{
    for (uint32_t v = u + 1; v < n; v++) {
        const double *alone;
        tg_tensor *y = tg_handle(s->t, v);
        if (!reads(s->t, v, u) || !gradient_of[v]) continue;
        if (gradients(s, 1, &y, gradient_of[v], 1, &u, &alone) &&
            !agrees(s, u, alone, 1, &y, gradient_of[v]))
            return v;
    }
    /* Or a derivative made of it what no gradient leads back through. */
    for (uint32_t v = u + 1; v < n; v++)
        if (reads(s->t, v, u) && !gradient_of[v] && tg_derived_from(s->t, v)) return v;
    return n;
}

/* Whether a gradient may flow from node v to what is checked. */
static void mark(const search *s, uint32_t n, bool *flows)
{
    const tg_tape *t = s->t;
    for (uint32_t v = 0; v < n; v++) {
        const uint32_t *in = tg_node_inputs(t, &t->recorded.node[v]);
        const tg_tensor *x = tg_handle(t, v);
        flows[v] =
            t->recorded.node[v].op == &tg_op_param || t->recorded.node[v].op == &tg_op_frozen_param;
        for (int k = 0; k < s->at->n_active; k++) flows[v] = flows[v] || s->at->active[k] == x;
        for (uint32_t k = 0; k < t->recorded.node[v].n_in && t->recorded.node[v].op->vjp; k++)
            flows[v] = flows[v] || flows[in[k]];
        flows[v] = flows[v] && tg_tensor_dtype(x) == TG_F64;
    }
}

static bool find(search *s, uint32_t n, char text[TG_LOCATE_TEXT])
{
    tg_tape *t = s->t;
    uint32_t *node = tg_base_memory(t, NULL, "gradcheck", n, sizeof *node), found = 0;
    const double **g = tg_base_memory(t, NULL, "gradcheck", n, sizeof *g),
                 **gradient_of = tg_base_memory(t, NULL, "gradcheck", n, sizeof *gradient_of);
    bool *flows = tg_base_memory(t, NULL, "gradcheck", n, sizeof *flows);
    if (!node || !g || !gradient_of || !flows) return false;
    mark(s, n, flows);
    for (uint32_t v = 0; v < n; v++) {
        gradient_of[v] = NULL;
        if (flows[v]) node[found++] = v;
    }
    if (!gradients(s, s->at->n_out, s->at->out, s->at->weights, found, node, g)) return false;
    for (uint32_t k = 0; k < found; k++) gradient_of[node[k]] = g[k];
    for (uint32_t k = found; k-- > 0;) {
        if (agrees(s, node[k], g[k], s->at->n_out, s->at->out, s->at->weights)) continue;
        const uint32_t v = guilty_reader(s, n, node[k], gradient_of);
        if (v == n || tg_tape_status(t) != TG_OK) return false;
        const char *where = tg_node_where(t, v);
        snprintf(text, TG_LOCATE_TEXT, "%s%s%s", where ? where : "", where ? ": " : "",
                 tg_node_text(t, v).text);
        return true;
    }
    return false;
}

bool tg_locate_fault(tg_tape *t, const tg_locate *at, char text[TG_LOCATE_TEXT])
{
    const uint32_t n = t->recorded.n;
    int64_t largest = 1;
    if (n > MOST_NODES || at->n_out > MOST_OUT) return false;
    for (uint32_t v = 0; v < n; v++) {
        const int64_t count = tg_tensor_count(tg_handle(t, v));
        largest = count > largest ? count : largest;
    }
    search s = {t, at, tg_base_memory(t, NULL, "gradcheck", largest, sizeof(double))};
    const bool found = s.direction && find(&s, n, text);
    tg_tape_clear_error(t);
    return found;
}
