/* Trainings that stop and go on: the same bits as if they had not. */
#define _XOPEN_SOURCE 700
#include "support.h"
#include "folder.h"
#include "samples.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <tapegrad/models.h>

#include "allocator.h"

#define FIT(...) (&(tg_fit_options){.size = sizeof(tg_fit_options), __VA_ARGS__})

/* ---------------------------------------------------------------- models of several kinds */

typedef enum net_kind { MLP, WIDE, IMAGES, KINDS } net_kind;

/* A model with all that it is made of. */
typedef struct kit {
    net_kind kind;
    tg_mlp *mlp;
    tg_params *ps;
    tg_linear_layer layer[2];
    tg_conv2d_layer conv;
    tg_batch_norm_layer norm;
    tg_model *m;
} kit;

static tg_tensor *record(tg_tape *t, void *user, const tg_batch *b)
{
    const kit *k = user;
    if (k->kind == WIDE) {
        tg_tensor *h = tg_tanh(t, tg_linear_layer_apply(t, &k->layer[0], b->x));
        return tg_linear_layer_apply(t, &k->layer[1], tg_dropout(t, h, 0.25));
    }
    tg_tensor *x = tg_reshape(t, b->x, TG_SHAPE(b->rows, 1, 8, 8));
    x = tg_batch_norm_layer_apply(t, &k->norm, tg_conv2d_layer_apply(t, &k->conv, x));
    x = tg_reshape(t, tg_max_pool2d(t, tg_relu(t, x), (tg_pool){.kernel = {2, 2}}),
                   TG_SHAPE(b->rows, 36));
    return tg_linear_layer_apply(t, &k->layer[0], x);
}

static void kit_fill(kit *k, net_kind kind, const tg_dataset *d, uint64_t seed, int threads,
                     const tg_allocator *a)
{
    *k = (kit){.kind = kind};
    if (kind == MLP) {
        k->mlp = tg_mlp_new(d, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                 .allocator = a,
                                                 .n_hidden = 1,
                                                 .hidden = (const int64_t[]){7},
                                                 .dropout = 0.25,
                                                 .seed = seed,
                                                 .threads = threads});
        k->m = tg_mlp_model(k->mlp);
        return;
    }
    k->ps = tg_params_new(
        &(tg_params_options){.size = sizeof(tg_params_options), .allocator = a, .seed = seed + 1});
    tg_scope s = tg_scope_root(k->ps);
    if (kind == WIDE) {
        s.dtype = TG_F64;
        k->layer[0] = tg_linear_layer_new(tg_scope_at(s, "layer", 0), 10, 6, true);
        k->layer[1] = tg_linear_layer_new(tg_scope_at(s, "layer", 1), 6, 1, true);
    } else {
        k->conv = tg_conv2d_layer_new(tg_scope_in(s, "conv"), 1, 4, 3, 3, false, (tg_conv){0});
        k->norm = tg_batch_norm_layer_new(tg_scope_in(s, "norm"), 4);
        k->layer[0] = tg_linear_layer_new(tg_scope_in(s, "last"), 36, 10, true);
    }
    k->m = tg_model_new(&(tg_model_options){.size = sizeof(tg_model_options),
                                            .allocator = a,
                                            .params = k->ps,
                                            .net = k,
                                            .output = record,
                                            .dtype = kind == WIDE ? TG_F64 : TG_F32,
                                            .seed = seed,
                                            .threads = threads});
}

static void kit_free(kit *k)
{
    if (!k->mlp) tg_model_free(k->m);
    tg_mlp_free(k->mlp);
    tg_params_free(k->ps);
}

/* 70 rows to train on and 40 held out: a few steps an epoch, the last one short. */
static void rows_of(net_kind kind, tg_dataset **train, tg_dataset **held)
{
    static const char *const name[] = {"iris", "diabetes", "digits"};
    tg_dataset *a, *b;
    int64_t row[70];
    read_sample(name[kind], &a, &b);
    for (int64_t k = 0; k < 70; k++) row[k] = k;
    *train = tg_dataset_select(a, 70, row);
    for (int64_t k = 0; k < 40; k++) row[k] = 70 + k;
    *held = tg_dataset_select(a, 40, row);
    tg_dataset_free(a);
    tg_dataset_free(b);
}

