// The engine's side of the linear operations.
#include "backend/cuda/call.h"

namespace winnow::cuda {

// `view` has rows x cols numbers of f32, bf16 or f16.
void require_numbers(const char* op, const char* argument, const View& view, int64_t rows, int64_t cols) {
  const bool half = view.dtype == DType::kBF16 || view.dtype == DType::kF16;
  require_shape(op, argument, view, rows, cols, half ? view.dtype : DType::kF32);
}

size_t packed_weight_bytes(int64_t n, int64_t k, DType dtype) {
  return static_cast<size_t>(n) * static_cast<size_t>(k) * size_bytes(dtype);
}

void pack_weight(Context& context, PackedWeight weight, View source) {
  require_product_dtype("pack_weight", weight.dtype);
  require_numbers("pack_weight", "source", source, weight.n, weight.k);
  call(context, [&](const Table& table, Device* device) {
    return table.pack_weight(device, weight.data, source.data, static_cast<int32_t>(source.dtype),
                             weight.dtype == DType::kBF16, weight.n * weight.k);
  });
}

void linear_forward(Context& context, View out, View x, PackedWeight weight, View bias, bool accumulate) {
  const int64_t rows = x.rows();
  require_product_dtype("linear_forward", weight.dtype);
  require_shape("linear_forward", "x", x, rows, weight.k);
  require_shape("linear_forward", "out", out, rows, weight.n);
  if (bias) require_shape("linear_forward", "bias", bias, weight.n, 1);
  call(context, [&](const Table& table, Device* device) {
    return table.linear_forward(device, out.as<float>(), x.as<float>(), weight.data, bias.as<float>(), rows,
                                weight.n, weight.k, weight.dtype == DType::kBF16, accumulate);
  });
}

void linear_backward_input(Context& context, View dx, View dout, PackedWeight weight, bool accumulate) {
  const int64_t rows = dout.rows();
  require_product_dtype("linear_backward_input", weight.dtype);
  require_shape("linear_backward_input", "dout", dout, rows, weight.n);
  require_shape("linear_backward_input", "dx", dx, rows, weight.k);
  call(context, [&](const Table& table, Device* device) {
    return table.linear_backward_input(device, dx.as<float>(), dout.as<float>(), weight.data, rows, weight.n,
                                       weight.k, weight.dtype == DType::kBF16, accumulate);
  });
}

void linear_backward_weight(Context& context, View dweight, View dout, View x, DType dtype) {
  const int64_t rows = x.rows(), n = dweight.rows(), k = dweight.cols();
  require_product_dtype("linear_backward_weight", dtype);
  require_shape("linear_backward_weight", "dweight", dweight, n, k);
  require_shape("linear_backward_weight", "dout", dout, rows, n);
  require_shape("linear_backward_weight", "x", x, rows, k);
  call(context, [&](const Table& table, Device* device) {
    return table.linear_backward_weight(device, dweight.as<float>(), dout.as<float>(), x.as<float>(), rows, n,
                                        k, dtype == DType::kBF16);
  });
}

void bias_backward(Context& context, View dbias, View dout) {
  require_shape("bias_backward", "dbias", dbias, dbias.rows(), 1);
  require_shape("bias_backward", "dout", dout, dout.rows(), dbias.rows());
  call(context, [&](const Table& table, Device* device) {
    return table.bias_backward(device, dbias.as<float>(), dout.as<float>(), dout.rows(), dbias.rows());
  });
}

}  // namespace winnow::cuda
