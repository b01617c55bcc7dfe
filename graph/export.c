/* A recording as one C file: a static function for each statement (a pass over elements, a
 * reduction, an op's own text, a carried kernel, a copy), and one that calls them in the order of
 * recording on constants, arguments and a slab laid out by lifetimes. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exporter.h"
#include "file.h"

#ifdef TG_LEAN

void tg_source_print(tg_source *s, const char *format, ...) { (void)s, (void)format; }

tg_status tg_export_c_at(tg_tape *t, const char *where, const char *path,
                         const tg_export_options *options)
{
    (void)path, (void)options;
    return t ? tg_tape_fail(t, where, "export_c", TG_ESTATE, "built without export") : TG_ENOMEM;
}

#else

enum { LONGEST_COLUMN = 65536, LONGEST_ROW = 1 << 20 };

static tg_status fail(tg_exporter *e, tg_status status, const char *what)
{
    return tg_tape_fail(e->t, e->where, "export_c", status, "%s", what);
}

tg_status tg_export_no_memory(tg_exporter *e) { return fail(e, TG_ENOMEM, "no memory"); }

tg_status tg_export_refuse(tg_exporter *e, uint32_t node, const char *why)
{
    return tg_tape_fail(e->t, tg_node_where(e->t, node), tg_node_text(e->t, node).text, TG_EVALUE,
                        "can't be exported: %s", why);
}

/* ---------------------------------------------------------------- names */

static tg_status check_names(tg_exporter *e)
{
    const tg_export_options *o = &e->options;
    if (o->n_out < 1 || o->n_in < 0) return fail(e, TG_EVALUE, "no outputs are given");
    if (!o->out || (o->n_in && !o->in)) return fail(e, TG_ENULL, "no tensors are given");
    for (int k = -1; k < o->n_in + o->n_out; k++) {
        const char *name = k < 0 ? o->name : tg_export_value_at(o, k)->name;
        bool good = tg_is_identifier(name) && (k < 0 || strcmp(name, o->name) != 0);
        for (int i = 0; good && i < k; i++)
            good = strcmp(name, tg_export_value_at(o, i)->name) != 0;
        if (!good)
            return tg_tape_fail(e->t, e->where, "export_c", TG_EVALUE,
                                "\"%s\" is no free C identifier", name ? name : "");
    }
    return TG_OK;
}

/* ---------------------------------------------------------------- statements */

void tg_export_contiguous(tg_array *a)
{
    int64_t step = 1;
    a->data = TG_ORIGIN;
    for (int k = a->shape.ndim - 1; k >= 0; k--) {
        a->stride[k] = step;
        step *= a->shape.dim[k];
    }
}

static tg_export_operand new_operand(tg_exporter *e, tg_export_buffer b, const tg_type *type)
{
    tg_export_operand o = {.buffer = e->n_buffers,
                           .array = {.dtype = type->dtype, .shape = type->shape}};
    tg_export_contiguous(&o.array);
    b.dtype = type->dtype;
    b.count = tg_shape_count(type->shape);
    e->buffers[e->n_buffers++] = b;
    return o;
}

/* Appends a statement whose result is of `type`. */
static tg_export_operand append(tg_exporter *e, tg_statement_kind made_by, uint32_t node,
                                uint32_t n_in, tg_export_operand *x, const tg_type *type)
{
    const tg_export_buffer b = {
        .place = TG_IN_SLAB, .first = e->n_statements, .last = e->n_statements};
    const tg_export_operand y = new_operand(e, b, type);
    for (uint32_t k = 0; k < n_in; k++) e->buffers[x[k].buffer].last = e->n_statements;
    e->statements[e->n_statements++] =
        (tg_statement){.kind = made_by, .node = node, .n_in = n_in, .x = x, .y = y};
    return y;
}

static tg_export_operand contiguous(tg_exporter *e, uint32_t node, tg_export_operand x)
{
    if (tg_array_contiguous(&x.array)) return x;
    tg_export_operand *from = tg_arena_take(&e->memory, sizeof *from);
    if (!from) {
        tg_export_no_memory(e);
        return x;
    }
    *from = x;
    return append(e, TG_COPIES, node, 1, from, &(tg_type){x.array.dtype, x.array.shape});
}

/* The function's number; the texts of equal ones are literals at one address. */
static uint32_t function_of(tg_exporter *e, tg_export_function f)
{
    for (uint32_t k = 0; k < e->n_functions; k++) {
        const tg_export_function *g = &e->functions[k];
        if (g->text == f.text && g->y == f.y && g->first == f.first && g->rest == f.rest &&
            g->n_in == f.n_in && g->folds == f.folds)
            return k;
    }
    e->functions[e->n_functions] = f;
    return e->n_functions++;
}

