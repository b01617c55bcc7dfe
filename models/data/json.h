/* What jansson leaves to its users. Private. */
#ifndef TG_JSON_H
#define TG_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* Gives back a text of tg_json_text: the program may have given jansson other functions than malloc
 * and free. NULL is allowed. */
static inline void tg_json_free(char *text)
{
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    if (text) release(text);
}

/* A value as text; NULL: no memory, or no value. (json_dumps leaves out keys for which its buffer
 * could not grow, and doesn't say so.) */
static inline char *tg_json_text(const json_t *value, size_t flags)
{
    json_malloc_t take;
    json_get_alloc_funcs(&take, NULL);
    const size_t n = value ? json_dumpb(value, NULL, 0, flags) : 0;
    char *text = n ? take(n + 1) : NULL;
    if (!text) return NULL;
    text[n] = 0;
    if (json_dumpb(value, text, n, flags) == n) return text;
    tg_json_free(text);
    return NULL;
}

/* json_loadb. When memory is short jansson often calls the text wrong, at a place that changes from
 * time to time; so what fails is tried again, and a fault that does not stay is none of the
 * text's. */
static inline json_t *tg_json_read(const char *text, size_t n, size_t flags, json_error_t *e)
{
    json_error_t first = {.text = ""};
    json_t *y = json_loadb(text, n, flags, &first);
    *e = first;
    if (!y) y = json_loadb(text, n, flags, e);
    if (!y && (e->position != first.position || strcmp(e->text, first.text) != 0)) e->text[0] = 0;
    return y;
}

/* Whether that failed for want of memory. */
static inline bool tg_json_no_memory(const json_error_t *e)
{
    return !e->text[0] || json_error_code(e) == json_error_out_of_memory;
}

#endif
