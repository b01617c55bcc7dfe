/* The page's text, which the build makes of page.html, page.css and page.js. Private. */
#ifndef TG_PAGE_H
#define TG_PAGE_H

#include <stddef.h>

extern const unsigned char tg_page_text[];
extern const size_t tg_page_bytes;

#endif
