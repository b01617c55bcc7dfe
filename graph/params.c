/* Parameters: named values that outlive tapes, their initial values, their gradients. */
#include "params.h"
#include "shapes.h"
#include "text.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include <tapegrad/op.h>

/* ---------------------------------------------------------------- sets */

tg_params *tg_params_new(const tg_params_options *options)
{
    tg_params_options o;
    const bool sized = tg_options_read(&o, sizeof o, options);
    const tg_allocator allocator = tg_allocator_or_default(o.allocator);
    tg_params *ps = tg_allocate(&allocator, sizeof *ps);
    if (!ps) return NULL;
    *ps = (tg_params){.allocator = allocator, .seed = o.seed};
    if (!sized)
        tg_error_set(&ps->error, NULL, "params_new", TG_EVALUE, TG_UNSIZED(tg_params_options));
    return ps;
}

static void free_param(const tg_allocator *a, tg_param *p)
{
    if (!p) return;
    tg_release(a, p->value, p->bytes);
    tg_release(a, p->grad, p->bytes);
    tg_release(a, p, sizeof *p);
}

void tg_params_free(tg_params *ps)
{
    if (!ps) return;
    const tg_allocator a = ps->allocator;
    for (tg_mover *m = ps->movers; m; m = m->next) m->params = NULL;
    for (size_t k = 0; k < ps->count; k++) free_param(&a, ps->list[k]);
    tg_release(&a, ps->list, ps->capacity * sizeof *ps->list);
    tg_release(&a, ps->slots, ps->slot_count * sizeof *ps->slots);
    tg_workers_hold(&ps->workers, NULL);
    tg_release(&a, ps, sizeof *ps);
}

void tg_mover_enter(tg_mover *m, tg_params *ps, const char *name)
{
    *m = (tg_mover){.params = ps, .next = ps->movers, .name = name};
    ps->movers = m;
}

void tg_mover_leave(tg_mover *m)
{
    tg_params *ps = m->params;
    if (!ps) return;
    tg_mover **link = &ps->movers;
    while (*link != m) link = &(*link)->next;
    *link = m->next;
    for (size_t k = 0; k < ps->count; k++)
        if (ps->list[k]->mover == m) ps->list[k]->mover = NULL;
    m->params = NULL;
}

tg_status tg_params_status(const tg_params *ps) { return ps ? ps->error.status : TG_ENOMEM; }

const char *tg_params_message(const tg_params *ps)
{
    return ps ? ps->error.message : "no parameter set: there was no memory for it";
}

void tg_params_clear_error(tg_params *ps)
{
    if (ps) ps->error = (tg_error){TG_OK, ""};
}

/* ---------------------------------------------------------------- names */

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t *slot_of(const tg_params *ps, const char *name)
{
    size_t k = (size_t)XXH3_64bits(name, strlen(name)) & (ps->slot_count - 1);
    while (ps->slots[k] && strcmp(ps->list[ps->slots[k] - 1]->name, name) != 0)
        k = (k + 1) & (ps->slot_count - 1);
    return &ps->slots[k];
}

/* Room for one more name, and for its place in the list. */
static bool reserve(tg_params *ps)
{
    if (!tg_grow(&ps->allocator, (void **)&ps->list, &ps->capacity, ps->count + 1,
                 sizeof *ps->list))
        return false;
    if (2 * (ps->count + 1) <= ps->slot_count) return true;
    const size_t old_count = ps->slot_count, count = old_count ? 2 * old_count : 16;
    uint32_t *slots = tg_allocate(&ps->allocator, count * sizeof *slots);
    if (!slots) return false;
    memset(slots, 0, count * sizeof *slots);
    tg_release(&ps->allocator, ps->slots, old_count * sizeof *slots);
    ps->slots = slots;
    ps->slot_count = count;
    for (size_t k = 0; k < ps->count; k++) *slot_of(ps, ps->list[k]->name) = (uint32_t)k + 1;
    return true;
}

