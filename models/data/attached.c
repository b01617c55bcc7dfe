/* Arrays beside a data set's features and target. */
#include <string.h>

#include "dataset.h"

static tg_status fail(tg_dataset *d, tg_status status, const char *what)
{
    return tg_error_set(&d->error, NULL, "attach", status, "%s", what);
}

static const tg_attached *find(const tg_dataset *d, const char *name)
{
    for (int k = 0; d && name && k < d->n_attached; k++)
        if (!strcmp(d->attached[k].name, name)) return &d->attached[k];
    return NULL;
}

/* Room for an array of d's rows behind the others; NULL: no memory. */
static tg_attached *add(tg_dataset *d, const char *name, tg_dtype dtype, tg_shape row)
{
    tg_attached *y = &d->attached[d->n_attached];
    const int64_t each = tg_shape_count(row), most = PTRDIFF_MAX / 8;
    if (each && d->rows > most / each) return NULL;
    *y = (tg_attached){.name = tg_arena_text(&d->arena, name, strlen(name)),
                       .dtype = dtype,
                       .row = row,
                       .bytes = (size_t)each * tg_dtype_size(dtype)};
    y->data = tg_arena_take(&d->arena, (size_t)d->rows * y->bytes);
    if (!y->name || !y->data) return NULL;
    d->n_attached++;
    return y;
}

tg_status tg_dataset_attach(tg_dataset *d, const char *name, tg_dtype dtype, tg_shape row,
                            const void *data)
{
    if (!d || d->error.status != TG_OK) return tg_dataset_status(d);
    if (!d->filled) return fail(d, TG_ESTATE, "an empty data set has no rows");
    if (!name || (!data && d->rows && tg_shape_count(row)))
        return fail(d, TG_ENULL, "the name or the data is NULL");
    const bool typed = (unsigned)dtype < TG_DTYPE_COUNT;
    if (!typed || row.ndim < 0 || row.ndim >= TG_MAX_DIMS || tg_shape_count(row) < 0)
        return fail(d, typed ? TG_ESHAPE : TG_EDTYPE, "no such dtype, or shape of a row");
    if (find(d, name) || d->n_attached == TG_ATTACHED)
        return fail(d, TG_EVALUE, "the name is taken, or there are 16 already");
    const tg_attached *y = add(d, name, dtype, row);
    if (!y) return tg_dataset_no_memory(d);
    if (y->bytes && d->rows) memcpy(y->data, data, (size_t)d->rows * y->bytes);
    return TG_OK;
}

const void *tg_dataset_attached(const tg_dataset *d, const char *name)
{
    const tg_attached *y = tg_dataset_status(d) == TG_OK ? find(d, name) : NULL;
    return y ? y->data : NULL;
}

bool tg_dataset_copy_attached(tg_dataset *y, const tg_dataset *d, const int64_t *row)
{
    for (int k = 0; k < d->n_attached; k++) {
        const tg_attached *from = &d->attached[k];
        const tg_attached *to = add(y, from->name, from->dtype, from->row);
        if (!to) return false;
        for (int64_t i = 0; i < y->rows && to->bytes; i++)
            memcpy((char *)to->data + (size_t)i * to->bytes,
                   (const char *)from->data + (size_t)row[i] * to->bytes, to->bytes);
    }
    return true;
}
