/* A report as one file: all that it knows as JSON, within the page that draws it. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../../graph/file.h"
#include "../../graph/profiler.h"
#include "page.h"
#include "recorder.h"

static void no_memory(tg_report *r)
{
    tg_error_set(&r->error, NULL, "report", TG_ENOMEM, "no memory");
}

void tg_report_put(tg_report *r, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0) no_memory(r);
}

json_t *tg_report_number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static void put_text(tg_report *r, json_t *object, const char *name, const char *text)
{
    if (text) tg_report_put(r, object, name, json_string(text));
}

/* ---------------------------------------------------------------- the head */

/* XXH3, 64 bits, of all parameters in their order. */
static tg_text fingerprint(const tg_params *ps)
{
    tg_text y;
    uint64_t hash = 0;
    for (int k = 0; k < tg_params_count(ps); k++) {
        const tg_tensor *p = tg_params_get(ps, k);
        const size_t bytes = (size_t)tg_tensor_count(p) * tg_dtype_size(tg_tensor_dtype(p));
        hash = XXH3_64bits_withSeed(tg_param_data(p), bytes, hash);
    }
    snprintf(y.text, sizeof y.text, "%016llx", (unsigned long long)hash);
    return y;
}

static json_t *metrics(tg_report *r, const tg_dataset *d)
{
    tg_metrics m;
    json_t *y = json_object();
    if (tg_evaluate(r->m, d, &m, NULL) != TG_OK)
        tg_error_set(&r->error, NULL, NULL, tg_model_status(r->m), "%s", tg_model_message(r->m));
    tg_report_put(r, y, "rows", json_integer(m.rows));
    tg_report_put(r, y, "loss", tg_report_number(m.loss));
    tg_report_put(r, y, "accuracy", tg_report_number(m.accuracy));
    tg_report_put(r, y, "r2", tg_report_number(m.r2));
    tg_report_put(r, y, "rmse", tg_report_number(m.rmse));
    return y;
}

