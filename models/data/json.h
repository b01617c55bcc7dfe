/* What jansson leaves to its users. Private. */
#ifndef TG_JSON_H
#define TG_JSON_H

#include <jansson.h>

/* Gives back a text of json_dumps: the program may have given jansson other functions than malloc
 * and free. NULL is allowed. */
static inline void tg_json_free(char *text)
{
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    if (text) release(text);
}

#endif
