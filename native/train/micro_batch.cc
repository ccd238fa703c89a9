#include "train/micro_batch.h"

#include <algorithm>

#include "model/activation_cache.h"
#include "model/host_memory.h"
#include "model/room.h"
#include "model/workspace.h"

namespace winnow {

bool drops(const Model& model) { return model.adapter() && model.adapter()->dropout > 0; }

std::vector<MicroBatch> plan_micro_batches(Model& model, const Sequences& needed, int64_t max_rows) {
  std::vector<MicroBatch> planned;
  for (SequenceBatch& members : plan_batches(needed, max_rows)) {
    const GatheredSequences gathered = gather(needed, members);
    TokenForest forest = build_token_forest(gathered.tokens, gathered.offsets);
    std::optional<std::vector<int32_t>> cached_rows;
    if (!drops(model)) cached_rows = model.workspace().activation_cache().find(forest);
    planned.push_back({std::move(members), std::move(forest), std::move(cached_rows)});
  }
  return planned;
}

Reservation make_room(Model& model, std::span<const MicroBatch> batches, const LossOptions& options) {
  BatchRows rows;
  WorkingSize size;
  for (const MicroBatch& batch : batches) {
    int64_t& most = batch.cached_rows ? rows.cached : rows.computed;
    most = std::max(most, batch.members.rows);
    size.blocks = std::max(size.blocks, blocks_needed(batch.forest));
  }
  size.rows = std::max(rows.computed, rows.cached);
  size.computed = rows.computed;
  size.one_layer = options.recompute == Recompute::kLayer ? size.rows : rows.cached;
  PlanOptions shape;
  shape.head_chunk_rows = options.head_chunk_rows;
  shape.recompute = options.recompute;
  shape.threads = model.context().pool.threads();
  shape.adapter = model.adapter();
  const MemoryPlan plan = plan_batch_memory(model.config(), rows, shape);
  const int64_t working = plan.activations + plan.head + plan.kv_store;
  // The threads' scratch is the host's; a device's is its library's own.
  const int64_t scratch = shares_host_memory(model.ops()) ? model.context().pool.scratch_bytes() : 0;
  const int64_t held = model.workspace().working_bytes() + scratch;
  require_memory(model.context(), model.ops(), working + plan.scratch - held,
                 "activations " + std::to_string(plan.activations) + ", head " + std::to_string(plan.head) +
                     ", KV store " + std::to_string(plan.kv_store) + ", scratch " +
                     std::to_string(plan.scratch) + ", less " + std::to_string(held) +
                     " that are held already",
                 options.recompute == Recompute::kLayer
                     ? "lower max_batch_tokens or head_chunk_rows"
                     : "lower max_batch_tokens or head_chunk_rows, or let the layers be computed again");
  return model.workspace().reserve(size, working);
}

std::shared_ptr<ActivationSource> forward_for_gradient(Model& model, const MicroBatch& micro,
                                                       const ForwardBatch& batch, KeyValueStore& store,
                                                       Recompute recompute, View hidden) {
  const auto rows = static_cast<int64_t>(batch.tokens.size());
  Workspace& workspace = model.workspace();
  if (micro.cached_rows) {
    auto cached = std::make_shared<GatheredActivations>(workspace.activation_cache(), workspace, batch, store,
                                                        *micro.cached_rows);
    model.final_norm(hidden, *cached);
    return cached;
  }
  Activations& own =
      recompute == Recompute::kLayer ? workspace.layer_inputs(rows) : workspace.activations(rows);
  model.forward(batch, store, hidden, &own);
  if (recompute == Recompute::kNone) return {std::shared_ptr<void>(), &own};  // the workspace's
  return model.recomputed(batch, store, own, workspace.layer_activations(rows));
}

}  // namespace winnow