static void same_params(const kit *a, const kit *b, const char *what)
{
    const tg_params *x = tg_model_params(a->m), *y = tg_model_params(b->m);
    cr_assert_eq(tg_params_count(x), tg_params_count(y));
    for (int k = 0; k < tg_params_count(x); k++) {
        const tg_tensor *p = tg_params_get(x, k), *q = tg_params_get(y, k);
        const size_t bytes = (size_t)tg_tensor_count(p) * tg_dtype_size(tg_tensor_dtype(p));
        cr_assert(!memcmp(tg_param_data(p), tg_param_data(q), bytes), "%s: %s differs", what,
                  tg_param_name(p));
    }
}

static bool same_metrics(const tg_metrics *a, const tg_metrics *b)
{
    const double x[] = {a->loss, a->accuracy, a->r2, a->rmse},
                 y[] = {b->loss, b->accuracy, b->r2, b->rmse};
    for (int k = 0; k < 4; k++)
        if (x[k] != y[k] && !(isnan(x[k]) && isnan(y[k]))) return false;
    return a->rows == b->rows;
}

static void same_history(const kit *a, const kit *b, const char *what)
{
    int64_t n, m;
    const tg_epoch *x = tg_model_history(a->m, &n), *y = tg_model_history(b->m, &m);
    cr_assert_eq(n, m, "%s: %lld and %lld epochs", what, (long long)n, (long long)m);
    for (int64_t k = 0; k < n; k++)
        cr_assert(x[k].epoch == y[k].epoch && same_metrics(&x[k].train, &y[k].train) &&
                      same_metrics(&x[k].validation, &y[k].validation) &&
                      x[k].watched == y[k].watched,
                  "%s: epoch %lld differs", what, (long long)k);
}

/* ---------------------------------------------------------------- stopping and going on */

/* How to train; everything that has a state of its own is in it somewhere. */
typedef struct recipe {
    const char *optimizer, *biases, *schedule;
    int64_t accumulate, patience;
    double average;
    bool plateau, best;
    bool warm; /* an epoch of training comes before, without checkpoints */
} recipe;

static bool count_down(const tg_progress *p, void *user)
{
    (void)p;
    return --*(int *)user != 0;
}

/* Trains until `steps` more have been taken. */
static tg_status train(kit *k, const recipe *how, const tg_dataset *d, const tg_dataset *held,
                       const char *path, int steps)
{
    if (how->warm && (!path || access(path, F_OK) != 0)) tg_fit(k->m, d, FIT(.epochs = 1));
    tg_optim *o = tg_optim_parse(tg_model_params(k->m), how->optimizer);
    if (how->biases) {
        tg_optim *part = tg_optim_parse(tg_model_params(k->m), how->biases);
        tg_optim_take_named(part, "*.bias");
        tg_optim_add(o, part);
    }
    if (how->accumulate) tg_optim_set_accumulate(o, how->accumulate);
    tg_schedule *s = how->schedule ? tg_schedule_parse(how->schedule, 30, 5, NULL) : NULL;
    tg_plateau plateau = {.patience = -1, .factor = 0.5, .threshold = 0.3};
    const tg_fit_options *const fit =
        FIT(.optimizer = o, .epochs = 6, .batch = 16, .validation = held, .on_batch = count_down,
            .user = &steps, .schedule = s, .patience = how->patience, .average = how->average,
            .average_from = 2, .plateau = how->plateau ? &plateau : NULL, .best = how->best,
            .checkpoint = path, .resume = path != NULL);
    tg_fit(k->m, d, fit);
    tg_schedule_free(s);
    tg_optim_free(o);
    return tg_model_status(k->m);
}

static const recipe recipes[] = {
    {.optimizer = "sgd lr=0.05 momentum=0.9 nesterov"},
    {.optimizer = "adam lr=0.01 amsgrad"},
    {.optimizer = "adamw"},
    {.optimizer = "rmsprop centered momentum=0.5"},
    {.optimizer = "adagrad"},
    {.optimizer = "adadelta"},
    {.optimizer = "adamax"},
    {.optimizer = "radam"},
    {.optimizer = "nadam"},
    {.optimizer = "lion"},
    {.optimizer = "muon"},
    {.optimizer = "rprop"},
    {.optimizer = "adam lr=0.02",
     .biases = "sgd lr=0.1 momentum=0.5",
     .accumulate = 3,
     .schedule = "linear start=0.1 steps=20%; cosine"},
    {.optimizer = "sgd lr=0.05",
     .plateau = true,
     .schedule = "exponential gamma=0.97",
     .warm = true},
    {.optimizer = "sgd lr=0.2",
     .plateau = true,
     .schedule = "exponential gamma=0.97",
     .patience = 2,
     .best = true},
    {.optimizer = "adam lr=0.02", .average = 0.9, .best = true},
    {.optimizer = "adam lr=0.02", .average = 1, .accumulate = 2},
};
enum { RECIPES = sizeof recipes / sizeof recipes[0] };

