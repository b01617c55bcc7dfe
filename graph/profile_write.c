/* Profiles as a table, as JSON, and as Chrome's trace events. */
#define _POSIX_C_SOURCE 200809L
#include "profiler.h"

#ifndef TG_LEAN

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

static const char *way(const tg_profile_row *row)
{
    return row->backward <= 0 ? "forward" : row->backward >= 1 ? "backward" : "both";
}

/* ---------------------------------------------------------------- the table */

/* "12.3 us", four figures wide at most. */
static tg_text time_text(double seconds)
{
    static const char *const unit[] = {"s", "ms", "us", "ns"};
    tg_text y;
    int k = 0;
    for (; k < 3 && seconds < 0.9995; k++) seconds *= 1000;
    snprintf(y.text, sizeof y.text, "%.*f %s",
             seconds < 9.995   ? 2
             : seconds < 99.95 ? 1
                               : 0,
             seconds, unit[k]);
    return y;
}

static tg_text share_text(double share)
{
    tg_text y;
    if (isnan(share)) snprintf(y.text, sizeof y.text, "-");
    else snprintf(y.text, sizeof y.text, "%.0f%%", 100 * share);
    return y;
}

static void put_rows(FILE *out, tg_profile *p, tg_profile_by by, const char *title)
{
    int64_t n;
    const tg_profile_row *row = tg_profile_rows(p, by, &n);
    const double all = p->in_steps;
    fprintf(out, "\n%8s %6s %9s %9s %9s %6s %-8s %s\n", "time", "share", "runs", "GB/s", "GFLOP/s",
            "limit", "", title);
    for (int64_t k = 0; k < n; k++) {
        const double s = row[k].seconds > 0 ? row[k].seconds : NAN;
        fprintf(out, "%8s %6s %9lld %9.3g %9.3g %6s %-8s %.*s%s\n", time_text(row[k].seconds).text,
                share_text(row[k].seconds / all).text, (long long)row[k].runs,
                row[k].bytes / s / 1e9, row[k].flops / s / 1e9, share_text(row[k].limit).text,
                way(&row[k]), 34, *row[k].name ? row[k].name : "?",
                strlen(row[k].name) > 34 ? "..." : "");
    }
}

static void put_table(FILE *out, tg_profile *p)
{
    const tg_profile_total total = tg_profile_totals(p);
    fprintf(out, "%s in %lld evaluations, %s of them in steps\n", time_text(total.seconds).text,
            (long long)total.evaluations, time_text(total.in_steps).text);
    put_rows(out, p, TG_PROFILE_OPS, "op, or ops of one pass");
    put_rows(out, p, TG_PROFILE_LINES, "line");
}

/* ---------------------------------------------------------------- JSON */

static void put_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') fprintf(out, "\\%c", c);
        else if (c < 0x20) fprintf(out, "\\u%04x", c);
        else fputc(c, out);
    }
    fputc('"', out);
}

static void put_number(FILE *out, const char *name, double x)
{
    if (isfinite(x)) fprintf(out, ",\"%s\":%.6g", name, x);
    else fprintf(out, ",\"%s\":null", name);
}

static void put_row(FILE *out, const tg_profile_row *row)
{
    fputs("\"name\":", out);
    put_text(out, row->name);
    fputs(",\"where\":", out);
    put_text(out, row->where);
    fputs(",\"shape\":", out);
    put_text(out, row->shape);
    fprintf(out, ",\"backward\":%.3g,\"fused\":%s,\"runs\":%lld", row->backward,
            row->fused ? "true" : "false", (long long)row->runs);
    put_number(out, "seconds", row->seconds);
    put_number(out, "bytes", row->bytes);
    put_number(out, "flops", row->flops);
    put_number(out, "limit", row->limit);
}

static void put_list(FILE *out, tg_profile *p, tg_profile_by by, const char *name)
{
    int64_t n;
    const tg_profile_row *row = tg_profile_rows(p, by, &n);
    fprintf(out, ",\"%s\":[", name);
    for (int64_t k = 0; k < n; k++) {
        fputs(k ? ",\n{" : "\n{", out);
        put_row(out, &row[k]);
        fputc('}', out);
    }
    fputc(']', out);
}

/* A plan's steps in order, with one run's numbers but for the time, which is of all. */
static void put_step(FILE *out, const tg_profiled_plan *plan, const tg_profiled_step *s)
{
    tg_profile_row row = s->row;
    row.runs = plan->runs;
    row.limit = row.seconds > 0 ? row.limit * (double)plan->runs / row.seconds : NAN;
    put_row(out, &row);
    fputs(",\"leaves\":", out);
    put_text(out, s->leaves);
    fputs(",\"formula\":", out);
    put_text(out, s->formula);
    fputs(",\"from\":[", out);
    for (uint32_t k = 0; k < s->n_from; k++) fprintf(out, k ? ",%u" : "%u", (unsigned)s->from[k]);
    fputs("]", out);
}

