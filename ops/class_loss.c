/* Losses over classes: focal, of margins between several, and of label sequences without times. */
#include "loss.h"
#include <inttypes.h>
#include <math.h>

#ifndef TG_SAMPLES

/* 1 - the probability of what is so, as a mixture that does not cancel. */
tg_tensor *tg_sigmoid_focal_loss_at(tg_tape *t, const char *where, tg_tensor *z, tg_tensor *target,
                                    double alpha, double gamma, tg_reduction reduction)
{
    const char *const name = "sigmoid_focal_loss";
    if (!tg_loss_fits(t, where, name, z, target)) return NULL;
    if (!(gamma >= 0) || !(alpha <= 1))
        return tg_fail_at(t, where, TG_EVALUE, "%s: alpha = %g is above 1 or gamma = %g below 0",
                          name, alpha, gamma);
    tg_tensor *rest = tg_offset(t, tg_neg(t, target), 1);
    tg_tensor *wrong = tg_add(t, tg_mul(t, target, tg_sigmoid(t, tg_neg(t, z))),
                              tg_mul(t, rest, tg_sigmoid(t, z)));
    tg_tensor *y = tg_bce_with_logits_loss(t, z, target, NULL, TG_REDUCE_NONE);
    if (gamma > 0) y = tg_mul(t, y, tg_pow(t, wrong, tg_constant_like(t, z, gamma)));
    if (alpha >= 0)
        y = tg_mul(t, y, tg_add(t, tg_scale(t, target, alpha), tg_scale(t, rest, 1 - alpha)));
    return tg_loss_reduce(t, where, name, y, reduction);
}

tg_tensor *tg_multi_margin_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                                   double margin, bool squared, tg_reduction reduction)
{
    const char *const name = "multi_margin_loss";
    if (!tg_ready_float(t, where, name, x) || !tg_ready(t, where, name, target)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    if (s.ndim != 2 || s.dim[1] < 1 || !tg_shape_equal(tg_tensor_shape(target), TG_SHAPE(s.dim[0])))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: x %s is not [n, c] with classes [n], %s", name,
                          tg_shape_text(s).text, tg_shape_text(tg_tensor_shape(target)).text);
    tg_tensor *own = tg_gather(t, x, 1, tg_unsqueeze(t, target, 1)),
              *others =
                  tg_equal(t, tg_one_hot(t, target, s.dim[1], TG_U8), tg_constant(t, TG_U8, 0));
    tg_tensor *y = tg_relu(t, tg_offset(t, tg_sub(t, x, own), margin));
    if (squared) y = tg_square(t, y);
    y = tg_where(t, others, y, tg_constant_like(t, x, 0));
    return tg_loss_reduce(t, where, name, tg_mean(t, y, TG_AXES(1), false), reduction);
}

tg_tensor *tg_multilabel_soft_margin_loss_at(tg_tape *t, const char *where, tg_tensor *z,
                                             tg_tensor *target, tg_tensor *class_weights,
                                             tg_reduction reduction)
{
    const char *const name = "multilabel_soft_margin_loss";
    if (!tg_loss_fits(t, where, name, z, target)) return NULL;
    const tg_shape s = tg_tensor_shape(z);
    if (class_weights && !tg_ready_float(t, where, name, class_weights)) return NULL;
    if (s.ndim < 1 || (class_weights && !tg_shape_equal(tg_tensor_shape(class_weights),
                                                        TG_SHAPE(s.dim[s.ndim - 1]))))
        return tg_fail_at(t, where, TG_ESHAPE, "%s: z %s is not [..., c] with weights [c], %s",
                          name, tg_shape_text(s).text,
                          tg_shape_text(tg_tensor_shape(class_weights)).text);
    tg_tensor *y = tg_bce_with_logits_loss(t, z, target, NULL, TG_REDUCE_NONE);
    if (class_weights) y = tg_mul(t, y, class_weights);
    return tg_loss_reduce(t, where, name, tg_mean(t, y, TG_AXES(-1), false), reduction);
}

/* ---------------------------------------------------------------- ctc_loss
 *
 * Graves et al. 2006. With blanks around the labels of a row the states are blank, label, blank,
 * ... blank; alpha is the logarithm of the probability of being in each after so many times. A
 * finite number far below stands for the logarithm of 0, so that no difference is NaN. */

static const double never = -1e30;