/* UTF-8 without control characters: what files and messages can carry. */
static bool printable(const char *text)
{
    const size_t n = strlen(text);
    for (size_t k = 0; k < n; k++)
        if ((unsigned char)text[k] < 0x20 || text[k] == 0x7F) return false;
    return tg_utf8(text, n);
}

/* ---------------------------------------------------------------- initial values */

/* What an initialiser comes down to. */
typedef struct recipe {
    enum { FILL, DRAW_UNIFORM, DRAW_NORMAL } kind;
    double a, b; /* the value; the bounds; mean and standard deviation */
} recipe;

static double rounded(tg_dtype dtype, double value)
{
    return dtype == TG_F32 ? (double)(float)value : value;
}

/* The product of all sizes but that of one dimension. */
static double fan(tg_shape shape, int without)
{
    double product = 1;
    for (int d = 0; d < shape.ndim; d++)
        if (d != without) product *= (double)shape.dim[d];
    return product;
}

static recipe symmetric(double radius) { return (recipe){DRAW_UNIFORM, -radius, radius}; }

/* NULL, or what is wrong; *status says in which way. */
static const char *plan_init(tg_init init, tg_dtype dtype, tg_shape shape, recipe *out,
                             tg_status *status)
{
    const tg_init_kind kind = init.kind;
    const bool gained = kind >= TG_XAVIER_UNIFORM && kind <= TG_HE_NORMAL;
    const double a = rounded(dtype, init.a), b = rounded(dtype, init.b);
    *status = TG_EVALUE;
    if ((int)kind < TG_ZEROS || kind > TG_LINEAR_DEFAULT) return "unknown kind of initial values";
    if (kind == TG_CONSTANT && (isnan(a) || (isinf(a) && !isinf(init.a))))
        return "the constant is NaN or beyond the dtype's range";
    if (kind == TG_UNIFORM && !(a < b && isfinite(b - a)))
        return "a uniform distribution needs finite bounds a < b";
    if (kind == TG_NORMAL && !(isfinite(a) && isfinite(b) && b > 0))
        return "a normal distribution needs a finite mean a and a finite deviation b > 0";
    if (gained && !(isfinite(a) && a >= 0)) return "the gain must be finite and >= 0";
    if (kind == TG_LINEAR_DEFAULT && !(isfinite(a) && a >= 0))
        return "the fan must be finite and >= 0";
    *status = TG_ESHAPE;
    if (shape.ndim < 2 && (gained || (kind == TG_LINEAR_DEFAULT && a == 0)))
        return "the initialiser needs two or more dimensions";

    /* A fan of 0 belongs to an empty tensor, of which no value is drawn. */
    const double in = fan(shape, 0), both = in + fan(shape, 1);
    const double he_gain = init.a > 0 ? init.a : sqrt(2), xavier_gain = init.a > 0 ? init.a : 1;
    switch (kind) {
    case TG_ZEROS: *out = (recipe){FILL, 0, 0}; break;
    case TG_ONES: *out = (recipe){FILL, 1, 0}; break;
    case TG_CONSTANT: *out = (recipe){FILL, a, 0}; break;
    case TG_UNIFORM: *out = (recipe){DRAW_UNIFORM, a, b}; break;
    case TG_NORMAL: *out = (recipe){DRAW_NORMAL, a, b}; break;
    case TG_XAVIER_UNIFORM: *out = symmetric(xavier_gain * sqrt(6 / both)); break;
    case TG_XAVIER_NORMAL: *out = (recipe){DRAW_NORMAL, 0, xavier_gain * sqrt(2 / both)}; break;
    case TG_HE_UNIFORM: *out = symmetric(he_gain * sqrt(3 / in)); break;
    case TG_HE_NORMAL: *out = (recipe){DRAW_NORMAL, 0, he_gain / sqrt(in)}; break;
    case TG_LINEAR_DEFAULT: *out = symmetric(1 / sqrt(init.a > 0 ? init.a : in)); break;
    }
    return NULL;
}

