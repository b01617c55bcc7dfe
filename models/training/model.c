/* What a trainer needs of a net, for a net of any kind. */
#define TG_HERE NULL
#include "model.h"

#include <string.h>

/* ---------------------------------------------------------------- heads */

static const char *const head_names[TG_HEAD_COUNT] = {"auto", "bce", "mse", "cross_entropy",
                                                      "custom"};

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

static tg_head usual_head(tg_task task)
{
    return task == TG_TASK_REGRESSION ? TG_HEAD_MSE
           : task == TG_TASK_BINARY   ? TG_HEAD_BCE
                                      : TG_HEAD_CROSS_ENTROPY;
}

tg_status tg_model_take_head(tg_model *m, const tg_schema *s, tg_head head)
{
    if (head == TG_HEAD_AUTO) head = usual_head(s->task);
    const bool regression = s->task == TG_TASK_REGRESSION;
    if (head != TG_HEAD_CUSTOM &&
        (regression != (head == TG_HEAD_MSE) || (head == TG_HEAD_BCE && s->classes != 2)))
        return tg_model_fail(m, TG_EVALUE, "the loss %s does not fit the task %s of %lld classes",
                             tg_head_name(head), tg_task_name(s->task), (long long)s->classes);
    m->head = head;
    return TG_OK;
}

tg_tensor *tg_head_loss(tg_tape *t, const char *where, tg_head head, tg_tensor *output,
                        tg_tensor *target)
{
    if (head == TG_HEAD_BCE) return tg_bce_with_logits_at(t, where, output, target);
    if (head == TG_HEAD_MSE) return tg_mse_loss_at(t, where, output, target, TG_REDUCE_MEAN);
    return tg_cross_entropy_at(t, where, output, target);
}

/* ---------------------------------------------------------------- making one */

tg_status tg_model_fail(tg_model *m, tg_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(&m->error, NULL, m->name, status, format, arguments);
    va_end(arguments);
    return m->error.status;
}

void tg_model_begin(tg_model *m, const char *name, const tg_allocator *allocator)
{
    *m = (tg_model){.allocator = tg_allocator_or_default(allocator), .name = name};
    tg_arena_init(&m->arena, &m->allocator);
}

void tg_model_end(tg_model *m)
{
    tg_tape_free(m->evaluator);
    tg_rows_free(m, &m->rows);
    tg_release(&m->allocator, m->history, m->history_capacity * sizeof *m->history);
    tg_arena_free(&m->arena);
}

bool tg_model_take_threads(tg_model *m, int threads)
{
    enum { MOST_THREADS = 1024 };
    m->threads = threads ? threads : 1;
    if (threads >= 0 && threads <= MOST_THREADS) return true;
    tg_model_fail(m, TG_EVALUE, "%d threads are not in 0..%d", threads, MOST_THREADS);
    return false;
}

static tg_status take_options(tg_model *m, const tg_model_options *o)
{
    if (o->name) m->name = tg_arena_text(&m->arena, o->name, strlen(o->name));
    if (o->version) m->version = tg_arena_text(&m->arena, o->version, strlen(o->version));
    if (!m->name || (o->version && !m->version)) {
        m->name = "model";
        return tg_model_fail(m, TG_ENOMEM, "no memory");
    }
    if (!o->params || !o->output)
        return tg_model_fail(m, TG_ENULL, "options.%s is NULL", o->params ? "output" : "params");
    if (tg_params_status(o->params) != TG_OK)
        return tg_error_set(&m->error, NULL, NULL, tg_params_status(o->params), "%s",
                            tg_params_message(o->params));
    if ((unsigned)o->head >= TG_HEAD_COUNT)
        return tg_model_fail(m, TG_EVALUE, "options.head is wrong");
    const bool custom = o->head == TG_HEAD_CUSTOM;
    if (custom && !o->loss)
        return tg_model_fail(m, TG_ENULL, "the head custom wants a loss: options.loss is NULL");
    if (custom ? o->outputs < 1 || o->outputs > INT32_MAX : o->outputs != 0)
        return tg_model_fail(m, TG_ESHAPE,
                             custom ? "the head custom wants options.outputs, the numbers in a "
                                      "row of output"
                                    : "options.outputs is for the head custom alone");
    if (o->dtype != TG_F32 && o->dtype != TG_F64)
        return tg_model_fail(m, TG_EDTYPE, "options.dtype is neither f32 nor f64");
    if (!tg_model_take_threads(m, o->threads)) return m->error.status;
    m->params = o->params;
    m->net = o->net;
    m->output = o->output;
    m->loss = o->loss;
    m->head = o->head;
    m->custom_outputs = o->outputs;
    m->dtype = o->dtype;
    m->scaling = (tg_scaling){.known = o->no_standardize, .target_std = 1};
    m->seed = o->seed;
    m->built = true;
    return TG_OK;
}

