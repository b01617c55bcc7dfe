/* A recording as one C file: a static function for each statement (a pass over elements, a
 * reduction, an op's own text, a copy), and one that calls them in the order of recording on
 * constants, arguments and a slab laid out by lifetimes. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "plan.h"

#ifdef TG_LEAN

void tg_source_print(tg_source *s, const char *format, ...) { (void)s, (void)format; }

tg_status tg_export_c_at(tg_tape *t, const char *where, const char *path,
                         const tg_export_options *options)
{
    (void)path, (void)options;
    return t ? tg_tape_fail(t, where, "export_c", TG_ESTATE, "built without export") : TG_ENOMEM;
}

#else

#include "export.h"

enum { LONGEST_COLUMN = 65536, LONGEST_ROW = 1 << 20, LINE = 8 };

struct tg_source {
    FILE *out;
};

typedef enum place { CONSTANT, ARGUMENT, SLAB } place;

/* Memory of its own: a leaf's, or a statement's result. */
typedef struct buffer {
    place place;
    tg_dtype dtype;
    uint32_t node;        /* of a leaf */
    const char *name;     /* of an argument */
    int64_t count;        /* elements */
    uint32_t first, last; /* the statements between which it lives */
    int64_t at;           /* byte in the slab */
} buffer;

/* What a node reads as: data is ORIGIN and the bytes from the buffer's beginning. */
typedef struct operand {
    uint32_t buffer;
    tg_array array;
} operand;
#define ORIGIN ((char *)((uintptr_t)1 << (8 * sizeof(uintptr_t) - 2)))

typedef enum kind { COPY, ELEMENTS, FOLD, KERNEL } kind;
typedef struct statement {
    kind kind;
    uint32_t node, n_in;
    operand *x, y;
    uint32_t function; /* of its expression, or fold, printed before */
} statement;

/* An expression, or a reduction by it, for one combination of dtypes. */
typedef struct function {
    const char *text;
    tg_dtype y, first, rest;
    int n_in;
    const tg_folds *folds; /* NULL: elementwise */
} function;

typedef struct exporter {
    tg_tape *t;
    const char *where;
    tg_export_options options;
    tg_arena memory;
    uint32_t *targets;  /* the nodes of the outputs */
    uint32_t low, high; /* live nodes */
    operand *of;        /* of node low + k */
    buffer *buffers;
    statement *statements;
    function *functions;
    uint32_t n_buffers, n_statements, n_functions;
    int64_t slab;
    tg_source source;
} exporter;

void tg_source_print(tg_source *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(s->out, format, arguments);
    va_end(arguments);
}

static const char *type_name(tg_dtype dtype)
{
    static const char *const name[TG_DTYPE_COUNT] = {
        [TG_F32] = "float", [TG_F64] = "double", [TG_I64] = "int64_t", [TG_U8] = "uint8_t"};
    return name[dtype];
}

static tg_status fail(exporter *e, tg_status status, const char *what)
{
    return tg_tape_fail(e->t, e->where, "export_c", status, "%s", what);
}

static tg_status no_memory(exporter *e) { return fail(e, TG_ENOMEM, "no memory"); }

static tg_status refuse(exporter *e, uint32_t node, const char *why)
{
    return tg_tape_fail(e->t, tg_node_where(e->t, node), tg_node_text(e->t, node).text, TG_EVALUE,
                        "can't be exported: %s", why);
}

/* ---------------------------------------------------------------- names */

static const tg_export_value *value_at(const tg_export_options *o, int k)
{
    return k < o->n_in ? &o->in[k] : &o->out[k - o->n_in];
}

static tg_status check_names(exporter *e)
{
    const tg_export_options *o = &e->options;
    if (o->n_out < 1 || o->n_in < 0) return fail(e, TG_EVALUE, "no outputs are given");
    if (!o->out || (o->n_in && !o->in)) return fail(e, TG_ENULL, "no tensors are given");
    for (int k = -1; k < o->n_in + o->n_out; k++) {
        const char *name = k < 0 ? o->name : value_at(o, k)->name;
        bool good = tg_is_identifier(name) && (k < 0 || strcmp(name, o->name) != 0);
        for (int i = 0; good && i < k; i++) good = strcmp(name, value_at(o, i)->name) != 0;
        if (!good)
            return tg_tape_fail(e->t, e->where, "export_c", TG_EVALUE,
                                "\"%s\" is no free C identifier", name ? name : "");
    }
    return TG_OK;
}

