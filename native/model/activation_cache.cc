#include "model/activation_cache.h"

#include "model/room.h"
#include "model/workspace.h"

namespace winnow {
namespace {

uint64_t key_of(int32_t parent, int32_t token) {
  return static_cast<uint64_t>(static_cast<uint32_t>(parent)) << 32 | static_cast<uint32_t>(token);
}

}  // namespace

ActivationCache::ActivationCache(Context& context, const Ops& ops, const ModelConfig& config)
    : context_(context), ops_(ops), config_(config) {}

int64_t ActivationCache::size_bytes(const ModelConfig& config, int64_t rows) {
  return activation_bytes(config, config.layers, rows, Keep::kAllAndKeys);
}

void ActivationCache::start(int64_t rows) {
  clear();
  if (rows <= 0) return;
  if (!rows_ || rows_->capacity() < rows) {
    rows_.reset();  // before the larger one is allocated
    require_memory(context_, ops_, size_bytes(config_, rows),
                   "activations of " + std::to_string(rows) + " sampled tokens",
                   "lower max_activation_bytes");
    rows_ = std::make_unique<Activations>(context_, ops_, config_, config_.layers, rows, Keep::kAllAndKeys);
  }
  full_ = false;
}

void ActivationCache::clear() {
  nodes_.clear();
  opened_ = used_ = 0;
  full_ = true;
}

Activations* ActivationCache::open(int64_t rows) {
  if (full_ || used_ + rows > rows_->capacity()) {
    full_ = true;
    return nullptr;
  }
  opened_ = used_;
  used_ += rows;
  rows_->bind(opened_, rows);
  return rows_.get();
}

int32_t ActivationCache::keep(int32_t parent, int64_t row, std::span<const int32_t> tokens) {
  if (full_) return kUnknown;
  for (const int32_t token : tokens) {
    if (parent == kUnknown) return kUnknown;
    // Two completions may begin alike: the first one's row stands for both.
    parent = nodes_.try_emplace(key_of(parent, token), static_cast<int32_t>(opened_ + row)).first->second;
    ++row;
  }
  return parent;
}

std::optional<std::vector<int32_t>> ActivationCache::find(const TokenForest& forest) const {
  if (nodes_.empty()) return std::nullopt;
  std::vector<int32_t> rows(forest.tokens.size());
  for (const ForestSegment& segment : forest.segments) {
    int32_t node = kRoot;
    if (segment.parent >= 0) {
      const ForestSegment& parent = forest.segments[static_cast<size_t>(segment.parent)];
      node = rows[static_cast<size_t>(parent.row_begin + parent.length - 1)];
    }
    for (int32_t row = segment.row_begin; row < segment.row_begin + segment.length; ++row) {
      const auto found = nodes_.find(key_of(node, forest.tokens[static_cast<size_t>(row)]));
      if (found == nodes_.end()) return std::nullopt;
      rows[static_cast<size_t>(row)] = node = found->second;
    }
  }
  return rows;
}

GatheredActivations::GatheredActivations(ActivationCache& cache, Workspace& workspace,
                                         const ForwardBatch& batch, KeyValueStore& store,
                                         std::span<const int32_t> rows)
    : cache_(cache),
      store_(store),
      count_(static_cast<int64_t>(rows.size())),
      one_layer_(workspace.layer_activations(count_)),
      rows_(workspace.upload(Slot::kCachedRows, rows)),
      slots_(workspace.upload(Slot::kKeySlots, batch.slots)) {
  cache.rows_->bind(0, cache.used_);
  const auto gather = [&](View to, View from) {
    cache.ops_.gather_rows(cache.context_, View(to.data, to.dtype, {count_, to.size() / count_}),
                           View(from.data, from.dtype, {cache.used_, from.size() / cache.used_}), rows_);
  };
  gather(one_layer_.final_residual(), cache.rows_->final_residual());
  gather(one_layer_.final_rstd(), cache.rows_->final_rstd());
}

const LayerActivations& GatheredActivations::layer(int index) {
  const LayerActivations& to = one_layer_.layer(0);
  const std::vector<View> from = cache_.rows_->layer(index).arrays(cache_.used_), into = to.arrays(count_);
  for (size_t i = 0; i < from.size(); ++i) cache_.ops_.gather_rows(cache_.context_, into[i], from[i], rows_);
  cache_.ops_.kv_write(cache_.context_, store_.layer(index), to.key, to.value, slots_);
  return to;
}

}  // namespace winnow
