/* Who moves which parameter: optimizers of several groups, and none moved twice. */
#include <math.h>
#include <string.h>

#include "optimizer.h"

static bool fits(const tg_optim *o, const tg_param *p)
{
    return !o->rule.fits || o->rule.fits(p->dtype, p->shape);
}

bool tg_optim_owns(tg_optim *o, tg_param *p)
{
    if (!p->mover && !o->mover.choosy && fits(o, p)) p->mover = &o->mover;
    return p->mover == &o->mover;
}

static const tg_mover *whole_of(const tg_mover *m) { return m->whole ? m->whole : m; }

bool tg_optim_rivals(const tg_optim *o, const tg_param *p)
{
    return p->mover && !o->mover.choosy && fits(o, p) && !p->mover->choosy &&
           whole_of(p->mover) != whole_of(&o->mover);
}

static tg_status take(tg_optim *o, tg_param *p)
{
    if (p->mover && p->mover != &o->mover)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ESTATE,
                            "\"%s\" is moved by another optimizer already (%s)", p->name,
                            p->mover->name);
    if (!fits(o, p))
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ESHAPE,
                            "\"%s\" %s of shape %s can't be moved by this rule", p->name,
                            tg_dtype_name(p->dtype), tg_shape_text(p->shape).text);
    p->mover = &o->mover;
    o->mover.choosy = true;
    return TG_OK;
}

tg_status tg_optim_take(tg_optim *o, tg_tensor *param)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    tg_param *p = tg_param_of(param);
    if (!p || p->owner != o->params)
        return tg_error_set(&o->error, NULL, o->rule.name, p ? TG_EVALUE : TG_ENULL,
                            p ? "\"%s\" is of another set of parameters"
                              : "no parameter to take%.0s",
                            p ? p->name : "");
    return take(o, p);
}

/* '*' stands for any text, '?' for any character. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *from = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            from = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

tg_status tg_optim_take_named(tg_optim *o, const char *pattern)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    bool any = false;
    for (size_t k = 0; pattern && k < o->params->count; k++) {
        tg_param *p = o->params->list[k];
        if (!matches(pattern, p->name)) continue;
        any = true;
        if (take(o, p) != TG_OK) return o->error.status;
    }
    return any ? TG_OK
               : tg_error_set(&o->error, NULL, o->rule.name, pattern ? TG_EVALUE : TG_ENULL,
                              pattern ? "no parameter's name is like \"%s\""
                                      : "the pattern is NULL%.0s",
                              pattern ? pattern : "");
}

tg_status tg_optim_add(tg_optim *o, tg_optim *part)
{
    if (tg_optim_status(o) != TG_OK || tg_optim_status(part) != TG_OK) {
        const tg_status theirs = tg_optim_status(part);
        if (tg_optim_status(o) == TG_OK)
            tg_error_set(&o->error, NULL, NULL, theirs, "%s", tg_optim_message(part));
        if (part != o) tg_optim_free(part);
        return tg_optim_status(o);
    }
    if (part == o || part->mover.whole || o->mover.whole || part->n_parts)
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ESTATE, "%s",
                            part == o           ? "an optimizer can't be a part of itself"
                            : part->mover.whole ? "the part is a part already"
                            : part->n_parts     ? "the part has parts itself"
                                                : "a part can't have parts");
    void *parts = o->parts, *groups = o->groups;
    bool room = tg_grow(&o->allocator, &parts, &o->part_capacity, o->n_parts + 1, sizeof *o->parts);
    o->parts = parts;
    room = room &&
           tg_grow(&o->allocator, &groups, &o->group_capacity, o->n_parts + 2, sizeof *o->groups);
    o->groups = groups;
    if (!room) {
        tg_optim_free(part);
        return tg_error_set(&o->error, NULL, o->rule.name, TG_ENOMEM, "no memory for a part");
    }
    part->mover.whole = &o->mover;
    part->threads = o->threads;
    part->build = o->build;
    o->parts[o->n_parts++] = part;
    return TG_OK;
}

int tg_optim_parts(const tg_optim *o) { return o ? (int)o->n_parts : 0; }

tg_optim *tg_optim_part(const tg_optim *o, int k)
{
    return o && k >= 0 && (size_t)k < o->n_parts ? o->parts[k] : NULL;
}

tg_status tg_optim_set_factor(tg_optim *o, double factor)
{
    if (tg_optim_status(o) != TG_OK) return tg_optim_status(o);
    if (!(isfinite(factor) && factor >= 0))
        return tg_error_set(&o->error, NULL, o->rule.name, TG_EVALUE,
                            "the factor %g of the learning rate is not finite and >= 0", factor);
    o->factor = factor;
    return TG_OK;
}

tg_status tg_optim_set_maximize(tg_optim *o, bool maximize)
{
    if (tg_optim_status(o) == TG_OK) o->maximize = maximize;
    return tg_optim_status(o);
}
