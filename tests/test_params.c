#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../graph/params.h"
#include "allocator.h"

static const tg_init zeros = {TG_ZEROS, 0, 0};

static tg_params *seeded(uint64_t seed)
{
    return tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .seed = seed});
}

/* ---------------------------------------------------------------- creating and finding */

Test(params, are_found_by_name_and_by_index)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "layer.weight", TG_F32, TG_SHAPE(4, 3), zeros);
    tg_tensor *b = tg_param_new(ps, "layer.bias", TG_F64, TG_SHAPE(4), zeros);
    cr_assert_eq(tg_params_count(ps), 2);
    cr_assert_eq(tg_params_elements(ps), 16);
    cr_assert_eq(tg_params_get(ps, 0), w);
    cr_assert_eq(tg_params_get(ps, 1), b);
    cr_assert_null(tg_params_get(ps, 2));
    cr_assert_null(tg_params_get(ps, -1));
    cr_assert_eq(tg_params_find(ps, "layer.weight"), w);
    cr_assert_eq(tg_params_find(ps, "layer.bias"), b);
    cr_assert_null(tg_params_find(ps, "layer"));
    cr_assert_str_eq(tg_param_name(w), "layer.weight");
    cr_assert_eq(tg_param_version(w), 1);
    cr_assert(tg_param_trainable(w));
    cr_assert_null(tg_param_grad(w));
    for (int i = 0; i < 12; i++) cr_assert_eq(((const float *)tg_param_data(w))[i], 0);
    tg_params_free(ps);
}

Test(params, thousands_of_them_are_all_found)
{
    enum { MANY = 5000 };
    tg_params *ps = tg_params_new(NULL);
    char name[32];
    for (int k = 0; k < MANY; k++) {
        snprintf(name, sizeof name, "block.%d.weight", k);
        cr_assert_not_null(
            tg_param_new(ps, name, TG_F32, TG_SHAPE(2), ((tg_init){TG_CONSTANT, k, 0})));
    }
    for (int k = 0; k < MANY; k++) {
        snprintf(name, sizeof name, "block.%d.weight", k);
        const float *value = tg_param_data(tg_params_find(ps, name));
        cr_assert_eq(value[0], (float)k);
    }
    tg_params_free(ps);
}

Test(params, may_be_scalars_or_empty)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *scalar =
        tg_param_new(ps, "scalar", TG_F64, TG_SCALAR, ((tg_init){TG_CONSTANT, 2.5, 0}));
    tg_tensor *empty =
        tg_param_new(ps, "empty", TG_F32, TG_SHAPE(3, 0), ((tg_init){TG_HE_NORMAL, 0, 0}));
    cr_assert_eq(*(const double *)tg_param_data(scalar), 2.5);
    cr_assert_not_null(tg_param_data(empty));
    cr_assert_eq(tg_param_write(empty, NULL), TG_OK);
    cr_assert_eq(tg_param_add_grad(empty, NULL), TG_OK);
    cr_assert_not_null(tg_param_grad(empty));
    cr_assert_eq(tg_params_elements(ps), 1);
    tg_params_free(ps);
}

Test(params, the_callers_unused_sizes_do_not_get_in)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_shape untidy = {.ndim = 1, .dim = {3, 77, 88}};
    const tg_param *p = tg_param_of(tg_param_new(ps, "w", TG_F32, untidy, zeros));
    cr_assert_eq(p->shape.dim[1], 0);
    cr_assert_eq(p->count, 3);
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- refusals */

/* Each call is refused with the status, naming this file and `fragment`; afterwards the set is in
 * error, and healthy once cleared. */
static void refused(const char *name, tg_dtype dtype, tg_shape shape, tg_init init,
                    tg_status status, const char *fragment)
{
    tg_params *ps = tg_params_new(NULL);
    tg_param_new(ps, "taken", TG_F32, TG_SHAPE(2), zeros);
    char where[64];
    const int line = __LINE__ + 1;
    cr_assert_null(tg_param_new(ps, name, dtype, shape, init), "%s", fragment);
    snprintf(where, sizeof where, "test_params.c:%d: param_new: ", line);
    cr_assert_eq(tg_params_status(ps), status, "%s: %s", tg_status_name(tg_params_status(ps)),
                 tg_params_message(ps));
    cr_assert_not_null(strstr(tg_params_message(ps), where), "%s", tg_params_message(ps));
    cr_assert_not_null(strstr(tg_params_message(ps), fragment), "%s", tg_params_message(ps));
    cr_assert_null(tg_param_new(ps, "good", TG_F32, TG_SHAPE(2), zeros), "the error must stick");
    cr_assert_eq(tg_param_write(tg_params_find(ps, "taken"), (float[]){1, 2}), status);
    cr_assert_eq(tg_param_version(tg_params_find(ps, "taken")), 1);
    cr_assert_eq(tg_params_count(ps), 1);
    tg_params_clear_error(ps);
    cr_assert_str_eq(tg_params_message(ps), "");
    cr_assert_not_null(tg_param_new(ps, "good", TG_F32, TG_SHAPE(2), zeros));
    tg_params_free(ps);
}

