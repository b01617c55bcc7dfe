// Initializers as the README writes them, in C++20: fields left out are no matter for a warning.
#include <tapegrad.h>

static void cube_vjp(TG_VJP) { (void)t, (void)x, (void)y, (void)gy, (void)gx; }

static const tg_op cube = {.size = sizeof(tg_op), .name = "cube", .n_in = 1, .vjp = cube_vjp};

int main()
{
    const tg_init init = {.kind = TG_LINEAR_DEFAULT, .a = 2}, zeros = {.kind = TG_ZEROS};
    const tg_params_options params = {.size = sizeof params, .seed = 1};
    const tg_tape_options tape = {.size = sizeof tape, .threads = 2};
    const tg_adam_options adam = {.size = sizeof adam, .learning_rate = 0.02};
    const tg_sgd_options sgd = {.size = sizeof sgd, .momentum = 0.9};
    const tg_conv conv = {.stride = {2, 2}};
    const tg_pool pool = {.kernel = {2, 2}};
    const double at[3] = {-1, 0.5, 2};
    const tg_check_input input = {.shape = TG_SHAPE(3), .data = at};
    const tg_gradcheck_options check = {.size = sizeof check, .seed = 1};
    const tg_csv_options csv = {.size = sizeof csv, .target = "y"};
    const tg_mlp_options mlp = {.size = sizeof mlp, .n_hidden = 1};
    const tg_fit_options fit = {.size = sizeof fit, .epochs = 1};
    const bool zero = init.b == 0 && zeros.a == 0 && !params.allocator && !tape.isa &&
                      adam.beta1 == 0 && !sgd.nesterov && conv.groups == 0 && pool.stride[1] == 0 &&
                      !input.constant && check.step == 0 && !csv.schema && !mlp.hidden &&
                      !fit.user && !cube.rule;
    return zero ? 0 : 1;
}
