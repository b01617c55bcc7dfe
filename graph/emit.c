/* The steps of a plan: instructions, registers, and the loops that groups walk. */
#include "base.h"
#include "planner.h"

/* Scratch that a step needs while it runs. */
static int64_t step_scratch(slab *s, int64_t bytes, hole *taken)
{
    *taken = (hole){tg_slab_take(s, bytes), bytes};
    return taken->offset;
}

/* ---------------------------------------------------------------- emitting groups */

/* Loop dimensions of a strided read, innermost first, those that run on joined. */
static void set_load(tg_load *load, const tg_array *a, tg_shape over)
{
    int lead = over.ndim - a->shape.ndim;
    load->size = (uint32_t)tg_dtype_size(a->dtype);
    load->ndim = 0;
    for (int k = over.ndim - 1; k >= 0; k--) {
        int64_t stride = k < lead || (a->shape.dim[k - lead] == 1 && over.dim[k] != 1)
                             ? 0
                             : a->stride[k - lead] * load->size;
        if (over.dim[k] == 1) continue;
        int last = load->ndim - 1;
        if (last >= 0 && load->stride[last] * load->dim[last] == stride) {
            load->dim[last] *= over.dim[k];
            continue;
        }
        load->dim[load->ndim] = over.dim[k];
        load->stride[load->ndim++] = stride;
    }
    if (load->ndim == 1 && load->stride[0] == 0) load->ndim = 0;
}

static bool reads_in_place(const tg_load *load, int64_t count)
{
    return count == 1 || (load->ndim == 1 && load->stride[0] == load->size);
}

typedef struct registers {
    uint32_t *free;
    uint32_t n_free, n_temps;
    uint32_t n_pointers;
} registers;

/* Pointer registers are numbered from the top until the number of temps is known. */
#define POINTER 0x80000000u

static uint32_t take_temp(registers *r) { return r->n_free ? r->free[--r->n_free] : r->n_temps++; }

static void set_walk(planner *p, tg_group *group, uint32_t fold)
{
    group->outer = 1;
    group->reduced = group->count;
    group->inner = 1;
    group->walk = TG_FLAT;
    group->block = TG_CHUNK;
    if (fold) {
        walk_shape w = walk_of_fold(p, fold - 1);
        group->outer = w.outer;
        group->reduced = w.reduced;
        group->inner = w.inner;
        group->walk = w.inner > 1            ? TG_COLUMNS
                      : w.reduced > TG_CHUNK ? TG_LONG_ROWS
                                             : TG_SHORT_ROWS;
        if (group->walk == TG_SHORT_ROWS) group->block = w.reduced ? TG_CHUNK / w.reduced : 1;
        else if (group->walk == TG_COLUMNS)
            group->block = w.inner < TG_CHUNK
                               ? (TG_CHUNK / w.inner < TG_ROWS ? TG_CHUNK / w.inner : TG_ROWS)
                               : 1;
    }
    int64_t rows = (group->reduced + TG_ROWS - 1) / TG_ROWS,
            strips = (group->inner + TG_CHUNK - 1) / TG_CHUNK;
    switch (group->walk) {
    case TG_FLAT: group->units = (group->count + group->block - 1) / group->block; break;
    case TG_SHORT_ROWS: group->units = (group->outer + group->block - 1) / group->block; break;
    case TG_LONG_ROWS:
        group->units = group->outer * ((group->reduced + TG_CHUNK - 1) / TG_CHUNK);
        break;
    case TG_COLUMNS: group->units = group->outer * rows * strips;
    }
}

/* Elements of scratch that a fold needs for its partial results. */
static int64_t partial_count(const tg_group *group)
{
    if (group->walk == TG_LONG_ROWS) return group->units;
    if (group->walk == TG_COLUMNS && group->reduced > TG_ROWS)
        return group->outer * ((group->reduced + TG_ROWS - 1) / TG_ROWS) * group->inner;
    return 0;
}

static void copy_1(const tg_span *s, void *y, const void *const *x)
{
    memcpy(y, x[0], (size_t)s->n);
}
static void copy_4(const tg_span *s, void *y, const void *const *x)
{
    memcpy(y, x[0], (size_t)s->n * 4);
}
static void copy_8(const tg_span *s, void *y, const void *const *x)
{
    memcpy(y, x[0], (size_t)s->n * 8);
}

static tg_span_fn copier(size_t size) { return size == 1 ? copy_1 : size == 4 ? copy_4 : copy_8; }