Test(resume, a_training_that_stopped_ends_with_the_same_bits, .timeout = 300)
{
    folder f = folder_new();
    for (int n = 0; n < KINDS * RECIPES; n++) {
        const net_kind kind = (net_kind)(n % KINDS);
        const recipe *how = &recipes[n / KINDS];
        tg_dataset *d, *held;
        kit whole, parts;
        rows_of(kind, &d, &held);
        kit_fill(&whole, kind, d, 3, 1, NULL);
        cr_assert_eq(train(&whole, how, d, held, NULL, 0), TG_OK, "%s", tg_model_message(whole.m));
        /* Stops after 4, 5 (an epoch), 7, 11, ... more steps, each time a new model of another
         * number of threads. */
        int64_t epochs = 0;
        const int steps[] = {4, 1, 7, 11, 0};
        for (int k = 0; k < 5; k++) {
            kit_fill(&parts, kind, d, 3, 1 + k % 2, NULL);
            cr_assert_eq(train(&parts, how, d, held, folder_file(&f, "parts"), steps[k]), TG_OK,
                         "%s: %s", how->optimizer, tg_model_message(parts.m));
            tg_model_history(parts.m, &epochs);
            if (k < 4) kit_free(&parts);
        }
        same_params(&whole, &parts, how->optimizer);
        same_history(&whole, &parts, how->optimizer);
        kit_free(&parts);
        kit_free(&whole);
        remove(folder_file(&f, "parts"));
        tg_dataset_free(d);
        tg_dataset_free(held);
    }
    folder_free(&f);
}

/* A training that is over stays over; more epochs go on. */
Test(resume, more_epochs_go_on_where_the_last_one_ended)
{
    folder f = folder_new();
    tg_dataset *d, *held;
    kit at_once, later;
    rows_of(MLP, &d, &held);
    kit_fill(&at_once, MLP, d, 1, 1, NULL);
    kit_fill(&later, MLP, d, 1, 1, NULL);
    tg_fit(at_once.m, d, FIT(.epochs = 5));
    const char *path = folder_file(&f, "c");
    tg_fit(later.m, d, FIT(.epochs = 3, .checkpoint = path));
    kit_free(&later);
    kit_fill(&later, MLP, d, 1, 1, NULL);
    tg_fit(later.m, d, FIT(.epochs = 3, .checkpoint = path, .resume = true));
    int64_t n;
    tg_model_history(later.m, &n);
    cr_assert_eq(n, 3);
    tg_fit(later.m, d, FIT(.epochs = 5, .checkpoint = path, .resume = true));
    cr_assert_eq(tg_model_status(later.m), TG_OK, "%s", tg_model_message(later.m));
    same_params(&at_once, &later, "5 epochs");
    same_history(&at_once, &later, "5 epochs");
    kit_free(&at_once);
    kit_free(&later);
    tg_dataset_free(d);
    tg_dataset_free(held);
    folder_free(&f);
}

typedef struct seen {
    const char *path;
    int writes; /* of the file, by its number */
    ino_t last;
    int steps;
} seen;

static bool look(const tg_progress *p, void *user)
{
    seen *s = user;
    struct stat info;
    (void)p;
    if (stat(s->path, &info) == 0 && info.st_ino != s->last) s->writes++, s->last = info.st_ino;
    s->steps++;
    return true;
}

