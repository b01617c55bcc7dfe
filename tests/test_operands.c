/* Operands that are not the tape's, sizes that fit no memory, and what messages say of the
 * commonest mistakes. */
#include "errors.h"
#include <limits.h>
#include <math.h>
#include <tapegrad/models.h>

/* ------------------------------------------------------ functions that may return their operand */

typedef tg_tensor *(*give_back)(tg_tape *t, tg_tensor *x);
#define GIVES(name, expression) \
    static tg_tensor *name(tg_tape *t, tg_tensor *x) { return expression; }
GIVES(no_dropout, tg_dropout(t, x, 0))
GIVES(same_cast, tg_cast(t, x, TG_F64))
GIVES(no_sum, tg_sum(t, x, tg_axes_of(0, NULL), false))
GIVES(no_mean, tg_mean(t, x, tg_axes_of(0, NULL), true))
GIVES(no_max, tg_max(t, x, tg_axes_of(0, NULL), false))
GIVES(no_prod, tg_prod(t, x, tg_axes_of(0, NULL), false))
GIVES(identity, tg_activation(t, "identity", x))
GIVES(far_axis, tg_softmax(t, x, INT_MIN))
GIVES(all_axes, tg_sum(t, x, TG_ALL_AXES, false))
GIVES(no_row, tg_index_select(t, x, INT_MIN, x))
GIVES(jacobian, tg_jacobian(t, x, x))

static const give_back giving[] = {no_dropout, same_cast, no_sum,   no_mean, no_max,  no_prod,
                                   identity,   far_axis,  all_axes, no_row,  jacobian};
enum { GIVING = sizeof giving / sizeof giving[0], GIVE_BACK = 7 };

static void refuses(tg_tape *t, tg_tensor *x, tg_status status, const char *text)
{
    for (int training = 0; training < 2; training++)
        for (int k = 0; k < GIVING; k++) {
            tg_tape_set_training(t, training != 0);
            cr_expect_null(giving[k](t, x), "function %d", k);
            cr_expect_eq(tg_tape_status(t), status, "function %d: %s", k, tg_tape_message(t));
            cr_expect(strstr(tg_tape_message(t), text), "function %d: %s", k, tg_tape_message(t));
            tg_tape_clear_error(t);
        }
}

Test(operands, what_is_given_back_is_checked_first)
{
    tg_tape *t = tg_tape_new(NULL), *other = tg_tape_new(NULL);
    tg_tensor *x = operand(t, TG_F64, TG_SHAPE(0)), *old = NULL;
    for (int k = 0; k < GIVE_BACK; k++) cr_expect_eq(giving[k](t, x), x, "function %d", k);
    refuses(t, NULL, TG_ENULL, "an operand is NULL");
    refuses(t, operand(other, TG_F64, TG_SHAPE(0)), TG_ETAPE, "another tape");
    for (int k = 0; k < 99; k++) old = operand(t, TG_F64, TG_SHAPE(0));
    tg_tape_reset(t);
    refuses(t, old, TG_ETAPE, "the previous recording");
    tg_tape_free(t);
    tg_tape_free(other);
}

/* ---------------------------------------------------------------- sizes */

