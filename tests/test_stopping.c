/* What ends a training and which weights are left: early stopping, averages, schedules. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/models.h>

#include "support.h"

#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})
enum { EPOCHS = 60 };

/* What a training leaves behind, epoch by epoch. */
typedef struct log {
    tg_mlp *m;
    tg_average *average;
    float weight[EPOCHS][16]; /* the last bias: the weights of each epoch differ in it */
    int64_t epochs;
} log_of;

static const void *last_bias(const tg_mlp *m)
{
    return tg_param_data(tg_params_find(tg_mlp_params(m), "layer1.bias"));
}

static bool keep(const tg_epoch *e, void *user)
{
    log_of *y = user;
    memcpy(y->weight[e->epoch - 1], last_bias(y->m), 3 * sizeof(float));
    y->epochs = e->epoch;
    return true;
}

/* Half of the labels are noise, so that what is learnt of them is lost on others. */
static void noisy(tg_dataset **train, tg_dataset **held)
{
    float x[120][2], y[120];
    uint64_t state = 1;
    for (int i = 0; i < 120; i++) {
        for (int k = 0; k < 3; k++) {
            const float u = (float)test_uniform(&state);
            if (k < 2) x[i][k] = u;
            else y[i] = u < 0.5f ? (float)(i % 3) : x[i][0] < 0.3f ? 0 : x[i][1] < 0.5f ? 1 : 2;
        }
    }
    tg_dataset *d = tg_dataset_new(NULL);
    tg_dataset_fill(d, TG_TASK_MULTICLASS, 120, 2, x[0], y);
    tg_dataset_split_random(d, 0.5, 1, train, held);
    cr_assert_eq(tg_dataset_status(d), TG_OK, "%s", tg_dataset_message(d));
    tg_dataset_free(d);
}

static tg_mlp *net(const tg_dataset *d)
{
    return tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                           .n_hidden = 1,
                                           .hidden = (const int64_t[]){16},
                                           .seed = 2});
}

/* The epoch whose weights must be left, and how many there must be, from what was watched. */
static void expected(const tg_epoch *e, int64_t n, bool less, double by, int64_t patience,
                     int64_t *best, int64_t *epochs)
{
    *best = 1;
    for (*epochs = 1; *epochs < n; ++*epochs) {
        const double a = e[*epochs].watched, b = e[*best - 1].watched;
        if (less ? a < b - by : a > b + by) *best = *epochs + 1;
        else if (patience && *epochs + 1 - *best == patience) {
            ++*epochs;
            return;
        }
    }
}

Test(stopping, a_training_ends_when_nothing_gets_better_and_leaves_the_best_weights)
{
    tg_dataset *d, *held;
    noisy(&d, &held);
    static const struct {
        const char *watch;
        int64_t patience;
        double by;
        bool best, no_held;
    } cases[] = {{NULL, 4, 0, false, false},       {NULL, 1, 0, false, false},
                 {NULL, 3, 0.02, false, false},    {"accuracy", 6, 0, false, false},
                 {"log_loss", 4, 0, false, false}, {"f1", 0, 0, true, false},
                 {NULL, 0, 0, true, false},        {NULL, 5, 0.01, true, true}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        log_of y = {.m = net(d)};
        tg_model *m = tg_mlp_model(y.m);
        const tg_measure *watch = cases[k].watch ? tg_measure_find(cases[k].watch) : NULL;
        tg_optim *o = tg_optim_parse(tg_mlp_params(y.m), "adam lr=0.05");
        tg_fit(m, d,
               FIT(.epochs = EPOCHS, .optimizer = o, .validation = cases[k].no_held ? NULL : held,
                   .watch = watch, .patience = cases[k].patience, .better_by = cases[k].by,
                   .best = cases[k].best, .on_epoch = keep, .user = &y));
        cr_assert_eq(tg_model_status(m), TG_OK, "%s", tg_model_message(m));
        int64_t n, best, epochs;
        const tg_epoch *e = tg_model_history(m, &n);
        cr_assert_eq(e[1].watched, watch              ? e[1].watched
                                   : cases[k].no_held ? e[1].train.loss
                                                      : e[1].validation.loss);
        expected(e, n, !watch || watch->less_is_better, cases[k].by, cases[k].patience, &best,
                 &epochs);
        cr_expect_eq(n, epochs, "case %zu: %lld epochs instead of %lld", k, (long long)n,
                     (long long)epochs);
        cr_expect(n == EPOCHS ? !cases[k].patience : cases[k].patience != 0, "case %zu", k);
        cr_expect_lt(best, n);
        cr_expect_arr_eq(last_bias(y.m), y.weight[best - 1], 3 * sizeof(float), "case %zu", k);
        if (watch) {
            double score;
            cr_assert_eq(tg_score(m, held, 1, watch, &score), TG_OK);
            cr_expect_eq(score, e[best - 1].watched);
        }
        tg_optim_free(o);
        tg_mlp_free(y.m);
    }
    tg_dataset_free(d);
    tg_dataset_free(held);
}

/* Epochs that are not numbers are no better, whatever came before. */
static double not_a_number(const tg_scored *s, const tg_measure *self)
{
    (void)s, (void)self;
    return NAN;
}

Test(stopping, what_is_watched_may_be_no_number)
{
    tg_dataset *d, *held;
    noisy(&d, &held);
    tg_mlp *m = net(d);
    const tg_measure nan = {
        .size = sizeof nan, .name = "nan", .score = not_a_number, .classes = true};
    tg_fit(tg_mlp_model(m), d, FIT(.epochs = 9, .validation = held, .watch = &nan, .patience = 3));
    cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
    int64_t n;
    tg_model_history(tg_mlp_model(m), &n);
    cr_expect_eq(n, 3);
    tg_mlp_free(m);
    tg_dataset_free(d);
    tg_dataset_free(held);
}

