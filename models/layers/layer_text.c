/* Layers from text: words, and one layer made behind the other on a tape that is thrown away, so
 * that the ops say which shapes fit. */
#define TG_HERE where
#include "layer_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../graph/params.h"

struct tg_layers {
    tg_allocator allocator;
    tg_error error;
    tg_step *step; /* [n] */
    size_t n, capacity;
    tg_shape shape; /* of a row of the result */
};

/* A part of the text. */
typedef struct span {
    const char *at;
    size_t n;
} span;

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The next word of a span, which begins behind it afterwards; without letters at its end. */
static span next_word(span *s)
{
    while (s->n && is_space(*s->at)) s->at++, s->n--;
    span word = {s->at, 0};
    while (word.n < s->n && !is_space(word.at[word.n])) word.n++;
    s->at += word.n;
    s->n -= word.n;
    return word;
}

static bool is(span word, const char *name)
{
    return strlen(name) == word.n && !memcmp(name, word.at, word.n);
}

/* ---------------------------------------------------------------- values */

/* Whole numbers with x between, `low` or more; how many, or 0: they are none. */
static int read_sizes(span word, int most, int64_t low, int64_t y[TG_LAYER_SIZES])
{
    int n = 0;
    for (size_t at = 0; n < most;) {
        int64_t value = 0;
        const size_t start = at;
        for (; at < word.n && word.at[at] >= '0' && word.at[at] <= '9'; at++) {
            value = value * 10 + (word.at[at] - '0');
            if (value > INT32_MAX) return 0;
        }
        if (at == start || value < low) return 0;
        y[n++] = value;
        if (at == word.n) return n;
        if (word.at[at++] != 'x') return 0;
    }
    return 0;
}

/* Digits with a point, whatever the locale. */
static bool read_share(span word, double *y)
{
    double unit = 1, value = 0;
    size_t at = 0, digits = 0;
    for (; at < word.n && word.at[at] >= '0' && word.at[at] <= '9'; at++, digits++)
        value = value * 10 + (word.at[at] - '0');
    if (at < word.n && word.at[at] == '.')
        for (at++; at < word.n && word.at[at] >= '0' && word.at[at] <= '9'; at++, digits++) {
            value = value * 10 + (word.at[at] - '0');
            unit *= 10;
        }
    *y = value / unit;
    return at == word.n && digits && digits < 16 && *y <= 1;
}

static bool read_value(tg_step *s, int k, span word)
{
    int64_t *y = s->size[k];
    switch (s->kind->argument[k].value) {
    case TG_LAYER_COUNT: return (s->given[k] = read_sizes(word, 1, 1, y)) > 0;
    case TG_LAYER_SIZE: return (s->given[k] = read_sizes(word, TG_LAYER_SIZES, 1, y)) > 0;
    case TG_LAYER_SHARE: return (s->given[k] = read_share(word, &s->share[k])) > 0;
    default:
        if (is(word, "same")) return y[0] = -1, s->given[k] = 1;
        return (s->given[k] = read_sizes(word, 2, 0, y)) > 0;
    }
}

static const char *wanted(tg_layer_value value)
{
    return value == TG_LAYER_COUNT   ? "a whole number, 1 or more"
           : value == TG_LAYER_SIZE  ? "a size such as 3 or 3x5"
           : value == TG_LAYER_SHARE ? "a number in 0..1"
                                     : "a size such as 1 or 1x2, or same";
}

/* ---------------------------------------------------------------- words */

static bool fail(tg_error *e, tg_status status, const char *format, ...) TG_PRINTF(3, 4);
static bool fail(tg_error *e, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(e, NULL, NULL, status, format, arguments);
    va_end(arguments);
    return false;
}

