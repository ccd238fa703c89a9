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

LayerActivations carve_layer(Carver& carver, const ModelConfig& config, int64_t rows, Keep keep) {
  const int64_t query_width = int64_t{config.heads} * config.head_dim;
  const int64_t key_width = int64_t{config.kv_heads} * config.head_dim;
  LayerActivations layer;
  layer.residual_in = carver.take(rows, config.width);
  if (keep == Keep::kLayerInputs) return layer;
  layer.residual_mid = carver.take(rows, config.width);
  layer.attention_rstd = carver.take(rows);
  layer.feed_forward_rstd = carver.take(rows);
  layer.query = carver.take(rows, query_width);
  if (config.qk_norm) {
    layer.key_raw = carver.take(rows, key_width);
    layer.query_rstd = carver.take(rows * config.heads);
    layer.key_rstd = carver.take(rows * config.kv_heads);
  }
  layer.lse = carver.take(rows, config.heads);
  layer.attended = carver.take(rows, query_width);
  layer.gate = carver.take(rows, config.feed_forward);
  layer.up = carver.take(rows, config.feed_forward);
  if (keep == Keep::kAllAndKeys) {
    layer.key = carver.take(rows, key_width);
    layer.value = carver.take(rows, key_width);
  }
  return layer;
}

using ArrayOf = View LayerActivations::*;
constexpr ArrayOf kArrays[] = {&LayerActivations::residual_in,
                               &LayerActivations::residual_mid,
                               &LayerActivations::attention_rstd,
                               &LayerActivations::feed_forward_rstd,
                               &LayerActivations::query,
                               &LayerActivations::key_raw,
                               &LayerActivations::query_rstd,
                               &LayerActivations::key_rstd,
                               &LayerActivations::lse,
                               &LayerActivations::attended,
                               &LayerActivations::gate,
                               &LayerActivations::up,
                               &LayerActivations::key,
                               &LayerActivations::value};

// Rows [begin, begin + count) of an array that holds `capacity` rows, one or several entries a row.
View slice(const View& whole, int64_t capacity, int64_t begin, int64_t count) {
  if (!whole) return whole;
  const int64_t entries = whole.rows() / capacity;
  return whole.slice_rows(begin * entries, count * entries);
}

}  // namespace

std::vector<View> LayerActivations::arrays(int64_t rows) const {
  std::vector<View> result;
  for (const ArrayOf array : kArrays)
    if (const View& view = this->*array)
      result.emplace_back(view.data, view.dtype, std::initializer_list<int64_t>{rows, view.size() / rows});
  return result;
}

int64_t activation_bytes(const ModelConfig& config, int layers, int64_t rows, Keep keep) {
  Carver layer(nullptr), rest(nullptr);
  carve_layer(layer, config, rows, keep);
  rest.take(rows, config.width);
  rest.take(rows);
  return (layers * layer.used() + rest.used()) * static_cast<int64_t>(sizeof(float));
}

Activations::Activations(Context& context, const Ops& ops, const ModelConfig& config, int layers,
                         int64_t capacity, Keep keep)
    : config_(config),
      capacity_(capacity),
      storage_(allocate_buffer(
          context, ops,
          {activation_bytes(config, layers, capacity, keep) / static_cast<int64_t>(sizeof(float))})) {
  Carver carver(storage_.view().f32());
  for (int index = 0; index < layers; ++index) whole_.push_back(carve_layer(carver, config_, capacity, keep));
  whole_final_residual_ = carver.take(capacity, config_.width);
  whole_final_rstd_ = carver.take(capacity);
  bind(0, capacity);
}

void Activations::bind(int64_t begin, int64_t rows) {
  WINNOW_CHECK(begin >= 0 && begin + rows <= capacity_, "ERR_INTERNAL",
               "the batch is larger than its activations");
  rows_ = rows;
  layers_ = whole_;
  for (LayerActivations& layer : layers_)
    for (const ArrayOf array : kArrays) layer.*array = slice(layer.*array, capacity_, begin, rows);
  final_residual_ = slice(whole_final_residual_, capacity_, begin, rows);
  final_rstd_ = slice(whole_final_rstd_, capacity_, begin, rows);
}

}  // namespace winnow
