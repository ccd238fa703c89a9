// The engine's side of the CUDA backend: shapes are checked here, the work is the library's.
#include <array>

#include "backend/cuda/call.h"
#include "backend/fused_linear.h"

namespace winnow::cuda {
namespace {

void* allocate(Context& context, size_t size_bytes) {
  void* data = nullptr;
  call(context,
       [&](const Table& table, Device* device) { return table.allocate(device, size_bytes, &data); });
  return data;
}

// For destructors, which must not throw: a device that has failed keeps its memory, and says so at the next
// operation that asks it for something.
template <typename Body>
void call_from_destructor(const Context& context, const Body& body) {
  OpenDevice& open = open_device(context.device);
  const std::lock_guard lock(open.mutex);
  if (open.table->enter(open.device) == kOk) body(*open.table, open.device);
}

void release(Context& context, void* data) {
  call_from_destructor(context, [&](const Table& table, Device* device) { table.release(device, data); });
}

void upload(Context& context, void* to, const void* host, size_t size_bytes) {
  call(context,
       [&](const Table& table, Device* device) { return table.upload(device, to, host, size_bytes); });
}

void download(Context& context, void* host, const void* from, size_t size_bytes) {
  call(context,
       [&](const Table& table, Device* device) { return table.download(device, host, from, size_bytes); });
}

void copy(Context& context, void* to, const void* from, size_t size_bytes) {
  call(context, [&](const Table& table, Device* device) { return table.copy(device, to, from, size_bytes); });
}

void zero(Context& context, void* data, size_t size_bytes) {
  call(context, [&](const Table& table, Device* device) { return table.zero(device, data, size_bytes); });
}

int64_t available_bytes(Context& context) {
  uint64_t bytes = 0;
  call(context, [&](const Table& table, Device* device) { return table.available(device, &bytes); });
  return static_cast<int64_t>(bytes);
}

void reserve(Context& context, size_t size_bytes) {
  if (size_bytes == 0)
    return call_from_destructor(context,
                                [&](const Table& table, Device* device) { table.reserve(device, 0); });
  call(context, [&](const Table& table, Device* device) { return table.reserve(device, size_bytes); });
}

void gather(Context& context, View out, View indices, View table_view, bool bf16, FaultSource source) {
  call(context, [&](const Table& table, Device* device) {
    return table.gather(device, out.as<float>(), table_view.data, indices.as<int32_t>(),
                        static_cast<int32_t>(table_view.dtype), bf16, indices.rows(), table_view.rows(),
                        table_view.cols(), source);
  });
}

void scatter_add(Context& context, View to, View from, View indices, FaultSource source) {
  call(context, [&](const Table& table, Device* device) {
    return table.scatter_add(device, to.as<float>(), from.as<float>(), indices.as<int32_t>(), indices.rows(),
                             to.rows(), to.cols(), source);
  });
}

void embedding_forward(Context& context, View out, View tokens, View table, DType dtype) {
  require_product_dtype("embedding_forward", dtype);
  require_shape("embedding_forward", "tokens", tokens, tokens.rows(), 1, DType::kI32);
  require_numbers("embedding_forward", "table", table, table.rows(), table.cols());
  require_shape("embedding_forward", "out", out, tokens.rows(), table.cols());
  gather(context, out, tokens, table, dtype == DType::kBF16, FaultSource::kToken);
}

void embedding_backward(Context& context, View dtable, View dout, View tokens) {
  require_shape("embedding_backward", "tokens", tokens, tokens.rows(), 1, DType::kI32);
  require_shape("embedding_backward", "dtable", dtable, dtable.rows(), dtable.cols());
  require_shape("embedding_backward", "dout", dout, tokens.rows(), dtable.cols());
  scatter_add(context, dtable, dout, tokens, FaultSource::kToken);
}

void gather_rows(Context& context, View out, View x, View indices) {
  require_shape("gather_rows", "indices", indices, indices.rows(), 1, DType::kI32);
  require_shape("gather_rows", "x", x, x.rows(), x.cols());
  require_shape("gather_rows", "out", out, indices.rows(), x.cols());
  gather(context, out, indices, x, false, FaultSource::kIndex);
}

void scatter_add_rows(Context& context, View dx, View dout, View indices) {
  require_shape("scatter_add_rows", "indices", indices, indices.rows(), 1, DType::kI32);
  require_shape("scatter_add_rows", "dx", dx, dx.rows(), dx.cols());
  require_shape("scatter_add_rows", "dout", dout, indices.rows(), dx.cols());
  scatter_add(context, dx, dout, indices, FaultSource::kIndex);
}

void rms_norm_forward(Context& context, View out, View rstd, View x, View weight, float epsilon) {
  const int64_t rows = x.rows(), width = weight.rows();
  require_shape("rms_norm_forward", "weight", weight, width, 1);
  require_shape("rms_norm_forward", "x", x, rows, width);
  require_shape("rms_norm_forward", "out", out, rows, width);
  if (rstd) require_shape("rms_norm_forward", "rstd", rstd, rows, 1);
  call(context, [&](const Table& table, Device* device) {
    return table.rms_norm_forward(device, out.as<float>(), rstd.as<float>(), x.as<float>(),
                                  weight.as<float>(), rows, width, epsilon);
  });
}

void rms_norm_backward(Context& context, View dx, View dweight, View dout, View x, View rstd, View weight,
                       bool accumulate) {
  const int64_t rows = x.rows(), width = weight.rows();
  require_shape("rms_norm_backward", "weight", weight, width, 1);
  if (dweight) require_shape("rms_norm_backward", "dweight", dweight, width, 1);
  require_shape("rms_norm_backward", "x", x, rows, width);
  require_shape("rms_norm_backward", "dout", dout, rows, width);
  require_shape("rms_norm_backward", "dx", dx, rows, width);
  require_shape("rms_norm_backward", "rstd", rstd, rows, 1);
  call(context, [&](const Table& table, Device* device) {
    return table.rms_norm_backward(device, dx.as<float>(), dweight.as<float>(), dout.as<float>(),
                                   x.as<float>(), rstd.as<float>(), weight.as<float>(), rows, width,
                                   accumulate);
  });
}

void rope(Context& context, View x, View cosine, View sine, bool inverse) {
  const int64_t rows = x.rows(), half = cosine.cols(), width = x.cols();
  require_shape("rope", "x", x, rows, width);
  require_shape("rope", "cosine", cosine, rows, half);
  require_shape("rope", "sine", sine, rows, half);
  if (rows == 0) return;
  WINNOW_CHECK(half > 0 && width % (2 * half) == 0, "ERR_SHAPE", "[rope] x does not fit the table",
               "heads of width " + std::to_string(2 * half), describe(x));
  call(context, [&](const Table& table, Device* device) {
    return table.rope(device, x.as<float>(), cosine.as<float>(), sine.as<float>(), rows, width / (2 * half),
                      half, inverse);
  });
}

void swiglu_forward(Context& context, View out, View gate, View up) {
  const int64_t rows = gate.rows(), width = gate.cols();
  require_shape("swiglu_forward", "gate", gate, rows, width);
  require_shape("swiglu_forward", "up", up, rows, width);
  require_shape("swiglu_forward", "out", out, rows, width);
  call(context, [&](const Table& table, Device* device) {
    return table.swiglu_forward(device, out.as<float>(), gate.as<float>(), up.as<float>(), gate.size());
  });
}

void swiglu_backward(Context& context, View dgate, View dup, View dout, View gate, View up) {
  const int64_t rows = gate.rows(), width = gate.cols();
  require_shape("swiglu_backward", "gate", gate, rows, width);
  require_shape("swiglu_backward", "up", up, rows, width);
  require_shape("swiglu_backward", "dout", dout, rows, width);
  require_shape("swiglu_backward", "dgate", dgate, rows, width);
  require_shape("swiglu_backward", "dup", dup, rows, width);
  call(context, [&](const Table& table, Device* device) {
    return table.swiglu_backward(device, dgate.as<float>(), dup.as<float>(), dout.as<float>(),
                                 gate.as<float>(), up.as<float>(), gate.size());
  });
}

void scale(Context& context, View x, float factor) {
  require_shape("scale", "x", x, x.rows(), x.cols());
  call(context, [&](const Table& table, Device* device) {
    return table.scale(device, x.as<float>(), x.size(), factor);
  });
}

void dropout(Context& context, View out, View x, View keys, DropoutOptions options, bool accumulate) {
  const int64_t rows = x.rows(), width = x.cols();
  require_shape("dropout", "x", x, rows, width);
  require_shape("dropout", "out", out, rows, width);
  require_shape("dropout", "keys", keys, rows, 2, DType::kI32);
  call(context, [&](const Table& table, Device* device) {
    return table.dropout(device, out.as<float>(), x.as<float>(), keys.as<int32_t>(), rows, width,
                         options.probability, options.stream, accumulate);
  });
}

Ops make_ops(const OpenDevice& open) {
  return {
      .name = "cuda",
      .instructions = open.instructions.c_str(),
      .allocate = allocate,
      .release = release,
      .upload = upload,
      .download = download,
      .copy = copy,
      .zero = zero,
      .available_bytes = available_bytes,
      .reserve = reserve,
      .packed_weight_bytes = packed_weight_bytes,
      .pack_weight = pack_weight,
      .linear_forward = linear_forward,
      .linear_backward_input = linear_backward_input,
      .linear_backward_weight = linear_backward_weight,
      .linear_backward = linear_backward_of_parts<linear_backward_input, linear_backward_weight>,
      .bias_backward = bias_backward,
      .embedding_forward = embedding_forward,
      .embedding_backward = embedding_backward,
      .rms_norm_forward = rms_norm_forward,
      .rms_norm_backward = rms_norm_backward,
      .rope = rope,
      .kv_write = kv_write,
      .rope_kv_write = rope_kv_write,
      .attention_forward = attention_forward,
      .attention_backward = attention_backward,
      .swiglu_forward = swiglu_forward,
      .swiglu_backward = swiglu_backward,
      .norm_linear_forward = norm_then_linear<rms_norm_forward, linear_forward>,
      .swiglu_linear_forward = swiglu_then_linear<swiglu_forward, linear_forward>,
      .feed_forward = feed_forward_of_parts<norm_then_linear<rms_norm_forward, linear_forward>,
                                            swiglu_then_linear<swiglu_forward, linear_forward>>,
      .feed_forward_backward = feed_forward_backward_of_parts<swiglu_forward, swiglu_backward,
                                                              linear_backward_input, linear_backward_weight>,
      .gather_rows = gather_rows,
      .scatter_add_rows = scatter_add_rows,
      .softmax_statistics = softmax_statistics,
      .softmax_backward = softmax_backward,
      .policy_loss = policy_loss,
      .sample = sample,
      .scale = scale,
      .dropout = dropout,
      .squared_norm = squared_norm,
      .adamw = adamw,
      .adamw_8bit = adamw_8bit,
      .pack_master = pack_master,
      .unpack_master = unpack_master};
}

}  // namespace
}  // namespace winnow::cuda

namespace winnow {

const Ops& cuda_ops(int ordinal) {
  static std::array<Ops, cuda::kMostDevices> all;
  cuda::OpenDevice& open = cuda::open_device(ordinal);
  const std::lock_guard lock(open.mutex);
  Ops& ops = all[static_cast<size_t>(ordinal)];
  ops = cuda::make_ops(open);
  return ops;
}

}  // namespace winnow
