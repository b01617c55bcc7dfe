/* tg_gradcheck: analytic derivatives against central differences.
 *
 * One map is checked at a time. First order: y(x), with x the inputs and the parameters. Second
 * order: the gradient of <u, y>, a map of x and of the upstream gradient u. For both, the analytic
 * side is a reverse pass, the numeric side probes the map along directions of its variables. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "locate.h"
#include "params.h"
#include "shapes.h"
#include "tape.h"

/* Something that the map depends on: an input, a parameter, or, for the second order, the upstream
 * gradient. */
typedef struct variable {
    tg_shape shape;
    int64_t count;
    int64_t first;      /* its first element in the point; -1 for a constant */
    const double *data; /* where to start from */
    tg_tensor *tensor;  /* a parameter, or the input as last recorded */
    int input;          /* in the report's counting */
} variable;

enum { MIDDLE, PLUS, MINUS, PLUS_HALF, MINUS_HALF, PROBES };
static const double offset_of[PROBES] = {0, 1, -1, 0.5, -0.5};

typedef struct check {
    tg_function f;
    void *user;
    int n; /* inputs */
    int order;
    tg_gradcheck_options o;
    tg_gradcheck_report r;
    /* pairs that are 0 on both sides: they can't tell a function full of kinks from a smooth one */
    int64_t zeros;
    uint64_t draws;
    tg_tape *tape;
    tg_params *copy;
    tg_arena memory;
    variable *var;
    int n_var;
    tg_tensor **x, **active, **gradient,
        /* the inputs; what is differentiated; its gradients, all of them and those that exist */
        **found;
    int n_active;
    tg_tensor **out; /* the map's results, one after the other its values */
    int n_out;
    int64_t columns, rows; /* elements of the point, and of the results */
    double *point, *base, *direction;
    double *weights, *probe[PROBES];
} check;

static bool fail(check *c, tg_status status, const char *message)
{
    if (c->r.status == TG_OK) {
        c->r.status = status;
        snprintf(c->r.message, sizeof c->r.message, "%s", message);
    }
    return false;
}

static bool healthy(check *c)
{
    return tg_tape_status(c->tape) == TG_OK ||
           fail(c, tg_tape_status(c->tape), tg_tape_message(c->tape));
}

static void *take(check *c, int64_t n, size_t size)
{
    void *block =
        n < INT64_MAX / 64 ? tg_arena_take(&c->memory, (size_t)(n > 0 ? n : 1) * size) : NULL;
    if (!block) fail(c, TG_ENOMEM, "gradcheck: out of memory");
    return block;
}

/* Random, of either sign, and never small: a weight near 0 would hide an error. */
static void draw(check *c, int64_t n, double *out)
{
    tg_random_uniform(tg_random_key(c->o.seed, ++c->draws), n, out);
    for (int64_t i = 0; i < n; i++) out[i] = out[i] < 0.5 ? out[i] - 1 : out[i];
}

/* ---------------------------------------------------------------- the map */

/* Records the map at the point; random ops draw what they drew the last time. */
static bool record(check *c)
{
    tg_tape *t = c->tape;
    tg_tape_reset(t);
    tg_tape_set_step(t, 0);
    c->n_active = 0;
    for (int k = 0; k < c->n_var; k++) {
        variable *v = &c->var[k];
        const double *now = v->first < 0 ? v->data : c->point + v->first;
        if (tg_param_of(v->tensor)) tg_param_write(v->tensor, now);
        else v->tensor = tg_input_at(t, NULL, TG_F64, v->shape, now);
        if (k < c->n) c->x[k] = v->tensor;
        if (v->first >= 0) c->active[c->n_active++] = v->tensor;
    }
    tg_tensor *y = healthy(c) ? c->f(t, c->x, c->n, c->user) : NULL;
    if (!healthy(c)) return false;
    if (!y) return fail(c, TG_ENULL, "gradcheck: the function returned NULL");
    if (tg_tensor_dtype(y) != TG_F64) return fail(c, TG_EDTYPE, "gradcheck: the result is not f64");
    c->n_out = 1;
    c->out[0] = y;
    if (c->order == 2) {
        const variable *u = &c->var[c->n_var - 1];
        if (!tg_shape_equal(u->shape, tg_tensor_shape(y)))
            return fail(c, TG_ESTATE, "gradcheck: the result's shape changes from call to call");
        tg_grad_at(t, NULL, y, u->tensor, c->n_active - 1, c->active, c->gradient, true);
        if (!healthy(c)) return false;
        c->n_out = 0;
        for (int k = 0; k < c->n_active - 1; k++)
            if (c->gradient[k]) c->out[c->n_out++] = c->gradient[k];
    }
    int64_t rows = 0;
    for (int k = 0; k < c->n_out; k++) rows += tg_tensor_count(c->out[k]);
    if (c->rows >= 0 && rows != c->rows)
        return fail(c, TG_ESTATE, "gradcheck: the result's size changes from call to call");
    c->rows = rows;
    return true;
}

