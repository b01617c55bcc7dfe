/* A recording as statements, which export.c makes and statements.c prints. Private. */
#ifndef TG_EXPORTER_H
#define TG_EXPORTER_H

#include <stdio.h>

#include "export.h"
#include "plan.h"

struct tg_source {
    FILE *out;
};

typedef enum tg_memory { TG_AS_CONSTANT, TG_AS_ARGUMENT, TG_IN_SLAB } tg_memory;

/* Memory of its own: a leaf's, or a statement's result or scratch. */
typedef struct tg_export_buffer {
    tg_memory place;
    tg_dtype dtype;
    uint32_t node;        /* of a leaf */
    const char *name;     /* of an argument */
    int64_t count;        /* elements */
    uint32_t first, last; /* the statements between which it lives */
    int64_t at;           /* byte in the slab */
} tg_export_buffer;

/* What a node reads as: data is TG_ORIGIN and the bytes from the buffer's beginning. */
typedef struct tg_export_operand {
    uint32_t buffer;
    tg_array array;
} tg_export_operand;
#define TG_ORIGIN ((char *)((uintptr_t)1 << (8 * sizeof(uintptr_t) - 2)))

typedef enum tg_statement_kind {
    TG_COPIES,
    TG_ELEMENTS,
    TG_FOLDS_ROWS,
    TG_PRINTS,   /* its op's own text */
    TG_CALLS,    /* a carried kernel */
    TG_SPANS_ALL /* carried functions of a span */
} tg_statement_kind;

typedef struct tg_statement {
    tg_statement_kind kind;
    uint32_t node, n_in;
    tg_export_operand *x, y;
    uint32_t function; /* of its expression, or fold, printed before */
    uint32_t room;     /* its scratch, a buffer; 0: none */
} tg_statement;

/* An expression, or a reduction by it, for one combination of dtypes. */
typedef struct tg_export_function {
    const char *text;
    tg_dtype y, first, rest;
    int n_in;
    const tg_folds *folds; /* NULL: elementwise */
} tg_export_function;

typedef struct tg_exporter {
    tg_tape *t;
    const char *where;
    tg_export_options options;
    tg_arena memory;
    uint32_t *targets;     /* the nodes of the outputs */
    uint32_t low, high;    /* live nodes */
    tg_export_operand *of; /* of node low + k */
    tg_export_buffer *buffers;
    tg_statement *statements;
    tg_export_function *functions;
    uint32_t n_buffers, n_statements, n_functions;
    int64_t slab;
    bool *carries; /* which of tg_carried_texts */
    bool *open;    /* which of them expressions use */
    bool calls;    /* there are carried kernels */
    bool draws;    /* there are random numbers */
    tg_source source;
} tg_exporter;

static inline const tg_export_value *tg_export_value_at(const tg_export_options *o, int k)
{
    return k < o->n_in ? &o->in[k] : &o->out[k - o->n_in];
}

/* The operand that output k is. */
static inline const tg_export_operand *tg_export_output(const tg_exporter *e, int k)
{
    return &e->of[e->targets[k] - e->low];
}

/* Makes an array that begins at the origin and has no gaps. */
void tg_export_contiguous(tg_array *a);

/* How a reduction sees x. */
typedef struct tg_extent {
    int64_t outer, reduced, inner;
} tg_extent;
tg_extent tg_export_extent(const tg_exporter *e, uint32_t node, const tg_shape *shape);

/* The tape in error at the node's line; returns its status. */
tg_status tg_export_refuse(tg_exporter *e, uint32_t node, const char *why);
tg_status tg_export_no_memory(tg_exporter *e);

/* The call that a statement of an op with a kernel is, on arrays at the origin; x has room for its
 * operands. */
tg_call tg_export_call(const tg_exporter *e, const tg_statement *s, tg_array *x);

/* Prints everything to e->source. */
tg_status tg_export_print(tg_exporter *e);

#endif
