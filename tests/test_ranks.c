/* Leaves and ranks: the same bits for any number of ranks, and errors that all of them see. Ranks
 * are threads here; tests/test_mpi.sh has MPI. */
#define _XOPEN_SOURCE 700
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>
#include <tapegrad/models.h>

#include "allocator.h"
#include "ranks.h"

#define OPTIONS(type, ...) (&(type){.size = sizeof(type), __VA_ARGS__})
#define MODEL(...) OPTIONS(tg_model_options, __VA_ARGS__)
#define FIT(...) OPTIONS(tg_fit_options, __VA_ARGS__)

/* ---------------------------------------------------------------- gradients */

/* More than one chunk of 1024, and less; f64; nothing at all. */
static const struct {
    const char *name;
    tg_dtype dtype;
    int64_t count;
} layout[] = {{"a", TG_F32, 5000}, {"b", TG_F32, 7}, {"c", TG_F64, 2100},
              {"d", TG_F32, 0},    {"e", TG_F64, 1}, {"f", TG_F32, 3000}};
enum { PARAMS = sizeof layout / sizeof layout[0], MOST_COUNT = 5000 };

static tg_params *make_params(const tg_allocator *a)
{
    tg_params *ps = tg_params_new(OPTIONS(tg_params_options, .allocator = a, .seed = 3));
    for (int k = 0; k < PARAMS; k++)
        tg_param_new(ps, layout[k].name, layout[k].dtype, TG_SHAPE(layout[k].count),
                     (tg_init){TG_NORMAL, 0, 1});
    return ps;
}

/* A number of a leaf's gradient in a step: all exponents, so that the order of adding shows. */
static double number(int64_t step, int64_t leaf, int param, int64_t i)
{
    uint64_t x = (uint64_t)(((step * 64 + leaf) * 64 + param) * 8192 + i) * 0x9E3779B97F4A7C15u;
    x ^= x >> 29;
    x *= 0xBF58476D1CE4E5B9u;
    x ^= x >> 32;
    return ldexp((double)(x % 2000003) - 1000001, -20 - (int)(x >> 40) % 7);
}

static void fill(void *to, int64_t step, int64_t leaf, int param)
{
    float *f32 = to;
    double *f64 = to;
    for (int64_t i = 0; i < layout[param].count; i++) {
        const double x = number(step, leaf, param, i);
        if (layout[param].dtype == TG_F32) f32[i] = (float)x;
        else f64[i] = x;
    }
}

/* Whether a leaf has rows: some have none. */
static bool has_rows(int64_t leaf, int64_t leaves, int64_t step)
{
    return step == 0 || leaves == 1 || (leaf + step) % 3 != 0;
}

static double weight_of(int64_t leaf) { return 1 + (double)(leaf % 3); }

/* Adds my leaves of a step; parameter 1 gets gradients every second step. */
static void add_leaves(tg_ranks *r, tg_params *ps, int64_t step)
{
    static const bool every_second[PARAMS] = {[1] = true};
    double *x = malloc(MOST_COUNT * sizeof *x);
    const tg_part mine = tg_ranks_my_leaves(r);
    for (int64_t leaf = mine.first; leaf < mine.first + mine.n; leaf++) {
        if (!has_rows(leaf, tg_ranks_leaves(r), step)) continue;
        for (int k = 0; k < PARAMS; k++) {
            if (every_second[k] && step % 2) continue;
            fill(x, step, leaf, k);
            tg_param_add_grad(tg_params_get(ps, k), x);
        }
        tg_ranks_add(r, ps, NULL, leaf, number(step, leaf, 0, 0), weight_of(leaf));
    }
    free(x);
}

typedef struct outcome {
    int64_t leaves;
    int how; /* which optimizer */
    bool combine, collect;
    tg_params *ps;
    tg_optim *o;
    tg_status status;
    char message[512];
    double loss[8];
    void *grad[PARAMS];
} outcome;

enum { STEPS = 5, OPTIMIZERS = 7 };