/* The map's values at the point. */
static bool values(check *c, double *to)
{
    if (!record(c)) return false;
    tg_eval_at(c->tape, NULL, c->n_out, c->out);
    for (int k = 0; k < c->n_out && healthy(c); k++) {
        const size_t count = (size_t)tg_tensor_count(c->out[k]);
        const void *data = tg_data_at(c->tape, NULL, c->out[k]);
        if (data && count) memcpy(to, data, count * sizeof *to);
        to += count;
    }
    return healthy(c);
}

static bool all_zero(const double *w, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (w[i] != 0) return false;
    return true;
}

/* The analytic gradient of <w, map> at the point. An element that the map doesn't depend on gets
 * 0. */
static bool gradient(check *c, const double *w, double *to)
{
    memset(to, 0, (size_t)c->columns * sizeof *to);
    if (!record(c)) return false;
    for (int k = 0; k < c->n_out; k++) {
        const int64_t count = tg_tensor_count(c->out[k]);
        const double *weight = w;
        w += count;
        if (count > 0 && all_zero(weight, count)) continue;
        tg_tensor *seed = tg_input_at(c->tape, NULL, TG_F64, tg_tensor_shape(c->out[k]), weight);
        tg_grad_at(c->tape, NULL, c->out[k], seed, c->n_active, c->active, c->gradient, true);
        int n_found = 0;
        for (int j = 0; j < c->n_active; j++)
            if (c->gradient[j]) c->found[n_found++] = c->gradient[j];
        if (n_found > 0) tg_eval_at(c->tape, NULL, n_found, c->found);
        if (!healthy(c)) return false;
        double *part = to;
        for (int j = 0; j < c->n_active; j++) {
            const int64_t n = tg_tensor_count(c->active[j]);
            const double *g = c->gradient[j] ? tg_data_at(c->tape, NULL, c->gradient[j]) : NULL;
            for (int64_t i = 0; g && i < n; i++) part[i] += g[i];
            part += n;
        }
        if (!healthy(c)) return false;
    }
    return true;
}

/* The map's values at four points along the direction, two on each side of the base. */
static bool probe_sides(check *c)
{
    bool ok = true;
    for (int p = PLUS; p < PROBES && ok; p++) {
        for (int64_t j = 0; j < c->columns; j++)
            c->point[j] = c->base[j] + offset_of[p] * c->o.step * c->direction[j];
        ok = values(c, c->probe[p]);
    }
    if (c->columns > 0) memcpy(c->point, c->base, (size_t)c->columns * sizeof *c->point);
    return ok;
}

/* ---------------------------------------------------------------- one pair */

/* Where a pair stands in the report. */
typedef struct place {
    int input;
    int64_t element, output;
} place;

static void compare(check *c, place at, double analytic, const double v[PROBES], double size,
                    double length)
{
    const double h = c->o.step * length;
    const double wide = (v[PLUS] - v[MINUS]) / (2 * h), narrow = (v[PLUS_HALF] - v[MINUS_HALF]) / h;
    const double bend = (v[PLUS] - 2 * v[MIDDLE] + v[MINUS]) / h,
                 bend_half = (v[PLUS_HALF] - 2 * v[MIDDLE] + v[MINUS_HALF]) / (h / 2);
    const double tolerance = c->o.absolute + c->o.relative * fmax(fabs(analytic), fabs(wide)) +
                             8 * DBL_EPSILON * size / h;

    /* Smooth: the slopes differ by O(h^2), and the difference of the one-sided slopes halves with
     * the step. At a corner that lies in the middle the slopes agree, but the one-sided difference
     * stays. */
    const bool slopes_differ = !(fabs(wide - narrow) <= tolerance);
    const bool corner = fabs(bend_half) > tolerance && fabs(bend_half) > 0.75 * fabs(bend);
    if (slopes_differ || corner) {
        c->r.kinks++;
        return;
    }
    c->r.compared++;
    if (analytic == 0 && wide == 0) c->zeros++;
    const double error = fabs(analytic - wide),
                 ratio = isfinite(analytic) ? error / tolerance : (double)INFINITY;
    if (c->r.compared > 1 && !(ratio > c->r.worst)) return;
    c->r.order = c->order;
    c->r.input = at.input;
    c->r.element = at.element;
    c->r.output = at.output;
    c->r.analytic = analytic;
    c->r.numeric = wide;
    c->r.error = error;
    c->r.worst = ratio;
}

