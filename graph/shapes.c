/* Names of things, shapes, axes. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shapes.h"

int tg_version(void) { return TG_VERSION; }

#define NAME(name, text) #name,
#define TEXT(name, text) text,
static const char *const status_names[] = {TG_STATUS_MAP(NAME)};
static const char *const status_texts[] = {TG_STATUS_MAP(TEXT)};

/* Enumerations arrive from callers as any number. */
static bool known(int number, int count) { return number >= 0 && number < count; }

const char *tg_status_name(tg_status status)
{
    return known((int)status, TG_STATUS_COUNT) ? status_names[status] : "?";
}

const char *tg_status_text(tg_status status)
{
    return known((int)status, TG_STATUS_COUNT) ? status_texts[status] : "?";
}

static const struct {
    size_t size;
    const char *name;
} dtypes[TG_DTYPE_COUNT] = {
    [TG_F32] = {4, "f32"}, [TG_F64] = {8, "f64"}, [TG_I64] = {8, "i64"}, [TG_U8] = {1, "u8"}};

size_t tg_dtype_size(tg_dtype dtype)
{
    return known((int)dtype, TG_DTYPE_COUNT) ? dtypes[dtype].size : 0;
}

const char *tg_dtype_name(tg_dtype dtype)
{
    return known((int)dtype, TG_DTYPE_COUNT) ? dtypes[dtype].name : "?";
}

/* ---------------------------------------------------------------- shapes */

/* Why a shape with ndim -1 was refused, in dim[0]; dim[1] and dim[2] hold an axis and a number. No
 * size is below -1. */
enum { WITHOUT_REASON = -7, DIMENSIONS, NEGATIVE, OPEN_TWICE, TOO_LARGE };

static tg_shape refused(int64_t reason, int64_t axis, int64_t number)
{
    return (tg_shape){.ndim = -1, .dim = {reason, axis, number}};
}

int64_t tg_shape_count(tg_shape shape)
{
    int64_t product = 1; /* of the sizes that are not 0, so that strides can't overflow either */
    bool empty = false;
    if (shape.ndim < 0 || shape.ndim > TG_MAX_DIMS) return -1;
    for (int d = 0; d < shape.ndim; d++) {
        const int64_t size = shape.dim[d];
        if (size < 0 || size > TG_MAX_COUNT / product) return -1;
        if (size) product *= size;
        else empty = true;
    }
    return empty ? 0 : product;
}

tg_shape tg_shape_of(int ndim, const int64_t *dim)
{
    tg_shape shape = {.ndim = ndim};
    if (ndim < 0 || ndim > TG_MAX_DIMS) return refused(DIMENSIONS, 0, ndim);
    if (ndim && !dim) return refused(WITHOUT_REASON, 0, 0);
    tg_shape known = shape; /* an open size counted as 1 */
    bool open = false;
    for (int d = 0; d < ndim; d++) {
        if (dim[d] < 0 && (dim[d] < -1 || open))
            return refused(dim[d] < -1 ? NEGATIVE : OPEN_TWICE, d, dim[d]);
        shape.dim[d] = dim[d];
        known.dim[d] = dim[d] < 0 ? 1 : dim[d];
        open |= dim[d] < 0;
    }
    return tg_shape_count(known) < 0 ? refused(TOO_LARGE, 0, 0) : shape;
}

bool tg_shape_too_large(tg_shape shape)
{
    if (shape.ndim == -1) return shape.dim[0] == TOO_LARGE;
    if (shape.ndim < 0 || shape.ndim > TG_MAX_DIMS) return false;
    for (int d = 0; d < shape.ndim; d++)
        if (shape.dim[d] < 0) return false;
    return tg_shape_count(shape) < 0;
}

