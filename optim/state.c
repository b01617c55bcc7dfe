/* What optimizers remember, for checkpoints. */
#include <string.h>

#include "optimizer.h"

static const char *const step_slot = "step";

/* Rules compute with the number of steps in double, exact up to here; from here no process counts
 * on to where int64_t ends. */
static const int64_t most_steps = (int64_t)1 << 53;

static int entries(const tg_optim *o)
{
    return o->unusable ? 0 : (int)o->n_histories * (o->rule.n_slots + 1);
}

int tg_optim_state_count(const tg_optim *o)
{
    int n = 0;
    for (size_t k = 0; o && tg_optim_member(o, k); k++) n += entries(tg_optim_member(o, k));
    return n;
}

static bool get(const tg_optim *o, int index, tg_optim_state *out)
{
    const int each = o->rule.n_slots + 1, slot = index % each;
    const tg_param *p = o->params->list[index / each];
    const tg_history *h = &o->histories[index / each];
    if (!h->steps || (h->slots && h->span.n < p->count)) return false;
    if (slot < o->rule.n_slots)
        *out = (tg_optim_state){p->name, o->rule.slot[slot], p->dtype, p->shape,
                                tg_optim_slot(o, p, slot)};
    else *out = (tg_optim_state){p->name, step_slot, TG_I64, TG_SCALAR, &h->steps};
    return true;
}

bool tg_optim_state_get(const tg_optim *o, int index, tg_optim_state *out)
{
    if (!o || !out || index < 0) return false;
    for (size_t k = 0; tg_optim_member(o, k); k++) {
        const tg_optim *member = tg_optim_member(o, k);
        if (index < entries(member)) return get(member, index, out);
        index -= entries(member);
    }
    return false;
}

static tg_status set_slot(tg_optim *o, const tg_param *p, int slot, const tg_optim_state *state)
{
    const bool is_step = slot == o->rule.n_slots;
    const tg_dtype dtype = is_step ? TG_I64 : p->dtype;
    const tg_shape shape = is_step ? TG_SCALAR : p->shape;
    const char *what = o->rule.name;
    int64_t steps = 0;
    if (state->dtype != dtype)
        return tg_error_set(&o->error, NULL, what, TG_EDTYPE,
                            "state \"%s\" of \"%s\" is %s, not %s", state->slot, p->name,
                            tg_dtype_name(dtype), tg_dtype_name(state->dtype));
    if (!tg_shape_equal(state->shape, shape))
        return tg_error_set(&o->error, NULL, what, TG_ESHAPE,
                            "state \"%s\" of \"%s\" has shape %s, not %s", state->slot, p->name,
                            tg_shape_text(shape).text, tg_shape_text(state->shape).text);
    if (!state->data && tg_shape_count(shape))
        return tg_error_set(&o->error, NULL, what, TG_ENULL,
                            "the data of state \"%s\" of \"%s\" is NULL", state->slot, p->name);
    if (is_step) memcpy(&steps, state->data, sizeof steps);
    if (steps < 0 || steps > most_steps)
        return tg_error_set(&o->error, NULL, what, TG_EVALUE,
                            "state \"step\" of \"%s\" is %lld, not in 0 .. 2^53", p->name,
                            (long long)steps);
    if (!tg_optim_cover(o) || !tg_optim_remember(o, p))
        return tg_error_set(&o->error, NULL, what, TG_ENOMEM, "no memory for the state of \"%s\"",
                            p->name);
    if (is_step) o->histories[p->slot.id].steps = steps;
    else if (p->count) memmove(tg_optim_slot(o, p, slot), state->data, p->bytes);
    return TG_OK;
}

/* The parameter of this name that o moves. */
static tg_param *param_named(tg_optim *o, const char *name)
{
    tg_param *p = o->params ? tg_param_of(tg_params_find(o->params, name)) : NULL;
    return p && tg_optim_owns(o, p) ? p : NULL;
}

tg_status tg_optim_state_set(tg_optim *o, const tg_optim_state *state)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    const char *what = o->rule.name;
    o->divided = false;
    if (!state || !state->param || !state->slot)
        return tg_error_set(&o->error, NULL, what, TG_ENULL, "the state, or a name in it, is NULL");
    tg_optim *member = NULL;
    const tg_param *p = NULL;
    for (size_t k = 0; !p && (member = tg_optim_member(o, k)) != NULL; k++)
        p = param_named(member, state->param);
    if (!p)
        return tg_error_set(&o->error, NULL, what, TG_EVALUE, "no parameter \"%s\" for a state",
                            state->param);
    for (int slot = 0; slot <= member->rule.n_slots; slot++) {
        const char *name = slot < member->rule.n_slots ? member->rule.slot[slot] : step_slot;
        if (strcmp(state->slot, name) != 0) continue;
        const tg_status status = set_slot(member, p, slot, state);
        if (status != TG_OK && member != o)
            tg_error_set(&o->error, NULL, NULL, status, "%s", member->error.message);
        return status;
    }
    return tg_error_set(&o->error, NULL, what, TG_EVALUE, "no state \"%s\"", state->slot);
}
