#include "gemm.h"
#include "simd.h"
#include "transpose.h"

/* A tile of c is summed in registers: its rows times VECTORS vectors, less those for a and b.
 * Single vectors want more rows, or the sums wait for each other. */
enum {
    VECTORS = 2,
    WIDTH = VECTORS * LANES,
    ROWS = REGISTERS == 32 ? 14 : 6,
    NARROW_ROWS = REGISTERS == 32 ? 14 : 8,
    MOST_ROWS = 14,
    LINE = GEMM_LINE / sizeof(T)
};

/* Part of a product, for `depth` of k. */
typedef struct work {
    int64_t depth;
    const T *a;
    int64_t a_row, a_step; /* from row to row, along k */
    const T *b;
    int64_t b_step;
    T *c;
    int64_t c_row;
    bool resume; /* c holds the sums so far */
    bool far;    /* c is not in cache */
} work;

/* The rows of a are addressed by threes, from a pointer for each. */
INLINE void tile(const int rows, const int vectors, const work *w)
{
    vec sum[MOST_ROWS][VECTORS];
    const T *row[(MOST_ROWS + 2) / 3], *b = w->b;
    const int64_t a_row = w->a_row, a_step = w->a_step, b_step = w->b_step, c_row = w->c_row;
    T *c = w->c;
    UNROLL
    for (int i = 0; i < rows; i++) {
        if (i % 3 == 0) row[i / 3] = w->a + i * a_row;
        UNROLL
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = w->resume ? vec_load(c + i * c_row + v * LANES) : (vec){0};
        }
    }
    if (w->far) {
        UNROLL
        for (int i = 0; i < rows; i++) __builtin_prefetch(c + i * c_row, 1);
    }
    for (int64_t p = 0; p < w->depth; p++) {
        vec x[VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++) x[v] = vec_load(b + v * LANES);
        b += b_step;
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vec z = vec_set(row[i / 3][i % 3 * a_row]);
            UNROLL
            for (int v = 0; v < vectors; v++) sum[i][v] = vec_fma(z, x[v], sum[i][v]);
        }
        UNROLL
        for (int i = 0; i < rows; i += 3) row[i / 3] += a_step;
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) vec_store(c + i * c_row + v * LANES, sum[i][v]);
    }
}

#define TILE(rows, vectors) \
    static void tile_##rows##_##vectors(const work *w) { tile(rows, vectors, w); }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2)
#define NAMES(vectors)                                                                            \
    {                                                                                             \
        tile_1_##vectors, tile_2_##vectors, tile_3_##vectors, tile_4_##vectors, tile_5_##vectors, \
            tile_6_##vectors MORE_NAMES(vectors)                                                  \
    }
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
#if defined(TG_KERNEL_avx512) || defined(__aarch64__)
TILES(7)
TILES(8)
TILES(9)
TILES(10)
TILES(11)
TILES(12)
TILES(13)
TILES(14)
#define MORE_NAMES(vectors)                                                                       \
    , tile_7_##vectors, tile_8_##vectors, tile_9_##vectors, tile_10_##vectors, tile_11_##vectors, \
        tile_12_##vectors, tile_13_##vectors, tile_14_##vectors
#else
TILE(7, 1)
TILE(8, 1)
#define tile_7_2 0
#define tile_8_2 0
#define MORE_NAMES(vectors) , tile_7_##vectors, tile_8_##vectors
#endif
static void (*const tiles[VECTORS][MOST_ROWS])(const work *) = {NAMES(1), NAMES(2)};

/* ---------------------------------------------------------------- copies */

static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }

/* Columns first .. first + width - 1 of depth rows of b, from row p on, to rows of `to` that are
 * WIDTH apart. What fills the last vector is never used. */
static __attribute__((noinline)) void copy_panel(const tg_matrix *b, int64_t p, int64_t depth,
                                                 int64_t first, int64_t width, T *to)
{
    const T *from = (const T *)b->data + p * b->row + first * b->column;
    const int64_t whole = width / LANES * LANES;
    const mask rest = mask_first((int)(width - whole));
    if (b->column == 1) {
        for (int64_t i = 0; i < depth; i++) {
            for (int64_t j = 0; j < whole; j += LANES)
                vec_store(to + i * WIDTH + j, vec_load(from + i * b->row + j));
            if (whole < width)
                vec_store(to + i * WIDTH + whole, vec_load_part(from + i * b->row + whole, rest));
        }
        return;
    }
    if (b->row == 1) {
        turn(width, depth, from, b->column, to, WIDTH);
        return;
    }
    for (int64_t i = 0; i < depth; i++) {
        if (whole < width) vec_store(to + i * WIDTH + whole, (vec){0});
        for (int64_t j = 0; j < width; j++) to[i * WIDTH + j] = from[i * b->row + j * b->column];
    }
}

