/* The kernels in code for each instruction set. */
#include "internal.h"
#include "targets.h"

#include <string.h>

/* Of motion's smoothing; they add up to 65536. */
enum { WEIGHT_0 = 3571, WEIGHT_1 = 16004, WEIGHT_2 = 26386 };

#define NAME(x) x##_plain
#define LANES 4
#include "kernels.inc"

#ifdef K150K_X86

AVX2
#define NAME(x) x##_avx2
#define LANES 8
#include "kernels.inc"
END_TARGET

AVX512
#define NAME(x) x##_avx512
#define LANES 16
#include "kernels.inc"
END_TARGET

#endif
