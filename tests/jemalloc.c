/* Linked into the unit tests when they are to run on jemalloc: objects without an allocator of
 * their own get it, by the linker's --wrap. */
#include <criterion/criterion.h>

#include <tapegrad/jemalloc.h>

#include "../graph/memory.h"

tg_allocator __wrap_tg_allocator_or_default(const tg_allocator *allocator);

tg_allocator __wrap_tg_allocator_or_default(const tg_allocator *allocator)
{
    return allocator && allocator->allocate && allocator->release ? *allocator : tg_jemalloc();
}

Test(jemalloc, its_figures_tell_what_objects_hold)
{
    enum { BYTES = 16 << 20 };
    const size_t before = tg_jemalloc_stats_now().allocated;
    tg_params *ps = tg_params_new(NULL);
    tg_param_new(ps, "w", TG_F32, TG_SHAPE(BYTES / 4), (tg_init){.kind = TG_ZEROS});
    cr_assert_eq(tg_params_status(ps), TG_OK);
    const tg_jemalloc_stats with = tg_jemalloc_stats_now();
    tg_params_free(ps);
    const size_t after = tg_jemalloc_stats_now().allocated;
    cr_assert_geq(with.allocated, before + BYTES);
    cr_assert_geq(with.resident, with.allocated);
    cr_assert_lt(after, before + BYTES / 2);
}