Test(params, names_are_checked)
{
    char long_name[300];
    memset(long_name, 'x', sizeof long_name);
    long_name[256] = 0;
    refused(NULL, TG_F32, TG_SHAPE(2), zeros, TG_ENULL, "name is NULL");
    refused("", TG_F32, TG_SHAPE(2), zeros, TG_EVALUE, "has 0");
    refused(long_name, TG_F32, TG_SHAPE(2), zeros, TG_EVALUE, "has 256");
    refused("taken", TG_F32, TG_SHAPE(2), zeros, TG_EVALUE, "\"taken\" already");
    refused("a\nb", TG_F32, TG_SHAPE(2), zeros, TG_EVALUE, "UTF-8");
    const char *malformed[] = {"\xff",         "\xc0\xaf",         "\xe2\x82",
                               "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\x80",
                               "\xe0\x80\x80", "\xf0\x80\x80\x80"};
    for (size_t k = 0; k < sizeof malformed / sizeof *malformed; k++)
        refused(malformed[k], TG_F32, TG_SHAPE(2), zeros, TG_EVALUE, "UTF-8");
    tg_params *ps = tg_params_new(NULL);
    long_name[255] = 0;
    cr_assert_not_null(tg_param_new(ps, long_name, TG_F32, TG_SHAPE(2), zeros));
    cr_assert_not_null(tg_param_new(ps,
                                    "poids d'entr\xc3\xa9"
                                    "e \xe2\x82\xac \xf0\x9f\x98\x80",
                                    TG_F32, TG_SHAPE(2), zeros));
    tg_params_free(ps);
}

Test(params, dtypes_and_shapes_are_checked)
{
    refused("w", TG_I64, TG_SHAPE(2), zeros, TG_EDTYPE, "not i64");
    refused("w", TG_U8, TG_SHAPE(2), zeros, TG_EDTYPE, "not u8");
    refused("w", (tg_dtype)50, TG_SHAPE(2), zeros, TG_EDTYPE, "not ?");
    refused("w", TG_F32, TG_SHAPE(-2), zeros, TG_ESHAPE, "impossible shape");
    refused("w", TG_F32, ((tg_shape){.ndim = 12}), zeros, TG_ESHAPE, "impossible shape");
    refused("w", TG_F64, TG_SHAPE(INT64_C(1) << 56), zeros, TG_ENOMEM, "[72057594037927936]");
    refused("w", TG_F32, TG_SHAPE(INT64_C(1) << 31, INT64_C(1) << 31), zeros, TG_ESHAPE,
            "impossible shape");
}

