/* The runner: carries out a plan, block by block, on the tape's threads. */
#define _POSIX_C_SOURCE 200809L
#include "plan.h"
#include "watch.h"

#include <fenv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A run in progress; what kernels report bad data to. */
typedef struct tg_run {
    tg_tape *t;
    tg_plan *plan;
    const uint32_t *ids;
    char *registers;
    uint32_t node;   /* of the step that runs */
    int64_t element; /* of the report that stands */
    tg_error *error; /* what kernels report */
    atomic_flag reporting;
    fenv_t environment; /* set when there is more than one thread */
} tg_run;

/* ---------------------------------------------------------------- reports of bad data */

static void report(tg_run *run, int64_t element, tg_status status, const char *format,
                   va_list arguments)
{
    while (atomic_flag_test_and_set_explicit(&run->reporting, memory_order_acquire)) continue;
    if (!run->error->status || element < run->element) {
        run->error->status = TG_OK;
        run->element = element;
        tg_error_setv(run->error, NULL, NULL, status, format, arguments);
    }
    atomic_flag_clear_explicit(&run->reporting, memory_order_release);
}

void tg_call_fail(const tg_call *c, int64_t element, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(c->run, element, status, format, arguments);
    va_end(arguments);
}

void tg_span_fail(const tg_span *s, int64_t element, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(s->run, element, status, format, arguments);
    va_end(arguments);
}

/* ---------------------------------------------------------------- threads */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static void run_job(const tg_run *run, tg_job *job)
{
    job->environment = &run->environment;
    tg_workers_run(&run->t->running.workers, job);
}

/* Less work than this gains nothing from threads, even while they are awake. */
enum { WORTH_THREADS_NS = 4000 };

/* Something done with each of `count` elements, about `ps` picoseconds an element, in pieces. */
typedef struct tg_pieces {
    void (*run)(const struct tg_pieces *of, int64_t first, int64_t n);
    const void *what, *from;
    void *to;
    int64_t count, ps;
} tg_pieces;

enum { PIECE = 16384 };

static void run_pieces(const tg_job *job, int thread)
{
    const tg_pieces *p = job->user;
    for (int64_t k, end; tg_job_next(job, thread, &k, &end);)
        p->run(p, k * PIECE, least(end * PIECE, p->count) - k * PIECE);
}

static void run_in_pieces(const tg_run *run, const tg_pieces *p)
{
    const int64_t work = p->count * p->ps / 1000;
    if (run->t->threads > 1 && work >= WORTH_THREADS_NS)
        run_job(run, &(tg_job){.run = run_pieces,
                               .user = p,
                               .turns = (p->count + PIECE - 1) / PIECE,
                               .threads = run->t->threads,
                               .nanoseconds = work});
    else if (p->count > 0) p->run(p, 0, p->count);
}

/* ---------------------------------------------------------------- binding */

static tg_status stale(tg_tape *t, const char *where, const tg_leaf *leaf)
{
    uint32_t reader = leaf->node;
    for (uint32_t v = leaf->node + 1; v < t->recorded.n && reader == leaf->node; v++)
        for (uint32_t k = 0; k < t->recorded.node[v].n_in; k++)
            if (tg_node_inputs(t, &t->recorded.node[v])[k] == leaf->node) reader = v;
    char place[160] = "";
    if (tg_node_where(t, reader))
        snprintf(place, sizeof place, " recorded at %.128s", tg_node_where(t, reader));
    return tg_tape_fail(t, where, t->recorded.node[reader].op->name, TG_ESTALE,
                        "parameter '%s' changed after the op%s read it and before its value was "
                        "asked for; evaluate first, or tg_keep the value",
                        leaf->param->name, place);
}