/* ---------------------------------------------------------------- statements */

static void make_contiguous(tg_array *a)
{
    int64_t step = 1;
    a->data = ORIGIN;
    for (int k = a->shape.ndim - 1; k >= 0; k--) {
        a->stride[k] = step;
        step *= a->shape.dim[k];
    }
}

static operand new_operand(exporter *e, buffer b, const tg_type *type)
{
    operand o = {.buffer = e->n_buffers, .array = {.dtype = type->dtype, .shape = type->shape}};
    make_contiguous(&o.array);
    b.dtype = type->dtype;
    b.count = tg_shape_count(type->shape);
    e->buffers[e->n_buffers++] = b;
    return o;
}

/* Appends a statement whose result is of `type`. */
static operand append(exporter *e, kind made_by, uint32_t node, uint32_t n_in, operand *x,
                      const tg_type *type)
{
    const buffer b = {.place = SLAB, .first = e->n_statements, .last = e->n_statements};
    const operand y = new_operand(e, b, type);
    for (uint32_t k = 0; k < n_in; k++) e->buffers[x[k].buffer].last = e->n_statements;
    e->statements[e->n_statements++] =
        (statement){.kind = made_by, .node = node, .n_in = n_in, .x = x, .y = y};
    return y;
}

static operand contiguous(exporter *e, uint32_t node, operand x)
{
    if (tg_array_contiguous(&x.array)) return x;
    operand *from = tg_arena_take(&e->memory, sizeof *from);
    if (!from) {
        no_memory(e);
        return x;
    }
    *from = x;
    return append(e, COPY, node, 1, from, &(tg_type){x.array.dtype, x.array.shape});
}

/* The function's number; the texts of equal ones are literals at one address. */
static uint32_t function_of(exporter *e, function f)
{
    for (uint32_t k = 0; k < e->n_functions; k++) {
        const function *g = &e->functions[k];
        if (g->text == f.text && g->y == f.y && g->first == f.first && g->rest == f.rest &&
            g->n_in == f.n_in && g->folds == f.folds)
            return k;
    }
    e->functions[e->n_functions] = f;
    return e->n_functions++;
}

static tg_status add_leaf(exporter *e, uint32_t node)
{
    const tg_leaf *leaf = &e->t->recorded.leaf[e->t->recorded.leaf_of[node]];
    buffer b = {.place = CONSTANT, .node = node};
    for (int k = 0; k < e->options.n_in; k++) {
        uint32_t given;
        if (!tg_resolve(e->t, e->where, "export_c", e->options.in[k].x, &given))
            return tg_tape_status(e->t);
        if (given != node) continue;
        b.place = ARGUMENT;
        b.name = e->options.in[k].name;
    }
    if (b.place == CONSTANT && leaf->param && tg_param_is_stale(e->t, leaf->param))
        return refuse(e, node, "the parameter was changed after it was recorded");
    e->of[node - e->low] = new_operand(e, b, &tg_node_type(e->t, node)->type);
    return TG_OK;
}

static tg_status add_view(exporter *e, uint32_t node)
{
    const tg_node *v = &e->t->recorded.node[node];
    const tg_type *type = &tg_node_type(e->t, node)->type;
    operand x = e->of[tg_node_inputs(e->t, v)[0] - e->low];
    operand y = {.array = {.dtype = type->dtype, .shape = type->shape}};
    const int n_attrs = tg_node_n_attrs(e->t, v);
    const int64_t *attrs = tg_node_attrs(e->t, v);
    if (!v->op->view(&x.array, &y.array, n_attrs, attrs)) {
        x = contiguous(e, node, x);
        if (!v->op->view(&x.array, &y.array, n_attrs, attrs))
            return refuse(e, node, "its view of contiguous memory failed");
    }
    y.buffer = x.buffer;
    e->of[node - e->low] = y;
    return TG_OK;
}