static tg_optim *make_optimizer(tg_params *ps, int how)
{
    static const char *const text[OPTIMIZERS] = {"sgd lr=0.1 momentum=0.9",
                                                 "adam lr=0.01",
                                                 "adam lr=0.01",
                                                 "rmsprop momentum=0.5",
                                                 "sgd lr=0.1",
                                                 "lion lr=0.01",
                                                 "adamw lr=0.01"};
    tg_optim *o = tg_optim_parse(ps, text[how]);
    if (how == 1 || how == 4) tg_optim_set_clip(o, OPTIONS(tg_clip_options, .norm = 0.5));
    if (how == 2) tg_optim_set_accumulate(o, 2);
    if (how == 3)
        tg_optim_set_clip(o,
                          OPTIONS(tg_clip_options, .value = 0.3, .nonfinite = TG_NONFINITE_SKIP));
    if (how == 6) {
        tg_optim *part = tg_optim_parse(ps, "sgd lr=0.02 momentum=0.8");
        tg_optim_take_named(part, "c");
        tg_optim_take_named(part, "f");
        tg_optim_add(o, part);
        tg_optim_set_clip(o, OPTIONS(tg_clip_options, .norm = 2));
    }
    return o;
}

static void take_steps(test_rank *self)
{
    outcome *y = self->user;
    tg_ranks *r = tg_ranks_join(OPTIONS(tg_ranks_options, .transport = &self->transport));
    tg_ranks_set_leaves(r, y->leaves);
    y->ps = make_params(NULL);
    y->o = make_optimizer(y->ps, y->how);
    for (int64_t step = 0; step < STEPS; step++) {
        add_leaves(r, y->ps, step);
        if (y->combine) {
            tg_ranks_combine(r, y->ps, &y->loss[step]);
            if (step == STEPS - 1) break; /* the gradients themselves are compared */
            tg_optim_step(y->o);
        } else {
            tg_ranks_step(r, y->o, &y->loss[step]);
        }
        if (y->collect && step == 2) tg_ranks_collect(r, y->o);
    }
    if (!y->combine) tg_ranks_collect(r, y->o);
    y->status = tg_ranks_status(r);
    snprintf(y->message, sizeof y->message, "%s", tg_ranks_message(r));
    tg_ranks_leave(r);
}

static void run(int n, const outcome *like, outcome *y)
{
    void *user[MOST_RANKS];
    for (int k = 0; k < n; k++) {
        y[k] = *like;
        user[k] = &y[k];
    }
    cr_assert(test_ranks(n, take_steps, user), "messages fit");
    for (int k = 0; k < n; k++) cr_assert_eq(y[k].status, TG_OK, "%s", y[k].message);
}

static void drop(int n, outcome *y)
{
    for (int k = 0; k < n; k++) {
        tg_optim_free(y[k].o);
        tg_params_free(y[k].ps);
    }
}

static void same_params(const tg_params *a, const tg_params *b, bool grads)
{
    cr_assert_eq(tg_params_count(a), tg_params_count(b));
    for (int k = 0; k < tg_params_count(a); k++) {
        const tg_tensor *p = tg_params_get(a, k), *q = tg_params_get(b, k);
        const size_t bytes = (size_t)tg_tensor_count(p) * tg_dtype_size(tg_tensor_dtype(p));
        cr_assert_arr_eq(tg_param_data(p), tg_param_data(q), bytes, "%s", tg_param_name(p));
        if (!grads) continue;
        cr_assert_eq(!tg_param_grad(p), !tg_param_grad(q), "%s", tg_param_name(p));
        if (tg_param_grad(p))
            cr_assert_arr_eq(tg_param_grad(p), tg_param_grad(q), bytes, "%s", tg_param_name(p));
    }
}

static void same_state(const tg_optim *a, const tg_optim *b)
{
    cr_assert_eq(tg_optim_state_count(a), tg_optim_state_count(b));
    for (int k = 0; k < tg_optim_state_count(a); k++) {
        tg_optim_state x, y;
        const bool there = tg_optim_state_get(a, k, &x);
        cr_assert_eq(there, tg_optim_state_get(b, k, &y));
        if (!there) continue;
        cr_assert_str_eq(x.slot, y.slot);
        cr_assert_arr_eq(x.data, y.data, (size_t)tg_shape_count(x.shape) * tg_dtype_size(x.dtype),
                         "%s of %s", x.slot, x.param);
    }
}

