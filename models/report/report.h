/* tapegrad: what a training did, as one page.
 *
 *     tg_report *r = tg_report_new(m, &(tg_report_options){
 *         .size = sizeof(tg_report_options), .title = "iris"});
 *     tg_fit_options o = {.size = sizeof o, .epochs = 50, .validation = held};
 *     tg_report_attach(r, &o);
 *     tg_fit(m, train, &o);
 *     tg_report_write(r, train, held, "run.html");
 *     if (tg_report_status(r) != TG_OK) puts(tg_report_message(r));
 *     tg_report_free(r);
 *
 * The page is one HTML file that loads nothing: scores, curves, what the net
 * gets wrong, what it looks at, where the time of a step goes, and all numbers
 * that it shows as JSON within.
 *
 * Contents: recording; writing. */
#ifndef TG_REPORT_H
#define TG_REPORT_H

#include <tapegrad/training.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------ recording */

typedef struct tg_report tg_report;

typedef struct tg_report_options {
    size_t size TG_ZERO;
    const tg_allocator *allocator TG_ZERO;
    /* Texts that the page shows, UTF-8, copied; NULL: it says nothing of it. */
    const char *title TG_ZERO;
    const char *data TG_ZERO;    /* what was trained on */
    const char *command TG_ZERO; /* what reproduces the run */
    const char *held TG_ZERO;    /* what the held-out rows are; NULL: "held out" */
    uint64_t seed TG_ZERO;
    /* "hidden: 64, 32\nloss: auto": a line for each setting */
    const char *settings TG_ZERO;
    /* Rounds in which the machine's limits are measured: see
     * tg_profile_options. */
    int limit_rounds TG_ZERO;
    int threads TG_ZERO; /* on so many threads; 0: 1 */
} tg_report_options;

/* A report on m, which must outlive it. Errors stick to the report; the
 * training goes on. NULL only when memory is short. A lean library has no
 * reports: NULL, too. */
TG_API tg_report *tg_report_new(tg_model *m, const tg_report_options *options);
TG_API void tg_report_free(tg_report *r); /* NULL allowed */
/* the sticky status; TG_ENOMEM for NULL, in a lean library TG_ESTATE */
TG_API tg_status tg_report_status(const tg_report *r);
TG_API const char *tg_report_message(const tg_report *r);

/* Sets the callbacks and the profile in options so that tg_fit tells r what
 * happens; those that stand there already are called, too, with their user (a
 * profile that stands there is used). r must outlive the call of tg_fit. */
TG_API tg_status tg_report_attach(tg_report *r, tg_fit_options *options);

/* -------------------------------------------------------------- writing */

/* Writes the page, whole or not at all. What the net does is looked at on held,
 * or, when that is NULL, on train: at most 2,000 rows of it for pictures, 500
 * for the permutation importance (the mean rise of the loss, over three random
 * orders of a column, of up to 40 features). Histories of more than 2,000 points
 * are thinned to minimum, mean and maximum of equal stretches. */
TG_API tg_status tg_report_write(tg_report *r, const tg_dataset *train, const tg_dataset *held,
                                 const char *path);

#ifdef __cplusplus
}
#endif

#endif