/* The register in which group member v reads node u, loading it if need be. */
static uint32_t operand_register(planner *p, tg_group *group, registers *r, uint32_t stamp,
                                 uint32_t v, uint32_t u)
{
    if (p->node[u].reg_stamp == stamp) return p->node[u].reg;
    tg_load load = {.from = ref_of(p, u)};
    tg_array a;
    array_of(p, u, &a);
    set_load(&load, &a, walked_type(p, v)->type.shape);
    p->node[u].reg_stamp = stamp;
    if (reads_in_place(&load, group->count)) {
        p->node[u].reg = POINTER + r->n_pointers++;
        group->moves[group->n_moves++] = (tg_move){load.from, p->node[u].reg, load.size};
    } else {
        p->node[u].reg = load.reg = r->n_temps++;
        group->loads[group->n_loads++] = load;
    }
    return p->node[u].reg;
}

/* Renumbers pointer registers behind the temps. */
static uint32_t settle(const registers *r, uint32_t reg)
{
    return reg & POINTER ? reg - POINTER + r->n_temps : reg;
}

static void settle_registers(tg_group *group, const registers *r)
{
    for (uint32_t k = 0; k < group->n_moves; k++)
        group->moves[k].reg = settle(r, group->moves[k].reg);
    for (uint32_t k = 0; k < group->n_instructions; k++) {
        tg_instruction *i = &group->instructions[k];
        i->y = settle(r, i->y);
        for (int x = 0; x < TG_SPAN_INPUTS; x++) i->x[x] = settle(r, i->x[x]);
    }
    for (uint32_t k = 0; k < group->n_folds; k++)
        group->folds[k].reg = settle(r, group->folds[k].reg);
    group->n_temps = r->n_temps;
    group->n_registers = r->n_temps + r->n_pointers;
}

static void size_registers(planner *p, tg_group *group, size_t element)
{
    int64_t n = group->walk == TG_FLAT || group->walk == TG_LONG_ROWS ? group->block
                : group->walk == TG_SHORT_ROWS ? group->block * group->reduced
                : group->inner < TG_CHUNK      ? group->block * group->inner
                                               : TG_CHUNK;
    n = n < group->count ? n : group->count;
    group->temp_bytes = n <= 1 ? 8 : (size_t)round_up(n * (int64_t)element);
    size_t bytes = (size_t)round_up((int64_t)(group->n_registers * sizeof(void *))) +
                   (size_t)round_up((int64_t)(group->n_temps * group->temp_bytes));
    p->plan->register_bytes = bytes > p->plan->register_bytes ? bytes : p->plan->register_bytes;
}

static bool is_temp_of(const planner *p, uint32_t u, uint32_t step)
{
    return p->node[u].kind == SPAN && p->node[u].step == step && !p->node[u].stored;
}

/* Frees the temps that v reads last. Those with elements as wide as v's can become v's own; others
 * would be overwritten while they are read. */
static void release_operands(planner *p, registers *r, uint32_t position, uint32_t v, size_t size,
                             bool as_wide)
{
    for (uint32_t x = 0; x < p->g->node[v].n_in; x++) {
        uint32_t u = input(p, v, x);
        if (is_temp_of(p, u, position) &&
            (tg_dtype_size(type_of(p, u)->type.dtype) == size) == as_wide && --p->node[u].uses == 0)
            r->free[r->n_free++] = p->node[u].reg;
    }
}

