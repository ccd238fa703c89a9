// Who attends to whom: the token forest as attention sees it.
//
// Keys and values live in blocks of kKeyBlock positions, aligned to absolute positions: position p of
// a path is lane p % kKeyBlock of some block. Where a segment starts inside a block, the block of that
// index exists twice on the path: the parent's (lanes before the start) and the child's (lanes from
// it). Because lanes follow the absolute position, a score or a sum never depends on where a path was cut.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"

namespace winnow {

constexpr int kKeyBlock = 16;

// Consecutive positions of a path that lie in one block.
struct KeyRun {
  int32_t block;     // block index in the KV store
  int32_t position;  // absolute position of lane 0: a multiple of kKeyBlock
  int32_t begin;     // first lane used
  int32_t end;       // one past the last lane used
  int32_t row;  // batch row whose key is in lane `begin`, for attention_backward; -1: none, or not tracked
};

// Consecutive rows of a batch at consecutive positions of one path.
struct AttentionSegment {
  int32_t row_begin;  // first batch row
  int32_t row_count;
  int32_t position_begin;    // absolute position of the first row
  int32_t parent;            // index of the parent segment in the same plan, or -1
  std::vector<KeyRun> runs;  // every key of the path from position 0 to the last row, in order
};

// Parents come before their children; every batch row belongs to exactly one segment.
struct AttentionPlan {
  std::vector<AttentionSegment> segments;
};

// One layer of a KV store. Keys are transposed inside a block so that a block of scores is a small
// matrix product whose lanes are positions.
struct KeyValueLayer {
  void* keys = nullptr;    // (blocks, Hk, Dh, kKeyBlock)
  void* values = nullptr;  // (blocks, Hk, kKeyBlock, Dh)
  int64_t blocks = 0;
  int kv_heads = 0;           // Hk
  int head_dim = 0;           // Dh
  DType dtype = DType::kF32;  // kF32 or kBF16: what is written is rounded to it
};

}  // namespace winnow
