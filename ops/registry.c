/* The lists of all ops and of their samples, and the ops' functions without a source position, all
 * made from the entries of ops.h. */
#include "samples.h"

#define TG_OPS_AGAIN

#ifdef TG_SAMPLES

#define TG_OP(name, parameters, arguments) extern const tg_samples tg_samples_##name;
#include <tapegrad/ops.h>

const tg_samples *const *tg_samples_list(int *n)
{
#define TG_OP(name, parameters, arguments) &tg_samples_##name,
    static const tg_samples *const list[] = {
#include <tapegrad/ops.h>
    };
    *n = (int)(sizeof list / sizeof list[0]);
    return list;
}

#else

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
    if (n) *n = (int)(sizeof list / sizeof list[0]);
    return list;
}

#endif
