/* Optimizers as a table: defaults, ranges, names, and reading one from text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

/* Every optimizer there is; another one is a file and a word here. */
#define EACH_KIND(F) \
    F(sgd)           \
    F(adam)          \
    F(adamw) F(nadam) F(radam) F(adamax) F(adagrad) F(adadelta) F(rmsprop) F(rprop) F(lion) F(muon)

#define DECLARE(name) extern const tg_optim_kind tg_##name##_kind;
EACH_KIND(DECLARE)
#define KIND(name) &tg_##name##_kind,
static const tg_optim_kind *const kinds[] = {EACH_KIND(KIND)};
#define INFO(name) &tg_##name##_kind.info,
static const tg_optim_info *const infos[] = {EACH_KIND(INFO)};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

const tg_optim_info *const *tg_optims_list(int *n)
{
    if (n) *n = KINDS;
    return infos;
}

/* ---------------------------------------------------------------- settings */

static double get(const void *options, const tg_optim_setting *s)
{
    double number;
    memcpy(&number, (const char *)options + s->offset, sizeof number);
    return number;
}

static void put(void *options, const tg_optim_setting *s, double number)
{
    const bool on = number != 0;
    char *to = (char *)options + s->offset;
    if (s->range == TG_RANGE_FLAG) memcpy(to, &on, sizeof on);
    else memcpy(to, &number, sizeof number);
}

static bool within(double x, tg_setting_range range)
{
    if (!(isfinite(x) && x >= 0)) return false;
    return range == TG_RANGE_BELOW_ONE ? x < 1 : range != TG_RANGE_TO_ONE || x <= 1;
}

const char *tg_setting_range_text(tg_setting_range range)
{
    static const char *const text[] = {"finite and >= 0", "in [0, 1)", "in [0, 1]", "on or off"};
    return (unsigned)range < sizeof text / sizeof text[0] ? text[range] : "?";
}

typedef struct options {
    _Alignas(16) char bytes[TG_MOST_OPTIONS];
} options;

/* Completes what was given. NULL, or what is wrong with it. */
static const char *complete(const tg_optim_kind *kind, void *o, char *text, size_t room)
{
    if (kind->preset) kind->preset(o);
    for (int k = 0; k < kind->info.n_settings; k++) {
        const tg_optim_setting *s = &kind->info.settings[k];
        if (s->range == TG_RANGE_FLAG) continue;
        if (get(o, s) == 0) put(o, s, s->otherwise);
        /* The learning rate is judged with those that are set later. */
        if (k == 0 || within(get(o, s), s->range)) continue;
        snprintf(text, room, "%s must be %s", s->name, tg_setting_range_text(s->range));
        return text;
    }
    return kind->check ? kind->check(o) : NULL;
}

tg_optim *tg_optim_of_kind(tg_params *ps, const char *where, const tg_optim_kind *kind,
                           const void *given)
{
    options o;
    char text[128];
    tg_optim_rule rule = kind->rule;
    const bool sized = tg_options_read(&o, rule.options_size, given);
    memcpy(o.bytes, &rule.options_size, sizeof rule.options_size);
    const char *fault = sized ? complete(kind, &o, text, sizeof text) : kind->unsized;
    if (!fault && kind->variant) kind->variant(&o, &rule);
    const double rate = fault ? 0 : get(&o, kind->info.settings);
    tg_optim *y = tg_optim_make(ps, where, &rule, rate, &o, fault);
    if (y && !fault && kind->rest && ps) tg_optim_add(y, kind->rest(ps, where, &o));
    return y;
}

/* ---------------------------------------------------------------- text */

typedef struct reader {
    const char *at;
    char *fault;
    size_t room;
} reader;

static bool separates(char c) { return c == ' ' || c == ',' || c == '\t'; }

/* The next word up to '=', a separator or the end. */
static size_t word(reader *r)
{
    while (separates(*r->at)) r->at++;
    size_t n = 0;
    while (r->at[n] && r->at[n] != '=' && !separates(r->at[n])) n++;
    return n;
}

static bool is(const char *name, const char *text, size_t n)
{
    return strlen(name) == n && !memcmp(name, text, n);
}

static bool read_value(reader *r, const tg_optim_setting *s, void *o)
{
    if (s->range == TG_RANGE_FLAG && *r->at != '=') return put(o, s, 1), true;
    char *end = NULL;
    const double x = *r->at == '=' ? strtod(r->at + 1, &end) : NAN;
    if (!end || end == r->at + 1 || (*end && !separates(*end)) || !within(x, s->range)) {
        snprintf(r->fault, r->room, "%s must be a number that is %s", s->name,
                 tg_setting_range_text(s->range));
        return false;
    }
    r->at = end;
    /* Where 0 stands for a default, what is next to it is meant. */
    put(o, s, x == 0 && s->otherwise != 0 && s->range != TG_RANGE_FLAG ? 1e-300 : x);
    return true;
}

static bool read_setting(reader *r, const tg_optim_kind *kind, size_t n, void *o)
{
    for (int k = 0; k < kind->info.n_settings; k++) {
        const tg_optim_setting *s = &kind->info.settings[k];
        if (!is(s->name, r->at, n)) continue;
        r->at += n;
        return read_value(r, s, o);
    }
    int used =
        snprintf(r->fault, r->room, "no setting '%.*s'; there are", (int)(n < 40 ? n : 40), r->at);
    for (int k = 0; k < kind->info.n_settings && used > 0 && (size_t)used < r->room; k++)
        used += snprintf(r->fault + used, r->room - (size_t)used, "%s %s", k ? "," : "",
                         kind->info.settings[k].name);
    return false;
}

static const tg_optim_kind *find(const char *text, size_t n)
{
    for (int k = 0; k < KINDS; k++)
        if (is(kinds[k]->info.name, text, n)) return kinds[k];
    return NULL;
}

static void name_them(reader *r, size_t n)
{
    int used = snprintf(r->fault, r->room, "'%.*s' is none of", (int)(n < 40 ? n : 40), r->at);
    for (int k = 0; k < KINDS && used > 0 && (size_t)used < r->room; k++)
        used += snprintf(r->fault + used, r->room - (size_t)used, "%s %s", k ? "," : "",
                         kinds[k]->info.name);
}

tg_optim *tg_optim_parse_at(tg_params *ps, const char *where, const char *text)
{
    options o = {{0}};
    char fault[256] = "";
    reader r = {text ? text : "", fault, sizeof fault};
    const size_t length = word(&r);
    const tg_optim_kind *kind = find(r.at, length);
    const tg_optim_rule none = {.size = sizeof none, .name = "optim_parse"};
    if (!kind) {
        name_them(&r, length);
        return tg_optim_make(ps, where, &none, 0, NULL, fault);
    }
    memcpy(o.bytes, &kind->rule.options_size, sizeof kind->rule.options_size);
    r.at += length;
    for (size_t n; (n = word(&r)) > 0;)
        if (!read_setting(&r, kind, n, &o))
            return tg_optim_make(ps, where, &kind->rule, 0, &o, fault);
    if (*r.at) return tg_optim_make(ps, where, &kind->rule, 0, &o, "'=' without a setting");
    return tg_optim_of_kind(ps, where, kind, &o);
}

tg_optim *(tg_optim_parse)(tg_params *ps, const char *text)
{
    return tg_optim_parse_at(ps, NULL, text);
}
