/* What is attached to a data set's rows, as tensors of a batch. */
#define TG_HERE NULL
#include <string.h>

#include "../../graph/base.h"
#include "model.h"

/* f32 numbers of the rows in f64: a tape that checks derivatives takes nothing else. */
static tg_tensor *widened(tg_tape *t, const tg_batch *b, const tg_attached *a, tg_shape shape)
{
    const int64_t each = tg_shape_count(a->row);
    double *y = tg_base_memory(t, NULL, "batch", b->rows * each, sizeof *y);
    for (int64_t i = 0; y && i < b->rows; i++) {
        const int64_t from = b->row ? b->row[i] : b->first + i;
        for (int64_t k = 0; k < each; k++)
            y[i * each + k] = (double)((const float *)a->data)[from * each + k];
    }
    shape.dim[0] = b->rows;
    return y ? tg_input_borrow(t, TG_F64, shape, y) : NULL;
}

tg_tensor *tg_batch_get(tg_tape *t, const tg_batch *b, const char *name)
{
    const tg_attached *a = NULL;
    if (tg_tape_status(t) != TG_OK) return NULL;
    if (!b || !name) return tg_fail_at(t, NULL, TG_ENULL, "the batch or the name is NULL");
    for (int k = 0; b->data && !a && k < b->data->n_attached; k++)
        if (!strcmp(b->data->attached[k].name, name)) a = &b->data->attached[k];
    if (!a)
        return tg_fail_at(t, NULL, TG_EVALUE, "nothing named '%.60s' is attached to the data",
                          name);
    tg_shape shape = {.ndim = a->row.ndim + 1, .dim = {b->row ? b->data->rows : b->rows}};
    for (int k = 0; k < a->row.ndim; k++) shape.dim[k + 1] = a->row.dim[k];
    if (a->dtype == TG_F32 && tg_tensor_dtype(b->x) == TG_F64) return widened(t, b, a, shape);
    const size_t skipped = b->row ? 0 : (size_t)b->first * a->bytes;
    tg_tensor *y = tg_input_borrow(t, a->dtype, shape, (const char *)a->data + skipped);
    if (!b->row) return y;
    return tg_index_select(t, y, 0, tg_input_borrow(t, TG_I64, TG_SHAPE(b->rows), b->row));
}
