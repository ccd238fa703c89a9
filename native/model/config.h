// The decoder family: Qwen2/2.5, Qwen3, Llama 2/3 and Mistral-type, as plain numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace winnow {

enum class RopeScaling : uint8_t { kNone, kLinear, kLlama3 };

struct ModelConfig {
  int64_t vocabulary = 0;    // V, rows of the embedding
  int64_t width = 0;         // D, hidden_size
  int64_t feed_forward = 0;  // F, intermediate_size
  int layers = 0;            // L
  int heads = 0;             // H
  int kv_heads = 0;          // Hk
  int head_dim = 0;          // Dh
  int64_t max_positions = 0;
  float norm_epsilon = 1e-6f;
  bool qkv_bias = false;     // Qwen2
  bool output_bias = false;  // bias of o_proj (attention_bias of Llama)
  bool qk_norm = false;      // Qwen3
  bool tied_head = false;    // lm_head = embed_tokens
  bool value_head = false;   // a critic's: score.weight maps the final norm's output to one number
  double rope_theta = 10000.0;
  RopeScaling rope_scaling = RopeScaling::kNone;
  double rope_factor = 1, rope_low_frequency = 1, rope_high_frequency = 4;
  int64_t rope_original_positions = 0;
  DType key_value_dtype = DType::kF32;  // or kBF16: what keys and values are rounded to, in every pass
};

// Throws ERR_MODEL_CONFIG naming the first field that no kernel supports.
void validate(const ModelConfig& config);

// 1 / wavelength of each rotary pair (Dh/2), scaling applied, in the rounding of transformers.
std::vector<float> rope_inverse_frequencies(const ModelConfig& config);

enum class ParameterKind : uint8_t { kEmbedding, kLinear, kBias, kNorm, kValueHead };

// What settings and metrics tell apart. A tied head is part of the embedding.
enum class ParameterGroup : uint8_t { kEmbedding, kAttention, kMlp, kHead, kNorm, kBias };
inline constexpr size_t kParameterGroups = 6;
inline constexpr const char* kParameterGroupNames[kParameterGroups] = {"embedding", "attention", "mlp",
                                                                       "head",      "norm",      "bias"};

// One named tensor under its Hugging Face name, e.g. "model.layers.0.self_attn.q_proj.weight".
struct ParameterSpec {
  std::string name;
  ParameterKind kind;
  int64_t rows;  // N; 1 for vectors
  int64_t cols;  // K; the length for vectors
  ParameterGroup group;
};

// The ONE ordered list of tensors: loading, initialising, AdamW, saving and tests walk it.
std::vector<ParameterSpec> parameter_specs(const ModelConfig& config);

}  // namespace winnow
