/* What the exporter prints from. Private. */
#ifndef TG_EXPORT_H
#define TG_EXPORT_H

#include <stdbool.h>
#include <stddef.h>

/* The elementary functions that expressions call, ops/math*.h one behind the other: the build puts
 * them here. */
extern const unsigned char tg_math_text[];
extern const size_t tg_math_text_bytes;

/* Whether a user's name can be given to something in an exported file. */
bool tg_is_identifier(const char *name);

bool tg_has_word(const char *text, const char *word);

/* Whether every name in an expression is one that an exported file knows: an op's file may have
 * functions of its own. */
bool tg_is_self_contained(const char *expression);

#endif