static tg_group *emit_group(planner *p, uint32_t position, slab *s, hole *scratch,
                            uint32_t *n_scratch)
{
    const planned_step *step = &p->steps[p->order[position]];
    const uint32_t *member = &p->member[step->members];
    const tg_graph *g = p->g;
    tg_group *group = keep(p, sizeof *group);
    uint32_t n_operands = 0, n_folds = 0;
    for (uint32_t k = 0; k < step->count; k++) {
        n_operands += g->node[member[k]].n_in;
        n_folds += p->node[member[k]].kind == FOLD;
    }
    registers r = {.free = take(p, (step->count + 1) * sizeof *r.free)};
    if (p->failed) return NULL;
    *group = (tg_group){.node = member[0], .count = walked_type(p, member[0])->count};
    group->instructions = keep(p, (step->count + 1) * sizeof *group->instructions);
    group->loads = take(p, (n_operands + 1) * sizeof *group->loads);
    group->moves = take(p, (n_operands + step->count + 1) * sizeof *group->moves);
    group->folds = keep(p, (n_folds + 1) * sizeof *group->folds);
    if (p->failed) return NULL;
    set_walk(p, group,
             p->node[member[0]].kind == COPY ? 0
             : p->request->node_by_node      ? (n_folds ? member[0] + 1 : 0)
                                             : p->node[step->first].walk_of);
    uint32_t stamp = position + 1;
    size_t element = 1;
    for (uint32_t k = 0; k < step->count; k++)
        for (uint32_t i = 0; i < g->node[member[k]].n_in; i++) {
            uint32_t u = input(p, member[k], i);
            size_t size = tg_dtype_size(type_of(p, u)->type.dtype);
            element = size > element ? size : element;
            p->node[u].uses += is_temp_of(p, u, position);
        }
    for (uint32_t k = 0; k < step->count; k++) {
        uint32_t v = member[k];
        const tg_node *node = &g->node[v];
        tg_dtype dtype = type_of(p, input(p, v, node->n_in - 1))->type.dtype;
        size_t size = tg_dtype_size(type_of(p, v)->type.dtype);
        element = size > element ? size : element;
        if (p->node[v].kind == FOLD) {
            const tg_folds *folds = node->op->fold;
            tg_fold_part *part = &group->folds[group->n_folds++];
            *part = (tg_fold_part){.fold = tg_fold_of(folds, dtype, p->t->build),
                                   .combine = tg_span_of(folds->combine, dtype, p->t->build),
                                   .reg = operand_register(p, group, &r, stamp, v, input(p, v, 0)),
                                   .size = (uint32_t)size,
                                   .y = p->node[v].at};
            int64_t partial = partial_count(group);
            if (partial)
                part->partial =
                    (tg_ref){0, step_scratch(s, partial * (int64_t)size, &scratch[(*n_scratch)++])};
            continue;
        }
        tg_instruction *i = &group->instructions[group->n_instructions++];
        *i = (tg_instruction){.run = p->node[v].kind == COPY
                                         ? copier(size)
                                         : tg_span_of(node->op->span, dtype, p->t->build)};
        int n_attrs = tg_graph_n_attrs(g, v);
        if (n_attrs && p->node[v].kind != COPY)
            i->attrs = keep_copy(p, tg_graph_attrs(g, v), (size_t)n_attrs * sizeof(int64_t));
        for (uint32_t x = 0; x < node->n_in; x++)
            i->x[x] = operand_register(p, group, &r, stamp, v, input(p, v, x));
        release_operands(p, &r, position, v, size, true);
        if (p->node[v].stored) {
            i->y = POINTER + r.n_pointers++;
            group->moves[group->n_moves++] = (tg_move){p->node[v].at, i->y, (uint32_t)size};
        } else {
            i->y = take_temp(&r);
        }
        release_operands(p, &r, position, v, size, false);
        p->node[v].reg = i->y;
        p->node[v].reg_stamp = stamp;
    }
    group->side_by_side = group->walk == TG_SHORT_ROWS && group->reduced > 1 &&
                          group->reduced < 32 && group->outer >= 8;
    if (group->walk == TG_COLUMNS || group->side_by_side) group->room = r.n_temps++;
    group->loads = keep_copy(p, group->loads, group->n_loads * sizeof *group->loads);
    group->moves = keep_copy(p, group->moves, group->n_moves * sizeof *group->moves);
    if (p->failed) return NULL;
    settle_registers(group, &r);
    size_registers(p, group, element);
    return group;
}

/* ---------------------------------------------------------------- emitting calls */

static tg_plan_call *emit_call(planner *p, uint32_t position, slab *s, hole *scratch,
                               uint32_t *n_scratch)
{
    uint32_t v = p->steps[p->order[position]].first;
    const tg_node *node = &p->g->node[v];
    tg_plan_call *c = keep(p, sizeof *c);
    if (!c) return NULL;
    *c = (tg_plan_call){.op = node->op, .node = v, .y_at = p->node[v].at};
    int n_attrs = tg_graph_n_attrs(p->g, v);
    const int64_t *attrs = keep_copy(p, tg_graph_attrs(p->g, v), (size_t)n_attrs * sizeof *attrs);
    c->x = keep(p, (node->n_in + 1) * sizeof *c->x);
    c->operands = keep(p, (node->n_in + 1) * sizeof *c->operands);
    if (p->failed) return NULL;
    for (uint32_t k = 0; k < node->n_in; k++) {
        uint32_t u = input(p, v, k);
        tg_operand *o = &c->operands[k];
        array_of(p, u, &c->x[k]);
        *o = (tg_operand){.at = ref_of(p, u)};
        c->x[k].data = NULL;
        if (!(node->op->flags & TG_STRIDED) && !tg_array_contiguous(&c->x[k])) {
            o->gather = true;
            o->source = c->x[k];
            o->scratch =
                (tg_ref){0, step_scratch(s, (int64_t)bytes_of(p, u), &scratch[(*n_scratch)++])};
            contiguous_array(&type_of(p, u)->type, &c->x[k]);
            c->x[k].data = NULL;
        }
    }
    contiguous_array(&type_of(p, v)->type, &c->y);
    c->y.data = NULL;
    c->call = (tg_call){.n_in = (int)node->n_in,
                        .n_attrs = n_attrs,
                        .x = c->x,
                        .y = &c->y,
                        .attrs = attrs,
                        .build = p->t->build};
    if (node->op->prepare) {
        void *prepared = keep(p, node->op->prepared);
        if (!prepared) return NULL;
        node->op->prepare(&c->call, prepared);
        c->call.prepared = prepared;
    }
    int64_t bytes = node->op->scratch ? node->op->scratch(&c->call) : 0;
    if (bytes > 0) c->scratch = (tg_ref){0, step_scratch(s, bytes, &scratch[(*n_scratch)++])};
    return c;
}

