#include "model/attention_planning.h"

#include <algorithm>
#include <utility>

namespace winnow {

BlockLease::BlockLease(BlockLease&& other) noexcept
    : store_(other.store_), blocks_(std::exchange(other.blocks_, {})) {}

BlockLease& BlockLease::operator=(BlockLease&& other) noexcept {
  if (this != &other) {
    give_back();
    store_ = other.store_;
    blocks_ = std::exchange(other.blocks_, {});
  }
  return *this;
}

void BlockLease::take(int64_t count) {
  blocks_.reserve(blocks_.size() + static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) blocks_.push_back(store_->take_block());
}

void BlockLease::give_back() {
  for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) store_->give_block(*block);
  blocks_.clear();
}

int64_t blocks_needed(int64_t position, int64_t length) {
  return length == 0 ? 0 : (position + length - 1) / kKeyBlock - position / kKeyBlock + 1;
}

int64_t blocks_needed(const TokenForest& forest) {
  int64_t blocks = 0;
  for (const ForestSegment& segment : forest.segments)
    blocks += blocks_needed(segment.position_begin, segment.length);
  return blocks;
}

int32_t key_slot(std::span<const int32_t> blocks, int32_t piece_begin, int32_t position) {
  const int32_t index = position / kKeyBlock - piece_begin / kKeyBlock;
  return blocks[static_cast<size_t>(index)] * kKeyBlock + position % kKeyBlock;
}

void append_runs(std::vector<KeyRun>& runs, std::span<const int32_t> blocks, int32_t piece_begin,
                 int32_t begin, int32_t end, int32_t row) {
  for (int32_t position = begin; position < end;) {
    const int32_t lane = position % kKeyBlock;
    const int32_t count = std::min(kKeyBlock - lane, end - position);
    const int32_t block = key_slot(blocks, piece_begin, position) / kKeyBlock;
    KeyRun* last = runs.empty() ? nullptr : &runs.back();
    if (last && last->block == block && last->end == lane && last->row < 0 && row < 0)
      last->end += count;
    else
      runs.push_back({block, position - lane, lane, lane + count, row < 0 ? -1 : row + (position - begin)});
    position += count;
  }
}

void append_rows(ForwardBatch& batch, std::span<const int32_t> tokens, std::span<const int32_t> blocks,
                 int32_t piece_begin, int32_t position) {
  for (const int32_t token : tokens) {
    batch.tokens.push_back(token);
    batch.positions.push_back(position);
    batch.slots.push_back(key_slot(blocks, piece_begin, position));
    ++position;
  }
}

ForwardBatch plan_batch(const TokenForest& forest, BlockLease& lease) {
  ForwardBatch batch;
  batch.tokens = forest.tokens;
  batch.positions = forest.positions;
  batch.slots.reserve(forest.tokens.size());
  for (const ForestSegment& segment : forest.segments) {
    const auto first_block = lease.blocks().size();
    lease.take(blocks_needed(segment.position_begin, segment.length));
    const auto blocks = lease.blocks().subspan(first_block);
    AttentionSegment planned{segment.row_begin, segment.length, segment.position_begin, segment.parent, {}};
    if (segment.parent >= 0) planned.runs = batch.plan.segments[static_cast<size_t>(segment.parent)].runs;
    const int32_t end = segment.position_begin + segment.length;
    append_runs(planned.runs, blocks, segment.position_begin, segment.position_begin, end, segment.row_begin);
    for (int32_t position = segment.position_begin; position < end; ++position)
      batch.slots.push_back(key_slot(blocks, segment.position_begin, position));
    batch.plan.segments.push_back(std::move(planned));
  }
  return batch;
}

}  // namespace winnow
