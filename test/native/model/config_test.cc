// Configuration: refusals, the list of tensors, rotary frequencies against transformers.
#include <cmath>

#include "tiny_model.h"

namespace winnow::test {
namespace {

TEST("model/config/refuses what no kernel supports, and names it") {
  struct Case {
    const char* field;
    void (*change)(ModelConfig&);
  };
  const Case cases[] = {
      {"vocab_size", [](ModelConfig& c) { c.vocabulary = 0; }},
      {"hidden_size", [](ModelConfig& c) { c.width = -1; }},
      {"intermediate_size", [](ModelConfig& c) { c.feed_forward = 1ll << 40; }},
      {"num_hidden_layers", [](ModelConfig& c) { c.layers = 0; }},
      {"num_attention_heads", [](ModelConfig& c) { c.heads = 0; }},
      {"num_key_value_heads", [](ModelConfig& c) { c.kv_heads = 3; }},
      {"head_dim", [](ModelConfig& c) { c.head_dim = 12; }},
      {"head_dim", [](ModelConfig& c) { c.head_dim = 264; }},
      {"max_position_embeddings", [](ModelConfig& c) { c.max_positions = 0; }},
      {"rms_norm_eps", [](ModelConfig& c) { c.norm_epsilon = std::nanf(""); }},
      {"rope_theta", [](ModelConfig& c) { c.rope_theta = 0; }},
      {"rope factor", [](ModelConfig& c) { c.rope_factor = -8; }},
      {"original_max_position_embeddings", [](ModelConfig& c) { c.rope_original_positions = 0; }},
      {"high_freq_factor", [](ModelConfig& c) { c.rope_high_frequency = 1; }},
  };
  validate(tiny_config("llama"));
  for (const Case& test : cases) {
    ModelConfig config = tiny_config("llama");
    test.change(config);
    const std::string message = expect_error("ERR_MODEL_CONFIG", [&] { validate(config); });
    EXPECT(message.find(test.field) != std::string::npos, "names ", test.field, ": ", message);
  }
}

const char* group_name(const ParameterSpec& spec) {
  return kParameterGroupNames[static_cast<size_t>(spec.group)];
}

TEST("model/config/lists the tensors of Hugging Face checkpoints") {
  ModelConfig config = tiny_config("qwen2");
  config.layers = 1;
  std::string names;
  for (const ParameterSpec& spec : parameter_specs(config))
    names += spec.name + text(" ", spec.rows, "x", spec.cols, " ", group_name(spec), "\n");
  EXPECT(names ==
             "model.embed_tokens.weight 37x21 embedding\n"
             "model.layers.0.input_layernorm.weight 1x21 norm\n"
             "model.layers.0.self_attn.q_proj.weight 64x21 attention\n"
             "model.layers.0.self_attn.q_proj.bias 1x64 bias\n"
             "model.layers.0.self_attn.k_proj.weight 32x21 attention\n"
             "model.layers.0.self_attn.k_proj.bias 1x32 bias\n"
             "model.layers.0.self_attn.v_proj.weight 32x21 attention\n"
             "model.layers.0.self_attn.v_proj.bias 1x32 bias\n"
             "model.layers.0.self_attn.o_proj.weight 21x64 attention\n"
             "model.layers.0.post_attention_layernorm.weight 1x21 norm\n"
             "model.layers.0.mlp.gate_proj.weight 27x21 mlp\n"
             "model.layers.0.mlp.up_proj.weight 27x21 mlp\n"
             "model.layers.0.mlp.down_proj.weight 21x27 mlp\n"
             "model.norm.weight 1x21 norm\n",
         names);
  config.tied_head = config.qkv_bias = false;
  config.qk_norm = true;
  const auto specs = parameter_specs(config);
  EXPECT(specs.back().name == "lm_head.weight", "an untied head comes last");
  EXPECT(std::string(group_name(specs.back())) == "head", "and is a group of its own");
  EXPECT(specs.size() == 14, "q/k norms instead of three biases, and the head: ", specs.size());
}

// Made by transformers 5.18 for head size 16: theta 1e6 plain and with linear factor 4; theta 5e5 with llama3
// factor 8 from 8192 positions.
const std::vector<float> kPlainFrequencies = {
    1.0f,           0.177827939f,   0.0316227786f,   0.00562341325f,
    0.00100000005f, 0.00017782794f, 3.16227743e-05f, 5.62341347e-06f};
const std::vector<float> kLinearFrequencies = {0.25f,           0.0444569848f,   0.00790569466f,
                                               0.00140585331f,  0.000250000012f, 4.44569851e-05f,
                                               7.90569356e-06f, 1.40585337e-06f};
const std::vector<float> kLlamaFrequencies = {1.0f,
                                              0.193922758f,
                                              0.0376060307f,
                                              0.00729266508f,
                                              0.000524846022f,
                                              3.42810235e-05f,
                                              6.64786967e-06f,
                                              1.28917316e-06f};

// Within one rounding of what transformers computes.
void expect_frequencies(const ModelConfig& config, const std::vector<float>& expected) {
  const std::vector<float> frequencies = rope_inverse_frequencies(config);
  EXPECT(frequencies.size() == expected.size(), "Dh / 2 frequencies");
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT(std::abs(frequencies[i] - expected[i]) <= 1.2e-7f * expected[i], "pair ", i, ": ", frequencies[i],
           " not ", expected[i]);
}

TEST("model/config/rotary frequencies are those of transformers") {
  ModelConfig config = tiny_config("qwen2");
  config.head_dim = 16;
  config.rope_theta = 1e6;
  expect_frequencies(config, kPlainFrequencies);
  config.rope_scaling = RopeScaling::kLinear;
  config.rope_factor = 4;
  expect_frequencies(config, kLinearFrequencies);
  config.rope_theta = 500000;
  config.rope_scaling = RopeScaling::kLlama3;
  config.rope_factor = 8;
  config.rope_original_positions = 8192;
  expect_frequencies(config, kLlamaFrequencies);
  expect_failure("scaling matters", [&] {
    config.rope_scaling = RopeScaling::kNone;
    expect_frequencies(config, kLlamaFrequencies);
  });
}

}  // namespace
}  // namespace winnow::test
