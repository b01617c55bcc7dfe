/* Profiles: what is measured, how it is counted, how it is written. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include <tapegrad/ops.h>
#include <tapegrad/profile.h>

#include "allocator.h"
#include "folder.h"

enum { ROWS = 64, IN = 32, OUT = 16 };

typedef struct work {
    tg_params *ps;
    tg_tape *t;
    tg_tensor *w, *b;
    float x[ROWS * IN];
    int line; /* of the product; the next one has the elementwise ops */
} work;

static void work_new(work *k, const tg_tape_options *o)
{
    k->ps = tg_params_new(NULL);
    k->t = tg_tape_new(o);
    k->w = tg_param_new(k->ps, "w", TG_F32, TG_SHAPE(OUT, IN), ((tg_init){TG_HE_NORMAL, 0, 0}));
    k->b = tg_param_new(k->ps, "b", TG_F32, TG_SHAPE(OUT), ((tg_init){.kind = TG_ONES}));
    for (int i = 0; i < ROWS * IN; i++) k->x[i] = (float)(i % 7) / 7;
}

static void work_free(work *k)
{
    tg_tape_free(k->t);
    tg_params_free(k->ps);
}

static double step(work *k)
{
    tg_tape *t = k->t;
    k->line = __LINE__ + 2;
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(ROWS, IN), k->x);
    tg_tensor *y = tg_linear(t, x, k->w, k->b);
    tg_tensor *loss = tg_mean(t, tg_square(t, tg_tanh(t, y)), TG_ALL_AXES, false);
    tg_backward(t, loss);
    const double value = tg_item(t, loss);
    tg_tape_reset(t);
    return value;
}

static const tg_profile_row *find(const tg_profile_row *row, int64_t n, const char *name,
                                  double least, double most)
{
    for (int64_t k = 0; k < n; k++)
        if (strstr(row[k].name, name) && row[k].backward >= least && row[k].backward <= most)
            return &row[k];
    return NULL;
}

Test(profile, counts_each_step_by_op_and_line)
{
    work k;
    work_new(&k, NULL);
    tg_profile *p = tg_profile_new(
        &(tg_profile_options){.size = sizeof(tg_profile_options), .limit_rounds = 1});
    const double before = step(&k);
    tg_params_drop_grads(k.ps);
    cr_assert_eq(tg_profile_begin(p, k.t), TG_OK, "%s", tg_profile_message(p));
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(step(&k), before);
        tg_params_drop_grads(k.ps);
    }
    cr_assert_eq(tg_profile_end(p, k.t), TG_OK, "%s", tg_profile_message(p));
    step(&k); /* not measured any more */
    int64_t n;
    const tg_profile_row *row = tg_profile_rows(p, TG_PROFILE_OPS, &n);
    const tg_profile_row *product = find(row, n, "linear", 0, 0),
                         *gradient = find(row, n, "matmul", 1, 1),
                         *pass = find(row, n, "tanh", 0, 0.9);
    cr_assert(product && gradient && pass);
    cr_expect_eq(product->runs, 3);
    cr_expect_float_eq(product->flops, 3 * 2.0 * ROWS * IN * OUT, 0.5);
    cr_expect_float_eq(product->bytes, 3 * 4.0 * (ROWS * IN + OUT * IN + ROWS * OUT), 0.5);
    /* gw = gy' x; no gradient of x is wanted */
    cr_expect_float_eq(gradient->flops, 3 * 2.0 * ROWS * IN * OUT, 0.5);
    cr_expect(product->limit > 0 && product->limit < 4, "%g", product->limit);
    const tg_profile_total total = tg_profile_totals(p);
    cr_expect_eq(total.evaluations, 3);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        cr_expect(row[i].seconds > 0);
        cr_expect(i == 0 || row[i - 1].seconds >= row[i].seconds);
        sum += row[i].seconds;
    }
    cr_expect_float_eq(sum, total.in_steps, 1e-9);
    cr_expect(total.in_steps <= total.seconds);

    char here[64];
    snprintf(here, sizeof here, "test_profile.c:%d", k.line);
    row = tg_profile_rows(p, TG_PROFILE_LINES, &n);
    cr_assert(find(row, n, here, 0, 0) && find(row, n, here, 1, 1), "%s", here);
    cr_expect_float_eq(find(row, n, here, 1, 1)->flops, 3 * 2.0 * ROWS * IN * OUT, 3 * ROWS * OUT);
    sum = 0;
    for (int64_t i = 0; i < n; i++) sum += row[i].seconds;
    cr_expect_float_eq(sum, total.in_steps, 1e-9);

    row = tg_profile_rows(p, TG_PROFILE_STEPS, &n);
    pass = find(row, n, "tanh", 0, 0.9);
    cr_assert(pass);
    cr_expect(pass->backward > 0, "forward and backward share one pass here");
    cr_expect(pass->fused && strstr(pass->name, ", "), "%s", pass->name);
    cr_expect(strstr(pass->where, here) && strchr(pass->where, ','), "%s", pass->where);
    tg_profile_free(p);
    work_free(&k);
}