/* <w, probe> for the five probes, and the size of the terms, on which their rounding errors
 * depend. */
static double weigh(const check *c, const double *w, double v[PROBES])
{
    double size = 0;
    for (int p = 0; p < PROBES; p++) {
        v[p] = 0;
        double terms = 0;
        for (int64_t i = 0; i < c->rows; i++) {
            v[p] += w[i] * c->probe[p][i];
            terms += fabs(w[i] * c->probe[p][i]);
        }
        size = fmax(size, terms);
    }
    return size;
}

static double length_at(const check *c, int64_t j) { return fmax(1, fabs(c->base[j])); }

/* ---------------------------------------------------------------- strategies */

/* Column by column: against every row if `full`, and against the rows under random weights, which
 * also shows whether the reverse pass is linear in its seed. */
static bool check_columns(check *c, bool full)
{
    const int64_t single = full ? c->rows : 0;
    double *analytic = take(c, (single + 1) * c->columns, sizeof *analytic),
           *unit = take(c, c->rows, sizeof *unit);
    if (!analytic || !unit) return false;
    memset(unit, 0, (size_t)c->rows * sizeof *unit);
    draw(c, c->rows, c->weights);
    for (int64_t i = 0; i < single; i++) {
        unit[i] = 1;
        if (!gradient(c, unit, analytic + i * c->columns)) return false;
        unit[i] = 0;
    }
    if (!gradient(c, c->weights, analytic + single * c->columns)) return false;

    memset(c->direction, 0, (size_t)c->columns * sizeof *c->direction);
    for (int k = 0; k < c->n_var; k++) {
        const variable *var = &c->var[k];
        for (int64_t e = 0; var->first >= 0 && e < var->count; e++) {
            const int64_t j = var->first + e;
            double v[PROBES];
            c->direction[j] = length_at(c, j);
            if (!probe_sides(c)) return false;
            c->direction[j] = 0;
            for (int64_t i = 0; i < single; i++) {
                double size = 0;
                for (int p = 0; p < PROBES; p++) {
                    v[p] = c->probe[p][i];
                    size = fmax(size, fabs(v[p]));
                }
                compare(c, (place){var->input, e, i}, analytic[i * c->columns + j], v, size,
                        length_at(c, j));
            }
            const double size = weigh(c, c->weights, v);
            compare(c, (place){var->input, e, -1}, analytic[single * c->columns + j], v, size,
                    length_at(c, j));
        }
    }
    return true;
}

/* After a random direction has failed: which element is to blame. The half whose direction fails
 * more is halved again. */
static bool narrow(check *c, const double *analytic)
{
    int64_t first = 0, last = c->columns;
    double v[PROBES], numeric = NAN;
    while (last - first > 1) {
        const int64_t middle = first + (last - first) / 2;
        double worst = -1;
        int64_t low = first, high = last;
        for (int half = 0; half < 2; half++) {
            const int64_t from = half ? middle : first, to = half ? last : middle;
            double slope = 0;
            memset(c->direction, 0, (size_t)c->columns * sizeof *c->direction);
            draw(c, to - from, c->direction + from);
            for (int64_t j = from; j < to; j++) {
                c->direction[j] *= length_at(c, j);
                slope += analytic[j] * c->direction[j];
            }
            if (!probe_sides(c)) return false;
            weigh(c, c->weights, v);
            const double error = fabs(slope - (v[PLUS] - v[MINUS]) / (2 * c->o.step));
            if (!(error <= worst)) worst = error, low = from, high = to;
        }
        first = low;
        last = high;
    }
    memset(c->direction, 0, (size_t)c->columns * sizeof *c->direction);
    c->direction[first] = length_at(c, first);
    if (!probe_sides(c)) return false;
    weigh(c, c->weights, v);
    numeric = (v[PLUS] - v[MINUS]) / (2 * c->o.step * length_at(c, first));
    for (int k = 0; k < c->n_var; k++) {
        const variable *var = &c->var[k];
        if (var->first < 0 || first < var->first || first >= var->first + var->count) continue;
        c->r.input = var->input;
        c->r.element = first - var->first;
    }
    c->r.analytic = analytic[first];
    c->r.numeric = numeric;
    c->r.error = fabs(analytic[first] - numeric);
    return true;
}

