/* W2 and W3: multilayer nets on images, where matrix products should be all that counts. */
#define _GNU_SOURCE
#include "bench.h"

#include <dlfcn.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if TG_HAVE_CBLAS
#include <cblas.h>
#endif
#if TG_HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#endif

enum { MOST_LAYERS = 3 };

typedef struct net {
    tg_tape *t;
    tg_params *ps;
    tg_optim *sgd;
    tg_linear_layer layer[MOST_LAYERS];
    const int64_t *size;
    int layers;
    int64_t batch;
    double dropout;
    float *x;
    int64_t *y;
} net;

static const int64_t w2_size[] = {784, 128, 64, 10}, w3_size[] = {784, 1024, 1024, 10};

static void net_open(net *m, int layers, const int64_t *size, int64_t batch, double dropout,
                     double rate, double momentum, int threads)
{
    *m = (net){.t = tape_with(threads),
               .ps = params_new(),
               .size = size,
               .layers = layers,
               .batch = batch,
               .dropout = dropout};
    for (int k = 0; k < layers; k++) {
        m->layer[k] = tg_linear_layer_new(tg_scope_at(tg_scope_root(m->ps), "layer", k), size[k],
                                          size[k + 1], true);
    }
    die_unless(tg_params_status(m->ps) == TG_OK, tg_params_message(m->ps));
    m->sgd = tg_sgd_new(m->ps, &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                 .learning_rate = rate,
                                                 .momentum = momentum});
    tg_optim_set_threads(m->sgd, threads);
    m->x = bench_memory(batch * size[0] * (int64_t)sizeof(float));
    m->y = bench_memory(batch * (int64_t)sizeof(int64_t));
    fill_uniform(batch * size[0], m->x, 3);
    for (int64_t i = 0; i < batch * size[0]; i++) m->x[i] = (m->x[i] + 1) / 2;
    for (int64_t i = 0; i < batch; i++) m->y[i] = i * 7 % size[layers];
}

static void net_close(net *m)
{
    tape_must_be_good(m->t);
    die_unless(tg_optim_status(m->sgd) == TG_OK, tg_optim_message(m->sgd));
    tg_optim_free(m->sgd);
    tg_tape_free(m->t);
    tg_params_free(m->ps);
    free(m->x);
    free(m->y);
}

static tg_tensor *net_logits(net *m, tg_tensor *h)
{
    for (int k = 0; k < m->layers; k++) {
        h = tg_linear(m->t, h, m->layer[k].weight, m->layer[k].bias);
        if (k + 1 == m->layers) break;
        h = tg_relu(m->t, h);
        if (m->dropout > 0) h = tg_dropout(m->t, h, m->dropout);
    }
    return h;
}

static void net_learn(net *m, int64_t rows, const float *x, const int64_t *y)
{
    tg_tensor *target = tg_input_borrow(m->t, TG_I64, TG_SHAPE(rows), y);
    tg_tensor *logits = net_logits(m, tg_input_borrow(m->t, TG_F32, TG_SHAPE(rows, m->size[0]), x));
    tg_backward(m->t, tg_cross_entropy(m->t, logits, target));
    tg_optim_step(m->sgd);
    tg_tape_reset(m->t);
}

static void net_step(void *user)
{
    net *m = user;
    net_learn(m, m->batch, m->x, m->y);
}

static double net_flops(const net *m)
{
    double flops = 0;
    for (int k = 0; k < m->layers; k++)
        flops += (k ? 6.0 : 4.0) * (double)(m->batch * m->size[k] * m->size[k + 1]);
    return flops;
}

/* -------------------------------- its matrix products alone, through the library and without it */

typedef struct product {
    bool transpose_a, transpose_b;
    int64_t m, n, k;
    float *a, *b, *c;
} product;

typedef struct products {
    int n;
    product p[3 * MOST_LAYERS];
    tg_tape *t;
} products;

static void add_product(products *all, bool transpose_a, bool transpose_b, int64_t m, int64_t n,
                        int64_t k)
{
    product *p = &all->p[all->n++];
    *p = (product){transpose_a,
                   transpose_b,
                   m,
                   n,
                   k,
                   bench_memory(m * k * 4),
                   bench_memory(k * n * 4),
                   bench_memory(m * n * 4)};
    fill_uniform(m * k, p->a, 5);
    fill_uniform(k * n, p->b, 6);
}

