/* The multilayer net: making it and recording it. */
#define TG_HERE where
#include "mlp.h"

#include "../layers/activation_name.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- making a net */

static void free_net(tg_model *m) { tg_mlp_free(m->net); }
static tg_status save(tg_model *m, const char *path) { return tg_mlp_save(m->net, path); }

tg_mlp *tg_mlp_blank(const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_mlp *m = tg_allocate(&a, sizeof *m);
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    tg_model_begin(&m->model, "mlp", &a);
    m->model.net = m;
    m->model.free_net = free_net;
    m->model.save = save;
    return m;
}

void tg_mlp_free(tg_mlp *m)
{
    if (!m) return;
    tg_params *ps = m->model.params;
    const tg_allocator a = m->model.allocator;
    tg_model_end(&m->model);
    tg_params_free(ps);
    tg_release(&a, m, sizeof *m);
}

/* Sizes, activation and numbers of the options. */
static tg_status check(tg_model *m, const tg_mlp_options *o)
{
    enum { MOST_LAYERS = 1000 };
    if (o->n_hidden < 0 || o->n_hidden > MOST_LAYERS)
        return tg_model_fail(m, TG_EVALUE, "%d hidden layers are not in 0..%d", o->n_hidden,
                             MOST_LAYERS);
    if (o->n_hidden && !o->hidden)
        return tg_model_fail(m, TG_ENULL, "hidden, the layers' sizes, is NULL");
    for (int k = 0; k < o->n_hidden; k++)
        if (o->hidden[k] < 1 || o->hidden[k] > INT32_MAX)
            return tg_model_fail(m, TG_ESHAPE, "hidden layer %d of size %lld", k,
                                 (long long)o->hidden[k]);
    if (o->inputs < 1 || o->inputs > INT32_MAX)
        return tg_model_fail(m, TG_ESHAPE, "%lld inputs", (long long)o->inputs);
    if (o->outputs < 1 || o->outputs > INT32_MAX)
        return tg_model_fail(m, TG_ESHAPE, "%lld outputs", (long long)o->outputs);
    if (!tg_activation_find(o->activation))
        return tg_model_fail(m, TG_EVALUE, "activation '%.60s' is none of %s", o->activation,
                             tg_activation_names());
    if (!(o->dropout >= 0 && o->dropout <= 1))
        return tg_model_fail(m, TG_EVALUE, "dropout %g is not in 0..1", o->dropout);
    return tg_model_take_threads(m, o->threads) ? TG_OK : m->error.status;
}

static tg_status no_memory(tg_model *m) { return tg_model_fail(m, TG_ENOMEM, "no memory"); }

/* The parameters, layer after layer. */
static tg_status make_layers(tg_mlp *net, int64_t in, int64_t outputs)
{
    tg_model *m = &net->model;
    const tg_params_options options = {
        .size = sizeof options, .allocator = &m->allocator, .seed = m->seed};
    m->params = tg_params_new(&options);
    net->layer = tg_arena_take(&m->arena, ((size_t)net->n_hidden + 1) * sizeof *net->layer);
    if (!m->params || !net->layer) return no_memory(m);
    const tg_scope root = tg_scope_root(m->params);
    for (int k = 0; k <= net->n_hidden; k++) {
        const int64_t out = k < net->n_hidden ? net->hidden[k] : outputs;
        net->layer[k] = tg_linear_layer_new(tg_scope_at(root, "layer", k), in, out, true);
        in = out;
    }
    const tg_status status = tg_params_status(m->params);
    m->built = status == TG_OK;
    return m->built ? TG_OK : tg_model_fail(m, status, "%s", tg_params_message(m->params));
}

static tg_tensor *output(tg_tape *t, void *net, const tg_batch *batch)
{
    return tg_mlp_output_at(t, NULL, net, batch->x);
}

tg_status tg_mlp_build(tg_mlp *net, const tg_schema *schema, const tg_mlp_options *o)
{
    tg_model *m = &net->model;
    if (check(m, o) != TG_OK) return m->error.status;
    m->head = o->head;
    m->seed = o->seed;
    m->output = output;
    m->scaling = (tg_scaling){.known = o->no_standardize, .target_std = 1};
    net->n_hidden = o->n_hidden;
    net->activation = tg_activation_find(o->activation)->name;
    net->dropout = o->dropout;
    net->hidden = tg_arena_take(&m->arena, (size_t)o->n_hidden * sizeof *net->hidden);
    if (!net->hidden) return no_memory(m);
    for (int k = 0; k < o->n_hidden; k++) net->hidden[k] = o->hidden[k];
    if (!tg_schema_copy(&m->schema, &m->arena, schema)) return no_memory(m);
    return make_layers(net, o->inputs, o->outputs);
}

/* Completes the options from the data. */
static tg_status fit_to_data(tg_model *m, const tg_schema *s, tg_mlp_options *o)
{
    if (o->head == TG_HEAD_CUSTOM)
        return tg_model_fail(m, TG_EVALUE, "the net has no loss of its own for the head custom");
    if (tg_model_take_head(m, s, o->head) != TG_OK) return m->error.status;
    o->head = m->head;
    o->inputs = s->features;
    o->outputs = o->head == TG_HEAD_CROSS_ENTROPY ? s->classes : 1;
    return TG_OK;
}

