/* The life of a tape, and the values that it hands out. */
#include "base.h"
#include "tape.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- life */

/* NULL, or what is wrong with the options, which are then those that need none. */
static const char *read_options(const tg_tape_options *given, tg_tape_options *o)
{
    const char *wrong = NULL;
    if (!tg_options_read(o, sizeof *o, given)) wrong = TG_UNSIZED(tg_tape_options);
    else if (o->threads < 0 || o->threads > 1024) wrong = "threads: 0 to 1024 are possible";
    else if (o->plan_cache_bytes < 0) wrong = "plan_cache_bytes is negative";
    else if ((int)o->isa < TG_ISA_AUTO || o->isa > TG_ISA_AVX512) wrong = "isa: no such build";
    if (wrong) *o = (tg_tape_options){.allocator = o->allocator};
    return wrong;
}

static int choose_build(tg_isa isa)
{
    int best = tg_build_best();
    int wanted = isa == TG_ISA_AUTO ? best : (int)isa - TG_ISA_BASE;
    return wanted < best ? wanted : best;
}

tg_tape *tg_tape_new(const tg_tape_options *options)
{
    tg_tape_options o;
    const char *wrong = read_options(options, &o);
    tg_allocator a = tg_allocator_or_default(o.allocator);
    tg_tape *t = tg_allocate(&a, sizeof *t);
    if (!t) return NULL;
    *t = (tg_tape){.allocator = a,
                   .seed = o.seed,
                   .key = tg_random_key(o.seed, o.stream),
                   .threads = o.threads ? o.threads : 1,
                   .build = choose_build(o.isa),
                   .training = !o.evaluation,
                   .node_by_node = o.node_by_node || o.trace_nonfinite,
                   .trace_nonfinite = o.trace_nonfinite,
                   .observe = o.trace_nonfinite ? tg_run_carefully : NULL,
                   .recorded = {.n_attrs = 1, .epoch = 1}};
    tg_arena_init(&t->storage, &t->allocator);
    tg_arena_init(&t->planning.arena, &t->allocator);
    t->planning.cache = tg_plan_cache_new(&t->allocator, o.plan_cache_bytes ? o.plan_cache_bytes
                                                                            : INT64_C(1) << 29);
    if (!t->planning.cache) {
        tg_tape_free(t);
        return NULL;
    }
    if (wrong) tg_tape_fail(t, NULL, "tape_new", TG_EVALUE, "%s", wrong);
    return t;
}

void tg_tape_free(tg_tape *t)
{
    if (!t) return;
    const tg_allocator a = t->allocator;
    if (t->scans.release) t->scans.release(t);
    tg_plan_cache_free(t);
    for (size_t k = 0; k < t->handles.n_chunks; k++)
        tg_release(&a, t->handles.chunk[k], TG_SLOTS * sizeof(tg_slot));
    for (size_t k = 0; k < t->handles.n_retired; k++)
        tg_release(&a, t->handles.retired[k], TG_SLOTS * sizeof(tg_slot));
#define RELEASE(type, name) tg_release(&a, part->name, part->name##_capacity * sizeof(type));
#define RELEASE_PART(which, arrays)   \
    do {                              \
        tg_##which *part = &t->which; \
        arrays(RELEASE)               \
    } while (0)
    RELEASE_PART(types, TG_TYPE_ARRAYS);
    RELEASE_PART(recorded, TG_RECORDED_ARRAYS);
    RELEASE_PART(handles, TG_HANDLE_ARRAYS);
    RELEASE_PART(asked, TG_ASKED_ARRAYS);
    RELEASE_PART(planning, TG_PLANNING_ARRAYS);
#undef RELEASE_PART
#undef RELEASE
    tg_release(&a, t->running.slab, t->running.slab_bytes);
    tg_release(&a, t->running.registers, t->running.register_bytes);
    for (tg_widened *next, *w = t->widened; w; w = next) {
        next = w->next;
        tg_release(&a, w, sizeof *w);
    }
    tg_arena_free(&t->storage);
    tg_arena_free(&t->planning.arena);
    tg_workers_hold(&t->running.workers, NULL);
    tg_release(&a, t, sizeof *t);
}

