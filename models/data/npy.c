/* NPY versions 1.0 to 3.0: "\x93NUMPY", the version, the length of a Python dictionary, the
 * dictionary, the elements. */
#include "npy.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"

enum { MAGIC = 6, MOST_HEADER = 1 << 20 };

static bool bad(tg_error *e, const char *name, const char *format, ...) TG_PRINTF(3, 4);
static bool bad(tg_error *e, const char *name, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    tg_error_setv(e, NULL, name, TG_EFORMAT, format, arguments);
    va_end(arguments);
    return false;
}

/* ---------------------------------------------------------------- the dictionary */

typedef struct text {
    const char *at, *end;
} text;

static void skip_spaces(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

static bool take(text *t, char c)
{
    skip_spaces(t);
    if (t->at == t->end || *t->at != c) return false;
    t->at++;
    return true;
}

/* A quoted text without escapes. */
static bool take_text(text *t, char *y, size_t room)
{
    skip_spaces(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
    const char quote = *t->at++, *from = t->at;
    while (t->at < t->end && *t->at != quote && *t->at != '\\') t->at++;
    const size_t n = (size_t)(t->at - from);
    if (t->at == t->end || *t->at != quote || n >= room) return false;
    memcpy(y, from, n);
    y[n] = 0;
    t->at++;
    return true;
}

static bool take_word(text *t, const char *word)
{
    const size_t n = strlen(word);
    skip_spaces(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0) return false;
    t->at += n;
    return true;
}

static bool take_size(text *t, int64_t *y)
{
    skip_spaces(t);
    const char *from = t->at;
    *y = 0;
    for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++) {
        if (*y > (INT64_MAX - 9) / 10) return false;
        *y = 10 * *y + (*t->at - '0');
    }
    return t->at > from;
}

static bool take_shape(text *t, tg_shape *shape)
{
    *shape = (tg_shape){0};
    if (!take(t, '(')) return false;
    while (!take(t, ')')) {
        if (shape->ndim == TG_MAX_DIMS || !take_size(t, &shape->dim[shape->ndim++])) return false;
        if (take(t, ',')) continue;
        return shape->ndim > 1 && take(t, ')');
    }
    return true;
}

/* The type as NumPy spells it: byte order, kind, bytes. */
static bool check_type(tg_npy *y, const char *descr, const char *name, tg_error *e)
{
    const bool little = tg_is_little_endian();
    char order = 0, extra = 0;
    int size = 0;
    const bool known = sscanf(descr, "%c%c%2d%c", &order, &y->kind, &size, &extra) == 3 &&
                       strchr("<>|=", order) && size > 0;
    y->size = (size_t)size;
    const bool number =
        known && ((y->kind == 'b' && size == 1) ||
                  (strchr("iu", y->kind) && (size == 1 || size == 2 || size == 4 || size == 8)) ||
                  (y->kind == 'f' && (size == 2 || size == 4 || size == 8)));
    if (!number || (order == '|' && size != 1))
        return bad(
            e, name,
            "the type '%s' is none of NumPy's booleans, integers and floats of up to 8 bytes",
            descr);
    y->swapped = (order == '<' && !little) || (order == '>' && little);
    y->dtype = y->kind == 'f'                                    ? size == 8 ? TG_F64 : TG_F32
               : y->kind == 'b' || (y->kind == 'u' && size == 1) ? TG_U8
                                                                 : TG_I64;
    return true;
}

static bool parse_dictionary(tg_npy *y, text t, const char *name, tg_error *e)
{
    char key[20], descr[40] = "";
    int seen = 0;
    bool ok = take(&t, '{');
    while (ok && !take(&t, '}')) {
        ok = take_text(&t, key, sizeof key) && take(&t, ':');
        int bit = 0;
        if (ok && !strcmp(key, "descr")) {
            bit = 1;
            skip_spaces(&t);
            if (t.at < t.end && *t.at == '[')
                return bad(e, name, "an array of records, where one of numbers is needed");
            ok = take_text(&t, descr, sizeof descr);
        } else if (ok && !strcmp(key, "fortran_order")) {
            bit = 2;
            y->fortran = take_word(&t, "True");
            ok = y->fortran || take_word(&t, "False");
        } else if (ok && !strcmp(key, "shape")) {
            bit = 4;
            ok = take_shape(&t, &y->shape);
        }
        ok = ok && bit && !(seen & bit);
        seen |= bit;
        if (ok && !take(&t, ',')) ok = take(&t, '}'), t.at -= ok;
    }
    skip_spaces(&t);
    if (!ok || seen != 7 || t.at != t.end)
        return bad(
            e, name,
            "its header is not the dictionary of descr, fortran_order and shape that it should be");
    return check_type(y, descr, name, e);
}

bool tg_npy_parse(tg_npy *y, const unsigned char *bytes, size_t n, const char *name, tg_error *e)
{
    *y = (tg_npy){0};
    if (n < 10 || memcmp(bytes, "\x93NUMPY", MAGIC) != 0)
        return bad(e, name, "not an NPY file: it does not begin with \\x93NUMPY");
    const unsigned version = bytes[MAGIC], minor = bytes[MAGIC + 1];
    if (version < 1 || version > 3 || minor)
        return bad(e, name, "NPY version %u.%u, where 1.0, 2.0 and 3.0 are known", version, minor);
    const size_t start = version == 1 ? 10 : 12;
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (version > 1 && n >= 12) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (n < start || length > n - start)
        return bad(e, name, "cut short: it ends inside its header");
    if (length > MOST_HEADER) return bad(e, name, "a header of %zu bytes", length);
    const char *header = (const char *)bytes + start;
    if (!parse_dictionary(y, (text){header, header + length}, name, e)) return false;
    y->shape = tg_shape_of(y->shape.ndim, y->shape.dim);
    if (y->shape.ndim < 0) return bad(e, name, "a shape of more elements than can be");
    y->count = tg_shape_count(y->shape);
    y->data = bytes + start + length;
    const size_t rest = n - start - length;
    if ((uint64_t)y->count > rest / y->size)
        return bad(e, name, "cut short: its data has %zu bytes, which are not %s elements of %zu",
                   rest, tg_shape_text(y->shape).text, y->size);
    if ((uint64_t)y->count * y->size != rest)
        return bad(e, name, "%zu bytes behind the data", rest - (size_t)y->count * y->size);
    return true;
}

/* ---------------------------------------------------------------- elements */

static bool convert_one(const tg_npy *y, const unsigned char *from, void *to, int64_t at)
{
    unsigned char b[8] = {0};
    memcpy(b, from, y->size);
    if (y->swapped) tg_swap_bytes(b, 1, y->size);
    uint64_t bits = 0;
    float f;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    memcpy(&u8, b, 1), memcpy(&u16, b, 2), memcpy(&u32, b, 4), memcpy(&bits, b, 8);
    if (y->dtype == TG_F64) memcpy((double *)to + at, b, 8);
    else if (y->dtype == TG_F32) {
        memcpy(&f, b, 4);
        ((float *)to)[at] = y->size == 2 ? tg_half(u16) : f;
    } else if (y->dtype == TG_U8) {
        ((uint8_t *)to)[at] = y->kind == 'b' ? u8 != 0 : u8;
    } else {
        const bool is_signed = y->kind == 'i';
        if (!is_signed && y->size == 8 && bits > INT64_MAX) return false;
        int64_t value = (int64_t)bits;
        if (y->size == 1) value = is_signed ? (int64_t)(int8_t)u8 : (int64_t)u8;
        if (y->size == 2) value = is_signed ? (int64_t)(int16_t)u16 : (int64_t)u16;
        if (y->size == 4) value = is_signed ? (int64_t)(int32_t)u32 : (int64_t)u32;
        ((int64_t *)to)[at] = value;
    }
    return true;
}

bool tg_npy_convert(const tg_npy *y, void *to, const char *name, tg_error *e)
{
    int64_t index[TG_MAX_DIMS] = {0}, stride[TG_MAX_DIMS] = {0}, step = 1, at = 0;
    /* The file's elements in their order; `at` is where each belongs in row-major order. */
    for (int d = y->shape.ndim - 1; d >= 0; d--) {
        stride[d] = step;
        step *= y->shape.dim[d];
    }
    for (int64_t k = 0; k < y->count; k++) {
        if (!convert_one(y, y->data + (size_t)k * y->size, to, y->fortran ? at : k))
            return bad(e, name, "element %lld is beyond the range of i64", (long long)k);
        for (int d = 0; y->fortran && d < y->shape.ndim; d++) {
            at += stride[d];
            if (++index[d] < y->shape.dim[d]) break;
            at -= stride[d] * y->shape.dim[d];
            index[d] = 0;
        }
    }
    return true;
}

size_t tg_npy_header(char text_of_header[TG_NPY_HEADER], tg_dtype dtype, tg_shape shape)
{
    static const char *const types[] = {
        [TG_F32] = "<f4", [TG_F64] = "<f8", [TG_I64] = "<i8", [TG_U8] = "|u1"};
    char sizes[TG_MAX_DIMS * 22 + 1] = "";
    size_t used = 0;
    for (int d = 0; d < shape.ndim; d++)
        used += (size_t)snprintf(sizes + used, sizeof sizes - used,
                                 d || shape.ndim == 1 ? d ? ", %lld" : "%lld," : "%lld",
                                 (long long)shape.dim[d]);
    char *body = text_of_header + 10;
    memcpy(text_of_header, "\x93NUMPY\x01\x00", 8);
    const int n =
        snprintf(body, TG_NPY_HEADER - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", types[dtype], sizes);
    const size_t length = (10 + (size_t)n + 1 + 63) / 64 * 64;
    memset(body + n, ' ', length - 10 - (size_t)n);
    text_of_header[length - 1] = '\n';
    text_of_header[8] = (char)((length - 10) & 0xFF);
    text_of_header[9] = (char)((length - 10) >> 8);
    return length;
}