/* ---------------------------------------------------------------- schedules */

typedef struct by_hand {
    tg_optim *o;
    const tg_schedule *s;
    int64_t step;
} by_hand;

static bool set_factor(const tg_progress *p, void *user)
{
    by_hand *y = user;
    (void)p;
    return tg_optim_set_factor(y->o, tg_schedule_factor(y->s, ++y->step)) == TG_OK;
}

Test(stopping, a_schedule_is_the_factor_of_each_step)
{
    tg_dataset *d, *held;
    noisy(&d, &held);
    tg_mlp *m[2] = {net(d), net(d)};
    tg_schedule *s = tg_schedule_parse("linear start=0.1 steps=3; cosine", 8, 2, NULL);
    for (int k = 0; k < 2; k++) {
        tg_optim *o = tg_optim_parse(tg_mlp_params(m[k]), "sgd lr=0.1 momentum=0.9");
        by_hand hand = {o, s, 0};
        if (k) tg_optim_set_factor(o, tg_schedule_factor(s, 0));
        tg_fit(tg_mlp_model(m[k]), d,
               FIT(.epochs = 4, .optimizer = o, .schedule = k ? NULL : s,
                   .on_batch = k ? set_factor : NULL, .user = &hand));
        cr_assert_eq(tg_mlp_status(m[k]), TG_OK, "%s", tg_mlp_message(m[k]));
        tg_optim_free(o);
    }
    cr_expect_arr_eq(last_bias(m[0]), last_bias(m[1]), 3 * sizeof(float));
    tg_schedule_free(s);
    for (int k = 0; k < 2; k++) tg_mlp_free(m[k]);
    tg_dataset_free(d);
    tg_dataset_free(held);
}

/* ---------------------------------------------------------------- averages */

static bool take_in(const tg_progress *p, void *user)
{
    log_of *y = user;
    return p->epoch < 2 || tg_average_update(y->average) == TG_OK;
}

Test(stopping, averages_are_validated_and_left)
{
    tg_dataset *d, *held;
    noisy(&d, &held);
    for (int k = 0; k < 2; k++) {
        log_of y = {.m = net(d)};
        tg_mlp *m = net(d);
        y.average = tg_average_new(tg_mlp_params(y.m), k ? 0.9 : 0);
        tg_fit(tg_mlp_model(y.m), d, FIT(.epochs = 3, .on_batch = take_in, .user = &y));
        tg_average_swap(y.average);
        tg_metrics by_hand_metrics;
        tg_evaluate(tg_mlp_model(y.m), held, &by_hand_metrics, NULL);
        tg_fit(tg_mlp_model(m), d,
               FIT(.epochs = 3, .average = k ? 0.9 : 1, .average_from = 2, .validation = held));
        cr_assert_eq(tg_mlp_status(m), TG_OK, "%s", tg_mlp_message(m));
        cr_expect_arr_eq(last_bias(m), last_bias(y.m), 3 * sizeof(float));
        cr_expect_eq(tg_model_history(tg_mlp_model(m), NULL)[2].validation.loss,
                     by_hand_metrics.loss);
        tg_average_free(y.average);
        tg_mlp_free(y.m);
        tg_mlp_free(m);
    }
    tg_dataset_free(d);
    tg_dataset_free(held);
}

/* ---------------------------------------------------------------- mistakes */

Test(stopping, wrong_options_are_refused_with_a_reason)
{
    tg_dataset *d, *held;
    noisy(&d, &held);
    tg_schedule *wrong = tg_schedule_parse("cosinus", 8, 2, NULL);
    const tg_measure *r2 = tg_measure_find("r2");
    const struct {
        const tg_fit_options *o;
        tg_status status;
        const char *message;
    } cases[] = {
        {FIT(.patience = -1), TG_EVALUE, "fit: options.patience, better_by, average"},
        {FIT(.better_by = NAN), TG_EVALUE, "fit: options.patience, better_by, average"},
        {FIT(.average = 1.5), TG_EVALUE, "fit: options.patience, better_by, average"},
        {FIT(.average = NAN), TG_EVALUE, "fit: options.patience, better_by, average"},
        {FIT(.average = 1, .average_from = -1), TG_EVALUE,
         "fit: options.patience, better_by, average"},
        {FIT(.watch = r2), TG_EVALUE, "fit: options.watch wants options.validation"},
        {FIT(.watch = r2, .validation = held), TG_EVALUE, "score: "},
        {FIT(.schedule = wrong), TG_EVALUE, "fit: schedule"},
        {FIT(.resume = true), TG_ENULL, "fit: options.checkpoint is NULL"},
        {FIT(.checkpoint_steps = 3), TG_ENULL, "fit: options.checkpoint is NULL"},
        {FIT(.checkpoint = "c", .checkpoint_steps = -3), TG_EVALUE,
         "fit: options.patience, better_by, average"},
        {FIT(.checkpoint = "c", .checkpoint_seconds = NAN), TG_EVALUE,
         "fit: options.patience, better_by, average"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        tg_mlp *m = net(d);
        cr_expect_eq(tg_fit(tg_mlp_model(m), d, cases[k].o), cases[k].status, "case %zu", k);
        cr_expect_eq(strncmp(tg_mlp_message(m), cases[k].message, strlen(cases[k].message)), 0,
                     "case %zu: %s", k, tg_mlp_message(m));
        tg_mlp_free(m);
    }
    tg_schedule_free(wrong);
    tg_dataset_free(d);
    tg_dataset_free(held);
}
