/* Every op, called wrongly: a status and a message with this file's line, never a crash. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "../ops/samples.h"
#include "errors.h"

/* ---------------------------------------------------------------- one good call of every op */

enum { CALLS = 512 };

/* Made of the first of the op's samples with most operands that has elements and few of them. */
typedef struct call {
    const char *name, *where;
    int n;
    unsigned optional;
    tg_type type[TG_SAMPLE_INPUTS];
    tg_tensor *(*run)(tg_tape *t, tg_tensor *const *x);
} call;

static call calls[CALLS];
static int n_calls;

static bool few_elements(const tg_sample *s)
{
    bool few = true;
    for (int k = 0; k < s->n_in; k++) {
        const int64_t count = tg_shape_count(s->x[k].type.shape);
        few &= count > 0 && count < 1000;
    }
    return few;
}

static call call_of(const tg_samples *of)
{
    const tg_sample *best = NULL;
    for (int k = 0; k < of->n; k++) {
        const tg_sample *s = &of->sample[k];
        if (few_elements(s) && (!best || s->n_in > best->n_in)) best = s;
    }
    call c = {.name = of->op->name};
    cr_assert(best && best->where, "%s has no sample with few elements", of->op->name);
    c.where = best->where;
    c.n = best->n_in;
    c.optional = best->optional;
    c.run = best->record;
    for (int k = 0; k < c.n; k++) {
        c.type[k] = best->x[k].type;
        if (best->flags & TG_ANY_SHAPE)
            c.type[k].shape = k == c.n - 1 && k ? TG_SHAPE(3) : TG_SHAPE(2, 3);
    }
    return c;
}

static void find_calls(void)
{
    const tg_samples *const *list = tg_samples_list(&n_calls);
    cr_assert(n_calls <= CALLS);
    for (int k = 0; k < n_calls; k++) calls[k] = call_of(list[k]);
}

TestSuite(errors, .init = find_calls);

static void operands(tg_tape *t, const call *c, tg_tensor **x)
{
    for (int k = 0; k < c->n; k++) x[k] = operand(t, c->type[k].dtype, c->type[k].shape);
}

/* Whether the message begins with the call's file and line; a call over several lines has several
 * of them. */
static bool names_call(const tg_tape *t, const call *c)
{
    enum { LINES = 4 };
    const char *colon = strrchr(c->where, ':'), *message = tg_tape_message(t);
    const size_t file = (size_t)(colon - c->where) + 1;
    if (strncmp(message, c->where, file) != 0) return false;
    char *end;
    const long line = strtol(message + file, &end, 10);
    return *end == ':' && labs(line - strtol(colon + 1, NULL, 10)) < LINES;
}

static void expect_fails(tg_tape *t, tg_status wanted, const call *c, int k, const char *about)
{
    cr_expect_eq(tg_tape_status(t), wanted, "%s, operand %d %s: %s: %s", c->name, k, about,
                 tg_status_name(tg_tape_status(t)), tg_tape_message(t));
    cr_expect(names_call(t, c), "%s, operand %d %s: not \"%s\" in \"%s\"", c->name, k, about,
              c->where, tg_tape_message(t));
    tg_tape_clear_error(t);
    tg_tape_reset(t);
}

/* Whatever was asked: a tensor whose value can be computed or is refused with a reason, or NULL and
 * a reason. */
static void expect_sound(tg_tape *t, tg_tensor *y, const call *c, const char *about)
{
    if (y) {
        cr_expect_eq(tg_tape_status(t), TG_OK, "%s, %s: a tensor, but %s", c->name, about,
                     tg_tape_message(t));
        cr_expect_geq(tg_shape_count(tg_tensor_shape(y)), 0);
        const void *data = (tg_data)(t, y);
        cr_expect((data != NULL) == (tg_tape_status(t) == TG_OK), "%s, %s", c->name, about);
    } else cr_expect_neq(tg_tape_status(t), TG_OK, "%s, %s: NULL without a reason", c->name, about);
    if (tg_tape_status(t) != TG_OK) {
        cr_expect_neq(tg_tape_status(t), TG_ENOMEM, "%s, %s: %s", c->name, about,
                      tg_tape_message(t));
        cr_expect(names_call(t, c), "%s, %s: no line in \"%s\"", c->name, about,
                  tg_tape_message(t));
    }
}

