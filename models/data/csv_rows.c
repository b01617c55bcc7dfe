/* Rows of CSV files. libcsv finds the fields; here they are gathered into rows, so that a row can
 * be judged as a whole. */
#include <csv.h>
#include <string.h>

#include "csv_rows.h"

enum { CHUNK = 1 << 16 };

typedef struct gatherer {
    const tg_allocator *allocator;
    tg_error *error;
    const char *path;
    tg_csv_row_fn *on_row;
    void *user;
    int64_t line; /* being read */
    char *text;   /* of the row's fields */
    size_t used, capacity;
    tg_csv_field *field;
    size_t n, field_capacity;
    int64_t row_line; /* where the row began, or the next one may */
    char comment;
    bool line_begins, in_comment; /* the next byte is a line's first; it is a comment's */
} gatherer;

static bool fail(gatherer *g, int64_t line, const char *what)
{
    tg_error_set(g->error, tg_position_of(g->path, line).text, NULL, TG_EFORMAT, "%s", what);
    return false;
}

static bool no_memory(gatherer *g)
{
    tg_error_set(g->error, NULL, g->path, TG_ENOMEM, "no memory to read it");
    return false;
}

static void on_field(void *data, size_t n, void *user)
{
    gatherer *g = user;
    if (g->error->status != TG_OK) return;
    void *text = g->text, *field = g->field;
    bool ok = tg_grow(g->allocator, &text, &g->capacity, g->used + n + 1, 1);
    g->text = text;
    ok = ok && tg_grow(g->allocator, &field, &g->field_capacity, g->n + 1, sizeof *g->field);
    g->field = field;
    if (!ok) {
        no_memory(g);
        return;
    }
    if (n) memcpy(g->text + g->used, data, n);
    g->text[g->used + n] = 0;
    g->field[g->n++] = (tg_csv_field){g->used, n, g->line};
    g->used += n + 1;
}

static void on_end(int terminator, void *user)
{
    (void)terminator;
    gatherer *g = user;
    if (g->error->status != TG_OK) return;
    const tg_csv_row row = {.line = g->n ? g->field[0].line : g->line,
                            .n = (int64_t)g->n,
                            .field = g->field,
                            .text = g->text};
    g->on_row(g->user, &row);
    g->used = g->n = 0;
    g->row_line = g->line + 1;
}

/* ---------------------------------------------------------------- the delimiter */

static const char delimiters[] = {',', ';', '\t', '|'};
enum { DELIMITERS = sizeof delimiters };

const char *tg_csv_delimiter_name(char delimiter)
{
    return delimiter == ','    ? "comma"
           : delimiter == ';'  ? "semicolon"
           : delimiter == '\t' ? "tab"
           : delimiter == '|'  ? "pipe"
                               : "delimiter";
}

/* How often each delimiter stands in a line, outside quotes. Returns the line's length. */
static size_t count_line(const char *text, size_t n, bool *quoted, int count[DELIMITERS])
{
    size_t k = 0;
    for (; k < n && (text[k] != '\n' || *quoted); k++) {
        if (text[k] == '"') *quoted = !*quoted;
        for (int c = 0; c < DELIMITERS && !*quoted; c++) count[c] += text[k] == delimiters[c];
    }
    return k < n ? k + 1 : n;
}

/* Of the delimiters that stand in the first lines equally often (a line may have one more, at its
 * end) the most frequent one, but a comma last: it may be a decimal one. Otherwise what the first
 * line has most of. */
static char guess(const char *text, size_t n, char comment)
{
    enum { LINES = 20 };
    int first[DELIMITERS] = {0}, lines = 0, best = 0;
    bool equal[DELIMITERS], quoted = false;
    memset(equal, true, sizeof equal);
    for (size_t at = 0, length; at < n && lines < LINES; at += length) {
        int count[DELIMITERS] = {0};
        length = count_line(text + at, n - at, &quoted, count);
        const bool whole = text[at + length - 1] == '\n',
                   blank = text[at] == '\n' || text[at] == '\r' || (comment && text[at] == comment);
        if (blank || (!whole && lines)) continue;
        if (lines++ == 0) memcpy(first, count, sizeof first);
        for (int c = 0; c < DELIMITERS; c++)
            equal[c] = equal[c] && count[c] >= first[c] && count[c] <= first[c] + 1;
    }
    for (int c = 1; c < DELIMITERS; c++) {
        const bool better =
            equal[c] != equal[best] ? equal[c] : first[c] > first[best] || best == 0;
        if (first[c] && (better || !first[best])) best = c;
    }
    if (equal[best]) return delimiters[best];
    for (int c = best = 0; c < DELIMITERS; c++)
        if (first[c] > first[best]) best = c;
    return delimiters[best];
}

