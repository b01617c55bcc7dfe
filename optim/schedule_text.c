/* Schedules as a table, and from text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tapegrad/schedule.h>

#include "../graph/memory.h"

/* ---------------------------------------------------------------- the table */

#define STEPS(name, otherwise)                         \
    {                                                  \
        name, otherwise, 1, 0x1p53, true, false, false \
    }
#define NUMBER(name, otherwise, high)                 \
    {                                                 \
        name, otherwise, 0, high, false, false, false \
    }
#define FLAG(name)                        \
    {                                     \
        name, 0, 0, 1, false, false, true \
    }

/* One entry a schedule: its settings are v[0], v[1], ... */
#define SCHEDULE(id, about, formula, ...)                                                 \
    static double id##_factor(int64_t step, const double *v) { return formula; }          \
    static const tg_schedule_setting id##_settings[] = {__VA_ARGS__};                     \
    static const tg_schedule_info id##_info = {                                           \
        #id, about, id##_settings, (int)(sizeof id##_settings / sizeof id##_settings[0]), \
        id##_factor};
#define WHOLE(k) ((int64_t)v[k])

static double at_milestones(int64_t step, const double *v)
{
    int passed = 0;
    for (int k = 0; k < (int)v[1]; k++) passed += v[2 + k] <= (double)step;
    return pow(v[0], passed);
}

/* clang-format off */
SCHEDULE(constant, "one factor all the time", ((void)step, v[0]), NUMBER("factor", 1, 1e6))
SCHEDULE(step, "times gamma every so many steps",
         tg_schedule_step(step, WHOLE(0), v[1]), STEPS("every", NAN), NUMBER("gamma", 0.1, 1e6))
SCHEDULE(multistep, "times gamma at some steps", at_milestones(step, v),
         NUMBER("gamma", 0.1, 1e6), {"at", NAN, 1, 0x1p53, true, true, false})
SCHEDULE(exponential, "times gamma each step", tg_schedule_exponential(step, v[0]),
         NUMBER("gamma", NAN, 1e6))
SCHEDULE(polynomial, "a power of the part that is left",
         tg_schedule_polynomial(step, WHOLE(0), v[1]), STEPS("steps", 0), NUMBER("power", 1, 1e6))
SCHEDULE(linear, "straight from start to end",
         tg_schedule_linear(step, WHOLE(0), v[1], v[2]),
         STEPS("steps", 0), NUMBER("start", 1.0 / 3, 1e6), NUMBER("end", 1, 1e6))
SCHEDULE(warmup, "straight up to 1, then straight down to 0",
         tg_schedule_warmup_linear(step, WHOLE(0), WHOLE(1)),
         STEPS("up", NAN), STEPS("steps", 0))
SCHEDULE(cosine, "half a cosine down to floor",
         tg_schedule_cosine(step, WHOLE(0), v[1]), STEPS("steps", 0), NUMBER("floor", 0, 1e6))
SCHEDULE(annealing, "a cosine up and down without end",
         tg_schedule_cosine_annealing(step, WHOLE(0), v[1]),
         STEPS("steps", 0), NUMBER("floor", 0, 1e6))
SCHEDULE(restarts, "cosines, each `growth` times as long as the one before",
         tg_schedule_cosine_restarts(step, WHOLE(0), WHOLE(1), v[2]),
         STEPS("first", NAN), NUMBER("growth", 1, 1e6), NUMBER("floor", 0, 1e6))
SCHEDULE(onecycle, "up to 1, then far down",
         tg_schedule_one_cycle(step, WHOLE(0), &(tg_one_cycle_options){
             sizeof(tg_one_cycle_options), v[1], v[2], v[3], v[4] > 0, v[5] > 0}),
         STEPS("steps", 0), NUMBER("rise", 0.3, 1), NUMBER("start", 0.04, 1e6),
         NUMBER("end", 0, 1e6), FLAG("straight"), FLAG("three"))