tg_model *tg_model_new(const tg_model_options *given)
{
    tg_model_options o;
    const bool readable = tg_options_read(&o, sizeof o, given);
    const tg_allocator a = tg_allocator_or_default(readable ? o.allocator : NULL);
    tg_model *m = tg_allocate(&a, sizeof *m);
    if (!m) return NULL;
    tg_model_begin(m, "model", &a);
    if (readable) take_options(m, &o);
    else tg_model_fail(m, TG_EVALUE, TG_UNSIZED(tg_model_options));
    return m;
}

void tg_model_free(tg_model *m)
{
    if (!m) return;
    if (m->free_net) {
        m->free_net(m);
        return;
    }
    tg_model_end(m);
    const tg_allocator a = m->allocator;
    tg_release(&a, m, sizeof *m);
}

/* ---------------------------------------------------------------- recording it */

int64_t tg_model_outputs(const tg_model *m)
{
    return m->head == TG_HEAD_CUSTOM          ? m->custom_outputs
           : m->head == TG_HEAD_CROSS_ENTROPY ? m->schema.classes
                                              : 1;
}

static bool has_outputs(const tg_model *m, tg_tape *t, tg_tensor *output, int64_t n)
{
    const tg_shape shape = tg_tensor_shape(output);
    const int64_t width = tg_model_outputs(m);
    const bool fits = m->head == TG_HEAD_CUSTOM ? tg_shape_count(shape) == n * width
                                                : tg_shape_equal(shape, TG_SHAPE(n, width));
    if (fits && tg_tensor_dtype(output) == m->dtype) return true;
    tg_fail_at(
        t, NULL, fits ? TG_EDTYPE : TG_ESHAPE, "the output is %s %s where the loss %s wants %s %s",
        tg_dtype_name(tg_tensor_dtype(output)), tg_shape_text(shape).text, tg_head_name(m->head),
        tg_dtype_name(m->dtype), tg_shape_text(TG_SHAPE(n, width)).text);
    return false;
}

/* NULL with the tape in error when the net does not give what it should. */
static tg_tensor *record(tg_tape *t, const tg_model *m, const tg_batch *batch, tg_tensor **loss)
{
    tg_tensor *output = m->output(t, m->net, batch);
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (!output) return tg_fail_at(t, NULL, TG_ENULL, "the model recorded no output");
    if (!has_outputs(m, t, output, batch->rows)) return NULL;
    if (loss && m->loss) *loss = m->loss(t, m->net, output, batch);
    else if (loss) *loss = tg_head_loss(t, NULL, m->head, output, batch->target);
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (loss && !*loss) return tg_fail_at(t, NULL, TG_ENULL, "the model recorded no loss");
    return output;
}

tg_tensor *tg_model_record_rows(const tg_model *m, tg_tape *t, const tg_rows *b, int64_t n,
                                tg_tensor **loss)
{
    const tg_batch batch = tg_rows_inputs(m, b, t, n, loss != NULL);
    if (loss) *loss = NULL;
    return record(t, m, &batch, loss);
}

tg_tensor *tg_model_record(tg_tape *t, const tg_model *m, const tg_batch *given, tg_tensor **loss)
{
    tg_batch batch;
    if (loss) *loss = NULL;
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (!m || !given || !m->built || !m->schema.features)
        return tg_fail_at(t, NULL, m && given ? TG_ESTATE : TG_ENULL,
                          "no batch, or a model that is NULL, in error or has met no data");
    if (!tg_options_read(&batch, sizeof batch, given))
        return tg_fail_at(t, NULL, TG_EVALUE, TG_UNSIZED(tg_batch));
    return record(t, m, &batch, loss);
}

/* ---------------------------------------------------------------- which data fits */

static tg_status differs(tg_model *m, const char *caller, const char *what, int64_t k,
                         const char *given, const char *expected)
{
    return tg_error_set(&m->error, NULL, caller, TG_EVALUE,
                        "%s %lld of the data is '%.60s' where the model has '%.60s'", what,
                        (long long)k, given, expected);
}