Test(profile, gradients_and_replays_are_those_of_a_tape_nobody_looks_at)
{
    float grad[2][OUT * IN];
    double loss[2];
    for (int measured = 0; measured < 2; measured++) {
        work k;
        work_new(&k, NULL);
        tg_profile *p = tg_profile_new(NULL);
        if (measured) tg_profile_begin(p, k.t);
        tg_tensor *x = tg_input(k.t, TG_F32, TG_SHAPE(ROWS, IN), k.x);
        tg_tensor *y = tg_dropout(k.t, tg_linear(k.t, x, k.w, k.b), 0.5);
        tg_tensor *sum = tg_sum(k.t, tg_square(k.t, y), TG_ALL_AXES, false);
        cr_assert_eq(tg_backward(k.t, sum), TG_OK);
        cr_assert_eq(tg_replay(k.t), TG_OK, "%s", tg_tape_message(k.t));
        loss[measured] = tg_item(k.t, sum);
        memcpy(grad[measured], tg_param_grad(k.w), sizeof grad[0]);
        cr_expect_eq(tg_profile_totals(p).evaluations, measured ? 2 : 0);
        if (measured) tg_profile_end(p, k.t);
        tg_tape_free(k.t); /* before the profile, which holds plans of its own */
        tg_profile_free(p);
        tg_params_free(k.ps);
    }
    cr_expect_eq(loss[0], loss[1]);
    cr_expect_arr_eq(grad[0], grad[1], sizeof grad[0]);
}

Test(profile, bad_data_has_the_message_it_has_without)
{
    const int64_t rows[] = {0, 9};
    const double table[] = {1, 2, 3};
    char message[2][256];
    for (int measured = 0; measured < 2; measured++) {
        tg_tape *t = tg_tape_new(NULL);
        tg_profile *p = tg_profile_new(NULL);
        if (measured) tg_profile_begin(p, t);
        tg_tensor *x = tg_exp(t, tg_input(t, TG_F64, TG_SHAPE(3), table));
        tg_data(t, tg_index_select(t, x, 0, tg_input(t, TG_I64, TG_SHAPE(2), rows)));
        cr_expect_eq(tg_tape_status(t), TG_EINDEX);
        snprintf(message[measured], sizeof message[0], "%s", tg_tape_message(t));
        if (measured) cr_expect_eq(tg_profile_end(p, t), TG_OK);
        tg_profile_free(p);
        tg_tape_free(t);
    }
    cr_expect_str_eq(message[0], message[1]);
}

