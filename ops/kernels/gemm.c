#include "gemm.h"
#include "simd.h"
#include "transpose.h"

/* A tile of c is summed in registers: its rows times VECTORS vectors, less those for a and b. Single
 * vectors want more rows, or the sums wait for each other. */
enum {
    VECTORS = 2,
    WIDTH = VECTORS * LANES,
    ROWS = REGISTERS == 32 ? 14 : 6,
    NARROW_ROWS = REGISTERS == 32 ? 14 : 8,
    MOST_ROWS = 14
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
TILES(4) TILES(5) TILES(6)
#if defined(TG_KERNEL_avx512) || defined(__aarch64__)
    TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#define MORE_NAMES(vectors)                                                                       \
    , tile_7_##vectors, tile_8_##vectors, tile_9_##vectors, tile_10_##vectors, tile_11_##vectors, \
        tile_12_##vectors, tile_13_##vectors, tile_14_##vectors
#else
    TILE(7, 1) TILE(8, 1)
#define tile_7_2 0
#define tile_8_2 0
#define MORE_NAMES(vectors) , tile_7_##vectors, tile_8_##vectors
#endif
        static void (*const tiles[VECTORS][MOST_ROWS])(const work *) = {NAMES(1), NAMES(2)};

/* ---------------------------------------------------------------- copies */

static int64_t lowest(int64_t a, int64_t b) { return a < b ? a : b; }

/* Columns first .. first + width - 1 of depth rows of b, from row p on, to rows of `to` that are
 * WIDTH apart, with zeros up to whole vectors. */
static void copy_panel(const tg_matrix *b, int64_t p, int64_t depth, int64_t first, int64_t width,
                       T *to)
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
    if (whole < width)
        for (int64_t i = 0; i < depth; i++) vec_store(to + i * WIDTH + whole, (vec){0});
    if (b->row == 1) turn(width, depth, from, b->column, to, WIDTH);
    else
        for (int64_t i = 0; i < depth; i++)
            for (int64_t j = 0; j < width; j++)
                to[i * WIDTH + j] = from[i * b->row + j * b->column];
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

/* ---------------------------------------------------------------- few elements */

enum { FEW_ROWS = 3, FEW_DEPTH = 64 };

/* The four sums of `rows` rows times one vector, all in registers. */
INLINE void few_rows(const int rows, const tg_matrix *a, const tg_matrix *b, int64_t i, int64_t j,
                     T *c, int64_t ldc)
{
    T copy[FEW_DEPTH * WIDTH];
    vec sum[4][FEW_ROWS];
    const int64_t k = a->columns, width = lowest(LANES, b->columns - j);
    const bool in_place = b->column == 1 && width == LANES;
    UNROLL
    for (int s = 0; s < 4; s++)
        for (int r = 0; r < rows; r++) sum[s][r] = (vec){0};
    for (int64_t first = 0; first < k; first += FEW_DEPTH) {
        const int64_t depth = lowest(FEW_DEPTH, k - first);
        const T *x = (const T *)a->data + i * a->row + first * a->column,
                *y = (const T *)b->data + first * b->row + j;
        int64_t step = b->row, p = 0;
        if (!in_place) {
            copy_panel(b, first, depth, j, width, copy);
            y = copy;
            step = WIDTH;
        }
        for (; p + 4 <= depth; p += 4) {
            UNROLL
            for (int s = 0; s < 4; s++) {
                const vec z = vec_load(y + (p + s) * step);
                UNROLL
                for (int r = 0; r < rows; r++)
                    sum[s][r] = vec_fma(vec_set(x[r * a->row + (p + s) * a->column]), z, sum[s][r]);
            }
        }
        UNROLL
        for (int s = 0; s < 3; s++) {
            if (p + s >= depth) break;
            const vec z = vec_load(y + (p + s) * step);
            UNROLL
            for (int r = 0; r < rows; r++)
                sum[s][r] = vec_fma(vec_set(x[r * a->row + (p + s) * a->column]), z, sum[s][r]);
        }
    }
    const mask last = mask_first((int)width);
    UNROLL
    for (int r = 0; r < rows; r++) {
        const vec all = (sum[0][r] + sum[1][r]) + (sum[2][r] + sum[3][r]);
        if (width == LANES) vec_store(c + (i + r) * ldc + j, all);
        else vec_store_part(c + (i + r) * ldc + j, last, all);
    }
}

static void few(const tg_matrix *a, const tg_matrix *b, T *c, int64_t ldc)
{
    const int64_t m = a->rows, n = b->columns;
    for (int64_t j = 0; j < n; j += LANES)
        for (int64_t i = 0; i < m; i += m - i == 4 ? 2 : FEW_ROWS) {
            switch (m - i == 4 ? 2 : lowest(FEW_ROWS, m - i)) {
            case 1: few_rows(1, a, b, i, j, c, ldc); break;
            case 2: few_rows(2, a, b, i, j, c, ldc); break;
            default: few_rows(3, a, b, i, j, c, ldc);
            }
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

void TG_KERNEL(tg_gemm)(const tg_matrix *a, const tg_matrix *b, void *c, int64_t ldc,
                        bool interleaved, void *scratch)
{
    const int64_t m = a->rows, n = b->columns, k = a->columns;
    if (interleaved) {
        few(a, b, c, ldc);
        return;
    }
    enum { COLUMNS = GEMM_PANELS * WIDTH, LINE = GEMM_LINE / sizeof(T) };
    const int64_t depths = k <= GEMM_DEPTH + GEMM_DEPTH / 2 ? 1 : (k + GEMM_DEPTH - 1) / GEMM_DEPTH,
                  depth = (k + depths - 1) / depths;
    const bool copy_b = b->column != 1 || m > 24 || n % LANES,
               copy_a = (a->row != 1 && a->column != 1) || (a->row == 1 && n > WIDTH && m > ROWS);
    T *const panels = scratch;
    for (int64_t j = 0; j < n; j += COLUMNS) {
        block at = {.columns = lowest(COLUMNS, n - j), .copied_a = copy_a};
        const int64_t whole = at.columns / WIDTH, panel_count = (at.columns + WIDTH - 1) / WIDTH;
        for (int64_t p = 0; p < k; p += depth) {
            const int64_t d = lowest(depth, k - p);
            at.w = (work){.depth = d, .c_row = ldc, .resume = p > 0, .far = m * ldc > 65536};
            at.panel = WIDTH;
            at.w.b = (const T *)b->data + p * b->row + j;
            at.w.b_step = b->row;
            if (copy_b) {
                at.panel = d * WIDTH + LINE;
                at.w.b = panels;
                at.w.b_step = WIDTH;
                const bool together = b->column == 1;
                if (together) copy_panels(b, p, d, j, whole, at.panel, panels);
                for (int64_t q = together ? whole : 0; q < panel_count; q++)
                    copy_panel(b, p, d, j + q * WIDTH, lowest(WIDTH, at.columns - q * WIDTH),
                               panels + q * at.panel);
            }
            T *const strips = panels + (copy_b ? panel_count * (depth * WIDTH + LINE) : 0);
            const int64_t tall = copy_a ? GEMM_TALL : m;
            for (int64_t i = 0; i < m; i += tall) {
                at.rows = lowest(tall, m - i);
                at.w.a = (const T *)a->data + i * a->row + p * a->column;
                at.w.a_row = a->row;
                at.w.a_step = a->column;
                if (copy_a) {
                    at.strip = d * ROWS + LINE;
                    at.w.a = strips;
                    at.w.a_row = 1;
                    at.w.a_step = ROWS;
                    copy_strips(a, i, at.rows, p, d, at.strip, strips);
                }
                at.w.c = (T *)c + i * ldc + j;
                /* Rows that follow each other closely may overflow into those yet to be written. */
                const int64_t vectors = at.columns > LANES ? 2 : 1, over = vectors * LANES;
                at.whole = p == 0 && n <= WIDTH && ldc == n && m * ldc >= over
                               ? (m * ldc - over) / ldc + 1 - i
                               : 0;
                multiply_block(&at, copy_b);
            }
        }
    }
}
