/* Scaling of features: computed in f64, rounded once. */
#include "scaler.h"

#include <float.h>
#include <math.h>
#include <string.h>

struct tg_scaler {
    tg_allocator allocator;
    tg_error error;
    tg_scaling_kind kind;
    int64_t features;
    bool known;
    double *shift, *scale; /* [features]: y = (x - shift) / scale */
};

/* A power of two that takes the numbers to 1 or below, exactly, so that neither their sum nor their
 * squares overflow or vanish. */
static double reciprocal_magnitude(tg_numbers x, int64_t first, int64_t n, int64_t stride)
{
    double largest = 0;
    int exponent;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(tg_number_at(x, first + i * stride)));
    frexp(largest, &exponent);
    return ldexp(1, exponent < -1000 ? 1000 : -exponent);
}

void tg_moments(tg_numbers x, int64_t first, int64_t n, int64_t stride, double *mean,
                double *deviation)
{
    const double unit = reciprocal_magnitude(x, first, n, stride),
                 origin = tg_number_at(x, first) * unit;
    double sum = 0, squares = 0;
    bool constant = true;
    for (int64_t i = 0; i < n; i++) {
        const double value = tg_number_at(x, first + i * stride) * unit;
        sum += value;
        constant = constant && value == origin;
    }
    const double centre = constant ? origin : sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double difference = tg_number_at(x, first + i * stride) * unit - centre;
        squares += difference * difference;
    }
    *mean = centre / unit;
    *deviation = sqrt(squares / (double)n) / unit;
    if (!(*deviation >= DBL_MIN)) *deviation = 1;
}

static void range(tg_numbers x, int64_t first, int64_t n, int64_t stride, double *lowest,
                  double *width)
{
    double highest = *lowest = tg_number_at(x, first);
    for (int64_t i = 1; i < n; i++) {
        const double value = tg_number_at(x, first + i * stride);
        *lowest = fmin(*lowest, value);
        highest = fmax(highest, value);
    }
    *width = highest - *lowest;
    if (!(*width >= DBL_MIN)) *width = 1;
}

/* ---------------------------------------------------------------- the object */

static tg_status fail(tg_scaler *s, tg_status status, const char *what)
{
    return tg_error_set(&s->error, NULL, "scaler", status, "%s", what);
}

tg_scaler *tg_scaler_new(tg_scaling_kind kind, int64_t features, const tg_allocator *allocator)
{
    const tg_allocator a = tg_allocator_or_default(allocator);
    tg_scaler *s = tg_allocate(&a, sizeof *s);
    if (!s) return NULL;
    *s = (tg_scaler){.allocator = a, .kind = kind};
    const bool fits = features >= 1 && (uint64_t)features <= PTRDIFF_MAX / sizeof(double);
    if (!fits || (kind != TG_SCALING_STANDARD && kind != TG_SCALING_MIN_MAX)) {
        fail(s, fits ? TG_EVALUE : TG_ESHAPE,
             fits ? "this kind of scaling is none" : "at least one feature is needed");
        return s;
    }
    s->features = features;
    s->shift = tg_allocate(&a, (size_t)features * sizeof *s->shift);
    s->scale = tg_allocate(&a, (size_t)features * sizeof *s->scale);
    if (!s->shift || !s->scale) fail(s, TG_ENOMEM, "no memory");
    return s;
}

void tg_scaler_free(tg_scaler *s)
{
    if (!s) return;
    const tg_allocator a = s->allocator;
    tg_release(&a, s->shift, (size_t)s->features * sizeof *s->shift);
    tg_release(&a, s->scale, (size_t)s->features * sizeof *s->scale);
    tg_release(&a, s, sizeof *s);
}

tg_status tg_scaler_status(const tg_scaler *s) { return s ? s->error.status : TG_ENOMEM; }
const char *tg_scaler_message(const tg_scaler *s)
{
    return s ? s->error.message : "no memory for the scaler";
}
int64_t tg_scaler_features(const tg_scaler *s) { return s ? s->features : 0; }
const double *tg_scaler_shift(const tg_scaler *s) { return s && s->known ? s->shift : NULL; }
const double *tg_scaler_divisor(const tg_scaler *s) { return s && s->known ? s->scale : NULL; }

tg_status tg_scaler_set(tg_scaler *s, const double *shift, const double *divisor)
{
    if (!s || s->error.status != TG_OK) return tg_scaler_status(s);
    if (!shift || !divisor) return fail(s, TG_ENULL, "shift or divisor is NULL");
    for (int64_t k = 0; k < s->features; k++)
        if (!isfinite(shift[k]) || !(divisor[k] >= DBL_MIN) || !isfinite(divisor[k]))
            return tg_error_set(&s->error, NULL, "scaler", TG_EVALUE,
                                "feature %lld: shift %g, divisor %g", (long long)k, shift[k],
                                divisor[k]);
    memcpy(s->shift, shift, (size_t)s->features * sizeof *shift);
    memcpy(s->scale, divisor, (size_t)s->features * sizeof *divisor);
    s->known = true;
    return TG_OK;
}