Test(params, ranges_of_initialisers_are_checked)
{
    const tg_shape m = TG_SHAPE(3, 4), v = TG_SHAPE(3);
    refused("w", TG_F32, m, (tg_init){(tg_init_kind)-1, 0, 0}, TG_EVALUE, "unknown kind");
    refused("w", TG_F32, m, (tg_init){(tg_init_kind)99, 0, 0}, TG_EVALUE, "unknown kind");
    refused("w", TG_F32, m, (tg_init){TG_CONSTANT, NAN, 0}, TG_EVALUE, "constant");
    refused("w", TG_F32, m, (tg_init){TG_CONSTANT, 1e300, 0}, TG_EVALUE, "constant");
    refused("w", TG_F32, m, (tg_init){TG_UNIFORM, 1, 1}, TG_EVALUE, "a < b");
    refused("w", TG_F32, m, (tg_init){TG_UNIFORM, 2, 1}, TG_EVALUE, "a < b");
    refused("w", TG_F32, m, (tg_init){TG_UNIFORM, 1, 1 + 1e-12}, TG_EVALUE, "a < b");
    refused("w", TG_F32, m, (tg_init){TG_UNIFORM, 0, INFINITY}, TG_EVALUE, "a < b");
    refused("w", TG_F64, m, (tg_init){TG_UNIFORM, -DBL_MAX, DBL_MAX}, TG_EVALUE, "a < b");
    refused("w", TG_F32, m, (tg_init){TG_UNIFORM, NAN, 1}, TG_EVALUE, "a < b");
    refused("w", TG_F32, m, (tg_init){TG_NORMAL, 0, -1}, TG_EVALUE, "deviation");
    refused("w", TG_F32, m, (tg_init){.kind = TG_NORMAL}, TG_EVALUE, "deviation b > 0");
    refused("w", TG_F32, m, (tg_init){TG_NORMAL, 0, 1e-50}, TG_EVALUE, "deviation b > 0");
    refused("w", TG_F32, m, (tg_init){TG_NORMAL, NAN, 1}, TG_EVALUE, "mean");
    refused("w", TG_F32, m, (tg_init){TG_NORMAL, 0, INFINITY}, TG_EVALUE, "deviation");
    for (int kind = TG_XAVIER_UNIFORM; kind <= TG_HE_NORMAL; kind++) {
        refused("w", TG_F32, m, (tg_init){(tg_init_kind)kind, -1, 0}, TG_EVALUE, "gain");
        refused("w", TG_F32, m, (tg_init){(tg_init_kind)kind, NAN, 0}, TG_EVALUE, "gain");
        refused("w", TG_F32, v, (tg_init){(tg_init_kind)kind, 1, 0}, TG_ESHAPE, "two or more");
    }
    refused("w", TG_F32, v, (tg_init){TG_LINEAR_DEFAULT, 0, 0}, TG_ESHAPE, "two or more");
    refused("w", TG_F32, v, (tg_init){TG_LINEAR_DEFAULT, -5, 0}, TG_EVALUE, "fan");
}

Test(params, a_NULL_set_and_foreign_handles_are_harmless)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *foreign = tg_constant(t, TG_F32, 1);
    cr_assert_null(tg_param_new(NULL, "w", TG_F32, TG_SHAPE(2), zeros));
    cr_assert_eq(tg_params_status(NULL), TG_ENOMEM);
    cr_assert(strlen(tg_params_message(NULL)) > 0);
    cr_assert_eq(tg_params_count(NULL), 0);
    cr_assert_eq(tg_params_elements(NULL), 0);
    cr_assert_null(tg_params_get(NULL, 0));
    cr_assert_null(tg_params_find(NULL, "w"));
    tg_params_clear_error(NULL);
    tg_params_drop_grads(NULL);
    tg_params_free(NULL);
    tg_tensor *const none[] = {NULL, foreign};
    for (int k = 0; k < 2; k++) {
        cr_assert_null(tg_param_name(none[k]));
        cr_assert_null(tg_param_data(none[k]));
        cr_assert_null(tg_param_grad(none[k]));
        cr_assert_eq(tg_param_version(none[k]), 0);
        cr_assert(!tg_param_trainable(none[k]));
        const tg_status expected = k ? TG_ETAPE : TG_ENULL;
        cr_assert_eq(tg_param_write(none[k], (float[]){1}), expected);
        cr_assert_eq(tg_param_set_trainable(none[k], true), expected);
        cr_assert_eq(tg_param_add_grad(none[k], (float[]){1}), expected);
    }
    cr_assert_eq(tg_tape_status(t), TG_ETAPE);
    cr_assert(strstr(tg_tape_message(t), "param_write: the tensor is no parameter"), "%s",
              tg_tape_message(t));
    tg_tape_free(t);
    tg_params *sizeless = tg_params_new(&(tg_params_options){.seed = 3});
    cr_assert_eq(tg_params_status(sizeless), TG_EVALUE);
    cr_assert(strstr(tg_params_message(sizeless), "sizeof(tg_params_options)"), "%s",
              tg_params_message(sizeless));
    cr_assert_null(tg_param_new(sizeless, "w", TG_F32, TG_SHAPE(2), zeros));
    tg_params_free(sizeless);
    tg_params *ps = tg_params_new(NULL);
    cr_assert_null(tg_params_find(ps, NULL));
    cr_assert_null((tg_param_new)(ps, "w", TG_I64, TG_SHAPE(2), zeros));
    cr_assert_eq(strncmp(tg_params_message(ps), "param_new: ", 11), 0,
                 "the plain function knows no line");
    tg_params_free(ps);
}

