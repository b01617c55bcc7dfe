/* The figures of this library and of a peer, from several runs of each, side by side: medians over
 * the runs, and the median of the runs' ratios. A line more shows this library with the C library's
 * allocator, where that differs. */
#include "bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 32 };

typedef struct runs {
    int n;
    json_t *figures[MOST_RUNS];
} runs;

static json_t *read_json(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!root) fprintf(stderr, "tapegrad-bench: %s: %s\n", path, error.text);
    die_unless(root, "a file of figures can't be read");
    return root;
}

static void add_figures(json_t *figures, const char *path)
{
    json_t *root = read_json(path);
    die_unless(figures && json_array_extend(figures, json_object_get(root, "figures")) == 0,
               "a file has no figures, or no round");
    json_decref(root);
}

static const char *name_of(const json_t *entry)
{
    return json_string_value(json_object_get(entry, "name"));
}
static int threads_of(const json_t *entry)
{
    return (int)json_integer_value(json_object_get(entry, "threads"));
}

/* A entry's value in its smallest unit of time, or as it is. */
static double value_of(const json_t *entry)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};
    const char *unit = json_string_value(json_object_get(entry, "unit"));
    for (int k = 0; unit && k < COUNT(units); k++)
        if (strcmp(unit, units[k].name) == 0)
            return units[k].factor * json_number_value(json_object_get(entry, "median"));
    return json_number_value(json_object_get(entry, "median"));
}

/* The peer's counterpart: the same name, or the longest one of which ours is a refinement ("w1.n4"
 * for "w1.n4.replayed"). */
static const json_t *counterpart(const json_t *figures, const char *name, int threads)
{
    const json_t *best = NULL, *entry;
    size_t k, longest = 0;
    json_array_foreach(figures, k, entry)
    {
        const size_t n = strlen(name_of(entry));
        if (threads_of(entry) != threads || strncmp(name_of(entry), name, n) != 0 ||
            (name[n] != 0 && name[n] != '.') || n < longest)
            continue;
        longest = n;
        best = entry;
    }
    return best;
}

static const json_t *same(const json_t *figures, const json_t *wanted)
{
    const json_t *entry;
    size_t k;
    json_array_foreach(figures, k, entry) if (strcmp(name_of(entry), name_of(wanted)) == 0 &&
                                              threads_of(entry) == threads_of(wanted)) return entry;
    return NULL;
}

/* One figure with the other allocator. */
static void compare_plain(const runs *ours, const runs *plain, const json_t *first, double scale,
                          const char *unit, json_t *out)
{
    const double worth_a_line = 0.03;
    double own[MOST_RUNS], times[MOST_RUNS];
    int n = 0;
    for (int k = 0; k < ours->n && k < plain->n; k++) {
        const json_t *with = same(ours->figures[k], first),
                     *without = same(plain->figures[k], first);
        if (!with || !without) continue;
        own[n] = value_of(without);
        times[n] = own[n] / value_of(with);
        n++;
    }
    if (!n) return;
    const double value = timing_of(own, n).median * scale, ratio = timing_of(times, n).median;
    json_object_set_new(out, "c_allocator_median", json_real(value));
    json_object_set_new(out, "c_allocator_ratio", json_real(ratio));
    if (fabs(ratio - 1) > worth_a_line)
        printf("    with the C library's allocator           %10.4g %-3s   %.2f of it\n", value,
               unit, ratio);
}

