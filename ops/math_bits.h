/* Numbers as bits, for the headers of elementary functions. Private. */
#ifndef TG_MATH_BITS_H
#define TG_MATH_BITS_H

#include <stdint.h>

/* In a file that is to be small, copies of a function are shared. */
#if defined(__GNUC__) && !defined(TG_ONE_BUILD)
#define TG_INLINE static inline __attribute__((always_inline, unused))
#else
#define TG_INLINE static inline
#endif

TG_INLINE uint32_t bits_of_f32(float x)
{
    union {
        float value;
        uint32_t bits;
    } u = {.value = x};
    return u.bits;
}

TG_INLINE float f32_of_bits(uint32_t bits)
{
    union {
        uint32_t bits;
        float value;
    } u = {.bits = bits};
    return u.value;
}

TG_INLINE uint64_t bits_of_f64(double x)
{
    union {
        double value;
        uint64_t bits;
    } u = {.value = x};
    return u.bits;
}

TG_INLINE double f64_of_bits(uint64_t bits)
{
    union {
        uint64_t bits;
        double value;
    } u = {.bits = bits};
    return u.value;
}

/* Adding these numbers rounds a small number to an integer, which then stands in the low bits. */
#define ROUNDER_F32 0x1.8p23f
#define ROUNDER_F64 0x1.8p52

#endif
