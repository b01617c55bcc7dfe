#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include <tapegrad/optim.h>

static tg_tensor *with_grad(tg_params *ps, const char *name, tg_dtype dtype, int64_t n,
                            const void *grad)
{
    tg_tensor *p = tg_param_new(ps, name, dtype, TG_SHAPE(n), (tg_init){TG_ZEROS, 0, 0});
    if (grad) cr_assert_eq(tg_param_add_grad(p, grad), TG_OK);
    return p;
}

/* 3-4-5 and 5-12-13 triangles: norm 13 over both parameters, dtypes mixed. */
Test(clip, scales_to_the_norm_over_all_parameters)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_tensor *a = with_grad(ps, "a", TG_F32, 2, (float[]){3, -4}),
                    *b = with_grad(ps, "b", TG_F64, 1, (double[]){12});
    const tg_tensor *none = with_grad(ps, "none", TG_F64, 1, NULL);
    cr_assert_eq(tg_clip_grad_norm(ps, 100), 13);
    cr_assert_eq(((const float *)tg_param_grad(a))[1], -4, "small enough: unchanged");
    cr_assert_eq(tg_clip_grad_norm(ps, 6.5), 13);
    const double factor = 6.5 / (13 + 1e-6);
    cr_assert_float_eq(((const float *)tg_param_grad(a))[0], 3 * factor, 1e-6);
    cr_assert_float_eq(((const float *)tg_param_grad(a))[1], -4 * factor, 1e-6);
    cr_assert_float_eq(*(const double *)tg_param_grad(b), 12 * factor, 1e-14);
    cr_assert_null(tg_param_grad(none));
    cr_assert_float_eq(tg_clip_grad_norm(ps, 0), 6.5, 1e-6);
    cr_assert_eq(*(const double *)tg_param_grad(b), 0);
    cr_assert_eq(tg_clip_grad_norm(ps, 1), 0, "all zero");
    tg_params_free(ps);
}

/* A running sum in f32 would be off by percents here; the pairwise one is within a few roundings of
 * the exact 0.1f sqrt(n). */
Test(clip, the_norm_of_very_many_elements_is_accurate)
{
    enum { N = 3000001 };
    float *g = malloc(N * sizeof *g);
    tg_params *ps = tg_params_new(NULL);
    for (int i = 0; i < N; i++) g[i] = 0.1f;
    with_grad(ps, "a", TG_F32, N, g);
    const double expected = (double)0.1f * sqrt(N);
    cr_assert_float_eq(tg_clip_grad_norm(ps, 1e9), expected, 1e-14 * expected);
    free(g);
    tg_params_free(ps);
}

/* Squares of these are 0 or infinite. */
Test(clip, the_norm_of_very_small_and_very_large_elements)
{
    const double sizes[] = {1e-200, 1e200, 5e-324, 3e307, 1e-30};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        tg_params *ps = tg_params_new(NULL);
        with_grad(ps, "a", TG_F64, 2, (double[]){3 * sizes[k], 0});
        const tg_tensor *b = with_grad(ps, "b", TG_F64, 1, (double[]){-4 * sizes[k]});
        const double norm = tg_clip_grad_norm(ps, sizes[k]);
        cr_expect(fabs(norm / sizes[k] - 5) < 1e-12, "%g: %g", sizes[k], norm);
        if (sizes[k] > 1)
            cr_expect(fabs(*(const double *)tg_param_grad(b) / sizes[k] + .8) < 1e-12, "%g",
                      sizes[k]);
        tg_params_free(ps);
    }
    const float sizes_f32[] = {1e-30f, 1e30f};
    for (int k = 0; k < 2; k++) {
        tg_params *ps = tg_params_new(NULL);
        with_grad(ps, "a", TG_F32, 2, (float[]){3 * sizes_f32[k], 4 * sizes_f32[k]});
        cr_expect(fabs(tg_clip_grad_norm(ps, 1e38) / (double)sizes_f32[k] - 5) < 1e-5);
        tg_params_free(ps);
    }
}

Test(clip, every_element_counts)
{
    const int64_t lengths[] = {1, 2, 15, 16, 17, 1023, 1024, 1025, 5000};
    double ones[5000];
    for (int i = 0; i < 5000; i++) ones[i] = 1;
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        tg_params *ps = tg_params_new(NULL);
        with_grad(ps, "a", TG_F64, lengths[k], ones);
        with_grad(ps, "b", TG_F64, lengths[k], ones);
        cr_assert_eq(tg_clip_grad_norm(ps, 1e9), sqrt(2 * (double)lengths[k]));
        tg_params_free(ps);
    }
}

Test(clip, a_norm_that_is_not_finite_changes_nothing)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_tensor *a = with_grad(ps, "a", TG_F64, 2, (double[]){INFINITY, 3});
    cr_assert_eq(tg_clip_grad_norm(ps, 1), INFINITY);
    cr_assert_eq(((const double *)tg_param_grad(a))[1], 3);
    with_grad(ps, "b", TG_F64, 1, (double[]){NAN});
    cr_assert(isnan(tg_clip_grad_norm(ps, 1)));
    cr_assert_eq(((const double *)tg_param_grad(a))[1], 3);
    cr_assert_eq(tg_params_status(ps), TG_OK);
    tg_params_free(ps);
}

Test(clip, limits_values_and_leaves_nan)
{
    tg_params *ps = tg_params_new(NULL);
    const tg_tensor *a = with_grad(ps, "a", TG_F32, 6, (float[]){-INFINITY, -2, -1, 0.5f, NAN, 7});
    const tg_tensor *b = with_grad(ps, "b", TG_F64, 3, (double[]){-2, 0.5, INFINITY});
    cr_assert_eq(tg_clip_grad_value(ps, 1), TG_OK);
    const float *ga = tg_param_grad(a);
    const double *gb = tg_param_grad(b);
    cr_assert(ga[0] == -1 && ga[1] == -1 && ga[2] == -1 && ga[3] == 0.5f && isnan(ga[4]) &&
              ga[5] == 1);
    cr_assert(gb[0] == -1 && gb[1] == 0.5 && gb[2] == 1);
    cr_assert_eq(tg_clip_grad_value(ps, INFINITY), TG_OK);
    tg_params_free(ps);
}

Test(clip, limits_out_of_range_stick_to_the_parameters)
{
    const double bad[] = {-1, NAN, INFINITY};
    for (int k = 0; k < 3; k++) {
        tg_params *ps = tg_params_new(NULL);
        const tg_tensor *a = with_grad(ps, "a", TG_F64, 1, (double[]){5});
        cr_assert(isnan(tg_clip_grad_norm(ps, bad[k])));
        cr_assert_eq(tg_params_status(ps), TG_EVALUE);
        cr_assert_eq(tg_clip_grad_value(ps, 1), TG_EVALUE);
        tg_params_clear_error(ps);
        cr_assert_eq(tg_clip_grad_value(ps, bad[k]), k < 2 ? TG_EVALUE : TG_OK);
        cr_assert_eq(*(const double *)tg_param_grad(a), 5);
        tg_params_free(ps);
    }
    cr_assert(isnan(tg_clip_grad_norm(NULL, 1)));
    cr_assert_eq(tg_clip_grad_value(NULL, 1), TG_ENOMEM);
}