/* Panels side by side, of b with contiguous rows: four rows at a time. */
static void copy_panels(const tg_matrix *b, int64_t p, int64_t depth, int64_t first, int64_t panels,
                        int64_t panel, T *to)
{
    const T *from = (const T *)b->data + p * b->row + first;
    for (int64_t i = 0; i < depth; i += 4)
        for (int64_t q = 0; q < panels; q++)
            for (int64_t r = i; r < lowest(i + 4, depth); r++) {
                UNROLL
                for (int v = 0; v < VECTORS; v++)
                    vec_store(to + q * panel + r * WIDTH + v * LANES,
                              vec_load(from + r * b->row + q * WIDTH + v * LANES));
            }
}

static void copy_b(const tg_matrix *b, int64_t p, int64_t depth, int64_t first, int64_t columns,
                   int64_t panel, T *to)
{
    const int64_t together = b->column == 1 ? columns / WIDTH : 0;
    copy_panels(b, p, depth, first, together, panel, to);
    for (int64_t q = together; q * WIDTH < columns; q++)
        copy_panel(b, p, depth, first + q * WIDTH, lowest(WIDTH, columns - q * WIDTH),
                   to + q * panel);
}

/* Rows first .. of a in strips of ROWS rows, along k: a strip's step is ROWS. */
static void copy_strips(const tg_matrix *a, int64_t first, int64_t rows, int64_t p, int64_t depth,
                        int64_t strip, T *to)
{
    const T *from = (const T *)a->data + first * a->row + p * a->column;
    const int64_t safe = a->row == 1 ? rows - (ROWS + LANES - 1) / LANES * LANES + 1 : 0;
    for (int64_t q = 0; q < depth; q++)
        for (int64_t i = 0; i < rows; i += ROWS) {
            const T *x = from + i * a->row + q * a->column;
            T *y = to + i / ROWS * strip + q * ROWS;
            if (i < safe) {
                UNROLL
                for (int r = 0; r < ROWS; r += LANES) vec_store(y + r, vec_load(x + r));
            } else
                for (int64_t r = 0; r < lowest(ROWS, rows - i); r++) y[r] = x[r * a->row];
        }
}

/* ---------------------------------------------------------------- interleaved sums */

/* Vectors along k hold the sums of one column, or of a PAIR of them, in PARTS. */
enum {
    SUMS = 8,
    PAIR = LANES > SUMS ? LANES / SUMS : 1,
    PARTS = LANES > SUMS ? 1 : SUMS / LANES,
    GROUP = 4 * PAIR, /* columns at a time */
    BLOCK = 8,
    FEW_DEPTH = 64
};

/* How many rows of b, a multiple of SUMS or all, can be read a vector wide from column j on. */
static int64_t readable(const tg_matrix *b, int64_t j)
{
    const int64_t k = b->rows, n = b->columns, behind = (k - 1) * b->row + n - j - LANES;
    if (b->column != 1) return 0;
    return n - j >= LANES ? k : behind < 0 ? 0 : (behind / b->row + 1) / SUMS * SUMS;
}

/* A vector of columns from j on, each of its sums in a register. */
static void row_times_columns(const T *x, int64_t x_step, const tg_matrix *b, int64_t j, T *c)
{
    T copy[FEW_DEPTH * WIDTH];
    vec sum[SUMS];
    const int64_t k = b->rows, width = lowest(LANES, b->columns - j), in_place = readable(b, j);
    UNROLL
    for (int s = 0; s < SUMS; s++) sum[s] = (vec){0};
    for (int64_t first = 0, depth; first < k; first += depth) {
        const T *y = (const T *)b->data + first * b->row + j, *z = x + first * x_step;
        int64_t step = b->row, p = 0;
        depth = in_place - first;
        if (first >= in_place) {
            depth = lowest(FEW_DEPTH, k - first);
            copy_panel(b, first, depth, j, width, copy);
            y = copy;
            step = WIDTH;
        }
        for (; p + SUMS <= depth; p += SUMS) {
            UNROLL
            for (int s = 0; s < SUMS; s++)
                sum[s] =
                    vec_fma(vec_set(z[(p + s) * x_step]), vec_load(y + (p + s) * step), sum[s]);
        }
        UNROLL
        for (int s = 0; s < SUMS - 1; s++) {
            if (p + s >= depth) break;
            sum[s] = vec_fma(vec_set(z[(p + s) * x_step]), vec_load(y + (p + s) * step), sum[s]);
        }
    }
    UNROLL
    for (int half = SUMS / 2; half >= 1; half /= 2)
        for (int s = 0; s < half; s++) sum[s] += sum[s + half];
    if (width == LANES) vec_store(c + j, sum[0]);
    else vec_store_part(c + j, mask_first((int)width), sum[0]);
}

