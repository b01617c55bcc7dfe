/* tapegrad train */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "training.h"

/* The rank that writes and draws. */
static bool is_first(const request *r) { return tg_ranks_rank(r->ranks) == 0; }

int threads_of(const request *r)
{
    const long all = sysconf(_SC_NPROCESSORS_ONLN), cores = all / tg_ranks_neighbours(r->ranks);
    return r->threads ? r->threads : cores < 1 ? 1 : cores > 1024 ? 1024 : (int)cores;
}

bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---------------------------------------------------------------- data */

typedef struct parts {
    tg_dataset *all, *train, *held; /* train is all, or a part of it */
    const char *held_name;
} parts;

static void free_parts(parts *p)
{
    if (p->train != p->all) tg_dataset_free(p->train);
    tg_dataset_free(p->held);
    tg_dataset_free(p->all);
}

static int data_failed(const tg_dataset *d)
{
    return complain(FAILED, "%s", tg_dataset_message(d));
}

/* Reads the training data and divides it when it has to serve for testing too. */
static int read_parts(const request *r, parts *p)
{
    const bool images = is_folder(r->data);
    p->all = p->train = tg_dataset_new(program_allocator());
    if (images && (r->test || r->split || r->csv.target))
        return complain(USAGE, "--test, --split and --target are for CSV files");
    read_data(r, p->all, r->data, "train", NULL);
    if (tg_dataset_status(p->all) != TG_OK) return data_failed(p->all);
    if (images && r->csv.task != TG_TASK_AUTO && r->csv.task != tg_dataset_task(p->all))
        return complain(FAILED, "%s: the task is %s", r->data,
                        tg_task_name(tg_dataset_task(p->all)));
    const double fraction = r->validation >= 0 ? r->validation : r->test || images ? 0 : 0.2;
    p->held_name = "test";
    if (r->split) {
        if (tg_dataset_split_file(p->all, r->split, &p->train, &p->held) != TG_OK)
            p->train = p->all;
    } else if (fraction > 0) {
        p->held_name = "validation";
        if (tg_dataset_split_random(p->all, fraction, r->seed, &p->train, &p->held) != TG_OK)
            p->train = p->all;
    }
    return tg_dataset_status(p->all) == TG_OK ? DONE : data_failed(p->all);
}

/* Reads data that is apart from the training data, the way the model wants it. */
static int read_test(const request *r, const tg_model *m, parts *p)
{
    const bool images = is_folder(r->data);
    if (p->held || (!r->test && !images)) return DONE;
    p->held = tg_dataset_new(program_allocator());
    read_data(r, p->held, images ? r->data : r->test, "t10k", tg_model_schema(m));
    return tg_dataset_status(p->held) == TG_OK ? DONE : data_failed(p->held);
}

/* ---------------------------------------------------------------- results */

void print_number(double x)
{
    if (isfinite(x)) printf("%.9g", x);
    else printf("null");
}

void print_text(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') printf("\\%c", c);
        else if (c < 0x20) printf("\\u%04x", c);
        else putchar(c);
    }
    putchar('"');
}

/* A JSON member, with the measures that were asked for. */
static int print_metrics(const display *d, const char *name, const tg_metrics *m,
                         const tg_dataset *rows)
{
    printf("\"%s\":", name);
    if (!m->rows) {
        printf("null");
        return DONE;
    }
    printf("{\"loss\":");
    print_number(m->loss);
    printf(",\"%s\":", d->regression ? "r2" : "accuracy");
    print_number(score(d, m));
    if (d->regression) {
        printf(",\"rmse\":");
        print_number(m->rmse);
    }
    printf(",\"rows\":%lld", (long long)m->rows);
    const int status = print_measures(d->r, d->m, rows, name);
    putchar('}');
    return status;
}

static int print_json(const display *d, const parts *p, long long parameters)
{
    int64_t epochs;
    tg_model_history(d->m, &epochs);
    putchar('{');
    int status = print_metrics(d, "train", &d->trained, p->train);
    putchar(',');
    if (status == DONE) status = print_metrics(d, "test", &d->tested, p->held);
    printf(",\"seconds\":%.3f,\"parameters\":%lld,\"task\":\"%s\",\"epochs\":%lld,\"seed\":%llu,"
           "\"held_out\":",
           d->took, parameters, tg_task_name(tg_model_task(d->m)), (long long)epochs,
           (unsigned long long)d->r->seed);
    print_text(d->tested.rows ? d->held : "none");
    const tg_ranks_stats sent = tg_ranks_statistics(d->r->ranks);
    printf(",\"leaves\":%lld,\"ranks\":%d", (long long)d->leaves, tg_ranks_count(d->r->ranks));
    if (tg_ranks_count(d->r->ranks) > 1)
        printf(",\"sent_bytes\":%llu,\"transport_seconds\":%.3f,\"rank_memory\":%llu",
               (unsigned long long)sent.bytes, sent.seconds, (unsigned long long)sent.memory);
    puts("}");
    return status;
}

