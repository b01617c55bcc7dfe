/* Convolutions of many small images, one image in each lane of a vector, so that no width, stride,
 * padding or kernel leaves lanes idle. Included by conv_kernels.c once for each dtype and build,
 * with T, LANES, TARGET, MADD(a, b, c) = a b + c, SPLAT(a) and NAME(function) defined. Private. */

/* carried: conv_lanes */
typedef T NAME(vector)
    __attribute__((vector_size(LANES * sizeof(T)), aligned(sizeof(T)), may_alias));
#define vector NAME(vector)

#define LOW(a, b) PASTE(TG_LOW_, LANES)(a, b)
#define HIGH(a, b) PASTE(TG_HIGH_, LANES)(a, b)

/* A square transposed: one perfect shuffle for each bit of the index. */
TARGET TG_ALWAYS_INLINE void NAME(turn)(vector *a)
{
    for (int bit = 1; bit < LANES; bit *= 2) {
        vector b[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            b[2 * i] = LOW(a[i], a[i + LANES / 2]);
            b[2 * i + 1] = HIGH(a[i], a[i + LANES / 2]);
        }
        for (int i = 0; i < LANES; i++) a[i] = b[i];
    }
}

/* m elements of each of `images` images, `distance` apart, to y[element][image]; missing images are
 * 0. */
TARGET static void NAME(pack)(const T *x, int64_t distance, int64_t images, int64_t m, vector *y)
{
    for (int64_t e = 0; e < m && m >= LANES; e += LANES) {
        const int64_t at = e < m - LANES ? e : m - LANES;
        vector square[LANES];
        if (images == LANES)
            for (int i = 0; i < LANES; i++) square[i] = *(const vector *)(x + i * distance + at);
        else
            for (int i = 0; i < LANES; i++)
                square[i] = i < images ? *(const vector *)(x + i * distance + at) : (vector){0};
        NAME(turn)(square);
        for (int i = 0; i < LANES; i++) y[at + i] = square[i];
    }
    for (int64_t e = 0; e < m && m < LANES; e++)
        for (int i = 0; i < LANES; i++) y[e][i] = i < images ? x[i * distance + e] : 0;
}

TARGET static void NAME(unpack)(const vector *x, int64_t distance, int64_t images, int64_t m, T *y)
{
    for (int64_t e = 0; e < m && m >= LANES; e += LANES) {
        const int64_t at = e < m - LANES ? e : m - LANES;
        vector square[LANES];
        for (int i = 0; i < LANES; i++) square[i] = x[at + i];
        NAME(turn)(square);
        if (images == LANES)
            for (int i = 0; i < LANES; i++) *(vector *)(y + i * distance + at) = square[i];
        else
            for (int i = 0; i < images; i++) *(vector *)(y + i * distance + at) = square[i];
    }
    for (int64_t e = 0; e < m && m < LANES; e++)
        for (int i = 0; i < images; i++) y[i * distance + e] = x[e][i];
}

/* R channels of P pixels in registers, over all source channels and taps. */
TARGET TG_ALWAYS_INLINE void NAME(pixels)(const int R, const int P, const correlation *k,
                                          const run *row, const run *column, const T *weight,
                                          const T *bias, const vector *source, vector *tile,
                                          int64_t channel)
{
    vector sum[8][4];
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) {
            sum[r][p] = (vector){0};
            if (bias) sum[r][p] = SPLAT(bias[r]);
        }
    const int64_t width = k->source_size[1], rows = row->taps, columns = column->taps;
    const int64_t row_step = k->rows.source_step * width, column_step = k->columns.source_step,
                  apart = k->columns.source_distance;
    const int64_t row_tap = k->rows.tap_step * k->kernel_width, column_tap = k->columns.tap_step,
                  of_channel = k->weight_target;
    const vector *from = source + row->source * width + column->source;
    const T *of = weight + row->tap * k->kernel_width + column->tap;
    for (int64_t s = 0; s < k->source_channels;
         s++, from += k->source_size[0] * width, of += k->weight_source)
        for (int64_t a = 0; a < rows; a++) {
            const vector *x = from + a * row_step;
            const T *w = of + a * row_tap;
            for (int64_t b = 0; b < columns; b++, x += column_step, w += column_tap) {
                vector v[4];
                for (int p = 0; p < P; p++) v[p] = x[p * apart];
                for (int r = 0; r < R; r++) {
                    const vector factor = SPLAT(w[r * of_channel]);
                    for (int p = 0; p < P; p++) sum[r][p] = MADD(factor, v[p], sum[r][p]);
                }
            }
        }
    for (int r = 0; r < R; r++)
        for (int p = 0; p < P; p++) tile[r * channel + p * k->columns.target_distance] = sum[r][p];
}

