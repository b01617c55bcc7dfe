/* Files read and written in one piece. */
#define _POSIX_C_SOURCE 200809L
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

tg_text tg_errno_text(int number)
{
    tg_text text;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c) snprintf(text.text, sizeof text.text, "%s", strerror_l(number, c));
    else snprintf(text.text, sizeof text.text, "system error %d", number);
    if (c) freelocale(c);
    return text;
}

static bool fail(tg_error *e, const char *path, const char *doing)
{
    tg_error_set(e, NULL, path, TG_EIO, "%s: %s", doing, tg_errno_text(errno).text);
    return false;
}

static bool read_to(int file, void *to, size_t bytes, tg_error *e, const char *path)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t got = read(file, (char *)to + done, bytes - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(e, path, "can't read");
        if (got == 0) {
            tg_error_set(e, NULL, path, TG_EIO, "it became shorter while it was read");
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

void *tg_whole_file_read(const char *path, const tg_allocator *a, size_t *bytes, tg_error *e)
{
    struct stat info;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail(e, path, "can't open");
        return NULL;
    }
    void *data = NULL;
    if (fstat(file, &info) != 0) {
        fail(e, path, "can't read");
    } else if (!S_ISREG(info.st_mode)) {
        tg_error_set(e, NULL, path, TG_EIO, "not a regular file");
    } else {
        *bytes = (size_t)info.st_size;
        data = tg_allocate(a, *bytes);
        if (!data) tg_error_set(e, NULL, path, TG_ENOMEM, "no memory for %zu bytes", *bytes);
    }
    if (data && !read_to(file, data, *bytes, e, path)) {
        tg_release(a, data, *bytes);
        data = NULL;
    }
    close(file);
    return data;
}

static bool write_all(int file, const char *data, size_t bytes)
{
    while (bytes) {
        const ssize_t put = write(file, data, bytes);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        data += put;
        bytes -= (size_t)put;
    }
    return fsync(file) == 0;
}

/* The renaming itself must reach the disk too. Not every file system can sync a folder, and the file is in place anyway. */
static void sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    if (n >= sizeof folder) return;
    memcpy(folder, path, n);
    folder[n] = 0;
    const int file = open(n ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;
    (void)fsync(file);
    close(file);
}

/* A new file in the folder of path, where it can be renamed; -1 with errno. */
static int open_beside(const char *path, char *name, size_t room)
{
    enum { ATTEMPTS = 100 };
    int file = -1;
    errno = EEXIST;
    for (int k = 0; k < ATTEMPTS && file < 0 && errno == EEXIST; k++) {
        const int n = snprintf(name, room, "%s.%ld-%d.new", path, (long)getpid(), k);
        errno = ENAMETOOLONG;
        if (n > 0 && (size_t)n < room)
            file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    return file;
}

bool tg_whole_file_write(const char *path, const void *data, size_t bytes, tg_error *e)
{
    struct stat info;
    char temporary[4096];
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        tg_error_set(e, NULL, path, TG_EIO, "not a regular file");
        return false;
    }
    const int file = open_beside(path, temporary, sizeof temporary);
    if (file < 0) return fail(e, path, "can't write");
    bool ok = write_all(file, data, bytes);
    int reason = errno;
    if (close(file) != 0 && ok) {
        ok = false;
        reason = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        reason = errno;
    }
    if (ok) {
        sync_folder(path);
        return true;
    }
    unlink(temporary);
    errno = reason;
    return fail(e, path, "can't write");
}
