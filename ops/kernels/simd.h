/* How a kernel is written once and compiled for every instruction set. Private.
 *
 * A kernel that is longer than an expression (for those there is TG_MAP) is a file of plain C in
 * this folder, say ops/kernels/lift.c:
 *
 *     #include "lift.h"
 *     #include "simd.h"
 *
 *     void TG_KERNEL(tg_lift)(int64_t n, const void *x, double by, void *y)
 *     {
 *         const T *from = x;
 *         T *to = y;
 *         const vec all = vec_set((T)by);
 *         int64_t i = 0;
 *         for (; i + LANES <= n; i += LANES) vec_store(to + i, vec_load(from + i) + all);
 *         const mask rest = mask_first((int)(n - i));
 *         vec_store_part(to + i, rest, vec_load_part(from + i, rest) + all);
 *     }
 *
 * CMake finds the file and compiles it once for each dtype (f32, f64) and each instruction set
 * that the compiler knows for this processor, each time with that set's flags, as an object of its
 * own: lift_f32_base, lift_f32_avx2, ..., lift_f64_avx512. T is the element's C type, vec a vector
 * of LANES of them, and TG_KERNEL(tg_lift) the name of this one of the functions, tg_lift_f64_avx2
 * for example. Everything else in the file is static, so names are plain, and no instruction of
 * one set reaches an object that runs without it. The header beside it declares them all:
 *
 *     #include "kernel.h"
 *     typedef void tg_lift_fn(int64_t n, const void *x, double by, void *y);
 *     TG_KERNELS(tg_lift_fn, tg_lift)
 *
 * and the op's family file, which includes that header, keeps them in a table and takes the one
 * for its call:
 *
 *     static tg_lift_fn *const lift[][TG_BUILD_COUNT] = TG_KERNEL_TABLE(tg_lift);
 *     lift[c->y->dtype][c->build](n, c->x[0].data, by, c->y->data);
 *
 * Rules. A kernel and its header include nothing but this folder's headers, the C library's, and
 * the elementary functions of ../math_f32.h and ../math_f64.h: no tg_call, no tg_parallel, no
 * messages. Where work is cut for threads is the family file's affair; a kernel does one part. So a
 * kernel stands alone: `cc -std=c99 -c ops/kernels/lift.c` compiles the portable f32 form, and its
 * text can be carried elsewhere. What several kernels share is a header here with static functions
 * (transpose.h); never one from outside with functions that are not static or always inlined, since
 * the linker would keep one instruction set's copy for all.
 * Constants of an instruction set are compile-time constants, so that `if (FUSED)` costs nothing:
 *
 *     BUILD      as TG_BUILD_BASE ... in op.h: for functions of ops/math.h, which take it
 *     BYTES      of a vector
 *     REGISTERS  vectors that fit into the processor
 *     FUSED      vec_fma and fma_one round once; where not, they multiply, then add
 *     MASKS      partial loads cost little; where not, keep them out of inner loops
 *
 * Arithmetic on vec is C's: x * y + z, x > y and so on (vector types of gcc and clang).
 * A debugger steps through the file as it is written, and a sanitizer or gcov sees each of the
 * compilations.
 *
 * A new instruction set is a row below, a line in CMakeLists.txt with its flags, and its bit in
 * tg_build_best. */
#ifndef TG_SIMD_H
#define TG_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* CMake's drivers define these two or three; read by itself a kernel is the portable f32 one. */
#ifndef TG_KERNEL
#define TG_KERNEL(name) name##_f32_base
#endif

#ifdef TG_KERNEL_f64
typedef double T;
typedef int64_t lane_int;
#define F64 1
#define BY_DTYPE(f32, f64) f64
#else
typedef float T;
typedef int32_t lane_int;
#define F64 0
#define BY_DTYPE(f32, f64) f32
#endif

#define INLINE static inline __attribute__((always_inline, unused))

/* Before a loop with few turns, of a number known when compiled: an array of registers stays in
 * registers only when the loops over it are gone. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* ---------------------------------------------------------------- one row per instruction set */

#if defined(TG_KERNEL_avx512)

