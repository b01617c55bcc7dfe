/* What the fields of CSV files say. */
#include "csv_value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tg_text tg_shown(const char *text)
{
    enum { LONGEST = 60 };
    tg_text y;
    const size_t n = strlen(text);
    size_t used = 0;
    for (; used < n && used < LONGEST; used++)
        y.text[used] = (unsigned char)text[used] < ' ' ? '?' : text[used];
    while (used < n && used && ((unsigned char)y.text[used - 1] & 0xC0) == 0x80) used--;
    if (used < n && used && (unsigned char)y.text[used - 1] >= 0xC0) used--;
    snprintf(y.text + used, sizeof y.text - used, "%s", used < n ? "..." : "");
    return y;
}

bool tg_csv_number(const char *text, size_t n, char decimal, double *y)
{
    enum { LONGEST = 400 };
    char point[LONGEST], *end = NULL;
    const char *comma = decimal == ',' ? memchr(text, ',', n) : NULL;
    if (n == 0 || (comma && n >= sizeof point)) return false;
    if (comma) {
        memcpy(point, text, n + 1);
        point[comma - text] = '.';
        text = point;
    }
    if (strspn(text, "0123456789+-.eE") != n) return false;
    *y = strtod(text, &end);
    return end == text + n;
}

static bool is_one_of(const char *text, const char *const *name, size_t names)
{
    for (size_t k = 0; k < names; k++) {
        size_t j = 0;
        while (name[k][j] && tolower((unsigned char)text[j]) == name[k][j]) j++;
        if (!name[k][j] && !text[j]) return true;
    }
    return false;
}

bool tg_csv_is_missing(const char *text, size_t n)
{
    static const char *const names[] = {"?", "na", "n/a", "nan", "null", "none"};
    return n == 0 ||
           is_one_of(text + (*text == '-' || *text == '+'), names, sizeof names / sizeof names[0]);
}

bool tg_csv_is_infinite(const char *text)
{
    static const char *const names[] = {"inf", "infinity"};
    return is_one_of(text + (*text == '-' || *text == '+'), names, sizeof names / sizeof names[0]);
}

bool tg_csv_is_date(const char *text)
{
    unsigned a, b, c;
    char first[2], second[2];
    int used = 0;
    if (sscanf(text, "%4u%1[-./]%2u%1[-./]%4u%n", &a, first, &b, second, &c, &used) != 5 ||
        first[0] != second[0])
        return false;
    const bool year_first = a > 31 && b >= 1 && b <= 12 && c >= 1 && c <= 31;
    const bool year_last = c > 9 && a >= 1 && a <= 31 && b >= 1 && b <= 31 && (a <= 12 || b <= 12);
    return (year_first || year_last) && (!text[used] || text[used] == ' ' || text[used] == 'T');
}
