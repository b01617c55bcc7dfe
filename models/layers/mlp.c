/* Layers and the multilayer net: making it and recording it. */
#define TG_HERE where
#include "mlp.h"

#include "../../graph/base.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---------------------------------------------------------------- layers */

tg_linear_layer tg_linear_layer_new(tg_params *ps, const char *name, int64_t in, int64_t out)
{
    char text[300];
    tg_linear_layer layer = {NULL, NULL};
    if (!name) {
        tg_param_new_at(ps, NULL, NULL, TG_F32, TG_SCALAR, (tg_init){.kind = TG_ZEROS});
        return layer;
    }
    const tg_init init = {TG_LINEAR_DEFAULT, (double)in, 0};
    snprintf(text, sizeof text, "%s.weight", name);
    layer.weight =
        tg_param_new_at(ps, NULL, text, TG_F32, tg_shape_of(2, (const int64_t[]){out, in}), init);
    snprintf(text, sizeof text, "%s.bias", name);
    layer.bias = tg_param_new_at(ps, NULL, text, TG_F32, tg_shape_of(1, &out), init);
    return layer;
}

tg_tensor *tg_linear_layer_apply_at(tg_tape *t, const char *where, const tg_linear_layer *layer,
                                    tg_tensor *x)
{
    return tg_linear(t, x, layer ? layer->weight : NULL, layer ? layer->bias : NULL);
}

tg_tensor *(tg_linear_layer_apply)(tg_tape *t, const tg_linear_layer *layer, tg_tensor *x)
{
    return tg_linear_layer_apply_at(t, NULL, layer, x);
}

/* ---------------------------------------------------------------- activations */

#define RECORDER(name, ...) \
    static tg_tensor *name(tg_tape *t, const char *where, tg_tensor *x) { return __VA_ARGS__; }
RECORDER(leaky_relu, tg_leaky_relu(t, x, 0.01))
RECORDER(elu, tg_elu(t, x, 1))

static tg_tensor *identity(tg_tape *t, const char *where, tg_tensor *x)
{
    const bool fine = tg_tape_status(t) == TG_OK && tg_belongs(t, where, "activation", x);
    return fine ? x : NULL;
}

static const struct activation {
    const char *name;
    tg_activation_fn record;
} activations[] = {
    {"relu", tg_relu_at},       {"leaky_relu", leaky_relu},     {"elu", elu},
    {"gelu", tg_gelu_at},       {"gelu_tanh", tg_gelu_tanh_at}, {"silu", tg_silu_at},
    {"sigmoid", tg_sigmoid_at}, {"tanh", tg_tanh_at},           {"softplus", tg_softplus_at},
    {"relu6", tg_relu6_at},     {"hardtanh", tg_hardtanh_at},   {"identity", identity},
};

const char *tg_activation_names(void)
{
    return "relu, leaky_relu, elu, gelu, gelu_tanh, silu, sigmoid, tanh, softplus, relu6, "
           "hardtanh, identity";
}

static const struct activation *find_activation(const char *name)
{
    for (size_t k = 0; name && k < sizeof activations / sizeof activations[0]; k++)
        if (!strcmp(activations[k].name, name)) return &activations[k];
    return NULL;
}

tg_tensor *tg_activation_at(tg_tape *t, const char *where, const char *name, tg_tensor *x)
{
    const struct activation *a = find_activation(name);
    if (a) return a->record(t, where, x);
    return tg_fail_at(t, where, name ? TG_EVALUE : TG_ENULL, "activation: '%.60s' is none of %s",
                      name ? name : "NULL", tg_activation_names());
}

tg_tensor *(tg_activation)(tg_tape *t, const char *name, tg_tensor *x)
{
    return tg_activation_at(t, NULL, name, x);
}

/* ---------------------------------------------------------------- making a net */

static const char *const head_names[TG_HEAD_COUNT] = {"auto", "bce", "mse", "cross_entropy"};

const char *tg_head_name(tg_head head)
{
    return (unsigned)head < TG_HEAD_COUNT ? head_names[head] : "?";
}

tg_head tg_head_of(const char *name)
{
    for (int k = 0; name && k < TG_HEAD_COUNT; k++)
        if (!strcmp(name, head_names[k])) return (tg_head)k;
    return TG_HEAD_COUNT;
}