static void products_through_tape(void *user)
{
    products *all = user;
    tg_tensor *c[3 * MOST_LAYERS];
    for (int k = 0; k < all->n; k++) {
        const product *p = &all->p[k];
        tg_tensor *a = tg_input_borrow(
            all->t, TG_F32, p->transpose_a ? TG_SHAPE(p->k, p->m) : TG_SHAPE(p->m, p->k), p->a);
        tg_tensor *b = tg_input_borrow(
            all->t, TG_F32, p->transpose_b ? TG_SHAPE(p->n, p->k) : TG_SHAPE(p->k, p->n), p->b);
        if (p->transpose_a) a = tg_transpose(all->t, a, 0, 1);
        if (p->transpose_b) b = tg_transpose(all->t, b, 0, 1);
        c[k] = tg_matmul(all->t, a, b);
    }
    tg_eval(all->t, all->n, c);
    tg_tape_reset(all->t);
}

#if TG_HAVE_CBLAS
static __typeof__(&cblas_sgemm) blas;

static bool load_blas(void)
{
    void *library = dlopen(TG_CBLAS_LIBRARY, RTLD_NOW),
         *symbol = library ? dlsym(library, "cblas_sgemm") : NULL;
    memcpy(&blas, &symbol, sizeof blas);
    return symbol;
}

static void by_blas(void *user)
{
    const product *p = user;
    blas(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
         p->transpose_b ? CblasTrans : CblasNoTrans, (int)p->m, (int)p->n, (int)p->k, 1, p->a,
         (int)(p->transpose_a ? p->m : p->k), p->b, (int)(p->transpose_b ? p->k : p->n), 0, p->c,
         (int)p->n);
}
#endif

#if TG_HAVE_DNNL
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
typedef dnnl_status_t (*dnnl_function)(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float,
                                       const float *, dnnl_dim_t, const float *, dnnl_dim_t, float,
                                       float *, dnnl_dim_t);
static dnnl_function dnnl;

static bool load_dnnl(void)
{
    void *library = dlopen("libdnnl.so." TEXT(DNNL_VERSION_MAJOR), RTLD_NOW),
         *symbol = library ? dlsym(library, "dnnl_sgemm") : NULL;
    if (symbol) memcpy(&dnnl, &symbol, sizeof dnnl);
    return symbol != NULL;
}

static void by_dnnl(void *user)
{
    const product *p = user;
    dnnl(p->transpose_a ? 'T' : 'N', p->transpose_b ? 'T' : 'N', p->m, p->n, p->k, 1, p->a,
         p->transpose_a ? p->m : p->k, p->b, p->transpose_b ? p->k : p->n, 0, p->c, p->n);
}
#endif

#if TG_HAVE_CBLAS || TG_HAVE_DNNL
static timing faster(timing a, timing b) { return a.median > 0 && a.median <= b.median ? a : b; }
#endif

/* Each product by the faster library, on one thread; 0 without libraries. */
static timing products_by_library(products *all)
{
    timing sum = {0, 0};
#if TG_HAVE_CBLAS
    const bool has_blas = load_blas();
#endif
#if TG_HAVE_DNNL
    omp_set_num_threads(1);
    const bool has_dnnl = load_dnnl();
#endif
    for (int k = 0; k < all->n; k++) {
        timing best = {0, 0};
#if TG_HAVE_CBLAS
        if (has_blas) best = faster(best, bench_time(by_blas, &all->p[k], 1));
#endif
#if TG_HAVE_DNNL
        if (has_dnnl) best = faster(best, bench_time(by_dnnl, &all->p[k], 1));
#endif
        sum.median += best.median;
        sum.p10 += best.p10;
    }
    return sum;
}

static void show_products(const char *name, const net *m, double target, int threads)
{
    products all = {.t = tape_with(threads)};
    for (int k = 0; k < m->layers; k++) {
        const int64_t in = m->size[k], out = m->size[k + 1];
        add_product(&all, false, true, m->batch, out, in);
        add_product(&all, true, false, out, in, m->batch);
        if (k) add_product(&all, false, false, m->batch, in, out);
    }
    char text[64];
    const double floor = limits_seconds(net_flops(m), 0, 0, threads);
    snprintf(text, sizeof text, "%s.products", name);
    figure_show(&(figure){.name = text,
                          .threads = threads,
                          .value = bench_time(products_through_tape, &all, threads),
                          .unit = "us",
                          .target = target,
                          .floor = floor,
                          .note = "the step's matrix products alone, through the tape"});
    tape_must_be_good(all.t);
    tg_tape_free(all.t);
    const timing sum = threads == 1 ? products_by_library(&all) : (timing){0, 0};
    if (sum.median > 0) {
        snprintf(text, sizeof text, "%s.products_by_library", name);
        figure_show(&(figure){.name = text,
                              .threads = 1,
                              .value = sum,
                              .unit = "us",
                              .floor = floor,
                              .note = "each by the faster of CBLAS and oneDNN"});
    }
    for (int k = 0; k < all.n; k++) {
        free(all.p[k].a);
        free(all.p[k].b);
        free(all.p[k].c);
    }
}

