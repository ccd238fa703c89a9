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

void add_rows(ForwardBatch& batch, std::span<const int32_t> tokens, std::span<const int32_t> blocks,
              int32_t piece_begin, int32_t position) {
  for (const int32_t token : tokens) {
    batch.tokens.push_back(token);
    batch.positions.push_back(position);
    batch.slots.push_back(key_slot(blocks, piece_begin, position));
    ++position;
  }
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

void GenerateLoop::prefill() {
  size_t next = 0;         // segment in to_compute_
  int32_t next_token = 0;  // of that segment
  while (next < to_compute_.size()) {
    cancel_.throw_if_cancelled();
    prefill_chunk(to_compute_, next, next_token);
  }
  to_compute_.clear();
}

// Computes pieces of segments, from token `next_token` of segments[next] on, up to prefill_tokens rows.
void GenerateLoop::prefill_chunk(std::span<const int32_t> segments, size_t& next, int32_t& next_token) {
  struct Piece {
    int32_t segment, row_begin, last_row;
    bool begins_segment, ends_segment;
  };
  std::vector<Piece> pieces;
  clear(batch_, 0);
  int32_t rows = 0;
  while (next < segments.size() && rows < request_.limits.prefill_tokens) {
    const int32_t index = segments[next];
    PromptSegment& segment = tree_.segment(index);
    const int32_t count = std::min(segment.length - next_token, request_.limits.prefill_tokens - rows);
    const int32_t position = segment.position_begin + next_token;
    if (next_token == 0 && segment.parent >= 0) segment.runs = tree_.segment(segment.parent).runs;
    append_runs(segment.runs, tree_.blocks(index), segment.position_begin, position, position + count, -1);
    add_rows(batch_,
             std::span(tree_.forest().tokens)
                 .subspan(static_cast<size_t>(segment.row_begin + next_token), static_cast<size_t>(count)),
             tree_.blocks(index), segment.position_begin, position);
    const auto parent = std::ranges::find_if(
        pieces, [&](const Piece& piece) { return piece.segment == segment.parent && piece.ends_segment; });
    const bool parent_here = next_token == 0 && segment.parent >= 0 && parent != pieces.end();
    batch_.plan.segments.push_back({rows, count, position,
                                    parent_here ? static_cast<int32_t>(parent - pieces.begin()) : -1,
                                    segment.runs});
    pieces.push_back({index, rows, rows + count - 1, next_token == 0, next_token + count == segment.length});
    rows += count;
    next_token += count;
    if (next_token == segment.length) ++next, next_token = 0;
  }
  const View hidden = model_.workspace().view(Slot::kHidden, {rows, model_.config().width});
  model_.forward(batch_, store_, hidden, cache_.open(rows));
  for (const Piece& piece : pieces) {
    PromptSegment& segment = tree_.segment(piece.segment);
    if (piece.begins_segment)
      segment.cached_node =
          segment.parent >= 0 ? tree_.segment(segment.parent).cached_node : ActivationCache::kRoot;
    segment.cached_node =
        cache_.keep(segment.cached_node, piece.row_begin,
                    std::span(batch_.tokens)
                        .subspan(static_cast<size_t>(piece.row_begin),
                                 static_cast<size_t>(piece.last_row + 1 - piece.row_begin)));
    if (piece.ends_segment && segment.ends_prompt) keep_prompt_hidden(segment, hidden, piece.last_row);
  }
  result_.statistics.prefilled_tokens += rows;
}

void GenerateLoop::keep_prompt_hidden(PromptSegment& segment, View hidden, int64_t row) {
  WINNOW_CHECK(!free_slots_.empty(), "ERR_INTERNAL", "no slot is left for a prompt's hidden state");
  segment.hidden_slot = free_slots_.back();
  free_slots_.pop_back();
  const View to = prompt_hidden_.slice_rows(segment.hidden_slot, 1);
  model_.ops().copy(model_.context(), to.data, hidden.slice_rows(row, 1).data, to.size_bytes());
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
  add_rows(batch_, std::span(&row.out->tokens.back(), 1), row.lease.blocks(), row.prompt_length, position);
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