SCHEDULE(cyclic, "up from low and down, over and over",
         tg_schedule_cyclic(step, &(tg_cyclic_options){
             sizeof(tg_cyclic_options), v[1], WHOLE(0), WHOLE(0), v[2], v[3] > 0}),
         STEPS("up", NAN), NUMBER("low", 0.1, 1), NUMBER("gamma", 1, 1e6), FLAG("halve"))
/* clang-format on */

static const tg_schedule_info *const infos[] = {
    &constant_info,   &step_info,     &multistep_info, &exponential_info,
    &polynomial_info, &linear_info,   &warmup_info,    &cosine_info,
    &annealing_info,  &restarts_info, &onecycle_info,  &cyclic_info};
enum { SCHEDULES = sizeof infos / sizeof infos[0] };

const tg_schedule_info *const *tg_schedules_list(int *n)
{
    if (n) *n = SCHEDULES;
    return infos;
}

/* ---------------------------------------------------------------- the object */

enum { MOST_PARTS = 8 };

typedef struct part {
    const tg_schedule_info *info;
    int64_t from;
    double value[TG_SCHEDULE_VALUES];
} part;

struct tg_schedule {
    tg_allocator allocator;
    tg_error error;
    int parts;
    part part[MOST_PARTS];
};

void tg_schedule_free(tg_schedule *s)
{
    if (!s) return;
    const tg_allocator a = s->allocator;
    tg_release(&a, s, sizeof *s);
}

tg_status tg_schedule_status(const tg_schedule *s) { return s ? s->error.status : TG_ENOMEM; }
const char *tg_schedule_message(const tg_schedule *s)
{
    return s ? s->error.message : "no memory for a schedule";
}

double tg_schedule_factor(const tg_schedule *s, int64_t step)
{
    if (!s || s->error.status != TG_OK || step < 0) return NAN;
    const part *p = s->part;
    for (int k = 1; k < s->parts && s->part[k].from <= step; k++) p = &s->part[k];
    return p->info->factor(step - p->from, p->value);
}

/* ---------------------------------------------------------------- reading */

typedef struct reader {
    tg_error *error;
    const char *at;
    int64_t left, total, epoch; /* steps: of the rest, of all, of an epoch */
    int64_t length;             /* of this part, by its for=; 0: not given */
} reader;

static bool separates(char c) { return c == ' ' || c == ',' || c == '\t'; }
static bool ends(char c) { return !c || c == ';' || separates(c); }

static size_t word(reader *r)
{
    while (separates(*r->at)) r->at++;
    size_t n = 0;
    while (!ends(r->at[n]) && r->at[n] != '=') n++;
    return n;
}

static bool is(const char *name, const char *text, size_t n)
{
    return strlen(name) == n && !memcmp(name, text, n);
}

static bool fault(reader *r, const char *format, ...) TG_PRINTF(2, 3);
static bool fault(reader *r, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    tg_error_set(r->error, NULL, "schedule", TG_EVALUE, "%s", text);
    return false;
}

/* One number of a setting behind '=' or ':'. */
static bool read_number(reader *r, const tg_schedule_setting *s, double *y)
{
    char *end = NULL;
    *y = strtod(r->at + 1, &end);
    const bool read = end != r->at + 1;
    if (read && s->steps) {
        if (!strncmp(end, "epochs", 6) || !strncmp(end, "epoch", 5)) {
            *y *= (double)r->epoch;
            end += end[5] == 's' ? 6 : 5;
        } else if (*end == '%') {
            *y *= (double)r->total / 100;
            end++;
        }
        *y = floor(*y + 0.5);
    }
    if (!read || !(ends(*end) || (s->several && *end == ':')) || !(*y >= s->low && *y <= s->high))
        return fault(r, "%s must be %s from %g to %g", s->name,
                     s->steps ? "a number of steps" : "a number", s->low, s->high);
    r->at = end;
    return true;
}

static bool read_several(reader *r, const tg_schedule_setting *s, double *value)
{
    int n = 0;
    const int room = TG_SCHEDULE_VALUES - 2;
    do {
        if (n == room) return fault(r, "more than %d numbers for %s", room, s->name);
        if (!read_number(r, s, &value[1 + n])) return false;
        n++;
    } while (*r->at == ':');
    value[0] = n;
    return true;
}