/* Types are numbered, and bodies of scans kept, for as long as plans live; a program whose shapes
 * never repeat must not grow their tables for ever. */
enum { MAX_TYPES = 1 << 16, MAX_SCANS = 128 };

/* Generations begin anew: a careful tape leaves its slots to the handles that still point there. */
static void retire_slots(tg_tape *t)
{
    if (!tg_grow(&t->allocator, (void **)&t->handles.retired, &t->handles.retired_capacity,
                 t->handles.n_retired + t->handles.n_chunks, sizeof *t->handles.retired)) {
        tg_tape_fail(t, NULL, "tape_reset", TG_ENOMEM, "no memory to tell old tensors from new");
        return;
    }
    for (size_t k = 0; k < t->handles.n_chunks; k++) {
        for (uint32_t i = 0; i < TG_SLOTS; i++) t->handles.chunk[k][i].id = UINT32_MAX;
        t->handles.retired[t->handles.n_retired++] = t->handles.chunk[k];
    }
    t->handles.n_chunks = 0;
    t->recorded.old = 0;
    t->asked.old_events = 0;
}

static void reset(tg_tape *t)
{
    if (t->deriving) {
        tg_tape_fail(t, NULL, "tape_reset", TG_ESTATE, "a derivative is being recorded");
        return;
    }
    t->renewed = t->reread = false;
    t->blame = NULL;
    for (size_t k = 0; k < t->asked.n_values; k++)
        tg_node_slot(t, t->asked.value[k].node)->value = 0;
    t->asked.n_values = 0;
    t->asked.n_keeps = 0;
    t->asked.n_assignments = 0;
    t->recorded.old =
        t->node_by_node ? 0 : t->recorded.n; /* a careful tape records each node through tg_enter */
    t->asked.old_events = t->asked.n_events;
    if (t->types.n > MAX_TYPES || t->scans.n > MAX_SCANS) {
        tg_plan_cache_clear(t);
        if (t->scans.release) t->scans.release(t);
        t->types.n = 0;
        memset(t->types.bucket, 0, t->types.bucket_capacity * sizeof *t->types.bucket);
        t->recorded.old = 0;
        t->asked.old_events = 0;
    }
    t->recorded.n = 0;
    t->recorded.n_more = 0;
    t->recorded.n_attrs = 1;
    t->recorded.n_leaves = 0;
    t->recorded.n_uses = 0;
    t->asked.n_events = 0;
    t->recorded.n_derivations = 0;
    t->recorded.draws = 0;
    t->recorded.epoch++;
    if (t->node_by_node && tg_generation(t) == 0) retire_slots(t);
    t->step++;
    tg_arena_rewind(&t->storage);
}

void tg_tape_reset(tg_tape *t)
{
    if (!t || !tg_enter(t)) return;
    reset(t);
    tg_leave(t);
}

/* ---------------------------------------------------------------- state */

static bool threads_met(const tg_tape *t)
{
    return t->node_by_node && atomic_load(&t->careful.met);
}

tg_status tg_tape_status(const tg_tape *t)
{
    if (!t) return TG_ENOMEM;
    return threads_met(t) ? TG_ESTATE : t->error.status;
}

const char *tg_tape_message(const tg_tape *t)
{
    if (!t) return "no tape: there was no memory for it";
    return threads_met(t) ? "two threads used this tape at once; a tape belongs to one thread"
                          : t->error.message;
}

const char *tg_tape_blame(const tg_tape *t) { return t && t->blame ? t->blame : ""; }

void tg_tape_clear_error(tg_tape *t)
{
    if (!t) return;
    t->error = (tg_error){.status = TG_OK};
    t->blame = NULL;
    atomic_store(&t->careful.met, false);
}

void tg_tape_set_training(tg_tape *t, bool training)
{
    if (t) t->training = training;
}