#define PIXELS(function, R, P)                                                                 \
    TARGET static void NAME(function)(const correlation *k, const run *row, const run *column, \
                                      const T *weight, const T *bias, const vector *source,    \
                                      vector *tile, int64_t channel)                           \
    {                                                                                          \
        NAME(pixels)(R, P, k, row, column, weight, bias, source, tile, channel);               \
    }
PIXELS(pixels_wide, WIDE, 4)
PIXELS(pixels_1_4, 1, 4)
PIXELS(pixels_8_1, 8, 1)
PIXELS(pixels_1_1, 1, 1)
#undef PIXELS

/* Lanes full of images number `part` and following. */
TARGET static void NAME(correlate)(const tg_call *c, void *user, int64_t part)
{
    const correlation *k = user;
    const tg_conv_plan *p = k->plan;
    const int64_t source_pixels = k->source_size[0] * k->source_size[1],
                  target_pixels = k->target_size[0] * k->target_size[1];
    const int64_t height = k->target_size[0], width = k->target_size[1], channel = p->strip * width;
    const int64_t source_image = p->groups * k->source_channels * source_pixels,
                  target_image = p->groups * k->target_channels * target_pixels;
    vector *source = (vector *)((char *)c->scratch + p->table + part * p->part_bytes),
           *tile = source + source_image;
    const int64_t end = lowest(p->n, (part + 1) * p->each * LANES);
    for (int64_t image = part * p->each * LANES; image < end; image += LANES) {
        const int64_t images = lowest(LANES, end - image);
        NAME(pack)
        ((const T *)k->source + image * source_image, source_image, images, source_image, source);
        for (int64_t at = 0; at < p->groups * k->target_channels;) {
            const int64_t group = at / k->target_channels, in_group = at % k->target_channels,
                          channels = lowest(8, k->target_channels - in_group);
            const T *weight =
                (const T *)k->weight + group * k->weight_group + in_group * k->weight_target;
            const T *bias = k->bias ? (const T *)k->bias + at : NULL;
            const vector *x = source + group * k->source_channels * source_pixels;
            for (int64_t first = 0; first < height; first += p->strip) {
                const int64_t rows = lowest(p->strip, height - first);
                for (int64_t i = 0; i < rows; i++)
                    for (int64_t q = 0; q < k->columns.n; q++) {
                        const run *row = &k->rows.runs[first + i], *column = &k->columns.runs[q];
                        vector *y = tile + i * width + column->target;
                        int64_t r = 0;
                        if (column->pixels == 4)
                            for (; r + WIDE <= channels; r += WIDE) NAME(pixels_wide)
                        (k, row, column, weight + r * k->weight_target, bias ? bias + r : NULL, x,
                         y + r * channel, channel);
                        else if (channels == 8)
                        {
                            NAME(pixels_8_1)(k, row, column, weight, bias, x, y, channel);
                            r = 8;
                        }
                        for (; r < channels; r++)
                            (column->pixels == 4 ? NAME(pixels_1_4) : NAME(pixels_1_1))(
                                k, row, column, weight + r * k->weight_target,
                                bias ? bias + r : NULL, x, y + r * channel, channel);
                    }
                for (int64_t r = 0; r < channels; r++) NAME(unpack)
                (tile + r * channel, target_image, images, rows * width,
                 (T *)k->target + image * target_image + (at + r) * target_pixels + first * width);
            }
            at += channels;
        }
    }
}

/* Products of R channels of gy with x at five taps, summed over pixels and added to `sums`, in
 * which a channel's taps follow each other. */
