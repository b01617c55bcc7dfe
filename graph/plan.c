/* The planner: from the live part of a recording to steps over memory. */
#include "planner.h"

static void keep_seen(planner *p)
{
    tg_plan *plan = p->plan;
    plan->seen = keep(p, (p->n + 1) * sizeof *plan->seen);
    plan->seen_inputs = keep(p, (p->n + 1) * sizeof *plan->seen_inputs);
    for (uint32_t v = 0; v < p->n && !p->failed; v++) {
        uint32_t r = p->node[v].rep, n = p->g->node[v].n_in, *in = keep(p, (n + 1) * sizeof *in);
        for (uint32_t k = 0; in && k < n; k++) in[k] = input(p, v, k);
        plan->seen_inputs[v] = (tg_seen_inputs){n, in};
        if (p->node[p->node[r].root].placed) {
            plan->seen[v].at = ref_of(p, r);
            array_of(p, r, &plan->seen[v].array);
        }
    }
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
    p.node = take_zeroed(&p, ((size_t)p.n + 1) * sizeof *p.node);
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
