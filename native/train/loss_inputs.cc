#include "train/loss_inputs.h"

#include <cmath>

namespace winnow {
namespace {

void require_aligned(const char* name, std::span<const float> values, size_t tokens, bool may_be_empty) {
  if (values.size() != tokens && !(may_be_empty && values.empty()))
    throw Error("ERR_SHAPE", std::string("[accumulate_gradients] ") + name + " does not fit the tokens",
                std::to_string(tokens) + " values", std::to_string(values.size()));
}

void require_arrays(const Model& model, size_t tokens, const LossInputs& inputs, LossKind kind) {
  const bool policy = kind == LossKind::kPolicyGradient, value = kind == LossKind::kValue;
  require_aligned("weight", inputs.weight, value ? 0 : tokens, false);
  require_aligned("advantage", inputs.advantage, policy ? tokens : 0, !policy);
  require_aligned("old_logprob", inputs.old_logprob, policy ? tokens : 0, true);
  require_aligned("reference_logprob", inputs.reference_logprob, policy ? tokens : 0, true);
  require_aligned("value_gradient", inputs.value_gradient, tokens, !value);
  WINNOW_CHECK(inputs.value_gradient.empty() || model.config().value_head, "ERR_VALUE_HEAD",
               "the model has no value head", "a model with valueHead");
}

// What stands for the loss of a token: finite, and 0 where nothing predicts.
void require_weights(const char* name, const Sequences& sequences, std::span<const float> weights) {
  if (weights.empty()) return;
  for (size_t index = 0; index < sequences.count(); ++index)
    for (int64_t i = 0; i < sequences.length(index); ++i) {
      const float weight = weights[static_cast<size_t>(sequences.offsets[index] + i)];
      if (!std::isfinite(weight) || (i == 0 && weight != 0))
        throw Error("ERR_LOSS_WEIGHT",
                    std::string("[accumulate_gradients] the ") + name + " of token " + std::to_string(i) +
                        " of sequence " + std::to_string(index) + " is not usable",
                    i == 0 ? "0, because nothing predicts the first token" : "a finite number",
                    std::to_string(weight));
    }
}

}  // namespace

void require_inputs(const Model& model, const Sequences& sequences, const LossInputs& inputs,
                    const LossOptions& options) {
  WINNOW_CHECK(model.trains(), "ERR_NOT_TRAINING", "the model holds no gradients",
               "a model after enableTraining()");
  require_sequences("accumulate_gradients", sequences, model.config(), model.config().max_positions);
  require_arrays(model, sequences.tokens.size(), inputs, options.kind);
  WINNOW_CHECK(options.temperature > 0 && std::isfinite(options.temperature), "ERR_OPTION",
               "[accumulate_gradients] temperature is not usable", "a positive number",
               std::to_string(options.temperature));
  WINNOW_CHECK(options.max_batch_tokens >= 1 && options.head_chunk_rows >= 1, "ERR_OPTION",
               "[accumulate_gradients] max_batch_tokens or head_chunk_rows is not usable", "at least 1",
               std::to_string(options.max_batch_tokens) + " and " + std::to_string(options.head_chunk_rows));
  WINNOW_CHECK(options.kind != LossKind::kPolicyGradient || options.policy.kl_coefficient == 0 ||
                   !inputs.reference_logprob.empty(),
               "ERR_OPTION", "[accumulate_gradients] a KL term needs reference log-probabilities",
               "reference_logprob, or kl_coefficient 0", "neither");
  require_weights("weight", sequences, inputs.weight);
  require_weights("value gradient", sequences, inputs.value_gradient);
}

NeededTokens needed_tokens(const Sequences& sequences, const LossInputs& inputs) {
  const auto bears_loss = [&](int64_t index) {
    const auto i = static_cast<size_t>(index);
    return (!inputs.weight.empty() && inputs.weight[i] != 0) ||
           (!inputs.value_gradient.empty() && inputs.value_gradient[i] != 0);
  };
  NeededTokens needed;
  for (size_t index = 0; index < sequences.count(); ++index) {
    const auto tokens = sequences.at(index);
    auto length = sequences.length(index);
    while (length > 0 && !bears_loss(sequences.offsets[index] + length - 1)) --length;
    if (length > 0) needed.tokens.insert(needed.tokens.end(), tokens.begin(), tokens.begin() + (length - 1));
    needed.offsets.push_back(static_cast<int64_t>(needed.tokens.size()));
  }
  return needed;
}

}  // namespace winnow