/* A net without data has names of its own. */
static tg_status standard_schema(tg_model *m, const tg_mlp_options *o, tg_schema *s)
{
    if (o->head == TG_HEAD_AUTO || o->head == TG_HEAD_CUSTOM)
        return tg_model_fail(m, TG_EVALUE,
                             "without data, options.head must say what the net is for");
    if (o->inputs < 1 || o->outputs < 1)
        return tg_model_fail(
            m, TG_ESHAPE,
            "without data, inputs and outputs must be given: %lld and %lld are not "
            "positive numbers of them",
            (long long)o->inputs, (long long)o->outputs);
    const bool one = o->head == TG_HEAD_BCE || o->head == TG_HEAD_MSE;
    if (one ? o->outputs != 1 : o->outputs < 2)
        return tg_model_fail(m, TG_ESHAPE, "%lld outputs do not fit the loss %s",
                             (long long)o->outputs, tg_head_name(o->head));
    const int64_t classes = o->head == TG_HEAD_MSE ? 0 : o->head == TG_HEAD_BCE ? 2 : o->outputs;
    *s = (tg_schema){.task = classes == 0   ? TG_TASK_REGRESSION
                             : classes == 2 ? TG_TASK_BINARY
                                            : TG_TASK_MULTICLASS,
                     .features = o->inputs,
                     .classes = classes,
                     .target = "y"};
    if (o->inputs > INT32_MAX || classes > INT32_MAX)
        return tg_model_fail(m, TG_ESHAPE, "a net of that size");
    if (!tg_schema_number_names(&s->name, &m->arena, "x", s->features) ||
        !tg_schema_number_names(&s->label, &m->arena, "", classes))
        return no_memory(m);
    return TG_OK;
}

tg_mlp *tg_mlp_new(const tg_dataset *data, const tg_mlp_options *given)
{
    tg_mlp_options o;
    const bool readable = tg_options_read(&o, sizeof o, given);
    tg_mlp *net = tg_mlp_blank(readable ? o.allocator : NULL);
    if (!net) return NULL;
    tg_model *m = &net->model;
    if (!readable || (unsigned)o.head >= TG_HEAD_COUNT) {
        tg_model_fail(m, TG_EVALUE,
                      readable ? "options.head is wrong" : TG_UNSIZED(tg_mlp_options));
        return net;
    }
    if (!o.activation) o.activation = "relu";
    if (!data) {
        tg_schema standard;
        if (standard_schema(m, &o, &standard) == TG_OK) tg_mlp_build(net, &standard, &o);
    } else if (tg_dataset_status(data) != TG_OK) {
        tg_error_set(&m->error, NULL, NULL, tg_dataset_status(data), "%s",
                     tg_dataset_message(data));
    } else if (!data->filled) {
        tg_model_fail(m, TG_ESTATE, "the data set is empty");
    } else if (fit_to_data(m, &data->schema, &o) == TG_OK) {
        tg_mlp_build(net, &data->schema, &o);
    }
    return net;
}

/* ---------------------------------------------------------------- recording it */

tg_tensor *tg_mlp_output_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *x)
{
    if (!m || !m->model.built)
        return tg_fail_at(t, where, m ? TG_ESTATE : TG_ENULL, "mlp_output: %s",
                          m ? "the net is in error" : "the net is NULL");
    const tg_named_activation *a = tg_activation_find(m->activation);
    for (int k = 0; k < m->n_hidden; k++) {
        x = a->record(t, where, tg_linear_layer_apply(t, &m->layer[k], x));
        if (m->dropout > 0) x = tg_dropout(t, x, m->dropout);
    }
    return tg_linear_layer_apply(t, &m->layer[m->n_hidden], x);
}

tg_tensor *tg_mlp_loss_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *y,
                          tg_tensor *target)
{
    if (!m || !m->model.built)
        return tg_fail_at(t, where, m ? TG_ESTATE : TG_ENULL, "mlp_loss: %s",
                          m ? "the net is in error" : "the net is NULL");
    return tg_head_loss(t, where, m->model.head, y, target);
}

tg_tensor *(tg_mlp_output)(tg_tape *t, const tg_mlp *m, tg_tensor *x)
{
    return tg_mlp_output_at(t, NULL, m, x);
}

tg_tensor *(tg_mlp_loss)(tg_tape *t, const tg_mlp *m, tg_tensor *y, tg_tensor *target)
{
    return tg_mlp_loss_at(t, NULL, m, y, target);
}

/* ---------------------------------------------------------------- accessors */

tg_model *tg_mlp_model(tg_mlp *m) { return m ? &m->model : NULL; }
tg_status tg_mlp_status(const tg_mlp *m) { return m ? m->model.error.status : TG_ENOMEM; }
const char *tg_mlp_message(const tg_mlp *m)
{
    return m ? m->model.error.message : "no memory for the net";
}
void tg_mlp_clear_error(tg_mlp *m) { tg_model_clear_error(tg_mlp_model(m)); }
tg_params *tg_mlp_params(const tg_mlp *m) { return m ? m->model.params : NULL; }
int64_t tg_mlp_inputs(const tg_mlp *m) { return m ? m->model.schema.features : 0; }
int64_t tg_mlp_outputs(const tg_mlp *m)
{
    return m && m->model.schema.features ? tg_model_outputs(&m->model) : 0;
}
const char *tg_mlp_activation(const tg_mlp *m) { return m ? m->activation : NULL; }
double tg_mlp_dropout(const tg_mlp *m) { return m ? m->dropout : NAN; }

int tg_mlp_hidden(const tg_mlp *m, const int64_t **sizes)
{
    if (sizes) *sizes = m ? m->hidden : NULL;
    return m ? m->n_hidden : 0;
}
