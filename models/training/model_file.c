/* Models as files: their parameters under their own names, and what else a prediction needs in the
 * metadata, sealed. */
#include <string.h>

#include "../../graph/params.h"
#include "../../graph/text.h"
#include "../data/safetensors.h"
#include "metadata.h"

static const char model_format[] = "tapegrad-model-1";
const char tg_net_format[] = "tapegrad-net-1";

static const char *format_of(const tg_model *m) { return m->layers ? tg_net_format : model_format; }
static const char *version_of(const tg_model *m) { return m->version ? m->version : ""; }

/* ---------------------------------------------------------------- saving */

static json_t *texts_of(const tg_model *m)
{
    json_t *y = json_object();
    bool ok = y && tg_metadata_put_text(y, "format", format_of(m)) &&
              tg_metadata_put_text(y, "name", m->name) &&
              tg_metadata_put_text(y, "version", version_of(m));
    if (m->layers) ok = ok && tg_metadata_put_text(y, "layers", m->layers);
    if (ok && tg_metadata_put_model(y, m)) return y;
    json_decref(y);
    return NULL;
}

static tg_status fail(tg_model *m, const char *path, tg_status status, const char *what)
{
    return tg_error_set(&m->error, NULL, path, status, "%s", what);
}

tg_status tg_model_save(tg_model *m, const char *path)
{
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    if (!path) return fail(m, "save", TG_ENULL, "path is NULL");
    if (m->save) return m->save(m, path);
    if (!m->schema.features)
        return fail(m, path, TG_ESTATE,
                    "the model has met no data, which says what its columns mean");
    if (!tg_utf8(m->name, strlen(m->name)) || !tg_utf8(version_of(m), strlen(version_of(m))))
        return fail(m, path, TG_EVALUE, "the model's name or version is not UTF-8");
    const tg_params *ps = m->params;
    json_t *texts = texts_of(m);
    tg_written *list = tg_allocate(&m->allocator, ps->count * sizeof *list);
    if (list && texts) {
        for (size_t k = 0; k < ps->count; k++)
            list[k] = (tg_written){ps->list[k]->name, ps->list[k]->dtype, ps->list[k]->shape,
                                   ps->list[k]->value};
        tg_safetensors_write_sealed(path, ps->count, list, texts, &m->error);
    } else {
        json_decref(texts);
        fail(m, path, TG_ENOMEM, "no memory to save the model");
    }
    if (list) tg_release(&m->allocator, list, ps->count * sizeof *list);
    return m->error.status;
}

/* ---------------------------------------------------------------- loading */

typedef struct loader {
    tg_model *m;
    tg_safetensors file;
    tg_metadata metadata;
    void *buffer; /* room for the largest parameter */
    size_t bytes;
} loader;

static bool same_text(const loader *l, const char *key, const char *wanted)
{
    const char *text = tg_metadata_text(&l->metadata, key);
    return text && (!strcmp(text, wanted) ||
                    tg_metadata_bad(&l->metadata, "its %s is '%.80s' where the model's is '%.80s'",
                                    key, text, wanted));
}

static bool other_data(const loader *l, const char *what, const char *there, const char *here)
{
    return tg_metadata_bad(&l->metadata, "its %s is '%.60s' where the model's is '%.60s'", what,
                           there, here);
}

/* A model that has met data must be of the same. */
static bool fits(const loader *l, const tg_schema *s)
{
    const tg_schema *own = &l->m->schema;
    if (s->features != own->features || s->classes != own->classes || s->task != own->task ||
        s->pixels != own->pixels)
        return tg_metadata_bad(&l->metadata,
                               "it has met other data than the model: %lld features "
                               "and %lld classes, not %lld and %lld",
                               (long long)s->features, (long long)s->classes,
                               (long long)own->features, (long long)own->classes);
    for (int64_t k = 0; k < s->features; k++)
        if (strcmp(s->name[k], own->name[k]) != 0)
            return other_data(l, "feature", s->name[k], own->name[k]);
    for (int64_t k = 0; k < s->classes; k++)
        if (strcmp(s->label[k], own->label[k]) != 0)
            return other_data(l, "label", s->label[k], own->label[k]);
    return true;
}