bool tg_tape_training(const tg_tape *t) { return t && t->training; }

void tg_tape_set_step(tg_tape *t, uint64_t step)
{
    if (!t) return;
    t->renewed = t->renewed || (t->asked.n_events > 0 && t->step != step);
    t->step = step;
}

uint64_t tg_tape_step(const tg_tape *t) { return t ? t->step : 0; }

void tg_tape_take_stream(tg_tape *t, uint64_t stream)
{
    const uint64_t key = tg_random_key(t->seed, stream);
    t->renewed = t->renewed || (t->asked.n_events > 0 && t->key != key);
    t->key = key;
}

void tg_tape_set_threads(tg_tape *t, int threads)
{
    if (!t) return;
    if (threads < 0 || threads > 1024)
        tg_tape_fail(t, NULL, "tape_set_threads", TG_EVALUE, "%d threads; 0 to 1024 are possible",
                     threads);
    else t->threads = threads ? threads : 1;
}

tg_plan_stats tg_tape_plan_stats(const tg_tape *t)
{
    return t ? t->planning.stats : (tg_plan_stats){0};
}

void tg_tape_substitute(tg_tape *t, const tg_params *from, tg_params *to)
{
    t->substitute_from = from;
    t->substitute_to = to;
}

void tg_tape_forbid_f32(tg_tape *t) { t->forbid_f32 = true; }

/* ---------------------------------------------------------------- values */

/* The node of a tensor that must be one of this tape's, or a parameter. */
static bool tensor_node(tg_tape *t, const char *where, const char *what, tg_tensor *x,
                        uint32_t *node)
{
    return t && !t->error.status && tg_resolve(t, where, what, x, node);
}

static tg_tensor *keep(tg_tape *t, const char *where, tg_tensor *x)
{
    uint32_t node;
    if (!tensor_node(t, where, "keep", x, &node)) return NULL;
    if (!tg_grow(&t->allocator, (void **)&t->asked.keep, &t->asked.keep_capacity,
                 t->asked.n_keeps + 1, sizeof *t->asked.keep))
        return tg_tape_fail(t, where, "keep", TG_ENOMEM, "no memory"), NULL;
    t->asked.keep[t->asked.n_keeps++] = node;
    return x;
}

tg_tensor *tg_keep_at(tg_tape *t, const char *where, tg_tensor *x)
{
    TG_ALONE(tg_tensor *, t, NULL, NULL, keep(t, where, x));
}

/* Evaluates n targets in t->planning.stack[0..n) and all that is kept. */
static tg_status evaluate_with_kept(tg_tape *t, const char *where, tg_request request, uint32_t n,
                                    const uint32_t *targets)
{
    uint32_t few[16], *all = few;
    size_t total = n + t->asked.n_keeps;
    if (total > 16) {
        all = tg_arena_take(&t->storage, total * sizeof *all);
        if (!all) return tg_tape_fail(t, where, NULL, TG_ENOMEM, "no memory");
    }
    memcpy(all, targets, n * sizeof *all);
    if (t->asked.n_keeps) memcpy(all + n, t->asked.keep, t->asked.n_keeps * sizeof *all);
    return tg_tape_evaluate(t, where, request, (uint32_t)total, all);
}

static tg_status eval(tg_tape *t, const char *where, int n, tg_tensor *const *x)
{
    if (t->error.status) return t->error.status;
    if (n < 0 || (n && !x))
        return tg_tape_fail(t, where, "eval", n < 0 ? TG_EVALUE : TG_ENULL, "no tensors given");
    uint32_t few[16], *ids = few;
    if (n > 16 && !(ids = tg_arena_take(&t->storage, (size_t)n * sizeof *ids)))
        return tg_tape_fail(t, where, "eval", TG_ENOMEM, "no memory");
    for (int k = 0; k < n; k++)
        if (!tg_resolve(t, where, "eval", x[k], &ids[k])) return t->error.status;
    return evaluate_with_kept(t, where, TG_EVALUATE, (uint32_t)n, ids);
}

