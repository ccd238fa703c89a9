#include "model/kv_store.h"

#include "base/error.h"

namespace winnow {
namespace {

int64_t layer_floats(const ModelConfig& config, int64_t blocks) {
  return blocks * config.kv_heads * config.head_dim * kKeyBlock;  // keys, or values
}

}  // namespace

size_t KeyValueStore::size_bytes(const ModelConfig& config, int64_t blocks) {
  return static_cast<size_t>(2 * config.layers * layer_floats(config, blocks)) * sizeof(float);
}

KeyValueStore::KeyValueStore(Context& context, const Ops& ops, const ModelConfig& config, int64_t blocks)
    : context_(context), ops_(ops), config_(config), blocks_(blocks), never_taken_(0) {
  WINNOW_CHECK(blocks >= 0, "ERR_INTERNAL", "a KV store cannot have a negative number of blocks");
  free_.reserve(static_cast<size_t>(blocks));
  for (int64_t block = blocks - 1; block >= 0; --block) free_.push_back(static_cast<int32_t>(block));
  data_ = static_cast<float*>(ops.allocate(context, size_bytes(config, blocks)));
}

KeyValueStore::~KeyValueStore() {
  if (data_) ops_.release(context_, data_);
}

KeyValueLayer KeyValueStore::layer(int index) const {
  const int64_t floats = layer_floats(config_, blocks_);
  float* keys = data_ + 2 * index * floats;
  return {keys, keys + floats, blocks_, config_.kv_heads, config_.head_dim};
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
  const int64_t floats = layer_floats(config_, 1);
  for (int index = 0; index < config_.layers; ++index) {
    const KeyValueLayer values = layer(index);
    for (float* part : {values.keys, values.values})
      ops_.zero(context_, part + block * floats, static_cast<size_t>(floats) * sizeof(float));
  }
}

void KeyValueStore::give_block(int32_t block) {
  WINNOW_DCHECK(block >= 0 && block < blocks_ && free_blocks() < blocks_);
  free_.push_back(block);
}

}  // namespace winnow
