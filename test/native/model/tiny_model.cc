#include "tiny_model.h"

#include <cstring>
#include <numeric>

namespace winnow::test {

const std::vector<std::string>& tiny_architectures() {
  static const std::vector<std::string> all = {"qwen2", "qwen3", "llama", "mistral"};
  return all;
}

ModelConfig tiny_config(const std::string& name) {
  ModelConfig config;
  const std::string architecture = name.substr(0, name.find('+'));
  config.value_head = name.ends_with("+value");
  config.vocabulary = 37;
  config.width = 21;
  config.feed_forward = 27;
  config.layers = 2;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.max_positions = 96;
  if (architecture == "qwen2") {
    config.qkv_bias = true;
    config.tied_head = true;
  } else if (architecture == "qwen3") {
    config.qk_norm = true;
    config.tied_head = true;
    config.heads = 3;
    config.kv_heads = 3;
    config.head_dim = 24;
  } else if (architecture == "llama") {
    config.kv_heads = 1;
    config.qkv_bias = config.output_bias = true;
    config.rope_theta = 50;
    config.rope_scaling = RopeScaling::kLlama3;
    config.rope_factor = 8;
    config.rope_original_positions = 32;
    config.norm_epsilon = 1e-5f;
  } else {
    config.layers = 1;
    config.head_dim = 8;
    config.rope_scaling = RopeScaling::kLinear;
    config.rope_factor = 2;
  }
  if (name.ends_with("+tall")) config.feed_forward = 300;
  if (name.ends_with("+bf16keys")) config.key_value_dtype = DType::kBF16;
  return config;
}

TinyModel::TinyModel(const Ops& ops, const std::string& architecture, DType dtype, int threads,
                     float standard_deviation)
    : pool(threads), context{pool}, model(context, ops, tiny_config(architecture), dtype) {
  model.initialise(7, standard_deviation);
  Random random("tiny model");
  for (Parameter& parameter : model.parameters()) {
    const ParameterKind kind = parameter.spec.kind;
    if (kind == ParameterKind::kEmbedding || kind == ParameterKind::kLinear) continue;
    std::vector<float> values = read(model, parameter.value.view());
    for (float& value : values) value += static_cast<float>(random.uniform(-0.2, 0.2));
    ops.upload(context, parameter.value.view().data, values.data(), values.size() * sizeof(float));
  }
  if (model.config().value_head) model.pack();
}

std::vector<int32_t> random_tokens(Random& random, int64_t count, int64_t vocabulary) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i) tokens.push_back(static_cast<int32_t>(random.integer(0, vocabulary)));
  return tokens;
}

std::vector<float> read(Model& model, const View& view) {
  std::vector<float> values(static_cast<size_t>(view.size()));
  model.ops().download(model.context(), values.data(), view.data, view.size_bytes());
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

std::vector<float> score(Model& model, const TokenLists& sequences, const ScoreOptions& options) {
  return winnow::score(model, sequences.tokens, sequences.offsets, options, CancelToken(), nullptr);
}

LossResult accumulate(Model& model, const TokenLists& sequences, const LossInputs& inputs,
                      const LossOptions& options) {
  return accumulate_gradients(model, sequences.tokens, sequences.offsets, inputs, options, CancelToken(),
                              nullptr);
}

GenerateResult generate(Model& model, const TokenLists& prompts, const SamplingOptions& sampling,
                        const GenerateLimits& limits, std::vector<uint64_t> keys,
                        const TokenBytes& token_bytes) {
  if (keys.empty()) {
    keys.resize(prompts.count());
    std::iota(keys.begin(), keys.end(), uint64_t{0});
  }
  return winnow::generate(model, prompts.tokens, prompts.offsets, keys, sampling, token_bytes, limits,
                          CancelToken(), nullptr);
}

void add_model_tests(const std::string& name, const std::function<void(const Ops&)>& body) {
  for (const Backend& backend : backends()) {
    const Ops* ops = backend.ops;
    const std::string why = backend.why_absent;
    add_test(name + "/" + backend.name, [=] {
      if (!ops) skip(why);
      body(*ops);
    });
  }
}

}  // namespace winnow::test
