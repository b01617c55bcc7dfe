/* What a tensor's handle tells, and how the parameter behind one is changed. */
#include "tape.h"

#include <string.h>

static tg_type type_of(const tg_tensor *x)
{
    const tg_param *p = tg_param_of(x);
    if (p) return (tg_type){p->dtype, p->shape};
    const tg_slot *slot = tg_slot_of(x);
    if (!x || !tg_is_current(slot->tape, x)) return (tg_type){TG_F32, {.ndim = -1}};
    return tg_node_type(slot->tape, slot->id)->type;
}

tg_shape tg_tensor_shape(const tg_tensor *x) { return type_of(x).shape; }
tg_dtype tg_tensor_dtype(const tg_tensor *x) { return type_of(x).dtype; }

int64_t tg_tensor_count(const tg_tensor *x)
{
    int64_t count = tg_shape_count(type_of(x).shape);
    return count < 0 ? 0 : count;
}

/* ---------------------------------------------------------------- parameters */

/* TG_OK with *out set when p is a parameter of a healthy set. */
static tg_status param_to_change(tg_tensor *p, const char *what, tg_param **out)
{
    *out = tg_param_of(p);
    if (!p) return TG_ENULL;
    if (*out) return (*out)->owner->error.status;
    tg_fail_at(tg_slot_of(p)->tape, NULL, TG_ETAPE, "%s: the tensor is no parameter", what);
    return TG_ETAPE;
}

tg_status tg_param_set_trainable(tg_tensor *p, bool trainable)
{
    tg_param *param;
    const tg_status status = param_to_change(p, "param_set_trainable", &param);
    if (status != TG_OK) return status;
    param->trainable = trainable;
    if (!trainable) param->has_grad = false;
    return TG_OK;
}

tg_status tg_param_write(tg_tensor *p, const void *data)
{
    tg_param *param;
    const tg_status status = param_to_change(p, "param_write", &param);
    if (status != TG_OK) return status;
    if (!data && param->count)
        return tg_error_set(&param->owner->error, NULL, "param_write", TG_ENULL,
                            "\"%s\": the data is NULL", param->name);
    if (param->count) memmove(param->value, data, param->bytes);
    tg_param_changed(param);
    return TG_OK;
}

tg_status tg_param_add_grad(tg_tensor *p, const void *grad)
{
    tg_param *param;
    const char *what = "param_add_grad";
    const tg_status status = param_to_change(p, what, &param);
    if (status != TG_OK) return status;
    tg_error *error = &param->owner->error;
    if (!grad && param->count)
        return tg_error_set(error, NULL, what, TG_ENULL, "\"%s\": the gradient is NULL",
                            param->name);
    if (!param->trainable)
        return tg_error_set(error, NULL, what, TG_ESTATE, "\"%s\" is not trainable", param->name);
    if (!tg_param_grad_buffer(param))
        return tg_error_set(error, NULL, what, TG_ENOMEM, "no memory for the gradient of \"%s\"",
                            param->name);
    if (!param->count) {
        param->has_grad = true;
    } else if (!param->has_grad) {
        memmove(param->grad, grad, param->bytes);
        param->has_grad = true;
    } else if (param->dtype == TG_F32) {
        float *sum = param->grad;
        const float *term = grad;
        for (int64_t i = 0; i < param->count; i++) sum[i] += term[i];
    } else {
        double *sum = param->grad;
        const double *term = grad;
        for (int64_t i = 0; i < param->count; i++) sum[i] += term[i];
    }
    return TG_OK;
}
