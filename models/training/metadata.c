/* What a model is as texts in the metadata of a file. */
#include "metadata.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../data/texts.h"

/* ---------------------------------------------------------------- writing */

bool tg_metadata_put_json(json_t *metadata, const char *key, json_t *value)
{
    char *text = tg_json_text(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const bool ok = text && json_object_set_new(metadata, key, json_string(text)) == 0;
    tg_json_free(text);
    json_decref(value);
    return ok;
}

bool tg_metadata_put_text(json_t *metadata, const char *key, const char *text)
{
    return json_object_set_new(metadata, key, json_string(text)) == 0;
}

bool tg_metadata_put_number(json_t *metadata, const char *key, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return tg_metadata_put_text(metadata, key, text);
}

/* Appends value, which is taken over; NULL and a list that can't grow give up the list. */
static json_t *append(json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) == 0) return list;
    json_decref(list);
    return NULL;
}

static json_t *text_list(const char *const *text, int64_t n)
{
    json_t *list = json_array();
    for (int64_t k = 0; list && k < n; k++)
        list = append(list, text[k] ? json_string(text[k]) : json_null());
    return list;
}

json_t *tg_metadata_sizes(const int64_t *size, int64_t n)
{
    json_t *list = json_array();
    for (int64_t k = 0; list && k < n; k++) list = append(list, json_integer(size[k]));
    return list;
}

static json_t *real_list(const double *x, int64_t n)
{
    if (!x) return json_null();
    json_t *list = json_array();
    for (int64_t k = 0; list && k < n; k++)
        list = append(list, isnan(x[k]) ? json_null() : json_real(x[k]));
    return list;
}

static json_t *scaling_object(const tg_model *m)
{
    const tg_scaling *s = &m->scaling;
    if (!s->known) return json_null();
    return json_pack("{s:o, s:o, s:f, s:f}", "mean", real_list(s->mean, m->schema.features), "std",
                     real_list(s->std, m->schema.features), "target_mean", s->target_mean,
                     "target_std", s->target_std);
}

bool tg_metadata_put_model(json_t *y, const tg_model *m)
{
    const tg_schema *s = &m->schema;
    bool ok = tg_metadata_put_text(y, "task", tg_task_name(s->task)) &&
              tg_metadata_put_text(y, "loss", tg_head_name(m->head)) &&
              tg_metadata_put_json(y, "features", text_list(s->name, s->features)) &&
              tg_metadata_put_json(y, "pixels", json_boolean(s->pixels)) &&
              tg_metadata_put_text(y, "target", s->target) &&
              tg_metadata_put_json(y, "labels", text_list(s->label, s->classes)) &&
              tg_metadata_put_json(y, "standardization", scaling_object(m));
    if (s->column)
        ok = ok && tg_metadata_put_json(y, "columns", text_list(s->column, s->features)) &&
             tg_metadata_put_json(y, "levels", text_list(s->level, s->features));
    if (s->fill) ok = ok && tg_metadata_put_json(y, "fill", real_list(s->fill, s->features));
    return ok && tg_metadata_put_number(y, "seed", m->seed) &&
           tg_metadata_put_number(y, "steps", m->steps) &&
           tg_metadata_put_number(y, "rounds", m->rounds);
}

/* ---------------------------------------------------------------- reading */

bool tg_metadata_bad(const tg_metadata *y, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(y->error, NULL, y->path, TG_EFORMAT, format, arguments);
    va_end(arguments);
    return false;
}

bool tg_metadata_no_memory(const tg_metadata *y)
{
    tg_error_set(y->error, NULL, y->path, TG_ENOMEM, "no memory to load the model");
    return false;
}

const char *tg_metadata_text(const tg_metadata *l, const char *key)
{
    const char *text = json_string_value(json_object_get(l->json, key));
    if (!text) tg_metadata_bad(l, "the metadata has no text '%s'", key);
    return text;
}

