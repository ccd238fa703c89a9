#include <chrono>
#include <cmath>
#include <limits>

#include "model/attention_planning.h"
#include "model/sequences.h"
#include "model/workspace.h"
#include "train/head_chunk.h"
#include "train/loss_inputs.h"
#include "train/micro_batch.h"
#include "train/value_head.h"

namespace winnow {
namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void add(PolicyLossSums& sums, const PolicyLossSums& more) {
  sums.loss += more.loss;
  sums.policy_loss += more.policy_loss;
  sums.kl += more.kl;
  sums.entropy += more.entropy;
  sums.log_ratio += more.log_ratio;
  sums.absolute_log_ratio += more.absolute_log_ratio;
  sums.max_absolute_log_ratio = std::max(sums.max_absolute_log_ratio, more.max_absolute_log_ratio);
  sums.clipped += more.clipped;
  sums.entries += more.entries;
}

// Loss entries of one micro-batch, in the order of its sequences: the tokens whose `weight` is not 0.
struct Entries {
  std::vector<int32_t> rows, targets;  // hidden row that predicts, token predicted
  std::vector<int64_t> index;          // of the token in the caller's arrays
};

Entries loss_entries(const Sequences& sequences, const SequenceBatch& batch, const TokenForest& forest,
                     std::span<const float> weight) {
  Entries entries;
  for (size_t member = 0; member < batch.members.size(); ++member) {
    const int64_t begin = sequences.offsets[batch.members[member]];
    const int64_t rows_begin = forest.sequence_offsets[member];
    const int64_t computed = forest.sequence_offsets[member + 1] - rows_begin;
    for (int64_t i = 1; i <= computed; ++i) {
      if (weight[static_cast<size_t>(begin + i)] == 0) continue;
      entries.rows.push_back(forest.sequence_rows[static_cast<size_t>(rows_begin + i - 1)]);
      entries.targets.push_back(sequences.tokens[static_cast<size_t>(begin + i)]);
      entries.index.push_back(begin + i);
    }
  }
  return entries;
}

// Forward, loss and backward of one micro-batch after the other.
class GradientPass {
 public:
  GradientPass(Model& model, const Sequences& sequences, const LossInputs& inputs, const LossOptions& options,
               const CancelToken& cancel)
      : model_(model), sequences_(sequences), inputs_(inputs), options_(options), cancel_(cancel) {
    result_.logprobs.assign(sequences.tokens.size(), std::numeric_limits<float>::quiet_NaN());
  }

  void run(const MicroBatch& planned) {
    const double begin = seconds();
    const TokenForest& forest = planned.forest;
    const auto rows = static_cast<int64_t>(forest.tokens.size());
    Workspace& workspace = model_.workspace();
    KeyValueStore& store = workspace.store(blocks_needed(forest));
    BlockLease lease(store);
    ForwardBatch batch = plan_batch(forest, lease);
    if (drops(model_)) batch.dropout_keys = dropout_keys(forest, options_.dropout_seed);
    const View hidden = workspace.rows_view(Slot::kHidden, rows, model_.config().width);
    const auto activations = forward_for_gradient(model_, planned, batch, store, options_.recompute, hidden);
    if (planned.cached_rows) result_.cached_tokens += rows;
    const double forward_end = seconds();

    const View dhidden = workspace.rows_view(Slot::kHiddenGradient, rows, model_.config().width);
    model_.ops().zero(model_.context(), dhidden.data, dhidden.size_bytes());
    if (options_.kind != LossKind::kValue)
      run_head(hidden, dhidden, loss_entries(sequences_, planned.members, forest, inputs_.weight));
    if (!inputs_.value_gradient.empty())
      run_value_head(hidden, dhidden,
                     loss_entries(sequences_, planned.members, forest, inputs_.value_gradient));
    const double head_end = seconds();
    cancel_.throw_if_cancelled();
    model_.backward(batch, store, dhidden, *activations);

    result_.forest_tokens += rows;
    result_.sequence_tokens += forest.sequence_offsets.back();
    result_.forward_seconds += forward_end - begin;
    result_.head_seconds += head_end - forward_end;
    result_.backward_seconds += seconds() - head_end;
  }

  LossResult take_result() { return std::move(result_); }

 private:
  void run_head(View hidden, View dhidden, const Entries& entries) {
    const auto step = static_cast<size_t>(options_.head_chunk_rows);
    for (size_t begin = 0; begin < entries.rows.size(); begin += step) {
      cancel_.throw_if_cancelled();
      const size_t count = std::min(step, entries.rows.size() - begin);
      const bool policy = options_.kind == LossKind::kPolicyGradient;
      const std::span<const int64_t> index(entries.index.data() + begin, count);
      const HeadChunk chunk =
          run_head_chunk(model_, hidden, std::span(entries.rows).subspan(begin, count),
                         std::span(entries.targets).subspan(begin, count), options_.temperature, policy);
      read_logprobs(chunk, index);
      const View dlogprob = model_.workspace().view(Slot::kLogprobGradient, {chunk.logprob.rows()});
      View dentropy;
      if (policy && options_.policy.entropy_coefficient != 0)
        dentropy = model_.workspace().view(Slot::kEntropyGradient, {chunk.logprob.rows()});
      if (policy)
        policy_loss(chunk, index, dlogprob, dentropy);
      else
        supervised_loss(index, dlogprob);
      head_backward(chunk, dlogprob, dentropy, dhidden);
    }
  }

