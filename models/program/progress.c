/* What is seen of a training while it goes on. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "training.h"

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double score(const display *d, const tg_metrics *m) { return d->regression ? m->r2 : m->accuracy; }

/* "12 s", "3:07", "1:02:09" */
static void time_text(double seconds, char text[32])
{
    const long long s = (long long)(seconds + 0.5);
    if (s < 60) snprintf(text, 32, "%lld s", s);
    else if (s < 3600) snprintf(text, 32, "%lld:%02lld", s / 60, s % 60);
    else snprintf(text, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

static void draw(display *d, const tg_progress *p, double now)
{
    enum { WIDTH = 20 };
    const int full = (int)(WIDTH * p->batch / p->batches);
    const double each = (now - d->began) / (double)d->steps;
    const int64_t left = (p->epochs - p->epoch + 1) * p->batches - p->batch;
    char time[32];
    time_text(each * (double)left, time);
    fprintf(stderr, "\repoch %lld/%lld [%.*s%.*s] loss %.4f  %.3g rows/s  %s left\033[K",
            (long long)p->epoch, (long long)p->epochs, full, "####################", WIDTH - full,
            "....................", p->loss, (double)d->batch / each, time);
}

bool on_batch(const tg_progress *p, void *user)
{
    display *d = user;
    const double now = now_seconds();
    d->steps++;
    if (d->terminal && now - d->drawn >= 0.05) {
        d->drawn = now;
        draw(d, p, now);
    }
    return !asked_to_stop();
}

/* Lines for about twenty of the epochs tell enough. */
static bool shown(const display *d, int64_t epoch)
{
    const int64_t every = d->epochs <= 20 ? 1 : (d->epochs + 19) / 20;
    return epoch == 1 || epoch == d->epochs || epoch % every == 0;
}

bool on_epoch(const tg_epoch *e, void *user)
{
    display *d = user;
    const char *name = d->regression ? "R2" : "accuracy";
    write_history(d);
    if (d->r->quiet || !shown(d, e->epoch)) return true;
    fprintf(stderr, "%sepoch %*lld/%lld  loss %.4f  %s %.4f", d->terminal ? "\r\033[K" : "",
            d->epochs > 99 ? 3 : 2, (long long)e->epoch, (long long)d->epochs, e->train.loss, name,
            score(d, &e->train));
    if (e->validation.rows)
        fprintf(stderr, "  %s loss %.4f  %s %.4f", d->held, e->validation.loss, name,
                score(d, &e->validation));
    if (d->r->watch) fprintf(stderr, "  %s %.4f", d->r->watch, e->watched);
    fprintf(stderr, "  %.1f s\n", e->seconds);
    return true;
}