json_t *tg_metadata_json(const tg_metadata *l, const char *key)
{
    json_error_t e;
    const char *text = tg_metadata_text(l, key);
    json_t *y = text
                    ? tg_json_read(text, strlen(text), JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e)
                    : NULL;
    if (text && !y && tg_json_no_memory(&e)) tg_metadata_no_memory(l);
    else if (text && !y) tg_metadata_bad(l, "metadata '%s' is not JSON: %s", key, e.text);
    return y;
}

bool tg_metadata_number(const tg_metadata *l, const char *key, uint64_t *y)
{
    char *end = NULL;
    const char *text = tg_metadata_text(l, key);
    if (!text) return false;
    errno = 0;
    *y = strtoull(text, &end, 10);
    return (*text && strspn(text, "0123456789") == strlen(text) && !errno) ||
           tg_metadata_bad(l, "metadata '%s' is not a number", key);
}

/* n texts, and where `gaps` allows them nulls, which become NULL. */
static bool get_text_list(tg_metadata *l, const char *key, bool gaps, const char ***texts,
                          size_t *n)
{
    json_t *list = tg_metadata_json(l, key);
    if (!list) return false;
    l->list[l->lists++] = list;
    if (!json_is_array(list)) return tg_metadata_bad(l, "metadata '%s' is not a list", key);
    *n = json_array_size(list);
    *texts = tg_arena_take(l->arena, *n * sizeof **texts);
    if (!*texts) return tg_metadata_no_memory(l);
    for (size_t k = 0; k < *n; k++) {
        const json_t *text = json_array_get(list, k);
        (*texts)[k] = json_string_value(text);
        if (!(*texts)[k] && !(gaps && json_is_null(text)))
            return tg_metadata_bad(l, "metadata '%s' holds something that is no text", key);
    }
    return true;
}

/* n finite numbers */
static bool get_real_list(const tg_metadata *l, const char *key, const json_t *list, bool positive,
                          size_t n, double *y)
{
    if (!json_is_array(list) || json_array_size(list) != n)
        return tg_metadata_bad(l, "the standardization's '%s' is not a list of %zu numbers", key,
                               n);
    for (size_t k = 0; k < n; k++) {
        const json_t *x = json_array_get(list, k);
        if (!json_is_number(x) || (positive && !(json_number_value(x) >= DBL_MIN)))
            return tg_metadata_bad(l, "the standardization's '%s' holds a wrong number", key);
        y[k] = json_number_value(x);
    }
    return true;
}

/* Which columns and texts the features come from; only a model that needs to know has these. */
static bool read_columns(tg_metadata *l, tg_schema *s)
{
    if (!json_object_get(l->json, "columns")) return true;
    const size_t n = (size_t)s->features;
    size_t columns, levels;
    if (!get_text_list(l, "columns", false, &s->column, &columns) ||
        !get_text_list(l, "levels", true, &s->level, &levels))
        return false;
    if (columns != n || levels != n)
        return tg_metadata_bad(l, "there is not one column and level for each feature");
    for (size_t k = 0; k < n; k++)
        if (!s->level[k] && strcmp(s->column[k], s->name[k]) != 0)
            return tg_metadata_bad(l, "feature '%.60s' is the number of another column",
                                   s->name[k]);
    return true;
}

static bool read_fill(tg_metadata *l, tg_schema *s)
{
    if (!json_object_get(l->json, "fill")) return true;
    const size_t n = (size_t)s->features;
    json_t *list = tg_metadata_json(l, "fill");
    double *fill = tg_arena_take(l->arena, n * sizeof *fill);
    bool ok = list && (fill || tg_metadata_no_memory(l));
    if (ok && (!json_is_array(list) || json_array_size(list) != n))
        ok = tg_metadata_bad(l, "metadata 'fill' is not a list of %zu numbers", n);
    for (size_t k = 0; ok && k < n; k++) {
        const json_t *x = json_array_get(list, k);
        fill[k] = json_is_null(x) ? NAN : json_number_value(x);
        if (!json_is_null(x) && !json_is_number(x))
            ok = tg_metadata_bad(l, "metadata 'fill' holds something that is no number");
    }
    json_decref(list);
    s->fill = fill;
    return ok;
}

