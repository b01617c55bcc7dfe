/* What a lean library leaves out: it is there, and says so. */
#include "../../graph/params.h"
#include "../nets/mlp.h"
#include "../training/trainer.h"

tg_status tg_dataset_read_csv(tg_dataset *d, const char *path, const tg_csv_options *options)
{
    (void)options;
    if (tg_dataset_begin(d) != TG_OK) return tg_dataset_status(d);
    return tg_error_set(&d->error, NULL, path, TG_ESTATE, "built without libcsv");
}

tg_status tg_mlp_save(tg_mlp *m, const char *path)
{
    if (!m || m->model.error.status != TG_OK) return tg_mlp_status(m);
    return tg_error_set(&m->model.error, NULL, path, TG_ESTATE, "built without jansson");
}

tg_mlp *tg_mlp_load(const char *path, const tg_allocator *allocator)
{
    tg_mlp *m = tg_mlp_blank(allocator);
    if (m) tg_error_set(&m->model.error, NULL, path, TG_ESTATE, "built without jansson");
    return m;
}

static tg_status without_jansson(tg_params *ps, const char *path)
{
    if (!ps || ps->error.status != TG_OK) return tg_params_status(ps);
    return tg_error_set(&ps->error, NULL, path, TG_ESTATE, "built without jansson");
}

tg_status tg_params_save(tg_params *ps, const char *path, const tg_params_file_options *options)
{
    (void)options;
    return without_jansson(ps, path);
}

tg_status tg_params_load(tg_params *ps, const char *path, const tg_params_file_options *options)
{
    (void)options;
    return without_jansson(ps, path);
}

static tg_status no_checkpoints(tg_trainer *r)
{
    return tg_error_set(&r->m->error, NULL, r->o.checkpoint, TG_ESTATE, "built without jansson");
}

tg_status tg_training_write(tg_trainer *r) { return no_checkpoints(r); }
tg_status tg_training_read(tg_trainer *r) { return no_checkpoints(r); }

struct tg_layers {
    tg_allocator allocator;
    tg_error error;
};

tg_layers *tg_layers_parse(tg_scope s, const char *text, tg_shape row, int64_t outputs)
{
    (void)text, (void)row, (void)outputs;
    const tg_allocator a = tg_allocator_or_default(s.params ? &s.params->allocator : NULL);
    tg_layers *y = tg_allocate(&a, sizeof *y);
    if (!y) return NULL;
    *y = (tg_layers){.allocator = a};
    tg_error_set(&y->error, NULL, "layers", TG_ESTATE, "built without layers from text");
    return y;
}

void tg_layers_free(tg_layers *y)
{
    if (!y) return;
    const tg_allocator a = y->allocator;
    tg_release(&a, y, sizeof *y);
}

tg_status tg_layers_status(const tg_layers *y) { return y ? y->error.status : TG_ENOMEM; }
const char *tg_layers_message(const tg_layers *y) { return y ? y->error.message : "no memory"; }
tg_shape tg_layers_shape(const tg_layers *y) { return (void)y, TG_SCALAR; }

tg_tensor *tg_layers_apply_at(tg_tape *t, const char *where, const tg_layers *y, tg_tensor *x)
{
    (void)x;
    return tg_fail_at(t, where, TG_ESTATE, "%s", tg_layers_message(y));
}

tg_tensor *(tg_layers_apply)(tg_tape *t, const tg_layers *y, tg_tensor *x)
{
    return tg_layers_apply_at(t, NULL, y, x);
}