/* The tree by its definition: the left part is the largest power of two that is less. */
static bool tree(int64_t step, int64_t first, int64_t n, int64_t leaves, int param, int64_t i,
                 double *y)
{
    if (n == 1) {
        *y = param < 0                       ? weight_of(first)
             : layout[param].dtype == TG_F32 ? (double)(float)number(step, first, param, i)
                                             : number(step, first, param, i);
        return has_rows(first, leaves, step);
    }
    int64_t left = 1;
    double a, b;
    while (2 * left < n) left *= 2;
    const bool has_a = tree(step, first, left, leaves, param, i, &a),
               has_b = tree(step, first + left, n - left, leaves, param, i, &b);
    const double sum = a + b;
    *y = !has_b ? a : !has_a ? b : param >= 0 && layout[param].dtype == TG_F32 ? (float)sum : sum;
    return has_a || has_b;
}

Test(ranks, gradients_are_the_sums_of_the_fixed_tree)
{
    static const int64_t leaves[] = {1, 2, 3, 6, 8, 11, 16};
    for (size_t v = 0; v < sizeof leaves / sizeof leaves[0]; v++) {
        outcome y[MOST_RANKS];
        run(1, &(outcome){.leaves = leaves[v], .how = 4, .combine = true}, y);
        for (int k = 0; k < PARAMS; k++)
            for (int64_t i = 0; i < layout[k].count; i += 97) {
                double sum, weight;
                const void *grad = tg_param_grad(tg_params_get(y->ps, k));
                const double got = layout[k].dtype == TG_F32 ? (double)((const float *)grad)[i]
                                                             : ((const double *)grad)[i];
                tree(STEPS - 1, 0, leaves[v], leaves[v], k, i, &sum);
                tree(STEPS - 1, 0, leaves[v], leaves[v], -1, 0, &weight);
                cr_assert_eq(
                    got,
                    layout[k].dtype == TG_F32 ? (double)((float)sum / (float)weight) : sum / weight,
                    "%lld leaves: %s[%lld]", (long long)leaves[v], layout[k].name, (long long)i);
            }
        drop(1, y);
    }
}

Test(ranks, threads_as_ranks_give_the_same_bits_whatever_their_number)
{
    static const int64_t leaves[] = {1, 3, 6, 8, 16};
    for (size_t v = 0; v < sizeof leaves / sizeof leaves[0]; v++)
        for (int how = 0; how < OPTIMIZERS; how++)
            for (int way = 0; way < 3; way++) {
                if (way == 1 && how == 2) continue; /* micro-batches go by tg_ranks_step */
                outcome one[MOST_RANKS], many[MOST_RANKS];
                const outcome like = {
                    .leaves = leaves[v], .how = how, .combine = way == 1, .collect = way == 2};
                run(1, &like, one);
                for (int n = 2; n <= MOST_RANKS; n++) {
                    if (n > 4 && n != 8 && v != 2) continue;
                    run(n, &like, many);
                    for (int k = 0; k < n; k++) {
                        same_params(one->ps, many[k].ps, way == 1);
                        cr_assert_arr_eq(one->loss, many[k].loss, STEPS * sizeof(double));
                    }
                    if (way != 1) same_state(one->o, many->o);
                    drop(n, many);
                }
                drop(1, one);
            }
}

/* With one leaf of weight 1 a step is a step. */
Test(ranks, one_leaf_on_one_rank_changes_nothing)
{
    for (int how = 0; how < OPTIMIZERS; how++) {
        outcome y[MOST_RANKS];
        run(1, &(outcome){.leaves = 1, .how = how}, y);
        tg_params *ps = make_params(NULL);
        tg_optim *o = make_optimizer(ps, how);
        double *x = malloc(MOST_COUNT * sizeof *x);
        for (int64_t step = 0; step < STEPS; step++) {
            for (int k = 0; k < PARAMS; k++) {
                if (k == 1 && step % 2) continue;
                fill(x, step, 0, k);
                tg_param_add_grad(tg_params_get(ps, k), x);
            }
            tg_optim_step(o);
        }
        free(x);
        same_params(ps, y->ps, false);
        same_state(o, y->o);
        tg_optim_free(o);
        tg_params_free(ps);
        drop(1, y);
    }
}

/* ---------------------------------------------------------------- trainings */

enum { ROWS = 150, SIDE = 6, PIXELS = SIDE * SIDE };

/* A convolution with batch normalisation, dropout, a linear layer; as a user writes it. */
typedef struct convnet {
    tg_conv2d_layer conv;
    tg_batch_norm_layer norm;
    tg_linear_layer out;
    int calls, fail_at; /* 0: never */
    bool nan;           /* the failure is a loss that is not finite */
} convnet;