static tg_status bind_leaves(tg_run *run, const char *where, const tg_event *event)
{
    tg_tape *t = run->t;
    tg_plan *plan = run->plan;
    const uint32_t *bound = &t->asked.event_ids[event->bound];
    for (uint32_t k = 0; k < plan->n_leaves; k++) {
        tg_plan_leaf *l = &plan->leaves[k];
        void **base = &plan->base[1 + k];
        if (l->bound == TG_LITERAL) {
            *base = &l->scalar;
            continue;
        }
        uint32_t node = bound[l->bound];
        uint32_t value = tg_node_slot(t, node)->value;
        const tg_op *op = t->recorded.node[node].op;
        const tg_leaf *leaf = tg_is_leaf(op) ? &t->recorded.leaf[t->recorded.leaf_of[node]] : NULL;
        /* A leaf that was asked for has a copy of its data, which a replay must not take for the
         * data of now. */
        bool outdated =
            leaf && (op == &tg_op_input || (leaf->param && leaf->version == leaf->param->version));
        if (value && !outdated) {
            *base = t->asked.value[value - 1].data;
            continue;
        }
        if (event->request == TG_BACKWARD && leaf && leaf->param &&
            (op == &tg_op_param) != leaf->param->trainable)
            return tg_tape_fail(t, where, "backward", TG_ESTALE,
                                "parameter '%s' was %s after the recording read it",
                                leaf->param->name, leaf->param->trainable ? "thawed" : "frozen");
        if (op == &tg_op_input) {
            *base = (void *)(uintptr_t)leaf->data;
        } else if (op == &tg_op_constant) {
            tg_scalar_bits(l->dtype, leaf->value, &l->scalar);
            *base = &l->scalar;
        } else if (leaf->version != leaf->param->version) {
            return stale(t, where, leaf);
        } else {
            *base = leaf->param->value;
        }
    }
    return TG_OK;
}

static tg_status no_memory(tg_tape *t, const char *where, size_t bytes)
{
    return tg_tape_fail(t, where, NULL, TG_ENOMEM, "no memory to evaluate (%zu bytes wanted)",
                        bytes);
}

/* Values go to storage of their own; a gradient goes to its parameter, or beside it when that holds
 * one already. */
static tg_status bind_outputs(tg_run *run, const char *where, const tg_event *event)
{
    tg_tape *t = run->t;
    tg_plan *plan = run->plan;
    for (uint32_t k = 0; k < plan->n_outputs; k++) {
        const tg_plan_output *o = &plan->outputs[k];
        void **base = &plan->base[1 + plan->n_leaves + k];
        if (o->gradient) {
            tg_param *p =
                t->recorded.leaf[t->recorded.leaf_of[t->asked.event_ids[event->bound + o->index]]]
                    .param;
            *base = tg_param_grad_buffer(p);
            bool taken = p->has_grad;
            for (uint32_t i = 0; i < k && !taken; i++)
                taken = plan->outputs[i].gradient && plan->base[1 + plan->n_leaves + i] == *base &&
                        *base;
            if (taken) *base = tg_arena_take(&t->storage, o->bytes);
        } else {
            uint32_t value = tg_node_slot(t, t->asked.event_ids[event->targets + o->index])->value;
            *base = value ? t->asked.value[value - 1].data : tg_arena_take(&t->storage, o->bytes);
        }
        if (!*base) return no_memory(t, where, o->bytes);
    }
    return TG_OK;
}

static void accumulate_f32(const tg_pieces *p, int64_t first, int64_t n)
{
    float *sum = (float *)p->to + first;
    const float *term = (const float *)p->from + first;
    for (int64_t i = 0; i < n; i++) sum[i] += term[i];
}

static void accumulate_f64(const tg_pieces *p, int64_t first, int64_t n)
{
    double *sum = (double *)p->to + first;
    const double *term = (const double *)p->from + first;
    for (int64_t i = 0; i < n; i++) sum[i] += term[i];
}

static void accumulate(const tg_run *run, const tg_plan_output *o, void *sum, const void *term)
{
    run_in_pieces(run, &(tg_pieces){.run = o->dtype == TG_F32 ? accumulate_f32 : accumulate_f64,
                                    .from = term,
                                    .to = sum,
                                    .count = o->count,
                                    .ps = 200});
}

static tg_status hand_out(tg_run *run, const char *where, const tg_event *event)
{
    tg_tape *t = run->t;
    const tg_plan *plan = run->plan;
    if (!tg_grow(&t->allocator, (void **)&t->asked.value, &t->asked.value_capacity,
                 t->asked.n_values + plan->n_outputs, sizeof *t->asked.value))
        return no_memory(t, where, (t->asked.n_values + plan->n_outputs) * sizeof *t->asked.value);
    for (uint32_t k = 0; k < plan->n_outputs; k++) {
        const tg_plan_output *o = &plan->outputs[k];
        void *data = plan->base[1 + plan->n_leaves + k];
        if (o->gradient) {
            tg_param *p =
                t->recorded.leaf[t->recorded.leaf_of[t->asked.event_ids[event->bound + o->index]]]
                    .param;
            if (data != p->grad) accumulate(run, o, p->grad, data);
            p->has_grad = true;
            if (t->running.workers) tg_workers_hold(&p->owner->workers, t->running.workers);
        } else {
            uint32_t node = t->asked.event_ids[event->targets + o->index];
            if (!tg_node_slot(t, node)->value) {
                t->asked.value[t->asked.n_values++] = (tg_value){node, data};
                tg_node_slot(t, node)->value = (uint32_t)t->asked.n_values;
            }
        }
    }
    return TG_OK;
}

