#include "sample/generate_loop.h"

#include <algorithm>
#include <chrono>

#include "model/workspace.h"

namespace winnow {
namespace {

constexpr int64_t kHeadChunkRows = 64;

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Empties a batch for `segments` segments, keeping its memory.
void clear(ForwardBatch& batch, size_t segments) {
  batch.tokens.clear();
  batch.positions.clear();
  batch.slots.clear();
  batch.plan.segments.resize(segments);
}

}  // namespace

int64_t GenerateRequest::room(const ModelConfig& config, size_t prompt) const {
  return std::min<int64_t>(sampling.max_tokens, config.max_positions - prompts.length(prompt));
}

int64_t GenerateRequest::row_blocks(const ModelConfig& config, size_t prompt) const {
  return blocks_needed(prompts.length(prompt), room(config, prompt) - 1);
}

GenerateLoop::GenerateLoop(Model& model, KeyValueStore& store, PromptTree tree,
                           const GenerateRequest& request, const CancelToken& cancel,
                           const Progress& progress)
    : model_(model),
      store_(store),
      tree_(std::move(tree)),
      request_(request),
      cancel_(cancel),
      progress_(progress),
      cache_(model.workspace().activation_cache()),
      stop_strings_(request.sampling.stop_strings) {
  const size_t prompts = request.prompts.count();
  const auto completions = static_cast<size_t>(request.sampling.completions_per_prompt);
  result_.sequences.resize(prompts * completions);
  result_.statistics.prompt_tokens = static_cast<int64_t>(request.prompts.tokens.size());
  result_.statistics.known_prompt_tokens = tree_.known_tokens();
  for (size_t prompt = 0; prompt < prompts; ++prompt)
    total_tokens_ += request.room(model.config(), prompt) * static_cast<int64_t>(completions);
  // One step admits at most max_batch prompts whole, and one in part may be left from the step before.
  const auto slots = std::min(static_cast<int64_t>(prompts), int64_t{request.limits.max_batch} + 1);
  prompt_hidden_ = model.workspace().view(Slot::kPromptHidden, {slots, model.config().width});
  for (int64_t slot = slots - 1; slot >= 0; --slot) free_slots_.push_back(static_cast<int32_t>(slot));
}

GenerateResult GenerateLoop::run() {
  while (next_prompt_ < tree_.order().size() || !rows_.empty()) {
    cancel_.throw_if_cancelled();
    const double begin = seconds();
    const size_t first_new_row = rows_.size();
    admit();
    prefill();
    const double prefill_end = seconds();
    sample_first_tokens(first_new_row);
    remove_finished();
    decode();
    remove_finished();
    result_.statistics.prefill_seconds += prefill_end - begin;
    result_.statistics.decode_seconds += seconds() - prefill_end;
    if (progress_) progress_(result_.statistics.decoded_tokens, total_tokens_);
  }
  return std::move(result_);
}

// Rows join in order while the batch and the store have room for all the blocks they may come to need.
void GenerateLoop::admit() {
  while (next_prompt_ < tree_.order().size() &&
         rows_.size() < static_cast<size_t>(request_.limits.max_batch)) {
    const size_t prompt = tree_.order()[next_prompt_];
    const int64_t own_blocks = request_.row_blocks(model_.config(), prompt);
    if (tree_.missing_blocks(prompt) + own_blocks > store_.free_blocks() - reserved_blocks_) {
      WINNOW_CHECK(!rows_.empty(), "ERR_INTERNAL", "an idle KV store has no room for the next prompt");
      return;
    }
    tree_.make_resident(prompt, store_, to_compute_);
    rows_.push_back(make_row(prompt, next_sample_));
    reserved_blocks_ += own_blocks;
    if (++next_sample_ == static_cast<uint32_t>(request_.sampling.completions_per_prompt)) {
      next_sample_ = 0;
      ++next_prompt_;
    }
  }
}

GenerateLoop::Row GenerateLoop::make_row(size_t prompt, uint32_t sample) {
  const auto completions = static_cast<size_t>(request_.sampling.completions_per_prompt);
  return {prompt,
          sample,
          tree_.prompt(prompt).length,
          &result_.sequences[prompt * completions + sample],
          request_.room(model_.config(), prompt),
          request_.row_blocks(model_.config(), prompt),
          BlockLease(store_),
          {},
          ActivationCache::kUnknown,
          {}};
}

// A completion's first token comes from its prompt's last hidden state, computed once.
void GenerateLoop::sample_first_tokens(size_t first_new_row) {
  for (size_t begin = first_new_row; begin < rows_.size(); begin += kHeadChunkRows) {
    const size_t end = std::min(rows_.size(), begin + kHeadChunkRows);
    first_slots_.clear();
    for (size_t i = begin; i < end; ++i) {
      PromptSegment& segment = tree_.segment(tree_.prompt(rows_[i].prompt).segment);
      first_slots_.push_back(segment.hidden_slot);
      rows_[i].runs = segment.runs;
      rows_[i].cached_node = segment.cached_node;
    }
    Workspace& workspace = model_.workspace();
    const View slots = workspace.upload(Slot::kHeadRows, first_slots_);
    const View hidden = workspace.view(Slot::kHeadHidden, {slots.rows(), model_.config().width});
    model_.ops().gather_rows(model_.context(), hidden, prompt_hidden_, slots);
    sample_tokens(hidden, begin);
  }
  for (size_t i = first_new_row; i < rows_.size(); ++i) {
    PromptSegment& segment = tree_.segment(tree_.prompt(rows_[i].prompt).segment);
    if (--segment.waiting_rows == 0) free_slots_.push_back(segment.hidden_slot);
  }
}

// One token more for every running row.
void GenerateLoop::decode() {
  if (rows_.empty()) return;
  cancel_.throw_if_cancelled();
  clear(batch_, rows_.size());
  for (size_t i = 0; i < rows_.size(); ++i) add_decode_row(rows_[i], static_cast<int32_t>(i));
  const auto count = static_cast<int64_t>(rows_.size());
  const View hidden = model_.workspace().view(Slot::kHidden, {count, model_.config().width});
  model_.forward(batch_, store_, hidden, cache_.open(count));
  for (size_t i = 0; i < rows_.size(); ++i)
    rows_[i].cached_node =
        cache_.keep(rows_[i].cached_node, static_cast<int64_t>(i), std::span(&batch_.tokens[i], 1));
  for (int64_t begin = 0; begin < count; begin += kHeadChunkRows)
    sample_tokens(hidden.slice_rows(begin, std::min(kHeadChunkRows, count - begin)),
                  static_cast<size_t>(begin));
}

void GenerateLoop::add_decode_row(Row& row, int32_t index) {
  const int32_t position = row.next_position() - 1;  // of the token that goes in
  const int64_t needed = blocks_needed(row.prompt_length, position + 1 - row.prompt_length);
  if (needed > static_cast<int64_t>(row.lease.blocks().size())) {
    row.lease.take(1);
    --row.reserved_blocks;
    --reserved_blocks_;
  }
  append_runs(row.runs, row.lease.blocks(), row.prompt_length, position, position + 1, -1);
  append_rows(batch_, std::span(&row.out->tokens.back(), 1), row.lease.blocks(), row.prompt_length, position);
  AttentionSegment& segment = batch_.plan.segments[static_cast<size_t>(index)];
  segment.row_begin = index;
  segment.row_count = 1;
  segment.position_begin = position;
  segment.parent = -1;
  segment.runs.assign(row.runs.begin(), row.runs.end());
}

void GenerateLoop::sample_tokens(View hidden, size_t begin) {
  const int64_t count = hidden.rows();
  const SamplingOptions& options = request_.sampling;
  sample_rows_.clear();
  for (int64_t i = 0; i < count; ++i) {
    const Row& row = rows_[begin + static_cast<size_t>(i)];
    sample_rows_.push_back({options.temperature, options.top_k, options.top_p, options.min_p, options.seed,
                            request_.prompt_keys[row.prompt], row.sample,
                            static_cast<uint32_t>(row.next_position())});
  }
  Workspace& workspace = model_.workspace();
  const View logits = workspace.view(Slot::kLogits, {count, model_.config().vocabulary});
  const View tokens = workspace.view(Slot::kSampled, {count}, DType::kI32);
  const View logprobs = workspace.view(Slot::kLogprob, {count});
  model_.head(logits, hidden);
  model_.ops().sample(model_.context(), tokens, logprobs, logits, sample_rows_.data());
  sampled_.resize(static_cast<size_t>(count));
  sampled_logprobs_.resize(static_cast<size_t>(count));
  model_.ops().download(model_.context(), sampled_.data(), tokens.data, tokens.size_bytes());
  model_.ops().download(model_.context(), sampled_logprobs_.data(), logprobs.data, logprobs.size_bytes());
  for (size_t i = 0; i < sampled_.size(); ++i)
    append_token(rows_[begin + i], sampled_[i], sampled_logprobs_[i]);
}

void GenerateLoop::append_token(Row& row, int32_t token, float logprob) {
  row.out->tokens.push_back(token);
  row.out->logprobs.push_back(logprob);
  ++result_.statistics.decoded_tokens;
  const SamplingOptions& options = request_.sampling;
  const auto index = static_cast<size_t>(token);
  const bool stops = !options.ignore_stop_tokens &&
                     std::ranges::find(options.stop_tokens, token) != options.stop_tokens.end();
  if (stops)
    finish(row, StopReason::kStopToken);
  else if (index < request_.token_bytes.size() &&
           stop_strings_.completes(row.tail, request_.token_bytes[index]))
    finish(row, StopReason::kStopString);
  else if (static_cast<int64_t>(row.out->tokens.size()) >= options.max_tokens)
    finish(row, StopReason::kLength);
  else if (static_cast<int64_t>(row.out->tokens.size()) >= row.room)
    finish(row, StopReason::kContext);
}

void GenerateLoop::finish(Row& row, StopReason reason) {
  row.out->stop = reason;
  row.finished = true;
  row.lease.give_back();
  reserved_blocks_ -= row.reserved_blocks;
  if (--tree_.prompt(row.prompt).unfinished_rows == 0) tree_.finish_prompt(row.prompt);
}

void GenerateLoop::remove_finished() {
  std::erase_if(rows_, [](const Row& row) { return row.finished; });
}

}  // namespace winnow