/* 5 steps an epoch: what was written is seen in the step behind it. */
Test(resume, checkpoints_are_written_as_often_as_asked)
{
    tg_dataset *d, *held;
    rows_of(MLP, &d, &held);
    static const struct {
        int64_t steps;
        double seconds;
        int writes;
    } cases[] = {{0, 0, 3}, {1, 0, 19}, {3, 0, 6}, {1000, 0, 0}, {0, 1e-9, 19}, {0, 1e9, 0}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        folder f = folder_new();
        kit m;
        seen s = {.path = folder_file(&f, "c")};
        kit_fill(&m, MLP, d, 1, 1, NULL);
        tg_fit(m.m, d,
               FIT(.epochs = 4, .batch = 16, .on_batch = look, .user = &s, .checkpoint = s.path,
                   .checkpoint_steps = cases[k].steps, .checkpoint_seconds = cases[k].seconds));
        cr_assert_eq(tg_model_status(m.m), TG_OK, "%s", tg_model_message(m.m));
        cr_expect_eq(s.steps, 20);
        cr_expect(s.writes >= (cases[k].writes + 1) / 2 && s.writes <= cases[k].writes,
                  "case %zu: %d", k, s.writes);
        cr_expect_eq(access(s.path, R_OK), 0); /* at the end in any case */
        kit_free(&m);
        folder_free(&f);
    }
    tg_dataset_free(d);
    tg_dataset_free(held);
}

/* ---------------------------------------------------------------- killed at any moment */

static void train_and_exit(const char *path, const recipe *how, const tg_dataset *d,
                           const tg_dataset *held, int threads)
{
    kit k;
    kit_fill(&k, MLP, d, 3, threads, NULL);
    tg_optim *o = tg_optim_parse(tg_model_params(k.m), how->optimizer);
    tg_fit(k.m, d,
           FIT(.optimizer = o, .epochs = 12, .batch = 16, .validation = held, .best = true,
               .checkpoint = path, .checkpoint_steps = 1, .resume = true));
    _exit(tg_model_status(k.m) == TG_OK ? 0 : 1);
}

/* Between 0 and 20 ms: where it hits is up to the machine. */
static void wait_a_while(uint64_t *state)
{
    const struct timespec time = {0, (long)(test_random(state) % 20000000)};
    nanosleep(&time, NULL);
}

Test(resume, killed_at_any_moment_it_goes_on_to_the_same_bits, .timeout = 7200)
{
    const int wanted = test_is_long() ? 1000 : 20;
    const recipe *how = &recipes[1];
    uint64_t state = 1;
    int killed = 0, began = 0;
    folder f = folder_new();
    tg_dataset *d, *held;
    rows_of(MLP, &d, &held);
    kit whole, last;
    kit_fill(&whole, MLP, d, 3, 1, NULL);
    tg_optim *o = tg_optim_parse(tg_model_params(whole.m), how->optimizer);
    tg_fit(whole.m, d,
           FIT(.optimizer = o, .epochs = 12, .batch = 16, .validation = held, .best = true));
    tg_optim_free(o);
    while (killed < wanted) {
        int how_it_ended = 0;
        const pid_t child = fork();
        if (child == 0) train_and_exit(folder_file(&f, "c"), how, d, held, 1 + began % 2);
        wait_a_while(&state);
        kill(child, SIGKILL);
        cr_assert_eq(waitpid(child, &how_it_ended, 0), child);
        began++;
        if (WIFSIGNALED(how_it_ended)) {
            killed++;
            continue;
        }
        cr_assert_eq(WEXITSTATUS(how_it_ended), 0, "after %d kills it does not go on", killed);
        kit_fill(&last, MLP, d, 3, 1, NULL);
        o = tg_optim_parse(tg_model_params(last.m), how->optimizer);
        tg_fit(last.m, d,
               FIT(.optimizer = o, .epochs = 12, .batch = 16, .validation = held, .best = true,
                   .checkpoint = folder_file(&f, "c"), .resume = true));
        cr_assert_eq(tg_model_status(last.m), TG_OK, "%s", tg_model_message(last.m));
        same_params(&whole, &last, "killed");
        same_history(&whole, &last, "killed");
        tg_optim_free(o);
        kit_free(&last);
        remove(folder_file(&f, "c"));
    }
    cr_expect_gt(began, wanted / 2);
    kit_free(&whole);
    tg_dataset_free(d);
    tg_dataset_free(held);
    folder_free(&f);
}

/* ---------------------------------------------------------------- what can not go on */

/* Resumes with these options and gives the message behind the path. */
static const char *refusal(kit *k, const tg_dataset *d, tg_fit_options o, const char *path)
{
    o.size = sizeof o;
    o.checkpoint = path;
    o.resume = true;
    o.epochs = 2;
    tg_fit(k->m, d, &o);
    const char *found = strstr(tg_model_message(k->m), "/c: ");
    return found ? found + 4 : tg_model_message(k->m);
}