static tg_status add_elements(exporter *e, uint32_t node, uint32_t n_in, operand *x)
{
    const tg_spans *span = e->t->recorded.node[node].op->span;
    const tg_type *type = &tg_node_type(e->t, node)->type;
    if (!span->text || !tg_is_self_contained(span->text))
        return refuse(e, node, "it has no text in C");
    if (type->dtype == TG_I64) return refuse(e, node, "its result is i64");
    if (n_in > 3) return refuse(e, node, "it has more than three operands");
    const uint32_t f = function_of(e, (function){span->text, type->dtype, x[0].array.dtype,
                                                 x[n_in - 1].array.dtype, (int)n_in, NULL});
    e->of[node - e->low] = append(e, ELEMENTS, node, n_in, x, type);
    e->statements[e->n_statements - 1].function = f;
    return TG_OK;
}

typedef struct extent {
    int64_t outer, reduced, inner;
} extent;
static extent extent_of(const exporter *e, uint32_t node, const tg_shape *shape)
{
    const int64_t *attrs = tg_node_attrs(e->t, &e->t->recorded.node[node]);
    extent w = {1, 1, 1};
    for (int k = 0; k < shape->ndim; k++)
        *(k < attrs[0] ? &w.outer : k <= attrs[1] ? &w.reduced : &w.inner) *= shape->dim[k];
    return w;
}

static tg_status add_fold(exporter *e, uint32_t node, operand *x)
{
    const tg_folds *folds = e->t->recorded.node[node].op->fold;
    const tg_type *type = &tg_node_type(e->t, node)->type;
    if (!folds->combine->text) return refuse(e, node, "it has no text in C");
    if (type->dtype == TG_I64) return refuse(e, node, "its result is i64");
    x[0] = contiguous(e, node, x[0]);
    const extent w = extent_of(e, node, &x[0].array.shape);
    if (w.reduced > (w.inner > 1 ? LONGEST_COLUMN : LONGEST_ROW))
        return refuse(e, node, "too many elements are reduced to one");
    const uint32_t f = function_of(
        e, (function){folds->combine->text, type->dtype, type->dtype, type->dtype, 2, folds});
    e->of[node - e->low] = append(e, FOLD, node, 1, x, type);
    e->statements[e->n_statements - 1].function = f;
    return TG_OK;
}

static tg_status add_node(exporter *e, uint32_t node)
{
    const tg_node *v = &e->t->recorded.node[node];
    const tg_op *op = v->op;
    if (tg_is_leaf(op)) return add_leaf(e, node);
    if (op->view) return add_view(e, node);
    operand *x = tg_arena_take(&e->memory, v->n_in * sizeof *x + 1);
    if (!x) return no_memory(e);
    for (uint32_t k = 0; k < v->n_in; k++) x[k] = e->of[tg_node_inputs(e->t, v)[k] - e->low];
    if (op->span) return add_elements(e, node, v->n_in, x);
    if (op->fold) return add_fold(e, node, x);
    if (!op->print) return refuse(e, node, "it has no text in C");
    for (uint32_t k = 0; k < v->n_in && !(op->flags & TG_STRIDED); k++)
        x[k] = contiguous(e, node, x[k]);
    e->of[node - e->low] = append(e, KERNEL, node, v->n_in, x, &tg_node_type(e->t, node)->type);
    return TG_OK;
}

/* ---------------------------------------------------------------- the slab */

/* Each value at the lowest place where no living one is. Memory is not shared between dtypes, which
 * C's rules of aliasing would not allow. */
static void lay_out(exporter *e)
{
    for (uint32_t k = 0; k < e->n_buffers; k++) {
        buffer *b = &e->buffers[k];
        if (b->place != SLAB) continue;
        const int64_t bytes = b->count * (int64_t)tg_dtype_size(b->dtype);
        bool moved = true;
        while (moved) {
            moved = false;
            for (uint32_t i = 0; i < k; i++) {
                const buffer *o = &e->buffers[i];
                const int64_t end = o->at + o->count * (int64_t)tg_dtype_size(o->dtype);
                if (o->place != SLAB || (o->dtype == b->dtype && o->last < b->first) ||
                    b->at >= end || b->at + bytes <= o->at)
                    continue;
                b->at = (end + 63) / 64 * 64;
                moved = true;
            }
        }
        if (b->at + bytes > e->slab) e->slab = b->at + bytes;
    }
}

/* ---------------------------------------------------------------- expressions and folds */

#define PUT(...) tg_source_print(&e->source, __VA_ARGS__)

