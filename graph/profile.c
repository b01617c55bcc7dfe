/* Profiles: measures the steps of a tape's plans, and adds them up by op and by line. */
#define _POSIX_C_SOURCE 200809L
#include "profiler.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

tg_status tg_profile_status(const tg_profile *p) { return p ? p->error.status : TG_ENOMEM; }
const char *tg_profile_message(const tg_profile *p)
{
    return p ? p->error.message : "no memory for the profile";
}

tg_profile *tg_profile_new(const tg_profile_options *options)
{
    tg_profile_options o;
    const bool readable = tg_options_read(&o, sizeof o, options);
    const tg_allocator a = tg_allocator_or_default(readable ? o.allocator : NULL);
    tg_profile *p = tg_allocate(&a, sizeof *p);
    if (!p) return NULL;
    *p = (tg_profile){.allocator = a};
    tg_arena_init(&p->memory, &p->allocator);
    if (!readable) tg_profile_fail(p, TG_EVALUE, TG_UNSIZED(tg_profile_options));
    else if (o.traced < 0 || o.limit_rounds < 0 || o.threads < 0)
        tg_profile_fail(p, TG_EVALUE, "an option is negative");
    p->options = o;
#ifdef TG_LEAN
    tg_profile_fail(p, TG_ESTATE, "built without profiles");
#else
    if (!p->error.status && o.limit_rounds &&
        tg_limits_measure(&p->allocator, o.threads ? o.threads : 1, o.limit_rounds, &p->limits))
        tg_profile_fail(p, TG_ENOMEM, "no memory to measure the machine's limits");
#endif
    if (!o.traced) p->options.traced = 100;
    return p;
}

tg_status tg_profile_fail(tg_profile *p, tg_status status, const char *what)
{
    return tg_error_set(&p->error, NULL, "profile", status, "%s", what);
}

#ifdef TG_LEAN

void tg_profile_free(tg_profile *p)
{
    if (!p) return;
    const tg_allocator a = p->allocator;
    tg_release(&a, p, sizeof *p);
}

tg_status tg_profile_begin(tg_profile *p, tg_tape *t)
{
    (void)t;
    return tg_profile_status(p);
}

tg_status tg_profile_end(tg_profile *p, tg_tape *t)
{
    (void)t;
    return tg_profile_status(p);
}

const tg_profile_row *tg_profile_rows(tg_profile *p, tg_profile_by by, int64_t *n)
{
    (void)p, (void)by;
    if (n) *n = 0;
    return NULL;
}

tg_profile_total tg_profile_totals(const tg_profile *p)
{
    (void)p;
    return (tg_profile_total){0, 0, 0};
}

tg_status tg_profile_write(tg_profile *p, tg_profile_format format, const char *path)
{
    (void)format, (void)path;
    return tg_profile_status(p);
}

#else

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void *take(tg_profile *p, size_t bytes)
{
    void *block = tg_arena_take(&p->memory, bytes ? bytes : 1);
    if (!block) tg_profile_fail(p, TG_ENOMEM, "no memory");
    return block;
}

const char *tg_profile_text(tg_profile *p, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = take(p, bytes);
    return copy ? memcpy(copy, text, bytes) : "";
}

/* ---------------------------------------------------------------- counting */

/* Operators, and calls of functions, in an elementwise expression in C. */
static int64_t operations_of(const char *text)
{
    int64_t n = 0;
    for (const char *c = text; *c; c++) {
        if (isalnum((unsigned char)*c) || *c == '_' || *c == '.') {
            const bool name = isalpha((unsigned char)*c) || *c == '_';
            while (isalnum((unsigned char)c[1]) || c[1] == '_' || c[1] == '.' ||
                   (!name && (*c == 'e' || *c == 'E') && (c[1] == '-' || c[1] == '+')))
                c++;
            n += name && c[1] == '(';
        } else if (strchr("+-*/", *c)) {
            /* not a sign */
            const char *before = c;
            while (before > text && before[-1] == ' ') before--;
            n += before > text && (isalnum((unsigned char)before[-1]) || before[-1] == ')');
        }
    }
    return n ? n : 1;
}

