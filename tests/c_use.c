/* A program of a user of the installed library: the gradient of a small function, an error, larger
 * work, and another library, in C++, in the same process. The exit code says whether all of it is
 * right. */
#include "installed_work.h"

#include <string.h>

/* cxx_library.cpp */
int cxx_library(void);

int main(void)
{
    const double start[3] = {1, -2, 3};
    tg_params *ps = tg_params_new(NULL);
    tg_tensor *w = tg_param_new(ps, "w", TG_F64, TG_SHAPE(3), (tg_init){.kind = TG_ZEROS});
    tg_param_write(w, start);

    tg_tape *t = tg_tape_new(NULL);
    tg_tensor *loss = tg_sum(t, tg_mul(t, w, tg_square(t, w)), TG_ALL_AXES, false);
    tg_backward(t, loss);
    const double value = tg_item(t, loss);
    const double *gradient = tg_param_grad(w);
    int wrong = value != 1 - 8 + 27 || !gradient || gradient[0] != 3 || gradient[1] != 12 ||
                gradient[2] != 27;

    tg_add(t, w, tg_input(t, TG_F64, TG_SHAPE(2), start));
    wrong |= tg_tape_status(t) != TG_ESHAPE || !strstr(tg_tape_message(t), "c_use.c:");

    if (wrong) fprintf(stderr, "loss %g; %s\n", value, tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
    return wrong || installed_work(2, NULL) || cxx_library() != 1000 || tg_version() != TG_VERSION;
}