Test(errors, the_good_calls_are_good)
{
    tg_tape *t = tg_tape_new(NULL);
    int n;
    tg_ops_list(&n);
    cr_assert_eq(n, n_calls);
    for (const call *c = calls; c < calls + n_calls; c++) {
        tg_tensor *x[TG_SAMPLE_INPUTS];
        operands(t, c, x);
        cr_expect_not_null((tg_data)(t, c->run(t, x)), "%s: %s", c->name, tg_tape_message(t));
        for (int k = 0; k < c->n; k++) {
            if (!(c->optional >> k & 1)) continue;
            x[k] = NULL;
            cr_expect_not_null((tg_data)(t, c->run(t, x)), "%s without operand %d: %s", c->name, k,
                               tg_tape_message(t));
        }
        tg_tape_clear_error(t);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
}

Test(errors, a_null_tape_gives_null)
{
    tg_tape *t = tg_tape_new(NULL);
    for (const call *c = calls; c < calls + n_calls; c++) {
        tg_tensor *x[TG_SAMPLE_INPUTS], *none[TG_SAMPLE_INPUTS] = {NULL};
        operands(t, c, x);
        cr_expect_null(c->run(NULL, x), "%s", c->name);
        cr_expect_null(c->run(NULL, none), "%s", c->name);
    }
    cr_expect_eq(tg_tape_status(NULL), TG_ENOMEM);
    tg_tape_free(t);
}

Test(errors, a_null_operand_is_named)
{
    tg_tape *t = tg_tape_new(NULL);
    for (const call *c = calls; c < calls + n_calls; c++)
        for (int k = 0; k < c->n; k++) {
            tg_tensor *x[TG_SAMPLE_INPUTS];
            if (c->optional >> k & 1) continue;
            operands(t, c, x);
            x[k] = NULL;
            cr_expect_null(c->run(t, x), "%s", c->name);
            expect_fails(t, TG_ENULL, c, k, "NULL");
        }
    tg_tape_free(t);
}

Test(errors, a_tensor_of_another_tape_is_refused)
{
    tg_tape *t = tg_tape_new(NULL), *other = tg_tape_new(NULL);
    for (const call *c = calls; c < calls + n_calls; c++)
        for (int k = 0; k < c->n; k++) {
            tg_tensor *x[TG_SAMPLE_INPUTS];
            operands(t, c, x);
            x[k] = operand(other, c->type[k].dtype, c->type[k].shape);
            cr_expect_null(c->run(t, x), "%s", c->name);
            expect_fails(t, TG_ETAPE, c, k, "foreign");
            cr_expect_eq(tg_tape_status(other), TG_OK);
        }
    tg_tape_free(t);
    tg_tape_free(other);
}

Test(errors, a_tensor_of_an_earlier_recording_is_refused)
{
    tg_tape *t = tg_tape_new(NULL);
    for (const call *c = calls; c < calls + n_calls; c++)
        for (int k = 0; k < c->n; k++) {
            tg_tensor *x[TG_SAMPLE_INPUTS], *old = NULL;
            for (int i = 0; i < 99; i++) old = operand(t, c->type[k].dtype, c->type[k].shape);
            tg_tape_reset(t);
            operands(t, c, x);
            x[k] = old;
            cr_expect_null(c->run(t, x), "%s", c->name);
            expect_fails(t, TG_ETAPE, c, k, "stale");
        }
    tg_tape_free(t);
}

Test(errors, wrong_dtypes_are_refused)
{
    tg_tape *t = tg_tape_new(NULL);
    for (const call *c = calls; c < calls + n_calls; c++)
        for (int k = 0; k < c->n; k++)
            for (tg_dtype dtype = 0; dtype < TG_DTYPE_COUNT; dtype++) {
                tg_tensor *x[TG_SAMPLE_INPUTS];
                char about[64];
                int floats = 0;
                operands(t, c, x);
                for (int i = 0; i < c->n; i++) floats += c->type[i].dtype == TG_F64;
                x[k] = operand(t, dtype, c->type[k].shape);
                snprintf(about, sizeof about, "operand %d is %s", k, tg_dtype_name(dtype));
                tg_tensor *y = c->run(t, x);
                if (floats > 1 && c->type[k].dtype == TG_F64 && dtype != TG_F64) {
                    cr_expect_null(y, "%s, %s", c->name, about);
                    cr_expect_eq(tg_tape_status(t), TG_EDTYPE, "%s, %s: %s", c->name, about,
                                 tg_tape_message(t));
                }
                if (y && c->type[k].dtype == TG_I64)
                    cr_expect_eq(dtype, TG_I64, "%s: %s for an index", c->name, about);
                expect_sound(t, y, c, about);
                tg_tape_clear_error(t);
                tg_tape_reset(t);
            }
    tg_tape_free(t);
}

static int all_shapes(tg_shape *out)
{
    const tg_shape s[] = {TG_SCALAR,
                          TG_SHAPE(0),
                          TG_SHAPE(1),
                          TG_SHAPE(7),
                          TG_SHAPE(0, 3),
                          TG_SHAPE(2, 0),
                          TG_SHAPE(5, 7),
                          TG_SHAPE(1, 3),
                          TG_SHAPE(3, 2),
                          TG_SHAPE(2, 3, 4),
                          TG_SHAPE(2, 2, 3),
                          TG_SHAPE(1, 1, 2, 3),
                          TG_SHAPE(2, 1),
                          TG_SHAPE(0, 0, 0),
                          TG_SHAPE(3, 5, 2),
                          TG_SHAPE(1, 1, 1, 1, 1, 1, 1, 1),
                          TG_SHAPE(2, 1, 2, 1, 2, 1, 2, 3)};
    memcpy(out, s, sizeof s);
    return (int)(sizeof s / sizeof s[0]);
}

Test(errors, any_shape_is_computed_or_refused)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_shape shape[32];
    const int n = all_shapes(shape);
    for (const call *c = calls; c < calls + n_calls; c++)
        for (int k = 0; k < c->n; k++)
            for (int s = 0; s < n; s++) {
                tg_tensor *x[TG_SAMPLE_INPUTS];
                char about[256];
                operands(t, c, x);
                x[k] = operand(t, c->type[k].dtype, shape[s]);
                snprintf(about, sizeof about, "operand %d is %s", k, tg_shape_text(shape[s]).text);
                expect_sound(t, c->run(t, x), c, about);
                tg_tape_clear_error(t);
                tg_tape_reset(t);
            }
    tg_tape_free(t);
}

