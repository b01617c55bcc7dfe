/* `tapegrad bench`: how long ops take on this machine, on arrays of a size, or on their samples
 * where these have shapes of their own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../ops/samples.h"
#include "main.h"

typedef struct case_of {
    const tg_sample *sample;
    tg_time_input x[TG_SAMPLE_INPUTS];
    int64_t elements; /* of the result; a function's last call says */
} case_of;

static tg_tensor *call(tg_tape *t, tg_tensor *const *x, int n, void *user)
{
    case_of *c = user;
    (void)n;
    tg_tensor *y = c->sample->record(t, x);
    c->elements = tg_tensor_count(y);
    return y;
}

static bool is_real(tg_dtype dtype) { return dtype == TG_F32 || dtype == TG_F64; }

/* Numbers between the sample's bounds, the same on every machine. */
static void *numbers(tg_dtype dtype, int64_t n, double low, double high, uint64_t state)
{
    void *data = calloc((size_t)n + 1, tg_dtype_size(dtype));
    for (int64_t i = 0; data && i < n; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX */
        const double part = (double)(state >> 40) * 0x1p-24, real = low + part * (high - low),
                     whole = fmin(high, floor(low + part * (high - low + 1)));
        switch (dtype) {
        case TG_F32: ((float *)data)[i] = (float)real; break;
        case TG_F64: ((double *)data)[i] = real; break;
        case TG_I64: ((int64_t *)data)[i] = (int64_t)whole; break;
        default: ((uint8_t *)data)[i] = (uint8_t)whole; break;
        }
    }
    return data;
}

static void close_case(case_of *c)
{
    for (int k = 0; k < c->sample->n_in; k++) free((void *)(uintptr_t)c->x[k].data);
}

static bool open_case(case_of *c, const tg_sample *sample, tg_dtype dtype, int64_t size)
{
    bool good = true;
    *c = (case_of){.sample = sample};
    for (int k = 0; k < sample->n_in; k++) {
        const tg_sample_input *in = &sample->x[k];
        tg_time_input *x = &c->x[k];
        x->dtype = is_real(in->type.dtype) ? dtype : in->type.dtype;
        x->shape = size ? TG_SHAPE(size) : in->type.shape;
        x->constant = (sample->flags & TG_NOT_SMOOTH) != 0;
        x->data = numbers(x->dtype, tg_shape_count(x->shape), in->low, in->high, (uint64_t)k + 1);
        good = good && x->data;
    }
    return good;
}

static void print_time(const char *name, const tg_timing *t, bool json)
{
    if (json) {
        printf(", \"%s\": {\"seconds\": ", name);
        print_number(t->seconds);
        printf(", \"low\": ");
        print_number(t->low);
        printf(", \"bytes\": ");
        print_number(t->bytes);
        printf(", \"flops\": ");
        print_number(t->flops);
        printf(", \"limit\": ");
        print_number(t->limit);
        putchar('}');
    } else if (isnan(t->seconds)) printf("%12s %8s %5s", "-", "", "");
    else {
        printf("%12.4g %8.2f ", t->seconds * 1e6, t->bytes / t->seconds * 1e-9);
        if (isnan(t->limit)) printf("%5s", "");
        else printf("%4.0f%%", 100 * t->limit);
    }
}

static void print_case(const char *op, const case_of *c, const tg_time_report *report, bool json,
                       bool first)
{
    const char *dtype = "";
    for (int k = 0; k < c->sample->n_in && !*dtype; k++)
        if (is_real(c->x[k].dtype)) dtype = tg_dtype_name(c->x[k].dtype);
    if (json)
        printf("%s\n  {\"op\": \"%s\", \"dtype\": \"%s\", \"elements\": %lld", first ? "" : ",", op,
               dtype, (long long)c->elements);
    else printf("%-26s %-3s %10lld", op, dtype, (long long)c->elements);
    print_time("forward", &report->forward, json);
    print_time("both", &report->both, json);
    printf(json ? "}" : "\n");
    fflush(stdout);
}

/* The first sample that runs, in f32 if it can; of the size asked for, where shapes are free. */
static bool measure(const request *r, const tg_samples *of, bool first)
{
    const int64_t usual = 65536, size = r->size ? r->size : usual;
    const tg_time_options o = {.size = sizeof o,
                               .allocator = program_allocator(),
                               .threads = r->threads,
                               .rounds = r->op ? 25 : 9,
                               .round_seconds = r->op ? 0.02 : 0.005,
                               .limit_rounds = r->op ? 10 : 0};
    for (int sized = 1; sized >= 0; sized--)
        for (tg_dtype dtype = TG_F32; dtype <= TG_F64; dtype++)
            for (int k = 0; k < of->n; k++) {
                const tg_sample *sample = &of->sample[k];
                case_of c;
                if (sized && !(sample->flags & TG_ANY_SHAPE)) continue;
                tg_time_report report = {.status = TG_ENOMEM};
                if (open_case(&c, sample, dtype, sized ? size : 0))
                    tg_time(call, sample->n_in, c.x, &c, &o, &report);
                const bool good = report.status == TG_OK && c.elements > 0;
                if (good) print_case(of->op->name, &c, &report, r->json, first);
                close_case(&c);
                if (good) return true;
            }
    return false;
}

int bench(const request *r)
{
    int n;
    bool found = false, any = false;
    const tg_samples *const *ops = tg_samples_list(&n);
    for (int k = 0; k < n && !found; k++) found = !r->op || !strcmp(ops[k]->op->name, r->op);
    if (!found) return complain(USAGE, "no op '%s'; `tapegrad ops` lists them", r->op);
    if (r->json) putchar('[');
    else
        printf("%-26s %-3s %10s %12s %8s %5s%12s %8s %5s\n", "op", "", "elements", "forward us",
               "GB/s", "", "+ back us", "GB/s", "");
    for (int k = 0; k < n; k++)
        if (!r->op || !strcmp(ops[k]->op->name, r->op)) any = measure(r, ops[k], !any) || any;
    if (r->json) puts("\n]");
    return any ? DONE : complain(FAILED, "%s: no sample of it runs", r->op ? r->op : "ops");
}
