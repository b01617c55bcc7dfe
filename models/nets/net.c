/* Models described by text. */
#define TG_HERE where
#include <string.h>

#include "../data/json.h"
#include "../data/safetensors.h"
#include "../training/metadata.h"
#include "mlp.h"

typedef struct net {
    tg_model model;
    tg_layers *layers;
} net;

static void free_net(tg_model *m)
{
    net *y = m->net;
    tg_params *ps = m->params;
    const tg_allocator a = m->allocator;
    tg_layers_free(y->layers);
    tg_model_end(m);
    tg_params_free(ps);
    tg_release(&a, y, sizeof *y);
}

/* A net in error until it is built; NULL: no memory. */
static net *blank(const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    net *y = tg_allocate(&a, sizeof *y);
    if (!y) return NULL;
    memset(y, 0, sizeof *y);
    tg_model_begin(&y->model, "net", &a);
    y->model.net = y;
    y->model.free_net = free_net;
    return y;
}

static tg_tensor *output(tg_tape *t, void *user, const tg_batch *batch)
{
    const net *y = user;
    return tg_layers_apply_at(t, NULL, y->layers, batch->x);
}

static tg_status take(tg_model *m, tg_status status, const char *message)
{
    return tg_error_set(&m->error, NULL, NULL, status, "%s", message);
}

/* The layers of a net whose schema and head are known. */
static tg_status make(net *y, const char *layers, const tg_net_options *o)
{
    tg_model *m = &y->model;
    const tg_params_options options = {
        .size = sizeof options, .allocator = &m->allocator, .seed = o->seed};
    m->params = tg_params_new(&options);
    m->layers = tg_arena_text(&m->arena, layers, strlen(layers));
    if (!m->params || !m->layers) return tg_model_fail(m, TG_ENOMEM, "no memory");
    tg_scope scope = tg_scope_root(m->params);
    scope.dtype = o->dtype;
    const int64_t outputs = tg_model_outputs(m);
    y->layers = tg_layers_parse(scope, layers, TG_SHAPE(m->schema.features), outputs);
    if (tg_layers_status(y->layers) != TG_OK)
        return take(m, tg_layers_status(y->layers), tg_layers_message(y->layers));
    const tg_shape shape = tg_layers_shape(y->layers);
    if (!tg_shape_equal(shape, TG_SHAPE(outputs)))
        return tg_model_fail(m, TG_ESHAPE,
                             "the layers end with rows of %s where the loss %s wants %lld numbers: "
                             "a last layer 'linear' gives them",
                             tg_shape_text(shape).text, tg_head_name(m->head), (long long)outputs);
    m->output = output;
    m->dtype = o->dtype;
    m->seed = o->seed;
    m->scaling = (tg_scaling){.known = o->no_standardize, .target_std = 1};
    m->built = true;
    return TG_OK;
}

static tg_status check(tg_model *m, const char *layers, const tg_net_options *o)
{
    if (!layers) return tg_model_fail(m, TG_ENULL, "the text of the layers is NULL");
    if ((unsigned)o->head >= TG_HEAD_CUSTOM)
        return tg_model_fail(m, TG_EVALUE, "options.head is none that a net from text can have");
    if (o->dtype != TG_F32 && o->dtype != TG_F64)
        return tg_model_fail(m, TG_EDTYPE, "options.dtype is neither f32 nor f64");
    return tg_model_take_threads(m, o->threads) ? TG_OK : m->error.status;
}

static tg_status build(net *y, const tg_schema *schema, const char *layers, const tg_net_options *o)
{
    tg_model *m = &y->model;
    if (check(m, layers, o) != TG_OK || tg_model_take_head(m, schema, o->head) != TG_OK)
        return m->error.status;
    if (!tg_schema_copy(&m->schema, &m->arena, schema))
        return tg_model_fail(m, TG_ENOMEM, "no memory");
    return make(y, layers, o);
}

tg_model *tg_net_new(const tg_dataset *data, const char *layers, const tg_net_options *given)
{
    tg_net_options o;
    const bool readable = tg_options_read(&o, sizeof o, given);
    net *y = blank(readable ? o.allocator : NULL);
    if (!y) return NULL;
    tg_model *m = &y->model;
    if (!readable) tg_model_fail(m, TG_EVALUE, TG_UNSIZED(tg_net_options));
    else if (!data) tg_model_fail(m, TG_ENULL, "the data set is NULL");
    else if (tg_dataset_status(data) != TG_OK)
        take(m, tg_dataset_status(data), tg_dataset_message(data));
    else if (!data->filled) tg_model_fail(m, TG_ESTATE, "the data set is empty");
    else build(y, &data->schema, layers, &o);
    return m;
}

const char *tg_net_layers(const tg_model *m) { return m ? m->layers : NULL; }

/* ---------------------------------------------------------------- files */

/* What a file says must be known before a net can be made, which then loads it. */
static bool make_for(net *y, tg_safetensors *file, const char *path)
{
    tg_model *m = &y->model;
    tg_metadata texts = {.json = json_object_get(file->json, "__metadata__"),
                         .path = path,
                         .error = &m->error,
                         .arena = &m->arena};
    tg_schema schema;
    tg_net_options o = {.size = sizeof o};
    const char *layers = NULL;
    bool ok = tg_safetensors_check_seal(file) && (layers = tg_metadata_text(&texts, "layers")) &&
              tg_metadata_schema(&texts, false, &schema, &o.head) &&
              tg_metadata_number(&texts, "seed", &o.seed);
    if (ok) {
        o.dtype = file->count && !strcmp(file->list[0].dtype, "F64") ? TG_F64 : TG_F32;
        tg_error reason = {TG_OK, ""};
        if (build(y, &schema, layers, &o) != TG_OK) {
            reason = m->error;
            m->error = (tg_error){TG_OK, ""};
            tg_error_set(&m->error, NULL, path, reason.status == TG_ENOMEM ? TG_ENOMEM : TG_EFORMAT,
                         "%s", reason.message);
        }
    }
    tg_metadata_free(&texts);
    return ok && m->error.status == TG_OK;
}

static void load_net(net *y, const char *path)
{
    tg_model *m = &y->model;
    tg_safetensors file;
    if (!tg_safetensors_open(&file, path, &m->allocator, &m->error)) return;
    const bool ok = make_for(y, &file, path);
    tg_safetensors_close(&file);
    if (ok && tg_model_load(m, path) != TG_OK) m->built = false;
}

/* The format that a file names; "" when it can't be read. */
static void format_of(const char *path, const tg_allocator *a, char *format, size_t room)
{
    tg_safetensors file;
    tg_error e = {TG_OK, ""};
    *format = 0;
    if (!tg_safetensors_open(&file, path, a, &e)) return;
    const char *text = tg_safetensors_text(&file, "format");
    if (text && strlen(text) < room) memcpy(format, text, strlen(text) + 1);
    tg_safetensors_close(&file);
}

tg_model *tg_model_open(const char *path, const tg_allocator *allocator)
{
    char format[64] = "";
    const tg_allocator a = tg_allocator_or_default(allocator);
    if (path) format_of(path, &a, format, sizeof format);
    /* Whatever is no net from text gets the other reader's reasons. */
    if (strcmp(format, tg_net_format) != 0) return tg_mlp_model(tg_mlp_load(path, allocator));
    net *y = blank(allocator);
    if (y) load_net(y, path);
    return y ? &y->model : NULL;
}