Test(resume, a_checkpoint_of_another_training_is_refused)
{
    folder f = folder_new();
    tg_dataset *d, *held, *other, *other_held;
    rows_of(MLP, &d, &held);
    rows_of(IMAGES, &other, &other_held);
    kit k;
    const char *path = folder_file(&f, "c");
    kit_fill(&k, MLP, d, 1, 1, NULL);
    tg_optim *o = tg_optim_parse(tg_model_params(k.m), "adam");
    tg_fit(k.m, d,
           FIT(.epochs = 1, .batch = 16, .optimizer = o, .checkpoint = path, .settings = "a"));
    tg_optim_free(o);
    kit_free(&k);
    static const struct {
        tg_fit_options o;
        const char *optimizer;
        uint64_t seed;
        bool other_rows;
        const char *message;
    } cases[] = {
        {{.batch = 16, .settings = "b"},
         "adam",
         1,
         false,
         "the checkpoint is of another training: settings is 'a' there, and 'b' here"},
        {{.batch = 8, .settings = "a"},
         "adam",
         1,
         false,
         "the checkpoint is of another training: batch is 16 there, and 8 here"},
        {{.batch = 16, .settings = "a"},
         "adam",
         2,
         false,
         "the checkpoint is of another training: seed is 1 there, and 2 here"},
        {{.batch = 16, .settings = "a", .no_shuffle = true},
         "adam",
         1,
         false,
         "the checkpoint is of another training: shuffled is 1 there, and 0 here"},
        {{.batch = 16, .settings = "a", .best = true},
         "adam",
         1,
         false,
         "the checkpoint is of another training: best_kept is 0 there, and 1 here"},
        {{.batch = 16, .settings = "a", .average = 0.5},
         "adam",
         1,
         false,
         "the checkpoint is of another training: averaging is 0 there, and 1 here"},
        {{.batch = 16, .settings = "a"},
         "adam",
         1,
         true,
         "the checkpoint is of a training on other rows (data)"},
        {{.batch = 16, .settings = "a"},
         "sgd momentum=0.9",
         1,
         false,
         "the checkpoint is of another training: sgd: no state \"mean\""},
    };
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        const int64_t row[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 51, 52, 53, 54, 55, 66};
        tg_dataset *few = tg_dataset_select(d, 16, row);
        kit_fill(&k, MLP, d, cases[n].seed, 1, NULL);
        tg_fit_options fit = cases[n].o;
        fit.optimizer = o = tg_optim_parse(tg_model_params(k.m), cases[n].optimizer);
        cr_expect_str_eq(refusal(&k, cases[n].other_rows ? few : d, fit, path), cases[n].message);
        cr_expect_eq(tg_model_status(k.m), TG_EVALUE);
        tg_optim_free(o);
        kit_free(&k);
        tg_dataset_free(few);
    }
    kit_fill(&k, IMAGES, d, 1, 1, NULL);
    tg_fit_options fit = {.batch = 16, .settings = "a"};
    cr_expect_str_eq(refusal(&k, other, fit, path),
                     "the checkpoint is of another training: model is 'mlp' there, and 'model' "
                     "here");
    kit_free(&k);
    tg_dataset_free(d);
    tg_dataset_free(held);
    tg_dataset_free(other);
    tg_dataset_free(other_held);
    folder_free(&f);
}