static bool ctc_fits(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                     tg_tensor *times, tg_tensor *lengths, int64_t blank)
{
    const char *const name = "ctc_loss";
    if (!tg_ready_float(t, where, name, x) || !tg_ready(t, where, name, target) ||
        !tg_ready(t, where, name, times) || !tg_ready(t, where, name, lengths))
        return false;
    const tg_shape s = tg_tensor_shape(x), labels = tg_tensor_shape(target);
    const tg_shape rows = TG_SHAPE(s.ndim == 3 ? s.dim[1] : 0);
    if (s.ndim != 3 || s.dim[0] < 1 || labels.ndim != 2 || labels.dim[0] != rows.dim[0] ||
        !tg_shape_equal(tg_tensor_shape(times), rows) ||
        !tg_shape_equal(tg_tensor_shape(lengths), rows))
        tg_fail_at(t, where, TG_ESHAPE,
                   "%s: x %s, labels %s, times %s and lengths %s are not [t, n, c], [n, s], [n] "
                   "and [n]",
                   name, tg_shape_text(s).text, tg_shape_text(labels).text,
                   tg_shape_text(tg_tensor_shape(times)).text,
                   tg_shape_text(tg_tensor_shape(lengths)).text);
    else if (blank < 0 || blank >= s.dim[2])
        tg_fail_at(t, where, TG_EVALUE, "%s: a blank of %" PRId64 ", but %" PRId64 " classes", name,
                   blank, s.dim[2]);
    else if (tg_tensor_dtype(target) != TG_I64 || tg_tensor_dtype(times) != TG_I64 ||
             tg_tensor_dtype(lengths) != TG_I64)
        tg_fail_at(t, where, TG_EDTYPE, "%s: labels, times and lengths are i64", name);
    return tg_tape_status(t) == TG_OK;
}

/* The states moved on by some places, those that come in being `never`. */
static tg_tensor *from_before(tg_tape *t, const char *where, tg_tensor *alpha, int64_t places)
{
    const tg_shape s = tg_tensor_shape(alpha);
    if (places > s.dim[1]) places = s.dim[1];
    tg_tensor *in = tg_expand(t, tg_constant_like(t, alpha, never), TG_SHAPE(s.dim[0], places));
    return tg_concat(t, 2, ((tg_tensor *[]){in, tg_slice(t, alpha, 1, 0, s.dim[1] - places, 1)}),
                     1);
}

tg_tensor *tg_ctc_loss_at(tg_tape *t, const char *where, tg_tensor *x, tg_tensor *target,
                          tg_tensor *times, tg_tensor *lengths, int64_t blank,
                          tg_reduction reduction)
{
    if (!ctc_fits(t, where, x, target, times, lengths, blank)) return NULL;
    const tg_shape s = tg_tensor_shape(x);
    const int64_t n = s.dim[1], labels = tg_tensor_shape(target).dim[1], states = 2 * labels + 1;
    tg_tensor *pause = tg_constant(t, TG_I64, (double)blank),
              *pauses = tg_expand(t, pause, tg_tensor_shape(target)),
              *last = tg_expand(t, pause, TG_SHAPE(n, 1));
    tg_tensor *between = tg_reshape(t, tg_stack(t, 2, ((tg_tensor *[]){pauses, target}), -1),
                                    TG_SHAPE(n, 2 * labels));
    tg_tensor *state = tg_concat(t, 2, ((tg_tensor *[]){between, last}), 1);
    tg_tensor *p = tg_gather(t, x, 2, tg_expand(t, state, TG_SHAPE(s.dim[0], n, states)));
    /* a label may follow another directly, but not itself */
    tg_tensor *none = tg_constant_like(t, x, never), *skips = NULL;
    if (labels > 1) {
        tg_tensor *open = tg_expand(t, tg_constant(t, TG_U8, 0), TG_SHAPE(n, 2)),
                  *later = tg_slice(t, state, 1, 2, states, 1);
        tg_tensor *differ =
            tg_logical_and(t, tg_not_equal(t, later, pause),
                           tg_not_equal(t, later, tg_slice(t, state, 1, 0, states - 2, 1)));
        skips = tg_concat(t, 2, ((tg_tensor *[]){open, differ}), 1);
    }
    const int64_t first = labels > 0 ? 2 : 1;
    tg_tensor *starts[] = {tg_slice(t, tg_select(t, p, 0, 0), 1, 0, first, 1),
                           tg_expand(t, none, TG_SHAPE(n, states - first))};
    tg_tensor *alpha = tg_concat(t, 2, starts, 1);
    for (int64_t i = 1; i < s.dim[0] && alpha; i++) {
        tg_tensor *next = tg_logaddexp(t, alpha, from_before(t, where, alpha, 1));
        if (skips)
            next = tg_logaddexp(t, next, tg_where(t, skips, from_before(t, where, alpha, 2), none));
        tg_tensor *goes_on = tg_greater(t, times, tg_constant(t, TG_I64, (double)i));
        alpha =
            tg_where(t, tg_unsqueeze(t, goes_on, 1), tg_add(t, next, tg_select(t, p, 0, i)), alpha);
    }
    /* at the end in the last label or in the blank behind it */
    tg_tensor *zero = tg_constant(t, TG_I64, 0), *one = tg_constant(t, TG_I64, 1);
    tg_tensor *blank_end = tg_unsqueeze(t, tg_add(t, lengths, lengths), 1),
              *some = tg_greater(t, blank_end, zero),
              *label_end = tg_where(t, some, tg_sub(t, blank_end, one), zero);
    tg_tensor *by_label = tg_where(t, some, tg_gather(t, alpha, 1, label_end), none);
    tg_tensor *y =
        tg_neg(t, tg_squeeze(t, tg_logaddexp(t, tg_gather(t, alpha, 1, blank_end), by_label), 1));
    tg_tensor *possible = tg_less(t, y, tg_constant_like(t, y, -never / 2));
    y = tg_where(t, possible, y, tg_constant_like(t, y, (double)INFINITY));
    if (reduction == TG_REDUCE_MEAN)
        y = tg_div(
            t, y,
            tg_cast(t, tg_where(t, tg_greater(t, lengths, one), lengths, one), tg_dtype_on(t, x)));
    return tg_loss_reduce(t, where, "ctc_loss", y, reduction);
}

