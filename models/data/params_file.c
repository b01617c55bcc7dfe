/* Parameters as plain safetensors files: any program's, and sharded ones with their index. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/models.h>

#include "../../graph/file.h"
#include "../../graph/params.h"
#include "../../graph/text.h"
#include "json.h"
#include "safetensors.h"
#include "whole_file.h"

enum { MOST_HEADER = 100000000 };

static tg_status fail(tg_params *ps, const char *path, tg_status status, const char *what)
{
    return tg_error_set(&ps->error, NULL, path, status, "%s", what);
}

/* The options, and whether the call can go on. */
static bool begin(tg_params *ps, const char *path, const tg_params_file_options *given,
                  tg_params_file_options *o)
{
    if (!ps || ps->error.status != TG_OK) return false;
    if (!path) return fail(ps, "params", TG_ENULL, "path is NULL"), false;
    return tg_options_read(o, sizeof *o, given) ||
           (fail(ps, "params", TG_EVALUE, TG_UNSIZED(tg_params_file_options)), false);
}

static const char *stored_name(const tg_params_file_options *o, const tg_param *p)
{
    return o->name ? o->name(p->name, o->user) : p->name;
}

/* ---------------------------------------------------------------- saving */

/* What is stored of each parameter, under a name that lives in the arena; *n of them. NULL after an
 * error. */
static tg_written *written(tg_params *ps, const char *path, const tg_params_file_options *o,
                           tg_arena *arena, size_t *n)
{
    tg_written *list = tg_arena_take(arena, ps->count * sizeof *list);
    for (size_t k = 0; list && k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        const char *name = stored_name(o, p);
        if (!name) continue;
        if (!tg_utf8(name, strlen(name)))
            return tg_error_set(&ps->error, NULL, path, TG_EVALUE,
                                "the name given to parameter '%s' is not UTF-8", p->name),
                   NULL;
        const char *kept = tg_arena_text(arena, name, strlen(name));
        if (!kept) list = NULL;
        else list[(*n)++] = (tg_written){kept, p->dtype, p->shape, p->value};
    }
    if (!list) fail(ps, path, TG_ENOMEM, "no memory to save it");
    return list;
}

tg_status tg_params_save(tg_params *ps, const char *path, const tg_params_file_options *options)
{
    tg_params_file_options o;
    if (!begin(ps, path, options, &o)) return tg_params_status(ps);
    size_t n = 0;
    tg_arena arena;
    tg_arena_init(&arena, &ps->allocator);
    const tg_written *list = written(ps, path, &o, &arena, &n);
    if (list) tg_safetensors_write(path, n, list, NULL, &ps->error);
    tg_arena_free(&arena);
    return ps->error.status;
}

/* ---------------------------------------------------------------- loading */

/* Parameters and where they are stored. */
typedef struct loader {
    tg_params *ps;
    const tg_params_file_options *o;
    const char *path;
    json_t *shard_of; /* of an index: from names to file names; NULL: one file */
    bool *found;      /* of each parameter */
    size_t largest;   /* bytes of the largest parameter */
} loader;

/* What a file must be for its tensors to become these parameters; nothing is changed yet. */
static bool check_file(loader *l, tg_safetensors *s, const char *shard)
{
    size_t wanted = 0;
    tg_error *e = &l->ps->error;
    for (size_t k = 0; k < l->ps->count; k++) {
        const tg_param *p = l->ps->list[k];
        const char *name = stored_name(l->o, p);
        const char *there =
            name && l->shard_of ? json_string_value(json_object_get(l->shard_of, name)) : shard;
        if (!name || (l->shard_of && (!there || strcmp(there, shard) != 0))) continue;
        const int64_t at = tg_safetensors_find(s, name);
        if (at < 0 && (l->shard_of || !l->o->partial))
            return tg_error_set(e, NULL, s->path, TG_EFORMAT, "there is no tensor '%.60s'", name),
                   false;
        if (at < 0) continue;
        if (!tg_safetensors_has_shape(s, at, p->shape))
            return tg_error_set(e, NULL, s->path, TG_ESHAPE,
                                "tensor '%.60s' does not have the parameter's shape %s", name,
                                tg_shape_text(p->shape).text),
                   false;
        l->found[k] = true;
        wanted++;
    }
    if (l->o->partial || l->shard_of || wanted == s->count) return true;
    return tg_error_set(e, NULL, s->path, TG_EFORMAT,
                        "%zu tensors belong to no parameter; partial loading leaves them",
                        s->count - wanted),
           false;
}

static bool read_file(loader *l, tg_safetensors *s, const char *shard, void *buffer)
{
    for (size_t k = 0; k < l->ps->count; k++) {
        tg_param *p = l->ps->list[k];
        const char *name = l->found[k] ? stored_name(l->o, p) : NULL;
        if (!name || (l->shard_of &&
                      strcmp(json_string_value(json_object_get(l->shard_of, name)), shard) != 0))
            continue;
        if (!tg_safetensors_read(s, tg_safetensors_find(s, name), p->dtype, buffer)) return false;
        if (tg_param_write(tg_param_handle(p), buffer) != TG_OK)
            return fail(l->ps, s->path, TG_ENOMEM, "no memory"), false;
    }
    return true;
}