static tg_tensor *convnet_output(tg_tape *t, void *user, const tg_batch *b)
{
    convnet *m = user;
    if (++m->calls == m->fail_at && !m->nan) return NULL;
    tg_tensor *x = tg_reshape(t, b->x, TG_SHAPE(b->rows, 1, SIDE, SIDE));
    x = tg_relu(t, tg_batch_norm_layer_apply(t, &m->norm, tg_conv2d_layer_apply(t, &m->conv, x)));
    x = tg_dropout(t, tg_reshape(t, x, TG_SHAPE(b->rows, 4 * PIXELS)), 0.2);
    x = tg_linear_layer_apply(t, &m->out, x);
    return m->calls == m->fail_at ? tg_scale(t, x, NAN) : x;
}

static tg_dataset *make_data(tg_task task)
{
    tg_dataset *d = tg_dataset_new(NULL);
    float *x = malloc(ROWS * PIXELS * sizeof *x), y[ROWS];
    for (int64_t i = 0; i < ROWS * PIXELS; i++) x[i] = (float)number(9, 0, 0, i);
    for (int i = 0; i < ROWS; i++)
        y[i] = task == TG_TASK_REGRESSION ? 3 * x[i * PIXELS] - x[i * PIXELS + 1]
                                          : (float)(i % 3 ? x[i * PIXELS] > 0 : 2);
    tg_dataset_fill(d, task, ROWS, PIXELS, x, y);
    free(x);
    return d;
}

typedef struct training {
    const char *optimizer;
    bool conv, clip, regression, stop;
    int64_t leaves, accumulate;
    char *checkpoint; /* NULL: none */
    bool resume;
    bool fail, nan; /* on rank `bad` */
    int bad;
    tg_params *ps;
    tg_optim *o;
    tg_epoch history[8];
    int64_t epochs;
    tg_status status;
    char message[512];
} training;

static bool on_batch(const tg_progress *p, void *user)
{
    training *y = user;
    return !(y->stop && p->epoch == 2 && p->batch == 2);
}

static void fit(training *y, tg_ranks *r)
{
    tg_dataset *d = make_data(y->regression ? TG_TASK_REGRESSION : TG_TASK_MULTICLASS);
    const int64_t hidden[] = {24};
    convnet net = {.fail_at = y->fail && tg_ranks_rank(r) == y->bad ? 5 : 0, .nan = y->nan};
    tg_model *m;
    tg_mlp *mlp = NULL;
    if (y->conv) {
        y->ps = tg_params_new(OPTIONS(tg_params_options, .seed = 5));
        const tg_scope root = tg_scope_root(y->ps);
        net.conv = tg_conv2d_layer_new(tg_scope_in(root, "conv"), 1, 4, 3, 3, true,
                                       (tg_conv){.padding = {1, 1}});
        net.norm = tg_batch_norm_layer_new(tg_scope_in(root, "norm"), 4);
        net.out = tg_linear_layer_new(tg_scope_in(root, "out"), 4 * PIXELS, 3, true);
        m = tg_model_new(MODEL(.params = y->ps, .net = &net, .output = convnet_output, .seed = 4));
    } else {
        mlp = tg_mlp_new(
            d, OPTIONS(tg_mlp_options, .n_hidden = 1, .hidden = hidden, .dropout = 0.1, .seed = 4));
        m = tg_mlp_model(mlp);
        y->ps = tg_mlp_params(mlp);
    }
    y->o = tg_optim_parse(y->ps, y->optimizer);
    if (y->accumulate) tg_optim_set_accumulate(y->o, y->accumulate);
    if (y->clip) tg_optim_set_clip(y->o, OPTIONS(tg_clip_options, .norm = 0.5));
    tg_fit(m, d,
           FIT(.optimizer = y->o, .epochs = 4, .batch = 40, .validation = d, .on_batch = on_batch,
               .user = y, .leaves = y->leaves, .ranks = r, .checkpoint = y->checkpoint,
               .resume = y->resume));
    const tg_epoch *history = tg_model_history(m, &y->epochs);
    for (int64_t k = 0; k < y->epochs; k++) y->history[k] = history[k];
    y->status = tg_model_status(m);
    snprintf(y->message, sizeof y->message, "%s", tg_model_message(m));
    /* Values and state outlive the model, for comparisons. */
    if (r) tg_ranks_collect(r, y->o);
    tg_params *kept = tg_params_new(NULL);
    for (int k = 0; k < tg_params_count(y->ps); k++) {
        const tg_tensor *p = tg_params_get(y->ps, k);
        tg_param_write(tg_param_new(kept, tg_param_name(p), tg_tensor_dtype(p), tg_tensor_shape(p),
                                    (tg_init){TG_ZEROS, 0, 0}),
                       tg_param_data(p));
    }
    tg_optim *like = tg_optim_parse(kept, y->optimizer);
    for (int k = 0; k < tg_optim_state_count(y->o); k++) {
        tg_optim_state state;
        if (tg_optim_state_get(y->o, k, &state)) tg_optim_state_set(like, &state);
    }
    tg_optim_free(y->o);
    if (mlp) tg_mlp_free(mlp);
    else tg_model_free(m), tg_params_free(y->ps);
    tg_dataset_free(d);
    y->ps = kept;
    y->o = like;
}

