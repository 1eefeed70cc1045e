/* Making a scorer of pairs, and the scores of a picture from the sums of the kernels. */
#include "pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PAIR_SIDE = 8192 };

static const pair_kernels *kernels_of(int set) {
#ifdef K150K_X86
    static const pair_kernels *const SETS[] = {&pairs_plain, &pairs_avx2, &pairs_avx512};
#else
    static const pair_kernels *const SETS[] = {&pairs_plain};
#endif
    return SETS[set];
}

/* ---- constants of a size ------------------------------------------------------------------ */

/* The reciprocal of the smallest wavelet coefficient that is seen, on a display of 1080 rows from
 * three times its height (Watson, Yang, Solomon and Villasenor, 1997, their formulas 1, 7 and 9 and
 * the tables for luma). It is rounded where libvmaf rounds it. */
static float sensitivity(int scale, int diagonal) {
    static const double AMPLITUDES[PAIR_SCALES][2] = {
        {0.67234, 0.72709}, {0.41317, 0.49428}, {0.22727, 0.28688}, {0.11792, 0.15214}};
    const float a = 0.495f, k = 0.466f, f = 0.401f, g = diagonal ? 0.534f : 1.0f;
    const float resolution = (float)(3.0 * 1080 * 3.14159265358979323846 / 180.0);
    const float amplitude = (float)AMPLITUDES[scale][diagonal];
    const float octaves = (float)log10(pow(2.0, scale + 1) * f * g / resolution);
    const float step = (float)(2.0 * a * pow(10.0, k * octaves * octaves) / amplitude);
    return 1.0f / step;
}

static void set_band(k150k_pairs *p, int scale) {
    adm_scale *a = p->adm + scale;
    a->width = ((scale ? a[-1].width : p->width) + 1) / 2;
    a->height = ((scale ? a[-1].height : p->height) + 1) / 2;
    a->stride = (a->width + MARGIN + 15) & ~15;
    a->left = (int)(a->width * 0.1 - 0.5);
    a->top = (int)(a->height * 0.1 - 0.5);
    a->right = a->width - a->left;
    a->bottom = a->height - a->top;
    for (int o = 0; o < ORIENTATIONS; o++) {
        a->weight[o] = sensitivity(scale, o == 2);
        a->sensitivity[o] = scale ? (uint32_t)(a->weight[o] * 4294967296.) : o == 2 ? 49417 : 36453;
    }
}

static void set_sizes(k150k_pairs *p) {
    for (int scale = 0; scale < PAIR_SCALES; scale++) {
        vif_scale *v = p->vif + scale;
        v->width = p->width >> scale;
        v->height = p->height >> scale;
        v->padded = (v->width + 31) & ~31;
        v->stride = v->padded + 2 * MARGIN;
        set_band(p, scale);
    }
}

/* The filters must find all rows that they mirror, and no score may include an edge. */
static int can_be_paired(const k150k_pairs *p) {
    const adm_scale *coarsest = p->adm + PAIR_SCALES - 1;
    return coarsest->left >= 1 && coarsest->top >= 1;
}

/* libvmaf rounds its logarithms to 1/2048. */
static void fill_curve(k150k_pairs *p) {
    for (int i = 0; i < LOG_UNIT; i++) {
        const int logarithm = (int)roundf(log2f((float)(LOG_UNIT + i)) * 2048) - 15 * 2048;
        p->curve[i] = (uint16_t)(logarithm * (LOG_UNIT / 2048) - i);
    }
}

/* ---- making and using a scorer ------------------------------------------------------------ */