/* Every byte of it is under a digest, or says how long things are. */
Test(resume, a_damaged_checkpoint_is_refused_wherever_the_damage_is, .timeout = 300)
{
    folder f = folder_new();
    tg_dataset *d, *held;
    rows_of(MLP, &d, &held);
    kit k;
    char path[600];
    snprintf(path, sizeof path, "%s", folder_file(&f, "c"));
    kit_fill(&k, MLP, d, 1, 1, NULL);
    tg_fit(k.m, d, FIT(.epochs = 1, .best = true, .average = 0.5, .checkpoint = path));
    kit_free(&k);
    static unsigned char bytes[1 << 18];
    FILE *file = fopen(path, "rb");
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    cr_assert(n > 1000 && n < sizeof bytes);
    for (size_t at = 0; at < n; at += at < 8 ? 1 : 7) {
        const unsigned char kept = bytes[at];
        bytes[at] ^= (unsigned char)(1 << at % 8);
        folder_write(&f, "c", bytes, n);
        bytes[at] = kept;
        kit_fill(&k, MLP, d, 1, 1, NULL);
        const char *said = refusal(&k, d, (tg_fit_options){.best = true, .average = 0.5}, path);
        const tg_status status = tg_model_status(k.m);
        /* Spaces between the header and the data may be any. */
        cr_expect(status == TG_EFORMAT || status == TG_EVALUE || status == TG_ESHAPE,
                  "byte %zu of %zu: %s", at, n, said);
        kit_free(&k);
    }
    folder_write(&f, "c", bytes, n / 2);
    kit_fill(&k, MLP, d, 1, 1, NULL);
    cr_expect_not_null(strstr(refusal(&k, d, (tg_fit_options){.best = true}, path), "cut short"));
    kit_free(&k);
    folder_write(&f, "c", bytes, n);
    kit_fill(&k, MLP, d, 1, 1, NULL);
    refusal(&k, d, (tg_fit_options){.best = true, .average = 0.5}, path);
    cr_expect_eq(tg_model_status(k.m), TG_OK, "%s", tg_model_message(k.m));
    kit_free(&k);
    tg_dataset_free(d);
    tg_dataset_free(held);
    folder_free(&f);
}

Test(resume, other_files_are_no_checkpoints)
{
    folder f = folder_new();
    tg_dataset *d, *held;
    rows_of(MLP, &d, &held);
    kit k;
    kit_fill(&k, MLP, d, 1, 1, NULL);
    tg_params_save(tg_model_params(k.m), folder_file(&f, "c"), NULL);
    cr_expect_str_eq(refusal(&k, d, (tg_fit_options){0}, folder_file(&f, "c")),
                     "no checkpoint: its format is '', not 'tapegrad-training-1'");
    kit_free(&k);
    kit_fill(&k, MLP, d, 1, 1, NULL);
    tg_mlp_save(k.mlp, folder_file(&f, "c"));
    cr_expect_str_eq(refusal(&k, d, (tg_fit_options){0}, folder_file(&f, "c")),
                     "no checkpoint: its format is 'tapegrad-mlp-1', not 'tapegrad-training-1'");
    kit_free(&k);
    kit_fill(&k, MLP, d, 1, 1, NULL);
    tg_fit(k.m, d, FIT(.epochs = 1, .checkpoint = f.path));
    cr_expect_eq(tg_model_status(k.m), TG_EIO, "%s", tg_model_message(k.m));
    tg_model_clear_error(k.m);
    tg_fit(k.m, d, FIT(.epochs = 1, .checkpoint = folder_file(&f, "c"), .settings = "\xff"));
    cr_expect_eq(tg_model_status(k.m), TG_EVALUE, "%s", tg_model_message(k.m));
    kit_free(&k);
    tg_dataset_free(d);
    tg_dataset_free(held);
    folder_free(&f);
}

Test(resume, short_memory_is_reported_and_the_checkpoint_stays, .timeout = 300)
{
    folder f = folder_new();
    tg_dataset *d, *held;
    rows_of(MLP, &d, &held);
    const char *path = folder_file(&f, "c");
    for (int resuming = 0; resuming < 2; resuming++) {
        bool done = false;
        for (long long at = 1; !done; at += 2) {
            test_memory memory = {.fail_at = at};
            const tg_allocator a = test_allocator(&memory);
            kit k;
            if (!resuming) remove(path);
            kit_fill(&k, MLP, d, 1, 1, &a);
            tg_fit(k.m, d,
                   FIT(.epochs = 2 + resuming, .validation = held, .best = true, .average = 0.5,
                       .checkpoint = path, .resume = resuming));
            const tg_status status = tg_model_status(k.m);
            done = status == TG_OK && memory.requests < at;
            cr_assert(status == TG_OK || status == TG_ENOMEM, "%lld: %s", at,
                      tg_model_message(k.m));
            kit_free(&k);
            cr_assert_eq(memory.blocks, 0, "%lld", at);
            cr_assert_eq(memory.wrong, 0);
            cr_assert_lt(at, 3000);
        }
    }
    tg_dataset_free(d);
    tg_dataset_free(held);
    folder_free(&f);
}