/* BLOCK vectors of columns from j on: b's rows are read in pieces long enough to be fetched ahead,
 * and the sums stay in the first level of cache. */
static void row_times_block(const T *x, int64_t x_step, const tg_matrix *b, int64_t j, T *c)
{
    T sum[SUMS][BLOCK * LANES];
    const int64_t k = b->rows;
    for (int s = 0; s < SUMS; s++)
        for (int l = 0; l < BLOCK * LANES; l += LANES) vec_store(sum[s] + l, (vec){0});
    for (int64_t first = 0; first < k; first += SUMS) {
        const int64_t depth = lowest(SUMS, k - first);
        for (int64_t s = 0; s < depth; s++) {
            const T *y = (const T *)b->data + (first + s) * b->row + j;
            const vec z = vec_set(x[(first + s) * x_step]);
            UNROLL
            for (int v = 0; v < BLOCK; v++) {
                T *at = sum[s] + v * LANES;
                vec_store(at, vec_fma(z, vec_load(y + v * LANES), vec_load(at)));
            }
        }
    }
    for (int half = SUMS / 2; half >= 1; half /= 2)
        for (int s = 0; s < half; s++)
            for (int l = 0; l < BLOCK * LANES; l++) sum[s][l] += sum[s + half][l];
    for (int l = 0; l < BLOCK * LANES; l += LANES) vec_store(c + j + l, vec_load(sum[0] + l));
}

INLINE vec load_pair(const T *p, int64_t apart)
{
#if LANES > 8
    typedef T half __attribute__((vector_size(BYTES / 2), aligned(sizeof(T)), may_alias));
    return JOIN_8(*(const half *)p, *(const half *)(p + apart));
#else
    (void)apart;
    return vec_load(p);
#endif
}

/* GROUP columns from j on, or as many as there are, each without gaps, and x too. */
static void row_times_group(const T *x, const tg_matrix *b, int64_t j, T *c)
{
    const int64_t k = b->rows, count = lowest(GROUP, b->columns - j);
    const T *y[4];
    int64_t apart[4];
    T lane[GROUP][SUMS];
    vec sum[4][PARTS];
    int64_t p = 0;
    UNROLL
    for (int g = 0; g < 4; g++) {
        const int64_t first = lowest(g * PAIR, count - 1);
        y[g] = (const T *)b->data + (j + first) * b->column;
        apart[g] = first + 1 < count ? b->column : 0;
        for (int q = 0; q < PARTS; q++) sum[g][q] = (vec){0};
    }
    for (; p + SUMS <= k; p += SUMS) {
        UNROLL
        for (int q = 0; q < PARTS; q++) {
            const vec z = load_pair(x + p + q * LANES, 0);
            UNROLL
            for (int g = 0; g < 4; g++)
                sum[g][q] = vec_fma(z, load_pair(y[g] + p + q * LANES, apart[g]), sum[g][q]);
        }
    }
    UNROLL
    for (int g = 0; g < 4; g++)
        for (int q = 0; q < PARTS; q++) vec_store(lane[g * PAIR] + q * LANES, sum[g][q]);
    for (int64_t l = 0; l < count; l++) {
        const T *column = (const T *)b->data + (j + l) * b->column;
        T *s = lane[l];
        for (int64_t r = p; r < k; r++) s[r - p] = fma_one(x[r], column[r], s[r - p]);
        c[j + l] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    }
}

static tg_matrix turned(const tg_matrix *m)
{
    return (tg_matrix){m->data, m->columns, m->rows, m->column, m->row};
}

