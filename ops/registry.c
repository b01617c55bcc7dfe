/* The list of all ops, and their functions without a source position, both made from the entries of
 * ops.h. */
#include <tapegrad/ops.h>

#define TG_OPS_AGAIN

#define TG_OP(name, parameters, arguments)                    \
    extern const tg_op_info tg_info_##name;                   \
    tg_tensor *(tg_##name)(tg_tape * t, TG_UNPACK parameters) \
    {                                                         \
        return tg_##name##_at(t, NULL, TG_UNPACK arguments);  \
    }
#include <tapegrad/ops.h>

#define TG_OP(name, parameters, arguments) &tg_info_##name,
static const tg_op_info *const list[] = {
#include <tapegrad/ops.h>
};

const tg_op_info *const *tg_ops_list(int *n)
{
    *n = (int)(sizeof list / sizeof list[0]);
    return list;
}