static void put_head(tg_report *r, json_t *root, const tg_dataset *train, const tg_dataset *held)
{
    const tg_report_options *o = &r->options;
    const int version = tg_version();
    char text[64];
    put_text(r, root, "title", o->title ? o->title : r->m->name);
    put_text(r, root, "data", o->data);
    put_text(r, root, "command", o->command);
    put_text(r, root, "settings", o->settings);
    put_text(r, root, "held", o->held);
    snprintf(text, sizeof text, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    put_text(r, root, "version", text);
    put_text(r, root, "fingerprint", fingerprint(r->m->params).text);
    put_text(r, root, "task", tg_task_name(r->m->schema.task));
    put_text(r, root, "head", tg_head_name(r->m->head));
    put_text(r, root, "target", r->m->schema.target);
    tg_report_put(r, root, "seed", json_integer((json_int_t)o->seed));
    tg_report_put(r, root, "n_features", json_integer(r->m->schema.features));
    tg_report_put(r, root, "n_parameters", json_integer(tg_params_elements(r->m->params)));
    json_t *scores = json_object();
    tg_report_put(r, scores, "train", metrics(r, train));
    if (held) tg_report_put(r, scores, "held", metrics(r, held));
    tg_report_put(r, root, "scores", scores);
}

/* ---------------------------------------------------------------- histories */

static double score_of(const tg_metrics *m)
{
    return m->rows ? isfinite(m->accuracy) ? m->accuracy : m->r2 : (double)NAN;
}

static double of_epoch(const tg_epoch *e, int column)
{
    const double all[] = {(double)e->epoch,
                          e->train.loss,
                          e->validation.rows ? e->validation.loss : (double)NAN,
                          score_of(&e->train),
                          score_of(&e->validation),
                          e->seconds};
    return all[column];
}

static double of_step(const tg_recorded_step *s, int column)
{
    const double all[] = {s->loss, s->norm, s->rate};
    return all[column];
}

/* Numbers 0 .. n-1 of a column, or, of many, minimum, mean and maximum of each stretch. */
static json_t *column(const void *list, int64_t n, bool epochs, int which)
{
    const int64_t stretches = n > TG_THIN ? TG_THIN / 2 : n;
    json_t *y = json_array();
    for (int64_t k = 0; k < stretches; k++) {
        double low = INFINITY, high = -INFINITY, sum = 0;
        const int64_t first = k * n / stretches, end = (k + 1) * n / stretches;
        for (int64_t i = first; i < end; i++) {
            const double x = epochs ? of_epoch((const tg_epoch *)list + i, which)
                                    : of_step((const tg_recorded_step *)list + i, which);
            low = fmin(low, x);
            high = fmax(high, x);
            sum += x;
        }
        json_t *value = tg_report_number(sum / (double)(end - first));
        if (n > TG_THIN) {
            json_t *three = json_array();
            json_array_append_new(three, tg_report_number(low));
            json_array_append_new(three, value);
            json_array_append_new(three, tg_report_number(high));
            value = three;
        }
        json_array_append_new(y, value);
    }
    return y;
}

static void put_history(tg_report *r, json_t *root, const char *name, const void *list, int64_t n,
                        bool epochs, int columns, const char *const *names)
{
    json_t *y = json_object();
    tg_report_put(r, y, "n", json_integer(n));
    tg_report_put(r, y, "thinned", json_boolean(n > TG_THIN));
    for (int k = 0; k < columns; k++) tg_report_put(r, y, names[k], column(list, n, epochs, k));
    tg_report_put(r, root, name, y);
}

static void put_histories(tg_report *r, json_t *root)
{
    static const char *const of_epochs[] = {"epoch",       "train_loss", "held_loss",
                                            "train_score", "held_score", "seconds"};
    static const char *const of_steps[] = {"loss", "norm", "rate"};
    put_history(r, root, "epochs", r->m->history, (int64_t)r->m->epochs, true, 6, of_epochs);
    put_history(r, root, "steps", r->step, (int64_t)r->n_steps, false, 3, of_steps);
}

/* ---------------------------------------------------------------- layers */

static json_t *histogram(const tg_histogram *h)
{
    json_t *y = json_array();
    json_array_append_new(y, tg_report_number(h->low));
    json_array_append_new(y, tg_report_number(h->high));
    for (int k = 0; k < TG_BINS; k++) json_array_append_new(y, json_integer(h->count[k]));
    return y;
}

static void put_layers(tg_report *r, json_t *root)
{
    json_t *list = json_array();
    for (int64_t p = 0; p < r->n_params; p++) {
        const tg_tensor *param = tg_params_get(r->m->params, (int)p);
        json_t *one = json_object(), *epochs = json_array(), *ratio = json_array(),
               *weights = json_array(), *gradients = json_array();
        for (size_t k = (size_t)p; k < r->n_snapshots; k += (size_t)r->n_params) {
            const tg_snapshot *s = &r->snapshot[k];
            json_array_append_new(epochs, json_integer(s->epoch));
            json_array_append_new(ratio, tg_report_number(s->ratio));
            json_array_append_new(weights, histogram(&s->weights));
            json_array_append_new(gradients, histogram(&s->gradients));
        }
        put_text(r, one, "name", tg_param_name(param));
        put_text(r, one, "shape", tg_shape_text(tg_tensor_shape(param)).text);
        tg_report_put(r, one, "epochs", epochs);
        tg_report_put(r, one, "ratio", ratio);
        tg_report_put(r, one, "weights", weights);
        tg_report_put(r, one, "gradients", gradients);
        json_array_append_new(list, one);
    }
    tg_report_put(r, root, "layers", list);
}

/* ---------------------------------------------------------------- the profile */

/* All of it but the list of steps, and of the plans the one that ran most. */
static void put_profile(tg_report *r, json_t *root)
{
    char *text = NULL;
    size_t bytes = 0;
    json_error_t error;
    if (!r->profile || tg_profile_totals(r->profile).evaluations == 0) return;
    FILE *out = open_memstream(&text, &bytes);
    if (out) tg_profile_put_json(out, r->profile);
    json_t *y = out && fclose(out) == 0 ? tg_json_read(text, bytes, 0, &error) : NULL;
    free(text);
    json_t *plans = json_object_get(y, "plans"), *best = NULL;
    for (size_t k = 0; k < json_array_size(plans); k++) {
        json_t *plan = json_array_get(plans, k);
        if (!best || json_integer_value(json_object_get(plan, "runs")) >
                         json_integer_value(json_object_get(best, "runs")))
            best = plan;
    }
    if (best) tg_report_put(r, y, "plan", json_incref(best));
    json_object_del(y, "plans");
    json_object_del(y, "steps");
    tg_report_put(r, root, "profile", y);
}

/* ---------------------------------------------------------------- the file */

/* JSON inside a script must not hold "</" or "<!--". */
static void put_data(tg_file *f, const char *text)
{
    for (const char *at = text; *at;) {
        const size_t n = strcspn(at, "<");
        tg_file_put(f, at, n);
        at += n;
        if (*at) tg_file_put(f, "\\u003c", 6), at++;
    }
}

static void write_page(tg_report *r, const char *text, const char *path)
{
    static const char here[] = "DATA_HERE";
    const char *page = (const char *)tg_page_text, *at = strstr(page, here);
    const size_t before = (size_t)(at - page), after = before + sizeof here - 1;
    tg_file f;
    if (!tg_file_begin(&f, path) ||
        (tg_file_put(&f, page, before), put_data(&f, text),
         tg_file_put(&f, page + after, tg_page_bytes - after), !tg_file_finish(&f)))
        tg_error_set(&r->error, path, "report", TG_EIO, "can't be written: %s",
                     tg_errno_text(f.error).text);
}

tg_status tg_report_write(tg_report *r, const tg_dataset *train, const tg_dataset *held,
                          const char *path)
{
    if (!r || r->error.status != TG_OK) return tg_report_status(r);
    if (!train || !path)
        return tg_error_set(&r->error, NULL, "report", TG_ENULL, "%s is NULL",
                            path ? "the training data" : "the path");
    json_t *root = json_object();
    put_head(r, root, train, held);
    put_histories(r, root);
    put_layers(r, root);
    if (r->error.status == TG_OK) put_profile(r, root);
    if (r->error.status == TG_OK) tg_report_examine(r, root, train, held ? held : train);
    char *text =
        r->error.status == TG_OK ? tg_json_text(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    if (text) write_page(r, text, path);
    else no_memory(r);
    tg_json_free(text);
    json_decref(root);
    return r->error.status;
}
