/* A plugin that uses the library: loaded, unloaded, loaded again by plugin_host.c. */
#include "installed_work.h"

TG_API int plugin_step(int threads);
TG_API int plugin_work(int threads);

/* A step without a product: libraries for products that are loaded at the first one would keep
 * others from being unloaded. */
int plugin_step(int threads)
{
    enum { N = 1 << 18 };
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F32, TG_SHAPE(N), (tg_init){.kind = TG_ONES});
    tg_tape *t =
        tg_tape_new(&(tg_tape_options){.size = sizeof(tg_tape_options), .threads = threads});
    tg_tensor *loss = tg_sum(t, tg_square(t, w), TG_ALL_AXES, false);
    tg_backward(t, loss);
    const float *gradient = tg_param_grad(w);
    const int right = tg_item(t, loss) == N && gradient && gradient[0] == 2 && gradient[N - 1] == 2;
    if (!right) fprintf(stderr, "a step: %s\n", tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
    return !right;
}

int plugin_work(int threads) { return installed_work(threads, NULL); }
