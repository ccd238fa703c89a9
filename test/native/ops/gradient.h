// Tensors for finite differences: numbers on a grid of 2^-10, so that a step of 2^-7 is exact in f32.
#pragma once

#include <cmath>

#include "op_test.h"

namespace winnow::test {

constexpr double kStep = 0x1p-7;
// The fourth-order difference errs by step^4 / 30 times the fifth derivative (1e-10) and by the f32
// rounding of the loss's terms over the step (6e-8 * 128 a term): below this for the sizes used here.
constexpr double kGradientTolerance = 1e-4;

inline Array grid_array(const std::string& seed, const Shape& shape, double low = -1, double high = 1) {
  Array array{DType::kF32, shape, {}};
  array.bytes.resize(static_cast<size_t>(array.size()) * 4);
  Random random(seed);
  for (int64_t i = 0; i < array.size(); ++i)
    array.set_number(i, std::round(random.uniform(low, high) * 0x1p10) * 0x1p-10);
  return array;
}

inline Array zero_array(const Shape& shape, DType dtype = DType::kF32) {
  Array array{dtype, shape, {}};
  array.bytes.resize(static_cast<size_t>(array.size()) * size_bytes(dtype));
  return array;
}

inline Array index_array(const std::vector<int32_t>& values) {
  Array array = zero_array({static_cast<int64_t>(values.size())}, DType::kI32);
  for (size_t i = 0; i < values.size(); ++i) array.set_number(static_cast<int64_t>(i), values[i]);
  return array;
}

}  // namespace winnow::test