static void train(test_rank *self)
{
    tg_ranks *r = tg_ranks_join(OPTIONS(tg_ranks_options, .transport = &self->transport));
    fit(self->user, r);
    tg_ranks_leave(r);
}

static void train_on(int n, const training *like, training *y)
{
    void *user[MOST_RANKS];
    for (int k = 0; k < n; k++) {
        y[k] = *like;
        user[k] = &y[k];
    }
    cr_assert(test_ranks(n, train, user), "messages fit");
}

static void drop_trainings(int n, training *y)
{
    for (int k = 0; k < n; k++) {
        tg_optim_free(y[k].o);
        tg_params_free(y[k].ps);
    }
}

static void same_metrics(const tg_metrics *a, const tg_metrics *b)
{
    cr_assert_arr_eq(a, b, sizeof *a);
}

static void same_training(const training *a, const training *b, bool state)
{
    cr_assert_eq(a->status, TG_OK, "%s", a->message);
    cr_assert_eq(b->status, TG_OK, "%s", b->message);
    cr_assert_eq(a->epochs, b->epochs);
    for (int64_t k = 0; k < a->epochs; k++) {
        same_metrics(&a->history[k].train, &b->history[k].train);
        same_metrics(&a->history[k].validation, &b->history[k].validation);
    }
    same_params(a->ps, b->ps, false);
    if (state) same_state(a->o, b->o);
}

static const training kinds[] = {
    {.optimizer = "sgd lr=0.05 momentum=0.9", .clip = true},
    {.optimizer = "adam lr=0.01", .conv = true},
    {.optimizer = "adam lr=0.01", .clip = true, .conv = true},
    {.optimizer = "adam lr=0.01", .accumulate = 3},
    {.optimizer = "sgd lr=0.01 momentum=0.9", .regression = true},
    {.optimizer = "muon", .conv = true},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

Test(ranks, trainings_have_the_same_bits_on_any_number_of_ranks)
{
    static const int64_t leaves[] = {1, 5, 8};
    static const int ranks[] = {1, 2, 3, 4, 8};
    for (size_t v = 0; v < sizeof leaves / sizeof leaves[0]; v++)
        for (int kind = 0; kind < KINDS; kind++) {
            training alone = kinds[kind], y[MOST_RANKS];
            alone.leaves = leaves[v];
            const training like = alone;
            fit(&alone, NULL);
            for (size_t k = 0; k < sizeof ranks / sizeof ranks[0]; k++) {
                train_on(ranks[k], &like, y);
                for (int rank = 0; rank < ranks[k]; rank++)
                    same_training(&alone, &y[rank], rank == 0);
                drop_trainings(ranks[k], y);
            }
            drop_trainings(1, &alone);
        }
}

/* A checkpoint in the middle of an epoch, by any number of ranks, is gone on with by any other. */
Test(ranks, a_training_is_resumed_by_any_number_of_ranks)
{
    static const int from[] = {0, 1, 3, 4}, to[] = {2, 0, 4, 1};
    char folder[] = "/tmp/ranks-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/training.safetensors", folder);
    for (int64_t leaves = 1; leaves <= 6; leaves += 5)
        for (int kind = 0; kind < KINDS; kind++) {
            training alone = kinds[kind];
            alone.leaves = leaves;
            training stopped = alone, resumed = alone, y[MOST_RANKS];
            fit(&alone, NULL);
            stopped.stop = resumed.resume = true;
            stopped.checkpoint = resumed.checkpoint = path;
            for (size_t k = 0; k < sizeof from / sizeof from[0]; k++) {
                if (from[k]) train_on(from[k], &stopped, y);
                else y[0] = stopped, fit(y, NULL);
                cr_assert_eq(y[0].status, TG_OK, "%s", y[0].message);
                cr_assert_eq(y[0].epochs, 1);
                drop_trainings(from[k] ? from[k] : 1, y);
                if (to[k]) train_on(to[k], &resumed, y);
                else y[0] = resumed, fit(y, NULL);
                for (int rank = 0; rank < (to[k] ? to[k] : 1); rank++)
                    same_training(&alone, &y[rank], rank == 0);
                drop_trainings(to[k] ? to[k] : 1, y);
                cr_assert_eq(unlink(path), 0);
            }
            drop_trainings(1, &alone);
        }
    rmdir(folder);
}