static void print_math(exporter *e)
{
    PUT("#if defined(__clang__)\n#pragma STDC FP_CONTRACT OFF\n"
        "#pragma clang diagnostic ignored \"-Wunused-function\"\n#elif defined(__GNUC__)\n"
        "#pragma GCC optimize(\"fp-contract=off\")\n#else\n"
        "#define __builtin_fabsf fabsf\n#define __builtin_fabs fabs\n#define __builtin_sqrtf "
        "sqrtf\n"
        "#define __builtin_sqrt sqrt\n#define __builtin_copysignf copysignf\n"
        "#define __builtin_copysign copysign\n#define __builtin_rintf rintf\n"
        "#define __builtin_rint rint\n#define __builtin_floorf floorf\n"
        "#define __builtin_floor floor\n#define __builtin_fmaf fmaf\n#define __builtin_fma fma\n"
        "#endif\n\n#define TG_PICK(x, f32, f64) f32\n"
        "#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))\n"
        "#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))\n\n");
    const char *at = (const char *)tg_math_text, *end = at + tg_math_text_bytes;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const size_t n = (size_t)((line ? line + 1 : end) - at);
        if (strncmp(at, "#include", n < 8 ? n : 8) != 0) fwrite(at, 1, n, e->source.out);
        at += n;
    }
    PUT("\nenum { build = 0 }; /* the base kernels */\n\n");
}

static void print_expression(exporter *e, uint32_t number)
{
    const function *f = &e->functions[number];
    const char *first = type_name(f->first), *rest = type_name(f->rest);
    PUT("static inline %s tg_f%u(", type_name(f->y), (unsigned)number);
    if (f->n_in == 1) PUT("%s x", first);
    else PUT(f->n_in == 2 ? "%s a, %s b" : "%s a, %s b, %s c", first, rest, rest);
    PUT(")\n{\n");
    if (tg_has_word(f->text, "T")) PUT("    typedef %s T;\n", rest);
    PUT("    return (%s)(%s);\n}\n\n", type_name(f->y), f->text);
}

/* $T: the type, $N: the function's number, $0: the reduction of nothing. */
static const char fold_text[] =
    "/* n <= 1024 elements by 64 lanes, then pairwise */\n"
    "static inline $T tg_chunk$N(ptrdiff_t n, const $T *x)\n{\n"
    "    $T lane[64];\n    ptrdiff_t half = 64;\n    if (n == 0) return $0;\n"
    "    if (n < 64) {\n        for (half = 1; 2 * half < n;) half *= 2;\n"
    "        for (ptrdiff_t l = 0; l < half; l++)\n"
    "            lane[l] = l < n - half ? tg_f$N(x[l], x[l + half]) : x[l];\n"
    "    } else {\n        for (ptrdiff_t l = 0; l < 64; l++) lane[l] = x[l];\n"
    "        ptrdiff_t i = 64;\n        for (; i + 64 <= n; i += 64)\n"
    "            for (ptrdiff_t l = 0; l < 64; l++) lane[l] = tg_f$N(lane[l], x[i + l]);\n"
    "        for (ptrdiff_t l = 0; l < n - i; l++) lane[l] = tg_f$N(lane[l], x[i + l]);\n    }\n"
    "    while (half /= 2)\n"
    "        for (ptrdiff_t l = 0; l < half; l++) lane[l] = tg_f$N(lane[l], lane[l + half]);\n"
    "    return lane[0];\n}\n\n"
    "static inline $T tg_row$N(ptrdiff_t n, const $T *x)\n{\n"
    "    $T part[1024];\n    ptrdiff_t k = 0;\n    if (n <= 1024) return tg_chunk$N(n, x);\n"
    "    for (; k * 1024 < n; k++)\n"
    "        part[k] = tg_chunk$N(n - k * 1024 < 1024 ? n - k * 1024 : 1024, x + k * 1024);\n"
    "    return tg_chunk$N(k, part);\n}\n\n"
    "static inline $T tg_pairs$N(ptrdiff_t n, $T *x)\n{\n"
    "    for (ptrdiff_t half; n > 1; n = half) {\n        half = (n + 1) / 2;\n"
    "        for (ptrdiff_t k = 0; k < n - half; k++) x[k] = tg_f$N(x[k], x[half + k]);\n"
    "    }\n    return x[0];\n}\n\n"
    "/* a column: 64 rows at a time, those in blocks, each pairwise */\n"
    "static inline $T tg_column$N(ptrdiff_t n, ptrdiff_t step, ptrdiff_t block, const $T *x)\n{\n"
    "    $T part[1024], in[64];\n    ptrdiff_t parts = 0;\n    if (n == 0) return $0;\n"
    "    for (ptrdiff_t row = 0; row < n; row += 64) {\n"
    "        const ptrdiff_t end = n - row < 64 ? n : row + 64;\n"
    "        for (ptrdiff_t at = row; at < end; at += block) {\n"
    "            const ptrdiff_t rows = end - at < block ? end - at : block;\n"
    "            for (ptrdiff_t k = 0; k < rows; k++) in[k] = x[(at + k) * step];\n"
    "            const $T all = tg_pairs$N(rows, in);\n"
    "            part[parts] = at == row ? all : tg_f$N(part[parts], all);\n        }\n"
    "        parts++;\n    }\n    return tg_pairs$N(parts, part);\n}\n\n";