tg_mlp *tg_mlp_blank(const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_mlp *m = tg_allocate(&a, sizeof *m);
    if (!m) return NULL;
    memset(m, 0, sizeof *m);
    m->allocator = a;
    tg_arena_init(&m->arena, &m->allocator);
    return m;
}

void tg_mlp_free(tg_mlp *m)
{
    if (!m) return;
    tg_tape_free(m->evaluator);
    tg_params_free(m->params);
    tg_batch_free(m, &m->batch);
    tg_release(&m->allocator, m->history, m->history_capacity * sizeof *m->history);
    tg_arena_free(&m->arena);
    const tg_allocator a = m->allocator;
    tg_release(&a, m, sizeof *m);
}

static tg_status fail(tg_mlp *m, tg_status status, const char *format, ...) TG_PRINTF(3, 4);
static tg_status fail(tg_mlp *m, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&m->error, NULL, "mlp", status, format, arguments);
    va_end(arguments);
    return m->error.status;
}

/* Sizes, activation and numbers of the options. */
static tg_status check(tg_mlp *m, const tg_mlp_options *o)
{
    enum { MOST_LAYERS = 1000, MOST_THREADS = 1024 };
    if (o->n_hidden < 0 || o->n_hidden > MOST_LAYERS)
        return fail(m, TG_EVALUE, "%d hidden layers are not in 0..%d", o->n_hidden, MOST_LAYERS);
    if (o->n_hidden && !o->hidden) return fail(m, TG_ENULL, "hidden, the layers' sizes, is NULL");
    for (int k = 0; k < o->n_hidden; k++)
        if (o->hidden[k] < 1 || o->hidden[k] > INT32_MAX)
            return fail(m, TG_ESHAPE, "hidden layer %d of size %lld", k, (long long)o->hidden[k]);
    if (o->inputs < 1 || o->inputs > INT32_MAX)
        return fail(m, TG_ESHAPE, "%lld inputs", (long long)o->inputs);
    if (o->outputs < 1 || o->outputs > INT32_MAX)
        return fail(m, TG_ESHAPE, "%lld outputs", (long long)o->outputs);
    if (!find_activation(o->activation))
        return fail(m, TG_EVALUE, "activation '%.60s' is none of %s", o->activation,
                    tg_activation_names());
    if (!(o->dropout >= 0 && o->dropout <= 1))
        return fail(m, TG_EVALUE, "dropout %g is not in 0..1", o->dropout);
    if (o->threads < 0 || o->threads > MOST_THREADS)
        return fail(m, TG_EVALUE, "%d threads are not in 0..%d", o->threads, MOST_THREADS);
    return TG_OK;
}

static tg_status no_memory(tg_mlp *m) { return fail(m, TG_ENOMEM, "no memory"); }

/* The parameters, layer after layer. */
static tg_status make_layers(tg_mlp *m)
{
    const tg_params_options options = {
        .size = sizeof options, .allocator = &m->allocator, .seed = m->seed};
    m->params = tg_params_new(&options);
    m->layer = tg_arena_take(&m->arena, ((size_t)m->n_hidden + 1) * sizeof *m->layer);
    if (!m->params || !m->layer) return no_memory(m);
    int64_t in = m->inputs;
    for (int k = 0; k <= m->n_hidden; k++) {
        char name[32];
        const int64_t out = k < m->n_hidden ? m->hidden[k] : m->outputs;
        snprintf(name, sizeof name, "layer%d", k);
        m->layer[k] = tg_linear_layer_new(m->params, name, in, out);
        in = out;
    }
    const tg_status status = tg_params_status(m->params);
    m->built = status == TG_OK;
    return m->built ? TG_OK : fail(m, status, "%s", tg_params_message(m->params));
}

tg_status tg_mlp_build(tg_mlp *m, const tg_schema *schema, const tg_mlp_options *o)
{
    if (check(m, o) != TG_OK) return m->error.status;
    const struct activation *a = find_activation(o->activation);
    m->head = o->head;
    m->inputs = o->inputs;
    m->outputs = o->outputs;
    m->n_hidden = o->n_hidden;
    m->hidden = tg_arena_take(&m->arena, (size_t)o->n_hidden * sizeof *m->hidden);
    if (!m->hidden) return no_memory(m);
    for (int k = 0; k < o->n_hidden; k++) m->hidden[k] = o->hidden[k];
    m->activation = a->name;
    m->activate = a->record;
    m->dropout = o->dropout;
    m->seed = o->seed;
    m->threads = o->threads ? o->threads : 1;
    m->scaling = (tg_scaling){.known = o->no_standardize, .target_std = 1};
    if (!tg_schema_copy(&m->schema, &m->arena, schema)) return no_memory(m);
    return make_layers(m);
}