static bool read_setting(reader *r, size_t n, part *p)
{
    static const tg_schedule_setting length = STEPS("for", 0);
    const tg_schedule_info *info = p->info;
    double steps;
    if (is(length.name, r->at, n) && r->at[n] == '=') {
        r->at += n;
        if (!read_number(r, &length, &steps)) return false;
        return r->length = (int64_t)steps, true;
    }
    for (int k = 0; k < info->n_settings; k++) {
        const tg_schedule_setting *s = &info->settings[k];
        if (!is(s->name, r->at, n)) continue;
        r->at += n;
        if (*r->at != '=' && s->flag) return p->value[k] = 1, true;
        if (*r->at != '=') return fault(r, "%s of %s needs a value", s->name, info->name);
        return s->several ? read_several(r, s, &p->value[k]) : read_number(r, s, &p->value[k]);
    }
    return fault(r, "%s has no setting '%.*s'", info->name, (int)(n < 40 ? n : 40), r->at);
}

static bool complete(reader *r, part *p, bool last)
{
    const tg_schedule_info *info = p->info;
    for (int k = 0; k < info->n_settings; k++) {
        const tg_schedule_setting *s = &info->settings[k];
        if (isnan(p->value[k])) return fault(r, "%s needs %s=", info->name, s->name);
        if (!s->steps || p->value[k] != 0) continue;
        if (!last && !r->length) return fault(r, "%s needs %s= or for=", info->name, s->name);
        p->value[k] = (double)(last ? r->left : r->length);
    }
    if (isnan(info->factor(0, p->value)))
        return fault(r, "the settings of %s don't fit", info->name);
    return true;
}

/* How long a part takes that says so by the number named `steps`. */
static int64_t length_of(const part *p)
{
    for (int k = 0; k < p->info->n_settings; k++)
        if (!strcmp(p->info->settings[k].name, "steps")) return (int64_t)p->value[k];
    return 0;
}

static bool read_part(reader *r, part *p)
{
    const size_t n = word(r);
    for (int k = 0; k < SCHEDULES && !p->info; k++)
        if (is(infos[k]->name, r->at, n)) p->info = infos[k];
    if (!p->info) {
        char names[200] = "";
        size_t used = 0;
        for (int k = 0; k < SCHEDULES && used < sizeof names; k++)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", k ? ", " : "",
                                     infos[k]->name);
        return fault(r, "'%.*s' is none of %s", (int)(n < 40 ? n : 40), r->at, names);
    }
    for (int k = 0; k < p->info->n_settings; k++) p->value[k] = p->info->settings[k].otherwise;
    r->at += n;
    r->length = 0;
    for (size_t m; (m = word(r)) > 0;)
        if (!read_setting(r, m, p)) return false;
    if (*r->at == '=') return fault(r, "'=' without a setting");
    return complete(r, p, !*r->at);
}

static void read(reader *r, tg_schedule *s)
{
    int64_t from = 0;
    for (;;) {
        if (s->parts == MOST_PARTS) {
            fault(r, "more than %d schedules", MOST_PARTS);
            return;
        }
        part *p = &s->part[s->parts];
        p->from = from;
        if (!read_part(r, p)) return;
        s->parts++;
        if (!*r->at) return;
        r->at++;
        const int64_t length = r->length ? r->length : length_of(p);
        if (!length || length >= r->left) {
            fault(r, length ? "nothing is left behind %s" : "%s needs for=", p->info->name);
            return;
        }
        from += length;
        r->left -= length;
    }
}

tg_schedule *tg_schedule_parse(const char *text, int64_t total, int64_t epoch,
                               const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_schedule *s = tg_allocate(&a, sizeof *s);
    if (!s) return NULL;
    *s = (tg_schedule){.allocator = a};
    reader r = {&s->error, text ? text : "", total, total, epoch, 0};
    if (total < 1 || epoch < 1 || total > (int64_t)1 << 53) fault(&r, "no steps to be planned");
    else read(&r, s);
    return s;
}