/* ---------------------------------------------------------------- W2 */

#define FASHION "/usr/share/datasets/fashion-mnist"

typedef struct epochs {
    net m;
    tg_dataset *train;
    int64_t *order;
    float *x;
    int64_t *y;
    uint64_t random;
} epochs;

static double epoch_by_hand(void *user)
{
    epochs *e = user;
    const int64_t rows = tg_dataset_rows(e->train), width = tg_dataset_features(e->train),
                  batch = e->m.batch;
    const float *x = tg_dataset_x(e->train);
    const int64_t *y = tg_dataset_class_numbers(e->train);
    const double begin = bench_clock(1);
    for (int64_t i = rows - 1; i > 0; i--) {
        e->random = e->random * 6364136223846793005u + 1442695040888963407u;
        const int64_t k = (int64_t)((e->random >> 33) % (uint64_t)(i + 1)), kept = e->order[i];
        e->order[i] = e->order[k];
        e->order[k] = kept;
    }
    for (int64_t first = 0; first < rows; first += batch) {
        const int64_t n = rows - first < batch ? rows - first : batch;
        for (int64_t i = 0; i < n; i++) {
            memcpy(e->x + i * width, x + e->order[first + i] * width, (size_t)width * sizeof *x);
            e->y[i] = y[e->order[first + i]];
        }
        net_learn(&e->m, n, e->x, e->y);
    }
    return bench_clock(1) - begin;
}

static double accuracy(net *m, const tg_dataset *test)
{
    const int64_t rows = tg_dataset_rows(test), width = tg_dataset_features(test);
    tg_tensor *best = tg_argmax(
        m->t,
        net_logits(m, tg_input_borrow(m->t, TG_F32, TG_SHAPE(rows, width), tg_dataset_x(test))), 1,
        false);
    const int64_t *answer = tg_data(m->t, best), *truth = tg_dataset_class_numbers(test);
    int64_t right = 0;
    for (int64_t i = 0; answer && i < rows; i++) right += answer[i] == truth[i];
    tg_tape_reset(m->t);
    return (double)right / (double)rows;
}

static void show_epochs(void)
{
    enum { EPOCHS = 5 };
    tg_dataset *train = tg_dataset_new(bench_allocator()),
               *test = tg_dataset_new(bench_allocator());
    tg_dataset_read_idx(train, FASHION, "train", NULL);
    tg_dataset_read_idx(test, FASHION, "t10k", NULL);
    if (tg_dataset_status(train) != TG_OK || tg_dataset_status(test) != TG_OK) {
        printf("w2.epoch                             left out: no Fashion-MNIST in %s (Debian: "
               "dataset-fashion-mnist)\n",
               FASHION);
    } else {
        epochs e = {.train = train, .random = 1};
        net_open(&e.m, 3, w2_size, 64, 0, 0.02, 0.9, 1);
        const int64_t rows = tg_dataset_rows(train);
        e.order = bench_memory(rows * (int64_t)sizeof *e.order);
        for (int64_t i = 0; i < rows; i++) e.order[i] = i;
        e.x = e.m.x;
        e.y = e.m.y;
        double seconds[EPOCHS];
        for (int k = 0; k < EPOCHS; k++) seconds[k] = epoch_by_hand(&e);
        char note[64];
        snprintf(note, sizeof note, "with shuffling; accuracy %.4f after %d", accuracy(&e.m, test),
                 EPOCHS);
        figure_show(&(figure){.name = "w2.epoch",
                              .threads = 1,
                              .value = timing_of(seconds, EPOCHS),
                              .unit = "s",
                              .target = 0.18,
                              .note = note});
        net_close(&e.m);
        free(e.order);

        tg_mlp *m = tg_mlp_new(train, &(tg_mlp_options){.size = sizeof(tg_mlp_options),
                                                        .allocator = bench_allocator(),
                                                        .n_hidden = 2,
                                                        .hidden = w2_size + 1});
        tg_optim *sgd =
            tg_sgd_new(tg_mlp_params(m), &(tg_sgd_options){.size = sizeof(tg_sgd_options),
                                                           .learning_rate = 0.02,
                                                           .momentum = 0.9});
        for (int k = 0; k < EPOCHS; k++) {
            const double begin = bench_clock(1);
            tg_fit(tg_mlp_model(m), train,
                   &(tg_fit_options){
                       .size = sizeof(tg_fit_options), .optimizer = sgd, .epochs = 1, .batch = 64});
            seconds[k] = bench_clock(1) - begin;
        }
        tg_metrics metrics = {0};
        tg_evaluate(tg_mlp_model(m), test, &metrics, NULL);
        die_unless(tg_mlp_status(m) == TG_OK, tg_mlp_message(m));
        snprintf(note, sizeof note, "through tg_fit; accuracy %.4f after %d", metrics.accuracy,
                 EPOCHS);
        figure_show(&(figure){.name = "w2.epoch.fit",
                              .threads = 1,
                              .value = timing_of(seconds, EPOCHS),
                              .unit = "s",
                              .target = 0.18,
                              .note = note});
        tg_optim_free(sgd);
        tg_mlp_free(m);
    }
    tg_dataset_free(train);
    tg_dataset_free(test);
}

