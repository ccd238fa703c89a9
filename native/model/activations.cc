#include "model/activations.h"

#include "model/workspace.h"

namespace winnow {
namespace {

// Hands out consecutive pieces of one array; without an array it only counts. Pieces start on
// 64-byte borders.
class Carver {
 public:
  explicit Carver(float* data) : data_(data) {}

  View take(int64_t rows, int64_t cols) {
    View view(data_ ? data_ + used_ : nullptr, DType::kF32, {rows, cols});
    used_ += (rows * cols + 15) / 16 * 16;
    return view;
  }
  View take(int64_t rows) {
    View view = take(rows, 1);
    view.rank = 1;
    return view;
  }
  int64_t used() const { return used_; }

 private:
  float* data_;
  int64_t used_ = 0;
};

LayerActivations carve_layer(Carver& carver, const ModelConfig& config, int64_t rows) {
  const int64_t query_width = int64_t{config.heads} * config.head_dim;
  LayerActivations layer;
  layer.residual_in = carver.take(rows, config.width);
  layer.residual_mid = carver.take(rows, config.width);
  layer.attention_rstd = carver.take(rows);
  layer.feed_forward_rstd = carver.take(rows);
  layer.query = carver.take(rows, query_width);
  if (config.qk_norm) {
    layer.key_raw = carver.take(rows, int64_t{config.kv_heads} * config.head_dim);
    layer.query_rstd = carver.take(rows * config.heads);
    layer.key_rstd = carver.take(rows * config.kv_heads);
  }
  layer.lse = carver.take(rows, config.heads);
  layer.attended = carver.take(rows, query_width);
  layer.gate = carver.take(rows, config.feed_forward);
  layer.up = carver.take(rows, config.feed_forward);
  return layer;
}

}  // namespace

int64_t Activations::size_bytes(const ModelConfig& config, int64_t rows) {
  Carver layer(nullptr), rest(nullptr);
  carve_layer(layer, config, rows);
  rest.take(rows, config.width);
  rest.take(rows);
  return (config.layers * layer.used() + rest.used()) * static_cast<int64_t>(sizeof(float));
}

Activations::Activations(Context& context, const Ops& ops, const ModelConfig& config, int64_t capacity)
    : config_(config),
      capacity_(capacity),
      storage_(allocate_buffer(context, ops, {size_bytes(config, capacity) / 4})) {
  bind(capacity);
}

void Activations::bind(int64_t rows_to_bind) {
  WINNOW_CHECK(rows_to_bind <= capacity_, "ERR_INTERNAL", "the batch is larger than its activations");
  rows = rows_to_bind;
  Carver carver(storage_.view().f32());
  layers.clear();
  for (int index = 0; index < config_.layers; ++index) layers.push_back(carve_layer(carver, config_, rows));
  final_residual = carver.take(rows, config_.width);
  final_rstd = carver.take(rows);
}

}  // namespace winnow