tg_status tg_eval_at(tg_tape *t, const char *where, int n, tg_tensor *const *x)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, eval(t, where, n, x));
}

static const void *computed(tg_tape *t, const char *where, const char *what, tg_tensor *x)
{
    uint32_t node;
    if (!tensor_node(t, where, what, x, &node)) return NULL;
    const tg_leaf *leaf =
        tg_is_leaf(t->recorded.node[node].op) ? &t->recorded.leaf[t->recorded.leaf_of[node]] : NULL;
    if (leaf && leaf->param && leaf->param->version == leaf->version) return leaf->param->value;
    if (leaf && leaf->data) return leaf->data;
    const tg_slot *slot = tg_node_slot(t, node);
    if (!slot->value && tg_tape_evaluate(t, where, TG_EVALUATE, 1, &node) != TG_OK) return NULL;
    return t->asked.value[slot->value - 1].data;
}

/* The storage of x's value, computing it when there is none. */
static const void *value_of(tg_tape *t, const char *where, const char *what, tg_tensor *x)
{
    TG_ALONE(const void *, t, NULL, NULL, computed(t, where, what, x));
}

double tg_item_at(tg_tape *t, const char *where, tg_tensor *x)
{
    uint32_t node;
    if (!tensor_node(t, where, "item", x, &node)) return NAN;
    if (tg_tensor_count(x) != 1)
        tg_tape_fail(t, where, "item", TG_ESHAPE, "one element wanted, the shape is %s",
                     tg_shape_text(tg_tensor_shape(x)).text);
    const void *data = value_of(t, where, "item", x);
    if (!data) return NAN;
    switch (tg_tensor_dtype(x)) {
    case TG_F32: return (double)*(const float *)data;
    case TG_F64: return *(const double *)data;
    case TG_I64: return (double)*(const int64_t *)data;
    default: return *(const uint8_t *)data;
    }
}

const void *tg_data_at(tg_tape *t, const char *where, tg_tensor *x)
{
    return value_of(t, where, "data", x);
}

static tg_status backward(tg_tape *t, const char *where, tg_tensor *loss)
{
    uint32_t node;
    if (!tensor_node(t, where, "backward", loss, &node)) return t->error.status;
    if (tg_node_type(t, node)->count != 1)
        return tg_tape_fail(t, where, "backward", TG_ESHAPE,
                            "the loss must have one element, its shape is %s",
                            tg_shape_text(tg_tensor_shape(loss)).text);
    return evaluate_with_kept(t, where, TG_BACKWARD, 1, &node);
}

tg_status tg_backward_at(tg_tape *t, const char *where, tg_tensor *loss)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, backward(t, where, loss));
}

static tg_status replay(tg_tape *t, const char *where)
{
    if (t->error.status) return t->error.status;
    if (t->asked.n_events != 1)
        return tg_tape_fail(t, where, "replay", TG_ESTATE,
                            "the recording must have been evaluated exactly once, not %zu times%s",
                            t->asked.n_events,
                            t->asked.n_events ? ": tg_keep before tg_backward, or hand to tg_eval, "
                                                "what is read later"
                                              : "");
    for (size_t k = 0; k < t->recorded.n_leaves; k++)
        if (t->recorded.leaf[k].param)
            t->recorded.leaf[k].version = t->recorded.leaf[k].param->version;
    t->step++;
    t->renewed = false;
    return tg_run_again(t, where);
}

tg_status tg_replay_at(tg_tape *t, const char *where)
{
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, replay(t, where));
}

void *tg_base_memory(tg_tape *t, const char *where, const char *what, int64_t n, size_t size)
{
    const bool possible = n >= 0 && (uint64_t)n <= (uint64_t)PTRDIFF_MAX / size;
    void *block = possible ? tg_arena_take(&t->storage, (size_t)n * size) : NULL;
    if (!block) tg_tape_fail(t, where, what, TG_ENOMEM, "no memory");
    return block;
}