KNOWN(sigmoid_focal_loss, "[...], target [...] -> [] or [...]", -1,
      ("alpha_t (1 - p_t)^gamma (-ln p_t), p_t = p for target 1, 1 - p for 0, p = sigmoid(z)"))
KNOWN(multilabel_soft_margin_loss, "[..., c], target alike, [c] -> [] or [...]", -1,
      ("mean over c of w (t softplus(-z) + (1 - t) softplus(z))"))
KNOWN(multi_margin_loss, "[n, c], i64 [n] -> [] or [n]", -1,
      ("sum of max(margin - x[target] + x[j], 0) over j other than target, / c",
       .kinks = "at the margin"))
KNOWN(ctc_loss, "[t, n, c], i64 [n, s], [n], [n] -> [] or [n]", -1,
      ("-ln of the sum of the probabilities of all alignments of the labels"))

#else

#define IN(k) ((const double *)x[k].data)
#define OUT ((double *)y->data)
static double focal(double z, double target, double alpha, double gamma)
{
    const double p = 1 / (1 + exp(-z)), of_target = p * target + (1 - p) * (1 - target);
    const double entropy = -target * log(p) - (1 - target) * log(1 - p);
    return (alpha * target + (1 - alpha) * (1 - target)) * pow(1 - of_target, gamma) * entropy;
}
CALL(focal, tg_sigmoid_focal_loss(t, x[0], x[1], 0.25, 2, TG_REDUCE_NONE))
EXPECT_ALIKE(focal, focal(a, b, 0.25, 2))
CALL(unweighted, tg_sigmoid_focal_loss(t, x[0], x[1], -1, 0.5, TG_REDUCE_NONE))
EXPECT_ALIKE(unweighted, 2 * focal(a, b, 0.5, 0.5))
SAMPLES(sigmoid_focal_loss, SAMPLE(focal, "", 0, REALS(-2, 2, 2, 3), REALS(0, 1, 2, 3)),
        SAMPLE(unweighted, "no alpha", 0, REALS(-2, 2, 5), REALS(0, 1, 5)))

static double labels(const tg_array *x, int64_t row, bool weighted)
{
    const int64_t c = x->shape.dim[1];
    double sum = 0;
    for (int64_t j = 0; j < c; j++) {
        const double z = IN(0)[row * c + j], w = IN(1)[row * c + j];
        sum += (weighted ? IN(2)[j] : 1) * (w * log(1 + exp(-z)) + (1 - w) * log(1 + exp(z)));
    }
    return sum / (double)c;
}
CALL(labels, tg_multilabel_soft_margin_loss(t, x[0], x[1], NULL, TG_REDUCE_NONE))
EXPECT(labels, for (int64_t i = 0; i < y->shape.dim[0]; i++) OUT[i] = labels(x, i, false))
CALL_WITHOUT(weighted_labels, 1 << 2,
             tg_multilabel_soft_margin_loss(t, x[0], x[1], x[2], TG_REDUCE_SUM))
