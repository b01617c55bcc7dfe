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

/* Folders of images are read for the files within. */
static bool lies_in(const char *path, const char *folder)
{
    char parent[TG_FILE_PATH];
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (!is_folder(folder) || n >= sizeof parent) return false;
    memcpy(parent, path, n);
    parent[n] = 0;
    return same_file(n ? parent : ".", folder);
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

static bool is_history(const char *head) { return !strncmp(head, "epoch,train_loss,", 17); }

static int check_output(const request *r, const char *option, const char *path,
                        bool (*ours)(const char *), const char *what)
{
    const char *const inputs[] = {r->data, r->test, r->split};
    char head[64] = "";
    if (!path) return DONE;
    for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++)
        if (inputs[k] && (same_file(path, inputs[k]) ||
                          (k == 0 && is_folder(inputs[k]) && lies_in(path, inputs[k]) &&
                           head_of(path, head, sizeof head))))
            return complain(FAILED, "%s: %s is one of the files that are read", option, path);
    if (head_of(path, head, sizeof head) && !ours(head))
        return complain(
            FAILED, "%s: %s is there already, and is not a %s: remove it, or choose another name",
            option, path, what);
    tg_file f;
    const bool ok = tg_file_begin(&f, path);
    if (ok) tg_file_abandon(&f);
    return ok ? DONE : complain(FAILED, "%s: can't write: %s", path, tg_errno_text(f.error).text);
}

int check_outputs(const request *r)
{
    if (r->save && r->history && (!strcmp(r->save, r->history) || same_file(r->save, r->history)))
        return complain(FAILED, "--save and --history name one file");
    const int status = check_output(r, "--save", r->save, is_model, "model");
    return status == DONE ? check_output(r, "--history", r->history, is_history, "history")
                          : status;
}
