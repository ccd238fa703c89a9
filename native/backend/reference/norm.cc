// RMS norm (Zhang & Sennrich 2019): y = x * r * w with r = 1 / sqrt(mean(x^2) + epsilon).
// With g = dy * w and n = x * r (chain rule):
//   dx = r * (g - n * mean(g * n))      dw = sum over rows of dy * n
#include <cmath>
#include <vector>

#include "backend/reference/reference.h"

namespace winnow::reference {

void rms_norm_forward(Context&, View out, View rstd, View x, View weight, float epsilon) {
  const int64_t rows = x.rows(), width = weight.rows();
  require_shape("rms_norm_forward", "weight", weight, width, 1);
  require_shape("rms_norm_forward", "x", x, rows, width);
  require_shape("rms_norm_forward", "out", out, rows, width);
  if (rstd) require_shape("rms_norm_forward", "rstd", rstd, rows, 1);
  for (int64_t m = 0; m < rows; ++m) {
    double square_sum = 0;
    for (int64_t d = 0; d < width; ++d) {
      const double value = static_cast<double>(at(x, m * width + d));
      square_sum += value * value;
    }
    const double r = 1.0 / std::sqrt(square_sum / static_cast<double>(width) + static_cast<double>(epsilon));
    for (int64_t d = 0; d < width; ++d)
      at(out, m * width + d) = static_cast<float>(static_cast<double>(at(x, m * width + d)) * r *
                                                  static_cast<double>(at(weight, d)));
    if (rstd) at(rstd, m) = static_cast<float>(r);
  }
}

void rms_norm_backward(Context&, View dx, View dweight, View dout, View x, View rstd, View weight,
                       bool accumulate) {
  const int64_t rows = x.rows(), width = weight.rows();
  require_shape("rms_norm_backward", "weight", weight, width, 1);
  if (dweight) require_shape("rms_norm_backward", "dweight", dweight, width, 1);
  require_shape("rms_norm_backward", "x", x, rows, width);
  require_shape("rms_norm_backward", "dout", dout, rows, width);
  require_shape("rms_norm_backward", "dx", dx, rows, width);
  require_shape("rms_norm_backward", "rstd", rstd, rows, 1);
  std::vector<double> dweight_sums(static_cast<size_t>(width), 0.0);
  for (int64_t m = 0; m < rows; ++m) {
    const double r = static_cast<double>(at(rstd, m));
    double mean = 0;
    for (int64_t d = 0; d < width; ++d) {
      const double dy = static_cast<double>(at(dout, m * width + d));
      const double n = static_cast<double>(at(x, m * width + d)) * r;
      dweight_sums[static_cast<size_t>(d)] += dy * n;
      mean += dy * static_cast<double>(at(weight, d)) * n;
    }
    mean /= static_cast<double>(width);
    for (int64_t d = 0; d < width; ++d) {
      const double g = static_cast<double>(at(dout, m * width + d)) * static_cast<double>(at(weight, d));
      const double n = static_cast<double>(at(x, m * width + d)) * r;
      const double before = accumulate ? static_cast<double>(at(dx, m * width + d)) : 0.0;
      at(dx, m * width + d) = static_cast<float>(before + r * (g - n * mean));
    }
  }
  if (!dweight) return;
  for (int64_t d = 0; d < width; ++d)
    at(dweight, d) =
        static_cast<float>(static_cast<double>(at(dweight, d)) + dweight_sums[static_cast<size_t>(d)]);
}

}  // namespace winnow::reference
