/* Threads: none that nobody asked for, and the same bits with any number of them, however tapes and
 * threads are mixed. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>
#include <dirent.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tapegrad/ops.h>
#include <tapegrad/optim.h>
#include <time.h>
#include <unistd.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define expect_ok(t) cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t))

enum { ROWS = 300, COLUMNS = 257 }; /* more than a few chunks, and enough to be worth threads */

/* Threads of this process. */
static int running(void)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks) return -1;
    for (const struct dirent *e; (e = readdir(tasks));) n += e->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/* Whether there are n of them soon: a thread that was joined may be listed a moment longer. */
static bool come_to(int n)
{
    for (int k = 0; k < 1000 && running() != n; k++)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    return running() == n;
}

static tg_tape *tape_with(int threads)
{
    const tg_tape_options o = {.size = sizeof o, .threads = threads, .seed = 5};
    return tg_tape_new(&o);
}

typedef struct model {
    tg_params *ps;
    tg_tensor *p[3];
    float x[ROWS * COLUMNS];
} model;

static model *model_new(void)
{
    const tg_params_options o = {.size = sizeof o, .seed = 11};
    const tg_init normal = {.kind = TG_NORMAL, .a = 0, .b = 0.3};
    model *m = malloc(sizeof *m);
    m->ps = tg_params_new(&o);
    m->p[0] = tg_param_new(m->ps, "w", TG_F32, TG_SHAPE(40, COLUMNS), normal);
    m->p[1] = tg_param_new(m->ps, "b", TG_F32, TG_SHAPE(40), normal);
    m->p[2] = tg_param_new(m->ps, "scale", TG_F32, TG_SHAPE(COLUMNS), normal);
    for (int i = 0; i < ROWS * COLUMNS; i++) m->x[i] = (float)sin(0.1 * i);
    return m;
}

static void model_free(model *m)
{
    tg_params_free(m->ps);
    free(m);
}

/* Elementwise chains, sums along both axes, a product, a softmax and dropout over the first `rows`
 * rows. */
static tg_tensor *record(tg_tape *t, const model *m, int rows, tg_tensor **middle)
{
    tg_tensor *x = tg_input_borrow(t, TG_F32, TG_SHAPE(rows, COLUMNS), m->x);
    tg_tensor *h = tg_tanh(t, tg_mul(t, tg_dropout(t, x, 0.2), m->p[2]));
    *middle = tg_sum(t, tg_square(t, h), TG_AXES(0), false);
    tg_tensor *y = tg_log_softmax(t, tg_linear(t, h, m->p[0], m->p[1]), 1);
    return tg_add(t, tg_mean(t, y, TG_ALL_AXES, false), tg_sum(t, *middle, TG_ALL_AXES, false));
}

/* The loss, the sums along the columns, and all gradients. */
typedef struct result {
    float loss, middle[COLUMNS], w[40 * COLUMNS], b[40], scale[COLUMNS];
} result;

static void take_gradients(tg_tape *t, const model *m, result *r, tg_tensor *loss,
                           tg_tensor *middle)
{
    tg_tensor *g[3];
    float *const to[] = {r->w, r->b, r->scale};
    tg_grad(t, loss, NULL, 3, m->p, g, false);
    tg_keep(t, loss);
    tg_keep(t, middle);
    tg_eval(t, 3, g);
    for (int k = 0; k < 3; k++) {
        const void *data = tg_data(t, g[k]);
        if (data) memcpy(to[k], data, (size_t)tg_tensor_count(g[k]) * sizeof(float));
    }
    const void *sums = tg_data(t, middle);
    if (sums) memcpy(r->middle, sums, sizeof r->middle);
    r->loss = (float)tg_item(t, loss);
}

static result *run_once(tg_tape *t, const model *m, int rows, uint64_t step)
{
    tg_tensor *middle, *loss;
    result *r = calloc(1, sizeof *r);
    tg_tape_reset(t);
    tg_tape_set_step(t, step);
    loss = record(t, m, rows, &middle);
    take_gradients(t, m, r, loss, middle);
    return r;
}

static bool same(const result *a, const result *b) { return memcmp(a, b, sizeof *a) == 0; }

static void *no_work(void *user) { return user; }

/* How many there are once the process has had one: ThreadSanitizer starts one of its own then. */
static int running_at_first(void)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, no_work, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    return running();
}

