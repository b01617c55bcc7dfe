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