/* Row by row; a column without gaps is computed as a row. */
static void few(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)
{
    if (b->columns == 1 && ldc == 1 && a->rows > 1) {
        const tg_matrix row = turned(b), rest = turned(a);
        few(&row, &rest, c, a->rows);
        return;
    }
    const int64_t n = b->columns;
    const bool along = a->column == 1 && b->row == 1;
    for (int64_t i = 0; i < a->rows; i++, c += ldc) {
        const T *x = (const T *)a->data + i * a->row;
        int64_t j = 0;
        for (; along && j < n; j += GROUP) row_times_group(x, b, j, c);
        for (; b->column == 1 && j + BLOCK * LANES <= n; j += BLOCK * LANES)
            row_times_block(x, a->column, b, j, c);
        for (; j < n; j += LANES) row_times_columns(x, a->column, b, j, c);
    }
}

/* ---------------------------------------------------------------- few columns, and small k */

enum { THIN_DEPTH = 8 };

/* Rows of one vector, b in registers. Those that follow each other closely overflow into the next
 * ones. */
INLINE void thin_rows(const int depth, const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)
{
    vec y[THIN_DEPTH];
    T copy[THIN_DEPTH * WIDTH];
    const int64_t m = a->rows, n = b->columns, a_row = a->row, a_step = a->column,
                  whole = n == LANES                   ? m
                          : ldc == n && m * n >= LANES ? (m * n - LANES) / n + 1
                                                       : 0;
    const mask last = mask_first((int)n);
    const T *x = a->data;
    copy_panel(b, 0, depth, 0, n, copy);
    UNROLL
    for (int p = 0; p < depth; p++) y[p] = vec_load(copy + p * WIDTH);
    for (int64_t i = 0; i < m; i++, x += a_row) {
        vec sum = {0};
        UNROLL
        for (int p = 0; p < depth; p++) sum = vec_fma(vec_set(x[p * a_step]), y[p], sum);
        if (i < whole) vec_store(c + i * ldc, sum);
        else vec_store_part(c + i * ldc, last, sum);
    }
}

static void thin(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)
{
    switch (a->columns) {
    case 1: thin_rows(1, a, b, c, ldc); return;
    case 2: thin_rows(2, a, b, c, ldc); return;
    case 3: thin_rows(3, a, b, c, ldc); return;
    case 4: thin_rows(4, a, b, c, ldc); return;
    case 5: thin_rows(5, a, b, c, ldc); return;
    case 6: thin_rows(6, a, b, c, ldc); return;
    case 7: thin_rows(7, a, b, c, ldc); return;
    default: thin_rows(8, a, b, c, ldc);
    }
}

/* ---------------------------------------------------------------- the product */

/* A block of c: rows of `a` in strips, columns of b in panels, both as the work says. */
typedef struct block {
    work w;
    int64_t rows, columns; /* of c */
    int64_t strip, panel;  /* from one strip of a to the next, and of b */
    int64_t whole;         /* so many rows may overflow into the next ones */
    bool copied_a;         /* in strips of ROWS rows */
} block;

/* Columns of a row, as many as are whole vectors, and then some more. */
INLINE void copy_row(const T *x, int64_t width, T *y)
{
    int64_t j = 0;
    for (; j + LANES <= width; j += LANES) vec_store(y + j, vec_load(x + j));
    for (; j < width; j++) y[j] = x[j];
}

static void strip_times_panel(const block *k, int64_t i, int64_t height, int64_t panel)
{
    work w = k->w;
    const int64_t width = lowest(WIDTH, k->columns - panel * WIDTH),
                  vectors = width > LANES ? 2 : 1;
    w.a += k->copied_a ? i / ROWS * k->strip : i * w.a_row;
    w.b += panel * k->panel;
    w.c += i * w.c_row + panel * WIDTH;
    if (width == vectors * LANES || i + height <= k->whole) {
        tiles[vectors - 1][height - 1](&w);
        return;
    }
    T edge[MOST_ROWS * WIDTH], *const c = w.c;
    for (int64_t r = 0; w.resume && r < height; r++)
        copy_row(c + r * w.c_row, width, edge + r * WIDTH);
    const int64_t c_row = w.c_row;
    w.c = edge;
    w.c_row = WIDTH;
    tiles[vectors - 1][height - 1](&w);
    for (int64_t r = 0; r < height; r++) copy_row(edge + r * WIDTH, width, c + r * c_row);
}

/* Strips of equal height, but for those that were copied. A strip meets all panels while it is in
 * the first level of cache, if they were copied to lie in the second; else a panel all strips. */