Test(threads, a_program_that_asks_for_none_starts_none)
{
    const int before = running_at_first();
    if (before < 0) cr_skip_test("no /proc/self/task");
    model *m = model_new();
    for (int threads = 0; threads <= 1; threads++) {
        tg_tape *t = tape_with(threads);
        for (int rows = 1; rows <= ROWS; rows += 299) {
            free(run_once(t, m, rows, 0));
            expect_ok(t);
            cr_expect_eq(running(), before, "%d threads, %d rows: %d are running, %d before",
                         threads, rows, running(), before);
        }
        tg_tape_free(t);
    }
    tg_tape *t = tape_with(2);
    tg_item(t, tg_sum(t, tg_square(t, tg_input_borrow(t, TG_F32, TG_SHAPE(5000), m->x)),
                      TG_ALL_AXES, false));
    cr_expect_eq(running(), before, "a few elements are not worth a thread");
    free(run_once(t, m, ROWS, 0));
    expect_ok(t);
    cr_expect_gt(running(), before, "that so many elements use the thread allowed for");
    tg_tape_free(t);
    model_free(m);
    cr_expect(come_to(before), "threads end with what they belong to");
}

static double processor_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Test(threads, those_without_work_sleep)
{
    model *m = model_new();
    tg_tape *t = tape_with(4);
    for (int k = 0; k < 20; k++) free(run_once(t, m, ROWS, 0));
    const double before = processor_time();
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    cr_expect_lt(processor_time() - before, 0.03, "%.3f s of processor time in 0.1 s without work",
                 processor_time() - before);
    tg_tape_free(t);
    model_free(m);
}

/* The threads of the parent are not there, but their tape, and the parameters that share them, go
 * on with others. */
static int work_as_child(tg_tape *t, tg_optim *o, const model *m, const result *want)
{
    const int alone = running();
    for (int k = 0; k < 20; k++) {
        result *r = run_once(t, m, ROWS, 0);
        const bool equal = same(r, want);
        free(r);
        if (!equal) return 1;
    }
    if (!come_to(alone + 2)) return 2;
    tg_tape_reset(t);
    tg_tensor *middle;
    if (tg_backward(t, record(t, m, ROWS, &middle)) || tg_optim_step(o)) return 3;
    tg_tape_free(t);
    tg_optim_free(o);
    tg_params_free(m->ps);
    return come_to(alone) ? 0 : 4;
}

/* Not among the tests for ThreadSanitizer, under which such a child can't start any. */
Test(fork, a_child_makes_workers_of_its_own)
{
    if (running() < 0) cr_skip_test("no /proc/self/task");
    model *m = model_new();
    tg_tape *t = tape_with(3);
    tg_optim *o = tg_sgd_new(m->ps, NULL);
    tg_optim_set_learning_rate(o, 0);
    tg_optim_set_threads(o, 3);
    result *want = run_once(t, m, ROWS, 0);
    for (int turn = 0; turn < 5; turn++) { /* its threads sleep, or look for work, as it comes */
        tg_tensor *middle;
        tg_tape_reset(t);
        tg_backward(t, record(t, m, ROWS, &middle));
        tg_optim_step(o);
        if (turn % 2) nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
        const pid_t child = fork();
        if (child == 0) _exit(work_as_child(t, o, m, want));
        int status = -1;
        cr_assert(child > 0 && waitpid(child, &status, 0) == child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "turn %d: %d", turn, status);
    }
    result *again = run_once(t, m, ROWS, 0);
    cr_expect(same(again, want), "the parent goes on as well");
    expect_ok(t);
    free(want);
    free(again);
    tg_tape_free(t);
    tg_optim_free(o);
    model_free(m);
}

/* ---------------------------------------------------------------- tapes side by side */

enum { TAPES = 4, STEPS = 5 };

typedef struct job {
    const model *m;
    const result *want[2];
    int number, different;
    bool healthy;
} job;

static void *run_job(void *user)
{
    job *j = user;
    tg_tape *t = tape_with(1 + j->number % 2);
    j->healthy = true;
    for (int step = 0; step < STEPS; step++) {
        const int small = (step + j->number) % 2;
        result *r = run_once(t, j->m, small ? 7 : ROWS, 0);
        j->different += !same(r, j->want[small]);
        free(r);
    }
    j->healthy = tg_tape_status(t) == TG_OK;
    tg_tape_free(t);
    return NULL;
}