static int print_results(const display *d, const parts *p)
{
    const long long parameters = (long long)tg_params_elements(tg_model_params(d->m));
    const char *name = d->regression ? "R2" : "accuracy";
    if (d->r->json) return print_json(d, p, parameters);
    printf("%-11s loss %.4f  %s %.4f  (%lld rows)\n", "train", d->trained.loss, name,
           score(d, &d->trained), (long long)d->trained.rows);
    int status = print_measures(d->r, d->m, p->train, "train");
    if (d->tested.rows)
        printf("%-11s loss %.4f  %s %.4f  (%lld rows)\n", d->held, d->tested.loss, name,
               score(d, &d->tested), (long long)d->tested.rows);
    if (d->tested.rows && status == DONE) status = print_measures(d->r, d->m, p->held, d->held);
    printf("%lld parameters, %.1f s\n", parameters, d->took);
    return status;
}

/* ---------------------------------------------------------------- training */

/* Whether the end was asked for on any rank. */
static bool any_asked_to_stop(const request *r)
{
    const int n = tg_ranks_count(r->ranks);
    bool stop = asked_to_stop();
    if (n == 1) return stop;
    size_t *end = calloc((size_t)n, sizeof *end);
    bool *asked = calloc((size_t)n, sizeof *asked);
    for (int k = 0; end && asked && k < n; k++) end[k] = (size_t)(k + 1) * sizeof *asked;
    if (end && asked) asked[tg_ranks_rank(r->ranks)] = stop;
    tg_ranks_share(r->ranks, end && asked ? TG_OK : TG_ENOMEM, "no memory");
    if (tg_ranks_gather(r->ranks, asked, end) == TG_OK)
        for (int k = 0; k < n; k++) stop = stop || asked[k];
    free(end);
    free(asked);
    return stop;
}

static int fit(const request *r, const parts *p, display *d)
{
    checkpoint c;
    tg_model *m = d->m;
    const int opened = open_checkpoint(r, d, &c);
    if (opened != DONE) return opened;
    tg_fit_options o = {.size = sizeof o,
                        .optimizer = d->optimizer,
                        .epochs = d->epochs,
                        .batch = d->batch,
                        .validation = p->held,
                        .on_epoch = on_epoch,
                        .on_batch = on_batch,
                        .user = d,
                        .schedule = d->schedule,
                        .watch = r->watch ? tg_measure_find(r->watch) : NULL,
                        .patience = r->patience,
                        .better_by = r->better_by,
                        .best = r->best,
                        .average = r->average,
                        .average_from = r->average_from,
                        .checkpoint = r->checkpoint ? c.path : NULL,
                        .checkpoint_steps = r->every_steps,
                        .checkpoint_seconds = r->every_seconds,
                        .resume = r->resume,
                        .settings = r->checkpoint ? c.settings : NULL,
                        .leaves = d->leaves,
                        .ranks = tg_ranks_count(r->ranks) > 1 ? r->ranks : NULL};
    looks l;
    begin_looks(r, m, d->held, &o, &l);
    d->began = now_seconds();
    tg_fit(m, p->train, &o);
    d->took = now_seconds() - d->began;
    write_history(d);
    if (d->terminal) fputs("\r\033[K", stderr);
    const bool going_on = !any_asked_to_stop(r) && tg_model_status(m) == TG_OK;
    if (going_on) tg_evaluate(m, p->train, &d->trained, NULL);
    if (going_on && p->held) tg_evaluate(m, p->held, &d->tested, NULL);
    if (going_on && r->save) tg_model_save(m, r->save);
    int status = DONE;
    if (tg_model_status(m) != TG_OK) status = complain(FAILED, "%s", tg_model_message(m));
    else if (!going_on) status = is_first(r) ? stopped(r, m) : FAILED;
    return end_looks(r, p->train, p->held, &l, status);
}

