/* Learning rates as functions of the step. */
#include <math.h>

#include <tapegrad/schedule.h>

#include "../graph/memory.h"

static const double pi = 3.14159265358979323846;

static bool sound(double x) { return isfinite(x) && x >= 0; }
static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }
static double or_default(double x, double otherwise) { return x != 0 ? x : otherwise; }

double tg_schedule_constant(int64_t step, int64_t total, double factor)
{
    return step < 0 || total < 0 || !sound(factor) ? NAN : step < total ? factor : 1;
}

double tg_schedule_step(int64_t step, int64_t every, double gamma)
{
    return step >= 0 && every >= 1 && sound(gamma) ? pow(gamma, (double)(step / every)) : NAN;
}

double tg_schedule_multistep(int64_t step, int n, const int64_t *milestones, double gamma)
{
    int passed = 0;
    if (step < 0 || n < 0 || (n && !milestones) || !sound(gamma)) return NAN;
    for (int k = 0; k < n; k++) passed += milestones[k] <= step;
    return pow(gamma, passed);
}

double tg_schedule_exponential(int64_t step, double gamma)
{
    return tg_schedule_step(step, 1, gamma);
}

double tg_schedule_polynomial(int64_t step, int64_t total, double power)
{
    return step >= 0 && total >= 1 && sound(power)
               ? pow(1 - (double)earlier(step, total) / (double)total, power)
               : NAN;
}

double tg_schedule_linear(int64_t step, int64_t total, double start, double end)
{
    return step >= 0 && total >= 1 && sound(start) && sound(end)
               ? start + (end - start) * (double)earlier(step, total) / (double)total
               : NAN;
}

double tg_schedule_warmup_linear(int64_t step, int64_t warmup, int64_t total)
{
    if (step < 0 || warmup < 0 || total <= warmup) return NAN;
    if (step < warmup) return (double)step / (double)warmup;
    return step >= total ? 0 : (double)(total - step) / (double)(total - warmup);
}

/* ---------------------------------------------------------------- cosines */

/* From start at 0 to end at 1, and back. */
static double half_wave(double start, double end, double at)
{
    return end + (start - end) * (1 + cos(pi * at)) / 2;
}

double tg_schedule_cosine_annealing(int64_t step, int64_t total, double floor)
{
    return step >= 0 && total >= 1 && sound(floor)
               ? half_wave(1, floor, (double)step / (double)total)
               : NAN;
}

double tg_schedule_cosine(int64_t step, int64_t total, double floor)
{
    return total >= 1 && step >= total && sound(floor)
               ? floor
               : tg_schedule_cosine_annealing(step, total, floor);
}

double tg_schedule_cosine_restarts(int64_t step, int64_t first, int64_t growth, double floor)
{
    if (step < 0 || first < 1 || growth < 1 || !sound(floor)) return NAN;
    int64_t length = first;
    if (growth == 1) step %= length;
    while (step >= length) {
        step -= length;
        if (length > INT64_MAX / growth) break;
        length *= growth;
    }
    return tg_schedule_cosine_annealing(step, length, floor);
}

double tg_schedule_one_cycle(int64_t step, int64_t total, const tg_one_cycle_options *options)
{
    tg_one_cycle_options o;
    if (!tg_options_read(&o, sizeof o, options) || step < 0 || total < 1) return NAN;
    const double rise = or_default(o.rise, 0.3), start = or_default(o.start, 1 / 25.0),
                 low = or_default(o.end, start / 1e4), at = (double)step, all = (double)total;
    if (!(rise > 0 && rise < 1) || !sound(start) || !sound(low)) return NAN;
    const double end[] = {rise * all - 1, 2 * rise * all - 2, all - 1};
    double from = start, to = low, begin = 0, until = end[2];
    if (at <= end[0]) {
        to = 1;
        until = end[0];
    } else if (o.three_phases && at <= end[1]) {
        from = 1;
        to = start;
        begin = end[0];
        until = end[1];
    } else {
        from = o.three_phases ? start : 1;
        begin = end[o.three_phases ? 1 : 0];
    }
    const double part = at >= end[2] ? 1 : until > begin ? (at - begin) / (until - begin) : 0;
    return o.straight ? from + (to - from) * part : half_wave(from, to, part);
}

/* ---------------------------------------------------------------- cycles, sequences */

double tg_schedule_cyclic(int64_t step, const tg_cyclic_options *options)
{
    tg_cyclic_options o;
    if (!tg_options_read(&o, sizeof o, options) || step < 0) return NAN;
    const int64_t up = o.up ? o.up : 2000, down = o.down ? o.down : up;
    const double gamma = or_default(o.gamma, 1);
    if (up < 1 || down < 1 || up > INT64_MAX - down || !sound(gamma) ||
        !(sound(o.low) && o.low <= 1))
        return NAN;
    const int64_t cycle = step / (up + down), at = step % (up + down);
    const double high =
                     at <= up ? (double)at / (double)up : (double)(up + down - at) / (double)down,
                 scale = pow(gamma, (double)step) * (o.halve ? pow(0.5, (double)cycle) : 1);
    return o.low + (1 - o.low) * high * scale;
}

double tg_schedule_sequence(int64_t step, int n, const tg_schedule_part *parts)
{
    int now = 0;
    if (step < 0 || n < 1 || !parts || parts[0].from != 0) return NAN;
    for (int k = 0; k < n; k++) {
        if (!parts[k].factor || (k && parts[k].from <= parts[k - 1].from)) return NAN;
        if (parts[k].from <= step) now = k;
    }
    return parts[now].factor(step - parts[now].from, parts[now].user);
}

/* ---------------------------------------------------------------- plateau */

static bool better(const tg_plateau *p, double metric)
{
    const double by = or_default(p->threshold, 1e-4);
    if (!p->begun) return !isnan(metric);
    if (p->absolute) return p->larger ? metric > p->best + by : metric < p->best - by;
    return p->larger ? metric > p->best * (1 + by) : metric < p->best * (1 - by);
}

double tg_schedule_plateau(tg_plateau *p, double metric)
{
    if (!p) return NAN;
    const double factor = or_default(p->factor, 0.1);
    const int64_t patience = p->patience == 0 ? 10 : p->patience < 0 ? 0 : p->patience;
    if (!(factor > 0 && factor < 1) || !sound(p->floor) || !sound(p->threshold) || p->cooldown < 0)
        return NAN;
    if (!(p->reached > 0)) p->reached = 1;
    if (better(p, metric)) {
        p->best = metric;
        p->begun = true;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooling > 0) {
        p->cooling--;
        p->bad = 0;
    }
    if (p->bad > patience) {
        const double reduced = p->reached * factor;
        p->reached = reduced > p->floor ? reduced : fmin(p->floor, p->reached);
        p->cooling = p->cooldown;
        p->bad = 0;
    }
    return p->reached;
}
