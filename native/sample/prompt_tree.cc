#include "sample/prompt_tree.h"

#include <algorithm>
#include <numeric>

namespace winnow {

PromptTree::PromptTree(const Sequences& prompts, int completions_per_prompt)
    : forest_(build_token_forest(prompts.tokens, prompts.offsets)) {
  for (const ForestSegment& segment : forest_.segments)
    segments_.push_back({segment.parent, segment.position_begin, segment.row_begin, segment.length,
                         blocks_needed(segment.position_begin, segment.length)});
  leases_.resize(segments_.size());

  std::vector<int32_t> segment_of_row(forest_.tokens.size());
  for (size_t index = 0; index < segments_.size(); ++index)
    std::fill_n(segment_of_row.begin() + segments_[index].row_begin, segments_[index].length,
                static_cast<int32_t>(index));
  for (size_t index = 0; index < prompts.count(); ++index) {
    const auto last = static_cast<size_t>(forest_.sequence_offsets[index + 1] - 1);
    const int32_t end = segment_of_row[static_cast<size_t>(forest_.sequence_rows[last])];
    prompts_.push_back({end, static_cast<int32_t>(prompts.length(index)), completions_per_prompt});
    segment(end).ends_prompt = true;
    segment(end).waiting_rows += completions_per_prompt;
    for (int32_t at = end; at >= 0; at = segment(at).parent) ++segment(at).prompts;
  }
  order_.resize(prompts_.size());
  std::iota(order_.begin(), order_.end(), size_t{0});
  std::ranges::stable_sort(order_, {}, [&](size_t index) { return prompts_[index].segment; });
}

int64_t PromptTree::total_blocks() const {
  return std::accumulate(segments_.begin(), segments_.end(), int64_t{0},
                         [](int64_t sum, const PromptSegment& segment) { return sum + segment.blocks; });
}

int64_t PromptTree::path_blocks(size_t prompt) const {
  int64_t blocks = 0;
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segments_[static_cast<size_t>(at)].parent)
    blocks += segments_[static_cast<size_t>(at)].blocks;
  return blocks;
}

int64_t PromptTree::missing_blocks(size_t prompt) const {
  int64_t blocks = 0;
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segments_[static_cast<size_t>(at)].parent)
    if (!segments_[static_cast<size_t>(at)].resident) blocks += segments_[static_cast<size_t>(at)].blocks;
  return blocks;
}

void PromptTree::make_resident(size_t prompt, KeyValueStore& store, std::vector<int32_t>& to_compute) {
  std::vector<int32_t> missing;
  for (int32_t at = prompts_[prompt].segment; at >= 0 && !segment(at).resident; at = segment(at).parent)
    missing.push_back(at);
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    BlockLease lease(store);
    lease.take(segment(*at).blocks);
    leases_[static_cast<size_t>(*at)] = std::move(lease);
    segment(*at).resident = true;
    to_compute.push_back(*at);
  }
}

void PromptTree::finish_prompt(size_t prompt) {
  for (int32_t at = prompts_[prompt].segment; at >= 0; at = segment(at).parent) {
    if (--segment(at).prompts > 0) continue;
    leases_[static_cast<size_t>(at)].give_back();
    segment(at).resident = false;
    segment(at).runs = {};
  }
}

}  // namespace winnow