static void multiply_block(block *k, bool copied_b)
{
    const int64_t most = k->columns <= LANES && !k->copied_a ? NARROW_ROWS : ROWS,
                  strips = (k->rows + most - 1) / most, panels = (k->columns + WIDTH - 1) / WIDTH;
    const int64_t outer = copied_b ? 1 : panels, inner = copied_b ? panels : 1;
    for (int64_t q = 0; q < outer; q++)
        for (int64_t s = 0, i = 0; s < strips; s++) {
            const int64_t height = k->copied_a ? lowest(ROWS, k->rows - i)
                                               : (k->rows - i + strips - s - 1) / (strips - s);
            for (int64_t panel = q; panel < q + inner; panel++)
                strip_times_panel(k, i, height, panel);
            i += height;
        }
}

/* Are strips of a copied? Columns only when they are read often. */
static bool wants_strips(const tg_matrix *a, int64_t columns)
{
    return tg_gemm_copies(a, sizeof(T)) && (a->row != 1 || (a->rows > ROWS && columns > 4 * WIDTH));
}

/* All of c that rows `at` of a meet, for `depth` of k from p on. */
static void multiply_rows(block *at, const tg_matrix *b, int64_t p, bool copied, T *c, T *panels)
{
    const int64_t n = b->columns, ldc = at->w.c_row;
    for (int64_t j = 0; j < n; j += GEMM_PANELS * WIDTH) {
        at->columns = lowest(GEMM_PANELS * WIDTH, n - j);
        at->w.c = c + j;
        if (copied) {
            at->panel = at->w.depth * WIDTH + LINE;
            at->w.b = panels;
            at->w.b_step = WIDTH;
            copy_b(b, p, at->w.depth, j, at->columns, at->panel, panels);
        } else {
            at->panel = WIDTH;
            at->w.b = (const T *)b->data + p * b->row + j;
            at->w.b_step = b->row;
        }
        /* Rows that follow each other closely may overflow into those yet to be written. */
        const int64_t over = at->columns > LANES ? WIDTH : LANES;
        at->whole = !at->w.resume && n <= WIDTH && ldc == n && at->rows * ldc >= over
                        ? (at->rows * ldc - over) / ldc + 1
                        : 0;
        multiply_block(at, copied);
    }
}

void TG_KERNEL(tg_gemm)(const tg_matrix *a, const tg_matrix *b, void *c, int64_t ldc,
                        bool interleaved, void *scratch)
{
    const int64_t m = a->rows, n = b->columns, k = a->columns;
    if (interleaved) {
        few(a, b, c, ldc);
        return;
    }
    if (n <= LANES && k <= THIN_DEPTH) {
        thin(a, b, c, ldc);
        return;
    }
    const int64_t depths = k <= GEMM_DEPTH + GEMM_DEPTH / 2 ? 1 : (k + GEMM_DEPTH - 1) / GEMM_DEPTH,
                  depth = (k + depths - 1) / depths;
    /* The first rows of b may be read in place, where copying would not pay. */
    const int64_t in_place = m <= 24 ? readable(b, n - 1 - (n - 1) % LANES) : 0;
    const bool strips = wants_strips(a, n);
    const int64_t tall = strips ? GEMM_TALL : m;
    T *const panels = scratch, *const copy = panels + lowest(GEMM_PANELS, (n + WIDTH - 1) / WIDTH) *
                                                          (depth * WIDTH + LINE);
    for (int64_t p = 0, d; p < k; p += d) {
        const bool copied = p >= in_place;
        d = copied ? lowest(depth, k - p) : lowest(depth, in_place - p);
        for (int64_t i = 0; i < m; i += tall) {
            block at = {.rows = lowest(tall, m - i), .copied_a = strips};
            at.w = (work){.depth = d,
                          .a = (const T *)a->data + i * a->row + p * a->column,
                          .a_row = a->row,
                          .a_step = a->column,
                          .c_row = ldc,
                          .resume = p > 0,
                          .far = m * ldc > 65536};
            if (strips) {
                at.strip = d * ROWS + LINE;
                copy_strips(a, i, at.rows, p, d, at.strip, copy);
                at.w.a = copy;
                at.w.a_row = 1;
                at.w.a_step = ROWS;
            }
            multiply_rows(&at, b, p, copied, (T *)c + i * ldc, panels);
        }
    }
}