/* ---------------------------------------------------------------- initial values */

enum { ROWS = 300, COLUMNS = 500, N = ROWS * COLUMNS };

static double value_of(const tg_tensor *p, int64_t i)
{
    const tg_param *param = tg_param_of(p);
    return param->dtype == TG_F32 ? (double)((const float *)param->value)[i]
                                  : ((const double *)param->value)[i];
}

/* N values within [low, high], whose mean and variance lie within five standard deviations of what
 * is expected. A uniform distribution of variance v has a variance estimator of deviation v sqrt(.8
 * / N), a normal one of v sqrt(2 / N). The bounds must nearly be reached. */
static void distributed(tg_init init, tg_dtype dtype, double mean, double variance, double low,
                        double high, bool normal)
{
    tg_params *ps = seeded(12);
    const tg_tensor *p = tg_param_new(ps, "w", dtype, TG_SHAPE(ROWS, COLUMNS), init);
    cr_assert_not_null(p, "%s", tg_params_message(ps));
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    for (int i = 0; i < N; i++) {
        const double x = value_of(p, i);
        sum += x / N;
        squares += (x - mean) * (x - mean) / N;
        least = fmin(least, x);
        most = fmax(most, x);
    }
    cr_assert_float_eq(sum, mean, 5 * sqrt(variance / N), "kind %d: mean %g", (int)init.kind, sum);
    cr_assert_float_eq(squares, variance, 5 * variance * sqrt((normal ? 2 : .8) / N),
                       "kind %d: variance %g", (int)init.kind, squares);
    if (!normal) {
        cr_assert(least >= low && most < high, "kind %d: [%g, %g]", (int)init.kind, least, most);
        cr_assert(least < low + (high - low) * 1e-3 && most > high - (high - low) * 1e-3);
    }
    tg_params_free(ps);
}

static void uniform_within(tg_init init, double low, double high)
{
    const tg_dtype dtypes[] = {TG_F32, TG_F64};
    for (int k = 0; k < 2; k++) {
        /* Bounds are rounded to the dtype, as every attribute is. */
        const double l = k ? low : (double)(float)low, h = k ? high : (double)(float)high;
        distributed(init, dtypes[k], (l + h) / 2, (h - l) * (h - l) / 12, l, h, false);
    }
}

Test(params, uniform_initialisers_have_their_bounds_and_variances)
{
    const double in = COLUMNS, out = ROWS;
    uniform_within((tg_init){TG_UNIFORM, -0.1, 0.7}, -0.1, 0.7);
    uniform_within((tg_init){TG_XAVIER_UNIFORM, 0, 0}, -sqrt(6 / (in + out)), sqrt(6 / (in + out)));
    uniform_within((tg_init){TG_XAVIER_UNIFORM, 3, 0}, -3 * sqrt(6 / (in + out)),
                   3 * sqrt(6 / (in + out)));
    uniform_within((tg_init){TG_HE_UNIFORM, 0, 0}, -sqrt(6 / in), sqrt(6 / in));
    uniform_within((tg_init){TG_HE_UNIFORM, 1, 0}, -sqrt(3 / in), sqrt(3 / in));
    uniform_within((tg_init){TG_LINEAR_DEFAULT, 0, 0}, -1 / sqrt(in), 1 / sqrt(in));
    uniform_within((tg_init){TG_LINEAR_DEFAULT, 64, 0}, -1. / 8, 1. / 8);
}

static void normal_with(tg_init init, double mean, double deviation)
{
    distributed(init, TG_F32, mean, deviation * deviation, 0, 0, true);
    distributed(init, TG_F64, mean, deviation * deviation, 0, 0, true);
}

Test(params, normal_initialisers_have_their_means_and_variances)
{
    const double in = COLUMNS, out = ROWS;
    normal_with((tg_init){TG_NORMAL, 3, 0.5}, 3, 0.5);
    normal_with((tg_init){TG_XAVIER_NORMAL, 0, 0}, 0, sqrt(2 / (in + out)));
    normal_with((tg_init){TG_XAVIER_NORMAL, 2, 0}, 0, 2 * sqrt(2 / (in + out)));
    normal_with((tg_init){TG_HE_NORMAL, 0, 0}, 0, sqrt(2 / in));
    normal_with((tg_init){TG_HE_NORMAL, 1, 0}, 0, sqrt(1 / in));
}

