/* Texts. Private. */
#ifndef TG_TEXT_H
#define TG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether n bytes are well-formed UTF-8 (RFC 3629). */
bool tg_utf8(const char *text, size_t n);

#endif
