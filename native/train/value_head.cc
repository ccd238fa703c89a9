#include "train/value_head.h"

#include <limits>

#include "model/workspace.h"
#include "train/forward_sequences.h"
#include "train/trainer.h"

namespace winnow {

void backward_values(Model& model, View hidden, View dhidden, std::span<const int32_t> rows,
                     std::span<const float> dvalues, int chunk_rows, const CancelToken& cancel) {
  Workspace& workspace = model.workspace();
  const Ops& ops = model.ops();
  const int64_t width = model.config().width;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(chunk_rows)) {
    cancel.throw_if_cancelled();
    const size_t size = std::min(static_cast<size_t>(chunk_rows), rows.size() - begin);
    const auto count = static_cast<int64_t>(size);
    const View indices = workspace.upload(Slot::kHeadRows, rows.subspan(begin, size));
    const View chunk = workspace.view(Slot::kHeadHidden, {count, width});
    const View dchunk = workspace.view(Slot::kHeadHiddenGradient, {count, width});
    const View dvalue = workspace.upload(Slot::kValueHeadGradient, dvalues.subspan(begin, size), {count, 1});
    ops.gather_rows(model.context(), chunk, hidden, indices);
    model.value_backward(dchunk, dvalue, chunk);
    ops.scatter_add_rows(model.context(), dhidden, dchunk, indices);
  }
}

std::vector<float> values(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                          const ValueOptions& options, const CancelToken& cancel, const Progress& progress) {
  const Sequences sequences{tokens, offsets};
  require_sequences("values", sequences, model.config(), model.config().max_positions);
  require_batch_tokens("values", options.max_batch_tokens);
  WINNOW_CHECK(model.config().value_head, "ERR_VALUE_HEAD", "the model has no value head",
               "a model with valueHead");
  std::vector<float> result(tokens.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> of_rows;
  const GatheredSequences inputs = without_last_tokens(sequences);
  forward_sequences(
      model, {inputs.tokens, inputs.offsets}, options.max_batch_tokens, cancel, progress,
      [&](const ForwardedBatch& batch) {
        const View computed = model.workspace().view(Slot::kHeadValue, {batch.hidden.rows(), 1});
        model.value(computed, batch.hidden);
        of_rows.resize(static_cast<size_t>(computed.rows()));
        model.ops().download(model.context(), of_rows.data(), computed.data, computed.size_bytes());
        for (size_t member = 0; member < batch.members.members.size(); ++member) {
          const auto begin = static_cast<size_t>(sequences.offsets[batch.members.members[member]]);
          const std::span<const int32_t> rows = batch.rows(member);
          for (size_t i = 0; i < rows.size(); ++i)
            result[begin + i + 1] = of_rows[static_cast<size_t>(rows[i])];
        }
      });
  return result;
}

}  // namespace winnow