/* An output that is a leaf, a view, or another output's value gets a copy of it. */
static tg_group *emit_copy(planner *p, uint32_t v, uint32_t output)
{
    tg_group *group = keep(p, sizeof *group);
    if (!group) return NULL;
    const tg_type_entry *type = type_of(p, v);
    size_t size = tg_dtype_size(type->type.dtype);
    *group = (tg_group){.node = v, .count = type->count};
    group->instructions = keep(p, sizeof *group->instructions);
    group->loads = keep(p, sizeof *group->loads);
    group->moves = keep(p, 2 * sizeof *group->moves);
    if (p->failed) return NULL;
    registers r = {0};
    set_walk(p, group, 0);
    tg_load load = {.from = ref_of(p, v)};
    tg_array a;
    array_of(p, v, &a);
    set_load(&load, &a, type->type.shape);
    uint32_t x;
    if (reads_in_place(&load, group->count)) {
        x = POINTER + r.n_pointers++;
        group->moves[group->n_moves++] = (tg_move){load.from, x, load.size};
    } else {
        x = load.reg = r.n_temps++;
        group->loads[group->n_loads++] = load;
    }
    uint32_t y = POINTER + r.n_pointers++;
    group->moves[group->n_moves++] = (tg_move){{output_base(p, output), 0}, y, (uint32_t)size};
    group->instructions[group->n_instructions++] =
        (tg_instruction){.run = copier(size), .y = y, .x = {x}};
    settle_registers(group, &r);
    size_registers(p, group, size);
    return group;
}

/* ---------------------------------------------------------------- all together */

/* Steps in order: memory for what each computes, its instructions, and back what is read for the
 * last time. */
void tg_plan_emit(planner *p)
{
    tg_plan *plan = p->plan;
    plan->n_steps = p->n_steps + p->copies;
    plan->steps = keep(p, (plan->n_steps + 1) * sizeof *plan->steps);
    uint32_t *dying = take(p, (p->n + 1) * sizeof *dying),
             *next = take(p, (p->n_steps + 1) * sizeof *next);
    slab s = {.p = p, .holes = take(p, 64 * sizeof(hole)), .capacity = 64};
    uint32_t most = 2;
    for (uint32_t k = 0; k < p->n_steps; k++)
        for (uint32_t i = 0; i < p->steps[k].count; i++) {
            uint32_t need = p->g->node[p->member[p->steps[k].members + i]].n_in + 2;
            if (p->steps[k].call) most = need > most ? need : most;
        }
    uint32_t n_folds = 0;
    for (uint32_t v = 0; v < p->n; v++) n_folds += p->node[v].kind == FOLD;
    hole *scratch = take(p, (most + n_folds) * sizeof *scratch);
    if (p->failed) return;
    for (uint32_t k = 0; k < p->n_steps; k++) next[k] = NONE;
    for (uint32_t v = p->n; v-- > 0;)
        if (p->node[v].stored && computed(p, v) && !p->node[v].output &&
            p->node[v].last < p->n_steps) {
            uint32_t at = p->node[v].last > p->node[v].step ? p->node[v].last : p->node[v].step;
            dying[v] = next[at];
            next[at] = v;
        }
    for (uint32_t k = 0; k < p->n_steps && !p->failed; k++) {
        const planned_step *step = &p->steps[p->order[k]];
        uint32_t n_scratch = 0;
        tg_plan_place_results(p, &s, step, k);
        plan->steps[k] = (tg_step){0};
        if (step->call) plan->steps[k].call = emit_call(p, k, &s, scratch, &n_scratch);
        else plan->steps[k].group = emit_group(p, k, &s, scratch, &n_scratch);
        if (p->request->node_by_node) continue;
        for (uint32_t i = 0; i < n_scratch; i++)
            tg_slab_give(&s, scratch[i].offset, scratch[i].bytes);
        for (uint32_t v = next[k]; v != NONE; v = dying[v])
            if (!p->node[v].kept) tg_slab_give(&s, p->node[v].at.offset, (int64_t)bytes_of(p, v));
    }
    uint32_t at = p->n_steps;
    for (uint32_t k = 0; k < p->g->n_targets && !p->failed; k++) {
        uint32_t v = p->node[p->g->targets[k]].rep, m = tg_plan_maker(p, v);
        if (m == NONE || p->node[m].output != k + 1)
            plan->steps[at++] = (tg_step){.group = emit_copy(p, v, k)};
    }
    plan->slab_bytes = (size_t)s.top;
}

/* Node-by-node plans remember where everything lies. */
