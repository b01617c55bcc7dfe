/* Looking for NaN and infinity in what nodes computed. Private. */
#ifndef TG_WATCH_H
#define TG_WATCH_H

#include "plan.h"

/* A node-by-node plan on its way; ids maps the graph's nodes to the tape's. */
typedef struct tg_watched {
    tg_tape *t;
    const tg_plan *plan;
    const uint32_t *ids;
} tg_watched;

/* Whether the node that was just computed made a NaN or an infinity, or got a NaN from a leaf; then
 * the tape fails, and has a report. An infinity that was handed in is passed on. */
bool tg_watch(const tg_watched *w, uint32_t node);

#endif