/* Trains with what --optimizer and --schedule say. */
static int optimize(const request *r, const parts *p, display *d)
{
    const int64_t rows = tg_dataset_rows(p->train), steps = (rows + d->batch - 1) / d->batch;
    int status = DONE;
    d->optimizer = make_optimizer(r, tg_model_params(d->m));
    if (r->schedule) {
        d->schedule = make_schedule(r, steps * d->epochs, steps);
        if (tg_schedule_status(d->schedule) != TG_OK)
            status = complain(FAILED, "--schedule: %s", tg_schedule_message(d->schedule));
    }
    if (status == DONE && tg_optim_status(d->optimizer) != TG_OK)
        status = complain(FAILED, "%s", tg_optim_message(d->optimizer));
    if (status == DONE) status = fit(r, p, d);
    tg_schedule_free(d->schedule);
    tg_optim_free(d->optimizer);
    return status;
}

static void describe(const request *r, const parts *p, const display *d)
{
    char net[1024];
    net_text(r, d->m, net, sizeof net);
    fprintf(stderr, "%s: %lld rows to train on, ", r->data, (long long)tg_dataset_rows(p->train));
    if (p->held)
        fprintf(stderr, "%lld held out (%s), ", (long long)tg_dataset_rows(p->held), d->held);
    else fprintf(stderr, "none held out, ");
    fprintf(stderr, "%s; net %s\n", tg_task_name(tg_model_task(d->m)), net);
    if (tg_ranks_count(r->ranks) > d->leaves)
        fprintf(
            stderr,
            "a batch has %lld leaves for %d ranks: some have nothing to do; --batch or --leaves "
            "makes more\n",
            (long long)d->leaves, tg_ranks_count(r->ranks));
}

/* Of 64 rows or more, and at most 16. */
static int64_t usual_leaves(int64_t batch)
{
    return batch < 128 ? 1 : batch > 1024 ? 16 : batch / 64;
}

static display new_display(const request *r, tg_model *m, const parts *p)
{
    const bool images = is_folder(r->data);
    const int64_t batch = r->batch ? r->batch : images ? 64 : 32;
    return (display){.r = r,
                     .m = m,
                     .terminal = isatty(STDERR_FILENO) && !r->quiet,
                     .regression = tg_model_task(m) == TG_TASK_REGRESSION,
                     .held = p->held_name,
                     .epochs = r->epochs ? r->epochs
                               : images  ? 5
                                         : 100,
                     .batch = batch,
                     .leaves = r->leaves ? r->leaves : usual_leaves(batch)};
}

static int with_model(const request *r, tg_model *m, parts *p)
{
    if (tg_model_status(m) != TG_OK) return complain(FAILED, "%s", tg_model_message(m));
    int status = read_test(r, m, p);
    if (status != DONE) return status;
    display d = new_display(r, m, p);
    /* What was decided without being asked is no progress: it is told in any case. */
    for (int64_t k = 0; k < tg_dataset_notes(p->all) && is_first(r); k++)
        fprintf(stderr, "%s: %s\n", r->data, tg_dataset_note(p->all, k));
    if (!r->quiet) describe(r, p, &d);
    tg_file history;
    status = open_history(r, &d, &history);
    if (status == DONE) status = optimize(r, p, &d);
    if (status == DONE && is_first(r)) status = print_results(&d, p);
    if (status == DONE && is_first(r) && !r->json && !r->quiet && isatty(STDOUT_FILENO))
        status = show_results(m, p->held ? p->held : p->train, d.held);
    return close_history(r, &d, status);
}

static tg_model *make_net(const request *r, const tg_dataset *rows)
{
    const tg_net_options text = {.size = sizeof text,
                                 .allocator = program_allocator(),
                                 .head = r->loss,
                                 .no_standardize = r->no_standardize,
                                 .seed = r->seed,
                                 .threads = threads_of(r)};
    if (r->layers) return tg_net_new(rows, r->layers, &text);
    const tg_mlp_options o = {.size = sizeof o,
                              .allocator = program_allocator(),
                              .n_hidden = r->n_hidden,
                              .hidden = r->hidden,
                              .activation = r->activation,
                              .dropout = r->dropout,
                              .head = r->loss,
                              .no_standardize = r->no_standardize,
                              .seed = r->seed,
                              .threads = threads_of(r)};
    return tg_mlp_model(tg_mlp_new(rows, &o));
}

/* ---------------------------------------------------------------- cross-validation */

typedef struct spread {
    double mean, deviation; /* of the folds; n - 1 */
} spread;

static spread spread_of(int n, const double *x)
{
    spread y = {0, 0};
    for (int k = 0; k < n; k++) y.mean += x[k] / n;
    for (int k = 0; k < n; k++) y.deviation += (x[k] - y.mean) * (x[k] - y.mean) / (n - 1);
    y.deviation = sqrt(y.deviation);
    return y;
}

