/* A folder of its own for a test that needs files. */
#ifndef TEST_FOLDER_H
#define TEST_FOLDER_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct folder {
    char path[200];
    char file[512]; /* the path of the file named last */
} folder;

static inline folder folder_new(void)
{
    folder f = {.path = "/tmp/tapegrad-test-XXXXXX"};
    cr_assert_not_null(mkdtemp(f.path));
    return f;
}

static inline const char *folder_file(folder *f, const char *name)
{
    snprintf(f->file, sizeof f->file, "%s/%s", f->path, name);
    return f->file;
}

static inline const char *folder_write(folder *f, const char *name, const void *data, size_t bytes)
{
    FILE *file = fopen(folder_file(f, name), "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
    return f->file;
}

static inline const char *folder_text(folder *f, const char *name, const char *text)
{
    return folder_write(f, name, text, strlen(text));
}

static inline int folder_remove_one(const char *path, const struct stat *info, int kind,
                                    struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static inline void folder_free(folder *f)
{
    nftw(f->path, folder_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
