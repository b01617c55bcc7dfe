/* Files read and written in one piece. */
#define _POSIX_C_SOURCE 200809L
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../graph/file.h"

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

bool tg_whole_file_write(const char *path, const void *data, size_t bytes, tg_error *e)
{
    tg_file f;
    if (tg_file_begin(&f, path)) {
        tg_file_put(&f, data, bytes);
        tg_file_finish(&f);
    }
    if (f.error)
        tg_error_set(e, NULL, path, TG_EIO, "can't write: %s", tg_errno_text(f.error).text);
    return !f.error;
}
