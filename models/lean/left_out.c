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

static tg_status without_files(tg_model *m, const char *path)
{
    if (!m || m->error.status != TG_OK) return tg_model_status(m);
    return tg_error_set(&m->error, NULL, path, TG_ESTATE, "built without jansson");
}

tg_status tg_mlp_save(tg_mlp *m, const char *path) { return without_files(tg_mlp_model(m), path); }

tg_mlp *tg_mlp_load(const char *path, const tg_allocator *allocator)
{
    tg_mlp *m = tg_mlp_blank(allocator);
    without_files(tg_mlp_model(m), path);
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

/* There are no layers, whose status and message are what is said of NULL. */
tg_layers *tg_layers_parse(tg_scope s, const char *text, tg_shape row, int64_t outputs)
{
    return (void)s, (void)text, (void)row, (void)outputs, NULL;
}

void tg_layers_free(tg_layers *y) { (void)y; }
tg_status tg_layers_status(const tg_layers *y) { return (void)y, TG_ESTATE; }
const char *tg_layers_message(const tg_layers *y) { return (void)y, "built without layers"; }
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

tg_status tg_training_write(tg_trainer *r) { return without_files(r->m, r->o.checkpoint); }
tg_status tg_training_read(tg_trainer *r) { return without_files(r->m, r->o.checkpoint); }
tg_status tg_model_export_c(tg_model *m, const char *path, const tg_model_export_options *options)
{
    (void)options;
    return without_files(m, path);
}
tg_status tg_model_save(tg_model *m, const char *path) { return without_files(m, path); }
tg_status tg_model_load(tg_model *m, const char *path) { return without_files(m, path); }

tg_model *tg_model_open(const char *path, const tg_allocator *allocator)
{
    return tg_mlp_model(tg_mlp_load(path, allocator));
}

/* A model in error has the shape of a blank multilayer net. */
tg_model *tg_net_new(const tg_dataset *data, const char *layers, const tg_net_options *options)
{
    (void)data, (void)options;
    return tg_mlp_model(tg_mlp_load(layers, NULL));
}

const char *tg_net_layers(const tg_model *m) { return (void)m, NULL; }

tg_status tg_sharing_begin(tg_trainer *r)
{
    if (!r->o.ranks && r->o.leaves < 2) return TG_OK;
    return tg_error_set(&r->m->error, NULL, "fit", TG_ESTATE, "built without leaves");
}

tg_status tg_sharing_start(tg_trainer *r) { return r->m->error.status; }
tg_status tg_sharing_step(tg_trainer *r, int64_t n) { return (void)n, r->m->error.status; }
tg_status tg_sharing_epoch(tg_trainer *r) { return r->m->error.status; }
tg_status tg_sharing_write(tg_trainer *r) { return r->m->error.status; }
bool tg_sharing_any(tg_trainer *r, bool yes) { return (void)r, yes; }
void tg_sharing_end(tg_trainer *r) { (void)r; }

tg_status tg_dataset_attach(tg_dataset *d, const char *name, tg_dtype dtype, tg_shape row,
                            const void *data)
{
    (void)dtype, (void)row, (void)data;
    if (!d || d->error.status != TG_OK) return tg_dataset_status(d);
    return tg_error_set(&d->error, NULL, name, TG_ESTATE, "built without attached arrays");
}

const void *tg_dataset_attached(const tg_dataset *d, const char *name)
{
    return (void)d, (void)name, NULL;
}

bool tg_dataset_copy_attached(tg_dataset *y, const tg_dataset *d, const int64_t *row)
{
    return (void)y, (void)d, (void)row, true;
}

tg_tensor *tg_batch_get(tg_tape *t, const tg_batch *b, const char *name)
{
    (void)b;
    return tg_fail_at(t, NULL, TG_ESTATE, "%s: built without attached arrays", name ? name : "");
}
