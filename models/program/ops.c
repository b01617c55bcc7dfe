/* What ops there are, and an example of one. */
#include <stdio.h>
#include <string.h>

#include "main.h"

/* The tests compile each example and compare what it gives with PyTorch. */
static const struct example {
    const char *in_pytorch, *call;
} examples[] = {
#define ROW(expression, operands, ...) {expression, #__VA_ARGS__},
#define ALONE(...) {NULL, #__VA_ARGS__},
#include "../../tests/reference_rows.h"
#undef ROW
#undef ALONE
};

/* What the check of an op's derivatives found; the tests compare. */
static const struct checked {
    const char *name;
    double error;
} checked[] = {
#define CHECKED(name, error) {#name, error},
#include "../../tests/largest_errors.h"
#undef CHECKED
};

static void print_op(const tg_op_info *o)
{
    char order[32];
    snprintf(order, sizeof order,
             o->order < 0    ? "any order"
             : o->order == 0 ? "not differentiable"
                             : "order %d",
             o->order);
    printf("%-22s %s\n%-22s shapes: %s; differentiable: %s", o->name, o->formula, "", o->shapes,
           order);
    for (size_t k = 0; k < sizeof checked / sizeof checked[0]; k++)
        if (!strcmp(checked[k].name, o->name))
            printf("; checked %s, largest error %.1e", o->order == 1 ? "once" : "to order 3",
                   checked[k].error);
    putchar('\n');
}

static int one_op(const tg_op_info *o)
{
    char call[80];
    snprintf(call, sizeof call, "tg_%s(", o->name);
    print_op(o);
    if (o->domain) printf("%-22s defined: %s\n", "", o->domain);
    if (o->kinks) printf("%-22s no derivative: %s\n", "", o->kinks);
    for (size_t k = 0; k < sizeof examples / sizeof examples[0]; k++) {
        if (!strstr(examples[k].call, call)) continue;
        printf("\nFor example, on a tape t with tensors a, b, ...:\n    %s\n", examples[k].call);
        if (examples[k].in_pytorch)
            printf("which PyTorch has as\n    %s\n", examples[k].in_pytorch);
        break;
    }
    printf("\nman tg_%s says the rest.\n", o->name);
    return DONE;
}

int ops(const request *r)
{
    int n = 0;
    const tg_op_info *const *list = tg_ops_list(&n);
    for (int k = 0; k < n; k++) {
        if (!r->op) print_op(list[k]);
        else if (!strcmp(list[k]->name, r->op)) return one_op(list[k]);
    }
    if (r->op) return complain(USAGE, "there is no op '%s': `tapegrad ops` lists them", r->op);
    printf("%d ops\n", n);
    return DONE;
}
