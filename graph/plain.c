/* The functions without a source position. */
#define TG_NO_MACROS
#include <tapegrad/op.h>

#define DEFINE(result, name, parameters, arguments) \
    result tg_##name parameters { return tg_##name##_at arguments; }
TG_PLAIN_FORMS(DEFINE)
#undef DEFINE

tg_tensor *tg_apply(tg_tape *t, const tg_op *op, int n_in, tg_tensor *const *x, int n_attrs,
                    const int64_t *attrs)
{
    return tg_apply_at(t, NULL, op, n_in, x, n_attrs, attrs);
}
