// One forest of a loss, and where its backward pass finds the activations.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/attention_planning.h"
#include "model/room.h"
#include "model/token_forest.h"
#include "train/batching.h"
#include "train/trainer.h"

namespace winnow {

struct MicroBatch {
  SequenceBatch members;
  TokenForest forest;
  std::optional<std::vector<int32_t>> cached_rows;  // in the sampler's cache, if it left them all
};

// Whether training passes drop inputs of an adapter. The sampler never does, so that what it left is no
// part of them.
bool drops(const Model& model);

std::vector<MicroBatch> plan_micro_batches(Model& model, const Sequences& needed, int64_t max_rows);

// Makes room for the largest of them: buffers that passes ask for while the result lives come from it. Throws
// ERR_MEMORY_PLAN when it needs more memory than there is, beside what is held already.
Reservation make_room(Model& model, std::span<const MicroBatch> batches, const LossOptions& options);

// Sets `hidden` (M, D) by a forward pass, or from what the sampler left, and tells where backward finds
// the rest, until the next batch.
std::shared_ptr<ActivationSource> forward_for_gradient(Model& model, const MicroBatch& micro,
                                                       const ForwardBatch& batch, KeyValueStore& store,
                                                       Recompute recompute, View hidden);

}  // namespace winnow
