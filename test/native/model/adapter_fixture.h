// What the tests of adapters share.
#pragma once

#include <cmath>

#include "trainer_fixture.h"

namespace winnow::test {

inline AdapterConfig adapter_config(float dropout = 0) {
  AdapterConfig config;
  config.rank = 3;
  config.alpha = 5;
  config.dropout = dropout;
  config.targets = {"q_proj", "v_proj", "self_attn.o_proj", "layers.0.mlp.gate_proj", "down_proj"};
  return config;
}

// B is 0 in a new adapter, and would hide everything.
inline void fill_b(Model& model) {
  Random random("adapter");
  for (Parameter& parameter : model.parameters()) {
    if (!parameter.spec.name.ends_with("lora_B.weight")) continue;
    std::vector<float> values(static_cast<size_t>(parameter.source.size()));
    for (float& value : values) value = static_cast<float>(random.uniform(-0.3, 0.3));
    model.ops().upload(model.context(), parameter.source.data, values.data(), values.size() * sizeof(float));
  }
  model.pack();
}

struct AdaptedModel : TinyModel {
  AdaptedModel(const Ops& ops, const std::string& architecture,
               const AdapterConfig& config = adapter_config(), DType dtype = DType::kF32, int threads = 1)
      : TinyModel(ops, architecture, dtype, threads) {
    model.add_adapter(config, 3);
    fill_b(model);
  }
};

using Gradients = std::vector<std::vector<float>>;

inline Gradients take_gradients(Model& model) {
  Gradients gradients;
  for (const Parameter& parameter : model.parameters())
    if (parameter.gradient) gradients.push_back(read(model, parameter.gradient.view()));
  zero_gradients(model);
  return gradients;
}

inline LossOptions supervised_with(uint64_t dropout_seed, int max_batch_tokens = 1024) {
  LossOptions options = supervised();
  options.dropout_seed = dropout_seed;
  options.max_batch_tokens = max_batch_tokens;
  return options;
}

inline LossResult accumulate_all(Model& model, const TokenLists& sequences, const LossOptions& options) {
  return accumulate(model, sequences, {unit_weights(sequences), {}, {}, {}}, options);
}

inline double largest_difference(const Gradients& a, const Gradients& b) {
  double difference = 0, largest = 0;
  for (size_t tensor = 0; tensor < a.size(); ++tensor)
    for (size_t i = 0; i < a[tensor].size(); ++i) {
      difference = std::max(difference, static_cast<double>(std::fabs(a[tensor][i] - b[tensor][i])));
      largest = std::max(largest, static_cast<double>(std::fabs(a[tensor][i])));
    }
  return difference / largest;
}

}  // namespace winnow::test