Test(errors, an_error_sticks)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *kept[CALLS][TG_SAMPLE_INPUTS];
    for (int i = 0; i < n_calls; i++) operands(t, &calls[i], kept[i]);
    const int line = __LINE__ + 1;
    cr_expect_null(tg_reshape(t, kept[0][0], TG_SHAPE(5)));
    char first[512];
    snprintf(first, sizeof first, "%s", tg_tape_message(t));
    cr_expect_fails(t, TG_ESHAPE, line, "reshape");
    for (int i = 0; i < n_calls; i++) {
        tg_tensor *none[TG_SAMPLE_INPUTS] = {NULL};
        cr_expect_null(calls[i].run(t, kept[i]), "%s", calls[i].name);
        cr_expect_null(calls[i].run(t, none), "%s", calls[i].name);
    }
    tg_tensor *gx = kept[0][0];
    cr_expect_null(tg_input(t, TG_F64, TG_SCALAR, "12345678"));
    cr_expect_null(tg_constant(t, TG_F64, 1));
    cr_expect_null(tg_keep(t, kept[0][0]));
    cr_expect_null(tg_detach(t, kept[0][0]));
    cr_expect_null(tg_data(t, kept[0][0]));
    cr_expect(isnan(tg_item(t, kept[0][0])));
    cr_expect_eq(tg_eval(t, 1, kept[0]), TG_ESHAPE);
    cr_expect_eq(tg_backward(t, kept[0][0]), TG_ESHAPE);
    cr_expect_eq(tg_grad(t, kept[0][0], NULL, 1, kept[1], &gx, false), TG_ESHAPE);
    cr_expect_null(gx);
    cr_expect_eq(tg_replay(t), TG_ESHAPE);
    cr_expect_eq(tg_input_set(t, kept[0][0], first), TG_ESHAPE);
    cr_expect_str_eq(tg_tape_message(t), first);
    tg_tape_reset(t);
    cr_expect_str_eq(tg_tape_message(t), first, "a reset keeps the error");
    tg_tape_clear_error(t);
    cr_expect_eq(tg_tape_status(t), TG_OK);
    cr_expect_str_eq(tg_tape_message(t), "");
    cr_expect_eq(tg_item(t, tg_constant(t, TG_F64, 3)), 3);
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- attributes out of range */