/* Numbers of the caller's: f32 or f64. */
static tg_status numbers_of(tg_scaler *s, tg_dtype dtype, const void *x, tg_numbers *y)
{
    if (dtype != TG_F32 && dtype != TG_F64) return fail(s, TG_EDTYPE, "numbers must be f32 or f64");
    if (!x) return fail(s, TG_ENULL, "the numbers are NULL");
    *y = dtype == TG_F32 ? (tg_numbers){.narrow = x} : (tg_numbers){.wide = x};
    return TG_OK;
}

static tg_status learn(tg_scaler *s, int64_t rows, tg_numbers x)
{
    if (rows < 1 || rows > INT64_MAX / s->features)
        return fail(s, TG_ESHAPE,
                    rows < 1 ? "at least one row is needed" : "more rows than memory can hold");
    for (int64_t k = 0; k < rows * s->features; k++)
        if (!isfinite(tg_number_at(x, k)))
            return tg_error_set(&s->error, NULL, "scaler", TG_ENONFINITE,
                                "row %lld, feature %lld is not finite",
                                (long long)(k / s->features), (long long)(k % s->features));
    for (int64_t k = 0; k < s->features; k++) {
        range(x, k, rows, s->features, &s->shift[k], &s->scale[k]);
        if (!isfinite(s->scale[k]))
            return tg_error_set(&s->error, NULL, "scaler", TG_EVALUE,
                                "feature %lld spans more than an f64 can hold", (long long)k);
        if (s->kind == TG_SCALING_STANDARD)
            tg_moments(x, k, rows, s->features, &s->shift[k], &s->scale[k]);
    }
    s->known = true;
    return TG_OK;
}

tg_status tg_scaler_learn(tg_scaler *s, int64_t rows, tg_dtype dtype, const void *x)
{
    tg_numbers numbers;
    if (!s || s->error.status != TG_OK) return tg_scaler_status(s);
    return numbers_of(s, dtype, x, &numbers) == TG_OK ? learn(s, rows, numbers) : s->error.status;
}

tg_status tg_scaler_learn_dataset(tg_scaler *s, const tg_dataset *d)
{
    if (!s || s->error.status != TG_OK) return tg_scaler_status(s);
    if (tg_dataset_status(d) != TG_OK)
        return tg_error_set(&s->error, NULL, NULL, tg_dataset_status(d), "%s",
                            tg_dataset_message(d));
    if (tg_dataset_features(d) != s->features)
        return tg_error_set(&s->error, NULL, "scaler", TG_ESHAPE,
                            "the data has %lld features, the scaler %lld",
                            (long long)tg_dataset_features(d), (long long)s->features);
    return learn(s, d->rows, (tg_numbers){d->x, d->exact});
}

/* What both directions need to be so. */
static tg_status ready(tg_scaler *s, int64_t rows, tg_dtype from, const void *x, tg_dtype to,
                       const void *y, tg_numbers *numbers)
{
    if (!s || s->error.status != TG_OK) return tg_scaler_status(s);
    if (!s->known) return fail(s, TG_ESTATE, "it has learnt nothing yet");
    if (rows < 0 || rows > INT64_MAX / s->features)
        return fail(s, TG_ESHAPE, "a wrong number of rows");
    if (to != TG_F32 && to != TG_F64) return fail(s, TG_EDTYPE, "results must be f32 or f64");
    if (!y) return fail(s, TG_ENULL, "the place for results is NULL");
    return numbers_of(s, from, x, numbers);
}

static void put(tg_dtype dtype, void *y, int64_t k, double value)
{
    if (dtype == TG_F32) ((float *)y)[k] = (float)value;
    else ((double *)y)[k] = value;
}

tg_status tg_scaler_apply(tg_scaler *s, int64_t rows, tg_dtype from, const void *x, tg_dtype to,
                          void *y)
{
    tg_numbers numbers;
    if (ready(s, rows, from, x, to, y, &numbers) != TG_OK) return tg_scaler_status(s);
    for (int64_t i = 0, at = 0; i < rows; i++)
        for (int64_t k = 0; k < s->features; k++, at++)
            put(to, y, at, (tg_number_at(numbers, at) - s->shift[k]) / s->scale[k]);
    return TG_OK;
}

tg_status tg_scaler_undo(tg_scaler *s, int64_t rows, tg_dtype from, const void *x, tg_dtype to,
                         void *y)
{
    tg_numbers numbers;
    if (ready(s, rows, from, x, to, y, &numbers) != TG_OK) return tg_scaler_status(s);
    for (int64_t i = 0, at = 0; i < rows; i++)
        for (int64_t k = 0; k < s->features; k++, at++)
            put(to, y, at, tg_number_at(numbers, at) * s->scale[k] + s->shift[k]);
    return TG_OK;
}
