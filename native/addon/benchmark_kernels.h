// Loops that measure the machine itself: the floors that the benchmarks are compared with.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace winnow::addon {

// `rounds` rounds of independent fused multiply-adds in registers; returns something that depends on
// all of them. `flops` is set to the operations done (2 a multiply-add).
using FmaLoop = float (*)(int64_t rounds, double& flops);

// The fastest loop for operands of `dtype` that an instruction set has, as Ops::instructions names it.
FmaLoop fma_loop(std::string_view instructions, DType dtype);

// Sum of `count` floats, read once in order: the read bandwidth of one thread.
float read_loop(const float* data, int64_t count);

}  // namespace winnow::addon
