/* Texts. */
#include "text.h"

bool tg_utf8(const char *text, size_t n)
{
    const unsigned char *c = (const unsigned char *)text;
    for (size_t k = 0; k < n;) {
        const unsigned char a = c[k], b = k + 1 < n ? c[k + 1] : 0;
        const size_t more = a < 0x80                ? 0
                            : a >= 0xC2 && a < 0xE0 ? 1
                            : a >= 0xE0 && a < 0xF0 ? 2
                            : a >= 0xF0 && a < 0xF5 ? 3
                                                    : n;
        if (more >= n - k) return false;
        /* longer than needed, a surrogate, beyond the last code point */
        if ((a == 0xE0 && b < 0xA0) || (a == 0xED && b > 0x9F) || (a == 0xF0 && b < 0x90) ||
            (a == 0xF4 && b > 0x8F))
            return false;
        for (size_t j = 1; j <= more; j++)
            if ((c[k + j] & 0xC0) != 0x80) return false;
        k += more + 1;
    }
    return true;
}