static void lay_out_vif(k150k_pairs *p, arena *from) {
    const size_t row = (size_t)p->vif->stride;
    for (int scale = 0; scale < PAIR_SCALES; scale++) {
        vif_scale *v = p->vif + scale;
        const size_t size = (size_t)v->stride * (size_t)v->height;
        v->reference = take(from, size, sizeof *v->reference);
        v->distorted = take(from, size, sizeof *v->distorted);
        v->mean = take(from, size, sizeof *v->mean);
        v->variance = take(from, size, sizeof *v->variance);
    }
    p->samples = take(from, (FARTHEST + 1) * row, sizeof *p->samples);
    p->curve = take(from, LOG_UNIT, sizeof *p->curve);
    for (int i = 0; i < STREAMS; i++)
        p->row_sums[i] = take(from, row, sizeof *p->row_sums[i]);
    for (int i = 0; i < 2; i++) {
        p->high[i] = take(from, (FARTHEST + 1) * row, sizeof *p->high[i]);
        p->low[i] = take(from, (FARTHEST + 1) * row, sizeof *p->low[i]);
        p->moments[i] = take(from, row, sizeof *p->moments[i]);
        p->mantissas[i] = take(from, row + MARGIN, sizeof *p->mantissas[i]);
        for (int k = 0; k < STREAMS; k++)
            p->column_sums[i][k] = take(from, row + MARGIN, sizeof *p->column_sums[i][k]);
    }
}

static void lay_out_adm(k150k_pairs *p, arena *from) {
    for (int scale = 0; scale < PAIR_SCALES; scale++) {
        adm_scale *a = p->adm + scale;
        const size_t size = (size_t)a->stride * (size_t)a->height;
        for (int o = 0; o < ORIENTATIONS; o++) {
            a->reference[o] = take(from, size, sizeof *a->reference[o]);
            a->distorted[o] = take(from, size, sizeof *a->distorted[o]);
            a->reciprocal[o] = take(from, size, sizeof *a->reciprocal[o]);
            a->shift[o] = take(from, size, sizeof *a->shift[o]);
        }
        for (int i = 0; i < 2; i++)
            a->approximation[i] = take(from, size, sizeof *a->approximation[i]);
    }
    const size_t row = (size_t)p->vif->stride + MARGIN;
    for (int i = 0; i < ADM_ROWS; i++) {
        adm_row *r = p->adm_rows + i;
        for (int o = 0; o < ORIENTATIONS; o++)
            r->restored[o] = take(from, row, sizeof *r->restored[o]);
        r->impairment = take(from, row, sizeof *r->impairment);
        r->own = take(from, row, sizeof *r->own);
    }
    p->low_pass = take(from, row, sizeof *p->low_pass);
    p->high_pass = take(from, row, sizeof *p->high_pass);
    p->narrow_low_pass = take(from, row, sizeof *p->narrow_low_pass);
    p->narrow_high_pass = take(from, row, sizeof *p->narrow_high_pass);
}

static void lay_out_pairs(k150k_pairs *p, arena *from) {
    lay_out_vif(p, from);
    lay_out_adm(p, from);
}

k150k_pairs *k150k_pairs_new(int width, int height, int set) {
    if (width < 1 || height < 1 || width > MOST_PAIR_SIDE || height > MOST_PAIR_SIDE) return NULL;
    const int number = choose_set(set);
    k150k_pairs *p = number < 0 ? NULL : calloc(1, sizeof *p);
    if (!p) return NULL;
    p->width = width;
    p->height = height;
    p->kernels = kernels_of(number);
    set_sizes(p);
    arena from = {NULL, 0};
    lay_out_pairs(p, &from);
    if (can_be_paired(p)) p->memory = from.memory = calloc(from.used + 64, 1);
    if (!p->memory) {
        free(p);
        return NULL;
    }
    from.memory = (char *)(((uintptr_t)from.memory + 63) & ~(uintptr_t)63);
    from.used = 0;
    lay_out_pairs(p, &from);
    for (int i = 0; i < 2 * STREAMS; i++) p->column_sums[i / STREAMS][i % STREAMS] += MARGIN;
    for (int i = 0; i < 2; i++) p->mantissas[i] += MARGIN;
    p->low_pass += 16;
    p->high_pass += 16;
    p->narrow_low_pass += 16;
    p->narrow_high_pass += 16;
    fill_curve(p);
    return p;
}

void k150k_pairs_free(k150k_pairs *p) {
    if (p) free(p->memory);
    free(p);
}

/* ---- scores ------------------------------------------------------------------------------- */

