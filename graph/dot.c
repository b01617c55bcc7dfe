/* The tape as a drawing: Graphviz text of the recording and, if asked for, of the backward pass
 * that it would get. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>

#include "file.h"
#include "tape.h"

/* Text inside a quoted Graphviz string. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', out);
        if (*text == '\n') fputs("\\n", out);
        else fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
}

static void put_node(FILE *out, const tg_tape *t, uint32_t node, bool backward, bool loss)
{
    const tg_node *v = &t->recorded.node[node];
    const tg_type *type = &tg_node_type(t, node)->type;
    const tg_leaf *leaf = tg_is_leaf(v->op) ? &t->recorded.leaf[t->recorded.leaf_of[node]] : NULL;
    fprintf(out, "    n%u [label=\"", (unsigned)node);
    if (leaf && leaf->param) put_escaped(out, leaf->param->name);
    else put_escaped(out, v->op->name);
    if (v->op == &tg_op_constant) fprintf(out, " %g", leaf->value);
    fprintf(out, "\\n%s %s\", tooltip=\"", tg_dtype_name(type->dtype),
            tg_shape_text(type->shape).text);
    if (tg_node_where(t, node)) {
        put_escaped(out, tg_node_where(t, node));
        fputs(": ", out);
    }
    put_escaped(out, v->op->name);
    const int n_attrs = tg_node_n_attrs(t, v);
    for (int k = 0; k < n_attrs; k++) fprintf(out, " %lld", (long long)tg_node_attrs(t, v)[k]);
    fputc('"', out);
    if (leaf && leaf->param) fputs(", shape=box3d, fillcolor=\"#ffe2a8\"", out);
    else if (leaf) fputs(", shape=ellipse, fillcolor=\"#e4e4e4\"", out);
    else fprintf(out, ", fillcolor=\"%s\"", backward ? "#f3c5c5" : "#c9defa");
    fputs(loss ? ", peripheries=2];\n" : "];\n", out);
    const uint32_t *in = tg_node_inputs(t, v);
    for (uint32_t k = 0; k < v->n_in; k++)
        fprintf(out, "    n%u -> n%u%s;\n", (unsigned)in[k], (unsigned)node,
                backward ? " [color=\"#b04040\"]" : "");
}

/* Nodes before `forward` as they were recorded; of those behind it the live ones. Gradients point
 * back at their parameters. */
static void put_tape(FILE *out, const tg_tape *t, uint32_t forward, uint32_t loss, uint32_t n,
                     const uint32_t *leaves, tg_tensor *const *gx)
{
    fputs("digraph tape {\n    node [shape=box, style=\"filled,rounded\", fontname=\"sans-serif\", "
          "fontsize=11];\n    edge [arrowsize=0.7];\n",
          out);
    for (uint32_t v = 0; v < t->recorded.n; v++)
        if (v < forward || tg_is_live(t, v)) put_node(out, t, v, v >= forward, v == loss);
    for (uint32_t k = 0; k < n; k++)
        if (gx[k])
            fprintf(out, "    n%u -> n%u [style=dashed, constraint=false, color=\"#b04040\"];\n",
                    (unsigned)tg_slot_of(gx[k])->id, (unsigned)leaves[k]);
    fputs("}\n", out);
}

/* The picture is made in memory, where only memory can fail, and written in one piece. */
static tg_status write_file(tg_tape *t, const char *where, const char *path, uint32_t forward,
                            uint32_t loss, uint32_t n, const uint32_t *leaves, tg_tensor *const *gx)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out) put_tape(out, t, forward, loss, n, leaves, gx);
    const bool drawn = out && !ferror(out);
    if (!out || fclose(out) != 0 || !drawn) {
        free(text);
        return tg_tape_fail(t, where, "write_dot", TG_ENOMEM, "no memory");
    }
    tg_file target;
    const bool ok = tg_file_begin(&target, path) &&
                    (tg_file_put(&target, text, bytes), tg_file_finish(&target));
    free(text);
    return ok ? TG_OK
              : tg_tape_fail(t, where, "write_dot", TG_EIO, "%s: %s", path,
                             tg_errno_text(target.error).text);
}

/* What tg_backward would compute, recorded behind the forward pass. */
static tg_status record_backward(tg_tape *t, const char *where, tg_arena *memory, tg_tensor *loss,
                                 uint32_t *n, uint32_t **leaves, tg_tensor ***gx)
{
    uint32_t low, high;
    *leaves = tg_arena_take(memory, t->recorded.n_leaves * sizeof **leaves);
    *gx = tg_arena_take(memory, t->recorded.n_leaves * sizeof **gx);
    tg_tensor **x = tg_arena_take(memory, t->recorded.n_leaves * sizeof *x);
    if (!*leaves || !*gx || !x) return tg_tape_fail(t, where, "write_dot", TG_ENOMEM, "no memory");
    if (tg_mark_live(t, 1, &tg_slot_of(loss)->id, false, 0, &low, &high)) return tg_tape_status(t);
    for (size_t k = 0; k < t->recorded.n_leaves; k++) {
        const uint32_t node = t->recorded.leaf[k].node;
        if (t->recorded.node[node].op != &tg_op_param || !tg_is_live(t, node)) continue;
        (*leaves)[*n] = node;
        x[(*n)++] = tg_handle(t, node);
    }
    tg_clear_live(t, low, high);
    if (*n == 0)
        return tg_tape_fail(t, where, "write_dot", TG_ENOGRAD,
                            "the loss depends on no trainable parameter");
    return tg_grad_at(t, where, loss, NULL, (int)*n, x, *gx, true);
}

static tg_status draw(tg_tape *t, const char *where, tg_arena *memory, const char *path,
                      tg_tensor *loss)
{
    const uint32_t forward = t->recorded.n;
    uint32_t n = 0, *leaves = NULL, low = 1, high = 0;
    tg_tensor **gx = NULL;
    if (loss) {
        if (record_backward(t, where, memory, loss, &n, &leaves, &gx)) return tg_tape_status(t);
        uint32_t *targets = tg_arena_take(memory, n * sizeof *targets), n_targets = 0;
        if (!targets) return tg_tape_fail(t, where, "write_dot", TG_ENOMEM, "no memory");
        for (uint32_t k = 0; k < n; k++)
            if (gx[k]) targets[n_targets++] = tg_slot_of(gx[k])->id;
        if (tg_mark_live(t, n_targets, targets, false, 0, &low, &high)) return tg_tape_status(t);
    }
    const tg_status status = write_file(t, where, path, forward,
                                        loss ? tg_slot_of(loss)->id : UINT32_MAX, n, leaves, gx);
    tg_clear_live(t, low, high);
    return status;
}

static tg_status write_dot(tg_tape *t, const char *where, const char *path, tg_tensor *loss)
{
    if (tg_tape_status(t) != TG_OK) return tg_tape_status(t);
    if (!path) return tg_tape_fail(t, where, "write_dot", TG_ENULL, "no path is given");
    uint32_t node;
    if (loss && !tg_resolve(t, where, "write_dot", loss, &node)) return tg_tape_status(t);
    tg_arena memory;
    tg_arena_init(&memory, &t->allocator);
    const tg_mark mark = tg_tape_mark(t);
    const tg_status status = draw(t, where, &memory, path, loss ? tg_handle(t, node) : NULL);
    if (loss) tg_tape_cut(t, mark);
    tg_arena_free(&memory);
    return status;
}

tg_status tg_write_dot_at(tg_tape *t, const char *where, const char *path, tg_tensor *loss)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, write_dot(t, where, path, loss));
}
