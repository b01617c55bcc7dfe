/* tapegrad train */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../graph/file.h"
#include "main.h"

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int threads_of(const request *r)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return r->threads ? r->threads : cores < 1 ? 1 : cores > 1024 ? 1024 : (int)cores;
}

bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---------------------------------------------------------------- progress */

typedef struct display {
    const request *r;
    bool terminal; /* a bar that is drawn over and over, instead of lines */
    bool regression;
    const char *held; /* what the held-out rows are called */
    int64_t epochs, batch;
    double drawn; /* when the bar was drawn last */
    tg_metrics trained, tested;
    double took; /* seconds */
    tg_optim *optimizer;
    tg_schedule *schedule; /* NULL: none */
    tg_file *history;      /* NULL: none is wanted */
} display;

static double score(const display *d, const tg_metrics *m)
{
    return d->regression ? m->r2 : m->accuracy;
}

static bool on_batch(const tg_progress *p, void *user)
{
    enum { WIDTH = 30 };
    display *d = user;
    const double now = seconds();
    if (d->schedule)
        tg_optim_set_factor(
            d->optimizer, tg_schedule_factor(d->schedule, (p->epoch - 1) * p->batches + p->batch));
    if (!d->terminal || now - d->drawn < 0.05) return true;
    d->drawn = now;
    const int full = (int)(WIDTH * p->batch / p->batches);
    fprintf(stderr, "\repoch %lld/%lld [%.*s%.*s] loss %.4f ", (long long)p->epoch,
            (long long)p->epochs, full, "##############################", WIDTH - full,
            "..............................", p->loss);
    return true;
}

/* Lines for about twenty of the epochs tell enough. */
static bool shown(const display *d, int64_t epoch)
{
    const int64_t every = d->epochs <= 20 ? 1 : (d->epochs + 19) / 20;
    return epoch == 1 || epoch == d->epochs || epoch % every == 0;
}

static void put_history(display *d, const tg_epoch *e)
{
    char line[200], held[100] = ",";
    if (e->validation.rows)
        snprintf(held, sizeof held, "%.9g,%.9g", e->validation.loss, score(d, &e->validation));
    const int n = snprintf(line, sizeof line, "%lld,%.9g,%.9g,%s,%.3f\n", (long long)e->epoch,
                           e->train.loss, score(d, &e->train), held, e->seconds);
    tg_file_put(d->history, line, (size_t)n);
}

