// The insides of Model, shared by the files that implement it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/model.h"
#include "model/rope_table.h"
#include "model/workspace.h"

namespace winnow {

// Parameters of one layer; null where the architecture has none.
struct LayerParameters {
  Parameter *input_norm, *query, *query_bias, *key, *key_bias, *value, *value_bias;
  Parameter *query_norm, *key_norm, *output, *output_bias;
  Parameter *post_attention_norm, *gate, *up, *down;
};

struct ModelState {
  ModelState(Context& context, const Ops& ops, const ModelConfig& config, DType dtype);

  Context& context;
  const Ops& ops;
  ModelConfig config;
  DType dtype;
  // The decoder's, then the adapter's; their number is reserved, so that none moves.
  std::vector<Parameter> parameters;
  size_t decoder_parameters;
  std::vector<LayerParameters> layers;
  Parameter *embedding, *final_norm, *head;
  Parameter* value_head;                     // null without one
  std::shared_ptr<SafetensorsReader> files;  // keeps mapped sources alive
  Buffer embedding_table;                    // the mapped embedding in device memory, where that differs
  bool trains = false;
  std::optional<AdapterConfig> adapter;
  float adapter_scale = 0;
  bool adapter_on = true;
  View dropout_keys;  // (M, 2) of the batch in work, or empty
  Workspace workspace;
  RopeTable rope;
  std::vector<float> cosine, sine;  // of the batch in work

  std::span<Parameter> decoder() { return std::span(parameters).first(decoder_parameters); }
  std::span<Parameter> adapter_matrices() { return std::span(parameters).subspan(decoder_parameters); }
  // All, or with an adapter its matrices and the value head.
  bool may_train(const Parameter& parameter) const {
    return !adapter || &parameter == value_head || &parameter >= parameters.data() + decoder_parameters;
  }

  int64_t query_width() const { return int64_t{config.heads} * config.head_dim; }
  int64_t key_width() const { return int64_t{config.kv_heads} * config.head_dim; }
};

// At most so many buffers are what allocate_training makes of a parameter.
inline constexpr int64_t kTrainingBuffers = 6;
// Master, gradient and moments of a parameter that will train, moments of zero.
void allocate_training(ModelState& state, Parameter& parameter, const TrainingForms& forms);

// As Model::host_values.
View host_values(ModelState& state, const Parameter& parameter, std::vector<std::byte>& storage);

// Zeros.
void reset_value_head(ModelState& state);
bool is_matrix(const ParameterSpec& spec);
// Bytes of the packed form, a whole number of 16-bit elements.
int64_t packed_bytes(const ModelState& state, const ParameterSpec& spec, DType dtype);
// Makes the packed form from the f32 values where there are some, or from `source`.
void pack_weight(ModelState& state, Parameter& parameter);

// A number that no other pass of the process has, for Ops::attention_forward and attention_backward: nothing
// changes a batch while a pass over it runs.
uint64_t new_pass();

// (V, D) as the embedding kernels read it.
View embedding_table(const ModelState& state);
// (M, Dh/2) each, in the workspace.
void upload_rope(ModelState& state, const ForwardBatch& batch, View& cosine, View& sine);
// x (M, heads * Dh) as (M * heads, Dh), and as (M, heads, Dh).
View per_head(View x, int64_t heads);
View split_heads(View x, int64_t heads);
// 1 / sqrt(Dh)
float attention_scale(const ModelConfig& config);

FeedForwardWeights feed_forward_weights(const ModelState& state, const LayerParameters& layer);

inline View bias_view(const Parameter* bias) { return bias ? bias->value.view() : View{}; }

}  // namespace winnow
