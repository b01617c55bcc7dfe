/* Declaring the functions that one kernel becomes, and a table of them by dtype and build: simd.h
 * tells how. Private. */
#ifndef TG_KERNEL_H
#define TG_KERNEL_H

#include <stdint.h>

#if defined(__GNUC__) && defined(__x86_64__)
#define TG_KERNELS(type, name)                                \
    type name##_f32_base, name##_f32_avx2, name##_f32_avx512; \
    type name##_f64_base, name##_f64_avx2, name##_f64_avx512;
#else
#define TG_KERNELS(type, name) type name##_f32_base, name##_f64_base;
#endif

#define TG_KERNEL_TABLE(name)                        \
    {                                                \
        TG_BUILDS(name##_f32), TG_BUILDS(name##_f64) \
    }

#endif
