/* The plan cache: what is found in it, what leaves it and when, and how little memory ever-changing
 * graphs take. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

#include "allocator.h"

#define expect_ok(t) cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t))

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { GRAPHS = 20000 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { GRAPHS = 20000 };
#else
enum { GRAPHS = 100000 };
#endif
#else
enum { GRAPHS = 100000 };
#endif

static tg_tape *tape_with(int64_t bytes, const tg_allocator *allocator)
{
    const tg_tape_options o = {.size = sizeof o, .plan_cache_bytes = bytes, .allocator = allocator};
    return tg_tape_new(&o);
}

static tg_tensor *param_of(tg_params *ps, const char *name, tg_shape shape, double value)
{
    return tg_param_new(ps, name, TG_F64, shape, ((tg_init){.kind = TG_CONSTANT, .a = value}));
}

/* ---------------------------------------------------------------- ever-changing graphs */

enum { CHAIN = 9, BOUND = 1 << 23 };

/* The chain of operations that the digits of `code` to base 4 stand for, on small integers: so that
 * every value is exact. */
static tg_tensor *record_chain(tg_tape *t, tg_tensor *x, int code)
{
    tg_tensor *y = x;
    for (int k = 0; k < CHAIN; k++, code /= 4) switch (code % 4) {
        case 0: y = tg_neg(t, y); break;
        case 1: y = tg_abs(t, y); break;
        case 2: y = tg_offset(t, y, 1); break;
        default: y = tg_mul(t, y, x);
        }
    return tg_sum(t, y, TG_ALL_AXES, false);
}

static double chain_value(double x, int code)
{
    double y = x;
    for (int k = 0; k < CHAIN; k++, code /= 4) switch (code % 4) {
        case 0: y = -y; break;
        case 1: y = fabs(y); break;
        case 2: y += 1; break;
        default: y *= x;
        }
    return y;
}

Test(plan_cache, ever_changing_graphs_need_bounded_memory, .timeout = 300)
{
    test_memory memory = {0};
    const tg_allocator allocator = test_allocator(&memory);
    tg_tape *t = tape_with(BOUND, &allocator);
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = param_of(ps, "p", TG_SCALAR, 2);
    long long most = 0, at_first = 0;
    for (int i = 0; i < GRAPHS; i++) {
        double data[21], want = 0;
        const tg_shape shape = TG_SHAPE(1 + i % 7, 1 + i / 7 % 3);
        const int n = (int)tg_shape_count(shape);
        for (int k = 0; k < n; k++) {
            data[k] = k % 3 - 1;
            want += chain_value(2 * data[k], i);
        }
        tg_tensor *x = tg_mul(t, tg_input(t, TG_F64, shape, data), p), *y = record_chain(t, x, i);
        if (i % 4 == 0) {
            tg_params_drop_grads(ps);
            tg_backward(t, y);
        }
        cr_assert_eq(tg_item(t, y), want, "graph %d: %s", i, tg_tape_message(t));
        tg_tape_reset(t);
        if (i < 2000) most = atomic_load(&memory.bytes) > most ? atomic_load(&memory.bytes) : most;
        if (i == 999) at_first = atomic_load(&memory.bytes);
        if (i % 1000 == 999) {
            cr_assert_leq(atomic_load(&memory.bytes), 2 * BOUND);
            cr_assert_leq(atomic_load(&memory.bytes), most + most / 10,
                          "%lld bytes after %d graphs, %lld after 1000",
                          (long long)atomic_load(&memory.bytes), i + 1, at_first);
        }
    }
    expect_ok(t);
    cr_expect_eq(tg_tape_plan_stats(t).misses, GRAPHS, "each is planned once");
    tg_tape_free(t);
    tg_params_free(ps);
    cr_expect_eq(atomic_load(&memory.blocks), 0);
}