static tg_head usual_head(tg_task task)
{
    return task == TG_TASK_REGRESSION ? TG_HEAD_MSE
           : task == TG_TASK_BINARY   ? TG_HEAD_BCE
                                      : TG_HEAD_CROSS_ENTROPY;
}

/* Completes the options from the data. */
static tg_status fit_to_data(tg_mlp *m, const tg_schema *s, tg_mlp_options *o)
{
    if (o->head == TG_HEAD_AUTO) o->head = usual_head(s->task);
    const bool regression = s->task == TG_TASK_REGRESSION;
    if (regression != (o->head == TG_HEAD_MSE) || (o->head == TG_HEAD_BCE && s->classes != 2))
        return fail(m, TG_EVALUE, "the loss %s does not fit the task %s of %lld classes",
                    tg_head_name(o->head), tg_task_name(s->task), (long long)s->classes);
    o->inputs = s->features;
    o->outputs = o->head == TG_HEAD_CROSS_ENTROPY ? s->classes : 1;
    return TG_OK;
}

/* A net without data has names of its own. */
static tg_status standard_schema(tg_mlp *m, const tg_mlp_options *o, tg_schema *s)
{
    if (o->head == TG_HEAD_AUTO)
        return fail(m, TG_EVALUE, "without data, options.head must say what the net is for");
    if (o->inputs < 1 || o->outputs < 1)
        return fail(m, TG_ESHAPE,
                    "without data, inputs and outputs must be given: %lld and %lld are not "
                    "positive numbers of them",
                    (long long)o->inputs, (long long)o->outputs);
    const bool one = o->head == TG_HEAD_BCE || o->head == TG_HEAD_MSE;
    if (one ? o->outputs != 1 : o->outputs < 2)
        return fail(m, TG_ESHAPE, "%lld outputs do not fit the loss %s", (long long)o->outputs,
                    tg_head_name(o->head));
    const int64_t classes = o->head == TG_HEAD_MSE ? 0 : o->head == TG_HEAD_BCE ? 2 : o->outputs;
    *s = (tg_schema){.task = classes == 0   ? TG_TASK_REGRESSION
                             : classes == 2 ? TG_TASK_BINARY
                                            : TG_TASK_MULTICLASS,
                     .features = o->inputs,
                     .classes = classes,
                     .target = "y"};
    if (o->inputs > INT32_MAX || classes > INT32_MAX)
        return fail(m, TG_ESHAPE, "a net of that size");
    if (!tg_schema_number_names(&s->name, &m->arena, "x", s->features) ||
        !tg_schema_number_names(&s->label, &m->arena, "", classes))
        return no_memory(m);
    return TG_OK;
}

tg_mlp *tg_mlp_new(const tg_dataset *data, const tg_mlp_options *given)
{
    tg_mlp_options o;
    const bool readable = tg_options_read(&o, sizeof o, given);
    tg_mlp *m = tg_mlp_blank(readable ? o.allocator : NULL);
    if (!m) return NULL;
    if (!readable || (unsigned)o.head >= TG_HEAD_COUNT) {
        fail(m, TG_EVALUE, readable ? "options.head is wrong" : TG_UNSIZED(tg_mlp_options));
        return m;
    }
    if (!o.activation) o.activation = "relu";
    if (!data) {
        tg_schema standard;
        if (standard_schema(m, &o, &standard) == TG_OK) tg_mlp_build(m, &standard, &o);
    } else if (tg_dataset_status(data) != TG_OK) {
        tg_error_set(&m->error, NULL, NULL, tg_dataset_status(data), "%s",
                     tg_dataset_message(data));
    } else if (!data->filled) {
        fail(m, TG_ESTATE, "the data set is empty");
    } else if (fit_to_data(m, &data->schema, &o) == TG_OK) {
        tg_mlp_build(m, &data->schema, &o);
    }
    return m;
}

/* ---------------------------------------------------------------- recording it */

