/* Names in C text, for the exporter. */
#include "export.h"

#ifndef TG_LEAN

#include <ctype.h>
#include <string.h>

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

bool tg_is_identifier(const char *name)
{
    static const char *const taken[] = {
        "auto",   "break",  "case",     "char",   "const",    "continue", "default", "do",
        "double", "else",   "enum",     "extern", "float",    "for",      "goto",    "if",
        "inline", "int",    "long",     "main",   "register", "restrict", "return",  "short",
        "signed", "sizeof", "static",   "struct", "switch",   "typedef",  "union",   "unsigned",
        "void",   "while",  "volatile", "scratch"};
    if (!name || !*name || isdigit((unsigned char)*name) || !strncmp(name, "tg_", 3) ||
        *name == '_')
        return false;
    for (const char *c = name; *c; c++)
        if (!is_word(*c) || (unsigned char)*c > 126) return false;
    for (size_t k = 0; k < sizeof taken / sizeof *taken; k++)
        if (!strcmp(name, taken[k])) return false;
    return true;
}

bool tg_has_word(const char *text, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += n)
        if ((at == text || !is_word(at[-1])) && !is_word(at[n])) return true;
    return false;
}

bool tg_is_self_contained(const char *text, const char *carried)
{
    static const char *const known[] = {
        "a",     "b",      "c",   "x",       "T",        "MAX",     "MIN",      "build",
        "float", "double", "int", "int64_t", "uint64_t", "uint8_t", "INFINITY", "NAN"};
    const char *math = (const char *)tg_math_text;
    for (const char *at = text; *at;) {
        char word[64];
        size_t n = 0;
        while (is_word(at[n]) && n < sizeof word - 1) n++;
        memcpy(word, at, n);
        word[n] = 0;
        at += n ? n : 1;
        if (!n || isdigit((unsigned char)*word)) continue;
        bool found = at - n > text && at[-(ptrdiff_t)n - 1] == '.'; /* as in 1.f */
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found = found || !strcmp(word, known[k]);
        found = found || (carried && strstr(carried, word));
        for (const char *m = math; !found && (m = strstr(m, word)); m += n)
            found = !is_word(m[-1]) && m[n] == '(';
        if (!found) return false;
    }
    return true;
}

#endif
