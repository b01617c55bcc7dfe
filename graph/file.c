/* Writing a file so that it is there as a whole, or not at all. */
#define _DEFAULT_SOURCE
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char suffix[] = ".tg-new";

tg_text tg_errno_text(int number)
{
    tg_text text;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c) snprintf(text.text, sizeof text.text, "%s", strerror_l(number, c));
    else snprintf(text.text, sizeof text.text, "system error %d", number);
    if (c) freelocale(c);
    return text;
}

/* Keeps the first reason. Returns false. */
static bool failed(tg_file *f, int reason)
{
    if (!f->error) f->error = reason ? reason : EIO;
    return false;
}

/* ---------------------------------------------------------------- where the bytes go */

/* How much of a path is its folder, the slash included. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The number of a descriptor of this process that the path names, or -1. */
static int named_descriptor(const char *path)
{
    static const char *const places[] = {"/proc/self/fd/", "/dev/fd/"};
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        const size_t n = strlen(places[k]);
        int number = 0, used = 0;
        if (!strncmp(path, places[k], n) && sscanf(path + n, "%9d%n", &number, &used) == 1 &&
            !path[n + (size_t)used])
            return number;
    }
    return -1;
}

/* Follows f->target to where its links lead, which need not exist. *number gets a descriptor of
 * this process that is met on the way. */
static bool follow(tg_file *f, int *number)
{
    enum { MOST_LINKS = 40 };
    char next[TG_FILE_PATH];
    for (int k = 0; k < MOST_LINKS; k++) {
        if ((*number = named_descriptor(f->target)) >= 0) return true;
        const ssize_t n = readlink(f->target, next, sizeof next - 1);
        if (n < 0) return errno == EINVAL || errno == ENOENT ? true : failed(f, errno);
        next[n] = 0;
        const size_t folder = next[0] == '/' ? 0 : folder_length(f->target);
        if (folder + (size_t)n >= sizeof f->target) return failed(f, ENAMETOOLONG);
        memcpy(f->target + folder, next, (size_t)n + 1);
    }
    return failed(f, ELOOP);
}

static void close_only(tg_file *f)
{
    if (f->descriptor >= 0) close(f->descriptor);
    f->descriptor = -1;
}

/* ---------------------------------------------------------------- temporary files */