static tg_status add_leaf(tg_exporter *e, uint32_t node)
{
    const tg_leaf *leaf = &e->t->recorded.leaf[e->t->recorded.leaf_of[node]];
    tg_export_buffer b = {.place = TG_AS_CONSTANT, .node = node};
    for (int k = 0; k < e->options.n_in; k++) {
        uint32_t given;
        if (!tg_resolve(e->t, e->where, "export_c", e->options.in[k].x, &given))
            return tg_tape_status(e->t);
        if (given != node) continue;
        b.place = TG_AS_ARGUMENT;
        b.name = e->options.in[k].name;
    }
    if (b.place == TG_AS_CONSTANT && leaf->param && tg_param_is_stale(e->t, leaf->param))
        return tg_export_refuse(e, node, "the parameter was changed after it was recorded");
    e->of[node - e->low] = new_operand(e, b, &tg_node_type(e->t, node)->type);
    return TG_OK;
}

static tg_status add_view(tg_exporter *e, uint32_t node)
{
    const tg_node *v = &e->t->recorded.node[node];
    const tg_type *type = &tg_node_type(e->t, node)->type;
    tg_export_operand x = e->of[tg_node_inputs(e->t, v)[0] - e->low];
    tg_export_operand y = {.array = {.dtype = type->dtype, .shape = type->shape}};
    const int n_attrs = tg_node_n_attrs(e->t, v);
    const int64_t *attrs = tg_node_attrs(e->t, v);
    if (!v->op->view(&x.array, &y.array, n_attrs, attrs)) {
        x = contiguous(e, node, x);
        if (!v->op->view(&x.array, &y.array, n_attrs, attrs))
            return tg_export_refuse(e, node, "its view of contiguous memory failed");
    }
    y.buffer = x.buffer;
    e->of[node - e->low] = y;
    return TG_OK;
}

/* What a node carries, and what that stands on; false: the build knows no such text. */
static bool carry(tg_exporter *e, const char *names)
{
    while (*names == ' ') names++;
    if (!*names) return true;
    const int alone = tg_carried_find("alone"), k = tg_carried_find(names);
    if (k < 0) return false;
    e->carries[alone] = e->carries[k] = true;
    for (const char *on = tg_carried_texts[k].on; *on; on += strcspn(on, " ")) {
        while (*on == ' ') on++;
        if (*on && !carry(e, on)) return false;
    }
    return true;
}

static uint32_t room(tg_exporter *e, int64_t bytes)
{
    const tg_export_buffer b = {
        .place = TG_IN_SLAB, .first = e->n_statements, .last = e->n_statements};
    return bytes ? new_operand(e, b, &(tg_type){TG_U8, TG_SHAPE(bytes)}).buffer : 0;
}

/* Functions over blocks want operands that are as large as the result. */
static tg_status add_span(tg_exporter *e, uint32_t node, uint32_t n_in, tg_export_operand *x)
{
    const tg_type *type = &tg_node_type(e->t, node)->type;
    const tg_spans *span = e->t->recorded.node[node].op->span;
    for (uint32_t k = 0; k < n_in; k++) {
        tg_array wide = {.data = x[k].array.data, .dtype = x[k].array.dtype, .shape = type->shape};
        const int lead = type->shape.ndim - x[k].array.shape.ndim;
        for (int d = lead; d < type->shape.ndim; d++)
            if (x[k].array.shape.dim[d - lead] != 1) wide.stride[d] = x[k].array.stride[d - lead];
        x[k].array = wide;
        x[k] = contiguous(e, node, x[k]);
    }
    if (!carry(e, span->carried)) return tg_export_refuse(e, node, "its text is missing");
    e->calls = true;
    e->of[node - e->low] = append(e, TG_SPANS_ALL, node, n_in, x, type);
    return TG_OK;
}

static tg_status add_elements(tg_exporter *e, uint32_t node, uint32_t n_in, tg_export_operand *x)
{
    const tg_spans *span = e->t->recorded.node[node].op->span;
    const tg_type *type = &tg_node_type(e->t, node)->type;
    const char *text = span->text, *carried = NULL;
    const bool alone = text && tg_is_self_contained(text, NULL);
    if (!alone && span->size >= offsetof(tg_spans, carried) + sizeof carried)
        carried = span->carried;
    if (!text && carried) return add_span(e, node, n_in, x);
    const int of = carried ? tg_carried_find(carried) : -1;
    if (!alone &&
        (!text || of < 0 || !tg_is_self_contained(text, (const char *)tg_carried_texts[of].text)))
        return tg_export_refuse(e, node, "it has no text in C");
    if (carried && !carry(e, carried)) return tg_export_refuse(e, node, "its text is missing");
    if (carried) e->open[of] = true;
    if (n_in > 3) return tg_export_refuse(e, node, "it has more than three operands");
    const uint32_t f =
        function_of(e, (tg_export_function){text, type->dtype, x[0].array.dtype,
                                            x[n_in - 1].array.dtype, (int)n_in, NULL});
    e->of[node - e->low] = append(e, TG_ELEMENTS, node, n_in, x, type);
    e->statements[e->n_statements - 1].function = f;
    return TG_OK;
}