TARGET TG_ALWAYS_INLINE void NAME(taps)(const int R, const weight_sum *k, int64_t rows,
                                        const vector *g, const vector *x, const int64_t *offset,
                                        int taps, vector *sums, bool first)
{
    const int64_t channel = k->plan->strip * k->plan->axis[1].out, width = k->plan->axis[1].out;
    const int64_t step = k->plan->axis[1].stride, row_step = k->plan->axis[0].stride * k->padded[1];
    vector sum[4][5];
    for (int r = 0; r < R; r++)
        for (int p = 0; p < 5; p++) sum[r][p] = (vector){0};
    const int64_t o0 = offset[0], o1 = offset[taps > 1 ? 1 : 0], o2 = offset[taps > 2 ? 2 : 0],
                  o3 = offset[taps > 3 ? 3 : 0], o4 = offset[taps > 4 ? 4 : 0];
    for (int64_t i = 0; i < rows; i++) {
        const vector *z = x + i * row_step;
        for (int64_t j = 0; j < width; j++, z += step, g++) {
            const vector v[5] = {z[o0], z[o1], z[o2], z[o3], z[o4]};
            for (int r = 0; r < R; r++) {
                const vector factor = g[r * channel];
                for (int p = 0; p < 5; p++) sum[r][p] = MADD(factor, v[p], sum[r][p]);
            }
        }
    }
    for (int r = 0; r < R; r++) {
        vector *to = sums + r * k->taps;
        vector all[5];
        for (int p = 0; p < 5; p++) all[p] = sum[r][p];
        if (first)
            for (int p = 0; p < taps; p++) to[p] = all[p];
        else if (taps == 5)
            for (int p = 0; p < 5; p++) to[p] += all[p];
        else
            for (int p = 0; p < taps; p++) to[p] += all[p];
    }
}

#define TAPS(function, R)                                                                 \
    TARGET static void NAME(function)(const weight_sum *k, int64_t rows, const vector *g, \
                                      const vector *x, const int64_t *offset, int taps,   \
                                      vector *sums, bool first)                           \
    {                                                                                     \
        NAME(taps)(R, k, rows, g, x, offset, taps, sums, first);                          \
    }
TAPS(taps_wide, WIDE)
TAPS(taps_1, 1)
#undef TAPS

/* The gradient of the weight over a part's images, lanes added up at the end. */
TARGET static void NAME(weigh)(const tg_call *c, void *user, int64_t part)
{
    const weight_sum *k = user;
    const tg_conv_plan *p = k->plan;
    const tg_conv_axis *h = &p->axis[0], *w = &p->axis[1];
    const int64_t pixels = h->size * w->size, padded = k->padded[0] * k->padded[1],
                  out = h->out * w->out, channel = p->strip * w->out;
    const int64_t c_group = p->c / p->groups, o_group = p->o / p->groups;
    vector *x = (vector *)((char *)c->scratch + p->table + part * p->part_bytes),
           *plain = x + p->c * padded;
    vector *g = padded == pixels ? plain : plain + p->c * pixels, *sums = g + p->o * channel;
    const int64_t begin = part * p->each * LANES, end = lowest(p->n, (part + 1) * p->each * LANES);
    for (int64_t image = begin; image < end; image += LANES) {
        const int64_t images = lowest(LANES, end - image);
        NAME(pack)
        ((const T *)k->x + image * p->c * pixels, p->c * pixels, images, p->c * pixels,
         padded == pixels ? x : plain);
        if (padded != pixels) {
            if (image == begin)
                for (int64_t i = 0; i < p->c * padded; i++) x[i] = (vector){0};
            for (int64_t row = 0; row < p->c * h->size; row++) {
                vector *to = x + row / h->size * padded +
                             (row % h->size + h->padding) * k->padded[1] + w->padding;
                for (int64_t j = 0; j < w->size; j++) to[j] = plain[row * w->size + j];
            }
        }
        for (int64_t first = 0; first < h->out; first += p->strip) {
            const int64_t rows = lowest(p->strip, h->out - first);
            const bool is_first = image == begin && first == 0;
            for (int64_t r = 0; r < p->o; r++) NAME(pack)
            ((const T *)k->gy + (image * p->o + r) * out + first * w->out, p->o * out, images,
             rows * w->out, g + r * channel);
            for (int64_t at = 0, few; at < p->o; at += few) {
                const int64_t group = at / o_group;
                const vector *from =
                    x + group * c_group * padded + first * h->stride * k->padded[1];
                few = (group + 1) * o_group - at >= WIDE ? WIDE : 1;
                for (int64_t tap = 0; tap < k->taps; tap += 5)
                    (few == WIDE ? NAME(taps_wide) : NAME(taps_1))(
                        k, rows, g + at * channel, from, k->offset + tap,
                        (int)lowest(5, k->taps - tap), sums + at * k->taps + tap, is_first);
            }
        }
    }
    const int64_t count = p->o * k->taps;
    for (int64_t i = count; i % LANES; i++) sums[i] = (vector){0};
    for (int64_t i = 0; i < count; i += LANES) {
        vector a[LANES];
        for (int l = 0; l < LANES; l++) a[l] = sums[i + l];
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++) a[l] = LOW(a[l], a[l + half]) + HIGH(a[l], a[l + half]);
        sums[i / LANES] = a[0];
    }
}

#undef LOW
#undef HIGH
#undef vector
/* carried so far */
