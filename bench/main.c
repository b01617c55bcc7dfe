/* tapegrad-bench: measures the machine's limits, every op, and the workloads W1 to W11. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bench_options bench;

static const char usage[] =
    "usage: tapegrad-bench COMMAND ... [--filter NAME] [--threads N] [--quick] [--limits FILE] "
    "[--json FILE]\n"
    "  limits         what the machine can do: FMA peak, bandwidth by level of the memory\n"
    "  ops            every op, forward and backward\n"
    "  w1 ... w9, w11 a workload; `workloads` runs all\n"
    "  w12            exported C beside loops written by hand\n"
    "  gpt2           steps of GPT-2, 124 million parameters, 4 x 64 tokens\n"
    "  process NAME COMMAND ...   time and memory of a command; it comes last\n"
    "  report --round --ours FILE --plain FILE --peer FILE --round ...   medians side by side; "
    "bench/compare.sh uses it\n";

static void workloads(void);
static void workload_names(void);

static const struct {
    const char *name;
    void (*run)(void);
    bool is_workload;
} commands[] = {
    {"limits", limits_show, false},
    {"ops", bench_ops, false},
    {"w1", bench_w1, true},
    {"w2", bench_w2, true},
    {"w3", bench_w3, true},
    {"w4", bench_w4, true},
    {"w5", bench_w5, true},
    {"w6", bench_w6, true},
    {"w7", bench_w7, true},
    {"w8", bench_w8, true},
    {"w9", bench_w9, true},
    {"w11", bench_w11, true},
    {"w12", bench_w12, false},
    {"gpt2", bench_gpt2, false},
    {"workloads", workloads, false},
    {"workload-names", workload_names, false},
    {"w3-process", bench_w3_process, false},
    {"w9-process", bench_w9_process, false},
};

static void workloads(void)
{
    for (int k = 0; k < COUNT(commands); k++)
        if (commands[k].is_workload) commands[k].run();
}

static void workload_names(void)
{
    for (int k = 0; k < COUNT(commands); k++)
        if (commands[k].is_workload) puts(commands[k].name);
}

void die_unless(bool good, const char *what)
{
    if (good) return;
    fprintf(stderr, "tapegrad-bench: %s\n", what);
    exit(1);
}

void tape_must_be_good(const tg_tape *t)
{
    die_unless(tg_tape_status(t) == TG_OK, tg_tape_message(t));
}

tg_tape *tape_with(int threads)
{
    tg_tape *t = tg_tape_new(&(tg_tape_options){
        .size = sizeof(tg_tape_options), .allocator = bench_allocator(), .threads = threads});
    tape_must_be_good(t);
    return t;
}

tg_params *params_new(void)
{
    tg_params *ps = tg_params_new(
        &(tg_params_options){.size = sizeof(tg_params_options), .allocator = bench_allocator()});
    die_unless(tg_params_status(ps) == TG_OK, tg_params_message(ps));
    return ps;
}

void fill_uniform(int64_t n, float *x, uint64_t seed)
{
    uint64_t state = 0x9e3779b97f4a7c15u * (seed + 1);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int64_t)(state >> 40) * 0x1p-23f - 1;
    }
}

void *bench_memory(int64_t bytes)
{
    const size_t size = ((size_t)bytes + 4096) & ~(size_t)4095;
    void *p = aligned_alloc(4096, size);
    die_unless(p, "out of memory");
    return memset(p, 0, size);
}

void for_threads(void (*f)(int threads))
{
    if (bench.threads) {
        f(bench.threads);
        return;
    }
    f(1);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) f(2);
}

/* These two halve OpenBLAS's speed on processors that are newer than it. It reads them when it is
 * loaded, so the program starts again without. */
static void start_again_without_blas_settings(char **argv)
{
    if (!getenv("OPENBLAS_CORETYPE") && !getenv("OPENBLAS_L2_SIZE")) return;
    unsetenv("OPENBLAS_CORETYPE");
    unsetenv("OPENBLAS_L2_SIZE");
    execv("/proc/self/exe", argv);
}

static const char *value_of(int argc, char **argv, int *k)
{
    if (*k + 1 < argc) return argv[++*k];
    fputs(usage, stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    start_again_without_blas_settings(argv);
    if (argc > 1 && strcmp(argv[1], "report") == 0) return bench_report(argc - 2, argv + 2);
    figures_begin();

    void (*run[32])(void);
    int n = 0, status = 0;
    for (int k = 1; k < argc; k++) {
        const char *word = argv[k];
        if (strcmp(word, "--quick") == 0) bench.quick = true;
        else if (strcmp(word, "--filter") == 0) bench.filter = value_of(argc, argv, &k);
        else if (strcmp(word, "--json") == 0) bench.json = value_of(argc, argv, &k);
        else if (strcmp(word, "--limits") == 0) bench.limits = value_of(argc, argv, &k);
        else if (strcmp(word, "--threads") == 0) {
            bench.threads = atoi(value_of(argc, argv, &k));
            die_unless(bench.threads >= 1 && bench.threads <= 2, "--threads: 1 or 2");
        } else if (strcmp(word, "process") == 0) {
            status = bench_process(argc - k - 1, argv + k + 1);
            break;
        } else {
            int c = 0;
            while (c < COUNT(commands) && strcmp(word, commands[c].name) != 0) c++;
            if (c == COUNT(commands) || n == COUNT(run)) {
                fputs(usage, stderr);
                return 2;
            }
            run[n++] = commands[c].run;
        }
    }
    if (argc < 2) fputs(usage, stderr);
    for (int k = 0; k < n; k++) run[k]();
    if (bench.json && status == 0)
        die_unless(figures_write(bench.json), "--json: the file can't be written");
    return argc < 2 ? 2 : status;
}
