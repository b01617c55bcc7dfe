/* Random graphs for tests, made from a number.
 *
 * A graph is a list of instructions, each with a slot for its result. What an instruction does to
 * the tensors it finds depends on their dtypes and shapes alone; where it does not fit, or has been
 * dropped, its slot gets its first operand. So every graph can be recorded, and still can with any
 * of its instructions gone. */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "support.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum {
    MAX_LEAVES = 8,
    MAX_INSTRUCTIONS = 64,
    MAX_SLOTS = MAX_LEAVES + MAX_INSTRUCTIONS,
    MAX_TARGETS = 5,
    N_DATA = 2
};

typedef struct instruction {
    int kind;
    bool dropped;
    int a, b, c;      /* slots */
    uint32_t variant; /* which function, axis, ...: taken apart as needed */
} instruction;

typedef struct leaf_kind {
    enum { PARAM, FROZEN, COPIED, BORROWED } from;
    tg_dtype dtype;
    int form; /* of its shape */
} leaf_kind;

typedef struct graph {
    uint64_t seed;
    int64_t size[3];
    int64_t limit; /* elements of the largest tensor */
    int style;     /* of the data */
    bool plain;    /* one tg_backward is all the evaluation there is, so that it can be replayed */
    bool twice;    /* a second backward pass */
    bool reach;    /* the loss reaches a parameter for sure */
    int n_leaves, n, n_targets;
    leaf_kind leaf[MAX_LEAVES];
    instruction instruction[MAX_INSTRUCTIONS];
    int target[MAX_TARGETS];
} graph;

/* Steele, Lea, Flood 2014 */
static int below(uint64_t *state, int n) { return (int)(test_random(state) % (uint64_t)n); }
static bool chance(uint64_t *state, int percent) { return below(state, 100) < percent; }

/* ---------------------------------------------------------------- making a case */

typedef enum kind {
    UNARY,
    BINARY,
    NUMBER,
    COMPARE,
    WHERE,
    REDUCE,
    ALONG,
    SOFTMAX,
    VIEW,
    JOIN,
    CAST,
    MATMUL,
    INDEX,
    NORMAL,
    DROPOUT,
    DETACH,
    GRAD,
    KEEP,
    EVAL,
    ITEM,
    BACKWARD,
    KIND_COUNT
} kind;

static const struct {
    const char *name;
    int weight;
} kinds[KIND_COUNT] = {
    [UNARY] = {"unary", 20},    [BINARY] = {"binary", 24},  [NUMBER] = {"number", 6},
    [COMPARE] = {"compare", 3}, [WHERE] = {"where", 3},     [REDUCE] = {"reduce", 10},
    [ALONG] = {"along", 2},     [SOFTMAX] = {"softmax", 3}, [VIEW] = {"view", 18},
    [JOIN] = {"join", 4},       [CAST] = {"cast", 4},       [MATMUL] = {"matmul", 5},
    [INDEX] = {"index", 3},     [NORMAL] = {"norm", 2},     [DROPOUT] = {"dropout", 3},
    [DETACH] = {"detach", 1},   [GRAD] = {"grad", 1},       [KEEP] = {"keep", 1},
    [EVAL] = {"eval", 1},       [ITEM] = {"item", 1},       [BACKWARD] = {"backward", 1}};

static int random_kind(uint64_t *s)
{
    int total = 0, k = 0;
    for (int i = 0; i < KIND_COUNT; i++) total += kinds[i].weight;
    for (int at = below(s, total); at >= kinds[k].weight; k++) at -= kinds[k].weight;
    return k;
}

static void random_sizes(graph *c, uint64_t *s)
{
    static const int64_t small[] = {0, 1, 2, 2, 3, 3, 5, 7, 17},
                         medium[] = {33, 64, 65, 70, 130, 1023, 1024, 1025, 1500};
    const int scale = below(s, 100);
    for (int k = 0; k < 3; k++) c->size[k] = small[1 + below(s, COUNT(small) - 1)];
    if (chance(s, 5)) c->size[below(s, 3)] = 0;
    if (scale >= 80) c->size[below(s, 3)] = medium[below(s, COUNT(medium))];
    if (scale >= 92) c->size[0] = 70, c->size[1] = 33;
    c->limit = scale < 80 ? 1 << 12 : 1 << 14;
    if (scale >= 98) {
        static const int64_t large[][2] = {
            {70000, 1}, {1500, 50}, {50, 1500}, {300, 257}, {3, 25000}};
        memcpy(c->size, large[below(s, COUNT(large))], sizeof large[0]);
        c->size[2] = 1 + below(s, 2);
        c->limit = 160000;
    }
}

