/* tapegrad: all of its public headers. */
#ifndef TAPEGRAD_H
#define TAPEGRAD_H

#include <tapegrad/graph.h>
#include <tapegrad/op.h>
#include <tapegrad/profile.h>
#include <tapegrad/timing.h>
#include <tapegrad/ops.h>
#include <tapegrad/optim.h>
#include <tapegrad/ranks.h>
#include <tapegrad/models.h>

#endif
