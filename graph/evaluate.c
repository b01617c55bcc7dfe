/* Evaluation: from a request to the plan that serves it, by comparing with the previous recording,
 * by the cache, or by planning. */
#define TG_HERE where

#include "base.h"
#include "plan.h"

#include <string.h>
#include <xxhash.h>

/* ---------------------------------------------------------------- the plan cache */

/* A hash table of plans, and all of them in order of use. */
typedef struct tg_plan_cache {
    int64_t bytes, max_bytes;
    size_t n_buckets; /* a power of two */
    tg_plan **bucket;
    tg_plan *newest, *oldest;
} tg_plan_cache;

tg_plan_cache *tg_plan_cache_new(const tg_allocator *a, int64_t max_bytes)
{
    tg_plan_cache *cache = tg_allocate(a, sizeof *cache);
    if (cache) *cache = (tg_plan_cache){.max_bytes = max_bytes};
    return cache;
}

static void link_newest(tg_plan_cache *cache, tg_plan *plan)
{
    plan->older = cache->newest;
    plan->newer = NULL;
    *(cache->newest ? &cache->newest->newer : &cache->oldest) = plan;
    cache->newest = plan;
}

static void unlink_plan(tg_plan_cache *cache, tg_plan *plan)
{
    *(plan->newer ? &plan->newer->older : &cache->newest) = plan->older;
    *(plan->older ? &plan->older->newer : &cache->oldest) = plan->newer;
}

static void use_plan(tg_tape *t, tg_plan *plan)
{
    plan->epoch = t->recorded.epoch;
    if (t->planning.cache->newest != plan) {
        unlink_plan(t->planning.cache, plan);
        link_newest(t->planning.cache, plan);
    }
    t->planning.stats.nodes = plan->nodes;
    t->planning.stats.steps = plan->n_steps;
    t->planning.stats.slab_bytes = plan->slab_bytes;
}

static tg_plan **bucket_of(const tg_plan_cache *cache, uint64_t hash)
{
    return &cache->bucket[hash & (cache->n_buckets - 1)];
}

static bool grow_buckets(tg_tape *t)
{
    tg_plan_cache *cache = t->planning.cache;
    tg_plan_cache larger = *cache;
    larger.n_buckets = cache->n_buckets ? 4 * cache->n_buckets : 16;
    larger.bucket = tg_allocate(&t->allocator, larger.n_buckets * sizeof *larger.bucket);
    if (!larger.bucket) return cache->n_buckets > 0;
    memset(larger.bucket, 0, larger.n_buckets * sizeof *larger.bucket);
    for (tg_plan *plan = cache->newest; plan; plan = plan->older) {
        tg_plan **head = bucket_of(&larger, plan->hash[0]);
        plan->next = *head;
        *head = plan;
    }
    tg_release(&t->allocator, cache->bucket, cache->n_buckets * sizeof *cache->bucket);
    *cache = larger;
    return true;
}

static void drop_plan(tg_tape *t, tg_plan *plan)
{
    tg_plan **link = bucket_of(t->planning.cache, plan->hash[0]);
    while (*link != plan) link = &(*link)->next;
    *link = plan->next;
    unlink_plan(t->planning.cache, plan);
    t->planning.cache->bytes -= (int64_t)plan->memory.bytes;
    t->planning.stats.plans--;
    tg_plan_free(plan);
}

void tg_plan_cache_clear(tg_tape *t)
{
    while (t->planning.cache->newest) drop_plan(t, t->planning.cache->newest);
    t->asked.n_events = t->asked.old_events = 0;
}

void tg_plan_cache_free(tg_tape *t)
{
    if (!t->planning.cache) return;
    tg_plan_cache_clear(t);
    tg_release(&t->allocator, t->planning.cache->bucket,
               t->planning.cache->n_buckets * sizeof *t->planning.cache->bucket);
    tg_release(&t->allocator, t->planning.cache, sizeof *t->planning.cache);
}

static tg_plan *find_plan(const tg_tape *t, const tg_graph *g, XXH128_hash_t hash)
{
    if (!t->planning.cache->n_buckets) return NULL;
    for (tg_plan *plan = *bucket_of(t->planning.cache, hash.low64); plan; plan = plan->next)
        if (plan->hash[0] == hash.low64 && plan->hash[1] == hash.high64 &&
            plan->key_bytes == g->key_bytes && memcmp(plan->key, g->key, g->key_bytes) == 0)
            return plan;
    return NULL;
}

