/* Averages of weights over the steps. */
#include <math.h>
#include <string.h>

#include <tapegrad/optim.h>

#include "../graph/params.h"

struct tg_average {
    tg_allocator allocator;
    tg_error error;
    bool unusable, swapped;
    tg_params *params;
    double decay;
    int64_t updates;
    size_t n, capacity; /* parameters covered */
    void **value;       /* [n] */
};

static tg_status fail(tg_average *a, tg_status status, const char *what)
{
    return tg_error_set(&a->error, NULL, "average", status, "%s", what);
}

static void set_up(tg_average *a, const tg_params *ps)
{
    if (ps->error.status != TG_OK) {
        tg_error_set(&a->error, NULL, NULL, ps->error.status, "%s", ps->error.message);
        return;
    }
    if (!(a->decay >= 0 && a->decay < 1)) {
        fail(a, TG_EVALUE, "the decay must be in [0, 1)");
        return;
    }
    a->capacity = ps->count;
    a->value = tg_allocate(&a->allocator, ps->count * sizeof *a->value);
    for (; a->value && a->n < ps->count; a->n++)
        if (!(a->value[a->n] = tg_allocate(&a->allocator, ps->list[a->n]->bytes))) break;
    if (!a->value || a->n < ps->count) fail(a, TG_ENOMEM, "no memory for the averages");
}

tg_average *tg_average_new(tg_params *ps, double decay)
{
    const tg_allocator allocator = ps ? ps->allocator : tg_allocator_or_default(NULL);
    tg_average *a = tg_allocate(&allocator, sizeof *a);
    if (!a) return NULL;
    *a = (tg_average){.allocator = allocator, .params = ps, .decay = decay};
    if (ps) set_up(a, ps);
    else fail(a, TG_ENULL, "the parameters are NULL");
    a->unusable = a->error.status != TG_OK;
    return a;
}

void tg_average_free(tg_average *a)
{
    if (!a) return;
    const tg_allocator allocator = a->allocator;
    for (size_t k = 0; k < a->n; k++)
        tg_release(&allocator, a->value[k], a->params->list[k]->bytes);
    if (a->value) tg_release(&allocator, a->value, a->capacity * sizeof *a->value);
    tg_release(&allocator, a, sizeof *a);
}

tg_status tg_average_status(const tg_average *a) { return a ? a->error.status : TG_ENOMEM; }
const char *tg_average_message(const tg_average *a)
{
    return a ? a->error.message : "no average: there was no memory for it";
}
void tg_average_clear_error(tg_average *a)
{
    if (a && !a->unusable) a->error = (tg_error){TG_OK, ""};
}

#define MIX(T)                                                              \
    static void mix_##T(int64_t n, T part, const T *p, T *a)                \
    {                                                                       \
        TG_INDEPENDENT                                                      \
        for (int64_t i = 0; i < n; i++) a[i] = a[i] + part * (p[i] - a[i]); \
    }
MIX(float)
MIX(double)

tg_status tg_average_update(tg_average *a)
{
    if (tg_average_status(a) != TG_OK) return tg_average_status(a);
    if (a->swapped) return fail(a, TG_ESTATE, "weights and averages are swapped");
    const double part = a->decay > 0 ? 1 - a->decay : 1 / (double)(a->updates + 1);
    for (size_t k = 0; k < a->n; k++) {
        const tg_param *p = a->params->list[k];
        if (!a->updates || (p->dtype != TG_F32 && p->dtype != TG_F64)) {
            if (p->bytes) memcpy(a->value[k], p->value, p->bytes);
        } else if (p->dtype == TG_F32) mix_float(p->count, (float)part, p->value, a->value[k]);
        else mix_double(p->count, part, p->value, a->value[k]);
    }
    a->updates++;
    return TG_OK;
}

tg_status tg_average_swap(tg_average *a)
{
    if (tg_average_status(a) != TG_OK) return tg_average_status(a);
    if (!a->updates) return fail(a, TG_ESTATE, "there is no average before an update");
    for (size_t k = 0; k < a->n; k++) {
        tg_param *p = a->params->list[k];
        unsigned char *x = p->value, *y = a->value[k];
        for (size_t i = 0; i < p->bytes; i++) {
            const unsigned char kept = x[i];
            x[i] = y[i];
            y[i] = kept;
        }
        tg_param_changed(p);
    }
    a->swapped = !a->swapped;
    return TG_OK;
}

static void *value_of(const tg_average *a, const tg_tensor *param)
{
    const tg_param *p = a ? tg_param_of(param) : NULL;
    return p && p->owner == a->params && p->slot.id < a->n ? a->value[p->slot.id] : NULL;
}

const void *tg_average_data(const tg_average *a, const tg_tensor *param)
{
    return value_of(a, param);
}

int64_t tg_average_count(const tg_average *a) { return a ? a->updates : 0; }

tg_status tg_average_set(tg_average *a, const tg_tensor *param, const void *data)
{
    if (tg_average_status(a) != TG_OK) return tg_average_status(a);
    void *value = value_of(a, param);
    if (!value || !data)
        return fail(a, value ? TG_ENULL : TG_EVALUE,
                    value ? "the data is NULL" : "the parameter has no average here");
    if (tg_param_of(param)->bytes) memcpy(value, data, tg_param_of(param)->bytes);
    return TG_OK;
}

tg_status tg_average_set_count(tg_average *a, int64_t updates)
{
    if (tg_average_status(a) != TG_OK) return tg_average_status(a);
    if (updates < 0) return fail(a, TG_EVALUE, "a negative number of updates");
    a->updates = updates;
    return TG_OK;
}
