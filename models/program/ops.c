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

static void print_op(const tg_op_info *o)
{
    char order[32];
    snprintf(order, sizeof order,
             o->order < 0    ? "any order"
             : o->order == 0 ? "not differentiable"
                             : "order %d",
             o->order);
    printf("%-22s %s\n%-22s shapes: %s; differentiable: %s\n", o->name, o->formula, "", o->shapes,
           order);
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
