/* What a group or a kernel reads from strided memory, made contiguous. */
#include "plan.h"

#include <string.h>

void tg_load_fill(void *out, const char *from, uint32_t size, int64_t n)
{
    if (size == 1) {
        memset(out, *from, (size_t)n);
    } else if (size == 4) {
        uint32_t v;
        memcpy(&v, from, 4);
        for (int64_t i = 0; i < n; i++) ((uint32_t *)out)[i] = v;
    } else {
        uint64_t v;
        memcpy(&v, from, 8);
        for (int64_t i = 0; i < n; i++) ((uint64_t *)out)[i] = v;
    }
}

static void copy_strided(char *out, const char *from, uint32_t size, int64_t n, int64_t stride)
{
    if (stride == size) {
        memcpy(out, from, (size_t)n * size);
    } else if (stride == 0) {
        tg_load_fill(out, from, size, n);
    } else if (size == 4) {
        for (int64_t i = 0; i < n; i++, from += stride) memcpy(out + 4 * i, from, 4);
    } else if (size == 8) {
        for (int64_t i = 0; i < n; i++, from += stride) memcpy(out + 8 * i, from, 8);
    } else {
        for (int64_t i = 0; i < n; i++, from += stride) out[i] = *from;
    }
}

/* out[0..n) already holds a pattern of `period` bytes once: repeats it. */
static void repeat(char *out, int64_t period, int64_t bytes)
{
    for (int64_t done = period; done < bytes; done *= 2)
        memcpy(out + done, out, (size_t)(done < bytes - done ? done : bytes - done));
}

void tg_load_gather(char *out, const char *from, const tg_load *load, int64_t first, int64_t n)
{
    int64_t index[TG_MAX_DIMS];
    for (int k = 0; k < load->ndim; k++) {
        index[k] = first % load->dim[k];
        first /= load->dim[k];
    }
    if (load->ndim == 2 && load->stride[1] == 0 && n > load->dim[0]) {
        int64_t head = load->dim[0] - index[0];
        copy_strided(out, from + index[0] * load->stride[0], load->size, head, load->stride[0]);
        copy_strided(out + head * load->size, from, load->size, index[0], load->stride[0]);
        repeat(out, load->dim[0] * load->size, n * load->size);
        return;
    }
    for (int k = 0; k < load->ndim; k++) from += index[k] * load->stride[k];
    while (n > 0) {
        int64_t run = load->dim[0] - index[0] < n ? load->dim[0] - index[0] : n;
        copy_strided(out, from, load->size, run, load->stride[0]);
        out += run * load->size;
        n -= run;
        from -= index[0] * load->stride[0];
        index[0] = 0;
        for (int k = 1; n > 0 && k < load->ndim; k++) {
            from += load->stride[k];
            if (++index[k] < load->dim[k]) break;
            from -= load->dim[k] * load->stride[k];
            index[k] = 0;
        }
    }
}
