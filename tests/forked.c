/* Runs Criterion's tests, each in a process forked from this one, with nothing but Criterion's
 * headers: this main, and these functions that the tests' macros call, take the place of the
 * library. Criterion itself shares memory with its processes at an address where ThreadSanitizer
 * allows none, and it starts processes in a way that emulators don't know.
 * Arguments: parts of names ("suite/test"); with any, only tests whose name contains one of them
 * are run. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The linker's names for the ends of the section in which Criterion's macros collect the tests. */
extern struct criterion_test *const __start_cr_tst[], *const __stop_cr_tst[];

static struct {
    const struct criterion_test *test;
    void *parameter;
    bool failed;
    jmp_buf end;
} now;

void criterion_internal_test_setup(void)
{
    if (now.test->data->init) now.test->data->init();
}

void criterion_internal_test_teardown(void)
{
    if (now.test->data->fini) now.test->data->fini();
}

void criterion_internal_test_main(void (*function)(void))
{
    if (setjmp(now.end)) return;
    if (now.test->data->kind_ == CR_TEST_PARAMETERIZED) ((void (*)(void *))function)(now.parameter);
    else function();
}

void criterion_abort_test(void) { longjmp(now.end, 1); }

void criterion_skip_test(const char *why, ...)
{
    (void)why;
    longjmp(now.end, 1);
}

void criterion_continue_test(void) {}

struct criterion_options criterion_options;

void cri_asserts_passed_incr(void) {}

/* A message of Criterion's own: the condition stands first. */
char *cr_translate_assert_msg(int message, ...)
{
    va_list arguments;
    va_start(arguments, message);
    const char *condition = va_arg(arguments, const char *);
    char *text = malloc(strlen(condition) + 1);
    if (text) strcpy(text, condition);
    va_end(arguments);
    return text;
}

int cr_asprintf(char **text, const char *format, ...)
{
    char longest[4096];
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(longest, sizeof longest, format, arguments);
    va_end(arguments);
    *text = malloc(strlen(longest) + 1);
    if (*text) strcpy(*text, longest);
    return n;
}

void cr_asprintf_free(char *text) { free(text); }

void criterion_send_assert(struct criterion_assert_stats *assertion)
{
    if (assertion->passed) return;
    now.failed = true;
    printf("%s:%u: %s/%s: %s\n", assertion->file, assertion->line, now.test->category,
           now.test->name, assertion->message);
}

static bool wanted(const struct criterion_test *test, int n, char **parts)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", test->category, test->name);
    for (int k = 0; k < n; k++)
        if (strstr(name, parts[k])) return true;
    return n == 0;
}

/* The sanitizer's reports, too, make a process end with another status than 0. */
static bool passes(const struct criterion_test *test, void *parameter)
{
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        now.test = test;
        now.parameter = parameter;
        test->test();
        exit(now.failed ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    int status = 1;
    if (child > 0) waitpid(child, &status, 0);
    if (status) printf("[FAIL] %s/%s\n", test->category, test->name);
    return status == 0;
}

int main(int argc, char **argv)
{
    int run = 0, passed = 0;
    for (struct criterion_test *const *at = __start_cr_tst; at < __stop_cr_tst; at++) {
        const struct criterion_test *test = *at;
        if (!test || test->data->disabled || test->data->signal ||
            !wanted(test, argc - 1, argv + 1))
            continue;
        if (test->data->kind_ == CR_TEST_PARAMETERIZED) {
            struct criterion_test_params all = test->data->param_();
            for (size_t k = 0; k < all.length; k++, run++)
                passed += passes(test, (char *)all.params + k * all.size);
        } else {
            run++;
            passed += passes(test, NULL);
        }
    }
    printf("[====] Synthesis: Tested: %d | Passing: %d | Failing: %d | Crashing: 0\n", run, passed,
           run - passed);
    return passed == run && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
