/* Measures by hand, and by the slowest way there is. */
#include "samples.h"

#include <math.h>
#include <string.h>

#include <tapegrad/models.h>

static double score(const char *name, const tg_scored *s)
{
    const tg_measure *m = tg_measure_find(name);
    cr_assert_not_null(m, "%s", name);
    return m->score(s, m);
}

#define NEAR(name, s, expected) \
    cr_expect_float_eq(score(name, s), expected, 1e-7, "%s: %.9g", name, score(name, s))

/* Of five rows 3 are right; of class 1 two are right, two taken for it. */
Test(measures, of_two_classes_by_hand)
{
    const float p[] = {.9F, .1F, .4F, .6F, .2F, .8F, .7F, .3F, .6F, .4F};
    const int64_t actual[] = {0, 0, 1, 1, 0};
    const tg_scored s = {sizeof s, 5, 2, 2, p, actual, NULL};
    NEAR("accuracy", &s, 3. / 5);
    NEAR("balanced_accuracy", &s, (2. / 3 + 1. / 2) / 2);
    NEAR("precision", &s, 1. / 2);
    NEAR("recall", &s, 1. / 2);
    NEAR("f1", &s, 1. / 2);
    /* pairs of a 1 (.8, .3) and a 0 (.1, .6, .4): 3 + 1 of 6 */
    NEAR("auc", &s, 4. / 6);
    NEAR("log_loss", &s, -(log(.9) + log(.4) + log(.8) + log(.3) + log(.6)) / 5);
    /* five ranges: .9 right, .6 wrong and .6 right (one range), .8 right, .7 wrong */
    NEAR("calibration_error", &s, (.1 + .2 + .2 + .7) / 5);
}

Test(measures, of_three_classes_by_hand)
{
    const float p[] = {.5F, .3F, .2F, .2F, .2F, .6F, .1F, .5F, .4F, .4F, .4F, .2F};
    const int64_t actual[] = {0, 1, 2, 1};
    const tg_scored s = {sizeof s, 4, 3, 3, p, actual, NULL};
    NEAR("accuracy", &s, 1. / 4);
    NEAR("balanced_accuracy", &s, 1. / 3);
    NEAR("top_5", &s, 1);
    tg_measure two = *tg_measure_find("top_5");
    two.k = 2; /* rows 0, 2 and 3: row 1's classes 0 and 1 are even, and 0 is first */
    cr_expect_float_eq(two.score(&s, &two), 3. / 4, 1e-12);
    NEAR("precision", &s, (1. / 2 + 0 + 0) / 3);
    NEAR("recall", &s, (1. + 0 + 0) / 3);
    NEAR("f1", &s, (2. / 3) / 3);
    /* class 0: 1; class 1, .2 and .4 against .3 and .5: 1 of 4; class 2: .4 is above 2 of 3 */
    NEAR("auc", &s, (1 + 1. / 4 + 2. / 3) / 3);
}

Test(measures, of_numbers_by_hand)
{
    const float p[] = {1, 2, 4}, y[] = {1, 4, 1}, same[] = {2, 2, 2};
    const tg_scored s = {sizeof s, 3, 0, 1, p, NULL, y},
                    flat = {sizeof flat, 3, 0, 1, p, NULL, same};
    NEAR("mae", &s, 5. / 3);
    NEAR("rmse", &s, sqrt(13. / 3));
    NEAR("r2", &s, 1 - 13. / 6);
    cr_expect(isnan(score("r2", &flat)));
}

static double pairs(const tg_scored *s, int64_t k)
{
    double wins = 0, all = 0;
    for (int64_t i = 0; i < s->rows; i++)
        for (int64_t j = 0; j < s->rows; j++) {
            if (s->class_number[i] != k || s->class_number[j] == k) continue;
            const float a = s->prediction[i * s->width + k], b = s->prediction[j * s->width + k];
            wins += a > b ? 1 : a == b ? 0.5 : 0;
            all++;
        }
    return wins / all;
}

/* A program's own entry. */
static double surest(const tg_scored *s, const tg_measure *self)
{
    (void)self;
    double y = 0;
    for (int64_t k = 0; k < s->rows * s->width; k++) y = fmax(y, (double)s->prediction[k]);
    return y;
}

