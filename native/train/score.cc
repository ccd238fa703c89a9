#include <algorithm>
#include <cmath>
#include <limits>

#include "model/sequences.h"
#include "train/forward_sequences.h"
#include "train/head_chunk.h"
#include "train/trainer.h"

namespace winnow {
namespace {

constexpr size_t kHeadChunkRows = 64;

// One prediction: token at flat index `result` from forest row `row`.
struct Prediction {
  int32_t row, target;
  int64_t result;
};

// Sorted by (row, target): what several sequences predict alike stands together.
std::vector<Prediction> predictions(const Sequences& sequences, const ForwardedBatch& batch) {
  std::vector<Prediction> result;
  for (size_t member = 0; member < batch.members.members.size(); ++member) {
    const size_t index = batch.members.members[member];
    const std::span<const int32_t> rows = batch.rows(member);
    for (int64_t i = 1; i < sequences.length(index); ++i)
      result.push_back({rows[static_cast<size_t>(i - 1)], sequences.at(index)[static_cast<size_t>(i)],
                        sequences.offsets[index] + i});
  }
  std::ranges::sort(result, [](const Prediction& a, const Prediction& b) {
    return std::tie(a.row, a.target, a.result) < std::tie(b.row, b.target, b.result);
  });
  return result;
}

void score_predictions(Model& model, View hidden, std::span<const Prediction> predictions, float temperature,
                       std::vector<float>& logprobs, const CancelToken& cancel) {
  std::vector<int32_t> rows, targets;
  std::vector<float> scores;
  size_t done = 0;
  while (done < predictions.size()) {
    cancel.throw_if_cancelled();
    rows.clear();
    targets.clear();
    std::vector<size_t> chunk_index;
    size_t end = done;
    for (; end < predictions.size(); ++end) {
      const Prediction& next = predictions[end];
      if (rows.empty() || rows.back() != next.row || targets.back() != next.target) {
        if (rows.size() == kHeadChunkRows) break;
        rows.push_back(next.row);
        targets.push_back(next.target);
      }
      chunk_index.push_back(rows.size() - 1);
    }
    const HeadChunk chunk = run_head_chunk(model, hidden, rows, targets, temperature, false);
    scores.resize(rows.size());
    model.ops().download(model.context(), scores.data(), chunk.logprob.data, chunk.logprob.size_bytes());
    for (size_t i = done; i < end; ++i)
      logprobs[static_cast<size_t>(predictions[i].result)] = scores[chunk_index[i - done]];
    done = end;
  }
}

// Neither keys nor activations of a score outlive it, so what others left stays valid.
class AdapterSwitch {
 public:
  AdapterSwitch(Model& model, bool on) : model_(model) { model_.switch_adapter(on); }
  ~AdapterSwitch() { model_.switch_adapter(true); }
  AdapterSwitch(const AdapterSwitch&) = delete;
  AdapterSwitch& operator=(const AdapterSwitch&) = delete;

 private:
  Model& model_;
};

}  // namespace

std::vector<float> score(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                         const ScoreOptions& options, const CancelToken& cancel, const Progress& progress) {
  const Sequences sequences{tokens, offsets};
  require_sequences("score", sequences, model.config(), model.config().max_positions);
  WINNOW_CHECK(options.temperature > 0 && std::isfinite(options.temperature), "ERR_OPTION",
               "[score] temperature is not usable", "a positive number", std::to_string(options.temperature));
  require_batch_tokens("score", options.max_batch_tokens);
  const AdapterSwitch policy(model, options.adapter);
  std::vector<float> logprobs(tokens.size(), std::numeric_limits<float>::quiet_NaN());
  const GatheredSequences inputs = without_last_tokens(sequences);
  forward_sequences(model, {inputs.tokens, inputs.offsets}, options.max_batch_tokens, cancel, progress,
                    [&](const ForwardedBatch& batch) {
                      score_predictions(model, batch.hidden, predictions(sequences, batch),
                                        options.temperature, logprobs, cancel);
                    });
  return logprobs;
}

}  // namespace winnow