/* Memory that grows and stays: new contents are undefined. */
static bool reserve(tg_tape *t, void **block, size_t *bytes, size_t need)
{
    if (need <= *bytes) return true;
    void *larger = tg_allocate(&t->allocator, need);
    if (!larger) return false;
    tg_release(&t->allocator, *block, *bytes);
    *block = larger;
    *bytes = need;
    return true;
}

/* ---------------------------------------------------------------- groups */

static inline char *address(const tg_plan *plan, tg_ref at)
{
    return (char *)plan->base[at.base] + at.offset;
}

/* One thread's registers. */
typedef struct worker {
    const tg_run *run;
    const tg_group *group;
    void **reg;
} worker;

static void run_block(const worker *w, int64_t first, int64_t n)
{
    const tg_group *group = w->group;
    const tg_plan *plan = w->run->plan;
    void **reg = w->reg;
    for (uint32_t k = 0; k < group->n_moves; k++) {
        const tg_move *m = &group->moves[k];
        reg[m->reg] = address(plan, m->at) + first * m->size;
    }
    for (uint32_t k = 0; k < group->n_loads; k++)
        if (group->loads[k].ndim)
            tg_load_gather(reg[group->loads[k].reg], address(plan, group->loads[k].from),
                           &group->loads[k], first, n);
    tg_span span = {.n = n,
                    .first = first,
                    .key = w->run->t->key,
                    .step = w->run->t->step,
                    .run = (tg_run *)(uintptr_t)w->run};
    for (uint32_t k = 0; k < group->n_instructions; k++) {
        const tg_instruction *i = &group->instructions[k];
        const void *x[TG_SPAN_INPUTS] = {reg[i->x[0]], reg[i->x[1]], reg[i->x[2]], reg[i->x[3]]};
        span.attrs = i->attrs;
        i->run(&span, reg[i->y], x);
    }
}

