/* Loads a plugin, lets it work on two threads, unloads it, and once more; then it works in a forked
 * child. Argument: the plugin. Exit code 0 when all of it went well. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef int work_fn(int threads);

typedef struct plugin {
    void *handle;
    work_fn *step, *work;
} plugin;

static work_fn *find(void *handle, const char *name)
{
    work_fn *f = NULL;
    void *symbol = handle ? dlsym(handle, name) : NULL;
    memcpy(&f, &symbol, sizeof f);
    if (!f) fprintf(stderr, "%s\n", dlerror());
    return f;
}

static int open_plugin(plugin *p, const char *path)
{
    p->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    p->step = find(p->handle, "plugin_step");
    p->work = p->step ? find(p->handle, "plugin_work") : NULL;
    return p->work != NULL;
}

static int step_and_close(const char *path)
{
    plugin p;
    if (!open_plugin(&p, path) || p.step(2) != 0 || dlclose(p.handle) != 0) return 1;
    /* Long enough for threads that are left to come back to code that is gone. */
    nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
    return 0;
}

/* The child makes threads of its own: those of its parent did not come along. */
static int work_in_a_child(const char *path)
{
    plugin p;
    if (!open_plugin(&p, path) || p.work(2) != 0) return 1;
    const pid_t child = fork();
    if (child == 0) _exit(p.work(2));
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        return 1;
    return p.work(2) != 0 || dlclose(p.handle) != 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    return step_and_close(argv[1]) || step_and_close(argv[1]) || work_in_a_child(argv[1]);
}