static void print_spread(const char *name, int n, const double *x)
{
    const spread y = spread_of(n, x);
    printf("\"%s\":{\"mean\":", name);
    print_number(y.mean);
    printf(",\"deviation\":");
    print_number(y.deviation);
    printf(",\"folds\":[");
    for (int k = 0; k < n; k++) {
        if (k) putchar(',');
        print_number(x[k]);
    }
    printf("]}");
}

/* A new net for each fold, trained on all others. */
static int run_fold(const request *r, tg_dataset *all, int k, double *loss, double *scored,
                    const char **name)
{
    parts p = {.all = all, .held_name = "validation"};
    if (tg_dataset_fold(all, (int)r->cross_validate, k, r->seed, &p.train, &p.held) != TG_OK)
        return data_failed(all);
    tg_model *m = make_net(r, p.train);
    int status = tg_model_status(m) == TG_OK ? DONE : complain(FAILED, "%s", tg_model_message(m));
    if (status == DONE) {
        request quiet = *r;
        quiet.quiet = true;
        display d = new_display(&quiet, m, &p);
        status = optimize(&quiet, &p, &d);
        *loss = d.tested.loss;
        *scored = score(&d, &d.tested);
        *name = d.regression ? "r2" : "accuracy";
        if (status == DONE && !r->quiet && is_first(r))
            fprintf(stderr, "fold %d/%lld  loss %.4f  %s %.4f  (%lld rows held out)\n", k + 1,
                    (long long)r->cross_validate, *loss, d.regression ? "R2" : "accuracy", *scored,
                    (long long)d.tested.rows);
    }
    tg_model_free(m);
    tg_dataset_free(p.train);
    tg_dataset_free(p.held);
    return status;
}

static int cross_validate(const request *r)
{
    double loss[MOST_FOLDS], scored[MOST_FOLDS];
    const int n = (int)r->cross_validate;
    const char *name = "";
    tg_dataset *all = tg_dataset_new(program_allocator());
    read_data(r, all, r->data, "train", NULL);
    int status = tg_dataset_status(all) == TG_OK ? DONE : data_failed(all);
    for (int k = 0; k < n && status == DONE; k++)
        status = run_fold(r, all, k, &loss[k], &scored[k], &name);
    if (!is_first(r)) {
        tg_dataset_free(all);
        return status;
    }
    if (status == DONE && r->json) {
        putchar('{');
        print_spread("loss", n, loss);
        putchar(',');
        print_spread(name, n, scored);
        printf(",\"rows\":%lld}\n", (long long)tg_dataset_rows(all));
    } else if (status == DONE) {
        const spread a = spread_of(n, loss), b = spread_of(n, scored);
        printf("%d folds: loss %.4f +- %.4f  %s %.4f +- %.4f  (mean and deviation; %lld rows)\n", n,
               a.mean, a.deviation, name, b.mean, b.deviation, (long long)tg_dataset_rows(all));
    }
    tg_dataset_free(all);
    return status;
}

static int train_here(const request *r)
{
    if (r->cross_validate) return cross_validate(r);
    parts p = {0};
    int status = check_outputs(r);
    if (status == DONE) status = read_parts(r, &p);
    if (status == DONE) {
        tg_model *m = make_net(r, p.train);
        status = with_model(r, m, &p);
        tg_model_free(m);
    }
    free_parts(&p);
    return status;
}

/* What one rank complains about ends all of them, and the first says it. */
static int train_on_ranks(request *r)
{
    char text[512];
    complain_to(text, sizeof text);
    if (!is_first(r)) {
        r->quiet = true;
        r->save = r->history = NULL;
    }
    int status = r->report || r->profile
                     ? complain(USAGE, "--report and --profile are for one process")
                     : train_here(r);
    const tg_status mine = status == DONE ? TG_OK : TG_ESTATE;
    if (tg_ranks_share(r->ranks, mine, text) != TG_OK && status == DONE)
        status = complain(FAILED, "%s", tg_ranks_message(r->ranks));
    complain_to(NULL, 0);
    if (status != DONE && *text && is_first(r)) complain(status, "%s", text);
    return status;
}

int train(const request *given)
{
    request r = *given;
    const tg_ranks_options options = {.size = sizeof options, .allocator = program_allocator()};
    r.ranks = tg_ranks_join(&options);
    int status = DONE;
    if (tg_ranks_status(r.ranks) != TG_OK)
        status = complain(FAILED, "%s", tg_ranks_message(r.ranks));
    else if (tg_ranks_count(r.ranks) > 1) status = train_on_ranks(&r);
    else status = train_here(&r);
    tg_ranks_leave(r.ranks);
    return status;
}
