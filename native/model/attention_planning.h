// From a token forest and blocks of a KV store to a batch that the kernels can run.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/kv_store.h"
#include "model/model.h"
#include "model/token_forest.h"

namespace winnow {

// Blocks taken from a store that go back to it when the lease ends.
class BlockLease {
 public:
  BlockLease() = default;  // holds nothing and can take nothing
  explicit BlockLease(KeyValueStore& store) : store_(&store) {}
  BlockLease(BlockLease&& other) noexcept;
  BlockLease& operator=(BlockLease&& other) noexcept;
  ~BlockLease() { give_back(); }

  void take(int64_t count);  // throws ERR_KV_FULL; what was taken before stays in the lease
  void give_back();
  std::vector<int32_t> hand_over() { return std::exchange(blocks_, {}); }  // to another owner
  std::span<const int32_t> blocks() const { return blocks_; }

 private:
  KeyValueStore* store_ = nullptr;
  std::vector<int32_t> blocks_;
};

// Blocks that `length` consecutive positions from `position` touch.
int64_t blocks_needed(int64_t position, int64_t length);
int64_t blocks_needed(const TokenForest& forest);

// Index kKeyBlock * block + lane where the key of `position` lives, in a piece of a path that starts
// at `piece_begin` and owns `blocks`.
int32_t key_slot(std::span<const int32_t> blocks, int32_t piece_begin, int32_t position);

// Adds positions [begin, end) of that piece to the runs of its path. `row` is the batch row of
// `begin`, or -1; runs without rows that continue one another are merged.
void append_runs(std::vector<KeyRun>& runs, std::span<const int32_t> blocks, int32_t piece_begin,
                 int32_t begin, int32_t end, int32_t row);

// Adds tokens at consecutive positions from `position` on to a batch; `blocks` begin at `piece_begin`.
void append_rows(ForwardBatch& batch, std::span<const int32_t> tokens, std::span<const int32_t> blocks,
                 int32_t piece_begin, int32_t position);

// The whole forest as one batch; rows are the forest's rows. Blocks are added to `lease`.
ForwardBatch plan_batch(const TokenForest& forest, BlockLease& lease);

}  // namespace winnow
