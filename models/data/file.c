/* Reading files that may be gzip. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "dataset.h"

tg_text tg_errno_text(int number)
{
    tg_text text;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c) snprintf(text.text, sizeof text.text, "%s", strerror_l(number, c));
    else snprintf(text.text, sizeof text.text, "system error %d", number);
    if (c) freelocale(c);
    return text;
}

bool tg_source_open(tg_source *s, tg_error *e, const char *path)
{
    errno = 0;
    *s = (tg_source){.gz = gzopen(path, "rb"), .path = path};
    if (!s->gz) {
        if (errno) tg_error_set(e, NULL, path, TG_EIO, "%s", tg_errno_text(errno).text);
        else tg_error_set(e, NULL, path, TG_ENOMEM, "no memory to read it");
        return false;
    }
    gzbuffer(s->gz, 1 << 17);
    return true;
}

int64_t tg_source_read(tg_source *s, tg_error *e, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t left = bytes - done;
        errno = 0;
        const int got =
            gzread(s->gz, (char *)to + done, left > (1 << 30) ? 1 << 30 : (unsigned)left);
        int code = Z_OK;
        const char *text = gzerror(s->gz, &code),
                   *reason =
                       text ? strrchr(text, ':') : NULL; /* zlib's text begins with the path */
        if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            if (code == Z_ERRNO)
                tg_error_set(e, NULL, s->path, TG_EIO, "%s", tg_errno_text(errno).text);
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
    if (s->gz) gzclose_r(s->gz);
    s->gz = NULL;
}