/* The same draws, scaled: sharper than any statistics. The interval of a uniform one excludes its
 * upper end by rounding only. */
static void scaled_draws(tg_init init, tg_init plain)
{
    tg_params *a = seeded(3), *b = seeded(3);
    const tg_tensor *p = tg_param_new(a, "w", TG_F64, TG_SHAPE(6, 3, 4), init),
                    *q = tg_param_new(b, "w", TG_F64, TG_SHAPE(6, 3, 4), plain);
    for (int i = 0; i < 72; i++)
        cr_assert_float_eq(value_of(p, i), value_of(q, i), 1e-14, "kind %d", (int)init.kind);
    tg_params_free(a);
    tg_params_free(b);
}

Test(params, scaled_initialisers_scale_by_their_fans)
{
    /* [out 6, in 3, 4]: fan_in 12, fan_out 24. */
    scaled_draws((tg_init){TG_XAVIER_UNIFORM, 2, 0},
                 (tg_init){TG_UNIFORM, -2 * sqrt(6. / 36), 2 * sqrt(6. / 36)});
    scaled_draws((tg_init){TG_XAVIER_NORMAL, 2, 0}, (tg_init){TG_NORMAL, 0, 2 * sqrt(2. / 36)});
    scaled_draws((tg_init){TG_HE_UNIFORM, 0, 0},
                 (tg_init){TG_UNIFORM, -sqrt(6. / 12), sqrt(6. / 12)});
    scaled_draws((tg_init){TG_HE_NORMAL, 0, 0}, (tg_init){TG_NORMAL, 0, sqrt(2. / 12)});
    scaled_draws((tg_init){TG_LINEAR_DEFAULT, 0, 0},
                 (tg_init){TG_UNIFORM, -1 / sqrt(12), 1 / sqrt(12)});
    scaled_draws((tg_init){TG_LINEAR_DEFAULT, 12, 0},
                 (tg_init){TG_UNIFORM, -1 / sqrt(12), 1 / sqrt(12)});
}

Test(params, fans_of_a_convolution_weight)
{
    /* [out, in, height, width]: fan_in 7 * 3 * 5 = 105, fan_out 400 * 3 * 5 = 6000. */
    tg_params *ps = seeded(1);
    const tg_tensor *he =
        tg_param_new(ps, "he", TG_F64, TG_SHAPE(400, 7, 3, 5), ((tg_init){TG_HE_UNIFORM, 1, 0}));
    const tg_tensor *xavier = tg_param_new(ps, "xavier", TG_F64, TG_SHAPE(400, 7, 3, 5),
                                           ((tg_init){TG_XAVIER_UNIFORM, 1, 0}));
    double he_most = 0, xavier_most = 0;
    for (int i = 0; i < 400 * 105; i++) {
        he_most = fmax(he_most, fabs(value_of(he, i)));
        xavier_most = fmax(xavier_most, fabs(value_of(xavier, i)));
    }
    cr_assert_float_eq(he_most, sqrt(3. / 105), 1e-3 * he_most);
    cr_assert_float_eq(xavier_most, sqrt(6. / 6105), 1e-3 * xavier_most);
    tg_params_free(ps);
}

Test(params, constants_are_exact)
{
    tg_params *ps = seeded(1);
    const tg_tensor *one =
        tg_param_new(ps, "one", TG_F32, TG_SHAPE(1000), ((tg_init){TG_ONES, 0, 0}));
    const tg_tensor *third =
        tg_param_new(ps, "third", TG_F64, TG_SHAPE(1000), ((tg_init){TG_CONSTANT, 1. / 3, 0}));
    const tg_tensor *minus =
        tg_param_new(ps, "minus", TG_F32, TG_SHAPE(2), ((tg_init){TG_CONSTANT, -INFINITY, 0}));
    for (int i = 0; i < 1000; i++) cr_assert(value_of(one, i) == 1 && value_of(third, i) == 1. / 3);
    cr_assert_eq(value_of(minus, 1), -INFINITY);
    tg_params_free(ps);
}

/* Between two neighbouring floats half of all draws would round up to the bound that is
 * excluded. */