/* ---------------------------------------------------------------- errors */

Test(ranks, what_one_rank_meets_ends_all_with_one_message)
{
    for (int nan = 0; nan < 2; nan++)
        for (int n = 1; n <= 4; n++)
            for (int bad = 0; bad < n; bad++) {
                training y[MOST_RANKS];
                train_on(n,
                         &(training){.optimizer = "adam",
                                     .conv = true,
                                     .leaves = 8,
                                     .fail = true,
                                     .nan = nan,
                                     .bad = bad},
                         y);
                for (int rank = 0; rank < n; rank++) {
                    cr_assert_eq(y[rank].status, nan ? TG_ENONFINITE : TG_ENULL, "%s",
                                 y[rank].message);
                    cr_assert_not_null(
                        strstr(y[rank].message, nan ? "became NaN" : "recorded no output"), "%s",
                        y[rank].message);
                    if (rank == bad) continue;
                    char start[20];
                    snprintf(start, sizeof start, "rank %d: ", bad);
                    cr_assert_eq(strncmp(y[rank].message, start, strlen(start)), 0, "%s",
                                 y[rank].message);
                }
                drop_trainings(n, y);
            }
}

/* Ranks that don't do the same: what each does, and the message of all. */
enum {
    OTHER_PLACE,
    OTHER_LEAVES,
    OTHER_PARAMETERS,
    NO_LEAF,
    FINGERPRINTS,
    OTHER_GRADIENTS,
    MISUSES
};
static const char *const told[MISUSES] = {
    "rank 0 shares a status while rank 1 leaves",
    "rank 1 has other leaves, parameters or sizes",
    "rank 1 has other leaves, parameters or sizes",
    "no leaf was added",
    "ranks 0 and 1 differ in the thing",
    "leaf 2 has gradients or buffers for other parameters",
};

typedef struct misuse {
    int kind;
    tg_status status;
    char message[512];
} misuse;

static void do_wrong(test_rank *self)
{
    misuse *y = self->user;
    tg_ranks *r = tg_ranks_join(OPTIONS(tg_ranks_options, .transport = &self->transport));
    const bool odd = tg_ranks_rank(r) == 1;
    tg_ranks_set_leaves(r, y->kind == OTHER_LEAVES && odd ? 3 : 4);
    tg_params *ps = make_params(NULL);
    const char *const name[] = {"other thing", "thing"};
    if (y->kind == OTHER_PARAMETERS && odd)
        tg_param_new(ps, "more", TG_F32, TG_SHAPE(3), (tg_init){TG_ZEROS, 0, 0});
    /* Parameter 1 has no gradient in odd steps. */
    if (y->kind != NO_LEAF && y->kind != FINGERPRINTS && y->kind != OTHER_PLACE)
        add_leaves(r, ps, y->kind == OTHER_GRADIENTS && odd ? 3 : 0);
    if (y->kind == FINGERPRINTS) tg_ranks_compare(r, 2, name, (const uint64_t[]){7, odd});
    else if (y->kind != OTHER_PLACE) tg_ranks_combine(r, ps, NULL);
    else if (!odd) tg_ranks_share(r, TG_OK, NULL);
    y->status = tg_ranks_status(r);
    snprintf(y->message, sizeof y->message, "%s", tg_ranks_message(r));
    tg_ranks_leave(r);
    tg_params_free(ps);
}