/* Whether the file at that path still is the open one. */
static bool still_there(int file, const char *path)
{
    struct stat open_one, named;
    return fstat(file, &open_one) == 0 && lstat(path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* How much of a target's name its temporary files bear: what they add must fit into a name too. */
static size_t borne_length(const char *name)
{
    enum { LONGEST = 180 };
    return strnlen(name, LONGEST);
}

/* A name of ours: the target's own, a dot, digits and dashes, the suffix. */
static bool is_leftover(const char *name, const char *target, size_t n)
{
    const size_t length = strlen(name), end = sizeof suffix - 1;
    if (length <= n + 1 + end || strncmp(name, target, n) != 0 || name[n] != '.' ||
        strcmp(name + length - end, suffix) != 0)
        return false;
    return strspn(name + n + 1, "0123456789-") == length - end - n - 1;
}

/* Removes the temporary files of writers that died; a living one holds its lock. */
static void remove_leftovers(const tg_file *f)
{
    char path[TG_FILE_PATH];
    const size_t folder = folder_length(f->target);
    const char *name = f->target + folder;
    memcpy(path, f->target, folder);
    path[folder] = 0;
    DIR *list = opendir(folder ? path : ".");
    for (const struct dirent *entry; list && (entry = readdir(list));) {
        const size_t n = strlen(entry->d_name);
        if (!is_leftover(entry->d_name, name, borne_length(name)) || folder + n >= sizeof path)
            continue;
        memcpy(path + folder, entry->d_name, n + 1);
        const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (file < 0) continue;
        if (flock(file, LOCK_EX | LOCK_NB) == 0 && still_there(file, path)) unlink(path);
        close(file);
    }
    if (list) closedir(list);
}

/* Makes and locks a file beside the target. Whoever removes leftovers may take a new one for one of
 * them before it is locked: then another one is made. */
static bool open_beside(tg_file *f)
{
    enum { ATTEMPTS = 100 };
    const size_t folder = folder_length(f->target),
                 borne = folder + borne_length(f->target + folder);
    for (int k = 0; k < ATTEMPTS; k++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        const int n =
            snprintf(f->temporary, sizeof f->temporary, "%.*s.%ld-%lld-%ld-%d%s", (int)borne,
                     f->target, (long)getpid(), (long long)now.tv_sec, now.tv_nsec, k, suffix);
        if (n < 0 || (size_t)n >= sizeof f->temporary) return failed(f, ENAMETOOLONG);
        f->descriptor = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->descriptor < 0 && errno != EEXIST) return failed(f, errno);
        if (f->descriptor < 0) continue;
        const bool locked =
            flock(f->descriptor, LOCK_EX | LOCK_NB) == 0 || errno == ENOLCK || errno == EOPNOTSUPP;
        if (locked && still_there(f->descriptor, f->temporary)) return true;
        close_only(f);
    }
    return failed(f, EEXIST);
}

/* ---------------------------------------------------------------- writing */

static bool begin(tg_file *f, const char *path, bool probing)
{
    struct stat info;
    const size_t n = strlen(path);
    f->descriptor = -1;
    f->error = 0;
    f->temporary[0] = 0;
    f->direct = true;
    if (n == 0) return failed(f, ENOENT);
    if (n >= sizeof f->target) return failed(f, ENAMETOOLONG);
    memcpy(f->target, path, n + 1);
    const bool exists = stat(path, &info) == 0;
    if (exists && S_ISDIR(info.st_mode)) return failed(f, EISDIR);
    int number = -1;
    if (!follow(f, &number)) return false;
    if (number >= 0 && probing) return fcntl(number, F_GETFD) >= 0 || failed(f, errno);
    if (number >= 0) {
        f->descriptor = fcntl(number, F_DUPFD_CLOEXEC, 0);
        return f->descriptor >= 0 || failed(f, errno);
    }
    if (exists && !S_ISREG(info.st_mode) && probing)
        return access(path, W_OK) == 0 || failed(f, errno);
    if (exists && !S_ISREG(info.st_mode)) {
        f->descriptor = open(path, O_WRONLY | O_CLOEXEC);
        return f->descriptor >= 0 || failed(f, errno);
    }
    f->direct = false;
    /* Renaming would replace a file that its owner protects from writing. */
    if (exists && access(f->target, W_OK) != 0) return failed(f, errno);
    remove_leftovers(f);
    if (!open_beside(f)) return false;
    if (!exists || fchmod(f->descriptor, info.st_mode & 07777) == 0) return true;
    failed(f, errno);
    tg_file_abandon(f);
    return false;
}

bool tg_file_begin(tg_file *f, const char *path) { return begin(f, path, false); }

bool tg_file_probe(tg_file *f, const char *path)
{
    const bool ok = begin(f, path, true);
    if (ok) tg_file_abandon(f);
    return ok;
}

bool tg_file_put(tg_file *f, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes && !f->error) {
        const ssize_t put = write(f->descriptor, from, bytes);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(f, errno);
        from += put;
        bytes -= (size_t)put;
    }
    return !f->error;
}

/* Not every file system can sync a folder, and not every user may open it. */
static bool sync_folder(tg_file *f)
{
    const size_t n = folder_length(f->target);
    f->target[n] = 0;
    const int folder = open(n ? f->target : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return true;
    const bool ok = fsync(folder) == 0 || (errno != EIO && errno != ENOSPC);
    const int reason = errno;
    close(folder);
    return ok || failed(f, reason);
}

bool tg_file_finish(tg_file *f)
{
    if (!f->error && !f->direct && fsync(f->descriptor) != 0) failed(f, errno);
    /* The lock goes with the descriptor, so the renaming comes first. */
    if (!f->error && !f->direct && rename(f->temporary, f->target) != 0) failed(f, errno);
    if (f->error) {
        tg_file_abandon(f);
        return false;
    }
    const bool closed = close(f->descriptor) == 0;
    const int reason = errno;
    f->descriptor = -1;
    if (!closed && f->direct) return failed(f, reason);
    return f->direct || sync_folder(f);
}

void tg_file_abandon(tg_file *f)
{
    if (f->descriptor >= 0 && !f->direct) unlink(f->temporary);
    close_only(f);
}
