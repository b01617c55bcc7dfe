/* Whole processes: how long they take, and how much memory they hold. */
#define _DEFAULT_SOURCE
#include "bench.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static double wall(void) { return bench_clock(0); }

static double seconds_of(struct timeval t) { return (double)t.tv_sec + 1e-6 * (double)t.tv_usec; }

process_result process_run(char *const argv[])
{
    process_result r = {0};
    int ends[2];
    posix_spawn_file_actions_t actions;
    die_unless(pipe(ends) == 0 && posix_spawn_file_actions_init(&actions) == 0,
               "no pipe to a process");
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    const double begin = wall();
    pid_t pid;
    const int failure = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    close(ends[1]);
    if (failure == 0) {
        size_t length = 0;
        char rest[4096];
        for (;;) {
            const bool full = length == sizeof r.text - 1;
            const ssize_t got = full ? read(ends[0], rest, sizeof rest)
                                     : read(ends[0], r.text + length, sizeof r.text - 1 - length);
            if (got == 0 || (got < 0 && errno != EINTR)) break;
            if (got > 0 && !full) length += (size_t)got;
        }
        int status = 0;
        struct rusage usage;
        if (wait4(pid, &status, 0, &usage) == pid) {
            r.wall = wall() - begin;
            r.cpu = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
            r.rss = 1024.0 * (double)usage.ru_maxrss;
            r.good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
    }
    close(ends[0]);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

const char *process_self(void)
{
    static char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    die_unless(n > 0, "this program can't find its own file");
    path[n] = 0;
    return path;
}

double process_peak(void)
{
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lf", &kib) == 1) break;
    if (status) fclose(status);
    return 1024 * kib;
}

bool process_time(char *const argv[], int rounds, timing *wall_time, timing *cpu_time,
                  process_result *last)
{
    enum { MOST = 128 };
    double seconds[MOST], cpu[MOST];
    for (int k = 0; k < rounds && k < MOST; k++) {
        *last = process_run(argv);
        if (!last->good) return false;
        seconds[k] = last->wall;
        cpu[k] = last->cpu;
    }
    *wall_time = timing_of(seconds, rounds);
    *cpu_time = timing_of(cpu, rounds);
    return true;
}

/* tapegrad-bench process NAME COMMAND ...: the wall time and the memory of a command, for programs
 * of others. */
int bench_process(int argc, char **argv)
{
    if (argc < 2) return 2;
    timing wall_time, cpu_time;
    process_result last;
    if (!process_time(argv + 1, bench.quick ? 1 : 5, &wall_time, &cpu_time, &last)) {
        fprintf(stderr, "tapegrad-bench: %s failed\n", argv[1]);
        return 1;
    }
    char name[64];
    snprintf(name, sizeof name, "%s.wall", argv[0]);
    figure_show(&(figure){.name = name, .threads = 1, .value = wall_time, .unit = "ms"});
    snprintf(name, sizeof name, "%s.cpu", argv[0]);
    figure_show(&(figure){.name = name, .threads = 1, .value = cpu_time, .unit = "ms"});
    snprintf(name, sizeof name, "%s.rss", argv[0]);
    figure_show(&(figure){.name = name, .value = {last.rss / 1e6, last.rss / 1e6}, .unit = "MB"});
    return 0;
}