static void print_number(exporter *e, tg_dtype dtype, const void *data, int64_t k)
{
    if (dtype == TG_I64) {
        const int64_t x = ((const int64_t *)data)[k];
        if (x == INT64_MIN) PUT("INT64_MIN");
        else PUT("INT64_C(%" PRId64 ")", x);
        return;
    }
    if (dtype == TG_U8) {
        PUT("%d", ((const uint8_t *)data)[k]);
        return;
    }
    const double x = dtype == TG_F32 ? (double)((const float *)data)[k] : ((const double *)data)[k];
    if (isnan(x)) PUT("NAN");
    else if (isinf(x)) PUT("%sINFINITY", x < 0 ? "-" : "");
    else PUT("%a%s", x, dtype == TG_F32 ? "f" : "");
}

static void print_fold(exporter *e, uint32_t number)
{
    const function *f = &e->functions[number];
    double nothing = 0;
    f->folds->of[(int)f->y * f->folds->builds](0, &nothing, &nothing);
    for (const char *at = fold_text; *at; at++) {
        if (*at != '$') {
            fputc(*at, e->source.out);
            continue;
        }
        at++;
        if (*at == 'T') PUT("%s", type_name(f->y));
        else if (*at == 'N') PUT("%u", (unsigned)number);
        else print_number(e, f->y, &nothing, 0);
    }
}

/* Expressions call functions of the dtype that they compute in. */
static void print_functions(exporter *e)
{
    if (e->n_functions) print_math(e);
    for (int pass = 0; pass < 2; pass++) {
        if (pass) PUT("#undef TG_PICK\n#define TG_PICK(x, f32, f64) f64\n\n");
        for (uint32_t k = 0; k < e->n_functions; k++) {
            if ((e->functions[k].rest == TG_F64) != (pass == 1)) continue;
            print_expression(e, k);
            if (e->functions[k].folds) print_fold(e, k);
        }
    }
}

/* ---------------------------------------------------------------- statements as functions */

/* y = f(x...) over all elements of y: adjacent dimensions that every array steps through alike are
 * one loop. */
static void print_loops(exporter *e, uint32_t n, const operand *x, const operand *y,
                        const char *call)
{
    const tg_array *a[5] = {&y->array};
    int64_t dim[TG_MAX_DIMS], stride[5][TG_MAX_DIMS];
    int loops = 0;
    for (uint32_t i = 0; i < n; i++) a[i + 1] = &x[i].array;
    for (int d = 0; d < y->array.shape.ndim; d++) {
        int64_t s[5];
        const int64_t size = y->array.shape.dim[d];
        if (size == 1) continue;
        bool joins = loops > 0;
        for (uint32_t i = 0; i <= n; i++) {
            const int own = d - (y->array.shape.ndim - a[i]->shape.ndim);
            s[i] = own < 0 || a[i]->shape.dim[own] == 1 ? 0 : a[i]->stride[own];
            joins = joins && stride[i][loops - 1] == s[i] * size;
        }
        if (joins) dim[loops - 1] *= size;
        else dim[loops++] = size;
        for (uint32_t i = 0; i <= n; i++) stride[i][loops - 1] = s[i];
    }
    for (int d = 0; d < loops; d++)
        PUT("%*sfor (ptrdiff_t i%d = 0; i%d < %" PRId64 "; i%d++)\n", 4 * d + 4, "", d, d, dim[d],
            d);
    for (uint32_t i = 0; i <= n; i++) {
        if (i == 0) PUT("%*sy[", 4 * loops + 4, "");
        else PUT("%sx%u[", i > 1 ? ", " : "", (unsigned)i - 1);
        bool any = false;
        for (int d = 0; d < loops; d++) {
            if (stride[i][d] == 0) continue;
            PUT(any ? " + i%d" : "i%d", d);
            if (stride[i][d] != 1) PUT(" * (%" PRId64 ")", stride[i][d]);
            any = true;
        }
        PUT(any ? "]" : "0]");
        if (i == 0) PUT(" = %s", call);
    }
    PUT(*call ? ");\n" : ";\n");
}

