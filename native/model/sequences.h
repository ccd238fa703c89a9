// Token sequences as one flat array: sequence s is tokens[offsets[s], offsets[s + 1]).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/config.h"

namespace winnow {

struct Sequences {
  std::span<const int32_t> tokens;
  std::span<const int64_t> offsets;  // (sequences + 1)

  size_t count() const { return offsets.size() - 1; }
  int64_t length(size_t index) const { return offsets[index + 1] - offsets[index]; }
  std::span<const int32_t> at(size_t index) const {
    return tokens.subspan(static_cast<size_t>(offsets[index]), static_cast<size_t>(length(index)));
  }
};

// Throws ERR_SHAPE naming `call` unless `offsets` ascend from 0 to the number of tokens.
void require_offsets(const char* call, const Sequences& sequences);

// Also ERR_TOKEN_RANGE for an id outside the vocabulary, ERR_CONTEXT_LENGTH for a sequence longer than
// `max_length`.
void require_sequences(const char* call, const Sequences& sequences, const ModelConfig& config,
                       int64_t max_length);

}  // namespace winnow
