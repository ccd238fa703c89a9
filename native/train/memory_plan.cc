#include <algorithm>

#include "model/activations.h"
#include "train/trainer.h"

namespace winnow {
namespace {

constexpr int64_t kFloatBytes = sizeof(float);
// A thread's own tiles: at most 0.4 MiB in a product, 0.5 MiB of scores in attention.
constexpr int64_t kThreadScratchBytes = 1 << 20;

int64_t query_width(const ModelConfig& config) { return int64_t{config.heads} * config.head_dim; }
int64_t key_width(const ModelConfig& config) { return int64_t{config.kv_heads} * config.head_dim; }

// Working arrays of forward and backward next to the activations, in floats a row.
int64_t working_floats(const ModelConfig& config) {
  const int64_t widths = 5 * config.width;  // residual, norm output and gradient, hidden and gradient
  // queries raw and rotated, attention output, their gradient; keys raw and rotated, values, their gradients
  const int64_t attention = 4 * query_width(config) + 5 * key_width(config);
  return widths + attention + 3 * config.feed_forward + config.head_dim;
}

// What the backend's kernels hold besides their arguments: inputs of a product in its own format (or turned,
// for the gradient of a weight), and one number a row and head in the backward pass of attention.
int64_t scratch_bytes(const ModelConfig& config, int64_t rows, const PlanOptions& options) {
  const int64_t widest = std::max({config.width, config.feed_forward, query_width(config)});
  const int64_t head = int64_t{options.head_chunk_rows} * config.vocabulary;
  const int64_t scores = config.heads / config.kv_heads * rows * kFloatBytes;  // of one query's group
  // Of a feed-forward block's gradient: gradients of its output, gate and up, and what was activated, twice.
  const int64_t block = rows * (config.width + 4 * config.feed_forward) * int64_t{sizeof(bf16)};
  return options.threads * (kThreadScratchBytes + scores) +
         std::max(std::max(rows * widest, head) * kFloatBytes, block) + rows * config.heads * kFloatBytes;
}

struct AdapterNumbers {
  int64_t parameters = 0, optimizer_bytes = 0;
  int64_t working = 0;  // floats a row: products with A and their gradient, the dropped input, its keys
};

AdapterNumbers adapter_numbers(const ModelConfig& config, const AdapterConfig& adapter, MomentForm moments) {
  AdapterNumbers numbers;
  const auto add = [&](const ParameterSpec& spec) {
    const TrainingBytes bytes = training_bytes(spec, DType::kF32, {.moments = moments});
    numbers.parameters += spec.rows * spec.cols;
    numbers.optimizer_bytes += bytes.masters + bytes.gradients + bytes.moments;
  };
  for (const ParameterSpec& spec : parameter_specs(config))
    if (spec.kind == ParameterKind::kValueHead) add(spec);  // trains beside it
  numbers.working = 2 * adapter.rank;
  int64_t widest = 0;
  for (const AdapterSpec& spec : adapter_specs(config, adapter)) {
    add(spec.a);
    add(spec.b);
    widest = std::max(widest, spec.a.cols);
  }
  if (adapter.dropout > 0) numbers.working += widest + 2;
  return numbers;
}

}  // namespace

MemoryPlan plan_batch_memory(const ModelConfig& config, BatchRows rows, const PlanOptions& options) {
  const auto bytes = [&](int layers, int64_t count, Keep keep) {
    return count == 0 ? 0 : activation_bytes(config, layers, count, keep);
  };
  const int64_t most = std::max(rows.computed, rows.cached);
  // Each segment of a forest leaves its last block partly empty; twice the least allows for many.
  const int64_t blocks = 2 * ((most + kKeyBlock - 1) / kKeyBlock);
  MemoryPlan plan;
  plan.activations = most * working_floats(config) * kFloatBytes;
  if (options.recompute == Recompute::kLayer)
    plan.activations +=
        bytes(config.layers, rows.computed, Keep::kLayerInputs) + bytes(1, most, Keep::kAllAndKeys);
  else
    plan.activations +=
        bytes(config.layers, rows.computed, Keep::kAll) + bytes(1, rows.cached, Keep::kAllAndKeys);
  if (options.adapter)
    plan.activations +=
        most * adapter_numbers(config, *options.adapter, options.forms.moments).working * kFloatBytes;
  plan.head = options.head_chunk_rows * (config.vocabulary + 2 * config.width + 8) * kFloatBytes;
  plan.kv_store = static_cast<int64_t>(KeyValueStore::size_bytes(config, blocks));
  plan.scratch = scratch_bytes(config, most, options);
  return plan;
}

MemoryPlan plan_training(const ModelConfig& config, DType dtype, const PlanOptions& options) {
  validate(config);
  int64_t parameters = 0, optimizer = 0, packed = 0, chunk = 0;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    const int64_t count = spec.rows * spec.cols;
    const TrainingBytes bytes = training_bytes(spec, dtype, options.forms);
    parameters += count;
    optimizer += bytes.masters + bytes.gradients + bytes.moments;
    if (options.forms.masters == MasterForm::kPacked && spec.kind == ParameterKind::kLinear)
      chunk = std::max(chunk, std::min(kMasterChunkRows, spec.rows) * spec.cols * kFloatBytes);
    const bool embedding = spec.kind == ParameterKind::kEmbedding;
    if (spec.kind == ParameterKind::kLinear || (embedding && config.tied_head)) packed += count;
  }
  MemoryPlan plan = plan_batch_memory(config, {.computed = options.max_batch_tokens}, options);
  plan.weights = packed * static_cast<int64_t>(size_bytes(dtype));
  plan.optimizer = optimizer + chunk;
  plan.trained_parameters = parameters;
  if (options.adapter) {
    const AdapterNumbers numbers = adapter_numbers(config, *options.adapter, options.forms.moments);
    plan.trained_parameters = numbers.parameters;
    plan.weights += plan.trained_parameters * kFloatBytes;  // packed
    plan.optimizer = numbers.optimizer_bytes;
  }
  return plan;
}

}  // namespace winnow
