// Activations of tokens that were sampled, kept for the gradient of the same weights.
//
// A token's activations depend on its own path alone, bit for bit. So backward can read what the
// sampler's forward passes left behind, and a training step on fresh samples needs no forward pass of
// its own. Rows are found by path: the row of the token before, and the token.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "model/activations.h"
#include "model/attention_planning.h"
#include "model/token_forest.h"

namespace winnow {

class Workspace;

class ActivationCache {
 public:
  static constexpr int32_t kRoot = -1;     // before the first token
  static constexpr int32_t kUnknown = -2;  // a row that is not kept

  ActivationCache(Context& context, const Ops& ops, const ModelConfig& config);

  static int64_t size_bytes(const ModelConfig& config, int64_t rows);

  // Forgets everything and makes room for `rows` rows. Throws ERR_MEMORY_PLAN before it allocates.
  void start(int64_t rows);
  // Forgets everything: the weights have changed.
  void clear();
  // Where a forward pass over `rows` tokens shall leave its activations; null when they do not fit any
  // more, and from then on. Throws nothing, keeps nothing yet.
  Activations* open(int64_t rows);
  // The tokens in rows [row, row + tokens.size()) of that pass, done by now, follow one another and
  // `parent`. Returns the last one's node.
  int32_t keep(int32_t parent, int64_t row, std::span<const int32_t> tokens);

  // The row of each of the forest's rows, or nothing when one of them is not kept.
  std::optional<std::vector<int32_t>> find(const TokenForest& forest) const;

  int64_t size_bytes() const { return rows_ ? rows_->size_bytes() : 0; }

 private:
  friend class GatheredActivations;

  Context& context_;
  const Ops& ops_;
  const ModelConfig& config_;
  std::unique_ptr<Activations> rows_;
  int64_t opened_ = 0, used_ = 0;  // first row of the pass in work; rows handed out
  bool full_ = true;
  std::unordered_map<uint64_t, int32_t> nodes_;  // (parent, token) -> row
};

// Cached rows in the order of a batch, a layer at a time; the layer's keys go to the batch's store.
class GatheredActivations final : public ActivationSource {
 public:
  GatheredActivations(ActivationCache& cache, Workspace& workspace, const ForwardBatch& batch,
                      KeyValueStore& store, std::span<const int32_t> rows);

  int64_t rows() const override { return count_; }
  const LayerActivations& layer(int index) override;
  View final_residual() override { return one_layer_.final_residual(); }
  View final_rstd() override { return one_layer_.final_rstd(); }

 private:
  ActivationCache& cache_;
  KeyValueStore& store_;
  int64_t count_;
  Activations& one_layer_;
  View rows_, slots_;
};

}  // namespace winnow
