// A low-rank adapter (LoRA; Hu et al. 2021, arXiv 2106.09685) on linear layers of a frozen decoder:
//   y = W x + s B A dropout(x),   A (r, K) and B (N, r) in f32,   s = alpha / r,
// or s = alpha / sqrt(r) in the rank-stabilised form (rsLoRA; Kalajdzievski 2023, arXiv 2312.03732).
// The tensors have the names that Hugging Face PEFT gives them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/token_forest.h"

namespace winnow {

struct AdapterConfig {
  int64_t rank = 0;
  float alpha = 0;
  float dropout = 0;  // probability, of entries of x in training passes
  bool rank_stabilised = false;
  // Module names, e.g. "q_proj"; as in PEFT one stands for every linear layer whose path is this or ends
  // in "." and this. The head is none of them.
  std::vector<std::string> targets;
};

// One adapted layer; both matrices are kLinear.
struct AdapterSpec {
  size_t layer;  // index of its weight in parameter_specs
  ParameterSpec a, b;
};

// Throws ERR_ADAPTER_CONFIG for numbers that cannot be, ERR_ADAPTER_TARGET for a target that names nothing.
std::vector<AdapterSpec> adapter_specs(const ModelConfig& config, const AdapterConfig& adapter);

float adapter_scale(const AdapterConfig& adapter);

// The keys of the forest's rows for dropout, low word first (2 x rows): a key is made of the seed, the key of
// the token before (0 at a root) and the token, so that what is dropped depends on a token's path alone.
std::vector<int32_t> dropout_keys(const TokenForest& forest, uint64_t seed);

}  // namespace winnow
