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

/* Whole rows, the innermost dimension, one after the other; short ones without a call for each. */
static void copy_rows(char *out, const char *from, const tg_load *load, int64_t rows)
{
    const int64_t n = load->dim[0], bytes = n * load->size, step = load->stride[1];
    const bool dense = load->stride[0] == load->size;
    if (dense && bytes == 16)
        for (; rows > 0; rows--, out += 16, from += step) memcpy(out, from, 16);
    else if (dense && bytes % 16 == 0 && bytes <= 256)
        for (; rows > 0; rows--, from += step)
            for (int64_t b = 0; b < bytes; b += 16, out += 16) memcpy(out, from + b, 16);
    else if (load->stride[0] == 0 && load->size == 4 && n % 4 == 0)
        for (; rows > 0; rows--, from += step) {
            uint32_t four[4];
            memcpy(four, from, 4);
            four[1] = four[2] = four[3] = four[0];
            for (int64_t b = 0; b < bytes; b += 16, out += 16) memcpy(out, four, 16);
        }
    else
        for (; rows > 0; rows--, out += bytes, from += step)
            copy_strided(out, from, load->size, n, load->stride[0]);
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
        int64_t rows = 1, done = load->dim[0] - index[0] < n ? load->dim[0] - index[0] : n;
        if (load->ndim > 1 && index[0] == 0 && done < n) {
            rows = n / done < load->dim[1] - index[1] ? n / done : load->dim[1] - index[1];
            copy_rows(out, from, load, rows);
            done *= rows;
        } else copy_strided(out, from, load->size, done, load->stride[0]);
        out += done * load->size;
        n -= done;
        from -= index[0] * load->stride[0];
        index[0] = 0;
        for (int k = 1; n > 0 && k < load->ndim; k++, rows = 1) {
            from += rows * load->stride[k];
            if ((index[k] += rows) < load->dim[k]) break;
            from -= load->dim[k] * load->stride[k];
            index[k] = 0;
        }
    }
}