/* Random directions under random weights. */
static bool check_directions(check *c)
{
    double *analytic = take(c, c->columns, sizeof *analytic);
    for (int d = 0; analytic && d < c->o.directions; d++) {
        double v[PROBES], slope = 0;
        draw(c, c->rows, c->weights);
        draw(c, c->columns, c->direction);
        for (int64_t j = 0; j < c->columns; j++) c->direction[j] *= length_at(c, j);
        if (!gradient(c, c->weights, analytic) || !probe_sides(c)) return false;
        for (int64_t j = 0; j < c->columns; j++) slope += analytic[j] * c->direction[j];
        const double size = weigh(c, c->weights, v);
        compare(c, (place){-1, -1, -1}, slope, v, size, 1);
        if (c->r.worst > 1) return narrow(c, analytic);
    }
    return analytic != NULL;
}

/* The op whose derivative is wrong, when that can be told. */
static void locate(check *c)
{
    if (!record(c)) return;
    draw(c, c->rows, c->weights);
    const tg_locate at = {.n_out = c->n_out,
                          .out = c->out,
                          .weights = c->weights,
                          .n_active = c->n_active,
                          .active = c->active,
                          .relative = c->o.relative,
                          .absolute = c->o.absolute,
                          .step = c->o.step,
                          .seed = c->o.seed};
    if (!tg_locate_fault(c->tape, &at, c->r.fault)) c->r.fault[0] = 0;
}

static bool check_order(check *c, int order)
{
    c->order = order;
    c->rows = -1;
    if (!record(c)) return false;
    const tg_tensor *y = c->out[0];
    if (order == 1)
        snprintf(c->r.op, sizeof c->r.op, "%s",
                 tg_param_of(y) ? "parameter" : c->tape->recorded.node[tg_slot_of(y)->id].op->name);
    c->weights = take(c, c->rows, sizeof *c->weights);
    bool ok = c->weights != NULL;
    for (int p = 0; p < PROBES && ok; p++)
        ok = (c->probe[p] = take(c, c->rows, sizeof *c->probe[p])) != NULL;
    if (!ok || !values(c, c->probe[MIDDLE])) return false;
    for (int64_t i = 0; i < c->rows; i++)
        if (!isfinite(c->probe[MIDDLE][i]))
            return fail(
                c, TG_ECHECK,
                "gradcheck: the function or its gradient is not finite at the given inputs");
    if (c->columns == 0) return true;
    const bool full = c->rows > 0 && c->columns <= c->o.full_jacobian / c->rows;
    const bool checked =
        full || c->columns <= c->o.full_jacobian ? check_columns(c, full) : check_directions(c);
    if (checked && c->r.worst > 1) locate(c);
    return checked && c->r.worst <= 1;
}

/* ---------------------------------------------------------------- setting up */

static void add_variable(check *c, tg_shape shape, const double *data, tg_tensor *parameter,
                         int input, bool constant)
{
    variable *v = &c->var[c->n_var++];
    *v = (variable){.shape = shape,
                    .count = tg_shape_count(shape),
                    .data = data,
                    .tensor = parameter,
                    .input = input,
                    .first = -1};
    if (!constant) {
        v->first = c->columns;
        c->columns += v->count;
    }
}

/* The point that all variables make together. */
static bool place_variables(check *c)
{
    c->point = take(c, c->columns, sizeof *c->point);
    c->base = take(c, c->columns, sizeof *c->base);
    c->direction = take(c, c->columns, sizeof *c->direction);
    if (!c->point || !c->base || !c->direction) return false;
    for (int k = 0; k < c->n_var; k++)
        if (c->var[k].first >= 0 && c->var[k].count > 0)
            memcpy(c->base + c->var[k].first, c->var[k].data,
                   (size_t)c->var[k].count * sizeof *c->base);
    if (c->columns > 0) memcpy(c->point, c->base, (size_t)c->columns * sizeof *c->point);
    return true;
}