static void w2_step(int threads)
{
    net m;
    net_open(&m, 3, w2_size, 64, 0, 0.02, 0.9, threads);
    const double floor = limits_seconds(net_flops(&m), 0, 0, threads);
    figure_show(&(figure){.name = "w2.step",
                          .threads = threads,
                          .value = bench_time(net_step, &m, threads),
                          .unit = "us",
                          .target = threads == 1 ? 168 : 110,
                          .times = threads == 1 ? 2 : 0,
                          .floor = floor});
    show_products("w2", &m, threads == 1 ? 145 : 0, threads);
    net_close(&m);
}

void bench_w2(void)
{
    for_threads(w2_step);
    if (!bench.quick) show_epochs();
}

/* --------------------------------------- W3, in a process of its own for the sake of its memory */

void bench_w3_process(void)
{
    const int threads = bench.threads ? bench.threads : 1;
    net m;
    net_open(&m, 3, w3_size, 128, 0.5, 0.01, 0, threads);
    const timing t = bench_time(net_step, &m, threads);
    const double allocated = bench_allocated();
    net_close(&m);
    printf("%.9g %.9g %.0f %.0f\n", t.median, t.p10, process_peak(), allocated);
}

static void w3(int threads)
{
    net m;
    net_open(&m, 3, w3_size, 128, 0.5, 0.01, 0, threads);
    char count[8];
    snprintf(count, sizeof count, "%d", threads);
    char *const argv[] = {(char *)process_self(),         "w3-process", "--threads", count,
                          bench.quick ? "--quick" : NULL, NULL};
    const process_result r = process_run(argv);
    timing t = {0, 0};
    double peak = 0, allocated = 0;
    die_unless(r.good &&
                   sscanf(r.text, "%lf %lf %lf %lf", &t.median, &t.p10, &peak, &allocated) == 4,
               "the process of W3 failed");
    figure_show(&(figure){.name = "w3.step",
                          .threads = threads,
                          .value = t,
                          .unit = "ms",
                          .target = threads == 1 ? 7.0 : 4.6,
                          .times = threads == 1 ? 1.65 : 2.2,
                          .floor = limits_seconds(net_flops(&m), 0, 0, threads)});
    figure_show(&(figure){.name = threads == 1 ? "w3.rss" : "w3.rss.two_threads",
                          .value = {peak / 1e6, peak / 1e6},
                          .unit = "MB",
                          .target = 26,
                          .note = "largest resident memory of a process that does only this"});
    if (allocated > 0)
        figure_show(&(figure){.name = threads == 1 ? "w3.allocated" : "w3.allocated.two_threads",
                              .value = {allocated / 1e6, allocated / 1e6},
                              .unit = "MB",
                              .note = "of it in blocks that the allocator has given out"});
    show_products("w3", &m, threads == 1 ? 6400 : 4100, threads);
    net_close(&m);
}

void bench_w3(void) { for_threads(w3); }
