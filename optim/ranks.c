/* Joining, leaving, and what ranks share besides gradients. */
#include <string.h>
#include <xxhash.h>

#include "optimizer.h"
#include "rank.h"
#include "ranks_load.h"

/* ---------------------------------------------------------------- life and errors */

static void take_transport(tg_ranks *r, const tg_transport *given)
{
    tg_transport t;
    if (!tg_options_read(&t, sizeof t, given))
        tg_error_set(&r->error, NULL, "ranks", TG_EVALUE, TG_UNSIZED(tg_transport));
    else if (t.ranks < 1 || t.ranks > TG_MOST_LEAVES || t.rank < 0 || t.rank >= t.ranks)
        tg_error_set(&r->error, NULL, "ranks", TG_EVALUE, "rank %d of %d", t.rank, t.ranks);
    else if (t.ranks > 1 && !t.exchange)
        tg_error_set(&r->error, NULL, "ranks", TG_ENULL, "the transport's exchange is NULL");
    if (r->error.status != TG_OK) return;
    r->transport = t;
    r->rank = t.rank;
    r->n = t.ranks;
}

tg_ranks *tg_ranks_join(const tg_ranks_options *options)
{
    tg_ranks_options o;
    const bool readable = tg_options_read(&o, sizeof o, options);
    const tg_allocator a = tg_allocator_or_default(readable ? o.allocator : NULL);
    tg_ranks *r = tg_allocate(&a, sizeof *r);
    if (!r) return NULL;
    memset(r, 0, sizeof *r);
    r->allocator = a;
    r->n = 1;
    r->leaves = 1;
    tg_arena_init(&r->memory, &r->allocator);
    tg_transport mpi = {.size = sizeof mpi, .ranks = 1};
    if (!readable) tg_error_set(&r->error, NULL, "ranks", TG_EVALUE, TG_UNSIZED(tg_ranks_options));
    else if (o.transport) take_transport(r, o.transport);
    else if (tg_ranks_load(&mpi, &r->error)) take_transport(r, &mpi);
    if (r->error.status == TG_OK && !tg_room_reserve(r, &r->record, (size_t)r->n * TG_RECORD))
        tg_error_set(&r->own, NULL, "ranks", TG_ENOMEM, "no memory");
    return r;
}

static void release_room(const tg_ranks *r, const tg_room *room)
{
    tg_release(&r->allocator, room->data, room->capacity);
}

void tg_ranks_leave(tg_ranks *r)
{
    if (!r) return;
    const tg_allocator a = r->allocator;
    if (r->record.data) tg_ranks_call(r, TG_PLACE_LEAVE, 0, TG_OK, NULL);
    if (r->transport.leave) r->transport.leave(r->transport.user);
    tg_ranks_forget_layout(r);
    tg_arena_free(&r->memory);
    release_room(r, &r->out);
    release_room(r, &r->in);
    release_room(r, &r->record);
    release_room(r, &r->chunk);
    tg_release(&a, r->notes, r->notes_capacity * sizeof *r->notes);
    tg_release(&a, r, sizeof *r);
}

tg_status tg_ranks_status(const tg_ranks *r)
{
    if (!r) return TG_ENOMEM;
    return r->error.status != TG_OK ? r->error.status : r->own.status;
}

const char *tg_ranks_message(const tg_ranks *r)
{
    if (!r) return "no memory for the ranks";
    return r->error.status != TG_OK ? r->error.message : r->own.message;
}

int tg_ranks_rank(const tg_ranks *r) { return r ? r->rank : 0; }
int tg_ranks_count(const tg_ranks *r) { return r ? r->n : 1; }

int tg_ranks_neighbours(const tg_ranks *r)
{
    return r && r->transport.neighbours > 0 ? r->transport.neighbours : tg_ranks_count(r);
}

void tg_ranks_abandon(tg_ranks *r, int exit_code)
{
    if (r && r->transport.abandon) r->transport.abandon(r->transport.user, exit_code);
}

tg_ranks_stats tg_ranks_statistics(const tg_ranks *r) { return r ? r->stats : (tg_ranks_stats){0}; }

/* ---------------------------------------------------------------- sharing */

tg_status tg_ranks_share(tg_ranks *r, tg_status status, const char *message)
{
    return r ? tg_ranks_call(r, TG_PLACE_SHARE, 0, status, message) : TG_ENOMEM;
}