static int64_t distinct_of_array(const tg_array *a)
{
    int64_t n = 1;
    for (int k = 0; k < a->shape.ndim; k++) n *= a->stride[k] ? a->shape.dim[k] : 1;
    return tg_shape_count(a->shape) ? n : 0;
}

static int64_t distinct_of_load(const tg_load *l)
{
    int64_t n = 1;
    for (int k = 0; k < l->ndim; k++) n *= l->stride[k] ? l->dim[k] : 1;
    return n;
}

static double bytes_of_group(const tg_group *g)
{
    double bytes = 0;
    for (uint32_t k = 0; k < g->n_moves; k++) bytes += (double)g->count * g->moves[k].size;
    for (uint32_t k = 0; k < g->n_loads; k++) {
        bool again = false;
        for (uint32_t i = 0; i < k && !again; i++)
            again = g->loads[i].from.base == g->loads[k].from.base &&
                    g->loads[i].from.offset == g->loads[k].from.offset;
        if (!again) bytes += (double)distinct_of_load(&g->loads[k]) * g->loads[k].size;
    }
    for (uint32_t k = 0; k < g->n_folds; k++)
        bytes += (double)(g->outer * g->inner) * g->folds[k].size;
    return bytes;
}

static double bytes_of_call(const tg_plan_call *c)
{
    double bytes = (double)tg_shape_count(c->y.shape) * (double)tg_dtype_size(c->y.dtype);
    for (int k = 0; k < c->call.n_in; k++)
        bytes +=
            (double)distinct_of_array(c->operands[k].gather ? &c->operands[k].source : &c->x[k]) *
            (double)tg_dtype_size(c->x[k].dtype);
    return bytes;
}

/* ---------------------------------------------------------------- describing a plan */

/* Names the leaf behind a node, or its op. */
static const char *name_of(const tg_tape *t, uint32_t id)
{
    const tg_node *v = &t->recorded.node[id];
    const tg_leaf *leaf = tg_is_leaf(v->op) ? &t->recorded.leaf[t->recorded.leaf_of[id]] : NULL;
    return leaf && leaf->param ? leaf->param->name : v->op->name;
}

/* Adds `word` to a list "a, b" unless it is there. */
static void add_word(char *list, size_t size, const char *word)
{
    const size_t n = strlen(word), used = strlen(list);
    for (const char *at = list; n && (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ',')) return;
    if (n && used + n + 3 < size) snprintf(list + used, size - used, used ? ", %s" : "%s", word);
}

static void describe_ops(tg_profile *p, const tg_tape *t, const uint32_t *ids, const tg_note *note,
                         bool copy, tg_profiled_step *s)
{
    char names[512] = "", lines[512] = "", formula[1024] = "";
    tg_profiled_op *op = take(p, note->n * sizeof *op);
    if (!op) return;
    for (uint32_t k = 0; k < note->n; k++) {
        const uint32_t id = ids[note->node[k]];
        const tg_op *of = t->recorded.node[id].op;
        const char *where = tg_node_where(t, id);
        op[k] =
            (tg_profiled_op){tg_profile_text(p, copy ? "copy" : of->name),
                             where ? tg_profile_text(p, where) : "", tg_derived_from(t, id) != 0};
        s->row.backward += (double)op[k].backward / note->n;
        add_word(names, sizeof names, op[k].name);
        add_word(lines, sizeof lines, op[k].where);
        if (of->span && of->span->text && !copy) {
            const size_t used = strlen(formula);
            snprintf(formula + used, sizeof formula - used, "%s%s: %s", used ? "\n" : "", of->name,
                     of->span->text);
        }
    }
    s->n = note->n;
    s->op = op;
    s->row.name = tg_profile_text(p, names);
    s->row.where = tg_profile_text(p, lines);
    s->row.shape = tg_profile_text(
        p, tg_shape_text(tg_node_type(t, ids[note->node[note->n - 1]])->type.shape).text);
    s->row.fused = note->n > 1;
    s->formula = tg_profile_text(p, formula);
}

