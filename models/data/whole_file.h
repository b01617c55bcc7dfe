/* Files read and written in one piece. Private. */
#ifndef TG_WHOLE_FILE_H
#define TG_WHOLE_FILE_H

#include "dataset.h"

/* A regular file's content, to be released with its size; NULL after an error. */
void *tg_whole_file_read(const char *path, const tg_allocator *a, size_t *bytes, tg_error *e);

/* Replaces path by a file with that content, or writes what is no regular file directly:
 * graph/file.h. */
bool tg_whole_file_write(const char *path, const void *data, size_t bytes, tg_error *e);

#endif
