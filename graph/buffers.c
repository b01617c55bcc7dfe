/* New values for parameters that are not trained: recorded with a step, written once it is
 * computed. */
#define TG_NO_MACROS
#include "base.h"
#include "tape.h"

static tg_assignment *find(tg_tape *t, const tg_param *p)
{
    for (size_t k = 0; k < t->asked.n_assignments; k++)
        if (t->asked.assignment[k].to == p) return &t->asked.assignment[k];
    return NULL;
}

static tg_status set(tg_tape *t, const char *where, tg_tensor *p, tg_tensor *x)
{
    const char *what = "buffer_set";
    tg_param *to = tg_param_of(p);
    if (!tg_belongs(t, where, what, x)) return t->error.status;
    if (!to)
        return tg_tape_fail(t, where, what, p ? TG_EVALUE : TG_ENULL, "the buffer is %s",
                            p ? "no parameter" : "NULL");
    if (to->trainable)
        return tg_tape_fail(t, where, what, TG_ESTATE, "\"%s\" is trained by gradients", to->name);
    const tg_shape shape = tg_tensor_shape(x);
    const tg_dtype dtype = tg_dtype_on(t, p), given = tg_dtype_on(t, x);
    if (!tg_shape_equal(shape, to->shape) || given != dtype)
        return tg_tape_fail(t, where, what, given == dtype ? TG_ESHAPE : TG_EDTYPE,
                            "\"%s\" is %s %s, its new value %s %s", to->name, tg_dtype_name(dtype),
                            tg_shape_text(to->shape).text, tg_dtype_name(given),
                            tg_shape_text(shape).text);
    tg_assignment *a = find(t, to);
    if (!a) {
        void *list = t->asked.assignment;
        const bool ok = tg_grow(&t->allocator, &list, &t->asked.assignment_capacity,
                                t->asked.n_assignments + 1, sizeof *t->asked.assignment);
        t->asked.assignment = list;
        if (!ok) return tg_tape_fail(t, where, what, TG_ENOMEM, "no memory");
        a = &t->asked.assignment[t->asked.n_assignments++];
    }
    *a = (tg_assignment){to, tg_keep_at(t, where, x)};
    return t->error.status;
}

tg_status tg_buffer_set_at(tg_tape *t, const char *where, tg_tensor *p, tg_tensor *x)
{
    if (!t) return TG_ENOMEM;
    return t->error.status ? t->error.status : set(t, where, p, x);
}

tg_tensor *tg_buffer_get(tg_tape *t, tg_tensor *p)
{
    const tg_assignment *a = t && tg_param_of(p) ? find(t, tg_param_of(p)) : NULL;
    return a ? a->x : p;
}

tg_param *tg_buffer_pending(tg_tape *t, size_t k, const void **value)
{
    if (!t || k >= t->asked.n_assignments) return NULL;
    *value = tg_data_at(t, NULL, t->asked.assignment[k].x);
    return t->asked.assignment[k].to;
}

tg_status tg_buffers_update_at(tg_tape *t, const char *where)
{
    if (!t) return TG_ENOMEM;
    for (size_t k = 0; k < t->asked.n_assignments && !t->error.status; k++)
        if (!tg_data_at(t, where, t->asked.assignment[k].x)) return t->error.status;
    for (size_t k = 0; k < t->asked.n_assignments && !t->error.status; k++) {
        tg_tensor *p = tg_param_handle(t->asked.assignment[k].to);
        const tg_status status = tg_param_write(p, tg_data_at(t, where, t->asked.assignment[k].x));
        if (status != TG_OK)
            return tg_tape_fail(t, where, "buffers_update", status, "\"%s\": %s", tg_param_name(p),
                                tg_params_message(t->asked.assignment[k].to->owner));
    }
    return t->error.status;
}
