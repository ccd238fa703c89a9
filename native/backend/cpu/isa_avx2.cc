// The CPU backend compiled for AVX2 + FMA (x86-64-v3).
#include "backend/cpu/unit_includes.h"  // every standard header, before the target pragma

#pragma GCC push_options
#pragma GCC target("avx,avx2,fma,f16c,bmi,bmi2")
#define WINNOW_ISA_NAME "avx2"
#define WINNOW_AVX512 0
#define WINNOW_BF16_DOT 0
#define WINNOW_AMX 0
namespace winnow::cpu {
namespace {
#include "backend/cpu/simd_avx2.inc"
#include "backend/cpu/unit.inc"
}  // namespace
const Ops& avx2_ops() { return unit_ops(); }
}  // namespace winnow::cpu
#pragma GCC pop_options
