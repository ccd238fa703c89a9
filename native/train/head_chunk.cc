#include "train/head_chunk.h"

#include "model/workspace.h"

namespace winnow {

HeadChunk run_head_chunk(Model& model, View hidden, std::span<const int32_t> rows,
                         std::span<const int32_t> targets, float temperature, bool with_entropy) {
  Workspace& workspace = model.workspace();
  const ModelConfig& config = model.config();
  const auto count = static_cast<int64_t>(rows.size());
  HeadChunk chunk;
  chunk.rows = workspace.upload(Slot::kHeadRows, rows);
  chunk.targets = workspace.upload(Slot::kTargets, targets);
  chunk.hidden = workspace.view(Slot::kHeadHidden, {count, config.width});
  chunk.logits = workspace.view(Slot::kLogits, {count, config.vocabulary});
  chunk.lse = workspace.view(Slot::kLogSumExp, {count});
  chunk.logprob = workspace.view(Slot::kLogprob, {count});
  if (with_entropy) chunk.entropy = workspace.view(Slot::kEntropy, {count});
  const Ops& ops = model.ops();
  ops.gather_rows(model.context(), chunk.hidden, hidden, chunk.rows);
  model.head(chunk.logits, chunk.hidden);
  ops.softmax_statistics(model.context(), chunk.lse, chunk.logprob, chunk.entropy, chunk.logits,
                         chunk.targets, 1.0f / temperature);
  return chunk;
}

}  // namespace winnow