Test(profile, wrong_uses_are_refused)
{
    tg_tape *t = tg_tape_new(NULL), *other = tg_tape_new(NULL);
    tg_tape *tracing =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .trace_nonfinite = true});
    tg_profile *p = tg_profile_new(NULL), *q = tg_profile_new(NULL), *r = tg_profile_new(NULL),
               *s = tg_profile_new(NULL), *u = tg_profile_new(NULL);
    cr_expect_eq(tg_profile_begin(p, t), TG_OK);
    cr_expect_eq(tg_profile_begin(q, t), TG_ESTATE);
    cr_expect_eq(tg_profile_begin(r, tracing), TG_ESTATE);
    cr_expect_eq(tg_profile_end(s, t), TG_ESTATE);
    cr_expect_eq(tg_profile_begin(u, NULL), TG_ENULL);
    cr_expect_eq(tg_profile_begin(p, other), TG_ESTATE);
    int64_t n = 7;
    cr_expect_null(tg_profile_rows(p, TG_PROFILE_OPS, &n));
    cr_expect_eq(n, 0);
    cr_expect_eq(tg_profile_end(p, t), TG_ESTATE);
    tg_profile *const all[] = {p, q, r, s, u};
    for (int k = 0; k < 5; k++) tg_profile_free(all[k]);
    p = tg_profile_new(&(tg_profile_options){.traced = 1});
    cr_expect_eq(tg_profile_status(p), TG_EVALUE);
    tg_profile_free(p);
    cr_expect_eq(tg_profile_status(NULL), TG_ENOMEM);
    cr_expect_eq(tg_profile_begin(NULL, t), TG_ENOMEM);
    cr_expect_eq(tg_profile_totals(NULL).evaluations, 0);
    tg_tape_free(t);
    tg_tape_free(other);
    tg_tape_free(tracing);
}

Test(profile, without_memory_the_profile_fails_and_the_tape_goes_on)
{
    for (long long at = 1; at < 60; at++) {
        test_memory m = {.fail_at = at};
        const tg_allocator a = test_allocator(&m);
        work k;
        work_new(&k, NULL);
        tg_profile *p = tg_profile_new(
            &(tg_profile_options){.size = sizeof(tg_profile_options), .allocator = &a});
        tg_profile_begin(p, k.t);
        cr_expect(isfinite(step(&k)));
        cr_expect_eq(tg_tape_status(k.t), TG_OK, "%s", tg_tape_message(k.t));
        int64_t n;
        tg_profile_rows(p, TG_PROFILE_LINES, &n);
        if (p) tg_profile_end(p, k.t);
        tg_profile_free(p);
        cr_expect_eq(m.blocks, 0);
        cr_expect_eq(m.wrong, 0);
        work_free(&k);
    }
}

/* ---------------------------------------------------------------- written */

static json_t *written(tg_profile *p, tg_profile_format format)
{
    folder f = folder_new();
    cr_assert_eq(tg_profile_write(p, format, folder_file(&f, "profile")), TG_OK, "%s",
                 tg_profile_message(p));
    json_error_t error;
    json_t *root = json_load_file(f.file, 0, &error);
    cr_assert_not_null(root, "%d: %s", error.line, error.text);
    folder_free(&f);
    return root;
}

static tg_profile *measured(work *k, int64_t traced)
{
    tg_profile *p =
        tg_profile_new(&(tg_profile_options){.size = sizeof(tg_profile_options), .traced = traced});
    work_new(k, NULL);
    tg_profile_begin(p, k->t);
    for (int i = 0; i < 5; i++) step(k);
    tg_profile_end(p, k->t);
    return p;
}

