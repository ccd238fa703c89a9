// out = mask * x / (1 - p), where an entry of the mask is 0 with probability p (Srivastava et al. 2014, in
// the inverted form: the mean is that of x). Linear in x, so the same mask is its gradient. And x * factor.
#include "backend/reference/reference.h"
#include "base/philox.h"

namespace winnow::reference {

void scale(Context&, View x, float factor) {
  require_shape("scale", "x", x, x.rows(), x.cols());
  for (int64_t i = 0; i < x.size(); ++i) at(x, i) *= factor;
}

void dropout(Context&, View out, View x, View keys, DropoutOptions options, bool accumulate) {
  const int64_t rows = x.rows(), width = x.cols();
  require_shape("dropout", "x", x, rows, width);
  require_shape("dropout", "out", out, rows, width);
  require_shape("dropout", "keys", keys, rows, 2, DType::kI32);
  const double kept = 1.0 / (1.0 - static_cast<double>(options.probability));
  for (int64_t m = 0; m < rows; ++m) {
    const uint64_t key = static_cast<uint64_t>(static_cast<uint32_t>(index_at(keys, 2 * m + 1))) << 32 |
                         static_cast<uint32_t>(index_at(keys, 2 * m));
    for (int64_t k = 0; k < width; ++k) {
      const auto bits = dropout_bits(key, options.stream, static_cast<uint32_t>(k / 4));
      const bool dropped = uniform_from_bits(bits[static_cast<size_t>(k % 4)]) < options.probability;
      const double value = dropped ? 0.0 : static_cast<double>(at(x, m * width + k)) * kept;
      const double before = accumulate ? static_cast<double>(at(out, m * width + k)) : 0.0;
      at(out, m * width + k) = static_cast<float>(before + value);
    }
  }
}

}  // namespace winnow::reference
