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

#ifndef TG_LEAN
/* Which nodes step k reads from memory, each once: `seen` holds 1 + the last step that did. */
static void note_inputs(planner *p, tg_note *note, uint32_t k, uint32_t *seen)
{
    uint32_t most = 0, *in;
    for (uint32_t i = 0; i < note->n; i++) most += p->g->node[note->node[i]].n_in;
    note->in = in = keep(p, (most + 1) * sizeof *in);
    for (uint32_t i = 0; i < note->n && in; i++)
        for (uint32_t x = 0; x < p->g->node[note->node[i]].n_in; x++) {
            const uint32_t r = p->node[input(p, note->node[i], x)].root;
            if (seen[r] == k + 1 || p->node[r].step == k) continue;
            seen[r] = k + 1;
            in[note->n_in++] = r;
        }
}

static void note_lives(planner *p, tg_notes *notes)
{
    for (uint32_t v = 0; v < p->n; v++) {
        if (!p->node[v].stored || !computed(p, v) || p->node[v].at.base != 0) continue;
        const uint32_t last = p->node[v].last < p->n_steps ? p->node[v].last : p->n_steps - 1;
        notes->life[notes->n_lives++] =
            (tg_life){.node = v,
                      .first = p->node[v].step,
                      .last = last > p->node[v].step ? last : p->node[v].step,
                      .offset = p->node[v].at.offset,
                      .bytes = (int64_t)bytes_of(p, v)};
    }
}

static void keep_notes(planner *p)
{
    tg_plan *plan = p->plan;
    tg_notes *notes = plan->notes = keep(p, sizeof *notes);
    uint32_t *seen = take_zeroed(p, ((size_t)p->n + 1) * sizeof *seen);
    if (p->failed) return;
    *notes = (tg_notes){.n_nodes = p->n,
                        .step = keep(p, (plan->n_steps + 1) * sizeof *notes->step),
                        .life = keep(p, ((size_t)p->n + 1) * sizeof *notes->life),
                        .stamp = keep(p, (plan->n_steps + 1) * sizeof *notes->stamp)};
    for (uint32_t k = 0; k < plan->n_steps && !p->failed; k++) {
        tg_note *note = &notes->step[k];
        if (k < p->n_steps) {
            const planned_step *s = &p->steps[p->order[k]];
            *note = (tg_note){
                .n = s->count,
                .node = keep_copy(p, &p->member[s->members], s->count * sizeof *note->node)};
            if (!p->failed) note_inputs(p, note, k, seen);
        } else {
            const uint32_t *copied = keep_copy(p, &plan->steps[k].group->node, sizeof *copied);
            *note = (tg_note){.n = 1, .node = copied, .copy = true};
            if (!p->failed) note_inputs(p, note, k, seen);
        }
    }
    if (!p->failed) note_lives(p, notes);
}
#endif

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
#ifndef TG_LEAN
    if (!p.failed && request->notes) keep_notes(&p);
#endif
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
