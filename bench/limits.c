/* The yardstick beside the figures: measured by graph/machine.c, or read from a file that an
 * earlier run wrote. */
#include "bench.h"

#include <jansson.h>
#include <stdio.h>

static machine_limits limits;
static bool known;

static int rounds(void) { return bench.quick ? 3 : 60; }

static void measure(void)
{
    const tg_allocator a = tg_allocator_or_default(bench_allocator());
    for (int k = 0; k < 2; k++)
        die_unless(tg_limits_measure(&a, k + 1, rounds(), &limits.threads[k]) == TG_OK,
                   "the machine's limits can't be measured");
}

static void read_from(const char *path)
{
    json_t *root = json_load_file(path, 0, NULL);
    const json_t *all = json_object_get(root, "limits");
    die_unless(json_array_size(all) == 2,
               "--limits: not a file that `tapegrad-bench limits --json FILE` wrote");
    for (size_t k = 0; k < 2; k++) {
        const json_t *one = json_array_get(all, k), *curve = json_object_get(one, "triad");
        tg_limits *l = &limits.threads[k];
        l->threads = (int)k + 1;
        l->fma_f32 = 1e9 * json_number_value(json_object_get(one, "fma_f32_gflops"));
        l->fma_f64 = 1e9 * json_number_value(json_object_get(one, "fma_f64_gflops"));
        for (size_t i = 0; i < TG_FOOTPRINTS; i++)
            l->bandwidth[i] =
                1e9 * json_number_value(json_object_get(json_array_get(curve, i), "GB/s"));
    }
    json_decref(root);
}

const machine_limits *limits_get(void)
{
    if (!known) {
        if (bench.limits) read_from(bench.limits);
        else measure();
        known = true;
    }
    return &limits;
}

bool limits_measured(void) { return known; }

double limits_seconds(double flops, double bytes, double footprint, int threads)
{
    return tg_limits_seconds(&limits_get()->threads[threads > 1], flops, bytes, footprint);
}

void limits_show(void)
{
    static const char *const name[] = {"baseline", "AVX2", "AVX-512"};
    const machine_limits *m = limits_get();
    const tg_allocator a = tg_allocator_or_default(bench_allocator());
    for (int b = 0; b <= tg_build_best(); b++)
        printf("%-9s f32 %6.1f GFLOP/s, f64 %6.1f GFLOP/s, on 1 thread\n", name[b],
               tg_limits_arithmetic(&a, b, TG_F32, rounds()) / 1e9,
               tg_limits_arithmetic(&a, b, TG_F64, rounds()) / 1e9);
    for (int k = 0; k < 2; k++)
        printf("%d thread%s  f32 %6.1f GFLOP/s, f64 %6.1f GFLOP/s\n", k + 1, k ? "s" : " ",
               m->threads[k].fma_f32 / 1e9, m->threads[k].fma_f64 / 1e9);
    printf("y = x + 3 z on  1 thread, 2 threads\n");
    for (int i = 0; i < TG_FOOTPRINTS; i++)
        printf("%9.0f KiB  %8.1f  %8.1f  GB/s\n", tg_footprint_bytes(i) / 1024,
               m->threads[0].bandwidth[i] / 1e9, m->threads[1].bandwidth[i] / 1e9);
}
