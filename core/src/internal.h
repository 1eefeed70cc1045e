/* What the parts of the library share. */
#ifndef K150K_INTERNAL_H
#define K150K_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "k150k_core.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || UINTPTR_MAX < UINT64_MAX
#error "only little-endian machines of 64 bits are supported: to_bits() and lay_out() rely on it"
#endif

enum {
    BLOCK = 16,      /* columns that are counted together */
    WORD = 64,       /* columns or values that are looked at together, a bit for each */
    CONTRASTS = 4,   /* steps of luma, at 10 bits, that cambi looks for */
    SCALES = 5,
    MASK_RADIUS = 3, /* of the square in which flat pixels are counted */
    MARGIN = 64,     /* samples on both sides of a row that may be read */
    SAMPLE = 2048,   /* values that a guess is made from */
    TAPS = 5         /* rows and columns that motion smooths over */
};

/* The bits of a word at which its blocks begin. */
#define FIRST_OF_BLOCKS UINT64_C(0x0001000100010001)

/* One block of samples, in the vector types of GCC and Clang: each compiles to what there is. */
typedef uint8_t bytes __attribute__((vector_size(BLOCK)));
typedef uint16_t words __attribute__((vector_size(2 * BLOCK)));

/* A sample of more than 8 bits in a caller's picture, at any address. */
typedef uint16_t wide_sample __attribute__((aligned(1), may_alias));

/* A stretch of masked pixels of one value, inside one block of a row. */
typedef struct {
    uint16_t value, block;
    uint8_t start, length;
    uint16_t unused;
} run;

/* Values above two bounds. */
typedef struct {
    int above, from; /* above the higher one; above the lower one or at it */
    double sum;      /* of those above the higher one */
} tally;

/* The functions of one instruction set. */
typedef struct {
    double (*cambi)(k150k_scorer *, const uint8_t *, ptrdiff_t);
    double (*motion)(k150k_scorer *, const uint8_t *, ptrdiff_t, const uint8_t *, ptrdiff_t);
} kernels;

struct k150k_scorer {
    int width, height, depth;
    const kernels *kernels;

    int radius;                /* of cambi's window */
    int reach;                 /* blocks on each side that a run counts in */
    int values;                /* values that are counted; brighter ones show no banding */
    int brightest[CONTRASTS];  /* brightest value at which each contrast is seen */
    int mask_least;            /* flat neighbours above which a pixel is masked */

    ptrdiff_t stride;          /* of image and mask, in samples */
    uint16_t *image;           /* at 10 bits */
    uint8_t *mask;             /* 1 or 0 */
    uint16_t *filtered;        /* three rows */
    uint8_t *flat;             /* 2 * MASK_RADIUS + 1 rows */
    uint8_t *flat_sums;        /* one row */
    uint16_t *profile;         /* counts by start and length of a run, for 2 * reach + 1 blocks */
    uint16_t *counts;          /* by block, value and column */
    run *runs;                 /* of the rows in the window */
    int *run_counts;
    float *contrasts;          /* of the masked pixels */
    float *sample;             /* of these */

    int16_t *differences;      /* TAPS rows */
    int32_t *smoothed;         /* one row */
    void *memory;
};

/* Parts of one piece of memory; with no memory they are only measured. */
typedef struct {
    char *memory;
    size_t used;
} arena;

__attribute__((visibility("hidden"))) void *take(arena *from, size_t count, size_t size);

/* Return the number of a usable instruction set, the fastest one for -1; -1 for an unusable one. */
__attribute__((visibility("hidden"))) int choose_set(int set);

extern const kernels kernels_plain;
#ifdef __x86_64__
#define K150K_X86 1
extern const kernels kernels_avx2, kernels_avx512;
#endif

#endif
