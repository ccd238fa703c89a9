// Linear: out[m][n] = sum_k x[m][k] * w[n][k] + b[n], and its gradients
//   dx[m][k] = sum_n dout[m][n] * w[n][k]   dw[n][k] = sum_m dout[m][n] * x[m][k]   db[n] = sum_m dout[m][n]
// (chain rule). In a bf16 product both operands are rounded to bf16 first; the bias is never rounded.
#include <vector>

#include "backend/reference/reference.h"

namespace winnow::reference {
namespace {

View packed_view(const PackedWeight& weight) { return View(weight.data, weight.dtype, {weight.n, weight.k}); }

// Rows of x as operands of a product in `dtype`.
std::vector<float> operands(const View& x, int64_t count, DType dtype) {
  std::vector<float> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = rounded(at(x, i), dtype);
  return values;
}

}  // namespace

size_t packed_weight_bytes(int64_t n, int64_t k, DType dtype) {
  return static_cast<size_t>(n) * static_cast<size_t>(k) * size_bytes(dtype);
}

void pack_weight(Context&, PackedWeight weight, View source) {
  require_product_dtype("pack_weight", weight.dtype);
  require_numbers("pack_weight", "source", source, weight.n, weight.k);
  for (int64_t i = 0; i < weight.n * weight.k; ++i) {
    const float value = any_at(source, i);
    if (weight.dtype == DType::kBF16)
      static_cast<bf16*>(weight.data)[i] = f32_to_bf16(value);
    else
      static_cast<float*>(weight.data)[i] = value;
  }
}

void linear_forward(Context&, View out, View x, PackedWeight weight, View bias, bool accumulate) {
  const int64_t rows = x.rows(), n_count = weight.n, k_count = weight.k;
  require_product_dtype("linear_forward", weight.dtype);
  require_shape("linear_forward", "x", x, rows, k_count);
  require_shape("linear_forward", "out", out, rows, n_count);
  if (bias) require_shape("linear_forward", "bias", bias, n_count, 1);
  const View packed = packed_view(weight);
  const std::vector<float> x_values = operands(x, rows * k_count, weight.dtype);
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t n = 0; n < n_count; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < k_count; ++k)
        sum += static_cast<double>(x_values[static_cast<size_t>(m * k_count + k)]) *
               static_cast<double>(any_at(packed, n * k_count + k));
      if (bias) sum += static_cast<double>(at(bias, n));
      if (accumulate) sum += static_cast<double>(at(out, m * n_count + n));
      at(out, m * n_count + n) = static_cast<float>(sum);
    }
}

void linear_backward_input(Context&, View dx, View dout, PackedWeight weight, bool accumulate) {
  const int64_t rows = dout.rows(), n_count = weight.n, k_count = weight.k;
  require_product_dtype("linear_backward_input", weight.dtype);
  require_shape("linear_backward_input", "dout", dout, rows, n_count);
  require_shape("linear_backward_input", "dx", dx, rows, k_count);
  const View packed = packed_view(weight);
  const std::vector<float> dout_values = operands(dout, rows * n_count, weight.dtype);
  std::vector<double> sums(static_cast<size_t>(k_count));
  for (int64_t m = 0; m < rows; ++m) {
    sums.assign(sums.size(), 0.0);
    for (int64_t n = 0; n < n_count; ++n)
      for (int64_t k = 0; k < k_count; ++k)
        sums[static_cast<size_t>(k)] +=
            static_cast<double>(dout_values[static_cast<size_t>(m * n_count + n)]) *
            static_cast<double>(any_at(packed, n * k_count + k));
    for (int64_t k = 0; k < k_count; ++k) {
      const double before = accumulate ? static_cast<double>(at(dx, m * k_count + k)) : 0.0;
      at(dx, m * k_count + k) = static_cast<float>(before + sums[static_cast<size_t>(k)]);
    }
  }
}

void linear_backward_weight(Context&, View dweight, View dout, View x, DType dtype) {
  const int64_t rows = x.rows(), n_count = dweight.rows(), k_count = dweight.cols();
  require_product_dtype("linear_backward_weight", dtype);
  require_shape("linear_backward_weight", "dweight", dweight, n_count, k_count);
  require_shape("linear_backward_weight", "dout", dout, rows, n_count);
  require_shape("linear_backward_weight", "x", x, rows, k_count);
  const std::vector<float> dout_values = operands(dout, rows * n_count, dtype);
  const std::vector<float> x_values = operands(x, rows * k_count, dtype);
  for (int64_t n = 0; n < n_count; ++n)
    for (int64_t k = 0; k < k_count; ++k) {
      double sum = static_cast<double>(at(dweight, n * k_count + k));
      for (int64_t m = 0; m < rows; ++m)
        sum += static_cast<double>(dout_values[static_cast<size_t>(m * n_count + n)]) *
               static_cast<double>(x_values[static_cast<size_t>(m * k_count + k)]);
      at(dweight, n * k_count + k) = static_cast<float>(sum);
    }
}

void bias_backward(Context&, View dbias, View dout) {
  const int64_t rows = dout.rows(), n_count = dbias.rows();
  require_shape("bias_backward", "dbias", dbias, n_count, 1);
  require_shape("bias_backward", "dout", dout, rows, n_count);
  for (int64_t n = 0; n < n_count; ++n) {
    double sum = static_cast<double>(at(dbias, n));
    for (int64_t m = 0; m < rows; ++m) sum += static_cast<double>(at(dout, m * n_count + n));
    at(dbias, n) = static_cast<float>(sum);
  }
}

}  // namespace winnow::reference
