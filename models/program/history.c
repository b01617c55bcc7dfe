/* Loss and scores of each epoch as a file: CSV, or JSON Lines. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "training.h"

static bool is_json_lines(const char *path)
{
    const size_t n = strlen(path);
    return n > 6 && !strcmp(path + n - 6, ".jsonl");
}

void history_header(char line[HISTORY_HEADER], const char *metric, const char *held)
{
    snprintf(line, HISTORY_HEADER, "epoch,train_loss,train_%s,%s_loss,%s_%s,seconds\n", metric,
             held, held, metric);
}

static int failed(const request *r, const tg_file *file)
{
    return complain(FAILED, "%s: can't write: %s", r->history, tg_errno_text(file->error).text);
}

int open_history(const request *r, display *d, tg_file *file)
{
    if (!r->history) return DONE;
    if (!tg_file_begin(file, r->history)) return failed(r, file);
    d->history = file;
    if (is_json_lines(r->history)) return DONE;
    char line[HISTORY_HEADER];
    history_header(line, d->regression ? "r2" : "accuracy", d->held);
    tg_file_put(file, line, strlen(line));
    return DONE;
}

static void put_csv(display *d, const tg_epoch *e)
{
    char line[200], held[100] = ",";
    if (e->validation.rows)
        snprintf(held, sizeof held, "%.9g,%.9g", e->validation.loss, score(d, &e->validation));
    const int n = snprintf(line, sizeof line, "%lld,%.9g,%.9g,%s,%.3f\n", (long long)e->epoch,
                           e->train.loss, score(d, &e->train), held, e->seconds);
    tg_file_put(d->history, line, (size_t)n);
}

static void put_member(tg_file *file, const char *part, const char *name, double value)
{
    char text[100], number[40] = "null";
    if (isfinite(value)) snprintf(number, sizeof number, "%.9g", value);
    const int n = snprintf(text, sizeof text, ",\"%s%s\":%s", part, name, number);
    tg_file_put(file, text, (size_t)n);
}

static void put_metrics(display *d, const char *part, const tg_metrics *m)
{
    if (!m->rows) return;
    put_member(d->history, part, "_loss", m->loss);
    put_member(d->history, part, d->regression ? "_r2" : "_accuracy", score(d, m));
    if (d->regression) put_member(d->history, part, "_rmse", m->rmse);
}

static void put_json(display *d, const tg_epoch *e)
{
    char start[40];
    const int n = snprintf(start, sizeof start, "{\"epoch\":%lld", (long long)e->epoch);
    tg_file_put(d->history, start, (size_t)n);
    put_metrics(d, "train", &e->train);
    put_metrics(d, d->held, &e->validation);
    if (d->r->watch) put_member(d->history, "watched", "", e->watched);
    put_member(d->history, "seconds", "", e->seconds);
    tg_file_put(d->history, "}\n", 2);
}

void write_history(display *d)
{
    int64_t n;
    const tg_epoch *e = tg_model_history(d->m, &n);
    if (!d->history) return;
    for (; d->written < n; d->written++)
        if (is_json_lines(d->r->history)) put_json(d, &e[d->written]);
        else put_csv(d, &e[d->written]);
}

/* What was learnt before a failure is worth keeping too. */
int close_history(const request *r, const display *d, int status)
{
    if (!d->history || tg_file_finish(d->history) || status != DONE) return status;
    return failed(r, d->history);
}
