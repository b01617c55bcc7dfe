/* What the exporter prints from. Private. */
#ifndef TG_EXPORT_H
#define TG_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The elementary functions that expressions call, ops/math*.h one behind the other: the build puts
 * them here. */
extern const unsigned char tg_math_text[];
extern const size_t tg_math_text_bytes;

/* Text of kernels under the name that it is marked with (carry.cmake), and the names of what must
 * stand before it. */
typedef struct tg_carried {
    const char *name, *on;
    const unsigned char *text;
} tg_carried;
extern const tg_carried tg_carried_texts[];
extern const size_t tg_carried_count;

/* The place of the first word of `name` among them, -1: there is none. */
int tg_carried_find(const char *name);

/* Prints those of tg_carried_texts that are wanted, each behind those that it stands on. Its names
 * get the prefix tg_NAME_, but where it is open: expressions use them. `printed` is all false. */
void tg_carry_print(FILE *out, const bool *carries, const bool *open, bool *printed);
/* Text without its includes, but with those that are carried, in their places; it ends with a 0. */
void tg_carry_text(FILE *out, const char *text, size_t bytes);

/* Whether a user's name can be given to something in an exported file. */
bool tg_is_identifier(const char *name);

bool tg_has_word(const char *text, const char *word);

/* Whether every name in an expression is one that an exported file knows, with the text `carried`
 * (NULL: none): an op's file may have functions of its own. */
bool tg_is_self_contained(const char *expression, const char *carried);

#endif
