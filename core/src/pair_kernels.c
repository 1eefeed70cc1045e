/* The kernels of pairs in code for each instruction set. */
#include "pairs.h"
#include "targets.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Of vif's filters, from the middle tap on; each adds up to 65536. */
static const uint32_t VIF_WEIGHTS[PAIR_SCALES][FARTHEST + 1] = {
    {7784, 7455, 6547, 5274, 3896, 2640, 1640, 935, 489},
    {14692, 12590, 7925, 3663, 1244},
    {26386, 16004, 3571},
    {43728, 10904},
};

/* Daubechies' wavelet of four taps, in 2^-15. */
enum {
    LOW_0 = 15826, LOW_1 = 27411, LOW_2 = 7345, LOW_3 = -4240, LOW_SUM = 46342,
    HIGH_0 = -4240, HIGH_1 = -7345, HIGH_2 = 27411, HIGH_3 = -15826
};

static const float COSINE_SQUARED = 0.99969541350954785f; /* of one degree */

/* libvmaf takes the half that rounds these quotients away instead of adding it. */
static const int64_t FLOOR_HALF = -(1ll << 31);

static int log2_rounded_up(int number) {
    int bits = 0;
    while (1 << bits < number) bits++;
    return bits;
}

#define NAME(x) x##_plain
#define LANES 4
#include "pairs.inc"

#ifdef K150K_X86

AVX2
#define NAME(x) x##_avx2
#define LANES 8
#include "pairs.inc"
END_TARGET

AVX512
#define NAME(x) x##_avx512
#define LANES 16
#include "pairs.inc"
END_TARGET

#endif
