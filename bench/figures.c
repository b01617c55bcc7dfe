/* Figures: printed one a line, and kept for the JSON file. */
#include "bench.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static json_t *figures;

static double units_a_second(const char *unit)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"ns", 1e9}, {"us", 1e6}, {"ms", 1e3}};
    for (int k = 0; k < COUNT(units); k++)
        if (strcmp(unit, units[k].name) == 0) return units[k].factor;
    return 1;
}

void figures_begin(void)
{
    figures = json_array();
    die_unless(figures, "out of memory");
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static double share_of_limit(const figure *f)
{
    return f->floor > 0 ? f->floor / f->value.median : 0;
}

void figure_keep(const figure *f)
{
    const timing v = timing_scaled(f->value, units_a_second(f->unit));
    json_t *entry = json_pack("{s:s, s:i, s:f, s:f, s:s}", "name", f->name, "threads", f->threads,
                              "median", v.median, "p10", v.p10, "unit", f->unit);
    die_unless(entry && json_array_append_new(figures, entry) == 0, "out of memory");
    if (f->target > 0 && !bench.quick) json_object_set_new(entry, "target", json_real(f->target));
    if (f->times > 0 && !bench.quick)
        json_object_set_new(entry, "target_ratio", json_real(f->times));
    if (f->floor > 0) json_object_set_new(entry, "share_of_limit", json_real(share_of_limit(f)));
    if (f->rate > 0) json_object_set_new(entry, f->rate_unit, json_real(f->rate));
    if (f->note) json_object_set_new(entry, "note", json_string(f->note));
}

void figure_show(const figure *f)
{
    const timing v = timing_scaled(f->value, units_a_second(f->unit));
    char name[96], target[64] = "", limit[64] = "";
    snprintf(name, sizeof name, "%s%s", f->name, f->threads > 1 ? ", 2 threads" : "");
    if (f->target > 0 && !bench.quick)
        snprintf(target, sizeof target, "target %.4g, %.2f of it", f->target, v.median / f->target);
    if (f->floor > 0)
        snprintf(limit, sizeof limit, "%3.0f%% of the limit", 100 * share_of_limit(f));
    printf("%-36s %10.4g %-3s p10 %10.4g   %-26s %-18s %s\n", name, v.median, f->unit, v.p10,
           target, limit, f->note ? f->note : "");
    figure_keep(f);
}

static json_t *limits_json(void)
{
    const machine_limits *m = limits_get();
    json_t *all = json_array();
    for (int k = 0; k < 2; k++) {
        json_t *bandwidth = json_array();
        for (int i = 0; i < TG_FOOTPRINTS; i++)
            json_array_append_new(bandwidth, json_pack("{s:f, s:f}", "footprint_mb",
                                                       tg_footprint_bytes(i) / 1e6, "GB/s",
                                                       m->threads[k].bandwidth[i] / 1e9));
        json_array_append_new(all,
                              json_pack("{s:i, s:f, s:f, s:o}", "threads", k + 1, "fma_f32_gflops",
                                        m->threads[k].fma_f32 / 1e9, "fma_f64_gflops",
                                        m->threads[k].fma_f64 / 1e9, "triad", bandwidth));
    }
    return all;
}

bool figures_write(const char *path)
{
    json_t *root = json_object();
    if (limits_measured()) json_object_set_new(root, "limits", limits_json());
    json_object_set(root, "figures", figures);
    const bool good = strcmp(path, "-") == 0 ? json_dumpf(root, stdout, JSON_INDENT(1)) == 0
                                             : json_dump_file(root, path, JSON_INDENT(1)) == 0;
    json_decref(root);
    return good;
}