static void make(graph *c, uint64_t seed)
{
    uint64_t state = seed * 0xD1342543DE82EF95u, *s = &state;
    *c = (graph){.seed = seed,
                 .style = below(s, 8),
                 .plain = chance(s, 50),
                 .twice = chance(s, 40),
                 .reach = chance(s, 80)};
    random_sizes(c, s);
    const tg_dtype usual = chance(s, 60) ? TG_F32 : TG_F64;
    const bool mixed = chance(s, 25);
    c->n_leaves = 2 + below(s, MAX_LEAVES - 2);
    for (int k = 0; k < c->n_leaves; k++) {
        static const int forms[] = {0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8};
        leaf_kind *l = &c->leaf[k];
        *l = (leaf_kind){.from = chance(s, 50) ? PARAM : 1 + (unsigned)below(s, 3),
                         .dtype = usual,
                         .form = forms[below(s, COUNT(forms))]};
        if (mixed && chance(s, 40)) l->dtype = usual == TG_F32 ? TG_F64 : TG_F32;
        if (k == 0) *l = (leaf_kind){.from = PARAM, .dtype = usual, .form = l->form};
        if (k && k == c->n_leaves - 1 && chance(s, 40))
            *l = (leaf_kind){.from = COPIED, .dtype = TG_I64, .form = l->form};
    }
    c->n = 2 + below(s, chance(s, 15) ? MAX_INSTRUCTIONS - 1 : 22);
    int grads = chance(s, 25) ? 1 + below(s, 2) : 0;
    for (int k = 0; k < c->n; k++) {
        instruction *i = &c->instruction[k];
        const int slots = c->n_leaves + k;
        i->kind = random_kind(s);
        if (k && chance(s, grads * 200 / c->n)) i->kind = GRAD;
        if (i->kind == GRAD && grads-- <= 0) i->kind = UNARY;
        if (c->plain && (i->kind == EVAL || i->kind == ITEM || i->kind == BACKWARD))
            i->kind = BINARY;
        /* Half the operands are recent, so that chains become long. */
        i->a = chance(s, 50) && k ? slots - 1 - below(s, k < 3 ? k : 3) : below(s, slots);
        i->b = chance(s, 30) && k ? slots - 1 - below(s, k < 5 ? k : 5) : below(s, slots);
        i->c = below(s, slots);
        i->variant = (uint32_t)test_random(s);
    }
    c->n_targets = 1 + below(s, MAX_TARGETS);
    for (int k = 0; k < c->n_targets; k++)
        c->target[k] = c->n_leaves + c->n - 1 - below(s, k == 0 ? 1 : c->n);
}

static tg_shape shape_of(const graph *c, int leaf)
{
    const int64_t n = c->size[0], m = c->size[1], k = c->size[2];
    switch (c->leaf[leaf].form) {
    case 0: return TG_SHAPE(n, m);
    case 1: return TG_SHAPE(m);
    case 2: return TG_SHAPE(n, 1);
    case 3: return TG_SHAPE(1, m);
    case 4: return TG_SCALAR;
    case 5: return TG_SHAPE(k, n, m);
    case 6: return TG_SHAPE(m, n);
    case 7: return TG_SHAPE(n);
    default: return TG_SHAPE(1);
    }
}

/* ---------------------------------------------------------------- data */

static double random_value(const graph *c, uint64_t *s)
{
    static const double special[] = {0, -0.0, 1, -1, INFINITY, -INFINITY, NAN, 1e-40, 3e38};
    if (c->style == 0 && chance(s, 5)) return special[below(s, COUNT(special))];
    if (c->style == 1) return below(s, 5) - 2;
    return (double)(test_random(s) >> 11) * 0x1p-51 - 2;
}

static void *random_data(const graph *c, int leaf, uint64_t seed)
{
    const int64_t n = tg_shape_count(shape_of(c, leaf));
    const tg_dtype dtype = c->leaf[leaf].dtype;
    uint64_t state = seed;
    int rows = 1000000;
    for (int k = 0; k < 3; k++)
        if (c->size[k] > 0 && c->size[k] < rows) rows = (int)c->size[k];
    if (c->style == 2) rows += 1; /* some too large for the smallest axis */
    char *data = malloc((size_t)n * tg_dtype_size(dtype) + 1);
    for (int64_t i = 0; i < n; i++)
        if (dtype == TG_I64) ((int64_t *)(void *)data)[i] = below(&state, rows);
        else if (dtype == TG_F64) ((double *)(void *)data)[i] = random_value(c, &state);
        else ((float *)(void *)data)[i] = (float)random_value(c, &state);
    return data;
}

static void fill(const graph *c, int which, void **data)
{
    for (int k = 0; k < c->n_leaves; k++)
        data[k] = random_data(c, k, c->seed * 100 + (uint64_t)(which * 10 + k));
}

static tg_params *params_of(const graph *c, const tg_allocator *allocator, tg_tensor **param)
{
    const tg_params_options o = {.size = sizeof o, .allocator = allocator};
    tg_params *ps = tg_params_new(&o);
    for (int k = 0; k < c->n_leaves; k++) {
        char name[16];
        param[k] = NULL;
        if (c->leaf[k].from != PARAM && c->leaf[k].from != FROZEN) continue;
        snprintf(name, sizeof name, "p%d", k);
        param[k] =
            tg_param_new(ps, name, c->leaf[k].dtype, shape_of(c, k), ((tg_init){TG_ZEROS, 0, 0}));
        void *data = random_data(c, k, c->seed * 100 + 90 + (uint64_t)k);
        tg_param_write(param[k], data);
        tg_param_set_trainable(param[k], c->leaf[k].from == PARAM);
        free(data);
    }
    return ps;
}

#endif