/* One graph, in as many shapes: empty ones, so that they cost no arithmetic. */
Test(plan_cache, ever_changing_shapes_need_bounded_memory, .timeout = 300)
{
    test_memory memory = {0};
    const tg_allocator allocator = test_allocator(&memory);
    tg_tape *t = tape_with(BOUND, &allocator);
    for (int i = 0; i < GRAPHS; i++) {
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(1 + i % 1000, 0, 1 + i / 1000), NULL);
        cr_assert_eq(tg_item(t, tg_sum(t, tg_square(t, x), TG_ALL_AXES, false)), 0, "%s",
                     tg_tape_message(t));
        tg_tape_reset(t);
        if (i % 1000 == 999)
            cr_assert_leq(atomic_load(&memory.bytes), 3 * BOUND, "%lld bytes after %d shapes",
                          (long long)atomic_load(&memory.bytes), i + 1);
    }
    expect_ok(t);
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- which plan goes */

/* A graph for each length; true if its plan was there. */
static bool found(tg_tape *t, int length)
{
    const uint64_t misses = tg_tape_plan_stats(t).misses;
    tg_tensor *x = tg_constant(t, TG_F64, 1);
    for (int k = 0; k < length; k++) x = tg_neg(t, x);
    cr_expect_eq(tg_item(t, x), length % 2 ? -1 : 1);
    tg_tape_reset(t);
    return tg_tape_plan_stats(t).misses == misses;
}

Test(plan_cache, the_least_recently_used_plan_goes_first)
{
    tg_tape *t = tape_with(32000, NULL);
    int capacity = 0;
    for (int length = 1; tg_tape_plan_stats(t).plans == (uint64_t)length - 1; length++, capacity++)
        cr_assert(!found(t, length));
    capacity = (int)tg_tape_plan_stats(t).plans;
    cr_assert(capacity >= 4 && capacity <= 12, "%d plans", capacity);
    tg_tape_free(t);

    t = tape_with(32000, NULL);
    for (int length = 1; length <= 5; length++) cr_assert(!found(t, length));
    for (int length = 5; length >= 1; length--) cr_assert(found(t, length), "length %d", length);
    /* used least recently: 5, then 4 */
    for (int length = 6; tg_tape_plan_stats(t).plans == (uint64_t)length - 1; length++)
        cr_assert(!found(t, length));
    for (int length = 1; length <= 3; length++)
        cr_expect(found(t, length), "length %d was used later than 5", length);
    cr_expect(!found(t, 5));
    expect_ok(t);
    tg_tape_free(t);
}

static double *numbers(int n)
{
    double *x = malloc((size_t)n * sizeof *x);
    for (int i = 0; i < n; i++) x[i] = sin(i);
    return x;
}

Test(plan_cache, the_slab_shrinks_when_the_plan_that_needed_it_goes)
{
    enum { N = 300 };
    test_memory memory = {0};
    const tg_allocator allocator = test_allocator(&memory);
    tg_tape *t = tape_with(32000, &allocator);
    double *data = numbers(N * N);
    cr_assert(!found(t, 1));
    const long long before = atomic_load(&memory.bytes);
    tg_tensor *x = tg_input_borrow(t, TG_F64, TG_SHAPE(N, N), data);
    tg_item(t, tg_sum(t, tg_matmul(t, tg_matmul(t, x, x), x), TG_ALL_AXES, false));
    expect_ok(t);
    tg_tape_reset(t);
    const long long slab = (long long)tg_tape_plan_stats(t).slab_bytes;
    cr_assert_geq(slab, 2LL * N * N * (long long)sizeof(double));
    cr_assert_geq(atomic_load(&memory.bytes), before + slab);
    for (int length = 2; length < 20; length++) found(t, length);
    cr_expect_lt(atomic_load(&memory.bytes), before + slab / 2,
                 "%lld bytes, %lld before the large graph", (long long)atomic_load(&memory.bytes),
                 before);
    tg_tape_free(t);
    free(data);
}

