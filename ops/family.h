/* What the op families share. Private. */
#ifndef TG_FAMILY_H
#define TG_FAMILY_H

/* Ops recorded inside an op's public function, or inside its vjp, carry the position of the user's
 * call. */
#undef TG_HERE
#define TG_HERE where

#include <tapegrad/ops.h>

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

/* Samples are for what checks and measures ops: a lean library built without tests keeps none. */
#if defined(TG_NO_SAMPLES)
#define TG_KEPT(sample_array) 0 * TG_COUNT(sample_array), .samples = NULL
#else
#define TG_KEPT(sample_array) TG_COUNT(sample_array), .samples = sample_array
#endif

/* The tg_op_info of an op, from its samples: an array of tg_sample. */
#define TG_INFO(op, formula_text, shapes_text, times, sample_array) \
    extern const tg_op_info tg_info_##op;                           \
    const tg_op_info tg_info_##op = {.name = #op,                   \
                                     .formula = formula_text,       \
                                     .shapes = shapes_text,         \
                                     .order = times,                \
                                     .n_samples = TG_KEPT(sample_array)};

#endif