/* Drops plans, least recently used first, until `room` more bytes fit; those of the current
 * recording stay. The slab is given back when the plan that needed it goes. */
static void make_room(tg_tape *t, int64_t room)
{
    tg_plan_cache *cache = t->planning.cache;
    bool shrink = false;
    for (tg_plan *plan = cache->oldest, *newer; plan && cache->bytes + room > cache->max_bytes;
         plan = newer) {
        newer = plan->newer;
        if (plan->epoch == t->recorded.epoch) continue;
        shrink = shrink || plan->slab_bytes >= t->running.slab_bytes;
        drop_plan(t, plan);
        t->asked.old_events = 0;
    }
    if (shrink) {
        tg_release(&t->allocator, t->running.slab, t->running.slab_bytes);
        t->running.slab = NULL;
        t->running.slab_bytes = 0;
    }
}

/* Takes a new plan into the cache; false without memory. */
static bool store_plan(tg_tape *t, tg_plan *plan, const tg_graph *g, XXH128_hash_t hash)
{
    void *key = tg_arena_take(&plan->memory, g->key_bytes);
    if (!key || (t->planning.stats.plans >= t->planning.cache->n_buckets && !grow_buckets(t)))
        return false;
    plan->key = memcpy(key, g->key, g->key_bytes);
    plan->key_bytes = g->key_bytes;
    plan->hash[0] = hash.low64;
    plan->hash[1] = hash.high64;
    make_room(t, (int64_t)plan->memory.bytes);
    tg_plan **head = bucket_of(t->planning.cache, hash.low64);
    plan->next = *head;
    *head = plan;
    link_newest(t->planning.cache, plan);
    t->planning.cache->bytes += (int64_t)plan->memory.bytes;
    t->planning.stats.plans++;
    return true;
}

/* ---------------------------------------------------------------- extraction */

/* A loss that a derivative recorded may have gradients of 0 where one of the user's has none. */
static bool is_derived(const tg_tape *t, tg_request request, const uint32_t *targets)
{
    return request == TG_BACKWARD && tg_derived_from(t, targets[0]);
}

