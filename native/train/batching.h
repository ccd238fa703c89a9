// Which sequences are computed together.
#pragma once

#include <cstdint>
#include <vector>

#include "model/sequences.h"

namespace winnow {

// Consecutive sequences of the lexicographic order as one forest.
struct SequenceBatch {
  std::vector<size_t> members;  // indices of sequences
  int64_t rows = 0;             // of their forest
};

// Cuts the sorted sequences into forests of at most `max_rows` rows (a longer sequence stands alone) so
// that the rows computed over all forests, plus a price for each, are as few as possible. Empty
// sequences are in no batch.
std::vector<SequenceBatch> plan_batches(const Sequences& sequences, int64_t max_rows);

// The batch's sequences, copied one behind the other.
struct GatheredSequences {
  std::vector<int32_t> tokens;
  std::vector<int64_t> offsets;
};
GatheredSequences gather(const Sequences& sequences, const SequenceBatch& batch);

}  // namespace winnow
