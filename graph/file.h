/* Files that are written whole or not at all. Private.
 *
 * What is put goes to a temporary file beside the target; finishing syncs it, renames it over the
 * target and syncs the folder. So the target holds the old file or the new one, never a part of
 * one. A symbolic link is written through, and the mode of an existing file is kept. The temporary
 * file is locked while its writer lives: the next writer of the same target removes what killed
 * ones left behind. What is no regular file (a pipe, a terminal, /dev/stdout) is written
 * directly. */
#ifndef TG_FILE_H
#define TG_FILE_H

#include <tapegrad/graph.h>

enum { TG_FILE_PATH = 4096 };

typedef struct tg_file {
    int descriptor; /* -1: closed */
    int error;      /* the errno of the first failure; later calls do nothing */
    bool direct;    /* no temporary file */
    char target[TG_FILE_PATH], temporary[TG_FILE_PATH];
} tg_file;

/* Whether path could be written now; nothing is opened that is no regular file. f->target is then
 * where the path's links lead. */
bool tg_file_probe(tg_file *f, const char *path);
/* Begins to write path; nothing there changes yet, but what is no regular file is opened. */
bool tg_file_begin(tg_file *f, const char *path);
bool tg_file_put(tg_file *f, const void *data, size_t bytes);
/* false: nothing was replaced, but for a folder that can't be synced */
bool tg_file_finish(tg_file *f);
void tg_file_abandon(tg_file *f); /* the target stays as it is */

/* The system's text for an errno, in English. */
tg_text tg_errno_text(int number);

#endif
