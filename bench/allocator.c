/* The memory that is measured: jemalloc's in tapegrad-bench, the C library's in
 * tapegrad-bench-c. */
#include "bench.h"
#include "program_allocator.h"

const tg_allocator *bench_allocator(void) { return program_allocator(); }
double bench_allocated(void) { return program_bytes_allocated(); }