/* Which steps and leaves a step reads; step_of: of the graph's nodes, UINT32_MAX for leaves. */
static void describe_inputs(tg_profile *p, const tg_tape *t, const uint32_t *ids,
                            const tg_note *note, const uint32_t *step_of, tg_profiled_step *s)
{
    char leaves[512] = "";
    uint32_t *from = take(p, note->n_in * sizeof *from);
    for (uint32_t k = 0; from && k < note->n_in; k++) {
        const uint32_t step = step_of[note->in[k]];
        bool again = false;
        for (uint32_t i = 0; i < s->n_from; i++) again = again || from[i] == step;
        if (step == UINT32_MAX) add_word(leaves, sizeof leaves, name_of(t, ids[note->in[k]]));
        else if (!again) from[s->n_from++] = step;
    }
    s->from = from;
    s->leaves = tg_profile_text(p, leaves);
}

static bool is_f64(const tg_tape *t, uint32_t id)
{
    return tg_node_type(t, id)->type.dtype == TG_F64;
}

/* What one run of a step costs at least; add_share makes rows of several runs. */
static void count_work(const tg_profile *p, const tg_tape *t, const uint32_t *ids,
                       const tg_note *note, const tg_step *step, tg_profile_row *row)
{
    if (step->call) {
        const tg_op *op = step->call->op;
        row->bytes = bytes_of_call(step->call);
        row->flops = op->flops ? op->flops(&step->call->call) : 0;
    } else {
        row->bytes = bytes_of_group(step->group);
        for (uint32_t k = 0; k < note->n; k++) {
            const tg_op *op = t->recorded.node[ids[note->node[k]]].op;
            if (op->fold) row->flops += (double)step->group->count;
            else if (op->span)
                row->flops += (double)step->group->count *
                              (double)(op->span->text ? operations_of(op->span->text) : 1);
        }
    }
    const tg_limits *limits = &p->limits;
    const double slower =
        is_f64(t, ids[note->node[note->n - 1]]) ? limits->fma_f32 / limits->fma_f64 : 1;
    row->limit = limits->threads
                     ? tg_limits_seconds(limits, row->flops * slower, row->bytes, row->bytes)
                     : NAN;
}

static void describe_lives(tg_profile *p, const tg_tape *t, const uint32_t *ids,
                           tg_profiled_plan *plan)
{
    const tg_notes *notes = plan->plan->notes;
    plan->life = take(p, notes->n_lives * sizeof *plan->life);
    for (uint32_t k = 0; plan->life && k < notes->n_lives; k++) {
        const tg_life *l = &notes->life[k];
        char name[512];
        snprintf(name, sizeof name, "%s %s", name_of(t, ids[l->node]),
                 tg_shape_text(tg_node_type(t, ids[l->node])->type.shape).text);
        plan->life[k] = (tg_profiled_life){.name = tg_profile_text(p, name),
                                           .backward = tg_derived_from(t, ids[l->node]) != 0,
                                           .first = l->first,
                                           .last = l->last,
                                           .offset = l->offset,
                                           .bytes = l->bytes};
    }
    plan->n_lives = plan->life ? notes->n_lives : 0;
}

static void describe(tg_profile *p, const tg_tape *t, const uint32_t *ids, uint32_t n_nodes,
                     tg_profiled_plan *plan)
{
    const tg_notes *notes = plan->plan->notes;
    const uint32_t n = plan->n_steps;
    uint32_t *step_of = take(p, n_nodes * sizeof *step_of);
    plan->step = take(p, n * sizeof *plan->step);
    if (!step_of || !plan->step) return;
    memset(step_of, 0xFF, n_nodes * sizeof *step_of);
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = 0; i < notes->step[k].n; i++) {
            uint32_t *of = &step_of[notes->step[k].node[i]];
            *of = *of == UINT32_MAX ? k : *of;
        }
    for (uint32_t k = 0; k < n; k++) {
        const tg_note *note = &notes->step[k];
        const tg_step *step = &plan->plan->steps[k];
        tg_profiled_step *s = &plan->step[k];
        *s = (tg_profiled_step){0};
        describe_ops(p, t, ids, note, note->copy, s);
        describe_inputs(p, t, ids, note, step_of, s);
        count_work(p, t, ids, note, step, &s->row);
    }
    describe_lives(p, t, ids, plan);
}