/* ---------------------------------------------------------------- the file */

static bool failed_parse(gatherer *g, struct csv_parser *parser, int64_t line, const char *quote)
{
    if (g->error->status != TG_OK) return false;
    return csv_error(parser) == CSV_EPARSE ? fail(g, line, quote) : no_memory(g);
}

/* Hands the parser one line at a time, so that the line number is right in every message. */
static bool parse(gatherer *g, struct csv_parser *parser, const char *text, size_t n)
{
    while (n && g->error->status == TG_OK) {
        const char *end = memchr(text, '\n', n);
        const size_t length = end ? (size_t)(end - text) + 1 : n;
        /* Within a quoted field a line is text, whatever it begins with. */
        if (g->line_begins)
            g->in_comment = g->comment && *text == g->comment && g->row_line == g->line;
        if (!g->in_comment && csv_parse(parser, text, length, on_field, on_end, g) != length)
            return failed_parse(g, parser, g->line, "a quote in the wrong place");
        const bool blank = length == 1 || (length == 2 && text[0] == '\r');
        if (end && (g->in_comment || (g->line_begins && blank && g->row_line == g->line)))
            g->row_line = g->line + 1;
        if (end) g->line++;
        g->line_begins = end;
        text += length;
        n -= length;
    }
    return g->error->status == TG_OK;
}

static bool read_all(gatherer *g, struct csv_parser *parser, tg_source *s, tg_csv_format *format,
                     char *chunk)
{
    for (bool first = true;; first = false) {
        const int64_t got = tg_source_read(s, g->error, chunk, CHUNK);
        if (got < 0) return false;
        const size_t n = (size_t)got, mark = first ? tg_byte_order_mark(chunk, n) : 0;
        if (first && n >= 2 && (!memcmp(chunk, "\xFF\xFE", 2) || !memcmp(chunk, "\xFE\xFF", 2)))
            return fail(g, 1, "UTF-16 text: UTF-8 is needed");
        if (first && !format->delimiter) {
            format->delimiter = guess(chunk + mark, n - mark, format->comment);
            format->guessed = true;
        }
        if (first) csv_set_delim(parser, (unsigned char)format->delimiter);
        if (!parse(g, parser, chunk + mark, n - mark)) return false;
        if (n < CHUNK) break;
    }
    if (csv_fini(parser, on_field, on_end, g) != 0)
        return failed_parse(g, parser, g->row_line,
                            "a quote that is opened here, or later, is never closed");
    return g->error->status == TG_OK;
}

bool tg_csv_rows(const char *path, tg_csv_format *format, const tg_allocator *a, tg_error *e,
                 tg_csv_row_fn *on_row, void *user)
{
    struct csv_parser parser;
    tg_source source;
    gatherer g = {.allocator = a,
                  .error = e,
                  .path = path,
                  .on_row = on_row,
                  .user = user,
                  .line = 1,
                  .row_line = 1,
                  .comment = format->comment,
                  .line_begins = true};
    char *chunk = tg_allocate(a, CHUNK);
    if (!chunk || csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
        tg_release(a, chunk, CHUNK);
        return no_memory(&g);
    }
    csv_set_blk_size(&parser, CHUNK);
    if (tg_source_open(&source, e, path)) {
        read_all(&g, &parser, &source, format, chunk);
        tg_source_close(&source);
    }
    csv_free(&parser);
    tg_release(a, chunk, CHUNK);
    tg_release(a, g.text, g.capacity);
    tg_release(a, g.field, g.field_capacity * sizeof *g.field);
    return e->status == TG_OK;
}