/* Copies what the targets depend on out of the tape, renumbered. */
static bool extract(tg_tape *t, tg_request request, bool stop, uint32_t n_targets,
                    const uint32_t *targets, tg_graph *g)
{
    uint32_t low, high, n = 0;
    size_t n_attrs = 1, n_more = 0;
    if (tg_mark_live(t, n_targets, targets, stop, 0, &low, &high)) return false;
    for (uint32_t word = low / 64; word <= high / 64; word++)
        for (uint64_t bits = t->planning.live[word]; bits; bits &= bits - 1) {
            uint32_t v = word * 64 + (uint32_t)__builtin_ctzll(bits);
            t->planning.local[v] = n++;
            n_attrs += t->recorded.node[v].attrs
                           ? 1 + (size_t)tg_node_n_attrs(t, &t->recorded.node[v])
                           : 0;
            n_more += t->recorded.node[v].n_in > 3 ? t->recorded.node[v].n_in : 0;
        }
    const uint32_t header[8] = {request,
                                n,
                                n_targets,
                                (uint32_t)n_attrs,
                                (uint32_t)n_more,
                                t->node_by_node,
                                is_derived(t, request, targets)};
    size_t attrs_at = sizeof header + n * sizeof(tg_node),
           more_at = attrs_at + n_attrs * sizeof(int64_t);
    size_t targets_at = more_at + n_more * sizeof(uint32_t),
           valued_at = targets_at + n_targets * sizeof(uint32_t);
    char *key = tg_arena_take(&t->planning.arena, valued_at + n);
    uint32_t *id = tg_arena_take(&t->planning.arena, n * sizeof *id);
    if (!key || !id) {
        tg_clear_live(t, low, high);
        return tg_tape_fail(t, NULL, NULL, TG_ENOMEM, "no memory to plan") == TG_OK;
    }
    tg_node *node = (tg_node *)(void *)(key + sizeof header);
    int64_t *attrs = (int64_t *)(void *)(key + attrs_at);
    uint32_t *more = (uint32_t *)(void *)(key + more_at),
             *local_targets = (uint32_t *)(void *)(key + targets_at);
    uint8_t *valued = (uint8_t *)key + valued_at;
    memcpy(key, header, sizeof header);
    attrs[0] = 0;
    n = 0;
    n_attrs = 1;
    n_more = 0;
    for (uint32_t word = low / 64; word <= high / 64; word++)
        for (uint64_t bits = t->planning.live[word]; bits; bits &= bits - 1) {
            uint32_t v = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const tg_node *from = &t->recorded.node[v];
            tg_node *to = &node[n];
            *to = *from;
            valued[n] = tg_node_slot(t, v)->value != 0;
            const uint32_t *in = tg_node_inputs(t, from);
            if (stop && valued[n]) to->n_in = 0;
            uint32_t *out = to->n_in > 3 ? &more[n_more] : to->in;
            if (to->n_in > 3) {
                *to = (tg_node){.op = from->op,
                                .n_in = from->n_in,
                                .type = from->type,
                                .in = {(uint32_t)n_more}};
                n_more += to->n_in;
            }
            for (uint32_t k = 0; k < to->n_in; k++) out[k] = t->planning.local[in[k]];
            for (uint32_t k = to->n_in; k < 3; k++) to->in[k] = 0;
            to->attrs = 0;
            if (from->attrs) {
                int count = tg_node_n_attrs(t, from);
                to->attrs = (uint32_t)n_attrs;
                memcpy(&attrs[n_attrs], &t->recorded.attrs[from->attrs],
                       (1 + (size_t)count) * sizeof *attrs);
                n_attrs += 1 + (size_t)count;
            }
            id[n++] = v;
        }
    for (uint32_t k = 0; k < n_targets; k++) local_targets[k] = t->planning.local[targets[k]];
    tg_clear_live(t, low, high);
    *g = (tg_graph){n, n_targets, node, more, attrs, local_targets, valued, id, key, valued_at + n};
    return true;
}

/* The nodes of a graph to which a plan's leaves can be bound: leaves, and what has a value. */
static bool bindable(const tg_graph *g, uint32_t v)
{
    return tg_is_leaf(g->node[v].op) || g->valued[v];
}

/* ---------------------------------------------------------------- planning a request */

static tg_status out_of_memory(tg_tape *t, const char *where)
{
    return tg_tape_fail(t, where, NULL, TG_ENOMEM, "no memory to evaluate");
}

static tg_plan_output output_of(const tg_tape *t, uint32_t node, bool gradient, uint32_t index)
{
    const tg_type_entry *type = tg_node_type(t, node);
    return (tg_plan_output){gradient, index, type->type.dtype, type->count,
                            (size_t)type->count * tg_dtype_size(type->type.dtype)};
}

/* Plans the gradients of targets[0] and the values of those targets that have none. The nodes of
 * the reverse pass are recorded for that only; *ids lets a careful run name them: then they are
 * left on the tape. */