/* The argument that a word gives, which may begin with "NAME="; -1: none. */
static int argument_of(const tg_step *s, span *word)
{
    const tg_layer_argument *a = s->kind->argument;
    const char *equals = memchr(word->at, '=', word->n);
    span name = {word->at, equals ? (size_t)(equals - word->at) : word->n};
    for (int k = 0; k < TG_LAYER_ARGUMENTS && a[k].name; k++) {
        if ((equals != NULL) == (a[k].value == TG_LAYER_FLAG) || !is(name, a[k].name)) continue;
        word->n -= equals ? name.n + 1 : 0;
        word->at += equals ? name.n + 1 : 0;
        return k;
    }
    for (int k = 0; k < TG_LAYER_ARGUMENTS && a[k].name && !equals; k++)
        if (a[k].placed && !s->given[k]) return k;
    return -1;
}

static bool read_arguments(tg_step *s, span rest, tg_error *e)
{
    const tg_layer_argument *a = s->kind->argument;
    for (span word = next_word(&rest); word.n; word = next_word(&rest)) {
        const span whole = word;
        const int k = argument_of(s, &word);
        if (k < 0)
            return fail(e, TG_EVALUE, "'%.*s' is nothing that %s takes", (int)whole.n, whole.at,
                        s->kind->name);
        if (s->given[k]) return fail(e, TG_EVALUE, "%s is given twice", a[k].name);
        if (a[k].value == TG_LAYER_FLAG) s->given[k] = 1;
        else if (!read_value(s, k, word))
            return fail(e, TG_EVALUE, "%s: '%.*s' is not %s", a[k].name, (int)word.n, word.at,
                        wanted(a[k].value));
    }
    for (int k = 0; k < TG_LAYER_ARGUMENTS && a[k].name; k++)
        if (a[k].placed && !a[k].optional && !s->given[k])
            return fail(e, TG_EVALUE, "its %s is missing: %s", a[k].name, wanted(a[k].value));
    return true;
}

/* "linear, conv, ..., relu, ..." */
static bool unknown(tg_error *e, span name)
{
    char names[400] = "";
    for (int k = 0; tg_layer_kind_name(k); k++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s, ", tg_layer_kind_name(k));
    }
    return fail(e, TG_EVALUE, "there is no layer '%.*s', but %s%s", (int)name.n, name.at, names,
                tg_activation_names());
}

static bool read_layer(tg_step *s, span text, tg_error *e)
{
    char plain[32];
    const span name = next_word(&text);
    *s = (tg_step){.kind = tg_layer_kind_find(name.at, name.n)};
    if (!name.n) return fail(e, TG_EVALUE, "there is nothing between the commas");
    if (s->kind) return read_arguments(s, text, e);
    snprintf(plain, sizeof plain, "%.*s", (int)name.n, name.at);
    if (!(s->activation = tg_activation_find(name.n < sizeof plain ? plain : "")))
        return unknown(e, name);
    const span more = next_word(&text);
    return !more.n ||
           fail(e, TG_EVALUE, "'%.*s' is nothing that %s takes", (int)more.n, more.at, plain);
}

/* ---------------------------------------------------------------- layers */

static tg_tensor *apply(tg_tape *t, const char *where, const tg_step *s, tg_tensor *x)
{
    return s->activation ? s->activation->record(t, where, x) : s->kind->apply(t, where, s, x);
}

/* Makes the layer and lets m->x pass it. */
static bool make(tg_layer_maker *m, tg_step *s)
{
    const tg_params *ps = m->scope.params;
    if (s->kind && s->kind->make) s->kind->make(m, s);
    if (m->error->status == TG_OK && ps->error.status == TG_OK)
        m->x = apply(m->tape, NULL, s, m->x);
    if (m->error->status == TG_OK && tg_tape_status(m->tape) != TG_OK)
        fail(m->error, tg_tape_status(m->tape), "%s", tg_tape_message(m->tape));
    if (m->error->status == TG_OK && ps->error.status != TG_OK)
        fail(m->error, ps->error.status, "%s", ps->error.message);
    return m->error->status == TG_OK;
}

