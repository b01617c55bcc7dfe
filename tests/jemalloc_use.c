/* A program that chooses jemalloc, as <tapegrad/jemalloc.h> says, beside a library in C++. */
#include "installed_work.h"

#include <tapegrad/jemalloc.h>

int cxx_library(void);

int main(void)
{
    const tg_allocator memory = tg_jemalloc();
    tg_params *ps = tg_params_new(
        &(tg_params_options){.size = sizeof(tg_params_options), .allocator = &memory});
    const size_t before = tg_jemalloc_stats_now().allocated;
    tg_param_new(ps, "w", TG_F32, TG_SHAPE(1 << 20), (tg_init){.kind = TG_ZEROS});
    const size_t more = tg_jemalloc_stats_now().allocated - before;
    const bool right = tg_params_status(ps) == TG_OK && more >= 4 << 20;
    if (!right) fprintf(stderr, "%zu bytes more are allocated; %s\n", more, tg_params_message(ps));
    tg_params_free(ps);
    return !right || installed_work(2, &memory) || cxx_library() != 1000;
}
