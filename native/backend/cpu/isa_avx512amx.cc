// The CPU backend compiled for AVX-512 with products of bf16 matrices (AMX; Sapphire Rapids and later).
#include "backend/cpu/unit_includes.h"  // every standard header, before the target pragma

#pragma GCC push_options
#if WINNOW_EMULATED_AVX512
#pragma GCC target("avx,avx2,fma,f16c,bmi,bmi2")
#else
#pragma GCC target("avx,avx2,fma,f16c,bmi,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512cd,avx512bf16")
#endif
#define WINNOW_ISA_NAME "avx512amx"
#define WINNOW_AVX512 1
#define WINNOW_BF16_DOT 1
#define WINNOW_AMX 1
namespace winnow::cpu {
namespace {
#include "backend/cpu/simd_avx512.inc"
#include "backend/cpu/simd_avx512bf16.inc"
#include "backend/cpu/unit.inc"
}  // namespace
const Ops& avx512amx_ops() { return unit_ops(); }
}  // namespace winnow::cpu
#pragma GCC pop_options