static tg_plan *plan_backward(tg_tape *t, const char *where, tg_plan_request *request,
                              uint32_t n_targets, const uint32_t *targets, const uint32_t **ids)
{
    const tg_graph *forward = request->graph;
    uint32_t n_params = 0,
             *param = tg_arena_take(&t->planning.arena, (forward->n + 1) * sizeof *param),
             n_wanted = 0;
    if (!param) return NULL;
    for (uint32_t v = 0; v < forward->n; v++)
        if (forward->node[v].op == &tg_op_param) param[n_params++] = forward->id[v];
    size_t room = (size_t)n_params + n_targets;
    tg_tensor **g = tg_arena_take(&t->planning.arena, (n_params + 1) * sizeof *g);
    uint32_t *cut = tg_arena_take(&t->planning.arena, (n_params + 1) * sizeof *cut);
    uint32_t *wanted = tg_arena_take(&t->planning.arena, room * sizeof *wanted);
    request->outputs = tg_arena_take(&t->planning.arena, room * sizeof *request->outputs);
    if (!g || !cut || !wanted || !request->outputs) return NULL;
    tg_tensor *loss = tg_handle(t, targets[0]);
    if (tg_tensor_dtype(loss) != TG_F32 && tg_tensor_dtype(loss) != TG_F64) {
        tg_tape_fail(t, where, "backward", TG_ENOGRAD, "%s carries no gradient",
                     tg_dtype_name(tg_tensor_dtype(loss)));
        return NULL;
    }
    request->first_literal = t->recorded.n;
    tg_tensor *seed = tg_base_expand(t, where, tg_constant_like(t, loss, 1), tg_tensor_shape(loss));
    if (!seed || tg_reverse(t, where, 1, targets, &seed, n_params, param, g, cut)) return NULL;
    for (uint32_t k = 0; k < n_params; k++) {
        if (!cut[k]) continue;
        if (!tg_derived_from(t, targets[0]) && !tg_derived_from(t, cut[k] - 1))
            return tg_fail_cut(t, cut[k]), NULL;
        g[k] = tg_base_expand(t, where, tg_constant(t, tg_node_type(t, param[k])->type.dtype, 0),
                              tg_node_type(t, param[k])->type.shape);
        if (!g[k]) return NULL;
    }
    for (uint32_t k = 0; k < n_targets; k++)
        if (!tg_node_slot(t, targets[k])->value) {
            request->outputs[n_wanted] = output_of(t, targets[k], false, k);
            wanted[n_wanted++] = targets[k];
        }
    uint32_t n_gradients = 0, index = 0;
    for (uint32_t k = 0; k < n_params; k++) {
        if (!g[k]) continue;
        while (request->bound[index] != param[k]) index++;
        request->outputs[n_wanted] = output_of(t, param[k], true, index);
        wanted[n_wanted++] = tg_slot_of(g[k])->id;
        n_gradients++;
    }
    if (!n_gradients) {
        tg_tape_fail(t, where, "backward", TG_ENOGRAD,
                     "the loss does not depend on any trainable parameter");
        return NULL;
    }
    tg_graph whole;
    if (!extract(t, TG_BACKWARD, true, n_wanted, wanted, &whole)) return NULL;
    request->graph = &whole;
    *ids = whole.id;
    return tg_plan_new(request);
}

static tg_plan *plan_values(tg_tape *t, tg_plan_request *request, uint32_t n_targets,
                            const uint32_t *targets, const uint32_t **ids)
{
    request->outputs = tg_arena_take(&t->planning.arena, n_targets * sizeof *request->outputs);
    request->first_literal = UINT32_MAX;
    if (!request->outputs) return NULL;
    for (uint32_t k = 0; k < n_targets; k++)
        request->outputs[k] = output_of(t, targets[k], false, k);
    *ids = request->graph->id;
    return tg_plan_new(request);
}

/* Adds what an evaluation refers to to the recording's events. */
static tg_event *push_event(tg_tape *t, tg_request what, const tg_graph *g, uint32_t n_targets,
                            const uint32_t *targets)
{
    const tg_event *before = t->asked.n_events ? &t->asked.event[t->asked.n_events - 1] : NULL;
    uint32_t top = before ? before->bound + before->n_bound : 0;
    if (!tg_grow(&t->allocator, (void **)&t->asked.event_ids, &t->asked.event_ids_capacity,
                 (size_t)top + n_targets + g->n, sizeof *t->asked.event_ids) ||
        !tg_grow(&t->allocator, (void **)&t->asked.event, &t->asked.event_capacity,
                 t->asked.n_events + 1, sizeof *t->asked.event))
        return NULL;
    tg_event *event = &t->asked.event[t->asked.n_events];
    *event = (tg_event){.request = what,
                        .derived = is_derived(t, what, targets),
                        .nodes = t->recorded.n,
                        .targets = top,
                        .n_targets = n_targets,
                        .bound = top + n_targets};
    memcpy(&t->asked.event_ids[top], targets, n_targets * sizeof *targets);
    for (uint32_t v = 0; v < g->n; v++)
        if (bindable(g, v)) t->asked.event_ids[event->bound + event->n_bound++] = g->id[v];
    t->asked.old_events = 0;
    return event;
}

