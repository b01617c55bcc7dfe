/* Checkpoints of a training, and stopping it. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "training.h"

static volatile sig_atomic_t asked;

/* The first signal asks for the end of the step; the second one ends the program. */
static void ask(int number) { asked = number; }

int asked_to_stop(void) { return asked; }

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = ask, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* What the training depends on, but for its data, of which the library keeps a digest. */
static bool settings_of(const request *r, const display *d, checkpoint *c)
{
    char optimizer[OPTIMIZER_TEXT];
    const size_t room = sizeof c->settings;
    optimizer_text(r, optimizer, "");
    int n = snprintf(c->settings, room, "optimizer '%s' clip %.17g accumulate %lld", optimizer,
                     r->clip, (long long)r->accumulate);
    for (int k = 0; k < r->n_groups && n >= 0 && (size_t)n < room; k++)
        n += snprintf(c->settings + n, room - (size_t)n, " group '%s'", r->group[k]);
    if (r->schedule && n >= 0 && (size_t)n < room)
        n += snprintf(c->settings + n, room - (size_t)n, " schedule '%s' of %lld epochs",
                      r->schedule, (long long)d->epochs);
    if (n >= 0 && (size_t)n < room)
        n += snprintf(c->settings + n, room - (size_t)n,
                      " loss %s standardize %d watch %s better %.17g average %.17g from %lld",
                      tg_head_name(r->loss), !r->no_standardize, r->watch ? r->watch : "loss",
                      r->better_by, r->average, (long long)r->average_from);
    if (!r->layers && n >= 0 && (size_t)n < room)
        n += snprintf(c->settings + n, room - (size_t)n, " activation %s dropout %.17g",
                      r->activation ? r->activation : "relu", r->dropout);
    return n >= 0 && (size_t)n < room;
}

int open_checkpoint(const request *r, const display *d, checkpoint *c)
{
    if (!r->checkpoint) return DONE;
    const int n = snprintf(c->path, sizeof c->path, "%s/training.safetensors", r->checkpoint);
    if (n < 0 || (size_t)n >= sizeof c->path || !settings_of(r, d, c))
        return complain(FAILED, "--checkpoint: too long a name, or too many settings");
    if (mkdir(r->checkpoint, 0777) != 0 && errno != EEXIST)
        return complain(FAILED, "--checkpoint: %s: %s", r->checkpoint, strerror(errno));
    const bool there = access(c->path, F_OK) == 0;
    if (there && !r->resume)
        return complain(FAILED,
                        "--checkpoint: %s is there already: --resume goes on from it; remove it to "
                        "begin anew",
                        c->path);
    if (!there && r->resume && !r->quiet)
        fprintf(stderr, "%s: there is no checkpoint yet: training begins\n", r->checkpoint);
    catch_signals();
    return DONE;
}

int stopped(const request *r, const tg_model *m)
{
    int64_t epochs;
    tg_model_history(m, &epochs);
    fprintf(stderr, "stopped in epoch %lld; what has been learnt is in %s. To go on:\n    %s%s\n",
            (long long)epochs + 1, r->checkpoint, r->command, r->resume ? "" : " --resume");
    return 128 + asked;
}
