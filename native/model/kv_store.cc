#include "model/kv_store.h"

#include "base/error.h"

namespace winnow {
namespace {

// Keys, or values.
size_t layer_bytes(const ModelConfig& config, int64_t blocks) {
  return static_cast<size_t>(blocks * config.kv_heads * config.head_dim * kKeyBlock) *
         winnow::size_bytes(config.key_value_dtype);
}

}  // namespace

size_t KeyValueStore::size_bytes(const ModelConfig& config, int64_t blocks) {
  return 2 * static_cast<size_t>(config.layers) * layer_bytes(config, blocks);
}

KeyValueStore::KeyValueStore(Context& context, const Ops& ops, const ModelConfig& config, int64_t blocks)
    : context_(context), ops_(ops), config_(config), blocks_(blocks), never_taken_(0) {
  WINNOW_CHECK(blocks >= 0, "ERR_INTERNAL", "a KV store cannot have a negative number of blocks");
  free_.reserve(static_cast<size_t>(blocks));
  for (int64_t block = blocks - 1; block >= 0; --block) free_.push_back(static_cast<int32_t>(block));
  data_ = static_cast<std::byte*>(ops.allocate(context, size_bytes(config, blocks)));
}

KeyValueStore::~KeyValueStore() {
  if (data_) ops_.release(context_, data_);
}

KeyValueLayer KeyValueStore::layer(int index) const {
  const size_t bytes = layer_bytes(config_, blocks_);
  std::byte* keys = data_ + 2 * static_cast<size_t>(index) * bytes;
  return {keys, keys + bytes, blocks_, config_.kv_heads, config_.head_dim, config_.key_value_dtype};
}

int32_t KeyValueStore::take_block() {
  if (free_.empty())
    throw Error("ERR_KV_FULL", "the KV store has no free block left", {},
                std::to_string(blocks_) + " blocks of " + std::to_string(kKeyBlock) + " positions in use");
  const int32_t block = free_.back();
  free_.pop_back();
  // Kernels read whole blocks: a lane nobody wrote must not hold a NaN. A store may be much larger than
  // what is ever used of it, so blocks are touched when they are taken.
  for (; never_taken_ <= block; ++never_taken_) zero(never_taken_);
  return block;
}

void KeyValueStore::zero(int32_t block) {
  const size_t bytes = layer_bytes(config_, 1);
  for (int index = 0; index < config_.layers; ++index) {
    const KeyValueLayer values = layer(index);
    for (void* part : {values.keys, values.values})
      ops_.zero(context_, static_cast<std::byte*>(part) + static_cast<size_t>(block) * bytes, bytes);
  }
}

void KeyValueStore::give_block(int32_t block) {
  WINNOW_DCHECK(block >= 0 && block < blocks_ && free_blocks() < blocks_);
  free_.push_back(block);
}

}  // namespace winnow