static void put_plan(FILE *out, const tg_profiled_plan *plan)
{
    fprintf(out, "{\"backward\":%s,\"runs\":%lld,\"slab_bytes\":%zu,\"steps\":[",
            plan->backward ? "true" : "false", (long long)plan->runs, plan->plan->slab_bytes);
    for (uint32_t k = 0; k < plan->n_steps; k++) {
        fputs(k ? ",\n{" : "\n{", out);
        put_step(out, plan, &plan->step[k]);
        fputc('}', out);
    }
    fputs("],\"slab\":[", out);
    for (uint32_t k = 0; k < plan->n_lives; k++) {
        const tg_profiled_life *l = &plan->life[k];
        fputs(k ? ",\n{\"name\":" : "\n{\"name\":", out);
        put_text(out, l->name);
        fprintf(out, ",\"backward\":%s,\"first\":%u,\"last\":%u,\"offset\":%lld,\"bytes\":%lld}",
                l->backward ? "true" : "false", (unsigned)l->first, (unsigned)l->last,
                (long long)l->offset, (long long)l->bytes);
    }
    fputs("]}", out);
}

static void put_limits(FILE *out, const tg_limits *limits)
{
    fputs(",\"limits\":", out);
    if (!limits->threads) {
        fputs("null", out);
        return;
    }
    fprintf(out, "{\"threads\":%d", limits->threads);
    put_number(out, "flops_f32", limits->fma_f32);
    put_number(out, "flops_f64", limits->fma_f64);
    fputs(",\"bandwidth\":[", out);
    for (int k = 0; k < TG_FOOTPRINTS; k++)
        fprintf(out, "%s[%.0f,%.6g]", k ? "," : "", tg_footprint_bytes(k), limits->bandwidth[k]);
    fputs("]}", out);
}

void tg_profile_put_json(FILE *out, tg_profile *p)
{
    const tg_profile_total total = tg_profile_totals(p);
    fprintf(out, "{\"evaluations\":%lld", (long long)total.evaluations);
    put_number(out, "seconds", total.seconds);
    put_number(out, "in_steps", total.in_steps);
    put_limits(out, &p->limits);
    put_list(out, p, TG_PROFILE_STEPS, "steps");
    put_list(out, p, TG_PROFILE_OPS, "ops");
    put_list(out, p, TG_PROFILE_LINES, "lines");
    fputs(",\"plans\":[", out);
    for (const tg_profiled_plan *plan = p->plans; plan; plan = plan->next) {
        if (plan != p->plans) fputc(',', out);
        put_plan(out, plan);
    }
    fputs("]}\n", out);
}

/* ---------------------------------------------------------------- the trace */

static void put_event(FILE *out, const tg_profile *p, const char *name, const char *kind,
                      uint64_t from, uint64_t to, const tg_profile_row *row)
{
    fputs(",\n{\"name\":", out);
    put_text(out, name);
    fprintf(out, ",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f", kind,
            1e-3 * (double)(from - p->first), 1e-3 * (double)(to - from));
    if (row) {
        fputs(",\"args\":{\"where\":", out);
        put_text(out, row->where);
        fputs(",\"shape\":", out);
        put_text(out, row->shape);
        put_number(out, "bytes", row->bytes);
        put_number(out, "flops", row->flops);
        fputc('}', out);
    }
    fputc('}', out);
}

static void put_trace(FILE *out, const tg_profile *p)
{
    fprintf(out,
            "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"evaluations\":%lld,\"traced\":%lld},"
            "\"traceEvents\":[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,"
            "\"args\":{\"name\":\"tapegrad\"}}",
            (long long)p->evaluations, (long long)p->traced);
    for (const tg_traced_run *run = p->runs; run; run = run->next) {
        const tg_profiled_plan *plan = run->plan;
        put_event(out, p, plan->backward ? "tg_backward" : "tg_eval", "evaluation", run->stamp[0],
                  run->stamp[plan->n_steps], NULL);
        for (uint32_t k = 0; k < plan->n_steps; k++) {
            const tg_profile_row *row = &plan->step[k].row;
            put_event(out, p, row->name, way(row), run->stamp[k], run->stamp[k + 1], row);
        }
    }
    fputs("\n]}\n", out);
}

/* ---------------------------------------------------------------- writing */

tg_status tg_profile_write(tg_profile *p, tg_profile_format format, const char *path)
{
    if (!p || p->error.status) return tg_profile_status(p);
    if (!path) return tg_profile_fail(p, TG_ENULL, "no path is given");
    if ((unsigned)format >= TG_PROFILE_FORMAT_COUNT)
        return tg_profile_fail(p, TG_EVALUE, "no such format");
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out && format == TG_PROFILE_TABLE) put_table(out, p);
    else if (out && format == TG_PROFILE_JSON) tg_profile_put_json(out, p);
    else if (out) put_trace(out, p);
    const bool drawn = out && !ferror(out);
    tg_file target;
    if (!out || fclose(out) != 0 || !drawn) tg_profile_fail(p, TG_ENOMEM, "no memory");
    else if (!p->error.status && !(tg_file_begin(&target, path) &&
                                   (tg_file_put(&target, text, bytes), tg_file_finish(&target))))
        tg_error_set(&p->error, path, "profile", TG_EIO, "can't be written: %s",
                     tg_errno_text(target.error).text);
    free(text);
    return p->error.status;
}

#endif
