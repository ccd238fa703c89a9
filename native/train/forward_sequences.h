// Forward passes over given sequences, merged into token forests.
#pragma once

#include <functional>

#include "base/cancel.h"
#include "model/model.h"
#include "model/token_forest.h"
#include "train/batching.h"

namespace winnow {

// One forest computed: `hidden` (rows, D) is the final norm's output, valid until the visit ends.
struct ForwardedBatch {
  const SequenceBatch& members;
  const TokenForest& forest;
  View hidden;

  // The hidden rows of the batch's member number `member`, one a token.
  std::span<const int32_t> rows(size_t member) const {
    const auto begin = static_cast<size_t>(forest.sequence_offsets[member]);
    const auto end = static_cast<size_t>(forest.sequence_offsets[member + 1]);
    return std::span(forest.sequence_rows).subspan(begin, end - begin);
  }
};

// Visits every sequence that is not empty once, in forests of at most `max_batch_tokens` rows (a longer
// sequence stands alone). Progress counts rows.
void forward_sequences(Model& model, const Sequences& sequences, int max_batch_tokens,
                       const CancelToken& cancel, const Progress& progress,
                       const std::function<void(const ForwardedBatch&)>& visit);

// Throws ERR_OPTION naming `call`.
void require_batch_tokens(const char* call, int max_batch_tokens);

// The last token of a sequence is only ever predicted, so it needs no row of its own.
GatheredSequences without_last_tokens(const Sequences& sequences);

}  // namespace winnow
