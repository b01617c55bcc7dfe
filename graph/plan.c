/* The planner: from the live part of a recording to steps over memory. */
#include "planner.h"

static void keep_seen(planner *p)
{
    tg_plan *plan = p->plan;
    plan->seen = keep(p, (p->n + 1) * sizeof *plan->seen);
    plan->seen_inputs = keep(p, (p->n + 1) * sizeof *plan->seen_inputs);
    for (uint32_t v = 0; v < p->n && !p->failed; v++) {
        uint32_t r = p->rep[v], n = p->g->node[v].n_in, *in = keep(p, (n + 1) * sizeof *in);
        for (uint32_t k = 0; in && k < n; k++) in[k] = input(p, v, k);
        plan->seen_inputs[v] = (tg_seen_inputs){n, in};
        if (p->place[p->root[r]].placed) {
            plan->seen[v].at = ref_of(p, r);
            array_of(p, r, &plan->seen[v].array);
        }
    }
}

static void allocate_tables(planner *p)
{
    size_t n = (size_t)p->n + 1;
    uint32_t **tables[] = {&p->rep,  &p->root, &p->level,  &p->parent, &p->walk_of, &p->last_user,
                           &p->step, &p->last, &p->output, &p->reg,    &p->array_of};
    for (size_t k = 0; k < sizeof tables / sizeof tables[0]; k++)
        *tables[k] = take(p, n * sizeof(uint32_t));
    p->kept = take_zeroed(p, n);
    p->reader = take_zeroed(p, n * sizeof(uint32_t));
    p->reg_stamp = take_zeroed(p, n * sizeof(uint32_t));
    p->uses = take_zeroed(p, n * sizeof(uint32_t));
    p->kind = take(p, n);
    p->stored = take(p, n);
    p->place = take_zeroed(p, n * sizeof *p->place);
}

tg_plan *tg_plan_new(const tg_plan_request *request)
{
    tg_tape *t = request->t;
    tg_arena memory;
    tg_arena_init(&memory, &t->allocator);
    tg_plan *plan = tg_arena_take(&memory, sizeof *plan);
    if (!plan) {
        tg_arena_free(&memory);
        return NULL;
    }
    *plan = (tg_plan){.memory = memory, .n_outputs = request->graph->n_targets};
    planner p = {
        .request = request, .t = t, .g = request->graph, .plan = plan, .n = request->graph->n};
    allocate_tables(&p);
    if (!p.failed) tg_plan_order(&p);
    if (!p.failed) {
        tg_plan_lifetimes(&p);
        tg_plan_place_leaves(&p);
    }
    if (!p.failed) tg_plan_emit(&p);
    if (!p.failed && request->node_by_node) keep_seen(&p);
    plan->outputs = keep(&p, (plan->n_outputs + 1) * sizeof *plan->outputs);
    plan->base = keep(&p, (1 + (size_t)plan->n_leaves + plan->n_outputs) * sizeof *plan->base);
    if (p.failed) {
        tg_plan_free(plan);
        return NULL;
    }
    memcpy(plan->outputs, request->outputs, plan->n_outputs * sizeof *plan->outputs);
    for (uint32_t v = 0; v < p.n; v++) plan->nodes += computed(&p, v);
    return plan;
}

void tg_plan_free(tg_plan *plan)
{
    if (!plan) return;
    tg_arena memory = plan->memory;
    tg_arena_free(&memory);
}
