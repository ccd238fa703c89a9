#include "train/forward_sequences.h"

#include "model/attention_planning.h"
#include "model/workspace.h"

namespace winnow {

void forward_sequences(Model& model, const Sequences& sequences, int max_batch_tokens,
                       const CancelToken& cancel, const Progress& progress,
                       const std::function<void(const ForwardedBatch&)>& visit) {
  const std::vector<SequenceBatch> batches = plan_batches(sequences, max_batch_tokens);
  int64_t done = 0, total = 0;
  for (const SequenceBatch& batch : batches) total += batch.rows;
  for (const SequenceBatch& batch : batches) {
    cancel.throw_if_cancelled();
    const GatheredSequences gathered = gather(sequences, batch);
    const TokenForest forest = build_token_forest(gathered.tokens, gathered.offsets);
    KeyValueStore& store = model.workspace().store(blocks_needed(forest));
    BlockLease lease(store);
    const ForwardBatch planned = plan_batch(forest, lease);
    const View hidden = model.workspace().view(Slot::kHidden, {batch.rows, model.config().width});
    model.forward(planned, store, hidden, nullptr);
    visit({batch, forest, hidden});
    done += batch.rows;
    if (progress) progress(done, total);
  }
}

void require_batch_tokens(const char* call, int max_batch_tokens) {
  if (max_batch_tokens < 1)
    throw Error("ERR_OPTION", std::string("[") + call + "] max_batch_tokens is not usable", "at least 1",
                std::to_string(max_batch_tokens));
}

GatheredSequences without_last_tokens(const Sequences& sequences) {
  GatheredSequences inputs;
  inputs.offsets.push_back(0);
  for (size_t index = 0; index < sequences.count(); ++index) {
    const auto tokens = sequences.at(index);
    if (!tokens.empty()) inputs.tokens.insert(inputs.tokens.end(), tokens.begin(), tokens.end() - 1);
    inputs.offsets.push_back(static_cast<int64_t>(inputs.tokens.size()));
  }
  return inputs;
}

}  // namespace winnow
