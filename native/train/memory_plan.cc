#include "model/activations.h"
#include "train/trainer.h"

namespace winnow {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);

// Working arrays of forward and backward next to the activations, in floats a row.
int64_t working_floats(const ModelConfig& config) {
  const int64_t query = int64_t{config.heads} * config.head_dim;
  const int64_t key = int64_t{config.kv_heads} * config.head_dim;
  const int64_t widths = 4 * config.width;        // norm output and gradient, hidden and gradient
  const int64_t attention = 3 * query + 4 * key;  // queries, attention output, gradients, keys, values
  return widths + attention + 2 * config.feed_forward + config.head_dim;
}

}  // namespace

MemoryPlan plan_training(const ModelConfig& config, DType dtype, int max_batch_tokens, int head_chunk_rows) {
  validate(config);
  int64_t parameters = 0, packed = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    const int64_t count = spec.rows * spec.cols;
    parameters += count;
    const bool embedding = spec.kind == ParameterKind::kEmbedding;
    if (spec.kind == ParameterKind::kLinear || (embedding && config.tied_head)) packed += count;
  }
  // Each segment of a forest leaves its last block partly empty; twice the least allows for many.
  const int64_t blocks = 2 * ((int64_t{max_batch_tokens} + kKeyBlock - 1) / kKeyBlock);
  MemoryPlan plan;
  plan.weights = packed * static_cast<int64_t>(size_bytes(dtype));
  plan.optimizer = 4 * parameters * kFloatBytes;  // master, gradient and two moments
  plan.activations = Activations::size_bytes(config, max_batch_tokens) +
                     max_batch_tokens * working_floats(config) * kFloatBytes;
  plan.head = head_chunk_rows * (config.vocabulary + 2 * config.width + 8) * kFloatBytes;
  plan.kv_store = static_cast<int64_t>(KeyValueStore::size_bytes(config, blocks));
  return plan;
}

}  // namespace winnow