static json_t *compare(const runs *ours, const runs *plain, const runs *peer, const json_t *first)
{
    double own[MOST_RUNS], other[MOST_RUNS], ratio[MOST_RUNS], share[MOST_RUNS];
    int n = 0, n_other = 0, n_ratio = 0;
    const char *peer_name = NULL;
    for (int k = 0; k < ours->n; k++) {
        const json_t *entry = same(ours->figures[k], first);
        if (!entry) continue;
        share[n] = json_number_value(json_object_get(entry, "share_of_limit"));
        own[n++] = value_of(entry);
        const json_t *counter =
            k < peer->n ? counterpart(peer->figures[k], name_of(first), threads_of(first)) : NULL;
        if (!counter) continue;
        peer_name = name_of(counter);
        other[n_other++] = value_of(counter);
        ratio[n_ratio++] = value_of(counter) / own[n - 1];
    }
    const char *unit = json_string_value(json_object_get(first, "unit"));
    const double scale = json_number_value(json_object_get(first, "median")) / value_of(first),
                 target = json_number_value(json_object_get(first, "target"));
    const double wanted = json_number_value(json_object_get(first, "target_ratio"));
    const double value = timing_of(own, n).median * scale, limit = timing_of(share, n).median;
    json_t *out = json_pack("{s:s, s:i, s:s, s:f, s:i}", "name", name_of(first), "threads",
                            threads_of(first), "unit", unit, "median", value, "runs", n);
    printf("%-34s %s %10.4g %-3s", name_of(first),
           threads_of(first) > 1 ? "2 threads" : "         ", value, unit);
    if (n_ratio) {
        const double theirs = timing_of(other, n_other).median * scale,
                     times = timing_of(ratio, n_ratio).median;
        printf(" %10.4g %7.2f", theirs, times);
        json_object_set_new(out, "peer", json_string(peer_name));
        json_object_set_new(out, "peer_median", json_real(theirs));
        json_object_set_new(out, "ratio", json_real(times));
    } else printf(" %10s %7s", "", "");
    if (limit > 0) {
        printf(" %5.0f%%", 100 * limit);
        json_object_set_new(out, "share_of_limit", json_real(limit));
    } else printf("       ");
    if (target > 0) {
        printf(" %8.4g %-7s", target, value <= target ? "reached" : "missed");
        json_object_set_new(out, "target", json_real(target));
    } else printf(" %8s %7s", "", "");
    if (wanted > 0 && n_ratio) {
        const bool reached = timing_of(ratio, n_ratio).median >= wanted;
        printf("  %g x %s", wanted, reached ? "reached" : "missed");
        json_object_set_new(out, "target_ratio", json_real(wanted));
    }
    printf("\n");
    compare_plain(ours, plain, first, scale, unit, out);
    return out;
}

/* report [--json FILE] [--limits FILE] --round --ours FILE ... --plain FILE ... --peer FILE ...
 * --round ... */
int bench_report(int argc, char **argv)
{
    runs ours = {0}, plain = {0}, peer = {0};
    const char *json = NULL;
    json_t *limits = NULL;
    bool any_peer = false;
    for (int k = 0; k < argc; k++) {
        if (strcmp(argv[k], "--round") == 0) {
            die_unless(ours.n < MOST_RUNS, "too many rounds");
            ours.figures[ours.n++] = json_array();
            plain.figures[plain.n++] = json_array();
            peer.figures[peer.n++] = json_array();
            continue;
        }
        if (k + 1 == argc) return 2;
        const char *option = argv[k], *path = argv[++k];
        if (strcmp(option, "--json") == 0) json = path;
        else if (strcmp(option, "--limits") == 0) limits = read_json(path);
        else if (strcmp(option, "--ours") == 0)
            add_figures(ours.n ? ours.figures[ours.n - 1] : NULL, path);
        else if (strcmp(option, "--plain") == 0)
            add_figures(plain.n ? plain.figures[plain.n - 1] : NULL, path);
        else if (strcmp(option, "--peer") == 0)
            add_figures(peer.n ? peer.figures[peer.n - 1] : NULL, path);
        else return 2;
        any_peer = any_peer || strcmp(option, "--peer") == 0;
    }
    if (!ours.n) return 2;
    printf("%-34s %9s %10s %-3s %10s %7s %6s %8s\n", "", "", "tapegrad", "", any_peer ? "peer" : "",
           any_peer ? "ratio" : "", "limit", "target");
    json_t *all = json_array(), *entry;
    size_t k;
    json_array_foreach(ours.figures[0], k, entry)
        json_array_append_new(all, compare(&ours, &plain, &peer, entry));
    json_t *root =
        json_pack("{s:O?, s:o}", "limits", json_object_get(limits, "limits"), "figures", all);
    const int status = json && json_dump_file(root, json, JSON_INDENT(1)) != 0;
    if (status) fprintf(stderr, "tapegrad-bench: %s can't be written\n", json);
    json_decref(root);
    json_decref(limits);
    for (int r = 0; r < ours.n; r++) {
        json_decref(ours.figures[r]);
        json_decref(plain.figures[r]);
        json_decref(peer.figures[r]);
    }
    return status;
}
