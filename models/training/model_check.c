/* A model's derivatives against differences, in f64 on a few rows. */
#define TG_HERE NULL
#include "model.h"

enum { ROWS = 4 };

typedef struct checked {
    tg_model model; /* a copy that computes in f64 */
    tg_rows rows;
    int64_t n, row[ROWS];
} checked;

static tg_tensor *loss_of(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    (void)x, (void)n;
    checked *c = user;
    tg_tensor *loss;
    return tg_model_record_rows(&c->model, t, &c->rows, c->n, &loss) ? loss : NULL;
}

/* Rows spread over the data, so that sorted classes are met. */
static void gather(checked *c, const tg_dataset *d)
{
    c->n = d->rows < ROWS ? d->rows : ROWS;
    for (int64_t k = 0; k < c->n; k++) c->row[k] = k * d->rows / c->n;
    tg_rows_gather(&c->model, &c->rows, d, c->n, c->row, 0);
}

tg_status tg_model_check(tg_model *m, const tg_dataset *data, const tg_gradcheck_options *options,
                         tg_gradcheck_report *report)
{
    if (report) *report = (tg_gradcheck_report){.status = tg_model_status(m), .element = -1};
    const tg_status fits = tg_model_accepts(m, data, true, "check");
    if (fits != TG_OK) {
        if (report) report->status = fits;
        return fits;
    }
    checked c = {.model = *m};
    c.model.dtype = TG_F64;
    tg_status status = TG_ENOMEM;
    if (tg_rows_reserve(m, &c.rows, TG_F64, ROWS)) {
        gather(&c, data);
        status = tg_gradcheck(loss_of, 0, NULL, m->params, &c, options, report);
    } else if (report) {
        report->status = status;
    }
    tg_rows_free(m, &c.rows);
    return status;
}
