/* The kernels of pairs in code for each instruction set. */
#include "pairs.h"
#include "targets.h"

#include <string.h>
#ifdef K150K_X86
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

/* Of vif's filters: pairs of weights for pairs of rows, where the first pair begins with the first
 * row of the filter, and where it begins one row before. Each filter adds up to 65536; the last one
 * is halved so that its weights fit into 16 bits. */
#define PAIR(first, second) ((uint32_t)(first) | (uint32_t)(second) << 16)
static const uint32_t VIF_WEIGHTS[PAIR_SCALES][2][FARTHEST + 1] = {
    {{PAIR(489, 935), PAIR(1640, 2640), PAIR(3896, 5274), PAIR(6547, 7455), PAIR(7784, 7455),
      PAIR(6547, 5274), PAIR(3896, 2640), PAIR(1640, 935), PAIR(489, 0)},
     {PAIR(0, 489), PAIR(935, 1640), PAIR(2640, 3896), PAIR(5274, 6547), PAIR(7455, 7784),
      PAIR(7455, 6547), PAIR(5274, 3896), PAIR(2640, 1640), PAIR(935, 489)}},
    {{PAIR(1244, 3663), PAIR(7925, 12590), PAIR(14692, 12590), PAIR(7925, 3663), PAIR(1244, 0)},
     {PAIR(0, 1244), PAIR(3663, 7925), PAIR(12590, 14692), PAIR(12590, 7925), PAIR(3663, 1244)}},
    {{PAIR(3571, 16004), PAIR(26386, 16004), PAIR(3571, 0)},
     {PAIR(0, 3571), PAIR(16004, 26386), PAIR(16004, 3571)}},
    {{PAIR(5452, 21864), PAIR(5452, 0)}, {PAIR(0, 5452), PAIR(21864, 5452)}},
};
#define FILTER_OF(radius) ((radius) == 8 ? 0 : (radius) == 4 ? 1 : (radius) == 2 ? 2 : 3)

/* Daubechies' wavelet of four taps, in 2^-15. */
enum {
    LOW_0 = 15826, LOW_1 = 27411, LOW_2 = 7345, LOW_3 = -4240, LOW_SUM = 46342,
    HIGH_0 = -4240, HIGH_1 = -7345, HIGH_2 = 27411, HIGH_3 = -15826
};

#define TAPS_OF(first, second) ((uint16_t)(int16_t)(first) | (uint32_t)(uint16_t)(int16_t)(second) << 16)
static const uint32_t LOW_PAIRS[] = {TAPS_OF(LOW_0, LOW_1), TAPS_OF(LOW_2, LOW_3)};
static const uint32_t HIGH_PAIRS[] = {TAPS_OF(HIGH_0, HIGH_1), TAPS_OF(HIGH_2, HIGH_3)};

/* Mirror a row of a wavelet: the last sample itself is repeated, the first one is not. */
#define EXTEND(row, width)                                                                         \
    do {                                                                                           \
        (row)[-1] = (row)[1];                                                                      \
        (row)[width] = (row)[(width)-1];                                                           \
        (row)[(width) + 1] = (row)[(width)-2];                                                     \
    } while (0)

static const float COSINE_SQUARED = 0.99969541350954785f; /* of one degree */

/* libvmaf takes the half that rounds these quotients away instead of adding it. */
static const int64_t FLOOR_HALF = -(1ll << 31);

static const int32_t LANE_NUMBERS[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static int log2_rounded_up(int number) {
    int bits = 0;
    while (1 << bits < number) bits++;
    return bits;
}

#define KERNELS "pairs.inc"
#include "each_set.inc"