static void start_worker(worker *w, const tg_run *run, const tg_group *group, int thread)
{
    char *memory = run->registers + (size_t)thread * run->plan->register_bytes;
    size_t table = (group->n_registers * sizeof(void *) + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN;
    *w = (worker){run, group, (void **)(void *)memory};
    for (uint32_t k = 0; k < group->n_temps; k++)
        w->reg[k] = memory + table + k * group->temp_bytes;
    for (uint32_t k = 0; k < group->n_loads; k++)
        if (!group->loads[k].ndim) {
            const tg_load *load = &group->loads[k];
            tg_load_fill(w->reg[load->reg], address(run->plan, load->from), load->size,
                         (int64_t)(group->temp_bytes / load->size));
        }
}

static void combine(tg_span_fn run, void *y, const void *a, const void *b, int64_t n)
{
    const tg_span span = {.n = n};
    const void *x[TG_SPAN_INPUTS] = {a, b};
    run(&span, y, x);
}

#define TRANSPOSE(T, first, end)                                   \
    for (int64_t j = 0; j < n; j++)                                \
        for (int64_t r = first; r < end; r++) {                    \
            ((T *)out)[j * rows + r] = ((const T *)in)[r * n + j]; \
        }

/* out[j][r] = in[r][j], in elements of 4 bytes, for n that are a multiple of 4: squares of four
 * rows in registers. */
static void transpose_fours(const uint32_t *in, uint32_t *out, int64_t rows, int64_t n)
{
#if defined(__GNUC__)
    typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
    const int64_t end = rows / 4 * 4;
    for (int64_t r = 0; r < end; r += 4)
        for (int64_t j = 0; j < n; j += 4) {
            const uint32_t *from = in + r * n + j;
            uint32_t *to = out + j * rows + r;
            const four a = *(const four *)from, b = *(const four *)(from + n),
                       c = *(const four *)(from + 2 * n), d = *(const four *)(from + 3 * n);
            const four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                       cd = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                       ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                       cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            *(four *)to = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
            *(four *)(to + rows) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
            *(four *)(to + 2 * rows) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
            *(four *)(to + 3 * rows) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
        }
#else
    const int64_t end = 0;
#endif
    TRANSPOSE(uint32_t, end, rows)
}

/* Short rows are reduced side by side: their first elements become a row of the transpose in
 * `room`, and so on, and these are combined as fold combines its lanes. */
static void fold_side_by_side(const tg_fold_part *f, void *room, const void *x, void *y,
                              int64_t rows, int64_t n)
{
    void *out = room;
    const void *in = x;
    if (f->size == 4 && n % 4 == 0) transpose_fours(x, room, rows, n);
    else if (f->size == 4) TRANSPOSE(uint32_t, 0, rows)
    else TRANSPOSE(uint64_t, 0, rows)
    const int64_t row = rows * f->size;
    int64_t half = 1;
    while (2 * half < n) half *= 2;
    for (int64_t pairs = n - half; half; pairs = half /= 2)
        combine(f->combine, half == 1 ? y : room, room, (char *)room + half * row, pairs * rows);
}

static void fold_short_rows(const worker *w, int64_t row, int64_t rows)
{
    const tg_group *group = w->group;
    run_block(w, row * group->reduced, rows * group->reduced);
    for (uint32_t k = 0; k < group->n_folds; k++) {
        const tg_fold_part *f = &group->folds[k];
        const char *x = w->reg[f->reg];
        char *y = address(w->run->plan, f->y) + row * f->size;
        if (group->side_by_side) {
            fold_side_by_side(f, w->reg[group->room], x, y, rows, group->reduced);
            continue;
        }
        for (int64_t r = 0; r < rows; r++)
            f->fold(group->reduced, x + r * group->reduced * f->size, y + r * f->size);
    }
}

static void fold_long_row(const worker *w, int64_t unit)
{
    const tg_group *group = w->group;
    int64_t chunks = (group->reduced + TG_CHUNK - 1) / TG_CHUNK, row = unit / chunks,
            chunk = unit % chunks;
    int64_t n = least(TG_CHUNK, group->reduced - chunk * TG_CHUNK);
    run_block(w, row * group->reduced + chunk * TG_CHUNK, n);
    for (uint32_t k = 0; k < group->n_folds; k++) {
        const tg_fold_part *f = &group->folds[k];
        f->fold(n, w->reg[f->reg], address(w->run->plan, f->partial) + unit * f->size);
    }
}

/* Rows combined pairwise, the upper half with the lower, until one is left: it is at the address
 * returned, which is `room` or x itself. */
static const char *pair_rows(const tg_fold_part *f, char *room, const char *x, int64_t rows,
                             int64_t width)
{
    int64_t row = width * f->size;
    while (rows > 1) {
        int64_t half = (rows + 1) / 2, pairs = rows - half;
        combine(f->combine, room, x, x + half * row, pairs * width);
        if (half > pairs && x != room) memcpy(room + pairs * row, x + pairs * row, (size_t)row);
        x = room;
        rows = half;
    }
    return x;
}

/* Up to 64 rows of up to 1024 columns: in blocks of as many whole rows as fit, each reduced
 * pairwise, one after the other. */
static void fold_columns(const worker *w, int64_t unit)
{
    const tg_group *group = w->group;
    int64_t strips = (group->inner + TG_CHUNK - 1) / TG_CHUNK,
            chunks = (group->reduced + TG_ROWS - 1) / TG_ROWS;
    int64_t strip = unit % strips, chunk = unit / strips % chunks, outer = unit / strips / chunks;
    int64_t column = strip * TG_CHUNK, width = least(TG_CHUNK, group->inner - column);
    int64_t row = chunk * TG_ROWS, end = least(row + TG_ROWS, group->reduced);
    for (int64_t at = row; at < end; at += group->block) {
        int64_t rows = least(group->block, end - at);
        run_block(w, (outer * group->reduced + at) * group->inner + column, rows * width);
        for (uint32_t k = 0; k < group->n_folds; k++) {
            const tg_fold_part *f = &group->folds[k];
            tg_ref to = chunks > 1 ? f->partial : f->y;
            char *sum = address(w->run->plan, to) +
                        ((outer * chunks + chunk) * group->inner + column) * f->size;
            const char *part = pair_rows(f, w->reg[group->room], w->reg[f->reg], rows, width);
            if (at == row) memcpy(sum, part, (size_t)(width * f->size));
            else combine(f->combine, sum, sum, part, width);
        }
    }
}

static void run_unit(const worker *w, int64_t unit)
{
    const tg_group *group = w->group;
    switch (group->walk) {
    case TG_FLAT:
        run_block(w, unit * group->block, least(group->block, group->count - unit * group->block));
        break;
    case TG_SHORT_ROWS:
        fold_short_rows(w, unit * group->block,
                        least(group->block, group->outer - unit * group->block));
        break;
    case TG_LONG_ROWS: fold_long_row(w, unit); break;
    case TG_COLUMNS: fold_columns(w, unit);
    }
}

/* Partial results of long reductions: folded as the elements were, until one is left. */
static void finish_fold(const tg_run *run, const tg_group *group, const tg_fold_part *f)
{
    char *y = address(run->plan, f->y), *partial = address(run->plan, f->partial);
    if (group->walk == TG_LONG_ROWS) {
        int64_t chunks = group->units / group->outer;
        for (int64_t row = 0; row < group->outer; row++) {
            char *p = partial + row * chunks * f->size;
            int64_t n = chunks;
            for (; n > TG_CHUNK; n = (n + TG_CHUNK - 1) / TG_CHUNK)
                for (int64_t k = 0; k * TG_CHUNK < n; k++)
                    f->fold(least(TG_CHUNK, n - k * TG_CHUNK), p + k * TG_CHUNK * f->size,
                            p + k * f->size);
            f->fold(n, p, y + row * f->size);
        }
    } else if (group->walk == TG_COLUMNS && group->reduced > TG_ROWS) {
        int64_t chunks = (group->reduced + TG_ROWS - 1) / TG_ROWS, width = group->inner * f->size;
        for (int64_t outer = 0; outer < group->outer; outer++) {
            char *p = partial + outer * chunks * width;
            memcpy(y + outer * width, pair_rows(f, p, p, chunks, group->inner), (size_t)width);
        }
    }
}

typedef struct tg_group_job {
    const tg_run *run;
    const tg_group *group;
} tg_group_job;

static void run_units(const worker *w, int64_t first, int64_t end)
{
    for (int64_t unit = first; unit < end; unit++) run_unit(w, unit);
}

static void run_group_job(const tg_job *job, int thread)
{
    const tg_group_job *j = job->user;
    worker w;
    start_worker(&w, j->run, j->group, thread);
    for (int64_t first, end; tg_job_next(job, thread, &first, &end);) run_units(&w, first, end);
}

static void run_all_units(const tg_run *run, const tg_group *group)
{
    /* an operation on an element takes about 0.15 ns */
    const int64_t work = group->count * (int64_t)(group->n_instructions + group->n_folds) * 3 / 20;
    if (run->t->threads > 1 && work >= WORTH_THREADS_NS) {
        const tg_group_job all = {run, group};
        run_job(run, &(tg_job){.run = run_group_job,
                               .user = &all,
                               .turns = group->units,
                               .threads = run->t->threads,
                               .nanoseconds = work});
    } else {
        worker w;
        start_worker(&w, run, group, 0);
        run_units(&w, 0, group->units);
    }
}

static void run_group(const tg_run *run, const tg_group *group)
{
    if (group->count == 0) {
        for (uint32_t k = 0; k < group->n_folds; k++)
            for (int64_t i = 0; i < group->outer * group->inner; i++)
                group->folds[k].fold(
                    0, NULL, address(run->plan, group->folds[k].y) + i * group->folds[k].size);
        return;
    }
    run_all_units(run, group);
    for (uint32_t k = 0; k < group->n_folds; k++) finish_fold(run, group, &group->folds[k]);
}

/* ---------------------------------------------------------------- calls */

typedef struct tg_part_job {
    const tg_call *c;
    void (*part)(const tg_call *c, void *user, int64_t k);
    void *user;
} tg_part_job;

static void run_parts(const tg_job *job, int thread)
{
    const tg_part_job *j = job->user;
    for (int64_t k, end; tg_job_next(job, thread, &k, &end);)
        for (; k < end; k++) j->part(j->c, j->user, k);
}

/* Kernels cut their work into parts of some ten microseconds, unless there is little in all. */
enum { PART_NS = 10000, LITTLE = 4096 };

static bool is_little(const tg_call *c)
{
    int64_t elements = tg_shape_count(c->y->shape);
    for (int k = 0; k < c->n_in; k++) elements += tg_shape_count(c->x[k].shape);
    return elements < LITTLE;
}

void tg_parallel(const tg_call *c, int64_t parts,
                 void (*part)(const tg_call *c, void *user, int64_t k), void *user)
{
    if (c->threads <= 1 || parts <= 1 || is_little(c)) {
        for (int64_t k = 0; k < parts; k++) part(c, user, k);
        return;
    }
    const tg_part_job all = {c, part, user};
    run_job(c->run, &(tg_job){.run = run_parts,
                              .user = &all,
                              .turns = parts,
                              .threads = c->threads,
                              .nanoseconds = parts * PART_NS});
}

static void gather_piece(const tg_pieces *p, int64_t first, int64_t n)
{
    const tg_load *load = p->what;
    tg_load_gather((char *)p->to + first * load->size, p->from, load, first, n);
}

static void gather_operand(const tg_run *run, const tg_operand *o)
{
    tg_load load = {.size = (uint32_t)tg_dtype_size(o->source.dtype)};
    for (int k = o->source.shape.ndim - 1; k >= 0; k--) {
        load.dim[load.ndim] = o->source.shape.dim[k];
        load.stride[load.ndim++] = o->source.stride[k] * load.size;
    }
    run_in_pieces(run, &(tg_pieces){.run = gather_piece,
                                    .what = &load,
                                    .from = address(run->plan, o->at),
                                    .to = address(run->plan, o->scratch),
                                    .count = tg_shape_count(o->source.shape),
                                    .ps = 500});
}

static void run_call(tg_run *run, tg_plan_call *c)
{
    for (uint32_t k = 0; k < (uint32_t)c->call.n_in; k++) {
        const tg_operand *o = &c->operands[k];
        if (o->gather) gather_operand(run, o);
        c->x[k].data = address(run->plan, o->gather ? o->scratch : o->at);
    }
    c->y.data = address(run->plan, c->y_at);
    c->call.scratch = address(run->plan, c->scratch);
    c->call.threads = run->t->threads;
    c->call.key = run->t->key;
    c->call.step = run->t->step;
    c->call.run = run;
    c->op->kernel(&c->call);
}

/* ---------------------------------------------------------------- the run */

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

/* What a plan with notes, or a tape that looks for NaN, wants behind a step. */
static bool ends_observed(tg_run *run, uint32_t done)
{
    if (run->plan->notes) run->plan->notes->stamp[done] = now();
    return run->ids && run->t->trace_nonfinite &&
           tg_watch(&(tg_watched){run->t, run->plan, run->ids}, run->node);
}

static tg_status run_steps(tg_run *run)
{
    tg_tape *t = run->t;
    const uint32_t n = run->plan->n_steps;
    for (uint32_t k = 0, end; k < n; k = end) {
        end = t->observe ? k + 1 : n;
        for (uint32_t i = k; i < end; i++) {
            const tg_step *s = &run->plan->steps[i];
            run->node = s->call ? s->call->node : s->group->node;
            if (s->call) run_call(run, s->call);
            else run_group(run, s->group);
            if (run->error->status) break;
        }
        if (run->error->status || (t->observe && ends_observed(run, end))) break;
    }
    if (run->error->status && run->ids) {
        uint32_t node = run->ids[run->node];
        tg_tape_fail(t, tg_node_where(t, node), tg_node_text(t, node).text, run->error->status,
                     "%s", run->error->message);
    }
    return t->error.status ? t->error.status : run->error->status;
}

tg_status tg_plan_run(tg_tape *t, const char *where, tg_plan *plan, const tg_event *event,
                      const uint32_t *ids)
{
    tg_run run = {
        .t = t, .plan = plan, .ids = ids, .error = &t->report, .reporting = ATOMIC_FLAG_INIT};
    if (t->threads > 1) fegetenv(&run.environment);
    t->report.status = TG_OK;
    tg_status status = bind_leaves(&run, where, event);
    if (!status) status = bind_outputs(&run, where, event);
    if (status) return status;
    size_t registers = plan->register_bytes * (size_t)t->threads;
    if (!reserve(t, &t->running.slab, &t->running.slab_bytes, plan->slab_bytes))
        return no_memory(t, where, plan->slab_bytes);
    if (!reserve(t, &t->running.registers, &t->running.register_bytes, registers))
        return no_memory(t, where, registers);
    plan->base[0] = t->running.slab;
    run.registers = t->running.registers;
    status = run_steps(&run);
    return status ? status : hand_out(&run, where, event);
}
