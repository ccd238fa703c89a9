// The part of the generate loop that computes prompts.
#include <algorithm>

#include "model/workspace.h"
#include "sample/generate_loop.h"

namespace winnow {

void GenerateLoop::prefill() {
  size_t next = 0;  // segment in to_compute_
  while (next < to_compute_.size()) {
    cancel_.throw_if_cancelled();
    prefill_chunk(to_compute_, next);
  }
  to_compute_.clear();
}

// Computes pieces of segments, from segments[next] on, up to prefill_tokens rows.
void GenerateLoop::prefill_chunk(std::span<const int32_t> segments, size_t& next) {
  std::vector<Piece> pieces;
  batch_ = {};
  int32_t rows = 0;
  while (next < segments.size() && rows < request_.limits.prefill_tokens) {
    pieces.push_back(add_piece(segments[next], rows, request_.limits.prefill_tokens - rows, pieces));
    rows += pieces.back().rows;
    if (pieces.back().ends_segment) ++next;
  }
  const View hidden = model_.workspace().view(Slot::kHidden, {rows, model_.config().width});
  model_.forward(batch_, store_, hidden, cache_.open(rows));
  for (const Piece& piece : pieces) finish_piece(piece, hidden);
  result_.statistics.prefilled_tokens += rows;
}

// The next tokens of a segment, at most `room`, as rows of the batch from `row` on.
GenerateLoop::Piece GenerateLoop::add_piece(int32_t index, int32_t row, int32_t room,
                                            std::span<const Piece> before) {
  PromptSegment& segment = tree_.segment(index);
  const auto tokens = tree_.next_tokens(index, room);
  const auto count = static_cast<int32_t>(tokens.size());
  const bool begins = segment.computed == segment.known;
  const int32_t own_begin = segment.position_begin + segment.known;
  const int32_t position = segment.position_begin + segment.computed;
  if (begins) segment.runs = tree_.runs_before(index);
  append_runs(segment.runs, tree_.blocks(index), own_begin, position, position + count, -1);
  append_rows(batch_, tokens, tree_.blocks(index), own_begin, position);
  int32_t parent = -1;
  if (begins && segment.known == 0 && segment.parent >= 0) {
    const auto found = std::ranges::find_if(
        before, [&](const Piece& piece) { return piece.segment == segment.parent && piece.ends_segment; });
    if (found != before.end()) parent = static_cast<int32_t>(found - before.begin());
  }
  batch_.plan.segments.push_back({row, count, position, parent, segment.runs});
  segment.computed += count;
  return {index, row, count, begins, segment.computed == segment.length};
}

void GenerateLoop::finish_piece(const Piece& piece, View hidden) {
  PromptSegment& segment = tree_.segment(piece.segment);
  if (piece.begins_segment && segment.known == 0)
    segment.cached_node =
        segment.parent >= 0 ? tree_.segment(segment.parent).cached_node : ActivationCache::kRoot;
  segment.cached_node = cache_.keep(
      segment.cached_node, piece.row,
      std::span(batch_.tokens).subspan(static_cast<size_t>(piece.row), static_cast<size_t>(piece.rows)));
  if (!piece.ends_segment) return;
  if (segment.ends_prompt) keep_prompt_hidden(segment, hidden, piece.row + piece.rows - 1);
  tree_.keep_keys(piece.segment);
}

void GenerateLoop::keep_prompt_hidden(PromptSegment& segment, View hidden, int64_t row) {
  WINNOW_CHECK(!free_slots_.empty(), "ERR_INTERNAL", "no slot is left for a prompt's hidden state");
  segment.hidden_slot = free_slots_.back();
  free_slots_.pop_back();
  const View to = prompt_hidden_.slice_rows(segment.hidden_slot, 1);
  model_.ops().copy(model_.context(), to.data, hidden.slice_rows(row, 1).data, to.size_bytes());
}

}  // namespace winnow