/* Of sizes, so that messages fit. */
static uint64_t print_sizes(const tg_params *ps)
{
    uint64_t print = 0;
    for (size_t k = 0; k < ps->count; k++)
        print = XXH3_64bits_withSeed(&ps->list[k]->bytes, sizeof ps->list[k]->bytes, print);
    return print;
}

tg_status tg_ranks_broadcast(tg_ranks *r, tg_params *ps)
{
    if (!r) return TG_ENOMEM;
    const tg_status own = tg_params_status(ps);
    if (tg_ranks_call(r, TG_PLACE_BROADCAST, own == TG_OK ? print_sizes(ps) : 0, own,
                      tg_params_message(ps)) != TG_OK)
        return r->error.status;
    for (size_t k = 0; k < ps->count; k++) {
        if (!tg_travel_from(r, 0, ps->list[k]->value, ps->list[k]->bytes)) return r->error.status;
        if (r->rank) tg_param_changed(ps->list[k]);
    }
    return TG_OK;
}

tg_status tg_ranks_compare(tg_ranks *r, int n, const char *const *name, const uint64_t *print)
{
    if (!r) return TG_ENOMEM;
    const bool given = n >= 0 && (n == 0 || (name && print));
    if (tg_ranks_call(r, TG_PLACE_COMPARE, (uint64_t)n, given ? TG_OK : TG_ENULL,
                      "compare: name or print is NULL") != TG_OK)
        return r->error.status;
    for (int k = 0; k < n; k++) {
        uint64_t *const all = (uint64_t *)(void *)r->record.data;
        all[0] = print[k];
        if (!tg_travel_all(r, all, sizeof *all)) return r->error.status;
        const uint64_t zero = all[(r->n - r->rank) % r->n];
        for (int other = 1; other < r->n; other++)
            if (all[(other - r->rank + r->n) % r->n] != zero)
                return tg_error_set(&r->error, NULL, "ranks", TG_ESTATE,
                                    "ranks 0 and %d differ in the %s", other, name[k]);
    }
    return TG_OK;
}

uint64_t tg_params_fingerprint(const tg_params *ps)
{
    uint64_t print = 0;
    for (size_t k = 0; ps && k < ps->count; k++) {
        const tg_param *p = ps->list[k];
        print = XXH3_64bits_withSeed(p->name, strlen(p->name), print);
        print =
            XXH3_64bits_withSeed(p->shape.dim, (size_t)p->shape.ndim * sizeof *p->shape.dim, print);
        print = XXH3_64bits_withSeed(p->value, p->bytes, print);
    }
    return print;
}

uint64_t tg_optim_fingerprint(const tg_optim *o)
{
    const tg_optim *part;
    uint64_t print = 0;
    for (size_t k = 0; o && (part = tg_optim_member(o, k)) != NULL; k++) {
        const double settings[] = {part->learning_rate,     part->factor,
                                   part->maximize,          part->clip.norm,
                                   part->clip.value,        (double)part->clip.nonfinite,
                                   (double)part->accumulate};
        print = XXH3_64bits_withSeed(part->rule.name, strlen(part->rule.name), print);
        print = XXH3_64bits_withSeed(settings, sizeof settings, print);
        print = XXH3_64bits_withSeed(part->options, part->rule.options_size, print);
    }
    return print;
}

tg_status tg_ranks_gather(tg_ranks *r, void *data, const size_t *end)
{
    if (!r) return TG_ENOMEM;
    const uint64_t print = end ? XXH3_64bits(end, (size_t)r->n * sizeof *end) : 0;
    if (tg_ranks_call(r, TG_PLACE_GATHER, print, end ? TG_OK : TG_ENULL, "gather: end is NULL") !=
        TG_OK)
        return r->error.status;
    char *const bytes = data;
    for (int d = 0; d + 1 < r->n; d++) {
        const int given = (r->rank - d + r->n) % r->n, got = (given - 1 + r->n) % r->n;
        const size_t out = given ? end[given - 1] : 0, in = got ? end[got - 1] : 0;
        if (!tg_travel(r, (r->rank + 1) % r->n, bytes + out, end[given] - out,
                       (r->rank - 1 + r->n) % r->n, bytes + in, end[got] - in))
            return r->error.status;
    }
    return TG_OK;
}