#include <immintrin.h>
enum { BUILD = 2, BYTES = 64, REGISTERS = 32, FUSED = 1, MASKS = 1 };
#define LANES BY_DTYPE(16, 8)
#define OF(name) BY_DTYPE(name##_ps, name##_pd)
#define VEC_SET(x) OF(_mm512_set1)(x)
#define VEC_FMA(a, b, c) OF(_mm512_fmadd)(a, b, c)
typedef BY_DTYPE(__mmask16, __mmask8) mask;
#define MASK_FIRST(n) ((mask)((1u << (n)) - 1))
#define VEC_LOAD_PART(p, m) OF(_mm512_maskz_loadu)(m, p)
#define VEC_STORE_PART(p, m, v) OF(_mm512_mask_storeu)(p, m, v)

#elif defined(TG_KERNEL_avx2)

#include <immintrin.h>
enum { BUILD = 1, BYTES = 32, REGISTERS = 16, FUSED = 1, MASKS = 1 };
#define LANES BY_DTYPE(8, 4)
#define OF(name) BY_DTYPE(name##_ps, name##_pd)
#define VEC_SET(x) OF(_mm256_set1)(x)
#define VEC_FMA(a, b, c) OF(_mm256_fmadd)(a, b, c)
typedef __m256i mask;
#define MASK_FIRST(n)                                                                             \
    BY_DTYPE(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)), \
             _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)))
#define VEC_LOAD_PART(p, m) OF(_mm256_maskload)(p, m)
#define VEC_STORE_PART(p, m, v) OF(_mm256_maskstore)(p, m, v)

#elif defined(__aarch64__)

#include <arm_neon.h>
enum { BUILD = 0, BYTES = 16, REGISTERS = 32, FUSED = 1, MASKS = 0 };
#define LANES BY_DTYPE(4, 2)
#define VEC_SET(x) BY_DTYPE(vdupq_n_f32, vdupq_n_f64)(x)
#define VEC_FMA(a, b, c) BY_DTYPE(vfmaq_f32, vfmaq_f64)(c, a, b)
typedef int mask;
#define MASK_FIRST(n) (n)

#else

enum { BUILD = 0, BYTES = 16, REGISTERS = 16, FUSED = 0, MASKS = 0 };
#define LANES BY_DTYPE(4, 2)
#define VEC_SET(x) ((x) - (vec){0})
#define VEC_FMA(a, b, c) ((a) * (b) + (c))
typedef int mask;
#define MASK_FIRST(n) (n)

#endif

/* ---------------------------------------------------------------- what kernels use */

typedef T vec __attribute__((vector_size(BYTES)));
typedef lane_int vec_int __attribute__((vector_size(BYTES))); /* what comparisons give: -1 or 0 */
typedef T vec_anywhere __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

INLINE vec vec_load(const T *p) { return *(const vec_anywhere *)p; }
INLINE void vec_store(T *p, vec v) { *(vec_anywhere *)p = v; }
INLINE vec vec_set(T x) { return VEC_SET(x); }
INLINE vec vec_fma(vec a, vec b, vec c) { return VEC_FMA(a, b, c); } /* a b + c */
INLINE vec vec_select(vec_int m, vec a, vec b)
{
    return (vec)((m & (vec_int)a) | (~m & (vec_int)b));
}

INLINE T fma_one(T a, T b, T c)
{
    return FUSED ? (T)BY_DTYPE(__builtin_fmaf, __builtin_fma)(a, b, c) : a * b + c;
}

/* The first n lanes, 0 <= n <= LANES. Memory behind the others is neither read nor written; they
 * load as 0. */
INLINE mask mask_first(int n) { return MASK_FIRST(n); }

INLINE vec vec_load_part(const T *p, mask m)
{
#ifdef VEC_LOAD_PART
    return VEC_LOAD_PART(p, m);
#else
    vec v = {0};
    for (int i = 0; i < m; i++) v[i] = p[i];
    return v;
#endif
}

INLINE void vec_store_part(T *p, mask m, vec v)
{
#ifdef VEC_STORE_PART
    VEC_STORE_PART(p, m, v);
#else
    for (int i = 0; i < m; i++) p[i] = v[i];
#endif
}

#endif
