/* NaN and infinity: which node made the first one, of what, and where that came from. */
#define _POSIX_C_SOURCE 200809L
#include "watch.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char *address(const tg_watched *w, const tg_seen *seen)
{
    return (char *)w->plan->base[seen->at.base] + seen->at.offset;
}

static double element_at(tg_dtype dtype, const void *data, int64_t i)
{
    return dtype == TG_F32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

/* Strided data copied to contiguous memory, NULL when there is none. */
static void *flatten(const tg_watched *w, const tg_seen *seen, int64_t count)
{
    tg_load load = {.size = (uint32_t)tg_dtype_size(seen->array.dtype)};
    void *flat = tg_arena_take(&w->t->storage, (size_t)count * load.size);
    for (int k = seen->array.shape.ndim - 1; k >= 0; k--) {
        load.dim[load.ndim] = seen->array.shape.dim[k];
        load.stride[load.ndim++] = seen->array.stride[k] * load.size;
    }
    if (!flat || count <= 0) return flat;
    if (load.ndim == 0) memcpy(flat, address(w, seen), load.size);
    else tg_load_gather(flat, address(w, seen), &load, 0, count);
    return flat;
}

/* What a node's value holds; flat: the value in contiguous memory, NULL without memory. */
typedef struct tg_contents {
    const void *flat;
    int64_t count, bad; /* bad: the first NaN, else the first infinity, else count */
    bool nan, infinite;
    double low, high; /* of the finite ones; low > high: there are none */
} tg_contents;

static tg_contents inspect(const tg_watched *w, const tg_seen *seen)
{
    tg_contents c = {
        .count = tg_shape_count(seen->array.shape), .low = INFINITY, .high = -INFINITY};
    c.bad = c.count;
    c.flat = tg_array_contiguous(&seen->array) ? address(w, seen) : flatten(w, seen, c.count);
    for (int64_t i = 0; c.flat && i < c.count; i++) {
        const double v = element_at(seen->array.dtype, c.flat, i);
        if (isfinite(v)) {
            c.low = v < c.low ? v : c.low;
            c.high = v > c.high ? v : c.high;
            continue;
        }
        if (c.bad == c.count || (isnan(v) && !c.nan)) c.bad = i;
        c.nan = c.nan || isnan(v);
        c.infinite = c.infinite || isinf(v);
    }
    return c;
}

static bool is_real(const tg_seen *seen)
{
    return seen->array.dtype == TG_F32 || seen->array.dtype == TG_F64;
}

static int describe(const tg_seen *seen, const tg_contents *c, char *text, size_t size)
{
    const char *shape = tg_shape_text(seen->array.shape).text;
    if (!is_real(seen))
        return snprintf(text, size, " %s %s", tg_dtype_name(seen->array.dtype), shape);
    if (c->low > c->high)
        return snprintf(text, size, " %s%s", shape, c->bad < c->count ? " of NaN or infinity" : "");
    return snprintf(text, size, " %s in [%.6g, %.6g]%s", shape, c->low, c->high,
                    c->bad < c->count ? " besides NaN or infinity" : "");
}

#ifndef TG_LEAN
/* ---------------------------------------------------------------- where it came from */

enum { REPORT_BYTES = 4096, LONGEST_CHAIN = 24 };

typedef struct tg_story {
    const tg_watched *w;
    char *text;
    size_t used;
} tg_story;

static void say(tg_story *s, const char *format, ...) TG_PRINTF(2, 3);
static void say(tg_story *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(s->text + s->used, REPORT_BYTES - s->used, format, arguments);
    va_end(arguments);
    s->used += n > 0 ? (size_t)n : 0;
    if (s->used > REPORT_BYTES - 1) s->used = REPORT_BYTES - 1;
}

/* "net.c:42: gradient of sqrt" or "net.c:40: parameter w" */
static void say_name(tg_story *s, uint32_t node)
{
    const tg_tape *t = s->w->t;
    const uint32_t id = s->w->ids[node];
    const tg_op *op = t->recorded.node[id].op;
    const tg_param *param = tg_is_leaf(op) ? t->recorded.leaf[t->recorded.leaf_of[id]].param : NULL;
    if (tg_node_where(t, id)) say(s, "%s: ", tg_node_where(t, id));
    if (param) say(s, "parameter %s", param->name);
    else say(s, "%s", tg_node_text(t, id).text);
    /* the gradient of an op is made of others: which one this is */
    if (tg_derived_from(t, id) && !tg_is_leaf(op)) say(s, " (%s)", op->name);
}

/* A value, and, when its shape is the bad one's, its element there. */
static void say_value(tg_story *s, uint32_t node, tg_shape shape, int64_t bad)
{
    const tg_seen *seen = &s->w->plan->seen[node];
    const tg_contents c = is_real(seen) ? inspect(s->w, seen) : (tg_contents){0};
    char text[320];
    describe(seen, &c, text, sizeof text);
    say(s, ":%s", text);
    if (is_real(seen) && c.flat && bad >= 0 && tg_shape_equal(seen->array.shape, shape)) {
        const double x = element_at(seen->array.dtype, c.flat, bad);
        say(s, "; element %lld is ", (long long)bad);
        if (isnan(x)) say(s, "nan");
        else say(s, "%.6g", x);
    }
    say(s, "\n");
}

/* How much an operand looks like the reason: it is not finite, it is 0 where the result is bad, it
 * has a 0, it is large. */
static double suspicion(const tg_watched *w, uint32_t node, tg_shape shape, int64_t bad)
{
    const tg_seen *seen = &w->plan->seen[node];
    if (!is_real(seen) || w->t->recorded.node[w->ids[node]].op == &tg_op_constant) return -1;
    const tg_contents c = inspect(w, seen);
    if (!c.flat || !c.count) return 0;
    if (c.bad < c.count) return 1e303;
    const bool same = bad >= 0 && tg_shape_equal(seen->array.shape, shape);
    if (same && fabs(element_at(seen->array.dtype, c.flat, bad)) <= 0) return 1e302;
    if (c.low <= 0 && c.high >= 0 && (c.low >= 0 || c.high <= 0)) return 1e301;
    return fmin(fmax(fabs(c.low), fabs(c.high)), 1e300);
}

static uint32_t suspect(const tg_watched *w, uint32_t node, tg_shape shape, int64_t bad)
{
    const tg_seen_inputs *in = &w->plan->seen_inputs[node];
    uint32_t best = in->first[0];
    double most = -2;
    for (uint32_t k = 0; k < in->n; k++) {
        const double much = suspicion(w, in->first[k], shape, bad);
        if (much > most) most = much, best = in->first[k];
    }
    return best;
}

static void tell(const tg_watched *w, uint32_t node, const tg_contents *c)
{
    tg_tape *t = w->t;
    const tg_shape shape = w->plan->seen[node].array.shape;
    tg_story s = {.w = w, .text = tg_arena_take(&t->storage, REPORT_BYTES)};
    if (!s.text) return;
    const bool backward = tg_derived_from(t, w->ids[node]) != 0;
    const tg_seen_inputs *in = &w->plan->seen_inputs[node];
    say(&s, "%s\nin the %s pass, made by\n    ", t->error.message,
        backward ? "backward" : "forward");
    say_name(&s, node);
    say_value(&s, node, shape, c->bad);
    if (in->n) say(&s, "of\n");
    for (uint32_t k = 0; k < in->n && k < LONGEST_CHAIN; k++) {
        say(&s, "    ");
        say_name(&s, in->first[k]);
        say_value(&s, in->first[k], shape, c->bad);
    }
    if (in->n) say(&s, "which goes back to\n");
    for (uint32_t at = node, n = 0; w->plan->seen_inputs[at].n; n++) {
        if (n == LONGEST_CHAIN) {
            say(&s, "    ...\n");
            break;
        }
        at = suspect(w, at, shape, c->bad);
        say(&s, "    ");
        say_name(&s, at);
        say_value(&s, at, shape, c->bad);
    }
    t->blame = s.text;
}
#endif

/* Fails the tape for element i of a node's value. */
static void blame(const tg_watched *w, uint32_t node, const tg_contents *c, const char *inputs)
{
    tg_tape *t = w->t;
    const uint32_t id = w->ids[node];
    const tg_seen *seen = &w->plan->seen[node];
    const double value = element_at(seen->array.dtype, c->flat, c->bad);
    const bool leaf = tg_is_leaf(t->recorded.node[id].op);
    const tg_param *param = leaf ? t->recorded.leaf[t->recorded.leaf_of[id]].param : NULL;
    tg_tape_fail(t, tg_node_where(t, id), tg_node_text(t, id).text, TG_ENONFINITE,
                 "element %lld of %s%s %s is %s%s", (long long)c->bad,
                 param  ? "parameter "
                 : leaf ? "the data"
                        : "the result",
                 param ? param->name : "", tg_shape_text(seen->array.shape).text,
                 isnan(value) ? "nan"
                 : value > 0  ? "inf"
                              : "-inf",
                 inputs);
#ifndef TG_LEAN
    tell(w, node, c);
#endif
}

bool tg_watch(const tg_watched *w, uint32_t made)
{
    const tg_seen *seen = &w->plan->seen[made];
    const tg_seen_inputs *in = &w->plan->seen_inputs[made];
    if (!is_real(seen)) return false;
    tg_contents result = inspect(w, seen);
    if (!result.flat)
        return tg_tape_fail(w->t, tg_node_where(w->t, w->ids[made]), NULL, TG_ENOMEM,
                            "no memory to evaluate (%zu bytes wanted)",
                            (size_t)result.count) != TG_OK;
    char inputs[320] = "";
    int used = in->n ? snprintf(inputs, sizeof inputs, "%s", "; inputs:") : 0;
    for (uint32_t k = 0; result.bad < result.count && k < in->n; k++) {
        const tg_seen *input = &w->plan->seen[in->first[k]];
        const tg_contents c = is_real(input) ? inspect(w, input) : (tg_contents){0};
        if (c.nan && c.flat) {
            blame(w, in->first[k], &c, "");
            return true;
        }
        result.infinite = result.infinite && !c.infinite;
        if (used < (int)sizeof inputs - 1)
            used += describe(input, &c, inputs + used, sizeof inputs - (size_t)used);
    }
    if (!result.nan && !result.infinite) return false;
    blame(w, made, &result, inputs);
    return true;
}
