/* Measures that are asked for by name. */
#include <stdio.h>
#include <string.h>

#include "main.h"

static int unknown(const char *option, const char *name)
{
    char names[400] = "";
    int n;
    const tg_measure *list = tg_measures(&n);
    for (int k = 0; k < n; k++) {
        const size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", k ? ", " : "", list[k].name);
    }
    return complain(USAGE, "%s: '%s' is none of %s", option, name, names);
}

int check_measures(const request *r)
{
    for (int k = 0; k < r->n_measures; k++)
        if (strcmp(r->measure[k], "all") != 0 && !tg_measure_find(r->measure[k]))
            return unknown("--measures", r->measure[k]);
    if (r->watch && !tg_measure_find(r->watch)) return unknown("--watch", r->watch);
    return DONE;
}

/* The measures that are wanted, "all" being those that fit. */
static int wanted(const request *r, const tg_model *m, tg_measure list[MOST_MEASURES])
{
    int n = 0, all;
    const tg_measure *every = tg_measures(&all);
    for (int k = 0; k < r->n_measures; k++) {
        const tg_measure *one = tg_measure_find(r->measure[k]);
        if (one && n < MOST_MEASURES) list[n++] = *one;
        for (int i = 0; !one && i < all && n < MOST_MEASURES; i++)
            if (every[i].classes == (tg_model_classes(m) > 0)) list[n++] = every[i];
    }
    return n;
}

int print_measures(const request *r, tg_model *m, const tg_dataset *d, const char *what)
{
    tg_measure list[MOST_MEASURES];
    double value[MOST_MEASURES];
    const int n = wanted(r, m, list);
    if (!n) return DONE;
    if (tg_score(m, d, n, list, value) != TG_OK) return complain(FAILED, "%s", tg_model_message(m));
    if (r->json) printf(",\"measures\":{");
    for (int k = 0; k < n; k++) {
        if (r->json) {
            printf("%s\"%s\":", k ? "," : "", list[k].name);
            print_number(value[k]);
        } else {
            printf("%-11s %-18s %.4f\n", what, list[k].name, value[k]);
        }
    }
    if (r->json) putchar('}');
    return DONE;
}
