/* tapegrad: what stands on the ops, one header a room, each using only those
 * before it. */
#ifndef TG_MODELS_H
#define TG_MODELS_H

#include <tapegrad/data.h>
#include <tapegrad/layers.h>
#include <tapegrad/training.h>
#include <tapegrad/report.h>
#include <tapegrad/nets.h>

#endif
