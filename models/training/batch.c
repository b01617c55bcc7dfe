/* Rows on their way into the net: standardisation, gathering, recording as inputs. */
#define TG_HERE NULL
#include <string.h>

#include "../data/scaler.h"
#include "../layers/mlp.h"

/* ---------------------------------------------------------------- standardisation */

bool tg_scaling_reserve(tg_mlp *m)
{
    m->scaling.mean = tg_arena_take(&m->arena, (size_t)m->inputs * sizeof(double));
    m->scaling.std = tg_arena_take(&m->arena, (size_t)m->inputs * sizeof(double));
    return m->scaling.mean && m->scaling.std;
}

tg_status tg_scaling_learn(tg_mlp *m, const tg_dataset *d)
{
    tg_scaling *s = &m->scaling;
    if (s->known) return TG_OK;
    if (!d->schema.pixels) {
        if (!tg_scaling_reserve(m))
            return tg_error_set(&m->error, NULL, "fit", TG_ENOMEM, "no memory");
        for (int64_t k = 0; k < m->inputs; k++)
            tg_moments((tg_numbers){d->x, d->exact}, k, d->rows, m->inputs, &s->mean[k],
                       &s->std[k]);
    }
    if (m->head == TG_HEAD_MSE)
        tg_moments((tg_numbers){d->number, d->exact_number}, 0, d->rows, 1, &s->target_mean,
                   &s->target_std);
    s->known = true;
    return TG_OK;
}

/* ---------------------------------------------------------------- gathering */

bool tg_batch_reserve(tg_mlp *m, tg_batch *b, int64_t rows)
{
    if (b->capacity >= rows) return true;
    tg_batch_free(m, b);
    const size_t n = (size_t)rows;
    *b = (tg_batch){.capacity = rows, .features = m->inputs};
    if (n <= (size_t)PTRDIFF_MAX / sizeof(double) / (size_t)m->inputs)
        b->x = tg_allocate(&m->allocator, n * (size_t)m->inputs * sizeof *b->x);
    b->number = tg_allocate(&m->allocator, n * sizeof *b->number);
    b->class_number = tg_allocate(&m->allocator, n * sizeof *b->class_number);
    if (b->x && b->number && b->class_number) return true;
    tg_batch_free(m, b);
    tg_error_set(&m->error, NULL, "mlp", TG_ENOMEM, "no memory for a batch of %lld rows",
                 (long long)rows);
    return false;
}

void tg_batch_free(const tg_mlp *m, tg_batch *b)
{
    const size_t n = (size_t)b->capacity;
    tg_release(&m->allocator, b->x, n * (size_t)b->features * sizeof *b->x);
    tg_release(&m->allocator, b->number, n * sizeof *b->number);
    tg_release(&m->allocator, b->class_number, n * sizeof *b->class_number);
    *b = (tg_batch){0};
}

void tg_batch_gather(const tg_mlp *m, tg_batch *b, const tg_dataset *d, int64_t n,
                     const int64_t *row, int64_t first)
{
    const int64_t width = m->inputs;
    const tg_scaling *s = &m->scaling;
    const tg_numbers features = {d->x, d->exact}, target = {d->number, d->exact_number};
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = row ? row[i] : first + i;
        const float *x = d->x + from * width;
        float *y = b->x + i * width;
        if (s->mean) {
            for (int64_t k = 0; k < width; k++)
                y[k] = (float)((tg_number_at(features, from * width + k) - s->mean[k]) / s->std[k]);
        } else {
            memcpy(y, x, (size_t)width * sizeof *y);
        }
        if (!d->has_target) continue;
        if (m->head == TG_HEAD_MSE) {
            b->number[i] = (float)((tg_number_at(target, from) - s->target_mean) / s->target_std);
        } else {
            b->class_number[i] = d->class_number[from];
            b->number[i] = (float)d->class_number[from];
        }
    }
}

tg_tensor *tg_batch_x(const tg_mlp *m, const tg_batch *b, tg_tape *t, int64_t n)
{
    return tg_input_borrow(t, TG_F32, TG_SHAPE(n, m->inputs), b->x);
}

tg_tensor *tg_batch_target(const tg_mlp *m, const tg_batch *b, tg_tape *t, int64_t n)
{
    if (m->head == TG_HEAD_CROSS_ENTROPY)
        return tg_input_borrow(t, TG_I64, TG_SHAPE(n), b->class_number);
    return tg_input_borrow(t, TG_F32, TG_SHAPE(n, 1), b->number);
}
