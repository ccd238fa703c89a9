// What accumulate_gradients is given: whether it fits together, and which tokens of it must be computed.
#pragma once

#include "model/sequences.h"
#include "train/trainer.h"

namespace winnow {

// Throws what accumulate_gradients throws before any work, but for ERR_MEMORY_PLAN.
void require_inputs(const Model& model, const Sequences& sequences, const LossInputs& inputs,
                    const LossOptions& options);

// Of each sequence the tokens up to the one before its last token with a loss.
struct NeededTokens {
  std::vector<int32_t> tokens;
  std::vector<int64_t> offsets{0};
};
NeededTokens needed_tokens(const Sequences& sequences, const LossInputs& inputs);

}  // namespace winnow