/* The path of a shard, which lies beside its index; false: its name leads elsewhere. */
static bool shard_path(const loader *l, const char *shard, char path[TG_FILE_PATH])
{
    if (!l->shard_of) return snprintf(path, TG_FILE_PATH, "%s", l->path) < TG_FILE_PATH;
    const char *slash = strrchr(l->path, '/');
    const int folder = slash ? (int)(slash - l->path) + 1 : 0;
    return *shard && !strchr(shard, '/') &&
           snprintf(path, TG_FILE_PATH, "%.*s%s", folder, l->path, shard) < TG_FILE_PATH;
}

/* Checks one file, or reads it when there is a buffer. */
static bool visit_file(loader *l, const char *shard, void *buffer)
{
    char path[TG_FILE_PATH];
    tg_safetensors s;
    if (!shard_path(l, shard, path))
        return fail(l->ps, l->path, TG_EFORMAT, "a shard's name is no file name"), false;
    if (!tg_safetensors_open(&s, path, &l->ps->allocator, &l->ps->error)) return false;
    const bool ok = buffer ? read_file(l, &s, shard, buffer) : check_file(l, &s, shard);
    tg_safetensors_close(&s);
    return ok;
}

/* Every file that holds parameters, once. */
static bool visit(loader *l, void *buffer)
{
    if (!l->shard_of) return visit_file(l, "", buffer);
    tg_texts shards = {.allocator = &l->ps->allocator};
    const char *name;
    json_t *shard;
    bool ok = true;
    json_object_foreach(l->shard_of, name,
                        shard) if (ok && tg_texts_add(&shards, json_string_value(shard),
                                                      json_string_length(shard)) < 0) ok =
        (fail(l->ps, l->path, TG_ENOMEM, "no memory"), false);
    for (size_t k = 0; ok && k < shards.count; k++)
        ok = visit_file(l, tg_texts_get(&shards, (int64_t)k), buffer);
    tg_texts_free(&shards);
    return ok;
}

static bool check_found(loader *l)
{
    for (size_t k = 0; k < l->ps->count; k++) {
        const tg_param *p = l->ps->list[k];
        if (p->bytes > l->largest) l->largest = p->bytes;
        if (!l->found[k] && !l->o->partial && stored_name(l->o, p))
            return tg_error_set(&l->ps->error, NULL, l->path, TG_EFORMAT,
                                "there is no tensor '%.60s'", stored_name(l->o, p)),
                   false;
    }
    return true;
}

/* Checks everything, then reads everything. */
static void load(loader *l)
{
    const tg_allocator *a = &l->ps->allocator;
    l->found = tg_allocate(a, l->ps->count * sizeof *l->found);
    if (!l->found) {
        fail(l->ps, l->path, TG_ENOMEM, "no memory");
        return;
    }
    memset(l->found, 0, l->ps->count * sizeof *l->found);
    if (visit(l, NULL) && check_found(l)) {
        void *buffer = tg_allocate(a, l->largest);
        if (buffer) visit(l, buffer);
        else fail(l->ps, l->path, TG_ENOMEM, "no memory");
        tg_release(a, buffer, l->largest);
    }
    tg_release(a, l->found, l->ps->count * sizeof *l->found);
}

/* An index: {"metadata": ..., "weight_map": {NAME: FILE, ...}}. NULL after an error. */
static json_t *read_index(tg_params *ps, const char *path)
{
    size_t bytes;
    json_error_t e = {.text = "too long"};
    char *text = tg_whole_file_read(path, &ps->allocator, &bytes, &ps->error);
    if (!text) return NULL;
    json_t *index =
        bytes <= MOST_HEADER ? tg_json_read(text, bytes, JSON_REJECT_DUPLICATES, &e) : NULL;
    tg_release(&ps->allocator, text, bytes);
    if (!index && tg_json_no_memory(&e)) {
        fail(ps, path, TG_ENOMEM, "no memory to read it");
        return NULL;
    }
    json_t *map = json_object_get(index, "weight_map"), *file;
    const char *name;
    bool ok = json_is_object(map);
    json_object_foreach(map, name, file) ok =
        ok && json_is_string(file) && *json_string_value(file);
    if (!ok)
        fail(ps, path, TG_EFORMAT,
             "not an index of safetensors files: it has no weight_map from names to files");
    if (ok) json_incref(map);
    json_decref(index);
    return ok ? map : NULL;
}

tg_status tg_params_load(tg_params *ps, const char *path, const tg_params_file_options *options)
{
    tg_params_file_options o;
    if (!begin(ps, path, options, &o)) return tg_params_status(ps);
    const size_t n = strlen(path);
    loader l = {.ps = ps, .o = &o, .path = path};
    const bool index = n > 5 && !strcmp(path + n - 5, ".json");
    if (index) l.shard_of = read_index(ps, path);
    if (!index || l.shard_of) load(&l);
    json_decref(l.shard_of);
    return ps->error.status;
}