static bool read_options(check *c, const tg_gradcheck_options *options)
{
    tg_gradcheck_options *o = &c->o;
    if (options && !tg_options_read(o, sizeof *o, options))
        return fail(c, TG_EVALUE, "gradcheck: " TG_UNSIZED(tg_gradcheck_options));
    if (!(o->relative >= 0 && o->absolute >= 0 && o->step >= 0 && o->step < 1 &&
          o->full_jacobian >= 0 && o->directions >= 0))
        return fail(c, TG_EVALUE, "gradcheck: an option is out of range");
    if (o->relative == 0) o->relative = 1e-6;
    if (o->absolute == 0) o->absolute = 1e-8;
    if (o->step == 0) o->step = 6e-6;
    if (o->full_jacobian == 0) o->full_jacobian = 4096;
    if (o->directions == 0) o->directions = 8;
    return true;
}

static bool refuse(check *c, int input, tg_shape shape)
{
    char message[256];
    snprintf(message, sizeof message, "gradcheck: input %d: %s", input,
             tg_shape_refusal(shape).text);
    return fail(c, TG_ESHAPE, message);
}

static bool set_up(check *c, const tg_check_input *inputs, tg_params *params)
{
    if (!c->f) return fail(c, TG_ENULL, "gradcheck: there is no function");
    if (c->n < 0) return fail(c, TG_EVALUE, "gradcheck: a negative number of inputs");
    if (c->n > 0 && !inputs) return fail(c, TG_ENULL, "gradcheck: there are no inputs");
    if (params && tg_params_status(params) != TG_OK)
        return fail(c, tg_params_status(params), tg_params_message(params));
    for (int k = 0; k < c->n; k++) {
        if (tg_shape_count(inputs[k].shape) < 0) return refuse(c, k, inputs[k].shape);
        if (tg_shape_count(inputs[k].shape) > 0 && !inputs[k].data)
            return fail(c, TG_ENULL, "gradcheck: an input has no data");
    }
    const tg_tape_options tape = {.size = sizeof tape, .seed = c->o.seed, .threads = c->o.threads};
    if (c->o.threads < 0 || c->o.threads > 1024)
        return fail(c, TG_EVALUE, "gradcheck: threads is out of range");
    c->tape = tg_tape_new(&tape);
    c->copy = params ? tg_params_copy_f64(params, NULL) : NULL;
    if (!c->tape || (params && !c->copy)) return fail(c, TG_ENOMEM, "gradcheck: out of memory");
    tg_tape_forbid_f32(c->tape);
    if (params) tg_tape_substitute(c->tape, params, c->copy);

    const int n_params = tg_params_count(c->copy);
    const int64_t most = (int64_t)c->n + n_params + 1;
    c->var = take(c, most, sizeof *c->var);
    c->x = take(c, most, sizeof(tg_tensor *));
    c->active = take(c, most, sizeof(tg_tensor *));
    c->gradient = take(c, most, sizeof(tg_tensor *));
    c->found = take(c, most, sizeof(tg_tensor *));
    c->out = take(c, most, sizeof(tg_tensor *));
    if (!c->var || !c->x || !c->active || !c->gradient || !c->found || !c->out) return false;
    for (int k = 0; k < c->n; k++)
        add_variable(c, inputs[k].shape, inputs[k].data, NULL, k, inputs[k].constant);
    for (int k = 0; k < n_params; k++) {
        tg_tensor *p = tg_params_get(c->copy, k);
        double *start = take(c, tg_tensor_count(p), sizeof *start);
        if (!start) return false;
        if (tg_tensor_count(p) > 0)
            memcpy(start, tg_param_data(p), (size_t)tg_tensor_count(p) * sizeof *start);
        add_variable(c, tg_tensor_shape(p), start, p, c->n + k, false);
    }
    return place_variables(c);
}

/* The second order has the first order's upstream gradient as one more variable. */
static bool add_upstream(check *c)
{
    const tg_shape shape = tg_tensor_shape(c->out[0]);
    double *u = take(c, tg_shape_count(shape), sizeof *u);
    if (!u) return false;
    draw(c, tg_shape_count(shape), u);
    add_variable(c, shape, u, NULL, -1, false);
    return place_variables(c);
}