Test(profile, json_holds_what_the_rows_say)
{
    work k;
    tg_profile *p = measured(&k, 0);
    json_t *root = written(p, TG_PROFILE_JSON);
    int64_t n;
    const tg_profile_row *row = tg_profile_rows(p, TG_PROFILE_OPS, &n);
    const json_t *ops = json_object_get(root, "ops"), *plans = json_object_get(root, "plans");
    cr_assert_eq((int64_t)json_array_size(ops), n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(ops, (size_t)i);
        cr_expect_str_eq(json_string_value(json_object_get(one, "name")), row[i].name);
        cr_expect_float_eq(json_number_value(json_object_get(one, "bytes")), row[i].bytes, 1);
        cr_expect(json_is_null(json_object_get(one, "limit")), "limits are not known");
    }
    cr_assert_eq(json_array_size(plans), 1);
    const json_t *plan = json_array_get(plans, 0), *steps = json_object_get(plan, "steps"),
                 *slab = json_object_get(plan, "slab");
    const json_int_t bytes = json_integer_value(json_object_get(plan, "slab_bytes"));
    cr_expect_eq(json_integer_value(json_object_get(plan, "runs")), 5);
    cr_assert(json_array_size(slab) > 0);
    for (size_t i = 0; i < json_array_size(slab); i++) {
        const json_t *life = json_array_get(slab, i);
        const json_int_t first = json_integer_value(json_object_get(life, "first")),
                         last = json_integer_value(json_object_get(life, "last"));
        cr_expect(0 <= first && first <= last && last < (json_int_t)json_array_size(steps));
        cr_expect(json_integer_value(json_object_get(life, "offset")) +
                      json_integer_value(json_object_get(life, "bytes")) <=
                  bytes);
    }
    /* who reads the product reads it from the product's step; the product reads the parameter */
    const json_t *product = json_array_get(steps, 0);
    cr_expect_str_eq(json_string_value(json_object_get(product, "name")), "linear");
    cr_expect(strstr(json_string_value(json_object_get(product, "leaves")), "w"));
    bool read = false;
    for (size_t i = 1; i < json_array_size(steps); i++) {
        const json_t *from = json_object_get(json_array_get(steps, i), "from");
        for (size_t j = 0; j < json_array_size(from); j++) {
            const json_int_t step = json_integer_value(json_array_get(from, j));
            cr_expect(step >= 0 && step < (json_int_t)i);
            read = read || step == 0;
        }
    }
    cr_expect(read);
    json_decref(root);
    tg_profile_free(p);
    work_free(&k);
}

Test(profile, the_trace_is_of_chromes_kind_and_nests)
{
    work k;
    tg_profile *p = measured(&k, 2);
    json_t *root = written(p, TG_PROFILE_TRACE);
    const json_t *events = json_object_get(root, "traceEvents");
    int evaluations = 0, steps = 0;
    double from = 0, to = 0;
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        if (strcmp(json_string_value(json_object_get(e, "ph")), "X") != 0) continue;
        const double ts = json_number_value(json_object_get(e, "ts")),
                     end = ts + json_number_value(json_object_get(e, "dur"));
        cr_expect(json_is_integer(json_object_get(e, "pid")));
        cr_expect(json_is_integer(json_object_get(e, "tid")));
        if (!strcmp(json_string_value(json_object_get(e, "cat")), "evaluation")) {
            evaluations++;
            cr_expect(ts >= to);
            from = ts;
            to = end;
        } else {
            steps++;
            cr_expect(ts >= from - 0.002 && end <= to + 0.002);
            cr_expect_not_null(
                json_string_value(json_object_get(json_object_get(e, "args"), "where")));
        }
    }
    cr_expect_eq(evaluations, 2);
    cr_expect(steps > 2 && steps % 2 == 0);
    json_decref(root);
    tg_profile_free(p);
    work_free(&k);
}

Test(profile, the_table_fits_a_page)
{
    work k;
    folder f = folder_new();
    tg_profile *p = measured(&k, 0);
    cr_assert_eq(tg_profile_write(p, TG_PROFILE_TABLE, folder_file(&f, "table")), TG_OK);
    FILE *in = fopen(f.file, "r");
    char line[1000];
    int lines = 0, products = 0;
    for (; fgets(line, sizeof line, in); lines++) {
        cr_expect(strlen(line) <= 101, "%s", line);
        products += strstr(line, "linear") != NULL;
    }
    fclose(in);
    cr_expect(lines > 6);
    cr_expect_eq(products, 1);
    cr_expect_eq(tg_profile_write(p, TG_PROFILE_TABLE, "/no/such/folder/table"), TG_EIO);
    folder_free(&f);
    tg_profile_free(p);
    work_free(&k);
}
