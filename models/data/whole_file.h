/* Files read and written in one piece. Private. */
#ifndef TG_WHOLE_FILE_H
#define TG_WHOLE_FILE_H

#include "dataset.h"

/* A regular file's content, to be released with its size; NULL after an error. */
void *tg_whole_file_read(const char *path, const tg_allocator *a, size_t *bytes, tg_error *e);

/* Replaces path by a file with that content, so that a crash leaves the old one or the new one. Only regular files are replaced. */
bool tg_whole_file_write(const char *path, const void *data, size_t bytes, tg_error *e);

#endif
