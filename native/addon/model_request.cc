#include "addon/model_request.h"

#include <limits>

namespace winnow::addon {
namespace {

constexpr int64_t kMostRows = 1ll << 31;
constexpr double kLargest = std::numeric_limits<double>::max();

}  // namespace

ModelConfig read_model_config(const Fields& config, DType dtype) {
  ModelConfig result;
  result.vocabulary = config.integer("vocabulary", 1, kMostRows);
  result.width = config.integer("width", 1, kMostRows);
  result.feed_forward = config.integer("feedForward", 1, kMostRows);
  result.layers = static_cast<int>(config.integer("layers", 1, 1 << 16));
  result.heads = static_cast<int>(config.integer("heads", 1, 1 << 16));
  result.kv_heads = static_cast<int>(config.integer("kvHeads", 1, 1 << 16));
  result.head_dim = static_cast<int>(config.integer("headDim", 1, 1 << 16));
  result.max_positions = config.integer("maxPositions", 1, kMostRows);
  result.norm_epsilon = static_cast<float>(config.number("normEpsilon", 0, 1));
  result.qkv_bias = config.boolean("qkvBias");
  result.output_bias = config.boolean("outputBias");
  result.qk_norm = config.boolean("qkNorm");
  result.tied_head = config.boolean("tiedHead");
  result.value_head = config.has("valueHead") && config.boolean("valueHead");
  result.rope_theta = config.number("ropeTheta", 0, kLargest);
  result.rope_scaling = static_cast<RopeScaling>(config.choice("ropeScaling", {"none", "linear", "llama3"}));
  result.rope_factor = config.number("ropeFactor", 0, kLargest);
  result.rope_low_frequency = config.number("ropeLowFrequency", 0, kLargest);
  result.rope_high_frequency = config.number("ropeHighFrequency", 0, kLargest);
  result.rope_original_positions = config.integer("ropeOriginalPositions", 0, kMostRows);
  result.key_value_dtype = config.has("keyValueDtype") ? read_dtype(config, "keyValueDtype") : dtype;
  validate(result);
  return result;
}

AdapterConfig read_adapter_config(const Fields& adapter) {
  AdapterConfig result;
  result.rank = adapter.integer("rank", 1, 1 << 16);
  result.alpha = static_cast<float>(adapter.number("alpha", 0, 1e9));
  result.dropout = static_cast<float>(adapter.number("dropout", 0, 0.999));
  result.rank_stabilised = adapter.boolean("rsLora");
  result.targets = adapter.texts("targets");
  return result;
}

DType read_dtype(const Fields& request, const char* name) {
  return request.choice(name, {"f32", "bf16"}) == 0 ? DType::kF32 : DType::kBF16;
}

}  // namespace winnow::addon
