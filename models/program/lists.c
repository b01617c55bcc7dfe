/* Optimizers and schedules: choosing them from text, and printing what there is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "main.h"

/* ---------------------------------------------------------------- optimizers */

/* Whether text begins with an optimizer's name. */
static bool names_optimizer(const char *text)
{
    int n;
    const tg_optim_info *const *list = tg_optims_list(&n);
    const size_t length = strcspn(text, " ,");
    for (int k = 0; k < n; k++)
        if (strlen(list[k]->name) == length && !memcmp(list[k]->name, text, length)) return true;
    return false;
}

/* The settings that have options of their own go behind those of --optimizer. */
void optimizer_text(const request *r, char text[OPTIMIZER_TEXT], const char *more)
{
    static const char *const name[] = {"lr", "momentum", "weight_decay"};
    const double value[] = {r->lr, r->momentum, r->weight_decay};
    int n = snprintf(text, OPTIMIZER_TEXT, "%s", r->optimizer);
    for (int k = 0; k < 3; k++)
        if (value[k] >= 0 && n >= 0 && n < OPTIMIZER_TEXT)
            n += snprintf(text + n, OPTIMIZER_TEXT - (size_t)n, " %s=%.17g", name[k], value[k]);
    if (n >= 0 && n < OPTIMIZER_TEXT) snprintf(text + n, OPTIMIZER_TEXT - (size_t)n, " %s", more);
}

/* "*.bias: lr=0.01" or "*.bias: sgd lr=0.01" */
static void add_group(const request *r, tg_params *ps, tg_optim *o, const char *group)
{
    char pattern[OPTIMIZER_TEXT], text[OPTIMIZER_TEXT];
    const char *colon = strchr(group, ':');
    const char *settings = colon ? colon + 1 + strspn(colon + 1, " ") : "";
    snprintf(pattern, sizeof pattern, "%.*s", colon ? (int)(colon - group) : 0, group);
    if (names_optimizer(settings)) snprintf(text, sizeof text, "%s", settings);
    else optimizer_text(r, text, settings);
    tg_optim *part = tg_optim_parse(ps, text);
    tg_optim_take_named(part, pattern);
    tg_optim_add(o, part);
}

tg_optim *make_optimizer(const request *r, tg_params *ps)
{
    char text[OPTIMIZER_TEXT];
    optimizer_text(r, text, "");
    tg_optim *o = tg_optim_parse(ps, text);
    for (int k = 0; k < r->n_groups; k++) add_group(r, ps, o, r->group[k]);
    const tg_clip_options clip = {
        .size = sizeof clip, .norm = r->clip, .nonfinite = TG_NONFINITE_ERROR};
    if (r->clip > 0) tg_optim_set_clip(o, &clip);
    if (r->accumulate) tg_optim_set_accumulate(o, r->accumulate);
    tg_optim_set_threads(o, threads_of(r));
    return o;
}

/* On parameters that every pattern finds, since the net isn't known yet. */
int check_optimizer(const request *r)
{
    tg_params *ps = tg_params_new(NULL);
    char text[OPTIMIZER_TEXT];
    optimizer_text(r, text, "");
    tg_optim *o = tg_optim_parse(ps, text);
    int status = tg_optim_status(o) == TG_OK ? DONE : complain(USAGE, "%s", tg_optim_message(o));
    tg_optim_free(o);
    for (int k = 0; k < r->n_groups && status == DONE; k++) {
        const char *colon = strchr(r->group[k], ':');
        const char *settings = colon ? colon + 1 + strspn(colon + 1, " ") : "";
        if (!colon || colon == r->group[k])
            return tg_params_free(ps),
                   complain(USAGE, "--group: '%s' is not PATTERN: settings", r->group[k]);
        if (names_optimizer(settings)) snprintf(text, sizeof text, "%s", settings);
        else optimizer_text(r, text, settings);
        o = tg_optim_parse(ps, text);
        if (tg_optim_status(o) != TG_OK)
            status = complain(USAGE, "--group '%s': %s", r->group[k], tg_optim_message(o));
        tg_optim_free(o);
    }
    tg_params_free(ps);
    return status;
}

int optimizers(const request *r)
{
    (void)r;
    int n;
    const tg_optim_info *const *list = tg_optims_list(&n);
    for (int k = 0; k < n; k++) {
        const tg_optim_info *o = list[k];
        printf("%-9s %s\n         ", o->name, o->about);
        int column = 9;
        for (int i = 0; i < o->n_settings; i++) {
            char text[64];
            const tg_optim_setting *s = &o->settings[i];
            const int length = s->range == TG_RANGE_FLAG
                                   ? snprintf(text, sizeof text, " %s", s->name)
                                   : snprintf(text, sizeof text, " %s=%g", s->name, s->otherwise);
            if (column + length > 79) printf("\n         "), column = 9;
            printf("%s", text);
            column += length;
        }
        putchar('\n');
    }
    return DONE;
}

/* ---------------------------------------------------------------- schedules */

tg_schedule *make_schedule(const request *r, int64_t total, int64_t epoch)
{
    return tg_schedule_parse(r->schedule, total, epoch, program_allocator());
}

int check_schedule(const request *r)
{
    if (!r->schedule) return DONE;
    /* Whether its steps fit is known later. */
    tg_schedule *s = make_schedule(r, (int64_t)1 << 52, 1);
    const int status = tg_schedule_status(s) == TG_OK
                           ? DONE
                           : complain(USAGE, "--schedule: %s", tg_schedule_message(s));
    tg_schedule_free(s);
    return status;
}

int schedules(const request *r)
{
    (void)r;
    int n;
    const tg_schedule_info *const *list = tg_schedules_list(&n);
    for (int k = 0; k < n; k++) {
        printf("%-11s %s\n           ", list[k]->name, list[k]->about);
        for (int i = 0; i < list[k]->n_settings; i++) {
            const tg_schedule_setting *s = &list[k]->settings[i];
            if (s->flag) printf(" %s", s->name);
            else if (s->several) printf(" %s=STEP:STEP:...", s->name);
            else if (s->steps) printf(" %s=STEPS", s->name);
            else if (isnan(s->otherwise)) printf(" %s=NUMBER", s->name);
            else printf(" %s=%g", s->name, s->otherwise);
        }
        putchar('\n');
    }
    return DONE;
}