Test(params, rounding_never_reaches_the_upper_bound)
{
    tg_params *ps = seeded(4);
    const float high = nextafterf(1, 2);
    const tg_tensor *p =
        tg_param_new(ps, "w", TG_F32, TG_SHAPE(1000), ((tg_init){TG_UNIFORM, 1, (double)high}));
    for (int i = 0; i < 1000; i++) cr_assert_eq(value_of(p, i), 1);
    tg_params_free(ps);
}

Test(params, each_draws_from_a_stream_of_its_own)
{
    const tg_init init = {TG_UNIFORM, 0, 1};
    tg_params *a = seeded(7), *b = seeded(7), *c = seeded(8);
    const tg_tensor *a0 = tg_param_new(a, "first", TG_F64, TG_SHAPE(1000), init),
                    *a1 = tg_param_new(a, "second", TG_F64, TG_SHAPE(1000), init);
    tg_param_new(b, "other name", TG_F32, TG_SHAPE(5), init);
    const tg_tensor *b1 = tg_param_new(b, "and shape", TG_F64, TG_SHAPE(10, 20), init),
                    *c0 = tg_param_new(c, "w", TG_F64, TG_SHAPE(1000), init);
    int same_stream = 0, same_seed = 0;
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(
            value_of(a1, i), value_of(b1, i),
            "an element depends on seed, index of the parameter and index of the element only");
        same_stream += value_of(a0, i) == value_of(a1, i);
        same_seed += value_of(a0, i) == value_of(c0, i);
    }
    cr_assert_eq(same_stream, 0);
    cr_assert_eq(same_seed, 0);
    for (int i = 0; i < 200; i++) /* f32 is the f64 draw, rounded once */
        if (i < 5) cr_assert_eq(value_of(tg_params_get(b, 0), i), (double)(float)value_of(a0, i));
    tg_params_free(a);
    tg_params_free(b);
    tg_params_free(c);
}

/* ---------------------------------------------------------------- values and gradients */

Test(params, writing_copies_and_raises_the_version)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "w", TG_F32, TG_SHAPE(3), zeros);
    float data[] = {1, 2, 3};
    const void *address = tg_param_data(p);
    cr_assert_eq(tg_param_write(p, data), TG_OK);
    data[1] = 99;
    cr_assert_eq(((const float *)tg_param_data(p))[1], 2);
    cr_assert_eq(tg_param_data(p), address);
    cr_assert_eq(tg_param_version(p), 2);
    cr_assert_eq(tg_param_write(p, NULL), TG_ENULL);
    cr_assert_eq(tg_params_status(ps), TG_ENULL);
    cr_assert_not_null(strstr(tg_params_message(ps), "\"w\""));
    cr_assert_eq(tg_param_version(p), 2);
    tg_params_free(ps);
}

Test(params, gradients_add_up_until_dropped)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "w", TG_F32, TG_SHAPE(3), zeros),
              *q = tg_param_new(ps, "v", TG_F64, TG_SHAPE(2), zeros);
    cr_assert_eq(tg_param_add_grad(p, (float[]){1, 2, 3}), TG_OK);
    cr_assert_eq(tg_param_add_grad(p, (float[]){10, 20, 30}), TG_OK);
    cr_assert_eq(tg_param_add_grad(q, (double[]){.5, .25}), TG_OK);
    cr_assert_eq(tg_param_add_grad(q, (double[]){1, 1}), TG_OK);
    const float *gp = tg_param_grad(p);
    const double *gq = tg_param_grad(q);
    cr_assert(gp[0] == 11 && gp[1] == 22 && gp[2] == 33);
    cr_assert(gq[0] == 1.5 && gq[1] == 1.25);
    cr_assert_eq(tg_param_version(p), 1, "a gradient is no change of the value");
    tg_params_drop_grads(ps);
    cr_assert_null(tg_param_grad(p));
    cr_assert_null(tg_param_grad(q));
    cr_assert_eq(tg_param_add_grad(p, (float[]){5, 6, 7}), TG_OK);
    cr_assert_eq(((const float *)tg_param_grad(p))[2], 7,
                 "nothing is left of the dropped gradient");
    cr_assert_eq(tg_param_add_grad(p, NULL), TG_ENULL);
    tg_params_free(ps);
}

