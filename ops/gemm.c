/* One matrix product on one thread, by the fastest library for its shape. Measured on Zen 5, f32:
 * from 2 MFLOP on oneDNN is ahead (by up to a quarter), below OpenBLAS; under 4096 multiplications
 * both cost more to call than to run. */
#define _GNU_SOURCE
#include "gemm.h"
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#if TG_HAVE_CBLAS
#include <cblas.h>
#endif
#if TG_HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

static bool by_rows(const tg_matrix *m) { return m->column == 1 && m->row >= m->columns; }

bool tg_matrix_readable(const tg_matrix *m)
{
    if (m->rows > INT_MAX || m->columns > INT_MAX || m->row > INT_MAX || m->column > INT_MAX)
        return false;
    return by_rows(m) || (m->row == 1 && m->column >= m->rows);
}

static bool library_fits(int64_t m, int64_t n, int64_t k)
{
#if TG_HAVE_CBLAS
    return m <= INT_MAX && n <= INT_MAX && k <= INT_MAX;
#else
    (void)m, (void)n, (void)k;
    return false;
#endif
}

static bool is_large(int64_t m, int64_t n, int64_t k)
{
    return (double)m * (double)n * (double)k >= 1 << 20;
}

bool tg_gemm_wants_copy(int64_t m, int64_t n, int64_t k, const tg_matrix *b)
{
    if (by_rows(b) || tg_gemm_is_small(m, n, k, b)) return false;
    return !library_fits(m, n, k) || (m >= 24 && n >= 24 && k >= 16 && !is_large(m, n, k));
}

/* Libraries are loaded by the first product that wants them: linked, they would cost every program
 * milliseconds and megabytes. Without them gemm_small.c multiplies, right for any size and slow for
 * large ones; which it is stays so for the life of the process. */

#if TG_HAVE_DNNL
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

typedef dnnl_status_t (*dnnl_sgemm_function)(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float,
                                             const float *, dnnl_dim_t, const float *, dnnl_dim_t,
                                             float, float *, dnnl_dim_t);
typedef const dnnl_version_t *(*dnnl_version_function)(void);

/* A build of oneDNN whose threads could not be kept to one is left alone. */
static dnnl_sgemm_function dnnl_product;
static pthread_once_t dnnl_once = PTHREAD_ONCE_INIT;

static void dnnl_load(void)
{
    void *library = dlopen("libdnnl.so." TEXT(DNNL_VERSION_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    void *version_symbol = dlsym(library, "dnnl_version"),
         *product_symbol = dlsym(library, "dnnl_sgemm");
    if (!version_symbol || !product_symbol) return;
    dnnl_version_function version;
    memcpy(&version, &version_symbol, sizeof version);
    const unsigned runtime = version()->cpu_runtime;
    if (runtime != DNNL_RUNTIME_SEQ && runtime != DNNL_RUNTIME_OMP) return;
    memcpy(&dnnl_product, &product_symbol, sizeof dnnl_product);
}

/* oneDNN takes as many threads as OpenMP would give it, one inside a parallel region.
 * omp_set_num_threads concerns the calling thread alone. */
static bool multiply_by_dnnl(const tg_matrix *a, const tg_matrix *b, void *c, int64_t ldc)
{
    if (pthread_once(&dnnl_once, dnnl_load) != 0 || !dnnl_product) return false;
#ifdef _OPENMP
    const int threads = omp_in_parallel() ? 1 : omp_get_max_threads();
    if (threads != 1) omp_set_num_threads(1);
#endif
    const bool by_rows_a = by_rows(a), by_rows_b = by_rows(b);
    const dnnl_status_t status =
        dnnl_product(by_rows_a ? 'N' : 'T', by_rows_b ? 'N' : 'T', a->rows, b->columns, a->columns,
                     1, (const float *)a->data, by_rows_a ? a->row : a->column,
                     (const float *)b->data, by_rows_b ? b->row : b->column, 0, (float *)c, ldc);
#ifdef _OPENMP
    if (threads != 1) omp_set_num_threads(threads);
#endif
    return status == dnnl_success;
}
#endif

#if TG_HAVE_CBLAS
static struct {
    bool loaded;
    __typeof__(&cblas_sgemm) sgemm;
    __typeof__(&cblas_dgemm) dgemm;
    __typeof__(&cblas_sgemv) sgemv;
    __typeof__(&cblas_dgemv) dgemv;
} blas;
static pthread_once_t blas_once = PTHREAD_ONCE_INIT;

static bool blas_symbol(void *library, const char *name, void *pointer)
{
    void *symbol = dlsym(library, name);
    memcpy(pointer, &symbol, sizeof symbol);
    return symbol;
}

/* The name alone comes first, for what the program has loaded already: two BLAS libraries in one
 * process would take functions from each other. Then the file that was found when tapegrad was
 * built, and for a machine where it lies elsewhere the name once more. */
static void blas_load(void)
{
    static const char path[] = TG_CBLAS_LIBRARY;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!library) library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library && slash) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    blas.loaded = blas_symbol(library, "cblas_sgemm", &blas.sgemm) &&
                  blas_symbol(library, "cblas_dgemm", &blas.dgemm) &&
                  blas_symbol(library, "cblas_sgemv", &blas.sgemv) &&
                  blas_symbol(library, "cblas_dgemv", &blas.dgemv);
}

