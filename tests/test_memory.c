#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <tapegrad/op.h>

#include "../graph/memory.h"
#include "allocator.h"

Test(memory, blocks_are_aligned_and_never_null_for_nothing)
{
    const tg_allocator a = tg_allocator_or_default(NULL);
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 100000, 3 << 20};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        char *block = tg_allocate(&a, sizes[k]);
        cr_assert_not_null(block);
        cr_assert_eq((uintptr_t)block % TG_ALIGN, 0);
        memset(block, 1, sizes[k]);
        tg_release(&a, block, sizes[k]);
    }
    tg_release(&a, NULL, 10);
}

Test(memory, absurd_sizes_are_refused_without_asking)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    void *array = NULL;
    size_t capacity = 0;
    tg_arena arena;
    tg_arena_init(&arena, &a);
    cr_assert_null(tg_allocate(&a, SIZE_MAX));
    cr_assert_null(tg_arena_take(&arena, SIZE_MAX));
    cr_assert_null(tg_arena_take(&arena, (size_t)PTRDIFF_MAX));
    cr_assert(!tg_grow(&a, &array, &capacity, SIZE_MAX / 8 + 2, 8),
              "8 (SIZE_MAX / 8 + 2) must not wrap");
    cr_assert_null(array);
    cr_assert_eq(capacity, 0);
    cr_assert_eq(atomic_load(&m.requests), 0);
    tg_arena_free(&arena);
}

Test(memory, an_allocator_without_functions_means_the_default)
{
    const tg_allocator none = {0}, standard = tg_allocator_or_default(NULL),
                       chosen = tg_allocator_or_default(&none);
    test_memory m = {0};
    const tg_allocator own = test_allocator(&m), taken = tg_allocator_or_default(&own);
    cr_assert_eq(chosen.allocate, standard.allocate);
    cr_assert_eq(taken.allocate, own.allocate);
    cr_assert_eq(taken.user, own.user);
}

Test(memory, growing_keeps_the_contents_and_grows_by_half_at_least)
{
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    int *array = NULL;
    size_t capacity = 0;
    for (size_t n = 0; n < 10000; n++) {
        const size_t before = capacity;
        cr_assert(tg_grow(&a, (void **)&array, &capacity, n + 1, sizeof *array));
        cr_assert(capacity == before || capacity >= before + before / 2);
        array[n] = (int)n;
    }
    for (int n = 0; n < 10000; n++) cr_assert_eq(array[n], n);
    cr_assert(atomic_load(&m.requests) < 25);
    const size_t before = capacity;
    int *const address = array;
    m.fail_at = atomic_load(&m.requests) + 1;
    cr_assert(!tg_grow(&a, (void **)&array, &capacity, before + 1, sizeof *array));
    cr_assert_eq(capacity, before);
    cr_assert_eq(array, address);
    cr_assert_eq(array[9999], 9999);
    tg_release(&a, array, capacity * sizeof *array);
    cr_assert_eq(atomic_load(&m.blocks), 0);
    cr_assert_eq(atomic_load(&m.wrong), 0);
}

/* Sizes of a sequence of takes, the same for the same kind. */
static size_t take_size(int kind, int k)
{
    return kind == 0   ? (size_t)(k * 37 % 1000)
           : kind == 1 ? (size_t)(k % 50 ? 8 : 300000)
                       : (size_t)(k * 4001 % 70000);
}

Test(memory, a_rewound_arena_gives_the_same_addresses_and_asks_for_nothing)
{
    enum { TAKES = 400 };
    test_memory m = {0};
    const tg_allocator a = test_allocator(&m);
    tg_arena arena;
    tg_arena_init(&arena, &a);
    for (int kind = 0; kind < 3; kind++) {
        char *first[TAKES];
        for (int turn = 0; turn < 3; turn++) {
            const long long before = atomic_load(&m.requests);
            for (int k = 0; k < TAKES; k++) {
                char *taken = tg_arena_take(&arena, take_size(kind, k));
                cr_assert_not_null(taken);
                cr_assert_eq((uintptr_t)taken % TG_ALIGN, 0);
                memset(taken, k, take_size(kind, k));
                if (turn == 0) first[k] = taken;
                cr_assert_eq(taken, first[k]);
            }
            /* Nothing was handed out twice. */
            for (int k = 0; k < TAKES; k++)
                for (size_t i = 0; i < take_size(kind, k); i++) cr_assert_eq(first[k][i], (char)k);
            if (turn) cr_assert_eq(atomic_load(&m.requests), before);
            tg_arena_rewind(&arena);
        }
    }
    cr_assert(atomic_load(&m.requests) < 30);
    tg_arena_free(&arena);
    cr_assert_eq(atomic_load(&m.blocks), 0);
    cr_assert_eq(atomic_load(&m.bytes), 0);
    cr_assert_eq(atomic_load(&m.wrong), 0);
}