EXPECT(weighted_labels, OUT[0] = 0;
       for (int64_t i = 0; i < x->shape.dim[0]; i++) OUT[0] += labels(x, i, true))
SAMPLES(multilabel_soft_margin_loss, SAMPLE(labels, "", 0, REALS(-2, 2, 3, 4), REALS(0, 1, 3, 4)),
        SAMPLE(weighted_labels, "weighted", 0, REALS(-2, 2, 3, 4), REALS(0, 1, 3, 4),
               REALS(0.5, 2, 4)))

static double margins(const tg_array *x, int64_t row, double power)
{
    const int64_t c = x->shape.dim[1], own = (int64_t)IN(1)[row];
    double sum = 0;
    for (int64_t j = 0; j < c; j++)
        if (j != own) sum += pow(fmax(5 - IN(0)[row * c + own] + IN(0)[row * c + j], 0), power);
    return sum / (double)c;
}
CALL(margins, tg_multi_margin_loss(t, x[0], x[1], 5, false, TG_REDUCE_NONE))
EXPECT(margins, for (int64_t i = 0; i < y->shape.dim[0]; i++) OUT[i] = margins(x, i, 1))
CALL(squares, tg_multi_margin_loss(t, x[0], x[1], 5, true, TG_REDUCE_SUM))
EXPECT(squares, OUT[0] = 0;
       for (int64_t i = 0; i < x->shape.dim[0]; i++) OUT[0] += margins(x, i, 2))
SAMPLES(multi_margin_loss, SAMPLE(margins, "", 0, REALS(-2, 2, 3, 4), INTEGERS(0, 3, 3)),
        SAMPLE(squares, "squared", 0, REALS(-2, 2, 3, 4), INTEGERS(0, 3, 3)))

/* All paths through the times, one by one: those that read the labels count. */
static double probability(const tg_array *x, int64_t row, int64_t times, int64_t length)
{
    enum { C = 3 };
    const int64_t n = x->shape.dim[1], most = x[1].shape.dim[1];
    double sum = 0;
    int64_t paths = 1;
    for (int64_t i = 0; i < times; i++) paths *= C;
    for (int64_t path = 0; path < paths; path++) {
        int64_t rest = path, before = 0, read = 0;
        double log_p = 0;
        bool good = true;
        for (int64_t i = 0; i < times; i++, rest /= C) {
            const int64_t class = rest % C;
            log_p += IN(0)[(i * n + row) * C + class];
            if (class != 0 && class != before) {
                good = good && read < length && (int64_t)IN(1)[row * most + read] == class;
                read++;
            }
            before = class;
        }
        if (good && read == length) sum += exp(log_p);
    }
    return sum;
}
CALL(ctc, tg_ctc_loss(t, x[0], x[1], x[2], x[3], 0, TG_REDUCE_NONE))
EXPECT(ctc, for (int64_t i = 0; i < y->shape.dim[0]; i++)
                OUT[i] = -log(probability(x, i, (int64_t)IN(2)[i], (int64_t)IN(3)[i])))
CALL(ctc_mean, tg_ctc_loss(t, x[0], x[1], x[2], x[3], 0, TG_REDUCE_MEAN))
EXPECT(ctc_mean, OUT[0] = 0; for (int64_t i = 0; i < x->shape.dim[1]; i++) OUT[0] -=
                             log(probability(x, i, (int64_t)IN(2)[i], (int64_t)IN(3)[i])) /
                             fmax(IN(3)[i], 1) / (double)x->shape.dim[1])
SAMPLES(ctc_loss,
        SAMPLE(ctc, "each", 0, REALS(-2, 0, 5, 2, 3), INTEGERS(1, 2, 2, 2), INTEGERS(4, 5, 2),
               INTEGERS(0, 2, 2)),
        SAMPLE(ctc_mean, "mean", TG_NOT_SMOOTH, REALS(-2, 0, 6, 4, 3), INTEGERS(1, 2, 4, 2),
               INTEGERS(4, 6, 4), INTEGERS(0, 2, 4)))

#endif
