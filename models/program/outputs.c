/* Where results may be written: not over what is read, and not over files of another kind. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../../graph/file.h"
#include "main.h"

/* Whether two paths lead to one file, by links or by names of many kinds. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The folder a path lies in, with its slash; false: the path is too long. */
static bool folder_of(const char *path, char folder[TG_FILE_PATH])
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n + 2 > TG_FILE_PATH) return false;
    memcpy(folder, n ? path : ".", n ? n : 1);
    folder[n ? n : 1] = 0;
    return true;
}

/* The same of two paths whose links are followed and that need not be there yet. */
static bool same_target(const char *a, const char *b)
{
    char folder_a[TG_FILE_PATH], folder_b[TG_FILE_PATH];
    const char *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    if (!strcmp(a, b) || same_file(a, b)) return true;
    return !strcmp(name_a ? name_a + 1 : a, name_b ? name_b + 1 : b) && folder_of(a, folder_a) &&
           folder_of(b, folder_b) && same_file(folder_a, folder_b);
}

/* Folders of images are read for the files within. */
static bool lies_in(const char *path, const char *folder)
{
    char parent[TG_FILE_PATH];
    return is_folder(folder) && folder_of(path, parent) && same_file(parent, folder);
}

/* The first bytes of a regular file; false: there is none, or nothing in it. */
static bool head_of(const char *path, char *head, size_t room)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || !info.st_size) return false;
    FILE *file = fopen(path, "rb");
    const size_t n = file ? fread(head, 1, room - 1, file) : 0;
    if (file) fclose(file);
    head[n] = 0;
    return true;
}

static bool is_model(const char *head)
{
    return !memcmp(head + 8, "{\"__metadata__\":{\"format\":\"tapegrad-", 36);
}

/* The whole of its first line, for either task and whatever was held out; or how JSON Lines
 * begin. */
static bool is_history(const char *head)
{
    static const char *const metrics[] = {"accuracy", "r2"}, *const held[] = {"test", "validation"};
    static const char json[] = "{\"epoch\":1,\"train_loss\":";
    if (!strncmp(head, json, sizeof json - 1)) return true;
    for (int m = 0; m < 2; m++)
        for (int h = 0; h < 2; h++) {
            char line[HISTORY_HEADER];
            history_header(line, metrics[m], held[h]);
            if (!strncmp(head, line, strlen(line))) return true;
        }
    return false;
}

/* f->target gets where path leads. */
static int check_output(const request *r, const char *option, const char *path,
                        bool (*ours)(const char *), const char *what, tg_file *f)
{
    const char *const inputs[] = {r->data, r->test, r->split, r->model};
    char head[2 * HISTORY_HEADER] = "";
    if (!path) return DONE;
    if (!*path) return complain(FAILED, "%s: the name is empty", option);
    for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++)
        if (inputs[k] && (same_file(path, inputs[k]) ||
                          (k == 0 && is_folder(inputs[k]) && lies_in(path, inputs[k]) &&
                           head_of(path, head, sizeof head))))
            return complain(FAILED, "%s: %s is one of the files that are read", option, path);
    if (head_of(path, head, sizeof head) && !ours(head))
        return complain(
            FAILED, "%s: %s is there already, and is not a %s: remove it, or choose another name",
            option, path, what);
    if (tg_file_probe(f, path)) return DONE;
    return complain(FAILED, "%s: can't write: %s", path, tg_errno_text(f->error).text);
}

static bool is_report(const char *head)
{
    static const char begin[] = "<!doctype html>\n<!-- tapegrad report -->";
    return !strncmp(head, begin, sizeof begin - 1);
}

static bool is_trace(const char *head)
{
    static const char begin[] = "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"evaluations\":";
    return !strncmp(head, begin, sizeof begin - 1);
}

/* A source and its header say so in their first line. */
static bool is_exported(const char *head)
{
    const char *found = strstr(head, ", exported by tapegrad "), *end = strchr(head, '\n');
    return !strncmp(head, "/* ", 3) && found && (!end || found < end);
}

int check_outputs(const request *r)
{
    const struct {
        const char *option, *path;
        bool (*ours)(const char *);
        const char *what;
    } all[] = {{"--save", r->save, is_model, "model"},
               {"--history", r->history, is_history, "history"},
               {"--report", r->report, is_report, "report"},
               {"--profile", r->profile, is_trace, "profile"},
               {"-o", r->output, is_exported, "model exported before"},
               {"--header", r->header, is_exported, "header exported before"}};
    enum { OUTPUTS = sizeof all / sizeof all[0] };
    tg_file f[OUTPUTS];
    for (int k = 0; k < OUTPUTS; k++) {
        const int status =
            check_output(r, all[k].option, all[k].path, all[k].ours, all[k].what, &f[k]);
        if (status != DONE) return status;
        for (int i = 0; i < k; i++)
            if (all[i].path && all[k].path && same_target(f[i].target, f[k].target))
                return complain(FAILED, "%s and %s name one file", all[i].option, all[k].option);
    }
    return DONE;
}
