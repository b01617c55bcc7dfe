/* The planner from the inside: what its four files share. Private.
 *
 *   order.c   what is computed at all, in which groups, and in which order
 *   place.c   where values lie, and for how long
 *   emit.c    the plan's steps
 *   plan.c    one after the other
 */
#ifndef TG_PLANNER_H
#define TG_PLANNER_H

#include <string.h>

#include "plan.h"

typedef enum kind { LEAF, SPAN, FOLD, VIEW, CALL, COPY } kind;

#define NONE UINT32_MAX

typedef struct planned_step {
    uint32_t level, first, count; /* count: members, in planner.member from `members` on */
    uint32_t members;
    bool call, fold_only;
    uint32_t shape; /* number of the iteration shape */
} planned_step;

/* What is known of a node of the graph that is planned. */
typedef struct planned_node {
    uint8_t kind;
    bool stored; /* it needs memory */
    bool kept;   /* it dies in the step at hand, but something else has taken over its memory */
    bool placed;
    uint32_t rep;  /* the node that stands for this one after merging */
    uint32_t root; /* of a view: the node whose memory it reads, else itself */
    uint32_t level;
    uint32_t parent;  /* union-find over the members of groups */
    uint32_t walk_of; /* of a component's parent: 1 + the fold that fixes how it walks */
    uint32_t last_user;
    uint32_t step;   /* in which it is computed; NONE for leaves and views */
    uint32_t last;   /* step in which its memory is read last */
    uint32_t output; /* 1 + number of the output that is computed in place */
    uint32_t reg, reg_stamp, uses;
    /* of a value that dies in the step at hand: 1 + its last reader there; NONE when that is no
     * reading in place */
    uint32_t reader;
    uint32_t array_of; /* index in the planner's arrays, for views and copies */
    tg_ref at;         /* where its value lies, once it is placed */
} planned_node;

typedef struct planner {
    const tg_plan_request *request;
    tg_tape *t;
    const tg_graph *g;
    tg_plan *plan;
    uint32_t n;
    planned_node *node;
    tg_array
        *array; /* strides and byte offset (in data, from a fixed origin) of views and copies */
    uint32_t n_arrays;
    planned_step *steps;
    uint32_t *order, *member, n_steps;
    uint32_t copies; /* outputs that need a copy of their own: steps beyond n_steps */
    bool failed;
} planner;

/* Where views count their offsets from: an address that nothing is read at. */
#define VIEW_ORIGIN ((char *)((uintptr_t)1 << 40))

static inline void *take(planner *p, size_t bytes)
{
    void *block = tg_arena_take(&p->t->planning.arena, bytes);
    if (!block) p->failed = true;
    return block;
}

static inline void *take_zeroed(planner *p, size_t bytes)
{
    void *block = take(p, bytes);
    if (block) memset(block, 0, bytes);
    return block;
}

/* Memory that lives as long as the plan. */
static inline void *keep(planner *p, size_t bytes)
{
    void *block = tg_arena_take(&p->plan->memory, bytes);
    if (!block) p->failed = true;
    return block;
}

static inline void *keep_copy(planner *p, const void *from, size_t bytes)
{
    void *block = keep(p, bytes);
    return block && bytes ? memcpy(block, from, bytes) : block;
}

static inline const tg_type_entry *type_of(const planner *p, uint32_t v)
{
    return &p->t->types.entry[p->g->node[v].type];
}
static inline size_t bytes_of(const planner *p, uint32_t v)
{
    return (size_t)type_of(p, v)->count * tg_dtype_size(type_of(p, v)->type.dtype);
}
static inline uint32_t input(const planner *p, uint32_t v, uint32_t k)
{
    return p->node[tg_graph_inputs(p->g, v)[k]].rep;
}
static inline bool in_group(const planner *p, uint32_t v)
{
    return p->node[v].kind == SPAN || p->node[v].kind == FOLD || p->node[v].kind == COPY;
}

/* The node whose shape a group member iterates over. */
static inline uint32_t iterated(const planner *p, uint32_t v)
{
    return p->node[v].kind == SPAN ? v : input(p, v, 0);
}
static inline const tg_type_entry *walked_type(const planner *p, uint32_t v)
{
    return type_of(p, iterated(p, v));
}

static inline bool computed(const planner *p, uint32_t v)
{
    return p->node[v].rep == v && p->node[v].kind != LEAF && p->node[v].kind != VIEW;
}

static inline void contiguous_array(const tg_type *type, tg_array *a)
{
    *a = (tg_array){.data = VIEW_ORIGIN, .dtype = type->dtype, .shape = type->shape};
    int64_t step = 1;
    for (int k = type->shape.ndim - 1; k >= 0; k--) {
        a->stride[k] = step;
        step *= type->shape.dim[k];
    }
}

static inline void array_of(const planner *p, uint32_t v, tg_array *a)
{
    if (p->node[v].kind == VIEW || p->node[v].kind == COPY) *a = p->array[p->node[v].array_of];
    else contiguous_array(&type_of(p, v)->type, a);
}

static inline double constant_value(const planner *p, uint32_t v)
{
    return p->t->recorded.leaf[p->t->recorded.leaf_of[p->g->id[v]]].value;
}

static inline tg_ref ref_of(const planner *p, uint32_t v)
{
    tg_array a;
    array_of(p, v, &a);
    tg_ref at = p->node[p->node[v].root].at;
    at.offset += (char *)a.data - VIEW_ORIGIN;
    return at;
}

typedef struct walk_shape {
    int64_t outer, reduced, inner;
} walk_shape;

static inline walk_shape walk_of_fold(const planner *p, uint32_t v)
{
    const tg_shape x = walked_type(p, v)->type.shape;
    const int64_t *attrs = tg_graph_attrs(p->g, v);
    walk_shape w = {1, 1, 1};
    for (int k = 0; k < x.ndim; k++)
        *(k < attrs[0] ? &w.outer : k <= attrs[1] ? &w.reduced : &w.inner) *= x.dim[k];
    return w;
}

typedef struct hole {
    int64_t offset, bytes;
} hole;

/* Memory for a plan, laid out by lifetimes. */
typedef struct slab {
    planner *p;
    hole *holes; /* by offset */
    uint32_t n, capacity;
    int64_t top;
} slab;

static inline int64_t round_up(int64_t bytes)
{
    return bytes > 0 ? (bytes + TG_ALIGN - 1) / TG_ALIGN * TG_ALIGN : TG_ALIGN;
}

static inline uint32_t output_base(const planner *p, uint32_t output)
{
    return 1 + p->plan->n_leaves + output;
}

/* order.c: fills in kinds, representatives, levels and the steps in order. */
void tg_plan_order(planner *p);

/* place.c */
void tg_plan_lifetimes(planner *p);
void tg_plan_place_leaves(planner *p);
void tg_plan_place_results(planner *p, slab *s, const planned_step *step, uint32_t k);
int64_t tg_slab_take(slab *s, int64_t bytes);
void tg_slab_give(slab *s, int64_t offset, int64_t bytes);
/* the node that can compute target v straight into its output; NONE if there is none */
uint32_t tg_plan_maker(const planner *p, uint32_t v);

/* emit.c */
void tg_plan_emit(planner *p);

#endif