/* The event's plan with notes: the one that is there, or a new one. */
static tg_profiled_plan *profiled(tg_profile *p, tg_tape *t, const char *where,
                                  const tg_event *event, bool again)
{
    const uint64_t *hash = event->plan->hash;
    for (tg_profiled_plan *plan = p->plans; plan; plan = plan->next)
        if (plan->hash[0] == hash[0] && plan->hash[1] == hash[1]) return plan;
    tg_profiled_plan *plan = take(p, sizeof *plan);
    if (!plan) return NULL;
    const uint32_t *ids;
    const tg_mark mark = tg_tape_mark(t);
    const tg_plan_ways ways = t->node_by_node ? TG_NODE_BY_NODE | TG_WITH_NOTES : TG_WITH_NOTES;
    *plan = (tg_profiled_plan){.plan = tg_plan_again(t, where, event, again, ways, &ids),
                               .hash = {hash[0], hash[1]},
                               .backward = event->request == TG_BACKWARD};
    if (plan->plan) {
        plan->allocator = t->allocator;
        plan->plan->memory.allocator = &plan->allocator;
        plan->n_steps = plan->plan->n_steps;
        describe(p, t, ids, plan->plan->notes->n_nodes, plan);
    }
    if (event->request == TG_BACKWARD) tg_tape_cut(t, mark);
    if (!plan->plan || p->error.status) {
        tg_plan_free(plan->plan);
        return NULL;
    }
    *(p->last_plan ? &p->last_plan->next : &p->plans) = plan;
    p->last_plan = plan;
    return plan;
}

/* ---------------------------------------------------------------- measuring */

static void trace_run(tg_profile *p, const tg_profiled_plan *plan)
{
    if (p->traced == p->options.traced) return;
    const size_t bytes = ((size_t)plan->n_steps + 1) * sizeof(uint64_t);
    tg_traced_run *run = take(p, sizeof *run);
    uint64_t *stamp = take(p, bytes);
    if (!run || !stamp) return;
    memcpy(stamp, plan->plan->notes->stamp, bytes);
    *run = (tg_traced_run){NULL, plan, stamp};
    *(p->last_run ? &p->last_run->next : &p->runs) = run;
    p->last_run = run;
    p->traced++;
}

static tg_status observe(tg_tape *t, const char *where, const tg_event *event, bool again)
{
    tg_profile *p = t->profile;
    tg_profiled_plan *plan = p->error.status ? NULL : profiled(p, t, where, event, again);
    /* A profile that fails measures no more; what it measures goes on. */
    if (!plan) {
        tg_tape_clear_error(t);
        tg_profile_fail(p, TG_ENOMEM, "no memory");
        t->observe = NULL;
        return tg_plan_run(t, where, event->plan, event, NULL);
    }
    plan->plan->notes->stamp[0] = now();
    const tg_status status = tg_plan_run(t, where, plan->plan, event, NULL);
    if (status) return status;
    const uint64_t *stamp = plan->plan->notes->stamp;
    for (uint32_t k = 0; k < plan->n_steps; k++)
        plan->step[k].row.seconds += 1e-9 * (double)(stamp[k + 1] - stamp[k]);
    p->in_steps += 1e-9 * (double)(stamp[plan->n_steps] - stamp[0]);
    plan->runs++;
    p->evaluations++;
    trace_run(p, plan);
    return TG_OK;
}

static tg_status begin(tg_profile *p, tg_tape *t)
{
    if (t->observe) return tg_profile_fail(p, TG_ESTATE, "the tape is looked at already");
    t->observe = observe;
    t->profile = p;
    p->tape = t;
    p->began = now();
    if (!p->first) p->first = p->began;
    return TG_OK;
}

tg_status tg_profile_begin(tg_profile *p, tg_tape *t)
{
    if (!p || p->error.status) return tg_profile_status(p);
    if (!t) return tg_profile_fail(p, TG_ENULL, "the tape is NULL");
    if (p->tape) return tg_profile_fail(p, TG_ESTATE, "it measures another tape");
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, begin(p, t));
}

static tg_status end(tg_profile *p, tg_tape *t)
{
    p->taken += now() - p->began;
    p->tape = NULL;
    t->observe = NULL;
    t->profile = NULL;
    return p->error.status;
}

tg_status tg_profile_end(tg_profile *p, tg_tape *t)
{
    if (!p) return TG_ENOMEM;
    if (!t || p->tape != t) return tg_profile_fail(p, TG_ESTATE, "it does not measure this tape");
    TG_ALONE(tg_status, t, TG_ENOMEM, TG_ESTATE, end(p, t));
}

