/* A lean library has no reports. */
#include <tapegrad/report.h>

tg_report *tg_report_new(tg_model *m, const tg_report_options *options)
{
    (void)m, (void)options;
    return NULL;
}
void tg_report_free(tg_report *r) { (void)r; }
tg_status tg_report_status(const tg_report *r) { return (void)r, TG_ESTATE; }
const char *tg_report_message(const tg_report *r) { return (void)r, "built without reports"; }
tg_status tg_report_attach(tg_report *r, tg_fit_options *o) { return (void)r, (void)o, TG_ESTATE; }
tg_status tg_report_write(tg_report *r, const tg_dataset *train, const tg_dataset *held,
                          const char *path)
{
    return (void)r, (void)train, (void)held, (void)path, TG_ESTATE;
}
