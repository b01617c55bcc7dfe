/* What the tests of wrong calls share: operands of every type, and looking for the caller's line in
 * a message. */
#ifndef TG_TESTS_ERRORS_H
#define TG_TESTS_ERRORS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tapegrad/ops.h>

static inline tg_tensor *operand(tg_tape *t, tg_dtype dtype, tg_shape shape)
{
    const int64_t count = tg_shape_count(shape);
    void *data = calloc((size_t)count + 1, 8); /* zeros: indices in range, and, for u8, false */
    for (int64_t i = 0; i < count; i++) {
        if (dtype == TG_F64) ((double *)data)[i] = 0.25 + 0.125 * (double)(i % 5);
        if (dtype == TG_F32) ((float *)data)[i] = 0.25f + 0.125f * (float)(i % 5);
        if (dtype == TG_U8) ((uint8_t *)data)[i] = (uint8_t)(i % 2);
    }
    tg_tensor *x = tg_input(t, dtype, shape, data);
    free(data);
    return x;
}

static inline bool names_line(const tg_tape *t, const char *file, int line)
{
    char position[256];
    snprintf(position, sizeof position, "%s:%d: ", file, line);
    return strncmp(tg_tape_message(t), position, strlen(position)) == 0;
}

#define cr_expect_fails(t, wanted, line, ...)                                     \
    do {                                                                          \
        char about_[256];                                                         \
        snprintf(about_, sizeof about_, __VA_ARGS__);                             \
        cr_expect_eq(tg_tape_status(t), wanted, "%s: %s: %s", about_,             \
                     tg_status_name(tg_tape_status(t)), tg_tape_message(t));      \
        cr_expect(names_line(t, __FILE__, line), "%s: no line in \"%s\"", about_, \
                  tg_tape_message(t));                                            \
    } while (0)

#endif