tg_tensor *tg_mlp_output_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *x)
{
    if (!m || !m->built)
        return tg_fail_at(t, where, m ? TG_ESTATE : TG_ENULL, "mlp_output: %s",
                          m ? "the net is in error" : "the net is NULL");
    for (int k = 0; k < m->n_hidden; k++) {
        x = m->activate(t, where, tg_linear_layer_apply(t, &m->layer[k], x));
        if (m->dropout > 0) x = tg_dropout(t, x, m->dropout);
    }
    return tg_linear_layer_apply(t, &m->layer[m->n_hidden], x);
}

tg_tensor *tg_mlp_loss_at(tg_tape *t, const char *where, const tg_mlp *m, tg_tensor *output,
                          tg_tensor *target)
{
    if (!m || !m->built)
        return tg_fail_at(t, where, m ? TG_ESTATE : TG_ENULL, "mlp_loss: %s",
                          m ? "the net is in error" : "the net is NULL");
    if (m->head == TG_HEAD_BCE) return tg_bce_with_logits(t, output, target);
    if (m->head == TG_HEAD_MSE) return tg_mse_loss(t, output, target, TG_REDUCE_MEAN);
    return tg_cross_entropy(t, output, target);
}

tg_tensor *(tg_mlp_output)(tg_tape *t, const tg_mlp *m, tg_tensor *x)
{
    return tg_mlp_output_at(t, NULL, m, x);
}

tg_tensor *(tg_mlp_loss)(tg_tape *t, const tg_mlp *m, tg_tensor *output, tg_tensor *target)
{
    return tg_mlp_loss_at(t, NULL, m, output, target);
}

/* ---------------------------------------------------------------- accessors */

tg_status tg_mlp_status(const tg_mlp *m) { return m ? m->error.status : TG_ENOMEM; }
const char *tg_mlp_message(const tg_mlp *m)
{
    return m ? m->error.message : "no memory for the net";
}
const tg_schema *tg_mlp_schema(const tg_mlp *m)
{
    return m && m->error.status == TG_OK ? &m->schema : &tg_schema_in_error;
}
tg_params *tg_mlp_params(const tg_mlp *m) { return m ? m->params : NULL; }
tg_task tg_mlp_task(const tg_mlp *m) { return m ? m->schema.task : TG_TASK_AUTO; }
tg_head tg_mlp_head(const tg_mlp *m) { return m ? m->head : TG_HEAD_AUTO; }
int64_t tg_mlp_inputs(const tg_mlp *m) { return m ? m->inputs : 0; }
int64_t tg_mlp_outputs(const tg_mlp *m) { return m ? m->outputs : 0; }
const char *tg_mlp_activation(const tg_mlp *m) { return m ? m->activation : NULL; }
double tg_mlp_dropout(const tg_mlp *m) { return m ? m->dropout : NAN; }
int64_t tg_mlp_classes(const tg_mlp *m) { return m ? m->schema.classes : 0; }
const char *tg_mlp_target_name(const tg_mlp *m) { return m ? m->schema.target : NULL; }
int64_t tg_mlp_prediction_width(const tg_mlp *m)
{
    return !m ? 0 : m->schema.classes ? m->schema.classes : m->outputs;
}

int tg_mlp_hidden(const tg_mlp *m, const int64_t **sizes)
{
    if (sizes) *sizes = m ? m->hidden : NULL;
    return m ? m->n_hidden : 0;
}

const char *tg_mlp_label(const tg_mlp *m, int64_t class_number)
{
    return m && m->schema.label && class_number >= 0 && class_number < m->schema.classes
               ? m->schema.label[class_number]
               : NULL;
}

const char *tg_mlp_feature_name(const tg_mlp *m, int64_t feature)
{
    return m && m->schema.name && feature >= 0 && feature < m->schema.features
               ? m->schema.name[feature]
               : NULL;
}

void tg_mlp_clear_error(tg_mlp *m)
{
    if (m && m->built) m->error = (tg_error){TG_OK, ""};
}

void tg_mlp_set_threads(tg_mlp *m, int threads)
{
    if (!m || m->error.status != TG_OK) return;
    if (threads < 0 || threads > 1024) {
        fail(m, TG_EVALUE, "%d threads are not in 0..1024", threads);
        return;
    }
    m->threads = threads ? threads : 1;
    if (m->evaluator) tg_tape_set_threads(m->evaluator, m->threads);
}

const tg_epoch *tg_mlp_history(const tg_mlp *m, int64_t *n)
{
    if (n) *n = m ? (int64_t)m->epochs : 0;
    return m ? m->history : NULL;
}