Test(threads, tapes_in_several_threads_read_the_same_parameters)
{
    model *m = model_new();
    tg_tape *t = tape_with(1);
    result *want[2] = {run_once(t, m, ROWS, 0), run_once(t, m, 7, 0)};
    expect_ok(t);
    tg_tape_free(t);
    job jobs[TAPES];
    pthread_t thread[TAPES];
    for (int k = 0; k < TAPES; k++) {
        jobs[k] = (job){.m = m, .want = {want[0], want[1]}, .number = k};
        cr_assert_eq(pthread_create(&thread[k], NULL, run_job, &jobs[k]), 0);
    }
    for (int k = 0; k < TAPES; k++) {
        pthread_join(thread[k], NULL);
        cr_expect(jobs[k].healthy);
        cr_expect_eq(jobs[k].different, 0, "tape %d: %d results differ", k, jobs[k].different);
    }
    free(want[0]);
    free(want[1]);
    model_free(m);
}

/* ---------------------------------------------------------------- changing the number */

Test(threads, the_number_may_change_between_recordings_and_within_one)
{
    model *m = model_new();
    tg_tape *t = tape_with(1);
    result *want[3];
    for (int k = 0; k < 3; k++) want[k] = run_once(t, m, ROWS - k, (uint64_t)k);
    cr_expect(!same(want[0], want[1]));
    static const int numbers[] = {2, 8, 1, 3, 0, 17, 2};
    for (int k = 0; k < (int)(sizeof numbers / sizeof *numbers); k++) {
        tg_tape_set_threads(t, numbers[k]);
        result *between = run_once(t, m, ROWS - k % 3, (uint64_t)k % 3);
        cr_expect(same(between, want[k % 3]), "%d threads", numbers[k]);
        free(between);

        tg_tensor *middle;
        result *within = calloc(1, sizeof *within);
        tg_tape_reset(t);
        tg_tape_set_step(t, (uint64_t)k % 3);
        tg_tensor *loss = record(t, m, ROWS - k % 3, &middle);
        cr_expect_neq(tg_data(t, middle), NULL);
        tg_tape_set_threads(t, numbers[k] ? 1 : 5);
        take_gradients(t, m, within, loss, middle);
        cr_expect(same(within, want[k % 3]), "%d threads, then another number", numbers[k]);
        free(within);
    }
    expect_ok(t);
    for (int k = 0; k < 3; k++) free(want[k]);
    tg_tape_free(t);
    model_free(m);
}

Test(threads, the_number_may_change_before_a_replay)
{
    model *m = model_new();
    tg_tape *t = tape_with(1);
    float *want = malloc(sizeof m->x);
    size_t bytes = (size_t)tg_tensor_count(m->p[0]) * sizeof *want;
    for (int threads = 1; threads <= 8; threads++) {
        tg_tensor *middle;
        tg_tape_reset(t);
        tg_tape_set_step(t, 0);
        tg_tape_set_threads(t, 1);
        tg_params_drop_grads(m->ps);
        tg_backward(t, record(t, m, ROWS, &middle));
        cr_assert_not_null(tg_param_grad(m->p[0]));
        memcpy(want, tg_param_grad(m->p[0]), bytes);
        tg_params_drop_grads(m->ps);
        tg_tape_set_threads(t, threads);
        tg_tape_set_step(t, UINT64_MAX); /* the replay's step is one more */
        tg_replay(t);
        cr_assert_not_null(tg_param_grad(m->p[0]), "%s", tg_tape_message(t));
        cr_expect(memcmp(want, tg_param_grad(m->p[0]), bytes) == 0, "%d threads", threads);
    }
    expect_ok(t);
    free(want);
    tg_tape_free(t);
    model_free(m);
}

