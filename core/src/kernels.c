/* The kernels in code for each instruction set. */
#include "internal.h"

#include <string.h>

/* Of motion's smoothing; they add up to 65536. */
enum { WEIGHT_0 = 3571, WEIGHT_1 = 16004, WEIGHT_2 = 26386 };

#define NAME(x) x##_plain
#define LANES 4
#include "kernels.inc"

#ifdef K150K_X86

#ifdef __clang__
#define TARGET(set) _Pragma(STRING(clang attribute push(__attribute__((target(set))), apply_to = function)))
#define END_TARGET _Pragma("clang attribute pop")
#else
#define TARGET(set) _Pragma("GCC push_options") _Pragma(STRING(GCC target(set)))
#define END_TARGET _Pragma("GCC pop_options")
#endif
#define STRING(x) #x

TARGET("avx2,bmi,bmi2")
#define NAME(x) x##_avx2
#define LANES 8
#include "kernels.inc"
END_TARGET

TARGET("avx512f,avx512bw,avx512vl,avx512dq,bmi,bmi2")
#define NAME(x) x##_avx512
#define LANES 16
#include "kernels.inc"
END_TARGET

#endif