static tg_plan *make_plan(tg_tape *t, const char *where, const tg_graph *g, const tg_event *event,
                          tg_plan_ways ways, const uint32_t **ids)
{
    tg_plan_request request = {.t = t,
                               .graph = g,
                               .node_by_node = ways & TG_NODE_BY_NODE,
                               .notes = ways & TG_WITH_NOTES,
                               .n_bound = event->n_bound,
                               .bound = &t->asked.event_ids[event->bound]};
    const uint32_t *targets = &t->asked.event_ids[event->targets];
    tg_plan *plan = event->request == TG_BACKWARD
                        ? plan_backward(t, where, &request, event->n_targets, targets, ids)
                        : plan_values(t, &request, event->n_targets, targets, ids);
    if (!plan) out_of_memory(t, where);
    return plan;
}

/* Takes the values of n nodes away, or, the other way round, puts them back. */
static void exchange_values(tg_tape *t, uint32_t n, const uint32_t *node, uint32_t *value)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t *at = &tg_node_slot(t, node[k])->value, v = *at;
        *at = value[k];
        value[k] = v;
    }
}

tg_plan *tg_plan_again(tg_tape *t, const char *where, const tg_event *event, bool again,
                       tg_plan_ways ways, const uint32_t **ids)
{
    tg_graph g;
    tg_arena_rewind(&t->planning.arena);
    uint32_t n = again ? event->n_targets : 0, *targets = &t->asked.event_ids[event->targets],
             *value = tg_arena_take(&t->planning.arena, (n + 1) * sizeof *value);
    if (!value) {
        out_of_memory(t, where);
        return NULL;
    }
    memset(value, 0, (n + 1) * sizeof *value);
    exchange_values(t, n, targets, value);
    tg_plan *plan = NULL;
    if (extract(t, event->request, event->request == TG_EVALUATE, event->n_targets, targets, &g))
        plan = make_plan(t, where, &g, event, ways, ids);
    exchange_values(t, n, targets, value);
    return plan;
}

tg_status tg_run_carefully(tg_tape *t, const char *where, const tg_event *event, bool again)
{
    const uint32_t *ids;
    const tg_mark mark = tg_tape_mark(t);
    tg_plan *plan = tg_plan_again(t, where, event, again, TG_NODE_BY_NODE, &ids);
    if (plan) tg_plan_run(t, where, plan, event, ids);
    tg_plan_free(plan);
    if (event->request == TG_BACKWARD) tg_tape_cut(t, mark);
    return t->error.status;
}

/* If a gradient was aimed at a parameter and the evaluation failed, it is gone. */
static void drop_aimed_gradients(tg_tape *t, const tg_event *event)
{
    for (uint32_t k = 0; k < event->n_bound; k++) {
        uint32_t node = t->asked.event_ids[event->bound + k];
        if (t->recorded.node[node].op == &tg_op_param)
            t->recorded.leaf[t->recorded.leaf_of[node]].param->has_grad = false;
    }
}

/* The same when memory runs out before it is known which parameters the loss reaches: those that
 * the recording has read. */
static void drop_all_gradients(tg_tape *t)
{
    for (size_t k = 0; k < t->recorded.n_leaves; k++)
        if (t->recorded.leaf[k].param &&
            t->recorded.node[t->recorded.leaf[k].node].op == &tg_op_param)
            t->recorded.leaf[k].param->has_grad = false;
}

static inline tg_status run_event(tg_tape *t, const char *where, const tg_event *event, bool again)
{
    tg_status status;
    if (t->observe) status = t->observe(t, where, event, again);
    else status = tg_plan_run(t, where, event->plan, event, NULL);
    if (status && !t->error.status) status = tg_run_carefully(t, where, event, again);
    if (status && event->request == TG_BACKWARD) drop_aimed_gradients(t, event);
    return status;
}

tg_status tg_run_again(tg_tape *t, const char *where)
{
    const tg_event *event = &t->asked.event[0];
    const tg_status status = run_event(t, where, event, true);
    /* What had a value has one of other data: it is computed anew when it is asked for. */
    for (uint32_t k = 0; status && k < event->n_targets; k++)
        tg_node_slot(t, t->asked.event_ids[event->targets + k])->value = 0;
    return status;
}

