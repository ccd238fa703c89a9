#include "model/config.h"

#include <cmath>
#include <numbers>

#include "base/error.h"

namespace winnow {
namespace {

void require_range(const char* field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high)
    throw Error("ERR_MODEL_CONFIG", std::string("the model's ") + field + " is not supported",
                std::to_string(low) + " to " + std::to_string(high), std::to_string(value));
}

void require_positive(const char* field, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw Error("ERR_MODEL_CONFIG", std::string("the model's ") + field + " is not supported",
                "a positive number", std::to_string(value));
}

void validate_rope(const ModelConfig& config) {
  require_positive("rope_theta", config.rope_theta);
  if (config.rope_scaling == RopeScaling::kNone) return;
  require_positive("rope factor", config.rope_factor);
  if (config.rope_scaling == RopeScaling::kLinear) return;
  require_positive("rope low_freq_factor", config.rope_low_frequency);
  require_positive("rope high_freq_factor", config.rope_high_frequency);
  require_range("rope original_max_position_embeddings", config.rope_original_positions, 1, 1 << 30);
  if (config.rope_high_frequency == config.rope_low_frequency)
    throw Error("ERR_MODEL_CONFIG", "the model's rope high_freq_factor is not supported",
                "a value that differs from low_freq_factor", std::to_string(config.rope_high_frequency));
}

// f32 throughout, in the order of transformers' `_compute_llama3_parameters`.
float llama3_frequency(const ModelConfig& config, float frequency) {
  const double context = static_cast<double>(config.rope_original_positions);
  const float factor = static_cast<float>(config.rope_factor);
  const float low = static_cast<float>(config.rope_low_frequency);
  const float low_wavelength = static_cast<float>(context / config.rope_low_frequency);
  const float high_wavelength = static_cast<float>(context / config.rope_high_frequency);
  const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
  if (wavelength > low_wavelength) return frequency / factor;
  if (wavelength < high_wavelength) return frequency;
  const float smooth = (static_cast<float>(context) / wavelength - low) /
                       static_cast<float>(config.rope_high_frequency - config.rope_low_frequency);
  return (1.0f - smooth) * frequency / factor + smooth * frequency;
}

void add_layer(std::vector<ParameterSpec>& specs, const ModelConfig& config, int layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const int64_t query = int64_t{config.heads} * config.head_dim;
  const int64_t key = int64_t{config.kv_heads} * config.head_dim;
  const auto linear = [&](const std::string& module, int64_t rows, int64_t cols, bool bias) {
    const auto group = module.starts_with("mlp.") ? ParameterGroup::kMlp : ParameterGroup::kAttention;
    specs.push_back({prefix + module + ".weight", ParameterKind::kLinear, rows, cols, group});
    if (bias)
      specs.push_back({prefix + module + ".bias", ParameterKind::kBias, 1, rows, ParameterGroup::kBias});
  };
  const auto norm = [&](const std::string& module, int64_t length) {
    specs.push_back({prefix + module + ".weight", ParameterKind::kNorm, 1, length, ParameterGroup::kNorm});
  };
  norm("input_layernorm", config.width);
  linear("self_attn.q_proj", query, config.width, config.qkv_bias);
  linear("self_attn.k_proj", key, config.width, config.qkv_bias);
  linear("self_attn.v_proj", key, config.width, config.qkv_bias);
  if (config.qk_norm) {
    norm("self_attn.q_norm", config.head_dim);
    norm("self_attn.k_norm", config.head_dim);
  }
  linear("self_attn.o_proj", config.width, query, config.output_bias);
  norm("post_attention_layernorm", config.width);
  linear("mlp.gate_proj", config.feed_forward, config.width, false);
  linear("mlp.up_proj", config.feed_forward, config.width, false);
  linear("mlp.down_proj", config.width, config.feed_forward, false);
}

}  // namespace

// The ceilings keep every product of extents far from 2^63.
void validate(const ModelConfig& config) {
  require_range("vocab_size", config.vocabulary, 2, 1 << 24);
  require_range("hidden_size", config.width, 1, 1 << 20);
  require_range("intermediate_size", config.feed_forward, 1, 1 << 22);
  require_range("num_hidden_layers", config.layers, 1, 4096);
  require_range("num_attention_heads", config.heads, 1, 4096);
  require_range("num_key_value_heads", config.kv_heads, 1, config.heads);
  if (config.heads % config.kv_heads != 0)
    throw Error("ERR_MODEL_CONFIG", "the model's num_key_value_heads is not supported",
                "a divisor of num_attention_heads = " + std::to_string(config.heads),
                std::to_string(config.kv_heads));
  require_range("head_dim", config.head_dim, 8, 256);
  if (config.head_dim % 8 != 0)
    throw Error("ERR_MODEL_CONFIG", "the model's head_dim is not supported", "a multiple of 8",
                std::to_string(config.head_dim));
  require_range("max_position_embeddings", config.max_positions, 2, 1 << 30);
  require_positive("rms_norm_eps", config.norm_epsilon);
  validate_rope(config);
}

// transformers computes 1 / theta^(2i / Dh) with f32 tensors, so every step is rounded to f32.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  const float theta = static_cast<float>(config.rope_theta);
  for (int pair = 0; pair < config.head_dim / 2; ++pair) {
    const float exponent = static_cast<float>(2 * pair) / static_cast<float>(config.head_dim);
    const float power =
        static_cast<float>(std::pow(static_cast<double>(theta), static_cast<double>(exponent)));
    const float frequency = 1.0f / power;
    switch (config.rope_scaling) {
      case RopeScaling::kNone:
        frequencies.push_back(frequency);
        break;
      case RopeScaling::kLinear:
        frequencies.push_back(frequency / static_cast<float>(config.rope_factor));
        break;
      case RopeScaling::kLlama3:
        frequencies.push_back(llama3_frequency(config, frequency));
        break;
    }
  }
  return frequencies;
}

std::vector<ParameterSpec> parameter_specs(const ModelConfig& config) {
  std::vector<ParameterSpec> specs;
  specs.push_back({"model.embed_tokens.weight", ParameterKind::kEmbedding, config.vocabulary, config.width,
                   ParameterGroup::kEmbedding});
  for (int layer = 0; layer < config.layers; ++layer) add_layer(specs, config, layer);
  specs.push_back({"model.norm.weight", ParameterKind::kNorm, 1, config.width, ParameterGroup::kNorm});
  if (!config.tied_head)
    specs.push_back(
        {"lm_head.weight", ParameterKind::kLinear, config.vocabulary, config.width, ParameterGroup::kHead});
  if (config.value_head)
    specs.push_back({"score.weight", ParameterKind::kValueHead, 1, config.width, ParameterGroup::kHead});
  return specs;
}

}  // namespace winnow