Test(params, a_frozen_parameter_holds_no_gradient)
{
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *p = tg_param_new(ps, "w", TG_F32, TG_SHAPE(3), zeros);
    tg_param_add_grad(p, (float[]){1, 2, 3});
    cr_assert_eq(tg_param_set_trainable(p, false), TG_OK);
    cr_assert(!tg_param_trainable(p));
    cr_assert_null(tg_param_grad(p));
    cr_assert_eq(tg_param_add_grad(p, (float[]){1, 2, 3}), TG_ESTATE);
    cr_assert_null(tg_param_grad(p));
    tg_params_clear_error(ps);
    cr_assert_eq(tg_param_set_trainable(p, true), TG_OK);
    cr_assert_null(tg_param_grad(p), "it does not come back");
    cr_assert_eq(tg_param_add_grad(p, (float[]){1, 2, 3}), TG_OK);
    tg_params_free(ps);
}

Test(params, the_f64_copy_has_names_values_and_flags)
{
    tg_params *ps = seeded(3);
    tg_param_new(ps, "w", TG_F32, TG_SHAPE(4, 5), ((tg_init){TG_HE_NORMAL, 0, 0}));
    tg_param_new(ps, "b", TG_F64, TG_SHAPE(4), ((tg_init){TG_NORMAL, 0, 1}));
    tg_param_set_trainable(tg_params_get(ps, 1), false);
    tg_params *copy = tg_params_copy_f64(ps, NULL);
    cr_assert_eq(tg_params_count(copy), 2);
    for (int k = 0; k < 2; k++) {
        const tg_param *from = tg_param_of(tg_params_get(ps, k)),
                       *to = tg_param_of(tg_params_get(copy, k));
        cr_assert_str_eq(to->name, from->name);
        cr_assert_eq(to->dtype, TG_F64);
        cr_assert(tg_shape_equal(to->shape, from->shape));
        cr_assert_eq(to->trainable, from->trainable);
        cr_assert_neq(to->value, from->value);
        for (int64_t i = 0; i < to->count; i++)
            cr_assert_eq(value_of(tg_params_get(copy, k), i), value_of(tg_params_get(ps, k), i));
    }
    cr_assert_eq(tg_params_find(copy, "b"), tg_params_get(copy, 1));
    tg_params_free(ps);
    tg_params_free(copy);
}

/* ---------------------------------------------------------------- short memory */

/* A life of a set. false when memory was short somewhere; everything is released either way. */
static bool life(test_memory *m)
{
    const tg_allocator a = test_allocator(m);
    bool complete = false;
    tg_params *ps =
        tg_params_new(&(tg_params_options){.size = sizeof(tg_params_options), .allocator = &a});
    if (!ps) return false;
    for (int k = 0; k < 30; k++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", k);
        tg_tensor *p = tg_param_new(ps, name, k % 2 ? TG_F32 : TG_F64, TG_SHAPE(k, 2),
                                    ((tg_init){TG_UNIFORM, 0, 1}));
        const double grad[60] = {0};
        tg_param_add_grad(p, grad);
    }
    if (tg_params_status(ps) == TG_OK) {
        tg_params *copy = tg_params_copy_f64(ps, &a);
        complete = copy != NULL;
        tg_params_free(copy);
    } else {
        cr_assert_eq(tg_params_status(ps), TG_ENOMEM);
        cr_assert_not_null(strstr(tg_params_message(ps), "no memory"), "%s", tg_params_message(ps));
        const int before = tg_params_count(ps);
        m->fail_at = 0;
        tg_params_clear_error(ps);
        cr_assert_not_null(tg_param_new(ps, "afterwards", TG_F32, TG_SHAPE(3), zeros),
                           "the set is usable again");
        cr_assert_eq(tg_params_count(ps), before + 1);
        cr_assert_eq(tg_params_find(ps, "afterwards"), tg_params_get(ps, before));
    }
    tg_params_free(ps);
    return complete;
}

Test(params, short_memory_at_any_point_is_a_clean_error)
{
    bool complete = false;
    int failures = 0;
    for (long long fail_at = 1; !complete && fail_at < 10000; fail_at++) {
        test_memory m = {.fail_at = fail_at};
        complete = life(&m);
        failures += !complete;
        cr_assert_eq(atomic_load(&m.blocks), 0, "%lld blocks leaked when request %lld failed",
                     (long long)atomic_load(&m.blocks), fail_at);
        cr_assert_eq(atomic_load(&m.bytes), 0);
        cr_assert_eq(atomic_load(&m.wrong), 0);
    }
    cr_assert(complete);
    cr_assert(failures > 120, "only %d points of failure", failures);
}