tg_call tg_export_call(const tg_exporter *e, const tg_statement *s, tg_array *x)
{
    const tg_node *v = &e->t->recorded.node[s->node];
    for (uint32_t k = 0; k < s->n_in; k++) x[k] = s->x[k].array;
    return (tg_call){.n_in = (int)s->n_in,
                     .n_attrs = tg_node_n_attrs(e->t, v),
                     .x = x,
                     .y = &s->y.array,
                     .attrs = tg_node_attrs(e->t, v),
                     .threads = 1,
                     .key = e->t->key};
}

/* A kernel that is carried, with the scratch that it asks for. */
static tg_status add_call(tg_exporter *e, uint32_t node, uint32_t n_in, tg_export_operand *x)
{
    const tg_op *op = e->t->recorded.node[node].op;
    tg_array *x_of = tg_arena_take(&e->memory, n_in * sizeof *x_of + 1);
    void *prepared = tg_arena_take(&e->memory, op->prepared + 1);
    if (!x_of || !prepared) return tg_export_no_memory(e);
    if (!carry(e, op->carried)) return tg_export_refuse(e, node, "its text is missing");
    e->calls = true;
    e->draws = e->draws || (op->flags & TG_DRAWS);
    e->of[node - e->low] = append(e, TG_CALLS, node, n_in, x, &tg_node_type(e->t, node)->type);
    tg_statement *s = &e->statements[e->n_statements - 1];
    tg_call c = tg_export_call(e, s, x_of);
    tg_array y = *c.y;
    c.y = &y;
    y.data = NULL; /* as in a plan that is not run yet */
    for (uint32_t k = 0; k < n_in; k++) x_of[k].data = NULL;
    if (op->prepare) op->prepare(&c, prepared);
    c.prepared = prepared;
    e->n_statements--;
    s->room = room(e, op->scratch ? op->scratch(&c) : 0);
    e->n_statements++;
    return TG_OK;
}

tg_extent tg_export_extent(const tg_exporter *e, uint32_t node, const tg_shape *shape)
{
    const int64_t *attrs = tg_node_attrs(e->t, &e->t->recorded.node[node]);
    tg_extent w = {1, 1, 1};
    for (int k = 0; k < shape->ndim; k++)
        *(k < attrs[0] ? &w.outer : k <= attrs[1] ? &w.reduced : &w.inner) *= shape->dim[k];
    return w;
}

static tg_status add_fold(tg_exporter *e, uint32_t node, tg_export_operand *x)
{
    const tg_folds *folds = e->t->recorded.node[node].op->fold;
    const tg_type *type = &tg_node_type(e->t, node)->type;
    if (!folds->combine->text) return tg_export_refuse(e, node, "it has no text in C");
    x[0] = contiguous(e, node, x[0]);
    const tg_extent w = tg_export_extent(e, node, &x[0].array.shape);
    if (w.reduced > (w.inner > 1 ? LONGEST_COLUMN : LONGEST_ROW))
        return tg_export_refuse(e, node, "too many elements are reduced to one");
    const uint32_t f = function_of(e, (tg_export_function){folds->combine->text, type->dtype,
                                                           type->dtype, type->dtype, 2, folds});
    e->of[node - e->low] = append(e, TG_FOLDS_ROWS, node, 1, x, type);
    e->statements[e->n_statements - 1].function = f;
    return TG_OK;
}

static tg_status add_node(tg_exporter *e, uint32_t node)
{
    const tg_node *v = &e->t->recorded.node[node];
    const tg_op *op = v->op;
    if (tg_is_leaf(op)) return add_leaf(e, node);
    if (op->view) return add_view(e, node);
    tg_export_operand *x = tg_arena_take(&e->memory, v->n_in * sizeof *x + 1);
    if (!x) return tg_export_no_memory(e);
    for (uint32_t k = 0; k < v->n_in; k++) x[k] = e->of[tg_node_inputs(e->t, v)[k] - e->low];
    if (op->span) {
        e->draws = e->draws || (op->flags & TG_DRAWS);
        return add_elements(e, node, v->n_in, x);
    }
    if (op->fold) return add_fold(e, node, x);
    const bool carried = op->size >= offsetof(tg_op, carried) + sizeof op->carried && op->carried;
    const bool prints = op->size >= offsetof(tg_op, print) + sizeof op->print && op->print;
    if (!prints && !carried) return tg_export_refuse(e, node, "it has no text in C");
    for (uint32_t k = 0; k < v->n_in && !(op->flags & TG_STRIDED); k++)
        x[k] = contiguous(e, node, x[k]);
    if (!prints) return add_call(e, node, v->n_in, x);
    e->of[node - e->low] = append(e, TG_PRINTS, node, v->n_in, x, &tg_node_type(e->t, node)->type);
    return TG_OK;
}

