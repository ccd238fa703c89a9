#include "model/host_memory.h"
#include "model/sequences.h"
#include "train/forward_sequences.h"
#include "train/trainer.h"

namespace winnow {
namespace {

void require_tokens(const Sequences& sequences) {
  for (size_t index = 0; index < sequences.count(); ++index)
    if (sequences.length(index) == 0)
      throw Error("ERR_SHAPE", "[embed] sequence " + std::to_string(index) + " has no mean",
                  "at least one token", "none");
}

// On the host, in double, in the order of the tokens: no batch can change a bit of it.
void mean_of_rows(std::span<const int32_t> rows, const float* hidden, std::span<double> sums,
                  std::span<float> mean) {
  std::ranges::fill(sums, 0.0);
  for (const int32_t row : rows) {
    const float* values = hidden + static_cast<size_t>(row) * sums.size();
    for (size_t column = 0; column < sums.size(); ++column)
      sums[column] += static_cast<double>(values[column]);
  }
  for (size_t column = 0; column < sums.size(); ++column)
    mean[column] = static_cast<float>(sums[column] / static_cast<double>(rows.size()));
}

}  // namespace

std::vector<float> embed(Model& model, std::span<const int32_t> tokens, std::span<const int64_t> offsets,
                         const EmbedOptions& options, const CancelToken& cancel, const Progress& progress) {
  const Sequences sequences{tokens, offsets};
  require_sequences("embed", sequences, model.config(), model.config().max_positions);
  require_tokens(sequences);
  require_batch_tokens("embed", options.max_batch_tokens);
  const auto width = static_cast<size_t>(model.config().width);
  std::vector<float> means(sequences.count() * width);
  std::vector<double> sums(width);
  std::vector<std::byte> copied;
  forward_sequences(
      model, sequences, options.max_batch_tokens, cancel, progress, [&](const ForwardedBatch& batch) {
        const View hidden = host_view(model.context(), model.ops(), batch.hidden, copied);
        for (size_t member = 0; member < batch.members.members.size(); ++member) {
          const size_t at = batch.members.members[member] * width;
          mean_of_rows(batch.rows(member), hidden.f32(), sums, std::span(means).subspan(at, width));
        }
      });
  return means;
}

}  // namespace winnow
