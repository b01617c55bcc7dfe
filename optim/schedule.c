#include <math.h>

#include <tapegrad/optim.h>

static bool decays(double gamma) { return isfinite(gamma) && gamma >= 0; }

double tg_schedule_step(int64_t step, int64_t every, double gamma)
{
    return step >= 0 && every >= 1 && decays(gamma) ? pow(gamma, (double)(step / every)) : NAN;
}

double tg_schedule_exponential(int64_t step, double gamma)
{
    return tg_schedule_step(step, 1, gamma);
}

double tg_schedule_cosine(int64_t step, int64_t total, double floor)
{
    const double pi = 3.14159265358979323846;
    if (step < 0 || total < 1 || !decays(floor)) return NAN;
    return step >= total ? floor
                         : floor + (1 - floor) * (1 + cos(pi * (double)step / (double)total)) / 2;
}

double tg_schedule_warmup_linear(int64_t step, int64_t warmup, int64_t total)
{
    if (step < 0 || warmup < 0 || total <= warmup) return NAN;
    if (step < warmup) return (double)step / (double)warmup;
    return step >= total ? 0 : (double)(total - step) / (double)(total - warmup);
}
