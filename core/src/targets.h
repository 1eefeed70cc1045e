/* How functions are compiled for an instruction set that not every machine has. */
#ifndef K150K_TARGETS_H
#define K150K_TARGETS_H

#ifdef __clang__
#define TARGET(set) _Pragma(STRING(clang attribute push(__attribute__((target(set))), apply_to = function)))
#define END_TARGET _Pragma("clang attribute pop")
#else
#define TARGET(set) _Pragma("GCC push_options") _Pragma(STRING(GCC target(set)))
#define END_TARGET _Pragma("GCC pop_options")
#endif
#define STRING(x) #x

#define AVX2 TARGET("avx2,bmi,bmi2")
#define AVX512 TARGET("avx512f,avx512bw,avx512vl,avx512dq,bmi,bmi2")

#endif