#define REFUSED(expression)                                                                   \
    do {                                                                                      \
        cr_expect_null(expression, "%s", #expression);                                        \
        cr_expect(tg_tape_status(t) == TG_ESHAPE || tg_tape_status(t) == TG_EVALUE, "%s: %s", \
                  #expression, tg_tape_message(t));                                           \
        cr_expect(names_line(t, __FILE__, __LINE__), "%s: no line in \"%s\"", #expression,    \
                  tg_tape_message(t));                                                        \
        tg_tape_clear_error(t);                                                               \
    } while (0)
#define REFUSED_AS(status, expression)                           \
    do {                                                         \
        cr_expect_null(expression, "%s", #expression);           \
        cr_expect_fails(t, status, __LINE__, "%s", #expression); \
        tg_tape_clear_error(t);                                  \
    } while (0)

Test(errors, attributes_out_of_range_are_refused)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(2, 3)), *v = operand(t, TG_F64, TG_SHAPE(2)),
              *i = operand(t, TG_I64, TG_SHAPE(2, 3));
    tg_tensor *pair[] = {x, x}, *empty = operand(t, TG_F64, TG_SHAPE(0, 3));
    const tg_shape impossible = tg_shape_of(2, (const int64_t[]){-3, 2});
    const tg_axes no_axes = {.n = -2};

    REFUSED(tg_sum(t, x, TG_AXES(2), false));
    REFUSED(tg_sum(t, x, TG_AXES(-3), false));
    REFUSED(tg_sum(t, x, TG_AXES(0, 0), false));
    REFUSED(tg_sum(t, x, TG_AXES(1, -1), false));
    REFUSED(tg_sum(t, x, no_axes, false));
    REFUSED(tg_mean(t, x, TG_AXES(INT32_MAX), false));
    REFUSED(tg_max(t, x, TG_AXES(2), false));
    REFUSED(tg_prod(t, x, TG_AXES(5), false));
    REFUSED(tg_var(t, x, TG_AXES(2), 1, false));
    REFUSED(tg_std(t, x, TG_AXES(-7), 1, false));
    REFUSED(tg_norm(t, x, 2, TG_AXES(2), false));
    REFUSED_AS(TG_EVALUE, tg_norm(t, x, 0, TG_AXES(1), false));
    REFUSED_AS(TG_EVALUE, tg_norm(t, x, -1, TG_AXES(1), false));
    REFUSED_AS(TG_EVALUE, tg_norm(t, x, (double)NAN, TG_AXES(1), false));
    REFUSED(tg_logsumexp(t, x, TG_AXES(2), false));
    REFUSED(tg_argmax(t, x, 2, false));
    REFUSED(tg_argmax(t, x, INT32_MIN, false));
    REFUSED_AS(TG_ESHAPE, tg_argmax(t, empty, 0, false));
    REFUSED_AS(TG_ESHAPE, tg_max(t, empty, TG_AXES(0), false));
    REFUSED_AS(TG_ESHAPE, tg_min(t, empty, TG_ALL_AXES, false));
    REFUSED(tg_max_along(t, x, -3, false));
    REFUSED(tg_softmax(t, x, 2));
    REFUSED(tg_log_softmax(t, x, -3));
    REFUSED_AS(TG_ESHAPE, tg_reshape(t, x, TG_SHAPE(7)));
    REFUSED(tg_reshape(t, x, TG_SHAPE(-1, -1)));
    REFUSED(tg_reshape(t, x, TG_SHAPE(4, -1)));
    REFUSED(tg_reshape(t, x, TG_SHAPE(-2, 3)));
    REFUSED(tg_reshape(t, empty, TG_SHAPE(0, -1)));
    REFUSED(tg_permute(t, x, TG_AXES(0)));
    REFUSED(tg_permute(t, x, TG_AXES(0, 0)));
    REFUSED(tg_permute(t, x, TG_AXES(0, 2)));
    REFUSED(tg_transpose(t, x, 0, 2));
    REFUSED_AS(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(4)));
    REFUSED_AS(TG_ESHAPE, tg_expand(t, x, TG_SHAPE(2, 4)));
    REFUSED(tg_expand(t, x, impossible));
    REFUSED(tg_slice(t, x, 2, 0, 1, 1));
    REFUSED(tg_slice(t, x, 0, 0, 1, 0));
    REFUSED(tg_slice(t, x, 0, 0, 1, -1));
    REFUSED(tg_flip(t, x, TG_AXES(2)));
    REFUSED(tg_squeeze(t, x, 0));
    REFUSED(tg_squeeze(t, x, 2));
    REFUSED(tg_unsqueeze(t, x, 3));
    REFUSED(tg_unsqueeze(t, x, -4));
    REFUSED(tg_unsqueeze(t, operand(t, TG_F64, TG_SHAPE(1, 1, 1, 1, 1, 1, 1, 1)), 0));
    REFUSED(tg_concat(t, 2, pair, 2));
    REFUSED(tg_concat(t, 0, pair, 0));
    REFUSED(tg_concat(t, -1, pair, 0));
    REFUSED_AS(TG_ENULL, tg_concat(t, 2, NULL, 0));
    REFUSED(tg_stack(t, 2, pair, 3));
    REFUSED(tg_stack(t, 0, pair, 0));
    REFUSED(tg_pad(t, x, TG_SHAPE(1), TG_SHAPE(1), 0));
    REFUSED(tg_pad(t, x, TG_SHAPE(1, -9), TG_SHAPE(1, 1), 0));
    REFUSED(tg_pad(t, x, TG_SHAPE(1, INT64_MAX), TG_SHAPE(1, 1), 0));
    REFUSED_AS(TG_EDTYPE, tg_cast(t, x, (tg_dtype)7));
    REFUSED_AS(TG_EDTYPE, tg_one_hot(t, i, 3, (tg_dtype)9));
    REFUSED(tg_one_hot(t, i, -1, TG_F64));
    REFUSED_AS(TG_ESHAPE, tg_matmul(t, x, x));
    REFUSED_AS(TG_ESHAPE, tg_matmul(t, x, tg_constant(t, TG_F64, 1)));
    REFUSED_AS(TG_ESHAPE, tg_linear(t, x, v, NULL));
    REFUSED_AS(TG_ESHAPE, tg_linear(t, x, x, operand(t, TG_F64, TG_SHAPE(3))));
    REFUSED(tg_gather(t, x, 2, i));
    REFUSED(tg_index_select(t, x, 2, operand(t, TG_I64, TG_SHAPE(2))));
    REFUSED_AS(TG_ESHAPE, tg_index_select(t, x, 0, i));
    REFUSED_AS(TG_ESHAPE, tg_embedding(t, v, i));
    REFUSED_AS(TG_ESHAPE, tg_scatter_add(t, x, 0, i, v));
    REFUSED_AS(TG_EVALUE, tg_dropout(t, x, -0.1));
    REFUSED_AS(TG_EVALUE, tg_dropout(t, x, 1.1));
    REFUSED_AS(TG_EVALUE, tg_dropout(t, x, (double)NAN));
    REFUSED_AS(TG_ESHAPE, tg_mse_loss(t, x, v, TG_REDUCE_MEAN));
    REFUSED_AS(TG_ESHAPE, tg_mse_loss(t, v, operand(t, TG_F64, TG_SHAPE(2, 1)), TG_REDUCE_MEAN));
    REFUSED_AS(TG_ESHAPE, tg_l1_loss(t, tg_constant(t, TG_F64, 1), operand(t, TG_F64, TG_SHAPE(1)),
                                     TG_REDUCE_SUM));
    REFUSED_AS(TG_EVALUE, tg_mse_loss(t, x, x, (tg_reduction)3));
    REFUSED_AS(TG_EVALUE, tg_huber_loss(t, x, x, 0, TG_REDUCE_MEAN));
    REFUSED_AS(TG_EVALUE, tg_huber_loss(t, x, x, (double)NAN, TG_REDUCE_MEAN));
    REFUSED_AS(TG_ESHAPE, tg_bce_with_logits(t, x, v));
    REFUSED_AS(TG_ESHAPE, tg_bce_loss(t, v, x, TG_REDUCE_MEAN));
    REFUSED_AS(TG_EVALUE, tg_bce_with_logits_loss(t, x, x, NULL, (tg_reduction)-1));
    REFUSED_AS(TG_ESHAPE, tg_cross_entropy(t, x, operand(t, TG_I64, TG_SHAPE(3))));
    REFUSED_AS(TG_EVALUE, tg_cross_entropy_loss(t, x, operand(t, TG_I64, TG_SHAPE(2)), NULL,
                                                TG_NO_INDEX, 1.5, TG_REDUCE_MEAN));
    REFUSED_AS(TG_ESHAPE, tg_cross_entropy_loss(t, x, operand(t, TG_I64, TG_SHAPE(2)), v,
                                                TG_NO_INDEX, 0, TG_REDUCE_MEAN));
    REFUSED_AS(TG_EVALUE, tg_nll_loss(t, x, operand(t, TG_I64, TG_SHAPE(2)), NULL, TG_NO_INDEX,
                                      (tg_reduction)5));
    REFUSED_AS(TG_EDTYPE, tg_mean(t, i, TG_ALL_AXES, false));
    REFUSED_AS(TG_EDTYPE, tg_div(t, i, i));
    REFUSED_AS(TG_EDTYPE, tg_where(t, i, x, x));
    tg_tape_free(t);
}

Test(errors, bad_data_is_found_at_the_evaluation)
{
    tg_tape *t = tg_tape_new(NULL);
    const int64_t label[] = {0, 3}, below[] = {0, -1};
    const double out[] = {0.5, 1.5}, nan[] = {(double)NAN, 0.5}, large[] = {1e300, 0};
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(2, 3)), *p = operand(t, TG_F64, TG_SHAPE(2));
/* each on a line of its own, as the message must name it */
#define BAD(wanted, ...)                                                    \
    do {                                                                    \
        tg_tensor *y_ = __VA_ARGS__;                                        \
        cr_expect_not_null(y_, "%s: %s", #__VA_ARGS__, tg_tape_message(t)); \
        cr_expect_null((tg_data)(t, y_), "%s", #__VA_ARGS__);               \
        cr_expect_fails(t, wanted, __LINE__, "%s", #__VA_ARGS__);           \
        tg_tape_clear_error(t);                                             \
    } while (0)
    tg_tensor *three = tg_input(t, TG_I64, TG_SHAPE(2), label),
              *minus = tg_input(t, TG_I64, TG_SHAPE(2), below);
    BAD(TG_EINDEX, tg_cross_entropy(t, x, three));
    BAD(TG_EINDEX, tg_nll_loss(t, x, minus, NULL, TG_NO_INDEX, TG_REDUCE_SUM));
    BAD(TG_EINDEX, tg_embedding(t, x, three));
    BAD(TG_EINDEX, tg_index_select(t, x, 1, minus));
    BAD(TG_EINDEX, tg_gather(t, x, 0, tg_expand(t, tg_unsqueeze(t, minus, -1), TG_SHAPE(2, 3))));
    tg_tensor *threes = tg_expand(t, tg_unsqueeze(t, three, -1), TG_SHAPE(2, 3));
    BAD(TG_EINDEX, tg_scatter_add(t, x, 0, threes, x));
    BAD(TG_EINDEX, tg_one_hot(t, three, 3, TG_F32));
    BAD(TG_EVALUE, tg_bce_loss(t, tg_input(t, TG_F64, TG_SHAPE(2), out), p, TG_REDUCE_MEAN));
    BAD(TG_EVALUE, tg_bce_loss(t, p, tg_input(t, TG_F64, TG_SHAPE(2), out), TG_REDUCE_MEAN));
    BAD(TG_EVALUE, tg_bce_loss(t, tg_input(t, TG_F64, TG_SHAPE(2), nan), p, TG_REDUCE_MEAN));
    BAD(TG_EVALUE, tg_cast(t, tg_input(t, TG_F64, TG_SHAPE(2), nan), TG_I64));
    BAD(TG_EVALUE, tg_cast(t, tg_input(t, TG_F64, TG_SHAPE(2), large), TG_I64));
    BAD(TG_EVALUE, tg_cast(t, tg_input(t, TG_F64, TG_SHAPE(2), large), TG_U8));
    /* the message says which index, and which row where there are rows */
    (tg_data)(t, tg_cross_entropy(t, x, three));
    cr_expect(strstr(tg_tape_message(t), "3") && strstr(tg_tape_message(t), "1"), "%s",
              tg_tape_message(t));
    tg_tape_free(t);
}