/* ---------------------------------------------------------------- the slab */

/* What is empty has a place of its own as well: compilers look at addresses. */
static int64_t room_of(const tg_export_buffer *b)
{
    const int64_t bytes = b->count * (int64_t)tg_dtype_size(b->dtype);
    return bytes > 0 ? bytes : 1;
}

/* Each value at the lowest place where no living one is. Memory is not shared between dtypes, which
 * C's rules of aliasing would not allow. */
static void lay_out(tg_exporter *e)
{
    for (uint32_t k = 0; k < e->n_buffers; k++) {
        tg_export_buffer *b = &e->buffers[k];
        if (b->place != TG_IN_SLAB) continue;
        const int64_t bytes = room_of(b);
        bool moved = true;
        while (moved) {
            moved = false;
            for (uint32_t i = 0; i < k; i++) {
                const tg_export_buffer *o = &e->buffers[i];
                const int64_t end = o->at + room_of(o);
                if (o->place != TG_IN_SLAB || (o->dtype == b->dtype && o->last < b->first) ||
                    b->at >= end || b->at + bytes <= o->at)
                    continue;
                b->at = (end + 63) / 64 * 64;
                moved = true;
            }
        }
        if (b->at + bytes > e->slab) e->slab = b->at + bytes;
    }
}

/* The file is made in memory, so that what can't be exported is known before anything is
 * written. */
static tg_status write_file(tg_exporter *e, const char *path)
{
    char *text = NULL;
    size_t bytes = 0;
    e->source.out = open_memstream(&text, &bytes);
    if (!e->source.out) return tg_export_no_memory(e);
    tg_status status = tg_export_print(e);
    const bool whole = !ferror(e->source.out);
    if ((fclose(e->source.out) != 0 || !whole) && !status) status = tg_export_no_memory(e);
    tg_file target;
    if (!status && !(tg_file_begin(&target, path) &&
                     (tg_file_put(&target, text, bytes), tg_file_finish(&target))))
        status = tg_tape_fail(e->t, e->where, "export_c", TG_EIO, "%s: %s", path,
                              tg_errno_text(target.error).text);
    free(text);
    return status;
}

static tg_status collect(tg_exporter *e)
{
    const tg_tape *t = e->t;
    size_t most = 1;
    for (uint32_t v = e->low; v <= e->high; v++)
        if (tg_is_live(t, v)) most += 2 + t->recorded.node[v].n_in;
    e->of = tg_arena_take(&e->memory, (e->high - e->low + 1) * sizeof *e->of);
    e->buffers = tg_arena_take(&e->memory, most * sizeof *e->buffers);
    e->statements = tg_arena_take(&e->memory, most * sizeof *e->statements);
    e->functions = tg_arena_take(&e->memory, most * sizeof *e->functions);
    e->carries = tg_arena_take(&e->memory, 2 * tg_carried_count * sizeof *e->carries);
    if (!e->carries || !e->of || !e->buffers || !e->statements || !e->functions)
        return tg_export_no_memory(e);
    memset(e->carries, 0, 2 * tg_carried_count * sizeof *e->carries);
    e->open = e->carries + tg_carried_count;
    e->buffers[0] = (tg_export_buffer){.place = TG_AS_ARGUMENT};
    e->n_buffers = 1; /* 0 is none */
    for (uint32_t v = e->low; v <= e->high; v++)
        if (tg_is_live(t, v) && (add_node(e, v) || tg_tape_status(t))) return tg_tape_status(t);
    for (int k = 0; k < e->options.n_out; k++)
        e->buffers[tg_export_output(e, k)->buffer].last = UINT32_MAX;
    lay_out(e);
    return TG_OK;
}

static tg_status export(tg_exporter *e, const char *path)
{
    tg_tape *t = e->t;
    const tg_export_options *o = &e->options;
    if (check_names(e)) return tg_tape_status(t);
    uint32_t node;
    e->targets = tg_arena_take(&e->memory, (size_t)o->n_out * sizeof *e->targets);
    if (!e->targets) return tg_export_no_memory(e);
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
    tg_exporter e = {.t = t, .where = where};
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