static tg_status fits_schema(tg_model *m, const tg_dataset *d, bool targets, const char *caller)
{
    tg_error *e = &m->error;
    const tg_schema *s = &d->schema, *own = &m->schema;
    if (s->features != own->features)
        return tg_error_set(e, NULL, caller, TG_ESHAPE,
                            "the data has %lld features, the model %lld", (long long)s->features,
                            (long long)own->features);
    for (int64_t k = 0; k < s->features; k++)
        if (strcmp(s->name[k], own->name[k]) != 0)
            return differs(m, caller, "feature", k, s->name[k], own->name[k]);
    if (!targets) return TG_OK;
    if (!d->has_target)
        return tg_error_set(e, NULL, caller, TG_EFORMAT, "the data has no column '%.60s'",
                            own->target);
    if ((s->task == TG_TASK_REGRESSION) != (own->task == TG_TASK_REGRESSION))
        return tg_error_set(e, NULL, caller, TG_EVALUE, "the data's task is %s, the model's %s",
                            tg_task_name(s->task), tg_task_name(own->task));
    if (s->classes > own->classes)
        return tg_error_set(e, NULL, caller, TG_ESHAPE, "the data has %lld classes, the model %lld",
                            (long long)s->classes, (long long)own->classes);
    for (int64_t k = 0; k < s->classes; k++)
        if (strcmp(s->label[k], own->label[k]) != 0)
            return differs(m, caller, "class", k, s->label[k], own->label[k]);
    return TG_OK;
}

tg_status tg_model_accepts(tg_model *m, const tg_dataset *d, bool targets, const char *caller)
{
    if (!m) return TG_ENOMEM;
    if (m->error.status != TG_OK) return m->error.status;
    tg_error *e = &m->error;
    if (!d) return tg_error_set(e, NULL, caller, TG_ENULL, "the data set is NULL");
    if (d->error.status != TG_OK)
        return tg_error_set(e, NULL, NULL, d->error.status, "%s", d->error.message);
    if (!d->filled || d->rows == 0)
        return tg_error_set(e, NULL, caller, TG_ESTATE, "the data set has no rows");
    if (m->schema.features) return fits_schema(m, d, targets, caller);
    tg_schema copy;
    if (!tg_schema_copy(&copy, &m->arena, &d->schema))
        return tg_error_set(e, NULL, caller, TG_ENOMEM, "no memory");
    if (tg_model_take_head(m, &copy, m->head) == TG_OK) m->schema = copy;
    return m->error.status == TG_OK ? fits_schema(m, d, targets, caller) : m->error.status;
}

/* ---------------------------------------------------------------- accessors */

tg_status tg_model_status(const tg_model *m) { return m ? m->error.status : TG_ENOMEM; }
const char *tg_model_message(const tg_model *m)
{
    return m ? m->error.message : "no memory for the model";
}

void tg_model_clear_error(tg_model *m)
{
    if (m && m->built) m->error = (tg_error){TG_OK, ""};
}

void tg_model_set_threads(tg_model *m, int threads)
{
    if (!m || m->error.status != TG_OK || !tg_model_take_threads(m, threads)) return;
    if (m->evaluator) tg_tape_set_threads(m->evaluator, m->threads);
}

const tg_schema *tg_model_schema(const tg_model *m)
{
    return m && m->error.status == TG_OK && m->schema.features ? &m->schema : &tg_schema_in_error;
}

tg_params *tg_model_params(const tg_model *m) { return m ? m->params : NULL; }
tg_task tg_model_task(const tg_model *m) { return m ? m->schema.task : TG_TASK_AUTO; }
tg_head tg_model_head(const tg_model *m) { return m ? m->head : TG_HEAD_AUTO; }
int64_t tg_model_classes(const tg_model *m) { return m ? m->schema.classes : 0; }
const char *tg_model_target_name(const tg_model *m) { return m ? m->schema.target : NULL; }

const char *tg_model_label(const tg_model *m, int64_t class_number)
{
    return m && m->schema.label && class_number >= 0 && class_number < m->schema.classes
               ? m->schema.label[class_number]
               : NULL;
}

const char *tg_model_feature_name(const tg_model *m, int64_t feature)
{
    return m && m->schema.name && feature >= 0 && feature < m->schema.features
               ? m->schema.name[feature]
               : NULL;
}

const tg_epoch *tg_model_history(const tg_model *m, int64_t *n)
{
    if (n) *n = m ? (int64_t)m->epochs : 0;
    return m ? m->history : NULL;
}

int64_t tg_model_prediction_width(const tg_model *m)
{
    if (!m) return 0;
    return m->schema.classes && m->head != TG_HEAD_CUSTOM ? m->schema.classes : tg_model_outputs(m);
}
