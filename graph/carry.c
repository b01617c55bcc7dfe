/* The texts that exported files carry. Each was a file of its own, or a part of one, so that its
 * names may be another's too: they are given a prefix. */
#include "export.h"

#ifndef TG_LEAN

#include <ctype.h>
#include <stdio.h>
#include <string.h>

int tg_carried_find(const char *name)
{
    const size_t n = strcspn(name, " ");
    for (size_t k = 0; k < tg_carried_count; k++)
        if (strlen(tg_carried_texts[k].name) == n && !strncmp(tg_carried_texts[k].name, name, n))
            return (int)k;
    return -1;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static size_t word_at(const char *at)
{
    size_t n = 0;
    while (is_word(at[n])) n++;
    return isdigit((unsigned char)*at) ? 0 : n;
}

static void name_found(FILE *out, const char *of, const char *name, size_t n, bool end)
{
    /* of the structs that all share */
    static const char members[] =
        " data dtype shape stride ndim dim n_in n_attrs x y attrs scratch "
        "prepared build threads key step failed n first ";
    char word[64];
    if (n == 0 || n > 60 || !strncmp(name, "tg_", 3) || !strncmp(name, "TG_", 3)) return;
    snprintf(word, sizeof word, " %.*s ", (int)n, name);
    if (strstr(members, word)) return;
    if (end) fprintf(out, "#undef %.*s\n", (int)n, name);
    else fprintf(out, "#define %.*s tg_%s_%.*s\n", (int)n, name, of, (int)n, name);
}

/* The names between the braces of an enum. */
static void enum_names(FILE *out, const char *of, const char *at, bool end)
{
    bool wanted = false;
    for (at += strcspn(at, "{"); *at && *at != '}';) {
        const size_t n = word_at(at);
        if (!strncmp(at, "/*", 2)) {
            at = strstr(at, "*/");
            at += at ? 2 : 0;
            if (!at) return;
        } else if (n && wanted) {
            name_found(out, of, at, n, end);
            wanted = false;
            at += n;
        } else {
            wanted = wanted || *at == '{' || *at == ',';
            at += n ? n : 1;
        }
    }
}

/* What a line at file level declares: the word before its first bracket, or in (*NAME). */
static void declared_name(FILE *out, const char *of, const char *line, bool end)
{
    const char *stop = line + strcspn(line, "([=;{\n");
    if (*stop == '(' && stop[1] == '*') {
        const char *name = stop + 2;
        if (!strncmp(name, "const ", 6)) name += 6;
        name_found(out, of, name, word_at(name), end);
        return;
    }
    while (stop > line && stop[-1] == ' ') stop--;
    const char *name = stop;
    while (name > line && is_word(name[-1])) name--;
    name_found(out, of, name, (size_t)(stop - name), end);
}

static bool begins(const char *line, const char *with)
{
    return !strncmp(line, with, strlen(with));
}

/* Names at file level, given their prefix, or at the end of the text taken away with its macros. */
static void print_names(FILE *out, const tg_carried *c, bool end)
{
    const char *line = (const char *)c->text;
    while (line) {
        if (begins(line, "#define ") && end)
            name_found(out, c->name, line + 8, word_at(line + 8), end);
        else if (begins(line, "enum")) enum_names(out, c->name, line, end);
        else if (begins(line, "static ") || begins(line, "typedef ") ||
                 begins(line, "TG_INLINE ") || begins(line, "TG_ALWAYS_INLINE ") ||
                 begins(line, "struct "))
            declared_name(out, c->name, line, end);
        else if (begins(line, "} ")) declared_name(out, c->name, line + 2, end);
        line = strchr(line, '\n');
        if (line) line++;
    }
}

/* The text that an include asks for by its file's name, or -1. */
static int included(const char *line)
{
    char name[64];
    if (!begins(line, "#include \"")) return -1;
    const size_t n = strcspn(line + 10, ".\"\n");
    if (n >= sizeof name) return -1;
    memcpy(name, line + 10, n);
    name[n] = 0;
    return tg_carried_find(name);
}

void tg_carry_text(FILE *out, const char *text, size_t bytes)
{
    for (const char *end = text + bytes; text < end;) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        const size_t n = (size_t)((line ? line + 1 : end) - text);
        const int k = included(text);
        if (k >= 0) fputs((const char *)tg_carried_texts[k].text, out);
        else if (!begins(text, "#include")) fwrite(text, 1, n, out);
        text += n;
    }
}

static void print_carried(FILE *out, int k, const bool *open, bool *printed)
{
    const tg_carried *c = &tg_carried_texts[k];
    if (k < 0 || printed[k]) return;
    printed[k] = true;
    for (const char *on = c->on; *on; on += strcspn(on, " ")) {
        while (*on == ' ') on++;
        if (*on) print_carried(out, tg_carried_find(on), open, printed);
    }
    fprintf(out, "/* ---------------------------------------------------------------- %s */\n\n",
            c->name);
    if (!open[k]) print_names(out, c, false);
    tg_carry_text(out, (const char *)c->text, strlen((const char *)c->text));
    if (!open[k]) print_names(out, c, true);
    fputc('\n', out);
}

void tg_carry_print(FILE *out, const bool *carries, const bool *open, bool *printed)
{
    const int alone = tg_carried_find("alone");
    if (alone >= 0 && carries[alone]) {
        tg_carry_text(out, (const char *)tg_carried_texts[alone].text,
                      strlen((const char *)tg_carried_texts[alone].text));
        printed[alone] = true;
    }
    for (size_t k = 0; k < tg_carried_count; k++)
        if (carries[k]) print_carried(out, (int)k, open, printed);
}

#endif