  void run_value_head(View hidden, View dhidden, const Entries& entries) {
    staged_.clear();
    for (const int64_t i : entries.index) staged_.push_back(inputs_.value_gradient[static_cast<size_t>(i)]);
    backward_values(model_, hidden, dhidden, entries.rows, staged_, options_.head_chunk_rows, cancel_);
  }

  void read_logprobs(const HeadChunk& chunk, std::span<const int64_t> index) {
    logprobs_.resize(index.size());
    model_.ops().download(model_.context(), logprobs_.data(), chunk.logprob.data, chunk.logprob.size_bytes());
    for (size_t i = 0; i < index.size(); ++i) result_.logprobs[static_cast<size_t>(index[i])] = logprobs_[i];
  }

  View upload_entries(Slot slot, std::span<const float> values, std::span<const int64_t> index) {
    staged_.clear();
    for (const int64_t i : index) staged_.push_back(values[static_cast<size_t>(i)]);
    return model_.workspace().upload(slot, staged_);
  }

  void policy_loss(const HeadChunk& chunk, std::span<const int64_t> index, View dlogprob, View dentropy) {
    const View weight = upload_entries(Slot::kWeight, inputs_.weight, index);
    const View advantage = upload_entries(Slot::kAdvantage, inputs_.advantage, index);
    const View old = inputs_.old_logprob.empty()
                         ? chunk.logprob
                         : upload_entries(Slot::kOldLogprob, inputs_.old_logprob, index);
    const View reference = inputs_.reference_logprob.empty()
                               ? View{}
                               : upload_entries(Slot::kReferenceLogprob, inputs_.reference_logprob, index);
    add(result_.sums, model_.ops().policy_loss(model_.context(), dlogprob, dentropy, chunk.logprob, old,
                                               reference, advantage, weight, chunk.entropy, options_.policy));
  }

  // loss = sum of weight * -logprob
  void supervised_loss(std::span<const int64_t> index, View dlogprob) {
    staged_.clear();
    for (size_t i = 0; i < index.size(); ++i) {
      const float weight = inputs_.weight[static_cast<size_t>(index[i])];
      staged_.push_back(-weight);
      result_.sums.loss -= static_cast<double>(weight) * static_cast<double>(logprobs_[i]);
    }
    result_.sums.entries += static_cast<int64_t>(index.size());
    model_.ops().upload(model_.context(), dlogprob.data, staged_.data(), dlogprob.size_bytes());
  }

  void head_backward(const HeadChunk& chunk, View dlogprob, View dentropy, View dhidden) {
    const Ops& ops = model_.ops();
    ops.softmax_backward(model_.context(), chunk.logits, chunk.lse, dentropy ? chunk.entropy : View{},
                         chunk.targets, dlogprob, dentropy, 1.0f / options_.temperature);
    const View dhead =
        model_.workspace().view(Slot::kHeadHiddenGradient, {chunk.hidden.rows(), chunk.hidden.cols()});
    model_.head_backward(dhead, chunk.logits, chunk.hidden);
    ops.scatter_add_rows(model_.context(), dhidden, dhead, chunk.rows);
  }

  Model& model_;
  const Sequences& sequences_;
  const LossInputs& inputs_;
  const LossOptions& options_;
  const CancelToken& cancel_;
  LossResult result_;
  std::vector<float> staged_, logprobs_;
};

}  // namespace

LossResult accumulate_gradients(Model& model, std::span<const int32_t> tokens,
                                std::span<const int64_t> offsets, const LossInputs& inputs,
                                const LossOptions& options, const CancelToken& cancel,
                                const Progress& progress) {
  const Sequences sequences{tokens, offsets};
  require_inputs(model, sequences, inputs, options);
  const NeededTokens flat = needed_tokens(sequences, inputs);
  const Sequences needed{flat.tokens, flat.offsets};
  const std::vector<MicroBatch> batches = plan_micro_batches(model, needed, options.max_batch_tokens);
  const Reservation room = make_room(model, batches, options);
  int64_t done = 0, total = 0;
  for (const MicroBatch& batch : batches) total += batch.members.rows;
  GradientPass pass(model, sequences, inputs, options, cancel);
  try {
    for (const MicroBatch& batch : batches) {
      cancel.throw_if_cancelled();
      pass.run(batch);
      done += batch.members.rows;
      if (progress) progress(done, total);
    }
  } catch (...) {
    zero_gradients(model);  // a part of a sum is no gradient
    throw;
  }
  return pass.take_result();
}

}  // namespace winnow