static bool take_schema(loader *l)
{
    tg_model *m = l->m;
    tg_schema s;
    tg_head head;
    if (!tg_metadata_schema(&l->metadata, true, &s, &head) ||
        !tg_metadata_unlike(&l->metadata, &m->allocator, &s))
        return false;
    if (m->head != TG_HEAD_AUTO && m->head != head)
        return other_data(l, "loss", tg_head_name(head), tg_head_name(m->head));
    if (m->schema.features && !fits(l, &s)) return false;
    tg_schema copy = m->schema;
    if (!m->schema.features && !tg_schema_copy(&copy, &m->arena, &s))
        return tg_metadata_no_memory(&l->metadata);
    m->schema = copy;
    m->head = head;
    return true;
}

/* Everything about the tensors is checked before the first parameter changes. */
static bool check_tensors(loader *l)
{
    const tg_params *ps = l->m->params;
    for (size_t k = 0; k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        const int64_t at = tg_safetensors_find(&l->file, p->name);
        if (at < 0) return tg_metadata_bad(&l->metadata, "there is no tensor '%.60s'", p->name);
        if (!tg_safetensors_has_shape(&l->file, at, p->shape) ||
            strcmp(l->file.list[at].dtype, p->dtype == TG_F64 ? "F64" : "F32") != 0)
            return tg_metadata_bad(&l->metadata, "tensor '%.60s' is not %s %s, as the parameter is",
                                   p->name, tg_dtype_name(p->dtype), tg_shape_text(p->shape).text);
        l->bytes = p->bytes > l->bytes ? p->bytes : l->bytes;
    }
    return l->file.count == ps->count ||
           tg_metadata_bad(&l->metadata, "there are tensors that do not belong to the model");
}

static bool read_tensors(loader *l)
{
    const tg_params *ps = l->m->params;
    for (size_t k = 0; k < ps->count; k++) {
        tg_param *p = ps->list[k];
        const int64_t at = tg_safetensors_find(&l->file, p->name);
        if (!tg_safetensors_read(&l->file, at, p->dtype, l->buffer)) return false;
        if (p->bytes) memcpy(p->value, l->buffer, p->bytes);
        tg_param_changed(p);
    }
    return true;
}

static bool load(loader *l)
{
    tg_model *m = l->m;
    uint64_t seed, steps, rounds;
    if (!tg_safetensors_text(&l->file, "format"))
        return tg_metadata_bad(
            &l->metadata, "not a tapegrad model: the header has no __metadata__ with a format");
    if (!same_text(l, "format", format_of(m)) || !tg_safetensors_check_seal(&l->file) ||
        !same_text(l, "name", m->name) || !same_text(l, "version", version_of(m)) ||
        (m->layers && !same_text(l, "layers", m->layers)) || !check_tensors(l) ||
        !tg_metadata_number(&l->metadata, "seed", &seed) ||
        !tg_metadata_number(&l->metadata, "steps", &steps) ||
        !tg_metadata_number(&l->metadata, "rounds", &rounds))
        return false;
    l->buffer = tg_allocate(&m->allocator, l->bytes);
    if (!l->buffer) return tg_metadata_no_memory(&l->metadata);
    if (!take_schema(l) || !tg_metadata_scaling(&l->metadata, m) || !read_tensors(l)) return false;
    m->seed = seed;
    m->steps = steps;
    m->rounds = rounds;
    return true;
}

tg_status tg_model_load(tg_model *m, const char *path)
{
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    if (!path) return fail(m, "load", TG_ENULL, "path is NULL");
    loader l = {.m = m};
    if (!tg_safetensors_open(&l.file, path, &m->allocator, &m->error)) return m->error.status;
    l.metadata = (tg_metadata){.json = json_object_get(l.file.json, "__metadata__"),
                               .path = path,
                               .error = &m->error,
                               .arena = &m->arena};
    load(&l);
    tg_metadata_free(&l.metadata);
    if (l.buffer) tg_release(&m->allocator, l.buffer, l.bytes);
    tg_safetensors_close(&l.file);
    return m->error.status;
}
