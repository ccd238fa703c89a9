// Shape checks shared by the backends.
#pragma once

#include <string>

#include "tensor/view.h"

namespace winnow {

inline std::string describe(const View& view) {
  std::string text = std::string(name(view.dtype)) + " (";
  for (int axis = 0; axis < view.rank; ++axis)
    text += (axis ? ", " : "") + std::to_string(view.shape[static_cast<size_t>(axis)]);
  return text + ")";
}

// Throws ERR_SHAPE unless `view` has `rows` x `cols` elements of `dtype` (cols = all axes but the first).
inline void require_shape(const char* op, const char* argument, const View& view, int64_t rows, int64_t cols,
                          DType dtype = DType::kF32) {
  const bool fits =
      view.rank >= 1 && view.shape[0] == rows && view.size() == rows * cols && view.dtype == dtype;
  if (!fits)
    throw Error("ERR_SHAPE", std::string("[") + op + "] " + argument + " does not fit",
                std::string(name(dtype)) + " (" + std::to_string(rows) + ", " + std::to_string(cols) + ")",
                describe(view));
}

// The format of a product is f32 or bf16.
inline void require_product_dtype(const char* op, DType dtype) {
  WINNOW_CHECK(dtype == DType::kF32 || dtype == DType::kBF16, "ERR_SHAPE",
               std::string("[") + op + "] no products in this format", "f32 or bf16", name(dtype));
}

}  // namespace winnow
