/* What the op families share. Private. */
#ifndef TG_FAMILY_H
#define TG_FAMILY_H

#include "samples.h"

/* Ops recorded inside an op's public function, or inside its vjp, carry the position of the user's
 * call. */
#ifndef TG_SAMPLES
#undef TG_HERE
#define TG_HERE where
#endif

/* A file that is to be small rather than fast is compiled for one instruction set: without vectors
 * the others would gain it little. */
#ifdef TG_ONE_BUILD
#undef TG_ON_AVX
#undef TG_BUILDS
#define TG_ON_AVX(...)
#define TG_BUILDS(name)                       \
    {                                         \
        name##_base, name##_base, name##_base \
    }
#endif

/* The same function for every build. */
#define TG_SAME_BUILDS(name) \
    {                        \
        name, name, name     \
    }

#define TG_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#if defined(__GNUC__)
#define TG_ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define TG_ALWAYS_INLINE static inline
#endif

/* A loop in a kernel that is written as a macro; its turns don't depend on each other. */
#define TG_EACH(i, first, last, ...)             \
    TG_INDEPENDENT                               \
    for (int64_t i = (first); i < (last); i++) { \
        __VA_ARGS__;                             \
    }

#ifndef TG_SAMPLES
/* The public functions of ops without attributes. */
#define TG_DEFINE_1(name, op)                                              \
    tg_tensor *tg_##name##_at(tg_tape *t, const char *where, tg_tensor *x) \
    {                                                                      \
        return tg_apply_1(t, where, &op, x);                               \
    }
#define TG_DEFINE_2(name, op)                                                            \
    tg_tensor *tg_##name##_at(tg_tape *t, const char *where, tg_tensor *a, tg_tensor *b) \
    {                                                                                    \
        return tg_apply_2(t, where, &op, a, b);                                          \
    }

/* What is known of a public op: its shapes, how often it can be differentiated, and, in
 * parentheses, its formula with .domain or .kinks behind it. */
#define KNOWN(op, shapes_of, times, known)                       \
    extern const tg_op_info tg_info_##op;                        \
    const tg_op_info tg_info_##op = {.size = sizeof(tg_op_info), \
                                     .name = #op,                \
                                     .shapes = shapes_of,        \
                                     .order = times,             \
                                     .formula = TG_UNPACK known};
#else
#define TG_DEFINE_1(...)
#define TG_DEFINE_2(...)
#define KNOWN(...)
#endif

#endif