static bool on_epoch(const tg_epoch *e, void *user)
{
    display *d = user;
    const char *name = d->regression ? "R2" : "accuracy";
    if (d->history) put_history(d, e);
    if (d->r->quiet || !shown(d, e->epoch)) return true;
    fprintf(stderr, "%sepoch %*lld/%lld  loss %.4f  %s %.4f", d->terminal ? "\r\033[K" : "",
            d->epochs > 99 ? 3 : 2, (long long)e->epoch, (long long)d->epochs, e->train.loss, name,
            score(d, &e->train));
    if (e->validation.rows)
        fprintf(stderr, "  %s loss %.4f  %s %.4f", d->held, e->validation.loss, name,
                score(d, &e->validation));
    fprintf(stderr, "  %.1f s\n", e->seconds);
    return true;
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
static int read_test(const request *r, tg_mlp *m, parts *p)
{
    const bool images = is_folder(r->data);
    if (p->held || (!r->test && !images)) return DONE;
    p->held = tg_dataset_new(program_allocator());
    read_data(r, p->held, images ? r->data : r->test, "t10k", tg_model_schema(tg_mlp_model(m)));
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

static void print_metrics(const display *d, const char *name, const tg_metrics *m)
{
    printf("\"%s\":", name);
    if (!m->rows) {
        printf("null");
        return;
    }
    printf("{\"loss\":");
    print_number(m->loss);
    printf(",\"%s\":", d->regression ? "r2" : "accuracy");
    print_number(score(d, m));
    if (d->regression) {
        printf(",\"rmse\":");
        print_number(m->rmse);
    }
    printf(",\"rows\":%lld}", (long long)m->rows);
}

static void print_results(const display *d, tg_mlp *m)
{
    const tg_metrics *trained = &d->trained, *held = &d->tested;
    const double took = d->took;
    const long long parameters = (long long)tg_params_elements(tg_mlp_params(m));
    if (d->r->json) {
        putchar('{');
        print_metrics(d, "train", trained);
        putchar(',');
        print_metrics(d, "test", held);
        printf(",\"seconds\":%.3f,\"parameters\":%lld,\"task\":\"%s\",\"epochs\":%lld,\"seed\":%"
               "llu,\"held_out\":",
               took, parameters, tg_task_name(tg_model_task(tg_mlp_model(m))), (long long)d->epochs,
               (unsigned long long)d->r->seed);
        print_text(held->rows ? d->held : "none");
        puts("}");
        return;
    }
    const char *name = d->regression ? "R2" : "accuracy";
    printf("%-11s loss %.4f  %s %.4f  (%lld rows)\n", "train", trained->loss, name,
           score(d, trained), (long long)trained->rows);
    if (held->rows)
        printf("%-11s loss %.4f  %s %.4f  (%lld rows)\n", d->held, held->loss, name, score(d, held),
               (long long)held->rows);
    printf("%lld parameters, %.1f s\n", parameters, took);
}

/* ---------------------------------------------------------------- training */

void history_header(char line[HISTORY_HEADER], const char *metric, const char *held)
{
    snprintf(line, HISTORY_HEADER, "epoch,train_loss,train_%s,%s_loss,%s_%s,seconds\n", metric,
             held, held, metric);
}

static int open_history(const request *r, display *d, tg_file *history)
{
    if (!r->history) return DONE;
    if (!tg_file_begin(history, r->history))
        return complain(FAILED, "%s: can't write: %s", r->history,
                        tg_errno_text(history->error).text);
    char line[HISTORY_HEADER];
    history_header(line, d->regression ? "r2" : "accuracy", d->held);
    tg_file_put(d->history = history, line, strlen(line));
    return DONE;
}

/* What was learnt before a failure is worth keeping too. */
static int close_history(const request *r, const display *d, int status)
{
    if (!d->history || tg_file_finish(d->history) || status != DONE) return status;
    return complain(FAILED, "%s: can't write: %s", r->history,
                    tg_errno_text(d->history->error).text);
}

static int fit(const request *r, tg_mlp *m, const parts *p, display *d)
{
    tg_fit_options o = {.size = sizeof o,
                        .optimizer = d->optimizer,
                        .epochs = d->epochs,
                        .batch = d->batch,
                        .validation = p->held,
                        .on_epoch = on_epoch,
                        .on_batch = on_batch,
                        .user = d};
    looks l;
    begin_looks(r, m, d->held, &o, &l);
    const double start = seconds();
    tg_model *model = tg_mlp_model(m);
    tg_fit(model, p->train, &o);
    d->took = seconds() - start;
    if (tg_mlp_status(m) == TG_OK) tg_evaluate(model, p->train, &d->trained, NULL);
    if (tg_mlp_status(m) == TG_OK && p->held) tg_evaluate(model, p->held, &d->tested, NULL);
    if (tg_mlp_status(m) == TG_OK && r->save) tg_mlp_save(m, r->save);
    if (d->terminal && tg_mlp_status(m) != TG_OK) fputc('\n', stderr);
    const int status = tg_mlp_status(m) == TG_OK ? DONE : complain(FAILED, "%s", tg_mlp_message(m));
    return end_looks(r, p->train, p->held, &l, status);
}

/* Trains with what --optimizer and --schedule say. */
static int optimize(const request *r, tg_mlp *m, const parts *p, display *d)
{
    const int64_t rows = tg_dataset_rows(p->train), steps = (rows + d->batch - 1) / d->batch;
    int status = DONE;
    d->optimizer = make_optimizer(r, tg_mlp_params(m));
    if (r->schedule) {
        d->schedule = make_schedule(r, steps * d->epochs, steps);
        if (tg_schedule_status(d->schedule) != TG_OK)
            status = complain(FAILED, "--schedule: %s", tg_schedule_message(d->schedule));
        else tg_optim_set_factor(d->optimizer, tg_schedule_factor(d->schedule, 0));
    }
    if (status == DONE && tg_optim_status(d->optimizer) != TG_OK)
        status = complain(FAILED, "%s", tg_optim_message(d->optimizer));
    if (status == DONE) status = fit(r, m, p, d);
    tg_schedule_free(d->schedule);
    tg_optim_free(d->optimizer);
    return status;
}

static void describe(const request *r, tg_mlp *m, const parts *p, const display *d)
{
    const int64_t *hidden;
    const int n = tg_mlp_hidden(m, &hidden);
    fprintf(stderr, "%s: %lld rows to train on, ", r->data, (long long)tg_dataset_rows(p->train));
    if (p->held)
        fprintf(stderr, "%lld held out (%s), ", (long long)tg_dataset_rows(p->held), d->held);
    else fprintf(stderr, "none held out, ");
    fprintf(stderr, "%s; net %lld", tg_task_name(tg_model_task(tg_mlp_model(m))),
            (long long)tg_mlp_inputs(m));
    for (int k = 0; k < n; k++) fprintf(stderr, "-%lld", (long long)hidden[k]);
    fprintf(stderr, "-%lld\n", (long long)tg_mlp_outputs(m));
}

static display new_display(const request *r, tg_mlp *m, const parts *p)
{
    const bool images = is_folder(r->data);
    return (display){.r = r,
                     .terminal = isatty(STDERR_FILENO) && !r->quiet,
                     .regression = tg_model_task(tg_mlp_model(m)) == TG_TASK_REGRESSION,
                     .held = p->held_name,
                     .epochs = r->epochs ? r->epochs
                               : images  ? 5
                                         : 100,
                     .batch = r->batch ? r->batch
                              : images ? 64
                                       : 32};
}

static int with_model(const request *r, tg_mlp *m, parts *p)
{
    if (tg_mlp_status(m) != TG_OK) return complain(FAILED, "%s", tg_mlp_message(m));
    int status = read_test(r, m, p);
    if (status != DONE) return status;
    display d = new_display(r, m, p);
    /* What was decided without being asked is no progress: it is told in any case. */
    for (int64_t k = 0; k < tg_dataset_notes(p->all); k++)
        fprintf(stderr, "%s: %s\n", r->data, tg_dataset_note(p->all, k));
    if (!r->quiet) describe(r, m, p, &d);
    tg_file history;
    status = open_history(r, &d, &history);
    if (status == DONE) status = optimize(r, m, p, &d);
    if (status == DONE) print_results(&d, m);
    return close_history(r, &d, status);
}

static tg_mlp *make_net(const request *r, const tg_dataset *rows)
{
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
    return tg_mlp_new(rows, &o);
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
    tg_mlp *m = make_net(r, p.train);
    int status = tg_mlp_status(m) == TG_OK ? DONE : complain(FAILED, "%s", tg_mlp_message(m));
    if (status == DONE) {
        request quiet = *r;
        quiet.quiet = true;
        display d = new_display(&quiet, m, &p);
        status = optimize(&quiet, m, &p, &d);
        *loss = d.tested.loss;
        *scored = score(&d, &d.tested);
        *name = d.regression ? "r2" : "accuracy";
        if (status == DONE && !r->quiet)
            fprintf(stderr, "fold %d/%lld  loss %.4f  %s %.4f  (%lld rows held out)\n", k + 1,
                    (long long)r->cross_validate, *loss, d.regression ? "R2" : "accuracy", *scored,
                    (long long)d.tested.rows);
    }
    tg_mlp_free(m);
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

int train(const request *r)
{
    if (r->cross_validate) return cross_validate(r);
    parts p = {0};
    int status = check_outputs(r);
    if (status == DONE) status = read_parts(r, &p);
    if (status == DONE) {
        tg_mlp *m = make_net(r, p.train);
        status = with_model(r, m, &p);
        tg_mlp_free(m);
    }
    free_parts(&p);
    return status;
}