#define REFUSED(status, text, ...)                                                               \
    do {                                                                                         \
        cr_expect_null((tg_data)(t, __VA_ARGS__), "%s", #__VA_ARGS__);                           \
        cr_expect_eq(tg_tape_status(t), status, "%s: %s", #__VA_ARGS__, tg_tape_message(t));     \
        cr_expect(strstr(tg_tape_message(t), text), "%s: %s", #__VA_ARGS__, tg_tape_message(t)); \
        tg_tape_clear_error(t);                                                                  \
        tg_tape_reset(t);                                                                        \
        x = tg_input(t, TG_F32, TG_SHAPE(1, 1), &one);                                           \
        z = tg_input(t, TG_F64, TG_SHAPE(1), &two);                                              \
    } while (0)

/* Their bytes, as 64-bit products, are 0 or a few: what is computed into so much would be computed
 * into nothing. */
Test(operands, sizes_whose_bytes_wrap_are_refused)
{
    const float one = 1;
    const double two = 2;
    const int64_t at = 0, B = INT64_C(1) << 31, wide = INT64_C(1) << 56, half = INT64_C(1) << 28;
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *x = tg_input(t, TG_F32, TG_SHAPE(1, 1), &one),
              *z = tg_input(t, TG_F64, TG_SHAPE(1), &two);
    REFUSED(TG_ESHAPE, "beyond any memory", tg_expand(t, x, TG_SHAPE(B, B)));
    REFUSED(TG_ESHAPE, "beyond any memory", tg_exp(t, tg_expand(t, z, TG_SHAPE(B * B / 2))));
    REFUSED(TG_ESHAPE, "beyond any memory",
            tg_add(t, tg_expand(t, x, TG_SHAPE(B, 1)), tg_expand(t, x, TG_SHAPE(1, B))));
    REFUSED(TG_ESHAPE, "beyond any memory",
            tg_matmul(t, tg_expand(t, x, TG_SHAPE(B, 1)), tg_expand(t, x, TG_SHAPE(1, B))));
    REFUSED(TG_ESHAPE, "beyond any memory",
            tg_one_hot(t, tg_input(t, TG_I64, TG_SHAPE(1), &at), B * B / 2, TG_F64));
    REFUSED(TG_ESHAPE, "beyond any memory", tg_input_borrow(t, TG_F64, TG_SHAPE(B * B / 2), &two));
    REFUSED(TG_ESHAPE, "beyond any memory", tg_input(t, TG_F64, TG_SHAPE(B * B / 2), &two));
    REFUSED(TG_ESHAPE, "beyond any memory", tg_pad(t, z, TG_SHAPE(wide), TG_SHAPE(wide), 0));
    REFUSED(
        TG_ESHAPE, "beyond any memory",
        tg_concat(t, 2,
                  (tg_tensor *[]){tg_expand(t, z, TG_SHAPE(wide)), tg_expand(t, z, TG_SHAPE(wide))},
                  0));
    REFUSED(TG_ESHAPE, "too large a shape",
            tg_jacobian(t, tg_exp(t, tg_expand(t, x, TG_SHAPE(B, 1))), x));
    REFUSED(
        TG_ESHAPE, "too large a shape",
        tg_jacobian(t, tg_expand(t, x, TG_SHAPE(4, 1)), tg_expand(t, x, TG_SHAPE(half, half, 1))));
    /* scratch memory: gathered pixels of 2^56 taps, tiles of 64 keys of 2^56 elements */
    REFUSED(TG_ENOMEM, "",
            tg_conv2d(t, tg_expand(t, x, TG_SHAPE(1, 1, half, half)),
                      tg_expand(t, x, TG_SHAPE(1, 1, half, half)), NULL, (tg_conv){0}));
    REFUSED(TG_ENOMEM, "",
            tg_attention(t, tg_expand(t, x, TG_SHAPE(1, wide)), tg_expand(t, x, TG_SHAPE(1, wide)),
                         x, NULL, false));
    /* no value wraps, but their sum: 70 times 2^58 bytes */
    tg_tensor *sum = NULL, *value[70];
    for (int k = 0; k < 70; k++)
        value[k] = tg_softmax(t, tg_scale(t, tg_expand(t, x, TG_SHAPE(half, half)), k), 0);
    for (int k = 0; k < 70; k++) sum = sum ? tg_add(t, tg_softmax(t, value[k], 1), sum) : value[k];
    REFUSED(TG_ENOMEM, "", tg_sum(t, sum, TG_ALL_AXES, false));
    tg_tape_free(t);
}

/* ---------------------------------------------------------------- messages */

#define SAYS(status, text, ...)                                                   \
    do {                                                                          \
        cr_expect_null((tg_data)(t, __VA_ARGS__), "%s", #__VA_ARGS__);            \
        cr_expect_eq(tg_tape_status(t), status, "%s", tg_tape_message(t));        \
        cr_expect(strstr(tg_tape_message(t), text), "\"%s\" does not say \"%s\"", \
                  tg_tape_message(t), text);                                      \
        tg_tape_clear_error(t);                                                   \
    } while (0)

Test(operands, the_commonest_mistakes_are_explained)
{
    tg_tape *t = tg_tape_new(NULL);
    const tg_dtype f = TG_F32;
    tg_tensor *x = operand(t, f, TG_SHAPE(2, 3)), *words = operand(t, f, TG_SHAPE(2, 5, 3)),
              *image = operand(t, f, TG_SHAPE(3, 8, 8)), *w = operand(t, f, TG_SHAPE(4, 3, 3, 3));
    tg_tensor *bytes = operand(t, TG_U8, TG_SHAPE(4)), *labels = operand(t, TG_I64, TG_SHAPE(2)),
              *of_words = operand(t, TG_I64, TG_SHAPE(2, 5)),
              *empty = operand(t, f, TG_SHAPE(2, 0));
    SAYS(TG_EDTYPE,
         "cross_entropy_loss: labels must be i64 class numbers, or probabilities of the logits' "
         "shape [2,3], not f32 [2]",
         tg_cross_entropy(t, x, operand(t, f, TG_SHAPE(2))));
    SAYS(TG_ESHAPE, "the classes of a prediction stand on axis 1",
         tg_cross_entropy(t, words, of_words));
    SAYS(TG_EDTYPE, "the prediction [2] is i64 and the target [2,3] is f32: are they exchanged?",
         tg_cross_entropy(t, labels, x));
    SAYS(TG_ESHAPE, "conv2d: x [3,8,8] has no axis of images",
         tg_conv2d(t, image, w, NULL, (tg_conv){0}));
    SAYS(TG_ESHAPE, "max_pool2d: x [3,8,8] has no axis of images",
         tg_max_pool2d(t, image, (tg_pool){.kernel = {2, 2}}));
    SAYS(TG_ESHAPE, "reshape: an impossible shape: two sizes are -1",
         tg_reshape(t, x, TG_SHAPE(-1, -1)));
    SAYS(TG_ESHAPE, "reshape: an impossible shape: 9 dimensions, of 0 to 8",
         tg_reshape(t, x, tg_shape_of(9, (int64_t[9]){6})));
    SAYS(TG_ESHAPE, "reshape: an impossible shape: size -3 of axis 1 is negative",
         tg_reshape(t, x, TG_SHAPE(2, -3)));
    SAYS(TG_ESHAPE, "expand: an impossible shape: size -1 of axis 0 is negative",
         tg_expand(t, x, TG_SHAPE(-1, 3)));
    SAYS(TG_ESHAPE, "an impossible shape: 12 dimensions",
         tg_input(t, f, (tg_shape){.ndim = 12}, &f));
    SAYS(TG_EDTYPE, "mean: not defined for u8: tg_cast makes f32 or f64 of it",
         tg_mean(t, bytes, TG_ALL_AXES, false));
    SAYS(TG_ESHAPE, "norm: nothing to choose from: axis 1 of [2,0] is empty",
         tg_norm(t, empty, INFINITY, TG_AXES(1), false));
    SAYS(TG_ESHAPE, "max_along: nothing to choose from: axis 1 of [2,0] is empty",
         tg_max_along(t, empty, 1, false));
    SAYS(TG_ESHAPE, "hessian: y [2,3] has not one element", tg_hessian(t, tg_exp(t, x), x));
    SAYS(TG_EDTYPE, "safe_where: ", tg_safe_where(t, x, x, 1));
    tg_tape_free(t);
}

/* ---------------------------------------------------------- arrays and structs written in place */

Test(operands, arrays_are_written_in_place)
{
    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *a = operand(t, TG_F64, (tg_shape){2, {2, 3}}), *b = tg_exp(t, a), *g = NULL;
    cr_expect_not_null(tg_concat(t, 2, (tg_tensor *[]){a, b}, 0));
    cr_expect_not_null(tg_stack(t, 2, (tg_tensor *[]){a, b}, 0));
    cr_expect_not_null(tg_input(t, TG_F64, (tg_shape){1, {2}}, ((const double[]){1, 2})));
    cr_expect_not_null(tg_reshape(t, a, (tg_shape){2, {3, 2}}));
    cr_expect_not_null(tg_expand(t, a, (tg_shape){3, {4, 2, 3}}));
    cr_expect_not_null(tg_sum(t, a, (tg_axes){2, {0, 1}}, false));
    cr_expect_not_null(tg_norm(t, a, 2, (tg_axes){2, {0, 1}}, false));
    cr_expect_not_null(tg_permute(t, a, (tg_axes){2, {1, 0}}));
    cr_expect_not_null(tg_pad(t, a, (tg_shape){2, {1, 0}}, (tg_shape){2, {0, 1}}, 0));
    cr_expect_eq(tg_eval(t, 2, (tg_tensor *[]){a, b}), TG_OK);
    tg_tensor *y = tg_sum(t, b, TG_ALL_AXES, false);
    cr_expect_eq(tg_grad(t, y, NULL, 1, (tg_tensor *[]){a}, &g, false), TG_OK);
    cr_expect_not_null(tg_jvp(t, y, 1, (tg_tensor *[]){a}, (tg_tensor *[]){b}));
    cr_expect_eq(tg_tape_status(t), TG_OK, "%s", tg_tape_message(t));
    tg_tape_free(t);
}

/* ---------------------------------------------------- ops compiled with older headers */

static void twice_block(const tg_span *s, void *y, const void *const *x)
{
    for (int64_t i = 0; i < s->n; i++) ((double *)y)[i] = 2 * ((const double *)x[0])[i];
}

/* A header with two dtypes and one instruction set, and a tg_op that ended before its vjp. */
static const tg_span_fn twice_of[2][1] = {{NULL}, {twice_block}};
static const tg_spans twice_span = {
    .size = sizeof(tg_spans), .dtypes = 2, .builds = 1, .of = twice_of[0]};
static void no_vjp(TG_VJP) { gx[0] = tg_neg(t, gy); }
static const tg_op twice = {
    .size = offsetof(tg_op, vjp), .name = "twice", .n_in = 1, .span = &twice_span, .vjp = no_vjp};

Test(operands, an_op_compiled_with_an_older_header_runs)
{
    for (tg_isa isa = TG_ISA_AUTO; isa <= TG_ISA_AVX512; isa++) {
        tg_tape *t = tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .isa = isa});
        for (int k = 0; k < 3; k++) {
            tg_tensor *x = operand(t, TG_F64, TG_SHAPE(70)), *gx,
                      *y = tg_sum(t, tg_apply(t, &twice, 1, &x, 0, NULL), TG_ALL_AXES, false);
            const double *data = tg_data(t, x);
            double sum = 0;
            for (int i = 0; i < 70; i++) sum += 2 * data[i];
            cr_expect_eq(tg_item(t, y), sum);
            cr_expect_eq(tg_grad(t, y, NULL, 1, &x, &gx, false), TG_ENOGRAD, "what lies behind it");
            tg_tape_clear_error(t);
            for (tg_dtype other = TG_F32; other < TG_DTYPE_COUNT; other++) {
                if (other == TG_F64) continue;
                x = operand(t, other, TG_SHAPE(3));
                cr_expect_null(tg_apply(t, &twice, 1, &x, 0, NULL));
                cr_expect_fails(t, TG_EDTYPE, __LINE__ - 1, "%s", tg_dtype_name(other));
                tg_tape_clear_error(t);
            }
            tg_tape_reset(t);
        }
        tg_tape_free(t);
    }
}