static void print_fold_loops(exporter *e, const statement *s)
{
    const extent w = extent_of(e, s->node, &s->x[0].array.shape);
    const unsigned f = (unsigned)s->function;
    PUT("    for (ptrdiff_t o = 0; o < %" PRId64 "; o++)\n", w.outer);
    if (w.inner == 1) {
        PUT("        y[o] = tg_row%u(%" PRId64 ", x0 + o * %" PRId64 ");\n", f, w.reduced,
            w.reduced);
        return;
    }
    int64_t block = w.inner < TG_CHUNK && w.inner ? TG_CHUNK / w.inner : 1;
    if (block > TG_ROWS) block = TG_ROWS;
    PUT("        for (ptrdiff_t i = 0; i < %" PRId64 "; i++)\n            y[o * %" PRId64
        " + i] = tg_column%u(%" PRId64 ", %" PRId64 ", %" PRId64 ", x0 + o * %" PRId64 " + i);\n",
        w.inner, w.inner, f, w.reduced, w.inner, block, w.reduced * w.inner);
}

static tg_status print_kernel(exporter *e, const statement *s)
{
    const tg_node *v = &e->t->recorded.node[s->node];
    tg_array *x = tg_arena_take(&e->memory, s->n_in * sizeof *x + 1);
    if (!x) return no_memory(e);
    for (uint32_t k = 0; k < s->n_in; k++) x[k] = s->x[k].array;
    const tg_call c = {.n_in = (int)s->n_in,
                       .n_attrs = tg_node_n_attrs(e->t, v),
                       .x = x,
                       .y = &s->y.array,
                       .attrs = tg_node_attrs(e->t, v)};
    return v->op->print(&c, &e->source)
               ? TG_OK
               : refuse(e, s->node, "these shapes or attributes have no text in C");
}

/* Text inside a comment. */
static void print_comment(exporter *e, const char *text)
{
    for (; *text; text++)
        if (!(text[0] == '*' && text[1] == '/') && (unsigned char)*text >= ' ') PUT("%c", *text);
}

static tg_status print_statement(exporter *e, uint32_t number)
{
    const statement *s = &e->statements[number];
    const char *where = tg_node_where(e->t, s->node);
    PUT("/* ");
    if (where) print_comment(e, where);
    PUT("%s", where ? ": " : "");
    print_comment(e, tg_node_text(e->t, s->node).text);
    PUT("%s, %s */\nstatic void tg_s%u(", s->kind == COPY ? ", made contiguous" : "",
        tg_shape_text(s->y.array.shape).text, (unsigned)number);
    for (uint32_t k = 0; k < s->n_in; k++)
        PUT("const %s *x%u, ", type_name(s->x[k].array.dtype), (unsigned)k);
    PUT("%s *restrict y)\n{\n", type_name(s->y.array.dtype));
    char call[32] = "";
    if (s->kind == ELEMENTS) snprintf(call, sizeof call, "tg_f%u(", (unsigned)s->function);
    tg_status status = TG_OK;
    switch (s->kind) {
    case COPY:
    case ELEMENTS: print_loops(e, s->n_in, s->x, &s->y, call); break;
    case FOLD: print_fold_loops(e, s); break;
    case KERNEL: status = print_kernel(e, s);
    }
    PUT("}\n\n");
    return status;
}

/* ---------------------------------------------------------------- the file */

