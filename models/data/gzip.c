/* Reading files that may be gzip. */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "../../graph/file.h"
#include "dataset.h"

bool tg_source_open(tg_source *s, tg_error *e, const char *path)
{
    errno = 0;
    *s = (tg_source){.file = gzopen(path, "rb"), .path = path};
    if (!s->file) {
        if (errno) tg_error_set(e, NULL, path, TG_EIO, "%s", tg_errno_text(errno).text);
        else tg_error_set(e, NULL, path, TG_ENOMEM, "no memory to read it");
        return false;
    }
    gzbuffer(s->file, 1 << 17);
    return true;
}

int64_t tg_source_read(tg_source *s, tg_error *e, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t left = bytes - done;
        errno = 0;
        const int got =
            gzread(s->file, (char *)to + done, left > (1 << 30) ? 1 << 30 : (unsigned)left);
        int code = Z_OK;
        const char *text = gzerror(s->file, &code),
                   *reason =
                       text ? strrchr(text, ':') : NULL; /* zlib's text begins with the path */
        if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            if (code == Z_ERRNO)
                tg_error_set(e, NULL, s->path, TG_EIO, "%s", tg_errno_text(errno).text);
            else if (code == Z_MEM_ERROR)
                tg_error_set(e, NULL, s->path, TG_ENOMEM, "no memory to read it");
            else if (code == Z_BUF_ERROR)
                tg_error_set(e, NULL, s->path, TG_EFORMAT, "the compressed file is cut short");
            else
                tg_error_set(e, NULL, s->path, TG_EFORMAT, "not valid gzip data%s",
                             reason ? reason : "");
            return -1;
        }
        if (got == 0) break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

void tg_source_close(tg_source *s)
{
    if (s->file) gzclose_r(s->file);
    s->file = NULL;
}
