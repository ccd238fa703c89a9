#include "model/adapter.h"

#include <array>
#include <cmath>

#include "base/error.h"
#include "base/philox.h"

namespace winnow {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr int64_t kMostRank = 1 << 16;

void require_numbers(const AdapterConfig& adapter) {
  const auto require = [](bool fits, const char* what, const char* expected, const std::string& received) {
    WINNOW_CHECK(fits, "ERR_ADAPTER_CONFIG", std::string("the adapter's ") + what + " is not usable",
                 expected, received);
  };
  require(adapter.rank >= 1 && adapter.rank <= kMostRank, "rank", "1 to 65536", std::to_string(adapter.rank));
  require(std::isfinite(adapter.alpha) && adapter.alpha > 0, "alpha", "a positive number",
          std::to_string(adapter.alpha));
  require(adapter.dropout >= 0 && adapter.dropout < 1, "dropout", "0 or more, and less than 1",
          std::to_string(adapter.dropout));
  require(!adapter.targets.empty(), "list of targets", "at least one module name", "none");
}

bool names_module(std::string_view target, std::string_view path) {
  if (target == path) return true;
  return path.size() > target.size() && path.ends_with(target) &&
         path[path.size() - target.size() - 1] == '.';
}

// "model.layers.0.self_attn.q_proj", or nothing where an adapter cannot go.
std::string_view module_path(const ParameterSpec& spec) {
  if (spec.kind != ParameterKind::kLinear || spec.name == "lm_head.weight") return {};
  return std::string_view(spec.name).substr(0, spec.name.size() - kWeight.size());
}

AdapterSpec spec_of(const ParameterSpec& weight, size_t layer, int64_t rank) {
  const std::string prefix = "base_model.model." + std::string(module_path(weight));
  return {layer,
          {prefix + ".lora_A.weight", ParameterKind::kLinear, rank, weight.cols, weight.group},
          {prefix + ".lora_B.weight", ParameterKind::kLinear, weight.rows, rank, weight.group}};
}

}  // namespace

std::vector<AdapterSpec> adapter_specs(const ModelConfig& config, const AdapterConfig& adapter) {
  require_numbers(adapter);
  const std::vector<ParameterSpec> weights = parameter_specs(config);
  std::vector<bool> used(adapter.targets.size());
  std::vector<AdapterSpec> specs;
  for (size_t layer = 0; layer < weights.size(); ++layer) {
    const std::string_view path = module_path(weights[layer]);
    if (path.empty()) continue;
    bool adapted = false;
    for (size_t target = 0; target < adapter.targets.size(); ++target) {
      if (!names_module(adapter.targets[target], path)) continue;
      adapted = used[target] = true;
    }
    if (adapted) specs.push_back(spec_of(weights[layer], layer, adapter.rank));
  }
  for (size_t target = 0; target < used.size(); ++target)
    if (!used[target])
      throw Error(
          "ERR_ADAPTER_TARGET", "the model has no linear layer of this name for the adapter",
          "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj or down_proj, or the end of a path such as "
          "layers.0.self_attn.q_proj",
          adapter.targets[target]);
  return specs;
}

float adapter_scale(const AdapterConfig& adapter) {
  const auto rank = static_cast<double>(adapter.rank);
  return static_cast<float>(static_cast<double>(adapter.alpha) /
                            (adapter.rank_stabilised ? std::sqrt(rank) : rank));
}

std::vector<int32_t> dropout_keys(const TokenForest& forest, uint64_t seed) {
  std::vector<int32_t> keys(2 * forest.tokens.size());
  for (const ForestSegment& segment : forest.segments) {
    std::array<uint32_t, 4> key{};
    if (segment.parent >= 0) {
      const ForestSegment& parent = forest.segments[static_cast<size_t>(segment.parent)];
      const auto last = static_cast<size_t>(parent.row_begin + parent.length - 1);
      key = {static_cast<uint32_t>(keys[2 * last]), static_cast<uint32_t>(keys[2 * last + 1])};
    }
    for (int32_t row = segment.row_begin; row < segment.row_begin + segment.length; ++row) {
      const auto index = static_cast<size_t>(row);
      key = philox4x32(seed, {key[0], key[1], static_cast<uint32_t>(forest.tokens[index]), 0xd40b});
      keys[2 * index] = static_cast<int32_t>(key[0]);
      keys[2 * index + 1] = static_cast<int32_t>(key[1]);
    }
  }
  return keys;
}

}  // namespace winnow
