/* Every registered op: forward alone, and forward with backward, each recorded afresh in a steady
 * loop on borrowed inputs (so its plan is found, its values land outside the slab, and what is
 * timed is what a user's call costs). Elementwise ops take 64K and 4M elements; the others the
 * shapes of their sample. Traffic is the least there is: forward reads x and writes y, backward
 * also reads gy and writes gx. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ops/samples.h"

enum { SMALL = 1 << 16, LARGE = 1 << 22 };

typedef struct op_run {
    tg_tape *t;
    const tg_sample *sample;
    int n_in;
    tg_type type[TG_SAMPLE_INPUTS], result;
    void *data[TG_SAMPLE_INPUTS], *gy;
    bool differentiable;
    double gradient_bytes; /* of the gradients that are not gy itself, or one another */
} op_run;

static int64_t bytes_of(tg_type type)
{
    return tg_shape_count(type.shape) * (int64_t)tg_dtype_size(type.dtype);
}

static bool is_float(tg_dtype dtype) { return dtype == TG_F32 || dtype == TG_F64; }

static void *sample_data(tg_type type, double low, double high, uint64_t seed)
{
    const int64_t n = tg_shape_count(type.shape);
    void *data = bench_memory(bytes_of(type));
    float *uniform = bench_memory(n * (int64_t)sizeof(float));
    fill_uniform(n, uniform, seed);
    for (int64_t i = 0; i < n; i++) {
        const double part = ((double)uniform[i] + 1) / 2,
                     whole = fmin(high, floor(low + part * (high - low + 1)));
        switch (type.dtype) {
        case TG_F32: ((float *)data)[i] = (float)(low + part * (high - low)); break;
        case TG_F64: ((double *)data)[i] = low + part * (high - low); break;
        case TG_I64: ((int64_t *)data)[i] = (int64_t)whole; break;
        default: ((uint8_t *)data)[i] = (uint8_t)whole; break;
        }
    }
    free(uniform);
    return data;
}

static tg_tensor *record(op_run *r, tg_tensor **x)
{
    for (int k = 0; k < r->n_in; k++)
        x[k] = tg_input_borrow(r->t, r->type[k].dtype, r->type[k].shape, r->data[k]);
    return r->sample->record(r->t, x);
}

static void forward(void *user)
{
    op_run *r = user;
    tg_tensor *x[TG_SAMPLE_INPUTS], *y = record(r, x);
    tg_eval(r->t, 1, &y);
    tg_tape_reset(r->t);
}

static void both(void *user)
{
    op_run *r = user;
    tg_tensor *x[TG_SAMPLE_INPUTS], *wanted[TG_SAMPLE_INPUTS + 1], *of[TG_SAMPLE_INPUTS],
        *gx[TG_SAMPLE_INPUTS];
    tg_tensor *y = record(r, x),
              *gy = tg_input_borrow(r->t, r->result.dtype, r->result.shape, r->gy);
    int n = 0, n_wanted = 1;
    for (int k = 0; k < r->n_in; k++)
        if (is_float(r->type[k].dtype)) of[n++] = x[k];
    tg_grad(r->t, y, gy, n, of, gx, true);
    wanted[0] = y;
    r->gradient_bytes = 0;
    for (int k = 0; k < n; k++) {
        if (!gx[k]) continue;
        bool new = gx[k] != gy;
        for (int i = 1; i < n_wanted; i++) new = new &&wanted[i] != gx[k];
        if (new)
            r->gradient_bytes +=
                (double)tg_tensor_count(gx[k]) * (double)tg_dtype_size(tg_tensor_dtype(gx[k]));
        wanted[n_wanted++] = gx[k];
    }
    tg_eval(r->t, n_wanted, wanted);
    tg_tape_reset(r->t);
}

static void release(op_run *r)
{
    for (int k = 0; k < r->n_in; k++) free(r->data[k]);
    free(r->gy);
    tg_tape_free(r->t);
}

