/* Rows on their way into a net: standardisation, gathering, recording as inputs. */
#define TG_HERE NULL
#include <string.h>

#include "../data/scaler.h"
#include "model.h"

/* ---------------------------------------------------------------- standardisation */

bool tg_scaling_reserve(tg_model *m)
{
    const size_t bytes = (size_t)m->schema.features * sizeof(double);
    m->scaling.mean = tg_arena_take(&m->arena, bytes);
    m->scaling.std = tg_arena_take(&m->arena, bytes);
    return m->scaling.mean && m->scaling.std;
}

tg_status tg_scaling_learn(tg_model *m, const tg_dataset *d)
{
    tg_scaling *s = &m->scaling;
    const int64_t features = m->schema.features;
    if (s->known) return TG_OK;
    if (!d->schema.pixels) {
        if (!tg_scaling_reserve(m))
            return tg_error_set(&m->error, NULL, "fit", TG_ENOMEM, "no memory");
        for (int64_t k = 0; k < features; k++)
            tg_moments((tg_numbers){d->x, d->exact}, k, d->rows, features, &s->mean[k], &s->std[k]);
    }
    if (m->schema.task == TG_TASK_REGRESSION)
        tg_moments((tg_numbers){d->number, d->exact_number}, 0, d->rows, 1, &s->target_mean,
                   &s->target_std);
    s->known = true;
    return TG_OK;
}

/* ---------------------------------------------------------------- gathering */

bool tg_rows_reserve(tg_model *m, tg_rows *b, tg_dtype dtype, int64_t rows)
{
    if (b->capacity >= rows && b->dtype == dtype) return true;
    tg_rows_free(m, b);
    const size_t n = (size_t)rows, features = (size_t)m->schema.features,
                 size = tg_dtype_size(dtype);
    *b = (tg_rows){.dtype = dtype, .capacity = rows, .features = m->schema.features};
    if (n <= (size_t)PTRDIFF_MAX / sizeof(double) / features)
        b->x = tg_allocate(&m->allocator, n * features * size);
    b->number = tg_allocate(&m->allocator, n * size);
    b->class_number = tg_allocate(&m->allocator, n * sizeof *b->class_number);
    if (b->x && b->number && b->class_number) return true;
    tg_rows_free(m, b);
    tg_model_fail(m, TG_ENOMEM, "no memory for a batch of %lld rows", (long long)rows);
    return false;
}

void tg_rows_free(const tg_model *m, tg_rows *b)
{
    const size_t n = (size_t)b->capacity, size = tg_dtype_size(b->dtype);
    tg_release(&m->allocator, b->x, n * (size_t)b->features * size);
    tg_release(&m->allocator, b->number, n * size);
    tg_release(&m->allocator, b->class_number, n * sizeof *b->class_number);
    *b = (tg_rows){0};
}

static void put(const tg_rows *b, void *to, int64_t k, double value)
{
    if (b->dtype == TG_F32) ((float *)to)[k] = (float)value;
    else ((double *)to)[k] = value;
}

/* Row number `from` of the data becomes row i. */
static void gather_features(const tg_scaling *s, tg_rows *b, const tg_dataset *d, int64_t i,
                            int64_t from)
{
    const int64_t width = b->features;
    const tg_numbers features = {d->x, d->exact};
    if (s->mean) {
        for (int64_t k = 0; k < width; k++)
            put(b, b->x, i * width + k,
                (tg_number_at(features, from * width + k) - s->mean[k]) / s->std[k]);
    } else if (b->dtype == TG_F32) {
        memcpy((float *)b->x + i * width, d->x + from * width, (size_t)width * sizeof *d->x);
    } else {
        for (int64_t k = 0; k < width; k++)
            put(b, b->x, i * width + k, tg_number_at(features, from * width + k));
    }
}

void tg_rows_gather(const tg_model *m, tg_rows *b, const tg_dataset *d, int64_t n,
                    const int64_t *row, int64_t first)
{
    const tg_scaling *s = &m->scaling;
    const tg_numbers target = {d->number, d->exact_number};
    b->data = d;
    b->row = row;
    b->first = first;
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = row ? row[i] : first + i;
        gather_features(s, b, d, i, from);
        if (!d->has_target) continue;
        if (m->schema.task == TG_TASK_REGRESSION) {
            put(b, b->number, i, (tg_number_at(target, from) - s->target_mean) / s->target_std);
        } else {
            b->class_number[i] = d->class_number[from];
            put(b, b->number, i, (double)d->class_number[from]);
        }
    }
}

tg_batch tg_rows_inputs(const tg_model *m, const tg_rows *b, tg_tape *t, int64_t n, bool target)
{
    tg_batch y = {.size = sizeof y,
                  .rows = n,
                  .x = tg_input_borrow(t, b->dtype, TG_SHAPE(n, b->features), b->x),
                  .data = b->data,
                  .row = b->row,
                  .first = b->first};
    const bool classes = m->head == TG_HEAD_CROSS_ENTROPY ||
                         (m->head == TG_HEAD_CUSTOM && m->schema.task != TG_TASK_REGRESSION);
    if (target && classes) y.target = tg_input_borrow(t, TG_I64, TG_SHAPE(n), b->class_number);
    else if (target) y.target = tg_input_borrow(t, b->dtype, TG_SHAPE(n, 1), b->number);
    return y;
}
