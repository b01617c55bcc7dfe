/* What an optimizer remembers comes together on rank 0. */
#include <string.h>

#include "optimizer.h"
#include "rank.h"

/* What of a parameter's slots lies in the slice of `rank`, all of them one behind the other. */
static size_t slots_bytes(const tg_ranks *r, const tg_optim *o, size_t k, int rank)
{
    const int slice = tg_slice_of(r, rank);
    const tg_part s = tg_slice_span(r, o->params, k, slice, slice + 1);
    return (size_t)o->rule.n_slots * (size_t)s.n * tg_dtype_size(o->params->list[k]->dtype);
}

static bool remembers(const tg_optim *o, size_t k)
{
    return k < o->n_histories && o->histories[k].steps > 0 && o->rule.n_slots > 0;
}

static size_t all_bytes(const tg_ranks *r, const tg_optim *o, int rank)
{
    const tg_optim *member;
    size_t bytes = 0;
    for (size_t m = 0; (member = tg_optim_member(o, m)) != NULL; m++)
        for (size_t k = 0; k < r->layout; k++)
            if (remembers(member, k)) bytes += slots_bytes(r, member, k, rank);
    return bytes;
}

/* Between the slots of o's parameters, of which `rank` has a slice, and one behind the other. */
static void move(const tg_ranks *r, tg_optim *o, int rank, char *flat, bool pack)
{
    const int slice = tg_slice_of(r, rank);
    const tg_optim *member;
    for (size_t m = 0; (member = tg_optim_member(o, m)) != NULL; m++)
        for (size_t k = 0; k < r->layout; k++) {
            if (!remembers(member, k)) continue;
            const tg_param *p = o->params->list[k];
            const tg_part s = tg_slice_span(r, o->params, k, slice, slice + 1);
            const size_t size = tg_dtype_size(p->dtype), bytes = (size_t)s.n * size;
            for (int slot = 0; bytes && slot < member->rule.n_slots; slot++, flat += bytes) {
                char *const mine = (char *)tg_optim_slot(member, p, slot) +
                                   (size_t)(s.first - member->histories[k].span.first) * size;
                if (pack) memcpy(flat, mine, bytes);
                else memcpy(mine, flat, bytes);
            }
        }
}

/* Rank 0 makes room for whole slots. */
static bool widen(const tg_ranks *r, tg_optim *o)
{
    tg_optim *member;
    for (size_t m = 0; (member = tg_optim_member(o, m)) != NULL; m++)
        for (size_t k = 0; k < r->layout; k++)
            if (remembers(member, k) && !tg_optim_resize(member, o->params->list[k],
                                                         (tg_part){0, o->params->list[k]->count}))
                return false;
    return true;
}

tg_status tg_ranks_collect(tg_ranks *r, tg_optim *o)
{
    if (!r) return TG_ENOMEM;
    tg_status status = tg_optim_status(o);
    const char *message = tg_optim_message(o);
    if (status == TG_OK && o->divided) {
        size_t most = 0;
        for (int k = r->rank ? r->rank : 1; k < (r->rank ? r->rank + 1 : r->n); k++)
            if (all_bytes(r, o, k) > most) most = all_bytes(r, o, k);
        if (!tg_room_reserve(r, &r->out, most) || (!r->rank && !widen(r, o))) {
            status = TG_ENOMEM;
            message = "no memory for an optimizer's whole state";
        }
    }
    const uint64_t print = status == TG_OK && o->divided;
    if (tg_ranks_call(r, TG_PLACE_COLLECT, print, status, message) != TG_OK || !print)
        return r->error.status;
    if (r->rank) {
        move(r, o, r->rank, r->out.data, true);
        tg_travel(r, 0, r->out.data, all_bytes(r, o, r->rank), -1, NULL, 0);
    }
    for (int k = 1; !r->rank && k < r->n; k++) {
        if (!tg_travel(r, -1, NULL, 0, k, r->out.data, all_bytes(r, o, k))) break;
        move(r, o, k, r->out.data, false);
    }
    for (size_t m = 0; tg_optim_member(o, m); m++) tg_optim_member(o, m)->divided = false;
    return r->error.status;
}