Test(memory, an_arena_survives_short_memory)
{
    for (long long fail_at = 1; fail_at < 6; fail_at++) {
        test_memory m = {.fail_at = fail_at};
        const tg_allocator a = test_allocator(&m);
        tg_arena arena;
        tg_arena_init(&arena, &a);
        int taken = 0;
        while (taken < 1000 && tg_arena_take(&arena, 5000)) taken++;
        cr_assert(taken < 1000);
        m.fail_at = 0;
        cr_assert_not_null(tg_arena_take(&arena, 5000));
        tg_arena_free(&arena);
        cr_assert_eq(atomic_load(&m.blocks), 0);
        cr_assert_eq(atomic_load(&m.wrong), 0);
    }
}

Test(memory, the_first_error_wins)
{
    tg_error e = {TG_OK, ""};
    cr_assert_eq(tg_error_set(&e, "net.c:42", "matmul", TG_ESHAPE, "inner sizes differ: %s x %s",
                              "[64,784]", "[128,10]"),
                 TG_ESHAPE);
    cr_assert_str_eq(e.message, "net.c:42: matmul: inner sizes differ: [64,784] x [128,10]");
    cr_assert_eq(tg_error_set(&e, "net.c:43", "add", TG_EDTYPE, "other"), TG_ESHAPE);
    cr_assert_str_eq(e.message, "net.c:42: matmul: inner sizes differ: [64,784] x [128,10]");
}

Test(memory, errors_leave_out_what_is_unknown)
{
    tg_error e = {TG_OK, ""};
    tg_error_set(&e, NULL, "matmul", TG_ESHAPE, "x");
    cr_assert_str_eq(e.message, "matmul: x");
    e = (tg_error){TG_OK, ""};
    tg_error_set(&e, "net.c:7", NULL, TG_ESHAPE, "x");
    cr_assert_str_eq(e.message, "net.c:7: x");
    e = (tg_error){TG_OK, ""};
    tg_error_set(&e, NULL, NULL, TG_ESHAPE, "x");
    cr_assert_str_eq(e.message, "x");
}

Test(memory, long_paths_and_texts_are_cut_never_overrun)
{
    char path[2000];
    memset(path, 'p', sizeof path);
    memcpy(path + sizeof path - 10, "/net.c:42", 10);
    tg_error e = {TG_OK, ""};
    tg_error_set(&e, path, "matmul", TG_ESHAPE, "%s", "sizes differ");
    cr_assert_str_eq(e.message + strlen(e.message) - strlen("p/net.c:42: matmul: sizes differ"),
                     "p/net.c:42: matmul: sizes differ");
    e = (tg_error){TG_OK, ""};
    tg_error_set(&e, "net.c:42", path, TG_ESHAPE, "%s", path);
    cr_assert_eq(strlen(e.message), sizeof e.message - 1);
}

typedef struct options {
    size_t size;
    int a, b;
} options;

Test(memory, options_of_other_versions_are_read_as_far_as_they_go)
{
    struct {
        options known;
        int later;
    } newer = {{sizeof newer, 1, 2}, 3};
    options o = {9, 9, 9};
    cr_assert(tg_options_read(&o, sizeof o, NULL));
    cr_assert(o.size == 0 && o.a == 0 && o.b == 0);
    cr_assert(tg_options_read(&o, sizeof o, &newer));
    cr_assert(o.a == 1 && o.b == 2);
    const options older = {offsetof(options, b), 5, 6};
    cr_assert(tg_options_read(&o, sizeof o, &older));
    cr_assert(o.a == 5 && o.b == 0);
    const options unset = {0, 5, 6};
    cr_assert(!tg_options_read(&o, sizeof o, &unset));
}

Test(memory, the_best_build_is_a_build)
{
    cr_assert(tg_build_best() >= TG_BUILD_BASE && tg_build_best() < TG_BUILD_COUNT);
}