static void store(tg_param *p, int64_t first, int64_t n, const double *value)
{
    float *f32 = p->value;
    double *f64 = p->value;
    for (int64_t i = 0; i < n; i++) {
        if (p->dtype == TG_F32) f32[first + i] = (float)value[i];
        else f64[first + i] = value[i];
    }
}

static void initialise(tg_param *p, recipe r)
{
    enum { CHUNK = 512 };
    const uint64_t key = tg_random_key(p->owner->seed, p->slot.id);
    /* Rounding may arrive at the upper bound, which does not belong to the interval. */
    const double below =
        p->dtype == TG_F32 ? (double)nextafterf((float)r.b, (float)r.a) : nextafter(r.b, r.a);
    double value[CHUNK];
    for (int64_t first = 0; first < p->count; first += CHUNK) {
        const int64_t n = p->count - first < CHUNK ? p->count - first : CHUNK;
        if (r.kind == DRAW_UNIFORM) tg_random_uniform_from(key, first, n, value);
        if (r.kind == DRAW_NORMAL) tg_random_normal_from(key, first, n, value);
        for (int64_t i = 0; i < n; i++) {
            if (r.kind == FILL) value[i] = r.a;
            if (r.kind == DRAW_UNIFORM) value[i] = fmin(r.a + value[i] * (r.b - r.a), below);
            if (r.kind == DRAW_NORMAL) value[i] = r.a + r.b * value[i];
        }
        store(p, first, n, value);
    }
}

/* ---------------------------------------------------------------- creation */

/* A parameter with uncertain values, in the list under its name; the arguments have been
 * checked. */
static tg_param *add(tg_params *ps, const char *name, tg_dtype dtype, tg_shape shape)
{
    const size_t count = (size_t)tg_shape_count(shape), size = tg_dtype_size(dtype);
    if (count > (size_t)PTRDIFF_MAX / size || ps->count >= INT32_MAX || !reserve(ps)) return NULL;
    tg_param *p = tg_allocate(&ps->allocator, sizeof *p);
    if (!p) return NULL;
    *p = (tg_param){.slot = {.id = (uint32_t)ps->count},
                    .owner = ps,
                    .dtype = dtype,
                    .shape = shape,
                    .count = (int64_t)count,
                    .bytes = count * size,
                    .trainable = true,
                    .version = 1};
    memcpy(p->name, name, strlen(name) + 1);
    p->value = tg_allocate(&ps->allocator, p->bytes);
    if (!p->value) {
        free_param(&ps->allocator, p);
        return NULL;
    }
    *slot_of(ps, name) = p->slot.id + 1;
    ps->list[ps->count++] = p;
    return p;
}

tg_tensor *tg_param_new_at(tg_params *ps, const char *where, const char *name, tg_dtype dtype,
                           tg_shape shape, tg_init init)
{
    const char *what = "param_new";
    recipe r;
    tg_status status;
    if (!ps || ps->error.status != TG_OK) return NULL;
    if (!name) {
        tg_error_set(&ps->error, where, what, TG_ENULL, "the name is NULL");
        return NULL;
    }
    const size_t length = strlen(name);
    if (length < 1 || length >= sizeof((tg_param *)NULL)->name) {
        tg_error_set(&ps->error, where, what, TG_EVALUE,
                     "a name has 1 to 255 bytes, this one has %zu", length);
        return NULL;
    }
    if (!printable(name)) {
        tg_error_set(&ps->error, where, what, TG_EVALUE,
                     "the name is not UTF-8 without control characters");
        return NULL;
    }
    if (tg_params_find(ps, name)) {
        tg_error_set(&ps->error, where, what, TG_EVALUE, "there is a parameter \"%s\" already",
                     name);
        return NULL;
    }
    if (dtype != TG_F32 && dtype != TG_F64) {
        tg_error_set(&ps->error, where, what, TG_EDTYPE,
                     "\"%s\": parameters are f32 or f64, not %s", name, tg_dtype_name(dtype));
        return NULL;
    }
    if (tg_shape_count(shape) < 0) {
        tg_error_set(&ps->error, where, what, TG_ESHAPE, "\"%s\": %s", name,
                     tg_shape_refusal(shape).text);
        return NULL;
    }
    const char *wrong = plan_init(init, dtype, shape, &r, &status);
    if (wrong) {
        tg_error_set(&ps->error, where, what, status, "\"%s\" of shape %s: %s", name,
                     tg_shape_text(shape).text, wrong);
        return NULL;
    }
    /* Not the caller's struct: its unused sizes need not be 0. */
    tg_param *p = add(ps, name, dtype, tg_shape_of(shape.ndim, shape.dim));
    if (!p) {
        tg_error_set(&ps->error, where, what, TG_ENOMEM, "no memory for \"%s\" of shape %s", name,
                     tg_shape_text(shape).text);
        return NULL;
    }
    initialise(p, r);
    return tg_param_handle(p);
}