Test(measures, of_nets_on_real_data)
{
    static const char *const names[] = {"digits", "breast_cancer", "diabetes"};
    for (int k = 0; k < 3; k++) {
        tg_dataset *train, *test;
        read_sample(names[k], &train, &test);
        tg_mlp *net = tg_mlp_new(train, NULL);
        tg_model *m = tg_mlp_model(net);
        tg_metrics y;
        int64_t confusion[100];
        double value[12];
        tg_fit(m, train, &(tg_fit_options){.size = sizeof(tg_fit_options), .epochs = 2});
        cr_assert_eq(tg_evaluate(m, test, &y, confusion), TG_OK, "%s", tg_model_message(m));
        int n;
        const tg_measure *all = tg_measures(&n);
        cr_assert_eq(n, 12);
        const tg_measure own = {sizeof own, "surest", surest, true, false, 0};
        if (k == 2) {
            cr_assert_eq(tg_score(m, test, 3, all + 9, value), TG_OK, "%s", tg_model_message(m));
            cr_assert_float_eq(value[0], y.r2, 1e-6);
            cr_assert_float_eq(value[2], y.rmse, 1e-5 * y.rmse);
            cr_assert_leq(value[1], value[2]);
        } else {
            cr_assert_eq(tg_score(m, test, 9, all, value), TG_OK, "%s", tg_model_message(m));
            cr_assert_eq(value[0], y.accuracy);
            cr_assert_float_eq(value[7], y.loss, 1e-4);
            float p[360 * 10];
            const tg_scored s = {sizeof s,
                                 tg_dataset_rows(test),
                                 tg_model_classes(m),
                                 tg_model_prediction_width(m),
                                 p,
                                 tg_dataset_class_numbers(test),
                                 NULL};
            cr_assert_leq(s.rows * s.width, 3600);
            tg_predict(m, test, p);
            double expected = 0;
            for (int64_t c = s.classes == 2; c < s.classes; c++) expected += pairs(&s, c);
            if (s.classes > 2) expected /= (double)s.classes;
            cr_assert_float_eq(value[6], expected, 1e-12);
            double balanced = 0;
            for (int64_t c = 0; c < s.classes; c++) {
                double row = 0;
                for (int64_t j = 0; j < s.classes; j++) row += (double)confusion[c * s.classes + j];
                balanced += (double)confusion[c * s.classes + c] / row / (double)s.classes;
            }
            cr_assert_float_eq(value[1], balanced, 1e-12);
            cr_assert_eq(tg_score(m, test, 1, &own, value), TG_OK);
            cr_assert(value[0] > 0.5 && value[0] <= 1);
        }
        /* what does not fit */
        cr_assert_eq(tg_score(m, test, 1, k == 2 ? all : all + 9, value), TG_EVALUE);
        cr_assert_str_eq(tg_model_message(m),
                         k == 2 ? "score: measure 0, 'accuracy', is for classes, not for numbers"
                                : "score: measure 0, 'r2', is for numbers, not for classes");
        tg_model_clear_error(m);
        cr_assert_eq(tg_score(m, test, 1, NULL, value), TG_ENULL);
        tg_model_clear_error(m);
        cr_assert_eq(
            tg_score(m, test, 1, &(tg_measure){.size = sizeof(tg_measure), .name = "none"}, value),
            TG_ENULL);
        tg_model_clear_error(m);
        cr_assert_eq(tg_score(m, test, 1, &(tg_measure){.score = surest}, value), TG_EVALUE);
        cr_assert_not_null(strstr(tg_model_message(m), "sizeof(tg_measure)"));
        tg_model_clear_error(m);
        if (k < 2) {
            /* Entries of a program's that goes on behind the library's fields. */
            typedef struct longer {
                tg_measure measure;
                double more;
            } longer;
            longer two[2] = {{own, 1}, {*tg_measure_find("accuracy"), 2}};
            for (int i = 0; i < 2; i++) two[i].measure.size = sizeof two[i];
            cr_assert_eq(tg_score(m, test, 2, &two[0].measure, value), TG_OK);
            cr_assert(value[0] > 0.5 && value[1] == y.accuracy);
        }
        tg_mlp_free(net);
        tg_dataset_free(train);
        tg_dataset_free(test);
    }
    cr_assert_eq(tg_score(NULL, NULL, 0, NULL, NULL), TG_ENOMEM);
    cr_assert_null(tg_measure_find("none"));
    cr_assert_null(tg_measure_find(NULL));
}
