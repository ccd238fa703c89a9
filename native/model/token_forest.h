// A batch of sequences as a forest of segments: every common prefix stands once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace winnow {

struct ForestSegment {
  int32_t parent;          // index of an earlier segment, or -1
  int32_t position_begin;  // absolute position of its first token
  int32_t row_begin;       // its tokens are rows [row_begin, row_begin + length)
  int32_t length;
};

struct TokenForest {
  std::vector<int32_t> tokens;          // (rows)
  std::vector<int32_t> positions;       // (rows)
  std::vector<ForestSegment> segments;  // parents first
  // sequence_rows[offsets[s] + i] = row of token i of sequence s
  std::vector<int32_t> sequence_rows;
  std::vector<int64_t> sequence_offsets;  // (sequences + 1)
};

// Merges the longest common prefixes of `sequences` (concatenated `tokens`, `offsets` of size n + 1).
// The order of rows depends on the sequences alone; empty sequences are allowed and own no row.
TokenForest build_token_forest(std::span<const int32_t> tokens, std::span<const int64_t> offsets);

}  // namespace winnow
