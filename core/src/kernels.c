/* The kernels in code for each instruction set. */
#include "internal.h"
#include "targets.h"

#include <string.h>
#ifdef K150K_X86
#include <immintrin.h>
#endif

/* Of motion's smoothing; they add up to 65536. */
enum { WEIGHT_0 = 3571, WEIGHT_1 = 16004, WEIGHT_2 = 26386 };

#define KERNELS "kernels.inc"
#include "each_set.inc"
