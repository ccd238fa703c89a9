// Scoring, gradient accumulation and the optimizer step, over sequences merged into a token forest.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "model/model.h"

namespace winnow {

// Log-probabilities: result[offset + i] = log p(token i | tokens before i) at `temperature`, NaN for
// the first token of each sequence. Computed with the same kernels, bit for bit, as in generate.
struct ScoreOptions {
  float temperature = 1;
  int max_batch_tokens = 1024;  // forest rows per forward pass
  bool adapter = true;          // false: of the weights without the adapter, as a reference policy
};
std::vector<float> score(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                         const ScoreOptions& options, const CancelToken& cancel, const Progress& progress);

// result[s * D + d]: the mean over the tokens of sequence s of the final norm's output, the model's own
// embedding of a text. A sequence's row depends on its own tokens alone, bit for bit. Throws ERR_SHAPE
// for an empty sequence.
struct EmbedOptions {
  int max_batch_tokens = 1024;  // forest rows per forward pass
};
std::vector<float> embed(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                         const EmbedOptions& options, const CancelToken& cancel, const Progress& progress);

// result[offset + i] = V(tokens before i) by the value head, read at the row that predicts token i; NaN for
// the first token of each sequence. Throws ERR_VALUE_HEAD. A value depends on its path alone, bit for bit.
struct ValueOptions {
  int max_batch_tokens = 1024;  // forest rows per forward pass
};
std::vector<float> values(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                          const ValueOptions& options, const CancelToken& cancel, const Progress& progress);

// One loss entry for every token of every sequence, aligned with `tokens`; weight 0 = no loss there.
// The first token of a sequence must have weight 0.
struct LossInputs {
  std::span<const float> weight;             // mask and normaliser, per token; empty for kValue
  std::span<const float> advantage;          // empty for the supervised loss
  std::span<const float> old_logprob;        // empty: the current log-probability (ratio exactly 1)
  std::span<const float> reference_logprob;  // empty: no KL term
  // d loss / d value of each token, the value as `values` gives it: taken through the value head, beside
  // the loss on log-probabilities, and alone for kValue. Empty: none. 0 = no loss there.
  std::span<const float> value_gradient = {};
};

enum class LossKind : uint8_t { kSupervised, kPolicyGradient, kValue };

// What is kept of a forward pass for its gradient. kNone: everything that backward reads. kLayer: the input
// of each layer; its forward pass is done again in the backward pass, to the same bits. A batch whose
// activations the sampler left is computed from those either way.
enum class Recompute : uint8_t { kNone, kLayer };

struct LossOptions {
  LossKind kind = LossKind::kPolicyGradient;
  PolicyLossOptions policy;
  float temperature = 1;
  int max_batch_tokens = 1024;  // forest rows per micro-batch; sequences that share a prefix stay together
  int head_chunk_rows = 128;    // rows of logits that exist at once
  Recompute recompute = Recompute::kNone;
  uint64_t dropout_seed = 0;  // of an adapter with dropout; another one for every update
};

struct LossResult {
  PolicyLossSums sums;          // supervised: loss = sum of weight * -logprob
  std::vector<float> logprobs;  // per token, NaN where weight is 0
  int64_t forest_tokens = 0;    // rows computed: a sequence's tokens before its last loss token
  int64_t sequence_tokens = 0;  // the same without sharing
  int64_t cached_tokens = 0;    // of the forest's rows, those whose forward pass the sampler had left
  double forward_seconds = 0, head_seconds = 0, backward_seconds = 0;
};

// Adds the gradient of the loss to the parameters' gradients. Throws ERR_NOT_TRAINING, ERR_SHAPE,
// ERR_TOKEN_RANGE, ERR_CONTEXT_LENGTH, ERR_LOSS_WEIGHT, ERR_OPTION or ERR_MEMORY_PLAN before any work;
// whatever it throws later (an abort, say), it zeroes all gradients first.
LossResult accumulate_gradients(Model& model, std::span<const int32_t> tokens,
                                std::span<const int64_t> offsets, const LossInputs& inputs,
                                const LossOptions& options, const CancelToken& cancel,
                                const Progress& progress);

struct UpdateOptions {
  AdamwOptions adamw;  // weight_decay applies to the groups of `decays`
  // By ParameterGroup; matrices alone, unless told otherwise.
  std::array<bool, kParameterGroups> decays{true, true, true, true, false, false};
  float max_gradient_norm = 1;  // 0 = no clipping
};
struct UpdateResult {
  double gradient_norm = 0;  // before clipping
  // Of each ParameterGroup that the model trains, before clipping; 0 of the others.
  std::array<double, kParameterGroups> group_norms{};
  std::array<bool, kParameterGroups> has_group{};
  bool skipped = false;  // non-finite gradient: nothing changed
};
void zero_gradients(Model& model);
// Clips, steps AdamW, zeroes the gradients, repacks the weights.
UpdateResult apply_gradients(Model& model, const UpdateOptions& options);

// Masters in f32 and moments as they are, bit for bit, in safetensors. The form of the masters may differ
// from the file's, that of the moments may not.
void save_optimizer_state(Model& model, const std::string& path);
void load_optimizer_state(Model& model, const std::string& path);

// What a workload will take, before anything is allocated. All in bytes.
struct MemoryPlan {
  int64_t weights = 0, optimizer = 0, activations = 0, head = 0, kv_store = 0;
  int64_t scratch = 0;             // an upper bound of what the CPU's kernels hold
  int64_t trained_parameters = 0;  // a count
  int64_t total() const { return weights + optimizer + activations + head + kv_store + scratch; }
};
struct PlanOptions {
  int max_batch_tokens = 1024;
  int head_chunk_rows = 128;
  Recompute recompute = Recompute::kNone;
  int threads = 1;
  // With an adapter the weights stay as they are; it alone has masters, gradients and moments.
  const AdapterConfig* adapter = nullptr;
  TrainingForms forms = {};
};
MemoryPlan plan_training(const ModelConfig& config, DType dtype, const PlanOptions& options);

// Of a call's batches, without weights and optimizer: rows of the largest that is computed, and of the
// largest whose activations the sampler left.
struct BatchRows {
  int64_t computed = 0, cached = 0;
};
MemoryPlan plan_batch_memory(const ModelConfig& config, BatchRows rows, const PlanOptions& options);

}  // namespace winnow