/* Parenthesised, as there is a macro of this name. */
tg_params *tg_params_copy_f64(const tg_params *source, const tg_allocator *allocator)
{
    tg_params *ps = tg_params_new(&(tg_params_options){
        .size = sizeof(tg_params_options), .allocator = allocator, .seed = source->seed});
    for (size_t k = 0; ps && k < source->count; k++) {
        const tg_param *from = source->list[k];
        const float *f32 = from->value;
        const double *f64 = from->value;
        tg_param *p = add(ps, from->name, TG_F64, from->shape);
        if (!p) {
            tg_params_free(ps);
            return NULL;
        }
        p->trainable = from->trainable;
        double *to = p->value;
        for (int64_t i = 0; i < p->count; i++)
            to[i] = from->dtype == TG_F32 ? (double)f32[i] : f64[i];
    }
    return ps;
}

/* ---------------------------------------------------------------- looking */

int tg_params_count(const tg_params *ps) { return ps ? (int)ps->count : 0; }

tg_tensor *tg_params_get(const tg_params *ps, int index)
{
    return ps && index >= 0 && (size_t)index < ps->count ? tg_param_handle(ps->list[index]) : NULL;
}

tg_tensor *tg_params_find(const tg_params *ps, const char *name)
{
    if (!ps || !name || !ps->slot_count) return NULL;
    const uint32_t slot = *slot_of(ps, name);
    return slot ? tg_param_handle(ps->list[slot - 1]) : NULL;
}

int64_t tg_params_elements(const tg_params *ps)
{
    int64_t total = 0;
    for (size_t k = 0; ps && k < ps->count; k++) total += ps->list[k]->count;
    return total;
}

const char *tg_param_name(const tg_tensor *p)
{
    const tg_param *param = tg_param_of(p);
    return param ? param->name : NULL;
}

const void *tg_param_data(const tg_tensor *p)
{
    const tg_param *param = tg_param_of(p);
    return param ? param->value : NULL;
}

const void *tg_param_grad(const tg_tensor *p)
{
    const tg_param *param = tg_param_of(p);
    return param && param->has_grad ? param->grad : NULL;
}

uint64_t tg_param_version(const tg_tensor *p)
{
    const tg_param *param = tg_param_of(p);
    return param ? param->version : 0;
}

bool tg_param_trainable(const tg_tensor *p)
{
    const tg_param *param = tg_param_of(p);
    return param && param->trainable;
}

/* ---------------------------------------------------------------- gradients */

void tg_params_drop_grads(tg_params *ps)
{
    for (size_t k = 0; ps && k < ps->count; k++) ps->list[k]->has_grad = false;
}

void *tg_param_grad_buffer(tg_param *p)
{
    if (!p->grad) p->grad = tg_allocate(&p->owner->allocator, p->bytes);
    return p->grad;
}