static void print_constant(exporter *e, uint32_t number)
{
    const buffer *b = &e->buffers[number];
    const tg_leaf *leaf = &e->t->recorded.leaf[e->t->recorded.leaf_of[b->node]];
    uint64_t bits;
    const void *data = leaf->param ? leaf->param->value : leaf->data;
    if (e->t->recorded.node[b->node].op == &tg_op_constant) {
        tg_scalar_bits(b->dtype, leaf->value, &bits);
        data = &bits;
    }
    if (leaf->param) {
        PUT("/* ");
        print_comment(e, leaf->param->name);
        PUT(" %s */\n", tg_shape_text(leaf->param->shape).text);
    }
    PUT("static const %s tg_c%u[] = {", type_name(b->dtype), (unsigned)number);
    for (int64_t k = 0; k < b->count; k++) {
        PUT(k == 0 ? "" : k % LINE ? ", " : ",\n    ");
        print_number(e, b->dtype, data, k);
    }
    PUT(b->count ? "};\n\n" : "0};\n\n");
}

static void print_operand(exporter *e, const operand *o)
{
    const buffer *b = &e->buffers[o->buffer];
    const int64_t offset =
        ((char *)o->array.data - ORIGIN) / (int64_t)tg_dtype_size(o->array.dtype);
    if (b->place == ARGUMENT) PUT("%s", b->name);
    else if (b->place == CONSTANT) PUT("tg_c%u", (unsigned)o->buffer);
    else PUT("(%s *)(void *)((char *)scratch + %" PRId64 ")", type_name(b->dtype), b->at);
    if (offset) PUT(" + %" PRId64, offset);
}

static const operand *output(exporter *e, int k) { return &e->of[e->targets[k] - e->low]; }

static void print_entry(exporter *e)
{
    const tg_export_options *o = &e->options;
    for (int k = 0; k < o->n_out; k++) {
        const operand *from = output(e, k);
        operand to = *from;
        make_contiguous(&to.array);
        PUT("static void tg_out%d(const %s *x0, %s *restrict y)\n{\n", k, type_name(to.array.dtype),
            type_name(to.array.dtype));
        print_loops(e, 1, from, &to, "");
        PUT("}\n\n");
    }
    PUT("#define %s_SCRATCH %" PRId64 " /* bytes */\n\nvoid %s(", o->name, e->slab, o->name);
    for (int k = 0; k < o->n_in + o->n_out; k++) {
        const char *type = type_name(tg_tensor_dtype(value_at(o, k)->x));
        PUT(k < o->n_in ? "const %s *%s, " : "%s *%s, ", type, value_at(o, k)->name);
    }
    PUT("void *scratch);\nvoid %s(", o->name);
    for (int k = 0; k < o->n_in + o->n_out; k++) {
        const char *type = type_name(tg_tensor_dtype(value_at(o, k)->x));
        PUT(k < o->n_in ? "const %s *%s, " : "%s *%s, ", type, value_at(o, k)->name);
    }
    PUT("void *scratch)\n{\n");
    for (int k = 0; k < o->n_in; k++) PUT("    (void)%s;\n", o->in[k].name);
    PUT("    (void)scratch;\n");
    for (uint32_t k = 0; k < e->n_statements; k++) {
        const statement *s = &e->statements[k];
        PUT("    tg_s%u(", (unsigned)k);
        for (uint32_t i = 0; i < s->n_in; i++) {
            print_operand(e, &s->x[i]);
            PUT(", ");
        }
        print_operand(e, &s->y);
        PUT(");\n");
    }
    for (int k = 0; k < o->n_out; k++) {
        PUT("    tg_out%d(", k);
        print_operand(e, output(e, k));
        PUT(", %s);\n", o->out[k].name);
    }
    PUT("}\n");
}

static void print_head(exporter *e)
{
    const tg_export_options *o = &e->options;
    PUT("/* %s, exported by tapegrad %d.%d.%d. C99; keeps no state. Arrays are contiguous and "
        "row-major:\n",
        o->name, TG_VERSION_MAJOR, TG_VERSION_MINOR, TG_VERSION_PATCH);
    for (int k = 0; k < o->n_in + o->n_out; k++)
        PUT(" *   %-6s %s %s %s\n", k < o->n_in ? "in" : "out", value_at(o, k)->name,
            tg_dtype_name(tg_tensor_dtype(value_at(o, k)->x)),
            tg_shape_text(tg_tensor_shape(value_at(o, k)->x)).text);
    PUT(" *   scratch: %s_SCRATCH bytes, aligned as for a double */\n"
        "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n\n",
        o->name);
}