void tg_profile_free(tg_profile *p)
{
    if (!p) return;
    for (tg_profiled_plan *plan = p->plans; plan; plan = plan->next) tg_plan_free(plan->plan);
    const tg_allocator a = p->allocator;
    tg_release(&a, p->rows, p->row_capacity * sizeof *p->rows);
    tg_arena_free(&p->memory);
    tg_release(&a, p, sizeof *p);
}

/* ---------------------------------------------------------------- adding up */

tg_profile_total tg_profile_totals(const tg_profile *p)
{
    if (!p) return (tg_profile_total){0, 0, 0};
    const uint64_t taken = p->taken + (p->tape ? now() - p->began : 0);
    return (tg_profile_total){1e-9 * (double)taken, p->in_steps, p->evaluations};
}

/* The row of that name, made when there is none. */
static tg_profile_row *row_of(tg_profile *p, int64_t *n, const char *name, double backward)
{
    for (int64_t k = 0; k < *n; k++)
        if (!(p->rows[k].backward < backward || p->rows[k].backward > backward) &&
            !strcmp(p->rows[k].name, name))
            return &p->rows[k];
    if (!tg_grow(&p->allocator, (void **)&p->rows, &p->row_capacity, (size_t)*n + 1,
                 sizeof *p->rows)) {
        tg_profile_fail(p, TG_ENOMEM, "no memory");
        return NULL;
    }
    p->rows[*n] = (tg_profile_row){.name = name, .where = "", .shape = "", .backward = backward};
    return &p->rows[(*n)++];
}

/* A share of a step's work in all runs. `limit` is the least time, in seconds, until
 * tg_profile_rows makes a share of it. */
static void add_share(tg_profile_row *to, const tg_profile_row *step, int64_t runs, double share)
{
    to->runs += runs;
    to->seconds += step->seconds * share;
    to->bytes += step->bytes * share * (double)runs;
    to->flops += step->flops * share * (double)runs;
    to->limit += step->limit * share * (double)runs;
}

static void add_step(tg_profile *p, tg_profile_by by, const tg_profiled_plan *plan,
                     const tg_profiled_step *s, int64_t *n)
{
    if (by == TG_PROFILE_OPS) {
        tg_profile_row *to = row_of(p, n, s->row.name, s->row.backward);
        if (to) add_share(to, &s->row, plan->runs, 1);
        return;
    }
    for (uint32_t k = 0; k < s->n; k++) {
        tg_profile_row *to = row_of(p, n, s->op[k].where, s->op[k].backward);
        if (to) add_share(to, &s->row, plan->runs, 1.0 / s->n);
    }
}

static void add_step_alone(tg_profile *p, const tg_profiled_plan *plan, const tg_profiled_step *s,
                           int64_t *n)
{
    if (!tg_grow(&p->allocator, (void **)&p->rows, &p->row_capacity, (size_t)*n + 1,
                 sizeof *p->rows)) {
        tg_profile_fail(p, TG_ENOMEM, "no memory");
        return;
    }
    tg_profile_row *to = &p->rows[(*n)++];
    *to = s->row;
    to->seconds = to->bytes = to->flops = to->limit = 0;
    add_share(to, &s->row, plan->runs, 1);
}

static int more_time_first(const void *a, const void *b)
{
    const tg_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

const tg_profile_row *tg_profile_rows(tg_profile *p, tg_profile_by by, int64_t *n)
{
    int64_t count = 0;
    if (n) *n = 0;
    if (!p || p->error.status || !n) return NULL;
    for (const tg_profiled_plan *plan = p->plans; plan; plan = plan->next)
        for (uint32_t k = 0; k < plan->n_steps; k++)
            if (by == TG_PROFILE_STEPS) add_step_alone(p, plan, &plan->step[k], &count);
            else add_step(p, by, plan, &plan->step[k], &count);
    if (p->error.status) return NULL;
    for (int64_t k = 0; k < count; k++)
        p->rows[k].limit = p->rows[k].seconds > 0 ? p->rows[k].limit / p->rows[k].seconds : NAN;
    if (count) qsort(p->rows, (size_t)count, sizeof *p->rows, more_time_first);
    *n = count;
    return p->rows;
}

#endif