static bool head_fits(const tg_schema *s, tg_head head, bool custom)
{
    const bool cross_entropy = head == TG_HEAD_CROSS_ENTROPY,
               own = custom && head == TG_HEAD_CUSTOM;
    if (s->task == TG_TASK_REGRESSION) return s->classes == 0 && (head == TG_HEAD_MSE || own);
    if (s->task == TG_TASK_BINARY)
        return s->classes == 2 && (head == TG_HEAD_BCE || cross_entropy || own);
    return s->task == TG_TASK_MULTICLASS && s->classes >= 2 && (cross_entropy || own);
}

bool tg_metadata_schema(tg_metadata *l, bool custom, tg_schema *s, tg_head *head)
{
    const char *task = tg_metadata_text(l, "task"), *loss = tg_metadata_text(l, "loss");
    json_t *pixels = tg_metadata_json(l, "pixels");
    size_t features, classes;
    *s = (tg_schema){.task = tg_task_of(task),
                     .pixels = json_is_true(pixels),
                     .target = tg_metadata_text(l, "target")};
    *head = tg_head_of(loss);
    json_decref(pixels);
    if (!task || !loss || !pixels || !s->target) return false;
    if (!get_text_list(l, "features", false, &s->name, &features) ||
        !get_text_list(l, "labels", false, &s->label, &classes))
        return false;
    s->features = (int64_t)features;
    s->classes = (int64_t)classes;
    if (!head_fits(s, *head, custom))
        return tg_metadata_bad(
            l, "task '%.60s', loss '%.60s' and %" PRId64 " labels do not fit together", task, loss,
            s->classes);
    return s->features > 0 ? read_columns(l, s) && read_fill(l, s)
                           : tg_metadata_bad(l, "the model has no features");
}

static bool get_scaling(const tg_metadata *l, tg_model *m, const json_t *json)
{
    tg_scaling *s = &m->scaling;
    const size_t n = (size_t)m->schema.features;
    const json_t *mean = json_object_get(json, "mean"), *std = json_object_get(json, "std");
    const json_t *target_mean = json_object_get(json, "target_mean"),
                 *target_std = json_object_get(json, "target_std");
    if (!json_is_number(target_mean) || !json_is_number(target_std) ||
        !(json_number_value(target_std) >= DBL_MIN))
        return tg_metadata_bad(l, "the standardization has no target_mean and target_std");
    *s = (tg_scaling){.known = true,
                      .target_mean = json_number_value(target_mean),
                      .target_std = json_number_value(target_std)};
    if (json_is_null(mean) && json_is_null(std)) return true;
    if (!tg_scaling_reserve(m)) return tg_metadata_no_memory(l);
    return get_real_list(l, "mean", mean, false, n, s->mean) &&
           get_real_list(l, "std", std, true, n, s->std);
}

bool tg_metadata_scaling(const tg_metadata *l, tg_model *m)
{
    json_t *json = tg_metadata_json(l, "standardization");
    if (!json) return false;
    m->scaling = (tg_scaling){.target_std = 1};
    const bool ok = json_is_null(json) || get_scaling(l, m, json);
    json_decref(json);
    return ok;
}

static bool unlike(const tg_metadata *l, const tg_allocator *a, const char *what,
                   const char *const *text, int64_t n)
{
    tg_texts set = {.allocator = a};
    bool ok = true;
    for (int64_t k = 0; ok && k < n; k++) {
        const int64_t number = tg_texts_add(&set, text[k], strlen(text[k]));
        if (number < 0) ok = tg_metadata_no_memory(l);
        else if (number != k)
            ok = tg_metadata_bad(l, "%s %lld and %lld are both '%.60s'", what, (long long)number,
                                 (long long)k, text[k]);
    }
    tg_texts_free(&set);
    return ok;
}

bool tg_metadata_unlike(const tg_metadata *l, const tg_allocator *a, const tg_schema *s)
{
    return unlike(l, a, "features", s->name, s->features) &&
           unlike(l, a, "labels", s->label, s->classes);
}

void tg_metadata_free(tg_metadata *l)
{
    for (int k = 0; k < l->lists; k++) json_decref(l->list[k]);
    l->lists = 0;
}