Test(ranks, those_that_do_not_do_the_same_are_told)
{
    for (int kind = 0; kind < MISUSES; kind++) {
        misuse y[2] = {{.kind = kind}, {.kind = kind}};
        cr_assert(test_ranks(2, do_wrong, (void *const[]){&y[0], &y[1]}));
        cr_assert_eq(y[0].status, TG_ESTATE);
        cr_assert_not_null(strstr(y[0].message, told[kind]), "%s", y[0].message);
    }
}

/* ---------------------------------------------------------------- memory */

typedef struct short_of {
    long long fail_at; /* from which request on after joining; 0: never */
    int how;
    bool combine;
    tg_status status;
    long long blocks, wrong;
} short_of;

static void run_short(test_rank *self)
{
    short_of *y = self->user;
    test_memory memory = {0};
    const tg_allocator a = test_allocator(&memory);
    tg_ranks *r =
        tg_ranks_join(OPTIONS(tg_ranks_options, .allocator = &a, .transport = &self->transport));
    tg_params *ps = make_params(&a);
    tg_optim *o = make_optimizer(ps, y->how);
    tg_ranks_set_leaves(r, 6);
    memory.fail_at = y->fail_at ? atomic_load(&memory.requests) + y->fail_at : 0;
    for (int64_t step = 0; step < 3; step++) {
        add_leaves(r, ps, step);
        if (y->combine) tg_ranks_combine(r, ps, NULL), tg_optim_step(o);
        else tg_ranks_step(r, o, NULL);
    }
    if (!y->combine) tg_ranks_collect(r, o);
    y->status = tg_ranks_status(r);
    if (y->combine && tg_optim_status(o) != TG_OK) y->status = tg_optim_status(o);
    tg_optim_free(o);
    tg_params_free(ps);
    tg_ranks_leave(r);
    y->blocks = atomic_load(&memory.blocks);
    y->wrong = atomic_load(&memory.wrong);
}

Test(ranks, no_memory_on_one_rank_is_told_to_all)
{
    for (int n = 1; n <= 3; n += 2)
        for (int how = 1; how <= 2; how++)
            for (int bad = 0; bad < n; bad++) {
                bool over = false;
                for (long long at = 1; !over; at++) {
                    short_of y[3] = {{.how = how}, {.how = how}, {.how = how}};
                    y[bad].fail_at = at;
                    cr_assert(test_ranks(n, run_short, (void *const[]){&y[0], &y[1], &y[2]}));
                    over = y[bad].status == TG_OK;
                    for (int k = 0; k < n; k++) {
                        cr_assert_eq(y[k].status, over ? TG_OK : TG_ENOMEM);
                        cr_assert_eq(y[k].blocks, 0);
                        cr_assert_eq(y[k].wrong, 0);
                    }
                    cr_assert_lt(at, 1000);
                }
            }
}

/* A steady loop takes no memory. */
static void run_steady(test_rank *self)
{
    short_of *y = self->user;
    test_memory memory = {0};
    const tg_allocator a = test_allocator(&memory);
    tg_ranks *r =
        tg_ranks_join(OPTIONS(tg_ranks_options, .allocator = &a, .transport = &self->transport));
    tg_params *ps = make_params(&a);
    tg_optim *o = make_optimizer(ps, y->how);
    tg_ranks_set_leaves(r, 8);
    for (int64_t step = 0; step < 14; step++) {
        if (step == 8) y->blocks = atomic_load(&memory.requests);
        add_leaves(r, ps, step);
        tg_ranks_step(r, o, NULL);
    }
    y->wrong = atomic_load(&memory.requests);
    y->status = tg_ranks_status(r);
    tg_optim_free(o);
    tg_params_free(ps);
    tg_ranks_leave(r);
}

Test(ranks, a_steady_loop_takes_no_memory)
{
    for (int n = 1; n <= 4; n++) {
        short_of y[4] = {{.how = 1}, {.how = 1}, {.how = 1}, {.how = 1}};
        cr_assert(test_ranks(n, run_steady, (void *const[]){&y[0], &y[1], &y[2], &y[3]}));
        for (int k = 0; k < n; k++) {
            cr_assert_eq(y[k].status, TG_OK);
            cr_assert_eq(y[k].blocks, y[k].wrong, "%lld requests", y[k].wrong - y[k].blocks);
        }
    }
}
