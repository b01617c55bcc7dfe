/* Files written whole or not at all, while the system's calls fail one after another. */
#define _GNU_SOURCE
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../graph/file.h"

/* The program's own definitions come before the C library's: the static library calls these. The
 * one whose number has come fails. */
static int calls, fail_at, fail_with;

static bool fails(void)
{
    if (++calls != fail_at) return false;
    errno = fail_with;
    return true;
}

int fsync(int file) { return fails() ? -1 : (int)syscall(SYS_fsync, file); }
int fchmod(int file, mode_t mode) { return fails() ? -1 : (int)syscall(SYS_fchmod, file, mode); }
int rename(const char *from, const char *to)
{
    return fails() ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* A short write first, so that the rest has to be written too. */
ssize_t write(int file, const void *data, size_t bytes)
{
    if (fails()) return -1;
    return (ssize_t)syscall(SYS_write, file, data, fail_at && bytes > 1 ? bytes / 2 : bytes);
}

static bool save(const char *path, const char *text, int *reason)
{
    tg_file f;
    const bool ok =
        tg_file_begin(&f, path) && (tg_file_put(&f, text, strlen(text)), tg_file_finish(&f));
    *reason = f.error;
    cr_expect_eq(ok, !f.error);
    return ok;
}

static void holds(const char *path, const char *text)
{
    char y[100] = "";
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    y[fread(y, 1, sizeof y - 1, file)] = 0;
    fclose(file);
    cr_expect_str_eq(y, text, "%s holds '%s' instead of '%s'", path, y, text);
}

static int entries(const char *path)
{
    int n = 0;
    DIR *list = opendir(path);
    while (list && readdir(list)) n++;
    closedir(list);
    return n - 2;
}

Test(file, every_failing_call_leaves_the_old_file_and_no_other)
{
    static const int reasons[] = {EIO, ENOSPC};
    folder f = folder_new();
    for (size_t k = 0; k < 2; k++) {
        bool renamed = false, met = true;
        int n = 0;
        while (met) {
            const char *path = folder_text(&f, "x", "old");
            int reason = 0;
            calls = 0, fail_at = ++n, fail_with = reasons[k];
            const bool ok = save(path, "the new one", &reason);
            met = calls >= n;
            fail_at = 0;
            cr_expect_neq(ok, met, "call %d", n);
            cr_expect_eq(reason, met ? reasons[k] : 0, "call %d: errno %d", n, reason);
            cr_expect_eq(entries(f.path), 1, "call %d", n);
            /* The last call syncs the folder, when the new file is in its place. */
            char first = 0;
            FILE *file = fopen(path, "r");
            cr_expect_eq(fread(&first, 1, 1, file), 1);
            fclose(file);
            cr_expect(!renamed || !met, "call %d is not the last", n);
            renamed = first == 't';
            holds(path, renamed ? "the new one" : "old");
        }
        cr_expect_gt(n, 8, "only %d calls", n);
    }
    folder_free(&f);
}

Test(file, a_link_is_written_through_and_the_mode_is_kept)
{
    folder f = folder_new();
    char link[600], dangling[600], to[600];
    int reason;
    snprintf(link, sizeof link, "%s/link", f.path);
    snprintf(dangling, sizeof dangling, "%s/dangling", f.path);
    folder_text(&f, "real", "old");
    chmod(f.file, 0640);
    cr_assert_eq(symlink("real", link), 0);
    cr_expect(save(link, "new", &reason));
    holds(f.file, "new");
    struct stat info;
    cr_assert_eq(lstat(link, &info), 0);
    cr_expect(S_ISLNK(info.st_mode));
    cr_assert_eq(stat(f.file, &info), 0);
    cr_expect_eq(info.st_mode & 07777, 0640);
    snprintf(to, sizeof to, "%s/made", f.path);
    cr_assert_eq(symlink(to, dangling), 0);
    cr_expect(save(dangling, "made", &reason));
    holds(to, "made");
    cr_assert_eq(unlink(dangling), 0);
    cr_assert_eq(symlink("dangling", dangling), 0);
    cr_expect_not(save(dangling, "x", &reason));
    cr_expect_eq(reason, ELOOP);
    cr_expect_eq(entries(f.path), 4);
    folder_free(&f);
}

Test(file, what_is_no_regular_file_is_written_directly)
{
    int reason, pipes[2], before = dup(1);
    char text[10] = "";
    cr_expect_not(save("/dev/full", "x", &reason));
    cr_expect_eq(reason, ENOSPC);
    cr_expect(save("/dev/null", "x", &reason));
    struct stat info;
    cr_assert_eq(stat("/dev/null", &info), 0);
    cr_expect(S_ISCHR(info.st_mode));
    cr_assert_eq(pipe(pipes), 0);
    dup2(pipes[1], 1);
    const bool ok = save("/dev/stdout", "piped", &reason);
    dup2(before, 1);
    cr_expect(ok, "%s", strerror(reason));
    cr_expect_eq(read(pipes[0], text, sizeof text), 5);
    cr_expect_str_eq(text, "piped");
    cr_expect_not(save("/", "x", &reason));
    cr_expect_eq(reason, EISDIR);
    close(pipes[0]), close(pipes[1]), close(before);
}

/* Standard output in a file: what others have printed there stays. */
Test(file, standard_output_is_appended_to)
{
    folder f = folder_new();
    int reason, before = dup(1), out = open(folder_text(&f, "out", ""), O_WRONLY);
    cr_assert_eq(write(out, "before ", 7), 7);
    dup2(out, 1);
    const bool ok = save("/dev/stdout", "saved", &reason);
    dup2(before, 1);
    cr_expect(ok, "%s", strerror(reason));
    holds(f.file, "before saved");
    close(out), close(before);
    folder_free(&f);
}

Test(file, leftovers_of_the_dead_are_removed_and_those_of_the_living_stay)
{
    folder f = folder_new();
    int reason, ready[2];
    char path[600];
    snprintf(path, sizeof path, "%s", folder_text(&f, "x", "old"));
    cr_assert_eq(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        tg_file half;
        const bool ok = tg_file_begin(&half, path) && tg_file_put(&half, "half", 4);
        (void)!write(ready[1], ok ? "y" : "n", 1);
        pause();
        _exit(0);
    }
    char answer = 0;
    cr_assert_eq(read(ready[0], &answer, 1), 1);
    cr_assert_eq(answer, 'y');
    cr_expect(save(path, "new", &reason));
    cr_expect_eq(entries(f.path), 2, "a living writer's file was taken away");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    folder_text(&f, "x.1-2-3-4.tg-new.mine", "not ours");
    folder_text(&f, "xy.1-2-3-4.tg-new", "another file's");
    cr_expect_eq(entries(f.path), 4);
    cr_expect(save(path, "newer", &reason));
    cr_expect_eq(entries(f.path), 3);
    holds(path, "newer");
    close(ready[0]), close(ready[1]);
    folder_free(&f);
}

Test(file, a_name_may_be_as_long_as_the_system_allows)
{
    folder f = folder_new();
    char name[256];
    int reason;
    memset(name, 'n', 255);
    name[255] = 0;
    cr_expect(save(folder_file(&f, name), "whole", &reason), "%s", strerror(reason));
    holds(f.file, "whole");
    cr_expect_eq(entries(f.path), 1);
    folder_free(&f);
}

Test(file, a_write_that_is_given_up_changes_nothing)
{
    folder f = folder_new();
    const char *path = folder_text(&f, "x", "old");
    tg_file y;
    cr_assert(tg_file_begin(&y, path));
    cr_expect(tg_file_put(&y, "new", 3));
    tg_file_abandon(&y);
    holds(path, "old");
    cr_expect_eq(entries(f.path), 1);
    folder_free(&f);
}
