/* The statements of a recording as C. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exporter.h"

#ifndef TG_LEAN

enum { LINE = 8 };

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

/* ---------------------------------------------------------------- expressions and folds */

#define PUT(...) tg_source_print(&e->source, __VA_ARGS__)

static void print_math(tg_exporter *e)
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
        "#endif\n\n/* by x's type */\n#if defined(__GNUC__) || defined(__TINYC__)\n"
        "#define TG_PICK(x, f32, f64) __builtin_choose_expr(sizeof(x) == sizeof(float), f32, f64)\n"
        "#else\n#define TG_PICK(x, f32, f64) _Generic((x), float : f32, double : f64)\n#endif\n"
        "#define MAX(a, b) ((a) > (b) || (a) != (a) ? (a) : (b))\n"
        "#define MIN(a, b) ((a) < (b) || (a) != (a) ? (a) : (b))\n\n");
    tg_carry_text(e->source.out, (const char *)tg_math_text, tg_math_text_bytes);
    PUT("\nenum { build = 0 }; /* the base kernels */\n\n");
}

static tg_status print_carried(tg_exporter *e)
{
    bool *printed = tg_arena_take(&e->memory, tg_carried_count * sizeof *printed);
    if (!printed) return tg_export_no_memory(e);
    memset(printed, 0, tg_carried_count * sizeof *printed);
    tg_carry_print(e->source.out, e->carries, e->open, printed);
    return TG_OK;
}

