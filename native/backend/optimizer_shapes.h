// Checks of what the optimizer's operations are given, shared by the backends.
#pragma once

#include <string>

#include "backend/ops.h"
#include "backend/shapes.h"

namespace winnow {

inline void require_step(const char* op, const AdamwOptions& options) {
  WINNOW_CHECK(options.step >= 1, "ERR_OPTION", std::string("[") + op + "] step does not fit", "step >= 1",
               std::to_string(options.step));
}

inline void require_f32_moments(const char* op, const View& value, const View& moment1, const View& moment2,
                                const View& gradient) {
  const int64_t rows = value.rows(), cols = value.cols();
  require_shape(op, "value", value, rows, cols);
  require_shape(op, "moment1", moment1, rows, cols);
  require_shape(op, "moment2", moment2, rows, cols);
  require_shape(op, "gradient", gradient, rows, cols);
}

inline void require_moments(const char* op, const View& value, const QuantisedMoments& moments,
                            const View& gradient) {
  const int64_t rows = value.rows(), cols = value.cols();
  const int64_t blocks = (value.size() + kMomentBlock - 1) / kMomentBlock;
  require_shape(op, "value", value, rows, cols);
  require_shape(op, "gradient", gradient, rows, cols);
  require_shape(op, "codes1", moments.codes1, rows, cols, DType::kU8);
  require_shape(op, "codes2", moments.codes2, rows, cols, DType::kU8);
  require_shape(op, "scales1", moments.scales1, blocks, 1);
  require_shape(op, "scales2", moments.scales2, blocks, 1);
}

inline void require_masters(const char* op, const View& value, const PackedWeight& weight, const View& rest,
                            int64_t first_row) {
  require_shape(op, "value", value, value.rows(), weight.k);
  require_shape(op, "rest", rest, weight.n, master_rest_bytes(weight.k, weight.dtype), DType::kU8);
  const int64_t end = first_row + value.rows();
  const bool whole = first_row >= 0 && first_row % kMasterRows == 0 && end <= weight.n &&
                     (value.rows() % kMasterRows == 0 || end == weight.n);
  if (!whole)
    throw Error("ERR_SHAPE", std::string("[") + op + "] value does not fit",
                "rows of the weight's " + std::to_string(weight.n) + ", in multiples of " +
                    std::to_string(kMasterRows) + " or up to the last",
                std::to_string(first_row) + " to " + std::to_string(end));
}

}  // namespace winnow