/* One call at a time in the whole process: a serial OpenBLAS built without locks, as Debian's is,
 * hands one work buffer to two threads (0.3.21: some in a hundred products of size 32 wrong on four
 * threads). Parts that run side by side therefore go to oneDNN when they can. */
static pthread_mutex_t blas_mutex = PTHREAD_MUTEX_INITIALIZER;

/* A vector times a large matrix reads the matrix once: OpenBLAS's products are up to eight times
 * slower at that than its gemv. */
static bool multiply_by_blas(tg_dtype dtype, const tg_matrix *a, const tg_matrix *b, void *c,
                             int64_t ldc)
{
    if (pthread_once(&blas_once, blas_load) != 0 || !blas.loaded) return false;
    const int m = (int)a->rows, n = (int)b->columns, k = (int)a->columns;
    const bool by_rows_a = by_rows(a), by_rows_b = by_rows(b);
    const int lda = (int)(by_rows_a ? a->row : a->column),
              ldb = (int)(by_rows_b ? b->row : b->column);
    const CBLAS_TRANSPOSE ta = by_rows_a ? CblasNoTrans : CblasTrans,
                          tb = by_rows_b ? CblasNoTrans : CblasTrans;
    pthread_mutex_lock(&blas_mutex);
    const bool large = (int64_t)k * (m == 1 ? n : m) >= 65536;
    if (m == 1 && large) {
        const int rows = by_rows_b ? k : n, columns = by_rows_b ? n : k, step = (int)a->column;
        const CBLAS_TRANSPOSE turn = by_rows_b ? CblasTrans : CblasNoTrans;
        if (dtype == TG_F32)
            blas.sgemv(CblasRowMajor, turn, rows, columns, 1, b->data, ldb, a->data, step, 0, c, 1);
        else
            blas.dgemv(CblasRowMajor, turn, rows, columns, 1, b->data, ldb, a->data, step, 0, c, 1);
    } else if (n == 1 && large) {
        const int rows = by_rows_a ? m : k, columns = by_rows_a ? k : m, step = (int)b->row;
        if (dtype == TG_F32)
            blas.sgemv(CblasRowMajor, ta, rows, columns, 1, a->data, lda, b->data, step, 0, c,
                       (int)ldc);
        else
            blas.dgemv(CblasRowMajor, ta, rows, columns, 1, a->data, lda, b->data, step, 0, c,
                       (int)ldc);
    } else if (dtype == TG_F32)
        blas.sgemm(CblasRowMajor, ta, tb, m, n, k, 1, a->data, lda, b->data, ldb, 0, c, (int)ldc);
    else blas.dgemm(CblasRowMajor, ta, tb, m, n, k, 1, a->data, lda, b->data, ldb, 0, c, (int)ldc);
    pthread_mutex_unlock(&blas_mutex);
    return true;
}
#endif

void tg_gemm(tg_dtype dtype, int build, const tg_matrix *a, const tg_matrix *b, void *c,
             int64_t ldc, bool part)
{
    const int64_t m = a->rows, n = b->columns, k = a->columns;
    const bool by_library = !tg_gemm_is_small(m, n, k, b) && library_fits(m, n, k);
#if TG_HAVE_DNNL
    if (by_library && dtype == TG_F32 && (part || is_large(m, n, k)) &&
        multiply_by_dnnl(a, b, c, ldc))
        return;
#else
    (void)part;
#endif
#if TG_HAVE_CBLAS
    if (by_library && multiply_by_blas(dtype, a, b, c, ldc)) return;
#else
    (void)by_library;
#endif
    tg_gemm_small(dtype, build, a, b, c, ldc);
}
