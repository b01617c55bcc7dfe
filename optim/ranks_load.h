/* Where a transport comes from. Private. */
#ifndef TG_RANKS_LOAD_H
#define TG_RANKS_LOAD_H

#include <tapegrad/ranks.h>

#include "../graph/memory.h"

/* Whether there is more than this process, and then how it talks to the others, through a library
 * that is loaded. false: no; or there is, and e says why it can't be reached. */
bool tg_ranks_load(tg_transport *t, tg_error *e);

#endif