static void print_expression(tg_exporter *e, uint32_t number)
{
    const tg_export_function *f = &e->functions[number];
    /* i64 wraps around, which C has for unsigned numbers alone */
    const bool wraps = f->y == TG_I64 && f->rest == TG_I64 && !strpbrk(f->text, "<>=?&|~A");
    const char *first = wraps ? "uint64_t" : type_name(f->first),
               *rest = wraps ? first : type_name(f->rest);
    PUT("static inline %s tg_f%u(", type_name(f->y), (unsigned)number);
    if (f->n_in == 1) PUT("%s x", first);
    else PUT(f->n_in == 2 ? "%s a, %s b" : "%s a, %s b, %s c", first, rest, rest);
    PUT(")\n{\n");
    for (int k = 1; k < f->n_in; k++)
        if (!tg_has_word(f->text, k == 1 ? "b" : "c")) PUT("    (void)%c;\n", k == 1 ? 'b' : 'c');
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

static void print_number(tg_exporter *e, tg_dtype dtype, const void *data, int64_t k)
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

static void print_fold(tg_exporter *e, uint32_t number)
{
    const tg_export_function *f = &e->functions[number];
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

static tg_status print_functions(tg_exporter *e)
{
    if (e->n_functions || e->calls) print_math(e);
    if (print_carried(e)) return tg_tape_status(e->t);
    for (uint32_t k = 0; k < e->n_functions; k++) {
        print_expression(e, k);
        if (e->functions[k].folds) print_fold(e, k);
    }
    return TG_OK;
}

/* ---------------------------------------------------------------- statements as functions */

/* y = f(x...) over all elements of y: adjacent dimensions that every array steps through alike are
 * one loop. */
static void print_loops(tg_exporter *e, uint32_t n, const tg_export_operand *x,
                        const tg_export_operand *y, const char *call)
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

static void print_fold_loops(tg_exporter *e, const tg_statement *s)
{
    const tg_extent w = tg_export_extent(e, s->node, &s->x[0].array.shape);
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

static tg_status print_kernel(tg_exporter *e, const tg_statement *s)
{
    tg_array *x = tg_arena_take(&e->memory, s->n_in * sizeof *x + 1);
    if (!x) return tg_export_no_memory(e);
    const tg_call c = tg_export_call(e, s, x);
    return e->t->recorded.node[s->node].op->print(&c, &e->source)
               ? TG_OK
               : tg_export_refuse(e, s->node, "these shapes or attributes have no text in C");
}

static void print_numbers(tg_exporter *e, int n, const int64_t *number)
{
    PUT("{");
    for (int k = 0; k < n; k++) {
        if (k) PUT(", ");
        print_number(e, TG_I64, number, k);
    }
    PUT(n ? "}" : "0}");
}

static const char *dtype_constant(tg_dtype dtype)
{
    static const char *const name[TG_DTYPE_COUNT] = {
        [TG_F32] = "TG_F32", [TG_F64] = "TG_F64", [TG_I64] = "TG_I64", [TG_U8] = "TG_U8"};
    return name[dtype];
}

static void print_array(tg_exporter *e, const tg_array *a, const char *name)
{
    PUT("{(void *)%s, %s, {%d, ", name, dtype_constant(a->dtype), a->shape.ndim);
    print_numbers(e, a->shape.ndim, a->shape.dim);
    PUT("}, ");
    print_numbers(e, a->shape.ndim, a->stride);
    PUT("}");
}

static void print_attrs(tg_exporter *e, const tg_statement *s)
{
    const tg_node *v = &e->t->recorded.node[s->node];
    PUT("    static const int64_t attrs[] = ");
    print_numbers(e, tg_node_n_attrs(e->t, v), tg_node_attrs(e->t, v));
    PUT(";\n");
}

/* The next word, a function of a family's text, as it is called in the file. */
static void print_carried_name(tg_exporter *e, const char *family, const char *word)
{
    PUT("    ");
    if (strncmp(word, "tg_", 3) != 0) PUT("tg_%.*s_", (int)strcspn(family, " "), family);
    PUT("%.*s", (int)strcspn(word, " "), word);
}

static tg_status print_call(tg_exporter *e, const tg_statement *s)
{
    const tg_node *v = &e->t->recorded.node[s->node];
    const char *word = v->op->carried + strcspn(v->op->carried, " ");
    word += *word == ' ';
    const char *prepare = word + strcspn(word, " ");
    prepare += *prepare == ' ';
    if (s->n_in) {
        PUT("    const tg_array x[] = {");
        for (uint32_t k = 0; k < s->n_in; k++) {
            char name[16];
            snprintf(name, sizeof name, "x%u", (unsigned)k);
            PUT(k ? ",\n        " : "");
            print_array(e, &s->x[k].array, name);
        }
        PUT("};\n");
    }
    PUT("    const tg_array z = ");
    print_array(e, &s->y.array, "y");
    PUT(";\n");
    print_attrs(e, s);
    if (v->op->prepared) PUT("    double prepared[%zu];\n", (v->op->prepared + 7) / 8);
    PUT("    tg_call c = {%d, %d, %s, &z, attrs, room, 0, 0, 1, UINT64_C(%" PRIu64
        "), step, failed};\n",
        (int)s->n_in, tg_node_n_attrs(e->t, v), s->n_in ? "x" : "0", e->t->key);
    if (v->op->prepared) {
        print_carried_name(e, v->op->carried, prepare);
        PUT("(&c, prepared);\n    c.prepared = prepared;\n");
    }
    print_carried_name(e, v->op->carried, word);
    PUT("(&c);\n");
    return TG_OK;
}

static tg_status print_span(tg_exporter *e, const tg_statement *s)
{
    const char *table = e->t->recorded.node[s->node].op->span->carried;
    table += strcspn(table, " ");
    table += *table == ' ';
    print_attrs(e, s);
    PUT("    const void *const x[] = {");
    for (uint32_t k = 0; k < s->n_in; k++) PUT(k ? ", x%u" : "x%u", (unsigned)k);
    PUT("};\n    const tg_span s = {%" PRId64 ", 0, attrs, UINT64_C(%" PRIu64
        "), step, failed};\n    %s_of[%s][0](&s, y, x);\n",
        tg_shape_count(s->y.array.shape), e->t->key, table,
        dtype_constant(s->x[s->n_in - 1].array.dtype));
    return TG_OK;
}

/* Text inside a comment. */
static void print_comment(tg_exporter *e, const char *text)
{
    for (; *text; text++)
        if (!(text[0] == '*' && text[1] == '/') && (unsigned char)*text >= ' ') PUT("%c", *text);
}

static tg_status print_statement(tg_exporter *e, uint32_t number)
{
    const tg_statement *s = &e->statements[number];
    const char *where = tg_node_where(e->t, s->node);
    PUT("/* ");
    if (where) print_comment(e, where);
    PUT("%s", where ? ": " : "");
    print_comment(e, tg_node_text(e->t, s->node).text);
    PUT("%s, %s */\nstatic void tg_s%u(", s->kind == TG_COPIES ? ", made contiguous" : "",
        tg_shape_text(s->y.array.shape).text, (unsigned)number);
    for (uint32_t k = 0; k < s->n_in; k++)
        PUT("const %s *x%u, ", type_name(s->x[k].array.dtype), (unsigned)k);
    const bool calls = s->kind == TG_CALLS || s->kind == TG_SPANS_ALL;
    PUT("%s *restrict y%s)\n{\n", type_name(s->y.array.dtype),
        calls ? ", void *room, uint64_t step, int *failed" : "");
    if (s->kind == TG_SPANS_ALL) PUT("    (void)room;\n");
    char call[32] = "";
    if (s->kind == TG_ELEMENTS) snprintf(call, sizeof call, "tg_f%u(", (unsigned)s->function);
    tg_status status = TG_OK;
    const bool empty = tg_shape_count(s->y.array.shape) == 0 && !calls;
    if (empty)
        for (uint32_t k = 0; k <= s->n_in; k++)
            if (k < s->n_in) PUT("    (void)x%u;\n", (unsigned)k);
            else PUT("    (void)y;\n");
    else switch (s->kind) {
        case TG_COPIES:
        case TG_ELEMENTS: print_loops(e, s->n_in, s->x, &s->y, call); break;
        case TG_FOLDS_ROWS: print_fold_loops(e, s); break;
        case TG_PRINTS: status = print_kernel(e, s); break;
        case TG_CALLS: status = print_call(e, s); break;
        case TG_SPANS_ALL: status = print_span(e, s);
        }
    PUT("}\n\n");
    return status;
}

/* ---------------------------------------------------------------- the file */

static void print_constant(tg_exporter *e, uint32_t number)
{
    const tg_export_buffer *b = &e->buffers[number];
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

static void print_operand(tg_exporter *e, const tg_export_operand *o)
{
    const tg_export_buffer *b = &e->buffers[o->buffer];
    const int64_t offset =
        ((char *)o->array.data - TG_ORIGIN) / (int64_t)tg_dtype_size(o->array.dtype);
    if (b->place == TG_AS_ARGUMENT) PUT("%s", b->name);
    else if (b->place == TG_AS_CONSTANT) PUT("tg_c%u", (unsigned)o->buffer);
    else PUT("(%s *)(void *)((char *)scratch + %" PRId64 ")", type_name(b->dtype), b->at);
    if (offset) PUT(" + %" PRId64, offset);
}

/* "int NAME(parameters)" */
static void print_prototype(tg_exporter *e)
{
    const tg_export_options *o = &e->options;
    PUT("int %s(", o->name);
    for (int k = 0; k < o->n_in + o->n_out; k++) {
        const char *type = type_name(tg_tensor_dtype(tg_export_value_at(o, k)->x));
        PUT(k < o->n_in ? "const %s *%s, " : "%s *%s, ", type, tg_export_value_at(o, k)->name);
    }
    PUT(e->draws ? "uint64_t tg_step, void *scratch)" : "void *scratch)");
}

static void print_entry(tg_exporter *e)
{
    const tg_export_options *o = &e->options;
    for (int k = 0; k < o->n_out; k++) {
        const tg_export_operand *from = tg_export_output(e, k);
        tg_export_operand to = *from;
        tg_export_contiguous(&to.array);
        PUT("static void tg_out%d(const %s *x0, %s *restrict y)\n{\n", k, type_name(to.array.dtype),
            type_name(to.array.dtype));
        print_loops(e, 1, from, &to, "");
        PUT("}\n\n");
    }
    PUT("#define %s_SCRATCH %" PRId64 " /* bytes */\n\n", o->name, e->slab);
    print_prototype(e);
    PUT(";\n");
    print_prototype(e);
    PUT("\n{\n");
    for (int k = 0; k < o->n_in; k++) PUT("    (void)%s;\n", o->in[k].name);
    PUT("    (void)scratch;\n");
    if (e->calls) PUT("    int tg_failed = 0;\n");
    for (uint32_t k = 0; k < e->n_statements; k++) {
        const tg_statement *s = &e->statements[k];
        PUT("    tg_s%u(", (unsigned)k);
        for (uint32_t i = 0; i < s->n_in; i++) {
            print_operand(e, &s->x[i]);
            PUT(", ");
        }
        print_operand(e, &s->y);
        if (s->kind == TG_CALLS || s->kind == TG_SPANS_ALL) {
            if (s->room) PUT(", (char *)scratch + %" PRId64, e->buffers[s->room].at);
            else PUT(", 0");
            PUT(", %s, &tg_failed", e->draws ? "tg_step" : "0");
        }
        PUT(");\n");
    }
    for (int k = 0; k < o->n_out; k++) {
        PUT("    tg_out%d(", k);
        print_operand(e, tg_export_output(e, k));
        PUT(", %s);\n", o->out[k].name);
    }
    PUT("    return %s;\n}\n", e->calls ? "tg_failed" : "0");
}

static void print_head(tg_exporter *e)
{
    const tg_export_options *o = &e->options;
    PUT("/* %s, exported by tapegrad %d.%d.%d. C99; keeps no state. Arrays are contiguous and "
        "row-major:\n",
        o->name, TG_VERSION_MAJOR, TG_VERSION_MINOR, TG_VERSION_PATCH);
    for (int k = 0; k < o->n_in + o->n_out; k++)
        PUT(" *   %-6s %s %s %s\n", k < o->n_in ? "in" : "out", tg_export_value_at(o, k)->name,
            tg_dtype_name(tg_tensor_dtype(tg_export_value_at(o, k)->x)),
            tg_shape_text(tg_tensor_shape(tg_export_value_at(o, k)->x)).text);
    PUT(" *   scratch: %s_SCRATCH bytes, aligned as for a double */\n"
        "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n\n",
        o->name);
}

tg_status tg_export_print(tg_exporter *e)
{
    print_head(e);
    if (print_functions(e)) return tg_tape_status(e->t);
    for (uint32_t k = 0; k < e->n_buffers; k++)
        if (e->buffers[k].place == TG_AS_CONSTANT) print_constant(e, k);
    for (uint32_t k = 0; k < e->n_statements; k++)
        if (print_statement(e, k)) return tg_tape_status(e->t);
    print_entry(e);
    if (e->options.after) PUT("\n%s", e->options.after);
    return TG_OK;
}

#endif
