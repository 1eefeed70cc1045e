/* What the parts that score pairs share. */
#ifndef K150K_PAIRS_H
#define K150K_PAIRS_H

#include "internal.h"

enum {
    PAIR_SCALES = 4,
    FARTHEST = 8,            /* rows and columns that vif's widest filter reaches to */
    ORIENTATIONS = 3,        /* of adm's bands: horizontal, vertical, diagonal */
    NOISE = 2 << 16,         /* variance of the visual noise, in 2^-16 of a squared level */
    LOG_UNIT = 32768,        /* of logarithms to base 2; as many mantissas are told apart */
    ADM_ROWS = 3,            /* that mask a pixel */
    LATER = MARGIN,          /* columns after which a mantissa is read: it has left the store buffer */
    STREAMS = 5              /* samples; upper and lower halves of squares, and of products */
};

/* Twice a sample of 32768. */
#define BIASES 0x80008000

/* Weights of the pairs of rows in a ring, around an even row and around the next one. */
typedef struct {
    uint32_t even[FARTHEST + 1], odd[FARTHEST + 1];
} slot_weights;

/* A picture at a scale of vif, and what its reference is there. */
typedef struct {
    int width, height;
    int padded;                /* width, rounded up to whole vectors of even and odd columns */
    ptrdiff_t stride;          /* in samples */
    uint16_t *reference, *distorted;
    uint32_t *mean;            /* of the reference, in 2^-24 of a level */
    int32_t *variance;         /* of the reference, in 2^-16 of a squared level */
    int64_t information;       /* of the reference, in LOG_UNIT */
    int64_t flat;              /* pixels whose variance is below that of the noise */
} vif_scale;

/* What is left of a distorted picture at a scale of vif. */
typedef struct {
    int64_t information;       /* in LOG_UNIT */
    int64_t flat_variance;     /* sum of the variances where the reference is flat */
} vif_sums;

/* A band of wavelet coefficients at a scale of adm, and what its reference is there. */
typedef struct {
    int width, height;
    ptrdiff_t stride;          /* in coefficients */
    int left, top, right, bottom; /* what is scored: without a tenth at each side */
    int32_t *reference[ORIENTATIONS], *distorted[ORIENTATIONS];
    int32_t *reciprocal[ORIENTATIONS]; /* of the reference's */
    int32_t *shift[ORIENTATIONS];      /* bits by which that is too large */
    int32_t *approximation[2];         /* of reference and distorted picture: the next scale */
    uint32_t sensitivity[ORIENTATIONS];
    float weight[ORIENTATIONS];
    float detail;              /* of the reference */
} adm_scale;

/* A row of a distorted picture's bands. */
typedef struct {
    int32_t *restored[ORIENTATIONS]; /* what is kept of the reference */
    int32_t *impairment, *own; /* what masks its surroundings, and the pixel itself */
} adm_row;

/* The functions of one instruction set. */
typedef struct {
    void (*widen)(const uint8_t *, ptrdiff_t, int, int, uint16_t *, ptrdiff_t);
    void (*vif_reference)(k150k_pairs *, int);
    vif_sums (*vif_distorted)(k150k_pairs *, int);
    void (*halve)(k150k_pairs *, int, const uint16_t *, uint16_t *);
    void (*wavelet)(k150k_pairs *, int, int);
    void (*adm_reference)(k150k_pairs *, int, uint64_t *);
    void (*adm_distorted)(k150k_pairs *, int, int64_t *);
} pair_kernels;

struct k150k_pairs {
    int width, height;
    const pair_kernels *kernels;
    vif_scale vif[PAIR_SCALES];
    adm_scale adm[PAIR_SCALES];

    uint16_t *curve;            /* by mantissa, what its logarithm is above it */
    uint32_t *samples;         /* pairs of rows, as many as the widest filter needs */
    uint32_t *high[2], *low[2]; /* the same of the halves of squares and products */
    uint16_t *column_sums[2][STREAMS]; /* of two rows */
    uint32_t *row_sums[STREAMS]; /* of one row */
    int32_t *moments[2];       /* of one row: variances of the distorted picture, covariances */
    uint16_t *mantissas[2];    /* of one row */
    int32_t *low_pass, *high_pass; /* one row each */
    int16_t *narrow_low_pass, *narrow_high_pass; /* the same of the finest scale */
    adm_row adm_rows[ADM_ROWS];
    int too_large;             /* whether a coefficient masks with more than 15 bits */
    void *memory;
};

extern const pair_kernels pairs_plain;
#ifdef K150K_X86
extern const pair_kernels pairs_avx2, pairs_avx512;
#endif

#endif