Test(plan_cache, plans_of_the_recording_at_hand_stay_however_small_the_cache)
{
    enum { N = 50 };
    tg_tape *t = tape_with(1, NULL);
    for (int round = 0; round < 3; round++) {
        tg_tensor *x = tg_constant(t, TG_F64, 3);
        for (int k = 0; k < N; k++) {
            for (int i = 0; i < k % 7; i++) x = tg_neg(t, x);
            x = k % 2 ? tg_abs(t, x) : tg_neg(t, x);
            cr_expect_eq(fabs(tg_item(t, x)), 3);
        }
        tg_tape_reset(t);
        const tg_plan_stats s = tg_tape_plan_stats(t);
        cr_expect_gt(s.plans, 10);
        cr_expect_eq(s.hits + s.misses, (uint64_t)(N * (round + 1)));
        cr_expect_leq(s.misses, N, "the same recording is planned once");
    }
    cr_expect(!found(t, 3));
    cr_expect_eq(tg_tape_plan_stats(t).plans, 1, "the others are let go");
    expect_ok(t);
    tg_tape_free(t);
}

Test(plan_cache, a_recording_is_replayed_after_others_have_filled_the_cache)
{
    tg_tape *t = tape_with(1, NULL);
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = param_of(ps, "p", TG_SHAPE(4), 2);
    for (int round = 0; round < 3; round++) {
        for (int length = 1; length < 40; length++) found(t, length);
        double data[4] = {1, 2, 3, 4};
        tg_tensor *x = tg_input(t, TG_F64, TG_SHAPE(4), data),
                  *loss = tg_sum(t, tg_mul(t, tg_mul(t, x, p), p), TG_ALL_AXES, false);
        tg_params_drop_grads(ps);
        tg_backward(t, loss);
        cr_expect_eq(tg_item(t, loss), 40);
        for (int k = 1; k < 5; k++) {
            data[0] = 10 * k;
            tg_input_set(t, x, data);
            tg_params_drop_grads(ps);
            tg_replay(t);
            cr_expect_eq(tg_item(t, loss), 4.0 * (10 * k + 9));
            cr_expect(tg_param_grad(p) && *(const double *)tg_param_grad(p) == 40 * k);
        }
        expect_ok(t);
        tg_tape_reset(t);
    }
    tg_tape_free(t);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- what counts as the same graph */

/* All that may vary. */
typedef struct variant {
    double data, scale, offset, constant, rate;
    int64_t size, stop;
    tg_dtype dtype;
    bool evaluation, frozen, other_target, keep;
} variant;

static const variant usual = {
    .data = 1, .scale = 2, .offset = 3, .constant = 4, .rate = 0.25, .size = 6, .stop = 4};

static double near(double x) { return fabs(x) + 1; }

/* Runs the variant; true if its plan was there. `backward` chooses the request. */
static bool finds(tg_tape *t, tg_tensor *const *param, variant v, bool backward)
{
    float single[8];
    double data[8];
    for (int i = 0; i < 8; i++) {
        data[i] = v.data + i;
        single[i] = (float)data[i];
    }
    tg_tensor *p = param[v.dtype];
    tg_param_set_trainable(p, !v.frozen);
    tg_tape_set_training(t, !v.evaluation);
    const uint64_t misses = tg_tape_plan_stats(t).misses;
    tg_tensor *x =
        tg_input(t, v.dtype, TG_SHAPE(v.size), v.dtype == TG_F32 ? (const void *)single : data);
    tg_tensor *fixed = tg_mul(t, p,
                              tg_mul(t, tg_offset(t, tg_scale(t, x, v.scale), v.offset),
                                     tg_constant(t, v.dtype, v.constant)));
    tg_tensor *sliced = tg_slice(t, fixed, 0, 1, v.stop, 1),
              *total = tg_sum(t, sliced, TG_ALL_AXES, false);
    tg_tensor *dropped = tg_sum(t, tg_dropout(t, fixed, v.rate), TG_ALL_AXES, false);
    tg_tensor *q = param[2 + v.dtype]; /* is always trainable */
    tg_tensor *both = tg_add(t, q, tg_add(t, total, tg_scale(t, dropped, 0.5))),
              *loss = v.other_target ? tg_neg(t, both) : both;
    if (v.keep) tg_keep(t, fixed);
    tg_keep(t, total);
    if (backward) tg_backward(t, loss);
    else tg_eval(t, 1, &loss);
    double want = 0;
    for (int64_t i = 1; i < v.stop && i < v.size; i++)
        want += 2 * ((data[i] * v.scale + v.offset) * v.constant);
    const double is = tg_item(t, total);
    cr_expect_lt(fabs(is - want), 1e-6 * near(want), "%g, not %g", is, want);
    expect_ok(t);
    tg_tape_reset(t);
    return tg_tape_plan_stats(t).misses == misses;
}

/* The usual graph with one thing changed, the k-th; what that is, and whether the plan serves it
 * all the same. NULL after the last. */
static const char *change(variant *v, int k, bool *same)
{
    *v = usual;
    *same = k < 5;
    switch (k) {
    case 0: return v->data = 7, "data";
    case 1: return v->scale = -1, "a factor";
    case 2: return v->offset = 0.5, "a term";
    case 3: return v->constant = 0.125, "a constant";
    case 4: return v->rate = 0.5, "a rate of dropout";
    case 5: return v->stop = 3, "an attribute that is an integer";
    case 6: return v->size = 5, "a size";
    case 7: return v->dtype = TG_F64, "a dtype";
    case 8: return v->evaluation = true, "evaluation mode";
    case 9: return v->frozen = true, "a frozen parameter";
    case 10: return v->other_target = true, "a target";
    case 11: return v->keep = true, "what is kept";
    default: return NULL;
    }
}

static void look_for(const char *what, variant v, bool same, bool backward, bool between)
{
    const tg_init two = {.kind = TG_CONSTANT, .a = 2};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *const param[] = {tg_param_new(ps, "p32", TG_F32, TG_SCALAR, two),
                                tg_param_new(ps, "p64", TG_F64, TG_SCALAR, two),
                                tg_param_new(ps, "q32", TG_F32, TG_SCALAR, two),
                                tg_param_new(ps, "q64", TG_F64, TG_SCALAR, two)};
    tg_tape *t = tape_with(0, NULL);
    cr_expect(!finds(t, param, usual, backward));
    cr_expect(finds(t, param, usual, backward), "%s", what);
    if (between) found(t, 3);
    cr_expect_eq(finds(t, param, v, backward), same, "%s%s: %sfound", what,
                 backward ? ", backward" : "", same ? "not " : "");
    cr_expect(finds(t, param, usual, backward), "%s", what);
    cr_expect(finds(t, param, v, backward), "%s", what);
    tg_tape_free(t);
    tg_params_free(ps);
}

Test(plan_cache, other_data_and_other_floating_attributes_find_the_plan_but_other_structures_do_not)
{
    variant v;
    bool same;
    const char *what;
    for (int k = 0; (what = change(&v, k, &same)); k++)
        for (int way = 0; way < 4; way++) look_for(what, v, same, way & 1, way & 2);
}

Test(plan_cache, a_backward_pass_and_an_evaluation_of_the_same_node_are_two_plans)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *const param[] = {NULL, param_of(ps, "p", TG_SCALAR, 2), NULL,
                                param_of(ps, "q", TG_SCALAR, 2)};
    variant v = usual;
    v.dtype = TG_F64;
    tg_tape *t = tape_with(0, NULL);
    cr_expect(!finds(t, param, v, false));
    cr_expect(!finds(t, param, v, true));
    cr_expect(finds(t, param, v, false));
    cr_expect(finds(t, param, v, true));
    tg_tape_free(t);
    tg_params_free(ps);
}
