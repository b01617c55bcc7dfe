/* The functions without a source position. */
#define TG_NO_MACROS
#include <tapegrad/op.h>

tg_tensor *tg_input(tg_tape *t, tg_dtype dtype, tg_shape shape, const void *data)
{
    return tg_input_at(t, NULL, dtype, shape, data);
}
tg_tensor *tg_input_borrow(tg_tape *t, tg_dtype dtype, tg_shape shape, const void *data)
{
    return tg_input_borrow_at(t, NULL, dtype, shape, data);
}
tg_tensor *tg_constant(tg_tape *t, tg_dtype dtype, double value)
{
    return tg_constant_at(t, NULL, dtype, value);
}
tg_status tg_input_set(tg_tape *t, tg_tensor *x, const void *data)
{
    return tg_input_set_at(t, NULL, x, data);
}
tg_tensor *tg_detach(tg_tape *t, tg_tensor *x) { return tg_detach_at(t, NULL, x); }
tg_tensor *tg_keep(tg_tape *t, tg_tensor *x) { return tg_keep_at(t, NULL, x); }
tg_status tg_eval(tg_tape *t, int n, tg_tensor *const *x) { return tg_eval_at(t, NULL, n, x); }
double tg_item(tg_tape *t, tg_tensor *x) { return tg_item_at(t, NULL, x); }
const void *tg_data(tg_tape *t, tg_tensor *x) { return tg_data_at(t, NULL, x); }
tg_status tg_backward(tg_tape *t, tg_tensor *loss) { return tg_backward_at(t, NULL, loss); }
tg_status tg_grad(tg_tape *t, tg_tensor *y, tg_tensor *seed, int n, tg_tensor *const *x,
                  tg_tensor **gx, bool allow_unused)
{
    return tg_grad_at(t, NULL, y, seed, n, x, gx, allow_unused);
}
tg_tensor *tg_jvp(tg_tape *t, tg_tensor *y, int n, tg_tensor *const *x, tg_tensor *const *v)
{
    return tg_jvp_at(t, NULL, y, n, x, v);
}
tg_tensor *tg_hvp(tg_tape *t, tg_tensor *y, tg_tensor *x, tg_tensor *v)
{
    return tg_hvp_at(t, NULL, y, x, v);
}
tg_status tg_replay(tg_tape *t) { return tg_replay_at(t, NULL); }
tg_status tg_write_dot(tg_tape *t, const char *path, tg_tensor *loss)
{
    return tg_write_dot_at(t, NULL, path, loss);
}
tg_status tg_export_c(tg_tape *t, const char *path, const tg_export_options *options)
{
    return tg_export_c_at(t, NULL, path, options);
}
tg_tensor *tg_apply(tg_tape *t, const tg_op *op, int n_in, tg_tensor *const *x, int n_attrs,
                    const int64_t *attrs)
{
    return tg_apply_at(t, NULL, op, n_in, x, n_attrs, attrs);
}
