// The KV store: one pool of blocks for all paths; shared prefixes share blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backend/ops.h"
#include "model/config.h"

namespace winnow {

class KeyValueStore {
 public:
  // Allocates layers * blocks; size_bytes() tells beforehand what that takes.
  KeyValueStore(Context& context, const Ops& ops, const ModelConfig& config, int64_t blocks);
  ~KeyValueStore();
  KeyValueStore(const KeyValueStore&) = delete;
  KeyValueStore& operator=(const KeyValueStore&) = delete;

  static size_t size_bytes(const ModelConfig& config, int64_t blocks);

  KeyValueLayer layer(int index) const;
  int64_t blocks() const { return blocks_; }
  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  int32_t take_block();  // throws ERR_KV_FULL
  void give_block(int32_t block);

 private:
  void zero(int32_t block);

  Context& context_;
  const Ops& ops_;
  ModelConfig config_;
  int64_t blocks_;
  std::byte* data_ = nullptr;
  std::vector<int32_t> free_;
  int32_t never_taken_;  // the first block that has not been zeroed yet
};

}  // namespace winnow