/* Copies of strided operands and sums of gradients are cut, too. */
Test(threads, large_operands_are_copied_and_large_gradients_accumulated_alike)
{
    enum { M = 301, N = 207 };
    float *want = malloc(M * N * sizeof *want), *slope = malloc(M * N * sizeof *slope);
    for (int i = 0; i < M * N; i++) slope[i] = (float)cos(0.7 * i);
    for (int threads = 1; threads <= 4; threads++) {
        tg_params *ps =
            tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = 3});
        tg_tensor *w =
            tg_param_new(ps, "w", TG_F32, TG_SHAPE(M, N), (tg_init){.kind = TG_NORMAL, .b = 1});
        tg_tape *t = tape_with(threads);
        for (int k = 0; k < 3; k++) {
            tg_tensor *y = tg_softmax(t, tg_transpose(t, w, 0, 1), 1);
            tg_tensor *g = tg_input_borrow(t, TG_F32, TG_SHAPE(N, M), slope);
            tg_backward(t, tg_sum(t, tg_mul(t, y, g), TG_ALL_AXES, false));
            tg_tape_reset(t);
        }
        expect_ok(t);
        const float *got = tg_param_grad(w);
        cr_assert_not_null(got);
        if (threads == 1) memcpy(want, got, M * N * sizeof *want);
        cr_expect(memcmp(want, got, M * N * sizeof *want) == 0, "%d threads", threads);
        double sum = 0, largest = 0;
        for (int i = 0; i < M * N; i++) {
            sum += (double)got[i];
            largest = fmax(largest, fabs((double)got[i]));
        }
        cr_expect_float_eq(sum, 0, 1e-3, "softmax does not change with a shift: %g", sum);
        cr_expect_gt(largest, 0.01);
        tg_tape_free(t);
        tg_params_free(ps);
    }
    free(want);
    free(slope);
}

/* ------------------------------------------------------ the caller's floating-point environment */

/* Some work with so many threads in the environment that holds now: bytes to be compared and
 * freed. */
typedef void *work_fn(int threads, size_t *bytes);

static void same_in_this_environment(work_fn *work, const char *name, const void *usual)
{
    size_t bytes;
    void *want = work(1, &bytes), *is = work(4, &bytes);
    cr_expect(memcmp(want, is, bytes) == 0, "%s: 4 threads give other bits than 1", name);
    if (usual)
        cr_expect(memcmp(want, usual, bytes) != 0, "%s changes nothing, so this test shows nothing",
                  name);
    free(want);
    free(is);
}

static void same_in_every_environment(work_fn *work)
{
    static const struct {
        const char *name;
        int mode;
    } modes[] = {
#ifdef FE_UPWARD
        {"rounding upwards", FE_UPWARD},
#endif
#ifdef FE_DOWNWARD
        {"rounding downwards", FE_DOWNWARD},
#endif
        {"rounding to the nearest", FE_TONEAREST},
    };
    size_t bytes;
    void *usual = work(4, &bytes);
    for (size_t k = 0; k < sizeof modes / sizeof *modes; k++) {
        cr_assert_eq(fesetround(modes[k].mode), 0);
        same_in_this_environment(work, modes[k].name, modes[k].mode == FE_TONEAREST ? NULL : usual);
    }
#if defined(__SSE__)
    enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    same_in_this_environment(work, "flush-to-zero", usual);
    _mm_setcsr(before);
#endif
    free(usual);
}

/* Terms from the smallest normal numbers downwards, in gradients that are sums and are normal. */
static void *gradients(int threads, size_t *bytes)
{
    model *m = model_new();
    for (int i = 0; i < ROWS * COLUMNS; i++) m->x[i] *= 1e-34f;
    tg_tape *t = tape_with(threads);
    result *r = run_once(t, m, ROWS, 0);
    tg_tape_free(t);
    model_free(m);
    *bytes = sizeof *r;
    return r;
}

Test(threads, all_of_a_run_compute_in_the_callers_floating_point_environment)
{
    same_in_every_environment(gradients);
}

static void *updates(int threads, size_t *bytes)
{
    enum { N = 200000 };
    tg_params *ps =
        tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = 3});
    tg_tensor *w =
        tg_param_new(ps, "w", TG_F32, TG_SHAPE(N), (tg_init){.kind = TG_NORMAL, .b = 1e-37});
    tg_optim *o = tg_sgd_new(
        ps,
        &(tg_sgd_options){.size = sizeof(tg_sgd_options), .learning_rate = 0.37, .momentum = 0.9});
    tg_optim_set_threads(o, threads);
    tg_tape *t = tape_with(1);
    for (int step = 0; step < 2; step++) {
        tg_backward(t, tg_sum(t, tg_square(t, tg_scale(t, w, 0.7)), TG_ALL_AXES, false));
        tg_optim_step(o);
        tg_tape_reset(t);
    }
    expect_ok(t);
    cr_expect_eq(tg_optim_status(o), TG_OK, "%s", tg_optim_message(o));
    *bytes = N * sizeof(float);
    void *y = malloc(*bytes);
    memcpy(y, tg_param_data(w), *bytes);
    tg_tape_free(t);
    tg_optim_free(o);
    tg_params_free(ps);
    return y;
}

Test(threads, all_of_an_update_compute_in_the_callers_floating_point_environment)
{
    same_in_every_environment(updates);
}
