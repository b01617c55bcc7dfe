/* Reading files in a lean library: plain ones. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>

#include "../../graph/file.h"
#include "../data/dataset.h"

bool tg_source_open(tg_source *s, tg_error *e, const char *path)
{
    FILE *file = fopen(path, "rb");
    *s = (tg_source){.file = file, .path = path};
    if (!file) {
        tg_error_set(e, NULL, path, TG_EIO, "%s", tg_errno_text(errno).text);
        return false;
    }
    unsigned char start[2] = {0, 0};
    const bool gzip =
        fread(start, 1, sizeof start, file) == sizeof start && start[0] == 0x1f && start[1] == 0x8b;
    rewind(file);
    if (!gzip) return true;
    tg_source_close(s);
    tg_error_set(e, NULL, path, TG_ESTATE, "a gzip file; built without zlib");
    return false;
}

int64_t tg_source_read(tg_source *s, tg_error *e, void *to, size_t bytes)
{
    const size_t done = fread(to, 1, bytes, s->file);
    if (done == bytes || !ferror((FILE *)s->file)) return (int64_t)done;
    tg_error_set(e, NULL, s->path, TG_EIO, "%s", tg_errno_text(errno).text);
    return -1;
}

void tg_source_close(tg_source *s)
{
    if (s->file) fclose(s->file);
    s->file = NULL;
}
