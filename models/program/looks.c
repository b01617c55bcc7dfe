/* What a training leaves to look at: the report page, the profile, a few lines for a terminal. */
#include <stdio.h>
#include <string.h>

#include "main.h"

/* A word as a shell would want it. */
static size_t put_word(char *to, size_t size, const char *word)
{
    size_t n = 0;
    const bool plain = *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789_-+=./,:@%") == strlen(word);
    if (!plain && n < size) to[n++] = '\'';
    for (; *word; word++) {
        const char *piece = *word == '\'' && !plain ? "'\\''" : (char[]){*word, 0};
        for (; *piece && n < size; piece++) to[n++] = *piece;
    }
    if (!plain && n < size) to[n++] = '\'';
    return n;
}

void command_text(int n, char **word, char text[COMMAND_TEXT])
{
    size_t used = (size_t)snprintf(text, COMMAND_TEXT, "tapegrad");
    for (int k = 1; k < n && used + 1 < COMMAND_TEXT; k++) {
        text[used++] = ' ';
        used += put_word(text + used, COMMAND_TEXT - 1 - used, word[k]);
    }
    text[used] = 0;
}

/* ---------------------------------------------------------------- the page and the profile */

void net_text(const request *r, const tg_model *m, char *text, size_t room)
{
    if (r->layers) {
        snprintf(text, room, "%s", r->layers);
        return;
    }
    size_t used = (size_t)snprintf(text, room, "%lld", (long long)features_of(m));
    for (int k = 0; k < r->n_hidden && used < room; k++)
        used += (size_t)snprintf(text + used, room - used, "-%lld", (long long)r->hidden[k]);
    if (used < room)
        snprintf(text + used, room - used, "-%lld",
                 tg_model_head(m) == TG_HEAD_CROSS_ENTROPY ? (long long)tg_model_classes(m) : 1);
}

static void settings_text(const request *r, const tg_model *m, const tg_fit_options *o, char *text,
                          size_t size)
{
    char net[512], kind[100] = "";
    net_text(r, m, net, sizeof net);
    if (!r->layers)
        snprintf(kind, sizeof kind, ", %s, dropout %g", r->activation ? r->activation : "relu",
                 r->dropout);
    snprintf(text, size, "net: %s%s\noptimizer: %s, learning rate %g\nbatch: %lld\n%s%s%s", net,
             kind, r->optimizer, tg_optim_learning_rate(o->optimizer), (long long)o->batch,
             r->schedule ? "schedule: " : "", r->schedule ? r->schedule : "",
             r->schedule ? "\n" : "");
}

/* The last part of a path. */
static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void begin_looks(const request *r, tg_model *m, const char *held, tg_fit_options *o, looks *l)
{
    /* enough for a first impression of the machine, in half a second */
    enum { ROUNDS = 3 };
    *l = (looks){0};
    if (r->profile)
        o->profile = l->profile =
            tg_profile_new(&(tg_profile_options){.size = sizeof(tg_profile_options),
                                                 .allocator = program_allocator(),
                                                 .limit_rounds = ROUNDS,
                                                 .threads = threads_of(r)});
    if (!r->report) return;
    char settings[1024];
    settings_text(r, m, o, settings, sizeof settings);
    l->report = tg_report_new(m, &(tg_report_options){.size = sizeof(tg_report_options),
                                                      .allocator = program_allocator(),
                                                      .title = name_of(r->data),
                                                      .data = r->data,
                                                      .command = r->command,
                                                      .held = held,
                                                      .seed = r->seed,
                                                      .settings = settings,
                                                      .limit_rounds = ROUNDS,
                                                      .threads = threads_of(r)});
    tg_report_attach(l->report, o);
}

int end_looks(const request *r, const tg_dataset *train, const tg_dataset *held, looks *l,
              int status)
{
    if (r->report && status == DONE && tg_report_write(l->report, train, held, r->report) != TG_OK)
        status = complain(FAILED, "%s", tg_report_message(l->report));
    if (r->profile && status == DONE) {
        tg_profile_write(l->profile, TG_PROFILE_TRACE, r->profile);
        if (!r->quiet) {
            fflush(stderr);
            tg_profile_write(l->profile, TG_PROFILE_TABLE, "/dev/stderr");
        }
        if (tg_profile_status(l->profile) != TG_OK)
            status = complain(FAILED, "%s", tg_profile_message(l->profile));
    }
    tg_report_free(l->report);
    tg_profile_free(l->profile);
    return status;
}
