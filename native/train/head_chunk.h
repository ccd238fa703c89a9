// The head on a few rows at a time, so that no (tokens, vocabulary) array exists.
#pragma once

#include <cstdint>
#include <span>

#include "model/model.h"

namespace winnow {

// Views of the model's workspace, valid until the next chunk. C rows.
struct HeadChunk {
  View rows, targets;          // (C), i32
  View hidden, logits;         // (C, D), (C, V)
  View lse, logprob, entropy;  // (C); entropy is empty unless asked for
};

// Statistics of predicting targets[c] from row rows[c] of `hidden` (M, D).
HeadChunk run_head_chunk(Model& model, View hidden, std::span<const int32_t> rows,
                         std::span<const int32_t> targets, float temperature, bool with_entropy);

}  // namespace winnow