static void describe(check *c)
{
    tg_gradcheck_report *r = &c->r;
    char input[256] = "random direction", output[48] = "random upstream gradient";
    if (r->status != TG_OK) return;
    if (2 * r->kinks > r->kinks + r->compared - c->zeros && r->worst <= 1) {
        r->status = TG_ECHECK;
        snprintf(r->message, sizeof r->message,
                 "%s: %lld of %lld pairs are kinks: the function is not smooth here", r->op,
                 (long long)r->kinks, (long long)(r->kinks + r->compared));
        return;
    }
    r->status = r->worst <= 1 ? TG_OK : TG_ECHECK;
    const tg_tensor *p = tg_params_get(c->copy, r->input - c->n);
    if (r->input >= c->n && p)
        snprintf(input, sizeof input, "\"%.200s\", element %lld", tg_param_name(p),
                 (long long)r->element);
    else if (r->input >= 0)
        snprintf(input, sizeof input, "input %d, element %lld", r->input, (long long)r->element);
    else if (r->element >= 0)
        snprintf(input, sizeof input, "upstream gradient, element %lld", (long long)r->element);
    if (r->output >= 0) snprintf(output, sizeof output, "output %lld", (long long)r->output);
    snprintf(r->message, sizeof r->message,
             "%s: order %d, %s, %s: analytic %.12g, numeric %.12g, error %.3g, %.3g of its "
             "tolerance; %lld compared, %lld kinks",
             r->op, r->order, input, output, r->analytic, r->numeric, r->error, r->worst,
             (long long)r->compared, (long long)r->kinks);
    const size_t used = strlen(r->message);
    if (r->fault[0])
        snprintf(r->message + used, sizeof r->message - used, "; at fault: %.200s", r->fault);
}

tg_status tg_gradcheck(tg_function f, int n, const tg_check_input *inputs, tg_params *params,
                       void *user, const tg_gradcheck_options *options, tg_gradcheck_report *report)
{
    const tg_allocator allocator = tg_allocator_or_default(NULL);
    check c = {.f = f, .user = user, .n = n, .r = {.order = 1}};
    tg_arena_init(&c.memory, &allocator);
    if (read_options(&c, options) && set_up(&c, inputs, params) && check_order(&c, 1) &&
        c.columns > 0 && !c.o.first_order_only && add_upstream(&c))
        check_order(&c, 2);
    describe(&c);
    tg_tape_free(c.tape);
    tg_params_free(c.copy);
    tg_arena_free(&c.memory);
    if (report) *report = c.r;
    return c.r.status;
}

/* ---------------------------------------------------------------- gradients in plain C */

tg_status tg_check_numeric(tg_scalar_function f, int64_t n, const double *x, const double *gradient,
                           void *user, const tg_gradcheck_options *options,
                           tg_gradcheck_report *report)
{
    const tg_allocator allocator = tg_allocator_or_default(NULL);
    check c = {.r = {.order = 1, .op = "function"}, .columns = n};
    tg_arena_init(&c.memory, &allocator);
    bool ok = read_options(&c, options);
    if (ok && (!f || n < 0 || (n && (!x || !gradient))))
        ok = fail(&c, n < 0 ? TG_EVALUE : TG_ENULL,
                  n < 0 ? "check_numeric: n is negative" : "check_numeric: a pointer is NULL");
    ok = ok && (c.point = take(&c, n, sizeof *c.point)) != NULL;
    if (ok && n) memcpy(c.point, x, (size_t)n * sizeof *x);
    c.base = c.point;
    for (int64_t j = 0; ok && j < n; j++) {
        double v[PROBES], size = 0;
        const double length = fmax(1, fabs(x[j]));
        for (int p = 0; p < PROBES; p++) {
            c.point[j] = x[j] + offset_of[p] * c.o.step * length;
            v[p] = f(c.point, n, user);
            size = fmax(size, fabs(v[p]));
        }
        c.point[j] = x[j];
        if (!isfinite(v[MIDDLE]))
            ok = fail(&c, TG_ECHECK, "check_numeric: the function is not finite at x");
        else compare(&c, (place){0, j, 0}, gradient[j], v, size, length);
    }
    describe(&c);
    tg_arena_free(&c.memory);
    if (report) *report = c.r;
    return c.r.status;
}
