#include "model/sequences.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/error.h"

namespace winnow {

void require_offsets(const char* call, const Sequences& sequences) {
  const auto offsets = sequences.offsets;
  const auto tokens = static_cast<int64_t>(sequences.tokens.size());
  const std::string prefix = std::string("[") + call + "] ";
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != tokens || !std::ranges::is_sorted(offsets))
    throw Error("ERR_SHAPE", prefix + "the offsets do not cover the tokens",
                "ascending from 0 to " + std::to_string(tokens),
                offsets.empty()
                    ? "none"
                    : std::to_string(offsets.size()) + " offsets from " + std::to_string(offsets.front()) +
                          " to " + std::to_string(offsets.back()));
  if (tokens > std::numeric_limits<int32_t>::max())
    throw Error("ERR_SHAPE", prefix + "too many tokens in one call", "fewer than 2^31",
                std::to_string(tokens));
}

void require_sequences(const char* call, const Sequences& sequences, const ModelConfig& config,
                       int64_t max_length) {
  require_offsets(call, sequences);
  const std::string prefix = std::string("[") + call + "] ";
  for (size_t index = 0; index < sequences.count(); ++index) {
    if (sequences.length(index) > max_length)
      throw Error("ERR_CONTEXT_LENGTH", prefix + "sequence " + std::to_string(index) + " is too long",
                  "at most " + std::to_string(max_length) + " tokens",
                  std::to_string(sequences.length(index)),
                  "the model has " + std::to_string(config.max_positions) + " positions");
    for (const int32_t token : sequences.at(index))
      if (token < 0 || token >= config.vocabulary)
        throw Error("ERR_TOKEN_RANGE",
                    prefix + "a token id of sequence " + std::to_string(index) + " is not in the vocabulary",
                    "0 to " + std::to_string(config.vocabulary - 1), std::to_string(token));
  }
}

}  // namespace winnow