tg_text tg_shape_refusal(tg_shape shape)
{
    tg_text text = {"an impossible shape"};
    int64_t reason = WITHOUT_REASON, axis = 0, number = shape.ndim;
    if (shape.ndim == -1) {
        reason = shape.dim[0];
        axis = shape.dim[1];
        number = shape.dim[2];
    } else if (shape.ndim < 0 || shape.ndim > TG_MAX_DIMS) reason = DIMENSIONS;
    for (int d = 0; d < shape.ndim && shape.ndim <= TG_MAX_DIMS && reason == WITHOUT_REASON; d++)
        if (shape.dim[d] < 0) {
            reason = NEGATIVE;
            axis = d;
            number = shape.dim[d];
        }
    if (tg_shape_too_large(shape)) reason = TOO_LARGE;
    char *to = text.text;
    const size_t size = sizeof text.text;
    switch (reason) {
    case DIMENSIONS:
        snprintf(to, size, "an impossible shape: %" PRId64 " dimensions, of 0 to 8", number);
        break;
    case NEGATIVE:
        snprintf(to, size, "an impossible shape: size %" PRId64 " of axis %" PRId64 " is negative",
                 number, axis);
        break;
    case OPEN_TWICE:
        snprintf(to, size, "an impossible shape: two sizes are -1, and only one can be left open");
        break;
    case TOO_LARGE:
        snprintf(to, size, "an impossible shape: 2^57 elements or more, beyond any memory");
        break;
    default: break;
    }
    return text;
}

bool tg_shape_equal(tg_shape a, tg_shape b)
{
    if (a.ndim != b.ndim || a.ndim < 0 || a.ndim > TG_MAX_DIMS) return false;
    for (int d = 0; d < a.ndim; d++)
        if (a.dim[d] != b.dim[d] || a.dim[d] < 0) return false;
    return true;
}

tg_text tg_shape_text(tg_shape shape)
{
    tg_text text = {"[?]"};
    if (tg_shape_count(shape) < 0) return text;
    size_t used = 1;
    for (int d = 0; d < shape.ndim; d++)
        used += (size_t)snprintf(text.text + used, sizeof text.text - used, "%s%" PRId64,
                                 d ? "," : "", shape.dim[d]);
    memcpy(text.text + used, "]", 2);
    return text;
}

tg_axes tg_axes_of(int n, const int *axis)
{
    tg_axes axes = {.n = n};
    if (n < -1 || n > TG_MAX_DIMS || (n > 0 && !axis)) return (tg_axes){.n = -2};
    for (int k = 0; k < n; k++) axes.axis[k] = axis[k];
    return axes;
}

tg_shape tg_shape_broadcast(tg_shape a, tg_shape b)
{
    if (tg_shape_count(a) < 0 || tg_shape_count(b) < 0) return refused(WITHOUT_REASON, 0, 0);
    tg_shape y = {.ndim = a.ndim > b.ndim ? a.ndim : b.ndim};
    for (int k = 1; k <= y.ndim; k++) { /* k counts dimensions from the end */
        const int64_t m = k <= a.ndim ? a.dim[a.ndim - k] : 1,
                      n = k <= b.ndim ? b.dim[b.ndim - k] : 1;
        if (m != n && m != 1 && n != 1) return refused(WITHOUT_REASON, 0, 0);
        y.dim[y.ndim - k] = m == 1 ? n : m;
    }
    return tg_shape_count(y) < 0 ? refused(TOO_LARGE, 0, 0) : y;
}

bool tg_array_contiguous(const tg_array *a)
{
    int64_t stride = 1;
    if (tg_shape_count(a->shape) == 0) return true;
    for (int d = a->shape.ndim - 1; d >= 0; d--) {
        if (a->shape.dim[d] != 1 && a->stride[d] != stride) return false;
        stride *= a->shape.dim[d];
    }
    return true;
}

void tg_scalar_bits(tg_dtype dtype, double value, uint64_t *bits)
{
    const float f32 = (float)value;
    *bits = 0;
    if (dtype == TG_F32) memcpy(bits, &f32, sizeof f32);
    else if (dtype == TG_F64) memcpy(bits, &value, sizeof value);
    else if (dtype == TG_I64) *bits = (uint64_t)(int64_t)value;
    else *(uint8_t *)bits = (uint8_t)value;
}
