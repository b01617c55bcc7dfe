/* The answer for one row, as soon as it is there. The net is recorded anew for each row, which is
 * cheap, and after the first rows nothing is allocated: the allocator counts.
 *     cc -O2 models/examples/latency.c $(pkg-config --cflags --libs tapegrad) && ./a.out */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tapegrad.h>

enum { IN = 16, WIDTH = 32, OUT = 4, ROWS = 20000, WARM = 3 };

typedef struct net {
    tg_linear_layer a, b, c;
} net;

static tg_tensor *output(tg_tape *t, const net *m, tg_tensor *x)
{
    x = tg_relu(t, tg_linear_layer_apply(t, &m->a, x));
    x = tg_relu(t, tg_linear_layer_apply(t, &m->b, x));
    return tg_softmax(t, tg_linear_layer_apply(t, &m->c, x), 1);
}

static void *count(void *user, size_t bytes, size_t align)
{
    ++*(long *)user;
    return aligned_alloc(align, (bytes + align - 1) / align * align);
}

static void release(void *user, void *block, size_t bytes, size_t align)
{
    (void)user, (void)bytes, (void)align;
    free(block);
}

static double microseconds(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    long allocations = 0;
    const tg_allocator counting = {count, release, &allocations};
    tg_params *ps = tg_params_new(NULL);
    const tg_scope s = tg_scope_root(ps);
    const net m = {tg_linear_layer_new(tg_scope_in(s, "a"), IN, WIDTH, true),
                   tg_linear_layer_new(tg_scope_in(s, "b"), WIDTH, WIDTH, true),
                   tg_linear_layer_new(tg_scope_in(s, "c"), WIDTH, OUT, true)};
    tg_tape *t = tg_tape_new(&(tg_tape_options){
        .size = sizeof(tg_tape_options), .allocator = &counting, .evaluation = true});
    static double took[ROWS];
    float row[IN] = {0};
    double sum = 0;
    for (int k = -WARM; k < ROWS; k++) {
        if (k == 0) allocations = 0, sum = 0;
        const double start = microseconds();
        row[0] = (float)(k % 7);
        tg_tensor *x = tg_input_borrow(t, TG_F32, TG_SHAPE(1, IN), row);
        const float *p = tg_data(t, output(t, &m, x));
        for (int i = 0; p && i < OUT; i++) sum += (double)p[i];
        tg_tape_reset(t); /* the recording goes; its plan and its memory stay */
        if (k >= 0) took[k] = microseconds() - start;
    }
    qsort(took, ROWS, sizeof took[0], by_size);
    printf("16-32-32-4: %.2f us a row, one of a thousand above %.2f us\n", took[ROWS / 2],
           took[ROWS - ROWS / 1000]);
    printf("allocations after the first %d rows: %ld; probabilities add up to %.3f\n", WARM,
           allocations, sum / ROWS);
    if (tg_tape_status(t) != TG_OK) fprintf(stderr, "%s\n", tg_tape_message(t));
    tg_tape_free(t), tg_params_free(ps);
    return allocations == 0 ? 0 : 1;
}

/* It prints
 *     16-32-32-4: 1.00 us a row, one of a thousand above 12.75 us
 *     allocations after the first 3 rows: 0; probabilities add up to 1.000
 */
