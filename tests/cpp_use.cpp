// The same from C++, with a least-squares fit by plain gradient descent.
#include "installed_work.h"

#include <cmath>
#include <cstdio>
#include <vector>

extern "C" int cxx_library(void);

int main()
{
    const std::vector<float> x = {0, 1, 2, 3}, y = {1, 3, 5, 7};
    tg_params *ps = tg_params_new(nullptr);
    tg_tensor *w = tg_param_new(ps, "slope and offset", TG_F32, TG_SHAPE(2), tg_init());
    tg_tape *t = tg_tape_new(nullptr);
    std::vector<float> value(2);

    for (int step = 0; step < 200; step++) {
        tg_tensor *line = tg_add(t,
                                 tg_mul(t, tg_slice(t, w, 0, 0, 1, 1),
                                        tg_input(t, TG_F32, TG_SHAPE(x.size()), x.data())),
                                 tg_slice(t, w, 0, 1, 2, 1));
        tg_backward(t, tg_mse_loss(t, line, tg_input(t, TG_F32, TG_SHAPE(y.size()), y.data()),
                                   TG_REDUCE_MEAN));
        const float *gradient = static_cast<const float *>(tg_param_grad(w));
        if (!gradient) break;
        for (int k = 0; k < 2; k++) value[k] -= 0.1f * gradient[k];
        tg_params_drop_grads(ps);
        tg_param_write(w, value.data());
        tg_tape_reset(t);
    }

    const bool right = tg_tape_status(t) == TG_OK && std::fabs(value[0] - 2) < 1e-3f &&
                       std::fabs(value[1] - 1) < 1e-3f;
    if (!right) std::fprintf(stderr, "%g x + %g; %s\n", value[0], value[1], tg_tape_message(t));
    tg_tape_free(t);
    tg_params_free(ps);
    return right && !installed_work(2, nullptr) && cxx_library() == 1000 ? 0 : 1;
}
