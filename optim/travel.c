/* How ranks talk: small records to everybody, from one, to one; and what begins every collective
 * call. All of it is made of exchanges between two. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <time.h>

#include "rank.h"

bool tg_room_reserve(tg_ranks *r, tg_room *room, size_t bytes)
{
    void *data = room->data;
    const size_t before = room->capacity;
    const bool ok = tg_grow(&r->allocator, &data, &room->capacity, bytes, 1);
    room->data = data;
    r->stats.memory += room->capacity - before;
    return ok;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool tg_travel(tg_ranks *r, int to, const void *out, size_t out_bytes, int from, void *in,
               size_t in_bytes)
{
    if (!out_bytes) to = -1;
    if (!in_bytes) from = -1;
    if (to < 0 && from < 0) return true;
    const double start = seconds();
    const bool ok =
        r->transport.exchange(r->transport.user, to, out, out_bytes, from, in, in_bytes);
    r->stats.seconds += seconds() - start;
    if (to >= 0) r->stats.messages++;
    if (to >= 0) r->stats.bytes += out_bytes;
    if (!ok)
        tg_error_set(&r->error, NULL, "ranks", TG_EIO, "the transport %s failed",
                     r->transport.name ? r->transport.name : "");
    return ok;
}

/* Bruck et al. 1997: what has arrived is passed on, so that it doubles. */
bool tg_travel_all(tg_ranks *r, void *records, size_t bytes)
{
    char *const block = records;
    for (int d = 1; d < r->n; d *= 2) {
        const size_t part = bytes * (size_t)(d < r->n - d ? d : r->n - d);
        if (!tg_travel(r, (r->rank - d + r->n) % r->n, block, part, (r->rank + d) % r->n,
                       block + (size_t)d * bytes, part))
            return false;
    }
    return true;
}

/* Along a binomial tree. */
bool tg_travel_from(tg_ranks *r, int root, void *data, size_t bytes)
{
    const int own = (r->rank - root + r->n) % r->n;
    int d = 1;
    for (; d < r->n && !(own & d); d *= 2) continue;
    if (own && !tg_travel(r, -1, NULL, 0, (r->rank - d + r->n) % r->n, data, bytes)) return false;
    for (d /= 2; d; d /= 2)
        if (own + d < r->n && !tg_travel(r, (r->rank + d) % r->n, data, bytes, -1, NULL, 0))
            return false;
    return true;
}

bool tg_travel_sum(tg_ranks *r, double *x, size_t n)
{
    const size_t bytes = n * sizeof *x;
    double part[512];
    for (int d = 1; d < r->n; d *= 2) {
        if (r->rank & d) {
            if (!tg_travel(r, r->rank - d, x, bytes, -1, NULL, 0)) return false;
            break;
        }
        if (r->rank + d >= r->n) continue;
        /* In pieces, which the sender's one message is not: so it goes through r->in. */
        if (bytes > sizeof part && r->in.capacity < bytes)
            return tg_error_set(&r->error, NULL, "ranks", TG_ENOMEM, "no memory"), false;
        double *y = bytes > sizeof part ? (double *)(void *)r->in.data : part;
        if (!tg_travel(r, -1, NULL, 0, r->rank + d, y, bytes)) return false;
        for (size_t k = 0; k < n; k++) x[k] += y[k];
    }
    return tg_travel_from(r, 0, x, bytes);
}

/* ---------------------------------------------------------------- calls */

static const char *const place_name[TG_PLACE_COUNT] = {
    [TG_PLACE_SHARE] = "shares a status",
    [TG_PLACE_COMBINE] = "combines gradients",
    [TG_PLACE_STEP] = "takes a step",
    [TG_PLACE_READY] = "is about to update",
    [TG_PLACE_SUM] = "adds up a number",
    [TG_PLACE_COLLECT] = "collects an optimizer's state",
    [TG_PLACE_BROADCAST] = "broadcasts parameters",
    [TG_PLACE_COMPARE] = "compares fingerprints",
    [TG_PLACE_GATHER] = "gathers data",
    [TG_PLACE_LEAVE] = "leaves",
};

typedef struct call {
    int32_t status, place;
    uint64_t print;
} call;

_Static_assert(sizeof(call) == TG_RECORD, "there is room for so much");

enum { TOLD = sizeof((tg_error *)NULL)->message };

/* Rank `first` is in error: all hear why. */
static tg_status tell(tg_ranks *r, int first, tg_status status, const char *message)
{
    char text[TOLD] = "";
    if (r->rank == first && message) memcpy(text, message, strlen(message) % TOLD);
    if (!tg_travel_from(r, first, text, sizeof text)) return r->error.status;
    text[TOLD - 1] = 0;
    if (r->n == 1) return tg_error_set(&r->error, NULL, NULL, status, "%s", text);
    return tg_error_set(&r->error, NULL, NULL, status, "rank %d: %s", first, text);
}

static tg_status disagree(tg_ranks *r, int other, const call *a, const call *b)
{
    if (a->place != b->place)
        return tg_error_set(&r->error, NULL, "ranks", TG_ESTATE,
                            "rank 0 %s while rank %d %s: collective calls are made by all, in one "
                            "order",
                            place_name[(unsigned)a->place % TG_PLACE_COUNT], other,
                            place_name[(unsigned)b->place % TG_PLACE_COUNT]);
    return tg_error_set(&r->error, NULL, "ranks", TG_ESTATE,
                        "where rank 0 %s, rank %d has other leaves, parameters or sizes",
                        place_name[(unsigned)a->place % TG_PLACE_COUNT], other);
}

tg_status tg_ranks_call(tg_ranks *r, tg_place place, uint64_t print, tg_status status,
                        const char *message)
{
    if (r->error.status != TG_OK) return r->error.status;
    if (r->own.status != TG_OK) {
        status = r->own.status;
        message = r->own.message;
    }
    call *all = (call *)(void *)r->record.data;
    all[0] = (call){(int32_t)status, (int32_t)place, print};
    if (!tg_travel_all(r, all, sizeof *all)) return r->error.status;
    const call *zero = &all[(r->n - r->rank) % r->n];
    for (int k = 0; k < r->n; k++) {
        const call *c = &all[(k - r->rank + r->n) % r->n];
        if (c->status != TG_OK) return tell(r, k, (tg_status)c->status, message);
    }
    for (int k = 1; k < r->n; k++) {
        const call *c = &all[(k - r->rank + r->n) % r->n];
        if (c->place != zero->place || c->print != zero->print) return disagree(r, k, zero, c);
    }
    return TG_OK;
}