/* False when the sample can't be run with these dtypes. */
static bool prepare(op_run *r, const tg_sample *sample, int64_t elements, tg_dtype dtype,
                    int threads)
{
    *r = (op_run){.t = tape_with(threads), .sample = sample, .n_in = sample->n_in};
    for (int k = 0; k < r->n_in; k++) {
        r->type[k] = sample->x[k].type;
        if (is_float(r->type[k].dtype)) r->type[k].dtype = dtype;
        if (elements) r->type[k].shape = TG_SHAPE(elements);
        r->data[k] = sample_data(r->type[k], sample->x[k].low, sample->x[k].high, (uint64_t)k);
    }
    tg_tensor *x[TG_SAMPLE_INPUTS], *y = record(r, x);
    tg_eval(r->t, 1, &y);
    r->result = (tg_type){tg_tensor_dtype(y), tg_tensor_shape(y)};
    tg_tape_reset(r->t);
    if (tg_tape_status(r->t) != TG_OK) {
        release(r);
        return false;
    }
    if (is_float(r->result.dtype) && !(sample->flags & TG_NOT_SMOOTH)) {
        r->gy = sample_data(r->result, -1, 1, 99);
        both(r);
        r->differentiable = tg_tape_status(r->t) == TG_OK;
        tg_tape_clear_error(r->t);
    }
    return true;
}

/* A differentiable sample that runs in f32, else any that runs. */
static bool choose(op_run *r, const tg_samples *of, int64_t elements, int threads)
{
    static const tg_dtype dtypes[] = {TG_F32, TG_F64};
    for (int smooth = of->op->order != 0; smooth >= 0; smooth--)
        for (int d = 0; d < COUNT(dtypes); d++)
            for (int k = 0; k < of->n; k++) {
                if ((of->sample[k].flags & TG_ANY_SHAPE) == 0 && elements) continue;
                if (!prepare(r, &of->sample[k], elements, dtypes[d], threads)) continue;
                if (!smooth || r->differentiable) return true;
                release(r);
            }
    return false;
}

static double flops_of(const op_run *r, const char *name)
{
    if (strcmp(name, "matmul") != 0 && strcmp(name, "linear") != 0) return 0;
    const tg_shape a = r->type[0].shape;
    return 2.0 * (double)tg_shape_count(r->result.shape) * (double)a.dim[a.ndim - 1];
}

static void show_way(const char *name, const char *way, timing t, double flops, double bytes,
                     int threads)
{
    char full[96];
    snprintf(full, sizeof full, "ops.%s.%s", name, way);
    const figure f = {.name = full,
                      .threads = threads,
                      .value = t,
                      .unit = "ns",
                      .floor = limits_seconds(flops, bytes, bytes, threads),
                      .rate = (flops > 0 ? flops : bytes) / t.median / 1e9,
                      .rate_unit = flops > 0 ? "GFLOP/s" : "GB/s"};
    figure_keep(&f);
    printf("  %11.0f ns %7.2f %-7s %4.0f%%", t.median * 1e9, f.rate, f.rate_unit,
           100 * f.floor / t.median);
}

static void show(op_run *r, const char *name, int threads)
{
    char label[96];
    int64_t read = 0;
    for (int k = 0; k < r->n_in; k++) read += bytes_of(r->type[k]);
    const double bytes = (double)(read + bytes_of(r->result)),
                 more = (double)bytes_of(r->result) + r->gradient_bytes, flops = flops_of(r, name);
    snprintf(label, sizeof label, "%s.%lld%s", name, (long long)tg_shape_count(r->result.shape),
             r->type[0].dtype == TG_F64 ? ".f64" : "");
    printf("%-34s", label);
    show_way(label, "forward", bench_time(forward, r, threads), flops, bytes, threads);
    if (r->differentiable)
        show_way(label, "both", bench_time(both, r, threads), 3 * flops, bytes + more, threads);
    printf("\n");
    tape_must_be_good(r->t);
}

void bench_ops(void)
{
    const int threads = bench.threads ? bench.threads : 1;
    static const int64_t sizes[] = {SMALL, LARGE, 0};
    int n;
    const tg_samples *const *ops = tg_samples_list(&n);
    limits_get();
    printf("%-34s  %31s  %31s\n", "op and size of its result", "forward, share of the limit",
           "forward and backward, share");
    for (int k = 0; k < n; k++) {
        if (bench.filter && !strstr(ops[k]->op->name, bench.filter)) continue;
        bool shown = false;
        for (int s = 0; s < COUNT(sizes); s++) {
            op_run r;
            if ((sizes[s] == 0 && shown) || (bench.quick && sizes[s] == LARGE)) continue;
            if (!choose(&r, ops[k], sizes[s], threads)) continue;
            show(&r, ops[k]->op->name, threads);
            release(&r);
            shown = true;
        }
        if (!shown) printf("%-34s  no sample of it runs\n", ops[k]->op->name);
    }
}
