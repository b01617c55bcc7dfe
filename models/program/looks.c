/* What a training leaves to look at: the report page, the profile, a few lines for a terminal. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---------------------------------------------------------------- a few lines for a terminal */

bool in_colour(int descriptor)
{
    const char *none = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(descriptor) && !(none && *none) && terminal && strcmp(terminal, "dumb") != 0;
}

enum { CURVE_WIDTH = 60, CURVE_HEIGHT = 10 };

/* The mean loss of the epochs that share a column; NaN for none. */
static double column_loss(const tg_epoch *e, int64_t n, int column, int columns, bool held)
{
    const int64_t first = column * n / columns, end = (column + 1) * n / columns;
    double sum = 0;
    for (int64_t k = first; k < end; k++)
        sum += held ? e[k].validation.rows ? e[k].validation.loss : (double)NAN : e[k].train.loss;
    return sum / (double)(end - first);
}

static void show_curve(const tg_epoch *e, int64_t n, const char *held, bool colour)
{
    const int columns = n < CURVE_WIDTH ? (int)n : CURVE_WIDTH;
    double y[2][CURVE_WIDTH], low = INFINITY, high = -INFINITY;
    for (int h = 0; h < 2; h++)
        for (int c = 0; c < columns; c++) {
            y[h][c] = column_loss(e, n, c, columns, h);
            if (isfinite(y[h][c])) low = fmin(low, y[h][c]), high = fmax(high, y[h][c]);
        }
    if (columns < 2 || !(high > low)) return;
    const char *const on[2] = {colour ? "\033[34m" : "", colour ? "\033[33m" : ""},
                      *off = colour ? "\033[0m" : "";
    printf("\nloss  %s*%s train", on[0], off);
    if (e[0].validation.rows) printf("  %so%s %s", on[1], off, held);
    putchar('\n');
    for (int row = CURVE_HEIGHT - 1; row >= 0; row--) {
        if (row % 3 == 0) printf("%9.4g |", low + (high - low) * row / (CURVE_HEIGHT - 1));
        else printf("%9s |", "");
        for (int c = 0; c < columns; c++) {
            int is = -1;
            for (int h = 0; h < 2; h++)
                if (isfinite(y[h][c]) &&
                    (int)((y[h][c] - low) / (high - low) * (CURVE_HEIGHT - 1) + 0.5) == row)
                    is = h;
            if (is < 0) putchar(' ');
            else printf("%s%c%s", on[is], "*o"[is], off);
        }
        putchar('\n');
    }
    printf("%9s +", "");
    for (int c = 0; c < columns; c++) putchar('-');
    char last[32];
    snprintf(last, sizeof last, "epoch %lld", (long long)n);
    printf("\n%10s 1%*s\n", "", columns > 9 ? columns - 1 : 10, last);
}

int show_results(tg_model *model, const tg_dataset *data, const char *held)
{
    enum { MOST_CLASSES = 12 };
    const bool colour = in_colour(STDOUT_FILENO);
    int64_t n, count[MOST_CLASSES * MOST_CLASSES];
    tg_metrics scores;
    const tg_epoch *e = tg_model_history(model, &n);
    if (n) show_curve(e, n, held, colour);
    if (tg_model_classes(model) < 2 || tg_model_classes(model) > MOST_CLASSES) return DONE;
    if (tg_evaluate(model, data, &scores, count) != TG_OK)
        return complain(FAILED, "%s", tg_model_message(model));
    putchar('\n');
    print_confusion(model, count, colour);
    return DONE;
}