static tg_status print_all(exporter *e)
{
    print_head(e);
    print_functions(e);
    for (uint32_t k = 0; k < e->n_buffers; k++)
        if (e->buffers[k].place == CONSTANT) print_constant(e, k);
    for (uint32_t k = 0; k < e->n_statements; k++)
        if (print_statement(e, k)) return tg_tape_status(e->t);
    print_entry(e);
    return TG_OK;
}

/* The file is made in memory, so that what can't be exported is known before anything is
 * written. */
static tg_status write_file(exporter *e, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    e->source.out = open_memstream(&text, &bytes);
    if (!e->source.out) return no_memory(e);
    tg_status status = print_all(e);
    const bool whole = !ferror(e->source.out);
    if ((fclose(e->source.out) != 0 || !whole) && !status) status = no_memory(e);
    tg_file target;
    if (!status && !(tg_file_begin(&target, path) &&
                     (tg_file_put(&target, text, bytes), tg_file_finish(&target))))
        status = tg_tape_fail(e->t, e->where, "export_c", TG_EIO, "%s: %s", path,
                              tg_errno_text(target.error).text);
    free(text);
    return status;
}

static tg_status collect(exporter *e)
{
    const tg_tape *t = e->t;
    size_t most = 1;
    for (uint32_t v = e->low; v <= e->high; v++)
        if (tg_is_live(t, v)) most += 1 + t->recorded.node[v].n_in;
    e->of = tg_arena_take(&e->memory, (e->high - e->low + 1) * sizeof *e->of);
    e->buffers = tg_arena_take(&e->memory, most * sizeof *e->buffers);
    e->statements = tg_arena_take(&e->memory, most * sizeof *e->statements);
    e->functions = tg_arena_take(&e->memory, most * sizeof *e->functions);
    if (!e->of || !e->buffers || !e->statements || !e->functions) return no_memory(e);
    for (uint32_t v = e->low; v <= e->high; v++)
        if (tg_is_live(t, v) && (add_node(e, v) || tg_tape_status(t))) return tg_tape_status(t);
    for (int k = 0; k < e->options.n_out; k++) e->buffers[output(e, k)->buffer].last = UINT32_MAX;
    lay_out(e);
    return TG_OK;
}

static tg_status export(exporter *e, const char *path)
{
    tg_tape *t = e->t;
    const tg_export_options *o = &e->options;
    if (check_names(e)) return tg_tape_status(t);
    uint32_t node;
    e->targets = tg_arena_take(&e->memory, (size_t)o->n_out * sizeof *e->targets);
    if (!e->targets) return no_memory(e);
    for (int k = 0; k < o->n_in; k++) {
        if (!tg_resolve(t, e->where, "export_c", o->in[k].x, &node)) return tg_tape_status(t);
        if (!tg_is_leaf(t->recorded.node[node].op) || t->recorded.node[node].op == &tg_op_constant)
            return tg_tape_fail(t, e->where, "export_c", TG_EVALUE,
                                "\"%s\" is neither an input nor a parameter", o->in[k].name);
    }
    for (int k = 0; k < o->n_out; k++)
        if (!tg_resolve(t, e->where, "export_c", o->out[k].x, &e->targets[k]))
            return tg_tape_status(t);
    if (tg_mark_live(t, (uint32_t)o->n_out, e->targets, false, 0, &e->low, &e->high))
        return tg_tape_status(t);
    if (!collect(e)) write_file(e, path);
    tg_clear_live(t, e->low, e->high);
    return tg_tape_status(t);
}

static tg_status export_c(tg_tape *t, const char *where, const char *path,
                          const tg_export_options *options)
{
    if (tg_tape_status(t) != TG_OK) return tg_tape_status(t);
    exporter e = {.t = t, .where = where};
    if (!path || !options) return fail(&e, TG_ENULL, path ? "no options" : "no path is given");
    if (!tg_options_read(&e.options, sizeof e.options, options))
        return fail(&e, TG_EVALUE, TG_UNSIZED(tg_export_options));
    tg_arena_init(&e.memory, &t->allocator);
    const tg_status status = export(&e, path);
    tg_arena_free(&e.memory);
    return status;
}

tg_status tg_export_c_at(tg_tape *t, const char *where, const char *path,
                         const tg_export_options *options)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, export_c(t, where, path, options));
}

#endif