static bool same_event(const tg_tape *t, tg_request what, uint32_t n, const uint32_t *targets)
{
    const tg_event *event = &t->asked.event[t->asked.n_events];
    return t->asked.n_events < t->asked.old_events && t->recorded.old && event->request == what &&
           event->nodes == t->recorded.n && event->n_targets == n &&
           event->derived == is_derived(t, what, targets) &&
           memcmp(&t->asked.event_ids[event->targets], targets, n * sizeof *targets) == 0;
}

/* Leaves out what is computed already (but not a loss to be differentiated) and what is asked for
 * twice in a row. */
static uint32_t filter(tg_tape *t, tg_request what, uint32_t n, const uint32_t *targets,
                       uint32_t *out)
{
    uint32_t kept = 0;
    for (uint32_t k = 0; k < n; k++) {
        bool loss = what == TG_BACKWARD && k == 0;
        bool again = false;
        for (uint32_t i = 0; i < kept && i < 16; i++) again = again || out[i] == targets[k];
        if (loss || (!again && !tg_node_slot(t, targets[k])->value)) out[kept++] = targets[k];
    }
    return kept;
}

static tg_status evaluate_anew(tg_tape *t, const char *where, tg_request what, uint32_t n,
                               const uint32_t *targets)
{
    tg_graph g;
    tg_arena_rewind(&t->planning.arena);
    tg_event *event = extract(t, what, what == TG_EVALUATE, n, targets, &g)
                          ? push_event(t, what, &g, n, targets)
                          : NULL;
    if (!event) {
        if (what == TG_BACKWARD) drop_all_gradients(t);
        return t->error.status ? t->error.status : out_of_memory(t, where);
    }
    if (!t->trace_nonfinite) {
        XXH128_hash_t hash = XXH3_128bits(g.key, g.key_bytes);
        event->plan = find_plan(t, &g, hash);
        t->planning.stats.hits += event->plan != NULL;
        if (!event->plan) {
            const tg_mark mark = tg_tape_mark(t);
            const uint32_t *ids;
            t->planning.stats.misses++;
            tg_plan *plan =
                make_plan(t, where, &g, event, t->node_by_node ? TG_NODE_BY_NODE : 0, &ids);
            if (what == TG_BACKWARD) tg_tape_cut(t, mark);
            if (!plan || !store_plan(t, plan, &g, hash)) {
                tg_plan_free(plan);
                if (what == TG_BACKWARD) drop_aimed_gradients(t, event);
                return t->error.status ? t->error.status : out_of_memory(t, where);
            }
            event->plan = plan;
        }
    }
    t->asked.n_events++;
    return TG_OK;
}

/* What was computed from other data than there is now is computed anew. */
static void forget_values(tg_tape *t)
{
    for (size_t k = 0; k < t->asked.n_values; k++)
        tg_node_slot(t, t->asked.value[k].node)->value = 0;
    t->asked.n_values = 0;
    t->asked.old_events = 0;
    t->renewed = false;
}

tg_status tg_tape_evaluate(tg_tape *t, const char *where, tg_request what, uint32_t n,
                           const uint32_t *targets)
{
    if (t->deriving)
        return tg_tape_fail(t, where, NULL, TG_ESTATE,
                            "a vjp records derivatives; it can't evaluate");
    if (t->renewed) forget_values(t);
    uint32_t few[16], *wanted = few;
    if (n > 16 && !(wanted = tg_arena_take(&t->storage, n * sizeof *wanted)))
        return out_of_memory(t, where);
    n = filter(t, what, n, targets, wanted);
    if (n == 0) return TG_OK;
    if (same_event(t, what, n, wanted)) {
        t->asked.n_events++;
        t->planning.stats.hits++;
    } else {
        tg_status status = evaluate_anew(t, where, what, n, wanted);
        if (status) return status;
    }
    tg_event *event = &t->asked.event[t->asked.n_events - 1];
    const bool failed = event->failed;
    if (event->plan) use_plan(t, event->plan);
    const tg_status status = run_event(t, where, event, false);
    event = &t->asked.event[t->asked.n_events - 1];
    event->failed = status != TG_OK;
    /* What has a value now is not what had one then: the events that followed then are others. */
    if (event->failed != failed) t->asked.old_events = 0;
    return status;
}
