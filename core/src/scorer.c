/* Making a scorer, and choosing its instruction set. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_LONGER_SIDE = 216,
    MOST_SIDE = 16384,
    MOST_COUNTED = INT16_MAX, /* pixels of one value in a window */
    BLACK = 64,
    WHITE = 940
};

/* ---- instruction sets ------------------------------------------------------------------ */

static int always(void) { return 1; }

#ifdef K150K_X86
static int has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
           && __builtin_cpu_supports("bmi2");
}

static int has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
           && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

static const struct {
    const char *name;
    const kernels *kernels;
    int (*usable)(void);
} SETS[] = {
    {"plain", &kernels_plain, always},
#ifdef K150K_X86
    {"avx2", &kernels_avx2, has_avx2},
    {"avx512", &kernels_avx512, has_avx512},
#endif
};
enum { SET_COUNT = sizeof SETS / sizeof *SETS };

int k150k_version(void) { return K150K_CORE_VERSION; }

const char *k150k_instruction_set(int number) {
    return number >= 0 && number < SET_COUNT ? SETS[number].name : NULL;
}

int k150k_usable(int number) {
    return number >= 0 && number < SET_COUNT && SETS[number].usable();
}

int choose_set(int set) {
    if (set >= 0) return k150k_usable(set) ? set : -1;
    int number = SET_COUNT - 1;
    while (!k150k_usable(number)) number--;
    return number;
}

/* ---- constants of a size ---------------------------------------------------------------- */

/* Luminance of a value of ten bits, in cd/m2, on a display as in ITU-R BT.1886. */
static double luminance(int value) {
    const double white = pow(300, 1 / 2.4), black = pow(0.01, 1 / 2.4);
    const double share = (double)(value < BLACK ? 0 : value > WHITE ? WHITE - BLACK : value - BLACK)
                         / (WHITE - BLACK);
    return pow(white - black, 2.4) * pow(share + black / (white - black), 2.4);
}

/* The brightest value at which a step upwards raises luminance by more than 1.9 percent. */
static int brightest_visible(int step) {
    int value = WHITE - step - 1;
    while (value >= BLACK && luminance(value + step) - luminance(value) <= 0.019 * luminance(value))
        value--;
    return value;
}

static int log2_rounded_up(int number) {
    int bits = 0;
    while (1 << bits < number) bits++;
    return bits;
}

static void set_constants(k150k_scorer *s) {
    const int window = (int)(65u * (unsigned)(s->width + s->height) / 375 >> 4) | 1;
    s->radius = window / 2;
    s->reach = (s->radius + BLOCK - 1) / BLOCK;
    for (int i = 0; i < CONTRASTS; i++) s->brightest[i] = brightest_visible(i + 1);
    s->values = s->brightest[CONTRASTS - 1] + CONTRASTS + 1;
    const int side = 2 * MASK_RADIUS + 1;
    s->mask_least =
        (side * side + 3 * (log2_rounded_up((s->width >> 6) * (s->height >> 6)) - 11) - 1) >> 1;
}

/* The number of a run's pixels that are within the window of each column. */
static void fill_profile(k150k_scorer *s) {
    const int columns = (2 * s->reach + 1) * BLOCK;
    for (int start = 0; start < BLOCK; start++)
        for (int length = 1; start + length <= BLOCK; length++) {
            uint16_t *counts = s->profile + (ptrdiff_t)(start * BLOCK + length - 1) * columns;
            for (int column = 0; column < columns; column++)
                for (int x = start; x < start + length; x++)
                    if (abs(column - s->reach * BLOCK - x) <= s->radius) counts[column]++;
        }
}

static int can_be_scored(const k150k_scorer *s) {
    const int longer = s->width > s->height ? s->width : s->height;
    const int shorter = s->width < s->height ? s->width : s->height;
    const int coarsest = (shorter + (1 << (SCALES - 1)) - 1) >> (SCALES - 1);
    const int side = 2 * s->radius + 1;
    return (s->depth == 8 || s->depth == 10) && longer >= LEAST_LONGER_SIDE
           && coarsest > s->radius && coarsest >= 3 && side * side <= MOST_COUNTED;
}

/* ---- making and using a scorer ---------------------------------------------------------- */

void *take(arena *from, size_t count, size_t size) {
    const size_t at = (from->used + 63) & ~(size_t)63;
    from->used = at + count * size;
    return from->memory ? from->memory + at : NULL;
}

static void lay_out(k150k_scorer *s, arena *from) {
    const size_t stride = (size_t)s->stride, rows = (size_t)s->height;
    const size_t blocks = (size_t)((s->width + BLOCK - 1) / BLOCK + 2 * s->reach);
    const size_t window = (size_t)(2 * s->radius + 1);
    s->image = take(from, stride * rows + 2 * MARGIN, sizeof *s->image);
    s->mask = take(from, stride * rows + MARGIN, 1);
    s->filtered = take(from, 3 * stride, sizeof *s->filtered);
    s->flat = take(from, (2 * MASK_RADIUS + 1) * stride, 1);
    s->flat_sums = take(from, stride, 1);
    s->profile = take(from, (size_t)(BLOCK * BLOCK * BLOCK * (2 * s->reach + 1)), 2);
    s->counts = take(from, blocks * (size_t)(s->values + CONTRASTS) * BLOCK, 2);
    s->runs = take(from, window * stride, sizeof *s->runs);
    s->run_counts = take(from, window, sizeof *s->run_counts);
    s->contrasts = take(from, stride * rows + BLOCK + WORD, sizeof *s->contrasts);
    s->sample = take(from, SAMPLE + 1, sizeof *s->sample);
    s->differences = take(from, TAPS * stride, sizeof *s->differences);
    s->smoothed = take(from, stride, sizeof *s->smoothed);
}

k150k_scorer *k150k_scorer_new(int width, int height, int depth, int set) {
    if (width < 1 || height < 1 || width > MOST_SIDE || height > MOST_SIDE) return NULL;
    const int number = choose_set(set);
    k150k_scorer *s = number < 0 ? NULL : calloc(1, sizeof *s);
    if (!s) return NULL;
    s->width = width;
    s->height = height;
    s->depth = depth;
    s->stride = (width + 2 * MARGIN + 63) & ~63;
    s->kernels = SETS[number].kernels;
    set_constants(s);
    arena from = {NULL, 0};
    lay_out(s, &from);
    if (can_be_scored(s)) s->memory = from.memory = calloc(from.used + 64, 1);
    if (!s->memory) {
        free(s);
        return NULL;
    }
    from.memory = (char *)(((uintptr_t)from.memory + 63) & ~(uintptr_t)63);
    from.used = 0;
    lay_out(s, &from);
    s->image += MARGIN;
    fill_profile(s);
    return s;
}

void k150k_scorer_free(k150k_scorer *s) {
    if (s) free(s->memory);
    free(s);
}

double k150k_cambi(k150k_scorer *s, const void *luma, ptrdiff_t stride) {
    return s->kernels->cambi(s, luma, stride);
}

double k150k_motion(k150k_scorer *s, const void *previous, ptrdiff_t previous_stride,
                    const void *luma, ptrdiff_t stride) {
    return s->kernels->motion(s, previous, previous_stride, luma, stride);
}