/* One layer behind the others: an error gets the layer's number, text and place. */
static bool add(tg_layers *y, tg_layer_maker *m, const char *text, span part)
{
    char number[24];
    tg_error reason = {TG_OK, ""};
    void *steps = y->step;
    if (!tg_grow(&y->allocator, &steps, &y->capacity, y->n + 1, sizeof *y->step))
        return fail(&y->error, TG_ENOMEM, "layers: no memory");
    y->step = steps;
    snprintf(number, sizeof number, "%zu", y->n);
    const tg_layer_maker one = {tg_scope_in(m->scope, number), m->tape, m->x, m->outputs, &reason};
    tg_layer_maker now = one;
    if (read_layer(&y->step[y->n], part, &reason) && make(&now, &y->step[y->n])) {
        m->x = now.x;
        y->n++;
        return true;
    }
    while (part.n && is_space(*part.at)) part.at++, part.n--;
    return fail(&y->error, reason.status, "layers: number %zu, '%.*s', at character %zu: %s", y->n,
                (int)(part.n < 40 ? part.n : 40), part.at, (size_t)(part.at - text) + 1,
                reason.message);
}

static void parse(tg_layers *y, tg_layer_maker *m, const char *text, tg_shape row)
{
    tg_shape shape = {.ndim = row.ndim + 1, .dim = {2}};
    for (int k = 0; k < row.ndim; k++) shape.dim[k + 1] = row.dim[k];
    m->x = tg_zeros_at(m->tape, NULL, m->scope.dtype, shape);
    for (const char *at = text;;) {
        const span part = {at, strcspn(at, ",")};
        if (!add(y, m, text, part)) return;
        if (!at[part.n]) break;
        at += part.n + 1;
    }
    shape = tg_tensor_shape(m->x);
    y->shape.ndim = shape.ndim - 1;
    for (int k = 0; k < y->shape.ndim; k++) y->shape.dim[k] = shape.dim[k + 1];
}

tg_layers *tg_layers_parse(tg_scope s, const char *text, tg_shape row, int64_t outputs)
{
    const tg_allocator a = s.params ? s.params->allocator : tg_allocator_or_default(NULL);
    tg_layers *y = tg_allocate(&a, sizeof *y);
    if (!y) return NULL;
    *y = (tg_layers){.allocator = a};
    if (!s.params || !text) {
        fail(&y->error, TG_ENULL, "layers: the %s is NULL", text ? "scope's params" : "text");
        return y;
    }
    if (s.params->error.status != TG_OK) {
        fail(&y->error, s.params->error.status, "%s", s.params->error.message);
        return y;
    }
    if (row.ndim < 1 || row.ndim > TG_MAX_DIMS - 1) {
        fail(&y->error, TG_ESHAPE, "layers: a row has 1 to %d dimensions", TG_MAX_DIMS - 1);
        return y;
    }
    const tg_tape_options options = {.size = sizeof options, .allocator = &a};
    tg_layer_maker m = {.scope = s, .tape = tg_tape_new(&options), .outputs = outputs};
    if (m.tape) parse(y, &m, text, row);
    else fail(&y->error, TG_ENOMEM, "layers: no memory");
    tg_tape_free(m.tape);
    return y;
}

void tg_layers_free(tg_layers *y)
{
    if (!y) return;
    const tg_allocator a = y->allocator;
    if (y->step) tg_release(&a, y->step, y->capacity * sizeof *y->step);
    tg_release(&a, y, sizeof *y);
}

tg_status tg_layers_status(const tg_layers *y) { return y ? y->error.status : TG_ENOMEM; }
const char *tg_layers_message(const tg_layers *y)
{
    return y ? y->error.message : "no memory for the layers";
}
tg_shape tg_layers_shape(const tg_layers *y) { return y ? y->shape : TG_SCALAR; }

tg_tensor *tg_layers_apply_at(tg_tape *t, const char *where, const tg_layers *y, tg_tensor *x)
{
    if (!y || y->error.status != TG_OK)
        return tg_fail_at(t, where, y ? TG_ESTATE : TG_ENULL, "layers: %s",
                          y ? "they are in error" : "they are NULL");
    for (size_t k = 0; k < y->n; k++) x = apply(t, where, &y->step[k], x);
    return x;
}

tg_tensor *(tg_layers_apply)(tg_tape *t, const tg_layers *y, tg_tensor *x)
{
    return tg_layers_apply_at(t, NULL, y, x);
}