/* Pool the cubes of a band, given in libvmaf's units; a little is added as noise. */
static float pool(const adm_scale *a, const float cubes[ORIENTATIONS]) {
    const int area = (a->bottom - a->top) * (a->right - a->left);
    float sum[ORIENTATIONS];
    for (int o = 0; o < ORIENTATIONS; o++)
        sum[o] = powf(cubes[o], 1.0f / 3.0f) + powf((float)(area * 0.03125), 1.0f / 3.0f);
    return sum[0] + sum[1] + sum[2];
}

static int bits_of(int number) { return number > 1 ? 32 - __builtin_clz((unsigned)number - 1) : 0; }

static float pool_reference(const adm_scale *a, int scale, const uint64_t sums[ORIENTATIONS]) {
    static const int unit[PAIR_SCALES] = {18, 32, 27, 23};
    const int columns = a->right - a->left, rows = a->bottom - a->top;
    const int area_bits = bits_of(columns * rows) - 20;
    const int shift = scale ? bits_of(columns) + bits_of(rows) : area_bits > 0 ? area_bits : 0;
    float cubes[ORIENTATIONS];
    for (int o = 0; o < ORIENTATIONS; o++)
        cubes[o] = (float)((double)sums[o] / pow(2, unit[scale] - shift) * pow(a->weight[o], 3));
    return pool(a, cubes);
}

static float pool_distorted(const adm_scale *a, int scale, const int64_t sums[ORIENTATIONS]) {
    static const int unit[PAIR_SCALES] = {0, 45, 39, 36};
    const int shift = bits_of(a->width) + bits_of(a->height);
    float cubes[ORIENTATIONS];
    for (int o = 0; o < ORIENTATIONS; o++) {
        const int exponent = scale ? unit[scale] - shift : (o == 2 ? 60 : 56) - shift;
        cubes[o] = scale ? (float)sums[o] / (float)pow(2, exponent)
                         : (float)((double)sums[o] / pow(2, exponent));
    }
    return pool(a, cubes);
}

void k150k_pairs_reference(k150k_pairs *p, const void *luma, ptrdiff_t stride) {
    vif_scale *v = p->vif;
    p->kernels->widen(luma, stride, p->width, p->height, v->reference, v->stride);
    for (int scale = 0; scale < PAIR_SCALES; scale++) {
        if (scale) p->kernels->halve(p, scale - 1, v[scale - 1].reference, v[scale].reference);
        p->kernels->vif_reference(p, scale);
        uint64_t cubes[ORIENTATIONS];
        p->kernels->wavelet(p, scale, 0);
        p->kernels->adm_reference(p, scale, cubes);
        p->adm[scale].detail = pool_reference(p->adm + scale, scale, cubes);
    }
}

static double vif_score(const vif_scale *v, vif_sums sums) {
    const double flat = (double)v->flat - (double)sums.flat_variance / 16384.0 / 65025.0;
    const float kept = (float)((double)sums.information / LOG_UNIT + flat);
    const float all = (float)((double)v->information / LOG_UNIT + (double)v->flat);
    return (double)(kept / all);
}

void k150k_pairs_distorted(k150k_pairs *p, const void *luma, ptrdiff_t stride, double *scores) {
    vif_scale *v = p->vif;
    double kept = 0, all = 0;
    p->kernels->widen(luma, stride, p->width, p->height, v->distorted, v->stride);
    for (int scale = 0; scale < PAIR_SCALES; scale++) {
        if (scale) p->kernels->halve(p, scale - 1, v[scale - 1].distorted, v[scale].distorted);
        scores[scale] = vif_score(v + scale, p->kernels->vif_distorted(p, scale));
        int64_t cubes[ORIENTATIONS];
        p->kernels->wavelet(p, scale, 1);
        p->kernels->adm_distorted(p, scale, cubes);
        kept += (double)pool_distorted(p->adm + scale, scale, cubes);
        all += (double)p->adm[scale].detail;
    }
    /* libvmaf's instruction sets differ in how many bits they keep there. */
    scores[PAIR_SCALES] = p->too_large ? (double)NAN : kept / all;
}
